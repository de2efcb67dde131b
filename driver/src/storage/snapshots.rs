//! The thread that stores snapshots: this member's own in steps, at a limited rate, and what is
//! fetched of others' between those.

use core::time::Duration;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use quorate_core::{OperationId, Position, Snapshot};

use super::{Completion, Reporter, outcome, store_one, stored};
use crate::frozen::Frozen;
use crate::port::{SnapshotStore, StorageRequest, StoreError};

/// Requests queued for the thread, at most: the core has one snapshot under way that it stores and
/// one that it fetches, and may drop the latter.
const QUEUE_MAX: usize = 4;
/// Steps in a second: short ones between pauses, so that nothing waits behind a long one.
const STEPS_PER_SECOND: u64 = 128;
/// Bytes of a step, at least and at most; the last part of each may reach beyond.
const STEP_BYTES_MIN: u64 = 64 << 10;
const STEP_BYTES_MAX: u64 = 1 << 20;
/// How the member's own snapshots are written while it goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SnapshotWriting {
    /// So many bytes of the service's state in a second, at most; 0 for as many as the disk takes.
    pub bytes_per_second: u64,
}

impl Default for SnapshotWriting {
    /// 32 MiB in a second: half a minute for a GiB.
    fn default() -> Self {
        Self { bytes_per_second: 32 << 20 }
    }
}

/// Starts the thread, which ends when the sender is dropped: what it is storing is given up then.
pub(super) fn start<T, S, C>(
    store: S,
    writing: SnapshotWriting,
    reporter: Reporter<C>,
) -> std::io::Result<SyncSender<StorageRequest<T>>>
where
    T: Send + 'static,
    S: SnapshotStore + Send + 'static,
    C: Fn(Completion) + Send + 'static,
{
    let (snapshots, queue) = sync_channel(QUEUE_MAX);
    thread::Builder::new().name("quorate-snapshots".into()).spawn(move || {
        let mut writer = Writer::new(store, writing);
        reporter.watch(|| work(&mut writer, &queue, &reporter.complete));
        // What it was storing is gone before the last `complete` is.
        drop((writer, queue));
    })?;
    Ok(snapshots)
}

/// Performs what is queued, in order, and writes between the requests what there is to write.
fn work<T, S: SnapshotStore>(
    writer: &mut Writer<S>,
    queue: &Receiver<StorageRequest<T>>,
    complete: impl Fn(Completion),
) -> Result<(), String> {
    let mut due: Option<Instant> = None;
    loop {
        let next = match due {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => queue.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        let begin = Instant::now();
        let pause = match next {
            Ok(StorageRequest::StoreSnapshot { operation, snapshot, service, pinned }) => {
                writer.begin(operation, &snapshot, service, pinned, &complete)?
            }
            Ok(request) => {
                store_one(&mut writer.store, request, &complete)?;
                continue;
            }
            Err(RecvTimeoutError::Timeout) => writer.step(&complete)?,
            // The member stops or has failed: nothing of a snapshot in the making is left.
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        due = pause.map(|pause| begin + pause);
    }
}

/// Stores snapshots step by step.
pub(super) struct Writer<S: SnapshotStore> {
    store: S,
    bytes_per_second: u64,
    step_bytes: u64,
    under_way: Option<UnderWay<S::Draft>>,
}

struct UnderWay<D> {
    operation: OperationId,
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
        let step_bytes = match bytes_per_second {
            0 => STEP_BYTES_MAX,
            rate => (rate / STEPS_PER_SECOND).clamp(STEP_BYTES_MIN, STEP_BYTES_MAX),
        };
        Self { store, bytes_per_second, step_bytes, under_way: None }
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
        match self.store.begin(snapshot, service.bytes()) {
            Ok(draft) => {
                self.under_way = Some(UnderWay { operation, service, pinned, draft });
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
}

/// Writes parts until they are a step, or there are no more.
fn write<S: SnapshotStore>(
    store: &mut S,
    under_way: &mut UnderWay<S::Draft>,
    step_bytes: u64,
) -> Result<Stepped, StoreError> {
    let UnderWay { service, draft, .. } = under_way;
    let mut bytes = 0;
    while bytes < step_bytes {
        let mut written = Ok(());
        let there_was = service.next_part(|part| {
            bytes += part.len() as u64;
            written = store.write(draft, part);
        });
        written?;
        if !there_was.map_err(|error| StoreError::Refused(error.to_string()))? {
            return Ok(Stepped::Whole);
        }
    }
    Ok(Stepped::Bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use quorate_core::{BootEpoch, SnapshotManifest, SnapshotPoint};

    use super::*;

    const STATE_BYTES: usize = 300_000;

    /// Tells what becomes of each snapshot.
    struct Store(Sender<String>);

    /// Tells how much of it was written when it is dropped.
    struct Draft(Sender<String>, Vec<u8>);

    impl Drop for Draft {
        fn drop(&mut self) {
            self.0.send(format!("{} bytes dropped", self.1.len())).unwrap();
        }
    }

    impl SnapshotStore for Store {
        type Draft = Draft;

        fn begin(&mut self, _snapshot: &Snapshot, bytes: u64) -> Result<Draft, StoreError> {
            self.0.send(format!("{bytes} bytes begun")).unwrap();
            Ok(Draft(self.0.clone(), Vec::new()))
        }

        fn write(&mut self, draft: &mut Draft, bytes: &[u8]) -> Result<(), StoreError> {
            draft.1.extend_from_slice(bytes);
            Ok(())
        }

        fn publish(&mut self, draft: Draft, _pinned: Option<Position>) -> Result<(), StoreError> {
            assert_eq!(draft.1, state());
            self.0.send("published".into()).unwrap();
            Ok(())
        }

        fn keep(
            &mut self,
            _manifest: &SnapshotManifest,
            _start: Position,
            _bytes: &[u8],
        ) -> Result<(), StoreError> {
            Ok(())
        }

        fn check(&mut self, _manifest: &SnapshotManifest) -> Result<Vec<u8>, StoreError> {
            Ok(Vec::new())
        }

        fn discard(&mut self) {}
    }

    fn state() -> Vec<u8> {
        (0..STATE_BYTES).map(|at| (at / 3) as u8).collect()
    }

    fn operation(sequence: u64) -> OperationId {
        OperationId { boot_epoch: BootEpoch(1), sequence }
    }

    fn snapshot() -> Snapshot {
        Snapshot { point: SnapshotPoint::default(), core: Vec::new() }
    }

    fn slow() -> SnapshotWriting {
        SnapshotWriting { bytes_per_second: 1_000 }
    }

    #[test]
    fn a_state_is_written_in_steps_as_far_apart_as_the_rate_says() {
        let (told, tale) = channel();
        let (put, completions) = channel();
        let complete = |completion| put.send(completion).unwrap();
        let mut writer = Writer::new(Store(told), slow());
        let frozen = Frozen::laid_out(state());
        let mut pause = writer.begin(operation(1), &snapshot(), frozen, None, complete).unwrap();
        let mut pauses = Vec::new();
        while let Some(now) = pause {
            assert_eq!(tale.try_iter().filter(|it| it == "published").count(), 0);
            pauses.push(now.as_millis());
            pause = writer.step(complete).unwrap();
        }
        // 65,536 bytes at a time, and 1,000 in a second.
        assert_eq!(pauses, [65_536; 4]);
        assert_eq!(tale.try_iter().collect::<Vec<_>>(), ["published", "300000 bytes dropped"]);
        let stored = Completion::SnapshotStored { operation: operation(1) };
        assert_eq!(completions.try_iter().collect::<Vec<_>>(), [stored]);
        // Without a limit there are no pauses.
        let mut writer = Writer::new(Store(channel().0), SnapshotWriting { bytes_per_second: 0 });
        assert_eq!(writer.pause_behind(1 << 40), Duration::ZERO);
        assert_eq!(writer.step(complete).unwrap(), None, "there is nothing to write");
    }

    #[test]
    fn a_state_that_is_not_what_was_said_is_not_stored_and_the_next_one_is() {
        let (told, tale) = channel();
        let (put, completions) = channel();
        let complete = |completion| put.send(completion).unwrap();
        let mut writer = Writer::new(Store(told), SnapshotWriting::default());
        let panics = (0..9).map(|at| if at < 8 { vec![0; 9] } else { panic!("deliberate") });
        for (sequence, frozen) in [
            (1, Frozen::new(10, vec![[0; 9]])),
            (2, Frozen::new(81, panics)),
            (3, Frozen::laid_out(state())),
        ] {
            let pause = writer.begin(operation(sequence), &snapshot(), frozen, None, complete);
            assert!(matches!(pause, Ok(None | Some(_))));
        }
        while writer.step(complete).unwrap().is_some() {}
        let all: Vec<Completion> = completions.try_iter().collect();
        let failed = |at: usize, sequence, why: &str| match &all[at] {
            Completion::SnapshotFailed { operation: id, reason } => {
                *id == operation(sequence) && reason.contains(why)
            }
            _ => false,
        };
        assert!(failed(0, 1, "gave 9") && failed(1, 2, "panicked: deliberate"), "{all:?}");
        assert_eq!(all[2..], [Completion::SnapshotStored { operation: operation(3) }]);
        let dropped = tale.try_iter().filter(|it| it.ends_with("dropped")).collect::<Vec<_>>();
        assert_eq!(dropped, ["9 bytes dropped", "72 bytes dropped", "300000 bytes dropped"]);
    }

    #[test]
    fn others_are_served_between_the_steps_and_a_stop_leaves_nothing() {
        let (told, tale) = channel();
        let (put, completions) = channel();
        let complete = move |completion| put.send(completion).unwrap();
        let reporter = Reporter { complete, failed: Default::default() };
        let queue = start::<Position, _, _>(Store(told), slow(), reporter).unwrap();
        let service = Frozen::laid_out(state());
        let (stored, kept, pinned) = (operation(1), operation(2), None);
        let snapshot = Box::new(snapshot());
        let operation = stored;
        let request = StorageRequest::StoreSnapshot { operation, snapshot, service, pinned };
        queue.send(request).unwrap();
        assert_eq!(tale.recv().unwrap(), "300000 bytes begun");
        // The next step is due in a minute. What is fetched does not wait for that, nor a stop.
        let (manifest, bytes) = (SnapshotManifest::default(), vec![1]);
        let (operation, start) = (kept, Position(0));
        let request = StorageRequest::KeepSnapshotPart { operation, manifest, start, bytes };
        queue.send(request).unwrap();
        assert_eq!(completions.recv(), Ok(Completion::SnapshotStored { operation }));
        drop(queue);
        assert_eq!(tale.iter().collect::<Vec<_>>(), ["65536 bytes dropped"]);
        assert_eq!(completions.iter().count(), 0, "nobody is told: the member has stopped");
    }
}
