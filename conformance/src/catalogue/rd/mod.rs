//! Reads that append nothing to the log.

mod leases;
pub(super) mod rounds;

use self::leases::{rd_05, rd_06};
use self::rounds::{rd_02, rd_04, rd_10};
use crate::case::Case;

pub(super) const CASES: &[Case] = &[
    Case::core(
        "RD-02",
        "fresh leader",
        "A leader whose term is not committed answers no linearizable read, whoever answers its rounds; it holds it for an election time-out at most, and refuses it by name.",
        rd_02,
    )
    .edges(&["E98"]),
    Case::core(
        "RD-04",
        "round ids",
        "A linearizable read is answered when a quorum, as commits count it, has echoed a round that began behind it: neither late echoes of a former round count, nor one member twice.",
        rd_04,
    )
    .edges(&["E99", "E100", "E101"]),
    Case::core(
        "RD-05",
        "lease under pause",
        "A lease ends by the leader's clock, shrunk by the drift, counted from when it sent the round that a quorum has echoed; it is looked at again when the service has answered.",
        rd_05,
    )
    .edges(&["E102"])
    .without("clocks that drift: that is the simulator's"),
    Case::core(
        "RD-06",
        "lease with transfer and restart",
        "A leader that has told another to campaign uses no lease in that term; a voter that starts grants nothing for as long as a promise lasts.",
        rd_06,
    )
    .edges(&["E103"])
    .without("changes of the membership: there are none yet"),
    Case::core(
        "RD-10",
        "batching",
        "All reads that come in before a round is sent share it; as many wait as may, and more are refused at once.",
        rd_10,
    ),
];

#[cfg(test)]
mod tests {
    #[test]
    fn all_cases_pass() {
        crate::catalogue::proof::assert_all_pass(super::CASES);
    }
}
