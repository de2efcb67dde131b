//! What a leader counts: who has what, what is committed by it, and what is safe.

use super::super::decisions::{commit_position, committed, quorum_position};
use super::super::{Handled, Member};
use super::{Follower, Leading};
use crate::action::{Action, Actions};
use crate::config::VOTERS_MAX;
use crate::identity::MemberId;
use crate::membership::{Half, Membership};
use crate::message::Message;
use crate::mutant;
use crate::notice::Notice;
use crate::position::Position;
use crate::term::Term;
use smallvec::SmallVec;

/// What an acknowledgement says, of either sort.
struct Said {
    term: Term,
    sequence: u64,
    round: u64,
    held: Position,
    durable: Position,
    received: Position,
    limit: Position,
}

impl Said {
    /// Who says only what is durable holds that much; in a durable group nobody holds more. More
    /// durable than held is nonsense.
    const fn of(message: &Message, is_volatile: bool) -> Option<Self> {
        match *message {
            Message::Acknowledge { term, sequence, round, durable, received, limit, .. } => {
                Some(Self { term, sequence, round, held: durable, durable, received, limit })
            }
            Message::Holding { term, sequence, round, held, durable, received, limit, .. }
                if durable.0 <= held.0 =>
            {
                let held = if is_volatile { held } else { durable };
                Some(Self { term, sequence, round, held, durable, received, limit })
            }
            _ => None,
        }
    }
}

impl Leading {
    /// The highest position that a majority of each half holds: with observers, during a change,
    /// and of a leader that is to go.
    #[cold]
    #[inline(never)]
    fn held_by_voters(
        &self,
        membership: &Membership,
        (own, own_held): (MemberId, Position),
        held: impl Fn(&Follower) -> Position,
    ) -> Position {
        let of = |member: MemberId| match self.followers.get(member) {
            _ if member == own => own_held,
            Some(follower) => held(follower),
            None => Position::ZERO,
        };
        let mut all: SmallVec<[Position; VOTERS_MAX]> = SmallVec::new();
        if mutant::is(mutant::OBSERVERS_COUNT) {
            all.extend(membership.records().iter().map(|record| of(record.member)));
            return quorum_position(&mut all);
        }
        if mutant::is(mutant::LEAVING_LEADER_COUNTS_ITSELF) && !membership.is_voter(own) {
            all.extend(membership.voters(Half::Incoming).map(of));
            all.push(own_held);
            return quorum_position(&mut all);
        }
        membership.held_by_quorum(of).unwrap_or_default()
    }
}

#[cold]
#[inline(never)]
fn tell_regressed(member: MemberId, actions: &mut Actions) {
    actions.push(Action::Notify(Notice::PeerRegressed { member }));
}

impl Member {
    #[inline(never)]
    pub(in crate::member) fn handle_acknowledge(
        &mut self,
        from: MemberId,
        message: &Message,
        actions: &mut Actions,
    ) -> Handled {
        let is_volatile = self.config.durability.is_volatile();
        let Some(said) = Said::of(message, is_volatile) else { return Ok(()) };
        if matches!(message, Message::Holding { .. }) != is_volatile {
            self.note_other_level(from, actions);
        }
        let Said { term, sequence, round, held, durable, received, limit } = said;
        if term > self.state.term {
            self.raise_term(term, actions);
            return Ok(());
        }
        let (received, limit) = (received.aligned_down(), limit.aligned_down());
        let life = self.state.peers.life(from);
        let (low, head) = (self.state.log.low, self.state.log.verified);
        let Some(leading) = &mut self.state.leading else {
            self.witness(from, term, durable, actions);
            return Ok(());
        };
        leading.has_acknowledgements = true;
        let Some(follower) = leading.followers.get_mut(from) else { return Ok(()) };
        let is_new_life = follower.life != life;
        let is_stale = !is_new_life && sequence <= follower.sequence;
        if term < self.state.term || is_stale || held > head || !leading.is_open {
            crate::mark::reached(crate::mark::STALE_ACKNOWLEDGEMENT);
            self.counters.datagrams_ignored += 1;
            return Ok(());
        }
        let counted = self.state.peers.counts(from);
        if !self.state.peers.acknowledge(from, term, durable, head) {
            (follower.held, follower.durable) = (Position::ZERO, Position::ZERO);
            // It is there, and this leader is who can make it whole (check-quorum).
            follower.heard_at = self.state.now;
            if counted {
                tell_regressed(from, actions);
            }
            return Ok(());
        }
        if is_new_life || !follower.is_level {
            // What an earlier life acknowledged is void (E30); data goes on from what it has.
            follower.is_level = true;
            (follower.held, follower.durable) = (Position::ZERO, Position::ZERO);
            follower.sent = if received < low { head } else { received.min(head) };
            self.state.flush_wanted = true;
        }
        (follower.life, follower.sequence, follower.is_applicant) = (life, sequence, false);
        follower.heard_at = self.state.now;
        follower.round = follower.round.max(round);
        follower.held = follower.held.max(held);
        follower.durable = follower.durable.max(durable);
        follower.limit = limit;
        self.state.flush_wanted |= follower.sent < head.min(limit);
        self.note_target(from, actions);
        self.count_safe();
        Ok(())
    }

    /// What a former life of a member acknowledged or granted is void before the new one has said
    /// what it holds (E30): its disk may be an older image (rule 9). One that was merely restarted
    /// says it again.
    pub(in crate::member) fn void_what_was_counted(&mut self, follower: MemberId) {
        self.state.election.void_grant(follower);
        if let Some(leading) = &mut self.state.leading
            && let Some(follower) = leading.followers.get_mut(follower)
        {
            (follower.held, follower.durable) = (Position::ZERO, Position::ZERO);
            follower.registered = None;
        }
    }

    /// Remembers what another member acknowledged to the leader of both (rule 9).
    #[cold]
    #[inline(never)]
    fn witness(&mut self, from: MemberId, term: Term, durable: Position, actions: &mut Actions) {
        let state = &mut self.state;
        if term != state.term || state.history.last_term() != term {
            self.counters.datagrams_ignored += 1;
            return;
        }
        let counted = state.peers.counts(from);
        let newest = state.log.newest_known();
        if !state.peers.acknowledge(from, term, durable, newest) && counted {
            tell_regressed(from, actions);
        }
    }

    /// Commits what a quorum holds; the own disk is one voter among them (E41), or in a volatile
    /// group the own memory (rule 12).
    #[inline(always)]
    pub(in crate::member) fn advance_leader_commit(&mut self) {
        let state = &mut self.state;
        let Some(leading) = &mut state.leading else { return };
        if state.commit == state.log.verified {
            leading.progress_at = state.now;
        } else {
            self.count_held();
        }
    }

    #[inline(never)]
    fn count_held(&mut self) {
        let early = mutant::is(mutant::LEADER_COUNTS_ITSELF_EARLY);
        let own = if early { self.state.log.verified } else { self.held() };
        let Some(leading) = &mut self.state.leading else { return };
        if !core::mem::take(&mut leading.has_acknowledgements) && leading.counted == own {
            return;
        }
        leading.counted = own;
        let commit = if self.state.members.is_plain() {
            let mut held = [own; VOTERS_MAX];
            for (place, follower) in held[1..].iter_mut().zip(leading.followers.values()) {
                *place = follower.held;
            }
            let voters = leading.followers.len() + 1;
            commit_position(&mut held[..voters], leading.base, self.state.commit)
        } else {
            let own = (self.state.life.member, own);
            let held = leading.held_by_voters(self.state.members.membership(), own, |it| it.held);
            committed(held, leading.base, self.state.commit)
        };
        if leading.is_open && commit > self.state.commit {
            self.state.commit = commit;
            leading.progress_at = self.state.now;
            self.state.election.abdications = 0;
            leading.hasten_heartbeat(self.state.now, &self.config.timing);
        }
    }

    /// Counts what a quorum has durably, in a volatile group: only above the own opening frame, as
    /// commits are (rule 12). In a durable group it is what is committed.
    #[inline]
    pub(in crate::member) fn count_safe(&mut self) {
        if self.config.durability.is_volatile() {
            self.count_durable();
        }
    }

    #[inline(never)]
    fn count_durable(&mut self) {
        let own = self.state.log.durable;
        let Some(leading) = self.state.leading.as_mut().filter(|leading| leading.is_open) else {
            return;
        };
        let of = |follower: &Follower| match mutant::is(mutant::SAFE_IS_WHAT_IS_HELD) {
            true => follower.held,
            false => follower.durable,
        };
        let safe = if self.state.members.is_plain() {
            let mut durable = [own; VOTERS_MAX];
            for (place, follower) in durable[1..].iter_mut().zip(leading.followers.values()) {
                *place = of(follower);
            }
            let voters = leading.followers.len() + 1;
            commit_position(&mut durable[..voters], leading.base, leading.safe)
        } else {
            let own = (self.state.life.member, own);
            let held = leading.held_by_voters(self.state.members.membership(), own, of);
            committed(held, leading.base, leading.safe)
        };
        if safe > leading.safe {
            leading.safe = safe;
            self.release_safe_replies(safe);
        }
    }

    /// The end of what is committed and durable on a quorum, as far as this member knows.
    pub(in crate::member) fn safe(&self) -> Position {
        match (self.config.durability.is_volatile(), &self.state.leading) {
            (false, _) => self.state.commit,
            (true, Some(leading)) => leading.safe.min(self.state.commit),
            (true, None) => Position::ZERO,
        }
    }

    /// An impaired follower is there: it gets data as any other, and is told up to where it has to
    /// heal. Nothing that it holds counts, but that it is there does (rule 5).
    pub(in crate::member) fn handle_impaired(
        &mut self,
        from: MemberId,
        message: &Message,
        actions: &mut Actions,
    ) -> Handled {
        let &Message::Impaired { term, sequence, round, received, limit } = message else {
            return Ok(());
        };
        if term > self.state.term {
            self.raise_term(term, actions);
            return Ok(());
        }
        let (received, limit) = (received.aligned_down(), limit.aligned_down());
        let life = self.state.peers.life(from);
        let (low, head, now) = (self.state.log.low, self.state.log.verified, self.state.now);
        let leading = self.state.leading.as_mut().filter(|it| it.is_open);
        let Some(follower) = leading.and_then(|leading| leading.followers.get_mut(from)) else {
            self.counters.datagrams_ignored += 1;
            return Ok(());
        };
        let is_new_life = follower.life != life;
        if term < self.state.term || (!is_new_life && sequence <= follower.sequence) {
            crate::mark::reached(crate::mark::STALE_ACKNOWLEDGEMENT);
            self.counters.datagrams_ignored += 1;
            return Ok(());
        }
        if is_new_life || !follower.is_level {
            follower.is_level = true;
            follower.sent = if received < low { head } else { received.min(head) };
            self.state.flush_wanted = true;
        }
        (follower.life, follower.sequence, follower.is_applicant) = (life, sequence, false);
        (follower.held, follower.durable) = (Position::ZERO, Position::ZERO);
        (follower.heard_at, follower.round) = (now, follower.round.max(round));
        follower.limit = limit;
        self.state.flush_wanted |= follower.sent < head.min(limit);
        let newest = *follower.registered.get_or_insert(head);
        crate::mark::reached(crate::mark::IMPAIRED_REGISTERED);
        self.send(from, Message::Registered { term, boot_epoch: life.boot_epoch, newest }, actions);
        Ok(())
    }
}
