//! Sizes that others rely on.

use quorate_codecs::generated::{HistoryLinesDecoder, NakRangesDecoder, SCHEMA_ID};
use quorate_codecs::{
    CONTROL_BYTES_MAX, Class, DATA_OVERHEAD_BYTES, HEADER_BYTES, SEALING_ROOM_BYTES, class,
};
use quorate_core::message::{HISTORY_LINES_MAX, NAK_RANGES_MAX};
use quorate_core::{ClientKey, Stream};

use crate::samples::{client, member, samples};
use crate::{encoded, encoded_data};

/// What a datagram has at most by default, and the slice in it.
const DATAGRAM_BYTES: usize = 1_408;
const SLICE_BYTES: usize = 1_216;

#[test]
fn a_default_slice_fits_with_room_for_sealing() {
    assert_eq!(HEADER_BYTES, 48);
    assert_eq!(DATA_OVERHEAD_BYTES, 80);
    const { assert!(SLICE_BYTES + DATA_OVERHEAD_BYTES + SEALING_ROOM_BYTES <= DATAGRAM_BYTES) };
    const { assert!(CONTROL_BYTES_MAX + SEALING_ROOM_BYTES <= DATAGRAM_BYTES) };
    let slice = [7; SLICE_BYTES];
    for stream in [Stream::Log, Stream::Ingress(ClientKey(1)), Stream::Egress(ClientKey(1))] {
        let bytes = encoded_data(stream, 0, None, (&slice, &[]));
        assert_eq!(bytes.len(), SLICE_BYTES + DATA_OVERHEAD_BYTES);
        assert_eq!(bytes[DATA_OVERHEAD_BYTES..], slice);
    }
}

#[test]
fn the_largest_control_message_has_its_stated_size() {
    let longest = samples().iter().map(|(_, message)| encoded(member(), message).len()).max();
    assert_eq!(longest, Some(CONTROL_BYTES_MAX));
}

#[test]
fn the_schema_and_the_core_agree_on_limits_and_ids() {
    assert_eq!(usize::from(NakRangesDecoder::COUNT_MAX), NAK_RANGES_MAX);
    assert_eq!(usize::from(HistoryLinesDecoder::COUNT_MAX), HISTORY_LINES_MAX);
    assert_eq!(SCHEMA_ID, quorate_core::frame::SCHEMA_ID);
}

#[test]
fn every_datagram_has_a_class() {
    for (name, message) in samples() {
        assert!(class(&encoded(client(), &message)).is_some(), "{name}");
    }
    let data = encoded_data(Stream::Log, 0, None, (&[], &[]));
    assert_eq!(class(&data), Some(Class::LogData));
    assert_eq!(class(&data[..HEADER_BYTES - 1]), None);
    assert_eq!(class(&[0; 64]), None);
}
