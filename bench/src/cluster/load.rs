//! A client of a cluster, on this thread: closed loops and open ones.

use core::error::Error;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::thread;

use quorate_core::client::{ClientConfig, ClientLimits, ClientTiming};
use quorate_core::{Client, ClientKey, Instant, Position, RecoveryEpoch};
use quorate_driver::{
    Alarm, ClientLoop, ClientOutcome, Clock, FaultyPort, SystemClock, UdpPort, endpoint_of,
};
use rustix::event::{PollFd, PollFlags, poll};

use super::options::Idle;
use super::{Cluster, GROUP};
use crate::measure::{Latencies, Submissions, Yield};

/// Datagrams that are taken before anything else is done.
const DATAGRAMS_PER_TURN: usize = 128;
/// Turns without work before a client that backs off blocks.
const BACKOFF_TURNS: u32 = 200;
/// How long a load runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(400);
/// How long a cluster may take to serve its client.
const SERVED_WITHIN: Duration = Duration::from_secs(30);
/// How often a client looks whether it is to go on, at least.
const GOING_INTERVAL: Duration = Duration::from_millis(5);

/// What a client is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    /// So many messages in flight.
    Closed(usize),
    /// So many messages a second. Latencies count from when a message was due, not from when there
    /// was room for it.
    Open(u64),
}

/// What a client is asked for, and who takes the answers.
pub(crate) trait Application {
    /// Makes the next message of the bytes that the one before was made of.
    fn write(&mut self, payload: &mut [u8]);

    /// The oldest message without an answer has this one.
    ///
    /// # Errors
    /// It cannot be the answer to that message.
    fn answered(&mut self, reply: &[u8]) -> Result<(), Box<dyn Error>>;
}

/// All messages are alike, and members answer with their first bytes.
#[derive(Debug)]
pub(crate) struct Echoed;

/// What the messages are made of that are alike.
const FILLING: u8 = 0x5a;

impl Application for Echoed {
    fn write(&mut self, _payload: &mut [u8]) {}

    fn answered(&mut self, reply: &[u8]) -> Result<(), Box<dyn Error>> {
        let is_right = reply == [FILLING; 8];
        is_right.then_some(()).ok_or_else(|| "a reply is not what was sent".into())
    }
}

/// A client and its application.
pub(crate) struct LoadClient<A = Echoed> {
    application: A,
    client: ClientLoop<UdpPort>,
    clock: SystemClock,
    alarm: Alarm,
    idle: Idle,
    /// Turns without work in a row.
    idle_turns: u32,
    payload: Vec<u8>,
    submissions: Submissions,
    latencies: Latencies,
    unanswered: u64,
    answered: u64,
}

impl LoadClient {
    /// A client of `cluster`, which serves it.
    ///
    /// # Errors
    /// There is no socket or timer, or the cluster does not serve.
    pub(crate) fn connect(cluster: &Cluster, key: u64) -> Result<Self, Box<dyn Error>> {
        Self::connect_for(Echoed, cluster, key)
    }
}

impl<A: Application> LoadClient<A> {
    /// A client of `cluster`, which serves it, for `application`.
    ///
    /// # Errors
    /// As [`LoadClient::connect`].
    pub(crate) fn connect_for(
        application: A,
        cluster: &Cluster,
        key: u64,
    ) -> Result<Self, Box<dyn Error>> {
        let case = &cluster.case;
        let limits = &case.limits;
        let members = cluster.addresses.iter();
        let config = ClientConfig {
            group: GROUP,
            recovery_epoch: RecoveryEpoch(0),
            key: ClientKey(key),
            members: members.map(|(&id, &address)| (id, endpoint_of(address))).collect(),
            seed: key,
            timing: ClientTiming::default(),
            limits: ClientLimits {
                in_flight_max: limits.in_flight_max,
                session_window_bytes: limits.session_window_bytes,
                slice_bytes: limits.slice_bytes,
                run_bytes_max: limits.run_bytes_max,
                ..ClientLimits::default()
            },
        };
        let clock = SystemClock::start();
        let port = UdpPort::open(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None)?;
        let client = Client::new(config, clock.now())?;
        let mut this = Self {
            application,
            client: ClientLoop::new(client, FaultyPort::new(port, case.faults(key))),
            clock,
            alarm: Alarm::new()?,
            idle: case.idle,
            idle_turns: 0,
            payload: vec![FILLING; case.payload.max(8)],
            submissions: Submissions::default(),
            latencies: Latencies::new(),
            unanswered: 0,
            answered: 0,
        };
        let patience = Instant(SERVED_WITHIN.as_nanos() as u64);
        while !this.client.client().is_served() {
            if this.turn(|_, _| None, None)? > patience {
                return Err("the cluster does not serve its client".into());
            }
        }
        Ok(this)
    }

    /// Runs `load` for a while and measures it for `measured`.
    ///
    /// # Errors
    /// The client ended, or a system call failed.
    pub(crate) fn run(&mut self, load: Load, measured: Duration) -> Result<Yield, Box<dyn Error>> {
        self.phase(load, WARM_UP)?;
        let measured = self.measured(|client| client.phase(load, measured))?;
        self.settle()?;
        Ok(measured)
    }

    /// The same from the first message on, and without waiting for answers in the end.
    ///
    /// # Errors
    /// As [`LoadClient::run`].
    pub(crate) fn go_on(&mut self, load: Load, span: Duration) -> Result<Yield, Box<dyn Error>> {
        self.measured(|client| client.phase(load, span))
    }

    /// Goes on with `load` for as long as `going` says so, and then until all is answered; returns
    /// the application.
    ///
    /// # Errors
    /// As [`LoadClient::run`].
    pub(crate) fn run_while(
        mut self,
        load: Load,
        mut going: impl FnMut() -> bool,
    ) -> Result<A, Box<dyn Error>> {
        self.phase_while(load, Some(GOING_INTERVAL), |_| going())?;
        self.settle()?;
        Ok(self.application)
    }

    /// Goes on with `load` while `work` is done on another thread; returns what comes
    /// of that, and what was measured meanwhile.
    ///
    /// # Errors
    /// As [`LoadClient::run`], or the work failed.
    pub(crate) fn beside<T: Send>(
        &mut self,
        load: Load,
        work: impl FnOnce() -> Result<T, Box<dyn Error>> + Send,
    ) -> Result<(T, Yield), Box<dyn Error>> {
        thread::scope(|scope| {
            let worker = scope.spawn(move || work().map_err(|error| error.to_string()));
            let going = |_| !worker.is_finished();
            let measured =
                self.measured(|client| client.phase_while(load, Some(GOING_INTERVAL), going));
            let done = worker.join().map_err(|_| "what was done meanwhile panicked")??;
            Ok((done, measured?))
        })
    }

    /// Sends messages until the members' log is as long as `end` and all is answered.
    ///
    /// # Errors
    /// As [`LoadClient::beside`].
    pub(crate) fn fill(
        &mut self,
        cluster: &mut Cluster,
        window: usize,
        end: Position,
    ) -> Result<(), Box<dyn Error>> {
        let leader = cluster.leader()?;
        self.beside(Load::Closed(window), || {
            cluster.wait_until("the log is long enough", |cluster| {
                Ok((cluster.status(leader)?.view("commit") >= end.0).then_some(()))
            })
        })?;
        self.settle()
    }

    /// The longest that an answer took in what was measured last, in microseconds.
    pub(crate) fn longest_us(&self) -> f64 {
        self.latencies.micros_at(1.0)
    }

    /// What `load` yields from here on.
    fn measured(
        &mut self,
        load: impl FnOnce(&mut Self) -> Result<(), Box<dyn Error>>,
    ) -> Result<Yield, Box<dyn Error>> {
        self.latencies = Latencies::new();
        let (begin, answered) = (self.clock.now(), self.answered);
        load(self)?;
        let elapsed = Duration::from_nanos(self.clock.now().since(begin).0);
        Ok(Yield::new(self.answered - answered, elapsed, &self.latencies))
    }

    /// Waits until all is answered, so that the next load begins with nothing in flight.
    ///
    /// # Errors
    /// As [`LoadClient::run`].
    pub(crate) fn settle(&mut self) -> Result<(), Box<dyn Error>> {
        while self.unanswered > 0 {
            self.turn(|_, _| None, None)?;
        }
        Ok(())
    }

    fn phase(&mut self, load: Load, span: Duration) -> Result<(), Box<dyn Error>> {
        let end = Instant(self.clock.now().0 + span.as_nanos() as u64);
        self.phase_while(load, None, |now| now < end)
    }

    /// Goes on with `load` for as long as `going` says so, which is asked at least once in each
    /// interval of `look`, if there is one.
    fn phase_while(
        &mut self,
        load: Load,
        look: Option<Duration>,
        mut going: impl FnMut(Instant) -> bool,
    ) -> Result<(), Box<dyn Error>> {
        let mut now = self.clock.now();
        let mut next = now.0 as f64;
        while going(now) {
            let look_at = look.map(|interval| Instant(now.0 + interval.as_nanos() as u64));
            now = match load {
                Load::Closed(window) => {
                    let due = |unanswered, now| (unanswered < window as u64).then_some(now);
                    self.turn(due, look_at)?
                }
                Load::Open(rate) => {
                    let interval = 1e9 / rate.max(1) as f64;
                    let mut reached = next;
                    let due = |_, now| {
                        let due = Instant(reached as u64);
                        (due <= now).then(|| {
                            reached += interval;
                            due
                        })
                    };
                    // What is due already waits for room, which comes with answers.
                    let next_at = Some(Instant(next as u64)).filter(|&at| at > now);
                    let now = self.turn(due, look_at.into_iter().chain(next_at).min())?;
                    next = reached;
                    now
                }
            };
        }
        Ok(())
    }

    /// One turn: what was received, then what is to be sent, then waiting for more. `due` tells
    /// when the next message was due, given what is unanswered and the present; nothing when
    /// none is yet. Returns the present.
    fn turn(
        &mut self,
        mut due: impl FnMut(u64, Instant) -> Option<Instant>,
        wake_at: Option<Instant>,
    ) -> Result<Instant, Box<dyn Error>> {
        let received = self.client.receive(&self.clock, DATAGRAMS_PER_TURN);
        let now = self.clock.now();
        let timer = self.client.next_deadline().is_some_and(|deadline| deadline <= now);
        if timer {
            self.client.timer(now);
        }
        self.take_outcomes(now)?;
        let mut submitted = 0;
        while self.client.client().can_submit(self.payload.len())
            && let Some(at) = due(self.unanswered, now)
        {
            self.application.write(&mut self.payload);
            self.client.submit(now, &self.payload)?;
            self.submissions.note(at.0, 1);
            self.unanswered += 1;
            submitted += 1;
        }
        if timer || received + submitted > 0 {
            self.client.flush(now);
        }
        self.idle_turns = if received + submitted > 0 { 0 } else { self.idle_turns + 1 };
        let blocks = match self.idle {
            Idle::Block => true,
            Idle::Spin => false,
            Idle::Backoff => self.idle_turns > BACKOFF_TURNS,
        };
        if received < DATAGRAMS_PER_TURN && blocks {
            let until = self.client.next_deadline().into_iter().chain(wake_at).min();
            self.wait(until)?;
        }
        Ok(now)
    }

    fn take_outcomes(&mut self, now: Instant) -> Result<(), Box<dyn Error>> {
        let mut replies = 0;
        while let Some(outcome) = self.client.outcome() {
            match outcome {
                ClientOutcome::Reply { payload, .. } => {
                    self.application.answered(&payload)?;
                    replies += 1;
                }
                ClientOutcome::Ended(Err(error)) => return Err(error.into()),
                ClientOutcome::Ended(Ok(())) => return Err("the client was closed".into()),
                ClientOutcome::Connected { .. }
                | ClientOutcome::Synced { .. }
                | ClientOutcome::Read { .. }
                | ClientOutcome::Disconnected => {}
            }
        }
        self.submissions.settle(now.0, replies, &mut self.latencies);
        self.unanswered -= replies;
        self.answered += replies;
        Ok(())
    }

    /// Blocks until there are datagrams, or until a deadline.
    fn wait(&mut self, until: Option<Instant>) -> Result<(), Box<dyn Error>> {
        self.alarm.set(until, self.clock.now())?;
        let port = self.client.port();
        let mut watched =
            [PollFd::new(port, PollFlags::IN), PollFd::new(&self.alarm, PollFlags::IN)];
        poll(&mut watched, None)?;
        let rang = !watched[1].revents().is_empty();
        if rang {
            self.alarm.rang();
        }
        Ok(())
    }
}
