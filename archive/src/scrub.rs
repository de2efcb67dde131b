//! Reads all that is stored again and again while the member runs, so that rot in bytes that nobody
//! reads is found while others still have them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_core::{Position, SnapshotPoint, mutant};

use crate::RealDisk;
use crate::disk::Disk;
use crate::draft::Digest;
use crate::error::ArchiveError;
use crate::scan::Scan;
use crate::shared::{Ground, Shared};
use crate::snapshots::{self, Chunks, Manifest, snapshot_directory};

/// Bytes that are not any more as they were written.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in it what does not verify begins: a frame, a chunk, or the file itself.
    pub offset: u64,
    /// The position in the log of that frame, or where the snapshot stands.
    pub at: Position,
    /// Whether it is a frame of the log.
    pub is_log: bool,
    /// What is wrong, in words.
    pub reason: String,
}

/// What came of a step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scrubbed {
    /// How many bytes were read.
    pub bytes: u64,
    /// What was found, at which the step ended. A frame of the log stops all further steps there;
    /// from a snapshot the next one goes on to the next.
    pub damage: Option<Damage>,
    /// Whether all that there is has been read: the next step begins anew.
    pub pass_ended: bool,
}

impl Scrubbed {
    const fn whole(bytes: u64) -> Self {
        Self { bytes, damage: None, pass_ended: false }
    }
}

/// A walk over the log and the stored snapshots that begins anew whenever it has ended. It changes
/// nothing, and disturbs neither writer nor syncer.
#[derive(Debug)]
pub struct Scrub<D: Disk = RealDisk> {
    shared: Arc<Shared<D>>,
    frame_bytes_max: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// So far in the log; at its beginning, if that is behind.
    Log(SnapshotPoint),
    /// In the oldest snapshot that stands at or behind a position.
    Snapshots { from: u64 },
    /// In this one.
    Snapshot { manifest: Manifest, chunk: u64, digest: Digest },
}

impl<D: Disk> Scrub<D> {
    pub(crate) fn new(shared: Arc<Shared<D>>, frame_bytes_max: u64) -> Self {
        Self { shared, frame_bytes_max, place: Place::Log(SnapshotPoint::default()) }
    }

    /// Reads about `bytes_max` bytes more, of the log no further than to `end`, where a frame ends
    /// that is committed and durable: nothing below is ever cut. They are read from the disk, where
    /// the system can be told so.
    ///
    /// # Errors
    /// [`ArchiveError::Poisoned`], [`ArchiveError::Installed`]: there is nothing to be read any
    /// more. [`ArchiveError::Io`] if the snapshots cannot be listed.
    pub fn step(&mut self, end: Position, bytes_max: u64) -> Result<Scrubbed, ArchiveError> {
        self.shared.check()?;
        match self.place {
            Place::Log(place) => Ok(self.read_log(place, end, bytes_max)),
            Place::Snapshots { from } => self.begin_snapshot(from),
            Place::Snapshot { manifest, chunk, digest } => {
                Ok(self.read_snapshot(&manifest, chunk, digest, bytes_max))
            }
        }
    }

    fn read_log(&mut self, place: SnapshotPoint, end: Position, bytes_max: u64) -> Scrubbed {
        let Ground { origin, history } = self.shared.ground();
        // What was purged meanwhile is nobody's matter.
        let place = if place.position < origin.position { origin } else { place };
        let log = &self.shared.log;
        let end = end.0.min(self.shared.written());
        let until = end.min(place.position.0.saturating_add(bytes_max));
        log.forget_cached(place.position.0, until);
        let mut scan = Scan::new(log, place, &history, self.frame_bytes_max, end);
        let wrong = loop {
            if scan.position().0 >= until {
                break None;
            }
            match scan.next() {
                Ok(Some(_)) => {}
                Ok(None) => break Some("a frame does not verify".to_owned()),
                Err(error) => break Some(error.to_string()),
            }
        };
        let at = scan.position();
        let bytes = at.since(place.position);
        self.place = Place::Log(scan.place());
        if let Some(reason) = wrong {
            if self.shared.origin() > at.0 {
                return Scrubbed::whole(bytes);
            }
            let (path, offset) = log.place_of(at.0);
            let damage = Damage { path, offset, at, is_log: true, reason };
            return Scrubbed { bytes, damage: Some(damage), pass_ended: false };
        }
        if at.0 >= end {
            self.place = Place::Snapshots { from: 0 };
        }
        Scrubbed::whole(bytes)
    }

    fn directory(&self) -> PathBuf {
        let log = self.shared.log.directory();
        snapshot_directory(log.parent().unwrap_or_else(|| Path::new("")))
    }

    fn begin_snapshot(&mut self, from: u64) -> Result<Scrubbed, ArchiveError> {
        let shared = &self.shared;
        let mut named = snapshots::named(&shared.disk, &self.directory())?.into_iter();
        let is_next =
            |position: u64| position >= from && !mutant::is(mutant::SCRUB_PASSES_OVER_SNAPSHOTS);
        let Some((position, path)) = named.find(|(position, _)| is_next(*position)) else {
            if !mutant::is(mutant::SCRUB_READS_ONCE) {
                self.place = Place::Log(SnapshotPoint::default());
            }
            return Ok(Scrubbed { bytes: 0, damage: None, pass_ended: true });
        };
        match snapshots::read_manifest(&shared.disk, &path, position, shared.log.owner()) {
            Ok(manifest) => {
                let digest = Digest::new(&manifest);
                self.place = Place::Snapshot { manifest, chunk: 0, digest };
                Ok(Scrubbed::whole(0))
            }
            Err(error) => Ok(self.give_up(path, position, 0, 0, error)),
        }
    }

    fn read_snapshot(
        &mut self,
        manifest: &Manifest,
        mut chunk: u64,
        mut digest: Digest,
        bytes_max: u64,
    ) -> Scrubbed {
        let position = manifest.point.position.0;
        let path = snapshots::file_of(&self.directory(), position);
        let shared = Arc::clone(&self.shared);
        let mut chunks = match Chunks::open(&shared.disk, &path, manifest) {
            Ok(chunks) => chunks,
            Err(error) => return self.give_up(path, position, 0, 0, error),
        };
        let mut bytes = 0;
        while chunk < manifest.chunks() && bytes < bytes_max {
            chunks.forget_cached(chunk);
            match chunks.read(chunk) {
                Ok(read) => {
                    bytes += read.len() as u64;
                    digest.add(read);
                }
                Err(error) => {
                    let offset = manifest.offset_of(chunk);
                    return self.give_up(path, position, offset, bytes, error);
                }
            }
            chunk += 1;
        }
        if chunk < manifest.chunks() {
            self.place = Place::Snapshot { manifest: *manifest, chunk, digest };
            return Scrubbed::whole(bytes);
        }
        if digest.value != manifest.digest {
            let what = "has other chunks than its manifest says";
            let error = ArchiveError::Snapshot { path: path.clone(), what };
            return self.give_up(path, position, 0, bytes, error);
        }
        self.place = Place::Snapshots { from: position.saturating_add(1) };
        Scrubbed::whole(bytes)
    }

    /// Goes on behind a snapshot that does not verify, or is not there any more.
    fn give_up(
        &mut self,
        path: PathBuf,
        position: u64,
        offset: u64,
        bytes: u64,
        error: ArchiveError,
    ) -> Scrubbed {
        self.place = Place::Snapshots { from: position.saturating_add(1) };
        if error.is_not_found() {
            return Scrubbed::whole(bytes);
        }
        let (at, reason) = (Position(position), error.to_string());
        let damage = Damage { path, offset, at, is_log: false, reason };
        Scrubbed { bytes, damage: Some(damage), pass_ended: false }
    }
}
