//! What a runtime sees of a loop: turns, and the waiting between them.

use std::os::fd::BorrowedFd;

use quorate_core::Instant;

/// What to do after a turn of a loop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// There is more to do: let others run, then take the next turn.
    Again,
    /// Everything was done, and the socket had nothing left: take the next turn when the socket is
    /// readable, when the wake function was called, or at `until`, whichever is first. A turn more
    /// than needed does no harm.
    Wait {
        /// When to go on in any case.
        until: Option<Instant>,
        /// Whether there was anything to do; a runtime that polls may tell idleness by it.
        worked: bool,
    },
    /// The loop has ended. Let go of its socket, then drop it: that tells its handle.
    Ended,
}

/// A member or a client as a runtime drives it.
///
/// ```text
/// loop {
///     match host.turn() {
///         Turn::Again => yield to others,
///         Turn::Wait { until, .. } => wait for socket, wake function, or until,
///         Turn::Ended => break,
///     }
/// }
/// ```
///
/// A runtime that is told of edges of readiness forgets one **before** the turn that it brings
/// about: the turn takes all that there is, or says [`Turn::Again`].
pub trait Host {
    /// Does everything that can be done without waiting, within a budget: completions of the
    /// storage, requests of handles, datagrams, due timers, and then what follows of them.
    fn turn(&mut self) -> Turn;

    /// The present, on the clock of [`Turn::Wait`].
    fn now(&self) -> Instant;

    /// What to watch for datagrams.
    fn socket(&self) -> BorrowedFd<'_>;
}

/// Ends a runtime's waiting for the next turn, or keeps it from the next wait if it does not wait
/// yet. Called from any thread.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// A runtime could not set up what it drives a loop with.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {source}")]
pub struct RuntimeError {
    /// What it could not do, and perhaps what to change.
    pub action: String,
    /// What the system said.
    pub source: std::io::Error,
}

impl RuntimeError {
    /// An error of doing `action`.
    pub fn new(action: impl Into<String>, source: std::io::Error) -> Self {
        Self { action: action.into(), source }
    }
}

/// A number that differs from process to process and from call to call: what the seeds of members
/// and the keys of clients are made of. It is no secret.
pub(crate) fn random_number() -> u64 {
    use core::hash::{BuildHasher, Hasher};
    // The standard library keys its maps from the system's random source.
    std::hash::RandomState::new().build_hasher().finish()
}
