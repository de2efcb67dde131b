//! L13: whether the disks show that the core could not have come to rest.

use crate::world::World;

impl World {
    /// Why nobody can blame the members for what was found in calm, if so; from the true state of
    /// the disks, and from nothing that a member believes.
    pub(super) fn excuse(&self) -> Option<&'static str> {
        let sound = self.core.iter().filter(|node| self.nodes[**node].disk.is_sound());
        if sound.clone().count() < self.nodes.len() / 2 + 1 {
            return Some("fewer than a quorum of sound disks");
        }
        let full = sound.clone().filter(|node| self.nodes[**node].disk.is_of_a_full_member());
        if full.count() < self.nodes.len() / 2 + 1 {
            return Some("fewer than a quorum of members that count");
        }
        // Reading from a disk needs whole frames up to the end of what was committed.
        let chosen = self.watch.chosen_end();
        let holds = |node: &usize| self.nodes[*node].disk.verifies_to() >= chosen.0;
        if !sound.copied().any(|node| holds(&node)) {
            return Some("no copy of all that was committed");
        }
        None
    }
}
