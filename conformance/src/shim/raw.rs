//! Bodies that are bytes: datagrams, disk and service.

use quorate_core::frame::SessionCloseReason;
use quorate_core::{
    BootEpoch, ClientKey, Delivery, Endpoint, LogTime, OperationId, Position, PositionRange,
    SessionId, Source,
};

/// Takes numbers and bytes from a body; `None` where it ends too early.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// From the beginning of a body on.
    #[must_use]
    pub const fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Where a datagram comes from or goes to.
    pub fn endpoint(&mut self) -> Option<Endpoint> {
        self.array().map(Endpoint)
    }

    /// The number of an operation of the disk.
    pub fn operation(&mut self) -> Option<OperationId> {
        Some(OperationId { boot_epoch: BootEpoch(self.u64()?), sequence: self.u64()? })
    }

    /// All that is left.
    #[must_use]
    pub const fn rest(self) -> &'a [u8] {
        self.0
    }
}

fn numbered(out: &mut Vec<u8>, operation: OperationId) {
    out.extend_from_slice(&operation.boot_epoch.0.to_le_bytes());
    out.extend_from_slice(&operation.sequence.to_le_bytes());
}

/// The body of a datagram.
#[must_use]
pub(super) fn datagram(peer: Endpoint, bytes: &[u8]) -> Vec<u8> {
    [&peer.0[..], bytes].concat()
}

/// What a node asks of its disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DiskRequest<'a> {
    /// Write these bytes at this position. Answered at once.
    Append(Position, &'a [u8]),
    /// Make all that was appended durable.
    Sync(OperationId),
    /// Replace the durable vote; JSON.
    Vote(OperationId, &'a [u8]),
    /// Replace the durable term history, then cut the log; JSON.
    History(OperationId, &'a [u8]),
    /// Replace what is remembered of the others; JSON.
    Peers(OperationId, &'a [u8]),
    /// Read bytes of the log.
    Read(OperationId, PositionRange),
    /// Store a snapshot: the core's part, and the service's state.
    Snapshot(OperationId, &'a [u8], &'a [u8]),
}

impl<'a> DiskRequest<'a> {
    /// The request as a body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, operation, rest): (u8, _, &[u8]) = match self {
            Self::Append(position, bytes) => {
                return [&[b'a'][..], &position.0.to_le_bytes(), bytes].concat();
            }
            Self::Sync(operation) => (b's', operation, &[]),
            Self::Vote(operation, json) => (b'v', operation, json),
            Self::History(operation, json) => (b'h', operation, json),
            Self::Peers(operation, json) => (b'p', operation, json),
            Self::Read(operation, _) => (b'r', operation, &[]),
            Self::Snapshot(operation, _, service) => (b'n', operation, service),
        };
        let mut out = vec![kind];
        numbered(&mut out, *operation);
        if let Self::Snapshot(_, core, _) = self {
            out.extend_from_slice(&(core.len() as u64).to_le_bytes());
            out.extend_from_slice(core);
        }
        out.extend_from_slice(rest);
        if let Self::Read(_, range) = self {
            out.extend_from_slice(&range.start.0.to_le_bytes());
            out.extend_from_slice(&range.end.0.to_le_bytes());
        }
        out
    }

    /// The request in a body, if it is one.
    #[must_use]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut fields = Reader::new(body);
        let kind = fields.u8()?;
        if kind == b'a' {
            return Some(Self::Append(Position(fields.u64()?), fields.rest()));
        }
        let operation = fields.operation()?;
        Some(match kind {
            b's' => Self::Sync(operation),
            b'v' => Self::Vote(operation, fields.rest()),
            b'h' => Self::History(operation, fields.rest()),
            b'p' => Self::Peers(operation, fields.rest()),
            b'r' => {
                let (start, end) = (Position(fields.u64()?), Position(fields.u64()?));
                if end < start {
                    return None;
                }
                Self::Read(operation, PositionRange { start, end })
            }
            b'n' => {
                let length = usize::try_from(fields.u64()?).ok()?;
                let (core, service) = fields.rest().split_at_checked(length)?;
                Self::Snapshot(operation, core, service)
            }
            _ => return None,
        })
    }
}

/// What came of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DiskOutcome<'a> {
    /// It is done; the bytes that were read, if it was that.
    Done(OperationId, &'a [u8]),
    /// There is no space: nothing of the append was written.
    Full,
    /// The disk broke, for good: this text says how.
    Failed(&'a [u8]),
    /// This snapshot could not be stored: this text says why. All else goes on.
    NoSnapshot(OperationId, &'a [u8]),
}

impl<'a> DiskOutcome<'a> {
    /// The outcome as a body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (outcome, operation, rest): (u8, _, &[u8]) = match self {
            Self::Done(operation, bytes) => (0, *operation, bytes),
            Self::Full => (1, OperationId::default(), &[]),
            Self::Failed(text) => (2, OperationId::default(), text),
            Self::NoSnapshot(operation, text) => (3, *operation, text),
        };
        let mut out = vec![outcome];
        numbered(&mut out, operation);
        out.extend_from_slice(rest);
        out
    }

    /// The outcome in a body, if it is one.
    #[must_use]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut fields = Reader::new(body);
        let outcome = fields.u8()?;
        let operation = fields.operation()?;
        Some(match outcome {
            0 => Self::Done(operation, fields.rest()),
            1 => Self::Full,
            2 => Self::Failed(fields.rest()),
            3 => Self::NoSnapshot(operation, fields.rest()),
            _ => return None,
        })
    }
}

/// All of the body of an `S` that asks for the service's state: the kind.
pub(super) const SERVICE_STATE: [u8; 1] = [5];

/// A committed frame for the service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceCall<'a> {
    /// Where the frame begins.
    pub position: Position,
    /// Its cluster time.
    pub time: LogTime,
    /// What it is.
    pub delivery: Delivery,
    /// The message, if it is one.
    pub payload: &'a [u8],
}

impl<'a> ServiceCall<'a> {
    /// The call as a body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, session, number) = match self.delivery {
            Delivery::SessionOpened { session, client } => (1, session, client.0),
            Delivery::SessionClosed { session, reason } => (2, session, code(reason)),
            Delivery::Message { session, sequence, .. } => (3, session, sequence),
            Delivery::Timer { timer } => (4, SessionId::NONE, timer),
        };
        let mut out = vec![kind];
        for word in [self.position.0, self.time.0, session.0, number] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(self.payload);
        out
    }

    /// The call in a body, if it is one.
    #[must_use]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut fields = Reader::new(body);
        let kind = fields.u8()?;
        let (position, time) = (Position(fields.u64()?), LogTime(fields.u64()?));
        let (session, number) = (SessionId(fields.u64()?), fields.u64()?);
        let delivery = match kind {
            1 => Delivery::SessionOpened { session, client: ClientKey(number) },
            2 => Delivery::SessionClosed { session, reason: reason(number) },
            3 => Delivery::Message {
                session,
                sequence: number,
                payload: PositionRange::default(),
                source: Source::Member,
            },
            4 => Delivery::Timer { timer: number },
            _ => return None,
        };
        Some(Self { position, time, delivery, payload: fields.rest() })
    }
}

fn code(reason: SessionCloseReason) -> u64 {
    match reason {
        SessionCloseReason::Client => 0,
        SessionCloseReason::TimedOut => 1,
        SessionCloseReason::Unknown(code) => 256 + u64::from(code),
    }
}

fn reason(code: u64) -> SessionCloseReason {
    match code {
        0 => SessionCloseReason::Client,
        1 => SessionCloseReason::TimedOut,
        other => SessionCloseReason::Unknown((other & 0xff) as u8),
    }
}

/// What the service did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ServiceOutcome<'a> {
    /// It took the frame in.
    Done {
        /// Timers that it wants, each by its number: after how many nanoseconds of cluster time,
        /// or not any more.
        timers: Vec<(u64, Option<u64>)>,
        /// The reply, if the frame was a message.
        reply: &'a [u8],
    },
    /// It cannot go on: the member has to stop.
    Failed(&'a [u8]),
}

impl<'a> ServiceOutcome<'a> {
    /// The outcome as a body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (timers, reply) = match self {
            Self::Failed(text) => return [&[2][..], text].concat(),
            Self::Done { timers, reply } => (timers, reply),
        };
        let mut out = vec![0];
        out.extend_from_slice(&(timers.len() as u64).to_le_bytes());
        for (timer, delay) in timers {
            out.push(u8::from(delay.is_some()));
            out.extend_from_slice(&timer.to_le_bytes());
            out.extend_from_slice(&delay.unwrap_or_default().to_le_bytes());
        }
        out.extend_from_slice(reply);
        out
    }

    /// The outcome in a body, if it is one.
    #[must_use]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut fields = Reader::new(body);
        match fields.u8()? {
            0 => {
                let mut timers = Vec::new();
                for _ in 0..fields.u64()? {
                    let scheduled = fields.u8()? != 0;
                    let (timer, delay) = (fields.u64()?, fields.u64()?);
                    timers.push((timer, scheduled.then_some(delay)));
                }
                Some(Self::Done { timers, reply: fields.rest() })
            }
            2 => Some(Self::Failed(fields.rest())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_sim::Dice;

    const OPERATION: OperationId = OperationId { boot_epoch: BootEpoch(3), sequence: 9 };

    #[test]
    fn bodies_come_back_as_they_were_written() {
        let range = PositionRange { start: Position(8), end: Position(64) };
        for request in [
            DiskRequest::Append(Position(640), b"bytes"),
            DiskRequest::Sync(OPERATION),
            DiskRequest::Vote(OPERATION, b"{}"),
            DiskRequest::History(OPERATION, b"{}"),
            DiskRequest::Peers(OPERATION, b"[]"),
            DiskRequest::Read(OPERATION, range),
            DiskRequest::Snapshot(OPERATION, b"core", b"service"),
            DiskRequest::Snapshot(OPERATION, b"", b""),
        ] {
            assert_eq!(DiskRequest::parse(&request.to_bytes()), Some(request));
        }
        for outcome in [
            DiskOutcome::Done(OPERATION, b"read"),
            DiskOutcome::Full,
            DiskOutcome::Failed(b"why"),
            DiskOutcome::NoSnapshot(OPERATION, b"why"),
        ] {
            assert_eq!(DiskOutcome::parse(&outcome.to_bytes()), Some(outcome));
        }
        let timers = vec![(1, Some(5)), (2, None)];
        for outcome in
            [ServiceOutcome::Done { timers, reply: b"yes" }, ServiceOutcome::Failed(b"why")]
        {
            assert_eq!(ServiceOutcome::parse(&outcome.to_bytes()), Some(outcome));
        }
        let session = SessionId(5);
        let (payload, source) = (PositionRange::default(), Source::Member);
        for delivery in [
            Delivery::SessionOpened { session, client: ClientKey(4) },
            Delivery::SessionClosed { session, reason: SessionCloseReason::TimedOut },
            Delivery::SessionClosed { session, reason: SessionCloseReason::Unknown(7) },
            Delivery::Message { session, sequence: 2, payload, source },
            Delivery::Timer { timer: 3 },
        ] {
            let (position, time) = (Position(1), LogTime(2));
            let call = ServiceCall { position, time, delivery, payload: b"message" };
            assert_eq!(ServiceCall::parse(&call.to_bytes()), Some(call));
        }
    }

    #[test]
    fn no_body_makes_it_panic_or_allocate_by_what_it_claims() {
        let mut dice = Dice::new(1, "bodies");
        for _ in 0..5_000 {
            let length = dice.below(60) as usize;
            let mut body: Vec<u8> = (0..length).map(|_| dice.bits() as u8).collect();
            if let Some(first) = body.first_mut() {
                *first = dice.pick(b"asvhprn\x00\x01\x02\x03\x04\x05");
            }
            let _ = DiskRequest::parse(&body);
            let _ = DiskOutcome::parse(&body);
            let _ = ServiceCall::parse(&body);
            let _ = ServiceOutcome::parse(&body);
        }
        let longer = DiskRequest::Snapshot(OPERATION, b"core", b"").to_bytes();
        assert_eq!(DiskRequest::parse(&longer[..longer.len() - 1]), None);
        let claims = [&[0_u8][..], &u64::MAX.to_le_bytes()].concat();
        assert_eq!(ServiceOutcome::parse(&claims), None);
    }
}
