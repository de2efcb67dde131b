//! Who is well, from the true state of hosts, disks, clocks and links.

use quorate_core::Role;

use super::{Availability, Promise, WELL_TIMEOUTS};
use crate::clock::TRUE_RATE;
use crate::dice::ALWAYS;
use crate::network::Place;
use crate::report::Mark;
use crate::swarm::{CLOCK_ERROR_MAX, FaultClass, Swarm};
use crate::world::World;

/// Datagrams that may be lost or spoilt of a million where links count as connected.
const LOSS_MAX: u64 = ALWAYS as u64 / 20;
/// What makes the medium of a member's disk other than what was written to it.
const ON_THE_MEDIUM: [FaultClass; 5] = [
    FaultClass::LatentError,
    FaultClass::Rot,
    FaultClass::LostWrite,
    FaultClass::Wipe,
    FaultClass::Swap,
];

impl Availability {
    /// The record for a world with these options. It promises nothing where no clock can be relied
    /// on, or where links lose so much, or take so long, that nobody counts as connected.
    pub(crate) fn of(swarm: &Swarm) -> Self {
        let classes = swarm.faults.classes;
        let network = &swarm.network;
        let lost = u64::from(network.loss)
            + u64::from(network.corrupt)
            + u64::from(network.burst) * u64::from(network.burst_length);
        let has_clocks = swarm.clock_error <= CLOCK_ERROR_MAX && swarm.process.clock_back == 0;
        let is_connected = lost <= LOSS_MAX && !classes.has(FaultClass::Delay);
        let timeout = swarm.timing.election_timeout_max.0;
        // Who leads and makes no progress has until then to find out (rule 8), and who lets the
        // others go first waits for so much longer (E19).
        let delays = swarm.candidacy_delays.iter().copied().max().unwrap_or_default();
        let settling = WELL_TIMEOUTS * timeout + swarm.timing.progress_timeout.0 + delays;
        let promise = Promise { settling, candidacy_delay: delays };
        let promise = (has_clocks && is_connected).then_some(promise);
        Self::new(swarm.members, swarm.clients, promise)
    }
}

impl World {
    /// Puts on record who is well now. Whatever changes that is followed by a look.
    pub(crate) fn look_who_is_well(&mut self) {
        if self.calm || !self.availability.is_on() || !self.watch.is_open() {
            return;
        }
        let count = self.nodes.len();
        let places = self.member_places();
        let ready: Vec<u64> = (0..count).map(|node| self.now + self.catching_up(node)).collect();
        for node in 0..count {
            self.availability.member(node, self.is_well(node), ready[node]);
            for other in 0..node {
                let is_well = self.is_connected(places[node], places[other]);
                self.availability.link(node, other, is_well, ready[node].max(ready[other]));
            }
        }
        if let Some(node) = self.newest_leader() {
            self.availability.leads(node, self.now);
        }
        for client in 0..self.clients.len() {
            let host = &self.clients[client];
            let place = Place::Client(host.number);
            let is_well = host.floods_until <= self.now
                && host.deaf_until <= self.now
                && places.iter().all(|member| self.is_connected(place, *member));
            self.availability.client(client, is_well, self.now);
        }
    }

    /// Who leads in the newest term, of those that run.
    fn newest_leader(&self) -> Option<usize> {
        let leads = |node: &usize| {
            let host = &self.nodes[*node];
            let runs = host.member.is_some() && host.paused_until <= self.now;
            runs && host.view.role == Role::Leader
        };
        (0..self.nodes.len()).filter(leads).max_by_key(|node| self.nodes[*node].view.term)
    }

    /// Judges the window that ends now (L15).
    pub(crate) fn look_at_availability(&mut self) {
        if self.calm || !self.watch.is_open() {
            return;
        }
        self.look_who_is_well();
        let Some(window) = self.availability.look(self.now) else { return };
        self.tally.saw(Mark::AvailabilityJudged);
        if !window.is_available() {
            let text = format!(
                "a quorum was well, and {} of {} requests had no reply in time: {}",
                window.failed,
                window.answered + window.failed,
                self.roles()
            );
            self.found("L15", text);
        }
    }

    /// Whether nothing is wrong with a member's host and its disk.
    fn is_well(&self, node: usize) -> bool {
        let host = &self.nodes[node];
        let still = [host.paused_until, host.slow.0, host.stalled_until, host.slow_disk.0];
        let fails = host.fails_write || host.fails_sync || host.fails_service || host.disk_full;
        let has_medium = ON_THE_MEDIUM.iter().any(|class| self.swarm.faults.classes.has(*class));
        let is_swapped = self.swapped.is_some_and(|(one, other)| node == one || node == other);
        host.member.is_some()
            && still.iter().all(|until| *until <= self.now)
            && !fails
            && host.crash_after.is_none()
            && host.clock.rate().abs_diff(TRUE_RATE) <= CLOCK_ERROR_MAX
            && !(has_medium && self.doomed.contains(&node))
            && !is_swapped
            && host.disk.is_of_a_full_member()
    }

    fn is_connected(&self, one: Place, other: Place) -> bool {
        !self.network.is_troubled(self.now, one, other)
            && !self.network.is_troubled(self.now, other, one)
    }

    /// How long a member that comes back may take to be level: to replay what it has, on its disk,
    /// and to be sent what it lacks, out of half of a budget that all share (L3, L4).
    fn catching_up(&self, node: usize) -> u64 {
        let host = &self.nodes[node];
        let frames = host.disk.frames();
        let applied = host.view.applied;
        let replayed = frames.len() - frames.partition_point(|frame| frame.start < applied);
        let lag = self.watch.chosen_end().0.saturating_sub(host.disk.durable_end().0);
        let (limits, timing) = (&self.swarm.limits, &self.swarm.timing);
        let share = limits.repair_budget_bytes / 2 / self.nodes.len() as u64;
        let each = share.min(limits.repair_request_bytes_max).max(8);
        let slowest = timing.heartbeat_interval.0 + timing.nak_retry.0 + timing.nak_delay.0;
        // What is purged everywhere comes as a snapshot, which is written, and read at a start.
        let fetched = self.has_to_fetch(node).map_or(0, |bytes| self.fetching_time(bytes));
        replayed as u64 * self.swarm.disk.latency_max + lag.div_ceil(each) * slowest + fetched
    }
}
