//! What observers are shown.

use quorate_core::{
    Action, Actions, Apply, ClientKey, Endpoint, Event, Instant, Message, Position, PositionRange,
    Sender, SessionId,
};

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

/// Sets of sorts of what happens: an observer is shown only what it wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kinds(u32);

impl Kinds {
    /// Everything.
    pub const ALL: Self = Self(u32::MAX);
    /// [`Observed::Started`] and [`Observed::Crashed`].
    pub const LIVES: Self = Self(1);
    /// [`Observed::Stepping`].
    pub const STEPPING: Self = Self(1 << 1);
    /// [`Observed::Stepped`].
    pub const STEPPED: Self = Self(1 << 2);
    /// [`Observed::Received`] and [`Observed::Heard`].
    pub const RECEIVED: Self = Self(1 << 3);
    /// [`Observed::Acting`].
    pub const ACTING: Self = Self(1 << 4);
    /// [`Observed::Egress`] and [`Observed::Ingress`].
    pub const STREAMS: Self = Self(1 << 5);
    /// [`Observed::Written`] and [`Observed::Durable`].
    pub const DISK: Self = Self(1 << 6);
    /// [`Observed::Applied`].
    pub const APPLIED: Self = Self(1 << 7);
    /// [`Observed::State`].
    pub const STATE: Self = Self(1 << 8);
    /// What clients do and see.
    pub const CLIENTS: Self = Self(1 << 9);
    /// [`Observed::Phase`].
    pub const PHASE: Self = Self(1 << 10);
    /// How many sorts there are.
    pub(super) const COUNT: usize = 11;

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sort with this number is among them.
    pub(super) const fn has(self, sort: usize) -> bool {
        self.0 >> sort & 1 == 1
    }
}

impl Observed<'_> {
    /// The number of its sort.
    pub(super) const fn sort(&self) -> usize {
        match self {
            Self::Started | Self::Crashed => 0,
            Self::Stepping { .. } => 1,
            Self::Stepped { .. } => 2,
            Self::Received { .. } | Self::Heard(_) => 3,
            Self::Acting(_) => 4,
            Self::Egress { .. } | Self::Ingress { .. } => 5,
            Self::Written { .. } | Self::Durable(_) => 6,
            Self::Applied { .. } => 7,
            Self::State { .. } => 8,
            Self::Accepted { .. }
            | Self::Replied { .. }
            | Self::SessionLost { .. }
            | Self::ClientAt(..) => 9,
            Self::Phase(_) => 10,
        }
    }
}
