//! A log that a script wrote: one term from its opening frame on, to be fed to a member on a desk
//! in any pieces and any order.

use quorate_core::frame::Body;
use quorate_core::message::{EpochRange, Live, NakRanges};
use quorate_core::{
    Action, Chain, ClientKey, LogTime, Message, Position, PositionRange, SessionId, Stream, Term,
    TermLine,
};

use crate::desk::{Desk, DeskOptions, LogPiece, line, opening, piece};

/// One term of a log, which begins at the log's beginning.
#[derive(Clone, Debug)]
pub(crate) struct ScriptedLog {
    /// The line of its term.
    pub(crate) line: TermLine,
    /// Its frames: the opening one, one that opens a session, and messages of that.
    pub(crate) frames: Vec<LogPiece>,
    /// The payloads of the messages.
    pub(crate) payloads: Vec<Vec<u8>>,
    /// All of its bytes.
    bytes: Vec<u8>,
}

/// Member 1 of a group of so many on a desk, with small windows: rings are allocated for each desk.
pub(crate) fn small_desk(members: u16) -> DeskOptions {
    let mut options = DeskOptions::member_of(members);
    let limits = &mut options.limits;
    limits.window_bytes = 256 << 10;
    (limits.uncommitted_bytes_max, limits.unapplied_bytes_max) = (128 << 10, 128 << 10);
    (limits.session_window_bytes, limits.read_bytes_max) = (64 << 10, 64 << 10);
    (limits.message_bytes_max, limits.reply_bytes_max) = (4 << 10, 1 << 10);
    options
}

impl ScriptedLog {
    /// A term that `leader` led, with so many messages of `payload_bytes` bytes.
    pub(crate) fn new(term: u64, leader: u16, messages: u64, payload_bytes: usize) -> Self {
        let line = line(term, leader, Position::ZERO, Chain::default());
        let opening = opening(&line, Term(0));
        let (bytes, frames) = (opening.bytes.clone(), vec![opening]);
        let mut log = Self { line, frames, payloads: Vec::new(), bytes };
        let session = SessionId(log.end().0);
        log.push(&Body::SessionOpen { client: ClientKey(77), time: LogTime(2) }, &[]);
        for sequence in 1..=messages {
            let payload: Vec<u8> =
                (0..payload_bytes).map(|byte| (byte as u64 * 7 + sequence) as u8).collect();
            log.push(&Body::Message { session, sequence, time: LogTime(3) }, &payload);
            log.payloads.push(payload);
        }
        log
    }

    fn push(&mut self, body: &Body, payload: &[u8]) {
        let chain = self.frames.last().map_or_else(Chain::default, |last| last.chain);
        let frame = piece(self.line.term.0, self.end(), chain, body, payload);
        self.bytes.extend_from_slice(&frame.bytes);
        self.frames.push(frame);
    }

    /// Where it ends.
    pub(crate) fn end(&self) -> Position {
        self.frames.last().map_or(Position::ZERO, |last| last.end)
    }

    /// Its term.
    pub(crate) const fn term(&self) -> u64 {
        self.line.term.0
    }

    /// Any of its bytes, as one slice.
    pub(crate) fn slice(&self, range: PositionRange) -> LogPiece {
        LogPiece {
            start: range.start,
            end: range.end,
            bytes: self.bytes[range.start.0 as usize..range.end.0 as usize].to_vec(),
            chain: Chain::default(),
        }
    }

    /// All of its bytes in slices of `slice_bytes`, in order.
    pub(crate) fn slices(&self, slice_bytes: u64) -> Vec<LogPiece> {
        let mut start = Position::ZERO;
        let chunks = self.bytes.chunks(slice_bytes as usize).map(|chunk| {
            let end = start.plus(chunk.len() as u64);
            let chain = Chain::default();
            let slice = LogPiece { start, end, bytes: chunk.to_vec(), chain };
            start = end;
            slice
        });
        chunks.collect()
    }

    /// A desk whose member follows this log's leader, adopted its history, and has none of its
    /// bytes yet.
    pub(crate) fn follower(&self, options: DeskOptions) -> Result<Desk, crate::case::Failure> {
        let mut desk = Desk::new(options)?;
        desk.follow(self.line.leader.member.0, self.term(), &[self.line]);
        Ok(desk)
    }

    /// A desk whose member follows this log's leader and holds all of it durably.
    pub(crate) fn holder(&self, options: DeskOptions) -> Result<Desk, crate::case::Failure> {
        let mut desk = self.follower(options)?;
        for frame in &self.frames {
            self.feed(&mut desk, frame);
        }
        desk.complete_all();
        Ok(desk)
    }

    /// A slice of it arrives from its leader, as a repair.
    pub(crate) fn feed(&self, desk: &mut Desk, slice: &LogPiece) {
        desk.receive_log(self.line.leader.member.0, self.term(), slice, None);
    }

    /// A slice of it arrives live from its leader, who has all of it.
    pub(crate) fn feed_live(&self, desk: &mut Desk, slice: &LogPiece) {
        let live = Live { newest: self.end(), commit: Position::ZERO };
        desk.receive_log(self.line.leader.member.0, self.term(), slice, Some(live));
    }

    /// Its leader says that it is there, and that it wrote up to `newest`.
    pub(crate) fn heartbeat(&self, round: u64, newest: Position, commit: Position) -> Message {
        Message::Heartbeat {
            term: self.line.term,
            round,
            newest,
            commit,
            chain_at: Position::ZERO,
            chain: Chain::default(),
        }
    }

    /// A request for these ranges of it.
    pub(crate) fn nak(&self, ranges: &[PositionRange]) -> Message {
        nak(self.term(), ranges)
    }
}

/// A request for these ranges of the log in a term.
pub(crate) fn nak(term: u64, ranges: &[PositionRange]) -> Message {
    let ranges: NakRanges = ranges.iter().map(|&range| EpochRange { epoch: term, range }).collect();
    Message::Nak { stream: Stream::Log, ranges }
}

/// The bytes from `start` up to `end`.
pub(crate) const fn range(start: u64, end: u64) -> PositionRange {
    PositionRange::new(Position(start), Position(end))
}

/// The requests for holes in the log among these actions: to whom, and for what.
pub(crate) fn naks(actions: &[Action]) -> Vec<(quorate_core::Destination, Vec<PositionRange>)> {
    let naks = actions.iter().filter_map(|action| match action {
        Action::Send { to, message: Message::Nak { stream: Stream::Log, ranges } } => {
            Some((*to, ranges.iter().map(|asked| asked.range).collect()))
        }
        _ => None,
    });
    naks.collect()
}

/// The runs of the log among these actions: to whom, what, and whether they are live.
pub(crate) fn runs(actions: &[Action]) -> Vec<(quorate_core::Destination, PositionRange, bool)> {
    let runs = actions.iter().filter_map(|action| match action {
        Action::SendData { to, stream: Stream::Log, range, live, .. } => {
            Some((*to, *range, live.is_some()))
        }
        _ => None,
    });
    runs.collect()
}
