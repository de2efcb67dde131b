//! The threads that wait for the disk, so that the loop does not.

use core::any::Any;
use core::fmt;
use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicBool, Ordering};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use quorate_archive::Scrubbed;
use quorate_core::{OperationId, SnapshotManifest};

use crate::port::{
    DurableStore, LogReader, SnapshotStore, StoragePort, StorageRequest, StoreError,
};

/// What became of a [`StorageRequest`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Completion {
    /// The operation completed and is durable.
    Durable {
        /// The operation.
        operation: OperationId,
    },
    /// A snapshot is stored, a part of another member's is kept, or such a one is installed.
    SnapshotStored {
        /// The operation.
        operation: OperationId,
    },
    /// Another member's snapshot is whole, and is what was announced.
    SnapshotWhole {
        /// The operation.
        operation: OperationId,
        /// The core's part.
        core: Vec<u8>,
    },
    /// A snapshot could not be stored, kept or installed, or is not what was announced; all else
    /// goes on.
    SnapshotFailed {
        /// The operation.
        operation: OperationId,
        /// Why.
        reason: String,
    },
    /// A read completed.
    Read {
        /// The operation.
        operation: OperationId,
        /// What was read; empty when nothing could be.
        bytes: Vec<u8>,
    },
    /// A read of a stored snapshot completed.
    SnapshotRead {
        /// The operation.
        operation: OperationId,
        /// What it is; nothing when it could not be read.
        manifest: Option<SnapshotManifest>,
        /// What was read of its stream.
        bytes: Vec<u8>,
    },
    /// A part of what is stored was read again.
    Scrubbed(Scrubbed),
    /// The store is poisoned, or a thread of the storage is gone: nothing more becomes durable
    /// (E43). Reported once.
    Failed {
        /// What broke.
        reason: String,
    },
}

/// Requests queued for the thread that makes durable, and for the one that reads, at most; beyond
/// it [`StoragePort::submit`] waits.
const QUEUE_MAX: usize = 4_096;

/// Three threads behind queues: one that makes durable, one that reads, and one that stores
/// snapshots, this member's and what is fetched of others'. Closed or dropped, they finish what is
/// queued and end by themselves: nobody waits for them, for a disk may hang for as long as it
/// likes. A snapshot that takes longer than one step is given up. The archive stays locked until
/// they have ended.
pub struct StorageThreads<C> {
    durable: Option<SyncSender<StorageRequest<C>>>,
    reads: Option<SyncSender<StorageRequest<C>>>,
    snapshots: Option<Inbox<C>>,
    failure: Option<Box<dyn Fn(String) + Send>>,
}

impl<C> fmt::Debug for StorageThreads<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = self.durable.is_none();
        f.debug_struct("StorageThreads").field("closed", &closed).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> StorageThreads<T> {
    /// Starts the threads; snapshots are written as what comes with them says. Each completion is
    /// given to `complete`, on one of them or by [`StoragePort::submit`].
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start<D, R, S, C>(
        store: D,
        reader: R,
        snapshots: (S, SnapshotWriting),
        complete: C,
    ) -> std::io::Result<Self>
    where
        D: DurableStore<Cut = T> + Send + 'static,
        R: LogReader + Send + 'static,
        S: SnapshotStore + Send + 'static,
        C: Fn(Completion) + Clone + Send + 'static,
    {
        let (durable, durable_queue) = sync_channel(QUEUE_MAX);
        let (reads, reads_queue) = sync_channel(QUEUE_MAX);
        let reporter = Reporter { complete, failed: Arc::default() };
        let storing = reporter.clone();
        thread::Builder::new().name("quorate-storage".into()).spawn(move || {
            let complete = &storing.complete;
            storing.watch(|| make_durable(store, &durable_queue, complete));
            // Only now a request is refused: the failure has been reported by its own name.
            drop(durable_queue);
        })?;
        let reading = reporter.clone();
        thread::Builder::new().name("quorate-reader".into()).spawn(move || {
            let complete = &reading.complete;
            reading.watch(|| {
                read(reader, &reads_queue, complete);
                Ok(())
            });
            drop(reads_queue);
        })?;
        let (snapshots, writing) = snapshots;
        let snapshots = snapshots::start(snapshots, writing, reporter.clone())?;
        let failure: Box<dyn Fn(String) + Send> = Box::new(move |reason| reporter.fail(reason));
        let (durable, reads, snapshots) = (Some(durable), Some(reads), Some(snapshots));
        Ok(Self { durable, reads, snapshots, failure: Some(failure) })
    }
}

impl<C> StoragePort<C> for StorageThreads<C> {
    fn submit(&mut self, request: StorageRequest<C>) {
        let taken = match Place::of(&request) {
            Place::Durable => self.durable.as_ref().map(|queue| put(queue, request)),
            Place::Reads => self.reads.as_ref().map(|queue| put(queue, request)),
            Place::Snapshots => self.snapshots.as_ref().map(|inbox| inbox.put(request)),
        };
        if taken == Some(false)
            && let Some(failure) = &self.failure
        {
            failure("a thread of the storage is gone; restart the member".into());
        }
    }

    fn snapshot_progress(&self) -> Option<SnapshotProgress> {
        self.snapshots.as_ref().and_then(Inbox::progress)
    }

    /// Takes no further requests. The threads finish what is queued, close the files, and last of
    /// all drop their `complete`: when no clone of it is left, all have ended.
    fn close(&mut self) {
        (self.durable, self.reads, self.snapshots, self.failure) = (None, None, None, None);
    }
}

/// Puts a request into a queue; whether somebody is there to take it. The core bounds what is
/// outstanding, so a full queue is rare; to wait is then right: the member must not run ahead of
/// its disk.
fn put<C>(queue: &SyncSender<StorageRequest<C>>, request: StorageRequest<C>) -> bool {
    match queue.try_send(request) {
        Ok(()) => true,
        Err(TrySendError::Full(request)) => queue.send(request).is_ok(),
        Err(TrySendError::Disconnected(_)) => false,
    }
}

/// Which requests are performed in one order.
enum Place {
    Durable,
    Reads,
    Snapshots,
}

impl Place {
    const fn of<C>(request: &StorageRequest<C>) -> Self {
        match request {
            StorageRequest::Sync { .. }
            | StorageRequest::PersistVote { .. }
            | StorageRequest::PersistHistory { .. }
            | StorageRequest::PersistPeers { .. }
            | StorageRequest::Purge { .. }
            | StorageRequest::InstallSnapshot { .. } => Self::Durable,
            StorageRequest::Read { .. } | StorageRequest::ReadSnapshot { .. } => Self::Reads,
            StorageRequest::StoreSnapshot { .. }
            | StorageRequest::KeepSnapshotPart { .. }
            | StorageRequest::CheckSnapshot { .. }
            | StorageRequest::DropSnapshot
            | StorageRequest::DiscardSnapshots { .. } => Self::Snapshots,
        }
    }
}

/// Reports completions, and of failures the first.
#[derive(Clone)]
struct Reporter<C> {
    complete: C,
    failed: Arc<AtomicBool>,
}

impl<C: Fn(Completion)> Reporter<C> {
    /// Does a thread's work, and reports its failure, a panic included: whoever waits for one of
    /// its completions would wait forever.
    fn watch(&self, work: impl FnOnce() -> Result<(), String>) {
        // Nothing that the work touched is used afterwards.
        let outcome = catch_unwind(AssertUnwindSafe(work));
        if let Err(reason) = outcome.unwrap_or_else(|panic| Err(describe(panic.as_ref()))) {
            self.fail(reason);
        }
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn fail(&self, reason: String) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            (self.complete)(Completion::Failed { reason });
        }
    }
}

fn describe(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a thread of the storage panicked: {}", text.unwrap_or("it did not say why"))
}

fn make_durable<D: DurableStore>(
    mut store: D,
    queue: &Receiver<StorageRequest<D::Cut>>,
    complete: impl Fn(Completion),
) -> Result<(), String> {
    let mut batch = Vec::new();
    while let Ok(first) = queue.recv() {
        batch.push(first);
        batch.extend(queue.try_iter().take(QUEUE_MAX));
        perform_grouped(&mut store, &mut batch, &complete)?;
    }
    Ok(())
}

/// Performs `batch` in order, runs of syncs as one: the last one of a run covers all.
///
/// # Errors
/// The store's first error; the rest of the batch is not performed.
pub fn perform_grouped<D: DurableStore>(
    store: &mut D,
    batch: &mut Vec<StorageRequest<D::Cut>>,
    complete: impl Fn(Completion),
) -> Result<(), String> {
    let mut syncs: Vec<OperationId> = Vec::new();
    let mut requests = batch.drain(..).peekable();
    while let Some(request) = requests.next() {
        let operation = match request {
            StorageRequest::Sync { operation } => {
                syncs.push(operation);
                if matches!(requests.peek(), Some(StorageRequest::Sync { .. })) {
                    continue;
                }
                store.sync()?;
                for operation in syncs.drain(..) {
                    complete(Completion::Durable { operation });
                }
                continue;
            }
            StorageRequest::PersistVote { operation, vote } => {
                store.persist_vote(vote)?;
                operation
            }
            StorageRequest::PersistHistory { operation, history, cut } => {
                store.persist_history(&history, cut)?;
                operation
            }
            StorageRequest::PersistPeers { operation, peers } => {
                store.persist_peers(&peers)?;
                operation
            }
            StorageRequest::Purge { origin } => {
                store.purge(origin)?;
                continue;
            }
            StorageRequest::InstallSnapshot { operation, manifest } => {
                let installed = store.install(&manifest);
                complete(outcome(operation, installed, |()| stored(operation))?);
                continue;
            }
            // They have threads of their own.
            StorageRequest::Read { .. }
            | StorageRequest::ReadSnapshot { .. }
            | StorageRequest::StoreSnapshot { .. }
            | StorageRequest::KeepSnapshotPart { .. }
            | StorageRequest::CheckSnapshot { .. }
            | StorageRequest::DropSnapshot
            | StorageRequest::DiscardSnapshots { .. } => continue,
        };
        complete(Completion::Durable { operation });
    }
    Ok(())
}

fn read<R: LogReader, C>(
    mut reader: R,
    queue: &Receiver<StorageRequest<C>>,
    complete: impl Fn(Completion),
) {
    for request in queue {
        read_one(&mut reader, request, &complete);
    }
}

/// Performs a read; any other request is nothing to it.
fn read_one<C>(
    reader: &mut impl LogReader,
    request: StorageRequest<C>,
    complete: impl Fn(Completion),
) {
    let mut bytes = Vec::new();
    match request {
        StorageRequest::Read { operation, range } => {
            if let Err(reason) = reader.read(range, &mut bytes) {
                tracing::warn!(%range, reason, "a read of the log failed");
                bytes.clear();
            }
            complete(Completion::Read { operation, bytes });
        }
        StorageRequest::ReadSnapshot { operation, position, range } => {
            let read = reader.read_snapshot(position, range, &mut bytes);
            let manifest = read.inspect_err(|reason| {
                tracing::warn!(%position, %range, reason, "a read of a snapshot failed");
                bytes.clear();
            });
            complete(Completion::SnapshotRead { operation, manifest: manifest.ok(), bytes });
        }
        _ => {}
    }
}

const fn stored(operation: OperationId) -> Completion {
    Completion::SnapshotStored { operation }
}

/// What is reported of a result.
///
/// # Errors
/// What broke for good.
fn outcome<T>(
    operation: OperationId,
    result: Result<T, StoreError>,
    done: impl FnOnce(T) -> Completion,
) -> Result<Completion, String> {
    match result {
        Ok(value) => Ok(done(value)),
        Err(StoreError::Refused(reason)) => Ok(Completion::SnapshotFailed { operation, reason }),
        Err(StoreError::Broken(reason)) => Err(reason),
    }
}

mod inbox;
mod inline;
mod scrubbing;
mod snapshots;

use self::inbox::Inbox;

pub use self::inline::InlineStorage;
pub use self::scrubbing::{ScrubThread, Scrubbing};
pub use self::snapshots::{SnapshotProgress, SnapshotWriting};

#[cfg(test)]
mod tests;
