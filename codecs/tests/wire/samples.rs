//! Messages of every kind: minimal, typical, maximal.

use quorate_core::frame::Level;
use quorate_core::message::{ConnectOutcome, EpochRange, HISTORY_LINES_MAX, NAK_RANGES_MAX};
use quorate_core::read::READ_BYTES_MAX;
use quorate_core::{
    BootEpoch, Chain, ClientKey, Duration, Endpoint, Incarnation, Life, LogTime, MemberId, Message,
    Position, PositionRange, ReadAnswer, ReadLevel, ReadRefusal, RecoveryEpoch, Sender, SessionId,
    SnapshotPoint, Stream, Term, TermLine, VoteKey,
};

pub(crate) fn member() -> Sender {
    Sender::Member {
        member: MemberId(3),
        incarnation: Incarnation(0x2122_2324),
        boot_epoch: BootEpoch(0x3132_3334_3536_3738),
    }
}

pub(crate) fn client() -> Sender {
    Sender::Client { key: ClientKey(0x4142_4344_4546_4748) }
}

/// How full the samples of one round are.
#[derive(Clone, Copy)]
struct Fill {
    name: &'static str,
    number: u64,
    position: Position,
    granted: bool,
    stream: Stream,
    ranges: usize,
    lines: usize,
    part: (u16, u16),
}

const FILLS: [Fill; 3] = [
    Fill {
        name: "minimal",
        number: 0,
        position: Position::ZERO,
        granted: false,
        stream: Stream::Log,
        ranges: 0,
        lines: 0,
        part: (0, 1),
    },
    Fill {
        name: "typical",
        number: 0x0102_0304_0506,
        position: Position(0x1000),
        granted: true,
        stream: Stream::Ingress(ClientKey(0x5152_5354_5556_5758)),
        ranges: 2,
        lines: 1,
        part: (1, 2),
    },
    Fill {
        name: "maximal",
        number: u64::MAX,
        position: Position::MAX,
        granted: true,
        stream: Stream::Egress(ClientKey(u64::MAX)),
        ranges: NAK_RANGES_MAX,
        lines: HISTORY_LINES_MAX,
        part: (4_095, 4_096),
    },
];

/// Every message, three times, with the name of the sample.
pub(crate) fn samples() -> Vec<(String, Message)> {
    let mut samples = Vec::new();
    for fill in FILLS {
        for message in consensus(fill).into_iter().chain(sessions(fill)) {
            let debug = format!("{message:?}");
            let mut name = debug.split([' ', '{']).next().unwrap().to_string();
            if let Message::ConnectReply { outcome, .. } = &message {
                name += &format!(".{}", format!("{outcome:?}").split(' ').next().unwrap());
            }
            samples.push((format!("{name} {}", fill.name), message));
        }
    }
    samples
}

fn line(fill: Fill, index: usize) -> TermLine {
    TermLine {
        recovery_epoch: RecoveryEpoch(fill.number as u32),
        term: Term(fill.number.wrapping_add(index as u64)),
        base: Position(fill.position.0 - index as u64 % 2),
        leader: Life {
            member: MemberId(fill.number as u16),
            incarnation: Incarnation(fill.number as u32 ^ 1),
            boot_epoch: BootEpoch(fill.number ^ 2),
        },
        chain: Chain(fill.number ^ 3),
    }
}

fn range(fill: Fill, index: usize) -> EpochRange {
    let aligned = |at: Position| Position(at.0 & !7);
    let start = Position(fill.position.0.saturating_sub(8 * index as u64 + 8));
    EpochRange {
        epoch: fill.number ^ 4,
        range: PositionRange::new(aligned(start), aligned(fill.position)),
    }
}

fn consensus(fill: Fill) -> Vec<Message> {
    let Fill { number, position, granted, stream, .. } = fill;
    let (term, round) = (Term(number), number ^ 1);
    let key = VoteKey { term: Term(number ^ 2), position };
    vec![
        Message::Canvass { term, round, key },
        Message::CanvassReply { term, round, granted, key },
        Message::RequestVote { term, key },
        Message::RequestSuccession { term, key, predecessor: MemberId(number as u16) },
        Message::Ballot { term, candidate: MemberId(number as u16), granted, key },
        Message::Heartbeat {
            term,
            round,
            newest: position,
            commit: Position(position.0 / 2),
            chain_at: Position(position.0 / 4),
            chain: Chain(number ^ 3),
        },
        Message::Abdicate { term },
        Message::Campaign { term, round },
        Message::HistoryRequest { term, commit: position },
        Message::History {
            term,
            above: position,
            part: fill.part.0,
            parts: fill.part.1,
            checksum: number as u32,
            lines: (0..fill.lines).map(|index| line(fill, index)).collect(),
        },
        Message::Application {
            term,
            sequence: number ^ 6,
            received: position,
            limit: Position(position.0 / 2),
        },
        Message::Acknowledge {
            term,
            sequence: number ^ 5,
            round,
            durable: position,
            received: Position(position.0 / 2),
            limit: Position(position.0 / 4),
            commit: Position(position.0 / 8),
        },
        Message::Holding {
            term,
            sequence: number ^ 5,
            round,
            held: position,
            durable: Position(position.0 / 2),
            received: Position(position.0 / 4),
            limit: Position(position.0 / 8),
            commit: Position(position.0 / 16),
        },
        Message::Impaired {
            term,
            sequence: number ^ 5,
            round,
            received: position,
            limit: Position(position.0 / 2),
        },
        Message::Registered { term, boot_epoch: BootEpoch(number ^ 6), newest: position },
        Message::Removed { term, position, incarnation: Incarnation(number as u32 ^ 7) },
        Message::LevelGrant {
            term,
            round,
            candidate: MemberId(number as u16),
            line: Term(number ^ 7),
            key,
            level: if number & 1 == 0 { Level::Durable } else { Level::Volatile },
            impaired: number & 2 == 0,
        },
        Message::Nak { stream, ranges: (0..fill.ranges).map(|index| range(fill, index)).collect() },
        Message::Unavailable { stream, range: range(fill, 1), oldest: position },
        Message::SnapshotRequest { term, above: position },
        Message::SnapshotOffer {
            term,
            point: SnapshotPoint {
                position,
                term: Term(number ^ 4),
                chain: Chain(number ^ 5),
                time: LogTime(number ^ 6),
            },
            core_bytes: position.0 / 2,
            service_bytes: position.0 / 4,
            digest: number ^ 7,
        },
    ]
}

fn reads(fill: Fill) -> impl Iterator<Item = Message> {
    let Fill { number, position, .. } = fill;
    let length = (number % 40) as usize;
    let payload: Vec<u8> = (0..length).map(|at| (number as u8).wrapping_add(at as u8)).collect();
    let levels = [
        ReadLevel::Linearizable,
        ReadLevel::Lease,
        ReadLevel::Session { least: position },
        ReadLevel::Stale { bound: Duration(number) },
    ];
    let age = Duration(number);
    let mut longest = payload.clone();
    if number == u64::MAX {
        longest.resize(READ_BYTES_MAX, 7);
    }
    let answer = ReadAnswer { applied: position, age, payload: longest };
    let outcomes = [
        Ok(answer),
        Err(ReadRefusal::Busy),
        Err(ReadRefusal::TooLong { limit: number }),
        Err(ReadRefusal::Unconfirmed),
        Err(ReadRefusal::Behind { applied: position }),
        Err(ReadRefusal::TooOld { age }),
        Err(ReadRefusal::Unsupported),
        Err(ReadRefusal::Failed),
        Err(ReadRefusal::Stopping),
    ];
    let payload = move |level| Message::ReadRequest { number, level, payload: payload.clone() };
    let requests = levels.map(payload);
    requests.into_iter().chain(outcomes.map(|outcome| Message::ReadReply { number, outcome }))
}

fn sessions(fill: Fill) -> Vec<Message> {
    let Fill { number, position, stream, .. } = fill;
    let (connection, session) = (number, SessionId(position.0));
    let (leader, term) = (MemberId(number as u16), Term(number ^ 1));
    let mut endpoint = Endpoint::default();
    for (index, byte) in endpoint.0.iter_mut().enumerate() {
        *byte = (number as u8).wrapping_mul(index as u8);
    }
    let outcomes = [
        ConnectOutcome::Open { session, leader, term, limit: position },
        ConnectOutcome::Redirect { leader, term, endpoint },
        ConnectOutcome::RetryAfter { nanos: number },
        ConnectOutcome::SessionsExhausted,
        ConnectOutcome::SessionLost { session },
        ConnectOutcome::MessageTooLarge { limit: number },
        ConnectOutcome::NoQuorum { nanos: number },
    ];
    let mut messages = vec![Message::Connect {
        connection,
        session,
        ingress_start: position,
        unanswered: number ^ 6,
    }];
    messages.extend(outcomes.map(|outcome| Message::ConnectReply { connection, outcome }));
    messages.extend(reads(fill));
    messages.extend([
        Message::StreamStatus {
            stream,
            epoch: number,
            consumed: position,
            limit: Position(position.0 / 2),
        },
        Message::StreamNewest { stream, epoch: number, newest: position },
        Message::SyncRequest { epoch: number },
        Message::SyncReply { epoch: number, safe: position },
        Message::ReadIndexRequest { number },
        Message::ReadIndexReply { number, index: position },
        Message::Close { connection, session },
        Message::Closed { connection, session },
    ]);
    messages
}
