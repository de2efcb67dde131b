// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Flyweights of the bodies of log frames.

/// The id of the schema.
pub(super) const SCHEMA_ID: u16 = 0x5152;
/// The version of the schema that encoders write.
pub(super) const SCHEMA_VERSION: u16 = 1;

/// Why bytes are not the message that they are said to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Malformed {
    /// The block is shorter than its version needs.
    Block,

    /// There are fewer bytes than stated.
    Truncated,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CloseReason {
    /// The client asked for it.
    Client,
    /// The client was silent for the session time-out.
    TimedOut,
    /// A value that a newer version knows.
    Unknown(u8),
}

impl CloseReason {
    /// The value on the wire.
    #[must_use]
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Client => 0,
            Self::TimedOut => 1,
            Self::Unknown(code) => code,
        }
    }

    /// What the value on the wire means.
    #[must_use]
    pub(super) const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Client,
            1 => Self::TimedOut,
            code => Self::Unknown(code),
        }
    }
}

/// Why a snapshot is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SnapshotCause {
    /// The leader's host asked for it.
    Command,
    /// The log has grown by as much as the leader is configured for.
    Policy,
    /// A value that a newer version knows.
    Unknown(u8),
}

impl SnapshotCause {
    /// The value on the wire.
    #[must_use]
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Command => 0,
            Self::Policy => 1,
            Self::Unknown(code) => code,
        }
    }

    /// What the value on the wire means.
    #[must_use]
    pub(super) const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Command,
            1 => Self::Policy,
            code => Self::Unknown(code),
        }
    }
}

/// What a leader takes for committed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Level {
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
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Durable => 0,
            Self::Volatile => 1,
            Self::Unknown(code) => code,
        }
    }

    /// What the value on the wire means.
    #[must_use]
    pub(super) const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Durable,
            1 => Self::Volatile,
            code => Self::Unknown(code),
        }
    }
}

/// How far a change of the members is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MembershipPhase {
    /// It is complete.
    Final,
    /// Voters change: a quorum is a majority of the outgoing and of the incoming ones.
    Joint,
    /// A value that a newer version knows.
    Unknown(u8),
}

impl MembershipPhase {
    /// The value on the wire.
    #[must_use]
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Final => 0,
            Self::Joint => 1,
            Self::Unknown(code) => code,
        }
    }

    /// What the value on the wire means.
    #[must_use]
    pub(super) const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Final,
            1 => Self::Joint,
            code => Self::Unknown(code),
        }
    }
}

/// What every SBE message begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct MessageHeader {
    /// Bytes of the block.
    pub(super) block_length: u16,
    /// Which message it is.
    pub(super) template_id: u16,
    /// The id of the schema.
    pub(super) schema_id: u16,
    /// The schema version of the writer.
    pub(super) version: u16,
}

impl MessageHeader {
    /// How many bytes it takes.
    pub(super) const BYTES: usize = 8;

    /// Reads it.
    #[must_use]
    pub(super) fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            block_length: u16::from_le_bytes(array(bytes, 0)),
            template_id: u16::from_le_bytes(array(bytes, 2)),
            schema_id: u16::from_le_bytes(array(bytes, 4)),
            version: u16::from_le_bytes(array(bytes, 6)),
        }
    }

    /// Its bytes.
    #[must_use]
    pub(super) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..2].copy_from_slice(&self.block_length.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.template_id.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.schema_id.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.version.to_le_bytes());
        bytes
    }
}

/// Reads `TermOpen`. The first frame of a term.
#[derive(Clone, Debug)]
pub(super) struct TermOpenDecoder<'a> {
    block: &'a [u8],
}

impl<'a> TermOpenDecoder<'a> {
    /// The template that this reads.
    pub(super) const TEMPLATE_ID: u16 = 1;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn wrap(
        bytes: &'a [u8],
        block_length: u16,
        _version: u16,
    ) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 53 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// The term that begins.
    #[must_use]
    pub(super) fn term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The term of the byte before; zero at the beginning of the log.
    #[must_use]
    pub(super) fn previous_term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// The chain value before this frame.
    #[must_use]
    pub(super) fn chain(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// Cluster time at which the term began.
    #[must_use]
    pub(super) fn time(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 24))
    }

    /// The leader's start.
    #[must_use]
    pub(super) fn boot_epoch(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 32))
    }

    /// The leader's directory.
    #[must_use]
    pub(super) fn incarnation(&self) -> u32 {
        u32::from_le_bytes(array(self.block, 40))
    }

    /// Who leads.
    #[must_use]
    pub(super) fn member(&self) -> u16 {
        u16::from_le_bytes(array(self.block, 44))
    }

    /// The version of the log's layout that the leader writes.
    #[must_use]
    pub(super) fn log_version(&self) -> u16 {
        u16::from_le_bytes(array(self.block, 46))
    }

    /// The recovery epoch.
    #[must_use]
    pub(super) fn recovery_epoch(&self) -> u32 {
        u32::from_le_bytes(array(self.block, 48))
    }

    /// What the leader takes for committed.
    #[must_use]
    pub(super) fn level(&self) -> Level {
        Level::from_code(u8::from_le_bytes(array(self.block, 52)))
    }
}

/// Writes `TermOpen`. The first frame of a term.
#[derive(Debug)]
pub(super) struct TermOpenEncoder<'a> {
    block: &'a mut [u8; 56],
}

impl<'a> TermOpenEncoder<'a> {
    /// The template that this writes.
    pub(super) const TEMPLATE_ID: u16 = 1;
    /// Bytes of the block.
    pub(super) const BLOCK_LENGTH: usize = 56;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub(super) fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 56];
        Some(Self { block })
    }

    /// Sets: The term that begins.
    pub(super) fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The term of the byte before; zero at the beginning of the log.
    pub(super) fn set_previous_term(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The chain value before this frame.
    pub(super) fn set_chain(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Cluster time at which the term began.
    pub(super) fn set_time(&mut self, value: u64) -> &mut Self {
        self.block[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The leader's start.
    pub(super) fn set_boot_epoch(&mut self, value: u64) -> &mut Self {
        self.block[32..40].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The leader's directory.
    pub(super) fn set_incarnation(&mut self, value: u32) -> &mut Self {
        self.block[40..44].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Who leads.
    pub(super) fn set_member(&mut self, value: u16) -> &mut Self {
        self.block[44..46].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The version of the log's layout that the leader writes.
    pub(super) fn set_log_version(&mut self, value: u16) -> &mut Self {
        self.block[46..48].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The recovery epoch.
    pub(super) fn set_recovery_epoch(&mut self, value: u32) -> &mut Self {
        self.block[48..52].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: What the leader takes for committed.
    pub(super) fn set_level(&mut self, value: Level) -> &mut Self {
        self.block[52..53].copy_from_slice(&value.code().to_le_bytes());
        self
    }
}

/// Reads `SessionOpen`. Opens a session, whose id is the position of this frame.
#[derive(Clone, Debug)]
pub(super) struct SessionOpenDecoder<'a> {
    block: &'a [u8],
}

impl<'a> SessionOpenDecoder<'a> {
    /// The template that this reads.
    pub(super) const TEMPLATE_ID: u16 = 2;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn wrap(
        bytes: &'a [u8],
        block_length: u16,
        _version: u16,
    ) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 16 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// Cluster time.
    #[must_use]
    pub(super) fn time(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The client that asked.
    #[must_use]
    pub(super) fn client(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }
}

/// Writes `SessionOpen`. Opens a session, whose id is the position of this frame.
#[derive(Debug)]
pub(super) struct SessionOpenEncoder<'a> {
    block: &'a mut [u8; 16],
}

impl<'a> SessionOpenEncoder<'a> {
    /// The template that this writes.
    pub(super) const TEMPLATE_ID: u16 = 2;
    /// Bytes of the block.
    pub(super) const BLOCK_LENGTH: usize = 16;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub(super) fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 16];
        Some(Self { block })
    }

    /// Sets: Cluster time.
    pub(super) fn set_time(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The client that asked.
    pub(super) fn set_client(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }
}

/// Reads `SessionClose`. Ends a session.
#[derive(Clone, Debug)]
pub(super) struct SessionCloseDecoder<'a> {
    block: &'a [u8],
}

impl<'a> SessionCloseDecoder<'a> {
    /// The template that this reads.
    pub(super) const TEMPLATE_ID: u16 = 3;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn wrap(
        bytes: &'a [u8],
        block_length: u16,
        _version: u16,
    ) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 17 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// Which session.
    #[must_use]
    pub(super) fn session(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// Cluster time.
    #[must_use]
    pub(super) fn time(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// Why it ended; unknown values are kept.
    #[must_use]
    pub(super) fn reason(&self) -> CloseReason {
        CloseReason::from_code(u8::from_le_bytes(array(self.block, 16)))
    }
}

/// Writes `SessionClose`. Ends a session.
#[derive(Debug)]
pub(super) struct SessionCloseEncoder<'a> {
    block: &'a mut [u8; 24],
}

impl<'a> SessionCloseEncoder<'a> {
    /// The template that this writes.
    pub(super) const TEMPLATE_ID: u16 = 3;
    /// Bytes of the block.
    pub(super) const BLOCK_LENGTH: usize = 24;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub(super) fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 24];
        Some(Self { block })
    }

    /// Sets: Which session.
    pub(super) fn set_session(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Cluster time.
    pub(super) fn set_time(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Why it ended; unknown values are kept.
    pub(super) fn set_reason(&mut self, value: CloseReason) -> &mut Self {
        self.block[16..17].copy_from_slice(&value.code().to_le_bytes());
        self
    }
}

/// Reads `Message`. A client's message; the payload follows the block.
#[derive(Clone, Debug)]
pub(super) struct MessageDecoder<'a> {
    block: &'a [u8],
}

impl<'a> MessageDecoder<'a> {
    /// The template that this reads.
    pub(super) const TEMPLATE_ID: u16 = 4;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn wrap(
        bytes: &'a [u8],
        block_length: u16,
        _version: u16,
    ) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 24 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// The session.
    #[must_use]
    pub(super) fn session(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The client's number for it, from 1 on without gaps.
    #[must_use]
    pub(super) fn sequence(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// Cluster time; zero in ingress streams.
    #[must_use]
    pub(super) fn time(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }
}

/// Writes `Message`. A client's message; the payload follows the block.
#[derive(Debug)]
pub(super) struct MessageEncoder<'a> {
    block: &'a mut [u8; 24],
}

impl<'a> MessageEncoder<'a> {
    /// The template that this writes.
    pub(super) const TEMPLATE_ID: u16 = 4;
    /// Bytes of the block.
    pub(super) const BLOCK_LENGTH: usize = 24;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub(super) fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 24];
        Some(Self { block })
    }

    /// Sets: The session.
    pub(super) fn set_session(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The client's number for it, from 1 on without gaps.
    pub(super) fn set_sequence(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Cluster time; zero in ingress streams.
    pub(super) fn set_time(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }
}

/// Reads `Timer`. A timer of the service is due.
#[derive(Clone, Debug)]
pub(super) struct TimerDecoder<'a> {
    block: &'a [u8],
}

impl<'a> TimerDecoder<'a> {
    /// The template that this reads.
    pub(super) const TEMPLATE_ID: u16 = 5;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn wrap(
        bytes: &'a [u8],
        block_length: u16,
        _version: u16,
    ) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 24 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// Cluster time, at or after the deadline.
    #[must_use]
    pub(super) fn time(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The service's number for it.
    #[must_use]
    pub(super) fn timer(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// When it was due.
    #[must_use]
    pub(super) fn deadline(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }
}

/// Writes `Timer`. A timer of the service is due.
#[derive(Debug)]
pub(super) struct TimerEncoder<'a> {
    block: &'a mut [u8; 24],
}

impl<'a> TimerEncoder<'a> {
    /// The template that this writes.
    pub(super) const TEMPLATE_ID: u16 = 5;
    /// Bytes of the block.
    pub(super) const BLOCK_LENGTH: usize = 24;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub(super) fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 24];
        Some(Self { block })
    }

    /// Sets: Cluster time, at or after the deadline.
    pub(super) fn set_time(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The service's number for it.
    pub(super) fn set_timer(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: When it was due.
    pub(super) fn set_deadline(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }
}

/// Reads `Reply`. A reply to a message, in egress streams only; the payload follows the block.
#[derive(Clone, Debug)]
pub(super) struct ReplyDecoder<'a> {
    block: &'a [u8],
}

impl<'a> ReplyDecoder<'a> {
    /// The template that this reads.
    pub(super) const TEMPLATE_ID: u16 = 6;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn wrap(
        bytes: &'a [u8],
        block_length: u16,
        _version: u16,
    ) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 24 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// The session.
    #[must_use]
    pub(super) fn session(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The number of the message that is answered.
    #[must_use]
    pub(super) fn sequence(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// Where the message lies in the log.
    #[must_use]
    pub(super) fn position(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }
}

/// Writes `Reply`. A reply to a message, in egress streams only; the payload follows the block.
#[derive(Debug)]
pub(super) struct ReplyEncoder<'a> {
    block: &'a mut [u8; 24],
}

impl<'a> ReplyEncoder<'a> {
    /// The template that this writes.
    pub(super) const TEMPLATE_ID: u16 = 6;
    /// Bytes of the block.
    pub(super) const BLOCK_LENGTH: usize = 24;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub(super) fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 24];
        Some(Self { block })
    }

    /// Sets: The session.
    pub(super) fn set_session(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The number of the message that is answered.
    pub(super) fn set_sequence(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Where the message lies in the log.
    pub(super) fn set_position(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }
}

/// Reads `SnapshotMark`. Each member takes a snapshot at the end of this frame.
#[derive(Clone, Debug)]
pub(super) struct SnapshotMarkDecoder<'a> {
    block: &'a [u8],
}

impl<'a> SnapshotMarkDecoder<'a> {
    /// The template that this reads.
    pub(super) const TEMPLATE_ID: u16 = 7;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn wrap(
        bytes: &'a [u8],
        block_length: u16,
        _version: u16,
    ) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 9 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// Cluster time.
    #[must_use]
    pub(super) fn time(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// Why it is taken; unknown values are kept.
    #[must_use]
    pub(super) fn cause(&self) -> SnapshotCause {
        SnapshotCause::from_code(u8::from_le_bytes(array(self.block, 8)))
    }
}

/// Writes `SnapshotMark`. Each member takes a snapshot at the end of this frame.
#[derive(Debug)]
pub(super) struct SnapshotMarkEncoder<'a> {
    block: &'a mut [u8; 16],
}

impl<'a> SnapshotMarkEncoder<'a> {
    /// The template that this writes.
    pub(super) const TEMPLATE_ID: u16 = 7;
    /// Bytes of the block.
    pub(super) const BLOCK_LENGTH: usize = 16;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub(super) fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 16];
        Some(Self { block })
    }

    /// Sets: Cluster time.
    pub(super) fn set_time(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Why it is taken; unknown values are kept.
    pub(super) fn set_cause(&mut self, value: SnapshotCause) -> &mut Self {
        self.block[8..9].copy_from_slice(&value.code().to_le_bytes());
        self
    }
}

/// Reads `Readmission`. A member that lost its directory is to count again, in this life and later ones.
#[derive(Clone, Debug)]
pub(super) struct ReadmissionDecoder<'a> {
    block: &'a [u8],
}

impl<'a> ReadmissionDecoder<'a> {
    /// The template that this reads.
    pub(super) const TEMPLATE_ID: u16 = 8;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn wrap(
        bytes: &'a [u8],
        block_length: u16,
        _version: u16,
    ) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 22 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// Cluster time.
    #[must_use]
    pub(super) fn time(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The life of the member that asked: its boot epoch.
    #[must_use]
    pub(super) fn boot_epoch(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// Its incarnation.
    #[must_use]
    pub(super) fn incarnation(&self) -> u32 {
        u32::from_le_bytes(array(self.block, 16))
    }

    /// The member.
    #[must_use]
    pub(super) fn member(&self) -> u16 {
        u16::from_le_bytes(array(self.block, 20))
    }
}

/// Writes `Readmission`. A member that lost its directory is to count again, in this life and later ones.
#[derive(Debug)]
pub(super) struct ReadmissionEncoder<'a> {
    block: &'a mut [u8; 24],
}

impl<'a> ReadmissionEncoder<'a> {
    /// The template that this writes.
    pub(super) const TEMPLATE_ID: u16 = 8;
    /// Bytes of the block.
    pub(super) const BLOCK_LENGTH: usize = 24;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub(super) fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 24];
        Some(Self { block })
    }

    /// Sets: Cluster time.
    pub(super) fn set_time(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The life of the member that asked: its boot epoch.
    pub(super) fn set_boot_epoch(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Its incarnation.
    pub(super) fn set_incarnation(&mut self, value: u32) -> &mut Self {
        self.block[16..20].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The member.
    pub(super) fn set_member(&mut self, value: u16) -> &mut Self {
        self.block[20..22].copy_from_slice(&value.to_le_bytes());
        self
    }
}

/// Reads `SafeMessage`. A client's message whose reply waits until the message is safe; otherwise as Message.
#[derive(Clone, Debug)]
pub(super) struct SafeMessageDecoder<'a> {
    block: &'a [u8],
}

impl<'a> SafeMessageDecoder<'a> {
    /// The template that this reads.
    pub(super) const TEMPLATE_ID: u16 = 10;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn wrap(
        bytes: &'a [u8],
        block_length: u16,
        _version: u16,
    ) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 24 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// The session.
    #[must_use]
    pub(super) fn session(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The client's number for it, from 1 on without gaps.
    #[must_use]
    pub(super) fn sequence(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// Cluster time; zero in ingress streams.
    #[must_use]
    pub(super) fn time(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }
}

/// Writes `SafeMessage`. A client's message whose reply waits until the message is safe; otherwise as Message.
#[derive(Debug)]
pub(super) struct SafeMessageEncoder<'a> {
    block: &'a mut [u8; 24],
}

impl<'a> SafeMessageEncoder<'a> {
    /// The template that this writes.
    pub(super) const TEMPLATE_ID: u16 = 10;
    /// Bytes of the block.
    pub(super) const BLOCK_LENGTH: usize = 24;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub(super) fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 24];
        Some(Self { block })
    }

    /// Sets: The session.
    pub(super) fn set_session(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The client's number for it, from 1 on without gaps.
    pub(super) fn set_sequence(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Cluster time; zero in ingress streams.
    pub(super) fn set_time(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }
}

/// Reads `Membership`. Who is a member from here on; the list follows the block.
#[derive(Clone, Debug)]
pub(super) struct MembershipDecoder<'a> {
    block: &'a [u8],
}

impl<'a> MembershipDecoder<'a> {
    /// The template that this reads.
    pub(super) const TEMPLATE_ID: u16 = 11;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn wrap(
        bytes: &'a [u8],
        block_length: u16,
        _version: u16,
    ) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 9 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// Cluster time.
    #[must_use]
    pub(super) fn time(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// How far the change is.
    #[must_use]
    pub(super) fn phase(&self) -> MembershipPhase {
        MembershipPhase::from_code(u8::from_le_bytes(array(self.block, 8)))
    }
}

/// Writes `Membership`. Who is a member from here on; the list follows the block.
#[derive(Debug)]
pub(super) struct MembershipEncoder<'a> {
    block: &'a mut [u8; 16],
}

impl<'a> MembershipEncoder<'a> {
    /// The template that this writes.
    pub(super) const TEMPLATE_ID: u16 = 11;
    /// Bytes of the block.
    pub(super) const BLOCK_LENGTH: usize = 16;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub(super) fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 16];
        Some(Self { block })
    }

    /// Sets: Cluster time.
    pub(super) fn set_time(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: How far the change is.
    pub(super) fn set_phase(&mut self, value: MembershipPhase) -> &mut Self {
        self.block[8..9].copy_from_slice(&value.code().to_le_bytes());
        self
    }
}

/// The `N` bytes at `at`; the caller has checked that they are there.
fn array<const N: usize>(block: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&block[at..at + N]);
    bytes
}
