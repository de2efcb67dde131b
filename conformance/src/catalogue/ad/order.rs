//! Order and gates: what a loop hands to the core and takes from it.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use quorate_core::{Incoming, Message, Sender, Stream};
use quorate_sim::{Dice, Place};

use super::{answered, flood, settled_with_client};
use crate::case::Verdict;
use crate::stage::story::Told;
use crate::stage::{MILLI, Options, Passing, SECOND, Stage};
use crate::subject::Feature;
use crate::subjects::Reference;
use crate::trial::Trial;

pub(super) fn ad_01(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(1, 4, 20) {
        let seed = quorate_core::hash::mix(trial.seed(), round);
        let mut dice = Dice::new(seed, "bursts");
        let mut stage = trial.stage_of(Options::members(3), seed);
        let (_, client) = settled_with_client(&mut stage)?;
        for _ in 0..12 {
            // A burst: what came during a pause is taken in at once.
            let member = dice.between(1, 3) as u16;
            stage.pause(member);
            flood(&mut stage, client, 8, 200);
            stage.run(dice.between(MILLI, 100 * MILLI))?;
            stage.resume(member);
            stage.run(dice.between(0, 20 * MILLI))?;
        }
        let done = |stage: &Stage<'_>| answered(stage, client) && stage.is_level(&[1, 2, 3]);
        stage.until("all is answered and everywhere", 6 * SECOND, done)?;
        let sequences: Vec<u64> = stage.replies(client).iter().map(|it| it.sequence).collect();
        let expected: Vec<u64> = (1..=sequences.len() as u64).collect();
        stage.check(sequences == expected, || format!("it was answered {sequences:?}"))?;
    }
    Ok(())
}

/// What went from one member to another last, for each kind that only grows.
#[derive(Default)]
struct Last {
    seen: BTreeMap<(Place, Place, &'static str), (u64, u64)>,
    broken: Option<String>,
}

impl Last {
    fn note(&mut self, passing: &Passing<'_>) {
        let Some((Sender::Member { boot_epoch, .. }, content)) = &passing.content else { return };
        let (kind, epoch, value) = match content {
            Incoming::Data { stream: Stream::Log, epoch, position, live: Some(_), .. } => {
                ("live", *epoch, position.0)
            }
            Incoming::Control(Message::Heartbeat { term, round, .. }) => {
                ("heartbeat", term.0, *round)
            }
            Incoming::Control(Message::Acknowledge { sequence, .. }) => {
                ("acknowledge", boot_epoch.0, *sequence)
            }
            _ => return,
        };
        let key = (passing.from, passing.to, kind);
        let former = self.seen.insert(key, (epoch, value));
        if let Some(former) = former.filter(|former| *former > (epoch, value)) {
            let text = format!("{kind} {value} of {epoch} to {:?} after {former:?}", passing.to);
            self.broken.get_or_insert(text);
        }
    }
}

pub(super) fn ad_02(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let last = Rc::new(RefCell::new(Last::default()));
    let notes = Rc::clone(&last);
    stage.listen(move |passing| notes.borrow_mut().note(passing));
    let (leader, client) = settled_with_client(&mut stage)?;
    for _ in 0..trial.times(10, 40, 200) {
        flood(&mut stage, client, 16, 2_000);
        stage.run(5 * MILLI)?;
    }
    stage.power_off(leader);
    stage.run(4 * stage.election_timeout())?;
    stage.start(leader)?;
    stage.until("all is answered", 6 * SECOND, |stage| answered(stage, client))?;
    let broken = last.borrow().broken.clone();
    stage.check(broken.is_none(), || format!("out of order: {}", broken.unwrap_or_default()))?;
    let kinds: std::collections::BTreeSet<&str> =
        last.borrow().seen.keys().map(|(_, _, kind)| *kind).collect();
    stage.check(kinds.len() == 3, || format!("only {kinds:?} were sent"))?;
    for member in stage.numbers() {
        let ids: Vec<_> = stage.asked(member).iter().map(|(operation, _)| *operation).collect();
        let in_order = ids.is_sorted_by(|one, next| {
            (one.boot_epoch, one.sequence) < (next.boot_epoch, next.sequence)
        });
        stage.check(in_order && ids.len() > 10, || format!("member {member} asked for {ids:?}"))?;
    }
    Ok(())
}

pub(super) fn ad_03(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let granted = Rc::new(RefCell::new(0_u32));
    let grants = Rc::clone(&granted);
    stage.listen(move |passing| {
        let grants_vote = matches!(passing.message(), Some(Message::Ballot { granted: true, .. }));
        *grants.borrow_mut() += u32::from(grants_vote);
    });
    for member in stage.numbers() {
        stage.start(member)?;
        stage.hold(member, "vote");
    }
    stage.run(10 * stage.election_timeout())?;
    let votes = *granted.borrow();
    stage.check(votes == 0 && stage.elections() == 0, || format!("{votes} votes before a disk"))?;
    let held: usize = stage.numbers().map(|member| stage.held(member, "vote").len()).sum();
    stage.check(held > 0, || "nobody asked for its vote to be durable".into())?;
    for member in stage.numbers() {
        stage.release(member, "vote");
    }
    let (_, client) = settled_with_client(&mut stage)?;
    for member in stage.numbers() {
        stage.hold(member, "sync");
    }
    let accepted = flood(&mut stage, client, 4, 100);
    let before = stage.replies(client).len();
    stage.always("no reply before a quorum of disks has it", 2 * SECOND, |stage| {
        stage.replies(client).len() == before
    })?;
    for member in [1, 2] {
        stage.release(member, "sync");
    }
    stage.until("the replies", 4 * SECOND, |stage| stage.replies(client).len() == before + accepted)
}

pub(super) fn ad_05(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let (leader, client) = settled_with_client(&mut stage)?;
    for member in stage.numbers() {
        stage.hold(member, "sync");
        stage.hold(member, "peers");
    }
    for _ in 0..4 {
        flood(&mut stage, client, 8, 500);
        stage.run(SECOND)?;
    }
    for member in stage.numbers() {
        for kind in ["peers", "sync"] {
            stage.release_backwards(member, kind);
        }
    }
    let done = |stage: &Stage<'_>| answered(stage, client) && stage.is_level(&[1, 2, 3]);
    stage.until("all is answered and everywhere", 4 * SECOND, done)?;
    for member in stage.numbers() {
        let ids: Vec<_> = stage.asked(member).iter().map(|(operation, _)| *operation).collect();
        let mut unique = ids.clone();
        unique.sort_by_key(|operation| (operation.boot_epoch, operation.sequence));
        unique.dedup();
        stage.check(unique.len() == ids.len(), || format!("asked for twice: {ids:?}"))?;
        let ignored = stage.counters(member).completions_ignored;
        let view = *stage.view(member);
        stage.check(ignored == 0, || format!("member {member} ignored {ignored} completions"))?;
        stage.check(view.durable == view.verified, || format!("member {member}: {view:?}"))?;
    }
    // While no disk went on, somebody else may have come to lead.
    let leader = stage.leader().unwrap_or(leader);
    let follower = stage.other_than(leader);
    stage.hold(follower, "sync");
    flood(&mut stage, client, 1, 100);
    stage.run(20 * MILLI)?;
    stage.kill(follower);
    let term = stage.view(leader).term;
    stage.run(SECOND)?;
    stage.start(follower)?;
    stage.until("it follows again", 4 * SECOND, |stage| stage.is_level(&[1, 2, 3]))?;
    let ignored = stage.counters(follower).completions_ignored;
    let same = ignored == 0 && stage.view(leader).term == term;
    stage.check(same, || format!("{ignored} completions of the former life were taken in"))
}

pub(super) fn ad_15(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::Sockets)?;
    let mut options = Options::members(3);
    // Nothing overtakes anything: whatever is asked for was lost in the taking apart.
    options.latency = (options.latency.1, options.latency.1);
    let mut stage = trial.stage(options);
    for member in stage.numbers() {
        stage.coalesce(member);
    }
    let (leader, client) = settled_with_client(&mut stage)?;
    let follower = stage.other_than(leader);
    let asked = stage.counters(follower).naks_sent;
    for bytes in [10, 1_100, 1_216, 5_000, 16_000] {
        // What comes during a pause lies in the socket's buffer, and is taken out together.
        stage.pause(follower);
        flood(&mut stage, client, 8, bytes);
        stage.run(50 * MILLI)?;
        stage.resume(follower);
        stage.until("all is level", SECOND, |stage| stage.is_level(&[1, 2, 3]))?;
    }
    let asked = stage.counters(follower).naks_sent - asked;
    stage.check(asked == 0, || format!("it missed something, and sent {asked} NAKs"))
}

/// What a script of fixed inputs leads to, on any subject: what was sent, in order, and stored.
fn course(stage: &mut Stage<'_>) -> Result<Vec<String>, crate::case::Failure> {
    let (leader, client) = settled_with_client(stage)?;
    for bytes in [1, 1_000, 9_000] {
        flood(stage, client, 6, bytes);
        stage.run(30 * MILLI)?;
    }
    let follower = stage.other_than(leader);
    stage.isolate(follower);
    flood(stage, client, 6, 4_000);
    stage.run(SECOND)?;
    stage.heal_all();
    stage.run(SECOND)?;
    stage.power_off(leader);
    stage.run(2 * SECOND)?;
    stage.start(leader)?;
    flood(stage, client, 6, 400);
    stage.run(3 * SECOND)?;
    let lines = stage.story().scenes.iter().filter_map(|scene| match &scene.told {
        Told::Script { .. } => None,
        told => Some(format!("{} us: {told:?}", scene.at / 1_000)),
    });
    Ok(lines.collect())
}

pub(super) fn ad_22(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(1, 3, 20) {
        let seed = quorate_core::hash::mix(trial.seed(), round);
        // Few frames a batch: what is applied is reported, and leads to more, in the same turn.
        let options = Options::members(3).limits(|limits| limits.apply_batch_max = 2);
        let mut stage = Stage::apart(&Reference, options.clone(), seed);
        let expected = course(&mut stage)?;
        let mut stage = trial.stage_of(options, seed);
        let found = course(&mut stage)?;
        let differs = expected.iter().zip(&found).position(|(one, other)| one != other);
        let differs = differs.or_else(|| (expected.len() != found.len()).then_some(found.len()));
        stage.check(differs.is_none(), || {
            let at = differs.unwrap_or_default();
            let (wanted, found) = (expected.get(at), found.get(at));
            format!("step {at} differs from the core's own: {wanted:?}, but {found:?}")
        })?;
    }
    Ok(())
}
