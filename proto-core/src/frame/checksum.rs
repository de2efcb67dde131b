//! CRC32C over frames and datagrams, seeded with where and whose the bytes are.

use crate::hash::mix;
use crate::identity::GroupTag;
use crate::position::Position;
use crate::term::{Chain, Term};

#[cfg(not(feature = "std"))]
static PORTABLE: crc::Crc<u32, crc::Table<16>> =
    crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);

/// A running CRC32C (Castagnoli, RFC 3720 appendix B.4).
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum(u32);

impl Checksum {
    /// This checksum continued over `bytes`.
    #[cfg(feature = "std")]
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "it is no sum, and takes a slice")]
    pub fn add(self, bytes: &[u8]) -> Self {
        Self(crc32c::crc32c_append(self.0, bytes))
    }

    /// This checksum continued over `bytes`.
    #[cfg(not(feature = "std"))]
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "it is no sum, and takes a slice")]
    pub fn add(self, bytes: &[u8]) -> Self {
        // The library takes the register before reflection and final inversion.
        let mut digest = PORTABLE.digest_with_initial((!self.0).reverse_bits());
        digest.update(bytes);
        Self(digest.finalize())
    }

    /// The value.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// What seeds the checksum of a frame: whose it is and where it lies (rule 1). It costs no bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameSeed {
    /// The group and its recovery epoch; for session streams also of the session.
    pub tag: GroupTag,
    /// The leadership term that owns the frame's bytes; zero in session streams.
    pub term: Term,
    /// The frame's position in its stream.
    pub position: Position,
}

impl FrameSeed {
    /// The checksum of a frame of `length` bytes (unpadded) whose bytes behind the checksum field,
    /// padding included, are `rest` joined.
    #[must_use]
    pub fn checksum(&self, length: u32, rest: [&[u8]; 4]) -> u32 {
        let mut seed = [0; 28];
        seed[0..8].copy_from_slice(&self.tag.0.to_le_bytes());
        seed[8..16].copy_from_slice(&self.term.0.to_le_bytes());
        seed[16..24].copy_from_slice(&self.position.0.to_le_bytes());
        seed[24..28].copy_from_slice(&length.to_le_bytes());
        rest.iter().fold(Checksum::default().add(&seed), |sum, part| sum.add(part)).value()
    }
}

/// The chain value behind a frame, from the one before it (rule 15).
#[must_use]
pub const fn chain_after(chain: Chain, term: Term, position: Position, checksum: u32) -> Chain {
    Chain(mix(mix(chain.0, position.0), (term.0 << 32) ^ checksum as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_castagnoli_polynomial() {
        assert_eq!(Checksum::default().add(b"123456789").value(), 0xe306_9283);
    }

    #[test]
    fn a_checksum_continues() {
        let whole = Checksum::default().add(b"123456789").value();
        for split in 0..9 {
            let (first, second) = b"123456789".split_at(split);
            assert_eq!(Checksum::default().add(first).add(second).value(), whole);
        }
    }
}
