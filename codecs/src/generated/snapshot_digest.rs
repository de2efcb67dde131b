// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! What a member's snapshot at a position is, so that a state that deviates is found.

use super::*;

/// Reads `SnapshotDigest`. What a member's snapshot at a position is, so that a state that deviates is found.
#[derive(Clone, Debug)]
pub struct SnapshotDigestDecoder<'a> {
    block: &'a [u8],
}

impl<'a> SnapshotDigestDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 49;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 28 {
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

    /// Where the snapshot stands in the log.
    #[must_use]
    pub fn position(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// A digest of both parts of its stream.
    #[must_use]
    pub fn digest(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// The version of the layout of the core's part; zero if there is no snapshot.
    #[must_use]
    pub fn layout(&self) -> u16 {
        u16::from_le_bytes(array(self.block, 24))
    }

    /// Whether the sender has taken it itself.
    #[must_use]
    pub fn vouches(&self) -> Boolean {
        Boolean::from_code(u8::from_le_bytes(array(self.block, 26)))
    }

    /// Whether the sender asks for the receiver's.
    #[must_use]
    pub fn asks(&self) -> Boolean {
        Boolean::from_code(u8::from_le_bytes(array(self.block, 27)))
    }
}

/// Writes `SnapshotDigest`. What a member's snapshot at a position is, so that a state that deviates is found.
#[derive(Debug)]
pub struct SnapshotDigestEncoder<'a> {
    block: &'a mut [u8; 32],
}

impl<'a> SnapshotDigestEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 49;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 32;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 32];
        Some(Self { block })
    }

    /// Sets: The sender's current term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Where the snapshot stands in the log.
    pub fn set_position(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: A digest of both parts of its stream.
    pub fn set_digest(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The version of the layout of the core's part; zero if there is no snapshot.
    pub fn set_layout(&mut self, value: u16) -> &mut Self {
        self.block[24..26].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Whether the sender has taken it itself.
    pub fn set_vouches(&mut self, value: Boolean) -> &mut Self {
        self.block[26..27].copy_from_slice(&value.code().to_le_bytes());
        self
    }

    /// Sets: Whether the sender asks for the receiver's.
    pub fn set_asks(&mut self, value: Boolean) -> &mut Self {
        self.block[27..28].copy_from_slice(&value.code().to_le_bytes());
        self
    }
}
