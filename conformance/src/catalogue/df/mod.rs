//! Recovery after disk faults.

mod crashes;
mod disks;
mod majority;
pub(super) mod members;
mod mending;
mod scrub;

use crate::case::Case;
use crashes::df_13;
use disks::{df_02, df_03, df_09, df_12, df_15, df_16};
use majority::{df_05, df_06};
use members::{df_01, df_07, df_08, df_10, df_11, df_14, df_17, df_19};
use mending::df_04;
use scrub::df_18;

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
        "A log with a damaged bit anywhere below its durable mark is not cut: no life begins on it, \
         so that it neither votes nor leads, the refusal names the frame, and the file stays as it \
         is until another member has sent the very bytes that were there.",
        df_03,
    )
    .quick()
    .edges(&["E45"]),
    Case::core(
        "DF-04",
        "disjoint rot on all members",
        "Damage of different ranges on all members is repaired from one another without an \
         operator, if each range is whole on one of them: also when none of them has a life, and \
         whatever the network loses.",
        df_04,
    )
    .edges(&["E45"]),
    Case::cluster(
        "DF-05",
        "the same range rotten on a majority or on all",
        "A range comes back from one good copy, whoever sends others; one that all members have \
         lost each of them names, and nobody writes anything in its place. Directories with what \
         is whole of most members elect nobody, acknowledge nothing and answer nothing; those of a \
         minority get the range from the others.",
        df_05,
    )
    .quick()
    .edges(&["E46"]),
    Case::cluster(
        "DF-06",
        "perhaps committed, and damaged",
        "Bytes that a member has promised, and that do not verify, it neither has nor lacks before \
         all the others have said what they know; if a crash took what tells that they were \
         promised, the others know it, and it counts and votes for nothing without them.",
        df_06,
    )
    .edges(&["E45", "E47"]),
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
         member; a member that has to apply it stops by name, and the others go on, and it is \
         written anew with their bytes; one whose newest snapshot does not verify begins with the \
         one before.",
        df_08,
    )
    .edges(&["E88"]),
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
         answered message is lost and none is applied twice. A volatile group loses nothing that \
         was safe, and what it loses lies where its tool says, before it goes on.",
        df_17,
    )
    .quick()
    .edges(&["E37", "E55"]),
    Case::core(
        "DF-18",
        "scrub",
        "Damage of bytes that nobody reads is found by the next pass over all that is stored, which \
         names the frame or the snapshot, and what is of the log is repaired; nothing else is ever \
         taken for damage, whatever is written meanwhile.",
        df_18,
    )
    .should()
    .edges(&["E45"]),
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
