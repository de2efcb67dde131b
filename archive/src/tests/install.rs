//! A snapshot of another member: fetched, checked and installed, whatever the disk does.

use std::path::{Path, PathBuf};

use quorate_core::{
    PeerRecord, Position, PositionRange, Recovered, SnapshotManifest, SnapshotPoint,
};

use super::builder::{Builder, OPTIONS, adopt, append, identity, segment};
use super::purge::{open, point, segments, snapshot, snapshot_path, written};
use crate::error::ArchiveError;
use crate::memory::{Fate, MemoryDisk};
use crate::{Archive, Snapshots, describe_on, init_on, salvage_on};

const DIRECTORY: &str = "/member";
const SEGMENT: u64 = 4 << 10;
/// More than two chunks.
const SERVICE_BYTES: usize = 140_001;

/// A log that all have purged, and a member that lacks its end.
struct Case {
    name: &'static str,
    whole: Builder,
    /// What the member has of it, and where that begins.
    own: Builder,
    origin: SnapshotPoint,
    fetched: Fetched,
}

/// What others send.
struct Fetched {
    manifest: SnapshotManifest,
    stream: Vec<u8>,
}

fn service() -> Vec<u8> {
    (0..SERVICE_BYTES).map(|at| (at * 31 % 253) as u8).collect()
}

/// A member that has all of `log`, with a snapshot at `point`.
fn source(log: &Builder, point: SnapshotPoint) -> MemoryDisk {
    let disk = MemoryDisk::default();
    init_on(&disk, Path::new(DIRECTORY), &identity()).unwrap();
    begin(&disk, log, SnapshotPoint::default());
    let (archive, _) = open(&disk).unwrap();
    archive.snapshots().store(&snapshot(point), &service(), None).unwrap();
    disk
}

fn fetched(disk: &MemoryDisk, point: SnapshotPoint) -> Fetched {
    let (_, _, reader) = open(disk).unwrap().0.split();
    let mut stream = Vec::new();
    let range = PositionRange::new(Position::ZERO, Position(1 << 20));
    let manifest = reader.read_snapshot(point.position, range, &mut stream).unwrap();
    assert_eq!(stream.len() as u64, manifest.stream_end().0);
    Fetched { manifest, stream }
}

/// A life that writes `log`, and purges what is before `origin`.
fn begin(disk: &MemoryDisk, log: &Builder, origin: SnapshotPoint) {
    let (archive, _) = open(disk).unwrap();
    let mut snapshots = archive.snapshots();
    let (mut writer, mut syncer, _) = archive.split();
    adopt(&mut writer, &mut syncer, &log.history, Position::ZERO).unwrap();
    append(&mut writer, log).unwrap();
    syncer.sync().unwrap();
    if origin.position > Position::ZERO {
        snapshots.store(&snapshot(origin), b"state", None).unwrap();
        syncer.purge(origin).unwrap();
    }
}

/// The beginning of `log` up to `end`, under all of its history.
fn up_to(log: &Builder, end: u64) -> Builder {
    let mut part = log.clone();
    part.bytes.truncate(end as usize);
    part.ends.retain(|frame_end| *frame_end <= end);
    part
}

/// A log with a frame that ends where a segment does: there stands the snapshot.
fn with_an_edge() -> (Builder, SnapshotPoint) {
    let mut log = Builder::with_messages(8, 700);
    let fill = SEGMENT - log.end().0 % SEGMENT;
    let body = quorate_core::frame::Body::Message {
        session: quorate_core::SessionId(8),
        sequence: 1,
        time: quorate_core::LogTime(1),
    };
    let overhead = quorate_core::frame::frame_bytes(&body, 0);
    log.message((fill - overhead) as usize);
    assert_eq!(log.end().0 % SEGMENT, 0);
    let edge = point(&log);
    (0..3).for_each(|_| log.message(700));
    (log, edge)
}

/// A log in one segment, and where two snapshots stand in it.
fn in_one_segment() -> (Builder, [SnapshotPoint; 2]) {
    let mut log = Builder::with_messages(8, 700);
    log.message(100);
    let early = point(&log);
    (0..2).for_each(|_| log.message(100));
    let late = point(&log);
    (0..3).for_each(|_| log.message(700));
    let [one, two] = [early, late].map(|point| (point.position.0 - 1) / SEGMENT);
    assert!(one == two && one > 0);
    (log, [early, late])
}

fn cases() -> Vec<Case> {
    let written = written();
    let stands = written.points[2];
    let at = stands.position.0;
    let far = fetched(&source(&written.log, stands), stands);
    let before = |end: u64| up_to(&written.log, written.log.whole_below(end));
    let nowhere = SnapshotPoint::default();
    let (edged, edge) = with_an_edge();
    let (close, [early, late]) = in_one_segment();
    let case = |name, own, origin| Case {
        name,
        whole: written.log.clone(),
        own,
        origin,
        fetched: Fetched { manifest: far.manifest, stream: far.stream.clone() },
    };
    let same = before(at - 1);
    assert_eq!((same.end().0 - 1) / SEGMENT, (at - 1) / SEGMENT, "the segment of the snapshot");
    vec![
        case("half of it", written.half.clone(), nowhere),
        case("nothing", up_to(&written.log, 0), nowhere),
        case("all but a frame", same, nowhere),
        case("half of it, purged", written.half.clone(), written.points[1]),
        Case {
            name: "the segment that it begins in",
            own: up_to(&close, close.whole_below(late.position.0 - 1)),
            origin: early,
            fetched: fetched(&source(&close, late), late),
            whole: close,
        },
        Case {
            name: "an edge",
            own: up_to(&edged, edged.whole_below(edge.position.0 - 1)),
            origin: nowhere,
            fetched: fetched(&source(&edged, edge), edge),
            whole: edged,
        },
    ]
}

impl Case {
    fn disk(&self) -> MemoryDisk {
        let disk = MemoryDisk::default();
        init_on(&disk, Path::new(DIRECTORY), &identity()).unwrap();
        begin(&disk, &self.own, self.origin);
        disk
    }

    fn point(&self) -> SnapshotPoint {
        self.fetched.manifest.point
    }

    /// Fetches and checks it, in parts of any size.
    fn fetch(&self, snapshots: &mut Snapshots<MemoryDisk>) -> Result<(), ArchiveError> {
        let Fetched { manifest, stream } = &self.fetched;
        let mut at = 0;
        for bytes in [8, 40, 65_536 - 64, 8, 70_000, 1 << 20] {
            let end = stream.len().min(at + bytes);
            snapshots.keep(manifest, at as u64, &stream[at..end])?;
            at = end;
        }
        let core = snapshots.check(manifest)?;
        assert_eq!(core, snapshot(self.point()).core);
        Ok(())
    }

    /// A life that installs it; whether it did, and whether it tried.
    fn install(&self, disk: &MemoryDisk) -> (bool, bool) {
        let Ok((archive, _)) = open(disk) else { return (false, false) };
        let mut snapshots = archive.snapshots();
        let (_, mut syncer, _) = archive.split();
        if self.fetch(&mut snapshots).is_err() {
            return (false, false);
        }
        (syncer.install(&self.fetched.manifest).is_ok(), true)
    }

    /// What a start finds: the log as it was, or the new beginning. Returns whether it is new.
    fn check(&self, disk: &MemoryDisk, context: &str) -> bool {
        let (mut archive, recovered) =
            open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
        let Recovered { origin, log_end, chain, .. } = recovered;
        let is_new = origin == self.point();
        if is_new {
            assert_eq!((log_end, chain), (origin.position, origin.chain), "{context}");
            assert_eq!(recovered.log_time, origin.time, "{context}");
            assert_eq!(recovered.snapshot.unwrap().core, snapshot(origin).core, "{context}");
            assert!(archive.take_service_state() == Some(service()), "{context}: the service's");
        } else {
            assert_eq!((origin, log_end), (self.origin, self.own.end()), "{context}");
        }
        assert_eq!(recovered.history, self.whole.history, "{context}");
        let first = origin.position.0.saturating_sub(1) / SEGMENT;
        assert_eq!(segments(disk)[0], first, "{context}");
        let names = disk.files();
        let left = |name: &&PathBuf| {
            name.extension().is_some_and(|extension| extension == "new" || extension == "begin")
        };
        assert_eq!(names.iter().find(left), None, "{context}");
        is_new
    }

    /// The member goes on from what it has up to the end of the log.
    fn go_on(&self, disk: &MemoryDisk, context: &str) {
        let (archive, recovered) = open(disk).unwrap();
        let origin = recovered.origin.position;
        let (mut writer, mut syncer, _) = archive.split();
        append(&mut writer, &self.whole).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(syncer.sync().unwrap(), self.whole.end(), "{context}");
        drop((writer, syncer));
        let (archive, recovered) = open(&disk.crashed(Fate::Lost)).unwrap();
        assert_eq!((recovered.origin.position, recovered.log_end), (origin, self.whole.end()));
        assert_eq!(recovered.chain, self.whole.chain, "{context}");
        let (_, _, reader) = archive.split();
        let mut bytes = Vec::new();
        reader.read(PositionRange::new(origin, self.whole.end()), &mut bytes).unwrap();
        assert!(bytes == self.whole.bytes[origin.0 as usize..], "{context}: other bytes");
    }
}

#[test]
fn an_installed_snapshot_is_where_the_log_begins_and_goes_on() {
    for case in cases() {
        let disk = case.disk();
        assert_eq!(case.install(&disk), (true, true), "{}", case.name);
        for fate in [Fate::Kept, Fate::Lost] {
            let after = disk.crashed(fate);
            // Nobody has opened it yet: a look at it changes nothing, and finds nothing wrong.
            let (files, before) = (after.files(), after.world().operations);
            let described = describe_on(&after, Path::new(DIRECTORY), &OPTIONS).unwrap();
            let found = (described.origin, described.log_end, &described.problems[..]);
            assert_eq!(found, (case.point(), case.point().position, &[][..]), "{}", case.name);
            assert_eq!((after.files(), after.world().operations), (files, before));
            assert!(case.check(&after, case.name), "{}: {fate:?}", case.name);
            assert!(case.check(&after, case.name), "{}: {fate:?}, again", case.name);
            let count = segments(&after).len();
            // Its own, the one of the next byte if that is another, and one ahead.
            assert!(count <= 3, "{}: {count} segments", case.name);
            case.go_on(&after, case.name);
        }
    }
}

#[test]
fn e78_every_crash_of_an_installation_leaves_the_old_log_or_the_new_beginning() {
    let (mut old, mut new) = (0, 0);
    for case in cases() {
        let disk = case.disk();
        let before = disk.world().operations;
        assert_eq!(case.install(&disk), (true, true));
        let operations = disk.world().operations - before;
        assert!(operations > 30, "{operations}");
        for crash_at in 0..=operations {
            let disk = case.disk();
            let at = disk.world().operations + crash_at;
            disk.world().crash_at = Some(at);
            let (installed, tried) = case.install(&disk);
            let mixed = (0..2).map(|seed| Fate::Mixed(crash_at * 64 + seed * 2 + 1));
            for fate in [Fate::Kept, Fate::Lost].into_iter().chain(mixed) {
                let name = case.name;
                let context = format!("{name}: crash at {crash_at} of {operations}, {fate:?}");
                let after = disk.crashed(fate);
                let is_new = case.check(&after, &context);
                assert!(is_new || !installed, "{context}: it was reported");
                assert!(tried || !is_new, "{context}: nobody has asked for it");
                *(if is_new { &mut new } else { &mut old }) += 1;
                let again = after.crashed(Fate::Lost);
                assert_eq!(case.check(&again, &context), is_new, "{context}");
                if !is_new && matches!(fate, Fate::Lost) {
                    // What a crash undid is done again.
                    assert_eq!(case.install(&again), (true, true), "{context}");
                    assert!(case.check(&again, &context), "{context}");
                }
                case.go_on(&again, &context);
            }
        }
    }
    assert!(old > 300 && new > 60, "{old} old, {new} new");
}

#[test]
fn e78_a_crash_of_the_start_behind_an_installation_is_recovered_from() {
    for case in cases() {
        let disk = case.disk();
        let before = disk.world().operations;
        case.install(&disk);
        let operations = disk.world().operations - before;
        for crash_at in operations - 14..=operations {
            let disk = case.disk();
            let at = disk.world().operations + crash_at;
            disk.world().crash_at = Some(at);
            let (installed, _) = case.install(&disk);
            let fate = Fate::Mixed(crash_at | 1);
            let expected = case.check(&disk.crashed(fate), case.name);
            for recovery_crash in 0..60 {
                let after = disk.crashed(fate);
                after.world().crash_at = Some(recovery_crash);
                let opened = open(&after).is_ok();
                let name = case.name;
                let context = format!("{name}: crash at {crash_at}, then at {recovery_crash}");
                let again = after.crashed(Fate::Mixed(recovery_crash * 2 + 1));
                assert_eq!(case.check(&again, &context), expected, "{context}");
                assert!(expected || !installed, "{context}");
                case.go_on(&again, &context);
                if opened {
                    break;
                }
            }
        }
    }
}

#[test]
fn e79_a_fetched_snapshot_has_the_bytes_of_the_one_that_was_taken() {
    let case = &cases()[0];
    let path = snapshot_path(case.point().position);
    let taken = source(&case.whole, case.point()).content(&path).unwrap();
    let disk = case.disk();
    case.install(&disk);
    assert!(disk.content(&path).unwrap() == taken);
}

#[test]
fn what_was_said_is_not_installed_when_other_bytes_came() {
    let case = &cases()[0];
    let disk = case.disk();
    let (archive, _) = open(&disk).unwrap();
    let mut snapshots = archive.snapshots();
    let (mut writer, mut syncer, _) = archive.split();
    let files = disk.files();
    let Fetched { manifest, stream } = &case.fetched;
    let refused = |error: ArchiveError, expected: &str| {
        assert!(matches!(error, ArchiveError::Snapshot { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    // Each byte counts; so does each of what was said, and that all of it is there.
    for at in [0, 39, 40, 65_535, 65_536, manifest.bytes() as usize - 1] {
        let mut other = stream.clone();
        other[at] ^= 1;
        snapshots.keep(manifest, 0, &other).unwrap();
        refused(snapshots.check(manifest).unwrap_err(), "another digest");
        assert_eq!(disk.files(), files, "byte {at}");
    }
    let more = SnapshotManifest { service_bytes: manifest.service_bytes - 1, ..*manifest };
    snapshots.keep(&more, 0, stream).unwrap();
    refused(snapshots.check(manifest).unwrap_err(), "was not kept");
    snapshots.keep(manifest, 0, &stream[..70_000]).unwrap();
    refused(snapshots.check(manifest).unwrap_err(), "up to its end");
    snapshots.keep(manifest, 0, &stream[..800]).unwrap();
    refused(snapshots.keep(manifest, 792, &stream[792..]).unwrap_err(), "where a part begins");
    refused(snapshots.keep(manifest, 800, &stream[800..]).unwrap_err(), "where a part begins");
    let huge = SnapshotManifest { service_bytes: u64::MAX - 4, ..*manifest };
    refused(snapshots.keep(&huge, 0, stream).unwrap_err(), "larger than a file");
    assert_eq!(disk.files(), files);
    // Neither is one that was not checked, or was dropped, or would lead back.
    assert!(syncer.install(manifest).is_err());
    snapshots.keep(manifest, 0, stream).unwrap();
    refused(syncer.install(manifest).unwrap_err(), "damaged manifest");
    snapshots.check(manifest).unwrap();
    refused(syncer.install(&more).unwrap_err(), "another one");
    snapshots.discard();
    assert!(syncer.install(manifest).is_err());
    case.fetch(&mut snapshots).unwrap();
    append(&mut writer, &up_to(&case.whole, case.point().position.0)).unwrap();
    let error = syncer.install(manifest).unwrap_err();
    assert!(matches!(error, ArchiveError::NotAhead { .. }), "{error}");
    syncer.sync().unwrap();
}

/// A member of a volatile group says then that the snapshot stands for all that it had promised.
#[test]
fn after_an_installation_the_records_of_peers_can_be_replaced() {
    let case = &cases()[0];
    let disk = case.disk();
    let (archive, _) = open(&disk).unwrap();
    let mut snapshots = archive.snapshots();
    let (writer, mut syncer, reader) = archive.split();
    let mark = PeerRecord { acknowledged: Position::MAX, ..PeerRecord::default() };
    syncer.persist_peers(&[mark]).unwrap();
    case.fetch(&mut snapshots).unwrap();
    syncer.install(&case.fetched.manifest).unwrap();
    syncer.persist_peers(&[]).unwrap();
    drop((writer, syncer, snapshots, reader));
    let crashed = disk.crashed(Fate::Lost);
    assert_eq!(open(&crashed).unwrap().1.peers, []);
    assert!(case.check(&crashed, "the next life"));
}

#[test]
fn after_an_installation_an_archive_takes_no_log() {
    let case = &cases()[0];
    let disk = case.disk();
    let (archive, _) = open(&disk).unwrap();
    let mut snapshots = archive.snapshots();
    let (mut writer, mut syncer, reader) = archive.split();
    case.fetch(&mut snapshots).unwrap();
    syncer.install(&case.fetched.manifest).unwrap();
    assert!(append(&mut writer, &case.whole).is_err());
    let refused = [
        syncer.sync().map(|_| ()).unwrap_err(),
        syncer.install(&case.fetched.manifest).unwrap_err(),
        snapshots.store(&snapshot(case.point()), b"", None).unwrap_err(),
        snapshots.keep(&case.fetched.manifest, 0, &[]).unwrap_err(),
    ];
    assert!(refused.iter().all(|error| matches!(error, ArchiveError::Installed)), "{refused:?}");
    let mut bytes = Vec::new();
    assert_eq!(reader.read(PositionRange::at(Position::ZERO, 8), &mut bytes).unwrap(), 0);
    drop((writer, syncer, snapshots, reader));
    assert!(case.check(&disk, "the next life"));
}

#[test]
fn e48_a_full_disk_leaves_the_log_as_it_was() {
    let case = &cases()[0];
    let run = |room: usize| {
        let disk = case.disk();
        let (archive, _) = open(&disk).unwrap();
        let mut snapshots = archive.snapshots();
        let (mut writer, mut syncer, _) = archive.split();
        let files = disk.files();
        disk.world().write_bytes_left = Some(room);
        let kept = case.fetch(&mut snapshots);
        let result = kept.and_then(|()| syncer.install(&case.fetched.manifest));
        disk.world().write_bytes_left = None;
        let Err(error) = result else { return None };
        assert!(matches!(error, ArchiveError::Full { .. }), "{room}: {error}");
        snapshots.discard();
        let is_usable = syncer.is_usable();
        if is_usable {
            assert_eq!(disk.files(), files, "{room}");
            append(&mut writer, &case.whole).unwrap();
            assert_eq!(syncer.sync().unwrap(), case.whole.end());
        } else {
            // The record of the origin: nobody knows where the log begins.
            assert!(append(&mut writer, &case.whole).is_err());
            drop((writer, syncer, snapshots));
            case.check(&disk, "full");
        }
        Some(is_usable)
    };
    let enough = (0..).map(|step| step * 1_024).find(|room| run(*room).is_none()).unwrap();
    assert!(enough > SERVICE_BYTES);
    // The last things that are written are the segment's front and mark, and the two records.
    let last: Vec<_> = (enough - 1_500..enough).step_by(16).filter_map(run).collect();
    let refused = last.iter().filter(|is_usable| **is_usable).count();
    assert!(refused > 5 && last.len() > refused, "{refused} of {} refused", last.len());
    // What is claimed is compared with what is free, and not taken.
    let disk = case.disk();
    let mut snapshots = open(&disk).unwrap().0.snapshots();
    disk.world().free = Some(100_000);
    let error = snapshots.keep(&case.fetched.manifest, 0, &case.fetched.stream[..8]).unwrap_err();
    assert!(matches!(error, ArchiveError::Full { .. }), "{error}");
    assert_eq!(disk.world().free, Some(100_000));
    disk.world().free = Some(1 << 20);
    snapshots.keep(&case.fetched.manifest, 0, &case.fetched.stream[..8]).unwrap();
    assert_eq!(disk.world().free, Some(1 << 20), "what came is not a chunk yet");
}

#[test]
fn e43_whatever_call_fails_the_next_start_finds_the_old_log_or_the_new_beginning() {
    let case = &cases()[0];
    let fail = |disk: &MemoryDisk, kind: usize, after: u64| {
        let mut world = disk.world();
        match kind {
            0 => world.writes_left = Some(after),
            1 => world.syncs_left = Some(after),
            _ => world.directory_syncs_left = Some(after),
        }
    };
    let mut failures = 0;
    for kind in 0..3 {
        for after in 0..40 {
            let disk = case.disk();
            let (archive, _) = open(&disk).unwrap();
            let mut snapshots = archive.snapshots();
            let (_, mut syncer, _) = archive.split();
            fail(&disk, kind, after);
            let kept = case.fetch(&mut snapshots);
            let result = kept.and_then(|()| syncer.install(&case.fetched.manifest));
            drop((snapshots, syncer));
            for fate in [Fate::Kept, Fate::Lost, Fate::Mixed(after * 2 + 1)] {
                let context = format!("kind {kind}, {after} succeed, {fate:?}: {result:?}");
                let after = disk.crashed(fate);
                let is_new = case.check(&after, &context);
                assert!(is_new || result.is_err(), "{context}");
                case.go_on(&after, &context);
            }
            if result.is_ok() {
                break;
            }
            failures += 1;
            assert!(after < 39, "kind {kind}");
        }
    }
    assert!(failures > 10, "{failures}");
}

#[test]
fn a_range_of_a_stored_snapshot_is_served_and_rot_is_not() {
    let case = &cases()[0];
    let disk = source(&case.whole, case.point());
    let Fetched { manifest, stream } = &case.fetched;
    let at = manifest.point.position;
    let read = |disk: &MemoryDisk, start: u64, end: u64| {
        let (_, _, reader) = open(disk).unwrap().0.split();
        let mut bytes = vec![7; 3];
        let range = PositionRange::new(Position(start), Position(end));
        let said = reader.read_snapshot(at, range, &mut bytes);
        assert!(said.is_ok() || bytes.is_empty());
        said.map(|said| (said, bytes))
    };
    let (chunk, end) = (64 << 10, stream.len() as u64);
    assert_ne!(manifest.bytes(), end, "there are zeros at its end");
    for start in [0, 8, 40, chunk - 8, chunk, chunk + 8, 2 * chunk, end - 8, end] {
        for length in [0, 8, 1_408, chunk - 8, chunk, chunk + 8, 1 << 20] {
            let (said, bytes) = read(&disk, start, start + length).unwrap();
            let expected = &stream[start as usize..end.min(start + length) as usize];
            assert!(said == *manifest && bytes == expected, "{start} and {length}");
        }
    }
    assert_eq!(read(&disk, end + 64, end + 128).unwrap().1, []);
    // A damaged chunk is not served, in whatever part of it; the others are.
    let rotten = disk.crashed(Fate::Kept);
    let path = snapshot_path(at);
    rotten.edit(&path, |bytes| bytes[(4 << 10) + 8 + (64 << 10) + 8 + 5_000] ^= 1);
    // A start would pass it over, and this one does; a member that runs is asked for it.
    for (start, is_served) in [(0, true), (chunk - 8, true), (chunk, false), (2 * chunk, true)] {
        assert_eq!(read(&rotten, start, start + 8).is_ok(), is_served, "{start}");
    }
    assert!(read(&rotten, chunk - 8, chunk + 8).is_err() && read(&rotten, 0, 0).is_ok());
    rotten.edit(&path, |bytes| bytes[60] ^= 1);
    assert!(read(&rotten, 0, 0).is_err(), "what it says is verified, too");
    rotten.forget(&path);
    assert!(read(&rotten, 0, 8).is_err());
}

#[test]
fn an_installed_archive_that_nobody_has_opened_can_be_salvaged() {
    let case = &cases()[0];
    let disk = case.disk();
    case.install(&disk);
    let (from, to) = (Path::new(DIRECTORY), Path::new("/salvaged"));
    let next = quorate_core::Incarnation(2);
    let salvaged = salvage_on(&disk, from, to, next, &OPTIONS).unwrap();
    let at = case.point().position;
    assert_eq!((salvaged.log_start, salvaged.log_end), (at, at));
    assert_eq!(salvaged.snapshots, [at]);
    let (_, recovered) = Archive::open_on(disk.clone(), to, &OPTIONS).unwrap();
    assert_eq!((recovered.origin, recovered.log_end), (case.point(), at));
    assert!(disk.content(&segment(to, (at.0 - 1) / SEGMENT)).is_some());
}
