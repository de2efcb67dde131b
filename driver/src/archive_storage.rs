//! The storage of a member with an archive: threads, or the loop itself.

use quorate_archive::{Cut, Scrub};
use quorate_core::Position;

use crate::archive_ports::{ArchiveReader, ArchiveSnapshots, ArchiveStore};
use crate::port::{StoragePort, StorageRequest};
use crate::storage::{
    Completion, InlineStorage, ScrubThread, Scrubbing, SnapshotProgress, SnapshotWriting,
    StorageThreads,
};

/// Who waits for the disk.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum StorageMode {
    /// Three threads of the member's own, and one that reads again what is stored: right for every
    /// disk that takes time.
    #[default]
    Threads,
    /// The member itself: for file systems in memory, and where it is to have one thread only. It
    /// does nothing else while the disk works, so a slow disk costs a leader its leadership. Only
    /// snapshots are written by a thread: a large one takes time on any disk. What is stored is
    /// not read again before the next start.
    Inline,
}

/// The storage that a [`StorageMode`] asks for.
#[derive(Debug)]
pub enum ArchiveStorage {
    /// Threads; one of them scrubs, if that is wanted.
    Threads(StorageThreads<Cut>, Option<ScrubThread>),
    /// The loop itself.
    Inline(Box<InlineStorage<ArchiveStore, ArchiveReader>>),
    /// The archive is not open: what is asked for is never done.
    Absent,
}

impl ArchiveStorage {
    /// Starts the storage over an archive, which is read again as `scrubs` says, and into which
    /// snapshots are written as `snapshots` says; each completion is given to `complete`.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(
        mode: StorageMode,
        store: ArchiveStore,
        reader: ArchiveReader,
        snapshots: (ArchiveSnapshots, SnapshotWriting),
        scrubs: (Scrub, Scrubbing),
        complete: impl Fn(Completion) + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        Ok(match mode {
            StorageMode::Threads => {
                let (scrub, scrubbing) = scrubs;
                let scrub = ScrubThread::start(scrub, scrubbing, complete.clone())?;
                let threads = StorageThreads::start(store, reader, snapshots, complete)?;
                Self::Threads(threads, scrub)
            }
            StorageMode::Inline => {
                Self::Inline(Box::new(InlineStorage::start(store, reader, snapshots, complete)?))
            }
        })
    }
}

impl StoragePort<Cut> for ArchiveStorage {
    fn submit(&mut self, request: StorageRequest<Cut>) {
        match self {
            Self::Threads(threads, _) => threads.submit(request),
            Self::Inline(inline) => inline.submit(request),
            Self::Absent => {}
        }
    }

    fn perform(&mut self) {
        match self {
            Self::Threads(threads, _) => threads.perform(),
            Self::Inline(inline) => inline.perform(),
            Self::Absent => {}
        }
    }

    fn set_settled(&mut self, end: Position) {
        if let Self::Threads(_, Some(scrub)) = self {
            scrub.set_end(end);
        }
    }

    fn snapshot_progress(&self) -> Option<SnapshotProgress> {
        match self {
            Self::Threads(threads, _) => threads.snapshot_progress(),
            Self::Inline(inline) => inline.snapshot_progress(),
            Self::Absent => None,
        }
    }

    fn close(&mut self) {
        match self {
            Self::Threads(threads, scrub) => {
                threads.close();
                *scrub = None;
            }
            Self::Inline(inline) => inline.close(),
            Self::Absent => {}
        }
    }
}
