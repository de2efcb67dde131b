//! The command as its users start it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it is")]

use core::net::Ipv4Addr;
use core::time::Duration;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

/// The longest that anything here is waited for: far above what it takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn quorate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(arguments).env_remove("QUORATE_LOG");
    command
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `done`, and ends `child` if that does not come.
fn wait_until(child: &mut Child, what: &str, mut done: impl FnMut(&mut Child) -> bool) {
    let start = Instant::now();
    while !done(child) {
        if start.elapsed() > PATIENCE {
            let status = child.try_wait();
            let _ = child.kill();
            panic!("no {what} within {PATIENCE:?}; the process: {status:?}");
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_demonstration_bears_loss_and_a_killed_leader() {
    let directory = tempfile::tempdir().unwrap();
    let lines: String = (0..200).map(|number| format!("line {number}\n")).collect();
    let input = write(directory.path(), "lines.txt", &lines);
    let output = quorate(&["demo", "--kill-leader", "--loss", "5", "--json", "--input"])
        .arg(&input)
        .env("TMPDIR", directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{told}\n{}", errors(&output));
    let result: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(result["ok"], true, "{result}");
    assert_eq!(result["lines"], 200);
    let members = result["members"].as_array().unwrap();
    assert_eq!(members.len(), 3);
    assert!(members.iter().all(|member| member["digest"] == result["digest"]), "{result}");
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only the input is left: {left:?}");
}

#[test]
fn a_demonstration_takes_snapshots_and_purges_what_they_stand_for() {
    let output = quorate(&["demo", "--json"]).output().unwrap();
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{told}\n{}", errors(&output));
    let result: serde_json::Value = serde_json::from_str(&told).unwrap();
    let mut members = result["members"].as_array().unwrap().iter();
    let purged = |member: &serde_json::Value| {
        let at = |key: &str| member[key].as_u64().unwrap();
        0 < at("origin") && at("origin") < at("snapshot")
    };
    assert!(members.any(purged), "the log is ten times what is kept of it: {result}");
}

#[test]
fn a_demonstration_bears_the_same_on_every_runtime_and_on_all_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let lines: String = (0..100).map(|number| format!("line {number}\n")).collect();
    let input = write(directory.path(), "lines.txt", &lines);
    for runtime in ["mio", "async-std", "mixed"] {
        let output = quorate(&["demo", "--kill-leader", "--loss", "5", "--json", "--runtime"])
            .args([runtime, "--input"])
            .arg(&input)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(output.status.success(), "{runtime}: {told}\n{}", errors(&output));
        let result: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(result["runtime"], runtime);
    }
}

#[test]
fn e47_a_demonstration_bears_a_follower_without_its_data_and_then_no_leader() {
    let directory = tempfile::tempdir().unwrap();
    let lines: String = (0..200).map(|number| format!("line {number}\n")).collect();
    let input = write(directory.path(), "lines.txt", &lines);
    let output = quorate(&["demo", "--wipe-follower", "--kill-leader", "--loss", "5", "--json"])
        .arg("--input")
        .arg(&input)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{told}\n{}", errors(&output));
    let result: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(result["wiped"].is_u64() && result["killed"].is_u64(), "{result}");
    assert!(result["readmitted_ms"].is_number(), "{result}");
    let members = result["members"].as_array().unwrap();
    assert!(members.iter().all(|member| member["applicant"] == false), "{result}");
    let output = quorate(&["demo", "--wipe-follower", "--members", "2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
}

#[test]
fn a_directory_is_made_anew_where_there_is_none_and_the_others_are_a_majority() {
    let directory = tempfile::tempdir().unwrap();
    let text = |members: &str| {
        format!(
            "group = 7\nmember = 1\ndata = \"data\"\nsecurity = \"checksum-only\"\n\
             bind = \"127.0.0.1:0\"\nmembers = [{members}]\n"
        )
    };
    let three = (1..=3).map(|id| format!("{{ id = {id}, address = \"127.0.0.1:{id}\" }}"));
    let three: Vec<String> = three.collect();
    let config = write(directory.path(), "three.toml", &text(&three.join(", ")));
    let rejoin = |config: &Path| quorate(&["init", "--rejoin", "--config"]).arg(config).output();
    let output = rejoin(&config).unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let mut describe = quorate(&["tool", "describe", "--json"]);
    let described = describe.arg(directory.path().join("data")).output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&described.stdout).unwrap();
    assert!(found["incarnation"].as_u64().unwrap() > 1, "{found}");
    let output = rejoin(&config).unwrap();
    assert_eq!(output.status.code(), Some(1), "it is there: {}", errors(&output));
    let two = write(directory.path(), "two.toml", &text(&three[..2].join(", ")));
    let output = rejoin(&two).unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    assert!(errors(&output).contains("a majority without it"), "{}", errors(&output));
}

#[test]
fn a_demonstration_that_is_terminated_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    // It waits for a quorum that loss keeps away for long enough: 99.9 % of all datagrams.
    let mut demo = quorate(&["demo", "--loss", "99.9"])
        .env("TMPDIR", directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let entries = || std::fs::read_dir(directory.path()).unwrap().count();
    wait_until(&mut demo, "directory", |_| entries() > 0);
    let id = demo.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    wait_until(&mut demo, "end", |demo| demo.try_wait().unwrap().is_some());
    let output = demo.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert!(errors(&output).contains("interrupted by SIGTERM"), "{}", errors(&output));
    assert_eq!(entries(), 0);
}

#[test]
fn a_member_without_an_identity_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let text = "group = 7\nmember = 1\ndata = \"data\"\nsecurity = \"checksum-only\"\n\
                bind = \"127.0.0.1:0\"\nmembers = [{ id = 1, address = \"127.0.0.1:9\" }]\n";
    let config = write(directory.path(), "member.toml", text);
    let output = quorate(&["member", "--config"]).arg(config).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert!(errors(&output).contains("form the group with `init` first"), "{}", errors(&output));
}

#[test]
fn all_mistakes_of_a_configuration_are_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let text = "group = \"x\"\nmembers = [{ id = 1, address = \"0.0.0.0:0\" }]\nport = 1\n\
                [timing]\nheartbeat_interval = \"0ms\"\n[limits]\nslice_bytes = 7\n";
    let config = write(directory.path(), "member.toml", text);
    let output = quorate(&["member", "--config"]).arg(&config).output().unwrap();
    let told = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for expected in [
        config.to_str().unwrap(),
        "`group = \"x\"`",
        "`member` is missing",
        "`data` is missing",
        "`security` is missing",
        "`members.address = \"0.0.0.0:0\"`",
        "`port = 1` is not a key",
        "`timing.heartbeat_interval = \"0ns\"` must be above zero",
        "`limits.slice_bytes = 7` must be a multiple of 8",
    ] {
        assert!(told.contains(expected), "missing {expected:?} in\n{told}");
    }
}

#[test]
fn a_line_too_long_is_named_and_the_others_are_sent() {
    let directory = tempfile::tempdir().unwrap();
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let text = format!(
        "group = 7\nmember = 1\ndata = \"data\"\nsecurity = \"checksum-only\"\n\
         members = [{{ id = 1, address = \"{address}\" }}]\n"
    );
    let config = write(directory.path(), "member.toml", &text);
    let member = quorate(&["member", "--bootstrap", "--config"])
        .arg(&config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _member = Killed(member);
    let mut client = quorate(&["client", "--config"])
        .arg(&config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = client.stdin.take().unwrap();
    let long = "x".repeat(1 << 20);
    input.write_all(format!("one\n{long}\nthree\n").as_bytes()).unwrap();
    drop(input);
    wait_until(&mut client, "end", |client| client.try_wait().unwrap().is_some());
    let output = client.wait_with_output().unwrap();
    let told = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("line 2 is not sent: a message of 1048576 bytes"), "{told}");
    assert!(told.contains("1 line was not sent; all others were applied"), "{told}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
}

/// Runs a member alone that records, and sends it a few lines.
fn record(directory: &Path, recording: &Path) {
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let text = format!(
        "group = 7\nmember = 1\ndata = \"data\"\nsecurity = \"checksum-only\"\n\
         members = [{{ id = 1, address = \"{address}\" }}]\n"
    );
    let config = write(directory, "member.toml", &text);
    let member = quorate(&["member", "--bootstrap", "--runtime", "mio", "--idle", "backoff"])
        .args(["--storage", "inline", "--config"])
        .arg(&config)
        .arg("--record")
        .arg(recording)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut member = Killed(member);
    let mut client = quorate(&["client", "--runtime", "async-std", "--config"])
        .arg(&config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(b"one\ntwo\nthree\n").unwrap();
    wait_until(&mut client, "end", |client| client.try_wait().unwrap().is_some());
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let id = member.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    wait_until(&mut member.0, "end", |member| member.try_wait().unwrap().is_some());
}

fn replayed(recording: &Path) -> (serde_json::Value, Output) {
    let output = quorate(&["tool", "replay", "--json"]).arg(recording).output().unwrap();
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    (serde_json::from_str(&told).unwrap_or_default(), output)
}

/// Has the member in `data` take a snapshot, once it leads.
fn take_snapshot(member: &mut Killed, data: &Path) -> String {
    let mut told = String::new();
    wait_until(&mut member.0, "snapshot", |_| {
        let output = quorate(&["tool", "snapshot"]).arg(data).output().unwrap();
        told = String::from_utf8(output.stdout.clone()).unwrap();
        output.status.success()
    });
    told
}

#[test]
fn a_snapshot_is_taken_on_request_and_a_restart_begins_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let text = format!(
        "group = 7\nmember = 1\ndata = \"data\"\nsecurity = \"checksum-only\"\n\
         members = [{{ id = 1, address = \"{address}\" }}]\n"
    );
    let config = write(directory.path(), "member.toml", &text);
    let data = directory.path().join("data");
    let nobody = quorate(&["tool", "snapshot"]).arg(&data).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(errors(&nobody).contains("name the data directory"), "{}", errors(&nobody));
    let mut starts = vec![0];
    for start in 1..=2_u64 {
        let mut member = quorate(&["member", "--bootstrap", "--config"]);
        let member = member.arg(&config).stderr(Stdio::null()).spawn().unwrap();
        let mut member = Killed(member);
        let told = take_snapshot(&mut member, &data);
        assert!(told.contains("is stored by member 1"), "{told}");
        // It works there: nothing is taken from under it, whatever there is to purge.
        let purge = quorate(&["tool", "purge", "--yes"]).arg(&data).output().unwrap();
        let expected = format!("process {} works in the directory", member.0.id());
        assert_eq!(purge.status.code(), Some(1));
        assert!(errors(&purge).contains(&expected), "{}", errors(&purge));
        drop(member);
        let output = quorate(&["tool", "describe", "--json"]).arg(&data).output().unwrap();
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        starts.push(found["boot_epoch"].as_u64().unwrap());
        assert_eq!(found["problems"], serde_json::json!([]));
        let snapshots = found["snapshots"].as_array().unwrap();
        let newest = snapshots.last().unwrap();
        assert_eq!(newest["is_begun_with"], true, "{found}");
        assert_eq!(found["frames"]["snapshot_marks"], start);
        assert_eq!(snapshots.len() as u64, start);
        // One alone is not enough to stand for the log.
        let purge = quorate(&["tool", "purge", "--json"]).arg(&data).output().unwrap();
        assert_eq!(purge.status.success(), start > 1, "{}", errors(&purge));
        assert!(start > 1 || errors(&purge).contains("is the newest"), "{}", errors(&purge));
    }
    let purge = |flag: &[&str]| {
        let output = quorate(&["tool", "purge", "--json"]).args(flag).arg(&data).output().unwrap();
        (serde_json::from_slice::<serde_json::Value>(&output.stdout).ok(), errors(&output))
    };
    let (plan, _) = purge(&[]);
    let to = plan.as_ref().unwrap()["to"].as_u64().unwrap();
    assert!(to > 0 && plan.as_ref().unwrap()["done"] == false, "{plan:?}");
    assert_eq!(purge(&["--at", &to.to_string()]).0, plan, "nothing was done");
    assert_eq!(purge(&["--yes"]).0.unwrap()["done"], true);
    assert!(purge(&["--yes"]).1.contains(&format!("the log begins at {to} already")));
    let whole = quorate(&["tool", "verify"]).arg(&data).output().unwrap();
    let told = String::from_utf8(whole.stdout).unwrap();
    assert!(whole.status.success() && told.contains("nothing is damaged"), "{told}");
    assert!(told.contains(&format!("of the log from {to} to ")), "{told}");
    assert!(starts.is_sorted_by(|one, other| one < other), "each start is a life of its own");
}

/// Addresses on this machine that are free for datagrams and for connections, all different.
fn addresses<const N: usize>() -> [String; N] {
    let free = || loop {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        if let Ok(listener) = TcpListener::bind(address) {
            return (socket, listener, address.to_string());
        }
    };
    let held = [(); N].map(|()| free());
    held.map(|(_, _, address)| address)
}

/// The data directories, and the configurations, of a group of three.
fn group_of(directory: &Path, addresses: &[String; 3]) -> ([PathBuf; 3], Vec<PathBuf>) {
    let members = (1..).zip(addresses);
    let members = members.map(|(id, address)| format!("{{ id = {id}, address = \"{address}\" }}"));
    let members = members.collect::<Vec<_>>().join(", ");
    let data = ["one", "two", "three"].map(|name| directory.join(name));
    let configs = (1..).zip(&data).map(|(id, data)| {
        let data = data.display();
        let text = format!(
            "group = 7\nmember = {id}\ndata = \"{data}\"\nsecurity = \"checksum-only\"\n\
             members = [{members}]\n"
        );
        write(directory, &format!("{id}.toml"), &text)
    });
    let configs = configs.collect();
    (data, configs)
}

/// What is answered to a request for `path`.
fn scrape(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// What `tool status` says of all members in `data`, once `wanted`.
fn status(
    child: &mut Killed,
    data: &[PathBuf],
    wanted: impl Fn(&[serde_json::Value]) -> bool,
) -> Vec<serde_json::Value> {
    let mut told: Vec<serde_json::Value> = Vec::new();
    wait_until(&mut child.0, "such status", |_| {
        let output = quorate(&["tool", "status", "--json"]).args(data).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        told = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        wanted(&told)
    });
    told
}

#[test]
fn an_operator_sees_the_members_and_hands_the_leadership_over() {
    let directory = tempfile::tempdir().unwrap();
    let addresses = addresses::<3>();
    let (data, configs) = group_of(directory.path(), &addresses);
    let mut running: Vec<Killed> = Vec::new();
    for (address, config) in addresses.iter().zip(&configs) {
        // The same port of the other protocol.
        let mut member = quorate(&["member", "--bootstrap", "--metrics", address, "--config"]);
        running.push(Killed(member.arg(config).stderr(Stdio::null()).spawn().unwrap()));
    }
    let leads = |report: &serde_json::Value| report["serving"] == true;
    let follow = |reports: &[serde_json::Value]| {
        let leader = reports.iter().find(|report| leads(report)).map(|report| &report["id"]);
        reports.len() == 3 && reports.iter().all(|report| Some(&report["leader"]) == leader)
    };
    let reports = status(&mut running[0], &data, follow);
    let leader = reports.iter().position(leads).unwrap();
    let (next, third) = ((leader + 1) % 3, (leader + 2) % 3);
    let scraped = scrape(&addresses[leader], "/metrics");
    assert!(scraped.starts_with("HTTP/1.1 200"), "{scraped}");
    let label = format!("member=\"{}\"}}", leader + 1);
    let serving = scraped.lines().find(|line| line.starts_with("quorate_serving{")).unwrap();
    assert!(serving.ends_with(&format!("{label} 1")), "{serving}");
    assert!(scrape(&addresses[leader], "/").starts_with("HTTP/1.1 404"));

    // Who does not lead says so; so does a leader that is asked for the impossible.
    let target = (next + 1).to_string();
    let transfer = |data: &Path, target: &str| {
        quorate(&["tool", "transfer", "--json", "--to", target]).arg(data).output().unwrap()
    };
    let refused = transfer(&data[third], &target);
    assert_eq!((refused.status.code(), errors(&refused).as_str()), (Some(4), ""));
    let told: serde_json::Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!((&told["refused"], &told["leader"]), (&"not_leading".into(), &(leader + 1).into()));
    assert_eq!(told["address"], addresses[leader], "{told}");
    let refused = transfer(&data[leader], "9");
    assert_eq!(refused.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(told["refused"], "unknown_target", "{told}");
    let refused = quorate(&["tool", "transfer", "--to", "9"]).arg(&data[leader]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(errors(&refused).contains("no member of the group"), "{}", errors(&refused));

    let done = transfer(&data[leader], &target);
    assert_eq!(done.status.code(), Some(0), "{}", errors(&done));
    let done: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(done["leader"], next + 1);
    let reports = status(&mut running[0], &data, |told| follow(told) && leads(&told[next]));
    assert!(reports.iter().all(|report| report["term"] == done["term"]), "{reports:?}");

    // One that does not run is named, and the others are told of all the same.
    drop(running.remove(third));
    let output = quorate(&["tool", "status"]).args(&data).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("cannot reach a member"), "{}", errors(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    let roles = table.lines().find(|line| line.starts_with("role")).unwrap();
    assert_eq!(roles.split_whitespace().count(), 3, "{table}");
}

#[test]
fn e47_a_damaged_directory_is_repaired_and_the_rest_is_fetched() {
    let directory = tempfile::tempdir().unwrap();
    let addresses = addresses::<3>();
    let (data, configs) = group_of(directory.path(), &addresses);
    let start = |config: &Path| {
        let mut member = quorate(&["member", "--bootstrap", "--config"]);
        Killed(member.arg(config).stderr(Stdio::null()).spawn().unwrap())
    };
    let mut running: Vec<Killed> = configs.iter().map(|config| start(config)).collect();
    let lines: String = (0..300).map(|number| format!("line {number}\n")).collect();
    let mut client = quorate(&["client", "--config"]);
    let client = client.arg(&configs[0]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut client = Killed(client.spawn().unwrap());
    client.0.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    wait_until(&mut client.0, "end of the client", |child| child.try_wait().unwrap().is_some());
    let level = |told: &[serde_json::Value]| {
        told.len() == 3
            && told.iter().all(|report| report["entries"] == 300 && report["applicant"] == false)
    };
    status(&mut running[0], &data, level);

    // What is whole is left alone, and so is what is in use.
    let repair = || quorate(&["tool", "repair", "--config"]).arg(&configs[2]).output().unwrap();
    assert!(errors(&repair()).contains("is locked by"));
    drop(running.pop());
    let whole = repair();
    assert!(whole.status.success() && String::from_utf8_lossy(&whole.stdout).contains("can start"));
    let segment = data[2].join("log/0000000000000000.segment");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[(16 << 10) + 9_000] ^= 0x10;
    std::fs::write(&segment, bytes).unwrap();
    let damaged = quorate(&["tool", "verify", "--json"]).arg(&data[2]).output().unwrap();
    assert_eq!(damaged.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&damaged.stdout).unwrap();
    let [finding] = found["findings"].as_array().unwrap().as_slice() else { panic!("{found}") };
    let (at, bytes) = (finding["position"].as_u64().unwrap(), finding["bytes"].as_u64().unwrap());
    assert!(at <= 9_000 && 9_000 < at + bytes && bytes < 1_000, "{finding}");
    assert_eq!(
        (&finding["path"], &finding["offset"]),
        (&segment.to_str().unwrap().into(), &((16 << 10) + at).into())
    );
    assert!(finding["remedy"].as_str().unwrap().contains("tool repair"), "{finding}");

    let repaired = repair();
    assert!(repaired.status.success(), "{}", errors(&repaired));
    let told = String::from_utf8(repaired.stdout).unwrap();
    assert!(told.contains("with the log from 0 to 8"), "{told}");
    let found = quorate(&["tool", "describe", "--json"]).arg(&data[2]).output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    assert!((8_000..=9_000).contains(&found["log_end"].as_u64().unwrap()), "{found}");
    running.push(start(&configs[2]));
    let told = status(&mut running[0], &data, level);
    assert!(told.iter().all(|report| report["digest"] == told[0]["digest"]), "{told:?}");
}

#[test]
fn what_a_member_recorded_is_the_same_on_every_runtime() {
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join("member.recording");
    record(directory.path(), &recording);
    let (result, output) = replayed(&recording);
    assert!(output.status.success(), "{result}\n{}", errors(&output));
    assert_eq!((&result["ok"], &result["complete"]), (&true.into(), &true.into()), "{result}");
    for way in ["core", "tokio", "mio", "async-std"] {
        let way = &result["through"][way];
        assert_eq!(way["hash"], result["recorded_hash"], "{result}");
        assert!(way["events"]["applied"].as_u64() >= Some(1), "{result}");
    }
    let again = quorate(&["member", "--config"])
        .arg(directory.path().join("member.toml"))
        .arg("--record")
        .arg(&recording)
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(errors(&again).contains("name a new file"), "{}", errors(&again));
    let mut bytes = std::fs::read(&recording).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&recording, bytes).unwrap();
    let (_, output) = replayed(&recording);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("is damaged at byte"), "{}", errors(&output));
}

#[test]
fn the_golden_recording_gives_its_hash_on_every_runtime() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../driver/golden");
    let hash = std::fs::read_to_string(golden.join("life.hash")).unwrap();
    let (result, output) = replayed(&golden.join("life.recording"));
    assert!(output.status.success(), "{result}\n{}", errors(&output));
    for way in ["core", "tokio", "mio", "async-std"] {
        assert_eq!(result["through"][way]["hash"], hash.trim(), "{result}");
    }
}

#[test]
fn a_processor_is_only_for_a_thread_of_the_members_own() {
    let output = quorate(&["member", "--config", "x", "--cpu", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    assert!(errors(&output).contains("give --runtime mio as well"), "{}", errors(&output));
}

#[test]
fn an_unusable_filter_and_a_file_for_a_directory_are_told() {
    let output = quorate(&["tool", "describe", "."]).env("QUORATE_LOG", "=,=").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    assert!(errors(&output).contains("QUORATE_LOG"), "{}", errors(&output));
    let file = env!("CARGO_BIN_EXE_quorate");
    let output = quorate(&["tool", "describe", file]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    assert!(errors(&output).contains("is a file; name a member's data directory"));
}
