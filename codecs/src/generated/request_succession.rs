// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Asks for the vote of a term, as the leader of the term before has told the candidate to.

use super::*;

/// Reads `RequestSuccession`. Asks for the vote of a term, as the leader of the term before has told the candidate to.
#[derive(Clone, Debug)]
pub struct RequestSuccessionDecoder<'a> {
    block: &'a [u8],
}

impl<'a> RequestSuccessionDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 41;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 26 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// The term to be led.
    #[must_use]
    pub fn term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// How complete the candidate's log is.
    #[must_use]
    pub fn key(&self) -> VoteKey {
        VoteKey::decode(&array(self.block, 8))
    }

    /// Who leads the term before.
    #[must_use]
    pub fn predecessor(&self) -> u16 {
        u16::from_le_bytes(array(self.block, 24))
    }
}

/// Writes `RequestSuccession`. Asks for the vote of a term, as the leader of the term before has told the candidate to.
#[derive(Debug)]
pub struct RequestSuccessionEncoder<'a> {
    block: &'a mut [u8; 32],
}

impl<'a> RequestSuccessionEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 41;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 32;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 32];
        Some(Self { block })
    }

    /// Sets: The term to be led.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: How complete the candidate's log is.
    pub fn set_key(&mut self, value: VoteKey) -> &mut Self {
        self.block[8..24].copy_from_slice(&value.encode());
        self
    }

    /// Sets: Who leads the term before.
    pub fn set_predecessor(&mut self, value: u16) -> &mut Self {
        self.block[24..26].copy_from_slice(&value.to_le_bytes());
        self
    }
}
