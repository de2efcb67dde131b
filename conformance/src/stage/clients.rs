//! The clients of a stage: the core's own, each with what it was answered.

use core::hash::Hasher;

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, decode, encode_control, encode_data};
use quorate_core::client::{
    Client, ClientAction, ClientActions, ClientConfig, ClientError, ClientEvent, ClientLimits,
    Reject,
};
use quorate_core::hash::{StateHasher, mix};
use quorate_core::{
    ClientKey, Endpoint, Instant, MemberId, Position, PositionRange, RecoveryEpoch, Sender, Stream,
};
use quorate_sim::Place;
use quorate_sim::observers::Observed;

use super::run::Happening;
use super::story::Told;
use super::{GROUP, SECOND, Stage, TAG};
use crate::case::Failure;

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
    client: Client,
    wake_at: Option<u64>,
    /// When each message was accepted, by sequence from 1 on, and its bytes.
    pub(super) submitted: Vec<(u64, Vec<u8>)>,
    pub(super) replies: Vec<Replied>,
    pub(super) rejected: Vec<Reject>,
    pub(super) connected: u64,
    pub(super) ended: Option<Result<(), ClientError>>,
    next: Vec<u8>,
    gone: bool,
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
        let client = Client::new(config, Instant(self.now));
        let client = client.expect("a stage's options are sound: its members took them too");
        self.clients.push(StageClient {
            key,
            client,
            wake_at: None,
            submitted: Vec::new(),
            replies: Vec::new(),
            rejected: Vec::new(),
            connected: 0,
            ended: None,
            next: Vec::new(),
            gone: false,
        });
        let place = Place::Client(number);
        self.watch_client(Observed::ClientAt(key, place.endpoint()));
        self.step_client(number as usize - 1, ClientEvent::Timer);
        ClientNumber(number)
    }

    /// Submits a message; its sequence number.
    ///
    /// # Errors
    /// The client refuses it.
    pub fn submit(&mut self, client: ClientNumber, payload: &[u8]) -> Result<u64, Reject> {
        let index = client.0 as usize - 1;
        let refused = self.clients[index].rejected.len();
        self.clients[index].next = payload.to_vec();
        self.step_client(index, ClientEvent::Submit { payload });
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

    /// The core's client itself, to look at.
    #[must_use]
    pub fn client_state(&self, client: ClientNumber) -> &Client {
        &self.clients[client.0 as usize - 1].client
    }

    /// A client closes its session when all is answered.
    pub fn close(&mut self, client: ClientNumber) {
        self.step_client(client.0 as usize - 1, ClientEvent::Close);
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
        let Ok((sender, content)) = decode(bytes, TAG) else { return };
        let source = from.endpoint();
        self.step_client(index, ClientEvent::Received { sender, source, content });
    }

    pub(super) fn client_wakes(&mut self, client: usize, at: u64) {
        if self.clients[client].wake_at == Some(at) {
            self.clients[client].wake_at = None;
            self.step_client(client, ClientEvent::Timer);
        }
    }

    fn step_client(&mut self, client: usize, event: ClientEvent<'_>) {
        if self.clients[client].gone {
            return;
        }
        let mut actions = ClientActions::new();
        for event in [event, ClientEvent::Flush] {
            self.clients[client].client.step(Instant(self.now), event, &mut actions);
            for action in actions.drain() {
                self.perform_for_client(client, action);
            }
        }
        let host = &mut self.clients[client];
        let Some(due) = host.client.next_deadline() else { return };
        let at = due.0.max(self.now);
        if host.ended.is_none() && host.wake_at.is_none_or(|armed| at < armed) {
            host.wake_at = Some(at);
            self.queue.push(at, Happening::ClientWake { client, at });
        }
    }

    fn perform_for_client(&mut self, client: usize, action: ClientAction) {
        let (key, lane) = (self.clients[client].key, format!("c{}", client + 1));
        match action {
            ClientAction::Send { to, message } => {
                let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
                let encoded = encode_control(&header(key), &message, &mut bytes);
                self.client_sends(client, to, bytes, encoded.ok());
            }
            ClientAction::SendData { to, stream, epoch, range } => {
                self.send_ingress(client, to, (stream, epoch, range));
            }
            ClientAction::Accepted { sequence } => {
                let host = &mut self.clients[client];
                let message = core::mem::take(&mut host.next);
                let payload = hash_of(&message);
                host.submitted.push((self.now, message));
                self.watch_client(Observed::Accepted { key, sequence, payload });
                let text = format!("submits message {sequence}");
                self.tell(Told::Client { client: lane, text });
            }
            ClientAction::Rejected { reason } => self.clients[client].rejected.push(reason),
            ClientAction::Reply { sequence, position, payload } => {
                let (first, second) =
                    self.clients[client].client.bytes(Stream::Egress(key), payload);
                let bytes = [first, second].concat();
                self.watch_client(Observed::Replied { key, sequence, position, reply: &bytes });
                let at = self.now;
                self.clients[client].replies.push(Replied { at, sequence, position, bytes });
                let text = format!("is answered message {sequence}");
                self.tell(Told::Client { client: lane, text });
            }
            ClientAction::Connected { .. } => {
                self.clients[client].connected += 1;
                self.tell(Told::Client { client: lane, text: "is connected".into() });
            }
            ClientAction::Disconnected => {}
            ClientAction::Ended(result) => {
                if let Err(ClientError::SessionLost { session, .. }) = &result {
                    self.watch_client(Observed::SessionLost { session: *session });
                }
                let text = match &result {
                    Ok(()) => "has ended".to_owned(),
                    Err(error) => format!("gives up: {error}"),
                };
                self.tell(Told::Client { client: lane, text });
                self.clients[client].ended = Some(result);
            }
        }
    }

    fn send_ingress(
        &mut self,
        client: usize,
        to: Endpoint,
        (stream, epoch, range): (Stream, u64, PositionRange),
    ) {
        let host = &self.clients[client];
        let (first, second) = host.client.bytes(stream, range);
        let (run, key) = ([first, second].concat(), host.key);
        let slice_bytes = self.options.limits.slice_bytes as usize;
        let mut position = range.start;
        for slice in run.chunks(slice_bytes) {
            let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
            let slices = (slice, &[][..]);
            let encoded =
                encode_data(&header(key), stream, epoch, position, None, slices, &mut bytes);
            self.client_sends(client, to, bytes, encoded.ok());
            position = position.plus(slice.len() as u64);
        }
    }

    fn client_sends(
        &mut self,
        client: usize,
        to: Endpoint,
        mut bytes: Vec<u8>,
        length: Option<usize>,
    ) {
        let (Some(to), Some(length)) = (Place::at(to), length) else { return };
        bytes.truncate(length);
        self.send(Place::Client(client as u32 + 1), to, bytes);
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

const fn header(key: ClientKey) -> Header {
    Header { tag: TAG, sender: Sender::Client { key } }
}

pub(super) fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = StateHasher::default();
    hasher.write(bytes);
    hasher.finish()
}
