//! Snapshots that cannot be used, disks that fail, and who is who behind an installation.

use alloc::vec;
use alloc::vec::Vec;

use super::cluster::{Cluster, Datagram, Write, endpoint, id, isolated, one_in_so_many};
use super::fetching::{
    assert_alike, begun, behind, forge, installed, purging, rejected, run_until_half_fetched,
    run_until_installed, sender, take_of, told,
};
use super::purging::take;
use super::readmission::{is_applicant, wipe};
use crate::event::{Event, OperationId};
use crate::message::{Message, Stream};
use crate::notice::{FailStop, Notice, Role, Stall, TimerKind};
use crate::position::Position;
use crate::snapshot::SnapshotError;
use crate::term::{Term, VoteKey};
use crate::time::Duration;

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
    let (view, timer) = (cluster.member(away).view(), cluster.member(away).next_timer());
    assert_eq!(view.role, Role::Follower);
    assert!(timer.is_some_and(|(at, kind)| at > cluster.now && kind == TimerKind::Installation));
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

/// A host that never says that it has installed leaves the member standing: that is told, once.
#[test]
fn fc12_an_installation_that_is_not_reported_is_told_of() {
    for fails in [false, true] {
        let (mut cluster, _, away, _) = behind();
        cluster.start(away);
        let operation =
            run_until_pending(&mut cluster, away, |write| matches!(write, Write::Install(_)));
        let began = cluster.now;
        let stalls = |cluster: &Cluster| {
            let is_stall = |notice: &Notice| {
                matches!(notice, Notice::Stalled { .. } | Notice::StallEnded { .. })
            };
            let notices: Vec<_> = told(cluster, away).into_iter().filter(is_stall).collect();
            notices
        };
        let due = began + cluster.timing.stall_timeout;
        cluster.run_until("a while", |cluster| {
            assert!(cluster.now >= due || stalls(cluster).is_empty(), "too early");
            cluster.now.since(began) > Duration::from_millis(3_000)
        });
        let cause = Stall::Installation;
        assert_eq!(stalls(&cluster), [Notice::Stalled { cause }]);
        assert_eq!(cluster.member(away).next_deadline(), None, "there is nothing left to tell");
        if fails {
            cluster.nodes.get_mut(&id(away)).unwrap().pending.pop_front();
            cluster.step(away, Event::SnapshotFailed { operation });
        } else {
            assert!(cluster.complete_one(away));
        }
        assert_eq!(stalls(&cluster), [Notice::Stalled { cause }, Notice::StallEnded { cause }]);
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

#[test]
fn e73_what_was_fetched_is_installed_when_the_own_snapshot_has_failed() {
    let mut cluster = purging(3);
    let leader = cluster.leader().unwrap();
    let others: Vec<u16> = (1..=3).filter(|&member| member != leader).collect();
    let (away, third) = (others[0], others[1]);
    cluster.nodes.get_mut(&id(away)).unwrap().holds_snapshots = true;
    take_of(&mut cluster, [leader, third]);
    cluster.run_until("it stores its own", |cluster| !cluster.nodes[&id(away)].taken.is_empty());
    cluster.cut.isolated = vec![endpoint(away)];
    for _ in 0..120 {
        take_of(&mut cluster, [leader, third]);
    }
    cluster.cut.isolated.clear();
    cluster.run_until("it fetches", |cluster| !begun(cluster, away).is_empty());
    let until = cluster.now + cluster.timing.heartbeat_interval.times(500);
    cluster.run_until("a while passes", |cluster| cluster.now > until);
    assert!(cluster.member(away).view().fetching.is_some());
    assert_eq!(installed(&cluster, away), [], "a completion could make something of its own");
    // A host that is asked to check what was fetched may well give up the own one for it.
    let (operation, _) = cluster.nodes.get_mut(&id(away)).unwrap().taken.pop_front().unwrap();
    cluster.step(away, Event::SnapshotFailed { operation });
    run_until_installed(&mut cluster, away);
    assert_eq!(begun(&cluster, away).len(), 1, "it was there all the time");
    cluster.nodes.get_mut(&id(away)).unwrap().holds_snapshots = false;
    assert_alike(&mut cluster);
}
