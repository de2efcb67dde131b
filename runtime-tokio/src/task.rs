//! A loop as a task.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use quorate_core::Instant;
use quorate_driver::{Alarm, Host, RuntimeError, Turn};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

/// What takes turns and waits between them.
pub(crate) struct Task<H> {
    /// The host's socket, watched. Before the host: dropped last, that one tells its handle that
    /// the socket is closed.
    socket: AsyncFd<OwnedFd>,
    alarm: AsyncFd<Alarm>,
    woken: Arc<Notify>,
    host: H,
}

impl<H: Host> Task<H> {
    pub(crate) fn new(host: H, woken: Arc<Notify>) -> Result<Self, RuntimeError> {
        let watch = || {
            let socket = host.socket().try_clone_to_owned()?;
            io::Result::Ok((watched(socket)?, watched(Alarm::new()?)?))
        };
        let (socket, alarm) =
            watch().map_err(|source| RuntimeError::new("watch the socket and a timer", source))?;
        Ok(Self { socket, alarm, woken, host })
    }

    pub(crate) async fn run(mut self) {
        loop {
            match self.host.turn() {
                Turn::Again => tokio::task::yield_now().await,
                Turn::Wait { until, .. } => self.wait(until).await,
                Turn::Ended => return,
            }
        }
    }

    /// Returns when the next turn is due.
    async fn wait(&mut self, until: Option<Instant>) {
        if let Err(error) = self.alarm.get_mut().set(until, self.host.now()) {
            // Deadlines would pass unseen: better to look again and again than to stand still.
            tracing::error!(%error, "a timer cannot be set");
            return tokio::task::yield_now().await;
        }
        let (socket, alarm) = (&self.socket, &self.alarm);
        let mut woken = pin!(self.woken.notified());
        let mut rang = false;
        poll_fn(|context| {
            rang = is_readable(alarm, context);
            // All three are asked, so that all three wake this task.
            let readable = is_readable(socket, context);
            let woken = woken.as_mut().poll(context).is_ready();
            if rang || readable || woken { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        if rang {
            self.alarm.get_mut().rang();
        }
    }
}

/// `descriptor`, watched by the current runtime.
#[expect(
    deprecated,
    reason = "it is sound for what owns its descriptor, and what replaces it is unsafe code"
)]
fn watched<T: AsFd + AsRawFd>(descriptor: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// Whether a descriptor was seen to be readable; that is forgotten now, before the turn that finds
/// out what is there. When it is not, the task is woken as soon as it is.
fn is_readable<T: AsRawFd>(descriptor: &AsyncFd<T>, context: &mut Context<'_>) -> bool {
    let mut readable = false;
    // A second look, since only one that finds nothing asks to be woken; an error is the runtime's
    // end, and this task's.
    while let Poll::Ready(Ok(mut guard)) = descriptor.poll_read_ready(context) {
        guard.clear_ready();
        readable = true;
    }
    readable
}
