//! Reads, and where they see the log.

use alloc::vec::Vec;

use quorate_core::{Duration, Message, Position, ReadAnswer, ReadLevel, ReadOutcome, ReadRefusal};

use crate::DecodeError;
use crate::generated as wire;
use crate::generated::MessageHeader;

pub(super) fn read(header: MessageHeader, body: &[u8]) -> Result<Message, DecodeError> {
    Ok(match header.template_id {
        wire::ReadRequestDecoder::TEMPLATE_ID => {
            let read = wrap!(ReadRequestDecoder, header, body);
            let bytes = read.payload().map(|entry| entry.byte());
            let payload = collected(read.payload().count(), bytes);
            Message::ReadRequest { number: read.number(), level: level(&read)?, payload }
        }
        wire::ReadReplyDecoder::TEMPLATE_ID => {
            let read = wrap!(ReadReplyDecoder, header, body);
            Message::ReadReply { number: read.number(), outcome: outcome(&read)? }
        }
        wire::ReadIndexRequestDecoder::TEMPLATE_ID => {
            let read = wrap!(ReadIndexRequestDecoder, header, body);
            Message::ReadIndexRequest { number: read.number() }
        }
        wire::ReadIndexReplyDecoder::TEMPLATE_ID => {
            let read = wrap!(ReadIndexReplyDecoder, header, body);
            Message::ReadIndexReply { number: read.number(), index: Position(read.index()) }
        }
        _ => return Err(DecodeError::Template),
    })
}

/// So many bytes, all of which are there: no more is allocated than they take.
fn collected(count: usize, bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut collected = Vec::with_capacity(count);
    collected.extend(bytes);
    collected
}

fn level(read: &wire::ReadRequestDecoder<'_>) -> Result<ReadLevel, DecodeError> {
    match read.level() {
        wire::ReadLevel::Linearizable => Ok(ReadLevel::Linearizable),
        wire::ReadLevel::Lease => Ok(ReadLevel::Lease),
        wire::ReadLevel::Session => Ok(ReadLevel::Session { least: Position(read.least()) }),
        wire::ReadLevel::Stale => Ok(ReadLevel::Stale { bound: Duration(read.bound()) }),
        wire::ReadLevel::Unknown(_) => Err(DecodeError::Enumeration),
    }
}

fn outcome(read: &wire::ReadReplyDecoder<'_>) -> Result<ReadOutcome, DecodeError> {
    let (applied, value) = (Position(read.applied()), read.value());
    let refusal = match read.result() {
        wire::ReadResult::Answer => {
            let bytes = read.payload().map(|entry| entry.byte());
            let payload = collected(read.payload().count(), bytes);
            return Ok(Ok(ReadAnswer { applied, age: Duration(value), payload }));
        }
        wire::ReadResult::Busy => ReadRefusal::Busy,
        wire::ReadResult::TooLong => ReadRefusal::TooLong { limit: value },
        wire::ReadResult::Unconfirmed => ReadRefusal::Unconfirmed,
        wire::ReadResult::Behind => ReadRefusal::Behind { applied },
        wire::ReadResult::TooOld => ReadRefusal::TooOld { age: Duration(value) },
        wire::ReadResult::Unsupported => ReadRefusal::Unsupported,
        wire::ReadResult::Failed => ReadRefusal::Failed,
        wire::ReadResult::Stopping => ReadRefusal::Stopping,
        wire::ReadResult::Unknown(_) => return Err(DecodeError::Enumeration),
    };
    Ok(Err(refusal))
}
