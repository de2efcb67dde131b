//! Bodies in JSON. All numbers are whole and have up to 64 bits; times are nanoseconds.

use std::collections::BTreeMap;

use quorate_core::{
    BootEpoch, Chain, Counters, Durability, Duration, Endpoint, GroupId, Incarnation, Instant,
    Life, Limits, LogTime, MemberConfig, MemberId, Position, Recovered, RecoveryEpoch, Snapshot,
    SnapshotPoint, Term, TermHistory, TermLine, Timing, Vote, VoteKey,
};
use serde::{Deserialize, Serialize};

use super::client_body::ClientCountersBody;
use super::found::PeerBody;
use crate::subject::HandedOver;

/// Body of `H`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hello {
    /// [`super::PROTOCOL`].
    pub protocol: u32,
    /// The suite's version.
    pub suite: String,
}

/// Body of `B`: what a member's life begins with.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Begin {
    /// The time on the node's clock.
    pub now: u64,
    /// Its configuration.
    config: ConfigBody,
    /// What its disk was found to hold.
    recovered: RecoveredBody,
}

/// Body of `k`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Began {
    /// Why the node does not start, if it does not.
    #[serde(default)]
    pub refused: Option<String>,
}

/// Body of `t`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct TurnDone {
    /// When it wants time to go on if nothing happens before.
    #[serde(default)]
    pub wake: Option<u64>,
    /// Why it went inert, if it did.
    #[serde(default)]
    pub stopped: Option<String>,
    /// It was asked to stop, and has.
    #[serde(default)]
    pub ended: bool,
    /// What came of transfers of leadership that were asked for.
    #[serde(default)]
    pub handed_over: Vec<HandedOver>,
    /// What a client has counted so far.
    #[serde(default)]
    pub(super) client: Option<ClientCountersBody>,
}

/// Body of `O`: leadership is to be handed over.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct OperateBody {
    /// The number that the answer names.
    pub request: u64,
    /// To whom; without one, to whoever is most complete.
    pub target: Option<u16>,
}

/// Body of `E`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct EventBody {
    /// What happened, in a few words.
    pub text: String,
}

/// A type that is one whole number.
pub(super) trait Number: Sized {
    fn number(&self) -> u64;
    /// `None` if it does not fit.
    fn of(number: u64) -> Option<Self>;
}

macro_rules! wrapped {
    ($($of:ident($inner:ty)),*) => { $(
        impl Number for $of {
            fn number(&self) -> u64 {
                self.0.number()
            }

            fn of(number: u64) -> Option<Self> {
                <$inner>::of(number).map(Self)
            }
        }
    )* };
}

macro_rules! whole {
    ($($of:ident),*) => { $(
        impl Number for $of {
            fn number(&self) -> u64 {
                *self as u64
            }

            fn of(number: u64) -> Option<Self> {
                Self::try_from(number).ok()
            }
        }
    )* };
}

whole!(u16, u32, u64, usize);
wrapped!(
    BootEpoch(u64),
    Chain(u64),
    Duration(u64),
    GroupId(u64),
    Incarnation(u32),
    LogTime(u64),
    MemberId(u16),
    Position(u64),
    RecoveryEpoch(u32),
    Term(u64)
);

/// The body of a type whose fields are all numbers: without `..`, so that none is forgotten.
macro_rules! numbers {
    ($(#[$attributes:meta])* $body:ident of $of:ident { $($field:ident),* $(,)? }
        $(but $other:ident)?) => {
        #[derive(Clone, Debug, Default, Deserialize, Serialize)]
        $(#[$attributes])*
        pub(super) struct $body {
            $($field: u64,)*
        }

        impl $body {
            pub(super) fn from(it: &$of) -> Self {
                let $of { $($field,)* $($other: _,)? } = it;
                Self { $($field: $field.number(),)* }
            }

            pub(super) fn to(&self) -> Option<$of> {
                Some($of { $($field: Number::of(self.$field)?,)* $($other: None)? })
            }
        }
    };
}

pub(super) use numbers;

numbers!(TimingBody of Timing {
    heartbeat_interval, heartbeat_first, election_timeout_min, election_timeout_max, nak_delay,
    nak_retry, repair_linger, progress_timeout, session_timeout, peer_record_interval,
    stall_timeout, candidacy_delay, log_age_max,
} but lease);
numbers!(LimitsBody of Limits {
    window_bytes, message_bytes_max, uncommitted_bytes_max, unapplied_bytes_max, slice_bytes,
    run_bytes_max, coverage_ranges_max, repair_request_bytes_max, repair_budget_bytes, reads_max,
    read_bytes_max, apply_batch_max, sessions_max, session_window_bytes, in_flight_max,
    reply_bytes_max, timers_max, snapshot_interval_bytes, purge_keep_bytes, log_bytes_max,
    queries_max,
});
numbers!(LifeBody of Life { member, incarnation, boot_epoch });
numbers!(#[serde(default)] CountersBody of Counters {
    elections_won, canvasses, naks_sent, nak_ranges_sent, naks_received, repair_bytes_sent,
    repairs_sent, repairs_refused, duplicate_bytes, slices_dropped, frames_rejected, cuts,
    datagrams_ignored, completions_ignored, duplicates_suppressed, messages_appended,
    messages_applied, reads_answered, reads_refused, read_rounds, snapshots_stored,
    snapshots_failed, snapshots_skipped, purges,
    snapshot_fetches, snapshot_bytes_received, snapshot_bytes_sent, snapshots_rejected,
    snapshots_differing,
    replies_resent, back_pressure,
});
numbers!(KeyBody of VoteKey { term, position });
numbers!(PointBody of SnapshotPoint { position, term, chain, time });

#[derive(Clone, Debug, Deserialize, Serialize)]
struct ConfigBody {
    group: u64,
    recovery_epoch: u32,
    member: u16,
    /// Each member's endpoint, as 36 hexadecimal digits.
    voters: BTreeMap<u16, String>,
    /// Whether this member came later, and only receives.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    joins: bool,
    seed: u64,
    timing: TimingBody,
    limits: LimitsBody,
    /// In nanoseconds, of a volatile group.
    #[serde(default)]
    checkpoint_interval: Option<u64>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct RecoveredBody {
    life: LifeBody,
    vote: VoteBody,
    history: Vec<LineBody>,
    /// Where the log begins: what was before is purged.
    #[serde(default)]
    origin: PointBody,
    log_end: u64,
    chain: u64,
    log_time: u64,
    /// The newest term whose opening frame is in the log, and the code of its level.
    #[serde(default)]
    opened: Option<(u64, u8)>,
    /// The newest lists of members in the log: the end of each one's frame, and the list as
    /// hexadecimal digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    memberships: Vec<(u64, String)>,
    peers: Vec<PeerBody>,
    /// The core's part of the snapshot to begin with, as hexadecimal digits. The service has its
    /// part already.
    #[serde(default)]
    snapshot: Option<String>,
    /// The forced recovery that began the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forced: Option<super::found::ForcedBody>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct VoteBody {
    term: u64,
    granted_to: Option<u16>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct LineBody {
    recovery_epoch: u32,
    term: u64,
    base: u64,
    leader: LifeBody,
    chain: u64,
}

/// JSON behind the operation of a disk request of kind `h`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct HistoryBody {
    pub(super) lines: Vec<LineBody>,
    pub(super) cut: u64,
}

impl Begin {
    pub(super) fn new(now: Instant, config: &MemberConfig, recovered: &Recovered) -> Self {
        let MemberConfig {
            group,
            recovery_epoch,
            member,
            voters,
            joins,
            seed,
            timing,
            limits,
            durability,
        } = config;
        let voters = voters.iter().map(|(id, endpoint)| (id.0, hex(endpoint)));
        let config = ConfigBody {
            group: group.0,
            recovery_epoch: recovery_epoch.0,
            member: member.0,
            voters: voters.collect(),
            joins: *joins,
            seed: *seed,
            timing: TimingBody::from(timing),
            limits: LimitsBody::from(limits),
            checkpoint_interval: durability.checkpoint_interval().map(|interval| interval.0),
        };
        let Recovered {
            life,
            vote,
            history,
            origin,
            log_end,
            chain,
            log_time,
            opened,
            memberships,
            peers,
            snapshot,
            forced,
        } = recovered;
        let recovered = RecoveredBody {
            opened: opened.map(|(term, level)| (term.0, super::found::code(level))),
            memberships: memberships.iter().map(super::found::members_body).collect(),
            life: LifeBody::from(life),
            vote: VoteBody::from(vote),
            history: lines(history),
            origin: PointBody::from(origin),
            log_end: log_end.0,
            chain: chain.0,
            log_time: log_time.0,
            peers: peers.iter().map(PeerBody::from).collect(),
            snapshot: snapshot.as_ref().map(|snapshot| digits(&snapshot.core)),
            forced: forced.map(super::found::forced_body),
        };
        Self { now: now.0, config, recovered }
    }

    /// What the core is constructed with; `None` if a number does not fit.
    #[must_use]
    pub fn parts(&self) -> Option<(MemberConfig, Recovered)> {
        let Self { config, recovered, .. } = self;
        let snapshot = match &recovered.snapshot {
            Some(text) => Some(Box::new(snapshot(bytes(text)?)?)),
            None => None,
        };
        let voters = config.voters.iter().map(|(id, text)| Some((MemberId(*id), endpoint(text)?)));
        let parts = (
            MemberConfig {
                group: GroupId(config.group),
                recovery_epoch: RecoveryEpoch(config.recovery_epoch),
                durability: match config.checkpoint_interval {
                    None => Durability::Durable,
                    Some(nanos) => Durability::Volatile { checkpoint_interval: Duration(nanos) },
                },
                member: MemberId(config.member),
                voters: voters.collect::<Option<_>>()?,
                joins: config.joins,
                seed: config.seed,
                timing: config.timing.to()?,
                limits: config.limits.to()?,
            },
            Recovered {
                life: recovered.life.to()?,
                vote: recovered.vote.to(),
                history: history(&recovered.history)?,
                origin: recovered.origin.to()?,
                log_end: Position(recovered.log_end),
                chain: Chain(recovered.chain),
                log_time: LogTime(recovered.log_time),
                opened: recovered.opened.map(super::found::of),
                memberships: super::found::members(&recovered.memberships)?,
                peers: recovered.peers.iter().map(PeerBody::to).collect::<Option<_>>()?,
                snapshot,
                forced: recovered.forced.map(super::found::forced),
            },
        );
        Some(parts)
    }
}

impl VoteBody {
    pub(super) fn from(vote: &Vote) -> Self {
        Self { term: vote.term.0, granted_to: vote.granted_to.map(|member| member.0) }
    }

    pub(super) fn to(self) -> Vote {
        Vote { term: Term(self.term), granted_to: self.granted_to.map(MemberId) }
    }
}

/// The lines of a history as bodies.
pub(super) fn lines(history: &TermHistory) -> Vec<LineBody> {
    let line = |line: &TermLine| LineBody {
        recovery_epoch: line.recovery_epoch.0,
        term: line.term.0,
        base: line.base.0,
        leader: LifeBody::from(&line.leader),
        chain: line.chain.0,
    };
    history.lines().iter().map(line).collect()
}

/// The history of these lines, if they are one.
pub(super) fn history(lines: &[LineBody]) -> Option<TermHistory> {
    let line = |line: &LineBody| {
        Some(TermLine {
            recovery_epoch: RecoveryEpoch(line.recovery_epoch),
            term: Term(line.term),
            base: Position(line.base),
            leader: line.leader.to()?,
            chain: Chain(line.chain),
        })
    };
    TermHistory::new(lines.iter().map(line).collect::<Option<Vec<_>>>()?).ok()
}

pub(super) fn hex(endpoint: &Endpoint) -> String {
    digits(&endpoint.0)
}

pub(super) fn endpoint(text: &str) -> Option<Endpoint> {
    bytes(text)?.try_into().ok().map(Endpoint)
}

/// Bytes as hexadecimal digits.
pub(super) fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that these digits are.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| (digit as char).to_digit(16).map(|value| value as u8);
    let (pairs, rest) = text.as_bytes().as_chunks();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

/// The snapshot whose core's part these bytes are.
pub(super) fn snapshot(core: Vec<u8>) -> Option<Snapshot> {
    Some(Snapshot { point: SnapshotPoint::read(&core).ok()?, core })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::{DeskOptions, config, line};

    #[test]
    fn a_beginning_comes_back_as_it_was() {
        let config = config(&DeskOptions::member_of(3));
        let mut recovered = Recovered::empty(crate::desk::life(1));
        recovered.vote = Vote { term: Term(9), granted_to: Some(MemberId(2)) };
        recovered.history =
            TermHistory::new(vec![line(9, 2, Position(640), Chain(u64::MAX))]).unwrap();
        recovered.peers = vec![quorate_core::PeerRecord::default()];
        let core = [vec![2, 0], vec![0; 6], vec![7; 32]].concat();
        recovered.snapshot = Some(Box::new(snapshot(core).unwrap()));
        let begin = Begin::new(Instant(77), &config, &recovered);
        let json = serde_json::to_vec(&begin).unwrap();
        let back: Begin = serde_json::from_slice(&json).unwrap();
        let (config_back, recovered_back) = back.parts().unwrap();
        assert_eq!(format!("{config:?}"), format!("{config_back:?}"));
        assert_eq!(format!("{recovered:?}"), format!("{recovered_back:?}"));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(endpoint("00"), None);
        assert_eq!(endpoint(&"é".repeat(18)), None);
        assert_eq!(endpoint(&"0g".repeat(18)), None);
        assert_eq!(bytes("012"), None);
        assert_eq!(snapshot(vec![1, 0, 3]), None);
        assert_eq!(u16::of(70_000), None);
    }
}
