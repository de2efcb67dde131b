//! Flow control and slow members.
//!
//! `windows` holds who may send how far, `pace` who sets the pace and what becomes of overload,
//! `stalls` what is told of who holds others back.

mod pace;
mod stalls;
mod windows;

use crate::case::Case;

pub(super) const CASES: &[Case] = &[
    Case::cluster(
        "FC-01",
        "window respected",
        "Neither new data of the log nor a client's messages go beyond the limit that their \
         receiver has stated, whatever the windows, the losses and the disks.",
        windows::fc_01,
    )
    .quick(),
    Case::cluster(
        "FC-02",
        "lost window updates",
        "When no statement of a window arrives for seconds, and then one in ten, they are \
         stated again at each interval, and data flows on.",
        windows::fc_02,
    ),
    Case::cluster(
        "FC-03",
        "closed window",
        "Nothing is sent into a closed window of a session, and when it opens the client goes \
         on within a heartbeat interval and a round trip.",
        windows::fc_03,
    ),
    Case::cluster(
        "FC-04",
        "slow member",
        "One of five members that loses half of everything, or runs a tenth of the time, \
         costs the others at most a twentieth of their throughput and no election, and comes \
         back.",
        pace::fc_04,
    )
    .edges(&["E84"]),
    Case::cluster(
        "FC-05",
        "quorum pacing",
        "With two of five members stalled the quorum sets the pace; the stalled ones are sent \
         no more than their windows, and new data again once they have caught up.",
        pace::fc_05,
    )
    .edges(&["E84"]),
    Case::cluster(
        "FC-06",
        "admission",
        "Of ten times the load that a group can take each message is either refused with a \
         typed reason or accepted, and each accepted one is answered.",
        pace::fc_06,
    )
    .edges(&["E114"]),
    Case::core(
        "FC-07",
        "slow service",
        "When the service is slower than the log, what is not applied stays within its limit, \
         admission slows down, and heartbeats are as regular as before.",
        pace::fc_07,
    )
    .edges(&["E115"]),
    Case::core(
        "FC-08",
        "partial acceptance",
        "A follower takes and acknowledges the front of what it has room for and asks for the \
         rest later, and a leader takes in the front of a client's batch.",
        windows::fc_08,
    )
    .edges(&["E114", "E116"]),
    Case::cluster(
        "FC-09",
        "control survives saturation",
        "While the data path is full, 999 of 1,000 heartbeats follow the one before within \
         half an election time-out, and nobody is elected.",
        pace::fc_09,
    ),
    Case::core(
        "FC-10",
        "old or forged update",
        "Of a member's statements of its window only one that is newer in the same life and \
         term counts, be it larger or smaller.",
        windows::fc_10,
    )
    .edges(&["E30"]),
    Case::core(
        "FC-11",
        "repairs obey limits",
        "While repairs and new data compete, repairs stay within their budget of each \
         interval, and new data goes exactly up to its window without waiting for them.",
        windows::fc_11,
    )
    .edges(&["E90"]),
    Case::core(
        "FC-12",
        "stall is visible",
        "When a member, the disk or the service holds a member back for longer than configured, \
         one notice says so, with the cause and the member, and one when it is over.",
        stalls::fc_12,
    ),
    Case::cluster(
        "FC-13",
        "hung peer",
        "When one of five members takes in nothing any more, 99 of 100 answers to clients \
         come as soon as before, but for a round trip.",
        pace::fc_13,
    )
    .edges(&["E84"]),
    Case::waits(
        "FC-14",
        "proxied fan-out",
        "When a proxy relays the log for several members, the leader sends it one copy, and \
         another takes over within a heartbeat interval when it dies.",
        "proxies that relay the log",
    )
    .should(),
];

#[cfg(test)]
mod tests {
    use crate::{Outcome, Profile, run_case, subjects::Reference};

    #[test]
    fn all_cases_hold_for_the_core() {
        let mut wrong = Vec::new();
        for case in super::CASES {
            let report = run_case(&Reference, case, 1, Profile::Quick);
            if !matches!(report.outcome, Outcome::Pass | Outcome::NotApplicable) {
                wrong.push((case.id, report.outcome, report.reason));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
