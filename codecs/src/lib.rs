//! The datagrams of Quorate.
//!
//! ```text
//!  0       2      3     4          8          16       24          32            36     40
//!  +-------+------+-----+----------+----------+--------+-----------+-------------+------+
//!  | magic | wire | log | checksum | groupTag | sender | bootEpoch | incarnation | kind |
//!  +-------+------+-----+----------+----------+--------+-----------+-------------+------+
//!  40            42           44         46        48             48+block
//!  +-------------+------------+----------+---------+--------------+------------------+
//!  | blockLength | templateId | schemaId | version | SBE block    | groups, or slice |
//!  +-------------+------------+----------+---------+--------------+------------------+
//! ```
//!
//! Encoders write into the caller's buffer. [`decode`] borrows and checks everything before it
//! hands anything out: any bytes give an error or a sound message, never a panic. Blocks and
//! entries that are longer than known, and whatever follows the last known group, are a newer
//! version's and are skipped.
//!
//! ```
//! use quorate_codecs::{Header, decode, encode_control};
//! use quorate_core::{ClientKey, GroupTag, Incoming, Message, Position, Sender, SessionId};
//!
//! let sender = Sender::Client { key: ClientKey(7) };
//! let header = Header { tag: GroupTag(1), sender };
//! let message = Message::Connect {
//!     connection: 1,
//!     session: SessionId::NONE,
//!     ingress_start: Position::ZERO,
//!     unanswered: 1,
//! };
//! let mut buffer = [0; 1_408];
//! let length = encode_control(&header, &message, &mut buffer)?;
//! let decoded = decode(&buffer[..length], GroupTag(1))?;
//! assert_eq!(decoded, (sender, Incoming::Control(message)));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod class;
mod decode;
mod encode;
mod error;
pub mod generated;
mod header;
mod rules;

pub use class::{Class, class};
pub use decode::decode;
pub use encode::{encode_control, encode_data};
pub use error::{DecodeError, EncodeError};
pub use header::Header;

use self::generated::{
    DatagramHeader, HistoryEncoder, HistoryLinesEncoder, LogDataEncoder, MessageHeader,
    ReadReplyEncoder, ReadReplyPayloadEncoder, SessionDataEncoder,
};

/// The first two bytes of every datagram: `QR`.
pub const MAGIC: u16 = 0x5251;
/// The version of the datagram header.
pub const WIRE_VERSION: u8 = 1;
/// Bytes of datagram header and SBE message header.
pub const HEADER_BYTES: usize = DatagramHeader::BYTES + MessageHeader::BYTES;
/// Bytes of a data datagram besides the slice, for every stream.
pub const DATA_OVERHEAD_BYTES: usize = HEADER_BYTES + LogDataEncoder::BLOCK_LENGTH;
/// The largest datagram that UDP over IPv4 takes.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;
/// Bytes that a host leaves free in every datagram, for sealing it.
pub const SEALING_ROOM_BYTES: usize = 104;
/// The largest datagram of a control message.
pub const CONTROL_BYTES_MAX: usize = HEADER_BYTES
    + ReadReplyEncoder::BLOCK_LENGTH
    + ReadReplyPayloadEncoder::bytes(quorate_core::read::READ_BYTES_MAX);

// That of a history is less.
const _: () = assert!(
    HEADER_BYTES
        + HistoryEncoder::BLOCK_LENGTH
        + HistoryLinesEncoder::bytes(quorate_core::message::HISTORY_LINES_MAX)
        <= CONTROL_BYTES_MAX
);

// Slices of all streams have the same room, so that runs of them are equal datagrams.
const _: () = assert!(SessionDataEncoder::BLOCK_LENGTH == LogDataEncoder::BLOCK_LENGTH);
