// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! A follower asks its leader up to where a read has to see the log.

use super::*;

/// Reads `ReadIndexRequest`. A follower asks its leader up to where a read has to see the log.
#[derive(Clone, Debug)]
pub struct ReadIndexRequestDecoder<'a> {
    block: &'a [u8],
}

impl<'a> ReadIndexRequestDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 62;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 8 {
            return Err(Malformed::Block);
        }
        let (block, _) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok(Self { block })
    }

    /// The follower's number for it, which it uses in no other life.
    #[must_use]
    pub fn number(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }
}

/// Writes `ReadIndexRequest`. A follower asks its leader up to where a read has to see the log.
#[derive(Debug)]
pub struct ReadIndexRequestEncoder<'a> {
    block: &'a mut [u8; 8],
}

impl<'a> ReadIndexRequestEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 62;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 8;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 8];
        Some(Self { block })
    }

    /// Sets: The follower's number for it, which it uses in no other life.
    pub fn set_number(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }
}
