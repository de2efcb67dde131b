//! How long a member that stops waits for its disk, and what it says when that came up short.

use core::task::{Context, Poll, Waker};

use quorate_core::Duration;

use super::*;
use crate::member_host::STOP_TIMEOUT;

fn volatile() -> Durability {
    Durability::Volatile { checkpoint_interval: Duration::from_millis(1_000) }
}

/// Takes turns until there is nothing to do, and returns until when, or that it has ended.
fn turn_until_waiting(host: &mut MemberHost<Nothing, Saturated, Log, Storage, Ticking>) -> Turn {
    loop {
        match host.turn() {
            Turn::Again => {}
            turn => return turn,
        }
    }
}

fn complete_all(world: &World) {
    for operation in world.storage.asked.borrow_mut().drain(..) {
        world.completions.put(Completion::Durable { operation });
    }
}

/// A member of a volatile group whose mark is durable: what it promises may exceed its disk. It
/// has cast a vote since, which its disk has not.
fn in_debt() -> World {
    let mut world = world_of(3, true, volatile());
    world.quiet.set(true);
    for _ in 0..3 {
        turn_until_waiting(&mut world.host);
        complete_all(&world);
        // Whatever is due.
        world.clock.0.set(world.clock.0.get() + 60_000_000);
    }
    while world.host.member.outstanding() == 0 {
        world.quiet.set(false);
        world.host.turn();
        world.quiet.set(true);
    }
    assert!(world.host.member.member().is_in_debt());
    world
}

/// Takes turns for so long, with the disk as it is; whether the member goes on waiting for it.
fn waits(world: &mut World, span: Duration) -> bool {
    let end = world.clock.0.get() + span.0;
    loop {
        match turn_until_waiting(&mut world.host) {
            Turn::Wait { until, .. } if !world.storage.closed.get() => {
                let until = until.expect("the patience ends").0;
                if until > end {
                    world.clock.0.set(end);
                    return true;
                }
                world.clock.0.set(world.clock.0.get().max(until));
            }
            _ => return false,
        }
    }
}

/// Lets the member end, however its disk is.
fn outcome(world: World) -> Result<(), RunError> {
    let World { mut host, mut handle, clock, .. } = world;
    while let Turn::Wait { until, .. } = turn_until_waiting(&mut host) {
        clock.0.set(clock.0.get().max(until.expect("the patience ends").0));
    }
    after_one(handle.finished(), || drop(host))
}

/// Asks for something that is only put down.
fn ask(request: impl Future<Output = Result<(), crate::MemberGone>>) {
    let mut request = core::pin::pin!(request);
    let put = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(put, Poll::Ready(Ok(()))), "there is room for a request");
}

#[test]
fn a_volatile_member_waits_as_long_as_its_disk_gets_on() {
    let mut world = in_debt();
    ask(world.handle.begin_shutdown());
    assert!(waits(&mut world, Duration(STOP_TIMEOUT.0 - 1_000_000)), "two seconds are too few");
    let mut steps = 0;
    while world.host.member.outstanding() > 0 {
        let operation = world.storage.asked.borrow_mut().remove(0);
        world.completions.put(Completion::Durable { operation });
        steps += 1;
        if world.storage.asked.borrow().is_empty() && !world.host.member.member().is_in_debt() {
            break;
        }
        if !waits(&mut world, Duration(STOP_TIMEOUT.0 - 1_000_000)) {
            break;
        }
    }
    assert!(steps >= 2, "the vote, and that nothing is in doubt any more: {steps}");
    assert!(!world.host.member.member().is_in_debt());
    assert!(outcome(world).is_ok(), "it stopped in good order");
}

#[test]
fn a_volatile_member_whose_disk_came_up_short_says_so() {
    let mut world = in_debt();
    ask(world.handle.begin_shutdown());
    world.host.stop_within(Duration::from_millis(9_000));
    assert!(waits(&mut world, Duration::from_millis(8_999)));
    assert!(!waits(&mut world, Duration::from_millis(2)), "a limit is one");
    assert!(world.storage.closed.get());
    let error = outcome(world).unwrap_err();
    assert!(matches!(error, RunError::CutShort), "{error}");
    assert!(error.to_string().contains("stop_timeout"), "{error}");
}

#[test]
fn who_is_told_to_stop_twice_waits_for_no_disk() {
    let mut world = in_debt();
    ask(world.handle.begin_shutdown());
    assert!(waits(&mut world, Duration::from_millis(1_000)));
    // Meanwhile it says how it is.
    let status = after_one(world.handle.status(), || {
        turn_until_waiting(&mut world.host);
    });
    assert!(status.is_ok());
    ask(world.handle.cut_short());
    assert!(!waits(&mut world, Duration::from_millis(1)));
    assert!(world.storage.closed.get());
    assert_eq!(world.host.turn(), Turn::Ended, "not even the end of its threads is awaited");
    assert!(matches!(outcome(world), Err(RunError::CutShort)));
}

#[test]
fn who_is_to_wait_for_nothing_at_once_says_what_it_owes() {
    let mut world = in_debt();
    ask(world.handle.cut_short());
    assert!(!waits(&mut world, Duration::from_millis(1)));
    assert!(world.storage.closed.get());
    assert!(matches!(outcome(world), Err(RunError::CutShort)));
}

#[test]
fn who_owes_nothing_does_not_wait_long_for_its_disk() {
    let mut world = world(3, true);
    world.quiet.set(true);
    while world.host.member.outstanding() == 0 {
        world.quiet.set(false);
        world.host.turn();
        world.quiet.set(true);
    }
    ask(world.handle.begin_shutdown());
    assert!(waits(&mut world, Duration::from_millis(1_900)));
    assert!(!waits(&mut world, Duration::from_millis(200)));
    assert!(outcome(world).is_ok(), "nothing that it has promised is in doubt");
}
