use core::cell::RefCell;
use std::sync::mpsc::channel;

use quorate_core::{
    BootEpoch, PeerRecord, Position, PositionRange, Snapshot, SnapshotManifest, SnapshotPoint,
    TermHistory, Vote,
};

use super::*;
use crate::frozen::Frozen;

fn operation(sequence: u64) -> OperationId {
    OperationId { boot_epoch: BootEpoch(1), sequence }
}

fn sync(sequence: u64) -> StorageRequest<Position> {
    StorageRequest::Sync { operation: operation(sequence) }
}

fn vote(sequence: u64) -> StorageRequest<Position> {
    StorageRequest::PersistVote { operation: operation(sequence), vote: Vote::default() }
}

#[derive(Default)]
struct Recorder {
    calls: Vec<&'static str>,
    fails_at: Option<usize>,
}

impl Recorder {
    fn call(&mut self, name: &'static str) -> Result<(), String> {
        if self.fails_at == Some(self.calls.len()) {
            return Err("a deliberate error".into());
        }
        self.calls.push(name);
        Ok(())
    }
}

impl DurableStore for Recorder {
    type Cut = Position;

    fn sync(&mut self) -> Result<(), String> {
        self.call("sync")
    }

    fn persist_vote(&mut self, _vote: Vote) -> Result<(), String> {
        self.call("vote")
    }

    fn persist_history(&mut self, _history: &TermHistory, _cut: Position) -> Result<(), String> {
        self.call("history")
    }

    fn persist_peers(&mut self, _peers: &[PeerRecord]) -> Result<(), String> {
        self.call("peers")
    }

    fn purge(&mut self, _origin: SnapshotPoint) -> Result<(), String> {
        self.call("purge")
    }

    fn install(&mut self, manifest: &SnapshotManifest) -> Result<(), StoreError> {
        refuse_at(manifest.point.position)?;
        self.call("install").map_err(StoreError::Broken)
    }
}

/// At 8 there is no space, at 16 all is broken.
fn refuse_at(position: Position) -> Result<(), StoreError> {
    match position.0 {
        8 => Err(StoreError::Refused("no space".into())),
        16 => Err(StoreError::Broken("it is broken".into())),
        _ => Ok(()),
    }
}

fn perform(
    store: &mut Recorder,
    batch: Vec<StorageRequest<Position>>,
) -> (Vec<u64>, Result<(), String>) {
    let (completed, mut batch) = (RefCell::new(Vec::new()), batch);
    let result = perform_grouped(store, &mut batch, |completion| match completion {
        Completion::Durable { operation } => completed.borrow_mut().push(operation.sequence),
        other => panic!("unexpected {other:?}"),
    });
    (completed.into_inner(), result)
}

#[test]
fn consecutive_syncs_are_one_and_all_complete_in_order() {
    let mut store = Recorder::default();
    let purge = StorageRequest::Purge { origin: SnapshotPoint::default() };
    let batch = vec![sync(1), sync(2), sync(3), vote(4), purge, sync(5), sync(6)];
    let (completed, result) = perform(&mut store, batch);
    assert_eq!(result, Ok(()));
    assert_eq!(completed, [1, 2, 3, 4, 5, 6]);
    assert_eq!(store.calls, ["sync", "vote", "purge", "sync"]);
}

#[test]
fn nothing_is_performed_or_completed_behind_an_error() {
    let mut store = Recorder { fails_at: Some(1), ..Recorder::default() };
    let (completed, result) = perform(&mut store, vec![vote(1), sync(2), sync(3), vote(4)]);
    assert!(result.is_err());
    assert_eq!(completed, [1]);
    assert_eq!(store.calls, ["vote"]);
}

/// Stores what the position says, and keeps parts as it.
#[derive(Default)]
struct Keeper(Vec<u8>);

impl SnapshotStore for Keeper {
    type Draft = (Position, Vec<u8>);

    fn begin(
        &mut self,
        snapshot: &Snapshot,
        service_bytes: u64,
    ) -> Result<Self::Draft, StoreError> {
        assert_eq!(service_bytes, 5);
        Ok((snapshot.point.position, Vec::new()))
    }

    fn write(&mut self, draft: &mut Self::Draft, bytes: &[u8]) -> Result<(), StoreError> {
        draft.1.extend_from_slice(bytes);
        Ok(())
    }

    fn publish(
        &mut self,
        (position, service): Self::Draft,
        pinned: Option<Position>,
    ) -> Result<(), StoreError> {
        assert_eq!((service.as_slice(), pinned), (&b"state"[..], Some(Position(3))));
        refuse_at(position)
    }

    fn keep(
        &mut self,
        manifest: &SnapshotManifest,
        start: Position,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        assert_eq!(start.0, self.0.len() as u64);
        self.0.extend_from_slice(bytes);
        refuse_at(manifest.point.position)
    }

    fn check(&mut self, manifest: &SnapshotManifest) -> Result<Vec<u8>, StoreError> {
        refuse_at(manifest.point.position)?;
        Ok(self.0.clone())
    }

    fn discard(&mut self) {
        self.0.clear();
    }

    fn discard_stored(&mut self, from: Position) -> Result<(), StoreError> {
        refuse_at(from)
    }
}

fn keeper() -> (Keeper, SnapshotWriting) {
    (Keeper::default(), SnapshotWriting::default())
}

fn snapshot(sequence: u64) -> StorageRequest<Position> {
    let point = SnapshotPoint { position: Position(sequence), ..SnapshotPoint::default() };
    let snapshot = Box::new(Snapshot { point, core: Vec::new() });
    let service = Frozen::laid_out(b"state".to_vec());
    let pinned = Some(Position(3));
    StorageRequest::StoreSnapshot { operation: operation(sequence), snapshot, service, pinned }
}

fn what_becomes_of_snapshots() -> [Completion; 3] {
    [
        Completion::SnapshotStored { operation: operation(24) },
        Completion::SnapshotFailed { operation: operation(8), reason: "no space".into() },
        Completion::Failed { reason: "it is broken".into() },
    ]
}

#[test]
fn snapshots_are_stored_refused_or_the_end() {
    let (sender, completions) = channel();
    let complete = move |completion| sender.send(completion).unwrap();
    let mut threads =
        StorageThreads::start(Recorder::default(), Echo, keeper(), complete.clone()).unwrap();
    let mut inline = InlineStorage::start(Recorder::default(), Echo, keeper(), complete).unwrap();
    for position in [24, 8, 16] {
        inline.submit(snapshot(position));
    }
    inline.perform();
    for completion in what_becomes_of_snapshots() {
        assert_eq!(completions.recv(), Ok(completion));
    }
    drop(inline);
    for position in [24, 8, 16] {
        threads.submit(snapshot(position));
    }
    drop(threads);
    assert_eq!(completions.iter().collect::<Vec<_>>(), what_becomes_of_snapshots());
}

struct Echo;

impl LogReader for Echo {
    fn read(&mut self, range: PositionRange, bytes: &mut Vec<u8>) -> Result<(), String> {
        if range.start == Position(8) {
            bytes.push(1);
            return Err("a deliberate error".into());
        }
        bytes.resize(range.len() as usize, 7);
        Ok(())
    }

    fn read_snapshot(
        &mut self,
        position: Position,
        range: PositionRange,
        bytes: &mut Vec<u8>,
    ) -> Result<SnapshotManifest, String> {
        self.read(range, bytes)?;
        Ok(manifest(position.0))
    }
}

fn manifest(position: u64) -> SnapshotManifest {
    let point = SnapshotPoint { position: Position(position), ..SnapshotPoint::default() };
    SnapshotManifest { point, core_bytes: 3, service_bytes: 4, digest: 5 }
}

/// What is asked for a snapshot that is fetched, which stands at `position`.
fn fetch(position: u64) -> [StorageRequest<Position>; 7] {
    let (operation, manifest, start) = (operation(position), manifest(position), Position(0));
    let part = |start, bytes: &[u8]| {
        let bytes = bytes.to_vec();
        StorageRequest::KeepSnapshotPart { operation, manifest, start: Position(start), bytes }
    };
    let range = PositionRange::at(start, 2);
    [
        part(0, b"nothing"),
        StorageRequest::DropSnapshot,
        part(0, b"ab"),
        part(2, b"c"),
        StorageRequest::CheckSnapshot { operation, manifest },
        StorageRequest::ReadSnapshot { operation, position: Position(position), range },
        StorageRequest::InstallSnapshot { operation, manifest },
    ]
}

#[test]
fn a_snapshot_is_fetched_and_installed_by_threads_and_inline_alike() {
    let run = |position: u64, inline: bool| {
        let (sender, completions) = channel();
        let complete = move |completion| sender.send(completion).unwrap();
        let store = Recorder::default();
        let mut storage: Box<dyn StoragePort<Position>> = match inline {
            true => Box::new(InlineStorage::start(store, Echo, keeper(), complete).unwrap()),
            false => Box::new(StorageThreads::start(store, Echo, keeper(), complete).unwrap()),
        };
        let mut requests = fetch(position).into_iter();
        storage.submit(requests.next().unwrap());
        // What still waited would not be kept any more.
        let first = completions.recv().unwrap();
        requests.for_each(|request| storage.submit(request));
        storage.close();
        drop(storage);
        [first].into_iter().chain(completions.iter()).collect::<Vec<_>>()
    };
    let count = |all: &[Completion], one: &Completion| all.iter().filter(|it| *it == one).count();
    for inline in [false, true] {
        let all = run(24, inline);
        let (id, stored) = (operation(24), Completion::SnapshotStored { operation: operation(24) });
        let read = |start: usize| Completion::SnapshotRead {
            operation: id,
            manifest: Some(manifest(24)),
            bytes: vec![7; start],
        };
        let whole = Completion::SnapshotWhole { operation: id, core: b"abc".to_vec() };
        // Three parts, and the installation.
        assert_eq!((all.len(), count(&all, &stored)), (6, 4), "{all:?}");
        assert_eq!((count(&all, &whole), count(&all, &read(2))), (1, 1), "{all:?}");
        let all = run(8, inline);
        let refused =
            Completion::SnapshotFailed { operation: operation(8), reason: "no space".into() };
        // Whatever else: nothing of it is the end.
        assert_eq!((all.len(), count(&all, &refused)), (6, 5), "{all:?}");
        let all = run(16, inline);
        let broken = Completion::Failed { reason: "it is broken".into() };
        assert_eq!(count(&all, &broken), 1, "{all:?}");
    }
    let mut reader = Echo;
    let unread = RefCell::new(Vec::new());
    let range = PositionRange::at(Position(8), 3);
    let request: StorageRequest<Position> =
        StorageRequest::ReadSnapshot { operation: operation(1), position: Position(24), range };
    read_one(&mut reader, request, |completion| unread.borrow_mut().push(completion));
    let nothing =
        Completion::SnapshotRead { operation: operation(1), manifest: None, bytes: Vec::new() };
    assert_eq!(unread.into_inner(), [nothing]);
}

#[test]
fn the_threads_perform_what_is_queued_before_they_end() {
    let (sender, completions) = channel();
    let complete = move |completion| sender.send(completion).unwrap();
    let mut threads = StorageThreads::start(Recorder::default(), Echo, keeper(), complete).unwrap();
    for sequence in 0..100 {
        threads.submit(sync(sequence));
    }
    let range = PositionRange::at(Position(16), 3);
    threads.submit(StorageRequest::Read { operation: operation(200), range });
    let range = PositionRange::at(Position(8), 3);
    threads.submit(StorageRequest::Read { operation: operation(201), range });
    drop(threads);
    let mut all: Vec<_> = completions.iter().collect();
    let reads: Vec<_> = all.extract_if(.., |one| matches!(one, Completion::Read { .. })).collect();
    assert_eq!(all.len(), 100);
    assert_eq!(reads[0], Completion::Read { operation: operation(200), bytes: vec![7; 3] });
    assert_eq!(reads[1], Completion::Read { operation: operation(201), bytes: Vec::new() });
}

#[test]
fn the_first_error_is_reported_once_and_poisons() {
    let (sender, completions) = channel();
    let store = Recorder { fails_at: Some(0), ..Recorder::default() };
    let complete = move |completion| sender.send(completion).unwrap();
    let mut threads = StorageThreads::start(store, Echo, keeper(), complete).unwrap();
    threads.submit(sync(1));
    threads.submit(sync(2));
    drop(threads);
    let all: Vec<_> = completions.iter().collect();
    assert_eq!(all, [Completion::Failed { reason: "a deliberate error".into() }]);
}

/// Stops at each call until it is told how to go on; panics when nobody is left to tell.
struct Hanging(Receiver<()>);

impl DurableStore for Hanging {
    type Cut = Position;

    fn sync(&mut self) -> Result<(), String> {
        self.0.recv().expect("a deliberate panic");
        Ok(())
    }

    fn persist_vote(&mut self, _vote: Vote) -> Result<(), String> {
        self.sync()
    }

    fn persist_history(&mut self, _history: &TermHistory, _cut: Position) -> Result<(), String> {
        self.sync()
    }

    fn persist_peers(&mut self, _peers: &[PeerRecord]) -> Result<(), String> {
        self.sync()
    }

    fn purge(&mut self, _origin: SnapshotPoint) -> Result<(), String> {
        self.sync()
    }

    fn install(&mut self, _manifest: &SnapshotManifest) -> Result<(), StoreError> {
        self.sync().map_err(StoreError::Broken)
    }
}

#[test]
fn a_disk_that_hangs_does_not_hold_up_whoever_drops_the_threads() {
    let (sender, completions) = channel();
    let (release, released) = channel();
    let complete = move |completion| sender.send(completion).unwrap();
    let mut threads = StorageThreads::start(Hanging(released), Echo, keeper(), complete).unwrap();
    threads.submit(sync(1));
    let (dropped, done) = channel();
    thread::spawn(move || {
        drop(threads);
        dropped.send(()).unwrap();
    });
    let limit = core::time::Duration::from_secs(20);
    done.recv_timeout(limit).expect("the drop does not wait for the disk");
    // What was queued is still finished.
    release.send(()).unwrap();
    let all: Vec<_> = completions.iter().collect();
    assert_eq!(all, [Completion::Durable { operation: operation(1) }]);
}

#[test]
fn closed_threads_let_go_of_everything_when_they_have_finished() {
    let (sender, completions) = channel();
    let complete = move |completion| sender.send(completion).unwrap();
    let mut threads = StorageThreads::start(Recorder::default(), Echo, keeper(), complete).unwrap();
    threads.submit(sync(1));
    threads.close();
    assert_eq!(completions.iter().count(), 1);
    threads.submit(sync(2));
}

#[test]
fn a_panic_in_a_thread_is_a_failure_and_so_is_a_queue_without_a_thread() {
    let (sender, completions) = channel();
    let (release, released) = channel::<()>();
    drop(release);
    let complete = move |completion| sender.send(completion).unwrap();
    let mut threads = StorageThreads::start(Hanging(released), Echo, keeper(), complete).unwrap();
    threads.submit(sync(1));
    let failed = completions.recv().unwrap();
    match &failed {
        Completion::Failed { reason } => {
            assert!(reason.contains("panicked: a deliberate panic"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    // It is reported once, however many requests follow.
    threads.submit(sync(2));
    threads.close();
    assert_eq!(completions.iter().count(), 0);

    let (sender, completions) = channel();
    let (durable, _) = sync_channel(1);
    let failure: Box<dyn Fn(String) + Send> = Box::new(move |reason| sender.send(reason).unwrap());
    let mut gone = StorageThreads {
        durable: Some(durable),
        reads: None,
        snapshots: None,
        failure: Some(failure),
    };
    gone.submit(sync(1));
    assert!(completions.recv().unwrap().contains("gone"));
}

#[test]
fn an_inline_storage_performs_when_it_is_told_to_and_lets_go_when_closed() {
    let (sender, completions) = channel();
    let complete = move |completion| sender.send(completion).unwrap();
    let mut inline = InlineStorage::start(Recorder::default(), Echo, keeper(), complete).unwrap();
    inline.submit(sync(1));
    let range = PositionRange::at(Position(16), 3);
    inline.submit(StorageRequest::Read { operation: operation(2), range });
    assert_eq!(completions.try_iter().count(), 0);
    inline.perform();
    let all: Vec<_> = completions.try_iter().collect();
    let read = Completion::Read { operation: operation(2), bytes: vec![7; 3] };
    assert_eq!(all, [Completion::Durable { operation: operation(1) }, read]);
    inline.submit(vote(3));
    inline.close();
    inline.submit(vote(4));
    assert_eq!(completions.iter().count(), 1, "what was taken is finished, then nothing is held");
}

#[test]
fn an_inline_storage_that_fails_or_panics_says_so_once_and_does_nothing_more() {
    let (release, released) = channel::<()>();
    drop(release);
    let (sender, completions) = channel();
    let complete = move |completion| sender.send(completion).unwrap();
    let store = Recorder { fails_at: Some(1), ..Recorder::default() };
    let mut inline = InlineStorage::start(store, Echo, keeper(), complete.clone()).unwrap();
    for request in [vote(1), sync(2), vote(3)] {
        inline.submit(request);
    }
    inline.perform();
    inline.submit(sync(4));
    inline.perform();
    let failed = Completion::Failed { reason: "a deliberate error".into() };
    let all: Vec<_> = completions.try_iter().collect();
    assert_eq!(all, [Completion::Durable { operation: operation(1) }, failed]);
    let mut inline = InlineStorage::start(Hanging(released), Echo, keeper(), complete).unwrap();
    inline.submit(sync(1));
    inline.perform();
    assert!(matches!(completions.try_recv(), Ok(Completion::Failed { .. })));
}
