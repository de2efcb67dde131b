//! What is encoded decodes to the same, and not at all when a bit of it is flipped.

use arbitrary::Unstructured;
use quorate_codecs::{
    CONTROL_BYTES_MAX, DATA_OVERHEAD_BYTES, Header, class, decode, encode_control, encode_data,
};
use quorate_core::frame::{
    self, Body, FrameFront, FrameSeed, Level, MembershipPhase, SessionCloseReason, SnapshotCause,
    TermOpen, aligned, frame_bytes, parse_body,
};
use quorate_core::message::EpochRange;
use quorate_core::{Incoming, LogTime, Message, Position, RecoveryEpoch, Stream};

use crate::TAG;
use crate::draw::Draw;

const SLICE_BYTES_MAX: usize = 4_096;
const FRAME_BYTES_MAX: u64 = 64 << 10;

/// Makes a message, a slice or a frame of `bytes`, encodes it, and reads it back.
///
/// # Panics
/// If it cannot be encoded, reads differently, or reads at all once it is damaged.
pub fn round_trip(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let mut draw = Draw::any(&mut bytes);
    match draw.below(3) {
        0 => control(&mut draw),
        1 => data(&mut draw),
        _ => frame(&mut draw),
    }
}

fn control(draw: &mut Draw<'_, '_>) {
    let (sender, mut message) = (draw.sender(), draw.message());
    align(&mut message);
    let mut buffer = [0xaa; CONTROL_BYTES_MAX];
    let header = Header { tag: TAG, sender };
    let length = encode_control(&header, &message, &mut buffer);
    let length = length.unwrap_or_else(|error| panic!("{message:?} is not encoded: {error}"));
    let datagram = &mut buffer[..length];
    assert_eq!(decode(datagram, TAG), Ok((sender, Incoming::Control(message))));
    expect_refusal_once_damaged(draw, datagram);
}

/// Nobody asks for a range that does not begin and end at multiples of 8 (rule 19).
fn align(message: &mut Message) {
    let align = |asked: &mut EpochRange| {
        asked.range.start.0 &= !7;
        asked.range.end.0 &= !7;
    };
    match message {
        Message::Nak { ranges, .. } => ranges.iter_mut().for_each(align),
        Message::Unavailable { range, .. } => align(range),
        _ => {}
    }
}

fn data(draw: &mut Draw<'_, '_>) {
    let (sender, stream) = (draw.sender(), draw.stream());
    let is_aligned = matches!(stream, Stream::Log | Stream::Snapshot);
    let live = draw.live().filter(|_| stream == Stream::Log);
    let epoch = draw.number();
    let mut position = Position(draw.position().0 >> 1);
    let mut slice = draw.slice(SLICE_BYTES_MAX);
    if is_aligned {
        // Slices of the log and of snapshots begin and end at multiples of 8 (rule 19).
        position = Position(position.0 & !7);
        slice = &slice[..slice.len() & !7];
    }
    let halves = slice.split_at(usize::from(draw.short()) % (slice.len() + 1));
    let mut buffer = vec![0xaa; DATA_OVERHEAD_BYTES + slice.len()];
    let header = Header { tag: TAG, sender };
    let length = encode_data(&header, stream, epoch, position, live, halves, &mut buffer);
    assert_eq!(length, Ok(buffer.len()), "{stream:?} {position} {live:?}");
    let content = Incoming::Data { stream, epoch, position, live, slice };
    assert_eq!(decode(&buffer, TAG), Ok((sender, content)));
    expect_refusal_once_damaged(draw, &mut buffer);
}

fn expect_refusal_once_damaged(draw: &mut Draw<'_, '_>, datagram: &mut [u8]) {
    assert!(class(datagram).is_some(), "what is encoded has a class");
    let cut = usize::from(draw.short()) % datagram.len();
    assert!(decode(&datagram[..cut], TAG).is_err(), "it decodes without its end");
    let bit = usize::from(draw.short()) % (datagram.len() * 8);
    datagram[bit / 8] ^= 1 << (bit % 8);
    assert!(decode(datagram, TAG).is_err(), "it decodes with bit {bit} flipped");
}

fn frame(draw: &mut Draw<'_, '_>) {
    // Far from the largest position, so that the frame has room.
    let position = Position(draw.position().0 >> 1 & !7);
    let seed = FrameSeed::new(TAG, draw.term(), position);
    let body = any_body(draw);
    let payload = draw.slice(SLICE_BYTES_MAX);
    let halves = payload.split_at(usize::from(draw.short()) % (payload.len() + 1));
    let front = FrameFront::new(seed, &body, halves);
    let mut bytes = [front.bytes(), payload].concat();
    bytes.resize(aligned(bytes.len() as u64) as usize, 0);
    assert_eq!(bytes.len() as u64, frame_bytes(&body, payload.len()));

    // Rings wrap at multiples of the alignment, and the first part is never empty.
    let wrap = (usize::from(draw.short()) % (bytes.len() / 8) + 1) * 8;
    let (first, second) = bytes.split_at(wrap);
    let header = frame::verify(seed, first, second, FRAME_BYTES_MAX);
    let header = header.unwrap_or_else(|error| panic!("{body:?} is not verified: {error}"));
    assert_eq!(header.checksum, front.checksum());
    assert_eq!(parse_body(&header, &bytes), Ok(body));
    let range = header.payload(position);
    let start = range.start.since(position) as usize;
    assert_eq!(&bytes[start..start + range.len() as usize], payload);

    let elsewhere = FrameSeed { position: Position(position.0 ^ 8), ..seed };
    assert!(frame::verify(elsewhere, first, second, FRAME_BYTES_MAX).is_err(), "elsewhere");
    let bit = usize::from(draw.short()) % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    let damaged = frame::verify(seed, &bytes, &[], FRAME_BYTES_MAX);
    assert!(damaged.is_err(), "it verifies with bit {bit} flipped");
}

/// Any body of a frame.
pub(crate) fn any_body(draw: &mut Draw<'_, '_>) -> Body {
    let kind = draw.below(9);
    let (time, session, sequence) = (LogTime(draw.number()), draw.session(), draw.number());
    match kind {
        0 => Body::TermOpen(TermOpen {
            term: draw.term(),
            previous_term: draw.term(),
            chain: quorate_core::Chain(draw.number()),
            time,
            leader: draw.life(),
            recovery_epoch: RecoveryEpoch(sequence as u32),
            log_version: draw.short(),
            level: match draw.byte() {
                0 => Level::Durable,
                1 => Level::Volatile,
                code => Level::Unknown(code),
            },
        }),
        1 => Body::SessionOpen { time, client: draw.client() },
        2 => {
            let reason = match draw.byte() {
                // The codes of the schema, and one that a newer version may know.
                0..=100 => SessionCloseReason::Client,
                101..=200 => SessionCloseReason::TimedOut,
                code => SessionCloseReason::Unknown(code),
            };
            Body::SessionClose { session, time, reason }
        }
        3 => Body::Message { session, sequence, time },
        4 => Body::Timer { time, timer: sequence, deadline: LogTime(draw.number()) },
        5 => {
            let cause = match draw.byte() {
                0..=100 => SnapshotCause::Command,
                101..=200 => SnapshotCause::Policy,
                code => SnapshotCause::Unknown(code),
            };
            Body::SnapshotMark { time, cause }
        }
        6 => Body::Readmission { time, life: draw.life() },
        8 => {
            let phase = match draw.byte() {
                0..=100 => MembershipPhase::Final,
                101..=200 => MembershipPhase::Joint,
                code => MembershipPhase::Unknown(code),
            };
            Body::Membership { time, phase }
        }
        7 => Body::SafeMessage { session, sequence, time },
        _ => Body::Reply { session, sequence, position: draw.position() },
    }
}
