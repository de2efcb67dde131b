//! Backups: a snapshot that stands in the log of a member, in a file of its own.
//!
//! ```text
//!  offset 0      record of kind 13: whose directory, recovery epoch, when, how far the log went,
//!                manifest; then zeros
//!  offset 4096   the chunks of the snapshot, as its file has them
//! ```
//!
//! It is written under a name that nothing reads, read again, and only then named. The log behind
//! the snapshot is not in it: of that a directory does not tell what was committed, and its frames
//! are sealed for the group that they were written in. Whoever needs the newest has a snapshot
//! taken first.
//!
//! The member may run: nothing is locked, and a file that is removed meanwhile stays until it is
//! read.

use std::path::{Path, PathBuf};
use std::process;

use quorate_core::frame::Checksum;
use quorate_core::hash::mix;
use quorate_core::{Position, RecoveryEpoch, SnapshotPoint, mutant};

use crate::archive::{HISTORY, ORIGIN, Options, find_identity, sync_parent};
use crate::backup_error::BackupError;
use crate::copies::Copies;
use crate::disk::{Access, Disk, RealDisk};
use crate::draft::Draft;
use crate::error::ArchiveError;
use crate::identity::Identity;
use crate::log::Log;
use crate::marks::Marks;
use crate::payload::{HistoryAndCut, Payload};
use crate::record::{Fields, Kind, Owner};
use crate::restoring::WholeBackup;
use crate::scan::Scan;
use crate::snapshots::{self, Chunks, Found, Manifest, snapshot_directory};

/// The version of this layout.
pub(crate) const LAYOUT: u16 = 1;
/// Times that a directory is looked at anew which is purged meanwhile.
const TRIES: u32 = 3;
/// How many frames are walked over between two words of progress.
const FRAMES_BETWEEN: u32 = 256;

/// What a backup says of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Backup {
    /// From whose directory it was taken.
    pub owner: Owner,
    /// The recovery epoch that the member was in.
    pub recovery_epoch: RecoveryEpoch,
    /// When, in seconds since 1970 by the clock of the machine.
    pub taken_at_seconds: u64,
    /// Up to where it goes: where its snapshot stands.
    pub point: SnapshotPoint,
    /// Up to where the member's log went: what lies behind the snapshot is not in the backup, and
    /// was committed or not.
    pub log_end: Position,
    /// Bytes of the core's state.
    pub core_bytes: u64,
    /// Bytes of the service's state.
    pub service_bytes: u64,
    /// Over all that it says and holds.
    pub digest: u64,
}

/// What a backup is going to be taken of.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct BackupPlan {
    /// The member's directory.
    pub directory: PathBuf,
    /// Whose it is.
    pub owner: Owner,
    /// The recovery epoch that it is in.
    pub recovery_epoch: RecoveryEpoch,
    /// Where the snapshot stands.
    pub point: SnapshotPoint,
    /// Up to where the log goes.
    pub log_end: Position,
    /// Bytes that the file is going to have.
    pub bytes: u64,
    /// Where older snapshots stand, oldest first.
    pub older: Vec<u64>,
    snapshot: PathBuf,
    manifest: Manifest,
}

/// What is being done with a backup.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// It is looked where the snapshots stand in the log.
    Look,
    /// The snapshot is read, and the file written.
    Write,
    /// The file is read and verified.
    Verify,
    /// A member's directory is made.
    Restore,
}

/// How far a step has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The step.
    pub step: Step,
    /// Bytes that are done.
    pub done: u64,
    /// Bytes that there are.
    pub of: u64,
}

/// Who is told.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(Progress);

impl Backup {
    pub(crate) fn encode(&self, manifest: &Manifest) -> Vec<u8> {
        let mut bytes = LAYOUT.to_le_bytes().to_vec();
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.recovery_epoch.0.to_le_bytes());
        bytes.extend_from_slice(&self.taken_at_seconds.to_le_bytes());
        bytes.extend_from_slice(&self.log_end.0.to_le_bytes());
        bytes.extend_from_slice(&manifest.encode());
        bytes
    }

    /// What the payload of a front says; `None` if it is none of this layout.
    pub(crate) fn decode(owner: Owner, payload: &[u8]) -> Option<(Self, Manifest)> {
        let mut fields = Fields(payload);
        fields.take(4)?;
        let recovery_epoch = RecoveryEpoch(fields.u32()?);
        let (taken_at_seconds, log_end) = (fields.u64()?, Position(fields.u64()?));
        let manifest = Manifest::decode(fields.0)?;
        let front = Checksum::default().add(payload).value();
        let said = Self {
            owner,
            recovery_epoch,
            taken_at_seconds,
            point: manifest.point,
            log_end,
            core_bytes: manifest.core_bytes,
            service_bytes: manifest.service_bytes,
            digest: mix(manifest.digest, u64::from(front)),
        };
        Some((said, manifest))
    }
}

/// Says of what a backup of the member that owns `directory` would be taken: the newest snapshot
/// that stands in its log, or the one `at` a position. Changes nothing; the member may run.
///
/// # Errors
/// [`BackupError::NoSnapshot`], [`BackupError::NotAt`], or what the archive says.
pub fn plan_backup(
    directory: &Path,
    at: Option<Position>,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<BackupPlan, BackupError> {
    plan_backup_on(&RealDisk, directory, at, options, progress)
}

/// As [`plan_backup`], on a file system of the caller's.
///
/// # Errors
/// As [`plan_backup`].
pub fn plan_backup_on<D: Disk>(
    disk: &D,
    directory: &Path,
    at: Option<Position>,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<BackupPlan, BackupError> {
    let identity = find_identity(disk, directory)?;
    let place = (disk, directory, &identity);
    let mut tries = 0;
    loop {
        tries += 1;
        let begins = origin(place)?;
        let planned = plan(place, begins, at, options, progress);
        // What was purged meanwhile was not there to be read.
        let is_still = origin(place)? == begins;
        if is_still || tries == TRIES {
            return planned;
        }
    }
}

type Place<'a, D> = (&'a D, &'a Path, &'a Identity);

fn origin<D: Disk>(place: Place<'_, D>) -> Result<SnapshotPoint, ArchiveError> {
    newest(place, ORIGIN, Kind::Origin).map(|(_, origin)| origin)
}

fn newest<D: Disk, P: Payload>(
    (disk, directory, identity): Place<'_, D>,
    name: &str,
    kind: Kind,
) -> Result<(u64, P), ArchiveError> {
    let found = Copies::<P>::find(disk, directory, name, kind, identity.owner())?;
    let [path, _] = Copies::<P>::paths(directory, name);
    found.newest.ok_or(ArchiveError::Unreadable { path })
}

fn plan<D: Disk>(
    place: Place<'_, D>,
    origin: SnapshotPoint,
    at: Option<Position>,
    options: &Options,
    progress: Watch<'_>,
) -> Result<BackupPlan, BackupError> {
    let (disk, directory, identity) = place;
    let found = snapshots::find(disk, &snapshot_directory(directory), identity.owner())?;
    let (confirmed, log_end) = confirmed(place, origin, &found, options, progress)?;
    let stands = |found: &Found| match &found.manifest {
        Ok(manifest) if confirmed.contains(&manifest.point) => Ok((found.path.clone(), *manifest)),
        Ok(_) => Err(format!("{} does not stand in the log", found.path.display())),
        Err(error) => Err(error.to_string()),
    };
    let (mut usable, mut problems) = (Vec::new(), Vec::new());
    for found in &found {
        match stands(found) {
            Ok(one) => usable.push(one),
            Err(problem) => problems.insert(0, problem),
        }
    }
    let directory = directory.to_owned();
    let positions = |of: &[(PathBuf, Manifest)]| -> Vec<u64> {
        of.iter().map(|(_, manifest)| manifest.point.position.0).collect()
    };
    let chosen = match at {
        None => usable.len().checked_sub(1),
        Some(at) => usable.iter().position(|(_, manifest)| manifest.point.position == at),
    };
    let Some(chosen) = chosen else {
        return Err(match at {
            Some(at) => BackupError::NotAt { directory, at, found: positions(&usable) },
            None => BackupError::NoSnapshot { directory, problems },
        });
    };
    let (snapshot, manifest) = usable[chosen].clone();
    Ok(BackupPlan {
        directory,
        owner: identity.owner(),
        recovery_epoch: identity.recovery_epoch,
        point: manifest.point,
        log_end,
        bytes: manifest.file_bytes().unwrap_or(u64::MAX),
        older: positions(&usable[..chosen]),
        snapshot,
        manifest,
    })
}

/// Walks over the log; returns which of the snapshots stand in it, and where it ends.
fn confirmed<D: Disk>(
    place: Place<'_, D>,
    origin: SnapshotPoint,
    found: &[Found],
    options: &Options,
    progress: Watch<'_>,
) -> Result<(Vec<SnapshotPoint>, Position), ArchiveError> {
    let (disk, directory, identity) = place;
    let (generation, history): (u64, HistoryAndCut) = newest(place, HISTORY, Kind::History)?;
    let log = Log::new(disk.clone(), directory, identity, Access::Read);
    log.find(origin.position)?;
    // A cut that was perhaps not carried out: above it there may be frames of a log that is over.
    let is_cut = Marks::find(&log)?.newest().history_generation >= generation;
    let limit = if is_cut { u64::MAX } else { history.cut.0.max(origin.position.0) };
    let mut scan = Scan::new(&log, origin, &history.history, options.frame_bytes_max, limit);
    let points = || found.iter().filter_map(|found| Some(found.manifest.as_ref().ok()?.point));
    let mut confirmed: Vec<SnapshotPoint> = points().filter(|at| scan.confirms(at)).collect();
    let mut frames = 0;
    while scan.next()?.is_some() {
        confirmed.extend(points().filter(|at| scan.confirms(at)));
        frames += 1;
        if frames % FRAMES_BETWEEN == 0 {
            let (done, of) = (scan.position().0, log.capacity());
            let start = origin.position.0;
            progress(Progress { step: Step::Look, done: done - start, of: of - start });
        }
    }
    if mutant::is(mutant::BACKUP_OF_ANOTHER_LOG) {
        confirmed.extend(points());
    }
    Ok((confirmed, scan.position()))
}

/// Takes the backup that [`plan_backup`] said into the new file `to`, and notes that it was at
/// `taken_at_seconds` since 1970. When this returns it is durable, and was read again and verified.
///
/// # Errors
/// [`BackupError::Exists`], [`BackupError::BrokenSnapshot`], or what the disk says: nothing is left
/// of it then. A process that dies leaves a draft beside it, named after `to` and ending in `.new`.
pub fn back_up(
    plan: &BackupPlan,
    to: &Path,
    taken_at_seconds: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Backup, BackupError> {
    back_up_on(&RealDisk, plan, to, taken_at_seconds, progress)
}

/// As [`back_up`], on a file system of the caller's.
///
/// # Errors
/// As [`back_up`].
pub fn back_up_on<D: Disk>(
    disk: &D,
    plan: &BackupPlan,
    to: &Path,
    taken_at_seconds: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Backup, BackupError> {
    refuse_existing(disk, to)?;
    let mut draft = to.as_os_str().to_owned();
    // No two processes write to one file.
    draft.push(format!(".{}.new", process::id()));
    let draft = PathBuf::from(draft);
    let written = write(disk, plan, to, &draft, taken_at_seconds, progress);
    written.inspect_err(|_| {
        // It may not even be there.
        let _ = disk.remove(&draft);
    })
}

pub(crate) fn refuse_existing<D: Disk>(disk: &D, path: &Path) -> Result<(), BackupError> {
    match disk.open(path, Access::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(BackupError::Exists { path: path.to_owned() }),
    }
}

fn write<D: Disk>(
    disk: &D,
    plan: &BackupPlan,
    to: &Path,
    draft: &Path,
    taken_at_seconds: u64,
    progress: Watch<'_>,
) -> Result<Backup, BackupError> {
    let broken = |error| match error {
        error @ ArchiveError::Snapshot { .. } => {
            let (reason, older) = (error.to_string(), plan.older.clone());
            BackupError::BrokenSnapshot { reason, older }
        }
        error if error.is_not_found() => BackupError::Removed { path: plan.snapshot.clone() },
        other => BackupError::Archive(other),
    };
    let manifest = &plan.manifest;
    // Open from here on: the member may remove it.
    let mut chunks = Chunks::open(disk, &plan.snapshot, manifest).map_err(broken)?;
    let mut file = Draft::create(disk, draft.to_owned(), *manifest)?;
    for index in 0..manifest.chunks() {
        file.take(chunks.read(index).map_err(broken)?)?;
        let (done, of) = (file.taken(), manifest.stream_bytes());
        progress(Progress { step: Step::Write, done, of });
    }
    let said = Backup {
        owner: plan.owner,
        recovery_epoch: plan.recovery_epoch,
        taken_at_seconds,
        point: plan.point,
        log_end: plan.log_end,
        core_bytes: manifest.core_bytes,
        service_bytes: manifest.service_bytes,
        digest: 0,
    };
    let digest = file.finish_as(Kind::Backup, plan.owner, |manifest| said.encode(manifest))?;
    if digest != manifest.digest {
        let (path, what) = (plan.snapshot.clone(), "has other chunks than its manifest says");
        return Err(broken(ArchiveError::Snapshot { path, what }));
    }
    let backup = *WholeBackup::open_on(disk, draft, progress)?.backup();
    refuse_existing(disk, to)?;
    disk.rename(draft, to).map_err(|error| ArchiveError::io("name", to, error))?;
    sync_parent(disk, to)?;
    Ok(backup)
}
