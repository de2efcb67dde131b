//! What a forced recovery keeps, and whom it may be asked of (rule 5 v).
//!
//! Where so many voters lost what they had promised that no quorum with enough unimpaired ones is
//! left, nobody can tell any more what was committed. The one way on is that an operator decides to
//! go on with what is on the disks. This says, of a majority's disks, which log that is: the one
//! that would win among them. No majority of the former epoch is left then; and in the new one
//! nobody but the chosen member is elected before the others have what it has.

use alloc::vec::Vec;

use super::decisions::{has_regressed, quorum};
use crate::config::{ForcedRecovery, PeerRecord};
use crate::identity::{Incarnation, Life, MemberId, RecoveryEpoch};
use crate::position::Position;
use crate::term::{Term, TermHistory, VoteKey};

/// A member that an operator lets take part, as its disk tells of it.
#[derive(Clone, Copy, Debug)]
pub struct Survivor<'a> {
    /// Its last life.
    pub life: Life,
    /// The recovery epoch of its directory.
    pub epoch: RecoveryEpoch,
    /// The term history.
    pub history: &'a TermHistory,
    /// The end of its log; all before it is durable.
    pub log_end: Position,
    /// What it remembers of itself and the others.
    pub peers: &'a [PeerRecord],
    /// The forced recoveries that its directory knows of, done or only prepared.
    pub recoveries: &'a [ForcedRecovery],
}

impl Survivor<'_> {
    fn id(&self) -> MemberId {
        self.life.member
    }

    fn key(&self) -> VoteKey {
        self.history.vote_key(self.log_end)
    }

    fn own_record(&self) -> Option<&PeerRecord> {
        self.peers.iter().find(|peer| peer.life.member == self.id())
    }

    /// Whether what it promised may exceed its disk.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.own_record().is_some_and(PeerRecord::tells_of_a_fall)
    }

    /// Whether it lost its directory, and was not readmitted yet.
    fn is_applicant(&self) -> bool {
        let incarnation = self.life.incarnation;
        let knows = self.own_record().is_some_and(|own| own.life.incarnation == incarnation);
        incarnation > Incarnation::FIRST && !knows
    }

    /// Whether it remembers of `other` a later life than that, or more than that one has, or that
    /// it lost something and is not level again: it would count no vote of that one's. What a
    /// member says of itself is that it may have lost something.
    fn disowns(&self, other: &Self) -> bool {
        if self.id() == other.id() {
            return false;
        }
        let mut records = self.peers.iter().filter(|peer| peer.life.member == other.id());
        records.any(|record| {
            let (known, found) = (record.life, other.life);
            let newer =
                (known.incarnation, known.boot_epoch) > (found.incarnation, found.boot_epoch);
            let same = known.incarnation == found.incarnation;
            let fell = record.tells_of_a_fall();
            newer || (same && (fell || has_regressed(record, self.history, other.key())))
        })
    }
}

/// Why members are not recovered by force.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ForcedError {
    /// It is none of the group's voters.
    #[error("member {member} is none of the group's members")]
    Stranger {
        /// Who.
        member: MemberId,
    },
    /// Two directories are of one member.
    #[error("two directories are of member {member}; give one")]
    Twice {
        /// Who.
        member: MemberId,
    },
    /// It promises nothing: it lost its directory, and was not readmitted.
    #[error("member {member} has lost its directory and was not readmitted yet; leave it out")]
    Applicant {
        /// Who.
        member: MemberId,
    },
    /// Another knows of a later directory or start of it, or that it had acknowledged more: this is
    /// not its last state, and what it voted since is not known.
    #[error(
        "member {by} knows more of member {member} than that one does: its directory is an older \
         copy, or lost something; leave it out, and have it rejoin afterwards"
    )]
    Former {
        /// Whose directory it is.
        member: MemberId,
        /// Who knows.
        by: MemberId,
    },
    /// It had no part in the recovery that began the newest epoch.
    #[error(
        "member {member} was left behind in recovery epoch {} by the recovery that began epoch \
         {}; leave it out, and have it rejoin: `quorate init --rejoin`",
        epoch.0, newest.0
    )]
    LeftBehind {
        /// Who.
        member: MemberId,
        /// Where it is.
        epoch: RecoveryEpoch,
        /// Where others are.
        newest: RecoveryEpoch,
    },
    /// Fewer than a majority: the rest could go on without them.
    #[error(
        "that are {given} of {voters} members, and a majority is {needed}: the others could go on \
         without them; give more directories"
    )]
    TooFew {
        /// How many were given.
        given: usize,
        /// How many make a majority.
        needed: usize,
        /// Of how many.
        voters: usize,
    },
    /// So many have all that they promised that they elect a leader by themselves.
    #[error(
        "nothing is to be forced: {unimpaired} of the members have all that they ever promised, \
         and that is enough to elect a leader; start them all"
    )]
    NotNeeded {
        /// How many.
        unimpaired: usize,
    },
    /// It was done, and nobody has led since.
    #[error("these members were recovered before, in epoch {}; start them all", epoch.0)]
    Done {
        /// The epoch.
        epoch: RecoveryEpoch,
    },
    /// There is no later epoch.
    #[error("there is no later recovery epoch")]
    Exhausted,
}

/// Says with what `survivors` of a group of `voters` go on. Which order they are given in does not
/// matter.
///
/// # Errors
/// [`ForcedError`]: why they do not, or need not.
pub fn plan_forced_recovery(
    voters: &[MemberId],
    survivors: &[Survivor<'_>],
) -> Result<ForcedRecovery, ForcedError> {
    check_members(voters, survivors)?;
    let newest = survivors.iter().map(|it| it.epoch).max().unwrap_or_default();
    check_epochs(survivors, newest)?;
    let needed = quorum(voters.len());
    let unimpaired = survivors.iter().filter(|it| !it.is_marked()).count();
    if unimpaired > voters.len() - needed {
        return Err(ForcedError::NotNeeded { unimpaired });
    }
    // Of those alike, whoever comes first in the group.
    let mut ranked: Vec<&Survivor<'_>> = survivors.iter().collect();
    ranked.sort_by_key(|it| (core::cmp::Reverse(it.key()), it.id()));
    let Some(best) = ranked.first() else { return Err(ForcedError::Exhausted) };
    let known = survivors.iter().flat_map(|it| it.recoveries).map(|recovery| recovery.epoch);
    let last = known.max().unwrap_or_default().max(newest);
    let next = last.0.checked_add(1).ok_or(ForcedError::Exhausted)?;
    let term = survivors.iter().map(|it| it.history.last_term()).max().unwrap_or(Term(0));
    Ok(ForcedRecovery {
        epoch: RecoveryEpoch(next),
        term,
        chosen: best.id(),
        kept: best.log_end,
        promised: promised(survivors, best.history).max(best.log_end),
    })
}

fn check_members(voters: &[MemberId], survivors: &[Survivor<'_>]) -> Result<(), ForcedError> {
    for (index, survivor) in survivors.iter().enumerate() {
        let member = survivor.id();
        if !voters.contains(&member) {
            return Err(ForcedError::Stranger { member });
        }
        if survivors[..index].iter().any(|other| other.id() == member) {
            return Err(ForcedError::Twice { member });
        }
        if survivor.is_applicant() {
            return Err(ForcedError::Applicant { member });
        }
        if let Some(other) = survivors.iter().find(|other| other.disowns(survivor)) {
            return Err(ForcedError::Former { member, by: other.id() });
        }
    }
    let (given, needed) = (survivors.len(), quorum(voters.len()));
    match given < needed {
        true => Err(ForcedError::TooFew { given, needed, voters: voters.len() }),
        false => Ok(()),
    }
}

/// Those of an earlier epoch have to be ones that the recovery to the newest did not come to: it
/// was interrupted. Who had no part in it may have what it has lost for good; also who was to take
/// part in another one of that number, which ended while it was prepared.
fn check_epochs(survivors: &[Survivor<'_>], newest: RecoveryEpoch) -> Result<(), ForcedError> {
    let raised = survivors.iter().filter(|it| it.epoch == newest);
    let decree = raised.flat_map(|it| it.recoveries).find(|recovery| recovery.epoch == newest);
    let took_part = |it: &Survivor<'_>| decree.is_some_and(|decree| it.recoveries.contains(decree));
    let behind = |it: &&Survivor<'_>| it.epoch < newest && !took_part(it);
    if let Some(left) = survivors.iter().find(behind) {
        return Err(ForcedError::LeftBehind { member: left.id(), epoch: left.epoch, newest });
    }
    let is_done = survivors.iter().all(|it| it.epoch == newest && it.history.last_epoch() < newest);
    let of_newest = |it: &Survivor<'_>| {
        let mut known = it.recoveries.iter();
        known.any(|recovery| recovery.epoch == newest && recovery.chosen == it.id())
    };
    match is_done && survivors.iter().any(of_newest) {
        true => Err(ForcedError::Done { epoch: newest }),
        false => Ok(()),
    }
}

/// The highest position that records speak of, as far as `kept` does not disown it: what members
/// said of themselves, and what others noted of them.
fn promised(survivors: &[Survivor<'_>], kept: &TermHistory) -> Position {
    let stated = |record: &PeerRecord| {
        let newer = kept.lines().iter().filter(|line| line.term > record.term);
        let disowned = newer.map(|line| line.base).min();
        match record.term == Term(0) {
            // What a member says of itself names no term.
            true => record.acknowledged,
            false => record.acknowledged.min(disowned.unwrap_or(Position::MAX)),
        }
    };
    let records = survivors.iter().flat_map(|it| it.peers);
    // The marks of earlier versions state all positions there are.
    records.map(stated).filter(|at| *at < Position::MAX).max().unwrap_or_default().aligned_down()
}

#[cfg(test)]
mod tests;
