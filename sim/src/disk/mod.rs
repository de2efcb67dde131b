//! A member's disk: what is written, what is durable, and what a crash leaves of the difference.

use quorate_core::frame::{Body, FrameSeed, Level, chain_after, parse_body, verify};
use quorate_core::{
    BootEpoch, Chain, GroupTag, Incarnation, Life, LogTime, MemberId, OperationId, PeerRecord,
    Position, Recovered, SnapshotPoint, Term, TermHistory, Vote,
};

use crate::dice::{ALWAYS, Dice};
use crate::observers::find_from_end;
use crate::report::{Mark, Tally};

mod choices;
mod damage;
mod frame_mark;
mod image;
mod members;
mod snapshots;
mod work;

pub use damage::{Damage, Refusal};
pub use frame_mark::FrameMark;
pub use snapshots::Stored;
pub use work::{Completion, Work};

use damage::LostWrite;
use image::{Image, SECTOR_BYTES};
use snapshots::Draft;

/// Kinds of records that are kept in two copies: vote, history, peers, boot epoch, origin.
const RECORD_KINDS: usize = 5;
/// Those without which nothing can be made of a log.
const HISTORY: usize = 1;
const PEERS: usize = 2;
const ORIGIN: usize = 4;

/// A disk with the one log that lies on it.
#[derive(Clone, Debug)]
pub struct SimDisk {
    tag: GroupTag,
    frame_bytes_max: u64,
    image: Image,
    /// All whole frames that were found, those before the origin too: what they said is in a
    /// snapshot, and the observers go by them.
    frames: Vec<FrameMark>,
    /// Where the log begins: before it the image holds zeros.
    origin: SnapshotPoint,
    /// Where it is going to begin with the next operation that completes.
    purging: Option<SnapshotPoint>,
    durable_end: u64,
    /// Up to where a mark that is durable itself says that the log is; a batch behind.
    marked: u64,
    /// Up to where the newest mark says so, which the next sync makes durable.
    mark: u64,
    vote: Vote,
    history: TermHistory,
    peers: Vec<PeerRecord>,
    /// By rising position.
    snapshots: Vec<Stored>,
    /// The snapshot of another member that is being fetched.
    draft: Option<Draft>,
    boot_epoch: u64,
    incarnation: Incarnation,
    /// What was durable in directories that are lost.
    lost: Vec<FrameMark>,
    /// What was written and not durable when a life ended, and is not there any more.
    unsynced: Vec<FrameMark>,
    pending: Vec<(OperationId, Work)>,
    owner: Option<MemberId>,
    is_wiped: bool,
    /// For each kind of record, which of the two copies are damaged.
    damaged_copies: [u8; RECORD_KINDS],
    /// Whether the next sync loses a unit, whether it goes elsewhere, and what it draws from.
    loses: Option<(bool, u64)>,
    losses: Vec<LostWrite>,
    /// Writes that were reported and not done, and those of them that went elsewhere.
    lies: [u64; 2],
}

impl SimDisk {
    /// An empty disk for a group's log, whose medium writes whole sectors.
    #[must_use]
    pub fn new(tag: GroupTag, frame_bytes_max: u64) -> Self {
        Self::with_unit(tag, frame_bytes_max, SECTOR_BYTES)
    }

    /// An empty disk whose medium writes `unit` bytes as a whole: 512 or 4,096.
    #[must_use]
    pub fn with_unit(tag: GroupTag, frame_bytes_max: u64, unit: usize) -> Self {
        Self {
            tag,
            frame_bytes_max,
            image: Image::new(unit),
            frames: Vec::new(),
            origin: SnapshotPoint::default(),
            purging: None,
            durable_end: 0,
            marked: 0,
            mark: 0,
            vote: Vote::default(),
            history: TermHistory::default(),
            peers: Vec::new(),
            snapshots: Vec::new(),
            draft: None,
            boot_epoch: 0,
            incarnation: Incarnation::FIRST,
            lost: Vec::new(),
            unsynced: Vec::new(),
            pending: Vec::new(),
            owner: None,
            is_wiped: false,
            damaged_copies: [0; RECORD_KINDS],
            loses: None,
            losses: Vec::new(),
            lies: [0; 2],
        }
    }

    /// Says whose disk this is; else it is whoever starts on it first.
    pub const fn assign(&mut self, owner: MemberId) {
        self.owner = Some(owner);
    }

    /// Whose it is.
    #[must_use]
    pub const fn owner(&self) -> Option<MemberId> {
        self.owner
    }

    /// The end of what is written.
    #[must_use]
    pub fn written_end(&self) -> Position {
        Position(self.image.written().len() as u64)
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
        let index = find_from_end(&self.frames, end, |frame| frame.end).ok()?;
        Some(&self.frames[index])
    }

    /// Whether the bytes before `end` are durable and end with a frame of this chain value.
    #[must_use]
    pub fn holds_durably(&self, end: Position, chain: Chain) -> bool {
        end.0 <= self.durable_end
            && self.frame_ending_at(end).is_some_and(|frame| frame.chain == chain)
    }

    /// The same, or whether they were so in a directory that is lost, and its member has not been
    /// readmitted since: who counted on that one had no way to know.
    #[must_use]
    pub fn holds_or_held(&self, end: Position, chain: Chain) -> bool {
        self.holds_durably(end, chain)
            || self.lost.iter().any(|frame| frame.end == end && frame.chain == chain)
    }

    /// Whether the bytes before `end` are written, or were in a life that is over, and end with a
    /// frame of this chain value.
    #[must_use]
    pub fn holds_or_held_in_memory(&self, end: Position, chain: Chain) -> bool {
        self.frame_ending_at(end).is_some_and(|frame| frame.chain == chain)
            || self.unsynced.iter().any(|frame| frame.end == end && frame.chain == chain)
    }

    /// Which of the member's directories this is.
    #[must_use]
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether a member that starts on it counts: the directory is of the first incarnation, or
    /// tells that the member was readmitted.
    #[must_use]
    pub fn is_of_a_full_member(&self) -> bool {
        let is_own = |life: Life| Some(life.member) == self.owner;
        self.incarnation == Incarnation::FIRST || self.peers.iter().any(|peer| is_own(peer.life))
    }

    /// Whether the durable records of `member` tell that what it promises may exceed its disk.
    #[must_use]
    pub fn is_marked(&self, member: MemberId) -> bool {
        let is_own = |peer: &&PeerRecord| peer.life.member == member;
        self.peers.iter().find(is_own).is_some_and(|own| own.acknowledged_in == BootEpoch(0))
    }

    /// The newest start that was written down.
    #[must_use]
    pub const fn boot_epoch(&self) -> u64 {
        self.boot_epoch
    }

    /// Writes `first` and `second` behind the log. Returns the frames that became whole, and where
    /// the written bytes are no frame under the durable history, if so.
    pub fn append(&mut self, first: &[u8], second: &[u8]) -> (&[FrameMark], Option<Position>) {
        self.image.append(first);
        self.image.append(second);
        let known = self.frames.len();
        let bad = self.scan();
        (&self.frames[known..], bad)
    }

    /// Where the log begins.
    #[must_use]
    pub const fn origin(&self) -> SnapshotPoint {
        self.origin
    }

    /// Lets the log begin at `origin`: with the next operation that completes, unless a crash
    /// comes first and undoes it.
    pub const fn purge(&mut self, origin: SnapshotPoint) {
        self.purging = Some(origin);
    }

    fn carry_out_purge(&mut self) {
        if let Some(origin) = self.purging.take() {
            self.image.purge(origin.position.0 as usize);
            self.origin = origin;
            self.damaged_copies[4] = 0;
        }
    }

    /// Queues an operation.
    pub fn issue(&mut self, operation: OperationId, work: Work) {
        self.pending.push((operation, work));
    }

    /// Completes an operation; `None` when this life has not asked for it.
    pub fn complete(&mut self, operation: OperationId) -> Option<Completion> {
        let work = self.take(operation)?;
        self.carry_out_purge();
        match &work {
            Work::Read(range) if range.start < self.origin.position => {
                return Some(Completion::Read(Vec::new()));
            }
            Work::Read(range) => {
                let bytes = self.image.read(range.start.0 as usize..range.end.0 as usize);
                return Some(Completion::Read(bytes.unwrap_or_default().to_vec()));
            }
            Work::ReadSnapshot { position, range } => {
                return Some(self.read_snapshot(*position, *range));
            }
            Work::Check(manifest) => return Some(self.check_draft(manifest)),
            Work::Sync { covers } => self.choose_loss(*covers),
            _ => {}
        }
        self.perform(&work);
        self.carry_out_losses();
        Some(Completion::Durable(work))
    }

    /// Lets an operation fail: what it wrote may be there or not, and the cache believes it is.
    /// `false` when this life has not asked for it, or it only reads.
    pub fn fail(&mut self, operation: OperationId, dice: &mut Dice) -> bool {
        let Some(work) = self.take(operation) else { return false };
        match work {
            work if work.only_reads() => return false,
            Work::Sync { .. } => self.image.fail_sync(dice),
            work if dice.chance(ALWAYS / 2) => self.perform(&work),
            _ => {}
        }
        true
    }

    /// Drops an operation: nothing of it is done. `false` when this life has not asked for it.
    pub fn forget(&mut self, operation: OperationId) -> bool {
        self.take(operation).is_some()
    }

    /// An append of which only a part was written before the disk reported an error. Returns the
    /// frames that became whole all the same.
    pub fn append_part(&mut self, first: &[u8], second: &[u8], dice: &mut Dice) -> &[FrameMark] {
        let bytes = [first, second].concat();
        let part = dice.below(bytes.len() as u64 + 1) as usize;
        self.append(&bytes[..part], &[]).0
    }

    /// What is left when the process dies and the machine goes on: all that was written. Records
    /// that were being written are old or new.
    pub fn kill(&mut self, dice: &mut Dice, tally: &mut Tally) {
        self.finish_records(dice, tally);
        self.marked = self.mark;
    }

    /// What the power leaves: all that is durable, and any legal part of what is not.
    pub fn crash(&mut self, dice: &mut Dice, tally: &mut Tally) {
        self.finish_records(dice, tally);
        if dice.chance(ALWAYS / 2) {
            self.marked = self.mark;
        }
        let fates = self.image.lose_power(dice);
        tally.add(Mark::TornWrite, fates.torn);
        tally.add(Mark::LostWrite, fates.lost);
        tally.add(Mark::UnsyncedKept, fates.kept);
    }

    fn finish_records(&mut self, dice: &mut Dice, tally: &mut Tally) {
        if self.purging.is_some() && dice.chance(ALWAYS / 2) {
            self.carry_out_purge();
        }
        let pending = core::mem::take(&mut self.pending);
        let installs = pending.iter().find_map(|(_, work)| match work {
            Work::Install { manifest, frames } => Some((manifest, frames)),
            _ => None,
        });
        if let Some((manifest, frames)) = installs {
            self.crash_install(manifest, frames, dice, tally);
        }
        self.drop_draft();
        let (mut votes, mut histories, mut peers, mut snapshots) = (true, true, true, true);
        for (_, work) in &pending {
            // Operations of one kind are done in order; once one is lost, so are those behind it.
            let alive = match work {
                Work::Vote(_) => &mut votes,
                Work::History { .. } => &mut histories,
                Work::Peers(_) => &mut peers,
                Work::Snapshot { .. } => &mut snapshots,
                _ => continue,
            };
            if !*alive || dice.chance(ALWAYS / 2) {
                *alive = false;
                tally.saw(Mark::LostMetadata);
            } else if let Work::History { history, cut } = work
                && dice.chance(ALWAYS / 3)
            {
                // The history is there, and the cut that belongs to it was not carried out.
                self.history = history.clone();
                self.lower(*cut);
            } else {
                self.perform(work);
            }
        }
    }

    /// What a new life of `member` finds, with a new boot epoch that is durable first.
    ///
    /// # Errors
    /// As the archive's recovery refuses: nothing is made anew, and nothing cut that was promised.
    pub fn start(&mut self, member: MemberId) -> Result<Recovered, Refusal> {
        let owner = *self.owner.get_or_insert(member);
        if self.is_wiped {
            return Err(Refusal::Missing);
        }
        if owner != member {
            return Err(Refusal::Foreign { owner });
        }
        if self.damaged_copies.contains(&0b11) {
            return Err(Refusal::Records);
        }
        self.damaged_copies = [0; RECORD_KINDS];
        self.drop_rotten_snapshots();
        let promised = self.read_again();
        self.check_read().inspect_err(|_| {
            // Who does not start breaks no promise either: what it acknowledged stays counted.
            self.frames = promised;
        })?;
        Ok(self.begin_life(member))
    }

    /// Whether what was read is all that a durable mark vouches for.
    fn check_read(&self) -> Result<(), Refusal> {
        let end = self.frames.last().map_or(Position::ZERO, |frame| frame.end);
        let begin = self.origin.position;
        if self.image.read(begin.0 as usize..end.0.max(self.marked) as usize).is_none() {
            return Err(Refusal::Unreadable);
        }
        if end.0 < self.marked {
            return Err(Refusal::Damaged { at: end, durable: Position(self.marked) });
        }
        if begin > Position::ZERO && self.newest_snapshot().is_none() {
            return Err(Refusal::NoSnapshot);
        }
        Ok(())
    }

    /// What a new life of `member` finds, whatever was done to the disk: the log up to its last
    /// whole frame.
    pub fn recover(&mut self, member: MemberId) -> Recovered {
        self.read_again();
        self.begin_life(member)
    }

    /// Notes what is not there any more; returns all that was.
    fn read_again(&mut self) -> Vec<FrameMark> {
        self.pending.clear();
        self.purging = None;
        let promised = self.frames.clone();
        self.forget_frames();
        self.scan();
        let kept = self.frames.len().min(promised.len());
        self.unsynced.extend_from_slice(&promised[kept..]);
        promised
    }

    /// Forgets the frames of the log as it is: all but those before its beginning.
    fn forget_frames(&mut self) {
        let kept = self.frames.partition_point(|frame| frame.end <= self.origin.position);
        self.frames.truncate(kept);
    }

    /// A torn tail is cut; what is left is written again and synced by the recovery itself.
    fn begin_life(&mut self, member: MemberId) -> Recovered {
        let end = self.frames.last().map_or(Position::ZERO, |frame| frame.end);
        self.image.settle(self.marked as usize, end.0 as usize);
        self.losses.clear();
        self.boot_epoch += 1;
        (self.durable_end, self.marked, self.mark) = (end.0, end.0, end.0);
        Recovered {
            life: Life {
                member,
                incarnation: self.incarnation,
                boot_epoch: BootEpoch(self.boot_epoch),
            },
            vote: self.vote,
            history: self.history.clone(),
            origin: self.origin,
            log_end: end,
            chain: self.frames.last().map_or_else(Chain::default, |frame| frame.chain),
            log_time: self.frames.last().map_or(LogTime(0), |frame| frame.time),
            opened: self.opened(end),
            memberships: self.memberships(),
            peers: self.peers.clone(),
            snapshot: self.newest_snapshot().map(|stored| Box::new(stored.snapshot.clone())),
            forced: None,
        }
    }

    /// What the newest opening frame before `end` says, if it is there.
    fn opened(&self, end: Position) -> Option<(Term, Level)> {
        let mut lines = self.history.lines().iter().rev();
        let line = lines.find(|line| line.base < end)?;
        let begins = self.frames.iter().any(|frame| frame.start == line.base);
        let is_there = begins && line.base >= self.origin.position;
        let bytes = self.image.written().get(line.base.0 as usize..).filter(|_| is_there)?;
        let seed = FrameSeed::new(self.tag, line.term, line.base);
        let header = verify(seed, bytes, &[], self.frame_bytes_max).ok()?;
        match parse_body(&header, bytes) {
            Ok(Body::TermOpen(open)) => Some((open.term, open.level)),
            _ => None,
        }
    }

    /// How many operations are under way, of any sort.
    pub(crate) fn operations_under_way(&self) -> usize {
        self.pending.len()
    }

    /// How many operations are under way that write and sync, but for an installation.
    pub(crate) fn writes_under_way(&self) -> usize {
        let is_other = |work: &Work| work.syncs() && !matches!(work, Work::Install { .. });
        self.pending.iter().filter(|(_, work)| is_other(work)).count()
    }

    /// Whether a snapshot of another member is being installed.
    pub(crate) fn is_installing(&self) -> bool {
        self.pending.iter().any(|(_, work)| matches!(work, Work::Install { .. }))
    }

    fn take(&mut self, operation: OperationId) -> Option<Work> {
        let index = self.pending.iter().position(|(pending, _)| *pending == operation)?;
        Some(self.pending.remove(index).1)
    }

    fn perform(&mut self, work: &Work) {
        match work {
            Work::Sync { covers } => {
                self.image.sync(*covers as usize);
                self.durable_end = self.durable_end.max(*covers);
                self.marked = self.mark;
                self.mark = self.durable_end;
            }
            Work::Vote(vote) => {
                self.vote = *vote;
                self.damaged_copies[0] = 0;
            }
            Work::History { history, cut } => {
                self.history = history.clone();
                self.damaged_copies[1] = 0;
                self.cut(*cut);
            }
            Work::Peers(peers) => {
                self.peers.clone_from(peers);
                if self.is_of_a_full_member() {
                    self.lost.clear();
                }
                self.damaged_copies[2] = 0;
            }
            Work::Snapshot { stored, pinned } => self.store((**stored).clone(), *pinned),
            Work::Part { manifest, start, bytes } => self.keep_part(*manifest, *start, bytes),
            Work::Install { manifest, frames } => self.install(manifest, frames),
            Work::Read(_) | Work::ReadSnapshot { .. } | Work::Check(_) => {}
        }
    }

    fn cut(&mut self, cut: Position) {
        self.image.cut(cut.0 as usize);
        let kept = self.frames.partition_point(|frame| frame.end <= cut);
        self.frames.truncate(kept);
        self.lower(cut);
        for (_, work) in &mut self.pending {
            if let Work::Sync { covers } = work {
                *covers = (*covers).min(cut.0);
            }
        }
    }

    /// Nothing above `cut` counts any more. A mark that is older than the history counts up to the
    /// history's cut.
    fn lower(&mut self, cut: Position) {
        for end in [&mut self.durable_end, &mut self.marked, &mut self.mark] {
            *end = (*end).min(cut.0);
        }
        self.losses.clear();
    }

    /// Up to where a start would find whole frames.
    pub(crate) fn verifies_to(&self) -> u64 {
        let mut fresh = self.clone();
        fresh.forget_frames();
        fresh.scan();
        fresh.frames.last().map_or(0, |frame| frame.end.0)
    }

    /// Adds the whole frames behind the known ones; returns where the bytes are no frame.
    fn scan(&mut self) -> Option<Position> {
        loop {
            let last = self.frames.last();
            let start = last.map_or(Position::ZERO, |frame| frame.end);
            let chain = match start == self.origin.position {
                true => self.origin.chain,
                false => last.map_or_else(Chain::default, |frame| frame.chain),
            };
            let bytes = &self.image.written()[start.0 as usize..];
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
