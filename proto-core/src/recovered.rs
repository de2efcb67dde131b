//! What a member finds on its disk when it comes up, and what it remembers of others.

use alloc::boxed::Box;
use alloc::vec::Vec;
use smallvec::SmallVec;

use crate::config::ConfigError;
use crate::frame::Level;
use crate::identity::{BootEpoch, Life, MemberId, RecoveryEpoch};
use crate::membership::Membership;
use crate::position::Position;
use crate::snapshot::{Snapshot, SnapshotPoint};
use crate::term::{Chain, Term, TermHistory, Vote};
use crate::time::LogTime;

/// As many of the newest memberships of a log as may come into effect: a leader changes nothing
/// before the last change is committed, so all but the newest one are.
pub const MEMBERSHIPS_KEPT: usize = 2;

/// What a member finds of its former lives: all of it durable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovered {
    /// This life: the boot epoch is new, and already durable.
    pub life: Life,
    /// The vote.
    pub vote: Vote,
    /// The term history.
    pub history: TermHistory,
    /// Where the log begins: what was before it is purged, and is in the snapshot. The end of a
    /// snapshot's marker, or the beginning of all.
    pub origin: SnapshotPoint,
    /// The end of the last whole frame that verifies under the history; all before it is durable.
    pub log_end: Position,
    /// The chain value at `log_end`.
    pub chain: Chain,
    /// The time stamped on the last frame; zero in an empty log.
    pub log_time: LogTime,
    /// The newest term whose opening frame is in the log, and what its leader takes for committed;
    /// `None` when that frame is not there, or was purged.
    pub opened: Option<(Term, Level)>,
    /// The newest memberships in the log, [`MEMBERSHIPS_KEPT`] at most, each with the end of its
    /// frame, the newest last: all that can be in effect, now or when the log is cut (rule 14).
    pub memberships: Vec<(Position, Membership)>,
    /// What was last remembered of the other members (rule 9).
    pub peers: Vec<PeerRecord>,
    /// The newest snapshot that can be used, if there is one: the core's part. The service comes
    /// up with the state that was stored together with it.
    pub snapshot: Option<Box<Snapshot>>,
    /// The forced recovery that began the recovery epoch of its directory, if one did.
    pub forced: Option<ForcedRecovery>,
}

/// A forced recovery: an operator let a group that stood still go on with what its members have on
/// their disks, knowing that some of what was committed may be lost (rule 5 v).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ForcedRecovery {
    /// The recovery epoch that it began.
    pub epoch: RecoveryEpoch,
    /// The newest term of which a member that took part had a line. While a majority knows of no
    /// later one, nothing was committed in the new epoch.
    pub term: Term,
    /// Whose log is kept: that of the best vote key among those who took part.
    pub chosen: MemberId,
    /// The end of that log: all before it is kept, and whatever was promised at or behind it is
    /// lost.
    pub kept: Position,
    /// The highest position that a record of a member that took part speaks of; `kept` if none is
    /// higher. More may have been promised: no disk tells.
    pub promised: Position,
}

impl Recovered {
    /// The state of a member that has never run: only its identity is durable.
    #[must_use]
    pub fn empty(life: Life) -> Self {
        Self {
            life,
            vote: Vote::default(),
            history: TermHistory::default(),
            origin: SnapshotPoint::default(),
            log_end: Position::ZERO,
            chain: Chain::default(),
            log_time: LogTime(0),
            opened: None,
            memberships: Vec::new(),
            peers: Vec::new(),
            snapshot: None,
            forced: None,
        }
    }
}

impl Recovered {
    /// Whether it is of `expected`, its log one that a history owns, and that of no later recovery
    /// epoch than `epoch`.
    pub(crate) fn check(
        &self,
        expected: MemberId,
        epoch: RecoveryEpoch,
    ) -> Result<(), ConfigError> {
        let found = self.life.member;
        if found != expected {
            return Err(ConfigError::Foreign { found, expected });
        }
        if self.history.last_epoch() > epoch {
            return Err(ConfigError::Value {
                key: "recovery_epoch",
                value: u64::from(epoch.0),
                reason: "is before that of the log; take the one of the directory",
            });
        }
        let end = self.log_end;
        let owned = end == Position::ZERO || self.history.owner(Position(end.0 - 1)).is_some();
        if !owned || !end.0.is_multiple_of(crate::frame::ALIGNMENT) || end > Position::MAX {
            return Err(ConfigError::Log { end });
        }
        self.check_origin()
    }

    /// Up to which newest line of a majority this member is elected by it, whoever of that is
    /// impaired: it was chosen by the forced recovery that began `epoch`.
    pub(crate) fn decreed(&self, epoch: RecoveryEpoch) -> Option<Term> {
        let anybody = crate::mutant::is(crate::mutant::DECREE_IS_ANYBODYS);
        let is_own = |forced: &ForcedRecovery| {
            forced.epoch == epoch && (forced.chosen == self.life.member || anybody)
        };
        self.forced.filter(is_own).map(|forced| forced.term)
    }

    /// Whether the log can begin at its origin: only a snapshot stands for what was before.
    fn check_origin(&self) -> Result<(), ConfigError> {
        let (origin, at) = (self.origin, self.origin.position);
        let refuse = |reason| Err(ConfigError::Origin { at, reason });
        if at == Position::ZERO {
            return match origin == SnapshotPoint::default() {
                true => Ok(()),
                false => refuse("nothing is before the beginning of all"),
            };
        }
        if at.aligned_down() != at {
            return refuse("it is no multiple of 8");
        }
        if at > self.log_end {
            return refuse("the log ends before it");
        }
        let is_orphan = self.snapshot.as_ref().is_none_or(|known| known.point.position < at);
        if is_orphan && !crate::mutant::is(crate::mutant::ORPHANED_LOG_IS_TAKEN) {
            return refuse("no snapshot stands at or above it");
        }
        if self.history.term_before(at) != origin.term {
            return refuse("the term history owns the byte before it to another term");
        }
        if at == self.log_end && origin.chain != self.chain {
            return refuse("the chain value is another");
        }
        Ok(())
    }
}

/// What a member durably remembers of another, so that a restored old image of it is noticed
/// (rule 9).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct PeerRecord {
    /// The newest life that was heard of.
    pub life: Life,
    /// The life in which it acknowledged what follows: while that is not the newest one, it has
    /// still to show that it kept it.
    pub acknowledged_in: BootEpoch,
    /// The term in which it last acknowledged.
    pub term: Term,
    /// The highest position that it acknowledged in that term.
    pub acknowledged: Position,
}

impl PeerRecord {
    /// Whether the member was found to have lost what it acknowledged, and is not level again.
    pub(crate) fn tells_of_a_fall(&self) -> bool {
        self.acknowledged_in == BootEpoch(0) && self.acknowledged > Position::ZERO
    }
}

/// Records of all other members. In groups of up to three it takes no memory of its own.
pub type PeerRecords = SmallVec<[PeerRecord; 2]>;

/// The boot epoch of a member's first start.
pub const FIRST_BOOT: BootEpoch = BootEpoch(1);
