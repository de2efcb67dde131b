//! Writes messages.

use super::layout::{Encoding, Kind, Level, Member, Number, Record, Schema};
use super::value::{Value, bytes_of};

/// Writes a message of this kind as a writer of `version` does; why not, if it cannot be.
pub(crate) fn encode(
    schema: &Schema,
    name: &str,
    says: &Value,
    version: u64,
) -> Result<Vec<u8>, String> {
    let message = schema.messages.iter().find(|message| message.name == name);
    let message = message.ok_or_else(|| format!("the schema has no message {name}"))?;
    let mut writer = Writer { bytes: Vec::new(), schema, version };
    let length = message.level.length_of(version, schema.version);
    let header = [
        ("blockLength", length as u64),
        ("templateId", message.id),
        ("schemaId", schema.id),
        ("version", version),
    ];
    writer.numbers(&schema.header, &header)?;
    writer.level(&message.level, says)?;
    Ok(writer.bytes)
}

struct Writer<'a> {
    bytes: Vec<u8>,
    schema: &'a Schema,
    version: u64,
}

impl Writer<'_> {
    /// A header or a dimension with these numbers.
    fn numbers(&mut self, record: &Record, numbers: &[(&str, u64)]) -> Result<(), String> {
        let begin = self.bytes.len();
        self.bytes.resize(begin + record.size, 0);
        for (name, number) in numbers {
            let (offset, place) = record.number(name).ok_or_else(|| format!("no {name}"))?;
            if *number > place.most {
                return Err(format!("{name} of {number} is more than {}", place.most));
            }
            self.put(begin + offset, place.primitive.size, *number);
        }
        Ok(())
    }

    fn put(&mut self, at: usize, size: usize, bits: u64) {
        let little = bits.to_le_bytes();
        for (index, byte) in little.iter().take(size).enumerate() {
            let index = if self.schema.big_endian { size - 1 - index } else { index };
            self.bytes[at + index] = *byte;
        }
    }

    fn level(&mut self, level: &Level, says: &Value) -> Result<(), String> {
        let (begin, version) = (self.bytes.len(), self.version);
        let length = level.length_of(version, self.schema.version);
        self.bytes.resize(begin + length, 0);
        for field in level.fields.iter().filter(|field| field.since <= version) {
            self.member(field, says.member(&field.name).unwrap_or(&Value::Absent), begin)?;
        }
        for group in level.groups.iter().filter(|group| group.since <= version) {
            let none = Value::List(Vec::new());
            let entries = says.member(&group.name).unwrap_or(&none);
            let Value::List(entries) = entries else {
                return Err(format!("{} is no group", group.name));
            };
            let length = group.level.length_of(version, self.schema.version);
            let numbers = [("blockLength", length as u64), ("numInGroup", entries.len() as u64)];
            self.numbers(&group.dimension, &numbers)?;
            for entry in entries {
                self.level(&group.level, entry)?;
            }
        }
        for data in level.data.iter().filter(|data| data.since <= version) {
            let none = Value::Text(String::new());
            let Value::Text(text) = says.member(&data.name).unwrap_or(&none) else {
                return Err(format!("{} is no data", data.name));
            };
            let bytes = bytes_of(text).ok_or_else(|| format!("{} is no bytes", data.name))?;
            if bytes.len() as u64 > data.length.most {
                return Err(format!("{} is too long", data.name));
            }
            let at = self.bytes.len();
            self.bytes.resize(at + data.length.size(), 0);
            self.put(at, data.length.size(), bytes.len() as u64);
            self.bytes.extend(bytes);
        }
        Ok(())
    }

    fn member(&mut self, member: &Member, value: &Value, begin: usize) -> Result<(), String> {
        let at = begin + member.offset;
        let wrong = || format!("{} cannot be {value:?}", member.name);
        match (&member.encoding, value) {
            (Encoding::Constant(_), _) => Ok(()),
            (Encoding::Record(record), Value::Absent) => {
                record.members.iter().try_for_each(|inner| self.member(inner, value, at))
            }
            (Encoding::Record(record), _) => record.members.iter().try_for_each(|inner| {
                let value = value.member(&inner.name).unwrap_or(&Value::Absent);
                self.member(inner, value, at)
            }),
            (Encoding::Set(number, choices), Value::List(chosen)) => {
                let mut bits = 0_u64;
                for (bit, name) in choices {
                    let is_chosen = chosen.iter().any(|one| *one == Value::Named(name.clone()));
                    bits |= u64::from(is_chosen) << bit;
                }
                self.put(at, number.primitive.size, bits);
                Ok(())
            }
            (Encoding::Set(..), Value::Absent) => Ok(()),
            (Encoding::Enumeration(_, values), Value::Named(name)) => {
                let found = values.iter().find(|(_, known)| known == name).ok_or_else(wrong)?;
                self.put(at, member.encoding.size(), found.0);
                Ok(())
            }
            (Encoding::Number(number), Value::Text(text)) if number.length > 1 => {
                let bytes = bytes_of(text).filter(|bytes| bytes.len() <= number.length);
                let bytes = bytes.ok_or_else(wrong)?;
                self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
                Ok(())
            }
            (Encoding::Number(number), Value::List(values)) if values.len() == number.length => {
                let size = number.primitive.size;
                values.iter().enumerate().try_for_each(|(index, value)| {
                    let bits = bits_of(number, value).ok_or_else(wrong)?;
                    self.put(at + index * size, size, bits);
                    Ok(())
                })
            }
            (Encoding::Number(number) | Encoding::Enumeration(number, _), value) => {
                let size = number.primitive.size;
                for index in 0..number.length {
                    let bits = bits_of(number, value).ok_or_else(wrong)?;
                    self.put(at + index * size, size, bits);
                }
                Ok(())
            }
            (Encoding::Set(..), _) => Err(wrong()),
        }
    }
}

/// The bits of one number.
pub(super) fn bits_of(number: &Number, value: &Value) -> Option<u64> {
    match value {
        Value::Absent => Some(number.null),
        Value::Integer(integer) => number.primitive.bits(*integer),
        Value::Float(bits, size) => (*size == number.primitive.size).then_some(*bits),
        Value::Text(text) if number.primitive.kind == Kind::Character => {
            bytes_of(text).filter(|bytes| bytes.len() == 1).map(|bytes| u64::from(bytes[0]))
        }
        _ => None,
    }
}
