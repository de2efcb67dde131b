//! S9: a new leader holds all that was chosen.

use quorate_core::Role;

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

pub(super) struct Completeness;

impl Observer for Completeness {
    fn ids(&self) -> &'static [&'static str] {
        &["S9"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::TERM_CHANGED
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let Observed::Stepped { .. } = *observed else { return };
        if scene.view.role != Role::Leader || scene.before.role == Role::Leader {
            return;
        }
        // A candidate may win a term that is over already: what later terms chose is not its duty.
        let Some(chosen) = ghost.last_chosen_before(scene.view.term) else { return };
        let ours = ghost.chain_at(chosen.end, scene.history);
        if scene.view.verified < chosen.end || ours != Some(chosen.chain) {
            let text = format!(
                "leader {} of term {} holds {} and {ours:?}, and {chosen:?} is chosen",
                scene.member, scene.view.term, scene.view.verified
            );
            violations.add("S9", text);
        }
    }
}
