//! Groups of two: nothing goes on without both, and whoever is left has all that was answered.

mod guarantees;
mod losses;

use self::guarantees::{tn_01, tn_10};
use self::losses::{tn_02, tn_03};
use crate::case::Case;

pub(super) const CASES: &[Case] = &[
    Case::cluster(
        "TN-01",
        "both must agree",
        "In a durable group of two nothing is committed or answered that is not synced by both, whichever of the disks is slow.",
        tn_01,
    )
    .quick()
    .edges(&["E69"]),
    Case::cluster(
        "TN-02",
        "one down",
        "When either of two members is gone, nothing is committed, nobody comes to lead, no term rises and clients are told that there is no quorum; when it is back, the group serves by itself.",
        tn_02,
    )
    .quick()
    .edges(&["E69"])
    .without("reads of any level: requests are messages"),
    Case::cluster(
        "TN-03",
        "link cut, heal",
        "While the link between two members is cut and healed again and again, in both directions or one, there is one leader a term, nothing is lost or applied twice, and nobody has to do anything by hand.",
        tn_03,
    ),
    Case::cluster(
        "TN-10",
        "what is guaranteed",
        "Who survives of two has every answered message: in a durable group on its disk; in a volatile one in memory, and on its disk what asked for safe and what was answered longer ago than a checkpoint interval.",
        tn_10,
    ),
];

#[cfg(test)]
mod tests {
    #[test]
    fn all_cases_hold_for_the_core() {
        crate::catalogue::hold_for_the_core(super::CASES);
    }
}
