//! Members that are none any more, and members that are no voters yet: what they are told, and what
//! they learn.

use super::Member;
use crate::action::{Action, Actions, Destination};
use crate::identity::{Endpoint, Incarnation, Life, MemberId};
use crate::message::{Incoming, Message};
use crate::notice::{Notice, Role};
use crate::position::Position;
use crate::term::VoteKey;

/// The round of a canvass of one who does not stand: rounds of those who do begin at one.
pub(super) const ASKED_AROUND: u64 = 0;

impl Member {
    /// A member that has no vote and hears no leader asks those it knows what they have: the leader
    /// may be one that it has never heard of, and only the log says who is a member. A voter finds
    /// out by its canvass, which it is refused (rule 8).
    pub(super) fn ask_around(&self, actions: &mut Actions) {
        let members = &self.state.members;
        if members.is_voter() || members.removed_at.is_some() || self.is_applicant() {
            return;
        }
        let (term, key) = (self.state.term, self.own_key());
        for peer in self.state.peers.ids() {
            self.send(peer, Message::Canvass { term, round: ASKED_AROUND, key }, actions);
        }
    }

    /// One of those answers, and has more.
    pub(super) fn learn_who_leads(&mut self, from: MemberId, key: VoteKey, actions: &mut Actions) {
        let is_lost = !self.is_voter() && self.state.leader.is_none() && !self.is_applicant();
        if is_lost && key > self.own_key() {
            self.learn_from(from, key, actions);
        } else {
            self.counters.datagrams_ignored += 1;
        }
    }

    /// A datagram of somebody who is not heard. A member that was removed, and does not know it,
    /// asks for votes or for bytes that it does not come by: it is told (E58, E70).
    #[cold]
    #[inline(never)]
    pub(super) fn tell_removed(
        &mut self,
        life: Life,
        source: Endpoint,
        content: &Incoming<'_>,
        actions: &mut Actions,
    ) {
        self.counters.datagrams_ignored += 1;
        let asks = matches!(
            content,
            Incoming::Control(
                Message::Canvass { .. } | Message::RequestVote { .. } | Message::Nak { .. }
            )
        );
        let removal = self.removal_of(life.member).filter(|_| asks && !self.is_applicant());
        let Some((position, incarnation)) = removal else { return };
        // Of any other one nothing is known, and nothing is said.
        if life.incarnation == incarnation {
            let message = Message::Removed { term: self.state.term, position, incarnation };
            actions.push(Action::Send { to: Destination::Client(source), message });
        }
    }

    /// Whether `from`, who wants to be elected, is none any more, and is told so (E58).
    pub(super) fn tells_of_removal(&self, from: MemberId, actions: &mut Actions) -> bool {
        let Some((position, incarnation)) = self.removal_of(from) else { return false };
        let is_former = self.state.peers.life(from).incarnation <= incarnation;
        if is_former {
            let message = Message::Removed { term: self.state.term, position, incarnation };
            self.send(from, message, actions);
        }
        is_former
    }

    /// Whether this member has a vote, as far as its own log goes (E65). The log of `from`, who
    /// asks for it with a better `key`, may say otherwise: without a leader there is nobody else
    /// who sends what is missing here.
    pub(super) fn has_a_vote_for(
        &mut self,
        from: MemberId,
        key: VoteKey,
        actions: &mut Actions,
    ) -> bool {
        let has_vote = self.is_voter();
        if !has_vote && key > self.own_key() && !self.has_live_leader() {
            crate::mark::reached(crate::mark::OBSERVER_LEARNS);
            self.state.leader = None;
            self.learn_from(from, key, actions);
        }
        has_vote
    }

    /// This member is known to be none any more, since the frame that ends at `position`.
    pub(super) fn note_removed(&mut self, position: Position, actions: &mut Actions) {
        let removed_at = &mut self.state.members.removed_at;
        if removed_at.is_none() {
            *removed_at = Some(position);
            actions.push(Action::Notify(Notice::Removed { position }));
        }
    }

    /// Another member says that this one was removed. It counts for nothing where that is true,
    /// and does not stand any more where it is told so. What is older than this member's own list
    /// is believed only if that list lacks it too: a leader that removed itself has the very frame
    /// in its log, and after a start nobody tells it that this is committed (E59).
    pub(super) fn handle_removed(
        &mut self,
        (position, incarnation): (Position, Incarnation),
        actions: &mut Actions,
    ) {
        let own = self.state.life;
        let is_older = position <= self.membership_position();
        let is_listed = self.membership().get(own.member).is_some();
        if incarnation < own.incarnation || (is_older && is_listed) {
            self.counters.datagrams_ignored += 1;
            return;
        }
        crate::mark::reached(crate::mark::TOLD_OF_REMOVAL);
        self.note_removed(position, actions);
        if matches!(self.state.role, Role::Canvasser | Role::Nominee | Role::Candidate) {
            self.step_down(actions);
        }
    }

    /// What a removed member is told, if this one knows of a committed membership without it.
    pub(super) fn removal_of(&self, member: MemberId) -> Option<(Position, Incarnation)> {
        let members = &self.state.members;
        let removed = self.membership().removed_incarnation(member);
        let removed = removed.filter(|_| members.is_committed());
        removed.map(|incarnation| (members.position(), incarnation))
    }
}
