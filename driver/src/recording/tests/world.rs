//! Three members and a client in virtual time, each member recorded.

use core::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use quorate_core::client::{ClientConfig, ClientLimits, ClientTiming};
use quorate_core::random::Random;
use quorate_core::{
    BootEpoch, Client, ClientKey, Durability, Duration, Endpoint, GroupId, Incarnation, Instant,
    Life, Limits, Member, MemberConfig, MemberId, Position, PositionRange, Recovered,
    RecoveryEpoch, Timing,
};

use super::super::Recording;
use crate::client_loop::{ClientLoop, ClientOutcome};
use crate::faults::FaultyPort;
use crate::frozen::Frozen;
use crate::host::ServiceHost;
use crate::member_loop::MemberLoop;
use crate::port::{
    AppendError, Clock, DatagramPort, LogPort, Received, StoragePort, StorageRequest,
};
use crate::service::{Context, Service, ServiceError};
use crate::storage::Completion;

/// How long a datagram is on its way, and how long the disk takes.
const LATENCY: Duration = Duration::from_micros(200);
const DISK: Duration = Duration::from_micros(700);

/// Bytes that a recording was written to.
#[derive(Clone, Debug, Default)]
pub(super) struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Bytes {
    pub(super) fn all(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What one node has received and sent.
#[derive(Debug, Default)]
struct Mail {
    incoming: VecDeque<(Endpoint, Vec<u8>)>,
    outgoing: Vec<(Endpoint, Vec<u8>)>,
}

#[derive(Clone, Debug, Default)]
struct Port(Rc<RefCell<Mail>>);

impl DatagramPort for Port {
    fn send(&mut self, to: Endpoint, run: &[u8], datagram_bytes: usize) -> io::Result<usize> {
        let mut mail = self.0.borrow_mut();
        mail.outgoing.extend(run.chunks(datagram_bytes).map(|one| (to, one.to_vec())));
        Ok(run.len().div_ceil(datagram_bytes))
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let Some((source, bytes)) = self.0.borrow_mut().incoming.pop_front() else {
            return Ok(None);
        };
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(Some(Received::single(source, bytes.len())))
    }
}

/// A log in memory, and what the disk was asked for.
#[derive(Debug, Default)]
struct Disk {
    log: Vec<u8>,
    full: bool,
    requests: Vec<StorageRequest<Position>>,
}

#[derive(Clone, Debug, Default)]
struct Storage(Rc<RefCell<Disk>>);

impl LogPort for Storage {
    type Cut = Position;

    fn append(&mut self, position: Position, bytes: (&[u8], &[u8])) -> Result<(), AppendError> {
        let mut disk = self.0.borrow_mut();
        if core::mem::take(&mut disk.full) {
            return Err(AppendError::Full);
        }
        assert_eq!(disk.log.len() as u64, position.0);
        disk.log.extend_from_slice(bytes.0);
        disk.log.extend_from_slice(bytes.1);
        Ok(())
    }

    fn cut(&mut self, at: Position) -> Position {
        self.0.borrow_mut().log.truncate(at.0 as usize);
        at
    }
}

impl StoragePort<Position> for Storage {
    fn submit(&mut self, request: StorageRequest<Position>) {
        let mut disk = self.0.borrow_mut();
        match request {
            StorageRequest::Purge { origin } => disk.log[..origin.position.0 as usize].fill(0),
            request => disk.requests.push(request),
        }
    }
}

impl Storage {
    fn complete(&self, request: &StorageRequest<Position>) -> Completion {
        let bytes = |range: PositionRange| {
            let log = &self.0.borrow().log;
            let end = log.len().min(range.end.0 as usize);
            log.get(range.start.0 as usize..end).map_or_else(Vec::new, <[u8]>::to_vec)
        };
        match *request {
            StorageRequest::Read { operation, range } => {
                Completion::Read { operation, bytes: bytes(range) }
            }
            StorageRequest::StoreSnapshot { operation, .. } => {
                Completion::SnapshotStored { operation }
            }
            StorageRequest::Sync { operation }
            | StorageRequest::PersistVote { operation, .. }
            | StorageRequest::PersistHistory { operation, .. }
            | StorageRequest::PersistPeers { operation, .. } => Completion::Durable { operation },
            StorageRequest::Purge { .. } => unreachable!("nothing is reported of a purge"),
            ref other => unreachable!("nobody is behind a purge here: {other:?}"),
        }
    }
}

/// Replies with what it was sent, and keeps a timer in hand.
#[derive(Debug, Default)]
struct Echo {
    messages: u64,
    timers: u64,
}

impl Service for Echo {
    fn message(
        &mut self,
        context: &mut Context<'_>,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), ServiceError> {
        self.messages += 1;
        reply.extend_from_slice(payload);
        match self.messages % 7 {
            0 => context.schedule_timer(self.messages, Duration::from_millis(5)),
            3 => context.cancel_timer(self.messages - 3),
            _ => {}
        }
        Ok(())
    }

    fn timer(&mut self, _context: &mut Context<'_>, _timer: u64) -> Result<(), ServiceError> {
        self.timers += 1;
        Ok(())
    }

    fn snapshot(&self) -> Frozen {
        Frozen::laid_out([self.messages, self.timers].map(u64::to_le_bytes).concat())
    }

    fn restore(&mut self, _bytes: &[u8]) -> Result<(), ServiceError> {
        Err(ServiceError("not needed here".into()))
    }
}

struct Node {
    running: Option<MemberLoop<Port, Storage, Storage, Echo>>,
    port: Port,
    storage: Storage,
    recorded: Bytes,
    is_cut_off: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Present(Instant);

impl Clock for Present {
    fn now(&self) -> Instant {
        self.0
    }
}

enum Arrival {
    Datagram { to: Endpoint, from: Endpoint, bytes: Vec<u8> },
    Completion { node: usize, request: StorageRequest<Position> },
}

/// The world: one thing happens after the other, in an order that the seed decides.
pub(super) struct World {
    now: Present,
    nodes: Vec<Node>,
    client: ClientLoop<Port>,
    client_port: Port,
    arrivals: BTreeMap<(Instant, u64), Arrival>,
    count: u64,
    random: Random,
    pub(super) loss_percent: u64,
    pub(super) replies: u64,
}

fn endpoint(number: usize) -> Endpoint {
    Endpoint([number as u8 + 1; 18])
}

/// A window that is soon too small for a member that lags, so that archives are read.
fn limits() -> Limits {
    Limits {
        window_bytes: 4_096,
        message_bytes_max: 128,
        uncommitted_bytes_max: 2_048,
        unapplied_bytes_max: 4_096,
        slice_bytes: 256,
        run_bytes_max: 1_024,
        repair_request_bytes_max: 4_096,
        repair_budget_bytes: 4_096,
        reads_max: 2,
        read_bytes_max: 1_024,
        session_window_bytes: 4_096,
        in_flight_max: 16,
        reply_bytes_max: 128,
        ..Limits::default()
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let voters: BTreeMap<_, _> =
            (0..3).map(|index| (MemberId(index as u16 + 1), endpoint(index))).collect();
        let node = |id: MemberId| {
            let config = MemberConfig {
                group: GroupId(9),
                recovery_epoch: RecoveryEpoch(0),
                durability: Durability::default(),
                member: id,
                voters: voters.clone(),
                joins: false,
                seed: seed ^ u64::from(id.0),
                timing: Timing::default(),
                limits: limits(),
            };
            let life = Life { member: id, incarnation: Incarnation(1), boot_epoch: BootEpoch(1) };
            let (recovered, now) = (Recovered::empty(life), Instant(1_000));
            let recorded = Bytes::default();
            let recording = Recording::begin(recorded.clone(), &config, &recovered, now);
            let member = Member::new(config, recovered, now).unwrap();
            let (port, storage) = (Port::default(), Storage::default());
            let datagrams = FaultyPort::new(port.clone(), None);
            let service = ServiceHost::new(Echo::default());
            let mut running =
                MemberLoop::new(member, datagrams, storage.clone(), storage.clone(), service);
            running.record(recording.unwrap());
            Node { running: Some(running), port, storage, recorded, is_cut_off: false }
        };
        let nodes = voters.keys().map(|id| node(*id)).collect();
        let config = ClientConfig {
            group: GroupId(9),
            recovery_epoch: RecoveryEpoch(0),
            key: ClientKey(77),
            members: voters.clone(),
            seed,
            timing: ClientTiming::default(),
            limits: ClientLimits {
                session_window_bytes: 4_096,
                message_bytes_max: 128,
                slice_bytes: 256,
                in_flight_max: 16,
                ..ClientLimits::default()
            },
        };
        let client_port = Port::default();
        let client = Client::new(config, Instant(1_000)).unwrap();
        let client = ClientLoop::new(client, FaultyPort::new(client_port.clone(), None));
        Self {
            now: Present(Instant(1_000)),
            nodes,
            client,
            client_port,
            arrivals: BTreeMap::new(),
            count: 0,
            random: Random::new(seed),
            loss_percent: 0,
            replies: 0,
        }
    }

    /// Sends `count` messages, and goes on until all are answered.
    pub(super) fn send(&mut self, count: u64) {
        let (mut sent, wanted) = (0, self.replies + count);
        let patience = self.now.0 + Duration::from_millis(20_000);
        while self.replies < wanted {
            while sent < count {
                let mut payload = [sent as u8; 96];
                payload[..8].copy_from_slice(&self.count.to_le_bytes());
                if self.client.submit(self.now.0, &payload).is_err() {
                    break;
                }
                sent += 1;
            }
            self.turn();
            assert!(self.now.0 < patience, "{} of {wanted} replies", self.replies);
        }
    }

    /// Goes on for a while.
    pub(super) fn pass(&mut self, span: Duration) {
        let until = self.now.0 + span;
        while self.now.0 < until {
            self.turn();
        }
    }

    /// Which member leads and serves.
    pub(super) fn leader(&self) -> usize {
        let serves = |node: &Node| {
            node.running.as_ref().is_some_and(|running| running.member().view().serving)
        };
        self.nodes.iter().position(serves).unwrap()
    }

    /// Cuts a member off, or connects it again.
    pub(super) fn cut_off(&mut self, index: usize, is_cut_off: bool) {
        self.nodes[index].is_cut_off = is_cut_off;
    }

    /// The next append of a member is refused for want of space.
    pub(super) fn fill_disk(&self, index: usize) {
        self.nodes[index].storage.0.borrow_mut().full = true;
    }

    /// Ends a member at once: its recording has an end.
    pub(super) fn kill(&mut self, index: usize) {
        self.nodes[index].running = None;
    }

    /// Tells a member to stop.
    pub(super) fn shut_down(&mut self, index: usize) {
        let now = self.now.0;
        self.nodes[index].running.as_mut().unwrap().shutdown(now).unwrap();
    }

    /// What was written of a member, or so far.
    pub(super) fn recorded(&self, index: usize) -> Vec<u8> {
        self.nodes[index].recorded.all()
    }

    /// The next thing that happens.
    fn turn(&mut self) {
        self.collect();
        let deadlines = self.nodes.iter().filter_map(|node| node.running.as_ref()?.next_deadline());
        let deadline = deadlines.chain(self.client.next_deadline()).min();
        let arrival = self.arrivals.first_key_value().map(|(at, _)| at.0);
        let next = deadline.into_iter().chain(arrival).min().unwrap();
        self.now.0 = self.now.0.max(next);
        while let Some(entry) = self.arrivals.first_entry()
            && entry.key().0 <= self.now.0
        {
            let arrival = entry.remove();
            self.arrive(arrival);
        }
        let now = self.now;
        for node in &mut self.nodes {
            let Some(running) = &mut node.running else { continue };
            running.receive(&now, 64).unwrap();
            if running.next_deadline().is_some_and(|deadline| deadline <= now.0) {
                running.timer(now.0).unwrap();
            }
            running.flush(now.0).unwrap();
        }
        self.client.receive(&now, 64);
        if self.client.next_deadline().is_some_and(|deadline| deadline <= now.0) {
            self.client.timer(now.0);
        }
        self.client.flush(now.0);
        while let Some(outcome) = self.client.outcome() {
            self.replies += u64::from(matches!(outcome, ClientOutcome::Reply { .. }));
        }
    }

    /// Puts what was sent and asked for on its way.
    fn collect(&mut self) {
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            let sent = core::mem::take(&mut node.port.0.borrow_mut().outgoing);
            let requests = core::mem::take(&mut node.storage.0.borrow_mut().requests);
            for (to, bytes) in sent {
                self.post(endpoint(index), to, bytes);
            }
            for request in requests {
                self.put(DISK, Arrival::Completion { node: index, request });
            }
        }
        let sent = core::mem::take(&mut self.client_port.0.borrow_mut().outgoing);
        for (to, bytes) in sent {
            self.post(endpoint(9), to, bytes);
        }
    }

    fn post(&mut self, from: Endpoint, to: Endpoint, bytes: Vec<u8>) {
        let cut_off = |place: Endpoint| {
            (self.nodes.iter().zip(0..)).any(|(node, at)| node.is_cut_off && endpoint(at) == place)
        };
        let lost = cut_off(from) || cut_off(to);
        if !lost && self.random.next_u64() % 100 >= self.loss_percent {
            self.put(LATENCY, Arrival::Datagram { to, from, bytes });
        }
    }

    fn put(&mut self, delay: Duration, arrival: Arrival) {
        self.count += 1;
        self.arrivals.insert((self.now.0 + delay, self.count), arrival);
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Datagram { to, from, bytes } => {
                let node = (0..self.nodes.len()).find(|index| endpoint(*index) == to);
                let port = node.map_or(&self.client_port, |index| &self.nodes[index].port);
                port.0.borrow_mut().incoming.push_back((from, bytes));
            }
            Arrival::Completion { node, request } => {
                let node = &mut self.nodes[node];
                let Some(running) = &mut node.running else { return };
                let completion = node.storage.complete(&request);
                running.complete(self.now.0, completion).unwrap();
            }
        }
    }
}
