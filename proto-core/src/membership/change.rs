//! What may be asked to be changed, and what becomes of a membership by it.

use smallvec::SmallVec;

use super::{MEMBERS_MAX, MemberRecord, MemberRole, Membership};
use crate::config::VOTERS_MAX;
use crate::identity::{Endpoint, Incarnation, MemberId};

/// The voters that a group is to have.
pub type VoterList = SmallVec<[MemberId; VOTERS_MAX]>;

/// A member that is to be one.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct NewMember {
    /// Its number, which no other member has.
    pub member: MemberId,
    /// The incarnation of its directory.
    pub incarnation: Incarnation,
    /// Where the other members reach it.
    pub endpoint: Endpoint,
    /// Where clients reach it, if that is elsewhere.
    pub clients: Option<Endpoint>,
    /// The machine that it runs on; zero for any.
    pub machine: u32,
    /// The zone that the machine is in; zero for any.
    pub zone: u32,
}

/// What an operator wants to be changed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum MembershipChange {
    /// One more member, which receives the log and counts for nothing.
    AddObserver(NewMember),
    /// One more voter at once, which has nothing yet: refused unless the others are enough to
    /// commit that.
    AddVoter(NewMember),
    /// An observer becomes a voter or a standby, or one of those the other.
    Promote {
        /// Who.
        member: MemberId,
        /// Whether it is to be a standby.
        standby: bool,
    },
    /// A voter becomes an observer.
    Demote {
        /// Who.
        member: MemberId,
    },
    /// A member is none any more.
    Remove {
        /// Who.
        member: MemberId,
    },
    /// A member is reached elsewhere.
    Relocate {
        /// Who.
        member: MemberId,
        /// Where the other members reach it.
        endpoint: Endpoint,
        /// Where clients reach it, if that is elsewhere.
        clients: Option<Endpoint>,
    },
    /// These members are the voters, and all others are observers.
    ReplaceVoters {
        /// Who.
        voters: VoterList,
    },
}

/// Why the membership is not changed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeRefusal {
    /// The member that was asked does not lead.
    #[error("this member does not lead; ask the leader")]
    NotLeader {
        /// Who leads, as far as it knows.
        leader: Option<MemberId>,
    },
    /// Nothing of its own term is committed yet (E56).
    #[error("the leader has not committed anything in its term yet; ask again in a moment")]
    NotYetOpen,
    /// Another change is under way (E57).
    #[error("another change is under way; wait for its end")]
    Busy,
    /// No such member.
    #[error("member {member} is no member of the group")]
    UnknownMember {
        /// Who.
        member: MemberId,
    },
    /// It is a member already.
    #[error("member {member} is a member already; promote it, or take another number")]
    AlreadyMember {
        /// Who.
        member: MemberId,
    },
    /// It was a member before, and comes back with a directory that may be of then (E67).
    #[error(
        "member {member} was removed in incarnation {}; make its directory anew, under a later one",
        incarnation.0
    )]
    FormerIncarnation {
        /// Who.
        member: MemberId,
        /// The incarnation that was removed.
        incarnation: Incarnation,
    },
    /// So many of the voters to be are not heard, or lag so far behind, that nothing would be
    /// committed for long.
    #[error("member {member} lags too far behind, or is not heard; wait until it is level")]
    NotLevel {
        /// The first of them.
        member: MemberId,
    },
    /// There would be more members, or more voters, than may be.
    #[error("there would be too many; remove some first")]
    TooMany,
    /// There would be no voter left, or fewer than a volatile group needs.
    #[error("there would be too few voters left; promote another first")]
    TooFew,
    /// Nothing would change by it.
    #[error("that is so already")]
    Same,
    /// There is no room in the log now.
    #[error("the log has no room now; ask again")]
    NoRoom,
    /// The leadership ended before the change was complete. It may still become so, or not.
    #[error("the leadership ended first; ask the next leader what came of it")]
    LeadershipLost,
}

impl ChangeRefusal {
    /// A stable name in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotLeader { .. } => "not_leader",
            Self::NotYetOpen => "not_yet_open",
            Self::Busy => "busy",
            Self::UnknownMember { .. } => "unknown_member",
            Self::AlreadyMember { .. } => "already_member",
            Self::FormerIncarnation { .. } => "former_incarnation",
            Self::NotLevel { .. } => "not_level",
            Self::TooMany => "too_many",
            Self::TooFew => "too_few",
            Self::Same => "same",
            Self::NoRoom => "no_room",
            Self::LeadershipLost => "leadership_lost",
        }
    }
}

impl Membership {
    /// What `change` makes of this membership, which is not joint: one that is, when voters change,
    /// and else the one that is wanted.
    ///
    /// # Errors
    /// [`ChangeRefusal`]: what speaks against it, whoever leads.
    pub fn changed(&self, change: &MembershipChange) -> Result<Self, ChangeRefusal> {
        if self.is_joint() {
            return Err(ChangeRefusal::Busy);
        }
        let mut next = self.clone();
        match change {
            MembershipChange::AddObserver(new) => next.add(new, MemberRole::Observer)?,
            MembershipChange::AddVoter(new) => next.add(new, MemberRole::Voter)?,
            MembershipChange::Promote { member, standby } => {
                let role = if *standby { MemberRole::Standby } else { MemberRole::Voter };
                next.known(*member)?.take_role(role);
            }
            MembershipChange::Demote { member } => {
                let record = next.known(*member)?;
                let role = if record.incoming { MemberRole::Observer } else { record.role };
                record.take_role(role);
            }
            MembershipChange::Remove { member } => {
                let record = next.known(*member)?;
                let is_voter = record.outgoing;
                record.take_role(MemberRole::Leaving);
                let record = *record;
                if !is_voter {
                    next.forget(&record);
                }
            }
            MembershipChange::Relocate { member, endpoint, clients } => {
                let record = next.known(*member)?;
                (record.endpoint, record.clients) = (*endpoint, *clients);
            }
            MembershipChange::ReplaceVoters { voters } => next.replace_voters(voters)?,
        }
        next.check_sizes()?;
        if next == *self { Err(ChangeRefusal::Same) } else { Ok(next) }
    }

    fn known(&mut self, member: MemberId) -> Result<&mut MemberRecord, ChangeRefusal> {
        self.get_mut(member).ok_or(ChangeRefusal::UnknownMember { member })
    }

    fn add(&mut self, new: &NewMember, role: MemberRole) -> Result<(), ChangeRefusal> {
        let member = new.member;
        let Err(at) = self.records.binary_search_by_key(&member, |record| record.member) else {
            return Err(ChangeRefusal::AlreadyMember { member });
        };
        if let Some(incarnation) = self.removed_incarnation(member)
            && new.incarnation <= incarnation
            && !crate::mutant::is(crate::mutant::FORMER_MEMBER_IS_TAKEN)
        {
            return Err(ChangeRefusal::FormerIncarnation { member, incarnation });
        }
        let incarnation = new.incarnation.max(Incarnation::FIRST);
        let mut record = MemberRecord {
            member,
            incarnation,
            endpoint: new.endpoint,
            clients: new.clients,
            machine: new.machine,
            zone: new.zone,
            ..MemberRecord::default()
        };
        record.take_role(role);
        self.records.insert(at, record);
        self.removed.retain(|(removed, _)| *removed != member);
        Ok(())
    }

    fn replace_voters(&mut self, voters: &[MemberId]) -> Result<(), ChangeRefusal> {
        for &member in voters {
            self.known(member)?;
        }
        for record in &mut self.records {
            let role = match (voters.contains(&record.member), record.role.votes()) {
                (true, false) => MemberRole::Voter,
                (false, true) => MemberRole::Observer,
                _ => record.role,
            };
            record.take_role(role);
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), ChangeRefusal> {
        let incoming = self.voters(super::Half::Incoming).count();
        if self.records.len() > MEMBERS_MAX || incoming > VOTERS_MAX {
            return Err(ChangeRefusal::TooMany);
        }
        if incoming == 0 { Err(ChangeRefusal::TooFew) } else { Ok(()) }
    }

    /// The log has readmitted `member` in `incarnation`: no former one is heard.
    pub(crate) fn note_incarnation(&mut self, member: MemberId, incarnation: Incarnation) {
        if let Some(record) = self.get_mut(member) {
            record.incarnation = record.incarnation.max(incarnation);
        }
    }
}

impl MemberRecord {
    /// Is to be this from the end of the change on.
    fn take_role(&mut self, role: MemberRole) {
        self.role = role;
        self.incoming = role.votes();
    }
}
