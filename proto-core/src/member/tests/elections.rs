//! How leaders come and go.

use alloc::format;
use alloc::vec::Vec;

use super::cluster::{Cluster, Datagram, endpoint, id, no_log_data};
use crate::config::{ConfigError, MemberConfig, Recovered};
use crate::event::Event;
use crate::identity::{BootEpoch, ClientKey, Incarnation, Life, SessionId};
use crate::member::Member;
use crate::message::{Message, Sender};
use crate::notice::Role;
use crate::position::Position;
use crate::term::Term;
use crate::time::Duration;

#[test]
fn el01_a_single_voter_leads_at_once_and_alone() {
    let mut cluster = Cluster::new(1);
    assert_eq!(cluster.run_until_led(), 1);
    let view = cluster.member(1).view();
    assert_eq!((view.term, view.commit), (Term(1), view.verified));
    assert!(cluster.queue.is_empty());
    cluster.crash(1);
    cluster.start(1);
    cluster.run_until_led();
    assert_eq!(cluster.member(1).view().term, Term(2));
}

#[test]
fn e14_who_is_no_voter_does_not_run() {
    let cluster = Cluster::new(3);
    let member = id(4);
    let config = MemberConfig { member, ..cluster.config(1) };
    let life = Life { member, incarnation: Incarnation(1), boot_epoch: BootEpoch(1) };
    let refused = Member::new(config, Recovered::empty(life), cluster.now).err();
    assert_eq!(refused, Some(ConfigError::NotAVoter { member }));
}

#[test]
fn three_members_elect_one_leader() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.run_until_level();
    for member in cluster.running() {
        assert_eq!(cluster.member(member).view().leader, Some(id(leader)));
    }
}

#[test]
fn el02_half_of_four_elects_nobody() {
    let mut cluster = Cluster::new(4);
    cluster.crash(3);
    cluster.crash(4);
    for _ in 0..500 {
        cluster.tick();
        assert_eq!(cluster.leader(), None);
    }
    assert_eq!(cluster.member(1).view().term, Term(0), "a canvass raises no term");
}

/// How often members answered the client that there is no quorum.
fn refusals(cluster: &Cluster) -> usize {
    cluster.trace.matches("NoQuorum").count()
}

#[test]
fn e69_who_hears_too_few_says_so_to_clients_until_they_are_back() {
    for (members, gone) in [(2, [1].as_slice()), (2, &[2]), (3, &[1, 2]), (5, &[1, 2, 4])] {
        let mut cluster = Cluster::new(members);
        for &member in gone {
            cluster.crash(member);
        }
        cluster.connect_client();
        cluster.run_until("a client is told", |cluster| refusals(cluster) > 0);
        cluster.start(gone[0]);
        cluster.run_until_led();
        cluster.trace.clear();
        cluster.run_until_level();
        cluster.submit(b"with a quorum");
        cluster.run_until("a reply", |cluster| cluster.replies.len() == 1);
        assert_eq!(refusals(&cluster), 0, "{members} members");
        // A leader that is left alone knows it at once.
        let leader = cluster.leader().unwrap();
        for other in cluster.running().into_iter().filter(|&other| other != leader) {
            cluster.crash(other);
        }
        cluster.trace.clear();
        cluster.run_until("it gives up", |cluster| cluster.leader().is_none());
        assert_eq!(cluster.member(leader).view().role, Role::Follower);
        cluster.run_until("the client is told again", |cluster| refusals(cluster) > 0);
        assert!(!cluster.trace.contains("RetryAfter"), "it knew all the time");
    }
}

#[test]
fn an_election_that_a_quorum_takes_part_in_is_no_lack_of_one() {
    for seed in 0..20 {
        let mut cluster = Cluster::new(3);
        let leader = cluster.run_until_led();
        cluster.connect_client();
        cluster.submit(b"before");
        cluster.run_until("a reply", |cluster| cluster.replies.len() == 1);
        cluster.crash(leader);
        cluster.trace.clear();
        cluster.submit(b"after");
        for _ in 0..seed {
            cluster.tick();
        }
        cluster.run_until("the other reply", |cluster| cluster.replies.len() == 2);
        assert_eq!(refusals(&cluster), 0);
        // Who is asked so late has not heard the leader either, and does not send clients there.
        let stale = format!("Redirect {{ leader: {:?}", id(leader));
        assert!(!cluster.trace.contains(&stale), "{}", cluster.trace);
    }
}

#[test]
fn e02_no_ballot_leaves_before_the_vote_is_durable() {
    let mut cluster = Cluster::new(3);
    for node in cluster.nodes.values_mut() {
        node.holds_disk = true;
    }
    cluster.run_until("a nominee", |cluster| {
        cluster.running().iter().any(|&m| cluster.member(m).view().role == Role::Nominee)
    });
    let nominee = *cluster
        .running()
        .iter()
        .find(|&&m| cluster.member(m).view().role == Role::Nominee)
        .unwrap();
    // The nominee asks nobody before its own vote is durable.
    assert!(cluster.complete_one(nominee));
    assert_eq!(cluster.member(nominee).view().role, Role::Candidate);
    cluster.settle();
    assert_eq!(cluster.member(nominee).view().role, Role::Candidate, "no vote is durable yet");
    let voter = if nominee == 1 { 2 } else { 1 };
    assert_eq!(cluster.member(voter).view().vote.granted_to, Some(id(nominee)));
    cluster.complete_one(voter);
    cluster.settle();
    assert_eq!(cluster.member(nominee).view().role, Role::Leader);
}

#[test]
fn e07_a_member_that_was_away_keeps_the_leader_and_the_term() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    let term = cluster.member(leader).view().term;
    let away = cluster.running().into_iter().find(|&m| m != leader).unwrap();
    cluster.cut.isolated.push(endpoint(away));
    for _ in 0..3_000 {
        cluster.tick();
    }
    cluster.cut.isolated.clear();
    cluster.run_until_level();
    assert_eq!(cluster.leader(), Some(leader));
    assert_eq!(cluster.member(away).view().term, term);
}

#[test]
fn el19_an_isolated_leader_steps_down_and_the_others_elect() {
    let mut cluster = Cluster::new(3);
    let old = cluster.run_until_led();
    cluster.cut.isolated.push(endpoint(old));
    cluster.run_until("a successor", |cluster| cluster.leader().is_some_and(|new| new != old));
    cluster.run_until("the old one steps down", |cluster| {
        cluster.member(old).view().role != Role::Leader
    });
    cluster.cut.isolated.clear();
    cluster.run_until_level();
}

#[test]
fn e97_a_leader_that_stops_need_not_be_waited_for() {
    let mut cluster = Cluster::new(3);
    let old = cluster.run_until_led();
    cluster.run_until_level();
    let stopped_at = cluster.now;
    cluster.step(old, Event::Shutdown);
    cluster.settle();
    cluster.run_until("a successor", |cluster| cluster.leader().is_some_and(|new| new != old));
    let waited = cluster.now.since(stopped_at);
    assert!(waited < cluster.member(old).config().timing.election_timeout_min, "{waited:?}");
}

#[test]
fn who_loses_its_election_hears_the_winner_from_its_first_heartbeat() {
    let mut cluster = Cluster::new(3);
    let old = cluster.run_until_led();
    for _ in 0..3_000 {
        cluster.tick();
    }
    cluster.crash(old);
    for node in cluster.nodes.values_mut() {
        node.holds_disk = true;
    }
    let nominee_of = |cluster: &Cluster| {
        let mut running = cluster.running().into_iter();
        running.find(|&member| cluster.member(member).view().role == Role::Nominee)
    };
    cluster.run_until("a nominee", |cluster| nominee_of(cluster).is_some());
    let nominee = nominee_of(&cluster).unwrap();
    let winner = cluster.running().into_iter().find(|&member| member != nominee).unwrap();
    let (view, life) = (cluster.member(nominee).view(), cluster.member(winner).view().life);
    let sender = Sender::Member {
        member: life.member,
        incarnation: life.incarnation,
        boot_epoch: life.boot_epoch,
    };
    let message = Message::Heartbeat {
        term: view.term,
        round: 1,
        newest: view.verified,
        commit: view.commit,
        chain_at: view.applied,
        chain: view.applied_chain,
    };
    let ignored = cluster.member(nominee).counters().datagrams_ignored;
    cluster.deliver(endpoint(winner), endpoint(nominee), sender, &Datagram::Control(message));
    let member = cluster.member(nominee);
    assert_eq!(member.view().leader, Some(id(winner)));
    assert_eq!(member.counters().datagrams_ignored, ignored, "the former leader's rounds are over");
}

#[test]
fn e11_a_second_leader_of_the_own_term_stops_a_leader() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.run_until_level();
    let other = cluster.running().into_iter().find(|&m| m != leader).unwrap();
    let life = cluster.member(other).view().life;
    let view = cluster.member(leader).view();
    let sender = Sender::Member {
        member: life.member,
        incarnation: life.incarnation,
        boot_epoch: life.boot_epoch,
    };
    let message = Message::Heartbeat {
        term: view.term,
        round: 1_000_000,
        newest: view.verified,
        commit: view.commit,
        chain_at: view.applied,
        chain: view.applied_chain,
    };
    let datagram = Datagram::Control(message);
    cluster.deliver(endpoint(other), endpoint(leader), sender, &datagram);
    let reason = cluster.nodes[&id(leader)].fail_stop;
    assert_eq!(reason, Some(crate::notice::FailStop::TwoLeaders { term: view.term }));
    assert_eq!(cluster.member(leader).next_deadline(), None);
}

#[test]
fn e83_a_leader_that_sends_but_hears_nobody_steps_down() {
    let mut cluster = Cluster::new(3);
    let deaf = cluster.run_until_led();
    cluster.run_until_level();
    cluster.cut.isolated.push(endpoint(deaf));
    cluster.lose = |cut, _, to, _| cut.isolated.contains(&to);
    let since = cluster.now;
    cluster.run_until("it steps down", |cluster| cluster.member(deaf).view().role != Role::Leader);
    let timeout = cluster.member(deaf).config().timing.election_timeout_max;
    assert!(cluster.now.since(since) <= timeout);
    cluster.run_until("a successor", |cluster| cluster.leader().is_some_and(|new| new != deaf));
}

/// A group of three in which `delayed` lets the others lead.
fn with_delay(delayed: u16, delay: Duration) -> Cluster {
    let mut cluster = Cluster::new(3);
    cluster.delayed = (delayed, delay);
    for member in 1..=3 {
        cluster.start(member);
    }
    cluster
}

#[test]
fn e19_a_member_of_low_priority_lets_the_others_lead() {
    let delay = Duration::from_millis(600);
    let mut cluster = with_delay(2, delay);
    let mut leader = cluster.run_until_led();
    for _ in 0..12 {
        assert_ne!(leader, 2, "somebody else could lead");
        cluster.run_until_level();
        cluster.crash(leader);
        let lost_at = cluster.now;
        cluster.run_until("a successor", |cluster| cluster.leader().is_some());
        let waited = cluster.now.since(lost_at);
        assert!(waited < delay, "the others wait for nothing: {waited:?}");
        cluster.start(leader);
        leader = cluster.leader().unwrap();
    }
}

#[test]
fn e19_the_only_complete_log_leads_whatever_its_priority() {
    let delay = Duration::from_millis(900);
    let mut cluster = with_delay(3, delay);
    let leader = cluster.run_until_led();
    let other = 3 - leader;
    cluster.connect_client();
    cluster.run_until_level();
    // The other one gets no byte any more, also not as a repair.
    cluster.lose = no_log_data;
    cluster.cut.isolated.push(endpoint(other));
    cluster.submit(b"only two have it");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 1);
    cluster.crash(leader);
    let lost_at = cluster.now;
    cluster.run_until("the complete one leads", |cluster| {
        cluster.member(3).view().role == Role::Leader
    });
    let waited = cluster.now.since(lost_at);
    assert!(waited > delay, "it let the other one try: {waited:?}");
    assert!(waited < cluster.timing.election_timeout_max.times(10), "{waited:?}");
}

/// Found by reading: the report of a slow service came behind the end of the leadership (S14).
#[test]
fn a_deposed_leader_opens_no_session_when_its_service_reports() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.run_until("a session", |cluster| {
        cluster.client.as_ref().unwrap().session() != SessionId::NONE
    });
    cluster.run_until_level();
    cluster.nodes.get_mut(&id(leader)).unwrap().held_reports = Some(Vec::new());
    cluster.submit(b"with the service");
    cluster.settle();
    let second = ClientKey(100);
    let connect = Message::Connect {
        connection: 1,
        session: SessionId::NONE,
        ingress_start: Position::ZERO,
        unanswered: 1,
    };
    let (there, sender) = (endpoint(1_001), Sender::Client { key: second });
    cluster.deliver(there, endpoint(leader), sender, &Datagram::Control(connect));
    cluster.settle();
    let view = cluster.member(leader).view();
    assert!(view.applying && view.commit == view.verified, "its session is committed: {view:?}");
    let follower = if leader == 1 { 2 } else { 1 };
    let Life { member, incarnation, boot_epoch } = cluster.member(follower).view().life;
    let sender = Sender::Member { member, incarnation, boot_epoch };
    let newer = Message::Abdicate { term: Term(view.term.0 + 1) };
    cluster.deliver(endpoint(follower), endpoint(leader), sender, &Datagram::Control(newer));
    cluster.queue.clear();
    let held = cluster.nodes.get_mut(&id(leader)).unwrap().held_reports.take().unwrap();
    assert_eq!(held.len(), 1);
    let (through, outputs) = &held[0];
    cluster.step(leader, Event::Applied { through: *through, outputs });
    let to_clients = cluster.queue.iter().filter(|(_, to, ..)| *to == there);
    assert_eq!(to_clients.count(), 0, "{:?}", cluster.queue);
}
