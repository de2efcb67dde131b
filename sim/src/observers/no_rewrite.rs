//! S11: nobody cuts what it knows to be committed, nor what was chosen and it holds.

use quorate_core::Action;

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

pub(super) struct NoRewrite;

impl Observer for NoRewrite {
    fn ids(&self) -> &'static [&'static str] {
        &["S11"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::PERSISTS_HISTORY
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let Observed::Acting(Action::PersistHistory { cut, .. }) = *observed else { return };
        if *cut < scene.view.commit {
            let text = format!("member {} cuts at {cut}, below its commit", scene.member);
            violations.add("S11", text);
        }
        let frames = scene.disk.frames();
        let first_cut = frames.partition_point(|frame| frame.end <= *cut);
        let Some(frame) = frames.get(first_cut) else { return };
        let chosen = ghost.chosen_ending_at(frame.end);
        if chosen.is_some_and(|chosen| chosen.chain == frame.chain) {
            let text = format!("member {} cuts at {cut} the chosen {frame:?}", scene.member);
            violations.add("S11", text);
        }
    }
}
