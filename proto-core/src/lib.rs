//! The pure state machines of Quorate. The text below is the crate's README.
//!
#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod action;
pub mod client;
pub mod config;
mod counters;
pub mod event;
mod fail_stop;
pub mod frame;
pub mod hash;
pub mod identity;
pub mod mark;
pub mod member;
pub mod membership;
pub mod message;
pub mod mutant;
pub mod notice;
pub mod position;
pub mod random;
pub mod read;
mod recovered;
pub mod snapshot;
pub mod stream;
pub mod term;
pub mod time;

pub use action::{Action, Actions, Apply, Delivery, Destination, Source};
pub use client::Client;
pub use config::{
    CHECKPOINT_INTERVAL_MAX, ConfigError, Durability, ForcedRecovery, Limits, MemberConfig,
    PeerRecord, PeerRecords, Recovered, Timing,
};
pub use event::{Event, OperationId, Outputs};
pub use identity::{
    BootEpoch, ClientKey, Endpoint, GroupId, GroupTag, Incarnation, Life, MemberId, RecoveryEpoch,
    SessionId,
};
pub use member::{
    ForcedError, Member, Progress, Survivor, Usage, View, members_of_snapshot, plan_forced_recovery,
};
pub use membership::{
    ChangeRefusal, MemberRecord, MemberRole, Membership, MembershipChange, NewMember,
};
pub use message::{Incoming, Message, Sender, Stream};
pub use notice::{
    ChangeOutcome, Counters, FailStop, Notice, Role, SnapshotRefusal, Stall, TimerKind,
    TransferOutcome, TransferRefusal,
};
pub use position::{Position, PositionRange};
pub use read::{Query, ReadAnswer, ReadLevel, ReadOutcome, ReadRefusal};
pub use snapshot::{GroupSeed, Snapshot, SnapshotError, SnapshotManifest, SnapshotPoint};
pub use term::{Chain, Term, TermHistory, TermLine, Vote, VoteKey};
pub use time::{Duration, Instant, LogTime};
