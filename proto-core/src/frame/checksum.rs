//! CRC32C over frames and datagrams, seeded with where and whose the bytes are.

use super::{ALIGNMENT, crc};
use crate::hash::mix;
use crate::identity::GroupTag;
use crate::mutant;
use crate::position::Position;
use crate::term::{Chain, Term};

/// A running CRC32C (Castagnoli, RFC 3720 appendix B.4).
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum(u32);

impl Checksum {
    /// The checksum of the bytes so far, to go on from.
    #[inline]
    #[must_use]
    pub const fn continued(value: u32) -> Self {
        Self(value)
    }

    /// This checksum continued over `bytes`.
    #[inline]
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "it is no sum, and takes a slice")]
    pub fn add(self, bytes: &[u8]) -> Self {
        if bytes.is_empty() { self } else { Self(crc::continued(self.0, bytes)) }
    }

    /// The value.
    #[inline]
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// What seals frames of one owner in one stream: a hash of the group's tag and the term.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FrameOwner(u32);

impl FrameOwner {
    /// The owner of frames of `term` in the stream of `tag`: that of the group and its recovery
    /// epoch, for session streams also of the session. Their term is zero.
    #[must_use]
    pub const fn new(tag: GroupTag, term: Term) -> Self {
        Self(mix(tag.0, term.0) as u32)
    }

    /// The seed of this owner's frame at `position`.
    #[inline]
    #[must_use]
    pub const fn at(self, position: Position) -> FrameSeed {
        FrameSeed { owner: self, position }
    }
}

/// What seeds the checksum of a frame: whose it is and where it lies (rule 1). It costs no bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameSeed {
    /// Whose the frame is.
    pub owner: FrameOwner,
    /// The frame's position in its stream.
    pub position: Position,
}

impl FrameSeed {
    /// The seed of a frame of `term` at `position` in the stream of `tag`.
    #[must_use]
    pub const fn new(tag: GroupTag, term: Term, position: Position) -> Self {
        FrameOwner::new(tag, term).at(position)
    }

    /// What the CRC of a frame of `length` bytes (unpadded) is continued from. For frames of one
    /// owner it differs for all lengths at one place, and for all places within the same 32 GiB of
    /// the stream; all else is told apart as well as 32 bits can.
    #[inline]
    #[must_use]
    pub const fn initial(&self, length: u32) -> u32 {
        let place = self.position.0 / ALIGNMENT;
        let far = ((place >> 32) as u32).wrapping_mul(0x9e37_79b1);
        self.owner.0 ^ place as u32 ^ far ^ length.wrapping_mul(0x85eb_ca6b)
    }

    /// What the checksum of a frame of `length` bytes (unpadded) begins with.
    #[inline]
    pub(super) fn begin(&self, length: u32) -> Checksum {
        let seed = match mutant::is(mutant::CHECKSUM_WITHOUT_PLACE) {
            true => Self { position: Position::ZERO, ..*self },
            false => *self,
        };
        Checksum::continued(seed.initial(length))
    }

    /// The checksum of a frame of `length` bytes (unpadded) whose bytes behind the checksum field,
    /// padding included, are `first` and `second` joined.
    #[inline]
    #[must_use]
    pub fn checksum(&self, length: u32, first: &[u8], second: &[u8]) -> u32 {
        self.begin(length).add(first).add(second).value()
    }
}

/// The chain value behind a frame, from the one before it (rule 15).
#[must_use]
#[inline]
pub const fn chain_after(chain: Chain, term: Term, position: Position, checksum: u32) -> Chain {
    // The checksum is seeded with term and position too: here they keep apart what it may not.
    let place = position.0.wrapping_mul(0x9fb2_1c65_1e98_df25) ^ term.0.rotate_left(40);
    Chain(mix(chain.0, place ^ checksum as u64))
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
        let bytes: [u8; 1_500] = core::array::from_fn(|at| (at * 7) as u8);
        let whole = Checksum::default().add(&bytes).value();
        for split in 0..bytes.len() {
            let (first, second) = bytes.split_at(split);
            assert_eq!(Checksum::default().add(first).add(second).value(), whole);
        }
    }

    #[test]
    fn e51_the_seed_differs_by_place_length_and_owner() {
        let seed =
            |tag, term, position| FrameSeed::new(GroupTag(tag), Term(term), Position(position));
        let here = seed(1, 2, 64);
        let others = [seed(1, 2, 72), seed(1, 2, 64 + (1 << 35)), seed(1, 3, 64), seed(2, 2, 64)];
        for other in others {
            assert_ne!(here.initial(40), other.initial(40), "{other:?}");
        }
        assert_ne!(here.initial(40), here.initial(41));
    }
}
