//! Snapshots: taken on all members at once, and where a restart begins.

use quorate_core::{Position, SnapshotRefusal};
use quorate_driver::TakeSnapshotError;

use super::{Group, Member, in_time, in_time_or_tell, send, serving, until_level};

/// Bytes of a snapshot's file that say whose it is; what follows is the same on all members.
const OWN_BYTES: usize = 4 << 10;

/// Has a snapshot taken, and waits until all members have stored it.
pub(super) fn take_snapshot(members: &[Member]) -> Position {
    let position = in_time_or_tell("mark", || {
        let marked = in_time("mark", members[serving(members)].take_snapshot());
        marked.map_err(|error| error.to_string())
    });
    in_time_or_tell("stored snapshots", || {
        let stored = |member: &Member| in_time("status", member.status()).unwrap().view.snapshot;
        let stored: Vec<_> = members.iter().map(stored).collect();
        if stored.iter().all(|at| *at == position) { Ok(()) } else { Err(format!("{stored:?}")) }
    });
    position
}

pub(super) fn stop(members: Vec<Member>) {
    for member in members {
        in_time("end", member.shutdown()).unwrap();
    }
}

/// Each message that a member was handed in this life.
pub(super) fn applied(member: &Member) -> u64 {
    in_time("status", member.status()).unwrap().counters.messages_applied
}

/// The members' files are the same. All begin anew with their snapshots, and one whose newest is
/// damaged with the one before; the client's session goes on.
pub(crate) fn a_restart_begins_with_the_newest_whole_snapshot(group: &Group<'_>) {
    let start = || (0..3).map(|index| group.start(index)).collect::<Vec<_>>();
    let members = start();
    let client = group.client();
    send(&client, 0..100);
    until_level(&members, 100);
    take_snapshot(&members);
    send(&client, 100..300);
    until_level(&members, 300);
    let leader = serving(&members);
    let refused = in_time("refusal", members[(leader + 1) % 3].take_snapshot());
    assert!(matches!(refused, Err(TakeSnapshotError::Refused(SnapshotRefusal::NotLeader { .. }))));
    take_snapshot(&members);
    send(&client, 300..400);
    until_level(&members, 400);
    stop(members);
    let files = [0, 1, 2].map(|index| std::fs::read(group.newest_snapshot(index)).unwrap());
    assert_eq!(files[0][OWN_BYTES..], files[1][OWN_BYTES..]);
    assert_eq!(files[0][OWN_BYTES..], files[2][OWN_BYTES..]);
    let mut damaged = files[2].clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(group.newest_snapshot(2), damaged).unwrap();
    let members = start();
    send(&client, 400..450);
    until_level(&members, 450);
    let applied: Vec<_> = members.iter().map(applied).collect();
    assert_eq!(applied, [150, 150, 350], "behind the newest, and behind the one before");
    in_time("close", client.close()).unwrap();
    stop(members);
}
