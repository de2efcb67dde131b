//! What happens to a member: the only way in.

use alloc::vec::Vec;

use crate::identity::{BootEpoch, Endpoint, MemberId, SessionId};
use crate::membership::MembershipChange;
use crate::message::{Incoming, Sender};
use crate::position::Position;
use crate::read::{ReadLevel, ReadRefusal};
use crate::snapshot::SnapshotManifest;
use crate::time::LogTime;

/// Numbers an operation that completes later: of which life, and which of its operations. A
/// completion of another life is inert (E40).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OperationId {
    /// The life that asked for it.
    pub boot_epoch: BootEpoch,
    /// Which of its operations, rising.
    pub sequence: u64,
}

/// One thing that happened. Take over all actions of one event before the next (design law).
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A deadline passed, or nothing happened: due timers are served.
    Timer,
    /// The host has no further input at hand: what was collected for batching is sent now. A host
    /// that never says so is still served by [`Event::Timer`] at `next_deadline`.
    Flush,
    /// A datagram was received, was whole, and carried the group's tag.
    Received {
        /// Who sent it, as its header says.
        sender: Sender,
        /// Where it came from.
        source: Endpoint,
        /// Its content.
        content: Incoming<'a>,
    },
    /// An operation completed, and what it wrote is durable.
    Durable {
        /// The operation.
        operation: OperationId,
    },
    /// A read of the archive completed.
    LogRead {
        /// The operation.
        operation: OperationId,
        /// The bytes from the position that was asked for on; fewer than asked for at the end of
        /// what is there, none when nothing could be read.
        bytes: &'a [u8],
    },
    /// A read of a stored snapshot completed.
    SnapshotRead {
        /// The operation.
        operation: OperationId,
        /// What the snapshot consists of; `None` if it is not there (any more), or is damaged where
        /// it was read.
        manifest: Option<SnapshotManifest>,
        /// The bytes of its stream from the position that was asked for on; fewer than asked for
        /// if the stream ends before.
        bytes: &'a [u8],
    },
    /// The kept snapshot is whole, and its digest is the one that was announced.
    SnapshotWhole {
        /// The operation.
        operation: OperationId,
        /// The core's part of it.
        core: &'a [u8],
    },
    /// The service applied everything that it was handed up to a position.
    Applied {
        /// The end of the last frame that was handed over.
        through: Position,
        /// What the service wants.
        outputs: &'a Outputs,
    },
    /// An append was refused for want of space, and nothing of it was written. It has to be the
    /// very next event behind the one that asked for the append; the syncs that were asked for
    /// together with it do not cover the refused bytes.
    StorageFull {
        /// Where the refused append begins.
        position: Position,
    },
    /// The host wants all members to take a snapshot: a leader appends a marker to the log, at
    /// whose end each of them takes one. Answered at once by [`crate::Notice::SnapshotMarked`] or
    /// [`crate::Notice::SnapshotRefused`].
    TakeSnapshot,
    /// The snapshot that [`crate::Action::TakeSnapshot`] asked for is not there, and will not be;
    /// the member goes on without it. One that is stored is [`Event::Durable`]. Of a snapshot of
    /// another member: its bytes could not be kept, are not those that were announced, or could not
    /// be installed, and the old log is as it was.
    SnapshotFailed {
        /// The operation.
        operation: OperationId,
    },
    /// The storage broke: the member goes inert.
    StorageFailed,
    /// The service broke: the member goes inert rather than half-apply.
    ServiceFailed,
    /// The host wants another member to lead. [`crate::Notice::Transfer`] says what came of it.
    Transfer {
        /// The host's number for this request, which its notice names.
        request: u64,
        /// Who is to lead; without one, whoever is most complete.
        target: Option<MemberId>,
    },
    /// The host wants the members to be others. [`crate::Notice::ChangeMembership`] says what came
    /// of it.
    ChangeMembership {
        /// The host's number for this request, which its notice names.
        request: u64,
        /// What is to be changed.
        change: MembershipChange,
    },
    /// The host reads where the member runs. Answered by [`crate::Action::AnswerRead`].
    Read {
        /// The host's number for it.
        token: u64,
        /// How new what is read has to be.
        level: ReadLevel,
        /// The request, of any length: [`crate::Action::ServeRead`] hands it back.
        payload: &'a [u8],
    },
    /// What the service said to a read.
    ReadServed {
        /// The number of the query.
        number: u64,
        /// The answer, or that there is none.
        answer: Result<&'a [u8], ReadRefusal>,
    },
    /// The host wants to stop: a leader gives up its leadership, so that others need not wait.
    Shutdown,
}

/// What a service wants after a batch of frames was applied. Reused by the host.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    pub(crate) replies: Vec<ReplyEntry>,
    pub(crate) timers: Vec<TimerRequest>,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplyEntry {
    pub(crate) session: SessionId,
    pub(crate) sequence: u64,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum TimerRequest {
    Schedule { timer: u64, deadline: LogTime },
    Cancel { timer: u64 },
}

impl Outputs {
    /// No outputs.
    #[must_use]
    pub const fn new() -> Self {
        Self { replies: Vec::new(), timers: Vec::new(), bytes: Vec::new() }
    }

    /// Whether there is neither a reply nor a request for a timer.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.replies.is_empty() && self.timers.is_empty()
    }

    /// Forgets all outputs and keeps their memory.
    pub fn clear(&mut self) {
        self.replies.clear();
        self.timers.clear();
        self.bytes.clear();
    }

    /// Replies to message `sequence` of `session`. Each applied message gets one reply; one without
    /// gets an empty one.
    pub fn reply(&mut self, session: SessionId, sequence: u64, payload: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.replies.push(ReplyEntry { session, sequence, start, end: self.bytes.len() });
    }

    /// Asks for [`crate::Delivery::Timer`] once cluster time has reached `deadline`. A timer of the
    /// same number is replaced.
    pub fn schedule_timer(&mut self, timer: u64, deadline: LogTime) {
        self.timers.push(TimerRequest::Schedule { timer, deadline });
    }

    /// Forgets the timer with this number, if there is one.
    pub fn cancel_timer(&mut self, timer: u64) {
        self.timers.push(TimerRequest::Cancel { timer });
    }

    /// The replies, in order: session, number of the message, payload. For whoever records them.
    pub fn replies(&self) -> impl Iterator<Item = (SessionId, u64, &[u8])> {
        let payload = |reply: &ReplyEntry| &self.bytes[reply.start..reply.end];
        self.replies.iter().map(move |reply| (reply.session, reply.sequence, payload(reply)))
    }

    /// What was asked of timers, in order: the timer's number, and its deadline unless it was
    /// cancelled. For whoever records them.
    pub fn timers(&self) -> impl Iterator<Item = (u64, Option<LogTime>)> {
        self.timers.iter().map(|request| match *request {
            TimerRequest::Schedule { timer, deadline } => (timer, Some(deadline)),
            TimerRequest::Cancel { timer } => (timer, None),
        })
    }
}
