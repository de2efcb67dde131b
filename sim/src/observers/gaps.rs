//! L5: in the calm no hole stays for long.

use std::collections::BTreeMap;

use quorate_core::{MemberId, Position, View};

use super::{Ghost, Kinds, Observed, Observer, Phase, Scene, Violations};

/// Heartbeat intervals that are allowed besides the retries: the budget of repairs renews itself
/// once in each, and several members may lag.
const INTERVALS_MAX: u64 = 20;
/// Requests that may be in vain: each other member may be asked before the one that has it.
const RETRIES_MAX: u64 = 8;

#[derive(Default)]
pub(super) struct Gaps {
    calm: bool,
    /// The end of what is held, and since when it has been there.
    members: BTreeMap<MemberId, (Position, u64)>,
}

impl Observer for Gaps {
    fn ids(&self) -> &'static [&'static str] {
        &["L5"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::STEPPED).and(Kinds::PHASE)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: Observed<'_>,
        violations: &mut Violations,
    ) {
        match observed {
            Observed::Phase(Phase::Led) => self.calm = true,
            Observed::Started => {
                self.members.remove(&scene.member);
            }
            Observed::Stepped { .. } if self.calm => {
                let view: &View = scene.view;
                let follows = view.leader.is_some_and(|leader| leader != scene.member);
                if view.received >= view.seen || !follows {
                    self.members.remove(&scene.member);
                    return;
                }
                let (end, since) =
                    self.members.entry(scene.member).or_insert((view.received, scene.now));
                if *end != view.received {
                    (*end, *since) = (view.received, scene.now);
                }
                let timing = &scene.rules.timing;
                let most = RETRIES_MAX * (timing.nak_delay.0 + timing.nak_retry.0)
                    + INTERVALS_MAX * timing.heartbeat_interval.0;
                let age = scene.now - *since;
                if age > most {
                    let text = format!(
                        "member {} lacks {end} of {} for {} us",
                        scene.member,
                        view.seen,
                        age / 1_000
                    );
                    violations.add("L5", text);
                }
            }
            _ => {}
        }
    }
}
