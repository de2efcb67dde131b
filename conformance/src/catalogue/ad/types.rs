//! What types promise, and the parts of a host that have no place on the stage.

use core::future::Future;
use core::net::{Ipv4Addr, SocketAddr};
use core::pin::pin;
use core::task::{Context, Waker};

use quorate_archive::{Archive, ArchiveError, Identity, SEGMENT_BYTES_MIN};
use quorate_core::{Action, Actions, Apply, Delivery, Event, Instant, Member, OperationId};
use quorate_core::{Incarnation, MemberId, RecoveryEpoch};
use quorate_driver::{FaultyPort, MemberHost, MemberLoop, ServiceHost, Stopped, Turn, UdpPort};
use quorate_sim::SimDisk;

use crate::case::{Failure, Verdict, check};
use crate::desk::{DeskOptions, config};
use crate::edges::{EdgeLog, EdgeService, EdgeSocket, EdgeStorage, Edges};
use crate::stage::TAG;
use crate::trial::Trial;

type Loop = MemberLoop<EdgeSocket, EdgeLog, EdgeStorage, EdgeService>;

/// A loop on edges of its own, at the beginning of time.
fn looped(members: u16) -> Result<(Loop, Edges), Failure> {
    let options = DeskOptions::member_of(members);
    let config = config(&options);
    let disk = SimDisk::new(TAG, options.limits.frame_bytes_max());
    let edges = Edges::new(config.member, disk);
    let recovered = edges.begin_life();
    let member = Member::new(config, recovered, edges.now())
        .map_err(|error| Failure::broken(format!("the member does not start: {error}")))?;
    let (port, service) =
        (FaultyPort::new(edges.socket(), None), ServiceHost::new(edges.service()));
    Ok((Loop::new(member, port, edges.log(), edges.storage(), service), edges))
}

pub(super) fn ad_23(_: &mut Trial<'_>) -> Verdict {
    // Whoever steps has the member to himself, or this does not compile.
    let _: fn(&mut Member, Instant, Event<'_>, &mut Actions) = Member::step;
    let _: fn(&mut Loop, Instant) -> Result<(), Stopped> = Loop::timer;
    // Ports of a life that has ended are dead: a late thread writes nothing.
    let (mut member, edges) = looped(1)?;
    let mut late = edges.storage();
    edges.end_life(None);
    edges.begin_life();
    edges.set_now(Instant(10_000_000_000));
    let _ = member.timer(edges.now());
    let _ = member.flush(edges.now());
    let operation = OperationId::default();
    let sync = quorate_driver::StorageRequest::Sync { operation };
    quorate_driver::StoragePort::submit(&mut late, sync);
    let deeds = edges.take_deeds().len();
    check(deeds == 0, || format!("a life that had ended did {deeds} things at its edges"))
}

pub(super) fn ad_25(_: &mut Trial<'_>) -> Verdict {
    let mut desk = crate::desk::Desk::new(DeskOptions::member_of(1))?;
    desk.lead()?;
    let frames = |actions: &[Action]| {
        let applies = actions.iter().filter_map(|action| match action {
            Action::Apply(Apply { position, end, delivery, .. }) => {
                Some((*position, *end, matches!(delivery, Delivery::Message { .. })))
            }
            _ => None,
        });
        applies.collect::<Vec<_>>()
    };
    let view = desk.view();
    let caught_up = view.applied == view.commit && !view.applying;
    desk.check(caught_up, "it has not applied all that is committed")?;
    // What is reported is exactly what was handed over: one more report changes nothing.
    let outputs = quorate_core::Outputs::new();
    let through = view.applied;
    let actions = desk.step(Event::Applied { through, outputs: &outputs }).to_vec();
    check(frames(&actions).is_empty(), || "a report of nothing new led to more".to_owned())?;
    desk.check(desk.view() == view, "a report of nothing new changed it")
}

pub(super) fn ad_29(_: &mut Trial<'_>) -> Verdict {
    let (member, edges) = looped(1)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (mut host, handle, completions) =
        MemberHost::with_ports(member, edges.clock(), address, Box::new(|| {}));
    let mut context = Context::from_waker(Waker::noop());
    // Requests that are given up before, between and after the member's turns.
    for turns in 0..40_u64 {
        let mut asked = pin!(handle.status());
        if asked.as_mut().poll(&mut context).is_ready() {
            return Err(Failure::broken("a member answers without taking a turn"));
        }
        edges.set_now(Instant((turns + 1) * 20_000_000));
        for _ in 0..turns % 3 {
            let _: Turn = host.turn();
        }
        for deed in edges.take_deeds() {
            if let crate::edges::Deed::Asked { operation, .. } = deed {
                edges.complete(operation);
            }
        }
        for input in edges.take_others() {
            if let crate::edges::Input::Storage(completion) = input {
                completions.put(completion);
            }
        }
    }
    let mut last = pin!(handle.status());
    let mut answer = last.as_mut().poll(&mut context);
    for _ in 0..10 {
        if answer.is_ready() {
            break;
        }
        let _: Turn = host.turn();
        answer = last.as_mut().poll(&mut context);
    }
    match answer {
        core::task::Poll::Ready(Ok(status)) => check(status.view.serving, || {
            format!("requests that were given up cost it its work: {:?}", status.view)
        }),
        other => {
            Err(Failure::broken(format!("the request behind them is not answered: {other:?}")))
        }
    }
}

/// What a member asks and sends in its first two seconds, when its disk answers at once.
fn first_seconds(members: &mut [(Loop, Edges)]) -> Vec<String> {
    let mut deeds = vec![String::new(); members.len()];
    for turn in 0..200_u64 {
        for ((member, edges), said) in members.iter_mut().zip(&mut deeds) {
            edges.set_now(Instant(turn * 10_000_000));
            for input in edges.take_others() {
                if let crate::edges::Input::Storage(completion) = input {
                    let _ = member.complete(edges.now(), completion);
                }
            }
            let _ = member.timer(edges.now());
            let _ = member.flush(edges.now());
            for deed in edges.take_deeds() {
                if let crate::edges::Deed::Asked { operation, .. } = &deed {
                    edges.complete(*operation);
                }
                said.push_str(&format!("{turn}: {deed:?}\n"));
            }
        }
    }
    deeds
}

pub(super) fn ad_31(_: &mut Trial<'_>) -> Verdict {
    let alone = first_seconds(&mut [looped(1)?]);
    let both = first_seconds(&mut [looped(1)?, looped(1)?]);
    check(!alone[0].is_empty(), || "a member did nothing at all".to_owned())?;
    let same = both == [alone[0].clone(), alone[0].clone()];
    check(same, || "two members in one process disturb each other".to_owned())?;

    let failed = |error: String| Failure::Harness(format!("no directory: {error}"));
    let directory = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
    let identity = Identity {
        group: crate::stage::GROUP,
        recovery_epoch: RecoveryEpoch(0),
        member: MemberId(1),
        incarnation: Incarnation(1),
        voters: vec![MemberId(1)],
        segment_bytes: SEGMENT_BYTES_MIN,
    };
    quorate_archive::init(directory.path(), &identity)
        .map_err(|error| failed(error.to_string()))?;
    let open = || Archive::open(directory.path(), &quorate_archive::Options::default());
    let (first, recovered) = open().map_err(|error| failed(error.to_string()))?;
    match open() {
        Err(ArchiveError::Locked { .. }) => {}
        other => return Err(Failure::broken(format!("the second is told {other:?}"))),
    }
    drop(first);
    match open() {
        Ok((_, later)) => check(later.life.boot_epoch > recovered.life.boot_epoch, || {
            format!("its life is {:?} after {:?}", later.life, recovered.life)
        }),
        Err(error) => Err(Failure::broken(format!("it is locked by nobody: {error}"))),
    }
}

pub(super) fn ad_30(_: &mut Trial<'_>) -> Verdict {
    let failed = |error| Failure::Harness(format!("no socket: {error}"));
    let taken = UdpPort::open(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None);
    let taken = taken.map_err(|error| failed(error.to_string()))?;
    let address = taken.address().map_err(|error| failed(error.to_string()))?;
    match UdpPort::open(address, None) {
        Ok(_) => Err(Failure::broken(format!("two sockets at {address}"))),
        Err(error) => {
            let text = error.to_string();
            check(text.contains(&address.to_string()), || format!("it names no address: {text}"))
        }
    }
}
