//! The rung `recovery`: how fast a member begins again from its directory, beside how fast the
//! log's bytes can be read and be summed at all.
//!
//! A member alone, so that nobody is waited for: it opens its directory, which reads and checks all
//! of the log that is left, leads at once, and hands its service what is not in its snapshot, which
//! it reads once more.

use core::error::Error;
use core::hint::black_box;
use core::time::Duration;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant as Clock;

use clap::Args;
use quorate_core::frame::Checksum;
use quorate_core::{MemberId, Position, PositionRange};
use quorate_driver::{ArchivePorts, LogReader, MemberOptions};
use quorate_runtime_mio::{ThreadOptions, spawn_member};
use rustix::fs::{Advice, fadvise};

use crate::cluster::{Cluster, ClusterCase, Echo, LoadClient, Storage};
use crate::line::Line;
use crate::measure::{MIB, median, mib_per_s};
use crate::progress::Progress;

/// Messages in flight while a log is filled.
const WINDOW: usize = 256;
/// The only member.
const MEMBER: MemberId = MemberId(1);
/// How much of a log is read at once, as an archive does it.
const READ_BYTES: u64 = 64 << 10;
/// How often it is looked whether all is applied.
const LOOK_INTERVAL: Duration = Duration::from_micros(500);
/// How long a member may take to recover.
const PATIENCE: Duration = Duration::from_secs(600);

/// How the rung is run.
#[derive(Args, Clone, Debug)]
pub(crate) struct RecoveryOptions {
    /// MiB of log that are written.
    #[arg(long, default_value_t = 256)]
    log_mib: u64,
    /// Bytes of a message, at least 8.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1_024])]
    payload: Vec<usize>,
    /// Runs of each case; medians are shown.
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// A folder on a disk: memory has no cold cache.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    disk: PathBuf,
}

/// What a directory holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shape {
    /// The log, and no snapshot.
    Log,
    /// All of the log, and a snapshot at three quarters of it.
    Snapshot,
    /// The same, and one at half of it, before which the log is purged.
    Purged,
}

impl Shape {
    const ALL: [Self; 3] = [Self::Log, Self::Snapshot, Self::Purged];

    const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Snapshot => "snapshot",
            Self::Purged => "purged",
        }
    }

    /// At which quarters of the log snapshots are taken.
    const fn snapshots(self) -> &'static [u64] {
        match self {
            Self::Log => &[],
            Self::Snapshot => &[3],
            Self::Purged => &[2, 3],
        }
    }
}

/// A directory, and what its runs took.
struct Case {
    shape: Shape,
    payload: usize,
    cluster: Cluster,
    origin: Position,
    snapshot: Position,
    end: Position,
    /// Bytes of a message's frame.
    frame_bytes: f64,
    cold: Vec<Run>,
    warm: Vec<Run>,
}

/// What one run took, in seconds.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Until the directory was open and checked.
    open: f64,
    /// Until all was applied.
    total: f64,
    /// To read the log's bytes.
    read: f64,
    /// To sum them in memory.
    checksum: f64,
    /// Bytes that the system fetched for the recovery, as far as it tells.
    fetched: u64,
}

/// Runs all cases in turn, as often as asked for, and prints their medians.
///
/// # Errors
/// A member did not start, serve or recover, or a file.
pub(crate) fn run(options: &RecoveryOptions) -> Result<(), Box<dyn Error>> {
    let directories = options.payload.len() * Shape::ALL.len();
    let repetitions = options.repetitions.max(1);
    let progress = Progress::begin(directories * (1 + repetitions))?;
    let mut cases = Vec::new();
    for &payload in &options.payload {
        for shape in Shape::ALL {
            progress.step(format!("fill: {}, {payload} bytes", shape.name()));
            cases.push(Case::fill(options, shape, payload)?);
            progress.done();
        }
    }
    for _ in 0..repetitions {
        for case in &mut cases {
            progress.step(format!("recover: {}, {} bytes", case.shape.name(), case.payload));
            let cold = case.run(true)?;
            case.cold.push(cold);
            let warm = case.run(false)?;
            case.warm.push(warm);
            progress.done();
        }
    }
    drop(progress);
    for case in &cases {
        case.line("cold", &case.cold).print()?;
        case.line("warm", &case.warm).print()?;
    }
    Ok(())
}

impl Case {
    /// Fills a directory through a client, and stops its member.
    fn fill(
        options: &RecoveryOptions,
        shape: Shape,
        payload: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let mut case = ClusterCase::new(1, Storage::Disk, options.disk.clone(), payload);
        if shape == Shape::Purged {
            case.limits.purge_keep_bytes = 0;
        }
        let mut cluster = Cluster::start(&case)?;
        let mut client = LoadClient::connect(&cluster, u64::from(std::process::id()))?;
        let bytes = options.log_mib * MIB;
        let quarters = shape.snapshots().iter().map(|quarter| (bytes * quarter / 4, true));
        for (until, then_snapshot) in quarters.chain([(bytes, false)]) {
            client.fill(&mut cluster, WINDOW, Position(until))?;
            if then_snapshot {
                cluster.take_snapshot()?;
            }
        }
        if shape == Shape::Purged {
            cluster.wait_until("the log is purged", |cluster| {
                Ok((cluster.status(MEMBER)?.view("origin") > 0).then_some(()))
            })?;
        }
        let status = cluster.status(MEMBER)?;
        let end = status.view("applied");
        cluster.stop()?;
        Ok(Self {
            shape,
            payload,
            cluster,
            origin: Position(status.view("origin")),
            snapshot: Position(status.view("snapshot")),
            end: Position(end),
            frame_bytes: end as f64 / status.count("appended").max(1) as f64,
            cold: Vec::new(),
            warm: Vec::new(),
        })
    }

    /// Recovers once. What is warm follows what is cold, so all of it is there.
    fn run(&self, is_cold: bool) -> Result<Run, Box<dyn Error>> {
        let configuration = self.cluster.configuration(MEMBER);
        let data = configuration.data.clone();
        let chill = || if is_cold { evict(&data) } else { Ok(()) };
        // Opened before it is chilled: opening reads all.
        let ArchivePorts { mut reader, .. } = ArchivePorts::open(&configuration, false)?;
        let log = PositionRange { start: self.origin, end: self.end };
        chill()?;
        let read = timed(|| read_all(&mut reader, log, |_| ()))?;
        let mut bytes = Vec::with_capacity(self.log_bytes() as usize);
        read_all(&mut reader, log, |part| bytes.extend_from_slice(part))?;
        drop(reader);
        let checksum = timed(|| {
            black_box(Checksum::default().add(&bytes));
            Ok(())
        })?;
        drop(bytes);
        chill()?;
        let mut options = MemberOptions::new(configuration);
        options.socket = Some(self.cluster.socket(MEMBER)?);
        let (begin, fetched) = (Clock::now(), fetched_bytes());
        let member = spawn_member(options, Echo::default(), ThreadOptions::default())?;
        let open = begin.elapsed();
        while member.blocking_status()?.view.applied < self.end {
            if begin.elapsed() > PATIENCE {
                return Err("a member does not recover".into());
            }
            thread::sleep(LOOK_INTERVAL);
        }
        let total = begin.elapsed();
        let fetched = fetched_bytes() - fetched;
        member.blocking_shutdown()?;
        let (open, total) = (open.as_secs_f64(), total.as_secs_f64());
        Ok(Run { open, total, read, checksum, fetched })
    }

    /// Bytes of the log that are left.
    fn log_bytes(&self) -> u64 {
        self.end.since(self.origin)
    }

    fn line(&self, cache: &str, runs: &[Run]) -> Line {
        let middle = |of: fn(&Run) -> f64| median(runs.iter().map(of).collect());
        let (open, total) = (middle(|run| run.open), middle(|run| run.total));
        let replay = middle(|run| run.total - run.open);
        let log_bytes = self.log_bytes();
        let replayed = self.end.since(self.snapshot.max(self.origin));
        let (read, checksum) = (middle(|run| run.read), middle(|run| run.checksum));
        let mib = |bytes: u64| bytes as f64 / MIB as f64;
        Line::of("recovery")
            .with("holds", self.shape.name())
            .with("payload", self.payload)
            .with("cache", cache)
            .with_rounded("log_mib", mib(log_bytes))
            .with_rounded("replayed_mib", mib(replayed))
            .with_rounded("fetched_mib", mib(median_of(runs, |run| run.fetched)))
            .with_rounded("open_ms", open * 1_000.0)
            .with_rounded("replay_ms", replay * 1_000.0)
            .with_rounded("total_ms", total * 1_000.0)
            .with_rounded("open_mib_per_s", mib_per_s(log_bytes, open))
            .with_rounded("replay_mib_per_s", mib_per_s(replayed, replay))
            .with_rounded("mib_per_s", mib_per_s(log_bytes, total))
            .with("frames_per_s", (log_bytes as f64 / self.frame_bytes / total).round())
            .with_rounded("limit_read_mib_per_s", mib_per_s(log_bytes, read))
            .with_rounded("limit_checksum_mib_per_s", mib_per_s(log_bytes, checksum))
            .with_rounded("open_to_read", open / read)
            .with_rounded("open_to_checksum", open / checksum)
    }
}

fn median_of(runs: &[Run], of: fn(&Run) -> u64) -> u64 {
    median(runs.iter().map(|run| of(run) as f64).collect()) as u64
}

/// How long `work` takes, in seconds.
fn timed(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let begin = Clock::now();
    work()?;
    Ok(begin.elapsed().as_secs_f64())
}

/// Reads all of `range` and hands it to `take`, part by part.
fn read_all(
    reader: &mut impl LogReader,
    range: PositionRange,
    mut take: impl FnMut(&[u8]),
) -> Result<(), Box<dyn Error>> {
    let (mut at, mut part) = (range.start, Vec::new());
    while at < range.end {
        let end = at.plus(READ_BYTES).min(range.end);
        reader.read(PositionRange { start: at, end }, &mut part)?;
        if part.is_empty() {
            return Err(format!("the log cannot be read at {at}").into());
        }
        take(&part);
        at = at.plus(part.len() as u64);
    }
    Ok(())
}

/// Has the system forget what it holds of the files below `folder`.
fn evict(folder: &Path) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            evict(&path)?;
        } else {
            let file = File::open(&path)?;
            // What is not on the disk yet is not forgotten.
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// Bytes that the system has fetched from disks for this process; 0 if it does not tell.
fn fetched_bytes() -> u64 {
    let told = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let number = told.lines().find_map(|line| line.strip_prefix("read_bytes: "));
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use quorate_core::SnapshotManifest;

    use super::*;

    /// Hands out at most 100 bytes at a time, and none behind 250.
    struct Short;

    impl LogReader for Short {
        fn read(&mut self, range: PositionRange, bytes: &mut Vec<u8>) -> Result<(), String> {
            bytes.clear();
            let length = 250_u64.min(range.end.0).saturating_sub(range.start.0).min(100);
            bytes.extend((range.start.0..).take(length as usize).map(|at| at as u8));
            Ok(())
        }

        fn read_snapshot(
            &mut self,
            _position: Position,
            _range: PositionRange,
            _bytes: &mut Vec<u8>,
        ) -> Result<SnapshotManifest, String> {
            Err("there are no snapshots".into())
        }
    }

    #[test]
    fn all_parts_are_read_and_an_end_before_the_end_is_an_error() {
        let range = |end| PositionRange { start: Position(16), end: Position(end) };
        let mut bytes = Vec::new();
        read_all(&mut Short, range(240), |part| bytes.extend_from_slice(part)).unwrap();
        assert_eq!(bytes, (16..240).collect::<Vec<u8>>());
        assert!(read_all(&mut Short, range(300), |_| ()).is_err());
    }

    #[test]
    fn what_is_evicted_is_still_there() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("log")).unwrap();
        let file = folder.path().join("log/bytes");
        fs::write(&file, [7; 100_000]).unwrap();
        evict(folder.path()).unwrap();
        assert_eq!(fs::read(&file).unwrap(), [7; 100_000]);
    }
}
