//! A snapshot that comes from another member, until it is installed.
//!
//! It is written beside, as one of this member is: chunk by chunk, as its bytes come. A start
//! removes what is not installed.

use std::path::{Path, PathBuf};

use quorate_core::SnapshotManifest;

use crate::disk::Disk;
use crate::draft::Draft;
use crate::error::ArchiveError;
use crate::snapshots::{Manifest, Snapshots, file_of, make_directory, read_manifest, read_through};

/// What was fetched of a snapshot.
#[derive(Debug)]
pub(crate) struct Fetched<D: Disk> {
    manifest: SnapshotManifest,
    draft: Draft<D>,
}

/// Where a snapshot is kept until it is installed.
pub(crate) fn fetched_file_of(directory: &Path, position: u64) -> PathBuf {
    file_of(directory, position).with_extension("fetched.new")
}

impl<D: Disk> Snapshots<D> {
    /// Keeps `bytes` of the stream of another member's snapshot, which is what `manifest` says:
    /// from `start` on, right behind what was kept of it before. A part from 0 on replaces whatever
    /// was kept. What lies behind the stream's end is left out. Nothing is durable yet, and no more
    /// space is taken than the bytes need.
    ///
    /// # Errors
    /// As [`Snapshots::store`]: nothing is left of it then, and all else goes on.
    /// [`ArchiveError::Full`] at once when there is less space than all of it is going to need;
    /// [`ArchiveError::Snapshot`] for a part that does not go on where the last one ended.
    pub fn keep(
        &mut self,
        manifest: &SnapshotManifest,
        start: u64,
        bytes: &[u8],
    ) -> Result<(), ArchiveError> {
        self.shared.check()?;
        let kept = self.try_keep(manifest, start, bytes);
        if kept.is_err() {
            self.discard();
        }
        kept
    }

    fn try_keep(
        &mut self,
        manifest: &SnapshotManifest,
        start: u64,
        bytes: &[u8],
    ) -> Result<(), ArchiveError> {
        if start == 0 {
            self.begin_fetch(manifest)?;
        }
        let fetched = self.fetched.as_mut();
        let fetched = fetched.filter(|fetched| fetched.manifest == *manifest);
        let next = fetched.filter(|fetched| fetched.draft.taken() == start);
        match next {
            Some(fetched) => fetched.draft.take(bytes),
            None => Err(self.broken_fetch(manifest, "was not kept up to where a part begins")),
        }
    }

    fn begin_fetch(&mut self, manifest: &SnapshotManifest) -> Result<(), ArchiveError> {
        self.discard();
        let disk = &self.shared.disk;
        let layout = Manifest::of(manifest);
        let Some(needed) = layout.file_bytes() else {
            return Err(self.broken_fetch(manifest, "is larger than a file can be"));
        };
        make_directory(disk, &self.directory)?;
        self.remove_broken();
        let position = manifest.point.position.0;
        let path = fetched_file_of(&self.directory, position);
        // The length is a claim of another member: it is compared, and nothing is reserved for it.
        if disk.free_bytes(&self.directory).is_some_and(|free| free < needed) {
            return Err(ArchiveError::Full { path });
        }
        let draft = Draft::create(disk, path, layout)?;
        self.fetched = Some(Fetched { manifest: *manifest, draft });
        Ok(())
    }

    /// Makes what was kept durable, compares its digest with the manifest, and reads all of it
    /// again, verified; returns the core's part. It can be installed from now on.
    ///
    /// # Errors
    /// As [`Snapshots::keep`]; [`ArchiveError::Snapshot`] when not all of it was kept, or it is not
    /// what the manifest says.
    pub fn check(&mut self, manifest: &SnapshotManifest) -> Result<Vec<u8>, ArchiveError> {
        self.shared.check()?;
        let checked = self.try_check(manifest);
        if checked.is_err() {
            self.discard();
        }
        checked
    }

    fn try_check(&mut self, manifest: &SnapshotManifest) -> Result<Vec<u8>, ArchiveError> {
        let disk = self.shared.disk.clone();
        let owner = self.shared.log.owner();
        let layout = Manifest::of(manifest);
        let fetched = self.fetched.as_mut();
        let fetched = fetched.filter(|fetched| fetched.manifest == *manifest);
        let Some(fetched) = fetched else {
            return Err(self.broken_fetch(manifest, "was not kept"));
        };
        if fetched.draft.taken() != layout.stream_bytes() {
            return Err(self.broken_fetch(manifest, "was not kept up to its end"));
        }
        if fetched.draft.finish(owner)? != manifest.digest {
            return Err(self.broken_fetch(manifest, "has another digest than was said"));
        }
        let path = fetched.draft.path();
        let written = read_manifest(&disk, path, manifest.point.position.0, owner)?;
        read_through(&disk, path, &written, |_| {})
    }

    /// Forgets what was kept of another member's snapshot, and removes it.
    pub fn discard(&mut self) {
        if let Some(fetched) = self.fetched.take() {
            // What cannot be removed now is so by the next start.
            let _ = self.shared.disk.remove(fetched.draft.path());
        }
    }

    fn broken_fetch(&self, manifest: &SnapshotManifest, what: &'static str) -> ArchiveError {
        let path = fetched_file_of(&self.directory, manifest.point.position.0);
        ArchiveError::Snapshot { path, what }
    }
}
