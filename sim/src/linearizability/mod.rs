//! Whether a history of operations could have been done one at a time: each at some moment between
//! its invocation and its return, each session's in their order. It judges by times and values
//! alone, and asks no member.
//!
//! The search is that of Wing and Gong with Lowe's memory of what was tried ("Testing for
//! linearizability", 2017). It never tries the same set of done operations in the same state twice.

mod models;
mod search;
#[cfg(test)]
mod tests;

pub use models::{Register, RegisterCall, Swap, SwapOrRead};

use std::collections::BTreeMap;

/// What a sequential object does.
pub trait Model {
    /// Its state.
    type State: Clone + Ord;
    /// What it is asked.
    type Input;
    /// What it answers.
    type Output;

    /// The state before all operations.
    fn initial(&self) -> Self::State;

    /// Whether `input` changes no state.
    fn is_read(&self, input: &Self::Input) -> bool {
        let _ = input;
        false
    }

    /// The state behind `input` if that is answered with `output`; `None` if it is not answered so.
    /// An output that is not known may be any.
    fn step(
        &self,
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;
}

/// One operation of a history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Operation<Input, Output> {
    /// Whose it is. The operations of a session stand in the order in which they are to be done.
    pub session: u64,
    /// When it was invoked.
    pub invoked: u64,
    /// When it returned. One that never did may have been done at any time since, or not at all.
    pub returned: Option<u64>,
    /// What was asked.
    pub input: Input,
    /// What was answered, if that is known.
    pub output: Option<Output>,
}

/// What a checker makes of a history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// There is an order.
    Valid,
    /// There is none.
    Invalid {
        /// The index of the first operation that fits nowhere in the longest order that was found.
        operation: usize,
    },
    /// The limit of steps was reached before it was known. That is no pass.
    Unknown,
}

/// Judges a history of one object, in at most `steps_max` steps.
pub fn check<M: Model>(
    model: &M,
    history: &[Operation<M::Input, M::Output>],
    steps_max: u64,
) -> Verdict {
    search::search(model, &history.iter().collect::<Vec<_>>(), steps_max)
}

/// Judges a history of many objects: it is linearizable when that of each is (Herlihy and Wing,
/// 1990). `key_of` says which object an operation is of; `steps_max` is for each.
pub fn check_by_key<M: Model, Key: Ord>(
    model: &M,
    history: &[Operation<M::Input, M::Output>],
    key_of: impl Fn(&M::Input) -> Key,
    steps_max: u64,
) -> Verdict {
    let mut objects: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    for (index, operation) in history.iter().enumerate() {
        objects.entry(key_of(&operation.input)).or_default().push(index);
    }
    let mut verdict = Verdict::Valid;
    for indexes in objects.values() {
        let part: Vec<_> = indexes.iter().map(|&index| &history[index]).collect();
        match search::search(model, &part, steps_max) {
            Verdict::Valid => {}
            Verdict::Unknown => verdict = Verdict::Unknown,
            Verdict::Invalid { operation } => {
                return Verdict::Invalid { operation: indexes[operation] };
            }
        }
    }
    verdict
}
