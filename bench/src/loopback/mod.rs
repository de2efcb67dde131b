//! The rung `loopback`: three member processes and a client over UDP, beside what the machine
//! allows.

mod limits;
mod options;

pub(crate) use options::LoopbackOptions;

use core::error::Error;
use core::time::Duration;
use std::collections::BTreeMap;

use self::limits::Waiting;
use crate::cluster::{Cluster, ClusterCase, Idle, Level, Load, LoadClient, Storage};
use crate::line::Line;
use crate::measure::{Yield, median};

/// Members of the cluster.
const MEMBERS: u16 = 3;
/// Round trips that a message and its reply need at least: client to leader, leader to a follower.
const ROUND_TRIPS: f64 = 2.0;

/// A kind of cluster, and what each load on it yielded.
struct Case {
    cluster: ClusterCase,
    loads: Vec<(Load, Vec<Yield>)>,
    /// What members reported, over all runs.
    reports: BTreeMap<String, u64>,
}

/// What the machine allows, in microseconds.
struct Limits {
    blocked_us: Vec<f64>,
    apart_us: Vec<f64>,
    spinning_us: Vec<f64>,
    sync_us: Vec<f64>,
}

/// Runs all cases in turn, as often as asked for, and prints their medians.
///
/// # Errors
/// A cluster did not start or serve, or a member did not end well.
pub(crate) fn run(options: &LoopbackOptions) -> Result<(), Box<dyn Error>> {
    let mut cases = cases(options);
    let mut limits =
        Limits { blocked_us: vec![], apart_us: vec![], spinning_us: vec![], sync_us: vec![] };
    let mut key = u64::from(std::process::id()) << 32;
    for _ in 0..options.repetitions.max(1) {
        limits.blocked_us.push(limits::round_trip_us(Waiting::Blocked)?);
        limits.apart_us.push(limits::round_trip_us(Waiting::BlockedApart)?);
        limits.spinning_us.push(limits::round_trip_us(Waiting::Spinning)?);
        if options.storage.contains(&Storage::Disk) {
            limits.sync_us.push(limits::sync_us(&options.disk)?);
        }
        for case in &mut cases {
            let mut cluster = Cluster::start(&case.cluster)?;
            for (load, yields) in &mut case.loads {
                key += 1;
                let mut client = LoadClient::connect(&cluster, key)?;
                yields.push(client.run(*load, Duration::from_secs_f64(options.seconds))?);
            }
            for (name, count) in cluster.stop()? {
                *case.reports.entry(name).or_default() += count;
            }
        }
    }
    limits.print(options)?;
    for case in &cases {
        case.print(options, &limits)?;
    }
    for volatile in cases.iter().filter(|case| case.cluster.level == Level::Volatile) {
        if let Some(durable) = cases.iter().find(|other| other.is_durable_twin_of(volatile)) {
            volatile.compare_with(durable, options)?;
        }
    }
    Ok(())
}

fn cases(options: &LoopbackOptions) -> Vec<Case> {
    let mut loads: Vec<Load> = options.window.iter().map(|&window| Load::Closed(window)).collect();
    if !options.closed_only {
        loads.extend(options.rate.iter().map(|&rate| Load::Open(rate)));
    }
    let mut clusters = Vec::new();
    for &runtime in &options.runtime {
        for &idle in &options.idle {
            for &storage in &options.storage {
                for &loss in &options.loss {
                    // Next to each other in time: they are compared.
                    clusters.extend(options.level.iter().map(|&level| ClusterCase {
                        runtime,
                        idle,
                        level,
                        loss,
                        limits: options.limits(),
                        ..ClusterCase::new(
                            MEMBERS,
                            storage,
                            options.folder(storage).clone(),
                            options.payload,
                        )
                    }));
                }
            }
        }
    }
    let case = |cluster| Case {
        cluster,
        loads: loads.iter().map(|&load| (load, Vec::new())).collect(),
        reports: BTreeMap::new(),
    };
    clusters.into_iter().map(case).collect()
}

impl Limits {
    fn print(&self, options: &LoopbackOptions) -> Result<(), Box<dyn Error>> {
        for (name, values) in [
            ("udp round trip, blocked", &self.blocked_us),
            ("udp round trip, blocked, on two processors", &self.apart_us),
            ("udp round trip, spinning", &self.spinning_us),
            ("4 KiB write and sync, three writers", &self.sync_us),
        ] {
            if !values.is_empty() {
                let line = Line::of(options.rung()).with("limit", name);
                line.with_rounded("limit_us", median(values.clone())).print()?;
            }
        }
        Ok(())
    }

    /// The shortest time in which a message could be answered by processes that have a processor
    /// each; two that share one wake each other faster.
    fn of(&self, case: &ClusterCase) -> f64 {
        let round_trip = match case.idle {
            Idle::Spin => &self.spinning_us,
            Idle::Block | Idle::Backoff => &self.apart_us,
        };
        let sync = match (case.storage, case.level) {
            (Storage::Disk, Level::Durable) => median(self.sync_us.clone()),
            (Storage::Memory, _) | (_, Level::Volatile) => 0.0,
        };
        ROUND_TRIPS * median(round_trip.clone()) + sync
    }
}

impl Case {
    fn print(&self, options: &LoopbackOptions, limits: &Limits) -> Result<(), Box<dyn Error>> {
        let cluster = &self.cluster;
        let durable = cluster.storage == Storage::Disk && cluster.level == Level::Durable;
        for (load, yields) in &self.loads {
            let line = load_line(*load, options).with("durable", durable);
            let line = self.add_to(line);
            let measured = Yield::median(yields);
            let limit = limits.of(cluster);
            let line = measured.add_to(line).with_rounded("limit_us", limit);
            line.with_rounded("p50_to_limit", measured.p50_us / limit).print()?;
        }
        let totals = Line::of(options.rung()).with("totals", "of all loads and repetitions");
        let mut line = self.add_to(totals);
        for (name, &count) in &self.reports {
            line = line.with(name, count);
        }
        Ok(line.print()?)
    }

    fn add_to(&self, line: Line) -> Line {
        let cluster = &self.cluster;
        line.with("loss", cluster.loss)
            .with("runtime", cluster.runtime.to_string())
            .with("idle", cluster.idle.to_string())
            .with("level", cluster.level.to_string())
            .with("storage", cluster.storage.to_string())
    }

    /// Whether this is the same as `volatile`, but durable.
    fn is_durable_twin_of(&self, volatile: &Self) -> bool {
        let (one, other) = (&self.cluster, &volatile.cluster);
        one.level == Level::Durable
            && one.runtime == other.runtime
            && one.idle == other.idle
            && one.storage == other.storage
            && one.loss.total_cmp(&other.loss).is_eq()
    }

    /// Prints what was gained by not waiting for disks, for each load.
    fn compare_with(
        &self,
        durable: &Self,
        options: &LoopbackOptions,
    ) -> Result<(), Box<dyn Error>> {
        for ((load, volatile), (_, durable)) in self.loads.iter().zip(&durable.loads) {
            let (volatile, durable) = (Yield::median(volatile), Yield::median(durable));
            let line = load_line(*load, options).with("compared", "volatile to durable");
            let line = self.add_to(line);
            let line = line.with_rounded("per_s_ratio", volatile.per_s / durable.per_s);
            let line = line.with_rounded("p50_ratio", volatile.p50_us / durable.p50_us);
            line.with_rounded("p99_ratio", volatile.p99_us / durable.p99_us).print()?;
        }
        Ok(())
    }
}

/// A line about one load.
fn load_line(load: Load, options: &LoopbackOptions) -> Line {
    let line = Line::of(options.rung()).with("members", MEMBERS).with("payload", options.payload);
    match load {
        Load::Closed(window) => line.with("window", window),
        Load::Open(rate) => line.with("rate", rate),
    }
}
