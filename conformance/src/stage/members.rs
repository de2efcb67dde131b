//! What an operator does to a group's membership, and what a script sees of it.

use quorate_core::membership::Half;
use quorate_core::{Incarnation, MemberId, MembershipChange, NewMember, Position};
use quorate_sim::{Place, SimDisk};

use super::{MILLI, Stage};
use crate::case::{Failure, Verdict};
use crate::edges::Input;
use crate::subject::{Changed, MembersView};

impl Stage<'_> {
    /// Asks a member to change who is a member. Returns the number of the request.
    pub fn change(&mut self, member: u16, change: MembershipChange) -> u64 {
        self.demanded += 1;
        let request = self.demanded;
        self.say(format!("asks member {member} to change the members: {change:?}, as {request}"));
        let index = self.index(member);
        self.push_input(index, Input::ChangeMembership { request, change });
        request
    }

    /// What came of a change, once it is known.
    #[must_use]
    pub fn changed(&self, request: u64) -> Option<&Changed> {
        self.changed.iter().find(|changed| changed.request == request)
    }

    /// Waits until it is known what came of a change: where it is committed, or why it is not.
    ///
    /// # Errors
    /// It is not known within twelve election time-outs, or an observer saw a rule broken.
    pub fn outcome_of(&mut self, request: u64) -> Result<Result<Position, String>, Failure> {
        let within = 12 * self.election_timeout();
        self.until("the change is answered", within, |stage| stage.changed(request).is_some())?;
        let found = self.changed(request).map(|changed| changed.outcome.clone());
        Ok(found.unwrap_or_else(|| Err(String::new())))
    }

    /// Has whoever leads change the members, and asks again for as long as the answer is one of
    /// `soon`, such as that a member is not level yet.
    ///
    /// # Errors
    /// It is refused otherwise, or not done within forty election time-outs.
    pub fn change_until_done(&mut self, change: &MembershipChange, soon: &[&str]) -> Verdict {
        let by = self.now() + 40 * self.election_timeout();
        loop {
            let leads = |stage: &Self| stage.leader().is_some_and(|it| stage.view(it).serving);
            self.until("somebody leads", 12 * self.election_timeout(), leads)?;
            let leader = self.leader().unwrap_or(1);
            let request = self.change(leader, change.clone());
            match self.outcome_of(request)? {
                Ok(_) => return Ok(()),
                Err(reason) if soon.contains(&reason.as_str()) && self.now() < by => {
                    self.run(10 * MILLI)?;
                }
                Err(reason) => {
                    return self.broken(format!("{change:?} is refused as {reason}"));
                }
            }
        }
    }

    /// A machine's member as an operator names it who wants it to be one.
    #[must_use]
    pub fn new_member(&self, member: u16) -> NewMember {
        NewMember {
            member: MemberId(member),
            incarnation: self.incarnation(member),
            endpoint: Place::Member(MemberId(member)).endpoint(),
            ..NewMember::default()
        }
    }

    /// Which directory a machine has at the moment.
    #[must_use]
    pub fn incarnation(&self, member: u16) -> Incarnation {
        self.disk(member, SimDisk::incarnation)
    }

    /// From its next start on, this is whom a machine's configuration names, itself included if it
    /// was there when the group was formed.
    pub fn configure(&mut self, member: u16, others: &[u16]) {
        self.say(format!("the configuration of member {member} names {others:?}"));
        let index = self.index(member);
        let place = |&id: &u16| (MemberId(id), Self::place_of(id).endpoint());
        self.machines[index].spec.config.voters = others.iter().map(place).collect();
    }

    /// Whom a member takes for members.
    #[must_use]
    pub fn members_of(&self, member: u16) -> Option<&MembersView> {
        self.machines[self.index(member)].seen.members.as_ref()
    }

    /// Whether a member runs and takes exactly these for voters, with no change under way and
    /// nothing of it uncommitted.
    #[must_use]
    pub fn has_voters(&self, member: u16, voters: &[u16]) -> bool {
        let Some(members) = self.members_of(member).filter(|_| self.is_up(member)) else {
            return false;
        };
        let is_committed = members.position <= self.view(member).commit;
        let found = members.membership.voters(Half::Incoming).map(|voter| voter.0);
        is_committed && !members.membership.is_joint() && found.eq(voters.iter().copied())
    }
}
