//! A leader on a desk and a client of it, in one thread: what they take from the heap is counted,
//! and nothing of what the harness takes.

use quorate_core::client::{
    ClientAction, ClientActions, ClientConfig, ClientEvent, ClientLimits, ClientTiming,
};
use quorate_core::message::Incoming;
use quorate_core::{
    Action, Client, ClientKey, Destination, Duration, Endpoint, Event, Limits, Message,
    PositionRange, RecoveryEpoch, Sender, Stream, Term,
};

use crate::allocations::{self, Allocated};
use crate::case::Failure;
use crate::desk::{Desk, DeskOptions, config, member_sender, place};
use crate::stage::GROUP;

const KEY: ClientKey = ClientKey(0xc11e);
/// What a turn takes.
const TURN: Duration = Duration::from_micros(50);
/// Where the client is.
const HOME: Endpoint = Endpoint([9; 18]);

/// A leader of three, whose followers acknowledge all at once, and its client.
pub(super) struct Pair {
    pub(super) desk: Desk,
    client: Client,
    actions: ClientActions,
    options: DeskOptions,
    acknowledged: u64,
    pub(super) replies: u64,
    pub(super) client_allocated: Allocated,
}

impl Pair {
    pub(super) fn new(seed: u64) -> Result<Self, Failure> {
        let limits = Limits {
            window_bytes: 256 << 10,
            uncommitted_bytes_max: 128 << 10,
            unapplied_bytes_max: 128 << 10,
            session_window_bytes: 64 << 10,
            message_bytes_max: 4 << 10,
            reply_bytes_max: 64,
            in_flight_max: 32,
            ..Limits::default()
        };
        let options = DeskOptions { limits, seed, ..DeskOptions::member_of(3) };
        let limits = &options.limits;
        let client = ClientConfig {
            group: GROUP,
            recovery_epoch: RecoveryEpoch(0),
            key: KEY,
            members: config(&options).voters,
            seed,
            timing: ClientTiming::default(),
            limits: ClientLimits {
                message_bytes_max: limits.message_bytes_max,
                session_window_bytes: limits.session_window_bytes,
                in_flight_max: limits.in_flight_max,
                ..ClientLimits::default()
            },
        };
        let mut desk = Desk::new(options.clone())?;
        desk.lead()?;
        let client = Client::new(client, desk.now)
            .map_err(|error| Failure::Harness(format!("no client: {error}")))?;
        Ok(Self {
            desk,
            client,
            actions: ClientActions::new(),
            options,
            acknowledged: 0,
            replies: 0,
            client_allocated: Allocated::default(),
        })
    }

    /// Lets the client send messages of these lengths until so many are answered.
    pub(super) fn exchange(
        &mut self,
        replies: u64,
        length: impl Fn(u64) -> usize,
    ) -> Result<(), Failure> {
        let give_up = self.desk.now + Duration::from_millis(600_000);
        while self.replies < replies {
            if self.desk.now > give_up {
                let text = format!("only {} of {replies} messages are answered", self.replies);
                return Err(Failure::broken(text));
            }
            let payload = [7; 4 << 10];
            let wanted = length(self.replies);
            if self.client.is_served() && self.client.can_submit(wanted) {
                self.tell_client(ClientEvent::Submit { payload: &payload[..wanted] });
            }
            self.turn();
        }
        Ok(())
    }

    /// All that is under way arrives, disks complete, and due timers are served.
    pub(super) fn turn(&mut self) {
        self.turn_of(TURN);
    }

    /// A turn that takes so long.
    pub(super) fn turn_of(&mut self, duration: Duration) {
        self.desk.now += duration;
        if self.client.next_deadline().is_some_and(|due| due <= self.desk.now) {
            self.tell_client(ClientEvent::Timer);
        }
        self.tell_client(ClientEvent::Flush);
        if self.desk.member.next_deadline().is_some_and(|due| due <= self.desk.now) {
            self.tell_member(Event::Timer);
        }
        self.tell_member(Event::Flush);
        while self.desk.complete(|_| true) {
            self.carry();
        }
        self.acknowledge();
    }

    /// Both followers have all that the leader has.
    fn acknowledge(&mut self) {
        let view = self.desk.view();
        self.acknowledged += 1;
        for from in [2, 3] {
            let message = Message::Acknowledge {
                term: Term(view.term.0),
                sequence: self.acknowledged,
                round: u64::MAX / 2,
                durable: view.durable,
                received: view.durable,
                limit: view.durable.plus(self.options.limits.window_bytes),
                commit: view.commit,
            };
            let content = Incoming::Control(message);
            let (sender, source) = (member_sender(from, 1), place(from));
            self.tell_member(Event::Received { sender, source, content });
        }
    }

    fn tell_member(&mut self, event: Event<'_>) {
        self.desk.step(event);
        self.carry();
    }

    /// Carries to the client what the member has just sent it.
    fn carry(&mut self) {
        for action in core::mem::take(&mut self.desk.actions) {
            match action {
                Action::Send { to: Destination::Client(HOME), message } => {
                    let (sender, source) = (member_sender(1, 1), place(1));
                    let content = Incoming::Control(message);
                    self.tell_client(ClientEvent::Received { sender, source, content });
                }
                Action::SendData {
                    to: Destination::Client(HOME), stream, epoch, range, ..
                } => {
                    let (first, second) = self.desk.member.bytes(stream, range);
                    let bytes = [first, second].concat();
                    self.slices(range, &bytes, |pair, position, slice| {
                        let (sender, source) = (member_sender(1, 1), place(1));
                        let content = Incoming::Data { stream, epoch, position, live: None, slice };
                        pair.tell_client(ClientEvent::Received { sender, source, content });
                    });
                }
                _ => {}
            }
        }
    }

    fn slices(
        &mut self,
        range: PositionRange,
        bytes: &[u8],
        mut each: impl FnMut(&mut Self, quorate_core::Position, &[u8]),
    ) {
        let mut position = range.start;
        for slice in bytes.chunks(self.options.limits.slice_bytes as usize) {
            each(self, position, slice);
            position = position.plus(slice.len() as u64);
        }
    }

    fn tell_client(&mut self, event: ClientEvent<'_>) {
        let (client, actions, now) = (&mut self.client, &mut self.actions, self.desk.now);
        self.client_allocated.add(allocations::measure(|| client.step(now, event, actions)));
        let mut actions = core::mem::take(&mut self.actions);
        let mut later = Vec::new();
        for action in actions.drain() {
            match action {
                ClientAction::Send { to, message } if to == place(1) => {
                    later.push((Ok(message), PositionRange::default(), Vec::new()));
                }
                ClientAction::SendData { to, stream, epoch, range } if to == place(1) => {
                    let (first, second) = self.client.bytes(stream, range);
                    later.push((Err((stream, epoch)), range, [first, second].concat()));
                }
                ClientAction::Reply { .. } => self.replies += 1,
                _ => {}
            }
        }
        self.actions = actions;
        for (what, range, bytes) in later {
            self.deliver(what, range, &bytes);
        }
    }

    /// What the client has sent arrives at the member.
    fn deliver(
        &mut self,
        what: Result<Message, (Stream, u64)>,
        range: PositionRange,
        bytes: &[u8],
    ) {
        let (sender, source) = (Sender::Client { key: KEY }, HOME);
        match what {
            Ok(message) => {
                let content = Incoming::Control(message);
                self.tell_member(Event::Received { sender, source, content });
            }
            Err((stream, epoch)) => self.slices(range, bytes, |pair, position, slice| {
                let content = Incoming::Data { stream, epoch, position, live: None, slice };
                pair.tell_member(Event::Received { sender, source, content });
            }),
        }
    }
}
