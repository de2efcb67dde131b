//! The part that any thread uses: reads of what was appended.

use std::path::Path;
use std::sync::Arc;

use quorate_core::{Position, PositionRange, SnapshotManifest};

use crate::RealDisk;
use crate::disk::Disk;
use crate::error::ArchiveError;
use crate::shared::Shared;
use crate::snapshots::{read_range, snapshot_directory};

/// Reads the log. Clones read at the same time.
#[derive(Debug)]
pub struct Reader<D: Disk = RealDisk> {
    shared: Arc<Shared<D>>,
}

impl<D: Disk> Clone for Reader<D> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<D: Disk> Reader<D> {
    pub(crate) const fn new(shared: Arc<Shared<D>>) -> Self {
        Self { shared }
    }

    /// Replaces what is in `bytes` by those of `range`, as far as they were appended and not cut;
    /// returns how many there are. They are as durable as [`crate::Syncer::durable`] says, and
    /// worth nothing if a cut below their end began since (rule 10). There are none if the range
    /// begins before the log does.
    ///
    /// # Errors
    /// [`ArchiveError::Io`]; it does not poison.
    pub fn read(&self, range: PositionRange, bytes: &mut Vec<u8>) -> Result<usize, ArchiveError> {
        bytes.clear();
        let length = self.shared.written().min(range.end.0).saturating_sub(range.start.0);
        if range.start.0 < self.shared.origin() {
            return Ok(0);
        }
        bytes.resize(length as usize, 0);
        let count = self.shared.log.read(range.start.0, bytes)?;
        bytes.truncate(count);
        Ok(count)
    }

    /// Replaces what is in `bytes` by those of `range` of the stream of the stored snapshot that
    /// stands at `position`, as far as the stream goes: the core's part, and right behind it the
    /// service's. Returns what the snapshot is. The chunks that the bytes lie in are verified: none
    /// is ever returned that is not as it was stored. An empty range asks only what it is.
    ///
    /// # Errors
    /// [`ArchiveError::Io`], also when there is no such snapshot, or no more;
    /// [`ArchiveError::Snapshot`] and the like when it does not verify. None poisons.
    pub fn read_snapshot(
        &self,
        position: Position,
        range: PositionRange,
        bytes: &mut Vec<u8>,
    ) -> Result<SnapshotManifest, ArchiveError> {
        bytes.clear();
        let log = &self.shared.log;
        let directory = log.directory().parent().unwrap_or_else(|| Path::new(""));
        let directory = snapshot_directory(directory);
        let asked = (position, range);
        read_range(&self.shared.disk, &directory, log.owner(), asked, bytes)
            .inspect_err(|_| bytes.clear())
    }
}
