//! The leader's side of its clients: who is connected. `ingress` has what comes in, `egress` what
//! goes out.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::deadlines::Deadlines;
use super::table::Table;
use super::{Handled, Member, State};
use crate::action::{Action, Actions, Destination};
use crate::identity::{ClientKey, Endpoint, GroupTag, SessionId};
use crate::message::{ConnectOutcome, Incoming, Message, Stream};
use crate::position::{Position, PositionRange};
use crate::stream::{Inlet, NakTiming, Outlet, egress_tag, ingress_tag, session_epoch};
use crate::time::{Duration, Instant};

/// Connections by client. They are large, and a client that comes or goes moves others.
pub(super) type ByClient = Table<ClientKey, Box<Connection>>;

/// All clients of this leader. Empty while it does not lead.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Connections {
    pub(super) by_client: ByClient,
    /// Those that the next flush looks at: something came in, was applied, or is due.
    pub(super) awake: Vec<ClientKey>,
    /// When others are to be looked at.
    deadlines: Deadlines,
    /// Clients whose session is being opened in the log.
    pub(super) opening: BTreeMap<ClientKey, Opening>,
    /// Clients whose session is not known here: they are told so once it is certain that this
    /// member still leads.
    doubts: BTreeMap<ClientKey, Doubt>,
    /// Those that the flush under way looks at.
    turn: Vec<ClientKey>,
    /// Whose turn it is to be admitted first.
    next_client: ClientKey,
    /// A reply to one of them waits until its message is safe.
    pub(super) any_awaits_safe: bool,
}

/// What a flush looks at, apart from the state that it changes meanwhile.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) turn: Vec<ClientKey>,
    pub(super) by_client: ByClient,
}

/// A connect that waits for its session.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Opening {
    pub(super) number: u64,
    pub(super) endpoint: Endpoint,
    ingress_start: Position,
    unanswered: u64,
}

/// A connect that is to be refused for good, if this member still leads: one that was deposed and
/// does not know it yet has not heard of the newest sessions and messages (compare E98, E100).
#[derive(Clone, Copy, Debug, Hash)]
struct Doubt {
    opening: Opening,
    session: SessionId,
    /// The session has messages that are not this client's, though its key is the same.
    is_foreign: bool,
    /// The heartbeat round that a quorum has to answer.
    round: u64,
    /// What has to be applied.
    commit: Position,
}

/// One client's connection: a pair of streams under one number.
#[derive(Clone, Debug, Hash)]
pub(super) struct Connection {
    pub(super) number: u64,
    /// The epoch of its streams.
    pub(super) epoch: u64,
    pub(super) session: SessionId,
    pub(super) endpoint: Endpoint,
    pub(super) inlet: Inlet,
    pub(super) outlet: Outlet,
    /// The next message whose reply goes out.
    pub(super) next_reply: u64,
    /// Where the replies end that went out and that the client has not consumed yet.
    pub(super) unreleased: VecDeque<Position>,
    /// Whole messages wait for room, or for their turn.
    pub(super) has_waiting: bool,
    pub(super) is_status_due: bool,
    /// What the client was last told that was consumed.
    pub(super) told_consumed: Position,
    /// When to say again how far the replies go, until the client has them all (E86).
    pub(super) newest_at: Option<Instant>,
    pub(super) newest_pause: Duration,
    /// The message whose reply is next, and waits until that is safe: those behind it wait, too.
    pub(super) awaits_safe: Option<Position>,
    /// The deadline under which it is listed, not behind its own.
    listed_at: Option<Instant>,
    /// Whether the next flush looks at it.
    is_awake: bool,
}

impl Connections {
    pub(super) fn len(&self) -> usize {
        self.by_client.len()
    }

    /// Connects that wait for their session, and those in doubt.
    pub(super) fn waiting(&self) -> [usize; 2] {
        [self.opening.len(), self.doubts.len()]
    }

    /// Whether nothing of any client is known: neither a connection nor a connect that waits, nor a
    /// deadline that one has left behind.
    pub(super) fn knows_nobody(&self) -> bool {
        self.by_client.is_empty()
            && self.opening.is_empty()
            && self.doubts.is_empty()
            && self.deadlines.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn insert(&mut self, client: ClientKey, connection: Connection) {
        self.by_client.insert(client, Box::new(connection));
        self.wake(client);
    }

    pub(super) fn remove(&mut self, client: ClientKey) -> Option<Box<Connection>> {
        // Where it is listed, it is passed over.
        (!crate::mutant::is(crate::mutant::CONNECTIONS_STAY))
            .then(|| self.by_client.remove(client))?
    }

    /// The next flush looks at this client's connection, if there is one.
    pub(super) fn wake(&mut self, client: ClientKey) {
        if let Some(connection) = self.by_client.get_mut(client) {
            connection.wake(client, &mut self.awake);
        }
    }

    /// When one is to be looked at that is not awake.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first()
    }

    /// Whether nobody is awake or due.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.awake.is_empty() && self.deadline().is_none_or(|at| at > now)
    }

    /// Takes those who are awake or due into `turn`, in the order of their turns; whose turn is
    /// first changes each time.
    pub(super) fn begin_flush(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.wake_due(now);
        }
        core::mem::swap(&mut self.turn, &mut self.awake);
        self.awake.clear();
        if self.turn.len() > 1 {
            self.order_turn();
        }
        if let Some(first) = self.turn.first() {
            self.next_client = ClientKey(first.0.wrapping_add(1));
        }
    }

    /// Wakes those whose deadline has passed.
    #[inline(never)]
    fn wake_due(&mut self, now: Instant) {
        while let Some((at, client)) = self.deadlines.pop_due(now) {
            if let Some(connection) = self.by_client.get_mut(client)
                && connection.listed_at == Some(at)
            {
                connection.listed_at = None;
                self.wake(client);
            }
        }
    }

    /// The order of their turns.
    #[inline(never)]
    fn order_turn(&mut self) {
        // One that was removed while awake, and came back, is there twice.
        self.turn.sort_unstable();
        self.turn.dedup();
        let first = self.turn.partition_point(|&client| client < self.next_client);
        self.turn.rotate_left(first);
    }

    /// Lends those that the flush under way looks at, and all connections, to be given back.
    #[inline]
    pub(super) fn lend(&mut self) -> Lent {
        let Self { turn, by_client, .. } = self;
        Lent { turn: core::mem::take(turn), by_client: core::mem::take(by_client) }
    }

    /// Takes back what [`Connections::lend`] has lent: everybody was looked at.
    #[inline]
    pub(super) fn give_back(&mut self, lent: Lent) {
        let Lent { mut turn, by_client } = lent;
        turn.clear();
        (self.turn, self.by_client) = (turn, by_client);
    }

    /// A flush has looked at a connection, which stays awake if it is not done. Returns its
    /// deadline if it is to be listed under that.
    pub(super) fn settle(
        &mut self,
        client: ClientKey,
        connection: &mut Connection,
        timing: NakTiming,
    ) -> Option<Instant> {
        connection.is_awake = false;
        if connection.has_waiting || connection.outlet.has_unsent() {
            connection.wake(client, &mut self.awake);
        }
        let deadline = connection.deadline(timing);
        if let (Some(listed), Some(at)) = (connection.listed_at, deadline)
            && listed <= at
        {
            // It is looked at before, and listed anew then: each reply moves the deadline on.
            return None;
        }
        connection.listed_at = deadline;
        deadline
    }

    /// Lists a connection under its deadline.
    #[inline(never)]
    pub(super) fn list(&mut self, at: Instant, client: ClientKey, by_client: &ByClient) {
        let holds =
            |at, client| by_client.get(client).is_some_and(|known| known.listed_at == Some(at));
        self.deadlines.add(at, client, by_client.len(), holds);
    }

    pub(super) fn egress_bytes(&self, client: ClientKey, range: PositionRange) -> (&[u8], &[u8]) {
        self.by_client.get(client).map_or((&[], &[]), |connection| connection.outlet.slices(range))
    }
}

impl Connection {
    fn new(opening: &Opening, session: SessionId, client: ClientKey, limits: &Sizes) -> Self {
        let inlet = Inlet::new(
            ingress_tag(limits.tag, client),
            opening.ingress_start,
            limits.window_bytes,
            limits.ranges_max,
        );
        let tag = egress_tag(limits.tag, client, opening.number);
        let mut outlet = Outlet::new(tag, Position::ZERO, limits.window_bytes);
        // A client with a smaller ring drops what does not fit, and then says its limit.
        outlet.allow(Position(limits.window_bytes));
        Self {
            number: opening.number,
            epoch: session_epoch(opening.number, session),
            session,
            endpoint: opening.endpoint,
            inlet,
            outlet,
            next_reply: opening.unanswered,
            unreleased: VecDeque::new(),
            has_waiting: false,
            is_status_due: false,
            told_consumed: opening.ingress_start,
            newest_at: None,
            newest_pause: Duration::ZERO,
            awaits_safe: None,
            listed_at: None,
            is_awake: false,
        }
    }

    /// The next flush looks at it, which is that of `client`.
    pub(super) fn wake(&mut self, client: ClientKey, awake: &mut Vec<ClientKey>) {
        if !core::mem::replace(&mut self.is_awake, true) {
            awake.push(client);
        }
    }

    /// Whether there is nothing to be sent: no bytes, no position, no request.
    #[inline]
    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        let is_announced = match self.newest_at {
            Some(at) => at > now && self.outlet.start() < self.outlet.sent(),
            None => self.outlet.start() >= self.outlet.sent(),
        };
        is_announced && !self.is_status_due && !self.outlet.has_unsent() && self.inlet.is_at_rest()
    }

    /// The first message whose reply the client has not consumed, as far as is known.
    pub(super) fn oldest_unreleased(&self) -> u64 {
        self.next_reply - self.unreleased.len() as u64
    }

    /// The messages up to `end` were taken out; the client is told of it at least when they are
    /// `untold_max` bytes.
    pub(super) fn consume(&mut self, end: Position, untold_max: u64) {
        self.inlet.consume(end);
        self.is_status_due |=
            end.since(self.told_consumed) >= untold_max && end > self.told_consumed;
    }

    /// The client has consumed its replies up to `end`.
    pub(super) fn release(&mut self, end: Position) {
        self.outlet.release(end);
        let start = self.outlet.start();
        while self.unreleased.front().is_some_and(|&reply_end| reply_end <= start) {
            self.unreleased.pop_front();
        }
    }

    fn deadline(&self, timing: NakTiming) -> Option<Instant> {
        [self.inlet.next_deadline(timing), self.newest_at].into_iter().flatten().min()
    }
}

/// What a connection is made with.
struct Sizes {
    tag: GroupTag,
    window_bytes: u64,
    ranges_max: usize,
}

impl Member {
    pub(super) fn handle_client(
        &mut self,
        client: ClientKey,
        source: Endpoint,
        content: &Incoming<'_>,
        actions: &mut Actions,
    ) -> Handled {
        let Some(number) = connection_number(client, content) else {
            self.handle_unconnected(source, content, actions);
            return Ok(());
        };
        if !self.is_serving() && !crate::mutant::is(crate::mutant::FOLLOWERS_ANSWER) {
            self.refer(source, number, actions);
            return Ok(());
        }
        if let &Incoming::Control(Message::Connect { session, ingress_start, unanswered, .. }) =
            content
        {
            let opening = Opening { number, endpoint: source, ingress_start, unanswered };
            self.handle_connect(client, session, opening, actions);
            return Ok(());
        }
        if let &Incoming::Control(Message::Close { session, .. }) = content {
            self.handle_close(client, session, number, source, actions);
            return Ok(());
        }
        let Connections { by_client, awake, .. } = &mut self.state.connections;
        let Some(connection) = by_client.get_mut(client).filter(|known| known.epoch == number)
        else {
            // Not served here: it has to connect (again).
            self.refer(source, number, actions);
            return Ok(());
        };
        connection.endpoint = source;
        connection.wake(client, awake);
        if let Some(leading) = &mut self.state.leading {
            leading.heard.insert(connection.session, self.state.now);
        }
        self.state.flush_wanted = true;
        self.handle_stream(client, content, actions);
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn handle_connect(
        &mut self,
        client: ClientKey,
        session: SessionId,
        opening: Opening,
        actions: &mut Actions,
    ) {
        if !opening.ingress_start.0.is_multiple_of(crate::frame::ALIGNMENT) {
            self.counters.datagrams_ignored += 1;
            return;
        }
        let known = self.state.sessions.of_client(client);
        let is_used = known.is_some_and(|known| has_messages(&self.state, known));
        let is_foreign = session == SessionId::NONE && is_used;
        if let Some(known) = self.state.connections.by_client.get_mut(client) {
            // Who has sent messages has long had the answer: it is late, or of a former life of the
            // client, which asks again under another number.
            if opening.number < known.number || opening.number == known.number && is_foreign {
                self.counters.datagrams_ignored += 1;
                return;
            }
            if opening.number == known.number {
                known.endpoint = opening.endpoint;
                self.confirm(client, actions);
                return;
            }
        }
        match known {
            // Only a client that has not been told of its session sends no number of it, and that
            // one has sent no message yet: this is another life of it, whose messages would be
            // taken for those of the first (E93).
            Some(known) if is_foreign => {
                self.doubt(client, known, true, opening);
            }
            Some(known) if session == SessionId::NONE || session == known => {
                self.resume(client, known, &opening, actions);
            }
            _ if session != SessionId::NONE => self.doubt(client, session, false, opening),
            _ => self.open_session(client, opening, actions),
        }
    }

    /// Goes on with a session: the new connection takes the place of the old one.
    pub(super) fn resume(
        &mut self,
        client: ClientKey,
        session: SessionId,
        opening: &Opening,
        actions: &mut Actions,
    ) {
        let resumable =
            |known: &super::sessions::Session| known.can_resume_from(opening.unanswered);
        if !self.state.sessions.get(session).is_some_and(resumable) {
            self.doubt(client, session, false, *opening);
            return;
        }
        self.state.connections.doubts.remove(&client);
        crate::mark::reached(crate::mark::SESSION_RESUMED);
        let applied = self.state.sessions.get(session).map_or(0, |known| known.last_applied);
        self.counters.replies_resent += (applied + 1).saturating_sub(opening.unanswered);
        let sizes = Sizes {
            tag: self.state.tag,
            window_bytes: self.config.limits.session_window_bytes,
            ranges_max: self.config.limits.coverage_ranges_max,
        };
        let connection = Connection::new(opening, session, client, &sizes);
        self.state.connections.insert(client, connection);
        if let Some(leading) = &mut self.state.leading {
            leading.heard.insert(session, self.state.now);
        }
        self.state.flush_wanted = true;
        self.confirm(client, actions);
    }

    /// Holds back that a session is lost until a quorum has answered a heartbeat that is sent from
    /// now on, as for a linearizable read (Raft thesis §6.4).
    fn doubt(&mut self, client: ClientKey, session: SessionId, is_foreign: bool, opening: Opening) {
        let Some(leading) = &self.state.leading else { return };
        let doubts = &mut self.state.connections.doubts;
        let is_new = doubts.get(&client).is_none_or(|old| old.opening.number < opening.number);
        if is_new && doubts.len() < self.config.limits.sessions_max {
            let round = leading.next_round();
            let commit = self.state.commit;
            doubts.insert(client, Doubt { opening, session, is_foreign, round, commit });
        }
    }

    /// Answers the doubts that are certain by now.
    #[inline(always)]
    pub(super) fn settle_doubts(&mut self, actions: &mut Actions) {
        if !self.state.connections.doubts.is_empty() {
            self.settle_some_doubts(actions);
        }
    }

    #[cold]
    fn settle_some_doubts(&mut self, actions: &mut Actions) {
        let Some(leading) = &self.state.leading else { return };
        let (answered, applied) = (
            leading.answered_round(self.membership(), self.state.life.member),
            self.state.applier.applied,
        );
        let is_certain = |doubt: &Doubt| doubt.round <= answered && doubt.commit <= applied;
        let sessions = &self.state.sessions;
        self.state.connections.doubts.retain(|&client, doubt| {
            if !is_certain(doubt) {
                return true;
            }
            let Doubt { opening, session, is_foreign, .. } = *doubt;
            let resumable = |known: &super::sessions::Session| {
                known.client == client && known.can_resume_from(opening.unanswered)
            };
            // If it is known by now, or has ended for another to begin, the client's next connect
            // finds that.
            let is_lost = match is_foreign {
                true => sessions.get(session).is_some(),
                false => !sessions.get(session).is_some_and(resumable),
            };
            if is_lost {
                let outcome = ConnectOutcome::SessionLost { session };
                reply_connect(opening.endpoint, opening.number, outcome, actions);
            }
            false
        });
    }

    fn confirm(&self, client: ClientKey, actions: &mut Actions) {
        let Some(connection) = self.state.connections.by_client.get(client) else { return };
        let outcome = ConnectOutcome::Open {
            session: connection.session,
            leader: self.state.life.member,
            term: self.state.term,
            limit: connection.inlet.limit(),
        };
        reply_connect(connection.endpoint, connection.number, outcome, actions);
    }

    /// What a connected client says about its streams.
    fn handle_stream(&mut self, client: ClientKey, content: &Incoming<'_>, actions: &mut Actions) {
        let connections = &mut self.state.connections.by_client;
        let Some(connection) = connections.get_mut(client) else { return };
        match *content {
            Incoming::Data { position, slice, .. } => {
                connection.inlet.receive(self.state.now, position, slice);
            }
            Incoming::Control(ref message) => self.handle_stream_control(client, message, actions),
        }
    }
}

/// Whether a message of this session was appended or applied.
fn has_messages(state: &State, session: SessionId) -> bool {
    let applied = state.sessions.get(session).map_or(0, |known| known.last_applied);
    let appended = state.leading.as_ref().and_then(|leading| leading.appended.get(session));
    applied > 0 || appended.is_some_and(|sequence| *sequence > 0)
}

/// The connection that a client's datagram is about, or the epoch of its streams; `None` if clients
/// do not say such things.
fn connection_number(client: ClientKey, content: &Incoming<'_>) -> Option<u64> {
    match content {
        Incoming::Data { stream: Stream::Ingress(key), epoch, .. } if *key == client => {
            Some(*epoch)
        }
        Incoming::Control(
            Message::Connect { connection, .. } | Message::Close { connection, .. },
        ) => Some(*connection),
        Incoming::Control(Message::StreamNewest {
            stream: Stream::Ingress(key), epoch, ..
        })
        | Incoming::Control(Message::StreamStatus { stream: Stream::Egress(key), epoch, .. })
            if *key == client =>
        {
            Some(*epoch)
        }
        Incoming::Control(Message::Nak { stream: Stream::Egress(key), ranges })
            if *key == client =>
        {
            ranges.first().map(|asked| asked.epoch)
        }
        Incoming::Control(Message::SyncRequest { epoch }) => Some(*epoch),
        _ => None,
    }
}

pub(super) fn reply_connect(
    to: Endpoint,
    connection: u64,
    outcome: ConnectOutcome,
    actions: &mut Actions,
) {
    let message = Message::ConnectReply { connection, outcome };
    actions.push(Action::Send { to: Destination::Client(to), message });
}
