//! Reads the log frame by frame, each checked under the term that the history assigns to it.

use quorate_core::frame::{
    ALIGNMENT, Body, FrameError, FrameHeader, FrameSeed, Level, TermOpen, chain_after, parse_body,
    verify,
};
use quorate_core::membership::keep_newest;
use quorate_core::{
    Chain, GroupId, GroupTag, LogTime, Membership, Position, SnapshotPoint, Term, TermHistory,
    TermLine,
};

use crate::disk::Disk;
use crate::error::ArchiveError;
use crate::log::{CHUNK_BYTES, Log};

/// A frame that verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// What it says; `None` for a kind that this version does not know.
    pub(crate) body: Option<Body>,
}

/// A walk from where the log begins to the first frame that does not verify.
#[derive(Debug)]
pub(crate) struct Scan<'a, D: Disk> {
    log: &'a Log<D>,
    history: &'a TermHistory,
    group: GroupId,
    frame_bytes_max: u64,
    /// Nothing from here on is looked at.
    limit: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
    position: Position,
    chain: Chain,
    /// Behind damage the chain is not known before the next term begins.
    chain_known: bool,
    time: LogTime,
    /// The newest term whose opening frame was met, and its level.
    opened: Option<(Term, Level)>,
    /// The newest memberships that were met.
    memberships: Vec<(Position, Membership)>,
}

impl<'a, D: Disk> Scan<'a, D> {
    /// A walk over `log`, which begins at `origin`, under `history`, up to `limit`.
    pub(crate) fn new(
        log: &'a Log<D>,
        origin: SnapshotPoint,
        history: &'a TermHistory,
        frame_bytes_max: u64,
        limit: u64,
    ) -> Self {
        Self {
            log,
            history,
            group: log.owner().group,
            frame_bytes_max,
            limit: limit.min(log.capacity()),
            buffer: Vec::new(),
            buffer_start: origin.position.0,
            position: origin.position,
            chain: origin.chain,
            chain_known: true,
            time: origin.time,
            opened: None,
            memberships: Vec::new(),
        }
    }

    /// This walk over `bytes` in place of the file's, and no further than they go.
    pub(crate) fn holding(mut self, bytes: Vec<u8>) -> Self {
        self.limit = self.position.0.saturating_add(bytes.len() as u64);
        (self.buffer, self.buffer_start) = (bytes, self.position.0);
        self
    }

    /// Where it has come to: another walk can go on from there.
    pub(crate) fn place(&self) -> SnapshotPoint {
        let term = self.history.term_before(self.position);
        SnapshotPoint { position: self.position, term, chain: self.chain, time: self.time }
    }

    /// Looks behind damage for the next place before `end` where a frame verifies, and goes on from
    /// there; false if there is none. It may be a place within a frame, whose payload holds what
    /// looks like another: whoever mends does not go by it.
    pub(crate) fn skip_damage(&mut self, end: Position) -> bool {
        self.chain_known = false;
        let mut at = self.position.plus(ALIGNMENT);
        while at < end {
            self.stand_at(at);
            let (chain, time) = (self.chain, self.time);
            if matches!(self.next(), Ok(Some(_))) {
                // It is to be walked over by the caller.
                (self.chain, self.chain_known, self.time) = (chain, false, time);
                self.stand_at(at);
                return true;
            }
            at = at.plus(ALIGNMENT);
        }
        self.stand_at(end);
        false
    }

    /// Goes on at `position`, with what is buffered of it.
    fn stand_at(&mut self, position: Position) {
        self.position = position;
        let held = self.buffer_start + self.buffer.len() as u64;
        if position.0 < self.buffer_start || position.0 > held {
            self.buffer.clear();
            self.buffer_start = position.0;
        }
    }

    /// The end of the last frame that verified.
    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    /// The chain value there.
    pub(crate) const fn chain(&self) -> Chain {
        self.chain
    }

    /// The time stamped on that frame; zero when there is none.
    pub(crate) const fn time(&self) -> LogTime {
        self.time
    }

    /// The newest term whose opening frame was met, and what its leader takes for committed.
    pub(crate) const fn opened(&self) -> Option<(Term, Level)> {
        self.opened
    }

    /// The newest memberships that were met, each with the end of its frame.
    pub(crate) fn memberships(&self) -> &[(Position, Membership)] {
        &self.memberships
    }

    /// Whether a snapshot stands here, and its log was this one.
    pub(crate) fn confirms(&self, point: &SnapshotPoint) -> bool {
        point.position == self.position
            && point.chain == self.chain
            && point.term == self.history.term_before(self.position)
    }

    /// The next frame; `None` where none verifies.
    ///
    /// # Errors
    /// [`ArchiveError::Inconsistent`] when a whole frame contradicts the history (rule 1).
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, ArchiveError> {
        let at = self.position;
        let Some(line) = self.history.owner(at).copied() else { return Ok(None) };
        let tag = GroupTag::new(self.group, line.recovery_epoch);
        let seed = FrameSeed::new(tag, line.term, at);
        let header = loop {
            let bytes = self.buffered();
            match verify(seed, bytes, &[], self.frame_bytes_max) {
                Ok(header) => break header,
                Err(FrameError::Truncated) if self.read_more()? => {}
                Err(_) => return Ok(None),
            }
        };
        let body = match parse_body(&header, self.buffered()) {
            Ok(body) => Some(body),
            Err(FrameError::Template { .. }) => None,
            Err(_) => return Ok(None),
        };
        self.check(&line, &header, body)?;
        if let Some(Body::Membership { .. }) = body {
            self.meet_membership(&header)?;
        }
        if !self.chain_known && at == line.base {
            (self.chain, self.chain_known) = (line.chain, true);
        }
        self.chain = chain_after(self.chain, line.term, at, header.checksum);
        self.position = at.plus(header.aligned_length());
        if let Some(body) = body {
            if let Body::TermOpen(open) = body {
                self.opened = Some((open.term, open.level));
            }
            self.time = self.time.max(body.time());
        }
        Ok(Some(Frame { body }))
    }

    /// Takes in who is a member from the frame at the current position on (rule 14).
    fn meet_membership(&mut self, header: &FrameHeader) -> Result<(), ArchiveError> {
        let at = self.position;
        let payload = header.payload(Position::ZERO);
        let payload = payload.start.0 as usize..payload.end.0 as usize;
        let from = (at.0 - self.buffer_start) as usize;
        let list = self.buffer.get(from..).and_then(|frame| frame.get(payload));
        let end = at.plus(header.aligned_length());
        let kept = keep_newest(&mut self.memberships, end, list.unwrap_or_default());
        kept.map_err(|_| ArchiveError::Inconsistent { at, reason: "a list of members is none" })
    }

    /// Checks a whole frame at the current position against the history (rules 1, 15).
    fn check(
        &self,
        line: &TermLine,
        header: &FrameHeader,
        body: Option<Body>,
    ) -> Result<(), ArchiveError> {
        let at = self.position;
        let end = at.plus(header.aligned_length());
        let refuse = |reason| Err(ArchiveError::Inconsistent { at, reason });
        if self.history.owner_end(at).is_some_and(|owner_end| end > owner_end) {
            return refuse("a frame reaches into the next term");
        }
        match body {
            Some(Body::TermOpen(open)) if at == line.base => self.check_opening(line, &open),
            Some(Body::TermOpen(_)) => refuse("a term opens where none begins"),
            _ if at == line.base => refuse("a term begins without its opening frame"),
            _ => Ok(()),
        }
    }

    fn check_opening(&self, line: &TermLine, open: &TermOpen) -> Result<(), ArchiveError> {
        let at = self.position;
        let refuse = |reason| Err(ArchiveError::Inconsistent { at, reason });
        if !open.is_readable() {
            return Err(ArchiveError::NewerLog { at, found: open.log_version });
        }
        if open.term != line.term || open.recovery_epoch != line.recovery_epoch {
            return refuse("an opening frame is of another term");
        }
        if open.leader != line.leader {
            return refuse("an opening frame is of another leader");
        }
        if open.previous_term != self.history.term_before(at) {
            return refuse("an opening frame follows another term");
        }
        if open.chain != line.chain || (self.chain_known && line.chain != self.chain) {
            return refuse("the chain over the frames before a term is another");
        }
        Ok(())
    }

    fn buffered(&self) -> &[u8] {
        &self.buffer[self.position.since(Position(self.buffer_start)) as usize..]
    }

    /// Reads more bytes behind the buffered ones; false when there is nothing more to read.
    fn read_more(&mut self) -> Result<bool, ArchiveError> {
        let consumed = self.position.since(Position(self.buffer_start)) as usize;
        self.buffer.drain(..consumed);
        self.buffer_start = self.position.0;
        let held = self.buffer.len();
        let left = self.limit.saturating_sub(self.buffer_start + held as u64);
        // No claim of a frame makes the buffer grow beyond the largest frame that is allowed.
        if left == 0 || held as u64 >= self.frame_bytes_max + ALIGNMENT {
            return Ok(false);
        }
        self.buffer.resize(held + (left.min(CHUNK_BYTES as u64) as usize), 0);
        let count = self.log.read(self.buffer_start + held as u64, &mut self.buffer[held..])?;
        self.buffer.truncate(held + count);
        Ok(count > 0)
    }
}
