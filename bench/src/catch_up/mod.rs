//! The rung `catch-up`: how fast a member that lost its directory gets everything from the others,
//! from whom, and what is left for the clients meanwhile.

mod flood;

use core::error::Error;
use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant as Clock;

use clap::Args;
use quorate_core::{Limits, MemberId, Position, Timing};

use crate::cluster::{Cluster, ClusterCase, Load, LoadClient, MEMORY_FOLDER, Report, Storage};
use crate::line::Line;
use crate::measure::{MIB, median, mib_per_s};
use crate::progress::Progress;

/// Messages in flight while the log is filled.
const FILL_WINDOW: usize = 256;
/// How long the limit is measured each time.
const FLOOD: Duration = Duration::from_millis(300);
/// How long a load runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(400);

/// How the rung is run.
#[derive(Args, Clone, Debug)]
pub(crate) struct CatchUpOptions {
    /// Members.
    #[arg(long, value_delimiter = ',', default_values_t = [3, 5])]
    members: Vec<u16>,
    /// MiB of log that are written before a member is wiped.
    #[arg(long, default_value_t = 128)]
    log_mib: u64,
    /// MiB of state of the service, where a snapshot is fetched.
    #[arg(long, default_value_t = 64)]
    state_mib: u64,
    /// Messages in flight meanwhile; 0 for none.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 64])]
    window: Vec<usize>,
    /// Seconds that the load is measured before a member is wiped.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Runs of each case; medians are shown.
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Bytes of a message, at least 8.
    #[arg(long, default_value_t = 1_024)]
    payload: usize,
    /// Where the archives are.
    #[arg(long, value_enum, default_value_t = Storage::Memory)]
    storage: Storage,
    /// The folder that they are in [default: `/dev/shm`, or the one for temporary files].
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// What the others have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Holds {
    /// All of the log.
    Log,
    /// A snapshot at three quarters of it, and what is behind one at half of it.
    Snapshot,
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "log",
            Self::Snapshot => "snapshot",
        })
    }
}

/// A case, and what its runs took.
struct Case {
    members: u16,
    holds: Holds,
    window: usize,
    runs: Vec<Run>,
}

struct Run {
    /// From the start of the wiped member until it has applied what was committed then, in seconds.
    took: f64,
    /// Bytes of the log up to there that it had to get.
    log_bytes: u64,
    /// What was sent of snapshots.
    snapshot_bytes: u64,
    /// What the leader, and each of the others, sent of snapshots, and of the log to who asked.
    sent: Shares,
    /// Messages a second that were answered before a member was wiped, and meanwhile.
    per_s: Option<(f64, f64)>,
}

/// Bytes that members sent to another that lagged behind.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shares {
    leader: u64,
    followers: Vec<u64>,
}

impl Shares {
    /// What each member but the wiped one sent between two looks.
    fn between(
        before: &BTreeMap<MemberId, Report>,
        after: &BTreeMap<MemberId, Report>,
        leader: MemberId,
        of: fn(&Report) -> u64,
    ) -> Self {
        let mut shares = Self::default();
        for (id, before) in before {
            let Some(after) = after.get(id) else { continue };
            let sent = of(after).saturating_sub(of(before));
            match *id == leader {
                true => shares.leader = sent,
                false => shares.followers.push(sent),
            }
        }
        shares
    }

    fn sum(&self) -> u64 {
        self.leader + self.followers.iter().sum::<u64>()
    }

    /// What of it the leader sent.
    fn leader_percent(&self) -> f64 {
        self.leader as f64 * 100.0 / self.sum().max(1) as f64
    }

    /// What of it that follower sent that sent most.
    fn most_percent(&self) -> f64 {
        let most = self.followers.iter().copied().max().unwrap_or_default();
        most as f64 * 100.0 / self.sum().max(1) as f64
    }
}

/// What the loopback interface carries, in bytes of slices a second.
#[derive(Default)]
struct Floods {
    in_runs: Vec<f64>,
    singly: Vec<f64>,
}

/// Runs all cases in turn, as often as asked for, and prints their medians.
///
/// # Errors
/// A cluster did not start or serve, or a member did not end well, or did not catch up.
pub(crate) fn run(options: &CatchUpOptions) -> Result<(), Box<dyn Error>> {
    let mut cases = Vec::new();
    for &members in &options.members {
        for holds in [Holds::Log, Holds::Snapshot] {
            let windows = options.window.iter();
            cases.extend(windows.map(|&window| Case { members, holds, window, runs: Vec::new() }));
        }
    }
    let repetitions = options.repetitions.max(1);
    let progress = Progress::begin(cases.len() * repetitions)?;
    let mut limits = Floods::default();
    for _ in 0..repetitions {
        limits.in_runs.push(flood::slice_bytes_per_s(flood::RUN_DATAGRAMS, FLOOD)?);
        limits.singly.push(flood::slice_bytes_per_s(1, FLOOD)?);
        for case in &mut cases {
            let Case { members, holds, window, .. } = case;
            progress.step(format!("{members} members, {holds}, {window} in flight"));
            let run = case.measure(options)?;
            case.runs.push(run);
            progress.done();
        }
    }
    drop(progress);
    limits.print()?;
    for case in &cases {
        case.line(options, &limits).print()?;
    }
    Ok(())
}

impl Case {
    fn cluster(&self, options: &CatchUpOptions) -> ClusterCase {
        let folder = options.folder.clone().unwrap_or_else(|| match options.storage {
            Storage::Memory => MEMORY_FOLDER.into(),
            Storage::Disk => std::env::temp_dir(),
        });
        let mut case = ClusterCase::new(self.members, options.storage, folder, options.payload);
        if self.holds == Holds::Snapshot {
            case.limits.purge_keep_bytes = 0;
            case.state_bytes = (options.state_mib * MIB) as usize;
        }
        case
    }

    /// What all members but the leader and the wiped one may send of repairs in a second.
    fn budget_bytes_per_s(&self) -> f64 {
        let budget = Limits::default().repair_budget_bytes as f64;
        let interval = Timing::default().heartbeat_interval;
        f64::from(self.members.saturating_sub(2)) * budget * 1e9 / interval.0 as f64
    }

    /// Fills the log of a new cluster, wipes a follower, and starts it again.
    fn measure(&self, options: &CatchUpOptions) -> Result<Run, Box<dyn Error>> {
        let mut cluster = Cluster::start(&self.cluster(options))?;
        let mut client = LoadClient::connect(&cluster, u64::from(std::process::id()))?;
        let bytes = options.log_mib * MIB;
        if self.holds == Holds::Snapshot {
            for quarter in [2, 3] {
                client.fill(&mut cluster, FILL_WINDOW, Position(bytes * quarter / 4))?;
                cluster.take_snapshot()?;
            }
        }
        client.fill(&mut cluster, FILL_WINDOW, Position(bytes))?;
        let load = Load::Closed(self.window);
        let before = match self.window {
            0 => None,
            _ => {
                client.go_on(load, WARM_UP)?;
                let span = Duration::from_secs_f64(options.seconds);
                Some(client.go_on(load, span)?.per_s)
            }
        };
        client.settle()?;
        let leader = cluster.leader()?;
        let wiped = cluster.ids().into_iter().rev().find(|&id| id != leader);
        let wiped = wiped.ok_or("a cluster of one has nobody to catch up from")?;
        cluster.kill(wiped);
        cluster.wipe(wiped)?;
        let looked = cluster.statuses()?;
        let target = looked[&leader].view("commit");
        let snapshot = looked.values().map(|status| status.view("snapshot")).max();
        let (took, meanwhile) = match before {
            None => (start_and_await(&mut cluster, wiped, target)?, None),
            Some(_) => {
                let work = || start_and_await(&mut cluster, wiped, target);
                let (took, measured) = client.beside(load, work)?;
                (took, Some(measured.per_s))
            }
        };
        let after = cluster.statuses()?;
        client.settle()?;
        let shares = |of: fn(&Report) -> u64| Shares::between(&looked, &after, leader, of);
        let snapshot_bytes = shares(|status| status.count("snapshot_bytes")).sum();
        let sent = shares(|status| status.count("repair_bytes") + status.count("snapshot_bytes"));
        cluster.stop()?;
        let before_log = snapshot.filter(|_| snapshot_bytes > 0).unwrap_or_default();
        let log_bytes = target.saturating_sub(before_log);
        Ok(Run { took, log_bytes, snapshot_bytes, sent, per_s: before.zip(meanwhile) })
    }

    fn line(&self, options: &CatchUpOptions, limits: &Floods) -> Line {
        let middle = |of: fn(&Run) -> f64| median(self.runs.iter().map(of).collect());
        let mib = |of: fn(&Run) -> f64| middle(of) / MIB as f64;
        let rate = middle(|run| mib_per_s(run.log_bytes + run.snapshot_bytes, run.took));
        let limit = median(limits.in_runs.clone()) / MIB as f64;
        let budget = self.budget_bytes_per_s() / MIB as f64;
        let line = Line::of("catch-up")
            .with("members", self.members)
            .with("holds", self.holds.to_string())
            .with("payload", options.payload)
            .with("window", self.window)
            .with("storage", options.storage.to_string())
            .with_rounded("log_mib", mib(|run| run.log_bytes as f64))
            .with_rounded("snapshot_mib", mib(|run| run.snapshot_bytes as f64))
            .with_rounded("took_ms", middle(|run| run.took) * 1_000.0)
            .with_rounded("mib_per_s", rate)
            .with_rounded("limit_mib_per_s", limit)
            .with_rounded("to_limit", rate / limit)
            .with_rounded("budget_mib_per_s", budget)
            .with_rounded("to_budget", rate / budget)
            .with_rounded("sent_mib", mib(|run| run.sent.sum() as f64))
            .with_rounded("leader_percent", middle(|run| run.sent.leader_percent()))
            .with_rounded("most_percent", middle(|run| run.sent.most_percent()));
        match self.window {
            0 => line,
            _ => {
                let of = |run: &Run| run.per_s.unwrap_or_default();
                let before = median(self.runs.iter().map(|run| of(run).0).collect());
                let meanwhile = median(self.runs.iter().map(|run| of(run).1).collect());
                line.with("per_s_before", before.round())
                    .with("per_s_meanwhile", meanwhile.round())
                    .with_rounded("meanwhile_to_before", meanwhile / before)
            }
        }
    }
}

/// Starts a member; returns how long it takes until it has applied all up to `target`, in seconds.
fn start_and_await(
    cluster: &mut Cluster,
    member: MemberId,
    target: u64,
) -> Result<f64, Box<dyn Error>> {
    let begin = Clock::now();
    cluster.start_member(member)?;
    cluster.wait_until("the wiped member has caught up", |cluster| {
        Ok((cluster.status(member)?.view("applied") >= target).then_some(()))
    })?;
    Ok(begin.elapsed().as_secs_f64())
}

impl Floods {
    fn print(&self) -> Result<(), Box<dyn Error>> {
        for (name, run, values) in [
            ("one sender, one receiver, in runs", flood::RUN_DATAGRAMS, &self.in_runs),
            ("one sender, one receiver, singly", 1, &self.singly),
        ] {
            let line = Line::of("catch-up").with("limit", name).with("run", run);
            let line = line.with("slice_bytes", flood::SLICE_BYTES);
            line.with_rounded("limit_mib_per_s", median(values.clone()) / MIB as f64).print()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_all_that_was_sent() {
        let shares = Shares { leader: 10, followers: vec![30, 40, 20] };
        assert_eq!((shares.leader_percent(), shares.most_percent()), (10.0, 40.0));
        assert_eq!(Shares::default().leader_percent(), 0.0);
    }
}
