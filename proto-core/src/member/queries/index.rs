//! A follower's reads: its leader says up to where they have to see the log.
//!
//! One request is under way at a time; reads that come in meanwhile share the next. Whose number an
//! answer has does not matter but for its being at least that of the request which was sent behind
//! the read: whoever answers was confirmed by a quorum after that, whether it leads now or not.

use super::Stage;
use crate::action::Actions;
use crate::member::Member;
use crate::message::Message;
use crate::position::Position;
use crate::time::Instant;

impl Member {
    /// Whom to ask for an index.
    fn index_source(&self) -> Option<crate::MemberId> {
        self.state.leader.filter(|leader| *leader != self.state.life.member)
    }

    pub(super) fn wants_index(&self) -> bool {
        let queries = &self.state.queries;
        let lacks_it = |stage| matches!(stage, Stage::New | Stage::Asked { .. });
        queries.asked.is_none() && self.index_source().is_some() && queries.any_at(lacks_it)
    }

    pub(super) fn ask_for_index(&mut self, actions: &mut Actions) {
        let Some(leader) = self.index_source() else { return };
        let number = self.state.queries.number();
        self.state.queries.asked = Some((number, self.state.now));
        for read in &mut self.state.queries.waiting {
            if read.stage == Stage::New {
                read.stage = Stage::Asked { number };
            }
        }
        self.send(leader, Message::ReadIndexRequest { number }, actions);
    }

    pub(super) fn take_index(&mut self, number: u64, index: Position) {
        let queries = &mut self.state.queries;
        if queries.asked.is_none_or(|(asked, _)| number > asked) {
            self.counters.datagrams_ignored += 1;
            return;
        }
        if queries.asked.is_some_and(|(asked, _)| asked == number) {
            queries.asked = None;
        }
        for read in &mut queries.waiting {
            if matches!(read.stage, Stage::Asked { number: asked } if asked <= number) {
                read.stage = Stage::Apply { index, by_lease: false };
            }
        }
    }

    /// When to ask again.
    pub(super) fn index_deadline(&self) -> Option<Instant> {
        let (_, at) = self.state.queries.asked?;
        Some(at + self.config.timing.heartbeat_interval)
    }

    pub(super) fn retry_index(&mut self) {
        if self.index_deadline().is_some_and(|at| at <= self.state.now) {
            self.state.queries.asked = None;
            self.state.flush_wanted |= self.wants_index();
        }
    }
}
