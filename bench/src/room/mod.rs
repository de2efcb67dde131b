//! Members and clients in one thread: no sockets, no disks, no datagrams. What one sends is handed
//! to the other as an event, slice by slice as it would come off a wire.
//!
//! A **round** gives each client and then each member a turn: everything that was sent to it is
//! taken in, then comes a flush, as a host does it that has no more input at hand. What a member
//! sends in its turn is handed to other members at the end of it.
//!
//! The clock is read at the beginning of a round. In one of eight rounds it is read again behind
//! the turns of the clients, if they had anything to do, and what these took counts for all eight:
//! so the time that members take is known apart from that of clients, which the peer has none of.
//! Nothing is taken off for the readings themselves: how many there are and how long one takes is
//! told beside the rates.

mod client_seat;
mod member_seat;
mod options;
mod post;

pub(crate) use options::{PAGE_CACHE_BYTES, RoomOptions, SESSION_WINDOW_BYTES};

use core::time::Duration;
use std::time::Instant as Clock;

use quorate_core::client::{ClientAction, ClientEvent};
use quorate_core::message::Live;
use quorate_core::{
    Action, Client, Destination, Event, Incoming, Instant, Member, MemberId, PositionRange,
    Recovered, Source, Stream,
};

use self::client_seat::ClientSeat;
use self::member_seat::{MemberSeat, Tally};
use self::post::{Content, Place, Posted};
use crate::measure::{Latencies, Yield};

/// How often timers are looked at while there is something to do.
const TIMER_INTERVAL_NS: u64 = 500_000;

/// One of so many rounds in which clients had something to do has its clients' turns timed.
const TIMED_ROUNDS: u64 = 8;

/// Rounds without any input, in which time jumps to the next deadline, before a room is stuck.
const IDLE_ROUNDS_MAX: u32 = 100_000;

/// Members and clients in one thread.
#[derive(Debug)]
pub(crate) struct Room {
    options: RoomOptions,
    members: Vec<MemberSeat>,
    clients: Vec<ClientSeat>,
    /// What members have sent to clients.
    to_clients: Vec<Posted>,
    payload: Vec<u8>,
    /// A slice that lies around the end of a ring is put together here.
    scratch: Vec<u8>,
    started: Clock,
    /// How far time has jumped ahead of the clock.
    jumped: u64,
    now: Instant,
    timers_at: u64,
    /// Clients that took something in, or were given something to send, in the current round.
    called: Vec<usize>,
    /// Clients that have sent something in the current round.
    senders: Vec<usize>,
    /// The client that submits next.
    next_client: usize,
    /// How long the turns of the clients took in this loop, in nanoseconds.
    clients_ns: u64,
    /// How often the clock was read behind the turns of the clients in this loop.
    readings: u64,
    latencies: Latencies,
}

/// What a run in a room yielded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoomYield {
    /// Rate and latencies.
    pub(crate) measured: Yield,
    /// Messages answered a second of the time that members took: what is left of it without the
    /// turns of the clients.
    pub(crate) members_per_s: f64,
    /// Readings of the clock behind the turns of the clients, for each message.
    pub(crate) readings_per_message: f64,
    /// Events of all members and clients, for each message.
    pub(crate) steps_per_message: f64,
    /// Requests of members for bytes that they lack. Nothing is lost here, but an announcement may
    /// overtake bytes that a full window holds back.
    pub(crate) naks: u64,
}

impl Room {
    /// A room in which a leader serves all clients.
    pub(crate) fn open(options: &RoomOptions) -> Self {
        let now = Instant(1);
        let members = (0..options.members).map(|index| {
            let config = options.member_config(index);
            let life = RoomOptions::life(index);
            let member = Member::new(config, Recovered::empty(life), now);
            let member = member.expect("the options fit the limits");
            MemberSeat::new(member, Place::Member(index as u32), options.page_cache_bytes)
        });
        let clients = (0..options.sessions).map(|index| {
            let client = Client::new(options.client_config(index), now);
            ClientSeat::new(client.expect("the options fit the limits"), index as u32)
        });
        let mut room = Self {
            members: members.collect(),
            clients: clients.collect(),
            to_clients: Vec::new(),
            payload: vec![0x5a; options.payload],
            scratch: Vec::new(),
            started: Clock::now(),
            jumped: 0,
            now,
            timers_at: 0,
            called: Vec::new(),
            senders: Vec::new(),
            next_client: 0,
            clients_ns: 0,
            readings: 0,
            latencies: Latencies::new(),
            options: options.clone(),
        };
        room.run_idle("a leader", |room| room.members.iter().any(|m| m.member.view().serving));
        room.run_idle("all sessions", |room| room.clients.iter().all(|c| c.client.is_served()));
        room
    }

    /// Runs a closed loop until `messages` were answered, and then until all members have applied
    /// them; a tenth as many go before, to warm up.
    ///
    /// # Panics
    /// If a member has not applied each message exactly once, or anything was lost.
    pub(crate) fn run(&mut self, messages: u64) -> RoomYield {
        self.closed_loop(messages / 10 + 1);
        let steps = self.steps();
        self.latencies = Latencies::new();
        let elapsed = self.closed_loop(messages);
        let steps = self.steps() - steps;
        self.check();
        RoomYield {
            measured: Yield::new(messages, elapsed, &self.latencies),
            members_per_s: messages as f64 / (elapsed - self.clients_time()).as_secs_f64(),
            readings_per_message: self.readings as f64 / messages as f64,
            steps_per_message: steps as f64 / messages as f64,
            naks: self.members.iter().map(|seat| seat.member.counters().naks_sent).sum(),
        }
    }

    /// As [`Room::run`], but without a warm-up and without measuring.
    pub(crate) fn run_once(&mut self, messages: u64) {
        self.closed_loop(messages);
        self.check();
    }

    fn closed_loop(&mut self, messages: u64) -> Duration {
        let jumped = self.jumped;
        (self.clients_ns, self.readings) = (0, 0);
        let begin = Clock::now();
        let (mut submitted, mut answered, mut rounds) = (0, 0, 0_u64);
        while answered < messages {
            self.read_clock();
            let replies = self.receive_replies();
            answered += replies;
            let free = self.options.window as u64 - (submitted - answered);
            let count = free.min(messages - submitted);
            self.submit(count);
            submitted += count;
            self.flush_clients();
            if replies + count > 0 {
                rounds += 1;
                if rounds % TIMED_ROUNDS == 0 {
                    self.time_clients();
                }
            }
            let mut busy = count > 0;
            while self.members_turn() {
                busy = true;
            }
            if self.now.0 >= self.timers_at {
                self.serve_timers();
            }
            assert!(
                busy || answered == messages || !self.to_clients.is_empty(),
                "nobody has anything"
            );
        }
        assert_eq!(self.jumped, jumped, "time jumped while it was measured");
        begin.elapsed()
    }

    /// Takes the turns of the clients of this round for those of all that are timed with it.
    #[inline(never)]
    fn time_clients(&mut self) {
        self.clients_ns += TIMED_ROUNDS * self.present().since(self.now).0;
        self.readings += 1;
    }

    const fn clients_time(&self) -> Duration {
        Duration::from_nanos(self.clients_ns)
    }

    fn steps(&self) -> u64 {
        let members: u64 = self.members.iter().map(|seat| seat.steps).sum();
        members + self.clients.iter().map(|seat| seat.steps).sum::<u64>()
    }

    /// Waits until all members have applied everything, and compares what they applied.
    fn check(&mut self) {
        let mut answered = Tally::default();
        for seat in &self.clients {
            answered.count += seat.answered.count;
            answered.sum = answered.sum.wrapping_add(seat.answered.sum);
        }
        self.run_idle("all members to have applied", |room| {
            room.members.iter().all(|seat| seat.applied.count >= answered.count)
        });
        for seat in &self.members {
            assert_eq!(seat.applied, answered, "a member applied other messages");
        }
    }

    fn read_clock(&mut self) {
        self.now = match self.options.round_ns {
            Some(round) => self.now + quorate_core::Duration(round),
            None => self.present(),
        };
    }

    /// The present; the beginning of the round if rounds take as long as they are said to.
    fn present(&self) -> Instant {
        match self.options.round_ns {
            Some(_) => self.now,
            None => Instant(self.started.elapsed().as_nanos() as u64 + self.jumped + 1),
        }
    }

    /// Rounds without load, time jumping from deadline to deadline, until `done`.
    fn run_idle(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..IDLE_ROUNDS_MAX {
            if done(self) {
                return;
            }
            self.read_clock();
            self.receive_replies();
            self.flush_clients();
            if !self.members_turn() && self.to_clients.is_empty() {
                let members = self.members.iter().filter_map(|s| s.member.next_deadline());
                let clients = self.clients.iter().filter_map(|s| s.client.next_deadline());
                let next = members.chain(clients).min().unwrap_or(self.now);
                self.jumped += next.since(self.now).0;
                self.now = self.now.max(next);
                self.serve_timers();
            }
        }
        panic!("waited in vain for {what}");
    }

    /// Clients take in what was sent to them.
    fn receive_replies(&mut self) -> u64 {
        let Self { members, clients, to_clients, scratch, called, latencies, .. } = self;
        let (now, slice_bytes) = (self.now, self.options.slice_bytes);
        for Posted { from, to, content } in to_clients.drain(..) {
            let (member, seat) = (&members[from as usize], &mut clients[to as usize]);
            let (sender, source) = member.envelope();
            let mut take = |content: Incoming<'_>| {
                seat.step(now, ClientEvent::Received { sender, source, content });
            };
            match content {
                Content::Control(message) => take(Incoming::Control(message)),
                Content::Run { stream, epoch, range, live } => {
                    let run = Run { stream, epoch, range, live, slice_bytes };
                    run.hand_over(scratch, &mut take, |range| member.member.bytes(stream, range));
                }
            }
            if called.last() != Some(&(to as usize)) {
                called.push(to as usize);
            }
        }
        sort_once(called);
        called.iter().map(|&index| clients[index].take_replies(now, latencies)).sum()
    }

    /// Submits `count` messages, of one client after the other.
    fn submit(&mut self, count: u64) {
        let Self { clients, payload, now, next_client, called, .. } = self;
        if let [only] = clients.as_mut_slice() {
            if count > 0 {
                only.submit(*now, count, payload);
                called.clear();
                called.push(0);
            }
            return;
        }
        for _ in 0..count {
            clients[*next_client].submit(*now, 1, payload);
            called.push(*next_client);
            *next_client = (*next_client + 1) % clients.len();
        }
    }

    /// Says to each client that took something, or was given something to send, that there is no
    /// more.
    fn flush_clients(&mut self) {
        let Self { clients, now, called, senders, .. } = self;
        sort_once(called);
        for &index in called.iter() {
            clients[index].step(*now, ClientEvent::Flush);
            if clients[index].has_sent() {
                senders.push(index);
            }
        }
        called.clear();
    }

    /// Each member that has something to take in takes it; whether any had.
    fn members_turn(&mut self) -> bool {
        if !self.senders.is_empty() {
            self.receive_requests();
        }
        let mut busy = false;
        for index in 0..self.members.len() {
            if self.members[index].take_call() {
                self.members[index].flush(self.now);
                self.deliver(index);
                busy = true;
            }
        }
        busy
    }

    /// Members take in what clients have sent.
    fn receive_requests(&mut self) {
        let Self { members, clients, senders, scratch, now, options, .. } = self;
        for index in senders.drain(..) {
            let mut outbox = clients[index].take_outbox();
            let envelope = clients[index].envelope();
            for action in &outbox {
                match *action {
                    ClientAction::Send { to, ref message } => {
                        let content = Incoming::Control(message.clone());
                        members[Place::at(to).member()].receive(*now, envelope, content);
                    }
                    ClientAction::SendData { to, stream, epoch, range } => {
                        let seat = &mut members[Place::at(to).member()];
                        let slice_bytes = options.slice_bytes;
                        let run = Run { stream, epoch, range, live: None, slice_bytes };
                        let mut take =
                            |content: Incoming<'_>| seat.receive(*now, envelope, content);
                        let client = &clients[index].client;
                        run.hand_over(scratch, &mut take, |range| client.bytes(stream, range));
                    }
                    ClientAction::Connected { .. } => {}
                    _ => panic!("client {index}: {action:?}"),
                }
            }
            outbox.clear();
            clients[index].give_back_outbox(outbox);
        }
    }

    /// Hands what a member has sent to those it goes to: other members take it in at once.
    fn deliver(&mut self, index: usize) {
        let mut outbox = self.members[index].take_outbox();
        for action in &outbox {
            match *action {
                Action::Send { to: Destination::Member(to), ref message } => {
                    let (source, seat) = two_of(&mut self.members, index, index_of(to));
                    let content = Incoming::Control(message.clone());
                    seat.receive(self.now, source.envelope(), content);
                }
                Action::SendData {
                    to: Destination::Member(to),
                    stream,
                    epoch,
                    range,
                    source: Source::Member,
                    live,
                } => {
                    let (source, seat) = two_of(&mut self.members, index, index_of(to));
                    let envelope = source.envelope();
                    let mut take =
                        |content: Incoming<'_>| seat.receive(self.now, envelope, content);
                    let slice_bytes = self.options.slice_bytes;
                    let run = Run { stream, epoch, range, live, slice_bytes };
                    run.hand_over(&mut self.scratch, &mut take, |range| {
                        source.member.bytes(stream, range)
                    });
                }
                _ => self.post_to_client(index, action),
            }
        }
        outbox.clear();
        self.members[index].give_back_outbox(outbox);
    }

    /// What a member has sent to a client waits for that one's turn.
    fn post_to_client(&mut self, index: usize, action: &Action) {
        let (to, content) = match *action {
            Action::Send { to, ref message } => (to, Content::Control(message.clone())),
            Action::SendData { to, stream, epoch, range, source: Source::Member, live } => {
                (to, Content::Run { stream, epoch, range, live })
            }
            _ => panic!("member {index} sends {action:?}"),
        };
        let place = match to {
            Destination::Client(endpoint) => Place::at(endpoint),
            Destination::Member(member) => Place::of(member),
        };
        let Place::Client(to) = place else { panic!("member {index} sends {action:?}") };
        self.to_clients.push(Posted { from: index as u32, to, content });
    }

    #[inline(never)]
    fn serve_timers(&mut self) {
        let now = self.now;
        self.timers_at = now.0 + TIMER_INTERVAL_NS;
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        for index in 0..self.members.len() {
            if is_due(self.members[index].member.next_deadline()) {
                self.members[index].step(now, Event::Timer);
                self.members[index].flush(now);
                self.deliver(index);
            }
        }
        for (index, seat) in self.clients.iter_mut().enumerate() {
            if is_due(seat.client.next_deadline()) {
                seat.step(now, ClientEvent::Timer);
                if seat.has_sent() {
                    self.senders.push(index);
                }
            }
        }
    }
}

/// Two different ones.
#[inline]
fn two_of(members: &mut [MemberSeat], one: usize, other: usize) -> (&MemberSeat, &mut MemberSeat) {
    if one < other {
        let (low, high) = members.split_at_mut(other);
        (&low[one], &mut high[0])
    } else {
        let (low, high) = members.split_at_mut(one);
        (&high[0], &mut low[other])
    }
}

#[inline]
const fn index_of(member: MemberId) -> usize {
    member.0 as usize - 1
}

/// Sorts the indexes and keeps each once.
#[inline]
fn sort_once(indexes: &mut Vec<usize>) {
    if indexes.len() > 1 {
        sort_several(indexes);
    }
}

#[inline(never)]
fn sort_several(indexes: &mut Vec<usize>) {
    indexes.sort_unstable();
    indexes.dedup();
}

/// A run of a stream on its way.
#[derive(Clone, Copy)]
struct Run {
    stream: Stream,
    epoch: u64,
    range: PositionRange,
    live: Option<Live>,
    slice_bytes: u64,
}

impl Run {
    /// Hands it to `take` slice by slice, the bytes borrowed from `bytes`.
    #[inline]
    fn hand_over<'a>(
        self,
        scratch: &mut Vec<u8>,
        take: &mut impl FnMut(Incoming<'_>),
        bytes: impl Fn(PositionRange) -> (&'a [u8], &'a [u8]),
    ) {
        let Self { stream, epoch, range, live, slice_bytes } = self;
        let mut start = range.start;
        while start < range.end {
            let end = start.plus(slice_bytes).min(range.end);
            let slice = match bytes(PositionRange::new(start, end)) {
                (whole, []) => whole,
                (first, second) => join(scratch, first, second),
            };
            let length = slice.len() as u64;
            assert!(length == end.since(start), "the sender no longer has its bytes");
            take(Incoming::Data { stream, epoch, position: start, live, slice });
            start = end;
        }
    }
}

#[cold]
#[inline(never)]
fn join<'a>(scratch: &'a mut Vec<u8>, first: &[u8], second: &[u8]) -> &'a [u8] {
    scratch.clear();
    scratch.extend_from_slice(first);
    scratch.extend_from_slice(second);
    scratch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_members_apply_every_message_of_every_session_once() {
        for (members, sessions) in [(1, 1), (3, 1), (3, 5), (5, 100)] {
            let mut options = RoomOptions::new(16, 100);
            (options.members, options.sessions, options.round_ns) = (members, sessions, Some(500));
            let mut room = Room::open(&options);
            room.run_once(2_000);
            assert!(room.members.iter().all(|seat| seat.applied.count == 2_000));
        }
    }

    #[test]
    fn messages_of_many_datagrams_pass() {
        let mut options = RoomOptions::new(4, 50_000);
        options.round_ns = Some(500);
        Room::open(&options).run_once(500);
    }
}
