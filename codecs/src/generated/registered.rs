// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! The leader tells an impaired follower up to where it has to heal.

use super::*;

/// Reads `Registered`. The leader tells an impaired follower up to where it has to heal.
#[derive(Clone, Debug)]
pub struct RegisteredDecoder<'a> {
    block: &'a [u8],
}

impl<'a> RegisteredDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 47;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 24 {
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

    /// The follower's start that was registered.
    #[must_use]
    pub fn boot_epoch(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// The end of what the leader had then.
    #[must_use]
    pub fn newest(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }
}

/// Writes `Registered`. The leader tells an impaired follower up to where it has to heal.
#[derive(Debug)]
pub struct RegisteredEncoder<'a> {
    block: &'a mut [u8; 24],
}

impl<'a> RegisteredEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 47;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 24;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 24];
        Some(Self { block })
    }

    /// Sets: The leader's term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The follower's start that was registered.
    pub fn set_boot_epoch(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of what the leader had then.
    pub fn set_newest(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }
}
