//! Worlds in which an operator adds, promotes, demotes and removes members at random.

use super::{MILLI, Swarm};
use crate::dice::Dice;

/// Machines of such a world, at most.
const MACHINES_MAX: u64 = 7;

impl Swarm {
    /// How many machines the group is formed with.
    #[must_use]
    pub(crate) const fn formed(&self) -> usize {
        match self.membership.formed {
            0 => self.members,
            formed => formed,
        }
    }

    /// Whether members come and go.
    #[must_use]
    pub(crate) const fn members_change(&self) -> bool {
        self.membership.interval > 0
    }

    /// Has the members change, under faults that leave what was synced on the disks: how many of
    /// them may be lost for good depends on who is a member then.
    pub(super) fn change_members(&mut self, seed: u64) {
        let mut dice = Dice::new(seed, "membership");
        self.keep_to_what_disks_bear(&mut dice);
        self.members = dice.between(3, MACHINES_MAX) as usize;
        self.membership.formed = dice.between(1, self.members as u64 - 1).min(5) as usize;
        self.membership.interval = dice.pick(&[20, 60, 200]) * MILLI;
        self.faults.time_min = self.faults.time_min.max(2_000 * MILLI);
    }
}
