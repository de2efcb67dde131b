//! The pure rules: quorums intersect, changes are what they say, lists are read as written.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::*;

fn id(member: u16) -> MemberId {
    MemberId(member)
}

fn endpoint(number: u8) -> Endpoint {
    Endpoint([number; 18])
}

fn formed(voters: &[u16]) -> Membership {
    let voters: BTreeMap<_, _> =
        voters.iter().map(|&voter| (id(voter), endpoint(voter as u8))).collect();
    Membership::formed(&voters)
}

fn new(member: u16, incarnation: u32) -> NewMember {
    NewMember {
        member: id(member),
        incarnation: Incarnation(incarnation),
        endpoint: endpoint(member as u8),
        clients: Some(endpoint(200)),
        machine: 7,
        zone: 9,
    }
}

/// The members of a set of bits, the first of which is member 1.
fn members(bits: u32) -> impl Iterator<Item = MemberId> + Clone {
    (0..16).filter(move |bit| bits & 1 << bit != 0).map(|bit| id(bit + 1))
}

fn voters_of(membership: &Membership, half: Half) -> Vec<u16> {
    membership.voters(half).map(|voter| voter.0).collect()
}

/// `formed` by `voters`, with all others of the first five as observers.
fn with_observers(voters: u32) -> Membership {
    let voters: Vec<u16> = members(voters).map(|voter| voter.0).collect();
    let mut membership = formed(&voters);
    for member in (1..=5).filter(|member| !voters.contains(member)) {
        membership = membership.changed(&MembershipChange::AddObserver(new(member, 1))).unwrap();
    }
    membership
}

/// All sets of members by all ways from one set of voters to another, over the joint phase: two
/// quorums of memberships that follow one another have a voter in common.
#[test]
fn mb20_quorums_of_adjacent_memberships_intersect() {
    let quorums = |membership: &Membership| -> Vec<u32> {
        let is_quorum = |set: &u32| membership.is_quorum(|member| set & 1 << (member.0 - 1) != 0);
        (0..32_u32).filter(is_quorum).collect()
    };
    for outgoing in 1..32_u32 {
        let before = with_observers(outgoing);
        let of_before = quorums(&before);
        for incoming in (1..32_u32).filter(|incoming| *incoming != outgoing) {
            let change = MembershipChange::ReplaceVoters { voters: members(incoming).collect() };
            let joint = before.changed(&change).unwrap();
            assert!(joint.is_joint() && joint.is_sound() && before.admits(&joint));
            let after = joint.completed();
            assert!(!after.is_joint() && after.is_sound() && joint.admits(&after));
            assert_eq!(voters_of(&after, Half::Outgoing), voters_of(&joint, Half::Incoming));
            let (of_joint, of_after) = (quorums(&joint), quorums(&after));
            for set in of_joint {
                assert!(of_before.iter().all(|other| set & other != 0), "{joint:?}");
                assert!(of_after.iter().all(|other| set & other != 0), "{joint:?}");
            }
            assert!(!before.admits(&after), "no way leads past the joint phase");
        }
    }
}

#[test]
fn e63_what_a_quorum_holds_is_a_majority_of_each_half() {
    let change =
        MembershipChange::ReplaceVoters { voters: [1, 4, 5].map(id).into_iter().collect() };
    let joint = with_observers(0b111).changed(&change).unwrap();
    for set in 0..32_u32 {
        let held = |member: MemberId| u64::from(set & 1 << (member.0 - 1) != 0);
        let of = |half: [u32; 3]| half.iter().filter(|bit| set & 1 << **bit != 0).count() >= 2;
        let expected = of([0, 1, 2]) && of([0, 3, 4]);
        assert_eq!(joint.is_quorum(|member| held(member) == 1), expected, "{set:b}");
        assert_eq!(joint.held_by_quorum(held), Some(u64::from(expected)), "{set:b}");
    }
}

#[test]
fn observers_are_in_no_quorum() {
    let membership = with_observers(0b011);
    assert_eq!(voters_of(&membership, Half::Incoming), [1, 2]);
    assert!(!membership.is_quorum(|member| member != id(1)));
    assert!(membership.is_quorum(|member| member.0 <= 2));
    assert_eq!(membership.held_by_quorum(|member| member.0), Some(1));
    assert!(!membership.is_plain() && formed(&[1, 2, 3]).is_plain());
    assert!(formed(&[3]).is_alone(id(3)) && !formed(&[3]).is_alone(id(2)));
    assert!(!membership.is_alone(id(1)) && with_observers(1).is_alone(id(1)));
    assert_eq!(Membership::default().held_by_quorum(|_| 1), None);
    assert!(!Membership::default().is_quorum(|_| true));
}

#[test]
fn changes_are_what_they_say() {
    let before = with_observers(0b0111);
    let member = id(4);
    let promoted = before.changed(&MembershipChange::Promote { member, standby: true }).unwrap();
    assert_eq!(promoted.get(member).unwrap().role, MemberRole::Standby);
    assert!(promoted.is_joint());
    let after = promoted.completed();
    let voter = after.changed(&MembershipChange::Promote { member, standby: false }).unwrap();
    assert!(!voter.is_joint(), "a standby counts already");
    let demoted = after.changed(&MembershipChange::Demote { member }).unwrap();
    assert_eq!(demoted.completed().get(member).unwrap().role, MemberRole::Observer);
    let gone = after.changed(&MembershipChange::Remove { member }).unwrap();
    assert!(gone.is_joint() && gone.is_voter(member));
    let gone = gone.completed();
    assert_eq!((gone.get(member), gone.removed()), (None, &[(member, Incarnation(1))][..]));
    let gone = gone.changed(&MembershipChange::Remove { member: id(5) }).unwrap();
    assert!(!gone.is_joint() && gone.removed().len() == 2, "an observer goes at once");
    let (endpoint, clients) = (endpoint(99), None);
    let moved = MembershipChange::Relocate { member: id(1), endpoint, clients };
    let moved = gone.changed(&moved).unwrap();
    assert_eq!(moved.endpoint_of(id(1)), Some(endpoint));
    assert_eq!(moved.clients_of(id(1)), Some(endpoint));
}

#[test]
fn what_cannot_be_changed_is_refused_by_its_reason() {
    let before = with_observers(0b0111);
    let unknown = ChangeRefusal::UnknownMember { member: id(9) };
    let none = SmallVec::new();
    for (change, refusal) in [
        (MembershipChange::Remove { member: id(9) }, unknown),
        (MembershipChange::Demote { member: id(4) }, ChangeRefusal::Same),
        (MembershipChange::Promote { member: id(1), standby: false }, ChangeRefusal::Same),
        (MembershipChange::AddVoter(new(4, 1)), ChangeRefusal::AlreadyMember { member: id(4) }),
        (MembershipChange::ReplaceVoters { voters: none }, ChangeRefusal::TooFew),
        (MembershipChange::ReplaceVoters { voters: [1, 9].map(id).into_iter().collect() }, unknown),
    ] {
        assert_eq!(before.changed(&change), Err(refusal), "{change:?}");
    }
    let joint = before.changed(&MembershipChange::Demote { member: id(1) }).unwrap();
    let another = MembershipChange::Demote { member: id(2) };
    assert_eq!(joint.changed(&another), Err(ChangeRefusal::Busy));
    let seven = formed(&[1, 2, 3, 4, 5, 6, 7]);
    let eighth = MembershipChange::AddVoter(new(8, 1));
    assert_eq!(seven.changed(&eighth), Err(ChangeRefusal::TooMany));
    let mut full = seven;
    for member in 8..=16 {
        full = full.changed(&MembershipChange::AddObserver(new(member, 1))).unwrap();
    }
    let more = MembershipChange::AddObserver(new(17, 1));
    assert_eq!(full.changed(&more), Err(ChangeRefusal::TooMany));
}

#[test]
fn e67_a_removed_member_comes_back_under_a_later_incarnation_only() {
    let mut before = with_observers(0b0111);
    before.note_incarnation(id(4), Incarnation(3));
    let gone = before.changed(&MembershipChange::Remove { member: id(4) }).unwrap();
    assert_eq!(gone.removed_incarnation(id(4)), Some(Incarnation(3)));
    let again = |incarnation| gone.changed(&MembershipChange::AddObserver(new(4, incarnation)));
    let (member, incarnation) = (id(4), Incarnation(3));
    assert_eq!(again(3), Err(ChangeRefusal::FormerIncarnation { member, incarnation }));
    let back = again(4).unwrap();
    assert_eq!(back.get(member).unwrap().incarnation, Incarnation(4));
    assert_eq!(back.removed_incarnation(member), None);
    // Of those that were removed only the last ones are remembered.
    let mut many = gone;
    for member in 20..20 + REMOVED_MAX as u16 {
        many = many.changed(&MembershipChange::AddObserver(new(member, 1))).unwrap();
        many = many.changed(&MembershipChange::Remove { member: id(member) }).unwrap();
    }
    assert_eq!((many.removed().len(), many.removed_incarnation(id(4))), (REMOVED_MAX, None));
}

#[test]
fn a_list_is_read_as_it_was_written_and_nothing_else_is() {
    let before = with_observers(0b0111);
    let joint = before.changed(&MembershipChange::Remove { member: id(2) }).unwrap();
    for membership in [before, joint.completed(), joint] {
        let mut bytes = Vec::new();
        membership.write(&mut bytes);
        assert!(bytes.len() <= WRITTEN_BYTES_MAX);
        assert_eq!(Membership::read(&bytes), Ok(membership.clone()));
        for end in 0..bytes.len() {
            assert!(Membership::read(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[at / 8] ^= 1 << (at % 8);
            if let Ok(read) = Membership::read(&other) {
                assert!(read.is_sound(), "bit {at}");
            }
        }
        bytes.push(0);
        assert_eq!(Membership::read(&bytes), Err(SnapshotError::Trailing));
    }
    let many = vec![0xff; 4_096];
    assert!(Membership::read(&many).is_err());
}
