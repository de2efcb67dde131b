//! What a cluster is like.

use core::fmt;
use std::path::PathBuf;

use clap::ValueEnum;
use quorate_core::{Durability, Duration, Limits};
use quorate_driver::{Faults, SnapshotWriting};

/// What drives members.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Runtime {
    /// tokio, one thread.
    Tokio,
    /// mio, one thread.
    Mio,
    /// async-std.
    AsyncStd,
}

/// What members do when there is nothing to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Idle {
    /// Wait in the kernel.
    Block,
    /// Look again and again.
    Spin,
    /// Look again for a while, then wait in the kernel.
    Backoff,
}

/// Where the archives are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Storage {
    /// On a file system in memory: nothing survives the machine.
    Memory,
    /// On a disk, synced.
    Disk,
}

/// What it takes that a message is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Level {
    /// A quorum has synced it.
    Durable,
    /// A quorum has it in memory; all is synced once a second.
    Volatile,
}

impl Level {
    /// What members are configured with.
    pub(super) const fn durability(self) -> Durability {
        match self {
            Self::Durable => Durability::Durable,
            Self::Volatile => {
                Durability::Volatile { checkpoint_interval: Duration::from_millis(1_000) }
            }
        }
    }
}

macro_rules! shown_as_written {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let value = self.to_possible_value();
                f.write_str(value.as_ref().map_or("", |value| value.get_name()))
            }
        }
    )*};
}

shown_as_written!(Runtime, Idle, Level, Storage);

/// What a cluster is like.
#[derive(Clone, Debug)]
pub(crate) struct ClusterCase {
    /// Members: 1 to 7.
    pub(crate) members: u16,
    /// What drives them.
    pub(crate) runtime: Runtime,
    /// What they do when there is nothing to do.
    pub(crate) idle: Idle,
    /// Where their archives are.
    pub(crate) storage: Storage,
    /// What it takes that a message is answered.
    pub(crate) level: Level,
    /// Per cent of datagrams that each receiver loses.
    pub(crate) loss: f64,
    /// The limits of members; the client's are the same.
    pub(crate) limits: Limits,
    /// The folder that holds all their files.
    pub(crate) folder: PathBuf,
    /// Bytes of a message, at least 8.
    pub(crate) payload: usize,
    /// Bytes that the service keeps, beside its count.
    pub(crate) state_bytes: usize,
    /// The service is a ledger, which answers with its entries and their digest.
    pub(crate) keeps_ledger: bool,
    /// How snapshots of that are written.
    pub(crate) snapshots: SnapshotWriting,
}

impl ClusterCase {
    /// Members on mio that block when idle, without loss and without state, with the limits that
    /// members have by default.
    pub(crate) fn new(members: u16, storage: Storage, folder: PathBuf, payload: usize) -> Self {
        Self {
            members,
            runtime: Runtime::Mio,
            idle: Idle::Block,
            storage,
            level: Level::Durable,
            loss: 0.0,
            limits: Limits::default(),
            folder,
            payload,
            state_bytes: 0,
            keeps_ledger: false,
            snapshots: SnapshotWriting::default(),
        }
    }

    /// The faults of a receiver, another choice of datagrams for each.
    pub(super) fn faults(&self, seed: u64) -> Option<Faults> {
        let faults = Faults { loss_percent: self.loss, seed, ..Faults::default() };
        (self.loss > 0.0).then_some(faults)
    }
}

/// The folder of the archives of rungs that do not take turns with kinds of storage.
pub(crate) const MEMORY_FOLDER: &str = "/dev/shm";
