//! Snapshots.

mod backups;
pub(super) mod decisions;
mod worlds;

use self::backups::sn_18;
use self::decisions::{sn_05, sn_06, sn_14, sn_16, sn_17};
use self::worlds::{sn_01, sn_03, sn_11, sn_12};
use super::sn_fetches::{sn_04, sn_07, sn_08, sn_09, sn_10};
use super::sn_members::{sn_13, sn_15};
use crate::case::Case;

pub(super) const CASES: &[Case] = &[
    Case::core(
        "SN-01",
        "recovery identity",
        "A member that begins with a snapshot and applies the log behind it is in the state, sends the replies and fires the timers of one that applied all of the log, wherever the snapshot stands; nothing is applied twice or skipped.",
        sn_01,
    )
    .quick()
    .edges(&["E73"]),
    Case::waits(
        "SN-02",
        "one position",
        "All services of a member and its own state are stored at one position, and a part of a set is never used.",
        "several services",
    ),
    Case::core(
        "SN-03",
        "determinism",
        "Members that take a snapshot at one position lay out and store the same bytes, through failovers, late services and restarts.",
        sn_03,
    )
    .quick()
    .edges(&["E79"]),
    Case::cluster(
        "SN-04",
        "content",
        "Sessions, kept replies, timers, members, watches and deployments survive the installation of a snapshot.",
        sn_04,
    )
    .without("members, watches and deployments: membership changes, a coordination store")
    .edges(&["E29"]),
    Case::core(
        "SN-05",
        "older snapshot arrives",
        "A snapshot that covers less than the log is ignored, and the position of the log acknowledged.",
        sn_05,
    )
    .quick()
    .edges(&["E71"]),
    Case::core(
        "SN-06",
        "boundary conflict",
        "A snapshot is used only if the log that it was found with gives its position the term, the history and the chain value that it says.",
        sn_06,
    )
    .edges(&["E72"]),
    Case::cluster(
        "SN-07",
        "installation during apply",
        "Whenever a snapshot is installed, the service sees one order of events.",
        sn_07,
    )
    .edges(&["E73"]),
    Case::cluster(
        "SN-08",
        "transfer",
        "A transfer is completed and verified whatever becomes of its parts and of its source.",
        sn_08,
    )
    .quick()
    .edges(&["E74"]),
    Case::cluster(
        "SN-09",
        "newer snapshot meanwhile",
        "A transfer ends though its source takes newer snapshots.",
        sn_09,
    )
    .edges(&["E75"]),
    Case::cluster(
        "SN-10",
        "term changes meanwhile",
        "Parts of different transfers are never mixed.",
        sn_10,
    )
    .edges(&["E76"]),
    Case::core(
        "SN-11",
        "crash at each step",
        "Whenever a member dies between a snapshot and the purge, the old set or the new one is there, whole (each step of the disk is tested in the archive).",
        sn_11,
    )
    .edges(&["E78"]),
    Case::core(
        "SN-12",
        "damaged newest or all",
        "A member whose newest snapshot is damaged begins with the one before, and with none of them at the beginning of the log.",
        sn_12,
    ),
    Case::cluster(
        "SN-13",
        "retention",
        "A member that is gone for good does not keep the log from being purged.",
        sn_13,
    )
    .edges(&["E77"]),
    Case::core(
        "SN-14",
        "no snapshot comes of it",
        "A snapshot that the service does not give, or the disk has no room for, changes nothing but a counter; the next is taken.",
        sn_14,
    ),
    Case::cluster(
        "SN-15",
        "no pause",
        "While a snapshot is written, for however long, replies take at most twice their usual time, nobody is elected, and no other snapshot is begun; what is stored in the end is the state at its position.",
        sn_15,
    )
    .should(),
    Case::core(
        "SN-16",
        "uncommitted excluded",
        "A snapshot holds what lies before its position, and no session or timer that is only appended behind it.",
        sn_16,
    ),
    Case::core(
        "SN-17",
        "orphaned log",
        "A log that begins after its beginning is refused without a snapshot.",
        sn_17,
    )
    .quick()
    .edges(&["E53", "E54"]),
    Case::core(
        "SN-18",
        "backup and restore",
        "Members of a new group that are made of a backup have the state that it was taken of, all of them the same, and nothing of what the members of the former group were to each other; of that group nothing is heard. A backup that is damaged, or of a log that is over, is none, and a crash leaves it whole or not there.",
        sn_18,
    )
    .edges(&["E68", "E72", "E78"]),
    Case::waits(
        "SN-19",
        "configuration in a snapshot",
        "Of a snapshot's configuration and one that survives in the log the newer counts.",
        "membership changes",
    ),
];

#[cfg(test)]
mod tests {
    #[test]
    fn the_cases_hold_for_the_core() {
        crate::catalogue::hold_for_the_core(super::CASES);
    }
}
