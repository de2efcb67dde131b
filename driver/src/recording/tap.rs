//! Where a member's loop is listened to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_core::{Action, Endpoint, Event, Instant, Member};

use super::action_hash::ActionHash;
use super::recorder::Recording;

/// The hash that the virtual ports of a replay share with their loop.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedHash(Arc<Mutex<ActionHash>>);

impl SharedHash {
    /// The hash. Whoever panicked with it has ended the replay.
    pub(crate) fn lock(&self) -> MutexGuard<'_, ActionHash> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens to a loop: what goes into its member, and what comes out.
#[derive(Debug)]
pub(crate) enum Tap {
    /// Writes down what goes in.
    Recording(Box<Recording>),
    /// Replays what was written down: nothing follows from actions, for that is written down too.
    Replaying(SharedHash),
}

impl Tap {
    /// A datagram that the member is about to take in.
    pub(crate) fn datagram(&mut self, now: Instant, source: Endpoint, datagram: &[u8]) {
        if let Self::Recording(recording) = self {
            recording.datagram(now, source, datagram);
        }
    }

    /// An event that the member is about to take in.
    pub(crate) fn event(&mut self, now: Instant, event: &Event<'_>) {
        if let Self::Recording(recording) = self {
            recording.event(now, event);
        }
    }

    /// An action that is about to be performed.
    pub(crate) fn action(&mut self, action: &Action, member: &Member, read: Option<&[u8]>) {
        match self {
            Self::Recording(recording) => recording.action(action, member, read),
            Self::Replaying(hash) => hash.lock().beyond_ports(action),
        }
    }
}
