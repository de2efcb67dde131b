//! A summary for a pull request.

use core::fmt::Write;

use crate::runner::{Outcome, RunReport};

/// A summary of one run or of several as a table of groups by subjects, with what failed and what
/// does not apply.
#[must_use]
pub fn markdown(runs: &[RunReport]) -> String {
    let mut text = String::from("# Conformance\n\n| group |");
    for run in runs {
        let _ = write!(text, " {} |", run.subject.name);
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(runs.len()));
    text.push('\n');
    for group in groups(runs) {
        let _ = write!(text, "| {group} |");
        for run in runs {
            let _ = write!(text, " {} |", cell(run, &group));
        }
        text.push('\n');
    }
    let _ = write!(text, "| all |");
    for run in runs {
        let _ = write!(text, " {} |", totals(run));
    }
    text.push('\n');
    for run in runs {
        failures(&mut text, run);
    }
    text
}

fn groups(runs: &[RunReport]) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    for case in runs.iter().flat_map(|run| &run.cases) {
        if !groups.contains(&case.group) {
            groups.push(case.group.clone());
        }
    }
    groups
}

fn cell(run: &RunReport, group: &str) -> String {
    let of_group = run.cases.iter().filter(|case| case.group == group);
    count(of_group.map(|case| case.outcome))
}

fn totals(run: &RunReport) -> String {
    count(run.cases.iter().map(|case| case.outcome))
}

/// How many ended how, without what did not occur: `18 pass, 2 n/a`.
#[must_use]
pub fn count(outcomes: impl Iterator<Item = Outcome>) -> String {
    let outcomes: Vec<Outcome> = outcomes.collect();
    let each = Outcome::ALL.iter().filter_map(|wanted| {
        let times = outcomes.iter().filter(|outcome| *outcome == wanted).count();
        (times > 0).then(|| format!("{times} {}", wanted.name()))
    });
    each.collect::<Vec<_>>().join(", ")
}

fn failures(text: &mut String, run: &RunReport) {
    for unused in &run.unused {
        let _ = write!(text, "\n**Not used on {}**: {unused}\n", run.subject.name);
    }
    let failed = run
        .cases
        .iter()
        .filter(|case| matches!(case.outcome, Outcome::Fail | Outcome::Error | Outcome::Unknown));
    for case in failed {
        let [rule, story, repeat] = super::three_lines(case);
        let name = &run.subject.name;
        let _ = write!(
            text,
            "\n**{} on {name}**\n\n```text\n{rule}\n{story}\n{repeat}\n```\n",
            case.id
        );
    }
}
