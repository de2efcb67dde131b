//! Reads that append nothing: at the leader, at the others, by lease, of a session, and stale.

use alloc::vec::Vec;

use super::cluster::{Cluster, endpoint, id, no_log_data};
use crate::config::Lease;
use crate::event::Event;
use crate::message::Message;
use crate::notice::Role;
use crate::position::Position;
use crate::read::{ReadLevel, ReadRefusal};
use crate::time::Duration;

const LINEARIZABLE: ReadLevel = ReadLevel::Linearizable;

/// A group of three that has applied one message; its leader, and the others.
fn three() -> (Cluster, u16, Vec<u16>) {
    let cluster = Cluster::new(3);
    written(cluster)
}

fn written(mut cluster: Cluster) -> (Cluster, u16, Vec<u16>) {
    let leader = cluster.run_until_led();
    cluster.connect_client();
    write(&mut cluster, b"one");
    cluster.run_until_level();
    let others = cluster.running().into_iter().filter(|&member| member != leader).collect();
    (cluster, leader, others)
}

fn write(cluster: &mut Cluster, payload: &[u8]) {
    let count = cluster.replies.len() + 1;
    cluster.submit(payload);
    cluster.run_until("the reply", |cluster| cluster.replies.len() == count);
}

fn leased() -> (Cluster, u16, Vec<u16>) {
    let mut cluster = Cluster::new(0);
    cluster.timing.lease = Some(Lease { drift_per_mille: 100 });
    cluster.form(3);
    written(cluster)
}

fn run_for(cluster: &mut Cluster, span: Duration) {
    let until = cluster.now + span;
    cluster.run_until("time", |cluster| cluster.now >= until);
}

/// How many messages the answer had seen.
fn count(cluster: &Cluster, member: u16, token: u64) -> Option<usize> {
    cluster.answer(member, token).map(|answer| answer.expect("an answer").0)
}

fn refusal(cluster: &Cluster, member: u16, token: u64) -> Option<ReadRefusal> {
    cluster.answer(member, token).map(|answer| answer.expect_err("a refusal"))
}

fn rounds(cluster: &Cluster, member: u16) -> u64 {
    cluster.member(member).counters().read_rounds
}

#[test]
fn rd01_a_read_anywhere_sees_what_was_written_before_and_appends_nothing() {
    let (mut cluster, leader, others) = three();
    for (number, member) in [leader, others[0], others[1]].into_iter().enumerate() {
        write(&mut cluster, b"more");
        let log = cluster.member(leader).view().verified;
        cluster.read(member, 7, LINEARIZABLE);
        cluster.settle();
        cluster.run_until("an answer", |cluster| cluster.answer(member, 7).is_some());
        assert_eq!(count(&cluster, member, 7), Some(number + 2));
        assert_eq!(cluster.member(leader).view().verified, log);
        let answer = cluster.answer(member, 7).unwrap().unwrap().1;
        assert_eq!((answer.applied, answer.age), (log, Duration::ZERO));
    }
    assert_eq!(rounds(&cluster, leader), 3);
}

#[test]
fn rd01_one_member_alone_reads_at_once() {
    let (mut cluster, leader, _) = written(Cluster::new(1));
    for level in [LINEARIZABLE, ReadLevel::Lease, ReadLevel::Stale { bound: Duration(0) }] {
        let token = rounds(&cluster, leader) + 9;
        cluster.read(leader, token, level);
        assert_eq!(count(&cluster, leader, token), Some(1), "{level:?}");
    }
}

#[test]
fn rd10_reads_share_a_round_and_their_number_is_bounded() {
    let mut cluster = Cluster::new(0);
    cluster.limits.queries_max = 100;
    cluster.form(3);
    let (mut cluster, leader, _) = written(cluster);
    for token in 0..103 {
        let level = LINEARIZABLE;
        cluster.step(leader, Event::Read { token, level, payload: b"?" });
    }
    for token in 100..103 {
        assert_eq!(refusal(&cluster, leader, token), Some(ReadRefusal::Busy));
    }
    cluster.settle();
    cluster.run_until("an answer", |cluster| cluster.answer(leader, 99).is_some());
    assert!((0..100).all(|token| count(&cluster, leader, token) == Some(1)));
    assert_eq!(rounds(&cluster, leader), 1);
    // There is room again.
    cluster.read(leader, 103, LINEARIZABLE);
    cluster.settle();
    assert_eq!(count(&cluster, leader, 103), Some(1));
    assert_eq!(rounds(&cluster, leader), 2);
}

#[test]
fn e98_a_fresh_leader_holds_reads_until_its_term_is_committed() {
    let (mut cluster, leader, others) = three();
    cluster.crash(leader);
    // Votes and heartbeats come through, the opening frame does not.
    cluster.lose = no_log_data;
    cluster.cut.isolated = others.iter().map(|&member| endpoint(member)).collect();
    let leads = |cluster: &Cluster, member| cluster.member(member).view().role == Role::Leader;
    cluster.run_until("a successor", |cluster| others.iter().any(|&other| leads(cluster, other)));
    let fresh = others.iter().copied().find(|&other| leads(&cluster, other)).unwrap();
    run_for(&mut cluster, Duration::from_millis(50));
    assert!(!cluster.member(fresh).view().serving);
    cluster.read(fresh, 1, LINEARIZABLE);
    run_for(&mut cluster, Duration::from_millis(250));
    assert!(cluster.answer(fresh, 1).is_none(), "it is held");
    run_for(&mut cluster, Duration::from_millis(100));
    assert_eq!(refusal(&cluster, fresh, 1), Some(ReadRefusal::Unconfirmed), "but not for ever");
    cluster.read(fresh, 2, LINEARIZABLE);
    cluster.cut.isolated.clear();
    cluster.run_until("an answer", |cluster| cluster.answer(fresh, 2).is_some());
    assert_eq!(count(&cluster, fresh, 2), Some(1));
}

/// An acknowledgement of `from`, that it has heard this round of the leader.
fn echo(cluster: &Cluster, leader: u16, from: u16, round: u64, sequence: u64) -> Message {
    let view = cluster.member(leader).view();
    let end = cluster.member(from).view().durable;
    Message::Acknowledge {
        term: view.term,
        sequence,
        round,
        durable: end,
        received: end,
        limit: end,
        commit: end,
    }
}

#[test]
fn e99_only_a_round_that_began_behind_the_read_confirms_it() {
    let (mut cluster, leader, others) = three();
    let round = |cluster: &Cluster| cluster.member(leader).state.leading.as_ref().unwrap().round();
    cluster.cut.isolated.push(endpoint(leader));
    let old = round(&cluster);
    cluster.step(leader, Event::Read { token: 1, level: LINEARIZABLE, payload: b"?" });
    for (number, &other) in others.iter().enumerate() {
        // A late answer to the round before: the leader may have been deposed since.
        let late = echo(&cluster, leader, other, old, 1_000 + number as u64);
        cluster.say(other, leader, late);
    }
    assert!(cluster.answer(leader, 1).is_none());
    cluster.step(leader, Event::Flush);
    assert_eq!(round(&cluster), old + 1, "a round of its own");
    let late = echo(&cluster, leader, others[0], old, 2_000);
    cluster.say(others[0], leader, late);
    assert!(cluster.answer(leader, 1).is_none());
    // One that comes in meanwhile waits for the next.
    cluster.read(leader, 2, LINEARIZABLE);
    assert_eq!(round(&cluster), old + 1, "one at a time");
    let new = echo(&cluster, leader, others[0], old + 1, 2_001);
    cluster.say(others[0], leader, new);
    assert_eq!(count(&cluster, leader, 1), Some(1));
    assert!(cluster.answer(leader, 2).is_none());
}

#[test]
fn e99_an_index_that_was_said_to_a_former_life_is_none() {
    let (mut cluster, leader, others) = three();
    let follower = others[0];
    let number = |cluster: &Cluster| {
        let mut asked = cluster.queue.iter().filter_map(|(_, _, _, datagram)| match datagram {
            super::cluster::Datagram::Control(Message::ReadIndexRequest { number }) => {
                Some(*number)
            }
            _ => None,
        });
        asked.next_back().expect("it has asked")
    };
    cluster.read(follower, 1, LINEARIZABLE);
    let first = number(&cluster);
    cluster.queue.clear();
    cluster.crash(follower);
    cluster.start(follower);
    cluster.run_until_level();
    cluster.cut.isolated.push(endpoint(leader));
    cluster.read(follower, 2, LINEARIZABLE);
    let second = number(&cluster);
    for number in [first, first + 1, second - 1] {
        cluster.say(leader, follower, Message::ReadIndexReply { number, index: Position::ZERO });
        assert!(cluster.answer(follower, 2).is_none(), "{number} of {second}");
    }
    cluster.say(
        leader,
        follower,
        Message::ReadIndexReply { number: second, index: Position::ZERO },
    );
    assert_eq!(count(&cluster, follower, 2), Some(1));
}

#[test]
fn e100_a_leader_without_a_quorum_answers_nothing() {
    let (mut cluster, old, others) = three();
    cluster.cut.isolated.push(endpoint(old));
    cluster.read(old, 1, LINEARIZABLE);
    cluster.run_until("a successor", |cluster| {
        others.iter().any(|&other| cluster.member(other).view().serving)
    });
    cluster.read(old, 2, LINEARIZABLE);
    let bound = Duration::from_millis(1);
    run_for(&mut cluster, Duration::from_millis(700));
    cluster.read(old, 3, ReadLevel::Stale { bound });
    for token in [1, 2] {
        assert_eq!(refusal(&cluster, old, token), Some(ReadRefusal::Unconfirmed));
    }
    assert!(matches!(refusal(&cluster, old, 3), Some(ReadRefusal::TooOld { age }) if age > bound));
}

#[test]
fn rd03_a_follower_asks_whoever_leads_next() {
    let (mut cluster, old, others) = three();
    cluster.crash(old);
    let asker = others[0];
    cluster.run_until("a successor", |cluster| cluster.leader().is_some());
    cluster.read(asker, 1, LINEARIZABLE);
    cluster.run_until("an answer", |cluster| cluster.answer(asker, 1).is_some());
    assert_eq!(count(&cluster, asker, 1), Some(1));
}

#[test]
fn rd07_a_session_read_waits_for_its_position_and_no_longer_than_may_be() {
    let (mut cluster, leader, others) = three();
    let away = others[0];
    cluster.cut.isolated.push(endpoint(away));
    write(&mut cluster, b"two");
    let least = cluster.member(leader).view().applied;
    cluster.read(leader, 1, ReadLevel::Session { least });
    assert_eq!(count(&cluster, leader, 1), Some(2));
    cluster.read(away, 2, ReadLevel::Session { least });
    cluster.read(away, 3, ReadLevel::Session { least: Position::ZERO });
    assert_eq!(count(&cluster, away, 3), Some(1));
    run_for(&mut cluster, Duration::from_millis(400));
    let applied = cluster.member(away).view().applied;
    assert_eq!(refusal(&cluster, away, 2), Some(ReadRefusal::Behind { applied }));
    cluster.read(away, 4, ReadLevel::Session { least });
    cluster.cut.isolated.clear();
    cluster.run_until("an answer", |cluster| cluster.answer(away, 4).is_some());
    assert_eq!(count(&cluster, away, 4), Some(2));
}

#[test]
fn rd11_a_stale_read_is_refused_beyond_its_bound_and_again_answered_after_that() {
    let (mut cluster, _, others) = three();
    let away = others[0];
    let bound = Duration::from_millis(500);
    cluster.read(away, 1, ReadLevel::Stale { bound });
    let age = cluster.answer(away, 1).unwrap().unwrap().1.age;
    assert!(age >= cluster.timing.election_timeout_min && age < bound);
    cluster.cut.isolated.push(endpoint(away));
    run_for(&mut cluster, Duration::from_millis(200));
    cluster.read(away, 2, ReadLevel::Stale { bound });
    let later = cluster.answer(away, 2).unwrap().unwrap().1.age;
    assert!(later >= Duration(age.0 + 180_000_000));
    run_for(&mut cluster, Duration::from_millis(400));
    cluster.read(away, 3, ReadLevel::Stale { bound });
    assert!(matches!(refusal(&cluster, away, 3), Some(ReadRefusal::TooOld { .. })));
    cluster.cut.isolated.clear();
    run_for(&mut cluster, Duration::from_millis(1_000));
    cluster.read(away, 4, ReadLevel::Stale { bound });
    assert_eq!(count(&cluster, away, 4), Some(1));
}

#[test]
fn e102_a_lease_lasts_from_the_sending_of_its_round_until_the_answer_is_there() {
    let (mut cluster, leader, _) = leased();
    let before = rounds(&cluster, leader);
    cluster.read(leader, 1, ReadLevel::Lease);
    assert_eq!(count(&cluster, leader, 1), Some(1), "at once");
    assert_eq!(rounds(&cluster, leader), before, "without a round");
    cluster.cut.isolated.push(endpoint(leader));
    let cut = cluster.now;
    let lease = Lease { drift_per_mille: 100 }.duration(&cluster.timing);
    assert_eq!(lease, Duration::from_millis(135));
    run_for(&mut cluster, Duration::from_millis(90));
    cluster.read(leader, 2, ReadLevel::Lease);
    assert_eq!(count(&cluster, leader, 2), Some(1), "it lasts");
    // The service answers, and the process is paused before the core is told.
    cluster.nodes.get_mut(&id(leader)).unwrap().reading.is_held = true;
    cluster.read(leader, 3, ReadLevel::Lease);
    cluster.now = cut + lease;
    cluster.nodes.get_mut(&id(leader)).unwrap().reading.is_held = false;
    cluster.step(leader, Event::Flush);
    assert_eq!(refusal(&cluster, leader, 3), Some(ReadRefusal::Unconfirmed));
    cluster.read(leader, 4, ReadLevel::Lease);
    assert!(cluster.answer(leader, 4).is_none(), "it is over: a round is asked for");
    // Nobody else was elected before.
    assert!(cluster.running().iter().all(|&member| {
        member == leader || cluster.member(member).view().role == Role::Follower
    }));
}

#[test]
fn e103_a_leader_that_tells_another_to_campaign_drops_its_lease() {
    let (mut cluster, leader, others) = leased();
    cluster.lose = |cut, from, to, what| {
        let is_campaign =
            matches!(what, super::cluster::Datagram::Control(Message::Campaign { .. }));
        is_campaign || super::cluster::isolated(cut, from, to, what)
    };
    cluster.step(leader, Event::Transfer { request: 1, target: Some(id(others[0])) });
    cluster.settle();
    let before = rounds(&cluster, leader);
    cluster.read(leader, 1, ReadLevel::Lease);
    assert!(cluster.answer(leader, 1).is_none(), "no lease any more");
    cluster.settle();
    assert_eq!(count(&cluster, leader, 1), Some(1));
    assert_eq!(rounds(&cluster, leader), before + 1);
}

#[test]
fn e103_a_voter_that_starts_keeps_the_promise_that_it_may_have_given() {
    let (mut cluster, leader, others) = leased();
    cluster.cut.isolated.push(endpoint(leader));
    let begun = cluster.now;
    for &other in &others {
        cluster.crash(other);
        cluster.start(other);
    }
    cluster.run_until("a successor", |cluster| {
        others.iter().any(|&other| cluster.member(other).view().role == Role::Leader)
    });
    assert!(cluster.now.since(begun) >= cluster.timing.election_timeout_min);
    // A transfer needs not wait: the leader itself wants it.
    let (mut cluster, leader, others) = leased();
    let begun = cluster.now;
    cluster.step(leader, Event::Transfer { request: 1, target: Some(id(others[0])) });
    cluster.run_until("the target leads", |cluster| cluster.leader() == Some(others[0]));
    assert!(cluster.now.since(begun) < cluster.timing.election_timeout_min);
}

#[test]
fn e103_a_bound_voter_gives_no_vote_even_in_a_term_that_it_has_heard_of() {
    let (mut cluster, leader, others) = leased();
    let (voter, other) = (others[0], others[1]);
    let view = cluster.member(voter).view();
    let term = view.term.next().unwrap();
    cluster.cut.isolated.push(endpoint(leader));
    // A ballot of a newer term makes it forget its leader, but not what it has promised.
    let key = cluster.member(other).view().key;
    let ballot = Message::Ballot { term, candidate: id(other), granted: false, key };
    cluster.say(other, voter, ballot);
    assert_eq!(cluster.member(voter).view().term, term);
    cluster.say(other, voter, Message::RequestVote { term, key });
    assert_eq!(cluster.member(voter).view().vote.granted_to, None);
    cluster.now += cluster.timing.election_timeout_min;
    cluster.say(other, voter, Message::RequestVote { term, key });
    assert_eq!(cluster.member(voter).view().vote.granted_to, Some(id(other)));
}
