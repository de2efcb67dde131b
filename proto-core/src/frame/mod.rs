//! Frames: how messages lie in the log, and in the ingress and egress streams of a session.
//!
//! ```text
//!  0        4          8             10        12      14       16        16+block   length  ↑8
//!  +--------+----------+-------------+---------+-------+--------+-----------+---------+-------+
//!  | length | checksum | blockLength |template | schema|version | SBE block | payload | zeros |
//!  +--------+----------+-------------+---------+-------+--------+-----------+---------+-------+
//!            CRC32C     \-------- SBE message header -----------/
//! ```
//!
//! The checksum is seeded with the group's tag, the leadership term and the frame's own position,
//! so a frame in the wrong place, or of the wrong leader, is a bad frame (rule 1, E51).

mod body;
mod checksum;
mod crc;
mod generated;
#[cfg(test)]
mod golden_tests;
mod read;
mod write;

pub use body::{Body, Level, MembershipPhase, SessionCloseReason, SnapshotCause, TermOpen};
pub(crate) use read::{Plain, Reader, body_of};
pub use read::{copy_front, parse_body, verify};
pub use write::FrameFront;
pub(crate) use write::write;

pub use checksum::{Checksum, FrameOwner, FrameSeed, chain_after};

use self::generated::{MessageHeader, TermOpenEncoder};

use crate::position::{Position, PositionRange};

/// Frames begin at multiples of this many bytes.
pub const ALIGNMENT: u64 = 8;
/// Length, checksum and SBE message header.
pub const HEADER_BYTES: usize = 16;
/// The largest SBE block of any frame kind of this version.
pub const BLOCK_BYTES_MAX: usize = TermOpenEncoder::BLOCK_LENGTH;
/// The SBE schema that frames belong to.
pub const SCHEMA_ID: u16 = generated::SCHEMA_ID;
/// The version of the log's layout in durable groups, and of all that is sent.
pub const LOG_VERSION: u16 = 1;
/// The version of terms in which committed bytes may be in memory only. Who knows no levels must
/// not take such a log for one whose bytes are durable: it refuses it by its version.
pub const LOG_VERSION_VOLATILE: u16 = 2;
/// What a message of `n` bytes takes in the log beyond `n`, at most.
pub const OVERHEAD_BYTES_MAX: usize = 48;

/// The header of a frame, as far as it can be trusted before the checksum is compared.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FrameHeader {
    /// Bytes from the beginning of the header to the end of the payload, without padding.
    pub length: u32,
    /// CRC32C over the seed, the length, and everything behind this field.
    pub checksum: u32,
    /// Bytes of the SBE block.
    pub block_length: u16,
    /// Which body the block is.
    pub template: u16,
    /// The version of the schema that the writer used.
    pub version: u16,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// There are fewer bytes than the frame needs.
    #[error("frame is cut short")]
    Truncated,
    /// The length is smaller than header and block, or larger than the limit.
    #[error("frame length {length} is out of range")]
    Length {
        /// The length that was claimed.
        length: u32,
    },
    /// The frame is of another schema.
    #[error("frame is of schema {schema}")]
    Schema {
        /// The schema that was claimed.
        schema: u16,
    },
    /// The checksum does not match: damage, another position, or another leader.
    #[error("frame checksum does not match")]
    Checksum,
    /// No such template, or its block is too short.
    #[error("frame template {template} is unknown or its block is short")]
    Template {
        /// The template that was claimed.
        template: u16,
    },
}

impl FrameHeader {
    /// Reads a header and checks its length against `length_max`.
    ///
    /// # Errors
    /// [`FrameError::Length`] or [`FrameError::Schema`].
    #[inline]
    pub fn parse(bytes: &[u8; HEADER_BYTES], length_max: u64) -> Result<Self, FrameError> {
        let [l0, l1, l2, l3, c0, c1, c2, c3, message @ ..] = *bytes;
        let message = MessageHeader::decode(&message);
        let header = Self {
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            checksum: u32::from_le_bytes([c0, c1, c2, c3]),
            block_length: message.block_length,
            template: message.template_id,
            version: message.version,
        };
        let least = HEADER_BYTES as u64 + u64::from(header.block_length);
        if u64::from(header.length) < least || u64::from(header.length) > length_max {
            return Err(FrameError::Length { length: header.length });
        }
        match message.schema_id {
            SCHEMA_ID => Ok(header),
            schema => Err(FrameError::Schema { schema }),
        }
    }

    /// Bytes that the frame takes in the stream, padding included.
    #[inline]
    #[must_use]
    pub const fn aligned_length(&self) -> u64 {
        aligned(self.length as u64)
    }

    /// Where the payload of the frame at `position` lies.
    #[must_use]
    pub const fn payload(&self, position: Position) -> PositionRange {
        let start = position.plus(HEADER_BYTES as u64 + self.block_length as u64);
        PositionRange::new(start, position.plus(self.length as u64))
    }
}

/// `length` rounded up to [`ALIGNMENT`].
#[must_use]
pub const fn aligned(length: u64) -> u64 {
    (length + (ALIGNMENT - 1)) & !(ALIGNMENT - 1)
}

/// Bytes that a frame with `body` and `payload_length` bytes of payload takes, padding included.
#[must_use]
pub fn frame_bytes(body: &Body, payload_length: usize) -> u64 {
    aligned((HEADER_BYTES + body.block_length()) as u64 + payload_length as u64)
}

/// Where the checksum lies in a frame.
const CHECKSUM: core::ops::Range<usize> = 4..8;
/// The checksum covers the frame from here on; what lies before is in its seed, or is itself.
const SEALED_FROM: usize = CHECKSUM.end;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{GroupTag, SessionId};
    use crate::term::Term;
    use crate::time::LogTime;
    use alloc::vec::Vec;

    fn message_frame(seed: FrameSeed, payload: &[u8]) -> Vec<u8> {
        let body = Body::Message { session: SessionId(64), sequence: 3, time: LogTime(9) };
        let mut bytes = FrameFront::new(seed, &body, (payload, &[])).bytes().to_vec();
        bytes.extend_from_slice(payload);
        bytes.resize(frame_bytes(&body, payload.len()) as usize, 0);
        bytes
    }

    fn seed(position: u64) -> FrameSeed {
        FrameSeed::new(GroupTag(5), Term(2), Position(position))
    }

    #[test]
    fn a_frame_verifies_however_it_is_split() {
        let bytes = message_frame(seed(128), b"a payload");
        for split in (8..=bytes.len()).step_by(8) {
            let (first, second) = bytes.split_at(split);
            let header = verify(seed(128), first, second, 1 << 20).unwrap();
            assert_eq!(header.payload(Position(128)).len(), 9);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = message_frame(seed(128), b"payload");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(seed(128), &damaged, &[], 1 << 20).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn e51_a_frame_elsewhere_or_of_another_term_is_a_bad_frame() {
        let bytes = message_frame(seed(128), b"payload");
        assert_eq!(verify(seed(136), &bytes, &[], 1 << 20), Err(FrameError::Checksum));
        let other_term = FrameSeed::new(GroupTag(5), Term(3), Position(128));
        assert_eq!(verify(other_term, &bytes, &[], 1 << 20), Err(FrameError::Checksum));
    }

    #[test]
    fn the_overhead_of_a_message_is_at_most_48_bytes() {
        for payload in 0..64 {
            let body = Body::Message { session: SessionId(1), sequence: 1, time: LogTime(0) };
            assert!(frame_bytes(&body, payload) as usize <= payload + OVERHEAD_BYTES_MAX);
        }
    }
}
