//! Scripts about what a process takes from its system, and what that does to it.

use core::time::Duration;
use std::time::Instant;

use quorate_sim::Dice;

use super::RealTrial;
use super::cases::{answered_in_turn, counts_up, serves};
use super::ends::{is_needed, large};
use super::grounds::{Grounds, PATIENCE};
use crate::case::{Failure, Verdict, check};

/// How often a process asks its system for memory until it serves, and somewhat more.
const GROWTHS_MAX: u64 = 120;
/// How long a member is watched that gets no more memory.
const WITHOUT_MEMORY: Duration = Duration::from_secs(2);
/// Messages that are sent meanwhile before one is answered.
const UNDER_WAY: usize = 8;
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Large messages that are more than a receive buffer.
const MORE_THAN_A_BUFFER: usize = 100;

/// A follower that does not look for a while finds its receive buffer full, and more lost.
pub(super) fn nk_32(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let slow = grounds.other_than(leader);
    let mut client = grounds.client()?;
    answered_in_turn(&mut grounds, &mut client, 5)?;
    let (before, _) = grounds.overflows(slow)?;
    for _ in 0..trial.times(1, 3, 10) {
        grounds.pause(slow);
        for _ in 0..MORE_THAN_A_BUFFER {
            large(&mut grounds, &mut client)?;
        }
        let sent = client.sent();
        grounds.answered(&mut client, sent, PATIENCE)?;
        grounds.resume(slow);
        answered_in_turn(&mut grounds, &mut client, 5)?;
    }
    let (told, counted) = grounds.overflows(slow)?;
    check(told > before, || "a full receive buffer lost nothing, or the member does not know")?;
    // Nothing else on the host has a socket, and its tunnel may have lost some as well.
    check(told <= counted, || format!("it tells of {told} drops, and the kernel of {counted}"))?;
    check(grounds.sent("repair") > 0, || "nothing was repaired")?;
    is_needed(&mut grounds, &mut client, slow)?;
    counts_up(&mut client)
}

/// The system refuses one in so many datagrams of each member, each with a reason of its own.
pub(super) fn ad_13(trial: &RealTrial<'_>) -> Verdict {
    const REASONS: [&str; 3] = ["ENOBUFS", "EPERM", "EAGAIN"];
    let mut dice = Dice::new(trial.seed(), "sends");
    for _ in 0..trial.times(1, 3, 20) {
        let mut grounds = trial.grounds(3)?;
        for (id, reason) in grounds.numbers().zip(REASONS) {
            let (first, step) = (20 + dice.below(20), 3 + dice.below(5));
            let calls = format!("sendmsg,sendmmsg,sendto:error={reason}:when={first}+{step}");
            grounds.start_with_faulty_calls(id, &calls)?;
        }
        let leader = grounds.settle()?;
        let term = grounds.term();
        let mut client = grounds.client()?;
        answered_in_turn(&mut grounds, &mut client, 60)?;
        counts_up(&mut client)?;
        for id in grounds.numbers() {
            check(!grounds.has_ended(id), || format!("member {id} ended of a refused datagram"))?;
        }
        let same = grounds.term() == term && grounds.leader() == Some(leader);
        grounds.timely(same, || format!("term {} behind {term}", grounds.term()))?;
    }
    Ok(())
}

/// Clients come and go, members are restarted, and the processes hold what they held before.
pub(super) fn rb_06(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let others: Vec<u16> = grounds.numbers().filter(|id| *id != leader).collect();
    // What comes with the first use, and with a start on files that are there, is there behind
    // this: both followers are restarted.
    come_and_go(&mut grounds, &others, 4)?;
    let mut before = Vec::new();
    for id in grounds.numbers() {
        before.push((id, grounds.holdings(id)?));
    }
    come_and_go(&mut grounds, &others, trial.times(10, 40, 300))?;
    for (id, (descriptors, threads)) in before {
        let mut found = (Vec::new(), usize::MAX);
        // A thread that has ended may still be on its way out.
        let level = grounds.until("what is held to come back", PATIENCE, |grounds| {
            found = grounds.holdings(id).unwrap_or((Vec::new(), usize::MAX));
            found.0.len() <= descriptors.len() && found.1 <= threads
        });
        level.map_err(|failure| match failure {
            Failure::Late { .. } => Failure::broken(format!(
                "member {id} had {} descriptors and {threads} threads, and now has {} and {}: \
                 {descriptors:?} before, {:?} now",
                descriptors.len(),
                found.0.len(),
                found.1,
                found.0
            )),
            other => other,
        })?;
    }
    Ok(())
}

/// So many times four clients, the last of which is killed, and every second time a restart.
fn come_and_go(grounds: &mut Grounds, others: &[u16], times: u64) -> Verdict {
    for time in 0..times {
        for _ in 0..3 {
            serves(grounds)?;
        }
        drop(grounds.client()?);
        if time % 2 == 0 {
            let follower = others[time as usize / 2 % others.len()];
            grounds.kill(follower);
            serves(grounds)?;
            grounds.start(follower)?;
        }
    }
    serves(grounds)
}

/// The system refuses a member more memory at this moment and at that one; it is alone, so what was
/// answered is on its disk or nowhere.
pub(super) fn rb_11(trial: &RealTrial<'_>) -> Verdict {
    let mut dice = Dice::new(trial.seed(), "memory");
    let (mut began, mut answered) = (0, 0);
    let rounds = trial.times(6, 16, 100);
    let mut grounds = trial.grounds(1)?;
    grounds.start(1)?;
    let mut client = grounds.client()?;
    answered_in_turn(&mut grounds, &mut client, 2)?;
    for round in 0..rounds {
        grounds.kill(1);
        // From the first steps of the process on to where it serves, spread over all of it.
        let step = GROWTHS_MAX / rounds;
        let number = 1 + round * step + dice.below(step);
        let calls = format!("mmap,brk,mremap:error=ENOMEM:when={number}+");
        match grounds.start_with_faulty_calls(1, &calls) {
            Ok(()) => began += 1,
            // It refuses to start, or does not get so far.
            Err(Failure::Broken { .. }) => {}
            Err(other) => return Err(other),
        }
        let before = client.replies().len();
        let limit = Instant::now() + WITHOUT_MEMORY;
        while !grounds.has_ended(1) && Instant::now() < limit {
            if client.sent() < client.replies().len() + UNDER_WAY {
                let text = "x".repeat(1 + dice.below(60_000) as usize);
                client.send(&text).map_err(Failure::broken)?;
            }
            grounds.run(LOOK_INTERVAL)?;
        }
        answered += u64::from(client.replies().len() > before);
        grounds.kill(1);
        // With memory again it has all that it answered for.
        grounds.start(1)?;
        let sent = client.sent();
        grounds.answered(&mut client, sent, PATIENCE)?;
        counts_up(&mut client)?;
    }
    check(began < rounds, || "no start was ever refused memory: nothing was tried")?;
    check(answered > 0, || "it never served with little memory: only starts were tried")
}
