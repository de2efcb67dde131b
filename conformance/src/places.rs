//! Where each case was meant to be played when the catalogue was made, and why some are not.
//!
//! A case that calls the core directly proves nothing of somebody's run loop, and one that plays in
//! virtual time nothing of real machines. Each case that was meant for them is played there, or its
//! reason stands here; WAITING.md lists the reasons. What was meant for a simulated group and calls
//! the core only has what sweeps show of it in [`AT_RANDOM`].

pub mod at_random;

pub use at_random::{AT_RANDOM, AtRandom, at_random};

use crate::case::Case;
use crate::catalogue;

/// Why cases do not play with members of any subject, though they were meant to.
pub const NOT_WITH_MEMBERS: &[(&str, &str)] = &[
    (
        "FC-07",
        "a service on the stage takes none of its time; those of the simulator are slow, under \
         all observers",
    ),
    (
        "BI-08",
        "a configuration is read before there is a loop: the reader that all hosts share is \
         called directly",
    ),
    ("BI-09", "files are the archive's, and on the stage the suite's own disk takes its place"),
    (
        "RB-02",
        "a heap is counted for the whole process, and the stage takes from it beside the loop",
    ),
    ("RB-06", "nothing on the stage has a descriptor, and its threads are not the loop's alone"),
    (
        "RB-09",
        "a heap is counted for the whole process, and the stage takes from it beside the loop",
    ),
    (
        "AD-23",
        "what types promise the compiler shows, and the rest is asked of the suite's own edges",
    ),
    (
        "AD-29",
        "the handle whose requests are given up is the driver's, and no part of the seam: it is \
         called directly",
    ),
    (
        "AD-34",
        "its subject is a loop of foreign parts, `text`, on which it plays the others' scripts \
         itself",
    ),
    (
        "DF-02",
        "files are the archive's, and on the stage the suite's own disk takes its place; real \
         processes show it",
    ),
    (
        "DF-03",
        "files are the archive's, and on the stage the suite's own disk takes its place; real \
         processes show it",
    ),
    (
        "DF-12",
        "files are the archive's, and on the stage the suite's own disk takes its place; real \
         processes show it",
    ),
    (
        "DF-13",
        "it goes through all states that a crash may leave of files, and on the stage there are \
         none",
    ),
    (
        "DF-16",
        "the copies of a record are the archive's, and on the stage the suite's own disk takes \
         its place",
    ),
];

/// Why cases do not play with real processes, though they were meant to.
pub const NOT_ON_REAL_PROCESSES: &[(&str, &str)] = &[
    ("EL-16", "real links add nothing: EL-15 and EL-17 show a group on ones that are cut as oddly"),
    ("CD-12", "AD-04 and DF-17 are that play with real disks"),
    (
        "CD-19",
        "the disk and the network of one machine are not slow enough to tell their sum from the \
         longer",
    ),
    (
        "CD-21",
        "AD-20 is that: killed at any call, a member applies again, and each message counts \
         once",
    ),
    (
        "NK-13",
        "repairs and new data of seven hosts go through the suite's one switch, and its pace \
         would be what is measured",
    ),
    (
        "NK-23",
        "what seven hosts are sent at once goes through the suite's one switch, and its pace \
         would be what is measured",
    ),
    (
        "FC-04",
        "ten minutes; a thousandth of that shows nothing on a machine that also runs the others",
    ),
    ("FC-09", "what the kernel's queues add is shown by NK-32 and AD-13"),
    (
        "SN-01",
        "the position of a real restart cannot be set; a member that purges begins each life \
         with a snapshot",
    ),
    (
        "SN-08",
        "when a product purges its log is its own affair; the tests of the runtimes fetch from \
         real archives, and those of the archive go through all calls of an install",
    ),
    (
        "SN-11",
        "which call belongs to a snapshot nobody knows from outside: the archive's tests go \
         through all of them, and AD-09 and AD-20 end lives at calls of any file",
    ),
    (
        "SN-15",
        "a bound of twice the usual time is less than busy machines vary; the rung `snapshot` of \
         the benchmarks measures it, with 1 GiB",
    ),
    (
        "SN-18",
        "how a product is backed up is no part of its description; the tests of the command play \
         it, with a member of the former group that goes on",
    ),
    (
        "CU-01",
        "how a product gives a member a new directory is no part of its description; the tests of the \
         command play it",
    ),
    ("CU-02", "who is asked for what is the core's choice, which real links do not change"),
    ("CU-07", "ten thousand seeds, each the work of seconds in real time"),
    (
        "CU-10",
        "gigabytes take too long, and less is no burden to hosts of one machine: the \
         stage limits its members' uplinks",
    ),
    (
        "CU-12",
        "its parts are played apart: a member that is behind by more than a window (DF-19), and \
         all of them started at once (CD-17)",
    ),
    (
        "CU-14",
        "its parts are played apart: a member that is behind by terms and more than a window \
         (DF-19), and members that start again and again (EL-20, EL-23)",
    ),
    ("CL-09", "the replies of a killed leader are shown by EL-20 and CL-04; nothing comes unasked"),
    ("CL-13", "no client keeps its id on a disk"),
    ("CL-14", "a real client tells its user replies, and not whom it follows"),
    (
        "CL-19",
        "what a member keeps for a client, and why a session ended, it tells nobody outside; a \
         socket that nobody reads is NK-32",
    ),
    ("CL-25", "ten thousand histories, each the work of seconds in real time"),
    (
        "TM-05",
        "the service of the command sets no timers, and how late one may be is less than a busy \
         machine stands still; AD-11 bends the clocks of real members",
    ),
    (
        "TM-12",
        "a group of one tells nobody outside that it leads, and of several another leads before \
         the stopped one goes on, which AD-27 shows",
    ),
    ("CV-22", "there is one version of the program"),
    ("RB-10", "eight hours"),
    (
        "AD-03",
        "what has not come to a disk yet is chosen on the stage only; AD-06 and DF-01 let real \
         syncs fail",
    ),
    (
        "AD-08",
        "the few milliseconds in which a member cuts its log nobody sees from outside; AD-04 \
         and AD-20 end lives anywhere",
    ),
    (
        "AD-10",
        "how late a deadline may be is less than a busy machine stands still; one that is \
         served early would elect without need, which EL-23 and NK-25 see",
    ),
    ("AD-12", "how long a loop may starve is less than a busy machine stands still"),
    (
        "AD-16",
        "a kernel that takes nothing says so for each datagram, which AD-13 has it do now and \
         then",
    ),
    ("AD-17", "a host here has one address and no multicast"),
    ("AD-18", "that a full member takes no more is the core's doing; FC-06 floods real members"),
    (
        "DF-11",
        "that a disk is slow is CD-16 on real machines; a bound of twice the usual time is less \
         than they vary",
    ),
];

/// Why a case is not played where it was meant to be: with whom, and the reason.
pub fn excuses(case: &Case) -> impl Iterator<Item = (&'static str, &'static str)> {
    let id = case.id;
    let lists =
        [("run loops of others", NOT_WITH_MEMBERS), ("real processes", NOT_ON_REAL_PROCESSES)];
    lists.into_iter().flat_map(move |(whom, reasons)| {
        let own = reasons.iter().filter(move |(known, _)| *known == id);
        own.map(move |(_, reason)| (whom, *reason))
    })
}

/// The reasons as a table, one row each.
pub(crate) fn table(reasons: &[(&str, &str)]) -> String {
    let rows = reasons.iter().map(|(id, reason)| {
        let title = catalogue::find(id).map_or("", |case| case.title);
        format!("| {id} | {title} | {reason} |\n")
    });
    format!("| case | | why not |\n|---|---|---|\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blackbox;
    use crate::case::Script;

    /// The cases that the catalogue gives to a simulated group.
    const FOR_SIMULATED_GROUPS: &str = "
    EL-01 EL-02 EL-03 EL-09 EL-10 EL-13 EL-14 EL-15 EL-16 EL-17 EL-18 EL-19 EL-20 EL-21 EL-22 EL-23
    EL-24 EL-25 EL-26 EL-27 EL-28 EL-30 LS-01 LS-02 LS-03 LS-08 LS-09 LS-10 LS-11 LS-13 LS-15 LS-17
    LS-18 CD-01 CD-02 CD-08 CD-09 CD-10 CD-11 CD-12 CD-14 CD-15 CD-16 CD-17 CD-19 CD-20 CD-21 NK-01
    NK-02 NK-07 NK-08 NK-11 NK-13 NK-14 NK-15 NK-16 NK-17 NK-19 NK-20 NK-22 NK-23 NK-24 NK-25 NK-26
    NK-27 NK-29 NK-31 NK-33 FC-01 FC-02 FC-03 FC-04 FC-05 FC-06 FC-07 FC-09 FC-11 FC-12 FC-13 FC-14
    SN-01 SN-02 SN-03 SN-04 SN-07 SN-08 SN-09 SN-10 SN-11 SN-12 SN-13 SN-14 SN-16 SN-17 SN-18 CU-01
    CU-02 CU-03 CU-04 CU-05 CU-07 CU-08 CU-09 CU-10 CU-11 CU-12 CU-13 CU-14 CU-15 CU-16 CU-17 TN-01
    TN-02 TN-03 TN-10 CL-01 CL-02 CL-03 CL-04 CL-05 CL-06 CL-07 CL-08 CL-09 CL-10 CL-11 CL-12 CL-13
    CL-14 CL-15 CL-17 CL-18 CL-19 CL-20 CL-21 CL-22 CL-23 CL-24 CL-25 CL-26 TM-01 TM-02 TM-03 TM-04
    TM-05 TM-06 TM-09 TM-11 CV-22 BI-07 BI-10 RB-01 RB-03 RB-05 RB-07 RB-09 AD-33 DF-03 DF-04 DF-05
    DF-06 DF-07 DF-08 DF-09 DF-10 DF-11 DF-14 DF-17 DF-18 DF-19
    ";

    /// The cases that the catalogue gives to run loops of others.
    const FOR_ADAPTERS: &str = "
    EL-01 EL-03 EL-04 EL-09 EL-19 EL-20 EL-23 EL-24 EL-27 EL-30 LS-01 LS-03 LS-10 LS-11 LS-15 CD-04
    CD-05 CD-06 CD-07 CD-12 CD-15 CD-19 CD-21 NK-01 NK-02 NK-16 NK-28 NK-33 FC-06 FC-07 FC-09 SN-01
    SN-07 SN-08 SN-11 SN-12 SN-14 CU-01 CU-08 CU-16 TN-01 TN-02 CL-01 CL-02 CL-04 CL-09 CL-11 CL-13
    CL-15 CL-17 CL-19 CL-20 CL-26 TM-01 TM-03 TM-05 TM-08 TM-12 BI-05 BI-08 BI-09 BI-10 RB-02 RB-06
    RB-07 RB-09 AD-01 AD-02 AD-03 AD-04 AD-05 AD-06 AD-07 AD-08 AD-09 AD-10 AD-11 AD-12 AD-13 AD-14
    AD-15 AD-16 AD-17 AD-18 AD-19 AD-21 AD-22 AD-23 AD-24 AD-25 AD-27 AD-28 AD-29 AD-31 AD-32 AD-33
    AD-34 DF-01 DF-02 DF-03 DF-07 DF-08 DF-10 DF-12 DF-13 DF-16
    ";

    /// The cases that the catalogue gives to real processes.
    const FOR_REAL_PROCESSES: &str = "
    EL-01 EL-09 EL-15 EL-16 EL-17 EL-18 EL-20 EL-23 LS-01 LS-11 CD-12 CD-16 CD-17 CD-19 CD-21 NK-01
    NK-02 NK-08 NK-13 NK-16 NK-23 NK-25 NK-27 NK-32 NK-33 FC-04 FC-06 FC-09 CU-01 CU-02 SN-01 SN-08
    SN-11 SN-15 SN-18 CU-07 CU-10 CU-12 CU-14 TN-01 TN-02 CL-01 CL-02 CL-04 CL-09 CL-13 CL-14 CL-19
    CL-22 CL-25 CL-26 TM-05 TM-12 CV-22 BI-08 BI-09 BI-11 RB-06 RB-10 AD-03 AD-04 AD-06 AD-08 AD-09
    AD-10 AD-12 AD-13 AD-16 AD-17 AD-18 AD-19 AD-20 AD-21 AD-26 AD-27 AD-30 AD-31 DF-01 DF-02 DF-07
    DF-10 DF-11 DF-12 DF-14 DF-15 DF-17
    ";

    /// Whether a case plays with members of any subject.
    fn plays_with_members(case: &Case) -> bool {
        matches!(case.script, Script::Cluster(_)) || catalogue::with_members(case).is_some()
    }

    /// Whether a case plays with real processes.
    fn plays_with_real_processes(case: &Case) -> bool {
        blackbox::find(case.id).is_some()
    }

    #[test]
    fn a_case_for_simulated_groups_plays_with_one_or_says_what_sweeps_show() {
        let entries: Vec<(&str, &str)> = AT_RANDOM.iter().map(|it| (it.case, it.text)).collect();
        is_played_or_excused(FOR_SIMULATED_GROUPS, &entries, plays_with_members);
    }

    /// Each case that is meant to be played somewhere waits, is played there, or says why not; and
    /// no reason is left of one that is played, or was never meant to be.
    fn is_played_or_excused(meant: &str, reasons: &[(&str, &str)], plays: fn(&Case) -> bool) {
        let meant: Vec<&str> = meant.split_whitespace().collect();
        let excused = |id: &str| reasons.iter().any(|(known, _)| *known == id);
        for id in &meant {
            let case = catalogue::find(id).unwrap_or_else(|| panic!("there is no case {id}"));
            let waits = matches!(case.script, Script::Waits(_));
            let ways = [waits, plays(case), excused(id)].into_iter().filter(|way| *way).count();
            assert_eq!(ways, 1, "{id}: waits {waits}, plays {}", plays(case));
        }
        for (id, reason) in reasons {
            assert!(meant.contains(id), "{id} was never meant to be played there");
            assert!(reason.len() > 5, "{id} has no reason");
        }
        assert!(reasons.is_sorted_by_key(|(id, _)| catalogue::all().position(|it| it.id == *id)));
    }

    #[test]
    fn a_case_for_adapters_plays_with_them_or_says_why_not() {
        is_played_or_excused(FOR_ADAPTERS, NOT_WITH_MEMBERS, plays_with_members);
    }

    #[test]
    #[cfg(feature = "fault-disks")]
    fn a_case_for_real_processes_plays_with_them_or_says_why_not() {
        is_played_or_excused(FOR_REAL_PROCESSES, NOT_ON_REAL_PROCESSES, plays_with_real_processes);
    }
}
