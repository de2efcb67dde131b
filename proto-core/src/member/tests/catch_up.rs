//! A member that is far behind: who sends it what it lacks.

use alloc::vec;
use alloc::vec::Vec;

use super::cluster::{Cluster, Cut, Datagram, endpoint, id};
use crate::identity::Endpoint;
use crate::message::Stream;

/// Five members, one of which was away while so many messages of 3,000 bytes were written. Returns
/// who leads and who was away; it is still cut off.
fn one_is_far_behind(messages: usize) -> (Cluster, u16, u16) {
    let mut cluster = Cluster::new(5);
    // The room for what is under way is that of the window.
    cluster.limits.in_flight_max = 64;
    let leader = cluster.run_until_led();
    cluster.connect_client();
    let away = (1..=5).find(|&member| member != leader).unwrap();
    cluster.cut.isolated.push(endpoint(away));
    submit(&mut cluster, messages);
    let behind = cluster.member(leader).view().verified.0 - cluster.member(away).view().verified.0;
    assert!(behind > 2 * cluster.limits.window_bytes, "only {behind} bytes behind");
    (cluster, leader, away)
}

fn submit(cluster: &mut Cluster, messages: usize) {
    let answered = cluster.replies.len();
    for number in 0..messages {
        let payload = vec![number as u8; 3_000];
        cluster.run_until("room", |cluster| {
            cluster.client.as_ref().unwrap().can_submit(payload.len())
        });
        cluster.submit(&payload);
    }
    cluster.run_until("all replies", |cluster| cluster.replies.len() == answered + messages);
}

/// The repair bytes that each member sent by now.
fn repaired(cluster: &Cluster) -> Vec<u64> {
    (1..=5).map(|member| cluster.member(member).counters().repair_bytes_sent).collect()
}

#[test]
fn a_large_catch_up_is_shared_and_spares_the_leader() {
    let (mut cluster, leader, away) = one_is_far_behind(200);
    let (start, owed) =
        (cluster.member(away).view().received, cluster.member(leader).view().verified);
    let before = repaired(&cluster);
    cluster.cut.isolated.clear();
    cluster.run_until_level();
    let sent: Vec<u64> =
        repaired(&cluster).iter().zip(before).map(|(now, before)| now - before).collect();
    let (all, missing) = (sent.iter().sum::<u64>(), owed.since(start));
    assert!(all >= missing && all * 20 <= missing * 21, "{missing} bytes missing, sent {sent:?}");
    for (member, sent) in (1..=5).zip(&sent) {
        let share = 100 * sent / all;
        if member == leader {
            assert!(share <= 5, "the leader sent {share} % of {all}");
        } else if member != away {
            assert!((25..=40).contains(&share), "member {member} sent {share} % of {all}");
        }
    }
    assert_eq!(cluster.member(leader).counters().elections_won, 1);
}

#[test]
fn what_is_near_the_end_of_the_log_is_asked_of_the_leader() {
    let mut cluster = Cluster::new(5);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    let away = (1..=5).find(|&member| member != leader).unwrap();
    cluster.cut.isolated.push(endpoint(away));
    submit(&mut cluster, 15);
    cluster.cut.isolated.clear();
    let before = repaired(&cluster);
    cluster.run_until_level();
    for (member, (now, before)) in (1..=5).zip(repaired(&cluster).iter().zip(before)) {
        assert_eq!(*now > before, member == leader, "member {member}");
    }
}

/// Those who are cut off send no bytes of the log, and all else.
fn no_log_data_from(cut: &Cut, from: Endpoint, _: Endpoint, what: &Datagram) -> bool {
    cut.isolated.contains(&from) && matches!(what, Datagram::Data { stream: Stream::Log, .. })
}

#[test]
fn a_source_that_is_deaf_is_passed_over() {
    let (mut cluster, leader, away) = one_is_far_behind(300);
    let owed = cluster.member(leader).view().verified.0;
    let deaf = (1..=5).rfind(|&member| member != leader && member != away).unwrap();
    let before = repaired(&cluster);
    cluster.cut = Cut { isolated: vec![endpoint(deaf)], ..Cut::default() };
    cluster.lose = no_log_data_from;
    cluster.run_until_level();
    let sent = |member: u16| repaired(&cluster)[usize::from(member) - 1];
    let in_vain = sent(deaf) - before[usize::from(deaf) - 1];
    assert!(in_vain > 0, "it was not tried");
    assert!(in_vain * 10 <= owed, "{in_vain} bytes of {owed} were asked of the deaf one");
    let by_leader = sent(leader) - before[usize::from(leader) - 1];
    assert!(by_leader * 10 <= owed, "the leader sent {by_leader} of {owed} bytes");
}

/// What the leader sends of the log never reaches who is cut off.
fn no_bytes_from_the_leader(cut: &Cut, from: Endpoint, to: Endpoint, what: &Datagram) -> bool {
    let is_log = matches!(what, Datagram::Data { stream: Stream::Log, .. });
    is_log && cut.isolated == [from, to]
}

#[test]
fn a_member_that_gets_nothing_from_its_leader_catches_up_from_the_others() {
    let (mut cluster, leader, away) = one_is_far_behind(100);
    cluster.cut = Cut { isolated: vec![endpoint(leader), endpoint(away)], ..Cut::default() };
    cluster.lose = no_bytes_from_the_leader;
    cluster.run_until_level();
    assert_eq!(cluster.member(leader).counters().elections_won, 1);
}

#[test]
fn e88_members_that_lack_the_same_say_so_and_catch_up_from_those_that_have_it() {
    let (mut cluster, leader, away) = one_is_far_behind(100);
    let other = (1..=5).rfind(|&member| member != leader && member != away).unwrap();
    cluster.crash(other);
    let disk = cluster.nodes[&id(away)].disk.clone();
    cluster.nodes.get_mut(&id(other)).unwrap().disk.log = disk.log;
    cluster.nodes.get_mut(&id(other)).unwrap().disk.synced = disk.synced;
    cluster.cut.isolated.clear();
    cluster.start(other);
    cluster.run_until_level();
    let refused = cluster.trace.lines().filter(|line| line.contains("Unavailable")).count();
    assert!(refused > 0, "neither was asked");
    // Each refusal is believed for a while: it is not the answer to every part.
    assert!(refused < 20, "{refused} requests were refused");
}
