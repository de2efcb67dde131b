//! Leadership that is handed over, and members that let others go first.

use quorate_core::{Chain, Message, Position, Role};

use crate::case::{Failure, Verdict};
use crate::stage::{ClientNumber, Effect, MILLI, Options, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// A group of three that is level, with its leader, another member, and a client with a reply.
fn three<'a>(trial: &Trial<'a>, salt: u64) -> Result<(Stage<'a>, u16, u16, ClientNumber), Failure> {
    let mut stage = trial.stage_of(Options::members(3), trial.seed() + salt);
    let leader = stage.settle()?;
    let client = stage.client();
    stage.request(client, b"before")?;
    let target = stage.other_than(leader);
    stage.until("all are level", stage.election_timeout(), |s| s.is_level(&[1, 2, 3]))?;
    Ok((stage, leader, target, client))
}

/// Who leads by a transfer, or why it was refused: known within two election time-outs.
fn outcome(stage: &mut Stage<'_>, request: u64) -> Result<Result<u16, String>, Failure> {
    let within = 2 * stage.election_timeout() + MILLI;
    let what = format!("request {request} is answered");
    stage.until(&what, within, |stage| stage.handed_over(request).is_some())?;
    let found = stage.handed_over(request).cloned().unwrap_or_default();
    Ok(found.leader.ok_or_else(|| found.refused.unwrap_or_default()))
}

fn is_done(stage: &mut Stage<'_>, request: u64, target: u16) -> Verdict {
    let outcome = outcome(stage, request)?;
    stage.check(outcome == Ok(target), || format!("{outcome:?}, and {target} should lead"))?;
    let te = stage.election_timeout();
    stage.until("the target serves", te, |s| s.leader() == Some(target) && s.view(target).serving)
}

fn is_refused(stage: &mut Stage<'_>, request: u64, reasons: &[&str]) -> Verdict {
    let outcome = outcome(stage, request)?;
    let listed = outcome.as_ref().is_err_and(|reason| reasons.contains(&reason.as_str()));
    stage.check(listed, || format!("{outcome:?}, and it should be refused as {reasons:?}"))
}

/// A message is answered soon: nothing of a transfer is left behind.
fn serves(stage: &mut Stage<'_>, client: ClientNumber) -> Verdict {
    let (begun, te) = (stage.now(), stage.election_timeout());
    stage.request(client, b"afterwards")?;
    let took = stage.now() - begun;
    stage.check(took <= 4 * te, || format!("the next answer took {} ms", took / MILLI))
}

pub(super) fn el_24(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::Transfer)?;
    for repetition in 0..trial.times(2, 8, 60) {
        hands_over(trial, repetition)?;
        refuses_at_once(trial, repetition)?;
        target_is_down(trial, repetition)?;
        target_is_behind(trial, repetition)?;
        leader_is_deposed(trial, repetition)?;
        heartbeat_is_late(trial, repetition)?;
        trial.count("rounds of transfers", 1);
    }
    Ok(())
}

/// Under load: the target leads, and no message is lost or refused.
fn hands_over(trial: &Trial<'_>, salt: u64) -> Verdict {
    let (mut stage, leader, target, client) = three(trial, salt)?;
    for _ in 0..8 {
        let _ = stage.submit(client, &[4; 900]);
    }
    let begun = stage.now();
    let request = stage.transfer(leader, Some(target));
    stage.run(MILLI / 4)?;
    for _ in 0..8 {
        let _ = stage.submit(client, &[5; 900]);
    }
    is_done(&mut stage, request, target)?;
    let (took, te) = (stage.now() - begun, stage.election_timeout());
    // Nobody waited for the silence of the old leader.
    stage.check(3 * took < te, || format!("it took {} ms", took / MILLI))?;
    stage.until("all messages are answered", 4 * te, |s| s.replies(client).len() == 17)?;
    // Without a name somebody else gets it.
    let request = stage.transfer(target, None);
    let outcome = outcome(&mut stage, request)?;
    stage.check(outcome.as_ref().is_ok_and(|new| *new != target), || format!("{outcome:?}"))?;
    serves(&mut stage, client)
}

fn refuses_at_once(trial: &Trial<'_>, salt: u64) -> Verdict {
    let (mut stage, leader, other, client) = three(trial, salt)?;
    let term = stage.view(leader).term;
    for (member, target, reason) in [
        (leader, Some(leader), "target_is_leader"),
        (leader, Some(9), "unknown_target"),
        (other, Some(leader), "not_leading"),
        (other, None, "not_leading"),
    ] {
        let request = stage.transfer(member, target);
        stage.run(MILLI)?;
        let known = stage.handed_over(request).is_some();
        stage.check(known, || format!("`{reason}` is not said at once"))?;
        is_refused(&mut stage, request, &[reason])?;
    }
    stage.check(stage.view(leader).term == term, || "a refusal changed the term".into())?;
    // A second one while one runs; the first goes on.
    stage.isolate(other);
    stage.request(client, b"more")?;
    let first = stage.transfer(leader, Some(other));
    let second = stage.transfer(leader, None);
    stage.run(MILLI)?;
    is_refused(&mut stage, second, &["under_way"])?;
    stage.heal_all();
    is_done(&mut stage, first, other)?;
    serves(&mut stage, client)
}

fn target_is_down(trial: &Trial<'_>, salt: u64) -> Verdict {
    let (mut stage, leader, target, client) = three(trial, salt)?;
    stage.kill(target);
    if salt.is_multiple_of(2) {
        stage.request(client, b"which the target lacks")?;
    }
    let request = stage.transfer(leader, Some(target));
    is_refused(&mut stage, request, &["target_behind", "not_elected"])?;
    stage.check(stage.leader() == Some(leader), || "the leader is another".into())?;
    serves(&mut stage, client)?;
    stage.start(target)?;
    stage.until("all are level", 8 * stage.election_timeout(), Stage::is_settled)
}

/// Nobody is told to campaign who lacks bytes; who gets them in time leads.
fn target_is_behind(trial: &Trial<'_>, salt: u64) -> Verdict {
    let (mut stage, leader, target, client) = three(trial, salt)?;
    stage.isolate(target);
    for _ in 0..4 {
        stage.request(client, &[6; 8_000])?;
    }
    // What is asked for has a long way.
    stage.heal_all();
    let place = Stage::place_of(target);
    stage.rule("data to the target is slow", Effect::Delay(20 * MILLI), move |passing| {
        passing.to == place && matches!(passing.kind(), "repair" | "live")
    });
    let begun = stage.now();
    let request = stage.transfer(leader, Some(target));
    stage.run(10 * MILLI)?;
    let told = stage.sent_since(begun, "campaign");
    stage.check(told == 0, || "the target is told to campaign before it has all bytes".into())?;
    is_done(&mut stage, request, target)?;
    let (new, old) = (stage.view(target).term.0, stage.view(leader).term.0);
    stage.check(new == old, || format!("terms {new} and {old}"))?;
    serves(&mut stage, client)?;
    // One that does not get them is refused, and the leader serves.
    stage.heal_all();
    let behind = stage.other_than(target);
    stage.isolate(behind);
    stage.request(client, b"which it never gets")?;
    let request = stage.transfer(target, Some(behind));
    is_refused(&mut stage, request, &["target_behind"])?;
    serves(&mut stage, client)
}

/// The leadership ends half-way; who led leads again later, and serves.
fn leader_is_deposed(trial: &Trial<'_>, salt: u64) -> Verdict {
    let (mut stage, leader, target, client) = three(trial, salt)?;
    stage.isolate(target);
    stage.request(client, b"which the target lacks")?;
    let request = stage.transfer(leader, Some(target));
    stage.run(MILLI)?;
    stage.heal_all();
    stage.isolate(leader);
    let te = stage.election_timeout();
    is_refused(&mut stage, request, &["leadership_lost", "target_behind"])?;
    stage.until("another leads", 6 * te, |stage| {
        stage.leader().is_some_and(|new| new != leader && stage.view(new).serving)
    })?;
    let new = stage.leader().unwrap_or_default();
    stage.heal_all();
    stage.until("all follow it", 6 * te, Stage::is_settled)?;
    let request = stage.transfer(new, Some(leader));
    is_done(&mut stage, request, leader)?;
    serves(&mut stage, client)
}

/// The old leader's heartbeats arrive when the target has begun to stand.
fn heartbeat_is_late(trial: &Trial<'_>, salt: u64) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    let (mut stage, leader, target, client) = three(trial, salt)?;
    stage.hold(target, "vote");
    let term = stage.view(leader).term;
    let request = stage.transfer(leader, Some(target));
    stage.until("the target stands", 20 * MILLI, |s| s.view(target).role == Role::Nominee)?;
    let view = *stage.view(leader);
    for round in [1, 1 << 40] {
        let heartbeat = Message::Heartbeat {
            term,
            round,
            newest: view.verified,
            commit: view.commit,
            chain_at: Position::ZERO,
            chain: Chain::default(),
        };
        stage.inject_message(leader, target, &heartbeat);
    }
    stage.run(MILLI)?;
    stage.check(stage.view(target).role == Role::Nominee, || "a heartbeat stopped it".into())?;
    stage.release(target, "vote");
    is_done(&mut stage, request, target)?;
    serves(&mut stage, client)
}

pub(super) fn el_25(trial: &mut Trial<'_>) -> Verdict {
    let te = Options::members(3).timing.election_timeout_max.0;
    for repetition in 0..trial.times(2, 10, 60) {
        let mut options = Options::members(3);
        let delay = 3 * te;
        options.candidacy_delays = vec![0, 0, delay];
        let mut stage = trial.stage_of(options, trial.seed() + repetition);
        let mut leader = stage.settle()?;
        let client = stage.client();
        for _ in 0..3 {
            stage.check(leader != 3, || "member 3 leads, and others could".into())?;
            stage.kill(leader);
            stage.until("another leads", 2 * te, |stage| stage.leader().is_some())?;
            stage.start(leader)?;
            stage.until("all are level", 8 * te, Stage::is_settled)?;
            leader = stage.leader().unwrap_or_default();
        }
        only_complete_one(&mut stage, client, leader, delay)?;
        trial.count("rounds of priorities", 1);
    }
    Ok(())
}

/// Member 3, of the lowest priority, has what the only other one that is left cannot get.
fn only_complete_one(
    stage: &mut Stage<'_>,
    client: ClientNumber,
    leader: u16,
    delay: u64,
) -> Verdict {
    let (te, other) = (stage.election_timeout(), Stage::place_of(3 - leader));
    stage.rule("one gets no byte of the log", Effect::Lose, move |passing| {
        passing.to == other && matches!(passing.kind(), "repair" | "live")
    });
    stage.request(client, b"which two of three have")?;
    let killed = stage.now();
    stage.kill(leader);
    stage.until("the only complete one leads", 10 * te, |stage| {
        stage.view(3).role == Role::Leader
    })?;
    let waited = stage.now() - killed;
    stage.check(waited >= delay, || format!("it waited for {} ms only", waited / MILLI))?;
    stage.heal_all();
    stage.start(leader)?;
    stage.request(client, b"afterwards")?;
    stage.until("all are level", 8 * te, Stage::is_settled)
}
