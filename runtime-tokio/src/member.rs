//! A member as a task.

use core::net::SocketAddr;
use core::time::Duration;
use std::net::UdpSocket;

use quorate_core::{ConfigError, Member};
use quorate_driver::{
    ArchivePorts, Clock, Completion, Configuration, FaultyPort, LogPort, LogWriter, MemberLoop,
    MemberStatus, OpenError, Service, ServiceHost, Stopped, StorageThreads, SystemClock,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::socket::{SocketError, TokioPort};
use crate::wait::{RECEIVE_BUDGET, random_number, until};

/// How long a member that stops waits for its disk.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Requests of handles that wait, at most; beyond it a handle waits.
const CONTROLS_MAX: usize = 16;

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
}

impl MemberOptions {
    /// A member as configured, from a directory that exists.
    #[must_use]
    pub const fn new(configuration: Configuration) -> Self {
        Self { configuration, bootstrap: false, socket: None }
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
}

/// The member's task has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the member has ended; wait for `finished` to learn why")]
pub struct MemberGone;

/// Why a member ended otherwise than by request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It went inert.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Its task panicked or was aborted with its runtime.
    #[error("the member's task ended abnormally: {0}")]
    Task(String),
}

type Look<S> = Box<dyn FnOnce(&S, MemberStatus) + Send>;

enum Control<S> {
    Look(Look<S>),
    Shutdown,
}

type Running<S> = MemberLoop<TokioPort, LogWriter, StorageThreads<<LogWriter as LogPort>::Cut>, S>;

/// A running member. Dropped, it tells the member to stop gracefully, and does not wait.
#[derive(Debug)]
pub struct MemberHandle<S> {
    controls: mpsc::Sender<Control<S>>,
    task: JoinHandle<Result<(), Stopped>>,
    address: SocketAddr,
}

impl<S: Service + Send + 'static> MemberHandle<S> {
    /// Opens the member's data, recovers, binds its socket and starts it as a task of the current
    /// runtime. Returns when it takes datagrams; whether it leads or follows is yet to be seen.
    ///
    /// # Errors
    /// [`StartMemberError`]: nothing is running then.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(options: MemberOptions, service: S) -> Result<Self, StartMemberError> {
        let MemberOptions { configuration, bootstrap, socket } = options;
        let ArchivePorts { recovered, writer, store, reader } =
            ArchivePorts::open(&configuration, bootstrap)?;
        let clock = SystemClock::start();
        let config = configuration.member_config(random_number());
        let member = Member::new(config, recovered, clock.now())?;
        let port = TokioPort::open(configuration.bind, socket)?;
        let address = port.address().unwrap_or(configuration.bind);
        let (completed, completions) = mpsc::unbounded_channel();
        let storage = StorageThreads::start(store, reader, move |completion| {
            // The task is gone when the receiver is: nobody wants to know any more.
            let _ = completed.send(completion);
        })
        .map_err(StartMemberError::Thread)?;
        let port = FaultyPort::new(port, configuration.faults);
        let member = MemberLoop::new(member, port, writer, storage, ServiceHost::new(service));
        let (controls, requests) = mpsc::channel(CONTROLS_MAX);
        let task = Task { member, clock, completions, requests, stop_at: None };
        let task = tokio::spawn(task.run());
        Ok(Self { controls, task, address })
    }

    /// Where the member receives datagrams.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What can be seen of the member now. Cancelled, it changes nothing.
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
        let (answer, answered) = oneshot::channel();
        let look: Look<S> = Box::new(move |service, status| {
            let _ = answer.send(look(service, status));
        });
        self.controls.send(Control::Look(look)).await.map_err(|_| MemberGone)?;
        answered.await.map_err(|_| MemberGone)
    }

    /// Stops gracefully: a leader gives up its leadership, what was asked of the disk is awaited
    /// (for a bounded time), files and socket are closed. Cancelled, the member stops all the same.
    ///
    /// # Errors
    /// The member had gone inert, or its task had ended abnormally.
    pub async fn shutdown(mut self) -> Result<(), RunError> {
        // A member that has ended already says why below.
        let _ = self.controls.send(Control::Shutdown).await;
        self.finished().await
    }

    /// Waits until the member ends by itself. Cancelled, it can be awaited again; not after it has
    /// returned.
    ///
    /// # Errors
    /// Why it ended.
    pub async fn finished(&mut self) -> Result<(), RunError> {
        match (&mut self.task).await {
            Ok(result) => Ok(result?),
            Err(error) => Err(RunError::Task(error.to_string())),
        }
    }
}

struct Task<S> {
    member: Running<S>,
    clock: SystemClock,
    completions: mpsc::UnboundedReceiver<Completion>,
    requests: mpsc::Receiver<Control<S>>,
    /// Until when the disk is awaited, once the member stops.
    stop_at: Option<Instant>,
}

enum Wake<S> {
    Input,
    Completion(Completion),
    Control(Control<S>),
}

impl<S: Service> Task<S> {
    async fn run(mut self) -> Result<(), Stopped> {
        let result = self.work().await;
        self.close().await;
        result
    }

    async fn work(&mut self) -> Result<(), Stopped> {
        self.member.port().writable().await;
        self.member.timer(self.clock.now())?;
        loop {
            match self.wait().await {
                Wake::Input => {}
                Wake::Completion(completion) => {
                    self.member.complete(self.clock.now(), completion)?;
                }
                Wake::Control(Control::Look(look)) => {
                    look(self.member.service(), self.member.status());
                }
                Wake::Control(Control::Shutdown) => return self.stop().await,
            }
            self.take_in()?;
        }
    }

    async fn wait(&mut self) -> Wake<S> {
        tokio::select! {
            control = self.requests.recv() => Wake::Control(control.unwrap_or(Control::Shutdown)),
            // The sender lives in the threads, which live in the member: there is always one.
            Some(completion) = self.completions.recv() => Wake::Completion(completion),
            () = self.member.port().readable() => Wake::Input,
            () = until(self.clock, self.member.next_deadline()) => Wake::Input,
        }
    }

    /// Takes in everything that is at hand, then says that there is no more.
    fn take_in(&mut self) -> Result<(), Stopped> {
        while let Ok(completion) = self.completions.try_recv() {
            self.member.complete(self.clock.now(), completion)?;
        }
        self.member.receive(&self.clock, RECEIVE_BUDGET)?;
        let now = self.clock.now();
        if self.member.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.member.timer(now)?;
        }
        self.member.flush(now)
    }

    async fn stop(&mut self) -> Result<(), Stopped> {
        let stop_at = Instant::now() + STOP_TIMEOUT;
        self.stop_at = Some(stop_at);
        self.member.shutdown(self.clock.now())?;
        self.member.flush(self.clock.now())?;
        let drained = async {
            while self.member.outstanding() > 0
                && let Some(completion) = self.completions.recv().await
            {
                self.member.complete(self.clock.now(), completion)?;
            }
            Ok(())
        };
        timeout_at(stop_at, drained).await.unwrap_or(Ok(()))
    }

    /// Lets the storage's threads end, so that the directory is unlocked when the member has ended.
    /// They are left to themselves when the disk takes too long: no thread of the runtime waits.
    async fn close(&mut self) {
        self.member.storage_mut().close();
        let stop_at = self.stop_at.unwrap_or_else(|| Instant::now() + STOP_TIMEOUT);
        let ended = async { while self.completions.recv().await.is_some() {} };
        if timeout_at(stop_at, ended).await.is_err() {
            tracing::warn!("stopped without waiting longer for the disk; its files are still open");
        }
    }
}
