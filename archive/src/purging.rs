//! A purge that an operator wants: what it would take away, and whether that is in a snapshot.

use std::path::{Path, PathBuf};

use quorate_core::{MemberId, Position, SnapshotPoint};

use crate::archive::{Archive, Options};
use crate::describe::{Description, describe_on};
use crate::disk::{Disk, RealDisk};
use crate::error::ArchiveError;

/// What a purge is going to do.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PurgePlan {
    /// Where the log begins now.
    pub from: Position,
    /// Where it is going to begin: the snapshot that stands for what goes.
    pub to: SnapshotPoint,
    /// The newer snapshot that stays as well, in case that one does not verify one day.
    pub newer: Position,
    /// The files that go.
    pub segments: Vec<PathBuf>,
    /// Bytes of the disk that are free then.
    pub bytes: u64,
    /// Members that had acknowledged less when this one last noted it, and how much: those who
    /// still lack what goes, and cannot get it from others, fetch a snapshot.
    pub behind: Vec<(MemberId, Position)>,
}

/// Why a log is not purged. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurgeError {
    /// There is something wrong with the directory.
    #[error(
        "the directory is not whole: {problem}; a purge could take away what mends it: see `tool \
         verify`"
    )]
    NotWhole {
        /// What is wrong, of several things the first.
        problem: String,
    },
    /// A process works in it.
    #[error(
        "process {pid} works in the directory, and nothing is taken from under it; stop that \
         member first, or have it purge by itself behind each snapshot, with `purge_keep_bytes` in \
         its configuration"
    )]
    InUse {
        /// The process.
        pid: u32,
    },
    /// There is no such snapshot.
    #[error("there is no whole snapshot at {at}; there are some at {found:?}")]
    NoSnapshot {
        /// Where it should stand.
        at: Position,
        /// Where the others stand.
        found: Vec<u64>,
    },
    /// It is the newest.
    #[error(
        "the snapshot at {at} is the newest that is whole: were it to rot, nothing would stand for \
         what was purged; take another one first, or name an older one"
    )]
    Newest {
        /// Where it stands.
        at: Position,
    },
    /// The log begins there already, or behind.
    #[error("the log begins at {from} already")]
    Purged {
        /// Where it begins.
        from: Position,
    },
    /// The archive says why.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Says what a purge behind the snapshot at `at` takes away; without one, behind the one before the
/// newest. Changes nothing.
///
/// # Errors
/// [`PurgeError`] if that would lose anything.
pub fn plan_purge(
    directory: &Path,
    at: Option<Position>,
    options: &Options,
) -> Result<PurgePlan, PurgeError> {
    plan_purge_on(&RealDisk, directory, at, options)
}

/// As [`plan_purge`], on a file system of the caller's.
///
/// # Errors
/// As [`plan_purge`].
pub fn plan_purge_on<D: Disk>(
    disk: &D,
    directory: &Path,
    at: Option<Position>,
    options: &Options,
) -> Result<PurgePlan, PurgeError> {
    let found = describe_on(disk, directory, options)?;
    if let Some(pid) = found.locked_by {
        return Err(PurgeError::InUse { pid });
    }
    let broken = found.snapshots.iter().find_map(|snapshot| snapshot.problem.as_ref());
    if let Some(problem) = found.problems.first().or(broken) {
        return Err(PurgeError::NotWhole { problem: problem.clone() });
    }
    let points: Vec<SnapshotPoint> =
        found.snapshots.iter().filter_map(|snapshot| snapshot.point).collect();
    let positions = || points.iter().map(|point| point.position.0).collect();
    let Some((newest, older)) = points.split_last() else {
        let at = at.unwrap_or_default();
        return Err(PurgeError::NoSnapshot { at, found: positions() });
    };
    if at == Some(newest.position) || older.is_empty() && at.is_none() {
        return Err(PurgeError::Newest { at: newest.position });
    }
    let to = match at {
        Some(at) => older.iter().find(|point| point.position == at),
        None => older.last(),
    };
    let Some(to) = to.copied() else {
        let at = at.unwrap_or_default();
        return Err(PurgeError::NoSnapshot { at, found: positions() });
    };
    let from = found.origin.position;
    if to.position <= from {
        return Err(PurgeError::Purged { from });
    }
    Ok(plan(&found, to, newest.position))
}

fn plan(found: &Description, to: SnapshotPoint, newer: Position) -> PurgePlan {
    let from = found.origin.position;
    let segment_bytes = found.identity.segment_bytes;
    // The segment of the byte before the beginning stays, so that there always is one.
    let first = (to.position.0 - 1) / segment_bytes;
    let goes = found.segments.iter().filter(|segment| segment.base.0 / segment_bytes < first);
    let segments: Vec<PathBuf> = goes.map(|segment| segment.path.clone()).collect();
    let each = found.segment_file_bytes / (found.segments.len() as u64).max(1);
    let own = found.identity.member;
    let others = found.peers.iter().flatten().filter(|peer| peer.life.member != own);
    let behind = others.filter(|peer| peer.acknowledged < to.position);
    PurgePlan {
        from,
        to,
        newer,
        bytes: segments.len() as u64 * each,
        segments,
        behind: behind.map(|peer| (peer.life.member, peer.acknowledged)).collect(),
    }
}

/// Does what [`plan_purge`] said. A life begins for it, which says nothing to anybody.
///
/// # Errors
/// As there: all is looked at again. [`PurgeError::Archive`] if the archive cannot be opened.
pub fn purge(directory: &Path, plan: &PurgePlan, options: &Options) -> Result<(), PurgeError> {
    purge_on(&RealDisk, directory, plan, options)
}

/// As [`purge`], on a file system of the caller's.
///
/// # Errors
/// As [`purge`].
pub fn purge_on<D: Disk>(
    disk: &D,
    directory: &Path,
    plan: &PurgePlan,
    options: &Options,
) -> Result<(), PurgeError> {
    let again = plan_purge_on(disk, directory, Some(plan.to.position), options)?;
    let (archive, recovered) = Archive::open_on(disk.clone(), directory, options)?;
    let snapshot = recovered.snapshot.as_ref().map(|snapshot| snapshot.point.position);
    if snapshot < Some(again.newer) {
        let (at, found) = (again.newer, Vec::new());
        return Err(PurgeError::NoSnapshot { at, found });
    }
    let (_writer, mut syncer, _reader) = archive.split();
    Ok(syncer.purge(again.to)?)
}
