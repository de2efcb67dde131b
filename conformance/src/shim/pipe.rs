//! The ports of a member behind a pipe: each puts a frame into it, and some wait for the answer.

use core::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;

use quorate_core::frame::SessionCloseReason;
use quorate_core::{
    ClientKey, Delivery, Duration, Endpoint, Instant, OperationId, Position, PositionRange, Source,
};
use quorate_driver::{
    AppendError, Clock, Context, DatagramPort, Frozen, LogPort, Received, Service, ServiceError,
    StoragePort, StorageRequest,
};
use serde::Serialize;

use super::body::{self, HistoryBody, VoteBody};
use super::found::PeerBody;
use super::frame::{Frame, FrameError};
use super::opcode;
use super::raw::{DiskOutcome, DiskRequest, SERVICE_STATE, ServiceCall, ServiceOutcome, datagram};

pub(super) type SharedPipe = Rc<RefCell<Pipe>>;
/// What is under way at the disk; the core asks for no more than its limits say.
pub(super) type Operations = Rc<RefCell<Vec<OperationId>>>;
pub(super) type Inbox = Rc<RefCell<VecDeque<(Endpoint, Vec<u8>)>>>;

/// Standard input and output, and what went wrong with them.
pub(super) struct Pipe {
    input: Box<dyn Read>,
    output: Box<dyn Write>,
    pub(super) broken: Option<String>,
}

impl Pipe {
    pub(super) fn new(input: impl Read + 'static, output: impl Write + 'static) -> SharedPipe {
        let (input, output) = (Box::new(input), Box::new(output));
        Rc::new(RefCell::new(Self { input, output, broken: None }))
    }

    pub(super) fn read(&mut self) -> Result<Option<Frame>, FrameError> {
        self.output.flush()?;
        Frame::read(&mut self.input)
    }

    pub(super) fn write(&mut self, frame: &Frame) -> Result<(), FrameError> {
        frame.write(&mut self.output)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// Writes from within a port, which has nowhere to report to.
    pub(super) fn put(&mut self, frame: &Frame) {
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

pub(super) struct PipeClock(pub(super) Rc<Cell<u64>>);

impl Clock for PipeClock {
    fn now(&self) -> Instant {
        Instant(self.0.get())
    }
}

pub(super) struct PipeSocket {
    pub(super) pipe: SharedPipe,
    pub(super) node: u16,
    pub(super) inbox: Inbox,
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

pub(super) struct PipeLog {
    pub(super) pipe: SharedPipe,
    pub(super) node: u16,
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
            Ok(Some(DiskOutcome::NoSnapshot(..)) | None) => {
                Err(AppendError::Broken("the suite's answer is malformed".into()))
            }
            Err(text) => Err(AppendError::Broken(text.clone())),
        }
    }

    fn cut(&mut self, at: Position) -> Position {
        at
    }
}

pub(super) struct PipeStorage {
    pub(super) pipe: SharedPipe,
    pub(super) node: u16,
    pub(super) closed: Rc<Cell<bool>>,
    pub(super) reads: Operations,
    pub(super) snapshots: Operations,
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
            StorageRequest::StoreSnapshot { operation, snapshot, service, .. } => {
                // It was laid out by the suite, and is as long as it says.
                let service = service.into_bytes().unwrap_or_default();
                self.snapshots.borrow_mut().push(operation);
                self.put(&DiskRequest::Snapshot(operation, &snapshot.core, &service));
            }
            // The suite's disk keeps the whole log: what is purged is merely not removed.
            // No process is told of logs that begin anywhere else, so there is none to fetch.
            StorageRequest::Purge { .. }
            | StorageRequest::ReadSnapshot { .. }
            | StorageRequest::KeepSnapshotPart { .. }
            | StorageRequest::CheckSnapshot { .. }
            | StorageRequest::DropSnapshot
            | StorageRequest::DiscardSnapshots { .. }
            | StorageRequest::InstallSnapshot { .. } => {}
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
pub(super) struct PipeService {
    pub(super) pipe: SharedPipe,
    pub(super) node: u16,
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
    fn snapshot(&self) -> Frozen {
        let frame = Frame::new(opcode::SERVICE, self.node, SERVICE_STATE.to_vec());
        let answer = self.pipe.borrow_mut().ask(&frame, opcode::SERVICE_DONE);
        // What goes wrong here has no other way out: the host takes a panic for a refusal, and the
        // end of the turn tells of a pipe that broke.
        match answer.as_deref().map(ServiceOutcome::parse) {
            Ok(Some(ServiceOutcome::Done { reply, .. })) => Frozen::laid_out(reply.to_vec()),
            Ok(Some(ServiceOutcome::Failed(_)) | None) | Err(_) => {
                std::panic::panic_any("the suite gives no state");
            }
        }
    }

    fn restore(&mut self, _: &[u8]) -> Result<(), ServiceError> {
        Err(ServiceError("the service is the suite's".into()))
    }
}
