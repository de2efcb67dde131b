//! Time: deadlines, clocks that err, long pauses.

use super::{answered, flood, settled_with_client};
use crate::case::Verdict;
use crate::stage::{Effect, MICRO, MILLI, Options, SECOND, Stage};
use crate::trial::Trial;

pub(super) fn ad_10(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let (leader, _) = settled_with_client(&mut stage)?;
    let follower = stage.other_than(leader);
    stage.run(SECOND)?;
    // Idle, a leader's deadlines are its heartbeats: never early, and in virtual time never late.
    let begun = stage.now();
    stage.run(SECOND)?;
    let link = (Stage::place_of(leader), Stage::place_of(follower));
    let sent = stage.sightings().iter();
    let beats = sent.filter(|sent| {
        (sent.from, sent.to) == link && sent.kind == "heartbeat" && sent.at >= begun
    });
    let times: Vec<u64> = beats.map(|sent| sent.at).collect();
    let interval = stage.heartbeat();
    let wrong = times.windows(2).map(|pair| pair[1] - pair[0]).find(|gap| *gap != interval);
    stage.check(wrong.is_none(), || format!("two heartbeats are {wrong:?} ns apart"))?;
    stage.check(times.len() >= 49, || format!("{} heartbeats in a second", times.len()))?;
    // A deadline that is moved again and again is not served: nobody canvasses.
    let canvasses = stage.sent_since(begun, "canvass");
    stage.check(canvasses == 0, || format!("{canvasses} canvasses while a leader was heard"))?;
    // And when it is not moved any more, it is served between the shortest and the longest.
    let last = times.last().copied().unwrap_or_default() + stage.round_trip() / 2;
    stage.kill(leader);
    let (least, most) = (150 * MILLI, stage.election_timeout());
    let canvassed = move |stage: &Stage<'_>| stage.sent_since(last, "canvass") > 0;
    stage.until("a canvass", 2 * most, canvassed)?;
    let waited = stage.now() - last;
    let in_time = waited + stage.round_trip() >= least && waited <= most + interval;
    stage.check(in_time, || format!("somebody canvassed after {} us", waited / MICRO))
}

pub(super) fn ad_11(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let (leader, client) = settled_with_client(&mut stage)?;
    // Late enough that a small error of rate is a jump of a second, fifty heartbeats long.
    stage.run(20 * SECOND)?;
    for member in [leader, stage.other_than(leader)] {
        // In turn it jumps ahead, back, runs fast, and is right again, which is a jump back.
        for millionths in [50_000, -50_000, 1_000, 0] {
            stage.set_clock_error(member, millionths);
            let begun = stage.now();
            flood(&mut stage, client, 3, 300);
            let done = |stage: &Stage<'_>| answered(stage, client) && stage.is_level(&[1, 2, 3]);
            stage.until("all goes on with that clock", 8 * SECOND, done)?;
            let heartbeats = stage.sent_since(begun, "heartbeat") as u64;
            let most = 40 + 4 * (stage.now() - begun) / stage.heartbeat();
            stage.check(heartbeats <= most, || format!("{heartbeats} heartbeats, not {most}"))?;
        }
    }
    Ok(())
}

pub(super) fn ad_27(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let (leader, client) = settled_with_client(&mut stage)?;
    let others: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
    flood(&mut stage, client, 4, 300);
    stage.pause(leader);
    stage.run(30 * SECOND)?;
    let elected = stage.is_settled_among(&others);
    stage.check(elected, || "the others did not elect a leader".into())?;
    let term = stage.view(others[0]).term;
    let resumed = stage.now();
    stage.resume(leader);
    stage.run(stage.heartbeat())?;
    let place = Stage::place_of(leader);
    let sent = stage.sightings().iter();
    let beats = sent.filter(|sent| {
        sent.from == place && sent.at >= resumed && matches!(sent.kind, "heartbeat" | "live")
    });
    // One for each other, not one for each interval that went by.
    let beats = beats.count();
    stage.check(beats <= 2 * others.len(), || format!("it sent {beats} heartbeats at once"))?;
    let serves = stage.view(leader).serving;
    stage.check(!serves, || "it serves, though it heard of another leader".into())?;
    stage.until("it follows", 4 * SECOND, |stage| stage.is_settled())?;
    let after = stage.view(leader).term;
    stage.check(after == term, || format!("its return led to term {after} after {term}"))?;
    stage.until("all is answered", 4 * SECOND, |stage| answered(stage, client))
}

pub(super) fn ad_28(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let (leader, client) = settled_with_client(&mut stage)?;
    let follower = stage.other_than(leader);
    let to_follower = Stage::place_of(follower);
    // Live data is lost for a while: the follower asks for it again.
    let rule = stage.rule("a follower misses live data", Effect::Lose, move |passing| {
        passing.is_live() && passing.to == to_follower
    });
    let taken = flood(&mut stage, client, 10, 2_000) as u64;
    stage.run(50 * MILLI)?;
    let missed = stage.remove_rule(rule);
    stage.check(missed > 0, || "nothing was lost".into())?;
    let done = |stage: &Stage<'_>| answered(stage, client) && stage.is_level(&[1, 2, 3]);
    stage.until("all is answered and everywhere", 4 * SECOND, done)?;
    let (lead, follow) = (*stage.counters(leader), *stage.counters(follower));
    let moved = [
        ("elections won", lead.elections_won, 1),
        ("canvasses of the leader", lead.canvasses, 1),
        ("messages appended", lead.messages_appended, taken),
        ("messages applied by the leader", lead.messages_applied, taken),
        ("messages applied by a follower", follow.messages_applied, taken),
        ("NAKs received", lead.naks_received, 1),
        ("repairs sent", lead.repairs_sent, 1),
        ("repair bytes", lead.repair_bytes_sent, lead.repairs_sent),
        ("NAKs sent", follow.naks_sent, 1),
        ("ranges in them", follow.nak_ranges_sent, follow.naks_sent),
    ];
    for (name, found, least) in moved {
        stage.check(found >= least, || format!("{name}: {found}, not {least} at least"))?;
    }
    let exact = lead.messages_appended == taken && follow.messages_applied == taken;
    stage.check(exact, || format!("{taken} messages, but {lead:?} and {follow:?}"))
}
