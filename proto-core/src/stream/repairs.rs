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

/// How a sender limits its repairs.
#[derive(Clone, Copy, Debug)]
pub struct RepairTiming {
    /// How long a repair is not repeated to the same destination.
    pub linger: Duration,
    /// The interval of the budget.
    pub interval: Duration,
    /// Repair bytes in one interval, at most.
    pub budget_bytes: u64,
}

/// Suppresses repeated repairs for a linger time and keeps them within a budget (E90, S20).
#[derive(Clone, Debug, Hash)]
pub struct Repairs {
    recent: VecDeque<Recent>,
    interval_start: Instant,
    spent: u64,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Recent {
    to: Destination,
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
        Self { recent: VecDeque::with_capacity(REPAIRS_MAX), interval_start: Instant(0), spent: 0 }
    }

    /// What of `range` is to be sent to `to` now, and notes it as sent. What the budget does not
    /// cover is not sent: the receiver asks again.
    pub fn admit(
        &mut self,
        now: Instant,
        timing: RepairTiming,
        to: Destination,
        range: PositionRange,
    ) -> SmallVec<[PositionRange; 4]> {
        if now.since(self.interval_start) >= timing.interval {
            self.interval_start = now;
            self.spent = 0;
        }
        while self.recent.front().is_some_and(|old| now.since(old.at) >= timing.linger) {
            self.recent.pop_front();
        }
        let mut parts: SmallVec<[PositionRange; 4]> = SmallVec::new();
        parts.push(range);
        let forgets = mutant::is(mutant::REPAIRS_DO_NOT_LINGER);
        for recent in self.recent.iter().filter(|recent| recent.to == to && !forgets) {
            if !recent.range.intersection(range).is_empty() {
                crate::mark::reached(crate::mark::REPAIR_LINGERS);
            }
            parts = subtract(&parts, recent.range);
        }
        let mut admitted = SmallVec::new();
        for part in parts {
            let room = timing.budget_bytes.saturating_sub(self.spent) & !7;
            let clipped = PositionRange::at(part.start, part.len().min(room));
            if clipped.is_empty() {
                crate::mark::reached(crate::mark::REPAIR_BUDGET_SPENT);
                break;
            }
            if !mutant::is(mutant::REPAIRS_WITHOUT_BUDGET) {
                self.spent += clipped.len();
            }
            if self.recent.len() == REPAIRS_MAX {
                self.recent.pop_front();
            }
            self.recent.push_back(Recent { to, range: clipped, at: now });
            admitted.push(clipped);
        }
        admitted
    }

    /// How many repairs are remembered, at most [`REPAIRS_MAX`].
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.recent.len()
    }

    /// Forgets what was sent at and above `end`: those bytes are others now.
    pub fn cut(&mut self, end: Position) {
        self.recent.retain(|recent| recent.range.end <= end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::MemberId;

    const TIMING: RepairTiming =
        RepairTiming { linger: Duration(10), interval: Duration(100), budget_bytes: 64 };
    const ONE: Destination = Destination::Member(MemberId(1));
    const TWO: Destination = Destination::Member(MemberId(2));

    fn range(start: u64, end: u64) -> PositionRange {
        PositionRange::new(Position(start), Position(end))
    }

    #[test]
    fn e90_a_repair_is_not_repeated_while_it_lingers() {
        let mut repairs = Repairs::new();
        assert_eq!(repairs.admit(Instant(0), TIMING, ONE, range(0, 16)).len(), 1);
        assert!(repairs.admit(Instant(1), TIMING, ONE, range(0, 8)).is_empty());
        let overlapping = repairs.admit(Instant(2), TIMING, ONE, range(8, 24));
        assert_eq!(overlapping.as_slice(), [range(16, 24)]);
        assert_eq!(repairs.admit(Instant(3), TIMING, TWO, range(0, 8)).as_slice(), [range(0, 8)]);
        assert_eq!(repairs.admit(Instant(12), TIMING, ONE, range(0, 8)).as_slice(), [range(0, 8)]);
    }

    #[test]
    fn e90_repairs_stay_within_their_budget() {
        let mut repairs = Repairs::new();
        assert_eq!(
            repairs.admit(Instant(0), TIMING, ONE, range(0, 100)).as_slice(),
            [range(0, 64)]
        );
        assert!(repairs.admit(Instant(50), TIMING, TWO, range(0, 8)).is_empty());
        assert_eq!(repairs.admit(Instant(100), TIMING, TWO, range(0, 8)).len(), 1);
    }
}
