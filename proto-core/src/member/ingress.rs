//! What clients send: whole messages are appended to the log, each once, as far as there is room.

use super::Member;
use super::connections::Connection;
use crate::action::{Action, Actions, Destination};
use crate::frame::{Body, FrameError, frame_bytes};
use crate::identity::{ClientKey, SessionId};
use crate::message::{EpochRange, Message, NakRanges, Stream};
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

/// What becomes of a client's message.
enum Admission {
    Append,
    Duplicate,
    Wait,
    Gap,
}
