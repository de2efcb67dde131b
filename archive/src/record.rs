//! Checksummed records: how everything but the log's own bytes lies in files.

use quorate_core::frame::Checksum;
use quorate_core::{GroupId, Incarnation, MemberId, mutant};

/// The version of the archive's files that this code writes.
pub const FORMAT: u16 = 1;
/// Bytes before the payload of a record.
pub(crate) const RECORD_HEADER_BYTES: usize = 48;

const MAGIC: [u8; 8] = *b"QUORATE\x1a";
const CHECKSUM_AT: usize = 44;

/// Whose a file is: part of every record, so that a file of somebody else is noticed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Owner {
    /// The group.
    pub group: GroupId,
    /// The member.
    pub member: MemberId,
    /// Which of the member's directories.
    pub incarnation: Incarnation,
}

/// What a record holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// The process that locks the directory.
    Mark = 1,
    /// The identity.
    Identity = 2,
    /// The boot epoch.
    Boot = 3,
    /// The vote.
    Vote = 4,
    /// The term history.
    History = 5,
    /// What is remembered of the other members.
    Peers = 6,
    /// The front of a segment.
    Segment = 7,
    /// A position up to which the log was durable.
    Durable = 8,
    /// That the next segment was made.
    Successor = 9,
    /// The front of a snapshot.
    Snapshot = 10,
    /// Where the log begins.
    Origin = 11,
    /// The forced recoveries.
    Recoveries = 12,
    /// The front of a backup.
    Backup = 13,
}

/// A record that was read and is whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Record {
    pub(crate) generation: u64,
    pub(crate) owner: Owner,
    pub(crate) payload: Vec<u8>,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RecordError {
    /// Nothing was ever written: all bytes are zero, or there are none.
    Blank,
    /// Cut short, or the checksum does not match, or it is a record of something else.
    Damaged,
    /// Whole, but of a newer format.
    Version(u16),
    /// Whole, but somebody else's.
    Foreign(Owner),
}

/// Lays out a record.
pub(crate) fn encode(kind: Kind, generation: u64, owner: Owner, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RECORD_HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&(kind as u16).to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&generation.to_le_bytes());
    bytes.extend_from_slice(&owner.group.0.to_le_bytes());
    bytes.extend_from_slice(&owner.incarnation.0.to_le_bytes());
    bytes.extend_from_slice(&owner.member.0.to_le_bytes());
    bytes.extend_from_slice(&[0; 6]);
    debug_assert_eq!(bytes.len(), CHECKSUM_AT);
    let sum = Checksum::default().add(&bytes).add(payload).value();
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Reads the record of `kind` at the beginning of `bytes`, which may be longer, and checks whose it
/// is if `owner` says so.
pub(crate) fn decode(
    bytes: &[u8],
    kind: Kind,
    owner: Option<Owner>,
) -> Result<Record, RecordError> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(RecordError::Blank);
    }
    let damaged = RecordError::Damaged;
    let (header, rest) = bytes.split_at_checked(RECORD_HEADER_BYTES).ok_or(damaged)?;
    let mut fields = Fields(header);
    if fields.take(8) != Some(&MAGIC) {
        return Err(damaged);
    }
    let version = fields.u16().ok_or(damaged)?;
    let kind_found = fields.u16().ok_or(damaged)?;
    let length = fields.u32().ok_or(damaged)? as usize;
    let generation = fields.u64().ok_or(damaged)?;
    let found = Owner {
        group: GroupId(fields.u64().ok_or(damaged)?),
        incarnation: Incarnation(fields.u32().ok_or(damaged)?),
        member: MemberId(fields.u16().ok_or(damaged)?),
    };
    fields.take(6).ok_or(damaged)?;
    let sum = fields.u32().ok_or(damaged)?;
    let payload = rest.get(..length).ok_or(damaged)?;
    if Checksum::default().add(&header[..CHECKSUM_AT]).add(payload).value() != sum {
        return Err(damaged);
    }
    if version > FORMAT {
        return Err(RecordError::Version(version));
    }
    if kind_found != kind as u16 {
        return Err(damaged);
    }
    let is_foreign = owner.is_some_and(|owner| owner != found);
    if is_foreign && !mutant::is(mutant::FOREIGN_FILES_ARE_TAKEN) {
        return Err(RecordError::Foreign(found));
    }
    Ok(Record { generation, owner: found, payload: payload.to_vec() })
}

/// Little-endian fields, taken off the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_and_every_flipped_bit_is_noticed() {
        let owner = Owner { group: GroupId(7), member: MemberId(2), incarnation: Incarnation(1) };
        let bytes = encode(Kind::Vote, 9, owner, b"payload");
        assert_eq!(decode(&bytes, Kind::Vote, Some(owner)).unwrap().payload, b"payload");
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length], Kind::Vote, None).is_err(), "prefix {length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged, Kind::Vote, None), Err(RecordError::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn another_owner_kind_or_format_is_named() {
        let owner = Owner { group: GroupId(7), member: MemberId(2), incarnation: Incarnation(1) };
        let other = Owner { member: MemberId(3), ..owner };
        let bytes = encode(Kind::Vote, 9, owner, b"");
        assert_eq!(decode(&bytes, Kind::Vote, Some(other)), Err(RecordError::Foreign(owner)));
        assert_eq!(decode(&bytes, Kind::Boot, Some(owner)), Err(RecordError::Damaged));
        assert_eq!(decode(&[0; 100], Kind::Boot, Some(owner)), Err(RecordError::Blank));
    }
}
