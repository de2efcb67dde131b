//! What must hold of what members say on the wire, whatever the time: what an onlooker can see of
//! the invariants (TESTING.md has their numbers).

use std::collections::BTreeMap;

use quorate_core::{Incoming, Life, MemberId, Message, Position, Sender, Term};
use quorate_sim::Place;

use crate::stage::Passing;

/// Who sees all that is sent, before anything is done to it.
#[derive(Debug, Default)]
pub(super) struct Onlooker {
    voters: usize,
    /// Who claimed to lead which term, and when last, in nanoseconds.
    leaders: BTreeMap<u64, (MemberId, u64)>,
    /// What the lives have said, up to the newest of each member.
    lives: BTreeMap<Life, Said>,
    /// Whom a directory has granted its vote of a term (S2).
    grants: BTreeMap<(Life, Term), MemberId>,
    /// Up to where who has acknowledged to be durable, or to hold, what a term's leader sent.
    acknowledged: BTreeMap<Term, BTreeMap<MemberId, Position>>,
    /// Up to where so many did that, with a leader, they are a quorum.
    backed: Position,
    broken: Option<String>,
}

/// What one life has said.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    term: Term,
    commit: Position,
}

/// Terms of which acknowledgements are kept: those of older ones are counted already.
const TERMS_MAX: usize = 8;

impl Onlooker {
    /// One who looks at a group of so many voters.
    pub(super) fn new(voters: usize) -> Self {
        Self { voters, ..Self::default() }
    }

    /// Who leads the highest term that was heard of, which that is, and when they were last heard,
    /// in nanoseconds.
    pub(super) fn newest_leader(&self) -> Option<(u64, MemberId, u64)> {
        self.leaders.last_key_value().map(|(term, (member, at))| (*term, *member, *at))
    }

    /// When the leader of a term was last heard, in nanoseconds.
    pub(super) fn heard_in(&self, term: u64) -> Option<u64> {
        self.leaders.get(&term).map(|(_, at)| *at)
    }

    /// What no correct group does, if it was seen.
    pub(super) const fn broken(&self) -> Option<&String> {
        self.broken.as_ref()
    }

    /// A member's disk is as it was before: it may not know whom it voted for.
    pub(super) fn forget_votes_of(&mut self, member: MemberId) {
        self.grants.retain(|(life, _), _| life.member != member);
    }

    /// Looks at a datagram of a member.
    pub(super) fn look(&mut self, passing: &Passing<'_>) {
        let Some((Sender::Member { member, incarnation, boot_epoch }, content)) = &passing.content
        else {
            return;
        };
        let life = Life { member: *member, incarnation: *incarnation, boot_epoch: *boot_epoch };
        if passing.from != Place::Member(*member) {
            self.find(format!("{member} speaks from the host of {:?}", passing.from));
        }
        match content {
            Incoming::Data { live: Some(live), epoch, .. } => {
                self.leads(life, Term(*epoch), passing.at);
                self.states(life, Term(*epoch), Some(live.commit));
                self.commits(life, Term(*epoch), (live.commit, live.newest));
            }
            Incoming::Data { .. } => {}
            Incoming::Control(message) => self.hear(life, message, passing.at),
        }
    }

    fn hear(&mut self, life: Life, message: &Message, at: u64) {
        match *message {
            Message::Heartbeat { term, newest, commit, chain_at, .. } => {
                self.leads(life, term, at);
                self.states(life, term, Some(commit));
                self.commits(life, term, (commit, newest));
                if chain_at > commit {
                    let what = format!("has applied up to {chain_at} and committed up to {commit}");
                    self.find(format!("{life:?} {what} (S10)"));
                }
            }
            Message::Acknowledge { term, durable, received, commit, .. } => {
                self.states(life, term, Some(commit));
                if durable > received {
                    let what = format!("has {durable} on its disk and received {received}");
                    self.find(format!("{life:?} {what} (S10)"));
                }
                self.acknowledges(life.member, term, durable);
            }
            // In a volatile group what is in memory counts for commit.
            Message::Holding { term, held, durable, received, commit, .. } => {
                self.states(life, term, Some(commit));
                if durable > held || held > received {
                    let what = format!("has {durable} on its disk, holds {held}, got {received}");
                    self.find(format!("{life:?} {what} (S10)"));
                }
                self.acknowledges(life.member, term, held);
            }
            Message::Ballot { term, candidate, granted, .. } => {
                self.states(life, term, None);
                if granted {
                    self.grants(life, term, candidate);
                }
            }
            Message::HistoryRequest { term, commit } => self.states(life, term, Some(commit)),
            Message::Canvass { term, .. }
            | Message::CanvassReply { term, .. }
            | Message::RequestVote { term, .. }
            | Message::History { term, .. } => self.states(life, term, None),
            _ => {}
        }
    }

    /// Two members never lead one term (S1).
    fn leads(&mut self, life: Life, term: Term, now: u64) {
        let member = life.member;
        let (leader, at) = self.leaders.entry(term.0).or_insert((member, now));
        *at = now;
        let leader = *leader;
        if leader != member {
            self.find(format!("members {leader} and {member} both lead term {term} (S1)"));
        }
    }

    /// Within a life neither its term (S4) nor its commit position (S10) falls.
    fn states(&mut self, life: Life, term: Term, commit: Option<Position>) {
        let said = self.lives.entry(life).or_default();
        let before = *said;
        said.term = said.term.max(term);
        said.commit = said.commit.max(commit.unwrap_or_default());
        if term < before.term {
            self.find(format!("{life:?} says term {term} behind term {} (S4)", before.term));
        }
        if let Some(commit) = commit.filter(|commit| *commit < before.commit) {
            let before = before.commit;
            self.find(format!(
                "{life:?} has committed up to {commit} and before up to {before} (S10)"
            ));
        }
    }

    /// A directory grants its vote of a term to one, in whatever lives (S2).
    fn grants(&mut self, life: Life, term: Term, candidate: MemberId) {
        let directory = Life { boot_epoch: Default::default(), ..life };
        let first = *self.grants.entry((directory, term)).or_insert(candidate);
        if first != candidate {
            let member = life.member;
            self.find(format!("{member} votes for {first} and {candidate} in term {term} (S2)"));
        }
    }

    fn acknowledges(&mut self, member: MemberId, term: Term, durable: Position) {
        let of_term = self.acknowledged.entry(term).or_default();
        let held = of_term.entry(member).or_default();
        *held = durable.max(*held);
        // Who acknowledges does not lead: with the leader, so many more are a quorum.
        let mut others: Vec<Position> = of_term.values().copied().collect();
        others.sort_unstable();
        let needed = self.voters / 2;
        if let Some(backed) = others.len().checked_sub(needed).and_then(|at| others.get(at)) {
            self.backed = self.backed.max(*backed);
        }
        if self.acknowledged.len() > TERMS_MAX {
            self.acknowledged.pop_first();
        }
    }

    /// A leader commits nothing that it has not (S10), and nothing without the acknowledgements of
    /// a quorum (S8).
    fn commits(&mut self, life: Life, term: Term, (commit, newest): (Position, Position)) {
        if commit > newest {
            self.find(format!("{life:?} has {newest} and has committed up to {commit} (S10)"));
        }
        if self.voters > 1 && commit > self.backed {
            let (member, backed) = (life.member, self.backed);
            self.find(format!(
                "{member} commits up to {commit} in term {term}, and a quorum has acknowledged \
                 {backed} at most (S8)"
            ));
        }
    }

    /// The first that is found counts.
    fn find(&mut self, text: String) {
        self.broken.get_or_insert(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::message::Live;
    use quorate_core::{BootEpoch, Chain, Incarnation, Stream, VoteKey};

    fn from(member: u16, boot: u64, content: Incoming<'static>) -> Passing<'static> {
        let (id, to) = (MemberId(member), Place::Member(MemberId(9)));
        let (incarnation, boot_epoch) = (Incarnation(1), BootEpoch(boot));
        let sender = Sender::Member { member: id, incarnation, boot_epoch };
        Passing { from: Place::Member(id), to, bytes: &[], content: Some((sender, content)), at: 7 }
    }

    fn heartbeat(member: u16, term: u64, commit: u64) -> Passing<'static> {
        let (commit, chain_at) = (Position(commit), Position(0));
        let (round, newest, chain) = (1, Position(800), Chain(0));
        let term = Term(term);
        let told = Message::Heartbeat { term, round, newest, commit, chain_at, chain };
        from(member, 1, Incoming::Control(told))
    }

    fn acknowledge(member: u16, term: u64, (durable, commit): (u64, u64)) -> Passing<'static> {
        let message = Message::Acknowledge {
            term: Term(term),
            sequence: 1,
            round: 1,
            durable: Position(durable),
            received: Position(400),
            limit: Position(4_000),
            commit: Position(commit),
        };
        from(member, 1, Incoming::Control(message))
    }

    fn ballot(boot: u64, candidate: u16, granted: bool) -> Passing<'static> {
        let candidate = MemberId(candidate);
        let message =
            Message::Ballot { term: Term(3), candidate, granted, key: VoteKey::default() };
        from(2, boot, Incoming::Control(message))
    }

    fn seen(all: &[Passing<'static>]) -> Option<String> {
        let mut onlooker = Onlooker::new(3);
        all.iter().for_each(|passing| onlooker.look(passing));
        onlooker.broken().cloned()
    }

    #[test]
    fn a_group_that_does_as_it_should_is_not_accused() {
        let all = [
            ballot(1, 1, true),
            ballot(1, 3, false),
            ballot(2, 1, true),
            heartbeat(1, 3, 0),
            acknowledge(2, 3, (160, 0)),
            heartbeat(1, 3, 160),
            acknowledge(2, 3, (160, 160)),
            acknowledge(3, 4, (160, 80)),
            heartbeat(2, 4, 160),
        ];
        assert_eq!(seen(&all), None);
        let mut onlooker = Onlooker::new(3);
        all.iter().for_each(|passing| onlooker.look(passing));
        assert_eq!(onlooker.newest_leader(), Some((4, MemberId(2), 7)));
        assert_eq!((onlooker.heard_in(3), onlooker.heard_in(5)), (Some(7), None));
    }

    #[test]
    fn each_rule_is_seen_to_break() {
        let back = acknowledge(2, 3, (160, 0));
        let sliced = |commit| {
            let live = Some(Live { newest: Position(800), commit: Position(commit) });
            let (stream, position, slice) = (Stream::Log, Position(0), &[][..]);
            from(1, 1, Incoming::Data { stream, epoch: 3, position, live, slice })
        };
        let elsewhere = Passing { from: Place::Member(MemberId(4)), ..heartbeat(1, 3, 0) };
        for (all, expected) in [
            (vec![heartbeat(1, 3, 0), heartbeat(2, 3, 0)], "both lead term 3 (S1)"),
            (vec![elsewhere], "speaks from the host"),
            (vec![ballot(1, 1, true), ballot(1, 3, true)], "(S2)"),
            (vec![ballot(1, 1, true), ballot(2, 3, true)], "(S2)"),
            (vec![heartbeat(1, 3, 0), heartbeat(1, 2, 0)], "(S4)"),
            (vec![heartbeat(1, 3, 160)], "(S8)"),
            (vec![back.clone(), heartbeat(1, 3, 168)], "(S8)"),
            (vec![back.clone(), sliced(168)], "(S8)"),
            (vec![back.clone(), heartbeat(1, 3, 160), heartbeat(1, 3, 152)], "(S10)"),
            (vec![back.clone(), sliced(160), heartbeat(1, 3, 152)], "(S10)"),
            (vec![acknowledge(2, 3, (160, 80)), acknowledge(2, 4, (160, 72))], "(S10)"),
            (vec![acknowledge(2, 3, (408, 0))], "(S10)"),
            (vec![acknowledge(2, 3, (400, 0)), heartbeat(1, 3, 808)], "(S10)"),
        ] {
            let found = seen(&all).unwrap_or_default();
            assert!(found.contains(expected), "{expected}: {found:?}");
        }
    }

    #[test]
    fn five_need_two_beside_their_leader_and_one_needs_nobody() {
        let mut onlooker = Onlooker::new(5);
        onlooker.look(&acknowledge(2, 3, (160, 0)));
        onlooker.look(&acknowledge(3, 3, (80, 0)));
        onlooker.look(&heartbeat(1, 3, 80));
        assert_eq!(onlooker.broken(), None);
        onlooker.look(&heartbeat(1, 3, 88));
        assert!(onlooker.broken().is_some_and(|found| found.contains("(S8)")));
        let mut onlooker = Onlooker::new(1);
        onlooker.look(&heartbeat(1, 3, 88));
        assert_eq!(onlooker.broken(), None);
    }

    #[test]
    fn a_disk_that_is_as_before_may_vote_again() {
        let mut onlooker = Onlooker::new(3);
        onlooker.look(&ballot(1, 1, true));
        onlooker.forget_votes_of(MemberId(2));
        onlooker.look(&ballot(2, 3, true));
        assert_eq!(onlooker.broken(), None);
    }
}
