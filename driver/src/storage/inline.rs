//! The storage without threads: performed by the loop itself, but for snapshots.

use core::fmt;
use core::mem;

use super::inbox::Inbox;
use super::{
    Completion, Place, Reporter, SnapshotProgress, SnapshotWriting, perform_grouped, read_one,
    snapshots,
};
use crate::port::{DurableStore, LogReader, SnapshotStore, StoragePort, StorageRequest};

/// Performs requests on the loop's thread, when the loop has sent what it had to send; syncs that
/// came together are one. For disks that answer at once, such as a file system in memory, and for
/// members that are to have one thread only: while the disk works, the member does nothing else.
/// Snapshots are stored by a thread, which does nothing most of the time.
pub struct InlineStorage<D: DurableStore, R> {
    durable: Vec<StorageRequest<D::Cut>>,
    reads: Vec<StorageRequest<D::Cut>>,
    open: Option<Open<D, R>>,
}

struct Open<D: DurableStore, R> {
    store: D,
    reader: R,
    snapshots: Inbox<D::Cut>,
    reporter: Reporter<Box<dyn Fn(Completion) + Send>>,
}

impl<D: DurableStore, R> fmt::Debug for InlineStorage<D, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = self.open.is_none();
        f.debug_struct("InlineStorage").field("closed", &closed).finish_non_exhaustive()
    }
}

impl<D: DurableStore<Cut: Send + 'static>, R: LogReader> InlineStorage<D, R> {
    /// A storage over `store`, `reader` and `snapshots`, which are written as what comes with them
    /// says. Each completion is given to `complete`, by [`StoragePort::perform`] or on the thread
    /// of snapshots; it is kept there until the loop's next turn.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start<S, C>(
        store: D,
        reader: R,
        (snapshots, writing): (S, SnapshotWriting),
        complete: C,
    ) -> std::io::Result<Self>
    where
        S: SnapshotStore + Send + 'static,
        C: Fn(Completion) + Clone + Send + 'static,
    {
        let reporter = Reporter { complete, failed: Default::default() };
        let snapshots = snapshots::start(snapshots, writing, reporter.clone())?;
        let Reporter { complete, failed } = reporter;
        let complete: Box<dyn Fn(Completion) + Send> = Box::new(complete);
        let reporter = Reporter { complete, failed };
        let open = Some(Open { store, reader, snapshots, reporter });
        Ok(Self { durable: Vec::new(), reads: Vec::new(), open })
    }

    /// Performs what was taken, in order, until something breaks: nothing is performed after that.
    fn work(&mut self) {
        let Some(open) = &mut self.open else { return };
        let Open { store, reader, reporter, .. } = open;
        let (durable, reads) = (&mut self.durable, &mut self.reads);
        let complete = &reporter.complete;
        reporter.watch(|| {
            perform_grouped(store, durable, complete)?;
            reads.drain(..).for_each(|request| read_one(reader, request, complete));
            Ok(())
        });
        if reporter.has_failed() {
            (self.durable, self.reads) = (Vec::new(), Vec::new());
        }
    }
}

impl<D, R> StoragePort<D::Cut> for InlineStorage<D, R>
where
    D: DurableStore<Cut: Send + 'static>,
    R: LogReader,
{
    fn submit(&mut self, request: StorageRequest<D::Cut>) {
        let Some(open) = self.open.as_ref().filter(|open| !open.reporter.has_failed()) else {
            return;
        };
        match Place::of(&request) {
            Place::Durable => self.durable.push(request),
            Place::Reads => self.reads.push(request),
            // It is gone only when it has failed, and has said so.
            Place::Snapshots => _ = open.snapshots.put(request),
        }
    }

    fn perform(&mut self) {
        if !self.durable.is_empty() || !self.reads.is_empty() {
            self.work();
        }
    }

    fn snapshot_progress(&self) -> Option<SnapshotProgress> {
        self.open.as_ref().and_then(|open| open.snapshots.progress())
    }

    fn close(&mut self) {
        self.perform();
        // The files are closed before the last `complete` is dropped.
        if let Some(Open { store, reader, snapshots, reporter }) = mem::take(&mut self.open) {
            drop((store, reader, snapshots));
            drop(reporter);
        }
    }
}
