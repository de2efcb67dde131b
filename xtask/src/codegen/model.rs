//! A schema that was read and found valid: everything has its offset and its size.

/// Everything that a schema file says.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) id: u16,
    pub(crate) version: u16,
    pub(crate) types: Vec<Type>,
    pub(crate) messages: Vec<Message>,
}

/// A type with a name.
#[derive(Clone, Debug)]
pub(crate) struct Type {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) size: usize,
    pub(crate) kind: Kind,
}

/// What a type is made of.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Another name for a primitive or an array of it.
    Number { number: Number, optional: bool },
    /// Named values of an unsigned primitive.
    Enumeration { primitive: Primitive, values: Vec<Value> },
    /// Fields side by side, without ids.
    Composite { members: Vec<Field> },
}

/// A named value of an enumeration.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) name: String,
    pub(crate) code: u64,
    pub(crate) description: String,
}

/// A primitive, or an array of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Number {
    pub(crate) primitive: Primitive,
    /// One for a scalar.
    pub(crate) length: usize,
    /// The largest value that is allowed, if the schema says so.
    pub(crate) max: Option<u64>,
}

/// What a field holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Encoding {
    Number(Number),
    Enumeration { name: String, primitive: Primitive },
    Composite { name: String },
}

/// A field of a block or a member of a composite.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) offset: usize,
    pub(crate) size: usize,
    pub(crate) encoding: Encoding,
    pub(crate) optional: bool,
    pub(crate) since: u16,
}

/// A message: a block, then groups, then data.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) id: u16,
    pub(crate) description: String,
    pub(crate) semantic_type: String,
    pub(crate) block_length: usize,
    pub(crate) fields: Vec<Field>,
    pub(crate) groups: Vec<Group>,
    /// Names of variable-length data.
    pub(crate) data: Vec<String>,
}

/// A repeating group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) description: String,
    /// The composite in front of the entries.
    pub(crate) dimension: String,
    pub(crate) count_max: u64,
    pub(crate) block_length: usize,
    pub(crate) fields: Vec<Field>,
    pub(crate) since: u16,
}

/// The primitives that are generated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Primitive {
    Char,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
}

impl Primitive {
    const ALL: [(&'static str, Self); 9] = [
        ("char", Self::Char),
        ("int8", Self::Int8),
        ("int16", Self::Int16),
        ("int32", Self::Int32),
        ("int64", Self::Int64),
        ("uint8", Self::Uint8),
        ("uint16", Self::Uint16),
        ("uint32", Self::Uint32),
        ("uint64", Self::Uint64),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, primitive)| *primitive)
    }

    pub(crate) const fn size(self) -> usize {
        match self {
            Self::Char | Self::Int8 | Self::Uint8 => 1,
            Self::Int16 | Self::Uint16 => 2,
            Self::Int32 | Self::Uint32 => 4,
            Self::Int64 | Self::Uint64 => 8,
        }
    }

    /// The type in Rust.
    pub(crate) const fn rust(self) -> &'static str {
        match self {
            Self::Char | Self::Uint8 => "u8",
            Self::Int8 => "i8",
            Self::Int16 => "i16",
            Self::Int32 => "i32",
            Self::Int64 => "i64",
            Self::Uint16 => "u16",
            Self::Uint32 => "u32",
            Self::Uint64 => "u64",
        }
    }

    /// The value that stands for none, as Rust.
    pub(crate) const fn null(self) -> &'static str {
        match self {
            Self::Char => "0",
            Self::Int8 => "i8::MIN",
            Self::Int16 => "i16::MIN",
            Self::Int32 => "i32::MIN",
            Self::Int64 => "i64::MIN",
            Self::Uint8 => "u8::MAX",
            Self::Uint16 => "u16::MAX",
            Self::Uint32 => "u32::MAX",
            Self::Uint64 => "u64::MAX",
        }
    }

    pub(crate) const fn is_unsigned(self) -> bool {
        matches!(self, Self::Char | Self::Uint8 | Self::Uint16 | Self::Uint32 | Self::Uint64)
    }

    /// The largest value of an unsigned primitive that is not null.
    pub(crate) const fn unsigned_max(self) -> u64 {
        match self.size() {
            1 => u8::MAX as u64 - 1,
            2 => u16::MAX as u64 - 1,
            4 => u32::MAX as u64 - 1,
            _ => u64::MAX - 1,
        }
    }
}

impl Schema {
    pub(crate) fn type_named(&self, name: &str) -> Option<&Type> {
        self.types.iter().find(|known| known.name == name)
    }
}
