//! Rot in bytes that nobody reads is found while the member runs, and written anew with the bytes
//! of others before the next life begins.

use std::path::Path;

use quorate_core::{LogTime, Position, PositionRange, Snapshot, SnapshotPoint, Term};

use quorate_core::snapshot::SNAPSHOT_VERSION;

use super::builder::{Builder, LOG_AT, OPTIONS, adopt, append, identity, segment};
use crate::memory::MemoryDisk;
use crate::{
    Archive, ArchiveError, Damage, Filled, Mending, PurgeError, Remedy, Scrub, Scrubbed, Snapshots,
    Syncer, Writer, init_on, plan_purge_on, purge_on, verify_on,
};

const DIRECTORY: &str = "/data";
/// Bytes of a step: less than a segment.
const STEP_BYTES: u64 = 1_000;

struct Running {
    disk: MemoryDisk,
    log: Builder,
    writer: Writer<MemoryDisk>,
    syncer: Syncer<MemoryDisk>,
    snapshots: Snapshots<MemoryDisk>,
    scrub: Scrub<MemoryDisk>,
}

/// Two terms in several segments.
fn log() -> Builder {
    let mut log = Builder::with_messages(20, 400);
    log.line(3);
    log.open();
    (0..12).for_each(|_| log.message(700));
    log
}

/// An open archive whose durable log is `log`.
fn running(log: Builder) -> Running {
    let disk = MemoryDisk::default();
    init_on(&disk, Path::new(DIRECTORY), &identity()).unwrap();
    let (archive, _) = Archive::open_on(disk.clone(), Path::new(DIRECTORY), &OPTIONS).unwrap();
    let (scrub, snapshots) = (archive.scrub(), archive.snapshots());
    let (mut writer, mut syncer, _) = archive.split();
    adopt(&mut writer, &mut syncer, &log.history, Position::ZERO).unwrap();
    append(&mut writer, &log).unwrap();
    syncer.sync().unwrap();
    Running { disk, log, writer, syncer, snapshots, scrub }
}

impl Running {
    /// Steps until the pass has ended, or damage was found; returns how many bytes were read.
    fn pass(&mut self) -> (u64, Vec<Damage>) {
        let (mut bytes, mut damages) = (0, Vec::new());
        for _ in 0..1_000 {
            let Scrubbed { bytes: read, damage, pass_ended } =
                self.scrub.step(self.log.end(), STEP_BYTES).unwrap();
            bytes += read;
            let stops = pass_ended || damage.as_ref().is_some_and(|damage| damage.is_log);
            damages.extend(damage);
            if stops {
                return (bytes, damages);
            }
        }
        panic!("no pass ends");
    }

    /// The directory as it is when the member has gone.
    fn gone(self) -> (MemoryDisk, Builder) {
        (self.disk, self.log)
    }
}

fn flip(disk: &MemoryDisk, at: u64) {
    let bytes = identity().segment_bytes;
    let path = segment(Path::new(DIRECTORY), at / bytes);
    disk.edit(&path, |file| file[LOG_AT + (at % bytes) as usize] ^= 0x40);
}

fn snapshot_at(frames: usize) -> Snapshot {
    let part = Builder::with_messages(frames - 1, 400);
    let point = SnapshotPoint {
        position: part.end(),
        term: part.history.last_term(),
        chain: part.chain,
        time: LogTime(part.time),
    };
    let mut core = SNAPSHOT_VERSION.to_le_bytes().to_vec();
    core.extend([0; 6]);
    for word in [point.position.0, point.term.0, point.chain.0, point.time.0] {
        core.extend_from_slice(&word.to_le_bytes());
    }
    Snapshot { point, core }
}

#[test]
fn a_scrub_reads_everything_again_and_again_and_finds_nothing_where_nothing_is_wrong() {
    let mut running = running(log());
    running.snapshots.store(&snapshot_at(4), &[7; 200_000], None).unwrap();
    let snapshot = 200_000 + snapshot_at(4).core.len() as u64;
    for _ in 0..2 {
        assert_eq!(running.pass(), (running.log.end().0 + snapshot, Vec::new()));
    }
    // What is not committed is not looked at: it may be cut, and is in memory.
    flip(&running.disk, running.log.ends[3]);
    let end = Position(running.log.ends[3]);
    let mut read = 0;
    loop {
        let step = running.scrub.step(end, STEP_BYTES).unwrap();
        assert_eq!(step.damage, None);
        read += step.bytes;
        if step.pass_ended {
            break;
        }
    }
    assert_eq!(read, end.0 + snapshot);
}

#[test]
fn e45_a_scrub_names_the_frame_that_has_rotted() {
    let log = log();
    let starts = core::iter::once(0).chain(log.ends.iter().copied());
    for (start, end) in starts.zip(log.ends.clone()) {
        let mut running = running(log.clone());
        assert_eq!(running.pass().1, []);
        flip(&running.disk, start + (end - start) / 2);
        let (_, damages) = running.pass();
        let [damage] = damages.as_slice() else { panic!("{damages:?}") };
        let bytes = identity().segment_bytes;
        assert_eq!((damage.at, damage.is_log), (Position(start), true));
        assert_eq!(damage.path, segment(Path::new(DIRECTORY), start / bytes));
        assert_eq!(damage.offset, LOG_AT as u64 + start % bytes);
        // It does not go away by looking again, and the member's own work goes on.
        assert_eq!(running.pass().1, damages);
        running.syncer.sync().unwrap();
    }
}

#[test]
fn a_scrub_goes_on_behind_a_snapshot_that_has_rotted() {
    let mut running = running(log());
    for frames in [3, 4] {
        running.snapshots.store(&snapshot_at(frames), &[7; 200_000], None).unwrap();
    }
    let older = running.log.ends[2];
    let path = Path::new(DIRECTORY).join(format!("snapshots/{older:020}.snapshot"));
    running.disk.edit(&path, |file| file[4_096 + 70_000] ^= 1);
    let (bytes, damages) = running.pass();
    let [damage] = damages.as_slice() else { panic!("{damages:?}") };
    assert_eq!((damage.at, damage.is_log, &damage.path), (Position(older), false, &path));
    assert_eq!(damage.offset, 4_096 + 65_536 + 8, "the second chunk");
    assert!(bytes > running.log.end().0 + 200_000, "the newer one is read as well: {bytes}");
    running.disk.edit(&path, |file| file[20] ^= 1);
    assert!(running.pass().1[0].reason.contains("damaged manifest"));
}

#[test]
fn what_is_purged_or_cut_meanwhile_is_no_damage() {
    let mut running = running(log());
    for frames in [9, 18] {
        running.snapshots.store(&snapshot_at(frames), b"state", None).unwrap();
    }
    let _ = running.scrub.step(running.log.end(), STEP_BYTES).unwrap();
    running.syncer.purge(snapshot_at(9).point).unwrap();
    let (bytes, damages) = running.pass();
    assert_eq!(damages, []);
    assert!(bytes >= running.log.end().0 - snapshot_at(9).point.position.0, "{bytes}");
    // Another history, from what is committed on.
    let mut other = Builder { bytes: running.log.bytes.clone(), ..running.log.clone() };
    other.line(4);
    let cut = other.end();
    adopt(&mut running.writer, &mut running.syncer, &other.history, cut).unwrap();
    other.open();
    append(&mut running.writer, &other).unwrap();
    running.log = other;
    assert_eq!(running.pass().1, []);
}

/// Mends the log in `disk` with the bytes of `log`; returns where holes began.
fn mend(disk: &MemoryDisk, log: &Builder) -> Vec<u64> {
    let mut mending = Mending::open_on(disk.clone(), Path::new(DIRECTORY), &OPTIONS).unwrap();
    let mut holes = Vec::new();
    while let Some(hole) = mending.hole() {
        holes.push(hole.at.0);
        let rest = &log.bytes[hole.at.0 as usize..];
        let Filled::Short(length) = mending.fill(&rest[..16]).unwrap() else {
            panic!("a header alone is no frame")
        };
        assert_eq!(mending.fill(&rest[..length as usize - 8]).unwrap(), Filled::Short(length));
        assert_eq!(mending.fill(rest).unwrap(), Filled::Frame(length));
    }
    assert!(mending.life().boot_epoch.0 > 1);
    holes
}

/// Opens what was mended: the log is `log`.
fn opened(disk: &MemoryDisk, log: &Builder) {
    let (archive, recovered) =
        Archive::open_on(disk.clone(), Path::new(DIRECTORY), &OPTIONS).unwrap();
    assert_eq!((recovered.log_end, recovered.chain), (log.end(), log.chain));
    let (_, _, reader) = archive.split();
    let mut bytes = Vec::new();
    reader.read(PositionRange::new(Position::ZERO, log.end()), &mut bytes).unwrap();
    assert_eq!(bytes, log.bytes);
}

#[test]
fn e45_what_has_rotted_is_written_anew_and_nothing_else() {
    let (disk, log) = running(log()).gone();
    let starts: Vec<u64> = core::iter::once(0).chain(log.ends.iter().copied()).collect();
    // An opening frame, two neighbours, and one that reaches into the next segment.
    let across = starts.windows(2).position(|pair| pair[0] / 4_096 < (pair[1] - 1) / 4_096);
    let mut rotten = vec![0, 5, 6, across.unwrap(), 21, starts.len() - 2];
    rotten.sort_unstable();
    rotten.dedup();
    for frame in &rotten {
        flip(&disk, starts[*frame] + 20);
    }
    let error = Archive::open_on(disk.clone(), Path::new(DIRECTORY), &OPTIONS).unwrap_err();
    assert!(error.is_mendable(), "{error}");
    let expected: Vec<u64> = rotten.iter().map(|frame| starts[*frame]).collect();
    assert_eq!(mend(&disk, &log), expected);
    opened(&disk, &log);
    assert_eq!(mend(&disk, &log), Vec::<u64>::new());
}

#[test]
fn e45_a_segment_of_zeros_is_written_anew() {
    let (disk, log) = running(log()).gone();
    disk.edit(&segment(Path::new(DIRECTORY), 1), |file| file[LOG_AT..].fill(0));
    assert!(mend(&disk, &log).len() > 3);
    opened(&disk, &log);
}

#[test]
fn false_bytes_are_not_written() {
    let (disk, log) = running(log()).gone();
    let at = log.ends[4];
    flip(&disk, at + 20);
    let path = segment(Path::new(DIRECTORY), at / 4_096);
    let before = disk.content(&path).unwrap();
    let mut mending = Mending::open_on(disk.clone(), Path::new(DIRECTORY), &OPTIONS).unwrap();
    let mut other = log.bytes[at as usize..].to_vec();
    other[30] ^= 1;
    assert_eq!(mending.fill(&other).unwrap(), Filled::False, "with another bit");
    other[30] ^= 1;
    assert_eq!(mending.fill(&other[496..]).unwrap(), Filled::False, "of another place");
    assert_eq!(mending.fill(&[0; 512]).unwrap(), Filled::False, "zeros");
    assert_eq!(mending.fill(&[0xff; 512]).unwrap(), Filled::False);
    let mut later = Builder::with_messages(4, 400);
    later.line(2);
    later.open();
    assert_eq!(later.ends[4], at);
    let foreign = later.bytes[at as usize..].to_vec();
    assert_eq!(mending.fill(&foreign).unwrap(), Filled::False, "of another term");
    assert_eq!(disk.content(&path).unwrap(), before);
    assert_eq!((mending.hole().unwrap().at.0, mending.mended_bytes()), (at, 0));
    drop(mending);
    let error = Archive::open_on(disk, Path::new(DIRECTORY), &OPTIONS).unwrap_err();
    assert!(matches!(error, ArchiveError::Damaged { .. }), "{error}");
}

#[test]
fn others_get_what_is_here_of_a_damaged_log_and_no_hole() {
    let (disk, log) = running(log()).gone();
    let at = log.ends[4];
    flip(&disk, at + 20);
    let mending = Mending::open_on(disk, Path::new(DIRECTORY), &OPTIONS).unwrap();
    let mut bytes = Vec::new();
    let mut read = |term, start, end| {
        let range = PositionRange::new(Position(start), Position(end));
        mending.read(Term(term), range, &mut bytes).unwrap();
        bytes.clone()
    };
    assert_eq!(read(1, 0, at), log.bytes[..at as usize]);
    let behind = log.ends[5];
    assert_eq!(read(1, behind, behind + 64), log.bytes[behind as usize..behind as usize + 64]);
    let slice = |start: u64, end: u64| &log.bytes[start as usize..end as usize];
    assert_eq!(read(1, at - 8, at + 8), slice(at - 8, at), "up to the hole");
    assert_eq!(read(1, at, at + 8), b"");
    assert_eq!(read(3, 0, at), b"", "of another term");
    let (end, turn) = (log.end().0, log.history.owner_end(Position::ZERO).unwrap().0);
    assert_eq!(read(1, behind, end), slice(behind, turn), "up to the next term");
    assert_eq!(read(3, end - 8, end + 8), slice(end - 8, end), "what there is");
    assert_eq!(read(3, end, end + 8), b"");
}

#[test]
fn a_purge_is_planned_and_refused_where_it_would_lose_anything() {
    let directory = Path::new(DIRECTORY);
    let points = [9, 14, 18].map(|frames| snapshot_at(frames).point);
    let purged = |snapshots: &[usize]| {
        let mut running = running(log());
        for frames in snapshots {
            running.snapshots.store(&snapshot_at(*frames), b"state", None).unwrap();
        }
        running.gone().0
    };
    let plan =
        |disk: &MemoryDisk, at: Option<Position>| plan_purge_on(disk, directory, at, &OPTIONS);
    let disk = purged(&[9, 18]);
    let found = plan(&disk, None).unwrap();
    assert_eq!(
        (found.from, found.to, found.newer),
        (Position::ZERO, points[0], points[2].position)
    );
    let count = (points[0].position.0 - 1) / 4_096;
    let segments: Vec<_> = (0..count).map(|index| segment(directory, index)).collect();
    assert_eq!(found.segments, segments);
    assert_eq!(found.bytes, count * (4_096 + LOG_AT as u64));
    assert!(segments.iter().all(|path| disk.content(path).is_some()), "a plan changes nothing");
    assert_eq!(plan(&disk, Some(points[0].position)).unwrap(), found);

    let newest = plan(&disk, Some(points[2].position)).unwrap_err();
    assert!(matches!(newest, PurgeError::Newest { .. }), "{newest}");
    let unknown = plan(&disk, Some(points[1].position)).unwrap_err();
    assert!(matches!(unknown, PurgeError::NoSnapshot { .. }), "{unknown}");
    let one = plan(&purged(&[9]), None).unwrap_err();
    assert!(matches!(one, PurgeError::Newest { .. }), "{one}");
    let none = plan(&purged(&[]), None).unwrap_err();
    assert!(matches!(none, PurgeError::NoSnapshot { .. }), "{none}");
    let rotten = purged(&[9, 18]);
    flip(&rotten, points[2].position.0 + 20);
    let refused = plan(&rotten, None).unwrap_err();
    assert!(matches!(refused, PurgeError::NotWhole { .. }), "{refused}");
    let rotten = purged(&[9, 18]);
    let path = directory.join(format!("snapshots/{:020}.snapshot", points[2].position.0));
    rotten.edit(&path, |file| file[4_100] ^= 1);
    let refused = plan(&rotten, None).unwrap_err();
    assert!(matches!(refused, PurgeError::NotWhole { .. }), "{refused}");
    // It rots between the plan and the deed.
    assert!(purge_on(&rotten, directory, &found, &OPTIONS).is_err());
    assert!(segments.iter().all(|path| rotten.content(path).is_some()));

    // A member has begun to work there since the plan was made.
    let (working, _) = Archive::open_on(disk.clone(), directory, &OPTIONS).unwrap();
    let locked = purge_on(&disk, directory, &found, &OPTIONS).unwrap_err();
    let is_locked = matches!(locked, PurgeError::Archive(ArchiveError::Locked { .. }));
    assert!(is_locked && segments.iter().all(|path| disk.content(path).is_some()), "{locked}");
    drop(working);

    purge_on(&disk, directory, &found, &OPTIONS).unwrap();
    assert!(segments.iter().all(|path| disk.content(path).is_none()));
    let (_, recovered) = Archive::open_on(disk.clone(), directory, &OPTIONS).unwrap();
    assert_eq!((recovered.origin, recovered.log_end), (points[0], log().end()));
    let again = plan(&disk, None).unwrap_err();
    assert!(matches!(again, PurgeError::Purged { from } if from == points[0].position), "{again}");
}

#[test]
fn a_verification_names_each_damage_and_what_to_do() {
    let mut running = running(log());
    running.snapshots.store(&snapshot_at(4), &[7; 200_000], None).unwrap();
    let (disk, log) = running.gone();
    let verify = || verify_on(&disk, Path::new(DIRECTORY), &OPTIONS).unwrap();
    let whole = verify();
    assert_eq!(whole.findings, []);
    assert_eq!((whole.log_end, whole.promised), (log.end(), log.end()));
    assert_eq!((whole.frames, whole.snapshots), (log.ends.len() as u64, 1));

    let frame = |index: usize| (log.ends[index - 1], log.ends[index]);
    // One in the first term, two neighbours in the second, the last.
    let last = log.ends.len() - 1;
    for index in [4, 25, 26, last] {
        flip(&disk, frame(index).0 + 30);
    }
    let snapshot = Path::new(DIRECTORY).join(format!("snapshots/{:020}.snapshot", log.ends[3]));
    disk.edit(&snapshot, |file| file[4_096 + 70_000] ^= 1);
    let vote = Path::new(DIRECTORY).join("vote.1");
    disk.edit(&vote, |file| file[0] ^= 1);
    let found = verify();
    let places: Vec<_> = found
        .findings
        .iter()
        .map(|finding| (finding.at.map(|at| at.0), finding.bytes, finding.remedy))
        .collect();
    let hole = |first: usize, last: usize| {
        let (start, end) = (frame(first).0, frame(last).1);
        (Some(start), Some(end - start), Remedy::Others)
    };
    assert_eq!(
        places,
        [
            (None, None, Remedy::Start),
            hole(4, 4),
            hole(25, 26),
            hole(last, last),
            (Some(log.ends[3]), None, Remedy::Snapshot),
        ]
    );
    let first = &found.findings[1];
    assert_eq!(first.path, segment(Path::new(DIRECTORY), frame(4).0 / 4_096));
    assert_eq!(first.offset, LOG_AT as u64 + frame(4).0 % 4_096);
    assert_eq!((&found.findings[0].path, &found.findings[4].path), (&vote, &snapshot));
    assert_eq!((found.frames, found.snapshots), (whole.frames - 4, 0));
    assert_eq!(disk.content(&vote).unwrap()[0], b'Q' ^ 1, "nothing was changed");

    disk.forget(&segment(Path::new(DIRECTORY), 2));
    let found = verify();
    let missing = found.findings.iter().find(|finding| finding.remedy == Remedy::Repair).unwrap();
    assert!(missing.what.contains("is missing"), "{missing:?}");
}
