//! In steady state a step allocates nothing: all memory of a member or client is there from its
//! construction and from the first messages of a session on.
//!
//! Three members and a client run in one thread, in virtual time, with disks that complete at the
//! next turn. After some thousands of messages the allocations inside `Member::step` and
//! `Client::step` are counted; what the harness allocates between the steps is not.

use std::collections::{BTreeMap, VecDeque};

use quorate_core::client::{
    ClientAction, ClientActions, ClientConfig, ClientEvent, ClientLimits, ClientTiming, Reject,
};
use quorate_core::hash::mix;
use quorate_core::message::Live;
use quorate_core::{
    Action, Actions, BootEpoch, Client, ClientKey, Delivery, Destination, Durability, Duration,
    Endpoint, Event, GroupId, Incarnation, Incoming, Instant, Life, Limits, Member, MemberConfig,
    MemberId, Message, OperationId, Outputs, Position, PositionRange, Recovered, RecoveryEpoch,
    Role, Sender, Stream, Timing,
};

const MEMBERS: u16 = 3;
const CLIENT: u16 = 9;
const KEY: ClientKey = ClientKey(0xc11e);
/// The bytes that payloads and replies are cut from.
const TEXT: [u8; 1_024] = [7; 1_024];
/// Messages before the counting begins: rings have wrapped and tables have their size by then.
const WARM_UP_MESSAGES: u64 = 20_000;
const MEASURED_MESSAGES: u64 = 20_000;
/// What a turn takes: all that is under way arrives once.
const TURN: Duration = Duration::from_micros(50);
const SLICE_BYTES: usize = 1_216;

#[test]
fn no_step_allocates_with_64_equal_messages_in_flight() {
    let load = Load { in_flight: 64, pause: Duration::ZERO, payload_bytes: |_| 64 };
    assert_nothing_is_allocated(load, WARM_UP_MESSAGES, MEASURED_MESSAGES);
}

#[test]
fn no_step_allocates_with_messages_of_any_size() {
    let payload_bytes = |sequence: u64| (mix(0, sequence) % TEXT.len() as u64) as usize;
    let load = Load { in_flight: 64, pause: Duration::ZERO, payload_bytes };
    assert_nothing_is_allocated(load, WARM_UP_MESSAGES, MEASURED_MESSAGES);
}

/// Between the messages there are heartbeats, keep-alives and their answers, and now and then what
/// is remembered of the other members is made durable.
#[test]
fn no_step_allocates_with_one_message_now_and_then() {
    let load = Load { in_flight: 1, pause: Duration::from_millis(30), payload_bytes: |_| 64 };
    assert_nothing_is_allocated(load, 1_000, 1_000);
}

fn assert_nothing_is_allocated(load: Load, warm_up_messages: u64, measured_messages: u64) {
    let mut cluster = Cluster::new(load);
    cluster.run_until_replies(warm_up_messages);
    cluster.meter.is_on = true;
    cluster.run_until_replies(warm_up_messages + measured_messages);

    assert!(cluster.meter.saw("leader") && cluster.meter.saw("follower"));
    assert!(cluster.meter.saw("client"));
    let report = cluster.meter.report();
    assert!(report.is_empty(), "steps that allocated in steady state:\n{report}");
}

/// What the client submits.
#[derive(Clone, Copy)]
struct Load {
    /// Messages that are unanswered at a time.
    in_flight: usize,
    /// How long the client waits between two messages.
    pause: Duration,
    /// The payload of message number so-and-so, and of its reply.
    payload_bytes: fn(u64) -> usize,
}

/// The allocations of all steps, by role and by kind of event.
#[derive(Default)]
struct Meter {
    is_on: bool,
    costs: BTreeMap<(&'static str, String), Cost>,
}

#[derive(Clone, Copy, Default)]
struct Cost {
    steps: u64,
    steps_that_allocated: u64,
    allocations: u64,
    bytes: u64,
}

impl Meter {
    fn measure(&mut self, role: &'static str, event: impl FnOnce() -> String, step: impl FnOnce()) {
        if !self.is_on {
            return step();
        }
        let counted = allocation_counter::measure(step);
        let cost = self.costs.entry((role, event())).or_default();
        cost.steps += 1;
        cost.steps_that_allocated += u64::from(counted.count_total > 0);
        cost.allocations += counted.count_total;
        cost.bytes += counted.bytes_total;
    }

    fn saw(&self, role: &str) -> bool {
        self.costs.keys().any(|(seen, _)| *seen == role)
    }

    /// One line for each role and kind of event with steps that allocated.
    fn report(&self) -> String {
        let guilty = self.costs.iter().filter(|(_, cost)| cost.allocations > 0);
        let lines = guilty.map(|((role, event), cost)| {
            let Cost { steps, steps_that_allocated, allocations, bytes } = cost;
            format!(
                "{role:>8}  {event:<24} {steps_that_allocated} of {steps} steps: \
                 {allocations} allocations, {bytes} bytes\n"
            )
        });
        lines.collect()
    }
}

enum Content {
    Control(Message),
    Data { stream: Stream, epoch: u64, position: Position, live: Option<Live>, slice: Vec<u8> },
}

struct Datagram {
    to: u16,
    from: u16,
    sender: Sender,
    content: Content,
}

struct Host {
    member: Member,
    actions: Actions,
    outputs: Outputs,
    /// What the disk has to complete.
    pending: VecDeque<OperationId>,
}

struct Cluster {
    now: Instant,
    hosts: Vec<Host>,
    client: Client,
    client_actions: ClientActions,
    load: Load,
    submitted: u64,
    submit_at: Instant,
    replies: u64,
    under_way: VecDeque<Datagram>,
    meter: Meter,
}

fn endpoint(number: u16) -> Endpoint {
    let mut bytes = [0; 18];
    bytes[16..].copy_from_slice(&number.to_be_bytes());
    Endpoint(bytes)
}

fn number(endpoint: Endpoint) -> u16 {
    u16::from_be_bytes([endpoint.0[16], endpoint.0[17]])
}

fn new_host(member: u16) -> Host {
    let life =
        Life { member: MemberId(member), incarnation: Incarnation(1), boot_epoch: BootEpoch(1) };
    let config = MemberConfig {
        group: GroupId(1),
        recovery_epoch: RecoveryEpoch(0),
        durability: Durability::default(),
        member: life.member,
        voters: (1..=MEMBERS).map(|member| (MemberId(member), endpoint(member))).collect(),
        joins: false,
        seed: u64::from(member),
        timing: Timing::default(),
        // Small, so that the ring wraps several times.
        limits: Limits {
            window_bytes: 1 << 20,
            uncommitted_bytes_max: 256 << 10,
            unapplied_bytes_max: 256 << 10,
            ..Limits::default()
        },
    };
    let member = Member::new(config, Recovered::empty(life), Instant(0))
        .expect("the configuration is sound");
    let (actions, outputs) = (Actions::new(), Outputs::new());
    Host { member, actions, outputs, pending: VecDeque::new() }
}

fn new_client(in_flight_max: usize) -> Client {
    let config = ClientConfig {
        group: GroupId(1),
        recovery_epoch: RecoveryEpoch(0),
        key: KEY,
        members: (1..=MEMBERS).map(|member| (MemberId(member), endpoint(member))).collect(),
        seed: 5,
        timing: ClientTiming::default(),
        limits: ClientLimits { in_flight_max, ..ClientLimits::default() },
    };
    Client::new(config, Instant(0)).expect("the configuration is sound")
}

impl Cluster {
    fn new(load: Load) -> Self {
        Self {
            now: Instant(0),
            hosts: (1..=MEMBERS).map(new_host).collect(),
            client: new_client(load.in_flight),
            client_actions: ClientActions::new(),
            load,
            submitted: 0,
            submit_at: Instant(0),
            replies: 0,
            under_way: VecDeque::new(),
            meter: Meter::default(),
        }
    }

    fn run_until_replies(&mut self, replies: u64) {
        let give_up = self.now + Duration::from_millis(60_000);
        while self.replies < replies {
            assert!(self.now < give_up, "only {} of {replies} replies", self.replies);
            self.turn();
        }
    }

    /// All that is under way arrives, disks complete, due timers are served; then everybody is
    /// told that there is no more.
    fn turn(&mut self) {
        self.now += TURN;
        for _ in 0..self.under_way.len() {
            let Some(datagram) = self.under_way.pop_front() else { break };
            self.deliver(&datagram);
        }
        for index in 0..self.hosts.len() {
            while let Some(operation) = self.hosts[index].pending.pop_front() {
                self.step_member(index, Event::Durable { operation });
            }
            let deadline = self.hosts[index].member.next_deadline();
            if deadline.is_some_and(|deadline| deadline <= self.now) {
                self.step_member(index, Event::Timer);
            }
            self.step_member(index, Event::Flush);
        }
        if self.client.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            self.step_client(ClientEvent::Timer);
        }
        self.submit();
        self.step_client(ClientEvent::Flush);
    }

    fn submit(&mut self) {
        while self.client.is_served() && self.submit_at <= self.now {
            let bytes = (self.load.payload_bytes)(self.submitted + 1);
            if !self.client.can_submit(bytes) {
                return;
            }
            self.step_client(ClientEvent::Submit { payload: &TEXT[..bytes] });
            self.submitted += 1;
            if self.load.pause > Duration::ZERO {
                self.submit_at = self.now + self.load.pause;
            }
        }
    }

    fn deliver(&mut self, datagram: &Datagram) {
        let (sender, source) = (datagram.sender, endpoint(datagram.from));
        let content = match &datagram.content {
            Content::Control(message) => Incoming::Control(message.clone()),
            &Content::Data { stream, epoch, position, live, ref slice } => {
                Incoming::Data { stream, epoch, position, live, slice }
            }
        };
        if datagram.to == CLIENT {
            self.step_client(ClientEvent::Received { sender, source, content });
        } else {
            let index = usize::from(datagram.to) - 1;
            self.step_member(index, Event::Received { sender, source, content });
        }
    }

    fn step_member(&mut self, index: usize, event: Event<'_>) {
        let Host { member, actions, .. } = &mut self.hosts[index];
        let role = match member.view().role {
            Role::Leader => "leader",
            _ => "follower",
        };
        let name = name_of(&event);
        self.meter.measure(role, || name, || member.step(self.now, event, actions));
        while let Some(through) = self.perform(index) {
            let Host { member, actions, outputs, .. } = &mut self.hosts[index];
            let event = Event::Applied { through, outputs };
            let step = || member.step(self.now, event, actions);
            self.meter.measure(role, || String::from("Applied"), step);
        }
    }

    /// Takes over the actions of a member; returns what its service applied.
    fn perform(&mut self, index: usize) -> Option<Position> {
        let Host { member, actions, outputs, pending } = &mut self.hosts[index];
        let Life { member: id, incarnation, boot_epoch } = member.view().life;
        let sender = Sender::Member { member: id, incarnation, boot_epoch };
        let mut applied = None;
        for action in actions.drain() {
            match action {
                Action::Send { to, message } => {
                    let (to, content) = (resolve(to), Content::Control(message));
                    self.under_way.push_back(Datagram { to, from: id.0, sender, content });
                }
                Action::SendData { to, stream, epoch, range, live, .. } => {
                    let slices = member.bytes(stream, range);
                    cut(slices, range, |position, slice| {
                        let to = resolve(to);
                        let content = Content::Data { stream, epoch, position, live, slice };
                        self.under_way.push_back(Datagram { to, from: id.0, sender, content });
                    });
                }
                Action::Sync { operation }
                | Action::PersistVote { operation, .. }
                | Action::PersistHistory { operation, .. }
                | Action::PersistPeers { operation, .. } => pending.push_back(operation),
                Action::Apply(apply) => {
                    if applied.is_none() {
                        outputs.clear();
                    }
                    applied = Some(apply.end);
                    if let Delivery::Message { session, sequence, .. } = apply.delivery {
                        let bytes = (self.load.payload_bytes)(sequence);
                        outputs.reply(session, sequence, &TEXT[..bytes]);
                    }
                }
                Action::ReadLog { .. } => panic!("the window holds all that is needed"),
                Action::FailStop(reason) => panic!("member {id} stopped: {reason}"),
                Action::Append { .. }
                | Action::Notify(_)
                | Action::Purge { .. }
                | Action::ReadSnapshot { .. }
                | Action::KeepSnapshotPart { .. }
                | Action::CheckSnapshot { .. }
                | Action::DropSnapshot
                | Action::InstallSnapshot { .. }
                | Action::Restart
                | Action::ServeRead(_)
                | Action::AnswerRead { .. }
                | Action::TakeSnapshot { .. } => {}
            }
        }
        applied
    }

    fn step_client(&mut self, event: ClientEvent<'_>) {
        let Self { client, client_actions, .. } = self;
        let name = client_event_name(&event);
        let step = || client.step(self.now, event, client_actions);
        self.meter.measure("client", || name, step);
        let sender = Sender::Client { key: KEY };
        for action in client_actions.drain() {
            match action {
                ClientAction::Send { to, message } => {
                    let (to, content) = (number(to), Content::Control(message));
                    self.under_way.push_back(Datagram { to, from: CLIENT, sender, content });
                }
                ClientAction::SendData { to, stream, epoch, range } => {
                    cut(client.bytes(stream, range), range, |position, slice| {
                        let to = number(to);
                        let content = Content::Data { stream, epoch, position, live: None, slice };
                        self.under_way.push_back(Datagram { to, from: CLIENT, sender, content });
                    });
                }
                ClientAction::Reply { .. } => self.replies += 1,
                ClientAction::Rejected { reason: Reject::BackPressure }
                | ClientAction::Accepted { .. }
                | ClientAction::Connected { .. }
                | ClientAction::Synced { .. }
                | ClientAction::Reading { .. }
                | ClientAction::Read { .. }
                | ClientAction::Disconnected => {}
                ClientAction::Rejected { reason } => panic!("rejected: {reason}"),
                ClientAction::Ended(outcome) => panic!("the client ended: {outcome:?}"),
            }
        }
    }
}

fn resolve(to: Destination) -> u16 {
    match to {
        Destination::Member(member) => member.0,
        Destination::Client(endpoint) => number(endpoint),
    }
}

/// Cuts a run of a stream into the slices of its datagrams.
fn cut(
    (first, second): (&[u8], &[u8]),
    range: PositionRange,
    mut take: impl FnMut(Position, Vec<u8>),
) {
    let bytes = [first, second].concat();
    assert_eq!(bytes.len() as u64, range.len(), "an action names bytes that are there");
    for (at, slice) in (0..).step_by(SLICE_BYTES).zip(bytes.chunks(SLICE_BYTES)) {
        take(range.start.plus(at), slice.to_vec());
    }
}

fn name_of(event: &Event<'_>) -> String {
    match event {
        Event::Received { content, .. } => name_of_content(content),
        other => first_word(&format!("{other:?}")),
    }
}

fn client_event_name(event: &ClientEvent<'_>) -> String {
    match event {
        ClientEvent::Received { content, .. } => name_of_content(content),
        other => first_word(&format!("{other:?}")),
    }
}

fn name_of_content(content: &Incoming<'_>) -> String {
    match content {
        Incoming::Control(message) => first_word(&format!("{message:?}")),
        Incoming::Data { stream, .. } => format!("Data {}", first_word(&format!("{stream:?}"))),
    }
}

/// The name of a variant, of its debug text.
fn first_word(text: &str) -> String {
    text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
