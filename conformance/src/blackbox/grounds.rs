//! What a script of real processes plays on: hosts, members, clients, and the network between them.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use quorate_core::{GroupTag, MemberId, RecoveryEpoch};
use quorate_sim::Place;

use super::client::RealClient;
use super::clocks::Clocks;
use super::control::Control;
use super::description::{Product, Times, fill};
use super::plan::{Manner, Plan};
use super::process::{Host, Process};
use super::standstill::{Spot, Standstills};
use super::switch::Switch;
use crate::case::{Failure, Verdict};
use crate::stage::{Effect, GROUP, Passing};

/// How often a script looks whether what it waits for has come about.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// How long a script waits for what has to come about, whenever that is.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Of what a script waits for in vain, at least so much has to be standstill that excuses it: one
/// part in so many.
const STANDSTILL_SHARE: u32 = 10;
/// The host of the clients.
const CLIENTS: u8 = 100;

/// Hosts with members on them, none of which runs at first. Dropped, everything ends.
pub struct Grounds {
    members: Vec<Process>,
    // Behind the members: they end before their network.
    clients_host: Host,
    switch: Switch,
    client_start: Vec<String>,
    times: Times,
    standstills: Arc<Standstills>,
}

impl Drop for Grounds {
    fn drop(&mut self) {
        let begun = Instant::now();
        // Who waits for a frozen disk does not die.
        self.members.iter_mut().for_each(Process::thaw);
        self.kill_all();
        self.standstills.waited("all killed members to be gone", begun.elapsed());
    }
}

impl Grounds {
    pub(super) fn new(
        product: &Product,
        plan: &Plan,
        standstills: Arc<Standstills>,
    ) -> Result<Self, Failure> {
        Self::make(product, plan, standstills).map_err(Failure::Harness)
    }

    fn make(product: &Product, plan: &Plan, standstills: Arc<Standstills>) -> Result<Self, String> {
        let Plan { members, seed, folder, disks, manner } = plan;
        let scrub = product.member.scrub.clone().filter(|_| *manner == Manner::Scrubbing);
        let volatile = product.member.volatile.as_ref().filter(|_| *manner == Manner::Volatile);
        let begun = Instant::now();
        fs::create_dir_all(folder).map_err(|error| format!("no folder: {error}"))?;
        let mut wires = BTreeMap::new();
        let mut hosts = Vec::new();
        for id in 1..=*members {
            let (host, wire) = Host::make(address(id as u8))?;
            wires.insert(host.address, (Place::Member(MemberId(id)), wire));
            hosts.push(host);
        }
        let (clients_host, wire) = Host::make(address(CLIENTS))?;
        wires.insert(clients_host.address, (Place::Client(1), wire));
        let tag = GroupTag::new(GROUP, RecoveryEpoch(0));
        let switch = Switch::start(*seed, tag, wires, standstills.meter(Spot::Switch));
        let switch = switch.map_err(|error| format!("cannot start the switch: {error}"))?;
        let each = (1..=*members).map(|id| {
            let address = format!("{}:{}", address(id as u8), product.port);
            fill(&product.member.each, &[("id", id.to_string()), ("address", address)])
        });
        let values = [
            ("here", product.here().display().to_string()),
            ("target", product.target().display().to_string()),
            ("group", format!("{:#018x}", GROUP.0)),
            ("members", each.collect::<Vec<_>>().join(", ")),
            ("scrub", scrub.unwrap_or_default()),
            ("durability", volatile.map(|volatile| volatile.config.clone()).unwrap_or_default()),
        ];
        let mut processes = Vec::new();
        for (host, id) in hosts.into_iter().zip(1..) {
            let disk = disks.get(&id).copied();
            processes.push(Process::prepare(product, folder, (host, id, disk), &values)?);
        }
        standstills.waited("hosts and directories", begun.elapsed());
        let config = processes.first().map(|process| process.config().display().to_string());
        let mut values = values.to_vec();
        values.push(("config", config.unwrap_or_default()));
        let client_start = product.client.start.iter().map(|word| fill(word, &values)).collect();
        Ok(Self {
            members: processes,
            clients_host,
            switch,
            client_start,
            times: product.times,
            standstills,
        })
    }

    pub(super) fn member(&mut self, id: u16) -> &mut Process {
        let index = usize::from(id).wrapping_sub(1);
        assert!(index < self.members.len(), "the script names member {id}, which is not there");
        &mut self.members[index]
    }
}

/// Members.
impl Grounds {
    /// The members' numbers.
    #[must_use]
    pub fn numbers(&self) -> core::ops::RangeInclusive<u16> {
        1..=self.members.len() as u16
    }

    /// Starts all members and waits for a leader.
    ///
    /// # Errors
    /// A member does not start, or nobody comes to lead.
    pub fn settle(&mut self) -> Result<u16, Failure> {
        for id in self.numbers() {
            self.start(id)?;
        }
        self.until("a leader", PATIENCE, |grounds| grounds.leader().is_some())?;
        Ok(self.leader().unwrap_or_default())
    }

    /// Starts a member, unless it runs.
    ///
    /// # Errors
    /// It does not say that it runs.
    pub fn start(&mut self, id: u16) -> Verdict {
        let begun = Instant::now();
        self.member(id).start().map_err(Failure::broken)?;
        self.standstills.waited("a member to start", begun.elapsed());
        if let Some(process) = self.member(id).number() {
            self.standstills.watch(process);
        }
        Ok(())
    }

    /// Starts a member under `strace`, which lets system calls fail or take long: `inject` is its
    /// argument of that name.
    ///
    /// # Errors
    /// It does not say that it runs, or there is no `strace`.
    pub fn start_with_faulty_calls(&mut self, id: u16, inject: &str) -> Verdict {
        can_inject().map_err(Failure::NotApplicable)?;
        let inject = format!("inject={inject}");
        let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject.as_str()];
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.member(id).start_under(&words).map_err(Failure::broken)
    }

    /// Why a member refuses to start now.
    ///
    /// # Errors
    /// It does start.
    pub fn refuses_to_start(&mut self, id: u16) -> Result<String, Failure> {
        match self.member(id).start() {
            Err(reason) => Ok(reason),
            Ok(()) => Err(Failure::broken(format!("member {id} starts, and should not"))),
        }
    }

    /// From now on, or from its first start on, a member's wall clock is so many seconds ahead.
    ///
    /// # Errors
    /// Clocks cannot be bent here.
    pub fn set_wall_clock(&mut self, id: u16, ahead: i64) -> Verdict {
        let clocks = self.member(id).clocks();
        let ahead = ahead.saturating_mul(1_000_000_000);
        clocks.and_then(|clocks| clocks.set_wall(ahead)).map_err(Failure::Harness)
    }

    /// From its next start on, a member's monotonic clock is fast by so many parts of a million.
    ///
    /// # Errors
    /// Clocks cannot be bent here.
    pub fn set_clock_rate(&mut self, id: u16, fast: i64) -> Verdict {
        let clocks = self.member(id).clocks();
        clocks.and_then(|clocks| clocks.set_rate(fast)).map_err(Failure::Harness)
    }

    /// How often a member has looked at clocks that are bent.
    ///
    /// # Errors
    /// Clocks cannot be bent here.
    pub fn looks_at_clocks(&mut self, id: u16) -> Result<u64, Failure> {
        self.member(id).clocks().map(Clocks::calls).map_err(Failure::Harness)
    }

    /// Kills a member.
    pub fn kill(&mut self, id: u16) {
        let begun = Instant::now();
        self.member(id).kill();
        self.standstills.waited("a killed member to be gone", begun.elapsed());
    }

    /// Kills all members as one.
    pub fn kill_all(&mut self) {
        self.members.iter_mut().for_each(Process::kill);
    }

    /// Asks a member to stop, and does not wait for it.
    pub fn ask_to_stop(&mut self, id: u16) {
        self.member(id).signal("TERM");
    }

    /// Asks a member to stop and waits for it; its exit code.
    ///
    /// # Errors
    /// It does not stop in time.
    pub fn stop(&mut self, id: u16, patience: Duration) -> Result<i32, Failure> {
        self.ask_to_stop(id);
        self.ended_with(id, patience)
    }

    /// Waits for the end of a member; its exit code.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn ended_with(&mut self, id: u16, patience: Duration) -> Result<i32, Failure> {
        let code = self.member(id).wait(patience);
        code.ok_or_else(|| Failure::broken(format!("member {id} does not stop in {patience:?}")))
    }

    /// Stops a member's process without its knowledge.
    pub fn pause(&mut self, id: u16) {
        self.member(id).signal("STOP");
    }

    /// Lets a paused process go on.
    pub fn resume(&mut self, id: u16) {
        self.member(id).signal("CONT");
    }

    /// Halts a member's process by its control group, until it is set free: no signal tells it.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn halt(&mut self, id: u16) -> Verdict {
        self.member(id).control(Control::Halt).map_err(Failure::Harness)
    }

    /// Gives a member's process so many hundredths of a processor, until it is set free.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn starve(&mut self, id: u16, hundredths: u64) -> Verdict {
        self.member(id).control(Control::Share(hundredths)).map_err(Failure::Harness)
    }

    /// Lets a process that is halted or starved run as it may; how often it was kept from a
    /// processor.
    pub fn set_free(&mut self, id: u16) -> u64 {
        self.member(id).set_free()
    }

    /// Whether a member's process has ended by itself, or was never started.
    pub fn has_ended(&mut self, id: u16) -> bool {
        self.member(id).has_ended()
    }

    /// What a member has written to its standard error.
    pub fn log_of(&mut self, id: u16) -> String {
        self.member(id).log()
    }

    /// What the kernel has dropped of a member's datagrams: as the member says, and as the kernel
    /// counts on its host.
    ///
    /// # Errors
    /// The product does not tell, or the member does not answer.
    pub fn overflows(&mut self, id: u16) -> Result<(u64, u64), Failure> {
        let member = self.member(id);
        if !member.tells_overflows() {
            let what = "the product's description has no `status_signal` and `overflows`";
            return Err(Failure::NotApplicable(what.into()));
        }
        let told = member.overflows().ok_or_else(|| {
            Failure::broken(format!("member {id} does not say what the kernel has dropped"))
        })?;
        Ok((told, member.host.lost()))
    }

    /// What each descriptor of a member's process is, and how many threads it has.
    ///
    /// # Errors
    /// It does not run.
    pub fn holdings(&mut self, id: u16) -> Result<(Vec<String>, usize), Failure> {
        let held = self.member(id).holdings();
        held.ok_or_else(|| Failure::broken(format!("member {id} does not run")))
    }

    /// The data directory of a member.
    pub fn data_of(&mut self, id: u16) -> PathBuf {
        self.member(id).data.clone()
    }

    /// That directory as the member sees it, whatever disk is mounted there on its host.
    #[cfg(feature = "fault-disks")]
    pub(super) fn seen_by(&mut self, id: u16) -> PathBuf {
        self.member(id).seen()
    }

    /// Gives a small disk so many mebibytes.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn resize_disk(&mut self, id: u16, mebibytes: u64) -> Verdict {
        self.member(id).resize_disk(mebibytes).map_err(Failure::Harness)
    }

    /// Lets a disk that is an image hang: whoever writes to it waits until it is thawed.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn freeze(&mut self, id: u16) -> Verdict {
        self.member(id).freeze().map_err(Failure::Harness)
    }

    /// Lets a frozen disk go on.
    pub fn thaw(&mut self, id: u16) {
        self.member(id).thaw();
    }

    /// A disk that is an image takes no writes any more, as one whose file system has found an
    /// error, until [`Grounds::mend_disk`].
    ///
    /// # Errors
    /// The system refuses it.
    pub fn make_read_only(&mut self, id: u16) -> Verdict {
        self.member(id).make_read_only().map_err(Failure::Harness)
    }

    /// Mounts such a disk anew; the member must not run.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn mend_disk(&mut self, id: u16) -> Verdict {
        self.member(id).mend_disk().map_err(Failure::Harness)
    }

    /// Says that a member's directory was replaced by an older copy of itself: whom it votes for
    /// from now on does not contradict what it has forgotten.
    pub fn is_as_before(&mut self, id: u16) {
        self.switch.shared().onlooker.forget_votes_of(MemberId(id));
    }

    /// Starts a second process on the directory of a member that runs; its exit code, or none when
    /// it still runs after `patience`.
    ///
    /// # Errors
    /// It cannot be started at all.
    pub fn second_process(&mut self, id: u16, patience: Duration) -> Result<Option<i32>, Failure> {
        self.member(id).second(patience).map_err(Failure::Harness)
    }

    /// Who was last heard to lead, in the highest term, if it still speaks.
    #[must_use]
    pub fn leader(&self) -> Option<u16> {
        let now = self.switch.now();
        let (_, member, at) = self.switch.shared().onlooker.newest_leader()?;
        // Not heard for many heartbeats, it is not taken for one.
        let silent_max = self.times.election_min().as_nanos() as u64;
        (now.saturating_sub(at) < silent_max).then_some(member.0)
    }

    /// The highest term that was heard of.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.switch.shared().onlooker.newest_leader().map_or(0, |(term, ..)| term)
    }

    /// How long nobody has led this term, as far as the wire shows it.
    #[must_use]
    pub fn silence_of(&self, term: u64) -> Option<Duration> {
        let now = self.switch.now();
        let at = self.switch.shared().onlooker.heard_in(term)?;
        Some(Duration::from_nanos(now.saturating_sub(at)))
    }

    /// Another member than `id`.
    #[must_use]
    pub fn other_than(&self, id: u16) -> u16 {
        self.numbers().find(|other| *other != id).unwrap_or(id)
    }
}

/// The network.
impl Grounds {
    /// Cuts both directions between two members.
    pub fn part(&mut self, one: u16, other: u16) {
        self.cut(one, other);
        self.cut(other, one);
    }

    /// Cuts one direction between two members.
    pub fn cut(&mut self, from: u16, to: u16) {
        self.switch.shared().wire.cut(Self::place_of(from), Self::place_of(to));
    }

    /// Where a member is, as rules see it.
    #[must_use]
    pub const fn place_of(member: u16) -> Place {
        Place::Member(MemberId(member))
    }

    /// Takes a member's interface down or up.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn interface(&mut self, id: u16, up: bool) -> Verdict {
        self.member(id).host.interface(up).map_err(Failure::Harness)
    }

    /// Takes a rule away; how often it matched.
    pub fn remove_rule(&mut self, number: u32) -> u64 {
        self.switch.shared().wire.remove(number)
    }

    /// Cuts a member from all others; clients still reach it.
    pub fn isolate(&mut self, id: u16) {
        for other in self.numbers().filter(|other| *other != id) {
            self.part(id, other);
        }
    }

    /// Heals all links and takes away all rules.
    pub fn heal_all(&mut self) {
        self.switch.shared().wire.heal_all();
    }

    /// From now on, `effect` is done to each datagram that `filter` wants.
    pub fn rule(
        &mut self,
        effect: Effect,
        filter: impl FnMut(&Passing<'_>) -> bool + Send + 'static,
    ) -> u32 {
        self.switch.shared().wire.add(effect, Box::new(filter))
    }

    /// How many datagrams of a kind were sent so far.
    #[must_use]
    pub fn sent(&self, kind: &str) -> u64 {
        self.switch.shared().seen.get(kind).copied().unwrap_or(0)
    }
}

/// Clients and time.
impl Grounds {
    /// Starts a client process.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn client(&self) -> Result<RealClient, Failure> {
        self.client_with(&[])
    }

    /// The same, with more words behind its command.
    pub(super) fn client_with(&self, more: &[String]) -> Result<RealClient, Failure> {
        let words = [&self.client_start, more].concat();
        RealClient::start(self.clients_host.command(&words)).map_err(Failure::Harness)
    }

    /// Lets real time pass.
    ///
    /// # Errors
    /// The wire showed what must not be.
    pub fn run(&mut self, duration: Duration) -> Verdict {
        std::thread::sleep(duration);
        self.found()
    }

    /// Waits until `holds`.
    ///
    /// # Errors
    /// It does not come about within the time, or the wire showed what must not be.
    pub fn until(
        &mut self,
        what: &str,
        within: Duration,
        mut holds: impl FnMut(&mut Self) -> bool,
    ) -> Verdict {
        let begun = Instant::now();
        let limit = begun + within;
        loop {
            self.found()?;
            if holds(self) {
                self.standstills.waited(what, begun.elapsed());
                return Ok(());
            }
            if Instant::now() > limit {
                let (leader, term) = (self.leader(), self.term());
                let what = format!(
                    "not within {within:?}: {what}; the leader is {leader:?}, the highest term {term}"
                );
                // One standstill does not use up all of it.
                return Err(self.late(what, within / STANDSTILL_SHARE));
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until a client has so many replies.
    ///
    /// # Errors
    /// They do not come within the time.
    pub fn answered(&mut self, client: &mut RealClient, count: usize, within: Duration) -> Verdict {
        let what = format!("{count} replies");
        self.until(&what, within, |_| client.replies().len() >= count)
    }

    /// The time-outs of the product.
    #[must_use]
    pub const fn times(&self) -> Times {
        self.times
    }

    /// Fails with a text, unless the condition holds or the machine stood still: for what holds
    /// only as long as nobody is kept from working for half of an election time-out.
    ///
    /// # Errors
    /// The condition does not hold.
    pub fn timely(&self, holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
        if holds { Ok(()) } else { Err(self.late(otherwise(), Duration::ZERO)) }
    }

    fn late(&self, what: String, total: Duration) -> Failure {
        // One is late by that, and another one too.
        Failure::Late { what, longest: self.times.election_min() / 2, total }
    }

    /// Tells that the script has nothing lost: what this machine's kernel has lost counts as a
    /// disturbance.
    pub fn blame_losses(&self) {
        let hosts = self.members.iter().map(|member| &member.host).chain([&self.clients_host]);
        self.standstills.lost(hosts.map(Host::lost).sum());
    }

    fn found(&self) -> Verdict {
        let shared = self.switch.shared();
        if shared.overrun > 0 {
            return Err(Failure::Harness(format!("the switch lost {} packets", shared.overrun)));
        }
        let broken = shared.onlooker.broken();
        broken.map_or(Ok(()), |text| Err(Failure::broken(text.clone())))
    }
}

/// Whether system calls can be made to fail here.
///
/// # Errors
/// Why not: there is no `strace`, or it may not look into other processes.
pub fn can_inject() -> Result<(), String> {
    let words = ["-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EIO", "true"];
    match Command::new("strace").args(words).stdin(Stdio::null()).output() {
        Err(error) => Err(format!("`strace` cannot be started ({error}); install it")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("`strace` says: {}", said.lines().next().unwrap_or("nothing")))
        }
    }
}

const fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 88, 0, number)
}
