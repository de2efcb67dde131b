//! Deliberate mistakes that an exploration finds: what says that it can.

use quorate_core::mutant;

use super::options::Bounds;

/// A deliberate mistake, and the exploration that finds it.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Its number.
    pub mutant: u32,
    /// Within which bounds.
    pub bounds: Bounds,
    /// By which rule.
    pub rule: &'static str,
}

impl Bounds {
    /// Datagrams in any order, no faults: two terms that nobody disturbs.
    pub const ANY_ORDER: Self = Self {
        terms: 2,
        entries: 0,
        crashes: 0,
        late: 0,
        losses: Some(0),
        holds: None,
        timeouts: 2,
        ticks: 0,
        changes: 0,
        slow_disks: false,
        states_max: 200_000_000,
    };

    /// Datagrams one after the other, a crash, an entry.
    pub const ONE_CRASH: Self =
        Self { entries: 1, crashes: 1, holds: Some(0), timeouts: 3, ticks: 1, ..Self::ANY_ORDER };

    /// The same with disks that take their time.
    pub const SLOW_DISKS: Self =
        Self { crashes: 1, holds: Some(0), slow_disks: true, ..Self::ANY_ORDER };
}

const fn found(mutant: u32, bounds: Bounds, rule: &'static str) -> Found {
    Found { mutant, bounds, rule }
}

/// The mistakes that explorations find, each within a few seconds. Within the same bounds the core
/// as it is breaks no rule.
pub const FOUND: [Found; 15] = [
    found(mutant::VOTE_BEFORE_DURABLE, Bounds::ONE_CRASH, "S3"),
    found(mutant::ACKNOWLEDGE_BEFORE_DURABLE, Bounds::SLOW_DISKS, "S12"),
    found(mutant::LEADER_COUNTS_ITSELF_EARLY, Bounds::SLOW_DISKS, "S8"),
    found(mutant::DOUBLE_VOTE, Bounds::ANY_ORDER, "S2"),
    found(mutant::NO_CUT_AT_ADOPTION, Bounds::ONE_CRASH, "S12"),
    found(mutant::COMMIT_QUORUM_ONE_SHORT, Bounds::ONE_CRASH, "S8"),
    found(mutant::ACKNOWLEDGE_BEFORE_ADOPTION, Bounds::ONE_CRASH, "S12"),
    found(mutant::COMMIT_BEFORE_ADOPTION, Bounds::ONE_CRASH, "S7"),
    found(mutant::STANDS_AGAIN_IN_ITS_TERM, Bounds::ONE_CRASH, "S1"),
    found(mutant::ELECTION_QUORUM_ONE_SHORT, Bounds::ONE_CRASH, "S1"),
    found(mutant::VOTE_IS_FORGOTTEN, Bounds::ONE_CRASH, "panic"),
    found(mutant::NEWER_TERM_KEEPS_THE_ROLE, Bounds::ONE_CRASH, "fail-stop"),
    found(mutant::CUTS_MATCHING_BYTES, Bounds::ONE_CRASH, "S8"),
    found(mutant::ACKNOWLEDGES_RECEIVED, Bounds::ONE_CRASH, "S12"),
    found(mutant::RESTART_COMMITS_ITS_LOG, Bounds::ONE_CRASH, "S8"),
];
