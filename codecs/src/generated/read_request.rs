// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! A client reads, at any member and without a session; what the level does not have is zero, and ignored on read.

use super::*;

/// Reads `ReadRequest`. A client reads, at any member and without a session; what the level does not have is zero, and ignored on read.
#[derive(Clone, Debug)]
pub struct ReadRequestDecoder<'a> {
    block: &'a [u8],
    payload: ReadRequestPayloadDecoder<'a>,
}

impl<'a> ReadRequestDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 60;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 25 {
            return Err(Malformed::Block);
        }
        let (block, rest) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        let (payload, _) = ReadRequestPayloadDecoder::wrap(rest, version)?;
        Ok(Self { block, payload })
    }

    /// The client's number for it.
    #[must_use]
    pub fn number(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// What has to be applied.
    #[must_use]
    pub fn least(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// Nanoseconds that what was committed may be lacking.
    #[must_use]
    pub fn bound(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// How new what is read has to be.
    #[must_use]
    pub fn level(&self) -> ReadLevel {
        ReadLevel::from_code(u8::from_le_bytes(array(self.block, 24)))
    }

    /// A byte of the request.
    #[must_use]
    pub fn payload(&self) -> ReadRequestPayloadDecoder<'a> {
        self.payload.clone()
    }
}

/// Iterates over the entries of `ReadRequestPayload`. A byte of the request.
#[derive(Clone, Debug)]
pub struct ReadRequestPayloadDecoder<'a> {
    entries: &'a [u8],
    entry_length: usize,
    remaining: u16,
}

impl<'a> ReadRequestPayloadDecoder<'a> {
    /// The most entries that there may be.
    pub const COUNT_MAX: u16 = 1216;

    fn wrap(bytes: &'a [u8], _version: u16) -> Result<(Self, &'a [u8]), Malformed> {
        let (size, rest) = bytes.split_first_chunk().ok_or(Malformed::Truncated)?;
        let size = ReadPayloadSize::decode(size);
        let entry_length = usize::from(size.block_length);
        let remaining = size.num_in_group;
        if remaining > Self::COUNT_MAX || (remaining > 0 && entry_length < 1) {
            return Err(Malformed::Group);
        }
        let length = entry_length * usize::from(remaining);
        let (entries, rest) = rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok((Self { entries, entry_length, remaining }, rest))
    }
}

impl<'a> Iterator for ReadRequestPayloadDecoder<'a> {
    type Item = ReadRequestPayloadEntryDecoder<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let (block, rest) = self.entries.split_at_checked(self.entry_length)?;
        self.entries = rest;
        Some(ReadRequestPayloadEntryDecoder { block })
    }
}

/// Reads an entry of `ReadRequestPayload`. A byte of the request.
#[derive(Clone, Debug)]
pub struct ReadRequestPayloadEntryDecoder<'a> {
    block: &'a [u8],
}

impl ReadRequestPayloadEntryDecoder<'_> {
    /// The byte.
    #[must_use]
    pub fn byte(&self) -> u8 {
        u8::from_le_bytes(array(self.block, 0))
    }
}

/// Writes `ReadRequest`. A client reads, at any member and without a session; what the level does not have is zero, and ignored on read.
#[derive(Debug)]
pub struct ReadRequestEncoder<'a> {
    block: &'a mut [u8; 32],
    rest: &'a mut [u8],
}

impl<'a> ReadRequestEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 60;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 32;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, rest) = bytes.split_first_chunk_mut()?;
        *block = [0; 32];
        Some(Self { block, rest })
    }

    /// Sets: The client's number for it.
    pub fn set_number(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: What has to be applied.
    pub fn set_least(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Nanoseconds that what was committed may be lacking.
    pub fn set_bound(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: How new what is read has to be.
    pub fn set_level(&mut self, value: ReadLevel) -> &mut Self {
        self.block[24..25].copy_from_slice(&value.code().to_le_bytes());
        self
    }

    /// Goes on with `count` entries; `None` when that is too many, or too much for the buffer.
    ///
    /// A byte of the request.
    #[must_use]
    pub fn into_payload(self, count: u16) -> Option<ReadRequestPayloadEncoder<'a>> {
        ReadRequestPayloadEncoder::wrap(self.rest, count)
    }
}

/// Writes `ReadRequestPayload`. A byte of the request.
#[derive(Debug)]
pub struct ReadRequestPayloadEncoder<'a> {
    entries: &'a mut [u8],
}

impl<'a> ReadRequestPayloadEncoder<'a> {
    /// Bytes of one entry.
    pub const ENTRY_LENGTH: usize = 1;

    /// Bytes of the group with `count` entries.
    #[must_use]
    pub const fn bytes(count: usize) -> usize {
        ReadPayloadSize::BYTES + count * Self::ENTRY_LENGTH
    }

    fn wrap(bytes: &'a mut [u8], count: u16) -> Option<Self> {
        if count > 1216 {
            return None;
        }
        let (size, rest) = bytes.split_first_chunk_mut()?;
        *size = ReadPayloadSize { block_length: 1, num_in_group: count }.encode();
        let (entries, _) = rest.split_at_mut_checked(usize::from(count) * Self::ENTRY_LENGTH)?;
        entries.fill(0);
        Some(Self { entries })
    }

    /// The next entry; `None` behind the last of those that were announced.
    #[must_use]
    pub fn next_entry(&mut self) -> Option<ReadRequestPayloadEntryEncoder<'a>> {
        let entries = core::mem::take(&mut self.entries);
        let (block, entries) = entries.split_first_chunk_mut()?;
        self.entries = entries;
        Some(ReadRequestPayloadEntryEncoder { block })
    }
}

/// Writes an entry of `ReadRequestPayload`. A byte of the request.
#[derive(Debug)]
pub struct ReadRequestPayloadEntryEncoder<'a> {
    block: &'a mut [u8; 1],
}

impl ReadRequestPayloadEntryEncoder<'_> {
    /// Sets: The byte.
    pub fn set_byte(&mut self, value: u8) -> &mut Self {
        self.block[0..1].copy_from_slice(&value.to_le_bytes());
        self
    }
}
