//! Catch-up: a member that is far behind heals from whichever member can give what it lacks.
//!
//! `sources` asks who sends it, `logs` what becomes of the logs, `ranges` calls the core alone.

mod logs;
mod ranges;
mod reads;
mod sources;
mod wiped;

use crate::case::Case;

pub(super) use self::sources::small_windows;

use super::sn_fetches::{cu_03, cu_13};
pub(super) const CASES: &[Case] = &[
    Case::cluster(
        "CU-01",
        "empty follower",
        "A member that is wiped and rejoins under load comes to the same state and counts again, \
         and the leader's throughput stays at nine tenths meanwhile.",
        wiped::cu_01,
    )
    .edges(&["E47"]),
    Case::cluster(
        "CU-02",
        "from peers only",
        "A member that is a window behind and gets no bytes from its leader catches up from the \
         others, and nobody is elected; who lacks the same says so, and is believed for a while.",
        sources::cu_02,
    )
    .quick()
    .edges(&["E88"]),
    Case::cluster(
        "CU-03",
        "nobody has it",
        "Who lacks a range says so, the next is asked, and when nobody has it a snapshot brings \
         the member on.",
        cu_03,
    )
    .edges(&["E29"]),
    Case::core(
        "CU-04",
        "uncommitted data",
        "A member sends what it holds beyond its commit position, labelled with the term that \
         owns it, and who took that cuts it when another term turns out to own the positions.",
        ranges::cu_04,
    ),
    Case::cluster(
        "CU-05",
        "bad data from a peer",
        "False bytes from one source are never verified, and the member comes to the same log by \
         the help of the others.",
        sources::cu_05,
    ),
    Case::core(
        "CU-06",
        "missing-range set",
        "In whatever order ranges arrive, what is held and what is missing are those of a plain \
         set of bytes after each, and the ranges noted stay within their bound.",
        ranges::cu_06,
    )
    .quick()
    .edges(&["E91"]),
    Case::cluster(
        "CU-07",
        "hand-over to live",
        "A catch-up under load meets the live stream without a gap, a duplicate or a standstill.",
        logs::cu_07,
    ),
    Case::cluster(
        "CU-08",
        "no replay past commit",
        "A member that starts with an uncommitted tail applies nothing of it before a quorum has \
         committed it.",
        logs::cu_08,
    )
    .quick(),
    Case::cluster(
        "CU-09",
        "leader changes meanwhile",
        "When the leader is lost at any time of a catch-up, it goes on under the next one from \
         where it was.",
        logs::cu_09,
    ),
    Case::cluster(
        "CU-10",
        "shared burden",
        "Of a large catch-up in a group of five the leader sends at most two fifths, the others \
         even parts, no byte is asked for twice within the retry interval, and with uplinks of a \
         limited rate 95 of 100 messages are answered that are answered without it.",
        sources::cu_10,
    ),
    Case::cluster(
        "CU-11",
        "follower ahead of a new leader",
        "A former leader with a long uncommitted tail loses that tail and nothing else.",
        logs::cu_11,
    ),
    Case::cluster(
        "CU-12",
        "a majority is behind at restart",
        "When a group starts of which only some have all that is committed, nobody leads who \
         has not, and all come to have it.",
        logs::cu_12,
    ),
    Case::cluster(
        "CU-13",
        "retention race",
        "A range that is purged while it is asked for is passed over for a snapshot, without a \
         loop of failures.",
        cu_13,
    )
    .edges(&["E77"]),
    Case::cluster(
        "CU-14",
        "several terms behind",
        "A member with an empty log or a part of one that is several terms behind comes to the \
         same state.",
        logs::cu_14,
    ),
    Case::cluster(
        "CU-15",
        "reads and votes while catching up",
        "A member that catches up votes by its log alone: for one that has more, and it is not \
         elected by one that has more. It answers reads by their level when it has applied what \
         they are to see, and refuses them by name when that does not come.",
        logs::cu_15,
    ),
    Case::cluster(
        "CU-16",
        "level after an election",
        "Without any traffic of clients every member that runs reaches the position of a new \
         leader.",
        logs::cu_16,
    )
    .quick(),
    Case::cluster(
        "CU-17",
        "leader alone",
        "When nobody but the leader sends repairs, every member is still brought up to date.",
        sources::cu_17,
    ),
];

#[cfg(test)]
mod tests {
    #[test]
    fn all_cases_hold_for_the_core() {
        super::super::hold_for_the_core(super::CASES);
    }
}
