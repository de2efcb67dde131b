//! The observers' place in the world.

use crate::node::Node;
use crate::observers::{Disks, Observed, Observers, Rules, Scene, Violations};

/// The observers with what they are told and what they found.
pub(crate) struct Watch {
    observers: Observers,
    pub(crate) violations: Violations,
    pub(crate) rules: Rules,
    is_open: bool,
}

impl Watch {
    pub(crate) fn new(rules: Rules) -> Self {
        let observers = Observers::default();
        Self { observers, violations: Violations::default(), rules, is_open: true }
    }

    /// From now on nobody looks.
    pub(crate) fn close_eyes(&mut self) {
        self.observers = Observers::none();
        self.is_open = false;
    }

    /// Whether anybody looks: else nothing needs to be worked out that only observers want.
    pub(crate) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Shows the observers what happened to the member at `index`.
    pub(crate) fn show(&mut self, nodes: &[Node], now: u64, index: usize, observed: Observed<'_>) {
        if !self.is_open {
            return;
        }
        let node = &nodes[index];
        let history =
            node.member.as_ref().map_or_else(|| node.disk.history(), |member| member.history());
        let scene = Scene {
            now,
            member: node.id,
            before: &node.before,
            view: &node.view,
            history,
            core: node.member.as_ref(),
            members: node.member.as_ref().map(Into::into),
            disk: &node.disk,
            disks: Disks::of(nodes),
            rules: &self.rules,
        };
        self.observers.observe(&scene, observed, &mut self.violations);
    }

    /// The end of what was ever committed.
    pub(crate) fn chosen_end(&self) -> quorate_core::Position {
        self.observers.ghost().chosen_end()
    }
}
