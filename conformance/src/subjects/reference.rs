//! The core in the smallest loop that keeps the law: one event in, all its actions out, then the
//! next. Core and codecs only; every binding has to do at least this.

use std::collections::VecDeque;
use std::rc::Rc;

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, decode, encode_control, encode_data};
use quorate_core::message::Live;
use quorate_core::{
    Action, Actions, Apply, ChangeOutcome, Delivery, Destination, Endpoint, Event, GroupTag,
    Incoming, Instant, Member, Message, Notice, OperationId, Position, PositionRange, Query,
    ReadRefusal, Sender, Snapshot, Source, Stream, TransferOutcome,
};
use quorate_driver::{
    AppendError, Completion, DatagramPort, LogPort, QueryError, ServiceHost, StoragePort,
    StorageRequest,
};

use crate::catalogue;
use crate::edges::{EdgeCut, EdgeLog, EdgeService, EdgeSocket, EdgeStorage, Edges, Input};
use crate::subject::{
    Changed, Description, Feature, HandedOver, MembersView, Node, NodeSpec, NodeView, SpawnError,
    Subject, Turned,
};

/// The subject `core`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

impl Subject for Reference {
    fn describe(&self) -> Description {
        Description {
            name: "core".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            about: "the core in the smallest loop that keeps its law".into(),
            features: vec![
                Feature::VirtualDisk,
                Feature::GracefulStop,
                Feature::Transfer,
                Feature::Members,
                Feature::Snapshots,
                Feature::Purging,
            ],
            claims: catalogue::groups().map(str::to_owned).collect(),
        }
    }

    fn spawn(&self, spec: &NodeSpec, edges: Edges) -> Result<Box<dyn Node>, SpawnError> {
        spawn_with(Box::new(Binary), spec, edges)
    }
}

/// What is said in datagrams, and how it is written.
pub(super) trait Codec {
    /// The bytes of a control message.
    fn control(&self, header: &Header, message: &Message) -> Option<Vec<u8>>;

    /// The bytes of a slice of a stream.
    fn data(&self, header: &Header, data: Data, slice: &[u8]) -> Option<Vec<u8>>;

    /// Tells `hear` what a datagram says, if it is one.
    fn read(&self, bytes: &[u8], tag: GroupTag, hear: &mut dyn FnMut(Sender, Incoming<'_>));
}

/// What a slice is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) stream: Stream,
    pub(super) epoch: u64,
    pub(super) position: Position,
    pub(super) live: Option<Live>,
}

/// The codec of this project.
struct Binary;

impl Codec for Binary {
    fn control(&self, header: &Header, message: &Message) -> Option<Vec<u8>> {
        let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
        let length = encode_control(header, message, &mut bytes).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }

    fn data(&self, header: &Header, data: Data, slice: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
        let Data { stream, epoch, position, live } = data;
        let slices = (slice, &[][..]);
        let length = encode_data(header, stream, epoch, position, live, slices, &mut bytes).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }

    fn read(&self, bytes: &[u8], tag: GroupTag, hear: &mut dyn FnMut(Sender, Incoming<'_>)) {
        if let Ok((sender, content)) = decode(bytes, tag) {
            hear(sender, content);
        }
    }
}

/// A member that speaks by this codec.
pub(super) fn spawn_with(
    codec: Box<dyn Codec>,
    spec: &NodeSpec,
    edges: Edges,
) -> Result<Box<dyn Node>, SpawnError> {
    let recovered =
        edges.recovered().ok_or_else(|| SpawnError::Refused("nothing recovered".into()))?;
    let member = Member::new(spec.config.clone(), recovered, edges.now())
        .map_err(|error| SpawnError::Refused(error.to_string()))?;
    Ok(Box::new(ReferenceNode {
        codec: Rc::from(codec),
        member,
        actions: Actions::new(),
        service: ServiceHost::new(edges.service()),
        socket: edges.socket(),
        log: edges.log(),
        storage: edges.storage(),
        edges,
        refused: None,
        broken: None,
        unsaved: None,
        served: VecDeque::new(),
        restarts: false,
        stopped: None,
        outstanding: 0,
        stop_by: None,
        handed_over: Vec::new(),
        changed: Vec::new(),
    }))
}

struct ReferenceNode {
    codec: Rc<dyn Codec>,
    member: Member,
    actions: Actions,
    service: ServiceHost<EdgeService>,
    socket: EdgeSocket,
    log: EdgeLog,
    storage: EdgeStorage,
    edges: Edges,
    refused: Option<Position>,
    broken: Option<Event<'static>>,
    /// A snapshot that the service did not give.
    unsaved: Option<OperationId>,
    /// What the service said to reads.
    served: VecDeque<(u64, Result<Vec<u8>, ReadRefusal>)>,
    stopped: Option<String>,
    /// Its life is over, behind a snapshot of another member.
    restarts: bool,
    /// Operations that make something durable and have not completed yet.
    outstanding: usize,
    /// When it is gone at the latest, once it was asked to stop.
    stop_by: Option<Instant>,
    handed_over: Vec<HandedOver>,
    changed: Vec<Changed>,
}

/// How long a member that stops waits for its disk, in nanoseconds.
const STOP_TIMEOUT: u64 = 2_000_000_000;

impl Node for ReferenceNode {
    fn turn(&mut self) -> Turned {
        let now = self.edges.now();
        while let Some(input) = self.edges.next_input() {
            self.take_in(now, input);
        }
        if self.restarts {
            return Turned { restarts: true, ..Turned::default() };
        }
        if let Some(stop_by) = self.stop_by {
            let ended = self.outstanding == 0 || now >= stop_by;
            let stopped = self.stopped.clone();
            return Turned { wake: Some(stop_by), ended, stopped, ..Turned::default() };
        }
        if self.member.next_deadline().is_some_and(|due| due <= now) {
            self.step(now, Event::Timer);
        }
        self.step(now, Event::Flush);
        if self.restarts {
            return Turned { restarts: true, ..Turned::default() };
        }
        let wake = self.member.next_deadline();
        let handed_over = core::mem::take(&mut self.handed_over);
        let changed = core::mem::take(&mut self.changed);
        Turned { wake, stopped: self.stopped.clone(), handed_over, changed, ..Turned::default() }
    }

    fn view(&mut self) -> NodeView {
        NodeView {
            view: self.member.view(),
            history: self.member.history().clone(),
            counters: *self.member.counters(),
            replicated: self.member.replicated_hash(),
            members: Some(MembersView::of(&self.member)),
        }
    }
}

impl ReferenceNode {
    fn take_in(&mut self, now: Instant, input: Input) {
        match input {
            // It stops: it hears nothing, and reads nothing, any more.
            Input::Datagram { .. }
            | Input::Storage(Completion::Read { .. } | Completion::SnapshotRead { .. })
                if self.stop_by.is_some() => {}
            Input::Datagram { source, bytes } => {
                let (codec, tag) = (Rc::clone(&self.codec), self.member.config().tag());
                codec.read(&bytes, tag, &mut |sender, content| {
                    self.step(now, Event::Received { sender, source, content });
                });
            }
            Input::Storage(Completion::Durable { operation }) => {
                self.outstanding = self.outstanding.saturating_sub(1);
                self.step(now, Event::Durable { operation });
            }
            Input::Storage(Completion::Read { operation, bytes }) => {
                self.step(now, Event::LogRead { operation, bytes: &bytes });
            }
            Input::Storage(Completion::SnapshotRead { operation, manifest, bytes }) => {
                self.step(now, Event::SnapshotRead { operation, manifest, bytes: &bytes });
            }
            Input::Storage(Completion::SnapshotWhole { operation, core }) => {
                self.step(now, Event::SnapshotWhole { operation, core: &core });
            }
            Input::Storage(Completion::SnapshotStored { operation }) => {
                self.step(now, Event::Durable { operation });
            }
            Input::Storage(Completion::SnapshotFailed { operation, .. }) => {
                self.step(now, Event::SnapshotFailed { operation });
            }
            // The stage's disk has nothing that reads again what is stored.
            Input::Storage(Completion::Scrubbed(_)) => {}
            Input::Storage(Completion::Failed { .. }) => self.step(now, Event::StorageFailed),
            Input::Transfer { request, target } => {
                self.step(now, Event::Transfer { request, target });
            }
            Input::ChangeMembership { request, change } => {
                self.step(now, Event::ChangeMembership { request, change });
            }
            Input::Shutdown => {
                self.stop_by.get_or_insert_with(|| Instant(now.0.saturating_add(STOP_TIMEOUT)));
                self.step(now, Event::Shutdown);
                self.step(now, Event::Flush);
            }
        }
    }

    /// One event, all its actions, and then what performing them brought about, as events.
    fn step(&mut self, now: Instant, event: Event<'_>) {
        let read = match &event {
            Event::LogRead { bytes, .. } | Event::SnapshotRead { bytes, .. } => *bytes,
            _ => &[],
        };
        self.member.step(now, event, &mut self.actions);
        self.perform_all(read);
        loop {
            if let Some(broken) = self.broken.take() {
                self.member.step(now, broken, &mut self.actions);
            } else if let Some(position) = self.refused.take() {
                self.member.step(now, Event::StorageFull { position }, &mut self.actions);
            } else if let Some(operation) = self.unsaved.take() {
                let event = Event::SnapshotFailed { operation };
                self.member.step(now, event, &mut self.actions);
            } else if let Some((number, answer)) = self.served.pop_front() {
                let answer = answer.as_deref().map_err(|refusal| *refusal);
                self.member.step(now, Event::ReadServed { number, answer }, &mut self.actions);
            } else if let Some((through, outputs)) = self.service.unreported() {
                let event = Event::Applied { through, outputs };
                self.member.step(now, event, &mut self.actions);
                self.service.reported();
            } else {
                return;
            }
            self.perform_all(&[]);
        }
    }

    fn perform_all(&mut self, read: &[u8]) {
        let mut actions = core::mem::take(&mut self.actions);
        for action in actions.drain() {
            self.perform(action, read);
        }
        self.actions = actions;
    }

    fn perform(&mut self, action: Action, read: &[u8]) {
        match action {
            Action::Send { to, message } => {
                let bytes = self.codec.control(&self.header(), &message);
                if let (Some(to), Some(bytes)) = (self.endpoint(to), bytes) {
                    self.send(to, &bytes);
                }
            }
            Action::SendData { to, stream, epoch, range, source, live } => {
                let Some(to) = self.endpoint(to) else { return };
                let bytes = self.bytes(stream, range, source, read);
                let mut position = range.start;
                for slice in bytes.chunks(self.member.config().limits.slice_bytes as usize) {
                    let data = Data { stream, epoch, position, live };
                    if let Some(bytes) = self.codec.data(&self.header(), data, slice) {
                        self.send(to, &bytes);
                    }
                    position = position.plus(slice.len() as u64);
                }
            }
            Action::Append { range } => self.append(range),
            Action::Sync { operation } => self.make_durable(StorageRequest::Sync { operation }),
            Action::PersistVote { operation, vote } => {
                self.make_durable(StorageRequest::PersistVote { operation, vote });
            }
            Action::PersistHistory { operation, history, cut } => {
                let cut = self.log.cut(cut);
                self.make_durable(StorageRequest::PersistHistory { operation, history, cut });
            }
            Action::PersistPeers { operation, peers } => {
                let peers = peers.into_vec();
                self.make_durable(StorageRequest::PersistPeers { operation, peers });
            }
            Action::TakeSnapshot { operation, snapshot, pinned } => {
                self.take_snapshot(operation, snapshot, pinned);
            }
            Action::ReadSnapshot { .. }
            | Action::KeepSnapshotPart { .. }
            | Action::CheckSnapshot { .. }
            | Action::DropSnapshot
            | Action::DiscardSnapshots { .. }
            | Action::InstallSnapshot { .. }
            | Action::Purge { .. } => self.perform_on_snapshots(&action),
            Action::Restart => self.restarts = true,
            Action::ReadLog { operation, range } => {
                self.storage.submit(StorageRequest::Read { operation, range });
            }
            Action::Apply(apply) => self.apply(&apply, read),
            Action::ServeRead(query) => self.serve_read(&query),
            // This host reads nothing itself.
            Action::AnswerRead { .. } => {}
            Action::Notify(notice) => self.note(notice),
            Action::FailStop(reason) => self.stopped = Some(reason.to_string()),
        }
    }

    fn serve_read(&mut self, query: &Query) {
        let answer = self.service.query(&query.payload).map_err(|error| match error {
            QueryError::Unsupported => ReadRefusal::Unsupported,
            QueryError::Failed(_) => ReadRefusal::Failed,
        });
        self.served.push_back((query.number, answer));
    }

    fn note(&mut self, notice: Notice) {
        match notice {
            Notice::Transfer { request, outcome } => self.handed_over.push(match outcome {
                TransferOutcome::Done { leader, .. } => {
                    HandedOver { request, leader: Some(leader.0), refused: None }
                }
                TransferOutcome::Refused(refusal) => HandedOver::refused(request, refusal.name()),
            }),
            Notice::ChangeMembership { request, outcome } => {
                let outcome = match outcome {
                    ChangeOutcome::Done { position } => Ok(position),
                    ChangeOutcome::Refused(refusal) => Err(refusal.name().to_owned()),
                };
                self.changed.push(Changed { request, outcome });
            }
            _ => {}
        }
    }

    fn take_snapshot(
        &mut self,
        operation: OperationId,
        snapshot: Box<Snapshot>,
        pinned: Option<Position>,
    ) {
        match self.service.snapshot() {
            Ok(service) => self.storage.submit(StorageRequest::StoreSnapshot {
                operation,
                snapshot,
                service,
                pinned,
            }),
            Err(_) => self.unsaved = Some(operation),
        }
    }

    fn perform_on_snapshots(&mut self, action: &Action) {
        let request = match *action {
            Action::ReadSnapshot { operation, position, range } => {
                StorageRequest::ReadSnapshot { operation, position, range }
            }
            Action::KeepSnapshotPart { operation, manifest, range } => {
                let bytes = self.bytes(Stream::Snapshot, range, Source::Member, &[]);
                StorageRequest::KeepSnapshotPart { operation, manifest, start: range.start, bytes }
            }
            Action::CheckSnapshot { operation, manifest } => {
                StorageRequest::CheckSnapshot { operation, manifest }
            }
            Action::DropSnapshot => StorageRequest::DropSnapshot,
            Action::DiscardSnapshots { from } => StorageRequest::DiscardSnapshots { from },
            Action::InstallSnapshot { operation, manifest } => {
                StorageRequest::InstallSnapshot { operation, manifest }
            }
            // Nobody is told when it is done.
            Action::Purge { origin } => StorageRequest::Purge { origin },
            _ => return,
        };
        self.storage.submit(request);
    }

    fn make_durable(&mut self, request: StorageRequest<EdgeCut>) {
        self.outstanding += 1;
        self.storage.submit(request);
    }

    fn append(&mut self, range: PositionRange) {
        if self.refused.is_some() || self.broken.is_some() {
            return;
        }
        match self.log.append(range.start, self.member.bytes(Stream::Log, range)) {
            Ok(()) => {}
            Err(AppendError::Full) => self.refused = Some(range.start),
            Err(AppendError::Broken(_)) => self.broken = Some(Event::StorageFailed),
        }
    }

    fn apply(&mut self, apply: &Apply, read: &[u8]) {
        if self.broken.is_some() {
            return;
        }
        let payload = match apply.delivery {
            Delivery::Message { payload, source, .. } => {
                self.bytes(Stream::Log, payload, source, read)
            }
            _ => Vec::new(),
        };
        if self.service.apply(apply, &payload).is_err() {
            self.broken = Some(Event::ServiceFailed);
        }
    }

    fn bytes(&self, stream: Stream, range: PositionRange, source: Source, read: &[u8]) -> Vec<u8> {
        match source {
            Source::Member => {
                let (first, second) = self.member.bytes(stream, range);
                [first, second].concat()
            }
            Source::Read(begin) => {
                let start = range.start.since(begin) as usize;
                let bytes = read.get(start..start + range.len() as usize);
                bytes.unwrap_or_default().to_vec()
            }
        }
    }

    fn send(&mut self, to: Endpoint, bytes: &[u8]) {
        // What the socket does not take is lost, as it could be anywhere on its way.
        let _ = self.socket.send(to, bytes, bytes.len());
    }

    fn endpoint(&self, to: Destination) -> Option<Endpoint> {
        match to {
            Destination::Client(endpoint) => Some(endpoint),
            Destination::Member(member) => self.member.endpoint_of(member),
        }
    }

    fn header(&self) -> Header {
        let life = self.member.view().life;
        let (member, incarnation, boot_epoch) = (life.member, life.incarnation, life.boot_epoch);
        let sender = Sender::Member { member, incarnation, boot_epoch };
        Header { tag: self.member.config().tag(), sender }
    }
}
