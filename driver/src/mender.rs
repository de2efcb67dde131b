//! Gets what has rotted of a member's log from the others, while no life of the member counts.
//!
//! What it says to others is what any member says that lacks bytes: Nak. So it asks any of them,
//! also one that is mended itself, and answers them all the same: damage of different places on all
//! members heals, even if all of them find it at once (E45, E46).

use std::collections::{BTreeMap, VecDeque};

use quorate_archive::{ArchiveError, Disk, Filled, Hole, Mending, RealDisk};
use quorate_core::message::{EpochRange, NAK_RANGES_MAX, NakRanges};
use quorate_core::stream::Coverage;
use quorate_core::{
    Incoming, Instant, Life, MemberId, Message, Position, PositionRange, Stream, Term, mutant,
};

use crate::configuration::Configuration;

/// Bytes that are asked for at a time, at least.
const REQUEST_BYTES: u64 = 256 << 10;
/// Ranges of an answer that may come out of order, at most.
const RANGES_MAX: usize = 256;
/// Waits without any byte before another member is asked.
const WAITS_MAX: u32 = 5;
/// Times that each of the others says that it lacks the bytes, before that is believed; and rounds
/// from then on in which it is still there for those who have not heard it so often.
const LACKS_MAX: u32 = 5;
/// Rounds from one time to the next that it is told who is waited for.
const ROUNDS_TOLD: u32 = 50;

/// What a [`Mender`] has to say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outgoing {
    /// A message to a member.
    Control(MemberId, Message),
    /// Bytes of the log to a member.
    Data(MemberId, Term, PositionRange, Vec<u8>),
}

/// Why a log cannot be mended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MendError {
    /// Nobody has the bytes.
    #[error(
        "the log is damaged at {at} in {path}, and no other member has these bytes whole: not \
         {others:?}; restore the file, or save what is whole with `tool repair`"
    )]
    Lost {
        /// The position of the frame.
        at: Position,
        /// The segment.
        path: String,
        /// Who was asked, again and again.
        others: Vec<u16>,
    },
    /// The archive says why.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Mends a log: takes in what others send, says what to send to them, and when to look at it again.
/// It does no input or output but to its archive: a loop of one's own can drive it.
#[derive(Debug)]
pub struct Mender<D: Disk = RealDisk> {
    archive: Mending<D>,
    others: Vec<MemberId>,
    /// How long an answer may take, in nanoseconds; and how long a round pauses.
    wait: u64,
    pause: u64,
    read_bytes_max: u64,
    budget_bytes: u64,
    /// Who is asked: an index into `others`.
    turn: usize,
    /// Bytes from the hole on, and which of them have come from whoever is asked.
    bytes: Vec<u8>,
    held: Coverage,
    /// How many of them are needed.
    needed: u64,
    /// Where what was asked for ends.
    asked_end: Position,
    /// An answer is awaited; else the pause between two rounds.
    asking: bool,
    due: Instant,
    /// Waits in a row without a byte.
    silent: u32,
    /// How many were asked in this round.
    asked: usize,
    /// How often each has said that it lacks the bytes, or has sent others. Who falls silent then
    /// has said it all the same.
    lacks: BTreeMap<MemberId, u32>,
    /// Rounds without a frame, and how many of them when nobody has it.
    rounds: u32,
    lost_rounds: u32,
    /// What was sent to others in this interval.
    spent: u64,
    interval_end: Instant,
    outgoing: VecDeque<Outgoing>,
}

impl<D: Disk> Mender<D> {
    /// Mends what `archive` lacks, for the member that is configured so.
    #[must_use]
    pub fn new(archive: Mending<D>, configuration: &Configuration, now: Instant) -> Self {
        let own = configuration.member;
        let others = configuration.members.keys().copied().filter(|id| *id != own).collect();
        let (timing, limits) = (&configuration.timing, &configuration.limits);
        let mut mender = Self {
            archive,
            others,
            wait: timing.heartbeat_interval.0,
            pause: timing.election_timeout_max.0,
            read_bytes_max: limits.read_bytes_max,
            budget_bytes: limits.repair_budget_bytes,
            turn: usize::from(own.0),
            bytes: Vec::new(),
            held: Coverage::new(RANGES_MAX),
            needed: 0,
            asked_end: Position::ZERO,
            asking: false,
            due: now,
            silent: 0,
            asked: 0,
            lacks: BTreeMap::new(),
            rounds: 0,
            lost_rounds: 0,
            spent: 0,
            interval_end: now,
            outgoing: VecDeque::new(),
        };
        mender.ask(now);
        mender
    }

    /// The life in which it speaks to others.
    #[must_use]
    pub const fn life(&self) -> Life {
        self.archive.life()
    }

    /// What it is at, unless the log is whole and durable.
    #[must_use]
    pub fn hole(&self) -> Option<Hole> {
        self.archive.hole()
    }

    /// How many bytes it has written anew.
    #[must_use]
    pub const fn mended_bytes(&self) -> u64 {
        self.archive.mended_bytes()
    }

    /// When [`Mender::timer`] is to be called.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.due
    }

    /// The next thing to send.
    pub fn take_outgoing(&mut self) -> Option<Outgoing> {
        self.outgoing.pop_front()
    }

    /// Says whether there is still somebody who may have what is needed next.
    ///
    /// # Errors
    /// [`MendError::Lost`]: nobody has it.
    pub fn check(&self) -> Result<(), MendError> {
        match self.hole() {
            Some(_) if mutant::is(mutant::MENDER_NEVER_ENDS) => Ok(()),
            Some(hole) if self.lost_rounds > LACKS_MAX => Err(MendError::Lost {
                at: hole.at,
                path: hole.path.display().to_string(),
                others: self.others.iter().map(|id| id.0).collect(),
            }),
            _ => Ok(()),
        }
    }

    /// Takes in what `from` said.
    ///
    /// # Errors
    /// The archive's; nothing is to be done with it any more.
    pub fn received(
        &mut self,
        now: Instant,
        from: MemberId,
        content: &Incoming<'_>,
    ) -> Result<(), MendError> {
        match content {
            Incoming::Data { stream: Stream::Log, epoch, position, slice, .. } => {
                self.take(now, from, Term(*epoch), *position, slice)
            }
            Incoming::Control(Message::Unavailable { stream: Stream::Log, range, .. }) => {
                self.refused(now, from, range.range);
                Ok(())
            }
            Incoming::Control(Message::Nak { stream: Stream::Log, ranges }) => {
                self.serve(now, from, ranges)
            }
            _ => Ok(()),
        }
    }

    /// Looks whether it has waited long enough.
    pub fn timer(&mut self, now: Instant) {
        if now < self.due {
            return;
        }
        self.silent += u32::from(self.asking);
        if self.asking && self.silent >= WAITS_MAX {
            if mutant::is(mutant::SILENCE_IS_DENIAL) {
                let source = self.source().unwrap_or_default();
                *self.lacks.entry(source).or_default() += 1;
            }
            self.ask_next(now);
        } else {
            self.ask(now);
        }
    }

    fn source(&self) -> Option<MemberId> {
        self.others.get(self.turn % self.others.len().max(1)).copied()
    }

    /// The bytes that are wanted from the hole on.
    fn wanted(&self, hole: &Hole) -> PositionRange {
        let bytes = self.needed.max(REQUEST_BYTES);
        PositionRange::new(hole.at, hole.at.plus(bytes).min(hole.end))
    }

    fn ask(&mut self, now: Instant) {
        let (Some(hole), Some(to)) = (self.hole(), self.source()) else { return };
        let wanted = self.wanted(&hole);
        let epoch = hole.term.0;
        let missing = self.held.missing(wanted).take(NAK_RANGES_MAX);
        let ranges: NakRanges = missing.map(|range| EpochRange { epoch, range }).collect();
        self.outgoing
            .push_back(Outgoing::Control(to, Message::Nak { stream: Stream::Log, ranges }));
        self.asked_end = wanted.end;
        (self.asking, self.due) = (true, Instant(now.0.saturating_add(self.wait)));
    }

    /// Asks the next one; when all were asked, after a pause.
    fn ask_next(&mut self, now: Instant) {
        self.forget();
        self.turn += usize::from(!mutant::is(mutant::MENDER_ASKS_ONE));
        self.asked += 1;
        if self.asked < self.others.len() {
            self.ask(now);
            return;
        }
        (self.asked, self.silent) = (0, 0);
        let has_lost = |id: &MemberId| self.lacks.get(id).is_some_and(|lacks| *lacks >= LACKS_MAX);
        self.lost_rounds += u32::from(self.others.iter().all(has_lost));
        if self.rounds.is_multiple_of(ROUNDS_TOLD)
            && let Some(hole) = self.hole()
        {
            let (path, at, lacks) = (hole.path.display(), hole.at.0, &self.lacks);
            tracing::warn!(%path, at, ?lacks, "waits for somebody who has what has rotted");
        }
        self.rounds += 1;
        (self.asking, self.due) = (false, Instant(now.0.saturating_add(self.pause)));
    }

    /// Drops what has come for the hole.
    fn forget(&mut self) {
        self.bytes.clear();
        self.held.clear();
        (self.needed, self.silent) = (0, 0);
    }

    fn refused(&mut self, now: Instant, from: MemberId, range: PositionRange) {
        let Some(hole) = self.hole() else { return };
        // Of what lies further behind, the next request is told.
        let is_next = range.start <= hole.at && hole.at < range.end;
        if self.asking && self.source() == Some(from) && is_next {
            *self.lacks.entry(from).or_default() += 1;
            self.ask_next(now);
        }
    }

    fn take(
        &mut self,
        now: Instant,
        from: MemberId,
        term: Term,
        position: Position,
        slice: &[u8],
    ) -> Result<(), MendError> {
        let Some(hole) = self.hole() else { return Ok(()) };
        let range = PositionRange::at(position, slice.len() as u64);
        let is_asked = self.asking && self.source() == Some(from) && term == hole.term;
        let part = range.intersection(self.wanted(&hole));
        if !is_asked || !range.is_aligned() || part.is_empty() {
            return Ok(());
        }
        let to = part.start.since(hole.at) as usize;
        let (skipped, length) = (part.start.since(position) as usize, part.len() as usize);
        if self.bytes.len() < to + length {
            // No further than what is wanted.
            self.bytes.resize(to + length, 0);
        }
        self.bytes[to..to + length].copy_from_slice(&slice[skipped..skipped + length]);
        self.held.insert(part);
        (self.silent, self.due) = (0, Instant(now.0.saturating_add(self.wait)));
        self.fill(now, hole)
    }

    /// Writes what is whole of the frames that have come.
    fn fill(&mut self, now: Instant, mut hole: Hole) -> Result<(), MendError> {
        loop {
            let held = self.held.contiguous_from(hole.at).since(hole.at);
            match self.archive.fill(&self.bytes[..held as usize])? {
                Filled::Frame(length) => {
                    self.lacks.clear();
                    (self.asked, self.rounds, self.lost_rounds, self.needed) = (0, 0, 0, 0);
                    let Some(next) = self.hole() else {
                        self.due = now;
                        return Ok(());
                    };
                    if next.at != hole.at.plus(length) || next.term != hole.term {
                        self.forget();
                        self.ask(now);
                        return Ok(());
                    }
                    self.bytes.drain(..length as usize);
                    self.held.remove_below(next.at);
                    hole = next;
                }
                Filled::Short(length) if length <= hole.end.since(hole.at) => {
                    self.needed = length;
                    if hole.at.plus(held) >= self.asked_end {
                        self.ask(now);
                    }
                    return Ok(());
                }
                Filled::Short(_) | Filled::False => {
                    if let Some(source) = self.source() {
                        *self.lacks.entry(source).or_default() += 1;
                    }
                    self.ask_next(now);
                    return Ok(());
                }
            }
        }
    }

    /// Sends what is here of what another lacks.
    fn serve(&mut self, now: Instant, to: MemberId, ranges: &NakRanges) -> Result<(), MendError> {
        if now >= self.interval_end {
            (self.spent, self.interval_end) = (0, Instant(now.0.saturating_add(self.wait)));
        }
        for asked in ranges.iter().take(NAK_RANGES_MAX) {
            let PositionRange { start, end } = asked.range;
            if !asked.range.is_aligned() || asked.range.is_empty() {
                continue;
            }
            let room = self.read_bytes_max.min(self.budget_bytes.saturating_sub(self.spent)) & !7;
            if room == 0 || mutant::is(mutant::MENDERS_ANSWER_NOBODY) {
                return Ok(());
            }
            let range = PositionRange::new(start, end.min(start.plus(room)));
            let mut bytes = Vec::new();
            self.archive.read(Term(asked.epoch), range, &mut bytes)?;
            self.spent += bytes.len() as u64;
            let outgoing = if bytes.is_empty() {
                let oldest = self.archive.origin();
                let message = Message::Unavailable { stream: Stream::Log, range: *asked, oldest };
                Outgoing::Control(to, message)
            } else {
                let range = PositionRange::at(start, bytes.len() as u64 & !7);
                bytes.truncate(range.len() as usize);
                Outgoing::Data(to, Term(asked.epoch), range, bytes)
            };
            self.outgoing.push_back(outgoing);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
