//! How a member ends: what it has promised goes to its disk, then its files are closed.
//!
//! ```text
//!  told to stop, or its life is over ─► draining: what was asked of the disk is awaited, and what
//!     follows from that ─► closing: the storage lets go of the directory ─► ended
//! ```
//!
//! A member of a volatile group has promised more than its disk has, as a rule. It is given time to
//! make up for that, again with each thing that its disk completes; any other member loses nothing
//! by not waiting.

use std::sync::mpsc::TryRecvError;

use quorate_core::{Duration, Instant};

use super::{COMPLETIONS_PER_TURN, DATAGRAMS_PER_TURN, MemberHost, Phase, REQUESTS_MAX};
use crate::member_handle::{Request, RunError};
use crate::member_loop::Stopped;
use crate::port::{Clock, DatagramPort, LogPort, StoragePort};
use crate::service::Service;
use crate::turn::Turn;

/// How long a member that stops waits for its disk to complete something, if it has promised what
/// its disk has not got yet, unless it is configured otherwise.
pub const STOP_TIMEOUT: Duration = Duration::from_millis(60_000);
/// How long one that owes nothing waits, at most, and how long the end of the storage is awaited.
const SPARE_TIMEOUT: Duration = Duration::from_millis(2_000);
/// How often a disk without space is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(1_000);
/// How often it is told that the disk is still awaited.
const TELL_INTERVAL: Duration = Duration::from_millis(5_000);

/// A member that awaits its disk before it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    began: Instant,
    /// When a disk that was full is tried again.
    retry_at: Instant,
    /// Something has to complete until then.
    until: Instant,
    tell_at: Instant,
    /// What had completed when it was last looked.
    completed: u64,
    /// A new life, or an ailing log, comes behind it; else nothing.
    pub(super) goes_on: bool,
}

impl<S, P, L, Q, C> MemberHost<S, P, L, Q, C>
where
    S: Service + 'static,
    P: DatagramPort,
    L: LogPort,
    Q: StoragePort<L::Cut>,
    C: Clock,
{
    /// How long a member that stops waits for its disk to complete something, as long as it has
    /// promised what that has not got yet: in a volatile group it comes up impaired else. A minute
    /// unless it is said here, or in the configuration of [`MemberHost::start`].
    pub fn stop_within(&mut self, timeout: Duration) {
        self.stop_timeout = timeout;
    }

    /// Stops as the handle has asked for.
    pub(super) fn stop(&mut self) -> Result<Turn, Stopped> {
        if self.is_abandoned {
            return Ok(self.close());
        }
        let drain = self.begin_drain(false)?;
        Ok(if self.is_cut_short { self.end_drain(drain, true) } else { Turn::Again })
    }

    /// The member is told to stop: it asks its disk for what it has not yet.
    pub(super) fn begin_drain(&mut self, goes_on: bool) -> Result<Drain, Stopped> {
        let began = self.clock.now();
        self.member.shutdown(began)?;
        self.member.flush(began)?;
        let (until, tell_at) = (self.patience(began), began + TELL_INTERVAL);
        let (retry_at, completed) = (began + RETRY_INTERVAL, self.member.completed());
        let drain = Drain { began, retry_at, until, tell_at, completed, goes_on };
        self.phase = Phase::Draining(drain);
        self.member.storage_mut().perform();
        Ok(drain)
    }

    fn patience(&self, now: Instant) -> Instant {
        let timeout = self.stop_timeout;
        let owes = self.member.member().is_in_debt();
        now + if owes { timeout } else { timeout.min(SPARE_TIMEOUT) }
    }

    pub(super) fn drain(&mut self, mut drain: Drain) -> Result<Turn, Stopped> {
        let completions = self.take_completions()?;
        self.member.storage_mut().perform();
        let is_cut_short = self.answer_while_draining(&mut drain);
        let now = self.clock.now();
        let owes = self.member.member().is_in_debt();
        if owes && self.member.completed() != drain.completed {
            (drain.completed, drain.until) = (self.member.completed(), self.patience(now));
        }
        let awaits_space = owes && self.member.member().awaits_space();
        if awaits_space && now >= drain.retry_at {
            drain.retry_at = now + RETRY_INTERVAL;
            self.member.shutdown(now)?;
            self.member.storage_mut().perform();
        }
        self.phase = Phase::Draining(drain);
        let is_done = self.member.outstanding() == 0 && !self.member.member().is_installing();
        if (is_done && !awaits_space) || is_cut_short || now >= drain.until {
            return Ok(self.end_drain(drain, is_cut_short));
        }
        if now >= drain.tell_at {
            let outstanding = self.member.outstanding();
            let waited_ms = now.since(drain.began).0 / 1_000_000;
            tracing::warn!(outstanding, awaits_space, waited_ms, "stopping: the disk is awaited");
            drain.tell_at = now + TELL_INTERVAL;
            self.phase = Phase::Draining(drain);
        }
        let more = self.member.discard(DATAGRAMS_PER_TURN) || completions == COMPLETIONS_PER_TURN;
        let retry_at = if awaits_space { drain.retry_at } else { drain.until };
        let until = Some(drain.until.min(drain.tell_at).min(retry_at));
        Ok(if more { Turn::Again } else { Turn::Wait { until, worked: completions > 0 } })
    }

    /// Answers who asks how the member is; whether it is to wait no longer. All others learn that
    /// it has ended.
    fn answer_while_draining(&self, drain: &mut Drain) -> bool {
        for _ in 0..REQUESTS_MAX {
            match self.requests.try_recv() {
                Ok(Request::Look(look)) => look(self.member.service(), self.member.status()),
                Ok(
                    Request::Transfer { .. }
                    | Request::ChangeMembership { .. }
                    | Request::TakeSnapshot(_)
                    | Request::Read { .. },
                ) => {}
                Ok(Request::CutShort | Request::Abandon) => {
                    drain.goes_on = false;
                    return true;
                }
                Ok(Request::Shutdown) => drain.goes_on = false,
                Err(error) => {
                    // Without a handle nobody wants another life of it, nor to cut anything short.
                    drain.goes_on &= error.is_empty();
                    return false;
                }
            }
        }
        false
    }

    fn end_drain(&mut self, drain: Drain, is_cut_short: bool) -> Turn {
        let owes = self.member.member().is_in_debt();
        if owes {
            let member = self.member.member().config().member.0;
            let outstanding = self.member.outstanding();
            let waited_ms = self.clock.now().since(drain.began).0 / 1_000_000;
            tracing::error!(
                member,
                outstanding,
                waited_ms,
                is_cut_short,
                "stopped before its disk had all that the member has promised: its next life comes \
                 up impaired"
            );
        }
        if drain.goes_on {
            return self.end_life();
        }
        if owes {
            self.report.outcome.get_or_insert(Err(RunError::CutShort));
        }
        let turn = self.close();
        if is_cut_short {
            self.phase = Phase::Closing(self.clock.now());
        }
        turn
    }

    /// Lets the storage end, so that the directory is unlocked when the member has ended.
    pub(super) fn close(&mut self) -> Turn {
        self.member.storage_mut().close();
        self.phase = Phase::Closing(self.clock.now() + SPARE_TIMEOUT);
        Turn::Again
    }

    /// The storage is left to itself when the disk takes too long: nobody waits for it.
    pub(super) fn await_end(&mut self, until: Instant) -> Turn {
        loop {
            match self.completions.try_recv() {
                Ok(_) => {}
                Err(TryRecvError::Empty) if self.clock.now() < until => {
                    if self.member.discard(DATAGRAMS_PER_TURN) {
                        return Turn::Again;
                    }
                    return Turn::Wait { until: Some(until), worked: false };
                }
                Err(TryRecvError::Empty) => {
                    tracing::warn!(
                        "stopped without waiting longer for the disk; its files are still open"
                    );
                    break;
                }
                Err(TryRecvError::Disconnected) => break,
            }
        }
        self.report.outcome.get_or_insert(Ok(()));
        self.phase = Phase::Ended;
        Turn::Ended
    }
}
