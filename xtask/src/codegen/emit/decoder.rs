//! Decoders: they check the sizes of everything first, then read fields where they lie.

use super::super::model::{Encoding, Field, Group, Message, Number};
use super::{Style, pascal, read, rust_type, sentence, snake};

/// The decoder of a message and of its groups.
pub(super) fn message(message: &Message, style: Style) -> String {
    let (name, visibility) = (pascal(&message.name), style.visibility);
    let about = sentence(&message.description);
    let versioned = is_versioned(&message.fields);
    let group_type = |group: &Group| format!("{name}{}Decoder<'a>", pascal(&group.name));
    let groups: String = message
        .groups
        .iter()
        .map(|group| format!("{}: {},\n", snake(&group.name), group_type(group)))
        .collect();
    let wraps: String = message
        .groups
        .iter()
        .enumerate()
        .map(|(index, group)| {
            let rest = if index + 1 == message.groups.len() { "_" } else { "rest" };
            let field = snake(&group.name);
            let held = format!("{name}{}Decoder", pascal(&group.name));
            format!("let ({field}, {rest}) = {held}::wrap(rest, version)?;\n")
        })
        .collect();
    let members: String =
        message.groups.iter().map(|group| format!("{},", snake(&group.name))).collect();
    let used = versioned || !message.groups.is_empty();
    let version = if used { "version" } else { "_version" };
    let rest = if message.groups.is_empty() { "_" } else { "rest" };
    let (version_field, version_member) = version_parts(versioned);
    let required = required(&message.fields);
    let accessors: String =
        message.fields.iter().map(|field| accessor(field, visibility)).collect();
    let group_accessors: String = message
        .groups
        .iter()
        .map(|group| {
            let (about, field) = (sentence(&group.description), snake(&group.name));
            format!(
                "/// {about}\n#[must_use]\n{visibility} fn {field}(&self) -> {} {{\nself.{field}.clone()\n}}\n\n",
                group_type(group)
            )
        })
        .collect();
    let own_groups: String =
        message.groups.iter().map(|group| self::group(&name, group, style)).collect();
    format!(
        "/// Reads `{name}`. {about}
#[derive(Clone, Debug)]
{visibility} struct {name}Decoder<'a> {{
block: &'a [u8],
{version_field}{groups}}}

impl<'a> {name}Decoder<'a> {{
/// The template that this reads.
{visibility} const TEMPLATE_ID: u16 = {id};

/// Checks `bytes`, which follow the message header, against what the header says. What a newer
/// version has put behind what is known here is skipped.
///
/// # Errors
/// [`Malformed`].
{visibility} fn wrap(
    bytes: &'a [u8],
    block_length: u16,
    {version}: u16,
) -> Result<Self, Malformed> {{
let length = usize::from(block_length);
if length < {required} {{
return Err(Malformed::Block);
}}
let (block, {rest}) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
{wraps}Ok(Self {{ block, {version_member} {members} }})
}}

{accessors}{group_accessors}}}

{own_groups}",
        id = message.id,
    )
}

fn group(message: &str, group: &Group, style: Style) -> String {
    let visibility = style.visibility;
    let name = format!("{message}{}", pascal(&group.name));
    let about = sentence(&group.description);
    let dimension = pascal(&group.dimension);
    let versioned = is_versioned(&group.fields);
    let (version_field, version_member) = version_parts(versioned);
    let (group_version_field, entry_version) =
        if versioned { ("version: u16,\n", "version: self.version,") } else { ("", "") };
    let required = required(&group.fields);
    let absent = if group.since > 0 {
        format!(
            "if version < {} {{\nreturn Ok((Self {{ entries: &[], entry_length: 0, remaining: 0, {version_member} }}, bytes));\n}}\n",
            group.since
        )
    } else {
        String::new()
    };
    let used = versioned || group.since > 0;
    let version = if used { "version" } else { "_version" };
    let accessors: String = group.fields.iter().map(|field| accessor(field, visibility)).collect();
    format!(
        "/// Iterates over the entries of `{name}`. {about}
#[derive(Clone, Debug)]
{visibility} struct {name}Decoder<'a> {{
entries: &'a [u8],
entry_length: usize,
remaining: u16,
{group_version_field}}}

impl<'a> {name}Decoder<'a> {{
/// The most entries that there may be.
{visibility} const COUNT_MAX: u16 = {count_max};

fn wrap(bytes: &'a [u8], {version}: u16) -> Result<(Self, &'a [u8]), Malformed> {{
{absent}let (size, rest) = bytes.split_first_chunk().ok_or(Malformed::Truncated)?;
let size = {dimension}::decode(size);
let entry_length = usize::from(size.block_length);
let remaining = size.num_in_group;
if remaining > Self::COUNT_MAX || (remaining > 0 && entry_length < {required}) {{
return Err(Malformed::Group);
}}
let length = entry_length * usize::from(remaining);
let (entries, rest) = rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
Ok((Self {{ entries, entry_length, remaining, {version_member} }}, rest))
}}
}}

impl<'a> Iterator for {name}Decoder<'a> {{
type Item = {name}EntryDecoder<'a>;

fn next(&mut self) -> Option<Self::Item> {{
self.remaining = self.remaining.checked_sub(1)?;
let (block, rest) = self.entries.split_at_checked(self.entry_length)?;
self.entries = rest;
Some({name}EntryDecoder {{ block, {entry_version} }})
}}
}}

/// Reads an entry of `{name}`. {about}
#[derive(Clone, Debug)]
{visibility} struct {name}EntryDecoder<'a> {{
block: &'a [u8],
{version_field}}}

impl {name}EntryDecoder<'_> {{
{accessors}}}

",
        count_max = group.count_max,
    )
}

fn accessor(field: &Field, visibility: &str) -> String {
    let (about, name) = (sentence(&field.description), snake(&field.name));
    let held = rust_type(&field.encoding);
    let value = read(field, "self.block");
    let absent = match field.since {
        0 => String::new(),
        since => format!("if self.version < {since} {{\nreturn None;\n}}\n"),
    };
    let null = match &field.encoding {
        Encoding::Number(Number { primitive, .. }) if field.optional => primitive.null(),
        _ => "",
    };
    let (held, body) = if field.optional {
        let body = format!("let value = {value};\n(value != {null}).then_some(value)");
        (format!("Option<{held}>"), body)
    } else if field.since > 0 {
        (format!("Option<{held}>"), format!("Some({value})"))
    } else {
        (held, value)
    };
    format!(
        "/// {about}\n#[must_use]\n{visibility} fn {name}(&self) -> {held} {{\n{absent}{body}\n}}\n\n"
    )
}

fn is_versioned(fields: &[Field]) -> bool {
    fields.iter().any(|field| field.since > 0)
}

/// The `version` of a struct's definition, and of its construction.
const fn version_parts(versioned: bool) -> (&'static str, &'static str) {
    if versioned { ("version: u16,\n", "version,") } else { ("", "") }
}

/// The expression for the shortest block that a writer of `version` may have written.
fn required(fields: &[Field]) -> String {
    let mut lengths: Vec<(u16, usize)> = vec![(0, 0)];
    for field in fields {
        let end = field.offset + field.size;
        match lengths.last_mut() {
            Some(last) if last.0 == field.since => last.1 = end,
            _ => lengths.push((field.since, end)),
        }
    }
    let (_, base) = lengths[0];
    let mut expression = String::new();
    for (since, length) in lengths[1..].iter().rev() {
        expression += &format!("if version >= {since} {{ {length} }} else ");
    }
    if expression.is_empty() {
        return base.to_string();
    }
    format!("({expression} {{ {base} }})")
}
