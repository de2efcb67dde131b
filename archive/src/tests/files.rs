//! Files that are missing, foreign, swapped, misnamed, of the wrong length (DF-12).

use std::fs;
use std::path::Path;

use quorate_core::{GroupId, Position, PositionRange};
use tempfile::TempDir;

use super::builder::{Builder, OPTIONS, adopt, append, identity, segment};
use crate::{Archive, ArchiveError, Identity, describe, init};

/// A directory with a log over several segments, some of it synced in each.
fn filled(identity: &Identity) -> (TempDir, Builder) {
    let directory = tempfile::tempdir().unwrap();
    let log = Builder::with_messages(12, 1_000);
    init(directory.path(), identity).unwrap();
    let (archive, _) = Archive::open(directory.path(), &OPTIONS).unwrap();
    let (mut writer, mut syncer, _) = archive.split();
    adopt(&mut writer, &mut syncer, &log.history, Position::ZERO).unwrap();
    append(&mut writer, &log).unwrap();
    syncer.sync().unwrap();
    (directory, log)
}

fn refusal(directory: &Path) -> ArchiveError {
    Archive::open(directory, &OPTIONS).unwrap_err()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn a_log_over_several_segments_is_read_back() {
    let (directory, log) = filled(&identity());
    let (archive, recovered) = Archive::open(directory.path(), &OPTIONS).unwrap();
    assert_eq!((recovered.log_end, recovered.chain), (log.end(), log.chain));
    let (_, _, reader) = archive.split();
    let mut bytes = Vec::new();
    for (start, end) in [(0, log.end().0), (4_000, 4_200), (4_096, 8_192), (12_000, 99_999)] {
        let range = PositionRange::new(Position(start), Position(end));
        let count = reader.read(range, &mut bytes).unwrap();
        let expected = &log.bytes[start as usize..(end as usize).min(log.bytes.len())];
        assert_eq!((count, &bytes[..]), (expected.len(), expected));
    }
}

#[test]
fn init_is_done_once() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("a/b");
    assert!(matches!(refusal(&inner), ArchiveError::NotInitialised { .. }));
    init(&inner, &identity()).unwrap();
    let error = init(&inner, &identity()).unwrap_err();
    assert!(matches!(error, ArchiveError::AlreadyInitialised { .. }), "{error}");
    let odd = Identity { segment_bytes: 5_000, ..identity() };
    let error = init(&directory.path().join("c"), &odd).unwrap_err();
    assert!(error.to_string().contains("multiple of 4096"), "{error}");
}

#[test]
fn e47_nothing_that_is_missing_is_made_anew() {
    let (source, _) = filled(&identity());
    let count = fs::read_dir(source.path().join("log")).unwrap().count();
    assert!(count >= 4, "{count} segments");
    let mut cases = vec![vec!["mark".to_owned()]];
    for name in ["vote", "history", "boot", "peers"] {
        cases.push(vec![format!("{name}.0"), format!("{name}.1")]);
    }
    let name = |index: usize| format!("log/{index:016}.segment");
    cases.extend((0..count).map(|index| vec![name(index)]));
    // All segments behind one, however few are left.
    cases.extend((0..count).map(|index| (index..count).map(name).collect()));
    for missing in cases {
        let directory = tempfile::tempdir().unwrap();
        copy(source.path(), directory.path());
        missing.iter().for_each(|name| fs::remove_file(directory.path().join(name)).unwrap());
        let error = refusal(directory.path());
        match &error {
            ArchiveError::Missing { path } => {
                assert_eq!(*path, directory.path().join(&missing[0]), "{error}");
            }
            _ => panic!("{missing:?}: {error}"),
        }
        assert!(!directory.path().join(&missing[0]).exists());
    }
    let directory = tempfile::tempdir().unwrap();
    copy(source.path(), directory.path());
    fs::remove_dir_all(directory.path().join("log")).unwrap();
    assert!(matches!(refusal(directory.path()), ArchiveError::Missing { .. }));
    fs::remove_file(directory.path().join("identity")).unwrap();
    assert!(matches!(refusal(directory.path()), ArchiveError::Unfinished { .. }));
    let error = init(directory.path(), &identity()).unwrap_err();
    assert!(matches!(error, ArchiveError::Unfinished { .. }), "{error}");
    let error = describe(directory.path(), &OPTIONS).unwrap_err();
    assert!(matches!(error, ArchiveError::Unfinished { .. }), "{error}");
}

#[test]
fn files_of_others_are_refused() {
    let foreign = Identity { group: GroupId(99), ..identity() };
    let (others, _) = filled(&foreign);
    let names = ["vote.0", "history.1", "boot.0", "peers.1", "log/0000000000000001.segment"];
    for name in names {
        let (directory, _) = filled(&identity());
        fs::copy(others.path().join(name), directory.path().join(name)).unwrap();
        let error = refusal(directory.path());
        match &error {
            ArchiveError::Foreign { path, found, expected } => {
                assert_eq!(*path, directory.path().join(name));
                assert_eq!((*found, *expected), (foreign.owner(), identity().owner()));
            }
            _ => panic!("{name}: {error}"),
        }
        let problems = describe(directory.path(), &OPTIONS).unwrap().problems;
        assert!(problems.iter().any(|problem| *problem == error.to_string()), "{problems:?}");
    }
}

#[test]
fn segments_that_are_not_what_they_should_be_are_refused() {
    let (directory, _) = filled(&identity());
    let path = |index| segment(directory.path(), index);
    let whole = fs::read(path(1)).unwrap();
    for length in [0, whole.len() - 1] {
        fs::write(path(1), &whole[..length]).unwrap();
        assert!(matches!(refusal(directory.path()), ArchiveError::SegmentLength { .. }));
    }
    fs::copy(path(0), path(1)).unwrap();
    let error = refusal(directory.path());
    assert!(matches!(error, ArchiveError::Misplaced { found: 0, expected: 1, .. }), "{error}");
    let mut damaged = whole.clone();
    damaged[20] ^= 1;
    fs::write(path(1), &damaged).unwrap();
    assert!(matches!(refusal(directory.path()), ArchiveError::Unreadable { .. }));
    fs::write(path(1), &whole).unwrap();
    for stray in ["1.segment", "copy of 0000000000000001.segment", "notes"] {
        let stray = directory.path().join("log").join(stray);
        fs::write(&stray, &whole).unwrap();
        assert!(matches!(refusal(directory.path()), ArchiveError::Unexpected { .. }));
        fs::remove_file(stray).unwrap();
    }
    // What an interrupted creation left is no reason to refuse.
    let draft = directory.path().join("log/0000000000000009.new");
    fs::write(&draft, [1]).unwrap();
    Archive::open(directory.path(), &OPTIONS).unwrap();
    assert!(!draft.exists());
}

#[test]
fn both_marks_of_a_segment_do_not_go_unnoticed() {
    let (directory, log) = filled(&identity());
    let path = segment(directory.path(), log.end().0 / 4_096);
    let mut bytes = fs::read(&path).unwrap();
    bytes[4_096..4_100].fill(0xff);
    bytes[8_192..8_196].fill(0xff);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(refusal(directory.path()), ArchiveError::Unreadable { .. }));
}

#[test]
fn a_description_tells_all_and_changes_nothing() {
    let (directory, log) = filled(&identity());
    let files = || {
        let mut all = Vec::new();
        for folder in [directory.path().to_owned(), directory.path().join("log")] {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                all.push((path.clone(), fs::read(path).unwrap_or_default()));
            }
        }
        all.sort();
        all
    };
    let before = files();
    let found = describe(directory.path(), &OPTIONS).unwrap();
    assert!(before == files());
    assert_eq!(
        (found.log_end, found.known_durable, found.chain),
        (log.end(), log.end(), log.chain)
    );
    assert_eq!((found.frames.term_opens, found.frames.messages), (1, 12));
    assert_eq!(found.segments.iter().map(|one| one.used_bytes).sum::<u64>(), log.end().0);
    assert_eq!((found.problems.len(), found.locked_by), (0, None));
    let text = found.to_string();
    for part in ["0000000001234567", "in use by   nobody", "12 messages", "voters 0 1 2"] {
        assert!(text.contains(part), "{text}");
    }
}
