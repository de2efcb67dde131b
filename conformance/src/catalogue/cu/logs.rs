//! Cases about what becomes of logs: across elections, restarts, and beside live data.

use quorate_core::{Position, Role};

use super::super::sn_fetches::purging;
use super::reads;
use super::sources::{FarBehind, small_windows};
use crate::case::Verdict;
use crate::stage::{Effect, MILLI, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

pub(super) fn cu_07(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(1, 10, 200) {
        let mut far = FarBehind::new(trial, 3, 180, trial.seed().wrapping_add(round))?;
        let clients = far.clients.clone();
        far.stage.heal_all();
        // It comes to the end of the log while that moves on.
        far.stage.offer(&clients, 700, MILLI / 4, 60 * MILLI)?;
        far.even_out()?;
        let answered = far.stage.is_answered(&clients);
        far.stage.check(answered, || "not every message was answered once, in order".into())?;
    }
    Ok(())
}

pub(super) fn cu_08(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(small_windows(3));
    let leader = stage.settle()?;
    let client = stage.connected_clients(1)?[0];
    stage.request(client, b"committed")?;
    stage.even_out()?;
    let others: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
    let committed = stage.view(leader).commit;
    others.iter().for_each(|other| stage.power_off(*other));
    stage.submit(client, b"on one disk").map_err(|reject| {
        crate::case::Failure::broken(format!("a client refuses a message: {reject}"))
    })?;
    stage.until("it is durable at the leader", stage.election_timeout(), |stage| {
        stage.view(leader).durable > committed
    })?;
    stage.power_off(leader);
    stage.start(leader)?;
    let durable = stage.view(leader).verified;
    stage.check(durable > committed, || "the tail is lost".into())?;
    let alone = 3 * stage.election_timeout();
    stage.always("nothing of the tail is applied", alone, |stage| {
        stage.view(leader).applied <= committed && stage.view(leader).commit <= committed
    })?;
    others.iter().try_for_each(|other| stage.start(*other))?;
    stage.until_level(8 * SECOND)
}

pub(super) fn cu_09(trial: &mut Trial<'_>) -> Verdict {
    let steps = trial.times(1, 4, 16);
    for step in 0..steps {
        let mut far = FarBehind::new(trial, 5, 180, trial.seed().wrapping_add(step))?;
        let (behind, leader) = (far.behind, far.leader);
        let goal = far.stage.view(behind).received.plus(far.lag() * (step + 1) / (steps + 1));
        far.stage.heal_all();
        far.stage.until("a part of it is there", 2 * SECOND, |stage| {
            stage.view(behind).received >= goal
        })?;
        let had = far.stage.view(behind).verified;
        far.stage.power_off(leader);
        let within = 8 * far.stage.election_timeout();
        far.stage.until("another leads", within, |stage| stage.leader().is_some())?;
        let kept = far.stage.view(behind).verified;
        far.stage.check(kept >= had, || format!("it had {had}, and then {kept}"))?;
        far.stage.start(leader)?;
        far.stage.until_level(8 * SECOND)?;
    }
    Ok(())
}

pub(super) fn cu_11(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(small_windows(3));
    let former = stage.settle()?;
    let clients = stage.connected_clients(2)?;
    stage.request(clients[0], b"committed")?;
    stage.even_out()?;
    let (committed, others) = (stage.view(former).commit, stage.other_than(former));
    stage.isolate(former);
    for number in 0..40_u8 {
        let _ = stage.submit(clients[0], &[number; 1_000]);
    }
    stage.until("it has a long tail", 4 * stage.election_timeout(), |stage| {
        stage.view(former).verified.since(committed) >= 32 << 10
    })?;
    stage.until("another leads", 8 * stage.election_timeout(), |stage| {
        stage.numbers().any(|member| member != former && stage.view(member).serving)
    })?;
    let kept = stage.view(others).commit;
    stage.check(kept >= committed, || format!("{kept} is committed, {committed} was"))?;
    stage.heal_all();
    stage.until_level(8 * SECOND)?;
    let cuts = stage.counters(former).cuts;
    stage.check(cuts > 0, || "its tail was never cut".into())?;
    stage.request(clients[1], b"afterwards").map(drop)
}

pub(super) fn cu_12(trial: &mut Trial<'_>) -> Verdict {
    let mut far = FarBehind::new(trial, 5, 180, trial.seed())?;
    // Another one falls behind with it: three of five have all that is committed from now on.
    let second = far.others()[0];
    far.stage.isolate(second);
    let clients = far.clients.clone();
    far.stage.pour(&clients, 120, 1_500, 60 * SECOND)?;
    let committed = far.stage.view(far.leader).commit;
    far.stage.heal_all();
    let all: Vec<u16> = far.stage.numbers().collect();
    all.iter().for_each(|member| far.stage.power_off(*member));
    let absent = far.leader;
    for member in all.iter().filter(|member| **member != absent) {
        far.stage.start(*member)?;
    }
    let within = 16 * far.stage.election_timeout();
    far.stage.until("one leads", within, |stage| stage.leader().is_some())?;
    let leader = far.stage.leader().unwrap_or_default();
    let commit = far.stage.view(leader).verified;
    far.stage.check(commit >= committed, || format!("of {committed} it has {commit}"))?;
    far.stage.start(absent)?;
    far.stage.until_level(8 * SECOND)
}

pub(super) fn cu_14(trial: &mut Trial<'_>) -> Verdict {
    // With logs that lose their beginning as well, where the subject has such.
    let purges = trial.needs(Feature::Purging).is_ok();
    let all = [(true, false), (false, false), (true, true), (false, true)];
    for (is_empty, purges) in all.into_iter().filter(|(_, wanted)| purges || !wanted) {
        let options = if purges { purging(3, 0) } else { small_windows(3) };
        let mut stage = trial.stage(options);
        let members: &[u16] = if is_empty { &[1, 2] } else { &[1, 2, 3] };
        members.iter().try_for_each(|member| stage.start(*member))?;
        let settled = |stage: &Stage<'_>| stage.is_settled_among(members);
        stage.until("they follow one", 16 * SECOND, settled)?;
        let clients = stage.connected_clients(1)?;
        stage.pour(&clients, 20, 1_500, 8 * SECOND)?;
        if !is_empty {
            stage.power_off(3);
        }
        for _ in 0..3 {
            // Each gives the lead to the other, in a term of its own.
            stage.until("one of the two leads", 16 * SECOND, |stage| {
                stage.is_settled_among(&[1, 2])
            })?;
            stage.pour(&clients, 60, 1_500, 8 * SECOND)?;
            let leads = if stage.view(1).serving { 1 } else { 2 };
            stage.transfer(leads, Some(3 - leads));
            let within = 8 * stage.election_timeout();
            stage.until("the other leads", within, |stage| stage.view(3 - leads).serving)?;
        }
        stage.start(3)?;
        let empty = stage.view(3).verified == Position::ZERO;
        stage.check(empty == is_empty, || "its log is not what it should be".into())?;
        stage.until_level(8 * SECOND)?;
        let renewals = stage.renewals();
        stage.check(renewals == u64::from(purges), || format!("{renewals} snapshots came"))?;
    }
    Ok(())
}

/// A member is behind by more than a window, the leader dies, and of the two that are left the one
/// with the log does not stand at first.
pub(super) fn cu_15(trial: &mut Trial<'_>) -> Verdict {
    reads::are_answered_by_their_level()?;
    let mut far = FarBehind::new(trial, 3, 180, trial.seed())?;
    let (behind, third) = (far.behind, far.others()[0]);
    let stage = &mut far.stage;
    stage.heal_all();
    let place = Stage::place_of(behind);
    let starved = stage.rule("it catches up with nothing", Effect::Lose, move |passing| {
        passing.is_log_data() && passing.to == place
    });
    let mute = stage.rule("the third does not stand", Effect::Lose, move |passing| {
        let stands = matches!(passing.kind(), "canvass" | "request_vote");
        stands && passing.from == Stage::place_of(third)
    });
    stage.run(2 * stage.heartbeat())?;
    stage.power_off(far.leader);
    let long = 6 * stage.election_timeout();
    stage.always("nobody leads who lacks the log", long, |stage| {
        stage.view(behind).role != Role::Leader
    })?;
    stage.remove_rule(mute);
    stage.until("the other leads with its vote", 8 * stage.election_timeout(), |stage| {
        stage.view(third).role == Role::Leader
    })?;
    let granted = stage.disk(behind, |disk| disk.vote().granted_to.map(|member| member.0));
    let has = [behind, third].map(|member| stage.view(member).verified);
    stage.check(granted == Some(third) && has[0] < has[1], || {
        format!("its vote is for {granted:?}; they have {has:?}")
    })?;
    stage.remove_rule(starved);
    stage.start(far.leader)?;
    stage.until_level(8 * SECOND)
}

pub(super) fn cu_16(trial: &mut Trial<'_>) -> Verdict {
    let mut far = FarBehind::new(trial, 5, 180, trial.seed())?;
    let leader = far.leader;
    far.stage.power_off(leader);
    far.stage.heal_all();
    let others: Vec<u16> = far.stage.numbers().filter(|member| *member != leader).collect();
    let within = 16 * far.stage.election_timeout();
    far.stage.until("all that run are level", within, |stage| {
        stage.is_settled_among(&others) && stage.is_level(&others)
    })
}
