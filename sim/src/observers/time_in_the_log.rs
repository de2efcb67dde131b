//! S25: log time never falls and is the same on all members; a timer fires once for each time that
//! it was scheduled, and not before its deadline. L8: in the calm, timers that are due are fired.

use std::collections::BTreeMap;

use quorate_core::{Action, Delivery, Event, LogTime, MemberId, Position};

use super::rising::{ByMember, Rising};
use super::{Ghost, Kinds, Observed, Observer, Phase, Scene, Violations};
use crate::disk::FrameMark;

/// L8: how long after its deadline a timer may fire in the calm, in nanoseconds.
const LATE_MAX: u64 = 2_000_000_000;

#[derive(Default)]
pub(super) struct TimeInTheLog {
    /// The time of each applied frame, as whoever applied it first was told.
    times: Rising<Position, LogTime>,
    members: ByMember<Clockwork>,
    /// What a life begins with that begins with the snapshot at a position.
    snapshots: Rising<Position, Clockwork>,
    /// Since when nothing fails any more.
    calm_since: Option<u64>,
}

/// What one life of a member has applied.
#[derive(Clone, Debug, Default)]
struct Clockwork {
    time: LogTime,
    timers: BTreeMap<u64, Scheduled>,
}

#[derive(Clone, Copy, Debug)]
struct Scheduled {
    deadline: LogTime,
    /// When it was scheduled, by the world's clock.
    at: u64,
    /// How long it should take from then at the most, had nothing failed, by a true clock.
    wait: u64,
}

impl TimeInTheLog {
    fn applied(
        &mut self,
        member: MemberId,
        at: Position,
        time: LogTime,
        fired: Option<u64>,
    ) -> Option<String> {
        let first = *self.times.get_or_insert_with(at, || time);
        let clockwork = self.members.entry(member);
        let before = core::mem::replace(&mut clockwork.time, time);
        if time < before {
            return Some(format!("the time falls from {} to {} at {at}", before.0, time.0));
        }
        if first != time {
            return Some(format!("the time at {at} is {}, and was {}", time.0, first.0));
        }
        let timer = fired?;
        match clockwork.timers.remove(&timer) {
            None => Some(format!("timer {timer} fires at {at} and is not scheduled")),
            Some(Scheduled { deadline, .. }) if deadline > time => {
                Some(format!("timer {timer} of {} fires at {}", deadline.0, time.0))
            }
            Some(_) => None,
        }
    }

    /// Timers that should have fired long ago.
    fn overdue(&self, scene: &Scene<'_>, violations: &mut Violations) {
        let since = self.calm_since.unwrap_or(scene.now);
        let Some(clockwork) = self.members.get(scene.member) else { return };
        for (timer, scheduled) in &clockwork.timers {
            let wait = scheduled.wait * scene.rules.slowness;
            if scheduled.at.max(since) + wait + LATE_MAX < scene.now {
                let text = format!("timer {timer} of {} waits: {scheduled:?}", scene.member);
                violations.add("L8", text);
            }
        }
    }
}

impl Observer for TimeInTheLog {
    fn ids(&self) -> &'static [&'static str] {
        &["S25", "L8"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES
            .and(Kinds::REPORTING)
            .and(Kinds::WRITTEN)
            .and(Kinds::APPLIED)
            .and(Kinds::SNAPSHOTS)
            .and(Kinds::PHASE)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let member = scene.member;
        match *observed {
            Observed::Started => {
                let begin = self.snapshots.get(scene.view.applied).cloned();
                *self.members.entry(member) = begin.unwrap_or_default();
            }
            Observed::Acting(Action::TakeSnapshot { snapshot, .. }) => {
                let clockwork = self.members.entry(member).clone();
                self.snapshots.get_or_insert_with(snapshot.point.position, || clockwork);
            }
            Observed::Stepping { event: Event::Applied { outputs, .. }, .. } => {
                let clockwork = self.members.entry(member);
                for (timer, deadline) in outputs.timers() {
                    clockwork.timers.remove(&timer);
                    if let Some(deadline) = deadline {
                        let wait = deadline.0.saturating_sub(clockwork.time.0);
                        let wait = wait + wait / 10;
                        let scheduled = Scheduled { deadline, at: scene.now, wait };
                        clockwork.timers.insert(timer, scheduled);
                    }
                }
            }
            Observed::Written { frames, .. } => {
                let mut previous: Option<&FrameMark> = None;
                for frame in frames {
                    let before = previous
                        .filter(|previous| previous.end == frame.start)
                        .or_else(|| ghost.frame_ending_at(frame.start, scene.history));
                    previous = Some(frame);
                    if let Some(before) = before.filter(|before| before.time > frame.time) {
                        let text = format!("member {member} writes {frame:?} after {before:?}");
                        violations.add("S25", text);
                    }
                }
            }
            Observed::Applied { apply, .. } => {
                let fired = match apply.delivery {
                    Delivery::Timer { timer } => Some(timer),
                    _ => None,
                };
                if let Some(problem) = self.applied(member, apply.position, apply.time, fired) {
                    violations.add("S25", format!("member {member}: {problem}"));
                }
            }
            Observed::Phase(Phase::Calm) => self.calm_since = Some(scene.now),
            Observed::Phase(Phase::Over) => self.overdue(scene, violations),
            _ => {}
        }
    }
}
