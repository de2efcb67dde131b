//! `run`: cases against a subject.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::fs;
use std::path::Path;
use std::time::Instant;

use super::Exit;
use super::arguments::{ProfileName, RunArguments};
use super::list::choose;
use super::reports::{exit_of, write};
use quorate_conformance::Lists;
use quorate_conformance::Profile;
use quorate_conformance::blackbox::{self, Product};
use quorate_conformance::catalogue;
use quorate_conformance::report;
use quorate_conformance::{ALIKE, shorter};
use quorate_conformance::{Case, Level};
use quorate_conformance::{CaseReport, Outcome, RunReport, run_case, run_of, skipped};
use quorate_conformance::{Description, Subject};
use quorate_conformance::{quoted, repeat};

/// Seeds that a failure is looked for in, at most, to tell the one with the shortest story.
const TRIES_MAX: u64 = 16;
/// How long to look for it.
const TRIES_OF_CASE: Duration = Duration::from_secs(2);
/// Milliseconds of a case that is tried with other seeds, at most.
const TRY_MS_MAX: u64 = 500;
/// Milliseconds of a run behind which no failure is tried with other seeds any more.
const TRIES_MS_MAX: u64 = 20_000;

pub(super) fn run(arguments: &RunArguments) -> Result<Exit, String> {
    let lists = arguments.config.as_deref().map(lists).transpose()?.unwrap_or_default();
    let lists = lists.of_profile(arguments.profile.name());
    let ground = Ground::of(arguments, &lists)?.check_claims()?;
    let profile = Profile::from(arguments.profile);
    let cases = chosen(arguments)?;
    if arguments.dry_run {
        for case in &cases {
            tell!("{} {}", case.id, case.title);
        }
        tell!("{} cases would run on {}", cases.len(), arguments.subject);
        return Ok(Exit::Good);
    }
    // Panics of scripts and subjects are failures, and are told as such.
    std::panic::set_hook(Box::new(|_| {}));
    let begun = Instant::now();
    let spent_ms = AtomicU64::new(0);
    let bench = Bench { cases: &cases, lists: &lists, arguments, profile, spent_ms };
    let reports = bench.run(&ground)?;
    let mut run = run_of(ground.describe(), arguments.seed, profile, reports);
    // Who names cases asks for no others: a list may be about these too.
    if arguments.patterns.is_empty() {
        run.unused = lists.unused(&cases);
    }
    if let Some(folder) = &arguments.out {
        keep_stories(&mut run, &arguments.stories)?;
        save(folder, &run)?;
    }
    if !arguments.json {
        summary(&run, begun.elapsed().as_secs_f64(), arguments.allow_unimplemented);
    }
    Ok(exit_of(core::slice::from_ref(&run), arguments.allow_unimplemented))
}

/// The cases of the patterns; without any, those of the profile.
fn chosen(arguments: &RunArguments) -> Result<Vec<&'static Case>, String> {
    let mut cases = choose(&arguments.patterns)?;
    if arguments.patterns.is_empty() {
        cases.retain(|case| match arguments.profile {
            ProfileName::Quick => case.quick,
            ProfileName::Standard => case.level == Level::Must,
            ProfileName::Strict => true,
            ProfileName::Real => blackbox::find(case.id).is_some(),
        });
    }
    Ok(cases)
}

/// On what cases run: virtual edges, or real processes.
enum Ground {
    Virtual(Box<dyn Subject>),
    Real(Box<Product>),
}

impl Ground {
    fn of(arguments: &RunArguments, lists: &Lists) -> Result<Self, String> {
        Ok(match arguments.subject.strip_prefix("blackbox:") {
            Some(path) => Self::Real(Box::new(Product::load(Path::new(path))?)),
            None => Self::Virtual(super::subject::of(arguments, lists)?),
        })
    }

    /// Fails if the subject claims what there is not.
    fn check_claims(self) -> Result<Self, String> {
        let Description { name, claims, .. } = self.describe();
        let is_group = |claim: &&String| catalogue::groups().any(|group| group == claim.as_str());
        match claims.iter().find(|claim| !is_group(claim)) {
            Some(claim) => Err(format!("{name} claims {claim:?}, and there is no such group")),
            None => Ok(self),
        }
    }

    fn describe(&self) -> Description {
        match self {
            Self::Virtual(subject) => subject.describe(),
            Self::Real(product) => blackbox::describe(product),
        }
    }

    fn run(&self, case: &Case, arguments: &RunArguments, profile: Profile) -> CaseReport {
        let seed = arguments.seed;
        match self {
            Self::Virtual(subject) => run_case(subject.as_ref(), case, seed, profile),
            Self::Real(product) => blackbox::run_real(product, case, seed, profile, arguments.keep),
        }
    }
}

/// What is to be run, by one worker or by several.
struct Bench<'a> {
    cases: &'a [&'static Case],
    lists: &'a Lists,
    arguments: &'a RunArguments,
    profile: Profile,
    /// Milliseconds that small stories have taken so far.
    spent_ms: AtomicU64,
}

impl Bench<'_> {
    /// The reports of all cases, in their order.
    fn run(&self, ground: &Ground) -> Result<Vec<CaseReport>, String> {
        let next = AtomicUsize::new(0);
        // Real processes share the machine's time: one case would be what disturbs another.
        let others = match ground {
            Ground::Real(_) => 0,
            Ground::Virtual(_) => usize::from(self.arguments.jobs).min(self.cases.len()).max(1) - 1,
        };
        let mut reports = std::thread::scope(|scope| {
            // A subject stays on its thread: each worker has one of its own.
            let work = || Ground::of(self.arguments, self.lists).map(|own| self.work(&own, &next));
            let workers: Vec<_> = (0..others).map(|_| scope.spawn(work)).collect();
            let mut reports = self.work(ground, &next);
            for worker in workers {
                let joined = worker.join().map_err(|_| "a worker panicked".to_owned())?;
                reports.extend(joined?);
            }
            Ok::<_, String>(reports)
        })?;
        reports.sort_by_key(|(index, _)| *index);
        Ok(reports.into_iter().map(|(_, report)| report).collect())
    }

    /// Runs cases as long as there are any.
    fn work(&self, ground: &Ground, next: &AtomicUsize) -> Vec<(usize, CaseReport)> {
        let mut reports = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = self.cases.get(index) else { return reports };
            let report = self.one(ground, case);
            tell(&report, self.arguments.json);
            reports.push((index, report));
        }
    }

    fn one(&self, ground: &Ground, case: &Case) -> CaseReport {
        if let Some(reason) = self.lists.skipped(case) {
            let seed = self.arguments.seed;
            return skipped(&ground.describe(), case, seed, self.profile, reason);
        }
        let mut report = ground.run(case, self.arguments, self.profile);
        self.lists.judge(case, &mut report);
        if self.profile == Profile::Strict && report.outcome == Outcome::NonStrict {
            report.outcome = Outcome::Fail;
        }
        if let (Ground::Virtual(subject), Outcome::Fail) = (ground, report.outcome) {
            report = self.in_small(subject.as_ref(), case, report);
        }
        report.repeat = self.repeat(&report);
        report
    }

    /// A failure with the shortest story among those of a few more seeds that fail alike: only if
    /// a try costs next to nothing, and not for more failures than anybody reads.
    fn in_small(&self, subject: &dyn Subject, case: &Case, first: CaseReport) -> CaseReport {
        let has_story = first.story.as_ref().is_some_and(|story| !story.scenes.is_empty());
        let spent = &self.spent_ms;
        let is_cheap = first.real_ms <= TRY_MS_MAX && spent.load(Ordering::Relaxed) <= TRIES_MS_MAX;
        if !has_story || !is_cheap {
            return first;
        }
        let begun = Instant::now();
        let is_over = || begun.elapsed() >= TRIES_OF_CASE;
        let small = shorter(subject, case, first, TRIES_MAX, self.profile, is_over);
        spent.fetch_add(begun.elapsed().as_millis() as u64, Ordering::Relaxed);
        let mut report = small.report;
        report.outcome = Outcome::Fail;
        if report.seed != self.arguments.seed {
            report.counters.insert(ALIKE.into(), small.alike);
        }
        report
    }

    /// The command that runs a case of this run again, with all that was said to it.
    fn repeat(&self, report: &CaseReport) -> String {
        let RunArguments { subject, profile, config, no_idle_limit, .. } = self.arguments;
        let mut command = repeat(&report.id, subject, report.seed, profile.name());
        if let Some(config) = config {
            command += &format!(" --config {}", quoted(&config.display().to_string()));
        }
        if *no_idle_limit {
            command += " --no-idle-limit";
        }
        command
    }
}

fn lists(path: &Path) -> Result<Lists, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    Lists::parse(&text, today).map_err(|error| format!("{shown}: {error}"))
}

fn tell(case: &CaseReport, json: bool) {
    if json {
        // Without the story: a line is for machines that want to know how it ended.
        let line = serde_json::json!({
            "id": case.id, "title": case.title, "outcome": case.outcome, "reason": case.reason,
            "observer": case.observer, "seed": case.seed, "virtual_ns": case.virtual_ns,
            "real_ms": case.real_ms, "counters": case.counters, "repeat": case.repeat,
        });
        tell!("{line}");
        return;
    }
    let virtual_ms = case.virtual_ns / 1_000_000;
    let name = case.outcome.name();
    let times = format!("{virtual_ms} ms virtual, {} ms", case.real_ms);
    match case.outcome {
        Outcome::Fail | Outcome::Error | Outcome::Unknown => {
            tell!("{:<6} {name:<13} {} ({times})", case.id, case.title);
            for line in report::three_lines(case) {
                tell!("    {line}");
            }
        }
        Outcome::Pass => {
            let attempts = case.counters.get("attempts").copied().unwrap_or(1);
            let again = if attempts > 1 {
                format!(", attempt {attempts}: the machine stood still before")
            } else {
                String::new()
            };
            tell!("{:<6} {name:<13} {} ({times}{again})", case.id, case.title);
        }
        _ => {
            let reason = case.reason.as_deref().unwrap_or_default();
            tell!("{:<6} {name:<13} {}: {reason}", case.id, case.title);
        }
    }
}

fn summary(run: &RunReport, seconds: f64, allowed: bool) {
    let counted = report::count(run.cases.iter().map(|case| case.outcome));
    let counted = if counted.is_empty() { "no case" } else { &counted };
    let in_part = run.cases.iter().filter(|case| case.outcome == Outcome::Pass);
    let in_part =
        in_part.filter(|case| catalogue::find(&case.id).is_some_and(|it| it.lacks.is_some()));
    let in_part = match in_part.count() {
        0 => String::new(),
        count => format!(" ({count} of the passed in part: see `list`)"),
    };
    tell!("{counted}{in_part} on {}, in {seconds:.1} s", run.subject.name);
    run.unused.iter().for_each(|unused| tell!("FAIL    {unused}; remove the entry"));
    if run.cases.iter().any(|case| case.outcome == Outcome::Unimplemented) && !allowed {
        tell!("unimplemented is failed; --allow-unimplemented lets it pass while you write");
    }
    // Once more, at the end: a build server shows the last part of a log.
    for case in run.cases.iter().filter(|case| case.outcome.is_bad()) {
        let reason = case.reason.as_deref().unwrap_or("no reason was given");
        let reason = reason.lines().next().unwrap_or_default();
        tell!("{:<7} {} ({}): {reason}", case.outcome.name(), case.id, case.title);
    }
}

/// Drops the stories of all cases but these; of none without patterns.
fn keep_stories(run: &mut RunReport, patterns: &[String]) -> Result<(), String> {
    if patterns.is_empty() {
        return Ok(());
    }
    let kept = choose(patterns)?;
    for case in &mut run.cases {
        if !kept.iter().any(|it| it.id == case.id) {
            case.story = None;
        }
    }
    Ok(())
}

fn save(folder: &Path, run: &RunReport) -> Result<(), String> {
    fs::create_dir_all(folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let json = serde_json::to_string(run).map_err(|error| format!("cannot write JSON: {error}"))?;
    let runs = core::slice::from_ref(run);
    let junit = report::junit(run).map_err(|error| format!("cannot make JUnit: {error}"))?;
    write(&folder.join("report.json"), &json)?;
    write(&folder.join("report.html"), &report::html(runs))?;
    write(&folder.join("junit.xml"), &junit)?;
    write(&folder.join("summary.md"), &report::markdown(runs))
}
