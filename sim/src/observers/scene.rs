//! What observers may look at.

use quorate_core::hash::mix;
use quorate_core::{
    Duration, Incarnation, Limits, Member, MemberId, Membership, Position, TermHistory, Timing,
    View,
};

use crate::disk::SimDisk;
use crate::node::Node;
use crate::swarm::Swarm;

/// What an observer may look at: one member as it is now, and the disks of all.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The virtual time, in nanoseconds.
    pub now: u64,
    /// Whom it concerns.
    pub member: MemberId,
    /// How the member was before the event.
    pub before: &'a View,
    /// How it is now.
    pub view: &'a View,
    /// Its adopted history.
    pub history: &'a TermHistory,
    /// The member itself, while it runs: to be asked how full its queues are, or to be copied for
    /// an experiment in thought.
    pub core: Option<&'a Member>,
    /// Whom it takes for members, if that can be seen of it.
    pub members: Option<Members<'a>>,
    /// Its disk.
    pub disk: &'a SimDisk,
    /// The disks of all members.
    pub disks: Disks<'a>,
    /// What the rules of this world are.
    pub rules: &'a Rules,
}

/// Whom a member takes for members.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    /// The end of the frame that says so; zero for those of the formation.
    pub position: Position,
    /// Who they are.
    pub membership: &'a Membership,
    /// Who they would be if that frame was cut, and the end of the frame of that; nothing once it
    /// is known to be committed.
    pub former: Option<(Position, &'a Membership)>,
}

impl<'a> From<&'a Member> for Members<'a> {
    fn from(member: &'a Member) -> Self {
        Self {
            position: member.membership_position(),
            membership: member.membership(),
            former: member.former_membership(),
        }
    }
}

/// The disks of all members.
#[derive(Clone, Copy)]
pub struct Disks<'a>(Place<'a>);

#[derive(Clone, Copy)]
enum Place<'a> {
    Listed(&'a [&'a SimDisk]),
    Hosts(&'a [Node]),
}

impl<'a> From<&'a [&'a SimDisk]> for Disks<'a> {
    fn from(disks: &'a [&'a SimDisk]) -> Self {
        Self(Place::Listed(disks))
    }
}

impl<'a> Disks<'a> {
    pub(crate) const fn of(hosts: &'a [Node]) -> Self {
        Self(Place::Hosts(hosts))
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> usize {
        match self.0 {
            Place::Listed(disks) => disks.len(),
            Place::Hosts(hosts) => hosts.len(),
        }
    }

    /// One after the other, and whether its member runs and is known to have all that it held.
    pub fn with_standing(self) -> impl Iterator<Item = (&'a SimDisk, bool)> {
        let disk = move |at: usize| match self.0 {
            Place::Listed(disks) => (disks[at], false),
            Place::Hosts(hosts) => {
                let host = &hosts[at];
                (&host.disk, host.member.is_some() && !host.view.impaired)
            }
        };
        (0..self.count()).map(disk)
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = &'a SimDisk> {
        let disk = move |at: usize| match self.0 {
            Place::Listed(disks) => disks[at],
            Place::Hosts(hosts) => &hosts[at].disk,
        };
        (0..self.count()).map(disk)
    }
}

impl Scene<'_> {
    /// A number that the members' experiments draw their lots from: the same one whenever the seed
    /// is run.
    #[must_use]
    #[inline]
    pub const fn lot(&self) -> u64 {
        mix(self.now ^ (self.member.0 as u64) << 48, self.view.received.0)
    }

    /// Whether experiments are made here at all.
    #[must_use]
    #[inline]
    pub const fn is_drawn(&self) -> bool {
        self.lot().is_multiple_of(DRAWN_ONE_IN)
    }
}

/// One step in so many is one for experiments; each experiment draws again among those.
pub(super) const DRAWN_ONE_IN: u64 = 1_024;

/// What observers need to know of the configuration.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The members' time-outs, by their own clocks.
    pub timing: Timing,
    /// The members' limits.
    pub limits: Limits,
    /// How many members there are: all of them vote.
    pub members: usize,
    /// Whether what is committed may be in memory only.
    pub is_volatile: bool,
    /// How much a member's clock may err, in millionths.
    pub clock_error: u64,
    /// In the calm: how many times longer than configured the slowest clock makes things take.
    pub slowness: u64,
    /// In the calm: until when disks are busy with what they were told before.
    pub settled_at: u64,
    /// The most actions of one event.
    pub actions_max: usize,
    /// Whether the service is [`crate::Ledger`], whose replies the history checkers can read.
    pub is_ledger: bool,
}

impl Rules {
    /// The rules of a world with the options `swarm`.
    pub(crate) fn of(swarm: &Swarm) -> Self {
        let limits = &swarm.limits;
        Self {
            timing: swarm.timing.clone(),
            limits: limits.clone(),
            members: swarm.members,
            is_volatile: swarm.durability.is_volatile(),
            clock_error: swarm.clock_error,
            slowness: 1,
            settled_at: 0,
            // Each session may be sent a run and a status; each member all runs of a window,
            // repairs and control messages; each frame is applied once.
            actions_max: 256
                + limits.apply_batch_max
                + limits.sessions_max
                    * (4 + limits.session_window_bytes.div_ceil(limits.run_bytes_max) as usize)
                + swarm.members
                    * (16 + 2 * limits.window_bytes.div_ceil(limits.run_bytes_max) as usize),
            is_ledger: false,
        }
    }

    /// The least time of the world, in nanoseconds, in which a member's clock may go on by `span`.
    #[must_use]
    pub const fn at_least(&self, span: Duration) -> u64 {
        span.0.saturating_sub(2 * (span.0 * (self.clock_error + 1) / 1_000_000) + 1)
    }
}

impl Scene<'_> {
    /// Whether the members whose disks `backs` are a quorum, as the log of this scene's leader says
    /// who votes; of a step that committed a joint phase, by that.
    pub(super) fn is_quorum(&self, backs: impl Fn(&(&SimDisk, bool)) -> bool) -> bool {
        let backing: Vec<_> = self.disks.with_standing().filter(backs).collect();
        let is_owned = self.disks.iter().all(|disk| disk.owner().is_some());
        let Some(members) = self.members.filter(|_| is_owned) else {
            return backing.len() * 2 > self.disks.count();
        };
        let backs = |id: MemberId| backing.iter().any(|(disk, _)| disk.owner() == Some(id));
        let (before, commit) = (self.before.commit, self.view.commit);
        let now_committed = |end: &Position| before < *end && *end <= commit;
        match members.former.filter(|(end, _)| now_committed(end)) {
            Some((_, joint)) => joint.is_quorum(backs),
            None => members.membership.is_quorum(backs),
        }
    }

    /// Which directory a member has at the moment.
    #[must_use]
    pub fn incarnation_of(&self, member: MemberId) -> Incarnation {
        // Wherever it is: disks may be in the wrong machines (seed 5213).
        let disk = self.disks.iter().find(|disk| disk.owner() == Some(member));
        disk.map_or(Incarnation::FIRST, SimDisk::incarnation)
    }
}
