//! What the vectors say: each kind of message with the least, typical and greatest values.

use quorate_core::frame::Level;
use quorate_core::message::{ConnectOutcome, EpochRange, Incoming, Live, Message, Sender, Stream};
use quorate_core::{
    BootEpoch, Chain, ClientKey, Duration, Endpoint, Incarnation, LogTime, MemberId, Position,
    PositionRange, ReadAnswer, ReadLevel, ReadRefusal, RecoveryEpoch, SessionId, SnapshotPoint,
    Term, TermLine, VoteKey,
};

use crate::desk::life;

pub(super) struct Sample {
    pub(super) name: String,
    pub(super) sender: Sender,
    body: Body,
}

enum Body {
    Control(Message),
    Data { stream: Stream, epoch: u64, position: u64, live: Option<Live>, bytes: Vec<u8> },
}

impl Sample {
    pub(super) fn content(&self) -> Incoming<'_> {
        match &self.body {
            Body::Control(message) => Incoming::Control(message.clone()),
            Body::Data { stream, epoch, position, live, bytes } => Incoming::Data {
                stream: *stream,
                epoch: *epoch,
                position: Position(*position),
                live: *live,
                slice: bytes,
            },
        }
    }
}

/// The least, a typical and the greatest value of a number.
const SIZES: [(&str, u64); 3] = [("least", 0), ("typical", 1_234_567_936), ("greatest", u64::MAX)];

pub(super) fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (size, value) in SIZES {
        let mut add = |kind: &str, body: Body| {
            let name = format!("{kind}, {size}");
            let sender = match kind.split('_').next() {
                Some("connect" | "close" | "ingress") if kind != "connect_reply" => {
                    Sender::Client { key: ClientKey(value) }
                }
                _ => member(value),
            };
            samples.push(Sample { name, sender, body });
        };
        for (kind, message) in control(value) {
            add(kind, Body::Control(message));
        }
        for (kind, body) in data(value) {
            add(kind, body);
        }
    }
    samples
}

const fn member(value: u64) -> Sender {
    Sender::Member {
        member: MemberId(if value == 0 { 1 } else { value as u16 }),
        incarnation: Incarnation(value as u32),
        boot_epoch: BootEpoch(value),
    }
}

/// A position: frames begin at multiples of eight, and nothing lies behind the largest position.
const fn position(value: u64) -> Position {
    Position(if value > Position::MAX.0 { Position::MAX.0 & !7 } else { value & !7 })
}

fn control(value: u64) -> Vec<(&'static str, Message)> {
    let (term, round, at) = (Term(value), value, position(value));
    let key = VoteKey { term, position: at };
    let granted = value != 0;
    let mut all = vec![
        ("canvass", Message::Canvass { term, round, key }),
        ("canvass_reply", Message::CanvassReply { term, round, granted, key }),
        ("request_vote", Message::RequestVote { term, key }),
        ("request_succession", {
            Message::RequestSuccession { term, key, predecessor: MemberId(value as u16) }
        }),
        ("ballot", Message::Ballot { term, candidate: MemberId(value as u16), granted, key }),
        ("abdicate", Message::Abdicate { term }),
        ("campaign", Message::Campaign { term, round }),
        ("history_request", Message::HistoryRequest { term, commit: at }),
        (
            "heartbeat",
            Message::Heartbeat {
                term,
                round,
                newest: at,
                commit: at,
                chain_at: at,
                chain: Chain(value),
            },
        ),
        (
            "acknowledge",
            Message::Acknowledge {
                term,
                sequence: value,
                round,
                durable: at,
                received: at,
                limit: at,
                commit: at,
            },
        ),
        ("application", Message::Application { term, sequence: value, received: at, limit: at }),
        ("history", history(value)),
    ];
    all.extend(levels(value));
    all.extend(repairs(value));
    all.extend(sessions(value));
    all
}

/// What is said in volatile groups.
fn levels(value: u64) -> Vec<(&'static str, Message)> {
    let (term, round, at) = (Term(value), value, position(value));
    let key = VoteKey { term, position: at };
    vec![
        (
            "holding",
            Message::Holding {
                term,
                sequence: value,
                round,
                held: at,
                durable: at,
                received: at,
                limit: at,
                commit: at,
            },
        ),
        ("impaired", Message::Impaired { term, sequence: value, round, received: at, limit: at }),
        ("registered", Message::Registered { term, boot_epoch: BootEpoch(value), newest: at }),
        (
            "removed",
            Message::Removed { term, position: at, incarnation: Incarnation(value as u32) },
        ),
        ("level_grant", {
            let (candidate, line) = (MemberId(value as u16), Term(value));
            let (level, impaired) = (Level::Volatile, true);
            Message::LevelGrant { term, round, candidate, line, key, level, impaired }
        }),
    ]
}

fn history(value: u64) -> Message {
    let count = match value {
        0 => 0,
        u64::MAX => 16,
        _ => 2,
    };
    let lines = (0..count).map(|index| TermLine {
        recovery_epoch: RecoveryEpoch(value as u32),
        term: Term(index + 1),
        base: Position(index * 64),
        leader: life(index as u16 + 1),
        chain: Chain(value),
    });
    Message::History {
        term: Term(value),
        above: position(value),
        part: 0,
        parts: 1,
        checksum: value as u32,
        lines: lines.collect(),
    }
}

fn repairs(value: u64) -> Vec<(&'static str, Message)> {
    let count = match value {
        0 => 1,
        u64::MAX => 32,
        _ => 3,
    };
    let range = |index: u64| EpochRange {
        epoch: value,
        range: PositionRange { start: Position(index * 128), end: Position(index * 128 + 64) },
    };
    let stream = if value == 0 { Stream::Log } else { Stream::Egress(ClientKey(value)) };
    vec![
        ("nak", Message::Nak { stream, ranges: (0..count).map(range).collect() }),
        ("unavailable", Message::Unavailable { stream, range: range(1), oldest: position(value) }),
        (
            "snapshot_request",
            Message::SnapshotRequest { term: Term(value), above: position(value) },
        ),
        ("snapshot_offer", offer(value)),
    ]
}

fn offer(value: u64) -> Message {
    let (term, time, chain) = (Term(value), LogTime(value), Chain(value));
    Message::SnapshotOffer {
        term,
        point: SnapshotPoint { position: position(value), term, chain, time },
        core_bytes: position(value).0 / 2,
        service_bytes: position(value).0 / 2,
        digest: value,
    }
}

fn sessions(value: u64) -> Vec<(&'static str, Message)> {
    let (connection, session, at) = (value, SessionId(position(value).0), position(value));
    let stream = Stream::Ingress(ClientKey(value));
    let outcome = match value {
        0 => ConnectOutcome::SessionsExhausted,
        u64::MAX => ConnectOutcome::Redirect {
            leader: MemberId(u16::MAX),
            term: Term(value),
            endpoint: Endpoint([0xff; 18]),
        },
        _ => ConnectOutcome::Open { session, leader: MemberId(3), term: Term(value), limit: at },
    };
    vec![
        ("connect", Message::Connect { connection, session, ingress_start: at, unanswered: value }),
        ("connect_reply", Message::ConnectReply { connection, outcome }),
        ("stream_status", Message::StreamStatus { stream, epoch: value, consumed: at, limit: at }),
        ("stream_newest", Message::StreamNewest { stream, epoch: value, newest: at }),
        ("sync_request", Message::SyncRequest { epoch: value }),
        ("sync_reply", Message::SyncReply { epoch: value, safe: at }),
        (
            "read_request",
            Message::ReadRequest {
                number: value,
                level: ReadLevel::Session { least: at },
                payload: vec![value as u8; (value % 41) as usize],
            },
        ),
        (
            "read_reply",
            Message::ReadReply {
                number: value,
                outcome: match value {
                    0 => Err(ReadRefusal::Unsupported),
                    u64::MAX => Err(ReadRefusal::TooLong { limit: value }),
                    _ => Ok(ReadAnswer {
                        applied: at,
                        age: Duration(value),
                        payload: vec![value as u8; 17],
                    }),
                },
            },
        ),
        ("read_index_request", Message::ReadIndexRequest { number: value }),
        ("read_index_reply", Message::ReadIndexReply { number: value, index: at }),
        ("close", Message::Close { connection, session }),
        ("closed", Message::Closed { connection, session }),
    ]
}

fn data(value: u64) -> Vec<(&'static str, Body)> {
    let (at, length) = match value {
        0 => (0, 8),
        u64::MAX => ((Position::MAX.0 & !7) - 1_216, 1_216),
        _ => (position(value).0, 64),
    };
    let bytes: Vec<u8> = (0..length).map(|index| (index * 7) as u8).collect();
    let end = Position(at + length);
    let live = (value != 0).then_some(Live { newest: end, commit: Position(at) });
    let of = |stream, live| Body::Data {
        stream,
        epoch: value,
        position: at,
        live,
        bytes: bytes.clone(),
    };
    vec![
        ("log", of(Stream::Log, live)),
        ("ingress", of(Stream::Ingress(ClientKey(value)), None)),
        ("egress", of(Stream::Egress(ClientKey(value)), None)),
        ("snapshot", of(Stream::Snapshot, None)),
    ]
}
