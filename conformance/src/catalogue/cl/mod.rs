//! Clients: sessions, redirects, failover, exactly once.

mod answers;
mod faults;
mod histories;
mod models;
mod opening;
mod search;
mod sessions;
mod windows;

use crate::case::Case;

pub(super) const CASES: &[Case] = &[
    Case::cluster(
        "CL-01",
        "open",
        "Whichever member a client asks first, it gets a session whose id is the position of its opening frame, the same on all members.",
        opening::cl_01,
    ),
    Case::cluster(
        "CL-02",
        "redirect",
        "A client that asks others than the leader finds it within as many redirects as there are members, and each redirect names leader, endpoint and term as they are.",
        opening::cl_02,
    ),
    Case::cluster(
        "CL-03",
        "redirects in a circle, no leader",
        "Redirects in a circle, and a group without a leader, end within the time that a client was given, with one error that lists what each member said.",
        search::cl_03,
    ),
    Case::cluster(
        "CL-04",
        "retry after the commit",
        "A message that was committed before the leader died is answered by the next one with the same reply, and has one effect.",
        answers::cl_04,
    )
    .quick()
    .edges(&["E106"]),
    Case::cluster(
        "CL-05",
        "duplicate in flight",
        "A message that arrives again before it is committed, on the same connection or a new one, is appended once and answered once.",
        answers::cl_05,
    )
    .quick()
    .edges(&["E107"]),
    Case::cluster(
        "CL-06",
        "holes in the sequence",
        "Messages that are pipelined, overtaken and lost stand in the log in the order of their numbers; while one is missing none behind it is appended.",
        answers::cl_06,
    )
    .edges(&["E110"]),
    Case::cluster(
        "CL-07",
        "expiry by cluster time",
        "A silent session ends at the same position on all members, whatever their clocks show, and without a leader none ends however long it lasts.",
        sessions::cl_07,
    )
    .edges(&["E108"]),
    Case::cluster(
        "CL-08",
        "kept replies",
        "As many replies are kept as may be in flight: a client that does not say that it has them is held back, and one that needs older ones is told that its session is lost.",
        windows::cl_08,
    )
    .edges(&["E109"]),
    Case::cluster(
        "CL-09",
        "replies over a failover",
        "Replies under way when a leader dies reach each client once and in order.",
        answers::cl_09,
    )
    .without("what a service says unasked: services that do so")
    .edges(&["E111"]),
    Case::cluster(
        "CL-10",
        "only the leader speaks",
        "Members that do not lead send clients nothing but where to go, also while they replay their log.",
        answers::cl_10,
    )
    .edges(&["E112"]),
    Case::cluster(
        "CL-11",
        "the outcome is known",
        "Through any faults each message ends with its reply, or with an error that says from which number on the outcome is unknown.",
        histories::cl_11,
    )
    .edges(&["E35"]),
    Case::cluster(
        "CL-12",
        "session lost",
        "A client whose session has ended is told that it is lost and from which message on the outcome is unknown, and nothing of it is applied again.",
        sessions::cl_12,
    )
    .edges(&["E35", "E108"]),
    Case::cluster(
        "CL-13",
        "client crash",
        "A message whose client crashes at any step is applied once or not at all, and its session ends by time.",
        faults::cl_13,
    )
    .without("going on after a crash under an id that the client has kept: durable clients"),
    Case::cluster(
        "CL-14",
        "the next leader",
        "After a failover every live client is served by the new leader within its server time-out and one round of asking.",
        opening::cl_14,
    )
    .without("the new leader tells all clients by itself: addresses of clients in the log"),
    Case::cluster(
        "CL-15",
        "current server first",
        "A client that was cut off for 500 ms from a server that lives asks it first, and goes on with the same session and without a duplicate.",
        opening::cl_15,
    ),
    Case::core(
        "CL-16",
        "whom to ask, and when",
        "A client asks the members in turn, each as often as it is told to, with pauses that have a jitter and a cap and differ by seed.",
        search::cl_16,
    )
    .without("sticky, random and least loaded: policies of clients")
    .should(),
    Case::cluster(
        "CL-17",
        "connect during recovery",
        "While a new leader cannot serve yet, clients are told to ask again, at a bounded rate, and all are served soon after, each with one session.",
        opening::cl_17,
    ),
    Case::cluster(
        "CL-18",
        "one session too many",
        "When as many sessions are open as may be, another one is refused with that reason, the same on all members, and let in once one has ended.",
        sessions::cl_18,
    )
    .edges(&["E108"]),
    Case::cluster(
        "CL-19",
        "client that never reads",
        "A client that takes in nothing keeps a bounded number of messages under way, does not slow the others, and loses its session with a reason once it is silent.",
        windows::cl_19,
    ),
    Case::cluster(
        "CL-20",
        "large message over a failover",
        "A message of many slices whose leader, or client, crashes between two of them is applied once, or if its client is gone not at all.",
        faults::cl_20,
    )
    .edges(&["E92"]),
    Case::waits(
        "CL-21",
        "unacknowledged deliveries",
        "What a service has delivered to a client and the client has not acknowledged is rebuilt after a reconnect, and lost or given away only with its session.",
        "messages that a service sends to clients unasked",
    ),
    Case::waits(
        "CL-22",
        "drain and rebalance",
        "When members are drained or added, sessions move at most once each, evenly, and without an error at any client.",
        "membership changes, and sessions that followers serve",
    ),
    Case::cluster(
        "CL-23",
        "move at each step",
        "Leadership that moves at any step of a request and its reply, in order or by a crash, leaves exactly one reply and one effect.",
        faults::cl_23,
    )
    .edges(&["E97", "E106"]),
    Case::cluster(
        "CL-24",
        "window full",
        "While nothing can be committed clients are refused once their windows are full, the leader holds no more than it may, and nothing accepted is lost.",
        windows::cl_24,
    )
    .edges(&["E114"]),
    Case::cluster(
        "CL-25",
        "histories",
        "Under any faults the histories of counters, registers, a queue, a set and a bank are those of one sequence of operations: none lost, doubled, invented, or before its time.",
        histories::cl_25,
    ),
    Case::cluster(
        "CL-26",
        "writing at a non-leader",
        "What a client sends to a follower, a canvasser or a leader that does not serve yet changes nothing anywhere, and is answered with where to go or when.",
        opening::cl_26,
    ),
];

#[cfg(test)]
mod tests {
    #[test]
    fn all_cases_pass() {
        crate::catalogue::tests::all_pass(super::CASES);
    }
}
