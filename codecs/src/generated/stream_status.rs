// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Where the receiver of a session stream is.

use super::*;

/// Reads `StreamStatus`. Where the receiver of a session stream is.
#[derive(Clone, Debug)]
pub struct StreamStatusDecoder<'a> {
    block: &'a [u8],
}

impl<'a> StreamStatusDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 30;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 40 {
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

    /// All before it was consumed.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 24))
    }

    /// The sender may send up to here.
    #[must_use]
    pub fn limit(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 32))
    }
}

/// Writes `StreamStatus`. Where the receiver of a session stream is.
#[derive(Debug)]
pub struct StreamStatusEncoder<'a> {
    block: &'a mut [u8; 40],
}

impl<'a> StreamStatusEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 30;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 40;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 40];
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

    /// Sets: All before it was consumed.
    pub fn set_consumed(&mut self, value: u64) -> &mut Self {
        self.block[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The sender may send up to here.
    pub fn set_limit(&mut self, value: u64) -> &mut Self {
        self.block[32..40].copy_from_slice(&value.to_le_bytes());
        self
    }
}
