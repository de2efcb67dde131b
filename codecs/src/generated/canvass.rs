// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Asks whether an election could be won.

use super::*;

/// Reads `Canvass`. Asks whether an election could be won.
#[derive(Clone, Debug)]
pub struct CanvassDecoder<'a> {
    block: &'a [u8],
}

impl<'a> CanvassDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 18;

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

    /// The canvasser's current term.
    #[must_use]
    pub fn term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The round of this canvasser's life.
    #[must_use]
    pub fn round(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// How complete its log is.
    #[must_use]
    pub fn key(&self) -> VoteKey {
        VoteKey::decode(&array(self.block, 16))
    }
}

/// Writes `Canvass`. Asks whether an election could be won.
#[derive(Debug)]
pub struct CanvassEncoder<'a> {
    block: &'a mut [u8; 32],
}

impl<'a> CanvassEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 18;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 32;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 32];
        Some(Self { block })
    }

    /// Sets: The canvasser's current term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The round of this canvasser's life.
    pub fn set_round(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: How complete its log is.
    pub fn set_key(&mut self, value: VoteKey) -> &mut Self {
        self.block[16..32].copy_from_slice(&value.encode());
        self
    }
}
