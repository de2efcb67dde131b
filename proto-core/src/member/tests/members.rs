//! Members come and go (E56 to E69, MB-04 to MB-20).

use alloc::vec::Vec;

use super::cluster::{Cluster, Node, endpoint, id};
use crate::event::Event;
use crate::identity::{Incarnation, SessionId};
use crate::membership::{ChangeRefusal, Half, MemberRole, MembershipChange, NewMember};
use crate::notice::{ChangeOutcome, Notice, Role};
use crate::time::Duration;

pub(super) fn new(member: u16) -> NewMember {
    NewMember {
        member: id(member),
        incarnation: Incarnation(1),
        endpoint: endpoint(member),
        ..NewMember::default()
    }
}

pub(super) fn promote(member: u16) -> MembershipChange {
    MembershipChange::Promote { member: id(member), standby: false }
}

pub(super) fn remove(member: u16) -> MembershipChange {
    MembershipChange::Remove { member: id(member) }
}

impl Cluster {
    /// A member that was not there when the group was formed comes up with an empty disk.
    pub(super) fn add_newcomer(&mut self, member: u16) {
        self.nodes.insert(id(member), Node::default());
        self.start(member);
    }

    /// Asks `member` for a change; the number of the request.
    pub(super) fn ask(&mut self, member: u16, change: MembershipChange) -> u64 {
        let request = self.notices.len() as u64 + 1;
        self.step(member, Event::ChangeMembership { request, change });
        request
    }

    pub(super) fn outcome(&self, wanted: u64) -> Option<ChangeOutcome> {
        self.notices.iter().find_map(|(_, notice)| match notice {
            Notice::ChangeMembership { request, outcome } if *request == wanted => Some(*outcome),
            _ => None,
        })
    }

    /// What comes of a change that the leader is asked for at once.
    pub(super) fn refusal(&mut self, member: u16, change: MembershipChange) -> ChangeRefusal {
        let request = self.ask(member, change);
        match self.outcome(request) {
            Some(ChangeOutcome::Refused(refusal)) => refusal,
            other => panic!("not refused at once: {other:?}"),
        }
    }

    /// Has whoever leads change the members, again until it is done.
    pub(super) fn change(&mut self, change: &MembershipChange) {
        for _ in 0..200 {
            let leader = self.run_until_led();
            let request = self.ask(leader, change.clone());
            self.run_until("an outcome", |cluster| cluster.outcome(request).is_some());
            match self.outcome(request) {
                Some(ChangeOutcome::Done { .. }) => return,
                _ => self.tick(),
            }
        }
        panic!("not done: {change:?}");
    }

    pub(super) fn told(&self, member: u16, wanted: impl Fn(&Notice) -> bool) -> usize {
        self.notices.iter().filter(|(by, notice)| *by == member && wanted(notice)).count()
    }

    fn voters(&self, member: u16) -> Vec<u16> {
        self.member(member).membership().voters(Half::Incoming).map(|voter| voter.0).collect()
    }

    pub(super) fn run_for(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        self.run_until("time passes", |cluster| cluster.now > until);
    }

    pub(super) fn submit_and_wait(&mut self, payload: &[u8]) {
        let replies = self.replies.len();
        self.submit(payload);
        self.run_until("the reply", |cluster| cluster.replies.len() > replies);
    }
}

/// A group of `voters`, led, with a client that has a session.
pub(super) fn serving(voters: u16) -> (Cluster, u16) {
    let mut cluster = Cluster::new(voters);
    connect(&mut cluster);
    cluster.run_until_level();
    let leader = cluster.run_until_led();
    (cluster, leader)
}

fn connect(cluster: &mut Cluster) {
    cluster.run_until_led();
    cluster.connect_client();
    cluster.run_until("a session", |cluster| {
        cluster.client.as_ref().unwrap().session() != SessionId::NONE
    });
}

/// The same, with one more member that only receives.
pub(super) fn observed(voters: u16) -> (Cluster, u16, u16) {
    let (mut cluster, leader) = serving(voters);
    let observer = voters + 1;
    cluster.add_newcomer(observer);
    cluster.change(&MembershipChange::AddObserver(new(observer)));
    cluster.run_until_level();
    (cluster, leader, observer)
}

#[test]
fn mb20_a_group_grows_and_shrinks_under_load() {
    let mut cluster = Cluster::new(1);
    // They are there, and known to the client, before they are members.
    (2..=5).for_each(|member| cluster.add_newcomer(member));
    connect(&mut cluster);
    let mut sent = 0;
    let mut load = |cluster: &mut Cluster| {
        sent += 1;
        cluster.submit_and_wait(&[sent]);
    };
    for member in 2..=5 {
        cluster.change(&MembershipChange::AddObserver(new(member)));
        load(&mut cluster);
        let level = |cluster: &Cluster| {
            let leader = cluster.leader().map(|it| cluster.member(it).view());
            leader.is_some_and(|it| it.verified == cluster.member(member).view().verified)
        };
        cluster.run_until("it is level", level);
        cluster.change(&promote(member));
        load(&mut cluster);
    }
    assert_eq!(cluster.voters(5), [1, 2, 3, 4, 5]);
    // Whoever leads at that moment may be the one that goes.
    for member in [1, 4, 3, 2] {
        cluster.change(&remove(member));
        load(&mut cluster);
        assert!(!cluster.voters(5).contains(&member));
    }
    let leader = cluster.run_until_led();
    assert_eq!((leader, cluster.voters(5)), (5, [5].to_vec()));
    for member in [1, 2, 3, 4] {
        cluster.crash(member);
    }
    load(&mut cluster);
    let applied: Vec<u8> = cluster.nodes[&id(5)].applied.iter().map(|it| it[0]).collect();
    assert_eq!(applied, (1..=sent).collect::<Vec<u8>>());
}

#[test]
fn e65_an_observer_receives_all_and_counts_for_nothing() {
    let (mut cluster, leader, observer) = observed(3);
    cluster.submit_and_wait(b"one");
    cluster.run_until_level();
    assert_eq!(cluster.nodes[&id(observer)].applied, [b"one".to_vec()]);
    // One voter and an observer are no quorum of three voters.
    for member in (1..=3).filter(|member| *member != leader) {
        cluster.crash(member);
    }
    let commit = cluster.member(leader).view().commit;
    cluster.submit(b"two");
    cluster.run_until("the leader gives up", |cluster| cluster.leader().is_none());
    cluster.run_for(2_000);
    assert_eq!(cluster.member(leader).view().commit, commit);
    assert_eq!(cluster.leader(), None);
    let view = cluster.member(observer).view();
    assert_eq!((view.vote.granted_to, view.role), (None, Role::Follower));
    assert_eq!(cluster.member(observer).counters().canvasses, 0);
}

#[test]
fn e66_an_observer_that_is_started_again_is_one_still() {
    let (mut cluster, leader, observer) = observed(3);
    cluster.crash(observer);
    cluster.start(observer);
    let record = *cluster.member(observer).membership().get(id(observer)).unwrap();
    assert_eq!(record.role, MemberRole::Observer);
    assert!(!cluster.member(observer).is_voter());
    cluster.crash(leader);
    cluster.run_until("another leads", |cluster| cluster.leader().is_some_and(|new| new != leader));
    cluster.run_for(1_000);
    assert_eq!(cluster.member(observer).counters().canvasses, 0);
    assert_ne!(cluster.leader(), Some(observer));
    let refusal = cluster.refusal(observer, promote(observer));
    assert_eq!(refusal, ChangeRefusal::NotLeader { leader: cluster.leader().map(id) });
}

#[test]
fn e65_who_lags_is_not_promoted() {
    let (mut cluster, leader) = serving(3);
    cluster.change(&MembershipChange::AddObserver(new(4)));
    let behind = ChangeRefusal::NotLevel { member: id(4) };
    assert_eq!(cluster.refusal(leader, promote(4)), behind, "it never ran");
    cluster.add_newcomer(4);
    cluster.run_until_level();
    cluster.crash(4);
    cluster.run_for(500);
    assert_eq!(cluster.refusal(leader, promote(4)), behind, "it is not heard");
    cluster.start(4);
    cluster.run_until_level();
    cluster.change(&promote(4));
    assert_eq!(cluster.voters(4), [1, 2, 3, 4]);
}

#[test]
fn e69_a_second_voter_counts_from_the_joint_phase_on() {
    let (mut cluster, leader, second) = observed(1);
    cluster.crash(second);
    cluster.submit_and_wait(b"the observer is not waited for");
    cluster.start(second);
    cluster.run_until_level();
    cluster.change(&promote(second));
    cluster.crash(second);
    let commit = cluster.member(leader).view().commit;
    cluster.submit(b"both must agree");
    cluster.run_for(1_000);
    assert_eq!(cluster.member(leader).view().commit, commit);
    cluster.start(second);
    cluster.run_until("the reply", |cluster| cluster.replies.len() == 2);
}

#[test]
fn e59_a_leader_that_removes_itself_counts_itself_no_more() {
    let (mut cluster, leader) = serving(3);
    cluster.change(&remove(leader));
    let removed = |notice: &Notice| matches!(notice, Notice::Removed { .. });
    assert_eq!(cluster.told(leader, removed), 1);
    let successor = cluster.run_until_led();
    assert_ne!(successor, leader);
    assert_eq!(cluster.voters(successor).len(), 2);
    cluster.submit_and_wait(b"without it");
    cluster.run_for(2_000);
    assert_eq!(cluster.leader(), Some(successor));
    assert_eq!(cluster.member(leader).view().role, Role::Follower);
    // Started again, it asks until it is told, although its own list is as new as theirs.
    cluster.crash(leader);
    cluster.start(leader);
    cluster.run_until("it is told again", |cluster| cluster.told(leader, removed) == 2);
    let ignored = |cluster: &Cluster| cluster.member(successor).counters().datagrams_ignored;
    let asked = ignored(&cluster);
    cluster.run_for(2_000);
    assert_eq!(ignored(&cluster), asked, "it asks no more");
    assert_eq!(cluster.member(leader).counters().canvasses, 0, "nor does it stand");
    assert_eq!(cluster.leader(), Some(successor));
}

#[test]
fn e58_a_removed_member_disturbs_nobody_and_is_told() {
    let (mut cluster, leader) = serving(3);
    let gone = if leader == 3 { 2 } else { 3 };
    cluster.cut.isolated = [endpoint(gone)].to_vec();
    cluster.change(&remove(gone));
    cluster.submit_and_wait(b"without it");
    let term = cluster.member(leader).view().term;
    assert!(cluster.member(gone).is_voter(), "it does not know");
    cluster.cut.isolated.clear();
    let removed = |notice: &Notice| matches!(notice, Notice::Removed { .. });
    cluster.run_until("it is told", |cluster| cluster.told(gone, removed) > 0);
    let canvasses = cluster.member(gone).counters().canvasses;
    cluster.run_for(2_000);
    assert_eq!(cluster.member(gone).counters().canvasses, canvasses, "it stands no more");
    assert_eq!((cluster.leader(), cluster.member(leader).view().term), (Some(leader), term));
    // Nobody sends to it: it is told, and that is all.
    assert_eq!(cluster.told(gone, removed), 1);
}

#[test]
fn e67_a_removed_number_comes_back_under_a_later_incarnation_only() {
    let (mut cluster, leader, observer) = observed(3);
    cluster.change(&remove(observer));
    let former =
        ChangeRefusal::FormerIncarnation { member: id(observer), incarnation: Incarnation(1) };
    let again = MembershipChange::AddObserver(new(observer));
    assert_eq!(cluster.refusal(leader, again), former);
    super::readmission::wipe(&mut cluster, observer);
    cluster.start(observer);
    let incarnation = Incarnation(2);
    let renewed = NewMember { incarnation, ..new(observer) };
    cluster.change(&MembershipChange::AddObserver(renewed));
    cluster.run_until("it counts again", |cluster| {
        !super::readmission::is_applicant(cluster, observer)
    });
    cluster.run_until_level();
    cluster.change(&promote(observer));
    assert_eq!(cluster.voters(observer), [1, 2, 3, 4]);
}

#[test]
fn a_member_is_found_where_the_log_says() {
    let (mut cluster, leader) = serving(3);
    let (at, clients) = (endpoint(77), Some(endpoint(78)));
    cluster.change(&MembershipChange::Relocate { member: id(2), endpoint: at, clients });
    assert_eq!(cluster.member(leader).endpoint_of(id(2)), Some(at));
    assert_eq!(cluster.member(leader).membership().clients_of(id(2)), clients);
    assert_eq!(cluster.member(leader).endpoint_of(id(3)), Some(endpoint(3)));
    assert_eq!(cluster.member(leader).endpoint_of(id(9)), None);
}
