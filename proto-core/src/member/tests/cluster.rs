//! Members in one room: datagrams arrive in order and at once, disks complete when they are told
//! to, time moves when it is told to. What is sent may be lost or held.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use crate::action::{Action, Actions, Delivery, Destination, Source};
use crate::client::{
    Client, ClientAction, ClientActions, ClientConfig, ClientError, ClientEvent, ClientLimits,
    ClientTiming, SyncTimedOut,
};
use crate::config::{
    Durability, ForcedRecovery, Limits, MemberConfig, PeerRecord, Recovered, Timing,
};
use crate::event::{Event, OperationId, Outputs};
use crate::frame::{self, Body, FrameSeed, chain_after};
use crate::identity::{
    BootEpoch, ClientKey, Endpoint, GroupId, GroupTag, Incarnation, Life, MemberId, RecoveryEpoch,
};
use crate::member::Member;
use crate::membership::keep_newest;
use crate::message::{Incoming, Live, Message, Sender, Stream};
use crate::notice::{FailStop, Notice};
use crate::position::Position;
use crate::snapshot::{Snapshot, SnapshotManifest, SnapshotPoint};
use crate::term::{TermHistory, Vote};
use crate::time::{Duration, Instant, LogTime};

/// What travels.
#[derive(Clone, Debug)]
pub(super) enum Datagram {
    Control(Message),
    Data { stream: Stream, epoch: u64, position: Position, live: Option<Live>, slice: Vec<u8> },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) log: Vec<u8>,
    pub(super) origin: SnapshotPoint,
    pub(super) synced: usize,
    pub(super) vote: Vote,
    pub(super) history: TermHistory,
    pub(super) peers: Vec<PeerRecord>,
    pub(super) boot_epoch: u64,
    /// How often it was lost, and made anew.
    pub(super) lost: u32,
    pub(super) forced: Option<ForcedRecovery>,
    /// Each with what the service had applied.
    pub(super) snapshots: Vec<(Snapshot, Vec<Vec<u8>>)>,
    /// What was kept of a snapshot of another member.
    pub(super) kept: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(super) enum Write {
    Sync(usize),
    Vote(Vote),
    History(TermHistory),
    Peers(Vec<PeerRecord>),
    Snapshot(Snapshot, Vec<Vec<u8>>),
    Part(Vec<u8>),
    Check(SnapshotManifest),
    Install(SnapshotManifest),
}

/// A read that is to be reported.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) operation: OperationId,
    pub(super) bytes: Vec<u8>,
    /// Of a snapshot: what it consists of, if it is there.
    pub(super) of: Option<Option<SnapshotManifest>>,
}

#[derive(Default)]
pub(super) struct Node {
    pub(super) member: Option<Member>,
    pub(super) disk: Disk,
    pub(super) pending: VecDeque<(OperationId, Write)>,
    /// Snapshots that are to be stored: completed by the test.
    pub(super) taken: VecDeque<(OperationId, Write)>,
    pub(super) holds_snapshots: bool,
    pub(super) notices: Vec<Notice>,
    pub(super) holds_disk: bool,
    /// Reads of the archive that are left alone, if they are.
    pub(super) held_reads: Option<Vec<(OperationId, crate::PositionRange)>>,
    /// Reports of the service that are left alone, if they are.
    pub(super) held_reports: Option<Vec<(Position, Outputs)>>,
    pub(super) applied: Vec<Vec<u8>>,
    pub(super) reading: Reading,
    pub(super) fail_stop: Option<FailStop>,
    /// The snapshot that it was told to keep when it took the last one.
    pub(super) pinned: Option<Position>,
    /// It flips a bit of each part of a snapshot that it reads.
    pub(super) flips: bool,
    restarts: bool,
}

pub(super) struct Cluster {
    pub(super) now: Instant,
    pub(super) nodes: BTreeMap<MemberId, Node>,
    /// With whom the group was formed.
    pub(super) formed: Vec<u16>,
    pub(super) client: Option<Client>,
    pub(super) replies: Vec<(u64, Vec<u8>)>,
    /// The positions that the client waited for, and what came of it.
    pub(super) synced: Vec<(Position, Result<Position, SyncTimedOut>)>,
    /// How the client ended, if it did.
    pub(super) ended: Option<Result<(), ClientError>>,
    pub(super) queue: VecDeque<(Endpoint, Endpoint, Sender, Datagram)>,
    /// Decides whether a datagram from the first to the second is lost.
    pub(super) lose: fn(&Cut, Endpoint, Endpoint, &Datagram) -> bool,
    pub(super) cut: Cut,
    pub(super) limits: Limits,
    pub(super) timing: Timing,
    pub(super) durability: Durability,
    /// Of the client.
    pub(super) epoch: RecoveryEpoch,
    /// Who lets the others lead, by that delay; told to members that start from now on.
    pub(super) delayed: (u16, Duration),
    /// What members told, and who.
    pub(super) notices: Vec<(u16, Notice)>,
    /// One line for each datagram that was delivered.
    pub(super) trace: String,
}

pub(super) fn id(member: u16) -> MemberId {
    MemberId(member)
}

pub(super) fn endpoint(number: u16) -> Endpoint {
    let mut bytes = [0; 18];
    bytes[16..].copy_from_slice(&number.to_be_bytes());
    Endpoint(bytes)
}

use super::reading::Reading;

pub(super) use super::cut::{Cut, isolated, no_log_data, one_in_so_many};

pub(super) const CLIENT: u16 = 1_000;

pub(super) fn small_limits() -> Limits {
    Limits {
        window_bytes: 64 << 10,
        message_bytes_max: 4_000,
        uncommitted_bytes_max: 32 << 10,
        unapplied_bytes_max: 32 << 10,
        session_window_bytes: 32 << 10,
        reply_bytes_max: 4_000,
        read_bytes_max: 8 << 10,
        ..Limits::default()
    }
}

impl Cluster {
    pub(super) fn new(members: u16) -> Self {
        Self::with(members, Durability::Durable)
    }

    pub(super) fn with(members: u16, durability: Durability) -> Self {
        let mut cluster = Self {
            now: Instant(1),
            nodes: BTreeMap::new(),
            formed: (1..=members).collect(),
            client: None,
            replies: Vec::new(),
            synced: Vec::new(),
            ended: None,
            queue: VecDeque::new(),
            lose: isolated,
            cut: Cut::default(),
            limits: small_limits(),
            timing: Timing::default(),
            durability,
            epoch: RecoveryEpoch(0),
            delayed: (0, Duration::ZERO),
            notices: Vec::new(),
            trace: String::new(),
        };
        cluster.form(members);
        cluster
    }

    /// Begins so many members.
    pub(super) fn form(&mut self, members: u16) {
        let cluster = self;
        cluster.formed = (1..=members).collect();
        for member in 1..=members {
            cluster.nodes.insert(id(member), Node::default());
        }
        for member in 1..=members {
            cluster.start(member);
        }
    }

    pub(super) fn config(&self, member: u16) -> MemberConfig {
        MemberConfig {
            group: GroupId(77),
            recovery_epoch: self.epoch_of(endpoint(member)),
            durability: self.durability,
            member: id(member),
            voters: self.formed.iter().map(|&member| (id(member), endpoint(member))).collect(),
            joins: !self.formed.contains(&member),
            seed: u64::from(member) * 7 + self.now.0,
            timing: Timing {
                candidacy_delay: match self.delayed {
                    (delayed, delay) if delayed == member => delay,
                    _ => Duration::ZERO,
                },
                ..self.timing.clone()
            },
            limits: self.limits.clone(),
        }
    }

    pub(super) fn start(&mut self, member: u16) {
        let config = self.config(member);
        let (now, frame_max) = (self.now, config.limits.frame_bytes_max());
        let node = self.nodes.get_mut(&id(member)).unwrap();
        node.disk.boot_epoch += 1;
        let life = Life {
            member: id(member),
            incarnation: Incarnation(1 + node.disk.lost),
            boot_epoch: BootEpoch(node.disk.boot_epoch),
        };
        let disk = &mut node.disk;
        let (mut end, mut chain) = (disk.origin.position.0 as usize, disk.origin.chain);
        let mut opened = None;
        let mut memberships = Vec::new();
        while let Some(line) = disk.history.owner(Position(end as u64)) {
            let position = Position(end as u64);
            let tag = GroupTag::new(GroupId(77), line.recovery_epoch);
            let seed = FrameSeed::new(tag, line.term, position);
            let Ok(header) = frame::verify(seed, &disk.log[end..], &[], frame_max) else { break };
            if let Ok(Body::TermOpen(open)) = frame::parse_body(&header, &disk.log[end..]) {
                opened = Some((open.term, open.level));
            }
            if let Ok(Body::Membership { .. }) = frame::parse_body(&header, &disk.log[end..]) {
                let payload = header.payload(Position::ZERO);
                let bytes = &disk.log[end..][payload.start.0 as usize..payload.end.0 as usize];
                let after = position.plus(header.aligned_length());
                keep_newest(&mut memberships, after, bytes).unwrap();
            }
            chain = chain_after(chain, line.term, position, header.checksum);
            end += header.aligned_length() as usize;
        }
        disk.log.truncate(end);
        disk.synced = end;
        disk.snapshots.retain(|(snapshot, _)| snapshot.point.position.0 <= end as u64);
        let newest = disk.snapshots.last().cloned();
        let (snapshot, applied) = newest
            .map_or((None, Vec::new()), |(snapshot, applied)| (Some(Box::new(snapshot)), applied));
        let recovered = Recovered {
            snapshot,
            life,
            vote: disk.vote,
            history: disk.history.clone(),
            origin: disk.origin,
            log_end: Position(end as u64),
            chain,
            log_time: LogTime(0),
            opened,
            memberships,
            peers: disk.peers.clone(),
            forced: disk.forced,
        };
        node.applied = applied;
        node.pending.clear();
        node.taken.clear();
        node.member = Some(Member::new(config, recovered, now).unwrap());
    }

    /// Kills a member; what was not synced is lost.
    pub(super) fn crash(&mut self, member: u16) {
        let node = self.nodes.get_mut(&id(member)).unwrap();
        node.member = None;
        node.disk.log.truncate(node.disk.synced);
    }

    pub(super) fn member(&self, member: u16) -> &Member {
        self.nodes[&id(member)].member.as_ref().unwrap()
    }

    pub(super) fn connect_client(&mut self) {
        self.connect_client_with(4_000);
    }

    /// Connects a client whose messages may be of `message_bytes_max`, and waits for its session.
    pub(super) fn connect_client_with(&mut self, message_bytes_max: u32) {
        let config = ClientConfig {
            group: GroupId(77),
            recovery_epoch: self.epoch,
            // A session of a former epoch may be open under another.
            key: ClientKey(99 + u64::from(self.epoch.0)),
            members: self.nodes.keys().map(|&id| (id, endpoint(id.0))).collect(),
            seed: 5,
            timing: ClientTiming::default(),
            limits: ClientLimits {
                message_bytes_max,
                session_window_bytes: 32 << 10,
                ..ClientLimits::default()
            },
        };
        self.client = Some(Client::new(config, self.now).unwrap());
        self.step_client(ClientEvent::Timer);
    }

    pub(super) fn submit(&mut self, payload: &[u8]) {
        self.step_client(ClientEvent::Submit { payload });
        self.step_client(ClientEvent::Flush);
    }

    pub(super) fn step_client(&mut self, event: ClientEvent<'_>) {
        let Some(mut client) = self.client.take() else { return };
        let mut actions = ClientActions::new();
        client.step(self.now, event, &mut actions);
        let key = client.config().key;
        let sender = Sender::Client { key };
        for action in actions.drain() {
            match action {
                ClientAction::Send { to, message } => {
                    let datagram = Datagram::Control(message);
                    self.queue.push_back((endpoint(CLIENT), to, sender, datagram));
                }
                ClientAction::SendData { to, stream, epoch, range } => {
                    let (first, second) = client.bytes(stream, range);
                    let bytes = [first, second].concat();
                    for (at, slice) in (0..).step_by(1_216).zip(bytes.chunks(1_216)) {
                        let position = range.start.plus(at);
                        let slice = slice.to_vec();
                        let datagram =
                            Datagram::Data { stream, epoch, position, live: None, slice };
                        self.queue.push_back((endpoint(CLIENT), to, sender, datagram));
                    }
                }
                ClientAction::Reply { sequence, payload, .. } => {
                    let stream = Stream::Egress(key);
                    let (first, second) = client.bytes(stream, payload);
                    self.replies.push((sequence, [first, second].concat()));
                }
                ClientAction::Synced { position, outcome } => self.synced.push((position, outcome)),
                ClientAction::Rejected { reason } => panic!("rejected: {reason}"),
                ClientAction::Ended(result) => self.ended = Some(result),
                _ => {}
            }
        }
        self.client = Some(client);
    }

    pub(super) fn step(&mut self, member: u16, event: Event<'_>) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&id(member)) else { return };
        let Some(mut core) = node.member.take() else { return };
        let mut actions = Actions::new();
        let mut outputs = Outputs::new();
        let read: Vec<u8> = match &event {
            Event::LogRead { bytes, .. } | Event::SnapshotRead { bytes, .. } => bytes.to_vec(),
            _ => Vec::new(),
        };
        core.step(now, event, &mut actions);
        core.check_invariants();
        let mut read = read;
        let (mut applied, mut reads) = (None, VecDeque::new());
        loop {
            let (newly, more) = self.perform(member, &core, &mut actions, &read, &mut outputs);
            applied = newly.or(applied);
            reads.extend(more);
            if let Some(Read { operation, bytes, of }) = reads.pop_front() {
                read = bytes;
                let event = match of {
                    None => Event::LogRead { operation, bytes: &read },
                    Some(manifest) => Event::SnapshotRead { operation, manifest, bytes: &read },
                };
                core.step(now, event, &mut actions);
                core.check_invariants();
                continue;
            }
            if let Some((number, answer)) = self.next_answer(member) {
                let answer = Ok(&answer[..]);
                core.step(now, Event::ReadServed { number, answer }, &mut actions);
                core.check_invariants();
                continue;
            }
            let Some(through) = applied.take() else { break };
            let node = self.nodes.get_mut(&id(member)).unwrap();
            if let Some(held) = &mut node.held_reports {
                held.push((through, core::mem::take(&mut outputs)));
                break;
            }
            core.step(now, Event::Applied { through, outputs: &outputs }, &mut actions);
            core.check_invariants();
            outputs.clear();
        }
        let node = self.nodes.get_mut(&id(member)).unwrap();
        node.member = Some(core);
        if core::mem::take(&mut node.restarts) {
            self.crash(member);
            self.start(member);
        }
    }

    fn perform(
        &mut self,
        member: u16,
        core: &Member,
        actions: &mut Actions,
        read: &[u8],
        outputs: &mut Outputs,
    ) -> (Option<Position>, Vec<Read>) {
        let life = core.view().life;
        let sender = Sender::Member {
            member: life.member,
            incarnation: life.incarnation,
            boot_epoch: life.boot_epoch,
        };
        let (mut applied, mut reads) = (None, Vec::new());
        let own = endpoint(member);
        let resolve = |to| match to {
            Destination::Member(member) => endpoint(member.0),
            Destination::Client(to) => to,
        };
        let bytes_of = |stream, range: crate::PositionRange, source| match source {
            Source::Member => {
                let (first, second) = core.bytes(stream, range);
                [first, second].concat()
            }
            Source::Read(start) => {
                let from = range.start.since(start) as usize;
                read[from..from + range.len() as usize].to_vec()
            }
        };
        let node = self.nodes.get_mut(&id(member)).unwrap();
        for action in actions.drain() {
            match action {
                Action::Send { to, message } => {
                    self.queue.push_back((own, resolve(to), sender, Datagram::Control(message)));
                }
                Action::SendData { to, stream, epoch, range, source, live } => {
                    let bytes = bytes_of(stream, range, source);
                    for (at, slice) in (0..).step_by(1_216).zip(bytes.chunks(1_216)) {
                        let position = range.start.plus(at);
                        let slice = slice.to_vec();
                        let datagram = Datagram::Data { stream, epoch, position, live, slice };
                        self.queue.push_back((own, resolve(to), sender, datagram));
                    }
                }
                Action::Append { range } => {
                    assert_eq!(range.start.0, node.disk.log.len() as u64, "appends are contiguous");
                    node.disk.log.extend(bytes_of(Stream::Log, range, Source::Member));
                }
                Action::Sync { operation } => {
                    node.pending.push_back((operation, Write::Sync(node.disk.log.len())));
                }
                Action::PersistVote { operation, vote } => {
                    node.pending.push_back((operation, Write::Vote(vote)));
                }
                Action::PersistHistory { operation, history, cut } => {
                    node.disk.log.truncate(cut.0 as usize);
                    node.disk.synced = node.disk.synced.min(cut.0 as usize);
                    node.pending.push_back((operation, Write::History(history)));
                }
                Action::PersistPeers { operation, peers } => {
                    node.pending.push_back((operation, Write::Peers(peers.to_vec())));
                }
                Action::Purge { origin } => node.disk.purge(origin),
                Action::ReadLog { operation, range } if node.held_reads.is_some() => {
                    node.held_reads.as_mut().unwrap().push((operation, range));
                }
                Action::ReadLog { operation, range } => {
                    let end = node.disk.log.len().min(range.end.0 as usize);
                    let bytes = node.disk.log[range.start.0 as usize..end].to_vec();
                    reads.push(Read { operation, bytes, of: None });
                }
                Action::ReadSnapshot { operation, position, range } => {
                    reads.push(node.read_snapshot(operation, position, range));
                }
                Action::KeepSnapshotPart { operation, range, .. } => {
                    let bytes = bytes_of(Stream::Snapshot, range, Source::Member);
                    node.keep(operation, range, bytes);
                }
                Action::CheckSnapshot { operation, manifest } => {
                    node.pending.push_back((operation, Write::Check(manifest)));
                }
                Action::InstallSnapshot { operation, manifest } => {
                    assert!(node.pending.is_empty(), "nothing else is under way");
                    node.pending.push_back((operation, Write::Install(manifest)));
                }
                Action::DropSnapshot => node.disk.kept.clear(),
                Action::DiscardSnapshots { from } => node.disk.discard(from),
                Action::Restart => node.restarts = true,
                Action::TakeSnapshot { operation, snapshot, pinned } => {
                    node.pinned = pinned;
                    let write = Write::Snapshot(*snapshot, node.applied.clone());
                    node.taken.push_back((operation, write));
                }
                Action::Apply(apply) => {
                    applied = Some(apply.end);
                    if let Delivery::Message { session, sequence, payload, source } = apply.delivery
                    {
                        let payload = bytes_of(Stream::Log, payload, source);
                        outputs.reply(session, sequence, &payload);
                        if let Some(delay) = payload.strip_prefix(b"timer ") {
                            let delay = u64::from(delay[0]) * 1_000_000;
                            let deadline = LogTime(apply.time.0 + delay);
                            outputs.schedule_timer(apply.position.0, deadline);
                        }
                        node.applied.push(payload);
                    }
                }
                Action::ServeRead(query) => node.reading.serve(*query, node.applied.len()),
                Action::AnswerRead { token, outcome } => node.reading.done.push((token, outcome)),
                Action::FailStop(reason) => node.fail_stop = Some(reason),
                Action::Notify(notice) => {
                    node.notices.push(notice);
                    self.notices.push((member, notice));
                }
            }
        }
        (applied, reads)
    }

    /// Delivers and completes everything that is under way, without moving time.
    pub(super) fn settle(&mut self) {
        loop {
            let mut busy = false;
            while let Some((from, to, sender, datagram)) = self.queue.pop_front() {
                busy = true;
                let is_foreign = self.epoch_of(from) != self.epoch_of(to);
                if is_foreign || (self.lose)(&self.cut, from, to, &datagram) {
                    continue;
                }
                self.deliver(from, to, sender, &datagram);
            }
            for member in self.running() {
                if !self.nodes[&id(member)].holds_disk {
                    busy |= self.complete_one(member);
                }
                self.step(member, Event::Flush);
            }
            self.step_client(ClientEvent::Flush);
            if !busy && self.queue.is_empty() {
                return;
            }
        }
    }

    pub(super) fn deliver(
        &mut self,
        from: Endpoint,
        to: Endpoint,
        sender: Sender,
        datagram: &Datagram,
    ) {
        let content = match datagram {
            Datagram::Control(message) => Incoming::Control(message.clone()),
            Datagram::Data { stream, epoch, position, live, slice } => Incoming::Data {
                stream: *stream,
                epoch: *epoch,
                position: *position,
                live: *live,
                slice,
            },
        };
        let number = u16::from_be_bytes([to.0[16], to.0[17]]);
        self.trace.push_str(&self.line(from, number, &content));
        if number == CLIENT {
            self.step_client(ClientEvent::Received { sender, source: from, content });
        } else {
            self.step(number, Event::Received { sender, source: from, content });
        }
    }

    /// Moves time to the next deadline of anybody, and serves it.
    pub(super) fn tick(&mut self) {
        let members = self.running();
        let deadlines = members.iter().filter_map(|&member| self.member(member).next_deadline());
        let client = self.client.as_ref().and_then(Client::next_deadline);
        let next = deadlines.chain(client).min().unwrap();
        self.now = self.now.max(next);
        for member in members {
            if self.member(member).next_deadline().is_some_and(|deadline| deadline <= self.now) {
                self.step(member, Event::Timer);
            }
        }
        if client.is_some_and(|deadline| deadline <= self.now) {
            self.step_client(ClientEvent::Timer);
        }
        self.settle();
    }
}
