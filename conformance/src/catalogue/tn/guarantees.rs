//! What both members of a group of two have.

use quorate_core::Position;
use quorate_sim::Dice;

use crate::case::Verdict;
use crate::stage::{ClientNumber, MICRO, MILLI, Options, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// Up to where both disks have the log.
fn both_have(stage: &Stage<'_>) -> Position {
    let ends = stage.numbers().map(|member| stage.disk(member, |disk| disk.durable_end()));
    ends.min().unwrap_or_default()
}

fn highest_commit(stage: &Stage<'_>) -> Position {
    stage.numbers().map(|member| stage.view(member).commit).max().unwrap_or_default()
}

/// The newest message that a client was answered.
fn newest_answered(stage: &Stage<'_>, client: ClientNumber) -> Position {
    stage.replies(client).iter().map(|reply| reply.position).max().unwrap_or_default()
}

pub(super) fn tn_01(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    for repetition in 0..trial.times(4, 20, 200) {
        let mut stage = trial.stage_of(Options::members(2), trial.seed() + repetition);
        let (leader, client) = (stage.settle()?, stage.client());
        stage.request(client, b"on both disks")?;
        for slow in [leader, stage.other_than(leader)] {
            one_disk_syncs_nothing(&mut stage, client, (leader, slow))?;
        }
        stage.load_while(client, MILLI / 2, 100 * MILLI, |stage, pause| {
            stage.always("both have what is committed", pause, |stage| {
                highest_commit(stage) <= both_have(stage)
            })?;
            let (answered, both) = (newest_answered(stage, client), both_have(stage));
            stage.check(answered < both, || {
                format!("the message at {answered} is answered, and both disks have {both}")
            })
        })?;
        trial.count("answered messages", stage.replies(client).len() as u64);
    }
    Ok(())
}

/// While one of the two disks syncs nothing, nothing is committed; when it does again, all is.
fn one_disk_syncs_nothing(
    stage: &mut Stage<'_>,
    client: ClientNumber,
    (leader, slow): (u16, u16),
) -> Verdict {
    stage.run(2 * stage.heartbeat())?;
    let (before, answered) = (stage.view(leader).commit, stage.replies(client).len());
    stage.hold(slow, "sync");
    for _ in 0..3 {
        let _ = stage.submit(client, b"on one disk");
    }
    let time = 20 * stage.round_trip();
    stage.always("nobody commits what one disk lacks", time, |stage| {
        highest_commit(stage) <= both_have(stage)
    })?;
    let (commit, head) = (stage.view(leader).commit, stage.view(leader).verified);
    let replies = stage.replies(client).len();
    stage.check(head > before && commit == before && replies == answered, || {
        let more = replies - answered;
        format!("member {slow} syncs nothing: {commit} of {head} is committed, {more} answered")
    })?;
    stage.release(slow, "sync");
    stage.until("all is answered", time, |s| s.replies(client).len() == answered + 3)
}

pub(super) fn tn_10(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    for repetition in 0..trial.times(4, 20, 200) {
        let seed = trial.seed() + repetition;
        let mut dice = Dice::new(seed, "survivors");
        durable_survivor(trial, seed, &mut dice)?;
        volatile_survivor(trial, seed, &mut dice)?;
    }
    Ok(())
}

/// One loses its power under load, then the other: its disk has all that was answered.
fn durable_survivor(trial: &Trial<'_>, seed: u64, dice: &mut Dice) -> Verdict {
    let mut stage = trial.stage_of(Options::members(2), seed);
    let (leader, client) = (stage.settle()?, stage.client());
    stage.load(client, MILLI / 4, dice.between(5 * MILLI, 60 * MILLI))?;
    let lost = if dice.chance(500_000) { leader } else { stage.other_than(leader) };
    stage.power_off(lost);
    let survivor = 3 - lost;
    stage.run(dice.below(MILLI))?;
    stage.power_off(survivor);
    let (answered, has) = (newest_answered(&stage, client), durable_end(&stage, survivor));
    stage.check(answered < has && answered > Position::ZERO, || {
        format!("the message at {answered} is answered, and the survivor has {has}")
    })?;
    comes_back(&mut stage, client)
}

/// Between two checkpoints, in nanoseconds.
const INTERVAL: u64 = 40 * MILLI;
/// What a checkpoint may take beyond that: it waits for one that is under way, each of which takes
/// an operation of a disk.
const SLACK: u64 = 2 * MILLI;

/// One loses its power under load: the other has all that was answered in its memory, and on its
/// disk all but the newest.
fn volatile_survivor(trial: &Trial<'_>, seed: u64, dice: &mut Dice) -> Verdict {
    let mut stage = trial.stage_of(Options::members(2).volatile(INTERVAL), seed);
    let (leader, client) = (stage.settle()?, stage.client());
    let patient = stage.connected_clients(1)?[0];
    if stage.can_wait(patient) {
        let _ = stage.submit_safe(patient, b"for long");
    }
    stage.load(client, MILLI / 4, 3 * INTERVAL + dice.below(INTERVAL))?;
    let lost = if dice.chance(500_000) { leader } else { stage.other_than(leader) };
    stage.power_off(lost);
    let survivor = 3 - lost;
    let (answered, held) = (newest_answered(&stage, client), stage.view(survivor).verified);
    stage.check(answered < held && answered > Position::ZERO, || {
        format!("the message at {answered} is answered, and the survivor has {held}")
    })?;
    let (has, now) = (durable_end(&stage, survivor), stage.now());
    let old = stage.replies(client).iter().filter(|reply| reply.at + INTERVAL + SLACK < now);
    let old = old.map(|reply| reply.position).max().unwrap_or_default();
    stage.check(old < has && old > Position::ZERO, || {
        format!("the message at {old} was answered an interval ago, and {has} is on the disk")
    })?;
    let safe = newest_answered(&stage, patient);
    stage.check(safe < has, || format!("the message at {safe} is called safe, and is not"))?;
    comes_back(&mut stage, client)
}

fn durable_end(stage: &Stage<'_>, member: u16) -> Position {
    stage.disk(member, |disk| disk.durable_end())
}

/// Both run again: each message is answered, and stands in both logs once.
fn comes_back(stage: &mut Stage<'_>, client: ClientNumber) -> Verdict {
    for member in stage.numbers() {
        stage.start(member)?;
    }
    let all = |stage: &Stage<'_>| stage.replies(client).len() == stage.submitted(client).len();
    stage.until("all is answered", 10 * SECOND, all)?;
    stage.run(100 * MICRO)?;
    stage.until_level(10 * SECOND)?;
    stage.numbers().try_for_each(|member| stage.check_written_in_order(member, &[client]))
}
