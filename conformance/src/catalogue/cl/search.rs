//! Whom a client asks, when, and when it gives up.

use std::collections::BTreeSet;

use quorate_core::client::{
    Client, ClientAction, ClientActions, ClientConfig, ClientError, ClientEvent, ClientLimits,
    ClientTiming, TriedOutcome,
};
use quorate_core::message::{ConnectOutcome, Message};
use quorate_core::{ClientKey, Duration, Incoming, Instant, MemberId, RecoveryEpoch, Term};
use quorate_sim::Place;

use super::answers::send;
use crate::case::{Failure, Verdict, check};
use crate::desk::{member_sender, place};
use crate::stage::{GROUP, MILLI, Options, SECOND};
use crate::trial::Trial;

/// A client on its own, of a group of so many members.
fn lone_client(members: u16, seed: u64, timing: ClientTiming) -> Result<Client, Failure> {
    let config = ClientConfig {
        group: GROUP,
        recovery_epoch: RecoveryEpoch(0),
        key: ClientKey(5),
        members: (1..=members).map(|member| (MemberId(member), place(member))).collect(),
        seed,
        timing,
        limits: ClientLimits::default(),
    };
    Client::new(config, Instant(0)).map_err(|error| Failure::Harness(error.to_string()))
}

/// Steps, and connects, after which a lone client is stopped.
const STEPS_MAX: usize = 10_000;

/// Lets a lone client look for a leader until it ends or `end`; `answer` says what the member that
/// it asks replies. Returns when it asked whom, and how it ended.
fn look_for_leader(
    client: &mut Client,
    end: u64,
    mut answer: impl FnMut(u16) -> Option<ConnectOutcome>,
) -> (Vec<(u64, u16)>, Option<ClientError>) {
    let (mut asked, mut now) = (Vec::new(), 0);
    let mut actions = ClientActions::new();
    for _ in 0..STEPS_MAX {
        if now > end {
            break;
        }
        client.step(Instant(now), ClientEvent::Timer, &mut actions);
        let mut todo: Vec<ClientAction> = actions.drain().collect();
        while let Some(action) = todo.pop().filter(|_| asked.len() < STEPS_MAX) {
            match action {
                ClientAction::Send { to, message: Message::Connect { connection, .. } } => {
                    let Some(Place::Member(member)) = Place::at(to) else { continue };
                    asked.push((now, member.0));
                    let Some(outcome) = answer(member.0) else { continue };
                    let reply = Message::ConnectReply { connection, outcome };
                    let (sender, source) = (member_sender(member.0, 1), to);
                    let content = Incoming::Control(reply);
                    let event = ClientEvent::Received { sender, source, content };
                    client.step(Instant(now), event, &mut actions);
                    todo.extend(actions.drain());
                }
                ClientAction::Ended(Err(error)) => return (asked, Some(error)),
                _ => {}
            }
        }
        now = client.next_deadline().map_or(u64::MAX, |due| due.0.max(now + 1));
    }
    (asked, None)
}

pub(super) fn cl_03(trial: &mut Trial<'_>) -> Verdict {
    let give_up_after = Duration::from_millis(2_000);
    let timing = ClientTiming { give_up_after, ..ClientTiming::default() };
    // Two members that name one another for ever.
    let mut client = lone_client(2, trial.seed(), timing.clone())?;
    let (asked, error) = look_for_leader(&mut client, 10 * SECOND, |member| {
        let leader = MemberId(3 - member);
        let (term, endpoint) = (Term(4), place(leader.0));
        Some(ConnectOutcome::Redirect { leader, term, endpoint })
    });
    // Nine at once, and then a pause, of which there are forty.
    check(asked.len() <= 9 * 41, || format!("it asks {} times in a circle", asked.len()))?;
    let Some(ClientError::NotServed { tried }) = error else {
        return Err(Failure::broken(format!("it ends with {error:?}")));
    };
    let causes = tried.len() == 2
        && tried.iter().all(|one| one.outcome == TriedOutcome::Redirected && one.times > 0);
    check(causes, || format!("it lists {tried:?}"))?;

    let mut options = Options::members(3);
    options.client_timing = timing;
    let mut stage = trial.stage(options);
    stage.start(2)?;
    let client = stage.client();
    send(&mut stage, client, b"never served")?;
    stage.until("the client gives up", 2_001 * MILLI, |stage| stage.ended(client).is_some())?;
    let tried = match stage.ended(client) {
        Some(Err(ClientError::NoQuorum { tried })) => tried.clone(),
        other => return Err(Failure::broken(format!("it ends with {other:?}"))),
    };
    let outcomes: Vec<_> = tried.iter().map(|one| (one.member.0, one.outcome)).collect();
    let (silent, no_quorum) = (TriedOutcome::Silent, TriedOutcome::NoQuorum);
    let listed = outcomes == [(1, silent), (2, no_quorum), (3, silent)];
    stage.check(listed, || format!("it lists {outcomes:?}"))?;
    let refused = stage.submit(client, b"too late").is_err();
    stage.check(refused && stage.now() >= 2 * SECOND, || "it gave up, and goes on".to_owned())
}

pub(super) fn cl_16(trial: &mut Trial<'_>) -> Verdict {
    let timing = ClientTiming::default();
    let (retry, tries) = (timing.connect_retry.0, timing.tries_per_member as usize);
    let mut patterns = BTreeSet::new();
    for run in 0..trial.times(10, 100, 1_000) {
        let seed = trial.seed().wrapping_add(run);
        let mut client = lone_client(3, seed, timing.clone())?;
        let (asked, _) = look_for_leader(&mut client, 2 * SECOND, |_| None);
        check_turns(&asked, tries)?;
        let pauses: Vec<u64> = asked.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        let bounded = pauses.iter().all(|pause| (retry..=retry + retry / 8).contains(pause));
        check(bounded, || format!("pauses of {pauses:?} ns"))?;
        patterns.insert(pauses);
    }
    let runs = trial.times(10, 100, 1_000) as usize;
    check(patterns.len() == runs, || format!("{} patterns for {runs} seeds", patterns.len()))?;
    // What a member asks for counts, up to the client's own cap.
    for (nanos, least) in [(1, timing.newest_first.0), (20 * MILLI, 20 * MILLI), (SECOND, retry)] {
        let mut client = lone_client(1, trial.seed(), timing.clone())?;
        let (asked, _) =
            look_for_leader(&mut client, SECOND, |_| Some(ConnectOutcome::RetryAfter { nanos }));
        let pauses = asked.windows(2).map(|pair| pair[1].0 - pair[0].0);
        let pauses: Vec<u64> = pauses.collect();
        let bounded = pauses.iter().all(|pause| (least..=least + least / 8 + 1).contains(pause));
        let some = pauses.len() > 2;
        check(some && bounded, || format!("asked for {nanos} ns it makes pauses of {pauses:?}"))?;
    }
    Ok(())
}

/// Whether members are asked in turn: each so many times, and once in later turns, for none of them
/// has answered.
fn check_turns(asked: &[(u64, u16)], tries: usize) -> Verdict {
    let first = (0..3 * tries).map(|index| 1 + (index / tries) as u16);
    let expected = first.chain([1, 2, 3].into_iter().cycle()).take(asked.len());
    let turns: Vec<u16> = asked.iter().map(|(_, member)| *member).collect();
    let in_turn = turns.iter().copied().eq(expected) && turns.len() > 3 * tries;
    check(in_turn, || format!("it asks {turns:?}"))
}
