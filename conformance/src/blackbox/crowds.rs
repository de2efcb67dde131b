//! Scripts about what clients ask, whom they ask, and how much of it.

use core::time::Duration;

use quorate_sim::Place;

use super::RealTrial;
use super::cases::{counts_up, send};
use super::grounds::{Grounds, PATIENCE};
use crate::case::{Failure, Verdict, check};
use crate::stage::{Effect, Passing};

/// Bytes of a message of those that are more than the group has room for.
const LARGE: usize = 1_000;
/// Times that a client asks each member at most, until the leader has taken it.
const ASKED_MAX: u64 = 4;
/// Messages for each datagram of new data, at least, when all is full.
const BATCHED: u64 = 8;

fn is_from_client(passing: &Passing<'_>) -> bool {
    matches!(passing.from, Place::Client(_))
}

/// A client that has heard of the leader from another member only finds it.
pub(super) fn cl_02(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let members = grounds.settle().map(|_| grounds.numbers().count() as u64)?;
    for _ in 0..trial.times(2, 3, 30) {
        grounds.until("a leader", PATIENCE, |grounds| grounds.leader().is_some())?;
        let leader = Grounds::place_of(grounds.leader().unwrap_or_default());
        let mut told = false;
        let deaf = grounds.rule(Effect::Lose, move |passing| {
            told |= passing.kind() == "connect_reply" && passing.from != leader;
            !told && is_from_client(passing) && passing.to == leader
        });
        let (asked, answered) = (grounds.sent("connect"), grounds.sent("connect_reply"));
        let mut client = grounds.client()?;
        send(&mut client, 1)?;
        grounds.answered(&mut client, 1, PATIENCE)?;
        let lost = grounds.remove_rule(deaf);
        let (asked, answered) =
            (grounds.sent("connect") - asked - lost, grounds.sent("connect_reply") - answered);
        check(answered >= 2, || "no member but the leader said who leads".to_owned())?;
        grounds.timely(asked <= ASKED_MAX * members, || format!("it asked {asked} times"))?;
        // Another leads in the next round: who was heard to lead is not one any more.
        let Some(leader) = grounds.leader() else { continue };
        grounds.kill(leader);
        grounds.until("a successor", PATIENCE, |grounds| {
            grounds.leader().is_some_and(|now| now != leader)
        })?;
        grounds.start(leader)?;
    }
    Ok(())
}

/// A client that reaches one follower only changes nothing anywhere, and loses nothing.
pub(super) fn cl_26(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let follower = Grounds::place_of(grounds.other_than(leader));
    grounds.rule(Effect::Lose, move |passing| {
        !passing.is_between_members() && passing.from != follower && passing.to != follower
    });
    let answered = grounds.sent("connect_reply");
    let mut client = grounds.client()?;
    send(&mut client, 5)?;
    grounds.until("an answer of the follower", PATIENCE, |grounds| {
        grounds.sent("connect_reply") > answered
    })?;
    let written = grounds.sent("live");
    grounds.run(Duration::from_millis(500))?;
    check(client.replies().is_empty(), || "a member that does not lead replied")?;
    let more = grounds.sent("live") - written;
    grounds.timely(more == 0, || format!("{more} datagrams of new data came of it"))?;
    grounds.heal_all();
    grounds.answered(&mut client, 5, PATIENCE)?;
    counts_up(&mut client)
}

/// More than there is room for comes at once: who sends it waits, and all of it is answered.
pub(super) fn fc_06(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let term = grounds.term();
    let mut client = grounds.client()?;
    let count = trial.times(1_500, 6_000, 50_000) as usize;
    for number in 0..count {
        client.send(&format!("{number:0LARGE$}")).map_err(Failure::broken)?;
    }
    grounds.answered(&mut client, count, 2 * PATIENCE)?;
    counts_up(&mut client)?;
    let same = grounds.term() == term && grounds.leader() == Some(leader);
    grounds.timely(same, || format!("there was an election: term {} behind {term}", grounds.term()))
}

/// A message alone is sent at once; of many, a datagram has many.
pub(super) fn ls_11(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.settle()?;
    let mut client = grounds.client()?;
    send(&mut client, 1)?;
    grounds.answered(&mut client, 1, PATIENCE)?;
    let followers = grounds.numbers().count() as u64 - 1;
    let before = grounds.sent("live");
    send(&mut client, 1)?;
    grounds.answered(&mut client, 2, PATIENCE)?;
    let alone = grounds.sent("live") - before;
    check(alone >= followers, || format!("one message was sent in {alone} datagrams"))?;
    let count = trial.times(4_000, 10_000, 100_000);
    let before = grounds.sent("live");
    send(&mut client, count as usize)?;
    grounds.answered(&mut client, 2 + count as usize, 2 * PATIENCE)?;
    counts_up(&mut client)?;
    let each = (grounds.sent("live") - before) / followers;
    grounds.timely(each * BATCHED <= count, || {
        format!("{count} messages went to each follower in {each} datagrams")
    })
}
