//! Snapshots that are served, fetched and installed.

use super::*;
use quorate_core::{Snapshot, SnapshotManifest};

fn stored(position: u64, chain: Chain) -> Stored {
    let point =
        SnapshotPoint { position: Position(position), term: Term(1), chain, time: LogTime(3) };
    Stored::new(Snapshot { point, core: vec![5; 60] }, vec![9; 40])
}

/// Reads the whole stream of the snapshot at `position`.
fn read(disk: &mut SimDisk, position: u64) -> Option<(SnapshotManifest, Vec<u8>)> {
    let range = PositionRange::new(Position::ZERO, Position(1 << 20));
    let position = Position(position);
    disk.issue(operation(70), Work::ReadSnapshot { position, range });
    match complete(disk, operation(70)) {
        Some(Completion::SnapshotRead(manifest, bytes)) => Some((manifest?, bytes)),
        other => panic!("{other:?}"),
    }
}

fn store(disk: &mut SimDisk, stored: Stored, pinned: Option<Position>) {
    disk.issue(operation(71), Work::Snapshot { stored: Box::new(stored), pinned });
    complete(disk, operation(71)).unwrap();
}

/// Keeps `bytes` in two parts.
fn keep(disk: &mut SimDisk, manifest: SnapshotManifest, bytes: &[u8]) {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for (start, part) in [(0, first), (first.len(), second)] {
        let start = Position(start as u64);
        disk.issue(operation(72), Work::Part { manifest, start, bytes: part.to_vec() });
        complete(disk, operation(72)).unwrap();
    }
}

fn check(disk: &mut SimDisk, manifest: SnapshotManifest) -> Completion {
    disk.issue(operation(73), Work::Check(manifest));
    complete(disk, operation(73)).unwrap()
}

#[test]
fn what_one_disk_serves_another_keeps_and_checks() {
    let mut source = written(3);
    let end = *source.frames().last().unwrap();
    store(&mut source, stored(end.end.0, end.chain), None);
    let (manifest, bytes) = read(&mut source, end.end.0).unwrap();
    assert_eq!((bytes.len(), manifest.bytes()), (104, 100), "it ends at a multiple of eight");
    let mut disk = written(0);
    keep(&mut disk, manifest, &bytes);
    assert!(
        matches!(check(&mut disk, manifest), Completion::SnapshotWhole(core) if core == [5; 60])
    );
    assert!(disk.spoil_draft(&mut Dice::new(1, "test")));
    assert!(matches!(check(&mut disk, manifest), Completion::SnapshotFailed));
    // Of another snapshot nothing is kept that begins at zero anew.
    keep(&mut disk, manifest, &bytes);
    let other = SnapshotManifest { digest: manifest.digest ^ 1, ..manifest };
    assert!(matches!(check(&mut disk, other), Completion::SnapshotFailed));
}

#[test]
fn a_snapshot_that_is_pinned_outlives_newer_ones() {
    let mut disk = written(0);
    for position in [64, 128, 192] {
        store(&mut disk, stored(position, Chain(0)), Some(Position(64)));
    }
    let has = |disk: &SimDisk| [64, 128, 192, 256].map(|at| disk.has_snapshot(Position(at)));
    assert_eq!(has(&disk), [true, true, true, false]);
    store(&mut disk, stored(256, Chain(0)), None);
    assert_eq!(has(&disk), [false, false, true, true]);
}

#[test]
fn what_has_rotted_is_not_served_and_no_start_begins_with_it() {
    let mut disk = written(3);
    let [first, last] = [0, 2].map(|at| disk.frames()[at]);
    for frame in [first, last] {
        store(&mut disk, stored(frame.end.0, frame.chain), None);
    }
    let (mut dice, mut tally) = (Dice::new(1, "test"), Tally::default());
    assert!(disk.is_sound());
    assert!(disk.damage(Damage::SnapshotRot, Position::ZERO, &mut dice, &mut tally));
    assert!(!disk.is_sound());
    assert!(read(&mut disk, last.end.0).is_none());
    assert!(read(&mut disk, first.end.0).is_some());
    disk.issue(operation(2), Work::Sync { covers: disk.written_end().0 });
    complete(&mut disk, operation(2)).unwrap();
    let recovered = disk.start(MemberId(1)).unwrap();
    assert_eq!(recovered.snapshot.map(|found| found.point.position), Some(first.end));
}

#[test]
fn e78_a_crash_of_an_install_leaves_the_old_log_or_the_new_beginning() {
    let mut source = written(5);
    let end = *source.frames().last().unwrap();
    let frames = source.frames().to_vec();
    store(&mut source, stored(end.end.0, end.chain), None);
    let (manifest, bytes) = read(&mut source, end.end.0).unwrap();
    let (mut old, mut beside, mut new) = (0, 0, 0);
    for seed in 0..200 {
        let mut disk = written(2);
        disk.issue(operation(2), Work::Sync { covers: disk.written_end().0 });
        complete(&mut disk, operation(2)).unwrap();
        let log_end = disk.durable_end();
        keep(&mut disk, manifest, &bytes);
        disk.issue(operation(3), Work::Install { manifest, frames: frames.clone() });
        disk.crash(&mut Dice::new(seed, "disk"), &mut Tally::default());
        let recovered = disk.start(MemberId(1)).unwrap();
        assert_eq!(disk.draft(), None, "a start begins to fetch anew");
        if recovered.origin == manifest.point {
            assert_eq!((recovered.log_end, recovered.chain), (end.end, end.chain));
            assert_eq!(recovered.snapshot.unwrap().point, manifest.point);
            new += 1;
        } else {
            assert_eq!((recovered.origin, recovered.log_end), (SnapshotPoint::default(), log_end));
            assert!(recovered.snapshot.is_none(), "it stands behind the end of this log");
            if disk.has_snapshot(end.end) { beside += 1 } else { old += 1 }
        }
        assert_eq!(recovered.history, *disk.history());
        assert!(disk.is_sound());
    }
    assert!(old > 20 && beside > 20 && new > 50, "{old} {beside} {new}");
}

#[test]
fn the_log_goes_on_behind_an_installed_snapshot() {
    let mut source = written(4);
    let end = *source.frames().last().unwrap();
    store(&mut source, stored(end.end.0, end.chain), None);
    let (manifest, bytes) = read(&mut source, end.end.0).unwrap();
    let mut disk = written(1);
    keep(&mut disk, manifest, &bytes);
    disk.issue(operation(3), Work::Install { manifest, frames: source.frames().to_vec() });
    complete(&mut disk, operation(3)).unwrap();
    assert_eq!((disk.written_end(), disk.durable_end()), (end.end, end.end));
    let bytes = frame(1, end.end.0, b"behind it");
    for log in [&mut disk, &mut source] {
        assert_eq!(log.append(&bytes, &[]).1, None);
    }
    assert_eq!(disk.frames(), source.frames());
    assert!(!disk.break_snapshot(), "it stands for all that is before");
}
