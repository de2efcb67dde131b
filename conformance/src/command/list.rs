//! `list`: the catalogue.

use super::Exit;
use super::arguments::ListArguments;
use quorate_conformance::blackbox;
use quorate_conformance::catalogue;
use quorate_conformance::{Case, Level, Script};

pub(super) fn list(arguments: &ListArguments) -> Result<Exit, String> {
    let chosen = choose(&arguments.patterns)?;
    for case in &chosen {
        if arguments.json {
            let line = serde_json::json!({
                "id": case.id, "group": case.group(), "title": case.title, "rule": case.rule,
                "level": case.level, "quick": case.quick, "bindings": bindings(case),
                "state": state(case), "lacks": case.lacks, "edges": case.edges,
            });
            tell!("{line}");
        } else {
            let star = if case.quick { "*" } else { " " };
            let (level, bindings) = (level(case.level), bindings(case));
            tell!(
                "{:<6}{star} {level:<7} {bindings:<13} {:<30} {}",
                case.id,
                state(case),
                case.title
            );
        }
    }
    if !arguments.json {
        let waiting = chosen.iter().filter(|case| matches!(case.script, Script::Waits(_))).count();
        let quick = chosen.iter().filter(|case| case.quick).count();
        let partly = chosen.iter().filter(|case| case.lacks.is_some()).count();
        tell!(
            "{} cases, {quick} quick (*), {waiting} waiting, {partly} written in part",
            chosen.len()
        );
    }
    Ok(Exit::Good)
}

/// The cases that match one of the patterns; all without any.
///
/// # Errors
/// A pattern matches nothing.
pub(super) fn choose(patterns: &[String]) -> Result<Vec<&'static Case>, String> {
    for pattern in patterns {
        if !catalogue::all().any(|case| catalogue::matches(case, pattern)) {
            return Err(format!(
                "no case matches {pattern:?}; `quorate-conformance list` names all"
            ));
        }
    }
    let wanted = |case: &&Case| {
        patterns.is_empty() || patterns.iter().any(|pattern| catalogue::matches(case, pattern))
    };
    Ok(catalogue::all().filter(wanted).collect())
}

pub(super) const fn level(level: Level) -> &'static str {
    match level {
        Level::Must => "must",
        Level::Should => "should",
        Level::Informational => "inform",
    }
}

/// Where a case can run: where its script does, and on real processes if it has a script for them.
pub(super) fn bindings(case: &Case) -> String {
    let is_real = blackbox::find(case.id).is_some();
    let virtually = match case.script {
        Script::Core(_) if catalogue::with_members(case).is_some() => Some("core+subject"),
        Script::Core(_) => Some("core"),
        Script::Cluster(_) => Some("subject"),
        Script::Real | Script::Waits(_) => None,
    };
    let places: Vec<&str> = virtually.into_iter().chain(is_real.then_some("real")).collect();
    if places.is_empty() { "-".into() } else { places.join("+") }
}

pub(super) fn state(case: &Case) -> String {
    match case.script {
        Script::Core(_) | Script::Cluster(_) | Script::Real => {
            case.lacks.map_or_else(|| "written".into(), |lacks| format!("written, but for {lacks}"))
        }
        Script::Waits(work) => format!("waits: {work}"),
    }
}
