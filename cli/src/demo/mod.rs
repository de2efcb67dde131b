//! `quorate demo`: a cluster of processes on this machine, its leader killed, nothing lost.

mod cluster;
mod hardships;
mod input;
mod load;
mod summary;

use core::time::Duration;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use quorate_core::client::{ClientConfig, ClientLimits, ClientTiming};
use quorate_core::{ClientKey, RecoveryEpoch};
use quorate_driver::{ClientHandle, ClientOptions, SubmitError, endpoint_of};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use self::cluster::{Cluster, faults};
use self::hardships::Hardships;
use self::input::Input;
use self::load::{Gauge, Measured, send_all};
use self::summary::Summary;
use crate::arguments;
use crate::failure::{Failure, tell_line};
use crate::report::{MemberReport, digest_text};
use crate::signals::Signals;

/// How often the members are asked how they are.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long the bundled text may take at worst; larger ones a second more for each 5,000 lines.
const TIMEOUT: Duration = Duration::from_secs(34);
/// In smaller groups the others cannot readmit a follower.
const WIPE_MEMBERS_MIN: u16 = 3;
/// How long the client may look for a leader.
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);

/// Runs the demonstration and tells its result.
pub(crate) async fn run(arguments: arguments::Demo) -> Result<(), Failure> {
    if arguments.wipe_follower && arguments.members < WIPE_MEMBERS_MIN {
        let members = arguments.members;
        return Err(Failure::Usage(format!(
            "--wipe-follower takes at least {WIPE_MEMBERS_MIN} members, not {members}: a majority \
             of the others has to readmit one"
        )));
    }
    let input = Input::read(arguments.input.as_deref())?;
    // From here on a signal does not end the process at once: what was made is removed first.
    let mut signals = Signals::listen()?;
    let directory = Directory::new(arguments.data.as_deref())?;
    let mut cluster = Cluster::prepare(directory.path(), &arguments)?;
    let mut summary = Summary {
        lines: input.len(),
        runtime: arguments.runtime.name(),
        digest: digest_text(&input.expected),
        ..Summary::default()
    };
    let limit = TIMEOUT + Duration::from_secs(input.len() as u64 / 5_000);
    let replicated = timeout(limit, replicate(&mut cluster, &input, &arguments, &mut summary));
    let outcome = tokio::select! {
        biased;
        signal = signals.next() => {
            cluster.stop().await;
            return Err(directory.interrupted(signal));
        }
        outcome = replicated => outcome,
    };
    let outcome = outcome.unwrap_or_else(|_| {
        let seconds = limit.as_secs();
        Err(Failure::Failed(format!("not done within {seconds} seconds")))
    });
    if let Err(failure) = outcome {
        summary.problems.push(failure.to_string());
        // Why the client was not served, for one, the members know.
        summary.problems.extend(cluster.complaints());
    }
    let [elections, naks, retransmits, lost_datagrams] = cluster.totals();
    summary.elections += elections;
    summary.naks += naks;
    summary.retransmits += retransmits;
    summary.lost_datagrams += lost_datagrams;
    summary.judge(cluster.reports());
    cluster.stop().await;
    if !summary.ok {
        summary.problems.push(format!("the members' data is in {}", directory.keep().display()));
    }
    if arguments.json {
        let object = serde_json::to_string(&summary);
        tell_line(object.map_err(|error| Failure::failed("cannot write the result", error))?);
    } else {
        tell_line(&summary);
    }
    if summary.ok { Ok(()) } else { Err(Failure::Told) }
}

/// From the first process to the last line applied everywhere.
async fn replicate(
    cluster: &mut Cluster,
    input: &Input,
    arguments: &arguments::Demo,
    summary: &mut Summary,
) -> Result<(), Failure> {
    cluster.start()?;
    let (group, members) = cluster.group()?;
    let config = ClientConfig {
        group,
        recovery_epoch: RecoveryEpoch(0),
        key: ClientKey(0),
        members: members.iter().map(|(id, address)| (*id, endpoint_of(*address))).collect(),
        seed: 0,
        timing: ClientTiming {
            give_up_after: quorate_core::Duration::from_millis(GIVE_UP_AFTER.as_millis() as u64),
            ..ClientTiming::default()
        },
        limits: ClientLimits::default(),
    };
    let loss = arguments.loss;
    let options = ClientOptions {
        config,
        bind: Some(([127, 0, 0, 1], 0).into()),
        faults: (loss > 0.0).then(|| faults(loss, 0xc11e_4700)),
    };
    let client = arguments
        .runtime
        .of_client()
        .spawn_client(options)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let worked = async {
        while cluster.leader().await?.is_none() {
            client.status().await.map_err(|error| Failure::Failed(error.to_string()))?;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        under_load(cluster, input, arguments, &client, summary).await
    };
    let measured = match worked.await {
        Ok(measured) => measured,
        Err(failure) => return Err(cause(client, failure).await),
    };
    summary.measured(&measured);
    let status = client.status().await.map_err(|error| Failure::Failed(error.to_string()))?;
    summary.naks += status.counters.naks_sent;
    summary.retransmits += status.counters.repairs_sent;
    summary.lost_datagrams += status.faults.dropped;
    client.close().await.map_err(|error| Failure::failed("the session did not end", error))?;
    until_level(cluster, input.expected.entries()).await
}

/// Why the client ended, if that is behind `failure`.
async fn cause(client: ClientHandle, failure: Failure) -> Failure {
    if client.status().await.is_ok() {
        return failure;
    }
    match client.close().await {
        Err(SubmitError::Ended(cause)) => Failure::failed("the client ended", cause),
        _ => failure,
    }
}

/// Sends all lines while a follower is wiped and the leader is killed and started again, if asked.
async fn under_load(
    cluster: &mut Cluster,
    input: &Input,
    arguments: &arguments::Demo,
    client: &ClientHandle,
    summary: &mut Summary,
) -> Result<Measured, Failure> {
    let hardships = Hardships::new(arguments, input.len());
    let (replies, replied) = watch::channel(0);
    let (open, gate) = watch::channel(hardships.first_gate());
    let (tell_killed, killed) = watch::channel(None);
    let load = send_all(client, input, Gauge { replies, gate, killed });
    let watched = async {
        hardships.wipe_follower(cluster, replied.clone(), summary).await?;
        open.send_replace(hardships.gate_of_kill());
        hardships.kill_leader(cluster, replied.clone(), (&open, &tell_killed), summary).await?;
        watch_members(cluster, input.len(), replied.clone()).await
    };
    let (measured, ()) = tokio::try_join!(load, watched)?;
    Ok(measured)
}

/// Asks the members how they are until all replies have come: one that ended is noticed, and what
/// they counted is known.
async fn watch_members(
    cluster: &mut Cluster,
    lines: usize,
    mut replied: watch::Receiver<usize>,
) -> Result<(), Failure> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} lines  {msg}");
    let bar = ProgressBar::new(lines as u64);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while *replied.borrow_and_update() < lines {
        tokio::select! {
            _ = ticks.tick() => {
                let reports = cluster.poll().await?;
                bar.set_message(describe(&reports));
            }
            done = replied.wait_for(|count| *count >= lines) => {
                if done.is_err() { break; }
            }
        }
        bar.set_position(*replied.borrow() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

fn describe(reports: &[MemberReport]) -> String {
    let each = reports.iter().map(|report| format!("{}:{}", report.id, report.role));
    each.collect::<Vec<_>>().join(" ")
}

/// Waits until every member has applied all that is committed, and all lines.
async fn until_level(cluster: &mut Cluster, lines: u64) -> Result<(), Failure> {
    loop {
        let reports = cluster.poll().await?;
        let newest = reports.iter().map(|report| report.commit).max();
        let level = reports.iter().all(|report| {
            Some(report.applied) == newest
                && Some(report.commit) == newest
                && report.entries >= lines
        });
        if level {
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Where the members' data lies: a temporary directory that goes, or a named one that stays.
enum Directory {
    Temporary(TempDir),
    Named(PathBuf),
}

impl Directory {
    fn new(named: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = named else {
            let directory = TempDir::with_prefix("quorate-demo-");
            return directory
                .map(Self::Temporary)
                .map_err(|error| Failure::failed("cannot make a temporary directory", error));
        };
        std::fs::create_dir_all(path).map_err(|error| {
            Failure::Usage(format!("cannot make {}: {error}; check --data", path.display()))
        })?;
        let mut entries = std::fs::read_dir(path).map_err(|error| {
            Failure::Usage(format!("cannot list {}: {error}; check --data", path.display()))
        })?;
        if entries.next().is_some() {
            let path = path.display();
            return Err(Failure::Usage(format!("{path} is not empty; name another --data")));
        }
        // The members run in the same folder, but messages name it in full.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Ok(Self::Named(path))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Named(path) => path,
        }
    }

    /// Removes what is temporary, and says what became of the demonstration.
    fn interrupted(self, signal: &str) -> Failure {
        let data = match self {
            Self::Temporary(directory) => {
                let path = directory.path().to_owned();
                match directory.close() {
                    Ok(()) => "their data is removed".into(),
                    Err(error) => format!("cannot remove {}: {error}", path.display()),
                }
            }
            Self::Named(path) => format!("their data is in {}", path.display()),
        };
        Failure::Failed(format!("interrupted by {signal}; the members are stopped, {data}"))
    }

    fn keep(self) -> PathBuf {
        match self {
            Self::Temporary(directory) => directory.keep(),
            Self::Named(path) => path,
        }
    }
}
