//! S13: a leader counts its own disk by the rule that it counts others by (E41).

use quorate_core::Role;

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};
use crate::disk::SimDisk;

pub(super) struct OwnCopy;

impl Observer for OwnCopy {
    fn ids(&self) -> &'static [&'static str] {
        &["S13"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::COMMIT_CHANGED
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        _observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let commit = scene.view.commit;
        if scene.view.role != Role::Leader || commit <= scene.before.commit.max(ghost.chosen_end())
        {
            return;
        }
        let Some(chain) = ghost.chain_at(commit, scene.history) else { return };
        let is_volatile = scene.rules.is_volatile;
        let backs = |disk: &SimDisk| match is_volatile {
            true => disk.holds_or_held_in_memory(commit, chain),
            false => disk.holds_or_held(commit, chain),
        };
        let own = match is_volatile {
            true => scene.disk.frame_ending_at(commit).is_some_and(|frame| frame.chain == chain),
            false => scene.disk.holds_durably(commit, chain),
        };
        if own {
            return;
        }
        let with_itself =
            |(disk, _): &(&SimDisk, bool)| backs(disk) || disk.owner() == Some(scene.member);
        if !scene.is_quorum(|(disk, _)| backs(disk)) && scene.is_quorum(with_itself) {
            let text = format!(
                "leader {} commits {commit} and counts itself; its disk keeps {}",
                scene.member,
                scene.disk.durable_end()
            );
            violations.add("S13", text);
        }
    }
}
