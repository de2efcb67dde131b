//! The timers that the service has scheduled. Numbers and deadlines are replicated state; which of
//! them a leader has under way in the log is its own affair.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::mutant;
use crate::time::LogTime;

/// Timers that a leader has in its log and that are not applied yet, at most: what one event, and
/// what stands behind the next message, costs at the most, however many are due at once.
pub(super) const UNDER_WAY_MAX: usize = 1_024;

/// All scheduled timers.
#[derive(Clone, Debug)]
pub(super) struct TimerTable {
    deadlines: BTreeMap<u64, LogTime>,
    /// Those that are not under way, by deadline and then by number: the order in which they fire.
    waiting: BTreeSet<(LogTime, u64)>,
    /// Timers that this leader has appended and that are not applied yet; maybe replaced meanwhile.
    under_way: BTreeSet<u64>,
    timers_max: usize,
}

/// The rest follows from the deadlines, or is a leader's own.
impl core::hash::Hash for TimerTable {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        (&self.deadlines, self.timers_max).hash(state);
    }
}

impl TimerTable {
    pub(super) const fn new(timers_max: usize) -> Self {
        Self {
            deadlines: BTreeMap::new(),
            waiting: BTreeSet::new(),
            under_way: BTreeSet::new(),
            timers_max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.deadlines.len()
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// All of them by rising number.
    pub(super) fn by_number(&self) -> impl Iterator<Item = (u64, LogTime)> {
        self.deadlines.iter().map(|(&timer, &deadline)| (timer, deadline))
    }

    /// Schedules a timer, in place of the one with the same number; `false` when there are too
    /// many.
    pub(super) fn schedule(&mut self, timer: u64, deadline: LogTime) -> bool {
        let keeps_its_first = mutant::is(mutant::RESCHEDULED_TIMERS_KEEP_THEIR_DEADLINE);
        if keeps_its_first && self.deadlines.contains_key(&timer) {
            return true;
        }
        if let Some(old) = self.deadlines.insert(timer, deadline) {
            self.waiting.remove(&(old, timer));
        }
        // Else it waits until the frame of the one that it replaces is applied.
        if !self.under_way.contains(&timer) {
            self.waiting.insert((deadline, timer));
        }
        self.deadlines.len() <= self.timers_max
    }

    pub(super) fn cancel(&mut self, timer: u64) {
        if let Some(deadline) = self.deadlines.remove(&timer) {
            self.waiting.remove(&(deadline, timer));
        }
    }

    /// Applies a timer frame: whether the service gets it. One that was cancelled, rescheduled or
    /// fired before is not delivered, so each fires once.
    pub(super) fn fire(&mut self, timer: u64, deadline: LogTime) -> bool {
        let scheduled = self.deadlines.get(&timer).copied();
        if scheduled == Some(deadline) && mutant::is(mutant::FIRED_TIMERS_STAY) {
            return true;
        }
        if !mutant::is(mutant::TIMERS_FIRE_ONCE_A_TERM) {
            self.under_way.remove(&timer);
        }
        if scheduled == Some(deadline) {
            self.cancel(timer);
            return true;
        }
        let is_forgotten = mutant::is(mutant::REPLACED_TIMERS_ARE_FORGOTTEN);
        if let Some(replaced) = scheduled.filter(|_| !is_forgotten) {
            self.waiting.insert((replaced, timer));
        }
        crate::mark::reached(crate::mark::TIMER_NOT_DELIVERED);
        mutant::is(mutant::CANCELLED_TIMERS_FIRE)
    }

    /// The next timer to be fired, if there is one and so many more may be under way.
    #[inline]
    pub(super) fn next(&self, room: usize) -> Option<(LogTime, u64)> {
        if mutant::is(mutant::TIMERS_FIRE_OUT_OF_ORDER) {
            return self.waiting.last().copied();
        }
        let unbounded = mutant::is(mutant::DUE_TIMERS_FIRE_ALL_AT_ONCE);
        let has_room = self.under_way.len() + room <= UNDER_WAY_MAX || unbounded;
        self.waiting.first().copied().filter(|_| has_room)
    }

    /// This leader has appended the frame of a timer.
    pub(super) fn note_under_way(&mut self, (deadline, timer): (LogTime, u64)) {
        self.waiting.remove(&(deadline, timer));
        self.under_way.insert(timer);
    }

    /// This member leads no more: what it had under way, another may have to fire.
    pub(super) fn recall(&mut self) {
        for timer in core::mem::take(&mut self.under_way) {
            if let Some(&deadline) = self.deadlines.get(&timer) {
                self.waiting.insert((deadline, timer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With room for three: timer 1 of 10 is under way, 2 of 10 and 3 of 5 are not.
    fn table() -> TimerTable {
        let mut table = TimerTable::new(3);
        assert!(table.schedule(1, LogTime(10)) && table.schedule(2, LogTime(10)));
        table.note_under_way((LogTime(10), 1));
        assert!(table.schedule(3, LogTime(5)));
        table
    }

    #[test]
    fn a_timer_fires_once_and_only_with_its_deadline() {
        let mut table = TimerTable::new(2);
        assert!(table.schedule(1, LogTime(10)));
        assert!(table.schedule(1, LogTime(20)));
        assert!(!table.fire(1, LogTime(10)));
        assert!(table.fire(1, LogTime(20)));
        assert!(!table.fire(1, LogTime(20)));
        assert_eq!((table.len(), table.next(1)), (0, None));
    }

    #[test]
    fn they_fire_by_deadline_and_number_and_no_more_than_may_be_are_kept() {
        let mut table = table();
        assert_eq!(table.next(1), Some((LogTime(5), 3)));
        table.cancel(3);
        assert_eq!(table.next(1), Some((LogTime(10), 2)));
        assert!(table.schedule(4, LogTime(1)));
        assert!(!table.schedule(5, LogTime(1)));
    }

    #[test]
    fn one_that_is_replaced_under_way_fires_with_its_new_deadline_only() {
        let mut table = table();
        assert!(table.schedule(1, LogTime(7)));
        assert_eq!(table.next(1), Some((LogTime(5), 3)), "its frame is still to be applied");
        assert!(!table.fire(1, LogTime(10)));
        table.cancel(3);
        assert_eq!(table.next(1), Some((LogTime(7), 1)));
        assert!(table.fire(1, LogTime(7)));
    }

    #[test]
    fn what_a_leader_had_under_way_waits_again_when_it_leads_no_more() {
        let mut table = table();
        table.cancel(3);
        table.recall();
        assert_eq!((table.next(1), table.under_way()), (Some((LogTime(10), 1)), 0));
    }

    #[test]
    fn so_many_are_under_way_at_a_time() {
        let mut table = TimerTable::new(2 * UNDER_WAY_MAX);
        (0..2 * UNDER_WAY_MAX as u64).for_each(|timer| {
            table.schedule(timer, LogTime(1));
        });
        while let Some(next) = table.next(1) {
            table.note_under_way(next);
        }
        assert_eq!(table.under_way(), UNDER_WAY_MAX);
        assert!(table.fire(0, LogTime(1)));
        assert_eq!(table.next(1), Some((LogTime(1), UNDER_WAY_MAX as u64)));
        assert_eq!(table.next(2), None);
    }
}
