//! Clients: those of the suite, which are the core's own, and those of a subject that brings them.

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, decode, encode_control, encode_data};
use quorate_core::client::{
    Client, ClientAction, ClientActions, ClientConfig, ClientCounters, ClientError, ClientEvent,
    Reject, SyncTimedOut,
};
use quorate_core::{ConfigError, Endpoint, Instant, Position, PositionRange, Sender, SessionId};
use quorate_core::{Message, Stream};

/// A client of a subject's own. Dropped, it ends as a killed process does.
pub trait ClientNode {
    /// Takes in what there is, does all that is due at `now`, sends, and returns when nothing more
    /// can be done before something happens or time passes. A message is taken or refused within.
    fn turn(&mut self, now: Instant, input: Option<ClientInput<'_>>) -> ClientTurned;

    /// Whether it knows [`ClientInput::SubmitSafe`] and [`ClientInput::Sync`]; it is not handed
    /// them otherwise.
    fn can_wait(&self) -> bool {
        false
    }
}

/// Something for a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientInput<'a> {
    /// A datagram, in the encoding of `quorate-codecs`.
    Datagram {
        /// Where it came from.
        source: Endpoint,
        /// All of its bytes.
        bytes: &'a [u8],
    },
    /// The application submits a message.
    Submit {
        /// The message.
        payload: &'a [u8],
    },
    /// The same, and the reply waits until the message is safe.
    SubmitSafe {
        /// The message.
        payload: &'a [u8],
    },
    /// The application waits until all up to the frame at this position is safe.
    Sync {
        /// Where that frame begins.
        position: Position,
    },
    /// The application is done: the session is closed once all is answered.
    Close,
}

/// How a turn of a client ended.
#[derive(Clone, Debug, Default)]
pub struct ClientTurned {
    /// When to turn again if nothing happens.
    pub wake: Option<Instant>,
    /// What it did and told its application, in order.
    pub told: Vec<ClientTold>,
    /// What it has counted so far; zeros of a client that does not say.
    pub counters: ClientCounters,
    /// What none may do, such as to break the protocol: the case fails.
    pub fault: Option<String>,
}

/// Something that a client did, or told its application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientTold {
    /// It sent a datagram.
    Sent {
        /// Where to.
        to: Endpoint,
        /// All of its bytes.
        bytes: Vec<u8>,
    },
    /// It took the message: its number, from 1 on without gaps.
    Accepted {
        /// The number.
        sequence: u64,
    },
    /// It did not take the message: surely nothing of it was sent.
    Rejected(Reject),
    /// The reply to a message: surely it was applied, once.
    Replied {
        /// The number of the message.
        sequence: u64,
        /// Where the message lies in the log.
        position: Position,
        /// The reply.
        bytes: Vec<u8>,
    },
    /// A position that was waited for is safe, or was waited for in vain.
    Synced {
        /// The position.
        position: Position,
        /// The end of what is safe.
        outcome: Result<Position, SyncTimedOut>,
    },
    /// A leader serves it.
    Connected {
        /// The session.
        session: SessionId,
    },
    /// It is not served any more, and looks for a leader.
    Disconnected,
    /// It has ended. What became of messages without a reply nobody knows (E35).
    Ended(Result<(), ClientError>),
}

/// A client of the suite: the core's own.
pub(crate) struct OwnClient {
    client: Client,
    actions: ClientActions,
    slice_bytes: usize,
}

impl OwnClient {
    pub(crate) fn new(config: ClientConfig, now: Instant) -> Result<Self, ConfigError> {
        let slice_bytes = config.limits.slice_bytes as usize;
        let client = Client::new(config, now)?;
        Ok(Self { client, actions: ClientActions::new(), slice_bytes })
    }

    fn step(&mut self, now: Instant, event: ClientEvent<'_>, told: &mut Vec<ClientTold>) {
        let mut actions = core::mem::take(&mut self.actions);
        self.client.step(now, event, &mut actions);
        for action in actions.drain() {
            self.perform(action, told);
        }
        self.actions = actions;
    }

    fn perform(&self, action: ClientAction, told: &mut Vec<ClientTold>) {
        let key = self.client.config().key;
        told.push(match action {
            ClientAction::Send { to, message } => return self.send(to, &message, told),
            ClientAction::SendData { to, stream, epoch, range } => {
                return self.send_data(to, (stream, epoch, range), told);
            }
            ClientAction::Accepted { sequence } => ClientTold::Accepted { sequence },
            ClientAction::Rejected { reason } => ClientTold::Rejected(reason),
            ClientAction::Reply { sequence, position, payload } => {
                let (first, second) = self.client.bytes(Stream::Egress(key), payload);
                let bytes = [first, second].concat();
                ClientTold::Replied { sequence, position, bytes }
            }
            ClientAction::Synced { position, outcome } => ClientTold::Synced { position, outcome },
            // No case has a client of the reference read.
            ClientAction::Reading { .. } | ClientAction::Read { .. } => return,
            ClientAction::Connected { session, .. } => ClientTold::Connected { session },
            ClientAction::Disconnected => ClientTold::Disconnected,
            ClientAction::Ended(result) => ClientTold::Ended(result),
        });
    }

    fn header(&self) -> Header {
        let config = self.client.config();
        Header { tag: config.tag(), sender: Sender::Client { key: config.key } }
    }

    fn send(&self, to: Endpoint, message: &Message, told: &mut Vec<ClientTold>) {
        let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
        if let Ok(length) = encode_control(&self.header(), message, &mut bytes) {
            bytes.truncate(length);
            told.push(ClientTold::Sent { to, bytes });
        }
    }

    fn send_data(
        &self,
        to: Endpoint,
        (stream, epoch, range): (Stream, u64, PositionRange),
        told: &mut Vec<ClientTold>,
    ) {
        let (first, second) = self.client.bytes(stream, range);
        let run = [first, second].concat();
        let mut position = range.start;
        for slice in run.chunks(self.slice_bytes) {
            let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
            let slices = (slice, &[][..]);
            let encoded =
                encode_data(&self.header(), stream, epoch, position, None, slices, &mut bytes);
            if let Ok(length) = encoded {
                bytes.truncate(length);
                told.push(ClientTold::Sent { to, bytes });
            }
            position = position.plus(slice.len() as u64);
        }
    }
}

impl ClientNode for OwnClient {
    fn turn(&mut self, now: Instant, input: Option<ClientInput<'_>>) -> ClientTurned {
        let mut told = Vec::new();
        let tag = self.client.config().tag();
        match input {
            None => self.step(now, ClientEvent::Timer, &mut told),
            Some(ClientInput::Datagram { source, bytes }) => {
                if let Ok((sender, content)) = decode(bytes, tag) {
                    self.step(now, ClientEvent::Received { sender, source, content }, &mut told);
                }
            }
            Some(ClientInput::Submit { payload }) => {
                self.step(now, ClientEvent::Submit { payload }, &mut told);
            }
            Some(ClientInput::SubmitSafe { payload }) => {
                self.step(now, ClientEvent::SubmitSafe { payload }, &mut told);
            }
            Some(ClientInput::Sync { position }) => {
                self.step(now, ClientEvent::Sync { position }, &mut told);
            }
            Some(ClientInput::Close) => self.step(now, ClientEvent::Close, &mut told),
        }
        self.step(now, ClientEvent::Flush, &mut told);
        let (wake, counters) = (self.client.next_deadline(), *self.client.counters());
        ClientTurned { wake, told, counters, fault: None }
    }

    fn can_wait(&self) -> bool {
        true
    }
}
