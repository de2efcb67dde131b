//! How leadership is handed over, and how that fails.

use alloc::vec;
use alloc::vec::Vec;

use super::cluster::{Cluster, Datagram, endpoint, id};
use crate::event::Event;
use crate::identity::MemberId;
use crate::message::Message;
use crate::notice::{Notice, Role, TransferOutcome, TransferRefusal};
use crate::time::Duration;

/// A group of three with a client, its leader, and another member.
fn three() -> (Cluster, u16, u16) {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.submit(b"before");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 1);
    cluster.run_until_level();
    let other = cluster.running().into_iter().find(|&member| member != leader).unwrap();
    (cluster, leader, other)
}

fn ask(cluster: &mut Cluster, member: u16, request: u64, target: Option<u16>) {
    cluster.step(member, Event::Transfer { request, target: target.map(MemberId) });
}

/// What came of the transfers, in order.
fn outcomes(cluster: &Cluster) -> Vec<(u64, TransferOutcome)> {
    let transfers = cluster.notices.iter().filter_map(|(_, notice)| match *notice {
        Notice::Transfer { request, outcome } => Some((request, outcome)),
        _ => None,
    });
    transfers.collect()
}

fn refusal(cluster: &Cluster) -> Option<TransferRefusal> {
    match outcomes(cluster).last() {
        Some((_, TransferOutcome::Refused(refusal))) => Some(*refusal),
        _ => None,
    }
}

fn timeout(cluster: &Cluster) -> Duration {
    cluster.timing.election_timeout_max
}

#[test]
fn el24_a_leader_hands_over_to_the_member_that_was_named() {
    let (mut cluster, leader, target) = three();
    let (begun, term) = (cluster.now, cluster.member(leader).view().term);
    ask(&mut cluster, leader, 7, Some(target));
    cluster.submit(b"meanwhile");
    cluster.run_until("the target leads", |cluster| cluster.leader() == Some(target));
    cluster.run_until("an outcome", |cluster| !outcomes(cluster).is_empty());
    assert!(cluster.now.since(begun) < cluster.timing.election_timeout_min);
    let (leader, term) = (id(target), term.next().unwrap());
    assert_eq!(outcomes(&cluster), [(7, TransferOutcome::Done { leader, term })]);
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 2);
    cluster.run_until_level();
}

#[test]
fn el24_without_a_name_the_most_complete_member_gets_it() {
    let (mut cluster, leader, behind) = three();
    cluster.cut.isolated.push(endpoint(behind));
    cluster.submit(b"one");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 2);
    ask(&mut cluster, leader, 1, None);
    cluster.run_until("another leads", |cluster| cluster.leader().is_some_and(|new| new != leader));
    assert_ne!(cluster.leader(), Some(behind));
}

#[test]
fn e16_a_target_that_is_behind_is_brought_level_first() {
    let (mut cluster, leader, target) = three();
    cluster.cut.isolated.push(endpoint(target));
    for _ in 0..20 {
        cluster.submit(&[5; 3_000]);
        cluster.tick();
    }
    cluster.run_until("replies", |cluster| cluster.replies.len() == 21);
    ask(&mut cluster, leader, 1, Some(target));
    cluster.settle();
    assert_eq!(outcomes(&cluster), []);
    assert!(!cluster.trace.contains("Campaign"), "it lacks bytes");
    cluster.cut.isolated.clear();
    cluster.run_until("the target leads", |cluster| cluster.leader() == Some(target));
    assert_eq!(cluster.member(target).view().term.0, cluster.member(leader).view().term.0);
    assert!(matches!(outcomes(&cluster)[..], [(1, TransferOutcome::Done { .. })]));
}

#[test]
fn e16_what_cannot_be_is_refused_at_once_and_says_why() {
    let (mut cluster, leader, other) = three();
    ask(&mut cluster, leader, 1, Some(leader));
    assert_eq!(refusal(&cluster), Some(TransferRefusal::TargetIsLeader));
    ask(&mut cluster, leader, 2, Some(9));
    assert_eq!(refusal(&cluster), Some(TransferRefusal::UnknownTarget));
    ask(&mut cluster, other, 3, Some(leader));
    let leader_of = Some(id(leader));
    assert_eq!(refusal(&cluster), Some(TransferRefusal::NotLeading { leader: leader_of }));
    cluster.cut.isolated.push(endpoint(other));
    cluster.submit(b"more");
    cluster.settle();
    ask(&mut cluster, leader, 4, Some(other));
    assert_eq!(outcomes(&cluster).len(), 3, "the fourth is under way");
    ask(&mut cluster, leader, 5, None);
    assert_eq!(refusal(&cluster), Some(TransferRefusal::UnderWay));
    assert_eq!(outcomes(&cluster).len(), 4);

    let mut alone = Cluster::new(1);
    alone.run_until_led();
    ask(&mut alone, 1, 1, None);
    assert_eq!(refusal(&alone), Some(TransferRefusal::NoTarget));
}

#[test]
fn e17_a_target_that_is_down_ends_it_in_time_and_messages_are_taken_again() {
    for has_all in [true, false] {
        let (mut cluster, leader, target) = three();
        cluster.crash(target);
        if !has_all {
            cluster.submit(b"more");
            cluster.run_until("a reply", |cluster| cluster.replies.len() == 2);
        }
        let (begun, replies) = (cluster.now, cluster.replies.len());
        ask(&mut cluster, leader, 1, Some(target));
        cluster.submit(b"meanwhile");
        cluster.settle();
        assert_eq!(cluster.replies.len(), replies, "nothing is admitted meanwhile");
        cluster.run_until("an outcome", |cluster| !outcomes(cluster).is_empty());
        assert!(cluster.now.since(begun) <= timeout(&cluster).times(2));
        let expected = match has_all {
            true => TransferRefusal::NotElected,
            false => TransferRefusal::TargetBehind,
        };
        assert_eq!(refusal(&cluster), Some(expected));
        cluster.run_until("a reply", |cluster| cluster.replies.len() == replies + 1);
        assert_eq!(cluster.leader(), Some(leader));
    }
}

#[test]
fn e17_a_leadership_that_ends_takes_its_transfer_with_it() {
    let (mut cluster, leader, target) = three();
    cluster.cut.isolated.push(endpoint(target));
    cluster.submit(b"more");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 2);
    ask(&mut cluster, leader, 1, Some(target));
    cluster.cut.isolated = vec![endpoint(leader)];
    cluster.run_until("a successor", |cluster| cluster.leader().is_some_and(|new| new != leader));
    assert_eq!(outcomes(&cluster).len(), 1);
    assert!(matches!(
        refusal(&cluster),
        Some(TransferRefusal::LeadershipLost | TransferRefusal::TargetBehind)
    ));
    // It leads again, and serves as if nothing had been.
    let new = cluster.leader().unwrap();
    cluster.cut.isolated.clear();
    cluster.run_until_level();
    ask(&mut cluster, new, 2, Some(leader));
    cluster.run_until("it leads again", |cluster| cluster.leader() == Some(leader));
    cluster.submit(b"again");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 3);
}

/// A leader stood still until the target's time was over. What has arrived meanwhile is taken in
/// before its timers are served.
#[test]
fn e16_what_is_heard_after_the_deadline_begins_no_hand_over() {
    let (mut cluster, leader, target) = three();
    cluster.cut.isolated.push(endpoint(target));
    cluster.submit(b"more");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 2);
    ask(&mut cluster, leader, 1, Some(target));
    cluster.now += timeout(&cluster).times(3);
    let (view, life) = (cluster.member(leader).view(), cluster.member(target).view().life);
    let sender = crate::message::Sender::Member {
        member: life.member,
        incarnation: life.incarnation,
        boot_epoch: life.boot_epoch,
    };
    let whole = Message::Acknowledge {
        term: view.term,
        sequence: 1_000_000,
        round: 0,
        durable: view.verified,
        received: view.verified,
        limit: view.verified.plus(1 << 10),
        commit: view.commit,
    };
    cluster.deliver(endpoint(target), endpoint(leader), sender, &Datagram::Control(whole));
    assert_eq!(outcomes(&cluster), []);
    cluster.step(leader, Event::Timer);
    assert_eq!(refusal(&cluster), Some(TransferRefusal::TargetBehind));
    assert!(!cluster.trace.contains("Campaign"), "nobody was told");
}

#[test]
fn e18_a_late_heartbeat_does_not_stop_the_successor() {
    let (mut cluster, leader, target) = three();
    for node in cluster.nodes.values_mut() {
        node.holds_disk = true;
    }
    ask(&mut cluster, leader, 1, Some(target));
    cluster.settle();
    assert_eq!(cluster.member(target).view().role, Role::Nominee);
    let term = cluster.member(leader).view().term;
    let view = cluster.member(leader).view();
    let late = Message::Heartbeat {
        term,
        round: 1_000_000,
        newest: view.verified,
        commit: view.commit,
        chain_at: view.applied,
        chain: view.applied_chain,
    };
    let life = view.life;
    let sender = crate::message::Sender::Member {
        member: life.member,
        incarnation: life.incarnation,
        boot_epoch: life.boot_epoch,
    };
    cluster.deliver(endpoint(leader), endpoint(target), sender, &Datagram::Control(late));
    assert_eq!(cluster.member(target).view().role, Role::Nominee);
    for node in cluster.nodes.values_mut() {
        node.holds_disk = false;
    }
    cluster.run_until("the target leads", |cluster| cluster.leader() == Some(target));
}

#[test]
fn e17_a_demand_that_heartbeats_have_overtaken_is_void() {
    let (mut cluster, leader, target) = three();
    let view = cluster.member(leader).view();
    let sender = crate::message::Sender::Member {
        member: view.life.member,
        incarnation: view.life.incarnation,
        boot_epoch: view.life.boot_epoch,
    };
    for _ in 0..50 {
        cluster.tick();
    }
    let stale = Datagram::Control(Message::Campaign { term: view.term, round: 1 });
    cluster.deliver(endpoint(leader), endpoint(target), sender, &stale);
    cluster.settle();
    assert_eq!(cluster.member(target).view().role, Role::Follower);
    assert_eq!(cluster.leader(), Some(leader));
}
