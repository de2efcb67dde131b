//! S34: stopped means stopped. Of the event that stops a member only notices and the reason go out,
//! and of later ones nothing. Also as an experiment, for nothing in a sound world stops a member.

use std::collections::BTreeSet;

use quorate_core::{Action, Event, Instant, MemberId};

use super::experiment::{feed, is_a_stop, is_due};
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

pub(super) struct Stopped {
    stopped: BTreeSet<MemberId>,
    /// Once in so many steps.
    one_in: u64,
}

impl Default for Stopped {
    fn default() -> Self {
        Self { stopped: BTreeSet::new(), one_in: 8_192 }
    }
}

impl Stopped {
    #[cfg(test)]
    pub(super) const fn eager() -> Self {
        Self { stopped: BTreeSet::new(), one_in: 1 }
    }

    /// What a member does whose storage fails just before `event`.
    fn examine(scene: &Scene<'_>, local: Instant, event: &Event<'_>) -> Result<(), String> {
        let Some(core) = scene.core else { return Ok(()) };
        let mut member = core.clone();
        let last = feed(&mut member, local, &Event::StorageFailed);
        if !is_a_stop(&last) {
            return Err(format!("stops with {last:?}"));
        }
        let inert = member.view();
        let later = Instant(local.0.saturating_add(1_000_000_000));
        for event in [event, &Event::Timer, &Event::Flush, &Event::Shutdown] {
            let actions = feed(&mut member, later, event);
            if !actions.is_empty() {
                return Err(format!("does {actions:?} after it stopped"));
            }
        }
        if member.next_deadline().is_some() || member.view() != inert {
            return Err("goes on after it stopped".to_owned());
        }
        Ok(())
    }
}

impl Observer for Stopped {
    fn ids(&self) -> &'static [&'static str] {
        &["S34"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::STEPPING).and(Kinds::ACTING)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: Observed<'_>,
        violations: &mut Violations,
    ) {
        match observed {
            Observed::Started | Observed::Crashed => {
                self.stopped.remove(&scene.member);
            }
            Observed::Acting(action) => {
                if self.stopped.contains(&scene.member) {
                    let text = format!("member {} has stopped, and does {action:?}", scene.member);
                    violations.add("S34", text);
                } else if let Action::FailStop(_) = action {
                    self.stopped.insert(scene.member);
                }
            }
            Observed::Stepping { local, event }
                if scene.view.fail_stop.is_none() && is_due(scene, 34, self.one_in) =>
            {
                if let Err(problem) = Self::examine(scene, local, event) {
                    violations.add("S34", format!("member {} {problem}", scene.member));
                }
            }
            _ => {}
        }
    }
}
