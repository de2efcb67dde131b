//! Builds logs as a member would, frame by frame.

use std::path::Path;

use quorate_core::frame::{Body, FrameFront, FrameSeed, LOG_VERSION, Level, TermOpen, chain_after};
use quorate_core::frame::{aligned, frame_bytes};
use quorate_core::{
    BootEpoch, Chain, GroupId, GroupTag, Incarnation, Life, LogTime, MemberId, Position,
    RecoveryEpoch, SessionId, Term, TermHistory, TermLine,
};

use crate::disk::Disk;
use crate::error::{AppendError, ArchiveError};
use crate::{Identity, Options, Syncer, Writer};

pub(super) const GROUP: GroupId = GroupId(0x0123_4567);
pub(super) const OPTIONS: Options = Options::new(64 << 10);

/// Where the log's bytes begin in a segment's file.
pub(super) const LOG_AT: usize = 16 << 10;

pub(super) fn identity() -> Identity {
    Identity {
        group: GROUP,
        recovery_epoch: RecoveryEpoch(0),
        member: MemberId(1),
        incarnation: Incarnation(1),
        voters: vec![MemberId(0), MemberId(1), MemberId(2)],
        segment_bytes: 4 << 10,
    }
}

pub(super) fn segment(directory: &Path, index: u64) -> std::path::PathBuf {
    directory.join(format!("log/{index:016}.segment"))
}

/// A log in memory, with the history that it was written under.
#[derive(Clone, Debug, Default)]
pub(super) struct Builder {
    pub(super) history: TermHistory,
    pub(super) bytes: Vec<u8>,
    /// The ends of all frames.
    pub(super) ends: Vec<u64>,
    pub(super) chain: Chain,
    pub(super) time: u64,
}

impl Builder {
    pub(super) fn end(&self) -> Position {
        Position(self.bytes.len() as u64)
    }

    /// The history as the leader of `term` makes it here.
    pub(super) fn line(&mut self, term: u64) -> Position {
        let line = TermLine {
            recovery_epoch: RecoveryEpoch(0),
            term: Term(term),
            base: self.end(),
            leader: Life {
                member: MemberId(0),
                incarnation: Incarnation(1),
                boot_epoch: BootEpoch(term),
            },
            chain: self.chain,
        };
        self.history = self.history.opened(line);
        line.base
    }

    /// The opening frame of the newest line.
    pub(super) fn open(&mut self) {
        let line = *self.history.last().unwrap();
        self.time += 10;
        let open = TermOpen {
            term: line.term,
            previous_term: self.history.term_before(self.end()),
            chain: self.chain,
            time: LogTime(self.time),
            leader: line.leader,
            recovery_epoch: line.recovery_epoch,
            log_version: LOG_VERSION,
            level: Level::Durable,
        };
        self.frame(&Body::TermOpen(open), &[]);
    }

    pub(super) fn message(&mut self, length: usize) {
        self.time += 1;
        let sequence = self.time;
        let body = Body::Message { session: SessionId(8), sequence, time: LogTime(self.time) };
        let payload = (0..length).map(|at| (at as u64 * 7 + self.time) as u8 | 1);
        self.frame(&body, &payload.collect::<Vec<_>>());
    }

    pub(super) fn frame(&mut self, body: &Body, payload: &[u8]) {
        let term = self.history.last().unwrap().term;
        let tag = GroupTag::new(GROUP, RecoveryEpoch(0));
        let position = self.end();
        let front = FrameFront::new(FrameSeed::new(tag, term, position), body, (payload, &[]));
        self.bytes.extend_from_slice(front.bytes());
        self.bytes.extend_from_slice(payload);
        self.bytes.resize(aligned(self.bytes.len() as u64) as usize, 0);
        assert_eq!(self.end().since(position), frame_bytes(body, payload.len()));
        self.chain = chain_after(self.chain, term, position, front.checksum());
        self.ends.push(self.end().0);
    }

    /// A log of one term with `count` messages of `length` bytes.
    pub(super) fn with_messages(count: usize, length: usize) -> Self {
        let mut builder = Self::default();
        builder.line(1);
        builder.open();
        (0..count).for_each(|_| builder.message(length));
        builder
    }

    /// The end of the last whole frame at or below `position`.
    pub(super) fn whole_below(&self, position: u64) -> u64 {
        self.ends.iter().copied().rfind(|end| *end <= position).unwrap_or(0)
    }
}

/// Makes `history` durable and cuts at `cut`.
pub(super) fn adopt<D: Disk>(
    writer: &mut Writer<D>,
    syncer: &mut Syncer<D>,
    history: &TermHistory,
    cut: Position,
) -> Result<(), ArchiveError> {
    let cut = writer.cut(cut);
    syncer.persist_history(history, cut)
}

/// Appends what `builder` has behind the end of the log, in two slices.
pub(super) fn append<D: Disk>(
    writer: &mut Writer<D>,
    builder: &Builder,
) -> Result<(), AppendError> {
    let start = writer.written();
    let bytes = &builder.bytes[start.0 as usize..];
    let (first, second) = bytes.split_at(bytes.len() / 16 * 8);
    writer.append(start, first, second)
}
