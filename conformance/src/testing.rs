//! Cases as test functions: one for each, so that the usual runner filters and reports them.

use crate::case::Script;
use crate::catalogue;
use crate::places;
use crate::runner::{CaseReport, Outcome, run_case};
use crate::subject::Subject;
use crate::trial::Profile;

/// The seed of cases that run as tests.
const SEED: u64 = 1;

/// Runs one case in the quick profile, as the test functions of [`cases!`](crate::cases) do.
///
/// # Panics
/// The subject fails it, or there is no such case any more.
#[expect(clippy::print_stderr, reason = "the test runner shows it to who asks for it")]
pub fn prove(subject: &dyn Subject, id: &str) {
    let Some(case) = catalogue::find(id) else {
        panic!("there is no case {id}: write the list of names anew (see its first lines)");
    };
    let report = run_case(subject, case, SEED, Profile::Quick);
    match report.outcome {
        Outcome::Pass => {}
        Outcome::NonStrict
        | Outcome::NotApplicable
        | Outcome::Unimplemented
        | Outcome::Skipped
        | Outcome::ExpectedFail => {
            eprintln!("{id}: {:?}: {}", report.outcome, report.reason.unwrap_or_default());
        }
        Outcome::Fail | Outcome::Unknown | Outcome::Error => panic!("{}", in_three_lines(&report)),
    }
}

/// The rule, what happened instead, and how to see it again.
fn in_three_lines(report: &CaseReport) -> String {
    let reason = report.reason.as_deref().unwrap_or("no reason given");
    let CaseReport { id, title, rule, outcome, repeat, .. } = report;
    format!("{id} {title}: {rule}\n{outcome:?}: {reason}\nagain: {repeat}")
}

/// One test function; [`cases!`](crate::cases) has one for each case.
#[doc(hidden)]
#[macro_export]
macro_rules! case_test {
    ($subject:expr, $name:ident, $id:literal) => {
        #[test]
        fn $name() {
            $crate::testing::prove(&$subject, $id);
        }
    };
}

/// The text of the file with the names of all cases.
#[must_use]
pub fn names_file() -> String {
    let tests = catalogue::all().map(|case| {
        format!("        $crate::case_test!($subject, {}, \"{}\");\n", case.test_name(), case.id)
    });
    format!("{HEAD}{}    }};\n}}\n", tests.collect::<String>())
}

/// The document that lists which cases wait, wholly or in part, and for what; a test of this
/// package compares.
#[must_use]
pub fn waiting_file() -> String {
    let mut text = String::from(WAITING_HEAD);
    let (mut whole, mut parts) = (String::new(), String::new());
    for case in catalogue::all() {
        if let Script::Waits(work) = case.script {
            whole += &format!("| {} | {} | {work} |\n", case.id, case.title);
        }
        if let Some(lacks) = case.lacks {
            parts += &format!("| {} | {} | {lacks} |\n", case.id, case.title);
        }
    }
    text += &format!("| case | | waits for |\n|---|---|---|\n{whole}");
    text += "\n## In part\n\nThe rest of these is written, and a pass proves the rest only.\n\n";
    text += &format!("| case | | what waits, and for what |\n|---|---|---|\n{parts}");
    text += FEWER_HEAD;
    text += &places::table(places::NOT_WITH_MEMBERS);
    text += "\n### Not with real processes\n\n";
    text += &places::table(places::NOT_ON_REAL_PROCESSES);
    text += AT_RANDOM_HEAD;
    text += &places::at_random::table();
    text
}

const WAITING_HEAD: &str = "\
# Cases that wait

Written by a test, which fails when it is stale:
`QUORATE_GOLDEN=update cargo test -p quorate-conformance --test names`.

The subject of these cases does not exist yet. They are *not applicable* to every subject, never
passed, until the work that each of them names is there.

";

const FEWER_HEAD: &str = "
## On fewer bindings than one would expect

These are written, and a pass proves the rule. Each was meant to be played with run loops of others,
or with real processes, and is not, for the reason beside it; a test compares with what is played.

### Not with run loops of others

";

const AT_RANDOM_HEAD: &str = "
### Not with a simulated group

The scripts of these call the core only. The simulator's sweeps play them at random: with the faults
and under the rules that are named (TESTING.md has the rules, `quorate-sim schedules` the faults),
and with what no sweep sees of them said beside; or no sweep shows anything of them.

";

const HEAD: &str = "\
//! The names of all cases, as test functions. Written by a test, which fails when it is stale:
//! `QUORATE_GOLDEN=update cargo test -p quorate-conformance --test names`.

/// Turns a subject into test functions, one for each case: `cases!(MySubject::new());` in a module
/// of its own. The expression is evaluated for each of them.
#[macro_export]
macro_rules! cases {
    ($subject:expr) => {
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edges::Edges;
    use crate::subject::{Description, Node, NodeSpec, SpawnError};

    /// Starts nothing.
    struct Refuses;

    impl Subject for Refuses {
        fn describe(&self) -> Description {
            Description { name: "refuses".into(), ..Description::default() }
        }

        fn spawn(&self, _: &NodeSpec, _: Edges) -> Result<Box<dyn Node>, SpawnError> {
            Err(SpawnError::Refused("it never starts".into()))
        }
    }

    /// Claims a group, and does nothing of it yet.
    struct Claims(&'static [&'static str]);

    impl Subject for Claims {
        fn describe(&self) -> Description {
            let claims = self.0.iter().map(|group| (*group).to_owned()).collect();
            Description { name: "claims".into(), claims, ..Description::default() }
        }

        fn spawn(&self, _: &NodeSpec, _: Edges) -> Result<Box<dyn Node>, SpawnError> {
            Err(SpawnError::Unimplemented("to be written".into()))
        }
    }

    #[test]
    fn what_is_claimed_may_not_be_unimplemented() {
        let case = catalogue::find("EL-01").expect("EL-01 is there");
        let outcome = |claims| run_case(&Claims(claims), case, SEED, Profile::Quick);
        assert_eq!(outcome(&[]).outcome, Outcome::Unimplemented);
        assert_eq!(outcome(&["NK", "LS"]).outcome, Outcome::Unimplemented);
        let claimed = outcome(&["NK", "EL"]);
        assert_eq!(claimed.outcome, Outcome::Fail);
        let reason = claimed.reason.unwrap_or_default();
        assert_eq!(reason, "it claims EL, and does not implement this: to be written");
    }

    #[test]
    fn a_subject_that_fails_is_told_rule_reason_and_command() {
        let case = catalogue::find("EL-01").expect("EL-01 is there");
        let report = run_case(&Refuses, case, SEED, Profile::Quick);
        let text = in_three_lines(&report);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("EL-01 single voter: A group of one leads"), "{text}");
        assert!(lines[1].starts_with("Fail: not within"), "{text}");
        assert_eq!(
            lines[2],
            "again: quorate-conformance run EL-01 --subject refuses --seed 1 --profile quick"
        );
    }

    #[test]
    #[should_panic(expected = "there is no case XX-99")]
    fn a_name_without_a_case_is_no_pass() {
        prove(&Refuses, "XX-99");
    }
}
