//! Golden traces: every datagram of a scenario, in the order of delivery. A change of the protocol
//! shows as a difference of text. `QUORATE_GOLDEN=update` writes them anew.

use super::cluster::{Cluster, endpoint};
use std::path::Path;

fn compare(name: &str, trace: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/member/tests/traces").join(name);
    if std::env::var_os("QUORATE_GOLDEN").is_some_and(|mode| mode == "update") {
        std::fs::write(&path, trace).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (number, (found, expected)) in trace.lines().zip(golden.lines()).enumerate() {
        assert_eq!(found, expected, "{name}, line {}", number + 1);
    }
    assert_eq!(trace.lines().count(), golden.lines().count(), "{name}: lines");
}

#[test]
fn election_session_and_first_message() {
    let mut cluster = Cluster::new(3);
    cluster.run_until_led();
    cluster.run_until_level();
    cluster.connect_client();
    cluster.submit(b"first");
    cluster.run_until("a reply", |cluster| cluster.replies.len() == 1);
    compare("first_message.txt", &cluster.trace);
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
    compare("failover.txt", &cluster.trace);
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
    compare("missed_bytes.txt", &cluster.trace);
}
