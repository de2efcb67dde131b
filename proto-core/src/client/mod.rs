//! The client's state machine: finds the leader, keeps a session, and gets each message applied
//! exactly once.
//!
//! ```text
//!   New ──first event──► Seeking ──Open──► Served ──silence, redirect, broken stream──► Seeking
//!                           │                 │
//!                           └──► Ended ◄──────┘   given up, session lost, or closed
//! ```
//!
//! Messages may be submitted before the client is served; they wait. What is not answered when a
//! leader is lost is sent again to the next one, under the same numbers (E106).

mod close;
mod connect;
mod contract;
mod flow;
mod reads;
mod syncs;
#[cfg(test)]
mod tests;

pub use contract::{
    ClientAction, ClientActions, ClientConfig, ClientCounters, ClientError, ClientEvent,
    ClientLimits, ClientReply, ClientTiming, ReadError, Reject, SyncTimedOut, Tried, TriedOutcome,
};

use core::hash::{Hash, Hasher};

use crate::config::ConfigError;
use crate::hash::StateHasher;
use crate::identity::{MemberId, SessionId};
use crate::message::{ConnectOutcome, Incoming, Message, Sender, Stream};
use crate::position::PositionRange;
use crate::stream::session_epoch;
use crate::time::{Duration, Instant};
use connect::Search;
use flow::{Context, Flow, Link, Verdict};
use reads::Reads;
use syncs::Syncs;

/// A client of a group. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Client {
    config: ClientConfig,
    /// The latest instant that was handed in.
    now: Instant,
    phase: Phase,
    session: SessionId,
    search: Search,
    flow: Flow,
    syncs: Syncs,
    reads: Reads,
    close: Close,
    counters: ClientCounters,
}

#[derive(Clone, Copy, Debug, Hash)]
enum Phase {
    /// Nothing happened yet.
    New,
    /// Looking for the leader.
    Seeking,
    /// The leader serves the client.
    Served(Link),
    /// Nothing follows.
    Ended,
}

#[derive(Clone, Copy, Debug, Hash)]
enum Close {
    /// The application goes on.
    No,
    /// The application is done, but not all is answered.
    Wanted,
    /// All is answered, and the cluster is told.
    Saying { tries: u32, next_at: Instant },
}

impl Client {
    /// A client that connects at its first event. All memory is allocated here, but for the ring
    /// of replies of each further connection.
    ///
    /// # Errors
    /// The first problem of `config`; [`ClientConfig::problems`] lists them all.
    pub fn new(config: ClientConfig, now: Instant) -> Result<Self, ConfigError> {
        if let Some(problem) = config.problems().into_iter().next() {
            return Err(problem);
        }
        Ok(Self {
            search: Search::new(&config),
            flow: Flow::new(&config),
            syncs: Syncs::new(),
            reads: Reads::new(&config),
            config,
            now,
            phase: Phase::New,
            session: SessionId::NONE,
            close: Close::No,
            counters: ClientCounters::default(),
        })
    }

    /// Takes in one event and appends its actions to `actions`.
    // Inlined, so that a host that knows which event it has goes straight to its handler.
    #[inline(always)]
    pub fn step(&mut self, now: Instant, event: ClientEvent<'_>, actions: &mut ClientActions) {
        match event {
            ClientEvent::Received { sender, ref content, .. } => {
                self.receive(now, sender, content, actions);
            }
            ClientEvent::Submit { payload } => self.submit(now, payload, actions),
            ClientEvent::SubmitSafe { payload } => self.submit_safe(now, payload, actions),
            ClientEvent::Sync { position } => self.step_sync(now, position, actions),
            ClientEvent::Read { level, payload } => self.step_read(now, level, payload, actions),
            ClientEvent::Timer | ClientEvent::Flush => self.step_flush(now, actions),
            ClientEvent::Close => self.step_close(now, actions),
        }
    }

    // Each event has a function of its own, with what comes before and behind it, so that a host
    // has little at the places where it steps.

    #[inline(never)]
    fn receive(
        &mut self,
        now: Instant,
        sender: Sender,
        content: &Incoming<'_>,
        actions: &mut ClientActions,
    ) {
        if self.begin(now, false, actions) {
            self.handle_received(sender, content, actions);
            self.end_step(actions);
        }
    }

    #[inline(never)]
    fn submit(&mut self, now: Instant, payload: &[u8], actions: &mut ClientActions) {
        if self.begin(now, true, actions) {
            self.handle_submit(payload, false, actions);
            self.end_step(actions);
        }
    }

    #[inline(never)]
    fn step_flush(&mut self, now: Instant, actions: &mut ClientActions) {
        if self.begin(now, false, actions) {
            self.run_timers(actions);
            self.flush(actions);
            self.end_step(actions);
        }
    }

    #[inline(never)]
    fn step_close(&mut self, now: Instant, actions: &mut ClientActions) {
        if self.begin(now, false, actions) {
            if let Close::No = self.close {
                self.close = Close::Wanted;
            }
            self.end_step(actions);
        }
    }

    /// What comes before any event; whether the client takes it in, which `is_submit` or not.
    #[inline(always)]
    fn begin(&mut self, now: Instant, is_submit: bool, actions: &mut ClientActions) -> bool {
        self.now = self.now.max(now);
        self.is_served() || self.begin_unserved(is_submit, actions)
    }

    /// What comes behind it.
    #[inline(always)]
    fn end_step(&mut self, actions: &mut ClientActions) {
        if !matches!(self.close, Close::No) {
            self.advance_close(actions);
        }
    }

    /// What comes before any event while nobody serves the client; whether it takes the event in.
    #[inline(never)]
    fn begin_unserved(&mut self, is_submit: bool, actions: &mut ClientActions) -> bool {
        if let Phase::Ended = self.phase {
            if is_submit {
                actions.push(ClientAction::Rejected { reason: Reject::Closed });
            }
            return false;
        }
        if let Phase::New = self.phase {
            self.phase = Phase::Seeking;
            self.search.begin(self.now, self.now);
            self.ask_to_be_served(actions);
        }
        true
    }

    /// When to step with [`ClientEvent::Timer`] if nothing else happens; `None` once it has ended.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::New => self.now,
            Phase::Seeking => self.search.next_deadline(&self.config),
            Phase::Served(link) => {
                let silence = link.heard + self.config.timing.server_timeout;
                self.flow.next_deadline(&self.config, self.now).min(silence)
            }
            Phase::Ended => return None,
        };
        let phase = self.syncs.deadline(self.is_served()).map_or(phase, |at| phase.min(at));
        let phase = self.reads.deadline().map_or(phase, |at| phase.min(at));
        match self.close {
            Close::Saying { next_at, .. } => Some(phase.min(next_at)),
            Close::No | Close::Wanted => Some(phase),
        }
    }

    /// Whether a message of `bytes` bytes would be accepted now.
    #[must_use]
    pub fn can_submit(&self, bytes: usize) -> bool {
        let open = matches!(self.close, Close::No) && !self.has_ended();
        open && self.flow.refusal(&self.config, bytes).is_none()
    }

    /// The bytes of a range that an action of the last step named, in up to two slices.
    #[must_use]
    pub fn bytes(&self, stream: Stream, range: PositionRange) -> (&[u8], &[u8]) {
        self.flow.bytes(stream, range)
    }

    /// The session, once one was opened.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Messages that were accepted and not answered yet.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.flow.in_flight()
    }

    /// Whether a leader serves the client.
    #[must_use]
    pub const fn is_served(&self) -> bool {
        matches!(self.phase, Phase::Served(_))
    }

    /// Whether the client looks for a leader, and the members that answer it say that they are too
    /// few to elect one. It goes on looking: more of them may come back.
    #[must_use]
    pub fn lacks_quorum(&self) -> bool {
        matches!(self.phase, Phase::Seeking) && self.search.lacks_quorum()
    }

    /// Whether the client has ended: it does nothing any more.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// What was counted since construction.
    #[must_use]
    pub const fn counters(&self) -> &ClientCounters {
        &self.counters
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// A canonical hash of the whole state but the counters: equal states have equal hashes on
    /// every platform.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        let mut hasher = StateHasher::default();
        (&self.config, self.now, self.phase, self.session).hash(&mut hasher);
        (&self.search, &self.flow, self.close).hash(&mut hasher);
        if !self.syncs.is_empty() {
            self.syncs.hash(&mut hasher);
        }
        if !self.reads.is_empty() {
            self.reads.hash(&mut hasher);
        }
        hasher.finish()
    }

    #[inline(always)]
    fn handle_submit(&mut self, payload: &[u8], is_safe: bool, actions: &mut ClientActions) {
        if self.flow.in_flight() == 0 && self.is_served() {
            self.search.succeeded(self.now);
        }
        let taken = match self.close {
            Close::No if is_safe => self.flow.submit_safe(&self.config, payload),
            Close::No => self.flow.submit(&self.config, payload),
            Close::Wanted | Close::Saying { .. } => Err(Reject::Closed),
        };
        match taken {
            Ok(sequence) => actions.accept(sequence),
            Err(reason) => actions.push(ClientAction::Rejected { reason }),
        }
        self.with_link(actions, Flow::send_eagerly);
    }

    #[inline(always)]
    fn handle_received(
        &mut self,
        sender: Sender,
        content: &Incoming<'_>,
        actions: &mut ClientActions,
    ) {
        let believed = match (sender, content) {
            (Sender::Client { .. }, _) => false,
            (_, Incoming::Control(Message::ConnectReply { connection, outcome })) => {
                self.is_current(*connection) && self.handle_connect_reply(*outcome, actions)
            }
            (_, Incoming::Control(Message::ReadReply { number, outcome })) => {
                if !self.handle_read_reply(*number, outcome, actions) {
                    self.counters.datagrams_ignored += 1;
                }
                return; // of any member: it says nothing of the connection
            }
            (Sender::Member { member, .. }, _) => self.handle_from_member(member, content, actions),
        };
        match &mut self.phase {
            Phase::Served(link) if believed => link.heard = self.now,
            _ => self.counters.datagrams_ignored += u64::from(!believed),
        }
    }

    /// Whether an answer is about the current attempt, or about the streams that it opened.
    fn is_current(&self, connection: u64) -> bool {
        let is_epoch = matches!(self.phase, Phase::Served(link) if link.epoch == connection);
        is_epoch || connection == self.search.connection()
    }

    /// Handles what a member says; whether it leads, and it belongs to the connection.
    fn handle_from_member(
        &mut self,
        member: MemberId,
        content: &Incoming<'_>,
        actions: &mut ClientActions,
    ) -> bool {
        let Phase::Served(link) = &self.phase else { return false };
        if link.leader != member {
            return false;
        }
        if let Incoming::Control(Message::Closed { connection, session }) = content {
            let ours = *connection == link.connection && *session == self.session;
            if ours {
                self.end_session(actions);
            }
            return ours;
        }
        if let Incoming::Control(Message::SyncReply { epoch, safe }) = content {
            return self.settle_syncs(*epoch, *safe, actions);
        }
        let mut context =
            Context { config: &self.config, now: self.now, counters: &mut self.counters, actions };
        let unanswered = self.flow.in_flight();
        let verdict = self.flow.receive(&mut context, link, content);
        if self.flow.in_flight() < unanswered {
            self.search.succeeded(self.now);
            self.reads.see_reply(self.flow.replied_at);
        }
        match verdict {
            Verdict::Foreign => return false,
            Verdict::Heard => {
                self.flow.ask(&mut context, link);
                self.flow.send_eagerly(&mut context, link);
            }
            Verdict::Broken => {
                let link = *link;
                self.leave_broken(link, actions);
            }
        }
        true
    }

    /// The leader does not speak this protocol.
    #[cold]
    #[inline(never)]
    fn leave_broken(&mut self, link: Link, actions: &mut ClientActions) {
        self.counters.protocol_errors += 1;
        self.lose(link, actions);
        // Asked at once it would break the protocol at the network's pace.
        let pause = self.config.timing.connect_retry;
        self.search.refused(&self.config, self.now, pause, TriedOutcome::Lost);
    }

    /// Handles the answer to the current attempt; whether it makes sense.
    #[cold]
    #[inline(never)]
    fn handle_connect_reply(
        &mut self,
        outcome: ConnectOutcome,
        actions: &mut ClientActions,
    ) -> bool {
        let retry = self.config.timing.connect_retry;
        match (outcome, self.phase) {
            (ConnectOutcome::Open { session, .. }, Phase::Served(_)) => session == self.session,
            (ConnectOutcome::Open { session, .. }, _)
                if session == SessionId::NONE
                    || (self.session != SessionId::NONE && self.session != session) =>
            {
                self.counters.protocol_errors += 1;
                false
            }
            (ConnectOutcome::Open { .. }, _) => {
                self.open(outcome, actions);
                true
            }
            (ConnectOutcome::Redirect { leader, endpoint, .. }, phase) => {
                self.lose_if_served(phase, actions);
                if self.search.redirected(&self.config, self.now, leader, endpoint) {
                    self.counters.redirects_followed += 1;
                    self.ask_to_be_served(actions);
                }
                true
            }
            (ConnectOutcome::RetryAfter { nanos }, phase) => {
                self.lose_if_served(phase, actions);
                let outcome = TriedOutcome::NotReady;
                self.search.refused(&self.config, self.now, Duration(nanos), outcome);
                true
            }
            (ConnectOutcome::NoQuorum { nanos }, phase) => {
                self.lose_if_served(phase, actions);
                let outcome = TriedOutcome::NoQuorum;
                self.search.refused(&self.config, self.now, Duration(nanos), outcome);
                true
            }
            // Late: another answer to the same attempt opened the session.
            (ConnectOutcome::SessionsExhausted, Phase::Served(_)) => true,
            (ConnectOutcome::SessionsExhausted, _) => {
                let outcome = TriedOutcome::SessionsExhausted;
                self.search.refused(&self.config, self.now, retry, outcome);
                true
            }
            (ConnectOutcome::MessageTooLarge { limit }, _) => {
                let unanswered = self.flow.unanswered();
                self.end(Err(ClientError::MessageTooLarge { limit, unanswered }), actions);
                true
            }
            (ConnectOutcome::SessionLost { session }, phase) => {
                self.handle_session_lost(session, phase, actions)
            }
        }
    }

    fn handle_session_lost(
        &mut self,
        session: SessionId,
        phase: Phase,
        actions: &mut ClientActions,
    ) -> bool {
        let is_ours = session == self.session && session != SessionId::NONE;
        let knows_none = self.session == SessionId::NONE && !matches!(phase, Phase::Served(_));
        if knows_none && session != SessionId::NONE {
            let key = self.config.key;
            self.end(Err(ClientError::KeyInUse { key, session }), actions);
            return true;
        }
        match phase {
            _ if !is_ours => {}
            // Late: an answer to a copy of the connect that opened the connection. Asking under a
            // new number tells.
            Phase::Served(link) => self.lose(link, actions),
            _ => self.end_session(actions),
        }
        is_ours
    }

    fn open(&mut self, outcome: ConnectOutcome, actions: &mut ClientActions) {
        let ConnectOutcome::Open { session, leader, term, limit } = outcome else { return };
        self.session = session;
        self.search.opened(&self.config, leader);
        let link = Link {
            endpoint: self.search.endpoint(),
            leader,
            connection: self.search.connection(),
            epoch: session_epoch(self.search.connection(), session),
            session,
            opened: self.now,
            heard: self.now,
        };
        self.flow.open(&self.config, &link, limit);
        self.phase = Phase::Served(link);
        self.syncs.begin(self.now);
        actions.push(ClientAction::Connected { session, leader, term });
        self.with_link(actions, Flow::send_eagerly);
    }

    fn lose_if_served(&mut self, phase: Phase, actions: &mut ClientActions) {
        if let Phase::Served(link) = phase {
            self.lose(link, actions);
        }
    }

    /// The leader serves the client no more.
    #[cold]
    #[inline(never)]
    fn lose(&mut self, link: Link, actions: &mut ClientActions) {
        self.counters.reconnects += 1;
        crate::mark::reached(crate::mark::CLIENT_LOSES_LEADER);
        self.flow.close();
        if self.flow.in_flight() == 0 {
            self.search.succeeded(self.now);
        }
        self.search.resume(&self.config, self.now, link.opened);
        self.phase = Phase::Seeking;
        actions.push(ClientAction::Disconnected);
    }

    fn ask_to_be_served(&mut self, actions: &mut ClientActions) {
        if self.search.poll(&self.config, self.now) {
            let message = Message::Connect {
                connection: self.search.connection(),
                session: self.session,
                ingress_start: self.flow.ingress_start(),
                unanswered: self.flow.lacks_from(),
            };
            actions.push(ClientAction::Send { to: self.search.endpoint(), message });
        }
    }

    fn run_timers(&mut self, actions: &mut ClientActions) {
        if let Phase::Served(link) = self.phase
            && self.now.since(link.heard) >= self.config.timing.server_timeout
        {
            self.lose(link, actions);
        }
        if let Phase::Served(link) = &self.phase {
            let (config, counters) = (&self.config, &mut self.counters);
            let mut context = Context { config, now: self.now, counters, actions };
            self.flow.say_newest(&mut context, link);
            self.flow.ask(&mut context, link);
        } else {
            self.seek(actions);
        }
        if !self.syncs.is_empty() {
            self.serve_syncs(actions);
        }
        if !self.reads.is_empty() {
            self.serve_reads(actions);
        }
    }

    #[inline(never)]
    fn seek(&mut self, actions: &mut ClientActions) {
        match self.phase {
            Phase::Seeking if self.search.is_over(&self.config, self.now) => {
                let tried = self.search.tried().to_vec();
                let error = match self.search.lacks_quorum() {
                    true => ClientError::NoQuorum { tried },
                    false => ClientError::NotServed { tried },
                };
                self.end(Err(error), actions);
            }
            Phase::Seeking => self.ask_to_be_served(actions),
            Phase::Served(_) | Phase::New | Phase::Ended => {}
        }
    }

    fn flush(&mut self, actions: &mut ClientActions) {
        self.with_link(actions, Flow::flush);
    }

    /// Lets the streams work, if there is a connection.
    fn with_link(
        &mut self,
        actions: &mut ClientActions,
        work: impl FnOnce(&mut Flow, &mut Context<'_>, &Link),
    ) {
        if let Phase::Served(link) = &self.phase {
            let (config, counters) = (&self.config, &mut self.counters);
            let mut context = Context { config, now: self.now, counters, actions };
            work(&mut self.flow, &mut context, link);
        }
    }
}
