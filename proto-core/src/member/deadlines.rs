//! When which client's connection is to be looked at.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;
use core::hash::{Hash, Hasher};

use crate::identity::ClientKey;
use crate::time::Instant;

/// Entries beyond twice the connections after which the outdated ones are thrown out.
const OUTDATED_MAX: usize = 64;

/// Deadlines by rising time. One that a connection has replaced stays until its time or until there
/// are too many: at worst a timer is served for nothing. It holds its memory, so that a busy leader
/// allocates nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, ClientKey)>>,
}

/// Which deadlines hold, the connections themselves say.
impl Hash for Deadlines {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Deadlines {
    /// Adds one. `holds` tells of an entry whether its connection still has that deadline.
    pub(super) fn add(
        &mut self,
        at: Instant,
        client: ClientKey,
        connections: usize,
        holds: impl Fn(Instant, ClientKey) -> bool,
    ) {
        if self.heap.len() >= 2 * connections + OUTDATED_MAX {
            self.heap.retain(|&Reverse((at, client))| holds(at, client));
        }
        self.heap.push(Reverse((at, client)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The earliest.
    pub(super) fn first(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out one that has passed at `now`.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Instant, ClientKey)> {
        if self.first()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_by_time_and_outdated_ones_do_not_pile_up() {
        let mut deadlines = Deadlines::default();
        for at in 0..10_000 {
            deadlines.add(Instant(at), ClientKey(at % 3), 3, |old, _| old.0 + 3 >= at);
            assert!(deadlines.heap.len() <= 2 * 3 + OUTDATED_MAX);
        }
        let mut last = Instant(0);
        while let Some((at, _)) = deadlines.pop_due(Instant(9_998)) {
            assert!(at >= last);
            last = at;
        }
        assert_eq!(deadlines.first(), Some(Instant(9_999)));
    }
}
