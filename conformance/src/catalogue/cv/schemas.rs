//! The schema itself, and the generator that reads it.

use std::collections::BTreeSet;

use quorate_codecs::generated::{SCHEMA_ID, SCHEMA_VERSION};
use quorate_core::frame::Checksum;
use xtask::check_schema;

use super::SCHEMA;
use crate::case::{Failure, Verdict, check};
use crate::trial::Trial;

const HEADER: &str = r#"
    <composite name="messageHeader">
      <type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint16"/>
      <type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/>
    </composite>
    <composite name="groupSizeEncoding">
      <type name="blockLength" primitiveType="uint16"/><type name="numInGroup" primitiveType="uint16"/>
    </composite>"#;

/// A schema with these types, and these messages.
fn schema(types: &str, messages: &str) -> String {
    format!(
        r#"<sbe:messageSchema xmlns:sbe="http://fixprotocol.io/2016/sbe" id="1" version="2">
             <types>{HEADER}{types}</types>{messages}
           </sbe:messageSchema>"#
    )
}

/// A schema with these types and a message of this content.
fn with(types: &str, content: &str) -> String {
    schema(types, &format!(r#"<sbe:message name="M" id="1">{content}</sbe:message>"#))
}

/// Fails unless the generator refuses what it does not generate, under that name.
pub(super) fn unsupported(what: &str, types: &str, content: &str) -> Verdict {
    reported(what, "Unsupported", &with(types, content))
}

fn reported(what: &str, name: &str, schema: &str) -> Verdict {
    match check_schema(schema) {
        Ok(()) => Err(Failure::broken(format!("{what} is taken"))),
        Err((found, text)) => {
            check(found == name, || format!("{what} is reported as {found}: {text}"))?;
            check(text.len() > 20, || format!("the report of {what} says nothing: {text}"))
        }
    }
}

pub(super) fn cv_03(_: &mut Trial<'_>) -> Verdict {
    for primitive in ["float", "double"] {
        let named = format!(r#"<type name="f" primitiveType="{primitive}"/>"#);
        unsupported(primitive, &named, "")?;
        check(!SCHEMA.contains(&format!("primitiveType=\"{primitive}\"")), || {
            format!("the schema has a {primitive}")
        })?;
    }
    Ok(())
}

pub(super) fn cv_05(_: &mut Trial<'_>) -> Verdict {
    let field = r#"<field name="a" id="1" type="uint8" presence="constant"/>"#;
    unsupported("a constant field", "", field)?;
    check(!SCHEMA.contains("constant"), || "the schema has a constant")
}

const A: &str = r#"<field name="a" id="1" type="uint64"/>"#;
const G: &str = r#"<group name="g" id="2"><field name="x" id="3" type="uint8"/></group>"#;
const D: &str = r#"<data name="d" id="4" type="groupSizeEncoding"/>"#;

/// An invalid schema: what is wrong with it, the name of the report, its types and its content.
type Invalid = (&'static str, &'static str, &'static str, &'static str);

const INVALID: [Invalid; 22] = [
    ("an undefined type", "UndefinedType", "", r#"<field name="a" id="1" type="nowhere"/>"#),
    ("an unknown primitive", "UndefinedType", r#"<type name="t" primitiveType="uint128"/>"#, ""),
    (
        "an undefined type in a composite",
        "UndefinedType",
        r#"<composite name="c"><ref name="r" type="nowhere"/></composite>"#,
        "",
    ),
    (
        "an undefined dimension",
        "UndefinedType",
        "",
        r#"<group name="g" id="2" dimensionType="n"/>"#,
    ),
    (
        "a dimension that is none",
        "Dimension",
        "",
        r#"<group name="g" id="2" dimensionType="messageHeader"/>"#,
    ),
    (
        "a type twice",
        "DuplicateName",
        r#"<type name="t" primitiveType="uint8"/><type name="t" primitiveType="uint16"/>"#,
        "",
    ),
    (
        "a null in a required field",
        "NullOnRequired",
        r#"<type name="t" primitiveType="uint8" nullValue="7"/>"#,
        "",
    ),
    (
        "a range beyond the type",
        "ValueRange",
        r#"<type name="t" primitiveType="uint8" maxValue="300"/>"#,
        "",
    ),
    ("no valid value", "NoValues", r#"<enum name="e" encodingType="uint8"/>"#, ""),
    (
        "the null as a valid value",
        "ValueRange",
        r#"<enum name="e" encodingType="uint8"><validValue name="A">255</validValue></enum>"#,
        "",
    ),
    (
        "another presence than the type's",
        "Presence",
        r#"<type name="t" primitiveType="uint8" presence="optional"/>"#,
        r#"<field name="a" id="1" type="t" presence="required"/>"#,
    ),
    (
        "a name twice",
        "DuplicateName",
        "",
        r#"<field name="a" id="1" type="uint8"/><field name="a" id="2" type="uint8"/>"#,
    ),
    (
        "an id twice",
        "DuplicateId",
        "",
        r#"<field name="a" id="1" type="uint8"/><field name="b" id="1" type="uint8"/>"#,
    ),
    (
        "offsets that overlap",
        "Overlap",
        "",
        r#"<field name="a" id="1" type="uint64"/><field name="b" id="2" type="uint8" offset="7"/>"#,
    ),
    (
        "an offset beyond any block",
        "BeyondBlock",
        "",
        r#"<field name="b" id="2" type="uint8" offset="70000"/>"#,
    ),
    (
        "a field of a future version",
        "Since",
        "",
        r#"<field name="b" id="2" type="uint8" sinceVersion="3"/>"#,
    ),
    (
        "an older field behind a newer one",
        "SinceOrder",
        "",
        r#"<field name="b" id="2" type="uint8" sinceVersion="2"/><field name="a" id="1" type="uint8"/>"#,
    ),
    ("a field without an id", "MissingAttribute", "", r#"<field name="a" type="uint8"/>"#),
    ("a number that is none", "BadNumber", "", r#"<field name="a" id="x" type="uint8"/>"#),
    ("a set", "Unsupported", r#"<set name="s" encodingType="uint8"/>"#, ""),
    (
        "a composite that grows",
        "Unsupported",
        r#"<composite name="c"><type name="x" primitiveType="uint8" sinceVersion="1"/></composite>"#,
        "",
    ),
    ("variable data", "Unsupported", "", r#"<data name="d" id="4" type="groupSizeEncoding"/>"#),
];

pub(super) fn cv_21(trial: &mut Trial<'_>) -> Verdict {
    for (what, name, types, content) in INVALID {
        reported(what, name, &with(types, content))?;
        trial.count("invalid_schemas", 1);
    }
    for (what, content) in [
        ("a field behind a group", format!("{G}{A}")),
        ("a field behind data", format!("{D}{A}")),
        ("a group behind data", format!("{D}{G}")),
    ] {
        reported(what, "Order", &with("", &content))?;
    }
    let twice = |second: &str| schema("", &format!(r#"<sbe:message name="M" id="1"/>{second}"#));
    let same = twice(r#"<sbe:message name="M" id="2"/>"#);
    reported("a message's name twice", "DuplicateName", &same)?;
    let same = twice(r#"<sbe:message name="N" id="1"/>"#);
    reported("a message's id twice", "DuplicateId", &same)?;
    let short = r#"<sbe:message name="M" id="1" blockLength="7"><field name="a" id="1" type="uint64"/></sbe:message>"#;
    reported("a field beyond its block", "BeyondBlock", &schema("", short))?;
    reported("no header type", "MissingHeaderType", r#"<messageSchema id="1" version="1"/>"#)?;
    reported("text that is no XML", "Xml", "<messageSchema")?;
    let big = r#"<messageSchema id="1" version="1" byteOrder="bigEndian"/>"#;
    reported("big endian", "Unsupported", big)?;
    let sound = check_schema(&with("", &format!("{A}{G}")));
    check(sound.is_ok(), || format!("a sound schema is refused: {sound:?}"))
}

/// What the schema's layouts were when their version was made: a change of them needs a new line
/// with a new version, from the first version on that somebody may have: so far none was published.
const LAYOUTS: [(u16, u32); 1] = [(1, 0x915b_a3d5)];

/// The schema without what is for people: comments, descriptions and the room between words.
fn layout(text: &str) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        bare.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, behind)| behind);
    }
    bare.push_str(rest);
    let mut rest = core::mem::take(&mut bare);
    while let Some(start) = rest.find(" description=\"") {
        let length = rest[start + 14..].find('"').map_or(0, |end| end + 15);
        rest.replace_range(start..start + length.max(1), "");
    }
    rest.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The values of an attribute of all messages, in order.
fn of_messages<'a>(attribute: &str) -> Vec<&'a str> {
    let lines = SCHEMA.lines().filter(|line| line.contains("<sbe:message "));
    let wanted = format!(" {attribute}=\"");
    let values = lines.filter_map(|line| line.split(&wanted).nth(1)?.split('"').next());
    values.collect()
}

pub(super) fn cv_25(_: &mut Trial<'_>) -> Verdict {
    let found = check_schema(SCHEMA);
    check(found.is_ok(), || format!("the schema is refused: {found:?}"))?;
    for attribute in ["id", "name"] {
        let values = of_messages(attribute);
        let unique: BTreeSet<_> = values.iter().collect();
        check(values.len() > 20 && unique.len() == values.len(), || {
            format!("the messages' {attribute}s are {values:?}")
        })?;
    }
    let version = format!("version=\"{SCHEMA_VERSION}\"");
    let id = format!("id=\"{SCHEMA_ID}\"");
    check(
        SCHEMA.contains(&version) && SCHEMA.contains(&id),
        || "the generated code is of another schema",
    )?;
    let sum = Checksum::default().add(layout(SCHEMA).as_bytes()).value();
    check(LAYOUTS.contains(&(SCHEMA_VERSION, sum)), || {
        format!(
            "the layouts have the checksum {sum:#010x} in version {SCHEMA_VERSION}: raise the \
             schema's version, and note both here"
        )
    })?;
    // The checksum sees a change of the layouts, and none of a description.
    let moved = SCHEMA.replace("id=\"16\" blockLength=\"32\"", "id=\"16\" blockLength=\"40\"");
    let said = SCHEMA.replace("description=\"", "description=\"That is: ");
    check(
        layout(&moved) != layout(SCHEMA) && layout(&said) == layout(SCHEMA),
        || "the checksum looks at the wrong things",
    )
}
