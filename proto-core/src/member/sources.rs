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
    /// The shortest rest, and how long somebody is believed who says that its log ends.
    rest: Duration,
}

#[derive(Clone, Copy, Debug, Default, Hash)]
struct Source {
    /// Bytes that it is asked for and that are missing yet.
    outstanding: u64,
    /// Parts in a row that it did not send, or not in time.
    failures: u32,
    rests_until: Instant,
    /// It said that its log begins there: believed for all of the catch-up, since what is purged
    /// does not come back (seed 16714).
    begins: Position,
    /// It said that its log ends there: believed for a while, since logs grow.
    ends: Option<Position>,
    /// Until when it is not asked again for what its log has no more, or not yet.
    lacks_until: Instant,
}

impl Source {
    fn lacks(&self, now: Instant, at: Position) -> bool {
        let is_behind = self.ends.is_some_and(|ends| at >= ends && now < self.lacks_until);
        at < self.begins || is_behind
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
    /// `rest` is the shortest rest of a source, and how long it is believed that a log ends.
    pub(super) fn new(others: impl Iterator<Item = MemberId>, rest: Duration) -> Self {
        let sources = others.map(|id| (id, Source::default())).collect();
        Self { end: Position::ZERO, sources, last: 0, rest }
    }

    /// Others are members now.
    pub(super) fn follow(&mut self, others: &[MemberId]) {
        self.sources.retain(|id, _| others.contains(&id));
        others.iter().for_each(|id| self.add(*id));
    }

    /// `id` is a source from now on, too.
    pub(super) fn add(&mut self, id: MemberId) {
        self.sources.get_or_insert(id, Source::default());
    }

    /// `id` is none any more; whether it was one.
    pub(super) fn remove(&mut self, id: MemberId) -> bool {
        self.sources.remove(id).is_some()
    }

    pub(super) fn contains(&self, id: MemberId) -> bool {
        self.sources.get(id).is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = MemberId> {
        self.sources.keys()
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

    /// `id`, which was asked for all, says that its log begins at `begins`: what is missing before
    /// that is asked for by parts, of those who may have it. Asked for with the rest it would go to
    /// the same one again and again, as long as bytes keep coming for other holes (seed 11849).
    pub(super) fn note_purged(&mut self, id: MemberId, begins: Position) {
        self.end = self.end.max(begins);
        if let Some(source) = self.sources.get_mut(id) {
            source.begins = source.begins.max(begins);
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
        leader: Option<MemberId>,
    ) -> Option<MemberId> {
        let count = self.sources.len();
        let last = self.last.min(count.saturating_sub(1));
        let leads = |id| Some(id) == leader;
        let places = self.sources.iter().enumerate().map(|(place, (id, source))| {
            let turn = (place + count - last - 1) % count.max(1);
            let fitness = match () {
                () if source.lacks(now, part.start) => Fitness::Lacks(source.lacks_until),
                () if source.rests(now) && (leads(id) || source.failures >= FAILURES_MAX) => {
                    Fitness::Rests(source.rests_until)
                }
                () if leads(id) => Fitness::Leads,
                () if source.rests(now) => Fitness::Failed(source.rests_until),
                () => Fitness::Sends,
            };
            let is_favoured = mutant::is(mutant::LEADER_CARRIES_CATCH_UP) && leads(id);
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
        // What was believed for a while is not believed again for what is said of the beginning.
        source.ends = source.ends.filter(|_| now < source.lacks_until);
        // Of a log there is one piece: it begins behind the range, or ends before it.
        if range.start < oldest {
            source.begins = source.begins.max(oldest);
        } else {
            source.ends = Some(source.ends.map_or(range.start, |ends| ends.min(range.start)));
        }
        source.lacks_until = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const REST: Duration = Duration(10);
    const LEADER: MemberId = MemberId(1);
    const LED: Option<MemberId> = Some(LEADER);

    /// Members 2 to 4 and the leader, to one that is far behind.
    fn sources() -> Sources {
        let mut sources = Sources::new((1..=4).map(MemberId), REST);
        sources.look(Position(0), Position(10_000), 1_000);
        sources
    }

    fn part(start: u64) -> PositionRange {
        PositionRange::at(Position(start), 8)
    }

    /// Who is asked for parts from 0 on.
    fn asked(sources: &mut Sources, now: u64, parts: u64) -> Vec<u16> {
        let starts = (0..parts).map(|number| part(8 * number));
        starts.map(|part| sources.choose(Instant(now), part, LED).unwrap().0).collect()
    }

    #[test]
    fn the_others_are_asked_in_turn_and_the_leader_is_not() {
        let mut sources = sources();
        assert_eq!(asked(&mut sources, 0, 6), [2, 3, 4, 2, 3, 4]);
        // Who has most outstanding is asked least.
        sources.note_outstanding(|id| if id == MemberId(3) { 16 } else { 0 });
        assert_eq!(asked(&mut sources, 0, 4), [2, 4, 2, 4]);
        assert_eq!(asked(&mut sources, 0, 3), [2, 3, 4]);
    }

    #[test]
    fn e88_who_lacks_a_part_is_believed_for_a_while() {
        let mut sources = sources();
        sources.note_lack(Instant(0), MemberId(2), part(16), Position(0));
        sources.note_lack(Instant(0), MemberId(3), part(0), Position(8));
        assert_eq!(asked(&mut sources, 9, 3), [2, 3, 4]);
        let next = |sources: &mut Sources, now| sources.choose(Instant(now), part(800), LED);
        assert_eq!(next(&mut sources, 9), Some(MemberId(3)));
        assert_eq!(next(&mut sources, 9), Some(MemberId(4)));
        assert_eq!(next(&mut sources, 10), Some(MemberId(2)));
        // What nobody else has is the leader's.
        for id in [2, 3, 4] {
            sources.note_lack(Instant(20), MemberId(id), part(800), Position(0));
        }
        assert_eq!(next(&mut sources, 29), Some(LEADER));
        // When all lack it, who said so first is asked first.
        sources.note_lack(Instant(25), LEADER, part(800), Position(0));
        sources.note_lack(Instant(26), MemberId(2), part(800), Position(0));
        assert_eq!(next(&mut sources, 29), Some(MemberId(3)));
    }

    #[test]
    fn e88_what_is_purged_is_not_asked_for_again() {
        let mut sources = sources();
        for id in [2, 3] {
            sources.note_lack(Instant(0), MemberId(id), part(0), Position(80));
        }
        // Long after a refusal, too: only who has it is asked, and the leader before who has not.
        assert_eq!(asked(&mut sources, 10_000, 4), [4, 4, 4, 4]);
        sources.note_lack(Instant(10_000), MemberId(4), part(0), Position(16));
        assert_eq!(asked(&mut sources, 20_000, 4), [1, 1, 4, 4]);
        let behind = sources.choose(Instant(20_000), part(80), LED);
        assert!(behind.is_some_and(|id| [2, 3].contains(&id.0)), "{behind:?}");
        // An end that was told long before is not believed again for that.
        sources.note_lack(Instant(0), MemberId(2), part(800), Position(80));
        sources.note_lack(Instant(20_000), MemberId(2), part(0), Position(80));
        assert!(
            !sources.sources.get_mut(MemberId(2)).unwrap().lacks(Instant(20_001), Position(800))
        );
        // A catch-up that ends forgets it.
        sources.look(Position(10_000), Position(10_000), 1_000);
        sources.look(Position(0), Position(10_000), 1_000);
        assert_eq!(asked(&mut sources, 20_001, 3).iter().filter(|id| **id == 1).count(), 0);
    }

    #[test]
    fn who_sends_nothing_rests_longer_each_time_until_it_sends_a_part() {
        let mut sources = sources();
        let fail = |sources: &mut Sources, now, id| {
            sources.note_outcome(Instant(now), MemberId(id), Outcome::Failed);
        };
        // Parts that were asked for at once fail as one.
        (0..3).for_each(|_| fail(&mut sources, 0, 2));
        assert_eq!(asked(&mut sources, 9, 4), [3, 4, 3, 4]);
        sources.note_outstanding(|_| 0);
        assert_eq!(asked(&mut sources, 10, 3), [2, 3, 4]);
        fail(&mut sources, 10, 2);
        sources.note_outstanding(|_| 0);
        assert_eq!(asked(&mut sources, 29, 2), [3, 4]);
        // It failed twice, so that the leader is asked before it; who failed once is not spared.
        (3..=4).for_each(|id| fail(&mut sources, 29, id));
        sources.note_outstanding(|_| 0);
        assert_eq!(asked(&mut sources, 29, 2), [3, 4]);
        (3..=4).for_each(|id| fail(&mut sources, 40, id));
        fail(&mut sources, 40, 2);
        assert_eq!(asked(&mut sources, 41, 2), [1, 1]);
        sources.note_outcome(Instant(41), MemberId(2), Outcome::Answered);
        assert_eq!(asked(&mut sources, 41, 1), [2]);
    }

    #[test]
    fn a_leader_that_sends_nothing_is_left_alone_too() {
        let mut sources = sources();
        for now in [0, 20] {
            for id in 1..=4 {
                sources.note_outcome(Instant(now), MemberId(id), Outcome::Failed);
            }
        }
        // Then who may be asked soonest.
        sources.note_outcome(Instant(40), MemberId(2), Outcome::Failed);
        assert_eq!(asked(&mut sources, 39, 1), [3]);
    }

    #[test]
    fn who_sent_false_bytes_is_left_alone() {
        let mut sources = sources();
        sources.note_false(Instant(0), MemberId(2));
        assert_eq!(asked(&mut sources, 10 << (DOUBLINGS_MAX - 1), 4), [3, 4, 3, 4]);
        sources.note_outstanding(|_| 0);
        assert_eq!(asked(&mut sources, 10 << DOUBLINGS_MAX, 3), [2, 3, 4]);
    }

    #[test]
    fn a_catch_up_begins_below_the_window_and_lasts_to_its_end() {
        let mut sources = Sources::new((1..=4).map(MemberId), REST);
        let mut end_at = |received, seen| {
            sources.look(Position(received), Position(seen), 1_000);
            sources.end().0
        };
        assert_eq!(end_at(0, 1_000), 0);
        assert_eq!(end_at(0, 1_001), 1_001);
        assert_eq!(end_at(200, 1_201), 1_201);
        assert_eq!(end_at(1_200, 1_500), 1_201);
        assert_eq!(end_at(1_201, 1_500), 0);
        // What is disowned meanwhile is waited for no longer.
        assert_eq!(end_at(1_201, 3_000), 3_000);
        assert_eq!(end_at(1_500, 1_500), 0);
    }
}
