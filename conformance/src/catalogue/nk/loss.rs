//! Cases about single losses: of data, of requests, of repairs, of the last datagram.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use quorate_sim::Place;

use crate::case::{Failure, Verdict};
use crate::stage::{ClientNumber, Effect, MICRO, MILLI, Options, Passing, SECOND, Stage};
use crate::trial::Trial;

/// Whether a datagram goes from one member to another.
pub(super) fn goes(passing: &Passing<'_>, from: u16, to: u16) -> bool {
    passing.from == Stage::place_of(from) && passing.to == Stage::place_of(to)
}

/// Loses those datagrams that `filter` wants whose numbers, from 0 on, are in `numbers`; each
/// destination has numbers of its own.
pub(super) fn lose_numbers(
    stage: &mut Stage<'_>,
    what: &str,
    numbers: impl Fn(u64) -> bool + 'static,
    filter: impl Fn(&Passing<'_>) -> bool + 'static,
) -> u32 {
    let seen: RefCell<BTreeMap<Place, u64>> = RefCell::default();
    stage.rule(what, Effect::Lose, move |passing| {
        if !filter(passing) {
            return false;
        }
        let mut seen = seen.borrow_mut();
        let number = seen.entry(passing.to).or_default();
        *number += 1;
        numbers(*number - 1)
    })
}

/// A group that serves one client.
pub(super) fn served<'a>(
    trial: &Trial<'a>,
    options: Options,
) -> Result<(Stage<'a>, u16, ClientNumber), Failure> {
    let mut stage = trial.stage(options);
    let leader = stage.settle()?;
    let client = stage.connected_clients(1)?[0];
    stage.even_out()?;
    Ok((stage, leader, client))
}

/// A client submits a message, which is not refused.
pub(super) fn submit(stage: &mut Stage<'_>, client: ClientNumber, bytes: usize) -> Verdict {
    let refused = |reject| Failure::broken(format!("a client refuses a message: {reject}"));
    stage.submit(client, &vec![7; bytes]).map(drop).map_err(refused)
}

pub(super) fn nk_01(trial: &mut Trial<'_>) -> Verdict {
    let (mut stage, _, client) = served(trial, Options::members(3))?;
    let subsets = (0..1_u64 << 10).filter(|subset| subset.count_ones() == 3);
    for subset in subsets.step_by(trial.times(15, 1, 1) as usize) {
        let drops = move |number| number < 10 && subset >> number & 1 == 1;
        let rule =
            lose_numbers(&mut stage, "some of ten are lost", drops, |passing| passing.is_live());
        for _ in 0..10 {
            // Apart, so that each is a datagram of its own.
            submit(&mut stage, client, 100)?;
            let apart = stage.round_trip();
            stage.run(apart)?;
        }
        stage.even_out()?;
        let lost = stage.remove_rule(rule);
        stage.check(lost == 6, || format!("{lost} slices were lost, not 3 to each follower"))?;
    }
    repaired_by_naks_alone(&mut stage, &[client])?;

    for seed in 0..trial.times(1, 8, 100) {
        let mut stage = trial.stage_of(Options::members(3), trial.seed() + 1 + seed);
        stage.settle()?;
        let clients = stage.connected_clients(2)?;
        let some = Effect::LoseSometimes(300_000);
        stage.rule("30 % of the log's data is lost", some, |passing| passing.is_log_data());
        stage.pour(&clients, 60, 800, 60 * SECOND)?;
        stage.even_out()?;
        repaired_by_naks_alone(&mut stage, &clients)?;
    }
    Ok(())
}

fn repaired_by_naks_alone(stage: &mut Stage<'_>, clients: &[ClientNumber]) -> Verdict {
    let answered = stage.is_answered(clients);
    stage.check(answered, || "not every message was answered once and in order".into())?;
    let (naks, elections) = (stage.sent_since(0, "nak"), stage.elections());
    stage.check(naks > 0 && elections == 1, || format!("{naks} NAKs, {elections} elections"))
}

/// A group of three between whose members nothing is overtaken.
fn in_order() -> Options {
    let mut options = Options::members(3);
    options.latency = (100 * MICRO, 100 * MICRO);
    options
}

pub(super) fn nk_02(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(in_order());
    stage.settle()?;
    let clients = stage.connected_clients(8)?;
    stage.even_out()?;
    let begun = stage.now();
    stage.pour(&clients, trial.times(60, 250, 10_000), 8 << 10, 600 * SECOND)?;
    stage.even_out()?;
    let is_data = |kind| matches!(kind, "live" | "repair" | "ingress" | "egress");
    let (mut data, mut control) = (0, 0);
    let between_members = |place| matches!(place, Place::Member(_));
    for sighting in stage.sightings().iter().filter(|sighting| sighting.at >= begun) {
        if between_members(sighting.from) && between_members(sighting.to) {
            *(if is_data(sighting.kind) { &mut data } else { &mut control }) += sighting.bytes;
        }
    }
    let (naks, repairs) = (stage.sent_since(begun, "nak"), stage.sent_since(begun, "repair"));
    stage.check(naks + repairs == 0, || format!("{naks} NAKs and {repairs} repairs"))?;
    stage.check(control * 100 < data, || format!("{control} control bytes, {data} of data"))
}

/// A follower loses a slice, and then the first `lost` datagrams of a kind that would repair it;
/// it is level within so many requests all the same.
fn repaired_in_spite_of(trial: &Trial<'_>, what: &str, kind: &'static str) -> Verdict {
    let (mut stage, leader, client) = served(trial, Options::members(3))?;
    let follower = stage.other_than(leader);
    let timing = stage.timing().clone();
    for lost in 1..=trial.times(4, 8, 30) {
        let live = move |passing: &Passing<'_>| {
            passing.is_live() && passing.to == Stage::place_of(follower)
        };
        let first = lose_numbers(&mut stage, "a slice is lost", |number| number == 0, live);
        let left = Rc::new(Cell::new(lost));
        let rule = stage.rule(what, Effect::Lose, move |passing| {
            let places = [passing.from, passing.to];
            let hits = passing.kind() == kind && places.contains(&Stage::place_of(follower));
            let loses = hits && left.get() > 0;
            left.set(left.get() - u64::from(loses));
            loses
        });
        submit(&mut stage, client, 300)?;
        let once = timing.nak_retry.0 + 2 * timing.nak_delay.0 + stage.round_trip();
        let linger = timing.repair_linger.0;
        let within = stage.heartbeat() + (lost + 1) * (once + linger);
        stage.run(stage.round_trip() * 4)?;
        stage.until("the follower is repaired", within, move |stage| {
            stage.is_level(&[leader, follower])
        })?;
        let (slices, others) = (stage.remove_rule(first), stage.remove_rule(rule));
        let all = slices == 1 && others == lost;
        stage.check(all, || format!("{slices} slices and {others} of {lost} {kind} were lost"))?;
    }
    repaired_by_naks_alone(&mut stage, &[client])
}

pub(super) fn nk_14(trial: &mut Trial<'_>) -> Verdict {
    repaired_in_spite_of(trial, "the first repairs are lost", "repair")
}

pub(super) fn nk_15(trial: &mut Trial<'_>) -> Verdict {
    repaired_in_spite_of(trial, "the first requests are lost", "nak")
}

pub(super) fn nk_16(trial: &mut Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = served(trial, Options::members(5))?;
    let followers: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
    for round in 0..trial.times(4, 40, 400) as usize {
        // One of them loses it, then two, then all.
        let losers = followers[..1 + round % followers.len()].to_vec();
        let deaf = losers.clone();
        let rule = lose_numbers(&mut stage, "the last slice is lost", |number| number == 0, {
            move |passing| passing.is_live() && deaf.iter().any(|to| goes(passing, leader, *to))
        });
        submit(&mut stage, client, 200)?;
        let matched = Rc::new(Cell::new(0_u64));
        stage.until("the slice is sent", SECOND, |stage| {
            matched.set(stage.sightings().last().map_or(0, |last| last.at));
            stage
                .sightings()
                .iter()
                .rev()
                .take(64)
                .any(|sent| sent.kind == "live" && sent.fate == crate::stage::story::Fate::Lost)
        })?;
        let lost_at = matched.get();
        let delay = stage.timing().nak_delay.0;
        let within = stage.heartbeat() + stage.round_trip() / 2 + delay;
        stage.run(within)?;
        for loser in losers {
            let asked = stage.sightings().iter().rev().any(|sent| {
                sent.at >= lost_at && sent.kind == "nak" && sent.from == Stage::place_of(loser)
            });
            let millis = within / MILLI;
            stage.check(asked, || format!("member {loser} had not asked after {millis} ms"))?;
        }
        stage.even_out()?;
        stage.remove_rule(rule);
        // Long enough for heartbeats to be at their slowest again.
        let quiet = 4 * stage.heartbeat();
        stage.run(quiet)?;
    }
    repaired_by_naks_alone(&mut stage, &[client])
}

pub(super) fn nk_29(trial: &mut Trial<'_>) -> Verdict {
    let options = in_order().limits(|limits| limits.slice_bytes = 256);
    let (mut stage, leader, client) = served(trial, options)?;
    let follower = stage.other_than(leader);
    for lost in (0..64_u64).step_by(trial.times(8, 1, 1) as usize) {
        let begun = stage.now();
        let rule = lose_numbers(&mut stage, "one slice is lost", move |number| number == lost, {
            move |passing| passing.is_live() && goes(passing, leader, follower)
        });
        submit(&mut stage, client, 16 << 10)?;
        let wait = stage.round_trip() * 4;
        stage.run(wait)?;
        stage.even_out()?;
        let matched = stage.remove_rule(rule);
        let sightings = stage.sightings();
        let new = &sightings[sightings.partition_point(|sent| sent.at < begun)..];
        let lengths = |kind, fate: fn(&crate::stage::story::Fate) -> bool| {
            let wanted = new.iter().filter(|sent| sent.kind == kind && fate(&sent.fate));
            wanted.map(|sent| sent.bytes).collect::<Vec<_>>()
        };
        let dropped = lengths("live", |fate| *fate == crate::stage::story::Fate::Lost);
        let repaired = lengths("repair", |_| true);
        let exact = matched == 1 && dropped == repaired;
        stage.check(exact, || {
            format!("slice {lost} of {dropped:?} bytes was lost, {repaired:?} were sent again")
        })?;
    }
    repaired_by_naks_alone(&mut stage, &[client])
}
