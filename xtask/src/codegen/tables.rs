//! Writes the tables of PROTOCOL.md.

use super::emit::pascal;
use super::model::{Encoding, Field, Kind, Message, Number, Schema};

/// A heading and a table for each of `messages`.
pub(crate) fn messages(messages: &[&Message]) -> String {
    let mut out = String::new();
    for message in messages {
        out += &format!(
            "#### {} (template {}, block of {} bytes)\n\n{}.\n\n",
            message.name, message.id, message.block_length, message.description
        );
        out += &fields(&message.fields);
        for group in &message.groups {
            out += &format!(
                "Group `{}` ({}; at most {} entries of {} bytes):\n\n",
                group.name, group.description, group.count_max, group.block_length
            );
            out += &fields(&group.fields);
        }
    }
    out
}

/// A table for each composite and each enumeration.
pub(crate) fn types(schema: &Schema) -> String {
    let mut out = String::new();
    for known in &schema.types {
        match &known.kind {
            Kind::Number { .. } => {}
            Kind::Composite { members } => {
                out += &format!(
                    "#### `{}` ({} bytes)\n\n{}.\n\n",
                    known.name, known.size, known.description
                );
                out += &fields(members);
            }
            Kind::Enumeration { primitive, values } => {
                out += &format!(
                    "#### `{}` ({} byte)\n\n{}.\n\n| value | name | meaning |\n|---|---|---|\n",
                    known.name,
                    primitive.size(),
                    known.description
                );
                for value in values {
                    out +=
                        &format!("| {} | {} | {} |\n", value.code, value.name, value.description);
                }
                out += "\n";
            }
        }
    }
    out
}

fn fields(fields: &[Field]) -> String {
    let mut out =
        String::from("| offset | bytes | field | type | meaning |\n|---|---|---|---|---|\n");
    for field in fields {
        let optional = if field.optional { ", optional" } else { "" };
        out += &format!(
            "| {} | {} | {} | {}{optional} | {} |\n",
            field.offset,
            field.size,
            field.name,
            held(&field.encoding),
            field.description
        );
    }
    out += "\n";
    out
}

fn held(encoding: &Encoding) -> String {
    match encoding {
        Encoding::Number(Number { primitive, length: 1, .. }) => primitive.rust().into(),
        Encoding::Number(Number { primitive, length, .. }) => {
            format!("{} × {length}", primitive.rust())
        }
        Encoding::Enumeration { name, .. } => pascal(name),
        Encoding::Composite { name } => format!("`{name}`"),
    }
}
