//! S5: frames of one term at one position are the same frame, with the same log before it.

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

pub(super) struct LogMatching;

impl Observer for LogMatching {
    fn ids(&self) -> &'static [&'static str] {
        &["S5"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::WRITTEN
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let Observed::Written { frames, .. } = *observed else { return };
        for frame in frames {
            let first = ghost.frame_at(frame.start, frame.term);
            if let Some(first) = first.filter(|first| *first != frame) {
                let text = format!(
                    "member {} wrote {frame:?} where another wrote {first:?}",
                    scene.member
                );
                violations.add("S5", text);
            }
        }
    }
}
