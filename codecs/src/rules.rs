//! What must hold for the content of datagrams, whoever looks: encoders and decoders share it.

use quorate_core::frame::ALIGNMENT;
use quorate_core::message::{ConnectOutcome, EpochRange, HISTORY_PARTS_MAX, Live};
use quorate_core::read::READ_BYTES_MAX;
use quorate_core::{
    Message, Position, PositionRange, ReadLevel, ReadOutcome, ReadRefusal, Stream, mutant,
};

use crate::DecodeError;

/// Checks what a decoder of fields cannot see: positions, ranges, part numbers.
pub(crate) fn check(message: &Message) -> Result<(), DecodeError> {
    match message {
        Message::Canvass { key, .. }
        | Message::CanvassReply { key, .. }
        | Message::RequestVote { key, .. }
        | Message::RequestSuccession { key, .. }
        | Message::LevelGrant { key, .. } => positions(&[key.position]),
        Message::Heartbeat { newest, commit, chain_at, .. } => {
            positions(&[*newest, *commit, *chain_at])
        }
        Message::HistoryRequest { commit, .. } => positions(&[*commit]),
        Message::History { above, part, parts, lines, .. } => {
            if part >= parts || *parts > HISTORY_PARTS_MAX {
                return Err(DecodeError::Part);
            }
            positions(&[*above])?;
            lines.iter().try_for_each(|line| positions(&[line.base]))
        }
        Message::Acknowledge { durable, received, limit, commit, .. } => {
            positions(&[*durable, *received, *limit, *commit])
        }
        Message::Holding { held, durable, received, limit, commit, .. } => {
            positions(&[*held, *durable, *received, *limit, *commit])
        }
        Message::Application { received, limit, .. }
        | Message::Impaired { received, limit, .. } => positions(&[*received, *limit]),
        Message::Registered { newest, .. } => positions(&[*newest]),
        Message::Removed { position, .. } => positions(&[*position]),
        Message::Nak { ranges, .. } => ranges.iter().try_for_each(range),
        Message::Unavailable { range: gone, oldest, .. } => {
            range(gone)?;
            positions(&[*oldest])
        }
        Message::SnapshotRequest { above, .. } => positions(&[*above]),
        Message::SnapshotOffer { point, core_bytes, service_bytes, .. } => {
            positions(&[point.position, Position(core_bytes.saturating_add(*service_bytes))])
        }
        Message::Connect { session, ingress_start, .. } => {
            positions(&[Position(session.0), *ingress_start])
        }
        Message::ConnectReply { outcome, .. } => check_outcome(outcome),
        Message::StreamStatus { consumed, limit, .. } => positions(&[*consumed, *limit]),
        Message::StreamNewest { newest, .. } => positions(&[*newest]),
        Message::Close { session, .. } | Message::Closed { session, .. } => {
            positions(&[Position(session.0)])
        }
        Message::SyncReply { safe, .. } => positions(&[*safe]),
        Message::ReadRequest { level, payload, .. } => check_read(*level, payload),
        Message::ReadReply { outcome, .. } => check_read_outcome(outcome),
        Message::ReadIndexReply { index, .. } => positions(&[*index]),
        Message::Abdicate { .. }
        | Message::Ballot { .. }
        | Message::Campaign { .. }
        | Message::ReadIndexRequest { .. }
        | Message::SyncRequest { .. } => Ok(()),
    }
}

fn check_read(level: ReadLevel, payload: &[u8]) -> Result<(), DecodeError> {
    read_bytes(payload)?;
    match level {
        ReadLevel::Session { least } => positions(&[least]),
        ReadLevel::Linearizable | ReadLevel::Lease | ReadLevel::Stale { .. } => Ok(()),
    }
}

fn check_read_outcome(outcome: &ReadOutcome) -> Result<(), DecodeError> {
    match outcome {
        Ok(answer) => {
            read_bytes(&answer.payload)?;
            positions(&[answer.applied])
        }
        Err(ReadRefusal::Behind { applied }) => positions(&[*applied]),
        Err(_) => Ok(()),
    }
}

fn read_bytes(payload: &[u8]) -> Result<(), DecodeError> {
    if payload.len() > READ_BYTES_MAX { Err(DecodeError::Group) } else { Ok(()) }
}

fn check_outcome(outcome: &ConnectOutcome) -> Result<(), DecodeError> {
    match outcome {
        ConnectOutcome::Open { session, limit, .. } => positions(&[Position(session.0), *limit]),
        ConnectOutcome::SessionLost { session } => positions(&[Position(session.0)]),
        ConnectOutcome::MessageTooLarge { .. }
        | ConnectOutcome::NoQuorum { .. }
        | ConnectOutcome::Redirect { .. }
        | ConnectOutcome::RetryAfter { .. }
        | ConnectOutcome::SessionsExhausted => Ok(()),
    }
}

/// Checks a slice of a stream: slices of the log and of snapshots begin and end at multiples of 8
/// (rule 19).
pub(crate) fn check_data(
    stream: Stream,
    position: Position,
    length: usize,
    live: Option<Live>,
) -> Result<(), DecodeError> {
    let end = position.0.checked_add(length as u64).ok_or(DecodeError::Position)?;
    positions(&[position, Position(end)])?;
    let aligned = position.0.is_multiple_of(ALIGNMENT) && end.is_multiple_of(ALIGNMENT);
    let of_words = matches!(stream, Stream::Log | Stream::Snapshot);
    if of_words && !aligned && !mutant::is(mutant::SLICES_BETWEEN_WORDS) {
        return Err(DecodeError::Position);
    }
    live.map_or(Ok(()), |live| positions(&[live.newest, live.commit]))
}

fn positions(positions: &[Position]) -> Result<(), DecodeError> {
    // E96: sums of what is below the largest position never wrap.
    let sound = positions.iter().all(|position| *position <= Position::MAX);
    if sound { Ok(()) } else { Err(DecodeError::Position) }
}

fn range(range: &EpochRange) -> Result<(), DecodeError> {
    let PositionRange { start, end } = range.range;
    // Slices are cut at multiples of it, so nobody misses less (rule 19).
    let aligned = start.0.is_multiple_of(ALIGNMENT) && end.0.is_multiple_of(ALIGNMENT);
    if end < start || !aligned {
        return Err(DecodeError::Position);
    }
    positions(&[end])
}
