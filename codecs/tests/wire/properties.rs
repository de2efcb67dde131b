//! What holds for all messages and all bytes.

use quickcheck::{Arbitrary, Gen, QuickCheck, TestResult};
use quorate_codecs::{Header, class, decode, encode_control};
use quorate_core::frame::Level;
use quorate_core::message::{
    ConnectOutcome, EpochRange, HISTORY_LINES_MAX, HISTORY_PARTS_MAX, Live, NAK_RANGES_MAX,
};
use quorate_core::read::READ_BYTES_MAX;
use quorate_core::{
    BootEpoch, Chain, ClientKey, Duration, Endpoint, Incarnation, Incoming, Life, LogTime,
    MemberId, Message, Position, PositionRange, ReadAnswer, ReadLevel, ReadRefusal, RecoveryEpoch,
    Sender, SessionId, SnapshotPoint, Stream, Term, TermLine, VoteKey,
};

use crate::samples::samples;
use crate::{TAG, encoded, encoded_data, seal};

fn any<T: Arbitrary>(source: &mut Gen) -> T {
    T::arbitrary(source)
}

fn below(source: &mut Gen, end: usize) -> usize {
    any::<usize>(source) % end
}

fn position(source: &mut Gen) -> Position {
    Position(any::<u64>(source) & Position::MAX.0)
}

fn session(source: &mut Gen) -> SessionId {
    SessionId(position(source).0)
}

fn stream(source: &mut Gen) -> Stream {
    match below(source, 4) {
        0 => Stream::Log,
        3 => Stream::Snapshot,
        1 => Stream::Ingress(ClientKey(any(source))),
        _ => Stream::Egress(ClientKey(any(source))),
    }
}

fn payload(source: &mut Gen) -> Vec<u8> {
    let length = below(source, READ_BYTES_MAX + 1);
    (0..length).map(|_| any(source)).collect()
}

fn vote_key(source: &mut Gen) -> VoteKey {
    VoteKey { term: Term(any(source)), position: position(source) }
}

fn range(source: &mut Gen) -> EpochRange {
    let (one, other) = (position(source), position(source));
    let aligned = |at: Position| Position(at.0 & !7);
    let range = PositionRange::new(aligned(one.min(other)), aligned(one.max(other)));
    EpochRange { epoch: any(source), range }
}

fn life(source: &mut Gen) -> Life {
    Life {
        member: MemberId(any(source)),
        incarnation: Incarnation(any(source)),
        boot_epoch: BootEpoch(any(source)),
    }
}

fn line(source: &mut Gen) -> TermLine {
    TermLine {
        recovery_epoch: RecoveryEpoch(any(source)),
        term: Term(any(source)),
        base: position(source),
        leader: life(source),
        chain: Chain(any(source)),
    }
}

fn outcome(source: &mut Gen) -> ConnectOutcome {
    let (leader, term) = (MemberId(any(source)), Term(any(source)));
    match below(source, 6) {
        0 => {
            let (session, limit) = (session(source), position(source));
            ConnectOutcome::Open { session, leader, term, limit }
        }
        1 => {
            let mut endpoint = Endpoint::default();
            endpoint.0.fill_with(|| any(source));
            ConnectOutcome::Redirect { leader, term, endpoint }
        }
        5 => ConnectOutcome::MessageTooLarge { limit: any(source) },
        2 => ConnectOutcome::RetryAfter { nanos: any(source) },
        6 => ConnectOutcome::NoQuorum { nanos: any(source) },
        3 => ConnectOutcome::SessionsExhausted,
        _ => ConnectOutcome::SessionLost { session: session(source) },
    }
}

#[derive(Clone, Debug)]
struct AnyMessage(Sender, Message);

impl Arbitrary for AnyMessage {
    fn arbitrary(source: &mut Gen) -> Self {
        let sender = if any(source) {
            let Life { member, incarnation, boot_epoch } = life(source);
            Sender::Member { member, incarnation, boot_epoch }
        } else {
            Sender::Client { key: ClientKey(any(source)) }
        };
        let message = if any(source) { consensus(source) } else { stream_message(source) };
        Self(sender, message)
    }
}

fn consensus(source: &mut Gen) -> Message {
    let (term, round, granted) = (Term(any(source)), any(source), any(source));
    match below(source, 16) {
        0 => Message::Canvass { term, round, key: vote_key(source) },
        1 => Message::CanvassReply { term, round, granted, key: vote_key(source) },
        2 => Message::RequestVote { term, key: vote_key(source) },
        3 => {
            let candidate = MemberId(any(source));
            Message::Ballot { term, candidate, granted, key: vote_key(source) }
        }
        4 => Message::Heartbeat {
            term,
            round,
            newest: position(source),
            commit: position(source),
            chain_at: position(source),
            chain: Chain(any(source)),
        },
        5 => Message::HistoryRequest { term, commit: position(source) },
        6 => {
            let parts = any::<u16>(source) % HISTORY_PARTS_MAX + 1;
            let lines = below(source, HISTORY_LINES_MAX + 1);
            Message::History {
                term,
                above: position(source),
                part: any::<u16>(source) % parts,
                parts,
                checksum: any(source),
                lines: (0..lines).map(|_| line(source)).collect(),
            }
        }
        7 => Message::Abdicate { term },
        8 => Message::Campaign { term, round },
        9 => {
            let predecessor = MemberId(any(source));
            Message::RequestSuccession { term, key: vote_key(source), predecessor }
        }
        10 => Message::Application {
            term,
            sequence: any(source),
            received: position(source),
            limit: position(source),
        },
        11 => Message::Holding {
            term,
            sequence: any(source),
            round,
            held: position(source),
            durable: position(source),
            received: position(source),
            limit: position(source),
            commit: position(source),
        },
        12 => Message::Impaired {
            term,
            sequence: any(source),
            round,
            received: position(source),
            limit: position(source),
        },
        18 => {
            let incarnation = Incarnation(any(source));
            Message::Removed { term, position: position(source), incarnation }
        }
        13 => {
            let boot_epoch = BootEpoch(any(source));
            Message::Registered { term, boot_epoch, newest: position(source) }
        }
        14 => Message::LevelGrant {
            term,
            round,
            candidate: MemberId(any(source)),
            line: Term(any(source)),
            key: vote_key(source),
            level: if any(source) { Level::Volatile } else { Level::Durable },
            impaired: any(source),
        },
        _ => Message::Acknowledge {
            term,
            sequence: any(source),
            round,
            durable: position(source),
            received: position(source),
            limit: position(source),
            commit: position(source),
        },
    }
}

fn stream_message(source: &mut Gen) -> Message {
    let (connection, epoch) = (any(source), any(source));
    let stream = stream(source);
    match below(source, 16) {
        0 => {
            let ranges = below(source, NAK_RANGES_MAX + 1);
            Message::Nak { stream, ranges: (0..ranges).map(|_| range(source)).collect() }
        }
        1 => {
            let (range, oldest) = (range(source), position(source));
            Message::Unavailable { stream, range, oldest }
        }
        2 => Message::Connect {
            connection,
            session: session(source),
            ingress_start: position(source),
            unanswered: any(source),
        },
        3 => Message::ConnectReply { connection, outcome: outcome(source) },
        4 => {
            let (consumed, limit) = (position(source), position(source));
            Message::StreamStatus { stream, epoch, consumed, limit }
        }
        5 => Message::StreamNewest { stream, epoch, newest: position(source) },
        6 => Message::Close { connection, session: session(source) },
        7 => Message::SnapshotRequest { term: Term(any(source)), above: position(source) },
        8 => Message::SnapshotOffer {
            term: Term(any(source)),
            point: SnapshotPoint {
                position: position(source),
                term: Term(any(source)),
                chain: Chain(any(source)),
                time: LogTime(any(source)),
            },
            core_bytes: position(source).0 / 2,
            service_bytes: position(source).0 / 2,
            digest: any(source),
        },
        9 => Message::SyncRequest { epoch },
        10 => Message::SyncReply { epoch, safe: position(source) },
        11 => Message::ReadRequest {
            number: any(source),
            level: match any::<u8>(source) % 4 {
                0 => ReadLevel::Linearizable,
                1 => ReadLevel::Lease,
                2 => ReadLevel::Session { least: position(source) },
                _ => ReadLevel::Stale { bound: Duration(any(source)) },
            },
            payload: payload(source),
        },
        12 => Message::ReadReply {
            number: any(source),
            outcome: match any::<u8>(source) % 4 {
                0 => Err(ReadRefusal::Behind { applied: position(source) }),
                1 => Err(ReadRefusal::TooOld { age: Duration(any(source)) }),
                _ => Ok(ReadAnswer {
                    applied: position(source),
                    age: Duration(any(source)),
                    payload: payload(source),
                }),
            },
        },
        13 => Message::ReadIndexRequest { number: any(source) },
        14 => Message::ReadIndexReply { number: any(source), index: position(source) },
        _ => Message::Closed { connection, session: session(source) },
    }
}

#[test]
fn what_is_encoded_decodes_to_the_same() {
    fn property(AnyMessage(sender, message): AnyMessage) -> bool {
        let bytes = encoded(sender, &message);
        class(&bytes).is_some() && decode(&bytes, TAG) == Ok((sender, Incoming::Control(message)))
    }
    QuickCheck::new().tests(3_000).quickcheck(property as fn(AnyMessage) -> bool);
}

#[test]
fn slices_decode_to_the_same() {
    fn property(at: u64, bytes: Vec<u64>, split: usize, live: Option<(u64, u64)>) -> bool {
        let bytes: Vec<u8> = bytes.iter().flat_map(|word| word.to_le_bytes()).collect();
        let at = (at & (Position::MAX.0 >> 1)) / 8 * 8;
        let live = live.map(|(newest, commit)| Live {
            newest: Position(newest & Position::MAX.0),
            commit: Position(commit & Position::MAX.0),
        });
        let slice = bytes.split_at(split % (bytes.len() + 1));
        let datagram = encoded_data(Stream::Log, at, live, slice);
        let Ok((_, Incoming::Data { stream, epoch, position, live: found, slice })) =
            decode(&datagram, TAG)
        else {
            return false;
        };
        stream == Stream::Log
            && epoch == 9
            && position == Position(at)
            && found == live
            && slice == bytes
    }
    type Property = fn(u64, Vec<u64>, usize, Option<(u64, u64)>) -> bool;
    let property: Property = property;
    QuickCheck::new().tests(1_000).quickcheck(property);
}

#[test]
fn random_bytes_are_refused() {
    fn property(bytes: Vec<u8>) -> bool {
        let _ = class(&bytes);
        decode(&bytes, TAG).is_err()
    }
    QuickCheck::new().tests(3_000).quickcheck(property as fn(Vec<u8>) -> bool);
}

/// Random bytes behind a sound header and under a right checksum.
#[test]
fn random_bodies_never_panic_and_what_is_taken_is_sound() {
    fn property(template: u16, block: u16, version: u16, body: Vec<u8>) -> TestResult {
        let mut datagram = encoded_data(Stream::Log, 0, None, (&[], &[]));
        datagram.truncate(48);
        datagram[40..42].copy_from_slice(&(block % 80).to_le_bytes());
        datagram[42..44].copy_from_slice(&(template % 20 + 16).to_le_bytes());
        datagram[46..48].copy_from_slice(&version.to_le_bytes());
        datagram.extend_from_slice(&body);
        seal(&mut datagram);
        survives(&datagram)
    }
    let property: fn(u16, u16, u16, Vec<u8>) -> TestResult = property;
    QuickCheck::new().tests(5_000).quickcheck(property);
}

/// Sound messages with a few changed bytes, under a right checksum.
#[test]
fn changed_messages_never_panic_and_what_is_taken_is_sound() {
    fn property(AnyMessage(sender, message): AnyMessage, changes: Vec<(u16, u8)>) -> TestResult {
        let mut datagram = encoded(sender, &message);
        let length = datagram.len();
        for (at, value) in changes {
            datagram[usize::from(at) % length] = value;
        }
        seal(&mut datagram);
        survives(&datagram)
    }
    let property: fn(AnyMessage, Vec<(u16, u8)>) -> TestResult = property;
    QuickCheck::new().tests(5_000).quickcheck(property);
    for (_, message) in samples() {
        let datagram = encoded(crate::samples::member(), &message);
        for at in 36..datagram.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = datagram.clone();
                changed[at] = value;
                seal(&mut changed);
                assert!(!survives(&changed).is_failure(), "{message:?} byte {at}");
            }
        }
    }
}

/// Decodes; whatever is taken can be encoded again and gives the same.
fn survives(datagram: &[u8]) -> TestResult {
    match decode(datagram, TAG) {
        Ok((sender, Incoming::Control(message))) => {
            let mut buffer = [0; 2_048];
            let header = Header { tag: TAG, sender };
            let length = encode_control(&header, &message, &mut buffer).unwrap();
            let again = decode(&buffer[..length], TAG);
            TestResult::from_bool(again == Ok((sender, Incoming::Control(message))))
        }
        Ok((_, Incoming::Data { stream, position, slice, .. })) => {
            let aligned = position.0 % 8 == 0 && slice.len() % 8 == 0;
            TestResult::from_bool(stream != Stream::Log || aligned)
        }
        Err(_) => TestResult::passed(),
    }
}
