//! Runtimes that are none: the suite says what is wrong with each.

use core::time::Duration;
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use quorate_conformance::edges::Edges;
use quorate_conformance::subjects::hosted::{VirtualHost, spawn_patiently};
use quorate_conformance::{
    Description, Node, NodeSpec, Outcome, Profile, SpawnError, Subject, catalogue, run_case,
};
use quorate_driver::{Host, Turn};

/// Drives hosts as badly as this says. What it keeps ends with it.
struct Bad {
    drive: fn(VirtualHost, Keeper),
    kept: Mutex<Vec<Sender<()>>>,
}

/// Where a thread waits until the test is over.
type Keeper = Receiver<()>;

impl Subject for Bad {
    fn describe(&self) -> Description {
        Description { name: "bad".into(), ..Description::default() }
    }

    fn spawn(&self, spec: &NodeSpec, edges: Edges) -> Result<Box<dyn Node>, SpawnError> {
        let (keep, kept) = channel();
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(keep);
        let drive = self.drive;
        spawn_patiently(spec, edges, Duration::from_millis(500), |begin| {
            let (host, remote) = begin(Box::new(|| {}))?;
            thread::spawn(move || drive(host, kept));
            Ok(remote)
        })
    }
}

fn reason_of(drive: fn(VirtualHost, Keeper)) -> String {
    let case = catalogue::find("EL-01").expect("EL-01 is there");
    let report = run_case(&Bad { drive, kept: Mutex::default() }, case, 1, Profile::Quick);
    assert_eq!((report.outcome, report.observer.as_deref()), (Outcome::Fail, Some("subject")));
    report.reason.unwrap_or_default()
}

#[test]
fn one_that_takes_no_turn_overlooks_a_wake_up() {
    let reason = reason_of(|host, kept| {
        let _ = kept.recv();
        drop(host);
    });
    assert!(reason.contains("its runtime overlooked a wake-up: no turn within 500ms"), "{reason}");
}

#[test]
fn one_that_does_not_wait_spins() {
    let reason = reason_of(|mut host, _| while host.turn() != Turn::Ended {});
    assert!(reason.contains("its runtime spins"), "{reason}");
}

#[test]
fn one_that_drops_its_host_is_told_so() {
    let reason = reason_of(|mut host, _| {
        let _: Turn = host.turn();
    });
    assert!(reason.contains("its runtime dropped it"), "{reason}");
}

#[test]
fn one_that_hears_no_alarm_stands_still() {
    // It goes on when the socket is readable, and forgets what the host said of the time.
    let reason = reason_of(|mut host, kept| {
        let watched = host.socket().try_clone_to_owned().expect("a descriptor");
        let socket = UdpSocket::from(watched);
        while host.turn() != Turn::Ended {
            while socket.peek(&mut [0; 1]).is_err() {
                let within = Duration::from_millis(1);
                if kept.recv_timeout(within) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        }
    });
    assert!(reason.contains("its runtime overlooked a wake-up"), "{reason}");
}
