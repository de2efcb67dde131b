//! Every kind of invalid schema is reported by name.

use super::super::error::SchemaError;
use super::super::model::Schema;
use super::parse;

const HEADER: &str = r#"
    <composite name="messageHeader">
      <type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint16"/>
      <type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/>
    </composite>
    <composite name="groupSizeEncoding">
      <type name="blockLength" primitiveType="uint16"/><type name="numInGroup" primitiveType="uint16"/>
    </composite>"#;

fn schema(types: &str, messages: &str) -> Result<Schema, SchemaError> {
    parse(&format!(
        r#"<sbe:messageSchema xmlns:sbe="http://fixprotocol.io/2016/sbe" id="1" version="2">
             <types>{HEADER}{types}</types>{messages}
           </sbe:messageSchema>"#
    ))
}

fn message(attributes: &str, content: &str) -> Result<Schema, SchemaError> {
    schema("", &format!(r#"<sbe:message name="M" id="1" {attributes}>{content}</sbe:message>"#))
}

/// The error, by the name of its variant.
fn reported(result: Result<Schema, SchemaError>) -> String {
    let error = result.expect_err("the schema is invalid");
    assert!(!error.to_string().is_empty());
    format!("{error:?}").split([' ', '(']).next().unwrap_or_default().to_string()
}

const A: &str = r#"<field name="a" id="1" type="uint64"/>"#;
const GROUP: &str = r#"<group name="g" id="2"><field name="x" id="3" type="uint8"/></group>"#;
const DATA: &str = r#"<data name="d" id="4" type="groupSizeEncoding"/>"#;

#[test]
fn a_valid_schema_gets_offsets_and_sizes() {
    let content = format!(
        r#"{A}<field name="b" id="5" type="uint16" offset="10" sinceVersion="1"/>{GROUP}{DATA}"#
    );
    let schema = message(r#"blockLength="16""#, &content).unwrap();
    let found = &schema.messages[0];
    assert_eq!(found.block_length, 16);
    assert_eq!((found.fields[1].offset, found.fields[1].since), (10, 1));
    assert_eq!((found.groups[0].block_length, found.groups[0].count_max), (1, 65_534));
    assert_eq!(found.data, ["d"]);
}

#[test]
fn order_of_members() {
    assert_eq!(reported(message("", &format!("{GROUP}{A}"))), "Order");
    assert_eq!(reported(message("", &format!("{DATA}{A}"))), "Order");
    assert_eq!(reported(message("", &format!("{DATA}{GROUP}"))), "Order");
}

#[test]
fn names_and_ids() {
    let same_name = r#"<field name="a" id="2" type="uint8"/>"#;
    assert_eq!(reported(message("", &format!("{A}{same_name}"))), "DuplicateName");
    let same_id = r#"<field name="b" id="1" type="uint8"/>"#;
    assert_eq!(reported(message("", &format!("{A}{same_id}"))), "DuplicateId");
    let same_in_group = r#"<group name="g" id="2"><field name="x" id="1" type="uint8"/></group>"#;
    assert_eq!(reported(message("", &format!("{A}{same_in_group}"))), "DuplicateId");
    let twice = r#"<sbe:message name="M" id="1"/><sbe:message name="M" id="2"/>"#;
    assert_eq!(reported(schema("", twice)), "DuplicateName");
    let twice = r#"<sbe:message name="M" id="1"/><sbe:message name="N" id="1"/>"#;
    assert_eq!(reported(schema("", twice)), "DuplicateId");
    let twice = r#"<type name="t" primitiveType="uint8"/><type name="t" primitiveType="uint16"/>"#;
    assert_eq!(reported(schema(twice, "")), "DuplicateName");
}

#[test]
fn types_and_values() {
    let field = r#"<field name="a" id="1" type="nowhere"/>"#;
    assert_eq!(reported(message("", field)), "UndefinedType");
    let unknown = r#"<type name="t" primitiveType="uint128"/>"#;
    assert_eq!(reported(schema(unknown, "")), "UndefinedType");
    let reference = r#"<composite name="c"><ref name="r" type="nowhere"/></composite>"#;
    assert_eq!(reported(schema(reference, "")), "UndefinedType");
    let group = r#"<group name="g" id="2" dimensionType="nowhere"/>"#;
    assert_eq!(reported(message("", group)), "UndefinedType");
    let group = r#"<group name="g" id="2" dimensionType="messageHeader"/>"#;
    assert_eq!(reported(message("", group)), "Dimension");
    assert_eq!(reported(schema(r#"<enum name="e" encodingType="uint8"/>"#, "")), "NoValues");
    let enumeration = |values: &str| {
        schema(&format!(r#"<enum name="e" encodingType="uint8">{values}</enum>"#), "")
    };
    let value =
        |name: &str, code: &str| format!(r#"<validValue name="{name}">{code}</validValue>"#);
    assert_eq!(reported(enumeration(&value("A", "255"))), "ValueRange");
    assert_eq!(reported(enumeration(&value("A", "many"))), "BadNumber");
    assert_eq!(reported(enumeration(&(value("A", "1") + &value("A", "2")))), "DuplicateName");
    assert_eq!(reported(enumeration(&(value("A", "1") + &value("B", "1")))), "DuplicateId");
    let range = r#"<type name="t" primitiveType="uint8" maxValue="300"/>"#;
    assert_eq!(reported(schema(range, "")), "ValueRange");
}

#[test]
fn presence() {
    let null = r#"<type name="t" primitiveType="uint8" nullValue="7"/>"#;
    assert_eq!(reported(schema(null, "")), "NullOnRequired");
    let optional = r#"<type name="t" primitiveType="uint8" presence="optional"/>"#;
    let field = r#"<sbe:message name="M" id="1"><field name="a" id="1" type="t" presence="required"/></sbe:message>"#;
    assert_eq!(reported(schema(optional, field)), "Presence");
}

#[test]
fn offsets_blocks_and_versions() {
    let overlap = format!(r#"{A}<field name="b" id="2" type="uint8" offset="7"/>"#);
    assert_eq!(reported(message("", &overlap)), "Overlap");
    assert_eq!(reported(message(r#"blockLength="7""#, A)), "BeyondBlock");
    let far = r#"<field name="b" id="2" type="uint8" offset="70000"/>"#;
    assert_eq!(reported(message("", far)), "BeyondBlock");
    let future = r#"<field name="b" id="2" type="uint8" sinceVersion="3"/>"#;
    assert_eq!(reported(message("", future)), "Since");
    let fallen = r#"<field name="b" id="2" type="uint8" sinceVersion="2"/>"#;
    assert_eq!(reported(message("", &format!("{fallen}{A}"))), "SinceOrder");
}

#[test]
fn attributes_and_headers() {
    assert_eq!(reported(parse("<a")), "Xml");
    assert_eq!(reported(parse(r#"<messageSchema id="1"/>"#)), "MissingAttribute");
    assert_eq!(reported(parse(r#"<messageSchema id="1" version="x"/>"#)), "BadNumber");
    assert_eq!(reported(parse(r#"<messageSchema id="1" version="1"/>"#)), "MissingHeaderType");
    let big = r#"<messageSchema id="1" version="1" byteOrder="bigEndian"/>"#;
    assert_eq!(reported(parse(big)), "Unsupported");
    assert_eq!(reported(message("", r#"<field name="a" type="uint8"/>"#)), "MissingAttribute");
}

#[test]
fn what_is_not_generated_is_said() {
    assert_eq!(reported(schema(r#"<set name="s" encodingType="uint8"/>"#, "")), "Unsupported");
    assert_eq!(reported(schema(r#"<type name="f" primitiveType="double"/>"#, "")), "Unsupported");
    let nested = format!(r#"<group name="h" id="9">{GROUP}</group>"#);
    assert_eq!(reported(message("", &nested)), "Unsupported");
    let constant = r#"<field name="a" id="1" type="uint8" presence="constant"/>"#;
    assert_eq!(reported(message("", constant)), "Unsupported");
    let growing = r#"<composite name="c"><type name="x" primitiveType="uint8" sinceVersion="1"/></composite>"#;
    assert_eq!(reported(schema(growing, "")), "Unsupported");
}
