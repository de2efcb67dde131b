// Generated from schema/quorate.xml by `cargo xtask codegen`. Change that, not this.
//! Flyweights of datagrams.

mod abdicate;
mod acknowledge;
mod application;
mod ballot;
mod campaign;
mod canvass;
mod canvass_reply;
mod close;
mod closed;
mod connect;
mod connect_reply;
mod heartbeat;
mod history;
mod history_request;
mod holding;
mod impaired;
mod level_grant;
mod log_data;
mod nak;
mod read_index_reply;
mod read_index_request;
mod read_reply;
mod read_request;
mod registered;
mod removed;
mod request_succession;
mod request_vote;
mod session_data;
mod snapshot_offer;
mod snapshot_request;
mod stream_newest;
mod stream_status;
mod sync_reply;
mod sync_request;
mod types;
mod unavailable;

pub use abdicate::*;
pub use acknowledge::*;
pub use application::*;
pub use ballot::*;
pub use campaign::*;
pub use canvass::*;
pub use canvass_reply::*;
pub use close::*;
pub use closed::*;
pub use connect::*;
pub use connect_reply::*;
pub use heartbeat::*;
pub use history::*;
pub use history_request::*;
pub use holding::*;
pub use impaired::*;
pub use level_grant::*;
pub use log_data::*;
pub use nak::*;
pub use read_index_reply::*;
pub use read_index_request::*;
pub use read_reply::*;
pub use read_request::*;
pub use registered::*;
pub use removed::*;
pub use request_succession::*;
pub use request_vote::*;
pub use session_data::*;
pub use snapshot_offer::*;
pub use snapshot_request::*;
pub use stream_newest::*;
pub use stream_status::*;
pub use sync_reply::*;
pub use sync_request::*;
pub use types::*;
pub use unavailable::*;

/// The id of the schema.
pub const SCHEMA_ID: u16 = 0x5152;
/// The version of the schema that encoders write.
pub const SCHEMA_VERSION: u16 = 1;

/// Why bytes are not the message that they are said to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Malformed {
    /// The block is shorter than its version needs.
    Block,
    /// A group has more entries than allowed, or shorter ones than its version needs.
    Group,
    /// There are fewer bytes than stated.
    Truncated,
}

/// The `N` bytes at `at`; the caller has checked that they are there.
fn array<const N: usize>(block: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&block[at..at + N]);
    bytes
}
