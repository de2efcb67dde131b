//! The part that another thread uses: everything that waits for the disk.

use std::path::Path;
use std::sync::Arc;

use quorate_core::{PeerRecord, Position, SnapshotManifest, SnapshotPoint, TermHistory, Vote};

use crate::RealDisk;
use crate::copies::Copies;
use crate::disk::Disk;
use crate::error::ArchiveError;
use crate::fetched::fetched_file_of;
use crate::marks::Marks;
use crate::payload::{DurableMark, HistoryAndCut};
use crate::shared::Shared;
use crate::snapshots::{file_of, read_manifest, snapshot_directory};
use crate::writer::Cut;

/// Makes things durable, one after the other, in the order of the member's actions. When a method
/// returns `Ok`, what it was given survives a loss of power; after the first error nothing more is
/// done (E43), but for [`ArchiveError::Full`].
#[derive(Debug)]
pub struct Syncer<D: Disk = RealDisk> {
    pub(crate) shared: Arc<Shared<D>>,
    pub(crate) durable: u64,
    pub(crate) marks: Marks,
    pub(crate) vote: Copies<Vote>,
    pub(crate) history: Copies<HistoryAndCut>,
    pub(crate) peers: Copies<Vec<PeerRecord>>,
    pub(crate) origin: Copies<SnapshotPoint>,
}

impl<D: Disk> Syncer<D> {
    /// Makes everything durable that was appended before this call; returns up to where the log is
    /// durable then. One call serves every request that was queued before it.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] poisons the archive; [`ArchiveError::Poisoned`] says that it is.
    pub fn sync(&mut self) -> Result<Position, ArchiveError> {
        self.shared.check()?;
        let shared = Arc::clone(&self.shared);
        shared.guard(self.sync_log())
    }

    /// Replaces the vote.
    ///
    /// # Errors
    /// As [`Syncer::sync`]; [`ArchiveError::Full`], a write without space, may be tried again. A
    /// sync that fails for lack of space poisons like any (E43).
    pub fn persist_vote(&mut self, vote: &Vote) -> Result<(), ArchiveError> {
        self.shared.check()?;
        self.shared.guard(self.vote.store(&self.shared.disk, vote))
    }

    /// Replaces the term history, then carries out the cut that it implies. A crash in between
    /// leaves the history with its cut, which recovery carries out.
    ///
    /// # Errors
    /// As [`Syncer::sync`]. After any error the log accepts no append.
    pub fn persist_history(&mut self, history: &TermHistory, cut: Cut) -> Result<(), ArchiveError> {
        self.shared.check()?;
        let shared = Arc::clone(&self.shared);
        let cut = cut.at;
        shared.guard(self.replace_history(&HistoryAndCut { history: history.clone(), cut }))
    }

    /// Replaces what is remembered of the other members. It has nothing to do with where the log
    /// begins: it can be replaced behind an installation, too, so that the next life is told what
    /// that one stands for.
    ///
    /// # Errors
    /// As [`Syncer::persist_vote`], but for [`ArchiveError::Installed`].
    pub fn persist_peers(&mut self, peers: &[PeerRecord]) -> Result<(), ArchiveError> {
        self.shared.check_whole()?;
        self.shared.guard(self.peers.store(&self.shared.disk, &peers.to_vec()))
    }

    /// Lets the log begin at `origin`, which is the end of a snapshot's marker, at or below a
    /// snapshot that is stored: says so durably, and then removes the segments that hold nothing
    /// of it any more. Nothing is done when it begins there or behind already, or is not durable up
    /// to there.
    ///
    /// # Errors
    /// As [`Syncer::persist_vote`]. After [`ArchiveError::Full`] the log begins where it did.
    pub fn purge(&mut self, origin: SnapshotPoint) -> Result<(), ArchiveError> {
        self.shared.check()?;
        let position = origin.position.0;
        if position <= self.shared.origin() || position > self.durable {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        shared.guard(self.move_origin(&origin))
    }

    /// Installs the snapshot of another member that [`crate::Snapshots::check`] found to be what
    /// `manifest` says: it is a stored one from now on, and the log begins where it stands, empty.
    /// When this returns that is durable, and nothing can be done with the archive but to replace
    /// the records of peers and to open it again, which also removes what was the log. A crash
    /// before leaves the old log.
    ///
    /// # Errors
    /// [`ArchiveError::NotAhead`] if the log reaches as far as the snapshot;
    /// [`ArchiveError::CutPending`]; [`ArchiveError::Snapshot`] and the like if it was not checked;
    /// [`ArchiveError::Full`]: the log is as it was after each of these. Any other poisons, as
    /// ever.
    pub fn install(&mut self, manifest: &SnapshotManifest) -> Result<(), ArchiveError> {
        self.shared.check()?;
        let shared = Arc::clone(&self.shared);
        let (position, end) = (manifest.point.position, Position(shared.written()));
        if position <= end {
            return Err(ArchiveError::NotAhead { position, end });
        }
        if shared.is_cutting() {
            return Err(ArchiveError::CutPending { start: position });
        }
        let directory = shared.log.directory().parent().unwrap_or_else(|| Path::new(""));
        let directory = snapshot_directory(directory);
        let draft = fetched_file_of(&directory, position.0);
        let found = read_manifest(&shared.disk, &draft, position.0, shared.log.owner())?;
        if found.said() != *manifest {
            let what = "is another one than the one to install";
            return Err(ArchiveError::Snapshot { path: draft, what });
        }
        shared.guard(self.begin_at(&manifest.point, &directory, &draft))?;
        shared.set_installed();
        Ok(())
    }

    fn begin_at(
        &mut self,
        point: &SnapshotPoint,
        directory: &Path,
        draft: &Path,
    ) -> Result<(), ArchiveError> {
        let shared = Arc::clone(&self.shared);
        let history_generation = self.history.generation();
        let mark = DurableMark { position: point.position.0, history_generation };
        // What needs space comes first.
        shared.log.prepare_beginning(mark, &self.marks)?;
        let path = file_of(directory, point.position.0);
        shared.disk.rename(draft, &path).map_err(|error| {
            shared.log.forget_beginning(point.position);
            ArchiveError::space("name", &path, error)
        })?;
        shared
            .disk
            .sync_directory(directory)
            .map_err(|error| ArchiveError::io("sync directory", directory, error))?;
        // From the first whole copy on the log begins there: whatever goes wrong now, nothing may
        // be appended to what was the log (E43).
        self.origin.store(&shared.disk, point).inspect_err(|error| {
            shared.poison(error.to_string());
        })?;
        shared.set_origin(*point);
        Ok(())
    }

    /// Whether what failed last is all that went wrong.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.shared.check().is_ok()
    }

    /// Up to where the log is durable.
    #[must_use]
    pub const fn durable(&self) -> Position {
        Position(self.durable)
    }

    fn sync_log(&mut self) -> Result<Position, ArchiveError> {
        let shared = Arc::clone(&self.shared);
        let (log, target) = (&shared.log, shared.written());
        if target > self.durable {
            let first = log.segment_of(self.durable).min(self.marks.segment());
            log.sync(first, log.segment_of(target - 1))?;
            self.marks.synced();
            self.durable = target;
            self.mark()?;
        }
        // So a lack of space shows before an append must be refused.
        let reserved = log.reserve_ahead(target)?;
        shared.set_space_short(!reserved);
        Ok(Position(target.min(self.durable)))
    }

    fn move_origin(&mut self, origin: &SnapshotPoint) -> Result<(), ArchiveError> {
        let shared = Arc::clone(&self.shared);
        // The newest mark that is durable may lie in a segment that goes.
        shared.log.sync(self.marks.segment(), self.marks.segment())?;
        self.marks.synced();
        self.origin.store(&shared.disk, origin)?;
        shared.set_origin(*origin);
        shared.log.purge(origin.position)
    }

    /// Says up to where the log is durable, before anybody else is told (rule 6).
    fn mark(&mut self) -> Result<(), ArchiveError> {
        let history_generation = self.history.generation();
        let mark = DurableMark { position: self.durable, history_generation };
        self.marks.write(&self.shared.log, mark)
    }

    fn replace_history(&mut self, history: &HistoryAndCut) -> Result<(), ArchiveError> {
        self.history.store(&self.shared.disk, history)?;
        let shared = Arc::clone(&self.shared);
        shared.set_history(history.history.clone());
        let (log, cut, touched) = (&shared.log, history.cut.0, shared.touched());
        if cut < touched {
            // The bytes go before a mark says that the cut is done.
            log.wipe(cut, touched)?;
            let first = log.segment_of(cut).min(self.marks.segment());
            log.sync(first, log.segment_of(touched))?;
            self.marks.synced();
            shared.wiped(cut);
            self.durable = self.durable.min(cut);
            self.mark()?;
            log.sync(self.marks.segment(), self.marks.segment())?;
            self.marks.synced();
        } else {
            // Nothing durable is lost, so this mark may become durable with the next batch.
            self.mark()?;
        }
        shared.cut_done();
        Ok(())
    }
}
