//! A client as its application sees it.

use core::future::Future;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};

use bytes::Bytes;
use oneshot::{AsyncReceiver, Sender};
use quorate_core::client::{
    ClientConfig, ClientCounters, ClientError, ReadError, Reject, SyncTimedOut,
};
use quorate_core::{ConfigError, Position, ReadAnswer, ReadLevel, SessionId};

use crate::faults::{FaultCounters, Faults};
use crate::mailbox::Mailbox;
use crate::metrics::DatagramCounters;
use crate::turn::RuntimeError;
use crate::udp_port::SocketError;

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
    /// Its runtime has nothing to drive it with.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
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
    /// The client is gone, with its runtime. Whether the message was applied is not known.
    #[error("the client is gone; the outcome of the message is unknown")]
    Gone,
}

/// Why it is not known that a position is safe. Perhaps it is.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// Too many positions are waited for, or the client is closing.
    #[error(transparent)]
    Rejected(Reject),
    /// No leader said so in time.
    #[error(transparent)]
    TimedOut(SyncTimedOut),
    /// The client ended before.
    #[error("the client has ended: {0}")]
    Ended(ClientError),
    /// The client is gone, with its runtime.
    #[error("the client is gone")]
    Gone,
}

/// Why a read has no answer. It has changed nothing: read again.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientReadError {
    /// The request is too long, too many reads are under way, or the client is closing.
    #[error(transparent)]
    Rejected(Reject),
    /// A member refused it for good, or none answered in time.
    #[error(transparent)]
    Failed(#[from] ReadError),
    /// The client has ended.
    #[error("the client has ended")]
    Gone,
}

/// A client as it can be seen from outside.
#[derive(Clone, Debug)]
pub struct ClientStatus {
    /// Its session; [`SessionId::NONE`] before it was first served.
    pub session: SessionId,
    /// Messages accepted and not answered.
    pub unanswered: usize,
    /// Nobody serves it, and the members that answer say that they are too few to elect a leader.
    pub lacks_quorum: bool,
    /// What the core counted.
    pub counters: ClientCounters,
    /// Datagrams in and out.
    pub datagrams: DatagramCounters,
    /// What the fault layer did.
    pub faults: FaultCounters,
}

/// Where the reply to a message goes.
pub(crate) type Answer = Sender<Result<Reply, SubmitError>>;

/// Where it goes that a position is safe.
pub(crate) type SyncAnswer = Sender<Result<Position, SyncError>>;

/// Where the answer to a read goes.
pub(crate) type ReadAnswerTo = Sender<Result<ReadAnswer, ClientReadError>>;

/// A message with what its reply waits for.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) payload: Bytes,
    /// It waits until the message is safe.
    pub(crate) is_safe: bool,
    pub(crate) answer: Answer,
}

/// What a handle asks of its client.
pub(crate) enum Command {
    Submit(Submission),
    Sync { position: Position, answer: SyncAnswer },
    Read { level: ReadLevel, payload: Bytes, answer: ReadAnswerTo },
    Look(Sender<ClientStatus>),
    Close,
}

/// A running client with one session, under whichever runtime: its messages are applied exactly
/// once, in the order in which [`ClientHandle::send`] returned. Share it by reference or in an
/// `Arc`. Dropped, it lets the session end once all is answered, and does not wait.
///
/// Its methods may be awaited in any runtime; the `blocking` ones are for threads without one, and
/// keep others from running if called within one.
#[derive(Debug)]
pub struct ClientHandle {
    commands: Mailbox<Command>,
    ended: AsyncReceiver<Result<(), ClientError>>,
}

impl ClientHandle {
    pub(crate) const fn new(
        commands: Mailbox<Command>,
        ended: AsyncReceiver<Result<(), ClientError>>,
    ) -> Self {
        Self { commands, ended }
    }

    /// Hands a message over and returns once it is queued: wait for the reply, or send more before.
    /// When too much is unanswered it waits: that is the back-pressure. Cancelled, the message was
    /// not sent.
    ///
    /// # Errors
    /// [`SubmitError::Gone`] when the client has ended.
    pub async fn send(&self, payload: impl Into<Bytes>) -> Result<PendingReply, SubmitError> {
        self.hand_over(payload.into(), false).await
    }

    /// The same, and the reply waits until the message is safe: synced by a quorum, in a volatile
    /// group, where that is so at its next checkpoint. In a durable one it is [`Self::send`].
    /// Replies come in order, so those to later messages of this client wait, too.
    ///
    /// # Errors
    /// As there.
    pub async fn send_safe(&self, payload: impl Into<Bytes>) -> Result<PendingReply, SubmitError> {
        self.hand_over(payload.into(), true).await
    }

    async fn hand_over(&self, payload: Bytes, is_safe: bool) -> Result<PendingReply, SubmitError> {
        let (answer, answered) = oneshot::async_channel();
        let command = Command::Submit(Submission { payload, is_safe, answer });
        self.commands.put(command).await.map_err(|_| SubmitError::Gone)?;
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

    /// Sends a message and waits until it is answered and safe: see [`ClientHandle::send_safe`].
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit_safe(&self, payload: impl Into<Bytes>) -> Result<Reply, SubmitError> {
        self.send_safe(payload).await?.await
    }

    /// Waits until all up to the message at `position` is safe, that message included, whoever
    /// sent it: what [`Reply::position`] said of one. Returns the end of what is safe. In a durable
    /// group that is so as soon as there is a reply. Waits for `give_up_after` at most.
    ///
    /// A position says nothing of the recovery epoch that it was told in: of a group that was
    /// recovered by force, whoever asks forgets all positions at or behind the one that was kept.
    ///
    /// # Errors
    /// [`SyncError`]: then it is not known whether it is safe.
    pub async fn sync(&self, position: Position) -> Result<Position, SyncError> {
        let (answer, answered) = oneshot::async_channel();
        let command = Command::Sync { position, answer };
        self.commands.put(command).await.map_err(|_| SyncError::Gone)?;
        answered.await.unwrap_or(Err(SyncError::Gone))
    }

    /// Asks the service ([`crate::Service::query`]) at a level of newness. Nothing goes through the
    /// log, and no session is needed: any member may answer, and one after the other is asked until
    /// one does, for `give_up_after` at most. Request and answer are of at most
    /// [`quorate_core::read::READ_BYTES_MAX`] bytes. Cancelled, it changes nothing.
    ///
    /// A [`ReadLevel::Session`] read sees at least what this client has seen before, in replies and
    /// in reads, whatever its `least` says: `Position::ZERO` for no more than that.
    ///
    /// # Errors
    /// [`ClientReadError`].
    pub async fn read(
        &self,
        level: ReadLevel,
        request: impl Into<Bytes>,
    ) -> Result<ReadAnswer, ClientReadError> {
        let (answer, answered) = oneshot::async_channel();
        let command = Command::Read { level, payload: request.into(), answer };
        self.commands.put(command).await.map_err(|_| ClientReadError::Gone)?;
        answered.await.unwrap_or(Err(ClientReadError::Gone))
    }

    /// What can be seen of the client now.
    ///
    /// # Errors
    /// [`SubmitError::Gone`] when the client has ended.
    pub async fn status(&self) -> Result<ClientStatus, SubmitError> {
        let (answer, answered) = oneshot::async_channel();
        self.commands.put(Command::Look(answer)).await.map_err(|_| SubmitError::Gone)?;
        answered.await.map_err(|_| SubmitError::Gone)
    }

    /// Ends the session once all is answered, and waits for that. Cancelled, the client ends all
    /// the same.
    ///
    /// # Errors
    /// [`SubmitError::Ended`] with the reason why it ended otherwise.
    pub async fn close(self) -> Result<(), SubmitError> {
        // A client that has ended already says why below.
        let _ = self.commands.put(Command::Close).await;
        match self.ended.await {
            Ok(result) => result.map_err(SubmitError::Ended),
            Err(_) => Err(SubmitError::Gone),
        }
    }

    /// [`ClientHandle::send`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_send(&self, payload: impl Into<Bytes>) -> Result<PendingReply, SubmitError> {
        pollster::block_on(self.send(payload))
    }

    /// [`ClientHandle::submit`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_submit(&self, payload: impl Into<Bytes>) -> Result<Reply, SubmitError> {
        pollster::block_on(self.submit(payload))
    }

    /// [`ClientHandle::send_safe`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_send_safe(
        &self,
        payload: impl Into<Bytes>,
    ) -> Result<PendingReply, SubmitError> {
        pollster::block_on(self.send_safe(payload))
    }

    /// [`ClientHandle::submit_safe`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_submit_safe(&self, payload: impl Into<Bytes>) -> Result<Reply, SubmitError> {
        pollster::block_on(self.submit_safe(payload))
    }

    /// [`ClientHandle::sync`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_sync(&self, position: Position) -> Result<Position, SyncError> {
        pollster::block_on(self.sync(position))
    }

    /// [`ClientHandle::read`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_read(
        &self,
        level: ReadLevel,
        request: impl Into<Bytes>,
    ) -> Result<ReadAnswer, ClientReadError> {
        pollster::block_on(self.read(level, request))
    }

    /// [`ClientHandle::status`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_status(&self) -> Result<ClientStatus, SubmitError> {
        pollster::block_on(self.status())
    }

    /// [`ClientHandle::close`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_close(self) -> Result<(), SubmitError> {
        pollster::block_on(self.close())
    }
}

/// The reply to come of a message that was handed over. Dropped, the message is applied all the
/// same.
#[derive(Debug)]
pub struct PendingReply {
    answered: AsyncReceiver<Result<Reply, SubmitError>>,
}

impl PendingReply {
    /// Waits for the reply on a thread that may wait.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub fn blocking_wait(self) -> Result<Reply, SubmitError> {
        pollster::block_on(self)
    }
}

impl Future for PendingReply {
    type Output = Result<Reply, SubmitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = Pin::new(&mut self.answered).poll(context);
        answered.map(|answer| answer.unwrap_or(Err(SubmitError::Gone)))
    }
}
