//! The membership in effect: that of the newest frame in the verified log that holds one, or of the
//! snapshot, or the one that the group was formed with (rule 14).
//!
//! ```text
//!  verified, or appended ─► in effect ─► committed ─► the former one is forgotten
//!                               └─ cut ─► the former one is in effect again
//! ```
//!
//! A leader appends no membership before the last one is committed. So of all that lie in any log
//! none but the newest may be cut, and the one before it is all that has to be kept.

use alloc::vec::Vec;
use smallvec::SmallVec;

use super::{Handled, Member, Standing};
use crate::action::{Action, Actions};
use crate::config::{MemberConfig, Recovered};
use crate::frame::{Body, MembershipPhase, frame_bytes};
use crate::identity::{Endpoint, Incarnation, MemberId};
use crate::membership::{ChangeRefusal, Membership};
use crate::mutant;
use crate::notice::{Abdication, ChangeOutcome, FailStop, Notice, Role};
use crate::position::{Position, PositionRange};

/// A membership, and the end of its frame: zero for the one of the formation.
pub(super) type Placed = (Position, Membership);

/// Those that are heard of: who is a member, who was one before the change that is in effect, and
/// whom the configuration names. Each with the least incarnation that counts, and whether it is
/// one now.
pub(super) type Heard = SmallVec<[(MemberId, Incarnation, bool); 8]>;

/// The membership in effect, and what stands behind it.
#[derive(Clone, Debug, Hash)]
pub(super) struct InEffect {
    current: Placed,
    /// What a cut brings back; none once the current one is committed.
    previous: Option<Placed>,
    /// The newest one that was applied; none for that of the formation.
    applied: Option<Placed>,
    /// Nobody but voters is a member, and no change is under way, and this member is one.
    is_plain: bool,
    /// Whether this member votes.
    is_voter: bool,
    /// The current one is not committed yet, or something follows when it is.
    is_unsettled: bool,
    /// The host's number for the change that is under way.
    request: Option<u64>,
    /// Since when this member is known to be none any more.
    pub(super) removed_at: Option<Position>,
}

impl InEffect {
    /// What is in effect when a life begins: the newest of what is in the log, and what `applied`
    /// of the snapshot says.
    pub(super) fn new(
        config: &MemberConfig,
        recovered: &Recovered,
        applied: Option<Placed>,
    ) -> Self {
        let mut formed = config.voters.clone();
        if config.joins {
            formed.remove(&config.member);
        }
        let mut known = alloc::vec![(Position::ZERO, Membership::formed(&formed))];
        known.extend(applied.clone());
        known.extend(recovered.memberships.iter().cloned());
        known.sort_by_key(|(end, _)| *end);
        known.dedup_by_key(|(end, _)| *end);
        let current = known.pop().unwrap_or_default();
        let committed = applied.as_ref().is_some_and(|(end, _)| *end >= current.0);
        let previous = known.pop().filter(|_| !committed);
        let is_unsettled = current.0 > Position::ZERO;
        let mut in_effect = Self {
            current,
            previous,
            applied,
            is_plain: false,
            is_voter: false,
            is_unsettled,
            request: None,
            removed_at: None,
        };
        in_effect.note_standing(config.member);
        in_effect
    }

    fn note_standing(&mut self, own: MemberId) {
        let membership = &self.current.1;
        self.is_voter = membership.is_voter(own);
        self.is_plain = self.is_voter && membership.is_plain();
    }

    /// Who is a member.
    pub(super) const fn membership(&self) -> &Membership {
        &self.current.1
    }

    /// The end of the frame that says so.
    pub(super) const fn position(&self) -> Position {
        self.current.0
    }

    /// Nobody but voters is a member, and no change is under way, and this member is one.
    #[inline]
    pub(super) const fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether this member votes.
    #[inline]
    pub(super) const fn is_voter(&self) -> bool {
        self.is_voter
    }

    /// Whether something follows from what is committed.
    #[inline]
    pub(super) const fn is_unsettled(&self) -> bool {
        self.is_unsettled
    }

    /// The newest one that was applied, if that was in the log.
    pub(super) const fn applied(&self) -> Option<&Placed> {
        self.applied.as_ref()
    }

    /// Whose datagrams are heard, this member's own aside.
    pub(super) fn heard(&self, config: &MemberConfig) -> Heard {
        let mut heard = Heard::new();
        let mut add = |member: MemberId, incarnation: Incarnation, is_member: bool| {
            let is_known = heard.iter().any(|(known, ..)| *known == member);
            if member != config.member && !is_known {
                heard.push((member, incarnation, is_member));
            }
        };
        let (current, previous) = (&self.current.1, self.previous.as_ref());
        for record in current.records() {
            add(record.member, record.incarnation, true);
        }
        for record in previous.iter().flat_map(|(_, former)| former.records()) {
            add(record.member, record.incarnation, false);
        }
        for &member in config.voters.keys() {
            if current.removed_incarnation(member).is_none() {
                add(member, Incarnation::FIRST, false);
            }
        }
        heard.sort_unstable();
        heard
    }

    /// Whether the current one is known to be committed.
    pub(super) const fn is_committed(&self) -> bool {
        self.previous.is_none()
    }

    fn endpoint_of(&self, member: MemberId) -> Option<Endpoint> {
        let former = self.previous.as_ref().map(|(_, membership)| membership);
        let known = core::iter::once(&self.current.1).chain(former);
        known.into_iter().find_map(|membership| membership.endpoint_of(member))
    }
}

impl Member {
    /// Who is a member of the group, as far as this member's log goes.
    #[must_use]
    pub const fn membership(&self) -> &Membership {
        self.state.members.membership()
    }

    /// The end of the frame that [`Member::membership`] is of; zero for that of the formation.
    #[must_use]
    pub const fn membership_position(&self) -> Position {
        self.state.members.position()
    }

    /// The membership that a cut of the log would bring back, and the end of its frame; nothing
    /// once the present one is known to be committed.
    #[must_use]
    pub const fn former_membership(&self) -> Option<(Position, &Membership)> {
        match &self.state.members.previous {
            Some((end, membership)) => Some((*end, membership)),
            None => None,
        }
    }

    /// Where this member reaches another: as the membership says, or the one before it, or the
    /// configuration.
    #[must_use]
    pub fn endpoint_of(&self, member: MemberId) -> Option<Endpoint> {
        let known = self.state.members.endpoint_of(member);
        known.or_else(|| self.config.voters.get(&member).copied())
    }

    /// Whether this member is a voter.
    #[must_use]
    pub const fn is_voter(&self) -> bool {
        self.state.members.is_voter()
    }

    /// Since when this member is known to be none any more: the end of the frame that says so, as
    /// [`Notice::Removed`] told.
    #[must_use]
    pub const fn removed_at(&self) -> Option<Position> {
        self.state.members.removed_at
    }

    /// The newest heartbeat round that a quorum has answered, this leader included.
    pub(super) fn answered_round(&self) -> u64 {
        let own = self.state.life.member;
        let leading = self.state.leading.as_ref();
        leading.map_or(0, |leading| leading.answered_round(self.membership(), own))
    }

    /// Where clients reach a member.
    pub(super) fn clients_of(&self, member: MemberId) -> Endpoint {
        let known = self.membership().clients_of(member);
        known.or_else(|| self.endpoint_of(member)).unwrap_or_default()
    }

    /// A membership was verified: it is in effect.
    pub(super) fn meet_membership(
        &mut self,
        frame: PositionRange,
        payload: PositionRange,
        actions: &mut Actions,
    ) -> Handled {
        let (first, second) = self.state.log.slices(payload);
        let membership = Membership::read(&[first, second].concat());
        let membership = membership.map_err(|_| FailStop::NewerLog { at: frame.start })?;
        self.take_effect(frame.end, membership, actions);
        Ok(())
    }

    fn take_effect(&mut self, end: Position, membership: Membership, actions: &mut Actions) {
        crate::mark::reached(crate::mark::MEMBERSHIP_IN_EFFECT);
        let members = &mut self.state.members;
        let former = core::mem::replace(&mut members.current, (end, membership));
        members.previous = Some(former);
        members.is_unsettled = true;
        self.follow_membership(actions);
    }

    /// The log is cut: what lies at and above `end` is in effect no more (E61).
    pub(super) fn cut_membership(&mut self, end: Position, actions: &mut Actions) -> Handled {
        if self.state.members.current.0 <= end || mutant::is(mutant::MEMBERSHIP_SURVIVES_CUT) {
            return Ok(());
        }
        crate::mark::reached(crate::mark::MEMBERSHIP_CUT);
        let members = &mut self.state.members;
        let former = members.previous.take().filter(|(at, _)| *at <= end);
        members.current = former.ok_or(FailStop::MembershipCut { at: end })?;
        members.is_unsettled = members.current.0 > Position::ZERO;
        self.follow_membership(actions);
        Ok(())
    }

    /// Another membership is in effect: all that goes by it follows.
    fn follow_membership(&mut self, actions: &mut Actions) {
        let own = self.state.life.member;
        let was_voter = self.state.members.is_voter;
        self.state.members.note_standing(own);
        self.follow_heard(actions);
        let (joint, position) = (self.membership().is_joint(), self.membership_position());
        actions.push(Action::Notify(Notice::Membership { position, joint }));
        if let Some(leading) = &mut self.state.leading {
            let (now, head) = (self.state.now, self.state.log.verified);
            leading.follow(self.state.peers.ids(), now, head);
            self.check_target(actions);
        }
        let is_voter = self.state.members.is_voter;
        if is_voter && !was_voter {
            self.state.members.removed_at = None;
            self.schedule_election();
        }
        let stands = matches!(self.state.role, Role::Canvasser | Role::Nominee | Role::Candidate);
        if stands && !is_voter {
            self.step_down(actions);
        }
    }

    /// Takes up who is heard of.
    pub(super) fn follow_heard(&mut self, actions: &mut Actions) {
        let heard = self.state.members.heard(&self.config);
        let state = &mut self.state;
        state.peers.follow(&heard);
        let others: SmallVec<[MemberId; 8]> = state.peers.ids().collect();
        state.stalls.follow(&others, |notice| actions.push(Action::Notify(notice)));
        state.sources.follow(&others);
    }

    /// Looks what follows from what is committed by now.
    #[inline]
    pub(super) fn settle_members(&mut self, actions: &mut Actions) {
        if self.state.members.is_unsettled() {
            self.settle_membership(actions);
        }
    }

    #[cold]
    #[inline(never)]
    fn settle_membership(&mut self, actions: &mut Actions) {
        let (end, joint) = (self.membership_position(), self.membership().is_joint());
        let early = mutant::is(mutant::COMPLETES_BEFORE_COMMIT);
        if self.state.commit < end && !(early && joint) {
            return;
        }
        if self.state.members.previous.take().is_some() {
            actions.push(Action::Notify(Notice::MembershipCommitted { position: end, joint }));
            self.follow_heard(actions);
        }
        if joint {
            self.complete_change(actions);
            return;
        }
        self.state.members.is_unsettled = false;
        if self.state.leading.is_some() && !self.is_voter() {
            crate::mark::reached(crate::mark::LEADER_REMOVED);
            self.conclude_change(ChangeOutcome::Done { position: end }, actions);
            self.abdicate(Abdication::Removed, actions);
        }
        self.conclude_change(ChangeOutcome::Done { position: end }, actions);
        let own = self.state.life;
        let removed = self.membership().removed_incarnation(own.member);
        if removed.is_some_and(|incarnation| own.incarnation <= incarnation) {
            self.note_removed(end, actions);
        }
    }

    /// Says what came of the change that the host asked for.
    pub(super) fn conclude_change(&mut self, outcome: ChangeOutcome, actions: &mut Actions) {
        if let Some(request) = self.state.members.request.take() {
            actions.push(Action::Notify(Notice::ChangeMembership { request, outcome }));
        }
    }

    /// Whether this member may stand for election: it votes, and was not told that it is none any
    /// more.
    pub(super) fn may_stand(&self) -> bool {
        let members = &self.state.members;
        let is_removed = members.removed_at.is_some() && !mutant::is(mutant::REMOVED_STAND_ON);
        let is_voter = members.is_voter || mutant::is(mutant::OBSERVERS_STAND);
        is_voter && !is_removed && self.state.standing == Standing::Full
    }

    /// Lays out a membership, and appends it: it is in effect at once. `false` if there is no room.
    pub(super) fn append_membership(&mut self, next: Membership, actions: &mut Actions) -> bool {
        let mut payload = Vec::new();
        next.write(&mut payload);
        let phase = match next.is_joint() {
            true => MembershipPhase::Joint,
            false => MembershipPhase::Final,
        };
        let body = Body::Membership { time: self.cluster_time(), phase };
        if frame_bytes(&body, payload.len()) > self.append_room() {
            return false;
        }
        let frame = self.append_frame(&body, &payload);
        self.take_effect(frame.end, next, actions);
        self.hasten_heartbeat();
        true
    }

    /// A change that was under way when the leadership ended: what becomes of it is not known here.
    pub(super) fn note_change_ended(&mut self, actions: &mut Actions) {
        let outcome = ChangeOutcome::Refused(ChangeRefusal::LeadershipLost);
        self.conclude_change(outcome, actions);
    }

    /// The host's number for the change that is under way from now on.
    pub(super) fn begin_change(&mut self, request: u64) {
        self.state.members.request = Some(request);
    }

    /// A membership was applied: snapshots from here on hold it.
    pub(super) fn apply_membership(&mut self, end: Position, payload: (&[u8], &[u8])) {
        if let Ok(membership) = Membership::read(&[payload.0, payload.1].concat()) {
            self.state.members.applied = Some((end, membership));
        }
    }
}
