//! Members that lack what all others have purged (E29, E71–E77).

use alloc::vec;
use alloc::vec::Vec;

use super::cluster::{Cluster, Datagram, endpoint, id, isolated};
use super::purging::{say, take};
use crate::event::Event;
use crate::identity::Life;
use crate::message::{EpochRange, Message, Sender, Stream};
use crate::notice::{Notice, Role};
use crate::position::Position;
use crate::snapshot::{SnapshotError, SnapshotManifest};
use crate::term::Term;
use crate::time::Duration;

/// Members that purge all they can, with a client, and room for little of a snapshot at a time.
pub(super) fn purging(members: u16) -> Cluster {
    let mut cluster = Cluster::new(members);
    cluster.limits.purge_keep_bytes = 0;
    cluster.limits.repair_request_bytes_max = 8 << 10;
    for member in 1..=members {
        cluster.start(member);
    }
    cluster.run_until_led();
    cluster.connect_client();
    say(&mut cluster, b"first of all");
    cluster.run_until_level();
    cluster
}

/// Three of them, of which one was away for longer than the others keep the log. Returns the
/// leader, the one that is away, and the third.
pub(super) fn behind() -> (Cluster, u16, u16, u16) {
    let mut cluster = purging(3);
    let leader = cluster.leader().unwrap();
    let others: Vec<u16> = (1..=3).filter(|&member| member != leader).collect();
    cluster.crash(others[0]);
    for _ in 0..30 {
        take(&mut cluster);
    }
    // They have told each other what they stored: what is changed from now on is damage.
    let until = cluster.now + Duration::from_millis(200);
    cluster.run_until("digests are told", |cluster| cluster.now > until);
    (cluster, leader, others[0], others[1])
}

pub(super) fn told(cluster: &Cluster, member: u16) -> Vec<Notice> {
    cluster.notices.iter().filter(|(by, _)| *by == member).map(|(_, notice)| *notice).collect()
}

/// Where the snapshots stand that a member began to fetch.
pub(super) fn begun(cluster: &Cluster, member: u16) -> Vec<Position> {
    let notices = told(cluster, member).into_iter();
    let begun = notices.filter_map(|notice| match notice {
        Notice::SnapshotFetchBegun { position, .. } => Some(position),
        _ => None,
    });
    begun.collect()
}

pub(super) fn installed(cluster: &Cluster, member: u16) -> Vec<Position> {
    let notices = told(cluster, member).into_iter();
    let installed = notices.filter_map(|notice| match notice {
        Notice::SnapshotInstalled { position, .. } => Some(position),
        _ => None,
    });
    installed.collect()
}

pub(super) fn rejected(cluster: &Cluster, member: u16) -> Vec<SnapshotError> {
    let notices = told(cluster, member).into_iter();
    let rejected = notices.filter_map(|notice| match notice {
        Notice::SnapshotRejected { reason, .. } => Some(reason),
        _ => None,
    });
    rejected.collect()
}

pub(super) fn run_until_half_fetched(cluster: &mut Cluster, away: u16) -> Position {
    cluster.run_until("half of it is here", |cluster| {
        cluster.member(away).view().fetching.is_some_and(|(_, bytes)| bytes > 40_000)
    });
    cluster.member(away).view().fetching.unwrap().0
}

pub(super) fn run_until_installed(cluster: &mut Cluster, away: u16) {
    cluster.run_until("it is installed", |cluster| !installed(cluster, away).is_empty());
}

pub(super) fn assert_alike(cluster: &mut Cluster) {
    say(cluster, b"last of all");
    cluster.run_until_level();
    let running = cluster.running();
    let first = &cluster.nodes[&id(running[0])];
    for &member in &running {
        let node = &cluster.nodes[&id(member)];
        assert_eq!(node.applied, first.applied, "member {member}");
        let hash = |member| cluster.member(member).replicated_hash();
        assert_eq!(hash(member), hash(running[0]), "member {member}");
        assert_eq!(node.fail_stop, None);
    }
}

pub(super) fn sender(life: Life) -> Sender {
    let Life { member, incarnation, boot_epoch } = life;
    Sender::Member { member, incarnation, boot_epoch }
}

/// `from` says something to `to`.
pub(super) fn forge(cluster: &mut Cluster, from: u16, to: u16, message: Message) {
    let sender = sender(cluster.member(from).view().life);
    cluster.deliver(endpoint(from), endpoint(to), sender, &Datagram::Control(message));
}

fn offer(manifest: SnapshotManifest) -> Message {
    let SnapshotManifest { point, core_bytes, service_bytes, digest } = manifest;
    Message::SnapshotOffer { term: Term(1), point, core_bytes, service_bytes, digest }
}

#[test]
fn e29_a_member_behind_everybodys_purge_fetches_a_snapshot() {
    let (mut cluster, leader, away, third) = behind();
    let newest = cluster.member(leader).view().snapshot;
    let boot_epoch = cluster.nodes[&id(away)].disk.boot_epoch;
    cluster.start(away);
    run_until_installed(&mut cluster, away);
    assert_eq!((begun(&cluster, away), installed(&cluster, away)), (vec![newest], vec![newest]));
    let view = cluster.member(away).view();
    assert_eq!((view.origin, view.snapshot, view.applied), (newest, newest, newest));
    assert_eq!(cluster.nodes[&id(away)].disk.boot_epoch, boot_epoch + 2, "a new life began");
    assert_alike(&mut cluster);
    // The leader is spared, and nothing was sent twice.
    let sent = |member| cluster.member(member).counters().snapshot_bytes_sent;
    let (manifest, _) = super::fetch_disk::stream_of(&cluster.nodes[&id(away)].disk.snapshots[0]);
    assert_eq!((sent(leader), sent(third)), (0, manifest.stream_end().0));
    // It goes on as the others do: it takes snapshots, purges, and is one of two.
    take(&mut cluster);
    assert_eq!(cluster.member(away).view().origin, newest);
    cluster.crash(leader);
    cluster.run_until("another leader", |cluster| cluster.leader().is_some_and(|it| it != leader));
    assert_alike(&mut cluster);
}

#[test]
fn e29_who_refuses_what_lies_behind_refuses_what_comes_next() {
    let mut cluster = purging(4);
    let leader = cluster.leader().unwrap();
    let away = (1..=4).find(|&member| member != leader).unwrap();
    cluster.crash(away);
    // More than a window: it is asked for in parts, of two that do not lead.
    while cluster.member(cluster.leader().unwrap()).view().verified.0 < 3 * (64 << 10) {
        say(&mut cluster, &[7; 4_000]);
    }
    take(&mut cluster);
    take(&mut cluster);
    cluster.start(away);
    // Nobody is reached who is asked for what comes next; all are by requests for what is behind
    // that, and begin there (seed 420).
    let next = cluster.member(away).view().received;
    cluster.cut.count.set(next.0);
    cluster.lose = |cut, _, _, what| {
        let next = Position(cut.count.get());
        let asks = |asked: &EpochRange| asked.range.start <= next && next < asked.range.end;
        matches!(what, Datagram::Control(Message::Nak { stream: Stream::Log, ranges })
            if ranges.iter().any(asks))
    };
    run_until_installed(&mut cluster, away);
}

#[test]
fn e29_who_has_not_purged_it_is_asked_though_bytes_keep_coming() {
    let mut cluster = purging(3);
    let leader = cluster.leader().unwrap();
    let others: Vec<u16> = (1..=3).filter(|&member| member != leader).collect();
    let (away, third) = (others[0], others[1]);
    // The third keeps all of its log.
    cluster.crash(third);
    cluster.limits.purge_keep_bytes = 1 << 20;
    cluster.start(third);
    cluster.limits.purge_keep_bytes = 0;
    cluster.run_until_level();
    cluster.crash(away);
    for _ in 0..3 {
        take(&mut cluster);
    }
    // A life that began behind its purge has no more at hand.
    cluster.crash(leader);
    cluster.start(leader);
    if cluster.run_until_led() != leader {
        cluster.run_until_level();
        cluster.step(third, Event::Transfer { request: 1, target: Some(id(leader)) });
        cluster.run_until("the other leads", |cluster| cluster.leader() == Some(leader));
    }
    say(&mut cluster, b"now");
    cluster.run_until_level();
    cluster.timing.nak_retry = cluster.timing.heartbeat_interval;
    cluster.start(away);
    let next = cluster.member(away).view().received;
    let origin = |member| cluster.member(member).view().origin;
    assert!(origin(third) < next && next < origin(leader));
    // Each is a byte that comes behind the hole, sooner than a request is repeated (seed 11849).
    let is_behind = |cluster: &Cluster| {
        cluster.member(away).view().received < cluster.member(leader).view().commit
    };
    let mut said = 0;
    while is_behind(&cluster) || said < 10 {
        say(&mut cluster, b"more");
        said += 1;
        assert!(said < 400, "what the leader has purged was asked of nobody else");
    }
    assert_eq!(begun(&cluster, away), [], "no snapshot was needed");
    assert_alike(&mut cluster);
}

#[test]
fn e74_another_source_goes_on_at_the_same_byte() {
    let (mut cluster, _, away, third) = behind();
    cluster.start(away);
    let at = run_until_half_fetched(&mut cluster, away);
    let (_, before) = cluster.member(away).view().fetching.unwrap();
    cluster.crash(third);
    run_until_installed(&mut cluster, away);
    // The disk of the test takes a part that begins anew for a loss of order, but at zero.
    assert_eq!((begun(&cluster, away), installed(&cluster, away)), (vec![at], vec![at]));
    assert!(before > 40_000);
    assert_alike(&mut cluster);
}

#[test]
fn e74_who_has_it_no_more_is_left_at_once() {
    let (mut cluster, _, away, third) = behind();
    cluster.start(away);
    let at = run_until_half_fetched(&mut cluster, away);
    let disk = &mut cluster.nodes.get_mut(&id(third)).unwrap().disk;
    disk.snapshots.retain(|(snapshot, _)| snapshot.point.position != at);
    let refused_at = cluster.now;
    run_until_installed(&mut cluster, away);
    assert_eq!((begun(&cluster, away), installed(&cluster, away)), (vec![at], vec![at]));
    // It is not waited for, as one that says nothing would be.
    assert!(cluster.now.since(refused_at) < cluster.timing.heartbeat_interval);
    assert_alike(&mut cluster);
}

#[test]
fn e75_a_pruned_snapshot_is_begun_anew() {
    let (mut cluster, leader, away, third) = behind();
    cluster.start(away);
    let first = run_until_half_fetched(&mut cluster, away);
    cluster.crash(away);
    let newer = take(&mut cluster);
    cluster.start(away);
    for member in [leader, third] {
        let disk = &mut cluster.nodes.get_mut(&id(member)).unwrap().disk;
        disk.snapshots.retain(|(snapshot, _)| snapshot.point.position == newer);
    }
    run_until_installed(&mut cluster, away);
    assert_eq!(begun(&cluster, away), [first, newer]);
    assert_alike(&mut cluster);
    // The same while it is under way: everybody says that it is gone.
    let (mut cluster, leader, away, third) = behind();
    cluster.start(away);
    let first = run_until_half_fetched(&mut cluster, away);
    cluster.lose = |_, _, _, what| matches!(what, Datagram::Data { stream: Stream::Snapshot, .. });
    let newer = take_of(&mut cluster, [leader, third]);
    for member in [leader, third] {
        let disk = &mut cluster.nodes.get_mut(&id(member)).unwrap().disk;
        disk.snapshots.retain(|(snapshot, _)| snapshot.point.position != first);
    }
    cluster.lose = isolated;
    run_until_installed(&mut cluster, away);
    assert_eq!(
        (begun(&cluster, away), installed(&cluster, away)),
        (vec![first, newer], vec![newer])
    );
    assert_alike(&mut cluster);
}

#[test]
fn e75_the_one_under_way_stays_and_is_pinned() {
    let (mut cluster, leader, away, third) = behind();
    assert_eq!(cluster.nodes[&id(third)].pinned, None);
    cluster.start(away);
    let first = run_until_half_fetched(&mut cluster, away);
    // Nothing comes any more, so that there is time for newer ones.
    cluster.lose = |_, _, _, what| matches!(what, Datagram::Data { stream: Stream::Snapshot, .. });
    for _ in 0..3 {
        assert!(take_of(&mut cluster, [leader, third]) > first);
    }
    for member in [leader, third] {
        assert_eq!(cluster.nodes[&id(member)].pinned, Some(first), "member {member}");
    }
    cluster.lose = isolated;
    run_until_installed(&mut cluster, away);
    assert_eq!((begun(&cluster, away), installed(&cluster, away)), (vec![first], vec![first]));
    // Nobody asks for it any more.
    let until = cluster.now + cluster.timing.heartbeat_interval.times(501);
    cluster.run_until("a while passes", |cluster| cluster.now > until);
    take(&mut cluster);
    assert_eq!(cluster.nodes[&id(third)].pinned, None);
    assert_alike(&mut cluster);
}

/// Has a snapshot taken by these two, whoever else lags behind.
pub(super) fn take_of(cluster: &mut Cluster, members: [u16; 2]) -> Position {
    say(cluster, &[7; 900]);
    let leader = cluster.run_until_led();
    cluster.step(leader, Event::TakeSnapshot);
    let position = cluster.member(leader).view().verified;
    cluster.run_until("it is stored", |cluster| {
        members.iter().all(|&member| cluster.member(member).view().snapshot >= position)
    });
    position
}

#[test]
fn e76_a_transfer_outlives_an_election() {
    let (mut cluster, leader, away, third) = behind();
    cluster.start(away);
    let at = run_until_half_fetched(&mut cluster, away);
    cluster.cut.isolated = vec![endpoint(leader)];
    cluster.run_until("another leads", |cluster| cluster.member(third).view().role == Role::Leader);
    run_until_installed(&mut cluster, away);
    assert_eq!((begun(&cluster, away), installed(&cluster, away)), (vec![at], vec![at]));
    cluster.cut.isolated.clear();
    cluster.run_until_led();
    assert_alike(&mut cluster);
}

#[test]
fn e71_an_older_snapshot_is_ignored() {
    let (mut cluster, leader, away, third) = behind();
    cluster.lose = |_, _, _, what| matches!(what, Datagram::Control(Message::SnapshotOffer { .. }));
    cluster.start(away);
    cluster.run_until("it asks", |cluster| cluster.trace.contains("SnapshotRequest"));
    let newest = cluster.nodes[&id(third)].disk.snapshots.last().unwrap();
    let (good, _) = super::fetch_disk::stream_of(newest);
    let verified = cluster.member(away).view().verified;
    assert!(verified > Position::ZERO);
    for position in [verified, Position(verified.0 - 8), Position(good.point.position.0 + 4)] {
        let mut older = good;
        older.point.position = position;
        forge(&mut cluster, third, away, offer(older));
    }
    forge(&mut cluster, third, away, offer(SnapshotManifest { core_bytes: 0, ..good }));
    forge(&mut cluster, third, away, offer(SnapshotManifest { core_bytes: u64::MAX, ..good }));
    forge(&mut cluster, leader, away, offer(SnapshotManifest::default()));
    assert_eq!((begun(&cluster, away), rejected(&cluster, away)), (vec![], vec![]));
    // What contradicts the history is told by name.
    let mut foreign = good;
    foreign.point.term = Term(0);
    forge(&mut cluster, third, away, offer(foreign));
    assert!(matches!(rejected(&cluster, away)[..], [SnapshotError::OtherLog { .. }]));
    cluster.lose = isolated;
    run_until_installed(&mut cluster, away);
    assert_eq!(begun(&cluster, away), [good.point.position]);
}

#[test]
fn e71_a_log_that_heals_past_a_snapshot_drops_it() {
    let mut cluster = Cluster::new(4);
    cluster.limits.repair_request_bytes_max = 8 << 10;
    cluster.start(4);
    cluster.timing.candidacy_delay = Duration::ZERO;
    cluster.limits.purge_keep_bytes = 0;
    (1..=3).for_each(|member| cluster.start(member));
    let leader = cluster.run_until_led();
    cluster.connect_client();
    say(&mut cluster, b"first of all");
    cluster.run_until_level();
    let away = (1..=3).find(|member| *member != leader).unwrap();
    cluster.crash(away);
    for _ in 0..30 {
        take(&mut cluster);
    }
    // The one that keeps all of its log is not there at first.
    assert_eq!(cluster.member(4).view().origin, Position::ZERO);
    cluster.crash(4);
    let begun_at = cluster.now;
    cluster.start(away);
    let at = run_until_half_fetched(&mut cluster, away);
    let patience = cluster.timing.heartbeat_interval.times(50);
    assert!(cluster.now.since(begun_at) >= patience, "the silent one might have had the log");
    let boot_epoch = cluster.nodes[&id(away)].disk.boot_epoch;
    cluster.lose = |_, _, _, what| matches!(what, Datagram::Data { stream: Stream::Snapshot, .. });
    cluster.start(4);
    cluster.run_until("the log is past it", |cluster| cluster.member(away).view().verified >= at);
    assert_eq!(cluster.member(away).view().fetching, None);
    assert!(cluster.nodes[&id(away)].disk.kept.is_empty(), "it was dropped");
    assert_alike(&mut cluster);
    assert_eq!(cluster.nodes[&id(away)].disk.boot_epoch, boot_epoch);
}
