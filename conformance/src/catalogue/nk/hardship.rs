//! Cases about many losses, long roads and others who help.

use core::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use quorate_core::message::EpochRange;
use quorate_core::{Duration, Message, Position, PositionRange, Stream};
use quorate_sim::{Dice, Place};

use super::loss::{goes, lose_numbers, served, submit};
use super::repairing;
use crate::case::Verdict;
use crate::stage::{Effect, MICRO, MILLI, Options, SECOND, Stage};
use crate::trial::Trial;

/// A group whose members are a quarter of a second apart, there and back, with time-outs for that.
fn far_apart(members: usize) -> Options {
    let mut options = Options::members(members).timing(|timing| {
        timing.heartbeat_interval = Duration::from_millis(250);
        timing.election_timeout_min = Duration::from_millis(2_000);
        timing.election_timeout_max = Duration::from_millis(4_000);
        timing.progress_timeout = Duration::from_millis(8_000);
    });
    options.latency = (125 * MILLI, 125 * MILLI);
    options.client_timing.server_timeout = Duration::from_millis(4_000);
    options.client_timing.connect_retry = Duration::from_millis(2_000);
    options.client_timing.nak_retry = Duration(4 * options.latency.1);
    options
}

pub(super) fn nk_07(trial: &mut Trial<'_>) -> Verdict {
    let mut options = far_apart(3).limits(|limits| {
        limits.slice_bytes = 128;
        limits.run_bytes_max = 128;
    });
    // Whoever is that far apart waits that long for an answer.
    options.timing.nak_retry = Duration(4 * options.latency.1);
    let mut stage = trial.stage(options);
    let leader = stage.settle()?;
    let follower = stage.other_than(leader);
    let clients = stage.connected_clients(8)?;
    stage.even_out()?;

    // A hundred holes of 1 to 50 slices, with one slice between each two.
    let mut dice = Dice::new(trial.seed(), "nk_07");
    let (mut last, mut kept) = (0, vec![0_u64]);
    for _ in 0..100 {
        last += 1 + dice.between(1, 50);
        kept.push(last);
    }
    let drops = move |number| number <= last && !kept.contains(&number);
    let begun = stage.now();
    let rule = lose_numbers(&mut stage, "a hundred holes", drops, move |passing| {
        passing.is_live() && goes(passing, leader, follower)
    });
    for client in &clients {
        for _ in 0..64 {
            submit(&mut stage, *client, 740)?;
        }
    }
    let (round_trip, delay) = (stage.round_trip(), stage.timing().nak_delay.0);
    stage.until("the first of it is sent", 4 * round_trip, move |stage| {
        stage.view(leader).verified.0 > 0 && stage.sent_since(begun, "live") > 0
    })?;
    let sent_at = stage.now();
    // Half a round trip for the slices, one for request and answer, and one to spare.
    stage.until("all holes are repaired", 3 * round_trip, move |stage| {
        stage.view(follower).received == stage.view(leader).verified
            && stage.view(leader).verified.0 > 100 * 128
    })?;
    let naks: Vec<u64> = stage
        .sightings()
        .iter()
        .filter(|sent| sent.at >= sent_at && sent.kind == "nak")
        .map(|sent| sent.at)
        .collect();
    let lost = stage.remove_rule(rule);
    stage.check(lost > 100, || format!("only {lost} slices were lost"))?;
    // One for the hole that was found first and one when three slices have overtaken it, then
    // ⌈98 holes / 32 ranges⌉, each a delay behind the one before; one more for the announced end.
    let span = naks.last().zip(naks.first()).map_or(0, |(last, first)| last - first);
    let few = naks.len() <= 7 && span <= 7 * delay;
    stage.check(few, || format!("{} requests over {} us", naks.len(), span / MICRO))
}

/// A small window, so that who was away for a while finds nothing of what it lacks in one.
fn small_window(members: usize) -> Options {
    Options::members(members).limits(|limits| {
        limits.window_bytes = 128 << 10;
        limits.uncommitted_bytes_max = 64 << 10;
        limits.unapplied_bytes_max = 64 << 10;
        limits.message_bytes_max = 2 << 10;
        limits.read_bytes_max = 4 << 10;
    })
}

pub(super) fn nk_12(trial: &mut Trial<'_>) -> Verdict {
    repairing::a_busy_service_leaves_others_their_reads()?;
    let options = small_window(3).limits(|limits| {
        limits.reads_max = 1;
        limits.repair_budget_bytes = 16 << 10;
    });
    let (mut stage, leader, client) = served(trial, options)?;
    let follower = stage.other_than(leader);
    stage.isolate(follower);
    stage.pour(&[client], trial.times(200, 400, 2_000), 1_500, 60 * SECOND)?;
    stage.heal_all();
    stage.even_out()?;
    let refused: u64 = stage.numbers().map(|member| stage.counters(member).repairs_refused).sum();
    let elections = stage.elections();
    stage.check(refused > 0, || "nothing was more than there are slots for".into())?;
    stage.check(elections == 1, || format!("{elections} elections"))
}

pub(super) fn nk_13(trial: &mut Trial<'_>) -> Verdict {
    repairing::a_budget_leaves_no_crumbs()?;
    let options = Options::members(7).limits(|limits| limits.repair_budget_bytes = 32 << 10);
    let (budget, interval) =
        (options.limits.repair_budget_bytes, options.timing.heartbeat_interval);
    let mut stage = trial.stage(options);
    let leader = stage.settle()?;
    let clients = stage.connected_clients(4)?;
    stage.even_out()?;
    let begun = stage.now();
    // Two come back with a lot to ask for at once.
    let away: Vec<u16> = stage.numbers().filter(|member| *member != leader).take(2).collect();
    away.iter().for_each(|member| stage.isolate(*member));
    stage.offer(&clients, 1_000, MILLI, 80 * MILLI)?;
    stage.heal_all();
    let mut dice = Dice::new(trial.seed(), "nk_13");
    stage.rule("20 % of what followers get of the log is lost", Effect::Lose, move |passing| {
        passing.is_log_data() && dice.chance(200_000)
    });
    let duration = trial.times(SECOND, SECOND, 60 * SECOND);
    let offered = stage.offer(&clients, 1_000, MILLI, duration)?;
    let mut repairs: BTreeMap<(Place, u64), u64> = BTreeMap::new();
    let sightings = stage.sightings().iter().filter(|sent| sent.at >= begun);
    for sent in sightings.filter(|sent| sent.kind == "repair") {
        *repairs.entry((sent.from, sent.at / interval.0)).or_default() += sent.bytes as u64;
    }
    // A span of that length meets two intervals; headers are a twelfth at most beside slices of the
    // default size.
    let (bound, most) = (2 * budget * 13 / 12, repairs.values().copied().max().unwrap_or(0));
    stage.check(most <= bound, || format!("{most} bytes repaired in an interval, not {bound}"))?;
    let wanted = offered.accepted + offered.refused;
    let goodput = offered.answered * 10 >= wanted * 9;
    stage.check(goodput, || format!("{} of {wanted} messages answered", offered.answered))?;
    let elections = stage.elections();
    stage.check(elections == 1, || format!("{elections} elections"))?;
    stage.even_out()?;
    drop(stage);
    beside_a_greedy_one(trial)
}

/// One member asks for the end of the log over and over, and for more than the budget; another
/// one, which lacks a fifth of what is new, gets it all the same.
fn beside_a_greedy_one(trial: &Trial<'_>) -> Verdict {
    let options = Options::members(3).limits(|limits| limits.repair_budget_bytes = 16 << 10);
    let interval = options.timing.heartbeat_interval.0;
    let (mut stage, leader, client) = served(trial, options)?;
    let modest = stage.other_than(leader);
    let greedy = stage.numbers().find(|member| ![leader, modest].contains(member)).unwrap_or(0);
    let mut dice = Dice::new(trial.seed(), "nk_13 greedy");
    stage.rule("a fifth of what is new is lost on the way to one", Effect::Lose, move |passing| {
        passing.is_live() && goes(passing, leader, modest) && dice.chance(200_000)
    });
    stage.rule("only the leader repairs", Effect::Lose, move |passing| {
        passing.is_log_data() && passing.from == Stage::place_of(greedy)
    });
    let mut written = VecDeque::new();
    let steps = trial.times(300, 2_000, 20_000);
    for step in 0..steps {
        if step % 2 == 0 {
            submit(&mut stage, client, 1_000)?;
        }
        let end = stage.view(leader).verified;
        let range = PositionRange::new(Position(end.0.saturating_sub(64 << 10)), end);
        let epoch = stage.view(leader).term.0;
        let ranges = [EpochRange { epoch, range }].into_iter().collect();
        let nak = Message::Nak { stream: Stream::Log, ranges };
        stage.inject_message(greedy, leader, &nak);
        stage.run(500 * MICRO)?;
        written.push_back((stage.now(), end));
        // Asked for in one interval, it is repaired in the next; a few requests may be in vain.
        while written.front().is_some_and(|(at, _)| at + 3 * interval <= stage.now()) {
            let (_, owed) = written.pop_front().unwrap_or_default();
            let got = stage.view(modest).received;
            stage.check(got >= owed, || {
                format!("member {modest} has {got} of {owed} three intervals later")
            })?;
        }
    }
    let to = Stage::place_of(greedy);
    let repaired = stage.sightings().iter().filter(|sent| sent.kind == "repair" && sent.to == to);
    let repaired = repaired.count();
    stage.check(repaired > 50, || format!("only {repaired} repairs were sent to the greedy one"))
}

pub(super) fn nk_17(trial: &mut Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = served(trial, small_window(5))?;
    let others: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
    let (poor, behind) = (others[0], others[1]);
    stage.isolate(poor);
    stage.isolate(behind);
    stage.pour(&[client], trial.times(150, 300, 2_000), 1_500, 60 * SECOND)?;
    let window = stage.limits().window_bytes;
    let gone = stage.view(leader).verified.0 - stage.view(behind).verified.0 > window;
    stage.check(gone, || "the window still has what is to be asked for".into())?;

    // The leader's repairs do not reach the one behind, and whom it asks next lacks the same.
    let begun = stage.now();
    for other in others.iter().chain([&leader]).filter(|other| **other != behind) {
        stage.heal(*other, behind);
        stage.heal(behind, *other);
    }
    stage.rule("the leader's repairs are lost", Effect::Lose, move |passing| {
        passing.is_log_data() && goes(passing, leader, behind)
    });
    let within = 4 * SECOND;
    stage.until("who is behind gets the bytes from another", within, move |stage| {
        stage.view(behind).verified == stage.view(leader).verified
    })?;
    let refusals = stage.sightings().iter().filter(|sent| {
        sent.at >= begun && sent.kind == "unavailable" && sent.from == Stage::place_of(poor)
    });
    let refusals = refusals.count();
    stage.check(refusals > 0, || format!("member {poor} did not say that it lacks the bytes"))?;
    stage.heal_all();
    stage.even_out()?;
    let elections = stage.elections();
    stage.check(elections == 1, || format!("{elections} elections"))
}

pub(super) fn nk_22(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    stage.settle()?;
    let clients = stage.connected_clients(6)?;
    stage.even_out()?;
    let begun = stage.now();
    let mut dice = Dice::new(trial.seed(), "nk_22");
    stage.rule("half of the data is lost", Effect::Lose, move |passing| {
        (passing.is_log_data()) && dice.chance(500_000)
    });
    // In bursts, which is when losses are many at once.
    for _ in 0..trial.times(15, 80, 3_000) {
        for client in &clients {
            submit(&mut stage, *client, 16_000)?;
        }
        stage.run(20 * MILLI)?;
    }
    let bytes_of = |wanted: &[&str]| -> usize {
        let new = stage.sightings().iter().filter(|sent| sent.at >= begun);
        new.filter(|sent| wanted.contains(&sent.kind)).map(|sent| sent.bytes).sum()
    };
    let (naks, data) = (bytes_of(&["nak"]), bytes_of(&["live", "repair"]));
    stage.check(naks > 0 && naks * 50 <= data, || {
        format!("{naks} bytes of NAKs beside {data} of data")
    })?;
    stage.even_out()
}

pub(super) fn nk_23(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(7));
    let leader = stage.settle()?;
    let clients = stage.connected_clients(4)?;
    stage.even_out()?;
    let deaf: Vec<u16> = stage.numbers().filter(|member| *member != leader).take(3).collect();
    for round in 0..trial.times(1, 2, 20) {
        let others: Vec<u16> = stage.numbers().filter(|member| !deaf.contains(member)).collect();
        stage.part(&deaf, &others);
        stage.offer(&clients, 1_000, MILLI, 500 * MILLI)?;
        stage.heal_all();
        let (healed, owed) = (stage.now(), stage.view(leader).verified);
        let (round_trip, delay) = (stage.round_trip(), stage.timing().nak_delay.0);
        // Until the leader is heard again, which load makes soon; then the delay, and five trips.
        let first = stage.heartbeat();
        let back = deaf.clone();
        stage.until("the blackout is repaired", first + delay + 5 * round_trip, move |stage| {
            back.iter().all(|member| stage.view(*member).received >= owed)
        })?;
        let mut asked: Vec<u64> = stage
            .sightings()
            .iter()
            .filter(|sent| sent.at >= healed)
            .filter(|sent| sent.kind == "nak")
            .map(|sent| sent.at)
            .collect();
        let begin = asked.first().copied().unwrap_or(0);
        asked.retain(|at| *at <= begin + round_trip);
        // A single loss costs one request of each who has it.
        let bound = 3 * deaf.len();
        let text = format!("blackout {round}: {} NAKs in the first round trip", asked.len());
        stage.check(!asked.is_empty() && asked.len() <= bound, || text)?;
        stage.even_out()?;
    }
    let elections = stage.elections();
    stage.check(elections == 1, || format!("{elections} elections"))
}

pub(super) fn nk_24(trial: &mut Trial<'_>) -> Verdict {
    let mut options = far_apart(3);
    options.latency = (50 * MICRO, 50 * MICRO);
    let mut stage = trial.stage(options);
    stage.settle()?;
    let clients = stage.connected_clients(2)?;
    stage.even_out()?;
    let mut dice = Dice::new(trial.seed(), "nk_24");
    let lost = Rc::new(RefCell::new(Vec::new()));
    let losses = Rc::clone(&lost);
    stage.rule("1 % of new data is lost", Effect::Lose, move |passing| {
        let loses = passing.is_live() && dice.chance(10_000);
        if loses {
            losses.borrow_mut().push(passing.at);
        }
        loses
    });
    stage.offer(&clients, 1_000, MILLI, 200 * MILLI)?;
    let step = Effect::Delay(125 * MILLI);
    stage.rule("the road becomes long", step, |passing| passing.is_between_members());
    let settled = stage.now() + 750 * MILLI;
    stage.offer(&clients, 1_000, 2 * MILLI, trial.times(2, 3, 20) * SECOND)?;
    let lost = lost.borrow().iter().filter(|at| **at >= settled).count();
    let repairs = stage.sent_since(settled, "repair");
    stage.check(repairs * 10 <= lost * 12, || {
        format!("{repairs} repairs of {lost} lost slices, three round trips behind the step")
    })
}

/// A rule that loses runs of `run` datagrams on each link between members, one in `parts` of all.
fn burst_loss(stage: &mut Stage<'_>, seed: u64, run: u64, parts: u64) -> u32 {
    let mut dice = Dice::new(seed, "burst");
    let mut left: BTreeMap<(Place, Place), u64> = BTreeMap::new();
    stage.rule("losses come in bursts", Effect::Lose, move |passing| {
        if !passing.is_between_members() {
            return false;
        }
        let left = left.entry((passing.from, passing.to)).or_default();
        if *left == 0 && dice.below(run * (parts - 1)) == 0 {
            *left = run;
        }
        let loses = *left > 0;
        *left -= u64::from(loses);
        loses
    })
}

pub(super) fn nk_25(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    stage.settle()?;
    let clients = stage.connected_clients(4)?;
    stage.even_out()?;
    let rule = burst_loss(&mut stage, trial.seed(), 50, 10);
    let duration = trial.times(500 * MILLI, 3 * SECOND, 60 * SECOND);
    let offered = stage.offer(&clients, 1_000, MILLI, duration)?;
    let lost = stage.remove_rule(rule);
    let wanted = offered.accepted + offered.refused;
    let good = offered.answered * 10 >= wanted * 7;
    stage.check(lost > 0, || "no burst came".into())?;
    stage.check(good, || format!("{} of {wanted} messages answered", offered.answered))?;
    let elections = stage.elections();
    stage.check(elections == 1, || format!("{elections} elections"))?;
    stage.even_out()
}

pub(super) fn nk_26(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    stage.settle()?;
    let clients = stage.connected_clients(1)?;
    stage.even_out()?;
    let begun = stage.now();
    let mut dice = Dice::new(trial.seed(), "nk_26");
    stage.rule("1 % is lost", Effect::Lose, move |_| dice.chance(10_000));
    stage.rule("up to 5 ms of jitter", Effect::DelayUpTo(5 * MILLI), |_| true);
    let duration = trial.times(4 * SECOND, 60 * SECOND, 3_600 * SECOND);
    stage.offer(&clients, 200, 50 * MILLI, duration)?;
    stage.heal_all();
    stage.even_out()?;
    let (elections, histories) = (stage.elections(), stage.sent_since(begun, "history"));
    stage.check(elections == 1, || format!("{elections} elections"))?;
    stage.check(histories == 0, || format!("a member had to begin anew {histories} times"))?;
    let answered = stage.is_answered(&clients);
    stage.check(answered, || "not all messages were answered".into())
}

pub(super) fn nk_31(trial: &mut Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = served(trial, Options::members(3))?;
    let follower = stage.other_than(leader);
    let peer = stage.numbers().find(|member| ![leader, follower].contains(member)).unwrap_or(0);
    let repaired = |stage: &Stage<'_>, since: u64| {
        let repairs = stage.sightings().iter().filter(|sent| {
            sent.at >= since && sent.kind == "repair" && sent.to == Stage::place_of(follower)
        });
        repairs.filter(|sent| sent.from == Stage::place_of(peer)).count()
    };
    let same = move |stage: &Stage<'_>| {
        let (view, lead) = (stage.view(follower), stage.view(leader));
        view.verified == lead.verified && view.verified_chain == lead.verified_chain
    };
    // Only the leader's bytes do not come.
    let begun = stage.now();
    let rule = stage.rule("the leader's data is lost", Effect::Lose, move |passing| {
        passing.is_log_data() && goes(passing, leader, follower)
    });
    stage.pour(&[client], trial.times(20, 100, 1_000), 500, 60 * SECOND)?;
    let within = 2 * stage.election_timeout();
    stage.until("a peer repairs the follower", within, same)?;
    stage.remove_rule(rule);
    let count = repaired(&stage, begun);
    stage.check(count > 0, || "the peer sent no repairs".into())?;

    // Nothing at all comes from the leader.
    let begun = stage.now();
    stage.cut(leader, follower);
    stage.cut(follower, leader);
    stage.pour(&[client], trial.times(20, 100, 1_000), 500, 60 * SECOND)?;
    let within = 4 * stage.election_timeout();
    stage.until("a peer teaches the follower", within, same)?;
    let (count, elections) = (repaired(&stage, begun), stage.elections());
    stage.check(count > 0, || "the peer sent no repairs".into())?;
    stage.check(elections == 1, || format!("{elections} elections"))?;
    stage.heal_all();
    stage.even_out()
}
