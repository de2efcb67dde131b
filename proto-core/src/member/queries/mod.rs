//! Reads that append nothing to the log (decision 0030).
//!
//! ```text
//!            leader: a round that is sent from now on is echoed by a quorum ─┐
//!  New ──────┤                                                               ├─► Apply ─► service
//!            others: the leader says an index, confirmed from now on ────────┘
//!  by lease, of a session, stale ──────────────────────────────────────────────► Apply
//! ```
//!
//! All that wait are in one queue, by their arrival, with one limit. Whatever happens to the member
//! is followed by one look at it; while it is empty, that costs a comparison.

mod contact;
mod index;
mod leases;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use super::members::InEffect;
use super::{Handled, Member};
use crate::action::{Action, Actions, Destination};
use crate::config::{MemberConfig, Recovered};
use crate::hash::StateHasher;
use crate::identity::{Endpoint, MemberId};
use crate::message::{Incoming, Message};
use crate::mutant;
use crate::position::Position;
use crate::read::{Query, READ_BYTES_MAX, ReadAnswer, ReadLevel, ReadOutcome, ReadRefusal};
use crate::term::Term;
use crate::time::{Duration, Instant};

use contact::{Contact, Rounds};
use leases::Promise;

/// The reads of a member, and what it knows of how new its state is.
#[derive(Clone, Debug, Hash)]
pub(super) struct Queries {
    /// Oldest first.
    waiting: VecDeque<Waiting>,
    /// With the service, which answers them in order.
    serving: VecDeque<Serving>,
    /// The number of the next query, and of the next request for an index: of no other life.
    next: u64,
    /// The newest request for an index that is not answered, and when it was sent.
    asked: Option<(u64, Instant)>,
    /// The term that this member led when the queue was looked at last.
    led: Option<Term>,
    /// The newest round that any of them waits for, and the newest that was sent for them.
    wanted_round: u64,
    sent_round: u64,
    contact: Contact,
    pub(super) rounds: Rounds,
    pub(super) promise: Promise,
}

/// A read that waits.
#[derive(Clone, Debug, Hash)]
struct Waiting {
    asker: Asker,
    level: ReadLevel,
    payload: Vec<u8>,
    arrived: Instant,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Stage {
    /// Nobody was asked yet who leads.
    New,
    /// A quorum has to echo this round, of the term that this member leads.
    Round { round: u64, index: Position },
    /// The leader was asked under this number.
    Asked { number: u64 },
    /// So much has to be applied.
    Apply { index: Position, by_lease: bool },
}

#[derive(Clone, Copy, Debug, Hash)]
enum Asker {
    Host {
        token: u64,
    },
    Client {
        at: Endpoint,
        number: u64,
    },
    /// Who asks for the index only.
    Follower {
        member: MemberId,
        number: u64,
    },
}

/// A read that the service is to answer.
#[derive(Clone, Debug, Hash)]
struct Serving {
    number: u64,
    asker: Asker,
    by_lease: bool,
    applied: Position,
    age: Duration,
}

impl Queries {
    pub(super) fn beginning(
        config: &MemberConfig,
        members: &InEffect,
        recovered: &Recovered,
        now: Instant,
    ) -> Self {
        // Numbers that no other life of this member uses: what was sent to one is not taken for an
        // answer to this one.
        let mut hasher = StateHasher::default();
        recovered.life.hash(&mut hasher);
        Self {
            waiting: VecDeque::new(),
            serving: VecDeque::new(),
            next: hasher.finish() >> 1,
            asked: None,
            led: None,
            wanted_round: 0,
            sent_round: 0,
            contact: Contact::default(),
            rounds: Rounds::new(),
            promise: Promise::begin(config, members, recovered, now),
        }
    }

    /// Whether none waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Those that wait, and those that are with the service.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.serving.len()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Whether any has to learn who leads, or up to where to see the log.
    fn any_at(&self, is_it: impl Fn(Stage) -> bool) -> bool {
        self.waiting.iter().any(|read| is_it(read.stage))
    }
}

impl Member {
    /// The host reads.
    pub(super) fn handle_read(
        &mut self,
        token: u64,
        level: ReadLevel,
        payload: &[u8],
        actions: &mut Actions,
    ) {
        self.take_read(Asker::Host { token }, level, payload.to_vec(), actions);
    }

    /// A client says something that needs no connection.
    #[cold]
    #[inline(never)]
    pub(super) fn handle_unconnected(
        &mut self,
        at: Endpoint,
        content: &Incoming<'_>,
        actions: &mut Actions,
    ) {
        let Incoming::Control(Message::ReadRequest { number, level, payload }) = content else {
            self.counters.datagrams_ignored += 1;
            return;
        };
        let asker = Asker::Client { at, number: *number };
        self.take_read(asker, *level, payload.clone(), actions);
    }

    fn take_read(
        &mut self,
        asker: Asker,
        level: ReadLevel,
        payload: Vec<u8>,
        actions: &mut Actions,
    ) {
        if self.state.queries.len() >= self.config.limits.queries_max {
            self.answer_read(asker, Err(ReadRefusal::Busy), actions);
            return;
        }
        let stage = match level {
            ReadLevel::Session { .. } if mutant::is(mutant::SESSION_READS_GO_BACK) => {
                Stage::Apply { index: Position::ZERO, by_lease: false }
            }
            ReadLevel::Session { least } => Stage::Apply { index: least, by_lease: false },
            ReadLevel::Stale { .. } => Stage::Apply { index: Position::ZERO, by_lease: false },
            ReadLevel::Lease if self.has_lease() => {
                Stage::Apply { index: self.state.commit, by_lease: true }
            }
            ReadLevel::Lease | ReadLevel::Linearizable => Stage::New,
        };
        let arrived = self.state.now;
        let read = Waiting { asker, level, payload, arrived, stage };
        self.state.queries.waiting.push_back(read);
    }

    /// Looks at the reads that wait, before and behind what is handed to the service: in between
    /// its state is ahead of what is known to be applied.
    #[cold]
    #[inline(never)]
    pub(super) fn settle_queries(&mut self, actions: &mut Actions) {
        self.note_who_leads();
        if self.state.leading.is_some() {
            self.place_reads();
            self.confirm_reads(actions);
        }
        if !self.state.applier.is_applying() {
            self.serve_reads(actions);
        }
        self.state.flush_wanted |= self.wants_round() || self.wants_index();
    }

    /// What was to be confirmed in a term that this member leads no more has to be anew.
    fn note_who_leads(&mut self) {
        let leads = self.state.leading.as_ref().map(|_| self.state.term);
        let queries = &mut self.state.queries;
        if queries.led == leads {
            return;
        }
        queries.led = leads;
        (queries.wanted_round, queries.sent_round) = (0, 0);
        queries.waiting.retain_mut(|read| {
            if matches!(read.stage, Stage::Round { .. }) {
                read.stage = Stage::New;
            }
            !matches!(read.asker, Asker::Follower { .. })
        });
    }

    /// Notes the commit position for the reads that are new at a leader, once that is known to have
    /// all that was committed in former terms (E98).
    fn place_reads(&mut self) {
        let state = &mut self.state;
        let Some(leading) = &state.leading else { return };
        let may_be_low = !leading.has_committed(state.commit);
        if may_be_low && !mutant::is(mutant::READS_BEFORE_ITS_TERM) {
            return;
        }
        // Only what is sent from now on shows that it leads now (E99).
        let round = match mutant::is(mutant::OLD_ROUNDS_CONFIRM_READS) {
            true => leading.round(),
            false => leading.next_round(),
        };
        let index = state.commit;
        for read in &mut state.queries.waiting {
            if matches!(read.stage, Stage::New | Stage::Asked { .. }) {
                read.stage = Stage::Round { round, index };
                state.queries.wanted_round = round;
            }
        }
    }

    /// Goes on with the reads whose round a quorum has echoed.
    fn confirm_reads(&mut self, actions: &mut Actions) {
        if self.state.leading.is_none() {
            return;
        }
        let confirmed = match mutant::is(mutant::READS_WITHOUT_A_ROUND) {
            true => u64::MAX,
            false => self.answered_round(),
        };
        let mut told = Vec::new();
        self.state.queries.waiting.retain_mut(|read| {
            let Stage::Round { round, index } = read.stage else { return true };
            if round > confirmed {
                return true;
            }
            read.stage = Stage::Apply { index, by_lease: false };
            let Asker::Follower { member, number } = read.asker else { return true };
            told.push((member, number, index));
            false
        });
        for (member, number, index) in told {
            self.send(member, Message::ReadIndexReply { number, index }, actions);
        }
    }

    /// Hands reads to the service whose index is applied; it has nothing behind that.
    fn serve_reads(&mut self, actions: &mut Actions) {
        let applied = self.state.applier.applied;
        let is_ready = |stage| matches!(stage, Stage::Apply { index, .. } if index <= applied);
        if !self.state.queries.any_at(is_ready) {
            return;
        }
        let waiting = core::mem::take(&mut self.state.queries.waiting);
        for read in waiting {
            match read.stage {
                Stage::Apply { by_lease, .. } if is_ready(read.stage) => {
                    self.serve_read(read, by_lease, applied, actions);
                }
                _ => self.state.queries.waiting.push_back(read),
            }
        }
    }

    fn serve_read(
        &mut self,
        read: Waiting,
        by_lease: bool,
        applied: Position,
        actions: &mut Actions,
    ) {
        let Waiting { asker, level, payload, .. } = read;
        let age = if level.needs_leader() { Duration::ZERO } else { self.age() };
        if let ReadLevel::Stale { bound } = level
            && age > bound
            && !mutant::is(mutant::STALE_READS_HAVE_NO_BOUND)
        {
            self.answer_read(asker, Err(ReadRefusal::TooOld { age }), actions);
            return;
        }
        let number = self.state.queries.number();
        let serving = Serving { number, asker, by_lease, applied, age };
        self.state.queries.serving.push_back(serving);
        actions.push(Action::ServeRead(Box::new(Query { number, applied, payload })));
    }

    /// The service has answered a read, or has none.
    pub(super) fn handle_read_served(
        &mut self,
        number: u64,
        answer: Result<&[u8], ReadRefusal>,
        actions: &mut Actions,
    ) {
        let queries = &mut self.state.queries;
        let Some(at) = queries.serving.iter().position(|read| read.number == number) else {
            self.counters.completions_ignored += 1;
            return;
        };
        let Some(Serving { asker, by_lease, applied, age, .. }) = queries.serving.remove(at) else {
            return;
        };
        // The lease has to last until the answer is there: the service may have taken its time, or
        // the whole process (E102).
        let looks_once = mutant::is(mutant::LEASE_IS_NOT_LOOKED_AT_AGAIN);
        let outcome = match answer {
            Ok(_) if by_lease && !self.has_lease() && !looks_once => Err(ReadRefusal::Unconfirmed),
            Ok(bytes) => Ok(ReadAnswer { applied, age, payload: bytes.to_vec() }),
            Err(refusal) => Err(refusal),
        };
        self.answer_read(asker, outcome, actions);
    }

    /// The host reads at a member whose life is about to end.
    pub(super) fn refuse_read(&mut self, token: u64, actions: &mut Actions) {
        self.answer_read(Asker::Host { token }, Err(ReadRefusal::Stopping), actions);
    }

    /// The service has answered a read, and nothing goes out any more.
    pub(super) fn drop_served_read(&mut self, number: u64, actions: &mut Actions) {
        let queries = &mut self.state.queries;
        let Some(at) = queries.serving.iter().position(|read| read.number == number) else {
            return;
        };
        if let Some(Serving { asker: Asker::Host { token }, .. }) = queries.serving.remove(at) {
            self.refuse_read(token, actions);
        }
    }

    fn answer_read(&mut self, asker: Asker, outcome: ReadOutcome, actions: &mut Actions) {
        match outcome {
            Ok(_) => self.counters.reads_answered += 1,
            Err(_) => self.counters.reads_refused += 1,
        }
        match asker {
            Asker::Host { token } => actions.push(Action::AnswerRead { token, outcome }),
            Asker::Client { at, number } => {
                let limit = READ_BYTES_MAX;
                let outcome = match outcome {
                    Ok(answer) if answer.payload.len() > limit => {
                        Err(ReadRefusal::TooLong { limit: limit as u64 })
                    }
                    outcome => outcome,
                };
                let message = Message::ReadReply { number, outcome };
                actions.push(Action::Send { to: Destination::Client(at), message });
            }
            // It asks again, or somebody else.
            Asker::Follower { .. } => {}
        }
    }

    /// What is due by time: who has waited for too long is refused, and who was asked for an index
    /// and did not answer is asked again.
    #[inline]
    pub(super) fn serve_queries(&mut self, actions: &mut Actions) {
        if !self.state.queries.is_empty() {
            self.serve_due_queries(actions);
        }
    }

    #[cold]
    fn serve_due_queries(&mut self, actions: &mut Actions) {
        let (now, hold) = (self.state.now, self.read_hold());
        while let Some(read) = self.state.queries.waiting.front()
            && read.arrived + hold <= now
        {
            let (asker, stage) = (read.asker, read.stage);
            self.state.queries.waiting.pop_front();
            let refusal = match stage {
                Stage::Apply { .. } => ReadRefusal::Behind { applied: self.state.applier.applied },
                _ => ReadRefusal::Unconfirmed,
            };
            self.answer_read(asker, Err(refusal), actions);
        }
        self.retry_index();
    }

    /// How long a read waits at a member, at most.
    fn read_hold(&self) -> Duration {
        self.config.timing.election_timeout_max
    }

    pub(super) fn queries_deadline(&self) -> Option<Instant> {
        let read = self.state.queries.waiting.front()?;
        let until = read.arrived + self.read_hold();
        Some(self.index_deadline().map_or(until, |at| at.min(until)))
    }

    /// Begins what the reads wait for that came in since the last flush.
    #[inline]
    pub(super) fn pursue_queries(&mut self, actions: &mut Actions) {
        if !self.state.queries.is_empty() {
            self.pursue_some_queries(actions);
        }
    }

    #[cold]
    #[inline(never)]
    fn pursue_some_queries(&mut self, actions: &mut Actions) {
        if self.wants_round() {
            self.begin_read_round(actions);
        } else if self.wants_index() {
            self.ask_for_index(actions);
        }
    }

    /// Whether a round is to be sent that shows that this member still leads. One is under way at a
    /// time: all that come in meanwhile share the next.
    fn wants_round(&self) -> bool {
        let (queries, leading) = (&self.state.queries, self.state.leading.as_ref());
        leading.is_some_and(|leading| {
            queries.wanted_round > leading.round() && queries.sent_round <= self.answered_round()
        })
    }

    fn begin_read_round(&mut self, actions: &mut Actions) {
        // Who says that it is there has just looked whether it may lead on.
        if self.reason_to_abdicate().is_some() {
            self.look_whether_to_lead();
            return;
        }
        self.counters.read_rounds += 1;
        self.state.queries.sent_round = self.state.queries.wanted_round;
        self.hasten_heartbeat();
        self.send_heartbeats(actions);
    }

    /// A follower asks, or the leader answers it.
    #[cold]
    #[inline(never)]
    pub(super) fn handle_index_message(
        &mut self,
        from: MemberId,
        message: &Message,
        actions: &mut Actions,
    ) -> Handled {
        match *message {
            Message::ReadIndexRequest { number } if self.state.leading.is_some() => {
                let asker = Asker::Follower { member: from, number };
                self.take_read(asker, ReadLevel::Linearizable, Vec::new(), actions);
            }
            Message::ReadIndexReply { number, index } => self.take_index(number, index),
            _ => self.counters.datagrams_ignored += 1,
        }
        Ok(())
    }
}
