//! What a recording says of reads.

use quorate_core::{Duration, Position, ReadLevel, ReadRefusal};

use super::fields::{Reader, Writer};

/// Each kind has a number, and one of its own: zero where it has none.
fn write_level(level: ReadLevel, out: &mut Writer) {
    let (kind, number) = match level {
        ReadLevel::Linearizable => (0, 0),
        ReadLevel::Lease => (1, 0),
        ReadLevel::Session { least } => (2, least.0),
        ReadLevel::Stale { bound } => (3, bound.0),
    };
    out.u8(kind);
    out.u64(number);
}

pub(super) fn write_read((token, level): (u64, ReadLevel), payload: &[u8], out: &mut Writer) {
    out.u64(token);
    write_level(level, out);
    out.bytes(payload);
}

pub(super) fn write_served(number: u64, answer: Result<&[u8], ReadRefusal>, out: &mut Writer) {
    out.u64(number);
    write_answer(answer, out);
}

pub(super) fn read_level(fields: &mut Reader<'_>) -> Option<ReadLevel> {
    Some(match (fields.u8()?, fields.u64()?) {
        (0, _) => ReadLevel::Linearizable,
        (1, _) => ReadLevel::Lease,
        (2, least) => ReadLevel::Session { least: Position(least) },
        (3, bound) => ReadLevel::Stale { bound: Duration(bound) },
        _ => return None,
    })
}

/// A refusal, or zero and the bytes.
fn write_answer(answer: Result<&[u8], ReadRefusal>, out: &mut Writer) {
    let (kind, number) = match answer {
        Ok(_) => (0, 0),
        Err(ReadRefusal::Busy) => (1, 0),
        Err(ReadRefusal::TooLong { limit }) => (2, limit),
        Err(ReadRefusal::Unconfirmed) => (3, 0),
        Err(ReadRefusal::Behind { applied }) => (4, applied.0),
        Err(ReadRefusal::TooOld { age }) => (5, age.0),
        Err(ReadRefusal::Unsupported) => (6, 0),
        Err(ReadRefusal::Failed) => (7, 0),
        Err(ReadRefusal::Stopping) => (8, 0),
    };
    out.u8(kind);
    out.u64(number);
    out.bytes(answer.unwrap_or_default());
}

pub(super) fn read_answer<'a>(fields: &mut Reader<'a>) -> Option<Result<&'a [u8], ReadRefusal>> {
    Some(Err(match (fields.u8()?, fields.u64()?) {
        (0, _) => return Some(Ok(fields.rest())),
        (1, _) => ReadRefusal::Busy,
        (2, limit) => ReadRefusal::TooLong { limit },
        (3, _) => ReadRefusal::Unconfirmed,
        (4, applied) => ReadRefusal::Behind { applied: Position(applied) },
        (5, age) => ReadRefusal::TooOld { age: Duration(age) },
        (6, _) => ReadRefusal::Unsupported,
        (7, _) => ReadRefusal::Failed,
        (8, _) => ReadRefusal::Stopping,
        _ => return None,
    }))
}
