//! A member as its application sees it.

use core::net::SocketAddr;
use std::net::UdpSocket;
use std::path::PathBuf;

use bytes::Bytes;
use oneshot::{AsyncReceiver, Sender as Answer};
use quorate_core::{
    ChangeOutcome, ChangeRefusal, ConfigError, MemberId, MembershipChange, Position, ReadAnswer,
    ReadLevel, ReadOutcome, ReadRefusal, SnapshotRefusal, Term, TransferOutcome, TransferRefusal,
};

use crate::archive_ports::OpenError;
use crate::archive_storage::StorageMode;
use crate::configuration::Configuration;
use crate::mailbox::Mailbox;
use crate::member_loop::Stopped;
use crate::mender::MendError;
use crate::metrics::MemberStatus;
use crate::service::ServiceError;
use crate::turn::RuntimeError;
use crate::udp_port::SocketError;

/// What a member is started with.
#[derive(Debug)]
pub struct MemberOptions {
    /// Its configuration.
    pub configuration: Configuration,
    /// Form the group: write an identity into the data directory if there is none. Say so at the
    /// first start only (rule 9).
    pub bootstrap: bool,
    /// A socket that is bound already, in place of one bound as the configuration says.
    pub socket: Option<UdpSocket>,
    /// Who waits for the disk.
    pub storage: StorageMode,
    /// A new file to record everything in that happens to the member ([`crate::recording`]). Where
    /// it installs a snapshot of another member, a new life of it goes into a file of its own, with
    /// `.2` at the end of its name, and so on.
    pub record: Option<PathBuf>,
}

impl MemberOptions {
    /// A member as configured, from a directory that exists.
    #[must_use]
    pub const fn new(configuration: Configuration) -> Self {
        let storage = StorageMode::Threads;
        Self { configuration, bootstrap: false, socket: None, storage, record: None }
    }
}

/// Why a member did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartMemberError {
    /// Its data cannot be opened.
    #[error(transparent)]
    Archive(#[from] OpenError),
    /// The core refuses configuration or data.
    #[error(transparent)]
    Refused(#[from] ConfigError),
    /// It has no socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The storage's threads cannot be started.
    #[error("cannot start a thread for the storage: {0}; allow the process more threads")]
    Thread(std::io::Error),
    /// The service refuses its state of the snapshot that the member would begin with.
    #[error(
        "the service cannot be restored from the snapshot at {position}: {reason}; start the \
         version of the service that wrote it, or move the snapshot's file away to apply the log \
         from before it"
    )]
    Restore {
        /// Where the snapshot stands.
        position: Position,
        /// What the service said.
        reason: ServiceError,
    },
    /// Its recording cannot be begun.
    #[error("cannot record in {file}: {source}; name a new file in a directory that exists")]
    Recording {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its runtime has nothing to drive it with.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// The member has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the member has ended; wait for `finished` to learn why")]
pub struct MemberGone;

/// Why no snapshot is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TakeSnapshotError {
    /// The core says why.
    #[error(transparent)]
    Refused(#[from] SnapshotRefusal),
    /// There is no member any more.
    #[error(transparent)]
    Gone(#[from] MemberGone),
}

/// Why a member ended otherwise than by request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It went inert.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// It has installed a snapshot of another member, or its log was mended, and it cannot begin
    /// anew behind that.
    #[error("the member cannot begin anew: {0}")]
    Restart(StartMemberError),
    /// Its log has rotted, and cannot be mended by others.
    #[error(transparent)]
    Unmended(#[from] MendError),
    /// Its log has rotted, and its host does not know how to begin anew: it was made of ports.
    #[error("the log is damaged at {at} in {path}: start the member again, so that others mend it")]
    Damaged {
        /// The position of the frame.
        at: Position,
        /// The file.
        path: String,
    },
    /// The same, but its host does not know how to: it was made of ports.
    #[error("a snapshot was installed; start the member again")]
    MustRestart,
    /// It was told to stop, and its disk did not take in time what the member has promised, or it
    /// was cut short. Nothing is lost that the others have: its next life is impaired until they
    /// have told it what it lacks.
    #[error(
        "stopped before the disk had all that the member has promised: its next life comes up \
         impaired, and counts when others have told it what it lacks; let it take longer by a \
         longer `stop_timeout`"
    )]
    CutShort,
    /// It panicked, or went away with its runtime.
    #[error("the member's task ended abnormally: {0}")]
    Task(String),
}

/// Why a member does not answer a read of its host. It has changed nothing: read again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberReadError {
    /// The member said why.
    #[error(transparent)]
    Refused(#[from] ReadRefusal),
    /// The member has ended.
    #[error(transparent)]
    Gone(#[from] MemberGone),
}

/// Leadership was not handed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TransferError {
    /// The member said why. It goes on as it was; a leader that still leads serves again.
    #[error(transparent)]
    Refused(#[from] TransferRefusal),
    /// The member has ended.
    #[error(transparent)]
    Gone(#[from] MemberGone),
}

/// The members were not changed, or it is not known that they were.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChangeMembershipError {
    /// The member said why. Nothing has changed, but for [`ChangeRefusal::LeadershipLost`]: there
    /// the next leader may complete what was begun.
    #[error(transparent)]
    Refused(#[from] ChangeRefusal),
    /// The member has ended; what was begun may be completed by the others.
    #[error(transparent)]
    Gone(#[from] MemberGone),
}

type Look<S> = Box<dyn FnOnce(&S, MemberStatus) + Send>;

/// What a handle asks of its member.
pub(crate) enum Request<S> {
    Look(Look<S>),
    Transfer {
        target: Option<MemberId>,
        answer: Answer<TransferOutcome>,
    },
    ChangeMembership {
        change: MembershipChange,
        answer: Answer<ChangeOutcome>,
    },
    Read {
        level: ReadLevel,
        payload: Bytes,
        answer: Answer<ReadOutcome>,
    },
    TakeSnapshot(Answer<Result<Position, SnapshotRefusal>>),
    Shutdown,
    /// To wait for the disk no longer, and to tell what was left undone.
    CutShort,
    /// To end as if killed.
    Abandon,
}

/// A running member, under whichever runtime. Dropped, it tells the member to stop gracefully, and
/// does not wait.
///
/// Its methods may be awaited in any runtime; the `blocking` ones are for threads without one, and
/// keep others from running if called within one.
#[derive(Debug)]
pub struct MemberHandle<S> {
    requests: Mailbox<Request<S>>,
    ended: Option<AsyncReceiver<Result<(), RunError>>>,
    address: SocketAddr,
}

impl<S: 'static> MemberHandle<S> {
    pub(crate) const fn new(
        requests: Mailbox<Request<S>>,
        ended: AsyncReceiver<Result<(), RunError>>,
        address: SocketAddr,
    ) -> Self {
        Self { requests, ended: Some(ended), address }
    }

    /// Where the member receives datagrams.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What can be seen of the member now; the service is not called for it. Cancelled, it changes
    /// nothing.
    ///
    /// # Errors
    /// The member has ended.
    pub async fn status(&self) -> Result<MemberStatus, MemberGone> {
        self.inspect(|_, status| status).await
    }

    /// Looks at the service, between two events; `look` should not take long, for the member waits.
    /// Cancelled, `look` may still be called.
    ///
    /// # Errors
    /// The member has ended.
    pub async fn inspect<R, F>(&self, look: F) -> Result<R, MemberGone>
    where
        R: Send + 'static,
        F: FnOnce(&S, MemberStatus) -> R + Send + 'static,
    {
        let (answer, answered) = oneshot::async_channel();
        let look: Look<S> = Box::new(move |service, status| {
            // Nobody waits when the call was cancelled.
            let _ = answer.send(look(service, status));
        });
        self.requests.put(Request::Look(look)).await.map_err(|_| MemberGone)?;
        answered.await.map_err(|_| MemberGone)
    }

    /// Hands the leadership of this member over: to `target`, or to whoever is most complete. It
    /// takes in no messages until the target has all that there are, and no longer than for two
    /// election time-outs. Cancelled, it goes on all the same.
    ///
    /// # Errors
    /// The member does not lead, the target cannot, or did not in time; or the member has ended.
    pub async fn transfer_leadership(
        &self,
        target: Option<MemberId>,
    ) -> Result<(MemberId, Term), TransferError> {
        let (answer, answered) = oneshot::async_channel();
        self.requests.put(Request::Transfer { target, answer }).await.map_err(|_| MemberGone)?;
        match answered.await.map_err(|_| MemberGone)? {
            TransferOutcome::Done { leader, term } => Ok((leader, term)),
            TransferOutcome::Refused(refusal) => Err(refusal.into()),
        }
    }

    /// Changes who is a member, if this one leads: it returns where the last frame of the change
    /// ends, when that is committed. Voters change in two steps, each of which takes a majority of
    /// the former voters and of the new ones; while they are not there this waits, until the
    /// leadership ends. Cancelled, it goes on all the same.
    ///
    /// # Errors
    /// [`ChangeMembershipError`].
    pub async fn change_membership(
        &self,
        change: MembershipChange,
    ) -> Result<Position, ChangeMembershipError> {
        let (answer, answered) = oneshot::async_channel();
        let request = Request::ChangeMembership { change, answer };
        self.requests.put(request).await.map_err(|_| MemberGone)?;
        match answered.await.map_err(|_| MemberGone)? {
            ChangeOutcome::Done { position } => Ok(position),
            ChangeOutcome::Refused(refusal) => Err(refusal.into()),
        }
    }

    /// Asks the service of this member ([`crate::Service::query`]) at a level of newness: nothing
    /// goes through the log, and what this member may have to ask of the leader is a datagram. The
    /// answer comes, or the refusal, within an election time-out. Cancelled, it changes nothing.
    ///
    /// # Errors
    /// [`MemberReadError`].
    pub async fn read(
        &self,
        level: ReadLevel,
        request: impl Into<Bytes>,
    ) -> Result<ReadAnswer, MemberReadError> {
        let (answer, answered) = oneshot::async_channel();
        let request = Request::Read { level, payload: request.into(), answer };
        self.requests.put(request).await.map_err(|_| MemberGone)?;
        Ok(answered.await.map_err(|_| MemberGone)??)
    }

    /// Has all members take a snapshot, if this one leads; returns where it is going to stand. Each
    /// stores its own: it has done so when `View::snapshot` in its status is at least that.
    /// Cancelled, they may take it all the same.
    ///
    /// # Errors
    /// [`TakeSnapshotError`]: this member does not lead, or one is under way.
    pub async fn take_snapshot(&self) -> Result<Position, TakeSnapshotError> {
        let (answer, answered) = oneshot::async_channel();
        self.requests.put(Request::TakeSnapshot(answer)).await.map_err(|_| MemberGone)?;
        Ok(answered.await.map_err(|_| MemberGone)??)
    }

    /// Stops gracefully: a leader gives up its leadership, what was asked of the disk is awaited
    /// (for a bounded time), files and socket are closed. Cancelled, the member stops all the same.
    /// One of a volatile group brings its disk up to what it has promised, for which it is given
    /// `stop_timeout` of its configuration, again with each thing that its disk completes.
    ///
    /// # Errors
    /// The member had gone inert, or had ended abnormally; or [`RunError::CutShort`].
    pub async fn shutdown(mut self) -> Result<(), RunError> {
        // A member that has ended already says why below.
        let _ = self.begin_shutdown().await;
        self.finished().await
    }

    /// Begins to stop as [`MemberHandle::shutdown`] does, and does not wait: what comes of it
    /// [`MemberHandle::finished`] says, and [`MemberHandle::cut_short`] ends the waiting for the
    /// disk. Cancelled, nothing may have begun.
    ///
    /// # Errors
    /// The member has ended.
    pub async fn begin_shutdown(&self) -> Result<(), MemberGone> {
        self.requests.put(Request::Shutdown).await.map_err(|_| MemberGone)
    }

    /// Ends the member without waiting for its disk any longer, whether it has begun to stop or
    /// not: its files may still be open when [`MemberHandle::finished`] says that it has ended.
    /// Cancelled, nothing may have ended.
    ///
    /// # Errors
    /// The member has ended.
    pub async fn cut_short(&self) -> Result<(), MemberGone> {
        self.requests.put(Request::CutShort).await.map_err(|_| MemberGone)
    }

    /// Ends the member as if its process was killed, for tests of what that does: nothing more is
    /// said, and nothing is asked of the disk; what was asked of it is awaited (for a bounded
    /// time), and files and socket are closed. Cancelled, the member ends all the same.
    ///
    /// # Errors
    /// As [`MemberHandle::shutdown`].
    pub async fn abandon(mut self) -> Result<(), RunError> {
        let _ = self.requests.put(Request::Abandon).await;
        self.finished().await
    }

    /// Waits until the member ends by itself: then its files and its socket are closed. Cancelled,
    /// it can be awaited again.
    ///
    /// # Errors
    /// Why it ended. That is told once.
    pub async fn finished(&mut self) -> Result<(), RunError> {
        let Some(ended) = &mut self.ended else {
            return Err(RunError::Task("how it ended was told before".into()));
        };
        let outcome = ended.await;
        self.ended = None;
        outcome.unwrap_or_else(|_| Err(RunError::Task("its runtime dropped it".into())))
    }

    /// [`MemberHandle::status`] for a thread that may wait.
    ///
    /// # Errors
    /// The member has ended.
    pub fn blocking_status(&self) -> Result<MemberStatus, MemberGone> {
        pollster::block_on(self.status())
    }

    /// [`MemberHandle::inspect`] for a thread that may wait.
    ///
    /// # Errors
    /// The member has ended.
    pub fn blocking_inspect<R, F>(&self, look: F) -> Result<R, MemberGone>
    where
        R: Send + 'static,
        F: FnOnce(&S, MemberStatus) -> R + Send + 'static,
    {
        pollster::block_on(self.inspect(look))
    }

    /// [`MemberHandle::transfer_leadership`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_transfer_leadership(
        &self,
        target: Option<MemberId>,
    ) -> Result<(MemberId, Term), TransferError> {
        pollster::block_on(self.transfer_leadership(target))
    }

    /// [`MemberHandle::change_membership`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_change_membership(
        &self,
        change: MembershipChange,
    ) -> Result<Position, ChangeMembershipError> {
        pollster::block_on(self.change_membership(change))
    }

    /// [`MemberHandle::read`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_read(
        &self,
        level: ReadLevel,
        request: impl Into<Bytes>,
    ) -> Result<ReadAnswer, MemberReadError> {
        pollster::block_on(self.read(level, request))
    }

    /// [`MemberHandle::take_snapshot`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_take_snapshot(&self) -> Result<Position, TakeSnapshotError> {
        pollster::block_on(self.take_snapshot())
    }

    /// [`MemberHandle::shutdown`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_shutdown(self) -> Result<(), RunError> {
        pollster::block_on(self.shutdown())
    }

    /// [`MemberHandle::finished`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_finished(&mut self) -> Result<(), RunError> {
        pollster::block_on(self.finished())
    }
}
