// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! A part of a term history.

use super::*;

/// Reads `History`. A part of a term history.
#[derive(Clone, Debug)]
pub struct HistoryDecoder<'a> {
    block: &'a [u8],
    lines: HistoryLinesDecoder<'a>,
}

impl<'a> HistoryDecoder<'a> {
    /// The template that this reads.
    pub const TEMPLATE_ID: u16 = 24;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn wrap(bytes: &'a [u8], block_length: u16, version: u16) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 24 {
            return Err(Malformed::Block);
        }
        let (block, rest) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        let (lines, _) = HistoryLinesDecoder::wrap(rest, version)?;
        Ok(Self { block, lines })
    }

    /// The sender's current term.
    #[must_use]
    pub fn term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The commit position that the lines were cut at.
    #[must_use]
    pub fn above(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// Over all lines of all parts.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        u32::from_le_bytes(array(self.block, 16))
    }

    /// Which part, from 0 on; below parts.
    #[must_use]
    pub fn part(&self) -> u16 {
        u16::from_le_bytes(array(self.block, 20))
    }

    /// How many parts there are, 1 to 4096.
    #[must_use]
    pub fn parts(&self) -> u16 {
        u16::from_le_bytes(array(self.block, 22))
    }

    /// A line of this part.
    #[must_use]
    pub fn lines(&self) -> HistoryLinesDecoder<'a> {
        self.lines.clone()
    }
}

/// Iterates over the entries of `HistoryLines`. A line of this part.
#[derive(Clone, Debug)]
pub struct HistoryLinesDecoder<'a> {
    entries: &'a [u8],
    entry_length: usize,
    remaining: u16,
}

impl<'a> HistoryLinesDecoder<'a> {
    /// The most entries that there may be.
    pub const COUNT_MAX: u16 = 16;

    fn wrap(bytes: &'a [u8], _version: u16) -> Result<(Self, &'a [u8]), Malformed> {
        let (size, rest) = bytes.split_first_chunk().ok_or(Malformed::Truncated)?;
        let size = HistoryLinesSize::decode(size);
        let entry_length = usize::from(size.block_length);
        let remaining = size.num_in_group;
        if remaining > Self::COUNT_MAX || (remaining > 0 && entry_length < 42) {
            return Err(Malformed::Group);
        }
        let length = entry_length * usize::from(remaining);
        let (entries, rest) = rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok((Self { entries, entry_length, remaining }, rest))
    }
}

impl<'a> Iterator for HistoryLinesDecoder<'a> {
    type Item = HistoryLinesEntryDecoder<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let (block, rest) = self.entries.split_at_checked(self.entry_length)?;
        self.entries = rest;
        Some(HistoryLinesEntryDecoder { block })
    }
}

/// Reads an entry of `HistoryLines`. A line of this part.
#[derive(Clone, Debug)]
pub struct HistoryLinesEntryDecoder<'a> {
    block: &'a [u8],
}

impl HistoryLinesEntryDecoder<'_> {
    /// The leadership term.
    #[must_use]
    pub fn term(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// The position of the term's first byte.
    #[must_use]
    pub fn base(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 8))
    }

    /// The chain value there.
    #[must_use]
    pub fn chain(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 16))
    }

    /// The leader's start.
    #[must_use]
    pub fn boot_epoch(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 24))
    }

    /// The leader's directory.
    #[must_use]
    pub fn incarnation(&self) -> u32 {
        u32::from_le_bytes(array(self.block, 32))
    }

    /// The recovery epoch in which the term was won.
    #[must_use]
    pub fn recovery_epoch(&self) -> u32 {
        u32::from_le_bytes(array(self.block, 36))
    }

    /// Who leads.
    #[must_use]
    pub fn member(&self) -> u16 {
        u16::from_le_bytes(array(self.block, 40))
    }
}

/// Writes `History`. A part of a term history.
#[derive(Debug)]
pub struct HistoryEncoder<'a> {
    block: &'a mut [u8; 24],
    rest: &'a mut [u8],
}

impl<'a> HistoryEncoder<'a> {
    /// The template that this writes.
    pub const TEMPLATE_ID: u16 = 24;
    /// Bytes of the block.
    pub const BLOCK_LENGTH: usize = 24;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, rest) = bytes.split_first_chunk_mut()?;
        *block = [0; 24];
        Some(Self { block, rest })
    }

    /// Sets: The sender's current term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The commit position that the lines were cut at.
    pub fn set_above(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Over all lines of all parts.
    pub fn set_checksum(&mut self, value: u32) -> &mut Self {
        self.block[16..20].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Which part, from 0 on; below parts.
    pub fn set_part(&mut self, value: u16) -> &mut Self {
        self.block[20..22].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: How many parts there are, 1 to 4096.
    pub fn set_parts(&mut self, value: u16) -> &mut Self {
        self.block[22..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Goes on with `count` entries; `None` when that is too many, or too much for the buffer.
    ///
    /// A line of this part.
    #[must_use]
    pub fn into_lines(self, count: u16) -> Option<HistoryLinesEncoder<'a>> {
        HistoryLinesEncoder::wrap(self.rest, count)
    }
}

/// Writes `HistoryLines`. A line of this part.
#[derive(Debug)]
pub struct HistoryLinesEncoder<'a> {
    entries: &'a mut [u8],
}

impl<'a> HistoryLinesEncoder<'a> {
    /// Bytes of one entry.
    pub const ENTRY_LENGTH: usize = 48;

    /// Bytes of the group with `count` entries.
    #[must_use]
    pub const fn bytes(count: usize) -> usize {
        HistoryLinesSize::BYTES + count * Self::ENTRY_LENGTH
    }

    fn wrap(bytes: &'a mut [u8], count: u16) -> Option<Self> {
        if count > 16 {
            return None;
        }
        let (size, rest) = bytes.split_first_chunk_mut()?;
        *size = HistoryLinesSize { block_length: 48, num_in_group: count }.encode();
        let (entries, _) = rest.split_at_mut_checked(usize::from(count) * Self::ENTRY_LENGTH)?;
        entries.fill(0);
        Some(Self { entries })
    }

    /// The next entry; `None` behind the last of those that were announced.
    #[must_use]
    pub fn next_entry(&mut self) -> Option<HistoryLinesEntryEncoder<'a>> {
        let entries = core::mem::take(&mut self.entries);
        let (block, entries) = entries.split_first_chunk_mut()?;
        self.entries = entries;
        Some(HistoryLinesEntryEncoder { block })
    }
}

/// Writes an entry of `HistoryLines`. A line of this part.
#[derive(Debug)]
pub struct HistoryLinesEntryEncoder<'a> {
    block: &'a mut [u8; 48],
}

impl HistoryLinesEntryEncoder<'_> {
    /// Sets: The leadership term.
    pub fn set_term(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The position of the term's first byte.
    pub fn set_base(&mut self, value: u64) -> &mut Self {
        self.block[8..16].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The chain value there.
    pub fn set_chain(&mut self, value: u64) -> &mut Self {
        self.block[16..24].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The leader's start.
    pub fn set_boot_epoch(&mut self, value: u64) -> &mut Self {
        self.block[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The leader's directory.
    pub fn set_incarnation(&mut self, value: u32) -> &mut Self {
        self.block[32..36].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: The recovery epoch in which the term was won.
    pub fn set_recovery_epoch(&mut self, value: u32) -> &mut Self {
        self.block[36..40].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Who leads.
    pub fn set_member(&mut self, value: u16) -> &mut Self {
        self.block[40..42].copy_from_slice(&value.to_le_bytes());
        self
    }
}
