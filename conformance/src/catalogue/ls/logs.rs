//! Logs that scripts make up, frame by frame.

use quorate_core::frame::Body;
use quorate_core::{
    BootEpoch, Chain, Instant, Limits, LogTime, OperationId, Position, SessionId, Term,
    TermHistory, TermLine,
};
use quorate_sim::{Completion, SimDisk, Work};

use crate::case::Failure;
use crate::desk::{Desk, DeskOptions, LogPiece, line, opening, piece};
use crate::stage::TAG;

/// A log: the term of each frame, its lines and its frames.
#[derive(Clone)]
pub(super) struct Log {
    pub(super) terms: Vec<u64>,
    pub(super) lines: Vec<TermLine>,
    pub(super) pieces: Vec<LogPiece>,
}

/// Who leads a term: never member 1, which stands on the desk.
pub(super) const fn leader_of(term: u64) -> u16 {
    2 + (term % 2) as u16
}

impl Log {
    /// A log with a frame of each of these terms, the first of each its opening.
    pub(super) fn of(terms: &[u64]) -> Self {
        let mut log = Self { terms: Vec::new(), lines: Vec::new(), pieces: Vec::new() };
        for &term in terms {
            let payload = format!("frame {} of {term}", log.terms.len());
            log.add(term, payload.as_bytes());
        }
        log
    }

    pub(super) fn add(&mut self, term: u64, payload: &[u8]) {
        let (start, chain) = (self.end(), self.chain());
        let previous = Term(self.terms.last().copied().unwrap_or(0));
        let piece = if previous < Term(term) {
            let line = line(term, leader_of(term), start, chain);
            self.lines.push(line);
            opening(&line, previous)
        } else {
            let (session, sequence) = (SessionId(8), self.terms.len() as u64);
            let body = Body::Message { session, sequence, time: LogTime(1) };
            piece(term, start, chain, &body, payload)
        };
        self.terms.push(term);
        self.pieces.push(piece);
    }

    pub(super) fn end(&self) -> Position {
        self.pieces.last().map_or(Position::ZERO, |piece| piece.end)
    }

    pub(super) fn chain(&self) -> Chain {
        self.pieces.last().map_or_else(Chain::default, |piece| piece.chain)
    }

    /// Where the frame with this number begins.
    pub(super) fn start_of(&self, frame: usize) -> Position {
        frame.checked_sub(1).map_or(Position::ZERO, |before| self.pieces[before].end)
    }

    /// How many frames both have: all before the first of different terms.
    pub(super) fn common(&self, other: &Self) -> usize {
        self.terms.iter().zip(&other.terms).take_while(|(one, two)| one == two).count()
    }

    /// Whether both can be logs of one group: a term has one base, and one leader wrote it.
    pub(super) fn fits(&self, other: &Self) -> bool {
        self.lines.iter().all(|line| {
            let same_term = other.lines.iter().find(|their| their.term == line.term);
            same_term.is_none_or(|their| their == line)
        })
    }

    /// A disk with this log, all of it durable.
    pub(super) fn on_disk(&self, limits: &Limits) -> SimDisk {
        let mut disk = SimDisk::new(TAG, limits.frame_bytes_max());
        let operation = OperationId { boot_epoch: BootEpoch(0), sequence: 1 };
        let history = TermHistory::new(self.lines.clone()).unwrap_or_default();
        disk.issue(operation, Work::History { history, cut: Position::ZERO });
        assert!(matches!(disk.complete(operation), Some(Completion::Durable(_))));
        let bytes: Vec<u8> = self.pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
        disk.append(&bytes, &[]);
        disk
    }
}

/// Limits that make a desk cheap.
pub(super) fn small() -> Limits {
    Limits {
        window_bytes: 1 << 16,
        uncommitted_bytes_max: 1 << 15,
        unapplied_bytes_max: 1 << 15,
        session_window_bytes: 1 << 15,
        message_bytes_max: 4 << 10,
        reply_bytes_max: 1 << 10,
        read_bytes_max: 1 << 14,
        ..Limits::default()
    }
}

/// Member 1 of three with this log.
pub(super) fn follower(log: &Log) -> Result<Desk, Failure> {
    let options = DeskOptions { limits: small(), ..DeskOptions::member_of(3) };
    let disk = log.on_disk(&options.limits);
    Desk::on_disk(options, disk, Instant(1))
}
