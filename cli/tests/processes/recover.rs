//! A volatile group that lost what it held, and goes on by `quorate tool recover`.

use core::time::Duration;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::group::{self, Killed, LOG_AT, quorate, send, status};

/// So long nobody may come to lead: several election time-outs.
const STANDSTILL: Duration = Duration::from_secs(3);
/// Lines that are on the disks, lines that are not, and lines of the next epoch.
const LINES: [usize; 3] = [100, 50, 20];

/// Three members that sync once an hour.
fn group(directory: &Path) -> ([PathBuf; 3], [PathBuf; 3]) {
    group::configured(directory, "durability = \"volatile\"\ncheckpoint_interval = \"3600s\"\n", "")
}

/// Ends a process in good order.
fn stop(process: &mut Killed) {
    let id = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(process.0.wait().unwrap().success());
}

fn start(config: &Path) -> Killed {
    let mut member = quorate(&["member", "--bootstrap", "--config"]);
    Killed(member.arg(config).stderr(Stdio::null()).spawn().unwrap())
}

fn all_have(entries: usize) -> impl Fn(&[Value]) -> bool {
    move |told| {
        let level = told.iter().all(|it| it["entries"] == entries && it["applicant"] == false);
        level && told.iter().any(|it| it["serving"] == true)
    }
}

fn describe(directory: &Path) -> Value {
    let output = quorate(&["tool", "describe", "--json"]).arg(directory).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn known_durable(directory: &Path) -> u64 {
    describe(directory)["known_durable"].as_u64().unwrap()
}

fn recover(data: &[PathBuf], more: &[&str]) -> Output {
    quorate(&["tool", "recover", "--lossy"]).args(data).args(more).output().unwrap()
}

/// What a power failure leaves: nothing behind what is known to be on the disk.
fn lose_power(directory: &Path) -> u64 {
    let durable = known_durable(directory);
    let segment = directory.join("log/0000000000000000.segment");
    let file = std::fs::File::options().write(true).open(&segment).unwrap();
    let rest = file.metadata().unwrap().len() - LOG_AT - durable;
    file.write_all_at(&vec![0; usize::try_from(rest).unwrap()], LOG_AT + durable).unwrap();
    durable
}

#[test]
fn cd10_a_group_that_lost_what_it_held_is_recovered_and_tells_what_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let (data, configs) = group(directory.path());
    let start_all = || configs.iter().map(|config| start(config)).collect::<Vec<_>>();
    let mut running = start_all();
    send(&configs[0], LINES[0]);
    let told = status(&data, all_have(LINES[0]));
    let safe = told.iter().filter_map(|it| it["commit"].as_u64()).max().unwrap();
    running.iter_mut().for_each(stop);

    // All that follows the first sync of a life is in memory only, and lost with the power of all.
    let ends = data.each_ref().map(|directory| known_durable(directory));
    running = start_all();
    status(&data, |told| {
        told.iter().zip(ends).all(|(it, end)| it["durable"].as_u64().is_some_and(|at| at > end))
    });
    send(&configs[0], LINES[1]);
    let told = status(&data, all_have(LINES[0] + LINES[1]));
    let committed = told.iter().filter_map(|it| it["commit"].as_u64()).max().unwrap();
    drop(running);
    let durable = data.each_ref().map(|directory| lose_power(directory));
    assert!(durable.iter().all(|durable| (safe..committed).contains(durable)), "{durable:?}");

    // They stand still.
    running = start_all();
    status(&data, |told| told.iter().all(|it| it["impaired"] == true));
    let begun = Instant::now();
    status(&data, |told| {
        assert!(told.iter().all(|it| it["serving"] == false), "what was lost is not told");
        begun.elapsed() > STANDSTILL
    });
    let refused = recover(&data[..2], &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("stop all members first"));
    drop(running);

    // The operator sees what it costs, and decides. The third directory is not at hand.
    let refused = recover(&data[..1], &[]);
    assert_eq!(refused.status.code(), Some(2), "one of three is no majority");
    let planned = recover(&data[..2], &["--json"]);
    assert_eq!(planned.status.code(), Some(0));
    let plan: Value = serde_json::from_slice(&planned.stdout).unwrap();
    assert_eq!((&plan["recovery_epoch"], &plan["left_out"]), (&1.into(), &Value::from(vec![3])));
    let (kept, promised) = (plan["kept"].as_u64().unwrap(), plan["promised"].as_u64().unwrap());
    assert_eq!(kept, durable[0].max(durable[1]), "{plan}");
    assert!((kept..=committed).contains(&promised), "{plan}");
    let word = plan["confirm"].as_str().unwrap();
    let text = String::from_utf8(recover(&data[..2], &[]).stdout).unwrap();
    assert!(text.contains(&format!("KEPT is all before position {kept}")), "{text}");
    assert!(text.contains(&format!("nothing was done; to do it give --confirm {word}")), "{text}");
    assert_eq!(recover(&data[..2], &["--confirm", "yes"]).status.code(), Some(2));
    assert!(data.iter().all(|data| describe(data)["recovery_epoch"] == 0), "nothing was done");
    let done = recover(&data[..2], &["--confirm", word]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    for data in &data[..2] {
        let found = describe(data);
        assert_eq!(found["recovery_epoch"], 1, "{found}");
        assert_eq!(found["recoveries"][0]["kept"], kept, "{found}");
        assert_eq!(found["recoveries"][0]["members"], Value::from(vec![1, 2]), "{found}");
    }
    let again = recover(&data[..2], &[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8(again.stderr).unwrap().contains("were recovered before"));

    // What was safe is there, what is lost is what was told, and the group serves again.
    running = start_all();
    send(&configs[0], LINES[2]);
    let told = status(&data[..2], all_have(LINES[0] + LINES[2]));
    for report in &told {
        assert_eq!(report["recovered_at"], Value::from(vec![1, kept]), "{report}");
    }
    // Who was left behind is told so, and comes back without anything of its own.
    let told = status(&data[2..], |told| told[0]["left_behind_by"] == 1);
    assert!(told[0]["fail_stop"].is_null(), "{told:?}");
    drop(running.pop());
    std::fs::remove_dir_all(&data[2]).unwrap();
    // It counts once its disk has what readmits it.
    let text = std::fs::read_to_string(&configs[2]).unwrap();
    std::fs::write(&configs[2], text.replace("3600s", "100ms")).unwrap();
    let mut rejoin = quorate(&["init", "--rejoin", "--recovery-epoch", "1", "--config"]);
    assert!(rejoin.arg(&configs[2]).output().unwrap().status.success());
    running.push(start(&configs[2]));
    let told = status(&data, all_have(LINES[0] + LINES[2]));
    assert!(told.iter().all(|it| it["digest"] == told[0]["digest"]), "{told:?}");
    assert!(told.iter().all(|it| it["recovered_at"] == Value::from(vec![1, kept])), "{told:?}");
}
