//! Everything that was kept of what the fuzzer met still holds.

use std::fs;
use std::path::{Path, PathBuf};

/// Runs all files of a target's corpus, and names those that something does not hold for.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has nothing to replay", folder.display());
    let is_finding = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        std::panic::catch_unwind(|| run(&bytes)).is_err()
    };
    let findings: Vec<_> = paths.into_iter().filter(is_finding).collect();
    assert!(findings.is_empty(), "findings: {findings:#?}");
}

#[test]
fn decode_holds_for_its_corpus() {
    replay("decode", quorate_fuzz::decode);
}

#[test]
fn round_trip_holds_for_its_corpus() {
    replay("round_trip", quorate_fuzz::round_trip);
}

#[test]
fn step_holds_for_its_corpus() {
    replay("step", quorate_fuzz::step);
}
