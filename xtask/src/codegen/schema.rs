//! Reads a schema and checks that it is a valid one of SBE 1.0, as far as it is generated.

mod blocks;
mod types;

use roxmltree::{Document, Node};

use super::error::SchemaError;
use super::model::{Kind, Schema, Type};

/// Reads `text`.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Schema, SchemaError> {
    let document = Document::parse(text).map_err(|error| SchemaError::Xml(error.to_string()))?;
    let root = document.root_element();
    let place = "messageSchema";
    let id = number(root, place, "id")?;
    let version = number(root, place, "version")?;
    if root.attribute("byteOrder").is_some_and(|order| order != "littleEndian") {
        return Err(unsupported(place, "another byte order than littleEndian"));
    }
    let mut schema = Schema { id, version, types: Vec::new(), messages: Vec::new() };
    let lists = || elements(root).filter(|node| node.tag_name().name() == "types");
    // Enumerations may name aliases, and composites may name both, wherever those are defined.
    for pass in ["type", "enum", ""] {
        for node in lists().flat_map(elements) {
            let tag = node.tag_name().name();
            if tag == pass || (pass.is_empty() && !["type", "enum"].contains(&tag)) {
                let parsed = types::parse(&schema, node)?;
                add_type(&mut schema, parsed)?;
            }
        }
    }
    let header = root.attribute("headerType").unwrap_or("messageHeader");
    let is_header = |kind: &Kind| matches!(kind, Kind::Composite { .. });
    if !schema.type_named(header).is_some_and(|found| is_header(&found.kind)) {
        return Err(SchemaError::MissingHeaderType { name: header.into() });
    }
    for node in elements(root).filter(|node| node.tag_name().name() == "message") {
        let message = blocks::parse_message(&schema, node)?;
        if schema.messages.iter().any(|known| known.name == message.name) {
            return Err(SchemaError::DuplicateName { place: place.into(), name: message.name });
        }
        if schema.messages.iter().any(|known| known.id == message.id) {
            return Err(SchemaError::DuplicateId {
                place: format!("message {}", message.name),
                id: u64::from(message.id),
            });
        }
        schema.messages.push(message);
    }
    Ok(schema)
}

fn add_type(schema: &mut Schema, parsed: Type) -> Result<(), SchemaError> {
    if schema.type_named(&parsed.name).is_some() {
        return Err(SchemaError::DuplicateName { place: "types".into(), name: parsed.name });
    }
    schema.types.push(parsed);
    Ok(())
}

fn elements<'a, 'input>(node: Node<'a, 'input>) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(Node::is_element)
}

fn text<'a>(node: Node<'a, '_>, place: &str, name: &'static str) -> Result<&'a str, SchemaError> {
    let missing = || SchemaError::MissingAttribute { place: place.into(), name };
    node.attribute(name).ok_or_else(missing)
}

fn description(node: Node<'_, '_>) -> String {
    node.attribute("description").or_else(|| node.attribute("name")).unwrap_or_default().into()
}

fn number<T: core::str::FromStr>(
    node: Node<'_, '_>,
    place: &str,
    name: &'static str,
) -> Result<T, SchemaError> {
    optional_number(node, place, name)?
        .ok_or_else(|| SchemaError::MissingAttribute { place: place.into(), name })
}

fn optional_number<T: core::str::FromStr>(
    node: Node<'_, '_>,
    place: &str,
    name: &'static str,
) -> Result<Option<T>, SchemaError> {
    let Some(value) = node.attribute(name) else { return Ok(None) };
    let bad =
        |_| SchemaError::BadNumber { place: place.into(), name: name.into(), value: value.into() };
    value.parse().map(Some).map_err(bad)
}

fn unsupported(place: &str, what: impl Into<String>) -> SchemaError {
    SchemaError::Unsupported { place: place.into(), what: what.into() }
}

#[cfg(test)]
mod tests;
