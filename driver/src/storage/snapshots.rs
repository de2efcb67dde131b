//! The thread that stores snapshots: this member's own in steps, at a limited rate, and what is
//! fetched of others' between those.

use core::time::Duration;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Instant;

use quorate_core::{OperationId, Position, Snapshot, SnapshotManifest};

use super::inbox::{Inbox, Requests, inbox};
use super::{Completion, Reporter, outcome, stored};
use crate::frozen::Frozen;
use crate::port::{SnapshotStore, StorageRequest, StoreError};

/// Steps in a second: short ones between pauses, so that nothing waits behind a long one.
const STEPS_PER_SECOND: u64 = 128;
/// Bytes of a step, at least and at most; the last part of each may reach beyond.
const STEP_BYTES_MIN: u64 = 64 << 10;
const STEP_BYTES_MAX: u64 = 1 << 20;

/// How the member's own snapshots are written while it goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SnapshotWriting {
    /// So many bytes of the service's state in a second, at most; 0 for as many as the disk takes.
    /// Less than [`SnapshotWriting::BYTES_PER_SECOND_MIN`] is taken for that.
    pub bytes_per_second: u64,
}

impl SnapshotWriting {
    /// The lowest rate that there is, but for 0: a step in a second. A GiB takes four and a half
    /// hours so. With less, a snapshot would hardly ever end: its state would stay in memory, the
    /// log would grow, and every later marker would be skipped.
    pub const BYTES_PER_SECOND_MIN: u64 = STEP_BYTES_MIN;

    /// Whether a snapshot that is written so ends some day.
    pub(crate) const fn ends(self) -> bool {
        self.bytes_per_second == 0 || self.bytes_per_second >= Self::BYTES_PER_SECOND_MIN
    }
}

impl Default for SnapshotWriting {
    /// 32 MiB in a second: half a minute for a GiB.
    fn default() -> Self {
        Self { bytes_per_second: 32 << 20 }
    }
}

/// A snapshot of this member's own that is being stored. Until it is, the service's clone stays:
/// what changes meanwhile is in memory twice, up to the bytes that are not written yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SnapshotProgress {
    /// Where it stands.
    pub position: Position,
    /// Bytes of the service's state, as the service said.
    pub bytes: u64,
    /// Bytes of them that are written.
    pub written: u64,
    /// When it was begun.
    pub begun: Instant,
}

/// Starts the thread, which ends when what is returned is dropped: what it is storing is given up
/// then.
pub(super) fn start<T, S, C>(
    store: S,
    writing: SnapshotWriting,
    reporter: Reporter<C>,
) -> std::io::Result<Inbox<T>>
where
    T: Send + 'static,
    S: SnapshotStore + Send + 'static,
    C: Fn(Completion) + Clone + Send + 'static,
{
    run(move || Writer::new(store, writing), reporter)
}

fn run<T, S, C>(
    make: impl FnOnce() -> Writer<S> + Send + 'static,
    reporter: Reporter<C>,
) -> std::io::Result<Inbox<T>>
where
    T: Send + 'static,
    S: SnapshotStore + 'static,
    C: Fn(Completion) + Clone + Send + 'static,
{
    let (snapshots, requests) = inbox(reporter.complete.clone());
    thread::Builder::new().name("quorate-snapshots".into()).spawn(move || {
        let mut writer = make();
        reporter.watch(|| work(&mut writer, &requests, &reporter.complete));
        // What it was storing is gone before the last `complete` is.
        drop((writer, requests));
    })?;
    Ok(snapshots)
}

/// Performs what is asked for, in order, and writes between the requests what there is to write.
fn work<T, S: SnapshotStore>(
    writer: &mut Writer<S>,
    requests: &Requests<T>,
    complete: impl Fn(Completion),
) -> Result<(), String> {
    let mut due: Option<Instant> = None;
    loop {
        let next = requests.next(due);
        let begin = Instant::now();
        let pause = match next {
            Ok(StorageRequest::StoreSnapshot { operation, snapshot, service, pinned }) => {
                writer.begin(operation, &snapshot, service, pinned, &complete)?
            }
            Ok(request) => {
                writer.serve(request, &complete)?;
                requests.set_progress(writer.progress());
                continue;
            }
            Err(RecvTimeoutError::Timeout) => writer.step(&complete)?,
            // The member stops or has failed: nothing of a snapshot in the making is left.
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        requests.set_progress(writer.progress());
        due = pause.map(|pause| begin + pause);
    }
}

/// Stores snapshots step by step.
pub(super) struct Writer<S: SnapshotStore> {
    store: S,
    bytes_per_second: u64,
    step_bytes: u64,
    under_way: Option<UnderWay<S::Draft>>,
    /// Where a fetched one stands that was found whole: nothing before it is begun any more.
    fetched: Option<Position>,
}

struct UnderWay<D> {
    operation: OperationId,
    progress: SnapshotProgress,
    service: Frozen,
    pinned: Option<Position>,
    draft: D,
}

/// What a step came to.
enum Stepped {
    /// So many bytes were written, and more are to come.
    Bytes(u64),
    /// That was the last one.
    Whole,
}

impl<S: SnapshotStore> Writer<S> {
    pub(super) fn new(store: S, writing: SnapshotWriting) -> Self {
        let SnapshotWriting { bytes_per_second } = writing;
        let bytes_per_second = match writing.ends() {
            true => bytes_per_second,
            false => SnapshotWriting::BYTES_PER_SECOND_MIN,
        };
        let step_bytes = match bytes_per_second {
            0 => STEP_BYTES_MAX,
            rate => (rate / STEPS_PER_SECOND).clamp(STEP_BYTES_MIN, STEP_BYTES_MAX),
        };
        Self { store, bytes_per_second, step_bytes, under_way: None, fetched: None }
    }

    /// What is being stored.
    fn progress(&self) -> Option<SnapshotProgress> {
        self.under_way.as_ref().map(|under_way| under_way.progress)
    }

    /// Begins to store a snapshot, and writes the first step of it: a small one is stored then.
    /// Returns how long after the begin of this step the next is due, if there is one.
    ///
    /// # Errors
    /// What broke for good.
    fn begin(
        &mut self,
        operation: OperationId,
        snapshot: &Snapshot,
        service: Frozen,
        pinned: Option<Position>,
        complete: impl Fn(Completion),
    ) -> Result<Option<Duration>, String> {
        // The core stores one at a time. Should it not, none is lost.
        while self.under_way.is_some() {
            self.step(&complete)?;
        }
        let (position, bytes) = (snapshot.point.position, service.bytes());
        if let Some(fetched) = self.fetched.filter(|fetched| position < *fetched) {
            complete(gave_way(operation, position, fetched));
            return Ok(None);
        }
        match self.store.begin(snapshot, bytes) {
            Ok(draft) => {
                let begun = Instant::now();
                let progress = SnapshotProgress { position, bytes, written: 0, begun };
                self.under_way = Some(UnderWay { operation, progress, service, pinned, draft });
                self.step(complete)
            }
            Err(error) => {
                complete(outcome(operation, Err(error), |()| stored(operation))?);
                Ok(None)
            }
        }
    }

    /// Writes one step of what is under way, as [`Writer::begin`].
    ///
    /// # Errors
    /// What broke for good.
    fn step(&mut self, complete: impl Fn(Completion)) -> Result<Option<Duration>, String> {
        let Some(mut under_way) = self.under_way.take() else { return Ok(None) };
        let result = match write(&mut self.store, &mut under_way, self.step_bytes) {
            Ok(Stepped::Bytes(bytes)) => {
                self.under_way = Some(under_way);
                return Ok(Some(self.pause_behind(bytes)));
            }
            Ok(Stepped::Whole) => self.store.publish(under_way.draft, under_way.pinned),
            Err(error) => Err(error),
        };
        let operation = under_way.operation;
        complete(outcome(operation, result, |()| stored(operation))?);
        Ok(None)
    }

    /// How long so many bytes are to take.
    fn pause_behind(&self, bytes: u64) -> Duration {
        let nanos = match self.bytes_per_second {
            0 => 0,
            rate => u128::from(bytes) * 1_000_000_000 / u128::from(rate),
        };
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Performs what is asked for another member's snapshot; any other request is nothing to it.
    ///
    /// # Errors
    /// What broke for good.
    fn serve<T>(
        &mut self,
        request: StorageRequest<T>,
        complete: impl Fn(Completion),
    ) -> Result<(), String> {
        match request {
            StorageRequest::KeepSnapshotPart { operation, manifest, start, bytes } => {
                self.fetched = None;
                let kept = self.store.keep(&manifest, start, &bytes);
                complete(outcome(operation, kept, |()| stored(operation))?);
            }
            StorageRequest::CheckSnapshot { operation, manifest } => {
                let checked = self.store.check(&manifest);
                if checked.is_ok() {
                    self.fetched = Some(manifest.point.position);
                    self.give_way(&manifest, &complete);
                }
                let whole = |core| Completion::SnapshotWhole { operation, core };
                complete(outcome(operation, checked, whole)?);
            }
            StorageRequest::DropSnapshot => {
                self.fetched = None;
                self.store.discard();
            }
            StorageRequest::DiscardSnapshots { from } => {
                self.under_way = None;
                match self.store.discard_stored(from) {
                    Ok(()) => tracing::warn!(%from, "the snapshots from here on are discarded"),
                    // The next life is told again that it deviates.
                    Err(StoreError::Refused(reason) | StoreError::Broken(reason)) => {
                        tracing::warn!(%from, reason, "snapshots that deviate are still there");
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What was fetched is whole, and about to be installed: that waits for nothing that stands
    /// before it. It is only lost if the core does not take the other one; there will be a next.
    fn give_way(&mut self, manifest: &SnapshotManifest, complete: impl Fn(Completion)) {
        let fetched = manifest.point.position;
        let is_before = |own: &mut UnderWay<_>| own.progress.position < fetched;
        let Some(own) = self.under_way.take_if(is_before) else { return };
        let (operation, at) = (own.operation, own.progress.position);
        drop(own);
        complete(gave_way(operation, at, fetched));
    }
}

fn gave_way(operation: OperationId, at: Position, fetched: Position) -> Completion {
    let reason = format!(
        "the one at {at} is given up, for one of another member at {fetched} that can be installed"
    );
    Completion::SnapshotFailed { operation, reason }
}

/// Writes parts until they are a step, or there are no more.
fn write<S: SnapshotStore>(
    store: &mut S,
    under_way: &mut UnderWay<S::Draft>,
    step_bytes: u64,
) -> Result<Stepped, StoreError> {
    let UnderWay { service, draft, progress, .. } = under_way;
    let mut taken = 0;
    while taken < step_bytes {
        let mut result = Ok(());
        let there_was = service.next_part(|part| {
            let bytes = part.len() as u64;
            // One that is empty took its time, too: a step ends, whatever the parts are.
            taken += bytes.max(1);
            progress.written += bytes;
            result = store.write(draft, part);
        });
        result?;
        if !there_was.map_err(|error| StoreError::Refused(error.to_string()))? {
            return Ok(Stepped::Whole);
        }
    }
    Ok(Stepped::Bytes(taken))
}

#[cfg(test)]
mod tests;
