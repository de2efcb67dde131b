//! The segments: the log's bytes in files of equal size.
//!
//! The byte at position `p` lies in segment `p / segment_bytes`, `PREAMBLE_BYTES` further on than
//! `p % segment_bytes`. Segments are reserved whole before they are written to, and never shrink.

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_core::{Position, mutant};

use crate::beginning::BEGIN_SUFFIX;
use crate::disk::{self, Access, Disk};
use crate::error::ArchiveError;
use crate::identity::Identity;
use crate::record::{self, Fields, Kind, Owner, RecordError};

/// The unit in which a preamble is laid out: no two of its records share a sector or a page.
pub(crate) const BLOCK_BYTES: u64 = 4 << 10;
/// Bytes of a segment's file before the log's: who it is, two durable marks, its successor.
pub(crate) const PREAMBLE_BYTES: u64 = 4 * BLOCK_BYTES;
/// Where the note lies that the next segment was made.
const SUCCESSOR_AT: u64 = 3 * BLOCK_BYTES;
/// Segments kept open at a time.
const HANDLES_MAX: usize = 32;
/// How much is read or written at once.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// The segments of one member, shared by the threads that append, sync and read.
#[derive(Debug)]
pub(crate) struct Log<D: Disk> {
    disk: D,
    directory: PathBuf,
    owner: Owner,
    segment_bytes: u64,
    access: Access,
    /// The segment that the log begins in; those before it are none of it.
    first: AtomicU64,
    /// One more than the last.
    count: AtomicU64,
    handles: Mutex<BTreeMap<u64, Arc<D::File>>>,
    creating: Mutex<()>,
}

/// A part of a range that lies in one segment.
#[derive(Clone, Copy, Debug)]
struct Piece {
    segment: u64,
    offset: u64,
    length: usize,
}

impl<D: Disk> Log<D> {
    /// The log of `identity` in `directory`, without any segment yet.
    pub(crate) fn new(disk: D, directory: &Path, identity: &Identity, access: Access) -> Self {
        Self {
            disk,
            directory: log_directory(directory),
            owner: identity.owner(),
            segment_bytes: identity.segment_bytes,
            access,
            first: AtomicU64::new(0),
            count: AtomicU64::new(0),
            handles: Mutex::default(),
            creating: Mutex::default(),
        }
    }

    /// Finds the segments of a log that begins at `origin`. What an interrupted creation or purge
    /// left is removed, unless the log is only read.
    ///
    /// # Errors
    /// Any file that is missing, misnamed, foreign, or not as long as it was made.
    pub(crate) fn find(&self, origin: Position) -> Result<(), ArchiveError> {
        let first = self.first_segment(origin);
        self.first.store(first, Ordering::Release);
        if self.settle_beginning(origin)? && self.access == Access::Read {
            self.count.store(first, Ordering::Release);
            return Ok(());
        }
        let mut count = first;
        for path in self.list()? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(".new") && self.access == Access::Write {
                self.disk
                    .remove(&path)
                    .map_err(|error| ArchiveError::io("remove", &path, error))?;
            }
            if name.ends_with(".new") || name.ends_with(BEGIN_SUFFIX) {
                continue;
            }
            let index = name.strip_suffix(".segment").and_then(|digits| digits.parse::<u64>().ok());
            let Some(index) = index.filter(|index| self.path(*index) == path) else {
                return Err(ArchiveError::Unexpected { path });
            };
            if index < first {
                // It is known that the log begins behind it: a purge was interrupted.
                self.remove_leftover(&path);
                continue;
            }
            if index > count && mutant::is(mutant::MISSING_SEGMENTS_ARE_PASSED_OVER) {
                count = index;
            }
            if index != count {
                return Err(ArchiveError::Missing { path: self.path(count) });
            }
            self.check_segment(index, &path)?;
            count += 1;
        }
        if count == first || self.has_successor(count - 1)? {
            return Err(ArchiveError::Missing { path: self.path(count) });
        }
        self.count.store(count, Ordering::Release);
        if self.access == Access::Write && count > first + 1 && !self.has_successor(count - 2)? {
            // A former life died between the making of a segment and the note of it.
            self.note_successor(count - 2)?;
        }
        Ok(())
    }

    /// Of a log that begins at `origin`, the segments up to the first one that is missing or not as
    /// it was made; says what is wrong with that one, if there is one. Changes nothing.
    pub(crate) fn find_usable(&self, origin: Position) -> Option<ArchiveError> {
        let first = self.first_segment(origin);
        self.first.store(first, Ordering::Release);
        let mut count = first;
        let wrong = loop {
            match self.check_segment(count, &self.path(count)) {
                Ok(()) => count += 1,
                Err(error) => break error,
            }
        };
        self.count.store(count, Ordering::Release);
        let is_end = wrong.is_not_found()
            && (count > first && !self.has_successor(count - 1).unwrap_or(true));
        (!is_end).then_some(wrong)
    }

    /// Makes the first segment of a log that is going to begin at `origin`.
    pub(crate) fn create_first(&self, origin: Position) -> Result<(), ArchiveError> {
        let first = self.first_segment(origin);
        self.first.store(first, Ordering::Release);
        self.count.store(first, Ordering::Release);
        self.create_next(first)
    }

    /// Lets the log begin at `origin`, of which a record says so durably: removes the segments
    /// that hold nothing of it any more. One that cannot be removed stays until the next opening.
    ///
    /// # Errors
    /// The directory cannot be synced.
    pub(crate) fn purge(&self, origin: Position) -> Result<(), ArchiveError> {
        let (old, first) = (self.first(), self.first_segment(origin));
        if first <= old {
            return Ok(());
        }
        self.first.store(first, Ordering::Release);
        // An open file keeps its space.
        let mut handles = self.handles();
        let kept = handles.split_off(&first);
        let removed = core::mem::replace(&mut *handles, kept);
        drop(handles);
        drop(removed);
        for index in old..first {
            self.remove_leftover(&self.path(index));
        }
        self.sync_names()
    }

    /// The files in the directory of the segments, by rising names.
    pub(crate) fn list(&self) -> Result<Vec<PathBuf>, ArchiveError> {
        let names = self.disk.list(&self.directory);
        let names = names.map_err(|error| ArchiveError::io("list", &self.directory, error))?;
        Ok(names.iter().map(|name| self.directory.join(name)).collect())
    }

    /// Makes the names of the segments durable.
    pub(crate) fn sync_names(&self) -> Result<(), ArchiveError> {
        self.disk
            .sync_directory(&self.directory)
            .map_err(|error| ArchiveError::io("sync directory", &self.directory, error))
    }

    /// Removes a segment from before the log's beginning. If that fails, nothing reads it.
    fn remove_leftover(&self, path: &Path) {
        if self.access == Access::Write {
            let _ = self.disk.remove(path);
        }
    }

    /// The segment that a log has to begin with whose origin is `origin`: that of the byte before
    /// it, so that there is one even where none is made yet that the origin lies in.
    pub(crate) const fn first_segment(&self, origin: Position) -> u64 {
        self.segment_of(origin.0.saturating_sub(1))
    }

    /// The segment that the log begins in.
    pub(crate) fn first(&self) -> u64 {
        self.first.load(Ordering::Acquire)
    }

    /// Makes the next segment: reserves its space, writes who it is, and only then names it.
    pub(crate) fn create_next(&self, index: u64) -> Result<(), ArchiveError> {
        let _alone = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        if index < self.count() {
            return Ok(());
        }
        assert_eq!(index, self.count(), "segments are made one after the other");
        let path = self.path(index);
        let draft = path.with_extension("new");
        self.write_draft(index, &draft, None).inspect_err(|_| {
            // Whatever space it took is needed more than the draft; it is made anew anyway.
            let _ = self.disk.remove(&draft);
        })?;
        self.disk.rename(&draft, &path).map_err(|error| ArchiveError::io("name", &path, error))?;
        self.sync_names()?;
        if let Some(before) = index.checked_sub(1).filter(|before| *before >= self.first()) {
            // Durable with the next sync of that segment, which is before any of this one's bytes
            // count: so the loss of all segments behind one is noticed.
            self.note_successor(before)?;
        }
        self.count.store(index + 1, Ordering::Release);
        Ok(())
    }

    fn note_successor(&self, segment: u64) -> Result<(), ArchiveError> {
        let note = record::encode(Kind::Successor, segment + 1, self.owner, &[]);
        self.write_block(segment, SUCCESSOR_AT, &note)
    }

    /// Makes sure that the byte at `position`, and a whole segment behind its own, have their space
    /// reserved; false when there is too little space.
    pub(crate) fn reserve_ahead(&self, position: u64) -> Result<bool, ArchiveError> {
        while self.count() < self.segment_of(position) + 2 {
            match self.create_next(self.count()) {
                Ok(()) => {}
                Err(ArchiveError::Full { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Writes the file of a segment, and durably: reserved, with its front, and with a mark at an
    /// offset if there is to be one.
    pub(crate) fn write_draft(
        &self,
        index: u64,
        draft: &Path,
        mark: Option<(u64, &[u8])>,
    ) -> Result<(), ArchiveError> {
        let file = self
            .disk
            .open(draft, Access::Create)
            .map_err(|error| ArchiveError::space("create", draft, error))?;
        self.disk
            .allocate(&file, 0..self.file_bytes())
            .map_err(|error| ArchiveError::space("reserve space for", draft, error))?;
        let payload = [index.to_le_bytes(), self.segment_bytes.to_le_bytes()].concat();
        let header = record::encode(Kind::Segment, 1, self.owner, &payload);
        for (at, bytes) in [(0, header.as_slice())].into_iter().chain(mark) {
            disk::write_full(&self.disk, &file, bytes, at)
                .map_err(|error| ArchiveError::space("write", draft, error))?;
        }
        self.disk.sync(&file).map_err(|error| ArchiveError::io("sync", draft, error))
    }

    /// Whether the file at `path` is segment `index`, as it was made.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check_segment(&self, index: u64, path: &Path) -> Result<(), ArchiveError> {
        let file = self
            .disk
            .open(path, Access::Read)
            .map_err(|error| ArchiveError::io("open", path, error))?;
        let read = |error| ArchiveError::io("read", path, error);
        let found = self.disk.length(&file).map_err(read)?;
        if found != self.file_bytes() {
            let (path, expected) = (path.to_owned(), self.file_bytes());
            return Err(ArchiveError::SegmentLength { path, found, expected });
        }
        let mut block = [0; BLOCK_BYTES as usize];
        disk::read_full(&self.disk, &file, &mut block, 0).map_err(read)?;
        let path = path.to_owned();
        let record = match record::decode(&block, Kind::Segment, Some(self.owner)) {
            Ok(record) => record,
            Err(RecordError::Version(found)) => return Err(ArchiveError::Version { path, found }),
            Err(RecordError::Foreign(found)) => {
                return Err(ArchiveError::Foreign { path, found, expected: self.owner });
            }
            Err(RecordError::Blank | RecordError::Damaged) => {
                return Err(ArchiveError::Unreadable { path });
            }
        };
        match Fields(&record.payload).u64() {
            Some(found) if found == index => Ok(()),
            Some(found) => Err(ArchiveError::Misplaced { path, found, expected: index }),
            None => Err(ArchiveError::Unreadable { path }),
        }
    }

    /// Whether a segment says that the next one was made.
    fn has_successor(&self, index: u64) -> Result<bool, ArchiveError> {
        let note = self.read_block(index, SUCCESSOR_AT)?;
        Ok(record::decode(&note, Kind::Successor, Some(self.owner)).is_ok())
    }

    /// One more than the last segment.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// The position behind the last segment.
    pub(crate) fn capacity(&self) -> u64 {
        self.count().saturating_mul(self.segment_bytes)
    }

    /// The bytes of the files that must be made before the log can end at `end`.
    pub(crate) fn bytes_to_reach(&self, end: u64) -> u64 {
        let missing = end.saturating_sub(self.capacity()).div_ceil(self.segment_bytes);
        missing.saturating_mul(self.file_bytes())
    }

    /// Which segment holds the byte at `position`.
    pub(crate) const fn segment_of(&self, position: u64) -> u64 {
        position / self.segment_bytes
    }

    /// The bytes of a segment's file.
    pub(crate) const fn file_bytes(&self) -> u64 {
        PREAMBLE_BYTES + self.segment_bytes
    }

    /// How much more can be reserved, if the system can tell.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        self.disk.free_bytes(&self.directory)
    }

    /// The directory of the segments.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The disk that it is on.
    pub(crate) const fn disk(&self) -> &D {
        &self.disk
    }

    /// Whether it is only read.
    pub(crate) const fn access(&self) -> Access {
        self.access
    }

    /// Whose log it is.
    pub(crate) const fn owner(&self) -> Owner {
        self.owner
    }

    /// The file of a segment.
    pub(crate) fn path(&self, index: u64) -> PathBuf {
        self.directory.join(format!("{index:016}.segment"))
    }

    /// Reads from `position` on into `buffer`, as far as there are segments.
    pub(crate) fn read(&self, position: u64, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let length = (buffer.len() as u64).min(self.capacity().saturating_sub(position)) as usize;
        let mut done = 0;
        while done < length {
            let piece = self.piece(position + done as u64, length - done);
            let file = self.file(piece.segment)?;
            let buffer = &mut buffer[done..done + piece.length];
            let count = disk::read_full(&self.disk, &file, buffer, piece.offset)
                .map_err(|error| ArchiveError::io("read", &self.path(piece.segment), error))?;
            done += count;
            if count < piece.length {
                break;
            }
        }
        Ok(done)
    }

    /// Lets the next read of `start..end` be one of the disk, as far as the system does that.
    pub(crate) fn forget_cached(&self, start: u64, end: u64) {
        let (mut at, end) = (start, end.min(self.capacity()));
        while at < end {
            let piece = self.piece(at, (end - at) as usize);
            if let Ok(file) = self.file(piece.segment) {
                self.disk.forget_cached(&file, piece.offset, piece.length as u64);
            }
            at += piece.length as u64;
        }
    }

    /// The file that the byte at `position` is in, and where in it.
    pub(crate) fn place_of(&self, position: u64) -> (PathBuf, u64) {
        let piece = self.piece(position, 1);
        (self.path(piece.segment), piece.offset)
    }

    /// Writes `bytes` at `position`; their segments exist.
    pub(crate) fn write(&self, position: u64, bytes: &[u8]) -> Result<(), ArchiveError> {
        let mut done = 0;
        while done < bytes.len() {
            let piece = self.piece(position + done as u64, bytes.len() - done);
            let file = self.file(piece.segment)?;
            let bytes = &bytes[done..done + piece.length];
            disk::write_full(&self.disk, &file, bytes, piece.offset)
                .map_err(|error| ArchiveError::space("write", &self.path(piece.segment), error))?;
            done += piece.length;
        }
        Ok(())
    }

    /// Makes the segments from `first` to `last` durable, oldest first.
    pub(crate) fn sync(&self, first: u64, last: u64) -> Result<(), ArchiveError> {
        for segment in first..=last.min(self.count().saturating_sub(1)) {
            let file = self.file(segment)?;
            self.disk
                .sync(&file)
                .map_err(|error| ArchiveError::io("sync", &self.path(segment), error))?;
        }
        Ok(())
    }

    /// Zeroes what is not zero in `start..end`; returns the end of what was not. Not durable yet.
    pub(crate) fn wipe(&self, start: u64, end: u64) -> Result<u64, ArchiveError> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let (mut at, mut dirty_end, end) = (start, start, end.min(self.capacity()));
        while at < end {
            let length = (CHUNK_BYTES as u64 - at % CHUNK_BYTES as u64).min(end - at) as usize;
            let length = self.read(at, &mut buffer[..length])?;
            let Some(last) = buffer[..length].iter().rposition(|byte| *byte != 0) else {
                at += length.max(1) as u64;
                continue;
            };
            buffer[..length].fill(0);
            self.write(at, &buffer[..length])?;
            dirty_end = at + last as u64 + 1;
            at += length as u64;
        }
        Ok(dirty_end)
    }

    /// One block of a segment's preamble.
    pub(crate) fn read_block(&self, segment: u64, offset: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut block = vec![0; BLOCK_BYTES as usize];
        let file = self.file(segment)?;
        disk::read_full(&self.disk, &file, &mut block, offset)
            .map_err(|error| ArchiveError::io("read", &self.path(segment), error))?;
        Ok(block)
    }

    /// Writes a record into a segment's preamble. Not durable yet.
    pub(crate) fn write_block(
        &self,
        segment: u64,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), ArchiveError> {
        let file = self.file(segment)?;
        disk::write_full(&self.disk, &file, bytes, offset)
            .map_err(|error| ArchiveError::space("write", &self.path(segment), error))
    }

    fn piece(&self, position: u64, length: usize) -> Piece {
        let within = position % self.segment_bytes;
        let length = (length as u64).min(self.segment_bytes - within) as usize;
        Piece { segment: self.segment_of(position), offset: PREAMBLE_BYTES + within, length }
    }

    fn file(&self, segment: u64) -> Result<Arc<D::File>, ArchiveError> {
        if let Some(file) = self.handles().get(&segment) {
            return Ok(Arc::clone(file));
        }
        let path = self.path(segment);
        let file = self
            .disk
            .open(&path, self.access)
            .map_err(|error| ArchiveError::io("open", &path, error))?;
        let mut handles = self.handles();
        if segment < self.first() {
            return Ok(Arc::new(file));
        }
        // The newest segments stay open: an error of their sync is reported to an open file.
        if handles.len() >= HANDLES_MAX {
            handles.pop_first();
        }
        Ok(Arc::clone(handles.entry(segment).or_insert_with(|| Arc::new(file))))
    }

    fn handles(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<D::File>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the segments of an archive are.
pub(crate) fn log_directory(directory: &Path) -> PathBuf {
    directory.join("log")
}
