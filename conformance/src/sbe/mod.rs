//! Messages of any schema of the Simple Binary Encoding, read and written without generated code.
//!
//! ```text
//!   schema (XML) ──► Schema ──► decode: bytes  ──► Value
//!                           └─► encode: Value  ──► bytes, as of any version
//! ```
//!
//! It knows the standard and no message, so it is a second opinion on what the generated flyweights
//! write and read. Byte orders, arrays, constants, enumerations, sets, composites within
//! composites, groups within groups, variable data and versions are all there; what is not
//! (included files, say) is refused by name.

mod decode;
mod draw;
mod encode;
mod layout;
mod schema;
mod second;
mod types;
mod value;

pub(crate) use decode::{Refusal, decode, record};
pub(crate) use draw::{drawn_message, drawn_schema};
pub(crate) use encode::encode;
pub(crate) use layout::Schema;
pub(crate) use second::Second;
pub(crate) use value::Value;
