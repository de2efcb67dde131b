//! A loop as a thread.

use core::sync::atomic::{AtomicBool, Ordering};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::Builder;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use quorate_core::Instant;
use quorate_driver::{Alarm, Host, RuntimeError, Turn, Wake};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::idle::Idle;

const SOCKET: Token = Token(0);
const ALARM: Token = Token(1);
const WAKE: Token = Token(2);

/// How the thread of a member or a client is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ThreadOptions {
    /// What it does when there is nothing to do.
    pub idle: Idle,
    /// The processor that it keeps to, from 0 on; any unless given.
    pub cpu: Option<usize>,
    /// Its name, as tools show it; after what it runs unless given.
    pub name: Option<String>,
}

impl ThreadOptions {
    pub(crate) fn or_named(mut self, name: &str) -> Self {
        self.name.get_or_insert_with(|| name.into());
        self
    }
}

/// A thread that has begun, on its processor, and is to be given a host. Dropped, it ends.
pub(crate) struct Thread<H> {
    hosts: SyncSender<H>,
    registry: Registry,
    waker: Arc<Waker>,
    blocks: Arc<AtomicBool>,
}

impl<H: Host + Send + 'static> Thread<H> {
    /// Starts the thread; returns when it has begun.
    pub(crate) fn begin(options: ThreadOptions) -> Result<Self, RuntimeError> {
        let prepared = Waiting::prepare(options.idle);
        let (mut waiting, registry, waker) =
            prepared.map_err(|source| RuntimeError::new("prepare to wait for events", source))?;
        let blocks = Arc::clone(&waiting.blocks);
        let (begun, beginning) = sync_channel(1);
        let (hosts, given) = sync_channel(1);
        let run = move || {
            let kept = options.cpu.map_or(Ok(()), keep_to);
            // Who starts it waits for this; without a host it is not needed any more.
            if begun.send(kept).is_ok()
                && let Ok(host) = given.recv()
            {
                waiting.run(host);
            }
        };
        let builder = Builder::new().name(options.name.unwrap_or_else(|| "quorate".into()));
        builder.spawn(run).map_err(|source| {
            RuntimeError::new("start a thread (allow the process more of them)", source)
        })?;
        // It answers before anything else.
        beginning.recv().unwrap_or(Ok(()))?;
        Ok(Self { hosts, registry, waker, blocks })
    }

    /// The wake function of what is driven.
    pub(crate) fn wake(&self) -> Wake {
        let (waker, blocks) = (Arc::clone(&self.waker), Arc::clone(&self.blocks));
        Box::new(move || {
            if blocks.load(Ordering::SeqCst)
                && let Err(error) = waker.wake()
            {
                tracing::error!(%error, "a thread cannot be woken");
            }
        })
    }

    /// Gives the thread what it drives.
    pub(crate) fn drive(self, host: H) -> Result<(), RuntimeError> {
        let socket = host.socket().as_raw_fd();
        let watched = self.registry.register(&mut SourceFd(&socket), SOCKET, Interest::READABLE);
        watched.map_err(|source| RuntimeError::new("watch the socket", source))?;
        // The thread waits for it.
        let _ = self.hosts.send(host);
        Ok(())
    }
}

/// What a thread waits with between turns.
struct Waiting {
    idle: Idle,
    poll: Poll,
    alarm: Alarm,
    /// Whether a wake-up is worth a system call: not while the thread looks by itself.
    blocks: Arc<AtomicBool>,
}

impl Waiting {
    fn prepare(idle: Idle) -> io::Result<(Self, Registry, Arc<Waker>)> {
        let (poll, alarm) = (Poll::new()?, Alarm::new()?);
        let (registry, timer) = (poll.registry().try_clone()?, alarm.as_raw_fd());
        registry.register(&mut SourceFd(&timer), ALARM, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(&registry, WAKE)?);
        let blocks = Arc::new(AtomicBool::new(idle == Idle::Block));
        Ok((Self { idle, poll, alarm, blocks }, registry, waker))
    }

    fn run(&mut self, mut host: impl Host) {
        let mut events = Events::with_capacity(8);
        let mut idle = 0;
        loop {
            let turn = host.turn();
            let (until, worked) = match turn {
                Turn::Again => continue,
                Turn::Wait { until, worked } => (until, worked),
                Turn::Ended => return,
            };
            if worked {
                idle = 0;
                self.blocks.store(self.idle == Idle::Block, Ordering::Relaxed);
            }
            if self.idle.pass(idle) {
                idle = idle.saturating_add(1);
            } else if self.blocks.swap(true, Ordering::SeqCst) {
                let waited = self.wait(&mut events, until, host.now());
                if let Err(error) = waited {
                    tracing::error!(%error, "stopped: cannot wait for events");
                    return;
                }
                idle = 0;
                self.blocks.store(self.idle == Idle::Block, Ordering::SeqCst);
            }
            // Else: who called before did not wake; one turn more finds what was put down.
        }
    }

    /// Returns when the next turn is due.
    fn wait(
        &mut self,
        events: &mut Events,
        until: Option<Instant>,
        now: Instant,
    ) -> io::Result<()> {
        self.alarm.set(until, now)?;
        match self.poll.poll(events, None) {
            // A signal: nothing was lost.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        if events.iter().any(|event| event.token() == ALARM) {
            self.alarm.rang();
        }
        Ok(())
    }
}

/// Keeps the current thread to one processor.
fn keep_to(cpu: usize) -> Result<(), RuntimeError> {
    let refused = |source| {
        let range = std::thread::available_parallelism().map_or(0, |count| count.get() - 1);
        let action = format!(
            "keep a thread to processor {cpu} (choose one that exists and is allowed to this \
             process, such as 0 to {range}, or none)"
        );
        RuntimeError::new(action, source)
    };
    if cpu >= CpuSet::MAX_CPU {
        return Err(refused(io::ErrorKind::InvalidInput.into()));
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|errno| refused(errno.into()))
}
