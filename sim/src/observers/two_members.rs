//! S39: of two members nothing is committed that is not held by both (E69).

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

pub(super) struct TwoMembers;

impl Observer for TwoMembers {
    fn ids(&self) -> &'static [&'static str] {
        &["S39"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::COMMIT_CHANGED
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        _observed: Observed<'_>,
        violations: &mut Violations,
    ) {
        let commit = scene.view.commit;
        let [one, two] = scene.disks else { return };
        if commit <= scene.before.commit.max(ghost.chosen_end()) {
            return;
        }
        let Some(chain) = ghost.chain_at(commit, scene.history) else { return };
        if !one.holds_durably(commit, chain) || !two.holds_durably(commit, chain) {
            let (one, two) = (one.durable_end(), two.durable_end());
            let text = format!(
                "member {} of two commits {commit}; the disks keep {one} and {two}",
                scene.member
            );
            violations.add("S39", text);
        }
    }
}
