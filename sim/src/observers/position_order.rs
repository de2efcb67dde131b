//! S10: a member's positions are in order, and commit and applied never fall within a life.

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

pub(super) struct PositionOrder;

impl Observer for PositionOrder {
    fn ids(&self) -> &'static [&'static str] {
        &["S10"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::STEPPED
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let Observed::Stepped { .. } = *observed else { return };
        let (view, before) = (scene.view, scene.before);
        let problem = if view.applied > view.commit {
            "applied is above commit"
        } else if view.snapshot > view.applied {
            "a snapshot is above applied"
        } else if view.commit > view.verified {
            "commit is above verified"
        } else if view.verified > view.received {
            "verified is above received"
        } else if view.durable > view.received {
            "durable is above received"
        } else if view.durable > scene.disk.durable_end() {
            "durable is above what the disk would keep"
        } else if view.applied < before.applied {
            "applied fell"
        } else if view.snapshot < before.snapshot {
            "the newest snapshot fell"
        } else if view.commit < before.commit {
            "commit fell"
        } else {
            return;
        };
        violations.add("S10", format!("member {}: {problem}: {view:?}", scene.member));
    }
}
