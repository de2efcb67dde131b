//! The streams of a connection: messages out, replies in.
//!
//! The ingress stream goes on from connection to connection; what is not answered is sent again.
//! The egress stream begins anew with each connection; replies that were delivered before are
//! skipped, so each message gets exactly one.

use alloc::collections::VecDeque;

use super::contract::{ClientAction, ClientActions, ClientConfig, ClientCounters, Reject};
use crate::action::Destination;
use crate::frame::Body;
use crate::identity::{ClientKey, Endpoint, GroupTag, MemberId, SessionId};
use crate::message::{EpochRange, Incoming, Message, NAK_RANGES_MAX, NakRanges, Stream};
use crate::position::{Position, PositionRange};
use crate::stream::{Inlet, NakTiming, Outlet, RepairTiming, egress_tag, ingress_tag};
use crate::time::{Duration, Instant, LogTime};

/// So many slices are sent without waiting for a flush: batching gains little beyond.
const EAGER_SLICES: u64 = 8;

/// Requests for bytes that are released already, without a reply in between, after which the leader
/// is taken to have lost the connection: a late copy of the connect made it begin anew.
const REQUESTS_FOR_RELEASED_MAX: u32 = 4;

/// The connection that the streams belong to.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Link {
    pub(super) endpoint: Endpoint,
    pub(super) leader: MemberId,
    pub(super) connection: u64,
    /// The epoch of its streams.
    pub(super) epoch: u64,
    pub(super) session: SessionId,
    /// Since when it is open.
    pub(super) opened: Instant,
    /// When the leader was last heard.
    pub(super) heard: Instant,
}

/// What a datagram turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Of this connection.
    Heard,
    /// Not of this connection.
    Foreign,
    /// Of this connection, but nothing that a correct leader sends.
    Broken,
}

/// The streams, and which messages are not answered yet.
#[derive(Clone, Debug, Hash)]
pub(super) struct Flow {
    key: ClientKey,
    tag: GroupTag,
    outlet: Outlet,
    inlet: Inlet,
    /// Where the frames of unanswered messages end, oldest first.
    in_flight: VecDeque<Position>,
    /// The number of the next message.
    next_sequence: u64,
    /// The end of the frame of the newest answered message.
    answered: Position,
    /// Where the newest message lies that was replied to.
    pub(super) replied_at: Position,
    /// How far the leader has consumed the ingress stream on this connection.
    consumed_there: Position,
    /// How far the leader knows that the egress stream was consumed.
    reported: Position,
    /// Requests for released bytes since the last reply.
    requests_for_released: u32,
    /// The leader is to be told how far it may send.
    status_due: bool,
    /// Replies that were taken out since it was told.
    untold: usize,
    /// When to say how far the ingress stream was written.
    newest_at: Instant,
    newest_pause: Duration,
}

impl Flow {
    /// Streams with nothing in them. All memory but that of later connections is allocated here.
    pub(super) fn new(config: &ClientConfig) -> Self {
        let (tag, key, limits) = (config.tag(), config.key, &config.limits);
        let start = Position::ZERO;
        let window = limits.session_window_bytes;
        Self {
            key,
            tag,
            outlet: Outlet::new(ingress_tag(tag, key), start, window),
            inlet: Inlet::new(egress_tag(tag, key, 0), start, window, limits.coverage_ranges_max),
            in_flight: VecDeque::with_capacity(limits.in_flight_max),
            next_sequence: 1,
            answered: start,
            replied_at: Position::ZERO,
            consumed_there: start,
            reported: start,
            requests_for_released: 0,
            status_due: false,
            untold: 0,
            newest_at: Instant(0),
            newest_pause: config.timing.newest_first,
        }
    }

    /// How many messages are not answered yet.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The first message that is not answered; the next one if all are.
    pub(super) fn unanswered(&self) -> u64 {
        self.next_sequence - self.in_flight.len() as u64
    }

    /// The first message whose reply the client lacks.
    pub(super) fn lacks_from(&self) -> u64 {
        let forgets = crate::mutant::is(crate::mutant::REPLIES_ARE_DELIVERED_TWICE);
        self.unanswered().saturating_sub(u64::from(forgets)).max(1)
    }

    /// Where the ingress stream goes on at the next connection. It stays where it is until that is
    /// open, so that each repetition of a connect says the same.
    pub(super) const fn ingress_start(&self) -> Position {
        self.outlet.start()
    }

    /// The bytes of a range of one of the streams.
    pub(super) fn bytes(&self, stream: Stream, range: PositionRange) -> (&[u8], &[u8]) {
        match stream {
            Stream::Ingress(key) if key == self.key => self.outlet.slices(range),
            Stream::Egress(key) if key == self.key => self.inlet.slices(range),
            _ => (&[], &[]),
        }
    }

    /// Why a message of `bytes` bytes cannot be taken now, if it cannot.
    pub(super) fn refusal(&self, config: &ClientConfig, bytes: usize) -> Option<Reject> {
        let limits = &config.limits;
        if bytes > limits.message_bytes_max as usize {
            let limit = u64::from(limits.message_bytes_max);
            return Some(Reject::TooLarge { bytes: bytes as u64, limit });
        }
        let full = self.in_flight.len() >= limits.in_flight_max;
        (full || !self.outlet.has_room(&self.next_body(), bytes)).then_some(Reject::BackPressure)
    }

    /// Takes a message.
    pub(super) fn submit(&mut self, config: &ClientConfig, payload: &[u8]) -> Result<u64, Reject> {
        if let Some(reject) = self.refusal(config, payload.len()) {
            return Err(reject);
        }
        self.take(&self.next_body(), payload)
    }

    /// Takes a message whose reply waits until it is safe.
    #[cold]
    #[inline(never)]
    pub(super) fn submit_safe(
        &mut self,
        config: &ClientConfig,
        payload: &[u8],
    ) -> Result<u64, Reject> {
        if let Some(reject) = self.refusal(config, payload.len()) {
            return Err(reject);
        }
        let (session, sequence, time) = (SessionId::NONE, self.next_sequence, LogTime(0));
        self.take(&Body::SafeMessage { session, sequence, time }, payload)
    }

    #[inline(always)]
    fn take(&mut self, body: &Body, payload: &[u8]) -> Result<u64, Reject> {
        let frame = self.outlet.push(body, payload).ok_or(Reject::BackPressure)?;
        let sequence = self.next_sequence;
        self.in_flight.push_back(frame.end);
        self.next_sequence += 1;
        Ok(sequence)
    }

    fn next_body(&self) -> Body {
        Body::Message { session: SessionId::NONE, sequence: self.next_sequence, time: LogTime(0) }
    }

    /// A connection was opened: everything unanswered goes again, up to `limit`.
    pub(super) fn open(&mut self, config: &ClientConfig, link: &Link, limit: Position) {
        let limits = &config.limits;
        self.outlet.rewind(limit);
        self.inlet = Inlet::new(
            egress_tag(self.tag, self.key, link.connection),
            Position::ZERO,
            limits.session_window_bytes,
            limits.coverage_ranges_max,
        );
        self.consumed_there = self.outlet.start();
        self.requests_for_released = 0;
        self.reported = Position::ZERO;
        // The leader learns how much it may send.
        self.status_due = true;
        self.newest_pause = config.timing.newest_first;
        self.newest_at = link.opened + self.newest_pause;
    }

    /// The connection was lost. The bytes of the last replies stay readable until the next opens.
    pub(super) fn close(&mut self) {
        self.outlet.release(self.answered);
        self.status_due = false;
    }

    /// Takes in a datagram that is not about connecting.
    pub(super) fn receive(
        &mut self,
        context: &mut Context<'_>,
        link: &Link,
        content: &Incoming<'_>,
    ) -> Verdict {
        let egress = Stream::Egress(self.key);
        match content {
            Incoming::Data { stream, epoch, position, slice, .. }
                if *stream == egress && *epoch == link.epoch =>
            {
                self.inlet.receive(context.now, *position, slice);
                self.deliver(context, link)
            }
            Incoming::Control(message) => self.receive_control(context, link, message),
            Incoming::Data { .. } => Verdict::Foreign,
        }
    }

    #[inline(never)]
    fn receive_control(
        &mut self,
        context: &mut Context<'_>,
        link: &Link,
        message: &Message,
    ) -> Verdict {
        let (ingress, egress) = (Stream::Ingress(self.key), Stream::Egress(self.key));
        match message {
            Message::StreamNewest { stream, epoch, newest }
                if *stream == egress && *epoch == link.epoch =>
            {
                self.inlet.hear_newest(*newest);
                // It may not know that it may go on.
                self.status_due = true;
                Verdict::Heard
            }
            Message::StreamStatus { stream, epoch, consumed, limit }
                if *stream == ingress && *epoch == link.epoch =>
            {
                self.outlet.allow(*limit);
                self.consumed_there = self.consumed_there.max(*consumed);
                self.release(context);
                Verdict::Heard
            }
            Message::Nak { stream, ranges } if *stream == ingress => {
                self.repair(context, link, ranges)
            }
            _ => Verdict::Foreign,
        }
    }

    /// Delivers the replies that are whole, in order, each once (E111).
    fn deliver(&mut self, context: &mut Context<'_>, link: &Link) -> Verdict {
        let mut unanswered = self.unanswered();
        let mut frames = self.inlet.frames();
        let mut consumed = frames.position();
        let verdict = loop {
            let reply = match frames.next_reply() {
                Ok(Some(reply)) => reply,
                Ok(None) => break Verdict::Heard,
                Err(_) => break Verdict::Broken,
            };
            let (session, sequence, position) = reply.fields;
            let (position, payload) = (Position(position), reply.payload_at);
            if session != link.session || sequence > unanswered {
                break Verdict::Broken;
            }
            if sequence < unanswered {
                context.counters.duplicates += 1;
                if crate::mutant::is(crate::mutant::REPLIES_ARE_DELIVERED_TWICE) {
                    context.actions.push_reply(sequence, position, payload);
                }
            } else {
                let Some(end) = self.in_flight.pop_front() else { break Verdict::Broken };
                (self.answered, self.replied_at) = (end, position);
                self.requests_for_released = 0;
                unanswered += 1;
                context.actions.push_reply(sequence, position, payload);
            }
            consumed = frames.position();
            self.untold += 1;
        };
        self.inlet.consume(consumed);
        self.status_due |= self.untold > 0 && self.leader_may_wait(context.config);
        self.release(context);
        verdict
    }

    /// Whether the leader may soon need to know what was consumed: it keeps as many replies as may
    /// be in flight, and as many bytes as a window has. Else it asks when it has nothing more to
    /// send (`StreamNewest`), and a message alone costs one datagram, not two.
    fn leader_may_wait(&self, config: &ClientConfig) -> bool {
        let limits = &config.limits;
        let untold_bytes = self.inlet.consumed().since(self.reported);
        self.untold + self.in_flight.len() > limits.in_flight_max / 2
            || untold_bytes >= limits.session_window_bytes / 4
    }

    /// Gives up the bytes that nobody needs any more. A reply alone does not free the bytes of its
    /// message: a new leader may answer from what it remembers before it has read the message
    /// again, and it cannot read what comes after it without it.
    fn release(&mut self, context: &Context<'_>) {
        self.outlet.release(self.answered.min(self.consumed_there));
        let kept = self.outlet.head().since(self.outlet.start());
        if self.in_flight.is_empty() && kept <= context.config.limits.session_window_bytes / 2 {
            let keepalive = context.config.timing.keepalive_interval;
            if self.newest_pause < keepalive {
                self.newest_pause = keepalive;
                self.newest_at = context.now + keepalive;
            }
        }
    }

    fn repair(&mut self, context: &mut Context<'_>, link: &Link, ranges: &NakRanges) -> Verdict {
        let config = context.config;
        let timing = RepairTiming {
            linger: config.timing.repair_linger,
            interval: config.timing.keepalive_interval,
            budget_bytes: config.limits.session_window_bytes,
            slice_bytes: u64::from(config.limits.slice_bytes),
        };
        let to = Destination::Member(link.leader);
        let mut verdict = Verdict::Foreign;
        for asked in ranges.iter().take(NAK_RANGES_MAX) {
            if asked.epoch != link.epoch {
                continue;
            }
            verdict = Verdict::Heard;
            if asked.range.start < self.outlet.start() {
                self.requests_for_released += 1;
                if self.requests_for_released >= REQUESTS_FOR_RELEASED_MAX {
                    return Verdict::Broken;
                }
            }
            for part in self.outlet.repair(context.now, timing, to, asked.range) {
                let mut start = part.start;
                while start < part.end {
                    let end = part.end.min(start.plus(config.limits.run_bytes_max));
                    self.send_run(context.actions, link, PositionRange::new(start, end));
                    context.counters.repairs_sent += 1;
                    start = end;
                }
            }
        }
        verdict
    }

    /// Sends what is worth a run of its own.
    pub(super) fn send_eagerly(&mut self, context: &mut Context<'_>, link: &Link) {
        let slice = u64::from(context.config.limits.slice_bytes);
        let unsent = self.outlet.head().since(self.outlet.sent());
        if unsent >= context.config.limits.run_bytes_max.min(EAGER_SLICES * slice) {
            self.send(context, link, unsent - unsent % slice);
        }
        let window = context.config.limits.session_window_bytes;
        if self.inlet.consumed().since(self.reported) >= window / 2 {
            self.send_status(context, link);
        }
    }

    /// Sends everything that may be sent, and what was collected for the leader.
    pub(super) fn flush(&mut self, context: &mut Context<'_>, link: &Link) {
        self.send(context, link, u64::MAX);
        if self.status_due {
            self.send_status(context, link);
        }
    }

    fn send(&mut self, context: &mut Context<'_>, link: &Link, bytes_max: u64) {
        let mut left = bytes_max;
        while left > 0 {
            let Some(run) = self.outlet.next_run(left.min(context.config.limits.run_bytes_max))
            else {
                break;
            };
            left = left.saturating_sub(run.len());
            self.send_run(context.actions, link, run);
            self.newest_pause = context.config.timing.newest_first;
            self.newest_at = context.now + self.newest_pause;
        }
    }

    fn send_run(&self, actions: &mut ClientActions, link: &Link, range: PositionRange) {
        actions.push(ClientAction::SendData {
            to: link.endpoint,
            stream: Stream::Ingress(self.key),
            epoch: link.epoch,
            range,
        });
    }

    #[inline(never)]
    fn send_status(&mut self, context: &mut Context<'_>, link: &Link) {
        self.status_due = false;
        self.untold = 0;
        self.reported = self.inlet.consumed();
        let message = Message::StreamStatus {
            stream: Stream::Egress(self.key),
            epoch: link.epoch,
            consumed: self.reported,
            limit: self.inlet.limit(),
        };
        context.actions.push(ClientAction::Send { to: link.endpoint, message });
    }

    /// Says how far the ingress stream was written, if it is time: soon after data, since its last
    /// datagram may be lost (E86), then ever more seldom.
    pub(super) fn say_newest(&mut self, context: &mut Context<'_>, link: &Link) {
        if context.now >= self.newest_at {
            self.announce(context, link);
        }
    }

    #[inline(never)]
    fn announce(&mut self, context: &mut Context<'_>, link: &Link) {
        let message = Message::StreamNewest {
            stream: Stream::Ingress(self.key),
            epoch: link.epoch,
            newest: self.outlet.sent(),
        };
        context.actions.push(ClientAction::Send { to: link.endpoint, message });
        let keepalive = context.config.timing.keepalive_interval;
        let at_rest = self.newest_pause >= keepalive;
        self.newest_pause = self.newest_pause.times(2).min(keepalive);
        self.newest_at = context.now + self.newest_pause;
        // Replies are awaited in vain: perhaps the leader never heard that it may send them.
        if !self.in_flight.is_empty() && (at_rest || self.inlet.received() == Position::ZERO) {
            self.status_due = true;
        }
    }

    /// Asks for missing bytes of replies, if it is time.
    pub(super) fn ask(&mut self, context: &mut Context<'_>, link: &Link) {
        if !self.inlet.is_at_rest() {
            self.ask_for_missing(context, link);
        }
    }

    #[inline(never)]
    fn ask_for_missing(&mut self, context: &mut Context<'_>, link: &Link) {
        let ranges = self.inlet.poll_nak(context.now, nak_timing(context.config));
        if ranges.is_empty() {
            return;
        }
        let epoch = link.epoch;
        let ranges = ranges.iter().map(|&range| EpochRange { epoch, range }).collect();
        let message = Message::Nak { stream: Stream::Egress(self.key), ranges };
        context.actions.push(ClientAction::Send { to: link.endpoint, message });
        context.counters.naks_sent += 1;
    }

    /// When the next call is due while a connection is open; `now` if something waits for a flush.
    pub(super) fn next_deadline(&self, config: &ClientConfig, now: Instant) -> Instant {
        if self.status_due || self.outlet.has_unsent() {
            return now;
        }
        let nak = self.inlet.next_deadline(nak_timing(config));
        nak.map_or(self.newest_at, |nak| nak.min(self.newest_at))
    }
}

/// What the steps of a flow work with.
pub(super) struct Context<'a> {
    pub(super) config: &'a ClientConfig,
    pub(super) now: Instant,
    pub(super) counters: &'a mut ClientCounters,
    pub(super) actions: &'a mut ClientActions,
}

const fn nak_timing(config: &ClientConfig) -> NakTiming {
    NakTiming {
        delay: config.timing.nak_delay,
        retry: config.timing.nak_retry,
        bytes_max: config.limits.session_window_bytes,
        sharing: None,
    }
}
