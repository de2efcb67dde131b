//! What was found: its rule, told in three lines, and its story, made small and kept in a file.

use core::time::Duration;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::report::Finding;
use crate::shrink::{Shrunk, shrink};
use crate::story::{RULE, Story};
use crate::swarm::NamedSchedule;
use crate::sweep::{Sweep, Swept};

/// Of one sweep so many findings become stories, the first of each rule.
pub const STORIES_MAX: usize = 8;

/// A finding whose story is in a file.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// What was found.
    pub finding: Finding,
    /// What is left of the story; `None` if telling it again found nothing, so that the file has
    /// all of it.
    pub small: Option<Shrunk>,
}

/// Makes a story of the first finding of each rule, as small as it gets within `patience`, and
/// keeps it in `directory`, which is made if it is not there.
///
/// # Errors
/// A file cannot be written.
pub fn keep_all(
    swept: &Swept,
    (sweep, schedule): (&Sweep, Option<&'static NamedSchedule>),
    (directory, patience): (&Path, Duration),
) -> io::Result<Vec<Kept>> {
    let mut rules = BTreeSet::new();
    let first = swept.findings.iter().filter(|finding| rules.insert(finding.id));
    let keep_one = |finding: &Finding| {
        let story = sweep.story(finding.seed, schedule);
        keep(story, finding, directory, patience)
    };
    first.take(STORIES_MAX).map(keep_one).collect()
}

/// Makes `story`, which ends with `finding`, as small as it gets within `patience`, and keeps it in
/// `directory`.
///
/// # Errors
/// The file cannot be written.
pub fn keep(
    story: Story,
    finding: &Finding,
    directory: &Path,
    patience: Duration,
) -> io::Result<Kept> {
    let path = directory.join(format!("{}-seed-{}.story", finding.id, finding.seed));
    let small = shrink(story.clone(), patience);
    let mut text = small.as_ref().map_or(&story, |small| &small.story).to_string();
    text.push_str(RULE);
    for line in small.as_ref().map(Shrunk::lines).unwrap_or_else(|| vec![finding.to_string()]) {
        text.push('\n');
        text.push_str(&line);
    }
    text.push('\n');
    fs::create_dir_all(directory)?;
    fs::write(&path, text)?;
    Ok(Kept { path, finding: finding.clone(), small })
}

impl Kept {
    /// What a finding is told in: the rule, the story, and the command of `program` that repeats
    /// it.
    #[must_use]
    pub fn three_lines(&self, program: &str) -> [String; 3] {
        let Self { path, finding, small } = self;
        let left = small.as_ref().map_or_else(
            || "it does not come again when it is told again; then".to_owned(),
            |small| {
                let (before, events) = (small.events_before, small.told.outcome.steps);
                let swarm = small.story.swarm();
                let (members, clients) = (swarm.members, swarm.clients);
                let faults = small.told.faults.len();
                format!(
                    "{events} events of {before} are left (members {members}, clients {clients}, \
                     faults {faults}); then"
                )
            },
        );
        let found = small.as_ref().and_then(|small| small.told.outcome.finding.as_ref());
        [
            format!("rule    {}: {}", finding.id, rule(finding.id)),
            format!("story   {left}: {}", found.unwrap_or(finding)),
            format!("repeat  {program} replay {} --trace", path.display()),
        ]
    }
}

/// What the invariant of this id asks for, in a sentence.
#[must_use]
pub fn rule(id: &str) -> &'static str {
    let known = RULES.iter().find(|(known, _)| *known == id);
    known.map_or("What must not happen does not happen.", |(_, rule)| rule)
}

/// The rules by id. TESTING.md has those of the catalogue in the same words.
const RULES: [(&str, &str); 61] = [
    (
        "S1",
        "At most one life of one member ever leads a term. A leader that hears another one of \
         its term stops.",
    ),
    ("S2", "A member grants one candidate at most its vote in a term, over all its lives."),
    ("S3", "When a grant leaves, the voter's disk has that vote, or a newer term."),
    ("S4", "Terms only rise, no member is behind its disk, and no message is ahead of its sender."),
    ("S5", "Frames of one term at one position are the same frame, with the same log before it."),
    ("S6", "A leader only adds, behind its log, frames of its own term."),
    ("S7", "What any member, in any life, marks committed is what was chosen there first."),
    (
        "S8",
        "When a leader commits, a quorum of disks has those bytes, and they are of its own \
         term.",
    ),
    (
        "S9",
        "A new leader holds all that was chosen, and nobody votes for a candidate whose log is \
         behind its own.",
    ),
    ("S10", "Positions are in their order; commit and applied never fall within a life."),
    ("S11", "Nobody cuts what it knows to be committed, nor what was chosen and it holds."),
    ("S12", "What a member acknowledges is durable on it, as the leader of that term has it."),
    ("S13", "A leader counts its own disk by the same rule."),
    (
        "S14",
        "A reply leaves only a leader, for a message that it has committed and applied; only a \
         leader whose opening frame is applied speaks of sessions. One that was to wait until its \
         message is safe leaves only when a quorum of disks has it, and so it is with a position \
         that a client waited for; what was called safe stays there, whoever crashes.",
    ),
    ("S15", "A message has one effect, the same on every member, and all its replies are equal."),
    ("S16", "Members that applied the same log are in the same state."),
    ("S17", "A client gets one reply to each message, in order."),
    (
        "S18",
        "Each queue and table keeps to its named limit (Member::usage), and so do the actions \
         of one event and the uncommitted and unapplied bytes of a leader.",
    ),
    (
        "S19",
        "Nobody asks for what it holds, nor for what nobody was heard to have, nor twice too \
         soon, of the log or of a snapshot.",
    ),
    (
        "S20",
        "A repair is not repeated to one destination while it lingers, repairs keep to their \
         budget, and only held bytes of their term are sent. Who asks for what is purged is told \
         so at once.",
    ),
    (
        "S21",
        "Nothing is sent beyond the receiver's limit, and no limit moves back within an epoch.",
    ),
    (
        "S22",
        "Who is a member is what the group was formed with or what the log says; it changes one \
         change at a time, in two phases where voters change, and by a leader that has committed \
         in its term.",
    ),
    (
        "S23",
        "Who leads has the durable votes of a quorum of voters, of both halves while they change; \
         who is no voter does not stand.",
    ),
    (
        "S24",
        "Members at one position lay out and store the same snapshot, however they came there, \
         and offer no other; a member counts on one only that its disk has, installs only what \
         was chosen, and purges only what two that are usable stand for.",
    ),
    (
        "S25",
        "Log time never falls and is the same on all members; each timer fires once for each \
         time that it was scheduled, and not before its deadline.",
    ),
    ("S33", "What a stranger, another incarnation or a former life says has no effect."),
    (
        "S34",
        "Of the event that stops a member the reason is the last thing that goes out, and \
         later nothing does.",
    ),
    ("S35", "A shadow that is fed the same events does the same and comes to the same state."),
    ("S36", "No byte of a term goes to a disk before the term's line is durable."),
    (
        "S37",
        "Nobody denies what it holds, nor claims less than it acknowledged; who came back with \
         less does not count.",
    ),
    ("S39", "Of two members, both hold what is committed."),
    ("S40", "Numbers that rise never fall, wrap, or come near their end."),
    (
        "S27",
        "A linearizable read shows all that was acknowledged, and shown by such a read, before it \
         was asked.",
    ),
    (
        "S28",
        "A session read shows all that its client has seen; a stale one is not beyond its bound.",
    ),
    ("E16", "Who is told to campaign has acknowledged all that the leader has."),
    ("E47", "Who lost its directory promises nothing before its readmission is chosen."),
    (
        "E71",
        "A snapshot of another member is fetched and installed only where it is ahead of what \
         is verified.",
    ),
    (
        "E73",
        "A snapshot is installed by a follower, while nothing else is under way or promised; \
         behind it comes a new life.",
    ),
    ("E74", "The parts of one snapshot are kept in order, and what is installed was checked."),
    ("E75", "A snapshot that somebody fetches is kept until that is over."),
    ("E105", "After a timer was served, the next deadline moves on."),
    ("H1", "What clients saw of the ledger's registers is linearizable."),
    ("H2", "The answers to a client come from ever later moments, in the order in which it asked."),
    ("H3", "No message took effect twice."),
    (
        "L7",
        "What the operator demands of a member is answered once, with a typed result, within \
         two election time-outs.",
    ),
    ("N1", "A stall is told once, and not again before its end was told."),
    ("L11", "A change of members that is under way is completed."),
    ("L1", "One leader that all know, and that stays for 50 election time-outs."),
    ("L2", "A reply to each outstanding and to a fresh request."),
    ("L3", "All members level: positions, histories, digests, replicated state."),
    (
        "L4",
        "Each member that lags is level within a time that follows from its lag, or the \
         snapshot that it has to fetch, and the budget of repairs.",
    ),
    (
        "L5",
        "No hole that stands still for longer than requests and repairs take, or the fetch of a \
         snapshot where all others have purged it, and a second.",
    ),
    ("L6", "Silence: nobody campaigns, asks or votes, and heartbeats keep their pace."),
    ("L7", "Leadership is handed over to the member that the operator names."),
    ("L8", "Each timer that is due has fired."),
    (
        "L10",
        "Nothing grows: not what is sent, nor what is scheduled, nor the log; queues and \
         tables are back at what the sessions need.",
    ),
    (
        "L13",
        "If one of these fails, the disks show that nobody could have; in 1 % of the runs at \
         most.",
    ),
    (
        "L15",
        "While faults go on and a quorum with the leader has been well, 99 of 100 requests are \
         answered within a second and the longest candidacy delay.",
    ),
    ("panic", "The core does not panic, whatever happens to it."),
    ("start", "A member starts on its disk, or says what was done to it."),
    ("codec", "What is sent can be written as a datagram and read again."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Replicated;

    #[test]
    fn every_rule_stands_in_the_guide_in_the_same_words() {
        let guide = include_str!("../../TESTING.md").replace(['`', '*'], "");
        for (id, rule) in RULES.iter().filter(|(id, _)| id.starts_with(char::is_uppercase)) {
            let row = format!("| {id} | {rule} |");
            assert!(guide.contains(&row), "TESTING.md does not say {row:?}");
        }
        for id in crate::observers::Observers::default().ids() {
            assert!(RULES.iter().any(|(known, _)| *known == id), "{id} has no sentence");
        }
    }

    #[test]
    fn the_first_finding_of_a_rule_is_kept_and_its_file_tells_it_again() {
        let service = Replicated::MistakenLedger;
        let sweep = Sweep {
            start: 1,
            seeds: 2,
            steps: 300,
            threads: 1,
            stop_at_first: false,
            budget: None,
            service,
        };
        let swept = sweep.run(|_| {});
        assert_eq!(swept.findings.len(), 2);
        let directory = std::env::temp_dir().join(format!("quorate-sim-{}", std::process::id()));
        let place = (directory.as_path(), Duration::from_secs(30));
        let kept = keep_all(&swept, (&sweep, None), place).unwrap();
        let [kept] = kept.as_slice() else { panic!("{kept:?}") };
        let back = Story::read(&kept.path).unwrap();
        let text = fs::read_to_string(&kept.path).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        let found = kept.small.as_ref().and_then(|small| small.told.outcome.finding.clone());
        assert_eq!(back.tell(false).outcome.finding, found);
        let [rule, story, repeat] = kept.three_lines("sim");
        assert!(rule.starts_with("rule    H1: What clients saw"), "{rule}");
        assert!(story.contains("events of") && story.contains("H1: "), "{story}");
        assert!(repeat.starts_with("repeat  sim replay ") && repeat.contains("H1-seed-1.story"));
        assert!(text.ends_with(&format!("{}\n", found.unwrap())), "{text}");
    }
}
