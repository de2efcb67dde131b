//! Frames of the log, made by hand.

use quorate_core::frame::{Body, FrameFront, FrameSeed, LOG_VERSION, Level, TermOpen, chain_after};
use quorate_core::{Chain, LogTime, Position, Term, TermLine};

use crate::stage::TAG;

/// The first frame of a term, as bytes of the log, with where it ends.
#[derive(Clone, Debug)]
pub struct LogPiece {
    /// Where it begins.
    pub start: Position,
    /// Where it ends.
    pub end: Position,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The chain value behind it.
    pub chain: Chain,
}

/// A frame of the log with this body at a position of a term; `chain` is the value before it.
#[must_use]
pub fn piece(term: u64, start: Position, chain: Chain, body: &Body, payload: &[u8]) -> LogPiece {
    let seed = FrameSeed::new(TAG, Term(term), start);
    let frame = FrameFront::new(seed, body, (payload, &[]));
    let mut bytes = frame.bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let end = start.plus(bytes.len() as u64);
    let chain = chain_after(chain, Term(term), start, frame.checksum());
    LogPiece { start, end, bytes, chain }
}

/// The opening frame of the term that `line` is about; `previous` is the term before it.
#[must_use]
pub fn opening(line: &TermLine, previous: Term) -> LogPiece {
    let open = TermOpen {
        term: line.term,
        previous_term: previous,
        chain: line.chain,
        time: LogTime(1),
        leader: line.leader,
        recovery_epoch: line.recovery_epoch,
        log_version: LOG_VERSION,
        level: Level::Durable,
    };
    piece(line.term.0, line.base, line.chain, &Body::TermOpen(open), &[])
}

/// `count` frames of a term that begins the log: its opening, then timers of the service.
#[must_use]
pub fn frames(line: &TermLine, count: usize) -> Vec<LogPiece> {
    let mut pieces: Vec<LogPiece> = Vec::new();
    for number in 0..count as u64 {
        let next = pieces.last().map_or_else(
            || opening(line, Term(0)),
            |last| {
                let time = LogTime(1);
                let body = Body::Timer { time, timer: number, deadline: time };
                piece(line.term.0, last.end, last.chain, &body, &[])
            },
        );
        pieces.push(next);
    }
    pieces
}
