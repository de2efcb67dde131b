//! Reads schemas.

use roxmltree::{Document, Node};

use super::layout::{Data, Encoding, Group, Level, Message, Record, Schema};
use super::types::{Types, attribute, elements, member, numeral};

impl Schema {
    /// Reads a schema.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let document = Document::parse(text).map_err(|error| error.to_string())?;
        let root = document.root_element();
        let types = Types::parse(root)?;
        let header = root.attribute("headerType").unwrap_or("messageHeader");
        let header = composite(&types, header)?;
        for name in ["blockLength", "templateId", "schemaId", "version"] {
            header.number(name).ok_or_else(|| format!("the header has no {name}"))?;
        }
        let mut schema = Self {
            id: numeral(root, "id")?.ok_or("the schema has no id")?,
            version: numeral(root, "version")?.unwrap_or(0),
            big_endian: root.attribute("byteOrder") == Some("bigEndian"),
            header,
            types: types.read.clone(),
            messages: Vec::new(),
        };
        for node in elements(root) {
            match node.tag_name().name() {
                "types" => {}
                "message" => schema.messages.push(message(&types, node)?),
                other => return Err(format!("<{other}> is not understood")),
            }
        }
        Ok(schema)
    }
}

fn message(types: &Types<'_, '_>, node: Node<'_, '_>) -> Result<Message, String> {
    let name = attribute(node, "name")?.to_owned();
    let id = numeral(node, "id")?.ok_or_else(|| format!("{name} has no id"))?;
    let level = level(types, node)?;
    Ok(Message { id, name, level })
}

/// The fields, groups and data of a message or a group.
fn level<'a, 'input>(types: &Types<'a, 'input>, node: Node<'a, 'input>) -> Result<Level, String> {
    let mut level = Level::default();
    let mut end = 0;
    for inner in elements(node) {
        let name = attribute(inner, "name")?.to_owned();
        let since = numeral(inner, "sinceVersion")?.unwrap_or(0);
        match inner.tag_name().name() {
            "field" => {
                let field = member(inner, types.of_field(inner)?, end)?;
                end = field.end();
                level.fields.push(field);
            }
            "group" => {
                let dimension = inner.attribute("dimensionType").unwrap_or("groupSizeEncoding");
                let dimension = composite(types, dimension)?;
                for name in ["blockLength", "numInGroup"] {
                    dimension.number(name).ok_or_else(|| format!("a dimension has no {name}"))?;
                }
                let level_within = self::level(types, inner)?;
                level.groups.push(Group { name, since, dimension, level: level_within });
            }
            "data" => {
                let kind = composite(types, attribute(inner, "type")?)?;
                let (_, length) = kind.number("length").ok_or("data has no length")?;
                level.data.push(Data { name, since, length });
            }
            other => return Err(format!("<{other}> is not understood")),
        }
    }
    level.block_length = numeral(node, "blockLength")?.map_or(end, |length| length as usize);
    if level.block_length < end {
        return Err(format!("the fields of {} go beyond its block", attribute(node, "name")?));
    }
    Ok(level)
}

fn composite(types: &Types<'_, '_>, name: &str) -> Result<Record, String> {
    match types.read.get(name) {
        Some(Encoding::Record(record)) => Ok(record.clone()),
        _ => Err(format!("{name} is no composite")),
    }
}
