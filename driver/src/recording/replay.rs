//! Takes a recording through the core again, and compares.

use std::collections::BTreeMap;
use std::io::Read;

use quorate_core::Actions;

use super::RecordingError;
use super::action_hash::ActionHash;
use super::reader::{Ending, Record, RecordingReader};
use super::step::Step;
use crate::member_loop::read_in;

/// What came of a replay.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Replayed {
    /// Steps taken.
    pub steps: u64,
    /// How many of them were of which event.
    pub events: BTreeMap<&'static str, u64>,
    /// Actions that came of them.
    pub actions: u64,
    /// The hash of all actions, with all bytes that they name.
    pub hash: u64,
    /// `Member::state_hash` behind the last step.
    pub state_hash: u64,
    /// What was recorded at the end; `None` when the file ends without one, and the last step's
    /// actions cannot be compared.
    pub recorded: Option<Ending>,
    /// The first step whose actions differ from those that were recorded.
    pub first_difference: Option<u64>,
}

impl Replayed {
    /// Whether all actions that can be compared are equal.
    #[must_use]
    pub const fn matches(&self) -> bool {
        self.first_difference.is_none()
    }

    /// Whether the member ended in the state in which it was recorded. Another version of the core
    /// may act alike and keep other things; then this is `Some(false)`.
    #[must_use]
    pub fn same_state(&self) -> Option<bool> {
        self.recorded.map(|recorded| recorded.state_hash == self.state_hash)
    }

    /// Takes note of a step, before it is taken; `hash` is that of all former actions.
    pub(super) fn before(&mut self, step: &Step<'_>, hash: u64) {
        if hash != step.hash_before {
            // Steps count from 1 on, so this is the one before. Nothing can differ before the
            // first: then the recording contradicts itself, and that is its first step.
            let differing = (step.number - 1).max(1);
            self.first_difference.get_or_insert(differing);
        }
        self.steps = step.number;
        *self.events.entry(step.input.name()).or_default() += 1;
    }

    /// Takes note of how it ended: after a recorded ending, or at a cut.
    pub(super) fn end(&mut self, hash: &ActionHash, state_hash: u64, recorded: Option<Ending>) {
        (self.hash, self.actions, self.state_hash) = (hash.value(), hash.actions(), state_hash);
        let same = |ending: Ending| (ending.hash, ending.actions) == (self.hash, self.actions);
        if !recorded.is_none_or(same) {
            self.first_difference.get_or_insert(self.steps);
        }
        self.recorded = recorded;
    }
}

/// Replays a recording through the core directly, without service, disk or network.
///
/// # Errors
/// [`RecordingError`]: the recording is damaged. That its actions differ is no error of this kind.
pub fn replay<R: Read>(mut recording: RecordingReader<R>) -> Result<Replayed, RecordingError> {
    let mut member = recording.beginning().member()?;
    let tag = recording.tag();
    let (mut replayed, mut hash) = (Replayed::default(), ActionHash::default());
    let mut actions = Actions::new();
    let recorded = loop {
        match recording.next_record()? {
            Record::Step(step) => {
                replayed.before(&step, hash.value());
                let (now, number) = (step.now, step.number);
                let event = step.input.into_event(tag);
                let event =
                    event.map_err(|reason| RecordingError::Undecodable { step: number, reason })?;
                let read = read_in(&event);
                member.step(now, event, &mut actions);
                for action in actions.drain() {
                    hash.action(&action, &member, read);
                }
            }
            Record::End(ending) => break Some(ending),
            Record::Cut { .. } => break None,
        }
    };
    replayed.end(&hash, member.state_hash(), recorded);
    Ok(replayed)
}
