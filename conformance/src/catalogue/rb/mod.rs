//! Resource bounds.

mod bounds;
mod members;
mod memory;
mod pair;

use crate::case::Case;
use bounds::{rb_01, rb_04, rb_08};
use members::{rb_03, rb_05, rb_07, rb_10};
use memory::{rb_02, rb_09};

pub(super) const CASES: &[Case] = &[
    Case::core(
        "RB-01",
        "every cap holds",
        "Under random faults with the smallest limits every table, queue and list of a member stays \
         within its named limit at every step.",
        rb_01,
    )
    .quick(),
    Case::core(
        "RB-02",
        "steady state",
        "Once a session has had its first messages, no step of leader, follower or client and no \
         encoding or decoding of a datagram takes anything from the heap.",
        rb_02,
    ),
    Case::cluster(
        "RB-03",
        "no quorum of disks, and clients go on",
        "While no quorum makes anything durable, a leader holds no more uncommitted bytes than its \
         limit, clients are held back, and all that they were allowed to send is answered \
         afterwards.",
        rb_03,
    )
    .edges(&["E114"]),
    Case::core(
        "RB-04",
        "actions of one event",
        "No event makes a member ask for more actions than follow from its limits, nor for more \
         repairs than its budget: what is beyond is left for later events.",
        rb_04,
    ),
    Case::cluster(
        "RB-05",
        "caps on sessions and timers",
        "A session above the limit is refused by name and given as soon as another ends, and a \
         timer above the limit is refused under one name at the same frame by every member.",
        rb_05,
    )
    .edges(&["E108"])
    .without("keys and watches: the coordination store"),
    Case::real(
        "RB-06",
        "descriptors and threads",
        "After many restarts and reconnects a member's process has as many descriptors and threads \
         as before.",
    ),
    Case::cluster(
        "RB-07",
        "disk space",
        "With a member that is gone for good a log takes no more than its cap and what comes while a \
         snapshot is stored, it begins before two snapshots that stand, no more than these and one \
         are kept, and one that fails now and then costs no more than the next brings back.",
        rb_07,
    )
    .edges(&["E77"])
    .without("snapshots that fail for ever: no leader stops to take messages at the cap"),
    Case::core(
        "RB-08",
        "cost of an event",
        "No event makes a follower look at more of its held ranges, holes and requests than a search \
         among them for each request that it remembers, which are bounded: never at all of them.",
        rb_08,
    ),
    Case::core(
        "RB-09",
        "after the storm",
        "What a leader took from the heap for a storm of clients is given back once their sessions \
         have ended, whatever storms there were.",
        rb_09,
    ),
    Case::cluster(
        "RB-10",
        "soak",
        "A group that has little to do for long keeps its leader and term, asks for nothing, sends \
         heartbeats at their rate, and gives each message the same room.",
        rb_10,
    )
    .should(),
    Case::real(
        "RB-11",
        "an allocation fails",
        "Whenever the system refuses a member's process more memory, it ends or goes on without, and \
         what it has answered is whole at the next start.",
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
