//! `tidy`: what neither the compiler nor clippy asks for: sizes, names, and words that must not be.

use std::path::Path;

use crate::source::{self, Source};
use crate::step::StepResult;

/// Characters of a line.
const WIDTH_MAX: usize = 100;
/// Lines of a file that are worth a word, and that are too many.
const FILE_LINES_WANTED: usize = 400;
const FILE_LINES_MAX: usize = 600;
/// Lines of a function.
const FUNCTION_LINES_MAX: usize = 60;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 4] = ["utils", "common", "misc", "helpers"];
/// Words that must not be anywhere. Split, so that they are not here.
const UNFINISHED: [&str; 3] =
    [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("#[ig", "nore")];
/// Words that must not be in tests: a test that waits is slow, and fails on a busy machine.
const WAITING: &str = concat!("sle", "ep(");
/// Packages whose code sees nothing but what it is given.
const PURE: [&str; 2] = ["proto-core/src/", "codecs/src/"];
/// What comes from outside. Split, so that they are not here.
const AMBIENT: [&str; 8] = [
    concat!("std::", "time"),
    concat!("System", "Time"),
    concat!("Instant::", "now"),
    concat!("std::", "fs"),
    concat!("std::", "net"),
    concat!("std::", "env"),
    concat!("std::", "thread"),
    concat!("rand", "::"),
];
/// Packages that must do the same every time.
const DETERMINISTIC: [&str; 3] = ["proto-core/src/", "codecs/src/", "sim/src/"];
const HASH_ORDERED: [&str; 2] = [concat!("Hash", "Map"), concat!("Hash", "Set")];
const NO_UNSAFE: &str = "#![forbid(unsafe_code)]";
/// The only package that may have code which the compiler does not prove safe, as it takes the
/// place of a function of C; and what it has instead. Clippy asks for a reason at each block.
const UNSAFE: (&str, &str) = ("preload/src/lib.rs", "#![deny(unsafe_op_in_unsafe_fn)]");

/// Checks all Rust files below `root`.
///
/// # Errors
/// Lists each place and what is wrong with it.
pub(crate) fn run(root: &Path) -> StepResult {
    let (mut problems, mut long) = (Vec::new(), Vec::new());
    for source in source::files(root, ".rs")? {
        check(&source, &mut problems);
        let lines = source.text.lines().count();
        if lines > FILE_LINES_WANTED && lines <= FILE_LINES_MAX && !source.is_generated() {
            long.push(format!("{} ({lines})", source.path));
        }
    }
    if !long.is_empty() {
        eprintln!("more than {FILE_LINES_WANTED} lines, allowed: {}", long.join(", "));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn check(source: &Source, problems: &mut Vec<String>) {
    check_names(source, problems);
    check_words(source, problems);
    check_ending(source, problems);
    if !source.is_generated() {
        check_sizes(source, problems);
        check_functions(source, problems);
    }
}

fn check_names(source: &Source, problems: &mut Vec<String>) {
    let parts = source.path.split('/').map(|part| part.trim_end_matches(".rs"));
    for part in parts.filter(|part| EMPTY_NAMES.contains(part)) {
        problems.push(format!("{}: `{part}` says nothing about what is inside", source.path));
    }
    let is_root = source.path.ends_with("src/lib.rs") || source.path.ends_with("src/main.rs");
    let policy = if source.path == UNSAFE.0 { UNSAFE.1 } else { NO_UNSAFE };
    if is_root && !source.text.contains(policy) {
        problems.push(format!("{}: add `{policy}`", source.path));
    }
}

fn check_words(source: &Source, problems: &mut Vec<String>) {
    let tests_begin = source.tests_begin();
    let is_in = |folders: &[&str]| folders.iter().any(|folder| source.path.starts_with(folder));
    let (is_pure, is_deterministic) = (is_in(&PURE), is_in(&DETERMINISTIC));
    for (number, line) in source.text.lines().enumerate() {
        let mut object = |word: &str, reason: &str| {
            let place = format!("{}:{}", source.path, number + 1);
            problems.push(format!("{place}: `{word}`: {reason}"));
        };
        for word in UNFINISHED.iter().filter(|word| line.contains(**word)) {
            object(word, "nothing is left unfinished");
        }
        if number >= tests_begin && line.contains(WAITING) {
            object(WAITING, "a test waits for an event, not for time");
        }
        if number >= tests_begin {
            continue;
        }
        for word in AMBIENT.iter().filter(|word| is_pure && line.contains(**word)) {
            object(word, "the core and the codecs see only what they are given");
        }
        for word in HASH_ORDERED.iter().filter(|word| is_deterministic && line.contains(**word)) {
            object(word, "its order differs from run to run; use a BTree collection");
        }
    }
}

fn check_ending(source: &Source, problems: &mut Vec<String>) {
    if !source.text.ends_with('\n') || source.text.ends_with("\n\n") {
        problems.push(format!("{}: end it with one line end", source.path));
    }
}

fn check_sizes(source: &Source, problems: &mut Vec<String>) {
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        let path = &source.path;
        problems.push(format!("{path}: {lines} lines; split it below {FILE_LINES_MAX}"));
    }
    for (number, line) in source.text.lines().enumerate() {
        // rustfmt does not break text in quotes; neither must the author.
        let width = line.chars().count();
        if width > WIDTH_MAX && !line.contains('"') {
            problems.push(format!(
                "{}:{}: {width} characters; break it at {WIDTH_MAX}",
                source.path,
                number + 1
            ));
        }
    }
}

/// Outside of tests: rustfmt puts the end of a function below its beginning.
fn check_functions(source: &Source, problems: &mut Vec<String>) {
    let lines: Vec<&str> = source.text.lines().take(source.tests_begin()).collect();
    for (number, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let is_end = |line: &&str| {
            **line == end
                || (line.starts_with(indent)
                    && line.ends_with(';')
                    && !line[indent.len()..].starts_with(' '))
        };
        let Some(length) = lines[number..].iter().position(is_end) else { continue };
        if length + 1 > FUNCTION_LINES_MAX {
            problems.push(format!(
                "{}:{}: `{name}` has {} lines; split it below {FUNCTION_LINES_MAX}",
                source.path,
                number + 1,
                length + 1
            ));
        }
    }
}

/// The name of the function that begins in this line.
pub(crate) fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let is_prefix =
        |word: &str| word.starts_with("pub") || matches!(word, "const" | "async" | "unsafe");
    let mut word = words.next()?;
    while is_prefix(word) {
        word = words.next()?;
    }
    if word != "fn" {
        return None;
    }
    let name = words.next()?;
    name.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        check(&Source { path: path.into(), text: text.into() }, &mut problems);
        problems
    }

    fn only(path: &str, text: &str, expected: &str) {
        let found = problems(path, text);
        assert!(matches!(&found[..], [one] if one.contains(expected)), "{found:?}");
    }

    #[test]
    fn good_code_is_left_alone() {
        let text = "fn a() -> u8 {\n    1\n}\n";
        assert!(problems("proto-core/src/a.rs", text).is_empty());
        assert!(problems("a/src/lib.rs", &format!("{NO_UNSAFE}\n")).is_empty());
    }

    #[test]
    fn each_rule_bites() {
        only("a/src/utils/b.rs", "// x\n", "says nothing");
        only("a/src/b.rs", "fn a() {}", "one line end");
        only("a/src/b.rs", &format!("// {}\n", "x".repeat(98)), "101 characters");
        only("a/src/b.rs", &"// x\n".repeat(601), "601 lines");
        only("a/src/b.rs", &format!("fn a() {{\n{}}}\n", "    b();\n".repeat(59)), "61 lines");
        only("a/src/b.rs", &format!("    {});\n", UNFINISHED[0]), "unfinished");
        only("a/src/lib.rs", "fn a() {}\n", "add `#![forbid");
        only("a/tests/b.rs", &format!("    thread::{WAITING}x);\n"), "not for time");
        only("proto-core/src/b.rs", &format!("use {};\n", AMBIENT[0]), "what they are given");
        only("sim/src/b.rs", &format!("use x::{};\n", HASH_ORDERED[1]), "BTree");
    }

    #[test]
    fn what_is_for_tests_and_what_is_generated_has_its_own_rules() {
        let long = format!("fn a() {{\n{}}}\n", "    b();\n".repeat(70));
        assert!(problems("a/src/tests.rs", &long).is_empty());
        assert!(problems("a/src/b.rs", &format!("// Generated by x.\n{long}")).is_empty());
        assert!(problems("a/src/b.rs", &format!("thread::{WAITING}x);\n")).is_empty());
        assert!(problems("sim/tests/b.rs", HASH_ORDERED[0].to_owned().as_str()).len() == 1);
    }

    #[test]
    fn functions_are_found_by_their_names() {
        assert_eq!(function_name("    pub(super) const fn quorum(a: u8) {"), Some("quorum"));
        assert_eq!(function_name("async fn run<T>() {"), Some("run"));
        assert_eq!(function_name("let fn_name = 1;"), None);
    }
}
