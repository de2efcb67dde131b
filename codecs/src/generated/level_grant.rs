// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! A voter that is impaired or in a volatile group grants a canvass or a vote.

use super::*;

/// Reads `LevelGrant`. A voter that is impaired or in a volatile group grants a canvass or a vote.
#[derive(Clone, Debug)]
pub struct LevelGrantDecoder<'a> {
    block: &'a [u8],
}

impl<'a> LevelGrantDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 48;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 44 {
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

    /// The round of the canvass; zero for a vote.
    #[must_use]
    pub fn round(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// The newest term of its adopted history.
    #[must_use]
    pub fn line(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// How complete the voter's log is.
    #[must_use]
    pub fn key(&self) -> VoteKey {
        VoteKey::decode(&array(self.block, 24))
    }

    /// Who asked.
    #[must_use]
    pub fn candidate(&self) -> u16 {
        u16::from_le_bytes(array(self.block, 40))
    }

    /// What it takes for committed.
    #[must_use]
    pub fn level(&self) -> Level {
        Level::from_code(u8::from_le_bytes(array(self.block, 42)))
    }

    /// Whether it may have lost bytes that it held.
    #[must_use]
    pub fn impaired(&self) -> Boolean {
        Boolean::from_code(u8::from_le_bytes(array(self.block, 43)))
    }
}

/// Writes `LevelGrant`. A voter that is impaired or in a volatile group grants a canvass or a vote.
#[derive(Debug)]
pub struct LevelGrantEncoder<'a> {
    block: &'a mut [u8; 48],
}

impl<'a> LevelGrantEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 48;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 48;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 48];
        Some(Self { block })
    }

    /// Sets: The voter's current term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The round of the canvass; zero for a vote.
    pub fn set_round(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The newest term of its adopted history.
    pub fn set_line(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: How complete the voter's log is.
    pub fn set_key(&mut self, value: VoteKey) -> &mut Self {
        self.block[24..40].copy_from_slice(&value.encode());
        self
    }

    /// Sets: Who asked.
    pub fn set_candidate(&mut self, value: u16) -> &mut Self {
        self.block[40..42].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: What it takes for committed.
    pub fn set_level(&mut self, value: Level) -> &mut Self {
        self.block[42..43].copy_from_slice(&value.code().to_le_bytes());
        self
    }

    /// Sets: Whether it may have lost bytes that it held.
    pub fn set_impaired(&mut self, value: Boolean) -> &mut Self {
        self.block[43..44].copy_from_slice(&value.code().to_le_bytes());
        self
    }
}
