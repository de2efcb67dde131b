//! The loop of one client, without its waiting.

use core::mem;
use std::collections::VecDeque;

use quorate_codecs::Header;
use quorate_core::client::{
    ClientAction, ClientActions, ClientError, ClientEvent, ReadError, Reject, SyncTimedOut,
};
use quorate_core::{
    Client, Instant, MemberId, Position, ReadAnswer, ReadLevel, Sender as Origin, SessionId,
    Stream, Term,
};

use crate::faults::{FaultCounters, FaultyPort};
use crate::member_loop::{RECEIVE_BYTES, RECEIVE_ERRORS_MAX};
use crate::metrics::DatagramCounters;
use crate::port::{Clock, DatagramPort};
use crate::sender::{Run, Sender};

/// What a client tells its application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientOutcome {
    /// The client is served.
    Connected {
        /// The session.
        session: SessionId,
        /// By whom.
        leader: MemberId,
        /// In which term.
        term: Term,
    },
    /// The client is not served any more, and looks for a leader.
    Disconnected,
    /// The reply to a message; one for each, in order.
    Reply {
        /// The number that [`ClientLoop::submit`] returned.
        sequence: u64,
        /// Where the message lies in the log.
        position: Position,
        /// The reply.
        payload: Vec<u8>,
    },
    /// A position that [`ClientLoop::sync`] waits for is safe, or was waited for in vain.
    Synced {
        /// The position.
        position: Position,
        /// The end of what is safe.
        outcome: Result<Position, SyncTimedOut>,
    },
    /// What came of a read.
    Read {
        /// The number that [`ClientLoop::read`] returned.
        number: u64,
        /// What it was answered.
        outcome: Result<ReadAnswer, ReadError>,
    },
    /// The client has ended; nothing follows.
    Ended(Result<(), ClientError>),
}

/// A client with its port: one event in, all its actions performed in order, then the next. Called
/// like [`crate::MemberLoop`].
#[derive(Debug)]
pub struct ClientLoop<P> {
    client: Client,
    actions: ClientActions,
    datagrams: FaultyPort<P>,
    sender: Sender,
    buffer: Vec<u8>,
    outcomes: VecDeque<ClientOutcome>,
    submitted: Option<Result<u64, Reject>>,
    ended: Option<Result<(), ClientError>>,
}

impl<P: DatagramPort> ClientLoop<P> {
    /// A loop around `client`; begin with [`ClientLoop::timer`].
    #[must_use]
    pub fn new(client: Client, datagrams: FaultyPort<P>) -> Self {
        let config = client.config();
        let header = Header { tag: config.tag(), sender: Origin::Client { key: config.key } };
        let sender = Sender::new(header, config.limits.slice_bytes);
        Self {
            client,
            actions: ClientActions::new(),
            datagrams,
            sender,
            buffer: vec![0; RECEIVE_BYTES],
            outcomes: VecDeque::new(),
            submitted: None,
            ended: None,
        }
    }

    /// The client.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The datagram port.
    #[must_use]
    pub const fn port(&self) -> &P {
        self.datagrams.inner()
    }

    /// How the client ended, once it has.
    #[must_use]
    pub const fn ended(&self) -> Option<&Result<(), ClientError>> {
        self.ended.as_ref()
    }

    /// Datagrams in and out, and what the fault layer did.
    #[must_use]
    pub fn counters(&self) -> (DatagramCounters, FaultCounters) {
        let overflows = self.datagrams.overflows();
        let datagrams = DatagramCounters { overflows, ..self.sender.counters.clone() };
        (datagrams, self.datagrams.counters())
    }

    /// When to call [`ClientLoop::timer`] if nothing else happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.client.next_deadline()
    }

    /// What the application is to be told next.
    pub fn outcome(&mut self) -> Option<ClientOutcome> {
        self.outcomes.pop_front()
    }

    /// Submits a message: its number, from 1 on without gaps.
    ///
    /// # Errors
    /// Why it was not taken; nothing was sent.
    pub fn submit(&mut self, now: Instant, payload: &[u8]) -> Result<u64, Reject> {
        self.submitted = None;
        self.step(now, ClientEvent::Submit { payload });
        self.submitted.take().unwrap_or(Err(Reject::Closed))
    }

    /// The same, and the reply waits until the message is safe; so do those to later messages.
    ///
    /// # Errors
    /// Why it was not taken; nothing was sent.
    pub fn submit_safe(&mut self, now: Instant, payload: &[u8]) -> Result<u64, Reject> {
        self.submitted = None;
        self.step(now, ClientEvent::SubmitSafe { payload });
        self.submitted.take().unwrap_or(Err(Reject::Closed))
    }

    /// Waits until all up to the frame at `position` of the log is safe, that frame included:
    /// [`ClientOutcome::Synced`] follows, or the end of the client.
    ///
    /// # Errors
    /// [`Reject::BackPressure`] when too many positions are waited for, or [`Reject::Closed`].
    pub fn sync(&mut self, now: Instant, position: Position) -> Result<(), Reject> {
        if self.ended.is_some() {
            return Err(Reject::Closed);
        }
        self.submitted = None;
        self.step(now, ClientEvent::Sync { position });
        self.submitted.take().map_or(Ok(()), |refused| refused.map(|_| ()))
    }

    /// Reads: [`ClientOutcome::Read`] follows, under the number that is returned.
    ///
    /// # Errors
    /// Why it was not taken; nothing was sent.
    pub fn read(&mut self, now: Instant, level: ReadLevel, payload: &[u8]) -> Result<u64, Reject> {
        self.submitted = None;
        self.step(now, ClientEvent::Read { level, payload });
        self.submitted.take().unwrap_or(Err(Reject::Closed))
    }

    /// Takes in datagrams until none is at hand or at least `budget` were taken; returns how many,
    /// as [`crate::MemberLoop::receive`] does.
    pub fn receive(&mut self, clock: &impl Clock, budget: usize) -> usize {
        let mut buffer = mem::take(&mut self.buffer);
        let world = (self.client.config().group, self.client.config().recovery_epoch);
        let (mut taken, mut errors) = (0, 0);
        while taken < budget && errors < RECEIVE_ERRORS_MAX {
            match self.datagrams.receive(&mut buffer) {
                Ok(Some(received)) => {
                    let (now, source) = (clock.now(), received.source);
                    let datagrams = received.datagrams(&buffer);
                    taken += datagrams.len().max(1);
                    for datagram in datagrams {
                        let decoded = self.sender.counters.decoded(datagram, world);
                        if let Some((sender, content)) = decoded {
                            self.step(now, ClientEvent::Received { sender, source, content });
                        }
                    }
                }
                Ok(None) => break,
                // An ICMP error of an earlier send, as a rule: that member is not there now.
                Err(_) => {
                    self.sender.counters.receive_errors += 1;
                    errors += 1;
                }
            }
        }
        self.buffer = buffer;
        taken
    }

    /// A deadline passed.
    pub fn timer(&mut self, now: Instant) {
        self.step(now, ClientEvent::Timer);
    }

    /// There is no further input at hand: what was collected is sent.
    pub fn flush(&mut self, now: Instant) {
        self.step(now, ClientEvent::Flush);
    }

    /// The application is done; [`ClientOutcome::Ended`] follows once all is answered.
    pub fn close(&mut self, now: Instant) {
        self.step(now, ClientEvent::Close);
    }

    fn step(&mut self, now: Instant, event: ClientEvent<'_>) {
        if self.ended.is_some() {
            return;
        }
        self.client.step(now, event, &mut self.actions);
        let mut actions = mem::take(&mut self.actions);
        for action in actions.drain() {
            self.perform(action);
        }
        self.actions = actions;
    }

    fn perform(&mut self, action: ClientAction) {
        match action {
            ClientAction::Send { to, message } => {
                self.sender.control(&mut self.datagrams, to, &message);
            }
            ClientAction::SendData { to, stream, epoch, range } => {
                let run = Run { to, stream, epoch, range, live: None };
                let bytes = self.client.bytes(stream, range);
                self.sender.data(&mut self.datagrams, &run, bytes);
            }
            ClientAction::Accepted { sequence } => self.submitted = Some(Ok(sequence)),
            ClientAction::Rejected { reason } => self.submitted = Some(Err(reason)),
            ClientAction::Reply { sequence, position, payload } => {
                let stream = Stream::Egress(self.client.config().key);
                let (first, second) = self.client.bytes(stream, payload);
                let payload = [first, second].concat();
                self.outcomes.push_back(ClientOutcome::Reply { sequence, position, payload });
            }
            ClientAction::Synced { position, outcome } => {
                self.outcomes.push_back(ClientOutcome::Synced { position, outcome });
            }
            ClientAction::Reading { number } => self.submitted = Some(Ok(number)),
            ClientAction::Read { number, outcome } => {
                self.outcomes.push_back(ClientOutcome::Read { number, outcome });
            }
            ClientAction::Connected { session, leader, term } => {
                self.outcomes.push_back(ClientOutcome::Connected { session, leader, term });
            }
            ClientAction::Disconnected => self.outcomes.push_back(ClientOutcome::Disconnected),
            ClientAction::Ended(result) => {
                self.ended = Some(result.clone());
                self.outcomes.push_back(ClientOutcome::Ended(result));
            }
        }
    }
}
