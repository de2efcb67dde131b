//! S18: every queue and table keeps to its named limit, and so do the actions of one event and what
//! a leader that serves lets grow (E91, E109, E114, E115).

use quorate_core::Role;

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

/// Queues are looked at once in so many steps.
const LOOKS_ONE_IN: u32 = 32;

#[derive(Default)]
pub(super) struct Bounds {
    steps: u32,
}

impl Bounds {
    fn check_growth(scene: &Scene<'_>) -> Option<String> {
        let (before, view, limits) = (scene.before, scene.view, &scene.rules.limits);
        let serves = view.role == Role::Leader
            && before.serving
            && view.serving
            && before.term == view.term
            && view.verified > before.verified;
        if !serves {
            return None;
        }
        let uncommitted = view.verified.since(view.commit);
        let unapplied = view.verified.since(view.applied);
        if uncommitted > limits.uncommitted_bytes_max {
            return Some(format!("{uncommitted} bytes are not committed"));
        }
        (unapplied > limits.unapplied_bytes_max)
            .then(|| format!("{unapplied} bytes are not applied"))
    }
}

impl Observer for Bounds {
    fn ids(&self) -> &'static [&'static str] {
        &["S18"]
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
        let Observed::Stepped { actions } = *observed else { return };
        let member = scene.member;
        if actions.len() > scene.rules.actions_max {
            let text = format!("member {member} asks for {} actions at once", actions.len());
            violations.add("S18", text);
        }
        if let Some(problem) = Self::check_growth(scene) {
            violations.add("S18", format!("leader {member}: {problem}"));
        }
        self.steps = self.steps.wrapping_add(1);
        if let Some(core) = scene.core.filter(|_| self.steps.is_multiple_of(LOOKS_ONE_IN)) {
            core.usage(|usage| {
                if usage.used > usage.limit {
                    violations.add("S18", format!("member {member}: {usage:?}"));
                }
            });
        }
    }
}
