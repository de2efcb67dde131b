//! Members that come and go.

mod joining;
mod voters;

use self::joining::{mb_02, mb_03, mb_04, mb_05};
use self::voters::{mb_06, mb_09, mb_10, mb_11, mb_12};
use crate::case::Case;

pub(super) const CASES: &[Case] = &[
    Case::cluster(
        "MB-02",
        "joining by any seed",
        "A newcomer joins by whichever of the members that its configuration names lives and knows the leader, beside ones that are dead and ones that never were.",
        mb_02,
    )
    .without("an error that names each address when all are dead: a newcomer waits"),
    Case::cluster(
        "MB-03",
        "seeds are not needed later",
        "A member that has once taken in who is a member comes back by its log alone, though all that its configuration names are gone.",
        mb_03,
    ),
    Case::cluster(
        "MB-04",
        "a newcomer never counts",
        "Until the frame that makes it a voter is in the log, a newcomer counts for no commit and no election, whatever it holds and however often it crashes.",
        mb_04,
    )
    .quick()
    .edges(&["E65"])
    .without("that a newcomer which stays stale is removed after a time-out: an operator removes it"),
    Case::cluster(
        "MB-05",
        "promotion",
        "Who lags is not promoted, and the refusal says so; who is level becomes a voter through the log, and counts from then on.",
        mb_05,
    )
    .edges(&["E65"]),
    Case::cluster(
        "MB-06",
        "roles",
        "Voters and standbys vote, count and lead; observers and proxies receive all and do neither, though everybody else is silent and whatever life they are in.",
        mb_06,
    )
    .edges(&["E66"])
    .without("reads and writes by role: what a member serves does not depend on its role"),
    Case::cluster(
        "MB-09",
        "a leader removes itself",
        "A leader that removes itself does not count itself, goes on until that is committed by the others, and steps down; they elect one of them, and it comes to lead no more.",
        mb_09,
    )
    .edges(&["E59"]),
    Case::cluster(
        "MB-10",
        "a change before the term is open",
        "A new leader refuses to change the members until it has committed in its own term, and then takes the same change.",
        mb_10,
    )
    .quick()
    .edges(&["E56"]),
    Case::cluster(
        "MB-11",
        "overlapping changes",
        "While a change is not committed another one is refused, and the first one is completed as if nothing had been asked.",
        mb_11,
    )
    .quick()
    .edges(&["E57"]),
    Case::cluster(
        "MB-12",
        "rollback of a change",
        "When a leader is deposed before its change is committed and its frame is cut, the membership before it is in effect again, at that member exactly as at the others.",
        mb_12,
    )
    .edges(&["E61"]),
];

#[cfg(test)]
mod tests {
    #[test]
    fn all_cases_hold_for_the_core() {
        crate::catalogue::hold_for_the_core(super::CASES);
    }
}
