// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Answers a request for a snapshot.

use super::*;

/// Reads `SnapshotOffer`. Answers a request for a snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotOfferDecoder<'a> {
    block: &'a [u8],
}

impl<'a> SnapshotOfferDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 44;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, _version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 64 {
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

    /// Where it stands in the log; zero if there is none.
    #[must_use]
    pub fn position(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// The term of the byte before.
    #[must_use]
    pub fn point_term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// The chain value there.
    #[must_use]
    pub fn chain(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 24))
    }

    /// The cluster time there.
    #[must_use]
    pub fn time(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 32))
    }

    /// Bytes of the core's part of its stream.
    #[must_use]
    pub fn core_bytes(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 40))
    }

    /// Bytes of the service's part, which follows.
    #[must_use]
    pub fn service_bytes(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 48))
    }

    /// A digest of both parts.
    #[must_use]
    pub fn digest(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 56))
    }
}

/// Writes `SnapshotOffer`. Answers a request for a snapshot.
#[derive(Debug)]
pub struct SnapshotOfferEncoder<'a> {
    block: &'a mut [u8; 64],
}

impl<'a> SnapshotOfferEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 44;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 64;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 64];
        Some(Self { block })
    }

    /// Sets: The sender's current term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Where it stands in the log; zero if there is none.
    pub fn set_position(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The term of the byte before.
    pub fn set_point_term(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The chain value there.
    pub fn set_chain(&mut self, value: u64) -> &mut Self {
        self.block[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The cluster time there.
    pub fn set_time(&mut self, value: u64) -> &mut Self {
        self.block[32..40].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Bytes of the core's part of its stream.
    pub fn set_core_bytes(&mut self, value: u64) -> &mut Self {
        self.block[40..48].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Bytes of the service's part, which follows.
    pub fn set_service_bytes(&mut self, value: u64) -> &mut Self {
        self.block[48..56].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: A digest of both parts.
    pub fn set_digest(&mut self, value: u64) -> &mut Self {
        self.block[56..64].copy_from_slice(&value.to_le_bytes());
        self
    }
}
