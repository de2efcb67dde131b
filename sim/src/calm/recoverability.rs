//! L13: whether the disks show that the core could not have come to rest.

use quorate_core::Position;

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
        let is_left_behind = |node: &&usize| self.is_left_behind(**node);
        if self.core.iter().any(|node| is_left_behind(&node)) {
            return Some("a member lacks what all others have purged");
        }
        None
    }

    /// Whether what comes next at a member of the core is purged wherever it was.
    fn is_left_behind(&self, node: usize) -> bool {
        let next = self.nodes[node].view.received;
        let views = self.core.iter().map(|other| &self.nodes[*other].view);
        let mut ahead = views.filter(|view| view.verified > next).peekable();
        ahead.peek().is_some() && ahead.all(|view| view.origin > next)
    }

    /// Of `nodes` those that have all that was committed, or find what they lack of it with another
    /// of them; all of them where nobody has it.
    pub(super) fn within_reach(&self, nodes: Vec<usize>) -> Vec<usize> {
        let chosen = self.watch.chosen_end();
        let has_all = |node: &usize| {
            let disk = &self.nodes[*node].disk;
            chosen == Position::ZERO || disk.frame_ending_at(chosen).is_some()
        };
        let (mut reached, mut left): (Vec<_>, Vec<_>) =
            nodes.iter().partition(|node| has_all(node));
        if reached.is_empty() {
            return nodes;
        }
        loop {
            let reaches = |node: &usize| reached.iter().any(|other| self.reaches(*node, *other));
            let (more, others): (Vec<_>, Vec<_>) = left.into_iter().partition(reaches);
            if more.is_empty() {
                reached.sort_unstable();
                return reached;
            }
            (left, reached) = (others, [reached, more].concat());
        }
    }

    /// Whether the log at `node`, as far as the one at `other` has the same, ends where that one
    /// is not purged.
    fn reaches(&self, node: usize, other: usize) -> bool {
        let (own, others) = (&self.nodes[node].disk, &self.nodes[other].disk);
        let pairs = own.frames().iter().zip(others.frames());
        let same = pairs.take_while(|(one, two)| one == two).last();
        let end = same.map_or(Position::ZERO, |(frame, _)| frame.end);
        others.origin().position <= end
    }
}
