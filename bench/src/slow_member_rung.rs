//! The rung `slow-member`: what a cluster yields while one of its followers is slow, or away,
//! beside the same with all of them well.

use core::error::Error;
use core::fmt;
use core::time::Duration;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use quorate_core::MemberId;

use crate::cluster::{Cluster, ClusterCase, Load, LoadClient, MEMORY_FOLDER, Share, Storage};
use crate::line::Line;
use crate::measure::{MIB, Yield, median};
use crate::progress::Progress;

/// How fast a slow member is, in hundredths: of one processor, or of the rate that the cluster has
/// with all members well.
const SPEED_PERCENT: u64 = 10;
/// How long a member is slow before anything is measured: a few heartbeats and all windows.
const SETTLING: Duration = Duration::from_millis(500);

/// What is wrong with one of the followers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Trouble {
    /// Nothing.
    None,
    /// Its process gets a tenth of a processor, if control groups are to be had.
    Processor,
    /// Its service takes in a tenth of the rate that there is without it.
    Service,
    /// It was killed.
    Absent,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// How the rung is run.
#[derive(Args, Clone, Debug)]
pub(crate) struct SlowMemberOptions {
    /// What is wrong with a follower. First comes what the others are compared with.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [
        Trouble::None, Trouble::Processor, Trouble::Service, Trouble::Absent
    ])]
    trouble: Vec<Trouble>,
    /// Members.
    #[arg(long, default_value_t = 3)]
    members: u16,
    /// Closed loops with so many messages in flight.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 256])]
    window: Vec<usize>,
    /// Seconds that each load is measured.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Runs of each case; medians are shown.
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Bytes of a message, at least 8.
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Where the archives are.
    #[arg(long, value_enum, default_value_t = Storage::Memory)]
    storage: Storage,
    /// The folder that they are in [default: `/dev/shm`, or the one for temporary files].
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// What the runs of one case yielded.
struct Case {
    trouble: Trouble,
    window: usize,
    runs: Vec<Run>,
}

struct Run {
    measured: Yield,
    longest_us: f64,
    /// How far the member was behind the leader's commit position in the end, in bytes.
    behind: u64,
    /// How often it was kept from the processor.
    throttled: u64,
}

/// Runs all cases in turn, as often as asked for, and prints their medians.
///
/// # Errors
/// A cluster did not start or serve, or a member did not end well.
pub(crate) fn run(options: &SlowMemberOptions) -> Result<(), Box<dyn Error>> {
    let mut cases = Vec::new();
    for &window in &options.window {
        let troubles = options.trouble.iter();
        cases.extend(troubles.map(|&trouble| Case { trouble, window, runs: Vec::new() }));
    }
    let repetitions = options.repetitions.max(1);
    let progress = Progress::begin(cases.len() * repetitions)?;
    let mut skipped = None;
    for _ in 0..repetitions {
        // What is well comes first with each window: its rate is what others are to be slow to.
        let mut well = 0.0;
        for case in &mut cases {
            progress.step(format!("{}, {} in flight", case.trouble, case.window));
            match measure(options, case, well)? {
                Ok(run) => {
                    if case.trouble == Trouble::None {
                        well = run.measured.per_s;
                    }
                    case.runs.push(run);
                }
                Err(why) => skipped = Some(why),
            }
            progress.done();
        }
    }
    drop(progress);
    if let Some(why) = skipped {
        let line = Line::of("slow-member").with("trouble", Trouble::Processor.to_string());
        line.with("skipped", why).print()?;
    }
    print(options, &cases)
}

fn cluster_case(options: &SlowMemberOptions) -> ClusterCase {
    let folder = options.folder.clone().unwrap_or_else(|| match options.storage {
        Storage::Memory => MEMORY_FOLDER.into(),
        Storage::Disk => std::env::temp_dir(),
    });
    ClusterCase::new(options.members, options.storage, folder, options.payload)
}

/// Measures a load on a new cluster with the trouble of `case`; `well` is the rate without it. Or
/// tells why there are no control groups to make that trouble with.
fn measure(
    options: &SlowMemberOptions,
    case: &Case,
    well: f64,
) -> Result<Result<Run, String>, Box<dyn Error>> {
    let mut cluster = Cluster::start(&cluster_case(options))?;
    let mut client = LoadClient::connect(&cluster, u64::from(std::process::id()))?;
    let leader = cluster.leader()?;
    let follower = follower_of(&cluster, leader).ok_or("a cluster of one has no followers")?;
    let mut share = None;
    match case.trouble {
        Trouble::None => {}
        Trouble::Processor => match Share::of(cluster.process_of(follower)?, SPEED_PERCENT) {
            Ok(given) => share = Some(given),
            Err(why) => return Ok(Err(why)),
        },
        Trouble::Service => {
            let nanos = drag_ns(well).ok_or("`service` is slow beside `none`: run both")?;
            cluster.drag(follower, nanos)?;
        }
        Trouble::Absent => cluster.kill(follower),
    }
    let load = Load::Closed(case.window);
    client.go_on(load, SETTLING)?;
    let measured = client.go_on(load, Duration::from_secs_f64(options.seconds))?;
    let longest_us = client.longest_us();
    let commit = cluster.status(leader)?.view("commit");
    let behind = match case.trouble {
        Trouble::Absent => 0,
        _ => commit.saturating_sub(cluster.status(follower)?.view("applied")),
    };
    client.settle()?;
    let throttled = share.map_or(0, |share| share.throttled());
    if case.trouble == Trouble::Service {
        cluster.drag(follower, 0)?;
    }
    cluster.stop()?;
    Ok(Ok(Run { measured, longest_us, behind, throttled }))
}

/// A member that is not `leader`.
fn follower_of(cluster: &Cluster, leader: MemberId) -> Option<MemberId> {
    cluster.ids().into_iter().rev().find(|&id| id != leader)
}

/// How long each message is to take at a service that takes in a part of the rate `well`; nothing
/// if that is not known.
fn drag_ns(well: f64) -> Option<u64> {
    (well > 0.0).then(|| (1e9 / (well * SPEED_PERCENT as f64 / 100.0)) as u64)
}

fn print(options: &SlowMemberOptions, cases: &[Case]) -> Result<(), Box<dyn Error>> {
    for case in cases.iter().filter(|case| !case.runs.is_empty()) {
        let yields =
            |case: &Case| -> Vec<Yield> { case.runs.iter().map(|run| run.measured).collect() };
        let middle = |of: fn(&Run) -> f64| median(case.runs.iter().map(of).collect());
        let measured = Yield::median(&yields(case));
        let line = Line::of("slow-member")
            .with("trouble", case.trouble.to_string())
            .with("speed_percent", SPEED_PERCENT)
            .with("members", options.members)
            .with("payload", options.payload)
            .with("window", case.window)
            .with("storage", options.storage.to_string());
        let line = measured
            .add_to(line)
            .with_rounded("longest_us", middle(|run| run.longest_us))
            .with_rounded("behind_mib", middle(|run| run.behind as f64) / MIB as f64)
            .with("throttled", case.runs.iter().map(|run| run.throttled).sum::<u64>());
        let is_well = |other: &&Case| {
            other.trouble == Trouble::None && other.window == case.window && !other.runs.is_empty()
        };
        let line = match cases.iter().find(is_well) {
            Some(well) => {
                let limit = Yield::median(&yields(well));
                line.with("limit_per_s", limit.per_s.round())
                    .with_rounded("to_limit", measured.per_s / limit.per_s)
            }
            None => line,
        };
        line.print()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_service_takes_ten_times_as_long_as_all_take_without_it() {
        assert_eq!(drag_ns(1_000_000.0), Some(10_000));
        assert_eq!(drag_ns(0.0), None);
    }
}
