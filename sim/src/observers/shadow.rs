//! S35: a second member that is fed the same events asks for the same actions, with the same bytes,
//! and comes to the same state (E118). For some lives, and for their first steps.

use quorate_core::hash::mix;
use quorate_core::{Action, Actions, Member, MemberId};

use super::experiment::{digest, is_small};
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

/// One life in so many has a shadow.
const ONE_IN: u64 = 64;
/// Steps for which it is followed.
const STEPS_MAX: u32 = 256;

pub(super) struct Shadow {
    followed: Option<Followed>,
    one_in: u64,
}

struct Followed {
    id: MemberId,
    member: Box<Member>,
    actions: Actions,
    steps: u32,
}

impl Default for Shadow {
    fn default() -> Self {
        Self { followed: None, one_in: ONE_IN }
    }
}

impl Shadow {
    #[cfg(test)]
    pub(super) const fn eager() -> Self {
        Self { followed: None, one_in: 1 }
    }

    fn compare(&mut self, scene: &Scene<'_>, actions: &Actions, violations: &mut Violations) {
        let (Some(followed), Some(core)) = (&mut self.followed, scene.core) else { return };
        followed.steps += 1;
        let theirs: Vec<Action> = followed.actions.drain().collect();
        // The whole state is compared at the end, where that is cheap.
        let is_compared = followed.steps == STEPS_MAX && is_small(scene);
        let differs = if theirs.len() != actions.len() || followed.member.view() != *scene.view {
            Some("actions or view")
        } else if followed.member.next_deadline() != core.next_deadline() {
            Some("next deadline")
        } else if digest(&followed.member, theirs.iter().cloned()) != digest(core, actions.iter()) {
            Some("actions or their bytes")
        } else if is_compared && followed.member.state_hash() != core.state_hash() {
            Some("state")
        } else {
            None
        };
        if let Some(what) = differs {
            let text = format!(
                "the same events gave other {what}: member {} {:?}, another like it {theirs:?}",
                scene.member,
                actions.iter().collect::<Vec<_>>()
            );
            violations.add("S35", text);
        }
        if followed.steps >= STEPS_MAX {
            self.followed = None;
        }
    }
}

impl Observer for Shadow {
    fn ids(&self) -> &'static [&'static str] {
        &["S35"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::STEPPING).and(Kinds::STEPPED)
    }

    fn rests(&self) -> bool {
        self.followed.is_none()
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let is_followed = self.followed.as_ref().is_some_and(|known| known.id == scene.member);
        match *observed {
            Observed::Crashed if is_followed => self.followed = None,
            Observed::Started if self.followed.is_none() => {
                let (Some(core), life) = (scene.core, scene.view.life) else { return };
                let draw = mix(mix(scene.now, u64::from(scene.member.0)), life.boot_epoch.0);
                if draw.is_multiple_of(self.one_in) {
                    let member = Box::new(core.clone());
                    let (id, actions) = (scene.member, Actions::new());
                    self.followed = Some(Followed { id, member, actions, steps: 0 });
                }
            }
            Observed::Stepping { local, event } if is_followed => {
                if let Some(followed) = &mut self.followed {
                    followed.member.step(local, event.clone(), &mut followed.actions);
                }
            }
            Observed::Stepped { actions } if is_followed => {
                self.compare(scene, actions, violations);
            }
            _ => {}
        }
    }
}
