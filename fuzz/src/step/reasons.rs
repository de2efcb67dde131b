//! Why a member may stop.

use quorate_core::FailStop;

/// Who may lie in a run, or who has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Liars {
    /// Datagrams of members are forged.
    pub(super) members: bool,
    /// Reads of the archive return other bytes.
    pub(super) reads: bool,
    /// The storage breaks, or refuses what it was never asked for.
    pub(super) storage: bool,
    /// The service breaks, or asks for more than it may.
    pub(super) service: bool,
}

impl Liars {
    /// Whether a member may stop for `reason` after these have lied. What clients say is never a
    /// reason.
    pub(super) const fn excuse(self, reason: FailStop) -> bool {
        match reason {
            FailStop::StorageFailed => self.storage,
            FailStop::ServiceFailed | FailStop::TooManyTimers | FailStop::ReplyTooLong => {
                self.service
            }
            FailStop::CutBelowCommit { .. }
            | FailStop::TwoLeaders { .. }
            | FailStop::ChainMismatch { .. }
            | FailStop::TermOpening { .. }
            | FailStop::NewerLog { .. }
            | FailStop::Exhausted
            | FailStop::Twin => self.members,
            FailStop::Unreadable { .. } => self.members || self.reads,
            // Another digest than others have, of what its disk, or its service, made up.
            FailStop::Diverged { .. } => self.members || self.reads || self.service || self.storage,
            _ => false,
        }
    }
}
