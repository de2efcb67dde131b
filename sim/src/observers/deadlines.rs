//! E105: after a timer was served the next deadline lies ahead, or it moves on soon.

use super::rising::ByMember;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

/// Timers in a row that may leave the deadline where it was: several are served one by one.
const IDLE_TIMERS_MAX: u32 = 64 - LOOKS_ONE_IN;
/// Within how long, in nanoseconds, that is a loop that eats a processor. Whoever tries again each
/// second to append to a full disk, and flushes then, wakes as often only in a minute (seed 904 of
/// volatile worlds).
const IDLE_SPAN: u64 = IDLE_TIMERS_MAX as u64 * 1_000_000;
/// The deadline is looked at after one timer in so many, and after each once it was found idle:
/// 64 in a row are always seen.
const LOOKS_ONE_IN: u32 = 8;

#[derive(Default)]
pub(super) struct Deadlines {
    members: ByMember<Waking>,
}

#[derive(Default)]
struct Waking {
    /// Timers that were served.
    served: u32,
    idle: u32,
    /// When the first of the idle ones was.
    since: u64,
}

impl Observer for Deadlines {
    fn ids(&self) -> &'static [&'static str] {
        &["E105"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::SERVED_TIMER)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let waking = self.members.entry(scene.member);
        match *observed {
            Observed::Started => *waking = Waking::default(),
            Observed::ServedTimer { local } => {
                waking.served = waking.served.wrapping_add(1);
                if waking.idle == 0 && !waking.served.is_multiple_of(LOOKS_ONE_IN) {
                    return;
                }
                let next = scene.core.and_then(|core| core.next_timer());
                let stays = next.is_some_and(|(at, _)| at <= local);
                let is_loop = scene.now.saturating_sub(waking.since) <= IDLE_SPAN;
                waking.idle = match (stays, waking.idle) {
                    (true, idle @ 1..) if is_loop => idle + 1,
                    (stays, _) => u32::from(stays),
                };
                if waking.idle == 1 {
                    waking.since = scene.now;
                }
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
