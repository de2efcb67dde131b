//! Finding the leader: whom to ask next, when, and what came of it.

use alloc::vec::Vec;
use core::ops::Bound;

use super::contract::{ClientConfig, Tried, TriedOutcome};
use crate::identity::{Endpoint, MemberId};
use crate::membership::MEMBERS_MAX;
use crate::random::Random;
use crate::time::{Duration, Instant};

/// Redirects that are followed one after the other without a pause, at most (J25).
pub(super) const REDIRECTS_IN_A_ROW_MAX: u32 = 8;

/// Members that were not configured and have answered, that are remembered, at most: the last ones.
/// As many as a group may have.
const LEARNED_MAX: usize = MEMBERS_MAX;

/// The search for the leader. It stands still while the client is served.
#[derive(Clone, Debug, Hash)]
pub(super) struct Search {
    /// Numbers the attempts: a new one for each new target, and for each return to an old one.
    connection: u64,
    target: Target,
    /// The last configured member that was asked because it was its turn.
    cursor: MemberId,
    /// Members that have answered where nobody is configured: those that came to the group later,
    /// or were moved.
    learned: Vec<Target>,
    /// How many of those were asked since the last configured member was.
    passed: usize,
    /// How often the target was asked in this attempt.
    asked: u32,
    /// The last request has no answer yet.
    awaiting: bool,
    /// When to ask again.
    next_at: Instant,
    /// Redirects since the last pause.
    redirects: u32,
    /// Since when the client is not served.
    since: Instant,
    /// What became of asking, for configured members only, so that it stays bounded.
    tried: Vec<Tried>,
    random: Random,
}

/// Who is asked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Target {
    member: MemberId,
    endpoint: Endpoint,
}

impl Search {
    /// A search that begins with the first member; `config` names at least one.
    pub(super) fn new(config: &ClientConfig) -> Self {
        let first = config.members.first_key_value();
        let (member, endpoint) =
            first.map_or_else(Default::default, |(&member, &endpoint)| (member, endpoint));
        Self {
            connection: 0,
            target: Target { member, endpoint },
            cursor: member,
            learned: Vec::new(),
            passed: 0,
            asked: 0,
            awaiting: false,
            next_at: Instant(0),
            redirects: 0,
            since: Instant(0),
            tried: Vec::with_capacity(config.members.len()),
            random: Random::new(config.seed),
        }
    }

    /// The current attempt.
    pub(super) const fn connection(&self) -> u64 {
        self.connection
    }

    /// Where to ask.
    pub(super) const fn endpoint(&self) -> Endpoint {
        self.target.endpoint
    }

    /// What became of asking so far.
    pub(super) fn tried(&self) -> &[Tried] {
        &self.tried
    }

    /// Whether those that answered say that there is no quorum, and nobody anything else.
    pub(super) fn lacks_quorum(&self) -> bool {
        let says = |tried: &Tried| tried.outcome == TriedOutcome::NoQuorum;
        let is_silent =
            |tried: &Tried| matches!(tried.outcome, TriedOutcome::Silent | TriedOutcome::Lost);
        self.tried.iter().any(says) && self.tried.iter().all(|it| says(it) || is_silent(it))
    }

    /// The client is served (a reply came), or wants nothing, or only begins to want something: the
    /// time to give up counts from now on, and what was tried before is forgotten.
    pub(super) fn succeeded(&mut self, now: Instant) {
        self.since = now;
        self.tried.clear();
    }

    /// Begins a search with the current target; it is asked at `ask_at`.
    pub(super) fn begin(&mut self, now: Instant, ask_at: Instant) {
        self.since = now;
        self.attempt(self.target, ask_at);
    }

    /// Begins a search after the target has served the client since `opened`: it is asked first
    /// again (J21).
    pub(super) fn resume(&mut self, config: &ClientConfig, now: Instant, opened: Instant) {
        // A server that opens and refuses in turn must not be asked at the network's pace.
        let lasted = now.since(opened) >= config.timing.connect_retry;
        let ask_at = if lasted { now } else { now + config.timing.connect_retry };
        if lasted {
            self.redirects = 0;
        }
        self.attempt(self.target, ask_at);
        self.note(config, TriedOutcome::Lost);
        self.ask_once(config);
    }

    /// The target serves the client.
    pub(super) fn opened(&mut self, config: &ClientConfig, leader: MemberId) {
        self.target.member = leader;
        self.awaiting = false;
        self.learn(config);
    }

    /// The target has answered: it is asked again when those that are configured are of no use.
    fn learn(&mut self, config: &ClientConfig) {
        let target = self.target;
        let is_configured = config.members.values().any(|endpoint| *endpoint == target.endpoint);
        let is_known = self.learned.iter().any(|known| known.endpoint == target.endpoint);
        if is_configured || is_known {
            return;
        }
        if self.learned.len() == LEARNED_MAX {
            self.learned.remove(0);
        }
        self.learned.push(target);
    }

    /// Whether the client has looked for a leader for too long.
    pub(super) fn is_over(&self, config: &ClientConfig, now: Instant) -> bool {
        now >= self.since + config.timing.give_up_after
    }

    /// Whether the target is to be asked now; notes that it is.
    pub(super) fn poll(&mut self, config: &ClientConfig, now: Instant) -> bool {
        if now < self.next_at {
            return false;
        }
        if self.awaiting {
            self.note_silence();
        }
        if self.asked >= config.timing.tries_per_member {
            let next = self.next_member(config);
            self.attempt(next, now);
            self.spare(config);
        }
        self.asked += 1;
        self.awaiting = true;
        self.note_request(config);
        self.next_at = now + self.with_jitter(config.timing.connect_retry);
        true
    }

    /// When to call [`Search::poll`] or [`Search::is_over`].
    pub(super) fn next_deadline(&self, config: &ClientConfig) -> Instant {
        self.next_at.min(self.since + config.timing.give_up_after)
    }

    /// The target says that `leader` leads. Returns whether it is asked at once.
    pub(super) fn redirected(
        &mut self,
        config: &ClientConfig,
        now: Instant,
        leader: MemberId,
        endpoint: Endpoint,
    ) -> bool {
        self.note(config, TriedOutcome::Redirected);
        // A member that was moved is found through the others, so what they say goes before what
        // was configured.
        let configured = config.members.get(&leader).copied();
        let said = Some(endpoint).filter(|&said| said != Endpoint::default());
        let known = said.or(configured).map(|endpoint| Target { member: leader, endpoint });
        let Some(next) = known.filter(|&next| next != self.target) else {
            self.pause(config, now, config.timing.connect_retry);
            return false;
        };
        if self.redirects >= REDIRECTS_IN_A_ROW_MAX {
            // Stale hints lead in circles: leave the circle by asking the next one in order.
            self.redirects = 0;
            self.asked = config.timing.tries_per_member;
            self.pause(config, now, config.timing.connect_retry);
            return false;
        }
        self.redirects += 1;
        self.attempt(next, now);
        self.spare(config);
        true
    }

    /// The target cannot serve the client now; it is asked again after `span`, within limits.
    pub(super) fn refused(
        &mut self,
        config: &ClientConfig,
        now: Instant,
        span: Duration,
        outcome: TriedOutcome,
    ) {
        self.note(config, outcome);
        if outcome == TriedOutcome::NoQuorum {
            // Others may hear more members than this one.
            self.asked = config.timing.tries_per_member;
        }
        self.pause(config, now, span);
    }

    fn attempt(&mut self, target: Target, ask_at: Instant) {
        self.connection += 1;
        self.target = target;
        self.asked = 0;
        self.awaiting = false;
        self.next_at = ask_at;
    }

    /// Who was silent last time is asked once only: it is most likely down, and the next leader may
    /// be waiting to be asked.
    fn spare(&mut self, config: &ClientConfig) {
        let target = self.target.member;
        let tried = self.tried.iter().find(|tried| tried.member == target);
        let was_silent = |tried: &Tried| {
            tried.times > 0 && matches!(tried.outcome, TriedOutcome::Silent | TriedOutcome::Lost)
        };
        if tried.is_some_and(was_silent) {
            self.ask_once(config);
        }
    }

    const fn ask_once(&mut self, config: &ClientConfig) {
        self.asked = config.timing.tries_per_member - 1;
    }

    fn pause(&mut self, config: &ClientConfig, now: Instant, span: Duration) {
        let timing = &config.timing;
        let span = span.max(timing.newest_first).min(timing.connect_retry);
        self.next_at = now + self.with_jitter(span);
    }

    /// Clients that lost the same server shall not ask in step for ever.
    fn with_jitter(&mut self, span: Duration) -> Duration {
        self.random.between(span, Duration(span.0.saturating_add(span.0 / 8)))
    }

    /// The member whose turn it is: not the target itself, unless there is no other.
    fn next_member(&mut self, config: &ClientConfig) -> Target {
        let mut next = self.target;
        for _ in 0..2 {
            next = self.following(config).unwrap_or(next);
            if next.endpoint != self.target.endpoint {
                break;
            }
        }
        next
    }

    /// Whose turn it is: that of the configured members in order, then of those that were learned.
    fn following(&mut self, config: &ClientConfig) -> Option<Target> {
        let above = (Bound::Excluded(self.cursor), Bound::Unbounded);
        let next = config.members.range(above).next().filter(|_| self.passed == 0);
        if next.is_none()
            && let Some(&learned) = self.learned.get(self.passed)
        {
            self.passed += 1;
            return Some(learned);
        }
        let (&member, &endpoint) = next.or_else(|| config.members.first_key_value())?;
        (self.cursor, self.passed) = (member, 0);
        Some(Target { member, endpoint })
    }

    /// The target's row, if it is a configured member.
    fn row(&mut self, config: &ClientConfig) -> Option<&mut Tried> {
        let member = self.target.member;
        if !config.members.contains_key(&member) {
            return None;
        }
        let at = match self.tried.binary_search_by_key(&member, |tried| tried.member) {
            Ok(at) => at,
            Err(at) => {
                self.tried.insert(at, Tried { member, times: 0, outcome: TriedOutcome::Silent });
                at
            }
        };
        self.tried.get_mut(at)
    }

    fn note_request(&mut self, config: &ClientConfig) {
        if let Some(row) = self.row(config) {
            row.times = row.times.saturating_add(1);
        }
    }

    fn note(&mut self, config: &ClientConfig, outcome: TriedOutcome) {
        self.awaiting = false;
        let is_answer = matches!(
            outcome,
            TriedOutcome::Redirected | TriedOutcome::NotReady | TriedOutcome::NoQuorum
        );
        if is_answer {
            self.learn(config);
        }
        if let Some(row) = self.row(config) {
            row.outcome = outcome;
        }
    }

    /// The last request went unanswered. That a server was lost says more than its silence.
    fn note_silence(&mut self) {
        let member = self.target.member;
        let row = self.tried.iter_mut().find(|tried| tried.member == member);
        if let Some(row) = row.filter(|row| row.outcome != TriedOutcome::Lost) {
            row.outcome = TriedOutcome::Silent;
        }
    }
}
