//! Writes anew what has rotted of a log, with the bytes of others, before a life begins on it.
//!
//! A directory whose log is damaged below what was promised is no member's: none comes up on it. So
//! nobody counts on these bytes, or leads on them, while this goes on. When the log is whole again
//! it is opened as ever, which looks at all of it once more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use quorate_core::frame::{FrameHeader, HEADER_BYTES};
use quorate_core::{
    BootEpoch, Life, Position, PositionRange, SnapshotPoint, Term, TermHistory, mutant,
};

use crate::RealDisk;
use crate::archive::{BOOT, HISTORY, ORIGIN, Options, find_identity, sync_names};
use crate::copies::Copies;
use crate::disk::{Access, Disk};
use crate::error::ArchiveError;
use crate::lock::{self, Lock};
use crate::log::Log;
use crate::marks::Marks;
use crate::payload::HistoryAndCut;
use crate::record::Kind;
use crate::recovery::promised;
use crate::scan::Scan;

/// A frame that does not verify, below what was promised.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Hole {
    /// The segment.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// The position of the frame.
    pub at: Position,
    /// The term that owns the bytes from there on, up to `end`.
    pub term: Term,
    /// Where that term's bytes end, or what was promised: nothing is needed from there on.
    pub end: Position,
}

/// What became of bytes for a hole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Filled {
    /// So many of them are a frame, and are written. Where the next hole begins, if there is one,
    /// [`Mending::hole`] says.
    Frame(u64),
    /// So many are needed, from the beginning of the hole on.
    Short(u64),
    /// They are not what was there.
    False,
}

/// A damaged log that is written anew, frame by frame, under the member's own term history: a frame
/// counts only if it verifies at its place under the term that owns it, as ever.
#[derive(Debug)]
pub struct Mending<D: Disk = RealDisk> {
    log: Log<D>,
    life: Life,
    history: TermHistory,
    origin: Position,
    /// Up to where the log was promised.
    promised: Position,
    frame_bytes_max: u64,
    /// All before verifies.
    place: SnapshotPoint,
    /// Segments that were written to and are not synced.
    unsynced: BTreeSet<u64>,
    mended: u64,
    _lock: Lock<D>,
}

impl Mending {
    /// Locks `directory`, and looks for the first hole of its log. A life begins, whose boot epoch
    /// is durable when this returns: it says nothing to others but what it lacks and has.
    ///
    /// # Errors
    /// As [`crate::Archive::open`] for all else that is wrong with the directory.
    pub fn open(directory: &Path, options: &Options) -> Result<Self, ArchiveError> {
        Self::open_on(RealDisk, directory, options)
    }
}

impl<D: Disk> Mending<D> {
    /// As [`Mending::open`], on a file system of the caller's.
    ///
    /// # Errors
    /// As [`Mending::open`].
    pub fn open_on(disk: D, directory: &Path, options: &Options) -> Result<Self, ArchiveError> {
        let identity = find_identity(&disk, directory)?;
        let owner = identity.owner();
        let lock = lock::acquire(&disk, directory, owner)?;
        sync_names(&disk, directory)?;
        let copies = Copies::<HistoryAndCut>::open(&disk, directory, HISTORY, Kind::History, owner);
        let (history_copies, history, _) = copies?;
        let copies = Copies::<SnapshotPoint>::open(&disk, directory, ORIGIN, Kind::Origin, owner);
        let (_, origin, _) = copies?;
        let copies = Copies::<BootEpoch>::open(&disk, directory, BOOT, Kind::Boot, owner);
        let (mut boot_copies, boot, _) = copies?;
        let log = Log::new(disk.clone(), directory, &identity, Access::Write);
        log.find(origin.position)?;
        let marks = Marks::find(&log)?;
        let generation = history_copies.generation();
        let promised = Position(promised(&marks, generation, &history, origin.position));
        let boot_epoch = BootEpoch(boot.0.saturating_add(1).max(options.boot_epoch_min));
        boot_copies.store(&disk, &boot_epoch)?;
        let mut mending = Self {
            log,
            life: Life { member: owner.member, incarnation: owner.incarnation, boot_epoch },
            history: history.history,
            origin: origin.position,
            promised,
            frame_bytes_max: options.frame_bytes_max,
            place: origin,
            unsynced: BTreeSet::new(),
            mended: 0,
            _lock: lock,
        };
        mending.look_on()?;
        Ok(mending)
    }

    /// The life that this is.
    #[must_use]
    pub const fn life(&self) -> Life {
        self.life
    }

    /// Where the log begins.
    #[must_use]
    pub const fn origin(&self) -> Position {
        self.origin
    }

    /// How many bytes were written anew.
    #[must_use]
    pub const fn mended_bytes(&self) -> u64 {
        self.mended
    }

    /// The first frame that was promised and does not verify; nothing once all of them do: then
    /// what was written is durable, and the directory can be opened when this is dropped.
    #[must_use]
    pub fn hole(&self) -> Option<Hole> {
        let at = self.place.position;
        if at >= self.promised {
            return None;
        }
        let (path, offset) = self.log.place_of(at.0);
        let term = self.history.owner(at).map_or(Term(0), |line| line.term);
        let end = self.history.owner_end(at).unwrap_or(self.promised).min(self.promised);
        Some(Hole { path, offset, at, term, end })
    }

    /// Takes `bytes` from the beginning of the hole on, of somebody else's log: writes the first
    /// frame, if it is whole and verifies, and looks for the next hole.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] and [`ArchiveError::Full`]; [`ArchiveError::Inconsistent`] if what is
    /// behind the hole contradicts the history.
    pub fn fill(&mut self, bytes: &[u8]) -> Result<Filled, ArchiveError> {
        let Some(front) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Ok(Filled::Short(HEADER_BYTES as u64));
        };
        let Ok(header) = FrameHeader::parse(front, self.frame_bytes_max) else {
            return Ok(Filled::False);
        };
        let length = header.aligned_length();
        let Some(frame) = bytes.get(..length as usize) else { return Ok(Filled::Short(length)) };
        let (place, max) = (self.place, self.frame_bytes_max);
        let scan = Scan::new(&self.log, place, &self.history, max, u64::MAX);
        let mut scan = scan.holding(frame.to_vec());
        match scan.next() {
            Ok(Some(_)) => {}
            Ok(None) | Err(_) if mutant::is(mutant::MENDS_UNVERIFIED) => {
                self.log.write(place.position.0, frame)?;
                return Ok(Filled::False);
            }
            Ok(None) | Err(ArchiveError::Inconsistent { .. }) => return Ok(Filled::False),
            Err(error) => return Err(error),
        }
        let after = scan.place();
        self.log.write(place.position.0, frame)?;
        let last = self.log.segment_of(after.position.0 - 1);
        self.unsynced.extend(self.log.segment_of(place.position.0)..=last);
        self.mended += length;
        self.place = after;
        self.look_on()?;
        Ok(Filled::Frame(length))
    }

    /// Looks for the next hole; makes durable what was written if there is none.
    fn look_on(&mut self) -> Result<(), ArchiveError> {
        let max = self.frame_bytes_max;
        let mut scan = Scan::new(&self.log, self.place, &self.history, max, u64::MAX);
        while scan.position() < self.promised {
            match scan.next() {
                Ok(Some(_)) => {}
                // A sector that cannot be read is written anew as well.
                Ok(None) => break,
                Err(ArchiveError::Io { action: "read", .. })
                    if !mutant::is(mutant::BAD_SECTORS_STAY) =>
                {
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        self.place = scan.place();
        if self.place.position >= self.promised && !mutant::is(mutant::MENDED_IS_NOT_SYNCED) {
            for segment in core::mem::take(&mut self.unsynced) {
                self.log.sync(segment, segment)?;
            }
        }
        Ok(())
    }

    /// Replaces what is in `bytes` by the first of `range`, for others who lack them: they verify
    /// what they get. They end where something else than `term` owns the log here, where a hole is
    /// known to begin, and where the log was promised.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn read(
        &self,
        term: Term,
        range: PositionRange,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ArchiveError> {
        bytes.clear();
        let (start, hole) = (range.start, self.place.position);
        let is_owned = self.history.owner(start).is_some_and(|line| line.term == term);
        if start < self.origin || !is_owned {
            return Ok(());
        }
        let owned = self.history.owner_end(start).unwrap_or(self.promised).min(self.promised);
        let whole = if start <= hole { owned.min(hole) } else { owned };
        let end = range.end.min(whole);
        if start < end {
            bytes.resize(end.since(start) as usize, 0);
            let count = self.log.read(start.0, bytes)?;
            bytes.truncate(count);
        }
        Ok(())
    }
}

impl ArchiveError {
    /// Whether an archive was not opened for bytes of its log that others may have: see
    /// [`Mending`].
    #[must_use]
    pub fn is_mendable(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Io { action: "read", path, .. } => {
                path.extension().is_some_and(|extension| extension == "segment")
            }
            _ => false,
        }
    }
}
