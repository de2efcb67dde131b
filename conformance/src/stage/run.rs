//! What happens on a stage, in virtual time: one input, one turn, then what follows of its deeds.

use quorate_core::{Instant, OperationId, Recovered, Role};
use quorate_sim::{Place, Work};

use super::story::{Fate, Told};
use super::wire::Passing;
use super::{MILLI, Sighting, Stage, TAG, lane};
use crate::case::{Failure, Verdict};
use crate::edges::{Deed, Input};
use crate::subject::{NodeView, SpawnError};

/// Something that will happen.
pub(super) enum Happening {
    Arrive { from: Place, to: Place, bytes: Vec<u8> },
    Wake { node: usize, life: u64, at: u64 },
    Look { node: usize, life: u64 },
    DiskDone { node: usize, life: u64, operation: OperationId },
    ClientWake { client: usize, at: u64 },
}

/// Turns in a row at one time that a member may ask for without anything else happening (E105).
const IDLE_TURNS_MAX: u32 = 1_000;

impl Stage<'_> {
    /// Lets things happen until `end` or until `enough`; whether it was enough.
    pub(super) fn run_until(
        &mut self,
        end: u64,
        enough: impl Fn(&Self) -> bool,
    ) -> Result<bool, Failure> {
        let mut at_once = 0;
        loop {
            self.found()?;
            if enough(self) {
                return Ok(true);
            }
            let Some((at, happening)) = self.queue.pop_by(end) else { return Ok(false) };
            at_once = if at > self.now { 0 } else { at_once + 1 };
            if at_once > IDLE_TURNS_MAX * (self.machines.len() + self.clients.len()) as u32 {
                return Err(Failure::broken(format!("time stands still at {} us", at / 1_000)));
            }
            self.now = self.now.max(at);
            self.happen(happening);
        }
    }

    /// What the observers found since the last call.
    pub(super) fn found(&mut self) -> Verdict {
        if let Some(failure) = &self.unable {
            return Err(failure.clone());
        }
        let Some(violation) = self.watch.violations.first() else { return Ok(()) };
        let (rule, text) = (violation.id.to_owned(), violation.message.clone());
        self.tell(Told::Broken { rule, text, member: None, call: None });
        let what = format!("{} at {} ms: {}", violation.id, self.now / MILLI, violation.message);
        Err(Failure::Broken { what, observer: Some(violation.id) })
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive { from, to: Place::Member(member), bytes } => {
                let index = usize::from(member.0).wrapping_sub(1);
                if index < self.machines.len() {
                    self.watch_arrival(index, &bytes);
                    let bytes = self.as_subject_writes(bytes);
                    self.push_input(index, Input::Datagram { source: from.endpoint(), bytes });
                }
            }
            Happening::Arrive { from, to: Place::Client(number), bytes } => {
                self.client_receives(number, from, &bytes);
            }
            Happening::Wake { node, life, at } => {
                let machine = &mut self.machines[node];
                if machine.life == life && machine.wake_at == Some(at) {
                    machine.wake_at = None;
                    machine.wakes += u64::from(!machine.paused);
                    self.turn(node);
                }
            }
            Happening::Look { node, life } => {
                if self.machines[node].life == life {
                    self.turn(node);
                }
            }
            Happening::DiskDone { node, life, operation } => self.disk_done(node, life, operation),
            Happening::ClientWake { client, at } => self.client_wakes(client, at),
        }
    }

    /// Gives a member an input and a turn.
    pub(super) fn push_input(&mut self, node: usize, input: Input) {
        let machine = &mut self.machines[node];
        if machine.node.is_none() {
            return;
        }
        if machine.paused {
            return machine.backlog.push(input);
        }
        machine.edges.push(input);
        self.turn(node);
    }

    pub(super) fn begin_life(&mut self, node: usize) {
        self.begin_life_with(node, |_| {});
    }

    /// Begins a life on what the archive has found, and `change` has meddled with.
    pub(super) fn begin_life_with(&mut self, node: usize, change: impl FnOnce(&mut Recovered)) {
        let now = self.clock(node);
        let machine = &mut self.machines[node];
        machine.edges.set_now(now);
        machine.edges.begin_life();
        machine.edges.change_recovered(change);
        machine.life += 1;
        machine.paused = false;
        machine.stopped = None;
        machine.wake_at = None;
        match self.subject.spawn(&machine.spec, machine.edges.clone()) {
            Ok(mut started) => {
                machine.seen = started.view();
                machine.before = machine.seen.clone();
                machine.node = Some(started);
                machine.refused = None;
                self.watch_start(node);
                self.tell_state(node);
                self.turn(node);
            }
            Err(error) => {
                let text = format!("member {} does not start: {error}", node + 1);
                self.machines[node].refused = Some(error.to_string());
                match error {
                    SpawnError::Refused(_) => {}
                    SpawnError::Broken(_) => self.watch.violations.add("subject", text.clone()),
                    SpawnError::Unimplemented(what) => {
                        self.unable = Some(Failure::Unimplemented(what));
                    }
                    SpawnError::LeftOut(what) => self.unable = Some(Failure::NotApplicable(what)),
                }
                self.say(text);
            }
        }
    }

    pub(super) fn end_life(&mut self, node: usize, power: bool) {
        let machine = &mut self.machines[node];
        if machine.node.take().is_none() && !power {
            return;
        }
        machine.edges.end_life(power.then_some(&mut self.dice));
        machine.life += 1;
        machine.backlog.clear();
        machine.held.clear();
        machine.holding.clear();
        machine.wake_at = None;
        machine.seen.view.role = Role::default();
        self.watch_crash(node);
        let term = self.machines[node].seen.view.term.0;
        let member = format!("m{}", node + 1);
        self.tell(Told::Role { member, role: "down".into(), term });
    }

    /// The time on a machine's clock.
    pub(super) fn clock(&self, node: usize) -> Instant {
        let error = i128::from(self.machines[node].clock_error);
        let now = i128::from(self.now);
        // Not from zero on: a clock that is slow must not be before its beginning.
        let offset = i128::from(self.machines[node].clock_offset);
        Instant(u64::try_from(now + now * error / 1_000_000 + offset).unwrap_or(0))
    }

    fn real_time(&self, node: usize, due: Instant) -> u64 {
        let error = i128::from(self.machines[node].clock_error);
        let due = i128::from(due.0) - i128::from(self.machines[node].clock_offset);
        let scaled = due.max(0) * 1_000_000 / (1_000_000 + error).max(1);
        // Rounded up, and by one more when the clock is not exact: never early.
        u64::try_from(scaled).unwrap_or(u64::MAX / 2).saturating_add(u64::from(error != 0))
    }

    pub(super) fn turn(&mut self, node: usize) {
        let now = self.clock(node);
        let machine = &mut self.machines[node];
        if machine.paused || machine.stopped.is_some() {
            return;
        }
        let Some(running) = &mut machine.node else { return };
        machine.edges.set_now(now);
        let turned = running.turn();
        let seen = running.view();
        machine.before = core::mem::replace(&mut machine.seen, seen);
        let deeds = machine.edges.take_deeds();
        let deeds = self.as_suite_writes(deeds);
        let many = core::mem::take(&mut self.machines[node].takes_many);
        self.watch.is_blind_to_requests = many;
        self.watch_turn(node);
        self.watch_members(node);
        for deed in deeds {
            self.perform(node, deed);
        }
        self.watch_state(node);
        self.tell_changes(node);
        for note in turned.notes {
            self.say(format!("member {}: {note}", node + 1));
        }
        for handed_over in turned.handed_over {
            self.say(format!("member {}: {handed_over:?}", node + 1));
            self.handed_over.push(handed_over);
        }
        for changed in turned.changed {
            self.say(format!("member {}: {changed:?}", node + 1));
            self.changed.push(changed);
        }
        if let Some(fault) = turned.fault {
            self.watch.violations.add("subject", format!("member {}: {fault}", node + 1));
            return;
        }
        if turned.ended {
            self.say(format!("member {} has ended, as it was asked to", node + 1));
            return self.end_life(node, false);
        }
        if turned.restarts {
            self.say(format!("member {} begins anew behind a snapshot", node + 1));
            self.renewals += 1;
            self.end_life(node, false);
            return self.begin_life(node);
        }
        if let Some(reason) = turned.stopped {
            self.say(format!("member {} went inert: {reason}", node + 1));
            self.machines[node].stopped = Some(reason);
            return;
        }
        self.arm(node, turned.wake);
    }

    /// A datagram for a member. One that is damaged or of no known kind stays as it is, and is none
    /// for a codec of the subject's own either.
    fn as_subject_writes(&self, bytes: Vec<u8>) -> Vec<u8> {
        let Some(wording) = self.subject.wording() else { return bytes };
        (wording.write)(&bytes, TAG).unwrap_or(bytes)
    }

    /// What a member sent. What its own codec cannot read is left for the observers to see.
    fn as_suite_writes(&self, mut deeds: Vec<Deed>) -> Vec<Deed> {
        let Some(wording) = self.subject.wording() else { return deeds };
        for deed in &mut deeds {
            if let Deed::Sent { bytes, .. } = deed
                && let Some(read) = (wording.read)(bytes, TAG)
            {
                *bytes = read;
            }
        }
        deeds
    }

    fn arm(&mut self, node: usize, wake: Option<Instant>) {
        let Some(due) = wake else { return };
        let at = self.real_time(node, due).max(self.now);
        let machine = &mut self.machines[node];
        if machine.wake_at.is_none_or(|armed| at < armed || armed < self.now) {
            machine.wake_at = Some(at);
            let life = machine.life;
            self.queue.push(at, Happening::Wake { node, life, at });
        }
    }

    fn perform(&mut self, node: usize, deed: Deed) {
        self.watch_deed(node, &deed);
        match deed {
            Deed::Sent { to, bytes } => {
                if let Some(to) = Place::at(to) {
                    self.send(Place::Member(self.machines[node].id), to, bytes);
                }
            }
            Deed::Asked { operation, work } => self.issue(node, operation, &work),
            Deed::Appended { .. }
            | Deed::Purged { .. }
            | Deed::DroppedSnapshot
            | Deed::DiscardedSnapshots { .. }
            | Deed::Applied { .. }
            | Deed::Timer { .. } => {}
        }
    }

    pub(super) fn send(&mut self, from: Place, to: Place, bytes: Vec<u8>) {
        match &mut self.translation {
            Some(translate) => {
                let passing = Passing::new(self.now, (from, to), TAG, &bytes);
                for bytes in translate(&passing) {
                    self.transmit(from, to, bytes);
                }
            }
            None => self.transmit(from, to, bytes),
        }
    }

    fn transmit(&mut self, from: Place, to: Place, bytes: Vec<u8>) {
        let passing = Passing::new(self.now, (from, to), TAG, &bytes);
        let passed = self.wire.pass(&passing);
        let fate = match passed.arrivals.first() {
            _ if passed.cut => Fate::Cut,
            Some(at) => Fate::Arrives { at: *at },
            None => Fate::Lost,
        };
        let kind = passing.kind();
        let detail = super::look::detail(&passing);
        self.sightings.push(Sighting { at: self.now, from, to, kind, bytes: bytes.len(), fate });
        let (from_lane, to_lane) = (lane(from), lane(to));
        let what = kind.to_owned();
        self.tell(Told::Sent { from: from_lane, to: to_lane, what, detail, fate });
        let bytes = passed.bytes.unwrap_or(bytes);
        for at in passed.arrivals {
            self.queue.push(at, Happening::Arrive { from, to, bytes: bytes.clone() });
        }
    }

    fn issue(&mut self, node: usize, operation: OperationId, work: &Work) {
        let kind = kind_of_work(work);
        let (member, what) = (format!("m{}", node + 1), kind.to_owned());
        self.tell(Told::Disk { member, what, done: false });
        let (least, most) = self.options.disk_latency;
        let takes = self.dice.between(least, most);
        let machine = &mut self.machines[node];
        let at = self.now + takes * machine.disk_factor;
        machine.asked.push((operation, kind));
        if machine.holding.contains(&kind) {
            return machine.held.entry(kind).or_default().push(operation);
        }
        // Operations of a disk complete in the order in which they were asked for.
        let life = machine.life;
        let at = at.max(machine.disk_ready);
        machine.disk_ready = at;
        self.queue.push(at, Happening::DiskDone { node, life, operation });
    }

    fn disk_done(&mut self, node: usize, life: u64, operation: OperationId) {
        if self.machines[node].life != life || self.machines[node].node.is_none() {
            return;
        }
        let work = self.machines[node].edges.complete(operation);
        if let Some(work) = &work {
            let (member, what) = (format!("m{}", node + 1), kind_of_work(work).to_owned());
            self.tell(Told::Disk { member, what, done: true });
            self.watch_durable(node, work);
        }
        self.turn_or_wait(node);
    }

    fn turn_or_wait(&mut self, node: usize) {
        if !self.machines[node].paused {
            self.turn(node);
        }
    }

    fn tell_changes(&mut self, node: usize) {
        let machine = &self.machines[node];
        let (before, seen) = (&machine.before.view, &machine.seen.view);
        if before.role != seen.role || before.term != seen.term {
            if seen.role == Role::Leader && before.role != Role::Leader {
                self.elections += 1;
            }
            self.tell_state(node);
        }
        let NodeView { view, .. } = &self.machines[node].seen;
        let before = &self.machines[node].before.view;
        let positions = |view: &quorate_core::View| {
            (view.verified.0, view.durable.0, view.commit.0, view.applied.0)
        };
        if positions(before) != positions(view) {
            let (verified, durable, commit, applied) = positions(view);
            let member = format!("m{}", node + 1);
            self.tell(Told::Positions { member, verified, durable, commit, applied });
        }
    }

    fn tell_state(&mut self, node: usize) {
        let view = &self.machines[node].seen.view;
        let (role, term) = (view.role.name().to_owned(), view.term.0);
        self.tell(Told::Role { member: format!("m{}", node + 1), role, term });
    }
}

/// The kind of an operation of a disk, as scripts name it.
pub(super) const fn kind_of_work(work: &Work) -> &'static str {
    match work {
        Work::Sync { .. } => "sync",
        Work::Vote(_) => "vote",
        Work::History { .. } => "history",
        Work::Peers(_) => "peers",
        Work::Read(_) => "read",
        Work::Snapshot { .. } => "snapshot",
        Work::ReadSnapshot { .. } => "snapshot-read",
        Work::Part { .. } => "snapshot-part",
        Work::Check(_) => "snapshot-check",
        Work::Install { .. } => "install",
    }
}
