//! Bytes of any kind are refused, or are a sound message that says the same when it is encoded
//! again.

use core::ops::Range;

use quorate_codecs::generated::SCHEMA_ID;
use quorate_codecs::{CONTROL_BYTES_MAX, DATA_OVERHEAD_BYTES, HEADER_BYTES, Header, MAGIC};
use quorate_codecs::{WIRE_VERSION, class, encode_control, encode_data};
use quorate_core::frame::{
    self, Checksum, FrameFront, FrameHeader, FrameSeed, LOG_VERSION, aligned, parse_body,
};
use quorate_core::{Incoming, Position, Term};

use crate::{TAG, seal};

const FRAME_BYTES_MAX: u64 = 64 << 10;
const SEED: FrameSeed = FrameSeed::new(TAG, Term(3), Position(4_096));

/// Where fields of a datagram lie.
const SENDER_KIND: usize = 36;
const TEMPLATE: usize = 42;
const SCHEMA: Range<usize> = 44..46;
/// Where templates begin, and how many are tried.
const TEMPLATES: Range<u8> = 16..24;

/// Reads `bytes` as a datagram and as a frame: as they are, and once more with what keeps strangers
/// out put right, so that what lies behind is reached.
///
/// # Panics
/// If what decodes cannot be encoded, or then says something else.
pub fn decode(bytes: &[u8]) {
    let _ = class(bytes);
    check_datagram(bytes);
    let mut bytes = bytes.to_vec();
    check_frame(&bytes);
    if admit_datagram(&mut bytes) {
        check_datagram(&bytes);
    }
    if admit_frame(&mut bytes) {
        check_frame(&bytes);
    }
}

/// Gives `datagram` the fields and the checksum that it is refused without.
fn admit_datagram(datagram: &mut [u8]) -> bool {
    if datagram.len() < HEADER_BYTES {
        return false;
    }
    datagram[0..2].copy_from_slice(&MAGIC.to_le_bytes());
    datagram[2] = WIRE_VERSION;
    datagram[3] = LOG_VERSION as u8;
    datagram[8..16].copy_from_slice(&TAG.0.to_le_bytes());
    // A kind of sender that there is, with a number that members may have; a known schema, and
    // mostly a known template.
    datagram[18..24].fill(0);
    datagram[SENDER_KIND] %= 2;
    datagram[TEMPLATE] = TEMPLATES.start + datagram[TEMPLATE] % TEMPLATES.end;
    datagram[TEMPLATE + 1] = 0;
    datagram[SCHEMA].copy_from_slice(&SCHEMA_ID.to_le_bytes());
    seal(datagram);
    true
}

fn check_datagram(datagram: &[u8]) {
    let Ok((sender, content)) = quorate_codecs::decode(datagram, TAG) else { return };
    assert!(class(datagram).is_some(), "what decodes has a class");
    let header = Header { tag: TAG, sender };
    let mut buffer = vec![0; CONTROL_BYTES_MAX.max(datagram.len() + DATA_OVERHEAD_BYTES)];
    let encoded = match &content {
        Incoming::Control(message) => encode_control(&header, message, &mut buffer),
        &Incoming::Data { stream, epoch, position, live, slice } => {
            encode_data(&header, stream, epoch, position, live, (slice, &[]), &mut buffer)
        }
    };
    let length = encoded.unwrap_or_else(|error| panic!("{content:?} is not encoded: {error}"));
    let again = quorate_codecs::decode(&buffer[..length], TAG);
    assert_eq!(again, Ok((sender, content)), "what was encoded again says something else");
}

/// Gives `bytes` the length and the checksum of the frame at [`SEED`].
fn admit_frame(bytes: &mut Vec<u8>) -> bool {
    if bytes.len() < frame::HEADER_BYTES {
        return false;
    }
    let length = bytes.len() as u32;
    bytes.resize(aligned(u64::from(length)) as usize, 0);
    bytes[0..4].copy_from_slice(&length.to_le_bytes());
    bytes[12..14].copy_from_slice(&frame::SCHEMA_ID.to_le_bytes());
    let checksum = Checksum::continued(SEED.initial(length)).add(&bytes[8..]).value();
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    true
}

fn check_frame(bytes: &[u8]) {
    let Ok(header) = frame::verify(SEED, bytes, &[], FRAME_BYTES_MAX) else { return };
    let Ok(body) = parse_body(&header, bytes) else { return };
    // What a newer version adds to a block is read over, and lost.
    let payload = header.payload(SEED.position);
    let at = |position: Position| position.since(SEED.position) as usize;
    let payload = &bytes[at(payload.start)..at(payload.end)];
    let front = FrameFront::new(SEED, &body, (payload, &[]));
    let mut again = [front.bytes(), payload].concat();
    again.resize(aligned(again.len() as u64) as usize, 0);
    let found = frame::verify(SEED, &again, &[], FRAME_BYTES_MAX);
    let length = (front.bytes().len() + payload.len()) as u32;
    assert!(matches!(found, Ok(FrameHeader { length: same, .. }) if same == length), "{found:?}");
    let read = found.and_then(|header| parse_body(&header, &again));
    assert_eq!(read, Ok(body), "what was framed again says something else");
}
