//! The members and clients of every runtime, on tokio.

#[path = "../../driver/tests/cluster/mod.rs"]
mod cluster;

use cluster::{Group, Keeper, Runtime};
use quorate_runtime_tokio::{
    ClientHandle, ClientOptions, MemberHandle, MemberOptions, StartMemberError, StorageMode,
    spawn_client, spawn_member,
};

/// Threads of tokio.
struct Tokio(tokio::runtime::Runtime);

impl Tokio {
    fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        // Without timers: the hosts bring their own.
        Self(builder.worker_threads(2).enable_io().build().expect("threads"))
    }
}

impl Runtime for Tokio {
    fn member(&self, options: MemberOptions) -> Result<MemberHandle<Keeper>, StartMemberError> {
        let _entered = self.0.enter();
        spawn_member(options, Keeper::default())
    }

    fn client(&self, options: ClientOptions) -> ClientHandle {
        let _entered = self.0.enter();
        spawn_client(options).expect("a client")
    }
}

#[test]
fn three_members_apply_every_message_once_in_order() {
    let tokio = Tokio::new();
    cluster::every_message_is_applied_once_in_order(&Group::new([&tokio; 3], None));
}

#[test]
fn members_that_wait_for_the_disk_themselves_do_the_same() {
    let tokio = Tokio::new();
    let mut group = Group::new([&tokio; 3], None);
    group.storage = StorageMode::Inline;
    cluster::every_message_is_applied_once_in_order(&group);
}

#[test]
fn members_and_clients_read_at_all_levels() {
    let tokio = Tokio::new();
    cluster::members_and_clients_read_at_all_levels(&Group::new([&tokio; 3], None));
}

#[test]
fn a_leader_that_stops_is_followed_by_another_and_comes_back_level() {
    let tokio = Tokio::new();
    cluster::a_leader_that_stops_comes_back_level(&Group::new([&tokio; 3], cluster::loss()));
}

#[test]
fn a_restart_begins_with_the_newest_whole_snapshot() {
    let tokio = Tokio::new();
    let mut group = Group::new([&tokio; 3], None);
    cluster::a_restart_begins_with_the_newest_whole_snapshot(&group);
    group = Group::new([&tokio; 3], None);
    group.storage = StorageMode::Inline;
    cluster::a_restart_begins_with_the_newest_whole_snapshot(&group);
}

#[test]
fn e29_a_member_that_lacks_what_all_have_purged_fetches_a_snapshot() {
    let tokio = Tokio::new();
    let mut group = Group::new([&tokio; 3], cluster::loss());
    cluster::a_member_that_lacks_what_all_have_purged_fetches_a_snapshot(&mut group);
    group = Group::new([&tokio; 3], None);
    group.storage = StorageMode::Inline;
    cluster::a_member_that_lacks_what_all_have_purged_fetches_a_snapshot(&mut group);
}

#[test]
fn e45_what_has_rotted_is_mended_by_the_others() {
    let tokio = Tokio::new();
    let mut group = Group::new([&tokio; 3], None);
    cluster::what_has_rotted_is_mended_by_the_others(&mut group);
}

#[test]
fn a_volatile_group_bears_the_loss_of_a_minority() {
    let tokio = Tokio::new();
    let mut group = Group::new([&tokio; 3], None);
    cluster::a_volatile_group_bears_the_loss_of_a_minority(&mut group);
}

#[test]
fn clients_of_a_volatile_group_wait_for_disks() {
    let tokio = Tokio::new();
    let mut group = Group::new([&tokio; 3], None);
    cluster::clients_of_a_volatile_group_wait_for_disks(&mut group);
}

#[test]
fn leadership_is_handed_over_on_request() {
    let tokio = Tokio::new();
    cluster::leadership_is_handed_over(&Group::new([&tokio; 3], None));
}

#[test]
fn the_members_are_changed_on_request() {
    let tokio = Tokio::new();
    cluster::the_members_are_changed(&Group::new([&tokio; 3], None));
}

#[test]
fn dropped_handles_stop_what_they_hold() {
    cluster::dropped_handles_stop_what_they_hold(&Tokio::new());
}

#[test]
fn handles_outlive_their_runtime_and_say_that_it_is_gone() {
    let tokio = Tokio::new();
    let group = Group::new([&tokio], None);
    let (mut member, client) = (group.start(0), group.client());
    drop(group);
    drop(tokio);
    assert!(cluster::in_time("end", member.finished()).is_err());
    assert!(cluster::in_time("answer", member.status()).is_err());
    assert!(cluster::in_time("answer", client.status()).is_err());
    assert!(client.blocking_close().is_err());
}
