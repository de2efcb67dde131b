// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Tells a member that it is none any more.

use super::*;

/// Reads `Removed`. Tells a member that it is none any more.
#[derive(Clone, Debug)]
pub struct RemovedDecoder<'a> {
    block: &'a [u8],
}

impl<'a> RemovedDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 70;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 20 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// The sender's current term.
    #[must_use]
    pub fn term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The end of the committed frame since which it is known.
    #[must_use]
    pub fn position(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// The newest incarnation of the receiver that was removed.
    #[must_use]
    pub fn incarnation(&self) -> u32 {
        u32::from_le_bytes(array(self.block, 16))
    }
}

/// Writes `Removed`. Tells a member that it is none any more.
#[derive(Debug)]
pub struct RemovedEncoder<'a> {
    block: &'a mut [u8; 24],
}

impl<'a> RemovedEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 70;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 24;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 24];
        Some(Self { block })
    }

    /// Sets: The sender's current term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of the committed frame since which it is known.
    pub fn set_position(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The newest incarnation of the receiver that was removed.
    pub fn set_incarnation(&mut self, value: u32) -> &mut Self {
        self.block[16..20].copy_from_slice(&value.to_le_bytes());
        self
    }
}
