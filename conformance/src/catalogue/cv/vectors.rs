//! What single datagrams and frames are on the wire.

use std::collections::{BTreeMap, BTreeSet};

use quorate_codecs::{
    DATA_OVERHEAD_BYTES, DATAGRAM_BYTES_MAX, DecodeError, EncodeError, HEADER_BYTES, Header, MAGIC,
    decode, encode_control, encode_data,
};
use quorate_core::frame::{self, Checksum, parse_body, verify};
use quorate_core::message::{ConnectOutcome, Incoming, Live};
use quorate_core::{Endpoint, MemberId, Message, Position, Sender, Stream, Term, VoteKey};
use quorate_sim::Dice;

use super::frames::{FRAME_BYTES_MAX, SEED, framed};
use super::{BLOCK, said};
use crate::allocations;
use crate::case::{Failure, Verdict, check};
use crate::golden::{VECTOR_TAG, Vector, seal, vectors};
use crate::trial::Trial;

/// The datagram that says this.
pub(super) fn encoded(sender: Sender, content: &Incoming<'_>) -> Result<Vec<u8>, EncodeError> {
    let header = Header { tag: VECTOR_TAG, sender };
    let mut buffer = vec![0xaa; DATAGRAM_BYTES_MAX];
    let length = match content {
        Incoming::Control(message) => encode_control(&header, message, &mut buffer),
        &Incoming::Data { stream, epoch, position, live, slice } => {
            let halves = slice.split_at(slice.len() / 2);
            encode_data(&header, stream, epoch, position, live, halves, &mut buffer)
        }
    }?;
    buffer.truncate(length);
    Ok(buffer)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The ids of all datagrams of the schema.
fn templates_of_the_schema() -> BTreeSet<u16> {
    let lines = super::SCHEMA.lines().filter(|line| line.contains("semanticType=\"datagram\""));
    let ids = lines.filter_map(|line| line.split("id=\"").nth(1)?.split('"').next()?.parse().ok());
    ids.collect()
}

pub(super) fn cv_01(trial: &mut Trial<'_>) -> Verdict {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    let mut templates = BTreeSet::new();
    for Vector { name, printed, bytes } in vectors() {
        let (sender, content) = said(name, &bytes)?;
        let found = match &content {
            Incoming::Control(message) => format!("{sender:?} {message:?}"),
            data @ Incoming::Data { .. } => format!("{sender:?} {data:?}"),
        };
        check(found == printed, || format!("{name} reads {found}, not {printed}"))?;
        let again = encoded(sender, &content);
        check(again.as_ref() == Ok(&bytes), || format!("{name} is written as {again:?}"))?;
        *times.entry(name.split([' ', '.']).next().unwrap_or(name)).or_default() += 1;
        templates.insert(u16_at(&bytes, 42));
    }
    trial.count("kinds", times.len() as u64);
    let few = times.iter().find(|(kind, times)| **times < 3 && !kind.ends_with("Data"));
    check(few.is_none(), || format!("too few vectors: {few:?}"))?;
    check(templates == templates_of_the_schema(), || {
        format!("there are vectors of {templates:?} only")
    })
}

pub(super) fn cv_02(_: &mut Trial<'_>) -> Verdict {
    for number in [0, 1, u64::MAX - 1, u64::MAX] {
        let message = Message::Abdicate { term: Term(number) };
        let sender = Sender::Client { key: quorate_core::ClientKey(number) };
        let bytes = encoded(sender, &Incoming::Control(message.clone()));
        let bytes = bytes.map_err(|error| Failure::broken(error.to_string()))?;
        let found = decode(&bytes, VECTOR_TAG);
        check(found == Ok((sender, Incoming::Control(message))), || {
            format!("term and key {number} read {found:?}")
        })?;
        let shown = bytes[BLOCK..BLOCK + 8] == number.to_le_bytes();
        check(shown, || format!("{number} is written as {:?}", &bytes[BLOCK..BLOCK + 8]))?;
    }
    let member = MemberId(u16::MAX);
    let key = VoteKey::default();
    let ballot = Message::Ballot { term: Term(1), candidate: member, granted: true, key };
    let sender = crate::desk::member_sender(u16::MAX, u64::MAX);
    let bytes = encoded(sender, &Incoming::Control(ballot.clone()));
    let bytes = bytes.map_err(|error| Failure::broken(error.to_string()))?;
    let found = decode(&bytes, VECTOR_TAG);
    check(found == Ok((sender, Incoming::Control(ballot))), || format!("it reads {found:?}"))?;
    // A position has a largest value; one beyond, and what would be null, is refused both ways.
    for (at, sound) in [(0, true), (Position::MAX.0, true), (Position::MAX.0 + 1, false)] {
        position(at, sound)?;
    }
    position(u64::MAX, false)?;
    optional_positions()
}

fn position(at: u64, sound: bool) -> Verdict {
    let request = |at| Message::HistoryRequest { term: Term(1), commit: Position(at) };
    let sender = crate::desk::member_sender(1, 1);
    let bytes = encoded(sender, &Incoming::Control(request(at)));
    check(bytes.is_ok() == sound, || format!("position {at} is written: {bytes:?}"))?;
    let mut bytes = encoded(sender, &Incoming::Control(request(0))).unwrap_or_default();
    bytes[BLOCK + 8..BLOCK + 16].copy_from_slice(&at.to_le_bytes());
    seal(&mut bytes);
    let found = decode(&bytes, VECTOR_TAG);
    let refused = found == Err(DecodeError::Position);
    check(found.is_ok() == sound && refused != sound, || format!("position {at} reads {found:?}"))
}

/// A slice of the log has the leader's positions, or nulls in their places.
fn optional_positions() -> Verdict {
    let sender = crate::desk::member_sender(1, 1);
    let data = |live| Incoming::Data {
        stream: Stream::Log,
        epoch: 4,
        position: Position(64),
        live,
        slice: &[1; 16],
    };
    let live = Some(Live { newest: Position::MAX, commit: Position::ZERO });
    for live in [None, live] {
        let bytes = encoded(sender, &data(live));
        let bytes = bytes.map_err(|error| Failure::broken(error.to_string()))?;
        let nulls = bytes[BLOCK + 16..BLOCK + 32] == [0xff; 16];
        check(nulls == live.is_none(), || format!("{live:?} is written as {bytes:?}"))?;
        let found = decode(&bytes, VECTOR_TAG);
        check(found == Ok((sender, data(live))), || format!("{live:?} reads {found:?}"))?;
    }
    Ok(())
}

pub(super) fn cv_04(_: &mut Trial<'_>) -> Verdict {
    // An address is an array of 18 octets: there is no padding in it and no end.
    let mut holes = [0; 18];
    holes[3] = b'a';
    let texts = [[0; 18], *b"2001:db8::1 to 999", holes, [0xc3; 18], [0xff; 18]];
    for octets in texts {
        let outcome = ConnectOutcome::Redirect {
            leader: MemberId(2),
            term: Term(3),
            endpoint: Endpoint(octets),
        };
        let message = Message::ConnectReply { connection: 7, outcome };
        let sender = crate::desk::member_sender(1, 1);
        let bytes = encoded(sender, &Incoming::Control(message.clone()));
        let bytes = bytes.map_err(|error| Failure::broken(error.to_string()))?;
        check(bytes[BLOCK + 40..BLOCK + 58] == octets, || format!("{octets:?} is changed"))?;
        let found = decode(&bytes, VECTOR_TAG);
        check(found == Ok((sender, Incoming::Control(message))), || {
            format!("{octets:?} reads {found:?}")
        })?;
    }
    Ok(())
}

/// Bytes of a datagram whose values no reader looks at, though they are not zero: the checksum,
/// which is made right again, and the version of the writer's schema.
const EXEMPT: [core::ops::Range<usize>; 2] = [4..8, 46..48];

pub(super) fn cv_06(trial: &mut Trial<'_>) -> Verdict {
    for Vector { name, bytes, .. } in vectors() {
        let before = said(name, &bytes)?;
        let bytes =
            encoded(before.0, &before.1).map_err(|error| Failure::broken(error.to_string()))?;
        let block = usize::from(u16_at(&bytes, 40));
        let is_data = matches!(before.1, Incoming::Data { .. });
        // The dimension of a group without entries says how long they would be.
        let unused = BLOCK + block..BLOCK + block + 2;
        for at in 0..bytes.len() {
            let is_slice = is_data && at >= DATA_OVERHEAD_BYTES;
            if is_slice || unused.contains(&at) || EXEMPT.iter().any(|range| range.contains(&at)) {
                continue;
            }
            let ignored = [0x01, 0x80, 0xff].iter().all(|change| {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                seal(&mut changed);
                decode(&changed, VECTOR_TAG) == Ok(before.clone())
            });
            check(!ignored || bytes[at] == 0, || {
                format!("byte {at} of {name} is {:#04x}, and nobody reads it", bytes[at])
            })?;
            trial.count("ignored_bytes", u64::from(ignored));
        }
    }
    Ok(())
}

pub(super) fn cv_07(_: &mut Trial<'_>) -> Verdict {
    let fields = [
        ("Ballot", 26),
        ("CanvassReply", 32),
        ("ConnectReply", 60),
        ("Nak", 8),
        ("Unavailable", 8),
        ("StreamStatus", 8),
        ("StreamNewest", 8),
        ("SessionData", 24),
    ];
    for Vector { name, bytes, .. } in vectors() {
        let Some((_, at)) = fields.iter().find(|(kind, _)| name.starts_with(kind)) else {
            continue;
        };
        for unknown in [77, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[BLOCK + at] = unknown;
            seal(&mut changed);
            let found = decode(&changed, VECTOR_TAG);
            check(found == Err(DecodeError::Enumeration), || {
                format!("{name} with {unknown} in an enumeration: {found:?}")
            })?;
        }
    }
    // Why a session was closed stays in the log: what this version does not know is kept.
    for code in [2, 77, 254] {
        let reason = frame::SessionCloseReason::Unknown(code);
        let session = quorate_core::SessionId(8);
        let time = quorate_core::LogTime(1);
        let body = frame::Body::SessionClose { session, time, reason };
        let bytes = framed(&body, &[]);
        let header = verify(SEED, &bytes, &[], FRAME_BYTES_MAX);
        let found = header.and_then(|header| parse_body(&header, &bytes));
        check(found == Ok(body), || format!("close reason {code} reads {found:?}"))?;
    }
    Ok(())
}

pub(super) fn cv_15(trial: &mut Trial<'_>) -> Verdict {
    for Vector { name, bytes, .. } in vectors() {
        // Slices of the log and of snapshots are aligned.
        let of_words = name.starts_with("LogData") || name.starts_with("SessionData snapshot");
        let is_data = of_words || name.starts_with("SessionData");
        for length in 0..bytes.len() {
            let raw = decode(&bytes[..length], VECTOR_TAG);
            check(raw.is_err(), || format!("{name} cut to {length} reads {raw:?}"))?;
            let mut cut = bytes[..length].to_vec();
            seal(&mut cut);
            let found = decode(&cut, VECTOR_TAG);
            // The rest of a data datagram is its slice: a shorter one is one too, if it is aligned.
            let whole =
                is_data && length >= DATA_OVERHEAD_BYTES && (!of_words || length.is_multiple_of(8));
            let expected = found.is_ok() == whole
                && (whole || is_data || found == Err(DecodeError::Truncated));
            check(expected, || format!("{name} cut to {length} and sealed reads {found:?}"))?;
            trial.count("prefixes", 2);
        }
    }
    for (body, payload) in super::frames::bodies() {
        let bytes = framed(&body, payload);
        for length in 0..bytes.len() {
            let found = verify(SEED, &bytes[..length], &[], FRAME_BYTES_MAX);
            let truncated = matches!(found, Err(frame::FrameError::Truncated));
            check(truncated, || format!("{body:?} cut to {length} reads {found:?}"))?;
        }
    }
    Ok(())
}

pub(super) fn cv_18(trial: &mut Trial<'_>) -> Verdict {
    // Every number of a heartbeat, put together by hand from the golden bytes.
    let all = vectors();
    let vector = all.iter().find(|vector| vector.name == "Heartbeat typical");
    let bytes = &vector.ok_or_else(|| Failure::Harness("no heartbeat".into()))?.bytes;
    let number = |at: usize, length: usize| -> u64 {
        (0..length).fold(0, |sum, index| sum | u64::from(bytes[at + index]) << (8 * index))
    };
    check(bytes[..2] == *b"QR" && number(0, 2) == u64::from(MAGIC), || "the magic is other")?;
    let checksum = [&bytes[..4], &[0; 4], &bytes[8..]].concat();
    let checksum = Checksum::default().add(&checksum).value();
    check(number(4, 4) == u64::from(checksum), || "the checksum is in another order")?;
    check(number(8, 8) == VECTOR_TAG.0, || "the tag is in another order")?;
    check(number(40, 2) == 48 && number(42, 2) == 22, || "the message header is other")?;
    let (_, content) = said("Heartbeat typical", bytes)?;
    let Incoming::Control(Message::Heartbeat { term, round, newest, commit, chain_at, chain }) =
        content
    else {
        return Err(Failure::broken("a heartbeat reads as something else"));
    };
    let numbers = [term.0, round, newest.0, commit.0, chain_at.0, chain.0];
    for (index, expected) in numbers.into_iter().enumerate() {
        let found = number(BLOCK + 8 * index, 8);
        check(found == expected, || format!("field {index} is {found}, and reads {expected}"))?;
    }
    trial.count("pointer_bits", u64::from(usize::BITS));
    Ok(())
}

pub(super) fn cv_19(trial: &mut Trial<'_>) -> Verdict {
    let mut dice = Dice::new(trial.seed(), "round trips");
    for _ in 0..trial.times(3_000, 30_000, 1_000_000) {
        let length = 20 + dice.below(300);
        let bytes: Vec<u8> = (0..length).map(|_| dice.bits() as u8).collect();
        // Panics when what was written does not read the same.
        quorate_fuzz::round_trip(&bytes);
    }
    Ok(())
}

pub(super) fn cv_20(trial: &mut Trial<'_>) -> Verdict {
    let mut dice = Dice::new(trial.seed(), "bits");
    for Vector { name, mut bytes, .. } in vectors() {
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = decode(&bytes, VECTOR_TAG);
            check(found.is_err(), || format!("bit {bit} of {name} is flipped: {found:?}"))?;
            // Two flipped bits and runs of up to four bytes too.
            let other = dice.below(bytes.len() as u64 * 8) as usize;
            bytes[other / 8] ^= 1 << (other % 8);
            let found = decode(&bytes, VECTOR_TAG);
            check(found.is_err() || other == bit, || {
                format!("bits {bit} and {other} of {name} are flipped: {found:?}")
            })?;
            bytes[other / 8] ^= 1 << (other % 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            trial.count("flipped_bits", 1);
        }
    }
    for (body, payload) in super::frames::bodies() {
        let mut bytes = framed(&body, payload);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = verify(SEED, &bytes, &[], FRAME_BYTES_MAX);
            check(found.is_err(), || format!("bit {bit} of {body:?} is flipped: {found:?}"))?;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
    Ok(())
}

pub(super) fn cv_26(_: &mut Trial<'_>) -> Verdict {
    allocations::are_counted()?;
    let sender = crate::desk::member_sender(1, 1);
    let slice = vec![7; (DATAGRAM_BYTES_MAX - DATA_OVERHEAD_BYTES) & !7];
    let live = Some(Live { newest: Position(1 << 30), commit: Position(1 << 20) });
    let content = Incoming::Data {
        stream: Stream::Log,
        epoch: 4,
        position: Position(64),
        live,
        slice: &slice,
    };
    let bytes = encoded(sender, &content).map_err(|error| Failure::broken(error.to_string()))?;
    check(bytes.len() >= DATAGRAM_BYTES_MAX - 8, || "it is not the largest datagram".to_owned())?;
    let mut same = false;
    let found = allocations::measure(|| {
        // The slice that is handed out lies in the datagram itself.
        same = match decode(&bytes, VECTOR_TAG) {
            Ok((_, Incoming::Data { slice, .. })) => {
                slice.as_ptr_range() == bytes[DATA_OVERHEAD_BYTES..].as_ptr_range()
            }
            _ => false,
        };
    });
    check(same, || "the slice was copied or is not the same".to_owned())?;
    check(found.count == 0, || format!("the largest datagram allocates {found:?}"))?;
    let payload = vec![5; FRAME_BYTES_MAX as usize - 48];
    let (body, _) = super::frames::bodies().swap_remove(3);
    let framed = framed(&body, &payload);
    let found = allocations::measure(|| {
        let header = verify(SEED, &framed, &[], FRAME_BYTES_MAX);
        same = header.and_then(|header| parse_body(&header, &framed)) == Ok(body);
    });
    check(same && found.count == 0, || format!("the largest frame allocates {found:?}"))?;
    check(HEADER_BYTES == 48, || "the header has another size".to_owned())
}
