//! Messages and their replies: each once, in order, from the leader.

use core::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use quorate_core::message::{ConnectOutcome, Message};
use quorate_core::{Incoming, MemberId};
use quorate_sim::{Dice, Place};

use crate::case::{Failure, Verdict};
use crate::edges::{Command, LedgerReply};
use crate::stage::{ClientNumber, Effect, MICRO, MILLI, Options, SECOND, Stage};
use crate::trial::Trial;

/// What a register of the suite's service held before an operation on it.
pub(super) fn former(bytes: &[u8]) -> Result<u64, Failure> {
    let reply = LedgerReply::parse(bytes);
    reply.map(|reply| reply.value).ok_or_else(|| Failure::broken("a reply is not the service's"))
}

/// The message that adds to register 1.
pub(super) fn add(value: u64) -> Vec<u8> {
    Command::Add { key: 1, value }.to_bytes()
}

/// Fails unless register 1 has this value.
pub(super) fn check_sum(stage: &mut Stage<'_>, client: ClientNumber, sum: u64) -> Verdict {
    let reply = stage.request(client, &Command::Read { key: 1 }.to_bytes())?;
    let found = former(&reply.bytes)?;
    stage.check(found == sum, || format!("the register holds {found}, not {sum}"))
}

/// Submits a message that the client must take.
pub(super) fn send(stage: &mut Stage<'_>, client: ClientNumber, payload: &[u8]) -> Verdict {
    let refused = stage.submit(client, payload).err();
    stage.check(refused.is_none(), || format!("the client refuses a message: {refused:?}"))
}

/// Lets time pass until a client has so many replies.
pub(super) fn answered(
    stage: &mut Stage<'_>,
    client: ClientNumber,
    replies: usize,
    within: u64,
) -> Verdict {
    let what = format!("{replies} replies to client {}", client.0);
    stage.until(&what, within, |stage| stage.replies(client).len() >= replies)
}

pub(super) fn cl_04(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let client = stage.client();
    stage.request(client, &add(5))?;
    let lost = Rc::new(RefCell::new(Vec::new()));
    let replies = Rc::clone(&lost);
    let place = Stage::place_of_client(client);
    stage.rule("the reply is lost", Effect::Lose, move |passing| {
        let Some((_, Incoming::Data { slice, .. })) = &passing.content else { return false };
        let is_reply = passing.to == place;
        if is_reply {
            replies.borrow_mut().push(slice.to_vec());
        }
        is_reply
    });
    let before = stage.view(leader).applied;
    send(&mut stage, client, &add(7))?;
    stage
        .until("the leader has applied it", SECOND, |stage| stage.view(leader).applied > before)?;
    stage.run(MILLI)?;
    stage.kill(leader);
    stage.heal_all();
    answered(&mut stage, client, 2, 10 * SECOND)?;
    let reply = stage.replies(client)[1].clone();
    let has_reply =
        |slice: &Vec<u8>| slice.windows(reply.bytes.len()).any(|window| window == reply.bytes);
    let same = lost.borrow().iter().any(has_reply);
    stage.check(same, || "the next leader's reply is not the one that was lost".to_owned())?;
    let value = former(&reply.bytes)?;
    stage.check(value == 5, || format!("it was applied to {value}, not to 5"))?;
    check_sum(&mut stage, client, 12)
}

pub(super) fn cl_05(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let client = stage.client();
    stage.request(client, &add(1))?;
    let followers: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
    for &follower in &followers {
        stage.hold(follower, "sync");
    }
    let place = Stage::place_of_client(client);
    stage.rule("messages come four times", Effect::Repeat(3), move |passing| {
        passing.from == place && passing.kind() == "ingress"
    });
    for _ in 0..5 {
        send(&mut stage, client, &add(1))?;
        stage.run(MILLI)?;
    }
    // The client loses its leader, finds it again, and sends all that is not answered once more.
    let leader_place = Stage::place_of(leader);
    stage.cut_place(leader_place, place);
    stage.run(300 * MILLI)?;
    stage.heal_place(leader_place, place);
    let again = |stage: &Stage<'_>| stage.connections(client) >= 2;
    stage.until("the client is connected again", SECOND / 2, again)?;
    stage.run(20 * MILLI)?;
    let waiting = stage.replies(client).len() == 1 && stage.leader() == Some(leader);
    stage.check(waiting, || "the messages were not in flight".to_owned())?;
    for &follower in &followers {
        stage.release(follower, "sync");
    }
    answered(&mut stage, client, 6, SECOND)?;
    stage.until_level(SECOND)?;
    stage.check_written_in_order(leader, &[client])?;
    check_sum(&mut stage, client, 6)
}

pub(super) fn cl_06(trial: &mut Trial<'_>) -> Verdict {
    for run in 0..trial.times(2, 10, 50) {
        let seed = trial.seed().wrapping_add(run);
        let mut stage = trial.stage_of(Options::members(3), seed);
        let leader = stage.settle()?;
        let clients = [stage.client(), stage.client()];
        for client in clients {
            stage.request(client, b"first")?;
        }
        stage.rule("messages are lost", Effect::LoseSometimes(200_000), |passing| {
            passing.kind() == "ingress" && passing.at % 2 == 0
        });
        stage.rule("messages are overtaken", Effect::DelayUpTo(2 * MILLI), |passing| {
            passing.kind() == "ingress"
        });
        let mut dice = Dice::new(seed, "pipelined");
        for _ in 0..60 {
            let client = dice.pick(&clients);
            // As many as may be in flight; the next one is told to wait.
            let _ = stage.submit(client, &vec![7; dice.between(1, 900) as usize]);
            stage.run(dice.between(0, 100 * MICRO))?;
        }
        for client in clients {
            let all = stage.submitted(client).len();
            answered(&mut stage, client, all, 5 * SECOND)?;
        }
        stage.until_level(SECOND)?;
        stage.check_written_in_order(leader, &clients)?;
    }
    behind_a_hole(trial)
}

/// One message does not come through; those behind it have to wait.
fn behind_a_hole(trial: &Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let client = stage.client();
    stage.request(client, b"first")?;
    stage.until_level(SECOND)?;
    let (place, mut lost) = (Stage::place_of_client(client), None);
    let rule = stage.rule("one message is lost", Effect::Lose, move |passing| {
        let Some((_, Incoming::Data { position, .. })) = &passing.content else { return false };
        passing.from == place && *lost.get_or_insert(*position) == *position
    });
    let before = stage.view(leader).verified;
    for _ in 0..10 {
        send(&mut stage, client, b"pipelined")?;
        stage.run(100 * MICRO)?;
    }
    stage.run(20 * MILLI)?;
    let waits = stage.view(leader).verified == before;
    stage.check(waits, || "messages behind a hole are appended".to_owned())?;
    let matched = stage.remove_rule(rule);
    stage.check(matched > 1, || "nobody asked for what was lost".to_owned())?;
    answered(&mut stage, client, 11, SECOND)?;
    stage.check_written_in_order(leader, &[client])
}

pub(super) fn cl_09(trial: &mut Trial<'_>) -> Verdict {
    for run in 0..trial.times(3, 20, 200) {
        let seed = trial.seed().wrapping_add(run);
        let mut stage = trial.stage_of(Options::members(3), seed);
        let mut dice = Dice::new(seed, "failover");
        let leader = stage.settle()?;
        let clients = [stage.client(), stage.client(), stage.client()];
        for client in clients {
            stage.request(client, b"first")?;
        }
        for _ in 0..30 {
            send(&mut stage, dice.pick(&clients), &vec![3; dice.between(1, 400) as usize])?;
            stage.run(dice.between(0, 50 * MICRO))?;
        }
        stage.run(dice.between(0, MILLI))?;
        if dice.below(2) == 0 {
            stage.kill(leader)
        } else {
            stage.power_off(leader)
        }
        for client in clients {
            let all = stage.submitted(client).len();
            answered(&mut stage, client, all, 10 * SECOND)?;
            check_replies(&mut stage, client)?;
        }
    }
    Ok(())
}

/// Whether a client's replies are those to all of its messages, once each and in order.
pub(super) fn check_replies(stage: &mut Stage<'_>, client: ClientNumber) -> Verdict {
    let (replies, all) = (stage.replies(client).to_vec(), stage.submitted(client).len() as u64);
    let sequences: Vec<u64> = replies.iter().map(|reply| reply.sequence).collect();
    let once = sequences == (1..=all).collect::<Vec<_>>();
    stage.check(once, || format!("{all} messages are answered as {sequences:?}"))?;
    for pair in replies.windows(2) {
        let counts = (LedgerReply::parse(&pair[0].bytes), LedgerReply::parse(&pair[1].bytes));
        let rises = matches!(counts, (Some(one), Some(two)) if one.applied < two.applied);
        let sound = rises && pair[0].position < pair[1].position;
        stage.check(sound, || format!("reply {} is out of order", pair[1].sequence))?;
    }
    Ok(())
}

pub(super) fn cl_10(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let outcomes = Rc::new(RefCell::new(BTreeSet::new()));
    let seen = Rc::clone(&outcomes);
    stage.rule("listens", Effect::Pass, move |passing| {
        if let (Place::Member(MemberId(member)), Place::Client(_)) = (passing.from, passing.to)
            && let Some(Message::ConnectReply { outcome, .. }) = passing.message()
        {
            let goes_on = matches!(
                outcome,
                ConnectOutcome::Redirect { .. } | ConnectOutcome::RetryAfter { .. }
            );
            seen.borrow_mut().insert((member, goes_on));
        }
        false
    });
    let mut leaders = BTreeSet::new();
    let client = stage.client();
    let mut spoken = BTreeSet::new();
    for _ in 0..3 {
        let since = stage.sightings().len();
        let leader = stage.settle()?;
        leaders.insert(leader);
        for _ in 0..5 {
            stage.request(client, &add(1))?;
        }
        stage.run(100 * MILLI)?;
        for sent in &stage.sightings()[since..] {
            if let (Place::Member(member), Place::Client(_)) = (sent.from, sent.to)
                && sent.kind != "connect_reply"
            {
                spoken.insert((leader, member.0));
            }
        }
        let foreign = spoken.iter().find(|(leader, member)| leader != member);
        stage.check(foreign.is_none(), || format!("(leader, who speaks): {foreign:?}"))?;
        // It comes back as a follower and replays its log.
        stage.kill(leader);
        let within = 12 * stage.election_timeout();
        stage.until("the others elect", within, Stage::is_settled)?;
    }
    let others = outcomes.borrow().iter().copied().find(|(member, goes_on)| {
        !goes_on && !leaders.contains(member) && stage.leader() != Some(*member)
    });
    stage.check(others.is_none(), || format!("a follower opens a connection: {others:?}"))
}
