//! Backups: whole or not there, and directories of a new group that are made of one.

use std::path::{Path, PathBuf};

use quorate_core::snapshot::SNAPSHOT_VERSION;
use quorate_core::{
    BootEpoch, GroupId, Incarnation, MemberId, Position, Recovered, RecoveryEpoch, Snapshot,
    SnapshotError, SnapshotPoint, Term,
};

use super::builder::{Builder, LOG_AT, OPTIONS, adopt, append, identity, segment};
use crate::memory::{Fate, MemoryDisk};
use crate::{
    Archive, ArchiveError, Backup, BackupError, BackupPlan, Identity, Progress, Step, WholeBackup,
    back_up_on, describe_on, init_on, plan_backup_on, verify_on,
};

const DIRECTORY: &str = "/member";
const FILE: &str = "/backups/one";
/// Bytes before the chunks, and of those that the front takes.
const CHUNKS_AT: usize = 4 << 10;
const FRONT: usize = 48 + 24 + 64;
/// Bytes of the service's state: several chunks.
const STATE: usize = 200_000;

/// Where each frame of the log of nine messages ends.
fn log() -> Builder {
    Builder::with_messages(9, 100)
}

/// The core's part of a snapshot at the end of the first `frames` frames: a line of epoch 1, a
/// session with a reply, a timer, and a life that was readmitted.
fn snapshot(frames: usize) -> Snapshot {
    let mut part = Builder::default();
    part.line(1);
    part.open();
    (1..frames).for_each(|_| part.message(100));
    let (position, term, chain) = (part.end(), part.history.last_term(), part.chain);
    let point = SnapshotPoint { position, term, chain, time: quorate_core::LogTime(part.time) };
    let mut core = u64::from(SNAPSHOT_VERSION).to_le_bytes().to_vec();
    for word in [position.0, term.0, chain.0, part.time] {
        core.extend_from_slice(&word.to_le_bytes());
    }
    [1_u32; 4].iter().for_each(|count| core.extend_from_slice(&count.to_le_bytes()));
    let line = [1_u64, 0, 0, 1].map(u64::to_le_bytes).concat();
    core.extend_from_slice(&line);
    core.extend_from_slice(&[1_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat());
    core.extend_from_slice(&[0; 8]);
    let session = [8_u64, 77, 1, 1, 16, 5].map(u64::to_le_bytes).concat();
    core.extend_from_slice(&session);
    core.extend_from_slice(b"reply");
    core.extend_from_slice(&[3_u64, 1 << 40].map(u64::to_le_bytes).concat());
    core.extend_from_slice(&[40_u64, 9].map(u64::to_le_bytes).concat());
    core.extend_from_slice(&[5, 0, 0, 0, 1, 0, 0, 0]);
    Snapshot { point, core }
}

fn state(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at as u64 * 31 % 251) as u8).collect()
}

/// A member with snapshots at the ends of its third and fifth frame.
fn member() -> MemoryDisk {
    let (disk, log) = (MemoryDisk::default(), log());
    init_on(&disk, Path::new(DIRECTORY), &identity()).unwrap();
    let (archive, _) = open(&disk, DIRECTORY).unwrap();
    let mut snapshots = archive.snapshots();
    let (mut writer, mut syncer, _) = archive.split();
    adopt(&mut writer, &mut syncer, &log.history, Position::ZERO).unwrap();
    append(&mut writer, &log).unwrap();
    syncer.sync().unwrap();
    for frames in [3, 5] {
        snapshots.store(&snapshot(frames), &state(STATE), None).unwrap();
    }
    disk.create("/backups");
    disk
}

trait Creates {
    fn create(&self, directory: &str);
}

impl Creates for MemoryDisk {
    fn create(&self, directory: &str) {
        crate::disk::Disk::create_directory(self, Path::new(directory)).unwrap();
    }
}

fn open(
    disk: &MemoryDisk,
    directory: &str,
) -> Result<(Archive<MemoryDisk>, Recovered), ArchiveError> {
    Archive::open_on(disk.clone(), Path::new(directory), &OPTIONS)
}

fn quiet(_: Progress) {}

fn plan(disk: &MemoryDisk, at: Option<Position>) -> Result<BackupPlan, BackupError> {
    plan_backup_on(disk, Path::new(DIRECTORY), at, &OPTIONS, &mut quiet)
}

fn back_up(disk: &MemoryDisk, plan: &BackupPlan) -> Result<Backup, BackupError> {
    back_up_on(disk, plan, Path::new(FILE), 1_700_000_000, &mut quiet)
}

fn read(disk: &MemoryDisk) -> Result<WholeBackup<MemoryDisk>, BackupError> {
    WholeBackup::open_on(disk, Path::new(FILE), &mut quiet)
}

/// A member of the group that is made of the backup.
fn new_member(member: u16) -> Identity {
    let voters = vec![MemberId(1), MemberId(5), MemberId(6)];
    Identity { group: GroupId(0xbead), member: MemberId(member), voters, ..identity() }
}

/// A disk with a backup of the newest snapshot.
fn backed_up() -> MemoryDisk {
    let disk = member();
    back_up(&disk, &plan(&disk, None).unwrap()).unwrap();
    disk
}

#[test]
fn sn18_members_that_are_made_of_one_backup_have_its_state_and_another_identity() {
    let disk = member();
    let planned = plan(&disk, None).unwrap();
    let newest = snapshot(5);
    assert_eq!((planned.point, planned.log_end), (newest.point, log().end()));
    assert_eq!(planned.older, [snapshot(3).point.position.0]);
    assert_eq!(disk.content(Path::new(FILE)), None, "a plan changes nothing");
    let taken = back_up(&disk, &planned).unwrap();
    // It is durable, and the member's directory is not needed any more.
    let disk = disk.crashed(Fate::Lost);
    assert_eq!(disk.content(Path::new(FILE)).unwrap().len() as u64, planned.bytes);
    let whole = read(&disk).unwrap();
    assert_eq!(*whole.backup(), taken);
    assert_eq!(taken.owner, identity().owner());
    assert_eq!((taken.taken_at_seconds, taken.log_end), (1_700_000_000, log().end()));
    assert_eq!((whole.seed().sessions, whole.seed().timers), (1, 1));

    let mut found = Vec::new();
    for member in [1, 5, 6] {
        let directory = format!("/new/{member}");
        whole.restore(Path::new(&directory), &new_member(member), &mut quiet).unwrap();
        let disk = disk.crashed(Fate::Lost);
        let verified = verify_on(&disk, Path::new(&directory), &OPTIONS).unwrap();
        assert!(verified.findings.is_empty() && verified.snapshots == 1, "{verified:?}");
        let (mut archive, recovered) = open(&disk, &directory).unwrap();
        assert_eq!(*archive.identity(), new_member(member));
        assert_eq!(archive.take_service_state(), Some(state(STATE)));
        assert_eq!((recovered.origin, recovered.log_end), (newest.point, newest.point.position));
        assert_eq!(recovered.life.boot_epoch, BootEpoch(1));
        assert_eq!((recovered.vote.term, recovered.peers.len()), (Term(0), 0));
        assert_eq!(recovered.history.last_epoch(), RecoveryEpoch(0));
        found.push((recovered.history, recovered.snapshot.unwrap().core));
    }
    assert!(found.iter().all(|one| *one == found[0]), "they are not level with each other");
    // All but the readmitted life is there, and the epoch of the line.
    let (old, new) = (&newest.core, &found[0].1);
    assert_eq!(new.len(), old.len() - 24);
    assert_eq!((new[52], new[56 + 36], old[56 + 36]), (0, 0, 1));
    assert_eq!(new[56 + 48..], old[56 + 48..old.len() - 24]);
}

#[test]
fn sn18_an_older_snapshot_is_taken_if_it_is_asked_for() {
    let disk = member();
    let older = snapshot(3).point;
    let planned = plan(&disk, Some(older.position)).unwrap();
    assert_eq!(planned.point, older);
    assert_eq!(back_up(&disk, &planned).unwrap().point, older);
    let none = plan(&disk, Some(Position(8))).unwrap_err();
    assert!(none.is_of_usage(), "{none}");
    let positions = format!("{:?}", [older.position.0, snapshot(5).point.position.0]);
    assert!(none.to_string().contains(&positions), "{none}");
}

#[test]
fn sn18_a_member_that_runs_is_backed_up_whatever_it_removes_meanwhile() {
    let disk = member();
    let (archive, _) = open(&disk, DIRECTORY).unwrap();
    let planned = plan(&disk, None).unwrap();
    let mut seen = Vec::new();
    let mut copies = 0;
    let taken = back_up_on(&disk, &planned, Path::new(FILE), 7, &mut |progress| {
        if copies == 0 {
            // Newer ones take its place while the first chunk is copied.
            for frames in [6, 7, 8] {
                archive.snapshots().store(&snapshot(frames), b"newer", None).unwrap();
            }
        }
        copies += 1;
        seen.push(progress);
    });
    assert_eq!(taken.unwrap().point, snapshot(5).point);
    assert!(seen.is_sorted_by_key(|progress| (progress.step != Step::Write, progress.done)));
    let last = seen.last().unwrap();
    assert_eq!((last.step, last.done), (Step::Verify, last.of));
    // Before it was opened, that is told.
    let other = Path::new("/backups/other");
    let removed = back_up_on(&disk, &planned, other, 7, &mut quiet).unwrap_err();
    assert!(matches!(removed, BackupError::Removed { .. }), "{removed}");
}

#[test]
fn sn18_whatever_is_not_as_it_was_written_is_noticed_before_anything_is_made() {
    let disk = backed_up();
    let length = disk.content(Path::new(FILE)).unwrap().len();
    let flips = (0..FRONT).chain((FRONT..CHUNKS_AT).step_by(61));
    let flips = flips.chain((CHUNKS_AT..length).step_by(457)).chain([length - 1]);
    let mut kinds = [0; 3];
    for at in flips {
        let disk = disk.crashed(Fate::Kept);
        disk.edit(Path::new(FILE), |bytes| bytes[at] ^= 0x10);
        match read(&disk).unwrap_err() {
            BackupError::NoBackup { .. } => kinds[0] += 1,
            BackupError::Damaged { offset, what, .. } => {
                let near = (offset as usize).abs_diff(at) <= 8 + (64 << 10);
                assert!(near, "byte {at}: {what} at {offset}");
                kinds[1] += 1;
            }
            other => panic!("byte {at}: {other}"),
        }
    }
    assert!(kinds[0] == FRONT && kinds[1] > 400, "{kinds:?}");
    for kept in [0, 40, 100, CHUNKS_AT, length - 1] {
        let disk = disk.crashed(Fate::Kept);
        disk.edit(Path::new(FILE), |bytes| bytes.truncate(kept));
        assert!(read(&disk).is_err(), "{kept} bytes");
    }
    disk.edit(Path::new(FILE), |bytes| bytes.push(0));
    let longer = read(&disk).unwrap_err();
    assert!(longer.to_string().contains("does not end where its front says"), "{longer}");
    // What changes between the look and the copy is noticed, too, and no member starts from that.
    let disk = backed_up();
    let whole = read(&disk).unwrap();
    disk.edit(Path::new(FILE), |bytes| bytes[length - 1] ^= 1);
    let changed = whole.restore(Path::new("/new"), &new_member(5), &mut quiet).unwrap_err();
    assert!(matches!(changed, BackupError::Damaged { .. }), "{changed}");
    assert!(matches!(open(&disk, "/new").unwrap_err(), ArchiveError::Unfinished { .. }));
}

#[test]
fn sn18_what_has_another_layout_is_refused_by_name() {
    let disk = backed_up();
    let front = |version: u16, layout: u16| {
        let owner = identity().owner();
        let mut payload = layout.to_le_bytes().to_vec();
        payload.resize(FRONT - 48, 0);
        let kind = crate::record::Kind::Backup;
        let mut bytes = crate::record::encode(kind, 1, owner, &payload);
        bytes[8..10].copy_from_slice(&version.to_le_bytes());
        let sum = quorate_core::frame::Checksum::default().add(&bytes[..44]).add(&payload).value();
        bytes[44..48].copy_from_slice(&sum.to_le_bytes());
        bytes
    };
    for (version, layout, found) in [(2, 1, 2), (1, 9, 9)] {
        let bytes = front(version, layout);
        disk.edit(Path::new(FILE), |file| file[..FRONT].copy_from_slice(&bytes));
        let refused = read(&disk).unwrap_err();
        assert!(
            matches!(refused, BackupError::Layout { found: it, .. } if it == found),
            "{refused}"
        );
    }
    // A state of another version of the core, whole otherwise.
    let mut unknown = snapshot(5);
    unknown.core[0] = 77;
    assert_eq!(unknown.seed(), Err(SnapshotError::Version { found: 77 }));
}

#[test]
fn sn18_what_would_mix_groups_or_replace_anything_is_refused() {
    let disk = backed_up();
    let whole = read(&disk).unwrap();
    let refused = |directory: &str, identity: &Identity| {
        let error = whole.restore(Path::new(directory), identity, &mut quiet).unwrap_err();
        assert!(error.is_of_usage(), "{error}");
        error
    };
    let same = refused("/new", &Identity { group: identity().group, ..new_member(5) });
    assert!(matches!(same, BackupError::SameGroup { .. }), "{same}");
    let full = refused(DIRECTORY, &new_member(5));
    assert!(matches!(full, BackupError::NotEmpty { .. }), "{full}");
    for other in [
        Identity { member: MemberId(4), ..new_member(5) },
        Identity { incarnation: Incarnation(2), ..new_member(5) },
        Identity { recovery_epoch: RecoveryEpoch(1), ..new_member(5) },
    ] {
        refused("/new", &other);
    }
    assert!(disk.files().iter().all(|path| !path.starts_with("/new")), "something was written");
    let again = back_up(&disk, &plan(&disk, None).unwrap()).unwrap_err();
    assert!(matches!(again, BackupError::Exists { .. }) && again.is_of_usage(), "{again}");
}

#[test]
fn e72_a_snapshot_that_does_not_stand_in_the_log_is_not_backed_up() {
    // A group that lost the end of its log has another one behind the older snapshot.
    let disk = member();
    let cut = snapshot(3).point.position;
    let (archive, _) = open(&disk, DIRECTORY).unwrap();
    let (mut writer, mut syncer, _) = archive.split();
    let mut other = Builder::with_messages(2, 100);
    assert_eq!(other.end(), cut);
    other.line(2);
    adopt(&mut writer, &mut syncer, &other.history, cut).unwrap();
    other.open();
    append(&mut writer, &other).unwrap();
    syncer.sync().unwrap();
    drop((writer, syncer));
    assert_eq!(plan(&disk, None).unwrap().point.position, cut);
    // And one that has no snapshot is told what to do.
    let fresh = MemoryDisk::default();
    init_on(&fresh, Path::new(DIRECTORY), &identity()).unwrap();
    let none = plan(&fresh, None).unwrap_err();
    assert!(matches!(none, BackupError::NoSnapshot { .. }), "{none}");
    assert!(none.to_string().contains("tool snapshot"), "{none}");
}

#[test]
fn sn18_a_damaged_snapshot_or_log_is_told_and_leaves_no_file() {
    let disk = member();
    let planned = plan(&disk, None).unwrap();
    let newest = disk.files().into_iter().rfind(|path| path.ends_with(name(5))).unwrap();
    disk.edit(&newest, |bytes| bytes[CHUNKS_AT + 100_000] ^= 1);
    let broken = back_up(&disk, &planned).unwrap_err();
    let older = format!("{:?}", [snapshot(3).point.position.0]);
    assert!(broken.to_string().contains(&older), "{broken}");
    assert_eq!(disk.files().iter().filter(|path| path.starts_with("/backups")).count(), 0);
    // The log rots before the snapshots: nothing tells that they are of it.
    disk.edit(&segment(Path::new(DIRECTORY), 0), |bytes| bytes[LOG_AT + 70] ^= 1);
    let damaged = plan(&disk, None).unwrap_err();
    assert!(matches!(damaged, BackupError::NoSnapshot { .. }), "{damaged}");
    assert!(describe_on(&disk, Path::new(DIRECTORY), &OPTIONS).unwrap().problems.len() == 1);
}

fn name(frames: usize) -> PathBuf {
    PathBuf::from(format!("{:020}.snapshot", snapshot(frames).point.position.0))
}

#[test]
fn e50_a_crash_leaves_a_whole_backup_or_none() {
    let fresh = member();
    let planned = plan(&fresh, None).unwrap();
    let before = fresh.world().operations;
    back_up(&fresh, &planned).unwrap();
    let operations = fresh.world().operations - before;
    assert!(operations >= 8, "{operations}");
    let (mut whole, mut none) = (0, 0);
    for crash_at in 0..=operations {
        let disk = member();
        let at = disk.world().operations + crash_at;
        disk.world().crash_at = Some(at);
        let done = back_up(&disk, &planned).is_ok();
        assert_eq!(done, crash_at == operations, "{crash_at} of {operations}");
        let mixed = (0..6).map(|seed| Fate::Mixed(crash_at * 64 + seed * 2 + 1));
        for fate in [Fate::Kept, Fate::Lost].into_iter().chain(mixed) {
            let context = format!("crash at {crash_at} of {operations}, {fate:?}");
            let after = disk.crashed(fate);
            match after.content(Path::new(FILE)) {
                Some(_) => {
                    read(&after).unwrap_or_else(|error| panic!("{context}: {error}"));
                    whole += 1;
                }
                None => {
                    assert!(!done, "{context}: it was said to be durable");
                    // The next attempt is not kept from anything by what was left.
                    back_up(&after, &planned).unwrap_or_else(|error| panic!("{context}: {error}"));
                    none += 1;
                }
            }
        }
    }
    assert!(whole > 8 && none > 8, "{whole} and {none}");
}

#[test]
fn e50_a_crash_leaves_a_member_that_is_restored_or_one_that_does_not_start() {
    let fresh = backed_up();
    let directory = Path::new("/new/five");
    let restore = |disk: &MemoryDisk| {
        let whole = read(disk).unwrap();
        whole.restore(directory, &new_member(5), &mut quiet)
    };
    let before = fresh.world().operations;
    restore(&fresh).unwrap();
    let operations = fresh.world().operations - before;
    assert!(operations > 30, "{operations}");
    let (mut restored, mut unfinished) = (0, 0);
    for crash_at in 0..=operations {
        let disk = backed_up();
        let at = disk.world().operations + crash_at;
        disk.world().crash_at = Some(at);
        let done = restore(&disk).is_ok();
        assert_eq!(done, crash_at == operations, "{crash_at} of {operations}");
        for fate in [Fate::Kept, Fate::Lost, Fate::Mixed(crash_at * 2 + 1)] {
            let context = format!("crash at {crash_at} of {operations}, {fate:?}");
            let after = disk.crashed(fate);
            match open(&after, "/new/five") {
                Ok((mut archive, recovered)) => {
                    assert_eq!(archive.take_service_state(), Some(state(STATE)), "{context}");
                    assert_eq!(recovered.log_end, snapshot(5).point.position, "{context}");
                    restored += 1;
                }
                Err(ArchiveError::NotInitialised { .. }) => {
                    restore(&after).unwrap_or_else(|error| panic!("{context}: {error}"));
                    unfinished += 1;
                }
                Err(ArchiveError::Unfinished { .. }) => {
                    let again = restore(&after).unwrap_err();
                    assert!(matches!(again, BackupError::NotEmpty { .. }), "{context}: {again}");
                    unfinished += 1;
                }
                Err(other) => panic!("{context}: {other}"),
            }
            assert!(!done || restored > 0, "{context}: it was said to be durable");
        }
    }
    assert!(restored > 3 && unfinished > 60, "{restored} and {unfinished}");
}

#[test]
fn e48_a_full_disk_leaves_neither_a_backup_nor_a_member() {
    let disk = member();
    let planned = plan(&disk, None).unwrap();
    disk.world().free = Some(100_000);
    let full = back_up(&disk, &planned).unwrap_err();
    assert!(matches!(full, BackupError::Archive(ArchiveError::Full { .. })), "{full}");
    assert_eq!(disk.files().iter().filter(|path| path.starts_with("/backups")).count(), 0);
    disk.world().free = None;
    back_up(&disk, &planned).unwrap();
    disk.world().free = Some(100_000);
    let full = read(&disk).unwrap().restore(Path::new("/new"), &new_member(5), &mut quiet);
    assert!(matches!(full, Err(BackupError::Archive(ArchiveError::Full { .. }))), "{full:?}");
    assert!(matches!(open(&disk, "/new").unwrap_err(), ArchiveError::Unfinished { .. }));
}
