//! Deliberate mistakes: each must be found, or observers and cases prove nothing.

use std::path::Path;
use std::process::Command;

use quorate_core::mutant::{self, Mutant};

/// What became of one mutant.
#[derive(Clone, Debug)]
pub struct Fate {
    /// The mutant.
    pub mutant: Mutant,
    /// Seeds until it was found, and what was found; `None` when it survived.
    pub killed: Option<(u64, crate::Finding)>,
}

/// What became of all mutants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Summary {
    /// How many there were.
    pub all: usize,
    /// How many were found.
    pub killed: usize,
    /// The median of the seeds that those took.
    pub median: u64,
    /// The most.
    pub maximum: u64,
}

impl Summary {
    /// Sums up `fates`.
    #[must_use]
    pub fn of(fates: &[Fate]) -> Self {
        let mut taken: Vec<u64> =
            fates.iter().filter_map(|fate| fate.killed.as_ref().map(|(seeds, _)| *seeds)).collect();
        taken.sort_unstable();
        Self {
            all: fates.len(),
            killed: taken.len(),
            median: taken.get(taken.len() / 2).copied().unwrap_or(0),
            maximum: taken.last().copied().unwrap_or(0),
        }
    }
}

/// Invariants that no mutant can break, and why not.
pub const NOT_FOUND_BY: [(&str, &str); 2] = [
    ("L13", "it judges the world's excuses and not the core; `excuse` has tests of its own"),
    ("L14", "it judges what a sweep saw and not the core; marks have tests of their own"),
];

/// Invariants and a mutant that each of them finds: what it says was seen to be true of a mistake.
pub const FOUND_BY: [(&str, u32); 56] = [
    ("S1", mutant::TWO_LEADERS_MERGE),
    ("S2", mutant::DOUBLE_VOTE),
    ("S3", mutant::VOTE_BEFORE_DURABLE),
    ("S4", mutant::VOTE_IS_FORGOTTEN),
    ("S5", mutant::FOLLOWER_STAMPS_FRAMES),
    ("S6", mutant::FULL_DISK_IS_FORGOTTEN),
    ("S7", mutant::COMMIT_BEYOND_VERIFIED),
    ("S8", mutant::COMMIT_QUORUM_ONE_SHORT),
    ("S9", mutant::VOTE_KEY_WITHOUT_TERM),
    ("S10", mutant::REPLY_BEFORE_COMMIT),
    ("S11", mutant::CUTS_MATCHING_BYTES),
    ("S12", mutant::ACKNOWLEDGE_BEFORE_DURABLE),
    ("S13", mutant::LEADER_COUNTS_ITSELF_EARLY),
    ("S14", mutant::SERVES_BEFORE_ITS_TERM),
    ("S15", mutant::REPLIES_SHIFT_BY_ONE),
    ("S16", mutant::REPLIES_NOT_KEPT),
    ("S17", mutant::REPLIES_ARE_DELIVERED_TWICE),
    ("S18", mutant::UNAPPLIED_IS_UNBOUNDED),
    ("S19", mutant::NAK_WITHOUT_PATIENCE),
    ("S20", mutant::REPAIRS_DO_NOT_LINGER),
    ("S21", mutant::LIMIT_FALLS),
    ("S22", mutant::FORGETS_VOTERS_UNHEARD_OF),
    ("S23", mutant::ELECTION_QUORUM_ONE_SHORT),
    ("S24", mutant::SNAPSHOT_NAMES_ITS_MEMBER),
    ("S25", mutant::CLUSTER_TIME_FALLS),
    ("S27", mutant::READS_WITHOUT_A_ROUND),
    ("S28", mutant::SESSION_READS_GO_BACK),
    ("S33", mutant::FORMER_LIVES_ARE_HEARD),
    ("S34", mutant::STOPPED_GOES_ON),
    ("S35", mutant::DRAWS_FROM_AN_ADDRESS),
    ("S36", mutant::WRITES_BEFORE_THE_LINE),
    ("S37", mutant::REGRESSED_MEMBER_COUNTS),
    ("S39", mutant::COMMIT_OF_TWO_NEEDS_ONE),
    ("S40", mutant::STANDS_AGAIN_IN_ITS_TERM),
    ("E105", mutant::FULL_LOG_WAKES_ITS_TIMER),
    ("H1", mutant::SERVICE_ANSWERS_ITSELF),
    ("H2", mutant::SERVICE_ANSWERS_OUT_OF_ORDER),
    ("H3", mutant::SERVICE_ANSWERS_FOR_ANOTHER),
    ("L1", mutant::HEARTBEATS_DO_NOT_QUIET),
    ("L2", mutant::LOST_REPLIES_STAY_LOST),
    ("L3", mutant::SNAPSHOT_WITHOUT_REPLIES),
    ("L4", mutant::ASKS_IN_SIPS),
    ("L5", mutant::HOLES_ARE_ASKED_FOR_ONCE),
    ("L6", mutant::RECORDS_ARE_ALWAYS_DIRTY),
    ("L7", mutant::TRANSFER_STICKS),
    ("L8", mutant::TIMERS_FIRE_ONCE_A_TERM),
    ("L10", mutant::CONNECTIONS_STAY),
    ("L11", mutant::CHANGES_STAY_JOINT),
    ("L15", mutant::SERVES_LATE),
    ("E16", mutant::TRANSFER_DOES_NOT_WAIT),
    ("E47", mutant::WIPED_MEMBER_COUNTS),
    ("E71", mutant::FETCHES_BEHIND_ITS_LOG),
    ("E73", mutant::PROMISES_WHILE_INSTALLING),
    ("E74", mutant::INSTALLS_UNCHECKED),
    ("E75", mutant::SERVED_SNAPSHOTS_ARE_NOT_PINNED),
    ("N1", mutant::STALLS_ARE_TOLD_AGAIN),
];

/// Mistakes that no seed shows, and a case of the suite that notices each: those that only change
/// who bears how much, those of the archive, for which this world has disks of its own, and those
/// that take what no world offers.
pub const FOUND_BY_CASES: [(u32, &str); 61] = [
    (mutant::OLD_ROUNDS_CONFIRM_READS, "RD-04"),
    (mutant::LEASE_OUTLIVES_A_TRANSFER, "RD-06"),
    (mutant::PROMISES_END_WITH_A_LIFE, "RD-06"),
    (mutant::LEASE_IS_NOT_LOOKED_AT_AGAIN, "RD-05"),
    (mutant::LEADER_CARRIES_CATCH_UP, "CU-10"),
    (mutant::REFUSALS_ARE_FORGOTTEN, "CU-02"),
    (mutant::DEAF_SOURCES_ARE_TRUSTED, "CU-17"),
    (mutant::CUTS_COMMITTED_BYTES, "CD-14"),
    (mutant::SLICES_BETWEEN_WORDS, "LS-07"),
    (mutant::LOST_SESSION_IS_CLOSED, "CD-15"),
    (mutant::ROT_IS_CUT, "DF-03"),
    (mutant::CHECKSUM_WITHOUT_PLACE, "DF-09"),
    (mutant::ORPHANED_LOG_IS_TAKEN, "SN-17"),
    (mutant::FOREIGN_DATAGRAMS_ARE_READ, "BI-04"),
    (mutant::FOREIGN_FILES_ARE_TAKEN, "DF-12"),
    (mutant::FOREIGN_SNAPSHOT_IS_USED, "SN-06"),
    (mutant::CLAIMED_COUNT_RESERVES, "BI-01"),
    (mutant::FAILED_SYNC_IS_REPEATED, "DF-15"),
    (mutant::RECORDS_ARE_NOT_SYNCED, "DF-13"),
    (mutant::MISSING_SEGMENTS_ARE_PASSED_OVER, "DF-12"),
    (mutant::OUTSIDERS_RUN, "EL-13"),
    (mutant::HOLDS_UNMARKED, "CD-11"),
    (mutant::MARK_IS_NOT_READ, "CD-11"),
    (mutant::IMPAIRED_GRANTS_ARE_FULL, "CD-11"),
    (mutant::HEALS_AT_ONCE, "CD-11"),
    (mutant::REGISTERED_IN_ANY_LIFE, "CD-11"),
    (mutant::SAFE_IS_WHAT_IS_HELD, "CD-09"),
    (mutant::SCRUB_PASSES_OVER_SNAPSHOTS, "DF-18"),
    (mutant::SCRUB_READS_ONCE, "DF-18"),
    (mutant::MENDS_UNVERIFIED, "DF-05"),
    (mutant::MENDED_IS_NOT_SYNCED, "DF-04"),
    (mutant::BAD_SECTORS_STAY, "DF-08"),
    (mutant::MENDER_ASKS_ONE, "DF-05"),
    (mutant::SILENCE_IS_DENIAL, "DF-06"),
    (mutant::MENDER_NEVER_ENDS, "DF-05"),
    (mutant::MENDERS_ANSWER_NOBODY, "DF-04"),
    (mutant::LOG_HAS_NO_CAP, "RB-07"),
    (mutant::SAFE_REPLIES_DO_NOT_WAIT, "CD-20"),
    (mutant::LEVEL_IS_LOST_WITH_THE_LEADER, "CD-20"),
    (mutant::DECREE_IS_ANYBODYS, "CD-10"),
    (mutant::DECREE_NEVER_ENDS, "CD-10"),
    (mutant::ONE_EPOCH_FOR_ALL, "CD-10"),
    (mutant::RECOVERY_IS_NOT_PREPARED, "CD-10"),
    (mutant::CLOCK_JUMPS_ARE_LOG_TIME, "TM-06"),
    (mutant::CLOCK_JUMPS_ARE_NOT_TOLD, "TM-06"),
    (mutant::SESSIONS_END_WITHOUT_A_LEADER, "CL-07"),
    (mutant::TIMERS_FIRE_OUT_OF_ORDER, "TM-10"),
    (mutant::DUE_TIMERS_FIRE_ALL_AT_ONCE, "TM-10"),
    (mutant::CLOCK_IS_FOLLOWED_BACK, "TM-07"),
    (mutant::SILENCE_IS_THE_CLIENTS, "TM-12"),
    (mutant::RESTORED_GROUP_KNOWS_FORMER_LIVES, "SN-18"),
    (mutant::RESTORED_GROUP_KEEPS_ITS_EPOCH, "SN-18"),
    (mutant::RESTORED_INTO_ITS_OWN_GROUP, "SN-18"),
    (mutant::BACKUP_OF_ANOTHER_LOG, "SN-18"),
    (mutant::BACKUP_IS_NOT_SYNCED, "SN-18"),
    (mutant::DEVIATION_IS_TOLD_ONLY, "AD-33"),
    (mutant::ONE_OTHER_DIGEST_STOPS, "AD-33"),
    (mutant::DEVIATING_SNAPSHOT_STAYS, "AD-33"),
    (mutant::DISPUTED_SNAPSHOTS_SPREAD, "AD-33"),
    (mutant::DIGESTS_ARE_TOLD_ONCE, "AD-33"),
    (mutant::COPIES_VOUCH, "AD-33"),
];

/// Mistakes that show only where committed bytes may be in memory: their seeds are of such worlds.
pub const OF_VOLATILE_WORLDS: [u32; 8] = [
    mutant::HOLDS_UNMARKED,
    mutant::MARK_IS_NOT_READ,
    mutant::IMPAIRED_GRANTS_ARE_FULL,
    mutant::HEALS_AT_ONCE,
    mutant::REGISTERED_IN_ANY_LIFE,
    mutant::SAFE_IS_WHAT_IS_HELD,
    mutant::SAFE_REPLIES_DO_NOT_WAIT,
    mutant::LEVEL_IS_LOST_WITH_THE_LEADER,
];

/// Mistakes that show only where members come and go.
pub const OF_WORLDS_WITH_CHANGES: [u32; 12] = [
    mutant::JOINT_COUNTS_ONE_HALF,
    mutant::CHANGES_BEFORE_ITS_TERM,
    mutant::MEMBERSHIP_SURVIVES_CUT,
    mutant::OBSERVERS_COUNT,
    mutant::LEAVING_LEADER_COUNTS_ITSELF,
    mutant::COMPLETES_BEFORE_COMMIT,
    mutant::SNAPSHOT_WITHOUT_MEMBERS,
    mutant::FORMER_MEMBER_IS_TAKEN,
    mutant::OBSERVERS_STAND,
    mutant::CHANGES_OVERLAP,
    mutant::REMOVED_STAND_ON,
    mutant::CHANGES_STAY_JOINT,
];

/// Those of them that seeds find, besides their cases. Of the others one needs a disk that is
/// slower than the first election, and one a datagram of a former life that is late by a whole
/// life.
pub const SEEN_IN_VOLATILE_WORLDS: [u32; 6] = [
    mutant::MARK_IS_NOT_READ,
    mutant::IMPAIRED_GRANTS_ARE_FULL,
    mutant::HEALS_AT_ONCE,
    mutant::SAFE_IS_WHAT_IS_HELD,
    mutant::SAFE_REPLIES_DO_NOT_WAIT,
    mutant::LEVEL_IS_LOST_WITH_THE_LEADER,
];

/// The case of the suite that a mistake is for, if it is none for seeds.
#[must_use]
pub fn case_for(number: u32) -> Option<&'static str> {
    FOUND_BY_CASES.iter().find(|(of_cases, _)| *of_cases == number).map(|(_, case)| *case)
}

/// Whether this build has the mutants in it.
#[must_use]
pub const fn are_compiled_in() -> bool {
    cfg!(quorate_mutants)
}

/// Runs each mutant that is for seeds, or the one with number `only` whatever it is for, for up to
/// `seeds` seeds.
#[cfg(quorate_mutants)]
pub fn hunt(only: Option<u32>, seeds: u64, steps: u64, mut report: impl FnMut(&Fate)) -> Vec<Fate> {
    let chosen = mutant::ALL.iter().filter(|mutant| match only {
        Some(only) => only == mutant.number,
        None => {
            case_for(mutant.number).is_none() || SEEN_IN_VOLATILE_WORLDS.contains(&mutant.number)
        }
    });
    let mut fates = Vec::new();
    for &mutant in chosen {
        mutant::choose(mutant.number);
        let (stop_at_first, budget, service) = (true, None, crate::Replicated::Ledger);
        let sweep = crate::sweep::Sweep {
            start: 1,
            seeds,
            steps,
            threads: 2,
            stop_at_first,
            budget,
            service,
        };
        let of = match mutant.number {
            number if OF_VOLATILE_WORLDS.contains(&number) => "volatile",
            number if OF_WORLDS_WITH_CHANGES.contains(&number) => "members",
            _ => "",
        };
        let schedule = crate::swarm::NamedSchedule::named(of);
        let swept = sweep.run_under(schedule, |_| {});
        let first = swept.findings.into_iter().next();
        let fate = Fate { mutant, killed: first.map(|first| (first.seed, first)) };
        report(&fate);
        fates.push(fate);
    }
    mutant::choose(0);
    fates
}

/// Without the mutants compiled in there is nothing to hunt.
#[cfg(not(quorate_mutants))]
pub fn hunt(_: Option<u32>, _: u64, _: u64, _: impl FnMut(&Fate)) -> Vec<Fate> {
    Vec::new()
}

/// The command that runs the mistakes that are for cases, or the one with number `only`, each with
/// its case, in the build of the suite with mutants in it. It fails when one is not noticed.
///
/// # Errors
/// The path of this program is not known.
pub fn cases_command(only: Option<u32>) -> std::io::Result<Command> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/Cargo.toml");
    let mut arguments = vec!["mutants".to_owned(), "--by-cases".to_owned()];
    arguments.extend(only.map(|only| format!("--only={only}")));
    build_and_run_of(&manifest, &SUITE_OPTIONS, &arguments)
}

/// What of the suite is built for that: without the runtimes, which no case of the core needs.
pub const SUITE_OPTIONS: [&str; 3] =
    ["--bin=quorate-conformance", "--no-default-features", "--features=allocations"];

/// The command that builds this program with mutants and marks in it, beside the normal build, and
/// runs it with `arguments`.
///
/// # Errors
/// When the path of this program is not known.
pub fn build_and_run(arguments: &[String]) -> std::io::Result<Command> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    build_and_run_of(&manifest, &["--bin", "quorate-sim"], arguments)
}

/// [`build_and_run`] for another program of the workspace: that of the package at `manifest` which
/// `options` of `cargo run` choose.
///
/// # Errors
/// When the path of this program is not known.
pub fn build_and_run_of(
    manifest: &Path,
    options: &[&str],
    arguments: &[String],
) -> std::io::Result<Command> {
    let mut target = std::env::current_exe()?;
    // .../target/release/quorate-sim
    target.pop();
    target.pop();
    target.set_file_name("target-mutants");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--release", "--quiet", "--manifest-path"]).arg(manifest);
    command.arg("--target-dir").arg(target).args(options).arg("--");
    command.args(arguments).env("RUSTFLAGS", "--cfg quorate_mutants --cfg quorate_marks");
    command.env_remove("CARGO_ENCODED_RUSTFLAGS");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::mutant::ALL;
    use std::collections::BTreeSet;

    /// Edge cases of the first priority (safety) that are covered or watched today.
    const PRIORITY_ONE: [u16; 50] = [
        2, 4, 5, 6, 11, 14, 21, 22, 23, 24, 25, 26, 27, 29, 30, 34, 35, 36, 37, 38, 40, 41, 42, 43,
        45, 47, 50, 51, 52, 53, 54, 55, 68, 71, 72, 73, 76, 78, 79, 89, 92, 93, 94, 96, 98, 106,
        107, 108, 112, 118,
    ];

    #[test]
    fn every_edge_case_of_safety_has_a_mutant() {
        let broken: BTreeSet<u16> =
            ALL.iter().flat_map(|mutant| mutant.edge_cases.iter().copied()).collect();
        for edge_case in PRIORITY_ONE {
            assert!(broken.contains(&edge_case), "no mutant gets E{edge_case:02} wrong");
        }
    }

    #[test]
    fn what_is_for_cases_is_a_mistake_and_no_observer_counts_on_it() {
        for (number, _) in FOUND_BY_CASES {
            assert!(ALL.iter().any(|mutant| mutant.number == number), "there is no {number}");
            let counted_on = FOUND_BY.iter().find(|(_, found)| *found == number);
            assert_eq!(counted_on, None, "seeds do not hunt {number}");
        }
    }

    #[test]
    fn every_observer_finds_a_mutant() {
        use crate::observers::{CATALOGUE, Observers, State};
        let observers = Observers::default();
        let found: BTreeSet<&str> = FOUND_BY.iter().map(|(invariant, _)| *invariant).collect();
        let without: BTreeSet<&str> =
            NOT_FOUND_BY.iter().map(|(invariant, _)| *invariant).collect();
        assert!(found.is_disjoint(&without), "a reason for what a mutant breaks");
        let of_the_world = CATALOGUE.iter().filter(|entry| entry.state == State::World);
        for id in observers.ids().chain(of_the_world.map(|entry| entry.id)) {
            let known = found.contains(id) || without.contains(id);
            assert!(known, "{id} was never seen to speak");
        }
        let known = |number: &u32| ALL.iter().any(|mutant| mutant.number == *number);
        assert!(FOUND_BY.iter().all(|(_, number)| known(number)));
    }

    #[test]
    fn the_summary_counts_only_what_was_found() {
        let fate = |seed: Option<u64>| {
            let finding =
                |seed| crate::Finding { seed, step: 1, at: 1, id: "S1", message: "".into() };
            Fate { mutant: ALL[0], killed: seed.map(|seed| (seed, finding(seed))) }
        };
        let fates = [Some(9), None, Some(2), Some(4)].map(fate);
        let expected = Summary { all: 4, killed: 3, median: 4, maximum: 9 };
        assert_eq!(Summary::of(&fates), expected);
    }
}
