//! Virtual time: what happens next. Occurrences of one instant happen in the order in which they
//! were scheduled.

use core::cmp::Ordering;
use std::collections::BinaryHeap;

/// A queue of occurrences, ordered by time in nanoseconds.
#[derive(Debug)]
pub struct Scheduler<T> {
    heap: BinaryHeap<Entry<T>>,
    sequence: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: u64,
    sequence: u64,
    occurrence: T,
}

impl<T> Default for Scheduler<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), sequence: 0 }
    }
}

impl<T> Scheduler<T> {
    /// Schedules `occurrence` for the time `at`.
    pub fn push(&mut self, at: u64, occurrence: T) {
        self.sequence += 1;
        self.heap.push(Entry { at, sequence: self.sequence, occurrence });
    }

    /// Takes the next occurrence and its time.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        self.heap.pop().map(|entry| (entry.at, entry.occurrence))
    }

    /// Takes the next occurrence and its time, if it comes at `end` or before. What comes later
    /// keeps its place among those of its instant.
    pub fn pop_by(&mut self, end: u64) -> Option<(u64, T)> {
        let is_due = self.heap.peek().is_some_and(|next| next.at <= end);
        if is_due { self.pop() } else { None }
    }

    /// How many occurrences are scheduled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is scheduled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

// The heap takes the greatest first, so the order is reversed.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_orders_and_ties_keep_their_order() {
        let mut scheduler = Scheduler::default();
        for (at, name) in [(5, "c"), (1, "a"), (5, "d"), (2, "b")] {
            scheduler.push(at, name);
        }
        let order: Vec<_> = core::iter::from_fn(|| scheduler.pop()).collect();
        assert_eq!(order, [(1, "a"), (2, "b"), (5, "c"), (5, "d")]);
    }
}
