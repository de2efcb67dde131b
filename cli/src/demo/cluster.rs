//! Member processes on loopback ports.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use quorate_core::{GroupId, Limits, MemberId, Timing};
use quorate_driver::{
    Configuration, Faults, STOP_TIMEOUT as MEMBER_STOP_TIMEOUT, Scrubbing, SnapshotWriting,
    init_archive, next_incarnation, rejoin_archive,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::arguments::{Demo, DemoRuntime};
use crate::failure::Failure;
use crate::report::MemberReport;

/// How long a member that runs may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the members may take to stop, all together.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// After how much of its log the group has a snapshot taken, and how much of what is before the
/// newest one is kept: little, so that the demonstration purges, too.
const SNAPSHOT_INTERVAL_BYTES: u64 = 128 << 10;

/// All members, running or not.
#[derive(Debug)]
pub(super) struct Cluster {
    members: Vec<Process>,
}

#[derive(Debug)]
struct Process {
    id: MemberId,
    /// Bound once and handed to each life, so that no other process ever gets the port.
    socket: UdpSocket,
    config: PathBuf,
    log: PathBuf,
    runtime: DemoRuntime,
    /// How many times it was started.
    starts: u16,
    running: Option<Running>,
    last: MemberReport,
    /// What former lives had counted when they were last asked.
    former: MemberReport,
}

#[derive(Debug)]
struct Running {
    child: Child,
    requests: OwnedWriteHalf,
    answers: Lines<BufReader<OwnedReadHalf>>,
}

impl Cluster {
    /// Prepares the members in `directory`: ports, configurations, identities.
    pub(super) fn prepare(directory: &Path, demo: &Demo) -> Result<Self, Failure> {
        let (count, loss) = (demo.members, demo.loss);
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let sockets = (0..count).map(|_| bind()).collect::<Result<Vec<_>, _>>();
        let sockets =
            sockets.map_err(|error| Failure::failed("cannot bind loopback ports", error))?;
        let mut addresses = BTreeMap::new();
        for (id, socket) in (1..).zip(&sockets) {
            let address = socket.local_addr();
            let address =
                address.map_err(|error| Failure::failed("a socket has no port", error))?;
            addresses.insert(MemberId(id), address);
        }
        let group = GroupId(u64::from(std::process::id()) << 32 | 0x71_756f);
        let members = sockets.into_iter().zip(&addresses).map(|(socket, (id, address))| {
            let configuration = Configuration {
                group,
                member: *id,
                members: addresses.clone(),
                bind: *address,
                data: directory.join(format!("member-{id}")),
                timing: Timing::default(),
                limits: Limits {
                    snapshot_interval_bytes: SNAPSHOT_INTERVAL_BYTES,
                    purge_keep_bytes: SNAPSHOT_INTERVAL_BYTES,
                    ..Limits::default()
                },
                durability: demo.durability(),
                stop_timeout: MEMBER_STOP_TIMEOUT,
                scrubbing: Scrubbing::default(),
                snapshots: SnapshotWriting::default(),
                faults: (loss > 0.0).then(|| faults(loss, u64::from(id.0))),
            };
            Process::prepare(directory, socket, &configuration, demo.runtime)
        });
        Ok(Self { members: members.collect::<Result<_, _>>()? })
    }

    /// The group, and where its members are.
    pub(super) fn group(&self) -> Result<(GroupId, BTreeMap<MemberId, SocketAddr>), Failure> {
        let first = self.members.first().ok_or_else(|| Failure::Failed("no members".into()))?;
        let configuration = crate::member::load(&first.config)?;
        Ok((configuration.group, configuration.members))
    }

    /// Starts all members.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        self.members.iter_mut().try_for_each(Process::start)
    }

    /// Starts one that was killed.
    pub(super) fn restart(&mut self, id: u16) -> Result<(), Failure> {
        let process = self.members.iter_mut().find(|process| process.id.0 == id);
        process.map_or(Ok(()), Process::start)
    }

    /// Asks every running member how it is; returns all last answers, those of killed ones too.
    pub(super) async fn poll(&mut self) -> Result<Vec<MemberReport>, Failure> {
        for process in &mut self.members {
            process.poll().await?;
        }
        Ok(self.reports())
    }

    /// The last answers.
    pub(super) fn reports(&self) -> Vec<MemberReport> {
        self.members.iter().map(|process| process.last.clone()).collect()
    }

    /// Counters over all members and all lives: elections, NAKs, retransmits, lost datagrams.
    pub(super) fn totals(&self) -> [u64; 4] {
        let mut totals = [0; 4];
        for report in self.members.iter().flat_map(|process| [&process.last, &process.former]) {
            let counts =
                [report.elections_won, report.naks_sent, report.retransmits, report.lost_datagrams];
            totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        }
        totals
    }

    /// The leader that serves, if there is one; with the highest term if two believe to.
    pub(super) async fn leader(&mut self) -> Result<Option<u16>, Failure> {
        let reports = self.poll().await?;
        let running = self.members.iter().map(|process| process.running.is_some());
        let leaders =
            reports.iter().zip(running).filter(|(report, running)| *running && report.serving);
        Ok(leaders.max_by_key(|(report, _)| report.term).map(|(report, _)| report.id))
    }

    /// Kills a member with SIGKILL and waits until it is gone.
    pub(super) async fn kill(&mut self, id: u16) -> Result<(), Failure> {
        for process in self.members.iter_mut().filter(|process| process.id.0 == id) {
            if let Some(mut running) = process.running.take() {
                let killed = running.child.kill().await;
                killed.map_err(|error| Failure::failed("cannot kill a member", error))?;
            }
            process.keep_counters();
        }
        Ok(())
    }

    /// Kills a member, removes its data, and starts it in a directory that is made anew.
    pub(super) async fn wipe(&mut self, id: u16) -> Result<(), Failure> {
        self.kill(id).await?;
        let Some(process) = self.members.iter_mut().find(|process| process.id.0 == id) else {
            return Ok(());
        };
        let configuration = crate::member::load(&process.config)?;
        std::fs::remove_dir_all(&configuration.data)
            .map_err(|error| Failure::failed("cannot remove the data of a member", error))?;
        rejoin_archive(&configuration, next_incarnation())
            .map_err(|error| Failure::Failed(error.to_string()))?;
        process.start()
    }

    /// Stops all members gracefully; those that do not stop in time are killed.
    pub(super) async fn stop(&mut self) {
        let running = self.members.iter_mut().filter_map(|process| process.running.take());
        let mut running: Vec<Running> = running.collect();
        let stop = async {
            for one in &mut running {
                // A member that is gone already needs no telling.
                let _ = one.requests.write_all(b"shutdown\n").await;
            }
            for one in &mut running {
                let _ = one.child.wait().await;
            }
        };
        if timeout(STOP_TIMEOUT, stop).await.is_err() {
            for one in &mut running {
                let _ = one.child.start_kill();
            }
            for one in &mut running {
                let _ = one.child.wait().await;
            }
        }
    }

    /// The last warning or error in the log of each member that has one.
    pub(super) fn complaints(&self) -> Vec<String> {
        let complaints = self.members.iter().filter_map(|process| {
            let log = std::fs::read_to_string(&process.log).ok()?;
            let line = last_complaint(&log)?;
            Some(format!("the log of member {} says: {line}", process.id))
        });
        complaints.collect()
    }
}

/// Loss at a receiver, another choice of datagrams for each.
pub(super) fn faults(loss: f64, seed: u64) -> Faults {
    Faults { loss_percent: loss, seed, ..Faults::default() }
}

/// The last line of a log with a level that wants attention. That faults are on was asked for.
fn last_complaint(log: &str) -> Option<&str> {
    let complains = |line: &&str| {
        // A line starts with its time and its level; the command's own errors with `error:`.
        let level = line.split_whitespace().nth(1);
        let warned = matches!(level, Some("WARN" | "ERROR")) || line.starts_with("error:");
        warned && !line.contains("deliberate faults")
    };
    log.lines().rev().find(complains)
}

impl Process {
    fn prepare(
        directory: &Path,
        socket: UdpSocket,
        configuration: &Configuration,
        runtime: DemoRuntime,
    ) -> Result<Self, Failure> {
        let id = configuration.member;
        let config = directory.join(format!("member-{id}.toml"));
        std::fs::write(&config, configuration.to_toml()).map_err(|error| {
            Failure::Failed(format!("cannot write {}: {error}", config.display()))
        })?;
        init_archive(configuration).map_err(|error| Failure::Failed(error.to_string()))?;
        Ok(Self {
            id,
            socket,
            config,
            log: directory.join(format!("member-{id}.log")),
            runtime,
            starts: 0,
            running: None,
            last: MemberReport { id: id.0, ..MemberReport::default() },
            former: MemberReport::default(),
        })
    }

    fn start(&mut self) -> Result<(), Failure> {
        let started = self.spawn();
        let running = started.map_err(|error| {
            Failure::Failed(format!("cannot start member {}: {error}", self.id))
        })?;
        self.running = Some(running);
        self.starts += 1;
        Ok(())
    }

    fn spawn(&self) -> std::io::Result<Running> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (answers, requests) = UnixStream::from_std(ours)?.into_split();
        let child = Command::new(std::env::current_exe()?)
            .args(["member", "--supervised", "--runtime"])
            .arg(self.runtime.of(self.id.0, self.starts).name())
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::from(OwnedFd::from(self.socket.try_clone()?)))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::from(log))
            // Ctrl-C in a terminal reaches the demonstration only, which stops its members.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Running { child, requests, answers: BufReader::new(answers).lines() })
    }

    async fn poll(&mut self) -> Result<(), Failure> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let ask = async {
            running.requests.write_all(b"status\n").await.ok()?;
            running.answers.next_line().await.ok()?
        };
        let answer = timeout(ANSWER_TIMEOUT, ask).await.ok().flatten();
        let report = answer.and_then(|line| serde_json::from_str(&line).ok());
        self.last = report.ok_or_else(|| self.lost())?;
        Ok(())
    }

    /// A member that should run does not answer.
    fn lost(&mut self) -> Failure {
        let state = match self.running.as_mut().map(|running| running.child.try_wait()) {
            Some(Ok(Some(status))) => format!("ended unexpectedly with {status}"),
            _ => "does not answer".into(),
        };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let end: Vec<&str> = log.lines().rev().take(5).collect();
        let end: String = end.iter().rev().map(|line| format!("\n  {line}")).collect();
        Failure::Failed(format!("member {} {state}; its log ends with:{end}", self.id))
    }

    fn keep_counters(&mut self) {
        let (last, former) = (&self.last, &mut self.former);
        former.elections_won += last.elections_won;
        former.naks_sent += last.naks_sent;
        former.retransmits += last.retransmits;
        former.lost_datagrams += last.lost_datagrams;
        // The next life counts from zero.
        self.last =
            MemberReport { id: self.id.0, role: "killed".into(), ..MemberReport::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_complaint_of_a_log_is_found() {
        let log = "t INFO a: WARN\nt WARN a: first\nt ERROR b: second\nt  INFO c: third\n\
                   t  WARN quorate: deliberate faults are on\n";
        assert_eq!(last_complaint(log), Some("t ERROR b: second"));
        assert_eq!(last_complaint("error: no archive\n"), Some("error: no archive"));
        assert_eq!(last_complaint("t INFO a: fine\n"), None);
    }
}
