//! Clients of a volatile group that wait for disks: by message, and for a position.

use quorate_core::Position;

use super::commits::held_by;
use crate::case::Verdict;
use crate::stage::{ClientNumber, MILLI, Options, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// The time between checkpoints: long against all that a message needs otherwise.
const CHECKPOINT: u64 = 800 * MILLI;

/// Messages of the session whose replies may wait.
const MESSAGES: u64 = 8;

pub(super) fn cd_20(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    for members in [2, 3, 5] {
        for repetition in 0..trial.times(2, 8, 40) {
            mixed(trial, members, repetition)?;
        }
    }
    Ok(())
}

/// Messages of both sorts in one session; the leader changes while some of them wait.
fn mixed(trial: &Trial<'_>, members: usize, repetition: u64) -> Verdict {
    let seed = trial.seed() + repetition;
    let mut stage = trial.stage_of(Options::members(members).volatile(CHECKPOINT), seed);
    let leader = stage.settle()?;
    let clients = stage.connected_clients(2)?;
    let (mixed, plain) = (clients[0], clients[1]);
    stage.until_level(10 * SECOND)?;
    // Which of them ask: a pattern of its own for each seed.
    let asks = |number: u64| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (number % 60) & 1 == 1;
    let mut asked: Vec<u64> = Vec::new();
    for number in 0..MESSAGES {
        let payload = [number as u8; 64];
        let sequence = match asks(number) {
            true => stage.submit_safe(mixed, &payload),
            false => stage.submit(mixed, &payload),
        };
        let sequence = sequence.map_err(|reject| {
            crate::case::Failure::broken(format!("a client refuses a message: {reject}"))
        })?;
        if asks(number) {
            asked.push(sequence);
        }
        stage.run(seed % 7 * MILLI)?;
    }
    // Another session waits for nobody.
    let reply = stage.request(plain, b"out of memory")?;
    let took = reply.at - stage.submitted(plain)[0].0;
    stage.check(took < CHECKPOINT / 4, || format!("a reply out of memory took {took} ns"))?;
    if members > 2 && repetition % 2 == 1 {
        stage.power_off(leader);
        stage.until("another leads", 10 * SECOND, |stage| {
            stage.numbers().any(|it| it != leader && stage.view(it).serving)
        })?;
        stage.start(leader)?;
    }
    for next in 1..=MESSAGES {
        stage.until("the next reply", 10 * SECOND, |stage| count_replies(stage, mixed) >= next)?;
        let reply = stage.replies(mixed)[next as usize - 1].clone();
        stage.check(reply.sequence == next, || {
            format!("reply {} comes in place of {next}", reply.sequence)
        })?;
        if asked.contains(&next) {
            check_safe(&mut stage, reply.position)?;
        }
    }
    Ok(())
}

fn count_replies(stage: &Stage<'_>, client: ClientNumber) -> u64 {
    stage.replies(client).len() as u64
}

/// A quorum of disks has the frame that begins at `position`.
fn check_safe(stage: &mut Stage<'_>, position: Position) -> Verdict {
    let quorum = stage.numbers().count() / 2 + 1;
    let synced = held_by(stage, quorum);
    stage.check(synced > position, || {
        format!("{position} is called safe, and a quorum of disks has only what is before {synced}")
    })
}

/// A client waits for a position that it was answered out of memory; then all lose their power.
pub(super) fn waits_for_a_position(trial: &Trial<'_>, repetition: u64) -> Verdict {
    let seed = trial.seed() + repetition;
    let mut stage = trial.stage_of(Options::members(3).volatile(CHECKPOINT), seed);
    let leader = stage.settle()?;
    let clients = stage.connected_clients(2)?;
    if !stage.can_wait(clients[0]) {
        return Ok(());
    }
    stage.until_level(10 * SECOND)?;
    let position = stage.request(clients[0], b"out of memory")?.position;
    // Whoever asks may do so, and a new leader is asked again.
    for client in &clients {
        stage.sync(*client, position);
    }
    if repetition % 2 == 1 {
        stage.power_off(leader);
        stage.until("another leads", 10 * SECOND, |stage| {
            stage.numbers().any(|it| it != leader && stage.view(it).serving)
        })?;
        stage.start(leader)?;
    }
    for client in &clients {
        stage.until("it is safe", 10 * SECOND, |stage| {
            stage.synced(*client).iter().any(|(asked, _)| *asked == position)
        })?;
        check_safe(&mut stage, position)?;
        let (_, outcome) = stage.synced(*client)[0];
        let is_behind = outcome.is_ok_and(|safe| safe > position);
        stage.check(is_behind, || format!("{outcome:?} is the answer for {position}"))?;
    }
    for member in stage.numbers() {
        stage.power_off(member);
    }
    check_safe(&mut stage, position)
}
