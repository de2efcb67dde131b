//! The first shim: the driver's own host of a member, behind a pipe.

use core::cell::{Cell, RefCell};
use core::net::{Ipv4Addr, SocketAddr};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::rc::Rc;

use quorate_core::frame::SessionCloseReason;
use quorate_core::{
    ClientKey, Delivery, Duration, Endpoint, Instant, Member, OperationId, Position, PositionRange,
    Source,
};
use quorate_driver::{
    AppendError, Clock, Completion, Completions, Context, DatagramPort, FaultyPort, LogPort,
    MemberHandle, MemberHost, MemberLoop, Received, Service, ServiceError, ServiceHost,
    StoragePort, StorageRequest, Turn,
};
use serde::Serialize;

use super::body::{self, HistoryBody, PeerBody, VoteBody};
use super::frame::Frame;
use super::raw::{DiskOutcome, DiskRequest, Reader, ServiceCall, ServiceOutcome, datagram};
use super::{Began, Begin, EXIT_UNIMPLEMENTED, Hello, PROTOCOL, TurnDone, ViewBody, opcode};
use crate::subject::{Description, Feature, NodeView};

/// Turns in a row at one time before a node counts as one that stands still (E105).
const TURNS_MAX: u32 = 10_000;
/// Nodes that live at once, at most.
const NODES_MAX: usize = 1_024;

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
    let (input, output) = (Box::new(input), Box::new(output));
    let pipe = Rc::new(RefCell::new(Pipe { input, output, broken: None }));
    let mut program = Program { pipe, nodes: BTreeMap::new() };
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
                let _ = pipe.output.flush();
                return ShimExit::Failed(text);
            }
            Err(exit) => return exit,
        }
    }
}

fn failed(text: impl Into<String>) -> ShimExit {
    ShimExit::Failed(text.into())
}

/// Standard input and output, and what went wrong with them.
struct Pipe {
    input: Box<dyn Read>,
    output: Box<dyn Write>,
    broken: Option<String>,
}

type SharedPipe = Rc<RefCell<Pipe>>;

impl Pipe {
    fn read(&mut self) -> Result<Option<Frame>, super::FrameError> {
        self.output.flush()?;
        Frame::read(&mut self.input)
    }

    fn write(&mut self, frame: &Frame) -> Result<(), super::FrameError> {
        frame.write(&mut self.output)
    }

    /// Writes from within a port, which has nowhere to report to.
    fn put(&mut self, frame: &Frame) {
        if self.broken.is_none()
            && let Err(error) = self.write(frame)
        {
            self.broken = Some(error.to_string());
        }
    }

    /// Asks the suite, and waits for its answer.
    fn ask(&mut self, frame: &Frame, answer: u8) -> Result<Vec<u8>, String> {
        self.put(frame);
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        let text = match self.read() {
            Ok(Some(found)) if found.opcode == answer && found.node == frame.node => {
                return Ok(found.body);
            }
            Ok(Some(other)) => format!("`{}` where an answer is due", other.opcode as char),
            Ok(None) => "the suite is gone".into(),
            Err(error) => error.to_string(),
        };
        self.broken = Some(text.clone());
        Err(text)
    }
}

struct Program {
    pipe: SharedPipe,
    nodes: BTreeMap<u16, Node>,
}

impl Program {
    fn handle(&mut self, frame: &Frame) -> Result<(), ShimExit> {
        let node = frame.node;
        match frame.opcode {
            opcode::HELLO => self.hello(&frame.body),
            opcode::BEGIN => self.begin(node, &frame.body),
            opcode::KILL => {
                self.nodes.remove(&node);
                self.answer(opcode::DONE, node, &Began::default())
            }
            opcode::ERROR => Err(failed("the suite gave up")),
            _ => self.to_node(frame),
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
            features: vec![Feature::VirtualDisk, Feature::GracefulStop],
        };
        self.answer(opcode::HELLO_OK, 0, &description)
    }

    fn begin(&mut self, number: u16, body: &[u8]) -> Result<(), ShimExit> {
        if self.nodes.len() >= NODES_MAX {
            return Err(failed(format!("more than {NODES_MAX} nodes")));
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

    fn to_node(&mut self, frame: &Frame) -> Result<(), ShimExit> {
        let number = frame.node;
        let Some(node) = self.nodes.get_mut(&number) else {
            return Err(failed(format!("there is no node {number}")));
        };
        let malformed = || failed(format!("the body of `{}` is malformed", frame.opcode as char));
        match frame.opcode {
            opcode::DATAGRAM => {
                let mut fields = Reader::new(&frame.body);
                let source = fields.endpoint().ok_or_else(malformed)?;
                node.inbox.borrow_mut().push_back((source, fields.rest().to_vec()));
            }
            opcode::DISK_DONE => {
                let outcome = DiskOutcome::parse(&frame.body).ok_or_else(malformed)?;
                node.completed(&outcome).ok_or_else(malformed)?;
            }
            // Dropped, a handle tells its member to stop.
            opcode::QUIT => node.handle = None,
            opcode::TIME => {
                let now = Reader::new(&frame.body).u64().ok_or_else(malformed)?;
                node.clock.set(now);
                let done = node.turn().map_err(failed)?;
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
type Inbox = Rc<RefCell<VecDeque<(Endpoint, Vec<u8>)>>>;

/// One life of a member.
struct Node {
    host: PipeHost,
    handle: Option<MemberHandle<PipeService>>,
    completions: Option<Completions>,
    clock: Rc<Cell<u64>>,
    inbox: Inbox,
    /// Whether the member asks nothing more of its storage.
    closed: Rc<Cell<bool>>,
    /// Kinds of what is under way at the disk: an outcome does not repeat it.
    reads: Rc<RefCell<Vec<OperationId>>>,
}

impl Node {
    fn begin(begin: &Begin, pipe: &SharedPipe, node: u16) -> Result<Self, String> {
        let (config, recovered) = begin.parts().ok_or("a number does not fit")?;
        let now = Instant(begin.now);
        let member = Member::new(config, recovered, now).map_err(|error| error.to_string())?;
        let clock = Rc::new(Cell::new(begin.now));
        let (inbox, closed, reads) = (Inbox::default(), Rc::default(), Rc::default());
        let port = |pipe: &SharedPipe| Rc::clone(pipe);
        let socket = PipeSocket { pipe: port(pipe), node, inbox: Rc::clone(&inbox) };
        let storage = PipeStorage {
            pipe: port(pipe),
            node,
            closed: Rc::clone(&closed),
            reads: Rc::clone(&reads),
        };
        let service = ServiceHost::new(PipeService { pipe: port(pipe), node });
        let log = PipeLog { pipe: port(pipe), node };
        let looped = MemberLoop::new(member, FaultyPort::new(socket, None), log, storage, service);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // The suite says when to take a turn; nothing waits in between.
        let (host, handle, completions) =
            MemberHost::with_ports(looped, PipeClock(Rc::clone(&clock)), address, Box::new(|| {}));
        let (handle, completions) = (Some(handle), Some(completions));
        Ok(Self { host, handle, completions, clock, inbox, closed, reads })
    }

    fn completed(&self, outcome: &DiskOutcome<'_>) -> Option<()> {
        let completion = match outcome {
            DiskOutcome::Done(operation, bytes) => {
                let mut reads = self.reads.borrow_mut();
                match reads.iter().position(|read| read == operation) {
                    Some(index) => {
                        reads.remove(index);
                        Completion::Read { operation: *operation, bytes: bytes.to_vec() }
                    }
                    None => Completion::Durable { operation: *operation },
                }
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

    fn turn(&mut self) -> Result<TurnDone, String> {
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
                    return Ok(TurnDone { wake, stopped, ended: false });
                }
                Turn::Ended => {
                    let ended = stopped.is_none();
                    return Ok(TurnDone { wake: None, stopped, ended });
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
        }
    }
}

struct PipeClock(Rc<Cell<u64>>);

impl Clock for PipeClock {
    fn now(&self) -> Instant {
        Instant(self.0.get())
    }
}

struct PipeSocket {
    pipe: SharedPipe,
    node: u16,
    inbox: Inbox,
}

impl DatagramPort for PipeSocket {
    fn send(&mut self, to: Endpoint, run: &[u8], datagram_bytes: usize) -> io::Result<usize> {
        let datagrams = run.chunks(datagram_bytes.max(1));
        let count = datagrams.len();
        let mut pipe = self.pipe.borrow_mut();
        for bytes in datagrams {
            pipe.put(&Frame::new(opcode::DATAGRAM, self.node, datagram(to, bytes)));
        }
        Ok(count)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let Some((source, bytes)) = self.inbox.borrow_mut().pop_front() else { return Ok(None) };
        let Some(room) = buffer.get_mut(..bytes.len()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a datagram without room"));
        };
        room.copy_from_slice(&bytes);
        Ok(Some(Received::single(source, bytes.len())))
    }
}

struct PipeLog {
    pipe: SharedPipe,
    node: u16,
}

impl LogPort for PipeLog {
    type Cut = Position;

    fn append(&mut self, position: Position, bytes: (&[u8], &[u8])) -> Result<(), AppendError> {
        let bytes = [bytes.0, bytes.1].concat();
        let request = DiskRequest::Append(position, &bytes).to_bytes();
        let frame = Frame::new(opcode::DISK, self.node, request);
        let answer = self.pipe.borrow_mut().ask(&frame, opcode::DISK_DONE);
        match answer.as_deref().map(DiskOutcome::parse) {
            Ok(Some(DiskOutcome::Done(..))) => Ok(()),
            Ok(Some(DiskOutcome::Full)) => Err(AppendError::Full),
            Ok(Some(DiskOutcome::Failed(text))) => {
                Err(AppendError::Broken(String::from_utf8_lossy(text).into_owned()))
            }
            Ok(None) => Err(AppendError::Broken("the suite's answer is malformed".into())),
            Err(text) => Err(AppendError::Broken(text.clone())),
        }
    }

    fn cut(&mut self, at: Position) -> Position {
        at
    }
}

struct PipeStorage {
    pipe: SharedPipe,
    node: u16,
    closed: Rc<Cell<bool>>,
    reads: Rc<RefCell<Vec<OperationId>>>,
}

impl PipeStorage {
    fn put(&self, request: &DiskRequest<'_>) {
        self.pipe.borrow_mut().put(&Frame::new(opcode::DISK, self.node, request.to_bytes()));
    }
}

/// JSON of a body of this module: all of them can be written.
fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

impl StoragePort<Position> for PipeStorage {
    fn submit(&mut self, request: StorageRequest<Position>) {
        match request {
            StorageRequest::Sync { operation } => self.put(&DiskRequest::Sync(operation)),
            StorageRequest::PersistVote { operation, vote } => {
                self.put(&DiskRequest::Vote(operation, &json(&VoteBody::from(&vote))));
            }
            StorageRequest::PersistHistory { operation, history, cut } => {
                let body = HistoryBody { lines: body::lines(&history), cut: cut.0 };
                self.put(&DiskRequest::History(operation, &json(&body)));
            }
            StorageRequest::PersistPeers { operation, peers } => {
                let body: Vec<PeerBody> = peers.iter().map(PeerBody::from).collect();
                self.put(&DiskRequest::Peers(operation, &json(&body)));
            }
            StorageRequest::Read { operation, range } => {
                self.reads.borrow_mut().push(operation);
                self.put(&DiskRequest::Read(operation, range));
            }
        }
    }

    fn close(&mut self) {
        self.closed.set(true);
    }
}

/// The suite's service, called through the pipe.
struct PipeService {
    pipe: SharedPipe,
    node: u16,
}

impl PipeService {
    fn call(
        &self,
        context: &mut Context<'_>,
        delivery: Delivery,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), ServiceError> {
        let (position, time) = (context.position(), context.time());
        let call = ServiceCall { position, time, delivery, payload };
        let frame = Frame::new(opcode::SERVICE, self.node, call.to_bytes());
        let answer = self.pipe.borrow_mut().ask(&frame, opcode::SERVICE_DONE);
        let answer = answer.map_err(ServiceError)?;
        match ServiceOutcome::parse(&answer) {
            Some(ServiceOutcome::Done { timers, reply: bytes }) => {
                for (timer, delay) in timers {
                    match delay {
                        Some(delay) => context.schedule_timer(timer, Duration(delay)),
                        None => context.cancel_timer(timer),
                    }
                }
                reply.extend_from_slice(bytes);
                Ok(())
            }
            Some(ServiceOutcome::Failed(text)) => {
                Err(ServiceError(String::from_utf8_lossy(text).into_owned()))
            }
            None => Err(ServiceError("the suite's answer is malformed".into())),
        }
    }
}

impl Service for PipeService {
    fn session_opened(
        &mut self,
        context: &mut Context<'_>,
        client: ClientKey,
    ) -> Result<(), ServiceError> {
        let delivery = Delivery::SessionOpened { session: context.session(), client };
        self.call(context, delivery, &[], &mut Vec::new())
    }

    fn session_closed(
        &mut self,
        context: &mut Context<'_>,
        reason: SessionCloseReason,
    ) -> Result<(), ServiceError> {
        let delivery = Delivery::SessionClosed { session: context.session(), reason };
        self.call(context, delivery, &[], &mut Vec::new())
    }

    fn message(
        &mut self,
        context: &mut Context<'_>,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), ServiceError> {
        let delivery = Delivery::Message {
            session: context.session(),
            sequence: context.sequence(),
            payload: PositionRange::default(),
            source: Source::Member,
        };
        self.call(context, delivery, payload, reply)
    }

    fn timer(&mut self, context: &mut Context<'_>, timer: u64) -> Result<(), ServiceError> {
        self.call(context, Delivery::Timer { timer }, &[], &mut Vec::new())
    }

    /// Its state is with the suite.
    fn snapshot(&self, _: &mut Vec<u8>) {}

    fn restore(&mut self, _: &[u8]) -> Result<(), ServiceError> {
        Err(ServiceError("the service is the suite's".into()))
    }
}
