// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! A client ends its session.

use super::*;

/// Reads `Close`. A client ends its session.
#[derive(Clone, Debug)]
pub struct CloseDecoder<'a> {
    block: &'a [u8],
}

impl<'a> CloseDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 32;

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

    /// Its connection number.
    #[must_use]
    pub fn connection(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }
}

/// Writes `Close`. A client ends its session.
#[derive(Debug)]
pub struct CloseEncoder<'a> {
    block: &'a mut [u8; 16],
}

impl<'a> CloseEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 32;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 16;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 16];
        Some(Self { block })
    }

    /// Sets: Its connection number.
    pub fn set_connection(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The session.
    pub fn set_session(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }
}
