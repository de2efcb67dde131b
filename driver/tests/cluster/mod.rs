//! What members and clients do under every runtime: the test suite of each includes this file.
//! Groups live in one process, over loopback datagrams and real files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it is")]

mod fetched;
mod group;
mod patience;
mod reading;
mod rot;
mod snapshots;
mod volatile;

use core::ops::Range;

use quorate_core::{ChangeRefusal, MemberId, MembershipChange, Position};
use quorate_driver::{
    ChangeMembershipError, ClientHandle, Faults, MemberHandle, MemberStatus, Service, TransferError,
};

pub(crate) use self::fetched::a_member_that_lacks_what_all_have_purged_fetches_a_snapshot;
pub(crate) use self::group::{Group, Keeper, Runtime};
pub(crate) use self::patience::{in_time, in_time_or_tell};
pub(crate) use self::reading::members_and_clients_read_at_all_levels;
pub(crate) use self::rot::what_has_rotted_is_mended_by_the_others;
pub(crate) use self::snapshots::a_restart_begins_with_the_newest_whole_snapshot;
pub(crate) use self::volatile::{
    a_volatile_group_bears_the_loss_of_a_minority, clients_of_a_volatile_group_wait_for_disks,
};

type Member = MemberHandle<Keeper>;

/// Of each member: messages, applied, commit, digest.
type Seen = (usize, Position, Position, u64);

fn seen(member: &Member) -> Seen {
    let look = |keeper: &Keeper, status: MemberStatus| {
        (keeper.0.len(), status.view.applied, status.view.commit, keeper.digest())
    };
    in_time("look", member.inspect(look)).unwrap()
}

/// Asks again and again until all members have applied `messages`, and stand at one position.
pub(crate) fn until_level(members: &[Member], messages: usize) {
    in_time_or_tell("level members", || {
        let seen: Vec<_> = members.iter().map(seen).collect();
        let level = seen.iter().all(|one| one.0 == messages && one.1 == one.2 && *one == seen[0]);
        if level { Ok(()) } else { Err(format!("{seen:?}")) }
    });
}

/// Asks until a member serves: its index.
fn serving(members: &[Member]) -> usize {
    in_time_or_tell("leader", || {
        let view = |member: &Member| in_time("status", member.status()).unwrap().view;
        let views: Vec<_> = members.iter().map(view).collect();
        views.iter().position(|view| view.serving).ok_or_else(|| format!("{views:?}"))
    })
}

/// Sends the numbers, many on their way at a time, and awaits the replies.
pub(crate) fn send(client: &ClientHandle, numbers: Range<u32>) {
    let mut pending = Vec::new();
    for number in numbers {
        let payload = number.to_le_bytes().to_vec();
        pending.push((payload.clone(), in_time("room", client.send(payload)).unwrap()));
    }
    for (payload, reply) in pending {
        assert_eq!(in_time("reply", reply).unwrap().payload, payload);
    }
}

/// As many members as runtimes apply every message once, in order, and stop when they are asked to;
/// all by calls that keep the thread.
pub(crate) fn every_message_is_applied_once_in_order(group: &Group<'_>) {
    let members: Vec<_> = (0..group.runtimes.len()).map(|index| group.start(index)).collect();
    let client = group.client();
    send(&client, 0..499);
    let last = 499_u32.to_le_bytes().to_vec();
    assert_eq!(client.blocking_submit(last.clone()).unwrap().payload, last);
    assert_eq!(client.blocking_status().unwrap().unanswered, 0);
    until_level(&members, 500);
    let sent: Vec<Vec<u8>> = (0..500_u32).map(|number| number.to_le_bytes().to_vec()).collect();
    for member in &members {
        assert_eq!(member.blocking_inspect(|keeper, _| keeper.0.clone()).unwrap(), sent);
    }
    client.blocking_close().unwrap();
    for member in members {
        member.blocking_shutdown().unwrap();
    }
}

/// A leader that stops is followed by another, and comes back level: under the runtime of the
/// member behind it, on its old data.
pub(crate) fn a_leader_that_stops_comes_back_level(group: &Group<'_>) {
    let mut members: Vec<_> = (0..3).map(|index| group.start(index)).collect();
    let client = group.client();
    send(&client, 0..200);
    let leader = serving(&members);
    in_time("end", members.remove(leader).shutdown()).unwrap();
    send(&client, 200..400);
    members.push(group.start_under(leader, group.runtimes[(leader + 1) % 3]));
    send(&client, 400..600);
    until_level(&members, 600);
    in_time("close", client.close()).unwrap();
    for member in members {
        in_time("end", member.shutdown()).unwrap();
    }
}

/// Leadership goes where the operator wants it, through the handle of who leads, and no message is
/// lost by it.
pub(crate) fn leadership_is_handed_over(group: &Group<'_>) {
    let members: Vec<_> = (0..3).map(|index| group.start(index)).collect();
    let client = group.client();
    send(&client, 0..100);
    for wanted in [1_usize, 2, 0] {
        let target = MemberId(wanted as u16 + 1);
        in_time_or_tell("handed over", || {
            let leader = serving(&members);
            if leader == wanted {
                return Ok(());
            }
            let asked = members[leader].transfer_leadership(Some(target));
            // A machine that stands still for long is a reason to refuse.
            in_time("answer", asked).map(|_| ()).map_err(|error| error.to_string())
        });
        let first = 100 + 100 * wanted as u32;
        send(&client, first..first + 100);
    }
    let nobody = members[0].blocking_transfer_leadership(Some(MemberId(77)));
    assert!(matches!(nobody, Err(TransferError::Refused(_))), "{nobody:?}");
    until_level(&members, 400);
    in_time("close", client.close()).unwrap();
    for member in members {
        in_time("end", member.shutdown()).unwrap();
    }
}

/// A voter becomes an observer and a voter again through the handle of who leads, and each refusal
/// has its name.
pub(crate) fn the_members_are_changed(group: &Group<'_>) {
    let members: Vec<_> = (0..3).map(|index| group.start(index)).collect();
    let client = group.client();
    send(&client, 0..100);
    let change = |change: &MembershipChange| {
        in_time_or_tell("change", || {
            let asked = members[serving(&members)].change_membership(change.clone());
            match in_time("answer", asked) {
                // Done by a leader that lost its leadership meanwhile.
                Ok(_) | Err(ChangeMembershipError::Refused(ChangeRefusal::Same)) => Ok(()),
                Err(refused) => Err(refused.to_string()),
            }
        });
    };
    let member = MemberId((serving(&members) as u16 + 1) % 3 + 1);
    change(&MembershipChange::Demote { member });
    let voters = |member: &Member| {
        let status = in_time("status", member.status()).unwrap();
        let records = status.members.membership.records();
        (records.iter().filter(|record| record.incoming).count(), records.len())
    };
    in_time_or_tell("all know it", || {
        let seen: Vec<_> = members.iter().map(voters).collect();
        if seen.iter().all(|one| *one == (2, 3)) { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    send(&client, 100..200);
    change(&MembershipChange::Promote { member, standby: false });
    let nobody = MembershipChange::Remove { member: MemberId(77) };
    in_time_or_tell("refusal", || {
        let leader = serving(&members);
        let follower = &members[(leader + 1) % 3];
        match (
            members[leader].blocking_change_membership(nobody.clone()),
            follower.blocking_change_membership(nobody.clone()),
        ) {
            (
                Err(ChangeMembershipError::Refused(ChangeRefusal::UnknownMember { .. })),
                Err(ChangeMembershipError::Refused(ChangeRefusal::NotLeader { .. })),
            ) => Ok(()),
            others => Err(format!("{others:?}")),
        }
    });
    until_level(&members, 200);
    in_time("close", client.close()).unwrap();
    for member in members {
        in_time("end", member.shutdown()).unwrap();
    }
}

/// A handle that is dropped stops its member, which lets go of its directory; a client whose handle
/// is dropped goes as well.
pub(crate) fn dropped_handles_stop_what_they_hold(runtime: &dyn Runtime) {
    let group = Group::new([runtime], None);
    let first = group.start(0);
    let client = group.client();
    send(&client, 0..10);
    drop(client);
    drop(first);
    let again = in_time_or_tell("unlocked directory", || {
        runtime.member(group.options(0)).map_err(|error| error.to_string())
    });
    until_level(core::slice::from_ref(&again), 10);
    in_time("end", again.shutdown()).unwrap();
}

/// Loss as it is on a bad network.
pub(crate) fn loss() -> Option<Faults> {
    Some(Faults { loss_percent: 5.0, ..Faults::default() })
}
