//! Encoders: they write into the caller's buffer, in the order that the layout has.

use super::super::model::{Encoding, Field, Group, Message, Number};
use super::{Style, pascal, rust_type, sentence, snake, write};

/// The encoder of a message and of its groups.
pub(super) fn message(message: &Message, style: Style) -> String {
    let (name, visibility) = (pascal(&message.name), style.visibility);
    let about = sentence(&message.description);
    let first = message.groups.first();
    let rest = if first.is_some() { "rest" } else { "_" };
    let rest_field = if first.is_some() { "rest: &'a mut [u8],\n" } else { "" };
    let rest_member = if first.is_some() { "rest" } else { "" };
    let setters: String = message.fields.iter().map(|field| setter(field, visibility)).collect();
    let next = first.map_or_else(String::new, |group| into_group(&name, group, visibility));
    let groups: String = message
        .groups
        .iter()
        .enumerate()
        .map(|(index, group)| self::group(&name, group, message.groups.get(index + 1), style))
        .collect();
    format!(
        "/// Writes `{name}`. {about}
#[derive(Debug)]
{visibility} struct {name}Encoder<'a> {{
block: &'a mut [u8; {length}],
{rest_field}}}

impl<'a> {name}Encoder<'a> {{
/// The template that this writes.
{visibility} const TEMPLATE_ID: u16 = {id};
/// Bytes of the block.
{visibility} const BLOCK_LENGTH: usize = {length};

/// Empties the block at the beginning of `bytes`; `None` when they are too few.
#[must_use]
{visibility} fn wrap(bytes: &'a mut [u8]) -> Option<Self> {{
let (block, {rest}) = bytes.split_first_chunk_mut()?;
*block = [0; {length}];
{nulls}Some(Self {{ block, {rest_member} }})
}}

{setters}{next}}}

{groups}",
        id = message.id,
        length = message.block_length,
        nulls = nulls(&message.fields, "block"),
    )
}

fn group(message: &str, group: &Group, next: Option<&Group>, style: Style) -> String {
    let visibility = style.visibility;
    let name = format!("{message}{}", pascal(&group.name));
    let about = sentence(&group.description);
    let dimension = pascal(&group.dimension);
    let rest = if next.is_some() { "rest" } else { "_" };
    let rest_field = if next.is_some() { "rest: &'a mut [u8],\n" } else { "" };
    let rest_member = if next.is_some() { "rest" } else { "" };
    let following = next.map_or_else(String::new, |next| into_group(message, next, visibility));
    let setters: String = group.fields.iter().map(|field| setter(field, visibility)).collect();
    let length = group.block_length;
    format!(
        "/// Writes `{name}`. {about}
#[derive(Debug)]
{visibility} struct {name}Encoder<'a> {{
entries: &'a mut [u8],
{rest_field}}}

impl<'a> {name}Encoder<'a> {{
/// Bytes of one entry.
{visibility} const ENTRY_LENGTH: usize = {length};

/// Bytes of the group with `count` entries.
#[must_use]
{visibility} const fn bytes(count: usize) -> usize {{
{dimension}::BYTES + count * Self::ENTRY_LENGTH
}}

fn wrap(bytes: &'a mut [u8], count: u16) -> Option<Self> {{
if count > {count_max} {{
return None;
}}
let (size, rest) = bytes.split_first_chunk_mut()?;
*size = {dimension} {{ block_length: {length}, num_in_group: count }}.encode();
let (entries, {rest}) = rest.split_at_mut_checked(usize::from(count) * Self::ENTRY_LENGTH)?;
entries.fill(0);
Some(Self {{ entries, {rest_member} }})
}}

/// The next entry; `None` behind the last of those that were announced.
#[must_use]
{visibility} fn next_entry(&mut self) -> Option<{name}EntryEncoder<'a>> {{
let entries = core::mem::take(&mut self.entries);
let (block, entries) = entries.split_first_chunk_mut()?;
self.entries = entries;
{nulls}Some({name}EntryEncoder {{ block }})
}}

{following}}}

/// Writes an entry of `{name}`. {about}
#[derive(Debug)]
{visibility} struct {name}EntryEncoder<'a> {{
block: &'a mut [u8; {length}],
}}

impl {name}EntryEncoder<'_> {{
{setters}}}

",
        count_max = group.count_max,
        nulls = nulls(&group.fields, "block"),
    )
}

/// The method that ends what is written so far and goes on with `group`.
fn into_group(message: &str, group: &Group, visibility: &str) -> String {
    let (field, held) = (snake(&group.name), format!("{message}{}Encoder", pascal(&group.name)));
    let about = sentence(&group.description);
    format!(
        "/// Goes on with `count` entries; `None` when that is too many, or too much for the buffer.
///
/// {about}
#[must_use]
{visibility} fn into_{field}(self, count: u16) -> Option<{held}<'a>> {{
{held}::wrap(self.rest, count)
}}
"
    )
}

fn setter(field: &Field, visibility: &str) -> String {
    let (about, name) = (sentence(&field.description), snake(&field.name));
    let held = rust_type(&field.encoding);
    let statement = write(field, "self.block", "value");
    format!(
        "/// Sets: {about}\n{visibility} fn set_{name}(&mut self, value: {held}) -> &mut Self {{\n{statement}self\n}}\n\n"
    )
}

/// Sets all optional fields to none.
fn nulls(fields: &[Field], block: &str) -> String {
    let mut out = String::new();
    for field in fields.iter().filter(|field| field.optional) {
        if let Encoding::Number(Number { primitive, .. }) = &field.encoding {
            let value = format!("{}_{}", primitive.null(), primitive.rust());
            let null = if primitive.null() == "0" { value } else { primitive.null().into() };
            out += &write(field, block, &null);
        }
    }
    out
}
