//! What a piece of work takes from the heap.

use crate::case::{Failure, Verdict};

/// What was allocated.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Allocated {
    /// How often.
    pub(crate) count: u64,
    /// How much at a time, at most.
    pub(crate) peak_bytes: u64,
    /// How much more is held afterwards than before.
    pub(crate) held_bytes: i64,
}

impl Allocated {
    /// Adds what came later.
    pub(crate) const fn add(&mut self, later: Self) {
        self.count += later.count;
        self.held_bytes += later.held_bytes;
        if later.peak_bytes > self.peak_bytes {
            self.peak_bytes = later.peak_bytes;
        }
    }
}

/// Does the work and counts what it allocates.
#[cfg(feature = "allocations")]
pub(crate) fn measure(work: impl FnOnce()) -> Allocated {
    let found = allocation_counter::measure(work);
    Allocated {
        count: found.count_total,
        peak_bytes: found.bytes_max,
        held_bytes: found.bytes_current,
    }
}

/// Does the work; nothing counts.
#[cfg(not(feature = "allocations"))]
pub(crate) fn measure(work: impl FnOnce()) -> Allocated {
    work();
    Allocated::default()
}

/// Fails as not applicable when nothing counts.
pub(crate) fn are_counted() -> Verdict {
    if cfg!(feature = "allocations") {
        return Ok(());
    }
    Err(Failure::NotApplicable("the suite is built without its feature `allocations`".into()))
}
