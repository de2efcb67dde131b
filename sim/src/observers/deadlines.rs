//! E105: after a timer was served the next deadline lies ahead, or it moves on soon.

use std::collections::BTreeMap;

use quorate_core::{Event, Instant, MemberId};

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

/// Timers in a row that may leave the deadline where it was: several are served one by one.
const IDLE_TIMERS_MAX: u32 = 64;

#[derive(Default)]
pub(super) struct Deadlines {
    members: BTreeMap<MemberId, Waking>,
}

#[derive(Default)]
struct Waking {
    /// What the clock shows, while a timer is served.
    timer_at: Option<Instant>,
    idle: u32,
}

impl Observer for Deadlines {
    fn ids(&self) -> &'static [&'static str] {
        &["E105"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::STEPPING).and(Kinds::STEPPED)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: Observed<'_>,
        violations: &mut Violations,
    ) {
        let waking = self.members.entry(scene.member).or_default();
        match observed {
            Observed::Started => *waking = Waking::default(),
            Observed::Stepping { local, event } => {
                waking.timer_at = matches!(event, Event::Timer).then_some(local);
            }
            Observed::Stepped { .. } => {
                let (Some(local), Some(core)) = (waking.timer_at, scene.core) else { return };
                let next = core.next_timer();
                let stays = next.is_some_and(|(at, _)| at <= local);
                waking.idle = if stays { waking.idle + 1 } else { 0 };
                if waking.idle > IDLE_TIMERS_MAX {
                    let text =
                        format!("the deadline of {} does not move on: {next:?}", scene.member);
                    violations.add("E105", text);
                }
            }
            _ => {}
        }
    }
}
