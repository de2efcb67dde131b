//! S8: when a leader commits, a quorum of disks has those bytes for certain, and they are of its
//! own term. In a volatile group a quorum has them in memory, and what is safe is on a quorum of
//! disks.

use quorate_core::{Position, Role};

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};
use crate::disk::SimDisk;

pub(super) struct BackedCommit;

impl Observer for BackedCommit {
    fn ids(&self) -> &'static [&'static str] {
        &["S8"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::COMMIT_CHANGED
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let Observed::Stepped { .. } = *observed else { return };
        Self::look_at_safe(scene, ghost, violations);
        let commit = scene.view.commit;
        // What was chosen before is backed already, and a new leader may hear of it again.
        if scene.view.role != Role::Leader
            || commit <= scene.before.commit
            || commit <= ghost.chosen_end()
        {
            return;
        }
        let term = scene.history.term_before(commit);
        if term != scene.view.term && commit > Position::ZERO {
            let text = format!(
                "leader {} of term {} commits {commit} of term {term}",
                scene.member, scene.view.term
            );
            violations.add("S8", text);
        }
        let Some(chain) = ghost.chain_at(commit, scene.history) else {
            return violations.add("S8", format!("no disk ever had a frame that ends at {commit}"));
        };
        let (is_volatile, sort) = match scene.rules.is_volatile {
            true => (true, "written"),
            false => (false, "durable"),
        };
        // Who runs and is not impaired has it now; who is down, or knows that it may have lost
        // something, had it when it said so.
        let has_now =
            |disk: &SimDisk| disk.frame_ending_at(commit).is_some_and(|frame| frame.chain == chain);
        let backs = |&(disk, counts): &(&SimDisk, bool)| match (is_volatile, counts) {
            (true, true) => has_now(disk),
            (true, false) => disk.holds_or_held_in_memory(commit, chain),
            (false, _) => disk.holds_or_held(commit, chain),
        };
        if !scene.is_quorum(backs) {
            let copies = scene.disks.with_standing().filter(backs).count();
            let text = format!(
                "leader {} commits {commit} with {copies} {sort} copies of {}",
                scene.member,
                scene.disks.count()
            );
            violations.add("S8", text);
        }
    }
}

impl BackedCommit {
    /// What a leader of a volatile group calls safe.
    fn look_at_safe(scene: &Scene<'_>, ghost: &Ghost, violations: &mut Violations) {
        let (safe, leads) = (scene.view.safe, scene.view.role == Role::Leader);
        if !scene.rules.is_volatile || !leads || safe <= scene.before.safe {
            return;
        }
        let Some(chain) = ghost.chain_at(safe, scene.history) else {
            return violations.add("S8", format!("no disk ever had a frame that ends at {safe}"));
        };
        let backs = |(disk, _): &(&SimDisk, bool)| disk.holds_durably(safe, chain);
        if !scene.is_quorum(backs) {
            let copies = scene.disks.with_standing().filter(backs).count();
            let text = format!(
                "leader {} calls {safe} safe with {copies} durable copies of {}",
                scene.member,
                scene.disks.count()
            );
            violations.add("S8", text);
        }
    }
}
