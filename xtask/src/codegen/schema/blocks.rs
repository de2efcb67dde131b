//! The messages of a schema: blocks, groups, data.

use roxmltree::Node;

use super::super::error::SchemaError;
use super::super::model::{Encoding, Field, Group, Kind, Message, Number, Primitive, Schema};
use super::types::{is_optional, offset, resolve};
use super::{description, elements, number, optional_number, text, unsupported};

/// Reads a message.
pub(super) fn parse_message(schema: &Schema, node: Node<'_, '_>) -> Result<Message, SchemaError> {
    let name = text(node, "messageSchema", "name")?.to_string();
    let place = format!("message {name}");
    let level = Level::parse(schema, node, &place, &mut Vec::new())?;
    Ok(Message {
        id: number(node, &place, "id")?,
        description: description(node),
        semantic_type: node.attribute("semanticType").unwrap_or_default().into(),
        block_length: level.block_length,
        fields: level.fields,
        groups: level.groups,
        data: level.data,
        name,
    })
}

/// What a message and a group have in common.
struct Level {
    block_length: usize,
    fields: Vec<Field>,
    groups: Vec<Group>,
    data: Vec<String>,
}

impl Level {
    fn parse(
        schema: &Schema,
        node: Node<'_, '_>,
        place: &str,
        ids: &mut Vec<u64>,
    ) -> Result<Self, SchemaError> {
        let mut level =
            Self { block_length: 0, fields: Vec::new(), groups: Vec::new(), data: Vec::new() };
        let mut names: Vec<String> = Vec::new();
        for child in elements(node) {
            let name = text(child, place, "name")?.to_string();
            let id: u64 = number(child, place, "id")?;
            let place = format!("{place}.{name}");
            if names.contains(&name) {
                return Err(SchemaError::DuplicateName { place, name });
            }
            if ids.contains(&id) {
                return Err(SchemaError::DuplicateId { place, id });
            }
            ids.push(id);
            names.push(name.clone());
            let tag = child.tag_name().name();
            level.check_order(tag, &place)?;
            match tag {
                "field" => {
                    let end = level.fields.last().map_or(0, |last| last.offset + last.size);
                    let field = parse_field(schema, child, &place, end)?;
                    let newest = level.fields.last().map_or(0, |last| last.since);
                    check_since_order(newest, field.since, &place)?;
                    level.fields.push(field);
                }
                "group" => {
                    let group = parse_group(schema, child, &place, ids)?;
                    let newest = level.groups.last().map_or(0, |last| last.since);
                    check_since_order(newest, group.since, &place)?;
                    level.groups.push(group);
                }
                "data" => level.data.push(name),
                other => return Err(unsupported(&place, format!("<{other}>"))),
            }
        }
        level.close_block(node, place)?;
        Ok(level)
    }

    fn check_order(&self, tag: &str, place: &str) -> Result<(), SchemaError> {
        let what = match tag {
            "field" if !self.groups.is_empty() => "a field comes after a group",
            "field" if !self.data.is_empty() => "a field comes after data",
            "group" if !self.data.is_empty() => "a group comes after data",
            _ => return Ok(()),
        };
        Err(SchemaError::Order { place: place.into(), what })
    }

    fn close_block(&mut self, node: Node<'_, '_>, place: &str) -> Result<(), SchemaError> {
        let end = self.fields.last().map_or(0, |last| last.offset + last.size);
        let block: u16 = optional_number(node, place, "blockLength")?
            .map_or_else(|| u16::try_from(end), Ok)
            .unwrap_or(u16::MAX);
        self.block_length = usize::from(block);
        let outside = |field: &&Field| field.offset + field.size > self.block_length;
        match self.fields.iter().find(outside) {
            Some(field) => Err(SchemaError::BeyondBlock {
                place: format!("{place}.{}", field.name),
                end: field.offset + field.size,
                block: self.block_length,
            }),
            None => Ok(()),
        }
    }
}

fn check_since_order(newest: u16, since: u16, place: &str) -> Result<(), SchemaError> {
    if since < newest {
        return Err(SchemaError::SinceOrder { place: place.into() });
    }
    Ok(())
}

fn parse_since(schema: &Schema, node: Node<'_, '_>, place: &str) -> Result<u16, SchemaError> {
    let since = optional_number(node, place, "sinceVersion")?.unwrap_or(0);
    if since > schema.version {
        return Err(SchemaError::Since { place: place.into(), since, version: schema.version });
    }
    Ok(since)
}

fn parse_field(
    schema: &Schema,
    node: Node<'_, '_>,
    place: &str,
    end: usize,
) -> Result<Field, SchemaError> {
    let (encoding, size, of_type) = resolve(schema, place, text(node, place, "type")?)?;
    let stated = is_optional(node, place)?;
    if stated == Some(false) && of_type {
        return Err(SchemaError::Presence { place: place.into() });
    }
    let optional = stated.unwrap_or(of_type);
    let scalar = matches!(encoding, Encoding::Number(Number { length: 1, .. }));
    if optional && !scalar {
        return Err(unsupported(place, "an optional field that is no single number"));
    }
    Ok(Field {
        name: text(node, place, "name")?.into(),
        description: description(node),
        offset: offset(node, place, end)?,
        size,
        encoding,
        optional,
        since: parse_since(schema, node, place)?,
    })
}

fn parse_group(
    schema: &Schema,
    node: Node<'_, '_>,
    place: &str,
    ids: &mut Vec<u64>,
) -> Result<Group, SchemaError> {
    let level = Level::parse(schema, node, place, ids)?;
    if !level.groups.is_empty() || !level.data.is_empty() {
        return Err(unsupported(place, "a group or data inside a group"));
    }
    let dimension = node.attribute("dimensionType").unwrap_or("groupSizeEncoding");
    Ok(Group {
        name: text(node, place, "name")?.into(),
        description: description(node),
        count_max: count_max(schema, place, dimension)?,
        dimension: dimension.into(),
        block_length: level.block_length,
        fields: level.fields,
        since: parse_since(schema, node, place)?,
    })
}

/// The most entries that a group with this dimension type may have.
fn count_max(schema: &Schema, place: &str, dimension: &str) -> Result<u64, SchemaError> {
    let undefined = || SchemaError::UndefinedType { place: place.into(), name: dimension.into() };
    let found = schema.type_named(dimension).ok_or_else(undefined)?;
    let Kind::Composite { members } = &found.kind else { return Err(undefined()) };
    let count = |field: &Field| match &field.encoding {
        Encoding::Number(number) if number.primitive == Primitive::Uint16 => {
            Some(number.max.unwrap_or_else(|| number.primitive.unsigned_max()))
        }
        _ => None,
    };
    match members.as_slice() {
        [block, number] if block.name == "blockLength" && number.name == "numInGroup" => {
            count(block).and_then(|_| count(number))
        }
        _ => None,
    }
    .ok_or_else(|| SchemaError::Dimension { place: place.into(), name: dimension.into() })
}
