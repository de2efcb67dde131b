//! Members change while something fails.

use super::cluster::{Cluster, Datagram, endpoint, id, isolated};
use super::members::{new, observed, promote, remove, serving};
use crate::event::Event;
use crate::membership::{ChangeRefusal, MembershipChange};
use crate::message::{Message, Stream};
use crate::notice::{ChangeOutcome, Notice, Role};

/// Who leads, whether it serves or not.
fn in_the_lead(cluster: &Cluster) -> Option<u16> {
    let leads = |member: &u16| cluster.member(*member).view().role == Role::Leader;
    cluster.running().into_iter().find(leads)
}

#[test]
fn e56_nothing_is_changed_before_the_leader_has_committed_in_its_term() {
    let (mut cluster, first) = serving(3);
    cluster.crash(first);
    // Nobody says what it holds, so nothing is committed.
    cluster.lose = |_, _, _, what| {
        matches!(what, Datagram::Control(Message::Acknowledge { .. } | Message::Holding { .. }))
    };
    cluster.run_until("another leads", |cluster| in_the_lead(cluster).is_some());
    let second = in_the_lead(&cluster).unwrap();
    let refusal = cluster.refusal(second, remove(first));
    assert_eq!(refusal, ChangeRefusal::NotYetOpen);
    cluster.lose = isolated;
    cluster.change(&remove(first));
}

#[test]
fn e57_one_change_at_a_time() {
    let (mut cluster, leader) = serving(3);
    cluster.cut.isolated = (1..=3).filter(|it| *it != leader).map(endpoint).collect();
    let request = cluster.ask(leader, MembershipChange::AddObserver(new(4)));
    let another = MembershipChange::AddObserver(new(5));
    assert_eq!(cluster.refusal(leader, another.clone()), ChangeRefusal::Busy);
    assert_eq!(cluster.refusal(leader, remove(leader)), ChangeRefusal::Busy);
    cluster.cut.isolated.clear();
    cluster.run_until("it is done", |cluster| cluster.outcome(request).is_some());
    assert!(matches!(cluster.outcome(request), Some(ChangeOutcome::Done { .. })));
    cluster.change(&another);
}

#[test]
fn e61_a_cut_brings_the_former_membership_back() {
    let (mut cluster, old) = serving(3);
    let before = cluster.member(old).membership().clone();
    cluster.cut.isolated = [endpoint(old)].to_vec();
    let request = cluster.ask(old, MembershipChange::AddObserver(new(4)));
    assert!(cluster.member(old).membership().get(id(4)).is_some(), "in effect at once");
    cluster.run_until("another leads", |cluster| cluster.leader().is_some_and(|it| it != old));
    let lost = Some(ChangeOutcome::Refused(ChangeRefusal::LeadershipLost));
    assert_eq!(cluster.outcome(request), lost);
    cluster.crash(old);
    cluster.start(old);
    assert!(cluster.member(old).membership().get(id(4)).is_some(), "the log has it still");
    cluster.cut.isolated.clear();
    cluster.run_until_level();
    assert_eq!(*cluster.member(old).membership(), before);
    let position = cluster.member(old).membership_position();
    let back = Notice::Membership { position, joint: false };
    assert_eq!(cluster.told(old, |notice| *notice == back), 1);
}

/// Voters 1 to 3 are to become 1, 4 and 5: the joint phase is in the log of the leader alone, or
/// of all, and nothing of it is committed.
fn in_the_joint_phase() -> (Cluster, u16) {
    let (mut cluster, _, _) = observed(3);
    cluster.add_newcomer(5);
    cluster.change(&MembershipChange::AddObserver(new(5)));
    cluster.run_until_level();
    let leader = cluster.run_until_led();
    let voters = [1, 4, 5].map(id).into_iter().collect();
    cluster.lose = |_, _, _, what| {
        matches!(what, Datagram::Control(Message::Acknowledge { .. } | Message::Holding { .. }))
    };
    cluster.ask(leader, MembershipChange::ReplaceVoters { voters });
    cluster.run_until("all have it", |cluster| {
        cluster.running().iter().all(|&it| cluster.member(it).membership().is_joint())
    });
    (cluster, leader)
}

#[test]
fn e63_who_is_started_in_the_joint_phase_asks_both_halves() {
    for (down, leads) in [([4, 5], false), ([2, 3], false), ([3, 5], true), ([1, 4], false)] {
        let (mut cluster, _) = in_the_joint_phase();
        for member in 1..=5 {
            cluster.crash(member);
        }
        cluster.lose = isolated;
        for member in (1..=5).filter(|member| !down.contains(member)) {
            cluster.start(member);
            assert!(cluster.member(member).membership().is_joint());
        }
        if leads {
            let leader = cluster.run_until_led();
            let is_over = |cluster: &Cluster| !cluster.member(1).membership().is_joint();
            cluster.run_until("the change is completed", is_over);
            assert!(cluster.member(leader).membership().is_voter(id(4)));
            assert!(!cluster.member(1).membership().is_voter(id(2)));
        } else {
            let until = cluster.now + crate::time::Duration::from_millis(2_000);
            cluster.run_until("nobody leads", |cluster| {
                assert_eq!(in_the_lead(cluster), None, "without {down:?}");
                cluster.now > until
            });
        }
    }
}

#[test]
fn e65_a_voter_that_does_not_know_it_yet_learns_of_who_asks() {
    let (mut cluster, leader, second) = observed(1);
    cluster.cut.isolated = [endpoint(second)].to_vec();
    cluster.ask(leader, promote(second));
    cluster.run_until("it is on the disk", |cluster| {
        let view = cluster.member(leader).view();
        view.durable == view.verified
    });
    assert!(cluster.member(leader).membership().is_joint());
    assert!(!cluster.member(second).is_voter());
    // The leader needs the other's vote now, and the other has not heard that it has one.
    cluster.crash(leader);
    cluster.start(leader);
    cluster.cut.isolated.clear();
    cluster.run_until_led();
    cluster.run_until("the change is completed", |cluster| {
        cluster.member(second).is_voter() && !cluster.member(second).membership().is_joint()
    });
    cluster.submit_and_wait(b"both");
}

#[test]
fn e60_a_change_counts_when_it_is_in_the_log() {
    let (mut cluster, leader, second) = observed(1);
    cluster.lose = |_, _, _, what| matches!(what, Datagram::Data { stream: Stream::Log, .. });
    let commit = cluster.member(leader).view().commit;
    let request = cluster.ask(leader, promote(second));
    cluster.run_for(100);
    assert_eq!(cluster.member(leader).view().commit, commit, "one of two does not commit it");
    assert_eq!(cluster.outcome(request), None);
    cluster.lose = isolated;
    cluster.run_until("it is done", |cluster| cluster.outcome(request).is_some());
    assert!(matches!(cluster.outcome(request), Some(ChangeOutcome::Done { .. })));
}

#[test]
fn e62_a_snapshot_says_who_is_a_member() {
    let (mut cluster, leader, observer) = observed(3);
    cluster.change(&promote(observer));
    cluster.submit_and_wait(b"before");
    cluster.run_until_level();
    let membership = cluster.member(leader).membership().clone();
    let at = cluster.member(leader).membership_position();
    cluster.limits.purge_keep_bytes = 0;
    for member in 1..=4 {
        cluster.crash(member);
        cluster.start(member);
    }
    for _ in 0..4 {
        let leader = cluster.run_until_led();
        cluster.step(leader, Event::TakeSnapshot);
        cluster.submit_and_wait(b"more");
        cluster.run_until_level();
    }
    for member in 1..=4 {
        cluster.crash(member);
        cluster.start(member);
        let (found, position) =
            (cluster.member(member).membership(), cluster.member(member).membership_position());
        assert_eq!((found, position), (&membership, at), "member {member}");
    }
    cluster.run_until_led();
    cluster.run_until_level();
    let purged =
        cluster.running().into_iter().filter(|&member| cluster.member(member).view().origin > at);
    assert!(purged.count() > 0, "the frame is gone, and only snapshots say it");
}
