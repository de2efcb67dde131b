//! From datagrams to messages and slices.

use quorate_core::frame::Level;
use quorate_core::message::{ConnectOutcome, EpochRange, HistoryLines, Live};
use quorate_core::{
    BootEpoch, Chain, ClientKey, Endpoint, GroupTag, Incarnation, Incoming, Life, LogTime,
    MemberId, Message, Position, PositionRange, RecoveryEpoch, Sender, SessionId, SnapshotPoint,
    Stream, Term, TermLine, VoteKey, mutant,
};

use crate::generated as wire;
use crate::generated::MessageHeader;
use crate::{DecodeError, header, rules};

/// Reads `datagram`, which must be of the group and recovery epoch `expected`. What is returned is
/// sound as far as it can be without knowledge of the log.
///
/// # Errors
/// [`DecodeError`]: the first thing that is wrong, looked for from cheap to dear.
pub fn decode(datagram: &[u8], expected: GroupTag) -> Result<(Sender, Incoming<'_>), DecodeError> {
    let (sender, header, body) = header::read(datagram, expected)?;
    let content = match header.template_id {
        wire::LogDataDecoder::TEMPLATE_ID => log_data(header, body)?,
        wire::SessionDataDecoder::TEMPLATE_ID => session_data(header, body)?,
        _ => {
            let message = control(header, body)?;
            rules::check(&message)?;
            Incoming::Control(message)
        }
    };
    Ok((sender, content))
}

fn log_data(header: MessageHeader, body: &[u8]) -> Result<Incoming<'_>, DecodeError> {
    let data = wire::LogDataDecoder::wrap(body, header.block_length, header.version)?;
    let live = match (data.newest(), data.commit()) {
        (Some(newest), Some(commit)) => {
            Some(Live { newest: Position(newest), commit: Position(commit) })
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(DecodeError::Position),
    };
    let (stream, position) = (Stream::Log, Position(data.position()));
    let slice = slice(header, body)?;
    rules::check_data(stream, position, slice.len(), live)?;
    Ok(Incoming::Data { stream, epoch: data.term(), position, live, slice })
}

fn session_data(header: MessageHeader, body: &[u8]) -> Result<Incoming<'_>, DecodeError> {
    let data = wire::SessionDataDecoder::wrap(body, header.block_length, header.version)?;
    let stream = stream(data.stream())?;
    if stream == Stream::Log {
        return Err(DecodeError::Enumeration);
    }
    let position = Position(data.position());
    let slice = slice(header, body)?;
    rules::check_data(stream, position, slice.len(), None)?;
    Ok(Incoming::Data { stream, epoch: data.connection(), position, live: None, slice })
}

/// A data message has no groups: what follows its block, however long that is, is the slice.
fn slice(header: MessageHeader, body: &[u8]) -> Result<&[u8], DecodeError> {
    body.get(usize::from(header.block_length)..).ok_or(DecodeError::Truncated)
}

macro_rules! wrap {
    ($decoder:ident, $header:ident, $body:ident) => {
        wire::$decoder::wrap($body, $header.block_length, $header.version)?
    };
}

mod reads;

fn control(header: MessageHeader, body: &[u8]) -> Result<Message, DecodeError> {
    if mutant::is(mutant::CLAIMED_COUNT_RESERVES) {
        let behind = body.get(usize::from(header.block_length) + 2..).unwrap_or_default();
        let count = behind.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
        core::hint::black_box(HistoryLines::with_capacity(count.into()));
    }
    match header.template_id {
        wire::CanvassDecoder::TEMPLATE_ID
        | wire::CanvassReplyDecoder::TEMPLATE_ID
        | wire::RequestVoteDecoder::TEMPLATE_ID
        | wire::RequestSuccessionDecoder::TEMPLATE_ID
        | wire::BallotDecoder::TEMPLATE_ID => election(header, body),
        wire::HoldingDecoder::TEMPLATE_ID
        | wire::ImpairedDecoder::TEMPLATE_ID
        | wire::RegisteredDecoder::TEMPLATE_ID
        | wire::LevelGrantDecoder::TEMPLATE_ID => levels(header, body),
        wire::HeartbeatDecoder::TEMPLATE_ID
        | wire::AbdicateDecoder::TEMPLATE_ID
        | wire::CampaignDecoder::TEMPLATE_ID
        | wire::HistoryRequestDecoder::TEMPLATE_ID
        | wire::HistoryDecoder::TEMPLATE_ID
        | wire::RemovedDecoder::TEMPLATE_ID => leadership(header, body),
        wire::AcknowledgeDecoder::TEMPLATE_ID | wire::ApplicationDecoder::TEMPLATE_ID => {
            progress(header, body)
        }
        wire::NakDecoder::TEMPLATE_ID
        | wire::UnavailableDecoder::TEMPLATE_ID
        | wire::SnapshotRequestDecoder::TEMPLATE_ID
        | wire::SnapshotOfferDecoder::TEMPLATE_ID
        | wire::SnapshotDigestDecoder::TEMPLATE_ID => repair(header, body),
        wire::ReadRequestDecoder::TEMPLATE_ID
        | wire::ReadReplyDecoder::TEMPLATE_ID
        | wire::ReadIndexRequestDecoder::TEMPLATE_ID
        | wire::ReadIndexReplyDecoder::TEMPLATE_ID => reads::read(header, body),
        _ => session(header, body),
    }
}

fn election(header: MessageHeader, body: &[u8]) -> Result<Message, DecodeError> {
    Ok(match header.template_id {
        wire::CanvassDecoder::TEMPLATE_ID => {
            let read = wrap!(CanvassDecoder, header, body);
            Message::Canvass {
                term: Term(read.term()),
                round: read.round(),
                key: read.key().into(),
            }
        }
        wire::CanvassReplyDecoder::TEMPLATE_ID => {
            let read = wrap!(CanvassReplyDecoder, header, body);
            Message::CanvassReply {
                term: Term(read.term()),
                round: read.round(),
                granted: yes(read.granted())?,
                key: read.key().into(),
            }
        }
        wire::RequestVoteDecoder::TEMPLATE_ID => {
            let read = wrap!(RequestVoteDecoder, header, body);
            Message::RequestVote { term: Term(read.term()), key: read.key().into() }
        }
        wire::RequestSuccessionDecoder::TEMPLATE_ID => {
            let read = wrap!(RequestSuccessionDecoder, header, body);
            Message::RequestSuccession {
                term: Term(read.term()),
                key: read.key().into(),
                predecessor: MemberId(read.predecessor()),
            }
        }
        wire::BallotDecoder::TEMPLATE_ID => {
            let read = wrap!(BallotDecoder, header, body);
            Message::Ballot {
                term: Term(read.term()),
                candidate: MemberId(read.candidate()),
                granted: yes(read.granted())?,
                key: read.key().into(),
            }
        }
        _ => return Err(DecodeError::Template),
    })
}

fn leadership(header: MessageHeader, body: &[u8]) -> Result<Message, DecodeError> {
    Ok(match header.template_id {
        wire::HeartbeatDecoder::TEMPLATE_ID => {
            let read = wrap!(HeartbeatDecoder, header, body);
            Message::Heartbeat {
                term: Term(read.term()),
                round: read.round(),
                newest: Position(read.newest()),
                commit: Position(read.commit()),
                chain_at: Position(read.chain_at()),
                chain: Chain(read.chain()),
            }
        }
        wire::AbdicateDecoder::TEMPLATE_ID => {
            let read = wrap!(AbdicateDecoder, header, body);
            Message::Abdicate { term: Term(read.term()) }
        }
        wire::CampaignDecoder::TEMPLATE_ID => {
            let read = wrap!(CampaignDecoder, header, body);
            Message::Campaign { term: Term(read.term()), round: read.round() }
        }
        wire::HistoryRequestDecoder::TEMPLATE_ID => {
            let read = wrap!(HistoryRequestDecoder, header, body);
            Message::HistoryRequest { term: Term(read.term()), commit: Position(read.commit()) }
        }
        wire::HistoryDecoder::TEMPLATE_ID => {
            let read = wrap!(HistoryDecoder, header, body);
            Message::History {
                term: Term(read.term()),
                above: Position(read.above()),
                part: read.part(),
                parts: read.parts(),
                checksum: read.checksum(),
                lines: read.lines().map(|line| term_line(&line)).collect(),
            }
        }
        wire::RemovedDecoder::TEMPLATE_ID => {
            let read = wrap!(RemovedDecoder, header, body);
            Message::Removed {
                term: Term(read.term()),
                position: Position(read.position()),
                incarnation: Incarnation(read.incarnation()),
            }
        }
        _ => return Err(DecodeError::Template),
    })
}

/// How far a member has the leader's log.
fn progress(header: MessageHeader, body: &[u8]) -> Result<Message, DecodeError> {
    Ok(match header.template_id {
        wire::ApplicationDecoder::TEMPLATE_ID => {
            let read = wrap!(ApplicationDecoder, header, body);
            Message::Application {
                term: Term(read.term()),
                sequence: read.sequence(),
                received: Position(read.received()),
                limit: Position(read.limit()),
            }
        }
        wire::AcknowledgeDecoder::TEMPLATE_ID => {
            let read = wrap!(AcknowledgeDecoder, header, body);
            Message::Acknowledge {
                term: Term(read.term()),
                sequence: read.sequence(),
                round: read.round(),
                durable: Position(read.durable()),
                received: Position(read.received()),
                limit: Position(read.limit()),
                commit: Position(read.commit()),
            }
        }
        _ => return Err(DecodeError::Template),
    })
}

fn levels(header: MessageHeader, body: &[u8]) -> Result<Message, DecodeError> {
    Ok(match header.template_id {
        wire::HoldingDecoder::TEMPLATE_ID => {
            let read = wrap!(HoldingDecoder, header, body);
            Message::Holding {
                term: Term(read.term()),
                sequence: read.sequence(),
                round: read.round(),
                held: Position(read.held()),
                durable: Position(read.durable()),
                received: Position(read.received()),
                limit: Position(read.limit()),
                commit: Position(read.commit()),
            }
        }
        wire::ImpairedDecoder::TEMPLATE_ID => {
            let read = wrap!(ImpairedDecoder, header, body);
            Message::Impaired {
                term: Term(read.term()),
                sequence: read.sequence(),
                round: read.round(),
                received: Position(read.received()),
                limit: Position(read.limit()),
            }
        }
        wire::RegisteredDecoder::TEMPLATE_ID => {
            let read = wrap!(RegisteredDecoder, header, body);
            Message::Registered {
                term: Term(read.term()),
                boot_epoch: BootEpoch(read.boot_epoch()),
                newest: Position(read.newest()),
            }
        }
        wire::LevelGrantDecoder::TEMPLATE_ID => {
            let read = wrap!(LevelGrantDecoder, header, body);
            Message::LevelGrant {
                term: Term(read.term()),
                round: read.round(),
                candidate: MemberId(read.candidate()),
                line: Term(read.line()),
                key: read.key().into(),
                level: level(read.level()),
                impaired: yes(read.impaired())?,
            }
        }
        _ => return Err(DecodeError::Template),
    })
}

fn term_line(line: &wire::HistoryLinesEntryDecoder<'_>) -> TermLine {
    TermLine {
        recovery_epoch: RecoveryEpoch(line.recovery_epoch()),
        term: Term(line.term()),
        base: Position(line.base()),
        leader: Life {
            member: MemberId(line.member()),
            incarnation: Incarnation(line.incarnation()),
            boot_epoch: BootEpoch(line.boot_epoch()),
        },
        chain: Chain(line.chain()),
    }
}

fn repair(header: MessageHeader, body: &[u8]) -> Result<Message, DecodeError> {
    let range = |epoch, start, end| EpochRange {
        epoch,
        range: PositionRange::new(Position(start), Position(end)),
    };
    Ok(match header.template_id {
        wire::NakDecoder::TEMPLATE_ID => {
            let read = wrap!(NakDecoder, header, body);
            let ranges = read.ranges().map(|each| range(each.epoch(), each.start(), each.end()));
            Message::Nak { stream: stream(read.stream())?, ranges: ranges.collect() }
        }
        wire::UnavailableDecoder::TEMPLATE_ID => {
            let read = wrap!(UnavailableDecoder, header, body);
            Message::Unavailable {
                stream: stream(read.stream())?,
                range: range(read.epoch(), read.start(), read.end()),
                oldest: Position(read.oldest()),
            }
        }
        wire::SnapshotRequestDecoder::TEMPLATE_ID => {
            let read = wrap!(SnapshotRequestDecoder, header, body);
            Message::SnapshotRequest { term: Term(read.term()), above: Position(read.above()) }
        }
        wire::SnapshotDigestDecoder::TEMPLATE_ID => {
            let read = wrap!(SnapshotDigestDecoder, header, body);
            Message::SnapshotDigest {
                term: Term(read.term()),
                position: Position(read.position()),
                layout: read.layout(),
                digest: read.digest(),
                vouches: yes(read.vouches())?,
                asks: yes(read.asks())?,
            }
        }
        wire::SnapshotOfferDecoder::TEMPLATE_ID => {
            let read = wrap!(SnapshotOfferDecoder, header, body);
            Message::SnapshotOffer {
                term: Term(read.term()),
                point: SnapshotPoint {
                    position: Position(read.position()),
                    term: Term(read.point_term()),
                    chain: Chain(read.chain()),
                    time: LogTime(read.time()),
                },
                core_bytes: read.core_bytes(),
                service_bytes: read.service_bytes(),
                digest: read.digest(),
            }
        }
        _ => return Err(DecodeError::Template),
    })
}

fn session(header: MessageHeader, body: &[u8]) -> Result<Message, DecodeError> {
    Ok(match header.template_id {
        wire::ConnectDecoder::TEMPLATE_ID => {
            let read = wrap!(ConnectDecoder, header, body);
            Message::Connect {
                connection: read.connection(),
                session: SessionId(read.session()),
                ingress_start: Position(read.ingress_start()),
                unanswered: read.unanswered(),
            }
        }
        wire::ConnectReplyDecoder::TEMPLATE_ID => {
            let read = wrap!(ConnectReplyDecoder, header, body);
            Message::ConnectReply { connection: read.connection(), outcome: outcome(&read)? }
        }
        wire::StreamStatusDecoder::TEMPLATE_ID => {
            let read = wrap!(StreamStatusDecoder, header, body);
            Message::StreamStatus {
                stream: stream(read.stream())?,
                epoch: read.epoch(),
                consumed: Position(read.consumed()),
                limit: Position(read.limit()),
            }
        }
        wire::StreamNewestDecoder::TEMPLATE_ID => {
            let read = wrap!(StreamNewestDecoder, header, body);
            Message::StreamNewest {
                stream: stream(read.stream())?,
                epoch: read.epoch(),
                newest: Position(read.newest()),
            }
        }
        wire::SyncRequestDecoder::TEMPLATE_ID => {
            let read = wrap!(SyncRequestDecoder, header, body);
            Message::SyncRequest { epoch: read.epoch() }
        }
        wire::SyncReplyDecoder::TEMPLATE_ID => {
            let read = wrap!(SyncReplyDecoder, header, body);
            Message::SyncReply { epoch: read.epoch(), safe: Position(read.safe()) }
        }
        wire::CloseDecoder::TEMPLATE_ID => {
            let read = wrap!(CloseDecoder, header, body);
            Message::Close { connection: read.connection(), session: SessionId(read.session()) }
        }
        wire::ClosedDecoder::TEMPLATE_ID => {
            let read = wrap!(ClosedDecoder, header, body);
            Message::Closed { connection: read.connection(), session: SessionId(read.session()) }
        }
        _ => return Err(DecodeError::Template),
    })
}

fn outcome(reply: &wire::ConnectReplyDecoder<'_>) -> Result<ConnectOutcome, DecodeError> {
    let (leader, term) = (MemberId(reply.leader()), Term(reply.term()));
    let session = SessionId(reply.session());
    match reply.outcome() {
        wire::Outcome::Open => {
            Ok(ConnectOutcome::Open { session, leader, term, limit: Position(reply.limit()) })
        }
        wire::Outcome::Redirect => {
            Ok(ConnectOutcome::Redirect { leader, term, endpoint: Endpoint(reply.endpoint()) })
        }
        wire::Outcome::RetryAfter => Ok(ConnectOutcome::RetryAfter { nanos: reply.retry_after() }),
        wire::Outcome::NoQuorum => Ok(ConnectOutcome::NoQuorum { nanos: reply.retry_after() }),
        wire::Outcome::SessionsExhausted => Ok(ConnectOutcome::SessionsExhausted),
        wire::Outcome::MessageTooLarge => {
            Ok(ConnectOutcome::MessageTooLarge { limit: reply.limit() })
        }
        wire::Outcome::SessionLost => Ok(ConnectOutcome::SessionLost { session }),
        wire::Outcome::Unknown(_) => Err(DecodeError::Enumeration),
    }
}

const fn stream(stream: wire::Stream) -> Result<Stream, DecodeError> {
    match stream.kind {
        wire::StreamKind::Log => Ok(Stream::Log),
        wire::StreamKind::Ingress => Ok(Stream::Ingress(ClientKey(stream.client))),
        wire::StreamKind::Egress => Ok(Stream::Egress(ClientKey(stream.client))),
        wire::StreamKind::Snapshot => Ok(Stream::Snapshot),
        wire::StreamKind::Unknown(_) => Err(DecodeError::Enumeration),
    }
}

const fn level(value: wire::Level) -> Level {
    match value {
        wire::Level::Durable => Level::Durable,
        wire::Level::Volatile => Level::Volatile,
        wire::Level::Unknown(code) => Level::Unknown(code),
    }
}

const fn yes(value: wire::Boolean) -> Result<bool, DecodeError> {
    match value {
        wire::Boolean::No => Ok(false),
        wire::Boolean::Yes => Ok(true),
        wire::Boolean::Unknown(_) => Err(DecodeError::Enumeration),
    }
}

impl From<wire::VoteKey> for VoteKey {
    fn from(key: wire::VoteKey) -> Self {
        Self { term: Term(key.term), position: Position(key.position) }
    }
}
