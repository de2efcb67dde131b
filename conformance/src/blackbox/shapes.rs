//! Scripts about the shape of the network: who hears whom, and what of it is lost or doubled.

use core::time::Duration;
use std::time::Instant;

use quorate_sim::Dice;

use super::RealTrial;
use super::cases::{ELECTED, answered_in_turn, counts_up, send, serves};
use super::clocks::can_bend_clocks;
use super::ends::is_needed;
use super::grounds::{Grounds, PATIENCE};
use crate::case::{Failure, Verdict, check};
use crate::stage::{Effect, MILLION};

/// Hours that a wall clock is wrong by, at most.
const HOURS_FAR: u64 = 12;
/// Seconds of a year.
const YEAR: i64 = 365 * 24 * 3_600;
/// By how many parts of a million a monotonic clock is fast or slow.
const DRIFT: i64 = 50_000;
/// Hundredths of a processor that a starved member gets.
const STARVED: u64 = 2;
/// For how long it is starved.
const WHILE_STARVED: Duration = Duration::from_secs(2);
/// Messages that are sent meanwhile before one is answered.
const UNDER_WAY: usize = 8;
/// For how many election time-outs what has settled is watched.
const SETTLED: u32 = 10;

/// A leader that hears only one other, of five that all hear that one, is replaced by it.
pub(super) fn el_15(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(5)?;
    let leader = grounds.settle()?;
    let bridge = grounds.other_than(leader);
    for one in grounds.numbers().filter(|one| *one != bridge) {
        for other in grounds.numbers().filter(|other| *other != bridge && *other != one) {
            grounds.cut(one, other);
        }
    }
    let within = ELECTED * grounds.times().election_max();
    grounds.until("the bridge as leader", within, |grounds| grounds.leader() == Some(bridge))?;
    let term = grounds.term();
    serves(&mut grounds)?;
    grounds.run(SETTLED * grounds.times().election_max())?;
    grounds.timely(grounds.term() == term, || {
        format!("the bridge led term {term}, and the term is {}", grounds.term())
    })
}

/// Of three, the leader and one follower do not hear one another.
pub(super) fn el_17(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    grounds.part(leader, grounds.other_than(leader));
    // Whoever may want to lead has done so by now.
    grounds.run(SETTLED * grounds.times().election_max())?;
    let term = grounds.term();
    let mut client = grounds.client()?;
    let count = trial.times(20, 100, 500) as usize;
    answered_in_turn(&mut grounds, &mut client, count)?;
    counts_up(&mut client)?;
    grounds.run(SETTLED * grounds.times().election_max())?;
    let terms = grounds.term() - term;
    grounds.timely(terms <= 2, || format!("{terms} leaders after all had settled"))
}

/// A leader that nobody hears stops leading, though nobody asks anything of it.
pub(super) fn el_19(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let term = grounds.term();
    grounds.isolate(leader);
    let within = ELECTED * grounds.times().election_max();
    grounds.until("another leader", within, |grounds| {
        grounds.leader().is_some_and(|now| now != leader)
    })?;
    // What it sends is seen, and lost behind that.
    let silent = 3 * grounds.times().election_max();
    grounds.until("the former leader to be silent", within, |grounds| {
        grounds.silence_of(term).is_some_and(|silence| silence > silent)
    })
}

/// All links go up and down, faster than an election takes.
pub(super) fn el_21(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.settle()?;
    let term = grounds.term();
    let half = grounds.times().election_min() / 2;
    let flaps = trial.times(5, 15, 60);
    for _ in 0..flaps {
        for id in grounds.numbers() {
            grounds.isolate(id);
        }
        grounds.run(half)?;
        grounds.heal_all();
        grounds.run(half)?;
    }
    let terms = grounds.term() - term;
    // One in each election time-out, and each flap is one at most.
    grounds.timely(terms <= flaps, || format!("{terms} terms in {flaps} flaps"))?;
    let within = ELECTED * grounds.times().election_max();
    grounds.until("a leader in the calm", within, |grounds| grounds.leader().is_some())?;
    serves(&mut grounds)
}

/// A member's interface goes down, and comes up again with the same address.
pub(super) fn ad_26(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let away = grounds.other_than(leader);
    for _ in 0..trial.times(1, 3, 10) {
        grounds.interface(away, false)?;
        serves(&mut grounds)?;
        grounds.interface(away, true)?;
    }
    check(!grounds.has_ended(away), || "the member ended when its interface went down")?;
    // It is needed now.
    let other = grounds.numbers().find(|id| *id != away && *id != leader).unwrap_or(leader);
    grounds.kill(other);
    serves(&mut grounds)
}

/// The leader hardly gets a processor, so that all of its timers are late, and then does again:
/// whoever leads meanwhile, each message is answered once.
pub(super) fn starved_leader(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let mut starved = grounds.settle()?;
    let mut client = grounds.client()?;
    for _ in 0..trial.times(1, 2, 10) {
        starved = grounds.leader().unwrap_or(starved);
        answered_in_turn(&mut grounds, &mut client, 5)?;
        grounds.starve(starved, STARVED)?;
        let limit = Instant::now() + WHILE_STARVED;
        while Instant::now() < limit {
            if client.sent() < client.replies().len() + UNDER_WAY {
                send(&mut client, 1)?;
            }
            grounds.run(Duration::from_millis(2))?;
        }
        let throttled = grounds.set_free(starved);
        check(throttled > 0, || "a starved member got all that it asked for: nothing was tried")?;
        let sent = client.sent();
        grounds.answered(&mut client, sent, PATIENCE)?;
        counts_up(&mut client)?;
    }
    check(!grounds.has_ended(starved), || "the member ended when it got no processor")?;
    is_needed(&mut grounds, &mut client, starved)?;
    counts_up(&mut client)
}

/// Each datagram between clients and members arrives twice.
pub(super) fn cl_05(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.settle()?;
    grounds.rule(Effect::Repeat(1), |passing| !passing.is_between_members());
    let mut client = grounds.client()?;
    let count = trial.times(100, 500, 2_000) as usize;
    send(&mut client, count)?;
    grounds.answered(&mut client, count, PATIENCE)?;
    counts_up(&mut client)
}

/// New data and repairs are lost: what is missing is asked for again.
pub(super) fn nk_14(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.settle()?;
    grounds.rule(Effect::LoseSometimes(MILLION / 3), |passing| {
        passing.is_between_members() && passing.is_live()
    });
    grounds.rule(Effect::LoseSometimes(MILLION / 2), |passing| {
        passing.is_between_members() && passing.is_repair()
    });
    let mut client = grounds.client()?;
    let count = trial.times(50, 200, 1_000) as usize;
    send(&mut client, count)?;
    grounds.answered(&mut client, count, 2 * PATIENCE)?;
    counts_up(&mut client)?;
    let repairs = grounds.sent("repair");
    check(repairs > 0, || "nothing was ever repaired")
}

/// Statements of the clients' windows are lost for long, and then most of them.
pub(super) fn fc_02(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.settle()?;
    let mut client = grounds.client()?;
    send(&mut client, 1)?;
    grounds.answered(&mut client, 1, PATIENCE)?;
    let number = grounds.rule(Effect::Lose, |passing| passing.kind() == "stream_status");
    let count = trial.times(100, 500, 2_000) as usize;
    send(&mut client, count)?;
    grounds.run(Duration::from_secs(1))?;
    let lost = grounds.remove_rule(number);
    check(lost > 0, || "no window was stated, so none was lost")?;
    grounds
        .rule(Effect::LoseSometimes(MILLION / 10 * 9), |passing| passing.kind() == "stream_status");
    grounds.answered(&mut client, count + 1, 2 * PATIENCE)?;
    counts_up(&mut client)
}

/// The wall clocks of members differ by hours, jump to and fro under load, and are behind at a
/// start; their monotonic clocks drift apart.
pub(super) fn ad_11(trial: &RealTrial<'_>) -> Verdict {
    can_bend_clocks().map_err(Failure::NotApplicable)?;
    let mut dice = Dice::new(trial.seed(), "clocks");
    let mut grounds = trial.grounds(3)?;
    let mut far = move || dice.below(2 * HOURS_FAR * 3_600) as i64 - (HOURS_FAR * 3_600) as i64;
    for (id, fast) in grounds.numbers().zip([-DRIFT, 0, DRIFT]) {
        grounds.set_clock_rate(id, fast)?;
        grounds.set_wall_clock(id, far())?;
    }
    let leader = grounds.settle()?;
    let term = grounds.term();
    let mut client = grounds.client()?;
    for _ in 0..trial.times(5, 20, 200) {
        for id in grounds.numbers() {
            grounds.set_wall_clock(id, far())?;
            answered_in_turn(&mut grounds, &mut client, 5)?;
        }
    }
    for id in grounds.numbers() {
        if grounds.looks_at_clocks(id)? == 0 {
            let why = "the product does not ask the C library for the time";
            return Err(Failure::NotApplicable(why.into()));
        }
    }
    let same = grounds.term() == term && grounds.leader() == Some(leader);
    grounds
        .timely(same, || format!("there was an election: term {} behind {term}", grounds.term()))?;
    // Each life begins before the one that it follows, by the clock on the wall.
    for _ in 0..trial.times(2, 4, 10) {
        for id in grounds.numbers() {
            grounds.set_wall_clock(id, -YEAR)?;
            grounds.kill(id);
            answered_in_turn(&mut grounds, &mut client, 1)?;
            grounds.start(id)?;
        }
    }
    let within = ELECTED * grounds.times().election_max();
    grounds.until("a leader in the calm", within, |grounds| grounds.leader().is_some())?;
    answered_in_turn(&mut grounds, &mut client, 5)?;
    counts_up(&mut client)
}

/// Only `member` can be elected, until all is healed.
pub(super) fn only_elects(grounds: &mut Grounds, member: u16) {
    grounds.rule(Effect::Lose, move |passing| {
        let campaigns = matches!(passing.kind(), "canvass" | "request_vote");
        campaigns && passing.from != Grounds::place_of(member)
    });
}
