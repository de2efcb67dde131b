//! `cargo xtask verify` and `cargo xtask fix`: what has to hold before anything is merged.

use std::path::Path;
use std::process::Command;

use crate::step::{StepResult, Steps, cargo, succeed};
use crate::{catalogue, codegen, kills, links, tidy};

/// The benchmarks are a workspace of their own.
const BENCH: &str = "bench/Cargo.toml";

/// Checks everything and changes nothing.
///
/// # Errors
/// Names the steps that failed.
pub(crate) fn verify(root: &Path, with_tests: bool) -> StepResult {
    let mut steps = Steps::default();
    steps.run("tidy", "change what is named", || tidy::run(root));
    steps.run("edge cases", "bring EDGE_CASES.md and the tests together", || catalogue::run(root));
    let refill =
        "run `cargo run --release -p quorate-conformance -- table`, and look at what changed";
    steps.run("cases and mistakes", refill, || kills::run(root));
    steps.run("links", "correct the documents", || links::run(root));
    steps.run("generated code", "run `cargo xtask codegen`", || {
        codegen::run(root, true).map_err(|error| error.to_string())
    });
    let with = |arguments: &[&str]| succeed(cargo(root).args(arguments));
    steps.run("format", "run `cargo xtask fix`", || {
        with(&["fmt", "--all", "--check"])?;
        with(&["fmt", "--manifest-path", BENCH, "--check"])
    });
    steps.run("clippy", "change what it names; `cargo xtask fix` changes some of it", || {
        with(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])
    });
    steps.run("clippy, benchmarks", "change what it names", || {
        let clippy = ["clippy", "--quiet", "--manifest-path", BENCH, "--all-targets"];
        // In one folder with the others: most of what it needs is built already.
        let folder = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let mut command = cargo(root);
        command.args(clippy).args(["--locked", "--", "-D", "warnings"]);
        succeed(command.env("CARGO_TARGET_DIR", folder))
    });
    steps.run("documentation", "change what rustdoc names", || {
        let flags = "-D warnings";
        let doc = ["doc", "--quiet", "--workspace", "--no-deps"];
        succeed(cargo(root).args(doc).env("RUSTDOCFLAGS", flags))
    });
    steps.run("without std", "use core and alloc only; keep std behind the feature", || {
        with(&["build", "--quiet", "-p", "quorate-core", "--no-default-features"])?;
        with(&["build", "--quiet", "-p", "quorate-codecs", "--no-default-features"])
    });
    if with_tests {
        steps.run("tests", "`cargo test --workspace` shows the same", || {
            with(&["test", "--workspace"])
        });
        checksums(root, &mut steps);
    }
    steps.finish()
}

/// Tests the core on the other ways to a checksum than that of the workspace's build, which has the
/// processor's instruction.
///
/// # Errors
/// Names the steps that failed.
pub(crate) fn test_checksums(root: &Path) -> StepResult {
    let mut steps = Steps::default();
    checksums(root, &mut steps);
    steps.finish()
}

fn checksums(root: &Path, steps: &mut Steps) {
    let core = ["test", "--quiet", "-p", "quorate-core", "--lib"];
    let advice = "all ways to a checksum must give the same values";
    // Built for this alone, and done in a second: what an optimised build takes is longer.
    let plain = || {
        let mut command = cargo(root);
        command.args(core).env("CARGO_PROFILE_DEV_OPT_LEVEL", "0");
        command
    };
    steps
        .run("tests, checksum by tables", advice, || succeed(plain().arg("--no-default-features")));
    steps.run("tests, checksum by a library", advice, || {
        // Any flags take the place of the workspace's, which name the processor.
        let flags = "-C debuginfo=0";
        succeed(plain().args(["--features", "std"]).env("RUSTFLAGS", flags))
    });
}

/// Repairs what can be repaired by itself: generated code, lints with a known remedy, format.
///
/// # Errors
/// Names the steps that failed.
pub(crate) fn fix(root: &Path) -> StepResult {
    let mut steps = Steps::default();
    let with = |arguments: &[&str]| -> StepResult {
        let command: &mut Command = &mut cargo(root);
        succeed(command.args(arguments))
    };
    steps.run("generated code", "change schema/quorate.xml as the error says", || {
        codegen::run(root, false).map_err(|error| error.to_string())
    });
    steps.run("clippy", "change what it names by hand", || {
        let fix = ["clippy", "--fix", "--allow-dirty", "--allow-staged", "--quiet"];
        with(&[&fix[..], &["--workspace", "--all-targets"]].concat())
    });
    steps.run("format", "the code does not parse; change what rustfmt names", || {
        with(&["fmt", "--all"])?;
        with(&["fmt", "--manifest-path", BENCH])
    });
    steps.finish()
}
