//! How new a member's state is, by its own clock: what stale reads are told and bounded by.
//!
//! A leader knows it by the rounds that a quorum has echoed, from when it sent them. A follower
//! knows it by heartbeats, from when they came in: the leader had a quorum then, or gives up within
//! an election time-out, which is added. Either way the commit position of that time has to be
//! applied, and lie in the leader's own term: one below may be low (E98).

use alloc::collections::VecDeque;

use crate::member::Member;
use crate::position::Position;
use crate::read::ReadAnswer;
use crate::time::{Duration, Instant};

/// Rounds that are remembered until they are echoed, at most.
const ROUNDS_MAX: usize = 32;

/// What a follower knows.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(super) struct Contact {
    /// A heartbeat whose commit position is not applied yet.
    pending: Option<(Instant, Position)>,
    /// The newest heartbeat whose commit position is.
    fresh: Option<Instant>,
}

impl Contact {
    fn hear(&mut self, now: Instant, commit: Position, applied: Position) {
        self.settle(applied);
        if commit <= applied {
            (self.fresh, self.pending) = (Some(now), None);
        } else if self.pending.is_none() {
            self.pending = Some((now, commit));
        }
    }

    fn settle(&mut self, applied: Position) {
        if let Some((at, commit)) = self.pending
            && commit <= applied
        {
            (self.fresh, self.pending) = (Some(at), None);
        }
    }

    fn at(mut self, applied: Position) -> Option<Instant> {
        self.settle(applied);
        self.fresh
    }
}

/// When a leader sent its rounds, and what was committed then; oldest first.
#[derive(Clone, Debug, Hash)]
pub(in crate::member) struct Rounds {
    sent: VecDeque<(u64, Instant, Position)>,
}

impl Rounds {
    /// All memory is allocated here: a busy leader allocates nothing.
    pub(super) fn new() -> Self {
        Self { sent: VecDeque::with_capacity(ROUNDS_MAX) }
    }

    pub(in crate::member) fn note(&mut self, round: u64, now: Instant, commit: Position) {
        if self.sent.back().is_some_and(|(last, ..)| *last >= round) {
            // Of another term.
            self.sent.clear();
        }
        if self.sent.len() >= ROUNDS_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((round, now, commit));
    }

    /// When the newest round up to `answered` was sent of those that satisfy `does`.
    pub(super) fn sent_at(
        &self,
        answered: u64,
        does: impl Fn(Position) -> bool,
    ) -> Option<Instant> {
        let mut known = self.sent.iter().rev();
        let found = known.find(|(round, _, commit)| *round <= answered && does(*commit));
        found.map(|(_, at, _)| *at)
    }
}

impl Member {
    /// A heartbeat of the leader came in, whose history is adopted.
    pub(in crate::member) fn note_contact(&mut self, commit: Position) {
        let state = &mut self.state;
        if state.history.last().is_some_and(|line| commit > line.base) {
            state.queries.contact.hear(state.now, commit, state.applier.applied);
        }
    }

    /// What was committed so long ago is applied.
    pub(super) fn age(&self) -> Duration {
        let (state, applied) = (&self.state, self.state.applier.applied);
        let queries = &state.queries;
        let Some(leading) = &state.leading else {
            let slack = self.config.timing.election_timeout_min;
            let heard = queries.contact.at(applied);
            return heard.map_or(ReadAnswer::AGE_UNKNOWN, |at| {
                Duration(state.now.since(at).0.saturating_add(slack.0))
            });
        };
        let answered = self.answered_round();
        let has = |commit| leading.has_committed(commit);
        let sent = queries.rounds.sent_at(answered, |commit| commit <= applied && has(commit));
        match sent {
            _ if answered == u64::MAX && has(applied) && applied == state.commit => Duration::ZERO,
            Some(at) => state.now.since(at),
            None => ReadAnswer::AGE_UNKNOWN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_counts_once_its_commit_position_is_applied() {
        let mut contact = Contact::default();
        contact.hear(Instant(10), Position(64), Position(8));
        assert_eq!(contact.at(Position(8)), None);
        // Behind others it waits for what it said itself, which comes first.
        contact.hear(Instant(20), Position(128), Position(8));
        assert_eq!(contact.at(Position(56)), None);
        assert_eq!(contact.at(Position(64)), Some(Instant(10)));
        contact.hear(Instant(30), Position(128), Position(128));
        assert_eq!(contact.at(Position(128)), Some(Instant(30)));
    }

    #[test]
    fn rounds_are_bounded_and_end_with_their_term() {
        let mut rounds = Rounds::new();
        for round in 1..=100 {
            rounds.note(round, Instant(round * 10), Position(round * 8));
        }
        assert_eq!(rounds.sent.len(), ROUNDS_MAX);
        assert_eq!(rounds.sent_at(90, |_| true), Some(Instant(900)));
        assert_eq!(rounds.sent_at(90, |commit| commit <= Position(80 * 8)), Some(Instant(800)));
        assert_eq!(rounds.sent_at(10, |_| true), None);
        rounds.note(1, Instant(2_000), Position(8));
        assert_eq!(rounds.sent_at(90, |_| true), Some(Instant(2_000)));
    }
}
