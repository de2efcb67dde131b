//! Snapshots of other members, for those who lack what all others have purged.

use core::ops::Range;

use quorate_core::{Limits, Position};
use quorate_driver::ClientHandle;

use super::snapshots::{applied, stop, take_snapshot};
use super::{Group, Member, in_time, in_time_or_tell, send, serving, until_level};

/// Bytes of a message: some hundred of them are more than a window.
const MESSAGE_BYTES: usize = 2_048;

/// A window that is soon too small for who was away, and nothing that is kept for him.
fn limits() -> Limits {
    Limits {
        window_bytes: 512 << 10,
        uncommitted_bytes_max: 256 << 10,
        unapplied_bytes_max: 512 << 10,
        purge_keep_bytes: 0,
        ..Limits::default()
    }
}

fn send_large(client: &ClientHandle, numbers: Range<u32>) {
    let mut pending = Vec::new();
    for number in numbers {
        let mut payload = vec![number as u8; MESSAGE_BYTES];
        payload[..4].copy_from_slice(&number.to_le_bytes());
        pending.push(in_time("room", client.send(payload)).unwrap());
    }
    for reply in pending {
        assert_eq!(in_time("reply", reply).unwrap().payload.len(), MESSAGE_BYTES);
    }
}

/// Sends so much, and has so many snapshots taken, that nobody has the log below the result.
fn purge_behind(members: &[Member], client: &ClientHandle, first: u32) -> Position {
    send_large(client, first..first + 400);
    take_snapshot_of_all(members);
    send_large(client, first + 400..first + 800);
    take_snapshot_of_all(members);
    in_time_or_tell("purge", || {
        let origin = |member: &Member| in_time("status", member.status()).unwrap().view.origin;
        let origins: Vec<_> = members.iter().map(origin).collect();
        let lowest = origins.iter().min().copied().unwrap_or_default();
        let is_purged = lowest >= Position(u64::from(first) * MESSAGE_BYTES as u64);
        if is_purged && lowest > Position::ZERO { Ok(lowest) } else { Err(format!("{origins:?}")) }
    })
}

fn take_snapshot_of_all(members: &[Member]) {
    let at = take_snapshot(members);
    assert!(at > Position::ZERO);
}

/// A member that was away for too long, and then one that has lost its directory, come level by a
/// snapshot of the others: through the handles that they were started with.
pub(crate) fn a_member_that_lacks_what_all_have_purged_fetches_a_snapshot(group: &mut Group<'_>) {
    group.limits = limits();
    let mut members: Vec<_> = (0..3).map(|index| group.start(index)).collect();
    let client = group.client();
    send(&client, 0..50);
    until_level(&members, 50);
    // It applies what it has at its start, so its service is not an empty one.
    let away = (serving(&members) + 1) % 3;
    in_time("end", members.remove(away).shutdown()).unwrap();
    purge_behind(&members, &client, 50);
    let back = group.start(away);
    let life = in_time("status", back.status()).unwrap().view.life;
    members.insert(away, back);
    until_level(&members, 850);
    let view = in_time("status", members[away].status()).unwrap().view;
    assert!(view.life > life, "it began anew: {view:?}");
    assert!(view.origin > Position::ZERO && view.snapshot >= view.origin, "{view:?}");
    assert!(applied(&members[away]) < 800, "the log was not applied from its beginning");
    send(&client, 850..900);
    until_level(&members, 900);

    let wiped = (serving(&members) + 1) % 3;
    in_time("end", members.remove(wiped).shutdown()).unwrap();
    let origin = purge_behind(&members, &client, 900);
    group.wipe(wiped);
    members.insert(wiped, group.start(wiped));
    until_level(&members, 1_700);
    in_time_or_tell("readmission", || {
        let view = in_time("status", members[wiped].status()).unwrap().view;
        let counts = !view.applicant && view.origin >= origin;
        if counts { Ok(()) } else { Err(format!("{view:?}")) }
    });
    send(&client, 1_700..1_750);
    until_level(&members, 1_750);
    in_time("close", client.close()).unwrap();
    stop(members);
    // What was installed is what the next start begins with.
    let again = (0..3).map(|index| group.start(index)).collect::<Vec<_>>();
    until_level(&again, 1_750);
    stop(again);
}
