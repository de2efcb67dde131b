//! Golden traces: every datagram of a scenario, in the order of delivery. A change of the protocol
//! shows as a difference of text. A test that fails prints its whole trace: if the change is meant,
//! that is the new content of the file.

use super::cluster::{Cluster, endpoint};

fn compare(name: &str, golden: &str, trace: &str) {
    for (number, (found, expected)) in trace.lines().zip(golden.lines()).enumerate() {
        let line = number + 1;
        assert_eq!(found, expected, "traces/{name}, line {line}; the whole trace:\n{trace}");
    }
    let (found, expected) = (trace.lines().count(), golden.lines().count());
    assert_eq!(found, expected, "traces/{name}: lines; the whole trace:\n{trace}");
}

#[test]
fn election_session_and_first_message() {
    let mut cluster = Cluster::new(3);
    cluster.run_until_led();
    cluster.run_until_level();
    cluster.connect_client();
    cluster.submit(b"first");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 1);
    compare("first_message.txt", include_str!("traces/first_message.txt"), &cluster.trace);
}

#[test]
fn a_leader_dies_and_its_successor_answers() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.submit(b"before");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 1);
    cluster.run_until_level();
    cluster.crash(leader);
    cluster.trace.clear();
    cluster.submit(b"after");
    cluster.run_until("the other reply", |cluster| cluster.replies.len() == 2);
    compare("failover.txt", include_str!("traces/failover.txt"), &cluster.trace);
}

#[test]
fn a_member_that_missed_bytes_asks_for_them() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.submit(b"one");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 1);
    cluster.run_until_level();
    let away = cluster.running().into_iter().find(|&m| m != leader).unwrap();
    cluster.cut.isolated.push(endpoint(away));
    cluster.submit(b"missed");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 2);
    cluster.cut.isolated.clear();
    cluster.trace.clear();
    cluster.run_until_level();
    compare("missed_bytes.txt", include_str!("traces/missed_bytes.txt"), &cluster.trace);
}
