//! Leases: reads of a leader without a round, where the group is configured for them (rule 13).
//!
//! A voter that has heard a heartbeat promises to elect nobody for `election_timeout_min` from then
//! on, by its clock. The leader counts from when it **sent** the round that a quorum has echoed,
//! by its own clock, and subtracts the drift. It drops the lease for the rest of its term when it
//! tells another to campaign, and a voter its promise when its leader wants that, or gives up. A
//! voter that starts does not know what it has promised: it waits for as long as a promise lasts.

use crate::config::{MemberConfig, Recovered};
use crate::member::Member;
use crate::member::members::InEffect;
use crate::mutant;
use crate::term::Term;
use crate::time::Instant;

/// What a voter has promised, and what a leader has given away.
#[derive(Clone, Copy, Debug, Hash)]
pub(in crate::member) struct Promise {
    /// Nobody is elected by this member before.
    until: Instant,
    /// The term in which another was told to campaign.
    given_up: Option<Term>,
}

impl Promise {
    /// What a life begins with. Who is alone has promised nobody anything, unless a forced recovery
    /// has left it alone.
    pub(in crate::member) fn begin(
        config: &MemberConfig,
        members: &InEffect,
        recovered: &Recovered,
        now: Instant,
    ) -> Self {
        let is_sole = members.is_committed() && members.membership().is_alone(config.member);
        let is_alone = is_sole && recovered.forced.is_none();
        let is_bound = config.timing.lease.is_some() && !is_alone;
        let is_free = mutant::is(mutant::PROMISES_END_WITH_A_LIFE);
        let until = match is_bound && !is_free {
            true => now + config.timing.election_timeout_min,
            false => Instant(0),
        };
        Self { until, given_up: None }
    }

    /// Another is told to campaign: there is no lease in this term any more.
    pub(in crate::member) const fn give_up(&mut self, term: Term) {
        self.given_up = Some(term);
    }
}

impl Member {
    /// A heartbeat of the leader came in, and will be answered.
    #[inline]
    pub(in crate::member) fn promise(&mut self) {
        if self.config.timing.lease.is_some() {
            let until = self.state.now + self.config.timing.election_timeout_min;
            self.state.queries.promise.until = until;
        }
    }

    /// Whether this member has promised to elect nobody yet.
    pub(in crate::member) fn is_bound(&self) -> bool {
        self.state.now < self.state.queries.promise.until
    }

    /// The leader itself wants another to be elected, or gives up.
    pub(in crate::member) fn release_promise(&mut self) {
        self.state.queries.promise.until = Instant(0);
    }

    /// Whether this member leads, has committed in its term, and no other can have been elected.
    pub(super) fn has_lease(&self) -> bool {
        let (state, timing) = (&self.state, &self.config.timing);
        let Some((lease, leading)) = timing.lease.zip(state.leading.as_ref()) else { return false };
        let is_given_up = state.queries.promise.given_up == Some(state.term);
        let keeps_it = mutant::is(mutant::LEASE_OUTLIVES_A_TRANSFER);
        if !leading.has_committed(state.commit) || (is_given_up && !keeps_it) {
            return false;
        }
        let answered = self.answered_round();
        if answered == u64::MAX {
            return true;
        }
        let sent = state.queries.rounds.sent_at(answered, |_| true);
        sent.is_some_and(|at| state.now < at + lease.duration(timing))
    }
}
