//! Every queue has its cap, and every event its number of actions.

use std::time::Instant;

use quorate_core::message::EpochRange;
use quorate_core::{Action, Chain, Limits, Message, Position, PositionRange, Stream, Term};
use quorate_sim::{Dice, Ledger, Swarm, World};

use crate::case::{Failure, Verdict, check};
use crate::desk::{Desk, DeskOptions, LogPiece, line, opening, piece};
use crate::trial::Trial;

/// Runs worlds of these limits; whatever an observer or an invariant of a member finds is a
/// failure.
fn worlds(
    trial: &Trial<'_>,
    count: u64,
    steps: u64,
    change: impl Fn(&mut Limits, &mut Dice),
) -> Verdict {
    for round in 0..count {
        let seed = quorate_core::hash::mix(trial.seed(), round);
        let mut swarm = Swarm::draw(seed);
        change(&mut swarm.limits, &mut Dice::new(seed, "limits"));
        swarm.client_limits.in_flight_max = swarm.limits.in_flight_max;
        let services = |swarm: &Swarm| -> Box<dyn quorate_sim::Service> {
            Box::new(Ledger::new(swarm.limits.reply_bytes_max as usize))
        };
        let mut world = World::with(seed, swarm, Box::new(services));
        world.run(steps);
        let outcome = world.outcome();
        trial.count("steps", outcome.steps);
        if let Some(finding) = outcome.finding {
            let what = format!("{}: {}", finding.id, finding.message);
            return Err(Failure::Broken { what, observer: Some(finding.id) });
        }
    }
    Ok(())
}

pub(super) fn rb_01(trial: &mut Trial<'_>) -> Verdict {
    let (count, steps) = (trial.times(2, 6, 400), trial.times(3_000, 8_000, 20_000));
    worlds(trial, count, steps, |limits, dice| {
        limits.coverage_ranges_max = dice.pick(&[1, 2, 3]);
        limits.reads_max = 1;
        limits.apply_batch_max = dice.pick(&[1, 2]);
        limits.in_flight_max = dice.pick(&[1, 2, 5]);
        limits.timers_max = 64;
    })
}

/// The most actions of one event that a host has to be ready for, as the limits give it: each
/// session may be sent a run and a status, each member all runs of a window, repairs and control
/// messages, and each frame is applied once.
fn actions_max(limits: &Limits, members: u64) -> u64 {
    let runs = |bytes: u64| bytes.div_ceil(limits.run_bytes_max);
    256 + limits.apply_batch_max as u64
        + limits.sessions_max as u64 * (4 + runs(limits.session_window_bytes))
        + members * (16 + 2 * runs(limits.window_bytes))
}

pub(super) fn rb_04(trial: &mut Trial<'_>) -> Verdict {
    // A member whose window is full is asked by all others for all of it, in as many ranges as a
    // request has, over and over.
    let limits = Limits {
        window_bytes: 1 << 20,
        uncommitted_bytes_max: 512 << 10,
        unapplied_bytes_max: 512 << 10,
        repair_budget_bytes: 256 << 10,
        ..Limits::default()
    };
    let most = actions_max(&limits, 7);
    let options = DeskOptions { limits: limits.clone(), ..DeskOptions::member_of(7) };
    let mut desk = Desk::new(options)?;
    let line = line(4, 2, Position::ZERO, Chain::default());
    desk.follow(2, 4, &[line]);
    let mut last = opening(&line, Term(0));
    desk.receive_log(2, 4, &last, None);
    while last.end.0 < 600 << 10 {
        last = message_behind(&last, 1_000);
        desk.receive_log(2, 4, &last, None);
        desk.complete_all();
    }
    let part = (last.end.0 / 32) & !7;
    let ranges = (0..32).map(|number| EpochRange {
        epoch: 4,
        range: PositionRange::at(Position(number * part), part),
    });
    let nak = Message::Nak { stream: Stream::Log, ranges: ranges.collect() };
    let (mut sent, mut worst) = (0, 0);
    for from in 3..=7 {
        let actions = desk.receive(from, nak.clone());
        worst = worst.max(actions.len() as u64);
        let bytes = actions.iter().map(|action| match action {
            Action::SendData { range, .. } => range.len(),
            _ => 0,
        });
        sent += bytes.sum::<u64>();
    }
    check(worst <= most, || format!("{worst} actions for one event, {most} are documented"))?;
    check(sent > 0 && sent <= limits.repair_budget_bytes, || {
        format!("{sent} repair bytes at once, the budget is {}", limits.repair_budget_bytes)
    })?;
    trial.count("actions_max", worst);
    // And whatever a simulated group meets stays below it too.
    let (count, steps) = (trial.times(1, 3, 200), trial.times(3_000, 6_000, 20_000));
    worlds(trial, count, steps, |_, _| {})
}

/// A message of term 4 behind another frame.
fn message_behind(last: &LogPiece, length: usize) -> LogPiece {
    let body = quorate_core::frame::Body::Message {
        session: quorate_core::SessionId(0),
        sequence: last.end.0,
        time: quorate_core::LogTime(2),
    };
    piece(4, last.end, last.chain, &body, &vec![7; length])
}

/// Nanoseconds that a follower with so many holes takes for one more slice.
fn cost_with_holes(holes: u64) -> Result<u64, Failure> {
    let limits = Limits { coverage_ranges_max: 1 << 14, ..Limits::default() };
    let mut desk = Desk::new(DeskOptions { limits, ..DeskOptions::member_of(3) })?;
    let line = line(4, 2, Position::ZERO, Chain::default());
    desk.follow(2, 4, &[line]);
    let first = opening(&line, Term(0));
    desk.receive_log(2, 4, &first, None);
    let island = |number: u64| {
        let start = first.end.plus(64 * number + 32);
        let bytes = vec![1; 8];
        LogPiece { start, end: start.plus(8), bytes, chain: Chain::default() }
    };
    let spare = 400;
    // The farthest first, so that no slice simply goes to the end.
    for number in (0..holes).rev() {
        desk.receive_log(2, 4, &island(2 * number + 2 * spare), None);
    }
    let begun = Instant::now();
    for number in 0..spare {
        desk.receive_log(2, 4, &island(2 * number), None);
    }
    Ok(begun.elapsed().as_nanos() as u64 / spare)
}

pub(super) fn rb_08(trial: &mut Trial<'_>) -> Verdict {
    let best = |holes: u64| -> Result<u64, Failure> {
        let mut best = u64::MAX;
        for _ in 0..3 {
            best = best.min(cost_with_holes(holes)?);
        }
        Ok(best.max(1))
    };
    let (few, many) = (best(32)?, best(4_096)?);
    trial.count("ns_with_32_holes", few);
    trial.count("ns_with_4096_holes", many);
    // 128 times as many holes. A search finds the place in a few steps more, and what lies behind
    // it is moved in one piece; a walk over the holes would be far above this.
    check(many <= 16 * few, || {
        format!("a slice costs {few} ns with 32 holes, and {many} ns with 4096")
    })
}
