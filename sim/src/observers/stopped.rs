//! S34: stopped means stopped. Of the event that stops a member only notices and the reason go out,
//! and of later ones nothing. Also as an experiment, for nothing in a sound world stops a member.

use quorate_core::{Action, Actions, Event, Instant};

use super::experiment::{feed, is_a_stop, is_due, steps_for};
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

pub(super) struct Stopped {
    /// Once in so many steps.
    one_in: u64,
}

impl Default for Stopped {
    fn default() -> Self {
        Self { one_in: 8_192 }
    }
}

impl Stopped {
    #[cfg(test)]
    pub(super) const fn eager() -> Self {
        Self { one_in: 1 }
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

/// What a member does that stopped in this step or before, if it is not nothing.
fn follows_a_stop(scene: &Scene<'_>, actions: &Actions) -> Option<String> {
    if scene.before.fail_stop.is_some() {
        let first = actions.iter().next()?;
        return Some(format!("has stopped, and does {first:?}"));
    }
    let mut rest = actions.iter().skip_while(|action| !matches!(action, Action::FailStop(_)));
    let (stop, next) = (rest.next()?, rest.next()?);
    Some(format!("says {stop:?}, and then does {next:?}"))
}

impl Observer for Stopped {
    fn ids(&self) -> &'static [&'static str] {
        &["S34"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::STOPPED.and(Kinds::FAIL_STOPS).and(steps_for(self.one_in))
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Stepped { actions } => {
                if let Some(problem) = follows_a_stop(scene, actions) {
                    violations.add("S34", format!("member {} {problem}", scene.member));
                }
            }
            Observed::Acting(action) if scene.view.fail_stop.is_none() => {
                let text = format!("member {} says {action:?}, and goes on", scene.member);
                violations.add("S34", text);
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
