//! What clients send: whole messages are appended to the log, each once, as far as there is room.

use super::Member;
use super::connections::{Connection, Lent, reply_connect};
use crate::action::{Action, Actions, Destination};
use crate::frame::{Body, frame_bytes};
use crate::identity::{ClientKey, SessionId};
use crate::message::{ConnectOutcome, EpochRange, Message, NakRanges, Stream};
use crate::mutant;

/// Messages of one client admitted in one flush, at most; the others get their turn then.
const ADMITTED_PER_FLUSH_MAX: usize = 256;

impl Member {
    /// Begins a flush: appends what clients sent, as far as there is room. Returns who is looked at
    /// in this flush, for [`Member::flush_connections`].
    pub(super) fn admit_ingress(&mut self, actions: &mut Actions) -> Option<Lent> {
        if !self.is_serving() || self.state.connections.is_idle(self.state.now) {
            return None;
        }
        self.state.connections.begin_flush(self.state.now);
        let mut lent = self.state.connections.lend();
        for &client in &lent.turn {
            let Some(connection) = lent.by_client.get_mut(client) else { continue };
            if let Err(breach) = self.admit_from(connection) {
                self.refuse(connection, breach, actions);
                // Who does not keep to the rules has to begin anew.
                lent.by_client.remove(client);
            }
        }
        Some(lent)
    }

    /// Tells a client that its connection is over because of what it sent.
    #[cold]
    #[inline(never)]
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
        if !connection.has_waiting && connection.inlet.is_drained() {
            return Ok(());
        }
        let session = connection.session;
        // Without a session it waits until there is one.
        let Some(known) = self.state.sessions.get(session) else { return Ok(()) };
        let before = self.last_appended(session, known.last_applied);
        let mut appended = before;
        let admitted = self.admit_messages(connection, &mut appended);
        if appended > before
            && let Some(leading) = &mut self.state.leading
        {
            leading.appended.insert(session, appended);
        }
        admitted
    }

    /// Appends messages behind number `appended` of the session, and raises it.
    fn admit_messages(
        &mut self,
        connection: &mut Connection,
        appended: &mut u64,
    ) -> Result<(), Breach> {
        let (term, time) = (self.state.term, self.cluster_time());
        let session = connection.session;
        let mut room = self.append_room();
        // Counted from the oldest reply that the client may still lack, since as many are kept.
        let in_flight_max = self.config.limits.in_flight_max as u64;
        let message_bytes_max = self.config.limits.message_bytes_max as usize;
        let sequence_max = (connection.oldest_unreleased() + in_flight_max).saturating_sub(1);
        let mut frames = connection.inlet.frames();
        let mut consumed = frames.position();
        let (mut outcome, mut has_waiting, mut left) = (Ok(()), false, ADMITTED_PER_FLUSH_MAX);
        while left > 0 {
            left -= 1;
            let message = match frames.next_message() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(_) => {
                    outcome = Err(Breach::Protocol);
                    break;
                }
            };
            let ((_, sequence, _), payload) = (message.fields, message.payload);
            let payload_bytes = payload.0.len() + payload.1.len();
            let body = Body::Message { session, sequence, time };
            let needed = frame_bytes(&body, payload_bytes);
            let has_room = sequence <= sequence_max && needed <= room;
            match admission(sequence, *appended, payload_bytes <= message_bytes_max, has_room) {
                Admission::Append => {
                    self.make_room(self.state.log.verified.plus(needed));
                    match message.awaits_safe {
                        false => self.state.log.append(term, &body, payload),
                        true => self.append_safe(&body, payload),
                    };
                    self.counters.messages_appended += 1;
                    room -= needed;
                    *appended = sequence;
                }
                Admission::Duplicate => self.counters.duplicates_suppressed += 1,
                Admission::Wait => {
                    self.counters.back_pressure += 1;
                    crate::mark::reached(crate::mark::MESSAGE_WAITS);
                    has_waiting = true;
                    break;
                }
                Admission::Refuse(breach) => {
                    outcome = Err(breach);
                    break;
                }
            }
            consumed = frames.position();
        }
        self.state.flush_wanted |= left == 0;
        connection.has_waiting = has_waiting || left == 0;
        connection.consume(consumed, self.config.limits.session_window_bytes / 4);
        outcome
    }

    fn last_appended(&self, session: SessionId, last_applied: u64) -> u64 {
        let leading = self.state.leading.as_ref();
        let appended = leading.and_then(|leading| leading.appended.get(session).copied());
        appended.map_or(last_applied, |appended| appended.max(last_applied))
    }

    #[inline]
    pub(super) fn send_ingress_nak(
        &self,
        client: ClientKey,
        connection: &mut Connection,
        actions: &mut Actions,
    ) {
        if !connection.inlet.is_at_rest() {
            self.ask_client(client, connection, actions);
        }
    }

    #[inline(never)]
    fn ask_client(&self, client: ClientKey, connection: &mut Connection, actions: &mut Actions) {
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

/// Only the message behind the last appended one of its session is admitted (rule 17).
#[inline]
fn admission(sequence: u64, appended: u64, is_allowed: bool, has_room: bool) -> Admission {
    if !is_allowed {
        return Admission::Refuse(Breach::TooLarge);
    }
    let is_duplicate = sequence <= appended;
    if is_duplicate {
        crate::mark::reached(crate::mark::DUPLICATE_MESSAGE);
    }
    if is_duplicate && !mutant::is(mutant::NO_DEDUPLICATION) {
        return Admission::Duplicate;
    }
    if !is_duplicate && Some(sequence) != appended.checked_add(1) {
        return Admission::Refuse(Breach::Protocol);
    }
    if has_room { Admission::Append } else { Admission::Wait }
}

/// What becomes of a client's message.
enum Admission {
    Append,
    Duplicate,
    Wait,
    Refuse(Breach),
}
