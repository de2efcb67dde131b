//! The rung `codec`: what a datagram or a frame costs to write and to read.

use core::error::Error;
use core::hint::black_box;
use std::time::Instant as Clock;

use clap::Args;
use quorate_codecs::{Header, decode, encode_control, encode_data};
use quorate_core::frame::{self, Body, FrameFront, FrameSeed};
use quorate_core::message::{EpochRange, Live};
use quorate_core::{
    BootEpoch, Chain, GroupTag, Incarnation, LogTime, MemberId, Message, Position, PositionRange,
    Sender, SessionId, Stream, Term,
};

use crate::instructions;
use crate::line::Line;
use crate::measure::median;

/// The group of all samples.
const TAG: GroupTag = GroupTag(77);
/// Bytes of the frame of a message of 64 bytes.
const LONE_FRAME_BYTES: usize = 104;
/// Stream bytes of a full datagram.
const FULL_SLICE_BYTES: usize = 1_216;
/// Bytes of the payload in a frame.
const PAYLOAD_BYTES: usize = 64;

/// How the rung is run.
#[derive(Args, Clone, Debug)]
pub(crate) struct CodecOptions {
    /// Times that each case is run within a repetition.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) iterations: u64,
    /// Repetitions; medians are shown.
    #[arg(long, default_value_t = 7)]
    pub(crate) repetitions: usize,
    /// Do not count instructions, which takes about a second for each case.
    #[arg(long)]
    pub(crate) no_instructions: bool,
}

/// One thing to measure.
pub(crate) struct CodecCase {
    /// Its name.
    pub(crate) name: &'static str,
    /// Bytes of the datagram or frame.
    bytes: usize,
    /// Does it so often.
    pub(crate) run: Box<dyn FnMut(u64)>,
}

/// Runs all cases in turn, as often as asked for, and prints their medians.
///
/// # Errors
/// What the counting tool or the output complains of.
pub(crate) fn run(options: &CodecOptions) -> Result<(), Box<dyn Error>> {
    let mut cases = cases();
    let mut nanos = vec![Vec::new(); cases.len()];
    for _ in 0..options.repetitions.max(1) {
        for (case, nanos) in cases.iter_mut().zip(&mut nanos) {
            let begin = Clock::now();
            (case.run)(options.iterations);
            nanos.push(begin.elapsed().as_nanos() as f64 / options.iterations as f64);
        }
    }
    let counting = if options.no_instructions {
        Err("not asked for".to_owned())
    } else {
        instructions::check_tool()
    };
    for (case, nanos) in cases.iter().zip(nanos) {
        let nanos = median(nanos);
        let line = Line::of("codec")
            .with("case", case.name)
            .with("bytes", case.bytes)
            .with_rounded("ns", nanos)
            .with("per_s", (1e9 / nanos).round());
        let line = match &counting {
            Ok(()) => line.with_rounded("instructions", instructions::per_iteration(case.name)?),
            Err(reason) => line.with("instructions_skipped", reason.as_str()),
        };
        line.print()?;
    }
    Ok(())
}

/// All cases.
pub(crate) fn cases() -> Vec<CodecCase> {
    let mut cases = Vec::new();
    data_cases(&mut cases, ("encode data 104", "decode data 104"), LONE_FRAME_BYTES);
    data_cases(&mut cases, ("encode data 1216", "decode data 1216"), FULL_SLICE_BYTES);
    let acknowledge = Message::Acknowledge {
        term: Term(7),
        sequence: 1_000,
        round: 20,
        durable: Position(1 << 30),
        received: Position(1 << 30),
        limit: Position(2 << 30),
        commit: Position(1 << 29),
    };
    control_cases(&mut cases, ("encode acknowledge", "decode acknowledge"), acknowledge);
    let heartbeat = Message::Heartbeat {
        term: Term(7),
        round: 21,
        newest: Position(1 << 30),
        commit: Position(1 << 29),
        chain_at: Position(1 << 28),
        chain: Chain(99),
    };
    control_cases(&mut cases, ("encode heartbeat", "decode heartbeat"), heartbeat);
    let hole = |at| EpochRange { epoch: 7, range: PositionRange::at(Position(at), 1_216) };
    let nak = Message::Nak {
        stream: Stream::Log,
        ranges: [hole(4_096), hole(65_536)].into_iter().collect(),
    };
    control_cases(&mut cases, ("encode nak", "decode nak"), nak);
    frame_cases(&mut cases);
    cases
}

fn header() -> Header {
    let member = MemberId(1);
    let sender = Sender::Member { member, incarnation: Incarnation(1), boot_epoch: BootEpoch(1) };
    Header { tag: TAG, sender }
}

fn data_cases(cases: &mut Vec<CodecCase>, names: (&'static str, &'static str), slice: usize) {
    let slice = vec![0x5a; slice];
    let live = Some(Live { newest: Position(1 << 30), commit: Position(1 << 29) });
    let encode = move |buffer: &mut [u8]| {
        let (position, slice) = (black_box(Position(1 << 20)), (slice.as_slice(), &[][..]));
        let length =
            encode_data(&black_box(header()), Stream::Log, 7, position, live, slice, buffer);
        length.expect("the buffer is large enough")
    };
    datagram_cases(cases, names, encode);
}

fn control_cases(
    cases: &mut Vec<CodecCase>,
    names: (&'static str, &'static str),
    message: Message,
) {
    let encode = move |buffer: &mut [u8]| {
        let length = encode_control(&black_box(header()), black_box(&message), buffer);
        length.expect("the buffer is large enough")
    };
    datagram_cases(cases, names, encode);
}

fn datagram_cases(
    cases: &mut Vec<CodecCase>,
    (encoding, decoding): (&'static str, &'static str),
    encode: impl Fn(&mut [u8]) -> usize + 'static,
) {
    let mut buffer = vec![0; 2_048];
    let bytes = encode(&mut buffer);
    let datagram = buffer[..bytes].to_vec();
    let encode = move |iterations| {
        for _ in 0..iterations {
            black_box(encode(black_box(&mut buffer)));
        }
    };
    let decode = move |iterations| {
        for _ in 0..iterations {
            let decoded = decode(black_box(&datagram), TAG);
            black_box(decoded.expect("what was encoded is sound"));
        }
    };
    cases.push(CodecCase { name: encoding, bytes, run: Box::new(encode) });
    cases.push(CodecCase { name: decoding, bytes, run: Box::new(decode) });
}

fn frame_cases(cases: &mut Vec<CodecCase>) {
    let seed = FrameSeed::new(TAG, Term(7), Position(1 << 20));
    let body = Body::Message { session: SessionId(64), sequence: 12, time: LogTime(1) };
    let payload = vec![0x5a; PAYLOAD_BYTES];
    let lay_out = move |target: &mut Vec<u8>| {
        let front = FrameFront::new(black_box(seed), black_box(&body), (&payload, &[]));
        target.clear();
        target.extend_from_slice(front.bytes());
        target.extend_from_slice(&payload);
        let length = frame::aligned(target.len() as u64) as usize;
        target.resize(length, 0);
    };
    let mut laid_out = Vec::new();
    lay_out(&mut laid_out);
    let bytes = laid_out.len();
    let mut target = Vec::with_capacity(bytes);
    let encode = move |iterations| {
        for _ in 0..iterations {
            lay_out(black_box(&mut target));
        }
    };
    let decode = move |iterations| {
        for _ in 0..iterations {
            let header = frame::verify(seed, black_box(&laid_out), &[], 1 << 20);
            let header = header.expect("what was laid out is sound");
            let body = frame::parse_body(&header, &laid_out);
            black_box(body.expect("what was laid out is sound"));
        }
    };
    cases.push(CodecCase { name: "write frame", bytes, run: Box::new(encode) });
    cases.push(CodecCase { name: "verify frame", bytes, run: Box::new(decode) });
}
