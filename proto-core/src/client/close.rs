//! How a client ends: as its application wants, or otherwise.

use super::contract::{ClientAction, ClientActions, ClientError};
use super::{Client, Close, Phase};
use crate::identity::SessionId;
use crate::message::Message;

/// How often a close is said before the client ends without an answer: the session then ends at
/// the cluster by its time-out.
const CLOSE_TRIES_MAX: u32 = 5;

impl Client {
    /// Once the application is done and all is answered, tells the cluster, a few times at most.
    #[inline(never)]
    pub(super) fn advance_close(&mut self, actions: &mut ClientActions) {
        if self.has_ended() {
            return;
        }
        if let Close::Wanted = self.close
            && self.flow.in_flight() == 0
            && self.syncs.is_empty()
            && self.reads.is_empty()
        {
            self.close = Close::Saying { tries: 0, next_at: self.now };
        }
        let Close::Saying { tries, next_at } = self.close else { return };
        let ours = self.session != SessionId::NONE;
        if !ours || (next_at <= self.now && tries >= CLOSE_TRIES_MAX) {
            self.end(Ok(()), actions);
        } else if next_at <= self.now {
            let next_at = self.now + self.config.timing.connect_retry;
            self.close = Close::Saying { tries: tries + 1, next_at };
            if let Phase::Served(link) = self.phase {
                let (connection, session) = (link.connection, self.session);
                let message = Message::Close { connection, session };
                actions.push(ClientAction::Send { to: link.endpoint, message });
            }
        }
    }

    /// The session is gone at the cluster: as it was asked for, or with messages in doubt (E35).
    #[cold]
    #[inline(never)]
    pub(super) fn end_session(&mut self, actions: &mut ClientActions) {
        let result = match self.close {
            Close::Saying { .. } => Ok(()),
            _ if crate::mutant::is(crate::mutant::LOST_SESSION_IS_CLOSED) => Ok(()),
            Close::No | Close::Wanted => Err(ClientError::SessionLost {
                session: self.session,
                unanswered: self.flow.unanswered(),
            }),
        };
        self.end(result, actions);
    }

    pub(super) fn end(&mut self, result: Result<(), ClientError>, actions: &mut ClientActions) {
        self.phase = Phase::Ended;
        self.end_reads(actions);
        actions.push(ClientAction::Ended(result));
    }
}
