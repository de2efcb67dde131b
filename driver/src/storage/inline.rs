//! The storage without threads: performed by the loop itself.

use core::fmt;
use core::mem;

use super::{Completion, Place, Reporter, perform_grouped, read_one, store_one};
use crate::port::{DurableStore, LogReader, SnapshotStore, StoragePort, StorageRequest};

/// Performs requests on the loop's thread, when the loop has sent what it had to send; syncs that
/// came together are one. For disks that answer at once, such as a file system in memory, and for
/// members that are to have one thread only: while the disk works, the member does nothing else.
pub struct InlineStorage<D: DurableStore, R, S> {
    durable: Vec<StorageRequest<D::Cut>>,
    /// Reads and snapshots.
    others: Vec<StorageRequest<D::Cut>>,
    open: Option<Open<D, R, S>>,
}

struct Open<D, R, S> {
    store: D,
    reader: R,
    snapshots: S,
    reporter: Reporter<Box<dyn Fn(Completion) + Send>>,
}

impl<D: DurableStore, R, S> fmt::Debug for InlineStorage<D, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = self.open.is_none();
        f.debug_struct("InlineStorage").field("closed", &closed).finish_non_exhaustive()
    }
}

impl<D: DurableStore, R: LogReader, S: SnapshotStore> InlineStorage<D, R, S> {
    /// A storage over `store`, `reader` and `snapshots`. Each completion is given to `complete`, by
    /// [`StoragePort::perform`]; it is kept there until the loop's next turn.
    #[must_use]
    pub fn new(
        store: D,
        reader: R,
        snapshots: S,
        complete: impl Fn(Completion) + Send + 'static,
    ) -> Self {
        let complete: Box<dyn Fn(Completion) + Send> = Box::new(complete);
        let reporter = Reporter { complete, failed: Default::default() };
        let open = Some(Open { store, reader, snapshots, reporter });
        Self { durable: Vec::new(), others: Vec::new(), open }
    }

    /// Performs what was taken, in order, until something breaks: nothing is performed after that.
    fn work(&mut self) {
        let Some(open) = &mut self.open else { return };
        let Open { store, reader, snapshots, reporter } = open;
        let (durable, others) = (&mut self.durable, &mut self.others);
        let complete = &reporter.complete;
        reporter.watch(|| {
            perform_grouped(store, durable, complete)?;
            others.drain(..).try_for_each(|request| match Place::of(&request) {
                Place::Snapshots => store_one(snapshots, request, complete),
                _ => {
                    read_one(reader, request, complete);
                    Ok(())
                }
            })
        });
        if reporter.has_failed() {
            (self.durable, self.others) = (Vec::new(), Vec::new());
        }
    }
}

impl<D, R, S> StoragePort<D::Cut> for InlineStorage<D, R, S>
where
    D: DurableStore,
    R: LogReader,
    S: SnapshotStore,
{
    fn submit(&mut self, request: StorageRequest<D::Cut>) {
        let usable = self.open.as_ref().is_some_and(|open| !open.reporter.has_failed());
        if usable {
            match Place::of(&request) {
                Place::Durable => self.durable.push(request),
                Place::Reads | Place::Snapshots => self.others.push(request),
            }
        }
    }

    fn perform(&mut self) {
        if !self.durable.is_empty() || !self.others.is_empty() {
            self.work();
        }
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
