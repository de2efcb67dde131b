//! A state of the whole, in numbers, and what may happen in it.

use quorate_core::Role;
use quorate_core::hash::mix;

use super::letters::{Letter, Link, Pool};
use super::locals::{Locals, Outcome};
use super::machine::{MEMBERS, Step};
use super::options::{Bounds, Left};

/// Ways from one member to another.
pub(super) const LINKS: usize = MEMBERS * (MEMBERS - 1);

/// Three machines, what is on its way between them, what was committed, and what may happen yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct State {
    pub(super) machines: [u32; MEMBERS],
    pub(super) links: [u32; LINKS],
    pub(super) ghost: u32,
    pub(super) left: Left,
}

impl State {
    pub(super) fn fingerprint(&self) -> u64 {
        let [a, b, c] = self.machines.map(u64::from);
        let mut hash = mix(mix(1, a << 32 | b), c << 32 | u64::from(self.ghost));
        for pair in self.links.chunks(2) {
            hash = mix(hash, pair.iter().fold(0, |word, link| word << 32 | u64::from(*link)));
        }
        let left = self.left.bytes();
        hash = left[..8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte)) ^ mix(hash, 1);
        mix(hash, u64::from(left[8]) << 8 | u64::from(left[9]))
    }
}

/// The number of the way from one member to another, by their indices.
pub(super) const fn link(from: usize, to: usize) -> usize {
    from * (MEMBERS - 1) + if to > from { to - 1 } else { to }
}

/// The index of who sends on a way.
const fn sender(way: usize) -> usize {
    way / (MEMBERS - 1)
}

/// The index of who receives on a way.
const fn receiver(way: usize) -> usize {
    let to = way % (MEMBERS - 1);
    if to >= sender(way) { to + 1 } else { to }
}

/// The ways that are so, by the indices of sender and receiver, a bit for each.
fn ways(are: impl Fn(usize, usize) -> bool) -> u8 {
    (0..LINKS).filter(|way| are(sender(*way), receiver(*way))).fold(0, |all, way| all | 1 << way)
}

/// Where a datagram comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// From nowhere: it is none, or a client's.
    None,
    /// It is this one of those on their way.
    Next(usize, usize),
    /// It comes late.
    Late(usize),
    /// The first one of this way is lost.
    Lost(usize),
    /// These ways are held up, a bit for each.
    Held(u8),
    /// This way is free again.
    Freed(usize),
}

/// Something that may happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) member: usize,
    pub(super) step: Step,
    pub(super) way: Way,
    pub(super) left: Left,
}

/// The tables that states speak of.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) bounds: Bounds,
    pub(super) locals: Locals,
    pub(super) links: Pool<Link>,
}

impl Tables {
    /// All that may happen in `state`, in an order that is always the same.
    pub(super) fn moves(&mut self, state: &State, moves: &mut Vec<Move>) {
        let first = self.bounds.holds.and_then(|_| self.first_way(state));
        if self.bounds.holds.is_some() {
            self.moves_of_ways(state, first, moves);
        }
        for member in 0..MEMBERS {
            // Who was not touched yet is like the others that were not: the first of them goes
            // first.
            if member > 0 && state.left.touched >> (member - 1) & 1 == 0 {
                continue;
            }
            let mut left = state.left;
            left.touched |= 1 << member;
            let is_up = self.locals.summary(state.machines[member]).is_up;
            if !is_up && first.is_none() {
                moves.push(Move { member, step: Step::Start, way: Way::None, left });
            }
            if !is_up {
                continue;
            }
            for from in (0..MEMBERS).filter(|from| *from != member) {
                let way = link(from, member);
                if self.bounds.holds.is_none() {
                    self.deliveries(state, (way, member), left, moves);
                } else if first == Some(way) {
                    let step = Step::Take(self.links.get(state.links[way]).queue[0]);
                    moves.push(Move { member, step, way: Way::Next(way, 0), left });
                }
                self.late_deliveries(state, (way, member), left, moves);
            }
            self.faults(state, member, left, moves);
            if first.is_none() {
                self.own_moves(state, member, left, moves);
            }
        }
    }

    /// The way that the next datagram comes from, where they come one after the other.
    fn first_way(&self, state: &State) -> Option<usize> {
        (0..LINKS).find(|way| {
            let is_held = state.left.held >> way & 1 == 1;
            !is_held && !self.links.get(state.links[*way]).queue.is_empty()
        })
    }

    /// What may happen to datagrams where they come one after the other.
    fn moves_of_ways(&self, state: &State, first: Option<usize>, moves: &mut Vec<Move>) {
        let (left, step) = (state.left, Step::Pass);
        let Some(way) = first else {
            for way in (0..LINKS).filter(|way| left.held >> way & 1 == 1) {
                let left = Left { held: left.held & !(1 << way), ..left };
                moves.push(Move { member: 0, step, way: Way::Freed(way), left });
            }
            return;
        };
        let member = receiver(way);
        if let Some(left) = left.lose(1, &self.bounds) {
            moves.push(Move { member, step, way: Way::Lost(way), left });
        }
        if let Some(holds) = left.holds.checked_sub(1) {
            let (to, from) = (ways(|_, to| to == member), ways(|from, _| from == sender(way)));
            let around = |one: usize| ways(move |from, to| from == one || to == one);
            let mut held = vec![1 << way, to, from, around(member), around(sender(way))];
            held.dedup();
            for mask in held {
                let left = Left { holds, held: left.held | mask, ..left };
                moves.push(Move { member, step, way: Way::Held(mask), left });
            }
        }
    }

    /// The datagrams of a way that may arrive, whatever else is on its way.
    fn deliveries(
        &self,
        state: &State,
        (way, member): (usize, usize),
        left: Left,
        moves: &mut Vec<Move>,
    ) {
        let on_its_way = self.links.get(state.links[way]);
        for (at, letter) in on_its_way.queue.iter().enumerate() {
            let Some(left) = left.lose(at, &self.bounds) else { break };
            let (step, way) = (Step::Take(*letter), Way::Next(way, at));
            moves.push(Move { member, step, way, left });
        }
    }

    /// Those that may arrive late, or once more.
    fn late_deliveries(
        &self,
        state: &State,
        (way, member): (usize, usize),
        left: Left,
        moves: &mut Vec<Move>,
    ) {
        let Some(late) = left.late.checked_sub(1) else { return };
        let left = Left { late, ..left };
        for letter in &self.links.get(state.links[way]).late {
            moves.push(Move { member, step: Step::Take(*letter), way: Way::Late(way), left });
        }
    }

    /// What may befall `member`, and its disk, at any time.
    fn faults(&self, state: &State, member: usize, left: Left, moves: &mut Vec<Move>) {
        let under_way = self.locals.summary(state.machines[member]).under_way;
        for done in 0..under_way {
            moves.push(Move { member, step: Step::Done(done), way: Way::None, left });
        }
        if let Some(crashes) = left.crashes.checked_sub(1) {
            let left = Left { crashes, ..left };
            for done in 0..1 << under_way {
                moves.push(Move { member, step: Step::Crash(done), way: Way::None, left });
            }
        }
    }

    /// What `member` does without being told by another one.
    fn own_moves(&mut self, state: &State, member: usize, left: Left, moves: &mut Vec<Move>) {
        let summary = self.locals.summary(state.machines[member]).clone();
        let mut add = |step, left| moves.push(Move { member, step, way: Way::None, left });
        if let Some(timeouts) = left.timeouts.checked_sub(1) {
            let left = Left { timeouts, ..left };
            add(Step::TimeOut, left);
            if summary.can_lapse {
                add(Step::Lapse, left);
            }
        }
        if let Some(ticks) = left.ticks.checked_sub(1).filter(|_| summary.can_tick) {
            add(Step::Tick, Left { ticks, ..left });
        }
        if summary.role != Role::Leader || !summary.serving {
            return;
        }
        if let Some(changes) = left.changes.checked_sub(1) {
            for other in 1..=MEMBERS as u16 {
                add(Step::Demote(other), Left { changes, ..left });
            }
        }
        let asked = self.bounds.entries - left.entries;
        if let Some(entries) = left.entries.checked_sub(1) {
            let letter = self.locals.letters.number(&Letter::entry(asked + 1));
            add(Step::Take(letter), Left { entries, ..left });
        }
        if let Some(late) = left.late.checked_sub(1) {
            for number in 1..=asked {
                let letter = self.locals.letters.number(&Letter::entry(number));
                add(Step::Take(letter), Left { late, ..left });
            }
        }
    }

    /// The state behind a move that went so, but for what was committed; `None` when that is no
    /// other than `state`, with less left to happen.
    pub(super) fn after(&mut self, state: &State, made: Move, outcome: &Outcome) -> Option<State> {
        let Move { member, way, mut left, .. } = made;
        if outcome.crashed.is_some() {
            left.crashes = left.crashes.checked_sub(1)?;
        }
        let mut next = State { left, ..*state };
        next.machines[member] = outcome.machine;
        match way {
            Way::Next(number, at) => self.change(&mut next, number, |link| {
                link.take(at, left.late > 0);
            }),
            Way::Lost(number) => self.change(&mut next, number, |link| {
                link.take(0, left.late > 0);
            }),
            Way::None | Way::Late(_) | Way::Held(_) | Way::Freed(_) => {}
        }
        for &(to, letter) in &outcome.sent {
            let number = link(member, usize::from(to));
            self.change(&mut next, number, |link| link.send(letter));
        }
        if self.bounds.holds.is_some() {
            self.lose_what_meets_nobody(&mut next);
        }
        if left.late == 0 && state.left.late > 0 {
            for number in 0..LINKS {
                self.change(&mut next, number, |link| link.late.clear());
            }
        }
        let is_other = next.machines != state.machines
            || next.links != state.links
            || next.left.held != state.left.held;
        is_other.then_some(next)
    }

    fn change(&mut self, state: &mut State, way: usize, change: impl FnOnce(&mut Link)) {
        let mut link = self.links.get(state.links[way]).clone();
        change(&mut link);
        state.links[way] = self.links.number(&link);
    }

    /// Where datagrams come one after the other, those to a member that is down are lost, unless
    /// they are held up.
    fn lose_what_meets_nobody(&mut self, state: &mut State) {
        let held = state.left.held;
        for way in (0..LINKS).filter(|way| held >> way & 1 == 0) {
            if !self.locals.summary(state.machines[receiver(way)]).is_up {
                let may_be_late = state.left.late > 0;
                self.change(state, way, |link| link.lose_all(may_be_late));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_way_has_a_number() {
        let pairs = (0..MEMBERS).flat_map(|from| (0..MEMBERS).map(move |to| (from, to)));
        let numbers: BTreeSet<usize> =
            pairs.filter(|(from, to)| from != to).map(|(from, to)| link(from, to)).collect();
        assert_eq!(numbers, (0..LINKS).collect());
        assert!((0..LINKS).all(|way| link(sender(way), receiver(way)) == way));
        assert_eq!(ways(|from, to| from == 0 || to == 0).count_ones(), 4);
    }
}
