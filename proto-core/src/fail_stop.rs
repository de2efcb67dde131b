//! Why a member goes inert.

use crate::position::Position;
use crate::term::Term;

/// Why a member went inert: an invariant or the storage broke. Nothing is guessed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FailStop {
    /// The storage reported an error that it does not survive (E43).
    #[error("the storage failed")]
    StorageFailed,
    /// The service reported an error.
    #[error("the service failed")]
    ServiceFailed,
    /// An announced history disowns committed bytes (E26).
    #[error("a history would cut the log at {cut}, below the commit position {commit}")]
    CutBelowCommit {
        /// Where it would be cut.
        cut: Position,
        /// What is committed.
        commit: Position,
    },
    /// Two different leaders claim one term (E11, rule 9).
    #[error("two leaders claim term {term}")]
    TwoLeaders {
        /// The term.
        term: Term,
    },
    /// Two members have different bytes at one position (E36, rule 15).
    #[error("the chain values at {at} differ from the leader's")]
    ChainMismatch {
        /// The position.
        at: Position,
    },
    /// The frame at the base of a term does not open it (rule 1).
    #[error("the frame at {at} does not open its term")]
    TermOpening {
        /// The position.
        at: Position,
    },
    /// The log was written by a newer version than this one can read.
    #[error("the log at {at} is of a newer version")]
    NewerLog {
        /// The position.
        at: Position,
    },
    /// Committed bytes cannot be read back or are damaged.
    #[error("the committed frame at {at} cannot be read")]
    Unreadable {
        /// The position.
        at: Position,
    },
    /// Terms, positions or operation numbers have come to their end (E96).
    #[error("a counter is exhausted")]
    Exhausted,
    /// The service scheduled more timers than it may.
    #[error("the service scheduled too many timers")]
    TooManyTimers,
    /// The service's reply is longer than a reply may be.
    #[error("the service's reply is longer than the limit")]
    ReplyTooLong,
    /// The leader takes something else for committed than this member is configured for.
    #[error("the leader of term {term} has another durability level; configure all members alike")]
    OtherLevel {
        /// The term.
        term: Term,
    },
    /// The log would be cut below a membership that must have been committed (rule 14).
    #[error("the log would be cut at {at}, below a membership that was committed")]
    MembershipCut {
        /// Where it would be cut.
        at: Position,
    },
    /// Another life of this very member is running.
    #[error("another process runs as this member")]
    Twin,
    /// A majority of the voters agrees on another state than this member has (E113, R14).
    #[error(
        "the state at {position} is not the one that a majority of the voters has: look for what the \
         service takes from clocks, random sources, hash order, the environment or another version \
         of itself; a start begins with an older snapshot, or is refused until the directory is \
         wiped"
    )]
    Diverged {
        /// Where the snapshots stand that were compared.
        position: Position,
    },
}

impl FailStop {
    /// Whether it says nothing against this member's disk, nor against what it has promised: then
    /// the disk can be brought up to that before the member is inert.
    pub(crate) const fn spares_the_disk(self) -> bool {
        matches!(
            self,
            Self::ServiceFailed
                | Self::NewerLog { .. }
                | Self::Exhausted
                | Self::TooManyTimers
                | Self::ReplyTooLong
                | Self::OtherLevel { .. }
                | Self::Diverged { .. }
        )
    }

    /// A stable name in snake case.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::StorageFailed => "storage_failed",
            Self::ServiceFailed => "service_failed",
            Self::CutBelowCommit { .. } => "cut_below_commit",
            Self::TwoLeaders { .. } => "two_leaders",
            Self::ChainMismatch { .. } => "chain_mismatch",
            Self::TermOpening { .. } => "term_opening",
            Self::NewerLog { .. } => "newer_log",
            Self::Unreadable { .. } => "unreadable",
            Self::Exhausted => "exhausted",
            Self::TooManyTimers => "too_many_timers",
            Self::ReplyTooLong => "reply_too_long",
            Self::OtherLevel { .. } => "other_level",
            Self::MembershipCut { .. } => "membership_cut",
            Self::Twin => "twin",
            Self::Diverged { .. } => "diverged",
        }
    }
}
