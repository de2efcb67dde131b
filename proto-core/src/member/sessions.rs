//! The replicated part of a member's state: sessions, their reply windows, and timers. It changes
//! only when committed frames are applied, so it is the same on all members at equal positions.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use crate::identity::{ClientKey, SessionId};
use crate::position::Position;
use crate::time::LogTime;

/// All open sessions and all scheduled timers.
#[derive(Clone, Debug, Hash)]
pub(super) struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
    by_client: BTreeMap<ClientKey, SessionId>,
    timers: BTreeMap<u64, LogTime>,
    due: BTreeSet<(LogTime, u64)>,
    sessions_max: usize,
    replies_max: usize,
    timers_max: usize,
}

/// One client's session.
#[derive(Clone, Debug, Hash)]
pub(super) struct Session {
    pub(super) client: ClientKey,
    /// The newest message that was handed to the service.
    pub(super) last_applied: u64,
    /// The newest replies, by rising sequence without gaps.
    replies: VecDeque<Reply>,
}

/// The reply to one message, kept so that a retry gets the same one (E106).
#[derive(Clone, Debug, Hash)]
pub(super) struct Reply {
    pub(super) sequence: u64,
    pub(super) position: Position,
    pub(super) bytes: Vec<u8>,
}

impl Sessions {
    pub(super) const fn new(sessions_max: usize, replies_max: usize, timers_max: usize) -> Self {
        Self {
            sessions: BTreeMap::new(),
            by_client: BTreeMap::new(),
            timers: BTreeMap::new(),
            due: BTreeSet::new(),
            sessions_max,
            replies_max,
            timers_max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn get(&self, session: SessionId) -> Option<&Session> {
        self.sessions.get(&session)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.keys().copied()
    }

    pub(super) fn of_client(&self, client: ClientKey) -> Option<SessionId> {
        self.by_client.get(&client).copied()
    }

    /// Applies a session-opening frame. `None` when the client has a session already (it asked
    /// twice), or when there are as many as may be: the same on every member.
    pub(super) fn open(&mut self, session: SessionId, client: ClientKey) -> Option<SessionId> {
        if self.by_client.contains_key(&client) || self.sessions.len() >= self.sessions_max {
            return None;
        }
        let replies = VecDeque::new();
        self.sessions.insert(session, Session { client, last_applied: 0, replies });
        self.by_client.insert(client, session);
        Some(session)
    }

    /// Applies a session-closing frame; returns whose session it was.
    pub(super) fn close(&mut self, session: SessionId) -> Option<ClientKey> {
        let closed = self.sessions.remove(&session)?;
        self.by_client.remove(&closed.client);
        Some(closed.client)
    }

    /// Applies the sequence rule to a message frame: whether the service gets it. Deduplication
    /// at apply is the authority (rule 17, E107).
    pub(super) fn accept(&mut self, session: SessionId, sequence: u64) -> bool {
        let Some(session) = self.sessions.get_mut(&session) else { return false };
        if crate::mutant::is(crate::mutant::NO_DEDUPLICATION) {
            session.last_applied = session.last_applied.max(sequence);
            return true;
        }
        if Some(sequence) != session.last_applied.checked_add(1) {
            return false;
        }
        session.last_applied = sequence;
        true
    }

    /// Keeps the reply to an applied message, and drops the oldest beyond the window.
    pub(super) fn keep_reply(
        &mut self,
        session: SessionId,
        sequence: u64,
        position: Position,
        reply: &[u8],
    ) {
        // A session may have been closed by a later frame of the same batch.
        let Some(session) = self.sessions.get_mut(&session) else { return };
        let mut bytes = if session.replies.len() < self.replies_max {
            Vec::new()
        } else {
            session.replies.pop_front().map_or_else(Vec::new, |oldest| oldest.bytes)
        };
        bytes.clear();
        bytes.extend_from_slice(reply);
        session.replies.push_back(Reply { sequence, position, bytes });
    }

    /// Schedules a timer; `false` when there are too many.
    pub(super) fn schedule_timer(&mut self, timer: u64, deadline: LogTime) -> bool {
        if let Some(old) = self.timers.insert(timer, deadline) {
            self.due.remove(&(old, timer));
        }
        self.due.insert((deadline, timer));
        self.timers.len() <= self.timers_max
    }

    pub(super) fn cancel_timer(&mut self, timer: u64) {
        if let Some(deadline) = self.timers.remove(&timer) {
            self.due.remove(&(deadline, timer));
        }
    }

    /// Applies a timer frame: whether the service gets it. One that was cancelled, rescheduled or
    /// fired before is not delivered, so each fires once.
    pub(super) fn fire_timer(&mut self, timer: u64, deadline: LogTime) -> bool {
        if self.timers.get(&timer) != Some(&deadline) {
            return false;
        }
        self.cancel_timer(timer);
        true
    }

    /// Timers by rising deadline.
    pub(super) fn timers(&self) -> impl Iterator<Item = (LogTime, u64)> {
        self.due.iter().copied()
    }
}

impl Session {
    /// The kept reply to message `sequence`.
    pub(super) fn reply(&self, sequence: u64) -> Option<&Reply> {
        let first = self.replies.front()?.sequence;
        let at = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.replies.get(at)
    }

    /// Whether a client that lacks the replies from `unanswered` on can still get all of them.
    pub(super) fn can_resume_from(&self, unanswered: u64) -> bool {
        let oldest = self.replies.front().map_or(self.last_applied + 1, |reply| reply.sequence);
        (oldest..=self.last_applied + 1).contains(&unanswered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> Sessions {
        let mut sessions = Sessions::new(2, 2, 2);
        sessions.open(SessionId(8), ClientKey(1));
        sessions
    }

    #[test]
    fn e106_a_message_is_accepted_once_and_its_reply_kept() {
        let mut sessions = sessions();
        assert!(sessions.accept(SessionId(8), 1));
        sessions.keep_reply(SessionId(8), 1, Position(64), b"one");
        assert!(!sessions.accept(SessionId(8), 1));
        assert_eq!(sessions.get(SessionId(8)).unwrap().reply(1).unwrap().bytes, b"one");
    }

    #[test]
    fn e110_a_gap_in_the_sequence_is_never_applied() {
        assert!(!sessions().accept(SessionId(8), 2));
    }

    #[test]
    fn e109_the_reply_window_is_bounded() {
        let mut sessions = sessions();
        for sequence in 1..=5 {
            assert!(sessions.accept(SessionId(8), sequence));
            sessions.keep_reply(SessionId(8), sequence, Position(64), b"x");
        }
        let session = sessions.get(SessionId(8)).unwrap();
        assert!(session.reply(3).is_none() && session.reply(4).is_some());
        assert!(!session.can_resume_from(3) && session.can_resume_from(4));
        assert!(session.can_resume_from(6) && !session.can_resume_from(7));
    }

    #[test]
    fn a_client_has_one_session_and_the_table_is_bounded() {
        let mut sessions = sessions();
        assert_eq!(sessions.open(SessionId(16), ClientKey(1)), None);
        assert_eq!(sessions.open(SessionId(16), ClientKey(2)), Some(SessionId(16)));
        assert_eq!(sessions.open(SessionId(24), ClientKey(3)), None);
        assert_eq!(sessions.close(SessionId(8)), Some(ClientKey(1)));
        assert_eq!(sessions.open(SessionId(24), ClientKey(1)), Some(SessionId(24)));
    }

    #[test]
    fn a_timer_fires_once_and_only_with_its_deadline() {
        let mut sessions = sessions();
        assert!(sessions.schedule_timer(1, LogTime(10)));
        assert!(sessions.schedule_timer(1, LogTime(20)));
        assert!(!sessions.fire_timer(1, LogTime(10)));
        assert!(sessions.fire_timer(1, LogTime(20)));
        assert!(!sessions.fire_timer(1, LogTime(20)));
        assert_eq!(sessions.timers().count(), 0);
    }
}
