//! A host as a task.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use async_io::Async;
use async_std::channel::Receiver;
use async_std::task::yield_now;
use quorate_core::Instant;
use quorate_driver::{Alarm, Host, RuntimeError, Turn};

/// What takes turns and waits between them.
pub(crate) struct Task<H> {
    /// The host's socket, watched. Before the host: dropped last, that one tells its handle that
    /// the socket is closed.
    socket: Async<OwnedFd>,
    /// The alarm's descriptor, watched.
    rings: Async<OwnedFd>,
    alarm: Alarm,
    woken: Receiver<()>,
    host: H,
}

impl<H: Host> Task<H> {
    pub(crate) fn new(host: H, woken: Receiver<()>) -> Result<Self, RuntimeError> {
        let watch = || {
            let alarm = Alarm::new()?;
            let rings = Async::new(alarm.as_fd().try_clone_to_owned()?)?;
            let socket = Async::new(host.socket().try_clone_to_owned()?)?;
            io::Result::Ok((socket, rings, alarm))
        };
        let (socket, rings, alarm) =
            watch().map_err(|source| RuntimeError::new("watch the socket and a timer", source))?;
        Ok(Self { socket, rings, alarm, woken, host })
    }

    pub(crate) async fn run(mut self) {
        loop {
            match self.host.turn() {
                Turn::Again => yield_now().await,
                Turn::Wait { until, .. } => self.wait(until).await,
                Turn::Ended => return,
            }
        }
    }

    /// Returns when the next turn is due.
    async fn wait(&mut self, until: Option<Instant>) {
        if let Err(error) = self.alarm.set(until, self.host.now()) {
            // Deadlines would pass unseen: better to look again and again than to stand still.
            tracing::error!(%error, "a timer cannot be set");
            return yield_now().await;
        }
        let (socket, rings) = (&self.socket, &self.rings);
        let mut woken = pin!(self.woken.recv());
        let mut rang = false;
        poll_fn(|context| {
            // All three are asked, so that all three wake this task. An error of the reactor is the
            // runtime's end, and brings about turns without end until then.
            rang = rings.poll_readable(context).is_ready();
            let readable = socket.poll_readable(context).is_ready();
            let woken = woken.as_mut().poll(context).is_ready();
            if rang || readable || woken { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        if rang {
            self.alarm.rang();
        }
    }
}
