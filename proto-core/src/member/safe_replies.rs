//! Replies that wait until their message is safe, and clients that wait for a position (rule 12).
//!
//! The log says which messages asked for it, so each member knows: a leader that inherited one, or
//! finds its reply among those that it keeps, holds it back as the one before did. In a durable
//! group all that is committed is safe, and nothing waits.

use super::connections::{Connection, Connections};
use super::{Member, State};
use crate::action::{Action, Actions, Destination};
use crate::frame::Body;
use crate::identity::{ClientKey, SessionId};
use crate::message::Message;
use crate::mutant;
use crate::position::{Position, PositionRange};

impl Member {
    /// Appends a message whose reply waits until it is safe. It says so in a durable log, too: the
    /// group may be volatile when it comes to be committed.
    #[cold]
    #[inline(never)]
    pub(super) fn append_safe(&mut self, body: &Body, payload: (&[u8], &[u8])) -> PositionRange {
        let asked = match *body {
            Body::Message { session, sequence, time } => {
                Body::SafeMessage { session, sequence, time }
            }
            body => body,
        };
        self.state.log.append(self.state.term, &asked, payload)
    }

    /// A message was applied whose reply waits until it is safe.
    #[cold]
    #[inline(never)]
    pub(super) fn note_asked_for_safe(&mut self, session: SessionId, sequence: u64) {
        let forgets = mutant::is(mutant::LEVEL_IS_LOST_WITH_THE_LEADER);
        if !forgets || self.state.leading.is_some() {
            self.state.sessions.await_safe(session, sequence);
        }
    }

    /// Whether the reply to a message that is applied, and asked for it, can go out.
    #[cold]
    #[inline(never)]
    pub(super) fn is_safe(&self, position: Position) -> bool {
        position < self.safe() || mutant::is(mutant::SAFE_REPLIES_DO_NOT_WAIT)
    }

    /// The next reply of a connection waits; its client is looked at again when more is safe.
    #[cold]
    #[inline(never)]
    pub(super) fn hold_back(&mut self, position: Position, connection: &mut Connection) {
        crate::mark::reached(crate::mark::REPLY_AWAITS_SAFE);
        connection.awaits_safe = Some(position);
        self.state.connections.any_awaits_safe = true;
    }

    /// More is safe, in a volatile group: replies may go out that waited for it.
    pub(super) fn release_safe_replies(&mut self, safe: Position) {
        let State { connections, flush_wanted, .. } = &mut self.state;
        if connections.any_awaits_safe && connections.wake_who_awaits(safe) {
            *flush_wanted = true;
        }
    }

    /// A client that waits for a position asks what is safe by now. Whoever leads, or has led and
    /// does not know yet that it does so no more, tells the truth: what was safe stays so.
    pub(super) fn answer_sync(&self, client: ClientKey, actions: &mut Actions) {
        let Some(connection) = self.state.connections.by_client.get(client) else { return };
        let message = Message::SyncReply { epoch: connection.epoch, safe: self.safe() };
        actions.push(Action::Send { to: Destination::Client(connection.endpoint), message });
    }
}

impl Connections {
    /// Wakes those whose next reply waits for what is safe now; whether there are any.
    #[cold]
    fn wake_who_awaits(&mut self, safe: Position) -> bool {
        let (mut wakes, mut left) = (false, false);
        for (client, connection) in self.by_client.iter_mut() {
            match connection.awaits_safe {
                Some(position) if position < safe => {
                    connection.awaits_safe = None;
                    connection.wake(client, &mut self.awake);
                    wakes = true;
                }
                awaits => left |= awaits.is_some(),
            }
        }
        self.any_awaits_safe = left;
        wakes
    }
}
