//! The lives of members: starts, refusals to start, stops, and ends.

use quorate_core::{Event, FailStop, MemberConfig, Recovered, RecoveryEpoch};

use crate::deviations;
use crate::dice::ALWAYS;
use crate::disk::Refusal;
use crate::faults::Fault;
use crate::node::{Broken, Node};
use crate::observers::Observed;
use crate::report::{Mark, Tally};
use crate::swarm::{FaultClass, MILLI};
use crate::world::{GROUP, Occurrence, World};

/// How long a host waits for a member that it has told to stop.
const STOP_TIMEOUT: u64 = 500 * MILLI;

/// Notes whether a life is the first, and whether it finds a log.
fn saw_recovered(tally: &mut Tally, recovered: &Recovered) {
    if recovered.life.boot_epoch.0 > 1 {
        tally.saw(Mark::Restart);
    }
    if recovered.log_end.0 > 0 {
        tally.saw(Mark::RestartWithLog);
    }
}

impl World {
    /// Starts a new life of the member at `node`, if none runs.
    pub(crate) fn start(&mut self, node: usize) {
        let is_there = self.nodes[node].member.is_some() || !self.is_invited(node);
        if is_there || self.nodes[node].is_given_up {
            return;
        }
        let mut service = (self.services)(&self.swarm);
        let seed = self.dice.process.bits();
        let (voters, joins) = self.known_to(node);
        let host = &mut self.nodes[node];
        if self.swarm.faults.classes.has(FaultClass::ClockZero) {
            host.clock.restart(self.now);
        }
        let breaks = !self.calm && self.dice.snapshots.chance(self.swarm.snapshots.broken);
        if breaks && host.disk.break_snapshot() {
            self.tally.saw(Mark::SnapshotBroken);
        }
        let recovered = match host.disk.start(host.id) {
            Ok(recovered) => recovered,
            Err(refusal) => return self.refused_to_start(node, refusal),
        };
        saw_recovered(&mut self.tally, &recovered);
        host.deviation = None;
        if let Some(stored) = host.disk.newest_snapshot().filter(|_| recovered.snapshot.is_some()) {
            self.tally.saw(Mark::RestartWithSnapshot);
            let (state, deviation) = deviations::split(&stored.service);
            host.deviation = deviation;
            if !service.restore(state) {
                return self.found("S24", format!("member {} cannot be restored", node + 1));
            }
        }
        let config = MemberConfig {
            group: GROUP,
            recovery_epoch: RecoveryEpoch(0),
            durability: self.swarm.durability,
            member: host.id,
            voters,
            joins,
            seed,
            timing: self.swarm.timing_of(node),
            limits: self.swarm.limits.clone(),
        };
        match quorate_core::Member::new(config, recovered, host.clock.at(self.now)) {
            Ok(member) => {
                host.view = member.view();
                host.before = host.view;
                host.member = Some(member);
                host.service = service;
                host.refusal = None;
            }
            Err(error) => return self.found("start", format!("member {}: {error}", node + 1)),
        }
        self.look_behind_a_stop(node);
        self.note(|| format!("member {} starts", node + 1));
        self.watch.show(&self.nodes, self.now, node, Observed::Started);
        self.stale_completions(node);
        self.arm_timer(node);
        // A host looks at once whether there is anything to do.
        self.step_member(node, Event::Timer);
    }

    /// Who was stopped in good order is in no doubt.
    fn look_behind_a_stop(&mut self, node: usize) {
        let host = &mut self.nodes[node];
        if core::mem::take(&mut host.stopped_in_order) && host.view.impaired {
            self.found("start", format!("member {} is impaired behind a stop in order", node + 1));
        }
    }

    /// A member does not start on its disk, and says why: right only if that was done to it.
    fn refused_to_start(&mut self, node: usize, refusal: Refusal) {
        self.note(|| format!("member {} does not start: {refusal:?}", node + 1));
        self.nodes[node].refusal = Some(refusal);
        let is_swapped = self.swapped.is_some_and(|(one, other)| node == one || node == other);
        let (expected, mark) = match refusal {
            Refusal::Foreign { .. } => (is_swapped, Mark::RefusedForeign),
            Refusal::Missing => (is_swapped || self.doomed.contains(&node), Mark::RefusedMissing),
            Refusal::Records => (self.doomed.contains(&node), Mark::RefusedRecords),
            Refusal::Unreadable => (self.doomed.contains(&node), Mark::RefusedUnreadable),
            // The one snapshot that stands for what is purged is never broken; but of two of which
            // one has rotted, the other may lose the log that it stands in.
            Refusal::NoSnapshot => (self.doomed.contains(&node), Mark::RefusedDamaged),
            Refusal::Damaged { .. } => (self.doomed.contains(&node), Mark::RefusedDamaged),
        };
        self.tally.saw(mark);
        if !expected {
            self.found("start", format!("member {} refuses a sound disk: {refusal:?}", node + 1));
        }
        if mark != Mark::RefusedForeign && !self.calm && self.dice.disk.chance(ALWAYS / 2) {
            self.repair_directory(node);
        }
    }

    /// An operator replaces a damaged directory by what is whole of it.
    fn repair_directory(&mut self, node: usize) {
        if self.nodes[node].disk.salvage() {
            self.tally.saw(Mark::Salvaged);
            self.note(|| format!("the directory of member {} is repaired", node + 1));
            self.nodes[node].refusal = None;
            let after = self.restart_delay();
            self.queue.push(self.now + after, Occurrence::Restart { node });
        }
    }

    /// Completions of the former life come in late (E40).
    fn stale_completions(&mut self, node: usize) {
        let issued = core::mem::take(&mut self.nodes[node].issued);
        for operation in issued {
            if !self.calm && self.dice.process.chance(ALWAYS / 2) {
                let at = self.now + self.dice.process.exponential(5 * MILLI);
                self.queue.push(at, Occurrence::StaleDone { node, operation });
            }
        }
    }

    /// The process of the member at `node` dies; the machine goes on.
    pub(crate) fn kill(&mut self, node: usize) {
        if self.may_end(node) {
            self.end_life(node, false);
        }
    }

    /// The member at `node` is told to stop, and ends when its disk has done all that it was asked
    /// for, or the host waits no longer.
    pub(crate) fn stop_in_order(&mut self, node: usize) {
        let host = &self.nodes[node];
        let takes_it_in = host.member.is_some() && host.still_until(self.now).is_none();
        if !self.may_end(node) || !takes_it_in {
            return;
        }
        self.note(|| format!("member {} is told to stop", node + 1));
        let life = self.nodes[node].life();
        self.nodes[node].stopping = Some(life);
        self.step_member(node, Event::Shutdown);
        let waits = Occurrence::Fault(Fault::StopWaiting { node, life });
        self.queue.push(self.now + STOP_TIMEOUT, waits);
        self.end_if_stopped(node);
    }

    /// Ends the life at `node` that was told to stop, when nothing is left to be done.
    pub(crate) fn end_if_stopped(&mut self, node: usize) {
        let host = &self.nodes[node];
        let is_stopping = host.stopping == Some(host.life());
        let Some(member) = host.member.as_ref().filter(|_| is_stopping) else { return };
        if host.disk.operations_under_way() > 0 {
            return;
        }
        // What it promised may exceed its disk for want of space, or from a former life.
        let in_order = !member.is_in_debt() && !host.view.impaired;
        if in_order {
            self.tally.saw(Mark::StoppedInOrder);
        } else {
            self.tally.saw(Mark::StoppedInDoubt);
        }
        self.nodes[node].stopped_in_order = in_order;
        self.end_life(node, false);
    }

    /// The host ends the life whatever is left, as soon as the group bears that.
    pub(crate) fn stop_waiting(&mut self, node: usize, life: u64) {
        let host = &self.nodes[node];
        if host.member.is_none() || host.life() != life {
            return;
        }
        if self.may_end(node) {
            return self.end_life(node, false);
        }
        let waits = Occurrence::Fault(Fault::StopWaiting { node, life });
        self.queue.push(self.now + STOP_TIMEOUT, waits);
    }

    /// The power of the member at `node` fails.
    pub(crate) fn lose_power(&mut self, node: usize) {
        if self.may_end(node) {
            self.end_life(node, true);
        }
    }

    /// Whether the member at `node` may end now: in a volatile group the others would have to know
    /// enough (the fault budget).
    pub(crate) fn may_end(&self, node: usize) -> bool {
        let Some(most) = self.swarm.doubtful_max().filter(|_| !self.calm) else { return true };
        let is_doubtful = |host: &Node| host.member.is_none() || host.view.impaired;
        let others = self.nodes.iter().enumerate().filter(|(at, _)| *at != node);
        others.filter(|(_, host)| is_doubtful(host)).count() < most
    }

    fn end_life(&mut self, node: usize, power: bool) {
        let Some(counters) = self.nodes[node].forget() else { return };
        self.count(&counters);
        let (disk, dice) = (&mut self.nodes[node].disk, &mut self.dice.disk);
        if power {
            disk.crash(dice, &mut self.tally);
            self.tally.saw(Mark::PowerCut);
        } else {
            disk.kill(dice, &mut self.tally);
            self.tally.saw(Mark::Kill);
        }
        self.note(|| format!("member {} {}", node + 1, if power { "loses power" } else { "dies" }));
        self.watch.show(&self.nodes, self.now, node, Observed::Crashed);
        self.look_who_is_well();
        let after = self.restart_delay();
        self.queue.push(self.now + after, Occurrence::Restart { node });
    }

    /// A member stopped. That is right if it was given a reason; the process ends, and is started
    /// again later.
    pub(crate) fn stopped(&mut self, node: usize, reason: FailStop) {
        let host = &mut self.nodes[node];
        let expected = match reason {
            FailStop::StorageFailed => host.broken == Some(Broken::Storage),
            FailStop::ServiceFailed => host.broken == Some(Broken::Service),
            FailStop::Unreadable { .. } => !host.disk.is_sound(),
            FailStop::Diverged { .. } => host.deviation.is_some(),
            _ => false,
        };
        if !expected {
            let text = format!("member {} stopped: {reason}", node + 1);
            return self.watch.violations.add("fail-stop", text);
        }
        self.note(|| format!("member {} stopped: {reason}", node + 1));
        self.tally.saw(match reason {
            FailStop::StorageFailed => Mark::StorageFailed,
            FailStop::ServiceFailed => Mark::ServiceFailed,
            FailStop::Diverged { .. } => Mark::StoppedByDeviation,
            _ => Mark::StoppedByDamage,
        });
        self.end_life(node, false);
    }
}
