// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! A slice of a session stream or of a snapshot: the rest of the datagram behind the block.

use super::*;

/// Reads `SessionData`. A slice of a session stream or of a snapshot: the rest of the datagram behind the block.
#[derive(Clone, Debug)]
pub struct SessionDataDecoder<'a> {
    block: &'a [u8],
}

impl<'a> SessionDataDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 17;

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

    /// The epoch of the connection's streams; for a snapshot the position where it stands.
    #[must_use]
    pub fn connection(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The position of the first byte.
    #[must_use]
    pub fn position(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// The stream, which is not the log.
    #[must_use]
    pub fn stream(&self) -> Stream {
        Stream::decode(&array(self.block, 16))
    }
}

/// Writes `SessionData`. A slice of a session stream or of a snapshot: the rest of the datagram behind the block.
#[derive(Debug)]
pub struct SessionDataEncoder<'a> {
    block: &'a mut [u8; 32],
}

impl<'a> SessionDataEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 17;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 32;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 32];
        Some(Self { block })
    }

    /// Sets: The epoch of the connection's streams; for a snapshot the position where it stands.
    pub fn set_connection(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The position of the first byte.
    pub fn set_position(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The stream, which is not the log.
    pub fn set_stream(&mut self, value: Stream) -> &mut Self {
        self.block[16..32].copy_from_slice(&value.encode());
        self
    }
}
