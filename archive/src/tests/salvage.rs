//! What is saved of a damaged directory: all that verifies, and nothing else.

use std::path::Path;

use quorate_core::{
    BootEpoch, Incarnation, Life, LogTime, MemberId, PeerRecord, Position, Snapshot, SnapshotPoint,
    Term, Vote,
};

use quorate_core::snapshot::SNAPSHOT_VERSION;

use super::builder::{Builder, LOG_AT, OPTIONS, adopt, append, identity, segment};
use crate::memory::{Fate, MemoryDisk};
use crate::{Archive, ArchiveError, Salvaged, init_on, salvage_on};

const OLD: &str = "/old";
const NEW: &str = "/new";
const NEXT: Incarnation = Incarnation(2);

/// A log of three segments.
fn log() -> Builder {
    Builder::with_messages(24, 400)
}

fn peer(member: u16) -> PeerRecord {
    let life =
        Life { member: MemberId(member), incarnation: Incarnation(1), boot_epoch: BootEpoch(3) };
    PeerRecord { life, acknowledged_in: BootEpoch(3), term: Term(1), acknowledged: Position(64) }
}

/// A snapshot at the end of the first `frames` frames of `log`.
fn snapshot(frames: usize) -> Snapshot {
    let mut part = Builder::with_messages(frames - 1, 400);
    let point = SnapshotPoint {
        position: part.end(),
        term: part.history.last_term(),
        chain: part.chain,
        time: LogTime(part.time),
    };
    part.bytes.clear();
    let mut core = SNAPSHOT_VERSION.to_le_bytes().to_vec();
    core.extend([0; 6]);
    for word in [point.position.0, point.term.0, point.chain.0, point.time.0] {
        core.extend_from_slice(&word.to_le_bytes());
    }
    Snapshot { point, core }
}

/// A directory whose durable log is `log`, of a member that has voted and that knows others, with
/// snapshots behind the given numbers of frames.
fn old(log: &Builder, snapshots: &[usize]) -> MemoryDisk {
    let disk = MemoryDisk::default();
    init_on(&disk, Path::new(OLD), &identity()).unwrap();
    let (archive, _) = Archive::open_on(disk.clone(), Path::new(OLD), &OPTIONS).unwrap();
    let mut store = archive.snapshots();
    let (mut writer, mut syncer, _) = archive.split();
    adopt(&mut writer, &mut syncer, &log.history, Position::ZERO).unwrap();
    syncer.persist_vote(&Vote { term: Term(7), granted_to: Some(MemberId(2)) }).unwrap();
    syncer.persist_peers(&[peer(0), peer(1), peer(2)]).unwrap();
    append(&mut writer, log).unwrap();
    syncer.sync().unwrap();
    for frames in snapshots {
        store.store(&snapshot(*frames), b"state", None).unwrap();
    }
    disk
}

fn flip(disk: &MemoryDisk, at: u64) {
    let bytes = identity().segment_bytes;
    let path = segment(Path::new(OLD), at / bytes);
    disk.edit(&path, |file| file[LOG_AT + (at % bytes) as usize] ^= 0x40);
}

fn salvage(disk: &MemoryDisk) -> Result<Salvaged, ArchiveError> {
    salvage_on(disk, Path::new(OLD), Path::new(NEW), NEXT, &OPTIONS)
}

/// Opens what was saved, and says what came up: the whole log that it may have is `log`.
fn opened(disk: &MemoryDisk, log: &Builder) -> quorate_core::Recovered {
    let (archive, recovered) = Archive::open_on(disk.clone(), Path::new(NEW), &OPTIONS).unwrap();
    assert_eq!(recovered.life.incarnation, NEXT);
    assert_eq!(recovered.vote, Vote::default(), "nothing is promised");
    assert_eq!(recovered.history, log.history);
    assert_eq!(recovered.peers, [peer(0), peer(2)], "its own former life is no peer");
    let (_, _, reader) = archive.split();
    let mut bytes = Vec::new();
    let range = quorate_core::PositionRange::new(Position::ZERO, recovered.log_end);
    reader.read(range, &mut bytes).unwrap();
    assert_eq!(bytes, log.bytes[..bytes.len()]);
    assert_eq!(bytes.len() as u64, recovered.log_end.0);
    recovered
}

#[test]
fn e47_all_before_the_damage_is_saved_and_nothing_behind() {
    let log = log();
    for (frame, start) in core::iter::once(&0).chain(&log.ends).enumerate().step_by(3) {
        if *start == log.end().0 {
            continue;
        }
        let disk = old(&log, &[]);
        flip(&disk, start + 17);
        let error = Archive::open_on(disk.clone(), Path::new(OLD), &OPTIONS).unwrap_err();
        assert!(matches!(error, ArchiveError::Damaged { .. }), "{error}");
        let before = disk.files();
        let saved = salvage(&disk).unwrap();
        assert_eq!(saved.log_end.0, *start, "frame {frame}");
        assert_eq!(opened(&disk, &log).log_end.0, *start, "frame {frame}");
        assert!(before.iter().all(|path| disk.files().contains(path)), "nothing is taken away");
    }
}

#[test]
fn a_segment_that_is_lost_ends_what_is_saved() {
    let log = log();
    let disk = old(&log, &[]);
    disk.forget(&segment(Path::new(OLD), 1));
    let saved = salvage(&disk).unwrap();
    assert_eq!(saved.log_end.0, log.whole_below(4 << 10));
    assert!(saved.cause.unwrap().contains("1.segment"));
    opened(&disk, &log);
}

#[test]
fn a_snapshot_is_saved_if_the_log_that_is_saved_has_its_place() {
    let log = log();
    let disk = old(&log, &[4, 9]);
    flip(&disk, log.ends[6]);
    let saved = salvage(&disk).unwrap();
    assert_eq!(saved.snapshots, [snapshot(4).point.position]);
    let recovered = opened(&disk, &log);
    assert_eq!(recovered.snapshot.unwrap().point, snapshot(4).point);
}

#[test]
fn a_cut_that_was_perhaps_not_carried_out_ends_what_is_saved() {
    let log = log();
    let disk = old(&log, &[]);
    // The marks say nothing any more: the history's cut at zero is all that is known.
    for index in 0..3 {
        disk.edit(&segment(Path::new(OLD), index), |file| file[4 << 10..12 << 10].fill(0x11));
    }
    assert_eq!(salvage(&disk).unwrap().log_end, Position::ZERO);
    assert_eq!(opened(&disk, &log).log_end, Position::ZERO);
}

#[test]
fn what_nothing_can_be_made_of_is_refused_and_leaves_nothing() {
    let log = log();
    let disk = old(&log, &[]);
    let same = salvage_on(&disk, Path::new(OLD), Path::new(NEW), Incarnation(1), &OPTIONS);
    assert!(matches!(same, Err(ArchiveError::Identity { .. })), "{same:?}");
    let running = Archive::open_on(disk.clone(), Path::new(OLD), &OPTIONS).unwrap();
    let locked = salvage(&disk);
    assert!(matches!(locked, Err(ArchiveError::Locked { .. })), "{locked:?}");
    drop(running);
    for copy in ["history.0", "history.1"] {
        disk.edit(&Path::new(OLD).join(copy), |file| file[20] ^= 1);
    }
    let unreadable = salvage(&disk);
    assert!(matches!(unreadable, Err(ArchiveError::Unreadable { .. })), "{unreadable:?}");
    assert!(disk.files().iter().all(|path| !path.starts_with(NEW)), "{:?}", disk.files());
}

#[test]
fn e47_what_is_saved_is_an_archive_only_once_it_is_whole() {
    let log = log();
    let mut finished = 0;
    for crash_at in 0.. {
        let disk = old(&log, &[4]);
        flip(&disk, log.ends[8]);
        let operations = disk.world().operations;
        disk.world().crash_at = Some(operations + crash_at);
        let ended = salvage(&disk);
        for fate in [Fate::Kept, Fate::Lost, Fate::Mixed(crash_at)] {
            let disk = disk.crashed(fate);
            let found = Archive::open_on(disk.clone(), Path::new(NEW), &OPTIONS).map(|_| ());
            match found {
                Ok(()) => {
                    finished += 1;
                    assert_eq!(opened(&disk, &log).log_end.0, log.ends[8], "{crash_at} {fate:?}");
                }
                Err(error) => {
                    assert!(ended.is_err(), "{crash_at} {fate:?}: {error}");
                    let none = matches!(
                        error,
                        ArchiveError::NotInitialised { .. } | ArchiveError::Unfinished { .. }
                    );
                    assert!(none, "{crash_at} {fate:?}: {error}");
                }
            }
        }
        if ended.is_ok() {
            break;
        }
    }
    assert!(finished >= 3, "{finished}");
}
