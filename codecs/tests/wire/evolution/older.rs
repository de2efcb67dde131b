// Generated from codecs/tests/wire/evolution/older.xml by `cargo xtask codegen`. Change that, not this.
//! Flyweights of a schema for tests.

/// The id of the schema.
pub(super) const SCHEMA_ID: u16 = 0x0001;
/// The version of the schema that encoders write.
pub(super) const SCHEMA_VERSION: u16 = 1;

/// Why bytes are not the message that they are said to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Malformed {
    /// The block is shorter than its version needs.
    Block,
    /// A group has more entries than allowed, or shorter ones than its version needs.
    Group,
    /// There are fewer bytes than stated.
    Truncated,
}

/// Message header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct MessageHeader {
    /// Bytes of the block.
    pub(super) block_length: u16,
    /// The template.
    pub(super) template_id: u16,
    /// The schema.
    pub(super) schema_id: u16,
    /// The version.
    pub(super) version: u16,
}

impl MessageHeader {
    /// How many bytes it takes.
    pub(super) const BYTES: usize = 8;

    /// Reads it.
    #[must_use]
    pub(super) fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            block_length: u16::from_le_bytes(array(bytes, 0)),
            template_id: u16::from_le_bytes(array(bytes, 2)),
            schema_id: u16::from_le_bytes(array(bytes, 4)),
            version: u16::from_le_bytes(array(bytes, 6)),
        }
    }

    /// Its bytes.
    #[must_use]
    pub(super) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..2].copy_from_slice(&self.block_length.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.template_id.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.schema_id.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.version.to_le_bytes());
        bytes
    }
}

/// Group size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct GroupSize {
    /// Bytes of an entry.
    pub(super) block_length: u16,
    /// Entries.
    pub(super) num_in_group: u16,
}

impl GroupSize {
    /// How many bytes it takes.
    pub(super) const BYTES: usize = 4;

    /// Reads it.
    #[must_use]
    pub(super) fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            block_length: u16::from_le_bytes(array(bytes, 0)),
            num_in_group: u16::from_le_bytes(array(bytes, 2)),
        }
    }

    /// Its bytes.
    #[must_use]
    pub(super) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..2].copy_from_slice(&self.block_length.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.num_in_group.to_le_bytes());
        bytes
    }
}

/// Reads `Order`. An order.
#[derive(Clone, Debug)]
pub(super) struct OrderDecoder<'a> {
    block: &'a [u8],
    items: OrderItemsDecoder<'a>,
}

impl<'a> OrderDecoder<'a> {
    /// The template that this reads.
    pub(super) const TEMPLATE_ID: u16 = 1;

    /// Checks `bytes`, which follow the message header, against what the header says. What a newer
    /// version has put behind what is known here is skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn wrap(
        bytes: &'a [u8],
        block_length: u16,
        version: u16,
    ) -> Result<Self, Malformed> {
        let length = usize::from(block_length);
        if length < 12 {
            return Err(Malformed::Block);
        }
        let (block, rest) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
        let (items, _) = OrderItemsDecoder::wrap(rest, version)?;
        Ok(Self { block, items })
    }

    /// Its number.
    #[must_use]
    pub(super) fn number(&self) -> u64 {
        u64::from_le_bytes(array(self.block, 0))
    }

    /// Its limit.
    #[must_use]
    pub(super) fn limit(&self) -> Option<u32> {
        let value = u32::from_le_bytes(array(self.block, 8));
        (value != u32::MAX).then_some(value)
    }

    /// An item.
    #[must_use]
    pub(super) fn items(&self) -> OrderItemsDecoder<'a> {
        self.items.clone()
    }
}

/// Iterates over the entries of `OrderItems`. An item.
#[derive(Clone, Debug)]
pub(super) struct OrderItemsDecoder<'a> {
    entries: &'a [u8],
    entry_length: usize,
    remaining: u16,
}

impl<'a> OrderItemsDecoder<'a> {
    /// The most entries that there may be.
    pub(super) const COUNT_MAX: u16 = 4;

    fn wrap(bytes: &'a [u8], _version: u16) -> Result<(Self, &'a [u8]), Malformed> {
        let (size, rest) = bytes.split_first_chunk().ok_or(Malformed::Truncated)?;
        let size = GroupSize::decode(size);
        let entry_length = usize::from(size.block_length);
        let remaining = size.num_in_group;
        if remaining > Self::COUNT_MAX || (remaining > 0 && entry_length < 4) {
            return Err(Malformed::Group);
        }
        let length = entry_length * usize::from(remaining);
        let (entries, rest) = rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
        Ok((Self { entries, entry_length, remaining }, rest))
    }
}

impl<'a> Iterator for OrderItemsDecoder<'a> {
    type Item = OrderItemsEntryDecoder<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let (block, rest) = self.entries.split_at_checked(self.entry_length)?;
        self.entries = rest;
        Some(OrderItemsEntryDecoder { block })
    }
}

/// Reads an entry of `OrderItems`. An item.
#[derive(Clone, Debug)]
pub(super) struct OrderItemsEntryDecoder<'a> {
    block: &'a [u8],
}

impl OrderItemsEntryDecoder<'_> {
    /// The article.
    #[must_use]
    pub(super) fn article(&self) -> u32 {
        u32::from_le_bytes(array(self.block, 0))
    }
}

/// Writes `Order`. An order.
#[derive(Debug)]
pub(super) struct OrderEncoder<'a> {
    block: &'a mut [u8; 12],
    rest: &'a mut [u8],
}

impl<'a> OrderEncoder<'a> {
    /// The template that this writes.
    pub(super) const TEMPLATE_ID: u16 = 1;
    /// Bytes of the block.
    pub(super) const BLOCK_LENGTH: usize = 12;

    /// Empties the block at the beginning of `bytes`; `None` when they are too few.
    #[must_use]
    pub(super) fn wrap(bytes: &'a mut [u8]) -> Option<Self> {
        let (block, rest) = bytes.split_first_chunk_mut()?;
        *block = [0; 12];
        block[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        Some(Self { block, rest })
    }

    /// Sets: Its number.
    pub(super) fn set_number(&mut self, value: u64) -> &mut Self {
        self.block[0..8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Sets: Its limit.
    pub(super) fn set_limit(&mut self, value: u32) -> &mut Self {
        self.block[8..12].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Goes on with `count` entries; `None` when that is too many, or too much for the buffer.
    ///
    /// An item.
    #[must_use]
    pub(super) fn into_items(self, count: u16) -> Option<OrderItemsEncoder<'a>> {
        OrderItemsEncoder::wrap(self.rest, count)
    }
}

/// Writes `OrderItems`. An item.
#[derive(Debug)]
pub(super) struct OrderItemsEncoder<'a> {
    entries: &'a mut [u8],
}

impl<'a> OrderItemsEncoder<'a> {
    /// Bytes of one entry.
    pub(super) const ENTRY_LENGTH: usize = 4;

    /// Bytes of the group with `count` entries.
    #[must_use]
    pub(super) const fn bytes(count: usize) -> usize {
        GroupSize::BYTES + count * Self::ENTRY_LENGTH
    }

    fn wrap(bytes: &'a mut [u8], count: u16) -> Option<Self> {
        if count > 4 {
            return None;
        }
        let (size, rest) = bytes.split_first_chunk_mut()?;
        *size = GroupSize { block_length: 4, num_in_group: count }.encode();
        let (entries, _) = rest.split_at_mut_checked(usize::from(count) * Self::ENTRY_LENGTH)?;
        entries.fill(0);
        Some(Self { entries })
    }

    /// The next entry; `None` behind the last of those that were announced.
    #[must_use]
    pub(super) fn next_entry(&mut self) -> Option<OrderItemsEntryEncoder<'a>> {
        let entries = core::mem::take(&mut self.entries);
        let (block, entries) = entries.split_first_chunk_mut()?;
        self.entries = entries;
        Some(OrderItemsEntryEncoder { block })
    }
}

/// Writes an entry of `OrderItems`. An item.
#[derive(Debug)]
pub(super) struct OrderItemsEntryEncoder<'a> {
    block: &'a mut [u8; 4],
}

impl OrderItemsEntryEncoder<'_> {
    /// Sets: The article.
    pub(super) fn set_article(&mut self, value: u32) -> &mut Self {
        self.block[0..4].copy_from_slice(&value.to_le_bytes());
        self
    }
}

/// The `N` bytes at `at`; the caller has checked that they are there.
fn array<const N: usize>(block: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&block[at..at + N]);
    bytes
}
