//! Storage: what is durable, what failed, what a crash leaves.

use quorate_core::FailStop;
use quorate_sim::Dice;

use super::{answered, flood, settled_with_client};
use crate::case::{Failure, Verdict};
use crate::edges::{Command, LedgerReply};
use crate::stage::{Effect, MILLI, Options, SECOND, Stage};
use crate::trial::Trial;

/// Small windows, so that what is old is on the disks only.
fn small() -> Options {
    Options::members(3).limits(|limits| {
        limits.window_bytes = 128 << 10;
        limits.uncommitted_bytes_max = 64 << 10;
        limits.unapplied_bytes_max = 64 << 10;
        limits.session_window_bytes = 32 << 10;
        limits.message_bytes_max = 4 << 10;
        limits.read_bytes_max = 32 << 10;
    })
}

pub(super) fn ad_04(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(2, 8, 40) {
        let seed = quorate_core::hash::mix(trial.seed(), round);
        let mut stage = trial.stage_of(Options::members(3), seed);
        let (leader, client) = settled_with_client(&mut stage)?;
        let mut end = 0;
        for value in 1..=5 {
            let write = Command::Write { key: 7, value }.to_bytes();
            end = end.max(stage.request(client, &write)?.position.0);
        }
        let term = stage.view(leader).term;
        // What was answered has to survive that all lose their power at once.
        for member in stage.numbers() {
            stage.power_off(member);
        }
        stage.settle()?;
        for member in stage.numbers() {
            let view = *stage.view(member);
            let kept = view.commit.0 > end && view.term > term;
            stage.check(kept, || format!("member {member} lost what was answered: {view:?}"))?;
        }
        let reader = stage.client();
        let reply = stage.request(reader, &Command::Read { key: 7 }.to_bytes())?;
        let value = LedgerReply::parse(&reply.bytes).map(|reply| reply.value);
        stage.check(value == Some(5), || format!("the register is {value:?} after the crash"))?;
    }
    Ok(())
}

/// A way to a member that waits for this kind of operation, and the member.
fn waiting_for(stage: &mut Stage<'_>, kind: &'static str) -> Result<u16, Failure> {
    let (leader, client) = settled_with_client(stage)?;
    let member = stage.other_than(leader);
    // Who is to wait: anybody writes for itself, and who does not lead reads for another.
    let third = stage.numbers().find(|other| ![leader, member].contains(other)).unwrap_or(1);
    let broken = if kind == "read" { third } else { member };
    stage.hold(broken, kind);
    match kind {
        "vote" | "history" => stage.power_off(leader),
        "read" => {
            // A member that was away asks for what is on disks only.
            stage.isolate(member);
            for _ in 0..80 {
                flood(stage, client, 8, 4_000);
                stage.run(5 * MILLI)?;
            }
            stage.until("all is answered", 4 * SECOND, |stage| answered(stage, client))?;
            stage.heal_all();
        }
        _ => {
            flood(stage, client, 4, 400);
        }
    }
    let waits = |stage: &Stage<'_>| !stage.held(broken, kind).is_empty();
    stage.until(&format!("an operation for {kind}"), 8 * SECOND, waits)?;
    Ok(broken)
}

pub(super) fn ad_06(trial: &mut Trial<'_>) -> Verdict {
    for kind in ["sync", "vote", "history", "peers", "read"] {
        let mut stage = trial.stage(small());
        let broken = waiting_for(&mut stage, kind)?;
        let at = stage.now();
        stage.break_storage(broken, "input/output error");
        let inert = |stage: &Stage<'_>| stage.stopped(broken).is_some();
        stage.until(&format!("it is inert when {kind} fails"), MILLI, inert)?;
        let reason = stage.view(broken).fail_stop;
        let right = reason == Some(FailStop::StorageFailed);
        stage.check(right, || format!("{kind} failed, and its reason is {reason:?}"))?;
        stage.run(SECOND)?;
        let place = Stage::place_of(broken);
        let later = stage.sightings().iter().filter(|sent| sent.from == place && sent.at > at);
        let later = later.count();
        stage.check(later == 0, || format!("it sent {later} datagrams after {kind} failed"))?;
        stage.power_off(broken);
        stage.heal_all();
        stage.settle()?;
        stage.until("all are level", 8 * SECOND, |stage| stage.is_level(&[1, 2, 3]))?;
    }
    full(trial)
}

/// A disk without space is no broken one: the member goes on when there is some.
fn full(trial: &Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let (leader, client) = settled_with_client(&mut stage)?;
    let follower = stage.other_than(leader);
    stage.set_full(follower, true);
    flood(&mut stage, client, 8, 2_000);
    stage.until("the others answer", 2 * SECOND, |stage| answered(stage, client))?;
    let alive = stage.stopped(follower).is_none();
    stage.check(alive, || "a full disk made it inert".into())?;
    stage.set_full(follower, false);
    stage.until("all are level", 8 * SECOND, |stage| stage.is_level(&[1, 2, 3]))
}

pub(super) fn ad_07(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(small());
    let (leader, client) = settled_with_client(&mut stage)?;
    let away = stage.other_than(leader);
    stage.isolate(away);
    for _ in 0..80 {
        flood(&mut stage, client, 8, 4_000);
        stage.run(5 * MILLI)?;
    }
    stage.until("all is answered", 4 * SECOND, |stage| answered(stage, client))?;
    let reads =
        |stage: &Stage<'_>| stage.asked(leader).iter().filter(|(_, kind)| *kind == "read").count();
    let before = reads(&stage);
    // While the leader reads, it also appends, and waits for its disk.
    stage.heal_all();
    let place = Stage::place_of(leader);
    stage.rule("nobody but the leader repairs", Effect::Lose, move |passing| {
        passing.is_repair() && passing.from != place
    });
    stage.hold(leader, "sync");
    flood(&mut stage, client, 8, 4_000);
    stage.run(100 * MILLI)?;
    stage.release(leader, "sync");
    stage.until("all are level", 8 * SECOND, |stage| stage.is_level(&[1, 2, 3]))?;
    let during = reads(&stage) - before;
    stage.check(during > 0, || "nothing was read: it came from memory".into())?;
    let rejected = stage.counters(away).frames_rejected;
    stage.check(rejected == 0, || format!("{rejected} frames came damaged"))
}

pub(super) fn ad_08(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(4, 16, 100) {
        let seed = quorate_core::hash::mix(trial.seed(), round);
        let mut dice = Dice::new(seed, "crash");
        let mut stage = trial.stage_of(Options::members(3), seed);
        let (leader, client) = settled_with_client(&mut stage)?;
        // A tail that only the leader has: the others elect one of them, and write another.
        stage.isolate(leader);
        flood(&mut stage, client, 8, 700);
        let others: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
        let elected = |stage: &Stage<'_>| stage.is_settled_among(&others);
        stage.until("the others elect a leader", 8 * SECOND, elected)?;
        stage.until("all is answered", 8 * SECOND, |stage| answered(stage, client))?;
        stage.heal_all();
        // It adopts the new history, cuts, and appends, in a few milliseconds from its next
        // heartbeat on; the power fails anywhere in there.
        stage.run(dice.between(0, 25 * MILLI))?;
        stage.power_off(leader);
        stage.start(leader)?;
        stage.run(dice.between(0, 3 * MILLI))?;
        stage.power_off(leader);
        stage.start(leader)?;
        stage.until("all are level", 8 * SECOND, |stage| stage.is_level(&[1, 2, 3]))?;
    }
    Ok(())
}

pub(super) fn ad_09(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(4, 16, 100) {
        let seed = quorate_core::hash::mix(trial.seed(), round);
        let mut dice = Dice::new(seed, "crash");
        let mut stage = trial.stage_of(Options::members(3), seed);
        let (leader, _) = settled_with_client(&mut stage)?;
        let member = stage.other_than(leader);
        let before = stage.view(member).vote;
        // Votes and histories are replaced; one of them is under way when the power fails.
        let kind = dice.pick(&["vote", "history", "peers"]);
        stage.hold(member, kind);
        stage.power_off(leader);
        stage.run(dice.between(0, 3 * stage.election_timeout()))?;
        let asked = stage.view(member).vote;
        stage.power_off(member);
        stage.start(member)?;
        let found = stage.view(member).vote;
        let legal = found.term >= before.term && found.term <= asked.term.max(before.term);
        stage.check(legal, || format!("its vote was {before:?}, then {asked:?}, now {found:?}"))?;
        stage.settle()?;
    }
    Ok(())
}
