//! Shims that are none, that end, hang, or talk nonsense; and suites that do.

use core::time::Duration;
use std::io::{Cursor, sink};

use quorate_conformance::shim::{
    FRAME_BYTES_MAX, Frame, Hello, PROTOCOL, Reach, Shim, ShimExit, ShimOptions, opcode,
    run_program,
};
use quorate_conformance::{Options, Outcome, Profile, SpawnError, Stage, catalogue, run_case};
use quorate_sim::Dice;

const SHIM: &str = env!("CARGO_BIN_EXE_quorate-shim");

/// A shell's command as a shim; `SHIM` in it stands for the real one.
fn shell(script: &str) -> ShimOptions {
    let script = script.replace("SHIM", SHIM);
    ShimOptions::new(vec!["sh".into(), "-c".into(), script])
}

/// Why a case fails with this shim.
fn fails(shim: &Shim) -> String {
    let case = catalogue::find("EL-01").expect("EL-01 is there");
    let report = run_case(shim, case, 1, Profile::Quick);
    assert_eq!(report.outcome, Outcome::Fail, "{:?}", report.reason);
    report.reason.unwrap_or_default()
}

#[test]
fn what_is_no_shim_is_told_from_one() {
    let refused = |options| match Shim::start_with(options) {
        Err(SpawnError::Broken(text)) => text,
        other => panic!("{other:?}"),
    };
    let text = refused(ShimOptions::new(vec!["/no/such/program".into()]));
    assert!(text.contains("cannot start the shim /no/such/program"), "{text}");
    let text = refused(ShimOptions::new(Vec::new()));
    assert!(text.contains("no command"), "{text}");
    let text = refused(shell("echo this is a log line; cat > /dev/null"));
    assert!(text.contains("write nothing else to standard output"), "{text}");
    let text = refused(shell("exec cat"));
    assert!(text.contains("`H` where `h` is due"), "{text}");
    let text = refused(shell("exit 1"));
    assert!(text.contains("exit status: 1"), "{text}");
    let text = refused(shell("exit 101"));
    assert!(text.contains("exit status: 101"), "{text}");
}

#[test]
fn what_a_shim_does_not_implement_or_leaves_out_is_told_as_that() {
    for options in [shell("exit 89"), shell("SHIM --unknown-option")] {
        match Shim::start_with(options) {
            Err(SpawnError::Unimplemented(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    match Shim::start_with(shell("exit 90")) {
        Err(SpawnError::LeftOut(_)) => {}
        other => panic!("{other:?}"),
    }
    // It says so when a node is to begin, and has claimed the group by then.
    for (status, outcome) in [(89, Outcome::Fail), (90, Outcome::NotApplicable)] {
        let script = format!("dd bs=1 count=60 status=none | SHIM; exit {status}");
        let shim = Shim::start_with(shell(&script)).expect("it says hello");
        assert_eq!(outcome_of(&shim, "EL-01"), outcome);
    }
}

fn outcome_of(shim: &Shim, id: &str) -> Outcome {
    let case = catalogue::find(id).expect("the case is there");
    run_case(shim, case, 1, Profile::Quick).outcome
}

/// A shim behind a loopback port.
fn at_port(script: &str) -> ShimOptions {
    // The suite's arguments are those of the script.
    let mut options = shell(script);
    options.command.push("shim".into());
    ShimOptions { reach: Reach::Port, ..options }
}

#[test]
fn a_shim_may_connect_to_a_port() {
    let shim = Shim::start_with(at_port("exec SHIM \"$@\"")).expect("it connects");
    assert_eq!(outcome_of(&shim, "EL-01"), Outcome::Pass);
    // Whoever comes with another number is not the one that was started.
    let script = "SHIM --connect \"$2\" --id 1; exec SHIM \"$@\"";
    let shim = Shim::start_with(at_port(script)).expect("the second one connects");
    assert_eq!(outcome_of(&shim, "EL-01"), Outcome::Pass);
    match Shim::start_with(at_port("exit 3")) {
        Err(SpawnError::Broken(text)) => assert!(text.contains("did not connect"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_template_says_hello_and_is_unimplemented() {
    let python = std::process::Command::new("python3").arg("--version").output();
    if python.is_err() {
        // Nobody can try it here.
        return;
    }
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/shims/shim.py");
    let options = ShimOptions::new(vec!["python3".into(), template.into()]);
    let shim = Shim::start_with(options).expect("it says hello");
    assert_eq!(outcome_of(&shim, "EL-01"), Outcome::Unimplemented);
}

#[test]
fn a_shim_that_ends_in_the_middle_fails_the_case_and_is_started_again() {
    let shim =
        Shim::start_with(shell("dd bs=1 count=2500 status=none | SHIM 2>/dev/null; exit 101"));
    let shim = shim.expect("it says hello");
    for _ in 0..2 {
        let reason = fails(&shim);
        assert!(reason.contains("exit status: 101"), "{reason}");
    }
    let shim =
        Shim::start_with(shell("dd bs=1 count=2500 status=none | SHIM 2>/dev/null; kill -9 $$"));
    let reason = fails(&shim.expect("it says hello"));
    assert!(reason.contains("signal: 9"), "{reason}");
}

#[test]
fn a_shim_that_hangs_is_given_up() {
    let mut hanging = shell("exec sleep 600");
    hanging.idle_limit = Some(Duration::from_millis(300));
    let text = match Shim::start_with(hanging) {
        Err(SpawnError::Broken(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(text.contains("it says nothing for 300ms"), "{text}");
}

#[test]
fn every_frame_is_in_the_mirror() {
    let directory = tempfile::tempdir().expect("a directory");
    let mirror = directory.path().join("frames.jsonl");
    let mut options = shell("exec SHIM");
    options.mirror = Some(mirror.clone());
    let shim = Shim::start_with(options).expect("the shim starts");
    for id in ["EL-01", "AD-27", "SN-14"] {
        assert_eq!(outcome_of(&shim, id), Outcome::Pass, "{id}");
    }
    drop(shim);
    let text = std::fs::read_to_string(mirror).expect("a mirror");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&lines[0]["opcode"], &lines[0]["to"]), (&"H".into(), &"shim".into()));
    assert_eq!(lines[1]["body"]["name"], "quorate-shim");
    let all = "B k D T t W w S s E Z G V v K C c";
    for opcode in all.split(' ') {
        assert!(lines.iter().any(|line| line["opcode"] == opcode), "no {opcode}");
    }
}

#[test]
fn a_shim_that_stores_snapshots_it_does_not_claim_fails_and_one_that_claims_none_is_let_alone() {
    let Some(options) = meddled("[body.replace(b',\"snapshots\"', b'')]") else { return };
    let shim = Shim::start_with(options).expect("it says hello");
    assert_eq!(outcome_of(&shim, "SN-14"), Outcome::NotApplicable);
    // Its markers are asked for all the same, by somebody who looks at no feature.
    let options = Options::members(1).limits(|limits| limits.snapshot_interval_bytes = 500);
    let mut stage = Stage::apart(&shim, options, 1);
    let failure = stage
        .settle()
        .and_then(|_| stage.connected_clients(1))
        .and_then(|clients| stage.pour(&clients, 20, 200, 1_000_000_000));
    let failure = failure.expect_err("a snapshot is stored").to_string();
    assert!(failure.contains("the body of `W` is not as it should be"), "{failure}");
}

fn framed(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        frame.write(&mut bytes).expect("a frame");
    }
    bytes
}

fn hello(protocol: u32) -> Frame {
    let body = serde_json::to_vec(&Hello { protocol, suite: "0".into() }).expect("JSON");
    Frame::new(opcode::HELLO, 0, body)
}

#[test]
fn a_suite_that_talks_nonsense_ends_the_shim_in_order() {
    let run = |frames: &[Frame]| run_program(Cursor::new(framed(frames)), sink());
    assert_eq!(run(&[]), ShimExit::Done);
    assert_eq!(run(&[hello(PROTOCOL)]), ShimExit::Done);
    assert_eq!(run(&[hello(PROTOCOL + 1)]), ShimExit::Unimplemented);
    for opcode in b"DTZGwsVQ?BHCc" {
        let opcode = *opcode;
        let exit = run(&[hello(PROTOCOL), Frame::new(opcode, 9, b"nonsense".to_vec())]);
        assert!(matches!(exit, ShimExit::Failed(_)), "{}: {exit:?}", opcode as char);
    }
    let cut_short = run_program(Cursor::new(FRAME_BYTES_MAX.to_le_bytes()), sink());
    assert!(matches!(cut_short, ShimExit::Failed(_)), "{cut_short:?}");
    let mut dice = Dice::new(1, "nonsense");
    for _ in 0..300 {
        let mut frames = vec![hello(PROTOCOL)];
        for _ in 0..dice.below(6) {
            let opcode = dice.pick(b"HBKQZGDTwsVXC");
            let length = dice.below(50) as usize;
            let body = (0..length).map(|_| dice.bits() as u8).collect();
            frames.push(Frame::new(opcode, dice.below(3) as u16, body));
        }
        let mut bytes = framed(&frames);
        bytes.truncate(bytes.len() - dice.below(4) as usize);
        let _: ShimExit = run_program(Cursor::new(bytes), sink());
    }
}

/// Behind the real shim: what it says of clients is changed by this expression over `opcode` and
/// `body`.
fn meddled(expression: &str) -> Option<ShimOptions> {
    let python = std::process::Command::new("python3").arg("--version").output();
    python.ok()?;
    let script = format!(
        r#"
import struct, subprocess, sys, threading
shim = subprocess.Popen(["{SHIM}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
def suite():
    while data := sys.stdin.buffer.read1(65536):
        shim.stdin.write(data)
        shim.stdin.flush()
    shim.stdin.close()
threading.Thread(target=suite, daemon=True).start()
while head := shim.stdout.read(4):
    rest = shim.stdout.read(struct.unpack("<I", head)[0])
    opcode, node, body = rest[:1], rest[1:3], rest[3:]
    bodies = {expression}
    for body in bodies:
        rest = opcode + node + body
        sys.stdout.buffer.write(struct.pack("<I", len(rest)) + rest)
    sys.stdout.buffer.flush()
"#
    );
    Some(ShimOptions::new(vec!["python3".into(), "-c".into(), script]))
}

#[test]
fn a_client_that_breaks_the_protocol_or_a_promise_fails_the_case() {
    for (expression, expected) in [
        ("[body]", None),
        // A reply is kept back: messages are not answered.
        ("[] if opcode == b'c' and body[:1] == b'o' else [body]", Some("not within")),
        ("[body] * 2 if opcode == b'c' and body[:1] == b'o' else [body]", Some("S17")),
        ("[body[:5] if opcode == b'c' else body]", Some("is not as it should be")),
        ("[b'?' if opcode == b'c' else body]", Some("is not as it should be")),
        ("[body] * 2 if opcode == b'c' and body[:1] == b'a' else [body]", Some("cannot say now")),
        (
            "[] if opcode == b'c' and body[:1] == b'a' else [body]",
            Some("says nothing of a message"),
        ),
    ] {
        let Some(options) = meddled(expression) else { return };
        let shim = Shim::start_with(options).expect("it says hello");
        let case = catalogue::find("CL-05").expect("the case is there");
        let report = run_case(&shim, case, 1, Profile::Quick);
        let reason = report.reason.unwrap_or_default();
        match expected {
            None => assert_eq!(report.outcome, Outcome::Pass, "{reason}"),
            Some(text) => {
                assert_eq!(report.outcome, Outcome::Fail, "{expression}: {reason}");
                assert!(reason.contains(text), "{expression}: {reason}");
            }
        }
    }
}

#[test]
fn a_shim_without_clients_gets_those_of_the_suite() {
    let Some(options) = meddled("[body.replace(b',\"clients\"', b'')]") else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let mirror = directory.path().join("frames.jsonl");
    let shim = Shim::start_with(ShimOptions { mirror: Some(mirror.clone()), ..options });
    assert_eq!(outcome_of(&shim.expect("it says hello"), "CL-01"), Outcome::Pass);
    let text = std::fs::read_to_string(mirror).expect("a mirror");
    assert!(text.contains("\"opcode\":\"T\"") && !text.contains("\"opcode\":\"C\""));
}
