//! A client that the first shim hosts: the driver's own loop of a client, behind a pipe.

use core::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use quorate_core::{Client, Instant};
use quorate_driver::{ClientLoop, ClientOutcome, Clock, FaultyPort};
use serde::Serialize;

use super::client_body::{ClientCountersBody, ClientResult, EndedBody, OpenBody, RefusedBody};
use super::frame::Frame;
use super::pipe::{Inbox, PipeClock, PipeSocket, SharedPipe};
use super::{TurnDone, opcode};

/// Messages that wait for a client's next turn, at most.
const SUBMITS_MAX: usize = 65_536;

/// One life of a client.
pub(super) struct Guest {
    looped: ClientLoop<PipeSocket>,
    clock: PipeClock,
    time: Rc<Cell<u64>>,
    pipe: SharedPipe,
    number: u16,
    pub(super) inbox: Inbox,
    submits: VecDeque<(u64, Vec<u8>)>,
    closing: bool,
    fresh: bool,
    /// The last message that was taken, and the last that was answered.
    taken: u64,
    answered: u64,
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

impl Guest {
    pub(super) fn begin(open: &OpenBody, pipe: &SharedPipe, number: u16) -> Result<Self, String> {
        let config = open.config().ok_or("a number does not fit")?;
        let client = Client::new(config, Instant(open.now)).map_err(|error| error.to_string())?;
        let (inbox, time) = (Inbox::default(), Rc::new(Cell::new(open.now)));
        let socket = PipeSocket { pipe: Rc::clone(pipe), node: number, inbox: Rc::clone(&inbox) };
        Ok(Self {
            looped: ClientLoop::new(client, FaultyPort::new(socket, None)),
            clock: PipeClock(Rc::clone(&time)),
            time,
            pipe: Rc::clone(pipe),
            number,
            inbox,
            submits: VecDeque::new(),
            closing: false,
            fresh: true,
            taken: 0,
            answered: 0,
        })
    }

    /// Lays a message down for the next turn; `None` if too many lie there.
    pub(super) fn submit(&mut self, number: u64, message: &[u8]) -> Option<()> {
        (self.submits.len() < SUBMITS_MAX).then(|| {
            self.submits.push_back((number, message.to_vec()));
        })
    }

    pub(super) const fn close(&mut self) {
        self.closing = true;
    }

    pub(super) fn turn(&mut self, now: u64) -> TurnDone {
        self.time.set(now);
        let now = self.clock.now();
        self.looped.receive(&self.clock, usize::MAX);
        self.tell();
        if core::mem::take(&mut self.fresh) || self.due().is_some_and(|due| due <= now) {
            self.looped.timer(now);
            self.tell();
        }
        while let Some((number, message)) = self.submits.pop_front() {
            match self.looped.submit(now, &message) {
                Ok(sequence) => {
                    self.taken = sequence;
                    self.say(&ClientResult::Accepted(number, sequence));
                }
                Err(reject) => {
                    let body = json(&RefusedBody::from(&reject));
                    self.say(&ClientResult::Refused(number, &body));
                }
            }
            self.tell();
        }
        if core::mem::take(&mut self.closing) {
            self.looped.close(now);
        }
        self.looped.flush(now);
        self.tell();
        let counters = ClientCountersBody::from(self.looped.client().counters());
        let wake = self.due().map(|due| due.0);
        let ended = self.looped.ended().is_some();
        TurnDone { wake, ended, client: Some(counters), ..TurnDone::default() }
    }

    fn due(&self) -> Option<Instant> {
        self.looped.next_deadline()
    }

    /// Tells the suite what the client tells its application.
    fn tell(&mut self) {
        while let Some(outcome) = self.looped.outcome() {
            match outcome {
                ClientOutcome::Connected { session, .. } => {
                    self.say(&ClientResult::Served(session));
                }
                // The protocol of shims has no request for it.
                ClientOutcome::Synced { .. } | ClientOutcome::Read { .. } => {}
                ClientOutcome::Disconnected => self.say(&ClientResult::Unserved),
                ClientOutcome::Reply { sequence, position, payload } => {
                    self.answered = sequence;
                    self.say(&ClientResult::Replied(sequence, position, &payload));
                }
                ClientOutcome::Ended(result) => {
                    let first = self.answered + 1;
                    let unknown = (first <= self.taken).then_some(first);
                    self.say(&ClientResult::Ended(&json(&EndedBody::from(&result, unknown))));
                }
            }
        }
    }

    fn say(&self, result: &ClientResult<'_>) {
        let frame = Frame::new(opcode::CLIENT_DONE, self.number, result.to_bytes());
        self.pipe.borrow_mut().put(&frame);
    }
}
