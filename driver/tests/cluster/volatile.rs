//! Groups in which committed is what a quorum has in memory.

use std::os::unix::fs::FileExt;

use quorate_core::frame::Level;
use quorate_core::{Durability, Duration, Position};
use quorate_driver::MemberStatus;

use super::rot::LOG_AT;
use super::snapshots::stop;
use super::{Group, Member, in_time, in_time_or_tell, send, serving, until_level};

fn status(member: &Member) -> MemberStatus {
    in_time("status", member.status()).unwrap()
}

fn until_none_is_impaired(members: &[Member]) {
    in_time_or_tell("healed members", || {
        let views: Vec<_> = members.iter().map(|member| status(member).view).collect();
        let healed = views.iter().all(|view| !view.impaired);
        if healed { Ok(()) } else { Err(format!("{views:?}")) }
    });
}

/// Waits until each member has had something synced.
fn until_synced(members: &[Member]) {
    in_time_or_tell("first checkpoints", || {
        let durable: Vec<_> = members.iter().map(|it| status(it).view.durable).collect();
        let all = durable.iter().all(|position| *position > Position::ZERO);
        if all { Ok(()) } else { Err(format!("{durable:?}")) }
    });
}

/// The leader is killed, and its machine loses what no sync has brought to the disk. Nothing that
/// was answered is lost; it comes back in doubt, counts only when the others have told it what it
/// lacks, and whoever is stopped in good order comes back without any doubt.
pub(crate) fn a_volatile_group_bears_the_loss_of_a_minority(group: &mut Group<'_>) {
    // No second checkpoint: what the first one has not covered is in memory only.
    let checkpoint_interval = Duration::from_millis(3_600_000);
    group.durability = Durability::Volatile { checkpoint_interval };
    let mut members: Vec<_> = (0..3).map(|index| group.start(index)).collect();
    let client = group.client();
    // All are there before, each with its first checkpoint: one that came late had all at once.
    send(&client, 0..10);
    until_level(&members, 10);
    until_synced(&members);
    send(&client, 10..300);
    until_level(&members, 300);
    for member in &members {
        let status = status(member);
        assert_eq!(status.level, Level::Volatile);
        assert!(status.view.durable < status.view.commit, "{status:?}");
        assert!(status.storage.syncs < 10, "no sync for each append: {status:?}");
    }
    let lost = serving(&members);
    let leader = status(&members[lost]).view;
    assert!(leader.safe < leader.commit, "{leader:?}");
    in_time("end", members.remove(lost).abandon()).unwrap();
    let file = std::fs::File::options().write(true).open(group.segment(lost)).unwrap();
    let bytes = (leader.verified.0 - leader.durable.0) as usize;
    file.write_all_at(&vec![0; bytes], LOG_AT + leader.durable.0).unwrap();
    send(&client, 300..400);
    until_level(&members, 400);
    stop(members);

    // Alone it can find out nothing.
    let alone = group.start(lost);
    let view = status(&alone).view;
    assert!(view.impaired && view.verified < leader.commit, "{view:?}");
    let others = (0..3).filter(|index| *index != lost);
    let mut members: Vec<_> = others.map(|index| group.start(index)).collect();
    members.insert(lost, alone);
    until_level(&members, 400);
    until_none_is_impaired(&members);
    send(&client, 400..450);
    until_level(&members, 450);
    stop(members);

    let members: Vec<_> = (0..3).map(|index| group.start(index)).collect();
    assert!(members.iter().all(|member| !status(member).view.impaired));
    until_level(&members, 450);
    in_time("close", client.close()).unwrap();
    stop(members);
}

/// A client's reply waits for disks if it says so, and so does a client for a position that it was
/// answered out of memory.
pub(crate) fn clients_of_a_volatile_group_wait_for_disks(group: &mut Group<'_>) {
    let checkpoint_interval = Duration::from_millis(300);
    group.durability = Durability::Volatile { checkpoint_interval };
    let members: Vec<_> = (0..3).map(|index| group.start(index)).collect();
    let client = group.client();
    let on_disks = |position: Position| {
        let has = |member: &&Member| status(member).view.durable > position;
        members.iter().filter(has).count()
    };
    for number in 0_u32..3 {
        let payload = number.to_le_bytes().to_vec();
        let reply = in_time("safe reply", client.submit_safe(payload.clone())).unwrap();
        assert_eq!(reply.payload, payload);
        assert!(on_disks(reply.position) >= 2, "{reply:?}");
    }
    let reply = in_time("reply", client.submit(3_u32.to_le_bytes().to_vec())).unwrap();
    let safe = in_time("sync", client.sync(reply.position)).unwrap();
    assert!(safe > reply.position && on_disks(reply.position) >= 2, "{safe:?}");
    // It is so still, and whoever asks for what is safe already is told at once.
    assert!(client.blocking_sync(reply.position).unwrap() >= safe);
    until_level(&members, 4);
    in_time("close", client.close()).unwrap();
    stop(members);
}
