//! Every crash of a life: at each call, with what was not synced kept, lost or mixed (DF-13).

use std::path::Path;

use quorate_core::{
    BootEpoch, Incarnation, Life, MemberId, PeerRecord, Position, Recovered, Term, TermHistory,
    Vote,
};

use super::builder::{Builder, OPTIONS, adopt, append, identity};
use crate::error::AppendError;
use crate::memory::{Fate, MemoryDisk};
use crate::{Archive, ArchiveError, Syncer, Writer, init_on};

const DIRECTORY: &str = "/member";

/// What was promised, and what was under way.
#[derive(Clone, Debug, Default)]
struct Progress {
    initialised: bool,
    boot_epoch: BootEpoch,
    votes: [Vote; 2],
    histories: [TermHistory; 2],
    peers: [Vec<PeerRecord>; 2],
    /// The log is at least this long.
    durable: u64,
    /// Each log that the recovered one may be a prefix of: under the old, and the new history.
    logs: [Builder; 2],
}

struct Run {
    progress: Progress,
    writer: Writer<MemoryDisk>,
    syncer: Syncer<MemoryDisk>,
}

impl Run {
    fn vote(&mut self, vote: Vote) -> Result<(), ArchiveError> {
        self.progress.votes[1] = vote;
        self.syncer.persist_vote(&vote)?;
        self.progress.votes[0] = vote;
        Ok(())
    }

    /// Adopts the history of `log` and cuts where the old log differs from `log` as it is now.
    fn adopt(&mut self, log: &Builder, cut: Position) -> Result<(), ArchiveError> {
        self.progress.histories[1] = log.history.clone();
        self.progress.logs[1] = log.clone();
        self.progress.durable = self.progress.durable.min(cut.0);
        adopt(&mut self.writer, &mut self.syncer, &log.history, cut)?;
        self.progress.histories[0] = log.history.clone();
        self.progress.logs[0] = log.clone();
        Ok(())
    }

    fn append(&mut self, log: &Builder) -> Result<(), ArchiveError> {
        self.progress.logs = [log.clone(), log.clone()];
        append(&mut self.writer, log).map_err(|error| match error {
            AppendError::Failed(error) => error,
            AppendError::Full { .. } => panic!("there is space"),
        })
    }

    fn sync(&mut self) -> Result<(), ArchiveError> {
        self.progress.durable = self.syncer.sync()?.0;
        Ok(())
    }

    fn peers(&mut self, position: u64) -> Result<(), ArchiveError> {
        let life = Life {
            member: MemberId(2),
            incarnation: Incarnation(1),
            boot_epoch: BootEpoch(position),
        };
        let peers = vec![PeerRecord {
            life,
            acknowledged_in: life.boot_epoch,
            term: Term(1),
            acknowledged: Position(position),
        }];
        self.progress.peers[1].clone_from(&peers);
        self.syncer.persist_peers(&peers)?;
        self.progress.peers[0] = peers;
        Ok(())
    }

    /// Three terms, with a tail that is cut, over several segments.
    fn live(&mut self) -> Result<(), ArchiveError> {
        let vote = |term| Vote { term: Term(term), granted_to: Some(MemberId(0)) };
        self.vote(vote(1))?;
        let mut log = Builder::default();
        let base = log.line(1);
        self.adopt(&log, base)?;
        log.open();
        log.message(1_500);
        self.append(&log)?;
        self.sync()?;
        log.message(700);
        self.append(&log)?;
        let kept = log.clone();
        log.message(3_000);
        self.append(&log)?;
        self.sync()?;
        self.peers(log.end().0)?;
        log.message(900);
        self.append(&log)?;
        // Another leader's term begins further down: the tail goes, synced and unsynced.
        self.vote(vote(3))?;
        let mut log = kept;
        let cut = log.line(3);
        self.adopt(&log, cut)?;
        log.open();
        log.message(40);
        self.append(&log)?;
        self.sync()?;
        // And one that cuts nothing.
        let base = log.line(4);
        self.adopt(&log, base)?;
        log.open();
        log.message(5_000);
        self.append(&log)?;
        self.sync()
    }
}

fn run(disk: &MemoryDisk) -> Progress {
    let mut progress = Progress::default();
    let directory = Path::new(DIRECTORY);
    if init_on(disk, directory, &identity()).is_err() {
        return progress;
    }
    progress.initialised = true;
    let Ok((archive, recovered)) = Archive::open_on(disk.clone(), directory, &OPTIONS) else {
        return progress;
    };
    progress.boot_epoch = recovered.life.boot_epoch;
    let (writer, syncer, _) = archive.split();
    let mut run = Run { progress, writer, syncer };
    let _ = run.live();
    run.progress
}

fn open(disk: &MemoryDisk) -> Result<(Recovered, Vec<u8>), ArchiveError> {
    let (archive, recovered) = Archive::open_on(disk.clone(), Path::new(DIRECTORY), &OPTIONS)?;
    let (writer, _, reader) = archive.split();
    assert_eq!(writer.written(), recovered.log_end);
    let mut bytes = Vec::new();
    let all = quorate_core::PositionRange::new(Position::ZERO, Position::MAX);
    reader.read(all, &mut bytes).unwrap();
    Ok((recovered, bytes))
}

fn check(disk: &MemoryDisk, progress: &Progress, context: &str) -> Option<Recovered> {
    let (recovered, bytes) = match open(disk) {
        Ok(found) => found,
        Err(ArchiveError::NotInitialised { .. } | ArchiveError::Unfinished { .. })
            if !progress.initialised =>
        {
            return None;
        }
        Err(error) => panic!("{context}: {error}\n{progress:?}"),
    };
    assert!(recovered.life.boot_epoch > progress.boot_epoch, "{context}");
    assert!(progress.votes.contains(&recovered.vote), "{context}: {:?}", recovered.vote);
    assert!(progress.peers.contains(&recovered.peers), "{context}");
    let which = progress.histories.iter().position(|history| *history == recovered.history);
    let log = &progress.logs[which.unwrap_or_else(|| panic!("{context}: a mixed history"))];
    assert!(recovered.log_end.0 >= progress.durable, "{context}: {}", recovered.log_end);
    assert_eq!(log.whole_below(recovered.log_end.0), recovered.log_end.0, "{context}");
    assert_eq!(bytes, &log.bytes[..recovered.log_end.0 as usize], "{context}");
    Some(recovered)
}

#[test]
fn every_crash_leaves_a_legal_state() {
    let disk = MemoryDisk::default();
    let all = run(&disk);
    let operations = disk.world().operations;
    assert_eq!(all.durable, all.logs[0].bytes.len() as u64, "the run is complete");
    assert!(operations > 100, "{operations}");
    for crash_at in 0..=operations {
        let disk = MemoryDisk::default();
        disk.world().crash_at = Some(crash_at);
        let progress = run(&disk);
        let mixed = (0..6).map(|seed| Fate::Mixed(crash_at * 64 + seed * 2 + 1));
        for fate in [Fate::Kept, Fate::Lost].into_iter().chain(mixed) {
            let context = format!("crash at {crash_at} of {operations}, {fate:?}");
            let after = disk.crashed(fate);
            let Some(first) = check(&after, &progress, &context) else { continue };
            // What was recovered once is recovered again, even if power goes at once.
            let again = after.crashed(Fate::Lost);
            let (second, _) = open(&again).unwrap();
            let boot_epoch = BootEpoch(first.life.boot_epoch.0 + 1);
            let expected = Recovered { life: Life { boot_epoch, ..first.life }, ..first };
            assert_eq!(second, expected, "{context}");
        }
    }
}

#[test]
fn a_crash_during_recovery_is_recovered_from() {
    let disk = MemoryDisk::default();
    let operations = {
        run(&disk);
        disk.world().operations
    };
    // The crash is inside the cut, where recovery has the most to do.
    for crash_at in (operations / 2..operations).step_by(3) {
        let disk = MemoryDisk::default();
        disk.world().crash_at = Some(crash_at);
        let progress = run(&disk);
        for recovery_crash in 0..40 {
            let after = disk.crashed(Fate::Mixed(crash_at | 1));
            after.world().crash_at = Some(recovery_crash);
            let opened = open(&after).is_ok();
            let context = format!("crash at {crash_at}, then at {recovery_crash}");
            check(&after.crashed(Fate::Mixed(recovery_crash * 2 + 1)), &progress, &context);
            if opened {
                break;
            }
        }
    }
}

/// What a member of a volatile group has come to when it is stopped in good order.
#[derive(Debug, Default)]
struct Stop {
    /// The mark is durable: from then on the member promises all of its log.
    is_marked: bool,
    log: Builder,
    /// It was told that its stop is clean.
    is_clean: bool,
}

/// In the order of the core: the mark, promises, and then a sync and the end of the mark.
fn stop(disk: &MemoryDisk, stop: &mut Stop) -> Result<(), ArchiveError> {
    let directory = Path::new(DIRECTORY);
    init_on(disk, directory, &identity())?;
    let (archive, recovered) = Archive::open_on(disk.clone(), directory, &OPTIONS)?;
    let (mut writer, mut syncer, _) = archive.split();
    let mut log = Builder::default();
    let base = log.line(1);
    adopt(&mut writer, &mut syncer, &log.history, base)?;
    log.open();
    if append(&mut writer, &log).is_err() {
        return Ok(());
    }
    syncer.sync()?;
    let (life, acknowledged) = (recovered.life, Position::MAX);
    syncer.persist_peers(&[PeerRecord { life, acknowledged, ..PeerRecord::default() }])?;
    stop.is_marked = true;
    for length in [700, 3_000, 5_000] {
        log.message(length);
        if append(&mut writer, &log).is_err() {
            return Ok(());
        }
        stop.log = log.clone();
    }
    syncer.sync()?;
    syncer.persist_peers(&[])?;
    stop.is_clean = true;
    Ok(())
}

#[test]
fn a_clean_stop_is_clean_on_the_disk_and_not_before_all_promises_are() {
    let disk = MemoryDisk::default();
    let mut whole = Stop::default();
    stop(&disk, &mut whole).unwrap();
    assert!(whole.is_clean);
    let operations = disk.world().operations;
    let mut seen = [0; 2];
    for crash_at in 0..=operations {
        let disk = MemoryDisk::default();
        disk.world().crash_at = Some(crash_at);
        let mut progress = Stop::default();
        let _ = stop(&disk, &mut progress);
        if !progress.is_marked {
            continue;
        }
        let mixed = (0..6).map(|seed| Fate::Mixed(crash_at * 64 + seed * 2 + 1));
        for fate in [Fate::Kept, Fate::Lost].into_iter().chain(mixed) {
            let context = format!("crash at {crash_at} of {operations}, {fate:?}");
            let (recovered, _) = open(&disk.crashed(fate)).expect(&context);
            let is_marked = !recovered.peers.is_empty();
            assert!(!is_marked || !progress.is_clean, "{context}: it was told to be clean");
            let lacks = recovered.log_end < progress.log.end();
            assert!(is_marked || !lacks, "{context}: {} without a mark", recovered.log_end);
            seen[usize::from(is_marked)] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
}
