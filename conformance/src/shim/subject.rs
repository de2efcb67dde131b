//! A shim process as a subject: a process for all lives, a node for each.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_core::client::ClientConfig;
use quorate_core::{Apply, Instant};
use quorate_driver::{
    AppendError, Completion, DatagramPort, Frozen, LogPort, ServiceHost, StoragePort,
    StorageRequest,
};

use super::body::{self, HistoryBody, VoteBody};
use super::client::ShimClient;
use super::found::PeerBody;
use super::frame::Frame;
use super::process::{Process, ShimError};
use super::raw::{
    DiskOutcome, DiskRequest, Reader, SERVICE_STATE, ServiceCall, ServiceOutcome, datagram,
};
use super::{Began, Begin, EventBody, OperateBody, TurnDone, ViewBody, opcode};
use crate::client_node::ClientNode;
use crate::edges::{EdgeLog, EdgeService, EdgeSocket, EdgeStorage, Edges, Input};
use crate::subject::{Description, Feature, Node, NodeSpec, NodeView, SpawnError, Subject, Turned};

/// Frames that a node may send in one turn.
pub(super) const FRAMES_PER_TURN_MAX: u32 = 200_000;

/// Events of a node that the story keeps of one turn; more are dropped.
const NOTES_PER_TURN_MAX: usize = 100;

/// How long a shim may say nothing when it is to answer, unless told otherwise.
const IDLE_LIMIT: Duration = Duration::from_secs(15);

/// How a shim is run.
#[derive(Clone, Debug)]
pub struct ShimOptions {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How long it may say nothing when it is to answer; without one, a debugger may hold it.
    pub idle_limit: Option<Duration>,
    /// A file that each frame is added to as a line of JSON.
    pub mirror: Option<PathBuf>,
    /// How it is reached.
    pub reach: Reach,
    /// Names of roles and reasons that the shim has of its own, each with the one of the protocol.
    pub names: BTreeMap<String, String>,
}

/// How a shim is reached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reach {
    /// Through its standard input and output.
    #[default]
    Pipes,
    /// It connects to a loopback port: `--connect ADDRESS --id NUMBER` are put behind its own
    /// arguments, and the number is the first that it sends, in eight bytes, little-endian.
    Port,
}

impl ShimOptions {
    /// A program with its arguments, the usual idle limit, and no mirror.
    #[must_use]
    pub const fn new(command: Vec<String>) -> Self {
        Self {
            command,
            idle_limit: Some(IDLE_LIMIT),
            mirror: None,
            reach: Reach::Pipes,
            names: BTreeMap::new(),
        }
    }

    /// What `--subject` says, if it is `shim:COMMAND` or `shim-port:COMMAND`: a program and its
    /// arguments, divided by white space.
    #[must_use]
    pub fn named(subject: &str) -> Option<Self> {
        let (reach, command) = match subject.strip_prefix("shim:") {
            Some(command) => (Reach::Pipes, command),
            None => (Reach::Port, subject.strip_prefix("shim-port:")?),
        };
        let words = command.split_whitespace().map(str::to_owned);
        Some(Self { reach, ..Self::new(words.collect()) })
    }
}

/// The subject `shim:COMMAND`.
pub struct Shim {
    options: ShimOptions,
    description: Description,
    process: Mutex<Arc<Mutex<Process>>>,
}

impl core::fmt::Debug for Shim {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shim").field("options", &self.options).finish_non_exhaustive()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shim {
    /// Starts the process: a program and its arguments, divided by white space.
    ///
    /// # Errors
    /// It does not start, or does not answer as it should.
    pub fn start(command: &str) -> Result<Self, SpawnError> {
        let words = command.split_whitespace().map(str::to_owned);
        Self::start_with(ShimOptions::new(words.collect()))
    }

    /// [`Shim::start`] with options.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(options: ShimOptions) -> Result<Self, SpawnError> {
        let (process, mut description) = Process::start(&options).map_err(spawn_error)?;
        let how = if options.reach == Reach::Port { "shim-port" } else { "shim" };
        description.name = format!("{how}:{}", options.command.join(" "));
        let process = Mutex::new(Arc::new(Mutex::new(process)));
        Ok(Self { options, description, process })
    }

    /// The process, or a new one if it has failed.
    fn process(&self) -> Result<Arc<Mutex<Process>>, ShimError> {
        let mut process = lock(&self.process);
        if lock(&process).failed().is_some() {
            *process = Arc::new(Mutex::new(Process::start(&self.options)?.0));
        }
        Ok(Arc::clone(&process))
    }
}

pub(super) fn spawn_error(error: ShimError) -> SpawnError {
    match error {
        ShimError::Unimplemented(text) => SpawnError::Unimplemented(text),
        ShimError::LeftOut(text) => SpawnError::LeftOut(text),
        ShimError::Broken(text) => SpawnError::Broken(text),
    }
}

impl Subject for Shim {
    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn spawn(&self, spec: &NodeSpec, edges: Edges) -> Result<Box<dyn Node>, SpawnError> {
        let nothing = || SpawnError::Refused("nothing recovered".into());
        let recovered = edges.recovered().ok_or_else(nothing)?;
        let process = self.process().map_err(spawn_error)?;
        let node = lock(&process).new_node();
        let begin = Begin::new(edges.now(), &spec.config, &recovered);
        let began = |process: &mut Process| {
            process.send_json(opcode::BEGIN, node, &begin)?;
            process.expect_json::<Began>(opcode::DONE, node)
        };
        let began = began(&mut lock(&process)).map_err(spawn_error)?;
        if let Some(refused) = began.refused {
            return Err(SpawnError::Refused(refused));
        }
        Ok(Box::new(ShimNode {
            process,
            node,
            service: ServiceHost::new(edges.service()),
            socket: edges.socket(),
            log: edges.log(),
            storage: edges.storage(),
            edges,
            view: NodeView::default(),
            fault: None,
            freezes: self.description.features.contains(&Feature::Freeze),
            takes_snapshots: self.description.features.contains(&Feature::Snapshots),
            names: self.options.names.clone(),
        }))
    }

    fn client(
        &self,
        config: &ClientConfig,
        now: Instant,
    ) -> Option<Result<Box<dyn ClientNode>, SpawnError>> {
        let has_clients = self.description.features.contains(&Feature::Clients);
        has_clients.then(|| self.open_client(config, now))
    }
}

impl Shim {
    fn open_client(
        &self,
        config: &ClientConfig,
        now: Instant,
    ) -> Result<Box<dyn ClientNode>, SpawnError> {
        let process = self.process().map_err(spawn_error)?;
        Ok(Box::new(ShimClient::open(process, config, now)?))
    }
}

struct ShimNode {
    process: Arc<Mutex<Process>>,
    node: u16,
    service: ServiceHost<EdgeService>,
    socket: EdgeSocket,
    log: EdgeLog,
    storage: EdgeStorage,
    edges: Edges,
    view: NodeView,
    fault: Option<String>,
    /// Whether it wants to know when it is frozen.
    freezes: bool,
    /// Whether it may store snapshots: without, it would not begin with one.
    takes_snapshots: bool,
    names: BTreeMap<String, String>,
}

impl Node for ShimNode {
    fn turn(&mut self) -> Turned {
        let process = Arc::clone(&self.process);
        let turned = self.take_turn(&mut lock(&process));
        turned
            .unwrap_or_else(|error| Turned { fault: Some(error.to_string()), ..Turned::default() })
    }

    fn view(&mut self) -> NodeView {
        let process = Arc::clone(&self.process);
        match self.ask_view(&mut lock(&process)) {
            Ok(view) => self.view = view,
            // The next turn says it.
            Err(error) => self.fault = Some(error.to_string()),
        }
        self.view.clone()
    }

    fn pause(&mut self) {
        self.tell(opcode::FREEZE);
    }

    fn resume(&mut self) {
        self.tell(opcode::GO_ON);
    }
}

impl Drop for ShimNode {
    fn drop(&mut self) {
        let mut process = lock(&self.process);
        if process.failed().is_none() {
            // A process that fails at this is found out by the next life.
            let _ = process.send(&Frame::new(opcode::KILL, self.node, Vec::new()));
            let _ = process.expect_json::<Began>(opcode::DONE, self.node);
        }
    }
}

impl ShimNode {
    /// Tells a node that wants to know that it is frozen, or goes on.
    fn tell(&mut self, opcode: u8) {
        if !self.freezes {
            return;
        }
        let mut process = lock(&self.process);
        let done = process
            .send(&Frame::new(opcode, self.node, Vec::new()))
            .and_then(|()| process.expect_json::<Began>(opcode::DONE, self.node));
        if let Err(error) = done {
            self.fault = Some(error.to_string());
        }
    }

    fn take_turn(&mut self, process: &mut Process) -> Result<Turned, ShimError> {
        if let Some(fault) = self.fault.take() {
            return Err(ShimError::Broken(fault));
        }
        while let Some(input) = self.edges.next_input() {
            if let Some(frame) = self.frame_of(&input) {
                process.send(&frame)?;
            }
        }
        let now = self.edges.now().0.to_le_bytes().to_vec();
        process.send(&Frame::new(opcode::TIME, self.node, now))?;
        let mut notes = Vec::new();
        for _ in 0..FRAMES_PER_TURN_MAX {
            let frame = process.receive(self.node)?;
            match frame.opcode {
                opcode::TIME_DONE => {
                    let TurnDone { wake, stopped, ended, handed_over, .. } =
                        process.json(&frame)?;
                    let wake = wake.map(Instant);
                    let fault = None;
                    let restarts = false;
                    return Ok(Turned {
                        wake,
                        stopped,
                        ended,
                        restarts,
                        notes,
                        handed_over,
                        // A frame of the protocol says nothing of members.
                        changed: Vec::new(),
                        fault,
                    });
                }
                opcode::DATAGRAM => {
                    let mut fields = Reader::new(&frame.body);
                    let to = fields.endpoint();
                    let to = to.ok_or_else(|| malformed(process, &frame))?;
                    let bytes = fields.rest();
                    // What the socket does not take is lost, as it could be anywhere on its way.
                    let _ = self.socket.send(to, bytes, bytes.len());
                }
                opcode::EVENT => {
                    let event: EventBody = process.json(&frame)?;
                    if notes.len() < NOTES_PER_TURN_MAX {
                        notes.push(event.text);
                    }
                }
                opcode::DISK => self.disk(process, &frame)?,
                opcode::SERVICE => self.serve(process, &frame)?,
                other => {
                    let text = format!("`{}` in a turn", other as char);
                    return Err(process.fail(&text));
                }
            }
        }
        Err(process.fail(&format!("{FRAMES_PER_TURN_MAX} frames in one turn")))
    }

    /// What tells the process of it; nothing of what only a real disk does.
    fn frame_of(&self, input: &Input) -> Option<Frame> {
        let (opcode, body) = match input {
            Input::Datagram { source, bytes } => (opcode::DATAGRAM, datagram(*source, bytes)),
            Input::Storage(completion) => {
                let outcome = match completion {
                    Completion::Durable { operation }
                    | Completion::SnapshotStored { operation }
                    // No process asks for these.
                    | Completion::SnapshotRead { operation, .. }
                    | Completion::SnapshotWhole { operation, .. } => {
                        DiskOutcome::Done(*operation, &[])
                    }
                    Completion::SnapshotFailed { operation, reason } => {
                        DiskOutcome::NoSnapshot(*operation, reason.as_bytes())
                    }
                    Completion::Read { operation, bytes } => DiskOutcome::Done(*operation, bytes),
                    Completion::Failed { reason } => DiskOutcome::Failed(reason.as_bytes()),
                    Completion::Scrubbed(_) => return None,
                };
                (opcode::DISK_DONE, outcome.to_bytes())
            }
            Input::Transfer { request, target } => {
                let target = target.map(|target| target.0);
                let body = OperateBody { request: *request, target };
                (opcode::OPERATE, serde_json::to_vec(&body).unwrap_or_default())
            }
            // Whoever cannot say so is never asked: `Feature::Members`.
            Input::ChangeMembership { .. } => return None,
            Input::Shutdown => (opcode::QUIT, Vec::new()),
        };
        Some(Frame::new(opcode, self.node, body))
    }

    fn disk(&mut self, process: &mut Process, frame: &Frame) -> Result<(), ShimError> {
        let Some(request) = DiskRequest::parse(&frame.body) else {
            return Err(malformed(process, frame));
        };
        let request = match request {
            DiskRequest::Append(position, bytes) => {
                let appended = self.log.append(position, (bytes, &[]));
                let text;
                let outcome = match appended {
                    Ok(()) => DiskOutcome::Done(Default::default(), &[]),
                    Err(AppendError::Full) => DiskOutcome::Full,
                    Err(AppendError::Broken(reason)) => {
                        text = reason;
                        DiskOutcome::Failed(text.as_bytes())
                    }
                };
                let answer = Frame::new(opcode::DISK_DONE, self.node, outcome.to_bytes());
                return process.send(&answer);
            }
            DiskRequest::Sync(operation) => Some(StorageRequest::Sync { operation }),
            DiskRequest::Read(operation, range) => Some(StorageRequest::Read { operation, range }),
            DiskRequest::Vote(operation, json) => {
                let vote = serde_json::from_slice::<VoteBody>(json).ok();
                vote.map(|vote| StorageRequest::PersistVote { operation, vote: vote.to() })
            }
            DiskRequest::History(operation, json) => {
                let body = serde_json::from_slice::<HistoryBody>(json).ok();
                body.and_then(|body| {
                    let history = body::history(&body.lines)?;
                    let cut = self.log.cut(quorate_core::Position(body.cut));
                    Some(StorageRequest::PersistHistory { operation, history, cut })
                })
            }
            DiskRequest::Peers(operation, json) => {
                let peers = serde_json::from_slice::<Vec<PeerBody>>(json).ok();
                let peers = peers.and_then(|peers| peers.iter().map(PeerBody::to).collect());
                peers.map(|peers| StorageRequest::PersistPeers { operation, peers })
            }
            DiskRequest::Snapshot(operation, core, service) => {
                let snapshot = body::snapshot(core.to_vec()).map(Box::new);
                let service = Frozen::laid_out(service.to_vec());
                snapshot.filter(|_| self.takes_snapshots).map(|snapshot| {
                    StorageRequest::StoreSnapshot { operation, snapshot, service, pinned: None }
                })
            }
        };
        let request = request.ok_or_else(|| malformed(process, frame))?;
        self.storage.submit(request);
        Ok(())
    }

    fn serve(&mut self, process: &mut Process, frame: &Frame) -> Result<(), ShimError> {
        if frame.body == SERVICE_STATE {
            let state = self.service.snapshot().and_then(Frozen::into_bytes);
            let body = match &state {
                Ok(reply) => ServiceOutcome::Done { timers: Vec::new(), reply }.to_bytes(),
                Err(error) => ServiceOutcome::Failed(error.to_string().as_bytes()).to_bytes(),
            };
            return process.send(&Frame::new(opcode::SERVICE_DONE, self.node, body));
        }
        let Some(call) = ServiceCall::parse(&frame.body) else {
            return Err(malformed(process, frame));
        };
        let ServiceCall { position, time, delivery, payload } = call;
        let apply = Apply { position, end: position, time, delivery };
        let applied = self.service.apply(&apply, payload);
        let body = match applied {
            Err(error) => ServiceOutcome::Failed(error.to_string().as_bytes()).to_bytes(),
            Ok(()) => {
                let outputs = self.service.unreported().map(|(_, outputs)| outputs);
                let timers = outputs.into_iter().flat_map(|outputs| outputs.timers());
                let timers = timers.map(|(timer, deadline)| {
                    (timer, deadline.map(|deadline| deadline.0.saturating_sub(time.0)))
                });
                let reply = outputs.and_then(|outputs| outputs.replies().next());
                let reply = reply.map_or(&[][..], |(_, _, reply)| reply);
                ServiceOutcome::Done { timers: timers.collect(), reply }.to_bytes()
            }
        };
        self.service.reported();
        process.send(&Frame::new(opcode::SERVICE_DONE, self.node, body))
    }

    fn ask_view(&self, process: &mut Process) -> Result<NodeView, ShimError> {
        process.send(&Frame::new(opcode::VIEW, self.node, Vec::new()))?;
        let mut body: ViewBody = process.expect_json(opcode::VIEW_IS, self.node)?;
        body.translate(&self.names);
        body.to().ok_or_else(|| process.fail("its view holds a name or number that nobody knows"))
    }
}

pub(super) fn malformed(process: &mut Process, frame: &Frame) -> ShimError {
    process.fail(&format!("the body of `{}` is not as it should be", frame.opcode as char))
}
