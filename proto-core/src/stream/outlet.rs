//! The sending end of a session stream: ring, what was sent, and what is asked for again.

use smallvec::SmallVec;

use crate::action::Destination;
use crate::frame::{Body, FrameOwner, frame_bytes};
use crate::identity::GroupTag;
use crate::position::{Position, PositionRange};
use crate::stream::{RepairTiming, Repairs, Ring};
use crate::term::Term;
use crate::time::Instant;

/// The sending end of a session stream: frames are pushed, sent as far as the receiver allows,
/// kept until they are released, and sent again when they are asked for.
#[derive(Clone, Debug)]
pub struct Outlet {
    ring: Ring,
    owner: FrameOwner,
    /// The oldest byte that is kept.
    start: Position,
    /// The end of what was pushed.
    head: Position,
    /// The end of what was sent.
    sent: Position,
    /// The receiver has room up to here.
    limit: Position,
    repairs: Repairs,
}

impl Outlet {
    /// A stream that begins at `start`, with a ring of `window_bytes`; nothing may be sent until
    /// [`Outlet::allow`] says so.
    #[must_use]
    pub fn new(tag: GroupTag, start: Position, window_bytes: u64) -> Self {
        Self {
            ring: Ring::new(window_bytes),
            owner: FrameOwner::new(tag, Term(0)),
            start,
            head: start,
            sent: start,
            limit: start,
            repairs: Repairs::new(),
        }
    }

    /// Whether a frame with `body` and `payload_length` bytes of payload would fit.
    #[inline]
    #[must_use]
    pub fn has_room(&self, body: &Body, payload_length: usize) -> bool {
        let used = self.head.since(self.start);
        frame_bytes(body, payload_length) <= self.ring.capacity() - used
    }

    /// Appends a frame; returns where it lies, or `None` when there is no room.
    // Inlined: what is pushed, and so how long its block is, is known where it is pushed.
    #[inline(always)]
    pub fn push(&mut self, body: &Body, payload: &[u8]) -> Option<PositionRange> {
        if !self.has_room(body, payload.len()) {
            return None;
        }
        let seed = self.owner.at(self.head);
        let (range, _) = self.ring.write_frame(seed, body, (payload, &[]));
        self.head = range.end;
        Some(range)
    }

    /// The next bytes to send, at most `bytes_max`, and notes them as sent.
    pub fn next_run(&mut self, bytes_max: u64) -> Option<PositionRange> {
        let end = self.head.min(self.limit).min(self.sent.plus(bytes_max & !7));
        if end <= self.sent {
            return None;
        }
        let run = PositionRange::new(self.sent, end);
        self.sent = end;
        Some(run)
    }

    /// Whether [`Outlet::next_run`] has something to send.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.sent < self.head.min(self.limit)
    }

    /// The receiver has room up to `limit`. A lower one is out of date (FC-10).
    pub fn allow(&mut self, limit: Position) {
        self.limit = self.limit.max(limit.aligned_down());
    }

    /// Bytes below `end` are not needed any more.
    pub fn release(&mut self, end: Position) {
        self.start = self.start.max(end.aligned_down().min(self.head));
        self.sent = self.sent.max(self.start);
    }

    /// A new receiver: everything from the oldest kept byte on is sent again, up to `limit`.
    pub fn rewind(&mut self, limit: Position) {
        self.sent = self.start;
        self.limit = limit.aligned_down();
        self.repairs = Repairs::new();
    }

    /// What of a range that the receiver asks for is to be sent now.
    pub fn repair(
        &mut self,
        now: Instant,
        timing: RepairTiming,
        to: Destination,
        range: PositionRange,
    ) -> SmallVec<[PositionRange; 4]> {
        let held = PositionRange::new(self.start, self.sent).intersection(range);
        if held.is_empty() || !range.is_aligned() {
            return SmallVec::new();
        }
        self.repairs.admit(now, timing, to, held).parts
    }

    /// The oldest byte that is kept.
    #[must_use]
    pub const fn start(&self) -> Position {
        self.start
    }

    /// The end of what was pushed.
    #[must_use]
    pub const fn head(&self) -> Position {
        self.head
    }

    /// The end of what was sent: what the receiver may be told of as the newest position.
    #[must_use]
    pub const fn sent(&self) -> Position {
        self.sent
    }

    /// The bytes of a range that was pushed and not released, in up to two slices.
    #[must_use]
    pub fn slices(&self, range: PositionRange) -> (&[u8], &[u8]) {
        self.ring.slices(range)
    }
}

impl core::hash::Hash for Outlet {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        (self.owner, self.start, self.head, self.sent, self.limit, &self.repairs).hash(state);
        let (first, second) = self.ring.slices(PositionRange::new(self.start, self.head));
        // Byte by byte over both, so that the ring's end does not show.
        for byte in first.iter().chain(second) {
            state.write_u8(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SessionId;
    use crate::stream::{Inlet, NakTiming};
    use crate::time::{Duration, LogTime};
    use alloc::vec::Vec;

    fn body(sequence: u64) -> Body {
        Body::Message { session: SessionId(8), sequence, time: LogTime(0) }
    }

    #[test]
    fn frames_pass_from_outlet_to_inlet_around_the_ring() {
        let tag = GroupTag(3);
        let mut outlet = Outlet::new(tag, Position(0), 512);
        let mut inlet = Inlet::new(tag, Position(0), 512, 8);
        for sequence in 1..100_u64 {
            outlet.allow(inlet.limit());
            let payload: Vec<u8> = (0..sequence as u8 % 60).collect();
            outlet.push(&body(sequence), &payload).unwrap();
            while let Some(run) = outlet.next_run(24) {
                let (first, second) = outlet.slices(run);
                let bytes = [first, second].concat();
                inlet.receive(Instant(0), run.start, &bytes);
            }
            let frame = inlet.next_frame().unwrap().unwrap();
            assert_eq!(frame.body, body(sequence));
            let (first, second) = inlet.slices(frame.payload);
            assert_eq!([first, second].concat(), payload);
            inlet.consume(frame.end);
            outlet.release(frame.end);
            assert_eq!(inlet.next_frame(), Ok(None));
        }
    }

    #[test]
    fn nothing_is_sent_beyond_the_receivers_limit() {
        let mut outlet = Outlet::new(GroupTag(3), Position(0), 512);
        outlet.push(&body(1), &[0; 64]).unwrap();
        assert_eq!(outlet.next_run(1_000), None);
        outlet.allow(Position(32));
        assert_eq!(outlet.next_run(1_000), Some(PositionRange::at(Position(0), 32)));
        outlet.allow(Position(16));
        assert_eq!(outlet.next_run(1_000), None);
    }

    #[test]
    fn e122_what_is_said_of_places_between_words_leads_to_none() {
        let (mut outlet, mut inlet) = (
            Outlet::new(GroupTag(3), Position(0), 512),
            Inlet::new(GroupTag(3), Position(0), 512, 8),
        );
        outlet.push(&body(1), &[0; 64]).unwrap();
        outlet.allow(Position(37));
        assert_eq!(outlet.next_run(1_000), Some(PositionRange::at(Position(0), 32)));
        outlet.release(Position(13));
        assert_eq!(outlet.start(), Position(8));
        assert_eq!(inlet.receive(Instant(0), Position(3), &[0; 8]), 0);
        assert_eq!(inlet.receive(Instant(0), Position(8), &[0; 7]), 0);
        inlet.hear_newest(Position(21));
        let timing = NakTiming {
            delay: Duration(1),
            retry: Duration(10),
            bytes_max: u64::MAX,
            sharing: None,
        };
        inlet.poll_nak(Instant(0), timing);
        let asked = inlet.poll_nak(Instant(3), timing);
        assert_eq!(asked.as_slice(), [PositionRange::at(Position(0), 16)]);
    }

    #[test]
    fn a_full_outlet_takes_nothing_until_it_is_released() {
        let mut outlet = Outlet::new(GroupTag(3), Position(0), 128);
        let first = outlet.push(&body(1), &[1; 40]).unwrap();
        assert_eq!(outlet.push(&body(2), &[2; 40]), None);
        outlet.release(first.end);
        assert!(outlet.push(&body(2), &[2; 40]).is_some());
    }

    #[test]
    fn a_lost_run_is_repaired() {
        let tag = GroupTag(3);
        let nak = NakTiming {
            delay: Duration(1),
            retry: Duration(10),
            bytes_max: 1 << 20,
            sharing: None,
        };
        let timing = RepairTiming {
            linger: Duration(5),
            interval: Duration(100),
            budget_bytes: 1 << 20,
            slice_bytes: 8,
        };
        let mut outlet = Outlet::new(tag, Position(0), 512);
        let mut inlet = Inlet::new(tag, Position(0), 512, 8);
        outlet.allow(inlet.limit());
        outlet.push(&body(1), b"lost").unwrap();
        let run = outlet.next_run(1_000).unwrap();
        inlet.hear_newest(outlet.sent());
        inlet.poll_nak(Instant(0), nak);
        let asked = inlet.poll_nak(Instant(3), nak);
        assert_eq!(asked.as_slice(), [run]);
        let to = Destination::Client(crate::identity::Endpoint::default());
        for part in outlet.repair(Instant(4), timing, to, asked[0]) {
            let bytes = [outlet.slices(part).0, outlet.slices(part).1].concat();
            inlet.receive(Instant(4), part.start, &bytes);
        }
        assert_eq!(inlet.next_frame().unwrap().unwrap().body, body(1));
    }
}
