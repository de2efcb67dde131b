//! L5: no hole stands still for longer than requests and repairs take, and a second.

use quorate_core::{Position, Role, View};

use crate::network::CALM_LATENCY_MAX;
use crate::swarm::{SECOND, Swarm};
use crate::world::World;

/// What is added to the bound, since a member that is asked may have to say that it has nothing,
/// and another is asked an interval later.
const PATIENCE: u64 = SECOND;

/// A hole that a member has, since when it has not moved.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gap {
    received: Position,
    since: Option<u64>,
}

impl Gap {
    /// Takes note of a member at `now`, and returns the age of its hole in nanoseconds, if it has
    /// one.
    fn age(&mut self, now: u64, view: &View) -> Option<u64> {
        let is_open = view.role == Role::Follower && view.leader.is_some();
        let has_hole = is_open && view.received < view.seen;
        if !has_hole || view.received != self.received {
            *self = Self { received: view.received, since: None };
        }
        has_hole.then(|| now - *self.since.get_or_insert(now))
    }
}

/// How old a hole may be, in nanoseconds of true time, where so many bytes are missing in all and
/// the slowest clock makes things so many times longer.
fn age_max(swarm: &Swarm, missing: u64, slowness: u64) -> u64 {
    let timing = &swarm.timing;
    let round_trips = 10 * CALM_LATENCY_MAX;
    // Repairs come out of a budget for each heartbeat interval, which all that are behind share,
    // and may be read from a disk.
    let intervals = 2 + 2 * missing / swarm.limits.repair_budget_bytes;
    let served = intervals * timing.heartbeat_interval.0 + 4 * swarm.disk.latency_max;
    let asked = timing.nak_delay.0 + 2 * timing.nak_retry.0;
    (asked + served) * slowness + round_trips + PATIENCE
}

impl World {
    /// Looks at a member that took a step.
    pub(crate) fn watch_gap(&mut self, node: usize) {
        if !self.draining || self.now < self.settled_at || !self.core.contains(&node) {
            return;
        }
        let view = &self.nodes[node].view;
        let Some(age) = self.quiet.gaps[node].age(self.now, view) else { return };
        let received = view.received;
        let lacks =
            |node: &crate::node::Node| node.view.seen.0.saturating_sub(node.view.received.0);
        let missing = self.core_nodes().map(lacks).sum();
        let age_max = age_max(&self.swarm, missing, self.slowness());
        // What all others have purged does not come: a snapshot does.
        let fetching = || self.has_to_fetch(node).map_or(0, |bytes| self.fetching_time(bytes));
        if age > age_max && age > age_max + fetching() * self.slowness() {
            let text = format!(
                "member {} has a hole at {received} for {age} ns; {}",
                node + 1,
                self.roles()
            );
            self.found("L5", text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::MemberId;

    #[test]
    fn a_hole_ages_while_it_stands_still() {
        let mut view = View { role: Role::Follower, leader: Some(MemberId(2)), ..View::default() };
        view.seen = Position(64);
        let mut gap = Gap::default();
        assert_eq!(gap.age(10, &view), Some(0));
        assert_eq!(gap.age(30, &view), Some(20));
        view.received = Position(32);
        assert_eq!(gap.age(40, &view), Some(0), "it has moved");
        view.leader = None;
        assert_eq!(gap.age(50, &view), None, "there is nobody to ask");
        view.leader = Some(MemberId(2));
        assert_eq!(gap.age(60, &view), Some(0));
        view.received = view.seen;
        assert_eq!(gap.age(70, &view), None);
    }

    #[test]
    fn who_lacks_more_may_take_longer() {
        let swarm = Swarm::draw(1);
        let budget = swarm.limits.repair_budget_bytes;
        assert!(age_max(&swarm, 0, 1) > PATIENCE);
        assert!(age_max(&swarm, 10 * budget, 1) > age_max(&swarm, 0, 1));
        assert!(age_max(&swarm, 0, 2) > age_max(&swarm, 0, 1));
    }
}
