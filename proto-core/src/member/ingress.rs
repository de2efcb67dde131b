//! What clients send: whole messages are appended to the log, each once, as far as there is room.

use super::Member;
use super::connections::{Connection, reply_connect};
use crate::action::{Action, Actions, Destination};
use crate::frame::{Body, frame_bytes};
use crate::identity::{ClientKey, SessionId};
use crate::message::{ConnectOutcome, EpochRange, Message, NakRanges, Stream};
use crate::mutant;
use crate::stream::StreamFrame;

/// Messages of one client admitted in one flush, at most; the others get their turn then.
const ADMITTED_PER_FLUSH_MAX: usize = 256;

impl Member {
    /// Appends what clients sent, as far as there is room. Whose turn is first changes each time.
    pub(super) fn admit_ingress(&mut self, actions: &mut Actions) {
        if !self.is_serving() {
            return;
        }
        let mut connections = core::mem::take(&mut self.state.connections);
        let turn = connections.next_client;
        let mut admit = |(_, connection): (&ClientKey, &mut Connection)| {
            if let Err(breach) = self.admit_from(connection) {
                self.refuse(connection, breach, actions);
                connection.is_broken = true;
            }
        };
        connections.by_client.range_mut(turn..).for_each(&mut admit);
        connections.by_client.range_mut(..turn).for_each(&mut admit);
        let following = connections.by_client.keys().find(|&&client| client > turn);
        connections.next_client = following.copied().unwrap_or_default();
        // Who does not keep to the rules has to begin anew.
        connections.by_client.retain(|_, connection| !connection.is_broken);
        self.state.connections = connections;
    }

    /// Tells a client that its connection is over because of what it sent.
    fn refuse(&self, connection: &Connection, breach: Breach, actions: &mut Actions) {
        match breach {
            Breach::TooLarge => {
                let limit = u64::from(self.config.limits.message_bytes_max);
                let outcome = ConnectOutcome::MessageTooLarge { limit };
                reply_connect(connection.endpoint, connection.epoch, outcome, actions);
            }
            Breach::Protocol => self.refer(connection.endpoint, connection.epoch, actions),
        }
    }

    /// Appends the whole messages of one client, as far as there is room. What waits is looked at
    /// again when frames were applied.
    fn admit_from(&mut self, connection: &mut Connection) -> Result<(), Breach> {
        for _ in 0..ADMITTED_PER_FLUSH_MAX {
            let next = connection.inlet.next_frame().map_err(|_| Breach::Protocol)?;
            let Some(frame) = next else { return Ok(()) };
            let Body::Message { sequence, .. } = frame.body else {
                return Err(Breach::Protocol);
            };
            if frame.payload.len() > u64::from(self.config.limits.message_bytes_max) {
                return Err(Breach::TooLarge);
            }
            match self.admission(connection, sequence, &frame) {
                Admission::Append => self.append_message(connection, sequence, &frame),
                Admission::Duplicate => self.counters.duplicates_suppressed += 1,
                Admission::Wait => {
                    self.counters.back_pressure += 1;
                    return Ok(());
                }
                Admission::Gap => return Err(Breach::Protocol),
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
    fn admission(&self, connection: &Connection, sequence: u64, frame: &StreamFrame) -> Admission {
        let session = connection.session;
        let Some(known) = self.state.sessions.get(session) else { return Admission::Wait };
        let appended = self.last_appended(session, known.last_applied);
        let is_duplicate = sequence <= appended;
        if is_duplicate && !mutant::is(mutant::NO_DEDUPLICATION) {
            return Admission::Duplicate;
        }
        if !is_duplicate && Some(sequence) != appended.checked_add(1) {
            return Admission::Gap;
        }
        // Counted from the oldest reply that the client may still lack, since as many are kept.
        let in_flight = (sequence + 1).saturating_sub(connection.oldest_unreleased());
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

    pub(super) fn send_ingress_nak(
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
}

/// Why a client's connection is over.
#[derive(Clone, Copy)]
enum Breach {
    /// A message is larger than messages may be: no follower would take its frame.
    TooLarge,
    /// Its stream is not one of whole messages in order.
    Protocol,
}

/// What becomes of a client's message.
enum Admission {
    Append,
    Duplicate,
    Wait,
    Gap,
}
