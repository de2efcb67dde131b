//! Messages, holes, failovers: what clients and services see.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::cluster::{Cluster, Datagram, endpoint, id, one_in_so_many};
use crate::message::{Sender, Stream};
use crate::position::Position;

fn check_applied(cluster: &Cluster, expected: &[Vec<u8>]) {
    for member in cluster.running() {
        assert_eq!(cluster.nodes[&id(member)].applied, expected, "at member {member}");
    }
}

fn check_replies(cluster: &Cluster, expected: &[Vec<u8>]) {
    let sequences: Vec<u64> = cluster.replies.iter().map(|reply| reply.0).collect();
    let numbers: Vec<u64> = (1..=expected.len() as u64).collect();
    assert_eq!(sequences, numbers);
    assert!(cluster.replies.iter().map(|reply| &reply.1).eq(expected));
}

fn payload(number: usize) -> Vec<u8> {
    let mut payload = format!("message {number} ").into_bytes();
    payload.resize(payload.len() + number * 37 % 3_000, b'.');
    payload
}

fn run(cluster: &mut Cluster, messages: usize) -> Vec<Vec<u8>> {
    let payloads: Vec<_> = (0..messages).map(payload).collect();
    for (number, payload) in payloads.iter().enumerate() {
        cluster.run_until("room", |cluster| {
            cluster.client.as_ref().unwrap().can_submit(payload.len())
        });
        cluster.submit(payload);
        if number % 7 == 0 {
            cluster.tick();
        }
    }
    cluster.run_until("all replies", |cluster| cluster.replies.len() == messages);
    cluster.run_until_level();
    payloads
}

#[test]
fn messages_are_applied_in_order_on_all_members_and_answered() {
    let mut cluster = Cluster::new(3);
    cluster.run_until_led();
    cluster.connect_client();
    let payloads = run(&mut cluster, 200);
    check_applied(&cluster, &payloads);
    check_replies(&cluster, &payloads);
    let hashes: Vec<u64> =
        cluster.running().iter().map(|&m| cluster.member(m).replicated_hash()).collect();
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn nk01_what_is_lost_is_repaired_by_naks_alone() {
    for one_in in [2, 3, 5, 11] {
        let mut cluster = Cluster::new(3);
        cluster.run_until_led();
        cluster.connect_client();
        cluster.lose = one_in_so_many;
        cluster.cut.one_in = one_in;
        let payloads = run(&mut cluster, 60);
        check_applied(&cluster, &payloads);
        check_replies(&cluster, &payloads);
    }
}

#[test]
fn e106_a_failover_applies_and_answers_each_message_once() {
    let mut cluster = Cluster::new(3);
    cluster.connect_client();
    let payloads: Vec<_> = (0..90).map(payload).collect();
    let mut down = None;
    for (number, payload) in payloads.iter().enumerate() {
        cluster.run_until("room", |cluster| {
            cluster.client.as_ref().unwrap().can_submit(payload.len())
        });
        cluster.submit(payload);
        if number % 20 == 10 {
            let leader = cluster.run_until_led();
            cluster.crash(leader);
            down = Some(leader);
        }
        if number % 20 == 15 {
            cluster.start(down.take().unwrap());
        }
    }
    if let Some(down) = down {
        cluster.start(down);
    }
    cluster.run_until("all replies", |cluster| cluster.replies.len() == 90);
    cluster.run_until_level();
    check_applied(&cluster, &payloads);
    check_replies(&cluster, &payloads);
}

#[test]
fn a_member_behind_the_window_is_repaired_from_an_archive() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    let away = cluster.running().into_iter().find(|&m| m != leader).unwrap();
    cluster.cut.isolated.push(endpoint(away));
    let payloads: Vec<_> = (0..150).map(|number| payload(number * 80)).collect();
    for payload in &payloads {
        cluster.run_until("room", |cluster| {
            cluster.client.as_ref().unwrap().can_submit(payload.len())
        });
        cluster.submit(payload);
    }
    cluster.run_until("all replies", |cluster| cluster.replies.len() == 150);
    let view = cluster.member(leader).view();
    assert!(view.commit.0 > 2 * cluster.limits.window_bytes, "the window has moved on");
    cluster.cut.isolated.clear();
    cluster.run_until_level();
    check_applied(&cluster, &payloads);
}

/// Bytes of the log that a member has in memory.
fn held(cluster: &Cluster, member: u16) -> u64 {
    let mut held = 0;
    cluster.member(member).usage(|usage| {
        if usage.name == "log window" {
            held = usage.used;
        }
    });
    held
}

/// Submits one message after the other, each when the one before is answered.
fn submit_each(cluster: &mut Cluster, payloads: &[Vec<u8>]) {
    for payload in payloads {
        let before = cluster.replies.len();
        cluster.submit(payload);
        cluster.run_until("a reply", |cluster| cluster.replies.len() > before);
    }
}

#[test]
fn a_leader_keeps_in_memory_what_somebody_lacks_and_little_else() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    let mut payloads = vec![vec![b'.'; 1_000]; 100];
    submit_each(&mut cluster, &payloads[..30]);
    cluster.run_until_level();
    assert!(held(&cluster, leader) <= 8 << 10, "nobody lacks any of it");
    let away = cluster.running().into_iter().find(|&m| m != leader).unwrap();
    let other = cluster.running().into_iter().find(|&m| m != leader && m != away).unwrap();
    let begin = cluster.member(leader).view().verified;
    cluster.cut.isolated.push(endpoint(away));
    submit_each(&mut cluster, &payloads[30..70]);
    let lacked = cluster.member(leader).view().verified.since(begin);
    assert!(lacked > 32 << 10 && lacked <= held(&cluster, leader));
    assert!(held(&cluster, other) < lacked, "a follower serves from its archive");
    cluster.nodes.get_mut(&id(leader)).unwrap().held_reads = Some(Vec::new());
    cluster.cut.isolated.clear();
    cluster.run_until_level();
    let reads = cluster.nodes[&id(leader)].held_reads.as_ref().unwrap();
    assert!(reads.is_empty(), "nothing of it comes from the leader's archive");
    for number in 0..200 {
        payloads.push(vec![number; 1_000]);
    }
    submit_each(&mut cluster, &payloads[70..]);
    cluster.run_until_level();
    assert!(held(&cluster, leader) <= 16 << 10, "nobody lacks any of it again");
    check_applied(&cluster, &payloads);
}

#[test]
fn e91_what_lies_beyond_the_window_is_counted_as_dropped() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.run_until_level();
    let follower = cluster.running().into_iter().find(|&member| member != leader).unwrap();
    let life = cluster.member(leader).view().life;
    let sender = Sender::Member {
        member: life.member,
        incarnation: life.incarnation,
        boot_epoch: life.boot_epoch,
    };
    let view = cluster.member(follower).view();
    let limit = view.written.plus(cluster.limits.window_bytes);
    let before = *cluster.member(follower).counters();
    for start in [limit.0 - 8, limit.0, limit.0 + 4_096] {
        let (stream, position) = (Stream::Log, Position(start));
        let (epoch, slice) = (view.term.0, vec![0; 16]);
        let data = Datagram::Data { stream, epoch, position, live: None, slice };
        cluster.deliver(endpoint(leader), endpoint(follower), sender, &data);
    }
    let after = *cluster.member(follower).counters();
    assert_eq!(after.slices_dropped - before.slices_dropped, 3);
    assert_eq!(after.duplicate_bytes, before.duplicate_bytes);
    assert_eq!(cluster.member(follower).view().seen, limit, "what fits is taken");
}

#[test]
fn a_cold_start_of_all_replays_everything() {
    let mut cluster = Cluster::new(3);
    cluster.connect_client();
    let payloads = run(&mut cluster, 120);
    for member in 1..=3 {
        cluster.crash(member);
    }
    for member in 1..=3 {
        cluster.start(member);
    }
    cluster.run_until_led();
    cluster.run_until_level();
    check_applied(&cluster, &payloads);
}

#[test]
fn the_same_seed_and_events_give_the_same_state() {
    let hashes = || {
        let mut cluster = Cluster::new(3);
        cluster.connect_client();
        run(&mut cluster, 50);
        cluster.running().iter().map(|&m| cluster.member(m).state_hash()).collect::<Vec<_>>()
    };
    assert_eq!(hashes(), hashes());
}
