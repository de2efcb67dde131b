//! A member's process, seen from who started it.

use core::error::Error;
use core::time::Duration;
use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::options::ClusterCase;

/// How long a member may take to answer: it may be writing a large state to a slow disk.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// What a member tells of itself.
#[derive(Clone, Debug)]
pub(crate) struct Report(Value);

impl Report {
    /// A number of what it is doing: a position, or 1 for yes; 0 for one that it does not tell.
    pub(crate) fn view(&self, name: &str) -> u64 {
        self.0["view"][name].as_u64().unwrap_or_default()
    }

    /// One of the numbers that it has counted since it was started.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.0["counts"][name].as_u64().unwrap_or_default()
    }

    /// All of them.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        let counts = self.0["counts"].as_object().into_iter().flatten();
        counts.map(|(name, count)| (name.clone(), count.as_u64().unwrap_or_default())).collect()
    }
}

/// A running member. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    told: BufReader<UnixStream>,
    /// What it writes to its standard error.
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already when it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts a member as `config` says; its socket is bound already.
    pub(super) fn start(
        case: &ClusterCase,
        config: &Path,
        log: PathBuf,
        socket: UdpSocket,
    ) -> Result<Self, Box<dyn Error>> {
        let (told, theirs) = UnixStream::pair()?;
        told.set_read_timeout(Some(ANSWER_WITHIN))?;
        let child = Command::new(env::current_exe()?)
            .args(["member", "--runtime", &case.runtime.to_string()])
            .args(["--idle", &case.idle.to_string(), "--storage", &case.storage.to_string()])
            .args(["--state-bytes", &case.state_bytes.to_string()])
            .args(case.keeps_ledger.then_some("--ledger"))
            .arg("--config")
            .arg(config)
            .stdin(Stdio::from(OwnedFd::from(socket)))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::from(File::create(&log)?))
            .spawn()?;
        Ok(Self { child, told: BufReader::new(told), log })
    }

    /// The number of the process.
    pub(super) fn number(&self) -> u32 {
        self.child.id()
    }

    /// Tells it something.
    pub(super) fn tell(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        let told = writeln!(self.told.get_mut(), "{line}");
        told.map_err(|error| format!("`{line}`: {error}; its log: {}", self.logged()).into())
    }

    /// Tells it something, and returns what it answers.
    pub(super) fn ask(&mut self, line: &str) -> Result<Report, Box<dyn Error>> {
        self.tell(line)?;
        self.hear().map_err(|error| format!("`{line}`: {error}").into())
    }

    fn hear(&mut self) -> Result<Report, Box<dyn Error>> {
        let mut line = String::new();
        let read = self.told.read_line(&mut line);
        read.map_err(|error| format!("no answer: {error}"))?;
        let heard = serde_json::from_str(&line);
        let heard = heard.map_err(|_| format!("said `{line}`; its log: {}", self.logged()))?;
        match Report(heard) {
            Report(Value::String(error)) => Err(error.into()),
            report => Ok(report),
        }
    }

    fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string())
    }

    /// Returns the last report of one that was told to stop, when it has ended.
    pub(super) fn end(mut self) -> Result<Report, Box<dyn Error>> {
        let report = self.hear()?;
        let status = self.child.wait()?;
        match status.success() {
            true => Ok(report),
            false => Err(format!("ended with {status}: {}", self.logged()).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_what_it_knows_and_zero_of_the_rest() {
        let text = r#"{"view": {"commit": 104, "serving": 1}, "counts": {"naks": 3}}"#;
        let report = Report(serde_json::from_str(text).unwrap());
        assert_eq!((report.view("commit"), report.view("serving")), (104, 1));
        assert_eq!((report.view("naks"), report.count("naks")), (0, 3));
        assert_eq!(report.counts(), BTreeMap::from([("naks".to_owned(), 3)]));
    }
}
