// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! A slice of the log: the rest of the datagram behind the block. Position and length are multiples of 8.

use super::*;

/// Reads `LogData`. A slice of the log: the rest of the datagram behind the block. Position and length are multiples of 8.
#[derive(Clone, Debug)]
pub struct LogDataDecoder<'a> {
    block: &'a [u8],
}

impl<'a> LogDataDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 16;

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

    /// The leadership term that owns the bytes.
    #[must_use]
    pub fn term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The position of the first byte.
    #[must_use]
    pub fn position(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// The end of what the leader has appended; on live data only, with commit.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        let value = u64::from_le_bytes(array(self.block, 16));
        (value != u64::MAX).then_some(value)
    }

    /// The leader's commit position; on live data only, with newest.
    #[must_use]
    pub fn commit(&self) -> Option<u64> {
        let value = u64::from_le_bytes(array(self.block, 24));
        (value != u64::MAX).then_some(value)
    }
}

/// Writes `LogData`. A slice of the log: the rest of the datagram behind the block. Position and length are multiples of 8.
#[derive(Debug)]
pub struct LogDataEncoder<'a> {
    block: &'a mut [u8; 32],
}

impl<'a> LogDataEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 16;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 32;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 32];
        block[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        block[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
        Some(Self { block })
    }

    /// Sets: The leadership term that owns the bytes.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The position of the first byte.
    pub fn set_position(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of what the leader has appended; on live data only, with commit.
    pub fn set_newest(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The leader's commit position; on live data only, with newest.
    pub fn set_commit(&mut self, value: u64) -> &mut Self {
        self.block[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }
}
