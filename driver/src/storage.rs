//! The threads that wait for the disk, so that the loop does not.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use quorate_core::OperationId;

use crate::port::{DurableStore, LogReader, StoragePort, StorageRequest};

/// What became of a [`StorageRequest`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Completion {
    /// The operation completed and is durable.
    Durable {
        /// The operation.
        operation: OperationId,
    },
    /// A read completed.
    Read {
        /// The operation.
        operation: OperationId,
        /// What was read; empty when nothing could be.
        bytes: Vec<u8>,
    },
    /// The store is poisoned: nothing more becomes durable (E43).
    Failed {
        /// What broke.
        reason: String,
    },
}

/// Requests queued for each thread, at most; beyond it [`StoragePort::submit`] waits.
const QUEUE_MAX: usize = 4_096;

/// Two threads behind queues: one that makes durable, one that reads. Dropped, they finish what is
/// queued and end.
#[derive(Debug)]
pub struct StorageThreads<C> {
    durable: Option<SyncSender<StorageRequest<C>>>,
    reads: Option<SyncSender<StorageRequest<C>>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl<T: Send + 'static> StorageThreads<T> {
    /// Starts the threads. Each completion is given to `complete`, on one of them.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start<D, R, C>(store: D, reader: R, complete: C) -> std::io::Result<Self>
    where
        D: DurableStore<Cut = T> + Send + 'static,
        R: LogReader + Send + 'static,
        C: Fn(Completion) + Clone + Send + 'static,
    {
        let (durable, durable_queue) = sync_channel(QUEUE_MAX);
        let (reads, reads_queue) = sync_channel(QUEUE_MAX);
        let completed = complete.clone();
        let storage = thread::Builder::new()
            .name("quorate-storage".into())
            .spawn(move || make_durable(store, &durable_queue, completed))?;
        let reading = thread::Builder::new()
            .name("quorate-reader".into())
            .spawn(move || read(reader, &reads_queue, complete))?;
        let threads = vec![storage, reading];
        Ok(Self { durable: Some(durable), reads: Some(reads), threads })
    }
}

impl<C> StoragePort<C> for StorageThreads<C> {
    fn submit(&mut self, request: StorageRequest<C>) {
        let queue = match request {
            StorageRequest::Read { .. } => &self.reads,
            _ => &self.durable,
        };
        let Some(queue) = queue else { return };
        // The core bounds what is outstanding, so a full queue is rare; to wait is then right: the
        // member must not run ahead of its disk. A thread that is gone has reported its failure.
        if let Err(TrySendError::Full(request)) = queue.try_send(request) {
            let _ = queue.send(request);
        }
    }
}

impl<C> Drop for StorageThreads<C> {
    fn drop(&mut self) {
        self.durable = None;
        self.reads = None;
        for thread in self.threads.drain(..) {
            // A panic in a store has been printed by its thread; there is nobody to tell.
            let _ = thread.join();
        }
    }
}

fn make_durable<D: DurableStore>(
    mut store: D,
    queue: &Receiver<StorageRequest<D::Cut>>,
    complete: impl Fn(Completion),
) {
    let mut batch = Vec::new();
    while let Ok(first) = queue.recv() {
        batch.push(first);
        batch.extend(queue.try_iter().take(QUEUE_MAX));
        if let Err(reason) = perform_grouped(&mut store, &mut batch, &complete) {
            complete(Completion::Failed { reason });
            return;
        }
    }
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
            // Reads have a thread of their own.
            StorageRequest::Read { .. } => continue,
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
        let StorageRequest::Read { operation, range } = request else { continue };
        let mut bytes = Vec::new();
        if let Err(reason) = reader.read(range, &mut bytes) {
            tracing::warn!(%range, reason, "a read of the log failed");
            bytes.clear();
        }
        complete(Completion::Read { operation, bytes });
    }
}

#[cfg(test)]
mod tests;
