//! `quorate-conformance`: runs the suite.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "this is a command, and its output is what it is for")]

use std::process::ExitCode;

use quorate_conformance::{Outcome, Profile, catalogue, run_cases, subjects};

fn main() -> ExitCode {
    let report = run_cases(&subjects::Reference, catalogue::all(), 1, Profile::Quick, |case| {
        println!("{} {:?} {:?} {} ms", case.id, case.outcome, case.reason, case.real_ms);
    });
    let failed = report.cases.iter().any(|case| case.outcome == Outcome::Fail);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
