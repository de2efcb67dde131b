//! Member processes on loopback ports, and a client of them: what several rungs run.

#[path = "../../../cli/src/ledger.rs"]
mod ledger;
mod load;
mod member;
mod options;
mod process;
mod runtimes;
mod share;

// The command's own: what is proven here is proven of the service that `quorate member` runs.
pub(crate) use ledger::Ledger;
pub(crate) use load::{Application, Load, LoadClient};
pub(crate) use member::{Echo, MemberProcessOptions, run as run_member};
pub(crate) use options::{ClusterCase, Idle, Level, MEMORY_FOLDER, Runtime, Storage};
pub(crate) use process::Report;
pub(crate) use share::Share;

use core::error::Error;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::thread;
use std::time::Instant as Clock;

use quorate_core::{GroupId, Incarnation, MemberId, Position, Timing};
use quorate_driver::{Configuration, STOP_TIMEOUT, Scrubbing, init_archive, rejoin_archive};
use tempfile::TempDir;

use self::process::Process;

/// The group of all clusters.
const GROUP: GroupId = GroupId(0x6265_6e63);
/// How long whatever is waited for may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// A client's session outlives members that write large states for long.
const SESSION_TIMEOUT: quorate_core::Duration = quorate_core::Duration::from_millis(600_000);
/// How often it is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// How often members are asked whether they have stored a snapshot.
const STORED_INTERVAL: Duration = Duration::from_millis(20);

/// Running members. Dropped, they are killed.
#[derive(Debug)]
pub(crate) struct Cluster {
    case: ClusterCase,
    processes: BTreeMap<MemberId, Process>,
    /// Bound once and kept, so that no other process gets the ports of a member that is gone.
    sockets: BTreeMap<MemberId, UdpSocket>,
    addresses: BTreeMap<MemberId, SocketAddr>,
    /// Of the last directory that was made anew.
    incarnation: Incarnation,
    /// Configurations, archives and logs. Last: removed when nobody writes any more.
    directory: TempDir,
}

impl Cluster {
    /// Starts members.
    ///
    /// # Errors
    /// Ports, files or processes were not to be had.
    pub(crate) fn start(case: &ClusterCase) -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::Builder::new().prefix("quorate-bench-").tempdir_in(&case.folder);
        let directory = directory.map_err(|error| format!("{}: {error}", case.folder.display()))?;
        let (mut sockets, mut addresses) = (BTreeMap::new(), BTreeMap::new());
        for id in (1..=case.members).map(MemberId) {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            addresses.insert(id, socket.local_addr()?);
            sockets.insert(id, socket);
        }
        let (processes, incarnation) = (BTreeMap::new(), Incarnation::FIRST);
        let case = case.clone();
        let mut cluster = Self { case, processes, sockets, addresses, incarnation, directory };
        for id in cluster.ids() {
            let configuration = cluster.configuration(id);
            init_archive(&configuration)?;
            fs::write(cluster.file(id, "toml"), configuration.to_toml())?;
            cluster.start_member(id)?;
        }
        Ok(cluster)
    }

    /// All members, those that do not run included.
    pub(crate) fn ids(&self) -> Vec<MemberId> {
        self.addresses.keys().copied().collect()
    }

    /// What a member is configured with.
    pub(crate) fn configuration(&self, member: MemberId) -> Configuration {
        Configuration {
            group: GROUP,
            member,
            members: self.addresses.clone(),
            bind: self.addresses[&member],
            data: self.directory.path().join(format!("member-{member}")),
            timing: Timing { session_timeout: SESSION_TIMEOUT, ..Timing::default() },
            limits: self.case.limits.clone(),
            durability: self.case.level.durability(),
            stop_timeout: STOP_TIMEOUT,
            scrubbing: Scrubbing::default(),
            snapshots: self.case.snapshots,
            faults: self.case.faults(u64::from(member.0)),
        }
    }

    /// A member's socket, with nothing in it that a former process did not take.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn socket(&self, member: MemberId) -> Result<UdpSocket, Box<dyn Error>> {
        let socket = self.sockets[&member].try_clone()?;
        socket.set_nonblocking(true)?;
        let mut buffer = vec![0; 1 << 16];
        while socket.recv(&mut buffer).is_ok() {}
        Ok(socket)
    }

    fn file(&self, member: MemberId, extension: &str) -> PathBuf {
        self.directory.path().join(format!("member-{member}.{extension}"))
    }

    /// Starts a member that does not run, from its directory.
    ///
    /// # Errors
    /// There is no process to be had.
    pub(crate) fn start_member(&mut self, member: MemberId) -> Result<(), Box<dyn Error>> {
        let socket = self.socket(member)?;
        let (config, log) = (self.file(member, "toml"), self.file(member, "log"));
        let process = Process::start(&self.case, &config, log, socket)?;
        self.processes.insert(member, process);
        Ok(())
    }

    /// Kills a member.
    pub(crate) fn kill(&mut self, member: MemberId) {
        self.processes.remove(&member);
    }

    /// Replaces the directory of a member that does not run by an empty one.
    ///
    /// # Errors
    /// The member may not come back that way, or a file.
    pub(crate) fn wipe(&mut self, member: MemberId) -> Result<(), Box<dyn Error>> {
        let configuration = self.configuration(member);
        fs::remove_dir_all(&configuration.data)?;
        self.incarnation.0 += 1;
        Ok(rejoin_archive(&configuration, self.incarnation)?)
    }

    fn process(&mut self, member: MemberId) -> Result<&mut Process, Box<dyn Error>> {
        let process = self.processes.get_mut(&member);
        process.ok_or_else(|| format!("member {member} does not run").into())
    }

    /// The number of a member's process.
    ///
    /// # Errors
    /// It has none.
    pub(crate) fn process_of(&mut self, member: MemberId) -> Result<u32, Box<dyn Error>> {
        Ok(self.process(member)?.number())
    }

    /// What can be seen of a member.
    ///
    /// # Errors
    /// It does not run, or does not answer.
    pub(crate) fn status(&mut self, member: MemberId) -> Result<Report, Box<dyn Error>> {
        self.process(member)?.ask("status")
    }

    /// The same of all that run.
    ///
    /// # Errors
    /// One of them does not answer.
    pub(crate) fn statuses(&mut self) -> Result<BTreeMap<MemberId, Report>, Box<dyn Error>> {
        let running: Vec<MemberId> = self.processes.keys().copied().collect();
        running.into_iter().map(|id| Ok((id, self.status(id)?))).collect()
    }

    /// The member that serves clients, once there is one.
    ///
    /// # Errors
    /// There is none for long, or a member does not answer.
    pub(crate) fn leader(&mut self) -> Result<MemberId, Box<dyn Error>> {
        self.wait_until("there is a leader", |cluster| {
            let statuses = cluster.statuses()?;
            let mut serving = statuses.iter().filter(|(_, status)| status.view("serving") > 0);
            Ok(serving.next().map(|(&id, _)| id))
        })
    }

    /// Looks again and again until `look` sees something; `what` says what that is.
    ///
    /// # Errors
    /// It takes too long, or looking failed.
    pub(crate) fn wait_until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Result<Option<T>, Box<dyn Error>>,
    ) -> Result<T, Box<dyn Error>> {
        let begin = Clock::now();
        while begin.elapsed() < PATIENCE {
            if let Some(seen) = look(self)? {
                return Ok(seen);
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Err(format!("after {} s it is not so that {what}", PATIENCE.as_secs()).into())
    }

    /// Tells a member's service to spend so many nanoseconds on each message, on the average.
    ///
    /// # Errors
    /// It does not run, or does not answer.
    pub(crate) fn drag(&mut self, member: MemberId, nanos: u64) -> Result<(), Box<dyn Error>> {
        self.process(member)?.ask(&format!("drag {nanos}")).map(drop)
    }

    /// Has a snapshot taken by the leader; returns when all that run have stored it, and where it
    /// stands.
    ///
    /// # Errors
    /// It is not taken, or not stored for long.
    pub(crate) fn take_snapshot(&mut self) -> Result<Position, Box<dyn Error>> {
        let leader = self.leader()?;
        let position = self.process(leader)?.ask("snapshot")?.view("marked");
        self.wait_until("a snapshot is stored", |cluster| {
            // Seldom: each question interrupts a member that is measured.
            thread::sleep(STORED_INTERVAL);
            let statuses = cluster.statuses()?;
            Ok(statuses.values().all(|status| status.view("snapshot") >= position).then_some(()))
        })?;
        Ok(Position(position))
    }

    /// Stops all members that run, and returns the sums of what they counted. Their directories
    /// stay.
    ///
    /// # Errors
    /// A member did not end well.
    pub(crate) fn stop(&mut self) -> Result<BTreeMap<String, u64>, Box<dyn Error>> {
        let mut sums = BTreeMap::new();
        let mut processes = core::mem::take(&mut self.processes);
        for process in processes.values_mut() {
            process.tell("stop")?;
        }
        for (id, process) in processes {
            let report = process.end().map_err(|error| format!("member {id}: {error}"))?;
            for (name, count) in report.counts() {
                *sums.entry(name).or_default() += count;
            }
        }
        Ok(sums)
    }
}
