//! Writes Rust flyweights. `rustfmt` lays them out afterwards.

mod decoder;
mod encoder;
mod types;

use super::model::{Encoding, Field, Message, Number, Schema};

/// What is written into the flyweights apart from the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// The visibility of everything.
    pub(crate) visibility: &'static str,
    /// Which file of the schema it comes from, for the first line.
    pub(crate) source: &'static str,
    /// What the module is, for its documentation.
    pub(crate) title: &'static str,
}

/// All of `messages` in one file.
pub(crate) fn single(schema: &Schema, messages: &[&Message], style: Style) -> String {
    let mut out = front(style, style.title);
    out += &constants(schema, style);
    out += &types::malformed(messages, style);
    out += &types::all(schema, messages, style);
    for message in messages {
        out += &decoder::message(message, style);
        out += &encoder::message(message, style);
    }
    out += ARRAY;
    out
}

/// One file for each of `messages`, one for the types, and `mod.rs`.
pub(crate) fn folder(
    schema: &Schema,
    messages: &[&Message],
    style: Style,
) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut root = front(style, style.title);
    let mut uses = String::new();
    for message in messages {
        let file = snake(&message.name);
        root += &format!("mod {file};\n");
        uses += &format!("{} use {file}::*;\n", style.visibility);
        let mut out = front(style, &sentence(&message.description));
        out += "use super::*;\n\n";
        out += &decoder::message(message, style);
        out += &encoder::message(message, style);
        files.push((format!("{file}.rs"), out));
    }
    let mut out = front(style, "Types of fields.");
    out += "use super::*;\n\n";
    out += &types::all(schema, messages, style);
    files.push(("types.rs".into(), out));
    root += "mod types;\n\n";
    root += &uses;
    root += &format!("{} use types::*;\n\n", style.visibility);
    root += &constants(schema, style);
    root += &types::malformed(messages, style);
    root += ARRAY;
    files.push(("mod.rs".into(), root));
    files
}

const ARRAY: &str = "
/// The `N` bytes at `at`; the caller has checked that they are there.
fn array<const N: usize>(block: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&block[at..at + N]);
    bytes
}
";

fn front(style: Style, title: &str) -> String {
    format!(
        "// Generated from {} by `cargo xtask codegen`. Change that, not this.\n//! {title}\n\n",
        style.source
    )
}

fn constants(schema: &Schema, style: Style) -> String {
    let visibility = style.visibility;
    format!(
        "/// The id of the schema.
{visibility} const SCHEMA_ID: u16 = {:#06x};
/// The version of the schema that encoders write.
{visibility} const SCHEMA_VERSION: u16 = {};\n\n",
        schema.id, schema.version
    )
}

/// The Rust type of what a field holds.
fn rust_type(encoding: &Encoding) -> String {
    match encoding {
        Encoding::Number(Number { primitive, length: 1, .. }) => primitive.rust().into(),
        Encoding::Number(Number { primitive, length, .. }) => {
            format!("[{}; {length}]", primitive.rust())
        }
        Encoding::Enumeration { name, .. } | Encoding::Composite { name } => pascal(name),
    }
}

/// The expression that reads a field from `block`.
fn read(field: &Field, block: &str) -> String {
    let bytes = format!("array({block}, {})", field.offset);
    match &field.encoding {
        Encoding::Number(Number { primitive, length: 1, .. }) => {
            format!("{}::from_le_bytes({bytes})", primitive.rust())
        }
        Encoding::Number(_) => bytes,
        Encoding::Enumeration { name, primitive } => {
            format!("{}::from_code({}::from_le_bytes({bytes}))", pascal(name), primitive.rust())
        }
        Encoding::Composite { name } => format!("{}::decode(&{bytes})", pascal(name)),
    }
}

/// The statement that writes `value` to a field of `block`.
fn write(field: &Field, block: &str, value: &str) -> String {
    let bytes = match &field.encoding {
        Encoding::Number(Number { length: 1, .. }) => format!("{value}.to_le_bytes()"),
        Encoding::Number(_) => value.into(),
        Encoding::Enumeration { .. } => format!("{value}.code().to_le_bytes()"),
        Encoding::Composite { .. } => format!("{value}.encode()"),
    };
    let (start, end) = (field.offset, field.offset + field.size);
    format!("{block}[{start}..{end}].copy_from_slice(&{bytes});\n")
}

/// `text` with a full stop, unless it has one.
fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    format!("{text}.")
}

/// `chainAt` as `chain_at`.
pub(crate) fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (index, character) in name.char_indices() {
        if character.is_ascii_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

/// `chainAt` as `ChainAt`.
pub(crate) fn pascal(name: &str) -> String {
    let mut characters = name.chars();
    match characters.next() {
        Some(first) => first.to_ascii_uppercase().to_string() + characters.as_str(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_their_case() {
        assert_eq!(snake("nakRangesSize"), "nak_ranges_size");
        assert_eq!(snake("TermOpen"), "term_open");
        assert_eq!(pascal("voteKey"), "VoteKey");
    }
}
