//! Timers of the service, and the time of the log that they go by.
//!
//! `orders` holds what becomes of one timer, whatever is done to it in whatever order; `survival`
//! what leaders, restarts and snapshots must not change; `clocks` which time counts, whatever clocks
//! show; `volume` many timers, and how often a member wakes; `stages` the latter with any members.

mod clocks;
mod orders;
pub(super) mod stages;
mod survival;
mod table;
mod volume;

use crate::case::Case;

pub(super) const CASES: &[Case] = &[
    Case::cluster(
        "TM-01",
        "fires once",
        "Of random timers each fires once, at one position of the log on all members, whoever \
         crashes, is cut off or pauses meanwhile.",
        survival::tm_01,
    )
    .quick(),
    Case::core(
        "TM-02",
        "schedule, cancel, reschedule",
        "A number names one timer at most: scheduling replaces it, what fired or was cancelled is \
         gone, and of a cancellation and the timer's frame that counts which stands first in the \
         log.",
        orders::tm_02,
    )
    .quick(),
    Case::cluster(
        "TM-03",
        "survives",
        "Snapshots, restarts and failovers lose no timer and move none: members that begin with a \
         snapshot are told of them where the others are, and in the order of a group that \
         nothing happens to.",
        survival::tm_03,
    ),
    Case::cluster(
        "TM-04",
        "uncommitted",
        "What a message scheduled that is rolled back never fires.",
        survival::tm_04,
    ),
    Case::cluster(
        "TM-05",
        "never early",
        "Whatever rate the clocks have, a timer fires not before its deadline in log time nor by \
         its leader's clock, and a heartbeat interval and a commit after it at the latest.",
        clocks::tm_05,
    ),
    Case::cluster(
        "TM-06",
        "leader's clock an hour behind or ahead",
        "Log time never falls, and a jump of the leader's clock takes it ahead by no more than a \
         leader may stand still, which the leader tells; no timer fires for it.",
        clocks::tm_06,
    )
    .edges(&["E104"]),
    Case::core(
        "TM-07",
        "hostile time",
        "Handed times that go back, stand still, come late or jump by a hundred days, a leader \
         fires each timer once, in order, never early, and stamps times that never fall.",
        clocks::tm_07,
    )
    .quick()
    .edges(&["E104"]),
    Case::core(
        "TM-08",
        "deadlines are served",
        "The deadline that a member reports is one of its role, and serving it moves it on: no \
         more than two wakes for each.",
        volume::tm_08,
    )
    .edges(&["E105"]),
    Case::cluster(
        "TM-09",
        "leaderless gap",
        "Timers that come due while nobody leads fire behind that, by their deadlines and then by \
         their numbers, and time without a leader does not count.",
        survival::tm_09,
    ),
    Case::core(
        "TM-10",
        "ties and volume",
        "Timers of one deadline fire by their numbers; however many are due, one event appends a \
         bounded number of them, and one timer more than the limit stops the member.",
        volume::tm_10,
    ),
    Case::waits(
        "TM-11",
        "clock quorum",
        "A leader whose clock is outside what a majority's clocks allow says so, and steps down if \
         it is configured to.",
        "clocks that members compare",
    )
    .should(),
    Case::cluster(
        "TM-12",
        "suspend",
        "A member that was stopped for half a minute serves each deadline once and not each that \
         it missed, its timers fire once, and no session of a living client ends for it.",
        clocks::tm_12,
    )
    .without("leases, which are checked first"),
];

#[cfg(test)]
mod tests {
    #[test]
    fn all_cases_hold_for_the_core() {
        crate::catalogue::hold_for_the_core(super::CASES);
    }
}
