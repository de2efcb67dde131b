//! What a member is told at its construction, and the named limits of everything it holds.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::frame::{Level, OVERHEAD_BYTES_MAX, aligned};
use crate::identity::{Endpoint, GroupId, GroupTag, MemberId, RecoveryEpoch};
use crate::membership::WRITTEN_BYTES_MAX;
use crate::position::Position;
pub use crate::recovered::{
    FIRST_BOOT, ForcedRecovery, MEMBERSHIPS_KEPT, PeerRecord, PeerRecords, Recovered,
};
use crate::snapshot::SnapshotError;
use crate::time::Duration;

/// The most voters that a group may have.
pub const VOTERS_MAX: usize = 7;

/// The longest time between two syncs of the log in a volatile group: what a member loses when its
/// power is cut is bounded by it, and so is what it has to read again from others.
pub const CHECKPOINT_INTERVAL_MAX: Duration = Duration(3_600_000_000_000);

/// Who this member is, who the others are, and how it behaves.
#[derive(Clone, Debug)]
pub struct MemberConfig {
    /// The group.
    pub group: GroupId,
    /// The group's recovery epoch.
    pub recovery_epoch: RecoveryEpoch,
    /// This member.
    pub member: MemberId,
    /// The voters that the group was formed with, this member included, and where they are reached.
    /// Of a member that `joins`: whom it hears, and asks. A membership in the log or in a snapshot
    /// stands in place of them.
    pub voters: BTreeMap<MemberId, Endpoint>,
    /// This member came to the group later: as long as no membership in its log says otherwise, it
    /// only receives (E65).
    pub joins: bool,
    /// Seeds the member's generator. Give each member, and each life, another one.
    pub seed: u64,
    /// Time-outs and intervals.
    pub timing: Timing,
    /// Sizes and counts.
    pub limits: Limits,
    /// What it takes that a message is committed: the same for all members.
    pub durability: Durability,
}

/// What holding a message means in a group (design §6, rule 12). Votes, terms and membership are
/// durable before anybody acts on them, whatever this says.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Durability {
    /// Committed is what a quorum has synced.
    #[default]
    Durable,
    /// Committed is what a quorum has in memory; what it has synced as well is safe. A member that
    /// comes back without having been stopped in good order is impaired
    /// ([`crate::View::impaired`]).
    Volatile {
        /// How long after the last sync began the log is synced again, if it has grown. Above
        /// zero, and at most [`CHECKPOINT_INTERVAL_MAX`]; a second, as a rule.
        checkpoint_interval: Duration,
    },
}

impl Durability {
    /// How long after the last sync of the log the next begins, in a volatile group.
    #[must_use]
    pub const fn checkpoint_interval(self) -> Option<Duration> {
        match self {
            Self::Durable => None,
            Self::Volatile { checkpoint_interval } => Some(checkpoint_interval),
        }
    }

    /// Whether committed bytes may be in memory only.
    #[must_use]
    pub const fn is_volatile(self) -> bool {
        matches!(self, Self::Volatile { .. })
    }

    /// What the opening frame of a term says of the group.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::Durable => Level::Durable,
            Self::Volatile { .. } => Level::Volatile,
        }
    }

    fn problems(self, voters: usize, problems: &mut Vec<ConfigError>) {
        let Self::Volatile { checkpoint_interval } = self else { return };
        let key = "checkpoint_interval";
        if checkpoint_interval.0 == 0 {
            let reason = "must be above zero; a group that syncs all the time is a durable one";
            problems.push(ConfigError::Value { key, value: 0, reason });
        }
        if checkpoint_interval > CHECKPOINT_INTERVAL_MAX {
            let (reason, value) = ("must be at most an hour", checkpoint_interval.0);
            problems.push(ConfigError::Value { key, value, reason });
        }
        if voters == 1 {
            let reason = "needs two voters at least: nobody has what a single one loses";
            let value = checkpoint_interval.0;
            problems.push(ConfigError::Value { key, value, reason });
        }
    }
}

/// Time-outs and intervals of a member.
#[derive(Clone, Debug, Hash)]
pub struct Timing {
    /// How often an idle leader says that it is there, at least.
    pub heartbeat_interval: Duration,
    /// The pause before the first heartbeat behind new data or a new commit position; each further
    /// one waits twice as long, up to `heartbeat_interval` (E86).
    pub heartbeat_first: Duration,
    /// The shortest time without a leader after which a member canvasses.
    pub election_timeout_min: Duration,
    /// The longest.
    pub election_timeout_max: Duration,
    /// How long a hole may be mere reordering before it is asked for.
    pub nak_delay: Duration,
    /// How long an unanswered request for a hole is left alone. Above the round trip: else each
    /// hole is asked for, and repaired, several times.
    pub nak_retry: Duration,
    /// How long a repair that was sent is not sent again to the same destination. Below `nak_retry`
    /// of those who ask: else every other request of theirs is in vain.
    pub repair_linger: Duration,
    /// How long a leader with uncommitted bytes and a quorum of answers goes without a rise of its
    /// commit position, or without a completed sync, before it abdicates (rule 8, E49).
    pub progress_timeout: Duration,
    /// How long a session may be silent before the leader closes it.
    pub session_timeout: Duration,
    /// How often what is known of the other members' lives is made durable, at most (rule 9).
    pub peer_record_interval: Duration,
    /// How long a member, the disk or the service may hold this member back without any progress
    /// before [`crate::Notice::Stalled`] names it.
    pub stall_timeout: Duration,
    /// How much longer than its time-out this member waits, once, when its leader is lost: the
    /// lower its priority as a leader, the longer. Others go first, and nothing is blocked (E19).
    pub candidacy_delay: Duration,
    /// The log shall hold nothing older than this, by cluster time, whoever lags behind: snapshots
    /// are taken each fourth of it at least while the log grows, and what is older than the newest
    /// one by more than half of it is purged, however little it is. The longest span there is for
    /// no cap.
    pub log_age_max: Duration,
    /// Lets a leader answer reads out of a lease, which relies on clocks. The same for all members;
    /// off unless given.
    pub lease: Option<Lease>,
}

/// What reads by a lease rely on (rule 13).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Lease {
    /// By how much the clocks of two members may run apart: of each thousand nanoseconds so many,
    /// 1 to 500. A clock that stands still while its machine is suspended is out of any bound.
    pub drift_per_mille: u32,
}

impl Lease {
    /// How long a leader's lease lasts from when it sent the round that a quorum has answered. The
    /// others elect nobody for `election_timeout_min` from when they received it, by their clocks.
    #[must_use]
    pub const fn duration(self, timing: &Timing) -> Duration {
        let drift = if self.drift_per_mille > 1_000 { 1_000 } else { self.drift_per_mille as u64 };
        Duration(timing.election_timeout_min.0 / 1_000 * (1_000 - drift))
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(20),
            heartbeat_first: Duration::from_micros(300),
            election_timeout_min: Duration::from_millis(150),
            election_timeout_max: Duration::from_millis(300),
            nak_delay: Duration::from_micros(100),
            nak_retry: Duration::from_micros(500),
            repair_linger: Duration::from_micros(250),
            progress_timeout: Duration::from_millis(1_000),
            session_timeout: Duration::from_millis(10_000),
            peer_record_interval: Duration::from_millis(1_000),
            stall_timeout: Duration::from_millis(500),
            candidacy_delay: Duration::ZERO,
            log_age_max: Duration(u64::MAX),
            lease: None,
        }
    }
}

/// Sizes and counts of a member. All memory follows from them.
#[derive(Clone, Debug, Hash)]
pub struct Limits {
    /// The ring of the newest log bytes, at most. A power of two. Beyond 256 KiB, or an eighth of
    /// it, as much of it is used as the disk, the service or a follower needs.
    pub window_bytes: u64,
    /// The largest payload of a message. Its frame takes at most a quarter of a window.
    pub message_bytes_max: u32,
    /// Appended but not committed bytes at a leader, at most (E114).
    pub uncommitted_bytes_max: u64,
    /// Committed but not applied bytes at a leader before it stops admitting (E115).
    pub unapplied_bytes_max: u64,
    /// Payload bytes of one data datagram: a multiple of 8.
    pub slice_bytes: u32,
    /// Bytes of one `Action::SendData`, at most: a run of equal slices.
    pub run_bytes_max: u64,
    /// Ranges of held bytes behind the first hole, at most; the farthest are dropped (rule 19).
    pub coverage_ranges_max: usize,
    /// Bytes asked for and not yet received, at most.
    pub repair_request_bytes_max: u64,
    /// Repair bytes that a member sends within one heartbeat interval, at most (E90).
    pub repair_budget_bytes: u64,
    /// Reads of the archive for others that are under way, at most; one of its own comes on top.
    pub reads_max: usize,
    /// Bytes of one read of the archive, at most. At least one frame of the largest message.
    pub read_bytes_max: u64,
    /// Frames handed to the service and not yet reported applied, at most.
    pub apply_batch_max: usize,
    /// Sessions open at a time.
    pub sessions_max: usize,
    /// The ring of one session's ingress, and of its egress. A power of two.
    pub session_window_bytes: u64,
    /// Messages of a session that are not answered yet, at most; as many replies are kept for
    /// resending (rule 17).
    pub in_flight_max: usize,
    /// The largest reply of a service.
    pub reply_bytes_max: u32,
    /// Timers that a service may have scheduled.
    pub timers_max: usize,
    /// A leader has a snapshot taken whenever the log has grown by so many bytes since the last
    /// marker; 0 for only when its host asks.
    pub snapshot_interval_bytes: u64,
    /// Whatever of the log is older than the snapshot before the newest, and further behind the
    /// newest than so many bytes, is purged: a trailing window, from which others are repaired
    /// without a snapshot. `u64::MAX` for a log that is never purged.
    pub purge_keep_bytes: u64,
    /// The log shall not be longer than so many bytes, whoever lags behind: snapshots are taken
    /// each fourth of it at least, and no more than half of it is kept behind the newest.
    /// `u64::MAX` for no cap.
    pub log_bytes_max: u64,
    /// Reads that wait at a member, or are with its service, at most; more are refused. Those of
    /// clients are of at most [`crate::read::READ_BYTES_MAX`] bytes each.
    pub queries_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window_bytes: 16 << 20,
            message_bytes_max: 64 << 10,
            uncommitted_bytes_max: 8 << 20,
            unapplied_bytes_max: 8 << 20,
            slice_bytes: 1_216,
            run_bytes_max: 46 * 1_216,
            coverage_ranges_max: 256,
            repair_request_bytes_max: 1 << 20,
            repair_budget_bytes: 2 << 20,
            reads_max: 8,
            read_bytes_max: 256 << 10,
            apply_batch_max: 256,
            sessions_max: 64,
            session_window_bytes: 512 << 10,
            in_flight_max: 256,
            reply_bytes_max: 64 << 10,
            timers_max: 1_024,
            snapshot_interval_bytes: 0,
            purge_keep_bytes: u64::MAX,
            log_bytes_max: u64::MAX,
            queries_max: 1_024,
        }
    }
}

/// The longest delay of a candidacy, in election time-outs.
const CANDIDACY_TIMEOUTS_MAX: u64 = 4;
/// The largest window, so that ranges of it fit 32 bits with room.
const WINDOW_BYTES_MAX: u64 = 1 << 30;

/// Why a configuration is refused. `Display` names the key, the value, the reason and the fix.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value is out of its range.
    #[error("`{key} = {value}` {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: u64,
        /// What is wrong with it, and what to do.
        reason: &'static str,
    },
    /// This member is not among the voters.
    #[error("`member = {member}` is not among the voters; add it to the list of members")]
    NotAVoter {
        /// This member.
        member: MemberId,
    },
    /// What was recovered belongs to another member or group.
    #[error("the recovered state is of member {found} of another group or id; expected {expected}")]
    Foreign {
        /// Whose state it is.
        found: MemberId,
        /// Whose it should be.
        expected: MemberId,
    },
    /// The recovered log cannot be what this group wrote.
    #[error("the recovered log ends at {end}, which is not a frame boundary under its history")]
    Log {
        /// The end that was given.
        end: Position,
    },
    /// The recovered log cannot begin where it says.
    #[error("the recovered log cannot begin at {at}: {reason}")]
    Origin {
        /// Where it begins.
        at: Position,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The recovered snapshot is none of this log, or does not fit the limits.
    #[error("the recovered snapshot at {at} cannot be used: {reason}")]
    Snapshot {
        /// Where it stands.
        at: Position,
        /// What is wrong with it.
        reason: SnapshotError,
    },
}

impl MemberConfig {
    /// The tag of the group's datagrams and frames.
    #[must_use]
    pub const fn tag(&self) -> GroupTag {
        GroupTag::new(self.group, self.recovery_epoch)
    }

    /// The configuration as it was given: its voters are the voters, whether heard of or not. To
    /// keep only those that are remembered is a deliberate mistake.
    pub(crate) fn with_known_voters(mut self, recovered: &Recovered) -> Self {
        let forgets = crate::mutant::is(crate::mutant::FORGETS_VOTERS_UNHEARD_OF);
        if forgets && recovered.life.boot_epoch.0 > 1 {
            let is_known = |id| recovered.peers.iter().any(|peer| peer.life.member == id);
            let own = self.member;
            self.voters.retain(|&id, _| id == own || is_known(id));
        }
        self
    }

    /// All that is wrong with this configuration; nothing when it can be used.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigError> {
        let mut problems = Vec::new();
        let is_outsider = !self.voters.contains_key(&self.member);
        let is_wrong = is_outsider && !self.joins;
        if is_wrong && !crate::mutant::is(crate::mutant::OUTSIDERS_RUN) {
            problems.push(ConfigError::NotAVoter { member: self.member });
        }
        if self.voters.len() > VOTERS_MAX {
            problems.push(ConfigError::Value {
                key: "members",
                value: self.voters.len() as u64,
                reason: "is more voters than 7; remove some",
            });
        }
        self.timing.problems(&mut problems);
        self.limits.problems(&mut problems);
        let formed = if self.joins { VOTERS_MAX } else { self.voters.len() };
        self.durability.problems(formed, &mut problems);
        problems
    }
}

impl Timing {
    fn problems(&self, problems: &mut Vec<ConfigError>) {
        let mut check = |ok: bool, key, value: Duration, reason| {
            if !ok {
                problems.push(ConfigError::Value { key, value: value.0, reason });
            }
        };
        let heartbeat = self.heartbeat_interval;
        let (least, most) = (self.election_timeout_min, self.election_timeout_max);
        check(heartbeat.0 > 0, "heartbeat_interval", heartbeat, "must be above zero");
        let first = self.heartbeat_first;
        let first_ok = first.0 > 0 && first <= heartbeat;
        check(first_ok, "heartbeat_first", first, "must be above zero, at most heartbeat_interval");
        let patient = least >= heartbeat.times(3);
        check(patient, "election_timeout_min", least, "must be at least 3 heartbeat intervals");
        check(least < most, "election_timeout_max", most, "must be above election_timeout_min");
        check(self.nak_retry.0 > 0, "nak_retry", self.nak_retry, "must be above zero");
        let progress = self.progress_timeout;
        check(progress > most, "progress_timeout", progress, "must be above election_timeout_max");
        let session = self.session_timeout;
        check(session > most, "session_timeout", session, "must be above election_timeout_max");
        let stall = self.stall_timeout;
        check(stall > heartbeat, "stall_timeout", stall, "must be above heartbeat_interval");
        let delay = self.candidacy_delay;
        let bounded = delay <= most.times(CANDIDACY_TIMEOUTS_MAX);
        check(bounded, "candidacy_delay", delay, "must be at most 4 times election_timeout_max");
        let age = self.log_age_max;
        check(age > most, "log_age_max", age, "must be above election_timeout_max");
        if let Some(Lease { drift_per_mille }) = self.lease {
            let drift = Duration(u64::from(drift_per_mille));
            let bounded = (1..=500).contains(&drift.0);
            check(bounded, "lease_drift_per_mille", drift, "must be in 1..=500");
        }
    }

    /// By how much log time goes on at once, at most, however long a leader was not served and
    /// wherever its clock jumps: [`Timing::progress_timeout`], for which a leader may stand still.
    #[must_use]
    pub const fn log_time_step_max(&self) -> Duration {
        self.progress_timeout
    }

    /// How old a leader lets its last marker become while the log grows; nothing for any age.
    #[must_use]
    pub const fn marker_age_max(&self) -> Option<Duration> {
        if self.log_age_max.0 == u64::MAX { None } else { Some(Duration(self.log_age_max.0 / 4)) }
    }

    /// What is older than the newest snapshot by so much is not kept; nothing for any age.
    #[must_use]
    pub const fn kept_age(&self) -> Option<Duration> {
        if self.log_age_max.0 == u64::MAX { None } else { Some(Duration(self.log_age_max.0 / 2)) }
    }
}

impl Limits {
    fn problems(&self, problems: &mut Vec<ConfigError>) {
        let mut check = |ok: bool, key, value: u64, reason| {
            if !ok {
                problems.push(ConfigError::Value { key, value, reason });
            }
        };
        let ring = |bytes: u64| bytes.is_power_of_two() && bytes <= WINDOW_BYTES_MAX;
        check(
            ring(self.window_bytes),
            "window_bytes",
            self.window_bytes,
            "must be a power of two, at most 1 GiB",
        );
        check(
            ring(self.session_window_bytes),
            "session_window_bytes",
            self.session_window_bytes,
            "must be a power of two, at most 1 GiB",
        );
        let frame = self.frame_bytes_max();
        let message = u64::from(self.message_bytes_max);
        check(
            frame <= self.window_bytes / 4
                && self.message_frame_bytes_max() <= self.session_window_bytes / 4,
            "message_bytes_max",
            message,
            "must fit a quarter of window_bytes and of session_window_bytes with its frame",
        );
        let reply = u64::from(self.reply_bytes_max);
        check(
            aligned(reply + OVERHEAD_BYTES_MAX as u64) <= self.session_window_bytes / 4,
            "reply_bytes_max",
            reply,
            "must fit a quarter of session_window_bytes with its frame",
        );
        for (key, value) in [
            ("coverage_ranges_max", self.coverage_ranges_max),
            ("reads_max", self.reads_max),
            ("apply_batch_max", self.apply_batch_max),
            ("sessions_max", self.sessions_max),
            ("in_flight_max", self.in_flight_max),
            ("queries_max", self.queries_max),
        ] {
            check(value > 0, key, value as u64, "must be above zero");
        }
        self.flow_problems(problems);
    }

    /// What is wrong with the sizes of what is sent, read and kept waiting.
    fn flow_problems(&self, problems: &mut Vec<ConfigError>) {
        let mut check = |ok: bool, key, value: u64, reason| {
            if !ok {
                problems.push(ConfigError::Value { key, value, reason });
            }
        };
        let frame = self.frame_bytes_max();
        let slice = u64::from(self.slice_bytes);
        let slice_ok = slice >= 64 && slice % 8 == 0 && slice <= 60_000;
        check(slice_ok, "slice_bytes", slice, "must be a multiple of 8 in 64..=60000");
        let run = self.run_bytes_max;
        check(run >= slice, "run_bytes_max", run, "must be at least slice_bytes");
        let read = self.read_bytes_max;
        check(read >= frame, "read_bytes_max", read, "must hold the frame of the largest message");
        let uncommitted = self.uncommitted_bytes_max;
        let (window, cap) = (self.window_bytes, self.log_bytes_max);
        check(cap / 4 >= window, "log_bytes_max", cap, "must be at least 4 times window_bytes");
        check(
            uncommitted >= frame && uncommitted <= self.window_bytes / 2,
            "uncommitted_bytes_max",
            uncommitted,
            "must hold the largest frame and be at most half of window_bytes",
        );
        let unapplied = self.unapplied_bytes_max;
        check(unapplied >= frame, "unapplied_bytes_max", unapplied, "must hold the largest frame");
        let repair = self.repair_request_bytes_max;
        check(repair >= slice, "repair_request_bytes_max", repair, "must be at least slice_bytes");
        let budget = self.repair_budget_bytes;
        check(budget >= slice, "repair_budget_bytes", budget, "must be at least slice_bytes");
    }

    /// After how many bytes of log a leader has a snapshot taken; 0 for only when its host asks.
    #[must_use]
    pub const fn marker_interval_bytes(&self) -> u64 {
        let (interval, cap) = (self.snapshot_interval_bytes, self.log_bytes_max / 4);
        if self.log_bytes_max == u64::MAX || (0 < interval && interval < cap) {
            interval
        } else {
            cap
        }
    }

    /// How many bytes behind the newest snapshot are kept, at least; `u64::MAX` for all.
    #[must_use]
    pub const fn kept_bytes(&self) -> u64 {
        let (keep, cap) = (self.purge_keep_bytes, self.log_bytes_max / 2);
        if self.log_bytes_max == u64::MAX || keep < cap { keep } else { cap }
    }

    /// Bytes of the frame of the largest message.
    const fn message_frame_bytes_max(&self) -> u64 {
        aligned(self.message_bytes_max as u64 + OVERHEAD_BYTES_MAX as u64 + 32)
    }

    /// Bytes of the largest frame in the log: that of the largest message, or of the longest list
    /// of members.
    #[must_use]
    pub const fn frame_bytes_max(&self) -> u64 {
        let message = self.message_frame_bytes_max();
        let members = aligned((WRITTEN_BYTES_MAX + OVERHEAD_BYTES_MAX) as u64);
        if message > members { message } else { members }
    }
}
