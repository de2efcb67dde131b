// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Answers a request for a vote.

use super::*;

/// Reads `Ballot`. Answers a request for a vote.
#[derive(Clone, Debug)]
pub struct BallotDecoder<'a> {
    block: &'a [u8],
}

impl<'a> BallotDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 21;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 27 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// The voter's current term.
    #[must_use]
    pub fn term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// How complete the voter's log is.
    #[must_use]
    pub fn key(&self) -> VoteKey {
        VoteKey::decode(&array(self.block, 8))
    }

    /// Who asked.
    #[must_use]
    pub fn candidate(&self) -> u16 {
        u16::from_le_bytes(array(self.block, 24))
    }

    /// Whether the vote was granted.
    #[must_use]
    pub fn granted(&self) -> Boolean {
        Boolean::from_code(u8::from_le_bytes(array(self.block, 26)))
    }
}

/// Writes `Ballot`. Answers a request for a vote.
#[derive(Debug)]
pub struct BallotEncoder<'a> {
    block: &'a mut [u8; 32],
}

impl<'a> BallotEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 21;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 32;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 32];
        Some(Self { block })
    }

    /// Sets: The voter's current term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: How complete the voter's log is.
    pub fn set_key(&mut self, value: VoteKey) -> &mut Self {
        self.block[8..24].copy_from_slice(&value.encode());
        self
    }

    /// Sets: Who asked.
    pub fn set_candidate(&mut self, value: u16) -> &mut Self {
        self.block[24..26].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Whether the vote was granted.
    pub fn set_granted(&mut self, value: Boolean) -> &mut Self {
        self.block[26..27].copy_from_slice(&value.code().to_le_bytes());
        self
    }
}
