//! S39: of two members nothing is committed that is not held by both (E69).

use quorate_core::Position;

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};
use crate::disk::SimDisk;

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
        _observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let commit = scene.view.commit;
        let is_of_two = scene.members.map_or_else(
            || scene.disks.count() == 2,
            |members| members.position == Position::ZERO && members.membership.records().len() == 2,
        );
        if !is_of_two || commit <= scene.before.commit.max(ghost.chosen_end()) {
            return;
        }
        let Some(chain) = ghost.chain_at(commit, scene.history) else { return };
        let backs = |disk: &SimDisk| match scene.rules.is_volatile {
            true => disk.holds_or_held_in_memory(commit, chain),
            false => disk.holds_or_held(commit, chain),
        };
        if scene.disks.iter().filter(|disk| backs(disk)).count() < 2 {
            let kept: Vec<_> = scene.disks.iter().map(SimDisk::durable_end).collect();
            let text =
                format!("member {} of two commits {commit}; the disks keep {kept:?}", scene.member);
            violations.add("S39", text);
        }
    }
}
