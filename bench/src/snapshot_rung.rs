//! The rung `snapshot`: what clients notice of a snapshot of much state, and how long it takes,
//! beside how long it takes to copy and to write as many bytes.
//!
//! A service writes all of its state on its member's thread, at one position of the log, so all
//! members of a cluster do so at about the same time: until it can be cloned cheaply, a member does
//! nothing else meanwhile. What is stored then is written by another thread.

use core::error::Error;
use core::hint::black_box;
use core::time::Duration;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant as Clock;

use clap::Args;
use quorate_core::MemberId;

use crate::cluster::{Cluster, ClusterCase, Load, LoadClient, Storage};
use crate::line::Line;
use crate::measure::{MIB, Yield, median, mib_per_s};
use crate::progress::Progress;

/// How much a writer hands to the system at once.
const WRITE_BYTES: usize = 64 << 10;
/// How long a load runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(400);

/// How the rung is run.
#[derive(Args, Clone, Debug)]
pub(crate) struct SnapshotOptions {
    /// MiB of state of the service.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 256, 1_024])]
    state_mib: Vec<u64>,
    /// Members.
    #[arg(long, default_value_t = 3)]
    members: u16,
    /// Messages a second: an open loop, so that whoever had to wait is counted.
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    /// Bytes of a message, at least 8.
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Seconds that a load is measured without a snapshot, before each one.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Snapshots of each case; medians are shown.
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// A folder on a disk. It needs room for three snapshots of each member.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    disk: PathBuf,
}

/// What the runs with one size of state yielded.
struct Case {
    state_bytes: usize,
    runs: Vec<Run>,
}

struct Run {
    without: Loaded,
    with: Loaded,
    /// From the wish for a snapshot until all members have stored it, in seconds.
    took: f64,
    /// What a copy of the state in memory takes.
    copy: f64,
    /// What it takes as many writers as there are members to write and sync as much.
    write: f64,
    /// Terms that were begun during the snapshot.
    elections: u64,
    /// Bytes of its file.
    file_bytes: u64,
}

struct Loaded {
    measured: Yield,
    longest_us: f64,
}

/// Runs all cases in turn, as often as asked for, and prints their medians.
///
/// # Errors
/// A cluster did not start or serve, or a member did not end well.
pub(crate) fn run(options: &SnapshotOptions) -> Result<(), Box<dyn Error>> {
    let states = options.state_mib.iter();
    let mut cases: Vec<Case> =
        states.map(|mib| Case { state_bytes: (mib * MIB) as usize, runs: Vec::new() }).collect();
    let repetitions = options.repetitions.max(1);
    let progress = Progress::begin(cases.len() * repetitions)?;
    for _ in 0..repetitions {
        for case in &mut cases {
            progress.step(format!("{} MiB of state", case.state_bytes as u64 / MIB));
            case.runs.push(measure(options, case.state_bytes)?);
            progress.done();
        }
    }
    drop(progress);
    for case in &cases {
        case.line(options).print()?;
    }
    Ok(())
}

/// A load without, and with, a snapshot, on a new cluster.
fn measure(options: &SnapshotOptions, state_bytes: usize) -> Result<Run, Box<dyn Error>> {
    let copy = copy_s(state_bytes);
    let write = write_s(&options.disk, state_bytes, options.members)?;
    let disk = options.disk.clone();
    let case = ClusterCase {
        state_bytes,
        ..ClusterCase::new(options.members, Storage::Disk, disk, options.payload)
    };
    let mut cluster = Cluster::start(&case)?;
    let mut client = LoadClient::connect(&cluster, u64::from(std::process::id()))?;
    let load = Load::Open(options.rate);
    client.go_on(load, WARM_UP)?;
    let measured = client.go_on(load, Duration::from_secs_f64(options.seconds))?;
    let without = Loaded { measured, longest_us: client.longest_us() };
    let terms = terms(&mut cluster)?;
    let (took, measured) = client.beside(load, || {
        let begin = Clock::now();
        cluster.take_snapshot()?;
        Ok(begin.elapsed().as_secs_f64())
    })?;
    let with = Loaded { measured, longest_us: client.longest_us() };
    client.settle()?;
    let elections = self::terms(&mut cluster)? - terms;
    cluster.stop()?;
    let member = cluster.configuration(MemberId(1));
    let file_bytes = largest_file(&member.data.join("snapshots"))?;
    Ok(Run { without, with, took, copy, write, elections, file_bytes })
}

/// The newest term that any member knows of.
fn terms(cluster: &mut Cluster) -> Result<u64, Box<dyn Error>> {
    let statuses = cluster.statuses()?;
    Ok(statuses.values().map(|status| status.count("terms")).max().unwrap_or_default())
}

/// Bytes of the largest file in a folder.
fn largest_file(folder: &Path) -> io::Result<u64> {
    let lengths = fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len()));
    Ok(lengths.collect::<io::Result<Vec<u64>>>()?.into_iter().max().unwrap_or_default())
}

/// How long it takes to copy so many bytes into memory that was not used before, in seconds.
fn copy_s(bytes: usize) -> f64 {
    let state = vec![0x5a_u8; bytes];
    let begin = Clock::now();
    let mut copy = Vec::new();
    copy.extend_from_slice(black_box(&state));
    black_box(&copy);
    begin.elapsed().as_secs_f64()
}

/// How long it takes until each of so many writers has written and synced a file of so many bytes
/// of its own, in seconds.
fn write_s(folder: &Path, bytes: usize, writers: u16) -> io::Result<f64> {
    let begin = Clock::now();
    let writers: Vec<_> = (0..writers)
        .map(|_| {
            let file = tempfile::tempfile_in(folder);
            thread::spawn(move || write_and_sync(&mut file?, bytes))
        })
        .collect();
    for writer in writers {
        writer.join().map_err(|_| io::Error::other("a writer panicked"))??;
    }
    Ok(begin.elapsed().as_secs_f64())
}

fn write_and_sync(file: &mut File, bytes: usize) -> io::Result<()> {
    let part = [0x5a; WRITE_BYTES];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(part.len());
        file.write_all(&part[..length])?;
        left -= length;
    }
    file.sync_data()
}

impl Case {
    fn line(&self, options: &SnapshotOptions) -> Line {
        let middle = |of: fn(&Run) -> f64| median(self.runs.iter().map(of).collect());
        let yields = |of: fn(&Run) -> &Loaded| {
            let measured: Vec<Yield> = self.runs.iter().map(|run| of(run).measured).collect();
            Yield::median(&measured)
        };
        let (without, with) = (yields(|run| &run.without), yields(|run| &run.with));
        let took = middle(|run| run.took);
        let bytes = self.state_bytes as u64;
        let longest = middle(|run| run.with.longest_us);
        let (copy, write) = (middle(|run| run.copy), middle(|run| run.write));
        Line::of("snapshot")
            .with("state_mib", bytes / MIB)
            .with("members", options.members)
            .with("payload", options.payload)
            .with("rate", options.rate)
            .with("durable", true)
            .with("per_s_without", without.per_s.round())
            .with_rounded("p50_us_without", without.p50_us)
            .with_rounded("p99_us_without", without.p99_us)
            .with_rounded("longest_us_without", middle(|run| run.without.longest_us))
            .with("per_s", with.per_s.round())
            .with_rounded("p50_us", with.p50_us)
            .with_rounded("p99_us", with.p99_us)
            .with_rounded("longest_us", longest)
            .with("elections", self.runs.iter().map(|run| run.elections).sum::<u64>())
            .with("file_bytes", middle(|run| run.file_bytes as f64) as u64)
            .with_rounded("took_ms", took * 1_000.0)
            .with_rounded("mib_per_s_each", mib_per_s(bytes, took))
            .with_rounded("limit_copy_ms", copy * 1_000.0)
            .with_rounded("limit_write_ms", write * 1_000.0)
            .with_rounded("longest_to_copy", longest / 1e6 / copy)
            .with_rounded("took_to_write", took / write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_file_is_written() {
        let mut file = tempfile::tempfile().unwrap();
        write_and_sync(&mut file, WRITE_BYTES + 10).unwrap();
        assert_eq!(file.metadata().unwrap().len(), WRITE_BYTES as u64 + 10);
    }
}
