//! Reads: what is asked of the service without a message in the log, and what comes of it.

use alloc::vec::Vec;

use crate::position::Position;
use crate::time::Duration;

/// Bytes of a client's request, and of what it is answered, at most: each is one datagram. What is
/// longer goes through the log, or is read where the member runs.
pub const READ_BYTES_MAX: usize = 1_216;

/// How new what is read has to be. No read appends anything to the log.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ReadLevel {
    /// All that was committed when the read began is in it (read index; Raft thesis §6.4). A member
    /// that does not lead asks who does. It costs a round of heartbeats, which all reads share that
    /// wait for it.
    Linearizable,
    /// The same, without the round while the leader's lease lasts
    /// ([`crate::config::Lease`]); then it relies on clocks. Without a lease it is the former.
    Lease,
    /// All before `least` is in it, whichever member answers: what a client was answered before,
    /// so that for itself it never goes back.
    Session {
        /// What has to be applied.
        least: Position,
    },
    /// Any member answers at once, unless it may lack what was committed so long ago.
    Stale {
        /// What [`ReadAnswer::age`] may be.
        bound: Duration,
    },
}

impl ReadLevel {
    /// Whether it asks who leads, or has to be who leads.
    #[must_use]
    pub const fn needs_leader(&self) -> bool {
        matches!(self, Self::Linearizable | Self::Lease)
    }
}

/// What a read was answered.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ReadAnswer {
    /// The state that was read had all before it applied, and nothing behind it.
    pub applied: Position,
    /// The state lacks nothing that was committed so long before the answer, as far as that can be
    /// told without a round trip: the time that a heartbeat of the leader travelled comes on top,
    /// and the drift of clocks. Zero if it has all that was committed when the read began;
    /// [`ReadAnswer::AGE_UNKNOWN`] if no leader was heard.
    pub age: Duration,
    /// What the service said.
    pub payload: Vec<u8>,
}

impl ReadAnswer {
    /// Of an answer whose age is not known.
    pub const AGE_UNKNOWN: Duration = Duration(u64::MAX);
}

/// Why a member does not answer a read. Another may.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum ReadRefusal {
    /// As many reads wait there as may (`queries_max`).
    #[error("too many reads wait at the member")]
    Busy,
    /// The request or its answer is longer than this many bytes.
    #[error("the request or its answer is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: u64,
    },
    /// It is not known who leads, or whether who led still does: a quorum did not say so within an
    /// election time-out.
    #[error("no leader was confirmed by a quorum in time")]
    Unconfirmed,
    /// What was asked for was not applied within an election time-out.
    #[error("the member has applied all before {} only", applied.0)]
    Behind {
        /// What was applied then.
        applied: Position,
    },
    /// It may lack what was committed longer ago than the bound.
    #[error("the member may lack what was committed longer ago than the bound")]
    TooOld {
        /// For how long it may lack it.
        age: Duration,
    },
    /// The service answers no such reads.
    #[error("the service answers no such reads")]
    Unsupported,
    /// The service failed over it; it goes on.
    #[error("the service failed over the read")]
    Failed,
    /// The member is stopping.
    #[error("the member is stopping")]
    Stopping,
}

impl ReadRefusal {
    /// Whether no other member says otherwise.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::Unsupported | Self::Failed)
    }
}

/// What came of a read at one member.
pub type ReadOutcome = Result<ReadAnswer, ReadRefusal>;

/// A read that the service is to answer now: [`crate::Action::ServeRead`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Query {
    /// The member's number for it, which [`crate::Event::ReadServed`] names.
    pub number: u64,
    /// What the service has applied: all before it, and nothing behind it.
    pub applied: Position,
    /// The request.
    pub payload: Vec<u8>,
}
