//! The clients of a stage: the core's own, each with what it was answered.

use core::hash::Hasher;

use quorate_core::client::{
    ClientConfig, ClientCounters, ClientError, ClientLimits, Reject, SyncTimedOut,
};
use quorate_core::hash::{StateHasher, mix};
use quorate_core::{ClientKey, Endpoint, Instant, MemberId, Position, RecoveryEpoch, SessionId};
use quorate_sim::Place;
use quorate_sim::observers::Observed;

use super::run::Happening;
use super::story::{Call, Told};
use super::{GROUP, SECOND, Stage};
use crate::case::Failure;
use crate::client_node::{ClientInput, ClientNode, ClientTold, ClientTurned, OwnClient};
use crate::edges::{Command, LedgerReply};
use crate::subject::SpawnError;

/// A client of a stage, from 1 on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ClientNumber(pub u32);

/// A reply that a client was handed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replied {
    /// When, in nanoseconds.
    pub at: u64,
    /// The number of the message.
    pub sequence: u64,
    /// Where the message lies in the log.
    pub position: Position,
    /// The reply.
    pub bytes: Vec<u8>,
}

pub(super) struct StageClient {
    pub(super) key: ClientKey,
    /// The subject's own, or one of the suite's.
    node: Box<dyn ClientNode>,
    state: ClientState,
    wake_at: Option<u64>,
    /// When each message was accepted, by sequence from 1 on, and its bytes.
    pub(super) submitted: Vec<(u64, Vec<u8>)>,
    pub(super) replies: Vec<Replied>,
    pub(super) rejected: Vec<Reject>,
    /// Positions that were waited for, and what came of it.
    synced: Vec<(Position, Result<Position, SyncTimedOut>)>,
    /// The next message is submitted for a reply that waits.
    is_safe: bool,
    pub(super) connected: u64,
    pub(super) ended: Option<Result<(), ClientError>>,
    next: Vec<u8>,
    gone: bool,
}

/// What is known of a client beside its replies.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientState {
    session: SessionId,
    counters: ClientCounters,
}

impl ClientState {
    /// The session, once one was opened.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// What it has counted.
    #[must_use]
    pub const fn counters(&self) -> &ClientCounters {
        &self.counters
    }
}

impl Stage<'_> {
    /// A new client, which connects by itself.
    pub fn client(&mut self) -> ClientNumber {
        let key = ClientKey(mix(self.seed, 0x0c11_e0b7 + self.clients.len() as u64) | 1);
        self.client_with_key(key)
    }

    /// A client with a key of the script's choice: one that was there before goes on.
    pub fn client_with_key(&mut self, key: ClientKey) -> ClientNumber {
        let number = self.clients.len() as u32 + 1;
        let limits = &self.options.limits;
        let config = ClientConfig {
            group: GROUP,
            recovery_epoch: RecoveryEpoch(0),
            key,
            members: self.machines[0].spec.config.voters.clone(),
            seed: mix(self.seed, u64::from(number) << 32),
            timing: self.options.client_timing.clone(),
            limits: ClientLimits {
                message_bytes_max: limits.message_bytes_max,
                session_window_bytes: limits.session_window_bytes,
                in_flight_max: limits.in_flight_max,
                slice_bytes: limits.slice_bytes,
                run_bytes_max: limits.run_bytes_max,
                coverage_ranges_max: limits.coverage_ranges_max,
            },
        };
        let node = self.client_node(config);
        self.clients.push(StageClient {
            key,
            node,
            state: ClientState::default(),
            wake_at: None,
            submitted: Vec::new(),
            replies: Vec::new(),
            rejected: Vec::new(),
            synced: Vec::new(),
            is_safe: false,
            connected: 0,
            ended: None,
            next: Vec::new(),
            gone: false,
        });
        let place = Place::Client(number);
        self.watch_client(Observed::ClientAt(key, place.endpoint()));
        self.step_client(number as usize - 1, None);
        ClientNumber(number)
    }

    /// A client of the subject's, if it has some, else one of the suite's.
    fn client_node(&mut self, config: ClientConfig) -> Box<dyn ClientNode> {
        let now = Instant(self.now);
        match self.subject.client(&config, now) {
            Some(Ok(node)) => return node,
            Some(Err(SpawnError::Unimplemented(what))) => {
                self.unable = Some(Failure::Unimplemented(what));
            }
            Some(Err(SpawnError::LeftOut(what))) => {
                self.unable = Some(Failure::NotApplicable(what));
            }
            Some(Err(error)) => {
                self.watch.violations.add("subject", format!("a client does not begin: {error}"));
            }
            None => {}
        }
        let own = OwnClient::new(config, now);
        Box::new(own.expect("a stage's options are sound: its members took them too"))
    }

    /// Submits a message; its sequence number.
    ///
    /// # Errors
    /// The client refuses it.
    pub fn submit(&mut self, client: ClientNumber, payload: &[u8]) -> Result<u64, Reject> {
        self.submit_as(client, payload, ClientInput::Submit { payload })
    }

    /// Submits a message whose reply waits until it is safe; its sequence number. Only for a client
    /// that knows this: see [`Stage::can_wait`].
    ///
    /// # Errors
    /// The client refuses it.
    pub fn submit_safe(&mut self, client: ClientNumber, payload: &[u8]) -> Result<u64, Reject> {
        self.submit_as(client, payload, ClientInput::SubmitSafe { payload })
    }

    fn submit_as(
        &mut self,
        client: ClientNumber,
        payload: &[u8],
        input: ClientInput<'_>,
    ) -> Result<u64, Reject> {
        let index = client.0 as usize - 1;
        let refused = self.clients[index].rejected.len();
        self.clients[index].next = payload.to_vec();
        self.clients[index].is_safe = matches!(input, ClientInput::SubmitSafe { .. });
        self.step_client(index, Some(input));
        let client = &self.clients[index];
        match client.rejected.get(refused) {
            Some(reject) => Err(*reject),
            None => Ok(client.submitted.len() as u64),
        }
    }

    /// Submits a message and lets time pass until its reply is there.
    ///
    /// # Errors
    /// There is none within ten seconds, or a rule was broken.
    pub fn request(&mut self, client: ClientNumber, payload: &[u8]) -> Result<Replied, Failure> {
        let sequence = self
            .submit(client, payload)
            .map_err(|reject| Failure::broken(format!("a client refuses a message: {reject}")))?;
        let answered =
            |stage: &Self| stage.replies(client).iter().any(|reply| reply.sequence == sequence);
        self.until(&format!("the reply to message {sequence}"), 10 * SECOND, answered)?;
        let reply = self.replies(client).iter().find(|reply| reply.sequence == sequence);
        reply.cloned().ok_or_else(|| Failure::Harness("a reply vanished".into()))
    }

    /// Whether a client knows replies that wait, and to wait for positions.
    #[must_use]
    pub fn can_wait(&self, client: ClientNumber) -> bool {
        self.clients[client.0 as usize - 1].node.can_wait()
    }

    /// A client waits until all up to the frame at `position` is safe: see [`Stage::synced`].
    pub fn sync(&mut self, client: ClientNumber, position: Position) {
        self.step_client(client.0 as usize - 1, Some(ClientInput::Sync { position }));
    }

    /// The positions that a client waited for, and what came of it, in that order.
    pub fn synced(&self, client: ClientNumber) -> &[(Position, Result<Position, SyncTimedOut>)] {
        &self.clients[client.0 as usize - 1].synced
    }

    /// The replies that a client was handed, in that order.
    #[must_use]
    pub fn replies(&self, client: ClientNumber) -> &[Replied] {
        &self.clients[client.0 as usize - 1].replies
    }

    /// The messages that a client accepted: when, and their bytes; the first has sequence 1.
    #[must_use]
    pub fn submitted(&self, client: ClientNumber) -> &[(u64, Vec<u8>)] {
        &self.clients[client.0 as usize - 1].submitted
    }

    /// How often a client was connected.
    #[must_use]
    pub fn connections(&self, client: ClientNumber) -> u64 {
        self.clients[client.0 as usize - 1].connected
    }

    /// How a client ended, if it did.
    #[must_use]
    pub fn ended(&self, client: ClientNumber) -> Option<&Result<(), ClientError>> {
        self.clients[client.0 as usize - 1].ended.as_ref()
    }

    /// A client's key.
    #[must_use]
    pub fn key(&self, client: ClientNumber) -> ClientKey {
        self.clients[client.0 as usize - 1].key
    }

    /// What else is known of a client.
    #[must_use]
    pub fn client_state(&self, client: ClientNumber) -> &ClientState {
        &self.clients[client.0 as usize - 1].state
    }

    /// A client closes its session when all is answered.
    pub fn close(&mut self, client: ClientNumber) {
        self.step_client(client.0 as usize - 1, Some(ClientInput::Close));
    }

    /// A client crashes: it takes and sends nothing any more.
    pub fn crash_client(&mut self, client: ClientNumber) {
        self.say(format!("client {} crashes", client.0));
        self.clients[client.0 as usize - 1].gone = true;
    }

    pub(super) fn client_receives(&mut self, number: u32, from: Place, bytes: &[u8]) {
        let index = (number as usize).wrapping_sub(1);
        if index >= self.clients.len() {
            return;
        }
        let source = from.endpoint();
        self.step_client(index, Some(ClientInput::Datagram { source, bytes }));
    }

    pub(super) fn client_wakes(&mut self, client: usize, at: u64) {
        if self.clients[client].wake_at == Some(at) {
            self.clients[client].wake_at = None;
            self.step_client(client, None);
        }
    }

    fn step_client(&mut self, client: usize, input: Option<ClientInput<'_>>) {
        if self.clients[client].gone {
            return;
        }
        let turned = self.clients[client].node.turn(Instant(self.now), input);
        let ClientTurned { wake, told, counters, fault } = turned;
        self.clients[client].state.counters = counters;
        if let Some(fault) = fault {
            let text = format!("client {}: {fault}", client + 1);
            return self.watch.violations.add("subject", text);
        }
        for told in told {
            self.client_told(client, told);
        }
        let host = &mut self.clients[client];
        let Some(due) = wake else { return };
        let at = due.0.max(self.now);
        if host.ended.is_none() && host.wake_at.is_none_or(|armed| at < armed) {
            host.wake_at = Some(at);
            self.queue.push(at, Happening::ClientWake { client, at });
        }
    }

    fn client_told(&mut self, client: usize, told: ClientTold) {
        let key = self.clients[client].key;
        match told {
            ClientTold::Sent { to, bytes } => self.client_sends(client, to, bytes),
            ClientTold::Accepted { sequence } => {
                let host = &mut self.clients[client];
                let message = core::mem::take(&mut host.next);
                let (payload, what) = (hash_of(&message), asked_in_words(&message));
                host.submitted.push((self.now, message));
                let is_safe = host.is_safe;
                self.watch_client(Observed::Accepted { key, sequence, payload });
                if is_safe {
                    self.watch_client(Observed::AskedForSafe { key, sequence });
                }
                let text = format!("submits message {sequence}: {what}");
                self.tell_of_call(client, text, Call { sequence, answers: false, what });
            }
            ClientTold::Rejected(reason) => self.clients[client].rejected.push(reason),
            ClientTold::Replied { sequence, position, bytes } => {
                self.watch_client(Observed::Replied { key, sequence, position, reply: &bytes });
                let asked = self.clients[client].submitted.get(sequence as usize - 1);
                let asked = asked.and_then(|(_, message)| Command::parse(message));
                let (at, what) = (self.now, answered_in_words(asked, &bytes));
                self.clients[client].replies.push(Replied { at, sequence, position, bytes });
                let text = format!("is answered message {sequence}: {what}");
                self.tell_of_call(client, text, Call { sequence, answers: true, what });
            }
            ClientTold::Synced { position, outcome } => {
                if outcome.is_ok() {
                    self.watch_client(Observed::Synced { position });
                }
                self.clients[client].synced.push((position, outcome));
                self.tell_of_client(client, format!("waited for {position}: {outcome:?}"));
            }
            ClientTold::Connected { session } => {
                self.clients[client].connected += 1;
                self.clients[client].state.session = session;
                self.tell_of_client(client, "is connected".into());
            }
            ClientTold::Disconnected => {}
            ClientTold::Ended(result) => {
                if let Err(ClientError::SessionLost { session, .. }) = &result {
                    self.watch_client(Observed::SessionLost { session: *session });
                }
                let text = match &result {
                    Ok(()) => "has ended".to_owned(),
                    Err(error) => format!("gives up: {error}"),
                };
                self.tell_of_client(client, text);
                self.clients[client].ended = Some(result);
            }
        }
    }

    fn tell_of_client(&mut self, client: usize, text: String) {
        self.tell(Told::Client { client: format!("c{}", client + 1), text, call: None });
    }

    fn tell_of_call(&mut self, client: usize, text: String, call: Call) {
        self.tell(Told::Client { client: format!("c{}", client + 1), text, call: Some(call) });
    }

    fn client_sends(&mut self, client: usize, to: Endpoint, bytes: Vec<u8>) {
        if let Some(to) = Place::at(to) {
            self.send(Place::Client(client as u32 + 1), to, bytes);
        }
    }
}

impl Stage<'_> {
    /// The place of a client.
    #[must_use]
    pub const fn place_of_client(client: ClientNumber) -> Place {
        Place::Client(client.0)
    }

    /// The place of a member.
    #[must_use]
    pub const fn place_of(member: u16) -> Place {
        Place::Member(MemberId(member))
    }
}

fn asked_in_words(message: &[u8]) -> String {
    match Command::parse(message) {
        Some(command) => command.to_string(),
        None => format!("{} bytes", message.len()),
    }
}

fn answered_in_words(asked: Option<Command>, reply: &[u8]) -> String {
    match (asked, LedgerReply::parse(reply)) {
        (Some(command), Some(LedgerReply { applied, value, .. })) => {
            format!("number {applied}: {}", command.answer(value))
        }
        (None, Some(LedgerReply { applied, .. })) => format!("number {applied}"),
        (_, None) => format!("{} bytes", reply.len()),
    }
}

pub(super) fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = StateHasher::default();
    hasher.write(bytes);
    hasher.finish()
}
