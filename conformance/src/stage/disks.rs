//! What a script does to the speed of a disk.

use super::Stage;

impl Stage<'_> {
    /// From now on each operation of a member's disk takes so many times as long as usual.
    pub fn slow_disk(&mut self, member: u16, times: u64) {
        self.say(format!("the disk of member {member} is {times} times as slow as usual"));
        let index = self.index(member);
        self.machines[index].disk_factor = times.max(1);
    }
}
