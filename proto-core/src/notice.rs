//! What a member tells those who watch it: typed notices, counters, and the reason of a fail-stop.

pub use crate::counters::Counters;
pub use crate::fail_stop::FailStop;
use crate::frame::SnapshotCause;
use crate::identity::{Life, MemberId, RecoveryEpoch, SessionId};
use crate::membership::ChangeRefusal;
use crate::position::Position;
use crate::snapshot::SnapshotError;
use crate::term::Term;
use crate::time::Duration;

/// What a member is doing.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Follows a leader, or waits for one.
    #[default]
    Follower,
    /// Asks whether it could win an election.
    Canvasser,
    /// Has decided to stand, and makes its own vote durable.
    Nominee,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
    /// Inert after a fail-stop.
    Stopped,
}

impl Role {
    /// The role in lower case, as reports print it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Follower => "follower",
            Self::Canvasser => "canvasser",
            Self::Nominee => "nominee",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
            Self::Stopped => "stopped",
        }
    }
}

/// What a member is to be woken for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TimerKind {
    /// To send what was collected for batching.
    Flush,
    /// To canvass, or to repeat the requests of an election.
    Election,
    /// To say that the leader is there, and to see whether it may lead on.
    Heartbeat,
    /// To give up a transfer of leadership that takes too long.
    Transfer,
    /// To append a timer of the service that is due.
    Service,
    /// To ask clients for holes, or to say how far replies go.
    Connections,
    /// To ask for holes in the log.
    Holes,
    /// To make durable what is remembered of the other members.
    PeerRecords,
    /// To try whether the storage has space again.
    Storage,
    /// To sync the log of a volatile group.
    Checkpoint,
    /// To ask for a snapshot of another member, or for holes in one.
    Snapshot,
    /// To ask a leader again for a read, or to refuse one that has waited for too long.
    Reads,
    /// To tell that the host does not report that a snapshot is installed.
    Installation,
    /// To give up bringing the disk up to what was promised.
    Parting,
}

/// Something that happened inside a member.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// The role or the term changed.
    Role {
        /// The new role.
        role: Role,
        /// The current term.
        term: Term,
    },
    /// A leader became known, or (`None`) was lost.
    Leader {
        /// Who leads.
        leader: Option<MemberId>,
        /// The current term.
        term: Term,
    },
    /// The history of a term was adopted, and the log was cut.
    Adopted {
        /// The newest term of the history.
        term: Term,
        /// The log ends here now, at most.
        cut: Position,
    },
    /// This leader gave up its leadership.
    Abdicated {
        /// The term that it led.
        term: Term,
        /// Why.
        reason: Abdication,
    },
    /// The log has a hole.
    GapOpened {
        /// Where it begins.
        at: Position,
    },
    /// The log has no hole any more.
    GapHealed {
        /// The end of what was received.
        at: Position,
    },
    /// A session was opened.
    SessionOpened {
        /// The session.
        session: SessionId,
    },
    /// A session was closed.
    SessionClosed {
        /// The session.
        session: SessionId,
    },
    /// Appends are refused for want of space.
    StorageFull,
    /// There is space again.
    StorageFreed,
    /// This leader has appended the marker of a snapshot.
    SnapshotMarked {
        /// The end of the marker's frame: where the snapshot is going to stand.
        position: Position,
        /// Why it is taken.
        cause: SnapshotCause,
    },
    /// A snapshot that the host asked for is not going to be taken.
    SnapshotRefused {
        /// Why.
        refusal: SnapshotRefusal,
    },
    /// A marker was met, and no snapshot is taken there: one is under way.
    SnapshotSkipped {
        /// The end of the marker's frame.
        position: Position,
    },
    /// A snapshot is stored, and the log before it is durable: a restart begins with it.
    SnapshotStored {
        /// Where it stands.
        position: Position,
    },
    /// The host could not store a snapshot; the member goes on without it.
    SnapshotFailed {
        /// Where it would have stood.
        position: Position,
    },
    /// The log begins here from now on: what was before is purged.
    LogPurged {
        /// Where it begins.
        origin: Position,
    },
    /// A member that was asked for the log bytes that come next here has purged them. Where all
    /// have, this member stays behind: it needs a snapshot of another. Told once for a position.
    Purged {
        /// Who was asked.
        member: MemberId,
        /// What comes next here.
        at: Position,
        /// The oldest position that is left there.
        oldest: Position,
    },
    /// Others have purged what this member lacks: it fetches a snapshot of them.
    SnapshotFetchBegun {
        /// Where the snapshot stands.
        position: Position,
        /// Bytes of its stream.
        bytes: u64,
        /// Who offered it first; others who have the same are asked, too.
        from: MemberId,
    },
    /// A snapshot of another member cannot be used here.
    SnapshotRejected {
        /// Where it stands.
        position: Position,
        /// What is wrong with it.
        reason: SnapshotError,
    },
    /// A snapshot of another member is installed: the log begins there, and a new life does.
    SnapshotInstalled {
        /// Where it stands.
        position: Position,
        /// Bytes of its stream.
        bytes: u64,
    },
    /// Another member's snapshot is not what this one has at the same position: one of them has
    /// deviated (E113). Whoever a majority of the voters contradicts stops; while none agrees all
    /// go on. Told once for each member and position.
    SnapshotDiffers {
        /// Whose.
        member: MemberId,
        /// Where both stand.
        position: Position,
    },
    /// A member came back with less than it had acknowledged, and does not count (rule 9).
    PeerRegressed {
        /// Which one.
        member: MemberId,
    },
    /// A member takes something else for committed than this one is configured for: neither counts
    /// the grants of the other (rule 12). Said once for each start of it.
    OtherLevel {
        /// Which one.
        member: MemberId,
    },
    /// A member that lost its directory is readmitted, once this is committed and it has all bytes
    /// up to here. No former life of it is heard any more.
    Readmission {
        /// Which one, and in which of its lives.
        life: Life,
        /// Where the log says so.
        position: Position,
    },
    /// This member had lost its directory, and counts again.
    Readmitted {
        /// Its commit position.
        position: Position,
    },
    /// This member was not stopped in good order, and may have lost bytes that it had held for the
    /// group: it is impaired. It comes up with the log up to here.
    Impaired {
        /// The end of its log.
        position: Position,
    },
    /// This member has all again that it may have lost, and counts in full.
    Healed {
        /// What a leader had when it registered this life; all before it is here.
        position: Position,
    },
    /// The log goes on in a new recovery epoch: an operator has forced a group that stood still to
    /// go on with what was on its members' disks (rule 5 v). Told by each member, once, when it
    /// learns of the first term of that epoch.
    RecoveredByForce {
        /// The epoch.
        epoch: RecoveryEpoch,
        /// All before it was kept; what was promised at or behind it, in epochs before, is lost.
        kept: Position,
    },
    /// Who is a member has changed, as far as this member's log goes: by a frame that was verified,
    /// or by a cut that took one away. [`crate::Member::membership`] says who is.
    Membership {
        /// The end of the frame that is in effect; zero for the membership of the formation.
        position: Position,
        /// Whether voters are changing.
        joint: bool,
    },
    /// A membership that this member was told of with `Notice::Membership` is committed.
    MembershipCommitted {
        /// The end of its frame.
        position: Position,
        /// Whether voters are changing: then another follows.
        joint: bool,
    },
    /// What came of a change that the host asked for with `Event::ChangeMembership`. Each one is
    /// answered once, unless the member stops.
    ChangeMembership {
        /// The number that the host gave it.
        request: u64,
        /// What came of it.
        outcome: ChangeOutcome,
    },
    /// This member is none any more: it stands for no election, and nobody counts it.
    Removed {
        /// The end of the frame that says so.
        position: Position,
    },
    /// By this leader's clock more time has passed since it was last served than log time goes on
    /// by at once ([`Timing::log_time_step_max`](crate::Timing::log_time_step_max)): it was
    /// stopped, or its clock jumped. Timers of the service are late by what does not count.
    ClockJumped {
        /// What has passed by its clock.
        passed: Duration,
        /// By how much log time went on.
        counted: Duration,
    },
    /// What came of a transfer of leadership that the host asked for with `Event::Transfer`. Each
    /// one is answered once, within two election time-outs of the member's clock, unless the member
    /// stops; by one that stood still for longer, when it serves its timers again.
    Transfer {
        /// The number that the host gave it.
        request: u64,
        /// What came of it.
        outcome: TransferOutcome,
    },
    /// Something has held this member back for `Timing::stall_timeout` without any progress. Told
    /// once for each stall, and no more often than that.
    Stalled {
        /// What holds it back.
        cause: Stall,
    },
    /// A stall that was told of is over: there is progress, or nothing is waited for any more.
    StallEnded {
        /// What held the member back.
        cause: Stall,
    },
}

/// What holds a member back.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Stall {
    /// A member has no room for what this leader has to send it.
    Window {
        /// Which one.
        member: MemberId,
    },
    /// A member does not acknowledge what this leader has for it.
    Acknowledgement {
        /// Which one.
        member: MemberId,
    },
    /// The own disk does not complete what it was asked for.
    Disk,
    /// The own service does not report what it was handed.
    Service,
    /// A snapshot of another member is installed, and this one stands still for it.
    Installation,
}

impl Stall {
    /// A stable name in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Window { .. } => "window",
            Self::Acknowledgement { .. } => "acknowledgement",
            Self::Disk => "disk",
            Self::Service => "service",
            Self::Installation => "installation",
        }
    }

    /// The member that it is about, if it is one.
    #[must_use]
    pub const fn member(self) -> Option<MemberId> {
        match self {
            Self::Window { member } | Self::Acknowledgement { member } => Some(member),
            Self::Disk | Self::Service | Self::Installation => None,
        }
    }
}

/// What came of a change of the members.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ChangeOutcome {
    /// It is complete, and committed.
    Done {
        /// The end of its last frame.
        position: Position,
    },
    /// It is not, or is not known to be.
    Refused(ChangeRefusal),
}

/// What came of a demanded transfer of leadership.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TransferOutcome {
    /// The target leads.
    Done {
        /// Who that is.
        leader: MemberId,
        /// In which term.
        term: Term,
    },
    /// It does not, or is not known to.
    Refused(TransferRefusal),
}

/// Why a transfer of leadership did not come about. The member that was asked admits messages
/// again, if it leads.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum TransferRefusal {
    /// The member that was asked does not lead.
    #[error("this member does not lead; ask the leader")]
    NotLeading {
        /// Who leads, as far as it knows.
        leader: Option<MemberId>,
    },
    /// It has just been elected, and does not serve yet.
    #[error("the leader does not serve yet; ask again in a moment")]
    NotServing,
    /// Another transfer is under way.
    #[error("another transfer is under way; wait for its end")]
    UnderWay,
    /// The target leads already.
    #[error("the target is the leader itself; name another member, or none")]
    TargetIsLeader,
    /// The target is no member of the group.
    #[error("the target is no member of the group; name one of its voters")]
    UnknownTarget,
    /// No target was named, and there is no other member that follows.
    #[error("no other member follows; start one, and ask again")]
    NoTarget,
    /// The target did not get all bytes within an election time-out.
    #[error("the target did not catch up in time; see whether it runs, and ask again")]
    TargetBehind,
    /// The target was told to campaign and was not heard to lead in time.
    #[error("the target was not elected in time; see whether it runs, and ask again")]
    NotElected,
    /// The leadership ended before the target was told to campaign.
    #[error("the leadership ended first; ask the next leader")]
    LeadershipLost,
    /// An election was held, and another member won it.
    #[error("member {leader} was elected in place of the target; ask it")]
    AnotherLeads {
        /// Who won.
        leader: MemberId,
    },
}

impl TransferRefusal {
    /// A stable name in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotLeading { .. } => "not_leading",
            Self::NotServing => "not_serving",
            Self::UnderWay => "under_way",
            Self::TargetIsLeader => "target_is_leader",
            Self::UnknownTarget => "unknown_target",
            Self::NoTarget => "no_target",
            Self::TargetBehind => "target_behind",
            Self::NotElected => "not_elected",
            Self::LeadershipLost => "leadership_lost",
            Self::AnotherLeads { .. } => "another_leads",
        }
    }
}

/// Why a snapshot that the host asked for is not taken.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum SnapshotRefusal {
    /// Only a leader that serves can have one taken.
    #[error("this member does not lead; ask {}", leader.map_or_else(
        || alloc::string::String::from("again when the group has a leader"),
        |leader| alloc::format!("member {leader}")
    ))]
    NotLeader {
        /// Who leads, as far as is known.
        leader: Option<MemberId>,
    },
    /// One is under way, and there is one at a time.
    #[error("a snapshot at {position} is under way; ask again when it is stored")]
    UnderWay {
        /// Where it stands, or is going to.
        position: Position,
    },
    /// There is no room in the log for its marker now.
    #[error("the log has no room for the marker now; ask again")]
    NoRoom,
}

/// Why a leader gave up its leadership without having heard of a newer term.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Abdication {
    /// No quorum answered within an election time-out (check-quorum).
    QuorumLost,
    /// Nothing was committed although a quorum answers (rule 8), or its disk stalled (E49).
    NoProgress,
    /// There is no space for the log (E48).
    StorageFull,
    /// The host stops.
    Shutdown,
    /// It is no voter any more (E59).
    Removed,
}
