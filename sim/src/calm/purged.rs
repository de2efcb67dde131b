//! Members that lack what all others have purged: a snapshot of another brings them back, and that
//! takes its time.

use crate::swarm::SECOND;
use crate::world::World;

/// To be told by all others that it is purged, to ask for a snapshot, and to begin a life with it.
pub(crate) const FETCH_SLACK: u64 = 3 * SECOND;

impl World {
    /// The bytes of the snapshot that a member has to fetch, if what comes next at it is purged
    /// wherever it was; in the calm who is outside of the core may have it, but need not send it
    /// (seed 3747).
    pub(crate) fn has_to_fetch(&self, node: usize) -> Option<u64> {
        let next = self.nodes[node].view.received;
        let sends = |place: &usize| self.core.is_empty() || self.core.contains(place);
        let sources = || (0..self.nodes.len()).filter(sends).map(|place| &self.nodes[place]);
        let ahead = || sources().filter(|other| other.disk.durable_end() > next);
        if ahead().next().is_none() || ahead().any(|other| other.disk.origin().position <= next) {
            return None;
        }
        let stored = ahead().filter_map(|other| other.disk.newest_snapshot());
        stored.map(|stored| stored.manifest().bytes()).max()
    }

    /// For how long that may take, in nanoseconds of true time: its parts come out of budgets that
    /// all share, and each is written before the next is asked for.
    pub(crate) fn fetching_time(&self, bytes: u64) -> u64 {
        let (limits, timing) = (&self.swarm.limits, &self.swarm.timing);
        let share = limits.repair_budget_bytes / 2 / self.nodes.len() as u64;
        let each = share.min(limits.repair_request_bytes_max).max(8);
        let interval = timing.heartbeat_interval.0 + timing.nak_retry.0 + timing.nak_delay.0;
        let disk = 2 * self.swarm.disk.latency_max * self.swarm.snapshots.slowness;
        FETCH_SLACK + bytes.div_ceil(each) * (interval + 4 * self.swarm.disk.latency_max) + disk
    }
}
