//! How full a member's queues and tables are, each beside its named limit.

use super::Member;

/// One queue or table: what it holds, and what it may hold at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Usage {
    /// Its name, as reports print it.
    pub name: &'static str,
    /// Entries or bytes in it.
    pub used: u64,
    /// As many as may be.
    pub limit: u64,
}

/// Operations of the storage under way, at most: one of each kind.
const OPERATIONS_MAX: u64 = 4;

impl Member {
    /// Tells `report` of each queue and table that has a limit. Reading it changes nothing.
    pub fn usage(&self, mut report: impl FnMut(Usage)) {
        let (state, limits) = (&self.state, &self.config.limits);
        let mut say = |name, used: usize, limit: usize| {
            report(Usage { name, used: used as u64, limit: limit as u64 });
        };
        let (log, connections) = (&state.log, &state.connections);
        let held = log.image.received().since(log.low);
        say("log window", held as usize, limits.window_bytes as usize);
        say("ranges behind holes", log.image.beyond().len(), limits.coverage_ranges_max);
        say("requests for holes", log.image.requests(), crate::stream::REQUESTS_MAX);
        say("repairs just sent", state.repairs.remembered(), crate::stream::REPAIRS_MAX);
        // The service must never wait for what others ask for, nor they for it (E123).
        let for_others = state.reads.for_others();
        say("reads for others", for_others, limits.reads_max);
        say("reads for the service", state.reads.len() - for_others, 1);
        say("storage operations", state.storage.under_way(), OPERATIONS_MAX as usize);
        say("snapshots under way", state.snapshots.under_way(), 1);
        let offers = state.peers.heard_count();
        say("members that wait for an offer", self.waiting_for_offers(), offers);
        if let Some(fetch) = state.fetching.fetch.as_deref() {
            let (held, room) = fetch.held();
            say("snapshot window", held as usize, room as usize);
            say("requests for a snapshot", fetch.requests(), crate::stream::REQUESTS_MAX);
        }
        say("frames with the service", state.applier.touched.len(), limits.apply_batch_max);
        say("sessions", state.sessions.len(), limits.sessions_max);
        say("service timers", state.sessions.timers.len(), limits.timers_max);
        let [opening, doubts] = connections.waiting();
        // A connection outlives its session until the frame that closes it was applied.
        say("connections", connections.len(), limits.sessions_max);
        say("sessions being opened", opening, limits.sessions_max);
        say("sessions in doubt", doubts, limits.sessions_max);
        for connection in connections.by_client.values() {
            say("replies on their way", connection.unreleased.len(), limits.in_flight_max);
        }
        let firing = state.sessions.timers.under_way();
        say("timers being fired", firing, super::timer_table::UNDER_WAY_MAX);
        if let Some(leading) = &state.leading {
            say("sessions being closed", leading.closing.len(), limits.sessions_max);
        }
    }
}
