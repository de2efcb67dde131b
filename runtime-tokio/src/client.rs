//! A client as a task.

use core::future::Future;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::collections::VecDeque;

use bytes::Bytes;
use quorate_core::client::{ClientConfig, ClientCounters, ClientError, Reject};
use quorate_core::{Client, ClientKey, ConfigError, Position, SessionId};
use quorate_driver::{
    ClientLoop, ClientOutcome, Clock, DatagramCounters, FaultCounters, Faults, FaultyPort,
    SystemClock, address_of,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::socket::{SocketError, TokioPort};
use crate::wait::{RECEIVE_BUDGET, random_number, until};

/// What a client is started with.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Whom it asks, and how. A key or a seed of zero is replaced by a random one.
    pub config: ClientConfig,
    /// Where its socket is bound; any free port of the members' address family unless given.
    pub bind: Option<SocketAddr>,
    /// Deliberate faults at its receiver.
    pub faults: Option<Faults>,
}

/// Why a client did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartClientError {
    /// The core refuses the configuration.
    #[error(transparent)]
    Refused(#[from] ConfigError),
    /// It has no socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// The reply to a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The client's number of the message, from 1 on.
    pub sequence: u64,
    /// Where the message lies in the log.
    pub position: Position,
    /// What the service replied.
    pub payload: Bytes,
}

/// Why a message has no reply.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// It was not taken; nothing was sent.
    #[error(transparent)]
    Rejected(Reject),
    /// The client ended before the reply. Whether the message was applied is not known (E35).
    #[error("the outcome of the message is unknown: {0}")]
    Ended(ClientError),
    /// The client's task is gone, with its runtime. Whether the message was applied is not known.
    #[error("the client is gone; the outcome of the message is unknown")]
    Gone,
}

/// A client as it can be seen from outside.
#[derive(Clone, Debug)]
pub struct ClientStatus {
    /// Its session; [`SessionId::NONE`] before it was first served.
    pub session: SessionId,
    /// Messages accepted and not answered.
    pub unanswered: usize,
    /// What the core counted.
    pub counters: ClientCounters,
    /// Datagrams in and out.
    pub datagrams: DatagramCounters,
    /// What the fault layer did.
    pub faults: FaultCounters,
}

enum Command {
    Submit { payload: Bytes, reply: oneshot::Sender<Result<Reply, SubmitError>> },
    Look(oneshot::Sender<ClientStatus>),
    Close,
}

/// A running client with one session: its messages are applied exactly once, in the order in which
/// [`ClientHandle::send`] returned. Share it by reference or in an `Arc`. Dropped, it lets the
/// session end once all is answered, and does not wait.
#[derive(Debug)]
pub struct ClientHandle {
    commands: mpsc::Sender<Command>,
    task: JoinHandle<Result<(), ClientError>>,
}

impl ClientHandle {
    /// Binds a socket and starts the client as a task of the current runtime. It connects by
    /// itself; messages may be sent at once.
    ///
    /// # Errors
    /// [`StartClientError`]: nothing is running then.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(options: ClientOptions) -> Result<Self, StartClientError> {
        let ClientOptions { mut config, bind, faults } = options;
        if config.key == ClientKey(0) {
            config.key = ClientKey(random_number());
        }
        if config.seed == 0 {
            config.seed = random_number();
        }
        let in_flight_max = config.limits.in_flight_max;
        let first = config.members.values().next().map(|endpoint| address_of(*endpoint));
        let bind = bind.unwrap_or_else(|| match first {
            Some(member) if member.is_ipv6() => SocketAddr::from(([0_u16; 8], 0)),
            _ => SocketAddr::from(([0_u8; 4], 0)),
        });
        let clock = SystemClock::start();
        let client = Client::new(config, clock.now())?;
        let port = FaultyPort::new(TokioPort::open(bind, None)?, faults);
        let client = ClientLoop::new(client, port);
        let (commands, requests) = mpsc::channel(in_flight_max.max(1));
        let task = Task {
            client,
            clock,
            requests,
            waiting: None,
            unanswered: VecDeque::new(),
            closing: false,
        };
        Ok(Self { commands, task: tokio::spawn(task.run()) })
    }

    /// Hands a message over and returns once it is queued: wait for the reply, or send more before.
    /// When too much is unanswered it waits: that is the back-pressure. Cancelled, the message was
    /// not sent.
    ///
    /// # Errors
    /// [`SubmitError::Gone`] when the client has ended.
    pub async fn send(&self, payload: impl Into<Bytes>) -> Result<PendingReply, SubmitError> {
        let (reply, answered) = oneshot::channel();
        let command = Command::Submit { payload: payload.into(), reply };
        self.commands.send(command).await.map_err(|_| SubmitError::Gone)?;
        Ok(PendingReply { answered })
    }

    /// Sends a message and waits for its reply. Cancelled while it waits for the reply, the message
    /// is applied all the same, once.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit(&self, payload: impl Into<Bytes>) -> Result<Reply, SubmitError> {
        self.send(payload).await?.await
    }

    /// What can be seen of the client now.
    ///
    /// # Errors
    /// [`SubmitError::Gone`] when the client has ended.
    pub async fn status(&self) -> Result<ClientStatus, SubmitError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Look(answer)).await.map_err(|_| SubmitError::Gone)?;
        answered.await.map_err(|_| SubmitError::Gone)
    }

    /// Ends the session once all is answered, and waits for that. Cancelled, the client ends all
    /// the same.
    ///
    /// # Errors
    /// [`SubmitError::Ended`] with the reason why it ended otherwise.
    pub async fn close(self) -> Result<(), SubmitError> {
        // A client that has ended already says why below.
        let _ = self.commands.send(Command::Close).await;
        match self.task.await {
            Ok(result) => result.map_err(SubmitError::Ended),
            Err(_) => Err(SubmitError::Gone),
        }
    }
}

/// The reply to come of a message that was handed over. Dropped, the message is applied all the
/// same.
#[derive(Debug)]
pub struct PendingReply {
    answered: oneshot::Receiver<Result<Reply, SubmitError>>,
}

impl Future for PendingReply {
    type Output = Result<Reply, SubmitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = Pin::new(&mut self.answered).poll(context);
        answered.map(|answer| answer.unwrap_or(Err(SubmitError::Gone)))
    }
}

type Answer = oneshot::Sender<Result<Reply, SubmitError>>;

struct Task {
    client: ClientLoop<TokioPort>,
    clock: SystemClock,
    requests: mpsc::Receiver<Command>,
    /// A message that there was no room for yet. Nothing behind it is taken meanwhile.
    waiting: Option<(Bytes, Answer)>,
    unanswered: VecDeque<(u64, Answer)>,
    closing: bool,
}

impl Task {
    async fn run(mut self) -> Result<(), ClientError> {
        self.client.port().writable().await;
        self.client.timer(self.clock.now());
        loop {
            tokio::select! {
                command = self.requests.recv(), if self.waiting.is_none() && !self.closing => {
                    self.take(command.unwrap_or(Command::Close));
                }
                () = self.client.port().readable() => {}
                () = until(self.clock, self.client.next_deadline()) => {}
            }
            self.client.receive(&self.clock, RECEIVE_BUDGET);
            let now = self.clock.now();
            if self.client.next_deadline().is_some_and(|deadline| deadline <= now) {
                self.client.timer(now);
            }
            self.answer();
            self.admit();
            self.client.flush(self.clock.now());
            self.answer();
            if let Some(result) = self.client.ended().cloned() {
                self.fail_all(&result);
                return result;
            }
        }
    }

    /// Submits the message that waits, and those behind it, as far as there is room.
    fn admit(&mut self) {
        if let Some((payload, answer)) = self.waiting.take() {
            self.submit(payload, answer);
        }
        while self.waiting.is_none()
            && !self.closing
            && let Ok(command) = self.requests.try_recv()
        {
            self.take(command);
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Submit { payload, reply } => self.submit(payload, reply),
            Command::Close => {
                self.closing = true;
                self.client.close(self.clock.now());
            }
            Command::Look(answer) => {
                let (datagrams, faults) = self.client.counters();
                let client = self.client.client();
                let _ = answer.send(ClientStatus {
                    session: client.session(),
                    unanswered: client.unanswered(),
                    counters: *client.counters(),
                    datagrams,
                    faults,
                });
            }
        }
    }

    fn submit(&mut self, payload: Bytes, answer: Answer) {
        match self.client.submit(self.clock.now(), &payload) {
            Ok(sequence) => self.unanswered.push_back((sequence, answer)),
            Err(Reject::BackPressure) => self.waiting = Some((payload, answer)),
            Err(reject) => {
                let _ = answer.send(Err(SubmitError::Rejected(reject)));
            }
        }
    }

    fn answer(&mut self) {
        while let Some(outcome) = self.client.outcome() {
            match outcome {
                ClientOutcome::Reply { sequence, position, payload } => {
                    // Replies come in order, one for each message.
                    let Some((asked, answer)) = self.unanswered.pop_front() else { continue };
                    debug_assert_eq!(asked, sequence, "replies come in order");
                    let reply = Reply { sequence, position, payload: payload.into() };
                    // Nobody waits when the pending reply was dropped.
                    let _ = answer.send(Ok(reply));
                }
                ClientOutcome::Connected { session, leader, term } => {
                    tracing::info!(session = session.0, leader = leader.0, term = term.0, "served");
                }
                ClientOutcome::Disconnected => tracing::info!("not served any more"),
                ClientOutcome::Ended(result) => tracing::info!(?result, "client ended"),
            }
        }
    }

    fn fail_all(&mut self, result: &Result<(), ClientError>) {
        let error = match result {
            Ok(()) => SubmitError::Rejected(Reject::Closed),
            Err(error) => SubmitError::Ended(error.clone()),
        };
        let waiting = self.waiting.take().map(|(_, answer)| answer);
        for answer in self.unanswered.drain(..).map(|(_, answer)| answer).chain(waiting) {
            let _ = answer.send(Err(error.clone()));
        }
        self.requests.close();
        while let Ok(command) = self.requests.try_recv() {
            if let Command::Submit { reply, .. } = command {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}
