//! Bytes that nobody should send.

use quorate_codecs::{
    DATA_OVERHEAD_BYTES, DATAGRAM_BYTES_MAX, DecodeError, EncodeError, HEADER_BYTES, Header,
    decode, encode_control, encode_data,
};
use quorate_core::message::{EpochRange, HISTORY_PARTS_MAX, Live, NAK_RANGES_MAX};
use quorate_core::{
    ClientKey, GroupTag, Message, Position, PositionRange, SessionId, SnapshotPoint, Stream, Term,
};

use crate::samples::{member, samples};
use crate::{TAG, encoded, encoded_data, seal};

/// Where the block begins.
const BLOCK: usize = HEADER_BYTES;

#[test]
fn every_prefix_of_every_message_is_refused() {
    for (name, message) in samples() {
        let bytes = encoded(member(), &message);
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length], TAG).is_err(), "{name} cut to {length}");
            let mut cut = bytes[..length].to_vec();
            seal(&mut cut);
            assert_eq!(decode(&cut, TAG), Err(DecodeError::Truncated), "{name} cut to {length}");
        }
    }
}

#[test]
fn every_prefix_of_data_is_refused() {
    let bytes = encoded_data(Stream::Log, 64, None, (&[1; 24], &[]));
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length], TAG).is_err(), "cut to {length}");
        let mut cut = bytes[..length].to_vec();
        seal(&mut cut);
        // Behind its block the rest is the slice, however long: only the alignment tells.
        let whole = length >= DATA_OVERHEAD_BYTES && length % 8 == 0;
        assert_eq!(decode(&cut, TAG).is_ok(), whole, "cut to {length}");
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = encoded_data(Stream::Log, 64, None, (&[1; 24], &[]));
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&damaged, TAG).is_err(), "bit {bit}");
    }
}

/// A heartbeat with `bytes` at `at`, and its checksum right.
fn changed(message: &Message, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut datagram = encoded(member(), message);
    datagram[at..at + bytes.len()].copy_from_slice(bytes);
    seal(&mut datagram);
    datagram
}

#[test]
fn each_header_field_has_its_error() {
    let (candidate, key) = (quorate_core::MemberId(2), quorate_core::VoteKey::default());
    let ballot = Message::Ballot { term: Term(1), candidate, granted: true, key };
    let cases: [(usize, &[u8], DecodeError); 10] = [
        (0, &[0], DecodeError::Magic),
        (2, &[2], DecodeError::WireVersion),
        (3, &[0], DecodeError::LogVersion),
        (3, &[2], DecodeError::LogVersion),
        (8, &[0], DecodeError::ForeignGroup),
        (18, &[1], DecodeError::Sender),
        (36, &[2], DecodeError::Sender),
        (40, &[8], DecodeError::Block),
        (42, &[99], DecodeError::Template),
        (44, &[0], DecodeError::Schema),
    ];
    for (at, bytes, error) in cases {
        assert_eq!(decode(&changed(&ballot, at, bytes), TAG), Err(error), "byte {at}");
    }
    // Reserved bytes are ignored.
    assert!(decode(&changed(&ballot, 37, &[1, 2, 3]), TAG).is_ok());
    let mut damaged = changed(&ballot, BLOCK, &[9]);
    damaged[BLOCK] = 8;
    assert_eq!(decode(&damaged, TAG), Err(DecodeError::Checksum));
    assert_eq!(decode(&changed(&ballot, BLOCK, &[9]), GroupTag(1)), Err(DecodeError::ForeignGroup));
    let huge = vec![0; DATAGRAM_BYTES_MAX + 1];
    assert_eq!(decode(&huge, TAG), Err(DecodeError::Oversized));
}

#[test]
fn unknown_values_of_enumerations_are_refused() {
    let find = |wanted: &str| {
        samples().into_iter().find(|(name, _)| name == wanted).map(|(_, message)| message).unwrap()
    };
    let cases = [
        ("Ballot typical", BLOCK + 26),
        ("CanvassReply typical", BLOCK + 32),
        ("ConnectReply.Open typical", BLOCK + 60),
        ("Nak typical", BLOCK + 8),
        ("StreamStatus typical", BLOCK + 8),
    ];
    for (name, at) in cases {
        let datagram = changed(&find(name), at, &[77]);
        assert_eq!(decode(&datagram, TAG), Err(DecodeError::Enumeration), "{name}");
    }
    let mut data = encoded_data(Stream::Ingress(ClientKey(1)), 0, None, (&[], &[]));
    for kind in [0, 77] {
        data[BLOCK + 24] = kind;
        seal(&mut data);
        assert_eq!(decode(&data, TAG), Err(DecodeError::Enumeration), "kind {kind}");
    }
}

#[test]
fn groups_keep_their_limits() {
    let nak = Message::Nak { stream: Stream::Log, ranges: [EpochRange::default(); 2][..].into() };
    let size = BLOCK + 16;
    assert_eq!(decode(&changed(&nak, size, &[23, 0]), TAG), Err(DecodeError::Group));
    assert_eq!(decode(&changed(&nak, size, &[0, 0]), TAG), Err(DecodeError::Group));
    assert_eq!(decode(&changed(&nak, size + 2, &[33, 0]), TAG), Err(DecodeError::Group));
    assert_eq!(decode(&changed(&nak, size, &[0xff, 0xff]), TAG), Err(DecodeError::Truncated));
    assert_eq!(decode(&changed(&nak, size + 2, &[3, 0]), TAG), Err(DecodeError::Truncated));
    let header = Header { tag: TAG, sender: member() };
    let count = NAK_RANGES_MAX + 1;
    let many = Message::Nak {
        stream: Stream::Log,
        ranges: core::iter::repeat_n(EpochRange::default(), count).collect(),
    };
    let refused = Err(EncodeError::Count { count, limit: NAK_RANGES_MAX });
    assert_eq!(encode_control(&header, &many, &mut [0; 2_048]), refused);
}

#[test]
fn e96_positions_that_cannot_be_are_neither_sent_nor_taken() {
    let beyond = Position(Position::MAX.0 + 1);
    let backwards = PositionRange::new(Position(16), Position(8));
    let stream = Stream::Log;
    let range = EpochRange { epoch: 1, range: backwards };
    let crooked = PositionRange::new(Position(8), Position(17));
    let unaligned = EpochRange { epoch: 1, range: crooked };
    let history = |part, parts| Message::History {
        term: Term(1),
        above: Position(0),
        part,
        parts,
        checksum: 0,
        lines: [].into_iter().collect(),
    };
    let cases = [
        (Message::HistoryRequest { term: Term(1), commit: beyond }, DecodeError::Position),
        (Message::Close { connection: 1, session: SessionId(beyond.0) }, DecodeError::Position),
        (Message::Nak { stream, ranges: [range][..].into() }, DecodeError::Position),
        (Message::Nak { stream, ranges: [unaligned][..].into() }, DecodeError::Position),
        (history(1, 1), DecodeError::Part),
        (history(0, HISTORY_PARTS_MAX + 1), DecodeError::Part),
    ];
    let header = Header { tag: TAG, sender: member() };
    for (message, error) in cases {
        let result = encode_control(&header, &message, &mut [0; 256]);
        assert_eq!(result, Err(EncodeError::Refused(error)), "{message:?}");
    }
    let request = Message::HistoryRequest { term: Term(1), commit: Position(8) };
    let datagram = changed(&request, BLOCK + 8, &beyond.0.to_le_bytes());
    assert_eq!(decode(&datagram, TAG), Err(DecodeError::Position));
    let none = SnapshotPoint::default();
    let offer = |core_bytes, service_bytes| {
        let term = Term(1);
        Message::SnapshotOffer { term, point: none, core_bytes, service_bytes, digest: 0 }
    };
    for (core_bytes, service_bytes) in [(u64::MAX, 1), (1, Position::MAX.0), (0, u64::MAX)] {
        let result = encode_control(&header, &offer(core_bytes, service_bytes), &mut [0; 256]);
        assert_eq!(result, Err(EncodeError::Refused(DecodeError::Position)));
        let datagram = changed(&offer(0, 0), BLOCK + 40, &core_bytes.to_le_bytes());
        let known = decode(&datagram, TAG).is_ok();
        assert_eq!(known, core_bytes <= Position::MAX.0);
    }
    let gone = Message::Unavailable { stream, range: EpochRange::default(), oldest: Position(0) };
    let datagram = changed(&gone, BLOCK + 24, &[1]);
    assert_eq!(decode(&datagram, TAG), Err(DecodeError::Position));
}

#[test]
fn slices_that_cannot_be_are_neither_sent_nor_taken() {
    let header = Header { tag: TAG, sender: member() };
    let key = Stream::Ingress(ClientKey(1));
    let live = Some(Live { newest: Position(8), commit: Position(8) });
    let send = |stream, position, live, length: usize| {
        let slice: (&[u8], &[u8]) = (&vec![0; length], &[]);
        encode_data(&header, stream, 1, Position(position), live, slice, &mut [0; 1_408])
    };
    let refused = Err(EncodeError::Refused(DecodeError::Position));
    assert_eq!(send(Stream::Log, 4, None, 8), refused);
    assert_eq!(send(Stream::Log, 8, None, 4), refused);
    assert_eq!(send(Stream::Snapshot, 4, None, 8), refused);
    assert_eq!(send(Stream::Snapshot, 8, None, 4), refused);
    assert_eq!(send(key, 4, None, 3), Ok(DATA_OVERHEAD_BYTES + 3));
    assert_eq!(send(key, Position::MAX.0, None, 1), refused);
    assert_eq!(send(key, u64::MAX, None, 1), refused);
    assert_eq!(send(key, 8, live, 8), Err(EncodeError::Live));
    let (needed, room) = (DATA_OVERHEAD_BYTES + 1_408, 1_408);
    assert_eq!(send(key, 8, None, 1_408), Err(EncodeError::Room { needed, room }));

    let mut data = encoded_data(Stream::Log, 64, live, (&[1; 24], &[]));
    for (at, bytes) in [(8, [65, 0, 0, 0, 0, 0, 0, 0]), (8, [0xff; 8]), (16, [0xff; 8])] {
        let kept = data.clone();
        data[BLOCK + at..BLOCK + at + 8].copy_from_slice(&bytes);
        seal(&mut data);
        assert_eq!(decode(&data, TAG), Err(DecodeError::Position), "byte {at}");
        data = kept;
    }
}

#[test]
fn a_buffer_that_is_too_small_is_refused() {
    let header = Header { tag: TAG, sender: member() };
    for (name, message) in samples() {
        let needed = encoded(member(), &message).len();
        for room in 0..needed {
            let result = encode_control(&header, &message, &mut vec![0; room]);
            assert_eq!(result, Err(EncodeError::Room { needed, room }), "{name}");
        }
    }
}

#[test]
fn errors_have_names_of_their_own() {
    let mut names: Vec<&str> = DecodeError::ALL.map(DecodeError::name).to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), DecodeError::ALL.len());
}
