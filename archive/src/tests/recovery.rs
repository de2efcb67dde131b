//! Torn tails, rot, stale bytes and slots, on real files.

use std::fs;
use std::path::Path;

use quorate_core::{BootEpoch, LogTime, MemberId, Position, PositionRange, Recovered, Term, Vote};
use tempfile::TempDir;

use super::builder::{Builder, LOG_AT, OPTIONS, adopt, append, identity, segment};
use crate::{Archive, ArchiveError, describe, init};

/// A directory with `log` in it, and its marks as `syncs` left them: one after each part.
fn archive_of(log: &Builder, parts: &[u64]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    init(directory.path(), &identity()).unwrap();
    let (archive, recovered) = Archive::open(directory.path(), &OPTIONS).unwrap();
    assert_eq!(recovered, Recovered::empty(recovered.life));
    let (mut writer, mut syncer, _) = archive.split();
    adopt(&mut writer, &mut syncer, &log.history, Position::ZERO).unwrap();
    for end in parts {
        let start = writer.written();
        let bytes = &log.bytes[start.0 as usize..*end as usize];
        writer.append(start, bytes, &[]).unwrap();
        assert_eq!(syncer.sync().unwrap(), Position(*end));
    }
    append(&mut writer, log).unwrap();
    directory
}

fn open(directory: &Path) -> Result<(Archive, Recovered), ArchiveError> {
    Archive::open(directory, &OPTIONS)
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn e44_a_tail_torn_at_any_byte_is_cut_at_the_last_whole_frame() {
    let log = Builder::with_messages(5, 120);
    let durable = log.ends[4];
    let directory = archive_of(&log, &[durable]);
    let path = segment(directory.path(), 0);
    let whole = fs::read(&path).unwrap();
    for kept in durable..log.end().0 {
        for rest in [0, 0x5a] {
            let mut bytes = whole.clone();
            bytes[LOG_AT + kept as usize..LOG_AT + log.bytes.len()].fill(rest);
            let same = bytes == whole;
            fs::write(&path, bytes).unwrap();
            let (archive, recovered) = open(directory.path()).unwrap();
            let end = if same { log.end().0 } else { durable };
            assert_eq!(recovered.log_end.0, end, "{kept} bytes kept");
            let torn = end == durable && (kept > durable || rest != 0);
            assert_eq!(archive.repairs().wiped.is_some(), torn, "{kept} bytes kept");
            drop(archive);
            fs::write(&path, &whole).unwrap();
        }
    }
    let (_, recovered) = open(directory.path()).unwrap();
    assert_eq!((recovered.log_end, recovered.chain), (log.end(), log.chain));
    assert_eq!(recovered.log_time, LogTime(log.time));
}

#[test]
fn e45_rot_below_the_durable_mark_is_damage_and_is_not_cut() {
    let log = Builder::with_messages(5, 120);
    let durable = log.ends[4];
    let directory = archive_of(&log, &[log.ends[1], durable]);
    let path = segment(directory.path(), 0);
    let whole = fs::read(&path).unwrap();
    for at in (0..durable).step_by(13) {
        change(&path, |bytes| bytes[LOG_AT + at as usize] ^= 0x10);
        let damaged = fs::read(&path).unwrap();
        let error = open(directory.path()).unwrap_err();
        let start = Position(log.whole_below(at));
        match &error {
            ArchiveError::Damaged { at, durable: known, .. } => {
                assert_eq!((*at, known.0), (start, durable));
            }
            other => panic!("{other}"),
        }
        assert!(error.to_string().contains("restore the file"), "{error}");
        assert!(fs::read(&path).unwrap() == damaged, "nothing is changed");
        let found = describe(directory.path(), &OPTIONS).unwrap();
        assert_eq!(found.log_end, start);
        assert!(found.problems[0].contains("is damaged at"), "{found}");
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_stale_tail_of_the_same_term_does_not_come_back() {
    let log = Builder::with_messages(6, 100);
    let (gap, end) = (log.ends[3] as usize, log.ends[4] as usize);
    let directory = archive_of(&log, &[log.ends[3]]);
    // The frame behind the mark is torn, the ones behind it are whole.
    change(&segment(directory.path(), 0), |bytes| bytes[LOG_AT + gap + 20] ^= 1);
    let (archive, recovered) = open(directory.path()).unwrap();
    assert_eq!(recovered.log_end.0 as usize, gap);
    let wiped = PositionRange::new(Position(gap as u64), log.end());
    assert_eq!(archive.repairs().wiped.map(|range| range.start), Some(wiped.start));
    // The same leader fills the gap again with the same bytes, and power goes.
    let (mut writer, mut syncer, _) = archive.split();
    writer.append(recovered.log_end, &log.bytes[gap..end], &[]).unwrap();
    syncer.sync().unwrap();
    drop((writer, syncer));
    let (_, recovered) = open(directory.path()).unwrap();
    assert_eq!(recovered.log_end.0 as usize, end);
}

#[test]
fn a_history_whose_cut_was_not_carried_out_is_cut_at_recovery() {
    let mut log = Builder::with_messages(6, 100);
    let directory = archive_of(&log, &[log.end().0]);
    let path = segment(directory.path(), 0);
    let before = fs::read(&path).unwrap();
    // The history keeps owning the bytes above the cut: only the recorded cut disowns them.
    let cut = Position(log.ends[3]);
    let (archive, _) = open(directory.path()).unwrap();
    let (mut writer, mut syncer, reader) = archive.split();
    log.line(7);
    let pending = writer.cut(cut);
    let mut bytes = Vec::new();
    let all = PositionRange::new(Position::ZERO, Position::MAX);
    assert_eq!(reader.read(all, &mut bytes).unwrap(), cut.0 as usize);
    let error = writer.append(cut, &[0; 8], &[]).unwrap_err();
    assert!(error.to_string().contains("before the cut"), "{error}");
    syncer.persist_history(&log.history, pending).unwrap();
    assert_eq!(syncer.durable(), cut);
    drop((writer, syncer, reader));
    // As if the machine had died right after the history was durable.
    fs::write(&path, before).unwrap();
    let found = describe(directory.path(), &OPTIONS).unwrap();
    assert_eq!((found.log_end, found.problems.len()), (cut, 0), "{found}");
    let (archive, recovered) = open(directory.path()).unwrap();
    assert_eq!((recovered.log_end, &recovered.history), (cut, &log.history));
    assert_eq!(archive.repairs().cut, Some(cut));
    drop(archive);
    let (archive, recovered) = open(directory.path()).unwrap();
    assert_eq!((recovered.log_end, archive.repairs().wiped), (cut, None));
}

#[test]
fn e50_any_prefix_of_a_newer_copy_is_old_or_new() {
    let log = Builder::with_messages(1, 8);
    let directory = archive_of(&log, &[]);
    let vote = |term| Vote { term: Term(term), granted_to: Some(MemberId(2)) };
    let stored = |newer: Vote| {
        let (archive, _) = open(directory.path()).unwrap();
        let (_, mut syncer, _) = archive.split();
        syncer.persist_vote(&newer).unwrap();
        drop(syncer);
        ["vote.0", "vote.1"].map(|name| fs::read(directory.path().join(name)).unwrap())
    };
    let (old, new) = (stored(vote(4)), stored(vote(9)));
    for (index, name) in ["vote.0", "vote.1"].iter().enumerate() {
        for length in 0..=64 {
            let first = if index == 0 { &old } else { &new };
            fs::write(directory.path().join("vote.0"), &first[0]).unwrap();
            fs::write(directory.path().join("vote.1"), &old[1]).unwrap();
            let torn = [&new[index][..length], &old[index][length..]].concat();
            fs::write(directory.path().join(name), torn).unwrap();
            let (archive, recovered) = open(directory.path()).unwrap();
            let newer = index == 1 || recovered.vote == vote(9);
            assert_eq!(recovered.vote, vote(if newer { 9 } else { 4 }), "{name} {length}");
            drop(archive);
            let (archive, again) = open(directory.path()).unwrap();
            assert_eq!((again.vote, archive.repairs().copies.len()), (recovered.vote, 0));
        }
    }
}

#[test]
fn one_damaged_copy_is_replaced_and_two_are_refused() {
    let log = Builder::with_messages(1, 8);
    let directory = archive_of(&log, &[]);
    for name in ["vote", "history", "boot", "peers"] {
        let paths = [0, 1].map(|copy| directory.path().join(format!("{name}.{copy}")));
        for path in &paths {
            change(path, |bytes| bytes[50] ^= 1);
            let (archive, recovered) = open(directory.path()).unwrap();
            assert_eq!(archive.repairs().copies, [name]);
            assert_eq!(recovered.history, log.history);
        }
        let whole = paths.clone().map(|path| fs::read(path).unwrap());
        paths.iter().for_each(|path| change(path, |bytes| bytes[50] ^= 1));
        let error = open(directory.path()).unwrap_err();
        assert!(matches!(error, ArchiveError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains(&format!("{name}.0 is damaged")), "{error}");
        paths.iter().zip(whole).for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    }
}

#[test]
fn a_log_that_contradicts_its_history_is_refused() {
    // The history says that the term began one frame later.
    let mut log = Builder::with_messages(1, 8);
    log.line(2);
    log.message(8);
    let directory = archive_of(&log, &[]);
    let error = open(directory.path()).unwrap_err();
    let expected = "a term begins without its opening frame";
    assert!(error.to_string().contains(expected), "{error}");
    // An opening frame that names another chain than its predecessors have.
    let mut log = Builder::with_messages(1, 8);
    log.chain.0 ^= 1;
    log.line(2);
    log.open();
    let directory = archive_of(&log, &[]);
    let error = open(directory.path()).unwrap_err();
    assert!(error.to_string().contains("the chain over the frames"), "{error}");
}

#[test]
fn each_open_is_a_new_life() {
    let log = Builder::with_messages(1, 8);
    let directory = archive_of(&log, &[]);
    for life in 2..5 {
        let (_, recovered) = open(directory.path()).unwrap();
        assert_eq!(recovered.life.boot_epoch, BootEpoch(life));
    }
}

#[test]
fn e47_an_older_copy_of_a_directory_begins_a_life_that_nobody_knows() {
    let log = Builder::with_messages(1, 8);
    let directory = archive_of(&log, &[]);
    let opened_at = |at: u64| {
        let options = OPTIONS.with_boot_epoch_min(at);
        Archive::open(directory.path(), &options).unwrap().1.life.boot_epoch
    };
    let copies = ["boot.0", "boot.1"].map(|name| directory.path().join(name));
    let image = copies.each_ref().map(|path| fs::read(path).unwrap());
    assert_eq!(opened_at(1_000), BootEpoch(1_000));
    // A clock that went back does not lead back.
    assert_eq!(opened_at(900), BootEpoch(1_001));
    copies.iter().zip(image).for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    assert_eq!(opened_at(1_500), BootEpoch(1_500));
}
