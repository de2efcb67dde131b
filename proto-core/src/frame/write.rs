//! From bodies and payloads to frames.

use super::generated::{
    MessageEncoder, MessageHeader, ReplyEncoder, SCHEMA_VERSION, SafeMessageEncoder,
};
use super::{
    ALIGNMENT, BLOCK_BYTES_MAX, Body, CHECKSUM, FrameSeed, HEADER_BYTES, SCHEMA_ID, SEALED_FROM,
    aligned,
};

/// The front of a frame (header and block), ready to be written before its payload.
#[derive(Clone, Copy, Debug)]
pub struct FrameFront {
    bytes: [u8; HEADER_BYTES + BLOCK_BYTES_MAX],
    length: usize,
}

impl FrameFront {
    /// Lays out the front of a frame, with its checksum computed over `payload`.
    #[must_use]
    pub fn new(seed: FrameSeed, body: &Body, payload: (&[u8], &[u8])) -> Self {
        let payload_length = payload.0.len() + payload.1.len();
        let mut bytes = [0; HEADER_BYTES + BLOCK_BYTES_MAX];
        let length = write_front(body, payload_length, &mut bytes);
        let mut front = Self { bytes, length };
        let length = (front.length + payload_length) as u32;
        let padding = aligned(u64::from(length)) as usize - length as usize;
        let sum = seed
            .begin(length)
            .add(&front.bytes[SEALED_FROM..front.length])
            .add(payload.0)
            .add(payload.1)
            .add(&[0; ALIGNMENT as usize][..padding]);
        front.bytes[CHECKSUM].copy_from_slice(&sum.value().to_le_bytes());
        front
    }

    /// The bytes to write at the frame's position; the payload and the padding follow them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The checksum, for the chain value.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        u32::from_le_bytes([self.bytes[4], self.bytes[5], self.bytes[6], self.bytes[7]])
    }
}

/// Writes a whole frame over all of `place`, which has [`super::frame_bytes`] bytes; returns its
/// checksum.
#[inline(always)]
pub(crate) fn write(
    seed: FrameSeed,
    body: &Body,
    payload: (&[u8], &[u8]),
    place: &mut [u8],
) -> u32 {
    let payload_length = payload.0.len() + payload.1.len();
    if let Some(last) = place.last_chunk_mut::<{ ALIGNMENT as usize }>() {
        // The padding; what is no padding is written over.
        *last = [0; ALIGNMENT as usize];
    }
    let front = write_front(body, payload_length, place);
    let length = front + payload_length;
    let (first, rest) = place[front..].split_at_mut(payload.0.len());
    first.copy_from_slice(payload.0);
    if !payload.1.is_empty() {
        rest[..payload.1.len()].copy_from_slice(payload.1);
    }
    // One pass over the bytes where they lie.
    let checksum = seed.checksum(length as u32, &place[SEALED_FROM..], &[]);
    place[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

/// Bytes of header and block of the frames that there are most of.
const SHORT_FRONT: usize = HEADER_BYTES + MessageEncoder::BLOCK_LENGTH;
const _: () = assert!(ReplyEncoder::BLOCK_LENGTH == MessageEncoder::BLOCK_LENGTH);
// A message takes the same room whatever its reply waits for.
const _: () = assert!(SafeMessageEncoder::BLOCK_LENGTH == MessageEncoder::BLOCK_LENGTH);

/// Writes header and block, all but the checksum, to the beginning of `place`; returns how many
/// bytes they take.
#[inline(always)]
fn write_front(body: &Body, payload_length: usize, place: &mut [u8]) -> usize {
    let front = HEADER_BYTES + body.block_length();
    match (body, place.first_chunk_mut::<SHORT_FRONT>()) {
        // Of a length that is known here: that takes a handful of moves.
        (Body::Message { .. } | Body::Reply { .. }, Some(short)) => {
            fill_front(body, payload_length, short);
        }
        _ => fill_front(body, payload_length, &mut place[..front]),
    }
    front
}

#[inline(always)]
fn fill_front(body: &Body, payload_length: usize, front: &mut [u8]) {
    let header = MessageHeader {
        block_length: body.block_length() as u16,
        template_id: body.template(),
        schema_id: SCHEMA_ID,
        version: SCHEMA_VERSION,
    };
    let length = (front.len() + payload_length) as u32;
    front[0..4].copy_from_slice(&length.to_le_bytes());
    front[SEALED_FROM..HEADER_BYTES].copy_from_slice(&header.encode());
    let written = body.write(&mut front[HEADER_BYTES..]);
    assert!(written.is_some(), "every block fits the largest");
}
