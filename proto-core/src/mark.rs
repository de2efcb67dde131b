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
        /// All places.
        pub const ALL: &[Mark] = &[$(Mark {
            name: stringify!($name),
            test: stringify!($test),
        },)*];

        $(
            #[doc = concat!("The place `", stringify!($name), "`.")]
            pub const $constant: usize = index_of(stringify!($name));
        )*
    };
}

/// Where the mark of this name stands in [`ALL`]; found at compile time.
const fn index_of(name: &str) -> usize {
    let mut index = 0;
    while index < ALL.len() {
        if equal(ALL[index].name.as_bytes(), name.as_bytes()) {
            return index;
        }
        index += 1;
    }
    panic!("no mark has this name")
}

const fn equal(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

marks! {
    CANDIDATE_MEETS_LEADER candidate_meets_a_leader
        e07_a_member_that_was_away_keeps_the_leader_and_the_term,
    CANVASS_TEACHES refused_canvass_teaches
        e81_who_is_refused_learns_history_and_bytes_from_the_refuser,
    BALLOT_REFUSED ballot_is_refused
        e104_a_clock_that_goes_backwards_or_jumps_ahead_does_no_harm,
    BALLOT_REPEATED vote_is_granted_again
        e03_a_repeated_request_gets_the_same_grant_and_waits_for_no_disk,
    TERM_ENDS_LEADERSHIP newer_term_ends_a_leadership
        what_a_stopping_leader_sends_last_is_still_there,
    LATE_GRANT grant_comes_late
        who_is_told_to_stop_does_not_come_to_lead,
    ADOPTION_CUTS adoption_cuts_bytes
        a_deposed_leader_loses_what_only_it_has,
    TAUGHT_BY_FOLLOWER history_comes_from_a_follower
        e81_who_is_refused_learns_history_and_bytes_from_the_refuser,
    HISTORY_WAITS history_is_asked_for_before_it_is_durable
        e02_no_ballot_leaves_before_the_vote_is_durable,
    STALE_ACKNOWLEDGEMENT acknowledgement_is_stale
        e30_old_acknowledgements_move_nothing,
    QUORUM_LOST leader_abdicates_without_a_quorum
        e83_a_leader_that_sends_but_hears_nobody_steps_down,
    NO_PROGRESS leader_abdicates_without_progress
        e49_a_leader_whose_disk_hangs_abdicates,
    OWN_ABSENCE leader_forgives_its_own_absence
        a_pause_of_the_leader_closes_no_session_of_a_living_client,
    OLD_TERM_COUNTED quorum_holds_only_an_older_term
        e21_old_terms_are_not_committed_by_counting,
    STALE_COMPLETION completion_of_another_life
        e40_a_completion_of_another_life_is_inert,
    SYNC_MEETS_CUT cut_lowers_a_sync_under_way
        e38_a_cut_lowers_the_sync_that_is_under_way,
    COLD_REPAIR repair_is_read_from_the_archive
        a_member_behind_the_window_is_repaired_from_an_archive,
    REPAIR_LINGERS repair_is_not_repeated
        e90_a_repair_is_not_repeated_while_it_lingers,
    REPAIR_BUDGET_SPENT repair_budget_is_spent
        e90_repairs_stay_within_their_budget,
    BYTES_UNAVAILABLE bytes_are_not_there
        nk01_what_is_lost_is_repaired_by_naks_alone,
    BYTES_PURGED purged_bytes_are_asked_for
        e77_what_is_purged_is_refused_at_once,
    OTHER_SOURCE another_source_is_asked
        a_member_behind_the_window_is_repaired_from_an_archive,
    CATCH_UP_SHARED part_of_a_catch_up_is_asked_of_a_source
        a_large_catch_up_is_shared_and_spares_the_leader,
    SOURCE_PASSED_OVER source_of_a_catch_up_is_passed_over
        a_source_that_is_deaf_is_passed_over,
    FARTHEST_DROPPED farthest_range_is_dropped
        the_farthest_ranges_are_dropped,
    SLICE_NOT_OWNED slice_is_not_of_the_history
        bytes_of_a_term_that_the_history_lacks_are_dropped,
    FORMER_LIFE datagram_of_a_former_life
        e93_former_lives_and_strangers_are_not_heard,
    CHAINS_COMPARED chain_values_are_compared
        e11_a_second_leader_of_the_own_term_stops_a_leader,
    APPLIED_FROM_ARCHIVE frames_are_applied_from_the_archive
        el01_a_single_voter_leads_at_once_and_alone,
    BATCH_BARRIER batch_ends_before_a_timer
        e121_a_commit_position_inside_a_frame_commits_nothing_of_it,
    CLOCK_JUMPED leaders_clock_jumps
        a_jump_of_a_leaders_clock_is_bounded_and_told,
    TIMER_NOT_DELIVERED fired_timer_was_cancelled
        a_timer_fires_once_and_only_with_its_deadline,
    MESSAGE_WAITS message_waits_for_room
        e114_what_is_not_committed_is_bounded_at_the_leader,
    DUPLICATE_MESSAGE message_is_a_duplicate
        replies_stay_in_the_window_of_a_client_that_does_not_get_them,
    SESSION_RESUMED session_is_resumed
        e93_an_old_connect_and_old_data_apply_nothing_twice,
    STORAGE_RETRIED full_storage_is_tried_again
        e48_a_full_disk_hands_over_and_recovers,
    CLIENT_LOSES_LEADER client_loses_its_leader
        a_deposed_leader_is_left,
    TARGET_TOLD target_of_a_transfer_is_told
        e16_a_target_that_is_behind_is_brought_level_first,
    CAMPAIGN_DEMANDED campaign_is_demanded
        el24_a_leader_hands_over_to_the_member_that_was_named,
    READMISSION_MET readmission_is_met
        e47_a_wiped_member_is_readmitted_and_counts_again,
    READMITTED wiped_member_counts_again
        e47_a_wiped_member_is_readmitted_and_counts_again,
    SNAPSHOT_ASKED_FOR snapshot_is_asked_for
        e29_a_member_behind_everybodys_purge_fetches_a_snapshot,
    SNAPSHOT_UNAVAILABLE snapshot_is_not_there
        e75_a_pruned_snapshot_is_begun_anew,
    SNAPSHOT_SOURCE_LOST source_of_a_snapshot_is_lost
        e75_a_pruned_snapshot_is_begun_anew,
    SNAPSHOT_OUTRUN log_outruns_a_fetched_snapshot
        e71_a_log_that_heals_past_a_snapshot_drops_it,
    SNAPSHOT_REJECTED fetched_snapshot_is_rejected
        e72_a_fetched_snapshot_of_another_log_is_rejected_by_name,
    SNAPSHOT_INSTALLED fetched_snapshot_is_installed
        e29_a_member_behind_everybodys_purge_fetches_a_snapshot,
    IMPAIRED_REGISTERED impaired_member_is_registered
        cd11_an_impaired_member_elects_nobody_alone_and_heals,
    HEALED impaired_member_is_healed
        cd11_an_impaired_member_elects_nobody_alone_and_heals,
    REPLY_AWAITS_SAFE reply_waits_until_it_is_safe
        cd20_each_reply_waits_for_what_its_message_asked_for,
    RECOVERED_BY_FORCE forced_recovery_is_learnt_of
        cd10_a_group_that_lost_what_it_held_goes_on_by_force,
    MEMBERSHIP_IN_EFFECT membership_comes_into_effect
        mb20_a_group_grows_and_shrinks_under_load,
    MEMBERSHIP_CUT membership_is_cut
        e61_a_cut_brings_the_former_membership_back,
    CHANGE_COMPLETED joint_phase_is_completed
        mb20_a_group_grows_and_shrinks_under_load,
    LEADER_REMOVED leader_has_removed_itself
        e59_a_leader_that_removes_itself_counts_itself_no_more,
    TOLD_OF_REMOVAL removed_member_is_told
        e58_a_removed_member_disturbs_nobody_and_is_told,
    OBSERVER_LEARNS who_is_no_voter_yet_learns_of_who_asks_it
        e65_a_voter_that_does_not_know_it_yet_learns_of_who_asks,
    WINDOW_WRAPS frame_lies_around_the_end_of_a_ring
        a_full_outlet_takes_nothing_until_it_is_released,
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
