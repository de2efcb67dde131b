//! Commit and durability.

mod commits;
mod decisions;
mod gates;
mod levels;
mod recovery;
pub(super) mod stages;
mod waits;

use self::commits::{cd_01, cd_04, cd_08, cd_12, cd_15, cd_16, cd_17, cd_19, cd_21};
use self::decisions::{cd_02, cd_03, cd_05, cd_06, cd_07, cd_14, cd_18};
use self::gates::cd_13;
use self::levels::{cd_09, cd_11};
use self::recovery::cd_10;
use self::waits::cd_20;
use crate::case::Case;

pub(super) const CASES: &[Case] = &[
    Case::cluster(
        "CD-01",
        "strict commit",
        "Whichever disks sync nothing, a position is committed exactly if a quorum of disks has all bytes before it, the leader's own disk being one of them.",
        cd_01,
    )
    .quick()
    .edges(&["E22", "E37", "E41"]),
    Case::core(
        "CD-02",
        "bytes of an old term",
        "Bytes that a leader inherited are not committed by counting, on however many disks they are, before a quorum has bytes of its own term, and till then another leader may disown them.",
        cd_02,
    )
    .quick()
    .edges(&["E21"]),
    Case::core(
        "CD-03",
        "follower bound",
        "A follower commits what its leader has committed, but never beyond what it has verified under this leader's adopted and durable history.",
        cd_03,
    )
    .quick()
    .edges(&["E23", "E27"]),
    Case::cluster(
        "CD-04",
        "acknowledgement waits for the disk",
        "While a sync is under way no acknowledgement states bytes that it covers, and when it completes exactly one leaves that does.",
        cd_04,
    )
    .quick()
    .edges(&["E37"]),
    Case::core(
        "CD-05",
        "a late sync of bytes that were cut off",
        "When bytes were cut off and others came to the same place, the sync of the first makes nothing of the others durable, in whichever order it, the vote and the history complete.",
        cd_05,
    )
    .quick()
    .edges(&["E38"]),
    Case::core(
        "CD-06",
        "completions out of order",
        "A sync, a vote, a history, the records of peers and a read that are under way at once end in the same state, in whichever of the 120 orders they complete.",
        cd_06,
    )
    .edges(&["E39"]),
    Case::core(
        "CD-07",
        "completions of another life",
        "A completion of another life, of no operation at all, or one that comes twice does nothing and is counted.",
        cd_07,
    )
    .edges(&["E40"]),
    Case::cluster(
        "CD-08",
        "last commit is announced",
        "When traffic ends, all followers know the last commit position within one heartbeat.",
        cd_08,
    )
    .edges(&["E32"]),
    Case::cluster(
        "CD-09",
        "volatile mode, minority loss",
        "At the volatile level a message is answered when a quorum has it in memory, no disk is waited for, and nothing that is answered is lost when any minority loses what it has not synced.",
        cd_09,
    )
    .quick(),
    Case::core(
        "CD-10",
        "volatile mode, majority loss",
        "When a majority of a volatile group lost what it held, the disks of a majority tell what is kept, which is all that was safe at least, and from where on all that was promised is lost; in a new recovery epoch only the member whose log is kept leads first, and by that only while a majority knows of no term there.",
        cd_10,
    )
    .edges(&["E120"]),
    Case::cluster(
        "CD-11",
        "unclean restart elects nobody alone",
        "At the volatile level a member that may have lost bytes says so when it votes and acknowledges nothing before it has all again that it may have lost, so that nobody leads without the committed ones; one of two, and of three with one dead, who led before goes on with it.",
        cd_11,
    ),
    Case::cluster(
        "CD-12",
        "a reply waits for the disks",
        "At the durable level a reply comes only when a quorum of disks has the message; at the volatile one a client that waits for a position is told so only then; and then a loss of all power loses nothing of it.",
        cd_12,
    )
    .edges(&["E37", "E55"]),
    Case::core(
        "CD-13",
        "vote, term and history are always synced",
        "In groups of each size no ballot, request for votes, acknowledgement, line of a history or byte of a term leaves before the vote, the term or the history that it rests on is durable.",
        cd_13,
    )
    .edges(&["E02", "E37"]),
    Case::core(
        "CD-14",
        "committed is final",
        "A history that would cut the log below the commit position stops the member with both positions as the reason and the log as it was, and one that cuts at or above it does not.",
        cd_14,
    )
    .quick()
    .edges(&["E26"]),
    Case::cluster(
        "CD-15",
        "outcome of pending messages",
        "When a leader is lost with messages under way, each is answered exactly once by its successor, and when the session is lost too, their outcome is told to be unknown.",
        cd_15,
    )
    .quick()
    .edges(&["E35", "E106"]),
    Case::cluster(
        "CD-16",
        "disk stall on the leader",
        "A leader whose disk hangs while its heartbeats go on abdicates within its progress time-out, here less than two election time-outs, and service resumes.",
        cd_16,
    )
    .edges(&["E49"]),
    Case::cluster(
        "CD-17",
        "cold start",
        "When all members are killed or lose their power at once, again and again, no term falls and nothing that was committed is lost.",
        cd_17,
    )
    .edges(&["E55"]),
    Case::core(
        "CD-18",
        "what a restart makes of its log",
        "A restart takes a log that ends at a whole position of its history, refuses any other, keeps the newest term, and knows nothing as committed or applied before a leader says so.",
        cd_18,
    )
    .edges(&["E24", "E42"]),
    Case::cluster(
        "CD-19",
        "disk and network overlap",
        "A commit takes as long as the way to a follower, onto its disk and back: the leader's own disk works meanwhile.",
        cd_19,
    )
    .should(),
    Case::core(
        "CD-20",
        "mixed levels",
        "Messages whose replies wait for a quorum of disks, and others, of one session of a volatile group are answered in their order, each not before what it asked for holds, also by a leader that inherited them; another session's replies wait for none of them.",
        cd_20,
    )
    .quick(),
    Case::cluster(
        "CD-21",
        "state and applied position",
        "Neither the service's state nor the applied position is stored: wherever a crash falls, the next life applies the log from its beginning and comes to the same state as the others.",
        cd_21,
    )
    .quick()
    .edges(&["E52"]),
];

#[cfg(test)]
mod tests {
    #[test]
    fn all_cases_hold_for_the_core() {
        crate::catalogue::hold_for_the_core(super::CASES);
    }
}
