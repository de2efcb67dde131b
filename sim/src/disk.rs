//! A member's disk: what is written, what is durable, and what a crash leaves of the difference.

use quorate_core::frame::{Body, FrameSeed, chain_after, parse_body, verify};
use quorate_core::{
    BootEpoch, Chain, GroupTag, Incarnation, Life, LogTime, MemberId, OperationId, PeerRecord,
    Position, PositionRange, Recovered, Term, TermHistory, Vote,
};

use crate::dice::{ALWAYS, Dice};
use crate::report::{Mark, Tally};

/// A whole, valid frame of a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameMark {
    /// Where it begins.
    pub start: Position,
    /// Where the next begins.
    pub end: Position,
    /// The term that owns it.
    pub term: Term,
    /// Its checksum.
    pub checksum: u32,
    /// The chain value behind it.
    pub chain: Chain,
    /// Its cluster time.
    pub time: LogTime,
}

/// An operation that completes later.
#[derive(Clone, Debug)]
pub enum Work {
    /// Makes the log durable up to here; a cut in the meantime lowers it.
    Sync {
        /// What was written when the operation was issued.
        covers: u64,
    },
    /// Replaces the vote.
    Vote(Vote),
    /// Replaces the history, then cuts the log.
    History {
        /// The new history.
        history: TermHistory,
        /// Where the log is cut.
        cut: Position,
    },
    /// Replaces what is remembered of the others.
    Peers(Vec<PeerRecord>),
    /// Reads.
    Read(PositionRange),
}

/// What a completed operation did.
#[derive(Clone, Debug)]
pub enum Completion {
    /// It wrote, and that is durable.
    Durable(Work),
    /// It read these bytes, as they are now.
    Read(Vec<u8>),
}

/// A disk with the one log that lies on it.
#[derive(Clone, Debug)]
pub struct SimDisk {
    tag: GroupTag,
    frame_bytes_max: u64,
    log: Vec<u8>,
    frames: Vec<FrameMark>,
    durable_end: u64,
    vote: Vote,
    history: TermHistory,
    peers: Vec<PeerRecord>,
    boot_epoch: u64,
    pending: Vec<(OperationId, Work)>,
}

/// The unit in which a crash loses unsynced bytes that are not a suffix.
const SECTOR_BYTES: usize = 512;

impl SimDisk {
    /// An empty disk for a group's log.
    #[must_use]
    pub fn new(tag: GroupTag, frame_bytes_max: u64) -> Self {
        Self {
            tag,
            frame_bytes_max,
            log: Vec::new(),
            frames: Vec::new(),
            durable_end: 0,
            vote: Vote::default(),
            history: TermHistory::default(),
            peers: Vec::new(),
            boot_epoch: 0,
            pending: Vec::new(),
        }
    }

    /// The end of what is written.
    #[must_use]
    pub fn written_end(&self) -> Position {
        Position(self.log.len() as u64)
    }

    /// The end of what would survive a crash for certain.
    #[must_use]
    pub const fn durable_end(&self) -> Position {
        Position(self.durable_end)
    }

    /// The durable vote.
    #[must_use]
    pub const fn vote(&self) -> Vote {
        self.vote
    }

    /// The durable term history.
    #[must_use]
    pub const fn history(&self) -> &TermHistory {
        &self.history
    }

    /// The whole frames that are written.
    #[must_use]
    pub fn frames(&self) -> &[FrameMark] {
        &self.frames
    }

    /// The written frame that ends at `end`.
    #[must_use]
    pub fn frame_ending_at(&self, end: Position) -> Option<&FrameMark> {
        let index = self.frames.binary_search_by_key(&end, |frame| frame.end).ok()?;
        Some(&self.frames[index])
    }

    /// Whether the bytes before `end` are durable and end with a frame of this chain value.
    #[must_use]
    pub fn holds_durably(&self, end: Position, chain: Chain) -> bool {
        end.0 <= self.durable_end
            && self.frame_ending_at(end).is_some_and(|frame| frame.chain == chain)
    }

    /// Writes `first` and `second` behind the log. Returns the frames that became whole, and where
    /// the written bytes are no frame under the durable history, if so.
    pub fn append(&mut self, first: &[u8], second: &[u8]) -> (&[FrameMark], Option<Position>) {
        self.log.extend_from_slice(first);
        self.log.extend_from_slice(second);
        let known = self.frames.len();
        let bad = self.scan();
        (&self.frames[known..], bad)
    }

    /// Queues an operation.
    pub fn issue(&mut self, operation: OperationId, work: Work) {
        self.pending.push((operation, work));
    }

    /// Completes an operation; `None` when this life has not asked for it.
    pub fn complete(&mut self, operation: OperationId) -> Option<Completion> {
        let index = self.pending.iter().position(|(pending, _)| *pending == operation)?;
        let (_, work) = self.pending.remove(index);
        if let Work::Read(range) = work {
            let end = range.end.0.min(self.log.len() as u64) as usize;
            let start = (range.start.0 as usize).min(end);
            return Some(Completion::Read(self.log[start..end].to_vec()));
        }
        self.perform(&work);
        Some(Completion::Durable(work))
    }

    /// What the power leaves: all that is durable, and any legal part of what is not.
    pub fn crash(&mut self, dice: &mut Dice, tally: &mut Tally) {
        let pending = core::mem::take(&mut self.pending);
        let (mut votes, mut histories, mut peers) = (true, true, true);
        for (_, work) in &pending {
            // Operations of one kind are done in order; once one is lost, so are those behind it.
            let alive = match work {
                Work::Vote(_) => &mut votes,
                Work::History { .. } => &mut histories,
                Work::Peers(_) => &mut peers,
                Work::Sync { .. } | Work::Read(_) => continue,
            };
            if !*alive || dice.chance(ALWAYS / 2) {
                *alive = false;
                tally.saw(Mark::LostMetadata);
            } else if let Work::History { history, .. } = work
                && dice.chance(ALWAYS / 3)
            {
                // The history is there, and the cut that belongs to it is not.
                self.history = history.clone();
                self.durable_end = self.durable_end.min(self.log.len() as u64);
            } else {
                self.perform(work);
            }
        }
        self.crash_log(dice, tally);
    }

    fn crash_log(&mut self, dice: &mut Dice, tally: &mut Tally) {
        let (durable, written) = (self.durable_end as usize, self.log.len());
        if durable == written {
            return;
        }
        let kept = durable + (dice.below((written - durable) as u64 / 8 + 1) * 8) as usize;
        match dice.below(3) {
            0 => {
                self.log.truncate(durable);
                tally.saw(Mark::LostWrite);
            }
            1 => {
                self.log.truncate(kept);
                tally.saw(Mark::TornWrite);
            }
            _ => {
                for start in (durable..written).step_by(SECTOR_BYTES) {
                    if dice.chance(ALWAYS / 3) {
                        let end = (start + SECTOR_BYTES).min(written);
                        self.log[start..end].fill(0);
                        tally.saw(Mark::TornWrite);
                    }
                }
            }
        }
    }

    /// What a new life of `member` finds, with a new boot epoch that is durable first.
    pub fn recover(&mut self, member: MemberId) -> Recovered {
        self.boot_epoch += 1;
        self.pending.clear();
        self.frames.clear();
        // A torn tail is cut; what is left counts as synced by the recovery itself.
        self.scan();
        let end = self.frames.last().map_or(Position::ZERO, |frame| frame.end);
        self.log.truncate(end.0 as usize);
        self.durable_end = end.0;
        Recovered {
            life: Life {
                member,
                incarnation: Incarnation(1),
                boot_epoch: BootEpoch(self.boot_epoch),
            },
            vote: self.vote,
            history: self.history.clone(),
            log_end: end,
            chain: self.frames.last().map_or_else(Chain::default, |frame| frame.chain),
            log_time: self.frames.last().map_or(LogTime(0), |frame| frame.time),
            peers: self.peers.clone(),
        }
    }

    fn perform(&mut self, work: &Work) {
        match work {
            Work::Sync { covers } => self.durable_end = self.durable_end.max(*covers),
            Work::Vote(vote) => self.vote = *vote,
            Work::History { history, cut } => {
                self.history = history.clone();
                self.cut(*cut);
            }
            Work::Peers(peers) => self.peers.clone_from(peers),
            Work::Read(_) => {}
        }
    }

    fn cut(&mut self, cut: Position) {
        self.log.truncate(cut.0 as usize);
        let kept = self.frames.partition_point(|frame| frame.end <= cut);
        self.frames.truncate(kept);
        self.durable_end = self.durable_end.min(cut.0);
        for (_, work) in &mut self.pending {
            if let Work::Sync { covers } = work {
                *covers = (*covers).min(cut.0);
            }
        }
    }

    /// Adds the whole frames behind the known ones; returns where the bytes are no frame.
    fn scan(&mut self) -> Option<Position> {
        loop {
            let last = self.frames.last();
            let start = last.map_or(Position::ZERO, |frame| frame.end);
            let chain = last.map_or_else(Chain::default, |frame| frame.chain);
            let bytes = &self.log[start.0 as usize..];
            if bytes.is_empty() {
                return None;
            }
            let Some(owner) = self.history.owner(start) else { return Some(start) };
            let term = owner.term;
            let seed = FrameSeed::new(self.tag, term, start);
            let Ok(header) = verify(seed, bytes, &[], self.frame_bytes_max) else {
                return Some(start);
            };
            let end = start.plus(header.aligned_length());
            if self.history.owner_end(start).is_some_and(|owned| end > owned) {
                return Some(start);
            }
            let time = parse_body(&header, bytes).map_or(LogTime(0), |body: Body| body.time());
            let chain = chain_after(chain, term, start, header.checksum);
            let checksum = header.checksum;
            self.frames.push(FrameMark { start, end, term, checksum, chain, time });
        }
    }
}

#[cfg(test)]
mod tests;
