//! What lies on one disk, and what the archive makes of it.

use std::path::{Path, PathBuf};

use quorate_archive::memory::{Fate, MemoryDisk};
use quorate_archive::{AppendError, ArchiveError, describe_on, init_on};
use quorate_core::{MemberId, Position, Term, Vote};
use quorate_sim::Dice;

use super::mending::{is_whole, rot_is_mended};
use crate::case::{Failure, Verdict, check};
use crate::files::{DIRECTORY, LOG_AT, Log, OPTIONS, Open, filled, identity, segment, sound};
use crate::trial::Trial;

/// Of so many places that rot one by one, one is mended as well.
const MENDED_ONE_OF: u64 = 7;

/// The error of an opening that must not succeed.
pub(super) fn refusal(disk: &MemoryDisk, what: &str) -> Result<ArchiveError, Failure> {
    match Open::on(disk) {
        Err(error) => Ok(error),
        Ok(open) => {
            let end = open.recovered.log_end;
            Err(Failure::broken(format!("{what}: it opens, and the log ends at {end}")))
        }
    }
}

pub(super) fn df_02(trial: &mut Trial<'_>) -> Verdict {
    let log = Log::of(4, 90);
    let last = log.frame(4);
    let durable = log.ends[3];
    let disk = filled(&log, &[durable])?;
    let mut dice = Dice::new(trial.seed(), "torn tail");
    for kept in last.clone() {
        for rest in [0, 0x5a, dice.below(256) as u8] {
            let torn = disk.crashed(Fate::Kept);
            let mut changed = false;
            torn.edit(&segment(0), |bytes| {
                let tail = &mut bytes[LOG_AT + kept..LOG_AT + last.end];
                changed = tail.iter().any(|byte| *byte != rest);
                tail.fill(rest);
            });
            let open = sound("a torn tail", Open::on(&torn))?;
            let end = if changed { durable } else { log.end().0 };
            check(open.recovered.log_end == Position(end), || {
                let found = open.recovered.log_end;
                format!("with {kept} bytes kept it ends at {found}, not at {end}")
            })?;
            let wiped = open.repairs.wiped.is_some();
            check(wiped == (changed && (kept > last.start || rest != 0)), || {
                format!("with {kept} bytes kept, the repairs are {:?}", open.repairs)
            })?;
            check(sound("read", open.bytes())? == log.bytes[..end as usize], || {
                format!("with {kept} bytes kept other bytes are read")
            })?;
            trial.count("torn_tails", 1);
        }
    }
    // The place of the torn frame is good for another one.
    disk.edit(&segment(0), |bytes| bytes[LOG_AT + last.start + 9] ^= 1);
    let mut open = sound("a torn tail", Open::on(&disk))?;
    sound("append", open.append(&log, log.end().0))?;
    sound("sync", open.syncer.sync())?;
    drop(open);
    let end = sound("open", Open::on(&disk.crashed(Fate::Lost)))?.recovered.log_end;
    check(end == log.end(), || format!("what was appended behind the cut ends at {end}"))
}

pub(super) fn df_03(trial: &mut Trial<'_>) -> Verdict {
    let log = Log::of(30, 200);
    let durable = log.ends[28];
    let disk = filled(&log, &[log.ends[10], durable])?;
    let mut dice = Dice::new(trial.seed(), "rot");
    let step = trial.times(97, 13, 1);
    for at in (dice.below(step)..durable).step_by(step as usize) {
        let path = segment(at / 4_096);
        let rotten = disk.crashed(Fate::Kept);
        let offset = LOG_AT + (at % 4_096) as usize;
        rotten.edit(&path, |bytes| bytes[offset] ^= 1 << dice.below(8));
        let before = rotten.content(&path);
        let error = refusal(&rotten, &format!("rot at {at}, below {durable}"))?;
        let frame = Position(log.whole_below(at));
        let named = matches!(&error, ArchiveError::Damaged { at, durable: known, .. }
            if (*at, known.0) == (frame, durable));
        check(named, || format!("rot at {at} in the frame at {frame}: {error}"))?;
        check(rotten.content(&path) == before, || format!("rot at {at} is written over"))?;
        let again = refusal(&rotten, "the second try")?;
        check(again.to_string() == error.to_string(), || format!("then it is {again}"))?;
        if (at / step).is_multiple_of(MENDED_ONE_OF) {
            rot_is_mended(trial, &log, &rotten)?;
            is_whole(&rotten, &log)?;
        }
        trial.count("rotten_bytes", 1);
    }
    Ok(())
}

pub(super) fn df_09(_: &mut Trial<'_>) -> Verdict {
    // All messages are of one size: what lies elsewhere is whole, and of the right length.
    let mut log = Log::of(6, 100);
    log.open_term(3);
    (0..4).for_each(|_| log.message(100));
    let mut stale = Log::of(7, 100);
    stale.bytes.truncate(log.bytes.len());
    stale.message(80);
    let durable = log.end().0;
    let disk = filled(&log, &[durable])?;
    let (target, source) = (log.frame(3), log.frame(5));
    let opening = log.frame(7);
    let lies: [(&str, core::ops::Range<usize>, Vec<u8>); 4] = [
        ("a misdirected write", target.clone(), log.bytes[source].to_vec()),
        ("a stale read", opening.clone(), stale.bytes[opening].to_vec()),
        ("a lost write", target.clone(), vec![0; target.len()]),
        ("a lost write over several frames", log.frame(2).start..log.frame(4).end, Vec::new()),
    ];
    for (what, place, mut bytes) in lies {
        bytes.resize(place.len(), 0);
        let lying = disk.crashed(Fate::Kept);
        lying.edit(&segment(0), |file| {
            file[LOG_AT + place.start..LOG_AT + place.end].copy_from_slice(&bytes);
        });
        let error = refusal(&lying, what)?;
        let named = matches!(&error, ArchiveError::Damaged { at, .. }
            if at.0 == place.start as u64);
        check(named, || format!("{what} at {}: {error}", place.start))?;
    }
    Ok(())
}

/// Something that is done to the files of a member, and the refusal that has to follow.
type Tampering = (&'static str, fn(&MemoryDisk) -> Result<(), Failure>, fn(&ArchiveError) -> bool);

fn in_directory(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

fn copy(disk: &MemoryDisk, from: &Path, to: &Path) {
    let content = disk.content(from).unwrap_or_default();
    disk.edit(to, |bytes| *bytes = content);
}

/// The files of a member of another group.
fn foreign() -> Result<MemoryDisk, Failure> {
    let disk = MemoryDisk::default();
    let mut identity = identity();
    identity.group.0 ^= 1;
    sound("init", init_on(&disk, Path::new(DIRECTORY), &identity))?;
    Ok(disk)
}

fn put_foreign(disk: &MemoryDisk, name: &str) -> Result<(), Failure> {
    let content = foreign()?.content(&in_directory(name)).unwrap_or_default();
    disk.edit(&in_directory(name), |bytes| *bytes = content);
    Ok(())
}

const TAMPERINGS: [Tampering; 12] = [
    (
        "no identity",
        |disk| {
            disk.forget(&in_directory("identity"));
            Ok(())
        },
        |error| matches!(error, ArchiveError::Unfinished { .. }),
    ),
    (
        "no mark",
        |disk| {
            disk.forget(&in_directory("mark"));
            Ok(())
        },
        |error| matches!(error, ArchiveError::Missing { .. }),
    ),
    (
        "no vote",
        |disk| {
            disk.forget(&in_directory("vote.0"));
            disk.forget(&in_directory("vote.1"));
            Ok(())
        },
        |error| matches!(error, ArchiveError::Missing { .. }),
    ),
    (
        "no segment in the middle",
        |disk| {
            disk.forget(&segment(1));
            Ok(())
        },
        |error| matches!(error, ArchiveError::Missing { .. }),
    ),
    (
        "no segments",
        |disk| {
            for path in disk.files() {
                if path.extension().is_some_and(|extension| extension == "segment") {
                    disk.forget(&path);
                }
            }
            Ok(())
        },
        |error| matches!(error, ArchiveError::Missing { .. }),
    ),
    (
        "a segment twice",
        |disk| {
            copy(disk, &segment(0), &segment(1));
            Ok(())
        },
        |error| matches!(error, ArchiveError::Misplaced { found: 0, expected: 1, .. }),
    ),
    (
        "a segment under a name that is none",
        |disk| {
            copy(disk, &segment(0), &in_directory("log/0.segment"));
            Ok(())
        },
        |error| matches!(error, ArchiveError::Unexpected { .. }),
    ),
    (
        "an empty segment",
        |disk| {
            disk.edit(&segment(1), Vec::clear);
            Ok(())
        },
        |error| matches!(error, ArchiveError::SegmentLength { .. }),
    ),
    (
        "empty votes",
        |disk| {
            disk.edit(&in_directory("vote.0"), Vec::clear);
            disk.edit(&in_directory("vote.1"), Vec::clear);
            Ok(())
        },
        |error| matches!(error, ArchiveError::Unreadable { .. }),
    ),
    (
        "an empty identity",
        |disk| {
            disk.edit(&in_directory("identity"), Vec::clear);
            Ok(())
        },
        |error| matches!(error, ArchiveError::Unreadable { .. }),
    ),
    (
        "a segment of another group",
        |disk| put_foreign(disk, "log/0000000000000000.segment"),
        |error| matches!(error, ArchiveError::Foreign { .. }),
    ),
    (
        "a vote of another group",
        |disk| put_foreign(disk, "vote.1"),
        |error| matches!(error, ArchiveError::Foreign { .. }),
    ),
];

pub(super) fn df_12(trial: &mut Trial<'_>) -> Verdict {
    let log = Log::of(30, 300);
    let disk = filled(&log, &[log.end().0])?;
    for (what, tamper, expected) in TAMPERINGS {
        let tampered = disk.crashed(Fate::Kept);
        tamper(&tampered)?;
        let before: Vec<_> = tampered.files().iter().map(|path| tampered.content(path)).collect();
        let error = refusal(&tampered, what)?;
        check(expected(&error), || format!("{what}: {error}"))?;
        check(error.to_string().contains(DIRECTORY), || {
            format!("{what}: the refusal names no file: {error}")
        })?;
        let after: Vec<_> = tampered.files().iter().map(|path| tampered.content(path)).collect();
        check(before == after, || format!("{what}: the refusal changed files"))?;
        trial.count("tamperings", 1);
    }
    // A file of an interrupted creation, and one copy of what is kept twice, are no reason.
    disk.edit(&in_directory("log/0000000000000009.new"), |bytes| bytes.push(1));
    disk.forget(&in_directory("vote.0"));
    let repaired = sound("what repairs itself", Open::on(&disk))?;
    check(repaired.recovered.log_end == log.end(), || "the log is shorter now".to_owned())
}

pub(super) fn df_15(trial: &mut Trial<'_>) -> Verdict {
    read_only_files()?;
    super::members::df_15(trial)
}

fn read_only_files() -> Verdict {
    let log = Log::of(6, 300);
    let disk = filled(&log, &[])?;
    let mut open = sound("open", Open::on(&disk))?;
    let end = open.recovered.log_end;
    let mut more = log;
    more.message(100);
    disk.world().read_only = true;
    let refused = open.append(&more, more.end().0);
    let failed = matches!(&refused, Err(AppendError::Failed(ArchiveError::Io { .. })));
    check(failed, || format!("an append to a read-only file system: {refused:?}"))?;
    disk.world().read_only = false;
    // Nothing counts any more in this life, though the file system is well again.
    let vote = Vote { term: Term(9), granted_to: Some(MemberId(1)) };
    let later = [
        open.syncer.sync().map(|_| ()),
        open.syncer.persist_vote(&vote),
        open.syncer.persist_peers(&[]),
    ];
    for (number, result) in later.into_iter().enumerate() {
        check(matches!(result, Err(ArchiveError::Poisoned { .. })), || {
            format!("operation {number} behind the failure: {result:?}")
        })?;
    }
    check(open.writer.written() == end, || "the refused append counts as written".to_owned())?;
    drop(open);
    disk.world().read_only = true;
    refusal(&disk, "a start on a read-only file system")?;
    disk.world().read_only = false;
    let mut open = sound("the next life", Open::on(&disk))?;
    check(open.recovered.log_end == end, || "the log has changed".to_owned())?;
    check(open.recovered.vote != vote, || "a vote that was refused is durable".to_owned())?;
    sound("append", open.append(&more, more.end().0))?;
    sound("sync", open.syncer.sync())?;
    Ok(())
}

pub(super) fn df_16(trial: &mut Trial<'_>) -> Verdict {
    let log = Log::of(2, 50);
    let disk = filled(&log, &[log.end().0])?;
    let step = trial.times(7, 3, 1) as usize;
    for name in ["boot", "vote", "history", "peers"] {
        let copies = [0, 1].map(|copy| in_directory(&format!("{name}.{copy}")));
        for copy in &copies {
            let length = disk.content(copy).map_or(0, |bytes| bytes.len().min(96));
            for at in (0..length).step_by(step) {
                let damaged = disk.crashed(Fate::Kept);
                damaged.edit(copy, |bytes| bytes[at] ^= 0x40);
                let open = sound(&format!("{name} with one copy damaged"), Open::on(&damaged))?;
                let same = open.recovered.history == log.history;
                check(same, || format!("byte {at} of {} changes the history", copy.display()))?;
                trial.count("damaged_copies", 1);
            }
        }
        let damaged = disk.crashed(Fate::Kept);
        copies.iter().for_each(|copy| damaged.edit(copy, |bytes| bytes[40] ^= 0x40));
        let error = refusal(&damaged, &format!("{name} with both copies damaged"))?;
        let named = matches!(&error, ArchiveError::Unreadable { path } if *path == copies[0]);
        check(named, || format!("both copies of {name} are damaged: {error}"))?;
        let report = sound("describe", describe_on(&damaged, Path::new(DIRECTORY), &OPTIONS))?;
        check(!report.problems.is_empty(), || format!("no report of a damaged {name}"))?;
    }
    Ok(())
}
