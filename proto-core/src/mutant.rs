//! Deliberate mistakes, one at a time, that the simulator must find. They exist only under
//! `--cfg quorate_mutants`; otherwise [`is`] is a constant `false` and nothing of them is compiled.

/// One deliberate mistake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mutant {
    /// Its number, from 1 on: what the core asks [`is`] for.
    pub number: u32,
    /// What is wrong with it, in snake case.
    pub name: &'static str,
}

/// All deliberate mistakes.
pub const ALL: [Mutant; 18] = [
    Mutant { number: 1, name: "vote_leaves_before_it_is_durable" },
    Mutant { number: 2, name: "acknowledgement_does_not_wait_for_the_disk" },
    Mutant { number: 3, name: "leader_counts_itself_before_it_is_durable" },
    Mutant { number: 4, name: "commit_counts_bytes_of_an_older_term" },
    Mutant { number: 5, name: "vote_key_compares_positions_only" },
    Mutant { number: 6, name: "votes_twice_in_one_term" },
    Mutant { number: 7, name: "adoption_cuts_nothing" },
    Mutant { number: 8, name: "data_is_taken_without_asking_the_history" },
    Mutant { number: 9, name: "follower_commits_beyond_what_it_verified" },
    Mutant { number: 10, name: "duplicates_are_appended_and_applied" },
    Mutant { number: 11, name: "reply_leaves_before_the_commit" },
    Mutant { number: 12, name: "stale_completion_counts_after_a_cut" },
    Mutant { number: 13, name: "quorum_is_half" },
    Mutant { number: 14, name: "completions_of_former_lives_count" },
    Mutant { number: 15, name: "every_timer_asks_again" },
    Mutant { number: 16, name: "acknowledges_before_the_history_is_adopted" },
    Mutant { number: 17, name: "believes_a_commit_position_before_adoption" },
    Mutant { number: 18, name: "failover_forgets_the_reply_window" },
];

/// Number 1.
pub const VOTE_BEFORE_DURABLE: u32 = 1;
/// Number 2.
pub const ACKNOWLEDGE_BEFORE_DURABLE: u32 = 2;
/// Number 3.
pub const LEADER_COUNTS_ITSELF_EARLY: u32 = 3;
/// Number 4: figure 8 of the Raft paper.
pub const COMMIT_OLD_TERMS: u32 = 4;
/// Number 5.
pub const VOTE_KEY_WITHOUT_TERM: u32 = 5;
/// Number 6.
pub const DOUBLE_VOTE: u32 = 6;
/// Number 7.
pub const NO_CUT_AT_ADOPTION: u32 = 7;
/// Number 8.
pub const SLICES_OF_ANY_TERM: u32 = 8;
/// Number 9.
pub const COMMIT_BEYOND_VERIFIED: u32 = 9;
/// Number 10.
pub const NO_DEDUPLICATION: u32 = 10;
/// Number 11.
pub const REPLY_BEFORE_COMMIT: u32 = 11;
/// Number 12.
pub const SYNC_OUTLIVES_CUT: u32 = 12;
/// Number 13.
pub const COMMIT_QUORUM_ONE_SHORT: u32 = 13;
/// Number 14.
pub const GHOST_COMPLETIONS: u32 = 14;
/// Number 15.
pub const NAK_WITHOUT_PATIENCE: u32 = 15;
/// Number 16.
pub const ACKNOWLEDGE_BEFORE_ADOPTION: u32 = 16;
/// Number 17.
pub const COMMIT_BEFORE_ADOPTION: u32 = 17;
/// Number 18.
pub const REPLIES_NOT_KEPT: u32 = 18;

#[cfg(quorate_mutants)]
static CHOSEN: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);

/// Switches to the mistake with this number; zero means none.
#[cfg(quorate_mutants)]
pub fn choose(number: u32) {
    CHOSEN.store(number, core::sync::atomic::Ordering::SeqCst);
}

/// Whether the mistake with this number is to be made.
#[cfg(quorate_mutants)]
#[must_use]
pub fn is(number: u32) -> bool {
    CHOSEN.load(core::sync::atomic::Ordering::Relaxed) == number
}

/// Whether the mistake with this number is to be made: never, in a build without mutants.
#[cfg(not(quorate_mutants))]
#[must_use]
pub const fn is(_number: u32) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_from_one() {
        assert!(ALL.iter().zip(1..).all(|(mutant, number)| mutant.number == number));
    }
}
