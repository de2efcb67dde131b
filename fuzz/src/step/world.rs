//! Three members, a client, and what travels between them.

use std::collections::VecDeque;

use quorate_codecs::{CONTROL_BYTES_MAX, Header, decode, encode_control, encode_data};
use quorate_core::client::{
    ClientAction, ClientActions, ClientConfig, ClientEvent, ClientLimits, ClientTiming,
};
use quorate_core::message::{ConnectOutcome, Live};
use quorate_core::read::READ_BYTES_MAX;
use quorate_core::{
    Action, Actions, Apply, Client, ClientKey, Delivery, Destination, Endpoint, Event, Instant,
    MemberId, Message, Position, PositionRange, ReadRefusal, RecoveryEpoch, Sender, SessionId,
    SnapshotPoint, Source, Stream,
};

use super::disk::{Read, Write};
use super::host::{Host, MEMBERS, SLICE_BYTES, endpoint, limits};
use super::reasons::Liars;
use crate::{GROUP, TAG};

/// The real client.
pub(super) const KEY: ClientKey = ClientKey(1);
/// Where it is.
pub(super) const CLIENT: Endpoint = endpoint(100);
/// Datagrams under way, at most; the oldest are lost.
const UNDER_WAY_MAX: usize = 64;
/// Actions of one event, at most: each table that an event can walk is smaller by far.
const ACTIONS_MAX: usize = 128;
/// Connections that are remembered, for those who forge.
const CONNECTIONS_MAX: usize = 4;

/// What travels: a whole datagram, as it is on the wire.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) to: Endpoint,
    pub(super) from: Endpoint,
    pub(super) bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) hosts: Vec<Host>,
    pub(super) client: Client,
    /// The number of the last reply that the client delivered.
    replied: u64,
    pub(super) under_way: VecDeque<Datagram>,
    /// Nothing goes to this place, nor comes from it.
    pub(super) cut_off: Option<Endpoint>,
    pub(super) connections: Vec<(u64, SessionId)>,
    pub(super) liars_allowed: Liars,
    pub(super) liars: Liars,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            now: Instant(0),
            hosts: (1..=MEMBERS).map(Host::new).collect(),
            client: new_client(Instant(0)),
            replied: 0,
            under_way: VecDeque::new(),
            cut_off: None,
            connections: Vec::new(),
            liars_allowed: Liars::default(),
            liars: Liars::default(),
        }
    }

    /// Another client under the same key, as after a crash.
    pub(super) fn restart_client(&mut self) {
        self.client = new_client(self.now);
        self.replied = 0;
    }

    /// Hands an event to a member, and takes over its actions; a refused append is reported at
    /// once, as the event says.
    pub(super) fn step_member(&mut self, index: usize, event: Event<'_>) {
        let read = match &event {
            Event::LogRead { bytes, .. } | Event::SnapshotRead { bytes, .. } => bytes,
            _ => &[][..],
        };
        let Host { member, actions, .. } = &mut self.hosts[index];
        let was_inert = member.view().fail_stop.is_some();
        member.step(self.now, event, actions);
        assert!(!was_inert || actions.is_empty(), "an inert member wants something");
        self.take_over(index, read);
        while let Some(number) = self.hosts[index].queries.pop() {
            let Host { member, actions, .. } = &mut self.hosts[index];
            let answer = match number % 4 {
                0 => Err(ReadRefusal::Unsupported),
                1 => Ok(&[0; READ_BYTES_MAX + 1][..]),
                _ => Ok(&[7; 8][..]),
            };
            member.step(self.now, Event::ReadServed { number, answer }, actions);
            self.take_over(index, &[]);
        }
        while let Some(position) = self.hosts[index].refused.take() {
            let Host { member, actions, .. } = &mut self.hosts[index];
            member.step(self.now, Event::StorageFull { position }, actions);
            self.take_over(index, &[]);
        }
    }

    fn take_over(&mut self, index: usize, read: &[u8]) {
        let host = &mut self.hosts[index];
        host.member.check_invariants();
        assert!(host.actions.len() <= ACTIONS_MAX, "{} actions at once", host.actions.len());
        let mut actions = core::mem::replace(&mut host.actions, Actions::new());
        for action in actions.drain() {
            self.perform(index, action, read);
        }
        self.hosts[index].actions = actions;
    }

    fn perform(&mut self, index: usize, action: Action, read: &[u8]) {
        let host = &mut self.hosts[index];
        let (sender, from) = (host.sender(), endpoint(host.id().0));
        match action {
            Action::Send { to, message } => {
                self.note_connection(&message);
                self.send_control((from, place(to)), sender, &message);
            }
            Action::SendData { to, stream, epoch, range, source, live } => {
                let bytes = bytes_of(host, stream, range, source, read);
                assert!(!range.is_empty(), "a run has bytes");
                let run = Run { stream, epoch, start: range.start, live };
                self.send_run((from, place(to)), sender, run, &bytes);
            }
            Action::Append { range } => host.append(range),
            Action::Sync { operation } => {
                let end = host.disk.log.len();
                host.disk.writes.push((operation, Write::Log(end)));
            }
            Action::PersistVote { operation, vote } => {
                host.disk.writes.push((operation, Write::Vote(vote)));
            }
            Action::PersistHistory { operation, history, cut } => {
                host.disk.writes.push((operation, Write::History(history, cut)));
            }
            Action::PersistPeers { operation, peers } => {
                let peers = peers.into_iter().collect();
                host.disk.writes.push((operation, Write::Peers(peers)));
            }
            Action::TakeSnapshot { operation, snapshot, .. } => {
                let known = SnapshotPoint::read(&snapshot.core);
                assert_eq!(known, Ok(snapshot.point), "what was laid out is read again");
                host.disk.writes.push((operation, Write::Snapshot(snapshot)));
            }
            Action::Purge { origin } => host.disk.purge(origin),
            Action::ReadLog { operation, range } => {
                assert!(range.start >= host.disk.origin.position, "{range} was purged");
                // An append of this very event may have been refused: so much less is read.
                let is_there = range.end.0 <= host.disk.log.len() as u64 || host.refused.is_some();
                assert!(is_there, "{range} was never appended");
                host.disk.reads.push((operation, Read::Log(range)));
            }
            Action::ReadSnapshot { .. }
            | Action::KeepSnapshotPart { .. }
            | Action::CheckSnapshot { .. }
            | Action::DropSnapshot
            | Action::InstallSnapshot { .. } => fetch(host, &action),
            Action::Restart => host.restart(self.now),
            Action::Apply(apply) => hand_over(host, &apply, read),
            Action::ServeRead(query) => host.queries.push(query.number),
            Action::Notify(_) | Action::AnswerRead { .. } => {}
            Action::FailStop(reason) => {
                assert!(self.liars.excuse(reason), "member {} stopped: {reason}", host.id());
            }
        }
    }

    pub(super) fn step_client(&mut self, event: ClientEvent<'_>) {
        let mut actions = ClientActions::new();
        self.client.step(self.now, event, &mut actions);
        assert!(actions.len() <= ACTIONS_MAX, "{} actions at once", actions.len());
        let sender = Sender::Client { key: KEY };
        for action in actions.drain() {
            match action {
                ClientAction::Send { to, message } => {
                    self.send_control((CLIENT, to), sender, &message);
                }
                ClientAction::SendData { to, stream, epoch, range } => {
                    let bytes = self.bytes_of_client(stream, range);
                    let run = Run { stream, epoch, start: range.start, live: None };
                    self.send_run((CLIENT, to), sender, run, &bytes);
                }
                ClientAction::Reply { sequence, payload, .. } => {
                    assert_eq!(sequence, self.replied + 1, "each reply comes once, in order");
                    self.replied = sequence;
                    self.bytes_of_client(Stream::Egress(KEY), payload);
                }
                _ => {}
            }
        }
    }

    fn bytes_of_client(&self, stream: Stream, range: PositionRange) -> Vec<u8> {
        let (first, second) = self.client.bytes(stream, range);
        assert_eq!((first.len() + second.len()) as u64, range.len(), "a range has its bytes");
        [first, second].concat()
    }

    pub(super) fn send_control(
        &mut self,
        (from, to): (Endpoint, Endpoint),
        sender: Sender,
        message: &Message,
    ) {
        let mut buffer = [0; CONTROL_BYTES_MAX];
        match encode_control(&Header { tag: TAG, sender }, message, &mut buffer) {
            Ok(length) => self.send(Datagram { to, from, bytes: buffer[..length].to_vec() }),
            Err(error) => panic!("{message:?} is not encoded: {error}"),
        }
    }

    fn send_run(
        &mut self,
        (from, to): (Endpoint, Endpoint),
        sender: Sender,
        run: Run,
        bytes: &[u8],
    ) {
        let Run { stream, epoch, start, live } = run;
        for (at, slice) in (0..).step_by(SLICE_BYTES).zip(bytes.chunks(SLICE_BYTES)) {
            let mut buffer = [0; CONTROL_BYTES_MAX];
            let (header, position) = (Header { tag: TAG, sender }, start.plus(at));
            let slice = (slice, &[][..]);
            match encode_data(&header, stream, epoch, position, live, slice, &mut buffer) {
                Ok(length) => self.send(Datagram { to, from, bytes: buffer[..length].to_vec() }),
                Err(error) => panic!("{stream:?} at {position} is not encoded: {error}"),
            }
        }
    }

    pub(super) fn send(&mut self, datagram: Datagram) {
        if [datagram.to, datagram.from].map(Some).contains(&self.cut_off) {
            return;
        }
        if self.under_way.len() == UNDER_WAY_MAX {
            self.under_way.pop_front();
        }
        self.under_way.push_back(datagram);
    }

    /// Hands a datagram to whom it is addressed, if the codec lets it pass.
    pub(super) fn deliver(&mut self, datagram: &Datagram) {
        let Ok((sender, content)) = decode(&datagram.bytes, TAG) else { return };
        if datagram.to == CLIENT {
            let event = ClientEvent::Received { sender, source: datagram.from, content };
            return self.step_client(event);
        }
        let index = (0..self.hosts.len()).find(|&at| endpoint(at as u16 + 1) == datagram.to);
        if let Some(index) = index {
            let event = Event::Received { sender, source: datagram.from, content };
            self.step_member(index, event);
        }
    }

    fn note_connection(&mut self, message: &Message) {
        if let Message::ConnectReply { connection, outcome: ConnectOutcome::Open { session, .. } } =
            *message
            && !self.connections.contains(&(connection, session))
        {
            if self.connections.len() == CONNECTIONS_MAX {
                self.connections.remove(0);
            }
            self.connections.push((connection, session));
        }
    }

    /// Members that applied the same log have the same state, unless somebody lied.
    pub(super) fn check_agreement(&self) {
        if self.liars.members || self.liars.service {
            return;
        }
        for (at, one) in self.hosts.iter().enumerate() {
            for other in &self.hosts[at + 1..] {
                let (ours, theirs) = (one.member.view(), other.member.view());
                let settled = !ours.applying && !theirs.applying && ours.applied == theirs.applied;
                if settled && ours.applied > Position::ZERO {
                    assert_eq!(ours.applied_chain, theirs.applied_chain, "logs differ");
                    let (ours, theirs) =
                        (one.member.replicated_hash(), other.member.replicated_hash());
                    assert_eq!(ours, theirs, "replicated states differ");
                }
            }
        }
    }
}

/// A run of a stream that is cut into datagrams.
struct Run {
    stream: Stream,
    epoch: u64,
    start: Position,
    live: Option<Live>,
}

fn new_client(now: Instant) -> Client {
    let members = limits();
    let config = ClientConfig {
        group: GROUP,
        recovery_epoch: RecoveryEpoch(0),
        key: KEY,
        members: (1..=MEMBERS).map(|member| (MemberId(member), endpoint(member))).collect(),
        seed: 5,
        timing: ClientTiming::default(),
        limits: ClientLimits {
            message_bytes_max: members.message_bytes_max,
            session_window_bytes: members.session_window_bytes,
            in_flight_max: members.in_flight_max,
            slice_bytes: members.slice_bytes,
            run_bytes_max: members.run_bytes_max,
            coverage_ranges_max: members.coverage_ranges_max,
        },
    };
    match Client::new(config, now) {
        Ok(client) => client,
        Err(error) => panic!("the client's configuration: {error}"),
    }
}

fn place(to: Destination) -> Endpoint {
    match to {
        Destination::Member(member) => endpoint(member.0),
        Destination::Client(endpoint) => endpoint,
    }
}

/// Hands a committed frame to the service of `host`.
/// What is to be done about snapshots of others.
fn fetch(host: &mut Host, action: &Action) {
    match *action {
        Action::ReadSnapshot { operation, position, range } => {
            host.disk.reads.push((operation, Read::Snapshot(position, range)));
        }
        Action::KeepSnapshotPart { operation, range, .. } => {
            let bytes = bytes_of(host, Stream::Snapshot, range, Source::Member, &[]);
            let part = Write::Part(range.start.0 as usize, bytes);
            host.disk.writes.push((operation, part));
        }
        Action::CheckSnapshot { operation, manifest } => {
            host.disk.reads.push((operation, Read::Check(manifest)));
        }
        Action::DropSnapshot => host.disk.draft.clear(),
        Action::InstallSnapshot { operation, manifest } => {
            assert!(host.disk.writes.is_empty(), "nothing else is under way");
            host.disk.writes.push((operation, Write::Install(manifest)));
        }
        _ => {}
    }
}

fn hand_over(host: &mut Host, apply: &Apply, read: &[u8]) {
    assert!(host.applying.is_none_or(|before| before <= apply.position), "one batch at a time");
    host.applying = Some(apply.end);
    let payload = match apply.delivery {
        Delivery::Message { payload, source, .. } => {
            bytes_of(host, Stream::Log, payload, source, read)
        }
        _ => Vec::new(),
    };
    host.serve(apply.time, &apply.delivery, &payload);
}

fn bytes_of(
    host: &Host,
    stream: Stream,
    range: PositionRange,
    source: Source,
    read: &[u8],
) -> Vec<u8> {
    let bytes = match source {
        Source::Member => {
            let (first, second) = host.member.bytes(stream, range);
            [first, second].concat()
        }
        Source::Read(begin) => {
            let start = range.start.since(begin) as usize;
            let end = start + range.len() as usize;
            read.get(start..end).unwrap_or_default().to_vec()
        }
    };
    assert_eq!(bytes.len() as u64, range.len(), "{stream:?} {range} has its bytes");
    bytes
}
