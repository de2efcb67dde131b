mod stopping;

use core::cell::{Cell, RefCell};
use core::net::Ipv4Addr;
use std::io;
use std::rc::Rc;

use quorate_codecs::{Header, encode_control};
use quorate_core::message::Message;
use quorate_core::{
    Action, BootEpoch, Durability, Endpoint, GroupId, Incarnation, Life, Limits, Member,
    MemberConfig, MemberId, OperationId, Position, Recovered, RecoveryEpoch, Sender as Origin,
    Term, Timing, VoteKey,
};

use super::*;
use crate::faults::FaultyPort;
use crate::frozen::Frozen;
use crate::host::ServiceHost;
use crate::member_handle::StartMemberError;
use crate::port::{AppendError, Received, StorageRequest};
use crate::service::{Context, ServiceError};

/// Has one more datagram, always, unless it is quiet; takes nothing that is sent unless it has
/// room.
struct Saturated {
    datagram: Vec<u8>,
    quiet: Rc<Cell<bool>>,
    received: Rc<Cell<usize>>,
    room: bool,
}

impl DatagramPort for Saturated {
    fn send(&mut self, _to: Endpoint, run: &[u8], datagram_bytes: usize) -> io::Result<usize> {
        Ok(if self.room { run.len().div_ceil(datagram_bytes) } else { 0 })
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        if self.quiet.get() {
            return Ok(None);
        }
        self.received.set(self.received.get() + 1);
        buffer[..self.datagram.len()].copy_from_slice(&self.datagram);
        Ok(Some(Received::single(Endpoint([2; 18]), self.datagram.len())))
    }
}

struct Log;

impl LogPort for Log {
    type Cut = Position;

    fn append(&mut self, _at: Position, _bytes: (&[u8], &[u8])) -> Result<(), AppendError> {
        Ok(())
    }

    fn cut(&mut self, at: Position) -> Position {
        at
    }
}

/// Completes when the test says so.
#[derive(Clone, Default)]
struct Storage {
    asked: Rc<RefCell<Vec<OperationId>>>,
    closed: Rc<Cell<bool>>,
}

impl StoragePort<Position> for Storage {
    fn submit(&mut self, request: StorageRequest<Position>) {
        let (StorageRequest::Sync { operation }
        | StorageRequest::PersistVote { operation, .. }
        | StorageRequest::PersistHistory { operation, .. }
        | StorageRequest::PersistPeers { operation, .. }
        | StorageRequest::StoreSnapshot { operation, .. }
        | StorageRequest::Read { operation, .. }) = request
        else {
            return;
        };
        self.asked.borrow_mut().push(operation);
    }

    fn close(&mut self) {
        self.closed.set(true);
    }
}

struct Nothing;

impl Service for Nothing {
    fn message(
        &mut self,
        _context: &mut Context<'_>,
        _payload: &[u8],
        _reply: &mut Vec<u8>,
    ) -> Result<(), ServiceError> {
        Ok(())
    }

    fn snapshot(&self) -> Frozen {
        Frozen::laid_out(Vec::new())
    }

    fn restore(&mut self, _bytes: &[u8]) -> Result<(), ServiceError> {
        Ok(())
    }
}

/// Ten microseconds pass whenever somebody looks.
#[derive(Clone, Default)]
struct Ticking(Rc<Cell<u64>>);

const TICK: u64 = 10_000;

impl Clock for Ticking {
    fn now(&self) -> Instant {
        self.0.set(self.0.get() + TICK);
        Instant(self.0.get())
    }
}

struct World {
    host: MemberHost<Nothing, Saturated, Log, Storage, Ticking>,
    handle: MemberHandle<Nothing>,
    completions: Completions,
    storage: Storage,
    clock: Ticking,
    quiet: Rc<Cell<bool>>,
    received: Rc<Cell<usize>>,
    woken: Receiver<()>,
}

/// A member of a group of `voters`, under a flood of canvasses that it refuses or ignores.
fn world(voters: u16, room: bool) -> World {
    world_of(voters, room, Durability::default())
}

fn world_of(voters: u16, room: bool, durability: Durability) -> World {
    let config = MemberConfig {
        group: GroupId(9),
        recovery_epoch: RecoveryEpoch(0),
        durability,
        member: MemberId(1),
        voters: (1..=voters).map(|id| (MemberId(id), Endpoint([id as u8; 18]))).collect(),
        joins: false,
        seed: 1,
        timing: Timing::default(),
        limits: Limits::default(),
    };
    let life =
        |id| Life { member: MemberId(id), incarnation: Incarnation(1), boot_epoch: BootEpoch(1) };
    let Life { member, incarnation, boot_epoch } = life(2);
    let header =
        Header { tag: config.tag(), sender: Origin::Member { member, incarnation, boot_epoch } };
    let key = VoteKey { term: Term(0), position: Position(0) };
    let mut datagram = vec![0; 512];
    let message = Message::RequestVote { term: Term(1), key };
    let length = encode_control(&header, &message, &mut datagram).unwrap();
    datagram.truncate(length);
    let member = Member::new(config, Recovered::empty(life(1)), Instant(0)).unwrap();
    let (quiet, received) = (Rc::<Cell<bool>>::default(), Rc::<Cell<usize>>::default());
    let port =
        Saturated { datagram, quiet: Rc::clone(&quiet), received: Rc::clone(&received), room };
    let (storage, clock) = (Storage::default(), Ticking::default());
    let service = ServiceHost::new(Nothing);
    let member =
        MemberLoop::new(member, FaultyPort::new(port, None), Log, storage.clone(), service);
    let (wake, woken) = channel();
    let doorbell = Doorbell::new(Box::new(move || {
        // Nobody listens at the end of a test.
        let _ = wake.send(());
    }));
    let (completions, completed) = Completions::new(doorbell.clone());
    let address = (Ipv4Addr::LOCALHOST, 1).into();
    let (host, handle) = MemberHost::over(member, clock.clone(), completed, doorbell, address);
    World { host, handle, completions, storage, clock, quiet, received, woken }
}

#[test]
fn ad12_a_saturated_socket_keeps_nothing_else_from_being_served() {
    // Alone in its group: it leads as soon as its timers and its disk are heard.
    let mut world = world(1, true);
    let lateness_max = Timing::default().heartbeat_interval.0 / 4;
    for _ in 0..1_000 {
        let before = world.received.get();
        assert_eq!(world.host.turn(), Turn::Again, "there are more datagrams");
        assert_eq!(world.received.get() - before, DATAGRAMS_PER_TURN);
        let now = world.clock.0.get();
        if let Some(deadline) = world.host.member.next_deadline() {
            assert!(deadline.0 + lateness_max > now, "{deadline:?} is overdue at {now}");
        }
        for operation in world.storage.asked.borrow_mut().drain(..) {
            world.completions.put(Completion::Durable { operation });
        }
    }
    assert_eq!(world.host.member.outstanding(), 0, "the last turn took all completions");
    let status = after_one(world.handle.status(), || assert_eq!(world.host.turn(), Turn::Again));
    assert!(status.is_ok_and(|status| status.view.serving), "its timers were served");
}

/// Polls once, does `meanwhile`, and polls again: then it must be ready.
fn after_one<T>(future: impl Future<Output = T>, meanwhile: impl FnOnce()) -> T {
    use core::task::{Context, Poll, Waker};
    let mut future = core::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    meanwhile();
    match future.as_mut().poll(&mut context) {
        Poll::Ready(ready) => ready,
        Poll::Pending => panic!("it was not served by one turn"),
    }
}

#[test]
fn ad16_a_full_socket_is_counted_and_nothing_spins() {
    let mut world = world(3, false);
    world.quiet.set(true);
    let mut waits = 0;
    while world.host.member.status().datagrams.unsent == 0 {
        match world.host.turn() {
            Turn::Wait { until, .. } => {
                let until = until.expect("a member has timers");
                world.clock.0.set(world.clock.0.get().max(until.0));
                waits += 1;
            }
            turn => panic!("{turn:?} without anything to do"),
        }
        assert!(waits < 100, "nothing is ever sent");
    }
    assert_eq!(world.host.member.status().datagrams.sent, 0);
}

#[test]
fn a_loop_that_waits_is_woken_once_by_completions_requests_and_the_end_of_its_handle() {
    let mut world = world(3, true);
    world.quiet.set(true);
    let wait = |host: &mut MemberHost<_, _, _, _, _>| {
        while !matches!(host.turn(), Turn::Wait { .. }) {}
    };
    wait(&mut world.host);
    assert!(world.woken.try_recv().is_err());
    let operation = OperationId { boot_epoch: BootEpoch(7), sequence: 1 };
    world.completions.put(Completion::Durable { operation });
    world.completions.put(Completion::Durable { operation });
    assert_eq!(world.woken.try_iter().count(), 1);
    // Put down during a turn: no call, and no wait.
    world.host.doorbell.answer();
    world.completions.put(Completion::Durable { operation });
    assert!(!world.host.doorbell.rest());
    assert_eq!(world.woken.try_iter().count(), 0);
    wait(&mut world.host);
    drop(world.handle);
    assert_eq!(world.woken.try_iter().count(), 1);
}

#[test]
fn a_member_that_stops_waits_for_its_disk_and_closes_it_but_not_for_ever() {
    let mut world = world(3, true);
    world.quiet.set(true);
    while world.host.member.outstanding() == 0 {
        world.quiet.set(false);
        world.host.turn();
        world.quiet.set(true);
    }
    let mut shutdown = Box::pin(world.handle.shutdown());
    let mut context = core::task::Context::from_waker(core::task::Waker::noop());
    assert!(shutdown.as_mut().poll(&mut context).is_pending());
    while !matches!(world.host.turn(), Turn::Wait { .. }) {}
    assert!(!world.storage.closed.get(), "the vote is not durable yet");
    for operation in world.storage.asked.borrow_mut().drain(..) {
        world.completions.put(Completion::Durable { operation });
    }
    let until = loop {
        match world.host.turn() {
            Turn::Again => {}
            Turn::Wait { until, .. } => break until.expect("the patience ends"),
            Turn::Ended => panic!("its files are still open"),
        }
    };
    assert!(world.storage.closed.get());
    // The disk lets go, or does not: either way it ends.
    world.clock.0.set(until.0);
    assert_eq!(world.host.turn(), Turn::Ended);
    assert_eq!(world.host.turn(), Turn::Ended);
    assert!(
        shutdown.as_mut().poll(&mut context).is_pending(),
        "files are open until it is dropped"
    );
    drop(world.host);
    assert!(matches!(shutdown.as_mut().poll(&mut context), core::task::Poll::Ready(Ok(()))));
}

#[test]
fn a_member_that_stops_leaves_nothing_in_its_socket() {
    // A runtime that watches levels, not edges, would be told of it again and again.
    let mut world = world(3, true);
    while world.host.member.outstanding() == 0 {
        assert_eq!(world.host.turn(), Turn::Again);
    }
    drop(world.handle);
    assert_eq!(world.host.turn(), Turn::Again);
    let draining = world.received.get();
    assert_eq!(world.host.turn(), Turn::Again, "there are more datagrams");
    assert_eq!(world.received.get() - draining, DATAGRAMS_PER_TURN);
    world.quiet.set(true);
    assert!(matches!(world.host.turn(), Turn::Wait { .. }), "the disk is awaited");
    for operation in world.storage.asked.borrow_mut().drain(..) {
        world.completions.put(Completion::Durable { operation });
    }
    while !world.storage.closed.get() {
        assert_eq!(world.host.turn(), Turn::Again);
    }
    world.quiet.set(false);
    let closing = world.received.get();
    assert_eq!(world.host.turn(), Turn::Again);
    assert_eq!(world.received.get() - closing, DATAGRAMS_PER_TURN);
    world.quiet.set(true);
    assert!(matches!(world.host.turn(), Turn::Wait { .. }), "the files are still open");
}

#[test]
fn what_is_due_at_once_is_not_waited_for() {
    let mut world = world(1, true);
    world.quiet.set(true);
    for _ in 0..1_000 {
        if let Turn::Wait { until: Some(until), .. } = world.host.turn() {
            // Nobody has looked at the clock since the turn did.
            let now = world.clock.0.get();
            assert!(until.0 > now, "{until:?} is due at once, at {now}");
            world.clock.0.set(world.clock.0.get().max(until.0));
        }
        for operation in world.storage.asked.borrow_mut().drain(..) {
            world.completions.put(Completion::Durable { operation });
        }
    }
    assert!(world.host.member.status().view.serving);
}

#[test]
fn what_is_asked_of_a_member_that_ends_is_answered_with_that() {
    let mut world = world(3, true);
    world.quiet.set(true);
    let _ = world.host.turn();
    world.completions.put(Completion::Failed { reason: "a deliberate error".into() });
    assert_eq!(world.host.turn(), Turn::Again);
    // It is inert by now, and looks at requests no more.
    let gone = after_one(world.handle.status(), || drop(world.host));
    assert_eq!(gone.unwrap_err(), crate::member_handle::MemberGone);
}

#[test]
fn a_host_of_ports_that_cannot_begin_anew_says_that_it_has_to_be_started() {
    let mut world = world(3, true);
    world.quiet.set(true);
    let _ = world.host.turn();
    world.host.member.perform(Action::Restart, None);
    assert_eq!(world.host.turn(), Turn::Again);
    assert!(world.storage.closed.get());
    drop(world.completions);
    assert_eq!(world.host.turn(), Turn::Ended);
    let mut handle = world.handle;
    let ended = after_one(handle.finished(), || drop(world.host));
    assert!(matches!(ended, Err(RunError::MustRestart)), "{ended:?}");
}

#[test]
fn a_new_life_begins_when_the_storage_of_the_last_one_has_ended() {
    let mut world = world(3, true);
    world.quiet.set(true);
    let _ = world.host.turn();
    let life = Life { member: MemberId(1), incarnation: Incarnation(1), boot_epoch: BootEpoch(9) };
    let config = world.host.member.member().config().clone();
    world.host.renew_by(move |ended, now, completions| {
        assert!(ended.restarts());
        let member = Member::new(config.clone(), Recovered::empty(life), now)?;
        // The storage of this life holds on to it.
        core::mem::forget(completions);
        ended.begin_again(member, Log, Storage::default(), b"").unwrap();
        Ok(())
    });
    world.host.member.perform(Action::Restart, None);
    assert_eq!(world.host.turn(), Turn::Again);
    assert!(world.storage.closed.get());
    assert!(matches!(world.host.turn(), Turn::Wait { .. }), "its files are still open");
    world.quiet.set(false);
    assert_eq!(world.host.turn(), Turn::Again, "nothing stays in its socket");
    world.quiet.set(true);
    let status = world.handle.status();
    let status = after_one(status, || {
        drop(world.completions);
        assert_eq!(world.host.turn(), Turn::Again);
        while !matches!(world.host.turn(), Turn::Wait { .. }) {}
    });
    assert_eq!(status.unwrap().view.life, life, "the handle is the same");
}

#[test]
fn a_life_that_cannot_begin_ends_the_member_with_the_reason() {
    let mut world = world(3, true);
    world.quiet.set(true);
    let _ = world.host.turn();
    let refusal = || io::Error::other("a deliberate error");
    world.host.renew_by(move |_, _, _| Err(StartMemberError::Thread(refusal())));
    world.host.member.perform(Action::Restart, None);
    assert_eq!(world.host.turn(), Turn::Again);
    // The disk does not let go: it is tried all the same.
    let Turn::Wait { until, .. } = world.host.turn() else { panic!("its files are still open") };
    world.clock.0.set(until.expect("the patience ends").0);
    assert_eq!(world.host.turn(), Turn::Again);
    assert_eq!(world.host.turn(), Turn::Ended);
    let mut handle = world.handle;
    let ended = after_one(handle.finished(), || drop(world.host));
    let error = ended.unwrap_err();
    assert!(error.to_string().contains("a deliberate error"), "{error}");
    assert!(matches!(error, RunError::Restart(_)));
}
