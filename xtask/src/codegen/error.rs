//! Why a schema cannot be used.

/// Why a schema cannot be used. `place` is the path of names to what is wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("the schema is no well-formed XML: {0}")]
    Xml(String),
    #[error("{place}: attribute `{name}` is missing; add it")]
    MissingAttribute { place: String, name: &'static str },
    #[error("{place}: `{name}=\"{value}\"` is no number that fits; correct it")]
    BadNumber { place: String, name: String, value: String },
    #[error("{place}: type `{name}` is not defined; define it under <types>")]
    UndefinedType { place: String, name: String },
    #[error("header type `{name}` is not a composite under <types>; define it")]
    MissingHeaderType { name: String },
    #[error("{place}: name `{name}` is used twice; names are unique")]
    DuplicateName { place: String, name: String },
    #[error("{place}: id {id} is used twice; ids are unique and never reused")]
    DuplicateId { place: String, id: u64 },
    #[error("{place}: {what}; the order is fields, then groups, then data")]
    Order { place: String, what: &'static str },
    #[error("{place}: offset {offset} overlaps what ends at {end}; raise it")]
    Overlap { place: String, offset: usize, end: usize },
    #[error("{place}: ends at byte {end} beyond the block of {block} bytes; raise blockLength")]
    BeyondBlock { place: String, end: usize, block: usize },
    #[error("{place}: an enumeration needs at least one validValue")]
    NoValues { place: String },
    #[error("{place}: value {value} is out of the range of its type")]
    ValueRange { place: String, value: u64 },
    #[error("{place}: nullValue is only for optional fields; add presence=\"optional\" or drop it")]
    NullOnRequired { place: String },
    #[error("{place}: presence is not the one of its type; make them agree")]
    Presence { place: String },
    #[error("{place}: sinceVersion {since} is above the schema's version {version}; raise that")]
    Since { place: String, since: u16, version: u16 },
    #[error("{place}: sinceVersion falls; newer fields go to the end")]
    SinceOrder { place: String },
    #[error("{place}: `{name}` is no dimension type: it needs uint16 blockLength and numInGroup")]
    Dimension { place: String, name: String },
    #[error("{place}: {what} is not generated")]
    Unsupported { place: String, what: String },
}
