// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! A quorum has confirmed the leader since it received the request.

use super::*;

/// Reads `ReadIndexReply`. A quorum has confirmed the leader since it received the request.
#[derive(Clone, Debug)]
pub struct ReadIndexReplyDecoder<'a> {
    block: &'a [u8],
}

impl<'a> ReadIndexReplyDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 63;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 16 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// The follower's number for it.
    #[must_use]
    pub fn number(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// What was committed when the request was received, at least.
    #[must_use]
    pub fn index(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }
}

/// Writes `ReadIndexReply`. A quorum has confirmed the leader since it received the request.
#[derive(Debug)]
pub struct ReadIndexReplyEncoder<'a> {
    block: &'a mut [u8; 16],
}

impl<'a> ReadIndexReplyEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 63;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 16;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 16];
        Some(Self { block })
    }

    /// Sets: The follower's number for it.
    pub fn set_number(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: What was committed when the request was received, at least.
    pub fn set_index(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }
}
