//! Three members as processes, and what is asked of them.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::io::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

/// The longest that anything is waited for: far above what it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Where the log begins in its first file.
pub(crate) const LOG_AT: u64 = 16 << 10;

/// A process that does not outlive its test.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn quorate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(arguments).env_remove("QUORATE_LOG");
    command
}

/// The directories and configurations of three members, with these keys and sections besides.
pub(crate) fn configured(
    directory: &Path,
    keys: &str,
    sections: &str,
) -> ([PathBuf; 3], [PathBuf; 3]) {
    let sockets = [(); 3].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let members = (1..).zip(&sockets).map(|(id, socket)| {
        format!("{{ id = {id}, address = \"{}\" }}", socket.local_addr().unwrap())
    });
    let members = members.collect::<Vec<_>>().join(", ");
    let data = ["one", "two", "three"].map(|name| directory.join(name));
    let configs = core::array::from_fn(|index| {
        let text = format!(
            "group = 7\nmember = {}\ndata = \"{}\"\nsecurity = \"checksum-only\"\n\
             {keys}members = [{members}]\n{sections}",
            index + 1,
            data[index].display()
        );
        let config = directory.join(format!("{index}.toml"));
        std::fs::write(&config, text).unwrap();
        config
    });
    (data, configs)
}

/// Sends lines, each of which is answered.
pub(crate) fn send(config: &Path, count: usize) {
    let mut client = quorate(&["client", "--config"]);
    let client = client.arg(config).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut client = Killed(client.spawn().unwrap());
    let lines: String = (0..count).map(|number| format!("line {number}\n")).collect();
    client.0.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(client.0.wait().unwrap().success());
}

/// What `tool status` says of the members in `data`, once all of them answer, and as `wanted`.
pub(crate) fn status(data: &[PathBuf], mut wanted: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let output = quorate(&["tool", "status", "--json"]).args(data).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let told: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if told.len() == data.len() && wanted(&told) {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE, "such a status does not come: {told:#?}");
    }
}
