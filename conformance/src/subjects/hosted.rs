//! A member of the suite under anybody's runtime of [`quorate_driver`]'s hosts.
//!
//! ```text
//!   stage's thread                                   runtime's thread
//!   Node::turn ── order ─────────────────────────►   spawn_host's loop
//!      │   a completion rings the doorbell            │  Host::turn ──► MemberHost::turn
//!      │   a datagram makes a real socket readable    │                  over virtual edges
//!      │   a deadline lets a real alarm ring          │
//!      ◄──────────────────────────── answer ──────────┘  when it waits again
//! ```
//!
//! Time and everything that is sent and stored are virtual; what the runtime waits for between the
//! turns is real. A runtime that overlooks one of the three hangs, and is told so.

use core::net::{Ipv4Addr, SocketAddr};
use core::panic::AssertUnwindSafe;
use core::time::Duration;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::catch_unwind;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use quorate_core::{Instant, Member};
use quorate_driver::{
    Clock, Completions, FaultyPort, Host, MemberHandle, MemberHost, MemberLoop, RuntimeError,
    ServiceHost, SystemClock, Turn, Wake,
};

use crate::edges::{EdgeClock, EdgeLog, EdgeService, EdgeSocket, EdgeStorage, Edges, Input};
use crate::subject::{MembersView, Node, NodeSpec, NodeView, SpawnError, Turned};
use crate::subjects::demands::Demands;

/// How long a runtime may take for one turn before it counts as hung, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(20);
/// Turns without anything to do after which a runtime counts as spinning.
const IDLE_TURNS_MAX: u32 = 1_000;
/// So many of them are forgotten with each order: a doorbell may ring once more than it has to.
const IDLE_TURNS_FORGIVEN: u32 = 4;
/// Turns in a row that a member may ask for at one time (E105).
const TURNS_MAX: u32 = 10_000;
/// How far ahead a real alarm is set, in nanoseconds.
const ALARM: u64 = 1_000;
/// How far ahead one of [`LONG_ALARM_EVERY`] is: who spins has time to show it then, however short
/// the time is that a busy machine leaves it between two orders.
const LONG_ALARM: u64 = 1_000_000;
const LONG_ALARM_EVERY: u32 = 64;

type Loop = MemberLoop<EdgeSocket, EdgeLog, EdgeStorage, EdgeService>;
type EdgeHost = MemberHost<EdgeService, EdgeSocket, EdgeLog, EdgeStorage, EdgeClock>;

/// What a runtime's `spawn_host` calls with its wake function: makes the host that it is to drive.
pub type Begin = Box<dyn FnOnce(Wake) -> Result<(VirtualHost, Remote), RuntimeError>>;

/// Starts one life of a member under a runtime: `drive` is its `spawn_host`.
///
/// ```text
/// hosted::spawn(spec, edges, |begin| my_runtime::spawn_host(begin))
/// ```
///
/// # Errors
/// The core refuses the member, or the runtime cannot drive it.
pub fn spawn(
    spec: &NodeSpec,
    edges: Edges,
    drive: impl FnOnce(Begin) -> Result<Remote, RuntimeError>,
) -> Result<Box<dyn Node>, SpawnError> {
    spawn_patiently(spec, edges, PATIENCE, drive)
}

/// [`spawn`] with another limit for how long a turn may take, in real time.
///
/// # Errors
/// As there.
pub fn spawn_patiently(
    spec: &NodeSpec,
    edges: Edges,
    patience: Duration,
    drive: impl FnOnce(Begin) -> Result<Remote, RuntimeError>,
) -> Result<Box<dyn Node>, SpawnError> {
    let recovered =
        edges.recovered().ok_or_else(|| SpawnError::Refused("nothing recovered".into()))?;
    let member = Member::new(spec.config.clone(), recovered, edges.now())
        .map_err(|error| SpawnError::Refused(error.to_string()))?;
    let view = view_of(&member);
    let (service, log, storage) = (ServiceHost::new(edges.service()), edges.log(), edges.storage());
    let looped = Loop::new(member, FaultyPort::new(edges.socket(), None), log, storage, service);
    let clock = edges.clock();
    let begin: Begin = Box::new(move |wake| VirtualHost::new(looped, clock, wake));
    let Remote { meeting, bell, handle, completions } =
        drive(begin).map_err(|error| SpawnError::Refused(error.to_string()))?;
    Ok(Box::new(HostedNode {
        meeting,
        bell,
        handle: Some(Rc::new(handle)),
        demands: Demands::default(),
        completions: Some(completions),
        edges,
        view,
        patience,
        rests: false,
    }))
}

/// The suite's end of a host: what comes back through `spawn_host`.
#[derive(Debug)]
pub struct Remote {
    meeting: Arc<Meeting>,
    /// What makes the real socket readable.
    bell: UdpSocket,
    handle: MemberHandle<EdgeService>,
    completions: Completions,
}

/// Where the stage's thread and the runtime's meet.
#[derive(Debug, Default)]
struct Meeting {
    table: Mutex<Table>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    order: Option<Order>,
    answer: Option<(Turned, Option<NodeView>)>,
    gone: bool,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    /// Take turns until there is nothing more to do; before, wait for an alarm if so said.
    Turn { alarm: bool },
    /// Be gone, as a killed process is.
    Die,
}

impl Meeting {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A member on the suite's edges, as a runtime drives it.
#[derive(Debug)]
pub struct VirtualHost {
    member: EdgeHost,
    meeting: Arc<Meeting>,
    clock: SystemClock,
    /// Connected to itself; carries nothing but readiness.
    socket: UdpSocket,
    alarm: Option<Instant>,
    alarms: u32,
    turns: u32,
    idle_turns: u32,
}

impl VirtualHost {
    fn new(looped: Loop, clock: EdgeClock, wake: Wake) -> Result<(Self, Remote), RuntimeError> {
        let set_up = || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(socket.local_addr()?)?;
            socket.set_nonblocking(true)?;
            io::Result::Ok((socket.try_clone()?, socket))
        };
        let (bell, socket) =
            set_up().map_err(|source| RuntimeError::new("open a socket to be watched", source))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (member, handle, completions) = MemberHost::with_ports(looped, clock, address, wake);
        let meeting = Arc::new(Meeting::default());
        let remote = Remote { meeting: Arc::clone(&meeting), bell, handle, completions };
        let clock = SystemClock::start();
        let (alarm, alarms, turns, idle_turns) = (None, 0, 0, 0);
        Ok((Self { member, meeting, clock, socket, alarm, alarms, turns, idle_turns }, remote))
    }

    fn answer(&mut self, turned: Turned) {
        (self.alarm, self.turns) = (None, 0);
        self.idle_turns = self.idle_turns.saturating_sub(IDLE_TURNS_FORGIVEN);
        let view = view_of(self.member.member().member());
        let mut table = self.meeting.table();
        table.order = None;
        table.answer = Some((turned, Some(view)));
        self.meeting.answered.notify_all();
    }

    fn fail(&mut self, fault: impl Into<String>) -> Turn {
        self.answer(Turned { fault: Some(fault.into()), ..Turned::default() });
        Turn::Ended
    }

    fn idle(&mut self) -> Turn {
        self.idle_turns += 1;
        if self.idle_turns > IDLE_TURNS_MAX {
            return self.fail("its runtime spins: it takes turns although it was told to wait");
        }
        Turn::Wait { until: self.alarm, worked: false }
    }

    /// Whether the alarm that the order wants has still to ring.
    fn awaits_alarm(&mut self, wanted: bool) -> bool {
        if !wanted {
            return false;
        }
        let now = self.clock.now();
        if let Some(alarm) = self.alarm {
            return alarm > now;
        }
        self.alarms = self.alarms.wrapping_add(1);
        let ahead = if self.alarms.is_multiple_of(LONG_ALARM_EVERY) { LONG_ALARM } else { ALARM };
        self.alarm = Some(Instant(now.0 + ahead));
        true
    }

    fn advance(&mut self) -> Turn {
        let turn = catch_unwind(AssertUnwindSafe(|| self.member.turn()));
        let turn = match turn {
            Ok(turn) => turn,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                return self.fail(format!("it panicked: {}", text.unwrap_or_default()));
            }
        };
        let stopped = self.member.member().stopped().map(|stopped| stopped.reason.to_string());
        if self.member.member().restarts() {
            // The suite begins the next life: this host has no directory to open anew.
            self.answer(Turned { restarts: true, ..Turned::default() });
            return Turn::Wait { until: None, worked: true };
        }
        match turn {
            Turn::Again => {
                self.turns += 1;
                if self.turns > TURNS_MAX {
                    return self.fail("it takes turn after turn, and time stands still");
                }
                return turn;
            }
            Turn::Wait { until, .. } => {
                self.answer(Turned { wake: until, stopped, ..Turned::default() });
            }
            Turn::Ended => {
                let ended = stopped.is_none();
                self.answer(Turned { stopped, ended, ..Turned::default() });
                return turn;
            }
        }
        // When to go on is a matter of virtual time: only an order says so.
        Turn::Wait { until: None, worked: true }
    }
}

impl Host for VirtualHost {
    fn turn(&mut self) -> Turn {
        while self.socket.recv(&mut [0; 1]).is_ok() {}
        let order = self.meeting.table().order;
        match order {
            None => self.idle(),
            Some(Order::Die) => Turn::Ended,
            Some(Order::Turn { alarm }) if self.awaits_alarm(alarm) => self.idle(),
            Some(Order::Turn { .. }) => self.advance(),
        }
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for VirtualHost {
    fn drop(&mut self) {
        let mut table = self.meeting.table();
        table.gone = true;
        self.meeting.answered.notify_all();
    }
}

/// The stage's side of a life under a runtime.
struct HostedNode {
    meeting: Arc<Meeting>,
    bell: UdpSocket,
    handle: Option<Rc<MemberHandle<EdgeService>>>,
    demands: Demands,
    completions: Option<Completions>,
    edges: Edges,
    view: NodeView,
    patience: Duration,
    /// Whether it has waited before: a doorbell wakes only who does.
    rests: bool,
}

impl Node for HostedNode {
    fn turn(&mut self) -> Turned {
        let mut turned = self.order();
        let mut handed_over = core::mem::take(&mut turned.handed_over);
        let mut changed = core::mem::take(&mut turned.changed);
        for _ in 0..TURNS_MAX {
            // A socket with datagrams left is readable still, and its runtime would see that.
            if turned != (Turned { wake: turned.wake, ..Turned::default() })
                || !self.edges.has_inputs()
            {
                break;
            }
            turned = self.order();
            handed_over.append(&mut turned.handed_over);
            changed.append(&mut turned.changed);
        }
        (turned.handed_over, turned.changed) = (handed_over, changed);
        if self.completions.is_some() && self.edges.is_storage_closed() && turned.fault.is_none() {
            // All that was asked of the storage is done: it ends, and that wakes the member.
            return self.close_storage();
        }
        turned
    }

    fn view(&mut self) -> NodeView {
        self.view.clone()
    }
}

impl HostedNode {
    fn order(&mut self) -> Turned {
        let others = self.edges.take_others();
        let datagrams = self.edges.has_inputs();
        let mut rings = !self.rests || datagrams || others.is_empty();
        let alarm = self.rests && !datagrams && others.is_empty();
        // What the runtime is woken by is laid down in one go: it must not answer in between.
        let mut table = self.meeting.table();
        table.order = Some(Order::Turn { alarm });
        let (mut gone, mut refused) = (Vec::new(), Vec::new());
        for input in others {
            match (input, &self.completions) {
                (Input::Storage(completion), Some(completions)) => completions.put(completion),
                // Dropped, a handle tells its member to stop.
                (Input::Shutdown, _) => {
                    self.demands = Demands::default();
                    drop(self.handle.take());
                }
                (Input::Transfer { request, target }, _) => {
                    if let Some(handle) = &self.handle {
                        gone.extend(self.demands.transfer(handle, request, target));
                    }
                }
                (Input::ChangeMembership { request, change }, _) => {
                    if let Some(handle) = &self.handle {
                        refused.extend(self.demands.change(handle, request, change));
                    }
                }
                _ => rings = true,
            }
        }
        drop(table);
        if rings && let Err(error) = self.bell.send(&[0]) {
            let fault = format!("the suite cannot wake the runtime: {error}");
            return Turned { fault: Some(fault), ..Turned::default() };
        }
        self.rests = true;
        let mut turned = self.answer();
        turned.handed_over.append(&mut gone);
        turned.handed_over.append(&mut self.demands.answered());
        turned.changed.append(&mut refused);
        turned.changed.append(&mut self.demands.changed());
        turned
    }

    fn close_storage(&mut self) -> Turned {
        let mut table = self.meeting.table();
        table.order = Some(Order::Turn { alarm: false });
        self.completions = None;
        drop(table);
        self.answer()
    }

    fn answer(&mut self) -> Turned {
        let waits = |table: &mut Table| table.answer.is_none() && !table.gone;
        let table = self.meeting.table();
        let waited = self.meeting.answered.wait_timeout_while(table, self.patience, waits);
        let (mut table, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        match table.answer.take() {
            Some((turned, view)) => {
                drop(table);
                self.view = view.unwrap_or_else(|| self.view.clone());
                turned
            }
            None => {
                let fault = if table.gone {
                    "its runtime dropped it".into()
                } else {
                    format!("its runtime overlooked a wake-up: no turn within {:?}", self.patience)
                };
                Turned { fault: Some(fault), ..Turned::default() }
            }
        }
    }
}

impl Drop for HostedNode {
    fn drop(&mut self) {
        self.meeting.table().order = Some(Order::Die);
        // Whoever does not hear of it is late; its edges are dead all the same.
        let _ = self.bell.send(&[0]);
        let table = self.meeting.table();
        let _ = self.meeting.answered.wait_timeout_while(table, self.patience, |table| !table.gone);
    }
}

fn view_of(member: &Member) -> NodeView {
    NodeView {
        view: member.view(),
        history: member.history().clone(),
        counters: *member.counters(),
        replicated: member.replicated_hash(),
        members: Some(MembersView::of(member)),
    }
}
