//! Snapshots: when they are taken, when they count, that members agree on them, and the way back.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::cluster::{Cluster, Write, endpoint, id};
use crate::config::{ConfigError, Recovered};
use crate::event::{Event, OperationId};
use crate::frame::SnapshotCause;
use crate::identity::{BootEpoch, Incarnation, Life};
use crate::member::Member;
use crate::notice::{Notice, SnapshotRefusal};
use crate::position::Position;
use crate::snapshot::{Snapshot, SnapshotError, SnapshotPoint};
use crate::term::{Chain, TermHistory, TermLine};
use crate::time::LogTime;

fn take(cluster: &mut Cluster) -> Position {
    let leader = cluster.run_until_led();
    cluster.step(leader, Event::TakeSnapshot);
    let marked = cluster.nodes[&id(leader)].notices.last().copied();
    let Some(Notice::SnapshotMarked { position, cause: SnapshotCause::Command }) = marked else {
        panic!("refused: {marked:?}");
    };
    position
}

fn newest(cluster: &Cluster, member: u16) -> &Snapshot {
    &cluster.nodes[&id(member)].disk.snapshots.last().expect("a snapshot").0
}

fn run_until_stored(cluster: &mut Cluster, position: Position) {
    cluster.run_until("snapshots are stored", |cluster| {
        let running = cluster.running();
        running.iter().all(|&member| cluster.member(member).view().snapshot >= position)
    });
}

fn say(cluster: &mut Cluster, payload: &[u8]) {
    let replies = cluster.replies.len();
    cluster.submit(payload);
    cluster.run_until("a reply", |cluster| cluster.replies.len() > replies);
}

/// Three members with a session, replies, timers, and two leaders in their history; the first
/// leader is down.
fn busy_cluster() -> Cluster {
    let mut cluster = Cluster::new(3);
    let first = cluster.run_until_led();
    cluster.connect_client();
    for payload in [&b"one"[..], b"timer \xff", b"", b"timer \x01", b"timer \xfe"] {
        say(&mut cluster, payload);
    }
    cluster.crash(first);
    cluster.run_until("another leader", |cluster| cluster.leader().is_some_and(|l| l != first));
    say(&mut cluster, b"after the failover");
    cluster
}

#[test]
fn e79_two_members_at_one_position_write_the_same_bytes() {
    let mut cluster = busy_cluster();
    let position = take(&mut cluster);
    say(&mut cluster, b"behind the marker");
    run_until_stored(&mut cluster, position);
    let members = cluster.running();
    let snapshots: Vec<_> = members.iter().map(|&member| newest(&cluster, member)).collect();
    assert_eq!(snapshots.len(), 2);
    assert_eq!(snapshots[0], snapshots[1]);
    let Snapshot { point, core } = snapshots[0];
    assert_eq!(SnapshotPoint::read(core), Ok(*point));
    assert_eq!(point.position, position);
    assert!(point.term.0 >= 2 && point.time > LogTime(0) && point.chain != Chain::default());
    // Both terms, one session with six replies, and two timers that have not fired.
    assert_eq!(core[40..52], [2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
    // Who was down takes its own as it applies the marker, and it is the same.
    let down = (1..=3).find(|member| !members.contains(member)).unwrap();
    let expected = snapshots[0].clone();
    cluster.start(down);
    run_until_stored(&mut cluster, position);
    assert_eq!(newest(&cluster, down), &expected);
}

#[test]
fn e106_a_member_that_begins_with_a_snapshot_is_as_if_it_had_replayed() {
    let mut cluster = busy_cluster();
    let position = take(&mut cluster);
    run_until_stored(&mut cluster, position);
    say(&mut cluster, b"the tail");
    cluster.run_until_level();
    let members = cluster.running();
    let follower = members.iter().copied().find(|m| Some(*m) != cluster.leader()).unwrap();
    let service = cluster.nodes[&id(follower)].applied.clone();
    cluster.crash(follower);
    cluster.start(follower);
    let view = cluster.member(follower).view();
    assert_eq!((view.applied, view.snapshot, view.commit), (position, position, position));
    assert_eq!(view.sessions, 1);
    cluster.run_until_level();
    assert_eq!(cluster.nodes[&id(follower)].applied, service, "nothing twice, nothing skipped");
    let hashes: Vec<_> =
        members.iter().map(|&member| cluster.member(member).replicated_hash()).collect();
    assert_eq!(hashes[0], hashes[1]);
    // With every member from a snapshot the client's session goes on, and timers fire.
    for &member in &members {
        cluster.crash(member);
        cluster.start(member);
    }
    cluster.run_until_led();
    say(&mut cluster, b"still the same session");
    let leader = cluster.leader().unwrap();
    let sent = cluster.replies.last().unwrap();
    assert_eq!((sent.0, &sent.1[..]), (8, &b"still the same session"[..]));
    let timers = |cluster: &Cluster| cluster.member(leader).state.sessions.timers.len();
    cluster.run_until("timers fire", |cluster| timers(cluster) == 0);
}

#[test]
fn a_snapshot_is_refused_with_the_reason() {
    let mut cluster = Cluster::new(3);
    let asked = |cluster: &mut Cluster, member: u16| {
        cluster.step(member, Event::TakeSnapshot);
        cluster.nodes[&id(member)].notices.last().copied()
    };
    let refused = |refusal| Some(Notice::SnapshotRefused { refusal });
    let nobody = SnapshotRefusal::NotLeader { leader: None };
    assert_eq!(asked(&mut cluster, 1), refused(nobody));
    let leader = cluster.run_until_led();
    cluster.run_until_level();
    let follower = cluster.running().into_iter().find(|&m| m != leader).unwrap();
    let other = SnapshotRefusal::NotLeader { leader: Some(id(leader)) };
    assert_eq!(asked(&mut cluster, follower), refused(other));
    cluster.nodes.get_mut(&id(leader)).unwrap().holds_snapshots = true;
    let position = take(&mut cluster);
    let busy = refused(SnapshotRefusal::UnderWay { position });
    assert_eq!(asked(&mut cluster, leader), busy, "its marker is not applied");
    cluster.run_until_level();
    assert_eq!(asked(&mut cluster, leader), busy, "it is not stored");
    cluster.nodes.get_mut(&id(leader)).unwrap().holds_snapshots = false;
    run_until_stored(&mut cluster, position);
    assert!(take(&mut cluster) > position);
}

#[test]
fn e50_a_snapshot_counts_once_it_and_the_log_before_it_are_durable() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.run_until_level();
    let slow = cluster.running().into_iter().find(|&m| m != leader).unwrap();
    let node = cluster.nodes.get_mut(&id(slow)).unwrap();
    (node.holds_disk, node.holds_snapshots) = (true, true);
    let position = take(&mut cluster);
    cluster.run_until("it is applied", |cluster| cluster.member(slow).view().applied >= position);
    let view = cluster.member(slow).view();
    assert!(view.durable < position && view.snapshot == Position::ZERO);
    // The snapshot is stored, its log is not durable.
    let node = cluster.nodes.get_mut(&id(slow)).unwrap();
    let (operation, _) = node.taken.pop_front().unwrap();
    cluster.step(slow, Event::Durable { operation });
    assert_eq!(cluster.member(slow).view().snapshot, Position::ZERO);
    while cluster.complete_one(slow) {}
    assert_eq!(cluster.member(slow).view().snapshot, position);
    let stored = Notice::SnapshotStored { position };
    assert!(cluster.nodes[&id(slow)].notices.contains(&stored));
    assert_eq!(cluster.member(slow).counters().snapshots_stored, 1);
    // The same once more is nothing.
    cluster.step(slow, Event::Durable { operation });
    assert_eq!(cluster.member(slow).counters().completions_ignored, 1);
}

#[test]
fn a_marker_that_is_met_meanwhile_is_skipped() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.run_until_level();
    let slow = cluster.running().into_iter().find(|&m| m != leader).unwrap();
    cluster.nodes.get_mut(&id(slow)).unwrap().holds_snapshots = true;
    let first = take(&mut cluster);
    cluster.run_until("the leader has it", |c| c.member(leader).view().snapshot >= first);
    cluster.run_until_level();
    let second = take(&mut cluster);
    cluster.run_until("the leader has it", |c| c.member(leader).view().snapshot >= second);
    cluster.run_until_level();
    let node = &cluster.nodes[&id(slow)];
    assert_eq!(node.taken.len(), 1);
    assert!(node.notices.contains(&Notice::SnapshotSkipped { position: second }));
    assert_eq!(cluster.member(slow).counters().snapshots_skipped, 1);
    cluster.nodes.get_mut(&id(slow)).unwrap().holds_snapshots = false;
    run_until_stored(&mut cluster, first);
    assert_eq!(cluster.member(slow).view().snapshot, first);
}

#[test]
fn a_snapshot_that_fails_changes_nothing_and_the_next_is_taken() {
    let mut cluster = Cluster::new(1);
    cluster.run_until_led();
    cluster.nodes.get_mut(&id(1)).unwrap().holds_snapshots = true;
    let position = take(&mut cluster);
    cluster.run_until_level();
    let (operation, _) = cluster.nodes.get_mut(&id(1)).unwrap().taken.pop_front().unwrap();
    cluster.step(1, Event::SnapshotFailed { operation });
    let node = &cluster.nodes[&id(1)];
    assert_eq!(node.notices.last(), Some(&Notice::SnapshotFailed { position }));
    assert_eq!(node.fail_stop, None);
    let member = cluster.member(1);
    assert_eq!((member.view().snapshot, member.counters().snapshots_failed), (Position::ZERO, 1));
    let next = take(&mut cluster);
    cluster.nodes.get_mut(&id(1)).unwrap().holds_snapshots = false;
    run_until_stored(&mut cluster, next);
}

#[test]
fn e40_a_completion_of_a_former_life_is_nothing() {
    let mut cluster = Cluster::new(1);
    cluster.run_until_led();
    cluster.nodes.get_mut(&id(1)).unwrap().holds_snapshots = true;
    let position = take(&mut cluster);
    cluster.run_until_level();
    let (operation, _) = cluster.nodes[&id(1)].taken.front().cloned().unwrap();
    cluster.crash(1);
    cluster.start(1);
    // The marker is applied anew, and the snapshot is taken again.
    cluster.run_until("it is taken", |cluster| !cluster.nodes[&id(1)].taken.is_empty());
    let again = cluster.nodes[&id(1)].taken.front().unwrap().0;
    let twin = OperationId { sequence: again.sequence, ..operation };
    for operation in [operation, twin] {
        cluster.step(1, Event::Durable { operation });
        cluster.step(1, Event::SnapshotFailed { operation });
    }
    assert_eq!(cluster.member(1).view().snapshot, Position::ZERO);
    cluster.step(1, Event::Durable { operation: again });
    assert_eq!(cluster.member(1).view().snapshot, position);
}

#[test]
fn a_leader_marks_when_the_log_has_grown() {
    let mut cluster = Cluster::new(3);
    cluster.limits.snapshot_interval_bytes = 4_000;
    for member in 1..=3 {
        cluster.start(member);
    }
    cluster.run_until_led();
    cluster.connect_client();
    for _ in 0..12 {
        say(&mut cluster, &[7; 1_000]);
    }
    cluster.run_until_level();
    for member in 1..=3 {
        let stored = cluster.member(member).counters().snapshots_stored;
        assert!((2..=3).contains(&stored), "member {member} stored {stored}");
    }
    let marked = |notice: &&Notice| {
        matches!(notice, Notice::SnapshotMarked { cause: SnapshotCause::Policy, .. })
    };
    let notices = cluster.nodes.values().flat_map(|node| &node.notices);
    assert!((2..=3).contains(&notices.filter(marked).count()));
}

#[test]
fn a_leader_that_was_deposed_over_its_marker_takes_the_next() {
    let mut cluster = Cluster::new(3);
    let old = cluster.run_until_led();
    cluster.run_until_level();
    cluster.cut.isolated.push(endpoint(old));
    let lost = take(&mut cluster);
    cluster.run_until("another leader", |cluster| cluster.leader().is_some_and(|l| l != old));
    cluster.cut.isolated.clear();
    cluster.run_until_level();
    assert_eq!(cluster.member(old).counters().snapshots_stored, 0, "{lost} was cut");
    cluster.crash(cluster.leader().unwrap());
    cluster.run_until("a leader", |cluster| cluster.leader().is_some());
    let position = take(&mut cluster);
    run_until_stored(&mut cluster, position);
}

/// A snapshot with what it was recovered with, of a member that was busy.
fn recovered() -> (Cluster, Recovered) {
    let mut cluster = busy_cluster();
    let position = take(&mut cluster);
    run_until_stored(&mut cluster, position);
    cluster.run_until_level();
    let member = cluster.running()[0];
    let view = cluster.member(member).view();
    let snapshot = Some(Box::new(newest(&cluster, member).clone()));
    let recovered = Recovered {
        history: cluster.member(member).history().clone(),
        log_end: view.verified,
        chain: view.verified_chain,
        vote: view.vote,
        snapshot,
        ..Recovered::empty(Life {
            member: id(member),
            incarnation: Incarnation(1),
            boot_epoch: BootEpoch(9),
        })
    };
    (cluster, recovered)
}

fn begin(cluster: &Cluster, recovered: &Recovered) -> Result<Member, SnapshotError> {
    let config = cluster.config(recovered.life.member.0);
    Member::new(config, recovered.clone(), cluster.now).map_err(|error| match error {
        ConfigError::Snapshot { reason, .. } => reason,
        other => panic!("{other}"),
    })
}

fn change(recovered: &Recovered, change: impl FnOnce(&mut Snapshot)) -> Recovered {
    let mut changed = recovered.clone();
    change(changed.snapshot.as_mut().unwrap());
    changed
}

#[test]
fn damaged_bytes_of_a_snapshot_are_refused_and_never_panic() {
    let (cluster, recovered) = recovered();
    begin(&cluster, &recovered).unwrap();
    let length = recovered.snapshot.as_ref().unwrap().core.len();
    for kept in 0..length {
        let short = change(&recovered, |snapshot| snapshot.core.truncate(kept));
        assert_eq!(begin(&cluster, &short).err(), Some(SnapshotError::Truncated), "{kept}");
    }
    let longer = change(&recovered, |snapshot| snapshot.core.push(0));
    assert_eq!(begin(&cluster, &longer).err(), Some(SnapshotError::Trailing));
    for at in 0..length {
        for bits in [1, 0x80, 0xff] {
            let flipped = change(&recovered, |snapshot| snapshot.core[at] ^= bits);
            // What is no length or place is taken as it is: the archive's checksums find it.
            let _ = begin(&cluster, &flipped);
        }
    }
    for found in [1, 6] {
        let other = change(&recovered, |snapshot| snapshot.core[0] = found as u8);
        assert_eq!(begin(&cluster, &other).err(), Some(SnapshotError::Version { found }));
    }
}

#[test]
fn e72_a_snapshot_of_another_log_is_refused() {
    let (cluster, recovered) = recovered();
    let point = recovered.snapshot.as_ref().unwrap().point;
    let shorter = Recovered { log_end: Position(point.position.0 - 8), ..recovered.clone() };
    let found = begin(&cluster, &shorter).err();
    assert_eq!(found, Some(SnapshotError::OtherLog { what: "the log ends before it" }));
    let mut lines = recovered.history.lines().to_vec();
    lines[0].leader.boot_epoch.0 += 1;
    let history = TermHistory::new(lines).unwrap();
    let found = begin(&cluster, &Recovered { history, ..recovered.clone() }).err();
    assert_eq!(found, Some(SnapshotError::OtherLog { what: "the term history" }));
    let at_end =
        Recovered { log_end: point.position, chain: Chain(point.chain.0 ^ 1), ..recovered.clone() };
    let found = begin(&cluster, &at_end).err();
    assert_eq!(found, Some(SnapshotError::OtherLog { what: "the chain value" }));
    // A term that begins just there knows the chain value as well.
    let mut lines = recovered.history.lines().to_vec();
    let last = *lines.last().unwrap();
    let (term, base) = (last.term.next().unwrap(), point.position);
    lines.push(TermLine { term, base, chain: Chain(point.chain.0 ^ 1), ..last });
    let history = TermHistory::new(lines).unwrap();
    let found = begin(&cluster, &Recovered { history, ..recovered.clone() }).err();
    assert_eq!(found, Some(SnapshotError::OtherLog { what: "the chain value" }));
    let elsewhere = change(&recovered, |snapshot| snapshot.point.position.0 -= 8);
    let found = begin(&cluster, &elsewhere).err();
    assert_eq!(found, Some(SnapshotError::Contradiction { what: "where it stands" }));
}

#[test]
fn a_snapshot_beyond_the_configured_limits_names_the_limit() {
    let (mut cluster, recovered) = recovered();
    let keys = ["in_flight_max", "timers_max", "reply_bytes_max"];
    for key in keys {
        let limits = cluster.limits.clone();
        match key {
            "in_flight_max" => cluster.limits.in_flight_max = 2,
            "timers_max" => cluster.limits.timers_max = 1,
            _ => cluster.limits.reply_bytes_max = 3,
        }
        match begin(&cluster, &recovered).err() {
            Some(SnapshotError::Limit { key: found, .. }) => assert_eq!(found, key),
            other => panic!("{key}: {other:?}"),
        }
        cluster.limits = limits;
    }
}

#[test]
fn the_write_of_a_snapshot_holds_the_service_as_it_was_at_the_marker() {
    let mut cluster = Cluster::new(1);
    cluster.run_until_led();
    cluster.connect_client();
    say(&mut cluster, b"before");
    cluster.nodes.get_mut(&id(1)).unwrap().holds_snapshots = true;
    take(&mut cluster);
    // In one step with the marker.
    say(&mut cluster, b"behind");
    let (_, write) = cluster.nodes[&id(1)].taken.front().cloned().unwrap();
    let Write::Snapshot(_, applied) = write else { panic!("no snapshot") };
    assert_eq!(applied, vec![b"before".to_vec()]);
}
