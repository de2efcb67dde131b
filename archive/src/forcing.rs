//! A forced recovery: what it would keep and lose, and then doing it, in all directories given.
//!
//! ```text
//!  all are opened, which locks them and puts their logs in order
//!    ─► the plan is made again, and is still the same
//!    ─► the record of the recovery is durable in ALL directories
//!    ─► the recovery epoch rises in one directory after the other
//! ```
//!
//! Those given are a majority, so nobody goes on in the former epoch when that is over; and whoever
//! does the same with another majority, whatever became of this, finds the record in a directory of
//! both, and takes a later epoch. What is interrupted before the first rise has changed nothing;
//! after it, what is left is planned anew.

use std::path::{Path, PathBuf};

use quorate_core::membership::Half;
use quorate_core::{
    ForcedError, ForcedRecovery, GroupId, Life, MemberId, Position, RecoveryEpoch, Survivor,
    VoteKey, mutant, plan_forced_recovery,
};

use crate::archive::{Archive, Options};
use crate::describe::{Description, describe_on};
use crate::disk::{Disk, RealDisk};
use crate::error::ArchiveError;
use crate::identity::Identity;
use crate::recoveries::{self, RecoveryRecord};

/// What a forced recovery is going to do.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RecoveryPlan {
    /// The group.
    pub group: GroupId,
    /// With what its members go on.
    pub forced: ForcedRecovery,
    /// Those who take part, by rising id.
    pub members: Vec<RecoveringMember>,
    /// Voters that do not: they are left behind, and have to rejoin.
    pub missing: Vec<MemberId>,
}

/// A member whose directory takes part.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RecoveringMember {
    /// The directory.
    pub directory: PathBuf,
    /// Whose it is.
    pub member: MemberId,
    /// Its recovery epoch so far.
    pub epoch: RecoveryEpoch,
    /// How complete its log is.
    pub key: VoteKey,
    /// Whether what it promised may exceed its disk.
    pub is_marked: bool,
    /// What else was found wrong with it. A start puts some of it in order, and so does the
    /// recovery; what it cannot put in order stops it before it begins.
    pub problems: Vec<String>,
}

impl RecoveryPlan {
    /// What an operator confirms: the plan that was read, with who takes part, and none that has
    /// become of it since.
    #[must_use]
    pub fn token(&self) -> String {
        let ForcedRecovery { epoch, kept, chosen, .. } = self.forced;
        let members: Vec<String> = self.members.iter().map(|it| it.member.to_string()).collect();
        format!("{}-{kept}-{chosen}-of-{}", epoch.0, members.join("-"))
    }
}

/// Why directories are not recovered by force. Nothing was changed, unless the archive says why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// There has to be a directory.
    #[error("no directory was given")]
    Nothing,
    /// A process works in one.
    #[error("process {pid} works in {}; stop all members first", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The process.
        pid: u32,
    },
    /// Two are of different groups, or were formed with different members.
    #[error(
        "{} is of another group than {}, or was formed with other members",
        directory.display(), first.display()
    )]
    Foreign {
        /// One of them.
        directory: PathBuf,
        /// The one that was given first.
        first: PathBuf,
    },
    /// Which majority has to be there is not one question then.
    #[error(
        "the voters were being changed, as {} says at {at}: no recovery by force is known for that; \
         get enough of the members' directories back that the group goes on by itself",
        directory.display()
    )]
    Changing {
        /// Whose log it is.
        directory: PathBuf,
        /// The end of the frame.
        at: Position,
    },
    /// What a member voted, or the history of its log, is lost.
    #[error(
        "{} lacks a record that tells what it promised ({problem}); leave it out, and have the \
         member rejoin afterwards",
        directory.display()
    )]
    Broken {
        /// The directory.
        directory: PathBuf,
        /// What is wrong, of several things the first.
        problem: String,
    },
    /// The members do not need it, or may not.
    #[error(transparent)]
    Refused(#[from] ForcedError),
    /// The directories have changed since.
    #[error("what is in the directories has changed since that plan was made; look at it again")]
    Changed,
    /// The archive says why.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Says what a forced recovery of the members that own `directories` would keep and lose. Changes
/// nothing.
///
/// # Errors
/// [`RecoveryError`] if it is not done.
pub fn plan_recovery(
    directories: &[PathBuf],
    options: &Options,
) -> Result<RecoveryPlan, RecoveryError> {
    plan_recovery_on(&RealDisk, directories, options)
}

/// As [`plan_recovery`], on a file system of the caller's.
///
/// # Errors
/// As [`plan_recovery`].
pub fn plan_recovery_on<D: Disk>(
    disk: &D,
    directories: &[PathBuf],
    options: &Options,
) -> Result<RecoveryPlan, RecoveryError> {
    let found = directories.iter().map(|directory| describe_on(disk, directory, options));
    let found: Vec<Description> = found.collect::<Result<_, _>>()?;
    for description in &found {
        if let Some(pid) = description.locked_by {
            let directory = description.directory.clone();
            return Err(RecoveryError::InUse { directory, pid });
        }
    }
    plan(&found)
}

fn plan(found: &[Description]) -> Result<RecoveryPlan, RecoveryError> {
    let first = found.first().ok_or(RecoveryError::Nothing)?;
    let voters = &voters_of(found)?;
    let known: Vec<Vec<ForcedRecovery>> =
        found.iter().map(|it| it.recoveries.iter().map(|it| it.forced).collect()).collect();
    let survivors = found.iter().zip(&known).map(|(description, known)| {
        survivor(description, known).ok_or_else(|| RecoveryError::Broken {
            directory: description.directory.clone(),
            problem: description.problems.first().cloned().unwrap_or_default(),
        })
    });
    let survivors: Vec<Survivor<'_>> = survivors.collect::<Result<_, _>>()?;
    let forced = plan_forced_recovery(voters, &survivors)?;
    let member = |(description, survivor): (&Description, &Survivor<'_>)| RecoveringMember {
        directory: description.directory.clone(),
        member: description.identity.member,
        epoch: description.identity.recovery_epoch,
        key: survivor.history.vote_key(survivor.log_end),
        is_marked: survivor.is_marked(),
        problems: description.problems.clone(),
    };
    let mut members: Vec<RecoveringMember> = found.iter().zip(&survivors).map(member).collect();
    members.sort_by_key(|it| it.member);
    let takes_part = |id: &&MemberId| members.iter().any(|it| it.member == **id);
    let missing = voters.iter().filter(|id| !takes_part(id)).copied().collect();
    Ok(RecoveryPlan { group: first.identity.group, forced, members, missing })
}

/// Who votes: as the most complete log says, which is the one that is kept; or as the group was
/// formed, where that says nothing.
fn voters_of(found: &[Description]) -> Result<Vec<MemberId>, RecoveryError> {
    let key = |it: &&Description| Some(it.history.as_ref()?.vote_key(it.log_end));
    let best = found.iter().max_by_key(key).ok_or(RecoveryError::Nothing)?;
    let formed = best.membership.is_none();
    for description in found {
        let Identity { group, voters, .. } = &description.identity;
        let is_alike = !formed || *voters == best.identity.voters;
        if *group != best.identity.group || !is_alike {
            let (directory, first) = (description.directory.clone(), best.directory.clone());
            return Err(RecoveryError::Foreign { directory, first });
        }
    }
    match &best.membership {
        None => Ok(best.identity.voters.clone()),
        Some((at, membership)) if membership.is_joint() => {
            Err(RecoveryError::Changing { directory: best.directory.clone(), at: *at })
        }
        Some((_, membership)) => Ok(membership.voters(Half::Incoming).collect()),
    }
}

/// What a directory tells of its member; `None` if it lacks a record that has to be there.
fn survivor<'a>(found: &'a Description, recoveries: &'a [ForcedRecovery]) -> Option<Survivor<'a>> {
    found.vote?;
    let identity = &found.identity;
    let (member, incarnation) = (identity.member, identity.incarnation);
    Some(Survivor {
        life: Life { member, incarnation, boot_epoch: found.boot_epoch? },
        epoch: identity.recovery_epoch,
        history: found.history.as_ref()?,
        log_end: found.log_end,
        peers: found.peers.as_deref()?,
        recoveries,
    })
}

/// Does what [`plan_recovery`] said, and notes in each directory that it was done at `at_seconds`
/// since 1970. A life begins in each, which says nothing to anybody.
///
/// # Errors
/// As there; [`RecoveryError::Changed`] if the plan would be another now. After
/// [`RecoveryError::Archive`] some directories may be in the new epoch, and the others not: plan it
/// anew, with all of them.
pub fn recover_by_force(
    plan: &RecoveryPlan,
    at_seconds: u64,
    options: &Options,
) -> Result<(), RecoveryError> {
    recover_by_force_on(&RealDisk, plan, at_seconds, options)
}

/// As [`recover_by_force`], on a file system of the caller's.
///
/// # Errors
/// As [`recover_by_force`].
pub fn recover_by_force_on<D: Disk>(
    disk: &D,
    plan: &RecoveryPlan,
    at_seconds: u64,
    options: &Options,
) -> Result<(), RecoveryError> {
    let directories: Vec<&Path> = plan.members.iter().map(|it| it.directory.as_path()).collect();
    let opened = directories.iter().map(|at| Archive::open_on(disk.clone(), at, options));
    // Locked until all of this is done.
    let archives = opened.collect::<Result<Vec<_>, ArchiveError>>()?;
    let found = directories.iter().map(|directory| describe_on(disk, directory, options));
    let again = self::plan(&found.collect::<Result<Vec<_>, _>>()?)?;
    let is_same = |(one, other): (&RecoveringMember, &RecoveringMember)| {
        (one.member, one.key, one.is_marked) == (other.member, other.key, other.is_marked)
    };
    if again.forced != plan.forced || !again.members.iter().zip(&plan.members).all(is_same) {
        return Err(RecoveryError::Changed);
    }
    let members = plan.members.iter().map(|it| it.member).collect();
    let record = RecoveryRecord { forced: plan.forced, members, at_seconds };
    let archives = || directories.iter().zip(archives.iter().map(|(archive, _)| archive));
    if !mutant::is(mutant::RECOVERY_IS_NOT_PREPARED) {
        for (directory, archive) in archives() {
            recoveries::add(disk, directory, archive.identity(), &record)?;
        }
    }
    for (directory, archive) in archives() {
        if mutant::is(mutant::RECOVERY_IS_NOT_PREPARED) {
            recoveries::add(disk, directory, archive.identity(), &record)?;
        }
        let epoch = plan.forced.epoch;
        let identity = Identity { recovery_epoch: epoch, ..archive.identity().clone() };
        identity.create(disk, directory)?;
    }
    Ok(())
}

/// The part of a log that a recovery lost for good, as far as is known.
impl RecoveryRecord {
    /// From where on all that was promised in earlier epochs is lost, and up to where a record
    /// tells that something was.
    #[must_use]
    pub const fn lost(&self) -> (Position, Position) {
        (self.forced.kept, self.forced.promised)
    }
}
