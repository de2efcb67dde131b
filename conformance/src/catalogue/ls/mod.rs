//! Log sequencing.

mod divergence;
mod exhaustion;
mod leading;
mod logs;
mod order;
mod purged;
mod whole;

use crate::case::Case;

pub(super) const CASES: &[Case] = &[
    Case::cluster(
        "LS-01",
        "one total order",
        "All members commit the same bytes, and the messages of each client stand in the log in the order in which it sent them.",
        order::ls_01,
    )
    .quick(),
    Case::cluster(
        "LS-02",
        "positions",
        "Frames follow one another without a hole, and a position of a term is given to one frame only, over all crashes.",
        order::ls_02,
    )
    .quick(),
    Case::cluster(
        "LS-03",
        "timestamps",
        "Cluster time never falls along the log, though a leader's clock steps back an hour and a later leader is an hour behind.",
        order::ls_03,
    )
    .edges(&["E104"]),
    Case::core(
        "LS-04",
        "log matching",
        "A follower with any log takes over the leader's: it cuts exactly where the histories part, keeps what is committed, and stops if it cannot.",
        divergence::ls_04,
    )
    .quick()
    .edges(&["E25", "E26", "E27", "E28"]),
    Case::cluster(
        "LS-05",
        "term-opening frame",
        "The first frame of a term opens it, without any traffic, and bytes of older terms become committed only together with it.",
        order::ls_05,
    )
    .quick()
    .edges(&["E21", "E33"]),
    Case::core(
        "LS-06",
        "stale slices",
        "Late slices, heartbeats and histories, however short, never cut a log that matches.",
        divergence::ls_06,
    )
    .quick()
    .edges(&["E25"]),
    Case::core(
        "LS-07",
        "hole or duplicate in a run",
        "A datagram that is not one slice between words is refused whole and counted, and of a run with a hole or a duplicate inside nothing behind the last sound frame counts.",
        divergence::ls_07,
    )
    .edges(&["E34"]),
    Case::core(
        "LS-08",
        "cost of divergence",
        "However long the logs and whatever their frames, a follower that parted k terms ago finds the cut with one history, in at most 2k + 2 messages.",
        divergence::ls_08,
    )
    .edges(&["E28"]),
    Case::core(
        "LS-09",
        "same position, other bytes",
        "A member whose bytes differ from the leader's at one position of one term has another chain value and goes inert; nothing is merged.",
        divergence::ls_09,
    )
    .edges(&["E36"]),
    Case::cluster(
        "LS-10",
        "message cut by a failover",
        "A message of which the followers have only a part when its leader dies is visible nowhere, and positions are equal afterwards.",
        whole::ls_10,
    )
    .edges(&["E92"]),
    Case::cluster(
        "LS-11",
        "batching",
        "A single message leaves the leader in the turn in which it arrives, and under load a datagram carries at least eight messages.",
        order::ls_11,
    )
    .should(),
    Case::core(
        "LS-12",
        "exhaustion",
        "Terms, positions and message numbers near their end are refused or stop the member, and never wrap.",
        exhaustion::ls_12,
    )
    .edges(&["E96", "E110"]),
    Case::core(
        "LS-13",
        "torn writing",
        "Wherever in a run of frames the writing ends, each message is there whole or not at all, and what is there is a prefix in order.",
        whole::ls_13,
    )
    .edges(&["E44"]),
    Case::core(
        "LS-14",
        "leader append-only",
        "Whatever reaches a leader, in its term it only adds frames of that term behind its log, and cuts and rewrites nothing.",
        leading::ls_14,
    ),
    Case::cluster(
        "LS-15",
        "any range again",
        "Whoever asks for a range that is there gets its bytes from window or archive, and whoever asks for one that is not there is told so.",
        whole::ls_15,
    )
    .edges(&["E88"]),
    Case::core(
        "LS-16",
        "purged predecessor",
        "What a follower has purged counts as a match, whatever comes of it again: it is never written, denied or asked for; who asks for what a leader has purged is told where its log begins; and who lacks what all others have purged asks for a snapshot in its place.",
        purged::ls_16,
    )
    .edges(&["E29"]),
    Case::core(
        "LS-17",
        "stale acknowledgements",
        "Acknowledgements that are repeated, reordered, or of another term or life never let the commit position rise or fall wrongly: it equals a brute-force count.",
        leading::ls_17,
    )
    .quick()
    .edges(&["E22", "E30"]),
    Case::cluster(
        "LS-18",
        "hints are only hints",
        "With every optional kind of datagram lost for ever, members elect, commit, answer and come level, only more slowly.",
        order::ls_18,
    ),
];

#[cfg(test)]
mod tests {
    #[test]
    fn all_cases_pass() {
        crate::catalogue::tests::all_pass(super::CASES);
    }
}
