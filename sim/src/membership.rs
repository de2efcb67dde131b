//! The operator of a world whose members come and go.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::membership::VoterList;
use quorate_core::{
    ChangeOutcome, Endpoint, Event, Incarnation, MemberId, MemberRole, Membership,
    MembershipChange, NewMember, Role,
};

use crate::dice::ALWAYS;
use crate::network::Place;
use crate::report::Mark;
use crate::world::{Occurrence, World};

/// What the operator knows and has done.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    /// Machines that were not there at the formation, and have been told whom to ask: by then.
    invited: BTreeMap<usize, BTreeSet<MemberId>>,
    demanded: u64,
}

impl World {
    /// Whether there is a member for the machine at `node`, or was one.
    pub(crate) fn is_invited(&self, node: usize) -> bool {
        node < self.swarm.formed() || self.operator.invited.contains_key(&node)
    }

    /// What the configuration at `node` names, and whether it joins the group.
    pub(crate) fn known_to(&self, node: usize) -> (BTreeMap<MemberId, Endpoint>, bool) {
        let place = |id: MemberId| (id, Place::Member(id).endpoint());
        match self.operator.invited.get(&node) {
            Some(known) => (known.iter().copied().map(place).collect(), true),
            None => {
                let formed = (1..=self.swarm.formed() as u16).map(MemberId);
                (formed.map(place).collect(), false)
            }
        }
    }

    /// Has the leader, or who takes itself for one, change the members; and again after a while.
    pub(crate) fn change_members(&mut self) {
        let interval = self.swarm.membership.interval;
        if self.calm {
            return;
        }
        let pause = self.dice.members.exponential(interval).max(1);
        self.queue.push(self.now + pause, Occurrence::ChangeMembers);
        let count = self.nodes.len() as u64;
        let any = self.dice.members.below(count) as usize;
        let leads = |node: &usize| self.nodes[*node].view.role == Role::Leader;
        let leader = (0..self.nodes.len()).filter(leads).max_by_key(|it| self.nodes[*it].view.term);
        let node = leader.filter(|_| self.dice.members.chance(ALWAYS / 16 * 15)).unwrap_or(any);
        if self.nodes[node].still_until(self.now).is_some() {
            return;
        }
        let Some(member) = &self.nodes[node].member else { return };
        let membership = member.membership().clone();
        let Some(change) = self.draw_change(&membership) else { return };
        self.operator.demanded += 1;
        let request = self.operator.demanded;
        self.note(|| format!("member {} is to change the members: {change:?}", node + 1));
        self.step_member(node, Event::ChangeMembership { request, change });
    }

    fn draw_change(&mut self, membership: &Membership) -> Option<MembershipChange> {
        let records = membership.records();
        let dice = &mut self.dice.members;
        let outside: Vec<usize> = (0..self.nodes.len())
            .filter(|node| membership.get(MemberId(*node as u16 + 1)).is_none())
            .collect();
        if !outside.is_empty() && dice.chance(ALWAYS / 2) {
            let node = dice.pick(&outside);
            let as_voter = dice.chance(ALWAYS / 5);
            let new = self.invite(node, membership);
            return Some(match as_voter {
                true => MembershipChange::AddVoter(new),
                false => MembershipChange::AddObserver(new),
            });
        }
        let member = dice.pick(records).member;
        Some(match dice.below(12) {
            0 | 1 => MembershipChange::Demote { member },
            2..=4 => MembershipChange::Remove { member },
            5 => {
                let voters = records.iter().map(|record| record.member);
                let voters: VoterList = voters.filter(|_| dice.chance(ALWAYS / 2)).collect();
                MembershipChange::ReplaceVoters { voters }
            }
            _ => {
                let observes =
                    |record: &&quorate_core::MemberRecord| record.role == MemberRole::Observer;
                let member = records.iter().find(observes).map_or(member, |record| record.member);
                MembershipChange::Promote { member, standby: dice.chance(ALWAYS / 8) }
            }
        })
    }

    /// A machine is to be a member: it comes up, and knows whom to ask. One that was a member
    /// before gets a directory that is made anew; or not, as operators forget things.
    fn invite(&mut self, node: usize, membership: &Membership) -> NewMember {
        let id = self.nodes[node].id;
        let known = membership.records().iter().map(|record| record.member).collect();
        let was_removed = membership.removed_incarnation(id);
        let is_former = was_removed.is_some_and(|it| self.nodes[node].disk.incarnation() <= it);
        if is_former && self.dice.members.chance(ALWAYS / 4 * 3) && self.may_make_anew(node) {
            self.kill(node);
            self.nodes[node].disk.make_anew();
            self.tally.saw(Mark::MadeAnew);
        }
        // Whoever begins anew is told who is there by now: those of the formation may be gone.
        let is_anew = self.nodes[node].disk.incarnation() > Incarnation::FIRST;
        if node >= self.swarm.formed() || is_anew {
            let before = self.operator.invited.insert(node, known);
            if before != self.operator.invited.get(&node).cloned() {
                self.kill(node);
            }
        }
        self.queue.push(self.now, Occurrence::Restart { node });
        NewMember {
            member: id,
            incarnation: self.nodes[node].disk.incarnation(),
            endpoint: Place::Member(id).endpoint(),
            ..NewMember::default()
        }
    }

    /// Whether the directory at `node` may be lost: nobody counts it any more, whatever log they
    /// have.
    fn may_make_anew(&self, node: usize) -> bool {
        let id = self.nodes[node].id;
        let counts = |core: &quorate_core::Member| {
            let former = core.former_membership().map(|(_, membership)| membership);
            let is_voter = |membership: &Membership| membership.is_voter(id);
            is_voter(core.membership()) || former.is_some_and(is_voter)
        };
        let others = self.nodes.iter().filter(|host| host.id != id);
        others.into_iter().all(|host| host.member.as_ref().is_some_and(|core| !counts(core)))
    }

    /// Takes note of what came of a demand.
    pub(crate) fn note_change(&mut self, request: u64, outcome: ChangeOutcome) {
        match outcome {
            ChangeOutcome::Done { .. } => self.tally.saw(Mark::MembersChanged),
            ChangeOutcome::Refused(refusal) => {
                self.tally.saw(Mark::ChangeRefused);
                self.note(|| format!("change {request} is refused: {refusal}"));
            }
        }
    }

    /// In calm: a member that was away while all that it knew were replaced hears no leader, and no
    /// log says where one is. The operator gives it a newer configuration.
    pub(crate) fn tell_the_forgotten(&mut self, members: &Membership) {
        let leads = |node: &usize| self.nodes[*node].view.serving;
        let Some(leader) = (0..self.nodes.len()).rev().find(leads) else { return };
        let leader = self.nodes[leader].id;
        let known: BTreeSet<MemberId> =
            members.records().iter().map(|record| record.member).collect();
        for node in self.core.clone() {
            let host = &self.nodes[node];
            let knows = |core: &quorate_core::Member| core.endpoint_of(leader).is_some();
            if host.id != leader && !host.member.as_ref().is_some_and(knows) {
                self.operator.invited.insert(node, known.clone());
                self.kill(node);
            }
        }
    }

    /// In calm: who is a member when no change is under way any more.
    pub(crate) fn settled_members(&self) -> Option<Membership> {
        let mut settled = self.nodes.iter().filter_map(|host| {
            let core = host.member.as_ref()?;
            let is_settled = !core.membership().is_joint()
                && core.membership_position() <= host.view.commit
                && core.is_voter();
            (host.view.serving && is_settled).then_some(core.membership())
        });
        settled.next_back().cloned()
    }
}
