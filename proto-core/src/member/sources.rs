//! Whom to ask for the bytes of a catch-up: what a member lacks that lies below the window of what
//! it has heard of, so that nobody has all of that at hand.
//!
//! The others are asked in turn, by parts, and the leader only for what none of them sends: it has
//! live data to send. A part goes to who has the fewest bytes outstanding, so that a slower one is
//! asked for less. Nothing is known in advance of what another holds: who lacks a part says so.

use super::table::Table;
use crate::identity::MemberId;
use crate::mutant;
use crate::position::{Position, PositionRange};
use crate::stream::Outcome;
use crate::time::{Duration, Instant};

/// Failures in a row after which the leader is asked rather than this source.
const FAILURES_MAX: u32 = 2;

/// The rest of a source doubles with each failure in a row, so many times at most.
const DOUBLINGS_MAX: u32 = 5;

/// What is known of the others as sources.
#[derive(Clone, Debug, Hash)]
pub(super) struct Sources {
    /// What is missing below it is asked for by parts.
    end: Position,
    sources: Table<MemberId, Source>,
    /// Who was chosen last, by its place.
    last: usize,
    /// The shortest rest, and how long a refusal is believed.
    rest: Duration,
}

#[derive(Clone, Copy, Debug, Default, Hash)]
struct Source {
    /// Bytes that it is asked for and that are missing yet.
    outstanding: u64,
    /// Parts in a row that it did not send, or not in time.
    failures: u32,
    rests_until: Instant,
    /// It said that it lacks bytes below the one, or from the other on, and is believed for a while.
    lacks: Option<(Position, Position)>,
    lacks_until: Instant,
}

impl Source {
    fn lacks(&self, now: Instant, at: Position) -> bool {
        let lacks = self.lacks.filter(|_| now < self.lacks_until);
        lacks.is_some_and(|(below, from)| at < below || at >= from)
    }

    fn rests(&self, now: Instant) -> bool {
        now < self.rests_until
    }

    fn fail(&mut self, now: Instant, failures: u32, rest: Duration) {
        self.failures = self.failures.saturating_add(failures);
        let doublings = self.failures.saturating_sub(1).min(DOUBLINGS_MAX);
        self.rests_until = now + rest.times(1 << doublings);
    }
}

/// How well somebody suits as a source; the least is chosen.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Fitness {
    /// Sends, as far as is known.
    Sends,
    /// Did not send the last part.
    Failed(Instant),
    /// Leads, and is spared.
    Leads,
    /// Fails again and again.
    Rests(Instant),
    /// Does not have it.
    Lacks(Instant),
}

impl Sources {
    /// `rest` is the shortest rest of a source, and how long a refusal is believed.
    pub(super) fn new(others: impl Iterator<Item = MemberId>, rest: Duration) -> Self {
        let sources = others.map(|id| (id, Source::default())).collect();
        Self { end: Position::ZERO, sources, last: 0, rest }
    }

    /// What is missing below it is asked for by parts; zero when there is no catch-up.
    pub(super) const fn end(&self) -> Position {
        self.end
    }

    /// Takes in that all up to `received` is held of what is written up to `seen`, of which others
    /// have `window` bytes at hand.
    pub(super) fn look(&mut self, received: Position, seen: Position, window: u64) {
        if received.plus(window) < seen {
            // To its end: what was written meanwhile is at hand everywhere.
            self.end = seen;
        } else if received >= self.end.min(seen) && self.end > Position::ZERO {
            self.end = Position::ZERO;
            self.sources.values_mut().for_each(|source| *source = Source::default());
        }
    }

    /// What `source` is asked for at the moment.
    pub(super) fn note_outstanding(&mut self, outstanding: impl Fn(MemberId) -> u64) {
        for (id, source) in self.sources.iter_mut() {
            source.outstanding = outstanding(id);
        }
    }

    /// Whom to ask for the part.
    pub(super) fn choose(
        &mut self,
        now: Instant,
        part: PositionRange,
        leader: MemberId,
    ) -> Option<MemberId> {
        let (count, last) = (self.sources.len(), self.last);
        let places = self.sources.iter().enumerate().map(|(place, (id, source))| {
            let turn = (place + count - last - 1) % count.max(1);
            let fitness = match () {
                () if source.lacks(now, part.start) => Fitness::Lacks(source.lacks_until),
                () if source.rests(now) && (id == leader || source.failures >= FAILURES_MAX) => {
                    Fitness::Rests(source.rests_until)
                }
                () if id == leader => Fitness::Leads,
                () if source.rests(now) => Fitness::Failed(source.rests_until),
                () => Fitness::Sends,
            };
            let is_favoured = mutant::is(mutant::LEADER_CARRIES_CATCH_UP) && id == leader;
            ((!is_favoured, fitness, source.outstanding, turn), (place, id))
        });
        let (place, id) = places.min().map(|(_, chosen)| chosen)?;
        self.last = place;
        if let Some(source) = self.sources.get_mut(id) {
            source.outstanding += part.len();
        }
        Some(id)
    }

    /// Takes in what came of a part that `id` was asked for.
    pub(super) fn note_outcome(&mut self, now: Instant, id: MemberId, outcome: Outcome) {
        let rest = self.rest;
        let Some(source) = self.sources.get_mut(id) else { return };
        match outcome {
            Outcome::Answered => (source.failures, source.rests_until) = (0, now),
            Outcome::Failed if mutant::is(mutant::DEAF_SOURCES_ARE_TRUSTED) => {}
            Outcome::Failed => {
                crate::mark::reached(crate::mark::SOURCE_PASSED_OVER);
                // Parts that it was asked for at once fail at once.
                if !source.rests(now) {
                    source.fail(now, 1, rest);
                }
            }
        }
    }

    /// `id` sent bytes that are none of the log: it is left alone for as long as can be.
    pub(super) fn note_false(&mut self, now: Instant, id: MemberId) {
        let rest = self.rest;
        if let Some(source) = self.sources.get_mut(id) {
            source.fail(now, FAILURES_MAX + DOUBLINGS_MAX, rest);
        }
    }

    /// `id` says that it lacks `range`, and that the oldest it has is `oldest`.
    pub(super) fn note_lack(
        &mut self,
        now: Instant,
        id: MemberId,
        range: PositionRange,
        oldest: Position,
    ) {
        let until = now + self.rest;
        let Some(source) = self.sources.get_mut(id) else { return };
        if mutant::is(mutant::REFUSALS_ARE_FORGOTTEN) {
            return;
        }
        let known = source.lacks.filter(|_| now < source.lacks_until);
        let (below, from) = known.unwrap_or((Position::ZERO, Position::MAX));
        // Of a log there is one piece: it begins behind the range, or ends before it.
        source.lacks = Some(match range.start < oldest {
            true => (below.max(oldest), from),
            false => (below, from.min(range.start)),
        });
        source.lacks_until = until;
    }
}
