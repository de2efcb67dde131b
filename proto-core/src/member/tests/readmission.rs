//! Members that lost their directory (E47, rules 5 and 14).

use alloc::vec::Vec;

use super::cluster::{Cluster, Datagram, Disk, Write, endpoint, id, isolated};
use crate::identity::{BootEpoch, Incarnation, Life, SessionId};
use crate::message::{Message, Sender};
use crate::notice::{FailStop, Notice};
use crate::position::Position;
use crate::term::{Term, VoteKey};
use crate::time::Duration;

/// Three members and a client with a session; one follower is down, and its directory is made anew.
/// Returns the leader, the wiped one, and the third.
fn with_a_wiped_follower() -> (Cluster, u16, u16, u16) {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.run_until("a session", |cluster| {
        cluster.client.as_ref().unwrap().session() != SessionId::NONE
    });
    submit(&mut cluster, b"before");
    cluster.run_until_level();
    let others: Vec<u16> = (1..=3).filter(|&member| member != leader).collect();
    wipe(&mut cluster, others[0]);
    (cluster, leader, others[0], others[1])
}

pub(super) fn wipe(cluster: &mut Cluster, member: u16) {
    cluster.crash(member);
    let disk = &mut cluster.nodes.get_mut(&id(member)).unwrap().disk;
    *disk = Disk { lost: disk.lost + 1, ..Disk::default() };
}

fn submit(cluster: &mut Cluster, payload: &[u8]) {
    let replies = cluster.replies.len();
    cluster.submit(payload);
    cluster.run_until("the reply", |cluster| cluster.replies.len() > replies);
}

pub(super) fn is_applicant(cluster: &Cluster, member: u16) -> bool {
    cluster.member(member).view().applicant
}

/// Runs for a while in which nobody may come to lead.
fn run_without_a_leader(cluster: &mut Cluster) {
    let until = cluster.now + Duration::from_millis(3_000);
    cluster.run_until("nobody leads", |cluster| {
        assert_eq!(cluster.leader(), None, "what was committed may be lost");
        cluster.now > until
    });
}

#[test]
fn e47_a_wiped_member_is_readmitted_and_counts_again() {
    let (mut cluster, leader, wiped, third) = with_a_wiped_follower();
    cluster.start(wiped);
    assert!(is_applicant(&cluster, wiped));
    cluster.run_until("it is readmitted", |cluster| !is_applicant(cluster, wiped));
    let told = |member, wanted: fn(&Notice) -> bool| {
        cluster.notices.iter().filter(|(by, notice)| *by == member && wanted(notice)).count()
    };
    assert_eq!(told(wiped, |notice| matches!(notice, Notice::Readmitted { .. })), 1);
    for member in [leader, third] {
        let met = told(member, |notice| matches!(notice, Notice::Readmission { .. }));
        assert_eq!(met, 1, "member {member}");
    }
    // It is one of two now, and has all that was committed without it.
    cluster.run_until_level();
    cluster.crash(leader);
    cluster.run_until_led();
    submit(&mut cluster, b"after");
    cluster.run_until_level();
    let applied = &cluster.nodes[&id(wiped)].applied;
    assert_eq!(applied, &[b"before".to_vec(), b"after".to_vec()]);
    // That it was readmitted it remembers.
    cluster.crash(wiped);
    cluster.start(wiped);
    assert!(!is_applicant(&cluster, wiped));
}

#[test]
fn e47_an_applicant_promises_nothing() {
    let (mut cluster, leader, wiped, third) = with_a_wiped_follower();
    cluster.cut.isolated = [leader, third].map(endpoint).to_vec();
    cluster.start(wiped);
    let Life { member, incarnation, boot_epoch } = cluster.member(third).view().life;
    let sender = Sender::Member { member, incarnation, boot_epoch };
    let (term, key) = (Term(9), VoteKey { term: Term(8), position: Position(1 << 20) });
    for message in [
        Message::Canvass { term, round: 1, key },
        Message::RequestVote { term, key },
        Message::RequestSuccession { term, key, predecessor: id(leader) },
        Message::Campaign { term, round: 9 },
        // A candidate's term, which may never have a leader, would part it from the one that leads.
        Message::HistoryRequest { term, commit: Position::ZERO },
        Message::Ballot { term, candidate: id(wiped), granted: false, key },
    ] {
        cluster.deliver(endpoint(third), endpoint(wiped), sender, &Datagram::Control(message));
        while cluster.complete_one(wiped) {}
        assert!(cluster.queue.is_empty(), "it answers: {:?}", cluster.queue);
        assert_eq!(cluster.member(wiped).view().vote.granted_to, None);
        assert_eq!(cluster.member(wiped).view().term, Term(0));
    }
    // Nor does it stand.
    let until = cluster.now + Duration::from_millis(2_000);
    cluster.trace.clear();
    cluster.run_until("time-outs pass", |cluster| cluster.now > until);
    assert_eq!(cluster.member(wiped).counters().canvasses, 0);
}

/// The leader and the wiped one hold all that was committed; the third lags behind, and would elect
/// the wiped one, or be elected by it, without.
#[test]
fn e47_what_only_the_wiped_member_and_the_leader_held_is_not_lost() {
    let (mut cluster, leader, wiped, third) = with_a_wiped_follower();
    cluster.start(wiped);
    cluster.run_until("it is readmitted", |cluster| !is_applicant(cluster, wiped));
    cluster.run_until_level();
    cluster.lose = isolated;
    cluster.cut.isolated = alloc::vec![endpoint(third)];
    submit(&mut cluster, b"on two of three");
    wipe(&mut cluster, wiped);
    cluster.start(wiped);
    // The leader alone does not commit the readmission, whatever the wiped one has received.
    cluster.run_until("it has caught up", |cluster| {
        let (own, newest) = (cluster.member(wiped).view(), cluster.member(leader).view());
        own.verified == newest.verified || newest.role != crate::notice::Role::Leader
    });
    assert!(is_applicant(&cluster, wiped));
    cluster.crash(leader);
    cluster.cut.isolated.clear();
    run_without_a_leader(&mut cluster);
    assert!(is_applicant(&cluster, wiped));
    cluster.start(leader);
    cluster.run_until_led();
    cluster.run_until("it is readmitted", |cluster| !is_applicant(cluster, wiped));
    cluster.run_until_level();
    assert_eq!(cluster.nodes[&id(wiped)].applied.last().unwrap(), b"on two of three");
}

#[test]
fn e47_each_life_of_an_applicant_is_readmitted_anew() {
    let (mut cluster, leader, wiped, third) = with_a_wiped_follower();
    cluster.start(wiped);
    cluster.nodes.get_mut(&id(wiped)).unwrap().holds_disk = true;
    let met = |cluster: &Cluster| {
        let notices = cluster.notices.iter().filter(|(by, _)| *by == third);
        notices.filter(|(_, notice)| matches!(notice, Notice::Readmission { .. })).count()
    };
    // Nothing becomes durable, so it says nothing, and is not readmitted.
    let until = cluster.now + Duration::from_millis(500);
    cluster.run_until("it waits for its disk", |cluster| cluster.now > until);
    assert_eq!(met(&cluster), 0);
    // Its history does, and its log does not: it is readmitted, and does not know it for sure.
    for _ in 0..100 {
        let first = cluster.nodes[&id(wiped)].pending.front();
        match first {
            Some((_, Write::Vote(_) | Write::History(_))) => assert!(cluster.complete_one(wiped)),
            Some(_) => break,
            None => cluster.tick(),
        }
    }
    cluster.run_until("it is readmitted", |cluster| met(cluster) == 1);
    assert_eq!(met(&cluster), 1);
    assert!(is_applicant(&cluster, wiped));
    cluster.crash(wiped);
    cluster.start(wiped);
    cluster.nodes.get_mut(&id(wiped)).unwrap().holds_disk = false;
    assert!(is_applicant(&cluster, wiped), "a former life was readmitted, perhaps");
    cluster.run_until("it is readmitted", |cluster| !is_applicant(cluster, wiped));
    assert_eq!(met(&cluster), 2);
    let life = cluster.member(wiped).view().life;
    assert_eq!(life.boot_epoch, BootEpoch(2));
    assert_eq!(cluster.leader(), Some(leader));
}

/// What a log on disk holds of readmissions the records know: a former life is not heard again
/// after a restart.
#[test]
fn e47_the_records_know_of_a_readmission_before_the_log_holds_it() {
    let (mut cluster, leader, wiped, third) = with_a_wiped_follower();
    cluster.nodes.get_mut(&id(third)).unwrap().holds_disk = true;
    let before = cluster.nodes[&id(third)].disk.log.len();
    cluster.start(wiped);
    let knows = |cluster: &Cluster| cluster.member(third).view().verified.0 as usize > before;
    cluster.run_until("the third verifies it", knows);
    let node = &cluster.nodes[&id(third)];
    assert_eq!(node.disk.log.len(), before, "the readmission went to the disk at once");
    let is_record = |write: &Write| matches!(write, Write::Peers(_));
    assert!(node.pending.iter().any(|(_, write)| is_record(write)), "{:?}", node.pending);
    while cluster.complete_one(third) {}
    let node = &cluster.nodes[&id(third)];
    let record = node.disk.peers.iter().find(|record| record.life.member == id(wiped)).unwrap();
    assert_eq!(record.life, cluster.member(wiped).view().life);
    assert!(node.disk.log.len() > before);
    cluster.nodes.get_mut(&id(third)).unwrap().holds_disk = false;
    cluster.run_until("it is readmitted", |cluster| !is_applicant(cluster, wiped));
    assert_eq!(cluster.leader(), Some(leader));
}

#[test]
fn e47_the_former_life_is_not_heard() {
    let (mut cluster, leader, wiped, third) = with_a_wiped_follower();
    cluster.start(wiped);
    cluster.run_until("it is readmitted", |cluster| !is_applicant(cluster, wiped));
    let new = cluster.member(wiped).view().life;
    let former = Life { incarnation: Incarnation(1), boot_epoch: BootEpoch(9), ..new };
    let sender = Sender::Member {
        member: former.member,
        incarnation: former.incarnation,
        boot_epoch: former.boot_epoch,
    };
    let ignored = cluster.member(leader).counters().datagrams_ignored;
    let term = Term(cluster.member(leader).view().term.0 + 1);
    let message = Datagram::Control(Message::Abdicate { term });
    for member in [leader, third] {
        cluster.deliver(endpoint(wiped), endpoint(member), sender, &message);
    }
    assert_eq!(cluster.member(leader).counters().datagrams_ignored, ignored + 1);
    assert_eq!(cluster.leader(), Some(leader));
}

/// A directory that was made for a member elsewhere takes its place only once it is silent.
#[test]
fn e47_a_member_stops_when_another_directory_takes_its_place() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.run_until_level();
    let follower = if leader == 1 { 2 } else { 1 };
    let sender = Sender::Member {
        member: id(follower),
        incarnation: Incarnation(2),
        boot_epoch: BootEpoch(1),
    };
    let apply = |cluster: &mut Cluster, sequence| {
        let view = cluster.member(leader).view();
        let (received, limit) = (view.verified, view.verified.plus(1 << 12));
        let message = Message::Application { term: view.term, sequence, received, limit };
        let other_machine = endpoint(77);
        cluster.deliver(other_machine, endpoint(leader), sender, &Datagram::Control(message));
        cluster.settle();
    };
    let end = cluster.member(leader).view().verified;
    let pause = cluster.member(leader).config().timing.election_timeout_max;
    let until = cluster.now + pause.times(2);
    cluster.run_until("it is silent no more", |cluster| cluster.now > until);
    apply(&mut cluster, 1);
    assert_eq!(cluster.member(leader).view().verified, end, "one that counts was there");
    // It hears, and is not heard.
    cluster.cut.isolated = alloc::vec![endpoint(follower)];
    cluster.lose = |cut, from, _, _| cut.isolated.contains(&from);
    let until = cluster.now + pause;
    cluster.run_until("it is taken for dead", |cluster| cluster.now > until);
    apply(&mut cluster, 2);
    assert!(cluster.member(leader).view().verified > end);
    cluster.run_until("it reads of it", |cluster| cluster.nodes[&id(follower)].fail_stop.is_some());
    assert_eq!(cluster.nodes[&id(follower)].fail_stop, Some(FailStop::Twin));
}

/// A directory that nobody readmits does no harm to the member whose number it bears.
#[test]
fn e47_a_newcomer_is_nobody_before_the_log_says_so() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.run_until_level();
    let others: Vec<u16> = (1..=3).filter(|&member| member != leader).collect();
    let (named, third) = (others[0], others[1]);
    let sender = Sender::Member {
        member: id(named),
        incarnation: Incarnation(u32::MAX),
        boot_epoch: BootEpoch(u64::MAX),
    };
    let term = Term(cluster.member(leader).view().term.0 + 5);
    let key = VoteKey { term, position: Position(1 << 20) };
    let before = [leader, third].map(|member| cluster.member(member).state_hash());
    for member in [leader, third] {
        for message in [
            Message::Canvass { term, round: 1, key },
            Message::RequestVote { term, key },
            Message::Ballot { term, candidate: id(member), granted: true, key },
        ] {
            let message = Datagram::Control(message);
            cluster.deliver(endpoint(named), endpoint(member), sender, &message);
        }
    }
    assert_eq!([leader, third].map(|member| cluster.member(member).state_hash()), before);
    cluster.crash(third);
    cluster.connect_client();
    cluster.submit(b"with the one that was there");
    cluster.run_until("the reply", |cluster| cluster.replies.len() == 1);
}

/// In memory the life was known already: the records decide, not the memory (found by reading).
#[test]
fn e47_a_readmission_of_a_known_life_waits_for_the_records_too() {
    let (mut cluster, leader, wiped, third) = with_a_wiped_follower();
    cluster.start(wiped);
    cluster.run_until("it is readmitted", |cluster| !is_applicant(cluster, wiped));
    cluster.run_until_level();
    // A member that lags: its records, and its log, are as before all that.
    wipe(&mut cluster, third);
    cluster.nodes.get_mut(&id(third)).unwrap().disk.lost = 0;
    cluster.nodes.get_mut(&id(third)).unwrap().holds_disk = true;
    cluster.start(third);
    let life = cluster.member(wiped).view().life;
    let sender = Sender::Member {
        member: life.member,
        incarnation: life.incarnation,
        boot_epoch: life.boot_epoch,
    };
    let canvass = Message::Canvass { term: Term(0), round: 1, key: VoteKey::default() };
    cluster.deliver(endpoint(wiped), endpoint(third), sender, &Datagram::Control(canvass));
    let holds = |cluster: &Cluster, write: &Write| {
        let node = &cluster.nodes[&id(third)];
        let readmission = node.disk.log.len() as u64 >= cluster.member(leader).view().verified.0;
        let records = node.disk.peers.iter().any(|record| record.life == life);
        assert!(records || !readmission, "the log holds what the records do not know: {write:?}");
    };
    for _ in 0..200 {
        cluster.tick();
        // The records come last.
        let node = cluster.nodes.get_mut(&id(third)).unwrap();
        let is_record = |write: &(_, Write)| matches!(write.1, Write::Peers(_));
        node.pending.make_contiguous().sort_by_key(is_record);
        let Some((_, write)) = node.pending.front().cloned() else { continue };
        if !matches!(write, Write::Peers(_)) {
            cluster.complete_one(third);
        }
        holds(&cluster, &write);
    }
    let waiting = &cluster.nodes[&id(third)].pending;
    assert!(waiting.iter().any(|(_, write)| matches!(write, Write::Peers(_))));
    while cluster.complete_one(third) {}
    cluster.nodes.get_mut(&id(third)).unwrap().holds_disk = false;
    let all = cluster.member(leader).view().verified.0 as usize;
    cluster.run_until("it has all", |cluster| cluster.nodes[&id(third)].disk.synced >= all);
}

/// Found by a sweep (seed 762, S18).
#[test]
fn e114_a_readmission_keeps_within_what_may_pile_up() {
    let mut cluster = Cluster::new(3);
    cluster.limits.uncommitted_bytes_max = 8 << 10;
    cluster.timing.progress_timeout = Duration::from_millis(5_000);
    for member in 1..=3 {
        cluster.crash(member);
        cluster.start(member);
    }
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.run_until("a session", |cluster| {
        cluster.client.as_ref().unwrap().session() != SessionId::NONE
    });
    cluster.run_until_level();
    let others: Vec<u16> = (1..=3).filter(|&member| member != leader).collect();
    let (wiped, third) = (others[0], others[1]);
    wipe(&mut cluster, wiped);
    // It is there, and its disk is not: nothing is committed.
    cluster.nodes.get_mut(&id(third)).unwrap().holds_disk = true;
    for _ in 0..64 {
        cluster.submit(&[7; 200]);
    }
    cluster.start(wiped);
    let until = cluster.now + Duration::from_millis(1_000);
    let uncommitted = |cluster: &Cluster| {
        let view = cluster.member(leader).view();
        view.verified.since(view.commit)
    };
    cluster.run_until("it applies", |cluster| {
        assert!(uncommitted(cluster) <= 8 << 10, "{} bytes pile up", uncommitted(cluster));
        cluster.now > until
    });
    assert!(uncommitted(&cluster) > 7 << 10, "there was room");
    cluster.nodes.get_mut(&id(third)).unwrap().holds_disk = false;
    cluster.run_until("it is readmitted", |cluster| !is_applicant(cluster, wiped));
}
