//! The newest part of the log in memory: bytes, what is held, and what of it is whole.

use crate::frame::{
    self, Body, FrameError, FrameHeader, FrameOwner, FrameSeed, HEADER_BYTES, chain_after,
};
use crate::identity::{GroupId, GroupTag, Life, RecoveryEpoch};
use crate::notice::FailStop;
use crate::position::{Position, PositionRange};
use crate::stream::{Image, Ring};
use crate::term::{Chain, TermHistory, TermLine, VoteKey};
use crate::time::{Instant, LogTime};

/// The ring is no smaller than this, or than a part of its window, however little of it is needed:
/// late repairs come from there. Those of three members fit the cache of a processor.
const RING_BYTES_MIN: u64 = 256 << 10;

/// The part of the window (one of so many) that the ring always has, if that is less: so that small
/// windows, those of tests too, go through several sizes.
const RING_PART: u64 = 8;

/// Of a ring that need not be as large, so many of the bytes are needed, at most (one of so many).
const NEEDED_PART: u64 = 4;

/// The log window. `low ≤ written` and `durable ≤ written ≤ verified ≤ received`, and the ring
/// holds what lies between `low` and `received`, besides ranges behind holes.
///
/// The ring is as large as its bytes are needed: by the disk, the service, or a follower. It grows
/// to the whole window while somebody lags.
#[derive(Clone, Debug)]
pub(super) struct Log {
    ring: Ring,
    /// The least size of the ring, a power of two.
    ring_bytes_min: u64,
    /// Of the group in its present recovery epoch.
    tag: GroupTag,
    group: GroupId,
    epoch: RecoveryEpoch,
    frame_bytes_max: u64,
    pub(super) image: Image,
    /// Where the log begins: nobody can read in the archive what is before.
    pub(super) origin: Position,
    /// The oldest byte that the ring still has.
    pub(super) low: Position,
    /// Up to here bytes can come in without taking the place of some that are perhaps needed yet.
    fits_to: Position,
    /// The end of the last whole, valid frame of the contiguous prefix (rule 2).
    pub(super) verified: Position,
    pub(super) verified_chain: Chain,
    /// The highest time stamped on a verified frame.
    pub(super) verified_time: LogTime,
    /// The end of what was handed to the archive.
    pub(super) written: Position,
    /// The end of what is known to be durable.
    pub(super) durable: Position,
    /// The newest term whose opening frame was verified here, in this life or a former one, and
    /// what its leader takes for committed.
    pub(super) opened: Option<(crate::term::Term, frame::Level)>,
    /// Times that received bytes were rejected since a frame was verified: whoever sent them is
    /// not the one to ask again.
    pub(super) rejections: u32,
}

/// The oldest byte that `ring` still has once it was written up to `end`.
const fn oldest_kept(ring: &Ring, end: Position) -> Position {
    Position(end.0.saturating_sub(ring.size()))
}

/// A frame read from the window or from the archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogFrame {
    pub(super) end: Position,
    pub(super) checksum: u32,
    pub(super) body: Body,
    pub(super) payload: PositionRange,
}

impl Log {
    pub(super) fn new(
        config: &crate::config::MemberConfig,
        recovered: &crate::config::Recovered,
        opened: Option<(crate::term::Term, frame::Level)>,
    ) -> Self {
        let limits = &config.limits;
        let end = recovered.log_end;
        let ring_bytes_min = RING_BYTES_MIN.min(limits.window_bytes / RING_PART);
        let ring = Ring::growing(ring_bytes_min, limits.window_bytes);
        Self {
            fits_to: end.plus(ring.size()),
            ring,
            ring_bytes_min,
            tag: config.tag(),
            group: config.group,
            epoch: config.recovery_epoch,
            frame_bytes_max: limits.frame_bytes_max(),
            image: Image::new(end, limits.coverage_ranges_max),
            origin: recovered.origin.position,
            low: end,
            verified: end,
            verified_chain: recovered.chain,
            verified_time: recovered.log_time,
            written: end,
            durable: end,
            // What begins behind the opening frame of its newest term knows of that by a snapshot.
            opened: recovered.opened.or(opened),
            rejections: 0,
        }
    }

    /// The oldest byte that this member can send: in the archive or in the ring.
    pub(super) fn oldest(&self) -> Position {
        self.origin.min(self.low)
    }

    /// Bytes at and above it find no room: what is below may not be written yet (rule 10).
    pub(super) fn limit(&self) -> Position {
        self.written.plus(self.ring.capacity())
    }

    pub(super) fn slices(&self, range: PositionRange) -> (&[u8], &[u8]) {
        self.ring.slices(range)
    }

    /// Whether [`Log::fit`] comes before bytes up to `end` do.
    #[inline]
    pub(super) fn is_tight(&self, end: Position) -> bool {
        end > self.fits_to
    }

    /// Makes the ring as large as it has to be for bytes up to `end` when those from `needed` on
    /// are needed yet.
    pub(super) fn fit(&mut self, end: Position, needed: Position) {
        let needed = needed.max(self.low);
        let behind_holes = self.image.beyond().last().map(|last| last.end);
        let held_end = behind_holes.unwrap_or_else(|| self.image.received());
        let span = held_end.max(end).since(needed);
        let mut size = self.ring.size();
        while size > self.ring_bytes_min && span <= size / NEEDED_PART {
            size /= 2;
        }
        self.low = self.low.max(Position(held_end.0.saturating_sub(size)));
        let held = PositionRange::new(self.low, held_end);
        while self.ring.size() > size {
            self.ring.shrink(held);
        }
        while self.ring.size() < self.ring.capacity() && span > self.ring.size() {
            self.ring.grow(held);
        }
        self.fits_to = needed.plus(self.ring.size());
        if self.ring.size() == self.ring.capacity() {
            // It has no more: when to look whether it needs as much still.
            self.fits_to = self.fits_to.max(end.plus(self.ring.size() / NEEDED_PART));
        }
    }

    /// What is known to be written, here or elsewhere.
    pub(super) fn newest_known(&self) -> Position {
        self.verified.max(self.image.seen())
    }

    pub(super) fn key(&self, history: &TermHistory) -> VoteKey {
        history.vote_key(self.verified)
    }

    /// What the frames that `line` owns begin their checksums with: bytes of a former recovery
    /// epoch stay what they are (rule 1).
    #[inline]
    pub(super) fn tag_of(&self, line: &TermLine) -> GroupTag {
        let is_former = line.recovery_epoch != self.epoch;
        match is_former && !crate::mutant::is(crate::mutant::ONE_EPOCH_FOR_ALL) {
            true => self.former_tag(line),
            false => self.tag,
        }
    }

    #[cold]
    const fn former_tag(&self, line: &TermLine) -> GroupTag {
        GroupTag::new(self.group, line.recovery_epoch)
    }

    /// Takes in the missing bytes of a slice whose term was checked; returns how many were new.
    /// Held bytes are never overwritten (rule 10).
    pub(super) fn receive(&mut self, now: Instant, position: Position, slice: &[u8]) -> u64 {
        let range = PositionRange::at(position, slice.len() as u64);
        if !range.is_aligned() {
            // Nobody cuts there: what would be missing beside it could not be asked for (E122).
            return 0;
        }
        let window = PositionRange::new(self.verified, self.limit());
        let Self { ring, low, image, .. } = self;
        image.take_in(now, range.intersection(window), |part| {
            let from = part.start.since(position) as usize;
            ring.write(part.start, &slice[from..from + part.len() as usize]);
            *low = (*low).max(oldest_kept(ring, part.end));
        })
    }

    /// Appends a frame as leader: it is held and verified at once.
    #[inline(always)]
    pub(super) fn append(
        &mut self,
        term: crate::term::Term,
        body: &Body,
        payload: (&[u8], &[u8]),
    ) -> PositionRange {
        let position = self.verified;
        debug_assert_eq!(position, self.image.received(), "a leader's log has no loose end");
        let seed = FrameSeed::new(self.tag, term, position);
        let (range, checksum) = self.ring.write_frame(seed, body, payload);
        debug_assert!(range.len() <= self.frame_bytes_max, "no follower would take the frame");
        debug_assert!(!self.is_tight(range.end), "the ring has room for what is appended");
        self.image.extend(range.end);
        self.low = self.low.max(oldest_kept(&self.ring, range.end));
        self.verified = range.end;
        self.verified_chain = chain_after(self.verified_chain, term, position, checksum);
        self.verified_time = self.verified_time.max(body.time());
        range
    }

    /// How many bytes a leader can append before bytes that are not written would be overwritten.
    pub(super) fn room(&self) -> u64 {
        self.limit().since(self.verified)
    }

    /// Verifies the frames behind the verified position, up to and including a readmission or
    /// a membership. The
    /// bytes of one that is rejected are forgotten, and asked for again.
    pub(super) fn verify(&mut self, history: &TermHistory) -> Result<Verified, FailStop> {
        loop {
            let start = self.verified;
            let Some((line, end)) = history.owner_to(start) else { return Ok(Verified::Whole) };
            match self.verify_term(line, end, history)? {
                Verified::Whole if self.verified == end => {}
                Verified::Rejected { .. } => {
                    let of = self.image.source_of(self.verified);
                    self.reject(self.verified);
                    return Ok(Verified::Rejected { of });
                }
                other => return Ok(other),
            }
        }
    }

    /// Verifies frames of the term of `line`, whose bytes end at `term_end`, as far as they are
    /// held as a whole.
    fn verify_term(
        &mut self,
        line: &TermLine,
        term_end: Position,
        history: &TermHistory,
    ) -> Result<Verified, FailStop> {
        let start = self.verified;
        let held = PositionRange::new(start, self.image.received().min(term_end));
        let owner = FrameOwner::new(self.tag_of(line), line.term);
        let (first, _) = self.ring.slices(held);
        let (mut chain, mut time) = (self.verified_chain, self.verified_time);
        let mut messages = 0;
        if start > line.base {
            let from = Verifying { position: start, chain, time };
            let reached = verify_messages(first, owner, line.term, self.frame_bytes_max, from);
            messages = reached.position.since(start) as usize;
            (chain, time) = (reached.chain, reached.time);
            let stamps = crate::mutant::is(crate::mutant::FOLLOWER_STAMPS_FRAMES);
            if messages > 0 && reached.position == held.end && !stamps {
                // The usual: nothing but messages, all of them whole.
                (self.verified, self.verified_chain, self.verified_time) = (held.end, chain, time);
                self.rejections = 0;
                return Ok(Verified::Whole);
            }
        }
        let at = Verifying { position: start.plus(messages as u64), chain, time };
        self.verify_rest((line, term_end), at, start, history)
    }

    /// As [`Log::verify_term`], one frame after the other, when the messages from `start` up to
    /// `from` were verified.
    #[inline(never)]
    fn verify_rest(
        &mut self,
        (line, term_end): (&TermLine, Position),
        from: Verifying,
        start: Position,
        history: &TermHistory,
    ) -> Result<Verified, FailStop> {
        let Verifying { position: at, mut chain, mut time } = from;
        let held = PositionRange::new(start, self.image.received().min(term_end));
        let owner = FrameOwner::new(self.tag_of(line), line.term);
        let (first, second) = self.ring.slices(held);
        let messages = at.since(start) as usize;
        let rest = &first[messages..];
        let mut frames = frame::Reader::new(owner, at, (rest, second), self.frame_bytes_max);
        let mut met = None;
        let verified = loop {
            let at = frames.position();
            if let Some(met) = met {
                break met;
            }
            let frame = match frames.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break self.verify_beyond(owner.at(at), term_end)?,
                Err(_) => break Verified::Rejected { of: None },
            };
            let Ok(body) = frame.body() else { return Err(FailStop::NewerLog { at }) };
            if at == line.base || matches!(body, Body::TermOpen(_)) {
                check_opening(at, &body, line, chain, history)?;
                if let Body::TermOpen(open) = body {
                    self.opened = Some((open.term, open.level));
                }
            }
            time = time.max(body.time());
            let range = PositionRange::new(at, frames.position());
            met = match body {
                Body::Readmission { life, .. } => {
                    Some(Verified::Readmission { frame: range, life })
                }
                Body::Membership { .. } => {
                    Some(Verified::Membership { frame: range, payload: frame.header.payload(at) })
                }
                _ => None,
            };
            chain = chain_after(chain, line.term, at, frame.header.checksum);
        };
        let end = frames.position();
        if end > start && crate::mutant::is(crate::mutant::FOLLOWER_STAMPS_FRAMES) {
            chain = self.stamp_anew(line.term, PositionRange::new(start, end));
        }
        if end > start {
            (self.verified, self.verified_chain, self.verified_time) = (end, chain, time);
            self.rejections = 0;
        }
        Ok(verified)
    }

    /// Writes the messages of a range of whole frames anew, one unit of time later, and returns the
    /// chain value behind them: only as a deliberate mistake.
    fn stamp_anew(&mut self, term: crate::term::Term, range: PositionRange) -> Chain {
        let (mut at, mut chain) = (range.start, self.verified_chain);
        while at < range.end {
            let (first, second) = self.ring.slices(PositionRange::new(at, range.end));
            let Some(frame) = parse_verified(at, first, second, self.frame_bytes_max) else {
                break;
            };
            let mut checksum = frame.checksum;
            if let Body::Message { session, sequence, time } = frame.body {
                let (first, second) = self.ring.slices(frame.payload);
                let payload = [first, second].concat();
                let time = LogTime(time.0 + 1);
                let body = Body::Message { session, sequence, time };
                let seed = FrameSeed::new(self.tag, term, at);
                checksum = self.ring.write_frame(seed, &body, (&payload, &[])).1;
            }
            chain = chain_after(chain, term, at, checksum);
            at = frame.end;
        }
        chain
    }

    /// Of a frame that is not whole before `term_end`: whether it is behind it, which no correct
    /// leader wrote, or only claims to be, or is still to come.
    #[inline]
    fn verify_beyond(&self, seed: FrameSeed, term_end: Position) -> Result<Verified, FailStop> {
        let received = self.image.received();
        if received <= term_end || seed.position == term_end {
            return Ok(Verified::Whole);
        }
        self.verify_last(seed, received)
    }

    #[cold]
    #[inline(never)]
    fn verify_last(&self, seed: FrameSeed, received: Position) -> Result<Verified, FailStop> {
        let (first, second) = self.ring.slices(PositionRange::new(seed.position, received));
        match frame::verify(seed, first, second, self.frame_bytes_max) {
            Ok(_) => Err(FailStop::TermOpening { at: seed.position }),
            Err(FrameError::Truncated) => Ok(Verified::Whole),
            Err(_) => Ok(Verified::Rejected { of: None }),
        }
    }

    /// Forgets the bytes from `position` on that are held in one piece: one of them is wrong.
    fn reject(&mut self, position: Position) {
        self.rejections = self.rejections.saturating_add(1);
        self.image.forget(position);
    }

    /// The verified frame at `position`, if the ring still has it.
    pub(super) fn frame(&self, position: Position) -> Option<LogFrame> {
        if position < self.low || position >= self.verified {
            return None;
        }
        let (first, second) = self.ring.slices(PositionRange::new(position, self.verified));
        parse_verified(position, first, second, self.frame_bytes_max)
    }

    /// The bytes from `position` on up to `end` that lie in one piece, if the ring still has them.
    pub(super) fn piece(&self, position: Position, end: Position) -> &[u8] {
        if position < self.low {
            return &[];
        }
        self.ring.slices(PositionRange::new(position, end.min(self.verified))).0
    }

    /// Disowns the bytes at and above `end`, where the chain value is `chain`.
    pub(super) fn cut(&mut self, end: Position, chain: Chain) {
        self.image.cut(end);
        if end < self.verified {
            self.verified = end;
            self.verified_chain = chain;
        }
        self.written = self.written.min(end);
        self.durable = self.durable.min(end);
        self.low = self.low.min(end);
        self.fits_to = self.fits_to.min(self.low.plus(self.ring.size()));
    }

    /// The archive refused the bytes at and above `end`: they are to be written again.
    pub(super) fn refuse(&mut self, end: Position) {
        if !crate::mutant::is(crate::mutant::FULL_DISK_IS_FORGOTTEN) {
            self.written = self.written.min(end);
        }
        self.durable = self.durable.min(end);
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.durable <= self.written, "durable beyond written");
        assert!(self.origin <= self.durable, "the log begins beyond what is durable");
        assert!(self.written <= self.verified, "written beyond verified");
        assert!(self.verified <= self.image.received(), "verified beyond received");
        assert!(self.low <= self.written, "unwritten bytes were overwritten");
        assert!(self.image.received() <= self.limit(), "the window is overfull");
    }
}

/// How far verifying has come.
#[derive(Clone, Copy)]
struct Verifying {
    position: Position,
    chain: Chain,
    time: LogTime,
}

/// Verifies the messages of `term` that `bytes` begin with, up to the first other frame, or to one
/// that is not whole or not sound. Nearly all of a busy log are verified here.
#[inline(never)]
fn verify_messages(
    mut bytes: &[u8],
    owner: FrameOwner,
    term: crate::term::Term,
    length_max: u64,
    from: Verifying,
) -> Verifying {
    let Verifying { mut position, mut chain, mut time } = from;
    while let Some(message) = frame::Plain::message(bytes, length_max)
        && message.is_sealed(owner.at(position))
    {
        let (_, _, stamped) = message.fields();
        time = time.max(LogTime(stamped));
        chain = chain_after(chain, term, position, message.checksum);
        position = position.plus(message.len() as u64);
        bytes = &bytes[message.len()..];
    }
    Verifying { position, chain, time }
}

/// What came of verifying.
#[derive(Clone, Copy)]
pub(super) enum Verified {
    /// All whole frames are sound.
    Whole,
    /// The next one is not.
    Rejected {
        /// Who was asked for its beginning, if that was a part of a catch-up, lately.
        of: Option<crate::identity::MemberId>,
    },
    /// All are up to this one, which is to be taken up before the next.
    Readmission {
        /// Where it lies.
        frame: PositionRange,
        /// Who is readmitted.
        life: Life,
    },
    /// The same, of one that says who is a member.
    Membership {
        /// Where it lies.
        frame: PositionRange,
        /// Where the list lies in it.
        payload: PositionRange,
    },
}

/// The frame at the base of a term must open it, and no other may (rule 1); the bytes before it
/// must be the ones that its leader had (rule 15).
fn check_opening(
    at: Position,
    body: &Body,
    line: &TermLine,
    chain: Chain,
    history: &TermHistory,
) -> Result<(), FailStop> {
    let Body::TermOpen(open) = body else { return Err(FailStop::TermOpening { at }) };
    let previous_term = history.term_before(at);
    let is_of_line = open.term == line.term && open.recovery_epoch == line.recovery_epoch;
    if at != line.base || !is_of_line || open.previous_term != previous_term {
        return Err(FailStop::TermOpening { at });
    }
    if line.chain != chain || open.chain != chain {
        return Err(FailStop::ChainMismatch { at });
    }
    if open.is_readable() { Ok(()) } else { Err(FailStop::NewerLog { at }) }
}

/// Parses a frame that was verified before.
fn parse_verified(
    position: Position,
    first: &[u8],
    second: &[u8],
    frame_bytes_max: u64,
) -> Option<LogFrame> {
    let mut joined = [0; HEADER_BYTES];
    let bytes = match first.first_chunk() {
        Some(bytes) => bytes,
        None if frame::copy_front(&mut joined, first, second) == HEADER_BYTES => &joined,
        None => return None,
    };
    let header = FrameHeader::parse(bytes, frame_bytes_max).ok()?;
    let body = frame::body_of(&header, first, second).ok()?;
    Some(LogFrame {
        end: position.plus(header.aligned_length()),
        checksum: header.checksum,
        body,
        payload: header.payload(position),
    })
}

/// Reads and verifies the frame at `position` from bytes of the archive that begin there.
pub(super) fn read_frame(
    seed: FrameSeed,
    bytes: &[u8],
    frame_bytes_max: u64,
) -> Result<LogFrame, FrameError> {
    let header = frame::verify(seed, bytes, &[], frame_bytes_max)?;
    Ok(LogFrame {
        end: seed.position.plus(header.aligned_length()),
        checksum: header.checksum,
        body: frame::parse_body(&header, bytes)?,
        payload: header.payload(seed.position),
    })
}

impl core::hash::Hash for Log {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        (self.tag, &self.image, self.low, self.verified, self.verified_chain).hash(state);
        (self.ring.size(), self.fits_to).hash(state);
        (self.origin, self.verified_time, self.written, self.durable, self.rejections).hash(state);
        self.opened.hash(state);
        let held = PositionRange::new(self.low, self.image.received());
        for &range in core::iter::once(&held).chain(self.image.beyond()) {
            let (first, second) = self.ring.slices(range);
            // Byte by byte over both, so that the ring's end does not show.
            for byte in first.iter().chain(second) {
                state.write_u8(*byte);
            }
        }
    }
}
