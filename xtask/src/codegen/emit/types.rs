//! Enumerations, composites, and the error of decoders.

use std::collections::BTreeSet;

use super::super::model::{Encoding, Field, Kind, Message, Primitive, Schema, Type, Value};
use super::{Style, pascal, read, rust_type, sentence, snake, write};

/// The error of all decoders.
pub(super) fn malformed(messages: &[&Message], style: Style) -> String {
    let group = if messages.iter().any(|message| !message.groups.is_empty()) {
        "/// A group has more entries than allowed, or shorter ones than its version needs.\nGroup,"
    } else {
        ""
    };
    format!(
        "/// Why bytes are not the message that they are said to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
{} enum Malformed {{
/// The block is shorter than its version needs.
Block,
{group}
/// There are fewer bytes than stated.
Truncated,
}}\n\n",
        style.visibility
    )
}

/// All types that `messages` use, and the headers.
pub(super) fn all(schema: &Schema, messages: &[&Message], style: Style) -> String {
    let mut used = BTreeSet::from(["messageHeader".to_string()]);
    if messages.iter().any(|message| message.semantic_type == "datagram") {
        used.insert("datagramHeader".into());
    }
    for message in messages {
        let groups = message.groups.iter().flat_map(|group| &group.fields);
        add_used(&mut used, message.fields.iter().chain(groups));
        used.extend(message.groups.iter().map(|group| group.dimension.clone()));
    }
    // Types are defined before they are used, so one pass backwards finds all.
    for known in schema.types.iter().rev() {
        if let (true, Kind::Composite { members }) = (used.contains(&known.name), &known.kind) {
            add_used(&mut used, members.iter());
        }
    }
    let used = schema.types.iter().filter(|known| used.contains(&known.name));
    used.map(|known| emit(known, style)).collect()
}

fn add_used<'a>(used: &mut BTreeSet<String>, fields: impl Iterator<Item = &'a Field>) {
    for field in fields {
        match &field.encoding {
            Encoding::Enumeration { name, .. } | Encoding::Composite { name } => {
                used.insert(name.clone());
            }
            Encoding::Number(_) => {}
        }
    }
}

fn emit(known: &Type, style: Style) -> String {
    match &known.kind {
        Kind::Number { .. } => String::new(),
        Kind::Enumeration { primitive, values } => enumeration(known, *primitive, values, style),
        Kind::Composite { members } => composite(known, members, style),
    }
}

fn enumeration(known: &Type, primitive: Primitive, values: &[Value], style: Style) -> String {
    let (name, code, visibility) = (pascal(&known.name), primitive.rust(), style.visibility);
    let about = sentence(&known.description);
    let variants: String = values
        .iter()
        .map(|value| format!("/// {}\n{},\n", sentence(&value.description), value.name))
        .collect();
    let codes: String =
        values.iter().map(|value| format!("Self::{} => {},\n", value.name, value.code)).collect();
    let names: String =
        values.iter().map(|value| format!("{} => Self::{},\n", value.code, value.name)).collect();
    format!(
        "/// {about}
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
{visibility} enum {name} {{
{variants}/// A value that a newer version knows.
Unknown({code}),
}}

impl {name} {{
/// The value on the wire.
#[must_use]
{visibility} const fn code(self) -> {code} {{
match self {{ {codes} Self::Unknown(code) => code, }}
}}

/// What the value on the wire means.
#[must_use]
{visibility} const fn from_code(code: {code}) -> Self {{
match code {{ {names} code => Self::Unknown(code), }}
}}
}}\n\n"
    )
}

fn composite(known: &Type, members: &[Field], style: Style) -> String {
    let (name, size, visibility) = (pascal(&known.name), known.size, style.visibility);
    let about = sentence(&known.description);
    // Reserved bytes are written as zero and ignored on read.
    let members: Vec<&Field> = members.iter().filter(|member| member.name != "reserved").collect();
    let each = |line: &dyn Fn(&Field) -> String| -> String {
        members.iter().map(|member| line(member)).collect()
    };
    let fields = each(&|member| {
        let about = sentence(&member.description);
        let (name, held) = (snake(&member.name), rust_type(&member.encoding));
        format!("/// {about}\n{visibility} {name}: {held},\n")
    });
    let reads = each(&|member| format!("{}: {},\n", snake(&member.name), read(member, "bytes")));
    let writes = each(&|member| write(member, "bytes", &format!("self.{}", snake(&member.name))));
    format!(
        "/// {about}
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
{visibility} struct {name} {{
{fields}}}

impl {name} {{
/// How many bytes it takes.
{visibility} const BYTES: usize = {size};

/// Reads it.
#[must_use]
{visibility} fn decode(bytes: &[u8; Self::BYTES]) -> Self {{
Self {{ {reads} }}
}}

/// Its bytes.
#[must_use]
{visibility} fn encode(&self) -> [u8; Self::BYTES] {{
let mut bytes = [0; Self::BYTES];
{writes}bytes
}}
}}\n\n"
    )
}
