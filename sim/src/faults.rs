//! Faults that begin and end: drawn one after the other while the fault phase lasts.

use quorate_core::Role;

use crate::dice::ALWAYS;
use crate::network::Place;
use crate::report::Mark;
use crate::swarm::{FaultKind, MICRO, MILLI};
use crate::world::{Occurrence, World};

/// One half of a fault: its beginning, or its end.
pub(crate) enum Fault {
    Cut(Vec<(Place, Place)>),
    Heal(Vec<(Place, Place)>),
    FreeDisk(usize),
    CrashLeaderBut(usize),
}

impl World {
    /// Draws a fault, begins it, and schedules the next.
    pub(crate) fn next_fault(&mut self) {
        if self.calm || self.swarm.faults.kinds.is_empty() {
            return;
        }
        let kind = self.dice.fault.pick(&self.swarm.faults.kinds);
        let duration = self.dice.fault.exponential(self.swarm.faults.duration) + MICRO;
        self.note(|| format!("fault: {kind:?} for {} us", duration / MICRO));
        self.begin(kind, duration);
        let after = self.dice.fault.exponential(self.swarm.faults.interval) + MICRO;
        self.queue.push(self.now + after, Occurrence::NextFault);
    }

    /// Begins or ends what was scheduled.
    pub(crate) fn fault(&mut self, fault: Fault) {
        if self.calm {
            return; // all is healed already
        }
        match fault {
            Fault::Cut(links) => links.iter().for_each(|(from, to)| self.network.cut(*from, *to)),
            Fault::Heal(links) => links.iter().for_each(|(from, to)| self.network.heal(*from, *to)),
            Fault::FreeDisk(node) => self.nodes[node].disk_full = false,
            Fault::CrashLeaderBut(old) => {
                if let Some(successor) = self.leading_node().filter(|node| *node != old) {
                    self.tally.saw(Mark::Deposed);
                    self.crash(successor);
                }
            }
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

    fn begin(&mut self, kind: FaultKind, duration: u64) {
        let until = self.now + duration;
        let node = self.victim();
        match kind {
            FaultKind::Partition => self.partition(duration),
            FaultKind::OneWay => {
                self.tally.saw(Mark::OneWay);
                let link = self.link(node);
                self.cut_for(vec![link], duration);
            }
            FaultKind::Isolate => {
                self.tally.saw(Mark::Isolation);
                self.isolate(node, duration);
            }
            FaultKind::Depose => self.depose(),
            FaultKind::Flap => self.flap(node, duration),
            FaultKind::Clog => {
                self.tally.saw(Mark::Clog);
                let (from, to) = self.link(node);
                self.network.clog(from, to, until);
            }
            FaultKind::Crash => {
                if self.dice.fault.chance(ALWAYS / 2) {
                    self.nodes[node].crash_after = Some(self.dice.fault.below(20) as u32);
                } else {
                    self.crash(node);
                }
            }
            FaultKind::PowerLoss => {
                self.tally.saw(Mark::PowerLoss);
                (0..self.nodes.len()).for_each(|node| self.crash(node));
            }
            FaultKind::Pause => {
                self.tally.saw(Mark::Pause);
                self.nodes[node].paused_until = until;
            }
            FaultKind::DiskStall => {
                self.tally.saw(Mark::DiskStall);
                self.nodes[node].stalled_until = until;
            }
            FaultKind::DiskFull => {
                self.nodes[node].disk_full = true;
                self.queue.push(until, Occurrence::Fault(Fault::FreeDisk(node)));
            }
            FaultKind::ClientCrash => {
                self.tally.saw(Mark::ClientCrash);
                let client = self.dice.fault.below(self.clients.len() as u64) as usize;
                self.replace_client(client);
            }
            FaultKind::ClientCut => {
                self.tally.saw(Mark::ClientCut);
                self.cut_off_client(duration);
            }
        }
    }

    fn depose(&mut self) {
        let Some(leader) = self.leading_node() else { return };
        let timeouts = self.dice.fault.between(2, 5);
        let duration = timeouts * self.swarm.timing.election_timeout_max.0;
        self.isolate(leader, duration);
        let crash = Occurrence::Fault(Fault::CrashLeaderBut(leader));
        self.queue.push(self.now + duration, crash);
    }

    fn cut_off_client(&mut self, duration: u64) {
        let client = self.dice.fault.below(self.clients.len() as u64) as usize;
        let client = Place::Client(self.clients[client].number);
        let members = (0..self.nodes.len()).map(|node| self.member_place(node));
        let links = members.flat_map(|member| [(client, member), (member, client)]);
        self.cut_for(links.collect(), duration);
    }

    /// Cuts the member at `node` from all others, but not from clients.
    fn isolate(&mut self, node: usize, duration: u64) {
        let alone = self.member_place(node);
        let others = (0..self.nodes.len()).filter(|other| *other != node);
        let others: Vec<_> = others.map(|other| self.member_place(other)).collect();
        let links = others.iter().flat_map(|other| [(alone, *other), (*other, alone)]);
        self.cut_for(links.collect(), duration);
    }

    /// The node that leads in the highest term.
    fn leading_node(&self) -> Option<usize> {
        let leads = |node: &usize| {
            self.nodes[*node].member.is_some() && self.nodes[*node].view.role == Role::Leader
        };
        (0..self.nodes.len()).filter(leads).max_by_key(|node| self.nodes[*node].view.term)
    }

    fn partition(&mut self, duration: u64) {
        self.tally.saw(Mark::Partition);
        let members = (0..self.nodes.len()).map(|node| self.member_place(node));
        let clients = self.clients.iter().map(|client| Place::Client(client.number));
        let places: Vec<Place> = members.chain(clients).collect();
        let sides: Vec<bool> = places.iter().map(|_| self.dice.fault.chance(ALWAYS / 2)).collect();
        let mut links = Vec::new();
        for (one, side) in places.iter().zip(&sides) {
            let across = places.iter().zip(&sides).filter(|(_, other)| *other != side);
            links.extend(across.map(|(other, _)| (*one, *other)));
        }
        self.cut_for(links, duration);
    }

    fn flap(&mut self, node: usize, duration: u64) {
        self.tally.saw(Mark::Flap);
        let (from, to) = self.link(node);
        let links = vec![(from, to), (to, from)];
        let times = self.dice.fault.between(2, 8);
        let half = duration / times / 2 + 1;
        for time in 0..times {
            let at = self.now + 2 * time * half;
            self.queue.push(at, Occurrence::Fault(Fault::Cut(links.clone())));
            self.queue.push(at + half, Occurrence::Fault(Fault::Heal(links.clone())));
        }
    }

    fn cut_for(&mut self, links: Vec<(Place, Place)>, duration: u64) {
        links.iter().for_each(|(from, to)| self.network.cut(*from, *to));
        self.queue.push(self.now + duration, Occurrence::Fault(Fault::Heal(links)));
    }

    /// A member, the leader as often as all others together.
    fn victim(&mut self) -> usize {
        let leader = self.leading_node();
        let any = self.dice.fault.below(self.nodes.len() as u64) as usize;
        match leader {
            Some(leader) if self.dice.fault.chance(ALWAYS / 2) => leader,
            _ => any,
        }
    }

    /// A link of the member at `node`, in one direction or the other.
    fn link(&mut self, node: usize) -> (Place, Place) {
        let other = self.dice.fault.below(self.nodes.len() as u64) as usize;
        let (one, other) = (self.member_place(node), self.member_place(other));
        if self.dice.fault.chance(ALWAYS / 2) { (one, other) } else { (other, one) }
    }

    fn member_place(&self, node: usize) -> Place {
        Place::Member(self.nodes[node].id)
    }
}
