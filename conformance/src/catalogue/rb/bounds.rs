//! Every queue has its cap, and every event its number of actions.

use quorate_core::message::{EpochRange, Live};
use quorate_core::stream::REQUESTS_MAX;
use quorate_core::{
    Action, Chain, Duration, Event, Limits, Message, Position, PositionRange, Stream, Term, Timing,
};
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

/// A follower's log with many holes in it, and what its dearest event cost.
struct Holes {
    desk: Desk,
    first: Position,
    timing: Timing,
    before: u64,
    dearest: u64,
}

/// Nanoseconds after which a hole is asked for that was only announced, in delays.
const PATIENCE: u64 = 4;

impl Holes {
    /// A follower that has asked for so many words and as many behind them, one of which is to
    /// come, and got none.
    fn new(holes: u64) -> Result<Self, Failure> {
        let limits = Limits {
            coverage_ranges_max: 1 << 18,
            repair_request_bytes_max: 8 << 20,
            ..Limits::default()
        };
        let options = DeskOptions { limits, ..DeskOptions::member_of(3) };
        let timing = options.timing.clone();
        let mut desk = Desk::new(options)?;
        let line = line(4, 2, Position::ZERO, Chain::default());
        desk.follow(2, 4, &[line]);
        let first = opening(&line, Term(0));
        let live = Live { newest: first.end.plus(16 * holes), commit: Position::ZERO };
        desk.receive_log(2, 4, &first, Some(live));
        let mut this = Self { desk, first: first.end, timing, before: 0, dearest: 0 };
        this.pass(PATIENCE * this.timing.nak_delay.0);
        Ok(this)
    }

    /// The second word of each pair arrives, of this pair.
    fn island(&mut self, number: u64) {
        let start = self.first.plus(16 * number + 8);
        let (end, bytes) = (start.plus(8), vec![1; 8]);
        let slice = LogPiece { start, end, bytes, chain: Chain::default() };
        self.desk.receive_log(2, 4, &slice, None);
        self.note();
    }

    fn pass(&mut self, duration: u64) {
        let end = self.desk.now + Duration(duration);
        while let Some(due) = self.desk.member.next_deadline().filter(|due| *due <= end) {
            self.desk.now = due.max(self.desk.now);
            self.desk.step(Event::Timer);
            self.note();
        }
        self.desk.now = end;
    }

    fn note(&mut self) {
        let steps = self.desk.member.hole_steps();
        self.dearest = self.dearest.max(steps - self.before);
        self.before = steps;
    }
}

/// Steps of a follower's dearest event while so many holes open in what it has asked for, and of
/// its dearest one while it asks for them one by one.
fn costs_with_holes(holes: u64) -> Result<(u64, u64), Failure> {
    let mut log = Holes::new(holes)?;
    check(log.desk.member.counters().naks_sent == 1, || "it asked for all in one request")?;
    (0..holes).for_each(|number| log.island(number));
    let one_request = core::mem::take(&mut log.dearest);
    // Nothing more arrives: it asks again and again, for as many as it may.
    let asked = log.desk.member.counters().nak_ranges_sent;
    log.pass(4 * log.timing.nak_retry.0);
    let asked = log.desk.member.counters().nak_ranges_sent - asked;
    check(asked >= holes.min(REQUESTS_MAX as u64), || format!("it asked for {asked} holes only"))?;
    Ok((one_request, log.dearest))
}

pub(super) fn rb_08(trial: &mut Trial<'_>) -> Verdict {
    for holes in [32, 1 << 10, trial.times(1 << 14, 1 << 16, 1 << 17)] {
        let (one, many) = costs_with_holes(holes)?;
        trial.count(&format!("steps_with_{holes}_holes"), one);
        trial.count(&format!("steps_with_{holes}_holes_asked_for"), many);
        let search = u64::from(holes.ilog2()) + 2;
        let bounds = (8 * search, 3 * (REQUESTS_MAX as u64 + 1) * search);
        check(one <= bounds.0, || {
            format!("an event looks at {one} places while {holes} holes open, not {}", bounds.0)
        })?;
        check(many <= bounds.1, || {
            format!("asking for {holes} holes looks at {many} places at once, not {}", bounds.1)
        })?;
    }
    Ok(())
}
