//! L6: where nobody asks for anything only heartbeats and status flow, at the documented rate.

use super::quiet::Window;

/// What a window may have in it.
pub(super) struct Expected {
    /// Members of the core but for the leader.
    pub(super) followers: u64,
    /// Heartbeats to each of them.
    pub(super) rounds: u64,
    /// All members.
    pub(super) members: u64,
    /// Syncs of logs: in a volatile group the checkpoint that was still to come, of each member.
    pub(super) syncs: u64,
}

/// What broke the silence, if something did.
pub(super) fn broken(seen: &Window, expected: &Expected) -> Option<String> {
    let counts = &seen.counts;
    // Frames that overtake each other on the network are asked for, but not again and again.
    let asked_max = if seen.grown > 0 { counts.log_data } else { 0 };
    if counts.naks > asked_max || counts.elections > 0 || counts.records > 0 {
        return Some(format!("not silent: {counts:?}"));
    }
    // Sessions that end and timers that are due are frames; what they bring is of no concern.
    if seen.grown > 0 {
        return None;
    }
    let Expected { followers, rounds, members, syncs } = *expected;
    // Members outside of the core are told as well; what reaches them is not counted.
    if counts.heartbeats > rounds * followers || counts.log_data > 0 || counts.syncs > syncs {
        let text = format!("{rounds} rounds of {followers} heartbeats expected: {counts:?}");
        return Some(text);
    }
    // What came last before the silence, and what it is told of an interval later: each member
    // writes that down once; and once more what the last checkpoint has made durable.
    (counts.peers > 2 * members + syncs)
        .then(|| format!("records are written again and again: {counts:?}"))
}
