//! Groups, slices, lengths, and what lies behind a message.

use quorate_codecs::generated::{
    HistoryEncoder, HistoryLinesEncoder, NakEncoder, NakRangesEncoder,
};
use quorate_codecs::{DATA_OVERHEAD_BYTES, DATAGRAM_BYTES_MAX, DecodeError, EncodeError, decode};
use quorate_core::frame::{Body, FrameError, parse_body, verify};
use quorate_core::message::{EpochRange, HISTORY_LINES_MAX, Incoming, NAK_RANGES_MAX};
use quorate_core::{
    Chain, ClientKey, LogTime, Message, Position, PositionRange, SessionId, Stream, Term, TermLine,
};

use super::frames::{FRAME_BYTES_MAX, SEED, framed, framed_at, reseal, seed_at};
use super::vectors::encoded;
use super::{BLOCK, by_newer, said};
use crate::case::{Failure, Verdict, check};
use crate::desk::{line, member_sender};
use crate::golden::{VECTOR_TAG, Vector, seal, vectors};
use crate::trial::Trial;

fn nak(count: usize) -> Message {
    let range = |number: usize| EpochRange {
        epoch: number as u64,
        range: PositionRange::at(Position(64 * number as u64), 32),
    };
    Message::Nak { stream: Stream::Log, ranges: (0..count).map(range).collect() }
}

fn history(count: usize) -> Message {
    let lines: Vec<TermLine> = (0..count as u64)
        .map(|number| line(number + 1, 2, Position(8 * number), Chain(number)))
        .collect();
    Message::History {
        term: Term(99),
        above: Position(8),
        part: 0,
        parts: 1,
        checksum: 3,
        lines: lines.into_iter().collect(),
    }
}

/// A kind of message with a group: how many entries it may have, bytes of its block, of an entry
/// as it is written, and of one that is as short as may be; and a message with so many.
type Grouped = (&'static str, usize, usize, usize, usize, fn(usize) -> Message);

const GROUPED: [Grouped; 2] = [
    ("Nak", NAK_RANGES_MAX, NakEncoder::BLOCK_LENGTH, NakRangesEncoder::ENTRY_LENGTH, 24, nak),
    (
        "History",
        HISTORY_LINES_MAX,
        HistoryEncoder::BLOCK_LENGTH,
        HistoryLinesEncoder::ENTRY_LENGTH,
        42,
        history,
    ),
];

fn written(message: Message) -> Result<Vec<u8>, Failure> {
    let bytes = encoded(member_sender(1, 1), &Incoming::Control(message));
    bytes.map_err(|error| Failure::broken(error.to_string()))
}

fn reads(bytes: &[u8]) -> Result<Message, DecodeError> {
    match decode(bytes, VECTOR_TAG)? {
        (_, Incoming::Control(message)) => Ok(message),
        _ => Err(DecodeError::Template),
    }
}

pub(super) fn cv_08(_: &mut Trial<'_>) -> Verdict {
    for (kind, most, block, entry, _, make) in GROUPED {
        for count in [0, 1, 2, most - 1, most] {
            let bytes = written(make(count))?;
            let expected = BLOCK + block + 4 + count * entry;
            check(bytes.len() == expected, || {
                format!("{kind} with {count} entries takes {} bytes", bytes.len())
            })?;
            check(reads(&bytes) == Ok(make(count)), || format!("{kind} with {count} entries"))?;
        }
        let refused = encoded(member_sender(1, 1), &Incoming::Control(make(most + 1)));
        let typed = refused == Err(EncodeError::Count { count: most + 1, limit: most });
        check(typed, || format!("{kind} with {} entries is written: {refused:?}", most + 1))?;
        // One more than may be, all of it there.
        let mut bytes = written(make(most))?;
        bytes.extend(vec![0; entry]);
        bytes[BLOCK + block + 2] += 1;
        seal(&mut bytes);
        let found = reads(&bytes);
        check(found == Err(DecodeError::Group), || {
            format!("{kind} with {} entries reads {found:?}", most + 1)
        })?;
    }
    let nested = r#"<group name="g" id="2"><group name="h" id="3"/></group>"#;
    super::schemas::unsupported("a group in a group", "", nested)
}

pub(super) fn cv_09(_: &mut Trial<'_>) -> Verdict {
    for (kind, most, block, entry, least, make) in GROUPED {
        let size = BLOCK + block;
        for count in [0, 1, most] {
            let bytes = written(make(count))?;
            // Longer entries: what is behind the known fields is skipped.
            for more in [1, 8, 100] {
                let longer = by_newer(&bytes, 0, more, &[]);
                let found = reads(&longer);
                check(found == Ok(make(count)), || {
                    format!("{kind} with entries {more} bytes longer reads {found:?}")
                })?;
            }
            for (length, wanted) in [(least - 1, count == 0), (1, count == 0), (0, count == 0)] {
                let mut shorter = bytes.clone();
                shorter[size..size + 2].copy_from_slice(&(length as u16).to_le_bytes());
                seal(&mut shorter);
                let found = reads(&shorter);
                let refused = found == Err(DecodeError::Group);
                check(found.is_ok() == wanted && refused != wanted, || {
                    format!("{kind} with {count} entries of {length} bytes reads {found:?}")
                })?;
            }
        }
        check(entry >= least, || format!("{kind} writes short entries"))?;
    }
    Ok(())
}

fn data(stream: Stream, slice: &[u8]) -> Incoming<'_> {
    Incoming::Data { stream, epoch: 4, position: Position(64), live: None, slice }
}

pub(super) fn cv_10(_: &mut Trial<'_>) -> Verdict {
    let sender = member_sender(1, 1);
    let room = DATAGRAM_BYTES_MAX - DATA_OVERHEAD_BYTES;
    let all = vec![0x5a; room + 8];
    let key = ClientKey(7);
    for stream in [Stream::Log, Stream::Snapshot, Stream::Ingress(key), Stream::Egress(key)] {
        let step = if matches!(stream, Stream::Log | Stream::Snapshot) { 8 } else { 1 };
        let most = room / step * step;
        for length in [0, step, 2 * step, most - step, most] {
            let bytes = encoded(sender, &data(stream, &all[..length]));
            let bytes = bytes.map_err(|error| Failure::broken(format!("{length}: {error}")))?;
            let found = decode(&bytes, VECTOR_TAG);
            let same = found == Ok((sender, data(stream, &all[..length])));
            check(same, || format!("{length} bytes of {stream:?} read otherwise"))?;
        }
        let over = encoded(sender, &data(stream, &all[..most + step]));
        check(matches!(over, Err(EncodeError::Room { .. })), || {
            format!("{} bytes of {stream:?} are written: {over:?}", most + step)
        })?;
    }
    let empty = super::schemas::unsupported("variable data", "", DATA);
    empty?;
    payloads()
}

const DATA: &str = r#"<data name="d" id="4" type="groupSizeEncoding"/>"#;

/// Payloads of frames: all lengths that may be, and lengths that are a lie.
fn payloads() -> Verdict {
    let body = Body::Message { session: SessionId(8), sequence: 1, time: LogTime(1) };
    let overhead = framed(&body, &[]).len();
    let most = FRAME_BYTES_MAX as usize - overhead;
    for length in [0, 1, 7, 8, 9, most - 1, most] {
        let payload = vec![3; length];
        let bytes = framed(&body, &payload);
        let header = verify(SEED, &bytes, &[], FRAME_BYTES_MAX);
        let header = header.map_err(|error| Failure::broken(format!("{length}: {error}")))?;
        let range = header.payload(SEED.position);
        let start = range.start.since(SEED.position) as usize;
        let found = &bytes[start..start + range.len() as usize];
        check(found == payload, || format!("a payload of {length} bytes has {}", found.len()))?;
    }
    let bytes = framed(&body, &vec![3; most + 1]);
    let found = verify(SEED, &bytes, &[], FRAME_BYTES_MAX);
    check(matches!(found, Err(FrameError::Length { .. })), || format!("too long: {found:?}"))?;
    for claimed in [0, 1, 39, 41, 1 << 15, u32::MAX] {
        let mut bytes = framed(&body, &[]);
        bytes[0..4].copy_from_slice(&claimed.to_le_bytes());
        let found = verify(SEED, &bytes, &[], FRAME_BYTES_MAX);
        check(found.is_err(), || format!("a frame that says {claimed} bytes: {found:?}"))?;
    }
    Ok(())
}

pub(super) fn cv_11(_: &mut Trial<'_>) -> Verdict {
    for Vector { name, bytes, .. } in vectors() {
        if name.ends_with("Data live") {
            continue;
        }
        let before = said(name, &bytes)?;
        let block = u16::from_le_bytes([bytes[40], bytes[41]]);
        for more in [1, 8, 200] {
            let longer = by_newer(&bytes, more, 0, &[]);
            let found = decode(&longer, VECTOR_TAG);
            check(found == Ok(before.clone()), || {
                format!("{name} with a block {more} bytes longer reads {found:?}")
            })?;
        }
        // Shorter ones lack a field, or at most what fills the block up to a multiple of 8.
        for length in 0..block {
            let (front, rest) = bytes.split_at(BLOCK + usize::from(length));
            let mut shorter = [front, &rest[usize::from(block - length)..]].concat();
            shorter[40..42].copy_from_slice(&length.to_le_bytes());
            seal(&mut shorter);
            let found = decode(&shorter, VECTOR_TAG);
            let is_filling = length + 8 > block && found == Ok(before.clone());
            check(is_filling || found == Err(DecodeError::Block), || {
                format!("{name} with a block of {length} instead of {block} bytes: {found:?}")
            })?;
        }
    }
    Ok(())
}

pub(super) fn cv_14(_: &mut Trial<'_>) -> Verdict {
    // A datagram has one message: what lies behind it is a newer version's.
    let all = vectors();
    let other = &all[0].bytes;
    for Vector { name, bytes, .. } in &all {
        let before = said(name, bytes)?;
        if matches!(before.1, Incoming::Data { .. }) {
            continue;
        }
        let mut both = [&bytes[..], &other[..]].concat();
        seal(&mut both);
        let found = decode(&both, VECTOR_TAG);
        check(found == Ok(before), || format!("{name} and another message read {found:?}"))?;
    }
    // A slice of the log has many frames: one of an unknown kind is stepped over by its length.
    let message = Body::Message { session: SessionId(8), sequence: 1, time: LogTime(1) };
    let mut bytes = Vec::new();
    for (number, template) in [(0, None), (1, Some(99_u16)), (2, None), (3, Some(15)), (4, None)] {
        let seed = seed_at(Position(4_096 + bytes.len() as u64));
        let mut one = framed_at(seed, &message, &[number; 21]);
        if let Some(template) = template {
            one[10..12].copy_from_slice(&template.to_le_bytes());
            reseal(seed, &mut one);
        }
        bytes.extend(one);
    }
    let (mut at, mut known, mut unknown) = (0, 0, 0);
    while at < bytes.len() {
        let seed = seed_at(Position(4_096 + at as u64));
        let header = verify(seed, &bytes[at..], &[], FRAME_BYTES_MAX);
        let header = header.map_err(|error| Failure::broken(format!("at {at}: {error}")))?;
        match parse_body(&header, &bytes[at..]) {
            Ok(body) => known += usize::from(body == message),
            Err(FrameError::Template { .. }) => unknown += 1,
            Err(error) => return Err(Failure::broken(format!("at {at}: {error}"))),
        }
        at += header.aligned_length() as usize;
    }
    check((known, unknown) == (3, 2), || format!("{known} known and {unknown} unknown frames"))
}

pub(super) fn cv_16(_: &mut Trial<'_>) -> Verdict {
    for (kind, _, block, _, _, make) in GROUPED {
        let size = BLOCK + block;
        for (length, count) in [(0xffff, 0xffff), (0xffff, 1), (0xffff, 16), (24, 0xffff), (48, 16)]
        {
            let mut bytes = written(make(1))?;
            bytes[size..size + 2].copy_from_slice(&u16::to_le_bytes(length));
            bytes[size + 2..size + 4].copy_from_slice(&u16::to_le_bytes(count));
            seal(&mut bytes);
            let found = reads(&bytes);
            check(found.is_err(), || format!("{kind} of {count} times {length}: {found:?}"))?;
        }
        for length in [0x7fff, 0x8000, 0xfff8, 0xffff] {
            let mut bytes = written(make(1))?;
            bytes[40..42].copy_from_slice(&u16::to_le_bytes(length));
            seal(&mut bytes);
            let found = reads(&bytes);
            check(found == Err(DecodeError::Truncated), || {
                format!("{kind} with a block of {length} bytes: {found:?}")
            })?;
        }
    }
    // Positions near the end of what 62, 63 and 64 bits hold, with a slice behind them.
    let sender = member_sender(1, 1);
    for at in [Position::MAX.0 & !7, (1 << 63) - 8, 1 << 63, u64::MAX - 7] {
        let content = Incoming::Data {
            stream: Stream::Log,
            epoch: 1,
            position: Position(at),
            live: None,
            slice: &[1; 16],
        };
        let refused = encoded(sender, &content);
        check(refused == Err(EncodeError::Refused(DecodeError::Position)), || {
            format!("a slice at {at} is written: {refused:?}")
        })?;
        let mut bytes = encoded(sender, &data(Stream::Log, &[1; 16])).unwrap_or_default();
        bytes[BLOCK + 8..BLOCK + 16].copy_from_slice(&at.to_le_bytes());
        seal(&mut bytes);
        let found = decode(&bytes, VECTOR_TAG);
        check(found == Err(DecodeError::Position), || format!("a slice at {at}: {found:?}"))?;
    }
    let end = Position::MAX.plus(u64::MAX);
    check(end == Position::MAX, || format!("a position wraps to {end}"))
}

pub(super) fn cv_17(_: &mut Trial<'_>) -> Verdict {
    // A group is reached by giving the block away: nothing can be set in it any more. What was not
    // set is zero, and there are never more or fewer entries than were announced.
    let mut bytes = [0xaa; 256];
    let length = NakEncoder::BLOCK_LENGTH + NakRangesEncoder::bytes(3);
    let ranges = NakEncoder::wrap(&mut bytes).and_then(|nak| nak.into_ranges(3));
    let Some(mut ranges) = ranges else {
        return Err(Failure::broken("there is room for three ranges"));
    };
    let first = ranges.next_entry().map(|mut entry| {
        entry.set_end(16);
    });
    check(first.is_some(), || "there is no first entry")?;
    for number in 1..3 {
        check(ranges.next_entry().is_some(), || format!("there is no entry {number}"))?;
    }
    check(ranges.next_entry().is_none(), || "there are more entries than were announced")?;
    let set = bytes[..length].iter().filter(|byte| **byte != 0).count();
    // The end of the first range, the length of an entry, and their number.
    check(set == 3, || format!("{set} bytes are not zero: {:?}", &bytes[..length]))?;
    check(bytes[length..].iter().all(|byte| *byte == 0xaa), || "it writes beyond its end")?;
    for room in 0..length {
        let mut small = vec![0xaa; room];
        let made = NakEncoder::wrap(&mut small).and_then(|nak| nak.into_ranges(3));
        check(made.is_none(), || format!("three ranges fit {room} bytes"))?;
    }
    Ok(())
}
