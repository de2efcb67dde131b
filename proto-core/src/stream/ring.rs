//! The bytes of a stream around its newest position.

use alloc::vec;
use alloc::vec::Vec;

use crate::frame::{self, ALIGNMENT, Body, FrameFront, FrameSeed, frame_bytes};
use crate::position::{Position, PositionRange};

/// A ring of bytes addressed by stream position. It does not know which bytes are held; its owner
/// does, and never asks for a range that is longer than the ring.
#[derive(Clone, Debug)]
pub struct Ring {
    bytes: Vec<u8>,
}

impl Ring {
    /// A zeroed ring of `capacity` bytes, a power of two.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        assert!(
            capacity.is_power_of_two() && capacity >= ALIGNMENT,
            "a ring's capacity must be a power of two, at least {ALIGNMENT}"
        );
        Self { bytes: vec![0; capacity as usize] }
    }

    /// How many bytes fit.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The bytes of `range`, in two slices if the range passes the ring's end.
    #[inline]
    #[must_use]
    pub fn slices(&self, range: PositionRange) -> (&[u8], &[u8]) {
        assert!(range.len() <= self.capacity(), "{range} is longer than the ring");
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
        if let Some(place) = self.bytes.get_mut(start..start + bytes.len()) {
            place.copy_from_slice(bytes);
            return;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_across_the_end() {
        let mut ring = Ring::new(16);
        ring.write(Position(12), b"abcdefgh");
        let (first, second) = ring.slices(PositionRange::at(Position(12), 8));
        assert_eq!((first, second), (&b"abcd"[..], &b"efgh"[..]));
        assert_eq!(ring.slices(PositionRange::at(Position(16), 4)).0, b"efgh");
    }
}
