//! What holds a member back is told, with its cause.

use alloc::vec;
use alloc::vec::Vec;

use super::cluster::{Cluster, endpoint, id};
use crate::event::Event;
use crate::notice::{Notice, Stall};

fn stalls(cluster: &Cluster) -> Vec<(u16, Notice)> {
    let is_stall =
        |notice: &Notice| matches!(notice, Notice::Stalled { .. } | Notice::StallEnded { .. });
    cluster.notices.iter().copied().filter(|(_, notice)| is_stall(notice)).collect()
}

/// Lets `millis` pass.
fn pass(cluster: &mut Cluster, millis: u64) {
    let end = cluster.now.0 + millis * 1_000_000;
    while cluster.now.0 < end {
        cluster.tick();
    }
}

#[test]
fn fc12_a_member_that_does_not_acknowledge_is_named_once_until_it_does() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.run_until_level();
    let slow = cluster.running().into_iter().find(|&member| member != leader).unwrap();
    cluster.cut.isolated.push(endpoint(slow));
    cluster.submit(b"one");
    pass(&mut cluster, 450);
    assert_eq!(stalls(&cluster), [], "too early");
    pass(&mut cluster, 2_000);
    let cause = Stall::Acknowledgement { member: id(slow) };
    assert_eq!(stalls(&cluster), [(leader, Notice::Stalled { cause })]);
    cluster.cut.isolated.clear();
    cluster.run_until_level();
    pass(&mut cluster, 100);
    let both = vec![(leader, Notice::Stalled { cause }), (leader, Notice::StallEnded { cause })];
    assert_eq!(stalls(&cluster), both);
}

#[test]
fn fc12_who_has_no_room_is_told_from_who_does_not_answer() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.run_until_level();
    let slow = cluster.running().into_iter().find(|&member| member != leader).unwrap();
    cluster.cut.isolated.push(endpoint(slow));
    for _ in 0..40 {
        cluster.submit(&[7; 3_500]);
        cluster.settle();
    }
    pass(&mut cluster, 2_000);
    let cause = Stall::Window { member: id(slow) };
    assert_eq!(stalls(&cluster), [(leader, Notice::Stalled { cause })]);
}

#[test]
fn fc12_the_own_disk_is_named_and_a_leadership_takes_its_stalls_with_it() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.run_until_led();
    cluster.connect_client();
    cluster.run_until_level();
    cluster.nodes.get_mut(&id(leader)).unwrap().holds_disk = true;
    cluster.submit(b"one");
    pass(&mut cluster, 600);
    assert_eq!(stalls(&cluster), [(leader, Notice::Stalled { cause: Stall::Disk })]);
    cluster.nodes.get_mut(&id(leader)).unwrap().holds_disk = false;
    pass(&mut cluster, 100);
    assert!(stalls(&cluster).contains(&(leader, Notice::StallEnded { cause: Stall::Disk })));

    cluster.notices.clear();
    let slow = cluster.running().into_iter().find(|&member| member != leader).unwrap();
    cluster.cut.isolated.push(endpoint(slow));
    cluster.submit(b"two");
    pass(&mut cluster, 1_000);
    let cause = Stall::Acknowledgement { member: id(slow) };
    assert_eq!(stalls(&cluster), [(leader, Notice::Stalled { cause })]);
    cluster.step(leader, Event::Shutdown);
    assert!(stalls(&cluster).contains(&(leader, Notice::StallEnded { cause })));
}
