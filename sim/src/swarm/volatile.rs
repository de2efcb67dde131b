//! Worlds in which what is committed may be in memory only (rule 12).
//!
//! The fault budget of such a world: never more members are down or impaired at a time than leave
//! so many unimpaired ones that one of them is in every quorum. Beyond that the group cannot know
//! what it had committed, and stands still (rule 5); so it does here, and nothing could be shown.

use quorate_core::{Durability, Duration};

use super::{FaultClass as C, FaultClasses, MILLI, Swarm};
use crate::dice::Dice;

/// Faults that take from no disk what was synced, and let no process stop by itself.
const CLASSES: &[C] = &[
    C::Loss,
    C::Burst,
    C::Filter,
    C::Duplicate,
    C::Replay,
    C::Reorder,
    C::Delay,
    C::Clog,
    C::Isolate,
    C::Split,
    C::OneWay,
    C::QuorumLoss,
    C::Constrained,
    C::Flap,
    C::PathCut,
    C::Kill,
    C::Midway,
    C::Pause,
    C::SlowProcess,
    C::PowerCut,
    C::TornSector,
    C::DiskFull,
    C::DiskStall,
    C::SlowDisk,
    C::LateTimer,
    C::Transfer,
    C::Depose,
    C::Laggard,
    C::ClientCrash,
    C::OddSizes,
];

impl Swarm {
    /// Makes the group volatile, and keeps to faults that it bears.
    pub(super) fn make_volatile(&mut self, seed: u64) {
        let mut dice = Dice::new(seed, "volatile");
        let interval = dice.pick(&[5, 50, 300, 1_000]) * MILLI;
        self.durability = Durability::Volatile { checkpoint_interval: Duration(interval) };
        self.keep_to_what_disks_bear(&mut dice);
        self.members = self.members.max(2);
    }

    /// A half of the faults that take from no disk what was synced.
    pub(super) fn keep_to_what_disks_bear(&mut self, dice: &mut Dice) {
        let half = CLASSES.iter().copied().filter(|_| dice.below(2) == 0);
        let half: FaultClasses = half.chain([C::Kill, C::PowerCut]).collect();
        self.faults.classes = half;
        self.faults.order = Vec::new();
        self.faults.interval = self.faults.interval.min(150 * MILLI);
    }

    /// How many members may be down or impaired at a time; `None` if as many as there are.
    pub(crate) fn doubtful_max(&self) -> Option<usize> {
        // One less than a quorum leaves one unimpaired in each.
        self.durability.is_volatile().then_some(self.members / 2)
    }
}
