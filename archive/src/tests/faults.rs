//! Disks that fail, fill up, or write less than asked.

use std::io;
use std::path::Path;

use quorate_core::{MemberId, Position, Term, Vote};

use super::builder::{Builder, OPTIONS, adopt, append, identity};
use crate::error::AppendError;
use crate::memory::{Fate, MemoryDisk};
use crate::{Archive, ArchiveError, Syncer, Writer, init_on};

const DIRECTORY: &str = "/member";

fn opened(disk: &MemoryDisk, log: &Builder) -> (Writer<MemoryDisk>, Syncer<MemoryDisk>) {
    init_on(disk, Path::new(DIRECTORY), &identity()).unwrap();
    let (archive, _) = Archive::open_on(disk.clone(), Path::new(DIRECTORY), &OPTIONS).unwrap();
    let (mut writer, mut syncer, _) = archive.split();
    adopt(&mut writer, &mut syncer, &log.history, Position::ZERO).unwrap();
    (writer, syncer)
}

fn recovered_end(disk: &MemoryDisk, fate: Fate) -> u64 {
    let after = disk.crashed(fate);
    let opened = Archive::open_on(after, Path::new(DIRECTORY), &OPTIONS);
    opened.unwrap().1.log_end.0
}

#[test]
fn e43_the_first_failed_sync_ends_everything() {
    let vote = Vote { term: Term(5), granted_to: Some(MemberId(1)) };
    for survived in 0..4 {
        let disk = MemoryDisk::default();
        let log = Builder::with_messages(3, 100);
        let (mut writer, mut syncer) = opened(&disk, &log);
        append(&mut writer, &log).unwrap();
        disk.world().syncs_left = Some(survived);
        let first = syncer.sync().and_then(|_| syncer.persist_vote(&vote));
        let first = first.and_then(|()| syncer.persist_peers(&[])).unwrap_err();
        assert!(matches!(first, ArchiveError::Io { action: "sync", .. }), "{first}");
        // The disk is well again; the archive stays as it is.
        disk.world().syncs_left = None;
        let cut = writer.cut(Position::ZERO);
        let next = Position::ZERO;
        let all = [
            syncer.sync().unwrap_err(),
            syncer.persist_vote(&vote).unwrap_err(),
            syncer.persist_peers(&[]).unwrap_err(),
            syncer.persist_history(&log.history, cut).unwrap_err(),
            match writer.append(next, &[0; 8], &[]).unwrap_err() {
                AppendError::Failed(error) => error,
                error @ AppendError::Full { .. } => panic!("{error}"),
            },
        ];
        for error in all {
            match error {
                ArchiveError::Poisoned { cause } => assert_eq!(cause, first.to_string()),
                error => panic!("{error}"),
            }
        }
        // Pages that never reached the disk read well after a restart: they are written again.
        let restarted = disk.crashed(Fate::Kept);
        drop((writer, syncer));
        let found = Archive::open_on(restarted.clone(), Path::new(DIRECTORY), &OPTIONS).unwrap();
        let after_power_loss = recovered_end(&restarted, Fate::Lost);
        assert_eq!(found.1.log_end.0, after_power_loss);
    }
}

#[test]
fn e43_a_sync_that_finds_no_space_ends_everything_too() {
    let vote = Vote { term: Term(5), granted_to: Some(MemberId(1)) };
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        for survived in 0..4 {
            let disk = MemoryDisk::default();
            let log = Builder::with_messages(3, 100);
            let (mut writer, mut syncer) = opened(&disk, &log);
            append(&mut writer, &log).unwrap();
            disk.world().syncs_left = Some(survived);
            disk.world().sync_error = Some(kind);
            let first = syncer.sync().and_then(|_| syncer.persist_vote(&vote));
            let first = first.and_then(|()| syncer.persist_peers(&[])).unwrap_err();
            assert!(matches!(first, ArchiveError::Io { action: "sync", .. }), "{first}");
            disk.world().syncs_left = None;
            let again = syncer.persist_vote(&vote).unwrap_err();
            assert!(matches!(again, ArchiveError::Poisoned { .. }), "{again}");
        }
    }
}

#[test]
fn e43_a_segment_whose_draft_or_name_is_not_synced_is_no_refused_append() {
    for (file, ahead) in [(true, false), (false, false), (true, true), (false, true)] {
        let disk = MemoryDisk::default();
        let log = Builder::with_messages(12, 1_000);
        let (mut writer, mut syncer) = opened(&disk, &log);
        if ahead {
            let first = log.whole_below(8_000) as usize;
            writer.append(Position::ZERO, &log.bytes[..first], &[]).unwrap();
        }
        {
            let mut world = disk.world();
            world.sync_error = Some(io::ErrorKind::StorageFull);
            // The segments of the log come before the one that is made ahead.
            world.syncs_left = file.then_some(if ahead { 2 } else { 0 });
            world.directory_syncs_left = (!file).then_some(0);
        }
        let error = if ahead {
            syncer.sync().unwrap_err()
        } else {
            match append(&mut writer, &log).unwrap_err() {
                AppendError::Failed(error) => error,
                error @ AppendError::Full { .. } => panic!("{error}"),
            }
        };
        let expected = if file { "sync" } else { "sync directory" };
        assert!(matches!(error, ArchiveError::Io { action, .. } if action == expected), "{error}");
        let mut world = disk.world();
        (world.syncs_left, world.directory_syncs_left) = (None, None);
        drop(world);
        let again = append(&mut writer, &log).unwrap_err();
        assert!(matches!(again, AppendError::Failed(ArchiveError::Poisoned { .. })), "{again}");
        assert!(matches!(syncer.sync(), Err(ArchiveError::Poisoned { .. })));
    }
}

#[test]
fn a_cut_that_is_done_does_not_end_one_that_began_since() {
    let disk = MemoryDisk::default();
    let log = Builder::with_messages(3, 100);
    let (mut writer, mut syncer) = opened(&disk, &log);
    let (first, second) = (writer.cut(Position::ZERO), writer.cut(Position::ZERO));
    syncer.persist_history(&log.history, first).unwrap();
    let error = append(&mut writer, &log).unwrap_err();
    assert!(matches!(error, AppendError::Failed(ArchiveError::CutPending { .. })), "{error}");
    syncer.persist_history(&log.history, second).unwrap();
    append(&mut writer, &log).unwrap();
}

#[test]
fn e43_bytes_that_a_failed_sync_dropped_are_written_again_by_the_next_life() {
    let disk = MemoryDisk::default();
    let log = Builder::with_messages(3, 100);
    let (mut writer, mut syncer) = opened(&disk, &log);
    append(&mut writer, &log).unwrap();
    disk.world().syncs_left = Some(0);
    syncer.sync().unwrap_err();
    disk.world().syncs_left = None;
    drop((writer, syncer));
    // The same machine: the page cache still has the bytes, the disk never had.
    let (archive, recovered) =
        Archive::open_on(disk.clone(), Path::new(DIRECTORY), &OPTIONS).unwrap();
    assert_eq!(recovered.log_end, log.end());
    drop(archive);
    assert_eq!(recovered_end(&disk, Fate::Lost), log.end().0);
}

#[test]
fn a_failed_write_ends_everything_too() {
    let disk = MemoryDisk::default();
    let log = Builder::with_messages(3, 100);
    let (mut writer, mut syncer) = opened(&disk, &log);
    disk.world().writes_left = Some(0);
    append(&mut writer, &log).unwrap_err();
    disk.world().writes_left = None;
    assert!(matches!(syncer.sync(), Err(ArchiveError::Poisoned { .. })));
    assert_eq!(writer.written(), Position::ZERO);
}

#[test]
fn short_writes_are_continued() {
    let disk = MemoryDisk::default();
    disk.world().write_bytes_max = Some(7);
    let log = Builder::with_messages(3, 100);
    let (mut writer, mut syncer) = opened(&disk, &log);
    append(&mut writer, &log).unwrap();
    syncer.sync().unwrap();
    drop((writer, syncer));
    assert_eq!(recovered_end(&disk, Fate::Lost), log.end().0);
}

#[test]
fn e48_a_full_disk_refuses_the_append_and_recovers_when_space_returns() {
    let disk = MemoryDisk::default();
    let log = Builder::with_messages(12, 1_000);
    let (mut writer, mut syncer) = opened(&disk, &log);
    let first = log.whole_below(8_000) as usize;
    disk.world().free = Some(100);
    // There are two segments: this fits, but the third cannot be made.
    writer.append(Position::ZERO, &log.bytes[..first], &[]).unwrap();
    syncer.sync().unwrap();
    assert!(writer.is_space_short());
    let error = append(&mut writer, &log).unwrap_err();
    match &error {
        AppendError::Full { needed, free, .. } => {
            // The whole file of each segment that must be made.
            let missing = (log.bytes.len() as u64 - 8_192).div_ceil(4_096);
            assert_eq!((*needed, *free), (missing * (16_384 + 4_096), Some(100)));
        }
        AppendError::Failed(error) => panic!("{error}"),
    }
    assert_eq!(writer.written().0 as usize, first);
    // Votes and the history go on meanwhile.
    let vote = Vote { term: Term(5), granted_to: None };
    syncer.persist_vote(&vote).unwrap();
    let end = writer.written();
    adopt(&mut writer, &mut syncer, &log.history, end).unwrap();
    disk.world().free = None;
    append(&mut writer, &log).unwrap();
    syncer.sync().unwrap();
    assert!(!writer.is_space_short());
    drop((writer, syncer));
    assert_eq!(recovered_end(&disk, Fate::Lost), log.end().0);
}

#[test]
fn e48_an_append_that_runs_out_of_space_midway_leaves_no_half_record() {
    let disk = MemoryDisk::default();
    let log = Builder::with_messages(3, 200);
    let (mut writer, mut syncer) = opened(&disk, &log);
    for before in [0, 8, 100, 300, 700] {
        disk.world().write_bytes_left = Some(before);
        assert!(matches!(append(&mut writer, &log), Err(AppendError::Full { .. })));
        disk.world().write_bytes_left = None;
        assert_eq!((writer.written(), syncer.sync().unwrap()), (Position::ZERO, Position::ZERO));
    }
    append(&mut writer, &log).unwrap();
    syncer.sync().unwrap();
    drop((writer, syncer));
    assert_eq!(recovered_end(&disk, Fate::Lost), log.end().0);
}

#[test]
fn appends_begin_where_the_log_ends() {
    let disk = MemoryDisk::default();
    let log = Builder::with_messages(1, 8);
    let (mut writer, _syncer) = opened(&disk, &log);
    let error = writer.append(Position(8), &[0; 8], &[]).unwrap_err();
    assert!(matches!(error, AppendError::Failed(ArchiveError::NotAtEnd { .. })), "{error}");
    append(&mut writer, &log).unwrap();
}

#[test]
fn rot_is_told_from_a_torn_tail_after_a_loss_of_power() {
    let disk = MemoryDisk::default();
    let log = Builder::with_messages(4, 100);
    let (mut writer, mut syncer) = opened(&disk, &log);
    for end in [log.ends[1], log.ends[2]] {
        let start = writer.written();
        writer.append(start, &log.bytes[start.0 as usize..end as usize], &[]).unwrap();
        syncer.sync().unwrap();
    }
    // The second sync made the first one's mark durable; its own is lost with the power.
    let segment = super::builder::segment(Path::new(DIRECTORY), 0);
    for (at, damage) in [(log.ends[1] - 8, true), (log.ends[2] - 16, false)] {
        let after = disk.crashed(Fate::Lost);
        after.edit(&segment, |bytes| bytes[super::builder::LOG_AT + at as usize] ^= 1);
        let result = Archive::open_on(after, Path::new(DIRECTORY), &OPTIONS);
        match result {
            Err(ArchiveError::Damaged { .. }) => assert!(damage),
            Ok((_, recovered)) => assert_eq!((recovered.log_end.0, damage), (log.ends[1], false)),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_torn_mark_leaves_the_one_before() {
    let disk = MemoryDisk::default();
    let log = Builder::with_messages(4, 100);
    let (mut writer, mut syncer) = opened(&disk, &log);
    for end in [log.ends[1], log.ends[2]] {
        let start = writer.written();
        writer.append(start, &log.bytes[start.0 as usize..end as usize], &[]).unwrap();
        syncer.sync().unwrap();
    }
    let segment = super::builder::segment(Path::new(DIRECTORY), 0);
    for slot in [4_096, 8_192] {
        let after = disk.crashed(Fate::Kept);
        after.edit(&segment, |bytes| {
            bytes[slot + 50] ^= 1;
            bytes[super::builder::LOG_AT + log.ends[1] as usize - 8] ^= 1;
        });
        let error = Archive::open_on(after, Path::new(DIRECTORY), &OPTIONS).unwrap_err();
        assert!(matches!(error, ArchiveError::Damaged { .. }), "{error}");
    }
}
