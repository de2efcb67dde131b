//! Records in a file: each with its length and checks, so that damage and a cut end are told apart.
//!
//! ```text
//! magic 8 | version 4 |  length 4 | check 4 | body | check 4  |  length 4 | ...
//! ```
//!
//! Both checks are CRC32C, seeded with the number of the record: one of the length, so that a
//! damaged length is no cut end, and one of the body.

use std::io::{self, Read};

use quorate_core::frame::Checksum;

use super::RecordingError;

/// What a recording begins with.
pub(super) const MAGIC: [u8; 8] = *b"QRRECORD";
/// The version of the format.
pub(super) const VERSION: u32 = 4;
/// Bytes of a record besides its body.
const HEAD_BYTES: usize = 8;
const CHECK_BYTES: usize = 4;

/// Appends the record with this number to `out`.
pub(super) fn write_record(number: u64, body: &[u8], out: &mut Vec<u8>) {
    let length = (body.len() as u32).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&check(number, &length).to_le_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(&check(number, body).to_le_bytes());
}

fn check(number: u64, bytes: &[u8]) -> u32 {
    Checksum::default().add(&number.to_le_bytes()).add(bytes).value()
}

/// Reads records one by one.
#[derive(Debug)]
pub(super) struct Records<R> {
    input: R,
    number: u64,
    offset: u64,
}

impl<R: Read> Records<R> {
    /// Checks how the file begins.
    pub(super) fn new(mut input: R) -> Result<Self, RecordingError> {
        let mut front = Vec::new();
        let wanted = MAGIC.len() + size_of::<u32>();
        input.by_ref().take(wanted as u64).read_to_end(&mut front)?;
        let (magic, version) = front.split_at(front.len().min(MAGIC.len()));
        if magic != MAGIC {
            return Err(RecordingError::Foreign);
        }
        let version = version.try_into().map(u32::from_le_bytes);
        match version.map_err(|_| RecordingError::Foreign)? {
            VERSION => Ok(Self { input, number: 0, offset: wanted as u64 }),
            found => Err(RecordingError::Version { found }),
        }
    }

    /// Where the next record begins.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Replaces `body` by the next record's; `false` when the file ends, be it within a record.
    pub(super) fn next(&mut self, body: &mut Vec<u8>) -> Result<bool, RecordingError> {
        let damaged = RecordingError::Damaged { offset: self.offset };
        if !self.fill(body, HEAD_BYTES)? {
            return Ok(false);
        }
        let (length, length_check) = body.split_at(CHECK_BYTES);
        if check(self.number, length).to_le_bytes() != *length_check {
            return Err(damaged);
        }
        let length = length.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte));
        if !self.fill(body, length.saturating_add(CHECK_BYTES))? {
            return Ok(false);
        }
        if check(self.number, &body[..length]).to_le_bytes() != body[length..] {
            return Err(damaged);
        }
        body.truncate(length);
        self.number += 1;
        self.offset += (HEAD_BYTES + length + CHECK_BYTES) as u64;
        Ok(true)
    }

    /// Whether nothing follows.
    pub(super) fn at_end(&mut self) -> io::Result<bool> {
        let mut one = Vec::new();
        self.input.by_ref().take(1).read_to_end(&mut one).map(|read| read == 0)
    }

    /// Reads `length` bytes, growing with what is there and not by what is claimed.
    fn fill(&mut self, bytes: &mut Vec<u8>, length: usize) -> io::Result<bool> {
        bytes.clear();
        let read = self.input.by_ref().take(length as u64).read_to_end(bytes)?;
        Ok(read == length)
    }
}
