//! Faults that begin and end: drawn one after the other while the fault phase lasts, or listed.

mod hosts;
mod links;
mod operator;
mod shapes;

use quorate_core::Role;

use crate::dice::{ALWAYS, Dice};
use crate::network::Place;
use crate::report::Mark;
use crate::swarm::{FaultClass, MICRO, MILLI, SECOND, Sort};
use crate::world::{Occurrence, World};
pub(crate) use shapes::Links;

/// For how long one minority is hunted, in nanoseconds, where a quorum is spared.
const HUNT: u64 = 6 * SECOND;

/// A fault that was drawn: all that has to be known to do it again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    /// When it begins, in nanoseconds.
    pub at: u64,
    /// What it is.
    pub class: FaultClass,
    /// The index of the member that it hits, if it hits one.
    pub victim: usize,
    /// How long it lasts, in nanoseconds.
    pub duration: u64,
    /// What else it draws, it draws from this.
    pub salt: u64,
}

/// What happens later in the course of a fault.
pub(crate) enum Fault {
    Cut(Links),
    Heal(Links),
    FreeDisk(usize),
    CrashLeaderBut(usize),
    Crash(usize),
    SwapBack(usize, usize),
    ClockRuns {
        node: usize,
        rate: u64,
        missed: u64,
    },
    /// The host waits no longer for a life that it has told to stop.
    StopWaiting {
        node: usize,
        life: u64,
    },
}

impl World {
    /// Draws a fault, begins it, and schedules the next.
    pub(crate) fn next_fault(&mut self) {
        let events = self.swarm.faults.classes.iter().filter(|class| class.sort() != Sort::Rate);
        let kinds: Vec<FaultClass> = events.collect();
        if self.calm || kinds.is_empty() || self.script.is_some() {
            return;
        }
        let salt = self.dice.fault.bits();
        let order = &self.swarm.faults.order;
        let turn = self.plans.len();
        let (class, victim) = if order.is_empty() {
            (self.dice.fault.pick(&kinds), self.draw_victim())
        } else {
            (order[turn % order.len()], turn % self.nodes.len())
        };
        let duration = self.dice.fault.exponential(self.swarm.faults.duration) + MICRO;
        self.begin(Plan { at: self.now, class, victim, duration, salt });
        let after = self.dice.fault.exponential(self.swarm.faults.interval) + MICRO;
        self.queue.push(self.now + after, Occurrence::NextFault);
    }

    /// Begins a fault.
    pub(crate) fn begin(&mut self, plan: Plan) {
        if self.calm {
            return;
        }
        self.plans.push(plan);
        self.note(|| {
            let (class, millis) = (plan.class.name(), plan.duration / MILLI);
            format!("FAULT {class} of member {} for {millis} ms", plan.victim + 1)
        });
        let dice = Dice::of_bits(plan.salt);
        match plan.class.id().get(..2) {
            Some("FP") => self.begin_partition(plan, dice),
            Some("FN") => self.begin_trouble(plan, dice),
            Some("FX") => self.begin_process_fault(plan, dice),
            Some("FD") => self.begin_disk_fault(plan, dice),
            _ => self.begin_other(plan, dice),
        }
    }

    /// What was scheduled in the course of a fault happens.
    pub(crate) fn fault(&mut self, fault: Fault) {
        if let Fault::StopWaiting { node, life } = fault {
            return self.stop_waiting(node, life);
        }
        if self.calm {
            return; // all is healed already, or stays as it is
        }
        match fault {
            Fault::StopWaiting { .. } => {}
            Fault::Cut(links) => links.iter().for_each(|(from, to)| self.network.cut(*from, *to)),
            Fault::Heal(links) => links.iter().for_each(|(from, to)| self.network.heal(*from, *to)),
            Fault::FreeDisk(node) => self.nodes[node].disk_full = false,
            Fault::Crash(node) => self.lose_power(node),
            Fault::CrashLeaderBut(old) => {
                if let Some(successor) = self.leading_node().filter(|node| *node != old) {
                    self.tally.saw(Mark::Deposed);
                    self.lose_power(successor);
                }
            }
            Fault::SwapBack(one, other) => self.swap_back(one, other),
            Fault::ClockRuns { node, rate, missed } => self.clock_runs(node, rate, missed),
        }
    }

    /// How long a crashed member stays down: often hardly at all.
    pub(crate) fn restart_delay(&mut self) -> u64 {
        match self.dice.fault.below(3) {
            0 => self.dice.fault.between(0, MILLI),
            1 => self.dice.fault.exponential(50 * MILLI),
            _ => self.dice.fault.exponential(self.swarm.faults.duration),
        }
    }

    fn begin_other(&mut self, plan: Plan, mut dice: Dice) {
        let until = self.now + plan.duration;
        let client = dice.below(self.clients.len() as u64) as usize;
        match plan.class {
            FaultClass::Depose => self.depose(&mut dice),
            FaultClass::Laggard => self.hold_back(plan),
            FaultClass::Transfer => self.demand_transfers(plan, dice),
            FaultClass::ClientCrash => {
                self.tally.saw(Mark::ClientCrash);
                self.replace_client(client);
            }
            FaultClass::Flood => {
                self.tally.saw(Mark::Flood);
                let all = dice.chance(ALWAYS / 4);
                for (index, host) in self.clients.iter_mut().enumerate() {
                    if all || index == client {
                        host.floods_until = until;
                    }
                }
                (0..self.clients.len()).for_each(|client| self.flood(client));
            }
            FaultClass::Deaf => {
                self.tally.saw(Mark::Deaf);
                self.clients[client].deaf_until = until;
            }
            FaultClass::ClockFreeze => {
                self.tally.saw(Mark::ClockFrozen);
                let clock = &mut self.nodes[plan.victim].clock;
                let rate = clock.rate();
                if rate > 0 {
                    clock.set_rate(self.now, 0);
                    let missed = if dice.chance(ALWAYS / 2) { plan.duration } else { 0 };
                    let runs = Fault::ClockRuns { node: plan.victim, rate, missed };
                    self.queue.push(until, Occurrence::Fault(runs));
                }
            }
            _ => {}
        }
    }

    fn depose(&mut self, dice: &mut Dice) {
        let Some(leader) = self.leading_node() else { return };
        let timeouts = dice.between(2, 5);
        let duration = timeouts * self.swarm.timing.election_timeout_max.0;
        self.isolate(leader, duration);
        let crash = Occurrence::Fault(Fault::CrashLeaderBut(leader));
        self.queue.push(self.now + duration, crash);
    }

    pub(crate) fn clock_runs(&mut self, node: usize, rate: u64, missed: u64) {
        let clock = &mut self.nodes[node].clock;
        clock.set_rate(self.now, rate);
        clock.jump(self.now, missed);
        self.nodes[node].timer_at = None;
        self.arm_timer(node);
    }

    /// The node that leads in the highest term.
    pub(crate) fn leading_node(&self) -> Option<usize> {
        let leads = |node: &usize| {
            self.nodes[*node].member.is_some() && self.nodes[*node].view.role == Role::Leader
        };
        (0..self.nodes.len()).filter(leads).max_by_key(|node| self.nodes[*node].view.term)
    }

    /// A member, the leader as often as all others together.
    fn draw_victim(&mut self) -> usize {
        if self.swarm.faults.spares_quorum {
            return self.draw_hunted();
        }
        let leader = self.leading_node();
        let any = self.dice.fault.below(self.nodes.len() as u64) as usize;
        let hunted = self.dice.fault.chance(ALWAYS / 2);
        leader.filter(|_| hunted).unwrap_or(any)
    }

    /// One of a minority, in which there was the leader when it was chosen.
    fn draw_hunted(&mut self) -> usize {
        if self.now >= self.hunted.0 {
            let count = self.nodes.len();
            // Who tells a story with one member or two wants it hit all the same.
            let spare = (count - (count / 2 + 1)).max(1);
            let any = self.dice.fault.below(count as u64) as usize;
            let first = self.leading_node().unwrap_or(any);
            let minority = (0..spare).map(|step| (first + step) % count).collect();
            self.hunted = (self.now + HUNT, minority);
        }
        self.dice.fault.pick(&self.hunted.1)
    }

    pub(crate) fn member_place(&self, node: usize) -> Place {
        Place::Member(self.nodes[node].id)
    }

    pub(crate) fn member_places(&self) -> Vec<Place> {
        (0..self.nodes.len()).map(|node| self.member_place(node)).collect()
    }
}
