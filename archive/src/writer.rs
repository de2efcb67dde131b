//! The part that the loop's thread uses: appends to the page cache, and cuts.

use std::sync::Arc;

use quorate_core::Position;

use crate::RealDisk;
use crate::disk::Disk;
use crate::error::{AppendError, ArchiveError};
use crate::shared::Shared;

/// Appends to the log without waiting for the disk.
#[derive(Debug)]
pub struct Writer<D: Disk = RealDisk> {
    shared: Arc<Shared<D>>,
}

/// A cut that has begun: nothing is appended before [`crate::Syncer::persist_history`] took it and
/// returned (rule 1).
#[derive(Debug)]
#[must_use = "the log accepts nothing until the cut was handed to `Syncer::persist_history`"]
pub struct Cut {
    pub(crate) at: Position,
}

impl<D: Disk> Writer<D> {
    pub(crate) const fn new(shared: Arc<Shared<D>>) -> Self {
        Self { shared }
    }

    /// Appends `first` and then `second` at `start`, where the log ends. The bytes are written
    /// when this returns, and durable after a later [`crate::Syncer::sync`].
    ///
    /// # Errors
    /// [`AppendError::Full`] when there is no space: nothing is counted of the append, and a later
    /// one succeeds when space returns (E48). [`AppendError::Failed`] poisons the archive if the
    /// file system failed, and reports [`ArchiveError::Poisoned`] if anything did before.
    pub fn append(
        &mut self,
        start: Position,
        first: &[u8],
        second: &[u8],
    ) -> Result<(), AppendError> {
        let shared = &self.shared;
        shared.check()?;
        let end = self.written();
        if shared.is_cutting() {
            return Err(ArchiveError::CutPending { start }.into());
        }
        if start != end {
            return Err(ArchiveError::NotAtEnd { start, end }.into());
        }
        let length = (first.len() + second.len()) as u64;
        if length == 0 {
            return Ok(());
        }
        match shared.guard(self.write(start.0, first, second)) {
            Ok(()) => {
                shared.set_written(start.0 + length);
                Ok(())
            }
            Err(ArchiveError::Full { .. }) => Err(self.refuse(start.0, length)?),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins a cut of the log at `at`, if it ends behind: what lies at and above it is not read
    /// any more. Hand the result to the syncer behind everything that was handed to it before, with
    /// the history that demands the cut.
    pub fn cut(&mut self, at: Position) -> Cut {
        self.shared.cut_begun();
        self.shared.set_written(self.shared.written().min(at.0));
        Cut { at }
    }

    /// The end of what was appended and not cut.
    #[must_use]
    pub fn written(&self) -> Position {
        Position(self.shared.written())
    }

    /// Whether the segment after the current one could not be reserved: appends are going to be
    /// refused unless space is freed.
    #[must_use]
    pub fn is_space_short(&self) -> bool {
        self.shared.is_space_short()
    }

    fn write(&self, start: u64, first: &[u8], second: &[u8]) -> Result<(), ArchiveError> {
        let log = &self.shared.log;
        let end = start + (first.len() + second.len()) as u64;
        // All space is reserved before the first byte is written: no half record.
        while log.capacity() < end {
            log.create_next(log.count())?;
        }
        self.shared.touch(end);
        log.write(start, first)?;
        log.write(start + first.len() as u64, second)
    }

    /// Undoes what an append without space has written.
    ///
    /// # Errors
    /// The wipe failed for another reason than lack of space.
    fn refuse(&self, start: u64, length: u64) -> Result<AppendError, ArchiveError> {
        let log = &self.shared.log;
        self.shared.set_space_short(true);
        // Zeroes fit where bytes were written; where space lacks for them too, the bytes are not
        // counted, and go at the next cut or recovery.
        match self.shared.guard(log.wipe(start, start + length)) {
            Ok(_) | Err(ArchiveError::Full { .. }) => {}
            Err(error) => return Err(error),
        }
        let needed = match log.bytes_to_reach(start + length) {
            0 => length,
            files => files,
        };
        let (free, directory) = (log.free_bytes(), log.directory().to_owned());
        Ok(AppendError::Full { needed, free, directory })
    }
}
