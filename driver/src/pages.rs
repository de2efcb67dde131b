//! Bytes whose clones share their pages: a state that is frozen at once.

use core::mem;
use std::sync::Arc;
use std::vec;

use crate::frozen::Frozen;

/// Bytes of a page: what a change copies, once, while a clone shares it.
const PAGE_BYTES: usize = 1_024;
/// Pages of a leaf, whose list the first change of one of them copies, too.
const LEAF_PAGES: usize = 512;
const LEAF_BYTES: usize = LEAF_PAGES * PAGE_BYTES;

type Page = [u8; PAGE_BYTES];
type Leaf = Vec<Arc<Page>>;

/// Bytes in pages of 1 KiB that clones share until one of them changes a page. A clone takes a step
/// for each 512 KiB: some microseconds for a GiB. So a service that keeps its state in here goes on
/// while a snapshot of it is written; what it changes meanwhile is in memory twice until it is.
///
/// ```
/// use quorate_driver::{Context, Frozen, Pages, Service, ServiceError};
///
/// /// Eight bytes for each of a million accounts.
/// struct Accounts(Pages);
///
/// impl Service for Accounts {
///     fn message(
///         &mut self,
///         _context: &mut Context<'_>,
///         payload: &[u8],
///         reply: &mut Vec<u8>,
///     ) -> Result<(), ServiceError> {
///         let Some((account, added)) = payload.split_first_chunk() else { return Ok(()) };
///         let at = u64::from_le_bytes(*account) as usize % 1_000_000 * 8;
///         let mut word = [0; 8];
///         self.0.read(at, &mut word);
///         let sum = u64::from_le_bytes(word).wrapping_add(added.len() as u64);
///         self.0.write(at, &sum.to_le_bytes());
///         reply.extend_from_slice(&sum.to_le_bytes());
///         Ok(())
///     }
///
///     fn snapshot(&self) -> Frozen {
///         self.0.freeze()
///     }
///
///     fn restore(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
///         self.0 = Pages::from(bytes);
///         Ok(())
///     }
/// }
///
/// let mut accounts = Accounts(Pages::zeroed(8_000_000));
/// let frozen = accounts.snapshot();
/// accounts.0.write(0, &[7; 8]);
/// assert_eq!(frozen.into_bytes().unwrap(), vec![0; 8_000_000], "as it was");
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pages {
    leaves: Vec<Arc<Leaf>>,
    bytes: usize,
}

impl Pages {
    /// So many bytes, all zero; all pages are one until they are written to.
    #[must_use]
    pub fn zeroed(bytes: usize) -> Self {
        let page = Arc::new([0; PAGE_BYTES]);
        let leaf = |bytes: usize| Arc::new(vec![Arc::clone(&page); bytes.div_ceil(PAGE_BYTES)]);
        let mut leaves = vec![leaf(LEAF_BYTES); bytes / LEAF_BYTES];
        if !bytes.is_multiple_of(LEAF_BYTES) {
            leaves.push(leaf(bytes % LEAF_BYTES));
        }
        Self { leaves, bytes }
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Copies the bytes from `at` on into `bytes`.
    ///
    /// # Panics
    /// There are not as many.
    pub fn read(&self, at: usize, bytes: &mut [u8]) {
        self.check(at, bytes.len());
        for (leaf, page, within, range) in steps(at, bytes.len()) {
            let length = range.len();
            bytes[range].copy_from_slice(&self.leaves[leaf][page][within..within + length]);
        }
    }

    /// Replaces the bytes from `at` on by `bytes`.
    ///
    /// # Panics
    /// There are not as many.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        self.check(at, bytes.len());
        for (leaf, page, within, range) in steps(at, bytes.len()) {
            let page = Arc::make_mut(&mut Arc::make_mut(&mut self.leaves[leaf])[page]);
            page[within..within + range.len()].copy_from_slice(&bytes[range]);
        }
    }

    fn check(&self, at: usize, length: usize) {
        let (end, bytes) = (at.checked_add(length), self.bytes);
        assert!(end.is_some_and(|end| end <= bytes), "{length} bytes at {at} of {bytes}");
    }

    /// The bytes as they are now, to be written later.
    #[must_use]
    pub fn freeze(&self) -> Frozen {
        let Self { leaves, bytes } = self.clone();
        let leaves = leaves.into_iter();
        Frozen::new(
            bytes as u64,
            FrozenPages { leaves, pages: Leaf::new().into_iter(), left: bytes },
        )
    }
}

impl From<&[u8]> for Pages {
    fn from(bytes: &[u8]) -> Self {
        let page = |bytes: &[u8]| {
            let mut page = [0; PAGE_BYTES];
            page[..bytes.len()].copy_from_slice(bytes);
            Arc::new(page)
        };
        let leaf = |bytes: &[u8]| Arc::new(bytes.chunks(PAGE_BYTES).map(page).collect());
        Self { leaves: bytes.chunks(LEAF_BYTES).map(leaf).collect(), bytes: bytes.len() }
    }
}

/// The pieces that `length` bytes at `at` lie in: of which leaf, of which page of it, from where
/// on, and which of the bytes.
fn steps(
    at: usize,
    length: usize,
) -> impl Iterator<Item = (usize, usize, usize, core::ops::Range<usize>)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        if done == length {
            return None;
        }
        let (here, begin) = (at + done, done);
        let within = here % PAGE_BYTES;
        done += (PAGE_BYTES - within).min(length - done);
        Some((here / LEAF_BYTES, here % LEAF_BYTES / PAGE_BYTES, within, begin..done))
    })
}

/// Pages of a clone, each of which is let go of when the next is asked for: what is written is not
/// copied for a change any more.
struct FrozenPages {
    leaves: vec::IntoIter<Arc<Leaf>>,
    pages: vec::IntoIter<Arc<Page>>,
    left: usize,
}

/// One of them, the last one perhaps in part.
struct FrozenPage(Arc<Page>, usize);

impl AsRef<[u8]> for FrozenPage {
    fn as_ref(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

impl Iterator for FrozenPages {
    type Item = FrozenPage;

    fn next(&mut self) -> Option<FrozenPage> {
        if self.pages.as_slice().is_empty() {
            let mut leaf = self.leaves.next()?;
            self.pages = match Arc::get_mut(&mut leaf) {
                Some(pages) => mem::take(pages).into_iter(),
                None => Vec::clone(&leaf).into_iter(),
            };
        }
        let page = self.pages.next()?;
        let bytes = self.left.min(PAGE_BYTES);
        self.left -= bytes;
        Some(FrozenPage(page, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (at / 7) as u8).collect()
    }

    #[test]
    fn what_was_written_is_read_wherever_pages_begin() {
        let mut flat = numbered(LEAF_BYTES + 10_000);
        let mut pages = Pages::from(flat.as_slice());
        for (at, length) in [(0, 8), (1_020, 5_000), (LEAF_BYTES - 3, 6), (LEAF_BYTES + 9_999, 1)] {
            let bytes = vec![0xee; length];
            pages.write(at, &bytes);
            flat[at..at + length].copy_from_slice(&bytes);
        }
        let mut read = vec![0; flat.len()];
        pages.read(0, &mut read);
        assert_eq!(read, flat);
        assert_eq!(pages.freeze().into_bytes().unwrap(), flat);
        assert_eq!(Pages::zeroed(5_000).freeze().into_bytes().unwrap(), vec![0; 5_000]);
        assert_eq!(Pages::zeroed(0), Pages::from([].as_slice()));
        assert!(Pages::zeroed(0).is_empty());
    }

    #[test]
    fn a_clone_stays_as_it_was_and_shares_the_rest() {
        let flat = numbered(2 * LEAF_BYTES);
        let mut pages = Pages::from(flat.as_slice());
        let frozen = pages.freeze();
        let before: Vec<*const Leaf> = pages.leaves.iter().map(Arc::as_ptr).collect();
        pages.write(LEAF_BYTES + 5, b"changed");
        assert_eq!(Arc::as_ptr(&pages.leaves[0]), before[0], "nothing of it changed");
        assert_ne!(Arc::as_ptr(&pages.leaves[1]), before[1]);
        let copied = pages.leaves[1].iter().filter(|page| Arc::strong_count(page) == 1).count();
        assert_eq!(copied, 1, "one page is its own, the others are shared");
        assert_eq!(frozen.into_bytes().unwrap(), flat);
        let shared = pages.leaves.iter().flat_map(|leaf| leaf.iter()).map(Arc::strong_count);
        assert_eq!(shared.max(), Some(1), "what was written is let go of");
    }

    #[test]
    #[should_panic(expected = "2 bytes at 9 of 10")]
    fn nothing_is_written_behind_the_end() {
        Pages::zeroed(10).write(9, &[1, 2]);
    }
}
