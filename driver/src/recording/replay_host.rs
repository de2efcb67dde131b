//! A recording as a runtime drives it: in turns, with waiting in between.

use core::fmt;
use core::net::Ipv4Addr;
use std::io::{self, Read};
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use oneshot::{AsyncReceiver, Sender as Answer};
use quorate_core::Instant;

use super::RecordingError;
use super::reader::RecordingReader;
use super::replay::Replayed;
use super::replay_loop::ReplayLoop;
use crate::port::{Clock, SystemClock};
use crate::turn::{Host, RuntimeError, Turn};

/// Steps of a turn.
const STEPS_PER_TURN: usize = 16;
/// How long a turn with a deadline of its own waits, in nanoseconds.
const PAUSE: u64 = 20_000;
/// How late a runtime that was woken may be before the wake-up counts as lost, in nanoseconds.
const PATIENCE: u64 = 30_000_000_000;

/// Replays a recording through a [`crate::MemberLoop`] with virtual ports, in place of a member:
/// the runtime's own loop takes the turns. Between them it has to go on at once, wait for a
/// deadline, for a datagram on a real socket, and for a call of its wake function from another
/// thread, in turn. The recorded times are those of the member; the waiting takes next to none.
pub struct ReplayHost<R> {
    looped: ReplayLoop<R>,
    clock: SystemClock,
    /// Connected to itself.
    socket: UdpSocket,
    waker: SyncSender<()>,
    turns: u64,
    /// Until when a wake-up has to have come.
    wanted: Option<Instant>,
    answer: Option<Answer<Result<Replayed, RecordingError>>>,
}

impl<R> fmt::Debug for ReplayHost<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayHost").field("turns", &self.turns).finish_non_exhaustive()
    }
}

/// Where the result of a replay comes.
#[derive(Debug)]
pub struct ReplayHandle(AsyncReceiver<Result<Replayed, RecordingError>>);

impl ReplayHandle {
    /// Waits for the end of the replay.
    ///
    /// # Errors
    /// The recording is damaged, or the runtime ended or overlooked a wake-up.
    pub async fn finished(self) -> Result<Replayed, RecordingError> {
        self.0.await.unwrap_or(Err(RecordingError::Abandoned))
    }

    /// [`ReplayHandle::finished`] for a thread that may wait.
    ///
    /// # Errors
    /// As there.
    pub fn blocking_finished(self) -> Result<Replayed, RecordingError> {
        pollster::block_on(self.finished())
    }
}

impl<R: Read> ReplayHost<R> {
    /// Makes `recording` ready. `wake` is the runtime's, as for [`crate::MemberHost::start`].
    ///
    /// # Errors
    /// The core refuses the recorded beginning, or there is no socket or thread.
    pub fn start(
        recording: RecordingReader<R>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<(Self, ReplayHandle), RecordingError> {
        let looped = ReplayLoop::new(recording)?;
        let (waker, calls) = sync_channel(1);
        let set_up = || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(socket.local_addr()?)?;
            socket.set_nonblocking(true)?;
            let wake = move || calls.iter().for_each(|()| wake());
            thread::Builder::new().name("quorate-waker".into()).spawn(wake)?;
            io::Result::Ok(socket)
        };
        let socket = set_up().map_err(|source| RuntimeError::new("prepare a replay", source))?;
        let (answer, result) = oneshot::async_channel();
        let (clock, answer) = (SystemClock::start(), Some(answer));
        let host = Self { looped, clock, socket, waker, turns: 0, wanted: None, answer };
        Ok((host, ReplayHandle(result)))
    }

    fn advance(&mut self) -> Result<Turn, RecordingError> {
        if self.wanted.take().is_some_and(|until| self.clock.now() >= until) {
            return Err(RecordingError::Overlooked);
        }
        // Nothing is there as a rule; what it is does not matter.
        while self.socket.recv(&mut [0; 1]).is_ok() {}
        for _ in 0..STEPS_PER_TURN {
            if let Some(replayed) = self.looped.step()? {
                self.end(Ok(replayed));
                return Ok(Turn::Ended);
            }
        }
        self.turns += 1;
        let now = self.clock.now().0;
        let patience = Some(Instant(now + PATIENCE));
        let worked = true;
        Ok(match self.turns % 4 {
            0 => Turn::Again,
            1 => Turn::Wait { until: Some(Instant(now + PAUSE)), worked },
            2 if self.socket.send(&[0]).is_ok() => {
                self.wanted = patience;
                Turn::Wait { until: patience, worked }
            }
            _ if self.waker.try_send(()).is_ok() => {
                self.wanted = patience;
                Turn::Wait { until: patience, worked }
            }
            _ => Turn::Again,
        })
    }

    fn end(&mut self, result: Result<Replayed, RecordingError>) {
        if let Some(answer) = self.answer.take() {
            // Nobody wants to know when the handle is gone.
            let _ = answer.send(result);
        }
    }
}

impl<R: Read> Host for ReplayHost<R> {
    fn turn(&mut self) -> Turn {
        if self.answer.is_none() {
            return Turn::Ended;
        }
        self.advance().unwrap_or_else(|error| {
            self.end(Err(error));
            Turn::Ended
        })
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
