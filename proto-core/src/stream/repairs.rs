//! What a sender sends again, how often, and how much of it.

use alloc::collections::VecDeque;
use smallvec::SmallVec;

use super::coverage::subtract;
use crate::action::Destination;
use crate::mutant;
use crate::position::{Position, PositionRange};
use crate::time::{Duration, Instant};

/// Repairs that are remembered as just sent, at most; the oldest is forgotten.
pub const REPAIRS_MAX: usize = 64;

/// Destinations between which a budget is shared, at most: all other members of a group.
pub const ASKERS_MAX: usize = 8;

/// How a sender limits its repairs.
#[derive(Clone, Copy, Debug)]
pub struct RepairTiming {
    /// How long a repair is not repeated to the same destination.
    pub linger: Duration,
    /// The interval of the budget.
    pub interval: Duration,
    /// Repair bytes in one interval, at most.
    pub budget_bytes: u64,
    /// A range is cut at no less than so many bytes to keep to the budget: a datagram's worth. The
    /// rest of a smaller cut would be a hole of its own, with its own request (E124).
    pub slice_bytes: u64,
}

/// Suppresses repeated repairs for a linger time and keeps them within a budget (E90, S20).
///
/// Of the budget each destination that asked in the last interval keeps as much as it asked for
/// then, up to an equal share: one that asks for everything, over and over, takes only what the
/// others leave.
#[derive(Clone, Debug, Hash)]
pub struct Repairs {
    recent: VecDeque<Recent>,
    interval_start: Instant,
    spent: u64,
    /// Who asked in this interval, or in the last.
    askers: SmallVec<[Asker; 1]>,
}

/// What is to be sent of what was asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Admitted {
    /// The parts, in rising order.
    pub parts: SmallVec<[PositionRange; 4]>,
    /// Bytes that the budget does not cover; what was just sent is none of them.
    pub short_bytes: u64,
}

/// What one destination asked for and got, in bytes.
#[derive(Clone, Copy, Debug, Hash)]
struct Asker {
    to: Destination,
    /// Asked for in the last interval.
    wanted_before: u64,
    /// Asked for in this one.
    wanted: u64,
    spent: u64,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Recent {
    to: Destination,
    /// Of which snapshot, by its place in the log; zero for the owner's own stream.
    of: Position,
    range: PositionRange,
    at: Instant,
}

impl Default for Repairs {
    fn default() -> Self {
        Self::new()
    }
}

impl Repairs {
    /// No repairs yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            recent: VecDeque::with_capacity(REPAIRS_MAX),
            interval_start: Instant(0),
            spent: 0,
            askers: SmallVec::new(),
        }
    }

    /// What of `range` is to be sent to `to` now, and notes it as sent. What the budget does not
    /// cover is not sent: the receiver asks again.
    pub fn admit(
        &mut self,
        now: Instant,
        timing: RepairTiming,
        to: Destination,
        range: PositionRange,
    ) -> Admitted {
        self.admit_of(now, timing, to, (Position::ZERO, range))
    }

    /// The same of a range of the snapshot that stands at a position: its bytes are others, and
    /// the budget is the same one.
    pub fn admit_of(
        &mut self,
        now: Instant,
        timing: RepairTiming,
        to: Destination,
        (of, range): (Position, PositionRange),
    ) -> Admitted {
        debug_assert!(!range.is_empty(), "a place would be taken for nothing");
        self.begin_interval(now, timing.interval);
        while self.recent.front().is_some_and(|old| now.since(old.at) >= timing.linger) {
            self.recent.pop_front();
        }
        let mut parts: SmallVec<[PositionRange; 4]> = SmallVec::new();
        parts.push(range);
        let forgets = mutant::is(mutant::REPAIRS_DO_NOT_LINGER);
        let same = |recent: &&Recent| recent.to == to && recent.of == of && !forgets;
        for recent in self.recent.iter().filter(same) {
            if !recent.range.intersection(range).is_empty() {
                crate::mark::reached(crate::mark::REPAIR_LINGERS);
            }
            parts = subtract(&parts, recent.range);
        }
        let wanted = parts.iter().map(|part| part.len()).sum();
        let mut room = self.room(timing, to, wanted);
        let mut admitted = Admitted { short_bytes: wanted, ..Admitted::default() };
        for part in parts {
            let clipped = PositionRange::at(part.start, part.len().min(room & !7));
            if clipped.len() < part.len().min(timing.slice_bytes) {
                crate::mark::reached(crate::mark::REPAIR_BUDGET_SPENT);
                break;
            }
            if !mutant::is(mutant::REPAIRS_WITHOUT_BUDGET) {
                room -= clipped.len();
            }
            if self.recent.len() == REPAIRS_MAX {
                self.recent.pop_front();
            }
            self.recent.push_back(Recent { to, of, range: clipped, at: now });
            admitted.short_bytes -= clipped.len();
            admitted.parts.push(clipped);
        }
        self.spend(to, wanted - admitted.short_bytes);
        admitted
    }

    /// Notes that `to` asks for `bytes` which cannot be served now, so that its share of the budget
    /// is kept all the same.
    pub fn note_wish(&mut self, now: Instant, timing: RepairTiming, to: Destination, bytes: u64) {
        self.begin_interval(now, timing.interval);
        self.room(timing, to, bytes);
    }

    fn begin_interval(&mut self, now: Instant, interval: Duration) {
        let passed = now.since(self.interval_start);
        if passed < interval {
            return;
        }
        (self.interval_start, self.spent) = (now, 0);
        let is_next = passed.0 < interval.0.saturating_mul(2);
        self.askers.retain(|asker| {
            asker.wanted_before = asker.wanted;
            (asker.wanted, asker.spent) = (0, 0);
            is_next && asker.wanted_before > 0
        });
    }

    /// The bytes that `to`, which asks for `wanted` more, may be sent: what is left of the budget
    /// without what is kept for others.
    fn room(&mut self, timing: RepairTiming, to: Destination, wanted: u64) -> u64 {
        match self.askers.iter_mut().find(|asker| asker.to == to) {
            Some(asker) => asker.wanted = asker.wanted.saturating_add(wanted),
            None => {
                // Clients change their addresses, members do not: nobody's share is forgotten.
                self.askers.truncate(ASKERS_MAX - 1);
                self.askers.push(Asker { to, wanted_before: 0, wanted, spent: 0 });
            }
        }
        let share = timing.budget_bytes / self.askers.len() as u64;
        // Shares of which nobody could be sent a slice are no shares: then who comes first.
        let share = if share < timing.slice_bytes { 0 } else { share };
        let others = self.askers.iter().filter(|asker| asker.to != to);
        let kept = others.map(|asker| asker.wanted_before.min(share).saturating_sub(asker.spent));
        timing.budget_bytes.saturating_sub(self.spent).saturating_sub(kept.sum())
    }

    fn spend(&mut self, to: Destination, bytes: u64) {
        if mutant::is(mutant::REPAIRS_WITHOUT_BUDGET) {
            return;
        }
        self.spent += bytes;
        for asker in self.askers.iter_mut().filter(|asker| asker.to == to) {
            asker.spent += bytes;
        }
    }

    /// How many repairs are remembered, at most [`REPAIRS_MAX`].
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.recent.len()
    }

    /// Forgets what was sent at and above `end`: those bytes are others now. Those of snapshots are
    /// what they were.
    pub fn cut(&mut self, end: Position) {
        self.recent.retain(|recent| recent.range.end <= end || recent.of > Position::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::MemberId;

    const TIMING: RepairTiming = RepairTiming {
        linger: Duration(10),
        interval: Duration(100),
        budget_bytes: 64,
        slice_bytes: 8,
    };
    const ONE: Destination = Destination::Member(MemberId(1));
    const TWO: Destination = Destination::Member(MemberId(2));

    fn range(start: u64, end: u64) -> PositionRange {
        PositionRange::new(Position(start), Position(end))
    }

    #[test]
    fn e90_a_repair_is_not_repeated_while_it_lingers() {
        let mut repairs = Repairs::new();
        let mut sent = |at, to, asked| repairs.admit(Instant(at), TIMING, to, asked).parts;
        assert_eq!(sent(0, ONE, range(0, 16)).len(), 1);
        assert!(sent(1, ONE, range(0, 8)).is_empty());
        assert_eq!(sent(2, ONE, range(8, 24)).as_slice(), [range(16, 24)]);
        assert_eq!(sent(3, TWO, range(0, 8)).as_slice(), [range(0, 8)]);
        assert_eq!(sent(12, ONE, range(0, 8)).as_slice(), [range(0, 8)]);
    }

    #[test]
    fn e90_repairs_stay_within_their_budget() {
        let mut repairs = Repairs::new();
        let mut admit = |at, to, asked| repairs.admit(Instant(at), TIMING, to, asked);
        let first = admit(0, ONE, range(0, 100));
        assert_eq!((first.parts.as_slice(), first.short_bytes), (&[range(0, 64)][..], 36));
        let none = admit(50, TWO, range(0, 8));
        assert_eq!((none.parts.len(), none.short_bytes), (0, 8));
        let later = admit(100, TWO, range(0, 8));
        assert_eq!((later.parts.len(), later.short_bytes), (1, 0));
    }

    #[test]
    fn e124_a_budget_leaves_no_crumbs() {
        let timing = RepairTiming { slice_bytes: 24, ..TIMING };
        let mut repairs = Repairs::new();
        let mut admit = |at, to, asked| repairs.admit(Instant(at), timing, to, asked);
        assert_eq!(admit(0, ONE, range(0, 48)).parts.as_slice(), [range(0, 48)]);
        // Of the 16 bytes that are left nothing is sent of more, and all of what is less.
        assert!(admit(1, ONE, range(48, 96)).parts.is_empty());
        assert_eq!(admit(2, ONE, range(48, 64)).parts.as_slice(), [range(48, 64)]);
        // Nor does a share that is less than a slice keep anything from whoever asks first.
        assert!(admit(3, TWO, range(0, 48)).parts.is_empty());
        assert_eq!(admit(100, ONE, range(64, 128)).parts.as_slice(), [range(64, 96)]);
        let narrow = RepairTiming { slice_bytes: 40, ..TIMING };
        assert_eq!(repairs.admit(Instant(200), narrow, ONE, range(128, 256)).short_bytes, 64);
    }

    #[test]
    fn e90_who_asks_for_everything_leaves_the_others_their_share() {
        let mut repairs = Repairs::new();
        let mut sent = |at, to, asked| -> u64 {
            let admitted = repairs.admit(Instant(at), TIMING, to, asked);
            admitted.parts.iter().map(|part| part.len()).sum()
        };
        // Alone, it gets all; who comes too late is kept a share from the next interval on.
        assert_eq!(sent(0, ONE, range(0, 640)), 64);
        assert_eq!(sent(20, TWO, range(0, 16)), 0);
        assert_eq!(sent(100, ONE, range(0, 640)), 48);
        assert_eq!(sent(120, ONE, range(640, 1_280)), 0);
        assert_eq!(sent(140, TWO, range(0, 16)), 16);
        // Half and half, if both want everything.
        assert_eq!(sent(150, TWO, range(16, 640)), 0);
        assert_eq!(sent(200, ONE, range(0, 640)), 32);
        assert_eq!(sent(220, TWO, range(16, 640)), 32);
        // What nobody asked for any more is there for all.
        assert_eq!(sent(300, ONE, range(0, 640)), 32);
        assert_eq!(sent(400, ONE, range(0, 640)), 64);
    }
}
