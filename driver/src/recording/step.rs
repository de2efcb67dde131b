//! One step of a recording: when, what happened, and the hash of all actions before it.

use core::fmt;

use quorate_codecs::{DecodeError, decode};
use quorate_core::{
    Endpoint, Event, GroupTag, Instant, LogTime, MemberId, OperationId, Outputs, Position,
    SessionId, SnapshotManifest,
};

use super::changes;
use super::fields::{Reader, Writer};
use super::reads;

const TIMER: u8 = 1;
const FLUSH: u8 = 2;
const RECEIVED: u8 = 3;
const DURABLE: u8 = 4;
const LOG_READ: u8 = 5;
const APPLIED: u8 = 6;
const STORAGE_FULL: u8 = 7;
const STORAGE_FAILED: u8 = 8;
const SERVICE_FAILED: u8 = 9;
const SHUTDOWN: u8 = 10;
const TRANSFER: u8 = 11;
const TAKE_SNAPSHOT: u8 = 12;
const SNAPSHOT_FAILED: u8 = 13;
const SNAPSHOT_READ: u8 = 14;
const SNAPSHOT_WHOLE: u8 = 15;
const READ: u8 = 16;
const READ_SERVED: u8 = 17;
const CHANGE_MEMBERSHIP: u8 = 20;
/// The record behind the last step.
pub(super) const ENDING: u8 = 255;

/// One step of the recorded member.
#[derive(Debug)]
pub struct Step<'a> {
    /// The number of the step, from 1 on.
    pub number: u64,
    /// The time that the member was told.
    pub now: Instant,
    /// The hash of the actions of all steps before this one.
    pub hash_before: u64,
    /// What happened.
    pub input: Input<'a>,
}

/// What happened to the recorded member.
pub enum Input<'a> {
    /// A datagram was received, as its bytes.
    Datagram {
        /// Where it came from.
        source: Endpoint,
        /// All of it.
        bytes: &'a [u8],
    },
    /// Anything else.
    Event(Event<'a>),
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<'a> Input<'a> {
    /// A stable name in snake case.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Datagram { .. } | Self::Event(Event::Received { .. }) => "received",
            Self::Event(Event::Timer) => "timer",
            Self::Event(Event::Flush) => "flush",
            Self::Event(Event::Durable { .. }) => "durable",
            Self::Event(Event::LogRead { .. }) => "log_read",
            Self::Event(Event::Applied { .. }) => "applied",
            Self::Event(Event::StorageFull { .. }) => "storage_full",
            Self::Event(Event::StorageFailed) => "storage_failed",
            Self::Event(Event::ServiceFailed) => "service_failed",
            Self::Event(Event::Transfer { .. }) => "transfer",
            Self::Event(Event::ChangeMembership { .. }) => "change_membership",
            Self::Event(Event::Shutdown) => "shutdown",
            Self::Event(Event::TakeSnapshot) => "take_snapshot",
            Self::Event(Event::SnapshotFailed { .. }) => "snapshot_failed",
            Self::Event(Event::SnapshotRead { .. }) => "snapshot_read",
            Self::Event(Event::SnapshotWhole { .. }) => "snapshot_whole",
            Self::Event(Event::Read { .. }) => "read",
            Self::Event(Event::ReadServed { .. }) => "read_served",
        }
    }

    /// The event for the core; a datagram is decoded again.
    ///
    /// # Errors
    /// The datagram is none of the group that `tag` names.
    pub fn into_event(self, tag: GroupTag) -> Result<Event<'a>, DecodeError> {
        match self {
            Self::Event(event) => Ok(event),
            Self::Datagram { source, bytes } => {
                let (sender, content) = decode(bytes, tag)?;
                Ok(Event::Received { sender, source, content })
            }
        }
    }
}

/// What every step begins with.
fn write_front(kind: u8, hash: u64, now: Instant, out: &mut Writer) {
    out.u8(kind);
    out.u64(hash);
    out.u64(now.0);
}

/// Writes a received datagram.
pub(super) fn write_datagram(
    hash: u64,
    now: Instant,
    source: Endpoint,
    bytes: &[u8],
    out: &mut Writer,
) {
    write_front(RECEIVED, hash, now, out);
    out.bytes(&source.0);
    out.bytes(bytes);
}

/// Writes an event; `false` for a received datagram, which is written as its bytes.
pub(super) fn write_event(hash: u64, now: Instant, event: &Event<'_>, out: &mut Writer) -> bool {
    let mut front = |kind| write_front(kind, hash, now, out);
    match event {
        Event::Received { .. } => return false,
        Event::Timer => front(TIMER),
        Event::Flush => front(FLUSH),
        Event::StorageFailed => front(STORAGE_FAILED),
        Event::ServiceFailed => front(SERVICE_FAILED),
        Event::Shutdown => front(SHUTDOWN),
        Event::Transfer { request, target } => {
            front(TRANSFER);
            write_transfer(*request, *target, out);
        }
        Event::ChangeMembership { request, change } => {
            front(CHANGE_MEMBERSHIP);
            out.u64(*request);
            changes::write_change(change, out);
        }
        Event::TakeSnapshot => front(TAKE_SNAPSHOT),
        Event::SnapshotFailed { operation } => {
            front(SNAPSHOT_FAILED);
            out.operation(*operation);
        }
        Event::Durable { operation } => {
            front(DURABLE);
            out.operation(*operation);
        }
        Event::LogRead { operation, bytes } => {
            front(LOG_READ);
            write_bytes_of(*operation, bytes, out);
        }
        Event::SnapshotRead { operation, manifest, bytes } => {
            front(SNAPSHOT_READ);
            out.operation(*operation);
            write_manifest(manifest.as_ref(), out);
            out.bytes(bytes);
        }
        Event::SnapshotWhole { operation, core } => {
            front(SNAPSHOT_WHOLE);
            write_bytes_of(*operation, core, out);
        }
        Event::StorageFull { position } => {
            front(STORAGE_FULL);
            out.u64(position.0);
        }
        Event::Read { token, level, payload } => {
            front(READ);
            reads::write_read((*token, *level), payload, out);
        }
        Event::ReadServed { number, answer } => {
            front(READ_SERVED);
            reads::write_served(*number, *answer, out);
        }
        Event::Applied { through, outputs } => {
            front(APPLIED);
            write_outputs(*through, outputs, out);
        }
    }
    true
}

fn write_transfer(request: u64, target: Option<MemberId>, out: &mut Writer) {
    out.u64(request);
    out.u8(u8::from(target.is_some()));
    out.u16(target.map_or(0, |target| target.0));
}

/// Writes what `operation` has read.
fn write_bytes_of(operation: OperationId, bytes: &[u8], out: &mut Writer) {
    out.operation(operation);
    out.bytes(bytes);
}

fn write_manifest(manifest: Option<&SnapshotManifest>, out: &mut Writer) {
    out.u8(u8::from(manifest.is_some()));
    if let Some(SnapshotManifest { point, core_bytes, service_bytes, digest }) = manifest {
        out.point(*point);
        for number in [*core_bytes, *service_bytes, *digest] {
            out.u64(number);
        }
    }
}

fn write_outputs(through: Position, outputs: &Outputs, out: &mut Writer) {
    out.u64(through.0);
    out.count(outputs.replies().count());
    for (session, sequence, payload) in outputs.replies() {
        out.u64(session.0);
        out.u64(sequence);
        out.count(payload.len());
        out.bytes(payload);
    }
    for (timer, deadline) in outputs.timers() {
        out.u64(timer);
        out.u8(u8::from(deadline.is_some()));
        out.u64(deadline.map_or(0, |deadline| deadline.0));
    }
}

/// Reads a step; `outputs` keeps those of an [`Event::Applied`].
pub(super) fn read<'a>(
    number: u64,
    kind: u8,
    fields: &mut Reader<'a>,
    outputs: &'a mut Outputs,
) -> Option<Step<'a>> {
    let (hash_before, now) = (fields.u64()?, Instant(fields.u64()?));
    let input = match kind {
        TIMER => Input::Event(Event::Timer),
        FLUSH => Input::Event(Event::Flush),
        RECEIVED => Input::Datagram { source: fields.endpoint()?, bytes: fields.rest() },
        DURABLE => Input::Event(Event::Durable { operation: fields.operation()? }),
        LOG_READ => {
            let operation = fields.operation()?;
            Input::Event(Event::LogRead { operation, bytes: fields.rest() })
        }
        APPLIED => {
            let through = fields.position()?;
            read_outputs(fields, outputs)?;
            Input::Event(Event::Applied { through, outputs })
        }
        STORAGE_FULL => Input::Event(Event::StorageFull { position: fields.position()? }),
        STORAGE_FAILED => Input::Event(Event::StorageFailed),
        SERVICE_FAILED => Input::Event(Event::ServiceFailed),
        SHUTDOWN => Input::Event(Event::Shutdown),
        TRANSFER => {
            let (request, named) = (fields.u64()?, fields.u8()? != 0);
            let target = Some(MemberId(fields.u16()?)).filter(|_| named);
            Input::Event(Event::Transfer { request, target })
        }
        CHANGE_MEMBERSHIP => {
            let request = fields.u64()?;
            let change = changes::read_change(fields)?;
            Input::Event(Event::ChangeMembership { request, change })
        }
        TAKE_SNAPSHOT => Input::Event(Event::TakeSnapshot),
        SNAPSHOT_FAILED => Input::Event(Event::SnapshotFailed { operation: fields.operation()? }),
        SNAPSHOT_READ => Input::Event(read_snapshot(fields)?),
        SNAPSHOT_WHOLE => {
            let operation = fields.operation()?;
            Input::Event(Event::SnapshotWhole { operation, core: fields.rest() })
        }
        READ => {
            let (token, level) = (fields.u64()?, reads::read_level(fields)?);
            Input::Event(Event::Read { token, level, payload: fields.rest() })
        }
        READ_SERVED => {
            let number = fields.u64()?;
            Input::Event(Event::ReadServed { number, answer: reads::read_answer(fields)? })
        }
        _ => return None,
    };
    fields.0.is_empty().then_some(Step { number, now, hash_before, input })
}

fn read_snapshot<'a>(fields: &mut Reader<'a>) -> Option<Event<'a>> {
    let operation = fields.operation()?;
    let manifest = match fields.u8()? {
        0 => None,
        _ => Some(read_manifest(fields)?),
    };
    Some(Event::SnapshotRead { operation, manifest, bytes: fields.rest() })
}

fn read_manifest(fields: &mut Reader<'_>) -> Option<SnapshotManifest> {
    let point = fields.point()?;
    let (core_bytes, service_bytes) = (fields.u64()?, fields.u64()?);
    Some(SnapshotManifest { point, core_bytes, service_bytes, digest: fields.u64()? })
}

fn read_outputs(fields: &mut Reader<'_>, outputs: &mut Outputs) -> Option<()> {
    outputs.clear();
    for _ in 0..fields.u32()? {
        let (session, sequence, length) = (SessionId(fields.u64()?), fields.u64()?, fields.u32()?);
        outputs.reply(session, sequence, fields.bytes(length as usize)?);
    }
    while !fields.0.is_empty() {
        match (fields.u64()?, fields.u8()?, fields.u64()?) {
            (timer, 0, _) => outputs.cancel_timer(timer),
            (timer, _, deadline) => outputs.schedule_timer(timer, LogTime(deadline)),
        }
    }
    Some(())
}
