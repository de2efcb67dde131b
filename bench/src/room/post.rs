//! What is under way between members and clients in one room.

use quorate_core::message::Live;
use quorate_core::{Endpoint, MemberId, Message, PositionRange, Stream};

/// Who sits where.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// The member at this index.
    Member(u32),
    /// The client at this index.
    Client(u32),
}

impl Place {
    /// The place of a member.
    pub(super) const fn of(member: MemberId) -> Self {
        Self::Member(member.0 as u32 - 1)
    }

    /// The endpoint by which the core knows this place: its index, and which row it is in.
    pub(super) fn endpoint(self) -> Endpoint {
        let (row, index) = match self {
            Self::Member(index) => (0_u8, index),
            Self::Client(index) => (1, index),
        };
        let mut bytes = [0; 18];
        bytes[0] = row;
        bytes[1..5].copy_from_slice(&index.to_be_bytes());
        Endpoint(bytes)
    }

    /// The place of an endpoint.
    #[inline]
    pub(super) fn at(endpoint: Endpoint) -> Self {
        let [row, a, b, c, d, ..] = endpoint.0;
        let index = u32::from_be_bytes([a, b, c, d]);
        if row == 0 { Self::Member(index) } else { Self::Client(index) }
    }

    /// The index of a member.
    #[inline]
    pub(super) fn member(self) -> usize {
        match self {
            Self::Member(index) => index as usize,
            Self::Client(_) => panic!("{self:?} is no member"),
        }
    }
}

/// Something that a member has sent to a client and that is not yet received.
#[derive(Debug)]
pub(super) struct Posted {
    /// Which member.
    pub(super) from: u32,
    /// Which client.
    pub(super) to: u32,
    /// What.
    pub(super) content: Content,
}

/// What was sent. The bytes of a run are borrowed from the sender when they are received: they lie
/// in its ring at least until the receiver has them, since nothing is lost here.
#[derive(Debug)]
pub(super) enum Content {
    /// A control message.
    Control(Message),
    /// A run of slices.
    Run { stream: Stream, epoch: u64, range: PositionRange, live: Option<Live> },
}
