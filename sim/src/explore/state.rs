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
        mix(hash, u64::from_le_bytes(self.left.bytes()))
    }
}

/// The number of the way from one member to another, by their indices.
pub(super) const fn link(from: usize, to: usize) -> usize {
    from * (MEMBERS - 1) + if to > from { to - 1 } else { to }
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
        for member in 0..MEMBERS {
            // Who was not touched yet is like the others that were not: the first of them goes first.
            if member > 0 && state.left.touched >> (member - 1) & 1 == 0 {
                continue;
            }
            let mut left = state.left;
            left.touched |= 1 << member;
            let summary = self.locals.summary(state.machines[member]);
            if !summary.is_up {
                moves.push(Move { member, step: Step::Start, way: Way::None, left });
                continue;
            }
            self.deliveries(state, member, left, moves);
            self.own_moves(state, member, left, moves);
        }
    }

    /// The datagrams that may arrive at `member`.
    fn deliveries(&mut self, state: &State, member: usize, left: Left, moves: &mut Vec<Move>) {
        for from in (0..MEMBERS).filter(|from| *from != member) {
            let number = link(from, member);
            let on_its_way = self.links.get(state.links[number]);
            for (at, letter) in on_its_way.queue.iter().enumerate() {
                let Some(left) = left.lose(at, &self.bounds) else { break };
                let (step, way) = (Step::Take(*letter), Way::Next(number, at));
                moves.push(Move { member, step, way, left });
            }
            if let Some(late) = left.late.checked_sub(1) {
                let left = Left { late, ..left };
                let late = on_its_way.late.iter().map(|letter| Step::Take(*letter));
                moves.extend(late.map(|step| Move { member, step, way: Way::Late(number), left }));
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
        for done in 0..summary.under_way {
            add(Step::Done(done), left);
        }
        if let Some(crashes) = left.crashes.checked_sub(1) {
            for done in 0..1 << summary.under_way {
                add(Step::Crash(done), Left { crashes, ..left });
            }
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
        if let Way::Next(number, at) = way {
            let mut link = self.links.get(state.links[number]).clone();
            link.take(at, left.late > 0);
            next.links[number] = self.links.number(&link);
        }
        for to in 0..MEMBERS {
            let mut sent = outcome.sent.iter().filter(|(of, _)| usize::from(*of) == to).peekable();
            if sent.peek().is_none() {
                continue;
            }
            let number = link(member, to);
            let mut link = self.links.get(next.links[number]).clone();
            // What is sent at once is not lost by that.
            let burst = sent.map(|(_, letter)| link.send(*letter)).count();
            link.overflow(self.bounds.in_flight.max(burst), left.late > 0);
            next.links[number] = self.links.number(&link);
        }
        if left.late == 0 && state.left.late > 0 {
            for number in 0..LINKS {
                let mut link = self.links.get(next.links[number]).clone();
                link.late.clear();
                next.links[number] = self.links.number(&link);
            }
        }
        let is_other = next.machines != state.machines || next.links != state.links;
        is_other.then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_way_has_a_number() {
        let ways = (0..MEMBERS).flat_map(|from| (0..MEMBERS).map(move |to| (from, to)));
        let numbers: BTreeSet<usize> =
            ways.filter(|(from, to)| from != to).map(|(from, to)| link(from, to)).collect();
        assert_eq!(numbers, (0..LINKS).collect());
    }
}
