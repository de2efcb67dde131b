//! Members that lack what all others have purged: only a snapshot of another could bring them back,
//! and members do not send each other any yet. Nobody is to blame for them.

use quorate_core::Position;

use crate::world::World;

impl World {
    /// Whether a member of the core is one.
    pub(super) fn somebody_is_left_behind(&self) -> bool {
        self.core.iter().any(|node| self.is_left_behind(*node))
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
