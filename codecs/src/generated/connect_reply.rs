// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Answers a connect; what the outcome does not have is zero, and ignored on read.

use super::*;

/// Reads `ConnectReply`. Answers a connect; what the outcome does not have is zero, and ignored on read.
#[derive(Clone, Debug)]
pub struct ConnectReplyDecoder<'a> {
    block: &'a [u8],
}

impl<'a> ConnectReplyDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 29;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 61 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// The attempt that is answered.
    #[must_use]
    pub fn connection(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// In which term the leader leads.
    #[must_use]
    pub fn term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// The ingress stream may go up to here.
    #[must_use]
    pub fn limit(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 24))
    }

    /// Nanoseconds to wait.
    #[must_use]
    pub fn retry_after(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 32))
    }

    /// Where clients reach the leader.
    #[must_use]
    pub fn endpoint(&self) -> [u8; 18] {
        array(self.block, 40)
    }

    /// Who leads.
    #[must_use]
    pub fn leader(&self) -> u16 {
        u16::from_le_bytes(array(self.block, 58))
    }

    /// What came of it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        Outcome::from_code(u8::from_le_bytes(array(self.block, 60)))
    }
}

/// Writes `ConnectReply`. Answers a connect; what the outcome does not have is zero, and ignored on read.
#[derive(Debug)]
pub struct ConnectReplyEncoder<'a> {
    block: &'a mut [u8; 64],
}

impl<'a> ConnectReplyEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 29;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 64;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 64];
        Some(Self { block })
    }

    /// Sets: The attempt that is answered.
    pub fn set_connection(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The session.
    pub fn set_session(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: In which term the leader leads.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The ingress stream may go up to here.
    pub fn set_limit(&mut self, value: u64) -> &mut Self {
        self.block[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Nanoseconds to wait.
    pub fn set_retry_after(&mut self, value: u64) -> &mut Self {
        self.block[32..40].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Where clients reach the leader.
    pub fn set_endpoint(&mut self, value: [u8; 18]) -> &mut Self {
        self.block[40..58].copy_from_slice(&value);
        self
    }

    /// Sets: Who leads.
    pub fn set_leader(&mut self, value: u16) -> &mut Self {
        self.block[58..60].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: What came of it.
    pub fn set_outcome(&mut self, value: Outcome) -> &mut Self {
        self.block[60..61].copy_from_slice(&value.code().to_le_bytes());
        self
    }
}
