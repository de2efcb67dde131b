//! The storage without threads: performed by the loop itself.

use core::fmt;
use core::mem;

use super::{Completion, Reporter, perform_grouped, read_one};
use crate::port::{DurableStore, LogReader, StoragePort, StorageRequest};

/// Performs requests on the loop's thread, when the loop has sent what it had to send; syncs that
/// came together are one. For disks that answer at once, such as a file system in memory, and for
/// members that are to have one thread only: while the disk works, the member does nothing else.
pub struct InlineStorage<D: DurableStore, R> {
    durable: Vec<StorageRequest<D::Cut>>,
    reads: Vec<StorageRequest<D::Cut>>,
    open: Option<Open<D, R>>,
}

struct Open<D, R> {
    store: D,
    reader: R,
    reporter: Reporter<Box<dyn Fn(Completion) + Send>>,
}

impl<D: DurableStore, R> fmt::Debug for InlineStorage<D, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = self.open.is_none();
        f.debug_struct("InlineStorage").field("closed", &closed).finish_non_exhaustive()
    }
}

impl<D: DurableStore, R: LogReader> InlineStorage<D, R> {
    /// A storage over `store` and `reader`. Each completion is given to `complete`, by
    /// [`StoragePort::perform`]; it is kept there until the loop's next turn.
    #[must_use]
    pub fn new(store: D, reader: R, complete: impl Fn(Completion) + Send + 'static) -> Self {
        let complete: Box<dyn Fn(Completion) + Send> = Box::new(complete);
        let reporter = Reporter { complete, failed: Default::default() };
        let open = Some(Open { store, reader, reporter });
        Self { durable: Vec::new(), reads: Vec::new(), open }
    }

    /// Performs what was taken, in order, until something breaks: nothing is performed after that.
    fn work(&mut self) {
        let Some(open) = &mut self.open else { return };
        let Open { store, reader, reporter } = open;
        let (durable, reads) = (&mut self.durable, &mut self.reads);
        let complete = &reporter.complete;
        reporter.watch(|| {
            perform_grouped(store, durable, complete)?;
            for request in reads.drain(..) {
                read_one(reader, request, complete);
            }
            Ok(())
        });
        if reporter.has_failed() {
            (self.durable, self.reads) = (Vec::new(), Vec::new());
        }
    }
}

impl<D: DurableStore, R: LogReader> StoragePort<D::Cut> for InlineStorage<D, R> {
    fn submit(&mut self, request: StorageRequest<D::Cut>) {
        let usable = self.open.as_ref().is_some_and(|open| !open.reporter.has_failed());
        if usable {
            let read = matches!(request, StorageRequest::Read { .. });
            if read { &mut self.reads } else { &mut self.durable }.push(request);
        }
    }

    fn perform(&mut self) {
        if !self.durable.is_empty() || !self.reads.is_empty() {
            self.work();
        }
    }

    fn close(&mut self) {
        self.perform();
        // The files are closed before the last `complete` is dropped.
        if let Some(Open { store, reader, reporter }) = mem::take(&mut self.open) {
            drop((store, reader));
            drop(reporter);
        }
    }
}
