//! What a member wants done: the only way out.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::config::PeerRecords;
use crate::event::OperationId;
use crate::frame::SessionCloseReason;
use crate::identity::{ClientKey, Endpoint, MemberId, SessionId};
use crate::message::{Live, Message, Stream};
use crate::notice::{FailStop, Notice};
use crate::position::{Position, PositionRange};
use crate::read::{Query, ReadOutcome};
use crate::snapshot::{Snapshot, SnapshotManifest, SnapshotPoint};
use crate::term::{TermHistory, Vote};
use crate::time::LogTime;

/// To whom a datagram goes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Destination {
    /// A member, wherever the host knows it to be.
    Member(MemberId),
    /// A client, where it was last heard from.
    Client(Endpoint),
}

/// Where the host finds the bytes of a range.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Source {
    /// In the member: `Member::bytes(stream, range)`.
    Member,
    /// In the bytes of the [`crate::Event::LogRead`] or [`crate::Event::SnapshotRead`] that this
    /// action answers; they began at this position.
    Read(Position),
}

/// One thing to do. Perform actions in order; sends come first among those of one event.
#[derive(Clone, Debug)]
pub enum Action {
    /// Send a control message.
    Send {
        /// To whom.
        to: Destination,
        /// What.
        message: Message,
    },
    /// Send a run of a stream as datagrams of `slice_bytes` each, the last one shorter.
    SendData {
        /// To whom.
        to: Destination,
        /// Of which stream.
        stream: Stream,
        /// The leadership term that owns the bytes; for session streams that of the connection; for
        /// a snapshot the position where it stands.
        epoch: u64,
        /// The bytes.
        range: PositionRange,
        /// Where they are.
        source: Source,
        /// Present on live data of the log.
        live: Option<Live>,
    },
    /// Write these bytes of the window to the log, now, but without waiting for the disk.
    Append {
        /// The bytes. They begin where the written log ends.
        range: PositionRange,
    },
    /// Make everything that was appended before durable, then report [`crate::Event::Durable`].
    Sync {
        /// The operation.
        operation: OperationId,
    },
    /// Replace the durable vote, then report [`crate::Event::Durable`].
    PersistVote {
        /// The operation.
        operation: OperationId,
        /// The vote.
        vote: Vote,
    },
    /// Replace the durable term history and then cut the log at `cut` (nothing is cut when it ends
    /// before), then report [`crate::Event::Durable`].
    PersistHistory {
        /// The operation.
        operation: OperationId,
        /// The history.
        history: TermHistory,
        /// Bytes at and above it are disowned.
        cut: Position,
    },
    /// Replace what is durably remembered of the other members, then report
    /// [`crate::Event::Durable`].
    PersistPeers {
        /// The operation.
        operation: OperationId,
        /// One record for each other member that was heard of.
        peers: PeerRecords,
    },
    /// Read these bytes of the log, then report [`crate::Event::LogRead`].
    ReadLog {
        /// The operation.
        operation: OperationId,
        /// The bytes. They were appended before.
        range: PositionRange,
    },
    /// Take a snapshot: the service's state as it is now, before any [`Action::Apply`] of this
    /// event is performed, belongs to the core's. Store both, then report
    /// [`crate::Event::Durable`], or [`crate::Event::SnapshotFailed`]. There is no other under way.
    /// It may take its time.
    TakeSnapshot {
        /// The operation.
        operation: OperationId,
        /// The core's part.
        snapshot: Box<Snapshot>,
        /// Others are fetching the stored one that stands here: it is not to be removed yet,
        /// however many newer ones there are.
        pinned: Option<Position>,
    },
    /// Read these bytes of the stream of the stored snapshot that stands at `position` (none, if
    /// the range is empty: then only its manifest is asked for), and report
    /// [`crate::Event::SnapshotRead`].
    ReadSnapshot {
        /// The operation.
        operation: OperationId,
        /// Where the snapshot stands in the log.
        position: Position,
        /// The bytes of its stream.
        range: PositionRange,
    },
    /// Keep these bytes of a snapshot of another member: `Member::bytes(Stream::Snapshot, range)`.
    /// They come in order and without a hole; a range that begins at 0 replaces whatever was kept.
    /// What is beyond [`SnapshotManifest::bytes`] is zeros. Report [`crate::Event::Durable`] when
    /// they were taken over (no sync is needed), or [`crate::Event::SnapshotFailed`] for want of
    /// space.
    KeepSnapshotPart {
        /// The operation.
        operation: OperationId,
        /// The snapshot.
        manifest: SnapshotManifest,
        /// The bytes of its stream.
        range: PositionRange,
    },
    /// All bytes of its stream were handed over. Compare the digest, then report
    /// [`crate::Event::SnapshotWhole`] with the core's part, or [`crate::Event::SnapshotFailed`].
    /// It may be asked for again.
    CheckSnapshot {
        /// The operation.
        operation: OperationId,
        /// The snapshot.
        manifest: SnapshotManifest,
    },
    /// Forget the bytes that were kept. Nothing is reported.
    DropSnapshot,
    /// Remove all stored snapshots that stand here or behind it, durably, and take in no other:
    /// this member's state deviates from that of the others, and a later life is to begin before.
    /// It is asked for right before the member is inert. Nothing is reported, and a crash may undo
    /// it.
    DiscardSnapshots {
        /// The first position that is not to be begun with.
        from: Position,
    },
    /// Make the kept snapshot a stored one, then let the log begin at its point, empty: durable in
    /// that order. The vote, the term history and the records of peers stay. Then report
    /// [`crate::Event::Durable`]; or, if nothing has changed, [`crate::Event::SnapshotFailed`].
    /// Until then a crash leaves the old log or the new beginning. No other operation is under way,
    /// and none is asked for before this one is reported.
    InstallSnapshot {
        /// The operation.
        operation: OperationId,
        /// The snapshot.
        manifest: SnapshotManifest,
    },
    /// The member is inert from now on: begin a new life on this directory at once, as after a
    /// crash. Nothing follows.
    Restart,
    /// The log begins here from now on: what is before may be removed, once it is durable that it
    /// begins here. It is in a snapshot that is durable. Nothing is reported, and a crash may
    /// undo it.
    Purge {
        /// Where the log begins.
        origin: SnapshotPoint,
    },
    /// Hand a committed frame to the service. After the last such action of an event report
    /// [`crate::Event::Applied`] with its `end`.
    Apply(Apply),
    /// Have the service answer a read, in the state in which it is now: before any
    /// [`Action::Apply`] of this event. Report [`crate::Event::ReadServed`].
    ServeRead(Box<Query>),
    /// Tell the host what came of a read of its own.
    AnswerRead {
        /// The host's number for it.
        token: u64,
        /// What came of it.
        outcome: ReadOutcome,
    },
    /// Tell whoever listens.
    Notify(Notice),
    /// The member is inert from now on. Nothing follows.
    FailStop(FailStop),
}

/// A committed frame for the service.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Apply {
    /// The position of the frame.
    pub position: Position,
    /// The end of the frame: what to report as applied.
    pub end: Position,
    /// The cluster time of the frame.
    pub time: LogTime,
    /// What it says.
    pub delivery: Delivery,
}

/// What a committed frame says to the service.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Delivery {
    /// A session was opened.
    SessionOpened {
        /// The session.
        session: SessionId,
        /// Whose it is.
        client: ClientKey,
    },
    /// A session was closed.
    SessionClosed {
        /// The session.
        session: SessionId,
        /// Why.
        reason: SessionCloseReason,
    },
    /// A message, delivered for the first and only time.
    Message {
        /// The session.
        session: SessionId,
        /// The client's number for it.
        sequence: u64,
        /// The bytes of the payload, in the log.
        payload: PositionRange,
        /// Where they are.
        source: Source,
    },
    /// A timer that the service scheduled is due.
    Timer {
        /// The service's number for it.
        timer: u64,
    },
}

/// Actions of one event. Owned by the caller and reused.
///
/// They come out in the order in which they are to be performed: sends, then what concerns the
/// disk and whoever listens, then frames for the service.
#[derive(Clone, Debug, Default)]
pub struct Actions {
    sends: Vec<Action>,
    others: Vec<Action>,
    applies: Vec<Apply>,
}

impl Actions {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { sends: Vec::new(), others: Vec::new(), applies: Vec::new() }
    }

    /// Adds an action behind the others of its sort.
    #[inline]
    pub fn push(&mut self, action: Action) {
        match action {
            Action::Send { .. } | Action::SendData { .. } => self.sends.push(action),
            Action::Apply(apply) => self.applies.push(apply),
            _ => self.others.push(action),
        }
    }

    /// Adds a frame for the service. There are as many as messages: they are kept apart, for most
    /// actions are larger.
    #[inline]
    pub(crate) fn push_apply(&mut self, apply: Apply) {
        self.applies.push(apply);
    }

    /// How many actions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sends.len() + self.others.len() + self.applies.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sends.is_empty() && self.others.is_empty() && self.applies.is_empty()
    }

    /// All actions, in the order in which they are to be performed.
    pub fn iter(&self) -> impl Iterator<Item = Action> {
        let applies = self.applies.iter().copied().map(Action::Apply);
        self.sends.iter().chain(&self.others).cloned().chain(applies)
    }

    /// Takes all actions out, in the order in which they are to be performed.
    #[inline]
    pub fn drain(&mut self) -> impl Iterator<Item = Action> {
        let applies = self.applies.drain(..).map(Action::Apply);
        self.sends.drain(..).chain(self.others.drain(..)).chain(applies)
    }

    /// All actions where they lie, in the order in which they are to be performed: sends, then all
    /// others but the frames for the service, then those. For who performs them in three loops and
    /// forgets them with [`Actions::clear`], which moves none.
    #[inline]
    #[must_use]
    pub fn sorts(&self) -> (&[Action], &[Action], &[Apply]) {
        (&self.sends, &self.others, &self.applies)
    }

    /// Moves all sends behind those in `outbox`: for who performs them behind the rest. An empty
    /// outbox costs nothing, whatever their number. What they name lasts until the next event only,
    /// so the outbox has to be empty before that.
    #[inline]
    pub fn move_sends(&mut self, outbox: &mut Vec<Action>) {
        if self.sends.is_empty() {
            return;
        }
        if outbox.is_empty() {
            core::mem::swap(outbox, &mut self.sends);
        } else {
            self.append_sends(outbox);
        }
    }

    #[inline(never)]
    fn append_sends(&mut self, outbox: &mut Vec<Action>) {
        outbox.append(&mut self.sends);
    }

    /// Forgets all actions.
    #[inline]
    pub fn clear(&mut self) {
        self.sends.clear();
        self.others.clear();
        self.applies.clear();
    }

    /// Forgets all sends and all frames: what a member that goes inert does.
    pub(crate) fn clear_all_but_notices(&mut self) {
        self.sends.clear();
        self.others.retain(|action| matches!(action, Action::Notify(_)));
        self.applies.clear();
    }
}
