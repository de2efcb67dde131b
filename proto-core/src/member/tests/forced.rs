//! Groups of which so many lost what they held that they stand still, and go on by force (rule
//! 5 v).

use alloc::vec::Vec;

use super::cluster::{Cluster, id};
use super::readmission::wipe;
use crate::config::{Durability, ForcedRecovery};
use crate::identity::{BootEpoch, Incarnation, Life, MemberId, RecoveryEpoch, SessionId};
use crate::member::{Survivor, plan_forced_recovery};
use crate::notice::Notice;
use crate::position::Position;
use crate::time::Duration;

const LOST: &[u8] = b"in memory only";

/// Three volatile members with a client, of which `SAFE` is on all disks, and `LOST` on those of
/// `keepers` only; all lost their power.
fn all_killed(keepers: &[u16]) -> (Cluster, Position) {
    let checkpoint_interval = Duration::from_millis(1_000);
    let mut cluster = Cluster::with(3, Durability::Volatile { checkpoint_interval });
    let leader = cluster.run_until_led();
    connect(&mut cluster);
    submit(&mut cluster, b"on the disks");
    let commit = cluster.member(leader).view().commit;
    cluster.run_until("it is on all disks", |cluster| {
        (1..=3).all(|member| cluster.member(member).view().durable >= commit)
    });
    // Records are under way as well.
    cluster.settle();
    for (member, node) in &mut cluster.nodes {
        node.holds_disk = !keepers.contains(&member.0);
    }
    submit(&mut cluster, LOST);
    let until = cluster.now + Duration::from_millis(1_500);
    cluster.run_until("a checkpoint", |cluster| cluster.now > until);
    let lost_to = cluster.member(leader).view().commit;
    for member in 1..=3 {
        cluster.crash(member);
        let node = cluster.nodes.get_mut(&id(member)).unwrap();
        node.holds_disk = false;
    }
    (cluster, lost_to)
}

fn connect(cluster: &mut Cluster) {
    cluster.connect_client();
    cluster.run_until("a session", |cluster| {
        cluster.client.as_ref().unwrap().session() != SessionId::NONE
    });
}

fn submit(cluster: &mut Cluster, payload: &[u8]) {
    let replies = cluster.replies.len();
    cluster.submit(payload);
    cluster.run_until("the reply", |cluster| cluster.replies.len() > replies);
}

fn start(cluster: &mut Cluster, members: &[u16]) {
    members.iter().for_each(|&member| cluster.start(member));
}

fn nobody_leads(cluster: &mut Cluster) {
    let until = cluster.now + Duration::from_millis(3_000);
    cluster.run_until("nobody leads", |cluster| {
        assert_eq!(cluster.leader(), None, "what was committed would be lost unnoticed");
        cluster.now > until
    });
}

/// Does what the operator's tool does with the directories of `members`, none of which runs.
fn recover(cluster: &mut Cluster, members: &[u16]) -> ForcedRecovery {
    let voters: Vec<MemberId> = cluster.nodes.keys().copied().collect();
    let recoveries: Vec<Vec<ForcedRecovery>> = members
        .iter()
        .map(|at| cluster.nodes[&id(*at)].disk.forced.into_iter().collect())
        .collect();
    let disks = members.iter().zip(&recoveries).map(|(&member, recoveries)| {
        let disk = &cluster.nodes[&id(member)].disk;
        let life = Life {
            member: id(member),
            incarnation: Incarnation(1 + disk.lost),
            boot_epoch: BootEpoch(disk.boot_epoch),
        };
        Survivor {
            life,
            epoch: disk.forced.unwrap_or_default().epoch,
            history: &disk.history,
            log_end: Position(disk.log.len() as u64),
            peers: &disk.peers,
            recoveries,
        }
    });
    let survivors: Vec<Survivor<'_>> = disks.collect();
    let forced = plan_forced_recovery(&voters, &survivors).unwrap();
    for &member in members {
        cluster.nodes.get_mut(&id(member)).unwrap().disk.forced = Some(forced);
    }
    cluster.epoch = forced.epoch;
    forced
}

fn applied(cluster: &Cluster, member: u16) -> &[Vec<u8>] {
    &cluster.nodes[&id(member)].applied
}

fn told_of(cluster: &Cluster, member: u16) -> Vec<(RecoveryEpoch, Position)> {
    let told = cluster.notices.iter().filter(|(by, _)| *by == member);
    told.filter_map(|(_, notice)| match notice {
        Notice::RecoveredByForce { epoch, kept } => Some((*epoch, *kept)),
        _ => None,
    })
    .collect()
}

#[test]
fn cd10_a_group_that_lost_what_it_held_goes_on_by_force() {
    let (mut cluster, lost_to) = all_killed(&[]);
    start(&mut cluster, &[1, 2, 3]);
    nobody_leads(&mut cluster);
    assert!((1..=3).all(|member| cluster.member(member).view().impaired));

    (1..=3).for_each(|member| cluster.crash(member));
    let forced = recover(&mut cluster, &[1, 2, 3]);
    assert_eq!(forced.epoch, RecoveryEpoch(1));
    assert!(forced.kept < lost_to && forced.kept <= forced.promised);
    start(&mut cluster, &[1, 2, 3]);
    assert_eq!(cluster.run_until_led(), forced.chosen.0);
    connect(&mut cluster);
    submit(&mut cluster, b"in the new epoch");
    cluster.run_until_level();
    cluster.run_until("all are healed", |cluster| {
        (1..=3).all(|member| !cluster.member(member).view().impaired)
    });
    let expected = [b"on the disks".to_vec(), b"in the new epoch".to_vec()];
    for member in 1..=3 {
        assert_eq!(applied(&cluster, member), expected, "member {member}");
        assert_eq!(told_of(&cluster, member), [(forced.epoch, forced.kept)], "member {member}");
        let view = cluster.member(member).view();
        assert_eq!(view.recovered_at, Some((forced.epoch, forced.kept)));
    }
    // Nothing is told again, and what is of either epoch is read, sent and taken.
    let leader = forced.chosen.0;
    let follower = (1..=3).find(|&member| member != leader).unwrap();
    cluster.crash(follower);
    cluster.start(follower);
    cluster.run_until_level();
    assert_eq!(told_of(&cluster, follower).len(), 1);
    wipe(&mut cluster, follower);
    cluster.nodes.get_mut(&id(follower)).unwrap().disk.forced = Some(forced);
    cluster.start(follower);
    cluster.run_until("it counts again", |cluster| !cluster.member(follower).view().applicant);
    cluster.run_until_level();
    assert_eq!(applied(&cluster, follower), expected);
}

#[test]
fn cd10_only_who_was_chosen_begins_the_new_epoch() {
    let (mut cluster, lost_to) = all_killed(&[2]);
    let forced = recover(&mut cluster, &[1, 2, 3]);
    assert_eq!(forced.chosen, id(2));
    assert!(forced.kept >= lost_to, "a disk has it");
    // The two others would lose what is kept.
    start(&mut cluster, &[1, 3]);
    nobody_leads(&mut cluster);
    start(&mut cluster, &[2]);
    assert_eq!(cluster.run_until_led(), 2);
    cluster.run_until_level();
    for member in 1..=3 {
        assert_eq!(applied(&cluster, member), [b"on the disks".to_vec(), LOST.to_vec()]);
    }
}

#[test]
fn cd10_who_was_chosen_stands_for_nothing_once_its_epoch_has_a_term() {
    let (mut cluster, _) = all_killed(&[]);
    let forced = recover(&mut cluster, &[1, 2, 3]);
    let chosen = forced.chosen.0;
    let others: Vec<u16> = (1..=3).filter(|&member| member != chosen).collect();
    start(&mut cluster, &[1, 2, 3]);
    cluster.run_until_led();
    cluster.run_until("all are healed", |cluster| {
        (1..=3).all(|member| !cluster.member(member).view().impaired)
    });
    // Without it the others commit something, in memory.
    cluster.crash(chosen);
    cluster.run_until_led();
    connect(&mut cluster);
    for node in cluster.nodes.values_mut() {
        node.holds_disk = true;
    }
    submit(&mut cluster, b"by the others");
    others.iter().for_each(|&member| cluster.crash(member));
    for node in cluster.nodes.values_mut() {
        node.holds_disk = false;
        node.pending.clear();
    }
    start(&mut cluster, &[1, 2, 3]);
    nobody_leads(&mut cluster);
    // Again: this epoch's losses are one more decision.
    (1..=3).for_each(|member| cluster.crash(member));
    let again = recover(&mut cluster, &[1, 2, 3]);
    assert_eq!(again.epoch, RecoveryEpoch(2));
    assert!(again.kept > forced.kept, "terms of the first recovery are kept");
    start(&mut cluster, &[1, 2, 3]);
    assert_eq!(cluster.run_until_led(), again.chosen.0);
    cluster.run_until_level();
    assert_eq!(told_of(&cluster, chosen).last(), Some(&(again.epoch, again.kept)));
}

#[test]
fn e120_who_was_left_behind_is_heard_by_nobody_and_rejoins() {
    let (mut cluster, lost_to) = all_killed(&[3]);
    // Whose disk has more takes no part: it was not at hand.
    let forced = recover(&mut cluster, &[1, 2]);
    assert!(forced.kept < lost_to);
    start(&mut cluster, &[1, 2, 3]);
    cluster.run_until_led();
    connect(&mut cluster);
    submit(&mut cluster, b"in the new epoch");
    let until = cluster.now + Duration::from_millis(3_000);
    cluster.run_until("it waits", |cluster| cluster.now > until);
    let behind = cluster.member(3).view();
    assert_eq!((behind.leader, behind.commit), (None, Position(0)));
    assert!(behind.verified >= lost_to && cluster.nodes[&id(3)].fail_stop.is_none());
    wipe(&mut cluster, 3);
    cluster.nodes.get_mut(&id(3)).unwrap().disk.forced =
        Some(ForcedRecovery { epoch: forced.epoch, ..ForcedRecovery::default() });
    cluster.start(3);
    cluster.run_until("it counts again", |cluster| !cluster.member(3).view().applicant);
    cluster.run_until_level();
    let expected = [b"on the disks".to_vec(), b"in the new epoch".to_vec()];
    for member in 1..=3 {
        assert_eq!(applied(&cluster, member), expected, "member {member}");
        assert_eq!(cluster.nodes[&id(member)].fail_stop, None);
    }
}

#[test]
fn cd10_half_of_a_recovery_elects_nobody() {
    let (mut cluster, _) = all_killed(&[]);
    // The tool was interrupted when one of three was in the new epoch.
    let before = cluster.nodes[&id(2)].disk.clone();
    recover(&mut cluster, &[1, 2]);
    cluster.nodes.get_mut(&id(2)).unwrap().disk = before;
    start(&mut cluster, &[1, 2, 3]);
    nobody_leads(&mut cluster);
}
