//! Who is a member of the group: a list that is part of the replicated state.
//!
//! Voters change by joint consensus (Raft §6). While a change is under way there are two halves,
//! the **outgoing** voters and the **incoming** ones, and whatever takes a quorum takes a majority
//! of each. At all other times the halves are equal. All rules here are pure functions.
//!
//! A list is laid out little-endian, sorted by member, as the payload of a frame and within a
//! snapshot:
//!
//! | bytes | field |
//! |---|---|
//! | 2 | records |
//! | 2 | members that were removed |
//! | 4 | zeros |
//! | … | records |
//! | … | removed members: member (2), zeros (2), incarnation (4) each, the last removed last |
//!
//! A **record** is the member (2), its role (1), its halves (1: bit 0 outgoing, bit 1 incoming),
//! the least incarnation that counts (4), machine and zone (4 each), where the members reach it and
//! where clients do (18 each), zeros (4). An address of zeros is none.

mod change;
mod layout;
#[cfg(test)]
mod tests;

pub(crate) use layout::WRITTEN_BYTES_MAX;

pub use change::{ChangeRefusal, MembershipChange, NewMember, VoterList};

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use smallvec::SmallVec;

use crate::config::{MEMBERSHIPS_KEPT, VOTERS_MAX};
use crate::identity::{Endpoint, Incarnation, MemberId};
use crate::mutant;
use crate::position::Position;
use crate::snapshot::SnapshotError;

/// The most members that a group may have, whatever their role.
pub const MEMBERS_MAX: usize = 16;
/// Removed members that are remembered, at most: the last ones. A member that was removed before
/// may come back as if it had never been there.
pub const REMOVED_MAX: usize = 8;
/// A member is level, and may become a voter, when it lacks no more than so many bytes of the
/// leader's log.
pub const LEVEL_LAG_BYTES_MAX: u64 = 256 << 10;

/// How many voters make a quorum of `voters` (E22).
#[must_use]
pub const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// Takes in the list that the frame holds which ends at `end`, behind those that are `kept`, and
/// drops what can never come into effect any more: for whoever walks over a log that is recovered.
///
/// # Errors
/// As [`Membership::read`]: a newer version wrote it.
pub fn keep_newest(
    kept: &mut Vec<(Position, Membership)>,
    end: Position,
    payload: &[u8],
) -> Result<(), SnapshotError> {
    let membership = Membership::read(payload)?;
    if kept.len() == MEMBERSHIPS_KEPT {
        kept.remove(0);
    }
    kept.push((end, membership));
    Ok(())
}

/// What a member is in the group; of one that is about to change, what it is going to be.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MemberRole {
    /// Votes, counts and may lead.
    #[default]
    Voter,
    /// A voter of the lowest priority, which serves no clients.
    Standby,
    /// Receives the log, and counts for nothing.
    Observer,
    /// An observer that is to serve others. Reserved: it is as an observer.
    Proxy,
    /// A voter that is going to be removed with the change that is under way.
    Leaving,
}

impl MemberRole {
    /// Whether it votes when no change is under way.
    #[must_use]
    pub const fn votes(self) -> bool {
        matches!(self, Self::Voter | Self::Standby)
    }

    /// A stable name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Standby => "standby",
            Self::Observer => "observer",
            Self::Proxy => "proxy",
            Self::Leaving => "leaving",
        }
    }
}

/// One of the two sets of voters of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Half {
    /// The voters before the change.
    Outgoing,
    /// The voters behind it.
    Incoming,
}

/// Both.
const HALVES: [Half; 2] = [Half::Outgoing, Half::Incoming];

/// What the list says of one member.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct MemberRecord {
    /// Who it is.
    pub member: MemberId,
    /// Lives of former incarnations are not heard (E67).
    pub incarnation: Incarnation,
    /// What it is, or is going to be.
    pub role: MemberRole,
    /// Whether it is an outgoing voter.
    pub outgoing: bool,
    /// Whether it is an incoming voter.
    pub incoming: bool,
    /// Where the other members reach it.
    pub endpoint: Endpoint,
    /// Where clients reach it, if that is elsewhere.
    pub clients: Option<Endpoint>,
    /// The machine that it runs on, as its operator numbers machines; zero for any.
    pub machine: u32,
    /// The zone that the machine is in; zero for any.
    pub zone: u32,
}

impl MemberRecord {
    /// Whether it is a voter of `half`.
    #[must_use]
    pub const fn is_in(&self, half: Half) -> bool {
        match half {
            Half::Outgoing => self.outgoing,
            Half::Incoming => self.incoming,
        }
    }
}

/// Who is a member of the group, and who of them votes.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Membership {
    /// By rising member.
    records: Vec<MemberRecord>,
    /// The last ones that were removed, each with the newest incarnation that it had.
    removed: Vec<(MemberId, Incarnation)>,
}

impl Membership {
    /// The membership that a group is formed with.
    #[must_use]
    pub fn formed(voters: &BTreeMap<MemberId, Endpoint>) -> Self {
        let record = |(&member, &endpoint): (&MemberId, &Endpoint)| MemberRecord {
            member,
            incarnation: Incarnation::FIRST,
            role: MemberRole::Voter,
            outgoing: true,
            incoming: true,
            endpoint,
            ..MemberRecord::default()
        };
        Self { records: voters.iter().map(record).collect(), removed: Vec::new() }
    }

    /// All members, by rising number.
    #[must_use]
    pub fn records(&self) -> &[MemberRecord] {
        &self.records
    }

    /// The last members that were removed, each with the newest incarnation that it had then.
    #[must_use]
    pub fn removed(&self) -> &[(MemberId, Incarnation)] {
        &self.removed
    }

    /// What is said of `member`, if it is one.
    #[must_use]
    pub fn get(&self, member: MemberId) -> Option<&MemberRecord> {
        self.records.iter().find(|record| record.member == member)
    }

    fn get_mut(&mut self, member: MemberId) -> Option<&mut MemberRecord> {
        self.records.iter_mut().find(|record| record.member == member)
    }

    /// Whether a change of voters is under way.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        self.records.iter().any(|record| record.outgoing != record.incoming)
    }

    /// Whether `member` is a voter, of either half.
    #[must_use]
    pub fn is_voter(&self, member: MemberId) -> bool {
        self.get(member).is_some_and(|record| record.outgoing || record.incoming)
    }

    /// The voters of `half`, by rising number.
    pub fn voters(&self, half: Half) -> impl Iterator<Item = MemberId> {
        let records = self.records.iter().filter(move |record| record.is_in(half));
        records.map(|record| record.member)
    }

    /// Whether nobody but voters of both halves is a member: then counting is as simple as can be.
    pub(crate) fn is_plain(&self) -> bool {
        self.records.iter().all(|record| record.outgoing && record.incoming)
            && self.records.len() <= VOTERS_MAX
    }

    /// Whether `member` is the only voter there is.
    pub(crate) fn is_alone(&self, member: MemberId) -> bool {
        let mut records = self.records.iter();
        let is_own = |record: &MemberRecord| record.member == member;
        records.all(|record| is_own(record) == (record.outgoing || record.incoming))
            && self.is_voter(member)
    }

    /// The halves that have to be asked: one stands for both unless a change is under way. To take
    /// the incoming voters for all is a deliberate mistake.
    fn halves(&self) -> &'static [Half] {
        let one = !self.is_joint() || mutant::is(mutant::JOINT_COUNTS_ONE_HALF);
        if one { &HALVES[1..] } else { &HALVES }
    }

    /// Whether those that `holds` is true of are a majority of each half: of voters alone.
    #[must_use]
    pub fn is_quorum(&self, holds: impl Fn(MemberId) -> bool) -> bool {
        self.all_halves(|voters| {
            let held = voters.iter().filter(|&&voter| holds(voter)).count();
            held >= majority(voters.len())
        })
    }

    /// Whether `rule` is true of the voters of each half.
    pub(crate) fn all_halves(&self, rule: impl Fn(&[MemberId]) -> bool) -> bool {
        self.halves().iter().all(|&half| {
            let voters: SmallVec<[MemberId; VOTERS_MAX]> = self.voters(half).collect();
            rule(&voters)
        })
    }

    /// The highest value that a majority of each half has reached, or has exceeded; `None` when a
    /// half is empty.
    #[must_use]
    pub fn held_by_quorum<T: Copy + Ord>(&self, value: impl Fn(MemberId) -> T) -> Option<T> {
        let of_half = |&half: &Half| {
            let mut values: SmallVec<[T; VOTERS_MAX]> = self.voters(half).map(&value).collect();
            values.sort_unstable_by(|a, b| b.cmp(a));
            values.get(majority(values.len()) - 1).copied()
        };
        let mut halves = self.halves().iter().map(of_half);
        let first = halves.next()??;
        halves.try_fold(first, |least, half| Some(least.min(half?)))
    }

    /// Where the other members reach `member`, if that is said.
    #[must_use]
    pub fn endpoint_of(&self, member: MemberId) -> Option<Endpoint> {
        let said = self.get(member).map(|record| record.endpoint);
        said.filter(|endpoint| *endpoint != Endpoint::default())
    }

    /// Where clients reach `member`, if that is said.
    #[must_use]
    pub fn clients_of(&self, member: MemberId) -> Option<Endpoint> {
        self.get(member)?.clients.or_else(|| self.endpoint_of(member))
    }

    /// The newest incarnation of `member` that was removed, as far as it is remembered.
    #[must_use]
    pub fn removed_incarnation(&self, member: MemberId) -> Option<Incarnation> {
        let mut removed = self.removed.iter().filter(|(removed, _)| *removed == member);
        removed.next_back().map(|(_, incarnation)| *incarnation)
    }

    /// What becomes of it when the change that is under way is complete: the incoming voters are
    /// the voters, and who is leaving is gone.
    #[must_use]
    pub fn completed(&self) -> Self {
        let mut next = self.clone();
        for record in &self.records {
            if record.role == MemberRole::Leaving {
                next.forget(record);
            }
        }
        for record in &mut next.records {
            record.outgoing = record.incoming;
        }
        next
    }

    /// Takes a member out, and remembers that.
    fn forget(&mut self, gone: &MemberRecord) {
        self.records.retain(|record| record.member != gone.member);
        self.removed.retain(|(removed, _)| *removed != gone.member);
        if self.removed.len() == REMOVED_MAX {
            self.removed.remove(0);
        }
        self.removed.push((gone.member, gone.incarnation));
    }

    /// Whether `next` may stand in the log behind this one: what a change makes of it, or what
    /// completes the change. Nobody else may have become a voter.
    #[must_use]
    pub fn admits(&self, next: &Self) -> bool {
        if self.is_joint() {
            return *next == self.completed();
        }
        let voters = |of: &Self, half| of.voters(half).collect::<Vec<_>>();
        let (own, outgoing) = (voters(self, Half::Incoming), voters(next, Half::Outgoing));
        own == outgoing
    }

    /// Whether it is a list that a group can have.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_sorted = self.records.is_sorted_by(|one, next| one.member < next.member);
        let fits = |half| (1..=VOTERS_MAX).contains(&self.voters(half).count());
        let is_leaving = |record: &MemberRecord| record.role == MemberRole::Leaving;
        let agrees = |record: &MemberRecord| match is_leaving(record) {
            true => record.outgoing && !record.incoming,
            false => record.role.votes() == record.incoming,
        };
        is_sorted
            && self.records.len() <= MEMBERS_MAX
            && self.removed.len() <= REMOVED_MAX
            && fits(Half::Outgoing)
            && fits(Half::Incoming)
            && self.records.iter().all(agrees)
    }
}
