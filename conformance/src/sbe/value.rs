//! What a message says.

use serde_json::json;

/// A value of a field, or of a whole message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Null, or of a version that the writer does not have.
    Absent,
    /// A number, or a value that an enumeration does not know.
    Integer(i128),
    /// The bits of a floating-point number, and how many bytes they take. No null is one.
    Float(u64, usize),
    /// Characters or variable data, each byte a character of Latin-1.
    Text(String),
    /// A value of an enumeration.
    Named(String),
    /// The choices of a set, or the elements of an array.
    List(Vec<Self>),
    /// The members of a composite, or all of a block with its groups and data.
    Record(Vec<(String, Self)>),
}

impl Value {
    /// A text of these bytes.
    pub(super) fn text(bytes: &[u8]) -> Self {
        Self::Text(bytes.iter().map(|byte| char::from(*byte)).collect())
    }

    /// The member of a record with this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Record(members) => {
                members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The same as JSON: numbers as decimal strings, floating-point numbers as the digits of their
    /// bits, what is absent as null.
    pub(crate) fn json(&self) -> serde_json::Value {
        match self {
            Self::Absent => serde_json::Value::Null,
            Self::Integer(number) => json!(number.to_string()),
            Self::Float(bits, size) => json!(format!("0x{bits:0width$x}", width = 2 * size)),
            Self::Text(text) | Self::Named(text) => json!(text),
            Self::List(values) => values.iter().map(Self::json).collect(),
            Self::Record(members) => {
                members.iter().map(|(name, value)| (name.clone(), value.json())).collect()
            }
        }
    }
}

/// The bytes of a text, if each of its characters is one of Latin-1.
pub(super) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}
