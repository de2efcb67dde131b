//! Elections.

mod decisions;
mod outages;
mod partitions;
mod transfers;
mod votes;

use self::decisions::{el_05, el_06, el_07, el_08, el_11, el_12, el_13};
use self::outages::{el_20, el_22, el_23, el_27, el_28, el_30};
use self::partitions::{el_09, el_10, el_15, el_16, el_17, el_18, el_19, el_21};
use self::transfers::{el_24, el_25};
use self::votes::{el_01, el_02, el_03, el_04, el_14};
use crate::case::Case;

pub(super) const CASES: &[Case] = &[
    Case::cluster(
        "EL-01",
        "single voter",
        "A group of one leads within one election time-out, commits alone, and sends itself nothing.",
        el_01,
    )
    .quick()
    .edges(&["E15"]),
    Case::cluster(
        "EL-02",
        "quorum arithmetic",
        "Of a group of 1 to 7 that is cut in two, a side elects exactly if more than half of all voters are in it.",
        el_02,
    )
    .quick()
    .edges(&["E22", "E69"]),
    Case::cluster(
        "EL-03",
        "one vote per term across crashes",
        "A member that crashes before, while and after its vote becomes durable never grants two candidates of one term.",
        el_03,
    )
    .quick()
    .edges(&["E02"]),
    Case::cluster(
        "EL-04",
        "grant waits for the disk",
        "No grant leaves before the vote is durable, however often it is asked for, and one leaves when it is.",
        el_04,
    )
    .quick()
    .edges(&["E02"]),
    Case::core(
        "EL-05",
        "log comparison",
        "A vote is granted, and a canvass answered with yes, exactly if the asker's last term and then its verified position are not behind the voter's.",
        el_05,
    )
    .quick()
    .edges(&["E04"]),
    Case::core(
        "EL-06",
        "repeated request",
        "A candidate that asks again in the same term is answered the same, the vote is written once, and each voter counts once, however often it grants.",
        el_06,
    )
    .edges(&["E03"]),
    Case::core(
        "EL-07",
        "higher term anywhere",
        "A message of a newer term, but for a canvass, for a request of votes while a leader is heard and for a slice, ends what a member was, clears its vote, and nothing that promises anything in that term leaves before it is durable.",
        el_07,
    )
    .quick()
    .edges(&["E06"]),
    Case::core(
        "EL-08",
        "lower term anywhere",
        "A message of a past term changes nothing, and if it is answered, then with the current term.",
        el_08,
    )
    .edges(&["E05"]),
    Case::cluster(
        "EL-09",
        "rejoin with long absence",
        "A member that was cut off for long and comes back changes neither the leader nor the term.",
        el_09,
    )
    .quick()
    .edges(&["E07"]),
    Case::cluster(
        "EL-10",
        "cohorts that block each other",
        "Members with a longer log of an old term and members with a shorter one of a newer term agree on a leader within ten election time-outs.",
        el_10,
    )
    .edges(&["E08", "E09"])
    .without("members of which some do not canvass: there is no such option (E10)"),
    Case::core(
        "EL-11",
        "candidate meets leader",
        "Who canvasses, stands or asks for votes follows the leader of its own term at its first heartbeat, and a slice of the log, which has no authority, changes nothing.",
        el_11,
    )
    .edges(&["E12"]),
    Case::core(
        "EL-12",
        "two leaders in one term",
        "A member that hears of a second leader of its term, or of a second line of one term, stops with that as its reason, and its log stays as it is.",
        el_12,
    )
    .edges(&["E11"]),
    Case::core(
        "EL-13",
        "who may campaign",
        "Only a voter of the group runs at all, one that was asked to stop campaigns no more, and what strangers grant counts for nothing.",
        el_13,
    )
    .edges(&["E14"])
    .without("learners, standbys, proxies and observers, and who was removed: membership changes, there are voters only"),
    Case::cluster(
        "EL-14",
        "split votes end",
        "Of groups whose members all canvass at the same moment, 99.9 % have a leader within six election time-outs.",
        el_14,
    )
    .edges(&["E01"]),
    Case::cluster(
        "EL-15",
        "quorum-loss partition",
        "A leader that hears only one bridge between all members gives up, the bridge leads within four election time-outs, and it stays so.",
        el_15,
    )
    .edges(&["E80"]),
    Case::cluster(
        "EL-16",
        "constrained election",
        "If the only member that reaches a quorum lacks committed bytes, it fetches them, leads and commits within six election time-outs.",
        el_16,
    )
    .edges(&["E81"]),
    Case::cluster(
        "EL-17",
        "chained partition",
        "When one of the three links of a group is cut, the leader changes at most twice after that has settled, and 95 % of messages are answered within an election time-out.",
        el_17,
    )
    .edges(&["E82"]),
    Case::cluster(
        "EL-18",
        "one-way links",
        "A leader that only sends or only hears steps down within one election time-out and is replaced within four, and a follower of which only one direction works disturbs nobody.",
        el_18,
    )
    .edges(&["E83"]),
    Case::cluster(
        "EL-19",
        "idle isolated leader",
        "A leader that is cut off steps down within one election time-out, though nobody sends anything.",
        el_19,
    )
    .quick()
    .edges(&["E80"]),
    Case::cluster(
        "EL-20",
        "fail-over time",
        "When a leader is killed under load, half of the times new bytes are committed within 1.5 election time-outs, and 99 % within three.",
        el_20,
    ),
    Case::cluster(
        "EL-21",
        "flapping links",
        "While all links go up and down faster than an election time-out, terms grow by one in each at most, and there is progress within four of the calm.",
        el_21,
    )
    .should()
    .edges(&["E85"]),
    Case::cluster(
        "EL-22",
        "hindered candidate",
        "A member whose disk is full does not canvass, one whose disk fails or does not give back the log that it has to apply stops with a reason and lets go, and in all cases others lead.",
        el_22,
    )
    .edges(&["E20", "E48"]),
    Case::cluster(
        "EL-23",
        "follower comes and goes",
        "Followers that are killed and started again, a hundred times, cause no election.",
        el_23,
    )
    .edges(&["E07"]),
    Case::cluster(
        "EL-24",
        "transfer of leadership",
        "A demanded transfer ends within two election time-outs, done or refused with a reason, whatever becomes of its target and of its leader, and writes go on.",
        el_24,
    )
    .edges(&["E16", "E17", "E18"]),
    Case::cluster(
        "EL-25",
        "priority",
        "A member of low priority lets others lead, and if it has the only complete log, it leads within ten election time-outs.",
        el_25,
    )
    .should()
    .edges(&["E19"]),
    Case::waits(
        "EL-26",
        "multicast blocked",
        "An election ends by unicast alone when nothing that is sent by multicast arrives.",
        "multicast",
    ),
    Case::cluster(
        "EL-27",
        "graceful leader close",
        "A leader that is asked to stop sends out what it has and abdicates, a successor serves within two heartbeats and the round trips of its election in nine of ten cases, and every message is answered.",
        el_27,
    )
    .edges(&["E97"]),
    Case::cluster(
        "EL-28",
        "nothing executes during election",
        "Between the loss of a leader and the commit of its successor's opening frame nothing is committed and no client is answered.",
        el_28,
    )
    .edges(&["E33", "E98"]),
    Case::waits(
        "EL-29",
        "learner asked to vote",
        "A member that does not know yet that it has become a voter answers a request for its vote by the comparison of logs.",
        "membership changes",
    )
    .edges(&["E13"]),
    Case::cluster(
        "EL-30",
        "error at every step",
        "Whichever datagram of an election and of the synchronisation behind it is lost, and at whichever kind of write a member loses its power, the group is live again within bounds.",
        el_30,
    )
    .edges(&["E31", "E50"]),
];

#[cfg(test)]
mod tests {
    #[test]
    fn all_cases_hold_for_the_core() {
        crate::catalogue::hold_for_the_core(super::CASES);
    }
}
