// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! A client asks to be served.

use super::*;

/// Reads `Connect`. A client asks to be served.
#[derive(Clone, Debug)]
pub struct ConnectDecoder<'a> {
    block: &'a [u8],
}

impl<'a> ConnectDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 28;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 32 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// The number of the attempt, rising.
    #[must_use]
    pub fn connection(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The session that it has; zero if none.
    #[must_use]
    pub fn session(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// Where its ingress stream goes on.
    #[must_use]
    pub fn ingress_start(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// The first sequence number that it has no reply for.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 24))
    }
}

/// Writes `Connect`. A client asks to be served.
#[derive(Debug)]
pub struct ConnectEncoder<'a> {
    block: &'a mut [u8; 32],
}

impl<'a> ConnectEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 28;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 32;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 32];
        Some(Self { block })
    }

    /// Sets: The number of the attempt, rising.
    pub fn set_connection(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The session that it has; zero if none.
    pub fn set_session(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Where its ingress stream goes on.
    pub fn set_ingress_start(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The first sequence number that it has no reply for.
    pub fn set_unanswered(&mut self, value: u64) -> &mut Self {
        self.block[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }
}
