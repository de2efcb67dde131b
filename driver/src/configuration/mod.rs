//! The configuration file of a member.
//!
//! ```toml
//! group = "0x51d0a7e5c0ffee42"      # any number of 64 bits, the same for all members
//! member = 1                        # which of the members this is
//! data = "member-1"                 # its directory, relative to this file
//! security = "checksum-only"        # has to be said: sealing does not exist yet
//! durability = "durable"            # or "volatile": committed is what a quorum has in memory;
//!                                   # the same for all members
//! checkpoint_interval = "1s"        # only of a volatile one: how often it syncs its log
//! stop_timeout = "60s"              # only of a volatile one: how long a stop waits for its disk to
//!                                   # complete something
//! members = [
//!     { id = 1, address = "192.0.2.1:9001" },
//!     { id = 2, address = "192.0.2.2:9001" },
//!     { id = 3, address = "192.0.2.3:9001" },
//! ]
//!
//! [timing]                          # optional, as is each of its keys
//! heartbeat_interval = "20ms"
//!
//! [limits]                          # optional, as is each of its keys
//! window_bytes = 16777216
//!
//! [scrub]                           # optional, as is each of its keys
//! bytes_per_second = 4194304        # of what is stored, read again to find what has rotted
//! interval = "3600s"                # between the end of a pass and the next
//!
//! [snapshots]                       # optional, as is its key
//! bytes_per_second = 33554432       # of a service's state, written while it goes on; at least
//!                                   # 65536, or 0: no limit
//!
//! [faults]                          # only to try out what the group bears
//! loss_percent = 5
//! ```

mod checks;
mod members;
mod section;

use core::fmt;
use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use quorate_core::config::Lease;
use quorate_core::{
    Durability, Duration, GroupId, Limits, MemberConfig, MemberId, RecoveryEpoch, Timing,
};
use toml::{Table, Value};

use self::members::{Members, read_address, read_members};
use self::section::Section;
use crate::endpoint::endpoint_of;
use crate::faults::Faults;
use crate::member_host::STOP_TIMEOUT;
use crate::storage::{Scrubbing, SnapshotWriting};

/// A member's configuration, checked.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The group.
    pub group: GroupId,
    /// This member.
    pub member: MemberId,
    /// All members, this one included, and where they are reached.
    pub members: BTreeMap<MemberId, SocketAddr>,
    /// Where this member's socket is bound; its own address among `members` unless given.
    pub bind: SocketAddr,
    /// The directory of the member's data.
    pub data: PathBuf,
    /// Time-outs and intervals.
    pub timing: Timing,
    /// Sizes and counts.
    pub limits: Limits,
    /// What it takes that a message is committed: the same for all members.
    pub durability: Durability,
    /// How long a member of a volatile group that stops waits for its disk to complete something
    /// more of what it has promised; a minute unless given.
    pub stop_timeout: Duration,
    /// How what is stored is read again.
    pub scrubbing: Scrubbing,
    /// How this member's own snapshots are written.
    pub snapshots: SnapshotWriting,
    /// Deliberate faults, when there is such a section.
    pub faults: Option<Faults>,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The key, with its section.
    pub key: String,
    /// Its value as written; `None` when it is missing.
    pub value: Option<String>,
    /// What is wrong with it.
    pub reason: String,
    /// What to do.
    pub fix: String,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error("the configuration {} cannot be read: {source}; check --config", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not TOML.
    #[error("the configuration{} is not valid TOML: {reason}", place(path.as_deref()))]
    Syntax {
        /// Which file; `None` for a text that is from none.
        path: Option<PathBuf>,
        /// Where the text is wrong, and how.
        reason: String,
    },
    /// Values are wrong; all of them are listed.
    #[error(
        "the configuration{} has {} problem{}:{}",
        place(path.as_deref()),
        problems.len(),
        if problems.len() == 1 { "" } else { "s" },
        lines(problems)
    )]
    Problems {
        /// Which file; `None` for a text that is from none.
        path: Option<PathBuf>,
        /// What is wrong.
        problems: Vec<Problem>,
    },
}

fn place(path: Option<&Path>) -> String {
    path.map(|path| format!(" {}", path.display())).unwrap_or_default()
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  - {problem}")).collect()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, reason, fix } = self;
        match value {
            Some(value) => write!(f, "`{key} = {value}` {reason}; {fix}"),
            None => write!(f, "`{key}` {reason}; {fix}"),
        }
    }
}

impl Configuration {
    /// Reads and checks the file at `path`. A relative `data` is relative to the file's folder.
    ///
    /// # Errors
    /// [`ConfigurationError`], with all problems at once.
    pub fn load(path: &Path) -> Result<Self, ConfigurationError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigurationError::Unreadable { path: path.into(), source })?;
        let mut configuration = Self::parse_file(&text, Some(path))?;
        if let Some(folder) = path.parent() {
            configuration.data = folder.join(&configuration.data);
        }
        Ok(configuration)
    }

    /// Checks the text of a configuration.
    ///
    /// # Errors
    /// [`ConfigurationError::Syntax`], or [`ConfigurationError::Problems`] with all of them.
    pub fn parse(text: &str) -> Result<Self, ConfigurationError> {
        Self::parse_file(text, None)
    }

    fn parse_file(text: &str, path: Option<&Path>) -> Result<Self, ConfigurationError> {
        let path = || path.map(Path::to_path_buf);
        let table: Table = text.parse().map_err(|error| ConfigurationError::Syntax {
            path: path(),
            reason: format!("{error}"),
        })?;
        let mut problems = Vec::new();
        let configuration = Self::read(&table, &mut problems);
        if problems.is_empty() {
            Ok(configuration)
        } else {
            Err(ConfigurationError::Problems { path: path(), problems })
        }
    }

    /// Writes the shortest file that says the same, for a program that starts members.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let members = self.members.iter().map(|(id, address)| {
            let mut member = Table::new();
            member.insert("id".into(), i64::from(id.0).into());
            member.insert("address".into(), address.to_string().into());
            Value::Table(member)
        });
        let mut file = Table::new();
        file.insert("group".into(), format!("{:#018x}", self.group.0).into());
        file.insert("member".into(), i64::from(self.member.0).into());
        file.insert("members".into(), Value::Array(members.collect()));
        file.insert("data".into(), self.data.display().to_string().into());
        file.insert("bind".into(), self.bind.to_string().into());
        file.insert("security".into(), CHECKSUM_ONLY.into());
        self.write_durability(&mut file);
        let (mut timing, mut limits) = (Table::new(), Table::new());
        let (mut default_timing, mut default_limits) = (Timing::default(), Limits::default());
        let (mut own_timing, mut own_limits) = (self.timing.clone(), self.limits.clone());
        let spans = durations(&mut own_timing).into_iter().zip(durations(&mut default_timing));
        for ((key, own), (_, default)) in spans {
            if own != default {
                timing.insert(key.into(), section::duration_text(*own).into());
            }
        }
        if let Some(Lease { drift_per_mille }) = self.timing.lease {
            timing.insert(LEASE_DRIFT.into(), i64::from(drift_per_mille).into());
        }
        let counts = integers(&mut own_limits).into_iter().zip(integers(&mut default_limits));
        for (own, default) in counts {
            if own.value() != default.value() {
                limits.insert(own.key().into(), own.value().cast_signed().into());
            }
        }
        let scrub = scrub_table(self.scrubbing);
        let mut snapshots = Table::new();
        let SnapshotWriting { bytes_per_second } = self.snapshots;
        if self.snapshots != SnapshotWriting::default() {
            snapshots.insert("bytes_per_second".into(), bytes_per_second.cast_signed().into());
        }
        let sections = [("timing", timing), ("limits", limits), ("scrub", scrub)];
        for (name, section) in sections.into_iter().chain([("snapshots", snapshots)]) {
            if !section.is_empty() {
                file.insert(name.into(), Value::Table(section));
            }
        }
        if let Some(faults) = &self.faults {
            let mut section = Table::new();
            section.insert("loss_percent".into(), faults.loss_percent.into());
            section.insert("duplicate_percent".into(), faults.duplicate_percent.into());
            section.insert("reorder_percent".into(), faults.reorder_percent.into());
            section.insert("seed".into(), (faults.seed & (u64::MAX >> 1)).cast_signed().into());
            file.insert("faults".into(), Value::Table(section));
        }
        file.to_string()
    }

    fn write_durability(&self, file: &mut Table) {
        if let Some(interval) = self.durability.checkpoint_interval() {
            file.insert("durability".into(), VOLATILE.into());
            file.insert(CHECKPOINT_INTERVAL.into(), section::duration_text(interval).into());
            if self.stop_timeout != STOP_TIMEOUT {
                file.insert(
                    "stop_timeout".into(),
                    section::duration_text(self.stop_timeout).into(),
                );
            }
        }
    }

    /// What the core is told, with a seed for this life.
    #[must_use]
    pub fn member_config(&self, seed: u64) -> MemberConfig {
        let endpoints = self.members.iter().map(|(id, address)| (*id, endpoint_of(*address)));
        MemberConfig {
            group: self.group,
            recovery_epoch: RecoveryEpoch(0),
            durability: self.durability,
            member: self.member,
            voters: endpoints.collect(),
            joins: false,
            seed,
            timing: self.timing.clone(),
            limits: self.limits.clone(),
        }
    }

    /// Reads what is right, notes what is not, and lets something stand in for that, so that the
    /// rest can be checked all the same.
    fn read(table: &Table, problems: &mut Vec<Problem>) -> Self {
        let mut file = Section::root(table, problems);
        let group = file
            .required("group", "a number of 64 bits, the same for all members")
            .and_then(|value| read_group(&mut file, value));
        let member = file
            .required("member", "the id of one of the members, such as 1")
            .and_then(|value| file.number("member", value, 1, u64::from(u16::MAX)))
            .and_then(|member| u16::try_from(member).ok())
            .map(MemberId);
        let data = file
            .required("data", "the directory of this member's data, such as \"member-1\"")
            .and_then(|value| file.text("data", value));
        read_security(&mut file);
        let durability = read_durability(&mut file);
        let stop_timeout = read_stop_timeout(&mut file, durability);
        let Members { addresses: members, complete } = read_members(&mut file);
        let bind = file.optional("bind").and_then(|value| read_address(&mut file, "bind", value));
        let bind = bind.or_else(|| members.get(&member?).copied());
        if let Some(bind) = bind {
            members::check_families(&mut file, bind, &members);
        }
        let mut timing = Timing::default();
        if let Some(mut section) = file.section("timing") {
            for (key, span) in durations(&mut timing) {
                section.duration_into(key, span);
            }
            read_lease(&mut section, &mut timing);
            section.finish();
        }
        let mut limits = Limits::default();
        if let Some(mut section) = file.section("limits") {
            for integer in integers(&mut limits) {
                section.integer_into(integer);
            }
            section.finish();
        }
        let scrubbing = file.section("scrub").map(read_scrub).unwrap_or_default();
        let snapshots = file.section("snapshots").map(read_snapshots).unwrap_or_default();
        let faults = file.section("faults").map(read_faults);
        file.finish();
        let unbound = SocketAddr::from(([0, 0, 0, 0], 0));
        let configuration = Self {
            group: group.unwrap_or(GroupId(0)),
            member: member.unwrap_or(MemberId(0)),
            members,
            bind: bind.unwrap_or(unbound),
            data: data.unwrap_or_default().into(),
            timing,
            limits,
            durability,
            stop_timeout,
            scrubbing,
            snapshots,
            faults,
        };
        configuration.check(member.is_some() && complete, problems);
        configuration
    }
}

const CHECKSUM_ONLY: &str = "checksum-only";

fn read_security(file: &mut Section<'_>) {
    let fix = "write `security = \"checksum-only\"` to accept that, on an isolated network only";
    let unsealed = "datagrams are not sealed yet: anybody who reaches the port can read and forge";
    match file.optional("security") {
        Some(Value::String(security)) if security == CHECKSUM_ONLY => {}
        Some(value) => {
            file.problem("security", Some(value), &format!("is not there: {unsealed}"), fix)
        }
        None => file.problem("security", None, &format!("is missing: {unsealed}"), fix),
    }
}

const VOLATILE: &str = "volatile";
const CHECKPOINT_INTERVAL: &str = "checkpoint_interval";
const CHECKPOINT_INTERVAL_DEFAULT: Duration = Duration::from_millis(1_000);

fn read_durability(file: &mut Section<'_>) -> Durability {
    let is_volatile = match file.optional("durability") {
        None => false,
        Some(Value::String(level)) if level == "durable" => false,
        Some(Value::String(level)) if level == VOLATILE => true,
        Some(value) => {
            let fix = "write \"durable\" or \"volatile\", or remove it for \"durable\"";
            file.problem("durability", Some(value), "is no durability level", fix);
            return Durability::Durable;
        }
    };
    let mut checkpoint_interval = CHECKPOINT_INTERVAL_DEFAULT;
    match file.optional(CHECKPOINT_INTERVAL) {
        Some(value) if !is_volatile => {
            let reason = "is of no use in a durable group, which syncs all the time";
            let fix = "remove it, or write `durability = \"volatile\"`";
            file.problem(CHECKPOINT_INTERVAL, Some(value), reason, fix);
        }
        _ => file.duration_into(CHECKPOINT_INTERVAL, &mut checkpoint_interval),
    }
    match is_volatile {
        true => Durability::Volatile { checkpoint_interval },
        false => Durability::Durable,
    }
}

fn read_stop_timeout(file: &mut Section<'_>, durability: Durability) -> Duration {
    let (key, mut timeout) = ("stop_timeout", STOP_TIMEOUT);
    match file.optional(key) {
        Some(value) if !durability.is_volatile() => {
            let reason = "is of no use in a durable group, whose members owe their disks nothing";
            file.problem(key, Some(value), reason, "remove it");
        }
        _ => file.duration_into(key, &mut timeout),
    }
    timeout
}

const LEASE_DRIFT: &str = "lease_drift_per_mille";

/// Leases are off unless it is said by how much clocks may run apart.
fn read_lease(timing: &mut Section<'_>, into: &mut Timing) {
    let mut drift_per_mille = 0;
    if timing.optional(LEASE_DRIFT).is_some() {
        timing.integer_into(Integer::U32(LEASE_DRIFT, &mut drift_per_mille));
        into.lease = Some(Lease { drift_per_mille });
    }
}

fn read_group(file: &mut Section<'_>, value: &Value) -> Option<GroupId> {
    let group = match value {
        Value::String(text) => {
            u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
        }
        Value::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    if group.is_none() {
        let reason = "is not a number of 64 bits";
        file.problem("group", Some(value), reason, "write up to 16 hexadecimal digits in quotes");
    }
    group.map(GroupId)
}

fn read_scrub(mut section: Section<'_>) -> Scrubbing {
    let mut scrubbing = Scrubbing::default();
    section.integer_into(Integer::U64("bytes_per_second", &mut scrubbing.bytes_per_second));
    section.duration_into("interval", &mut scrubbing.interval);
    section.finish();
    scrubbing
}

fn read_snapshots(mut section: Section<'_>) -> SnapshotWriting {
    let (mut writing, key) = (SnapshotWriting::default(), "bytes_per_second");
    section.integer_into(Integer::U64(key, &mut writing.bytes_per_second));
    if !writing.ends() {
        let value = section.optional(key);
        let fix =
            format!("write at least {}, or 0 for no limit", SnapshotWriting::BYTES_PER_SECOND_MIN);
        section.problem(key, value, "is so little that a snapshot would hardly ever end", &fix);
    }
    section.finish();
    writing
}

/// What a file has to say for these settings.
fn scrub_table(scrubbing: Scrubbing) -> Table {
    let (mut table, default) = (Table::new(), Scrubbing::default());
    let Scrubbing { bytes_per_second, interval } = scrubbing;
    if bytes_per_second != default.bytes_per_second {
        table.insert("bytes_per_second".into(), bytes_per_second.cast_signed().into());
    }
    if interval != default.interval {
        table.insert("interval".into(), section::duration_text(interval).into());
    }
    table
}

fn read_faults(mut section: Section<'_>) -> Faults {
    let mut faults = Faults::default();
    section.percent_into("loss_percent", &mut faults.loss_percent);
    section.percent_into("duplicate_percent", &mut faults.duplicate_percent);
    section.percent_into("reorder_percent", &mut faults.reorder_percent);
    if let Some(value) = section.optional("seed") {
        faults.seed = section.number("seed", value, 0, i64::MAX as u64).unwrap_or(0);
    }
    section.finish();
    faults
}

fn durations(timing: &mut Timing) -> [(&'static str, &mut Duration); 13] {
    [
        ("heartbeat_interval", &mut timing.heartbeat_interval),
        ("heartbeat_first", &mut timing.heartbeat_first),
        ("election_timeout_min", &mut timing.election_timeout_min),
        ("election_timeout_max", &mut timing.election_timeout_max),
        ("nak_delay", &mut timing.nak_delay),
        ("nak_retry", &mut timing.nak_retry),
        ("repair_linger", &mut timing.repair_linger),
        ("progress_timeout", &mut timing.progress_timeout),
        ("session_timeout", &mut timing.session_timeout),
        ("peer_record_interval", &mut timing.peer_record_interval),
        ("stall_timeout", &mut timing.stall_timeout),
        ("candidacy_delay", &mut timing.candidacy_delay),
        ("log_age_max", &mut timing.log_age_max),
    ]
}

/// A whole number of [`Limits`], of whichever width.
#[derive(Debug)]
pub(crate) enum Integer<'a> {
    /// Bytes.
    U64(&'static str, &'a mut u64),
    /// Bytes of something small.
    U32(&'static str, &'a mut u32),
    /// A count.
    Usize(&'static str, &'a mut usize),
}

impl Integer<'_> {
    pub(crate) const fn key(&self) -> &'static str {
        match self {
            Self::U64(key, _) | Self::U32(key, _) | Self::Usize(key, _) => key,
        }
    }

    pub(crate) fn value(&self) -> u64 {
        match self {
            Self::U64(_, value) => **value,
            Self::U32(_, value) => u64::from(**value),
            Self::Usize(_, value) => **value as u64,
        }
    }
}

fn integers(limits: &mut Limits) -> [Integer<'_>; 21] {
    use Integer::{U32, U64, Usize};
    [
        U64("window_bytes", &mut limits.window_bytes),
        U32("message_bytes_max", &mut limits.message_bytes_max),
        U64("uncommitted_bytes_max", &mut limits.uncommitted_bytes_max),
        U64("unapplied_bytes_max", &mut limits.unapplied_bytes_max),
        U32("slice_bytes", &mut limits.slice_bytes),
        U64("run_bytes_max", &mut limits.run_bytes_max),
        Usize("coverage_ranges_max", &mut limits.coverage_ranges_max),
        U64("repair_request_bytes_max", &mut limits.repair_request_bytes_max),
        U64("repair_budget_bytes", &mut limits.repair_budget_bytes),
        Usize("reads_max", &mut limits.reads_max),
        U64("read_bytes_max", &mut limits.read_bytes_max),
        Usize("apply_batch_max", &mut limits.apply_batch_max),
        Usize("sessions_max", &mut limits.sessions_max),
        U64("session_window_bytes", &mut limits.session_window_bytes),
        Usize("in_flight_max", &mut limits.in_flight_max),
        U32("reply_bytes_max", &mut limits.reply_bytes_max),
        Usize("timers_max", &mut limits.timers_max),
        U64("snapshot_interval_bytes", &mut limits.snapshot_interval_bytes),
        U64("purge_keep_bytes", &mut limits.purge_keep_bytes),
        U64("log_bytes_max", &mut limits.log_bytes_max),
        Usize("queries_max", &mut limits.queries_max),
    ]
}

#[cfg(test)]
mod tests;
