//! Sessions open and close through the log, so that all members know the same of them.

use alloc::vec::Vec;

use super::Member;
use super::connections::{Opening, reply_connect};
use crate::action::{Action, Actions, Destination};
use crate::frame::{Body, SessionCloseReason, frame_bytes};
use crate::identity::{ClientKey, Endpoint, SessionId};
use crate::message::{ConnectOutcome, Message};
use crate::mutant;
use crate::time::{Duration, Instant};

/// How often within the session time-out the leader looks who was silent for as long: so much later
/// than it could be a session is closed.
const SILENCE_CHECKS: u64 = 32;

impl Member {
    /// Opens a session through the log, once for each client however often it asks.
    pub(super) fn open_session(
        &mut self,
        client: ClientKey,
        opening: Opening,
        actions: &mut Actions,
    ) {
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

    #[cold]
    #[inline(never)]
    pub(super) fn handle_close(
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
        let fits = frame_bytes(&body, 0) <= self.append_room();
        let has_room = fits && !self.state.sessions.close_alone(session);
        let Some(leading) = &mut self.state.leading else { return };
        if has_room && !leading.closing.contains(&session) {
            leading.closing.push(session);
            self.append_frame(&body, &[]);
        }
    }

    pub(super) fn close_silent_sessions(&mut self) {
        let (now, timeout) = (self.state.now, self.config.timing.session_timeout);
        let serving = self.is_serving();
        let Some(leading) = &mut self.state.leading else { return };
        if !serving || now < leading.silence_checked_at + Duration(timeout.0 / SILENCE_CHECKS) {
            return;
        }
        leading.silence_checked_at = now;
        let mut silent = Vec::new();
        for session in self.state.sessions.ids() {
            // A new leader gives every client the whole time-out to find it (rule 16).
            let since = match mutant::is(mutant::SESSIONS_END_WITHOUT_A_LEADER) {
                true => Instant(0),
                false => now,
            };
            let heard = *leading.heard.get_or_insert(session, since);
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
        leading.heard.remove(session);
        leading.appended.remove(session);
        if let Some(closed) = self.state.connections.remove(client) {
            let message = Message::Closed { connection: closed.number, session };
            actions.push(Action::Send { to: Destination::Client(closed.endpoint), message });
        }
    }
}
