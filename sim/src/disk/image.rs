//! The bytes of a log as they are in three places: in the page cache (**written**), on their way
//! (**dirty**), and on the medium. What a power failure leaves is any legal mixture of them.

use core::ops::Range;

use crate::dice::{ALWAYS, Dice};

/// A page of the cache.
pub(super) const PAGE_BYTES: usize = 4_096;
/// What a medium writes as a whole, at least.
pub(super) const SECTOR_BYTES: usize = 512;

/// What became of the unsynced units when the power failed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Fates {
    /// Units that had reached the medium.
    pub(super) kept: u64,
    /// Units that had not.
    pub(super) lost: u64,
    /// Pages of which some sectors had.
    pub(super) torn: u64,
}

/// A log's bytes.
#[derive(Clone, Debug)]
pub(super) struct Image {
    cache: Vec<u8>,
    medium: Vec<u8>,
    /// From here on the cache is not known to be on the medium.
    dirty_from: usize,
    /// What reaches the medium as a whole: a sector, or a page.
    unit: usize,
    /// What cannot be read.
    unreadable: Vec<Range<usize>>,
}

impl Image {
    pub(super) const fn new(unit: usize) -> Self {
        Self { cache: Vec::new(), medium: Vec::new(), dirty_from: 0, unit, unreadable: Vec::new() }
    }

    /// What a read finds, but for what cannot be read.
    pub(super) fn written(&self) -> &[u8] {
        &self.cache
    }

    pub(super) const fn unit(&self) -> usize {
        self.unit
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.cache.extend_from_slice(bytes);
    }

    /// Takes away what is written from `end` on; the medium keeps its old bytes there.
    pub(super) fn cut(&mut self, end: usize) {
        self.cache.truncate(end);
        self.dirty_from = self.dirty_from.min(end);
    }

    /// Takes away what is before `origin`, which is clean: nothing of it counts any more.
    pub(super) fn purge(&mut self, origin: usize) {
        for bytes in [&mut self.cache, &mut self.medium] {
            let end = origin.min(bytes.len());
            bytes[..end].fill(0);
        }
        self.unreadable.retain(|spoilt| spoilt.end > origin);
    }

    /// Replaces all there is by zeros up to `origin`, which are clean.
    pub(super) fn begin_at(&mut self, origin: usize) {
        self.cache = vec![0; origin];
        self.medium = vec![0; origin];
        self.dirty_from = origin;
        self.unreadable.clear();
    }

    /// Brings the dirty bytes before `covers` to the medium.
    pub(super) fn sync(&mut self, covers: usize) {
        let covers = covers.min(self.cache.len());
        if covers > self.dirty_from {
            self.put(self.dirty_from..covers);
            self.dirty_from = covers;
        }
    }

    /// A sync that failed: some units reached the medium, and the cache holds all for clean.
    pub(super) fn fail_sync(&mut self, dice: &mut Dice) {
        for unit in self.dirty_units() {
            if dice.chance(ALWAYS / 2) {
                self.put(unit);
            }
        }
        self.dirty_from = self.cache.len();
    }

    /// The power fails: the cache is gone, and of the dirty units some are on the medium.
    pub(super) fn lose_power(&mut self, dice: &mut Dice) -> Fates {
        let mut fates = Fates::default();
        // One law for all units of this failure: all but the last few, hardly any, or any.
        let odds = dice.pick(&[ALWAYS / 10, ALWAYS / 2, ALWAYS / 10 * 9]);
        let mut page = (usize::MAX, true, true);
        for unit in self.dirty_units() {
            let (index, kept) = (unit.start / PAGE_BYTES, dice.chance(odds));
            if page.0 != index {
                fates.torn += u64::from(page.0 != usize::MAX && !page.1 && !page.2);
                page = (index, true, true);
            }
            if kept {
                page.1 = false;
                fates.kept += 1;
                self.put(unit);
            } else {
                page.2 = false;
                fates.lost += 1;
            }
        }
        fates.torn += u64::from(page.0 != usize::MAX && !page.1 && !page.2);
        self.cache.clone_from(&self.medium);
        self.dirty_from = self.cache.len();
        fates
    }

    /// The power fails, and no dirty unit had reached the medium.
    pub(super) fn lose_all_dirty(&mut self) {
        self.cache.clone_from(&self.medium);
        self.dirty_from = self.cache.len();
    }

    /// The bytes in the cache and on the medium, and where they may begin to differ.
    pub(super) fn parts(&self) -> (&[u8], &[u8], usize) {
        (&self.cache, &self.medium, self.dirty_from)
    }

    /// What a start does behind the end of the log: nothing is left of it, and what no mark vouches
    /// for, from `marked` on, is written again.
    pub(super) fn settle(&mut self, marked: usize, end: usize) {
        self.cache.truncate(end);
        self.medium.resize(end, 0);
        let marked = marked.min(end);
        self.medium[marked..].copy_from_slice(&self.cache[marked..]);
        self.dirty_from = end;
    }

    /// The medium's bytes in `range`.
    pub(super) fn on_medium(&self, range: Range<usize>) -> &[u8] {
        self.medium.get(range).unwrap_or_default()
    }

    /// Puts other bytes on the medium at `start`; the cache shows them too if the page is
    /// `evicted`.
    pub(super) fn corrupt(&mut self, start: usize, bytes: &[u8], evicted: bool) {
        let end = start + bytes.len();
        if end <= self.medium.len() {
            self.medium[start..end].copy_from_slice(bytes);
        }
        if evicted && end <= self.cache.len() {
            self.cache[start..end].copy_from_slice(bytes);
        }
    }

    /// Makes a sector unreadable.
    pub(super) fn spoil(&mut self, at: usize) {
        let start = at / SECTOR_BYTES * SECTOR_BYTES;
        self.unreadable.push(start..start + SECTOR_BYTES);
    }

    /// The bytes of `range` up to the end of what is written; `None` when a sector does not read.
    pub(super) fn read(&self, range: Range<usize>) -> Option<&[u8]> {
        let end = range.end.min(self.cache.len());
        let start = range.start.min(end);
        let bad = |spoilt: &Range<usize>| spoilt.start < end && start < spoilt.end;
        if self.unreadable.iter().any(bad) {
            return None;
        }
        Some(&self.cache[start..end])
    }

    /// Whether medium and cache agree in `range`, and all of it can be read.
    pub(super) fn is_sound(&self, range: Range<usize>) -> bool {
        let is_elsewhere =
            |spoilt: &Range<usize>| spoilt.start >= range.end || spoilt.end <= range.start;
        self.unreadable.iter().all(is_elsewhere)
            && self.cache.get(range.clone()).is_some()
            && self.cache.get(range.clone()) == self.medium.get(range)
    }

    fn put(&mut self, range: Range<usize>) {
        if self.medium.len() < range.end {
            self.medium.resize(range.end, 0);
        }
        self.medium[range.clone()].copy_from_slice(&self.cache[range]);
    }

    /// The dirty bytes, cut at the bounds of units.
    fn dirty_units(&self) -> Vec<Range<usize>> {
        let (mut start, end, unit) = (self.dirty_from, self.cache.len(), self.unit);
        core::iter::from_fn(|| {
            let begin = start;
            start = ((begin / unit + 1) * unit).min(end);
            (begin < end).then_some(begin..start)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirty(synced: usize, written: usize, unit: usize) -> Image {
        let mut image = Image::new(unit);
        image.append(&vec![1; synced]);
        image.sync(synced);
        image.append(&vec![2; written - synced]);
        image
    }

    #[test]
    fn a_power_failure_leaves_what_was_synced_and_whole_units_of_the_rest() {
        for unit in [SECTOR_BYTES, PAGE_BYTES] {
            let (mut kept, mut lost, mut torn) = (0, 0, 0);
            for seed in 0..100 {
                let mut image = dirty(700, 20_000, unit);
                let fates = image.lose_power(&mut Dice::new(seed, "disk"));
                let left = image.written();
                assert!(left[..700].iter().all(|byte| *byte == 1));
                for at in (700..left.len()).skip(1).filter(|at| at % unit != 0) {
                    assert_eq!(left[at], left[at - 1], "a unit is old or new");
                }
                (kept, lost, torn) = (kept + fates.kept, lost + fates.lost, torn + fates.torn);
            }
            assert!(kept > 100 && lost > 100);
            assert_eq!(torn > 0, unit < PAGE_BYTES, "pages are torn at sectors only");
        }
    }

    #[test]
    fn e43_what_a_failed_sync_dropped_reads_well_until_the_power_fails() {
        let mut image = dirty(512, 20_000, SECTOR_BYTES);
        image.fail_sync(&mut Dice::new(1, "disk"));
        assert_eq!(image.written().len(), 20_000);
        assert!(!image.is_sound(0..20_000));
        let fates = image.lose_power(&mut Dice::new(2, "disk"));
        assert_eq!(fates, Fates::default(), "the cache took all for clean");
        assert!(image.written()[512..].contains(&0) || image.written().len() < 20_000);
    }

    #[test]
    fn a_start_writes_again_what_no_mark_vouches_for() {
        let mut image = dirty(512, 20_000, SECTOR_BYTES);
        image.fail_sync(&mut Dice::new(1, "disk"));
        image.settle(512, 20_000);
        assert!(image.is_sound(0..20_000));
    }

    #[test]
    fn a_spoilt_sector_does_not_read() {
        let mut image = dirty(4_096, 8_192, SECTOR_BYTES);
        image.spoil(1_000);
        assert!(image.read(0..512).is_some());
        assert!(image.read(500..1_024).is_none());
        assert!(image.read(1_024..9_000).is_some());
        assert!(!image.is_sound(0..4_096));
    }
}
