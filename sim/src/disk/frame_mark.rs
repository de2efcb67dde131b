//! What is remembered of a frame on a disk.

use quorate_core::{Chain, LogTime, Position, SnapshotPoint, Term};

/// A whole, valid frame of a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameMark {
    /// Where it begins.
    pub start: Position,
    /// Where the next begins.
    pub end: Position,
    /// The term that owns it.
    pub term: Term,
    /// Its checksum.
    pub checksum: u32,
    /// The chain value behind it.
    pub chain: Chain,
    /// Its cluster time.
    pub time: LogTime,
}

impl FrameMark {
    /// One that stands for all frames before `point`, where nobody knows them any more.
    #[must_use]
    pub const fn all_before(point: SnapshotPoint) -> Self {
        let (start, end) = (Position::ZERO, point.position);
        Self { start, end, term: point.term, checksum: 0, chain: point.chain, time: point.time }
    }
}
