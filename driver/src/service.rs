//! The replicated service, as its author writes it.

use core::hash::Hasher;

use quorate_core::frame::SessionCloseReason;
use quorate_core::hash::StateHasher;
use quorate_core::{ClientKey, Duration, LogTime, Outputs, Position, SessionId};

use crate::frozen::Frozen;

/// A deterministic service: the same calls in the same order give the same state and the same
/// replies on every member. So it uses no clock but [`Context::time`], no random source, no
/// hash-ordered iteration, and nothing from outside the calls.
///
/// An error, or a panic, stops the member: it goes inert rather than half-apply.
pub trait Service {
    /// A session was opened. Nothing by default.
    ///
    /// # Errors
    /// The member stops.
    fn session_opened(
        &mut self,
        context: &mut Context<'_>,
        client: ClientKey,
    ) -> Result<(), ServiceError> {
        let _ = (context, client);
        Ok(())
    }

    /// A session was closed. Nothing by default.
    ///
    /// # Errors
    /// The member stops.
    fn session_closed(
        &mut self,
        context: &mut Context<'_>,
        reason: SessionCloseReason,
    ) -> Result<(), ServiceError> {
        let _ = (context, reason);
        Ok(())
    }

    /// Applies a message; what it appends to `reply` goes to the client.
    ///
    /// # Errors
    /// The member stops. A refusal of the message is a reply, not an error.
    fn message(
        &mut self,
        context: &mut Context<'_>,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), ServiceError>;

    /// A timer that the service scheduled is due. Nothing by default.
    ///
    /// # Errors
    /// The member stops.
    fn timer(&mut self, context: &mut Context<'_>, timer: u64) -> Result<(), ServiceError> {
        let _ = (context, timer);
        Ok(())
    }

    /// Answers a read, which changes nothing: what it appends to `reply` goes to whoever reads. It
    /// is called between two messages, on any member, at any position. A member waits for it, so
    /// it should be quick. It answers none by default.
    ///
    /// # Errors
    /// [`QueryError`]: whoever reads is told, and the member goes on; so it does behind a panic.
    fn query(&self, request: &[u8], reply: &mut Vec<u8>) -> Result<(), QueryError> {
        let _ = (request, reply);
        Err(QueryError::Unsupported)
    }

    /// The whole state as it is now: the same bytes for the same state on every member. The member
    /// waits for this call only; what it returns is written by another thread while the service is
    /// called on. So a service with much state returns a cheap clone of it ([`Frozen::new`],
    /// [`crate::Pages`]), and one with little lays it out at once ([`Frozen::laid_out`]).
    fn snapshot(&self) -> Frozen;

    /// Replaces **all** of the state by that of a snapshot: nothing of what was before is left. Not
    /// only a service that has just been made is restored, but also one that has applied frames: a
    /// member that lacks what all others have purged goes on from a snapshot of theirs, in a new
    /// life with the same service.
    ///
    /// # Errors
    /// The bytes are not a snapshot of this service.
    fn restore(&mut self, bytes: &[u8]) -> Result<(), ServiceError>;

    /// A hash of the state, equal on all members at equal positions, for whoever compares members:
    /// by [`crate::MemberHandle::inspect`], on the member's thread. A member does not call it, nor
    /// does any of its status.
    ///
    /// By default it is that of the snapshot, or of nothing if there is none: **all of the state is
    /// laid out for it, and hashed, while the member does nothing else**: some seconds for a GiB,
    /// in which a leader is replaced. A service with more than some MiB keeps a digest that it can
    /// tell at once: it adds to it with each change.
    fn digest(&self) -> u64 {
        let mut hasher = StateHasher::default();
        hasher.write(&self.snapshot().into_bytes().unwrap_or_default());
        hasher.finish()
    }
}

/// Why a service cannot go on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ServiceError(
    /// What broke, in words for the operator.
    pub String,
);

/// Why a service does not answer a read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum QueryError {
    /// It answers no such reads.
    #[error("the service answers no such reads")]
    Unsupported,
    /// It failed, in words for the operator.
    #[error("{0}")]
    Failed(String),
}

/// Where and when in the log a service is called, and what it may ask for.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) position: Position,
    pub(crate) time: LogTime,
    pub(crate) session: SessionId,
    pub(crate) sequence: u64,
    pub(crate) outputs: &'a mut Outputs,
}

impl Context<'_> {
    /// The position of the frame that is applied.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Cluster time: the same on all members, never falls along the log.
    #[must_use]
    pub const fn time(&self) -> LogTime {
        self.time
    }

    /// Whose session the call is about; [`SessionId::NONE`] for timers.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// The client's number for the message that is applied, from 1 on; 0 when it is none.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Asks for [`Service::timer`] with this number once cluster time has gone on by `delay`. A
    /// timer of the same number is replaced.
    pub fn schedule_timer(&mut self, timer: u64, delay: Duration) {
        let deadline = LogTime(self.time.0.saturating_add(delay.0));
        self.outputs.schedule_timer(timer, deadline);
    }

    /// Forgets the timer with this number, if there is one.
    pub fn cancel_timer(&mut self, timer: u64) {
        self.outputs.cancel_timer(timer);
    }
}
