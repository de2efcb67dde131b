// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! The newest position of a session stream.

use super::*;

/// Reads `StreamNewest`. The newest position of a session stream.
#[derive(Clone, Debug)]
pub struct StreamNewestDecoder<'a> {
    block: &'a [u8],
}

impl<'a> StreamNewestDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 31;

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

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> Stream {
        Stream::decode(&array(self.block, 0))
    }

    /// The epoch of the connection's streams.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// The end of what was written.
    #[must_use]
    pub fn newest(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 24))
    }
}

/// Writes `StreamNewest`. The newest position of a session stream.
#[derive(Debug)]
pub struct StreamNewestEncoder<'a> {
    block: &'a mut [u8; 32],
}

impl<'a> StreamNewestEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 31;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 32;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 32];
        Some(Self { block })
    }

    /// Sets: The stream.
    pub fn set_stream(&mut self, value: Stream) -> &mut Self {
        self.block[0..16].copy_from_slice(&value.encode());
        self
    }

    /// Sets: The epoch of the connection's streams.
    pub fn set_epoch(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of what was written.
    pub fn set_newest(&mut self, value: u64) -> &mut Self {
        self.block[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }
}
