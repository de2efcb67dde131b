//! Members that lack what all others have purged (E29, E71–E77).

use alloc::vec;
use alloc::vec::Vec;

use super::cluster::{Cluster, Datagram, Write, endpoint, id, isolated, one_in_so_many};
use super::purging::{say, take};
use super::readmission::{is_applicant, wipe};
use crate::event::{Event, OperationId};
use crate::identity::Life;
use crate::message::{Message, Sender, Stream};
use crate::notice::{FailStop, Notice, Role};
use crate::position::Position;
use crate::snapshot::{SnapshotError, SnapshotManifest};
use crate::term::{Term, VoteKey};
use crate::time::Duration;

/// Members that purge all they can, with a client, and room for little of a snapshot at a time.
fn purging(members: u16) -> Cluster {
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
    (cluster, leader, others[0], others[1])
}

fn told(cluster: &Cluster, member: u16) -> Vec<Notice> {
    cluster.notices.iter().filter(|(by, _)| *by == member).map(|(_, notice)| *notice).collect()
}

/// Where the snapshots stand that a member began to fetch.
fn begun(cluster: &Cluster, member: u16) -> Vec<Position> {
    let notices = told(cluster, member).into_iter();
    let begun = notices.filter_map(|notice| match notice {
        Notice::SnapshotFetchBegun { position, .. } => Some(position),
        _ => None,
    });
    begun.collect()
}

fn installed(cluster: &Cluster, member: u16) -> Vec<Position> {
    let notices = told(cluster, member).into_iter();
    let installed = notices.filter_map(|notice| match notice {
        Notice::SnapshotInstalled { position, .. } => Some(position),
        _ => None,
    });
    installed.collect()
}

fn rejected(cluster: &Cluster, member: u16) -> Vec<SnapshotError> {
    let notices = told(cluster, member).into_iter();
    let rejected = notices.filter_map(|notice| match notice {
        Notice::SnapshotRejected { reason, .. } => Some(reason),
        _ => None,
    });
    rejected.collect()
}

fn run_until_half_fetched(cluster: &mut Cluster, away: u16) -> Position {
    cluster.run_until("half of it is here", |cluster| {
        cluster.member(away).view().fetching.is_some_and(|(_, bytes)| bytes > 40_000)
    });
    cluster.member(away).view().fetching.unwrap().0
}

fn run_until_installed(cluster: &mut Cluster, away: u16) {
    cluster.run_until("it is installed", |cluster| !installed(cluster, away).is_empty());
}

fn assert_alike(cluster: &mut Cluster) {
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

fn sender(life: Life) -> Sender {
    let Life { member, incarnation, boot_epoch } = life;
    Sender::Member { member, incarnation, boot_epoch }
}

/// `from` says something to `to`.
fn forge(cluster: &mut Cluster, from: u16, to: u16, message: Message) {
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
fn take_of(cluster: &mut Cluster, members: [u16; 2]) -> Position {
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

/// Has the third offer a snapshot that was changed, and nobody else offer any, until it is
/// rejected; then the leader's is used.
fn rejects(
    change: impl FnOnce(&mut Cluster, u16, u16),
    expected: fn(&SnapshotError) -> bool,
) -> SnapshotError {
    let (mut cluster, leader, away, third) = behind();
    cluster.cut.isolated = vec![endpoint(leader)];
    cluster.lose = |cut, from, _, what| {
        cut.isolated.contains(&from)
            && matches!(what, Datagram::Control(Message::SnapshotOffer { .. }))
    };
    change(&mut cluster, third, away);
    cluster.start(away);
    cluster.run_until("it is rejected", |cluster| !rejected(cluster, away).is_empty());
    let reason = rejected(&cluster, away)[0];
    assert!(expected(&reason), "{reason:?}");
    assert_eq!(cluster.member(away).view().fetching, None);
    let asked = cluster.member(third).counters().snapshot_bytes_sent;
    cluster.cut.isolated.clear();
    if let SnapshotError::Limit { .. } = reason {
        // All have the same, and it is not fetched again, however long they offer it.
        let until = cluster.now + Duration::from_millis(5_000);
        let ask = |cluster: &Cluster| cluster.trace.matches("SnapshotRequest").count();
        let before = ask(&cluster);
        cluster.run_until("a while passes", |cluster| cluster.now > until);
        // Nor is it asked for more often than each 32 heartbeat intervals, of two.
        assert!((10..=30).contains(&(ask(&cluster) - before)), "{}", ask(&cluster) - before);
        assert_eq!((begun(&cluster, away).len(), installed(&cluster, away).len()), (1, 0));
    } else {
        // Who offered it is left alone.
        run_until_installed(&mut cluster, away);
        assert_eq!(cluster.member(third).counters().snapshot_bytes_sent, asked);
        cluster.run_until_led();
        assert_alike(&mut cluster);
    }
    reason
}

fn core_of(cluster: &mut Cluster, member: u16) -> &mut Vec<u8> {
    let disk = &mut cluster.nodes.get_mut(&id(member)).unwrap().disk;
    &mut disk.snapshots.last_mut().unwrap().0.core
}

#[test]
fn e72_a_fetched_snapshot_of_another_log_is_rejected_by_name() {
    let contradicts =
        |reason: &SnapshotError| matches!(reason, SnapshotError::Contradiction { .. });
    let foreign = |reason: &SnapshotError| matches!(reason, SnapshotError::OtherLog { .. });
    // The leader's start in the first line, and the front's chain value.
    rejects(|cluster, third, _| core_of(cluster, third)[56 + 24] ^= 1, foreign);
    rejects(|cluster, third, _| core_of(cluster, third)[24] ^= 1, contradicts);
}

#[test]
fn a_fetched_snapshot_that_is_broken_or_too_large_is_rejected_by_name() {
    rejects(
        |cluster, third, _| core_of(cluster, third).truncate(200),
        |reason| *reason == SnapshotError::Truncated,
    );
    rejects(
        |cluster, third, _| core_of(cluster, third).extend([0; 8]),
        |reason| *reason == SnapshotError::Trailing,
    );
    rejects(
        |cluster, third, _| core_of(cluster, third)[0] = 9,
        |reason| *reason == SnapshotError::Version { found: 9 },
    );
    let reason = rejects(
        |cluster, _, _| cluster.limits.in_flight_max = 2,
        |reason| matches!(reason, SnapshotError::Limit { .. }),
    );
    assert!(matches!(reason, SnapshotError::Limit { key: "in_flight_max", .. }));
}

#[test]
fn a_source_that_sends_other_bytes_is_found_and_left_alone() {
    let (mut cluster, _, away, third) = behind();
    cluster.nodes.get_mut(&id(third)).unwrap().flips = true;
    cluster.start(away);
    run_until_installed(&mut cluster, away);
    let reasons = rejected(&cluster, away);
    assert!(!reasons.is_empty() && reasons.len() <= 2, "{reasons:?}");
    assert!(reasons.iter().all(|reason| *reason == SnapshotError::Digest));
    assert_alike(&mut cluster);
}

/// Completes what the disk of `away` is asked for, up to an operation of that kind.
fn run_until_pending(cluster: &mut Cluster, away: u16, is_it: fn(&Write) -> bool) -> OperationId {
    cluster.nodes.get_mut(&id(away)).unwrap().holds_disk = true;
    for _ in 0..20_000 {
        match cluster.nodes[&id(away)].pending.front() {
            Some((operation, write)) if is_it(write) => return *operation,
            Some(_) => assert!(cluster.complete_one(away)),
            None => cluster.tick(),
        }
    }
    panic!("nothing of that kind is asked for");
}

#[test]
fn e73_nothing_is_promised_while_a_snapshot_is_installed() {
    let (mut cluster, leader, away, third) = behind();
    cluster.start(away);
    let installing =
        run_until_pending(&mut cluster, away, |write| matches!(write, Write::Install(_)));
    let (view, deadline) = (cluster.member(away).view(), cluster.member(away).next_deadline());
    assert_eq!((view.role, deadline), (Role::Follower, None));
    let at = view.fetching.unwrap().0;
    cluster.queue.clear();
    let (term, key) = (Term(view.term.0 + 9), VoteKey { term: view.term, position: at });
    for message in [
        Message::RequestVote { term, key },
        Message::Canvass { term, round: 1, key },
        Message::HistoryRequest { term, commit: Position::ZERO },
        Message::SnapshotRequest { term, above: Position::ZERO },
        Message::Heartbeat {
            term: view.term,
            round: 1 << 20,
            newest: at.plus(800),
            commit: at,
            chain_at: Position::ZERO,
            chain: crate::term::Chain(0),
        },
    ] {
        forge(&mut cluster, third, away, message.clone());
        forge(&mut cluster, leader, away, message);
        cluster.step(away, Event::Flush);
        cluster.step(away, Event::Timer);
    }
    // A stray completion is nothing, of this life or of another.
    for operation in [
        OperationId { sequence: installing.sequence - 1, ..installing },
        OperationId { boot_epoch: crate::BootEpoch(1), ..installing },
    ] {
        cluster.step(away, Event::Durable { operation });
        cluster.step(away, Event::SnapshotFailed { operation });
    }
    assert!(cluster.queue.is_empty(), "it says {:?}", cluster.queue);
    assert_eq!(cluster.nodes[&id(away)].pending.len(), 1, "and asks for nothing");
    assert_eq!(cluster.member(away).view(), view);
    // A host that asks is answered.
    cluster.step(away, Event::TakeSnapshot);
    cluster.step(away, Event::Transfer { request: 7, target: None });
    let notices = told(&cluster, away);
    assert!(matches!(
        notices[notices.len() - 2..],
        [Notice::SnapshotRefused { .. }, Notice::Transfer { request: 7, .. }]
    ));
    let boot_epoch = cluster.nodes[&id(away)].disk.boot_epoch;
    assert!(cluster.complete_one(away));
    assert_eq!(cluster.nodes[&id(away)].disk.boot_epoch, boot_epoch + 1);
    // The completion is of a former life now (E40).
    let ignored = cluster.member(away).counters().completions_ignored;
    cluster.step(away, Event::Durable { operation: installing });
    assert_eq!(cluster.member(away).counters().completions_ignored, ignored + 1);
    assert_eq!(cluster.member(away).view().verified, at);
    cluster.nodes.get_mut(&id(away)).unwrap().holds_disk = false;
    assert_alike(&mut cluster);
}

#[test]
fn what_cannot_be_kept_or_installed_is_tried_again_later() {
    for is_it in [(|write| matches!(write, Write::Part(_))) as fn(&Write) -> bool, |write| {
        matches!(write, Write::Install(_))
    }] {
        let (mut cluster, _, away, _) = behind();
        cluster.start(away);
        let operation = run_until_pending(&mut cluster, away, is_it);
        let life = cluster.member(away).view().life;
        cluster.nodes.get_mut(&id(away)).unwrap().pending.pop_front();
        cluster.step(away, Event::SnapshotFailed { operation });
        cluster.nodes.get_mut(&id(away)).unwrap().holds_disk = false;
        let failed = |notice: &Notice| matches!(notice, Notice::SnapshotFailed { .. });
        assert!(told(&cluster, away).iter().any(failed));
        let view = cluster.member(away).view();
        assert_eq!((view.life, view.fetching, view.fail_stop), (life, None, None));
        let (failed_at, before) = (cluster.now, begun(&cluster, away).len());
        cluster.run_until("it begins again", |cluster| begun(cluster, away).len() > before);
        assert!(cluster.now.since(failed_at) >= cluster.timing.progress_timeout);
        run_until_installed(&mut cluster, away);
        assert_alike(&mut cluster);
    }
}

#[test]
fn a_broken_disk_stops_a_member_that_installs() {
    let (mut cluster, _, away, _) = behind();
    cluster.start(away);
    run_until_pending(&mut cluster, away, |write| matches!(write, Write::Install(_)));
    cluster.step(away, Event::StorageFailed);
    assert_eq!(cluster.nodes[&id(away)].fail_stop, Some(FailStop::StorageFailed));
}

#[test]
fn bytes_of_strangers_and_of_other_snapshots_are_not_mixed_in() {
    let (mut cluster, leader, away, third) = behind();
    // The leader offers another one at the same place, and sends as if it had the same.
    cluster.cut.isolated = vec![endpoint(leader)];
    cluster.lose = |cut, from, _, what| {
        cut.isolated.contains(&from)
            && matches!(what, Datagram::Control(Message::SnapshotOffer { .. }))
    };
    cluster.start(away);
    let at = run_until_half_fetched(&mut cluster, away);
    let (_, bytes) = cluster.member(away).view().fetching.unwrap();
    let position = Position(bytes);
    let data = |epoch| Datagram::Data {
        stream: Stream::Snapshot,
        epoch,
        position,
        live: None,
        slice: vec![9; 800],
    };
    let ignored = cluster.member(away).counters().datagrams_ignored;
    for (from, epoch) in [(leader, at.0), (third, at.0 + 8), (third, 0)] {
        let sender = sender(cluster.member(from).view().life);
        cluster.deliver(endpoint(from), endpoint(away), sender, &data(epoch));
    }
    let view = cluster.member(away).view();
    assert_eq!(view.fetching, Some((at, bytes)));
    assert_eq!(cluster.member(away).counters().datagrams_ignored, ignored + 3);
    run_until_installed(&mut cluster, away);
    assert_eq!(rejected(&cluster, away), []);
    cluster.lose = isolated;
    cluster.cut.isolated.clear();
    assert_alike(&mut cluster);
}

/// What `member` says when it is asked by `asker`.
fn answers(cluster: &mut Cluster, asker: u16, member: u16, message: Message) -> Vec<Datagram> {
    cluster.settle();
    forge(cluster, asker, member, message);
    cluster.queue.drain(..).map(|(_, _, _, what)| what).collect()
}

#[test]
fn a_snapshot_that_cannot_be_read_is_passed_over_for_the_one_before() {
    let (mut cluster, leader, _, third) = behind();
    let term = Term(1);
    let ask = |cluster: &mut Cluster, above| {
        let request = Message::SnapshotRequest { term, above };
        match answers(cluster, third, leader, request).pop() {
            Some(Datagram::Control(Message::SnapshotOffer { point, .. })) => point.position,
            other => panic!("{other:?}"),
        }
    };
    let newest = cluster.member(leader).view().snapshot;
    assert_eq!(ask(&mut cluster, Position::ZERO), newest);
    assert_eq!(ask(&mut cluster, newest), Position::ZERO, "it is no newer");
    // Who asks for what no snapshot has hides none from others.
    let beyond = crate::PositionRange::at(Position(1 << 30), 800);
    let epoch = newest.0;
    let nak = |epoch| {
        let ranges = [crate::message::EpochRange { epoch, range: beyond }][..].into();
        Message::Nak { stream: Stream::Snapshot, ranges }
    };
    for epoch in [epoch, 0, epoch + 8, 8] {
        let said = answers(&mut cluster, third, leader, nak(epoch));
        let refused = matches!(
            said[..],
            [Datagram::Control(Message::Unavailable { stream: Stream::Snapshot, .. })]
        );
        assert!(refused, "{epoch}: {said:?}");
    }
    assert_eq!(ask(&mut cluster, Position::ZERO), newest);
    let newer = take_of(&mut cluster, [leader, third]);
    cluster.nodes.get_mut(&id(leader)).unwrap().disk.snapshots.pop();
    assert_eq!(ask(&mut cluster, Position::ZERO), newest);
    let gone = answers(&mut cluster, third, leader, nak(newer.0));
    assert!(matches!(gone[..], [Datagram::Control(Message::Unavailable { .. })]), "{gone:?}");
}

#[test]
fn e74_lost_and_repeated_parts_are_repaired_within_the_limits() {
    let (mut cluster, _, away, _) = behind();
    cluster.lose = one_in_so_many;
    cluster.cut.one_in = 4;
    cluster.start(away);
    let mut most = 0;
    for _ in 0..20_000 {
        if !installed(&cluster, away).is_empty() {
            break;
        }
        for member in cluster.running() {
            cluster.member(member).usage(|usage| {
                assert!(usage.used <= usage.limit, "member {member}: {usage:?}");
                if usage.name == "snapshot window" {
                    assert_eq!(usage.limit, 8 << 10);
                    most = most.max(usage.used);
                }
            });
        }
        cluster.tick();
    }
    assert!(most > 4 << 10 && most <= 8 << 10, "{most} bytes at most");
    assert_eq!((begun(&cluster, away).len(), rejected(&cluster, away)), (1, vec![]));
    cluster.lose = isolated;
    cluster.run_until_led();
    assert_alike(&mut cluster);
}

#[test]
fn e47_an_applicant_that_installs_is_readmitted_in_its_new_life() {
    let (mut cluster, leader, away, _) = behind();
    wipe(&mut cluster, away);
    cluster.start(away);
    assert!(is_applicant(&cluster, away));
    run_until_installed(&mut cluster, away);
    assert!(is_applicant(&cluster, away), "what a former life was readmitted for is not its own");
    cluster.run_until("it is readmitted", |cluster| !is_applicant(cluster, away));
    assert_alike(&mut cluster);
    cluster.crash(leader);
    cluster.run_until("another leader", |cluster| cluster.leader().is_some_and(|it| it != leader));
    assert_alike(&mut cluster);
}

/// A member that begins with a snapshot knows who was readmitted before it.
#[test]
fn e47_a_snapshot_tells_who_was_readmitted() {
    let mut cluster = purging(5);
    let leader = cluster.leader().unwrap();
    let others: Vec<u16> = (1..=5).filter(|&member| member != leader).collect();
    let (away, wiped) = (others[0], others[1]);
    cluster.crash(away);
    let former = cluster.member(wiped).view().life;
    wipe(&mut cluster, wiped);
    cluster.start(wiped);
    cluster.run_until("it is readmitted", |cluster| !is_applicant(cluster, wiped));
    let readmitted = cluster.member(wiped).view().life;
    for _ in 0..30 {
        take(&mut cluster);
    }
    cluster.start(away);
    run_until_installed(&mut cluster, away);
    // Nothing is acknowledged before the records know of it.
    cluster.nodes.get_mut(&id(away)).unwrap().holds_disk = true;
    cluster.trace.clear();
    let knows = |cluster: &Cluster| {
        let mut peers = cluster.nodes[&id(away)].disk.peers.iter();
        peers.any(|record| record.life == readmitted)
    };
    assert!(!knows(&cluster));
    let says = alloc::format!("member {away} -> member {leader}  Acknowledge");
    for _ in 0..50 {
        let node = cluster.nodes.get_mut(&id(away)).unwrap();
        let other = node.pending.iter().position(|(_, write)| !matches!(write, Write::Peers(_)));
        if let Some(at) = other {
            node.pending.swap(0, at);
            cluster.complete_one(away);
        }
        cluster.tick();
        assert!(!cluster.trace.contains(&says));
    }
    cluster.nodes.get_mut(&id(away)).unwrap().holds_disk = false;
    cluster.run_until("it acknowledges", |cluster| cluster.trace.contains(&says));
    assert!(knows(&cluster));
    // The former life is not heard.
    let ignored = cluster.member(away).counters().datagrams_ignored;
    let abdicate = Datagram::Control(Message::Abdicate { term: Term(99) });
    cluster.deliver(endpoint(wiped), endpoint(away), sender(former), &abdicate);
    assert_eq!(cluster.member(away).counters().datagrams_ignored, ignored + 1);
    assert_alike(&mut cluster);
}

/// Another directory has the place of one that was away: it stops, as if it had read so.
#[test]
fn e47_a_member_whose_place_is_taken_stops_before_it_installs() {
    let (mut cluster, leader, away, third) = behind();
    let mut life = cluster.member(third).view().life;
    (life.member, life.boot_epoch.0) = (id(away), 99);
    for member in [leader, third] {
        let core = core_of(&mut cluster, member);
        core[52] = 1;
        core.extend([8_u64, life.boot_epoch.0].iter().flat_map(|word| word.to_le_bytes()));
        core.extend(life.incarnation.0.to_le_bytes());
        core.extend(life.member.0.to_le_bytes());
        core.extend([0; 2]);
    }
    cluster.start(away);
    cluster.run_until("it stops", |cluster| cluster.nodes[&id(away)].fail_stop.is_some());
    assert_eq!(cluster.nodes[&id(away)].fail_stop, Some(FailStop::Twin));
    assert_eq!(installed(&cluster, away), []);
}
