//! What an exploration has seen.

use std::collections::BTreeMap;

use super::rules::Violation;

/// How often what happened, over all transitions.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Coverage {
    /// What members did and took in, by name.
    pub taken: BTreeMap<&'static str, u64>,
    /// Times that a member came to lead a term that nobody had led before on that way.
    pub elections: u64,
    /// Times that something was committed first.
    pub commits: u64,
    /// Times that a member that was up lost frames of its log: it adopted another history.
    pub cuts: u64,
    /// Crashes in the middle of a step.
    pub crashes_within: u64,
    /// The most frames that were committed in a state.
    pub committed_max: usize,
    /// The most terms that had a leader in a state.
    pub led_max: usize,
    /// Transitions that would have begun a term too many, and were not followed.
    pub beyond_terms: u64,
}

impl Coverage {
    pub(super) fn saw(&mut self, what: &'static str) {
        *self.taken.entry(what).or_default() += 1;
    }
}

/// How far it has come, at the end of each step from the beginning.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    /// Steps from the beginning.
    pub depth: u32,
    /// States that are so far and no nearer.
    pub states: usize,
    /// States so far.
    pub all: u32,
    /// Transitions so far.
    pub transitions: u64,
    /// Machines so far.
    pub machines: usize,
}

/// What came of an exploration.
#[derive(Clone, Debug)]
pub struct Explored {
    /// Whether all states within the bounds were looked at.
    pub complete: bool,
    /// States.
    pub states: u32,
    /// Transitions: the same state may be reached in many ways.
    pub transitions: u64,
    /// The longest of the shortest ways to each state.
    pub depth: u32,
    /// Machines: one member, its disk and its clock.
    pub machines: usize,
    /// Datagrams that differ.
    pub datagrams: usize,
    /// Times that the core was asked what comes of a step.
    pub steps: usize,
    /// What it has seen.
    pub coverage: Coverage,
    /// The rule that is broken, and a shortest way there.
    pub violation: Option<(Violation, Vec<String>)>,
}

impl Explored {
    /// How many states are expected to be taken for others, since 64 bits stand for each.
    #[must_use]
    pub fn mistaken(&self) -> f64 {
        let states = f64::from(self.states);
        states * states / 2.0_f64.powi(65)
    }
}
