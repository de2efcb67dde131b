//! The leader's side of its clients: who is connected, what came in, what goes out.

use alloc::collections::BTreeMap;

use super::{Handled, Member};
use crate::action::{Action, Actions, Destination, Source};
use crate::frame::{Body, FrameError, SessionCloseReason, frame_bytes};
use crate::identity::{ClientKey, Endpoint, GroupTag, SessionId};
use crate::message::{ConnectOutcome, EpochRange, Incoming, Message, NakRanges, Stream};
use crate::mutant;
use crate::position::{Position, PositionRange};
use crate::stream::{
    Inlet, NakTiming, Outlet, StreamFrame, egress_tag, ingress_tag, session_epoch,
};
use crate::time::{Duration, Instant};

/// Messages of one client admitted in one flush, at most; the others get their turn then.
const ADMITTED_PER_FLUSH_MAX: usize = 256;
/// Runs to one client in one flush, at most.
const RUNS_PER_FLUSH_MAX: usize = 16;

/// All clients of this leader. Empty while it does not lead.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Connections {
    by_client: BTreeMap<ClientKey, Connection>,
    /// Clients whose session is being opened in the log.
    opening: BTreeMap<ClientKey, Opening>,
    /// Clients whose session is not known here: they are told so once it is certain that this
    /// member still leads.
    doubts: BTreeMap<ClientKey, Doubt>,
    /// Whose turn it is to be admitted first.
    next_client: ClientKey,
}

/// A connect that waits for its session.
#[derive(Clone, Copy, Debug, Hash)]
struct Opening {
    number: u64,
    endpoint: Endpoint,
    ingress_start: Position,
    unanswered: u64,
}

/// A connect that is to be refused for good, if this member still leads: one that was deposed and
/// does not know it yet has not heard of the newest sessions and messages (compare E98, E100).
#[derive(Clone, Copy, Debug, Hash)]
struct Doubt {
    opening: Opening,
    session: SessionId,
    /// The heartbeat round that a quorum has to answer.
    round: u64,
    /// What has to be applied.
    commit: Position,
}

/// One client's connection: a pair of streams under one number.
#[derive(Clone, Debug, Hash)]
struct Connection {
    number: u64,
    /// The epoch of its streams.
    epoch: u64,
    session: SessionId,
    endpoint: Endpoint,
    inlet: Inlet,
    outlet: Outlet,
    /// The next message whose reply goes out.
    next_reply: u64,
    is_status_due: bool,
    /// What the client was last told that was consumed.
    told_consumed: Position,
    /// When to say again how far the replies go, until the client has them all (E86).
    newest_at: Option<Instant>,
    newest_pause: Duration,
}

impl Connections {
    pub(super) fn len(&self) -> usize {
        self.by_client.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn egress_bytes(&self, client: ClientKey, range: PositionRange) -> (&[u8], &[u8]) {
        self.by_client.get(&client).map_or((&[], &[]), |connection| connection.outlet.slices(range))
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
        // A client with a smaller ring drops what does not fit, and says its limit with its first
        // status.
        outlet.allow(Position(limits.window_bytes));
        Self {
            number: opening.number,
            epoch: session_epoch(opening.number, session),
            session,
            endpoint: opening.endpoint,
            inlet,
            outlet,
            next_reply: opening.unanswered,
            is_status_due: false,
            told_consumed: opening.ingress_start,
            newest_at: None,
            newest_pause: Duration::ZERO,
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
        content: Incoming<'_>,
        actions: &mut Actions,
    ) -> Handled {
        let Some(number) = connection_number(client, &content) else {
            self.counters.datagrams_ignored += 1;
            return Ok(());
        };
        if !self.is_serving() {
            self.refer(source, number, actions);
            return Ok(());
        }
        if let Incoming::Control(Message::Connect { session, ingress_start, unanswered, .. }) =
            content
        {
            let opening = Opening { number, endpoint: source, ingress_start, unanswered };
            self.handle_connect(client, session, opening, actions);
            return Ok(());
        }
        if let Incoming::Control(Message::Close { session, .. }) = content {
            self.handle_close(client, session, number, source, actions);
            return Ok(());
        }
        let connections = &mut self.state.connections.by_client;
        let Some(connection) = connections.get_mut(&client).filter(|known| known.epoch == number)
        else {
            // Not served here: it has to connect (again).
            self.refer(source, number, actions);
            return Ok(());
        };
        connection.endpoint = source;
        let session = connection.session;
        if let Some(leading) = &mut self.state.leading {
            leading.heard.insert(session, self.state.now);
        }
        self.state.flush_wanted = true;
        self.handle_stream(client, content, actions);
        Ok(())
    }

    /// Tells a client where to go.
    fn refer(&self, to: Endpoint, connection: u64, actions: &mut Actions) {
        let own = self.state.life.member;
        let outcome = match self.state.leader {
            Some(leader) if leader != own => ConnectOutcome::Redirect {
                leader,
                term: self.state.term,
                endpoint: self.endpoint_of(leader),
            },
            _ => ConnectOutcome::RetryAfter { nanos: self.config.timing.heartbeat_interval.0 },
        };
        reply_connect(to, connection, outcome, actions);
    }

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
        if let Some(known) = self.state.connections.by_client.get_mut(&client) {
            if opening.number < known.number {
                self.counters.datagrams_ignored += 1;
                return;
            }
            if opening.number == known.number {
                known.endpoint = opening.endpoint;
                self.confirm(client, actions);
                return;
            }
        }
        match self.state.sessions.of_client(client) {
            Some(known) if session == SessionId::NONE || session == known => {
                self.resume(client, known, &opening, actions);
            }
            _ if session != SessionId::NONE => self.doubt(client, session, opening),
            _ => self.open_session(client, opening, actions),
        }
    }

    /// Goes on with a session: the new connection takes the place of the old one.
    fn resume(
        &mut self,
        client: ClientKey,
        session: SessionId,
        opening: &Opening,
        actions: &mut Actions,
    ) {
        let resumable =
            |known: &super::sessions::Session| known.can_resume_from(opening.unanswered);
        if !self.state.sessions.get(session).is_some_and(resumable) {
            self.doubt(client, session, *opening);
            return;
        }
        self.state.connections.doubts.remove(&client);
        let applied = self.state.sessions.get(session).map_or(0, |known| known.last_applied);
        self.counters.replies_resent += (applied + 1).saturating_sub(opening.unanswered);
        let sizes = Sizes {
            tag: self.state.tag,
            window_bytes: self.config.limits.session_window_bytes,
            ranges_max: self.config.limits.coverage_ranges_max,
        };
        let connection = Connection::new(opening, session, client, &sizes);
        self.state.connections.by_client.insert(client, connection);
        if let Some(leading) = &mut self.state.leading {
            leading.heard.insert(session, self.state.now);
        }
        self.state.flush_wanted = true;
        self.confirm(client, actions);
    }

    /// Holds back that a session is lost until a quorum has answered a heartbeat that is sent from
    /// now on, as for a linearizable read (Raft thesis §6.4).
    fn doubt(&mut self, client: ClientKey, session: SessionId, opening: Opening) {
        let Some(leading) = &self.state.leading else { return };
        let doubts = &mut self.state.connections.doubts;
        let is_new = doubts.get(&client).is_none_or(|old| old.opening.number < opening.number);
        if is_new && doubts.len() < self.config.limits.sessions_max {
            let round = leading.next_round();
            let commit = self.state.commit;
            doubts.insert(client, Doubt { opening, session, round, commit });
        }
    }

    /// Answers the doubts that are certain by now.
    pub(super) fn settle_doubts(&mut self, actions: &mut Actions) {
        if self.state.connections.doubts.is_empty() {
            return;
        }
        let Some(leading) = &self.state.leading else { return };
        let (answered, applied) = (leading.answered_round(), self.state.applier.applied);
        let is_certain = |doubt: &Doubt| doubt.round <= answered && doubt.commit <= applied;
        let sessions = &self.state.sessions;
        self.state.connections.doubts.retain(|&client, doubt| {
            if !is_certain(doubt) {
                return true;
            }
            let Doubt { opening, session, .. } = *doubt;
            let resumable = |known: &super::sessions::Session| {
                known.client == client && known.can_resume_from(opening.unanswered)
            };
            // If it is known by now, the client's next connect finds it.
            if !sessions.get(session).is_some_and(resumable) {
                let outcome = ConnectOutcome::SessionLost { session };
                reply_connect(opening.endpoint, opening.number, outcome, actions);
            }
            false
        });
    }

    fn confirm(&self, client: ClientKey, actions: &mut Actions) {
        let Some(connection) = self.state.connections.by_client.get(&client) else { return };
        let outcome = ConnectOutcome::Open {
            session: connection.session,
            leader: self.state.life.member,
            term: self.state.term,
            limit: connection.inlet.limit(),
        };
        reply_connect(connection.endpoint, connection.number, outcome, actions);
    }

    /// Opens a session through the log, once for each client however often it asks.
    fn open_session(&mut self, client: ClientKey, opening: Opening, actions: &mut Actions) {
        let connections = &mut self.state.connections;
        if let Some(known) = connections.opening.get_mut(&client) {
            if opening.number >= known.number {
                *known = opening;
            }
            return;
        }
        let sessions = self.state.sessions.len() + connections.opening.len();
        if sessions >= self.config.limits.sessions_max {
            let outcome = ConnectOutcome::SessionsExhausted;
            reply_connect(opening.endpoint, opening.number, outcome, actions);
            return;
        }
        let body = Body::SessionOpen { time: self.cluster_time(), client };
        if frame_bytes(&body, 0) > self.append_room() {
            self.counters.back_pressure += 1;
            let nanos = self.config.timing.heartbeat_interval.0;
            let outcome = ConnectOutcome::RetryAfter { nanos };
            reply_connect(opening.endpoint, opening.number, outcome, actions);
            return;
        }
        self.state.connections.opening.insert(client, opening);
        self.append_frame(&body, &[]);
    }

    /// A session-opening frame of `client` was applied.
    pub(super) fn note_session_opened(&mut self, client: ClientKey, actions: &mut Actions) {
        let Some(opening) = self.state.connections.opening.remove(&client) else { return };
        match self.state.sessions.of_client(client) {
            Some(session) => self.resume(client, session, &opening, actions),
            None => {
                let outcome = ConnectOutcome::SessionsExhausted;
                reply_connect(opening.endpoint, opening.number, outcome, actions);
            }
        }
    }

    fn handle_close(
        &mut self,
        client: ClientKey,
        session: SessionId,
        connection: u64,
        source: Endpoint,
        actions: &mut Actions,
    ) {
        if self.state.sessions.of_client(client) != Some(session) {
            let message = Message::Closed { connection, session };
            actions.push(Action::Send { to: Destination::Client(source), message });
            return;
        }
        self.close_session(session, SessionCloseReason::Client);
    }

    /// Closes a session through the log, once; if there is no room it is asked for again.
    fn close_session(&mut self, session: SessionId, reason: SessionCloseReason) {
        let body = Body::SessionClose { session, time: self.cluster_time(), reason };
        let has_room = frame_bytes(&body, 0) <= self.append_room();
        let Some(leading) = &mut self.state.leading else { return };
        if has_room && !leading.closing.contains(&session) {
            leading.closing.push(session);
            self.append_frame(&body, &[]);
        }
    }

    pub(super) fn close_silent_sessions(&mut self) {
        if !self.is_serving() {
            return;
        }
        let (now, timeout) = (self.state.now, self.config.timing.session_timeout);
        let Some(leading) = &mut self.state.leading else { return };
        let mut silent = alloc::vec::Vec::new();
        for session in self.state.sessions.ids() {
            // A new leader gives every client the whole time-out to find it (rule 16).
            let heard = *leading.heard.entry(session).or_insert(now);
            if now.since(heard) >= timeout {
                silent.push(session);
            }
        }
        for session in silent {
            self.close_session(session, SessionCloseReason::TimedOut);
        }
    }

    /// A session-closing frame was applied.
    pub(super) fn note_session_closed(
        &mut self,
        session: SessionId,
        client: ClientKey,
        actions: &mut Actions,
    ) {
        let Some(leading) = &mut self.state.leading else { return };
        leading.closing.retain(|&closing| closing != session);
        leading.heard.remove(&session);
        leading.appended.remove(&session);
        if let Some(closed) = self.state.connections.by_client.remove(&client) {
            let message = Message::Closed { connection: closed.number, session };
            actions.push(Action::Send { to: Destination::Client(closed.endpoint), message });
        }
    }

    /// What a connected client says about its streams.
    fn handle_stream(&mut self, client: ClientKey, content: Incoming<'_>, actions: &mut Actions) {
        let (now, timing) = (self.state.now, self.repair_timing());
        let connections = &mut self.state.connections.by_client;
        let Some(connection) = connections.get_mut(&client) else { return };
        match content {
            Incoming::Data { position, slice, .. } => {
                connection.inlet.receive(now, position, slice);
            }
            Incoming::Control(Message::StreamNewest { newest, .. }) => {
                connection.inlet.hear_newest(newest);
                connection.is_status_due = true;
            }
            Incoming::Control(Message::StreamStatus { consumed, limit, .. }) => {
                connection.outlet.release(consumed);
                connection.outlet.allow(limit);
            }
            Incoming::Control(Message::Nak { ranges, .. }) => {
                let to = Destination::Client(connection.endpoint);
                for asked in &ranges {
                    for range in connection.outlet.repair(now, timing, to, asked.range) {
                        let run = (client, connection.epoch, range);
                        send_egress(to, run, actions);
                    }
                }
            }
            Incoming::Control(_) => self.counters.datagrams_ignored += 1,
        }
    }

    /// Appends what clients sent, as far as there is room. Whose turn is first changes each time.
    pub(super) fn admit_ingress(&mut self, actions: &mut Actions) {
        if !self.is_serving() {
            return;
        }
        let mut connections = core::mem::take(&mut self.state.connections);
        let turn = connections.next_client;
        let mut broken = None;
        let mut admit = |(&client, connection): (&ClientKey, &mut Connection)| {
            if self.admit_from(connection).is_err() {
                broken = Some(client);
            }
        };
        connections.by_client.range_mut(turn..).for_each(&mut admit);
        connections.by_client.range_mut(..turn).for_each(&mut admit);
        let following = connections.by_client.keys().find(|&&client| client > turn);
        connections.next_client = following.copied().unwrap_or_default();
        let gone = broken.and_then(|client| connections.by_client.remove(&client));
        self.state.connections = connections;
        if let Some(gone) = gone {
            // It does not keep to the rules: it has to begin anew.
            self.refer(gone.endpoint, gone.epoch, actions);
        }
    }

    /// Appends the whole messages of one client, as far as there is room. What waits is looked at
    /// again when frames were applied.
    fn admit_from(&mut self, connection: &mut Connection) -> Result<(), FrameError> {
        for _ in 0..ADMITTED_PER_FLUSH_MAX {
            let Some(frame) = connection.inlet.next_frame()? else { return Ok(()) };
            let Body::Message { sequence, .. } = frame.body else {
                return Err(FrameError::Template { template: frame.body.template() });
            };
            match self.admission(connection.session, sequence, &frame) {
                Admission::Append => self.append_message(connection, sequence, &frame),
                Admission::Duplicate => self.counters.duplicates_suppressed += 1,
                Admission::Wait => {
                    self.counters.back_pressure += 1;
                    return Ok(());
                }
                Admission::Gap => return Err(FrameError::Truncated),
            }
            connection.inlet.consume(frame.end);
            let quarter = self.config.limits.session_window_bytes / 4;
            let untold = connection.inlet.consumed().since(connection.told_consumed);
            connection.is_status_due |= untold >= quarter;
        }
        self.state.flush_wanted = true;
        Ok(())
    }

    /// Only the message behind the last appended one of its session is admitted (rule 17).
    fn admission(&self, session: SessionId, sequence: u64, frame: &StreamFrame) -> Admission {
        let Some(known) = self.state.sessions.get(session) else { return Admission::Wait };
        let appended = self.last_appended(session, known.last_applied);
        let is_duplicate = sequence <= appended;
        if is_duplicate && !mutant::is(mutant::NO_DEDUPLICATION) {
            return Admission::Duplicate;
        }
        if !is_duplicate && Some(sequence) != appended.checked_add(1) {
            return Admission::Gap;
        }
        let in_flight = sequence.saturating_sub(known.last_applied);
        let needed = frame_bytes(&frame.body, frame.payload.len() as usize);
        if in_flight > self.config.limits.in_flight_max as u64 || needed > self.append_room() {
            return Admission::Wait;
        }
        Admission::Append
    }

    fn last_appended(&self, session: SessionId, last_applied: u64) -> u64 {
        let leading = self.state.leading.as_ref();
        let appended = leading.and_then(|leading| leading.appended.get(&session).copied());
        appended.map_or(last_applied, |appended| appended.max(last_applied))
    }

    fn append_message(&mut self, connection: &Connection, sequence: u64, frame: &StreamFrame) {
        let session = connection.session;
        let body = Body::Message { session, sequence, time: self.cluster_time() };
        let (now, term) = (self.state.now, self.state.term);
        let payload = connection.inlet.slices(frame.payload);
        self.state.log.append(now, term, &body, payload);
        self.counters.messages_appended += 1;
        if let Some(leading) = &mut self.state.leading {
            leading.appended.insert(session, sequence);
        }
    }

    /// Frames were applied: replies can go out, and messages and timers that waited may find room.
    pub(super) fn answer_clients(&mut self) {
        let has_work = self.state.connections.len() > 0 || self.next_service_timer().is_some();
        self.state.flush_wanted |= self.state.leading.is_some() && has_work;
    }

    /// Sends replies, requests for holes, and statuses.
    pub(super) fn flush_connections(&mut self, actions: &mut Actions) {
        if self.state.leading.is_none() {
            return;
        }
        let mut connections = core::mem::take(&mut self.state.connections);
        for (&client, connection) in &mut connections.by_client {
            self.push_replies(connection);
            self.send_replies(client, connection, actions);
            self.send_ingress_nak(client, connection, actions);
            send_status(client, connection, actions);
        }
        self.state.connections = connections;
    }

    fn push_replies(&self, connection: &mut Connection) {
        let Some(session) = self.state.sessions.get(connection.session) else { return };
        while let Some(reply) = session.reply(connection.next_reply) {
            let body = Body::Reply {
                session: connection.session,
                sequence: reply.sequence,
                position: reply.position,
            };
            if connection.outlet.push(&body, &reply.bytes).is_none() {
                return;
            }
            connection.next_reply += 1;
        }
    }

    fn send_replies(
        &mut self,
        client: ClientKey,
        connection: &mut Connection,
        actions: &mut Actions,
    ) {
        let to = Destination::Client(connection.endpoint);
        for _ in 0..RUNS_PER_FLUSH_MAX {
            let run_bytes_max = self.config.limits.run_bytes_max;
            let Some(range) = connection.outlet.next_run(run_bytes_max) else { break };
            send_egress(to, (client, connection.epoch, range), actions);
            connection.newest_pause = self.config.timing.heartbeat_first;
            connection.newest_at = Some(self.state.now + connection.newest_pause);
        }
        self.state.flush_wanted |= connection.outlet.has_unsent();
        self.announce_replies(client, connection, actions);
    }

    /// Says how far the replies go, at growing intervals, until the client has consumed them.
    fn announce_replies(
        &self,
        client: ClientKey,
        connection: &mut Connection,
        actions: &mut Actions,
    ) {
        let newest = connection.outlet.sent();
        if connection.outlet.start() >= newest {
            connection.newest_at = None;
            return;
        }
        if connection.newest_at.is_none_or(|at| at > self.state.now) {
            return;
        }
        let longest = self.config.timing.heartbeat_interval;
        connection.newest_pause = connection.newest_pause.times(2).min(longest);
        connection.newest_at = Some(self.state.now + connection.newest_pause);
        let stream = Stream::Egress(client);
        let message = Message::StreamNewest { stream, epoch: connection.epoch, newest };
        let to = Destination::Client(connection.endpoint);
        actions.push(Action::Send { to, message });
    }

    fn send_ingress_nak(
        &self,
        client: ClientKey,
        connection: &mut Connection,
        actions: &mut Actions,
    ) {
        let missing = connection.inlet.poll_nak(self.state.now, self.nak_timing());
        if missing.is_empty() {
            return;
        }
        let epoch = connection.epoch;
        let ranges: NakRanges =
            missing.into_iter().map(|range| EpochRange { epoch, range }).collect();
        let message = Message::Nak { stream: Stream::Ingress(client), ranges };
        let to = Destination::Client(connection.endpoint);
        actions.push(Action::Send { to, message });
    }

    pub(super) fn connections_deadline(&self) -> Option<Instant> {
        let timing = self.nak_timing();
        let connections = self.state.connections.by_client.values();
        connections.filter_map(|connection| connection.deadline(timing)).min()
    }

    pub(super) fn serve_connections(&mut self) {
        // All that is due for clients goes out with a flush.
        if self.connections_deadline().is_some_and(|deadline| deadline <= self.state.now) {
            self.state.flush_wanted = true;
        }
    }
}

/// What becomes of a client's message.
enum Admission {
    Append,
    Duplicate,
    Wait,
    Gap,
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
        _ => None,
    }
}

fn reply_connect(to: Endpoint, connection: u64, outcome: ConnectOutcome, actions: &mut Actions) {
    let message = Message::ConnectReply { connection, outcome };
    actions.push(Action::Send { to: Destination::Client(to), message });
}

fn send_egress(
    to: Destination,
    (client, epoch, range): (ClientKey, u64, PositionRange),
    actions: &mut Actions,
) {
    actions.push(Action::SendData {
        to,
        stream: Stream::Egress(client),
        epoch,
        range,
        source: Source::Member,
        live: None,
    });
}

fn send_status(client: ClientKey, connection: &mut Connection, actions: &mut Actions) {
    if !core::mem::take(&mut connection.is_status_due) {
        return;
    }
    connection.told_consumed = connection.inlet.consumed();
    let message = Message::StreamStatus {
        stream: Stream::Ingress(client),
        epoch: connection.epoch,
        consumed: connection.inlet.consumed(),
        limit: connection.inlet.limit(),
    };
    actions.push(Action::Send { to: Destination::Client(connection.endpoint), message });
}
