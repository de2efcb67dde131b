//! Recovery after disk faults.

mod crashes;
mod disks;
mod majority;
pub(super) mod members;

use crate::case::Case;
use crashes::df_13;
use disks::{df_02, df_03, df_09, df_12, df_15, df_16};
use majority::df_05;
use members::{df_01, df_07, df_08, df_10, df_11, df_14, df_17, df_19};

const PEER_REPAIR: &str = "repair of damaged bytes by peers on the stage";

pub(super) const CASES: &[Case] = &[
    Case::cluster(
        "DF-01",
        "a sync fails once",
        "A member whose disk fails one sync goes inert for good, acknowledges nothing of what the \
         sync was to cover, and comes back only by a restart; the others go on.",
        df_01,
    )
    .quick()
    .edges(&["E43"]),
    Case::core(
        "DF-02",
        "torn tail",
        "A log whose last frame is torn at any byte is cut at the end of the last whole frame, and \
         goes on from there.",
        df_02,
    )
    .quick()
    .edges(&["E44"]),
    Case::core(
        "DF-03",
        "rot below what is known to be durable",
        "A log with a damaged bit anywhere below its durable mark is not cut: the member does not \
         start, the refusal names the frame, and the file stays as it is.",
        df_03,
    )
    .without(
        "others heal it, and it may not lead meanwhile: repair of damaged bytes by peers on the \
         stage",
    )
    .quick()
    .edges(&["E45"]),
    Case::waits(
        "DF-04",
        "disjoint rot on all members",
        "Damage of different ranges on all members is repaired from one another without an \
         operator.",
        PEER_REPAIR,
    ),
    Case::cluster(
        "DF-05",
        "the same range rotten on a majority or on all",
        "A range that most members have lost, or all, stops the group: nobody starts on the damage, \
         and directories with what is whole of them elect nobody, acknowledge nothing and answer \
         nothing; one that a minority has lost comes back from the others.",
        df_05,
    )
    .without(
        "a range that most have lost comes back from one good copy: repair of damaged bytes by \
         peers on the stage",
    )
    .quick()
    .edges(&["E46"]),
    Case::waits(
        "DF-06",
        "perhaps committed, and damaged",
        "Bytes of which a member cannot tell whether a crash or rot took them are neither claimed \
         nor denied before its peers have said what they know.",
        PEER_REPAIR,
    ),
    Case::cluster(
        "DF-07",
        "disk full",
        "A leader without space for its log hands over, keeps no half frame, goes on voting, and \
         takes part again when there is space.",
        df_07,
    )
    .edges(&["E48"]),
    Case::cluster(
        "DF-08",
        "unreadable sectors",
        "What a member's disk does not give back, at once or ever, who asked for it gets from another \
         member; a member that has to apply it stops by name, and the others go on; one whose \
         newest snapshot does not verify begins with the one before.",
        df_08,
    )
    .edges(&["E88"])
    .without("what it stopped for comes back to it: repair of damaged bytes by peers on the stage"),
    Case::core(
        "DF-09",
        "misdirected, stale and lost writes",
        "Whole frames of another position or of a former term, and zeros, in the place of durable \
         frames are noticed by the checksum that begins from term and position, and never read as \
         the log.",
        df_09,
    )
    .edges(&["E51"]),
    Case::cluster(
        "DF-10",
        "hung disk",
        "A leader whose disk hangs is replaced within the progress time-out and one election \
         time-out, a follower whose disk hangs counts for nothing, and both rejoin when it goes on.",
        df_10,
    )
    .edges(&["E49"]),
    Case::cluster(
        "DF-11",
        "slow disk",
        "One disk of three that is a hundred times slower than the others at most doubles the time \
         in which 99 of 100 messages are answered.",
        df_11,
    )
    .should(),
    Case::core(
        "DF-12",
        "files that are missing, doubled, misnamed, empty or of others",
        "A directory in which a file is missing, doubled, misnamed, empty or of another group is \
         refused with the file's name and left as it is, or what is kept twice repairs itself.",
        df_12,
    )
    .edges(&["E47", "E54", "E68"]),
    Case::core(
        "DF-13",
        "every state after a crash",
        "Whatever part of the unsynced writes and names a crash leaves of any call of a life with \
         appends, new segments, votes, histories and cuts, the next life finds all that was \
         promised, and nothing that was not written.",
        df_13,
    )
    .edges(&["E50"]),
    Case::cluster(
        "DF-14",
        "an old image of a disk",
        "A member that comes back in a new life with less than it had acknowledged is noticed by \
         the others: it counts for no commit, elects nobody and is not elected before it holds all \
         of that again.",
        df_14,
    )
    .quick()
    .edges(&["E47"]),
    Case::core(
        "DF-15",
        "a file system turns read-only",
        "Writes that a file system refuses for good end the life without a half frame and without \
         a promise, and a start on it is refused until it is writable again; another member leads \
         and answers meanwhile, and the one that stopped comes level once it can write.",
        df_15,
    )
    .edges(&["E43"]),
    Case::core(
        "DF-16",
        "copies of the metadata",
        "One damaged copy of boot epoch, vote, history or peers is made up for by the other, and \
         two are refused by name.",
        df_16,
    )
    .edges(&["E50"]),
    Case::cluster(
        "DF-17",
        "total loss of power",
        "When the power of all members fails at once and every disk loses what was not synced, no \
         answered message is lost and none is applied twice.",
        df_17,
    )
    .without("what a volatile group loses is told exactly: volatile durability levels")
    .quick()
    .edges(&["E37", "E55"]),
    Case::waits(
        "DF-18",
        "scrub",
        "Damage of bytes that nobody reads is found and repaired within one scrub period.",
        "a scrub of the stage's disk",
    )
    .should(),
    Case::cluster(
        "DF-19",
        "a disk returns after the log has moved on",
        "A member that was down while the others elected anew and wrote more than a window comes \
         level with them, state and all.",
        df_19,
    ),
];

#[cfg(test)]
mod tests {
    use crate::catalogue::proof::assert_all_pass;

    #[test]
    fn all_cases_pass() {
        assert_all_pass(super::CASES);
    }
}
