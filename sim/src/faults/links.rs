//! Faults of links: partitions, and what else goes wrong between two places.

use super::{Fault, Links, Plan, shapes};
use crate::dice::{ALWAYS, Dice};
use crate::network::{Filter, Kind, Place, Trouble};
use crate::report::Mark;
use crate::swarm::{FaultClass, MILLI};
use crate::world::{Occurrence, World};

impl World {
    /// Begins a partition of some shape.
    pub(super) fn begin_partition(&mut self, plan: Plan, mut dice: Dice) {
        let Plan { victim, duration, .. } = plan;
        let members = self.member_places();
        let hub = self.bridge_node(victim, &mut dice);
        let dice = &mut dice;
        let (mark, links) = match plan.class {
            FaultClass::Isolate => (Mark::Isolation, shapes::both_ways(members[victim], &members)),
            FaultClass::Split => {
                let clients = self.clients.iter().map(|client| Place::Client(client.number));
                let places: Vec<Place> = members.iter().copied().chain(clients).collect();
                (Mark::Partition, shapes::split(&places, dice))
            }
            FaultClass::OneWay => (Mark::OneWay, one_way(&members, victim, dice)),
            FaultClass::QuorumLoss => (Mark::QuorumLoss, shapes::star(&members, hub)),
            FaultClass::Chain => (Mark::Chained, shapes::chain(&members, dice)),
            FaultClass::Ring => (Mark::Ring, shapes::ring(&members, dice)),
            FaultClass::Bridge => (Mark::Bridge, shapes::bridge(&members, victim, dice)),
            FaultClass::Shatter => (Mark::Shattered, shapes::shatter(&members)),
            FaultClass::ClientCut => (Mark::ClientCut, self.client_cut(&members, dice)),
            FaultClass::Constrained => return self.constrained(hub, duration),
            FaultClass::Flap => return self.flap(victim, duration, dice),
            FaultClass::Swizzle => return self.swizzle(duration, dice),
            FaultClass::PathCut => return self.path_cut(victim, duration, dice),
            _ => return,
        };
        self.tally.saw(mark);
        self.cut_for(links, duration);
    }

    /// Begins something that is wrong with a link, or with all links of a member.
    pub(super) fn begin_trouble(&mut self, plan: Plan, mut dice: Dice) {
        let dice = &mut dice;
        let trouble = match plan.class {
            FaultClass::Clog => Trouble::Clog,
            FaultClass::Mtu => Trouble::Mtu(dice.pick(&[80, 160, 600])),
            FaultClass::Bandwidth => Trouble::Bandwidth(dice.pick(&[20_000, 125_000, 1_000_000])),
            FaultClass::Filter => Trouble::Filter(match dice.below(3) {
                0 => Filter::OfKind(dice.pick(&Kind::ALL)),
                1 => Filter::Nth(dice.between(2, 5)),
                _ => {
                    let divisor = dice.between(2, 8);
                    Filter::Position(divisor, dice.below(divisor))
                }
            }),
            _ => return,
        };
        let links = if dice.chance(ALWAYS / 3) {
            let members = self.member_places();
            shapes::both_ways(members[plan.victim], &members)
        } else {
            vec![self.link(plan.victim, dice)]
        };
        for (from, to) in links {
            self.network.trouble(from, to, self.now + plan.duration, trouble);
        }
    }

    /// A follower gets little of what the leader sends.
    pub(super) fn hold_back(&mut self, plan: Plan) {
        let leader = self.leading_node();
        let count = self.nodes.len();
        let Some(node) = (0..count)
            .map(|step| (plan.victim + step) % count)
            .find(|node| Some(*node) != leader && leader.is_some())
        else {
            return;
        };
        let members = self.member_places();
        for (from, to) in shapes::both_ways(members[node], &members) {
            let until = self.now + plan.duration;
            self.network.trouble(from, to, until, Trouble::Loss(ALWAYS / 10 * 9));
        }
    }

    /// Cuts the member at `node` from all others, but not from clients.
    pub(crate) fn isolate(&mut self, node: usize, duration: u64) {
        self.tally.saw(Mark::Isolation);
        let members = self.member_places();
        self.cut_for(shapes::both_ways(members[node], &members), duration);
    }

    /// The best connected member was away, and lacks the newest bytes; the leader is cut off.
    fn constrained(&mut self, hub: usize, duration: u64) {
        self.tally.saw(Mark::Constrained);
        let (members, half) = (self.member_places(), duration / 2);
        let mut star = shapes::star(&members, hub);
        let leader = self.leading_node().filter(|leader| *leader != hub);
        if let Some(leader) = leader {
            star.extend(shapes::both_ways(members[leader], &members[hub..=hub]));
        }
        self.cut_for(shapes::both_ways(members[hub], &members), half);
        self.queue.push(self.now + half, Occurrence::Fault(Fault::Cut(star.clone())));
        self.queue.push(self.now + 2 * half, Occurrence::Fault(Fault::Heal(star)));
    }

    fn flap(&mut self, node: usize, duration: u64, dice: &mut Dice) {
        self.tally.saw(Mark::Flap);
        let (from, to) = self.link(node, dice);
        let links = vec![(from, to), (to, from)];
        let times = dice.between(2, 8);
        let half = duration / times / 2 + 1;
        for time in 0..times {
            let at = self.now + 2 * time * half;
            self.queue.push(at, Occurrence::Fault(Fault::Cut(links.clone())));
            self.queue.push(at + half, Occurrence::Fault(Fault::Heal(links.clone())));
        }
    }

    /// Members are cut off one by one, and come back in another order.
    fn swizzle(&mut self, duration: u64, dice: &mut Dice) {
        self.tally.saw(Mark::Swizzle);
        let members = self.member_places();
        let some = members.iter().copied().filter(|_| dice.chance(ALWAYS / 3 * 2));
        let cut: Vec<Place> = some.collect();
        let healed = shapes::shuffled(&cut, dice);
        let step = duration / (2 * cut.len().max(1) as u64) + 1;
        for (turn, (first, last)) in cut.iter().zip(&healed).enumerate() {
            let begin = self.now + turn as u64 * step;
            let end = self.now + duration + turn as u64 * step;
            let links = shapes::both_ways(*first, &members);
            self.queue.push(begin, Occurrence::Fault(Fault::Cut(links)));
            let links = shapes::both_ways(*last, &members);
            self.queue.push(end, Occurrence::Fault(Fault::Heal(links)));
        }
    }

    /// Data is cut and control is not, or the reverse.
    fn path_cut(&mut self, victim: usize, duration: u64, dice: &mut Dice) {
        self.tally.saw(Mark::PathCut);
        let filter = dice.pick(&[Filter::Data, Filter::Control]);
        let members = self.member_places();
        for (from, to) in shapes::both_ways(members[victim], &members) {
            self.network.trouble(from, to, self.now + duration, Trouble::Filter(filter));
        }
    }

    /// A client reaches nobody, or all but the leader, or only one member.
    fn client_cut(&self, members: &[Place], dice: &mut Dice) -> Links {
        let client = dice.below(self.clients.len() as u64) as usize;
        let client = Place::Client(self.clients[client].number);
        let leader = self.leading_node().unwrap_or(0);
        let only = dice.below(members.len() as u64) as usize;
        match dice.below(3) {
            0 => shapes::both_ways(client, members),
            1 => shapes::both_ways(client, &members[leader..=leader]),
            _ => {
                let others = members.iter().filter(|member| **member != members[only]);
                shapes::both_ways(client, &others.copied().collect::<Vec<_>>())
            }
        }
    }

    fn cut_for(&mut self, links: Links, duration: u64) {
        links.iter().for_each(|(from, to)| self.network.cut(*from, *to));
        let until = self.now + duration.min(60_000 * MILLI);
        self.queue.push(until, Occurrence::Fault(Fault::Heal(links)));
    }

    /// A member that is not the leader, if there is one.
    fn bridge_node(&self, victim: usize, dice: &mut Dice) -> usize {
        let leader = self.leading_node();
        let others: Vec<usize> =
            (0..self.nodes.len()).filter(|node| Some(*node) != leader).collect();
        if others.is_empty() { victim } else { dice.pick(&others) }
    }

    /// A link of the member at `node`, in one direction or the other.
    fn link(&self, node: usize, dice: &mut Dice) -> (Place, Place) {
        let others = self.nodes.len() as u64;
        let other = (node + dice.between(1, others.max(2) - 1) as usize) % self.nodes.len();
        let (one, other) = (self.member_place(node), self.member_place(other));
        if dice.chance(ALWAYS / 2) { (one, other) } else { (other, one) }
    }
}

/// A member only sends, or only hears, or one direction of one of its links is cut.
fn one_way(members: &[Place], victim: usize, dice: &mut Dice) -> Links {
    let one = members[victim];
    let both = shapes::both_ways(one, members);
    match dice.below(3) {
        0 => both.into_iter().filter(|(from, _)| *from == one).collect(),
        1 => both.into_iter().filter(|(_, to)| *to == one).collect(),
        _ if both.is_empty() => both,
        _ => vec![dice.pick(&both)],
    }
}
