//! Members that come and go while the group runs.

use core::net::{Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, Ordering};
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use serde_json::Value;

use super::group::{Killed, PATIENCE, quorate, status};

/// Members by number, from 1 on: some form the group, others come later.
struct Group {
    place: tempfile::TempDir,
    addresses: Vec<SocketAddr>,
    running: Vec<Option<Killed>>,
}

impl Group {
    /// As many addresses as there are ever members.
    fn new(members: usize) -> Self {
        let sockets: Vec<UdpSocket> =
            (0..members).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        let addresses = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let running = (0..members).map(|_| None).collect();
        Self { place: tempfile::tempdir().unwrap(), addresses, running }
    }

    fn data(&self, id: usize) -> PathBuf {
        self.place.path().join(format!("member-{id}"))
    }

    fn config(&self, id: usize) -> PathBuf {
        self.place.path().join(format!("{id}.toml"))
    }

    /// Member `id` knows `members`.
    fn configure(&self, id: usize, members: &[usize]) {
        let members: Vec<String> = members
            .iter()
            .map(|id| format!("{{ id = {id}, address = \"{}\" }}", self.addresses[id - 1]))
            .collect();
        let text = format!(
            "group = 7\nmember = {id}\ndata = \"member-{id}\"\nsecurity = \"checksum-only\"\n\
             members = [{}]\n",
            members.join(", ")
        );
        std::fs::write(self.config(id), text).unwrap();
    }

    fn init(&self, id: usize, more: &[&str]) -> Output {
        quorate(&["init", "--config"]).arg(self.config(id)).args(more).output().unwrap()
    }

    fn start(&mut self, id: usize) {
        let mut member = quorate(&["member", "--config"]);
        let member = member.arg(self.config(id)).stderr(Stdio::null()).spawn().unwrap();
        self.running[id - 1] = Some(Killed(member));
    }

    /// The first `members` form the group.
    fn form(&mut self, members: usize) {
        let all: Vec<usize> = (1..=members).collect();
        for &id in &all {
            self.configure(id, &all);
            assert!(self.init(id, &[]).status.success());
            self.start(id);
        }
    }

    /// The directories of those that run.
    fn running(&self) -> Vec<PathBuf> {
        let running = (1..).zip(&self.running).filter(|(_, it)| it.is_some());
        running.map(|(id, _)| self.data(id)).collect()
    }

    /// Who leads, once somebody serves.
    fn leader(&self) -> usize {
        let told = status(&self.running(), |told| told.iter().any(|it| it["serving"] == true));
        let leads = told.iter().find(|it| it["serving"] == true).unwrap();
        usize::try_from(leads["id"].as_u64().unwrap()).unwrap()
    }

    /// What one member says to `quorate tool` with `arguments`, the first of which is the tool.
    fn tool(&self, asked: usize, arguments: &[&str]) -> Output {
        let mut command = quorate(&["tool", arguments[0]]);
        command.arg(self.data(asked)).args(&arguments[1..]).output().unwrap()
    }

    /// Has whoever leads do it, which others may be meanwhile.
    fn operate(&self, arguments: &[&str]) {
        let begun = Instant::now();
        let mut may_be_so = false;
        loop {
            let told = self.tool(self.leader(), &[arguments, &["--wait", "30"]].concat());
            match told.status.code() {
                Some(0) => return,
                Some(4) => {}
                Some(5) => may_be_so = true,
                Some(1) if may_be_so => return,
                _ => panic!("{arguments:?}: {told:?}"),
            }
            assert!(begun.elapsed() < PATIENCE, "{arguments:?}: {told:?}");
        }
    }

    fn add(&self, id: usize, more: &[&str]) {
        let (number, address) = (id.to_string(), self.addresses[id - 1].to_string());
        self.operate(&[&["add", "--id", &number, "--address", &address], more].concat());
    }
}

/// A client that sends as fast as it is answered, until it is told to stop.
struct Load {
    client: Killed,
    stop: Arc<AtomicBool>,
    sent: JoinHandle<u64>,
    answered: JoinHandle<Vec<String>>,
}

impl Load {
    fn begin(config: &Path) -> Self {
        let mut client = quorate(&["client", "--config"]);
        let client = client.arg(config).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = Killed(client.spawn().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let (mut lines, stopped) = (client.0.stdin.take().unwrap(), Arc::clone(&stop));
        let sent = thread::spawn(move || {
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                sent += 1;
                writeln!(lines, "line {sent}").unwrap();
            }
            sent
        });
        let replies = BufReader::new(client.0.stdout.take().unwrap());
        let answered = thread::spawn(move || replies.lines().map(Result::unwrap).collect());
        Self { client, stop, sent, answered }
    }

    /// Ends when all is answered; returns the last receipt: the entries, and their digest.
    fn end(mut self) -> (u64, String) {
        self.stop.store(true, Ordering::Relaxed);
        let (sent, answered) = (self.sent.join().unwrap(), self.answered.join().unwrap());
        assert!(self.client.0.wait().unwrap().success(), "the client had no error");
        assert_eq!(answered.len() as u64, sent, "each line is answered once");
        let (entries, digest) = answered.last().unwrap().split_once(' ').unwrap();
        assert_eq!(entries.parse(), Ok(sent), "each line is applied once");
        (sent, digest.to_owned())
    }
}

#[test]
fn mb20_three_members_become_five_and_then_two_others_under_load() {
    let mut group = Group::new(5);
    group.form(3);
    group.leader();
    let load = Load::begin(&group.config(1));
    for id in [4, 5] {
        // It knows itself, and one that is there.
        group.configure(id, &[1, id]);
        assert!(group.init(id, &["--join"]).status.success());
        group.start(id);
        group.add(id, &[]);
        group.operate(&["promote", "--id", &id.to_string()]);
    }
    status(&group.running(), |told| told.iter().all(|it| it["voters"] == 5 && it["votes"] == true));
    for id in 1..=3 {
        group.operate(&["remove", "--id", &id.to_string()]);
        status(&[group.data(id)], |told| told[0]["removed_at"].is_u64());
    }
    // Who was removed may say what it likes: the two go on.
    let left = [group.data(4), group.data(5)];
    status(&left, |told| told.iter().all(|it| it["voters"] == 2 && it["joint"] == false));
    // The client knows nobody of those that are left.
    let (entries, digest) = load.end();
    let told = status(&left, |told| told.iter().all(|it| it["entries"] == entries));
    assert!(told.iter().all(|it| it["digest"] == digest), "{told:?}");
    let told = status(&group.running()[..3], |_| true);
    assert!(told.iter().all(|it| it["serving"] == false), "{told:?}");

    // All that is at hand of the group is what its files list: members that are gone.
    for id in [4, 5] {
        group.running[id - 1] = None;
        group.start(id);
    }
    group.leader();
    let (report, leader) = (group.tool(4, &["members", "--json"]), group.leader());
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let ids = report["members"].as_array().unwrap().iter().map(|it| it["id"].as_u64().unwrap());
    assert_eq!((ids.collect::<Vec<_>>(), &report["leader"]), (vec![4, 5], &leader.into()));
    let removed = report["removed"].as_array().unwrap().iter().map(|it| it[0].as_u64().unwrap());
    assert_eq!(removed.collect::<Vec<_>>(), [1, 2, 3], "{report}");
}

#[test]
fn mb08_each_refusal_of_a_change_is_told_by_its_name_and_exit_code() {
    let mut group = Group::new(4);
    group.form(3);
    let leader = group.leader();
    let other = leader % 3 + 1;
    status(&group.running(), |told| told.iter().all(|it| it["leader"] == leader));
    let refused = |asked: usize, arguments: &[&str], name: &str, code: i32| {
        let told = group.tool(asked, &[arguments, &["--json"]].concat());
        let object: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!((&object["refused"], told.status.code()), (&name.into(), Some(code)));
        assert!(object["reason"].as_str().unwrap().len() > 10, "{object}");
        let told = group.tool(asked, arguments);
        let text = String::from_utf8(told.stderr).unwrap();
        assert!(text.contains(&format!("({name})")) && told.status.code() == Some(code), "{text}");
        object
    };
    let elsewhere = refused(other, &["remove", "--id", "1"], "not_leader", 4);
    let address = Value::from(group.addresses[leader - 1].to_string());
    assert_eq!((&elsewhere["leader"], &elsewhere["address"]), (&leader.into(), &address));
    refused(leader, &["remove", "--id", "9"], "unknown_member", 1);
    refused(leader, &["promote", "--id", "1"], "same", 1);
    let own = ["add", "--id", "1", "--address", "127.0.0.1:9"];
    refused(leader, &own, "already_member", 1);
    // Nobody is there who could be level.
    group.add(4, &[]);
    refused(leader, &["promote", "--id", "4"], "not_level", 4);
    let late = group.tool(leader, &["promote", "--id", "4", "--wait", "1"]);
    assert_eq!(late.status.code(), Some(4), "{late:?}");
    let told = status(&[group.data(leader)], |told| told[0]["members"] == 4);
    assert_eq!(told[0]["voters"], 3, "it does not count: {told:?}");
    let nobody = group.tool(4, &["remove", "--id", "1"]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    let wrong = group.tool(leader, &["remove", "--id", "one"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}

#[test]
fn e67_a_removed_member_comes_back_with_a_new_directory_only() {
    let mut group = Group::new(3);
    group.form(3);
    let leader = group.leader();
    let gone = leader % 3 + 1;
    let number = gone.to_string();
    group.operate(&["remove", "--id", &number]);
    status(&[group.data(gone)], |told| told[0]["removed_at"].is_u64());

    // Taken in as it was it would bring its old promises back.
    let address = group.addresses[gone - 1].to_string();
    let again = ["add", "--id", &number, "--address", &address, "--json"];
    let refused = group.tool(group.leader(), &again);
    let object: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(
        (&object["refused"], refused.status.code()),
        (&"former_incarnation".into(), Some(1))
    );
    group.running[gone - 1] = None;
    std::fs::remove_dir_all(group.data(gone)).unwrap();
    let made = group.init(gone, &["--join", "--incarnation", "2"]);
    assert!(made.status.success(), "{made:?}");
    group.start(gone);
    group.add(gone, &["--incarnation", "2"]);
    group.operate(&["promote", "--id", &number]);
    let told = status(&group.running(), |told| told.iter().all(|it| it["voters"] == 3));
    assert!(told.iter().all(|it| it["removed_at"].is_null()), "{told:?}");
}

#[test]
fn mb19_a_file_may_list_others_once_the_group_has_changed_and_not_before() {
    let mut group = Group::new(4);
    group.form(3);
    let leader = group.leader();
    let id = leader % 3 + 1;
    group.running[id - 1] = None;
    group.configure(id, &[1, 2, 3, 4]);
    let mut member = quorate(&["member", "--config"]);
    let refused = member.arg(group.config(id)).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("was formed with the members [1, 2, 3]"), "{text}");

    // It takes a change into its log as it was configured.
    group.configure(id, &[1, 2, 3]);
    group.start(id);
    group.add(4, &[]);
    status(&group.running(), |told| told.iter().all(|it| it["members"] == 4));
    group.running[id - 1] = None;
    group.configure(id, &[id, leader, 4]);
    group.start(id);
    let told = status(&group.running(), |told| told.iter().all(|it| it["members"] == 4));
    assert!(
        told.iter().all(|it| it["voters"] == 3),
        "the file says nothing of who votes: {told:?}"
    );
}
