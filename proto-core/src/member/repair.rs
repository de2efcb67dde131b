//! Holes in the log: asking for them, and answering others who ask, from the window or from the
//! archive. Any member that holds the bytes may answer: a range is named by term and position.

use alloc::vec::Vec;
use smallvec::SmallVec;

use super::table::Table;
use super::{Handled, Member, State};
use crate::action::{Action, Actions, Destination, Source};
use crate::event::OperationId;
use crate::identity::MemberId;
use crate::message::{EpochRange, Message, NAK_RANGES_MAX, NakRanges, Stream};
use crate::mutant;
use crate::notice::{FailStop, Notice};
use crate::position::{Position, PositionRange};
use crate::stream::{NakTiming, Sharing};
use crate::term::Term;
use crate::time::Instant;

/// Unanswered requests before another member is asked.
const TRIES_PER_SOURCE: u32 = 2;

/// The bytes outstanding in a catch-up are this part of the window at most, so that a slow part is
/// overtaken by enough others before the window is full.
const WINDOWS_PART: u64 = 4;

/// So many parts of a catch-up are outstanding: enough for all sources to have some.
const PARTS: u64 = 8;

/// So many heartbeat intervals may a part take, however much of it comes.
const PART_HEARTBEATS: u64 = 50;

type Ranges = SmallVec<[PositionRange; 4]>;

/// Reads of the archive under way.
#[derive(Clone, Debug, Hash)]
pub(super) struct Reads {
    reads: Vec<Read>,
    reads_max: usize,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Read {
    operation: OperationId,
    range: PositionRange,
    purpose: Purpose,
    since: Instant,
    /// A cut below its end, or a purge of its beginning, happened since it was issued (rule 10).
    is_void: bool,
}

/// What a read of the archive is for.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Purpose {
    /// To answer a NAK.
    Repair { to: MemberId, term: Term },
    /// To apply frames that the window has not got any more.
    Apply,
    /// To send a part of the snapshot that stands there.
    Snapshot { to: MemberId, at: Position },
    /// To know what the snapshot consists of that stands there.
    Manifest { at: Position },
}

impl Purpose {
    const fn is_of_log(self) -> bool {
        matches!(self, Self::Repair { .. } | Self::Apply)
    }
}

impl Reads {
    pub(super) const fn new(reads_max: usize) -> Self {
        Self { reads: Vec::new(), reads_max }
    }

    pub(super) fn len(&self) -> usize {
        self.reads.len()
    }

    /// How many of them answer a request of another member.
    pub(super) fn for_others(&self) -> usize {
        let for_others = |read: &&Read| !matches!(read.purpose, Purpose::Apply);
        self.reads.iter().filter(for_others).count()
    }

    /// Whether somebody is asked already what the snapshot consists of that stands at `at`.
    pub(super) fn is_asking_for(&self, at: Position) -> bool {
        let asks = |read: &Read| matches!(read.purpose, Purpose::Manifest { at: of } if of == at);
        self.reads.iter().any(asks)
    }

    /// Takes out the read of `operation`, if it is one of a snapshot.
    pub(super) fn take_of_snapshot(
        &mut self,
        operation: OperationId,
    ) -> Option<(Purpose, PositionRange)> {
        let is_it = |read: &Read| read.operation == operation && !read.purpose.is_of_log();
        let read = self.reads.remove(self.reads.iter().position(is_it)?);
        Some((read.purpose, read.range))
    }

    /// The read of what is to be applied: its number, and since when it is under way.
    pub(super) fn to_apply(&self) -> Option<(u64, Instant)> {
        let own = self.reads.iter().find(|read| matches!(read.purpose, Purpose::Apply))?;
        Some((own.operation.sequence, own.since))
    }

    /// Whether one more read for others may begin. A slow service reads again as soon as it has
    /// applied, so its one read is not counted among them: it would keep them out for ever (E123).
    pub(super) fn has_room(&self) -> bool {
        self.for_others() < self.reads_max
    }

    /// Bytes at and above `end` are not what they were when these reads were issued.
    pub(super) fn cut(&mut self, end: Position) {
        for read in &mut self.reads {
            read.is_void |= read.range.end > end && read.purpose.is_of_log();
        }
    }

    /// Bytes before `origin` may be gone while they are read.
    pub(super) fn purge(&mut self, origin: Position) {
        for read in &mut self.reads {
            read.is_void |= read.range.start < origin && read.purpose.is_of_log();
        }
    }
}

impl Member {
    /// Sends the NAK that is due, if one is.
    #[inline(always)]
    pub(super) fn ask_for_holes(&mut self, actions: &mut Actions) {
        if self.state.leading.is_none() && !self.state.log.image.is_at_rest() {
            self.ask_for_some_holes(actions);
        }
    }

    #[inline(never)]
    fn ask_for_some_holes(&mut self, actions: &mut Actions) {
        if self.spares_requests() {
            return;
        }
        let state = &mut self.state;
        let image = &state.log.image;
        state.sources.look(image.received(), image.seen(), self.config.limits.window_bytes);
        let (now, timing) = (self.state.now, self.log_nak_timing());
        let limit = self.state.log.limit();
        let missing = self.state.log.image.poll(now, timing, limit);
        self.learn_of_sources();
        if missing.is_empty() {
            return;
        }
        let below = timing.sharing.map_or(Position::ZERO, |sharing| sharing.below);
        let (parts, holes): (Ranges, Ranges) =
            missing.into_iter().partition(|hole| hole.start < below);
        if !parts.is_empty() {
            self.ask_for_parts(&parts, actions);
        }
        if !holes.is_empty() {
            self.ask_one(&holes, actions);
        }
    }

    /// Asks one member for all of them.
    fn ask_one(&mut self, holes: &[PositionRange], actions: &mut Actions) {
        let mut ranges = NakRanges::new();
        for range in holes {
            self.split_by_term(*range, &mut ranges);
        }
        let Some(to) = self.repair_source() else { return };
        if ranges.is_empty() {
            return;
        }
        self.state.following.asked = Some(to);
        self.send_nak(to, ranges, actions);
    }

    /// Asks for parts of a catch-up, each of the source that suits best.
    fn ask_for_parts(&mut self, parts: &[PositionRange], actions: &mut Actions) {
        let (leader, now) = (self.state.leader, self.state.now);
        let State { sources, log, .. } = &mut self.state;
        sources.note_outstanding(|id| log.image.outstanding_of(id));
        let mut requests: Table<MemberId, NakRanges> = Table::new();
        for &part in parts {
            let mut ranges = NakRanges::new();
            self.split_by_term(part, &mut ranges);
            let chosen = self.state.sources.choose(now, part, leader);
            let Some(to) = chosen.filter(|_| !ranges.is_empty()) else { continue };
            crate::mark::reached(crate::mark::CATCH_UP_SHARED);
            self.state.log.image.ask_of(part.start, to);
            let request = requests.get_or_insert(to, NakRanges::new());
            if request.len() + ranges.len() > NAK_RANGES_MAX {
                let request = core::mem::take(request);
                self.send_nak(to, request, actions);
            }
            requests.get_or_insert(to, NakRanges::new()).extend(ranges.iter().copied());
            if mutant::is(mutant::PARTS_ARE_ASKED_OF_TWO)
                && let Some(other) = self.state.sources.choose(now, part, leader)
            {
                self.send_nak(other, ranges, actions);
            }
        }
        for (to, ranges) in requests.iter() {
            self.send_nak(to, ranges.clone(), actions);
        }
    }

    fn send_nak(&mut self, to: MemberId, ranges: NakRanges, actions: &mut Actions) {
        self.counters.naks_sent += 1;
        self.counters.nak_ranges_sent += ranges.len() as u64;
        self.send(to, Message::Nak { stream: Stream::Log, ranges }, actions);
    }

    /// Takes in who sent the parts that it was asked for, and who did not.
    fn learn_of_sources(&mut self) {
        let State { sources, log, now, .. } = &mut self.state;
        for (source, outcome) in log.image.take_outcomes() {
            sources.note_outcome(*now, source, outcome);
        }
    }

    /// When and how holes of the log are asked for: those of a catch-up are shared.
    fn log_nak_timing(&self) -> NakTiming {
        let mut timing = self.nak_timing();
        let (state, limits) = (&self.state, &self.config.limits);
        let below = state.sources.end();
        // Whose bytes are rejected is left by turns, one source at a time.
        let is_shared = state.leader.is_some() && state.log.rejections == 0;
        if below == Position::ZERO || !is_shared || state.peers.len() < 2 {
            return timing;
        }
        let slice = u64::from(limits.slice_bytes);
        timing.bytes_max = timing.bytes_max.min(limits.window_bytes / WINDOWS_PART);
        let part_bytes = timing.bytes_max / PARTS;
        let heartbeat = self.config.timing.heartbeat_interval;
        timing.sharing = Some(Sharing {
            below,
            part_bytes: (part_bytes / slice * slice).max(slice.min(timing.bytes_max)),
            patience: heartbeat.max(timing.retry),
            part_time: heartbeat.times(PART_HEARTBEATS),
        });
        timing
    }

    /// When a hole is to be asked for (again); a leader has none.
    pub(super) fn holes_deadline(&self) -> Option<Instant> {
        let image = &self.state.log.image;
        let asks = self.state.leading.is_none() && !image.is_at_rest();
        let due = asks.then(|| image.next_deadline(self.log_nak_timing()))??;
        Some(self.spares_requests_until().map_or(due, |at| due.max(at)))
    }

    /// How often it has looked at a held range of the log, a hole or a request, to find what to ask
    /// for. No part of its state: it tells what an event costs.
    #[must_use]
    pub const fn hole_steps(&self) -> u64 {
        self.state.log.image.steps()
    }

    /// Names the owner of each part of a range; a part without one cannot be asked for.
    fn split_by_term(&self, range: PositionRange, ranges: &mut NakRanges) {
        let history = &self.state.history;
        let mut start = range.start;
        while start < range.end && ranges.len() < NAK_RANGES_MAX {
            let Some(line) = history.owner(start) else { return };
            let end = history.owner_end(start).unwrap_or(range.end).min(range.end);
            ranges.push(EpochRange { epoch: line.term.0, range: PositionRange::new(start, end) });
            start = end;
        }
    }

    /// Whom to ask: the leader, or who taught us; after unanswered requests the others in turn.
    fn repair_source(&self) -> Option<MemberId> {
        let teacher = self.state.following.teacher.map(|(teacher, _)| teacher);
        let first = self.state.leader.or(teacher);
        let log = &self.state.log;
        let failures = log.image.unanswered() / TRIES_PER_SOURCE;
        let turn = failures.saturating_add(log.rejections) as usize;
        let peers = self.state.peers.len();
        if peers == 0 {
            return None;
        }
        match (turn % (peers + 1), first) {
            (0, Some(first)) => Some(first),
            (turn, _) => {
                crate::mark::reached(crate::mark::OTHER_SOURCE);
                self.state.peers.at(turn.saturating_sub(1) % peers)
            }
        }
    }

    /// Who was asked does not have it: the next request, which still keeps its interval, goes to
    /// another (S19).
    pub(super) fn handle_unavailable(
        &mut self,
        from: MemberId,
        range: PositionRange,
        oldest: Position,
        actions: &mut Actions,
    ) {
        if self.state.log.image.refuse_parts(from, range) {
            self.state.sources.note_lack(self.state.now, from, range, oldest);
        } else if self.state.following.asked == Some(from) {
            self.state.following.asked = None;
            self.state.log.image.note_refusal(range, TRIES_PER_SOURCE);
            let begins = oldest.min(self.state.log.image.seen());
            if begins > self.state.log.image.received() {
                self.state.sources.note_purged(from, begins);
            }
        } else {
            self.counters.datagrams_ignored += 1;
            return;
        }
        let at = self.state.log.image.received();
        // Of a log there is one piece. Whatever part of it was asked for, one that begins behind
        // what comes next lacks that, too, and may never be asked for it (seed 420).
        if oldest > at {
            self.state.fetching.note_begins(from, at, oldest, self.state.now);
        }
        let is_next = range.start <= at && at < range.end;
        if is_next && oldest > at && self.state.following.told_purged != Some(at) {
            self.state.following.told_purged = Some(at);
            actions.push(Action::Notify(Notice::Purged { member: from, at, oldest }));
        }
    }

    pub(super) fn handle_nak(
        &mut self,
        from: MemberId,
        ranges: &NakRanges,
        actions: &mut Actions,
    ) -> Handled {
        self.counters.naks_received += 1;
        for asked in ranges.iter().take(NAK_RANGES_MAX) {
            if !asked.range.is_aligned() || asked.range.is_empty() {
                // Nobody misses such a range: slices are cut at multiples (rule 19).
                self.counters.datagrams_ignored += 1;
                continue;
            }
            self.answer_hole(from, *asked, actions)?;
        }
        Ok(())
    }

    fn answer_hole(&mut self, to: MemberId, asked: EpochRange, actions: &mut Actions) -> Handled {
        let term = Term(asked.epoch);
        let asked = self.refuse_purged(to, asked, actions);
        if asked.range.is_empty() {
            return Ok(());
        }
        let log = &self.state.log;
        let held_end = log.verified.min(asked.range.end);
        let held = PositionRange::new(asked.range.start, held_end);
        let denies = held.start < log.low && mutant::is(mutant::DENIES_WHAT_IT_HOLDS);
        let is_ours = !held.is_empty() && self.owns(term, held) && !denies;
        if !is_ours {
            self.counters.repairs_refused += 1;
            crate::mark::reached(crate::mark::BYTES_UNAVAILABLE);
            // A stale request for what nobody has any more is no reason to talk (E88): but for
            // bytes that are beyond us the asker goes on to another at once.
            self.send_unavailable(to, asked, actions);
            return Ok(());
        }
        if held.end < asked.range.end {
            let beyond = PositionRange::new(held.end, asked.range.end);
            self.send_unavailable(to, EpochRange { range: beyond, ..asked }, actions);
        }
        let (now, timing) = (self.state.now, self.repair_timing());
        let destination = Destination::Member(to);
        let mut held = held;
        if held.start < log.low && !self.state.reads.has_room() {
            // What is cold is not even noted as sent: no read can begin for it, and it is asked for
            // again.
            self.counters.repairs_refused += 1;
            let cold = held.end.min(log.low).since(held.start);
            self.state.repairs.note_wish(now, timing, destination, cold);
            held.start = held.start.plus(cold);
            if held.is_empty() {
                return Ok(());
            }
        }
        let admitted = self.state.repairs.admit(now, timing, destination, held);
        self.counters.repairs_refused += u64::from(admitted.short_bytes > 0);
        for part in admitted.parts {
            let low = self.state.log.low;
            let cold = PositionRange::new(part.start, part.end.min(low));
            let warm = PositionRange::new(part.start.max(low), part.end);
            if !cold.is_empty() {
                crate::mark::reached(crate::mark::COLD_REPAIR);
                self.read_for_repair(to, term, cold, actions)?;
            }
            if !warm.is_empty() {
                self.send_repair(to, term, warm, Source::Member, actions);
            }
        }
        Ok(())
    }

    /// Says at once of what is purged that it is not here; returns the rest of what was asked for.
    fn refuse_purged(
        &mut self,
        to: MemberId,
        asked: EpochRange,
        actions: &mut Actions,
    ) -> EpochRange {
        let oldest = self.state.log.oldest();
        let PositionRange { start, end } = asked.range;
        if start >= oldest || start >= end {
            return asked;
        }
        let gone = EpochRange { range: PositionRange::new(start, end.min(oldest)), ..asked };
        self.counters.repairs_refused += 1;
        crate::mark::reached(crate::mark::BYTES_PURGED);
        if !mutant::is(mutant::PURGED_BYTES_ARE_NOT_REFUSED) {
            self.send_unavailable(to, gone, actions);
        }
        EpochRange { range: PositionRange::new(gone.range.end, end), ..asked }
    }

    /// Says that a range is not here.
    fn send_unavailable(&self, to: MemberId, range: EpochRange, actions: &mut Actions) {
        let oldest = self.state.log.oldest();
        self.send(to, Message::Unavailable { stream: Stream::Log, range, oldest }, actions);
    }

    fn read_for_repair(
        &mut self,
        to: MemberId,
        term: Term,
        range: PositionRange,
        actions: &mut Actions,
    ) -> Handled {
        let read_bytes_max = self.config.limits.read_bytes_max & !7;
        let mut start = range.start;
        while start < range.end {
            // What was not written yet is in the window; what is beyond the bound is asked again.
            if !self.state.reads.has_room() {
                self.counters.repairs_refused += 1;
                return Ok(());
            }
            let end = range.end.min(start.plus(read_bytes_max));
            let part = PositionRange::new(start, end);
            self.read_log(part, Purpose::Repair { to, term }, actions)?;
            start = end;
        }
        Ok(())
    }

    pub(super) fn read_log(
        &mut self,
        range: PositionRange,
        purpose: Purpose,
        actions: &mut Actions,
    ) -> Handled {
        let operation = self.begin_read(range, purpose)?;
        actions.push(Action::ReadLog { operation, range });
        Ok(())
    }

    /// Notes a read, which the caller then asks for.
    pub(super) fn begin_read(
        &mut self,
        range: PositionRange,
        purpose: Purpose,
    ) -> Result<OperationId, FailStop> {
        let operation = self.state.storage.next_operation()?;
        let since = self.state.now;
        self.state.reads.reads.push(Read { operation, range, purpose, since, is_void: false });
        Ok(operation)
    }

    pub(super) fn handle_log_read(
        &mut self,
        operation: OperationId,
        bytes: &[u8],
        actions: &mut Actions,
    ) -> Handled {
        let reads = &mut self.state.reads.reads;
        let is_it = |read: &Read| read.operation == operation && read.purpose.is_of_log();
        let Some(at) = reads.iter().position(is_it) else {
            self.counters.completions_ignored += 1;
            return Ok(());
        };
        let read = reads.remove(at);
        let length = (bytes.len() as u64).min(read.range.len()) & !7;
        let range = PositionRange::at(read.range.start, length);
        match read.purpose {
            Purpose::Apply => self.apply_read(range.start, &bytes[..length as usize], actions),
            Purpose::Repair { to, term } => {
                // Labelled by the history as it is now, not as it was when the read began.
                if read.is_void || range.is_empty() || !self.owns(term, range) {
                    self.counters.repairs_refused += 1;
                } else {
                    self.send_repair(to, term, range, Source::Read(range.start), actions);
                }
                Ok(())
            }
            Purpose::Snapshot { .. } | Purpose::Manifest { .. } => Ok(()),
        }
    }

    fn send_repair(
        &mut self,
        to: MemberId,
        term: Term,
        range: PositionRange,
        source: Source,
        actions: &mut Actions,
    ) {
        let slice = u64::from(self.config.limits.slice_bytes);
        self.counters.repairs_sent += range.len().div_ceil(slice);
        self.counters.repair_bytes_sent += range.len();
        for range in range.runs(self.config.limits.run_bytes_max) {
            actions.push(Action::SendData {
                to: Destination::Member(to),
                stream: Stream::Log,
                epoch: term.0,
                range,
                source,
                live: None,
            });
        }
    }
}
