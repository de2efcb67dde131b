// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! A member that lost its directory asks the leader to be readmitted, and says where it is.

use super::*;

/// Reads `Application`. A member that lost its directory asks the leader to be readmitted, and says where it is.
#[derive(Clone, Debug)]
pub struct ApplicationDecoder<'a> {
    block: &'a [u8],
}

impl<'a> ApplicationDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 42;

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

    /// The leader's term.
    #[must_use]
    pub fn term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// Its number among the applications and acknowledgements of the sender's life.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// The end of what was received without a hole.
    #[must_use]
    pub fn received(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// The end of what there is room for.
    #[must_use]
    pub fn limit(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 24))
    }
}

/// Writes `Application`. A member that lost its directory asks the leader to be readmitted, and says where it is.
#[derive(Debug)]
pub struct ApplicationEncoder<'a> {
    block: &'a mut [u8; 32],
}

impl<'a> ApplicationEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 42;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 32;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 32];
        Some(Self { block })
    }

    /// Sets: The leader's term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Its number among the applications and acknowledgements of the sender's life.
    pub fn set_sequence(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of what was received without a hole.
    pub fn set_received(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of what there is room for.
    pub fn set_limit(&mut self, value: u64) -> &mut Self {
        self.block[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }
}
