//! What a follower does with what its leader sends: slices, heartbeats, acknowledgements.

use super::decisions::follower_commit;
use super::log::Verified;
use super::{Handled, Member};
use crate::action::{Action, Actions};
use crate::identity::MemberId;
use crate::message::{Live, Message};
use crate::mutant;
use crate::notice::{FailStop, Notice, Role};
use crate::position::{Position, PositionRange};
use crate::term::{Chain, Term, VoteKey};
use crate::time::Instant;

/// A follower's knowledge of its leader in the current term.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Following {
    /// When the leader was last heard to be alive.
    pub(super) heard_at: Instant,
    /// The leader's newest heartbeat round.
    round: u64,
    /// The leader's commit position, believed since its term's history was adopted.
    commit: Position,
    /// A position and its chain value at the leader, to be compared when it is applied (rule 15).
    pub(super) chain_check: Option<(Position, Chain)>,
    /// Who refused a canvass because it has more, and how much that is (rule 8).
    pub(super) teacher: Option<(MemberId, VoteKey)>,
    /// Who was asked for bytes last and has not answered that it lacks them.
    pub(super) asked: Option<MemberId>,
    /// What came next here when a member was last heard to have purged it.
    pub(super) told_purged: Option<Position>,
    /// When the leader's history was last asked for.
    history_asked_at: Option<Instant>,
    /// Acknowledgements of this life so far.
    pub(super) acknowledgements: u64,
    acknowledgement_wanted: bool,
    /// When the other followers were last told of an acknowledgement, in this term.
    witnessed_at: Option<Instant>,
    had_gap: bool,
}

impl Following {
    /// The leader's newest heartbeat round that was heard.
    pub(super) const fn round(&self) -> u64 {
        self.round
    }

    /// A leader acknowledges nothing.
    pub(super) const fn forget_acknowledgement(&mut self) {
        self.acknowledgement_wanted = false;
    }

    /// Forgets all that was known of a leader or of its term.
    pub(super) fn forget_leader(&mut self) {
        let (mut acknowledgements, had_gap) = (self.acknowledgements, self.had_gap);
        if mutant::is(mutant::ACKNOWLEDGEMENTS_BEGIN_ANEW) {
            acknowledgements = 0;
        }
        *self = Self { acknowledgements, had_gap, ..Self::default() };
    }
}

impl Member {
    /// Whether the leader's history is adopted, and this and the term are durable: only then may
    /// its bytes count and acknowledgements of its term leave (rule 4).
    pub(super) fn has_adopted(&self) -> bool {
        let state = &self.state;
        if mutant::is(mutant::ACKNOWLEDGE_BEFORE_ADOPTION) {
            return state.leader.is_some();
        }
        state.leader.is_some() && self.history_is_durable() && state.storage.vote.term == state.term
    }

    /// Whether the history of the current term is adopted durably: only then is what its leader
    /// says of commit positions believed (rule 4).
    fn history_is_durable(&self) -> bool {
        let term = self.state.term;
        self.state.history.last_term() == term && self.state.storage.history_term == term
    }

    pub(super) fn handle_heartbeat(
        &mut self,
        from: MemberId,
        message: &Message,
        actions: &mut Actions,
    ) -> Handled {
        let &Message::Heartbeat { term, round, newest, commit, chain_at, chain } = message else {
            return Ok(());
        };
        if term < self.state.term && !mutant::is(mutant::OLD_LEADERS_ARE_FOLLOWED) {
            self.send_term(from, actions);
            return Ok(());
        }
        self.follow(from, term, actions)?;
        self.check_level()?;
        if round <= self.state.following.round {
            self.counters.datagrams_ignored += 1;
            return Ok(());
        }
        self.state.following.round = round;
        self.state.following.heard_at = self.state.now;
        if !mutant::is(mutant::HEARTBEATS_DO_NOT_QUIET) {
            self.put_off_election();
        }
        self.believe_commit(commit);
        self.promise();
        if self.state.history.last_term() == term {
            self.state.log.image.hear_newest(newest);
            let check = &mut self.state.following.chain_check;
            if check.is_none() && chain_at > self.state.applier.applied {
                *check = Some((chain_at, chain));
            }
        }
        if !self.has_adopted() {
            // Asked again until it is durable: that also tells the leader that somebody is there.
            self.ask_for_history(from, actions);
        } else {
            self.note_contact(commit);
        }
        self.watch_stalls(actions);
        self.want_acknowledgement();
        Ok(())
    }

    /// Accepts `from` as the leader of `term`, which is not below the current one (E12).
    fn follow(&mut self, from: MemberId, term: Term, actions: &mut Actions) -> Handled {
        if term > self.state.term {
            self.raise_term(term, actions);
        }
        if self.state.role == Role::Leader {
            if mutant::is(mutant::TWO_LEADERS_MERGE) {
                return Ok(());
            }
            return Err(FailStop::TwoLeaders { term });
        }
        match self.state.leader {
            Some(leader) if leader == from => Ok(()),
            Some(_) => Err(FailStop::TwoLeaders { term }),
            None => {
                if self.state.role != Role::Follower {
                    crate::mark::reached(crate::mark::CANDIDATE_MEETS_LEADER);
                }
                self.set_role(Role::Follower, actions);
                self.state.leader = Some(from);
                self.state.following.teacher = None;
                self.state.log.image.change_source();
                actions.push(Action::Notify(Notice::Leader { leader: Some(from), term }));
                self.note_new_leader(from, term, actions);
                Ok(())
            }
        }
    }

    /// Asks the leader for its history, again after a while if it does not come.
    fn ask_for_history(&mut self, leader: MemberId, actions: &mut Actions) {
        let now = self.state.now;
        let asked_at = self.state.following.history_asked_at;
        let retry = match mutant::is(mutant::HISTORY_IS_ASKED_FOR_ONCE) {
            true => crate::time::Duration(u64::MAX),
            false => self.config.timing.nak_retry,
        };
        if asked_at.is_none_or(|at| now.since(at) >= retry) {
            self.state.following.history_asked_at = Some(now);
            self.request_history(leader, actions);
        }
    }

    pub(super) fn handle_abdicate(
        &mut self,
        from: MemberId,
        term: Term,
        actions: &mut Actions,
    ) -> Handled {
        if term > self.state.term {
            self.raise_term(term, actions);
            return Ok(());
        }
        if term < self.state.term || self.state.leader != Some(from) {
            self.counters.datagrams_ignored += 1;
            return Ok(());
        }
        self.release_promise();
        // No need to wait for the time-out; a short random pause avoids a split vote (E97).
        self.step_down(actions);
        let interval = self.config.timing.heartbeat_interval;
        let pause = self.state.random.between(crate::time::Duration::ZERO, interval.times(2));
        // Whoever lets others go first does so here too, but not behind the one that gave up: it
        // would lead again, and find again that it cannot (rule 8).
        let delay = self.own_delay().min(interval.times(2));
        self.state.election.deadline = self.state.now + pause + delay;
        Ok(())
    }

    /// Takes in a slice of the log. Its header names the term that owns its bytes, and gives no
    /// authority: they enter only if the adopted history says the same of all of them (rule 4).
    pub(super) fn handle_slice(
        &mut self,
        from: MemberId,
        term: Term,
        (position, slice): (Position, &[u8]),
        live: Option<Live>,
        actions: &mut Actions,
    ) -> Handled {
        let range = PositionRange::at(position, slice.len() as u64);
        let is_live = live.is_some() && self.state.leader == Some(from) && term == self.state.term;
        if self.state.role == Role::Leader || !self.owns(term, range) {
            self.counters.slices_dropped += 1;
            crate::mark::reached(crate::mark::SLICE_NOT_OWNED);
            return Ok(());
        }
        if let (Some(live), true) = (live, is_live) {
            self.state.log.image.hear_newest(live.newest);
            self.believe_commit(live.commit);
        }
        let limit = self.state.log.limit();
        let within = PositionRange::new(range.start, range.end.min(limit));
        // What is beyond the window is asked for again once there is room (rule 19).
        self.counters.slices_dropped += u64::from(within != range);
        self.make_room(within.end);
        let new = self.state.log.receive(self.state.now, position, slice);
        self.counters.duplicate_bytes += within.len().saturating_sub(new);
        if new > 0 {
            self.verify(actions)?;
            self.state.flush_wanted |= self.state.following.acknowledgement_wanted;
        }
        Ok(())
    }

    /// Verifies what is held as a whole, and takes up at once what it changes.
    fn verify(&mut self, actions: &mut Actions) -> Handled {
        loop {
            match self.state.log.verify(&self.state.history)? {
                Verified::Whole => return self.check_level(),
                Verified::Rejected { of } => {
                    self.counters.frames_rejected += 1;
                    if let Some(of) = of {
                        self.state.sources.note_false(self.state.now, of);
                    }
                    return Ok(());
                }
                Verified::Readmission { frame, life } => {
                    self.meet_readmission(frame, life, actions)?;
                }
                Verified::Membership { frame, payload } => {
                    self.meet_membership(frame, payload, actions)?;
                }
            }
        }
    }

    /// Whether the history assigns exactly `term` to all of `range`.
    pub(super) fn owns(&self, term: Term, range: PositionRange) -> bool {
        if mutant::is(mutant::SLICES_OF_ANY_TERM) {
            return true;
        }
        let owner = self.state.history.owner_to(range.start);
        owner.is_some_and(|(line, end)| line.term == term && range.end <= end)
    }

    fn believe_commit(&mut self, commit: Position) {
        if !self.history_is_durable() && !mutant::is(mutant::COMMIT_BEFORE_ADOPTION) {
            return;
        }
        let following = &mut self.state.following;
        following.commit = following.commit.max(commit);
    }

    /// Takes over the leader's commit position as far as the log is verified, or computes it.
    #[inline(always)]
    pub(super) fn advance_commit(&mut self, actions: &mut Actions) {
        if self.state.leading.is_some() {
            self.advance_leader_commit();
        } else {
            let (log, commit) = (&self.state.log, self.state.following.commit);
            let received = log.image.received();
            self.state.commit = follower_commit(commit, log.verified, received, self.state.commit);
        }
        self.note_gap(actions);
    }

    #[inline(always)]
    fn note_gap(&mut self, actions: &mut Actions) {
        // Data that is merely under way is no gap: only what lies behind a hole shows one.
        let has_gap = !self.state.log.image.beyond().is_empty();
        if has_gap != self.state.following.had_gap {
            self.tell_gap(has_gap, actions);
        }
    }

    #[cold]
    fn tell_gap(&mut self, has_gap: bool, actions: &mut Actions) {
        let at = self.state.log.image.received();
        self.state.following.had_gap = has_gap;
        let notice = if has_gap { Notice::GapOpened { at } } else { Notice::GapHealed { at } };
        actions.push(Action::Notify(notice));
    }

    /// An acknowledgement is due with the next flush.
    pub(super) fn want_acknowledgement(&mut self) {
        if self.state.leading.is_none() && self.state.leader.is_some() {
            self.state.following.acknowledgement_wanted = true;
            self.state.flush_wanted = true;
        }
    }

    /// Sends the acknowledgement that is due, to whom this member follows.
    pub(super) fn acknowledge(&mut self, actions: &mut Actions) {
        let Some(leader) = self.state.leader else { return };
        let wanted = core::mem::take(&mut self.state.following.acknowledgement_wanted);
        if !wanted || !self.has_adopted() || self.records_lag() {
            return;
        }
        if self.is_applicant() {
            self.apply_for_readmission(actions);
            return;
        }
        if self.is_impaired() {
            self.ask_to_be_registered(actions);
            return;
        }
        if self.state.doubt.is_closing() {
            return;
        }
        let message = self.next_acknowledgement();
        self.send(leader, message, actions);
        if self.is_to_be_witnessed() {
            self.acknowledge_to_all_but(leader, actions);
        }
    }

    pub(super) fn acknowledge_to_all_but(&mut self, one: MemberId, actions: &mut Actions) {
        for index in 0..self.state.peers.len() {
            if let Some(other) = self.state.peers.at(index).filter(|other| *other != one) {
                let message = self.next_acknowledgement();
                self.send(other, message, actions);
            }
        }
    }

    /// Whether the others, too, are to hear where this member is, so that an older image of its
    /// disk is noticed whoever is left then: at first in each term, and at a bounded interval from
    /// then on (rule 9).
    pub(super) fn is_to_be_witnessed(&mut self) -> bool {
        let (now, interval) = (self.state.now, self.config.timing.peer_record_interval);
        let witnessed_at = &mut self.state.following.witnessed_at;
        let is_due = witnessed_at.is_none_or(|at| now.since(at) >= interval);
        if is_due {
            *witnessed_at = Some(now);
        }
        is_due
    }

    fn next_acknowledgement(&mut self) -> Message {
        self.state.following.acknowledgements += 1;
        let log = &self.state.log;
        let early = mutant::is(mutant::ACKNOWLEDGE_BEFORE_DURABLE);
        let loose = mutant::is(mutant::ACKNOWLEDGES_RECEIVED);
        let (term, sequence) = (self.state.term, self.state.following.acknowledgements);
        let (round, commit) = (self.state.following.round, self.state.commit);
        let (received, limit) = (log.image.received(), log.limit());
        let durable = match (early, loose) {
            (true, _) => log.written,
            (_, true) => received,
            _ => log.durable,
        };
        if self.config.durability.is_volatile() {
            let held = self.held().max(durable);
            let (held, received) = (held, received.max(held));
            return Message::Holding {
                term,
                sequence,
                round,
                held,
                durable,
                received,
                limit,
                commit,
            };
        }
        Message::Acknowledge { term, sequence, round, durable, received, limit, commit }
    }
}
