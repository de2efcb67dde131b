//! A member with its loop, storage and mailbox: everything but the waiting.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, Sender, channel};

use oneshot::Sender as Answer;
use quorate_core::{ChangeOutcome, Duration, Instant, TransferOutcome};

use crate::archive_ports::LogWriter;
use crate::archive_storage::ArchiveStorage;
use crate::doorbell::Doorbell;
use crate::mailbox::{Mailbox, Requests};
use crate::member_handle::{MemberHandle, Request, RunError};
use crate::member_loop::{MemberLoop, Stopped};
use crate::mender::Mender;
use crate::port::{Clock, DatagramPort, LogPort, StoragePort, SystemClock};
use crate::service::Service;
use crate::storage::Completion;
use crate::turn::{Host, Turn, Wake};
use crate::udp_port::UdpPort;

/// Requests of handles that wait, and that a turn takes, at most; beyond it a handle waits.
const REQUESTS_MAX: usize = 16;
/// Datagrams that a turn takes, not counting the end of a coalesced run. With each of them answered
/// by a run of repairs, a turn takes a few milliseconds: less than a quarter of a heartbeat (E117).
pub(crate) const DATAGRAMS_PER_TURN: usize = 128;
/// Completions that a turn takes: a replay has no end of reads.
const COMPLETIONS_PER_TURN: usize = 64;

/// A member as a runtime drives it.
///
/// The ports may be any; a member of an archive and a socket is made by [`MemberHost::start`].
#[derive(Debug)]
pub struct MemberHost<S, P = UdpPort, L = LogWriter, Q = ArchiveStorage, C = SystemClock> {
    member: MemberLoop<P, L, Q, S>,
    clock: C,
    completions: Receiver<Completion>,
    requests: Requests<Request<S>>,
    doorbell: Doorbell,
    phase: Phase,
    transfers: Waiting<TransferOutcome>,
    changes: Waiting<ChangeOutcome>,
    reads: Reads,
    renewal: Option<Renewal<S, P, L, Q>>,
    /// It is to end as if its process was killed.
    is_abandoned: bool,
    /// Told to stop without waiting for its disk.
    is_cut_short: bool,
    /// How long it waits for its disk when it stops in debt.
    stop_timeout: Duration,
    mender: Option<Box<Mender>>,
    /// Last, for all above is gone when the handle learns of it: files, socket and lock.
    report: Report,
}

/// Who waits for the outcome of what was asked for. Of transfers of leadership the core answers all
/// but one at once, and that one within two election time-outs; of changes of the members all but
/// one at once, and that one when its leadership ends at the latest.
#[derive(Debug)]
struct Waiting<T> {
    asked: u64,
    waiting: BTreeMap<u64, Answer<T>>,
}

impl<T> Waiting<T> {
    const fn new() -> Self {
        Self { asked: 0, waiting: BTreeMap::new() }
    }

    /// Somebody waits; returns the number of what was asked for.
    fn wait(&mut self, answer: Answer<T>) -> u64 {
        self.asked += 1;
        self.waiting.insert(self.asked, answer);
        self.asked
    }

    /// Tells what came of one.
    fn tell(&mut self, request: u64, outcome: T) {
        if let Some(answer) = self.waiting.remove(&request) {
            // Nobody waits when the call was cancelled.
            let _ = answer.send(outcome);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Nothing has happened yet.
    Fresh,
    Serving,
    /// A snapshot of another member is installed: the storage is closing, and is awaited for so
    /// long; then a new life begins.
    Renewing(Instant),
    /// Of no log: others mend it.
    Mending,
    /// Stopping, or the log has rotted, and the life ends: what was asked of the disk is awaited.
    Draining(Drain),
    /// The storage is closing, and is awaited for so long.
    Closing(Instant),
    Ended,
}

/// Tells the handle how the member ended, when dropped.
#[derive(Debug)]
struct Report {
    outcome: Option<Result<(), RunError>>,
    handle: Option<Answer<Result<(), RunError>>>,
}

impl Drop for Report {
    fn drop(&mut self) {
        let outcome = match self.outcome.take() {
            Some(outcome) => outcome,
            None if std::thread::panicking() => Err(RunError::Task("it panicked".into())),
            // Dropped by its runtime: the handle sees that nobody tells it anything.
            None => return,
        };
        if let Some(handle) = self.handle.take() {
            // Nobody wants to know when the handle is gone.
            let _ = handle.send(outcome);
        }
    }
}

/// Where a storage puts down completions for its member, from any thread. The member is woken when
/// the last of them is dropped, too: its storage has ended then.
#[derive(Clone, Debug)]
pub struct Completions {
    sender: Option<Sender<Completion>>,
    doorbell: Doorbell,
}

impl Completions {
    pub(crate) fn new(doorbell: Doorbell) -> (Self, Receiver<Completion>) {
        let (sender, receiver) = channel();
        (Self { sender: Some(sender), doorbell }, receiver)
    }

    /// Puts down a completion, and wakes the member if it waits.
    pub fn put(&self, completion: Completion) {
        if let Some(sender) = &self.sender {
            // The loop is gone when the receiver is: nobody wants to know any more.
            let _ = sender.send(completion);
            self.doorbell.ring();
        }
    }
}

impl Drop for Completions {
    fn drop(&mut self) {
        self.sender = None;
        self.doorbell.ring();
    }
}

impl<S, P, L, Q, C> MemberHost<S, P, L, Q, C>
where
    S: Service + 'static,
    P: DatagramPort,
    L: LogPort,
    Q: StoragePort<L::Cut>,
    C: Clock,
{
    /// Hosts `member` over ports of any kind; `address` is what its handle says. The storage puts
    /// its completions into what comes last; `wake` is as for [`MemberHost::start`].
    #[must_use]
    pub fn with_ports(
        member: MemberLoop<P, L, Q, S>,
        clock: C,
        address: SocketAddr,
        wake: Wake,
    ) -> (Self, MemberHandle<S>, Completions) {
        let doorbell = Doorbell::new(wake);
        let (put, completions) = Completions::new(doorbell.clone());
        let (host, handle) = Self::over(member, clock, completions, doorbell, address);
        (host, handle, put)
    }

    /// The member's loop, to look at.
    #[must_use]
    pub const fn member(&self) -> &MemberLoop<P, L, Q, S> {
        &self.member
    }

    /// Hosts `member`, whose storage tells `completions`.
    pub(crate) fn over(
        member: MemberLoop<P, L, Q, S>,
        clock: C,
        completions: Receiver<Completion>,
        doorbell: Doorbell,
        address: SocketAddr,
    ) -> (Self, MemberHandle<S>) {
        let (mailbox, requests) = Mailbox::new(REQUESTS_MAX, doorbell.clone());
        let (answer, ended) = oneshot::async_channel();
        let report = Report { outcome: None, handle: Some(answer) };
        let phase = Phase::Fresh;
        let renewal = None;
        let host = Self {
            member,
            clock,
            completions,
            requests,
            doorbell,
            phase,
            transfers: Waiting::new(),
            changes: Waiting::new(),
            reads: Reads::default(),
            renewal,
            is_abandoned: false,
            is_cut_short: false,
            stop_timeout: STOP_TIMEOUT,
            mender: None,
            report,
        };
        (host, MemberHandle::new(mailbox, ended, address))
    }

    fn advance(&mut self) -> Turn {
        if self.member.restarts() && matches!(self.phase, Phase::Fresh | Phase::Serving) {
            return self.end_life();
        }
        if !matches!(self.phase, Phase::Fresh | Phase::Serving) {
            self.reads.refuse_all();
        }
        let outcome = match self.phase {
            Phase::Fresh => {
                self.phase = Phase::Serving;
                self.member.timer(self.clock.now()).and_then(|()| self.serve())
            }
            Phase::Serving => self.serve(),
            Phase::Renewing(until) => Ok(self.renew(until)),
            Phase::Mending => Ok(self.mend()),
            Phase::Draining(drain) => self.drain(drain),
            Phase::Closing(until) => Ok(self.await_end(until)),
            Phase::Ended => Ok(Turn::Ended),
        };
        outcome.unwrap_or_else(|stopped| {
            self.report.outcome = Some(Err(stopped.into()));
            self.close()
        })
    }

    fn serve(&mut self) -> Result<Turn, Stopped> {
        let mut completions = self.take_completions()?;
        if self.member.damage().is_some() {
            return self.withdraw();
        }
        let Some(mut requests) = self.take_requests()? else { return self.stop() };
        let datagrams = self.member.receive(&self.clock, DATAGRAMS_PER_TURN)?;
        let now = self.clock.now();
        let due = self.member.next_deadline().is_some_and(|deadline| deadline <= now);
        if due {
            self.member.timer(now)?;
        }
        let worked = due || completions + requests + datagrams > 0;
        if worked {
            self.member.flush(now)?;
            self.member.storage_mut().perform();
            // A storage without threads is done already: what waits for that goes out before the
            // socket is asked again.
            self.doorbell.answer();
            completions = self.take_completions()?;
            requests = match self.take_requests()? {
                Some(requests) => requests,
                None => return self.stop(),
            };
            if completions + requests > 0 {
                self.member.flush(self.clock.now())?;
                self.member.storage_mut().perform();
            }
        }
        self.answer_demands();
        self.answer_reads();
        let until = self.member.next_deadline();
        // What a flush left over is due at once: to wait for that is to ask the system for nothing.
        let more = completions == COMPLETIONS_PER_TURN
            || requests == REQUESTS_MAX
            || datagrams >= DATAGRAMS_PER_TURN
            || until.is_some_and(|until| until <= now)
            || self.member.restarts();
        Ok(if more { Turn::Again } else { Turn::Wait { until, worked } })
    }

    /// Takes completions within the budget; returns how many.
    fn take_completions(&mut self) -> Result<usize, Stopped> {
        let mut taken = 0;
        while taken < COMPLETIONS_PER_TURN
            && let Ok(completion) = self.completions.try_recv()
        {
            self.member.complete(self.clock.now(), completion)?;
            taken += 1;
        }
        Ok(taken)
    }

    /// Answers requests within the budget; returns how many, or `None` when the member is to stop.
    fn take_requests(&mut self) -> Result<Option<usize>, Stopped> {
        let mut taken = 0;
        while taken < REQUESTS_MAX {
            match self.requests.try_recv() {
                Ok(Request::Look(look)) => look(self.member.service(), self.member.status()),
                Ok(Request::Transfer { target, answer }) => {
                    let request = self.transfers.wait(answer);
                    self.member.transfer(self.clock.now(), request, target)?;
                }
                Ok(Request::ChangeMembership { change, answer }) => {
                    let request = self.changes.wait(answer);
                    self.member.change_membership(self.clock.now(), request, change)?;
                }
                Ok(Request::Read { level, payload, answer }) => {
                    let token = self.reads.ask(answer);
                    self.member.read(self.clock.now(), token, level, &payload)?;
                }
                Ok(Request::TakeSnapshot(answer)) => {
                    let outcome = self.member.take_snapshot(self.clock.now())?;
                    // Nobody waits when the call was cancelled.
                    let _ = answer.send(outcome);
                }
                Err(error) if error.is_empty() => break,
                Ok(Request::Abandon) => {
                    self.is_abandoned = true;
                    return Ok(None);
                }
                Ok(Request::CutShort) => {
                    self.is_cut_short = true;
                    return Ok(None);
                }
                Ok(Request::Shutdown) | Err(_) => return Ok(None),
            }
            taken += 1;
        }
        Ok(Some(taken))
    }

    /// Tells those who asked for something what came of it.
    fn answer_demands(&mut self) {
        while let Some((request, outcome)) = self.member.take_transferred() {
            self.transfers.tell(request, outcome);
        }
        while let Some((request, outcome)) = self.member.take_changed() {
            self.changes.tell(request, outcome);
        }
    }

    /// [`Host::turn`], over any ports.
    pub fn turn(&mut self) -> Turn {
        self.doorbell.answer();
        match self.advance() {
            Turn::Wait { .. } if !self.doorbell.rest() => Turn::Again,
            turn => turn,
        }
    }
}

impl<S, P, L, Q, C> Host for MemberHost<S, P, L, Q, C>
where
    S: Service + 'static,
    P: DatagramPort + AsFd,
    L: LogPort,
    Q: StoragePort<L::Cut>,
    C: Clock,
{
    fn turn(&mut self) -> Turn {
        Self::turn(self)
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.member.port().as_fd()
    }
}

mod lives;
mod mending;
mod reading;
mod stopping;

use self::lives::Renewal;
use self::reading::Reads;
use self::stopping::Drain;
pub use self::stopping::STOP_TIMEOUT;

#[cfg(test)]
mod tests;
