//! `run`: cases against a subject.

use std::fs;
use std::path::Path;

use super::Exit;
use super::arguments::RunArguments;
use super::list::choose;
use super::reports::{exit_of, write};
use quorate_conformance::Lists;
use quorate_conformance::Profile;
use quorate_conformance::Subject;
use quorate_conformance::report;
use quorate_conformance::{Case, Level};
use quorate_conformance::{CaseReport, Outcome, RunReport, run_case, run_of, skipped};

pub(super) fn run(arguments: &RunArguments) -> Result<Exit, String> {
    let subject = super::subject::by_name(&arguments.subject)?;
    let lists = arguments.config.as_deref().map(lists).transpose()?.unwrap_or_default();
    let profile = Profile::from(arguments.profile);
    let cases = chosen(arguments, profile)?;
    if arguments.dry_run {
        for case in &cases {
            println!("{} {}", case.id, case.title);
        }
        println!("{} cases would run on {}", cases.len(), arguments.subject);
        return Ok(Exit::Good);
    }
    // Panics of scripts and subjects are failures, and are told as such.
    std::panic::set_hook(Box::new(|_| {}));
    let begun = std::time::Instant::now();
    let mut reports = Vec::new();
    for case in &cases {
        let report = one(subject.as_ref(), case, &lists, arguments.seed, profile);
        tell(&report, arguments.json);
        reports.push(report);
    }
    let run = run_of(subject.as_ref(), arguments.seed, profile, reports);
    if !arguments.json {
        summary(&run, begun.elapsed().as_secs_f64());
    }
    if let Some(folder) = &arguments.out {
        save(folder, &run)?;
    }
    Ok(exit_of(core::slice::from_ref(&run)))
}

/// The cases of the patterns; without any, those of the profile.
fn chosen(arguments: &RunArguments, profile: Profile) -> Result<Vec<&'static Case>, String> {
    let mut cases = choose(&arguments.patterns)?;
    if arguments.patterns.is_empty() {
        cases.retain(|case| match profile {
            Profile::Quick => case.quick,
            Profile::Standard => case.level == Level::Must,
            Profile::Strict => true,
        });
    }
    Ok(cases)
}

fn one(
    subject: &dyn Subject,
    case: &Case,
    lists: &Lists,
    seed: u64,
    profile: Profile,
) -> CaseReport {
    if let Some(reason) = lists.skipped(case) {
        return skipped(subject, case, seed, reason);
    }
    let mut report = run_case(subject, case, seed, profile);
    lists.judge(case, &mut report);
    if profile == Profile::Strict && report.outcome == Outcome::NonStrict {
        report.outcome = Outcome::Fail;
    }
    report
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
        println!("{line}");
        return;
    }
    let virtual_ms = case.virtual_ns / 1_000_000;
    let name = case.outcome.name();
    let times = format!("{virtual_ms} ms virtual, {} ms", case.real_ms);
    match case.outcome {
        Outcome::Fail | Outcome::Error | Outcome::Unknown => {
            println!("{:<6} {name:<13} {} ({times})", case.id, case.title);
            for line in report::three_lines(case) {
                println!("    {line}");
            }
        }
        Outcome::Pass => println!("{:<6} {name:<13} {} ({times})", case.id, case.title),
        _ => {
            let reason = case.reason.as_deref().unwrap_or_default();
            println!("{:<6} {name:<13} {}: {reason}", case.id, case.title);
        }
    }
}

fn summary(run: &RunReport, seconds: f64) {
    let counted = report::count(run.cases.iter().map(|case| case.outcome));
    let counted = if counted.is_empty() { "no case" } else { &counted };
    println!("{counted} on {}, in {seconds:.1} s", run.subject.name);
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
