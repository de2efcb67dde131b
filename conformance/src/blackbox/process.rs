//! One host and the member process on it.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use super::agent::TUNNEL;
use super::clocks::Clocks;
use super::control::{Control, Group};
use super::description::{Product, fill};
use super::disks::{Disk, Mounted};

/// How long a host, or a member, may take until it is there.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// How often a member's standard error is looked at until it says that it runs.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// How a command ended: its exit code, if it ended in time, and its standard error.
pub(super) type Ended = (Option<i32>, String);

const NO_DISK: &str = "the script asks for a disk that the member does not have";

/// A process that holds the namespaces of a host. The host ends with it.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) address: Ipv4Addr,
    /// Until the host is dropped.
    agent: Option<Child>,
    /// The agent's process.
    number: u32,
}

impl Host {
    /// Makes a host at this address; returns it with the switch's end of its wire.
    pub(super) fn make(address: Ipv4Addr) -> Result<(Self, UnixDatagram), String> {
        let told = |error: std::io::Error| format!("cannot make a host: {error}");
        let (ours, theirs) = UnixDatagram::pair().map_err(told)?;
        let program = std::env::current_exe().map_err(told)?;
        let agent = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private"])
            .arg(program)
            .args(["host-agent", &address.to_string()])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start `unshare`: {error}"))?;
        let number = agent.id();
        let mut host = Self { address, agent: Some(agent), number };
        ours.set_read_timeout(Some(UP_WITHIN)).map_err(told)?;
        let mut word = [0; 8];
        match ours.recv(&mut word) {
            Ok(2) => Ok((host, ours)),
            heard => Err(host.complaint(&format!("{heard:?}"))),
        }
    }

    /// Why the agent is not there.
    fn complaint(&mut self, heard: &str) -> String {
        // It has ended, or never will: what it said is all that there is.
        let mut said = String::new();
        let Some(agent) = &mut self.agent else { return said };
        let _ = agent.kill();
        if let Some(mut stderr) = agent.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut stderr, &mut said);
        }
        format!("the host {} does not come up ({heard}): {}", self.address, said.trim())
    }

    /// Datagrams that this host's kernel has lost so far: receive buffers that were full, and
    /// packets that the tunnel could not hold.
    pub(super) fn lost(&self) -> u64 {
        let read = |name: &str| {
            fs::read_to_string(format!("/proc/{}/net/{name}", self.number)).unwrap_or_default()
        };
        let snmp = read("snmp");
        let mut udp = snmp.lines().filter(|line| line.starts_with("Udp:"));
        let column = |line: &str| line.split_whitespace().position(|word| word == "RcvbufErrors");
        let overflows = udp.next().and_then(column).zip(udp.next());
        let overflows = overflows.and_then(|(at, line)| line.split_whitespace().nth(at));
        let overflows: u64 = overflows.and_then(|word| word.parse().ok()).unwrap_or(0);
        let devices = read("dev");
        // What is sent on the device is column 9 on, the drops are the fourth of that.
        let tunnels = devices.lines().filter(|line| line.trim_start().starts_with(TUNNEL));
        let drops = tunnels.filter_map(|line| line.split_whitespace().nth(12)?.parse::<u64>().ok());
        overflows + drops.sum::<u64>()
    }

    /// Takes the tunnel device down or up.
    pub(super) fn interface(&self, up: bool) -> Result<(), String> {
        let state = if up { "up" } else { "down" };
        self.does(&["ip", "link", "set", TUNNEL, state])
    }

    /// Runs a command on this host to its end.
    pub(super) fn does(&self, words: &[&str]) -> Result<(), String> {
        let owned: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let done = self.command(&owned).stdin(Stdio::null()).output();
        let done = done.map_err(|error| format!("cannot start {words:?}: {error}"))?;
        if done.status.success() {
            return Ok(());
        }
        Err(format!("{words:?} fails: {}", String::from_utf8_lossy(&done.stderr).trim()))
    }

    /// A command that runs on this host.
    pub(super) fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.number.to_string()).args(["--net", "--mount", "--"]);
        command.args(words);
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Whoever is left in the namespaces is a member or a client, and dropped on its own.
        let Some(mut agent) = self.agent.take() else { return };
        let _ = agent.kill();
        // A busy system may take half a minute to unregister the device: nobody waits for that. If
        // no thread can be had, the agent is dead all the same, and its remains go with the suite.
        let _ = thread::Builder::new().name("reaper".into()).spawn(move || agent.wait());
    }
}

/// A member on its host, running or not.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) host: Host,
    config: PathBuf,
    pub(super) data: PathBuf,
    /// Its disk, if that is not the machine's.
    disk: Option<Mounted>,
    log: PathBuf,
    init: Vec<String>,
    start: Vec<String>,
    ready: String,
    /// The signal that asks for the status, and what stands before the kernel's drops there.
    overflows: Option<(String, String)>,
    /// Its clocks, if they are not the machine's.
    clocks: Option<Clocks>,
    running: Option<Child>,
    is_wrapped: bool,
    /// What keeps it from a processor.
    group: Option<Group>,
}

impl Process {
    /// Writes the configuration of a member and prepares its directory.
    pub(super) fn prepare(
        product: &Product,
        folder: &Path,
        (host, id, disk): (Host, u16, Option<Disk>),
        values: &[(&str, String)],
    ) -> Result<Self, String> {
        let data = folder.join(format!("member-{id}"));
        let config = folder.join(format!("member-{id}.toml"));
        let mut values = values.to_vec();
        values.push(("id", id.to_string()));
        values.push(("address", format!("{}:{}", host.address, product.port)));
        values.push(("data", data.display().to_string()));
        values.push(("config", config.display().to_string()));
        let template = product.here().join(&product.member.config);
        let text = fs::read_to_string(&template)
            .map_err(|error| format!("cannot read {}: {error}", template.display()))?;
        fs::write(&config, fill(&text, &values))
            .map_err(|error| format!("cannot write {}: {error}", config.display()))?;
        let disk = disk.map(|disk| Mounted::new(disk, &host, &data)).transpose()?;
        let words = |words: &[String]| words.iter().map(|word| fill(word, &values)).collect();
        let init: Vec<String> = words(&product.member.init);
        let prepared = host.command(&init).output();
        let prepared = prepared.map_err(|error| format!("cannot start {init:?}: {error}"))?;
        if !prepared.status.success() {
            let said = String::from_utf8_lossy(&prepared.stderr);
            return Err(format!("{init:?} fails: {}", said.trim()));
        }
        Ok(Self {
            init,
            start: words(&product.member.start),
            log: folder.join(format!("member-{id}.log")),
            ready: product.member.ready.clone(),
            overflows: product.member.status_signal.clone().zip(product.member.overflows.clone()),
            host,
            config,
            data,
            disk,
            clocks: None,
            running: None,
            is_wrapped: false,
            group: None,
        })
    }

    /// Its directory, seen through its host.
    #[cfg(feature = "fault-disks")]
    pub(super) fn seen(&self) -> PathBuf {
        let path = self.data.strip_prefix("/").unwrap_or(&self.data);
        PathBuf::from(format!("/proc/{}/root", self.host.number)).join(path)
    }

    /// Gives its small disk so many mebibytes.
    pub(super) fn resize_disk(&self, mebibytes: u64) -> Result<(), String> {
        self.disk()?.resize(&self.host, mebibytes)
    }

    /// Lets the disk hang.
    pub(super) fn freeze(&mut self) -> Result<(), String> {
        let disk = self.disk.as_mut().ok_or(NO_DISK)?;
        disk.freeze(&self.host)
    }

    /// Lets the disk go on, if it hangs.
    pub(super) fn thaw(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.thaw(&self.host);
        }
    }

    /// Lets the disk take no more writes.
    pub(super) fn make_read_only(&self) -> Result<(), String> {
        self.disk()?.make_read_only(&self.host)
    }

    /// Mounts the disk anew.
    pub(super) fn mend_disk(&self) -> Result<(), String> {
        self.disk()?.mend(&self.host)
    }

    /// Its disk that fails as it is told.
    #[cfg(feature = "fault-disks")]
    pub(super) fn faulty_disk(&mut self) -> Result<&mut super::faulty::FaultyDisk, String> {
        self.disk.as_mut().and_then(Mounted::faulty).ok_or_else(|| NO_DISK.into())
    }

    fn disk(&self) -> Result<&Mounted, String> {
        self.disk.as_ref().ok_or_else(|| NO_DISK.into())
    }

    /// The member's configuration file.
    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    /// The process, while it runs.
    pub(super) fn number(&self) -> Option<u32> {
        self.running.as_ref().map(Child::id)
    }

    /// Starts the member, unless it runs, and waits until it says so.
    pub(super) fn start(&mut self) -> Result<(), String> {
        self.start_under(&[])
    }

    /// Starts the member under another program, such as one that lets system calls fail.
    pub(super) fn start_under(&mut self, wrapper: &[String]) -> Result<(), String> {
        if self.running.is_some() {
            return Ok(());
        }
        let shown = self.log.display().to_string();
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.map_err(|error| format!("cannot write {shown}: {error}"))?;
        let begin = log.metadata().map_or(0, |metadata| metadata.len()) as usize;
        let words: Vec<String> = wrapper.iter().chain(&self.start).cloned().collect();
        let mut command = self.host.command(&words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(log));
        if let Some(clocks) = &self.clocks {
            clocks.bend(&mut command);
        }
        let child = command.spawn();
        self.is_wrapped = !wrapper.is_empty();
        self.running = Some(child.map_err(|error| format!("cannot start {words:?}: {error}"))?);
        let limit = Instant::now() + UP_WITHIN;
        loop {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            let said = said.get(begin..).unwrap_or_default();
            if said.contains(&self.ready) {
                return Ok(());
            }
            if self.has_ended() || Instant::now() > limit {
                self.kill();
                return Err(format!("a member does not start: {}", said.trim()));
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Its clocks, from its next start on.
    pub(super) fn clocks(&mut self) -> Result<&Clocks, String> {
        if self.clocks.is_none() {
            self.clocks = Some(Clocks::new(&self.data)?);
        }
        self.clocks.as_ref().ok_or_else(|| "a member without clocks".into())
    }

    /// Keeps the running process from a processor, until [`Process::set_free`].
    pub(super) fn control(&mut self, control: Control) -> Result<(), String> {
        self.set_free();
        let process = self.number().ok_or("a member that does not run cannot be controlled")?;
        self.group = Some(Group::of(process, control)?);
        Ok(())
    }

    /// Lets the process run as it may; how often it was kept from a processor until now.
    pub(super) fn set_free(&mut self) -> u64 {
        self.group.take().map_or(0, |group| group.throttled())
    }

    /// Whether the process has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        match &mut self.running {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => true,
        }
    }

    /// Kills the process with SIGKILL.
    pub(super) fn kill(&mut self) {
        let wrapped = self.wrapped();
        self.signal("KILL");
        if let Some(mut child) = self.running.take() {
            // A stopped process dies of it too. That it is gone already is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.set_free();
        // A wrapper that is gone says nothing of the member, which holds its files until it is too.
        let limit = Instant::now() + UP_WITHIN;
        let count = |number: &str, what: &str| {
            fs::read_dir(format!("/proc/{number}/{what}")).map_or(0, Iterator::count)
        };
        while let Some(number) = &wrapped
            && (count(number, "task") > 1 || count(number, "fd") > 0)
            && Instant::now() < limit
        {
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// The member's process, if it runs under another program: that one's child.
    fn wrapped(&self) -> Option<String> {
        let id = self.running.as_ref().filter(|_| self.is_wrapped)?.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        children.unwrap_or_default().split_whitespace().next().map(ToOwned::to_owned)
    }

    /// Sends a signal by its name, such as `STOP`, `CONT` or `TERM`.
    pub(super) fn signal(&self, name: &str) {
        let Some(child) = &self.running else { return };
        // nsenter replaces itself by the member, or by what wraps it: then the member is its child,
        // which outlives a wrapper that is killed.
        let target = self.wrapped().unwrap_or_else(|| child.id().to_string());
        // That it is gone already is no matter.
        let arguments = [format!("-{name}"), target];
        let _ = Command::new("kill").args(arguments).stderr(Stdio::null()).status();
    }

    /// Asks for the member's status: a line in which `word` stands; none while it has not answered.
    #[cfg(feature = "fault-disks")]
    pub(super) fn status(&self, signal: &str, word: &str) -> Option<String> {
        let seen = self.log().len();
        self.signal(signal);
        let limit = Instant::now() + UP_WITHIN;
        while Instant::now() < limit {
            let log = self.log();
            let whole = log.get(seen..).and_then(|said| said.rsplit_once('\n'));
            let mut lines = whole.into_iter().flat_map(|(whole, _)| whole.lines());
            if let Some(line) = lines.find(|line| line.contains(word)) {
                return Some(line.to_owned());
            }
            thread::sleep(LOOK_INTERVAL);
        }
        None
    }

    /// Asks for the member's status: what the kernel has dropped of its datagrams, as it says; none
    /// while it has not answered, or if it does not say.
    pub(super) fn overflows(&self) -> Option<u64> {
        let (signal, before) = self.overflows.as_ref()?;
        let seen = self.log().len();
        self.signal(signal);
        let limit = Instant::now() + UP_WITHIN;
        while Instant::now() < limit {
            let log = self.log();
            let said = log.get(seen..).and_then(|said| said.split_once(before.as_str()));
            let digits = said.map(|(_, behind)| behind.trim_start());
            let digits =
                digits.filter(|behind| behind.contains(|next: char| !next.is_ascii_digit()));
            if let Some(behind) = digits {
                let end = behind.find(|next: char| !next.is_ascii_digit()).unwrap_or(0);
                return behind[..end].parse().ok();
            }
            thread::sleep(LOOK_INTERVAL);
        }
        None
    }

    /// Whether the product's status has the kernel's drops.
    pub(super) const fn tells_overflows(&self) -> bool {
        self.overflows.is_some()
    }

    /// What each descriptor of the running process is, sorted, and how many threads it has.
    pub(super) fn holdings(&self) -> Option<(Vec<String>, usize)> {
        let id = self.number()?;
        let entries = |what: &str| fs::read_dir(format!("/proc/{id}/{what}")).ok();
        let targets = entries("fd")?.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        let mut targets: Vec<String> = targets.map(|path| path.display().to_string()).collect();
        targets.sort();
        Some((targets, entries("task")?.count()))
    }

    /// Waits for the end of a process that was asked to stop; its exit code.
    pub(super) fn wait(&mut self, patience: Duration) -> Option<i32> {
        let limit = Instant::now() + patience;
        while Instant::now() < limit {
            if let Some(child) = &mut self.running
                && let Ok(Some(status)) = child.try_wait()
            {
                self.running = None;
                return Some(status.code().unwrap_or(-1));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        None
    }

    /// Starts a second process on the same directory; its exit code if it ends in time.
    pub(super) fn second(&self, patience: Duration) -> Result<Option<i32>, String> {
        Ok(self.does(&self.start, patience)?.0)
    }

    /// Prepares the directory again; exit code and complaint.
    pub(super) fn init_again(&self) -> Result<Ended, String> {
        self.does(&self.init, UP_WITHIN)
    }

    /// Prepares a directory of a member, or starts it, with another file as its configuration; exit
    /// codes and complaints of both.
    pub(super) fn with_config(&self, config: &Path) -> Result<[Ended; 2], String> {
        let (own, other) = (self.config.display().to_string(), config.display().to_string());
        let words = |words: &[String]| -> Vec<String> {
            words.iter().map(|word| word.replace(&own, &other)).collect()
        };
        let prepared = self.does(&words(&self.init), UP_WITHIN)?;
        Ok([prepared, self.does(&words(&self.start), UP_WITHIN)?])
    }

    /// Runs a command of the product on this host; killed when it has not ended in time.
    fn does(&self, words: &[String], patience: Duration) -> Result<Ended, String> {
        let said = self.log.with_extension("said");
        let file = File::create(&said).map_err(|error| format!("{}: {error}", said.display()))?;
        let mut command = self.host.command(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(file));
        let mut child =
            command.spawn().map_err(|error| format!("cannot start {words:?}: {error}"))?;
        let limit = Instant::now() + patience;
        let mut code = None;
        while code.is_none() && Instant::now() < limit {
            thread::sleep(LOOK_INTERVAL);
            code = child.try_wait().ok().flatten().map(|status| status.code().unwrap_or(-1));
        }
        // That it has ended already is what is wanted.
        let _ = child.kill();
        let _ = child.wait();
        Ok((code, fs::read_to_string(&said).unwrap_or_default()))
    }

    /// What the member has written to its standard error, in all lives.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
