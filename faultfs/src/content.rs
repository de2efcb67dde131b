//! What is in one file: as programs read it, as a power loss leaves it, and what lies between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::draws::Draws;

/// Bytes of a page: what is written back as one, if it is not torn.
pub const PAGE_BYTES: usize = 4_096;
/// Bytes of a sector: what is never torn.
pub const SECTOR_BYTES: usize = 512;
/// Versions of a page, and lengths of a file, that are remembered between two syncs. Of more, those
/// in the middle are forgotten: a disk need not have written them.
pub const VERSIONS_MAX: usize = 8;

const SECTORS: usize = PAGE_BYTES / SECTOR_BYTES;

/// A page that was never written reads as zeros, and takes no memory.
type Page = Option<Arc<[u8; PAGE_BYTES]>>;

/// What a power loss made of all that was not synced.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fates {
    /// Pages that are there as they were last written.
    pub pages_kept: u64,
    /// Pages of which nothing is there.
    pub pages_lost: u64,
    /// Pages that are older than the last write, or of several ages.
    pub pages_torn: u64,
    /// Lengths of files that fell back.
    pub lengths_lost: u64,
    /// Names that are there, or gone, as the program left them.
    pub names_kept: u64,
    /// Names whose change is undone.
    pub names_lost: u64,
}

/// The content of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    written: BTreeMap<u64, Arc<[u8; PAGE_BYTES]>>,
    durable: BTreeMap<u64, Arc<[u8; PAGE_BYTES]>>,
    length: u64,
    durable_length: u64,
    /// Each page since the last sync, oldest version first.
    unsynced: BTreeMap<u64, Vec<Page>>,
    lengths: Vec<u64>,
    versions: usize,
    /// Pages that cannot be read until they are written again.
    unreadable: BTreeSet<u64>,
}

impl Content {
    /// Bytes of the file as programs see it.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Pages that this content holds in memory; some may be the same.
    pub(crate) fn pages(&self) -> usize {
        self.written.len() + self.durable.len() + self.versions
    }

    /// At most so many bytes from `offset` on; fewer at the end. None if a page is unreadable.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let pages = Self::pages_of(offset, length.min(self.left(offset, self.length)));
        if self.unreadable.range(pages).next().is_some() {
            return None;
        }
        Some(self.cut_out(offset, length))
    }

    fn left(&self, offset: u64, end: u64) -> usize {
        usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX)
    }

    fn pages_of(offset: u64, length: usize) -> core::ops::Range<u64> {
        let page = PAGE_BYTES as u64;
        offset / page..offset.saturating_add(length as u64).div_ceil(page)
    }

    fn cut_out(&self, offset: u64, length: usize) -> Vec<u8> {
        let end = self.length.min(offset.saturating_add(length as u64));
        let mut bytes = Vec::new();
        let mut at = offset;
        while at < end {
            let within = (at % PAGE_BYTES as u64) as usize;
            let count = (PAGE_BYTES - within).min((end - at) as usize);
            match self.written.get(&(at / PAGE_BYTES as u64)) {
                Some(page) => bytes.extend_from_slice(&page[within..within + count]),
                None => bytes.resize(bytes.len() + count, 0),
            }
            at += count as u64;
        }
        bytes
    }

    /// Writes; each page is a write of its own to the disk.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let number = at / PAGE_BYTES as u64;
            let within = (at % PAGE_BYTES as u64) as usize;
            let (now, later) = rest.split_at((PAGE_BYTES - within).min(rest.len()));
            let mut page = self.written.get(&number).map_or([0; PAGE_BYTES], |page| **page);
            page[within..within + now.len()].copy_from_slice(now);
            self.replace(number, Some(Arc::new(page)));
            self.unreadable.remove(&number);
            at += now.len() as u64;
            rest = later;
        }
        if at > self.length {
            self.note_length(at);
        }
    }

    fn replace(&mut self, number: u64, page: Page) {
        match &page {
            Some(page) => self.written.insert(number, Arc::clone(page)),
            None => self.written.remove(&number),
        };
        let versions = self.unsynced.entry(number).or_default();
        if versions.len() == VERSIONS_MAX {
            versions.remove(VERSIONS_MAX / 2);
            self.versions -= 1;
        }
        versions.push(page);
        self.versions += 1;
    }

    fn note_length(&mut self, length: u64) {
        self.length = length;
        if self.lengths.len() == VERSIONS_MAX {
            self.lengths.remove(VERSIONS_MAX / 2);
        }
        self.lengths.push(length);
    }

    /// Cuts the file, or extends it by zeros.
    pub(crate) fn set_length(&mut self, length: u64) {
        let (first, within) = (length / PAGE_BYTES as u64, (length % PAGE_BYTES as u64) as usize);
        let whole = first + u64::from(within > 0);
        let beyond: Vec<u64> = self.written.range(whole..).map(|(number, _)| *number).collect();
        for number in beyond {
            self.replace(number, None);
        }
        if let Some(page) = self.written.get(&first).filter(|_| within > 0 && length < self.length)
        {
            let mut page = **page;
            page[within..].fill(0);
            self.replace(first, Some(Arc::new(page)));
        }
        if length != self.length {
            self.note_length(length);
        }
    }

    /// What was written is durable.
    pub(crate) fn sync(&mut self) {
        for (number, versions) in core::mem::take(&mut self.unsynced) {
            match versions.into_iter().next_back().flatten() {
                Some(page) => self.durable.insert(number, page),
                None => self.durable.remove(&number),
            };
        }
        self.durable_length = self.length;
        self.lengths.clear();
        self.versions = 0;
    }

    /// What was not synced is taken for written back, and never was: programs still read it, and no
    /// later sync covers it.
    pub(crate) fn forget(&mut self) {
        self.unsynced.clear();
        self.lengths.clear();
        self.versions = 0;
    }

    /// The power fails.
    pub(crate) fn crash(&mut self, draws: &mut Draws, keep: u64, fates: &mut Fates) {
        for (number, versions) in core::mem::take(&mut self.unsynced) {
            let durable = self.durable.get(&number).map(Arc::clone);
            let last = versions.len();
            let mut choices = [0; SECTORS];
            // One page in two is written back as a whole.
            let torn = draws.percent(50);
            let whole = pick(draws, keep, last);
            for choice in &mut choices {
                *choice = if torn { pick(draws, keep, last) } else { whole };
            }
            if choices == [last; SECTORS] {
                fates.pages_kept += 1;
            } else if choices == [0; SECTORS] {
                fates.pages_lost += 1;
            } else {
                fates.pages_torn += 1;
            }
            let ages = |age: usize| if age == 0 { &durable } else { &versions[age - 1] };
            match assembled(&choices, ages) {
                Some(page) => self.durable.insert(number, page),
                None => self.durable.remove(&number),
            };
        }
        let length = match pick(draws, keep, self.lengths.len()) {
            0 => self.durable_length,
            age => self.lengths[age - 1],
        };
        fates.lengths_lost += u64::from(length != self.length);
        self.written.clone_from(&self.durable);
        self.length = self.durable_length.max(length);
        // What lies beyond is no part of the file, whatever the disk has there.
        self.set_length(length);
        self.sync();
    }

    /// Turns one bit over, on the disk and for readers.
    pub(crate) fn rot(&mut self, offset: u64, bit: u8) {
        let (number, within) = (offset / PAGE_BYTES as u64, (offset % PAGE_BYTES as u64) as usize);
        for view in [&mut self.written, &mut self.durable] {
            let mut page = view.get(&number).map_or([0; PAGE_BYTES], |page| **page);
            page[within] ^= 1 << (bit % 8);
            view.insert(number, Arc::new(page));
        }
    }

    /// The pages of this range cannot be read until they are written again.
    pub(crate) fn make_unreadable(&mut self, offset: u64, length: usize) {
        let length = length.min(self.left(offset, self.length));
        self.unreadable.extend(Self::pages_of(offset, length));
    }

    /// All of it can be read again.
    pub(crate) fn make_readable(&mut self) {
        self.unreadable.clear();
    }
}

/// An age: 0 for what is durable, or one of so many versions, the last one mostly.
fn pick(draws: &mut Draws, keep: u64, versions: usize) -> usize {
    if versions == 0 || !draws.percent(keep) {
        0
    } else if draws.percent(75) {
        versions
    } else {
        1 + draws.below(versions as u64) as usize
    }
}

fn assembled<'a>(choices: &[usize; SECTORS], ages: impl Fn(usize) -> &'a Page) -> Page {
    if choices.iter().all(|age| ages(*age).is_none()) {
        return None;
    }
    let mut bytes = [0; PAGE_BYTES];
    let sectors = bytes.chunks_exact_mut(SECTOR_BYTES).zip(choices).enumerate();
    for (number, (sector, age)) in sectors {
        if let Some(page) = ages(*age) {
            let at = number * SECTOR_BYTES;
            sector.copy_from_slice(&page[at..at + SECTOR_BYTES]);
        }
    }
    Some(Arc::new(bytes))
}
