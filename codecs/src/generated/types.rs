// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Types of fields.

use super::*;

/// What a leader takes for committed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// What a quorum has synced.
    Durable,
    /// What a quorum has in memory.
    Volatile,
    /// A value that a newer version knows.
    Unknown(u8),
}

impl Level {
    /// The value on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Durable => 0,
            Self::Volatile => 1,
            Self::Unknown(code) => code,
        }
    }

    /// What the value on the wire means.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Durable,
            1 => Self::Volatile,
            code => Self::Unknown(code),
        }
    }
}

/// What the sender of a datagram is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SenderKind {
    /// A member.
    Member,
    /// A client.
    Client,
    /// A value that a newer version knows.
    Unknown(u8),
}

impl SenderKind {
    /// The value on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Member => 0,
            Self::Client => 1,
            Self::Unknown(code) => code,
        }
    }

    /// What the value on the wire means.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Member,
            1 => Self::Client,
            code => Self::Unknown(code),
        }
    }
}

/// The kinds of streams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamKind {
    /// The log.
    Log,
    /// From a client to the leader.
    Ingress,
    /// From the leader to a client.
    Egress,
    /// A stored snapshot, from member to member.
    Snapshot,
    /// A value that a newer version knows.
    Unknown(u8),
}

impl StreamKind {
    /// The value on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Log => 0,
            Self::Ingress => 1,
            Self::Egress => 2,
            Self::Snapshot => 3,
            Self::Unknown(code) => code,
        }
    }

    /// What the value on the wire means.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Log,
            1 => Self::Ingress,
            2 => Self::Egress,
            3 => Self::Snapshot,
            code => Self::Unknown(code),
        }
    }
}

/// Yes or no.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Boolean {
    /// No.
    No,
    /// Yes.
    Yes,
    /// A value that a newer version knows.
    Unknown(u8),
}

impl Boolean {
    /// The value on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::No => 0,
            Self::Yes => 1,
            Self::Unknown(code) => code,
        }
    }

    /// What the value on the wire means.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::No,
            1 => Self::Yes,
            code => Self::Unknown(code),
        }
    }
}

/// What came of a connect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The session is open; with session, term, leader and limit.
    Open,
    /// Another member leads; with term, leader and endpoint.
    Redirect,
    /// Ask again later; with retryAfter.
    RetryAfter,
    /// As many sessions are open as may be.
    SessionsExhausted,
    /// The session has ended; with session.
    SessionLost,
    /// A message is larger than the members take; with limit.
    MessageTooLarge,
    /// Nobody leads, and too few members answer to elect somebody; with retryAfter.
    NoQuorum,
    /// A value that a newer version knows.
    Unknown(u8),
}

impl Outcome {
    /// The value on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Redirect => 1,
            Self::RetryAfter => 2,
            Self::SessionsExhausted => 3,
            Self::SessionLost => 4,
            Self::MessageTooLarge => 5,
            Self::NoQuorum => 6,
            Self::Unknown(code) => code,
        }
    }

    /// What the value on the wire means.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Open,
            1 => Self::Redirect,
            2 => Self::RetryAfter,
            3 => Self::SessionsExhausted,
            4 => Self::SessionLost,
            5 => Self::MessageTooLarge,
            6 => Self::NoQuorum,
            code => Self::Unknown(code),
        }
    }
}

/// How new what is read has to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadLevel {
    /// All that was committed when the read began is in it.
    Linearizable,
    /// The same, by the leader's lease if it has one.
    Lease,
    /// All before a position is in it; with least.
    Session,
    /// What was committed so long ago is in it; with bound.
    Stale,
    /// A value that a newer version knows.
    Unknown(u8),
}

impl ReadLevel {
    /// The value on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Linearizable => 0,
            Self::Lease => 1,
            Self::Session => 2,
            Self::Stale => 3,
            Self::Unknown(code) => code,
        }
    }

    /// What the value on the wire means.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Linearizable,
            1 => Self::Lease,
            2 => Self::Session,
            3 => Self::Stale,
            code => Self::Unknown(code),
        }
    }
}

/// What came of a read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadResult {
    /// It is answered; with applied, value as its age, and payload.
    Answer,
    /// Too many reads wait there.
    Busy,
    /// Request or answer is too long; with value as the limit.
    TooLong,
    /// No leader was confirmed in time.
    Unconfirmed,
    /// Too little was applied in time; with applied.
    Behind,
    /// It may lack what was committed longer ago; with value as its age.
    TooOld,
    /// The service answers no such reads.
    Unsupported,
    /// The member is stopping.
    Stopping,
    /// The service failed over it.
    Failed,
    /// A value that a newer version knows.
    Unknown(u8),
}

impl ReadResult {
    /// The value on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Answer => 0,
            Self::Busy => 1,
            Self::TooLong => 2,
            Self::Unconfirmed => 3,
            Self::Behind => 4,
            Self::TooOld => 5,
            Self::Unsupported => 6,
            Self::Stopping => 7,
            Self::Failed => 8,
            Self::Unknown(code) => code,
        }
    }

    /// What the value on the wire means.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Answer,
            1 => Self::Busy,
            2 => Self::TooLong,
            3 => Self::Unconfirmed,
            4 => Self::Behind,
            5 => Self::TooOld,
            6 => Self::Unsupported,
            7 => Self::Stopping,
            8 => Self::Failed,
            code => Self::Unknown(code),
        }
    }
}

/// What every SBE message begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MessageHeader {
    /// Bytes of the block.
    pub block_length: u16,
    /// Which message it is.
    pub template_id: u16,
    /// The id of the schema.
    pub schema_id: u16,
    /// The schema version of the writer.
    pub version: u16,
}

impl MessageHeader {
    /// How many bytes it takes.
    pub const BYTES: usize = 8;

    /// Reads it.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            block_length: u16::from_le_bytes(array(bytes, 0)),
            template_id: u16::from_le_bytes(array(bytes, 2)),
            schema_id: u16::from_le_bytes(array(bytes, 4)),
            version: u16::from_le_bytes(array(bytes, 6)),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..2].copy_from_slice(&self.block_length.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.template_id.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.schema_id.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.version.to_le_bytes());
        bytes
    }
}

/// Size of the group of ranges of a NAK.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NakRangesSize {
    /// Bytes of one entry.
    pub block_length: u16,
    /// Entries.
    pub num_in_group: u16,
}

impl NakRangesSize {
    /// How many bytes it takes.
    pub const BYTES: usize = 4;

    /// Reads it.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            block_length: u16::from_le_bytes(array(bytes, 0)),
            num_in_group: u16::from_le_bytes(array(bytes, 2)),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..2].copy_from_slice(&self.block_length.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.num_in_group.to_le_bytes());
        bytes
    }
}

/// Size of the group of lines of a history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HistoryLinesSize {
    /// Bytes of one entry.
    pub block_length: u16,
    /// Entries.
    pub num_in_group: u16,
}

impl HistoryLinesSize {
    /// How many bytes it takes.
    pub const BYTES: usize = 4;

    /// Reads it.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            block_length: u16::from_le_bytes(array(bytes, 0)),
            num_in_group: u16::from_le_bytes(array(bytes, 2)),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..2].copy_from_slice(&self.block_length.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.num_in_group.to_le_bytes());
        bytes
    }
}

/// What every datagram begins with, before the SBE message header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DatagramHeader {
    /// 0x5251, the characters QR.
    pub magic: u16,
    /// The version of this header and of what follows from it.
    pub wire_version: u8,
    /// The version of the log's layout that the sender writes.
    pub log_version: u8,
    /// CRC32C over the whole datagram with this field zero.
    pub checksum: u32,
    /// Of group id and recovery epoch.
    pub group_tag: u64,
    /// The member id, or the client's key.
    pub sender: u64,
    /// The member's start; zero from clients.
    pub boot_epoch: u64,
    /// The member's directory; zero from clients.
    pub incarnation: u32,
    /// Whether a member or a client sent it.
    pub sender_kind: SenderKind,
}

impl DatagramHeader {
    /// How many bytes it takes.
    pub const BYTES: usize = 40;

    /// Reads it.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            magic: u16::from_le_bytes(array(bytes, 0)),
            wire_version: u8::from_le_bytes(array(bytes, 2)),
            log_version: u8::from_le_bytes(array(bytes, 3)),
            checksum: u32::from_le_bytes(array(bytes, 4)),
            group_tag: u64::from_le_bytes(array(bytes, 8)),
            sender: u64::from_le_bytes(array(bytes, 16)),
            boot_epoch: u64::from_le_bytes(array(bytes, 24)),
            incarnation: u32::from_le_bytes(array(bytes, 32)),
            sender_kind: SenderKind::from_code(u8::from_le_bytes(array(bytes, 36))),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..2].copy_from_slice(&self.magic.to_le_bytes());
        bytes[2..3].copy_from_slice(&self.wire_version.to_le_bytes());
        bytes[3..4].copy_from_slice(&self.log_version.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.group_tag.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sender.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.boot_epoch.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[36..37].copy_from_slice(&self.sender_kind.code().to_le_bytes());
        bytes
    }
}

/// How complete a log is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VoteKey {
    /// The highest term whose base is reached.
    pub term: u64,
    /// The end of the last whole, valid frame.
    pub position: u64,
}

impl VoteKey {
    /// How many bytes it takes.
    pub const BYTES: usize = 16;

    /// Reads it.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            term: u64::from_le_bytes(array(bytes, 0)),
            position: u64::from_le_bytes(array(bytes, 8)),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..8].copy_from_slice(&self.term.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.position.to_le_bytes());
        bytes
    }
}

/// Which stream; 16 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stream {
    /// The client's key; zero for the log and for a snapshot.
    pub client: u64,
    /// The kind of the stream.
    pub kind: StreamKind,
}

impl Stream {
    /// How many bytes it takes.
    pub const BYTES: usize = 16;

    /// Reads it.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            client: u64::from_le_bytes(array(bytes, 0)),
            kind: StreamKind::from_code(u8::from_le_bytes(array(bytes, 8))),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..8].copy_from_slice(&self.client.to_le_bytes());
        bytes[8..9].copy_from_slice(&self.kind.code().to_le_bytes());
        bytes
    }
}

/// How many bytes follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadPayloadSize {
    /// Bytes of an entry.
    pub block_length: u16,
    /// How many entries there are.
    pub num_in_group: u16,
}

impl ReadPayloadSize {
    /// How many bytes it takes.
    pub const BYTES: usize = 4;

    /// Reads it.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            block_length: u16::from_le_bytes(array(bytes, 0)),
            num_in_group: u16::from_le_bytes(array(bytes, 2)),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..2].copy_from_slice(&self.block_length.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.num_in_group.to_le_bytes());
        bytes
    }
}
