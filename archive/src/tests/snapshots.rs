//! Snapshots: whole or not there, whatever the disk does.

use std::path::{Path, PathBuf};

use quorate_core::snapshot::SNAPSHOT_VERSION;
use quorate_core::{Position, Snapshot, SnapshotPoint};

use super::builder::{Builder, OPTIONS, adopt, append, identity};
use crate::memory::{Fate, MemoryDisk};
use crate::{Archive, ArchiveError, Options, Snapshots, describe_on, init_on};

const DIRECTORY: &str = "/member";
/// Bytes before the chunks, and of a whole chunk with its header.
const CHUNKS_AT: usize = 4 << 10;
const CHUNK: usize = 8 + (64 << 10);

fn path(position: Position) -> PathBuf {
    Path::new(DIRECTORY).join(format!("snapshots/{:020}.snapshot", position.0))
}

/// A snapshot at the end of the first `frames` frames of `log`: what the member would have laid
/// out begins as its layout says, and goes on as it likes here.
fn snapshot(log: &Builder, frames: usize) -> Snapshot {
    let mut part = Builder::default();
    part.line(1);
    part.open();
    (1..frames).for_each(|_| part.message(100));
    assert_eq!(part.bytes, log.bytes[..part.bytes.len()], "the same log");
    let point = SnapshotPoint {
        position: part.end(),
        term: part.history.last_term(),
        chain: part.chain,
        time: quorate_core::LogTime(part.time),
    };
    let mut core = u64::from(SNAPSHOT_VERSION).to_le_bytes().to_vec();
    for word in [point.position.0, point.term.0, point.chain.0, point.time.0] {
        core.extend_from_slice(&word.to_le_bytes());
    }
    core.extend((0..1_000).map(|at| (at % 251) as u8));
    Snapshot { point, core }
}

fn state(snapshot: &Snapshot, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at as u64 * 31 + snapshot.point.position.0) as u8).collect()
}

/// An archive whose durable log is `log`.
fn archive_of(disk: &MemoryDisk, log: &Builder) {
    init_on(disk, Path::new(DIRECTORY), &identity()).unwrap();
    let (archive, _) = open(disk);
    let (mut writer, mut syncer, _) = archive.split();
    adopt(&mut writer, &mut syncer, &log.history, Position::ZERO).unwrap();
    append(&mut writer, log).unwrap();
    syncer.sync().unwrap();
}

fn open(disk: &MemoryDisk) -> (Archive<MemoryDisk>, quorate_core::Recovered) {
    Archive::open_on(disk.clone(), Path::new(DIRECTORY), &OPTIONS).unwrap()
}

fn store(disk: &MemoryDisk) -> Snapshots<MemoryDisk> {
    open(disk).0.snapshots()
}

/// The snapshot that a start begins with, and the service's state in it.
fn found(disk: &MemoryDisk) -> Option<(Snapshot, Vec<u8>)> {
    let (mut archive, recovered) = open(disk);
    let snapshot = recovered.snapshot.map(|snapshot| *snapshot);
    let service = archive.take_service_state();
    assert_eq!(snapshot.is_some(), service.is_some());
    snapshot.zip(service)
}

fn log() -> Builder {
    Builder::with_messages(9, 100)
}

#[test]
fn e79_what_was_stored_comes_back_byte_for_byte() {
    let (disk, log) = (MemoryDisk::default(), log());
    archive_of(&disk, &log);
    assert_eq!(found(&disk), None);
    // Around the end of a chunk, of which the core's part takes 1,040.
    let around = (64 << 10) - 1_040;
    for (frames, bytes) in [(1, 0), (2, 7), (3, around), (4, around + 1), (5, 300_000)] {
        let snapshot = snapshot(&log, frames);
        let service = state(&snapshot, bytes);
        store(&disk).store(&snapshot, &service, None).unwrap();
        assert_eq!(found(&disk.crashed(Fate::Lost)), Some((snapshot, service)), "{bytes}");
    }
}

/// A file system in memory goes through all pages of a range, those that it has as well.
#[test]
fn e125_space_is_asked_for_once_while_a_snapshot_is_written() {
    let (disk, log) = (MemoryDisk::default(), log());
    archive_of(&disk, &log);
    let snapshot = snapshot(&log, 5);
    let (mut snapshots, service) = (store(&disk), state(&snapshot, 4 << 20));
    let before = disk.world().allocated;
    snapshots.store(&snapshot, &service, None).unwrap();
    let asked_for = disk.world().allocated - before;
    let file = disk.content(&path(snapshot.point.position)).map(|file| file.len() as u64);
    assert_eq!(Some(asked_for), file, "the whole file's, once");
}

#[test]
fn so_many_are_kept_and_the_oldest_go() {
    let (disk, log) = (MemoryDisk::default(), log());
    archive_of(&disk, &log);
    for (kept, expected) in [(0, 2), (3, 3)] {
        let options = Options { snapshots_kept: kept, ..OPTIONS };
        let opened = Archive::open_on(disk.clone(), Path::new(DIRECTORY), &options);
        let mut snapshots = opened.unwrap().0.snapshots();
        for frames in 1..8 {
            snapshots.store(&snapshot(&log, frames), b"state", None).unwrap();
        }
        let files = disk.files().into_iter().filter(|path| path.starts_with("/member/snapshots"));
        let newest = (8 - expected..8).map(|frames| path(snapshot(&log, frames).point.position));
        assert_eq!(files.collect::<Vec<_>>(), newest.collect::<Vec<_>>());
    }
}

#[test]
fn e75_one_that_others_are_fetching_stays_however_many_newer_ones_there_are() {
    let (disk, log) = (MemoryDisk::default(), log());
    archive_of(&disk, &log);
    let mut snapshots = store(&disk);
    let at = |frames| snapshot(&log, frames).point.position;
    let kept = |disk: &MemoryDisk| {
        let files = disk.files();
        (1..9).filter(|frames| files.contains(&path(at(*frames)))).collect::<Vec<_>>()
    };
    for (frames, pinned, expected) in [
        (1, None, vec![1]),
        (2, None, vec![1, 2]),
        (3, Some(2), vec![2, 3]),
        (4, Some(2), vec![2, 3, 4]),
        (5, Some(2), vec![2, 4, 5]),
        (6, Some(9), vec![5, 6]),
        (7, Some(5), vec![5, 6, 7]),
        (8, None, vec![7, 8]),
    ] {
        let pinned = pinned.map(|frames| if frames == 9 { Position(1) } else { at(frames) });
        snapshots.store(&snapshot(&log, frames), b"state", pinned).unwrap();
        assert_eq!(kept(&disk), expected, "{frames}");
    }
}

#[test]
fn e113_snapshots_that_deviate_are_removed() {
    let (disk, log) = (MemoryDisk::default(), log());
    archive_of(&disk, &log);
    let at = |frames| snapshot(&log, frames).point.position;
    let options = Options { snapshots_kept: 8, ..OPTIONS };
    let opened = Archive::open_on(disk.clone(), Path::new(DIRECTORY), &options);
    let mut snapshots = opened.unwrap().0.snapshots();
    for frames in 1..6 {
        snapshots.store(&snapshot(&log, frames), b"state", None).unwrap();
    }
    // Between two of them, at one, before all, and behind all.
    for (from, left) in [(Position(at(5).0 + 8), 5), (at(4), 3), (Position(at(3).0 - 8), 2)] {
        snapshots.discard_stored(from).unwrap();
        for fate in [Fate::Kept, Fate::Lost] {
            let found = found(&disk.crashed(fate));
            assert_eq!(found.map(|(snapshot, _)| snapshot.point.position), Some(at(left)));
        }
    }
    snapshots.discard_stored(Position(0)).unwrap();
    assert_eq!(found(&disk.crashed(Fate::Lost)), None, "it begins at the beginning");
}

#[test]
fn e50_a_crash_at_any_instant_leaves_the_old_or_the_new_whole() {
    let log = log();
    let run = |disk: &MemoryDisk, snapshots: &mut Snapshots<MemoryDisk>| {
        let mut stored = 0;
        for frames in 1..=4 {
            let snapshot = snapshot(&log, frames);
            let before = disk.world().operations;
            if snapshots.store(&snapshot, &state(&snapshot, 80_000), None).is_err() {
                break;
            }
            assert!(disk.world().operations > before);
            stored = frames;
        }
        stored
    };
    let fresh = MemoryDisk::default();
    archive_of(&fresh, &log);
    let mut snapshots = store(&fresh);
    let before = fresh.world().operations;
    assert_eq!(run(&fresh, &mut snapshots), 4);
    let operations = fresh.world().operations - before;
    assert!(operations > 20, "{operations}");
    for crash_at in 0..=operations {
        let disk = MemoryDisk::default();
        archive_of(&disk, &log);
        let mut snapshots = store(&disk);
        let at = disk.world().operations + crash_at;
        disk.world().crash_at = Some(at);
        let stored = run(&disk, &mut snapshots);
        drop(snapshots);
        let mixed = (0..6).map(|seed| Fate::Mixed(crash_at * 64 + seed * 2 + 1));
        for fate in [Fate::Kept, Fate::Lost].into_iter().chain(mixed) {
            let context = format!("crash at {crash_at} of {operations}, {fate:?}");
            let after = disk.crashed(fate);
            let legal: Vec<_> = [stored, stored + 1]
                .into_iter()
                .map(|frames| {
                    (frames > 0).then(|| {
                        let snapshot = snapshot(&log, frames);
                        let service = state(&snapshot, 80_000);
                        (snapshot, service)
                    })
                })
                .collect();
            let first = found(&after);
            assert!(legal.contains(&first), "{context}: {:?}", first.map(|(s, _)| s.point));
            let drafts = after
                .files()
                .into_iter()
                .filter(|path| path.extension().is_some_and(|extension| extension == "new"));
            assert_eq!(drafts.count(), 0, "{context}: a draft stayed");
        }
    }
}

/// Two snapshots, of the first three and five frames; the positions.
fn two(disk: &MemoryDisk, log: &Builder) -> [Position; 2] {
    archive_of(disk, log);
    let mut snapshots = store(disk);
    [3, 5].map(|frames| {
        let snapshot = snapshot(log, frames);
        snapshots.store(&snapshot, &state(&snapshot, 200_000), None).unwrap();
        snapshot.point.position
    })
}

#[test]
fn e79_a_broken_snapshot_is_passed_over_for_the_one_before_with_a_report() {
    let log = log();
    let disk = MemoryDisk::default();
    let [older, newer] = two(&disk, &log);
    let length = disk.content(&path(newer)).unwrap().len();
    let flips = (0..112).chain((CHUNKS_AT..length).step_by(977)).chain([length - 1]);
    let mut checked = 0;
    for at in flips {
        let disk = disk.crashed(Fate::Kept);
        disk.edit(&path(newer), |bytes| bytes[at] ^= 0x10);
        let (archive, recovered) = open(&disk);
        assert_eq!(recovered.snapshot.unwrap().point.position, older, "byte {at}");
        let report = &archive.repairs().snapshots;
        assert_eq!(report.len(), 1, "byte {at}");
        assert_eq!((&report[0].path, report[0].position), (&path(newer), newer));
        checked += 1;
    }
    assert!(checked > 200, "{checked}");
    for kept in [0, 100, CHUNKS_AT, length - 1] {
        let disk = disk.crashed(Fate::Kept);
        disk.edit(&path(newer), |bytes| bytes.truncate(kept));
        assert_eq!(found(&disk).unwrap().0.point.position, older, "{kept} bytes");
    }
    // Both are broken: the log is applied from its beginning.
    for position in [older, newer] {
        disk.edit(&path(position), |bytes| bytes[CHUNKS_AT + 100] ^= 1);
    }
    let (archive, recovered) = open(&disk);
    assert_eq!((recovered.snapshot, archive.repairs().snapshots.len()), (None, 2));
    // The next that is stored takes their place.
    let next = snapshot(&log, 7);
    archive.snapshots().store(&next, b"state", None).unwrap();
    drop(archive);
    let (archive, recovered) = open(&disk);
    assert_eq!(recovered.snapshot.as_deref(), Some(&next));
    assert!(archive.repairs().snapshots.is_empty());
    assert!(disk.content(&path(older)).is_none() && disk.content(&path(newer)).is_none());
}

#[test]
fn e51_chunks_and_files_in_the_wrong_place_are_noticed() {
    let log = log();
    let disk = MemoryDisk::default();
    let [older, newer] = two(&disk, &log);
    let swapped = disk.crashed(Fate::Kept);
    swapped.edit(&path(newer), |bytes| {
        let (one, two) = bytes[CHUNKS_AT..].split_at_mut(CHUNK);
        one.swap_with_slice(&mut two[..CHUNK]);
    });
    assert_eq!(found(&swapped).unwrap().0.point.position, older);
    let renamed = disk.crashed(Fate::Kept);
    let bytes = renamed.content(&path(older)).unwrap();
    renamed.edit(&path(newer), |content| *content = bytes);
    let (archive, recovered) = open(&renamed);
    assert_eq!(recovered.snapshot.unwrap().point.position, older);
    assert!(archive.repairs().snapshots[0].reason.contains("elsewhere"));
}

#[test]
fn e72_a_snapshot_of_another_log_or_behind_the_end_is_passed_over() {
    let log = log();
    let disk = MemoryDisk::default();
    let [_, newer] = two(&disk, &log);
    let mut snapshots = store(&disk);
    let mut other = snapshot(&log, 7);
    other.point.chain.0 ^= 1;
    other.core[24] ^= 1;
    snapshots.store(&other, b"another history", None).unwrap();
    let mut ahead = snapshot(&log, 7);
    ahead.point.position = log.end().plus(64);
    ahead.core[8..16].copy_from_slice(&ahead.point.position.0.to_le_bytes());
    drop(snapshots);
    let options = Options { snapshots_kept: 4, ..OPTIONS };
    let opened = Archive::open_on(disk.clone(), Path::new(DIRECTORY), &options);
    let mut snapshots = opened.unwrap().0.snapshots();
    snapshots.store(&ahead, b"not there yet", None).unwrap();
    drop(snapshots);
    let (archive, recovered) = open(&disk);
    assert_eq!(recovered.snapshot.unwrap().point.position, newer);
    let reasons: Vec<_> = archive.repairs().snapshots.iter().map(|over| &over.reason).collect();
    assert_eq!(reasons.len(), 1, "the one of another log has made place: {reasons:?}");
    assert!(reasons[0].contains("behind the end of the log"), "{reasons:?}");
    drop(archive);
    let described = describe_on(&disk, Path::new(DIRECTORY), &OPTIONS).unwrap();
    let problems = described.snapshots.iter().filter(|found| found.problem.is_some());
    assert_eq!(problems.count(), 1, "{described}");
}

#[test]
fn e48_a_full_disk_leaves_nothing_of_a_snapshot_and_all_else_goes_on() {
    let log = log();
    let disk = MemoryDisk::default();
    archive_of(&disk, &log);
    let (archive, _) = open(&disk);
    let mut snapshots = archive.snapshots();
    let (_, mut syncer, _) = archive.split();
    let snapshot = snapshot(&log, 3);
    let files = disk.files();
    disk.world().free = Some(50_000);
    let error = snapshots.store(&snapshot, &state(&snapshot, 100_000), None).unwrap_err();
    assert!(matches!(error, ArchiveError::Full { .. }), "{error}");
    // Space that was reserved, and is not there after all.
    disk.world().free = None;
    disk.world().write_bytes_left = Some(70_000);
    let error = snapshots.store(&snapshot, &state(&snapshot, 100_000), None).unwrap_err();
    assert!(matches!(error, ArchiveError::Full { .. }), "{error}");
    assert_eq!(disk.files(), files, "nothing is left of it");
    disk.world().write_bytes_left = None;
    syncer.sync().unwrap();
    snapshots.store(&snapshot, b"state", None).unwrap();
}

#[test]
fn e48_nothing_is_made_of_a_snapshot_of_which_a_part_was_not_taken() {
    let (disk, log) = (MemoryDisk::default(), log());
    archive_of(&disk, &log);
    let mut snapshots = store(&disk);
    let files = disk.files();
    let [snapshot, next] = [3, 4].map(|frames| snapshot(&log, frames));
    let service = state(&snapshot, 200_000);
    let mut storing = snapshots.begin(&snapshot, 200_000).unwrap();
    disk.world().write_bytes_left = Some(10_000);
    let error = storing.take(&service[..100_000]).unwrap_err();
    assert!(matches!(error, ArchiveError::Full { .. }), "{error}");
    // There is space again; those bytes are not there.
    disk.world().write_bytes_left = None;
    let mut longer = snapshots.begin(&next, 5).unwrap();
    assert!(longer.take(&service[..6]).is_err());
    for (mut storing, rest) in [(storing, &service[100_000..]), (longer, &service[..5])] {
        let error = storing.take(rest).unwrap_err().to_string();
        assert!(error.contains("was not written up to here"), "{error}");
        let error = snapshots.publish(storing, None).unwrap_err().to_string();
        assert!(error.contains("was not written up to here"), "{error}");
    }
    assert_eq!(disk.files(), files, "nothing is left of it");
    snapshots.store(&snapshot, &service, None).unwrap();
}

#[test]
fn e43_a_failed_sync_of_the_directory_of_snapshots_ends_everything() {
    let log = log();
    let disk = MemoryDisk::default();
    archive_of(&disk, &log);
    let (archive, _) = open(&disk);
    let mut snapshots = archive.snapshots();
    let (_, mut syncer, _) = archive.split();
    disk.world().directory_syncs_left = Some(1);
    let snapshot = snapshot(&log, 3);
    let error = snapshots.store(&snapshot, b"state", None).unwrap_err();
    assert!(matches!(error, ArchiveError::Io { .. }), "{error}");
    assert!(!snapshots.is_usable());
    disk.world().directory_syncs_left = None;
    for error in [snapshots.store(&snapshot, b"", None).unwrap_err(), syncer.sync().unwrap_err()] {
        assert!(matches!(error, ArchiveError::Poisoned { .. }), "{error}");
    }
}

/// The log does not depend on a draft, and a member that stopped for it would stop at the same
/// marker again and again.
#[test]
fn e43_a_failed_sync_of_a_draft_leaves_nothing_of_it_and_all_else_goes_on() {
    let log = log();
    let disk = MemoryDisk::default();
    archive_of(&disk, &log);
    let (archive, _) = open(&disk);
    let mut snapshots = archive.snapshots();
    let (_, mut syncer, _) = archive.split();
    disk.world().syncs_left = Some(0);
    let snapshot = snapshot(&log, 3);
    let error = snapshots.store(&snapshot, b"state", None).unwrap_err();
    assert!(matches!(error, ArchiveError::Io { .. }), "{error}");
    assert!(snapshots.is_usable());
    disk.world().syncs_left = None;
    syncer.sync().unwrap();
    let snapshots_at = Path::new(DIRECTORY).join("snapshots");
    let left = disk.files().into_iter().filter(|path| path.starts_with(&snapshots_at));
    assert_eq!(left.count(), 0, "half a snapshot takes space");
    snapshots.store(&snapshot, b"state", None).unwrap();
}

#[test]
fn a_description_names_each_snapshot_and_where_a_start_begins() {
    let log = log();
    let disk = MemoryDisk::default();
    let [older, newer] = two(&disk, &log);
    let before = disk.world().operations;
    let described = describe_on(&disk, Path::new(DIRECTORY), &OPTIONS).unwrap();
    assert_eq!(disk.world().operations, before, "it changes nothing");
    assert_eq!(described.newest_snapshot().unwrap().path, path(newer));
    let text = described.to_string();
    let tail = log.end().since(newer);
    let expected = "1040 + 200000 bytes of core and service";
    assert_eq!(text.matches(expected).count(), 2, "{text}");
    assert!(text.contains(&format!("a start begins here, with {tail} bytes")), "{text}");
    disk.edit(&path(newer), |bytes| bytes[CHUNKS_AT + 9] ^= 1);
    let described = describe_on(&disk, Path::new(DIRECTORY), &OPTIONS).unwrap();
    assert_eq!(described.newest_snapshot().unwrap().path, path(older));
    assert!(described.to_string().contains("has a damaged chunk; it is passed over"));
}
