//! What observers are shown.

use quorate_core::{
    Action, Actions, Apply, ClientKey, Endpoint, Event, Instant, Message, Position, PositionRange,
    ReadAnswer, ReadLevel, Sender, SessionId, View,
};

use super::Scene;
use crate::disk::{FrameMark, Work};

/// Something that happened.
#[derive(Clone, Copy)]
pub enum Observed<'a> {
    /// A member came up.
    Started,
    /// A member is about to take in an event.
    Stepping {
        /// What its clock shows.
        local: Instant,
        /// The event.
        event: &'a Event<'a>,
    },
    /// A member took a step that asks for these actions; nothing of them was done yet.
    Stepped {
        /// The actions.
        actions: &'a Actions,
    },
    /// The step was one in which a timer was served, and what it asked for was done.
    ServedTimer {
        /// What the member's clock showed.
        local: Instant,
    },
    /// A member received a control message.
    Received {
        /// Who sent it, as its header says.
        sender: Sender,
        /// The message.
        message: &'a Message,
    },
    /// A member received log data up to here.
    Heard(Position),
    /// A member's action is about to be performed.
    Acting(&'a Action),
    /// Session data leaves a member.
    Egress {
        /// To whom.
        key: ClientKey,
        /// The connection number.
        epoch: u64,
        /// The position of the first byte.
        start: Position,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Session data leaves a client.
    Ingress {
        /// Whose.
        key: ClientKey,
        /// The epoch of the connection's streams.
        epoch: u64,
        /// The bytes.
        range: PositionRange,
    },
    /// Bytes were written to a log.
    Written {
        /// The frames that became whole.
        frames: &'a [FrameMark],
        /// Where the bytes are no frame under the durable history, if so.
        bad: Option<Position>,
    },
    /// An operation became durable.
    Durable(&'a Work),
    /// A member crashed; the disk is what is left.
    Crashed,
    /// A member's service took in a frame.
    Applied {
        /// The frame.
        apply: &'a Apply,
        /// A hash of the message's payload.
        payload: u64,
        /// What the service replied.
        reply: &'a [u8],
    },
    /// A member has reported frames applied, and is at rest.
    State {
        /// The digest of its service.
        service: u64,
        /// The hash of its replicated state.
        replicated: u64,
    },
    /// A client's message was accepted.
    Accepted {
        /// Whose.
        key: ClientKey,
        /// Its number.
        sequence: u64,
        /// A hash of its payload.
        payload: u64,
    },
    /// A client asked that the reply to this message, which was just accepted, waits until the
    /// message is safe.
    AskedForSafe {
        /// Whose.
        key: ClientKey,
        /// Its number.
        sequence: u64,
    },
    /// A client has begun to read.
    ReadAsked {
        /// Whose.
        key: ClientKey,
        /// Its number.
        number: u64,
        /// How new what is read has to be.
        level: ReadLevel,
        /// The register of the ledger.
        register: u64,
    },
    /// A client was told the answer to a read.
    Read {
        /// Whose.
        key: ClientKey,
        /// Its number.
        number: u64,
        /// The answer.
        answer: &'a ReadAnswer,
    },
    /// A client was told that all is safe up to the frame that begins here, and that frame, too.
    Synced {
        /// Where.
        position: Position,
    },
    /// A client was handed a reply.
    Replied {
        /// Whose.
        key: ClientKey,
        /// The number of the message.
        sequence: u64,
        /// Where the message lies.
        position: Position,
        /// The reply.
        reply: &'a [u8],
    },
    /// A client was told that its session is lost.
    SessionLost {
        /// The session.
        session: SessionId,
    },
    /// A client is at this address.
    ClientAt(ClientKey, Endpoint),
    /// The world enters a phase.
    Phase(Phase),
}

/// How far a run has come behind its faults.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// All faults have ended.
    Calm,
    /// There is one leader that all know.
    Led,
    /// All requests are answered, and nobody asks for anything any more.
    Silent,
    /// The run is over.
    Over,
}

/// Sets of sorts of what happens: an observer is shown only what it wants. A step that changes
/// little is of few sorts, so most observers never see it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kinds(u64);

impl Kinds {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// [`Observed::Started`] and [`Observed::Crashed`].
    pub const LIVES: Self = Self(1);
    /// Every [`Observed::Stepping`].
    pub const STEPPING: Self = Self(1 << 1);
    /// [`Observed::ServedTimer`].
    pub const SERVED_TIMER: Self = Self(1 << 2);
    /// A datagram of a member is about to be taken in.
    pub const HEARING_MEMBER: Self = Self(1 << 3);
    /// The service's report is about to be taken in.
    pub const REPORTING: Self = Self(1 << 4);
    /// The disk's refusal is about to be taken in.
    pub const REFUSING: Self = Self(1 << 5);
    /// An [`Observed::Stepping`] on which the lot of the experiments fell ([`Scene::lot`]).
    pub const DRAWN: Self = Self(1 << 6);
    /// Every [`Observed::Stepped`].
    pub const STEPPED: Self = Self(1 << 7);
    /// A step changed role or term.
    pub const TERM_CHANGED: Self = Self(1 << 8);
    /// A step changed what is known to be committed.
    pub const COMMIT_CHANGED: Self = Self(1 << 9);
    /// A step lowered what is received or verified.
    pub const LOG_FELL: Self = Self(1 << 10);
    /// A member stopped in this step or before.
    pub const STOPPED: Self = Self(1 << 11);
    /// A step changed for whom the member votes.
    pub const VOTED: Self = Self(1 << 35);
    /// A member is at the end of the positions that there are.
    pub const AT_THE_END: Self = Self(1 << 34);
    /// [`Observed::Heard`].
    pub const HEARD: Self = Self(1 << 12);
    /// Canvasses, ballots and what goes with them were received.
    pub const RECEIVED_ELECTION: Self = Self(1 << 13);
    /// A heartbeat was received.
    pub const RECEIVED_HEARTBEAT: Self = Self(1 << 14);
    /// An acknowledgement was received.
    pub const RECEIVED_ACKNOWLEDGEMENT: Self = Self(1 << 15);
    /// A request for missing bytes was received.
    pub const RECEIVED_NAK: Self = Self(1 << 16);
    /// Any other control message was received.
    pub const RECEIVED_OTHER: Self = Self(1 << 17);
    /// Canvasses, ballots and what goes with them leave.
    pub const SENDS_ELECTION: Self = Self(1 << 18);
    /// A heartbeat leaves.
    pub const SENDS_HEARTBEAT: Self = Self(1 << 19);
    /// An acknowledgement leaves.
    pub const SENDS_ACKNOWLEDGEMENT: Self = Self(1 << 20);
    /// Any other control message leaves.
    pub const SENDS_OTHER: Self = Self(1 << 21);
    /// Stream data leaves.
    pub const SENDS_DATA: Self = Self(1 << 22);
    /// Bytes are handed to the log.
    pub const APPENDS: Self = Self(1 << 23);
    /// A term history is to be made durable.
    pub const PERSISTS_HISTORY: Self = Self(1 << 24);
    /// An operation of the disk is asked for, a history among them.
    pub const OPERATIONS: Self = Self(1 << 25);
    /// A member says why it stops.
    pub const FAIL_STOPS: Self = Self(1 << 26);
    /// [`Observed::Egress`] and [`Observed::Ingress`].
    pub const STREAMS: Self = Self(1 << 27);
    /// [`Observed::Written`].
    pub const WRITTEN: Self = Self(1 << 28);
    /// [`Observed::Durable`].
    pub const DURABLE: Self = Self(1 << 29);
    /// [`Observed::Applied`].
    pub const APPLIED: Self = Self(1 << 30);
    /// [`Observed::State`].
    pub const STATE: Self = Self(1 << 31);
    /// What clients do and see.
    pub const CLIENTS: Self = Self(1 << 32);
    /// [`Observed::Phase`].
    pub const PHASE: Self = Self(1 << 33);
    /// A member tells something to its host.
    pub const NOTICES: Self = Self(1 << 36);
    /// A demand of the operator is about to be taken in.
    pub const DEMANDS: Self = Self(1 << 37);
    /// A snapshot is to be stored, installed or forgotten, a step changed which one counts, or a
    /// log is to be purged.
    pub const SNAPSHOTS: Self = Self(1 << 38);
    /// The disk's answer about a fetched snapshot is about to be taken in.
    pub const REPORTING_SNAPSHOT: Self = Self(1 << 39);
    /// Every message between members, and to clients, that leaves.
    pub const SENDS: Self = Self::SENDS_ELECTION
        .and(Self::SENDS_HEARTBEAT)
        .and(Self::SENDS_ACKNOWLEDGEMENT)
        .and(Self::SENDS_OTHER);
    /// How many sorts there are.
    pub(super) const COUNT: usize = 40;

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set if `condition` holds, else nothing.
    const fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }

    /// Whether the sort with this number is among them.
    pub(super) const fn has(self, sort: usize) -> bool {
        self.0 >> sort & 1 == 1
    }

    /// What both have in common.
    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether both have a sort in common.
    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The numbers of its sorts, rising.
    #[inline]
    pub(super) fn sorts(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            let sort = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (sort < Self::COUNT).then_some(sort)
        })
    }
}

impl Observed<'_> {
    /// The sorts that it is of, for the member of `scene`.
    #[inline]
    pub(super) fn kinds(&self, scene: &Scene<'_>) -> Kinds {
        match self {
            Self::Started | Self::Crashed => Kinds::LIVES,
            Self::Stepping { event, .. } => {
                stepping(event).and(Kinds::DRAWN.when(scene.is_drawn()))
            }
            Self::Stepped { .. } => stepped(scene.before, scene.view),
            Self::ServedTimer { .. } => Kinds::SERVED_TIMER,
            Self::Received { message, .. } => received(message),
            Self::Heard(_) => Kinds::HEARD,
            Self::Acting(action) => acting(action),
            Self::Egress { .. } | Self::Ingress { .. } => Kinds::STREAMS,
            Self::Written { .. } => Kinds::WRITTEN,
            Self::Durable(_) => Kinds::DURABLE,
            Self::Applied { .. } => Kinds::APPLIED,
            Self::State { .. } => Kinds::STATE,
            Self::Accepted { .. }
            | Self::AskedForSafe { .. }
            | Self::ReadAsked { .. }
            | Self::Read { .. }
            | Self::Synced { .. }
            | Self::Replied { .. }
            | Self::SessionLost { .. }
            | Self::ClientAt(..) => Kinds::CLIENTS,
            Self::Phase(_) => Kinds::PHASE,
        }
    }
}

const fn stepping(event: &Event<'_>) -> Kinds {
    Kinds::STEPPING.and(match event {
        Event::Received { sender: Sender::Member { .. }, .. } => Kinds::HEARING_MEMBER,
        Event::Applied { .. } => Kinds::REPORTING,
        Event::StorageFull { .. } => Kinds::REFUSING,
        Event::SnapshotWhole { .. } | Event::SnapshotFailed { .. } => Kinds::REPORTING_SNAPSHOT,
        Event::Transfer { .. } => Kinds::DEMANDS,
        _ => Kinds::NONE,
    })
}

fn stepped(before: &View, view: &View) -> Kinds {
    let fell = view.received < before.received || view.verified < before.verified;
    let end = view.seen.max(view.received).max(view.commit);
    let term = view.term != before.term || view.role != before.role;
    Kinds::STEPPED
        .and(Kinds::TERM_CHANGED.when(term))
        .and(Kinds::SNAPSHOTS.when(view.snapshot != before.snapshot))
        .and(Kinds::COMMIT_CHANGED.when(view.commit != before.commit || view.safe != before.safe))
        .and(Kinds::LOG_FELL.when(fell))
        .and(Kinds::VOTED.when(view.vote != before.vote))
        .and(Kinds::STOPPED.when(view.fail_stop.is_some()))
        .and(Kinds::AT_THE_END.when(end >= Position::MAX))
}

const fn received(message: &Message) -> Kinds {
    match message {
        Message::Canvass { .. }
        | Message::CanvassReply { .. }
        | Message::RequestVote { .. }
        | Message::RequestSuccession { .. }
        | Message::LevelGrant { .. }
        | Message::Ballot { .. } => Kinds::RECEIVED_ELECTION,
        Message::Heartbeat { .. } => Kinds::RECEIVED_HEARTBEAT,
        Message::Acknowledge { .. }
        | Message::Holding { .. }
        | Message::Impaired { .. }
        | Message::Application { .. } => Kinds::RECEIVED_ACKNOWLEDGEMENT,
        Message::Nak { .. } => Kinds::RECEIVED_NAK,
        _ => Kinds::RECEIVED_OTHER,
    }
}

const fn acting(action: &Action) -> Kinds {
    match action {
        Action::Send { message, .. } => match message {
            Message::Canvass { .. }
            | Message::CanvassReply { .. }
            | Message::RequestVote { .. }
            | Message::RequestSuccession { .. }
            | Message::LevelGrant { .. }
            | Message::Ballot { .. } => Kinds::SENDS_ELECTION,
            Message::Heartbeat { .. } => Kinds::SENDS_HEARTBEAT,
            Message::Acknowledge { .. }
            | Message::Holding { .. }
            | Message::Impaired { .. }
            | Message::Application { .. } => Kinds::SENDS_ACKNOWLEDGEMENT,
            _ => Kinds::SENDS_OTHER,
        },
        Action::SendData { .. } => Kinds::SENDS_DATA,
        Action::Append { .. } => Kinds::APPENDS,
        Action::PersistHistory { .. } => Kinds::PERSISTS_HISTORY.and(Kinds::OPERATIONS),
        Action::TakeSnapshot { .. }
        | Action::KeepSnapshotPart { .. }
        | Action::CheckSnapshot { .. }
        | Action::InstallSnapshot { .. } => Kinds::SNAPSHOTS.and(Kinds::OPERATIONS),
        Action::Sync { .. }
        | Action::PersistVote { .. }
        | Action::PersistPeers { .. }
        | Action::ReadSnapshot { .. }
        | Action::ReadLog { .. } => Kinds::OPERATIONS,
        Action::FailStop(_) => Kinds::FAIL_STOPS,
        Action::Notify(_) => Kinds::NOTICES,
        Action::Purge { .. } | Action::DropSnapshot | Action::Restart => Kinds::SNAPSHOTS,
        Action::Apply(_) | Action::ServeRead(_) | Action::AnswerRead { .. } => Kinds::NONE,
    }
}
