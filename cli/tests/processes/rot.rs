//! Members as processes whose disk gives back other bytes than were written.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::group::{self, Killed, LOG_AT, PATIENCE, quorate, send, status};

/// Three members that scrub all the time.
fn group(directory: &Path) -> ([PathBuf; 3], [PathBuf; 3]) {
    group::configured(directory, "", "[scrub]\nbytes_per_second = 67108864\ninterval = \"50ms\"\n")
}

fn start(config: &Path, log: &Path) -> Killed {
    let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
    let mut member = quorate(&["member", "--bootstrap", "--config"]);
    Killed(member.arg(config).stderr(log).spawn().unwrap())
}

/// Turns a bit of the log of the member in `data` over, under its process; returns what was there.
fn flip(data: &Path, at: u64) -> u8 {
    let path = data.join("log/0000000000000000.segment");
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, LOG_AT + at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], LOG_AT + at).unwrap();
    byte[0]
}

fn byte(data: &Path, at: u64) -> u8 {
    let mut byte = [0];
    let file = std::fs::File::open(data.join("log/0000000000000000.segment")).unwrap();
    file.read_exact_at(&mut byte, LOG_AT + at).unwrap();
    byte[0]
}

/// What a process ends with.
fn code(process: &mut Killed) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = process.0.try_wait().unwrap() {
            return status.code();
        }
        assert!(start.elapsed() < PATIENCE, "it does not end");
        std::thread::yield_now();
    }
}

fn verifies(data: &Path) -> bool {
    quorate(&["tool", "verify"]).arg(data).output().unwrap().status.success()
}

#[test]
fn e45_a_process_whose_log_rots_is_mended_by_the_others_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (data, configs) = group(directory.path());
    let logs = [0, 1, 2].map(|index| directory.path().join(format!("{index}.log")));
    let running: Vec<Killed> =
        configs.iter().zip(&logs).map(|(config, log)| start(config, log)).collect();
    let level = |told: &[serde_json::Value], entries: u64| {
        told.iter().all(|report| report["entries"] == entries)
    };
    send(&configs[0], 300);
    let told = status(&data, |told| level(told, 300));
    let leader = told.iter().position(|report| report["serving"] == true).unwrap();
    let other = (leader + 1) % 3;

    // Under the leader, and then under all of them: no process ends for it.
    let good = flip(&data[leader], 9_000);
    let told = status(&data, |told| {
        level(told, 300) && told[leader]["mended_bytes"] != 0 && told[leader]["damages"] == 1
    });
    assert_eq!(byte(&data[leader], 9_000), good);
    assert!(told.iter().all(|report| report["applicant"] == false), "{told:#?}");
    let places = [3_000, 6_000, 12_000];
    let good: Vec<u8> = data.iter().zip(places).map(|(data, at)| flip(data, at)).collect();
    status(&data, |told| {
        level(told, 300)
            && told[other]["damages"] == 1
            && told.iter().all(|report| report["mended_bytes"] != 0)
            && told.iter().all(|report| report["mending_at"].is_null())
    });
    send(&configs[0], 100);
    let told = status(&data, |told| level(told, 400));
    assert!(told.iter().all(|report| report["digest"] == told[0]["digest"]), "{told:#?}");
    let found: Vec<u8> = data.iter().zip(places).map(|(data, at)| byte(data, at)).collect();
    assert_eq!(found, good);
    let log = std::fs::read_to_string(&logs[leader]).unwrap();
    assert!(log.contains("the log has rotted") && log.contains("the log is whole again"), "{log}");
    drop(running);
    assert!(data.iter().all(|data| verifies(data)));

    // The same place on all: each says so, by name, and ends.
    for data in &data {
        flip(data, 3_000);
    }
    let mut running: Vec<Killed> =
        configs.iter().zip(&logs).map(|(config, log)| start(config, log)).collect();
    for (member, log) in running.iter_mut().zip(&logs) {
        assert_eq!(code(member), Some(1));
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains("no other member has these bytes whole"), "{log}");
    }
    assert!(data.iter().all(|data| !verifies(data)));
}
