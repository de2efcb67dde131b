//! The members' hosts: what reaches a member, and the steps that it takes.

use quorate_core::{Event, Incoming, Instant, OperationId, ReadRefusal, Role, Stream};

use crate::dice::ALWAYS;
use crate::disk::Completion;
use crate::network::Datagram;
use crate::node::{Broken, Node};
use crate::observers::Observed;
use crate::report::Mark;
use crate::swarm::{MICRO, MILLI};
use crate::world::{Occurrence, World};

impl World {
    /// What happens to a process that stands still waits; of datagrams only so many.
    pub(crate) fn wait(&mut self, node: usize, occurrence: Occurrence) {
        let host = &mut self.nodes[node];
        let is_datagram = matches!(occurrence, Occurrence::Arrive(..));
        if is_datagram && host.inbox.len() >= self.swarm.process.inbox_max {
            return self.tally.saw(Mark::Overflow);
        }
        host.inbox.push_back(occurrence);
        self.plan_wake(node);
    }

    fn plan_wake(&mut self, node: usize) {
        let host = &mut self.nodes[node];
        let at = host.still_until(self.now).unwrap_or(self.now);
        if host.wake_at.is_none_or(|wake| at < wake) {
            host.wake_at = Some(at);
            self.queue.push(at, Occurrence::Wake { node });
        }
    }

    /// Somebody asks for a snapshot: the leader as a rule.
    pub(crate) fn ask_for_snapshot(&mut self) {
        let interval = self.swarm.snapshots.interval;
        if interval == 0 || self.calm {
            return;
        }
        let dice = &mut self.dice.snapshots;
        let mut node = dice.below(self.nodes.len() as u64) as usize;
        let pause = dice.exponential(interval).max(MICRO);
        if dice.chance(ALWAYS / 4 * 3) {
            let leads = |node: &Node| node.member.is_some() && node.view.role == Role::Leader;
            node = self.nodes.iter().position(leads).unwrap_or(node);
        }
        self.queue.push(self.now + pause, Occurrence::AskForSnapshot);
        let is_up = self.nodes[node].member.is_some();
        if is_up && self.nodes[node].still_until(self.now).is_none() {
            self.step_member(node, Event::TakeSnapshot);
        }
    }

    /// The process goes on, with what has waited.
    pub(crate) fn wake(&mut self, node: usize) {
        if self.nodes[node].wake_at.is_none_or(|at| at > self.now) {
            return;
        }
        self.nodes[node].wake_at = None;
        while self.nodes[node].still_until(self.now).is_none() {
            let Some(occurrence) = self.nodes[node].inbox.pop_front() else { return };
            self.happen_now(occurrence);
        }
        if !self.nodes[node].inbox.is_empty() {
            self.plan_wake(node);
        }
    }

    pub(crate) fn receive(&mut self, node: usize, datagram: &Datagram) {
        if self.nodes[node].member.is_none() {
            return;
        }
        let Some((sender, content)) = self.read(datagram) else { return };
        match &content {
            Incoming::Control(message) => {
                let received = Observed::Received { sender, message };
                self.watch.show(&self.nodes, self.now, node, received);
            }
            Incoming::Data { stream: Stream::Log, position, live, slice, .. } => {
                let end = position.plus(slice.len() as u64);
                let heard = live.map_or(end, |live| live.newest.max(end));
                self.watch.show(&self.nodes, self.now, node, Observed::Heard(heard));
            }
            Incoming::Data { .. } => {}
        }
        let source = datagram.source;
        self.note(|| format!("member {} receives {content:?} of {sender:?}", node + 1));
        self.step_member(node, Event::Received { sender, source, content });
    }

    pub(crate) fn disk_done(&mut self, node: usize, operation: OperationId) {
        let disk = &mut self.nodes[node].disk;
        match disk.complete(operation) {
            Some(Completion::Durable(work)) => {
                self.watch.show(&self.nodes, self.now, node, Observed::Durable(&work));
                self.note(|| format!("member {}: durable {work:?}", node + 1));
                self.step_member(node, Event::Durable { operation });
            }
            Some(Completion::Read(bytes)) => {
                self.step_member(node, Event::LogRead { operation, bytes: &bytes });
            }
            Some(Completion::SnapshotRead(manifest, bytes)) => {
                self.snapshot_was_read(node, operation, manifest, &bytes);
            }
            Some(Completion::SnapshotWhole(core)) => {
                self.step_member(node, Event::SnapshotWhole { operation, core: &core });
            }
            Some(Completion::SnapshotFailed) => {
                self.step_member(node, Event::SnapshotFailed { operation });
            }
            None => {}
        }
        self.end_if_stopped(node);
    }

    pub(crate) fn disk_failed(&mut self, node: usize, operation: OperationId) {
        if self.nodes[node].disk.fail(operation, &mut self.dice.disk) {
            self.tally.saw(Mark::SyncError);
            self.break_member(node, Broken::Storage);
        }
    }

    /// A completion of a former life comes late (E40).
    pub(crate) fn stale_done(&mut self, node: usize, operation: OperationId) {
        if self.nodes[node].member.is_some() {
            self.tally.saw(Mark::StaleCompletion);
            self.step_member(node, Event::Durable { operation });
        }
    }

    pub(crate) fn service_done(&mut self, node: usize, life: u64) {
        if self.nodes[node].member.is_none() || self.nodes[node].life() != life {
            return;
        }
        if let Some((_, through, outputs)) = self.nodes[node].late.pop_front() {
            self.step_member(node, Event::Applied { through, outputs: &outputs });
        }
    }

    /// Tells the member that something broke, for which it has to stop.
    pub(crate) fn break_member(&mut self, node: usize, broken: Broken) {
        self.nodes[node].broken = Some(broken);
        let event = match broken {
            Broken::Storage => Event::StorageFailed,
            Broken::Service => Event::ServiceFailed,
        };
        self.step_member(node, event);
        if self.nodes[node].broken.is_some() {
            let text = format!("member {} goes on, although its {broken:?} failed", node + 1);
            self.found("S34", text);
        }
    }

    pub(crate) fn member_timer(&mut self, node: usize, life: u64, at: u64) {
        let host = &mut self.nodes[node];
        if host.timer_at != Some(at) || host.life() != life {
            return;
        }
        host.timer_at = None;
        let local = host.clock.at(self.now);
        let due = host.member.as_ref().and_then(|member| member.next_deadline());
        if due.is_none_or(|due| due > local) {
            return self.arm_timer(node);
        }
        self.step_member(node, Event::Timer);
    }

    /// Lets the member at `node` take in `event`, with all that follows from it at once.
    pub(crate) fn step_member(&mut self, node: usize, event: Event<'_>) {
        self.step_through(node, event);
        if self.dice.process.chance(self.swarm.flush) && self.nodes[node].member.is_some() {
            self.step_through(node, Event::Flush);
        }
        let host = &mut self.nodes[node];
        if host.slow.0 > self.now {
            host.busy_until = self.now + host.slow.1;
        }
        self.arm_timer(node);
    }

    /// One event, and those that its own actions bring about before anything else can happen.
    fn step_through(&mut self, node: usize, event: Event<'_>) {
        self.step_once(node, event);
        loop {
            let host = &mut self.nodes[node];
            if host.failed.take().is_some() {
                host.broken = Some(Broken::Storage);
                self.step_once(node, Event::StorageFailed);
            } else if let Some(position) = host.refused.take() {
                self.step_once(node, Event::StorageFull { position });
            } else if let Some(operation) = host.unsaved.pop_front() {
                self.step_once(node, Event::SnapshotFailed { operation });
            } else if let Some((number, answer)) = host.served.pop_front() {
                let answer = answer.as_deref().ok_or(ReadRefusal::Unsupported);
                self.step_once(node, Event::ReadServed { number, answer });
            } else if let Some(through) = host.applying.take() {
                let outputs = core::mem::take(&mut host.outputs);
                self.report_applied(node, through, outputs);
            } else {
                return;
            }
        }
    }

    fn report_applied(
        &mut self,
        node: usize,
        through: quorate_core::Position,
        outputs: quorate_core::Outputs,
    ) {
        let host = &mut self.nodes[node];
        if core::mem::take(&mut host.fails_service) && !self.calm {
            host.broken = Some(Broken::Service);
            return self.step_once(node, Event::ServiceFailed);
        }
        let late = !host.late.is_empty()
            || (!self.calm && self.dice.process.chance(self.swarm.process.slow_service));
        if late {
            let after = self.nodes[node].late.back().map_or(self.now, |(at, ..)| *at);
            let at = after + self.dice.process.between(10 * MICRO, 5 * MILLI);
            let life = self.nodes[node].life();
            self.nodes[node].late.push_back((at, through, outputs));
            self.tally.saw(Mark::SlowService);
            return self.queue.push(at, Occurrence::ServiceDone { node, life });
        }
        self.step_once(node, Event::Applied { through, outputs: &outputs });
    }

    fn step_once(&mut self, node: usize, event: Event<'_>) {
        let local = self.clock_of(node);
        let stepping = Observed::Stepping { local, event: &event };
        self.watch.show(&self.nodes, self.now, node, stepping);
        let host = &mut self.nodes[node];
        let Some(member) = host.member.as_mut() else { return };
        let mut actions = core::mem::take(&mut self.actions);
        let read = match &event {
            Event::LogRead { bytes, .. } | Event::SnapshotRead { bytes, .. } => *bytes,
            _ => &[],
        };
        let (applied, timer) =
            (matches!(event, Event::Applied { .. }), matches!(event, Event::Timer));
        host.before = host.view;
        member.step(local, event, &mut actions);
        host.view = member.view();
        self.steps += 1;
        self.hash_step(node, actions.len());
        let stepped = Observed::Stepped { actions: &actions };
        self.watch.show(&self.nodes, self.now, node, stepped);
        if let Some(member) = &self.nodes[node].member {
            member.check_invariants();
        }
        self.note_role(node);
        self.perform_all(node, &mut actions, read);
        actions.clear();
        self.actions = actions;
        if timer && self.nodes[node].member.is_some() {
            self.watch.show(&self.nodes, self.now, node, Observed::ServedTimer { local });
        }
        if applied {
            self.show_state(node);
        }
        if self.calm {
            self.watch_gap(node);
        }
    }

    /// What the member is told the time is: now and then earlier than before (E104).
    fn clock_of(&mut self, node: usize) -> Instant {
        let now = self.nodes[node].clock.at(self.now);
        if self.calm || !self.dice.process.chance(self.swarm.process.clock_back) {
            return now;
        }
        self.tally.saw(Mark::ClockBack);
        Instant(now.0.saturating_sub(self.dice.process.exponential(50 * MILLI)))
    }

    fn show_state(&mut self, node: usize) {
        let host = &self.nodes[node];
        let Some(member) = host.member.as_ref().filter(|_| self.watch.is_open()) else { return };
        if host.late.is_empty() && host.applying.is_none() {
            // The hash over all sessions and their replies is dear: at one position in so many, the
            // same ones on all members; the calm phase compares it once more. A reply is kept for
            // as many messages as may be in flight: where that is long, it is looked at often
            // enough.
            let kept = self.swarm.limits.in_flight_max as u64;
            let one_in = 32 * (kept / 16).clamp(1, 4);
            let sampled = quorate_core::hash::mix(0, host.view.applied.0).is_multiple_of(one_in);
            let replicated = if sampled { member.replicated_hash() } else { 0 };
            let service = host.service.digest();
            let state = Observed::State { service, replicated };
            self.watch.show(&self.nodes, self.now, node, state);
        }
    }

    fn hash_step(&mut self, node: usize, actions: usize) {
        let view = &self.nodes[node].view;
        let words = [
            self.now,
            (node as u64) << 32 | actions as u64,
            view.term.0 << 8 | view.role as u64,
            view.received.0 ^ view.verified.0.rotate_left(32),
            view.commit.0 ^ view.applied.0.rotate_left(32),
        ];
        let mix = quorate_core::hash::mix;
        self.trace_hash = words.iter().fold(self.trace_hash, |hash, word| mix(hash, *word));
    }

    fn note_role(&mut self, node: usize) {
        let host = &self.nodes[node];
        let (before, view) = (host.before, host.view);
        if before.role == view.role && before.term == view.term {
            return;
        }
        self.note(|| {
            format!("member {}: {} of term {}", view.life.member, view.role.name(), view.term)
        });
        if view.role != Role::Leader || before.role == Role::Leader {
            return;
        }
        self.tally.saw(Mark::Election);
        if self.last_leader.is_some_and(|last| last != view.life.member) {
            self.tally.saw(Mark::LeaderChange);
        }
        self.last_leader = Some(view.life.member);
        if self.first_leader.is_none() {
            self.first_leader = Some(self.steps);
            self.first_led_at = Some(self.now);
            if !self.swarm.faults.from_start {
                self.queue.push(self.now + MILLI, Occurrence::NextFault);
            }
        }
    }

    pub(crate) fn arm_timer(&mut self, node: usize) {
        let (late_max, grain) = (self.swarm.process.wake_late_max, self.swarm.process.wake_grain);
        let late = if self.calm || late_max == 0 { 0 } else { self.dice.process.below(late_max) };
        let host = &mut self.nodes[node];
        let Some(due) = host.member.as_ref().and_then(|member| member.next_deadline()) else {
            return;
        };
        let mut at = host.clock.when(due).max(self.now).saturating_add(late);
        if !self.calm && grain > 0 {
            at = at.next_multiple_of(grain);
        }
        if host.timer_at.is_none_or(|armed| at < armed) {
            host.timer_at = Some(at);
            let life = host.life();
            self.queue.push(at, Occurrence::MemberTimer { node, life, at });
        }
    }
}
