//! Why a datagram is not taken, or not made.

/// Why a datagram is dropped. Each is worth a counter under its [`DecodeError::name`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are fewer bytes than the headers or the message state.
    #[error("datagram is cut short")]
    Truncated,
    /// There are more bytes than a datagram can have.
    #[error("datagram is longer than datagrams are")]
    Oversized,
    /// It does not begin like a datagram of Quorate.
    #[error("datagram does not begin with the magic number")]
    Magic,
    /// The header is of another version.
    #[error("datagram header is of another version")]
    WireVersion,
    /// The sender writes a log that this version cannot read.
    #[error("datagram is of a sender with another version of the log")]
    LogVersion,
    /// It belongs to another group, or to another recovery epoch of this one.
    #[error("datagram is of another group or recovery epoch")]
    ForeignGroup,
    /// It was damaged.
    #[error("datagram checksum does not match")]
    Checksum,
    /// The sender is neither a member nor a client, or its member id is too large.
    #[error("datagram sender is unknown")]
    Sender,
    /// The message is of another schema.
    #[error("datagram is of another schema")]
    Schema,
    /// The message is of a kind that this version does not know.
    #[error("datagram template is unknown")]
    Template,
    /// The block is shorter than its version needs.
    #[error("datagram block is too short")]
    Block,
    /// A group has too many entries, or too short ones.
    #[error("datagram group is out of its limits")]
    Group,
    /// A field has a value that its enumeration does not know.
    #[error("datagram has an unknown value of an enumeration")]
    Enumeration,
    /// A position is beyond [`quorate_core::Position::MAX`], a range ends before it begins, or the
    /// slice of the log is not aligned.
    #[error("datagram has a position that cannot be")]
    Position,
    /// The part of a history is not below the number of parts, or those are too many.
    #[error("datagram has a part number that cannot be")]
    Part,
}

impl DecodeError {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 15] = [
        Self::Truncated,
        Self::Oversized,
        Self::Magic,
        Self::WireVersion,
        Self::LogVersion,
        Self::ForeignGroup,
        Self::Checksum,
        Self::Schema,
        Self::Sender,
        Self::Template,
        Self::Block,
        Self::Group,
        Self::Enumeration,
        Self::Position,
        Self::Part,
    ];

    /// A name for counters, which stays the same from version to version.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Oversized => "oversized",
            Self::Magic => "magic",
            Self::WireVersion => "wire_version",
            Self::LogVersion => "log_version",
            Self::ForeignGroup => "foreign_group",
            Self::Checksum => "checksum",
            Self::Sender => "sender",
            Self::Schema => "schema",
            Self::Template => "template",
            Self::Block => "block",
            Self::Group => "group",
            Self::Enumeration => "enumeration",
            Self::Position => "position",
            Self::Part => "part",
        }
    }
}

/// Why a datagram cannot be made. Nothing that a receiver would refuse is ever encoded.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is too small, or the datagram would be larger than one can be.
    #[error(
        "datagram of {needed} bytes does not fit {room} bytes; send less, or enlarge the buffer"
    )]
    Room {
        /// Bytes of the datagram.
        needed: usize,
        /// Bytes that it may have.
        room: usize,
    },
    /// More entries than the message may have.
    #[error("{count} entries are more than {limit}; send several messages")]
    Count {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The leader's positions ride only on slices of the log.
    #[error("a slice of a session stream cannot carry the leader's positions")]
    Live,
    /// A value that a receiver would refuse.
    #[error("the message cannot be sent, for receivers refuse it: {0}")]
    Refused(DecodeError),
}
