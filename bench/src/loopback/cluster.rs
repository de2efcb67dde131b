//! Member processes on loopback ports.

use core::error::Error;
use core::net::{Ipv4Addr, SocketAddr};
use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use quorate_core::{GroupId, Limits, MemberId, Timing};
use quorate_driver::{Configuration, Faults, init_archive};
use serde_json::Value;
use tempfile::TempDir;

use super::options::{Idle, LoopbackOptions, Runtime, Storage};

/// Members of the cluster.
pub(super) const MEMBERS: u16 = 3;
/// The group of all clusters.
pub(super) const GROUP: GroupId = GroupId(0x6265_6e63);

/// What a cluster is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClusterCase {
    pub(super) runtime: Runtime,
    pub(super) idle: Idle,
    pub(super) storage: Storage,
    /// Per cent of datagrams that each receiver loses.
    pub(super) loss: f64,
}

impl ClusterCase {
    /// The faults of a receiver, another choice of datagrams for each.
    pub(super) fn faults(&self, seed: u64) -> Option<Faults> {
        let faults = Faults { loss_percent: self.loss, seed, ..Faults::default() };
        (self.loss > 0.0).then_some(faults)
    }
}

/// Running members. Dropped, they are killed.
#[derive(Debug)]
pub(super) struct Cluster {
    processes: Vec<Process>,
    pub(super) addresses: BTreeMap<MemberId, SocketAddr>,
    /// Configurations, archives and logs. Last: removed when nobody writes any more.
    directory: TempDir,
}

#[derive(Debug)]
struct Process {
    child: Child,
    told: UnixStream,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already when it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Cluster {
    /// Starts members.
    ///
    /// # Errors
    /// Ports, files or processes were not to be had.
    pub(super) fn start(
        case: ClusterCase,
        options: &LoopbackOptions,
    ) -> Result<Self, Box<dyn Error>> {
        let folder = options.folder(case.storage);
        let directory = tempfile::Builder::new().prefix("quorate-bench-").tempdir_in(folder)?;
        let mut sockets = Vec::new();
        let mut addresses = BTreeMap::new();
        for id in 1..=MEMBERS {
            // Bound once and handed over, so that no other process gets the port.
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            addresses.insert(MemberId(id), socket.local_addr()?);
            sockets.push(socket);
        }
        let mut cluster = Self { processes: Vec::new(), addresses, directory };
        for (id, socket) in (1..).map(MemberId).zip(sockets) {
            let process = cluster.start_member(case, options.limits(), id, socket)?;
            cluster.processes.push(process);
        }
        Ok(cluster)
    }

    fn start_member(
        &self,
        case: ClusterCase,
        limits: Limits,
        member: MemberId,
        socket: UdpSocket,
    ) -> Result<Process, Box<dyn Error>> {
        let directory = self.directory.path();
        let configuration = Configuration {
            group: GROUP,
            member,
            members: self.addresses.clone(),
            bind: self.addresses[&member],
            data: directory.join(format!("member-{member}")),
            timing: Timing::default(),
            limits,
            faults: case.faults(u64::from(member.0)),
        };
        init_archive(&configuration)?;
        let config = directory.join(format!("member-{member}.toml"));
        fs::write(&config, configuration.to_toml())?;
        let log = File::create(log_of(directory, member))?;
        let (told, theirs) = UnixStream::pair()?;
        let child = Command::new(env::current_exe()?)
            .args(["member", "--runtime", &case.runtime.to_string()])
            .args(["--idle", &case.idle.to_string(), "--storage", &case.storage.to_string()])
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::from(OwnedFd::from(socket)))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::from(log))
            .spawn()?;
        Ok(Process { child, told })
    }

    /// Stops all members, and returns the sums of what they report.
    ///
    /// # Errors
    /// A member did not end well.
    pub(super) fn stop(mut self) -> Result<BTreeMap<String, u64>, Box<dyn Error>> {
        let mut sums = BTreeMap::new();
        for process in &mut self.processes {
            process.told.write_all(b"\n")?;
        }
        for (id, process) in (1..).map(MemberId).zip(&mut self.processes) {
            let mut report = String::new();
            process.told.read_to_string(&mut report)?;
            let status = process.child.wait()?;
            if !status.success() {
                let log = fs::read_to_string(log_of(self.directory.path(), id))?;
                return Err(format!("member {id} ended with {status}: {log}").into());
            }
            let report: BTreeMap<String, Value> = serde_json::from_str(&report)?;
            for (name, value) in report {
                *sums.entry(name).or_default() += value.as_u64().unwrap_or_default();
            }
        }
        Ok(sums)
    }
}

fn log_of(directory: &Path, member: MemberId) -> std::path::PathBuf {
    directory.join(format!("member-{member}.log"))
}
