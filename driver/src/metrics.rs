//! What a loop counts. Plain numbers, copied out on request.

use std::collections::BTreeMap;

use quorate_core::{Counters, View};

use crate::faults::FaultCounters;

/// Datagrams that went in and out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DatagramCounters {
    /// Datagrams that the port took.
    pub sent: u64,
    /// Bytes in them.
    pub sent_bytes: u64,
    /// Datagrams that the port did not take.
    pub unsent: u64,
    /// Datagrams received, undecodable ones included.
    pub received: u64,
    /// Bytes in them.
    pub received_bytes: u64,
    /// Errors of the socket when receiving.
    pub receive_errors: u64,
    /// Datagrams that the system dropped because the receive buffer was full, if it says so.
    pub overflows: Option<u64>,
    /// Datagrams that could not be decoded, by reason.
    pub undecodable: BTreeMap<String, u64>,
}

/// What went to the storage.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StorageCounters {
    /// Appends written.
    pub appends: u64,
    /// Bytes in them.
    pub append_bytes: u64,
    /// Syncs asked for; those under way together are one at the disk.
    pub syncs: u64,
    /// Votes, histories and peer records asked to be made durable.
    pub persists: u64,
    /// Reads of the log asked for.
    pub reads: u64,
    /// Appends refused for want of space.
    pub appends_refused: u64,
}

/// A member as its host sees it.
#[derive(Clone, Debug, Default)]
pub struct MemberStatus {
    /// Role, term and positions.
    pub view: View,
    /// What the core counted.
    pub counters: Counters,
    /// Datagrams in and out.
    pub datagrams: DatagramCounters,
    /// What the fault layer did.
    pub faults: FaultCounters,
    /// What went to the storage.
    pub storage: StorageCounters,
    /// The digest of the service's state at `view.applied`.
    pub digest: u64,
}
