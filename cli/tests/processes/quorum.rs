//! A client of members that are too few.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use super::group::{Killed, configured, quorate};

#[test]
fn e69_a_client_says_that_there_is_no_quorum_and_is_served_when_there_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let (_, configs) = configured(directory.path(), "", "");
    let start = |index: usize| {
        let mut member = quorate(&["member", "--bootstrap", "--config"]);
        Killed(member.arg(&configs[index]).stderr(Stdio::null()).spawn().unwrap())
    };
    let _one = start(0);
    let mut client = quorate(&["client", "--config"]);
    let client = client.arg(&configs[0]).stdin(Stdio::piped());
    let client = client.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = Killed(client.spawn().unwrap());
    client.0.stdin.take().unwrap().write_all(b"one line\n").unwrap();
    let mut told = String::new();
    BufReader::new(client.0.stderr.take().unwrap()).read_line(&mut told).unwrap();
    assert_eq!(told, "waiting: no quorum: too few members are up and connected\n");
    let _two = start(1);
    let mut answer = String::new();
    BufReader::new(client.0.stdout.take().unwrap()).read_line(&mut answer).unwrap();
    assert!(answer.starts_with("1 "), "{answer}");
    assert!(client.0.wait().unwrap().success());
}
