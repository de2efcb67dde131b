//! `report` and `matrix`: saved runs, for people and for build servers.

use std::fs;
use std::path::Path;

use super::Exit;
use super::arguments::ReportArguments;
use quorate_conformance::report;
use quorate_conformance::{Outcome, REPORT_SCHEMA, RunReport};

pub(super) fn report(arguments: &ReportArguments) -> Result<Exit, String> {
    let runs: Vec<RunReport> =
        arguments.runs.iter().map(|path| load(path)).collect::<Result<_, _>>()?;
    let mut told = false;
    if let Some(path) = &arguments.html {
        write(path, &report::html(&runs))?;
        told = true;
    }
    if let (Some(path), Some(first)) = (&arguments.junit, runs.first()) {
        let text = report::junit(first).map_err(|error| format!("cannot make JUnit: {error}"))?;
        write(path, &text)?;
        told = true;
    }
    let markdown = report::markdown(&runs);
    match &arguments.markdown {
        Some(path) => write(path, &markdown)?,
        None if !told => tell!("{}", markdown.trim_end()),
        None => {}
    }
    Ok(exit_of(&runs, arguments.allow_unimplemented))
}

/// How a command ends that reports these runs.
pub(super) fn exit_of(runs: &[RunReport], allow_unimplemented: bool) -> Exit {
    let of = |case: &quorate_conformance::CaseReport| match case.outcome {
        Outcome::Fail => Exit::Failed,
        Outcome::Unimplemented if !allow_unimplemented => Exit::Failed,
        Outcome::Unknown => Exit::Unknown,
        Outcome::Error => Exit::Harness,
        _ => Exit::Good,
    };
    let mut all: Vec<Exit> = runs.iter().flat_map(|run| &run.cases).map(of).collect();
    if runs.iter().any(|run| !run.unused.is_empty()) {
        all.push(Exit::Failed);
    }
    // A failure is worth more than a doubt, and what the suite could not do more than both.
    [Exit::Harness, Exit::Failed, Exit::Unknown]
        .into_iter()
        .find(|exit| all.contains(exit))
        .unwrap_or(Exit::Good)
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    tell!("wrote {}", path.display());
    Ok(())
}

fn load(path: &Path) -> Result<RunReport, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let run: RunReport = serde_json::from_str(&text)
        .map_err(|error| format!("{shown} is no report of `run --out`: {error}"))?;
    if run.schema != REPORT_SCHEMA {
        let known = REPORT_SCHEMA;
        return Err(format!("{shown} has schema {}, and {known} is known: run again", run.schema));
    }
    Ok(run)
}
