//! Newcomers: how they come in, and what they are until they vote.

use quorate_core::{MemberId, MembershipChange};

use crate::case::{Failure, Verdict};
use crate::stage::{ClientNumber, MILLI, Options, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// Refusals after which an operator asks again: a moment later it is taken.
pub(super) const SOON: &[&str] =
    &["not_level", "busy", "not_yet_open", "not_leader", "no_room", "leadership_lost"];

/// A group of `members` with its leader and a client that was answered, and machines beside it that
/// are no members yet.
pub(super) fn formed<'a>(
    trial: &Trial<'a>,
    members: usize,
    newcomers: usize,
) -> Result<(Stage<'a>, u16, ClientNumber), Failure> {
    trial.needs(Feature::Members)?;
    let mut stage = trial.stage(Options::members(members).newcomers(newcomers));
    let leader = stage.settle()?;
    let client = stage.client();
    stage.request(client, b"before")?;
    Ok((stage, leader, client))
}

/// Starts a newcomer, and has it added as an observer.
pub(super) fn add(stage: &mut Stage<'_>, member: u16) -> Verdict {
    stage.start(member)?;
    let change = MembershipChange::AddObserver(stage.new_member(member));
    stage.change_until_done(&change, SOON)
}

/// Has an observer promoted, as soon as it is level.
pub(super) fn promote(stage: &mut Stage<'_>, member: u16) -> Verdict {
    let change = MembershipChange::Promote { member: MemberId(member), standby: false };
    stage.change_until_done(&change, SOON)
}

/// Has a member removed.
pub(super) fn remove(stage: &mut Stage<'_>, member: u16) -> Verdict {
    stage.change_until_done(&MembershipChange::Remove { member: MemberId(member) }, SOON)
}

/// Waits until a member has all that `other` has committed now.
pub(super) fn catches_up(stage: &mut Stage<'_>, member: u16, other: u16) -> Verdict {
    let (end, within) = (stage.view(other).commit, 20 * stage.election_timeout());
    let what = format!("member {member} has applied all up to {end}");
    stage.until(&what, within, |stage| stage.view(member).applied >= end)
}

/// Waits until these members take exactly `voters` for voters.
pub(super) fn agree(stage: &mut Stage<'_>, members: &[u16], voters: &[u16]) -> Verdict {
    let within = 20 * stage.election_timeout();
    let what = format!("{members:?} take {voters:?} for voters");
    stage.until(&what, within, |stage| {
        members.iter().all(|member| stage.has_voters(*member, voters))
    })
}

pub(super) fn mb_02(trial: &mut Trial<'_>) -> Verdict {
    // All of them; one that lives beside one that never was; and the same with one that is dead.
    for (known, down) in [(&[1, 2, 3][..], false), (&[2, 9], false), (&[1, 2, 3, 9], true)] {
        let (mut stage, leader, _) = formed(trial, 3, 1)?;
        if down {
            let dead = stage.other_than(leader);
            stage.kill(dead);
        }
        stage.configure(4, known);
        add(&mut stage, 4)?;
        let leader = stage.leader().unwrap_or(leader);
        catches_up(&mut stage, 4, leader)?;
        promote(&mut stage, 4)?;
        agree(&mut stage, &[4], &[1, 2, 3, 4])?;
    }
    Ok(())
}

pub(super) fn mb_03(trial: &mut Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = formed(trial, 3, 2)?;
    let seed = stage.other_than(leader);
    stage.configure(4, &[seed]);
    for newcomer in [4, 5] {
        add(&mut stage, newcomer)?;
        promote(&mut stage, newcomer)?;
    }
    remove(&mut stage, seed)?;
    stage.kill(4);
    stage.kill(seed);
    stage.request(client, b"without the seed")?;
    stage.start(4)?;
    let leader = stage.leader().unwrap_or(leader);
    catches_up(&mut stage, 4, leader)?;
    let voters: Vec<u16> = (1..=5).filter(|member| *member != seed).collect();
    agree(&mut stage, &[4], &voters)
}

pub(super) fn mb_04(trial: &mut Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = formed(trial, 3, 2)?;
    for newcomer in [4, 5] {
        add(&mut stage, newcomer)?;
        catches_up(&mut stage, newcomer, leader)?;
    }
    for crash in [false, true] {
        if crash {
            stage.kill(4);
            stage.start(4)?;
            stage.power_off(5);
            stage.start(5)?;
        }
        newcomers_alone(&mut stage, client)?;
    }
    promote(&mut stage, 4)?;
    let leader = stage.leader().unwrap_or(1);
    agree(&mut stage, &[leader, 4], &[1, 2, 3, 4])
}

/// A leader and two newcomers hold what nobody else does: it is not committed. Without the leader
/// nobody leads.
fn newcomers_alone(stage: &mut Stage<'_>, client: ClientNumber) -> Verdict {
    let te = stage.election_timeout();
    let serves = |stage: &Stage<'_>| stage.leader().is_some_and(|it| stage.view(it).serving);
    stage.until("somebody leads", 12 * te, serves)?;
    let leader = stage.leader().unwrap_or(1);
    let others: Vec<u16> = (1..=3).filter(|member| *member != leader).collect();
    for member in &others {
        stage.kill(*member);
    }
    let _ = stage.submit(client, b"which no quorum of voters has");
    // Long enough to hand it out, and shorter than the leader waits for a quorum.
    let commit = stage.view(leader).commit;
    stage.always("nothing is committed by newcomers", 6 * te, |stage| {
        stage.view(leader).commit <= commit
    })?;
    stage.kill(leader);
    let led = |stage: &Stage<'_>| [4, 5].iter().any(|it| stage.leader() == Some(*it));
    let terms = |stage: &Stage<'_>| [4, 5].map(|member| stage.view(member).term);
    let before = terms(stage);
    stage.always("no newcomer leads or stands", 6 * te, |stage| {
        !led(stage) && terms(stage) == before
    })?;
    for member in 1..=3 {
        stage.start(member)?;
    }
    stage.until("the group serves again", 12 * te, serves)?;
    stage.request(client, b"afterwards")?;
    Ok(())
}

pub(super) fn mb_05(trial: &mut Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = formed(trial, 3, 1)?;
    add(&mut stage, 4)?;
    // Cut off, it lags by more than a little, and is not heard either.
    catches_up(&mut stage, 4, leader)?;
    stage.isolate(4);
    stage.run(2 * stage.election_timeout())?;
    let change = MembershipChange::Promote { member: MemberId(4), standby: false };
    let request = stage.change(leader, change);
    let outcome = stage.outcome_of(request)?;
    stage.check(outcome == Err("not_level".to_owned()), || {
        format!("a member that is not heard is promoted: {outcome:?}")
    })?;
    stage.heal_all();
    stage.request(client, b"while it comes back")?;
    promote(&mut stage, 4)?;
    agree(&mut stage, &[1, 2, 3, 4], &[1, 2, 3, 4])?;
    // It counts: of four, three commit, and it is one of them.
    let leader = stage.leader().unwrap_or(leader);
    let down = (1..=3).find(|member| *member != leader).unwrap_or(1);
    stage.kill(down);
    stage.request(client, b"with the vote of the newcomer")?;
    stage.run(MILLI)
}
