//! S6: a leader only adds, behind its log, frames of its own term.

use quorate_core::{Action, Role};

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

pub(super) struct AppendOnly;

impl Observer for AppendOnly {
    fn ids(&self) -> &'static [&'static str] {
        &["S6"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LOG_FELL.and(Kinds::APPENDS).and(Kinds::WRITTEN)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let leads = scene.view.role == Role::Leader;
        match *observed {
            Observed::Acting(Action::Append { range }) => {
                let end = scene.disk.written_end();
                if range.start != end {
                    let text = format!(
                        "member {} appends {range} to a log that ends at {end}",
                        scene.member
                    );
                    violations.add("S6", text);
                }
            }
            Observed::Written { frames, .. } if leads => {
                let Some(line) = scene.history.last() else { return };
                for frame in frames {
                    if frame.start >= line.base && frame.term != scene.view.term {
                        let text =
                            format!("leader {} of {} writes {frame:?}", scene.member, line.term);
                        violations.add("S6", text);
                    }
                }
            }
            Observed::Stepped { .. }
                if leads
                    && scene.before.role == Role::Leader
                    && scene.before.term == scene.view.term
                    && scene.view.verified < scene.before.verified =>
            {
                let text = format!(
                    "leader {} falls from {} to {}",
                    scene.member, scene.before.verified, scene.view.verified
                );
                violations.add("S6", text);
            }
            _ => {}
        }
    }
}
