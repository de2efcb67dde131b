//! The rung `snapshot`: what clients notice of a snapshot of much state, and how long it takes,
//! beside how long it takes to copy and to write as many bytes.
//!
//! The service clones its state, of which members go on to change pages, and another thread writes
//! the clone, at a limited rate: at all members at about the same time, since all of them take it
//! at one position of the log.

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
use quorate_driver::SnapshotWriting;

use crate::cluster::{Cluster, ClusterCase, Load, LoadClient, MEMORY_FOLDER, Storage};
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
    /// Where the archives are.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_values_t = [Storage::Memory, Storage::Disk]
    )]
    storage: Vec<Storage>,
    /// MiB of the state that each member writes in a second, at most; 0 for no limit.
    #[arg(long, default_value_t = SnapshotWriting::default().bytes_per_second / MIB)]
    mib_per_s: u64,
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
    storage: Storage,
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
    let mut cases = Vec::new();
    for &storage in &options.storage {
        let states = options.state_mib.iter().map(|mib| (mib * MIB) as usize);
        cases.extend(states.map(|state_bytes| Case { storage, state_bytes, runs: Vec::new() }));
    }
    let repetitions = options.repetitions.max(1);
    let progress = Progress::begin(cases.len() * repetitions)?;
    for _ in 0..repetitions {
        for case in &mut cases {
            let (mib, storage) = (case.state_bytes as u64 / MIB, case.storage);
            progress.step(format!("{mib} MiB of state, {storage}"));
            case.runs.push(measure(options, storage, case.state_bytes)?);
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
fn measure(
    options: &SnapshotOptions,
    storage: Storage,
    state_bytes: usize,
) -> Result<Run, Box<dyn Error>> {
    let folder = match storage {
        Storage::Memory => PathBuf::from(MEMORY_FOLDER),
        Storage::Disk => options.disk.clone(),
    };
    let copy = copy_s(state_bytes);
    let write = write_s(&folder, state_bytes, options.members)?;
    let case = ClusterCase {
        state_bytes,
        snapshots: SnapshotWriting { bytes_per_second: options.mib_per_s * MIB },
        ..ClusterCase::new(options.members, storage, folder, options.payload)
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
        // Of each run by itself: the machine is not the same from run to run.
        let ratio = middle(|run| run.with.measured.p99_us / run.without.measured.p99_us);
        let (copy, write) = (middle(|run| run.copy), middle(|run| run.write));
        Line::of("snapshot")
            .with("storage", self.storage.to_string())
            .with("state_mib", bytes / MIB)
            .with("limit_mib_per_s_each", options.mib_per_s)
            .with("members", options.members)
            .with("payload", options.payload)
            .with("rate", options.rate)
            .with("durable", self.storage == Storage::Disk)
            .with("per_s_without", without.per_s.round())
            .with_rounded("p50_us_without", without.p50_us)
            .with_rounded("p99_us_without", without.p99_us)
            .with_rounded("longest_us_without", middle(|run| run.without.longest_us))
            .with("per_s", with.per_s.round())
            .with_rounded("p50_us", with.p50_us)
            .with_rounded("p99_us", with.p99_us)
            .with_rounded("longest_us", longest)
            .with_rounded("p99_to_without", ratio)
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
