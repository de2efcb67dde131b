// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Asks for the newest stored snapshot.

use super::*;

/// Reads `SnapshotRequest`. Asks for the newest stored snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotRequestDecoder<'a> {
    block: &'a [u8],
}

impl<'a> SnapshotRequestDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 43;

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

    /// The asker's current term.
    #[must_use]
    pub fn term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// Only one beyond this position is of use.
    #[must_use]
    pub fn above(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }
}

/// Writes `SnapshotRequest`. Asks for the newest stored snapshot.
#[derive(Debug)]
pub struct SnapshotRequestEncoder<'a> {
    block: &'a mut [u8; 16],
}

impl<'a> SnapshotRequestEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 43;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 16;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 16];
        Some(Self { block })
    }

    /// Sets: The asker's current term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Only one beyond this position is of use.
    pub fn set_above(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }
}
