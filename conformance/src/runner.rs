//! Runs cases against a subject and keeps what a report needs.

use core::panic::AssertUnwindSafe;
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::case::{Case, Failure, Level, Script, Verdict};
use crate::catalogue::with_members;
use crate::stage::story::Story;
use crate::subject::{Description, Subject};
use crate::trial::{Profile, Trial};

pub(crate) use crate::trial::Remains;

/// The version of [`RunReport`]'s shape.
pub const REPORT_SCHEMA: u32 = 1;

/// What came of a case.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All of its checks and all observers were content.
    Pass,
    /// A SHOULD was missed: counted as passed unless the run is strict.
    NonStrict,
    /// A check, an observer, a crash or a hang.
    Fail,
    /// It failed as the list of expected failures says.
    ExpectedFail,
    /// Left out by a skip pattern.
    Skipped,
    /// What it is about does not exist yet, or not in this subject. Never passed.
    NotApplicable,
    /// The subject says that it does not do this yet: a failure, unless the run allows it.
    Unimplemented,
    /// A checker ran out of its budget, or the machine stood still.
    Unknown,
    /// The suite itself could not go on.
    Error,
}

impl Outcome {
    /// Whether something is wrong, or may be.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Fail | Self::Error | Self::Unknown)
    }
}

/// One case in a report.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CaseReport {
    /// Its id.
    pub id: String,
    /// Its group.
    pub group: String,
    /// Its title.
    pub title: String,
    /// Its rule.
    pub rule: String,
    /// How binding it is.
    pub level: Level,
    /// Whether the quick profile has it.
    pub quick: bool,
    /// The edge cases that it proves.
    pub edges: Vec<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it failed, was skipped, or is not applicable.
    pub reason: Option<String>,
    /// The invariant whose observer found it, if one did.
    pub observer: Option<String>,
    /// The seed.
    pub seed: u64,
    /// Nanoseconds of virtual time, over all stages.
    pub virtual_ns: u64,
    /// Milliseconds of real time.
    pub real_ms: u64,
    /// Datagrams by kind, elections, and what the script counted.
    pub counters: BTreeMap<String, u64>,
    /// The command that runs it again.
    pub repeat: String,
    /// What happened on its last stage, if it had one.
    pub story: Option<Story>,
}

/// One run of the suite against one subject.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RunReport {
    /// [`REPORT_SCHEMA`].
    pub schema: u32,
    /// What was proved.
    pub subject: Description,
    /// The suite's version.
    pub suite: String,
    /// How thorough the run was.
    pub profile: Profile,
    /// The seed of the run.
    pub seed: u64,
    /// The machine: system, processor, cores.
    pub host: String,
    /// The cases, in the order of the catalogue.
    pub cases: Vec<CaseReport>,
    /// Skips and expected failures that no case of the run was one of: each is a failure.
    #[serde(default)]
    pub unused: Vec<String>,
}

/// How many cases ended how.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Totals(pub BTreeMap<Outcome, usize>);

impl RunReport {
    /// How many cases ended how.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for case in &self.cases {
            *totals.0.entry(case.outcome).or_default() += 1;
        }
        totals
    }
}

/// Runs these cases, one after the other; `progress` sees each as it ends.
pub fn run_cases<'c>(
    subject: &dyn Subject,
    cases: impl IntoIterator<Item = &'c Case>,
    seed: u64,
    profile: Profile,
    mut progress: impl FnMut(&CaseReport),
) -> RunReport {
    let cases = cases.into_iter().map(|case| {
        let report = run_case(subject, case, seed, profile);
        progress(&report);
        report
    });
    let cases = cases.collect();
    run_of(subject.describe(), seed, profile, cases)
}

/// The report of a run with these cases.
#[must_use]
pub fn run_of(
    subject: Description,
    seed: u64,
    profile: Profile,
    cases: Vec<CaseReport>,
) -> RunReport {
    RunReport {
        schema: REPORT_SCHEMA,
        subject,
        suite: env!("CARGO_PKG_VERSION").into(),
        profile,
        seed,
        host: host(),
        cases,
        unused: Vec::new(),
    }
}

/// The report of a case that was left out.
#[must_use]
pub fn skipped(
    subject: &Description,
    case: &Case,
    seed: u64,
    profile: Profile,
    reason: String,
) -> CaseReport {
    let judged = (Outcome::Skipped, Some(reason), None);
    report_of(case, &subject.name, seed, profile, judged, Remains::default(), 0)
}

/// Runs one case; a panic of the script, the core or the subject is a failure.
pub fn run_case(subject: &dyn Subject, case: &Case, seed: u64, profile: Profile) -> CaseReport {
    let begun = Instant::now();
    let Description { name, claims, .. } = subject.describe();
    let mut trial = Trial::new(subject, seed, profile);
    let verdict = catch_unwind(AssertUnwindSafe(|| perform(case, &name, &mut trial)));
    let verdict = verdict.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Failure::broken(format!("panic: {}", text.unwrap_or_default())))
    });
    let judged = by_claims(case, &claims, judge(case, verdict));
    let real_ms = begun.elapsed().as_millis() as u64;
    report_of(case, &name, seed, profile, judged, trial.into_remains(), real_ms)
}

/// What is not implemented in a group that the subject claims is a failure.
fn by_claims(case: &Case, claims: &[String], (outcome, reason, observer): Judged) -> Judged {
    let group = case.group();
    if outcome != Outcome::Unimplemented || !claims.iter().any(|claim| claim == group) {
        return (outcome, reason, observer);
    }
    let reason = reason.unwrap_or_default();
    let reason = format!("it claims {group}, and does not implement this: {reason}");
    (Outcome::Fail, Some(reason), observer)
}

pub(crate) type Judged = (Outcome, Option<String>, Option<String>);

pub(crate) fn report_of(
    case: &Case,
    subject: &str,
    seed: u64,
    profile: Profile,
    (outcome, reason, observer): Judged,
    remains: Remains,
    real_ms: u64,
) -> CaseReport {
    CaseReport {
        id: case.id.into(),
        group: case.group().into(),
        title: case.title.into(),
        rule: case.rule.into(),
        level: case.level,
        quick: case.quick,
        edges: case.edges.iter().map(|edge| (*edge).to_owned()).collect(),
        outcome,
        reason,
        observer,
        seed,
        virtual_ns: remains.virtual_ns,
        real_ms,
        counters: remains.counters,
        repeat: repeat(case.id, subject, seed, profile.name()),
        story: remains.story.map(|story| story.shortened(outcome.is_bad())),
    }
}

/// The command that runs one case again, with as many rounds and as strictly; words that a shell
/// would take apart stand in quotes.
#[must_use]
pub fn repeat(id: &str, subject: &str, seed: u64, profile: &str) -> String {
    let subject = quoted(subject);
    format!("quorate-conformance run {id} --subject {subject} --seed {seed} --profile {profile}")
}

/// A word as a shell takes it for one.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:,+=@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn perform(case: &Case, subject: &str, trial: &mut Trial<'_>) -> Verdict {
    match case.script {
        Script::Cluster(script) => script(trial),
        Script::Core(script) if subject == "core" => script(trial),
        Script::Core(_) => match with_members(case) {
            Some(script) => script(trial),
            None => {
                Err(Failure::NotApplicable("it calls the core directly: --subject core".into()))
            }
        },
        Script::Real => {
            let where_to = "only real processes show it: --profile real --subject blackbox:FILE";
            Err(Failure::NotApplicable(where_to.into()))
        }
        Script::Waits(work) => Err(Failure::NotApplicable(format!("waits for {work}"))),
    }
}

pub(crate) fn judge(case: &Case, verdict: Verdict) -> Judged {
    let failure = match verdict {
        Ok(()) => return (Outcome::Pass, None, None),
        Err(failure) => failure,
    };
    let reason = failure.to_string();
    match failure {
        Failure::Broken { observer, .. } => {
            let outcome = match (case.level, observer) {
                // What an observer sees is a broken promise, whatever the case is about.
                (Level::Should | Level::Informational, None) => Outcome::NonStrict,
                _ => Outcome::Fail,
            };
            (outcome, Some(reason), observer.map(str::to_owned))
        }
        Failure::Late { .. } => {
            let is_must = case.level == Level::Must;
            let outcome = if is_must { Outcome::Fail } else { Outcome::NonStrict };
            (outcome, Some(reason), None)
        }
        Failure::NotApplicable(reason) => (Outcome::NotApplicable, Some(reason), None),
        Failure::Unimplemented(reason) => (Outcome::Unimplemented, Some(reason), None),
        Failure::Unknown(_) => (Outcome::Unknown, Some(reason), None),
        Failure::Harness(_) => (Outcome::Error, Some(reason), None),
    }
}

fn host() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{} {}, {cores} cores", std::env::consts::OS, std::env::consts::ARCH)
}
