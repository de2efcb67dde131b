//! The clients' hosts: what they submit, and what they are answered.

use core::hash::Hasher;

use quorate_core::client::{
    Client, ClientAction, ClientActions, ClientConfig, ClientError, ClientEvent, Reject,
};
use quorate_core::hash::StateHasher;
use quorate_core::{
    ClientKey, Incoming, Instant, MemberId, Position, RecoveryEpoch, Sender, Stream,
};

use crate::dice::ALWAYS;
use crate::network::{Content, Datagram, Place};
use crate::observers::Observed;
use crate::reads::Reading;
use crate::report::Mark;
use crate::swarm::{MICRO, MILLI};
use crate::world::{GROUP, Occurrence, World};

/// The mean pause of a client that floods.
const FLOOD_PAUSE: u64 = 20 * MICRO;

/// A client on its host.
pub(crate) struct ClientHost {
    pub(crate) key: ClientKey,
    pub(crate) number: u32,
    pub(crate) client: Client,
    timer_at: Option<u64>,
    idle_timers: u32,
    /// What it will submit next, if that was refused before.
    next: Option<Vec<u8>>,
    /// It asks, with that, for a reply that waits until it is safe.
    wants_safe: bool,
    /// Where the newest message lies that was answered.
    answered_at: Position,
    connections: u64,
    accepted: u64,
    pub(crate) replied: u64,
    /// In the calm phase: how many messages it owes yet.
    pub(crate) owed: u32,
    closing: bool,
    submitted: u64,
    /// It submits as much as it can until then.
    pub(crate) floods_until: u64,
    /// It reads no replies until then.
    pub(crate) deaf_until: u64,
    pub(crate) reading: Reading,
}

impl World {
    /// Adds a client with a new key at a new address.
    pub(crate) fn add_client(&mut self) {
        let host = self.new_client();
        self.clients.push(host);
        self.client_started(self.clients.len() - 1);
    }

    /// Puts a new client in the place of one that ended or crashed.
    pub(crate) fn replace_client(&mut self, client: usize) {
        let mut host = self.new_client();
        host.owed = self.clients[client].owed;
        self.clients[client] = host;
        self.availability.replaced(client);
        self.client_started(client);
    }

    fn new_client(&mut self) -> ClientHost {
        let key = self.next_key();
        let mut members: Vec<MemberId> = self.nodes.iter().map(|node| node.id).collect();
        let first = self.dice.workload.below(members.len() as u64) as usize;
        members.rotate_left(first);
        let config = ClientConfig {
            group: GROUP,
            recovery_epoch: RecoveryEpoch(0),
            key,
            members: members.iter().map(|id| (*id, Place::Member(*id).endpoint())).collect(),
            seed: self.dice.workload.bits(),
            timing: self.swarm.client_timing.clone(),
            limits: self.swarm.client_limits.clone(),
        };
        let client = Client::new(config, Instant(self.now));
        ClientHost {
            key,
            number: self.keys_made as u32,
            client: client.expect("the swarm draws sound configurations; its test says so"),
            timer_at: None,
            idle_timers: 0,
            next: None,
            wants_safe: false,
            answered_at: Position::ZERO,
            connections: 0,
            accepted: 0,
            replied: 0,
            owed: 0,
            closing: false,
            submitted: 0,
            floods_until: 0,
            deaf_until: 0,
            reading: Reading::default(),
        }
    }

    fn client_started(&mut self, client: usize) {
        let host = &self.clients[client];
        let at = Observed::ClientAt(host.key, Place::Client(host.number).endpoint());
        self.watch.show(&self.nodes, self.now, 0, at);
        self.step_client(client, ClientEvent::Timer);
        let pause = self.dice.workload.exponential(self.swarm.workload.pause);
        self.queue.push(self.now + pause, Occurrence::Submit { client });
    }

    /// A datagram reaches the client of this number, if it still lives.
    pub(crate) fn client_receives(&mut self, number: u32, datagram: &Datagram) {
        let Some(client) = self.clients.iter().position(|host| host.number == number) else {
            return;
        };
        let Some((sender, content)) = self.read(datagram) else { return };
        match &content {
            Incoming::Control(message) => self.count_message(message),
            Incoming::Data { .. } if !self.calm && self.clients[client].deaf_until > self.now => {
                return;
            }
            Incoming::Data { .. } => {}
        }
        let source = datagram.source;
        self.note(|| format!("client {number} receives {content:?} of {sender:?}"));
        self.step_client(client, ClientEvent::Received { sender, source, content });
    }

    /// The client's timer is due.
    pub(crate) fn client_timer(&mut self, client: usize, at: u64) {
        let host = &mut self.clients[client];
        if host.timer_at != Some(at) {
            return;
        }
        host.timer_at = None;
        if host.client.next_deadline().is_none_or(|due| due.0 > self.now) {
            return self.arm_client(client);
        }
        self.step_client(client, ClientEvent::Timer);
        let host = &mut self.clients[client];
        let stuck = host.client.next_deadline().is_some_and(|due| due.0 <= self.now);
        host.idle_timers = if stuck { host.idle_timers + 1 } else { 0 };
        if host.idle_timers > 64 {
            let text = format!("the deadline of client {} does not move on", host.number);
            self.found("E105", text);
        }
    }

    /// The client submits its next message.
    pub(crate) fn client_submits(&mut self, client: usize) {
        let floods = !self.calm && self.clients[client].floods_until > self.now;
        let mean = if floods { FLOOD_PAUSE } else { self.swarm.workload.pause };
        // Calm is no time to wait for a client that hardly ever wants anything.
        let mean = if self.calm { mean.min(100 * MILLI) } else { mean };
        let pause = self.dice.workload.exponential(mean) + MICRO;
        self.queue.push(self.now + pause, Occurrence::Submit { client });
        if !self.calm && self.clients[client].submitted >= self.swarm.workload.messages_max {
            return;
        }
        if self.draining && self.clients[client].owed == 0 {
            return;
        }
        if !self.calm && self.dice.workload.chance(ALWAYS / 2_000) {
            self.clients[client].closing = true;
            self.availability.replaced(client);
            return self.step_client(client, ClientEvent::Close);
        }
        if self.clients[client].closing {
            return;
        }
        let number = self.clients[client].number;
        self.client_reads(client);
        if self.clients[client].number != number {
            return; // it has ended, and another is in its place
        }
        let payload = match self.clients[client].next.take() {
            Some(payload) => payload,
            None => self.draw_message(client),
        };
        self.availability.wants(client, self.now);
        // A client that does not ask first is refused, and that is all.
        let asks = self.dice.workload.chance(ALWAYS / 4 * 3);
        if asks && !self.clients[client].client.can_submit(payload.len()) {
            self.clients[client].next = Some(payload);
            return;
        }
        let owed = &mut self.clients[client].owed;
        *owed = owed.saturating_sub(1);
        self.clients[client].submitted += 1;
        self.clients[client].next = Some(payload.clone());
        let payload = &*payload;
        let event = match self.wants_safe(client) {
            true => ClientEvent::SubmitSafe { payload },
            false => ClientEvent::Submit { payload },
        };
        self.step_client(client, event);
    }

    /// Whether a client asks for a reply that waits until it is safe: now and then, where that
    /// differs from what is committed. There it also waits for a position, now and then.
    fn wants_safe(&mut self, client: usize) -> bool {
        // One that was refused says anew what it wants.
        self.clients[client].wants_safe = false;
        if !self.swarm.durability.is_volatile() || self.calm {
            return false;
        }
        let position = self.clients[client].answered_at;
        if position > Position::ZERO && self.dice.workload.chance(ALWAYS / 16) {
            let number = self.clients[client].number;
            self.step_client(client, ClientEvent::Sync { position });
            if self.clients[client].number != number {
                return false; // it has ended, and another is in its place
            }
        }
        let wants = self.dice.workload.chance(ALWAYS / 8);
        self.clients[client].wants_safe = wants;
        wants
    }

    /// Lets a client that floods begin at once.
    pub(crate) fn flood(&mut self, client: usize) {
        if self.clients[client].floods_until > self.now {
            self.client_submits(client);
        }
    }

    fn draw_message(&mut self, client: usize) -> Vec<u8> {
        let dice = &mut self.dice.workload;
        let workload = &self.swarm.workload;
        let most = u64::from(self.swarm.client_limits.message_bytes_max);
        let slice = u64::from(self.swarm.client_limits.slice_bytes);
        let length = if dice.chance(workload.empty) {
            self.tally.saw(Mark::EmptyMessage);
            0
        } else if dice.chance(workload.large) {
            dice.between(slice.min(most), most)
        } else {
            dice.between(1, 200.min(most))
        };
        if length > 2 * slice {
            self.tally.saw(Mark::LargeMessage);
        }
        let mut message = vec![dice.bits() as u8; length as usize];
        let unique = [self.clients[client].key.0.to_le_bytes(), dice.bits().to_le_bytes()].concat();
        let copied = unique.len().min(message.len());
        message[..copied].copy_from_slice(&unique[..copied]);
        message
    }

    pub(crate) fn step_client(&mut self, client: usize, event: ClientEvent<'_>) {
        let mut actions = ClientActions::new();
        self.clients[client].client.step(Instant(self.now), event, &mut actions);
        self.steps += 1;
        let number = self.clients[client].number;
        for action in actions.drain() {
            self.note(|| format!("client {number}: {action:?}"));
            self.perform_for_client(client, action);
            if self.clients[client].number != number {
                return; // it has ended, and another is in its place
            }
        }
        if self.dice.workload.chance(self.swarm.flush) {
            self.clients[client].client.step(Instant(self.now), ClientEvent::Flush, &mut actions);
            self.steps += 1;
            for action in actions.drain() {
                self.note(|| format!("client {number}: {action:?}"));
                self.perform_for_client(client, action);
                if self.clients[client].number != number {
                    return;
                }
            }
        }
        self.arm_client(client);
    }

    fn perform_for_client(&mut self, client: usize, action: ClientAction) {
        let host = &mut self.clients[client];
        let (key, from) = (host.key, Place::Client(host.number));
        let sender = Sender::Client { key };
        match action {
            ClientAction::Send { to, message } => {
                self.send(sender, from, Place::at(to), Content::Control(message));
            }
            ClientAction::SendData { to, stream, epoch, range } => {
                let (first, second) = host.client.bytes(stream, range);
                let bytes = [first, second].concat();
                self.send_ingress(sender, (from, Place::at(to)), (stream, epoch, range), &bytes);
            }
            ClientAction::Accepted { sequence } => {
                host.accepted = sequence;
                self.availability.asked(client, self.now);
                let message = host.next.take().unwrap_or_default();
                if self.watch.is_open() {
                    let payload = hash_of(&message);
                    let accepted = Observed::Accepted { key, sequence, payload };
                    self.watch.show(&self.nodes, self.now, 0, accepted);
                    if core::mem::take(&mut host.wants_safe) {
                        let asked = Observed::AskedForSafe { key, sequence };
                        self.watch.show(&self.nodes, self.now, 0, asked);
                    }
                }
            }
            ClientAction::Rejected { reason } => self.client_rejected(client, reason),
            ClientAction::Reply { sequence, position, payload } => {
                (host.replied, host.answered_at) = (sequence, position);
                self.availability.answered(client, self.now);
                let (first, second) = host.client.bytes(Stream::Egress(key), payload);
                self.tally.saw(Mark::Reply);
                let joined;
                let reply = match second {
                    [] => first,
                    _ => {
                        joined = [first, second].concat();
                        &joined
                    }
                };
                let replied = Observed::Replied { key, sequence, position, reply };
                self.watch.show(&self.nodes, self.now, 0, replied);
            }
            // That nobody said so in time is no promise.
            ClientAction::Synced { outcome: Err(_), .. } | ClientAction::Disconnected => {}
            ClientAction::Synced { position, outcome: Ok(_) } => {
                self.watch.show(&self.nodes, self.now, 0, Observed::Synced { position });
            }
            ClientAction::Reading { number } => self.read_begins(client, number),
            ClientAction::Read { number, outcome } => self.read_ends(client, number, outcome),
            ClientAction::Connected { .. } => {
                host.connections += 1;
                if host.connections > 1 {
                    self.tally.saw(Mark::Reconnect);
                }
            }
            ClientAction::Ended(result) => self.client_ended(client, result),
        }
    }

    fn client_rejected(&mut self, client: usize, reason: Reject) {
        match reason {
            Reject::BackPressure => {
                self.tally.saw(Mark::BackPressure);
                if self.draining {
                    self.clients[client].owed += 1;
                }
            }
            Reject::Closed if self.clients[client].closing => {}
            reason => {
                let number = self.clients[client].number;
                self.found("L2", format!("client {number} is refused: {reason}"));
            }
        }
    }

    fn client_ended(&mut self, client: usize, result: Result<(), ClientError>) {
        let host = &self.clients[client];
        match result {
            Ok(()) if host.closing && host.replied == host.accepted => {}
            Ok(()) => {
                let text = format!(
                    "client {} ended with {} of {} answered",
                    host.number, host.replied, host.accepted
                );
                self.found("L2", text);
            }
            Err(ClientError::SessionLost { session, .. }) => {
                let lost = Observed::SessionLost { session };
                self.watch.show(&self.nodes, self.now, 0, lost);
            }
            Err(error) => {
                let text = format!("client {} gave up: {error}", host.number);
                self.found("L2", text);
            }
        }
        // What it still owed falls to the one that comes.
        self.replace_client(client);
    }

    fn arm_client(&mut self, client: usize) {
        let host = &mut self.clients[client];
        let Some(due) = host.client.next_deadline() else { return };
        let at = due.0.max(self.now);
        if host.timer_at.is_none_or(|armed| at < armed) && at < self.now + 10_000_000 * MILLI {
            host.timer_at = Some(at);
            self.queue.push(at, Occurrence::ClientTimer { client, at });
        }
    }
}

fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = StateHasher::default();
    hasher.write(bytes);
    hasher.finish()
}
