//! Sequential objects.

use super::Model;

/// A register whose only operation puts a value in and returns the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Swap {
    /// The value before all operations.
    pub initial: u64,
}

impl Model for Swap {
    type State = u64;
    type Input = u64;
    type Output = u64;

    fn initial(&self) -> u64 {
        self.initial
    }

    fn step(&self, state: &u64, input: &u64, output: Option<&u64>) -> Option<u64> {
        output.is_none_or(|output| output == state).then_some(*input)
    }
}

/// The same, which can be read besides: what is not above all numbers of registers is no value, and
/// puts nothing in.
#[derive(Clone, Copy, Debug, Default)]
pub struct SwapOrRead;

impl Model for SwapOrRead {
    type State = u64;
    type Input = u64;
    type Output = u64;

    fn initial(&self) -> u64 {
        0
    }

    fn is_read(&self, input: &u64) -> bool {
        *input < crate::ledger::REGISTERS
    }

    fn step(&self, state: &u64, input: &u64, output: Option<&u64>) -> Option<u64> {
        let next = if self.is_read(input) { *state } else { *input };
        output.is_none_or(|output| output == state).then_some(next)
    }
}

/// A register that is read, written, and compared before it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register {
    /// The value before all operations.
    pub initial: u64,
}

/// What a [`Register`] is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RegisterCall {
    /// Its value is returned.
    Read,
    /// It is set; the value is returned.
    Write(u64),
    /// It is set to the second if it is the first; the value that it had is returned.
    CompareAndSet(u64, u64),
}

impl Model for Register {
    type State = u64;
    type Input = RegisterCall;
    type Output = u64;

    fn initial(&self) -> u64 {
        self.initial
    }

    fn is_read(&self, input: &RegisterCall) -> bool {
        matches!(input, RegisterCall::Read)
    }

    fn step(&self, state: &u64, input: &RegisterCall, output: Option<&u64>) -> Option<u64> {
        let (answer, next) = match *input {
            RegisterCall::Read => (*state, *state),
            RegisterCall::Write(value) => (value, value),
            RegisterCall::CompareAndSet(expected, value) if expected == *state => (*state, value),
            RegisterCall::CompareAndSet(..) => (*state, *state),
        };
        output.is_none_or(|output| *output == answer).then_some(next)
    }
}
