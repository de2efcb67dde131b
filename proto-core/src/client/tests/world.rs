//! A client, scripted members, and a network between them, in virtual time.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::action::Destination;
use crate::client::{
    Client, ClientAction, ClientActions, ClientConfig, ClientError, ClientEvent, ClientLimits,
    ClientTiming, ReadError, Reject, SyncTimedOut,
};
use crate::frame::Body;
use crate::identity::{
    BootEpoch, ClientKey, Endpoint, GroupId, Incarnation, MemberId, RecoveryEpoch, SessionId,
};
use crate::message::{ConnectOutcome, EpochRange, Incoming, Message, Sender, Stream};
use crate::position::{Position, PositionRange};
use crate::random::Random;
use crate::read::ReadAnswer;
use crate::stream::{
    Inlet, NakTiming, Outlet, RepairTiming, egress_tag, ingress_tag, session_epoch,
};
use crate::term::Term;
use crate::time::{Duration, Instant};

pub(super) const KEY: ClientKey = ClientKey(77);
pub(super) const SESSION: SessionId = SessionId(4_096);
const LATENCY: Duration = Duration::from_micros(100);
const TICK: Duration = Duration::from_micros(500);

pub(super) const fn endpoint(member: u16) -> Endpoint {
    let mut bytes = [0; 18];
    bytes[0] = member as u8;
    Endpoint(bytes)
}

pub(super) fn config() -> ClientConfig {
    ClientConfig {
        group: GroupId(1),
        recovery_epoch: RecoveryEpoch(0),
        key: KEY,
        members: (1..=3).map(|member| (MemberId(member), endpoint(member))).collect(),
        seed: 5,
        timing: ClientTiming {
            give_up_after: Duration::from_millis(2_000),
            // As is to be set where round trips take milliseconds.
            nak_retry: Duration::from_millis(1),
            repair_linger: Duration::from_micros(500),
            ..ClientTiming::default()
        },
        limits: ClientLimits {
            message_bytes_max: 1_024,
            session_window_bytes: 8 << 10,
            in_flight_max: 16,
            slice_bytes: 128,
            run_bytes_max: 512,
            coverage_ranges_max: 16,
        },
    }
}

/// What a member does when it is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    Serve,
    Silent,
    Redirect(u16),
    RetryAfter(u64),
    NoQuorum,
    Exhausted,
    Lost,
}

/// What travels.
#[derive(Clone, Debug)]
pub(super) enum Datagram {
    Control(Message),
    Data { stream: Stream, epoch: u64, position: Position, bytes: Vec<u8> },
}

pub(super) struct Server {
    pub(super) mode: Mode,
    connection: u64,
    ingress: Inlet,
    egress: Outlet,
    replies: VecDeque<(u64, Vec<u8>)>,
    acknowledged: Position,
}

/// Decides whether a datagram is lost.
type Loses = Box<dyn FnMut(u64, bool, &Datagram) -> bool>;

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) client: Client,
    pub(super) servers: BTreeMap<u16, Server>,
    /// What the group has applied: the replicated state.
    pub(super) applied: Vec<Vec<u8>>,
    network: BTreeMap<(Instant, u64), (u16, bool, Datagram)>,
    sent: u64,
    next_tick: Instant,
    /// Whether a datagram is lost: its number, whether it goes to a member, and itself.
    pub(super) loses: Loses,
    /// Reorders and doubles datagrams.
    pub(super) disorder: Option<Random>,
    pub(super) flushes: bool,
    pub(super) replies: Vec<(u64, Vec<u8>)>,
    pub(super) accepted: u64,
    pub(super) rejected: Vec<Reject>,
    pub(super) connected: Vec<MemberId>,
    pub(super) disconnected: u64,
    /// The newest read, and what came of those that are over.
    pub(super) reading: u64,
    pub(super) read: Vec<(u64, Result<ReadAnswer, ReadError>)>,
    pub(super) synced: Vec<(Position, Result<Position, SyncTimedOut>)>,
    pub(super) ended: Option<Result<(), ClientError>>,
    pub(super) connects: Vec<(Instant, Endpoint, u64)>,
    pub(super) closes: u64,
    pub(super) wakes: u64,
    pub(super) trace: Vec<String>,
}

fn reply_to(payload: &[u8]) -> Vec<u8> {
    [b"re:", payload].concat()
}

impl Server {
    fn new() -> Self {
        let tag = config().tag();
        Self {
            mode: Mode::Serve,
            connection: 0,
            ingress: Inlet::new(tag, Position(0), 8 << 10, 16),
            egress: Outlet::new(tag, Position(0), 8 << 10),
            replies: VecDeque::new(),
            acknowledged: Position(0),
        }
    }

    fn epoch(&self) -> u64 {
        session_epoch(self.connection, SESSION)
    }

    fn nak() -> NakTiming {
        NakTiming {
            delay: Duration::from_micros(300),
            retry: Duration::from_millis(10),
            bytes_max: 8 << 10,
            sharing: None,
        }
    }

    fn connect(&mut self, applied: &[Vec<u8>], message: &Message) -> Option<ConnectOutcome> {
        let &Message::Connect { connection, session, ingress_start, unanswered } = message else {
            return None;
        };
        Some(match self.mode {
            Mode::Silent => return None,
            Mode::Redirect(leader) => ConnectOutcome::Redirect {
                leader: MemberId(leader),
                term: Term(1),
                endpoint: endpoint(leader),
            },
            Mode::RetryAfter(nanos) => ConnectOutcome::RetryAfter { nanos },
            Mode::NoQuorum => ConnectOutcome::NoQuorum { nanos: 150_000_000 },
            Mode::Exhausted => ConnectOutcome::SessionsExhausted,
            Mode::Lost => ConnectOutcome::SessionLost { session },
            Mode::Serve => {
                if connection > self.connection {
                    self.open(applied, connection, ingress_start, unanswered);
                }
                ConnectOutcome::Open {
                    session: SESSION,
                    leader: MemberId(0),
                    term: Term(2),
                    limit: self.ingress.limit(),
                }
            }
        })
    }

    fn open(&mut self, applied: &[Vec<u8>], connection: u64, start: Position, unanswered: u64) {
        let tag = config().tag();
        self.connection = connection;
        self.ingress = Inlet::new(ingress_tag(tag, KEY), start, 8 << 10, 16);
        self.egress = Outlet::new(egress_tag(tag, KEY, connection), Position(0), 8 << 10);
        self.acknowledged = Position(0);
        self.replies = (1..).zip(applied).skip(unanswered as usize - 1).map(Self::reply).collect();
    }

    fn reply((sequence, payload): (u64, &Vec<u8>)) -> (u64, Vec<u8>) {
        (sequence, reply_to(payload))
    }

    fn receive(&mut self, now: Instant, applied: &mut Vec<Vec<u8>>, datagram: &Datagram) -> bool {
        match datagram {
            Datagram::Data { stream: Stream::Ingress(KEY), epoch, position, bytes }
                if *epoch == self.epoch() =>
            {
                self.ingress.receive(now, *position, bytes);
                while let Some(frame) = self.ingress.next_frame().unwrap() {
                    let Body::Message { sequence, .. } = frame.body else { panic!("{frame:?}") };
                    let (first, second) = self.ingress.slices(frame.payload);
                    if sequence as usize == applied.len() + 1 {
                        applied.push([first, second].concat());
                        self.replies
                            .push_back(Self::reply((sequence, &applied[applied.len() - 1])));
                    }
                    assert!(sequence as usize <= applied.len(), "messages come in order");
                    self.ingress.consume(frame.end);
                }
            }
            Datagram::Control(Message::StreamNewest { epoch, newest, .. })
                if *epoch == self.epoch() =>
            {
                self.ingress.hear_newest(*newest);
                return true;
            }
            Datagram::Control(Message::StreamStatus { epoch, consumed, limit, .. })
                if *epoch == self.epoch() =>
            {
                self.egress.allow(*limit);
                self.egress.release(*consumed);
                self.acknowledged = self.acknowledged.max(*consumed);
            }
            _ => {}
        }
        false
    }

    fn repairs(&mut self, now: Instant, datagram: &Datagram) -> Vec<PositionRange> {
        let timing = RepairTiming {
            linger: Duration::from_millis(5),
            interval: Duration::from_millis(50),
            budget_bytes: 64 << 10,
            slice_bytes: 1_216,
        };
        let Datagram::Control(Message::Nak { ranges, .. }) = datagram else { return Vec::new() };
        let to = Destination::Client(Endpoint::default());
        let epoch = self.epoch();
        let ours = ranges.iter().filter(|asked| asked.epoch == epoch);
        let parts = ours.flat_map(|asked| self.egress.repair(now, timing, to, asked.range));
        parts.collect()
    }

    fn push_replies(&mut self) {
        while let Some((sequence, payload)) = self.replies.front() {
            let position = Position(sequence * 100);
            let body = Body::Reply { session: SESSION, sequence: *sequence, position };
            if self.egress.push(&body, payload).is_none() {
                break;
            }
            self.replies.pop_front();
        }
    }
}

impl World {
    pub(super) fn new(config: ClientConfig) -> Self {
        let mut world = Self {
            now: Instant(0),
            client: Client::new(config, Instant(0)).unwrap(),
            servers: (1..=3).map(|member| (member, Server::new())).collect(),
            applied: Vec::new(),
            network: BTreeMap::new(),
            sent: 0,
            next_tick: Instant(0),
            loses: Box::new(|_, _, _| false),
            disorder: None,
            flushes: true,
            replies: Vec::new(),
            accepted: 0,
            rejected: Vec::new(),
            connected: Vec::new(),
            disconnected: 0,
            reading: 0,
            read: Vec::new(),
            synced: Vec::new(),
            ended: None,
            connects: Vec::new(),
            closes: 0,
            wakes: 0,
            trace: Vec::new(),
        };
        world.set_modes([Mode::Serve, Mode::Redirect(1), Mode::Redirect(1)]);
        world
    }

    pub(super) fn set_modes(&mut self, modes: [Mode; 3]) {
        for (server, mode) in self.servers.values_mut().zip(modes) {
            server.mode = mode;
        }
    }

    pub(super) fn submit(&mut self, payload: &[u8]) {
        self.step(ClientEvent::Submit { payload });
    }

    pub(super) fn step(&mut self, event: ClientEvent<'_>) {
        let mut actions = ClientActions::new();
        self.client.step(self.now, event, &mut actions);
        for action in actions.drain() {
            self.trace.push(format!("{} {action:?}", self.now.0));
            self.perform(action);
        }
    }

    fn perform(&mut self, action: ClientAction) {
        assert!(self.ended.is_none() || matches!(action, ClientAction::Rejected { .. }));
        match action {
            ClientAction::Send { to, message } => {
                if let Message::Connect { connection, .. } = message {
                    self.connects.push((self.now, to, connection));
                }
                self.closes += u64::from(matches!(message, Message::Close { .. }));
                self.send(to, true, Datagram::Control(message));
            }
            ClientAction::SendData { to, stream, epoch, range } => {
                let (first, second) = self.client.bytes(stream, range);
                let bytes = [first, second].concat();
                self.send_slices(to, true, (stream, epoch, range.start), &bytes);
            }
            ClientAction::Accepted { sequence } => {
                self.accepted += 1;
                assert_eq!(sequence, self.accepted);
            }
            ClientAction::Rejected { reason } => self.rejected.push(reason),
            ClientAction::Reply { sequence, position, payload } => {
                assert_eq!(position, Position(sequence * 100));
                let (first, second) = self.client.bytes(Stream::Egress(KEY), payload);
                self.replies.push((sequence, [first, second].concat()));
            }
            ClientAction::Connected { session, leader, .. } => {
                assert_eq!(session, SESSION);
                self.connected.push(leader);
            }
            ClientAction::Disconnected => self.disconnected += 1,
            ClientAction::Synced { position, outcome } => self.synced.push((position, outcome)),
            ClientAction::Reading { number } => self.reading = number,
            ClientAction::Read { number, outcome } => self.read.push((number, outcome)),
            ClientAction::Ended(result) => self.ended = Some(result),
        }
    }

    fn send_slices(
        &mut self,
        to: Endpoint,
        up: bool,
        (stream, epoch, start): (Stream, u64, Position),
        bytes: &[u8],
    ) {
        for (number, slice) in bytes.chunks(128).enumerate() {
            let position = start.plus(number as u64 * 128);
            self.send(to, up, Datagram::Data { stream, epoch, position, bytes: slice.to_vec() });
        }
    }

    /// Sends to the member at `at`, or from it to the client.
    fn send(&mut self, at: Endpoint, up: bool, datagram: Datagram) {
        self.sent += 1;
        let member = u16::from(at.0[0]);
        if (self.loses)(self.sent, up, &datagram) {
            return;
        }
        let (mut delay, mut twice) = (Duration::ZERO, false);
        if let Some(random) = &mut self.disorder {
            delay = Duration(random.below(3_000_000));
            twice = random.below(10) == 0;
        }
        let key = (self.now + LATENCY + delay, self.sent);
        self.network.insert(key, (member, up, datagram.clone()));
        if twice {
            self.sent += 1;
            let key = (self.now + LATENCY + Duration::from_millis(4), self.sent);
            self.network.insert(key, (member, up, datagram));
        }
    }

    pub(super) fn inject(&mut self, member: u16, message: Message) {
        self.send(endpoint(member), false, Datagram::Control(message));
    }

    /// Runs until `end`, or until the client has ended.
    pub(super) fn run_until(&mut self, end: Instant) {
        while self.now < end {
            if self.flushes {
                self.step(ClientEvent::Flush);
            }
            let deadline = self.client.next_deadline();
            let arrival = self.network.keys().next().map(|&(at, _)| at);
            let next = [deadline, arrival, Some(self.next_tick)].into_iter().flatten().min();
            self.now = self.now.max(next.unwrap_or(end)).min(end);
            if deadline.is_some_and(|at| at <= self.now) {
                self.wakes += 1;
                self.step(ClientEvent::Timer);
                let moved = self.client.next_deadline().is_none_or(|at| at > self.now);
                assert!(moved, "E105: the deadline does not move on");
            }
            while self.network.keys().next().is_some_and(|&(at, _)| at <= self.now) {
                let (_, (member, up, datagram)) = self.network.pop_first().unwrap();
                if up { self.serve(member, &datagram) } else { self.arrive(member, &datagram) }
            }
            if self.next_tick <= self.now {
                self.next_tick = self.now + TICK;
                self.tick();
            }
        }
    }

    pub(super) fn run_for(&mut self, millis: u64) {
        self.run_until(self.now + Duration::from_millis(millis));
    }

    fn arrive(&mut self, member: u16, datagram: &Datagram) {
        let content = match datagram {
            Datagram::Control(message) => Incoming::Control(message.clone()),
            Datagram::Data { stream, epoch, position, bytes } => Incoming::Data {
                stream: *stream,
                epoch: *epoch,
                position: *position,
                live: None,
                slice: bytes,
            },
        };
        let sender = Sender::Member {
            member: MemberId(member),
            incarnation: Incarnation(1),
            boot_epoch: BootEpoch(1),
        };
        self.step(ClientEvent::Received { sender, source: endpoint(member), content });
    }

    fn serve(&mut self, member: u16, datagram: &Datagram) {
        let Some(server) = self.servers.get_mut(&member) else { return };
        let mut answers = Vec::new();
        if let Datagram::Control(message @ Message::Connect { connection, .. }) = datagram {
            let outcome = server.connect(&self.applied, message).map(|outcome| match outcome {
                ConnectOutcome::Open { session, term, limit, .. } => {
                    ConnectOutcome::Open { session, leader: MemberId(member), term, limit }
                }
                other => other,
            });
            let connection = *connection;
            answers.extend(outcome.map(|outcome| Message::ConnectReply { connection, outcome }));
        } else if server.mode == Mode::Serve {
            if server.receive(self.now, &mut self.applied, datagram) {
                answers.push(Message::StreamStatus {
                    stream: Stream::Ingress(KEY),
                    epoch: server.epoch(),
                    consumed: server.ingress.consumed(),
                    limit: server.ingress.limit(),
                });
            }
            if let Datagram::Control(Message::Close { connection, session }) = datagram {
                let (connection, session) = (*connection, *session);
                answers.push(Message::Closed { connection, session });
            }
            let parts = server.repairs(self.now, datagram);
            self.send_egress(member, &parts);
            self.send_replies(member);
        }
        for message in answers {
            self.send(endpoint(member), false, Datagram::Control(message));
        }
    }

    fn send_replies(&mut self, member: u16) {
        let Some(server) = self.servers.get_mut(&member) else { return };
        server.push_replies();
        let runs: Vec<_> = core::iter::from_fn(|| server.egress.next_run(512)).collect();
        self.send_egress(member, &runs);
    }

    fn send_egress(&mut self, member: u16, runs: &[PositionRange]) {
        for run in runs {
            let server = &self.servers[&member];
            let (first, second) = server.egress.slices(*run);
            let bytes = [first, second].concat();
            let of = (Stream::Egress(KEY), server.epoch(), run.start);
            self.send_slices(endpoint(member), false, of, &bytes);
        }
    }

    fn tick(&mut self) {
        for member in 1..=3 {
            let Some(server) = self.servers.get_mut(&member) else { continue };
            if server.mode != Mode::Serve || server.connection == 0 {
                continue;
            }
            let epoch = server.epoch();
            let mut said = Vec::new();
            let ranges = server.ingress.poll_nak(self.now, Server::nak());
            if !ranges.is_empty() {
                let ranges = ranges.into_iter().map(|range| EpochRange { epoch, range }).collect();
                said.push(Message::Nak { stream: Stream::Ingress(KEY), ranges });
            }
            if server.egress.sent() > server.acknowledged {
                let newest = server.egress.sent();
                said.push(Message::StreamNewest { stream: Stream::Egress(KEY), epoch, newest });
            }
            self.send_replies(member);
            for message in said {
                self.send(endpoint(member), false, Datagram::Control(message));
            }
        }
    }

    /// Asserts that every accepted message was applied once and answered once, in order.
    pub(super) fn assert_all_answered(&self) {
        assert_eq!(self.applied.len() as u64, self.accepted);
        let expected: Vec<_> =
            (1..).zip(&self.applied).map(|(at, payload)| (at, reply_to(payload))).collect();
        assert_eq!(self.replies, expected);
        assert_eq!(self.client.unanswered(), 0);
    }
}
