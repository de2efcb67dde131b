//! What sweeps of the simulator show, at random, of cases whose script calls the core.
//!
//! The catalogue gave them to a simulated group as well. Each names the faults that provoke what it
//! is about and the rules that judge it, and what of the case no sweep sees; or says why none does.

use quorate_sim::FaultClass;

/// What a sweep shows of a case.
#[derive(Clone, Copy, Debug)]
pub struct AtRandom {
    /// The case.
    pub case: &'static str,
    /// The classes of faults that bring about what it is about.
    pub faults: &'static [FaultClass],
    /// The rules that judge what comes of it, by the ids in TESTING.md. Without any, no sweep shows
    /// anything of the case.
    pub rules: &'static [&'static str],
    /// What of the case they judge and what they do not; without rules, why there are none.
    pub text: &'static str,
}

const fn swept(
    case: &'static str,
    faults: &'static [FaultClass],
    rules: &'static [&'static str],
    text: &'static str,
) -> AtRandom {
    AtRandom { case, faults, rules, text }
}

const fn nowhere(case: &'static str, why: &'static str) -> AtRandom {
    AtRandom { case, faults: &[], rules: &[], text: why }
}

/// All of them, in the order of the catalogue.
pub const AT_RANDOM: &[AtRandom] = &[
    swept(
        "EL-13",
        &[FaultClass::EdgeValues],
        &["S23", "S33"],
        "what strangers grant counts for nothing; nobody there is asked to stop and goes on",
    ),
    nowhere(
        "LS-08",
        "no rule counts the messages that it takes to find a cut: L3 asks only that logs that \
         parted are one log again",
    ),
    swept(
        "LS-09",
        &[],
        &["S1"],
        "a copy of a leader is shown another leader of its term, and has to stop; nobody there \
         forges bytes",
    ),
    swept(
        "LS-13",
        &[FaultClass::PowerCut, FaultClass::PowerLoss, FaultClass::TornSector],
        &["S12", "S15", "S16"],
        "any part of what was not synced is lost; it is the simulator's disk that finds the last \
         whole frame",
    ),
    swept(
        "LS-17",
        &[FaultClass::Duplicate, FaultClass::Replay, FaultClass::Reorder, FaultClass::Kill],
        &["S8", "S10", "L2"],
        "a commit position that is too high has no quorum of disks, one that falls is seen, and one \
         that stays behind leaves requests without a reply",
    ),
    swept(
        "CD-02",
        &[FaultClass::Depose],
        &["S7", "S8"],
        "leaders inherit the tail of one that was cut off; what they commit is of their own term",
    ),
    nowhere(
        "CD-10",
        "what is lost with a majority is an operator's decision while no member runs, and nobody \
         there decides; in volatile sweeps a majority keeps what it held",
    ),
    swept(
        "CD-14",
        &[FaultClass::Depose],
        &["S11"],
        "nobody cuts what is committed; that a history asks for it takes a liar, and there is none",
    ),
    swept(
        "CD-20",
        &[FaultClass::PowerCut, FaultClass::Kill],
        &["S14"],
        "in volatile sweeps some messages ask for safe: no reply to one leaves before it is on the \
         disks of a quorum, and there it stays",
    ),
    swept(
        "NK-11",
        &[FaultClass::Loss, FaultClass::Burst, FaultClass::Laggard],
        &["S20", "L5"],
        "nothing is sent to one member twice while it lingers, and no hole is left",
    ),
    swept(
        "NK-19",
        &[FaultClass::Depose, FaultClass::Replay],
        &["S5", "S12"],
        "what a member writes and acknowledges is what the leader of that term has there",
    ),
    swept(
        "NK-20",
        &[FaultClass::Duplicate, FaultClass::Replay, FaultClass::Reorder],
        &["S5", "S15", "S16"],
        "all members come to one log and one state, with one effect of each message",
    ),
    swept(
        "FC-07",
        &[FaultClass::SlowService],
        &["S18"],
        "what is not applied keeps to its limit; how regular heartbeats are, the script alone sees",
    ),
    swept(
        "FC-11",
        &[FaultClass::Loss, FaultClass::Laggard],
        &["S20", "S21"],
        "repairs keep to their budget and new data to its window; that new data does not wait for \
         repairs, the script alone sees",
    ),
    swept(
        "FC-12",
        &[FaultClass::DiskStall, FaultClass::SlowDisk, FaultClass::Pause],
        &["N1"],
        "no stall is told twice, and no end of one that was not told; when one has to be told, and \
         of whom, the script alone judges",
    ),
    nowhere(
        "SN-17",
        "a snapshot breaks there only while another one stands for what is purged, so that no log \
         is without its beginning",
    ),
    nowhere(
        "SN-18",
        "no world makes a group of what another one had; that tags keep groups apart S33 judges in \
         all of them",
    ),
    swept(
        "CU-04",
        &[FaultClass::Depose, FaultClass::Laggard],
        &["S12", "S20"],
        "only held bytes of the term that was asked for are sent, committed or not, and who \
         acknowledges has what the leader of that term has",
    ),
    swept(
        "TM-02",
        &[FaultClass::Depose, FaultClass::Kill, FaultClass::PowerCut],
        &["S25", "L8"],
        "messages schedule, replace and cancel eight timers; each fires once for each time that it \
         was scheduled, never early, and none that is due is left",
    ),
    nowhere(
        "BI-07",
        "no member of a world lies: without seals nobody could tell; members of the fuzz target \
         `step` do",
    ),
    swept(
        "RB-01",
        &[],
        &["S18"],
        "its script plays worlds of the simulator, of the smallest limits and with all faults that \
         they draw",
    ),
    swept(
        "RB-09",
        &[FaultClass::Flood, FaultClass::Deaf, FaultClass::ClientCrash],
        &["L10"],
        "queues and tables are back at what the sessions need; the heap is counted by the script \
         alone",
    ),
    swept(
        "DF-03",
        &[FaultClass::Rot, FaultClass::LatentError],
        &["S7", "S9"],
        "who has damage does not start, and the others lose nothing; it is the simulator's disk \
         that notices, and its refusal that is compared with what was done to it",
    ),
    nowhere(
        "DF-04",
        "no directory of a world is mended: who has damage stays away, and its operator saves what \
         is whole; menders and archives are called directly",
    ),
    swept(
        "DF-09",
        &[FaultClass::LostWrite],
        &["S7", "S9"],
        "writes are lost and go elsewhere, and the others lose nothing; it is the simulator's disk \
         that notices, and it never reads what is stale",
    ),
    nowhere(
        "DF-18",
        "no disk of a world is read again before the next start; scrubs and archives are called \
         directly",
    ),
];

/// What sweeps show of a case that calls the core only, if it was meant for a simulated group.
#[must_use]
pub fn at_random(case: &str) -> Option<&'static AtRandom> {
    AT_RANDOM.iter().find(|entry| entry.case == case)
}

impl AtRandom {
    /// The faults by their names, in a row.
    #[must_use]
    pub fn provoked_by(&self) -> String {
        let names: Vec<&str> = self.faults.iter().map(|class| class.name()).collect();
        names.join(", ")
    }

    /// The rules in a row.
    #[must_use]
    pub fn judged_by(&self) -> String {
        self.rules.join(", ")
    }
}

/// The list as a table, one row each.
pub(crate) fn table() -> String {
    let rows = AT_RANDOM.iter().map(|entry| {
        let title = crate::catalogue::find(entry.case).map_or("", |case| case.title);
        let (faults, rules) = (entry.provoked_by(), entry.judged_by());
        format!("| {} | {title} | {faults} | {rules} | {} |\n", entry.case, entry.text)
    });
    let head = "| case | | faults | rules | what of it, or why not |\n|---|---|---|---|---|\n";
    format!("{head}{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_sim::Swarm;
    use quorate_sim::observers::{CATALOGUE, Observers, State};

    const TESTING: &str = include_str!("../../../TESTING.md");

    #[test]
    fn each_rule_is_watched_and_told_of() {
        let observers = Observers::default();
        for AtRandom { case, rules, .. } in AT_RANDOM {
            for rule in *rules {
                let of_the_world =
                    CATALOGUE.iter().any(|it| it.id == *rule && it.state == State::World);
                let is_watched = of_the_world || observers.ids().any(|id| id == *rule);
                assert!(is_watched, "{case}: nobody watches {rule}");
                let row = format!("\n| {rule} | ");
                assert!(TESTING.contains(&row), "{case}: TESTING.md does not say what {rule} is");
            }
        }
    }

    #[test]
    fn each_fault_is_drawn_by_a_sweep_and_judged() {
        let drawn: Vec<_> = (1..=300).map(|seed| Swarm::draw(seed).faults.classes).collect();
        for entry in AT_RANDOM {
            for class in entry.faults {
                let seeds = drawn.iter().filter(|classes| classes.has(*class)).count();
                assert!(seeds >= 15, "{}: {} is on in {seeds}", entry.case, class.name());
            }
            let is_judged = entry.faults.is_empty() || !entry.rules.is_empty();
            assert!(is_judged, "{}: faults without a rule show nothing", entry.case);
            assert!(entry.text.len() > 20, "{} does not say what of it", entry.case);
        }
    }
}
