//! The part that any thread uses: reads of what was appended.

use std::sync::Arc;

use quorate_core::PositionRange;

use crate::RealDisk;
use crate::disk::Disk;
use crate::error::ArchiveError;
use crate::shared::Shared;

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
}
