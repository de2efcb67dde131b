//! The members and clients of every runtime, as tasks of async-std; and on three runtimes at once.

#[path = "../../driver/tests/cluster/mod.rs"]
mod cluster;

use cluster::{Group, Keeper, Runtime, in_time};
use quorate_driver::recording::{RecordingReader, ReplayHost};
use quorate_runtime_async_std::{
    ClientHandle, ClientOptions, MemberHandle, MemberOptions, StartMemberError, StorageMode,
    spawn_client, spawn_host, spawn_member,
};
use quorate_runtime_mio::ThreadOptions;

/// Tasks of async-std's executor.
struct AsyncStd;

impl Runtime for AsyncStd {
    fn member(&self, options: MemberOptions) -> Result<MemberHandle<Keeper>, StartMemberError> {
        spawn_member(options, Keeper::default())
    }

    fn client(&self, options: ClientOptions) -> ClientHandle {
        spawn_client(options).expect("a client")
    }
}

/// Threads of mio.
struct Mio;

impl Runtime for Mio {
    fn member(&self, options: MemberOptions) -> Result<MemberHandle<Keeper>, StartMemberError> {
        quorate_runtime_mio::spawn_member(options, Keeper::default(), ThreadOptions::default())
    }

    fn client(&self, options: ClientOptions) -> ClientHandle {
        quorate_runtime_mio::spawn_client(options, ThreadOptions::default()).expect("a client")
    }
}

/// Threads of tokio.
struct Tokio(tokio::runtime::Runtime);

impl Tokio {
    fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Self(builder.worker_threads(2).enable_io().build().expect("threads"))
    }
}

impl Runtime for Tokio {
    fn member(&self, options: MemberOptions) -> Result<MemberHandle<Keeper>, StartMemberError> {
        let _entered = self.0.enter();
        quorate_runtime_tokio::spawn_member(options, Keeper::default())
    }

    fn client(&self, options: ClientOptions) -> ClientHandle {
        let _entered = self.0.enter();
        quorate_runtime_tokio::spawn_client(options).expect("a client")
    }
}

#[test]
fn three_members_apply_every_message_once_in_order() {
    cluster::every_message_is_applied_once_in_order(&Group::new([&AsyncStd; 3], None));
}

#[test]
fn members_that_wait_for_the_disk_themselves_do_the_same() {
    let mut group = Group::new([&AsyncStd; 3], None);
    group.storage = StorageMode::Inline;
    cluster::every_message_is_applied_once_in_order(&group);
}

#[test]
fn members_and_clients_read_at_all_levels() {
    cluster::members_and_clients_read_at_all_levels(&Group::new([&AsyncStd; 3], None));
}

#[test]
fn a_leader_that_stops_is_followed_by_another_and_comes_back_level() {
    cluster::a_leader_that_stops_comes_back_level(&Group::new([&AsyncStd; 3], cluster::loss()));
}

#[test]
fn a_restart_begins_with_the_newest_whole_snapshot() {
    let mut group = Group::new([&AsyncStd; 3], None);
    cluster::a_restart_begins_with_the_newest_whole_snapshot(&group);
    group = Group::new([&AsyncStd; 3], None);
    group.storage = StorageMode::Inline;
    cluster::a_restart_begins_with_the_newest_whole_snapshot(&group);
}

#[test]
fn e29_a_member_that_lacks_what_all_have_purged_fetches_a_snapshot() {
    let mut group = Group::new([&AsyncStd; 3], cluster::loss());
    cluster::a_member_that_lacks_what_all_have_purged_fetches_a_snapshot(&mut group);
    group = Group::new([&AsyncStd; 3], None);
    group.storage = StorageMode::Inline;
    cluster::a_member_that_lacks_what_all_have_purged_fetches_a_snapshot(&mut group);
}

#[test]
fn e45_what_has_rotted_is_mended_by_the_others() {
    let mut group = Group::new([&AsyncStd; 3], None);
    cluster::what_has_rotted_is_mended_by_the_others(&mut group);
}

#[test]
fn a_volatile_group_bears_the_loss_of_a_minority() {
    let mut group = Group::new([&AsyncStd; 3], None);
    cluster::a_volatile_group_bears_the_loss_of_a_minority(&mut group);
}

#[test]
fn clients_of_a_volatile_group_wait_for_disks() {
    let mut group = Group::new([&AsyncStd; 3], None);
    cluster::clients_of_a_volatile_group_wait_for_disks(&mut group);
}

#[test]
fn the_members_are_changed_on_request() {
    cluster::the_members_are_changed(&Group::new([&AsyncStd; 3], None));
}

#[test]
fn leadership_is_handed_over_on_request() {
    cluster::leadership_is_handed_over(&Group::new([&AsyncStd; 3], None));
}

#[test]
fn dropped_handles_stop_what_they_hold() {
    cluster::dropped_handles_stop_what_they_hold(&AsyncStd);
}

#[test]
fn three_runtimes_make_a_group_and_take_over_each_others_data() {
    let tokio = Tokio::new();
    cluster::a_leader_that_stops_comes_back_level(&Group::new(
        [&AsyncStd, &Mio, &tokio],
        cluster::loss(),
    ));
}

#[test]
fn the_golden_recording_gives_its_hash() {
    let golden = &include_bytes!("../../driver/golden/life.recording")[..];
    let recording = RecordingReader::new(golden).expect("a recording");
    let replay = spawn_host(|wake| ReplayHost::start(recording, wake)).expect("a replay");
    let replayed = in_time("end", replay.finished()).expect("a whole recording");
    assert!(replayed.matches(), "{replayed:?}");
    let hash = include_str!("../../driver/golden/life.hash");
    assert_eq!(format!("{:#018x}", replayed.hash), hash.trim());
}
