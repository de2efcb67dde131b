//! What a receiver holds of a stream, what it misses, and when it asks.

use alloc::vec::Vec;
use smallvec::SmallVec;

use super::asked::{Asked, NakTiming, Outcome};
use super::coverage::Coverage;
use crate::identity::MemberId;
use crate::message::NAK_RANGES_MAX;
use crate::mutant;
use crate::position::{Position, PositionRange};
use crate::time::{Duration, Instant};

/// So many slices behind a hole show that it is no mere reordering, before the delay is over: as
/// the packet threshold of QUIC (RFC 9002, 6.1.1).
const OVERTAKING_MAX: u32 = 3;

/// So many delays has a hole with nothing behind it: what announces bytes is short and may overtake
/// them, on its way or in the queues of a busy host, and no slice has shown yet that they are late.
const ANNOUNCED_DELAYS: u64 = 3;

/// A hole is not cut to fit less than this part of the bytes that may be asked for (E124).
const CRUMBS_PER_ROOM: u64 = 8;

/// Ranges that are asked for within one retry interval, at most.
pub const REQUESTS_MAX: usize = 8 * NAK_RANGES_MAX;

/// The receiver's knowledge of one stream: bytes and positions only.
///
/// A hole is asked for after `delay`, since it may be mere reordering, or when three slices have
/// overtaken it; one that is known from announcements only, after three delays. Several holes go
/// into one NAK; a byte that was asked for is not asked for again within `retry` of the request,
/// nor, of one source, of the last byte that answered it (S19). What is far behind is asked for in
/// parts, of sources that the caller chooses: see [`super::Sharing`].
#[derive(Clone, Debug, Hash)]
pub struct Image {
    /// The end of what is held without a hole.
    received: Position,
    /// What is held behind the first hole.
    beyond: Coverage,
    /// The newest position that the sender is known to have written.
    seen: Position,
    /// What was asked for and may still come, in rising order; no two overlap.
    asked: Vec<Asked>,
    /// Holes below the position may be asked for from the instant on.
    probe: Option<(Position, Instant)>,
    /// Slices that arrived behind the first hole since it is the first.
    overtaking: u32,
    /// Requests that went unanswered since the last byte arrived.
    unanswered: u32,
    /// What came of parts since that was last taken.
    outcomes: Vec<(MemberId, Outcome)>,
    steps: Steps,
}

/// How often something was looked at. It says what work was done, and is no part of the state.
#[derive(Clone, Copy, Debug, Default)]
struct Steps(u64);

impl core::hash::Hash for Steps {
    fn hash<H: core::hash::Hasher>(&self, _: &mut H) {}
}

impl Image {
    /// An image of a stream that is held up to `start`.
    #[must_use]
    pub fn new(start: Position, ranges_max: usize) -> Self {
        Self {
            received: start,
            beyond: Coverage::new(ranges_max),
            seen: start,
            asked: Vec::with_capacity(REQUESTS_MAX),
            probe: None,
            overtaking: 0,
            unanswered: 0,
            outcomes: Vec::new(),
            steps: Steps::default(),
        }
    }

    /// How often a held range, a hole or a request was looked at so far. For one event that is a
    /// few times [`REQUESTS_MAX`] at most, with a search among the held ranges each; a walk over
    /// all holes would be far above that.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps.0
    }

    /// The end of what is held without a hole.
    #[must_use]
    pub const fn received(&self) -> Position {
        self.received
    }

    /// The newest position that the sender is known to have written.
    #[must_use]
    pub const fn seen(&self) -> Position {
        self.seen
    }

    /// Whether something below the newest position is missing.
    #[must_use]
    pub fn has_gap(&self) -> bool {
        self.received < self.seen
    }

    /// How many requests went unanswered since the last byte arrived: when to try another source.
    #[must_use]
    pub const fn unanswered(&self) -> u32 {
        self.unanswered
    }

    /// How many requests are remembered, at most [`REQUESTS_MAX`].
    #[must_use]
    pub const fn requests(&self) -> usize {
        self.asked.len()
    }

    /// The ranges held behind the first hole.
    #[must_use]
    pub fn beyond(&self) -> &[PositionRange] {
        self.beyond.ranges()
    }

    /// The parts of `range` that are not held.
    #[must_use]
    pub fn missing(&self, range: PositionRange) -> SmallVec<[PositionRange; 4]> {
        let above = PositionRange::new(range.start.max(self.received), range.end);
        self.beyond.missing(above).collect()
    }

    /// Takes in what of `range` is missing: `write` is called for each part. Returns how many bytes
    /// that were.
    #[inline]
    pub fn take_in(
        &mut self,
        now: Instant,
        range: PositionRange,
        mut write: impl FnMut(PositionRange),
    ) -> u64 {
        if self.beyond.is_empty() {
            // The usual: there is no hole, and all behind what is held is missing.
            let part = PositionRange::new(range.start.max(self.received), range.end);
            if !part.is_empty() {
                write(part);
                if self.asked.is_empty() && part.start <= self.received {
                    // What [`Image::insert`] comes down to.
                    (self.received, self.seen) = (part.end, self.seen.max(part.end));
                    (self.unanswered, self.overtaking) = (0, 0);
                    self.steps.0 += 2;
                } else {
                    self.insert(now, part);
                }
            }
            return part.len();
        }
        let mut taken = 0;
        for part in self.missing(range) {
            write(part);
            self.insert(now, part);
            taken += part.len();
        }
        taken
    }

    /// Notes that `range` is held now.
    pub fn insert(&mut self, now: Instant, range: PositionRange) {
        if range.is_empty() {
            return;
        }
        self.seen = self.seen.max(range.end);
        self.unanswered = 0;
        if !self.asked.is_empty() {
            self.note_answers(now, range);
        }
        self.steps.0 += 2 * self.beyond.search_steps();
        if range.start <= self.received {
            self.overtaking = 0;
            self.received = self.received.max(range.end);
            if !self.beyond.is_empty() {
                self.received = self.beyond.contiguous_from(self.received);
                self.beyond.remove_below(self.received);
            }
        } else {
            self.overtaking = self.overtaking.saturating_add(1);
            if let Some(dropped) = self.beyond.insert(range) {
                self.asked.iter_mut().for_each(|asked| asked.note_dropped(dropped));
            }
        }
    }

    /// Those who were asked for bytes of `range` have begun to answer.
    fn note_answers(&mut self, now: Instant, range: PositionRange) {
        let first = self.asked.partition_point(|asked| asked.range.end <= range.start);
        let mut answered = None;
        for asked in &mut self.asked[first..] {
            if asked.range.start >= range.end {
                break;
            }
            self.steps.0 += 1;
            let answer = asked.range.intersection(range);
            let above = PositionRange::new(answer.start.max(self.received), answer.end);
            let new = self.beyond.missing(above).map(PositionRange::len).sum::<u64>();
            answered = asked.note_answer(now, new).or(answered);
        }
        let Some((source, whole)) = answered else { return };
        self.steps.0 += self.asked.len() as u64;
        self.asked.iter_mut().for_each(|asked| asked.note_other(now, source, whole));
    }

    /// Notes that the owner of the stream wrote up to `end` itself, behind all that it holds.
    #[inline]
    pub fn extend(&mut self, end: Position) {
        debug_assert!(self.beyond.is_empty(), "who writes a stream has no holes in it");
        self.received = self.received.max(end);
        for asked in &mut self.asked {
            asked.missing = asked.missing.min(asked.range.end.since(self.received));
        }
        self.seen = self.seen.max(end);
        self.unanswered = 0;
    }

    /// Notes that the sender has written up to `newest`.
    pub fn hear_newest(&mut self, newest: Position) {
        self.seen = self.seen.max(newest.aligned_down());
    }

    /// Forgets everything at and above `end`, the newest position too (rule 4: highest-seen is
    /// reset at adoption).
    pub fn cut(&mut self, end: Position) {
        self.received = self.received.min(end);
        self.beyond.remove_from(end);
        self.seen = self.beyond.ranges().last().map_or(self.received, |last| last.end);
        self.asked.retain(|asked| asked.range.end <= end);
        self.probe = None;
        self.overtaking = 0;
        self.unanswered = 0;
    }

    /// Forgets the bytes from `start` on, since some of them are false. They are missing again;
    /// what was asked for keeps its interval, and may still come.
    pub fn forget(&mut self, start: Position) {
        let (mut asked, seen) = (core::mem::take(&mut self.asked), self.seen);
        self.cut(start);
        for asked in &mut asked {
            asked.missing = asked.range.end.since(asked.range.start.max(start));
        }
        (self.asked, self.seen) = (asked, seen);
    }

    /// Another source was found: it has not failed yet. What was asked for elsewhere still keeps
    /// its interval.
    pub fn change_source(&mut self) {
        self.unanswered = 0;
    }

    /// The one who was asked for `range` does not have it: that counts as `tries` requests that
    /// went unanswered, if the range is still missing.
    pub fn note_refusal(&mut self, range: PositionRange, tries: u32) {
        let above = PositionRange::new(range.start.max(self.received), range.end);
        if self.beyond.missing(above).next().is_some() {
            self.unanswered = self.unanswered.saturating_add(tries);
        }
    }

    /// The part that begins at `start`, and was just to be asked for, is asked of `source`.
    pub fn ask_of(&mut self, start: Position, source: MemberId) {
        let at = self.asked.partition_point(|asked| asked.range.start < start);
        if let Some(asked) = self.asked.get_mut(at).filter(|asked| asked.range.start == start) {
            asked.of = Some(source);
        }
    }

    /// How many bytes are asked of `source`, as parts, and missing yet.
    #[must_use]
    pub fn outstanding_of(&self, source: MemberId) -> u64 {
        let of_it = self.asked.iter().filter(|asked| asked.of == Some(source));
        of_it.map(|asked| asked.missing).sum()
    }

    /// Of whom the part was asked that holds the byte at `position`, if that was lately.
    #[must_use]
    pub fn source_of(&self, position: Position) -> Option<MemberId> {
        let at = self.asked.partition_point(|asked| asked.range.end <= position);
        let asked = self.asked.get(at).filter(|asked| asked.range.start <= position)?;
        asked.of
    }

    /// `source` says that it lacks bytes of `range`: whether it was asked for some of them as a
    /// part. What is missing of those may be asked of another once the retry interval is over.
    pub fn refuse_parts(&mut self, source: MemberId, range: PositionRange) -> bool {
        let concerns = |asked: &&mut Asked| {
            asked.of == Some(source) && !asked.range.intersection(range).is_empty()
        };
        let refused = self.asked.iter_mut().filter(concerns);
        refused.map(Asked::refuse).count() > 0
    }

    /// What came of parts since this was last called.
    pub fn take_outcomes(&mut self) -> Vec<(MemberId, Outcome)> {
        core::mem::take(&mut self.outcomes)
    }

    /// Whether all is held that is known of, and nothing is asked for: then [`Image::poll`] has
    /// nothing to do.
    #[inline]
    #[must_use]
    pub const fn is_at_rest(&self) -> bool {
        self.received.0 >= self.seen.0 && self.asked.is_empty() && self.probe.is_none()
    }

    /// The ranges to ask for now, below `limit`; none most of the time. Call it at every event:
    /// it also arms the delay for holes that are new.
    pub fn poll(
        &mut self,
        now: Instant,
        timing: NakTiming,
        limit: Position,
    ) -> SmallVec<[PositionRange; 4]> {
        if self.received >= self.seen.min(limit) {
            self.asked.clear();
            self.probe = None;
            return SmallVec::new();
        }
        self.forget_expired(now, timing);
        let is_ripe = self.probe.is_some_and(|(_, at)| at <= now);
        let ripe_below = match (self.probe, self.beyond.ranges().first()) {
            (Some((below, _)), _) if is_ripe => below,
            (_, Some(first)) if self.overtaking >= OVERTAKING_MAX => first.start,
            (Some((below, at)), evidence) => {
                // A slice has come behind what was only announced: that waits no longer than
                // others.
                let at = if evidence.is_some() { at.min(now + timing.delay) } else { at };
                self.probe = Some((below, at));
                return SmallVec::new();
            }
            (None, _) => {
                self.arm(now, timing, limit);
                return SmallVec::new();
            }
        };
        let ranges = self.unasked(timing, limit.min(ripe_below), NAK_RANGES_MAX);
        if is_ripe || !ranges.is_empty() {
            self.probe = None;
        }
        for &range in &ranges {
            let before = self.asked.partition_point(|asked| asked.range.start < range.start);
            self.asked.insert(before, Asked::new(now, range));
        }
        self.arm(now, timing, limit);
        ranges
    }

    /// Holes that are not asked for yet have the delay from now on, unless it runs already.
    fn arm(&mut self, now: Instant, timing: NakTiming, limit: Position) {
        if self.unasked(timing, limit, 1).is_empty() {
            self.probe = None;
        } else if self.probe.is_none() {
            let is_new = self.beyond.ranges().is_empty() && self.unanswered == 0;
            let delays = if is_new { ANNOUNCED_DELAYS } else { 1 };
            let delay = Duration(timing.delay.0.saturating_mul(delays));
            self.probe = Some((self.seen, now + delay));
        }
    }

    /// When to call [`Image::poll`] if nothing arrives.
    #[inline]
    #[must_use]
    pub fn next_deadline(&self, timing: NakTiming) -> Option<Instant> {
        let waits = !self.asked.is_empty() || self.probe.is_some();
        if waits { self.deadline_of_requests(timing) } else { None }
    }

    #[inline(never)]
    fn deadline_of_requests(&self, timing: NakTiming) -> Option<Instant> {
        let retry = self.asked.iter().map(|asked| asked.due(timing)).min();
        match (self.probe, retry) {
            (Some((_, at)), Some(retry)) => Some(at.min(retry)),
            (Some((_, at)), None) => Some(at),
            (None, retry) => retry,
        }
    }

    /// Requests are remembered for the interval even when they were answered: the farthest ranges
    /// may have been dropped again for want of room (rule 19).
    fn forget_expired(&mut self, now: Instant, timing: NakTiming) {
        let (mut is_unanswered, outcomes) = (false, &mut self.outcomes);
        self.steps.0 += self.asked.len() as u64;
        self.asked.retain_mut(|asked| {
            outcomes.extend(asked.outcome(now, timing));
            if mutant::is(mutant::HOLES_ARE_ASKED_FOR_ONCE) && now >= asked.due(timing) {
                asked.begin_again(now);
            }
            let keeps = now < asked.due(timing);
            // Who did not send a part of a catch-up is no reason to turn from the leader.
            is_unanswered |= !keeps && asked.missing > 0 && asked.of.is_none();
            keeps
        });
        self.unanswered = self.unanswered.saturating_add(u32::from(is_unanswered));
    }

    /// The holes below `limit` that are not asked for yet: as many as `ranges_max` and as many
    /// bytes as may be outstanding. Holes lie between the requests, so that those which were asked
    /// for, however many they are, are not looked at.
    fn unasked(
        &mut self,
        timing: NakTiming,
        limit: Position,
        ranges_max: usize,
    ) -> SmallVec<[PositionRange; 4]> {
        let end = self.seen.min(limit);
        let mut room = timing.bytes_max.saturating_sub(self.outstanding());
        let ranges_max = ranges_max.min(REQUESTS_MAX.saturating_sub(self.asked.len()));
        let (mut found, mut at, mut steps) = (SmallVec::new(), self.received, 0);
        let behind_all = core::iter::once(PositionRange::new(end, end));
        let asked = self.asked.iter().map(|asked| asked.range).chain(behind_all);
        'search: for asked in asked {
            if at >= end {
                break;
            }
            steps += self.beyond.search_steps();
            for hole in self.beyond.missing(PositionRange::new(at, asked.start.min(end))) {
                steps += 1;
                let mut rest = hole;
                while !rest.is_empty() {
                    if room == 0 || found.len() >= ranges_max {
                        break 'search;
                    }
                    let (wanted, is_part) = timing.request(rest);
                    // A crumb of a hole would be a hole of its own from then on, with its own
                    // request, datagram and read: what is left of the room waits for company.
                    let is_narrow = is_part || room < timing.bytes_max / CRUMBS_PER_ROOM;
                    if wanted.len() > room && is_narrow {
                        break 'search;
                    }
                    // Slice boundaries are multiples of 8 (rule 19), so clipping keeps that.
                    let most = room.checked_next_multiple_of(8).unwrap_or(u64::MAX);
                    let clipped = PositionRange::at(wanted.start, wanted.len().min(most));
                    room = room.saturating_sub(clipped.len());
                    found.push(clipped);
                    rest.start = clipped.end;
                }
            }
            at = at.max(asked.end);
        }
        self.steps.0 += steps;
        found
    }

    fn outstanding(&mut self) -> u64 {
        self.steps.0 += self.asked.len() as u64;
        self.asked.iter().map(|asked| asked.missing).sum()
    }
}

#[cfg(test)]
mod tests;
