//! What a loop counts. Plain numbers, copied out on request.

use std::collections::BTreeMap;
use std::time::SystemTime;

use quorate_codecs::decode;
use quorate_core::frame::Level;
use quorate_core::{Counters, GroupTag, Incoming, Position, Sender, View};

use crate::faults::FaultCounters;
use crate::storage::SnapshotProgress;

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

/// What became of reading what is stored again, in all lives of the member in this process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ScrubStatus {
    /// Bytes read.
    pub bytes: u64,
    /// Times that all there is was read.
    pub passes: u64,
    /// When it last was.
    pub last_pass: Option<SystemTime>,
    /// Times that a frame of the log was found damaged.
    pub log_damages: u64,
    /// Times that a snapshot was; one that stays is found anew by each pass.
    pub snapshot_damages: u64,
    /// Times that the log was mended with the bytes of others, at a start as well.
    pub mendings: u64,
    /// Bytes of the log that were written anew.
    pub mended_bytes: u64,
    /// The first frame that is missing, while the log is mended: the member takes part in nothing.
    pub mending_at: Option<Position>,
}

/// A member as its host sees it.
#[derive(Clone, Debug, Default)]
pub struct MemberStatus {
    /// Role, term and positions.
    pub view: View,
    /// What it takes for committed.
    pub level: Level,
    /// What the core counted.
    pub counters: Counters,
    /// Datagrams in and out.
    pub datagrams: DatagramCounters,
    /// What the fault layer did.
    pub faults: FaultCounters,
    /// What went to the storage.
    pub storage: StorageCounters,
    /// What became of reading again what is stored.
    pub scrub: ScrubStatus,
    /// This member's own snapshot that is being stored: since when, and how much of it is written.
    pub snapshot_progress: Option<SnapshotProgress>,
}

impl DatagramCounters {
    /// Counts a received datagram and decodes it; `None` if it could not be.
    pub(crate) fn decoded<'a>(
        &mut self,
        datagram: &'a [u8],
        tag: GroupTag,
    ) -> Option<(Sender, Incoming<'a>)> {
        self.received += 1;
        self.received_bytes += datagram.len() as u64;
        match decode(datagram, tag) {
            Ok(decoded) => Some(decoded),
            Err(error) => {
                *self.undecodable.entry(error.name().to_owned()).or_default() += 1;
                None
            }
        }
    }
}
