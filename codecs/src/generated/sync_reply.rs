// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Answers a client that asked what is safe.

use super::*;

/// Reads `SyncReply`. Answers a client that asked what is safe.
#[derive(Clone, Debug)]
pub struct SyncReplyDecoder<'a> {
    block: &'a [u8],
}

impl<'a> SyncReplyDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 53;

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

    /// The epoch of the connection's streams.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The end of what is committed and durable on a quorum, as far as the leader knows.
    #[must_use]
    pub fn safe(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }
}

/// Writes `SyncReply`. Answers a client that asked what is safe.
#[derive(Debug)]
pub struct SyncReplyEncoder<'a> {
    block: &'a mut [u8; 16],
}

impl<'a> SyncReplyEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 53;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 16;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 16];
        Some(Self { block })
    }

    /// Sets: The epoch of the connection's streams.
    pub fn set_epoch(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of what is committed and durable on a quorum, as far as the leader knows.
    pub fn set_safe(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }
}
