//! Reads the types of a schema.

use std::collections::BTreeMap;

use roxmltree::Node;

use super::layout::{Encoding, Kind, Member, Number, Primitive, Record};
use super::value::Value;

/// The types that are known so far, and those still to be read.
pub(super) struct Types<'a, 'input> {
    pub(super) read: BTreeMap<String, Encoding>,
    texts: BTreeMap<&'a str, Node<'a, 'input>>,
}

/// Composites within composites, and names of names.
const DEPTH_MAX: usize = 16;

impl<'a, 'input> Types<'a, 'input> {
    /// Reads all types, in whatever order they are named.
    pub(super) fn parse(root: Node<'a, 'input>) -> Result<Self, String> {
        let mut types = Self { read: BTreeMap::new(), texts: BTreeMap::new() };
        let lists = elements(root).filter(|node| node.tag_name().name() == "types");
        for node in lists.flat_map(elements) {
            let name = attribute(node, "name")?;
            if types.texts.insert(name, node).is_some() {
                return Err(format!("there are two types {name}"));
            }
        }
        let names: Vec<&str> = types.texts.keys().copied().collect();
        for name in names {
            let encoding = types.named(name, DEPTH_MAX)?;
            types.read.insert(name.to_owned(), encoding);
        }
        Ok(types)
    }

    /// The type with this name, or the primitive.
    fn named(&self, name: &str, depth: usize) -> Result<Encoding, String> {
        if let Some(known) = self.read.get(name) {
            return Ok(known.clone());
        }
        if let Some(node) = self.texts.get(name) {
            let depth = depth.checked_sub(1).ok_or_else(|| format!("{name} names itself"))?;
            return self.encoding(*node, depth);
        }
        let primitive = Primitive::named(name).ok_or_else(|| format!("there is no type {name}"))?;
        Ok(Encoding::Number(one(primitive)))
    }

    /// What an element among the types, or in a composite, is.
    fn encoding(&self, node: Node<'a, 'input>, depth: usize) -> Result<Encoding, String> {
        match node.tag_name().name() {
            "type" => number(node),
            "ref" => self.named(attribute(node, "type")?, depth),
            "enum" => {
                let mut number = self.encoded_as(node, depth)?;
                number.optional = is_optional(node);
                let values = elements(node).map(|value| {
                    let bits = literal(number.primitive, value.text().unwrap_or_default().trim());
                    let name = attribute(value, "name")?;
                    Ok((bits.ok_or_else(|| format!("{name} has no value"))?, name.to_owned()))
                });
                Ok(Encoding::Enumeration(number, values.collect::<Result<_, String>>()?))
            }
            "set" => {
                let number = self.encoded_as(node, depth)?;
                let choices = elements(node).map(|choice| {
                    let bit = choice.text().and_then(|text| text.trim().parse::<u32>().ok());
                    let bit = bit.filter(|bit| (*bit as usize) < 8 * number.size());
                    let name = attribute(choice, "name")?;
                    Ok((bit.ok_or_else(|| format!("{name} is no bit"))?, name.to_owned()))
                });
                Ok(Encoding::Set(number, choices.collect::<Result<_, String>>()?))
            }
            "composite" => {
                let mut record = Record { size: 0, members: Vec::new(), optional: false };
                for inner in elements(node) {
                    let encoding = self.encoding(inner, depth)?;
                    let member = member(inner, encoding, record.size)?;
                    record.size = member.end();
                    record.members.push(member);
                }
                Ok(Encoding::Record(record))
            }
            other => Err(format!("<{other}> is no type")),
        }
    }

    fn encoded_as(&self, node: Node<'a, 'input>, depth: usize) -> Result<Number, String> {
        match self.named(attribute(node, "encodingType")?, depth)? {
            Encoding::Number(number) if number.length == 1 => Ok(number),
            _ => Err(format!("{} is encoded as no number", attribute(node, "name")?)),
        }
    }

    /// What a field is, by its type and its own presence.
    pub(super) fn of_field(&self, node: Node<'a, 'input>) -> Result<Encoding, String> {
        let mut encoding = self.named(attribute(node, "type")?, DEPTH_MAX)?;
        match node.attribute("presence") {
            Some("constant") => {
                if let (Some(reference), Encoding::Number(_) | Encoding::Enumeration(..)) =
                    (node.attribute("valueRef"), &encoding)
                {
                    return self.referred(reference);
                }
                match encoding {
                    Encoding::Constant(_) => {}
                    _ => return Err(format!("{} has no value", attribute(node, "name")?)),
                }
            }
            Some("optional") => match &mut encoding {
                Encoding::Number(number) | Encoding::Enumeration(number, _) => {
                    number.optional = true;
                }
                Encoding::Record(record) => record.optional = true,
                Encoding::Set(..) | Encoding::Constant(_) => {}
            },
            _ => {}
        }
        Ok(encoding)
    }

    /// The value that a constant field takes from an enumeration, such as `Model.C`.
    fn referred(&self, reference: &str) -> Result<Encoding, String> {
        let wrong = || format!("{reference} is no value of an enumeration");
        let (name, value) = reference.split_once('.').ok_or_else(wrong)?;
        match self.named(name, DEPTH_MAX)? {
            Encoding::Enumeration(_, values) if values.iter().any(|(_, known)| known == value) => {
                Ok(Encoding::Constant(Value::Named(value.to_owned())))
            }
            _ => Err(wrong()),
        }
    }
}

/// A field or a member of a composite, behind `end` bytes of others or where it says.
pub(super) fn member(node: Node<'_, '_>, encoding: Encoding, end: usize) -> Result<Member, String> {
    let name = attribute(node, "name")?.to_owned();
    let offset = numeral(node, "offset")?.map_or(end, |offset| offset as usize);
    if offset < end {
        return Err(format!("{name} begins before the end of what is before it"));
    }
    let since = numeral(node, "sinceVersion")?.unwrap_or(0);
    Ok(Member { name, offset, since, encoding })
}

const fn one(primitive: Primitive) -> Number {
    let null = primitive.null();
    Number { primitive, length: 1, optional: false, null, most: null }
}

/// A `<type>`: numbers, or a constant.
fn number(node: Node<'_, '_>) -> Result<Encoding, String> {
    let name = attribute(node, "name")?;
    let kind = attribute(node, "primitiveType")?;
    let primitive = Primitive::named(kind).ok_or_else(|| format!("{kind} is no primitive"))?;
    let mut number = one(primitive);
    if node.attribute("presence") == Some("constant") {
        let text = node.text().unwrap_or_default().trim();
        if primitive.kind == Kind::Character {
            return Ok(Encoding::Constant(Value::Text(text.to_owned())));
        }
        let bits = literal(primitive, text).ok_or_else(|| format!("{name} has no value"))?;
        let value = match primitive.kind {
            Kind::Float => Value::Float(bits, primitive.size),
            _ => Value::Integer(primitive.integer(bits)),
        };
        return Ok(Encoding::Constant(value));
    }
    number.length = numeral(node, "length")?.unwrap_or(1) as usize;
    number.optional = is_optional(node);
    if let Some(text) = node.attribute("nullValue") {
        number.null =
            literal(primitive, text).ok_or_else(|| format!("{name}: {text} is no null"))?;
    }
    // The largest length or count of an unsigned type is one below its null, unless it is said.
    number.most = primitive.null().saturating_sub(1);
    if let Some(text) = node.attribute("maxValue") {
        number.most =
            literal(primitive, text).ok_or_else(|| format!("{name}: {text} is no most"))?;
    }
    Ok(Encoding::Number(number))
}

/// The bits of a value as a schema writes it.
fn literal(primitive: Primitive, text: &str) -> Option<u64> {
    match (primitive.kind, primitive.size) {
        (Kind::Character, _) => match text.as_bytes() {
            [byte] => Some(u64::from(*byte)),
            _ => None,
        },
        (Kind::Float, 4) => text.parse::<f32>().ok().map(|number| u64::from(number.to_bits())),
        (Kind::Float, _) => text.parse::<f64>().ok().map(f64::to_bits),
        _ => primitive.bits(text.parse().ok()?),
    }
}

fn is_optional(node: Node<'_, '_>) -> bool {
    node.attribute("presence") == Some("optional")
}

pub(super) fn elements<'a, 'input>(
    node: Node<'a, 'input>,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(Node::is_element)
}

pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, String> {
    let missing = || format!("a <{}> has no {name}", node.tag_name().name());
    node.attribute(name).ok_or_else(missing)
}

pub(super) fn numeral(node: Node<'_, '_>, name: &str) -> Result<Option<u64>, String> {
    let parse = |text: &str| text.parse().map_err(|_| format!("{name} of {text} is no number"));
    node.attribute(name).map(parse).transpose()
}
