//! The types of a schema: aliases, enumerations, composites.

use roxmltree::Node;

use super::super::error::SchemaError;
use super::super::model::{Encoding, Field, Kind, Number, Primitive, Schema, Type, Value};
use super::{description, elements, number, optional_number, text, unsupported};

/// Reads a type; it may use those that `schema` has by now.
pub(super) fn parse(schema: &Schema, node: Node<'_, '_>) -> Result<Type, SchemaError> {
    let name = text(node, "types", "name")?.to_string();
    let place = format!("type {name}");
    let (size, kind) = match node.tag_name().name() {
        "type" => {
            let (number, optional) = parse_number(node, &place)?;
            (size_of(number), Kind::Number { number, optional })
        }
        "enum" => parse_enumeration(schema, node, &place)?,
        "composite" => parse_composite(schema, node, &place)?,
        other => return Err(unsupported(&place, format!("<{other}>"))),
    };
    Ok(Type { name, description: description(node), size, kind })
}

const fn size_of(number: Number) -> usize {
    number.primitive.size() * number.length
}

fn parse_number(node: Node<'_, '_>, place: &str) -> Result<(Number, bool), SchemaError> {
    let name = text(node, place, "primitiveType")?;
    let undefined = || SchemaError::UndefinedType { place: place.into(), name: name.into() };
    let primitive = match name {
        "float" | "double" => return Err(unsupported(place, name)),
        _ => Primitive::named(name).ok_or_else(undefined)?,
    };
    let optional = is_optional(node, place)?.unwrap_or(false);
    if node.attribute("nullValue").is_some() {
        if !optional {
            return Err(SchemaError::NullOnRequired { place: place.into() });
        }
        return Err(unsupported(place, "another null value than that of the primitive"));
    }
    let length = optional_number(node, place, "length")?.unwrap_or(1);
    let max = optional_number::<u64>(node, place, "maxValue")?;
    let most = primitive.unsigned_max();
    if let Some(value) = max.filter(|max| *max > most || !primitive.is_unsigned()) {
        return Err(SchemaError::ValueRange { place: place.into(), value });
    }
    Ok((Number { primitive, length, max }, optional))
}

/// What the presence says; `None` when it says nothing.
pub(super) fn is_optional(node: Node<'_, '_>, place: &str) -> Result<Option<bool>, SchemaError> {
    match node.attribute("presence") {
        None => Ok(None),
        Some("required") => Ok(Some(false)),
        Some("optional") => Ok(Some(true)),
        Some(other) => Err(unsupported(place, format!("presence {other}"))),
    }
}

fn parse_enumeration(
    schema: &Schema,
    node: Node<'_, '_>,
    place: &str,
) -> Result<(usize, Kind), SchemaError> {
    let encoding = text(node, place, "encodingType")?;
    let alias = |name| match schema.type_named(name).map(|known| &known.kind) {
        Some(Kind::Number { number, .. }) if number.length == 1 => Some(number.primitive),
        _ => None,
    };
    let primitive = Primitive::named(encoding)
        .or_else(|| alias(encoding))
        .filter(|primitive| primitive.is_unsigned())
        .ok_or_else(|| SchemaError::UndefinedType { place: place.into(), name: encoding.into() })?;
    let mut values: Vec<Value> = Vec::new();
    for value in elements(node) {
        let name = text(value, place, "name")?.to_string();
        let place = format!("{place}.{name}");
        let spelled = value.text().unwrap_or_default().trim();
        let bad = |_| SchemaError::BadNumber {
            place: place.clone(),
            name: name.clone(),
            value: spelled.into(),
        };
        let code = spelled.parse::<u64>().map_err(bad)?;
        if code > primitive.unsigned_max() {
            return Err(SchemaError::ValueRange { place, value: code });
        }
        if values.iter().any(|known| known.name == name) {
            return Err(SchemaError::DuplicateName { place, name });
        }
        if values.iter().any(|known| known.code == code) {
            return Err(SchemaError::DuplicateId { place, id: code });
        }
        values.push(Value { name, code, description: description(value) });
    }
    if values.is_empty() {
        return Err(SchemaError::NoValues { place: place.into() });
    }
    Ok((primitive.size(), Kind::Enumeration { primitive, values }))
}

fn parse_composite(
    schema: &Schema,
    node: Node<'_, '_>,
    place: &str,
) -> Result<(usize, Kind), SchemaError> {
    let mut members: Vec<Field> = Vec::new();
    let mut end = 0;
    for member in elements(node) {
        let name = text(member, place, "name")?.to_string();
        let place = format!("{place}.{name}");
        let (encoding, size) = match member.tag_name().name() {
            "type" => {
                let (number, optional) = parse_number(member, &place)?;
                if optional {
                    return Err(unsupported(&place, "an optional member of a composite"));
                }
                (Encoding::Number(number), size_of(number))
            }
            "ref" => {
                let (encoding, size, _) = resolve(schema, &place, text(member, &place, "type")?)?;
                (encoding, size)
            }
            other => return Err(unsupported(&place, format!("<{other}> in a composite"))),
        };
        let since: u16 = optional_number(member, &place, "sinceVersion")?.unwrap_or(0);
        if since > 0 {
            return Err(unsupported(&place, "a growing composite"));
        }
        let offset = offset(member, &place, end)?;
        if members.iter().any(|known| known.name == name) {
            return Err(SchemaError::DuplicateName { place, name });
        }
        end = offset + size;
        let description = description(member);
        members.push(Field { name, description, offset, size, encoding, optional: false, since });
    }
    Ok((end, Kind::Composite { members }))
}

/// The offset that the schema gives, or the end of what lies before.
pub(super) fn offset(node: Node<'_, '_>, place: &str, end: usize) -> Result<usize, SchemaError> {
    if node.attribute("offset").is_none() {
        return Ok(end);
    }
    let offset = number(node, place, "offset")?;
    if offset < end {
        return Err(SchemaError::Overlap { place: place.into(), offset, end });
    }
    Ok(offset)
}

/// What `name` stands for: its encoding, its size, and whether it is optional.
pub(super) fn resolve(
    schema: &Schema,
    place: &str,
    name: &str,
) -> Result<(Encoding, usize, bool), SchemaError> {
    if let Some(primitive) = Primitive::named(name) {
        let number = Number { primitive, length: 1, max: None };
        return Ok((Encoding::Number(number), primitive.size(), false));
    }
    let undefined = || SchemaError::UndefinedType { place: place.into(), name: name.into() };
    let found = schema.type_named(name).ok_or_else(undefined)?;
    let (encoding, optional) = match &found.kind {
        Kind::Number { number, optional } => (Encoding::Number(*number), *optional),
        Kind::Enumeration { primitive, .. } => {
            (Encoding::Enumeration { name: name.into(), primitive: *primitive }, false)
        }
        Kind::Composite { .. } => (Encoding::Composite { name: name.into() }, false),
    };
    Ok((encoding, found.size, optional))
}
