//! AD-33: services that come to another state than those of the others.
//!
//! What such a service looked at is all one: its snapshots have other bytes from then on, and
//! nothing else of it shows from outside.

use core::cell::RefCell;
use std::rc::Rc;

use quorate_core::message::Message;
use quorate_core::{FailStop, Position};

use crate::case::{Failure, Verdict};
use crate::catalogue::sn_fetches::{Behind, purging};
use crate::stage::{ClientNumber, Effect, MILLI, Options, Passing, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// Bytes of the log between two markers.
const INTERVAL: u64 = 8_000;
/// Virtual time for the exchange of digests: several of the pauses between two requests.
const EXCHANGED: u64 = 3 * SECOND;

/// So many members that have taken a snapshot, all alike, and the one that leads.
fn alike<'a>(
    trial: &Trial<'a>,
    members: usize,
    seed: u64,
) -> Result<(Stage<'a>, u16, ClientNumber), Failure> {
    trial.needs(Feature::Snapshots)?;
    // Whoever drops no snapshots cannot be rid of those that deviate.
    trial.needs(Feature::Purging)?;
    trial.needs(Feature::VirtualDisk)?;
    let options =
        Options::members(members).limits(|limits| limits.snapshot_interval_bytes = INTERVAL);
    let mut stage = trial.stage_of(options, seed);
    let leader = stage.settle()?;
    let client = stage.connected_clients(1)?[0];
    snapshot(&mut stage, client)?;
    stage.run(EXCHANGED)?;
    for member in stage.numbers() {
        let differing = stage.counters(member).snapshots_differing;
        stage.check(differing == 0, || format!("member {member} tells of {differing} others"))?;
    }
    Ok((stage, leader, client))
}

/// Lets the log grow by a marker, and all who run take a snapshot there.
fn snapshot(stage: &mut Stage<'_>, client: ClientNumber) -> Verdict {
    let newest = |stage: &Stage<'_>| {
        stage.numbers().map(|it| stage.view(it).snapshot).max().unwrap_or_default()
    };
    let before = newest(stage);
    stage.pour(&[client], 20, 500, 20 * SECOND)?;
    stage.until("a snapshot is stored", 10 * SECOND, |stage| newest(stage) > before)?;
    stage.run(50 * MILLI)
}

fn diverged(stage: &Stage<'_>, member: u16) -> Option<Position> {
    match stage.view(member).fail_stop {
        Some(FailStop::Diverged { position }) if stage.stopped(member).is_some() => Some(position),
        _ => None,
    }
}

/// Whether anything on its disk has the state that deviates.
fn deviates_on_disk(stage: &Stage<'_>, member: u16) -> bool {
    stage.disk(member, |disk| disk.has_snapshot_with(quorate_sim::deviates))
}

/// Who deviates stops, and nobody else; its next life begins with a state that all had.
fn halts(stage: &mut Stage<'_>, member: u16, client: ClientNumber) -> Verdict {
    let others: Vec<u16> = stage.numbers().filter(|it| *it != member).collect();
    stage.until("who deviates stops", 20 * SECOND, |stage| diverged(stage, member).is_some())?;
    let told = diverged(stage, member).is_some_and(|at| at > Position::ZERO);
    stage.check(told, || "it does not say at which position".into())?;
    let stays = deviates_on_disk(stage, member);
    stage.check(!stays, || format!("member {member} would begin with that state again"))?;
    stage.until("the others answer", 10 * SECOND, |stage| stage.is_answered(&[client]))?;
    stage.pour(&[client], 5, 300, 20 * SECOND)?;
    let up = others.iter().all(|other| stage.is_up(*other));
    stage.check(up, || "another one stopped, too".into())?;
    stage.kill(member);
    stage.start(member)?;
    stage.until_level(20 * SECOND)?;
    snapshot(stage, client)?;
    stage.run(EXCHANGED)?;
    let up = stage.numbers().all(|it| stage.is_up(it));
    stage.check(up, || "somebody stopped although all are alike again".into())
}

pub(super) fn ad_33(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(1, 3, 20) {
        let seed = quorate_core::hash::mix(trial.seed(), round);
        for leads in [false, true] {
            let (mut stage, leader, client) = alike(trial, 3 + 2 * (round as usize % 2), seed)?;
            let member = if leads { leader } else { stage.other_than(leader) };
            stage.deviate(member);
            snapshot(&mut stage, client)?;
            halts(&mut stage, member, client)?;
        }
    }
    without_a_majority(trial)?;
    lost(trial)?;
    lied(trial)?;
    disputed(trial)?;
    copied(trial)
}

/// Of two nobody can tell who is right.
fn without_a_majority(trial: &Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = alike(trial, 2, trial.seed())?;
    stage.deviate(leader);
    snapshot(&mut stage, client)?;
    stage.run(EXCHANGED)?;
    for member in stage.numbers() {
        let told = stage.counters(member).snapshots_differing;
        let up = stage.is_up(member);
        stage.check(up && told > 0, || {
            format!("member {member} runs: {up}, and tells of {told} snapshots that differ")
        })?;
    }
    Ok(())
}

fn is_digest(passing: &Passing<'_>) -> bool {
    matches!(passing.message(), Some(Message::SnapshotDigest { .. }))
}

/// What is lost is told again.
fn lost(trial: &Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = alike(trial, 3, trial.seed())?;
    let member = stage.other_than(leader);
    let rule = stage.rule("all digests are lost", Effect::Lose, is_digest);
    stage.deviate(member);
    snapshot(&mut stage, client)?;
    stage.run(EXCHANGED)?;
    let lost = stage.remove_rule(rule);
    let up = stage.is_up(member);
    stage.check(lost > 0 && up, || format!("{lost} were lost, and it runs: {up}"))?;
    halts(&mut stage, member, client)
}

/// One that lies, be it the leader, stops nobody.
fn lied(trial: &Trial<'_>) -> Verdict {
    for leads in [false, true] {
        let (mut stage, leader, client) = alike(trial, 3, trial.seed())?;
        let liar = if leads { leader } else { stage.other_than(leader) };
        let rule = stage.rule("all digests are lost", Effect::Lose, is_digest);
        snapshot(&mut stage, client)?;
        let position = stage.view(leader).snapshot;
        let (term, layout) = (stage.view(leader).term, quorate_core::snapshot::SNAPSHOT_VERSION);
        for digest in 0..20 {
            let (vouches, asks) = (true, false);
            let lie = Message::SnapshotDigest { term, position, layout, digest, vouches, asks };
            for to in stage.numbers().filter(|to| *to != liar) {
                stage.inject_message(liar, to, &lie);
            }
            stage.run(10 * MILLI)?;
        }
        stage.remove_rule(rule);
        stage.run(EXCHANGED)?;
        let up = stage.numbers().all(|it| stage.is_up(it));
        stage.check(up, || format!("the lies of member {liar} stopped somebody"))?;
        snapshot(&mut stage, client)?;
        stage.until_level(10 * SECOND)?;
    }
    Ok(())
}

/// A snapshot that others have otherwise is not handed on.
fn disputed(trial: &Trial<'_>) -> Verdict {
    if trial.needs(Feature::Purging).is_err() {
        return Ok(());
    }
    let mut far = Behind::apart(trial, purging(3, INTERVAL), trial.seed())?;
    far.stage.deviate(far.leader);
    for _ in 0..2 {
        far.stage.pour(&[far.client], 95, 1_500, 60 * SECOND)?;
    }
    // They skip markers while they pour: until both have stored one at the same place.
    let others: Vec<u16> = far.stage.numbers().filter(|it| *it != far.behind).collect();
    let differ = |stage: &Stage<'_>| {
        others.iter().all(|other| stage.counters(*other).snapshots_differing > 0)
    };
    for _ in 0..10 {
        far.stage.run(EXCHANGED)?;
        if differ(&far.stage) {
            break;
        }
        far.stage.pour(&[far.client], 20, 500, 20 * SECOND)?;
    }
    let told = differ(&far.stage);
    far.stage.check(told, || "nobody tells that the two differ".into())?;
    let behind = far.behind;
    far.stage.heal_all();
    // Both have let go of what it lacks, and of no snapshot is it known that most have it.
    far.stage.run(20 * SECOND)?;
    let taken = deviates_on_disk(&far.stage, behind);
    far.stage.check(!taken, || format!("member {behind} has taken over the state that deviates"))
}

/// One that was fetched is nobody's witness.
fn copied(trial: &Trial<'_>) -> Verdict {
    if trial.needs(Feature::Purging).is_err() {
        return Ok(());
    }
    let mut far = Behind::new(trial, 3, trial.seed())?;
    let (own, told) = (Stage::place_of(far.behind), Rc::new(RefCell::new(Vec::new())));
    let heard = Rc::clone(&told);
    far.stage.heal_all();
    let rule = far.stage.rule("a digest is overheard", Effect::Delay(0), move |passing| {
        if let Some(&Message::SnapshotDigest { position, vouches, .. }) = passing.message()
            && passing.from == own
        {
            heard.borrow_mut().push((position, vouches));
        }
        false
    });
    far.until_level()?;
    far.stage.run(EXCHANGED)?;
    far.stage.remove_rule(rule);
    let at = far.stage.view(far.behind).origin;
    let of_copy: Vec<bool> =
        told.borrow().iter().filter(|(position, _)| *position == at).map(|(_, it)| *it).collect();
    far.stage.check(!of_copy.is_empty() && !of_copy.contains(&true), || {
        format!("of the snapshot at {at}, which it fetched, it says {of_copy:?}")
    })
}
