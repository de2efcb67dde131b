//! Sessions that end.

use quorate_core::client::{ClientError, ClientTiming, TriedOutcome};
use quorate_core::frame::{Body, SessionCloseReason};
use quorate_core::{Duration, Position, SessionId};

use super::answers::{add, answered, check_sum, send};
use crate::case::{Failure, Verdict};
use crate::stage::{Effect, MILLI, Options, SECOND, Stage};
use crate::trial::Trial;

/// How long a session may be silent in these cases.
const TIMEOUT: u64 = SECOND;

fn options() -> Options {
    Options::members(3).timing(|timing| timing.session_timeout = Duration(TIMEOUT))
}

/// The frames that close sessions in a member's log: where, which session, why.
fn closed(stage: &Stage<'_>, member: u16) -> Vec<(Position, SessionId, SessionCloseReason)> {
    let frames = stage.log_frames(member).into_iter();
    let closes = frames.filter_map(|frame| match frame.body {
        Body::SessionClose { session, reason, .. } => Some((frame.start, session, reason)),
        _ => None,
    });
    closes.collect()
}

pub(super) fn cl_07(trial: &mut Trial<'_>) -> Verdict {
    const HOUR: i64 = 3_600 * SECOND as i64;
    let mut stage = trial.stage(options());
    for member in stage.numbers() {
        stage.jump_clock(member, i64::from(member) * HOUR);
    }
    let leader = stage.settle()?;
    let (silent, living) = (stage.client(), stage.client());
    stage.request(silent, &add(1))?;
    stage.request(living, &add(1))?;
    let session = stage.client_state(silent).session();
    stage.crash_client(silent);
    stage.always("it does not end early", TIMEOUT * 9 / 10, move |stage| {
        stage.view(leader).sessions == 2
    })?;
    // It is looked at several times in a time-out, and closed through the log.
    let within = TIMEOUT / 2;
    stage.until("it ends", within, |stage| stage.view(leader).sessions == 1)?;
    stage.until_level(SECOND)?;
    let first = closed(&stage, leader);
    let [(_, ended, SessionCloseReason::TimedOut)] = first[..] else {
        return Err(Failure::broken(format!("sessions end so: {first:?}")));
    };
    stage.check(ended == session, || format!("{ended:?} ends, not {session:?}"))?;
    for member in stage.numbers() {
        let same = closed(&stage, member) == first && stage.view(member).sessions == 1;
        stage.check(same, || format!("member {member} has it end elsewhere"))?;
    }
    // Ten time-outs without a leader.
    let session = stage.client_state(living).session();
    let others: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
    for &member in &others {
        stage.kill(member);
    }
    stage.run(10 * TIMEOUT)?;
    // From a new leader the client has the whole time-out to find it.
    let place = Stage::place_of_client(living);
    stage.rule("it does not find it at once", Effect::Lose, move |passing| passing.from == place);
    for &member in &others {
        stage.start(member)?;
    }
    let within = 12 * stage.election_timeout();
    stage.until("one leads again", within, Stage::is_settled)?;
    stage.run(TIMEOUT * 3 / 4)?;
    stage.heal_all();
    check_sum(&mut stage, living, 2)?;
    stage.until_level(SECOND)?;
    let leader = stage.leader().unwrap_or_default();
    let kept = stage.client_state(living).session() == session && closed(&stage, leader) == first;
    stage.check(kept, || "a session ended while nobody led".to_owned())
}

pub(super) fn cl_12(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(options());
    let leader = stage.settle()?;
    let client = stage.client();
    stage.request(client, &add(5))?;
    let session = stage.client_state(client).session();
    let place = Stage::place_of_client(client);
    stage.rule("it hears nothing", Effect::Lose, move |passing| passing.to == place);
    let before = stage.view(leader).applied;
    send(&mut stage, client, &add(7))?;
    stage.until("its message is applied", SECOND, |stage| stage.view(leader).applied > before)?;
    stage.rule("it says nothing", Effect::Lose, move |passing| passing.from == place);
    stage.until("its session ends", 2 * TIMEOUT, |stage| stage.view(leader).sessions == 0)?;
    stage.heal_all();
    stage.until("it is told", 2 * SECOND, |stage| stage.ended(client).is_some())?;
    let told = stage.ended(client).cloned();
    let expected = Some(Err(ClientError::SessionLost { session, unanswered: 2 }));
    stage.check(told == expected, || format!("it ends with {told:?}"))?;
    let refused = stage.submit(client, &add(7)).is_err();
    stage.check(refused, || "a client without a session takes messages".to_owned())?;
    // The next session finds one effect, and it stays one.
    let next = stage.client();
    check_sum(&mut stage, next, 12)?;
    stage.run(SECOND)?;
    let other = stage.client_state(next).session();
    stage.check(other != session, || "a session that has ended goes on".to_owned())?;
    check_sum(&mut stage, next, 12)
}

pub(super) fn cl_18(trial: &mut Trial<'_>) -> Verdict {
    const SESSIONS: usize = 4;
    let mut options = options().limits(|limits| limits.sessions_max = SESSIONS);
    let give_up_after = Duration::from_millis(1_000);
    options.client_timing = ClientTiming { give_up_after, ..ClientTiming::default() };
    let mut stage = trial.stage(options);
    let leader = stage.settle()?;
    let clients: Vec<_> = (0..SESSIONS).map(|_| stage.client()).collect();
    for &client in &clients {
        stage.request(client, &add(1))?;
    }
    let refused = stage.client();
    stage.until("one is refused", 1_001 * MILLI, |stage| stage.ended(refused).is_some())?;
    let exhausted = match stage.ended(refused) {
        Some(Err(ClientError::NotServed { tried })) => {
            let outcome = |one: &quorate_core::client::Tried| one.outcome;
            tried.iter().map(outcome).any(|outcome| outcome == TriedOutcome::SessionsExhausted)
        }
        _ => false,
    };
    stage.check(exhausted, || "it is not told that there is no room".to_owned())?;
    stage.until_level(SECOND)?;
    for member in stage.numbers() {
        let sessions = stage.view(member).sessions;
        stage.check(sessions == SESSIONS, || format!("member {member}: {sessions} sessions"))?;
    }
    // Once one has ended there is room for one.
    let next = stage.client();
    send(&mut stage, next, &add(1))?;
    stage.run(200 * MILLI)?;
    stage.check(stage.connections(next) == 0, || "there was room after all".to_owned())?;
    stage.close(clients[0]);
    answered(&mut stage, next, 1, SECOND)?;
    stage.until_level(SECOND)?;
    let sessions = stage.view(leader).sessions;
    stage.check(sessions == SESSIONS, || format!("{sessions} sessions"))?;
    check_sum(&mut stage, clients[1], SESSIONS as u64 + 1)
}
