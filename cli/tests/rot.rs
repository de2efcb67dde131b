//! Members as processes whose disk gives back other bytes than were written.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it is")]

use core::net::Ipv4Addr;
use core::time::Duration;
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The longest that anything here is waited for: far above what it takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the log begins in its first file.
const LOG_AT: u64 = 16 << 10;

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn quorate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(arguments).env_remove("QUORATE_LOG");
    command
}

/// The directories and configurations of three members that scrub all the time.
fn group(directory: &Path) -> ([PathBuf; 3], [PathBuf; 3]) {
    let sockets = [(); 3].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let members = (1..).zip(&sockets).map(|(id, socket)| {
        format!("{{ id = {id}, address = \"{}\" }}", socket.local_addr().unwrap())
    });
    let members = members.collect::<Vec<_>>().join(", ");
    let data = ["one", "two", "three"].map(|name| directory.join(name));
    let configs = core::array::from_fn(|index| {
        let text = format!(
            "group = 7\nmember = {}\ndata = \"{}\"\nsecurity = \"checksum-only\"\n\
             members = [{members}]\n[scrub]\nbytes_per_second = 67108864\ninterval = \"50ms\"\n",
            index + 1,
            data[index].display()
        );
        let config = directory.join(format!("{index}.toml"));
        std::fs::write(&config, text).unwrap();
        config
    });
    (data, configs)
}

fn start(config: &Path, log: &Path) -> Killed {
    let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
    let mut member = quorate(&["member", "--bootstrap", "--config"]);
    Killed(member.arg(config).stderr(log).spawn().unwrap())
}

/// What `tool status` says of all members in `data`, once `wanted`.
fn status(
    data: &[PathBuf],
    wanted: impl Fn(&[serde_json::Value]) -> bool,
) -> Vec<serde_json::Value> {
    let start = Instant::now();
    loop {
        let output = quorate(&["tool", "status", "--json"]).args(data).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let told: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if wanted(&told) {
            return told;
        }
        assert!(start.elapsed() < PATIENCE, "last told: {told:#?}");
        std::thread::yield_now();
    }
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
    let send = |count: u32| {
        let lines: String = (0..count).map(|number| format!("line {number}\n")).collect();
        let mut client = quorate(&["client", "--config"]);
        let client = client.arg(&configs[0]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut client = Killed(client.spawn().unwrap());
        client.0.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert_eq!(code(&mut client), Some(0));
    };
    let level = |told: &[serde_json::Value], entries: u64| {
        told.len() == 3 && told.iter().all(|report| report["entries"] == entries)
    };
    send(300);
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
    send(100);
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
