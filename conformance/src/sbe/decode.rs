//! Reads messages.

use super::layout::{Encoding, Kind, Level, Member, Number, Record, Schema};
use super::value::Value;

/// Entries that one message may have in all its groups: an entry may have no bytes, so what is
/// there does not bound their number.
const ENTRIES_MAX: u64 = 4_096;

/// A message that was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decoded {
    /// The name of its kind.
    pub(crate) name: String,
    /// The version of its writer.
    pub(crate) version: u64,
    /// Its fields, groups and data.
    pub(crate) says: Value,
    /// Bytes behind it.
    pub(crate) rest: usize,
}

/// Why bytes are no message of a schema.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there are too few bytes")]
    Truncated,
    #[error("it is of another schema")]
    Schema,
    #[error("it is of a kind that the schema does not have")]
    Template,
    #[error("a block is too short for its version")]
    Block,
    #[error("there are more entries than may be")]
    Group,
    #[error("data is longer than may be")]
    Data,
}

/// Reads one message.
pub(crate) fn decode(schema: &Schema, bytes: &[u8]) -> Result<Decoded, Refusal> {
    let mut reader =
        Reader { bytes, big_endian: schema.big_endian, version: 0, entries_left: ENTRIES_MAX };
    let header = reader.take(schema.header.size)?;
    let of = |name| reader.number(header, schema.header.number(name));
    let (block_length, template) = (of("blockLength"), of("templateId"));
    if of("schemaId") != schema.id {
        return Err(Refusal::Schema);
    }
    let message = schema.message(template).ok_or(Refusal::Template)?;
    let version = of("version");
    reader.version = version;
    let mut says = Vec::new();
    reader.level(&message.level, block_length, &mut says)?;
    let (name, says) = (message.name.clone(), Value::Record(says));
    Ok(Decoded { name, version, says, rest: reader.bytes.len() })
}

/// Reads the members of a composite that stands by itself.
pub(crate) fn record(schema: &Schema, name: &str, bytes: &[u8]) -> Option<(Value, usize)> {
    let Encoding::Record(record) = schema.types.get(name)? else { return None };
    let reader =
        Reader { bytes, big_endian: schema.big_endian, version: schema.version, entries_left: 0 };
    let bytes = bytes.get(..record.size)?;
    Some((reader.record(record, bytes), record.size))
}

struct Reader<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    /// The writer's.
    version: u64,
    entries_left: u64,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Refusal::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn bits(&self, bytes: &[u8]) -> u64 {
        let add = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    fn number(&self, bytes: &[u8], at: Option<(usize, Number)>) -> u64 {
        let there = at.and_then(|(offset, number)| bytes.get(offset..offset + number.size()));
        there.map_or(0, |bytes| self.bits(bytes))
    }

    /// A block of this length on the wire, then its groups and its data.
    fn level(
        &mut self,
        level: &Level,
        block_length: u64,
        says: &mut Vec<(String, Value)>,
    ) -> Result<(), Refusal> {
        let block = self.take(usize::try_from(block_length).unwrap_or(usize::MAX))?;
        for field in &level.fields {
            let value = if field.since > self.version {
                Value::Absent
            } else if field.end() > block.len() {
                return Err(Refusal::Block);
            } else {
                self.member(field, block)
            };
            says.push((field.name.clone(), value));
        }
        for group in &level.groups {
            let mut entries = Vec::new();
            if group.since <= self.version {
                let dimension = self.take(group.dimension.size)?;
                let length = self.number(dimension, group.dimension.number("blockLength"));
                let at = group.dimension.number("numInGroup");
                let count = self.number(dimension, at);
                if count > at.map_or(0, |(_, number)| number.most) || count > self.entries_left {
                    return Err(Refusal::Group);
                }
                self.entries_left -= count;
                for _ in 0..count {
                    let mut entry = Vec::new();
                    self.level(&group.level, length, &mut entry)?;
                    entries.push(Value::Record(entry));
                }
            }
            says.push((group.name.clone(), Value::List(entries)));
        }
        for data in &level.data {
            let mut text = Value::Text(String::new());
            if data.since <= self.version {
                let bytes = self.take(data.length.size())?;
                let length = self.bits(bytes);
                if length > data.length.most {
                    return Err(Refusal::Data);
                }
                text = Value::text(self.take(usize::try_from(length).unwrap_or(usize::MAX))?);
            }
            says.push((data.name.clone(), text));
        }
        Ok(())
    }

    /// A member of a block that is long enough for it.
    fn member(&self, member: &Member, block: &[u8]) -> Value {
        let bytes = &block[member.offset..member.end()];
        match &member.encoding {
            Encoding::Constant(value) => value.clone(),
            Encoding::Record(record) => self.record(record, bytes),
            Encoding::Number(number) if number.length == 1 => self.scalar(number, bytes),
            Encoding::Number(number) if number.primitive.kind == Kind::Character => {
                let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                Value::text(&bytes[..end])
            }
            Encoding::Number(number) => {
                let elements = bytes.chunks(number.primitive.size);
                Value::List(elements.map(|bytes| self.scalar(number, bytes)).collect())
            }
            Encoding::Enumeration(number, values) => {
                let bits = self.bits(bytes);
                let named = values.iter().find(|(value, _)| *value == bits);
                match named {
                    Some((_, name)) => Value::Named(name.clone()),
                    None if number.optional && number.is_null(bits) => Value::Absent,
                    None => Value::Integer(number.primitive.integer(bits)),
                }
            }
            Encoding::Set(_, choices) => {
                let bits = self.bits(bytes);
                let chosen = choices.iter().filter(|(bit, _)| bits >> bit & 1 == 1);
                Value::List(chosen.map(|(_, name)| Value::Named(name.clone())).collect())
            }
        }
    }

    fn scalar(&self, number: &Number, bytes: &[u8]) -> Value {
        let bits = self.bits(bytes);
        let is_float = number.primitive.kind == Kind::Float;
        if number.is_null(bits) && (number.optional || is_float) {
            return Value::Absent;
        }
        match number.primitive.kind {
            Kind::Character => Value::text(bytes),
            Kind::Float => Value::Float(bits, number.primitive.size),
            Kind::Signed | Kind::Unsigned => Value::Integer(number.primitive.integer(bits)),
        }
    }

    fn record(&self, record: &Record, bytes: &[u8]) -> Value {
        if record.optional && self.is_null(record, bytes) {
            return Value::Absent;
        }
        let members = record.members.iter();
        let values = members.map(|member| (member.name.clone(), self.member(member, bytes)));
        Value::Record(values.collect())
    }

    /// Whether the first member says that there is no composite.
    fn is_null(&self, record: &Record, bytes: &[u8]) -> bool {
        let Some(first) = record.members.first() else { return false };
        match &first.encoding {
            Encoding::Number(number) | Encoding::Enumeration(number, _) => {
                let there = &bytes[first.offset..first.offset + number.primitive.size];
                number.is_null(self.bits(there))
            }
            Encoding::Record(inner) => self.is_null(inner, &bytes[first.offset..first.end()]),
            Encoding::Set(..) | Encoding::Constant(_) => false,
        }
    }
}
