// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! What the sender lacks.

use super::*;

/// Reads `Nak`. What the sender lacks.
#[derive(Clone, Debug)]
pub struct NakDecoder<'a> {
    block: &'a [u8],
    ranges: NakRangesDecoder<'a>,
}

impl<'a> NakDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 26;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 16 {
            return Err(Malformed::Block);
        }
        let (block, rest) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        let (ranges, _) = NakRangesDecoder::wrap(rest, version)?;
        Ok(Self { block, ranges })
    }

    /// Of which stream.
    #[must_use]
    pub fn stream(&self) -> Stream {
        Stream::decode(&array(self.block, 0))
    }

    /// A missing range, within one epoch.
    #[must_use]
    pub fn ranges(&self) -> NakRangesDecoder<'a> {
        self.ranges.clone()
    }
}

/// Iterates over the entries of `NakRanges`. A missing range, within one epoch.
#[derive(Clone, Debug)]
pub struct NakRangesDecoder<'a> {
    entries: &'a [u8],
    entry_length: usize,
    remaining: u16,
}

impl<'a> NakRangesDecoder<'a> {
    /// The most entries that there may be.
    pub const COUNT_MAX: u16 = 32;

    fn wrap(bytes: &'a [u8], _version: u16) -> Result<(Self, &'a [u8]), Malformed> {
        let (size, rest) = bytes.split_first_chunk().ok_or(Malformed::Truncated)?;
        let size = NakRangesSize::decode(size);
        let entry_length = usize::from(size.block_length);
        let remaining = size.num_in_group;
        if remaining > Self::COUNT_MAX || (remaining > 0 && entry_length < 24) {
            return Err(Malformed::Group);
        }
        let length = entry_length * usize::from(remaining);
        let (entries, rest) = rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok((Self { entries, entry_length, remaining }, rest))
    }
}

impl<'a> Iterator for NakRangesDecoder<'a> {
    type Item = NakRangesEntryDecoder<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let (block, rest) = self.entries.split_at_checked(self.entry_length)?;
        self.entries = rest;
        Some(NakRangesEntryDecoder { block })
    }
}

/// Reads an entry of `NakRanges`. A missing range, within one epoch.
#[derive(Clone, Debug)]
pub struct NakRangesEntryDecoder<'a> {
    block: &'a [u8],
}

impl NakRangesEntryDecoder<'_> {
    /// The leadership term that owns the bytes; for session streams that of the connection; for a snapshot the position where it stands.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The first byte.
    #[must_use]
    pub fn start(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// The byte after the last; not before start.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }
}

/// Writes `Nak`. What the sender lacks.
#[derive(Debug)]
pub struct NakEncoder<'a> {
    block: &'a mut [u8; 16],
    rest: &'a mut [u8],
}

impl<'a> NakEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 26;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 16;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, rest) = bytes.split_first_chunk_mut()?;
        *block = [0; 16];
        Some(Self { block, rest })
    }

    /// Sets: Of which stream.
    pub fn set_stream(&mut self, value: Stream) -> &mut Self {
        self.block[0..16].copy_from_slice(&value.encode());
        self
    }

    /// Goes on with `count` entries; `None` when that is too many, or too much for the buffer.
    ///
    /// A missing range, within one epoch.
    #[must_use]
    pub fn into_ranges(self, count: u16) -> Option<NakRangesEncoder<'a>> {
        NakRangesEncoder::wrap(self.rest, count)
    }
}

/// Writes `NakRanges`. A missing range, within one epoch.
#[derive(Debug)]
pub struct NakRangesEncoder<'a> {
    entries: &'a mut [u8],
}

impl<'a> NakRangesEncoder<'a> {
    /// Bytes of one entry.
    pub const ENTRY_LENGTH: usize = 24;

    /// Bytes of the group with `count` entries.
    #[must_use]
    pub const fn bytes(count: usize) -> usize {
        NakRangesSize::BYTES + count * Self::ENTRY_LENGTH
    }

    fn wrap(bytes: &'a mut [u8], count: u16) -> Option<Self> {
        if count > 32 {
            return None;
        }
        let (size, rest) = bytes.split_first_chunk_mut()?;
        *size = NakRangesSize { block_length: 24, num_in_group: count }.encode();
        let (entries, _) = rest.split_at_mut_checked(usize::from(count) * Self::ENTRY_LENGTH)?;
        entries.fill(0);
        Some(Self { entries })
    }

    /// The next entry; `None` behind the last of those that were announced.
    #[must_use]
    pub fn next_entry(&mut self) -> Option<NakRangesEntryEncoder<'a>> {
        let entries = core::mem::take(&mut self.entries);
        let (block, entries) = entries.split_first_chunk_mut()?;
        self.entries = entries;
        Some(NakRangesEntryEncoder { block })
    }
}

/// Writes an entry of `NakRanges`. A missing range, within one epoch.
#[derive(Debug)]
pub struct NakRangesEntryEncoder<'a> {
    block: &'a mut [u8; 24],
}

impl NakRangesEntryEncoder<'_> {
    /// Sets: The leadership term that owns the bytes; for session streams that of the connection; for a snapshot the position where it stands.
    pub fn set_epoch(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The first byte.
    pub fn set_start(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The byte after the last; not before start.
    pub fn set_end(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }
}
