//! Schemas and messages at random.

use core::fmt::Write;

use quorate_sim::Dice;

use super::encode::bits_of;
use super::layout::{Encoding, Kind, Level, Member, Number, Record, Schema};
use super::value::Value;

/// Versions of a drawn schema: from 0 to this.
const VERSION_MAX: u64 = 3;
/// Groups within groups.
const DEPTH_MAX: u64 = 2;

const PRIMITIVES: [&str; 11] = [
    "char", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float",
    "double",
];
const INTEGERS: [&str; 9] =
    ["char", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"];
const UNSIGNED: [&str; 4] = ["uint8", "uint16", "uint32", "uint64"];

/// The schema of a seed as it was in `version`; all that came later is left out of it.
pub(crate) fn drawn_schema(seed: u64, version: u64) -> String {
    let version = version.min(VERSION_MAX);
    let mut drawing =
        Drawing { dice: Dice::new(seed, "schema"), version, names: 0, types: Vec::new() };
    let order = drawing.dice.pick(&["littleEndian", "bigEndian"]);
    let mut text = format!(
        "<sbe:messageSchema xmlns:sbe=\"http://fixprotocol.io/2016/sbe\" id=\"{}\" \
         version=\"{version}\" byteOrder=\"{order}\">\n",
        seed % 65_000
    );
    text.push_str("<types>\n<composite name=\"messageHeader\">");
    for name in ["blockLength", "templateId", "schemaId", "version"] {
        let _ = write!(text, "<type name=\"{name}\" primitiveType=\"uint16\"/>");
    }
    text.push_str("</composite>\n");
    for (name, count) in [("groupSizeEncoding", "uint16"), ("smallGroup", "uint8")] {
        let _ = writeln!(
            text,
            "<composite name=\"{name}\"><type name=\"blockLength\" primitiveType=\"uint16\"/>\
             <type name=\"numInGroup\" primitiveType=\"{count}\" maxValue=\"40\"/></composite>"
        );
    }
    for (name, length) in [("data8", "uint8"), ("data16", "uint16"), ("data32", "uint32")] {
        let _ = writeln!(
            text,
            "<composite name=\"{name}\"><type name=\"length\" primitiveType=\"{length}\" \
             maxValue=\"200\"/><type name=\"varData\" primitiveType=\"uint8\" length=\"0\"/>\
             </composite>"
        );
    }
    for _ in 0..drawing.dice.between(2, 6) {
        drawing.named_type(&mut text);
    }
    text.push_str("</types>\n");
    for id in 1..=drawing.dice.between(1, 3) {
        let _ = writeln!(text, "<sbe:message name=\"Message{id}\" id=\"{id}\">");
        drawing.level(&mut text, DEPTH_MAX);
        text.push_str("</sbe:message>\n");
    }
    text.push_str("</sbe:messageSchema>\n");
    text
}

struct Drawing {
    dice: Dice,
    version: u64,
    names: u32,
    types: Vec<String>,
}

impl Drawing {
    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn presence(&mut self) -> &'static str {
        self.dice.pick(&["", "", " presence=\"optional\""])
    }

    fn named_type(&mut self, text: &mut String) {
        let name = self.name("type");
        let drawn = match self.dice.below(5) {
            0 => self.enumeration(&name),
            1 => self.set(&name),
            2 => self.number(&name),
            3 => self.constant(&name),
            _ => self.composite(&name),
        };
        text.push_str(&drawn);
        text.push('\n');
        self.types.push(name);
    }

    fn number(&mut self, name: &str) -> String {
        let primitive = self.dice.pick(&PRIMITIVES);
        let length = self.dice.pick(&[1, 1, 1, 2, 5]);
        let presence = self.presence();
        format!(
            "<type name=\"{name}\" primitiveType=\"{primitive}\" length=\"{length}\"{presence}/>"
        )
    }

    fn constant(&mut self, name: &str) -> String {
        let (primitive, value) =
            self.dice.pick(&[("int16", "-7"), ("uint64", "9000"), ("char", "abc")]);
        format!(
            "<type name=\"{name}\" primitiveType=\"{primitive}\" presence=\"constant\">{value}</type>"
        )
    }

    fn enumeration(&mut self, name: &str) -> String {
        let primitive = self.dice.pick(&INTEGERS[..6]);
        let mut text = format!("<enum name=\"{name}\" encodingType=\"{primitive}\">");
        for value in 1..=self.dice.between(1, 5) {
            let written = match primitive {
                "char" => char::from(b'A' + value as u8).to_string(),
                "int8" | "int16" => format!("-{value}"),
                _ => value.to_string(),
            };
            let _ = write!(text, "<validValue name=\"value{value}\">{written}</validValue>");
        }
        text + "</enum>"
    }

    fn set(&mut self, name: &str) -> String {
        let primitive = self.dice.pick(&UNSIGNED);
        let mut text = format!("<set name=\"{name}\" encodingType=\"{primitive}\">");
        for bit in (0..8).filter(|_| self.dice.chance(500_000)) {
            let _ = write!(text, "<choice name=\"bit{bit}\">{bit}</choice>");
        }
        text + "</set>"
    }

    fn composite(&mut self, name: &str) -> String {
        let mut text = format!("<composite name=\"{name}\">");
        for _ in 0..self.dice.between(1, 4) {
            let inner = self.name("part");
            let known = (!self.types.is_empty() && self.dice.chance(400_000))
                .then(|| self.dice.below(self.types.len() as u64) as usize);
            match known {
                Some(index) => {
                    let kind = &self.types[index];
                    let _ = write!(text, "<ref name=\"{inner}\" type=\"{kind}\"/>");
                }
                None => text.push_str(&self.number(&inner)),
            }
        }
        text + "</composite>"
    }

    /// Fields, then groups, then data, each kind in the order of the versions that brought it.
    fn level(&mut self, text: &mut String, depth: u64) {
        let mut since = 0;
        for id in 0..self.dice.below(7) {
            since = self.later(since);
            let (name, presence) = (self.name("field"), self.presence());
            let kind = if self.types.is_empty() || self.dice.chance(400_000) {
                self.dice.pick(&PRIMITIVES).to_owned()
            } else {
                self.types[self.dice.below(self.types.len() as u64) as usize].clone()
            };
            let line = format!(
                "<field name=\"{name}\" id=\"{id}\" type=\"{kind}\" sinceVersion=\"{since}\"\
                 {presence}/>\n"
            );
            self.when_there(since, text, &line);
        }
        since = 0;
        for id in 10..10 + self.dice.below(if depth == 0 { 1 } else { 3 }) {
            since = self.later(since);
            let name = self.name("group");
            let size = self.dice.pick(&["groupSizeEncoding", "smallGroup"]);
            let mut inner = format!(
                "<group name=\"{name}\" id=\"{id}\" dimensionType=\"{size}\" \
                 sinceVersion=\"{since}\">\n"
            );
            self.level(&mut inner, depth - 1);
            inner.push_str("</group>\n");
            self.when_there(since, text, &inner);
        }
        since = 0;
        for id in 20..20 + self.dice.below(3) {
            since = self.later(since);
            let name = self.name("data");
            let kind = self.dice.pick(&["data8", "data16", "data32"]);
            let line = format!(
                "<data name=\"{name}\" id=\"{id}\" type=\"{kind}\" sinceVersion=\"{since}\"/>\n"
            );
            self.when_there(since, text, &line);
        }
    }

    fn later(&mut self, since: u64) -> u64 {
        let by = self.dice.pick(&[0, 0, 1]);
        (since + by).min(VERSION_MAX)
    }

    fn when_there(&self, since: u64, text: &mut String, drawn: &str) {
        if since <= self.version {
            text.push_str(drawn);
        }
    }
}

/// A message of one of the schema's kinds: its name, and what it says.
pub(crate) fn drawn_message(schema: &Schema, dice: &mut Dice) -> (String, Value) {
    let message = &schema.messages[dice.below(schema.messages.len() as u64) as usize];
    (message.name.clone(), drawn_level(&message.level, dice))
}

fn drawn_level(level: &Level, dice: &mut Dice) -> Value {
    let mut says: Vec<(String, Value)> =
        level.fields.iter().map(|field| (field.name.clone(), drawn(field, dice))).collect();
    for group in &level.groups {
        let entries = (0..dice.below(4)).map(|_| drawn_level(&group.level, dice)).collect();
        says.push((group.name.clone(), Value::List(entries)));
    }
    for data in &level.data {
        let bytes: Vec<u8> = (0..dice.below(20)).map(|_| dice.bits() as u8).collect();
        says.push((data.name.clone(), Value::text(&bytes)));
    }
    Value::Record(says)
}

/// Any value that reads as itself: null where it may be, and no null where it may not.
fn drawn(member: &Member, dice: &mut Dice) -> Value {
    match &member.encoding {
        Encoding::Constant(value) => value.clone(),
        Encoding::Record(record) => {
            let members = record.members.iter();
            let members = members.map(|inner| (inner.name.clone(), drawn(inner, dice)));
            let value = Value::Record(members.collect());
            if record.optional && begins_with_null(record, &value) { Value::Absent } else { value }
        }
        Encoding::Set(_, choices) => {
            let chosen = choices.iter().filter(|_| dice.chance(500_000));
            Value::List(chosen.map(|(_, name)| Value::Named(name.clone())).collect())
        }
        Encoding::Enumeration(number, values) => {
            let index = dice.below(values.len() as u64 + u64::from(number.optional)) as usize;
            values.get(index).map_or(Value::Absent, |(_, name)| Value::Named(name.clone()))
        }
        Encoding::Number(number) if number.length == 1 => scalar(number, dice),
        Encoding::Number(number) if number.primitive.kind == Kind::Character => {
            let length = dice.below(number.length as u64 + 1);
            Value::text(&(0..length).map(|_| dice.between(1, 255) as u8).collect::<Vec<_>>())
        }
        Encoding::Number(number) => {
            Value::List((0..number.length).map(|_| scalar(number, dice)).collect())
        }
    }
}

/// Whether the first member's bits are those that stand for no composite at all.
fn begins_with_null(record: &Record, value: &Value) -> bool {
    let Some(first) = record.members.first() else { return false };
    let value = value.member(&first.name).unwrap_or(&Value::Absent);
    match (&first.encoding, value) {
        (Encoding::Record(inner), _) => begins_with_null(inner, value),
        (Encoding::Enumeration(..), _) => *value == Value::Absent,
        (Encoding::Number(number), Value::Text(text)) if number.length > 1 => text.is_empty(),
        (Encoding::Number(number), value) => {
            let value = match value {
                Value::List(values) => values.first().unwrap_or(&Value::Absent),
                one => one,
            };
            bits_of(number, value).is_some_and(|bits| number.is_null(bits))
        }
        (Encoding::Set(..) | Encoding::Constant(_), _) => false,
    }
}

fn scalar(number: &Number, dice: &mut Dice) -> Value {
    let primitive = number.primitive;
    let drawn = dice.bits();
    let edge = dice.pick(&[drawn, drawn, 0, 1, number.null, number.null.wrapping_sub(1)]);
    let bits = edge & primitive.mask();
    match primitive.kind {
        _ if number.is_null(bits) && number.optional => Value::Absent,
        Kind::Float if number.is_null(bits) => Value::Absent,
        Kind::Float => Value::Float(bits, primitive.size),
        Kind::Character => Value::text(&[bits as u8]),
        Kind::Signed | Kind::Unsigned => Value::Integer(primitive.integer(bits)),
    }
}
