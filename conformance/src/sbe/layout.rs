//! A schema that was read: where everything lies.

use std::collections::BTreeMap;

use super::value::Value;

/// All that a schema says of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) id: u64,
    pub(crate) version: u64,
    pub(crate) big_endian: bool,
    /// What every message begins with.
    pub(super) header: Record,
    pub(crate) types: BTreeMap<String, Encoding>,
    pub(crate) messages: Vec<Message>,
}

/// A kind of message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) level: Level,
}

/// A block with what follows it: of a message, or of an entry of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    pub(crate) block_length: usize,
    pub(crate) fields: Vec<Member>,
    pub(super) groups: Vec<Group>,
    pub(super) data: Vec<Data>,
}

/// A field of a block, or a member of a composite.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(super) offset: usize,
    pub(super) since: u64,
    pub(super) encoding: Encoding,
}

/// The members of a composite.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(super) size: usize,
    pub(super) members: Vec<Member>,
    /// Absent as a whole when its first member is null.
    pub(super) optional: bool,
}

/// How a value lies in its bytes.
#[derive(Clone, Debug)]
pub(crate) enum Encoding {
    /// A number, or so many of them.
    Number(Number),
    /// A number of which some values have names.
    Enumeration(Number, Vec<(u64, String)>),
    /// Bits of which some have names.
    Set(Number, Vec<(u32, String)>),
    /// Members side by side.
    Record(Record),
    /// No bytes: the schema says it.
    Constant(Value),
}

/// One of the standard's primitives, once or several times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    pub(super) primitive: Primitive,
    pub(super) length: usize,
    pub(super) optional: bool,
    /// The bits that say that there is none.
    pub(super) null: u64,
    /// What the schema says is the largest, as a length or a count.
    pub(super) most: u64,
}

/// A kind of number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Character,
    Signed,
    Unsigned,
    Float,
}

/// A primitive of the standard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Primitive {
    pub(super) kind: Kind,
    pub(super) size: usize,
}

/// A repeating group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(super) name: String,
    pub(super) since: u64,
    /// Its size, and in it `blockLength` and `numInGroup`.
    pub(super) dimension: Record,
    pub(super) level: Level,
}

/// Variable data.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(super) name: String,
    pub(super) since: u64,
    pub(super) length: Number,
}

impl Primitive {
    const ALL: [(&'static str, Kind, usize); 11] = [
        ("char", Kind::Character, 1),
        ("int8", Kind::Signed, 1),
        ("int16", Kind::Signed, 2),
        ("int32", Kind::Signed, 4),
        ("int64", Kind::Signed, 8),
        ("uint8", Kind::Unsigned, 1),
        ("uint16", Kind::Unsigned, 2),
        ("uint32", Kind::Unsigned, 4),
        ("uint64", Kind::Unsigned, 8),
        ("float", Kind::Float, 4),
        ("double", Kind::Float, 8),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, ..)| *known == name);
        found.map(|(_, kind, size)| Self { kind: *kind, size: *size })
    }

    /// All bits that it has.
    pub(super) const fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self.size)
    }

    /// The bits that stand for null unless a schema says otherwise; of floating-point numbers any
    /// that are no number do.
    pub(super) const fn null(self) -> u64 {
        match self.kind {
            Kind::Character => 0,
            Kind::Signed => 1 << (8 * self.size - 1),
            Kind::Unsigned => self.mask(),
            Kind::Float if self.size == 4 => 0x7fc0_0000,
            Kind::Float => 0x7ff8_0000_0000_0000,
        }
    }

    /// What these bits are as a number.
    pub(super) const fn integer(self, bits: u64) -> i128 {
        match self.kind {
            Kind::Signed => {
                let unused = 64 - 8 * self.size as u32;
                ((bits << unused) as i64 >> unused) as i128
            }
            _ => bits as i128,
        }
    }

    /// The bits of a number, if it fits.
    pub(super) fn bits(self, number: i128) -> Option<u64> {
        let bits = number as u64 & self.mask();
        (self.integer(bits) == number).then_some(bits)
    }
}

impl Number {
    pub(super) const fn size(&self) -> usize {
        self.primitive.size * self.length
    }

    /// Whether these bits say that there is no number.
    pub(super) const fn is_null(&self, bits: u64) -> bool {
        match (self.primitive.kind, self.primitive.size) {
            (Kind::Float, 4) => f32::from_bits(bits as u32).is_nan(),
            (Kind::Float, _) => f64::from_bits(bits).is_nan(),
            _ => bits == self.null,
        }
    }
}

impl Encoding {
    pub(super) const fn size(&self) -> usize {
        match self {
            Self::Number(number) | Self::Enumeration(number, _) | Self::Set(number, _) => {
                number.size()
            }
            Self::Record(record) => record.size,
            Self::Constant(_) => 0,
        }
    }
}

impl Record {
    /// Where a number among its members lies.
    pub(super) fn number(&self, name: &str) -> Option<(usize, Number)> {
        let member = self.members.iter().find(|member| member.name == name)?;
        match &member.encoding {
            Encoding::Number(number) if number.length == 1 => Some((member.offset, *number)),
            _ => None,
        }
    }
}

impl Member {
    pub(super) const fn end(&self) -> usize {
        self.offset + self.encoding.size()
    }
}

impl Level {
    /// Bytes of the block as a writer of this version makes it.
    pub(super) fn length_of(&self, version: u64, newest: u64) -> usize {
        if version >= newest {
            return self.block_length;
        }
        let known = self.fields.iter().filter(|field| field.since <= version);
        known.map(Member::end).max().unwrap_or(0)
    }
}

impl Schema {
    pub(super) fn message(&self, id: u64) -> Option<&Message> {
        self.messages.iter().find(|message| message.id == id)
    }
}
