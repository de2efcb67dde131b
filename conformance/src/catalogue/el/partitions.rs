//! Groups whose links are cut in part.

use quorate_core::Role;
use quorate_sim::Dice;

use crate::case::Verdict;
use crate::stage::{ClientNumber, Options, Stage};
use crate::trial::Trial;

fn others(stage: &Stage<'_>, leader: u16) -> Vec<u16> {
    stage.numbers().filter(|member| *member != leader).collect()
}

/// Lets time pass until one of `members` leads and serves; which one.
fn until_led(
    stage: &mut Stage<'_>,
    members: &[u16],
    within: u64,
) -> Result<u16, crate::case::Failure> {
    let serves =
        |stage: &Stage<'_>| members.iter().copied().find(|member| stage.view(*member).serving);
    let what = format!("one of {members:?} serves");
    stage.until(&what, within, |stage| serves(stage).is_some())?;
    Ok(serves(stage).unwrap_or_default())
}

pub(super) fn el_09(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let term = stage.view(leader).term;
    let away = stage.other_than(leader);
    stage.isolate(away);
    stage.run(100 * stage.election_timeout())?;
    stage.heal_all();
    let back = 4 * stage.election_timeout();
    stage.until("the member that was away follows again", back, |stage| stage.is_settled())?;
    let same = stage.leader() == Some(leader) && stage.view(leader).term == term;
    stage.check(same, || format!("member {leader} led {term} before"))
}

pub(super) fn el_10(trial: &mut Trial<'_>) -> Verdict {
    for repetition in 0..trial.times(4, 40, 1_000) {
        let members = if repetition % 2 == 0 { 3 } else { 5 };
        let seed = trial.seed() + repetition;
        let mut stage = trial.stage_of(Options::members(members), seed);
        let mut dice = Dice::new(seed, "cohorts");
        let old = stage.settle()?;
        let client = stage.client();
        stage.request(client, b"known to all")?;
        // The old leader goes on alone: more bytes, of a lower term.
        stage.isolate(old);
        for _ in 0..1 + dice.below(8) {
            let _ = stage.submit(client, &[7; 900]);
        }
        let te = stage.election_timeout();
        let others = others(&stage, old);
        let new = until_led(&mut stage, &others, 4 * te)?;
        stage.run(dice.below(2 * stage.heartbeat()))?;
        // Its successor goes: those who are left have a shorter log of a newer term.
        stage.kill(new);
        stage.heal_all();
        let left: Vec<u16> = stage.numbers().filter(|member| *member != new).collect();
        stage.until("the cohorts agree on a leader", 10 * te, |s| s.is_settled_among(&left))?;
        stage.request(client, b"and it serves")?;
    }
    Ok(())
}

pub(super) fn el_15(trial: &mut Trial<'_>) -> Verdict {
    for repetition in 0..trial.times(1, 4, 40) {
        let mut stage = trial.stage_of(Options::members(5), trial.seed() + repetition);
        let old = stage.settle()?;
        let bridge = stage.other_than(old);
        let ends: Vec<u16> = stage.numbers().filter(|member| *member != bridge).collect();
        for (index, end) in ends.iter().enumerate() {
            stage.part(&[*end], &ends[index + 1..]);
        }
        let te = stage.election_timeout();
        let what = "the leader that hears the bridge only gives up, and the bridge leads";
        let all: Vec<u16> = stage.numbers().collect();
        stage.until(what, 4 * te, |s| s.view(bridge).serving && s.is_settled_among(&all))?;
        let what = "the bridge leads, and nobody else";
        let term = stage.view(bridge).term;
        stage.always(what, trial.times(10, 50, 50) * te, |stage| {
            all.iter().all(|member| stage.view(*member).term == term)
                && stage.leader() == Some(bridge)
        })?;
    }
    Ok(())
}

pub(super) fn el_16(trial: &mut Trial<'_>) -> Verdict {
    for repetition in 0..trial.times(2, 10, 100) {
        let mut stage = trial.stage_of(Options::members(5), trial.seed() + repetition);
        let old = stage.settle()?;
        let client = stage.client();
        stage.request(client, b"before")?;
        let hub = stage.other_than(old);
        // The hub misses the newest frames.
        stage.isolate(hub);
        for _ in 0..8 {
            stage.request(client, &[9; 700])?;
        }
        let lag = stage.view(hub).verified < stage.view(old).commit;
        stage.check(lag, || "the hub should lag".into())?;
        // Now it alone reaches a quorum, and the leader reaches nobody.
        stage.heal_all();
        stage.isolate(old);
        let ends: Vec<u16> =
            stage.numbers().filter(|member| *member != old && *member != hub).collect();
        for (index, end) in ends.iter().enumerate() {
            stage.part(&[*end], &ends[index + 1..]);
        }
        let (begun, te) = (stage.now(), stage.election_timeout());
        let led = until_led(&mut stage, &[hub], 6 * te)?;
        let left = (begun + 6 * te).saturating_sub(stage.now());
        let committed = stage.view(led).commit;
        let _ = stage.submit(client, b"after");
        stage.until("the hub commits on", left, |stage| stage.view(hub).commit > committed)?;
    }
    Ok(())
}

pub(super) fn el_17(trial: &mut Trial<'_>) -> Verdict {
    // Which link of the three is cut: of the leader to either of the others, or between those.
    for cut in 0..3 {
        let mut stage = trial.stage_of(Options::members(3), trial.seed() + cut);
        let leader = stage.settle()?;
        let client = stage.client();
        stage.request(client, b"before")?;
        let others = others(&stage, leader);
        match cut {
            0 => stage.part(&[leader], &others[..1]),
            1 => stage.part(&[leader], &others[1..]),
            _ => stage.part(&others[..1], &others[1..]),
        }
        let te = stage.election_timeout();
        stage.load(client, te / 8, 4 * te)?;
        let (settled, first) = (stage.elections(), stage.submitted(client).len());
        stage.load(client, te / 8, trial.times(8, 96, 96) * te)?;
        stage.run(te)?;
        let changes = stage.elections() - settled;
        stage.check(changes <= 2, || format!("{changes} changes of leader in a chain"))?;
        let submitted: Vec<u64> =
            stage.submitted(client)[first..].iter().map(|(at, _)| *at).collect();
        let in_time = |(index, at): (usize, &u64)| {
            let sequence = (first + index) as u64 + 1;
            let replies = stage.replies(client).iter();
            replies.filter(|r| r.sequence == sequence).any(|reply| reply.at <= at + te)
        };
        let answered = submitted.iter().enumerate().filter(|(i, at)| in_time((*i, at))).count();
        let asked = submitted.len();
        stage.check(answered * 100 >= asked * 95, || {
            format!("only {answered} of {asked} messages were answered within a time-out")
        })?;
    }
    Ok(())
}

pub(super) fn el_18(trial: &mut Trial<'_>) -> Verdict {
    for repetition in 0..trial.times(1, 5, 50) {
        for members in [3, 5] {
            for hears in [false, true] {
                leader_with_one_way(trial, members, hears, repetition)?;
                follower_with_one_way(trial, members, hears, repetition)?;
            }
        }
    }
    Ok(())
}

/// Cuts all links to a member, or all from it.
fn cut_one_way(stage: &mut Stage<'_>, member: u16, hears: bool) {
    for other in others(stage, member) {
        if hears { stage.cut(member, other) } else { stage.cut(other, member) }
    }
}

fn leader_with_one_way(trial: &Trial<'_>, members: usize, hears: bool, seed: u64) -> Verdict {
    let mut stage = trial.stage_of(Options::members(members), trial.seed() + seed);
    let leader = stage.settle()?;
    let client = stage.client();
    stage.request(client, b"before")?;
    cut_one_way(&mut stage, leader, hears);
    let (begun, te) = (stage.now(), stage.election_timeout());
    stage.until("the leader steps down", te, |s| s.view(leader).role != Role::Leader)?;
    let others = others(&stage, leader);
    let left = (begun + 4 * te).saturating_sub(stage.now());
    until_led(&mut stage, &others, left)?;
    stage.request(client, b"after")?;
    Ok(())
}

fn follower_with_one_way(trial: &Trial<'_>, members: usize, hears: bool, seed: u64) -> Verdict {
    let mut stage = trial.stage_of(Options::members(members), trial.seed() + seed);
    let leader = stage.settle()?;
    let (client, term) = (stage.client(), stage.view(leader).term);
    let follower = stage.other_than(leader);
    cut_one_way(&mut stage, follower, hears);
    let te = stage.election_timeout();
    stage.always("the leader and its term stay", 10 * te, |stage| {
        stage.leader() == Some(leader) && stage.view(leader).term == term
    })?;
    stage.request(client, b"meanwhile")?;
    stage.heal_all();
    stage.until("the follower is back in the same term", 4 * te, |stage| {
        stage.is_settled() && stage.view(leader).term == term
    })
}

pub(super) fn el_19(trial: &mut Trial<'_>) -> Verdict {
    for members in [2, 3, 5, 7] {
        let mut stage = trial.stage(Options::members(members));
        let leader = stage.settle()?;
        stage.run(2 * stage.election_timeout())?;
        stage.isolate(leader);
        let te = stage.election_timeout();
        stage.until("the leader steps down", te, |s| s.view(leader).role != Role::Leader)?;
        stage.always("it does not lead again alone", 4 * te, |stage| {
            stage.view(leader).role != Role::Leader
        })?;
    }
    Ok(())
}

pub(super) fn el_21(trial: &mut Trial<'_>) -> Verdict {
    for repetition in 0..trial.times(1, 2, 20) {
        let seed = trial.seed() + repetition;
        let members = if repetition % 2 == 0 { 3 } else { 5 };
        let mut stage = trial.stage_of(Options::members(members), seed);
        let mut dice = Dice::new(seed, "links");
        let leader = stage.settle()?;
        let (client, term) = (stage.client(), stage.view(leader).term.0);
        let te = stage.election_timeout();
        let time_outs = trial.times(25, 100, 100);
        for _ in 0..4 * time_outs {
            // Each link goes down or up several times within a time-out.
            for (one, other) in links(members as u16) {
                if dice.below(2) == 0 {
                    stage.part(&[one], &[other]);
                } else {
                    stage.heal(one, other);
                    stage.heal(other, one);
                }
            }
            stage.load(client, te / 8, te / 4)?;
        }
        let highest = stage.numbers().map(|member| stage.view(member).term.0).max();
        let grown = highest.unwrap_or_default() - term;
        stage.check(grown <= time_outs, || {
            format!("terms rose by {grown} in {time_outs} election time-outs")
        })?;
        stage.heal_all();
        let commit = highest_commit(&stage);
        let progress = |stage: &Stage<'_>| highest_commit(stage) > commit && stage.is_settled();
        let _ = stage.submit(ClientNumber(1), b"calm");
        stage.until("progress in the calm", 4 * te, progress)?;
    }
    Ok(())
}

fn links(members: u16) -> impl Iterator<Item = (u16, u16)> {
    (1..=members).flat_map(move |one| (one + 1..=members).map(move |other| (one, other)))
}

fn highest_commit(stage: &Stage<'_>) -> u64 {
    stage.numbers().map(|member| stage.view(member).commit.0).max().unwrap_or_default()
}
