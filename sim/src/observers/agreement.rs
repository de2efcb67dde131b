//! S7: whatever any member, in any life, marks committed is what was chosen there first.

use quorate_core::frame::chain_after;
use quorate_core::{Action, Chain, Message, Position};

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

pub(super) struct Agreement;

impl Agreement {
    fn check_commit(scene: &Scene<'_>, ghost: &Ghost) -> Result<(), String> {
        let commit = scene.view.commit;
        let old = commit.min(ghost.chosen_end());
        if old > Position::ZERO {
            let ours = ghost.chain_at(old, scene.history);
            let chosen = ghost.chosen_ending_at(old).map(|chosen| chosen.chain);
            if ours.is_none() || ours != chosen {
                return Err(format!("{ours:?} at {old}, where {chosen:?} was chosen"));
            }
        }
        let mut at = ghost.chosen_end();
        let mut chain = ghost.last_chosen().map_or_else(Chain::default, |chosen| chosen.chain);
        while at < commit {
            let owner = scene.history.owner(at).map(|line| line.term);
            let frame = owner.and_then(|term| ghost.frame_at(at, term));
            let Some(frame) = frame else {
                return Err(format!("nothing that any disk had at {at}"));
            };
            if frame.chain != chain_after(chain, frame.term, at, frame.checksum) {
                return Err(format!("a frame at {at} that does not follow what was chosen"));
            }
            (at, chain) = (frame.end, frame.chain);
        }
        if at > commit.max(ghost.chosen_end()) {
            return Err(format!("half of a frame that ends at {at}"));
        }
        Ok(())
    }
}

impl Observer for Agreement {
    fn ids(&self) -> &'static [&'static str] {
        &["S7"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::COMMIT_CHANGED.and(Kinds::SENDS_HEARTBEAT)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Stepped { .. } if scene.view.commit != scene.before.commit => {
                if let Err(problem) = Self::check_commit(scene, ghost) {
                    let commit = scene.view.commit;
                    let text = format!("member {} commits {commit}: {problem}", scene.member);
                    violations.add("S7", text);
                }
            }
            Observed::Acting(Action::Send {
                message: Message::Heartbeat { commit, .. }, ..
            }) if *commit > ghost.chosen_end() => {
                let text = format!("member {} announces commit {commit}", scene.member);
                violations.add("S7", text);
            }
            _ => {}
        }
    }
}
