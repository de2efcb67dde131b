//! A disk without dice: somebody else says what a power failure leaves, for who looks at all that
//! may be left.

use core::hash::{Hash, Hasher};

use quorate_core::OperationId;
use quorate_core::hash::StateHasher;

use super::SimDisk;

impl SimDisk {
    /// The operations under way, in the order in which they were issued.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = OperationId> {
        self.pending.iter().map(|(operation, _)| *operation)
    }

    /// The power fails when of the operations under way those were done whose bit is set in `done`;
    /// nothing else that was not durable is left.
    pub(crate) fn lose_power_when(&mut self, done: u32) {
        let under_way: Vec<OperationId> = self.under_way().collect();
        for (at, operation) in under_way.into_iter().enumerate() {
            match done >> at & 1 {
                1 => drop(self.complete(operation)),
                _ => drop(self.forget(operation)),
            }
        }
        self.image.lose_all_dirty();
    }

    /// A hash of all that a member finds on it, now or after any failure.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = StateHasher::default();
        (self.vote, &self.history, &self.peers, self.boot_epoch).hash(&mut hasher);
        (self.durable_end, self.marked, self.mark).hash(&mut hasher);
        self.image.parts().hash(&mut hasher);
        for frame in &self.frames {
            (frame.end, frame.term, frame.chain).hash(&mut hasher);
        }
        for (operation, work) in &self.pending {
            (operation, format!("{work:?}")).hash(&mut hasher);
        }
        hasher.finish()
    }
}
