//! Datagrams, and the places that they go to and come from.

use quorate_core::message::Live;
use quorate_core::{Endpoint, Incoming, MemberId, Message, Position, Sender, Stream};

/// Somewhere that datagrams go to and come from.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// A member's host.
    Member(MemberId),
    /// A client's host, by the client's number.
    Client(u32),
}

impl Place {
    /// Where strangers send from; nobody listens there.
    pub const STRANGER: Self = Self::Client(u32::MAX);

    /// The address of this place.
    #[must_use]
    pub fn endpoint(self) -> Endpoint {
        let mut bytes = [0; 18];
        bytes[10..12].copy_from_slice(&[0xff, 0xff]);
        let (port, number) = match self {
            Self::Member(member) => (1, u32::from(member.0)),
            Self::Client(number) => (2, number),
        };
        bytes[12..16].copy_from_slice(&number.to_be_bytes());
        bytes[16] = port;
        Endpoint(bytes)
    }

    /// The place with this address.
    #[must_use]
    pub fn at(endpoint: Endpoint) -> Option<Self> {
        let bytes = endpoint.0;
        let number = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        match bytes[16] {
            1 => Some(Self::Member(MemberId(number as u16))),
            2 => Some(Self::Client(number)),
            _ => None,
        }
    }

    /// Two numbers that tell all places apart.
    pub(super) const fn code(self) -> (u8, u32) {
        match self {
            Self::Member(member) => (0, member.0 as u32),
            Self::Client(number) => (1, number),
        }
    }
}

/// A datagram under way.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Who sent it, as its header says.
    pub sender: Sender,
    /// Where it came from.
    pub source: Endpoint,
    /// What it carries.
    pub content: Content,
}

/// What a datagram carries.
#[derive(Clone, Debug)]
pub enum Content {
    /// A control message.
    Control(Message),
    /// A slice of a stream.
    Data {
        /// The stream.
        stream: Stream,
        /// The epoch of the bytes.
        epoch: u64,
        /// The position of the first byte.
        position: Position,
        /// Present on live data.
        live: Option<Live>,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The bytes of the whole datagram, as the codec wrote them.
    Encoded(Vec<u8>),
}

/// What a datagram is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Canvasses, votes, and their answers.
    Election,
    /// Heartbeats, abdications and histories.
    Leadership,
    /// Acknowledgements.
    Acknowledge,
    /// Slices of the log.
    LogData,
    /// Requests for missing bytes and snapshots, refusals, and offers.
    Repair,
    /// Opening, keeping and closing of sessions.
    Session,
    /// Slices of session streams.
    SessionData,
    /// Slices of snapshots.
    SnapshotData,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Election,
        Self::Leadership,
        Self::Acknowledge,
        Self::LogData,
        Self::Repair,
        Self::Session,
        Self::SessionData,
        Self::SnapshotData,
    ];

    /// Whether it carries data, and no control.
    #[must_use]
    pub const fn is_data(self) -> bool {
        matches!(self, Self::LogData | Self::SessionData | Self::SnapshotData)
    }

    /// The kind of what was received or is sent.
    #[must_use]
    pub const fn of(incoming: &Incoming<'_>) -> Self {
        match incoming {
            Incoming::Data { stream: Stream::Log, .. } => Self::LogData,
            Incoming::Data { stream: Stream::Snapshot, .. } => Self::SnapshotData,
            Incoming::Data { .. } => Self::SessionData,
            Incoming::Control(message) => match message {
                Message::Canvass { .. }
                | Message::CanvassReply { .. }
                | Message::RequestVote { .. }
                | Message::RequestSuccession { .. }
                | Message::LevelGrant { .. }
                | Message::Ballot { .. } => Self::Election,
                Message::Acknowledge { .. }
                | Message::Holding { .. }
                | Message::Impaired { .. }
                | Message::Application { .. } => Self::Acknowledge,
                Message::Heartbeat { .. }
                | Message::Abdicate { .. }
                | Message::Campaign { .. }
                | Message::Registered { .. }
                | Message::Removed { .. }
                | Message::HistoryRequest { .. }
                | Message::History { .. } => Self::Leadership,
                Message::Nak { .. }
                | Message::Unavailable { .. }
                | Message::SnapshotRequest { .. }
                | Message::SnapshotOffer { .. } => Self::Repair,
                _ => Self::Session,
            },
        }
    }
}

impl Content {
    /// What a receiver sees of it; `None` for bytes, which are to be decoded first.
    #[must_use]
    pub fn incoming(&self) -> Option<Incoming<'_>> {
        match self {
            Self::Control(message) => Some(Incoming::Control(message.clone())),
            Self::Data { stream, epoch, position, live, bytes } => Some(Incoming::Data {
                stream: *stream,
                epoch: *epoch,
                position: *position,
                live: *live,
                slice: bytes,
            }),
            Self::Encoded(_) => None,
        }
    }

    /// About how many bytes it takes on the wire.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        match self {
            Self::Control(_) => CONTROL_BYTES,
            Self::Data { bytes, .. } => CONTROL_BYTES + bytes.len(),
            Self::Encoded(bytes) => bytes.len(),
        }
    }
}

/// A control datagram, about.
const CONTROL_BYTES: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_addresses_map_both_ways() {
        let one = Place::Member(MemberId(1));
        for place in [one, Place::Client(9), Place::Member(MemberId(7)), Place::STRANGER] {
            assert_eq!(Place::at(place.endpoint()), Some(place));
        }
        assert_eq!(Place::at(Endpoint::default()), None);
    }
}
