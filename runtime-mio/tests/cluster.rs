//! The members and clients of every runtime, on threads; and on two runtimes at once.

#[path = "../../driver/tests/cluster/mod.rs"]
mod cluster;

use cluster::{Group, Keeper, Runtime};
use quorate_runtime_mio::{
    ClientHandle, ClientOptions, Idle, MemberHandle, MemberOptions, StartMemberError, StorageMode,
    ThreadOptions, spawn_client, spawn_member,
};

/// Threads that idle in some way.
struct Mio(Idle);

impl Mio {
    fn options(&self) -> ThreadOptions {
        ThreadOptions { idle: self.0, ..ThreadOptions::default() }
    }
}

impl Runtime for Mio {
    fn member(&self, options: MemberOptions) -> Result<MemberHandle<Keeper>, StartMemberError> {
        spawn_member(options, Keeper::default(), self.options())
    }

    fn client(&self, options: ClientOptions) -> ClientHandle {
        spawn_client(options, self.options()).expect("a client")
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

const BLOCK: Mio = Mio(Idle::Block);
const BACKOFF: Mio = Mio(Idle::Backoff { spins: 20, yields: 20 });

#[test]
fn three_members_apply_every_message_once_in_order() {
    cluster::every_message_is_applied_once_in_order(&Group::new([&BLOCK; 3], None));
}

#[test]
fn members_that_back_off_and_wait_for_the_disk_themselves_do_the_same() {
    let mut group = Group::new([&BACKOFF; 3], None);
    group.storage = StorageMode::Inline;
    cluster::every_message_is_applied_once_in_order(&group);
}

#[test]
fn a_member_and_a_client_that_never_wait_do_the_same() {
    // Alone: each of them takes a whole processor.
    cluster::every_message_is_applied_once_in_order(&Group::new([&Mio(Idle::Spin)], None));
}

#[test]
fn members_and_clients_read_at_all_levels() {
    cluster::members_and_clients_read_at_all_levels(&Group::new([&BLOCK; 3], None));
}

#[test]
fn a_leader_that_stops_is_followed_by_another_and_comes_back_level() {
    cluster::a_leader_that_stops_comes_back_level(&Group::new([&BLOCK; 3], cluster::loss()));
}

#[test]
fn a_restart_begins_with_the_newest_whole_snapshot() {
    let mut group = Group::new([&BLOCK; 3], None);
    cluster::a_restart_begins_with_the_newest_whole_snapshot(&group);
    group = Group::new([&BLOCK; 3], None);
    group.storage = StorageMode::Inline;
    cluster::a_restart_begins_with_the_newest_whole_snapshot(&group);
}

#[test]
fn e29_a_member_that_lacks_what_all_have_purged_fetches_a_snapshot() {
    let mut group = Group::new([&BLOCK; 3], cluster::loss());
    cluster::a_member_that_lacks_what_all_have_purged_fetches_a_snapshot(&mut group);
    group = Group::new([&BLOCK; 3], None);
    group.storage = StorageMode::Inline;
    cluster::a_member_that_lacks_what_all_have_purged_fetches_a_snapshot(&mut group);
}

#[test]
fn e45_what_has_rotted_is_mended_by_the_others() {
    let mut group = Group::new([&BLOCK; 3], None);
    cluster::what_has_rotted_is_mended_by_the_others(&mut group);
}

#[test]
fn a_volatile_group_bears_the_loss_of_a_minority() {
    let mut group = Group::new([&BLOCK; 3], None);
    cluster::a_volatile_group_bears_the_loss_of_a_minority(&mut group);
    group = Group::new([&BLOCK; 3], None);
    group.storage = StorageMode::Inline;
    cluster::a_volatile_group_bears_the_loss_of_a_minority(&mut group);
}

#[test]
fn clients_of_a_volatile_group_wait_for_disks() {
    let mut group = Group::new([&BLOCK; 3], None);
    cluster::clients_of_a_volatile_group_wait_for_disks(&mut group);
}

#[test]
fn the_members_are_changed_on_request() {
    cluster::the_members_are_changed(&Group::new([&BLOCK; 3], None));
}

#[test]
fn leadership_is_handed_over_on_request() {
    cluster::leadership_is_handed_over(&Group::new([&BLOCK; 3], None));
}

#[test]
fn dropped_handles_stop_what_they_hold() {
    cluster::dropped_handles_stop_what_they_hold(&BLOCK);
}

#[test]
fn members_on_two_runtimes_are_one_group() {
    let tokio = Tokio::new();
    let group = Group::new([&tokio, &BLOCK, &BACKOFF], None);
    cluster::every_message_is_applied_once_in_order(&group);
}

#[test]
fn a_member_comes_back_under_another_runtime_on_the_same_data() {
    let tokio = Tokio::new();
    // Whoever leads: the runtime of the next one is another.
    let group = Group::new([&BLOCK, &tokio, &BACKOFF], cluster::loss());
    cluster::a_leader_that_stops_comes_back_level(&group);
    let one = Group::new([&tokio], None);
    cluster::every_message_is_applied_once_in_order(&one);
    let again = one.start_under(0, &BLOCK);
    cluster::until_level(core::slice::from_ref(&again), 500);
    again.blocking_shutdown().expect("a graceful end");
}

#[test]
fn a_processor_that_does_not_exist_is_refused_in_words() {
    for cpu in [usize::MAX, 1_023] {
        let options = ThreadOptions { cpu: Some(cpu), ..ThreadOptions::default() };
        let group = Group::new([&BLOCK], None);
        let refused = spawn_member(group.options(0), Keeper::default(), options);
        let text = refused.expect_err("there is no such processor").to_string();
        assert!(text.contains(&format!("processor {cpu}")) && text.contains("choose"), "{text}");
        // Nothing runs, so nothing is locked.
        group.start(0).blocking_shutdown().expect("a graceful end");
    }
}

#[test]
fn a_thread_keeps_to_its_processor_and_has_its_name() {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let allowed = sched_getaffinity(None).expect("processors");
    let cpu = (0..CpuSet::MAX_CPU).rfind(|cpu| allowed.is_set(*cpu)).expect("a processor");
    let group = Group::new([&BLOCK], None);
    let options = ThreadOptions { cpu: Some(cpu), ..ThreadOptions::default() };
    let member = spawn_member(group.options(0), Keeper::default(), options).expect("a member");
    let look = |_: &Keeper, _| {
        let set = sched_getaffinity(None).expect("processors");
        let name = std::thread::current().name().map(str::to_owned);
        (set.count(), set, name)
    };
    let (count, set, name) = member.blocking_inspect(look).expect("a member");
    assert!(count == 1 && set.is_set(cpu));
    assert_eq!(name.as_deref(), Some("member-1"));
    member.blocking_shutdown().expect("a graceful end");
}
