//! Two processes on one directory, and a process that is killed.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use quorate_core::Position;

use super::builder::{Builder, OPTIONS, adopt, append, identity};
use crate::{Archive, ArchiveError, describe, init};

const CHILD: &str = "QUORATE_ARCHIVE_TEST_CHILD";

/// What the child process does: appends and syncs until it is killed, and says how far it got. Does
/// nothing when it is run as a test.
#[test]
fn child() {
    let Some(directory) = env::var_os(CHILD) else { return };
    let (archive, recovered) = Archive::open(Path::new(&directory), &OPTIONS).unwrap();
    let (mut writer, mut syncer, _) = archive.split();
    let mut log = Builder::default();
    let base = log.line(1);
    if recovered.history.last().is_none() {
        adopt(&mut writer, &mut syncer, &log.history, base).unwrap();
    }
    extend(&mut log, recovered.log_end);
    assert_eq!((log.end(), log.chain), (recovered.log_end, recovered.chain));
    let mut out = std::io::stdout();
    loop {
        let next = log.end().plus(1_000);
        extend(&mut log, next);
        append(&mut writer, &log).unwrap();
        let durable = syncer.sync().unwrap();
        // A pipe, so that what was said before the kill is not lost in a buffer.
        writeln!(out, "\ndurable {durable}").unwrap();
        out.flush().unwrap();
    }
}

/// Adds frames until the log reaches `end`.
fn extend(log: &mut Builder, end: Position) {
    while log.end() < end {
        if log.bytes.is_empty() {
            log.open();
        } else {
            log.message(300);
        }
    }
}

fn spawn(directory: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "tests::processes::child", "--nocapture"])
        .env(CHILD, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The next position that the child says is durable.
fn next_durable(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> Option<u64> {
    lines.find_map(|line| line.unwrap().strip_prefix("durable ")?.parse().ok())
}

#[test]
fn after_a_kill_everything_acknowledged_is_there() {
    let directory = tempfile::tempdir().unwrap();
    init(directory.path(), &identity()).unwrap();
    // The first life starts from nothing; each later one goes on where recovery ends.
    let mut log = Builder::default();
    log.line(1);
    for (life, wanted) in [(1, 5), (2, 40), (3, 17)] {
        let mut child = spawn(directory.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut durable = 0;
        for _ in 0..wanted {
            durable = next_durable(&mut lines).expect("the child lives");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // It said more before it died.
        while let Some(last) = next_durable(&mut lines) {
            durable = last;
        }
        let found = describe(directory.path(), &OPTIONS).unwrap();
        assert_eq!((found.problems.len(), found.boot_epoch.unwrap().0), (0, 2 * life - 1));
        let (archive, recovered) = Archive::open(directory.path(), &OPTIONS).unwrap();
        assert!(recovered.log_end.0 >= durable, "{} of {durable}", recovered.log_end);
        extend(&mut log, recovered.log_end);
        assert_eq!((log.end(), log.chain), (recovered.log_end, recovered.chain));
        drop(archive);
    }
}

#[test]
fn a_second_process_is_refused_and_told_who_was_first() {
    let directory = tempfile::tempdir().unwrap();
    init(directory.path(), &identity()).unwrap();
    let mut child = spawn(directory.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    next_durable(&mut lines).expect("the child lives");
    let error = Archive::open(directory.path(), &OPTIONS).unwrap_err();
    match &error {
        ArchiveError::Locked { pid, .. } => assert_eq!(*pid, Some(child.id())),
        error => panic!("{error}"),
    }
    let found = describe(directory.path(), &OPTIONS).unwrap();
    assert_eq!(found.locked_by, Some(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    Archive::open(directory.path(), &OPTIONS).unwrap();
}

#[test]
fn a_second_open_in_the_same_process_is_refused_until_all_parts_are_gone() {
    let directory = tempfile::tempdir().unwrap();
    init(directory.path(), &identity()).unwrap();
    let (archive, _) = Archive::open(directory.path(), &OPTIONS).unwrap();
    let (writer, syncer, reader) = archive.split();
    drop((writer, syncer));
    let error = Archive::open(directory.path(), &OPTIONS).unwrap_err();
    assert!(matches!(error, ArchiveError::Locked { .. }), "{error}");
    assert_eq!(reader.read(empty(), &mut Vec::new()).unwrap(), 0);
    drop(reader);
    Archive::open(directory.path(), &OPTIONS).unwrap();
}

fn empty() -> quorate_core::PositionRange {
    quorate_core::PositionRange::new(Position::ZERO, Position(100))
}
