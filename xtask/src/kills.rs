//! `kills`: the table of cases and deliberate mistakes must be made of those that there are.
//!
//! Filling it takes minutes and a build of its own, so that a check of each change compares only
//! what it was made of: the sources of each group of cases, and those of the mistakes. What else a
//! cell depends on, a run of some cells shows (`quorate-conformance table --sample`).

use std::collections::BTreeMap;
use std::path::Path;

use crate::source::{self, Source};
use crate::step::StepResult;

/// Where the table is, from the root of the workspace.
pub const KILLS: &str = "conformance/MUTANTS.md";
/// The name of what the mistakes are, beside the names of the groups.
pub const MISTAKES: &str = "mistakes";
/// The name of what is of no group, beside the names of the groups.
pub const CATALOGUE: &str = "catalogue";
/// Where the cases are, in a folder for each group, and files beside it.
const CASES: &str = "conformance/src/catalogue/";
/// Where the mistakes are listed.
const LISTED: &str = "proto-core/src/mutant.rs";
/// What a line says that makes a mistake.
const MADE: &str = concat!("mutant", "::");
/// What names mistakes to look for by other means than cases, and makes none.
const NAMED: [&str; 2] = ["sim/src/explore/", "sim/src/exploring.rs"];

/// Hashes of what the table is made of: the sources of each group of cases, by its name, and those
/// of the [`MISTAKES`]. White space and comments do not count.
///
/// # Errors
/// A source cannot be read.
pub fn made_of(root: &Path) -> Result<BTreeMap<String, u64>, String> {
    Ok(hashes(&source::files(root, ".rs")?))
}

/// The line of the table that says what a part of it was made of.
#[must_use]
pub fn made_of_line(name: &str, hash: u64) -> String {
    format!("| {name} | {hash:016x} |")
}

/// Compares the table below `root` with the sources.
///
/// # Errors
/// Names what was changed since it was filled.
pub(crate) fn run(root: &Path) -> StepResult {
    let text = std::fs::read_to_string(root.join(KILLS)).map_err(|e| format!("{KILLS}: {e}"))?;
    let made_of = made_of(root)?;
    let stale = stale_parts(&text, &made_of);
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{KILLS} was filled before these were changed: {}; `quorate-conformance table --stale` fills \
         what they stand for anew",
        stale.join(", ")
    ))
}

/// The names of what a `table` was not made of, among those of [`made_of`].
#[must_use]
pub fn stale_parts<'a>(table: &str, made_of: &'a BTreeMap<String, u64>) -> Vec<&'a str> {
    let is_there = |name: &str, hash| {
        let wanted = made_of_line(name, hash);
        table.lines().any(|line| line == wanted)
    };
    let stale = made_of.iter().filter(|(name, hash)| !is_there(name, **hash));
    stale.map(|(name, _)| name.as_str()).collect()
}

fn hashes(sources: &[Source]) -> BTreeMap<String, u64> {
    let mut hashes = BTreeMap::new();
    for source in sources {
        let is_listed = source.path == LISTED;
        if let Some(group) = group(&source.path) {
            add(hashes.entry(group).or_insert(BASIS), source, |_| true);
        } else if is_listed || !is_apart(&source.path) {
            let mistakes = hashes.entry(MISTAKES.to_owned()).or_insert(BASIS);
            add(mistakes, source, |line| is_listed || line.contains(MADE));
        }
    }
    hashes
}

/// Whether no mistake is made in a file, whatever it says of them.
fn is_apart(path: &str) -> bool {
    path.starts_with("xtask/") || NAMED.iter().any(|named| path.starts_with(named))
}

/// The group whose cases a file has: `EL` for what is in `el/`, and for `el_more.rs` beside it.
/// What is of no group is of all: [`CATALOGUE`].
fn group(path: &str) -> Option<String> {
    let name = path.strip_prefix(CASES)?;
    let group = name.split_once('/').or_else(|| name.split_once('_')).map(|(group, _)| group);
    Some(group.map_or_else(|| CATALOGUE.to_owned(), str::to_uppercase))
}

/// The first value of FNV-1a.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// Adds the lines before the tests that are wanted: their text without white space.
fn add(hash: &mut u64, source: &Source, wanted: impl Fn(&str) -> bool) {
    let lines = source.text.lines().take(source.tests_begin()).map(str::trim_start);
    let lines = lines.filter(|line| !line.starts_with("//") && wanted(line));
    for byte in lines.flat_map(str::bytes).filter(|byte| !byte.is_ascii_whitespace()) {
        *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> BTreeMap<String, u64> {
        let source = |&(path, text): &(&str, &str)| Source { path: path.into(), text: text.into() };
        hashes(&files.iter().map(source).collect::<Vec<_>>())
    }

    #[test]
    fn who_only_looks_for_mistakes_makes_none() {
        let of_line =
            |path| of(&[(path, concat!("    found(mutant", "::DOUBLE_VOTE, \"S2\"),\n"))]);
        assert_eq!(of_line("sim/src/explore/found.rs").get(MISTAKES), None);
        assert!(of_line("sim/src/mutants.rs").contains_key(MISTAKES));
    }

    #[test]
    fn a_changed_case_makes_its_group_stale_and_a_comment_does_not() {
        let before = of(&[
            ("conformance/src/catalogue/el/mod.rs", "const RULE: u8 = 1;\n"),
            ("conformance/src/catalogue/nk/mod.rs", "const RULE: u8 = 1;\n"),
            ("proto-core/src/mutant.rs", "A = 1 b [2],\n"),
        ]);
        let lines = before.iter().map(|(name, hash)| made_of_line(name, *hash));
        let table = lines.collect::<Vec<_>>().join("\n");
        assert_eq!(stale_parts(&table, &before), Vec::<&str>::new());
        let after = of(&[
            ("conformance/src/catalogue/el/mod.rs", "const RULE: u8 = 2;\n"),
            ("conformance/src/catalogue/nk/mod.rs", "// why\nconst RULE:\n    u8 = 1;\n"),
            ("proto-core/src/mutant.rs", "A = 1 b [2],\n"),
        ]);
        assert_eq!(stale_parts(&table, &after), ["EL"]);
    }

    #[test]
    fn scripts_outside_of_the_folders_count_too() {
        let of_one = |path: &str, text| of(&[(&format!("{CASES}{path}"), text)]);
        for (path, group) in [("sn/mod.rs", "SN"), ("sn_members.rs", "SN"), ("mod.rs", CATALOGUE)] {
            let before = of_one(path, "const RULE: u8 = 1;\n");
            let after = of_one(path, "const RULE: u8 = 2;\n");
            assert_eq!(before.keys().collect::<Vec<_>>(), [group]);
            assert_ne!(before, after, "{path}");
        }
    }

    #[test]
    fn a_mistake_is_its_list_and_wherever_it_is_made() {
        let list = ("proto-core/src/mutant.rs", "A = 1 b [2],\n");
        let made = concat!("if mutant", "::is(A) {}\n");
        let of_two = |text| of(&[list, ("proto-core/src/a.rs", text)])[MISTAKES];
        assert_eq!(of_two(""), of_two("let x = 1;\n"));
        assert_ne!(of_two(""), of_two(made));
        assert_ne!(of_two(""), of(&[("proto-core/src/mutant.rs", "A = 1 c [2],\n")])[MISTAKES]);
    }
}
