//! The first shim: the driver's own host of a member, behind a pipe.

use core::cell::Cell;
use core::net::{Ipv4Addr, SocketAddr};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::rc::Rc;

use quorate_core::{Instant, Member, MemberId, OperationId};
use quorate_driver::{
    Completion, Completions, FaultyPort, MemberHandle, MemberHost, MemberLoop, ServiceHost, Turn,
};
use serde::Serialize;

use super::client_body::ClientRequest;
use super::frame::Frame;
use super::guest::Guest;
use super::pipe::{
    Inbox, Operations, Pipe, PipeClock, PipeLog, PipeService, PipeSocket, PipeStorage, SharedPipe,
};
use super::raw::{DiskOutcome, Reader};
use super::{
    Began, Begin, EXIT_UNIMPLEMENTED, EventBody, Hello, OperateBody, PROTOCOL, TurnDone, ViewBody,
    opcode,
};
use crate::catalogue;
use crate::subject::{Description, Feature, HandedOver, NodeView};
use crate::subjects::demands::Demands;

/// Turns in a row at one time before a node counts as one that stands still (E105).
const TURNS_MAX: u32 = 10_000;
/// Members and clients that live at once, at most of each.
const NODES_MAX: usize = 1_024;
/// Datagrams that wait for a node's next turn, at most; more is what no suite sends.
const DATAGRAMS_MAX: usize = 1 << 18;

/// How a shim ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ShimExit {
    /// The suite closed the pipe.
    Done,
    /// The suite speaks a protocol that this shim does not know.
    Unimplemented,
    /// The pipe broke, or what came out of it is not the protocol.
    Failed(String),
}

impl From<ShimExit> for ExitCode {
    fn from(exit: ShimExit) -> Self {
        match exit {
            ShimExit::Done => Self::SUCCESS,
            ShimExit::Unimplemented => Self::from(EXIT_UNIMPLEMENTED),
            ShimExit::Failed(_) => Self::FAILURE,
        }
    }
}

/// Runs members for a suite until it closes `input`.
pub fn run_program(input: impl Read + 'static, output: impl Write + 'static) -> ShimExit {
    let (nodes, guests) = (BTreeMap::new(), BTreeMap::new());
    let mut program = Program { pipe: Pipe::new(input, output), nodes, guests };
    loop {
        let frame = match program.pipe.borrow_mut().read() {
            Ok(Some(frame)) => frame,
            Ok(None) => return ShimExit::Done,
            Err(error) => return ShimExit::Failed(error.to_string()),
        };
        match program.handle(&frame) {
            Ok(()) => {}
            Err(ShimExit::Failed(text)) => {
                let frame = Frame::new(opcode::ERROR, frame.node, text.clone().into_bytes());
                let mut pipe = program.pipe.borrow_mut();
                let _ = pipe.write(&frame);
                let _ = pipe.flush();
                return ShimExit::Failed(text);
            }
            Err(exit) => return exit,
        }
    }
}

fn failed(text: impl Into<String>) -> ShimExit {
    ShimExit::Failed(text.into())
}

/// Lays a datagram down for a node's next turn.
fn lay_down(inbox: &Inbox, body: &[u8]) -> Result<(), ShimExit> {
    let mut fields = Reader::new(body);
    let source = fields.endpoint().ok_or_else(|| failed("the body of `D` is malformed"))?;
    let mut inbox = inbox.borrow_mut();
    if inbox.len() >= DATAGRAMS_MAX {
        return Err(failed(format!("more than {DATAGRAMS_MAX} datagrams and no turn")));
    }
    inbox.push_back((source, fields.rest().to_vec()));
    Ok(())
}

struct Program {
    pipe: SharedPipe,
    nodes: BTreeMap<u16, Node>,
    /// Clients.
    guests: BTreeMap<u16, Guest>,
}

impl Program {
    fn handle(&mut self, frame: &Frame) -> Result<(), ShimExit> {
        let node = frame.node;
        match frame.opcode {
            opcode::HELLO => self.hello(&frame.body),
            opcode::BEGIN => self.begin(node, &frame.body),
            opcode::KILL => {
                self.nodes.remove(&node);
                self.guests.remove(&node);
                self.answer(opcode::DONE, node, &Began::default())
            }
            opcode::ERROR => Err(failed("the suite gave up")),
            opcode::CLIENT => self.client(node, &frame.body),
            _ if self.guests.contains_key(&node) => self.hand_to_client(frame),
            _ => self.hand_over(frame),
        }
    }

    fn hello(&self, body: &[u8]) -> Result<(), ShimExit> {
        let hello: Hello =
            serde_json::from_slice(body).map_err(|error| failed(error.to_string()))?;
        if hello.protocol != PROTOCOL {
            return Err(ShimExit::Unimplemented);
        }
        let description = Description {
            name: "quorate-shim".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            about: "the driver's host of a member, in a process of its own".into(),
            features: vec![
                Feature::VirtualDisk,
                Feature::GracefulStop,
                Feature::Transfer,
                Feature::Freeze,
                Feature::Clients,
                Feature::Snapshots,
            ],
            claims: catalogue::groups().map(str::to_owned).collect(),
        };
        self.answer(opcode::HELLO_OK, 0, &description)
    }

    fn begin(&mut self, number: u16, body: &[u8]) -> Result<(), ShimExit> {
        if self.nodes.len() >= NODES_MAX || self.guests.contains_key(&number) {
            return Err(failed(format!("node {number} is one too many")));
        }
        let begin: Begin =
            serde_json::from_slice(body).map_err(|error| failed(error.to_string()))?;
        let refused = match Node::begin(&begin, &self.pipe, number) {
            Ok(node) => {
                self.nodes.insert(number, node);
                None
            }
            Err(text) => Some(text),
        };
        self.answer(opcode::DONE, number, &Began { refused })
    }

    /// Begins a client, or lays something down for one.
    fn client(&mut self, number: u16, body: &[u8]) -> Result<(), ShimExit> {
        let malformed = || failed("the body of `C` is malformed");
        let request = ClientRequest::parse(body).ok_or_else(malformed)?;
        if let ClientRequest::Open(json) = request {
            let open = serde_json::from_slice(json).map_err(|error| failed(error.to_string()))?;
            if self.guests.len() >= NODES_MAX || self.nodes.contains_key(&number) {
                return Err(failed(format!("client {number} is one too many")));
            }
            let refused = match Guest::begin(&open, &self.pipe, number) {
                Ok(guest) => {
                    self.guests.insert(number, guest);
                    None
                }
                Err(text) => Some(text),
            };
            return self.answer(opcode::DONE, number, &Began { refused });
        }
        let none = || failed(format!("there is no client {number}"));
        let guest = self.guests.get_mut(&number).ok_or_else(none)?;
        match request {
            ClientRequest::Submit(submit, message) => {
                let many = || failed("too many messages at once");
                guest.submit(submit, message).ok_or_else(many)?;
            }
            _ => guest.close(),
        }
        Ok(())
    }

    fn hand_to_client(&mut self, frame: &Frame) -> Result<(), ShimExit> {
        let number = frame.node;
        let malformed = || failed(format!("the body of `{}` is malformed", frame.opcode as char));
        let Some(guest) = self.guests.get_mut(&number) else {
            return Err(failed(format!("there is no client {number}")));
        };
        match frame.opcode {
            opcode::DATAGRAM => lay_down(&guest.inbox, &frame.body),
            opcode::TIME => {
                let now = Reader::new(&frame.body).u64().ok_or_else(malformed)?;
                let done = guest.turn(now);
                if let Some(broken) = self.pipe.borrow_mut().broken.take() {
                    return Err(failed(broken));
                }
                self.answer(opcode::TIME_DONE, number, &done)
            }
            other => Err(failed(format!("`{}` is nothing for a client", other as char))),
        }
    }

    fn hand_over(&mut self, frame: &Frame) -> Result<(), ShimExit> {
        let number = frame.node;
        let Some(node) = self.nodes.get_mut(&number) else {
            return Err(failed(format!("there is no node {number}")));
        };
        let malformed = || failed(format!("the body of `{}` is malformed", frame.opcode as char));
        match frame.opcode {
            opcode::DATAGRAM => lay_down(&node.inbox, &frame.body)?,
            opcode::DISK_DONE => {
                let outcome = DiskOutcome::parse(&frame.body).ok_or_else(malformed)?;
                node.completed(&outcome).ok_or_else(malformed)?;
            }
            // Dropped, a handle tells its member to stop.
            opcode::QUIT => {
                node.demands = Demands::default();
                node.handle = None;
            }
            opcode::OPERATE => {
                let body = serde_json::from_slice(&frame.body).map_err(|_| malformed())?;
                node.operate(&body);
            }
            opcode::FREEZE | opcode::GO_ON => {
                let frozen = frame.opcode == opcode::FREEZE;
                if node.frozen == frozen {
                    return Err(failed("a node is frozen, or goes on, twice"));
                }
                node.frozen = frozen;
                return self.answer(opcode::DONE, number, &Began::default());
            }
            opcode::TIME if node.frozen => return Err(failed("a turn of a frozen node")),
            opcode::TIME => {
                let now = Reader::new(&frame.body).u64().ok_or_else(malformed)?;
                node.clock.set(now);
                let before = node.host.member().member().view().role;
                let done = node.turn().map_err(failed)?;
                let role = node.host.member().member().view().role;
                if role != before {
                    let event = EventBody { text: format!("{before:?} becomes {role:?}") };
                    self.answer(opcode::EVENT, number, &event)?;
                }
                if let Some(broken) = self.pipe.borrow_mut().broken.take() {
                    return Err(failed(broken));
                }
                return self.answer(opcode::TIME_DONE, number, &done);
            }
            opcode::VIEW => {
                let view = ViewBody::from(&node.view());
                return self.answer(opcode::VIEW_IS, number, &view);
            }
            other => return Err(failed(format!("nobody knows `{}`", other as char))),
        }
        Ok(())
    }

    fn answer(&self, opcode: u8, node: u16, body: &impl Serialize) -> Result<(), ShimExit> {
        let body = serde_json::to_vec(body).map_err(|error| failed(error.to_string()))?;
        let written = self.pipe.borrow_mut().write(&Frame::new(opcode, node, body));
        written.map_err(|error| failed(error.to_string()))
    }
}

type PipeHost = MemberHost<PipeService, PipeSocket, PipeLog, PipeStorage, PipeClock>;

/// Whether this was under way; it is not any more.
fn take(operations: &Operations, operation: OperationId) -> bool {
    let mut operations = operations.borrow_mut();
    let index = operations.iter().position(|known| *known == operation);
    index.map(|index| operations.remove(index)).is_some()
}

/// One life of a member.
struct Node {
    host: PipeHost,
    handle: Option<Rc<MemberHandle<PipeService>>>,
    demands: Demands,
    /// Demands that a member could not take any more.
    gone: Vec<HandedOver>,
    completions: Option<Completions>,
    clock: Rc<Cell<u64>>,
    frozen: bool,
    inbox: Inbox,
    /// Whether the member asks nothing more of its storage.
    closed: Rc<Cell<bool>>,
    /// Kinds of what is under way at the disk: an outcome does not repeat it.
    reads: Operations,
    snapshots: Operations,
}

impl Node {
    fn begin(begin: &Begin, pipe: &SharedPipe, node: u16) -> Result<Self, String> {
        let (config, recovered) = begin.parts().ok_or("a number does not fit")?;
        let now = Instant(begin.now);
        let member = Member::new(config, recovered, now).map_err(|error| error.to_string())?;
        let clock = Rc::new(Cell::new(begin.now));
        let (inbox, closed) = (Inbox::default(), Rc::default());
        let (reads, snapshots) = (Operations::default(), Operations::default());
        let port = |pipe: &SharedPipe| Rc::clone(pipe);
        let socket = PipeSocket { pipe: port(pipe), node, inbox: Rc::clone(&inbox) };
        let storage = PipeStorage {
            pipe: port(pipe),
            node,
            closed: Rc::clone(&closed),
            reads: Rc::clone(&reads),
            snapshots: Rc::clone(&snapshots),
        };
        let service = ServiceHost::new(PipeService { pipe: port(pipe), node });
        let log = PipeLog { pipe: port(pipe), node };
        let looped = MemberLoop::new(member, FaultyPort::new(socket, None), log, storage, service);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // The suite says when to take a turn; nothing waits in between.
        let (host, handle, completions) =
            MemberHost::with_ports(looped, PipeClock(Rc::clone(&clock)), address, Box::new(|| {}));
        let (handle, completions) = (Some(Rc::new(handle)), Some(completions));
        let (demands, gone, frozen) = (Demands::default(), Vec::new(), false);
        Ok(Self {
            host,
            handle,
            demands,
            gone,
            completions,
            clock,
            frozen,
            inbox,
            closed,
            reads,
            snapshots,
        })
    }

    fn completed(&self, outcome: &DiskOutcome<'_>) -> Option<()> {
        let completion = match outcome {
            DiskOutcome::Done(operation, bytes) => {
                let operation = *operation;
                if take(&self.reads, operation) {
                    Completion::Read { operation, bytes: bytes.to_vec() }
                } else if take(&self.snapshots, operation) {
                    Completion::SnapshotStored { operation }
                } else {
                    Completion::Durable { operation }
                }
            }
            DiskOutcome::NoSnapshot(operation, text) => {
                take(&self.snapshots, *operation).then_some(())?;
                let reason = String::from_utf8_lossy(text).into_owned();
                Completion::SnapshotFailed { operation: *operation, reason }
            }
            DiskOutcome::Failed(text) => {
                Completion::Failed { reason: String::from_utf8_lossy(text).into_owned() }
            }
            DiskOutcome::Full => return None,
        };
        if let Some(completions) = &self.completions {
            completions.put(completion);
        }
        Some(())
    }

    fn operate(&mut self, body: &OperateBody) {
        if let Some(handle) = &self.handle {
            let target = body.target.map(MemberId);
            self.gone.extend(self.demands.transfer(handle, body.request, target));
        }
    }

    fn turn(&mut self) -> Result<TurnDone, String> {
        let mut done = self.take_turns()?;
        done.handed_over = core::mem::take(&mut self.gone);
        done.handed_over.append(&mut self.demands.answered());
        Ok(done)
    }

    fn take_turns(&mut self) -> Result<TurnDone, String> {
        for _ in 0..TURNS_MAX {
            let turn = self.host.turn();
            let stopped = self.host.member().stopped().map(|stopped| stopped.reason.to_string());
            match turn {
                Turn::Again => {}
                Turn::Wait { .. } if self.closed.get() && self.completions.is_some() => {
                    // All that was asked of the storage is done: it has ended, too.
                    self.completions = None;
                }
                Turn::Wait { until, .. } => {
                    let wake = until.map(|until| until.0);
                    return Ok(TurnDone { wake, stopped, ..TurnDone::default() });
                }
                Turn::Ended => {
                    let ended = stopped.is_none();
                    return Ok(TurnDone { stopped, ended, ..TurnDone::default() });
                }
            }
        }
        Err("it takes turn after turn, and time stands still".into())
    }

    fn view(&self) -> NodeView {
        let member = self.host.member().member();
        NodeView {
            view: member.view(),
            history: member.history().clone(),
            counters: *member.counters(),
            replicated: member.replicated_hash(),
            members: None,
        }
    }
}
