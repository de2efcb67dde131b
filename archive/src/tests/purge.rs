//! A log that loses its beginning: it begins where its record says, whatever the disk does.

use std::path::{Path, PathBuf};

use quorate_core::snapshot::SNAPSHOT_VERSION;
use quorate_core::{LogTime, Position, PositionRange, Recovered, Snapshot, SnapshotPoint};

use super::builder::{Builder, OPTIONS, adopt, append, identity, segment};
use crate::error::ArchiveError;
use crate::memory::{Fate, MemoryDisk};
use crate::{Archive, Syncer, Writer, describe_on, init_on};

const DIRECTORY: &str = "/member";

/// A log of two terms over six segments, and where snapshots of it stand.
pub(super) struct Written {
    pub(super) log: Builder,
    /// The log as it is when the first snapshots are stored.
    pub(super) half: Builder,
    pub(super) points: [SnapshotPoint; 3],
}

pub(super) fn written() -> Written {
    let mut log = Builder::with_messages(7, 700);
    let mut points = vec![point(&log)];
    log.line(2);
    log.open();
    (0..9).for_each(|_| log.message(700));
    points.push(point(&log));
    log.message(700);
    let half = log.clone();
    (0..9).for_each(|_| log.message(700));
    points.push(point(&log));
    log.message(700);
    let points = points.try_into().expect("three points");
    Written { log, half, points }
}

pub(super) fn point(log: &Builder) -> SnapshotPoint {
    let (position, chain) = (log.end(), log.chain);
    let term = log.history.term_before(position);
    SnapshotPoint { position, term, chain, time: LogTime(log.time) }
}

pub(super) fn snapshot(point: SnapshotPoint) -> Snapshot {
    let mut core = u64::from(SNAPSHOT_VERSION).to_le_bytes().to_vec();
    for word in [point.position.0, point.term.0, point.chain.0, point.time.0] {
        core.extend_from_slice(&word.to_le_bytes());
    }
    Snapshot { point, core }
}

pub(super) fn snapshot_path(position: Position) -> PathBuf {
    Path::new(DIRECTORY).join(format!("snapshots/{:020}.snapshot", position.0))
}

pub(super) fn open(disk: &MemoryDisk) -> Result<(Archive<MemoryDisk>, Recovered), ArchiveError> {
    Archive::open_on(disk.clone(), Path::new(DIRECTORY), &OPTIONS)
}

/// The files of the log, by their numbers.
pub(super) fn segments(disk: &MemoryDisk) -> Vec<u64> {
    (0..20).filter(|at| disk.content(&segment(Path::new(DIRECTORY), *at)).is_some()).collect()
}

/// How far a life came.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    durable: Position,
    /// What was asked for, and what was reported done.
    origins: [Position; 2],
}

struct Life {
    progress: Progress,
    writer: Writer<MemoryDisk>,
    syncer: Syncer<MemoryDisk>,
}

impl Life {
    fn begin(disk: &MemoryDisk) -> Result<(Self, crate::Snapshots<MemoryDisk>), ArchiveError> {
        let (archive, _) = open(disk)?;
        let snapshots = archive.snapshots();
        let (writer, syncer, _) = archive.split();
        Ok((Self { progress: Progress::default(), writer, syncer }, snapshots))
    }

    fn write(&mut self, log: &Builder) -> Result<(), ArchiveError> {
        append(&mut self.writer, log).map_err(|error| match error {
            crate::AppendError::Failed(error) => error,
            crate::AppendError::Full { .. } => panic!("there is space"),
        })?;
        self.progress.durable = self.syncer.sync()?;
        Ok(())
    }

    fn purge(&mut self, point: SnapshotPoint) -> Result<(), ArchiveError> {
        self.progress.origins[0] = point.position;
        self.syncer.purge(point)?;
        self.progress.origins[1] = point.position;
        Ok(())
    }
}

/// The log's first half, with two snapshots: a disk to purge on.
fn prepared(written: &Written) -> MemoryDisk {
    let disk = MemoryDisk::default();
    init_on(&disk, Path::new(DIRECTORY), &identity()).unwrap();
    let (mut life, mut snapshots) = Life::begin(&disk).unwrap();
    adopt(&mut life.writer, &mut life.syncer, &written.log.history, Position::ZERO).unwrap();
    life.write(&written.half).unwrap();
    for point in &written.points[..2] {
        snapshots.store(&snapshot(*point), b"state", None).unwrap();
    }
    disk
}

/// Purges twice, and goes on in between.
fn live(disk: &MemoryDisk, written: &Written) -> Progress {
    let Ok((mut life, mut snapshots)) = Life::begin(disk) else { return Progress::default() };
    life.progress.durable = written.half.end();
    let mut run = || {
        life.purge(written.points[0])?;
        life.write(&written.log)?;
        snapshots.store(&snapshot(written.points[2]), b"state", None)?;
        life.purge(written.points[1])
    };
    let _: Result<(), ArchiveError> = run();
    life.progress
}

/// What a start finds is whole from its beginning on, and no less than what was reported.
fn check(disk: &MemoryDisk, written: &Written, progress: &Progress, context: &str) -> Recovered {
    let opened = open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    let (archive, recovered) = opened;
    assert!(archive.repairs().snapshots.is_empty(), "{context}");
    let Recovered { origin, log_end, chain, .. } = recovered;
    let [asked, done] = progress.origins;
    assert!([asked, done].contains(&origin.position), "{context}: {origin:?}");
    let known = [SnapshotPoint::default(), written.points[0], written.points[1]];
    assert!(known.contains(&origin), "{context}: {origin:?}");
    assert!(log_end >= progress.durable, "{context}");
    assert_eq!(written.log.whole_below(log_end.0), log_end.0, "{context}");
    if log_end == written.log.end() {
        assert_eq!((chain, recovered.log_time.0), (written.log.chain, written.log.time));
    }
    let stands = recovered.snapshot.as_ref().map(|snapshot| snapshot.point.position);
    assert!(stands >= Some(written.points[1].position), "{context}: {stands:?}");
    let (_, _, reader) = archive.split();
    let mut bytes = Vec::new();
    reader.read(PositionRange::new(origin.position, log_end), &mut bytes).unwrap();
    let expected = &written.log.bytes[origin.position.0 as usize..log_end.0 as usize];
    assert!(bytes == expected, "{context}: other bytes");
    if let Some(below) = origin.position.0.checked_sub(8) {
        reader.read(PositionRange::new(Position(below), log_end), &mut bytes).unwrap();
        assert!(bytes.is_empty(), "{context}: bytes from before its beginning");
    }
    let first = segments(disk)[0];
    assert_eq!(first, origin.position.0.saturating_sub(1) / (4 << 10), "{context}");
    recovered
}

#[test]
fn segments_that_hold_nothing_of_the_log_any_more_are_removed() {
    let written = written();
    let disk = prepared(&written);
    assert_eq!(segments(&disk)[0], 0);
    let progress = live(&disk, &written);
    let [first, second, _] = written.points;
    assert_eq!(progress.origins, [second.position; 2]);
    let expected: Vec<u64> =
        (second.position.0 / (4 << 10)..=segments(&disk).pop().unwrap()).collect();
    assert!(expected[0] > first.position.0 / (4 << 10) && first.position.0 > 4 << 10);
    assert_eq!(segments(&disk), expected);
    for fate in [Fate::Kept, Fate::Lost] {
        let after = disk.crashed(fate);
        let recovered = check(&after, &written, &progress, "a whole life");
        assert_eq!(recovered.origin, second);
        assert_eq!(recovered.log_end, written.log.end());
        let described = describe_on(&after, Path::new(DIRECTORY), &OPTIONS).unwrap();
        assert_eq!((described.origin, &described.problems[..]), (second, &[][..]), "{described}");
        assert_eq!(described.segments[0].base.0, expected[0] * (4 << 10));
        let text = described.to_string();
        assert!(text.contains("what was before is purged"), "{text}");
    }
}

#[test]
fn e78_every_crash_of_a_purge_leaves_the_old_or_the_new_beginning() {
    let written = written();
    let operations = {
        let disk = prepared(&written);
        let before = disk.world().operations;
        live(&disk, &written);
        disk.world().operations - before
    };
    assert!(operations > 40, "{operations}");
    for crash_at in 0..=operations {
        let disk = prepared(&written);
        let at = disk.world().operations + crash_at;
        disk.world().crash_at = Some(at);
        let mut progress = live(&disk, &written);
        progress.durable = progress.durable.max(written.half.end());
        let mixed = (0..4).map(|seed| Fate::Mixed(crash_at * 64 + seed * 2 + 1));
        for fate in [Fate::Kept, Fate::Lost].into_iter().chain(mixed) {
            let context = format!("crash at {crash_at} of {operations}, {fate:?}");
            let after = disk.crashed(fate);
            let first = check(&after, &written, &progress, &context);
            let again = after.crashed(Fate::Lost);
            let second = check(&again, &written, &progress, &context);
            assert_eq!((second.origin, second.log_end), (first.origin, first.log_end), "{context}");
        }
    }
}

#[test]
fn a_crash_of_the_start_behind_a_purge_is_recovered_from() {
    let written = written();
    let disk = prepared(&written);
    let before = disk.world().operations;
    live(&disk, &written);
    let operations = disk.world().operations - before;
    for crash_at in (0..operations).step_by(5) {
        let disk = prepared(&written);
        let at = disk.world().operations + crash_at;
        disk.world().crash_at = Some(at);
        let mut progress = live(&disk, &written);
        progress.durable = progress.durable.max(written.half.end());
        for recovery_crash in 0..40 {
            let after = disk.crashed(Fate::Mixed(crash_at | 1));
            after.world().crash_at = Some(recovery_crash);
            let opened = open(&after).is_ok();
            let context = format!("crash at {crash_at}, then at {recovery_crash}");
            let again = after.crashed(Fate::Mixed(recovery_crash * 2 + 1));
            check(&again, &written, &progress, &context);
            if opened {
                break;
            }
        }
    }
}

#[test]
fn what_is_not_durable_or_lies_before_the_beginning_is_not_purged() {
    let written = written();
    let disk = prepared(&written);
    let (mut life, _) = Life::begin(&disk).unwrap();
    let ahead = SnapshotPoint { position: written.half.end().plus(8), ..written.points[1] };
    life.syncer.purge(ahead).unwrap();
    assert_eq!(segments(&disk)[0], 0);
    life.syncer.purge(written.points[1]).unwrap();
    let left = segments(&disk);
    life.syncer.purge(written.points[0]).unwrap();
    assert_eq!(segments(&disk), left);
    drop(life);
    assert_eq!(open(&disk).unwrap().1.origin, written.points[1]);
}

#[test]
fn a_log_whose_beginning_nothing_stands_for_is_refused_by_name() {
    let written = written();
    let disk = prepared(&written);
    live(&disk, &written);
    let [_, older, newer] = written.points;
    let break_one = |disk: &MemoryDisk, point: SnapshotPoint| {
        disk.edit(&snapshot_path(point.position), |bytes| bytes[(4 << 10) + 20] ^= 1);
    };
    // The newest is broken: the one before stands exactly at the beginning.
    break_one(&disk, newer);
    let (archive, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.snapshot.unwrap().point, older);
    assert_eq!(archive.repairs().snapshots.len(), 1);
    drop(archive);
    break_one(&disk, older);
    let error = open(&disk).unwrap_err();
    let ArchiveError::NoSnapshot { origin, .. } = error else { panic!("{error}") };
    assert_eq!(origin, older.position);
    assert!(error.to_string().contains("rejoin with an empty directory"), "{error}");
}

#[test]
fn a_record_or_a_segment_that_is_missing_is_named() {
    let written = written();
    let disk = prepared(&written);
    live(&disk, &written);
    let path = |name: &str| Path::new(DIRECTORY).join(name);
    // One copy heals the other.
    let one = disk.crashed(Fate::Kept);
    one.edit(&path("origin.0"), |bytes| bytes[20] ^= 1);
    let (archive, recovered) = open(&one).unwrap();
    assert_eq!(archive.repairs().copies, ["origin"]);
    assert_eq!(recovered.origin, written.points[1]);
    let both = disk.crashed(Fate::Kept);
    for name in ["origin.0", "origin.1"] {
        both.edit(&path(name), |bytes| bytes[20] ^= 1);
    }
    assert!(matches!(open(&both), Err(ArchiveError::Unreadable { .. })));
    for name in ["origin.0", "origin.1"] {
        both.forget(&path(name));
    }
    let error = open(&both).unwrap_err();
    assert!(matches!(&error, ArchiveError::Missing { path: found } if *found == path("origin.0")));
    let first = segments(&disk)[0];
    let gone = disk.crashed(Fate::Kept);
    gone.forget(&segment(Path::new(DIRECTORY), first));
    let error = open(&gone).unwrap_err();
    let expected = segment(Path::new(DIRECTORY), first);
    assert!(matches!(&error, ArchiveError::Missing { path } if *path == expected), "{error}");
}

#[test]
fn a_purge_without_space_leaves_the_old_beginning_and_is_done_later() {
    let written = written();
    let disk = prepared(&written);
    let (mut life, _) = Life::begin(&disk).unwrap();
    disk.world().write_bytes_left = Some(10);
    let error = life.syncer.purge(written.points[0]).unwrap_err();
    assert!(matches!(error, ArchiveError::Full { .. }), "{error}");
    assert_eq!(segments(&disk)[0], 0);
    disk.world().write_bytes_left = None;
    life.syncer.purge(written.points[1]).unwrap();
    assert!(segments(&disk)[0] > 0);
    life.write(&written.log).unwrap();
}

#[test]
fn a_log_that_begins_at_the_end_of_a_segment_keeps_the_one_before() {
    let mut log = Builder::with_messages(4, 700);
    let fill = (4 << 10) - log.end().0 % (4 << 10);
    let overhead = quorate_core::frame::frame_bytes(
        &quorate_core::frame::Body::Message {
            session: quorate_core::SessionId(8),
            sequence: 1,
            time: LogTime(1),
        },
        0,
    );
    log.message((fill - overhead) as usize);
    assert_eq!(log.end().0 % (4 << 10), 0);
    let edge = point(&log);
    let whole = log.clone();
    let disk = MemoryDisk::default();
    init_on(&disk, Path::new(DIRECTORY), &identity()).unwrap();
    let (mut life, mut snapshots) = Life::begin(&disk).unwrap();
    adopt(&mut life.writer, &mut life.syncer, &log.history, Position::ZERO).unwrap();
    life.write(&whole).unwrap();
    snapshots.store(&snapshot(edge), b"state", None).unwrap();
    life.purge(edge).unwrap();
    let last = edge.position.0 / (4 << 10) - 1;
    assert_eq!(segments(&disk)[0], last, "the byte before the beginning is there");
    drop((life, snapshots));
    let (archive, recovered) = open(&disk.crashed(Fate::Lost)).unwrap();
    assert_eq!((recovered.origin, recovered.log_end), (edge, edge.position));
    assert_eq!(recovered.chain, edge.chain);
    drop(archive);
}

#[test]
fn the_mark_that_is_durable_does_not_go_with_its_segment() {
    let written = written();
    let disk = prepared(&written);
    let (mut life, mut snapshots) = Life::begin(&disk).unwrap();
    // The newest mark becomes durable with the next batch; the one before goes with its segment.
    life.write(&written.log).unwrap();
    snapshots.store(&snapshot(written.points[2]), b"state", None).unwrap();
    life.purge(written.points[2]).unwrap();
    assert!(segments(&disk)[0] > written.half.end().0 / (4 << 10));
    drop((life, snapshots));
    let after = disk.crashed(Fate::Lost);
    let (archive, recovered) = open(&after).unwrap();
    assert_eq!((recovered.origin, recovered.log_end), (written.points[2], written.log.end()));
    assert_eq!(archive.repairs().wiped, None);
    drop(archive);
    // Damage below what it says is durable is damage, not a torn tail.
    let last = written.log.end().0 / (4 << 10);
    let within = written.log.end().0 as usize % (4 << 10) - 100;
    let path = segment(Path::new(DIRECTORY), last);
    after.edit(&path, |bytes| bytes[super::builder::LOG_AT + within] ^= 1);
    assert!(matches!(open(&after), Err(ArchiveError::Damaged { .. })));
}
