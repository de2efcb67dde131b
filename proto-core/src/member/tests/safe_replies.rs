//! Replies that wait until their message is safe, and positions that are waited for (rule 12).

use alloc::vec::Vec;
use core::cell::Cell;

use super::cluster::{CLIENT, Cluster, endpoint, id, isolated};
use crate::client::ClientEvent;
use crate::config::Durability;
use crate::identity::SessionId;
use crate::member::Member;
use crate::position::Position;
use crate::time::Duration;

/// A group whose checkpoints are so far apart, or a durable one, with a client whose session is
/// open.
fn served(durability: Durability) -> (Cluster, u16) {
    let mut cluster = Cluster::with(3, durability);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.run_until("a session", |cluster| {
        cluster.client.as_ref().unwrap().session() != SessionId::NONE
    });
    cluster.run_until_level();
    (cluster, leader)
}

fn volatile(millis: u64) -> (Cluster, u16) {
    served(Durability::Volatile { checkpoint_interval: Duration::from_millis(millis) })
}

fn submit_safe(cluster: &mut Cluster, payload: &[u8]) {
    cluster.step_client(ClientEvent::SubmitSafe { payload });
    cluster.step_client(ClientEvent::Flush);
}

fn leads(cluster: &Cluster) -> Option<&Member> {
    cluster.leader().map(|leader| cluster.member(leader))
}

/// How many disks would have the frame at `position` behind a power cut.
fn copies(cluster: &Cluster, position: Position) -> usize {
    let has = |member: &u16| cluster.nodes[&id(*member)].disk.synced as u64 > position.0;
    (1..=3).filter(has).count()
}

/// Runs until there are `count` replies, of which number `asked` was to be to what is safe: never
/// before two disks have what lies at `position`. Returns whether it had to wait.
fn run_until_answered(
    cluster: &mut Cluster,
    asked: usize,
    position: Position,
    count: usize,
) -> bool {
    let waited = Cell::new(false);
    cluster.run_until("the replies", |cluster| {
        if cluster.replies.len() < asked {
            let is_applied = leads(cluster).is_some_and(|it| it.view().applied > position);
            waited.set(waited.get() || is_applied);
        } else {
            assert!(copies(cluster, position) >= 2, "a reply that is not safe");
        }
        cluster.replies.len() >= count
    });
    waited.get()
}

#[test]
fn cd20_each_reply_waits_for_what_its_message_asked_for() {
    let (mut cluster, leader) = volatile(1_000);
    cluster.submit(b"in memory");
    cluster.run_until("the reply", |cluster| cluster.replies.len() == 1);
    let position = cluster.member(leader).view().verified;
    assert_eq!(copies(&cluster, Position(position.0 - 1)), 0, "no disk has it");
    submit_safe(&mut cluster, b"on disks");
    // Behind it in the session, whatever it asks for: replies come in order.
    cluster.submit(b"behind it");
    assert!(run_until_answered(&mut cluster, 2, position, 3), "it did not wait");
    let order: Vec<u64> = cluster.replies.iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!(order, [1, 2, 3]);
    // What is behind the checkpoint is answered out of memory again.
    cluster.submit(b"in memory again");
    let newest = cluster.member(leader).view().verified;
    cluster.run_until("the reply", |cluster| cluster.replies.len() == 4);
    assert!(copies(&cluster, newest) < 2, "it waited for disks");
}

#[test]
fn cd20_a_new_leader_holds_back_what_the_old_one_did() {
    let (mut cluster, leader) = volatile(5_000);
    let position = cluster.member(leader).view().verified;
    submit_safe(&mut cluster, b"on disks, whoever leads");
    cluster.run_until("all have it applied", |cluster| {
        (1..=3).all(|member| cluster.member(member).view().applied > position)
    });
    assert!(cluster.replies.is_empty() && copies(&cluster, position) == 0);
    cluster.crash(leader);
    cluster.run_until("a successor serves the client", |cluster| {
        let client = cluster.client.as_ref().unwrap();
        leads(cluster).is_some_and(|it| it.view().serving) && client.is_served()
    });
    assert!(run_until_answered(&mut cluster, 1, position, 1), "it did not wait");
    assert_eq!(cluster.replies[0].0, 1);
}

#[test]
fn cd20_who_asks_again_waits_as_before() {
    let (mut cluster, leader) = volatile(5_000);
    let position = cluster.member(leader).view().verified;
    submit_safe(&mut cluster, b"asked for twice");
    cluster.run_until("it is applied", |cluster| cluster.member(leader).view().applied > position);
    cluster.lose = isolated;
    cluster.cut.isolated = alloc::vec![endpoint(CLIENT)];
    cluster
        .run_until("the client is lost", |cluster| !cluster.client.as_ref().unwrap().is_served());
    cluster.cut.isolated.clear();
    assert!(run_until_answered(&mut cluster, 1, position, 1), "it did not wait");
    assert!(cluster.client.as_ref().unwrap().counters().reconnects > 0);
}

#[test]
fn in_a_durable_group_a_reply_that_waits_comes_with_the_commit() {
    let took = [false, true].map(|is_safe| {
        let (mut cluster, _) = served(Durability::Durable);
        let asked = cluster.now;
        match is_safe {
            true => submit_safe(&mut cluster, b"the same"),
            false => cluster.submit(b"the same"),
        }
        cluster.run_until("the reply", |cluster| cluster.replies.len() == 1);
        cluster.now.since(asked)
    });
    assert_eq!(took[0], took[1]);
}

#[test]
fn cd12_a_position_is_waited_for_until_two_disks_have_it() {
    let (mut cluster, leader) = volatile(1_000);
    let position = cluster.member(leader).view().verified;
    cluster.submit(b"answered out of memory");
    cluster.run_until("the reply", |cluster| cluster.replies.len() == 1);
    assert!(copies(&cluster, position) < 2);
    cluster.step_client(ClientEvent::Sync { position });
    cluster.run_until("it is safe", |cluster| {
        let is_told = !cluster.synced.is_empty();
        assert!(!is_told || copies(cluster, position) >= 2, "it is not");
        is_told
    });
    let (asked, safe) = cluster.synced[0];
    assert!(asked == position && safe.unwrap() > position);
    // All lose their power: what was safe is on a quorum of disks.
    (1..=3).for_each(|member| cluster.crash(member));
    assert!(copies(&cluster, position) >= 2);
}

#[test]
fn cd12_a_position_is_waited_for_across_a_failover() {
    let (mut cluster, leader) = volatile(5_000);
    let position = cluster.member(leader).view().verified;
    cluster.submit(b"answered out of memory");
    cluster.run_until("the reply", |cluster| cluster.replies.len() == 1);
    cluster.step_client(ClientEvent::Sync { position });
    cluster.run_until_level();
    cluster.crash(leader);
    cluster.run_until("it is safe", |cluster| {
        let is_told = !cluster.synced.is_empty();
        assert!(!is_told || copies(cluster, position) >= 2, "it is not");
        is_told
    });
}

#[test]
fn in_a_durable_group_a_position_is_safe_when_it_is_committed() {
    let (mut cluster, leader) = served(Durability::Durable);
    let position = cluster.member(leader).view().verified;
    cluster.submit(b"durable");
    cluster.run_until("the reply", |cluster| cluster.replies.len() == 1);
    let asked = cluster.now;
    cluster.step_client(ClientEvent::Sync { position });
    cluster.run_until("it is safe", |cluster| !cluster.synced.is_empty());
    assert!(cluster.now.since(asked) < Duration::from_millis(20), "nothing is waited for");
}
