//! Deliberate mistakes, one at a time, that the simulator or a case must find: in the core, and in
//! the codecs and the archive that are around it. They exist only under `--cfg quorate_mutants`;
//! otherwise [`is`] is a constant `false` and nothing of them is compiled.

/// One deliberate mistake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mutant {
    /// Its number, from 1 on: what the core asks [`is`] for. It stays the same for ever.
    pub number: u32,
    /// What is wrong with it, in snake case.
    pub name: &'static str,
    /// The edge cases that it gets wrong, by their numbers in EDGE_CASES.md.
    pub edge_cases: &'static [u16],
}

macro_rules! mutants {
    ($($constant:ident = $number:literal $name:ident [$($edge_case:literal),*],)*) => {
        /// All deliberate mistakes.
        pub const ALL: &[Mutant] = &[$(Mutant {
            number: $number,
            name: stringify!($name),
            edge_cases: &[$($edge_case),*],
        },)*];

        $(
            #[doc = concat!("Number ", $number, ": `", stringify!($name), "`.")]
            pub const $constant: u32 = $number;
        )*
    };
}

mutants! {
    VOTE_BEFORE_DURABLE = 1 vote_leaves_before_it_is_durable [2],
    ACKNOWLEDGE_BEFORE_DURABLE = 2 acknowledgement_does_not_wait_for_the_disk [37],
    LEADER_COUNTS_ITSELF_EARLY = 3 leader_counts_itself_before_it_is_durable [41],
    COMMIT_OLD_TERMS = 4 commit_counts_bytes_of_an_older_term [21],
    VOTE_KEY_WITHOUT_TERM = 5 vote_key_compares_positions_only [4],
    DOUBLE_VOTE = 6 votes_twice_in_one_term [2],
    NO_CUT_AT_ADOPTION = 7 adoption_cuts_nothing [27],
    SLICES_OF_ANY_TERM = 8 data_is_taken_without_asking_the_history [89],
    COMMIT_BEYOND_VERIFIED = 9 follower_commits_beyond_what_it_verified [23, 92],
    NO_DEDUPLICATION = 10 duplicates_are_appended_and_applied [106, 107],
    REPLY_BEFORE_COMMIT = 11 reply_leaves_before_the_commit [24],
    SYNC_OUTLIVES_CUT = 12 stale_completion_counts_after_a_cut [38],
    COMMIT_QUORUM_ONE_SHORT = 13 quorum_is_half [22],
    GHOST_COMPLETIONS = 14 completions_of_former_lives_count [40],
    NAK_WITHOUT_PATIENCE = 15 every_timer_asks_again [87],
    ACKNOWLEDGE_BEFORE_ADOPTION = 16 acknowledges_before_the_history_is_adopted [27],
    COMMIT_BEFORE_ADOPTION = 17 believes_a_commit_position_before_adoption [23, 27],
    REPLIES_NOT_KEPT = 18 failover_forgets_the_reply_window [111],
    STANDS_AGAIN_IN_ITS_TERM = 19 candidate_stands_again_in_its_old_term [36, 55],
    ELECTION_QUORUM_ONE_SHORT = 20 half_of_the_grants_elect [22],
    GRANTS_COUNT_TWICE = 21 repeated_grants_count_twice [3],
    VOTE_IS_FORGOTTEN = 22 restart_forgets_the_term_of_the_vote [2, 55],
    OLD_LEADERS_ARE_FOLLOWED = 23 heartbeat_of_an_old_term_is_followed [5],
    NEWER_TERM_KEEPS_THE_ROLE = 24 newer_term_does_not_end_a_leadership [6],
    TWO_LEADERS_MERGE = 25 second_leader_of_the_own_term_is_ignored [11],
    FOLLOWER_APPLIES_EVERYTHING = 26 follower_applies_what_is_not_committed [24],
    CUTS_MATCHING_BYTES = 27 adoption_cuts_what_matches [25],
    COMMIT_OF_TWO_NEEDS_ONE = 28 one_of_two_members_commits_alone [69],
    ACKNOWLEDGES_RECEIVED = 29 acknowledges_what_it_only_received [37, 92],
    ACKNOWLEDGEMENTS_BEGIN_ANEW = 30 acknowledgements_are_numbered_anew_for_each_leader [30],
    FORMER_LIVES_ARE_HEARD = 31 datagrams_of_former_lives_are_heard [93],
    OTHER_INCARNATIONS_ARE_HEARD = 32 datagrams_of_another_incarnation_are_heard [93],
    ROUND_WRAPS = 33 heartbeat_round_wraps_at_256 [96],
    SERVES_BEFORE_ITS_TERM = 34 leader_serves_before_its_opening_frame [98],
    CLOSES_SESSIONS_ALONE = 35 leader_closes_sessions_without_the_log [108],
    FOLLOWERS_ANSWER = 36 followers_answer_clients [112],
    DRAWS_FROM_AN_ADDRESS = 37 time_out_is_drawn_from_an_address [118],
    CLUSTER_TIME_FALLS = 38 new_leader_counts_cluster_time_from_zero [],
    CANCELLED_TIMERS_FIRE = 39 cancelled_timers_fire [],
    TIMERS_FIRE_EARLY = 40 timers_fire_before_their_deadline [],
    REPAIRS_DO_NOT_LINGER = 41 repairs_are_repeated_at_once [90],
    REPAIRS_WITHOUT_BUDGET = 42 repairs_have_no_budget [90],
    FOLLOWER_LIMIT_IS_IGNORED = 43 leader_sends_beyond_the_followers_limit [116],
    LIMIT_FALLS = 44 limit_of_a_stream_falls_with_what_is_held [116],
    FULL_DISK_IS_FORGOTTEN = 45 refused_append_counts_as_written [48],
    WRITES_BEFORE_THE_LINE = 46 bytes_of_a_term_go_before_its_line [],
    HEARTBEATS_DO_NOT_QUIET = 47 heartbeats_do_not_put_off_elections [7],
    HOLES_ARE_ASKED_FOR_ONCE = 48 holes_are_asked_for_once [],
    HISTORY_IS_ASKED_FOR_ONCE = 49 history_is_asked_for_once [31],
    UNCOMMITTED_IS_UNBOUNDED = 50 uncommitted_bytes_are_not_bounded [114],
    UNAPPLIED_IS_UNBOUNDED = 51 unapplied_bytes_are_not_bounded [115],
    FULL_LOG_WAKES_ITS_TIMER = 52 timer_without_room_is_reported_as_due [105],
    STOPPED_GOES_ON = 53 stopped_member_goes_on [43],
    DENIES_WHAT_IT_HOLDS = 54 bytes_of_the_archive_are_denied [88],
    REGRESSED_MEMBER_COUNTS = 55 member_that_lost_bytes_counts [47],
    REPLIES_ARE_DELIVERED_TWICE = 56 client_delivers_a_reply_twice [111],
    SERVICE_ANSWERS_FOR_ANOTHER = 57 service_answers_what_another_register_held [],
    RECORDS_ARE_ALWAYS_DIRTY = 58 idle_member_writes_its_peers_again_and_again [],
    TIMERS_FIRE_ONCE_A_TERM = 59 fired_timers_never_fire_again_in_a_term [],
    CONNECTIONS_STAY = 60 connections_outlive_their_sessions [],
    COVERAGE_IS_UNBOUNDED = 61 ranges_behind_holes_are_not_bounded [91],
    FOLLOWER_STAMPS_FRAMES = 62 follower_stamps_frames_with_a_time_of_its_own [],
    REPLIES_SHIFT_BY_ONE = 63 message_gets_the_reply_to_the_one_before [106],
    FORGETS_VOTERS_UNHEARD_OF = 64 restart_forgets_voters_that_it_has_no_record_of [],
    SERVICE_ANSWERS_ITSELF = 65 service_answers_what_was_just_put_in [],
    SERVICE_ANSWERS_OUT_OF_ORDER = 66 service_numbers_its_answers_out_of_order [],
    ASKS_IN_SIPS = 67 lagging_member_asks_for_eight_bytes_at_a_time [],
    REGRESSED_MEMBER_VOTES = 68 vote_of_a_member_that_lost_bytes_counts [47],
    SNAPSHOT_COUNTS_EARLY = 69 snapshot_counts_before_it_is_stored [50],
    SNAPSHOT_NAMES_ITS_MEMBER = 70 snapshot_holds_what_only_its_member_knows [79],
    SNAPSHOT_WITHOUT_REPLIES = 71 snapshot_forgets_the_reply_windows [79, 111],
    SNAPSHOT_WITHOUT_TIMERS = 72 snapshot_forgets_the_timers [79],
    SNAPSHOT_DOES_NOT_WAIT = 73 snapshot_is_taken_while_frames_are_with_the_service [73, 79],
    TRANSFER_STICKS = 74 transfer_that_failed_is_never_over [17],
    TRANSFER_DOES_NOT_WAIT = 75 target_is_told_to_campaign_before_it_has_all_bytes [16],
    CAMPAIGN_ASKS_FIRST = 76 target_of_a_transfer_canvasses_first [18],
    CANDIDACY_IS_BLOCKED = 77 member_of_low_priority_never_stands [19],
    STALLS_ARE_TOLD_AGAIN = 78 stall_is_told_at_every_look [],
    WIPED_MEMBER_COUNTS = 79 wiped_member_counts_at_once [47],
    COUNTS_BEFORE_READMISSION_COMMITS = 80 member_counts_before_its_readmission_is_committed [47],
    READMISSION_EXCLUDES_NOBODY = 81 former_lives_count_after_a_readmission [47],
    PURGES_UP_TO_THE_NEWEST = 82 log_is_purged_up_to_the_newest_snapshot [50],
    PURGES_BEFORE_IT_COUNTS = 83 log_is_purged_before_the_snapshot_counts [50, 78],
    PURGED_BYTES_ARE_NOT_REFUSED = 84 request_for_purged_bytes_is_not_answered [77],
    ORIGIN_OF_ANOTHER_PLACE = 85 purged_log_begins_with_the_chain_of_another_place [],
    LEADER_CARRIES_CATCH_UP = 91 catch_up_asks_the_leader_for_all [],
    REFUSALS_ARE_FORGOTTEN = 92 who_lacks_a_part_is_asked_again_at_once [88],
    DEAF_SOURCES_ARE_TRUSTED = 93 source_that_does_not_answer_is_asked_on [],
    PARTS_ARE_ASKED_OF_TWO = 94 parts_of_a_catch_up_are_asked_of_two_at_once [],
    SERVES_LATE = 95 leader_serves_nobody_for_ten_seconds [],
    LOST_REPLIES_STAY_LOST = 96 lost_replies_are_never_sent_again [],
    INSTALLS_UNCHECKED = 97 snapshot_of_another_is_installed_without_a_check [74, 76],
    FETCHES_BEHIND_ITS_LOG = 98 older_snapshot_of_another_is_asked_for [71],
    SERVED_SNAPSHOTS_ARE_NOT_PINNED = 100 snapshot_that_is_served_is_not_pinned [75],
    PROMISES_WHILE_INSTALLING = 101 member_goes_on_while_it_installs [73],
    INSTALL_DOES_NOT_RESTART = 102 installed_snapshot_begins_no_life [73],
    PURGED_HOLES_STAY = 103 what_all_have_purged_is_asked_for_for_ever [29],
    FORGETS_READMITTED_LIVES = 104 snapshot_forgets_who_was_readmitted [47],
    SCRUB_PASSES_OVER_SNAPSHOTS = 105 scrub_does_not_read_snapshots [],
    SCRUB_READS_ONCE = 106 scrub_reads_everything_once [45],
    MENDS_UNVERIFIED = 107 what_others_send_is_written_unverified [45],
    MENDED_IS_NOT_SYNCED = 108 what_is_mended_is_not_synced [45],
    BAD_SECTORS_STAY = 109 sector_that_cannot_be_read_is_not_mended [],
    CUTS_COMMITTED_BYTES = 110 adoption_cuts_committed_bytes [26],
    SLICES_BETWEEN_WORDS = 111 slices_of_the_log_begin_and_end_anywhere [34],
    LOST_SESSION_IS_CLOSED = 112 client_takes_a_lost_session_for_a_closed_one [35],
    RESTART_COMMITS_ITS_LOG = 113 restart_takes_its_whole_log_for_committed [24, 42],
    ROT_IS_CUT = 114 rot_below_the_durable_mark_is_cut [42, 45],
    CHECKSUM_WITHOUT_PLACE = 115 checksum_of_a_frame_does_not_know_its_place [51],
    RESTART_APPLIES_NOTHING = 116 restart_takes_its_whole_log_for_applied [52],
    ORPHANED_LOG_IS_TAKEN = 117 log_that_lacks_its_beginning_is_taken [53, 54],
    FOREIGN_DATAGRAMS_ARE_READ = 118 datagrams_of_other_groups_are_read [68],
    FOREIGN_FILES_ARE_TAKEN = 119 files_of_others_are_taken [68],
    FOREIGN_SNAPSHOT_IS_USED = 120 snapshot_of_another_log_is_used [72],
    CLAIMED_COUNT_RESERVES = 121 claimed_count_reserves_memory [94],
    DAMAGED_DATAGRAMS_ARE_READ = 122 checksum_of_a_datagram_is_not_looked_at [94],
    FAILED_SYNC_IS_REPEATED = 123 failed_sync_may_be_repeated [43],
    RECORDS_ARE_NOT_SYNCED = 124 votes_and_histories_are_reported_before_they_are_durable [2, 50],
    MISSING_SEGMENTS_ARE_PASSED_OVER = 125 missing_segments_are_passed_over [54],
    OUTSIDERS_RUN = 126 who_is_no_voter_runs [14],
    HOLDS_UNMARKED = 127 holding_is_stated_before_the_mark_is_durable [],
    MARK_IS_NOT_READ = 128 restart_does_not_read_the_mark [],
    IMPAIRED_GRANTS_ARE_FULL = 129 grants_of_impaired_voters_count_in_full [],
    HEALS_AT_ONCE = 130 impaired_member_counts_as_soon_as_it_is_registered [],
    REGISTERED_IN_ANY_LIFE = 131 registration_of_a_former_life_counts [],
    SAFE_IS_WHAT_IS_HELD = 132 safe_is_what_followers_hold_in_memory [],
    MENDER_ASKS_ONE = 133 mender_asks_the_same_one_again [46],
    SILENCE_IS_DENIAL = 134 who_is_silent_is_taken_to_lack_the_bytes [46],
    MENDER_NEVER_ENDS = 135 mender_asks_for_ever_for_what_nobody_has [46],
    MENDERS_ANSWER_NOBODY = 136 who_is_mended_sends_nobody_what_it_has [45],
    LOG_HAS_NO_CAP = 137 log_is_not_purged_at_its_cap [],
    SAFE_REPLIES_DO_NOT_WAIT = 138 replies_that_asked_for_safe_do_not_wait [],
    LEVEL_IS_LOST_WITH_THE_LEADER = 139 only_the_leader_knows_which_replies_wait [],
    DECREE_IS_ANYBODYS = 146 whoever_took_part_is_chosen_by_a_forced_recovery [120],
    DECREE_NEVER_ENDS = 147 forced_recovery_elects_when_its_epoch_has_terms [120],
    ONE_EPOCH_FOR_ALL = 148 frames_of_a_former_recovery_epoch_are_sealed_as_of_the_present [120],
    RECOVERY_IS_NOT_PREPARED = 149 forced_recovery_is_noted_where_it_has_come_to_only [120],
    JOINT_COUNTS_ONE_HALF = 150 joint_phase_counts_incoming_voters_only [63],
    CHANGES_BEFORE_ITS_TERM = 151 membership_changes_before_the_leader_has_committed [56],
    MEMBERSHIP_SURVIVES_CUT = 152 cut_leaves_the_membership_as_it_is [61],
    OBSERVERS_COUNT = 153 what_observers_hold_counts_for_commit [65],
    LEAVING_LEADER_COUNTS_ITSELF = 154 leader_that_removes_itself_counts_itself [59],
    COMPLETES_BEFORE_COMMIT = 155 change_is_completed_before_its_joint_phase_is_committed [57],
    SNAPSHOT_WITHOUT_MEMBERS = 156 snapshot_forgets_who_is_a_member [62],
    FORMER_MEMBER_IS_TAKEN = 157 removed_member_is_added_with_its_old_directory [67],
    OBSERVERS_STAND = 158 observer_stands_for_election [66],
    CHANGES_OVERLAP = 159 membership_changes_while_another_change_is_under_way [57],
    REMOVED_STAND_ON = 160 member_that_is_told_of_its_removal_stands_on [58],
    CHANGES_STAY_JOINT = 161 joint_phase_is_never_completed [64],
    READS_WITHOUT_A_ROUND = 170 leader_answers_reads_without_a_round [100],
    OLD_ROUNDS_CONFIRM_READS = 171 round_that_began_before_a_read_confirms_it [99],
    READS_BEFORE_ITS_TERM = 172 leader_answers_reads_before_it_has_committed_in_its_term [98],
    LEASE_OUTLIVES_A_TRANSFER = 173 lease_is_kept_when_another_is_told_to_campaign [103],
    SESSION_READS_GO_BACK = 174 session_reads_do_not_wait_for_their_position [],
    STALE_READS_HAVE_NO_BOUND = 175 stale_reads_have_no_bound [100],
    PROMISES_END_WITH_A_LIFE = 176 voter_that_starts_elects_at_once_where_there_are_leases [103],
    LEASE_IS_NOT_LOOKED_AT_AGAIN = 177 lease_is_not_looked_at_behind_the_query [102],
    RESTORED_GROUP_KNOWS_FORMER_LIVES = 180 restored_group_remembers_lives_of_the_former_one [],
    RESTORED_GROUP_KEEPS_ITS_EPOCH = 181 restored_group_goes_on_in_the_former_recovery_epoch [],
    RESTORED_INTO_ITS_OWN_GROUP = 182 backup_is_restored_into_the_group_that_it_is_of [68],
    BACKUP_OF_ANOTHER_LOG = 183 backup_is_taken_of_a_snapshot_that_the_log_lacks [72],
    BACKUP_IS_NOT_SYNCED = 184 backup_gets_its_name_before_it_is_synced [78],
    FIRED_TIMERS_STAY = 190 fired_timers_fire_again_under_another_leader [],
    CLOCK_JUMPS_ARE_LOG_TIME = 191 jump_of_a_leaders_clock_is_a_jump_of_log_time [104],
    CLOCK_JUMPS_ARE_NOT_TOLD = 192 jump_of_a_leaders_clock_is_not_told [],
    SESSIONS_END_WITHOUT_A_LEADER = 193 sessions_end_for_want_of_a_leader [],
    TIMERS_FIRE_OUT_OF_ORDER = 194 timers_fire_out_of_order [],
    DUE_TIMERS_FIRE_ALL_AT_ONCE = 195 all_due_timers_are_appended_at_once [],
    RESCHEDULED_TIMERS_KEEP_THEIR_DEADLINE = 196 rescheduled_timer_keeps_its_deadline [],
    REPLACED_TIMERS_ARE_FORGOTTEN = 197 timer_that_is_replaced_under_way_never_fires [],
    CLOCK_IS_FOLLOWED_BACK = 198 clock_of_the_core_goes_backwards [104],
    SILENCE_IS_THE_CLIENTS = 199 pause_of_a_leader_counts_as_silence_of_clients [],
}

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
        assert!(ALL.is_sorted_by(|one, next| one.number < next.number));
        assert_eq!(ALL.first().map(|mutant| mutant.number), Some(1));
    }
}
