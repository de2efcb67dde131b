//! From messages and slices to datagrams.

use quorate_core::frame::Level;
use quorate_core::message::{
    ConnectOutcome, HISTORY_LINES_MAX, HistoryLines, Live, NAK_RANGES_MAX, NakRanges,
};
use quorate_core::read::READ_BYTES_MAX;
use quorate_core::{Message, Position, Stream, VoteKey};

mod reads;

use crate::generated as wire;
use crate::{
    DATA_OVERHEAD_BYTES, DATAGRAM_BYTES_MAX, DecodeError, EncodeError, HEADER_BYTES, Header, rules,
};

/// Writes `message` as a datagram to the beginning of `buffer`; returns its length, which is at
/// most [`crate::CONTROL_BYTES_MAX`].
///
/// # Errors
/// [`EncodeError`]; then `buffer` holds nothing of use.
pub fn encode_control(
    header: &Header,
    message: &Message,
    buffer: &mut [u8],
) -> Result<usize, EncodeError> {
    let layout = Layout::of(message)?;
    rules::check(message).map_err(EncodeError::Refused)?;
    let needed = HEADER_BYTES + layout.block_length + layout.group_bytes;
    let room = buffer.len();
    let datagram = buffer.get_mut(..needed).ok_or(EncodeError::Room { needed, room })?;
    let body = &mut datagram[HEADER_BYTES..];
    write(message, body).ok_or(EncodeError::Room { needed, room })?;
    header.write(layout.template_id, layout.block_length, datagram);
    Ok(needed)
}

/// Writes a slice of a stream, in two parts because rings wrap, as a datagram to the beginning of
/// `buffer`; returns its length, [`DATA_OVERHEAD_BYTES`] more than the slice.
///
/// # Errors
/// [`EncodeError`]; then `buffer` holds nothing of use.
pub fn encode_data(
    header: &Header,
    stream: Stream,
    epoch: u64,
    position: Position,
    live: Option<Live>,
    slice: (&[u8], &[u8]),
    buffer: &mut [u8],
) -> Result<usize, EncodeError> {
    if live.is_some() && stream != Stream::Log {
        return Err(EncodeError::Live);
    }
    let length = slice.0.len() + slice.1.len();
    rules::check_data(stream, position, length, live).map_err(EncodeError::Refused)?;
    let needed = DATA_OVERHEAD_BYTES + length;
    let room = buffer.len().min(DATAGRAM_BYTES_MAX);
    let none = EncodeError::Room { needed, room };
    if needed > room {
        return Err(none);
    }
    let datagram = &mut buffer[..needed];
    let (front, bytes) = datagram.split_at_mut(DATA_OVERHEAD_BYTES);
    let (first, second) = bytes.split_at_mut(slice.0.len());
    first.copy_from_slice(slice.0);
    second.copy_from_slice(slice.1);
    let block = &mut front[HEADER_BYTES..];
    let (template_id, block_length) = if stream == Stream::Log {
        let mut data = wire::LogDataEncoder::wrap(block).ok_or(none)?;
        data.set_term(epoch).set_position(position.0);
        if let Some(live) = live {
            data.set_newest(live.newest.0).set_commit(live.commit.0);
        }
        (wire::LogDataEncoder::TEMPLATE_ID, wire::LogDataEncoder::BLOCK_LENGTH)
    } else {
        wire::SessionDataEncoder::wrap(block)
            .ok_or(none)?
            .set_connection(epoch)
            .set_position(position.0)
            .set_stream(stream.into());
        (wire::SessionDataEncoder::TEMPLATE_ID, wire::SessionDataEncoder::BLOCK_LENGTH)
    };
    header.write(template_id, block_length, datagram);
    Ok(needed)
}

/// What a message takes.
struct Layout {
    template_id: u16,
    block_length: usize,
    group_bytes: usize,
}

macro_rules! layout {
    ($encoder:ident, $group_bytes:expr) => {
        Layout {
            template_id: wire::$encoder::TEMPLATE_ID,
            block_length: wire::$encoder::BLOCK_LENGTH,
            group_bytes: $group_bytes,
        }
    };
}

impl Layout {
    fn of(message: &Message) -> Result<Self, EncodeError> {
        Ok(match message {
            Message::Canvass { .. } => layout!(CanvassEncoder, 0),
            Message::CanvassReply { .. } => layout!(CanvassReplyEncoder, 0),
            Message::RequestVote { .. } => layout!(RequestVoteEncoder, 0),
            Message::RequestSuccession { .. } => layout!(RequestSuccessionEncoder, 0),
            Message::Ballot { .. } => layout!(BallotEncoder, 0),
            Message::Heartbeat { .. } => layout!(HeartbeatEncoder, 0),
            Message::Abdicate { .. } => layout!(AbdicateEncoder, 0),
            Message::Campaign { .. } => layout!(CampaignEncoder, 0),
            Message::HistoryRequest { .. } => layout!(HistoryRequestEncoder, 0),
            Message::History { lines, .. } => {
                let count = bounded(lines.len(), HISTORY_LINES_MAX)?;
                layout!(HistoryEncoder, wire::HistoryLinesEncoder::bytes(count))
            }
            Message::Acknowledge { .. } => layout!(AcknowledgeEncoder, 0),
            Message::Application { .. } => layout!(ApplicationEncoder, 0),
            Message::Holding { .. } => layout!(HoldingEncoder, 0),
            Message::Impaired { .. } => layout!(ImpairedEncoder, 0),
            Message::Registered { .. } => layout!(RegisteredEncoder, 0),
            Message::Removed { .. } => layout!(RemovedEncoder, 0),
            Message::LevelGrant { .. } => layout!(LevelGrantEncoder, 0),
            Message::Nak { ranges, .. } => {
                let count = bounded(ranges.len(), NAK_RANGES_MAX)?;
                layout!(NakEncoder, wire::NakRangesEncoder::bytes(count))
            }
            Message::Unavailable { .. } => layout!(UnavailableEncoder, 0),
            Message::SnapshotRequest { .. } => layout!(SnapshotRequestEncoder, 0),
            Message::SnapshotOffer { .. } => layout!(SnapshotOfferEncoder, 0),
            Message::Connect { .. } => layout!(ConnectEncoder, 0),
            Message::ConnectReply { .. } => layout!(ConnectReplyEncoder, 0),
            Message::StreamStatus { .. } => layout!(StreamStatusEncoder, 0),
            Message::StreamNewest { .. } => layout!(StreamNewestEncoder, 0),
            Message::SyncRequest { .. } => layout!(SyncRequestEncoder, 0),
            Message::SyncReply { .. } => layout!(SyncReplyEncoder, 0),
            Message::ReadRequest { payload, .. } => {
                let count = bounded(payload.len(), READ_BYTES_MAX)?;
                layout!(ReadRequestEncoder, wire::ReadRequestPayloadEncoder::bytes(count))
            }
            Message::ReadReply { outcome, .. } => {
                let length = outcome.as_ref().map_or(0, |answer| answer.payload.len());
                let count = bounded(length, READ_BYTES_MAX)?;
                layout!(ReadReplyEncoder, wire::ReadReplyPayloadEncoder::bytes(count))
            }
            Message::ReadIndexRequest { .. } => layout!(ReadIndexRequestEncoder, 0),
            Message::ReadIndexReply { .. } => layout!(ReadIndexReplyEncoder, 0),
            Message::Close { .. } => layout!(CloseEncoder, 0),
            Message::Closed { .. } => layout!(ClosedEncoder, 0),
        })
    }
}

const fn bounded(count: usize, limit: usize) -> Result<usize, EncodeError> {
    if count > limit { Err(EncodeError::Count { count, limit }) } else { Ok(count) }
}

/// Writes the block and the groups of `message`; `None` when `body` is too small for it.
fn write(message: &Message, body: &mut [u8]) -> Option<()> {
    match message {
        Message::Connect { .. }
        | Message::ConnectReply { .. }
        | Message::StreamStatus { .. }
        | Message::StreamNewest { .. }
        | Message::SyncRequest { .. }
        | Message::SyncReply { .. }
        | Message::Close { .. }
        | Message::Closed { .. } => write_session(message, body),
        Message::Nak { .. }
        | Message::Unavailable { .. }
        | Message::SnapshotRequest { .. }
        | Message::SnapshotOffer { .. } => write_repair(message, body),
        Message::ReadRequest { .. }
        | Message::ReadReply { .. }
        | Message::ReadIndexRequest { .. }
        | Message::ReadIndexReply { .. } => reads::write(message, body),
        _ => write_election(message, body),
    }
}

fn write_election(message: &Message, body: &mut [u8]) -> Option<()> {
    match message {
        Message::Canvass { term, round, key } => {
            wire::CanvassEncoder::wrap(body)?
                .set_term(term.0)
                .set_round(*round)
                .set_key((*key).into());
        }
        Message::CanvassReply { term, round, granted, key } => {
            wire::CanvassReplyEncoder::wrap(body)?
                .set_term(term.0)
                .set_round(*round)
                .set_key((*key).into())
                .set_granted((*granted).into());
        }
        Message::RequestVote { term, key } => {
            wire::RequestVoteEncoder::wrap(body)?.set_term(term.0).set_key((*key).into());
        }
        Message::RequestSuccession { term, key, predecessor } => {
            wire::RequestSuccessionEncoder::wrap(body)?
                .set_term(term.0)
                .set_key((*key).into())
                .set_predecessor(predecessor.0);
        }
        Message::Ballot { term, candidate, granted, key } => {
            wire::BallotEncoder::wrap(body)?
                .set_term(term.0)
                .set_key((*key).into())
                .set_candidate(candidate.0)
                .set_granted((*granted).into());
        }
        _ => return write_leadership(message, body),
    }
    Some(())
}

fn write_leadership(message: &Message, body: &mut [u8]) -> Option<()> {
    match message {
        Message::Heartbeat { term, round, newest, commit, chain_at, chain } => {
            wire::HeartbeatEncoder::wrap(body)?
                .set_term(term.0)
                .set_round(*round)
                .set_newest(newest.0)
                .set_commit(commit.0)
                .set_chain_at(chain_at.0)
                .set_chain(chain.0);
        }
        Message::Abdicate { term } => {
            wire::AbdicateEncoder::wrap(body)?.set_term(term.0);
        }
        Message::Campaign { term, round } => {
            wire::CampaignEncoder::wrap(body)?.set_term(term.0).set_round(*round);
        }
        Message::HistoryRequest { term, commit } => {
            wire::HistoryRequestEncoder::wrap(body)?.set_term(term.0).set_commit(commit.0);
        }
        Message::History { term, above, part, parts, checksum, lines } => {
            let mut history = wire::HistoryEncoder::wrap(body)?;
            history
                .set_term(term.0)
                .set_above(above.0)
                .set_checksum(*checksum)
                .set_part(*part)
                .set_parts(*parts);
            write_lines(history, lines)?;
        }
        Message::Acknowledge { term, sequence, round, durable, received, limit, commit } => {
            wire::AcknowledgeEncoder::wrap(body)?
                .set_term(term.0)
                .set_sequence(*sequence)
                .set_round(*round)
                .set_durable(durable.0)
                .set_received(received.0)
                .set_limit(limit.0)
                .set_commit(commit.0);
        }
        Message::Application { term, sequence, received, limit } => {
            wire::ApplicationEncoder::wrap(body)?
                .set_term(term.0)
                .set_sequence(*sequence)
                .set_received(received.0)
                .set_limit(limit.0);
        }
        _ => return write_levels(message, body),
    }
    Some(())
}

/// What is said only where bytes may be in memory only.
fn write_levels(message: &Message, body: &mut [u8]) -> Option<()> {
    match message {
        Message::Holding { term, sequence, round, held, durable, received, limit, commit } => {
            wire::HoldingEncoder::wrap(body)?
                .set_term(term.0)
                .set_sequence(*sequence)
                .set_round(*round)
                .set_held(held.0)
                .set_durable(durable.0)
                .set_received(received.0)
                .set_limit(limit.0)
                .set_commit(commit.0);
        }
        Message::Impaired { term, sequence, round, received, limit } => {
            wire::ImpairedEncoder::wrap(body)?
                .set_term(term.0)
                .set_sequence(*sequence)
                .set_round(*round)
                .set_received(received.0)
                .set_limit(limit.0);
        }
        Message::Registered { term, boot_epoch, newest } => {
            wire::RegisteredEncoder::wrap(body)?
                .set_term(term.0)
                .set_boot_epoch(boot_epoch.0)
                .set_newest(newest.0);
        }
        Message::Removed { term, position, incarnation } => {
            wire::RemovedEncoder::wrap(body)?
                .set_term(term.0)
                .set_position(position.0)
                .set_incarnation(incarnation.0);
        }
        Message::LevelGrant { term, round, candidate, line, key, level, impaired } => {
            wire::LevelGrantEncoder::wrap(body)?
                .set_term(term.0)
                .set_round(*round)
                .set_line(line.0)
                .set_key((*key).into())
                .set_candidate(candidate.0)
                .set_level((*level).into())
                .set_impaired((*impaired).into());
        }
        _ => return None,
    }
    Some(())
}

fn write_lines(history: wire::HistoryEncoder<'_>, lines: &HistoryLines) -> Option<()> {
    let mut group = history.into_lines(u16::try_from(lines.len()).ok()?)?;
    for line in lines {
        group
            .next_entry()?
            .set_term(line.term.0)
            .set_base(line.base.0)
            .set_chain(line.chain.0)
            .set_boot_epoch(line.leader.boot_epoch.0)
            .set_incarnation(line.leader.incarnation.0)
            .set_recovery_epoch(line.recovery_epoch.0)
            .set_member(line.leader.member.0);
    }
    Some(())
}

fn write_repair(message: &Message, body: &mut [u8]) -> Option<()> {
    match message {
        Message::Nak { stream, ranges } => {
            let mut nak = wire::NakEncoder::wrap(body)?;
            nak.set_stream((*stream).into());
            write_ranges(nak, ranges)?;
        }
        Message::Unavailable { stream, range, oldest } => {
            wire::UnavailableEncoder::wrap(body)?
                .set_stream((*stream).into())
                .set_epoch(range.epoch)
                .set_start(range.range.start.0)
                .set_end(range.range.end.0)
                .set_oldest(oldest.0);
        }
        Message::SnapshotRequest { term, above } => {
            wire::SnapshotRequestEncoder::wrap(body)?.set_term(term.0).set_above(above.0);
        }
        Message::SnapshotOffer { term, point, core_bytes, service_bytes, digest } => {
            wire::SnapshotOfferEncoder::wrap(body)?
                .set_term(term.0)
                .set_position(point.position.0)
                .set_point_term(point.term.0)
                .set_chain(point.chain.0)
                .set_time(point.time.0)
                .set_core_bytes(*core_bytes)
                .set_service_bytes(*service_bytes)
                .set_digest(*digest);
        }
        _ => return None,
    }
    Some(())
}

fn write_ranges(nak: wire::NakEncoder<'_>, ranges: &NakRanges) -> Option<()> {
    let mut group = nak.into_ranges(u16::try_from(ranges.len()).ok()?)?;
    for range in ranges {
        group
            .next_entry()?
            .set_epoch(range.epoch)
            .set_start(range.range.start.0)
            .set_end(range.range.end.0);
    }
    Some(())
}

fn write_session(message: &Message, body: &mut [u8]) -> Option<()> {
    match message {
        Message::Connect { connection, session, ingress_start, unanswered } => {
            wire::ConnectEncoder::wrap(body)?
                .set_connection(*connection)
                .set_session(session.0)
                .set_ingress_start(ingress_start.0)
                .set_unanswered(*unanswered);
        }
        Message::ConnectReply { connection, outcome } => {
            let mut reply = wire::ConnectReplyEncoder::wrap(body)?;
            reply.set_connection(*connection);
            write_outcome(reply, *outcome);
        }
        Message::StreamStatus { stream, epoch, consumed, limit } => {
            wire::StreamStatusEncoder::wrap(body)?
                .set_stream((*stream).into())
                .set_epoch(*epoch)
                .set_consumed(consumed.0)
                .set_limit(limit.0);
        }
        Message::StreamNewest { stream, epoch, newest } => {
            wire::StreamNewestEncoder::wrap(body)?
                .set_stream((*stream).into())
                .set_epoch(*epoch)
                .set_newest(newest.0);
        }
        Message::SyncRequest { epoch } => {
            wire::SyncRequestEncoder::wrap(body)?.set_epoch(*epoch);
        }
        Message::SyncReply { epoch, safe } => {
            wire::SyncReplyEncoder::wrap(body)?.set_epoch(*epoch).set_safe(safe.0);
        }
        Message::Close { connection, session } => {
            wire::CloseEncoder::wrap(body)?.set_connection(*connection).set_session(session.0);
        }
        Message::Closed { connection, session } => {
            wire::ClosedEncoder::wrap(body)?.set_connection(*connection).set_session(session.0);
        }
        _ => return None,
    }
    Some(())
}

fn write_outcome(mut reply: wire::ConnectReplyEncoder<'_>, outcome: ConnectOutcome) {
    match outcome {
        ConnectOutcome::Open { session, leader, term, limit } => {
            reply
                .set_outcome(wire::Outcome::Open)
                .set_session(session.0)
                .set_leader(leader.0)
                .set_term(term.0)
                .set_limit(limit.0);
        }
        ConnectOutcome::Redirect { leader, term, endpoint } => {
            reply
                .set_outcome(wire::Outcome::Redirect)
                .set_leader(leader.0)
                .set_term(term.0)
                .set_endpoint(endpoint.0);
        }
        ConnectOutcome::RetryAfter { nanos } => {
            reply.set_outcome(wire::Outcome::RetryAfter).set_retry_after(nanos);
        }
        ConnectOutcome::NoQuorum { nanos } => {
            reply.set_outcome(wire::Outcome::NoQuorum).set_retry_after(nanos);
        }
        ConnectOutcome::SessionsExhausted => {
            reply.set_outcome(wire::Outcome::SessionsExhausted);
        }
        ConnectOutcome::MessageTooLarge { limit } => {
            reply.set_outcome(wire::Outcome::MessageTooLarge).set_limit(limit);
        }
        ConnectOutcome::SessionLost { session } => {
            reply.set_outcome(wire::Outcome::SessionLost).set_session(session.0);
        }
    }
}

impl From<Stream> for wire::Stream {
    fn from(stream: Stream) -> Self {
        let (client, kind) = match stream {
            Stream::Log => (0, wire::StreamKind::Log),
            Stream::Ingress(key) => (key.0, wire::StreamKind::Ingress),
            Stream::Egress(key) => (key.0, wire::StreamKind::Egress),
            Stream::Snapshot => (0, wire::StreamKind::Snapshot),
        };
        Self { client, kind }
    }
}

impl From<VoteKey> for wire::VoteKey {
    fn from(key: VoteKey) -> Self {
        Self { term: key.term.0, position: key.position.0 }
    }
}

impl From<Level> for wire::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Durable => Self::Durable,
            Level::Volatile => Self::Volatile,
            Level::Unknown(code) => Self::Unknown(code),
        }
    }
}

impl From<bool> for wire::Boolean {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl From<wire::Malformed> for DecodeError {
    fn from(malformed: wire::Malformed) -> Self {
        match malformed {
            wire::Malformed::Block => Self::Block,
            wire::Malformed::Group => Self::Group,
            wire::Malformed::Truncated => Self::Truncated,
        }
    }
}
