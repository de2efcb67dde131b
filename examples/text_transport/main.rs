//! Three members and a client in one thread, without sockets, files or a clock.
//!
//! What they say to each other is text (`text.rs`), and the transport is a list sorted by time of
//! arrival, from which a datagram is lost now and then. The same seed gives the same transcript on
//! every machine: that is how a cluster can be tested, or a transport of your own begun.
#![expect(clippy::std_instead_of_core, reason = "whoever reads this has `std`")]
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

pub(crate) mod text;

use std::collections::BTreeMap;
use std::fmt::Write;

use quorate_core::client::{
    ClientAction, ClientActions, ClientConfig, ClientEvent, ClientLimits, ClientTiming,
};
use quorate_core::random::Random;
use quorate_core::{
    Action, Actions, BootEpoch, Client, ClientKey, Delivery, Destination, Durability, Duration,
    Endpoint, Event, GroupId, Incarnation, Incoming, Instant, Life, Limits, Member, MemberConfig,
    MemberId, OperationId, Outputs, Position, Recovered, RecoveryEpoch, Sender, Source, Stream,
    Timing,
};
use text::Content;

const MEMBERS: u16 = 3;
const KEY: ClientKey = ClientKey(0xc0ffee);
/// The client's number among the places; members have their own.
const CLIENT: u16 = 0;
const POEM: [&str; 3] = ["one event in", "all its actions out", "in order"];
/// One datagram in so many is lost.
const LOST_ONE_IN: u64 = 12;
const SYNC: Duration = Duration::from_micros(150);

fn main() {
    print!("{}", transcript(7));
}

/// Runs a cluster until the client has all its replies and every member has applied everything;
/// returns what was said.
pub(crate) fn transcript(seed: u64) -> String {
    let mut world = World::new(seed);
    let submits = POEM.iter().map(|line| ClientEvent::Submit { payload: line.as_bytes() });
    for event in submits.chain([ClientEvent::Close, ClientEvent::Flush]) {
        world.step_client(event);
    }
    while !world.is_done() {
        world.advance();
    }
    let poems: Vec<_> = world.hosts.iter().map(|host| &host.poem).collect();
    assert!(poems.iter().all(|poem| **poem == POEM), "{poems:?}");
    world.tell(&format!("all members have applied the same: {}", POEM.join(", ")));
    world.transcript
}

struct Host {
    member: Member,
    /// The disk: all of it is in memory, and durable when the sync is over.
    log: Vec<u8>,
    /// The service: it writes down a poem.
    poem: Vec<String>,
}

enum Occurrence {
    Arrival { from: u16, to: u16, line: String },
    Durable { member: u16, operation: OperationId },
    Read { member: u16, operation: OperationId, bytes: Vec<u8> },
    Applied { member: u16, through: Position, outputs: Outputs },
}

struct World {
    now: Instant,
    /// What will happen, by time; those of one instant in the order in which they were caused.
    coming: BTreeMap<(Instant, u64), Occurrence>,
    caused: u64,
    dice: Random,
    hosts: Vec<Host>,
    client: Client,
    transcript: String,
}

impl World {
    fn new(seed: u64) -> Self {
        let places: BTreeMap<_, _> =
            (1..=MEMBERS).map(|number| (MemberId(number), endpoint(number))).collect();
        let config = ClientConfig {
            group: GroupId(1),
            recovery_epoch: RecoveryEpoch(0),
            key: KEY,
            members: places.clone(),
            seed,
            timing: ClientTiming::default(),
            limits: ClientLimits::default(),
        };
        Self {
            now: Instant(0),
            coming: BTreeMap::new(),
            caused: 0,
            dice: Random::new(seed),
            hosts: places.keys().map(|&id| Host::new(id, &places, seed)).collect(),
            client: Client::new(config, Instant(0)).expect("the configuration is sound"),
            transcript: String::new(),
        }
    }

    fn is_done(&self) -> bool {
        self.client.has_ended() && self.hosts.iter().all(|host| host.poem.len() == POEM.len())
    }

    /// Moves time to whatever comes next, an occurrence or somebody's deadline.
    fn advance(&mut self) {
        let occurrence = self.coming.first_key_value().map(|((at, _), _)| *at);
        let members = (1..=MEMBERS).zip(&self.hosts);
        let members = members.map(|(number, host)| (number, host.member.next_deadline()));
        let deadlines = members.chain([(CLIENT, self.client.next_deadline())]);
        let deadline = deadlines.filter_map(|(number, at)| Some((at?, number))).min();
        match (occurrence, deadline) {
            (Some(at), _) if deadline.is_none_or(|(deadline, _)| at <= deadline) => {
                self.now = self.now.max(at);
                if let Some((_, occurrence)) = self.coming.pop_first() {
                    self.occur(occurrence);
                }
            }
            (_, Some((at, number))) => {
                self.now = self.now.max(at);
                match number {
                    CLIENT => self.step_client(ClientEvent::Timer),
                    member => self.step_member(member, Event::Timer, &[]),
                }
            }
            _ => unreachable!("members always have a deadline"),
        }
    }

    fn occur(&mut self, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Durable { member, operation } => {
                self.step_member(member, Event::Durable { operation }, &[]);
            }
            Occurrence::Read { member, operation, bytes } => {
                self.step_member(member, Event::LogRead { operation, bytes: &bytes }, &bytes);
            }
            Occurrence::Applied { member, through, outputs } => {
                self.step_member(member, Event::Applied { through, outputs: &outputs }, &[]);
            }
            Occurrence::Arrival { from, to, line } => {
                // What cannot be read is dropped, like what is lost.
                let Some((sender, content)) = text::read(&line) else { return };
                let (source, content) = (endpoint(from), incoming(&content));
                if to == CLIENT {
                    self.step_client(ClientEvent::Received { sender, source, content });
                    self.step_client(ClientEvent::Flush);
                } else {
                    self.step_member(to, Event::Received { sender, source, content }, &[]);
                    self.step_member(to, Event::Flush, &[]);
                }
            }
        }
    }

    /// One event in, all its actions performed in order. `read` is what the event read, if it did.
    fn step_member(&mut self, number: u16, event: Event<'_>, read: &[u8]) {
        let index = usize::from(number) - 1;
        let mut actions = Actions::new();
        self.hosts[index].member.step(self.now, event, &mut actions);
        let (mut applied, mut outputs) = (None, Outputs::new());
        for action in actions.drain() {
            let host = &mut self.hosts[index];
            match action {
                Action::Apply(frame) => {
                    applied = Some(frame.end);
                    if let Delivery::Message { session, sequence, payload, source } = frame.delivery
                    {
                        let line = host.bytes(Stream::Log, payload, source, read);
                        let line = String::from_utf8_lossy(&line).into_owned();
                        host.poem.push(line);
                        outputs.reply(session, sequence, format!("line {sequence}").as_bytes());
                    }
                }
                other => self.perform(number, other, read),
            }
        }
        if let Some(through) = applied {
            self.cause(Duration::ZERO, Occurrence::Applied { member: number, through, outputs });
        }
    }

    fn perform(&mut self, number: u16, action: Action, read: &[u8]) {
        let host = &mut self.hosts[usize::from(number) - 1];
        let Life { member, incarnation, boot_epoch } = host.member.view().life;
        let sender = Sender::Member { member, incarnation, boot_epoch };
        match action {
            Action::Send { to, message } => {
                self.send(number, place(to), sender, &Content::Control(message));
            }
            Action::SendData { to, stream, epoch, range, source, live } => {
                let slice_bytes = u64::from(host.member.config().limits.slice_bytes);
                for slice in range.runs(slice_bytes) {
                    let bytes =
                        self.hosts[usize::from(number) - 1].bytes(stream, slice, source, read);
                    let data = Content::Data { stream, epoch, at: slice.start, live, bytes };
                    self.send(number, place(to), sender, &data);
                }
            }
            Action::Append { range } => {
                let bytes = host.bytes(Stream::Log, range, Source::Member, &[]);
                host.log.extend(bytes);
            }
            Action::PersistHistory { operation, cut, .. } => {
                host.log.truncate(cut.0 as usize);
                self.cause(SYNC, Occurrence::Durable { member: number, operation });
            }
            // Nobody crashes here, so nothing has to be found again.
            Action::Sync { operation }
            | Action::PersistVote { operation, .. }
            | Action::PersistPeers { operation, .. } => {
                self.cause(SYNC, Occurrence::Durable { member: number, operation });
            }
            // Nor is one fetched, for nobody purges what others may lack.
            Action::TakeSnapshot { .. }
            | Action::Purge { .. }
            | Action::ReadSnapshot { .. }
            | Action::KeepSnapshotPart { .. }
            | Action::CheckSnapshot { .. }
            | Action::DropSnapshot
            | Action::InstallSnapshot { .. }
            | Action::Restart => unreachable!("nobody asks for a snapshot here"),
            Action::ReadLog { operation, range } => {
                let end = host.log.len().min(range.end.0 as usize);
                let bytes = host.log[range.start.0 as usize..end].to_vec();
                self.cause(SYNC, Occurrence::Read { member: number, operation, bytes });
            }
            Action::ServeRead(_) | Action::AnswerRead { .. } => {
                unreachable!("nobody reads here")
            }
            Action::Notify(notice) => self.tell(&format!("member {number}: {notice:?}")),
            Action::FailStop(reason) => panic!("member {number} stopped: {reason}"),
            Action::Apply(_) => unreachable!("frames for the service are applied in a batch"),
        }
    }

    fn step_client(&mut self, event: ClientEvent<'_>) {
        let mut actions = ClientActions::new();
        self.client.step(self.now, event, &mut actions);
        let sender = Sender::Client { key: KEY };
        for action in actions.drain() {
            match action {
                ClientAction::Send { to, message } => {
                    self.send(CLIENT, number(to), sender, &Content::Control(message));
                }
                ClientAction::SendData { to, stream, epoch, range } => {
                    for slice in range.runs(u64::from(self.client.config().limits.slice_bytes)) {
                        let (first, second) = self.client.bytes(stream, slice);
                        let bytes = [first, second].concat();
                        let data =
                            Content::Data { stream, epoch, at: slice.start, live: None, bytes };
                        self.send(CLIENT, number(to), sender, &data);
                    }
                }
                ClientAction::Reply { sequence, payload, .. } => {
                    let (first, second) = self.client.bytes(Stream::Egress(KEY), payload);
                    let reply = String::from_utf8_lossy(&[first, second].concat()).into_owned();
                    self.tell(&format!("client: the reply to {sequence} is \"{reply}\""));
                }
                other => self.tell(&format!("client: {other:?}")),
            }
        }
    }

    /// Puts a datagram on its way, or loses it.
    fn send(&mut self, from: u16, to: u16, sender: Sender, content: &Content) {
        let line = text::write(sender, content);
        let is_lost = self.dice.below(LOST_ONE_IN) == 0;
        self.tell(&format!("{line}  -> {}{}", name(to), if is_lost { "  LOST" } else { "" }));
        if !is_lost {
            let latency = Duration::from_micros(200 + self.dice.below(100));
            self.cause(latency, Occurrence::Arrival { from, to, line });
        }
    }

    fn cause(&mut self, after: Duration, occurrence: Occurrence) {
        self.caused += 1;
        self.coming.insert((self.now + after, self.caused), occurrence);
    }

    fn tell(&mut self, what: &str) {
        let (millis, micros) = (self.now.0 / 1_000_000, self.now.0 / 1_000 % 1_000);
        // Writing to a string does not fail.
        let _ = writeln!(self.transcript, "{millis:>4}.{micros:03} ms  {what}");
    }
}

impl Host {
    fn new(id: MemberId, places: &BTreeMap<MemberId, Endpoint>, seed: u64) -> Self {
        let life = Life { member: id, incarnation: Incarnation(1), boot_epoch: BootEpoch(1) };
        let config = MemberConfig {
            group: GroupId(1),
            recovery_epoch: RecoveryEpoch(0),
            durability: Durability::default(),
            member: id,
            voters: places.clone(),
            joins: false,
            seed: seed + u64::from(id.0),
            timing: Timing::default(),
            limits: Limits::default(),
        };
        let member = Member::new(config, Recovered::empty(life), Instant(0));
        let member = member.expect("the configuration is sound");
        Self { member, log: Vec::new(), poem: Vec::new() }
    }

    fn bytes(
        &self,
        stream: Stream,
        range: quorate_core::PositionRange,
        source: Source,
        read: &[u8],
    ) -> Vec<u8> {
        match source {
            Source::Member => {
                let (first, second) = self.member.bytes(stream, range);
                [first, second].concat()
            }
            Source::Read(begin) => {
                let start = range.start.since(begin) as usize;
                read[start..start + range.len() as usize].to_vec()
            }
        }
    }
}

fn incoming(content: &Content) -> Incoming<'_> {
    match content {
        Content::Control(message) => Incoming::Control(message.clone()),
        &Content::Data { stream, epoch, at, live, ref bytes } => {
            Incoming::Data { stream, epoch, position: at, live, slice: bytes }
        }
    }
}

/// Places are numbers here; the core wants them in the form of addresses.
fn endpoint(number: u16) -> Endpoint {
    let mut bytes = [0; 18];
    bytes[16..].copy_from_slice(&number.to_be_bytes());
    Endpoint(bytes)
}

fn number(Endpoint(bytes): Endpoint) -> u16 {
    u16::from_be_bytes([bytes[16], bytes[17]])
}

fn place(to: Destination) -> u16 {
    match to {
        Destination::Member(id) => id.0,
        Destination::Client(endpoint) => number(endpoint),
    }
}

fn name(number: u16) -> String {
    if number == CLIENT { String::from("client") } else { format!("member {number}") }
}
