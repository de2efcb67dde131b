//! Damage of bytes that nobody reads: all that is stored is read again, and again.

use std::path::Path;

use quorate_archive::memory::MemoryDisk;
use quorate_archive::{Archive, Damage, Scrub, Snapshots, Syncer, Writer, init_on};
use quorate_core::snapshot::SNAPSHOT_VERSION;
use quorate_core::{LogTime, Position, Snapshot, SnapshotPoint};
use quorate_sim::Dice;

use super::mending::{flip, is_whole, rot_is_mended, segment_of, two_terms};
use crate::case::{Failure, Verdict, check};
use crate::files::{DIRECTORY, LOG_AT, Log, OPTIONS, identity, sound};
use crate::trial::Trial;

/// Bytes of a step: less than a segment, and no whole number of frames.
const STEP_BYTES: u64 = 1_000;
/// Steps behind which a pass has to have ended.
const STEPS_MAX: usize = 1_000;
/// Bytes of a service's state, in several chunks.
const STATE_BYTES: usize = 200_000;

/// A member's archive while it runs.
struct Running {
    disk: MemoryDisk,
    log: Log,
    writer: Writer<MemoryDisk>,
    syncer: Syncer<MemoryDisk>,
    snapshots: Snapshots<MemoryDisk>,
    scrub: Scrub<MemoryDisk>,
}

impl Running {
    fn new(log: &Log) -> Result<Self, Failure> {
        let (disk, directory) = (MemoryDisk::default(), Path::new(DIRECTORY));
        sound("init", init_on(&disk, directory, &identity()))?;
        let (archive, _) = sound("open", Archive::open_on(disk.clone(), directory, &OPTIONS))?;
        let (scrub, snapshots) = (archive.scrub(), archive.snapshots());
        let (mut writer, mut syncer, _) = archive.split();
        let cut = writer.cut(Position::ZERO);
        sound("adopt", syncer.persist_history(&log.history, cut))?;
        let log = log.clone();
        let mut running = Self { disk, log, writer, syncer, snapshots, scrub };
        running.write_on()?;
        Ok(running)
    }

    /// Makes durable what the log has and the disk has not.
    fn write_on(&mut self) -> Verdict {
        let written = self.writer.written();
        let bytes = &self.log.bytes[written.0 as usize..];
        sound("append", self.writer.append(written, bytes, &[]))?;
        sound("sync", self.syncer.sync()).map(drop)
    }

    /// One pass: what it finds, and how much of it was read for that.
    fn pass(&mut self) -> Result<(Vec<Damage>, u64), Failure> {
        let (mut damages, mut bytes) = (Vec::new(), 0);
        for _ in 0..STEPS_MAX {
            let step = sound("a step", self.scrub.step(self.log.end(), STEP_BYTES))?;
            bytes += step.bytes;
            let stops = step.pass_ended || step.damage.as_ref().is_some_and(|found| found.is_log);
            damages.extend(step.damage);
            if stops {
                return Ok((damages, bytes));
            }
        }
        Err(Failure::broken("a pass does not end"))
    }
}

/// A bit of each frame turns over under a member that runs, behind a pass that found nothing.
pub(super) fn df_18(trial: &mut Trial<'_>) -> Verdict {
    let log = two_terms();
    let mut dice = Dice::new(trial.seed(), "rot");
    for number in (0..log.ends.len()).step_by(trial.times(5, 2, 1) as usize) {
        let mut running = Running::new(&log)?;
        let (found, bytes) = running.pass()?;
        check(found.is_empty() && bytes == log.end().0, || {
            format!("a pass over what is whole reads {bytes} bytes, and finds {found:?}")
        })?;
        let range = log.frame(number);
        let at = range.start as u64 + dice.below(range.len() as u64);
        flip(&running.disk, at, dice.below(8));
        let (found, _) = running.pass()?;
        let start = range.start as u64;
        let offset = LOG_AT as u64 + start % identity().segment_bytes;
        let is_named = matches!(found.as_slice(), [damage] if damage.is_log
            && (damage.at.0, damage.offset) == (start, offset)
            && damage.path == segment_of(start));
        check(is_named, || {
            format!("a bit at {at} of frame {number} rots, and found is {found:?}")
        })?;
        let disk = running.disk.clone();
        drop(running);
        rot_is_mended(trial, &log, &disk)?;
        is_whole(&disk, &log)?;
        trial.count("rotten_frames", 1);
    }
    while_it_writes(&log)?;
    in_snapshots(trial, &log)
}

/// What is appended between two steps, and what is not committed yet, is no damage.
fn while_it_writes(log: &Log) -> Verdict {
    let mut running = Running::new(log)?;
    let (mut passes, mut behind) = (0, log.end());
    for step in 0..400 {
        let found = sound("a step", running.scrub.step(behind, STEP_BYTES))?;
        check(found.damage.is_none(), || format!("nothing has rotted: {:?}", found.damage))?;
        passes += u32::from(found.pass_ended);
        // It is committed some steps later.
        behind = if step % 3 == 0 { running.log.end() } else { behind };
        running.log.message(120);
        running.write_on()?;
    }
    check(passes > 0, || "a log that grows is never read to its end")
}

/// A bit of a stored snapshot turns over: its file is named, pass by pass, and the log is no worse
/// for it.
fn in_snapshots(trial: &Trial<'_>, log: &Log) -> Verdict {
    let part = Log::of(3, 330);
    let time = LogTime(1);
    let point = SnapshotPoint {
        position: part.end(),
        term: part.history.term_before(part.end()),
        chain: part.chain,
        time,
    };
    let mut core = SNAPSHOT_VERSION.to_le_bytes().to_vec();
    core.extend([0; 6]);
    for word in [point.position.0, point.term.0, point.chain.0, point.time.0] {
        core.extend_from_slice(&word.to_le_bytes());
    }
    let mut dice = Dice::new(trial.seed(), "snapshots");
    for _ in 0..trial.times(2, 10, 60) {
        let mut running = Running::new(log)?;
        let snapshot = Snapshot { point, core: core.clone() };
        let stored = running.snapshots.store(&snapshot, &[7; STATE_BYTES], None);
        sound("a snapshot", stored)?;
        let (found, bytes) = running.pass()?;
        let all = log.end().0 + (STATE_BYTES + core.len()) as u64;
        check(found.is_empty() && bytes == all, || {
            format!("of {all} bytes a pass reads {bytes}, and finds {found:?}")
        })?;
        let path =
            running.disk.files().into_iter().find(|path| {
                running.disk.content(path).is_some_and(|bytes| bytes.len() > STATE_BYTES)
            });
        let path = path.ok_or_else(|| Failure::Harness("no file of a snapshot".into()))?;
        let length = running.disk.content(&path).map_or(0, |bytes| bytes.len());
        // Chunks and their checksums, not what may be behind them.
        let at = length / 10 + dice.below(STATE_BYTES as u64 / 2) as usize;
        running.disk.edit(&path, |bytes| bytes[at] ^= 1 << dice.below(8));
        for _ in 0..2 {
            let (found, _) = running.pass()?;
            let is_named = matches!(found.as_slice(), [damage] if !damage.is_log
                && damage.at == point.position && damage.path == path);
            check(is_named, || format!("byte {at} of the snapshot rots, and found is {found:?}"))?;
        }
        trial.count("rotten_snapshots", 1);
    }
    Ok(())
}
