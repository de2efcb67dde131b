//! How members of volatile groups end, what that leaves on their disks, and when those are synced.

use alloc::vec::Vec;

use super::cluster::{Cluster, Write, id};
use super::fetching::installed;
use super::levels::{
    is_impaired, others, own_record, served, submit, told, volatile_for, with_a_client,
};
use super::purging::take;
use super::readmission::wipe;
use crate::config::{CHECKPOINT_INTERVAL_MAX, Durability};
use crate::event::Event;
use crate::member::levels::UNSYNCED_BYTES_MAX;
use crate::member::parting::PARTING_TIMEOUT;
use crate::notice::{Abdication, FailStop, Notice, Stall, TimerKind};
use crate::time::Duration;

fn hold_disk(cluster: &mut Cluster, member: u16, holds: bool) {
    cluster.nodes.get_mut(&id(member)).unwrap().holds_disk = holds;
}

fn run_for(cluster: &mut Cluster, millis: u64) {
    let until = cluster.now + Duration::from_millis(millis);
    cluster.run_until("a while", |cluster| cluster.now > until);
}

fn abdications(cluster: &Cluster, member: u16) -> usize {
    told(cluster, member, |notice| {
        let reason = Abdication::NoProgress;
        matches!(notice, Notice::Abdicated { reason: why, .. } if *why == reason)
    })
}

/// A volatile group of so many, and its leader, whose disk is held at a checkpoint.
fn at_a_checkpoint(members: u16) -> (Cluster, u16) {
    let (mut cluster, leader) = with_a_client(members);
    hold_disk(&mut cluster, leader, true);
    submit(&mut cluster, b"for a checkpoint");
    cluster.run_until("a checkpoint", |cluster| {
        let pending = &cluster.nodes[&id(leader)].pending;
        pending.iter().any(|(_, write)| matches!(write, Write::Sync(_)))
    });
    (cluster, leader)
}

/// Nobody waits for the sync, nor for what is remembered of the others behind it; but that the disk
/// stands still is told, once.
#[test]
fn e49_a_slow_checkpoint_deposes_no_leader_and_is_told() {
    let (mut cluster, leader) = at_a_checkpoint(3);
    let term = cluster.member(leader).view().term;
    for _ in 0..8 {
        run_for(&mut cluster, 500);
        submit(&mut cluster, b"meanwhile");
    }
    let pending = &cluster.nodes[&id(leader)].pending;
    assert!(pending.iter().any(|(_, write)| matches!(write, Write::Peers(_))), "{pending:?}");
    assert_eq!((cluster.leader(), cluster.member(leader).view().term), (Some(leader), term));
    let stalled = |notice: &Notice| matches!(notice, Notice::Stalled { cause: Stall::Disk });
    assert_eq!((told(&cluster, leader, stalled), abdications(&cluster, leader)), (1, 0));
    hold_disk(&mut cluster, leader, false);
    let ended = |notice: &Notice| matches!(notice, Notice::StallEnded { cause: Stall::Disk });
    cluster.run_until("its end is told", |cluster| told(cluster, leader, ended) == 1);
    let committed = cluster.member(leader).view().commit;
    cluster.run_until("it is safe", |cluster| cluster.member(leader).view().safe >= committed);
}

/// The records of a readmission are durable before anybody may rely on it: for those the log waits.
#[test]
fn e49_records_that_the_log_waits_for_depose_a_leader() {
    // The others commit without it.
    let (mut cluster, leader) = at_a_checkpoint(5);
    let wiped = others(&cluster, leader)[0];
    run_for(&mut cluster, 2_000);
    assert_eq!(abdications(&cluster, leader), 0);
    wipe(&mut cluster, wiped);
    cluster.start(wiped);
    cluster.run_until("it gives up", |cluster| abdications(cluster, leader) == 1);
}

/// What a member promised is not more than its disk has once the mark is gone, whenever it ends.
#[test]
fn a_clean_stop_may_end_behind_any_write_and_leaves_no_false_disk() {
    let mut writes = Vec::new();
    // A disk may complete what is under way in any order.
    for (completed, newest_first) in (0..8).flat_map(|count| [(count, false), (count, true)]) {
        let (mut cluster, leader) = with_a_client(3);
        submit(&mut cluster, b"promised");
        let other = others(&cluster, leader)[0];
        let promised = cluster.member(other).view().verified;
        assert!(cluster.member(other).view().durable < promised, "its disk has less");
        cluster.step(other, Event::Shutdown);
        let mut order = Vec::new();
        for _ in 0..completed {
            let pending = &mut cluster.nodes.get_mut(&id(other)).unwrap().pending;
            if newest_first && !pending.is_empty() {
                pending.rotate_right(1);
            }
            let Some((_, write)) = pending.front() else { break };
            order.push(matches!(write, Write::Sync(_)));
            assert!(cluster.complete_one(other));
        }
        let is_done = cluster.nodes[&id(other)].pending.is_empty();
        assert_eq!(cluster.member(other).is_in_debt(), !is_done, "behind {completed} writes");
        assert_eq!(own_record(&cluster, other).is_none(), is_done, "behind {completed} writes");
        cluster.crash(other);
        cluster.start(other);
        let view = cluster.member(other).view();
        assert!(view.impaired || view.verified >= promised, "behind {completed} writes: {view:?}");
        assert_eq!(view.impaired, !is_done, "behind {completed} writes");
        writes = order;
    }
    assert_eq!(writes, [true, false], "the mark goes behind the sync");
}

/// Nor does it matter that more came in between: it is synced before the mark goes.
#[test]
fn a_clean_stop_syncs_what_came_with_a_sync_that_was_under_way() {
    let (mut cluster, leader) = with_a_client(3);
    let other = others(&cluster, leader)[0];
    hold_disk(&mut cluster, other, true);
    submit(&mut cluster, b"first");
    run_for(&mut cluster, 1_100);
    submit(&mut cluster, b"promised behind the sync");
    let view = cluster.member(other).view();
    cluster.step(other, Event::Shutdown);
    while cluster.complete_one(other) {}
    assert!(!cluster.member(other).is_in_debt());
    cluster.crash(other);
    hold_disk(&mut cluster, other, false);
    cluster.start(other);
    assert!(!is_impaired(&cluster, other));
    assert_eq!(cluster.member(other).view().verified, view.verified);
}

/// A member whose service broke while its disk is held. Returns it.
fn parting() -> (Cluster, u16) {
    let (mut cluster, leader) = with_a_client(3);
    let other = others(&cluster, leader)[0];
    submit(&mut cluster, b"promised");
    let view = cluster.member(other).view();
    assert!(view.durable < view.verified, "its disk has less");
    hold_disk(&mut cluster, other, true);
    cluster.step(other, Event::ServiceFailed);
    assert_eq!(cluster.nodes[&id(other)].fail_stop, None, "its disk is awaited");
    (cluster, other)
}

fn assert_ended_with_its_mark(cluster: &mut Cluster, member: u16) {
    assert_eq!(cluster.nodes[&id(member)].fail_stop, Some(FailStop::ServiceFailed));
    assert_eq!(cluster.member(member).next_timer(), None);
    // What its disk does now is nothing to it.
    while cluster.complete_one(member) {}
    assert!(own_record(cluster, member).is_some(), "the mark stays");
    cluster.crash(member);
    hold_disk(cluster, member, false);
    cluster.start(member);
    assert!(is_impaired(cluster, member));
}

#[test]
fn a_member_that_goes_inert_does_not_wait_for_its_disk_for_ever() {
    let (mut cluster, other) = parting();
    let until = cluster.now + PARTING_TIMEOUT;
    assert_eq!(cluster.member(other).next_timer(), Some((until, TimerKind::Parting)));
    cluster.now = until;
    cluster.step(other, Event::Timer);
    assert_ended_with_its_mark(&mut cluster, other);
    // Nor is what it waits for served early, or ended by a host that begins to stop.
    let (mut cluster, other) = parting();
    cluster.now += Duration(PARTING_TIMEOUT.0 - 1);
    cluster.step(other, Event::Timer);
    cluster.step(other, Event::Shutdown);
    assert_eq!(cluster.nodes[&id(other)].fail_stop, None);
    while cluster.complete_one(other) {}
    assert_eq!(cluster.nodes[&id(other)].fail_stop, Some(FailStop::ServiceFailed));
    assert_eq!(own_record(&cluster, other), None);
}

/// What a full disk refuses was perhaps counted by others already: the mark stays.
#[test]
fn e48_a_full_disk_leaves_the_mark_to_a_member_that_goes_inert() {
    // It is full when the member breaks,
    let (mut cluster, leader) = with_a_client(3);
    let other = others(&cluster, leader)[0];
    submit(&mut cluster, b"promised");
    let refused = cluster.member(other).view().durable;
    assert!(refused < cluster.member(other).view().verified);
    cluster.nodes.get_mut(&id(other)).unwrap().disk.log.truncate(refused.0 as usize);
    cluster.step(other, Event::StorageFull { position: refused });
    cluster.step(other, Event::ServiceFailed);
    assert_ended_with_its_mark(&mut cluster, other);
    // or on the way,
    let (mut cluster, other) = parting();
    let refused = cluster.member(other).view().durable;
    cluster.nodes.get_mut(&id(other)).unwrap().disk.log.truncate(refused.0 as usize);
    cluster.step(other, Event::StorageFull { position: refused });
    assert_ended_with_its_mark(&mut cluster, other);
    // or tried again, and nobody knows yet.
    let (mut cluster, leader) = with_a_client(3);
    let other = others(&cluster, leader)[0];
    submit(&mut cluster, b"promised");
    let refused = cluster.member(other).view().durable;
    cluster.nodes.get_mut(&id(other)).unwrap().disk.log.truncate(refused.0 as usize);
    hold_disk(&mut cluster, other, true);
    cluster.step(other, Event::StorageFull { position: refused });
    cluster.run_until("another try", |cluster| cluster.member(other).view().written > refused);
    cluster.step(other, Event::ServiceFailed);
    assert_ended_with_its_mark(&mut cluster, other);
}

/// Whoever is told to stop tries at once whether there is space again, each time: its promises wait
/// for that, and its timers are served no more.
#[test]
fn e48_a_stop_tries_a_full_disk_again() {
    let (mut cluster, leader) = with_a_client(3);
    let other = others(&cluster, leader)[0];
    submit(&mut cluster, b"promised");
    let refused = cluster.member(other).view().durable;
    let end = cluster.member(other).view().verified;
    assert!(refused < end);
    let refuse = |cluster: &mut Cluster| {
        let node = cluster.nodes.get_mut(&id(other)).unwrap();
        node.disk.log.truncate(refused.0 as usize);
        cluster.step(other, Event::StorageFull { position: refused });
    };
    refuse(&mut cluster);
    assert!(cluster.member(other).awaits_space());
    for _ in 0..3 {
        hold_disk(&mut cluster, other, true);
        cluster.step(other, Event::Shutdown);
        assert_eq!(cluster.member(other).view().written, end, "it is tried");
        assert!(!cluster.member(other).awaits_space() && cluster.member(other).is_in_debt());
        refuse(&mut cluster);
        assert_eq!(cluster.member(other).view().written, refused);
    }
    cluster.step(other, Event::Shutdown);
    hold_disk(&mut cluster, other, false);
    cluster.run_until("the mark is gone", |cluster| !cluster.member(other).is_in_debt());
    assert_eq!(cluster.member(other).view().durable, end);
}

/// However long the interval of checkpoints: so much is synced at once.
#[test]
fn cd12_a_checkpoint_comes_with_so_many_bytes_whatever_the_interval() {
    let (mut cluster, leader) = served(volatile_for(3, CHECKPOINT_INTERVAL_MAX));
    let began = cluster.now;
    let mut most = 0;
    let mut durable = cluster.member(leader).view().durable;
    let first = durable;
    while durable == first {
        for _ in 0..6 {
            cluster.submit(&[7; 3_900]);
        }
        let sent = cluster.replies.len() + 6;
        cluster.run_until("replies", |cluster| cluster.replies.len() >= sent);
        cluster.trace.clear();
        let view = cluster.member(leader).view();
        durable = view.durable;
        if durable == first {
            most = view.written.since(durable);
            assert!(most < UNSYNCED_BYTES_MAX, "{most} bytes wait for a sync");
        }
    }
    assert!(most >= UNSYNCED_BYTES_MAX - (64 << 10), "it was synced early: {most}");
    assert!(cluster.now.since(began) < CHECKPOINT_INTERVAL_MAX);
    let synced = durable.since(first);
    assert!((UNSYNCED_BYTES_MAX..UNSYNCED_BYTES_MAX + (64 << 10)).contains(&synced), "{synced}");
}

/// Whoever has purged the opening frame of the term tells its level by its snapshot.
#[test]
fn a_snapshot_tells_the_level_of_the_term_whose_opening_is_purged() {
    let interval = Duration::from_millis(50);
    let mut cluster = volatile_for(3, interval);
    cluster.limits.purge_keep_bytes = 0;
    (1..=3).for_each(|member| cluster.start(member));
    let (mut cluster, first) = served(cluster);
    let away = others(&cluster, first)[0];
    submit(&mut cluster, b"held by all");
    cluster.step(away, Event::Shutdown);
    while cluster.complete_one(away) {}
    cluster.crash(away);
    // In the next term it has never been.
    let third = others(&cluster, first)[1];
    cluster.step(first, Event::Transfer { request: 1, target: Some(id(third)) });
    run_for(&mut cluster, 1_000);
    assert_eq!(cluster.leader(), Some(third), "{:?}", cluster.notices);
    let term = cluster.member(third).view().term;
    // Nor has anybody its beginning in the window any more.
    (0..30).for_each(|_| _ = take(&mut cluster));
    cluster.durability = Durability::Durable;
    cluster.start(away);
    cluster.run_until("it stops", |cluster| cluster.nodes[&id(away)].fail_stop.is_some());
    assert_eq!(cluster.nodes[&id(away)].fail_stop, Some(FailStop::OtherLevel { term }));
    assert_eq!(installed(&cluster, away).len(), 1, "it knew of no opening before");
}
