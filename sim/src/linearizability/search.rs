//! The search for an order.

use std::collections::{BTreeMap, BTreeSet};

use super::{Model, Operation, Verdict};

/// Which operations are done: all before `reached` but those in `open`.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
struct Done {
    reached: u32,
    /// By rising index.
    open: Vec<u32>,
}

impl Done {
    fn has(&self, index: u32) -> bool {
        index < self.reached && self.open.binary_search(&index).is_err()
    }

    fn add(&mut self, index: u32) {
        if index >= self.reached {
            self.open.extend(self.reached..index);
            self.reached = index + 1;
        } else if let Ok(at) = self.open.binary_search(&index) {
            self.open.remove(at);
        }
    }

    /// Those that are not done, by rising index, `count` in all.
    fn left(&self, count: u32) -> impl Iterator<Item = u32> {
        self.open.iter().copied().chain(self.reached..count)
    }
}

/// A choice that can be taken back.
struct Choice<State> {
    done: Done,
    state: State,
    /// The operations that could be next here and were not tried yet, the last one first.
    candidates: Vec<u32>,
}

/// An operation, and where it stands in the history that is judged.
type Placed<'a, M> = (usize, &'a Operation<<M as Model>::Input, <M as Model>::Output>);

struct Search<'a, M: Model> {
    model: &'a M,
    /// By rising time of invocation; those of a session in its order.
    operations: Vec<Placed<'a, M>>,
    /// The operation before it in its session.
    before: Vec<Option<u32>>,
}

/// Looks for an order of `history`, in at most `steps_max` steps.
pub(super) fn search<M: Model>(
    model: &M,
    history: &[&Operation<M::Input, M::Output>],
    steps_max: u64,
) -> Verdict {
    Search::new(model, history).run(steps_max)
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, history: &[&'a Operation<M::Input, M::Output>]) -> Self {
        let mut operations: Vec<_> = history.iter().copied().enumerate().collect();
        // Stable: operations of one session stay in their order.
        operations.sort_by_key(|(_, operation)| operation.invoked);
        let mut newest = BTreeMap::new();
        let before = operations.iter().zip(0..);
        let before = before.map(|((_, operation), index)| newest.insert(operation.session, index));
        let before = before.collect();
        Self { model, operations, before }
    }

    fn run(&self, steps_max: u64) -> Verdict {
        let mut tried: BTreeSet<(Done, M::State)> = BTreeSet::new();
        let mut stack = vec![self.choice(Done::default(), self.model.initial())];
        let (mut steps, mut longest, mut culprit) = (0, None, 0);
        while let Some(top) = stack.last_mut() {
            let depth = top.done.reached as usize - top.done.open.len();
            if longest.is_none_or(|longest| depth > longest) {
                longest = Some(depth);
                match self.first_to_return(&top.done) {
                    None => return Verdict::Valid,
                    Some(index) => culprit = index,
                }
            }
            let Some(index) = top.candidates.pop() else {
                stack.pop();
                continue;
            };
            steps += 1;
            if steps > steps_max {
                return Verdict::Unknown;
            }
            let (_, operation) = self.operations[index as usize];
            let output = operation.output.as_ref();
            let Some(state) = self.model.step(&top.state, &operation.input, output) else {
                continue;
            };
            let mut done = top.done.clone();
            done.add(index);
            if tried.insert((done.clone(), state.clone())) {
                stack.push(self.choice(done, state));
            }
        }
        Verdict::Invalid { operation: self.operations[culprit as usize].0 }
    }

    /// The operation that returned first of those that are not done; `None` if all that returned
    /// are done.
    fn first_to_return(&self, done: &Done) -> Option<u32> {
        let mut first: Option<(u64, u32)> = None;
        for index in done.left(self.operations.len() as u32) {
            let (_, operation) = self.operations[index as usize];
            if first.is_some_and(|(returned, _)| operation.invoked > returned) {
                break;
            }
            if let Some(returned) = operation.returned {
                first = Some(first.map_or((returned, index), |first| first.min((returned, index))));
            }
        }
        first.map(|(_, index)| index)
    }

    /// What could be next behind `done`: no operation that is left returned before it was invoked,
    /// and all before it in its session are done.
    fn choice(&self, done: Done, state: M::State) -> Choice<M::State> {
        let mut candidates = Vec::new();
        let mut first_return = u64::MAX;
        for index in done.left(self.operations.len() as u32) {
            let (_, operation) = self.operations[index as usize];
            if operation.invoked > first_return {
                break;
            }
            first_return = first_return.min(operation.returned.unwrap_or(u64::MAX));
            if self.before[index as usize].is_none_or(|before| done.has(before)) {
                candidates.push(index);
            }
        }
        // A read that fits here may as well be done here, whatever comes behind it: nothing depends
        // on it.
        let fits = |index: &u32| {
            let (_, operation) = self.operations[*index as usize];
            let output = operation.output.as_ref();
            self.model.is_read(&operation.input)
                && self.model.step(&state, &operation.input, output).is_some()
        };
        if let Some(read) = candidates.iter().copied().find(fits) {
            return Choice { done, state, candidates: vec![read] };
        }
        // Who returned first is most likely the next: it is tried first. What never returned comes
        // last.
        candidates.sort_by_key(|index| {
            let returned = self.operations[*index as usize].1.returned;
            core::cmp::Reverse((returned.unwrap_or(u64::MAX), *index))
        });
        Choice { done, state, candidates }
    }
}
