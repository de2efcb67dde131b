// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! A follower that may have lost bytes is there, and asks up to where it has to heal.

use super::*;

/// Reads `Impaired`. A follower that may have lost bytes is there, and asks up to where it has to heal.
#[derive(Clone, Debug)]
pub struct ImpairedDecoder<'a> {
    block: &'a [u8],
}

impl<'a> ImpairedDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 46;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 40 {
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

    /// Its number among the acknowledgements of the follower's life.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// The newest heartbeat round that was received.
    #[must_use]
    pub fn round(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// The end of what was received without a hole.
    #[must_use]
    pub fn received(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 24))
    }

    /// The end of what there is room for.
    #[must_use]
    pub fn limit(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 32))
    }
}

/// Writes `Impaired`. A follower that may have lost bytes is there, and asks up to where it has to heal.
#[derive(Debug)]
pub struct ImpairedEncoder<'a> {
    block: &'a mut [u8; 40],
}

impl<'a> ImpairedEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 46;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 40;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 40];
        Some(Self { block })
    }

    /// Sets: The leader's term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Its number among the acknowledgements of the follower's life.
    pub fn set_sequence(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The newest heartbeat round that was received.
    pub fn set_round(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of what was received without a hole.
    pub fn set_received(&mut self, value: u64) -> &mut Self {
        self.block[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of what there is room for.
    pub fn set_limit(&mut self, value: u64) -> &mut Self {
        self.block[32..40].copy_from_slice(&value.to_le_bytes());
        self
    }
}
