//! A client with its loop and mailbox: everything but the waiting.

use core::net::SocketAddr;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use oneshot::Sender;
use quorate_core::client::{ClientError, Reject};
use quorate_core::{Client, ClientKey, Instant, Position};

use crate::client_handle::{
    Answer, ClientHandle, ClientOptions, ClientReadError, ClientStatus, Command, ReadAnswerTo,
    Reply, StartClientError, Submission, SubmitError, SyncAnswer, SyncError,
};
use crate::client_loop::{ClientLoop, ClientOutcome};
use crate::doorbell::Doorbell;
use crate::endpoint::address_of;
use crate::faults::FaultyPort;
use crate::mailbox::{Mailbox, Requests};
use crate::member_host::DATAGRAMS_PER_TURN;
use crate::port::{Clock, DatagramPort, SystemClock};
use crate::turn::{Host, Turn, Wake, random_number};
use crate::udp_port::UdpPort;

/// Commands that a turn takes: applications may ask faster than any loop works.
const COMMANDS_PER_TURN: usize = 1_024;

/// A client as a runtime drives it.
#[derive(Debug)]
pub struct ClientHost<P = UdpPort, C = SystemClock> {
    client: ClientLoop<P>,
    clock: C,
    commands: Requests<Command>,
    doorbell: Doorbell,
    /// A message that there was no room for yet. Nothing behind it is taken meanwhile.
    waiting: Option<Submission>,
    unanswered: VecDeque<(u64, Answer)>,
    /// Positions that are waited for; the core bounds their number.
    syncs: Vec<(Position, SyncAnswer)>,
    /// Reads that are not answered; the core bounds their number.
    reads: Vec<(u64, ReadAnswerTo)>,
    fresh: bool,
    closing: bool,
    /// Last, for all above is gone when the handle learns of it.
    report: Report,
}

/// Tells the handle how the client ended, when dropped.
#[derive(Debug)]
struct Report {
    outcome: Option<Result<(), ClientError>>,
    handle: Option<Sender<Result<(), ClientError>>>,
}

impl Drop for Report {
    fn drop(&mut self) {
        if let (Some(outcome), Some(handle)) = (self.outcome.take(), self.handle.take()) {
            // Nobody wants to know when the handle is gone.
            let _ = handle.send(outcome);
        }
    }
}

impl ClientHost {
    /// Binds a socket for the client, which connects by itself. `wake` as for
    /// [`crate::MemberHost::start`].
    ///
    /// # Errors
    /// [`StartClientError`]: nothing is open then.
    pub fn start(
        options: ClientOptions,
        wake: Wake,
    ) -> Result<(Self, ClientHandle), StartClientError> {
        let ClientOptions { mut config, bind, faults } = options;
        if config.key == ClientKey(0) {
            config.key = ClientKey(random_number());
        }
        if config.seed == 0 {
            config.seed = random_number();
        }
        let first = config.members.values().next().map(|endpoint| address_of(*endpoint));
        let bind = bind.unwrap_or_else(|| match first {
            Some(member) if member.is_ipv6() => SocketAddr::from(([0_u16; 8], 0)),
            _ => SocketAddr::from(([0_u8; 4], 0)),
        });
        let clock = SystemClock::start();
        let client = Client::new(config, clock.now())?;
        let port = FaultyPort::new(UdpPort::open(bind, None)?, faults);
        Ok(Self::over(ClientLoop::new(client, port), clock, Doorbell::new(wake)))
    }
}

impl<P: DatagramPort, C: Clock> ClientHost<P, C> {
    fn over(client: ClientLoop<P>, clock: C, doorbell: Doorbell) -> (Self, ClientHandle) {
        let in_flight_max = client.client().config().limits.in_flight_max;
        let (mailbox, commands) = Mailbox::new(in_flight_max, doorbell.clone());
        let (answer, ended) = oneshot::async_channel();
        let host = Self {
            client,
            clock,
            commands,
            doorbell,
            waiting: None,
            unanswered: VecDeque::new(),
            syncs: Vec::new(),
            reads: Vec::new(),
            fresh: true,
            closing: false,
            report: Report { outcome: None, handle: Some(answer) },
        };
        (host, ClientHandle::new(mailbox, ended))
    }

    fn advance(&mut self) -> Turn {
        if self.report.outcome.is_some() {
            return Turn::Ended;
        }
        let datagrams = self.client.receive(&self.clock, DATAGRAMS_PER_TURN);
        let now = self.clock.now();
        let due = self.fresh || self.client.next_deadline().is_some_and(|due| due <= now);
        if due {
            self.fresh = false;
            self.client.timer(now);
        }
        self.answer();
        let commands = self.admit(now);
        let worked = due || datagrams + commands > 0;
        if worked {
            self.client.flush(now);
            self.answer();
        }
        if let Some(result) = self.client.ended().cloned() {
            self.fail_all(&result);
            self.report.outcome = Some(result);
            return Turn::Ended;
        }
        let until = self.client.next_deadline();
        // What a flush left over is due at once, as at a member.
        let more = datagrams >= DATAGRAMS_PER_TURN
            || commands == COMMANDS_PER_TURN
            || until.is_some_and(|until| until <= now);
        if more { Turn::Again } else { Turn::Wait { until, worked } }
    }

    /// Submits the message that waits, and those behind it, as far as there is room and within the
    /// budget; returns how many commands were taken.
    fn admit(&mut self, now: Instant) -> usize {
        let mut taken = 0;
        if let Some(waiting) = self.waiting.take() {
            self.submit(now, waiting);
            taken += usize::from(self.waiting.is_none());
        }
        while taken < COMMANDS_PER_TURN && self.waiting.is_none() && !self.closing {
            match self.commands.try_recv() {
                Ok(command) => self.take(now, command),
                Err(error) if error.is_empty() => break,
                Err(_) => self.take(now, Command::Close),
            }
            taken += 1;
        }
        taken
    }

    fn take(&mut self, now: Instant, command: Command) {
        match command {
            Command::Submit(submission) => self.submit(now, submission),
            Command::Sync { position, answer } => match self.client.sync(now, position) {
                Ok(()) => self.syncs.push((position, answer)),
                Err(reject) => {
                    // Nobody waits when the call was cancelled.
                    let _ = answer.send(Err(SyncError::Rejected(reject)));
                }
            },
            Command::Read { level, payload, answer } => {
                match self.client.read(now, level, &payload) {
                    Ok(number) => self.reads.push((number, answer)),
                    Err(reject) => {
                        let _ = answer.send(Err(ClientReadError::Rejected(reject)));
                    }
                }
            }
            Command::Close => {
                self.closing = true;
                self.client.close(now);
            }
            Command::Look(answer) => {
                let (datagrams, faults) = self.client.counters();
                let client = self.client.client();
                // Nobody waits when the call was cancelled.
                let _ = answer.send(ClientStatus {
                    session: client.session(),
                    unanswered: client.unanswered(),
                    lacks_quorum: client.lacks_quorum(),
                    counters: *client.counters(),
                    datagrams,
                    faults,
                });
            }
        }
    }

    fn submit(&mut self, now: Instant, submission: Submission) {
        let taken = match submission.is_safe {
            false => self.client.submit(now, &submission.payload),
            true => self.client.submit_safe(now, &submission.payload),
        };
        match taken {
            Ok(sequence) => self.unanswered.push_back((sequence, submission.answer)),
            Err(Reject::BackPressure) => self.waiting = Some(submission),
            Err(reject) => {
                let _ = submission.answer.send(Err(SubmitError::Rejected(reject)));
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
                ClientOutcome::Synced { position, outcome } => {
                    let at = self.syncs.iter().position(|(asked, _)| *asked == position);
                    let Some(at) = at else { continue };
                    let (_, answer) = self.syncs.remove(at);
                    let _ = answer.send(outcome.map_err(SyncError::TimedOut));
                }
                ClientOutcome::Read { number, outcome } => {
                    let at = self.reads.iter().position(|(asked, _)| *asked == number);
                    let Some(at) = at else { continue };
                    let (_, answer) = self.reads.swap_remove(at);
                    let _ = answer.send(outcome.map_err(ClientReadError::Failed));
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
        let sync_error = match result {
            Ok(()) => SyncError::Rejected(Reject::Closed),
            Err(error) => SyncError::Ended(error.clone()),
        };
        for (_, answer) in self.syncs.drain(..) {
            let _ = answer.send(Err(sync_error.clone()));
        }
        let waiting = self.waiting.take().map(|waiting| waiting.answer);
        for answer in self.unanswered.drain(..).map(|(_, answer)| answer).chain(waiting) {
            let _ = answer.send(Err(error.clone()));
        }
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Submit(Submission { answer, .. }) => {
                    let _ = answer.send(Err(error.clone()));
                }
                Command::Sync { answer, .. } => {
                    let _ = answer.send(Err(sync_error.clone()));
                }
                Command::Read { answer, .. } => {
                    let _ = answer.send(Err(ClientReadError::Gone));
                }
                Command::Look(_) | Command::Close => {}
            }
        }
    }

    /// [`Host::turn`], over any port.
    pub fn turn(&mut self) -> Turn {
        self.doorbell.answer();
        match self.advance() {
            Turn::Wait { .. } if !self.doorbell.rest() => Turn::Again,
            turn => turn,
        }
    }
}

impl<P: DatagramPort + AsFd, C: Clock> Host for ClientHost<P, C> {
    fn turn(&mut self) -> Turn {
        Self::turn(self)
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.client.port().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    use quorate_core::client::{ClientConfig, ClientLimits, ClientTiming};
    use quorate_core::{GroupId, MemberId, RecoveryEpoch};

    use super::*;
    use crate::endpoint::endpoint_of;

    #[test]
    fn what_is_asked_of_a_client_that_is_dropped_is_answered_with_that() {
        let nobody = endpoint_of(SocketAddr::from(([127, 0, 0, 1], 9)));
        let config = ClientConfig {
            group: GroupId(1),
            recovery_epoch: RecoveryEpoch(0),
            key: ClientKey(0),
            members: [(MemberId(1), nobody)].into(),
            seed: 0,
            timing: ClientTiming::default(),
            limits: ClientLimits::default(),
        };
        let options = ClientOptions { config, bind: None, faults: None };
        let (mut host, handle) = ClientHost::start(options, Box::new(|| {})).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut taken = handle.blocking_send("taken").unwrap();
        let _ = host.turn();
        let mut left = handle.blocking_send("left in the mailbox").unwrap();
        let mut status = pin!(handle.status());
        let mut synced = pin!(handle.sync(Position(64)));
        assert!(synced.as_mut().poll(&mut context).is_pending());
        assert!(status.as_mut().poll(&mut context).is_pending());
        drop(host);
        for reply in [&mut taken, &mut left] {
            assert_eq!(pin!(reply).poll(&mut context), Poll::Ready(Err(SubmitError::Gone)));
        }
        assert!(matches!(status.poll(&mut context), Poll::Ready(Err(SubmitError::Gone))));
        assert_eq!(synced.poll(&mut context), Poll::Ready(Err(SyncError::Gone)));
        assert!(handle.blocking_send_safe("late").is_err());
        assert_eq!(handle.blocking_sync(Position(8)), Err(SyncError::Gone));
    }
}
