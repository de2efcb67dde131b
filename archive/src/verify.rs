//! Reads everything that is in a directory, and names what is not as it was written. Changes
//! nothing and takes no lock.

use core::fmt;
use std::path::{Path, PathBuf};

use quorate_core::{BootEpoch, PeerRecord, Position, SnapshotPoint, Vote};

use crate::archive::{BOOT, HISTORY, ORIGIN, Options, PEERS, VOTE, find_identity};
use crate::copies::{Copies, CopyState};
use crate::disk::{Access, Disk, RealDisk};
use crate::error::ArchiveError;
use crate::identity::Identity;
use crate::lock;
use crate::log::Log;
use crate::marks::Marks;
use crate::payload::{HistoryAndCut, Payload};
use crate::record::Kind;
use crate::recovery::promised;
use crate::scan::Scan;
use crate::snapshots::{self, snapshot_directory};

/// Times that a directory is read anew whose log begins elsewhere than when that began.
const PURGED_TRIES: u32 = 3;

/// What reading everything found.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Verification {
    /// The directory.
    pub directory: PathBuf,
    /// The process that works in it, if one does.
    pub locked_by: Option<u32>,
    /// Where the log begins.
    pub log_start: Position,
    /// Up to where the log was promised: all of that has to verify.
    pub promised: Position,
    /// The end of the last frame that verifies.
    pub log_end: Position,
    /// Frames that verify.
    pub frames: u64,
    /// Snapshots that verify.
    pub snapshots: u64,
    /// Bytes that were read of log and snapshots.
    pub bytes: u64,
    /// What is wrong, in the order in which it was found.
    pub findings: Vec<Finding>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// Where in the log, if it is a part of that; where it stands, of a snapshot.
    pub at: Option<Position>,
    /// How many bytes, as far as can be told.
    pub bytes: Option<u64>,
    /// What is wrong, in words.
    pub what: String,
    /// What to do.
    pub remedy: Remedy,
}

/// What to do about a finding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Remedy {
    /// Its copy is whole: the next start writes it anew.
    Start,
    /// The others have it: a member that runs finds it by its scrub, and one that starts asks them.
    Others,
    /// An older snapshot, or the log, takes its place until another is taken.
    Snapshot,
    /// It has to be restored, or what is whole is saved.
    Repair,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "nothing: the next start writes it anew from its copy",
            Self::Others => {
                "start the member: the others send it these bytes; where none of them has them, \
                 save what is whole with `tool repair`"
            }
            Self::Snapshot => {
                "take another snapshot with `tool snapshot`; until then a start begins with an \
                 older one, or with the log"
            }
            Self::Repair => {
                "restore the file; or save what is whole with `tool repair`, or rejoin with an \
                 empty directory"
            }
        })
    }
}

/// Verifies the archive in `directory`, of a member that runs as well: what it promised by then.
///
/// # Errors
/// Only when there is no identity that can be read; everything else is among the findings.
pub fn verify(directory: &Path, options: &Options) -> Result<Verification, ArchiveError> {
    verify_on(&RealDisk, directory, options)
}

/// As [`verify`], on a file system of the caller's.
///
/// # Errors
/// As [`verify`].
pub fn verify_on<D: Disk>(
    disk: &D,
    directory: &Path,
    options: &Options,
) -> Result<Verification, ArchiveError> {
    let identity = find_identity(disk, directory)?;
    let mut tries = 0;
    loop {
        tries += 1;
        let found = look(disk, directory, &identity, options);
        // What was purged meanwhile was not there to be read.
        let is_still = origin(disk, directory, &identity) == found.log_start;
        if is_still || tries == PURGED_TRIES {
            return Ok(found);
        }
    }
}

fn origin<D: Disk>(disk: &D, directory: &Path, identity: &Identity) -> Position {
    let kind = Kind::Origin;
    let found = Copies::<SnapshotPoint>::find(disk, directory, ORIGIN, kind, identity.owner()).ok();
    found.and_then(|found| found.newest).map_or(Position::ZERO, |(_, point)| point.position)
}

fn look<D: Disk>(
    disk: &D,
    directory: &Path,
    identity: &Identity,
    options: &Options,
) -> Verification {
    let mut found = Verification {
        directory: directory.to_owned(),
        locked_by: lock::holder(disk, directory),
        log_start: Position::ZERO,
        promised: Position::ZERO,
        log_end: Position::ZERO,
        frames: 0,
        snapshots: 0,
        bytes: 0,
        findings: Vec::new(),
    };
    let source = (disk, directory, identity);
    found.copies::<D, BootEpoch>(source, BOOT, Kind::Boot);
    found.copies::<D, Vote>(source, VOTE, Kind::Vote);
    found.copies::<D, Vec<PeerRecord>>(source, PEERS, Kind::Peers);
    let history = found.copies::<D, HistoryAndCut>(source, HISTORY, Kind::History);
    let origin = found.copies::<D, SnapshotPoint>(source, ORIGIN, Kind::Origin);
    if let (Some(history), Some((_, origin))) = (history, origin) {
        found.log_start = origin.position;
        found.log(source, history, origin, options.frame_bytes_max);
    }
    found.snapshots(disk, directory, identity);
    found
}

impl Verification {
    fn add(&mut self, path: &Path, what: String, remedy: Remedy) {
        let (path, offset, at, bytes) = (path.to_owned(), 0, None, None);
        self.findings.push(Finding { path, offset, at, bytes, what, remedy });
    }

    fn copies<D: Disk, P: Payload>(
        &mut self,
        (disk, directory, identity): (&D, &Path, &Identity),
        name: &str,
        kind: Kind,
    ) -> Option<(u64, P)> {
        let paths = Copies::<P>::paths(directory, name);
        let found = match Copies::<P>::find(disk, directory, name, kind, identity.owner()) {
            Ok(found) => found,
            Err(error) => {
                self.add(&paths[0], error.to_string(), Remedy::Repair);
                return None;
            }
        };
        // Of a member that runs, a copy may be in the middle of being written.
        let remedy = if found.newest.is_some() { Remedy::Start } else { Remedy::Repair };
        for (path, state) in paths.iter().zip(found.states) {
            match state {
                CopyState::Absent => self.add(path, "is missing".into(), remedy),
                CopyState::Damaged => {
                    self.add(path, "is damaged, or is being written".into(), remedy);
                }
                CopyState::Whole { .. } => {}
            }
        }
        found.newest
    }

    fn log<D: Disk>(
        &mut self,
        (disk, directory, identity): (&D, &Path, &Identity),
        (generation, history): (u64, HistoryAndCut),
        origin: SnapshotPoint,
        frame_bytes_max: u64,
    ) {
        let log = Log::new(disk.clone(), directory, identity, Access::Read);
        if let Err(error) = log.find(origin.position) {
            self.add(log.directory(), error.to_string(), Remedy::Repair);
            log.find_usable(origin.position);
        }
        let marks = match Marks::find(&log) {
            Ok(marks) => marks,
            Err(error) => return self.add(log.directory(), error.to_string(), Remedy::Repair),
        };
        let end = promised(&marks, generation, &history, origin.position);
        self.promised = Position(end);
        let is_cut = marks.newest().history_generation >= generation;
        let limit = if is_cut { u64::MAX } else { history.cut.0.max(end) };
        let end = Position(end.min(log.capacity()));
        let mut scan = Scan::new(&log, origin, &history.history, frame_bytes_max, limit);
        self.log_end = origin.position;
        loop {
            let at = scan.position();
            let what = match scan.next() {
                Ok(Some(_)) => {
                    self.frames += 1;
                    self.log_end = scan.position();
                    continue;
                }
                // Behind what was promised a log just ends.
                Ok(None) if at >= end => break,
                Ok(None) => "a frame does not verify".to_owned(),
                Err(error) => error.to_string(),
            };
            let goes_on = at < end && scan.skip_damage(end);
            let bytes = (at < end).then(|| scan.position().since(at));
            let (path, offset) = log.place_of(at.0);
            let remedy = Remedy::Others;
            self.findings.push(Finding { path, offset, at: Some(at), bytes, what, remedy });
            if !goes_on {
                break;
            }
        }
        self.bytes += self.log_end.since(origin.position);
    }

    fn snapshots<D: Disk>(&mut self, disk: &D, directory: &Path, identity: &Identity) {
        let named = snapshot_directory(directory);
        let found = match snapshots::find(disk, &named, identity.owner()) {
            Ok(found) => found,
            Err(error) => return self.add(&named, error.to_string(), Remedy::Snapshot),
        };
        for snapshots::Found { path, position, manifest } in found {
            let read = manifest.and_then(|manifest| {
                snapshots::read_through(disk, &path, &manifest, |_| {})?;
                Ok(manifest.stream_bytes())
            });
            match read {
                Ok(bytes) => {
                    self.snapshots += 1;
                    self.bytes += bytes;
                }
                // It was removed for a newer one.
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    let (what, remedy) = (error.to_string(), Remedy::Snapshot);
                    let (offset, at, bytes) = (0, Some(Position(position)), None);
                    self.findings.push(Finding { path, offset, at, bytes, what, remedy });
                }
            }
        }
    }
}
