//! The receiving end of a session stream: ring, image, and the frames in it.

use crate::frame::{self, Body, FrameError, FrameOwner};
use crate::identity::GroupTag;
use crate::mutant;
use crate::position::{Position, PositionRange};
use crate::stream::{Image, NakTiming, Ring};
use crate::term::Term;
use crate::time::Instant;
use smallvec::SmallVec;

/// The receiving end of a session stream. Its frames are sealed under `tag` and term zero.
#[derive(Clone, Debug)]
pub struct Inlet {
    ring: Ring,
    image: Image,
    consumed: Position,
    owner: FrameOwner,
}

/// A whole frame at the front of an [`Inlet`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StreamFrame {
    /// Where it begins.
    pub position: Position,
    /// Where it ends, padding included.
    pub end: Position,
    /// What it says.
    pub body: Body,
    /// Where its payload lies.
    pub payload: PositionRange,
}

impl Inlet {
    /// The end of a stream that goes on at `start`, with a ring of `window_bytes`.
    #[must_use]
    pub fn new(tag: GroupTag, start: Position, window_bytes: u64, ranges_max: usize) -> Self {
        Self {
            ring: Ring::new(window_bytes),
            image: Image::new(start, ranges_max),
            consumed: start,
            owner: FrameOwner::new(tag, Term(0)),
        }
    }

    /// Takes in the bytes of a slice that are missing and have room; returns how many were new.
    pub fn receive(&mut self, now: Instant, position: Position, slice: &[u8]) -> u64 {
        let range = PositionRange::at(position, slice.len() as u64);
        if !range.is_aligned() {
            // Nobody cuts there: what would be missing beside it could not be asked for (E122).
            return 0;
        }
        let window = PositionRange::new(self.consumed, self.limit());
        let ring = &mut self.ring;
        self.image.take_in(now, range.intersection(window), |part| {
            let from = part.start.since(position) as usize;
            ring.write(part.start, &slice[from..from + part.len() as usize]);
        })
    }

    /// Notes that the sender has written up to `newest`.
    pub fn hear_newest(&mut self, newest: Position) {
        self.image.hear_newest(newest);
    }

    /// The frame at the consumed position, once it is there as a whole.
    ///
    /// # Errors
    /// Any [`FrameError`] but `Truncated`: the sender does not speak this protocol.
    pub fn next_frame(&self) -> Result<Option<StreamFrame>, FrameError> {
        let Some(frame) = self.frames().next()? else { return Ok(None) };
        Ok(Some(StreamFrame {
            position: self.consumed,
            end: self.consumed.plus(frame.len() as u64),
            body: frame.body()?,
            payload: frame.header.payload(self.consumed),
        }))
    }

    /// Reads the frames from the consumed position on.
    #[inline]
    pub(crate) fn frames(&self) -> frame::Reader<'_> {
        let held = PositionRange::new(self.consumed, self.image.received());
        let length_max = self.ring.capacity() / 4;
        frame::Reader::new(self.owner, self.consumed, self.ring.slices(held), length_max)
    }

    /// Gives the room below `end` back.
    #[inline]
    pub fn consume(&mut self, end: Position) {
        debug_assert!(end <= self.image.received(), "only held bytes are consumed");
        self.consumed = self.consumed.max(end);
    }

    /// All before it was consumed.
    #[must_use]
    pub const fn consumed(&self) -> Position {
        self.consumed
    }

    /// Whether all that is held without a hole was consumed.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.consumed == self.image.received()
    }

    /// The sender may send up to here.
    #[must_use]
    pub fn limit(&self) -> Position {
        let held = match mutant::is(mutant::LIMIT_FALLS) {
            true => self.image.received().since(self.consumed),
            false => 0,
        };
        self.consumed.plus(self.ring.capacity() - held)
    }

    /// The end of what is held without a hole.
    #[must_use]
    pub const fn received(&self) -> Position {
        self.image.received()
    }

    /// The bytes of a range that was received and not consumed, in up to two slices.
    #[must_use]
    pub fn slices(&self, range: PositionRange) -> (&[u8], &[u8]) {
        self.ring.slices(range)
    }

    /// Whether [`Inlet::poll_nak`] has nothing to do.
    #[inline]
    #[must_use]
    pub const fn is_at_rest(&self) -> bool {
        self.image.is_at_rest()
    }

    /// The ranges to ask for now. Call it at every event of the stream and at its deadline.
    pub fn poll_nak(&mut self, now: Instant, timing: NakTiming) -> SmallVec<[PositionRange; 4]> {
        let limit = self.limit();
        self.image.poll(now, timing, limit)
    }

    /// When to call [`Inlet::poll_nak`] if nothing arrives.
    #[inline]
    #[must_use]
    pub fn next_deadline(&self, timing: NakTiming) -> Option<Instant> {
        self.image.next_deadline(timing)
    }
}

impl core::hash::Hash for Inlet {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        (&self.image, self.consumed, self.owner).hash(state);
        let held = PositionRange::new(self.consumed, self.image.received());
        for &range in core::iter::once(&held).chain(self.image.beyond()) {
            let (first, second) = self.ring.slices(range);
            // Byte by byte over both, so that the ring's end does not show.
            for byte in first.iter().chain(second) {
                state.write_u8(*byte);
            }
        }
    }
}
