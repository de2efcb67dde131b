//! What recordings say of members that change.

use quorate_core::membership::{NewMember, VoterList, keep_newest};
use quorate_core::{
    Endpoint, Incarnation, MemberConfig, MemberId, MembershipChange, Position, Recovered,
};

use super::fields::{Reader, Writer};

/// The last bytes of a beginning that has a section about members.
const MARK: &[u8; 8] = b"members.";

/// Writes behind all else who is a member, where recordings of earlier versions have nothing.
pub(super) fn write_members(config: &MemberConfig, recovered: &Recovered, out: &mut Writer) {
    if !config.joins && recovered.memberships.is_empty() {
        return;
    }
    let lists: Vec<(Position, Vec<u8>)> = recovered.memberships.iter().map(list_of).collect();
    out.u8(u8::from(config.joins));
    let mut length = 1;
    for (end, list) in &lists {
        out.u64(end.0);
        out.count(list.len());
        out.bytes(list);
        length += 12 + list.len();
    }
    out.count(length);
    out.bytes(MARK);
}

fn list_of((end, membership): &(Position, quorate_core::Membership)) -> (Position, Vec<u8>) {
    let mut list = Vec::new();
    membership.write(&mut list);
    (*end, list)
}

/// Takes that section off the end of `fields`, if there is one.
pub(super) fn read_members(
    fields: &mut Reader<'_>,
    config: &mut MemberConfig,
    recovered: &mut Recovered,
) -> Option<()> {
    let Some(before) = fields.0.strip_suffix(MARK) else { return Some(()) };
    let (before, length) = before.split_last_chunk()?;
    let start = before.len().checked_sub(u32::from_le_bytes(*length) as usize)?;
    let (before, section) = before.split_at_checked(start)?;
    fields.0 = before;
    let mut section = Reader(section);
    config.joins = section.u8()? != 0;
    while !section.0.is_empty() {
        let end = section.position()?;
        let length = section.u32()? as usize;
        keep_newest(&mut recovered.memberships, end, section.bytes(length)?).ok()?;
    }
    Some(())
}

const ADD_OBSERVER: u8 = 1;
const ADD_VOTER: u8 = 2;
const PROMOTE: u8 = 3;
const DEMOTE: u8 = 4;
const REMOVE: u8 = 5;
const RELOCATE: u8 = 6;
const REPLACE_VOTERS: u8 = 7;

/// Writes what was asked to be changed.
pub(super) fn write_change(change: &MembershipChange, out: &mut Writer) {
    match change {
        MembershipChange::AddObserver(new) => write_new(ADD_OBSERVER, new, out),
        MembershipChange::AddVoter(new) => write_new(ADD_VOTER, new, out),
        MembershipChange::Promote { member, standby } => {
            out.u8(PROMOTE);
            out.u16(member.0);
            out.u8(u8::from(*standby));
        }
        MembershipChange::Demote { member } => {
            out.u8(DEMOTE);
            out.u16(member.0);
        }
        MembershipChange::Remove { member } => {
            out.u8(REMOVE);
            out.u16(member.0);
        }
        MembershipChange::Relocate { member, endpoint, clients } => {
            out.u8(RELOCATE);
            out.u16(member.0);
            out.bytes(&endpoint.0);
            out.bytes(&clients.unwrap_or_default().0);
        }
        MembershipChange::ReplaceVoters { voters } => {
            out.u8(REPLACE_VOTERS);
            voters.iter().for_each(|voter| out.u16(voter.0));
        }
    }
}

fn write_new(kind: u8, new: &NewMember, out: &mut Writer) {
    out.u8(kind);
    out.u16(new.member.0);
    for word in [new.incarnation.0, new.machine, new.zone] {
        out.u32(word);
    }
    out.bytes(&new.endpoint.0);
    out.bytes(&new.clients.unwrap_or_default().0);
}

/// Reads it again.
pub(super) fn read_change(fields: &mut Reader<'_>) -> Option<MembershipChange> {
    let kind = fields.u8()?;
    if kind == REPLACE_VOTERS {
        let mut voters = VoterList::new();
        while !fields.0.is_empty() {
            voters.push(MemberId(fields.u16()?));
        }
        return Some(MembershipChange::ReplaceVoters { voters });
    }
    let member = MemberId(fields.u16()?);
    Some(match kind {
        ADD_OBSERVER => MembershipChange::AddObserver(read_new(member, fields)?),
        ADD_VOTER => MembershipChange::AddVoter(read_new(member, fields)?),
        PROMOTE => MembershipChange::Promote { member, standby: fields.u8()? != 0 },
        DEMOTE => MembershipChange::Demote { member },
        REMOVE => MembershipChange::Remove { member },
        RELOCATE => {
            let endpoint = fields.endpoint()?;
            MembershipChange::Relocate { member, endpoint, clients: read_clients(fields)? }
        }
        _ => return None,
    })
}

fn read_new(member: MemberId, fields: &mut Reader<'_>) -> Option<NewMember> {
    let incarnation = Incarnation(fields.u32()?);
    let (machine, zone) = (fields.u32()?, fields.u32()?);
    let endpoint = fields.endpoint()?;
    Some(NewMember { member, incarnation, endpoint, clients: read_clients(fields)?, machine, zone })
}

fn read_clients(fields: &mut Reader<'_>) -> Option<Option<Endpoint>> {
    let clients = fields.endpoint()?;
    Some(Some(clients).filter(|clients| *clients != Endpoint::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_as_they_were_written() {
        let (member, endpoint) = (MemberId(4), Endpoint([3; 18]));
        let new = NewMember {
            member,
            incarnation: Incarnation(2),
            endpoint,
            clients: None,
            machine: 5,
            zone: 6,
        };
        for change in [
            MembershipChange::AddObserver(new),
            MembershipChange::AddVoter(NewMember { clients: Some(endpoint), ..new }),
            MembershipChange::Promote { member, standby: true },
            MembershipChange::Demote { member },
            MembershipChange::Remove { member },
            MembershipChange::Relocate { member, endpoint, clients: Some(Endpoint([9; 18])) },
            MembershipChange::ReplaceVoters { voters: [member, MemberId(5)].into_iter().collect() },
        ] {
            let mut out = Writer::default();
            write_change(&change, &mut out);
            let mut fields = Reader(out.0.as_slice());
            assert_eq!(read_change(&mut fields), Some(change));
            assert!(fields.0.is_empty());
        }
    }
}
