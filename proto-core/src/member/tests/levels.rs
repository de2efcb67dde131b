//! Volatile groups: what is committed in memory, what is safe, and what an impaired member may do
//! (rules 5 and 12).

use alloc::vec::Vec;

use super::cluster::{Cluster, Datagram, endpoint, id, isolated};
use crate::config::{CHECKPOINT_INTERVAL_MAX, ConfigError, Durability, MemberConfig, PeerRecord};
use crate::event::Event;
use crate::frame::{self, Body, FrameSeed, Level, TermOpen};
use crate::identity::{BootEpoch, Life, SessionId};
use crate::message::{Message, Sender, Stream};
use crate::notice::{FailStop, Notice, Role};
use crate::position::{Position, PositionRange};
use crate::term::{Term, VoteKey};
use crate::time::Duration;

/// A volatile group whose checkpoints are a second apart.
fn volatile(members: u16) -> Cluster {
    volatile_for(members, Duration::from_millis(1_000))
}

pub(super) fn volatile_for(members: u16, checkpoint_interval: Duration) -> Cluster {
    Cluster::with(members, Durability::Volatile { checkpoint_interval })
}

/// A volatile group that is led, with a client whose session is open.
pub(super) fn with_a_client(members: u16) -> (Cluster, u16) {
    served(volatile(members))
}

pub(super) fn served(mut cluster: Cluster) -> (Cluster, u16) {
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.run_until("a session", |cluster| {
        cluster.client.as_ref().unwrap().session() != SessionId::NONE
    });
    cluster.run_until_level();
    (cluster, leader)
}

pub(super) fn others(cluster: &Cluster, leader: u16) -> Vec<u16> {
    cluster.nodes.keys().map(|id| id.0).filter(|&member| member != leader).collect()
}

pub(super) fn submit(cluster: &mut Cluster, payload: &[u8]) {
    let replies = cluster.replies.len();
    cluster.submit(payload);
    cluster.run_until("the reply", |cluster| cluster.replies.len() > replies);
}

pub(super) fn is_impaired(cluster: &Cluster, member: u16) -> bool {
    cluster.member(member).view().impaired
}

pub(super) fn told(cluster: &Cluster, member: u16, wanted: fn(&Notice) -> bool) -> usize {
    cluster.notices.iter().filter(|(by, notice)| *by == member && wanted(notice)).count()
}

/// The record of a member about itself that is on its disk.
pub(super) fn own_record(cluster: &Cluster, member: u16) -> Option<PeerRecord> {
    let peers = &cluster.nodes[&id(member)].disk.peers;
    peers.iter().find(|peer| peer.life.member == id(member)).copied()
}

#[test]
fn cd09_what_a_quorum_has_in_memory_is_committed_and_a_minority_may_lose_it() {
    let (mut cluster, leader) = with_a_client(3);
    for node in cluster.nodes.values_mut() {
        node.holds_disk = true;
    }
    submit(&mut cluster, b"in memory");
    let committed = cluster.member(leader).view().commit;
    assert!(cluster.member(leader).view().safe < committed, "no disk has it");
    for member in 1..=3 {
        assert!(cluster.member(member).view().durable < committed);
        cluster.nodes.get_mut(&id(member)).unwrap().holds_disk = false;
    }
    cluster.crash(leader);
    let successor = cluster.run_until_led();
    assert_ne!(successor, leader);
    cluster.start(leader);
    assert!(is_impaired(&cluster, leader));
    cluster.run_until("it heals", |cluster| !is_impaired(cluster, leader));
    cluster.run_until_level();
    for member in 1..=3 {
        assert_eq!(cluster.nodes[&id(member)].applied, [b"in memory".to_vec()], "{member}");
    }
}

#[test]
fn cd12_checkpoints_make_safe_what_is_committed() {
    let (mut cluster, leader) = with_a_client(3);
    submit(&mut cluster, b"soon on the disks");
    let (committed, since) = (cluster.member(leader).view().commit, cluster.now);
    cluster.run_until("it is safe", |cluster| cluster.member(leader).view().safe >= committed);
    let waited = cluster.now.since(since);
    assert!(waited <= Duration::from_millis(1_050), "{waited:?}");
    let durable = |&member: &u16| cluster.member(member).view().durable >= committed;
    assert!((1..=3).filter(durable).count() >= 2);
    // All lose their power: what was safe is on a quorum of disks, whoever knows of it then.
    for member in 1..=3 {
        cluster.crash(member);
    }
    let on_disk = |&member: &u16| cluster.nodes[&id(member)].disk.log.len() as u64 >= committed.0;
    assert!((1..=3).filter(on_disk).count() >= 2);
}

#[test]
fn cd11_an_impaired_member_elects_nobody_alone_and_heals() {
    let (mut cluster, leader) = with_a_client(3);
    let [lost, behind] = others(&cluster, leader)[..] else { panic!() };
    cluster.lose = isolated;
    cluster.cut.isolated = alloc::vec![endpoint(behind)];
    for node in cluster.nodes.values_mut() {
        node.holds_disk = true;
    }
    submit(&mut cluster, b"on two of three");
    for node in cluster.nodes.values_mut() {
        node.holds_disk = false;
    }
    // Who held it loses it, who has it is gone, and the third never had it.
    cluster.crash(lost);
    cluster.start(lost);
    assert!(is_impaired(&cluster, lost));
    cluster.crash(leader);
    cluster.cut.isolated.clear();
    let until = cluster.now + Duration::from_millis(3_000);
    cluster.run_until("nobody leads", |cluster| {
        assert_eq!(cluster.leader(), None, "what was committed would be lost");
        cluster.now > until
    });
    // With a leader that lost nothing all is there again.
    cluster.start(leader);
    assert!(is_impaired(&cluster, leader), "it was not stopped in good order either");
}

#[test]
fn cd11_the_leader_tells_an_impaired_member_up_to_where_it_has_to_heal() {
    let (mut cluster, leader) = with_a_client(3);
    let lost = others(&cluster, leader)[0];
    submit(&mut cluster, b"held by all");
    cluster.crash(lost);
    cluster.start(lost);
    assert!(is_impaired(&cluster, lost));
    let newest = cluster.member(leader).view().verified;
    cluster.run_until("it heals", |cluster| !is_impaired(cluster, lost));
    assert!(cluster.member(lost).view().verified >= newest);
    assert_eq!(told(&cluster, lost, |notice| matches!(notice, Notice::Impaired { .. })), 1);
    assert_eq!(told(&cluster, lost, |notice| matches!(notice, Notice::Healed { .. })), 1);
    // It is marked still: it goes on to promise what is in its memory only.
    assert_eq!(own_record(&cluster, lost).map(|own| own.acknowledged_in), Some(BootEpoch(0)));
}

#[test]
fn cd11_what_is_told_to_a_former_life_heals_nobody() {
    let (mut cluster, leader) = with_a_client(3);
    let lost = others(&cluster, leader)[0];
    cluster.crash(lost);
    cluster.cut.isolated = alloc::vec![endpoint(lost)];
    cluster.start(lost);
    cluster.lose = |cut, from, to, what| {
        let registers = matches!(what, Datagram::Control(Message::Registered { .. }));
        registers && isolated(cut, from, to, what)
    };
    let until = cluster.now + Duration::from_millis(100);
    cluster.run_until("it follows", |cluster| cluster.now > until);
    assert!(is_impaired(&cluster, lost));
    let Life { member, incarnation, boot_epoch } = cluster.member(leader).view().life;
    let sender = Sender::Member { member, incarnation, boot_epoch };
    let term = cluster.member(leader).view().term;
    let own = cluster.member(lost).view().life.boot_epoch;
    let heals = |cluster: &mut Cluster, boot_epoch| {
        let newest = Position(8);
        let message = Message::Registered { term, boot_epoch, newest };
        let datagram = Datagram::Control(message);
        cluster.deliver(endpoint(leader), endpoint(lost), sender, &datagram);
        !is_impaired(cluster, lost)
    };
    assert!(!heals(&mut cluster, BootEpoch(own.0 - 1)));
    assert!(heals(&mut cluster, own));
}

/// Rule 5: a group of two, and one of three with one dead, go on after one member came back without
/// what it held, if the other one had led.
#[test]
fn cd11_two_members_and_two_of_three_go_on_after_one_unclean_restart() {
    for members in [2, 3] {
        let (mut cluster, leader) = with_a_client(members);
        let others = others(&cluster, leader);
        if members == 3 {
            cluster.crash(others[1]);
        }
        submit(&mut cluster, b"held by both");
        cluster.crash(others[0]);
        cluster
            .run_until("it gives up", |cluster| cluster.member(leader).view().role != Role::Leader);
        cluster.start(others[0]);
        cluster.run_until_led();
        assert_eq!(cluster.leader(), Some(leader));
        cluster.run_until("it heals", |cluster| !is_impaired(cluster, others[0]));
        submit(&mut cluster, b"after");
        cluster.run_until_level();
        let applied = &cluster.nodes[&id(others[0])].applied;
        assert_eq!(applied, &[b"held by both".to_vec(), b"after".to_vec()], "of {members}");
    }
}

#[test]
fn a_stop_in_good_order_leaves_nothing_in_doubt() {
    let (mut cluster, leader) = with_a_client(3);
    submit(&mut cluster, b"kept");
    for member in others(&cluster, leader).into_iter().chain([leader]) {
        cluster.step(member, Event::Shutdown);
        while cluster.complete_one(member) {}
        assert_eq!(own_record(&cluster, member), None, "member {member}");
        cluster.crash(member);
    }
    for member in 1..=3 {
        cluster.start(member);
        assert!(!is_impaired(&cluster, member), "member {member}");
    }
    cluster.run_until_led();
    cluster.run_until_level();
    for node in cluster.nodes.values() {
        assert_eq!(node.applied, [b"kept".to_vec()]);
    }
}

#[test]
fn nothing_is_held_before_the_mark_is_durable() {
    let mut cluster = volatile(3);
    for node in cluster.nodes.values_mut() {
        node.holds_disk = false;
    }
    let leader = cluster.run_until_led();
    for member in 1..=3 {
        let own = own_record(&cluster, member).expect("a mark");
        assert_eq!(own.acknowledged_in, BootEpoch(0), "member {member}");
        assert!(cluster.member(member).view().commit <= cluster.member(leader).view().commit);
    }
    // A life in which the mark does not become durable holds what is on its disk, and no more.
    let lost = others(&cluster, leader)[0];
    cluster.crash(lost);
    cluster.nodes.get_mut(&id(lost)).unwrap().disk.peers.retain(|it| it.life.member != id(lost));
    cluster.nodes.get_mut(&id(lost)).unwrap().holds_disk = true;
    cluster.start(lost);
    cluster.trace.clear();
    let until = cluster.now + Duration::from_millis(100);
    cluster.run_until("it follows", |cluster| cluster.now > until);
    let durable = cluster.member(lost).view().durable;
    for line in cluster.trace.lines().filter(|line| line.contains("Holding")) {
        let from = alloc::format!("member {lost} ");
        let held = alloc::format!("held: {durable:?},");
        assert!(!line.contains(&from) || line.contains(&held), "{line}");
    }
}

#[test]
fn a_leader_of_another_level_is_not_followed() {
    let mut cluster = Cluster::new(3);
    cluster.crash(3);
    cluster.durability = volatile(2).durability;
    cluster.start(3);
    cluster.delayed = (0, Duration::ZERO);
    cluster.run_until("a member stops", |cluster| {
        cluster.nodes.values().any(|node| node.fail_stop.is_some())
    });
    let stopped = cluster.nodes.values().filter_map(|node| node.fail_stop);
    assert!(stopped.into_iter().all(|why| matches!(why, FailStop::OtherLevel { .. })));
}

/// A member of a group that was volatile heals on its disk, and then the mark goes.
#[test]
fn a_group_that_is_durable_again_heals_on_its_disks() {
    let (mut cluster, leader) = with_a_client(3);
    submit(&mut cluster, b"kept");
    for member in others(&cluster, leader).into_iter().chain([leader]) {
        if member != leader {
            cluster.step(member, Event::Shutdown);
            while cluster.complete_one(member) {}
        }
        cluster.crash(member);
    }
    cluster.durability = Durability::Durable;
    for member in 1..=3 {
        cluster.start(member);
    }
    assert!(is_impaired(&cluster, leader));
    cluster.run_until("it heals", |cluster| !is_impaired(cluster, leader));
    assert_eq!(own_record(&cluster, leader), None);
    cluster.run_until_level();
    for node in cluster.nodes.values() {
        assert_eq!(node.applied, [b"kept".to_vec()]);
    }
}

/// What an impaired voter grants is told apart, and a candidate that is given nothing but such
/// grants does not lead.
#[test]
fn an_impaired_voter_says_so_when_it_grants() {
    let (mut cluster, leader) = with_a_client(3);
    let [lost, asker] = others(&cluster, leader)[..] else { panic!() };
    cluster.crash(lost);
    cluster.crash(leader);
    cluster.start(lost);
    let Life { member, incarnation, boot_epoch } = cluster.member(asker).view().life;
    let sender = Sender::Member { member, incarnation, boot_epoch };
    let term = Term(cluster.member(asker).view().term.0 + 5);
    let key = VoteKey { term, position: Position(1 << 20) };
    cluster.queue.clear();
    for message in [Message::Canvass { term, round: 7, key }, Message::RequestVote { term, key }] {
        let datagram = Datagram::Control(message);
        cluster.deliver(endpoint(asker), endpoint(lost), sender, &datagram);
        while cluster.complete_one(lost) {}
    }
    let grants: Vec<u64> = cluster
        .queue
        .iter()
        .filter_map(|(.., datagram)| match datagram {
            Datagram::Control(Message::LevelGrant { round, candidate, .. }) => {
                assert_eq!(*candidate, id(asker));
                Some(*round)
            }
            Datagram::Control(Message::Ballot { granted: true, .. }) => panic!("{datagram:?}"),
            _ => None,
        })
        .collect();
    assert_eq!(grants, [7, 0]);
}

/// What a member of a volatile group holds commits nothing in a durable one.
#[test]
fn in_a_durable_group_memory_does_not_count() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.run_until_level();
    for node in cluster.nodes.values_mut() {
        node.holds_disk = true;
    }
    cluster.lose = isolated;
    cluster.cut.isolated = others(&cluster, leader).into_iter().map(endpoint).collect();
    let before = cluster.member(leader).view();
    cluster.step(leader, Event::TakeSnapshot);
    let head = cluster.member(leader).view().verified;
    assert!(head > before.commit);
    while cluster.complete_one(leader) {}
    for other in others(&cluster, leader) {
        let Life { member, incarnation, boot_epoch } = cluster.member(other).view().life;
        let sender = Sender::Member { member, incarnation, boot_epoch };
        let hold = |durable| Message::Holding {
            term: before.term,
            sequence: 1_000,
            round: 0,
            held: head,
            durable,
            received: head,
            limit: head,
            commit: Position::ZERO,
        };
        let to = endpoint(leader);
        cluster.deliver(endpoint(other), to, sender, &Datagram::Control(hold(before.commit)));
        assert_eq!(cluster.member(leader).view().commit, before.commit, "member {other}");
    }
    let other = others(&cluster, leader)[0];
    let Life { member, incarnation, boot_epoch } = cluster.member(other).view().life;
    let sender = Sender::Member { member, incarnation, boot_epoch };
    let durable = Message::Holding {
        term: before.term,
        sequence: 10_000,
        round: 0,
        held: head,
        durable: head,
        received: head,
        limit: head,
        commit: Position::ZERO,
    };
    cluster.deliver(endpoint(other), endpoint(leader), sender, &Datagram::Control(durable));
    assert_eq!(cluster.member(leader).view().commit, head);
}

/// The newest opening frame tells even when it was verified in a former life.
#[test]
fn a_member_started_with_another_level_stops_when_it_follows_the_leader_of_before() {
    let (mut cluster, leader) = with_a_client(3);
    submit(&mut cluster, b"kept");
    let other = others(&cluster, leader)[0];
    stop_in_order(&mut cluster, other);
    let head = cluster.member(leader).view().verified;
    cluster.durability = Durability::Durable;
    cluster.start(other);
    assert_eq!(cluster.member(other).view().verified, head, "it lacks nothing");
    cluster.run_until("it stops", |cluster| cluster.nodes[&id(other)].fail_stop.is_some());
    let term = cluster.member(leader).view().term;
    assert_eq!(cluster.nodes[&id(other)].fail_stop, Some(FailStop::OtherLevel { term }));
    assert_eq!(cluster.member(leader).view().verified, head, "no other term was opened");
}

fn stop_in_order(cluster: &mut Cluster, member: u16) {
    cluster.step(member, Event::Shutdown);
    while cluster.complete_one(member) {}
    assert_eq!(own_record(cluster, member), None, "member {member} has no mark");
    cluster.crash(member);
}

/// Neither elects the other, and both say so: who is configured unlike the rest takes nobody along.
#[test]
fn members_of_two_levels_elect_nobody_until_they_are_configured_alike() {
    let (mut cluster, leader) = with_a_client(3);
    let [one, other] = others(&cluster, leader)[..] else { panic!() };
    stop_in_order(&mut cluster, other);
    stop_in_order(&mut cluster, leader);
    let level = core::mem::take(&mut cluster.durability);
    cluster.start(other);
    let until = cluster.now + Duration::from_millis(5_000);
    let term = cluster.member(one).view().term;
    cluster.run_until("nobody leads", |cluster| {
        assert!([one, other].iter().all(|&it| cluster.member(it).view().role != Role::Leader));
        cluster.now > until
    });
    assert!(cluster.member(one).view().term <= term.next().unwrap(), "canvasses find out");
    for member in [one, other] {
        let count = told(&cluster, member, |notice| matches!(notice, Notice::OtherLevel { .. }));
        assert_eq!(count, 1, "member {member} says so, once");
    }
    cluster.crash(other);
    cluster.durability = level;
    cluster.start(other);
    cluster.run_until("they elect one", |cluster| {
        [one, other].iter().any(|&it| cluster.member(it).view().serving)
    });
}

/// What broke is not the disk: it is brought up to what was promised, and the next life counts.
#[test]
fn a_member_that_goes_inert_by_name_settles_its_disk_before() {
    for (breaks, settles) in [(Event::ServiceFailed, true), (Event::StorageFailed, false)] {
        let (mut cluster, leader) = with_a_client(3);
        let other = others(&cluster, leader)[0];
        submit(&mut cluster, b"kept");
        let held = cluster.member(other).view();
        assert!(held.durable < held.verified, "its disk has less than it holds");
        cluster.queue.clear();
        cluster.step(other, breaks.clone());
        let said = cluster.queue.len();
        while cluster.complete_one(other) {}
        assert_eq!((said, cluster.queue.len()), (0, 0), "it says nothing any more");
        assert!(cluster.nodes[&id(other)].fail_stop.is_some(), "{breaks:?}");
        assert_eq!(cluster.member(other).next_deadline(), None);
        assert_eq!(own_record(&cluster, other).is_none(), settles, "{breaks:?}");
        cluster.crash(other);
        cluster.nodes.get_mut(&id(other)).unwrap().fail_stop = None;
        cluster.start(other);
        assert_eq!(is_impaired(&cluster, other), !settles, "{breaks:?}");
        assert_eq!(cluster.member(other).view().verified == held.verified, settles);
    }
}

/// A program that knows no levels reads `log_version`, and refuses what is above 1.
#[test]
fn a_volatile_term_is_of_a_newer_log_version_and_a_durable_one_is_not() {
    for (durability, version) in [(Durability::Durable, 1), (volatile(2).durability, 2)] {
        let mut cluster = Cluster::with(3, durability);
        let leader = cluster.run_until_led();
        let first = cluster.member(leader).bytes(Stream::Log, PositionRange::at(Position(0), 96)).0;
        let line = cluster.member(leader).history().lines()[0];
        let tag = cluster.member(leader).config().tag();
        let seed = FrameSeed::new(tag, line.term, Position(0));
        let header = frame::verify(seed, first, &[], 4_096).unwrap();
        let Ok(Body::TermOpen(open)) = frame::parse_body(&header, first) else { panic!() };
        assert_eq!((open.log_version, open.level), (version, durability.level()));
        assert!(open.is_readable());
        assert!(!TermOpen { log_version: 3, ..open }.is_readable());
        assert!(!TermOpen { log_version: 1, level: Level::Volatile, ..open }.is_readable());
    }
}

#[test]
fn checkpoints_are_not_further_apart_than_a_limit() {
    let cluster = Cluster::new(3);
    let config = |nanos: u64| {
        let checkpoint_interval = Duration(nanos);
        let durability = Durability::Volatile { checkpoint_interval };
        MemberConfig { durability, ..cluster.config(1) }
    };
    assert_eq!(config(CHECKPOINT_INTERVAL_MAX.0).problems(), []);
    for nanos in [0, CHECKPOINT_INTERVAL_MAX.0 + 1, u64::MAX] {
        let problems = config(nanos).problems();
        let is_named = matches!(problems[..], [ConfigError::Value { key, .. }]
            if key == "checkpoint_interval");
        assert!(is_named, "{nanos}: {problems:?}");
    }
}

#[test]
fn e48_what_a_full_disk_refused_is_not_held_before_it_is_taken() {
    // It does not wait for the next checkpoint to know that there is space.
    let (mut cluster, leader) = served(volatile_for(3, CHECKPOINT_INTERVAL_MAX));
    let follower = others(&cluster, leader)[0];
    let refused = cluster.member(follower).view().written;
    cluster.step(follower, Event::StorageFull { position: refused });
    cluster.nodes.get_mut(&id(follower)).unwrap().holds_disk = true;
    submit(&mut cluster, b"while the disk is full");
    cluster.run_until("another try", |cluster| cluster.member(follower).view().written > refused);
    assert_eq!(cluster.member(follower).held(), refused);
    cluster.nodes.get_mut(&id(follower)).unwrap().holds_disk = false;
    cluster.run_until("space", |cluster| cluster.member(follower).held() > refused);
}
