//! The replicated part of a member's state: sessions, their reply windows, and timers. It changes
//! only when committed frames are applied, so it is the same on all members at equal positions.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::replies::{Replies, Reply};
use super::timer_table::TimerTable;
use crate::identity::{ClientKey, SessionId};
use crate::position::Position;

/// All open sessions and all scheduled timers.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    /// By rising id.
    sessions: Vec<Session>,
    /// Where a session was found last: the next message is often of the same. Not part of the
    /// state.
    last_found: usize,
    by_client: BTreeMap<ClientKey, SessionId>,
    pub(super) timers: TimerTable,
    sessions_max: usize,
    replies_max: usize,
}

/// One client's session.
#[derive(Clone, Debug, Hash)]
pub(super) struct Session {
    id: SessionId,
    pub(super) client: ClientKey,
    /// The newest message that was handed to the service.
    pub(super) last_applied: u64,
    replies: Replies,
}

impl Sessions {
    pub(super) const fn new(sessions_max: usize, replies_max: usize, timers_max: usize) -> Self {
        Self {
            sessions: Vec::new(),
            last_found: 0,
            by_client: BTreeMap::new(),
            timers: TimerTable::new(timers_max),
            sessions_max,
            replies_max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn get(&self, session: SessionId) -> Option<&Session> {
        self.find(session).map(|at| &self.sessions[at])
    }

    #[inline(always)]
    fn get_mut(&mut self, session: SessionId) -> Option<&mut Session> {
        if self.sessions.get(self.last_found).is_none_or(|last| last.id != session) {
            self.last_found = self.search(session)?;
        }
        self.sessions.get_mut(self.last_found)
    }

    #[inline]
    fn find(&self, session: SessionId) -> Option<usize> {
        if self.sessions.get(self.last_found).is_some_and(|last| last.id == session) {
            return Some(self.last_found);
        }
        self.search(session)
    }

    #[inline(never)]
    fn search(&self, session: SessionId) -> Option<usize> {
        self.sessions.binary_search_by_key(&session, |known| known.id).ok()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.iter().map(|session| session.id)
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
        let replies = Replies::new(self.replies_max);
        // Ids are positions of the log, so the newest is the last.
        let at = self.sessions.partition_point(|known| known.id < session);
        self.sessions.insert(at, Session { id: session, client, last_applied: 0, replies });
        self.by_client.insert(client, session);
        Some(session)
    }

    /// Takes in a session of a snapshot, behind all others; `false` when it is not behind them, its
    /// client has one already, or there are as many as may be.
    pub(super) fn restore(
        &mut self,
        session: SessionId,
        client: ClientKey,
        last_applied: u64,
        replies: Replies,
    ) -> bool {
        let is_behind = self.sessions.last().is_none_or(|last| last.id < session);
        if !is_behind || self.open(session, client).is_none() {
            return false;
        }
        if let Some(opened) = self.sessions.last_mut() {
            (opened.last_applied, opened.replies) = (last_applied, replies);
        }
        true
    }

    /// All sessions, by rising id.
    pub(super) fn all(&self) -> &[Session] {
        &self.sessions
    }

    /// Bytes that the sessions and timers take in a snapshot.
    pub(super) fn written_bytes(&self) -> usize {
        let replies = self.sessions.iter().flat_map(|session| session.replies.all());
        let replies: usize = replies.map(|reply| 16 + reply.bytes.len()).sum();
        replies + 32 * self.sessions.len() + 16 * self.timers.len()
    }

    /// Applies a session-closing frame; returns whose session it was.
    pub(super) fn close(&mut self, session: SessionId) -> Option<ClientKey> {
        let closed = self.sessions.remove(self.find(session)?);
        self.by_client.remove(&closed.client);
        Some(closed.client)
    }

    /// Closes a session without the log: only as a deliberate mistake.
    pub(super) fn close_alone(&mut self, session: SessionId) -> bool {
        crate::mutant::is(crate::mutant::CLOSES_SESSIONS_ALONE) && self.close(session).is_some()
    }

    /// Applies the sequence rule to the message frame at `position`: whether the service gets it.
    /// Deduplication at apply is the authority (rule 17, E107).
    #[inline(always)]
    pub(super) fn accept(&mut self, session: SessionId, sequence: u64, position: Position) -> bool {
        let Some(session) = self.get_mut(session) else { return false };
        if Some(sequence) != session.last_applied.checked_add(1) {
            return crate::mutant::is(crate::mutant::NO_DEDUPLICATION)
                && sequence <= session.last_applied;
        }
        session.last_applied = sequence;
        session.replies.open(position);
        true
    }

    /// The reply to message `sequence`, which was just accepted, waits until that is safe.
    pub(super) fn await_safe(&mut self, session: SessionId, sequence: u64) {
        if let Some(session) = self.get_mut(session) {
            session.replies.await_safe(sequence);
        }
    }

    /// Keeps the service's reply to message `sequence`, which lies at `from` or behind. Returns
    /// where the message of the next reply can lie; `None` if there is no such message.
    pub(super) fn keep_reply(
        &mut self,
        session: SessionId,
        sequence: u64,
        from: Position,
        bytes: &[u8],
    ) -> Option<Position> {
        // A session may have been closed by a later frame of the same batch.
        let Some(session) = self.get_mut(session) else { return Some(from) };
        if sequence < session.replies.oldest() {
            // Later messages of the same batch took its place.
            return Some(from);
        }
        let position = session.replies.get(sequence)?.position();
        if position < from {
            return None;
        }
        session.replies.keep(sequence, bytes);
        Some(position.plus(1))
    }
}

impl core::hash::Hash for Sessions {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        (&self.sessions, &self.by_client, &self.timers).hash(state);
        (self.sessions_max, self.replies_max).hash(state);
    }
}

impl Session {
    pub(super) const fn id(&self) -> SessionId {
        self.id
    }

    pub(super) const fn replies(&self) -> &Replies {
        &self.replies
    }

    /// The reply to message `sequence`, if all before `applied` was applied.
    #[inline]
    pub(super) fn reply(&self, sequence: u64, applied: Position) -> Option<&Reply> {
        self.replies.get(sequence).filter(|reply| reply.place() < applied)
    }

    /// Whether a client that lacks the replies from `unanswered` on can still get all of them.
    pub(super) fn can_resume_from(&self, unanswered: u64) -> bool {
        (self.replies.oldest()..=self.last_applied + 1).contains(&unanswered)
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

    const AT: Position = Position(64);
    const LATER: Position = Position(128);

    #[test]
    fn e106_a_message_is_accepted_once_and_its_reply_kept() {
        let mut sessions = sessions();
        assert!(sessions.accept(SessionId(8), 1, AT));
        assert!(sessions.keep_reply(SessionId(8), 1, AT, b"one").is_some());
        assert!(!sessions.accept(SessionId(8), 1, LATER));
        let session = sessions.get(SessionId(8)).unwrap();
        assert_eq!(session.reply(1, LATER).unwrap().bytes, b"one");
        assert!(session.reply(1, AT).is_none(), "it was not applied yet");
    }

    #[test]
    fn e110_a_gap_in_the_sequence_is_never_applied() {
        assert!(!sessions().accept(SessionId(8), 2, AT));
    }

    #[test]
    fn e109_the_reply_window_is_bounded() {
        let mut sessions = sessions();
        for sequence in 1..=5 {
            assert!(sessions.accept(SessionId(8), sequence, AT));
        }
        let session = sessions.get(SessionId(8)).unwrap();
        assert!(session.reply(3, LATER).is_none() && session.reply(4, LATER).is_some());
        assert!(!session.can_resume_from(3) && session.can_resume_from(4));
        assert!(session.can_resume_from(6) && !session.can_resume_from(7));
    }

    #[test]
    fn a_reply_to_what_was_not_handed_over_is_noticed() {
        let mut sessions = sessions();
        assert!(sessions.accept(SessionId(8), 1, AT));
        assert!(sessions.accept(SessionId(8), 2, LATER));
        assert_eq!(sessions.keep_reply(SessionId(8), 3, AT, b""), None);
        assert_eq!(sessions.keep_reply(SessionId(8), 2, AT, b""), Some(Position(129)));
        assert_eq!(sessions.keep_reply(SessionId(8), 1, Position(129), b""), None, "out of order");
        assert!(sessions.accept(SessionId(8), 3, Position(192)));
        let gone = sessions.keep_reply(SessionId(8), 1, AT, b"");
        assert_eq!(gone, Some(AT), "two are kept");
        // Of a session that was closed by a later frame of the batch.
        assert_eq!(sessions.keep_reply(SessionId(9), 1, AT, b""), Some(AT));
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
}
