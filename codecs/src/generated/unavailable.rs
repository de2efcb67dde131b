// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Bytes that were asked for are not here.

use super::*;

/// Reads `Unavailable`. Bytes that were asked for are not here.
#[derive(Clone, Debug)]
pub struct UnavailableDecoder<'a> {
    block: &'a [u8],
}

impl<'a> UnavailableDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 27;

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

    /// Of which stream.
    #[must_use]
    pub fn stream(&self) -> Stream {
        Stream::decode(&array(self.block, 0))
    }

    /// The leadership term that owns the bytes; for session streams that of the connection; for a snapshot the position where it stands.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// The first byte.
    #[must_use]
    pub fn start(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 24))
    }

    /// The byte after the last; not before start.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 32))
    }

    /// The oldest position that could be sent.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 40))
    }
}

/// Writes `Unavailable`. Bytes that were asked for are not here.
#[derive(Debug)]
pub struct UnavailableEncoder<'a> {
    block: &'a mut [u8; 48],
}

impl<'a> UnavailableEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 27;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 48;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 48];
        Some(Self { block })
    }

    /// Sets: Of which stream.
    pub fn set_stream(&mut self, value: Stream) -> &mut Self {
        self.block[0..16].copy_from_slice(&value.encode());
        self
    }

    /// Sets: The leadership term that owns the bytes; for session streams that of the connection; for a snapshot the position where it stands.
    pub fn set_epoch(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The first byte.
    pub fn set_start(&mut self, value: u64) -> &mut Self {
        self.block[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The byte after the last; not before start.
    pub fn set_end(&mut self, value: u64) -> &mut Self {
        self.block[32..40].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The oldest position that could be sent.
    pub fn set_oldest(&mut self, value: u64) -> &mut Self {
        self.block[40..48].copy_from_slice(&value.to_le_bytes());
        self
    }
}
