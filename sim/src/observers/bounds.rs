//! S18: a member asks for a bounded number of actions an event.

use super::{Ghost, Observed, Observer, Scene, Violations};

pub(super) struct Bounds;

impl Observer for Bounds {
    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: Observed<'_>,
        violations: &mut Violations,
    ) {
        if let Observed::Stepped { actions } = observed
            && actions > scene.rules.actions_max
        {
            let text = format!("member {} asks for {actions} actions at once", scene.member);
            violations.add("S18", text);
        }
    }
}
