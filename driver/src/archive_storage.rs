//! The storage of a member with an archive: threads, or the loop itself.

use quorate_archive::Cut;

use crate::archive_ports::{ArchiveReader, ArchiveSnapshots, ArchiveStore};
use crate::port::{StoragePort, StorageRequest};
use crate::storage::{Completion, InlineStorage, StorageThreads};

/// Who waits for the disk.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum StorageMode {
    /// Three threads of the member's own: right for every disk that takes time.
    #[default]
    Threads,
    /// The member itself: for file systems in memory, and where it is to have one thread only. It
    /// does nothing else while the disk works, so a slow disk costs a leader its leadership.
    Inline,
}

/// The storage that a [`StorageMode`] asks for.
#[derive(Debug)]
pub enum ArchiveStorage {
    /// Threads.
    Threads(StorageThreads<Cut>),
    /// The loop itself.
    Inline(Box<InlineStorage<ArchiveStore, ArchiveReader, ArchiveSnapshots>>),
}

impl ArchiveStorage {
    /// Starts the storage over an archive; each completion is given to `complete`.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(
        mode: StorageMode,
        store: ArchiveStore,
        reader: ArchiveReader,
        snapshots: ArchiveSnapshots,
        complete: impl Fn(Completion) + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        Ok(match mode {
            StorageMode::Threads => {
                Self::Threads(StorageThreads::start(store, reader, snapshots, complete)?)
            }
            StorageMode::Inline => {
                Self::Inline(Box::new(InlineStorage::new(store, reader, snapshots, complete)))
            }
        })
    }
}

impl StoragePort<Cut> for ArchiveStorage {
    fn submit(&mut self, request: StorageRequest<Cut>) {
        match self {
            Self::Threads(threads) => threads.submit(request),
            Self::Inline(inline) => inline.submit(request),
        }
    }

    fn perform(&mut self) {
        match self {
            Self::Threads(threads) => threads.perform(),
            Self::Inline(inline) => inline.perform(),
        }
    }

    fn close(&mut self) {
        match self {
            Self::Threads(threads) => threads.close(),
            Self::Inline(inline) => inline.close(),
        }
    }
}
