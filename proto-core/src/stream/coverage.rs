//! Which byte ranges of a stream are held.

use alloc::vec::Vec;
use smallvec::SmallVec;

use crate::position::{Position, PositionRange};

/// A bounded set of byte positions, kept as disjoint ranges in rising order that do not touch.
#[derive(Clone, Debug, Hash)]
pub struct Coverage {
    ranges: Vec<PositionRange>,
    ranges_max: usize,
}

impl Coverage {
    /// An empty set of at most `ranges_max` ranges.
    #[must_use]
    pub fn new(ranges_max: usize) -> Self {
        Self { ranges: Vec::with_capacity(ranges_max + 1), ranges_max }
    }

    /// The ranges, in rising order.
    #[must_use]
    pub fn ranges(&self) -> &[PositionRange] {
        &self.ranges
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Adds `range`. When there are too many ranges then, the farthest is dropped (rule 19), and
    /// returned.
    pub fn insert(&mut self, range: PositionRange) -> Option<PositionRange> {
        if range.is_empty() {
            return None;
        }
        let from = self.ranges.partition_point(|held| held.end < range.start);
        let to = self.ranges.partition_point(|held| held.start <= range.end);
        let mut merged = range;
        if from < to {
            merged.start = merged.start.min(self.ranges[from].start);
            merged.end = merged.end.max(self.ranges[to - 1].end);
        }
        self.ranges.splice(from..to, [merged]);
        if self.ranges.len() <= self.ranges_max {
            return None;
        }
        crate::mark::reached(crate::mark::FARTHEST_DROPPED);
        if crate::mutant::is(crate::mutant::COVERAGE_IS_UNBOUNDED) {
            return None;
        }
        // One was added, so that one is too many.
        self.ranges.pop()
    }

    /// How many ranges a search looks at, at most.
    #[must_use]
    pub const fn search_steps(&self) -> u64 {
        (usize::BITS - self.ranges.len().leading_zeros()) as u64 + 1
    }

    /// Removes everything below `position`.
    pub fn remove_below(&mut self, position: Position) {
        let gone = self.ranges.partition_point(|held| held.end <= position);
        self.ranges.drain(..gone);
        if let Some(first) = self.ranges.first_mut() {
            first.start = first.start.max(position);
        }
    }

    /// Removes everything at and above `position`.
    pub fn remove_from(&mut self, position: Position) {
        let kept = self.ranges.partition_point(|held| held.start < position);
        self.ranges.truncate(kept);
        if let Some(last) = self.ranges.last_mut() {
            last.end = last.end.min(position);
        }
    }

    /// The end of what is held from `position` on without a hole; `position` if it is not held.
    #[must_use]
    pub fn contiguous_from(&self, position: Position) -> Position {
        let at = self.ranges.partition_point(|held| held.end < position);
        match self.ranges.get(at) {
            Some(held) if held.start <= position => held.end.max(position),
            _ => position,
        }
    }

    /// What of `within` is not held, in rising order.
    pub fn missing(&self, within: PositionRange) -> impl Iterator<Item = PositionRange> {
        let from = self.ranges.partition_point(|held| held.end <= within.start);
        let mut at = within.start;
        let mut held = self.ranges[from..].iter();
        core::iter::from_fn(move || {
            while at < within.end {
                let hole_start = at;
                let hole_end = match held.next() {
                    Some(next) if next.start < within.end => {
                        at = next.end;
                        next.start
                    }
                    _ => {
                        at = within.end;
                        within.end
                    }
                };
                if hole_start < hole_end {
                    return Some(PositionRange::new(hole_start, hole_end));
                }
            }
            None
        })
    }

    /// Whether all of `range` is held.
    #[must_use]
    pub fn contains(&self, range: PositionRange) -> bool {
        self.missing(range).next().is_none()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.ranges.clear();
    }
}

/// `ranges` without `removed`.
#[must_use]
pub(super) fn subtract(
    ranges: &[PositionRange],
    removed: PositionRange,
) -> SmallVec<[PositionRange; 4]> {
    let mut rest = SmallVec::new();
    for &range in ranges {
        let before = PositionRange::new(range.start, range.end.min(removed.start));
        let after = PositionRange::new(range.start.max(removed.end), range.end);
        if range.intersection(removed).is_empty() {
            rest.push(range);
        } else {
            rest.extend([before, after].into_iter().filter(|part| !part.is_empty()));
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use quickcheck::quickcheck;

    fn range(start: u64, end: u64) -> PositionRange {
        PositionRange::new(Position(start), Position(end))
    }

    /// Applies `steps` to a coverage and to a naive set of positions.
    fn both(steps: &[(u8, u8, u8)]) -> (Coverage, BTreeSet<u64>) {
        let (mut coverage, mut naive) = (Coverage::new(1_000), BTreeSet::new());
        for &(kind, start, length) in steps {
            let (start, end) = (u64::from(start), u64::from(start) + u64::from(length % 32));
            match kind % 8 {
                0 => {
                    coverage.remove_below(Position(start));
                    naive.retain(|&at| at >= start);
                }
                1 => {
                    coverage.remove_from(Position(start));
                    naive.retain(|&at| at < start);
                }
                _ => {
                    coverage.insert(range(start, end));
                    naive.extend(start..end);
                }
            }
        }
        (coverage, naive)
    }

    quickcheck! {
        fn holds_what_a_naive_set_holds(steps: Vec<(u8, u8, u8)>) -> bool {
            let (coverage, naive) = both(&steps);
            let held: BTreeSet<u64> =
                coverage.ranges().iter().flat_map(|held| held.start.0..held.end.0).collect();
            let apart = coverage.ranges().windows(2).all(|pair| pair[0].end < pair[1].start);
            let filled = coverage.ranges().iter().all(|held| !held.is_empty());
            held == naive && apart && filled
        }

        fn misses_what_a_naive_set_misses(steps: Vec<(u8, u8, u8)>, start: u8, length: u8) -> bool {
            let (coverage, naive) = both(&steps);
            let within = range(u64::from(start), u64::from(start) + u64::from(length));
            let missing: Vec<u64> =
                coverage.missing(within).flat_map(|hole| hole.start.0..hole.end.0).collect();
            let expected: Vec<u64> =
                (within.start.0..within.end.0).filter(|at| !naive.contains(at)).collect();
            missing == expected && coverage.contains(within) == expected.is_empty()
        }

        fn runs_on_as_far_as_a_naive_set(steps: Vec<(u8, u8, u8)>, from: u8) -> bool {
            let (coverage, naive) = both(&steps);
            let end = (u64::from(from)..).find(|at| !naive.contains(at));
            // Held up to `from` is not held from it on: both answers are the position itself.
            Some(coverage.contiguous_from(Position(u64::from(from))).0) == end
        }
    }

    #[test]
    fn the_farthest_ranges_are_dropped() {
        let mut coverage = Coverage::new(2);
        for start in [40, 0, 20] {
            coverage.insert(range(start, start + 8));
        }
        assert_eq!(coverage.ranges(), [range(0, 8), range(20, 28)]);
    }

    #[test]
    fn subtracting_splits() {
        let rest = subtract(&[range(0, 10), range(20, 30)], range(5, 25));
        assert_eq!(rest.as_slice(), [range(0, 5), range(25, 30)]);
        assert_eq!(subtract(&[range(0, 10)], range(3, 4)).as_slice(), [range(0, 3), range(4, 10)]);
    }
}
