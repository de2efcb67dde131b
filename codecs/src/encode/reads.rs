//! Reads, and where they see the log.

use quorate_core::{Message, ReadLevel, ReadOutcome, ReadRefusal};

use crate::generated as wire;

pub(super) fn write(message: &Message, body: &mut [u8]) -> Option<()> {
    match message {
        Message::ReadRequest { number, level, payload } => {
            let mut request = wire::ReadRequestEncoder::wrap(body)?;
            request.set_number(*number);
            write_level(&mut request, *level);
            let mut group = request.into_payload(u16::try_from(payload.len()).ok()?)?;
            for &byte in payload {
                group.next_entry()?.set_byte(byte);
            }
        }
        Message::ReadReply { number, outcome } => {
            let mut reply = wire::ReadReplyEncoder::wrap(body)?;
            reply.set_number(*number);
            write_outcome(&mut reply, outcome);
            let payload: &[u8] = outcome.as_ref().map_or(&[], |answer| &answer.payload);
            let mut group = reply.into_payload(u16::try_from(payload.len()).ok()?)?;
            for &byte in payload {
                group.next_entry()?.set_byte(byte);
            }
        }
        Message::ReadIndexRequest { number } => {
            wire::ReadIndexRequestEncoder::wrap(body)?.set_number(*number);
        }
        Message::ReadIndexReply { number, index } => {
            wire::ReadIndexReplyEncoder::wrap(body)?.set_number(*number).set_index(index.0);
        }
        _ => return None,
    }
    Some(())
}

fn write_level(request: &mut wire::ReadRequestEncoder<'_>, level: ReadLevel) {
    match level {
        ReadLevel::Linearizable => request.set_level(wire::ReadLevel::Linearizable),
        ReadLevel::Lease => request.set_level(wire::ReadLevel::Lease),
        ReadLevel::Session { least } => {
            request.set_level(wire::ReadLevel::Session).set_least(least.0)
        }
        ReadLevel::Stale { bound } => request.set_level(wire::ReadLevel::Stale).set_bound(bound.0),
    };
}

fn write_outcome(reply: &mut wire::ReadReplyEncoder<'_>, outcome: &ReadOutcome) {
    let result = match outcome {
        Ok(answer) => {
            reply.set_applied(answer.applied.0).set_value(answer.age.0);
            wire::ReadResult::Answer
        }
        Err(ReadRefusal::Busy) => wire::ReadResult::Busy,
        Err(ReadRefusal::TooLong { limit }) => {
            reply.set_value(*limit);
            wire::ReadResult::TooLong
        }
        Err(ReadRefusal::Unconfirmed) => wire::ReadResult::Unconfirmed,
        Err(ReadRefusal::Behind { applied }) => {
            reply.set_applied(applied.0);
            wire::ReadResult::Behind
        }
        Err(ReadRefusal::TooOld { age }) => {
            reply.set_value(age.0);
            wire::ReadResult::TooOld
        }
        Err(ReadRefusal::Unsupported) => wire::ReadResult::Unsupported,
        Err(ReadRefusal::Failed) => wire::ReadResult::Failed,
        Err(ReadRefusal::Stopping) => wire::ReadResult::Stopping,
    };
    reply.set_result(result);
}
