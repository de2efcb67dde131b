//! The state of a service as it was at one position, which is written while the service goes on.

use core::fmt;
use core::mem;
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use crate::host::panicked;
use crate::service::ServiceError;

/// Bytes of a state that was laid out at once which are handed over at a time.
const SLICE_BYTES: usize = 64 << 10;
/// Parts of no byte, one behind the other, that a service may give: shards of a state may be empty,
/// but the parts have to end.
const EMPTY_PARTS_MAX: u32 = 1 << 20;

/// The state of a service as it is at one position of the log: what [`crate::Service::snapshot`]
/// returns at once, and another thread writes bit by bit while the service goes on.
///
/// [`Frozen::laid_out`] is the simple way: it costs the member the time to lay out all of the
/// state, and the memory for it. A service with more state than that allows for clones it cheaply
/// instead, and says with [`Frozen::new`] how the clone is laid out later: see [`crate::Pages`].
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Arc;
///
/// use quorate_driver::Frozen;
///
/// // One `Arc` for each thousand keys, say: the clone copies those, and a change of one part
/// // (`Arc::make_mut`) copies that part once while a clone is there.
/// let parts: Vec<Arc<BTreeMap<u64, u64>>> = vec![Arc::new(BTreeMap::from([(1, 2), (3, 4)]))];
/// let keys: usize = parts.iter().map(|part| part.len()).sum();
/// let lay_out = |part: Arc<BTreeMap<u64, u64>>| -> Vec<u8> {
///     let entries = part.iter().flat_map(|(key, value)| [key.to_le_bytes(), value.to_le_bytes()]);
///     entries.flatten().collect()
/// };
/// let frozen = Frozen::new(16 * keys as u64, parts.clone().into_iter().map(lay_out));
/// assert_eq!(frozen.into_bytes().unwrap().len(), 32);
/// ```
pub struct Frozen {
    bytes: u64,
    handed_over: u64,
    /// Parts of no byte since the last one that had some.
    empty_parts: u32,
    parts: Parts,
    /// Why it is of no use, once that is so.
    failed: Option<ServiceError>,
}

enum Parts {
    LaidOut {
        bytes: Vec<u8>,
        at: usize,
    },
    Later(Box<dyn LaterParts>),
    /// There are no more, and they hold nothing any more.
    Gone,
}

/// What hands over the next part, or says that there is none.
trait LaterParts: Send {
    fn hand_over(&mut self, take: &mut dyn FnMut(&[u8])) -> bool;
}

impl<I> LaterParts for I
where
    I: Iterator + Send,
    I::Item: AsRef<[u8]>,
{
    fn hand_over(&mut self, take: &mut dyn FnMut(&[u8])) -> bool {
        let part = self.next();
        if let Some(part) = &part {
            take(part.as_ref());
        }
        part.is_some()
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, handed_over, .. } = self;
        let mut shown = f.debug_struct("Frozen");
        shown.field("bytes", bytes).field("handed_over", handed_over).finish_non_exhaustive()
    }
}

impl Frozen {
    /// A state of `bytes` bytes, which are those of `parts`, one behind the other: the same bytes
    /// for the same state on every member. Parts are asked for on another thread, each when the
    /// one before is written, and dropped then; they are best between some KiB and some hundred
    /// KiB, for what is written between two pauses is a whole part at least.
    ///
    /// If the parts are not as many bytes as was said, if more than a million of them in a row are
    /// empty, or if they panic, also while they are dropped, no snapshot is stored; the member goes
    /// on.
    #[must_use]
    pub fn new<I>(bytes: u64, parts: I) -> Self
    where
        I: IntoIterator<Item: AsRef<[u8]>, IntoIter: Send + 'static>,
    {
        Self::of(bytes, Parts::Later(Box::new(parts.into_iter())))
    }

    /// A state that is laid out already. What that took the member did nothing else for: about a
    /// second for a GiB, and more where the memory for it is new. A leader that takes longer than
    /// the others' patience, 150 ms unless configured, is replaced.
    #[must_use]
    pub fn laid_out(bytes: Vec<u8>) -> Self {
        let length = bytes.len() as u64;
        Self::of(length, Parts::LaidOut { bytes, at: 0 })
    }

    fn of(bytes: u64, parts: Parts) -> Self {
        Self { bytes, handed_over: 0, empty_parts: 0, parts, failed: None }
    }

    /// Bytes of the state, as it was said.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hands the next part to `take`; whether there was one. When there is none all parts are let
    /// go of, and so are they behind an error.
    ///
    /// # Errors
    /// The parts panicked, are not as many bytes as was said, or are empty without end: the state
    /// is of no use, and each later call says so again.
    pub fn next_part(&mut self, take: impl FnMut(&[u8])) -> Result<bool, ServiceError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut handed = self.hand_over(take).and_then(|part| self.count(part));
        if handed != Ok(true) {
            // A panic of the parts' own end is one of theirs, too.
            let released = self.release();
            handed = handed.and_then(|more| released.map(|()| more));
        }
        self.failed = handed.as_ref().err().cloned();
        handed
    }

    /// How long the next part was, if there was one.
    fn hand_over(&mut self, mut take: impl FnMut(&[u8])) -> Result<Option<u64>, ServiceError> {
        let parts = &mut self.parts;
        let next = || match parts {
            Parts::LaidOut { bytes, at } => {
                let slice = &bytes[*at..bytes.len().min(*at + SLICE_BYTES)];
                *at += slice.len();
                take(slice);
                (!slice.is_empty()).then_some(slice.len() as u64)
            }
            Parts::Later(later) => {
                let mut length = 0;
                let there_was = later.hand_over(&mut |part| {
                    length = part.len() as u64;
                    take(part);
                });
                there_was.then_some(length)
            }
            Parts::Gone => None,
        };
        // Nothing of it is used any more behind a panic.
        catch_unwind(AssertUnwindSafe(next)).map_err(|panic| panicked(panic.as_ref()))
    }

    /// Holds a part against what was said of all; whether there may be more.
    fn count(&mut self, part: Option<u64>) -> Result<bool, ServiceError> {
        self.handed_over += part.unwrap_or(0);
        self.empty_parts = if part == Some(0) { self.empty_parts + 1 } else { 0 };
        let (said, found) = (self.bytes, self.handed_over);
        if self.empty_parts > EMPTY_PARTS_MAX {
            return Err(ServiceError(format!(
                "the service gave more than {EMPTY_PARTS_MAX} empty parts of its state in a row, \
                 behind {found} of {said} bytes"
            )));
        }
        if found > said || (part.is_none() && found < said) {
            let text =
                format!("the service said that its state is {said} bytes, of which it gave ");
            let text = text + &if found > said { "more".into() } else { found.to_string() };
            return Err(ServiceError(text));
        }
        Ok(part.is_some())
    }

    /// Drops the parts, which are code of the service's.
    fn release(&mut self) -> Result<(), ServiceError> {
        let parts = mem::replace(&mut self.parts, Parts::Gone);
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(parts)));
        dropped.map_err(|panic| panicked(panic.as_ref()))
    }

    /// All of the state, in memory.
    ///
    /// # Errors
    /// As [`Frozen::next_part`].
    pub fn into_bytes(mut self) -> Result<Vec<u8>, ServiceError> {
        if let Parts::LaidOut { bytes, at: 0 } = &mut self.parts {
            return Ok(mem::take(bytes));
        }
        let mut all = Vec::new();
        while self.next_part(|part| all.extend_from_slice(part))? {}
        Ok(all)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // It is given up: whoever does that has his own work to go on with.
        if let Err(error) = self.release() {
            tracing::warn!(%error, "a state that was given up could not be dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_state() {
        let parts = vec![vec![1, 2], Vec::new(), vec![3]];
        assert_eq!(Frozen::new(3, parts).into_bytes().unwrap(), [1, 2, 3]);
        let state: Vec<u8> = (0..200_000_u32).map(|at| at as u8).collect();
        let mut frozen = Frozen::laid_out(state.clone());
        let (mut all, mut parts) = (Vec::new(), 0);
        while frozen.next_part(|part| all.extend_from_slice(part)).unwrap() {
            parts += 1;
        }
        assert_eq!((frozen.bytes(), parts), (200_000, 4));
        assert_eq!(all, state);
        assert_eq!(Frozen::laid_out(state.clone()).into_bytes().unwrap(), state);
    }

    #[test]
    fn a_state_that_is_not_what_was_said_is_refused() {
        for said in [2, 4] {
            let error = Frozen::new(said, vec![[1, 2, 3]]).into_bytes().unwrap_err();
            assert!(error.to_string().starts_with("the service said"), "{error}");
        }
        let panics = (0..3).map(|at| match at {
            2 => panic!("a deliberate panic"),
            at => [at as u8],
        });
        let mut frozen = Frozen::new(3, panics);
        assert!(frozen.next_part(|part| assert_eq!(part, [0])).unwrap());
        let error = frozen.into_bytes().unwrap_err();
        assert_eq!(error.to_string(), "the service panicked: a deliberate panic");
    }
    /// Parts whose end panics.
    struct Bomb(core::ops::Range<u8>);

    impl Iterator for Bomb {
        type Item = [u8; 1];

        fn next(&mut self) -> Option<[u8; 1]> {
            self.0.next().map(|byte| [byte])
        }
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a deliberate panic of the end");
        }
    }

    #[test]
    fn a_panic_of_the_end_of_the_parts_is_one_of_the_state_and_goes_no_further() {
        let told = "the service panicked: a deliberate panic of the end";
        let mut frozen = Frozen::new(2, Bomb(0..2));
        assert_eq!((frozen.next_part(|_| {}), frozen.next_part(|_| {})), (Ok(true), Ok(true)));
        for _ in 0..2 {
            assert_eq!(frozen.next_part(|_| {}).unwrap_err().to_string(), told);
        }
        assert_eq!(frozen.into_bytes().unwrap_err().to_string(), told);
        // What is given up before, or was refused, says why that was, if anything.
        drop(Frozen::new(2, Bomb(0..2)));
        let refused = Frozen::new(1, Bomb(0..2)).into_bytes().unwrap_err();
        assert!(refused.to_string().ends_with("of which it gave more"), "{refused}");
    }

    #[test]
    fn empty_parts_have_to_end() {
        let some = core::iter::repeat_n(Vec::new(), EMPTY_PARTS_MAX as usize);
        let parts = some.clone().chain([vec![1]]).chain(some).chain([vec![2]]);
        assert_eq!(Frozen::new(2, parts).into_bytes().unwrap(), [1, 2]);
        let endless = [vec![1]].into_iter().chain(core::iter::repeat(Vec::new()));
        let error = Frozen::new(2, endless).into_bytes().unwrap_err();
        assert!(error.to_string().contains("1048576 empty parts"), "{error}");
        assert!(error.to_string().ends_with("behind 1 of 2 bytes"), "{error}");
    }
}
