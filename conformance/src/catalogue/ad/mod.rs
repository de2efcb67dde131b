//! The contract of a run loop.

mod digests;
mod ends;
mod foreign;
mod order;
mod sockets;
pub(super) mod stages;
mod storage;
mod time;
mod types;

use crate::case::{Case, Failure};
use crate::stage::{ClientNumber, Stage};

pub(super) const CASES: &[Case] = &[
    Case::cluster(
        "AD-01",
        "drain law",
        "All actions of one event are taken over before the next event, however many inputs lie at hand.",
        order::ad_01,
    )
    .quick(),
    Case::cluster(
        "AD-02",
        "order",
        "What a member sends of one kind to one destination arrives at its socket in the order of the \
         core's actions, and its disk is asked in that order too.",
        order::ad_02,
    ),
    Case::cluster(
        "AD-03",
        "nothing before its gate",
        "No vote leaves before it is durable, and no reply before a quorum of disks has its message.",
        order::ad_03,
    )
    .quick(),
    Case::cluster(
        "AD-04",
        "durable means durable",
        "What was answered, and the term in which it was, is there after all members lost their power \
         at once.",
        storage::ad_04,
    )
    .quick(),
    Case::cluster(
        "AD-05",
        "completions",
        "Each operation completes once, under its own number and in any order, and none of a former \
         life is taken in.",
        order::ad_05,
    )
    .edges(&["E39", "E40"]),
    Case::cluster(
        "AD-06",
        "storage errors",
        "An error of any operation of the disk makes the member inert at once and for good, and is \
         never tried again; a full disk does not.",
        storage::ad_06,
    )
    .quick()
    .edges(&["E43"]),
    Case::cluster(
        "AD-07",
        "read your append",
        "Bytes read back from the log are those that were appended, also while the leader appends and \
         waits for a sync.",
        storage::ad_07,
    ),
    Case::cluster(
        "AD-08",
        "truncate then append",
        "A power cut anywhere between a cut of the log and the appends behind it leaves a legal prefix.",
        storage::ad_08,
    )
    .edges(&["E50"]),
    Case::cluster(
        "AD-09",
        "metadata replace",
        "A power cut while vote, term history or peer records are replaced leaves the old or the new.",
        storage::ad_09,
    )
    .quick()
    .edges(&["E50"]),
    Case::cluster(
        "AD-10",
        "timers",
        "A deadline is served neither early nor late, and one that moved is not served at all.",
        time::ad_10,
    )
    .edges(&["E104"]),
    Case::cluster(
        "AD-11",
        "clock",
        "Time as the core sees it never falls: a clock that jumps, runs fast or goes back stops nothing \
         and causes no flood.",
        time::ad_11,
    )
    .edges(&["E104"]),
    Case::cluster(
        "AD-12",
        "starvation",
        "Neither a flooded socket, nor busy clients, nor a slow disk keep a leader from its heartbeats.",
        sockets::ad_12,
    )
    .edges(&["E117"]),
    Case::cluster(
        "AD-13",
        "socket errors",
        "An error of the socket, whichever and at whichever call, ends neither the loop nor a \
         leadership.",
        sockets::ad_13,
    ),
    Case::cluster(
        "AD-14",
        "truncated datagram",
        "A datagram longer than any may be is never delivered short.",
        sockets::ad_14,
    ),
    Case::cluster(
        "AD-15",
        "batches",
        "Datagrams that the socket hands over together are taken in each by itself, as they were sent.",
        order::ad_15,
    ),
    Case::cluster(
        "AD-16",
        "send queue full",
        "A socket that takes nothing for a second blocks nobody, and what it did not take is lost only.",
        sockets::ad_16,
    ),
    Case::cluster(
        "AD-17",
        "source address and interface",
        "A member answers to where a datagram came from, and its own echo is nothing to it.",
        sockets::ad_17,
    ),
    Case::cluster(
        "AD-18",
        "back-pressure",
        "When too much is uncommitted, the intake from clients stops, and the traffic of members goes on.",
        sockets::ad_18,
    ),
    Case::cluster(
        "AD-19",
        "graceful stop",
        "A member that is asked to stop gives up its leadership, finishes what is under way at its disk \
         within a bound, and does nothing afterwards.",
        ends::ad_19,
    ),
    Case::cluster(
        "AD-20",
        "abrupt stop",
        "After an end at any moment, by a kill or a power cut, a member starts again and nothing that \
         was answered is lost.",
        ends::ad_20,
    ),
    Case::cluster(
        "AD-21",
        "fail-stop action",
        "A member that goes inert says why and sends no datagram afterwards.",
        ends::ad_21,
    ),
    Case::cluster(
        "AD-22",
        "same inputs, same outputs",
        "With the same inputs a run loop does the same as the core in the smallest loop: every datagram, \
         operation and reply, at the same time.",
        order::ad_22,
    )
    .quick()
    .edges(&["E118"]),
    Case::core(
        "AD-23",
        "one writer",
        "Only who has a member to himself can step it, and the ports of a life that has ended are dead.",
        types::ad_23,
    ),
    Case::cluster(
        "AD-24",
        "service fault",
        "A service that fails or panics makes its member inert, with nothing applied of or behind that \
         message.",
        ends::ad_24,
    ),
    Case::core(
        "AD-25",
        "apply",
        "The end of what was applied is reported once and exactly: one more report changes nothing.",
        types::ad_25,
    )
    .edges(&["E73"]),
    Case::real(
        "AD-26",
        "interface down and up, address change",
        "Sockets recover within two election time-outs after an interface came back, without a restart.",
    ),
    Case::cluster(
        "AD-27",
        "long pause",
        "After a pause of thirty seconds each deadline is served once, and a leader of before does not \
         serve.",
        time::ad_27,
    )
    .edges(&["E104", "E105"]),
    Case::cluster(
        "AD-28",
        "observability",
        "Each counter that a script can cause to move does, by what happened.",
        time::ad_28,
    )
    .should(),
    Case::core(
        "AD-29",
        "cancellation",
        "A request that its caller gives up, at any point, neither loses nor doubles anything.",
        types::ad_29,
    ),
    Case::core(
        "AD-30",
        "port in use",
        "A port that is in use is an error of a type of its own that names the address.",
        types::ad_30,
    )
    .without("a socket that is bound anew at a change of role: none is"),
    Case::core(
        "AD-31",
        "two instances",
        "Whoever opens a directory second is refused until the first is gone; two members of one \
         process are independent.",
        types::ad_31,
    ),
    Case::cluster(
        "AD-32",
        "boot epoch",
        "Each start has a boot epoch above all former ones, durable before its first datagram.",
        ends::ad_32,
    )
    .edges(&["E40"]),
    Case::cluster(
        "AD-33",
        "deterministic service",
        "A service that comes to another state than most is found out by the digests of its \
         snapshots: its member stops, says where, and begins with an older state; nobody else stops.",
        digests::ad_33,
    )
    .edges(&["E113"]),
    Case::core(
        "AD-34",
        "third-party parts",
        "With a transport in memory and a codec of somebody else, here one of text, the cases that \
         play with a group pass.",
        foreign::ad_34,
    )
    .should(),
];

/// A group with a leader and a client that is connected.
fn settled_with_client(stage: &mut Stage<'_>) -> Result<(u16, ClientNumber), Failure> {
    let leader = stage.settle()?;
    let client = stage.client();
    let within = 10 * crate::stage::SECOND;
    stage.until("the client is connected", within, |stage| stage.connections(client) > 0)?;
    Ok((leader, client))
}

/// Submits up to so many messages of `bytes` bytes; how many the client took.
fn flood(stage: &mut Stage<'_>, client: ClientNumber, messages: usize, bytes: usize) -> usize {
    let taken = |_: &usize| stage.submit(client, &vec![0x51; bytes]).is_ok();
    (0..messages).filter(taken).count()
}

/// Whether a client was answered all that it submitted.
fn answered(stage: &Stage<'_>, client: ClientNumber) -> bool {
    stage.replies(client).len() == stage.submitted(client).len()
}

#[cfg(test)]
mod tests {
    use super::CASES;
    use crate::runner::{Outcome, run_case};
    use crate::subjects::Reference;
    use crate::trial::Profile;

    #[test]
    fn all_pass_on_the_core() {
        let failed: Vec<String> = CASES
            .iter()
            .map(|case| run_case(&Reference, case, 1, Profile::Quick))
            .filter(|case| !matches!(case.outcome, Outcome::Pass | Outcome::NotApplicable))
            .map(|case| format!("{} {:?}: {:?}", case.id, case.outcome, case.reason))
            .collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }
}
