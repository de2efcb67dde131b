// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Answers a canvass.

use super::*;

/// Reads `CanvassReply`. Answers a canvass.
#[derive(Clone, Debug)]
pub struct CanvassReplyDecoder<'a> {
    block: &'a [u8],
}

impl<'a> CanvassReplyDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 19;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 33 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// The answerer's current term.
    #[must_use]
    pub fn term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The round that is answered.
    #[must_use]
    pub fn round(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// How complete the answerer's log is.
    #[must_use]
    pub fn key(&self) -> VoteKey {
        VoteKey::decode(&array(self.block, 16))
    }

    /// Whether a vote would be granted.
    #[must_use]
    pub fn granted(&self) -> Boolean {
        Boolean::from_code(u8::from_le_bytes(array(self.block, 32)))
    }
}

/// Writes `CanvassReply`. Answers a canvass.
#[derive(Debug)]
pub struct CanvassReplyEncoder<'a> {
    block: &'a mut [u8; 40],
}

impl<'a> CanvassReplyEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 19;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 40;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 40];
        Some(Self { block })
    }

    /// Sets: The answerer's current term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The round that is answered.
    pub fn set_round(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: How complete the answerer's log is.
    pub fn set_key(&mut self, value: VoteKey) -> &mut Self {
        self.block[16..32].copy_from_slice(&value.encode());
        self
    }

    /// Sets: Whether a vote would be granted.
    pub fn set_granted(&mut self, value: Boolean) -> &mut Self {
        self.block[32..33].copy_from_slice(&value.code().to_le_bytes());
        self
    }
}
