//! What the objects of the suite's service have to answer, one operation at a time. They are
//! written apart from the service: a mistake in it is none here.

use std::collections::VecDeque;

use quorate_sim::linearizability::Model;

use crate::edges::{ACCOUNTS, FIRST_BALANCE};

/// What an operation makes of a register; it is answered with what the register held before.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Add(u64),
    Write(u64),
}

/// A register of the suite's service.
pub(super) struct Register;

impl Model for Register {
    type State = u64;
    type Input = Change;
    type Output = u64;

    fn initial(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, input: &Change, output: Option<&u64>) -> Option<u64> {
        let next = match input {
            Change::Add(value) => state.wrapping_add(*value),
            Change::Write(value) => *value,
        };
        output.is_none_or(|output| output == state).then_some(next)
    }
}

/// What is asked of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Queued {
    Put(u64),
    Take,
}

/// The queue of the suite's service, as long as nothing of it is refused.
pub(super) struct Queue;

impl Model for Queue {
    type State = VecDeque<u64>;
    type Input = Queued;
    type Output = u64;

    fn initial(&self) -> VecDeque<u64> {
        VecDeque::new()
    }

    fn step(
        &self,
        state: &VecDeque<u64>,
        input: &Queued,
        output: Option<&u64>,
    ) -> Option<VecDeque<u64>> {
        let mut next = state.clone();
        let answer = match input {
            Queued::Put(value) => {
                next.push_back(*value);
                next.len() as u64
            }
            Queued::Take => next.pop_front().unwrap_or(0),
        };
        output.is_none_or(|output| *output == answer).then_some(next)
    }
}

/// An element for a set, below 64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Included(pub(super) u64);

/// The set of the suite's service: each answer is all that was in it before.
pub(super) struct Set;

impl Model for Set {
    type State = u64;
    type Input = Included;
    type Output = u64;

    fn initial(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, input: &Included, output: Option<&u64>) -> Option<u64> {
        output.is_none_or(|output| output == state).then_some(state | 1 << input.0)
    }
}

/// Money that is to go from one account to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) amount: u16,
}

/// The bank of the suite's service: each answer is the balances of all accounts before.
pub(super) struct Bank;

impl Model for Bank {
    type State = [u16; ACCOUNTS];
    type Input = Moved;
    type Output = u64;

    fn initial(&self) -> [u16; ACCOUNTS] {
        [FIRST_BALANCE; ACCOUNTS]
    }

    fn step(
        &self,
        state: &[u16; ACCOUNTS],
        input: &Moved,
        output: Option<&u64>,
    ) -> Option<[u16; ACCOUNTS]> {
        let is_told = |output: &u64| {
            (0..).zip(state).all(|(account, balance)| (output >> (16 * account)) as u16 == *balance)
        };
        if !output.is_none_or(is_told) {
            return None;
        }
        let mut next = *state;
        let Moved { from, to, amount } = *input;
        if let Some(left) = next[from as usize].checked_sub(amount) {
            next[from as usize] = left;
            next[to as usize] += amount;
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_sim::linearizability::{self, Operation, Verdict as Sequence};

    const STEPS_MAX: u64 = 1_000;

    const fn added(session: u64, invoked: u64, output: u64) -> Operation<Change, u64> {
        let (returned, output) = (Some(invoked + 2), Some(output));
        Operation { session, invoked, returned, input: Change::Add(1), output }
    }

    fn is_sound(history: &[Operation<Change, u64>]) -> bool {
        linearizability::check(&Register, history, STEPS_MAX) == Sequence::Valid
    }

    #[test]
    fn the_model_finds_what_is_lost_doubled_and_before_its_time() {
        assert!(is_sound(&[added(1, 0, 0), added(2, 1, 1), added(1, 6, 2)]));
        assert!(!is_sound(&[added(1, 0, 0), added(2, 6, 0)]), "one is lost");
        assert!(!is_sound(&[added(1, 0, 0), added(2, 6, 2)]), "one has two effects");
        assert!(!is_sound(&[added(1, 0, 1), added(2, 6, 0)]), "it saw what was to come");
    }

    #[test]
    fn the_model_of_a_queue_finds_what_is_taken_twice_or_out_of_turn() {
        let put = |session: u64, invoked: u64, output: u64| {
            let (returned, output) = (Some(invoked + 2), Some(output));
            Operation { session, invoked, returned, input: Queued::Put(invoked), output }
        };
        let take = |session: u64, invoked: u64, output: u64| {
            let (returned, output) = (Some(invoked + 2), Some(output));
            Operation { session, invoked, returned, input: Queued::Take, output }
        };
        let is_sound = |history: &[Operation<Queued, u64>]| {
            linearizability::check(&Queue, history, STEPS_MAX) == Sequence::Valid
        };
        let puts = [put(1, 10, 1), put(2, 20, 2)];
        assert!(is_sound(&[puts[0], puts[1], take(3, 30, 10), take(3, 40, 20), take(3, 50, 0)]));
        assert!(!is_sound(&[puts[0], puts[1], take(3, 30, 20)]), "out of turn");
        assert!(!is_sound(&[puts[0], puts[1], take(3, 30, 10), take(3, 40, 10)]), "twice");
        assert!(!is_sound(&[puts[0], puts[1], take(3, 30, 0)]), "lost");
    }

    #[test]
    fn the_model_of_a_set_finds_what_is_lost_and_what_nobody_put_in() {
        let put = |session: u64, element: u64, output: u64| {
            let (invoked, returned, output) = (10 * session, Some(10 * session + 2), Some(output));
            Operation { session, invoked, returned, input: Included(element), output }
        };
        let is_sound = |history: &[Operation<Included, u64>]| {
            linearizability::check(&Set, history, STEPS_MAX) == Sequence::Valid
        };
        assert!(is_sound(&[put(1, 3, 0), put(2, 5, 0b1000), put(3, 0, 0b10_1000)]));
        assert!(!is_sound(&[put(1, 3, 0), put(2, 5, 0)]), "an element is lost");
        assert!(!is_sound(&[put(1, 3, 0), put(2, 5, 0b1001)]), "nobody put 0 in");
    }

    #[test]
    fn the_model_of_a_bank_finds_money_that_comes_and_goes() {
        let packed = |balances: [u64; ACCOUNTS]| {
            balances.iter().rev().fold(0, |packed, balance| packed << 16 | balance)
        };
        let moved = |session: u64, amount: u16, output: [u64; ACCOUNTS]| {
            let (invoked, returned) = (10 * session, Some(10 * session + 2));
            let input = Moved { from: 0, to: 1, amount };
            Operation { session, invoked, returned, input, output: Some(packed(output)) }
        };
        let is_sound = |history: &[Operation<Moved, u64>]| {
            linearizability::check(&Bank, history, STEPS_MAX) == Sequence::Valid
        };
        let first = moved(1, 60, [100; ACCOUNTS]);
        // The second finds too little, and moves nothing.
        let after = [40, 160, 100, 100];
        assert!(is_sound(&[first, moved(2, 60, after), moved(3, 1, after)]));
        assert!(!is_sound(&[first, moved(2, 60, [40, 100, 100, 100])]), "it went nowhere");
        assert!(!is_sound(&[first, moved(2, 60, [100, 160, 100, 100])]), "it came from nowhere");
        assert!(!is_sound(&[first, moved(2, 60, after), moved(3, 1, [0, 200, 100, 100])]), "debt");
    }
}
