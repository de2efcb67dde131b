// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! A follower's position in the leader's term, in a volatile group.

use super::*;

/// Reads `Holding`. A follower's position in the leader's term, in a volatile group.
#[derive(Clone, Debug)]
pub struct HoldingDecoder<'a> {
    block: &'a [u8],
}

impl<'a> HoldingDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 45;

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

    /// The leader's term.
    #[must_use]
    pub fn term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// Its number among the acknowledgements of the follower's life.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// The newest heartbeat round that was received.
    #[must_use]
    pub fn round(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// The end of what is verified and in memory.
    #[must_use]
    pub fn held(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 24))
    }

    /// The end of what is verified and durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 32))
    }

    /// The end of what was received without a hole.
    #[must_use]
    pub fn received(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 40))
    }

    /// The end of what there is room for.
    #[must_use]
    pub fn limit(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 48))
    }

    /// The follower's commit position.
    #[must_use]
    pub fn commit(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 56))
    }
}

/// Writes `Holding`. A follower's position in the leader's term, in a volatile group.
#[derive(Debug)]
pub struct HoldingEncoder<'a> {
    block: &'a mut [u8; 64],
}

impl<'a> HoldingEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 45;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 64;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, _) = bytes.split_first_chunk_mut()?;
        *block = [0; 64];
        Some(Self { block })
    }

    /// Sets: The leader's term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Its number among the acknowledgements of the follower's life.
    pub fn set_sequence(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The newest heartbeat round that was received.
    pub fn set_round(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of what is verified and in memory.
    pub fn set_held(&mut self, value: u64) -> &mut Self {
        self.block[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of what is verified and durable.
    pub fn set_durable(&mut self, value: u64) -> &mut Self {
        self.block[32..40].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of what was received without a hole.
    pub fn set_received(&mut self, value: u64) -> &mut Self {
        self.block[40..48].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The end of what there is room for.
    pub fn set_limit(&mut self, value: u64) -> &mut Self {
        self.block[48..56].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The follower's commit position.
    pub fn set_commit(&mut self, value: u64) -> &mut Self {
        self.block[56..64].copy_from_slice(&value.to_le_bytes());
        self
    }
}
