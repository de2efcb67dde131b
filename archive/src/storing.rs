//! A snapshot of this member while it is stored: its service's state comes in parts, for as long as
//! that takes.

use std::path::PathBuf;
use std::sync::Arc;

use quorate_core::{Position, Snapshot};

use crate::RealDisk;
use crate::disk::Disk;
use crate::draft::Draft;
use crate::error::ArchiveError;
use crate::shared::Shared;
use crate::snapshots::{CHUNK_BYTES, Manifest, Snapshots, file_of, make_directory};

/// A snapshot that is being stored. Dropped before [`Snapshots::publish`], nothing is left of it.
#[derive(Debug)]
pub struct Storing<D: Disk = RealDisk> {
    draft: Draft<D>,
    position: Position,
    /// The name that it is going to have.
    path: PathBuf,
    /// Bytes of the service's state that are to come.
    missing: u64,
    /// Bytes were not taken: what would follow does not belong where it would be written.
    has_failed: bool,
    is_named: bool,
    /// Last: the directory stays locked until the file is gone.
    shared: Arc<Shared<D>>,
}

impl<D: Disk> Storing<D> {
    /// Bytes of the service's state that were announced and are to come.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.missing
    }

    /// Writes the next bytes of the service's state. All of them are on the disk only when it is
    /// published, but never more than some MiB wait for that: a sync of the log does not find a
    /// large file before it.
    ///
    /// # Errors
    /// As [`Snapshots::store`]. [`ArchiveError::Snapshot`] for more bytes than were announced, and
    /// whenever it failed before: nothing can be made of it any more.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.check()?;
        self.has_failed = true;
        let left = self.missing.checked_sub(bytes.len() as u64);
        self.missing = left.ok_or_else(|| self.broken("is longer than its service said"))?;
        self.draft.take(bytes)?;
        self.has_failed = false;
        Ok(())
    }

    /// Refuses once bytes were not taken.
    fn check(&self) -> Result<(), ArchiveError> {
        if self.has_failed { Err(self.broken("was not written up to here")) } else { Ok(()) }
    }

    fn broken(&self, what: &'static str) -> ArchiveError {
        ArchiveError::Snapshot { path: self.path.clone(), what }
    }

    /// Makes all of it durable and gives it its name.
    fn finish(&mut self) -> Result<(), ArchiveError> {
        self.check()?;
        if self.missing > 0 {
            return Err(self.broken("is shorter than its service said"));
        }
        self.draft.finish(self.shared.log.owner())?;
        let renamed = self.shared.disk.rename(self.draft.path(), &self.path);
        renamed.map_err(|error| ArchiveError::space("name", &self.path, error))?;
        self.is_named = true;
        Ok(())
    }
}

impl<D: Disk> Drop for Storing<D> {
    fn drop(&mut self) {
        if !self.is_named {
            // Whatever space it took is needed more than half a snapshot. What cannot be removed
            // now is so by the next start.
            let _ = self.shared.disk.remove(self.draft.path());
        }
    }
}

impl<D: Disk> Snapshots<D> {
    /// Stores a snapshot: the core's part, and the service's state at the same position. It is
    /// durable when this returns, and older ones than those that are kept are gone, but for the one
    /// at `pinned`: others are fetching it.
    ///
    /// # Errors
    /// Whatever fails before it has its name leaves nothing of it, and a later one may succeed: the
    /// log does not depend on it, and a member that stopped for it would stop at the same marker
    /// again (E48). Only a directory of which nobody knows what it holds poisons the archive (E43).
    pub fn store(
        &mut self,
        snapshot: &Snapshot,
        service: &[u8],
        pinned: Option<Position>,
    ) -> Result<(), ArchiveError> {
        let mut storing = self.begin(snapshot, service.len() as u64)?;
        storing.take(service)?;
        self.publish(storing, pinned)
    }

    /// The same in steps: begins to store the core's part, and so many bytes of the service's state
    /// at the same position, which come by [`Storing::take`].
    ///
    /// # Errors
    /// As [`Snapshots::store`]; [`ArchiveError::Full`] at once when there is less space than all of
    /// it is going to need.
    pub fn begin(
        &mut self,
        snapshot: &Snapshot,
        service_bytes: u64,
    ) -> Result<Storing<D>, ArchiveError> {
        self.shared.check()?;
        let disk = &self.shared.disk;
        make_directory(disk, &self.directory)?;
        self.remove_broken();
        let position = snapshot.point.position;
        let path = file_of(&self.directory, position.0);
        let manifest = Manifest {
            point: snapshot.point,
            chunk_bytes: CHUNK_BYTES,
            core_bytes: snapshot.core.len() as u64,
            service_bytes,
            digest: 0,
        };
        // It is compared, and taken bit by bit.
        let needed = manifest.file_bytes().unwrap_or(u64::MAX);
        if disk.free_bytes(&self.directory).is_some_and(|free| free < needed) {
            return Err(ArchiveError::Full { path });
        }
        let mut storing = Storing {
            draft: Draft::create(disk, path.with_extension("new"), manifest)?,
            position,
            path,
            missing: service_bytes,
            has_failed: false,
            is_named: false,
            shared: Arc::clone(&self.shared),
        };
        storing.draft.reserve_ahead();
        storing.draft.take(&snapshot.core)?;
        Ok(storing)
    }

    /// Ends what [`Snapshots::begin`] began: all of the service's state has come. When this returns
    /// the snapshot is there, as behind [`Snapshots::store`].
    ///
    /// # Errors
    /// As [`Snapshots::store`]; [`ArchiveError::Snapshot`] when bytes are missing, or were not
    /// taken.
    pub fn publish(
        &mut self,
        mut storing: Storing<D>,
        pinned: Option<Position>,
    ) -> Result<(), ArchiveError> {
        self.shared.check()?;
        storing.finish()?;
        let synced = self.shared.disk.sync_directory(&self.directory);
        self.shared.guard(
            synced.map_err(|error| ArchiveError::io("sync directory", &self.directory, error)),
        )?;
        self.broken.remove(&storing.position.0);
        self.prune(pinned);
        Ok(())
    }
}
