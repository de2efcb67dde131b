//! The bytes of a stream around its newest position.

use alloc::vec;
use alloc::vec::Vec;

use crate::frame::{self, ALIGNMENT, Body, FrameFront, FrameSeed, frame_bytes};
use crate::position::{Position, PositionRange};

/// A ring of bytes addressed by stream position. It does not know which bytes are held; its owner
/// does, and never asks for a range that is longer than the ring.
///
/// It may be smaller than its capacity for as long as less is held: bytes that are written over and
/// over again stay in the processor's cache, which a large ring does not fit.
#[derive(Clone, Debug)]
pub struct Ring {
    /// As many as it has now, a power of two.
    bytes: Vec<u8>,
    /// As many as it may have, a power of two.
    capacity: u64,
}

impl Ring {
    /// A zeroed ring of `capacity` bytes, a power of two.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        assert!(
            capacity.is_power_of_two() && capacity >= ALIGNMENT,
            "a ring's capacity must be a power of two, at least {ALIGNMENT}"
        );
        Self { bytes: vec![0; capacity as usize], capacity }
    }

    /// A zeroed ring of `size` bytes that grows to `capacity`, both powers of two. The memory for
    /// all of them is allocated here.
    #[must_use]
    pub(crate) fn growing(size: u64, capacity: u64) -> Self {
        let size = size.min(capacity);
        assert!(
            capacity.is_power_of_two() && size.is_power_of_two() && size >= ALIGNMENT,
            "a ring's size and capacity must be powers of two, at least {ALIGNMENT}"
        );
        let mut bytes = Vec::with_capacity(capacity as usize);
        bytes.resize(size as usize, 0);
        Self { bytes, capacity }
    }

    /// How many bytes fit, at most.
    #[inline]
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// How many bytes fit now.
    #[inline]
    #[must_use]
    pub(crate) const fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Doubles the ring; the bytes of `held` are kept.
    pub(crate) fn grow(&mut self, held: PositionRange) {
        let size = self.size();
        assert!(size < self.capacity && held.len() <= size, "{held} cannot have more room");
        self.bytes.resize(2 * size as usize, 0);
        let moved = in_odd_blocks(held, size);
        let from = moved.start.0 as usize & (size as usize - 1);
        self.bytes.copy_within(from..from + moved.len() as usize, from + size as usize);
    }

    /// Halves the ring; the bytes of `held`, which fit, are kept.
    pub(crate) fn shrink(&mut self, held: PositionRange) {
        let half = self.size() / 2;
        assert!(half >= ALIGNMENT && held.len() <= half, "{held} does not fit half of the ring");
        let moved = in_odd_blocks(held, half);
        let to = moved.start.0 as usize & (half as usize - 1);
        let from = to + half as usize;
        self.bytes.copy_within(from..from + moved.len() as usize, to);
        self.bytes.truncate(half as usize);
    }

    /// The bytes of `range`, in two slices if the range passes the ring's end.
    #[inline]
    #[must_use]
    pub fn slices(&self, range: PositionRange) -> (&[u8], &[u8]) {
        assert!(range.len() <= self.size(), "{range} is longer than the ring");
        let start = self.offset(range.start);
        let end = start + range.len() as usize;
        if end <= self.bytes.len() {
            (&self.bytes[start..end], &[])
        } else {
            (&self.bytes[start..], &self.bytes[..end - self.bytes.len()])
        }
    }

    /// Copies `bytes` to `position` and behind.
    #[inline]
    pub fn write(&mut self, position: Position, bytes: &[u8]) {
        assert!(bytes.len() <= self.bytes.len(), "a write is longer than the ring");
        let start = self.offset(position);
        match self.bytes.get_mut(start..start + bytes.len()) {
            Some(place) => place.copy_from_slice(bytes),
            None => self.write_in_two(start, bytes),
        }
    }

    #[cold]
    #[inline(never)]
    fn write_in_two(&mut self, start: usize, bytes: &[u8]) {
        let first = bytes.len().min(self.bytes.len() - start);
        self.bytes[start..start + first].copy_from_slice(&bytes[..first]);
        self.bytes[..bytes.len() - first].copy_from_slice(&bytes[first..]);
    }

    /// Writes a frame to the seed's position; returns where it lies, and its checksum. The caller
    /// has checked that there is room.
    #[inline(always)]
    pub(crate) fn write_frame(
        &mut self,
        seed: FrameSeed,
        body: &Body,
        payload: (&[u8], &[u8]),
    ) -> (PositionRange, u32) {
        let payload_length = payload.0.len() + payload.1.len();
        let range = PositionRange::at(seed.position, frame_bytes(body, payload_length));
        let start = self.offset(seed.position);
        let checksum = match self.bytes.get_mut(start..start + range.len() as usize) {
            Some(place) => frame::write(seed, body, payload, place),
            None => self.write_around_the_end(seed, body, payload),
        };
        (range, checksum)
    }

    #[cold]
    #[inline(never)]
    fn write_around_the_end(
        &mut self,
        seed: FrameSeed,
        body: &Body,
        payload: (&[u8], &[u8]),
    ) -> u32 {
        crate::mark::reached(crate::mark::WINDOW_WRAPS);
        let front = FrameFront::new(seed, body, payload);
        let length = front.bytes().len() + payload.0.len() + payload.1.len();
        let padding = frame_bytes(body, payload.0.len() + payload.1.len()) as usize - length;
        let mut at = seed.position;
        for part in [front.bytes(), payload.0, payload.1, &[0; 8][..padding]] {
            self.write(at, part);
            at = at.plus(part.len() as u64);
        }
        front.checksum()
    }

    #[inline]
    fn offset(&self, position: Position) -> usize {
        position.0 as usize & (self.bytes.len() - 1)
    }
}

/// The part of `held`, which is no longer than `block` bytes, that lies in blocks with an odd
/// number: those lie behind the others in a ring of two blocks, and in the same place in a ring of
/// one.
const fn in_odd_blocks(held: PositionRange, block: u64) -> PositionRange {
    let number = held.start.0 / block;
    let next = Position((number + 1).saturating_mul(block));
    let end = if held.end.0 < next.0 { held.end } else { next };
    if number % 2 == 1 {
        PositionRange::new(held.start, end)
    } else {
        PositionRange::new(end, held.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    /// What lies at a position in these tests.
    fn byte_at(position: u64) -> u8 {
        (position.wrapping_mul(0x9e37_79b9) >> 16) as u8
    }

    fn holds(ring: &Ring, held: PositionRange) -> bool {
        let (first, second) = ring.slices(held);
        let found = first.iter().chain(second).copied();
        found.eq((held.start.0..held.end.0).map(byte_at))
    }

    quickcheck! {
        fn what_is_held_stays_when_a_ring_grows_and_shrinks(
            begin: u32, steps: Vec<(u8, u8)>
        ) -> bool {
            let mut ring = Ring::growing(8, 64);
            let mut held = PositionRange::at(Position(u64::from(begin)), 0);
            for (kind, length) in steps {
                match kind % 4 {
                    0 if ring.size() < ring.capacity() => ring.grow(held),
                    1 if ring.size() > 8 && held.len() <= ring.size() / 2 => ring.shrink(held),
                    2 => held.start = held.start.plus(u64::from(length).min(held.len())),
                    _ => {
                        let room = ring.size() - held.len();
                        let more = PositionRange::at(held.end, u64::from(length).min(room));
                        let bytes: Vec<u8> = (more.start.0..more.end.0).map(byte_at).collect();
                        ring.write(more.start, &bytes);
                        held.end = more.end;
                    }
                }
                if !holds(&ring, held) {
                    return false;
                }
            }
            true
        }
    }

    #[test]
    fn bytes_come_back_across_the_end() {
        let mut ring = Ring::new(16);
        ring.write(Position(12), b"abcdefgh");
        let (first, second) = ring.slices(PositionRange::at(Position(12), 8));
        assert_eq!((first, second), (&b"abcd"[..], &b"efgh"[..]));
        assert_eq!(ring.slices(PositionRange::at(Position(16), 4)).0, b"efgh");
    }
}
