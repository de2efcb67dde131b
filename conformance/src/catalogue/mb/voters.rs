//! Changes of those who vote.

use quorate_core::{MemberId, MembershipChange, Role};

use super::joining::{add, agree, catches_up, formed, promote};
use crate::case::Verdict;
use crate::stage::{Effect, MILLI, Stage};
use crate::trial::Trial;

fn serves(stage: &Stage<'_>) -> bool {
    stage.leader().is_some_and(|leader| stage.view(leader).serving)
}

pub(super) fn mb_06(trial: &mut Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = formed(trial, 2, 2)?;
    let te = stage.election_timeout();
    add(&mut stage, 3)?;
    add(&mut stage, 4)?;
    let standby = MembershipChange::Promote { member: MemberId(3), standby: true };
    stage.change_until_done(&standby, super::joining::SOON)?;
    agree(&mut stage, &[1, 2, 3, 4], &[1, 2, 3])?;
    // A standby votes and counts: with the leader alone it is two of three.
    let leader = stage.leader().unwrap_or(leader);
    let other = (1..=2).find(|member| *member != leader).unwrap_or(1);
    stage.kill(other);
    stage.request(client, b"with the standby")?;
    // An observer does not: with it the leader is one of three.
    stage.kill(3);
    for crash in [false, true] {
        if crash {
            stage.kill(4);
            stage.start(4)?;
        }
        let term = stage.view(4).term;
        stage.always("an observer does not stand", 8 * te, |stage| {
            stage.view(4).term == term && stage.view(4).role == Role::Follower
        })?;
    }
    stage.start(3)?;
    stage.start(other)?;
    stage.until("the group serves again", 12 * te, serves)?;
    stage.request(client, b"afterwards")?;
    let leader = stage.leader().unwrap_or(leader);
    catches_up(&mut stage, 4, leader)
}

pub(super) fn mb_09(trial: &mut Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = formed(trial, 3, 0)?;
    let te = stage.election_timeout();
    let others: Vec<u16> = (1..=3).filter(|member| *member != leader).collect();
    let change = MembershipChange::Remove { member: MemberId(leader) };
    let request = stage.change(leader, change);
    let is_out = move |stage: &Stage<'_>| {
        let members = stage.members_of(leader);
        members.is_some_and(|it| it.membership.get(MemberId(leader)).is_none())
    };
    stage.until("the final frame is appended", te, is_out)?;
    // One of the others is slow to acknowledge it: the leader must not stand in for it.
    let slow = others[0];
    stage.hold(slow, "sync");
    let within = stage.timing().election_timeout_min.0 / 2;
    stage.always("it does not count itself", within, |stage| {
        let end = stage.members_of(leader).map(|members| members.position);
        stage.changed(request).is_none() && end > Some(stage.view(leader).commit)
    })?;
    stage.release(slow, "sync");
    let _ = stage.outcome_of(request)?;
    stage.until("it leads no more", 12 * te, |stage| stage.view(leader).role != Role::Leader)?;
    agree(&mut stage, &others, &others)?;
    stage.until("one of the others leads", 12 * te, |stage| {
        others.iter().any(|member| stage.view(*member).serving)
    })?;
    stage.always("it does not come to lead again", 6 * te, |stage| {
        stage.view(leader).role != Role::Leader
    })?;
    stage.request(client, b"without it")?;
    Ok(())
}

pub(super) fn mb_10(trial: &mut Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = formed(trial, 3, 1)?;
    let te = stage.election_timeout();
    stage.start(4)?;
    stage.kill(leader);
    // Nobody's acknowledgement comes through: whoever is elected commits nothing of its term.
    let rule = stage
        .rule("acknowledgements are lost", Effect::Lose, |passing| passing.kind() == "acknowledge");
    let leads = |stage: &Stage<'_>| stage.leader().is_some();
    stage.until("somebody else is elected", 12 * te, leads)?;
    let new = stage.leader().unwrap_or(leader);
    let change = MembershipChange::AddObserver(stage.new_member(4));
    let request = stage.change(new, change.clone());
    stage.run(MILLI)?;
    let refused = stage.changed(request).map(|changed| changed.outcome.clone());
    stage.check(refused == Some(Err("not_yet_open".to_owned())), || {
        format!("a leader that has committed nothing in its term says {refused:?}")
    })?;
    stage.remove_rule(rule);
    stage.change_until_done(&change, super::joining::SOON)?;
    stage.start(leader)?;
    stage.request(client, b"afterwards")?;
    agree(&mut stage, &[1, 2, 3, 4], &[1, 2, 3])
}

pub(super) fn mb_11(trial: &mut Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = formed(trial, 3, 2)?;
    stage.start(4)?;
    stage.start(5)?;
    // While it lasts, nothing is committed: the first change stays under way.
    for member in (1..=3).filter(|member| *member != leader) {
        stage.hold(member, "sync");
    }
    let first = MembershipChange::AddObserver(stage.new_member(4));
    let second = MembershipChange::AddObserver(stage.new_member(5));
    let first = stage.change(leader, first);
    let refused = stage.change(leader, second.clone());
    stage.run(MILLI)?;
    let (one, two) = (stage.changed(first).cloned(), stage.changed(refused).cloned());
    let two = two.map(|changed| changed.outcome);
    stage.check(one.is_none() && two == Some(Err("busy".to_owned())), || {
        format!("the first says {one:?}, and the one that overlaps it {two:?}")
    })?;
    for member in (1..=3).filter(|member| *member != leader) {
        stage.release(member, "sync");
    }
    let outcome = stage.outcome_of(first)?;
    stage.check(outcome.is_ok(), || format!("the first change ends with {outcome:?}"))?;
    stage.change_until_done(&second, super::joining::SOON)?;
    // So it is with voters, in the joint phase.
    promote(&mut stage, 4)?;
    promote(&mut stage, 5)?;
    stage.request(client, b"afterwards")?;
    agree(&mut stage, &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5])
}

pub(super) fn mb_12(trial: &mut Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = formed(trial, 3, 1)?;
    let te = stage.election_timeout();
    let before = stage.members_of(leader).cloned().unwrap_or_default();
    stage.isolate(leader);
    stage.part(&[leader], &[4]);
    let change = MembershipChange::AddObserver(stage.new_member(4));
    let request = stage.change(leader, change);
    stage.run(MILLI)?;
    let in_effect = stage.members_of(leader).is_some_and(|it| it.position > before.position);
    stage.check(in_effect, || "a leader's change is not in effect when it is appended".into())?;
    let others: Vec<u16> = (1..=3).filter(|member| *member != leader).collect();
    stage.until("another leads", 12 * te, |stage| {
        others.iter().any(|member| stage.view(*member).serving)
    })?;
    stage.request(client, b"which cuts the change")?;
    stage.heal_all();
    stage.until("the change is cut", 12 * te, |stage| {
        let members = stage.members_of(leader);
        members
            .is_some_and(|it| it.position == before.position && it.membership == before.membership)
    })?;
    let outcome = stage.outcome_of(request)?;
    stage.check(outcome == Err("leadership_lost".to_owned()), || {
        format!("a change that was cut ends with {outcome:?}")
    })?;
    stage.until("all are level", 20 * te, |stage| stage.is_level(&[1, 2, 3]))?;
    agree(&mut stage, &[1, 2, 3], &[1, 2, 3])
}
