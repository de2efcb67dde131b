//! The ports under a member: datagrams, clock and disk. A runtime puts sockets and files there, a
//! test suite virtual ones.

use std::io;

use quorate_core::{
    Endpoint, Instant, OperationId, PeerRecord, Position, PositionRange, Snapshot,
    SnapshotManifest, SnapshotPoint, TermHistory, Vote,
};

use crate::frozen::Frozen;
use crate::storage::SnapshotProgress;

/// Sends and receives datagrams, without ever waiting.
pub trait DatagramPort {
    /// Sends `run` to `to`: datagrams of `datagram_bytes` each, the last one shorter. A run goes to
    /// the kernel as one segmented send where the port can. Returns how many datagrams were taken;
    /// those that were not are lost, as they could be anywhere on their way.
    ///
    /// # Errors
    /// What the socket says, except that there is no room, which is a smaller number.
    fn send(&mut self, to: Endpoint, run: &[u8], datagram_bytes: usize) -> io::Result<usize>;

    /// Takes received datagrams of one source into `buffer`, as many as the port has coalesced;
    /// `None` when there are none now. Only then is it time to wait for more: a port may have taken
    /// from the system what it has not handed over.
    ///
    /// # Errors
    /// What the socket says. A datagram that may not have had room in `buffer` is dropped and is
    /// an error: none is ever delivered short.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>>;

    /// Datagrams for this port that the system has dropped so far because nobody took what came
    /// before; `None` where it does not say. They are lost as those on the way are, and repaired.
    /// May look at files of the system: not for every turn.
    fn overflows(&self) -> Option<u64> {
        None
    }
}

/// One or several datagrams of one source, as they lie in a buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received {
    /// Where they came from.
    pub source: Endpoint,
    /// Bytes of all of them; 0 when nothing is left of what was received.
    pub bytes: usize,
    /// Bytes of each but the last, which may be shorter.
    pub datagram_bytes: usize,
}

impl Received {
    /// One datagram of `bytes`.
    #[must_use]
    pub const fn single(source: Endpoint, bytes: usize) -> Self {
        Self { source, bytes, datagram_bytes: bytes }
    }

    /// The datagrams, one by one, in `buffer`, which they were received into.
    pub fn datagrams<'a>(
        &self,
        buffer: &'a [u8],
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        buffer[..self.bytes.min(buffer.len())].chunks(self.datagram_bytes.max(1))
    }
}

/// Tells the monotonic time.
pub trait Clock {
    /// Nanoseconds since a start of its own choice; never falls.
    fn now(&self) -> Instant;
}

/// The process's monotonic clock, counted from its construction.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// The same instant on the process's clock: what a runtime's timer wants.
    #[must_use]
    pub fn at(&self, instant: Instant) -> std::time::Instant {
        self.start + core::time::Duration::from_nanos(instant.0)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        let nanos = self.start.elapsed().as_nanos();
        Instant(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Why bytes were not appended. Nothing of a refused append was written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// There is no space; the archive goes on to work, and takes appends again when there is.
    #[error("no space left for the log")]
    Full,
    /// The storage broke, for good (E43).
    #[error("{0}")]
    Broken(String),
}

/// Writes the log, on the loop's thread: into the page cache, without waiting for the disk.
pub trait LogPort {
    /// A cut that has begun on the loop's thread and is completed on the storage thread.
    type Cut;

    /// Writes `bytes`, joined, at `position`, where the written log ends.
    ///
    /// # Errors
    /// [`AppendError`].
    fn append(&mut self, position: Position, bytes: (&[u8], &[u8])) -> Result<(), AppendError>;

    /// Begins a cut of the log at `at`: bytes at and above it are disowned. No append follows
    /// before [`DurableStore::persist_history`] has completed the cut (rule 1).
    fn cut(&mut self, at: Position) -> Self::Cut;
}

/// Takes over what waits for the disk, and performs it elsewhere, or later: in order, except reads
/// and what concerns snapshots, which have an order of their own each.
pub trait StoragePort<C> {
    /// Takes over `request`; its [`crate::Completion`] is delivered later. Waits only when more is
    /// outstanding than the core's limits allow, and never for what concerns snapshots: what finds
    /// no room there fails.
    fn submit(&mut self, request: StorageRequest<C>);

    /// The loop has sent what it had to send: a port that performs its requests on the loop's
    /// thread does so now. Called once a turn.
    fn perform(&mut self) {
        // Others perform them.
    }

    /// The log is committed and durable up to `end`, where a frame ends: a port that reads what is
    /// stored again, to find what has rotted, reads the log so far. Called when it has told
    /// [`crate::Completion::Scrubbed`].
    fn set_settled(&mut self, end: Position) {
        let _ = end;
    }

    /// The member's own snapshot that is being stored, if there is one and the port knows.
    fn snapshot_progress(&self) -> Option<SnapshotProgress> {
        None
    }

    /// Takes no further requests; those that were taken are finished.
    fn close(&mut self) {
        // Nothing is left to finish.
    }
}

/// Something that waits for the disk.
#[derive(Debug)]
pub enum StorageRequest<C> {
    /// Make all that was appended before durable.
    Sync {
        /// The operation.
        operation: OperationId,
    },
    /// Replace the durable vote.
    PersistVote {
        /// The operation.
        operation: OperationId,
        /// The vote.
        vote: Vote,
    },
    /// Replace the durable term history, then cut the log.
    PersistHistory {
        /// The operation.
        operation: OperationId,
        /// The history.
        history: TermHistory,
        /// The cut, as the log port began it.
        cut: C,
    },
    /// Replace what is remembered of the other members.
    PersistPeers {
        /// The operation.
        operation: OperationId,
        /// The records.
        peers: Vec<PeerRecord>,
    },
    /// Let the log begin at this point, durably, and remove what is before. Nothing is reported.
    Purge {
        /// Where the log begins.
        origin: SnapshotPoint,
    },
    /// Store a snapshot: both parts, of one position.
    StoreSnapshot {
        /// The operation.
        operation: OperationId,
        /// The core's part.
        snapshot: Box<Snapshot>,
        /// The service's state, which is written while the service goes on.
        service: Frozen,
        /// An older one that is not to be removed.
        pinned: Option<Position>,
    },
    /// Read bytes of the log.
    Read {
        /// The operation.
        operation: OperationId,
        /// The bytes.
        range: PositionRange,
    },
    /// Read bytes of the stream of a stored snapshot, or only what it is if the range is empty.
    ReadSnapshot {
        /// The operation.
        operation: OperationId,
        /// Where it stands.
        position: Position,
        /// The bytes.
        range: PositionRange,
    },
    /// Keep a part of the stream of another member's snapshot; one from 0 on replaces whatever was
    /// kept.
    KeepSnapshotPart {
        /// The operation.
        operation: OperationId,
        /// The snapshot.
        manifest: SnapshotManifest,
        /// Where in the stream the part begins.
        start: Position,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// All parts were handed over: see that they are what was announced. If so, one of the member's
    /// own that is being stored and stands before it fails: it would be waited for.
    CheckSnapshot {
        /// The operation.
        operation: OperationId,
        /// The snapshot.
        manifest: SnapshotManifest,
    },
    /// Forget the parts that were kept. Nothing is reported.
    DropSnapshot,
    /// Remove the stored snapshots at this position and behind it, and store no other. Nothing is
    /// reported.
    DiscardSnapshots {
        /// The position.
        from: Position,
    },
    /// Make the snapshot that was checked a stored one, and let the log begin there, empty.
    InstallSnapshot {
        /// The operation.
        operation: OperationId,
        /// The snapshot.
        manifest: SnapshotManifest,
    },
}

/// What is made durable, on the storage thread. The first error is the last: the store is poisoned
/// (E43).
pub trait DurableStore {
    /// A cut, as the log port began it.
    type Cut;

    /// Makes all that was appended before durable.
    ///
    /// # Errors
    /// What broke, in words for the operator.
    fn sync(&mut self) -> Result<(), String>;

    /// Replaces the durable vote.
    ///
    /// # Errors
    /// What broke.
    fn persist_vote(&mut self, vote: Vote) -> Result<(), String>;

    /// Replaces the durable term history, then completes the cut.
    ///
    /// # Errors
    /// What broke.
    fn persist_history(&mut self, history: &TermHistory, cut: Self::Cut) -> Result<(), String>;

    /// Replaces what is remembered of the other members.
    ///
    /// # Errors
    /// What broke.
    fn persist_peers(&mut self, peers: &[PeerRecord]) -> Result<(), String>;

    /// Lets the log begin at `origin`, durably, and then removes what is before. What cannot be
    /// removed now may stay: it is not read any more.
    ///
    /// # Errors
    /// What broke.
    fn purge(&mut self, origin: SnapshotPoint) -> Result<(), String>;

    /// Makes the snapshot that [`SnapshotStore::check`] found whole a stored one, and lets the log
    /// begin where it stands, empty: durably, and so that a crash leaves the old log or the new
    /// beginning. Whoever was opened before is of no use behind it: the life ends.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: the log is as it was.
    fn install(&mut self, manifest: &SnapshotManifest) -> Result<(), StoreError>;
}

/// Why a snapshot was not stored. Nothing of it is there.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not this one; all else goes on, and a later one may be stored.
    #[error("{0}")]
    Refused(String),
    /// The storage broke, for good (E43).
    #[error("{0}")]
    Broken(String),
}

/// Stores snapshots, on a thread of their own: nothing waits for them.
pub trait SnapshotStore {
    /// One that is being stored. Dropped before [`SnapshotStore::publish`], nothing is left of it.
    type Draft;

    /// Begins to store a snapshot: the core's part, and the service's state at the same position,
    /// of which so many bytes are going to come.
    ///
    /// # Errors
    /// [`StoreError`].
    fn begin(&mut self, snapshot: &Snapshot, service_bytes: u64)
    -> Result<Self::Draft, StoreError>;

    /// Writes the next bytes of the service's state.
    ///
    /// # Errors
    /// [`StoreError`].
    fn write(&mut self, draft: &mut Self::Draft, bytes: &[u8]) -> Result<(), StoreError>;

    /// Ends it: all has come. It is durable, whole, and found by the next start when this returns.
    /// The one at `pinned` is not removed for it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn publish(&mut self, draft: Self::Draft, pinned: Option<Position>) -> Result<(), StoreError>;

    /// Keeps `bytes` of another member's snapshot, from `start` of its stream on: right behind what
    /// was kept, or from 0 on in place of whatever was. What lies beyond
    /// [`SnapshotManifest::bytes`] is zeros. Nothing has to be durable.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of it is kept then.
    fn keep(
        &mut self,
        manifest: &SnapshotManifest,
        start: Position,
        bytes: &[u8],
    ) -> Result<(), StoreError>;

    /// Makes what was kept durable, and compares it with what was announced; returns the core's
    /// part.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of it is kept then.
    fn check(&mut self, manifest: &SnapshotManifest) -> Result<Vec<u8>, StoreError>;

    /// Forgets what was kept.
    fn discard(&mut self);

    /// Removes the stored snapshots at `from` and behind it; durable when this returns.
    ///
    /// # Errors
    /// [`StoreError`]; some of them may be there still.
    fn discard_stored(&mut self, from: Position) -> Result<(), StoreError>;
}

/// Reads the log and the stored snapshots, on the reader thread.
pub trait LogReader {
    /// Replaces the content of `bytes` by the bytes of `range`, or by as many from its start on as
    /// are there.
    ///
    /// # Errors
    /// What broke; the reader goes on to work.
    fn read(&mut self, range: PositionRange, bytes: &mut Vec<u8>) -> Result<(), String>;

    /// Replaces the content of `bytes` by the bytes of `range` of the stream of the stored snapshot
    /// at `position`, as far as the stream goes ([`SnapshotManifest::stream_end`]); returns what
    /// the snapshot is. None of the bytes is another than was stored.
    ///
    /// # Errors
    /// It is not there, or is damaged; the reader goes on to work.
    fn read_snapshot(
        &mut self,
        position: Position,
        range: PositionRange,
        bytes: &mut Vec<u8>,
    ) -> Result<SnapshotManifest, String>;
}
