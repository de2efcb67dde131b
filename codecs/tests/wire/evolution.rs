//! Readers and writers of different versions.

#[expect(dead_code, reason = "generated in full, used in part")]
mod newer;
#[expect(dead_code, reason = "generated in full, used in part")]
mod older;

use quorate_codecs::{DecodeError, HEADER_BYTES, decode};
use quorate_core::message::Live;
use quorate_core::{Incoming, Position, Stream};

use crate::samples::{member, samples};
use crate::{TAG, encoded, encoded_data, seal};

/// Where the block length and the version lie.
const BLOCK_LENGTH: usize = 40;
const VERSION: usize = 46;

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// `datagram` as a writer of the next version sends it: `block` more bytes in the block, `entry`
/// more in each entry of its group if it has one, and `tail` behind everything.
fn by_newer(datagram: &[u8], block: usize, entry: usize, tail: &[u8]) -> Vec<u8> {
    let length = u16_at(datagram, BLOCK_LENGTH);
    let (front, rest) = datagram.split_at(HEADER_BYTES + usize::from(length));
    let mut bytes = front.to_vec();
    bytes.extend(core::iter::repeat_n(0xa5, block));
    let longer = length + block as u16;
    bytes[BLOCK_LENGTH..BLOCK_LENGTH + 2].copy_from_slice(&longer.to_le_bytes());
    bytes[VERSION..VERSION + 2].copy_from_slice(&2_u16.to_le_bytes());
    if rest.len() >= 4 {
        let entry_length = usize::from(u16_at(rest, 0));
        bytes.extend_from_slice(&((entry_length + entry) as u16).to_le_bytes());
        bytes.extend_from_slice(&rest[2..4]);
        for old in rest[4..].chunks(entry_length) {
            bytes.extend_from_slice(old);
            bytes.extend(core::iter::repeat_n(0x5a, entry));
        }
    }
    bytes.extend_from_slice(tail);
    seal(&mut bytes);
    bytes
}

/// A group of two entries of four bytes, then data of three.
const TAIL: [u8; 17] = [4, 0, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 3, 0, 9, 9, 9];

#[test]
fn e119_an_old_reader_skips_what_a_newer_writer_adds() {
    for (name, message) in samples() {
        let bytes = encoded(member(), &message);
        for (block, entry, tail) in [(8, 0, &[][..]), (0, 8, &[]), (0, 0, &TAIL), (24, 6, &TAIL)] {
            let newer = by_newer(&bytes, block, entry, tail);
            let expected = Ok((member(), Incoming::Control(message.clone())));
            assert_eq!(decode(&newer, TAG), expected, "{name}: {block} {entry} {tail:?}");
        }
    }
}

#[test]
fn e119_an_old_reader_finds_the_slice_behind_a_longer_block() {
    let live = Some(Live { newest: Position(64), commit: Position(32) });
    let slice = [3; 16];
    let bytes = encoded_data(Stream::Log, 64, live, (&[], &[]));
    let newer = by_newer(&bytes, 8, 0, &slice);
    let expected = Incoming::Data {
        stream: Stream::Log,
        epoch: 9,
        position: Position(64),
        live,
        slice: &slice,
    };
    assert_eq!(decode(&newer, TAG), Ok((member(), expected)));
}

#[test]
fn a_block_that_is_shorter_than_its_version_needs_is_refused() {
    for (name, message) in samples() {
        let mut bytes = encoded(member(), &message);
        bytes[BLOCK_LENGTH..BLOCK_LENGTH + 2].copy_from_slice(&4_u16.to_le_bytes());
        seal(&mut bytes);
        assert_eq!(decode(&bytes, TAG), Err(DecodeError::Block), "{name}");
    }
}

fn older_order() -> Vec<u8> {
    let mut bytes = vec![0; 64];
    let mut order = older::OrderEncoder::wrap(&mut bytes).unwrap();
    order.set_number(7).set_limit(8);
    let mut items = order.into_items(2).unwrap();
    items.next_entry().unwrap().set_article(1);
    items.next_entry().unwrap().set_article(2);
    assert!(items.next_entry().is_none());
    bytes.truncate(older::OrderEncoder::BLOCK_LENGTH + older::OrderItemsEncoder::bytes(2));
    bytes
}

fn newer_order() -> Vec<u8> {
    let mut bytes = vec![0; 128];
    let mut order = newer::OrderEncoder::wrap(&mut bytes).unwrap();
    order.set_number(7).set_due(9).set_urgency(newer::Urgency::High);
    let mut items = order.into_items(2).unwrap();
    items.next_entry().unwrap().set_article(1).set_count(5);
    items.next_entry().unwrap().set_article(2).set_count(6);
    let mut notes = items.into_notes(1).unwrap();
    notes.next_entry().unwrap().set_note(11);
    let groups = newer::OrderItemsEncoder::bytes(2) + newer::OrderNotesEncoder::bytes(1);
    bytes.truncate(newer::OrderEncoder::BLOCK_LENGTH + groups);
    bytes
}

#[test]
fn a_newer_reader_finds_older_fields_and_misses_newer_ones() {
    let bytes = older_order();
    let length = older::OrderEncoder::BLOCK_LENGTH as u16;
    let order = newer::OrderDecoder::wrap(&bytes, length, 1).unwrap();
    assert_eq!((order.number(), order.limit()), (7, Some(8)));
    assert_eq!((order.due(), order.urgency()), (None, None));
    let items: Vec<_> = order.items().map(|item| (item.article(), item.count())).collect();
    assert_eq!(items, [(1, None), (2, None)]);
    assert_eq!(order.notes().count(), 0);
    // A writer of version 2 has more, so the same block is too short, and so is one of 3.
    for version in [2, 3] {
        let result = newer::OrderDecoder::wrap(&bytes, length, version);
        assert_eq!(result.err(), Some(newer::Malformed::Block));
    }
}

#[test]
fn an_older_reader_skips_newer_fields_and_groups() {
    let bytes = newer_order();
    let length = newer::OrderEncoder::BLOCK_LENGTH as u16;
    let order = older::OrderDecoder::wrap(&bytes, length, 3).unwrap();
    assert_eq!((order.number(), order.limit()), (7, None));
    let items: Vec<u32> = order.items().map(|item| item.article()).collect();
    assert_eq!(items, [1, 2]);
}

#[test]
fn a_reader_of_the_same_version_finds_all() {
    let bytes = newer_order();
    let length = newer::OrderEncoder::BLOCK_LENGTH as u16;
    let order = newer::OrderDecoder::wrap(&bytes, length, 3).unwrap();
    assert_eq!((order.due(), order.urgency()), (Some(9), Some(newer::Urgency::High)));
    let items: Vec<_> = order.items().map(|item| (item.article(), item.count())).collect();
    assert_eq!(items, [(1, Some(5)), (2, Some(6))]);
    let notes: Vec<u64> = order.notes().map(|note| note.note()).collect();
    assert_eq!(notes, [11]);
    for cut in 0..bytes.len() {
        let result = newer::OrderDecoder::wrap(&bytes[..cut], length, 3);
        assert_eq!(result.err(), Some(newer::Malformed::Truncated), "cut to {cut}");
    }
}
