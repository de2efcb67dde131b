//! L4: in the calm a member that lags is level within a time that follows from its lag and from the
//! budget of repairs.

use quorate_core::{MemberId, Position, Term};

use super::rising::Rising;
use super::{Ghost, Kinds, Observed, Observer, Phase, Scene, Violations};

/// The time besides, in nanoseconds: to adopt the history, on a disk that may still be busy with
/// what it was told before the calm.
const SLACK: u64 = 4_000_000_000;

#[derive(Default)]
pub(super) struct Level {
    /// Where each lagging member has to be, when, and under which term.
    lagging: Rising<MemberId, Lag>,
}

#[derive(Clone, Copy, Debug)]
struct Lag {
    target: Position,
    until: u64,
    term: Term,
}

impl Level {
    fn begin(&mut self, scene: &Scene<'_>, target: Position) {
        let view = scene.view;
        let lag = target.since(view.verified);
        if lag == 0 {
            return;
        }
        let (limits, timing) = (&scene.rules.limits, &scene.rules.timing);
        // Half of the leader's budget, shared by all that lag, of which each asks for so much at a
        // time.
        let share = limits.repair_budget_bytes / 2 / scene.rules.members as u64;
        let each = share.min(limits.repair_request_bytes_max).max(8);
        let intervals = lag.div_ceil(each);
        let slowest = timing.heartbeat_interval.0 + timing.nak_retry.0 + timing.nak_delay.0;
        let begin = scene.now.max(scene.rules.settled_at);
        // What all others have purged comes as a snapshot, in parts that are no larger, and then a
        // new life begins.
        let fetched = purged(scene).map_or(0, |bytes| bytes.div_ceil(each) * 2 * slowest + SLACK);
        let until = begin + (intervals * slowest + fetched + SLACK) * scene.rules.slowness;
        self.lagging.insert(scene.member, Lag { target, until, term: view.term });
    }
}

/// The bytes of the largest snapshot that the member may have to fetch, if what comes next at it is
/// purged wherever it was.
fn purged(scene: &Scene<'_>) -> Option<u64> {
    let next = scene.view.received;
    let ahead = || scene.disks.iter().filter(|disk| disk.durable_end() > next);
    if ahead().any(|disk| disk.origin().position <= next) {
        return None;
    }
    let stored = ahead().filter_map(crate::disk::SimDisk::newest_snapshot);
    stored.map(|stored| stored.manifest().bytes()).max()
}

impl Observer for Level {
    fn ids(&self) -> &'static [&'static str] {
        &["L4"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::STEPPED.and(Kinds::PHASE).and(Kinds::LIVES)
    }

    fn rests(&self) -> bool {
        self.lagging.is_empty()
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Phase(Phase::Led) => self.begin(scene, ghost.chosen_end()),
            // Behind a snapshot that it has installed, a member goes on in a new life.
            Observed::Started => {
                if let Some(lag) = self.lagging.get(scene.member).copied() {
                    self.lagging.remove(scene.member);
                    self.begin(scene, lag.target);
                }
            }
            Observed::Stepped { .. } | Observed::Phase(_) => {
                let Some(lag) = self.lagging.get(scene.member).copied() else { return };
                if scene.view.verified >= lag.target || scene.view.term != lag.term {
                    self.lagging.remove(scene.member);
                } else if scene.now > lag.until {
                    let (member, verified) = (scene.member, scene.view.verified);
                    let text = format!("member {member} has {verified}, and not {lag:?}");
                    violations.add("L4", text);
                }
            }
            _ => {}
        }
    }
}
