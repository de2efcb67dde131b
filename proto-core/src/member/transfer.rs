//! How a leader hands its leadership to a member of its host's choice (Raft thesis §3.10).
//!
//! ```text
//!  asked ─► the target catches up, nothing new is admitted ─► it is told to campaign ─► it leads
//!               └─ too slow, or the leadership ends ─┬─ it is not elected in time ──┘
//!                                                    └► refused, with a reason; admits again
//! ```
//!
//! What the target does is an election as any other (rules 7 and 9 hold as they are), but for the
//! canvass, which it leaves out, and for the voters' patience with their leader: its request names
//! the leader of the term before, and that is whom they follow (E18).

use super::{Handled, Member};
use crate::action::{Action, Actions};
use crate::identity::MemberId;
use crate::message::Message;
use crate::mutant;
use crate::notice::{Abdication, Notice, Role, TransferOutcome, TransferRefusal};
use crate::position::Position;
use crate::term::Term;
use crate::time::Instant;

/// A transfer under way.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Transfer {
    /// The host's number for it.
    request: u64,
    target: MemberId,
    /// The term of the leadership that is handed over.
    term: Term,
    /// When the target has to have everything; once it was told to campaign, when it has to lead.
    deadline: Instant,
    /// Whether it was told to. From then on a lease of this term must not be used (rule 13).
    is_told: bool,
}

impl Member {
    pub(super) fn handle_transfer(
        &mut self,
        request: u64,
        target: Option<MemberId>,
        actions: &mut Actions,
    ) {
        let target = match self.transfer_target(target) {
            Ok(target) => target,
            Err(refusal) => {
                let outcome = TransferOutcome::Refused(refusal);
                actions.push(Action::Notify(Notice::Transfer { request, outcome }));
                return;
            }
        };
        let deadline = self.state.now + self.config.timing.election_timeout_max;
        let term = self.state.term;
        self.state.transfer = Some(Transfer { request, target, term, deadline, is_told: false });
        self.hasten_heartbeat();
        self.pursue_transfer(actions);
    }

    /// To whom a transfer goes that was asked for now (E16).
    fn transfer_target(&self, wanted: Option<MemberId>) -> Result<MemberId, TransferRefusal> {
        let state = &self.state;
        let Some(leading) = &state.leading else {
            return Err(TransferRefusal::NotLeading { leader: state.leader });
        };
        if state.transfer.is_some() {
            return Err(TransferRefusal::UnderWay);
        }
        if !self.is_serving() {
            return Err(TransferRefusal::NotServing);
        }
        match wanted {
            Some(target) if target == state.life.member => Err(TransferRefusal::TargetIsLeader),
            Some(target) if !self.membership().is_voter(target) => {
                Err(TransferRefusal::UnknownTarget)
            }
            Some(target) => Ok(target),
            None => {
                let heard_since = self.config.timing.heartbeat_interval.times(3);
                let best = leading.most_complete(self.membership(), state.now, heard_since);
                best.filter(|best| state.peers.counts(*best)).ok_or(TransferRefusal::NoTarget)
            }
        }
    }

    /// Whether this leader admits nothing, since it is about to hand over.
    pub(super) fn is_handing_over(&self) -> bool {
        self.state.transfer.is_some() && self.state.leading.is_some()
    }

    /// Tells the target to campaign, as soon as it has all that there is, and again until it does.
    pub(super) fn pursue_transfer(&mut self, actions: &mut Actions) {
        let Some(transfer) = &mut self.state.transfer else { return };
        let Some(leading) = &self.state.leading else { return };
        let held = leading.held_and_limit(transfer.target).map_or(Position::ZERO, |held| held.0);
        let is_whole = held >= self.state.log.verified;
        if !is_whole && !mutant::is(mutant::TRANSFER_DOES_NOT_WAIT) {
            return;
        }
        // It took too long, and the timer that says so is still to be served (E16).
        if !transfer.is_told && transfer.deadline <= self.state.now {
            return;
        }
        if !transfer.is_told {
            crate::mark::reached(crate::mark::TARGET_TOLD);
            transfer.is_told = true;
            transfer.deadline = self.state.now + self.config.timing.election_timeout_min;
        }
        let (target, term) = (transfer.target, transfer.term);
        self.state.queries.promise.give_up(term);
        let round = leading.round();
        self.send(target, Message::Campaign { term, round }, actions);
    }

    /// The same, when the target has acknowledged something.
    pub(super) fn note_target(&mut self, from: MemberId, actions: &mut Actions) {
        let waits = |transfer: &Transfer| transfer.target == from && !transfer.is_told;
        if self.state.transfer.as_ref().is_some_and(waits) {
            self.pursue_transfer(actions);
        }
    }

    pub(super) fn transfer_deadline(&self) -> Option<Instant> {
        let transfer = self.state.transfer.as_ref();
        transfer.map(|transfer| transfer.deadline).filter(|_| !mutant::is(mutant::TRANSFER_STICKS))
    }

    pub(super) fn serve_transfer(&mut self, actions: &mut Actions) {
        if self.transfer_deadline().is_none_or(|deadline| deadline > self.state.now) {
            return;
        }
        let is_told = self.state.transfer.is_some_and(|transfer| transfer.is_told);
        let refusal = match is_told {
            true => TransferRefusal::NotElected,
            false => TransferRefusal::TargetBehind,
        };
        self.end_transfer(TransferOutcome::Refused(refusal), actions);
    }

    /// The transfer is over; a member that still leads admits again.
    fn end_transfer(&mut self, outcome: TransferOutcome, actions: &mut Actions) {
        if let Some(Transfer { request, .. }) = self.state.transfer.take() {
            actions.push(Action::Notify(Notice::Transfer { request, outcome }));
            self.state.flush_wanted |= self.state.leading.is_some();
        }
    }

    /// Another membership is in effect: who is no voter cannot lead.
    pub(super) fn check_target(&mut self, actions: &mut Actions) {
        let target = self.state.transfer.map(|transfer| transfer.target);
        if target.is_some_and(|target| !self.membership().is_voter(target)) {
            self.end_transfer(TransferOutcome::Refused(TransferRefusal::UnknownTarget), actions);
        }
    }

    /// This member's leadership has ended (E17). If the target was told, who leads next says what
    /// came of it.
    pub(super) fn note_leadership_ended(&mut self, actions: &mut Actions) {
        let sticks = mutant::is(mutant::TRANSFER_STICKS);
        if self.state.transfer.is_some_and(|transfer| !transfer.is_told) && !sticks {
            let outcome = TransferOutcome::Refused(TransferRefusal::LeadershipLost);
            self.end_transfer(outcome, actions);
        }
    }

    /// A leader of `term` is known: the target of a transfer, this member again, or another.
    pub(super) fn note_new_leader(&mut self, leader: MemberId, term: Term, actions: &mut Actions) {
        let Some(transfer) = &self.state.transfer else { return };
        if mutant::is(mutant::TRANSFER_STICKS) {
            return;
        }
        let outcome = match leader == transfer.target {
            true => TransferOutcome::Done { leader, term },
            false => TransferOutcome::Refused(TransferRefusal::AnotherLeads { leader }),
        };
        self.end_transfer(outcome, actions);
    }

    /// The leader hands over to this member: it stands at once, if it can.
    pub(super) fn handle_campaign(
        &mut self,
        from: MemberId,
        term: Term,
        round: u64,
        actions: &mut Actions,
    ) -> Handled {
        if term > self.state.term {
            self.raise_term(term, actions);
            return Ok(());
        }
        let state = &self.state;
        let is_meant = term == state.term
            && state.leader == Some(from)
            && state.role == Role::Follower
            // One that was overtaken by heartbeats is of a transfer that may be over (E17).
            && round >= state.following.round();
        let is_able = self.may_stand()
            && self.has_adopted()
            && !state.election.is_barred
            && !state.space.is_full();
        if !is_meant || !is_able {
            self.counters.datagrams_ignored += 1;
            return Ok(());
        }
        crate::mark::reached(crate::mark::CAMPAIGN_DEMANDED);
        self.state.assembly = None;
        self.state.leader = None;
        actions.push(Action::Notify(Notice::Leader { leader: None, term }));
        if mutant::is(mutant::CAMPAIGN_ASKS_FIRST) {
            return self.begin_canvass(actions);
        }
        self.state.election.predecessor = Some(from);
        self.nominate(actions)
    }

    /// The host stops: a leader gives up its leadership. A member of a volatile group tries at
    /// once, each time that it is told, whether a disk that was full has space again: its promises
    /// wait for that.
    pub(super) fn handle_shutdown(&mut self, actions: &mut Actions) -> Handled {
        self.send_collected(actions);
        self.state.election.is_barred = true;
        if self.config.durability.is_volatile() {
            self.state.doubt.close();
            self.retry_full_storage_now();
        }
        match self.state.role {
            Role::Leader => self.abdicate(Abdication::Shutdown, actions),
            // Late grants must not make it lead now.
            Role::Canvasser | Role::Nominee | Role::Candidate => self.step_down(actions),
            Role::Follower | Role::Stopped => {}
        }
        Ok(())
    }
}
