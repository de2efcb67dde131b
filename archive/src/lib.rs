//! The durable log of one member. The text below is the crate's README.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod archive;
mod backup;
mod backup_error;
mod beginning;
mod copies;
mod describe;
mod disk;
mod draft;
mod error;
mod fetched;
mod forcing;
mod identity;
mod lock;
mod log;
mod marks;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
mod mending;
mod payload;
mod purging;
mod reader;
mod record;
mod recoveries;
mod recovery;
mod restoring;
mod salvage;
mod scan;
mod scrub;
mod shared;
mod snapshots;
mod storing;
mod syncer;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use archive::{Archive, Options, identify, init, init_on};
pub use backup::{
    Backup, BackupPlan, Progress, Step, back_up, back_up_on, plan_backup, plan_backup_on,
};
pub use backup_error::BackupError;
pub use describe::{
    Description, FrameCounts, SegmentDescription, SnapshotDescription, describe, describe_on,
};
pub use disk::{Access, Disk, RealDisk};
pub use error::{AppendError, ArchiveError};
pub use forcing::{
    RecoveringMember, RecoveryError, RecoveryPlan, plan_recovery, plan_recovery_on,
    recover_by_force, recover_by_force_on,
};
pub use identity::{Identity, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use mending::{Filled, Hole, Mending};
pub use purging::{PurgeError, PurgePlan, plan_purge, plan_purge_on, purge, purge_on};
pub use reader::Reader;
pub use record::{FORMAT, Owner};
pub use recoveries::RecoveryRecord;
pub use recovery::{PassedOver, Repairs};
pub use restoring::WholeBackup;
pub use salvage::{Salvaged, salvage, salvage_on};
pub use scrub::{Damage, Scrub, Scrubbed};
pub use snapshots::Snapshots;
pub use storing::Storing;
pub use syncer::Syncer;
pub use verify::{Finding, Remedy, Verification, verify, verify_on};
pub use writer::{Cut, Writer};
