//! How a membership is laid out, and read back.

use alloc::vec::Vec;

use super::{MEMBERS_MAX, MemberRecord, MemberRole, Membership, REMOVED_MAX};
use crate::identity::{Endpoint, Incarnation, MemberId};
use crate::snapshot::{Fields, SnapshotError};

/// Bytes before the records.
const FRONT_BYTES: usize = 8;
/// Bytes of a record.
const RECORD_BYTES: usize = 56;
/// Bytes of a removed member.
const REMOVED_BYTES: usize = 8;

/// Bytes that a membership takes, at most.
pub(crate) const WRITTEN_BYTES_MAX: usize =
    FRONT_BYTES + MEMBERS_MAX * RECORD_BYTES + REMOVED_MAX * REMOVED_BYTES;

const ROLES: [MemberRole; 5] = [
    MemberRole::Voter,
    MemberRole::Standby,
    MemberRole::Observer,
    MemberRole::Proxy,
    MemberRole::Leaving,
];

impl Membership {
    /// Writes it behind what is in `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.records.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.removed.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for record in &self.records {
            write_record(record, out);
        }
        for (member, incarnation) in &self.removed {
            out.extend_from_slice(&member.0.to_le_bytes());
            out.extend_from_slice(&[0; 2]);
            out.extend_from_slice(&incarnation.0.to_le_bytes());
        }
    }

    /// Reads what [`Membership::write`] wrote, and nothing else.
    ///
    /// # Errors
    /// [`SnapshotError::Truncated`], [`SnapshotError::Trailing`], or
    /// [`SnapshotError::Contradiction`] when it is no list that a group can have.
    pub fn read(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut fields = Fields(bytes);
        let membership = Self::take(&mut fields)?;
        if fields.0.is_empty() { Ok(membership) } else { Err(SnapshotError::Trailing) }
    }

    /// Takes one off the front of `fields`.
    pub(crate) fn take(fields: &mut Fields<'_>) -> Result<Self, SnapshotError> {
        let unsound = SnapshotError::Contradiction { what: "the members" };
        let (records, removed) = (usize::from(fields.u16()?), usize::from(fields.u16()?));
        fields.take(4)?;
        if records > MEMBERS_MAX || removed > REMOVED_MAX {
            return Err(unsound);
        }
        let mut membership = Self::default();
        for _ in 0..records {
            membership.records.push(read_record(fields)?.ok_or(unsound)?);
        }
        for _ in 0..removed {
            let member = MemberId(fields.u16()?);
            fields.take(2)?;
            membership.removed.push((member, Incarnation(fields.u32()?)));
        }
        if membership.is_sound() { Ok(membership) } else { Err(unsound) }
    }
}

fn write_record(record: &MemberRecord, out: &mut Vec<u8>) {
    let role = ROLES.iter().position(|role| *role == record.role).unwrap_or_default();
    let halves = u8::from(record.outgoing) | u8::from(record.incoming) << 1;
    out.extend_from_slice(&record.member.0.to_le_bytes());
    out.extend_from_slice(&[role as u8, halves]);
    for word in [record.incarnation.0, record.machine, record.zone] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&record.endpoint.0);
    out.extend_from_slice(&record.clients.unwrap_or_default().0);
    out.extend_from_slice(&[0; 4]);
}

/// `None` for a role, or for halves, that this version does not know.
fn read_record(fields: &mut Fields<'_>) -> Result<Option<MemberRecord>, SnapshotError> {
    let member = MemberId(fields.u16()?);
    let [role, halves] = fields.bytes()?;
    let incarnation = Incarnation(fields.u32()?);
    let (machine, zone) = (fields.u32()?, fields.u32()?);
    let (endpoint, clients) = (Endpoint(fields.bytes()?), Endpoint(fields.bytes()?));
    fields.take(4)?;
    let role = ROLES.get(usize::from(role)).copied().filter(|_| halves < 4);
    Ok(role.map(|role| MemberRecord {
        member,
        incarnation,
        role,
        outgoing: halves & 1 != 0,
        incoming: halves & 2 != 0,
        endpoint,
        clients: (clients != Endpoint::default()).then_some(clients),
        machine,
        zone,
    }))
}
