//! What must hold for any bytes.
//!
//! Each target is a function that takes bytes and panics when something does not hold; libFuzzer
//! calls it with bytes that reach code it has not seen, and `cargo test` with those of `corpus/`.
//! How to run them is in the folder's README.
#![forbid(unsafe_code)]

mod decode;
mod draw;
mod messages;
mod round_trip;
mod step;

pub use decode::decode;
pub use round_trip::round_trip;
pub use step::step;

use quorate_core::frame::Checksum;
use quorate_core::{GroupId, GroupTag, RecoveryEpoch};

/// The group of everything here.
const GROUP: GroupId = GroupId(0x5eed);
/// Its tag.
const TAG: GroupTag = GroupTag::new(GROUP, RecoveryEpoch(0));

/// Makes the checksum of `datagram` right, so that bytes are read that a checksum would keep out.
fn seal(datagram: &mut [u8]) {
    datagram[4..8].fill(0);
    let checksum = Checksum::default().add(datagram).value();
    datagram[4..8].copy_from_slice(&checksum.to_le_bytes());
}
