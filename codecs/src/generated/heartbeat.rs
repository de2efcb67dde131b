// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! The leader is there.

use super::*;

/// Reads `Heartbeat`. The leader is there.
#[derive(Clone, Debug)]
pub struct HeartbeatDecoder<'a> {
    block: &'a [u8],
}

impl<'a> HeartbeatDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 22;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 48 {
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

    /// The leader's round.
    #[must_use]
    pub fn round(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// The end of what it has appended.
    #[must_use]
    pub fn newest(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// Its commit position.
    #[must_use]
    pub fn commit(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 24))
    }

    /// A position up to which it has applied.
    #[must_use]
    pub fn chain_at(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 32))
    }

    /// The chain value there.
    #[must_use]
    pub fn chain(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 40))
    }
}

/// Writes `Heartbeat`. The leader is there.
#[derive(Debug)]
pub struct HeartbeatEncoder<'a> {
    block: &'a mut [u8; 48],
}

impl<'a> HeartbeatEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 22;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 48;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 48];
        Some(Self { block })
    }

    /// Sets: The leader's term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The leader's round.
    pub fn set_round(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of what it has appended.
    pub fn set_newest(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Its commit position.
    pub fn set_commit(&mut self, value: u64) -> &mut Self {
        self.block[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: A position up to which it has applied.
    pub fn set_chain_at(&mut self, value: u64) -> &mut Self {
        self.block[32..40].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The chain value there.
    pub fn set_chain(&mut self, value: u64) -> &mut Self {
        self.block[40..48].copy_from_slice(&value.to_le_bytes());
        self
    }
}
