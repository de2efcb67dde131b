//! The wire: golden bytes, limits, damage, evolution.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod evolution;
mod golden;
mod hostile;
mod layout;
mod properties;
mod samples;

use quorate_codecs::{Header, encode_control, encode_data};
use quorate_core::frame::Checksum;
use quorate_core::message::Live;
use quorate_core::{GroupTag, Message, Position, Sender, Stream};

const TAG: GroupTag = GroupTag(0x0123_4567_89ab_cdef);

fn encoded(sender: Sender, message: &Message) -> Vec<u8> {
    let mut buffer = vec![0xaa; 2_048];
    let length = encode_control(&Header { tag: TAG, sender }, message, &mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

fn encoded_data(
    stream: Stream,
    position: u64,
    live: Option<Live>,
    slice: (&[u8], &[u8]),
) -> Vec<u8> {
    let header = Header { tag: TAG, sender: samples::member() };
    let mut buffer = vec![0xaa; 70_000];
    let position = Position(position);
    let length = encode_data(&header, stream, 9, position, live, slice, &mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

/// Makes the checksum of `datagram` right again.
fn seal(datagram: &mut [u8]) {
    if datagram.len() < 8 {
        return;
    }
    datagram[4..8].fill(0);
    let checksum = Checksum::default().add(datagram).value();
    datagram[4..8].copy_from_slice(&checksum.to_le_bytes());
}
