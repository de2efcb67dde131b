//! Crashes and moves at each step of what a client does.

use quorate_core::Duration;
use quorate_core::frame::Body;

use super::answers::{add, answered, check_replies, check_sum, former, send};
use crate::case::{Failure, Verdict};
use crate::edges::Command;
use crate::stage::{ClientNumber, Effect, MICRO, MILLI, Options, SECOND, Stage};
use crate::trial::Trial;

/// Lets time pass until so many more datagrams were sent, or for a while.
fn datagrams(stage: &mut Stage<'_>, more: usize) -> Verdict {
    let enough = stage.sightings().len() + more;
    let end = stage.now() + 5 * MILLI;
    while stage.sightings().len() < enough && stage.now() < end {
        stage.run(5 * MICRO)?;
    }
    Ok(())
}

/// The value of register 1, as a new client reads it.
fn sum(stage: &mut Stage<'_>) -> Result<u64, Failure> {
    let client = stage.client();
    let reply = stage.request(client, &Command::Read { key: 1 }.to_bytes())?;
    former(&reply.bytes)
}

pub(super) fn cl_13(trial: &mut Trial<'_>) -> Verdict {
    let timeout = Duration(SECOND);
    for step in (0..24).step_by(trial.times(6, 2, 1) as usize) {
        let options = Options::members(3).timing(|timing| timing.session_timeout = timeout);
        let mut stage = trial.stage_of(options, trial.seed().wrapping_add(step));
        stage.settle()?;
        let client = stage.client();
        send(&mut stage, client, &add(1))?;
        datagrams(&mut stage, step as usize)?;
        stage.crash_client(client);
        stage.run(SECOND / 10)?;
        let once = sum(&mut stage)?;
        stage.check(once <= 1, || format!("step {step}: it is applied {once} times"))?;
        let has_reply = stage.replies(client).len() as u64;
        stage.check(has_reply <= once, || format!("step {step}: a reply without an effect"))?;
        stage.run(2 * SECOND)?;
        let leader = stage.leader().unwrap_or_default();
        let sessions = stage.view(leader).sessions;
        stage.check(sessions == 1, || format!("step {step}: {sessions} sessions are left"))?;
        let later = sum(&mut stage)?;
        stage.check(later == once, || format!("step {step}: {once}, and later {later}"))?;
    }
    Ok(())
}

/// Slices of the message of [`cl_20`].
const SLICES: u64 = 13;

pub(super) fn cl_20(trial: &mut Trial<'_>) -> Verdict {
    for passed in (0..=SLICES).step_by(trial.times(5, 2, 1) as usize) {
        for client_dies in [false, true] {
            large_message(trial, passed, client_dies)?;
        }
    }
    Ok(())
}

/// The leader, and perhaps the client too, crashes when it has so many slices of a message.
fn large_message(trial: &Trial<'_>, passed: u64, client_dies: bool) -> Verdict {
    let mut stage = trial.stage_of(Options::members(3), trial.seed().wrapping_add(passed));
    let leader = stage.settle()?;
    let client = stage.client();
    stage.request(client, b"first")?;
    let payload = vec![0x3c; SLICES as usize * 1_216 - 100];
    let (place, mut seen) = (Stage::place_of_client(client), 0);
    stage.rule("some slices come through", Effect::Lose, move |passing| {
        seen += u64::from(passing.from == place && passing.kind() == "ingress");
        passing.from == place && seen > passed
    });
    send(&mut stage, client, &payload)?;
    stage.run(2 * MILLI)?;
    if client_dies {
        stage.crash_client(client);
    }
    stage.power_off(leader);
    stage.heal_all();
    let within = 12 * stage.election_timeout();
    stage.until("the others elect", within, Stage::is_settled)?;
    stage.start(leader)?;
    if !client_dies {
        answered(&mut stage, client, 2, 5 * SECOND)?;
        check_replies(&mut stage, client)?;
    }
    stage.run(SECOND / 2)?;
    stage.until_level(within)?;
    let frames = stage.log_frames(leader);
    let copies = frames
        .iter()
        .filter(|frame| matches!(frame.body, Body::Message { .. }) && frame.payload == payload);
    let copies = copies.count();
    // A message that came through whole may have been committed before the leader died; then the
    // client's second copy of it has no effect, and may stand in the log.
    let whole = passed >= SLICES;
    let expected = if client_dies { 0 } else { 1 };
    let sound = copies == expected || (whole && copies <= expected + 1);
    stage.check(sound, || {
        format!("after {passed} slices, client gone {client_dies}: it is there {copies} times")
    })
}

pub(super) fn cl_23(trial: &mut Trial<'_>) -> Verdict {
    for step in (0..=12).step_by(trial.times(4, 1, 1) as usize) {
        for crash in [false, true] {
            let mut stage = trial.stage_of(Options::members(3), trial.seed().wrapping_add(step));
            let leader = stage.settle()?;
            let client: ClientNumber = stage.client();
            stage.request(client, &add(1))?;
            stage.run(100 * MILLI)?;
            send(&mut stage, client, &add(2))?;
            datagrams(&mut stage, step as usize)?;
            if crash {
                stage.kill(leader)
            } else {
                stage.shut_down(leader)
            }
            answered(&mut stage, client, 2, 10 * SECOND)?;
            check_replies(&mut stage, client)?;
            let moved =
                move |stage: &Stage<'_>| stage.is_settled() && stage.leader() != Some(leader);
            let within = 12 * stage.election_timeout();
            stage.until("another leads", within, moved)?;
            check_sum(&mut stage, client, 3)?;
        }
    }
    Ok(())
}
