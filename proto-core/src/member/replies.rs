//! The newest replies of one session, kept so that a retry gets the same one (E106).

use alloc::vec::Vec;

use crate::position::Position;

/// Replies by rising sequence without gaps, the oldest overwritten by the newest once there are as
/// many as may be. Each gets its place when its message is handed to the service, and its bytes
/// when the service has reported.
#[derive(Clone, Debug)]
pub(super) struct Replies {
    slots: Vec<Reply>,
    /// The slot that is written next.
    next: usize,
    /// The sequence of the newest.
    newest: u64,
    replies_max: usize,
}

/// In a reply's place: it waits until its message is safe. Frames are aligned, so the bit is free.
const AWAITS_SAFE: u64 = 1;

/// The reply to one message.
#[derive(Clone, Debug, Hash)]
pub(super) struct Reply {
    /// Where the message lies in the log, and [`AWAITS_SAFE`].
    place: Position,
    pub(super) bytes: Vec<u8>,
}

impl Reply {
    /// Where the message lies in the log: the reply is there once all of it was applied.
    #[inline]
    pub(super) const fn position(&self) -> Position {
        Position(self.place.0 & !AWAITS_SAFE)
    }

    /// Whether it waits until its message is safe, and not only committed.
    #[inline]
    pub(super) const fn awaits_safe(&self) -> bool {
        self.place.0 & AWAITS_SAFE != 0
    }

    /// Both in one word, as snapshots have it.
    pub(super) const fn place(&self) -> Position {
        self.place
    }
}

impl Replies {
    /// No replies; the first is to message 1.
    pub(super) const fn new(replies_max: usize) -> Self {
        Self { slots: Vec::new(), next: 0, newest: 0, replies_max }
    }

    /// No replies; the first is to the message after number `before`.
    pub(super) const fn behind(before: u64, replies_max: usize) -> Self {
        Self { slots: Vec::new(), next: 0, newest: before, replies_max }
    }

    /// How many replies there are.
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// All replies, the newest last.
    pub(super) fn all(&self) -> impl Iterator<Item = &Reply> {
        let first = if self.slots.len() < self.replies_max { 0 } else { self.next };
        self.slots[first..].iter().chain(&self.slots[..first])
    }

    /// The sequence of the oldest reply, or of the next one when there is none.
    pub(super) fn oldest(&self) -> u64 {
        self.newest + 1 - self.slots.len() as u64
    }

    /// Makes place for the reply to the message behind the newest, at a position or
    /// [`Reply::place`].
    #[inline]
    pub(super) fn open(&mut self, place: Position) {
        self.newest += 1;
        if self.slots.len() < self.replies_max {
            self.add(place);
            return;
        }
        let slot = &mut self.slots[self.next];
        slot.place = place;
        slot.bytes.clear();
        self.next += 1;
        if self.next == self.slots.len() {
            self.next = 0;
        }
    }

    /// Adds a place, as long as there are fewer than may be.
    #[cold]
    #[inline(never)]
    fn add(&mut self, place: Position) {
        self.slots.push(Reply { place, bytes: Vec::new() });
        self.next = self.slots.len() % self.replies_max;
    }

    /// The reply to message `sequence`.
    #[inline]
    pub(super) fn get(&self, sequence: u64) -> Option<&Reply> {
        self.slots.get(self.slot(sequence)?)
    }

    /// The reply to message `sequence`, which has its place, waits until that is safe.
    pub(super) fn await_safe(&mut self, sequence: u64) {
        if let Some(slot) = self.slot(sequence).and_then(|at| self.slots.get_mut(at)) {
            slot.place.0 |= AWAITS_SAFE;
        }
    }

    /// Keeps the bytes of the reply to message `sequence`, which has its place.
    pub(super) fn keep(&mut self, sequence: u64, bytes: &[u8]) {
        if let Some(slot) = self.slot(sequence).and_then(|at| self.slots.get_mut(at)) {
            slot.bytes.clear();
            // In powers of two: slots that meet replies of many sizes soon stop growing.
            slot.bytes.reserve_exact(bytes.len().checked_next_power_of_two().unwrap_or(0));
            slot.bytes.extend_from_slice(bytes);
        }
    }

    #[inline]
    fn slot(&self, sequence: u64) -> Option<usize> {
        let age = usize::try_from(self.newest.checked_sub(sequence)?).ok()?;
        let count = self.slots.len();
        if age >= count {
            return None;
        }
        // The newest lies before the next.
        let newest = if self.next == 0 { count } else { self.next } - 1;
        Some(if age <= newest { newest - age } else { newest + count - age })
    }
}

impl core::hash::Hash for Replies {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        (self.newest, self.slots.len(), self.replies_max).hash(state);
        for sequence in self.oldest()..=self.newest {
            self.get(sequence).hash(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reply_waits_for_goes_with_its_place() {
        let mut replies = Replies::new(2);
        replies.open(Position(64));
        replies.await_safe(1);
        let read = replies.get(1).unwrap();
        assert_eq!((read.position(), read.awaits_safe()), (Position(64), true));
        // As it is read from a snapshot.
        let mut restored = Replies::behind(0, 2);
        restored.open(read.place());
        let read = restored.get(1).unwrap();
        assert_eq!((read.position(), read.awaits_safe()), (Position(64), true));
        // The slot is used again, by one that waits for nothing.
        replies.open(Position(128));
        replies.open(Position(192));
        let read = replies.get(3).unwrap();
        assert_eq!((read.position(), read.awaits_safe()), (Position(192), false));
    }

    #[test]
    fn the_newest_are_kept_whatever_their_number() {
        for replies_max in [1, 2, 3, 8] {
            let mut replies = Replies::new(replies_max);
            assert!(replies.get(0).is_none() && replies.get(1).is_none());
            for sequence in 1..50_u64 {
                replies.open(Position(sequence * 64));
                replies.keep(sequence, &sequence.to_le_bytes());
                let kept = (sequence.saturating_sub(replies_max as u64) + 1)..=sequence;
                assert_eq!(replies.oldest(), *kept.start());
                for asked in 0..60 {
                    let found = replies.get(asked).map(|reply| reply.bytes.clone());
                    let expected = kept.contains(&asked).then(|| asked.to_le_bytes().to_vec());
                    assert_eq!(found, expected, "reply {asked} of {sequence}");
                }
                let in_order: Vec<_> = replies.all().map(|reply| reply.position().0 / 64).collect();
                assert_eq!(in_order, kept.collect::<Vec<_>>());
            }
        }
    }
}
