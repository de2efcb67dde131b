//! Scripts about how processes end, and about disks that fail them.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use quorate_core::message::{ConnectOutcome, Message};

use super::RealTrial;
use super::cases::{answered_in_turn, counts_up, send, serves};
use super::client::RealClient;
use super::grounds::{Grounds, PATIENCE};
use super::shapes::only_elects;
use crate::case::{Failure, Verdict, check};
use crate::stage::Effect;

/// Messages behind which a disk that fails at some call has failed, each with calls of its own.
const MESSAGES_MAX: usize = 1_000;
/// Bytes of a message of those that are to fill something: less than the largest.
const LARGE: usize = 60_000;
/// A disk with room for the log's first two segments and little else, in mebibytes.
const SMALL_DISK: u64 = 36;
/// Large messages that fill such a disk.
const FILL: usize = (SMALL_DISK << 20) as usize / LARGE;
/// Large messages that are more than a window of the log.
const MORE_THAN_A_WINDOW: usize = (17 << 20) / LARGE;

/// A leader that is asked to stop does not leave the others to their time-outs.
pub(super) fn el_27(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let mut client = grounds.client()?;
    let times = trial.times(3, 5, 20);
    // Nobody who has to notice by silence is so fast. Two who are told at once may need another
    // election, so not each one has to be.
    let silence = grounds.times().election_min();
    let (mut slow, mut slowest) = (0, Duration::ZERO);
    for _ in 0..times {
        let leader = grounds.settle()?;
        let sent = client.sent() + 20;
        send(&mut client, 20)?;
        let begun = Instant::now();
        grounds.ask_to_stop(leader);
        grounds.until("a successor", PATIENCE, |grounds| {
            grounds.leader().is_some_and(|now| now != leader)
        })?;
        let took = begun.elapsed();
        slow += u64::from(took >= silence);
        slowest = slowest.max(took);
        grounds.answered(&mut client, sent, PATIENCE)?;
        let code = grounds.ended_with(leader, PATIENCE)?;
        check(code == 0, || format!("the leader ends with {code}"))?;
    }
    counts_up(&mut client)?;
    grounds.timely(2 * slow < times, || {
        format!("{slow} of {times} successors took {silence:?} and more, one {slowest:?}")
    })
}

/// A write to the log fails.
pub(super) fn ad_06(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.start_with_faulty_calls(1, "pwrite64,pwritev:error=EIO:when=30+")?;
    goes_inert(&mut grounds, 1)
}

/// A sync of the disk fails: the member says why, ends, and is heard no more.
pub(super) fn ad_21(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.start_with_faulty_calls(1, "fdatasync,fsync:error=EIO:when=15+")?;
    goes_inert(&mut grounds, 1)?;
    let code = grounds.ended_with(1, PATIENCE)?;
    check(code != 0, || "a member with a broken disk ends as if all were well")?;
    let log = grounds.log_of(1);
    check(!log.contains("panicked"), || "it panicked")?;
    check(log.contains("os error 5") || log.contains("Input/output"), || {
        format!("it does not say why: {}", log.lines().last().unwrap_or_default())
    })
}

/// Plays until the disk of a member has failed it; the others do not notice.
fn goes_inert(grounds: &mut Grounds, member: u16) -> Verdict {
    grounds.settle()?;
    let mut client = grounds.client()?;
    while !grounds.has_ended(member) {
        check(client.sent() < MESSAGES_MAX, || "the disk failed, and the member went on")?;
        answered_in_turn(grounds, &mut client, 1)?;
    }
    counts_up(&mut client)?;
    serves(grounds)
}

/// A member is killed at this system call and at that one, and takes part again.
pub(super) fn ad_20(trial: &RealTrial<'_>) -> Verdict {
    const CALLS: [&str; 3] = ["fdatasync,fsync", "pwrite64,pwritev,write", "openat,rename"];
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let victim = grounds.other_than(leader);
    let mut client = grounds.client()?;
    let mut ended = 0;
    let mut dice = quorate_sim::Dice::new(trial.seed(), "calls");
    for round in 0..trial.times(2, 6, 40) {
        let call = CALLS[round as usize % CALLS.len()];
        let inject = format!("{call}:signal=KILL:when={}", 1 + dice.below(15));
        grounds.kill(victim);
        match grounds.start_with_faulty_calls(victim, &inject) {
            // It may be killed before it says that it runs.
            Ok(()) | Err(Failure::Broken { .. }) => {}
            Err(other) => return Err(other),
        }
        for _ in 0..10 {
            answered_in_turn(&mut grounds, &mut client, 1)?;
        }
        ended += u64::from(grounds.has_ended(victim));
        grounds.kill(victim);
        grounds.start(victim)?;
    }
    check(ended > 0, || "no call was ever reached")?;
    is_needed(&mut grounds, &mut client, victim)?;
    counts_up(&mut client)
}

/// A leader's disk is full, and then is not.
pub(super) fn df_07(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds_with_small_disk(3, 1, SMALL_DISK)?;
    only_elects(&mut grounds, 1);
    let leader = grounds.settle()?;
    check(leader == 1, || format!("member {leader} leads, and nobody heard it campaign"))?;
    grounds.heal_all();
    let mut client = grounds.client()?;
    let mut handed_over = false;
    for _ in 0..FILL {
        large(&mut grounds, &mut client)?;
        handed_over |= grounds.leader().is_some_and(|now| now != 1);
    }
    let sent = client.sent();
    grounds.answered(&mut client, sent, PATIENCE)?;
    check(handed_over, || "the leader wrote more than its disk holds, and still leads")?;
    check(!grounds.has_ended(1), || "the member ended when its disk was full")?;
    grounds.resize_disk(1, 4 * SMALL_DISK)?;
    is_needed(&mut grounds, &mut client, 1)?;
    counts_up(&mut client)
}

/// A follower's disk hangs for seconds: it counts for nothing, disturbs nobody, and rejoins.
pub(super) fn df_10(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.start_with_faulty_calls(1, "fdatasync,fsync:delay_enter=3000000:when=20")?;
    grounds.rule(Effect::Lose, |passing| {
        let campaigns = matches!(passing.kind(), "canvass" | "request_vote");
        campaigns && passing.from == Grounds::place_of(1)
    });
    let leader = grounds.settle()?;
    check(leader != 1, || "member 1 leads, and nobody heard it campaign")?;
    grounds.heal_all();
    let term = grounds.term();
    let mut client = grounds.client()?;
    answered_in_turn(&mut grounds, &mut client, 100)?;
    let slowest = Duration::from_nanos(client.slowest());
    let most = grounds.times().election_min();
    grounds.timely(slowest < most, || format!("a message took {slowest:?}"))?;
    grounds.timely(grounds.term() == term, || {
        format!("the term was {term}, and is {}", grounds.term())
    })?;
    is_needed(&mut grounds, &mut client, 1)?;
    counts_up(&mut client)
}

/// A member is away while the others elect anew and write more than a window.
pub(super) fn df_19(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let away = grounds.other_than(leader);
    let mut client = grounds.client()?;
    answered_in_turn(&mut grounds, &mut client, 5)?;
    grounds.kill(away);
    grounds.kill(leader);
    grounds.start(leader)?;
    for _ in 0..MORE_THAN_A_WINDOW {
        large(&mut grounds, &mut client)?;
    }
    let sent = client.sent();
    grounds.answered(&mut client, sent, PATIENCE)?;
    grounds.start(away)?;
    is_needed(&mut grounds, &mut client, away)?;
    counts_up(&mut client)
}

/// Kills one other, so that nothing is committed without `member`, and sees that the group serves.
pub(super) fn is_needed(grounds: &mut Grounds, client: &mut RealClient, member: u16) -> Verdict {
    let leader = grounds.leader();
    let mut others = grounds.numbers().filter(|id| *id != member);
    let victim = others.find(|id| Some(*id) != leader).unwrap_or(member);
    grounds.kill(victim);
    answered_in_turn(grounds, client, 5)
}

/// One of two members is gone, the leader first: nobody leads, nothing is answered, and clients are
/// told that there is no quorum; when it is back, all is answered.
pub(super) fn tn_02(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(2)?;
    let told = Arc::new(AtomicU64::new(0));
    let noted = Arc::clone(&told);
    let mut client = grounds.client()?;
    for round in 0..trial.times(2, 4, 20) {
        let leader = grounds.settle()?;
        answered_in_turn(&mut grounds, &mut client, 5)?;
        grounds.until("a leader", PATIENCE, |grounds| grounds.leader().is_some())?;
        let gone = if round % 2 == 0 { leader } else { grounds.other_than(leader) };
        grounds.kill(gone);
        let noted = Arc::clone(&noted);
        let before = told.load(Ordering::Relaxed);
        let rule = grounds.rule(Effect::Pass, move |passing| {
            let is_told = matches!(
                passing.message(),
                Some(Message::ConnectReply { outcome: ConnectOutcome::NoQuorum { .. }, .. })
            );
            noted.fetch_add(u64::from(is_told), Ordering::Relaxed);
            false
        });
        send(&mut client, 1)?;
        grounds.until("the client is told", PATIENCE, |_| told.load(Ordering::Relaxed) > before)?;
        let term = grounds.term();
        grounds.run(4 * grounds.times().election_max())?;
        let (answered, sent) = (client.replies().len(), client.sent());
        let is_still = answered + 1 == sent && grounds.term() == term;
        check(is_still && grounds.leader().is_none(), || {
            format!("{answered} of {sent} are answered, {:?} leads", grounds.leader())
        })?;
        grounds.remove_rule(rule);
        grounds.start(gone)?;
        grounds.answered(&mut client, sent, PATIENCE)?;
    }
    counts_up(&mut client)
}

/// Sends a large message; a few are under way at a time.
pub(super) fn large(grounds: &mut Grounds, client: &mut RealClient) -> Verdict {
    const UNDER_WAY: usize = 4;
    let answered = client.sent().saturating_sub(UNDER_WAY - 1);
    grounds.answered(client, answered, PATIENCE)?;
    send_large(client)
}

/// Sends a large message at once.
pub(super) fn send_large(client: &mut RealClient) -> Verdict {
    let mut line = format!("message {} ", client.sent() + 1);
    line.extend(core::iter::repeat_n('x', LARGE - line.len()));
    client.send(&line).map_err(Failure::broken)
}
