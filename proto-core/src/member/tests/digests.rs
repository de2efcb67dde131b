//! Members whose services have come to another state than those of the others (E113, R14).

use alloc::vec;
use alloc::vec::Vec;

use super::cluster::{Cluster, Datagram, Disk, id, isolated};
use super::cut::Cut;
use super::fetch_disk::stream_of;
use super::fetching::{assert_alike, begun, behind, forge, installed, purging, told};
use super::purging::take;
use crate::event::Event;
use crate::identity::Endpoint;
use crate::message::Message;
use crate::notice::{FailStop, Notice};
use crate::position::Position;
use crate::time::Duration;

impl Disk {
    pub(super) fn discard(&mut self, from: Position) {
        self.snapshots.retain(|(snapshot, _)| snapshot.point.position < from);
    }
}

fn no_digests(cut: &Cut, from: Endpoint, to: Endpoint, what: &Datagram) -> bool {
    let is_digest = matches!(what, Datagram::Control(Message::SnapshotDigest { .. }));
    is_digest || isolated(cut, from, to, what)
}

/// Three that have agreed on a snapshot, with the leader first.
fn agreed(members: u16) -> (Cluster, Vec<u16>, Position) {
    let mut cluster = purging(members);
    let first = take(&mut cluster);
    pass(&mut cluster, 1_000);
    let leader = cluster.leader().unwrap();
    let mut ids = vec![leader];
    ids.extend((1..=members).filter(|&member| member != leader));
    assert!(cluster.nodes.values().all(|node| node.fail_stop.is_none()));
    assert_eq!(differing(&cluster, leader), []);
    (cluster, ids, first)
}

/// Three that have stored another, and heard nothing of each other's.
fn unheard() -> (Cluster, Vec<u16>, Position) {
    let (mut cluster, ids, _) = agreed(3);
    cluster.lose = no_digests;
    let second = take(&mut cluster);
    pass(&mut cluster, 100);
    (cluster, ids, second)
}

fn pass(cluster: &mut Cluster, millis: u64) {
    let end = cluster.now + Duration::from_millis(millis);
    cluster.run_until("time has passed", |cluster| cluster.now >= end);
}

/// The service of a member looks at something that is not in the log.
fn deviate(cluster: &mut Cluster, member: u16) {
    cluster.nodes.get_mut(&id(member)).unwrap().applied.push(vec![member as u8; 3]);
}

fn differing(cluster: &Cluster, by: u16) -> Vec<(u16, Position)> {
    let notices = told(cluster, by).into_iter();
    let differing = notices.filter_map(|notice| match notice {
        Notice::SnapshotDiffers { member, position } => Some((member.0, position)),
        _ => None,
    });
    differing.collect()
}

fn stopped(cluster: &Cluster, member: u16) -> Option<FailStop> {
    cluster.nodes[&id(member)].fail_stop
}

fn run_until_stopped(cluster: &mut Cluster, member: u16) {
    cluster.run_until("it has stopped", |cluster| stopped(cluster, member).is_some());
}

fn stored(cluster: &Cluster, member: u16) -> Vec<Position> {
    let stored = &cluster.nodes[&id(member)].disk.snapshots;
    stored.iter().map(|(snapshot, _)| snapshot.point.position).collect()
}

/// The next life of a member that has stopped.
fn start_anew(cluster: &mut Cluster, member: u16) {
    cluster.crash(member);
    cluster.nodes.get_mut(&id(member)).unwrap().fail_stop = None;
    cluster.start(member);
}

fn digest(position: Position, digest: u64, vouches: bool) -> Message {
    let (term, layout, asks) = (crate::Term(1), crate::snapshot::SNAPSHOT_VERSION, false);
    Message::SnapshotDigest { term, position, layout, digest, vouches, asks }
}

#[test]
fn e113_a_member_that_deviates_stops_and_begins_with_an_older_snapshot() {
    let (mut cluster, ids, first) = agreed(3);
    deviate(&mut cluster, ids[1]);
    let second = take(&mut cluster);
    run_until_stopped(&mut cluster, ids[1]);
    assert_eq!(stopped(&cluster, ids[1]), Some(FailStop::Diverged { position: second }));
    assert_eq!(differing(&cluster, ids[0]), [(ids[1], second)]);
    assert_eq!(stored(&cluster, ids[1]), [first], "a start would begin with that state again");
    pass(&mut cluster, 2_000);
    assert_eq!((stopped(&cluster, ids[0]), stopped(&cluster, ids[2])), (None, None));
    // It applies the log again, and whatever it was that it had seen, it has not seen it now.
    start_anew(&mut cluster, ids[1]);
    cluster.run_until_level();
    assert_alike(&mut cluster);
    take(&mut cluster);
    pass(&mut cluster, 1_000);
    assert_alike(&mut cluster);
    assert_eq!(differing(&cluster, ids[0]).len(), 1);
}

#[test]
fn e113_a_leader_that_deviates_stops_and_another_leads() {
    let (mut cluster, ids, _) = agreed(5);
    deviate(&mut cluster, ids[0]);
    let second = take(&mut cluster);
    run_until_stopped(&mut cluster, ids[0]);
    assert_eq!(stopped(&cluster, ids[0]), Some(FailStop::Diverged { position: second }));
    cluster.crash(ids[0]);
    cluster.run_until_led();
    assert_alike(&mut cluster);
}

#[test]
fn e113_without_a_majority_nobody_stops_and_all_are_told() {
    let (mut cluster, ids, _) = agreed(2);
    deviate(&mut cluster, ids[1]);
    let second = take(&mut cluster);
    pass(&mut cluster, 5_000);
    assert_eq!(differing(&cluster, ids[0]), [(ids[1], second)], "once");
    assert_eq!(differing(&cluster, ids[1]), [(ids[0], second)]);
    assert_eq!((stopped(&cluster, ids[0]), stopped(&cluster, ids[1])), (None, None));
    // Each of three has another state.
    let (mut cluster, ids, _) = agreed(3);
    deviate(&mut cluster, ids[1]);
    deviate(&mut cluster, ids[2]);
    take(&mut cluster);
    pass(&mut cluster, 5_000);
    assert!(ids.iter().all(|&member| differing(&cluster, member).len() == 2));
    assert!(ids.iter().all(|&member| stopped(&cluster, member).is_none()));
}

#[test]
fn e113_digests_that_are_lost_are_told_again() {
    let (mut cluster, ids, _) = agreed(3);
    cluster.lose = no_digests;
    deviate(&mut cluster, ids[1]);
    let second = take(&mut cluster);
    pass(&mut cluster, 3_000);
    assert!(ids.iter().all(|&member| stopped(&cluster, member).is_none()));
    let asked = |cluster: &Cluster| cluster.trace.matches("SnapshotDigest").count();
    cluster.lose = isolated;
    cluster.trace.clear();
    run_until_stopped(&mut cluster, ids[1]);
    assert_eq!(stopped(&cluster, ids[1]), Some(FailStop::Diverged { position: second }));
    pass(&mut cluster, 2_000);
    // Who has heard of all says no more.
    cluster.trace.clear();
    pass(&mut cluster, 20_000);
    assert_eq!(asked(&cluster), 0, "{}", cluster.trace);
}

#[test]
fn e113_who_skipped_a_snapshot_says_so_and_is_not_asked_again() {
    let (mut cluster, ids, _) = agreed(3);
    let node = cluster.nodes.get_mut(&id(ids[1])).unwrap();
    node.holds_snapshots = true;
    let leader = ids[0];
    for _ in 0..2 {
        cluster.step(leader, Event::TakeSnapshot);
        pass(&mut cluster, 200);
    }
    let skipped = |notice: &Notice| matches!(notice, Notice::SnapshotSkipped { .. });
    assert!(told(&cluster, ids[1]).iter().any(skipped));
    pass(&mut cluster, 15_000);
    cluster.trace.clear();
    pass(&mut cluster, 20_000);
    assert!(!cluster.trace.contains("SnapshotDigest"), "{}", cluster.trace);
    cluster.nodes.get_mut(&id(ids[1])).unwrap().holds_snapshots = false;
    pass(&mut cluster, 1_000);
    assert!(ids.iter().all(|&member| differing(&cluster, member).is_empty()));
}

#[test]
fn e113_who_lies_stops_nobody() {
    for leads in [false, true] {
        let (mut cluster, ids, first) = unheard();
        let (liar, other) = if leads { (ids[0], ids[1]) } else { (ids[1], ids[0]) };
        for value in 0..50 {
            forge(&mut cluster, liar, other, digest(first, value, true));
            forge(&mut cluster, liar, ids[2], digest(first, value, true));
            // Of places where no snapshot is, too: what is true is not forgotten for them.
            forge(&mut cluster, liar, ids[2], digest(Position(1 << 40 | value << 3), value, true));
        }
        cluster.lose = isolated;
        pass(&mut cluster, 1_000);
        assert!(ids.iter().all(|&member| stopped(&cluster, member).is_none()));
        assert!(differing(&cluster, other).contains(&(liar, first)));
        take(&mut cluster);
        pass(&mut cluster, 1_000);
        assert_alike(&mut cluster);
    }
}

#[test]
fn e113_copies_and_other_layouts_are_no_witnesses() {
    let (mut cluster, ids, first) = unheard();
    forge(&mut cluster, ids[0], ids[2], digest(first, 7, true));
    forge(&mut cluster, ids[1], ids[2], digest(first, 7, false));
    assert_eq!(stopped(&cluster, ids[2]), None);
    let mut other = digest(first, 7, true);
    if let Message::SnapshotDigest { layout, .. } = &mut other {
        *layout += 100;
    }
    let told = differing(&cluster, ids[2]).len();
    forge(&mut cluster, ids[0], ids[2], other.clone());
    forge(&mut cluster, ids[1], ids[2], other);
    assert_eq!((stopped(&cluster, ids[2]), differing(&cluster, ids[2]).len()), (None, told));
    // The same words of two who have taken it themselves.
    forge(&mut cluster, ids[0], ids[2], digest(first, 7, true));
    forge(&mut cluster, ids[1], ids[2], digest(first, 7, true));
    assert_eq!(stopped(&cluster, ids[2]), Some(FailStop::Diverged { position: first }));
}

#[test]
fn e113_a_fetched_snapshot_is_told_as_a_copy() {
    let (mut cluster, leader, away, _) = behind();
    cluster.start(away);
    cluster.run_until("it is installed", |cluster| !installed(cluster, away).is_empty());
    cluster.trace.clear();
    pass(&mut cluster, 2_000);
    let by = alloc::format!("member {away} -> member {leader}  SnapshotDigest");
    let lines: Vec<&str> = cluster.trace.lines().filter(|line| line.contains(&by)).collect();
    assert!(!lines.is_empty(), "it is compared with those of the others");
    assert!(lines.iter().all(|line| line.contains("vouches: false")), "{lines:?}");
    assert_alike(&mut cluster);
}

#[test]
fn e113_a_start_with_a_snapshot_that_deviates_is_found() {
    let (mut cluster, ids, first) = agreed(3);
    let second = take(&mut cluster);
    pass(&mut cluster, 1_000);
    cluster.crash(ids[1]);
    // As if it had died right before it discarded what it had stored.
    let node = cluster.nodes.get_mut(&id(ids[1])).unwrap();
    node.disk.snapshots.last_mut().unwrap().1.push(b"another".to_vec());
    cluster.start(ids[1]);
    run_until_stopped(&mut cluster, ids[1]);
    assert_eq!(stopped(&cluster, ids[1]), Some(FailStop::Diverged { position: second }));
    assert_eq!(stored(&cluster, ids[1]), [first]);
    start_anew(&mut cluster, ids[1]);
    cluster.run_until_level();
    assert_alike(&mut cluster);
}

#[test]
fn e113_a_snapshot_that_nobody_remembers_is_discarded_with_those_behind_it() {
    let (mut cluster, ..) = agreed(3);
    // All keep their logs, so that there is something to begin with.
    cluster.limits.purge_keep_bytes = u64::MAX;
    for member in 1..=3 {
        cluster.crash(member);
        cluster.start(member);
    }
    let leader = cluster.run_until_led();
    let ids: Vec<u16> = [0, 1, 2].map(|step| (leader + step - 1) % 3 + 1).to_vec();
    let hold = |cluster: &mut Cluster, holds| {
        for member in [ids[1], ids[2]] {
            cluster.nodes.get_mut(&id(member)).unwrap().holds_snapshots = holds;
        }
    };
    // The others are at a snapshot still, and skip the next one, which deviates.
    hold(&mut cluster, true);
    cluster.step(ids[0], Event::TakeSnapshot);
    pass(&mut cluster, 200);
    deviate(&mut cluster, ids[0]);
    cluster.step(ids[0], Event::TakeSnapshot);
    pass(&mut cluster, 200);
    hold(&mut cluster, false);
    pass(&mut cluster, 15_000);
    let own = stored(&cluster, ids[0]);
    let sound = stored(&cluster, ids[1]);
    assert_eq!((sound.last(), own.len()), (own.get(own.len() - 2), sound.len() + 1));
    assert_eq!(stopped(&cluster, ids[0]), None, "it cannot be compared");
    cluster.crash(ids[0]);
    cluster.start(ids[0]);
    cluster.run_until_led();
    let next = take(&mut cluster);
    run_until_stopped(&mut cluster, ids[0]);
    assert_eq!(stopped(&cluster, ids[0]), Some(FailStop::Diverged { position: next }));
    // The life began at one for which nobody vouches.
    assert_eq!(stored(&cluster, ids[0]), sound);
    start_anew(&mut cluster, ids[0]);
    cluster.run_until_level();
    assert_alike(&mut cluster);
}

#[test]
fn e113_a_state_that_is_the_same_again_stops_nobody() {
    let (mut cluster, ids, first) = agreed(3);
    take(&mut cluster);
    pass(&mut cluster, 1_000);
    for liar in [ids[0], ids[1]] {
        forge(&mut cluster, liar, ids[2], digest(first, 7, true));
    }
    assert_eq!(stopped(&cluster, ids[2]), None);
    assert!(differing(&cluster, ids[2]).contains(&(ids[0], first)));
}

#[test]
fn e113_a_disputed_snapshot_is_neither_handed_on_nor_taken() {
    let (mut cluster, leader, away, third) = behind();
    let before = cluster.member(leader).view().snapshot;
    // The newest of the two is disputed: who is right nobody can tell.
    deviate(&mut cluster, third);
    let disputed = take(&mut cluster);
    pass(&mut cluster, 1_000);
    assert_eq!(differing(&cluster, leader), [(third, disputed)]);
    // Nor is one behind it, which nobody else has taken.
    cluster.nodes.get_mut(&id(third)).unwrap().holds_snapshots = true;
    cluster.step(leader, Event::TakeSnapshot);
    pass(&mut cluster, 1_000);
    assert!(cluster.member(leader).view().snapshot > disputed);
    cluster.start(away);
    cluster.run_until("it is installed", |cluster| !installed(cluster, away).is_empty());
    assert_eq!((begun(&cluster, away), installed(&cluster, away)), (vec![before], vec![before]));
    // It applies the log behind it, and what it has at that place then tells who is right.
    run_until_stopped(&mut cluster, third);
    assert_eq!(stopped(&cluster, third), Some(FailStop::Diverged { position: disputed }));
    cluster.crash(third);
    assert_alike(&mut cluster);
}

#[test]
fn e113_a_digest_comes_from_the_stored_bytes() {
    let (mut cluster, ids, first) = agreed(3);
    let (manifest, _) = stream_of(&cluster.nodes[&id(ids[0])].disk.snapshots[0]);
    assert_eq!(manifest.point.position, first);
    let said = alloc::format!("digest: {},", manifest.digest);
    let lines = cluster.trace.lines().filter(|line| line.contains("SnapshotDigest"));
    let lines: Vec<&str> = lines.collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(&said)), "{lines:?}");
    // Each says it to each of the others, and to those who have asked.
    assert!(lines.len() <= 12, "{lines:#?}");
    cluster.trace.clear();
    pass(&mut cluster, 30_000);
    assert!(!cluster.trace.contains("SnapshotDigest"));
}
