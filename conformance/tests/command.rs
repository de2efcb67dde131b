//! The command as its users start it: what it says, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it is")]

use std::process::Command;

/// What came of a command: its exit code, and all that it said.
fn conformance(arguments: &[&str]) -> (i32, String) {
    let program = env!("CARGO_BIN_EXE_quorate-conformance");
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// The command ends with this code, and says all of that.
fn ends(code: i32, arguments: &[&str], says: &[&str]) {
    let (found, said) = conformance(arguments);
    assert_eq!(found, code, "{arguments:?}: {said}");
    for text in says {
        assert!(said.contains(text), "{arguments:?} does not say {text:?}: {said}");
    }
}

#[test]
fn help_is_no_error_and_a_mistake_in_the_arguments_is_one_of_its_own() {
    for task in ["list", "run", "sweep", "replay", "shrink", "mutants", "table", "vectors"] {
        ends(0, &[task, "--help"], &["Usage: quorate-conformance", task]);
        ends(3, &[task, "--no-such-option"], &["--no-such-option", "--help"]);
    }
    ends(3, &["no-such-task"], &["no-such-task"]);
    ends(3, &[], &["Usage"]);
}

#[test]
fn a_table_of_what_nobody_knows_is_refused_before_anything_is_built() {
    ends(0, &["table", "--help"], &["--only", "--check", "--processes", "Nothing is written then"]);
    ends(3, &["table", "ZZ-*"], &["no case matches \"ZZ-*\"", "list"]);
    ends(3, &["table", "--only", "9999"], &["there is no mistake 9999", "MUTANTS.md"]);
    ends(3, &["table", "--only", "first"], &["first", "--only"]);
    ends(3, &["table", "--processes", "many"], &["many", "--processes"]);
}

#[test]
fn a_case_is_explained_with_what_it_proves_and_what_it_notices() {
    let says = ["rule      ", "runs on   the core directly", "E72 (EDGE_CASES.md)", "notices   "];
    ends(0, &["explain", "SN-06"], &says);
    ends(0, &["explain", "SN-02"], &["waits: "]);
    ends(3, &["explain", "SN-99"], &["there is no case \"SN-99\"", "list"]);
}

#[test]
fn a_seed_or_a_case_that_fails_becomes_a_small_story() {
    ends(0, &["shrink", "--help"], &["--subject", "--seconds", "Exit codes: 1"]);
    ends(3, &["shrink"], &["<WHAT>"]);
    ends(
        3,
        &["shrink", "EL-99"],
        &["\"EL-99\" is neither a seed, nor the file of a story, nor a case", "list"],
    );
    ends(3, &["shrink", "-1"], &["-1"]);
    ends(3, &["shrink", "EL-01", "--subject", "nobody"], &["there is no subject nobody", "core"]);
    ends(3, &["shrink", "7", "--schedule", "nothing"], &["no schedule nothing", "swizzle"]);
    ends(0, &["shrink", "7", "--steps", "30", "--seconds", "1"], &["seed 7: nothing found"]);
    ends(0, &["shrink", "EL-01", "--seeds", "0"], &["EL-01: it does not fail with seed 1"]);
    let deaf = ["shrink", "NK-01", "--subject", "broken:deaf", "--seeds", "1", "--seconds", "20"];
    ends(1, &deaf, &["scenes, then", "rule", "repeat  quorate-conformance run NK-01"]);
}

#[test]
fn a_failure_is_told_with_a_command_that_repeats_it() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("a list.toml").to_str().unwrap().to_owned();
    std::fs::write(&list, "[[expect]]\ncases = \"EL-01\"\nreason = \"none\"\n").unwrap();
    let mut run = vec!["run", "NK-01", "--subject", "broken:deaf", "--profile", "quick"];
    run.extend(["--seed", "7", "--config", &list]);
    let (code, said) = conformance(&run);
    assert_eq!(code, 1, "{said}");
    let repeat = said.lines().find_map(|line| line.split_once("repeat  ")).unwrap().1;
    let words = repeat.strip_prefix("quorate-conformance run NK-01 --subject broken:deaf --seed ");
    let (seed, rest) = words.unwrap().split_once(' ').unwrap();
    assert_eq!(rest, format!("--profile quick --config '{list}'"));
    let seed_at = run.iter().position(|word| *word == "7").unwrap();
    run[seed_at] = seed;
    ends(1, &run, &["rule    NK-01", repeat]);
}

#[test]
fn a_list_of_which_nothing_comes_fails_the_run_of_a_profile() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list.toml").to_str().unwrap().to_owned();
    let write = |text: &str| std::fs::write(&list, text).unwrap();
    let skip = "[[skip]]\ncases = \"*\"\nreason = \"all\"\n";
    let (quick, one) = (["run", "--profile", "quick", "--config"], ["run", "EL-01", "--config"]);
    write(skip);
    ends(0, &[&quick[..], &[&list]].concat(), &["skipped"]);
    write(&format!("{skip}[[expect]]\ncases = \"EL-01\"\nreason = \"never\"\n"));
    let unused = "expect \"EL-01\": no case of this run matches; remove the entry";
    ends(1, &[&quick[..], &[&list]].concat(), &["skipped", unused]);
    // Who names cases asks for no others.
    ends(0, &[&one[..], &[&list]].concat(), &["skipped"]);
    write(&format!("{skip}[[skip]]\ncases = \"EL-21\"\nreason = \"in no quick run\"\n"));
    ends(1, &[&quick[..], &[&list]].concat(), &["skip \"EL-21\": no case of this run matches"]);
    write("[[expect]]\ncases = \"EL-01\"\nreason = \"it passes\"\n");
    ends(1, &[&one[..], &[&list]].concat(), &["it passes, and was expected to fail"]);
    write("[[skip]]\ncases = \"EL-01\"\nreason = \"x\"\nprofiles = [\"slow\"]\n");
    ends(3, &[&one[..], &[&list]].concat(), &["there is no profile \"slow\"", "strict"]);
}

#[test]
fn a_sweep_keeps_to_its_schedule_and_to_its_budget() {
    ends(3, &["sweep", "--budget", "soon"], &["\"soon\" is no duration", "90s"]);
    ends(3, &["sweep", "--schedule", "nothing"], &["there is no schedule nothing", "swizzle"]);
    let short = ["sweep", "--seeds", "2", "--steps", "50", "--schedule", "swizzle"];
    ends(0, &short, &["2 seeds", "0 findings"]);
    let late = ["sweep", "--seeds", "1000000", "--steps", "50", "--budget", "1s"];
    ends(0, &late, &["the budget was used up", "of 1000000 seeds ran", "0 findings"]);
    // A whole sweep that saw next to nothing proves nothing.
    ends(1, &["sweep", "--seeds", "1", "--steps", "50"], &["never seen", "0 findings"]);
    ends(0, &["replay", "7", "--steps", "50", "--schedule", "swizzle"], &["nothing found"]);
}

/// A folder of its own, which is not there yet.
fn folder() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("found").to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn a_sweep_stops_at_its_first_finding_and_keeps_a_small_story_that_can_be_told_again() {
    let (_directory, out) = folder();
    let mut broken = vec!["sweep", "--service", "mistaken-ledger", "--steps", "200"];
    broken.extend(["--seeds", "100000", "--seconds", "20", "--out", &out]);
    let (code, said) = conformance(&broken);
    assert_eq!(code, 1, "{said}");
    for text in ["found: seed ", "rule    H1: What clients saw", "story   ", "events of"] {
        assert!(said.contains(text), "{text:?} is not in {said}");
    }
    let swept: u64 =
        said.lines().find_map(|line| line.split_once(" seeds, ")).unwrap().0.parse().unwrap();
    assert!(swept < 1_000, "it went on: {said}");
    let repeat = said.lines().find_map(|line| line.split_once("quorate-conformance ")).unwrap().1;
    let repeat: Vec<&str> = repeat.split(' ').collect();
    assert_eq!((repeat[0], repeat[2]), ("replay", "--trace"));
    let found = said.lines().find_map(|line| line.split_once("; then: ")).unwrap().1;
    ends(1, &repeat, &["client 1 receives", found]);
    ends(1, &["shrink", repeat[1], "--seconds", "1"], &["events, then", "H1: "]);
    // A file that was cut short, or is none, says where it is wrong.
    std::fs::write(repeat[1], "quorate story 1\nseed 7\nfault").unwrap();
    ends(3, &["replay", repeat[1]], &["line 3", "a fault before"]);
    ends(3, &["replay", "no/such/file"], &["\"no/such/file\" is neither a seed nor a story"]);
}

#[test]
fn a_sweep_that_keeps_going_tells_each_finding_and_keeps_one_story_of_each_rule() {
    let (directory, out) = folder();
    let mut broken = vec!["sweep", "--service", "mistaken-ledger", "--keep-going", "--seeds", "3"];
    broken.extend(["--steps", "200", "--seconds", "5", "--schedule", "calm", "--out", &out]);
    ends(1, &broken, &["3 seeds", "3 findings", "found: seed 1 ", "found: seed 3 ", "rule    H1"]);
    let kept = std::fs::read_dir(directory.path().join("found")).unwrap();
    assert_eq!(kept.count(), 1);
    // Where nothing can be kept, it is told all the same.
    let taken = directory.path().join("taken");
    std::fs::write(&taken, "a file").unwrap();
    *broken.last_mut().unwrap() = taken.to_str().unwrap();
    ends(1, &broken, &["3 findings", "cannot keep what was found in"]);
}
