//! What may leave before the disk has it, and what may not.

use alloc::vec::Vec;

use super::cluster::{Cluster, Datagram, endpoint, id};
use crate::event::{Event, OperationId};
use crate::identity::{BootEpoch, Life};
use crate::message::{Message, Sender, Stream};
use crate::notice::{FailStop, Role};
use crate::position::Position;
use crate::term::{Term, VoteKey};
use crate::time::Duration;

#[test]
fn e37_nothing_is_committed_before_a_quorum_of_disks_has_it() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.run_until("a session", |cluster| {
        cluster.client.as_ref().unwrap().session() != crate::SessionId::NONE
    });
    cluster.run_until_level();
    let before = cluster.member(leader).view().commit;
    for node in cluster.nodes.values_mut() {
        node.holds_disk = true;
    }
    cluster.submit(b"held");
    cluster.settle();
    let others: Vec<u16> = cluster.running().into_iter().filter(|&m| m != leader).collect();
    let view = cluster.member(others[0]).view();
    assert!(view.verified > before, "replicated, but not durable");
    assert_eq!(cluster.member(leader).view().commit, before);
    // One disk is no quorum, be it the leader's own (E41).
    while cluster.complete_one(leader) {}
    cluster.settle();
    assert_eq!(cluster.member(leader).view().commit, before);
    while cluster.complete_one(others[0]) {}
    cluster.settle();
    assert!(cluster.member(leader).view().commit > before);
}

#[test]
fn e40_a_completion_of_another_life_is_inert() {
    let mut cluster = Cluster::new(1);
    cluster.run_until_led();
    let before = cluster.member(1).state_hash();
    let operation = OperationId { boot_epoch: BootEpoch(9), sequence: 1 };
    cluster.step(1, Event::Durable { operation });
    assert_eq!(cluster.member(1).state_hash(), before);
    assert_eq!(cluster.member(1).counters().completions_ignored, 1);
}

#[test]
fn e43_a_storage_error_makes_the_member_inert() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.step(leader, Event::StorageFailed);
    assert_eq!(cluster.nodes[&id(leader)].fail_stop, Some(FailStop::StorageFailed));
    cluster.queue.clear();
    cluster.step(leader, Event::Timer);
    assert!(cluster.queue.is_empty(), "stopped means stopped");
}

#[test]
fn e48_a_full_disk_hands_over_and_recovers() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.run_until_level();
    let written = cluster.member(leader).view().written;
    cluster.step(leader, Event::StorageFull { position: written });
    cluster.settle();
    cluster.run_until("a successor", |cluster| cluster.leader().is_some_and(|new| new != leader));
    cluster.run_until("appends go on", |cluster| cluster.member(leader).view().durable > written);
}

#[test]
fn e49_a_leader_whose_disk_hangs_abdicates() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.run_until_level();
    for node in cluster.nodes.values_mut() {
        node.holds_disk = false;
    }
    cluster.nodes.get_mut(&id(leader)).unwrap().holds_disk = true;
    cluster.submit(b"to a hung disk");
    cluster.run_until("a successor", |cluster| cluster.leader().is_some_and(|new| new != leader));
    assert!(cluster.member(leader).view().commit > Position::ZERO);
}

/// A member acknowledges what it then loses, by a restored older image of its disk. The third of
/// the group has nothing of it, but has heard of the acknowledgement.
fn with_a_restored_image(restarts_the_witness: bool) -> (Cluster, u16, u16) {
    with_an_image_of(true, restarts_the_witness)
}

/// As above; the third may have all of it, too.
fn with_an_image_of(lacks: bool, restarts_the_witness: bool) -> (Cluster, u16, u16) {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.run_until("a session", |cluster| {
        cluster.client.as_ref().unwrap().session() != crate::SessionId::NONE
    });
    cluster.run_until_level();
    let others: Vec<u16> = (1..=3).filter(|&member| member != leader).collect();
    let (victim, witness) = (others[0], others[1]);
    let image = cluster.nodes[&id(victim)].disk.clone();
    if lacks {
        cluster.cut.isolated = alloc::vec![endpoint(witness)];
    }
    cluster.lose = |cut, _, to, what| {
        let is_log = matches!(what, Datagram::Data { stream: Stream::Log, .. });
        is_log && cut.isolated.contains(&to)
    };
    cluster.submit(b"on two of three");
    cluster.run_until("the reply", |cluster| cluster.replies.len() == 1);
    let interval = cluster.member(leader).config().timing.peer_record_interval;
    let heard = cluster.now + interval.times(3);
    cluster.run_until("all have heard of it", |cluster| cluster.now > heard);
    cluster.crash(leader);
    cluster.crash(victim);
    cluster.nodes.get_mut(&id(victim)).unwrap().disk = image;
    cluster.cut.isolated.clear();
    cluster.start(victim);
    if restarts_the_witness {
        let until = cluster.now + interval.times(2);
        cluster.run_until("the new life is remembered", |cluster| cluster.now > until);
        cluster.crash(witness);
        cluster.start(witness);
    }
    (cluster, leader, witness)
}

#[test]
fn e47_df14_a_restored_image_neither_elects_nor_is_elected() {
    for restarts in [false, true] {
        let (mut cluster, leader, witness) = with_a_restored_image(restarts);
        let until = cluster.now + Duration::from_millis(5_000);
        cluster.run_until("nobody is elected", |cluster| {
            assert_eq!(cluster.leader(), None, "what was committed is lost");
            cluster.now > until
        });
        cluster.start(leader);
        // Who is behind may lead too, once it has fetched from this one what it lacks (rule 8).
        cluster.run_until_led();
        // The image has caught up, and counts again.
        cluster.run_until_level();
        cluster.crash(witness);
        cluster.submit(b"with the image");
        cluster.run_until("the second reply", |cluster| cluster.replies.len() == 2);
    }
}

/// Bytes come back, the vote that was lost with them does not: it might vote twice in a term.
#[test]
fn e47_df14_a_restored_image_that_has_caught_up_waits_for_a_leader_all_the_same() {
    for restarts in [false, true] {
        let (mut cluster, leader, witness) = with_an_image_of(false, restarts);
        let image = (1..=3).find(|member| ![leader, witness].contains(member)).unwrap();
        cluster.run_until("it has caught up", |cluster| {
            cluster.member(image).view().verified == cluster.member(witness).view().verified
        });
        let until = cluster.now + Duration::from_millis(5_000);
        cluster.run_until("nobody is elected", |cluster| {
            assert_eq!(cluster.leader(), None, "it may have voted in that term before");
            cluster.now > until
        });
        cluster.start(leader);
        cluster.run_until_led();
        cluster.run_until_level();
        let second = cluster.leader().unwrap();
        cluster.crash(if second == image { witness } else { second });
        cluster.run_until_led();
    }
}

#[test]
fn e30_what_a_former_life_acknowledged_counts_no_more_once_the_new_one_is_heard() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.run_until_level();
    let others: Vec<u16> = (1..=3).filter(|&member| member != leader).collect();
    let (victim, third) = (others[0], others[1]);
    cluster.connect_client();
    cluster.run_until("a session", |cluster| {
        cluster.client.as_ref().unwrap().session() != crate::SessionId::NONE
    });
    cluster.run_until_level();
    let image = cluster.nodes[&id(victim)].disk.clone();
    cluster.cut.isolated = alloc::vec![endpoint(third)];
    cluster.nodes.get_mut(&id(leader)).unwrap().holds_disk = true;
    cluster.submit(b"on the disk of one follower");
    let before = cluster.member(leader).view().commit;
    cluster.run_until("the follower has it", |cluster| {
        cluster.nodes[&id(victim)].disk.synced as u64 == cluster.member(leader).view().verified.0
    });
    cluster.settle();
    cluster.crash(victim);
    cluster.nodes.get_mut(&id(victim)).unwrap().disk = image;
    cluster.start(victim);
    let (sender, key) = {
        let life = cluster.member(victim).view().life;
        let Life { member, incarnation, boot_epoch } = life;
        (Sender::Member { member, incarnation, boot_epoch }, VoteKey::default())
    };
    let canvass = Datagram::Control(Message::Canvass { term: Term(0), round: 1, key });
    cluster.deliver(endpoint(victim), endpoint(leader), sender, &canvass);
    // The leader's own disk is the second of three, if the image still counted.
    while cluster.complete_one(leader) {}
    assert_eq!(cluster.member(leader).view().commit, before, "it counts what is gone");
}

#[test]
fn e49_a_leader_that_cannot_read_what_it_has_to_apply_abdicates() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.submit(b"one");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 1);
    cluster.run_until_level();
    let others: Vec<u16> = cluster.running().into_iter().filter(|&m| m != leader).collect();
    let (hanging, sound) = (others[0], others[1]);
    // It writes, and reads nothing: it can be elected, and then it does not come to serve.
    cluster.nodes.get_mut(&id(hanging)).unwrap().held_reads = Some(Vec::new());
    cluster.start(hanging);
    cluster.delayed = (sound, Duration::from_millis(900));
    cluster.start(sound);
    cluster.run_until("both are back", |cluster| {
        others.iter().all(|&member| cluster.member(member).view().leader == Some(id(leader)))
    });
    cluster.crash(leader);
    cluster.run_until("it leads", |cluster| cluster.member(hanging).view().role == Role::Leader);
    // From now on the other one need not be behind it.
    cluster.crash(sound);
    cluster.delayed = (0, Duration::ZERO);
    cluster.start(sound);
    let begun = cluster.now;
    cluster.run_until("the other one serves", |cluster| cluster.leader() == Some(sound));
    let took = cluster.now.since(begun);
    assert!(took < cluster.timing.progress_timeout.times(3), "{took:?}");
}
