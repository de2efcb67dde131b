//! Slow disks, rotten archives, long pauses, and clients that ask for too much.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::cluster::{Cluster, Datagram, endpoint, id, isolated};
use crate::action::{Action, Actions};
use crate::client::ClientError;
use crate::event::Event;
use crate::identity::{ClientKey, SessionId};
use crate::message::{Message, Sender, Stream};
use crate::notice::{FailStop, Notice, Role, TimerKind};
use crate::position::Position;
use crate::time::Instant;

fn wait_until_served(cluster: &mut Cluster) {
    cluster.run_until("served", |cluster| cluster.client.as_ref().unwrap().is_served());
}

fn submit_much(cluster: &mut Cluster, messages: usize) {
    for _ in 0..messages {
        cluster.run_until("room", |cluster| cluster.client.as_ref().unwrap().can_submit(3_900));
        cluster.submit(&[1; 3_900]);
    }
    cluster.run_until("all replies", |cluster| cluster.replies.len() == messages);
}

/// Who `member` says it is in what it sends.
fn sender_of(cluster: &Cluster, member: u16) -> Sender {
    let life = cluster.member(member).view().life;
    Sender::Member {
        member: life.member,
        incarnation: life.incarnation,
        boot_epoch: life.boot_epoch,
    }
}

#[test]
fn a_message_that_is_too_large_ends_its_client_and_nobody_else() {
    for members in [1, 3] {
        let mut cluster = Cluster::new(members);
        let leader = cluster.run_until_led();
        cluster.connect_client_with(7_000);
        wait_until_served(&mut cluster);
        cluster.submit(&[7; 6_000]);
        cluster.run_until("the client's end", |cluster| cluster.ended.is_some());
        let limit = u64::from(cluster.limits.message_bytes_max);
        let error = ClientError::MessageTooLarge { limit, unanswered: 1 };
        assert_eq!(cluster.ended.take(), Some(Err(error)));
        cluster.client = None;
        cluster.run_until_level();
        assert_eq!(cluster.leader(), Some(leader));
        assert_eq!(cluster.member(leader).counters().frames_rejected, 0);
    }
}

#[test]
fn e93_a_client_that_starts_anew_under_its_old_key_is_told_so() {
    for fails_over in [false, true] {
        let mut cluster = Cluster::new(3);
        let leader = cluster.run_until_led();
        cluster.connect_client();
        wait_until_served(&mut cluster);
        cluster.submit(b"of the first life");
        cluster.run_until("the reply", |cluster| cluster.replies.len() == 1);
        if fails_over {
            cluster.crash(leader);
            cluster.run_until_led();
        }
        // It numbers its connections and messages from one again.
        cluster.connect_client();
        cluster.submit(b"of the second life");
        cluster.run_until("the client's end", |cluster| cluster.ended.is_some());
        let ended = cluster.ended.take();
        let is_told = matches!(ended, Some(Err(ClientError::KeyInUse { key: ClientKey(99), .. })));
        assert!(is_told, "{ended:?}");
        assert_eq!(cluster.replies.len(), 1, "a reply of the former life is no answer");
        for node in cluster.nodes.values() {
            assert!(node.applied.iter().all(|payload| payload == b"of the first life"));
        }
    }
}

/// Runs three members whose disks take `delay_ms` for each operation, for 20 seconds or until one
/// of them leads; how many elections that took.
fn elections_with_slow_disks(delay_ms: u64) -> Option<u64> {
    let mut cluster = Cluster::new(3);
    cluster.nodes.values_mut().for_each(|node| node.holds_disk = true);
    let mut due = BTreeMap::new();
    for now in 0..20_000 {
        cluster.now = Instant(now * 1_000_000 + 1);
        for member in 1..=3 {
            let pending = cluster.nodes[&id(member)].pending.front();
            let Some(operation) = pending.map(|(operation, _)| *operation) else { continue };
            let at = *due.entry((member, operation)).or_insert(now + delay_ms);
            if at <= now {
                cluster.complete_one(member);
            }
        }
        for member in 1..=3 {
            if cluster.member(member).next_deadline().is_some_and(|at| at <= cluster.now) {
                cluster.step(member, Event::Timer);
            }
        }
        cluster.settle();
        if cluster.leader().is_some() {
            let won = (1..=3).map(|member| cluster.member(member).counters().elections_won);
            return Some(won.sum());
        }
    }
    None
}

#[test]
fn disks_slower_than_the_election_timeout_do_not_depose_who_is_answered() {
    for delay_ms in [5, 40, 80, 120] {
        let elections = elections_with_slow_disks(delay_ms);
        assert!(elections.is_some_and(|won| won <= 3), "{delay_ms} ms: {elections:?}");
    }
}

#[test]
fn a_source_with_rotten_bytes_is_not_asked_for_ever() {
    let rejected = |is_rotten: fn(u16, u16) -> bool| {
        let mut cluster = Cluster::new(3);
        let leader = cluster.run_until_led();
        cluster.connect_client();
        wait_until_served(&mut cluster);
        let away = (1..=3).find(|&member| member != leader).unwrap();
        cluster.crash(away);
        submit_much(&mut cluster, 100);
        let rotten = (1..=3).find(|&member| member != away && is_rotten(member, leader)).unwrap();
        cluster.nodes.get_mut(&id(rotten)).unwrap().disk.log[20_000] ^= 1;
        cluster.start(away);
        cluster.run_until("level by the other's help", |cluster| {
            cluster.member(away).view().verified == cluster.member(leader).view().verified
        });
        cluster.member(away).counters().frames_rejected
    };
    // What is far behind is asked of the leader only if the others do not send it.
    let by_other = rejected(|member, leader| member != leader);
    assert!((1..8).contains(&by_other), "rejected {by_other} times");
    assert_eq!(rejected(|member, leader| member == leader), 0);
}

#[test]
fn replies_stay_in_the_window_of_a_client_that_does_not_get_them() {
    let mut cluster = Cluster::new(3);
    cluster.limits.in_flight_max = 4;
    for member in 1..=3 {
        cluster.crash(member);
        cluster.start(member);
    }
    let leader = cluster.run_until_led();
    cluster.connect_client();
    wait_until_served(&mut cluster);
    cluster.lose = |cut, from, to, what| {
        let is_egress = matches!(what, Datagram::Data { stream: Stream::Egress(_), .. });
        is_egress || isolated(cut, from, to, what)
    };
    (0..20).for_each(|number| cluster.submit(&[number; 100]));
    (0..100).for_each(|_| cluster.tick());
    cluster.crash(leader);
    cluster.lose = isolated;
    cluster.run_until("all replies", |cluster| cluster.replies.len() == 20);
}

#[test]
fn a_pause_of_the_leader_closes_no_session_of_a_living_client() {
    let mut cluster = Cluster::new(1);
    cluster.run_until_led();
    cluster.connect_client();
    wait_until_served(&mut cluster);
    cluster.submit(b"before");
    cluster.now = Instant(cluster.now.0 + 11_000_000_000);
    (0..500).for_each(|_| cluster.tick());
    cluster.submit(b"behind");
    cluster.run_until("both replies", |cluster| cluster.replies.len() == 2);
}

/// A group of one whose clock jumps by an hour: its log time goes on by a second, which it tells, and
/// a timer that would be due by that clock is not.
#[test]
fn a_jump_of_a_leaders_clock_is_bounded_and_told() {
    const HOUR: u64 = 3_600 * 1_000_000_000;
    let mut cluster = Cluster::new(1);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    wait_until_served(&mut cluster);
    let (before, begun) = (cluster.member(leader).cluster_time(), cluster.now);
    cluster.now = Instant(begun.0 + HOUR);
    cluster.step(leader, Event::Timer);
    let step = cluster.timing.log_time_step_max();
    let passed = cluster.member(leader).cluster_time().0 - before.0;
    assert!((step.0..=step.0 + 1_000_000).contains(&passed), "{passed}");
    let jumps = |cluster: &Cluster| {
        let told = cluster.notices.iter().map(|(_, notice)| *notice);
        let jumps = told.filter(|notice| matches!(notice, Notice::ClockJumped { .. }));
        jumps.collect::<Vec<_>>()
    };
    let told = jumps(&cluster);
    let [Notice::ClockJumped { passed, counted }] = told[..] else { panic!("{told:?}") };
    assert!(passed.0 >= HOUR && counted == step);
    // It is told once, and time goes on from there.
    cluster.now = Instant(cluster.now.0 + 20_000_000);
    cluster.step(leader, Event::Timer);
    assert_eq!(jumps(&cluster), told);
    let now = cluster.member(leader).cluster_time().0;
    assert!((step.0 + 20_000_000..=step.0 + 21_000_000).contains(&(now - before.0)));
}

#[test]
fn who_is_told_to_stop_does_not_come_to_lead() {
    let mut cluster = Cluster::new(3);
    cluster.lose = |_, _, _, what| matches!(what, Datagram::Control(Message::Ballot { .. }));
    let is_candidate =
        |cluster: &Cluster, &member: &u16| cluster.member(member).view().role == Role::Candidate;
    cluster.run_until("a candidate", |cluster| (1..=3).any(|m| is_candidate(cluster, &m)));
    let candidate = (1..=3).find(|member| is_candidate(&cluster, member)).unwrap();
    cluster.step(candidate, Event::Shutdown);
    let term = cluster.member(candidate).view().term;
    for voter in (1..=3).filter(|&voter| voter != candidate) {
        let life = cluster.member(voter).view().life;
        let sender = Sender::Member {
            member: life.member,
            incarnation: life.incarnation,
            boot_epoch: life.boot_epoch,
        };
        let key = cluster.member(voter).view().key;
        let ballot = Message::Ballot { term, candidate: id(candidate), granted: true, key };
        let datagram = Datagram::Control(ballot);
        cluster.deliver(endpoint(voter), endpoint(candidate), sender, &datagram);
    }
    assert_eq!(cluster.member(candidate).view().role, Role::Follower);
}

#[test]
fn what_a_stopping_leader_sends_last_is_still_there() {
    let mut cluster = Cluster::new(1);
    cluster.run_until_led();
    cluster.connect_client();
    wait_until_served(&mut cluster);
    cluster.submit(b"last");
    while cluster.nodes[&id(1)].applied.is_empty() {
        while let Some((from, to, sender, datagram)) = cluster.queue.pop_front() {
            cluster.deliver(from, to, sender, &datagram);
        }
        if cluster.nodes[&id(1)].pending.is_empty() {
            cluster.step(1, Event::Flush);
        } else {
            cluster.complete_one(1);
        }
    }
    let mut member = cluster.member(1).clone();
    let mut actions = Actions::new();
    member.step(cluster.now, Event::Shutdown, &mut actions);
    let sent: Vec<u64> = actions
        .iter()
        .filter_map(|action| match action {
            Action::SendData { stream, range, .. } => {
                let (first, second) = member.bytes(stream, range);
                assert_eq!((first.len() + second.len()) as u64, range.len());
                Some(range.len())
            }
            _ => None,
        })
        .collect();
    assert!(!sent.is_empty(), "the reply goes out");
}

#[test]
fn e48_a_refusal_that_comes_too_late_stops_the_member() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    wait_until_served(&mut cluster);
    let follower = (1..=3).find(|&member| member != leader).unwrap();
    let position = cluster.member(follower).view().written;
    submit_much(&mut cluster, 40);
    cluster.step(follower, Event::StorageFull { position });
    assert_eq!(cluster.nodes[&id(follower)].fail_stop, Some(FailStop::StorageFailed));
}

#[test]
fn e114_what_is_not_committed_is_bounded_at_the_leader() {
    let mut cluster = Cluster::new(3);
    cluster.limits.uncommitted_bytes_max = 8 << 10;
    for member in 1..=3 {
        cluster.crash(member);
        cluster.start(member);
    }
    let leader = cluster.run_until_led();
    cluster.connect_client();
    wait_until_served(&mut cluster);
    cluster.run_until_level();
    cluster.nodes.values_mut().for_each(|node| node.holds_disk = true);
    (0..7).for_each(|_| cluster.submit(&[5; 3_900]));
    cluster.settle();
    let view = cluster.member(leader).view();
    let uncommitted = view.verified.since(view.commit);
    assert!(uncommitted > 0 && uncommitted <= 8 << 10, "{uncommitted} bytes");
    assert!(cluster.member(leader).counters().back_pressure > 0);
    // What waited in the client's stream is not lost: it goes on when disks do.
    cluster.nodes.values_mut().for_each(|node| node.holds_disk = false);
    cluster.run_until("all replies", |cluster| cluster.replies.len() == 7);
}

#[test]
fn e104_a_clock_that_goes_backwards_or_jumps_ahead_does_no_harm() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.run_until_level();
    let now = cluster.now;
    cluster.now = Instant(0);
    for member in 1..=3 {
        cluster.step(member, Event::Timer);
        assert!(cluster.member(member).next_deadline().is_some_and(|at| at >= now));
    }
    assert_eq!(cluster.member(leader).view().role, Role::Leader);
    cluster.now = Instant(now.0 + 100 * 24 * 3_600 * 1_000_000_000);
    for member in 1..=3 {
        cluster.step(member, Event::Timer);
        let ahead = cluster.member(member).next_deadline().is_some_and(|at| at >= cluster.now);
        assert!(ahead, "one service of each deadline, not one for each that was missed");
    }
    cluster.settle();
    cluster.run_until_led();
    cluster.run_until_level();
}

#[test]
fn e30_old_acknowledgements_move_nothing() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    wait_until_served(&mut cluster);
    cluster.run_until_level();
    let other = (1..=3).find(|&member| member != leader).unwrap();
    let (view, sender) = (cluster.member(leader).view(), sender_of(&cluster, other));
    cluster.nodes.values_mut().for_each(|node| node.holds_disk = true);
    cluster.submit(b"not durable anywhere");
    cluster.settle();
    let head = cluster.member(leader).view().verified;
    let forged = |term, sequence| Message::Acknowledge {
        term,
        sequence,
        round: 1,
        durable: head,
        received: head,
        limit: head,
        commit: head,
    };
    let former = crate::term::Term(view.term.0 - 1);
    // An old number, and a former term: neither counts for the commit position.
    for message in [forged(view.term, 1), forged(former, 1_000_000)] {
        let datagram = Datagram::Control(message);
        cluster.deliver(endpoint(other), endpoint(leader), sender, &datagram);
    }
    while cluster.complete_one(leader) {}
    assert_eq!(cluster.member(leader).view().commit, view.commit);
}

#[test]
fn e93_an_old_connect_and_old_data_apply_nothing_twice() {
    use crate::frame::Body;
    use crate::identity::{ClientKey, GroupTag, SessionId};
    use crate::position::Position;
    use crate::stream::{Outlet, ingress_tag, session_epoch};
    use crate::time::LogTime;

    let mut cluster = Cluster::new(1);
    cluster.run_until_led();
    cluster.connect_client();
    wait_until_served(&mut cluster);
    let (key, client) = (ClientKey(99), endpoint(1_000));
    let session = cluster.client.as_ref().unwrap().session();
    cluster.submit(b"once");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 1);
    // The client is gone, its session is closed in time, and copies of what it said come late.
    cluster.client = None;
    cluster.run_until("no session", |cluster| cluster.member(1).view().sessions == 0);
    let connect = Message::Connect {
        connection: 1,
        session: SessionId::NONE,
        ingress_start: Position::ZERO,
        unanswered: 1,
    };
    let sender = Sender::Client { key };
    cluster.deliver(client, endpoint(1), sender, &Datagram::Control(connect));
    cluster.run_until("another session", |cluster| cluster.member(1).view().sessions == 1);
    let config = cluster.config(1);
    let tag = GroupTag::new(config.group, config.recovery_epoch);
    let mut outlet = Outlet::new(ingress_tag(tag, key), Position::ZERO, 4_096);
    let body = Body::Message { session: SessionId::NONE, sequence: 1, time: LogTime(0) };
    let range = outlet.push(&body, b"once").unwrap();
    let data = Datagram::Data {
        stream: Stream::Ingress(key),
        epoch: session_epoch(1, session),
        position: range.start,
        live: None,
        slice: outlet.slices(range).0.to_vec(),
    };
    cluster.deliver(client, endpoint(1), sender, &data);
    (0..50).for_each(|_| cluster.tick());
    assert_eq!(cluster.nodes[&id(1)].applied.len(), 1);
}

#[test]
fn e121_a_commit_position_inside_a_frame_commits_nothing_of_it() {
    use crate::message::Live;
    use crate::position::Position;

    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    wait_until_served(&mut cluster);
    cluster.run_until_level();
    let view = cluster.member(leader).view();
    let followers: Vec<u16> = (1..=3).filter(|&member| member != leader).collect();
    // The frame is held by all, and durable at its leader only.
    for follower in &followers {
        cluster.nodes.get_mut(&id(*follower)).unwrap().holds_disk = true;
    }
    cluster.submit(b"a frame of some words");
    cluster.settle();
    let end = cluster.member(leader).view().verified;
    let inside = view.verified.plus(24);
    assert!(view.verified < inside && inside < end);
    // Live data of the leader says so to one follower, an acknowledgement to the leader.
    let live = Some(Live { newest: end, commit: inside });
    let (stream, epoch, slice) = (Stream::Log, view.term.0, vec![0; 8]);
    let lie = Datagram::Data { stream, epoch, position: Position(0), live, slice };
    let sender = sender_of(&cluster, leader);
    cluster.deliver(endpoint(leader), endpoint(followers[0]), sender, &lie);
    let lie = Message::Acknowledge {
        term: view.term,
        sequence: 1_000_000,
        round: 1,
        durable: inside,
        received: end,
        limit: end,
        commit: view.commit,
    };
    let sender = sender_of(&cluster, followers[1]);
    cluster.deliver(endpoint(followers[1]), endpoint(leader), sender, &Datagram::Control(lie));
    for member in [leader, followers[0]] {
        let after = cluster.member(member).view();
        assert_eq!((after.commit, after.applied), (inside, view.applied), "member {member}");
    }
    // Once there is a commit position behind it, it is applied as any other.
    for follower in &followers {
        while cluster.complete_one(*follower) {}
        cluster.nodes.get_mut(&id(*follower)).unwrap().holds_disk = false;
    }
    cluster.run_until("the reply", |cluster| cluster.replies.len() == 1);
    cluster.run_until_level();
    assert!(cluster.nodes.values().all(|node| node.applied.len() == 1 && node.fail_stop.is_none()));
}

#[test]
fn e122_a_request_for_bytes_between_words_is_not_answered() {
    use crate::message::EpochRange;
    use crate::position::PositionRange;

    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.run_until_level();
    let other = (1..=3).find(|&member| member != leader).unwrap();
    let (sender, epoch) = (sender_of(&cluster, other), cluster.member(leader).view().term.0);
    let ask = |cluster: &mut Cluster, start, end| {
        let range = PositionRange::new(Position(start), Position(end));
        let ranges = [EpochRange { epoch, range }].into_iter().collect();
        let nak = Datagram::Control(Message::Nak { stream: Stream::Log, ranges });
        cluster.deliver(endpoint(other), endpoint(leader), sender, &nak);
        cluster.queue.drain(..).count()
    };
    for (start, end) in [(1, 8), (0, 9), (4, 12), (7, 7)] {
        let ignored = cluster.member(leader).counters().datagrams_ignored;
        assert_eq!(ask(&mut cluster, start, end), 0, "{start}..{end}");
        assert_eq!(cluster.member(leader).counters().datagrams_ignored, ignored + 1);
    }
    assert_eq!(ask(&mut cluster, 0, 16), 1, "whole words are sent");
}

#[test]
fn e123_a_service_that_reads_slowly_keeps_nobody_from_being_repaired() {
    use crate::message::EpochRange;
    use crate::position::PositionRange;

    let mut cluster = Cluster::new(3);
    cluster.limits.reads_max = 1;
    (1..=3).for_each(|member| {
        cluster.crash(member);
        cluster.start(member);
    });
    cluster.run_until_led();
    cluster.connect_client();
    wait_until_served(&mut cluster);
    submit_much(&mut cluster, 40);
    let slow = (1..=3).find(|&member| Some(member) != cluster.leader()).unwrap();
    let other = (1..=3).find(|&member| member != slow).unwrap();
    cluster.crash(slow);
    cluster.nodes.get_mut(&id(slow)).unwrap().held_reads = Some(Vec::new());
    cluster.start(slow);
    let reads = |cluster: &Cluster| cluster.nodes[&id(slow)].held_reads.clone().unwrap();
    cluster.run_until("what it applies is being read", |cluster| !reads(cluster).is_empty());
    let (sender, epoch) = (sender_of(&cluster, other), cluster.member(slow).view().term.0);
    for (start, is_read) in [(0, true), (64, false)] {
        let range = PositionRange::new(Position(start), Position(start + 64));
        let ranges = [EpochRange { epoch, range }].into_iter().collect();
        let nak = Datagram::Control(Message::Nak { stream: Stream::Log, ranges });
        cluster.deliver(endpoint(other), endpoint(slow), sender, &nak);
        let of_it = |read: &(_, PositionRange)| read.1 == range;
        assert_eq!(reads(&cluster).iter().any(of_it), is_read, "{range}: one at a time");
    }
}

/// A deadline left behind would be served for ever, and a connect left behind would make the next
/// one of that client wait for a frame that was cut.
#[test]
fn a_leader_that_steps_down_forgets_what_its_clients_left_behind() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.submit(b"message");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 1);
    let session = cluster.member(leader).state.sessions.ids().next().unwrap();
    let say = |cluster: &mut Cluster, key, message| {
        let sender = Sender::Client { key: ClientKey(key) };
        let said = Datagram::Control(message);
        cluster.deliver(endpoint(99), endpoint(leader), sender, &said);
    };
    cluster.client = None;
    say(&mut cluster, 99, Message::Close { connection: 1, session });
    cluster.run_until("no session", |cluster| cluster.member(leader).view().sessions == 0);
    let connect = Message::Connect {
        connection: 1,
        session: SessionId::NONE,
        ingress_start: Position::ZERO,
        unanswered: 1,
    };
    say(&mut cluster, 7, connect);
    assert_eq!(cluster.member(leader).state.connections.len(), 0, "it waits for its session");
    cluster.step(leader, Event::Shutdown);
    cluster.step(leader, Event::Timer);
    let member = cluster.member(leader);
    assert!(member.state.connections.knows_nobody());
    assert_ne!(member.next_timer().map(|(_, kind)| kind), Some(TimerKind::Connections));
}
