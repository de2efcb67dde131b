//! Places that a sweep of the simulator must have reached, or it proved nothing about them. They
//! exist only under `--cfg quorate_marks`; otherwise [`reached`] is empty and nothing of them is
//! compiled.

/// One place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// What happens there, in snake case. It stays the same for ever.
    pub name: &'static str,
    /// A small test that reaches it.
    pub test: &'static str,
}

macro_rules! marks {
    ($($constant:ident $name:ident $test:ident,)*) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "they count constants")]
        enum Index { $($constant),* }

        /// All places.
        pub const ALL: &[Mark] = &[$(Mark {
            name: stringify!($name),
            test: stringify!($test),
        },)*];

        $(
            #[doc = concat!("The place `", stringify!($name), "`.")]
            pub const $constant: usize = Index::$constant as usize;
        )*
    };
}

marks! {
    CANDIDATE_MEETS_LEADER candidate_meets_a_leader todo,
    CANVASS_TEACHES refused_canvass_teaches todo,
    BALLOT_REFUSED ballot_is_refused todo,
    BALLOT_REPEATED vote_is_granted_again todo,
    TERM_ENDS_LEADERSHIP newer_term_ends_a_leadership todo,
    LATE_GRANT grant_comes_late todo,
    ADOPTION_CUTS adoption_cuts_bytes todo,
    TAUGHT_BY_FOLLOWER history_comes_from_a_follower todo,
    HISTORY_WAITS history_is_asked_for_before_it_is_durable todo,
    STALE_ACKNOWLEDGEMENT acknowledgement_is_stale todo,
    FOLLOWER_LEFT_BEHIND follower_falls_out_of_the_window todo,
    QUORUM_LOST leader_abdicates_without_a_quorum todo,
    NO_PROGRESS leader_abdicates_without_progress todo,
    OWN_ABSENCE leader_forgives_its_own_absence todo,
    OLD_TERM_COUNTED quorum_holds_only_an_older_term todo,
    STALE_COMPLETION completion_of_another_life todo,
    SYNC_MEETS_CUT cut_lowers_a_sync_under_way todo,
    VOID_READ read_is_void todo,
    COLD_REPAIR repair_is_read_from_the_archive todo,
    REPAIR_LINGERS repair_is_not_repeated todo,
    REPAIR_BUDGET_SPENT repair_budget_is_spent todo,
    BYTES_UNAVAILABLE bytes_are_not_there todo,
    OTHER_SOURCE another_source_is_asked todo,
    FARTHEST_DROPPED farthest_range_is_dropped todo,
    SLICE_NOT_OWNED slice_is_not_of_the_history todo,
    FORMER_LIFE datagram_of_a_former_life todo,
    CHAINS_COMPARED chain_values_are_compared todo,
    APPLIED_FROM_ARCHIVE frames_are_applied_from_the_archive todo,
    BATCH_BARRIER batch_ends_before_a_timer todo,
    TIMER_NOT_DELIVERED fired_timer_was_cancelled todo,
    TIMER_WAITS timer_waits_for_room todo,
    MESSAGE_WAITS message_waits_for_room todo,
    DUPLICATE_MESSAGE message_is_a_duplicate todo,
    SESSION_RESUMED session_is_resumed todo,
    STORAGE_RETRIED full_storage_is_tried_again todo,
    REPLY_SKIPPED client_skips_a_reply_that_it_had todo,
    CLIENT_LOSES_LEADER client_loses_its_leader todo,
    WINDOW_WRAPS frame_lies_around_the_end_of_a_ring todo,
}

#[cfg(quorate_marks)]
static COUNTS: [core::sync::atomic::AtomicU64; ALL.len()] =
    [const { core::sync::atomic::AtomicU64::new(0) }; ALL.len()];

/// Counts that a place was reached.
#[cfg(quorate_marks)]
pub fn reached(mark: usize) {
    COUNTS[mark].fetch_add(1, core::sync::atomic::Ordering::Relaxed);
    #[cfg(test)]
    std::eprintln!("reached {}", ALL[mark].name);
}

/// Counts that a place was reached: not in a build without marks.
#[cfg(not(quorate_marks))]
#[inline(always)]
pub const fn reached(_mark: usize) {}

/// How often each place of [`ALL`] was reached since the process began; none in a build without
/// marks.
pub fn counts() -> impl Iterator<Item = (Mark, u64)> {
    #[cfg(quorate_marks)]
    return ALL
        .iter()
        .copied()
        .zip(&COUNTS)
        .map(|(mark, count)| (mark, count.load(core::sync::atomic::Ordering::Relaxed)));
    #[cfg(not(quorate_marks))]
    core::iter::empty()
}
