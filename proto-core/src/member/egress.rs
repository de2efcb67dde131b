//! What clients are sent: replies in order, how far they go, and how far ingress was consumed.

use super::Member;
use super::connections::{Connection, Lent};
use crate::action::{Action, Actions, Destination, Source};
use crate::frame::Body;
use crate::identity::ClientKey;
use crate::message::{Message, Stream};
use crate::position::PositionRange;
use crate::time::Instant;

/// Runs to one client in one flush, at most.
const RUNS_PER_FLUSH_MAX: usize = 16;

impl Member {
    /// Frames were applied: replies can go out, and messages and timers that waited may find room.
    pub(super) fn answer_clients(&mut self) {
        if self.state.leading.is_none() {
            self.state.applier.touched.clear();
            return;
        }
        for session in self.state.applier.touched.drain(..) {
            if let Some(known) = self.state.sessions.get(session) {
                self.state.connections.wake(known.client);
            }
        }
        let has_work = self.state.connections.len() > 0 || self.next_service_timer().is_some();
        self.state.flush_wanted |= has_work;
    }

    /// What a client says of its streams: how far they go, what it has consumed, what it lacks.
    #[inline(never)]
    pub(super) fn handle_stream_control(
        &mut self,
        client: ClientKey,
        message: &Message,
        actions: &mut Actions,
    ) {
        let (now, timing) = (self.state.now, self.repair_timing());
        let connections = &mut self.state.connections.by_client;
        let Some(connection) = connections.get_mut(client) else { return };
        match *message {
            Message::StreamNewest { newest, .. } => {
                connection.inlet.hear_newest(newest);
                connection.is_status_due = true;
            }
            Message::StreamStatus { consumed, limit, .. } => {
                connection.release(consumed);
                connection.outlet.allow(limit);
            }
            Message::Nak { ref ranges, .. } => {
                if crate::mutant::is(crate::mutant::LOST_REPLIES_STAY_LOST) {
                    return;
                }
                let to = Destination::Client(connection.endpoint);
                for asked in ranges {
                    for part in connection.outlet.repair(now, timing, to, asked.range) {
                        for range in part.runs(self.config.limits.run_bytes_max) {
                            send_egress(to, (client, connection.epoch, range), actions);
                        }
                    }
                }
            }
            Message::SyncRequest { .. } => self.answer_sync(client, actions),
            _ => self.counters.datagrams_ignored += 1,
        }
    }

    /// Ends a flush: sends replies, requests for holes, and statuses.
    pub(super) fn flush_connections(&mut self, mut lent: Lent, actions: &mut Actions) {
        let (now, timing) = (self.state.now, self.nak_timing());
        for &client in &lent.turn {
            let Some(connection) = lent.by_client.get_mut(client) else { continue };
            self.push_replies(connection);
            if !connection.is_quiet(now) {
                self.send_replies(client, connection, actions);
                self.send_ingress_nak(client, connection, actions);
                if connection.is_status_due {
                    send_status(client, connection, actions);
                }
            }
            if let Some(at) = self.state.connections.settle(client, connection, timing) {
                self.state.connections.list(at, client, &lent.by_client);
            }
        }
        self.state.connections.give_back(lent);
    }

    fn push_replies(&mut self, connection: &mut Connection) {
        let Some(session) = self.state.sessions.get(connection.session) else { return };
        let applied = self.state.applier.applied;
        while let Some(reply) = session.reply(connection.next_reply, applied) {
            if reply.awaits_safe() && !self.is_safe(reply.position()) {
                let position = reply.position();
                return self.hold_back(position, connection);
            }
            let body = Body::Reply {
                session: connection.session,
                sequence: connection.next_reply,
                position: reply.position(),
            };
            let bytes = match crate::mutant::is(crate::mutant::REPLIES_SHIFT_BY_ONE) {
                true => session.reply(connection.next_reply - 1, applied).map(|reply| &reply.bytes),
                false => Some(&reply.bytes),
            };
            let bytes = bytes.unwrap_or(&reply.bytes);
            let Some(range) = connection.outlet.push(&body, bytes) else { return };
            connection.unreleased.push_back(range.end);
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
        if connection.newest_at.is_some_and(|at| at <= self.state.now) {
            self.announce_newest(client, connection, actions);
        }
    }

    #[inline(never)]
    fn announce_newest(
        &self,
        client: ClientKey,
        connection: &mut Connection,
        actions: &mut Actions,
    ) {
        let newest = connection.outlet.sent();
        let longest = self.config.timing.heartbeat_interval;
        connection.newest_pause = connection.newest_pause.times(2).min(longest);
        connection.newest_at = Some(self.state.now + connection.newest_pause);
        let stream = Stream::Egress(client);
        let message = Message::StreamNewest { stream, epoch: connection.epoch, newest };
        let to = Destination::Client(connection.endpoint);
        actions.push(Action::Send { to, message });
    }

    pub(super) fn connections_deadline(&self) -> Option<Instant> {
        self.state.connections.deadline()
    }

    pub(super) fn serve_connections(&mut self) {
        // All that is due for clients goes out with a flush.
        if self.connections_deadline().is_some_and(|deadline| deadline <= self.state.now) {
            self.state.flush_wanted = true;
        }
    }
}

pub(super) fn send_egress(
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

#[inline(never)]
fn send_status(client: ClientKey, connection: &mut Connection, actions: &mut Actions) {
    connection.is_status_due = false;
    connection.told_consumed = connection.inlet.consumed();
    let message = Message::StreamStatus {
        stream: Stream::Ingress(client),
        epoch: connection.epoch,
        consumed: connection.inlet.consumed(),
        limit: connection.inlet.limit(),
    };
    actions.push(Action::Send { to: Destination::Client(connection.endpoint), message });
}
