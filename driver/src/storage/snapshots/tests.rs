use std::sync::mpsc::{Sender, channel};

use quorate_core::{BootEpoch, SnapshotPoint};

use super::*;

const STATE_BYTES: usize = 300_000;

/// Parts whose end panics.
struct Bomb(Vec<Vec<u8>>);

impl Iterator for Bomb {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.0.pop()
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("at the end");
    }
}

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

    /// Whole is what stands at an even position.
    fn check(&mut self, manifest: &SnapshotManifest) -> Result<Vec<u8>, StoreError> {
        match manifest.point.position.0.is_multiple_of(2) {
            true => Ok(Vec::new()),
            false => Err(StoreError::Refused("it is another one".into())),
        }
    }

    fn discard(&mut self) {}

    /// What is at an odd position cannot be removed.
    fn discard_stored(&mut self, from: Position) -> Result<(), StoreError> {
        self.0.send(format!("discarded from {from} on")).unwrap();
        match from.0.is_multiple_of(2) {
            true => Ok(()),
            false => Err(StoreError::Broken("the disk".into())),
        }
    }
}

fn state() -> Vec<u8> {
    (0..STATE_BYTES).map(|at| (at / 3) as u8).collect()
}

fn operation(sequence: u64) -> OperationId {
    OperationId { boot_epoch: BootEpoch(1), sequence }
}

/// Stands at 100.
fn snapshot() -> Snapshot {
    let point = SnapshotPoint { position: Position(100), ..SnapshotPoint::default() };
    Snapshot { point, core: Vec::new() }
}

/// Writes 1,000 bytes in a second, which is less than a member may be told to.
fn slow(store: Store) -> Writer<Store> {
    let writing = SnapshotWriting { bytes_per_second: SnapshotWriting::BYTES_PER_SECOND_MIN };
    Writer { bytes_per_second: 1_000, ..Writer::new(store, writing) }
}

#[test]
fn a_state_is_written_in_steps_as_far_apart_as_the_rate_says() {
    let (told, tale) = channel();
    let (put, completions) = channel();
    let complete = |completion| put.send(completion).unwrap();
    let mut writer = slow(Store(told));
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
    let endless = core::iter::once(vec![0; 9]).chain(core::iter::repeat(Vec::new()));
    for (sequence, frozen) in [
        (1, Frozen::new(10, vec![[0; 9]])),
        (2, Frozen::new(81, panics)),
        (3, Frozen::new(9, Bomb(vec![vec![0; 9]]))),
        (4, Frozen::new(10, endless)),
        (5, Frozen::laid_out(state())),
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
    assert!(failed(2, 3, "panicked: at the end") && failed(3, 4, "empty parts"), "{all:?}");
    assert_eq!(all[4..], [Completion::SnapshotStored { operation: operation(5) }]);
    let dropped = tale.try_iter().filter(|it| it.ends_with("dropped")).collect::<Vec<_>>();
    let bytes = ["9", "72", "9", "9", "300000"].map(|bytes| format!("{bytes} bytes dropped"));
    assert_eq!(dropped, bytes);
}

#[test]
fn others_are_served_between_the_steps_and_a_stop_leaves_nothing() {
    let (told, tale) = channel();
    let (put, completions) = channel();
    let complete = move |completion| put.send(completion).unwrap();
    let reporter = Reporter { complete, failed: Default::default() };
    let queue = run::<Position, _, _>(|| slow(Store(told)), reporter).unwrap();
    let service = Frozen::laid_out(state());
    let (stored, kept, pinned) = (operation(1), operation(2), None);
    let snapshot = Box::new(snapshot());
    let operation = stored;
    let request = StorageRequest::StoreSnapshot { operation, snapshot, service, pinned };
    assert!(queue.put(request));
    assert_eq!(tale.recv().unwrap(), "300000 bytes begun");
    // The next step is due in a minute. What is fetched does not wait for that, nor a stop.
    let (manifest, bytes) = (SnapshotManifest::default(), vec![1]);
    let (operation, start) = (kept, Position(0));
    let request = StorageRequest::KeepSnapshotPart { operation, manifest, start, bytes };
    assert!(queue.put(request));
    assert_eq!(completions.recv(), Ok(Completion::SnapshotStored { operation }));
    drop(queue);
    assert_eq!(tale.iter().collect::<Vec<_>>(), ["65536 bytes dropped"]);
    assert_eq!(completions.iter().count(), 0, "nobody is told: the member has stopped");
}

#[test]
fn a_state_that_cannot_be_dropped_ends_nothing_when_it_is_given_up() {
    let (told, tale) = channel();
    let (put, completions) = channel();
    let complete = move |completion| put.send(completion).unwrap();
    let reporter = Reporter { complete, failed: Default::default() };
    let queue = run::<Position, _, _>(|| slow(Store(told)), reporter).unwrap();
    let service = Frozen::new(200_000, Bomb(vec![vec![1; 100_000]; 2]));
    let (operation, snapshot) = (operation(1), Box::new(snapshot()));
    let pinned = None;
    let request = StorageRequest::StoreSnapshot { operation, snapshot, service, pinned };
    assert!(queue.put(request));
    let point = SnapshotPoint { position: Position(102), ..SnapshotPoint::default() };
    let manifest = SnapshotManifest { point, ..SnapshotManifest::default() };
    assert!(queue.put(StorageRequest::CheckSnapshot { operation, manifest }));
    drop(queue);
    let told: Vec<_> = completions.iter().collect();
    let whole = Completion::SnapshotWhole { operation, core: Vec::new() };
    assert!(matches!(&told[..], [Completion::SnapshotFailed { .. }, last] if *last == whole));
    assert_eq!(tale.iter().collect::<Vec<_>>(), ["200000 bytes begun", "100000 bytes dropped"]);
}

#[test]
fn what_was_fetched_waits_for_no_snapshot_that_stands_before_it() {
    let (told, tale) = channel();
    let (put, completions) = channel();
    let complete = |completion| put.send(completion).unwrap();
    let mut writer = slow(Store(told));
    let frozen = Frozen::laid_out(state());
    writer.begin(operation(1), &snapshot(), frozen, None, complete).unwrap();
    let mut check = |position| {
        let point = SnapshotPoint { position: Position(position), ..SnapshotPoint::default() };
        let manifest = SnapshotManifest { point, ..SnapshotManifest::default() };
        let request: StorageRequest<Position> =
            StorageRequest::CheckSnapshot { operation: operation(position), manifest };
        writer.serve(request, complete).unwrap();
        (completions.try_iter().collect::<Vec<_>>(), writer.progress().is_some())
    };
    let whole =
        |position| Completion::SnapshotWhole { operation: operation(position), core: Vec::new() };
    // The own one is newer, or as new; and what is not whole is not going to be installed.
    assert_eq!(check(98), (vec![whole(98)], true));
    assert_eq!(check(100), (vec![whole(100)], true));
    let (refused, goes_on) = check(101);
    assert!(matches!(refused[..], [Completion::SnapshotFailed { .. }]) && goes_on, "{refused:?}");
    let (told, goes_on) = check(102);
    let [Completion::SnapshotFailed { operation: own, reason }, last] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(reason.contains("the one at 100 is given up"), "{reason}");
    assert_eq!((*own, last, goes_on), (operation(1), &whole(102), false));
    assert_eq!(tale.try_iter().last().as_deref(), Some("65536 bytes dropped"));
    assert_eq!(writer.step(complete).unwrap(), None, "there is nothing to write any more");
    // Nor for one that is asked for behind that, before it is installed or forgotten.
    let late = || Frozen::laid_out(state());
    assert_eq!(writer.begin(operation(2), &snapshot(), late(), None, complete), Ok(None));
    let told: Vec<_> = completions.try_iter().collect();
    assert!(matches!(told[..], [Completion::SnapshotFailed { .. }]), "{told:?}");
    writer.serve(StorageRequest::<Position>::DropSnapshot, complete).unwrap();
    assert!(writer.begin(operation(3), &snapshot(), late(), None, complete).unwrap().is_some());
    assert!(writer.progress().is_some() && completions.try_iter().next().is_none());
}

#[test]
fn it_is_told_how_far_a_snapshot_is_and_since_when_it_is_written() {
    let (told, tale) = channel();
    let (put, completions) = channel();
    let complete = move |completion| put.send(completion).unwrap();
    let reporter = Reporter { complete, failed: Default::default() };
    let before = Instant::now();
    let queue = run::<Position, _, _>(|| slow(Store(told)), reporter).unwrap();
    let (service, snapshot) = (Frozen::laid_out(state()), Box::new(snapshot()));
    let pinned = None;
    let operation = operation(1);
    assert!(queue.progress().is_none());
    let request = StorageRequest::StoreSnapshot { operation, snapshot, service, pinned };
    assert!(queue.put(request));
    assert_eq!(tale.recv().unwrap(), "300000 bytes begun");
    let progress = loop {
        match queue.progress() {
            Some(progress) => break progress,
            None => thread::yield_now(),
        }
    };
    let SnapshotProgress { position, bytes, written, begun } = progress;
    assert_eq!((position, bytes, written), (Position(100), 300_000, 65_536));
    assert!(begun >= before && begun <= Instant::now());
    drop(queue);
    assert_eq!(completions.iter().count(), 0);
}

#[test]
fn no_rate_is_so_low_that_a_snapshot_does_not_end() {
    let rate = |bytes_per_second| {
        let writing = SnapshotWriting { bytes_per_second };
        (writing.ends(), Writer::new(Store(channel().0), writing).bytes_per_second)
    };
    assert_eq!(rate(0), (true, 0), "no limit");
    for least in [1, 65_535] {
        assert_eq!(rate(least), (false, 65_536));
    }
    assert_eq!(rate(65_536), (true, 65_536));
}

#[test]
fn e113_who_deviates_stores_no_more_and_what_is_stored_is_discarded() {
    let (told, tale) = channel();
    let (put, completions) = channel();
    let complete = &move |completion| put.send(completion).unwrap();
    let mut writer = slow(Store(told));
    let begun = writer.begin(operation(1), &snapshot(), Frozen::laid_out(state()), None, complete);
    assert!(begun.unwrap().is_some() && writer.progress().is_some());
    for from in [88, 89] {
        let from = Position(from);
        writer.serve(StorageRequest::<Position>::DiscardSnapshots { from }, complete).unwrap();
    }
    assert_eq!(writer.step(complete).unwrap(), None, "there is nothing to write any more");
    let tale: Vec<String> = tale.try_iter().skip(1).collect();
    let dropped = "65536 bytes dropped";
    assert_eq!(tale, [dropped, "discarded from 88 on", "discarded from 89 on"]);
    assert_eq!(completions.try_iter().count(), 0, "nobody waits for it");
}
