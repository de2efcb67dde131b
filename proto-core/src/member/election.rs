//! Canvass, nomination, ballot: how a member comes to lead (Raft §5.2, thesis §9.6).
//!
//! ```text
//!  Follower ─time-out─► Canvasser ─quorum would grant─► Nominee ─own vote durable─► Candidate
//!     ▲                    │  ▲                                                       │
//!     └─── leader heard ───┘  └───────────────── time-out ◄───────────────────────────┤
//!                                                              quorum granted ──► Leader
//! ```

mod grants;

use smallvec::SmallVec;

use super::decisions::{Asked, canvass_granted, is_handed_over, vote_granted};
use super::removed::ASKED_AROUND;
use super::{Handled, Member};
use crate::action::{Action, Actions};
use crate::frame::Level;
use crate::identity::MemberId;
use crate::message::Message;
use crate::mutant;
use crate::notice::{FailStop, Notice, Role};
use crate::term::{Term, Vote, VoteKey};
use crate::time::{Duration, Instant};

/// Failed attempts after an abdication lengthen the pause up to this factor.
const PAUSE_FACTOR_MAX: u64 = 5;

/// How far an election has come.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Election {
    /// When a member that knows no leader begins, or begins again.
    pub(super) deadline: Instant,
    /// When unanswered requests of this round are sent again.
    resend_at: Instant,
    round: u64,
    granted: SmallVec<[MemberId; 8]>,
    /// Who has answered the canvass of this round, with yes or no.
    answered: SmallVec<[MemberId; 8]>,
    /// The last round of canvassing that ended without a result was answered by too few to elect
    /// anybody, or too few answered while this member led (E69).
    pub(super) lacks_quorum: bool,
    /// Those of them that are impaired, each with the newest term of its history.
    doubtful: SmallVec<[(MemberId, Term); 8]>,
    /// Those of another level that the host was told of, in their present lives.
    other_level: SmallVec<[MemberId; 8]>,
    /// The newest term that this member has led in this life.
    pub(super) led: Option<Term>,
    /// As if it had led this one: so says the forced recovery that chose this member (rule 5 v).
    decreed: Option<Term>,
    /// The leader of the term before, if it has told this member to stand.
    pub(super) predecessor: Option<MemberId>,
    /// The delay of its candidacy is over, or another went first: it is not put off again before a
    /// leader is heard (E19).
    has_waited: bool,
    /// The host stops: no more elections.
    pub(super) is_barred: bool,
    /// Leaderships given up for want of progress, since the last commit.
    pub(super) abdications: u64,
}

impl Election {
    pub(super) fn new(decreed: Option<Term>) -> Self {
        Self { decreed, ..Self::default() }
    }

    /// A grant of a former life counts no more.
    pub(super) fn void_grant(&mut self, from: MemberId) {
        self.granted.retain(|granted| *granted != from);
        self.other_level.retain(|told| *told != from);
        self.doubtful.retain(|(granted, _)| *granted != from);
    }
}

impl Member {
    /// The first time-out of a life; who is alone need not wait.
    pub(super) fn schedule_first_election(&mut self) {
        self.schedule_election();
        if self.membership().is_alone(self.state.life.member) {
            self.state.election.deadline = self.state.now;
        }
    }

    /// Draws the next time-out anew (E01).
    pub(super) fn schedule_election(&mut self) {
        let timing = &self.config.timing;
        let (least, most) = (timing.election_timeout_min, timing.election_timeout_max);
        let mut pause = self.state.random.between(least, most);
        if mutant::is(mutant::DRAWS_FROM_AN_ADDRESS) {
            pause.0 += (core::ptr::from_ref(self).addr() >> 4) as u64 & 0xff;
        }
        // Who has much to replay would keep clients waiting as leader: the others go first.
        let unapplied = self.state.log.verified.since(self.state.applier.applied);
        let is_behind = unapplied > self.config.limits.unapplied_bytes_max;
        let abdications = self.state.election.abdications.min(PAUSE_FACTOR_MAX);
        let factor = 1 + abdications + u64::from(is_behind);
        self.state.election.deadline = self.state.now + pause.times(factor) + self.own_delay();
    }

    /// For how long the others go first, once.
    pub(super) fn own_delay(&self) -> Duration {
        match self.state.election.has_waited {
            true => Duration::ZERO,
            false => self.config.timing.candidacy_delay,
        }
    }

    /// A leader is heard: when it is lost, the others go first again.
    pub(super) fn put_off_election(&mut self) {
        self.state.election.lacks_quorum = false;
        self.state.election.has_waited = false;
        self.schedule_election();
    }

    pub(super) fn election_deadline(&self) -> Option<Instant> {
        let election = &self.state.election;
        if election.is_barred || self.state.role == Role::Leader {
            return None;
        }
        let resending = matches!(self.state.role, Role::Canvasser | Role::Candidate);
        let deadline = election.deadline;
        Some(if resending { deadline.min(election.resend_at) } else { deadline })
    }

    pub(super) fn serve_election(&mut self, actions: &mut Actions) -> Handled {
        if self.election_deadline().is_none() {
            return Ok(());
        }
        let now = self.state.now;
        if self.state.election.deadline <= now {
            if self.state.leader.take().is_some() {
                let term = self.state.term;
                actions.push(Action::Notify(Notice::Leader { leader: None, term }));
            }
            return self.begin_canvass(actions);
        }
        if self.state.election.resend_at <= now {
            match self.state.role {
                Role::Canvasser => self.send_canvass(actions),
                Role::Candidate => self.send_request_vote(actions),
                Role::Follower | Role::Nominee | Role::Leader | Role::Stopped => {}
            }
        }
        Ok(())
    }

    /// Asks whether an election could be won; the term does not rise by it (E07).
    pub(super) fn begin_canvass(&mut self, actions: &mut Actions) -> Handled {
        if self.state.role == Role::Canvasser && !self.is_answered_by_quorum() {
            self.state.election.lacks_quorum = true;
        }
        self.state.election.has_waited = true;
        self.schedule_election();
        self.state.election.predecessor = None;
        if !self.may_stand() {
            self.ask_around(actions);
            return Ok(());
        }
        if self.is_bound() {
            return Ok(());
        }
        let is_delayed = self.config.timing.candidacy_delay > Duration::ZERO;
        if mutant::is(mutant::CANDIDACY_IS_BLOCKED) && is_delayed && self.state.term > Term(0) {
            return Ok(());
        }
        // A member that is still cutting its log, or cannot write one, is no candidate (E20).
        if self.state.storage.history_is_pending() || self.state.space.is_full() {
            return Ok(());
        }
        self.counters.canvasses += 1;
        self.state.election.round += 1;
        self.state.election.answered.clear();
        self.begin_count();
        self.set_role(Role::Canvasser, actions);
        self.send_canvass(actions);
        self.conclude_canvass(actions)
    }

    fn send_canvass(&mut self, actions: &mut Actions) {
        let message = Message::Canvass {
            term: self.state.term,
            round: self.state.election.round,
            key: self.own_key(),
        };
        self.ask_the_rest(&message, actions);
    }

    fn send_request_vote(&mut self, actions: &mut Actions) {
        let (term, key) = (self.state.term, self.own_key());
        let message = match self.state.election.predecessor {
            Some(predecessor) => Message::RequestSuccession { term, key, predecessor },
            None => Message::RequestVote { term, key },
        };
        self.ask_the_rest(&message, actions);
    }

    /// Sends a request of this round to everybody who has not granted yet.
    fn ask_the_rest(&mut self, message: &Message, actions: &mut Actions) {
        for peer in self.state.peers.ids() {
            let is_asked = self.membership().is_voter(peer);
            if is_asked && !self.state.election.granted.contains(&peer) {
                self.send(peer, message.clone(), actions);
            }
        }
        self.state.election.resend_at = self.state.now + self.config.timing.heartbeat_interval;
    }

    pub(super) fn own_key(&self) -> VoteKey {
        self.state.log.key(&self.state.history)
    }

    fn conclude_canvass(&mut self, actions: &mut Actions) -> Handled {
        let is_settled = !self.state.storage.history_is_pending();
        if self.state.role == Role::Canvasser && is_settled && self.has_quorum_of_grants() {
            return self.nominate(actions);
        }
        Ok(())
    }

    /// Stands for the next term; nobody is asked before the own vote is durable (E02).
    pub(super) fn nominate(&mut self, actions: &mut Actions) -> Handled {
        let stands_again = self.state.granted_to == Some(self.state.life.member)
            && mutant::is(mutant::STANDS_AGAIN_IN_ITS_TERM);
        if !stands_again {
            self.state.term = self.state.term.next().ok_or(FailStop::Exhausted)?;
        }
        self.state.granted_to = Some(self.state.life.member);
        // Should another win this term, its heartbeats begin at the first round.
        self.state.following.forget_leader();
        self.set_role(Role::Nominee, actions);
        self.schedule_election();
        if stands_again {
            let vote = Vote { term: self.state.term, granted_to: self.state.granted_to };
            return self.handle_vote_durable(vote, actions);
        }
        Ok(())
    }

    pub(super) fn handle_vote_durable(&mut self, vote: Vote, actions: &mut Actions) -> Handled {
        if vote.term != self.state.term {
            return Ok(());
        }
        self.want_acknowledgement();
        let own = self.state.life.member;
        match vote.granted_to {
            Some(candidate) if candidate == own => {
                if self.state.role == Role::Nominee {
                    self.set_role(Role::Candidate, actions);
                    self.begin_count();
                    self.send_request_vote(actions);
                    return self.conclude_ballot(actions);
                }
                Ok(())
            }
            Some(candidate) => {
                self.send_ballot(candidate, true, actions);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What candidates, and those who may become ones, say, and what they are told.
    pub(super) fn handle_election(
        &mut self,
        from: MemberId,
        message: &Message,
        actions: &mut Actions,
    ) -> Handled {
        match *message {
            Message::Canvass { term, round, key } => {
                self.handle_canvass(from, term, round, key, actions);
                Ok(())
            }
            Message::CanvassReply { term, round, granted, key } => {
                self.handle_canvass_reply(from, term, round, granted, key, actions)
            }
            Message::RequestVote { term, key } => {
                self.handle_request_vote(from, Asked { term, key }, None, actions)
            }
            Message::RequestSuccession { term, key, predecessor } => {
                self.handle_request_vote(from, Asked { term, key }, Some(predecessor), actions)
            }
            Message::Ballot { term, candidate, granted, key } => {
                self.handle_ballot(from, term, candidate, granted, key, actions)
            }
            _ => Ok(()),
        }
    }

    fn handle_canvass(
        &mut self,
        from: MemberId,
        term: Term,
        round: u64,
        key: VoteKey,
        actions: &mut Actions,
    ) {
        let asked = Asked { term, key };
        let own_key = self.own_key();
        if self.tells_of_removal(from, actions) {
            return;
        }
        let is_whole = self.examine(from, key, actions) && self.has_a_vote_for(from, key, actions);
        // Rounds begin at one: a grant that names its level with round zero would be a vote.
        let is_round = round != 0 || !self.names_level();
        let granted = is_round
            && is_whole
            && canvass_granted(asked, self.state.term, own_key, self.has_live_leader());
        let message = match granted && self.names_level() {
            true => self.level_grant(from, round),
            false => Message::CanvassReply { term: self.state.term, round, granted, key: own_key },
        };
        self.send(from, message, actions);
    }

    /// Whether somebody leads, as far as this member can tell (leader stickiness, thesis §4.2.3).
    pub(super) fn has_live_leader(&self) -> bool {
        let state = &self.state;
        match state.leader {
            _ if self.is_bound() => true,
            Some(leader) if leader == state.life.member => true,
            Some(_) => {
                let silence = state.now.since(state.following.heard_at);
                silence < self.config.timing.election_timeout_min
            }
            None => false,
        }
    }

    fn handle_canvass_reply(
        &mut self,
        from: MemberId,
        term: Term,
        round: u64,
        granted: bool,
        key: VoteKey,
        actions: &mut Actions,
    ) -> Handled {
        if round == ASKED_AROUND {
            self.learn_who_leads(from, key, actions);
            return Ok(());
        }
        if self.state.role != Role::Canvasser || round != self.state.election.round {
            self.counters.datagrams_ignored += 1;
            return Ok(());
        }
        self.note_answer(from);
        if !granted {
            return self.learn_from_refusal(from, term, key, actions);
        }
        if self.is_of_own_level(from, Level::Durable, actions) && self.examine(from, key, actions) {
            self.note_grant(from, None);
        }
        self.conclude_canvass(actions)
    }

    /// A refusal teaches: a higher term, a newer history, or missing bytes (rule 8, E09, E81).
    fn learn_from_refusal(
        &mut self,
        from: MemberId,
        term: Term,
        key: VoteKey,
        actions: &mut Actions,
    ) -> Handled {
        if term > self.state.term {
            self.raise_term(term, actions);
            // The next canvass says the new term; a short pause lets other refusals come in.
            let pause = self.config.timing.heartbeat_interval;
            self.state.election.deadline = self.state.now + pause;
        }
        if key > self.own_key() {
            crate::mark::reached(crate::mark::CANVASS_TEACHES);
            self.learn_from(from, key, actions);
        }
        Ok(())
    }

    /// Whether a member still has what it acknowledged, by the key that it states: one that came
    /// back with less neither counts nor is elected (rule 9).
    fn examine(&mut self, from: MemberId, key: VoteKey, actions: &mut Actions) -> bool {
        let counted = self.state.peers.counts(from);
        let newest = self.state.log.newest_known();
        let is_whole = self.state.peers.examine(from, key, &self.state.history, newest);
        if counted && !is_whole {
            actions.push(Action::Notify(Notice::PeerRegressed { member: from }));
        }
        is_whole
    }

    /// A voter that is impaired or volatile grants a canvass of this member, or its vote.
    pub(super) fn handle_level_grant(
        &mut self,
        from: MemberId,
        message: &Message,
        actions: &mut Actions,
    ) -> Handled {
        let &Message::LevelGrant { term, round, candidate, line, key, level, impaired } = message
        else {
            return Ok(());
        };
        let (role, is_ballot) = (self.state.role, round == 0);
        if is_ballot && term > self.state.term {
            self.raise_term(term, actions);
            return Ok(());
        }
        let is_awaited = match is_ballot {
            true => role == Role::Candidate && term == self.state.term,
            false => role == Role::Canvasser && round == self.state.election.round,
        };
        if !is_awaited || candidate != self.state.life.member {
            self.counters.datagrams_ignored += 1;
            return Ok(());
        }
        if !is_ballot {
            self.note_answer(from);
        }
        if self.is_of_own_level(from, level, actions) && self.examine(from, key, actions) {
            self.note_grant(from, impaired.then_some(line));
        }
        if is_ballot { self.conclude_ballot(actions) } else { self.conclude_canvass(actions) }
    }

    /// Whether this member's grants say more than that they are granted.
    fn names_level(&self) -> bool {
        self.is_impaired() || self.config.durability.is_volatile()
    }

    /// What is sent in place of a grant then; `round` is zero for a vote.
    fn level_grant(&self, to: MemberId, round: u64) -> Message {
        Message::LevelGrant {
            term: self.state.term,
            round,
            candidate: to,
            line: self.state.history.last_term(),
            key: self.own_key(),
            level: self.config.durability.level(),
            impaired: self.is_impaired(),
        }
    }

    /// Tells the host, once for each life of that member.
    #[cold]
    pub(super) fn note_other_level(&mut self, of: MemberId, actions: &mut Actions) {
        let told = &mut self.state.election.other_level;
        if !told.contains(&of) {
            told.push(of);
            actions.push(Action::Notify(Notice::OtherLevel { member: of }));
        }
    }

    /// Whether the voter takes the same for committed as this member does (rule 12). Its grant does
    /// not count if not: who is configured unlike the others is elected by nobody, and elects
    /// nobody.
    fn is_of_own_level(&mut self, from: MemberId, level: Level, actions: &mut Actions) -> bool {
        let is_own = level == self.config.durability.level();
        if !is_own {
            self.note_other_level(from, actions);
        }
        is_own
    }

    fn handle_request_vote(
        &mut self,
        from: MemberId,
        asked: Asked,
        predecessor: Option<MemberId>,
        actions: &mut Actions,
    ) -> Handled {
        let Asked { term, key } = asked;
        let (own_term, leader) = (self.state.term, self.state.leader);
        if self.is_bound() || (term > own_term && self.has_live_leader()) {
            if !is_handed_over(term, predecessor, own_term, leader) {
                self.counters.datagrams_ignored += 1;
                return Ok(());
            }
            self.release_promise();
        }
        if term > own_term {
            self.raise_term(term, actions);
        }
        let vote = Vote { term: self.state.term, granted_to: self.state.granted_to };
        if self.tells_of_removal(from, actions) {
            return Ok(());
        }
        let is_whole = self.examine(from, key, actions) && self.has_a_vote_for(from, key, actions);
        if !is_whole || !vote_granted(from, asked, vote, self.own_key()) {
            crate::mark::reached(crate::mark::BALLOT_REFUSED);
            self.send_ballot(from, false, actions);
            return Ok(());
        }
        let durable = self.state.storage.vote;
        self.state.granted_to = Some(from);
        self.state.election.has_waited = true;
        self.schedule_election();
        let granted = Vote { term, granted_to: Some(from) };
        if durable == granted || mutant::is(mutant::VOTE_BEFORE_DURABLE) {
            crate::mark::reached(crate::mark::BALLOT_REPEATED);
            self.send_ballot(from, true, actions);
        }
        Ok(())
    }

    fn send_ballot(&self, to: MemberId, granted: bool, actions: &mut Actions) {
        if self.is_applicant() {
            return;
        }
        let key = self.own_key();
        let message = match granted && self.names_level() {
            true => self.level_grant(to, 0),
            false => Message::Ballot { term: self.state.term, candidate: to, granted, key },
        };
        self.send(to, message, actions);
    }

    /// Tells a member of a lower term that its time is over (E05).
    pub(super) fn send_term(&self, to: MemberId, actions: &mut Actions) {
        self.send_ballot(to, false, actions);
    }

    fn handle_ballot(
        &mut self,
        from: MemberId,
        term: Term,
        candidate: MemberId,
        granted: bool,
        key: VoteKey,
        actions: &mut Actions,
    ) -> Handled {
        if term > self.state.term {
            self.raise_term(term, actions);
            return Ok(());
        }
        let is_ours = term == self.state.term && candidate == self.state.life.member;
        if self.state.role != Role::Candidate || !is_ours || !granted {
            crate::mark::reached(crate::mark::LATE_GRANT);
            return Ok(());
        }
        if self.is_of_own_level(from, Level::Durable, actions) && self.examine(from, key, actions) {
            self.note_grant(from, None);
        }
        self.conclude_ballot(actions)
    }

    fn conclude_ballot(&mut self, actions: &mut Actions) -> Handled {
        if self.state.role == Role::Candidate && self.has_quorum_of_grants() {
            return self.lead(actions);
        }
        Ok(())
    }

    /// A newer term: whatever this member was in the old one is over (E06). Outputs in the new
    /// term wait until it is durable.
    pub(super) fn raise_term(&mut self, term: Term, actions: &mut Actions) {
        debug_assert!(term > self.state.term, "terms only rise");
        if !mutant::is(mutant::NEWER_TERM_KEEPS_THE_ROLE) {
            self.step_down(actions);
        }
        self.state.term = term;
        self.state.granted_to = None;
        self.notify_role(actions);
    }

    /// Becomes a follower without a leader.
    pub(super) fn step_down(&mut self, actions: &mut Actions) {
        if self.state.leading.take().is_some() {
            crate::mark::reached(crate::mark::TERM_ENDS_LEADERSHIP);
            self.state.sessions.timers.recall();
            // Deadlines of a leader are none of a follower's.
            self.schedule_election();
            self.end_stalls_of_followers(actions);
            self.note_leadership_ended(actions);
            self.note_change_ended(actions);
        }
        self.state.assembly = None;
        self.state.election.predecessor = None;
        self.state.following.forget_leader();
        if self.state.leader.take().is_some() {
            let term = self.state.term;
            actions.push(Action::Notify(Notice::Leader { leader: None, term }));
        }
        self.set_role(Role::Follower, actions);
    }

    pub(super) fn set_role(&mut self, role: Role, actions: &mut Actions) {
        if self.state.role != role {
            self.state.role = role;
            self.notify_role(actions);
        }
    }
}
