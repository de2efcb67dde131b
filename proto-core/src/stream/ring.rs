//! The bytes of a stream around its newest position.

use alloc::vec;
use alloc::vec::Vec;

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
        assert!(capacity.is_power_of_two(), "a ring's capacity must be a power of two");
        Self { bytes: vec![0; capacity as usize] }
    }

    /// How many bytes fit.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The bytes of `range`, in two slices if the range passes the ring's end.
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
    pub fn write(&mut self, position: Position, bytes: &[u8]) {
        assert!(bytes.len() <= self.bytes.len(), "a write is longer than the ring");
        let start = self.offset(position);
        let first = bytes.len().min(self.bytes.len() - start);
        self.bytes[start..start + first].copy_from_slice(&bytes[..first]);
        self.bytes[..bytes.len() - first].copy_from_slice(&bytes[first..]);
    }

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
