//! A leader on a desk whose service has timers: the only member of its group.

use quorate_core::{
    Action, Apply, Delivery, Duration, Event, LogTime, Notice, Outputs, Position, Source, Stream,
};

use crate::case::{Failure, Verdict};
use crate::desk::{Desk, DeskOptions};
use crate::desk_client::DeskClient;
use crate::edges::Command;

/// A message that schedules timers 0 to `count`, in no order, all with one deadline.
const MANY: &[u8; 4] = b"many";

/// The message that schedules so many timers at once, each `delay` later.
pub(super) fn many(count: u64, delay: u64) -> Vec<u8> {
    [&MANY[..], &count.to_le_bytes(), &delay.to_le_bytes()].concat()
}

/// A leader, its client, and what happened to its timers.
pub(super) struct Table {
    pub(super) desk: Desk,
    client: DeskClient,
    /// The timers that fired: which, by what log time, and where.
    pub(super) fired: Vec<(u64, LogTime, Position)>,
    /// When each message was applied, by log time, and what it asked for.
    pub(super) asked: Vec<(LogTime, Vec<u8>)>,
    /// What it told of its clock.
    pub(super) jumps: Vec<Notice>,
    /// The most bytes that one event appended.
    pub(super) appended_most: u64,
    /// The stamp of the newest frame that was applied.
    time: LogTime,
}

impl Table {
    /// A leader with a client that is connected.
    pub(super) fn new(options: DeskOptions) -> Result<Self, Failure> {
        let mut desk = Desk::new(options.clone())?;
        desk.is_service_slow = true;
        desk.lead()?;
        let client = DeskClient::new(&desk, &options.limits)?;
        let (fired, asked, jumps) = (Vec::new(), Vec::new(), Vec::new());
        let (appended_most, time) = (0, LogTime(0));
        let mut table = Self { desk, client, fired, asked, jumps, appended_most, time };
        for _ in 0..8 {
            table.settle()?;
            table.client.wake(&mut table.desk);
            table.pass(50_000_000)?;
        }
        Ok(table)
    }

    /// A message comes in. It is in the log, and on no disk yet.
    pub(super) fn submit(&mut self, message: &[u8]) -> Verdict {
        let taken = self.client.submit(&mut self.desk, message);
        self.desk.check(taken, "its client refuses a message")
    }

    /// Time passes and deadlines are served, while the disk does nothing.
    pub(super) fn pass_held(&mut self, nanos: u64) {
        let actions = self.desk.pass(Duration(nanos));
        self.hear(&actions);
    }

    /// Time passes, and what follows of it comes about.
    pub(super) fn pass(&mut self, nanos: u64) -> Verdict {
        self.pass_held(nanos);
        self.settle()
    }

    /// One event, and nothing else.
    pub(super) fn step(&mut self, event: Event<'_>) -> Vec<Action> {
        let before = self.desk.view().verified;
        let actions = self.desk.step(event).to_vec();
        let appended = self.desk.view().verified.since(before);
        self.appended_most = self.appended_most.max(appended);
        self.hear(&actions);
        actions
    }

    fn hear(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Notify(jump @ Notice::ClockJumped { .. }) = action {
                self.jumps.push(*jump);
            }
        }
    }

    /// The disk and the service do what they are asked for, until nothing is left to do.
    pub(super) fn settle(&mut self) -> Verdict {
        loop {
            let mut actions = self.desk.complete_all();
            self.hear(&actions);
            let mut quiet = actions.is_empty();
            while let Some((through, outputs)) = self.serve(&actions)? {
                self.client.hear(&mut self.desk, &actions);
                actions = self.step(Event::Applied { through, outputs: &outputs });
                quiet = false;
            }
            self.client.hear(&mut self.desk, &actions);
            let actions = self.step(Event::Flush);
            self.client.hear(&mut self.desk, &actions);
            if quiet && actions.is_empty() {
                return Ok(());
            }
        }
    }

    /// The service takes in what it is handed; what it reports.
    fn serve(&mut self, actions: &[Action]) -> Result<Option<(Position, Outputs)>, Failure> {
        let mut report = None;
        let mut outputs = Outputs::new();
        for action in actions {
            let Action::Apply(apply) = action else { continue };
            let falls = apply.time < self.time;
            self.desk.check(!falls, "log time falls")?;
            self.time = apply.time;
            self.take_in(apply, &mut outputs);
            report = Some(apply.end);
        }
        Ok(report.map(|through| (through, outputs)))
    }

    fn take_in(&mut self, apply: &Apply, outputs: &mut Outputs) {
        match apply.delivery {
            Delivery::Timer { timer } => self.fired.push((timer, apply.time, apply.position)),
            Delivery::Message { session, sequence, payload, source: Source::Member } => {
                let (first, second) = self.desk.member.bytes(Stream::Log, payload);
                let message = [first, second].concat();
                ask(&message, apply.time, outputs);
                outputs.reply(session, sequence, b"ok");
                self.asked.push((apply.time, message));
            }
            _ => {}
        }
    }
}

/// What a message makes the service ask for.
fn ask(message: &[u8], time: LogTime, outputs: &mut Outputs) {
    let at = |delay: u64| LogTime(time.0.saturating_add(delay));
    match Command::parse(message) {
        Some(Command::Schedule { timer, delay }) => outputs.schedule_timer(timer, at(delay)),
        Some(Command::Cancel { timer }) => outputs.cancel_timer(timer),
        _ => {}
    }
    let Some((words, [])) = message.strip_prefix(&MANY[..]).map(<[u8]>::as_chunks::<8>) else {
        return;
    };
    if let [count, delay] = words {
        let (count, delay) = (u64::from_le_bytes(*count), u64::from_le_bytes(*delay));
        // An odd factor goes through all numbers of a power of two, once each.
        let all = count.next_power_of_two();
        let numbers = (0..all).map(|number| number.wrapping_mul(0x9e37_79b1) % all);
        for timer in numbers.filter(|timer| *timer < count) {
            outputs.schedule_timer(timer, at(delay));
        }
    }
}
