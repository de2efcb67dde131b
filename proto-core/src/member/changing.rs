//! How a leader changes who is a member.
//!
//! ```text
//!  asked ─► checked ─► observers alone ─────────────► final ─► committed ─► done
//!                  └─► voters ─► joint ─► committed by both halves ─┘
//! ```

use super::leading::Leading;
use super::{Handled, Member};
use crate::action::{Action, Actions};
use crate::identity::MemberId;
use crate::membership::{
    ChangeRefusal, Half, LEVEL_LAG_BYTES_MAX, Membership, MembershipChange, majority,
};
use crate::mutant;
use crate::notice::{ChangeOutcome, Notice};
use crate::position::Position;

impl Member {
    pub(super) fn handle_change(
        &mut self,
        request: u64,
        change: &MembershipChange,
        actions: &mut Actions,
    ) -> Handled {
        let refusal = match self.judge_change(change) {
            Ok(next) => match self.append_membership(next, actions) {
                true => {
                    self.begin_change(request);
                    return Ok(());
                }
                false => ChangeRefusal::NoRoom,
            },
            Err(refusal) => refusal,
        };
        let outcome = ChangeOutcome::Refused(refusal);
        actions.push(Action::Notify(Notice::ChangeMembership { request, outcome }));
        Ok(())
    }

    /// What a change makes of the membership, if nothing speaks against it.
    fn judge_change(&self, change: &MembershipChange) -> Result<Membership, ChangeRefusal> {
        let state = &self.state;
        let Some(leading) = &state.leading else {
            return Err(ChangeRefusal::NotLeader { leader: state.leader });
        };
        let is_open = leading.has_committed(state.commit);
        if !is_open && !mutant::is(mutant::CHANGES_BEFORE_ITS_TERM) {
            return Err(ChangeRefusal::NotYetOpen);
        }
        let is_committed = self.membership_position() <= state.commit;
        let overlaps = mutant::is(mutant::CHANGES_OVERLAP);
        if self.is_handing_over() || self.membership().is_joint() || !(is_committed || overlaps) {
            return Err(ChangeRefusal::Busy);
        }
        let mut present = self.membership().clone();
        for (id, incarnation) in self.newest_incarnations() {
            present.note_incarnation(id, incarnation);
        }
        let next = present.changed(change)?;
        let voters = next.voters(Half::Incoming).count();
        if self.config.durability.is_volatile() && voters < 2 {
            // Nobody has what a single one loses.
            return Err(ChangeRefusal::TooFew);
        }
        self.check_level_voters(&next, matches!(change, MembershipChange::AddVoter(_)))?;
        Ok(next)
    }

    /// The newest incarnation that is known of each member.
    fn newest_incarnations(&self) -> impl Iterator<Item = (MemberId, crate::Incarnation)> {
        let peers = &self.state.peers;
        let others = peers.ids().map(|id| (id, peers.life(id).incarnation));
        others.chain([(self.state.life.member, self.state.life.incarnation)])
    }

    /// Who becomes a voter is to have nearly all; and a majority of the voters to be, so that the
    /// change is not stuck for want of them. One that is `added_empty` is the exception.
    fn check_level_voters(
        &self,
        next: &Membership,
        added_empty: bool,
    ) -> Result<(), ChangeRefusal> {
        if !next.is_joint() {
            return Ok(());
        }
        let lagging = |member: &MemberId| !self.is_level(*member);
        let mut promoted =
            next.voters(Half::Incoming).filter(|id| !self.membership().is_voter(*id));
        if let Some(member) = promoted.find(lagging).filter(|_| !added_empty) {
            return Err(ChangeRefusal::NotLevel { member });
        }
        let mut behind = next.voters(Half::Incoming).filter(lagging);
        let first = behind.next();
        let level = next.voters(Half::Incoming).filter(|id| !lagging(id)).count();
        match first {
            Some(member) if level < majority(next.voters(Half::Incoming).count()) => {
                Err(ChangeRefusal::NotLevel { member })
            }
            _ => Ok(()),
        }
    }

    /// Whether a member is there, and lacks no more than a little of the log: nothing that may be
    /// purged before the change is committed. Without a leader it could not fetch a snapshot, and
    /// where its vote is needed it has to hear first that it has one.
    pub(super) fn is_level(&self, member: MemberId) -> bool {
        let state = &self.state;
        let span = self.config.timing.election_timeout_min;
        let leading = state.leading.as_ref();
        let held = leading.and_then(|leading| leading.held_within(member, state.now, span));
        let kept = state.snapshots.marked().max(leading.map_or(Position::MAX, Leading::base));
        let lacks_little =
            |held| held >= kept && state.log.verified.since(held) <= LEVEL_LAG_BYTES_MAX;
        member == state.life.member || held.is_some_and(lacks_little)
    }

    /// The joint phase is committed: by this leader, who may have inherited it, the change is
    /// completed.
    pub(super) fn complete_change(&mut self, actions: &mut Actions) {
        let Some(leading) = &self.state.leading else { return };
        if mutant::is(mutant::CHANGES_STAY_JOINT) {
            return;
        }
        let early = mutant::is(mutant::COMPLETES_BEFORE_COMMIT);
        if leading.has_committed(self.state.commit) || (early && leading.is_open()) {
            let next = self.membership().completed();
            if self.append_membership(next, actions) {
                crate::mark::reached(crate::mark::CHANGE_COMPLETED);
            }
        }
    }
}
