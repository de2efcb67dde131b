//! Every state that a crash can leave of a life on a disk.

use quorate_archive::ArchiveError;
use quorate_archive::memory::{Fate, MemoryDisk};
use quorate_core::hash::mix;
use quorate_core::{
    BootEpoch, Incarnation, Life, MemberId, PeerRecord, Position, Recovered, Term, TermHistory,
    Vote,
};

use crate::case::{Failure, Verdict, check};
use crate::files::{Log, Open, identity, sound};
use crate::trial::Trial;

/// What was promised, first, and what was under way beside it.
#[derive(Clone, Debug, Default)]
struct Promised {
    boot_epoch: BootEpoch,
    votes: [Vote; 2],
    peers: [Vec<PeerRecord>; 2],
    histories: [TermHistory; 2],
    /// The recovered log begins like the one that goes with the recovered history.
    logs: [Log; 2],
    /// It is at least this long.
    durable: u64,
}

/// One life, up to the first call that fails.
struct LifeOnDisk {
    open: Open,
    promised: Promised,
}

impl LifeOnDisk {
    fn vote(&mut self, term: u64) -> Result<(), ArchiveError> {
        let vote = Vote { term: Term(term), granted_to: Some(MemberId(2)) };
        self.promised.votes[1] = vote;
        self.open.syncer.persist_vote(&vote)?;
        self.promised.votes[0] = vote;
        Ok(())
    }

    fn adopt(&mut self, log: &Log, cut: Position) -> Result<(), ArchiveError> {
        self.promised.histories[1] = log.history.clone();
        self.promised.logs[1] = log.clone();
        self.promised.durable = self.promised.durable.min(cut.0);
        self.open.adopt(log, cut)?;
        self.promised.histories[0] = log.history.clone();
        self.promised.logs[0] = log.clone();
        Ok(())
    }

    fn append(&mut self, log: &Log, end: u64) -> Result<(), ArchiveError> {
        self.promised.logs = [log.clone(), log.clone()];
        self.open.append(log, end).map_err(|error| match error {
            quorate_archive::AppendError::Failed(error) => error,
            full => ArchiveError::Poisoned { cause: full.to_string() },
        })
    }

    fn sync(&mut self) -> Result<(), ArchiveError> {
        self.promised.durable = self.open.syncer.sync()?.0;
        Ok(())
    }

    fn peers(&mut self, position: Position) -> Result<(), ArchiveError> {
        let (incarnation, boot_epoch) = (Incarnation(1), BootEpoch(position.0));
        let life = Life { member: MemberId(2), incarnation, boot_epoch };
        let peers = vec![PeerRecord {
            life,
            acknowledged_in: life.boot_epoch,
            term: Term(1),
            acknowledged: position,
        }];
        self.promised.peers[1].clone_from(&peers);
        self.open.syncer.persist_peers(&peers)?;
        self.promised.peers[0] = peers;
        Ok(())
    }

    /// Appends within a segment and into new ones, syncs, votes, remembers, and is cut in the
    /// middle by another leader's history.
    fn live(&mut self) -> Result<(), ArchiveError> {
        self.vote(1)?;
        let mut log = Log::of(2, 900);
        self.adopt(&log, Position::ZERO)?;
        self.append(&log, log.end().0)?;
        self.sync()?;
        log.message(600);
        let kept = log.clone();
        log.message(3_100);
        self.append(&log, log.end().0)?;
        self.sync()?;
        self.peers(log.end())?;
        log.message(700);
        self.append(&log, log.end().0)?;
        self.vote(3)?;
        let (mut log, cut) = (kept.clone(), kept.end());
        log.open_term(3);
        self.adopt(&log, cut)?;
        log.message(40);
        self.append(&log, log.end().0)?;
        self.sync()?;
        log.message(4_500);
        self.append(&log, log.end().0)?;
        self.sync()
    }
}

/// A life on `disk`; `None` when it did not even begin.
fn live(disk: &MemoryDisk) -> Option<Promised> {
    let directory = std::path::Path::new(crate::files::DIRECTORY);
    quorate_archive::init_on(disk, directory, &identity()).ok()?;
    let Ok(open) = Open::on(disk) else { return Some(Promised::default()) };
    let boot_epoch = open.recovered.life.boot_epoch;
    let promised = Promised { boot_epoch, ..Promised::default() };
    let mut life = LifeOnDisk { open, promised };
    // The first call that fails ends it.
    let _ = life.live();
    Some(life.promised)
}

/// What is found on `disk`; an error names the promise that is broken.
fn find(disk: &MemoryDisk, promised: &Promised) -> Result<Recovered, String> {
    let open = Open::on(disk).map_err(|error| error.to_string())?;
    let found = open.recovered.clone();
    let bytes = open.bytes().map_err(|error| error.to_string())?;
    if found.life.boot_epoch <= promised.boot_epoch {
        return Err(format!("the life {} is not new", found.life.boot_epoch.0));
    }
    if !promised.votes.contains(&found.vote) {
        return Err(format!("the vote is {:?}", found.vote));
    }
    if !promised.peers.contains(&found.peers) {
        return Err(format!("the peers are {:?}", found.peers));
    }
    let which = promised.histories.iter().position(|history| *history == found.history);
    let Some(which) = which else { return Err(format!("the history is {:?}", found.history)) };
    let log = &promised.logs[which];
    if found.log_end.0 < promised.durable {
        return Err(format!("the log ends at {}, below {}", found.log_end, promised.durable));
    }
    if log.whole_below(found.log_end.0) != found.log_end.0 {
        return Err(format!("the log ends inside a frame, at {}", found.log_end));
    }
    if log.bytes.get(..found.log_end.0 as usize) != Some(&bytes[..]) {
        return Err("the bytes of the log are others".to_owned());
    }
    Ok(found)
}

pub(super) fn df_13(trial: &mut Trial<'_>) -> Verdict {
    let disk = MemoryDisk::default();
    let whole = live(&disk).ok_or_else(|| Failure::Harness("no life began".into()))?;
    let operations = disk.world().operations;
    let complete = whole.durable == whole.logs[0].end().0 && whole.durable > 4_500;
    check(complete, || format!("a life without faults is durable up to {}", whole.durable))?;
    let mixtures = trial.times(1, 4, 40);
    let step = trial.times(5, 1, 1) as usize;
    for crash_at in (0..=operations).step_by(step) {
        let disk = MemoryDisk::default();
        disk.world().crash_at = Some(crash_at);
        let Some(promised) = live(&disk) else { continue };
        let mixed = (0..mixtures).map(|mixture| Fate::Mixed(mix(trial.seed(), mixture) | 1));
        for fate in [Fate::Kept, Fate::Lost].into_iter().chain(mixed) {
            let context = || format!("a crash in call {crash_at} of {operations}, {fate:?}");
            let after = disk.crashed(fate);
            let first = sound(&context(), find(&after, &promised))?;
            // What was found once is found again, though the power goes at once.
            let second = sound(&context(), find(&after.crashed(Fate::Lost), &promised))?;
            check((first.log_end, first.vote) == (second.log_end, second.vote), || {
                format!("{}: found {first:?}, and then {second:?}", context())
            })?;
            trial.count("post_crash_states", 1);
        }
    }
    Ok(())
}
