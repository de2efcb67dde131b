//! `edge cases`: EDGE_CASES.md and the tests must name each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::source::{self, Source};
use crate::step::StepResult;
use crate::tidy::function_name;

const CATALOGUE: &str = "EDGE_CASES.md";
/// The highest number so far: none below it may vanish.
const LAST_ID: u32 = 125;
/// Where the observers of the simulator are.
const OBSERVERS: &str = "sim/src/";
/// Where the cases of the conformance suite are.
const CASES: &str = "conformance/src/catalogue/";

/// What the catalogue says about one edge case.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Entry {
    state: String,
    evidence: String,
}

/// What the code says.
#[derive(Debug, Default)]
struct Evidence {
    tests: BTreeSet<String>,
    observers: BTreeSet<String>,
    /// Ids that a case of the conformance suite proves.
    cases: BTreeSet<u32>,
    /// Ids that the code cites, each with a place.
    cited: BTreeMap<u32, String>,
}

/// Compares the catalogue below `root` with the code.
///
/// # Errors
/// Lists each contradiction.
pub(crate) fn run(root: &Path) -> StepResult {
    let path = root.join(CATALOGUE);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{CATALOGUE}: {e}"))?;
    let evidence = evidence(&source::files(root, ".rs")?);
    let problems = problems(&text, &evidence);
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.iter().map(|problem| format!("{CATALOGUE}: {problem}\n")).collect())
}

fn problems(text: &str, evidence: &Evidence) -> Vec<String> {
    let (entries, mut problems) = entries(text);
    let last = entries.last_key_value().map_or(0, |(&id, _)| id);
    for id in 1..=last.max(LAST_ID) {
        if !entries.contains_key(&id) {
            problems.push(format!("E{id:02} has no entry"));
        }
    }
    if last > LAST_ID {
        problems.push(format!("E{last} is beyond LAST_ID of xtask/src/catalogue.rs: raise it"));
    }
    for (&id, entry) in &entries {
        check_entry(id, entry, evidence, &mut problems);
    }
    for (id, place) in &evidence.cited {
        if !entries.contains_key(id) {
            problems.push(format!("E{id:02} of {place} has no entry"));
        }
    }
    problems
}

/// The rows that begin with an id, and what is wrong with them.
fn entries(text: &str) -> (BTreeMap<u32, Entry>, Vec<String>) {
    let (mut entries, mut problems) = (BTreeMap::new(), Vec::new());
    for line in text.lines().filter(|line| line.starts_with("| E")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [id, _, _, state, evidence] = cells[..] else {
            problems.push(format!("a row needs five cells: {line}"));
            continue;
        };
        let Some(number) = id.strip_prefix('E').and_then(|number| number.parse().ok()) else {
            continue;
        };
        let entry = Entry { state: state.into(), evidence: evidence.into() };
        if entries.insert(number, entry).is_some() {
            problems.push(format!("{id} has two entries"));
        }
    }
    (entries, problems)
}

fn check_entry(id: u32, entry: &Entry, evidence: &Evidence, problems: &mut Vec<String>) {
    let named: BTreeSet<&str> = entry.evidence.split('`').skip(1).step_by(2).collect();
    for name in named.iter().filter(|name| !evidence.tests.contains(**name)) {
        problems.push(format!("E{id:02} names a test that does not exist: `{name}`"));
    }
    let prefix = format!("e{id:02}_");
    for test in evidence.tests.iter().filter(|test| test.starts_with(&prefix)) {
        if !named.contains(test.as_str()) {
            problems.push(format!("E{id:02} does not name its test `{test}`"));
        }
    }
    let seen_by = observers_of(&entry.evidence);
    for observer in seen_by.iter().filter(|observer| !evidence.observers.contains(**observer)) {
        problems.push(format!("E{id:02} names an observer that does not exist: {observer}"));
    }
    let is_claimed = matches!(entry.state.as_str(), "covered" | "watched");
    if is_claimed && !evidence.cases.contains(&id) {
        problems.push(format!("E{id:02} is claimed, and no case names it in its `edges`"));
    }
    if entry.state == "tested" && evidence.cases.contains(&id) {
        problems.push(format!("E{id:02} is `tested` only, and a case names it: say `covered`"));
    }
    let is_sound = match entry.state.as_str() {
        "covered" | "tested" => !named.is_empty(),
        "watched" => named.is_empty() && !seen_by.is_empty(),
        "later" => named.is_empty() && !entry.evidence.is_empty(),
        _ => false,
    };
    if !is_sound {
        problems.push(format!(
            "E{id:02} is `{}`: use `covered` and name a test, or `tested` while no case of the suite \
             is for it, `watched` and name an observer only, or `later` and say what it waits for",
            entry.state
        ));
    }
}

/// Ids like S12 or L1 among the words of a text.
fn observers_of(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| number_behind(word, "SL").is_some()).collect()
}

/// The number of a word that is one of `letters` and digits.
fn number_behind(word: &str, letters: &str) -> Option<u32> {
    let digits = word.strip_prefix(|letter| letters.contains(letter))?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

fn evidence(sources: &[Source]) -> Evidence {
    let mut evidence = Evidence::default();
    // The examples of this check are no evidence.
    for source in sources.iter().filter(|source| !source.path.starts_with("xtask/")) {
        let is_observer = source.path.starts_with(OBSERVERS);
        for (number, line) in source.text.lines().enumerate() {
            for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
                if word.len() >= 3
                    && let Some(id) = number_behind(word, "E")
                {
                    let place = format!("{}:{}", source.path, number + 1);
                    evidence.cited.entry(id).or_insert(place);
                }
            }
            if is_observer {
                evidence.observers.extend(observers_of(line).into_iter().map(String::from));
            }
        }
        if source.path.starts_with(CASES) {
            evidence.cases.extend(proved(&source.text));
        }
        let tests = source.text.lines().skip(source.tests_begin());
        evidence.tests.extend(tests.filter_map(function_name).map(String::from));
    }
    evidence
}

/// The ids that the cases of a file prove: a case that waits proves none.
fn proved(text: &str) -> impl Iterator<Item = u32> {
    let cases = text.split("Case::").skip(1).filter(|case| !case.starts_with("waits("));
    let lists = cases.flat_map(|case| case.split(".edges(&[").skip(1));
    let lists = lists.filter_map(|rest| rest.split(']').next());
    let ids = lists.flat_map(|list| list.split(|c: char| !c.is_ascii_alphanumeric()));
    ids.filter_map(|id| number_behind(id, "E"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: &str, code: &str) -> Vec<String> {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let cases = "Case::core(x).edges(&[\"E01\",\n \"E02\"]),\n\
                     Case::waits(y).edges(&[\"E05\"]),";
        let sources = [
            source("sim/src/a.rs", "//! S7: x\n"),
            source("conformance/src/catalogue/a.rs", cases),
            source("a/tests/b.rs", code),
        ];
        let mut problems = problems(rows, &evidence(&sources));
        problems.retain(|problem| !problem.ends_with("has no entry") || problem.contains(".rs"));
        problems
    }

    #[test]
    fn a_sound_catalogue_passes() {
        let rows = "| E01 | a | b | covered | `e01_x`, `other`; S7 |\n\
                    | E02 | a | b | watched | S7 |\n\
                    | E03 | a | b | later | snapshots |\n\
                    | E05 | a | b | later | a case that waits |\n";
        let none = Vec::<String>::new();
        assert_eq!(found(rows, "fn e01_x() {}\nfn other() {} // E03\n"), none);
    }

    #[test]
    fn each_contradiction_is_found() {
        for (rows, code, expected) in [
            ("| E01 | a | b | covered | |", "", "use `covered`"),
            ("| E01 | a | b | covered | S7 |", "", "use `covered`"),
            ("| E01 | a | b | covered | `e01_x` |", "", "does not exist: `e01_x`"),
            ("| E01 | a | b | watched | S8 |", "", "observer that does not exist: S8"),
            ("| E01 | a | b | later | |", "", "use `covered`"),
            ("| E04 | a | b | watched | S7 |", "", "E04 is claimed, and no case names it"),
            ("| E05 | a | b | watched | S7 |", "", "E05 is claimed, and no case names it"),
            ("| E01 | a | b | tested | `x` |", "fn x() {}", "E01 is `tested` only"),
            ("| E05 | a | b | tested | S7 |", "", "use `covered`"),
            ("| E126 | a | b | later | x |", "", "E126 is beyond LAST_ID"),
            ("| E01 | a | b | later | reads |", "fn e01_x() {}", "does not name its test"),
            ("| E01 | a | b | done | `x` |", "fn x() {}", "use `covered`"),
            ("| E01 | a | b | later |", "", "five cells"),
            ("| E01 | a | b | later | x |\n| E01 | a | b | later | x |", "", "two entries"),
            ("", "// E99\n", "E99 of a/tests/b.rs:1 has no entry"),
        ] {
            let problems = found(rows, code);
            assert!(problems.iter().any(|p| p.contains(expected)), "{rows}: {problems:?}");
        }
    }
}
