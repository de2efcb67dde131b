//! Small stories of places that a sweep of the simulator must reach (see `mark`).

use alloc::vec;

use super::cluster::{Cluster, Datagram, endpoint, id};
use crate::identity::{BootEpoch, Incarnation};
use crate::message::{Message, Sender, Stream};
use crate::position::Position;
use crate::term::{Term, VoteKey};

const CLIENT: u16 = 1_000;

fn first_life(member: u16) -> Sender {
    let (incarnation, boot_epoch) = (Incarnation(1), BootEpoch(1));
    Sender::Member { member: id(member), incarnation, boot_epoch }
}

/// Ballots of `voter` that are under way and grant.
fn grants(cluster: &Cluster, voter: u16) -> usize {
    let is_grant = |datagram: &Datagram| {
        matches!(datagram, Datagram::Control(Message::Ballot { granted: true, .. }))
    };
    let from = |sender: &Sender| *sender == first_life(voter);
    cluster.queue.iter().filter(|(_, _, sender, what)| from(sender) && is_grant(what)).count()
}

#[test]
fn e03_a_repeated_request_gets_the_same_grant_and_waits_for_no_disk() {
    let mut cluster = Cluster::new(3);
    cluster.nodes.values_mut().for_each(|node| node.holds_disk = true);
    let request =
        Datagram::Control(Message::RequestVote { term: Term(5), key: VoteKey::default() });
    let ask = |cluster: &mut Cluster| {
        cluster.deliver(endpoint(2), endpoint(1), first_life(2), &request);
    };
    ask(&mut cluster);
    assert_eq!(grants(&cluster, 1), 0, "the vote is not durable");
    while cluster.complete_one(1) {}
    let first = grants(&cluster, 1);
    assert!(first > 0);
    ask(&mut cluster);
    assert_eq!(grants(&cluster, 1), first + 1);
}

#[test]
fn bytes_of_a_term_that_the_history_lacks_are_dropped() {
    let mut cluster = Cluster::new(3);
    let (stream, position, live, slice) = (Stream::Log, Position(0), None, vec![7; 64]);
    let data = Datagram::Data { stream, epoch: 9, position, live, slice };
    cluster.deliver(endpoint(2), endpoint(1), first_life(2), &data);
    assert_eq!(cluster.member(1).counters().slices_dropped, 1);
    assert_eq!(cluster.member(1).view().received, Position(0));
}

#[test]
fn a_deposed_leader_loses_what_only_it_has() {
    let mut cluster = Cluster::new(3);
    let old = cluster.run_until_led();
    cluster.connect_client();
    cluster.run_until("it is served", |cluster| {
        cluster.client.as_ref().is_some_and(crate::client::Client::is_served)
    });
    cluster.run_until_level();
    // It is cut off from the others, but not from its client.
    cluster.cut.isolated.push(endpoint(old));
    cluster.lose = |cut, from, to, _| {
        let is_client = from == endpoint(CLIENT) || to == endpoint(CLIENT);
        !is_client && (cut.isolated.contains(&from) || cut.isolated.contains(&to))
    };
    let before = cluster.member(old).view().verified;
    cluster.submit(b"nobody else has it");
    cluster.run_until("a tail", |cluster| cluster.member(old).view().verified > before);
    cluster.run_until("a successor", |cluster| cluster.leader().is_some_and(|new| new != old));
    cluster.cut.isolated.clear();
    cluster.run_until_level();
    assert_eq!(cluster.member(old).counters().cuts, 1);
    cluster.run_until("the reply", |cluster| cluster.replies.len() == 1);
}

#[test]
fn e81_who_is_refused_learns_history_and_bytes_from_the_refuser() {
    let mut cluster = Cluster::new(3);
    cluster.cut.isolated.push(endpoint(3));
    let leader = cluster.run_until_led();
    let other = 3 - leader;
    let complete = |cluster: &Cluster| cluster.member(other).view().commit.0 > 0;
    cluster.run_until("a commit", complete);
    assert_eq!(cluster.member(3).view().received, Position(0));
    // The one with the newest log is not heard to canvass: only the one behind can win.
    cluster.crash(leader);
    cluster.cut.isolated[0] = endpoint(other);
    cluster.lose = |cut, from, _, what| {
        let canvasses = matches!(what, Datagram::Control(Message::Canvass { .. }));
        canvasses && cut.isolated.contains(&from)
    };
    cluster.run_until("it leads", |cluster| cluster.leader() == Some(3));
    assert!(cluster.member(3).view().verified >= cluster.member(other).view().commit);
}
