//! What a disk is asked to do, and what came of it.

use quorate_core::{PeerRecord, Position, PositionRange, SnapshotManifest, TermHistory, Vote};

use super::{FrameMark, Stored};

/// An operation that completes later.
#[derive(Clone, Debug)]
pub enum Work {
    /// Makes the log durable up to here; a cut in the meantime lowers it.
    Sync {
        /// What was written when the operation was issued.
        covers: u64,
    },
    /// Replaces the vote.
    Vote(Vote),
    /// Replaces the history, then cuts the log.
    History {
        /// The new history.
        history: TermHistory,
        /// Where the log is cut.
        cut: Position,
    },
    /// Replaces what is remembered of the others.
    Peers(Vec<PeerRecord>),
    /// Reads.
    Read(PositionRange),
    /// Stores a snapshot.
    Snapshot {
        /// The snapshot.
        stored: Box<Stored>,
        /// Where an older one stands that is not to be removed.
        pinned: Option<Position>,
    },
    /// Reads a part of a stored snapshot.
    ReadSnapshot {
        /// Where it stands.
        position: Position,
        /// Which part of its stream.
        range: PositionRange,
    },
    /// Keeps a part of a snapshot that is fetched.
    Part {
        /// Which snapshot.
        manifest: SnapshotManifest,
        /// Where the part begins.
        start: Position,
        /// The part.
        bytes: Vec<u8>,
    },
    /// Compares what was kept with what it has to be.
    Check(SnapshotManifest),
    /// Makes what was kept a stored snapshot, and lets the log begin there.
    Install {
        /// Which snapshot.
        manifest: SnapshotManifest,
        /// The frames before it.
        frames: Vec<FrameMark>,
    },
}

impl Work {
    /// Whether it only reads.
    pub(super) const fn only_reads(&self) -> bool {
        matches!(self, Self::Read(_) | Self::ReadSnapshot { .. } | Self::Check(_))
    }

    /// Whether it ends with something durable, and so with a sync that can fail.
    pub(crate) const fn syncs(&self) -> bool {
        !self.only_reads() && !matches!(self, Self::Part { .. })
    }
}

/// What a completed operation did.
#[derive(Clone, Debug)]
pub enum Completion {
    /// It wrote, and that is durable.
    Durable(Work),
    /// It read these bytes, as they are now; none when they cannot be read.
    Read(Vec<u8>),
    /// It read these bytes of a snapshot, which is this one; without one they cannot be read.
    SnapshotRead(Option<SnapshotManifest>, Vec<u8>),
    /// A fetched snapshot is what it has to be; this is the core's part.
    SnapshotWhole(Vec<u8>),
    /// A fetched snapshot is not what it has to be.
    SnapshotFailed,
}
