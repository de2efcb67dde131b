//! A member's files on a disk in memory: the archive called directly, for cases about what lies on
//! a disk and what is made of it.

use core::fmt::Display;
use std::path::{Path, PathBuf};

use quorate_archive::memory::{Fate, MemoryDisk};
use quorate_archive::{
    AppendError, Archive, ArchiveError, Identity, Options, Reader, Repairs, Syncer, Writer, init_on,
};
use quorate_core::frame::Body;
use quorate_core::{
    Chain, Incarnation, LogTime, MemberId, Position, PositionRange, Recovered, RecoveryEpoch,
    SessionId, Term, TermHistory,
};

use crate::case::Failure;
use crate::desk::{LogPiece, line, opening, piece};
use crate::stage::GROUP;

/// The directory of the member.
pub(crate) const DIRECTORY: &str = "/member";
/// How archives are opened here.
pub(crate) const OPTIONS: Options = Options::new(64 << 10);
/// Where the log's bytes begin in the file of a segment.
pub(crate) const LOG_AT: usize = 16 << 10;

/// A log in memory, with the history under which it was written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) history: TermHistory,
    pub(crate) bytes: Vec<u8>,
    /// The ends of all frames.
    pub(crate) ends: Vec<u64>,
    pub(crate) chain: Chain,
}

impl Log {
    /// A log of one term with so many messages of so many bytes.
    pub(crate) fn of(messages: usize, length: usize) -> Self {
        let mut log = Self::default();
        log.open_term(1);
        (0..messages).for_each(|_| log.message(length));
        log
    }

    pub(crate) fn end(&self) -> Position {
        Position(self.bytes.len() as u64)
    }

    /// Goes on in a new term, led by member 2, with its opening frame.
    pub(crate) fn open_term(&mut self, term: u64) {
        let line = line(term, 2, self.end(), self.chain);
        let previous = self.history.term_before(self.end());
        self.history = self.history.opened(line);
        self.push(&opening(&line, previous));
    }

    pub(crate) fn message(&mut self, length: usize) {
        let number = self.ends.len() as u64;
        let body = Body::Message { session: SessionId(8), sequence: number, time: LogTime(1) };
        let payload: Vec<u8> = (0..length as u64).map(|at| (at * 7 + number) as u8 | 1).collect();
        let term = self.history.last().map_or(Term(0), |line| line.term);
        self.push(&piece(term.0, self.end(), self.chain, &body, &payload));
    }

    fn push(&mut self, piece: &LogPiece) {
        self.bytes.extend_from_slice(&piece.bytes);
        self.ends.push(piece.end.0);
        self.chain = piece.chain;
    }

    /// The end of the last whole frame at or below a position.
    pub(crate) fn whole_below(&self, position: u64) -> u64 {
        self.ends.iter().copied().rfind(|end| *end <= position).unwrap_or(0)
    }

    /// The bytes of the frame with this number, from 0 on.
    pub(crate) fn frame(&self, number: usize) -> core::ops::Range<usize> {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[number] as usize
    }
}

/// An open archive on a disk in memory.
pub(crate) struct Open {
    pub(crate) writer: Writer<MemoryDisk>,
    pub(crate) syncer: Syncer<MemoryDisk>,
    pub(crate) reader: Reader<MemoryDisk>,
    pub(crate) recovered: Recovered,
    pub(crate) repairs: Repairs,
}

impl Open {
    /// Opens the archive on `disk`.
    pub(crate) fn on(disk: &MemoryDisk) -> Result<Self, ArchiveError> {
        let (archive, recovered) = Archive::open_on(disk.clone(), Path::new(DIRECTORY), &OPTIONS)?;
        let repairs = archive.repairs().clone();
        let (writer, syncer, reader) = archive.split();
        Ok(Self { writer, syncer, reader, recovered, repairs })
    }

    /// Makes a history durable, and cuts the log.
    pub(crate) fn adopt(&mut self, log: &Log, cut: Position) -> Result<(), ArchiveError> {
        let cut = self.writer.cut(cut);
        self.syncer.persist_history(&log.history, cut)
    }

    /// Appends what `log` has between the end of what is written and `end`.
    pub(crate) fn append(&mut self, log: &Log, end: u64) -> Result<(), AppendError> {
        let start = self.writer.written();
        let bytes = &log.bytes[start.0 as usize..end as usize];
        let (first, second) = bytes.split_at(bytes.len() / 16 * 8);
        self.writer.append(start, first, second)
    }

    /// All of the log that can be read.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::new();
        let all = PositionRange::new(Position::ZERO, Position::MAX);
        self.reader.read(all, &mut bytes)?;
        Ok(bytes)
    }
}

/// Whose the files are.
pub(crate) fn identity() -> Identity {
    Identity {
        group: GROUP,
        recovery_epoch: RecoveryEpoch(0),
        member: MemberId(1),
        incarnation: Incarnation(1),
        voters: vec![MemberId(1), MemberId(2), MemberId(3)],
        segment_bytes: 4 << 10,
    }
}

/// The file of a segment.
pub(crate) fn segment(index: u64) -> PathBuf {
    Path::new(DIRECTORY).join(format!("log/{index:016}.segment"))
}

/// A new archive with the history of `log` and nothing in it.
pub(crate) fn empty(disk: &MemoryDisk, log: &Log) -> Result<Open, Failure> {
    sound("init", init_on(disk, Path::new(DIRECTORY), &identity()))?;
    let mut open = sound("open", Open::on(disk))?;
    sound("adopt", open.adopt(log, Position::ZERO))?;
    Ok(open)
}

/// A disk with `log` in it, synced up to each of `syncs` in turn; what is behind is written only.
/// The process that wrote it has died.
pub(crate) fn filled(log: &Log, syncs: &[u64]) -> Result<MemoryDisk, Failure> {
    let disk = MemoryDisk::default();
    let mut open = empty(&disk, log)?;
    for end in syncs {
        sound("append", open.append(log, *end))?;
        sound("sync", open.syncer.sync())?;
    }
    sound("append", open.append(log, log.end().0))?;
    drop(open);
    Ok(disk.crashed(Fate::Kept))
}

/// What a step that has to work came to.
pub(crate) fn sound<T, E: Display>(what: &str, result: Result<T, E>) -> Result<T, Failure> {
    result.map_err(|error| Failure::broken(format!("{what}: {error}")))
}
