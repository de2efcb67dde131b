//! NAKs and retransmission.
//!
//! `asking` and `repairing` hold the decisions of one member on a desk, `damage` what must never be
//! taken in, `loss` and `hardship` groups on a stage.

mod asking;
mod damage;
mod hardship;
mod loss;
mod repairing;
pub(super) mod stages;

use crate::case::Case;

pub(super) const CASES: &[Case] = &[
    Case::cluster(
        "NK-01",
        "no gap is delivered",
        "Whatever part of the data is lost, each member applies every message once and in \
         order of position, and requests for holes alone bring what is missing.",
        loss::nk_01,
    )
    .quick(),
    Case::cluster(
        "NK-02",
        "silence at zero loss",
        "While nothing is lost or reordered, no member asks for a hole or repeats a byte, and \
         control messages between members are less than a hundredth of the data.",
        loss::nk_02,
    )
    .quick(),
    Case::core(
        "NK-03",
        "patience",
        "A hole that is filled before the delay of the first request is over, and before three \
         slices have overtaken it, was mere reordering, and is never asked for.",
        asking::nk_03,
    ),
    Case::waits(
        "NK-04",
        "delay law",
        "With multicast, the delay before a request is drawn from a truncated exponential \
         distribution by the group's size; over unicast it is fixed.",
        "multicast: the random delay that lets one receiver ask for all",
    ),
    Case::core(
        "NK-05",
        "persistence",
        "A range that does not come is asked for again each retry interval, of the leader \
         first and then of the others in turn, for as long as it is missing, and never once \
         it is held; the interval is fixed, without growth.",
        asking::nk_05,
    ),
    Case::core(
        "NK-06",
        "gap changes",
        "A request names exactly the bytes that are missing at that moment, however the hole \
         has shrunk, split, moved or been joined by another since it was found.",
        asking::nk_06,
    ),
    Case::cluster(
        "NK-07",
        "many gaps",
        "A hundred holes in one window are named in as few requests as the ranges of one \
         request allow and one for the first hole, a delay apart, and are repaired within \
         three round trips.",
        hardship::nk_07,
    )
    .edges(&["E87"]),
    Case::waits(
        "NK-08",
        "suppression",
        "With multicast, the requests of many receivers for one lost slice are suppressed but \
         for a few.",
        "multicast: requests that all members hear",
    ),
    Case::core(
        "NK-09",
        "repair while waiting",
        "Bytes that were asked for and begin to come are left alone for a retry interval from \
         the last of them.",
        asking::nk_09,
    )
    .without("what others ask for and are sent holds back one's own request: multicast"),
    Case::core(
        "NK-10",
        "sender linger",
        "A repair is not repeated to the same member while it lingers: of a repeated, \
         contained or overlapping request only new parts are sent, an adjacent one and \
         another member's are honoured, and all of it afterwards.",
        repairing::nk_10,
    )
    .edges(&["E90"]),
    Case::core(
        "NK-11",
        "aggregation",
        "Of overlapping requests in one window each asking member is sent their union once, \
         over unicast each its own.",
        repairing::nk_11,
    ),
    Case::cluster(
        "NK-12",
        "outstanding limit",
        "What is asked for beyond the limits of archive reads and of the repair budget is \
         refused and counted, and is repaired later.",
        hardship::nk_12,
    )
    .edges(&["E123"]),
    Case::cluster(
        "NK-13",
        "repair budget",
        "With a fifth of all data lost at all six followers and two that were away, no member \
         repairs more than its budget, new data goes on, and nobody is elected; who asks for \
         everything, over and over, leaves the others their share.",
        hardship::nk_13,
    )
    .edges(&["E90", "E124"])
    .without("ten receivers: a group has seven voters at most, and nobody else takes its log: membership changes"),
    Case::cluster(
        "NK-14",
        "lost repair",
        "When repairs are lost the range is asked for again until it is there.",
        loss::nk_14,
    ),
    Case::cluster(
        "NK-15",
        "lost request",
        "When requests for a hole are lost they are sent again until it is filled.",
        loss::nk_15,
    ),
    Case::cluster(
        "NK-16",
        "tail loss",
        "When the last slice before a silence is lost, each follower that lacks it asks for \
         it within a heartbeat interval, half a round trip and the delay of a request.",
        loss::nk_16,
    )
    .quick()
    .edges(&["E86"]),
    Case::cluster(
        "NK-17",
        "below the window",
        "Bytes that have left the leader's window come from an archive; who is asked for what \
         it lacks says so, the member turns to another, and nobody is elected.",
        hardship::nk_17,
    )
    .edges(&["E88"]),
    Case::core(
        "NK-18",
        "absurd request",
        "A request for bytes beyond the log, of no length, between words, of another term or \
         of a stranger is counted and brings no repair, a huge one no more than the budget, \
         and who lacks the bytes says so.",
        repairing::nk_18,
    )
    .edges(&["E88", "E122"]),
    Case::core(
        "NK-19",
        "repair from a former term",
        "A slice of a former term is never taken into positions that the adopted term history \
         gives to a later one, whoever sends it and whatever it claims.",
        damage::nk_19,
    )
    .quick()
    .edges(&["E89"]),
    Case::core(
        "NK-20",
        "duplicates and disorder",
        "However often and in whatever order slices come, the log, its chain value and what \
         is applied are the same as of slices that came once and in order.",
        damage::nk_20,
    )
    .quick()
    .edges(&["E91"]),
    Case::core(
        "NK-21",
        "crossing",
        "A request that is due is not sent for bytes that came at the last moment before it.",
        asking::nk_21,
    ),
    Case::cluster(
        "NK-22",
        "request rate",
        "With half of all data lost, no byte is asked for twice within the retry interval, \
         and requests are at most a fiftieth of the data.",
        hardship::nk_22,
    )
    .edges(&["E87"]),
    Case::cluster(
        "NK-23",
        "storm after a blackout",
        "When three of seven members come back from half a second of blackout they send few \
         requests in the first round trip, and have all that they missed within five.",
        hardship::nk_23,
    )
    .edges(&["E87"])
    .without("ten receivers: a group has seven voters at most, and nobody else takes its log: membership changes"),
    Case::cluster(
        "NK-24",
        "step of the round trip",
        "When the round trip steps from 0.1 to 250 ms, soon no more repairs are sent than 1.2 \
         for each lost slice.",
        hardship::nk_24,
    )
    .should(),
    Case::cluster(
        "NK-25",
        "burst loss",
        "When a tenth of all datagrams between members is lost in bursts of 50, at least 70 % \
         of the offered messages are answered in time, and nobody is elected.",
        hardship::nk_25,
    ),
    Case::cluster(
        "NK-26",
        "loss and jitter for long",
        "With 1 % loss and 5 ms of jitter for long, nobody is elected and no member has to \
         adopt a history anew.",
        hardship::nk_26,
    ),
    Case::waits(
        "NK-27",
        "group blocked",
        "When the multicast group is blocked, members fall back to unicast within two \
         election time-outs and say so.",
        "multicast: the fall-back to unicast",
    ),
    Case::core(
        "NK-28",
        "corrupted frame",
        "A datagram of any kind with any one bit flipped is refused, and a frame with any one \
         bit flipped is never verified, is counted, and is repaired later.",
        damage::nk_28,
    )
    .quick(),
    Case::cluster(
        "NK-29",
        "fragment lost",
        "Of a message that spans 64 slices and more exactly the slice that was lost is sent \
         again.",
        loss::nk_29,
    ),
    Case::core(
        "NK-30",
        "reorder buffer",
        "Bytes beyond the window are dropped and counted, pieces behind holes are noted up to \
         a limit, and what was dropped is asked for again when there is room.",
        asking::nk_30,
    )
    .edges(&["E91"]),
    Case::cluster(
        "NK-31",
        "repair by peers",
        "A follower that gets nothing from the leader is repaired by another member, and \
         holds the same chain value as the leader at the same position.",
        hardship::nk_31,
    ),
    Case::real(
        "NK-32",
        "kernel drop",
        "What the kernel drops from a full receive buffer is repaired, and its drop counter \
         is shown as a metric.",
    )
    .informational(),
    Case::waits(
        "NK-33",
        "both transports",
        "All cases of these groups have the same results over unicast and over multicast, and \
         the choice may change at a restart.",
        "multicast: the second transport",
    ),
];

#[cfg(test)]
mod tests {
    use crate::{Lists, Outcome, Profile, run_case, subjects::Reference};

    /// What the core is known to miss, and why.
    const EXPECTED: &str = include_str!("../../../expected.toml");

    #[test]
    fn all_cases_hold_for_the_core() {
        let today = "2026-03-01".parse().expect("a date");
        let expected = Lists::parse(EXPECTED, today).expect("the list is sound");
        let mut wrong = Vec::new();
        for case in super::CASES {
            let report = run_case(&Reference, case, 1, Profile::Quick);
            let as_known = match report.outcome {
                Outcome::Pass | Outcome::NotApplicable => !expected.is_expected(case),
                Outcome::NonStrict => expected.is_expected(case),
                _ => false,
            };
            if !as_known {
                wrong.push((case.id, report.outcome, report.reason));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
