//! What the loopback rung runs.

use std::path::PathBuf;

use clap::Args;
use quorate_core::Limits;

use crate::cluster::{Idle, Level, MEMORY_FOLDER, Runtime, Storage};

/// Rates of open loops.
const RATES: [u64; 5] = [1_000, 10_000, 50_000, 100_000, 200_000];

/// How the rung is run.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoopbackOptions {
    /// What drives members.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Runtime::Mio])]
    pub(crate) runtime: Vec<Runtime>,
    /// What members and the client do when there is nothing to do.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Idle::Block])]
    pub(crate) idle: Vec<Idle>,
    /// Where the archives are.
    #[arg(long, value_enum, value_delimiter = ',',
        default_values_t = [Storage::Memory, Storage::Disk])]
    pub(crate) storage: Vec<Storage>,
    /// What it takes that a message is answered. With both, each volatile case is compared with the
    /// durable one.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Level::Durable])]
    pub(crate) level: Vec<Level>,
    /// Per cent of datagrams that each receiver loses.
    #[arg(long, value_delimiter = ',', default_values_t = [0.0, 1.0])]
    pub(crate) loss: Vec<f64>,
    /// Closed loops with so many messages in flight.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256, 1_024])]
    pub(crate) window: Vec<usize>,
    /// Open loops with so many messages a second.
    #[arg(long, value_delimiter = ',', default_values_t = RATES)]
    pub(crate) rate: Vec<u64>,
    /// No open loops.
    #[arg(long)]
    pub(crate) closed_only: bool,
    /// Seconds that each load is measured.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) seconds: f64,
    /// Runs of each case; medians are shown.
    #[arg(long, default_value_t = 3)]
    pub(crate) repetitions: usize,
    /// Bytes of a message, at least 8.
    #[arg(long, default_value_t = 64)]
    pub(crate) payload: usize,
    /// Stream bytes of one datagram [default: what members do by default].
    #[arg(long)]
    pub(crate) slice_bytes: Option<u32>,
    /// A folder on a file system in memory.
    #[arg(long, default_value = MEMORY_FOLDER)]
    pub(crate) memory: PathBuf,
    /// A folder on a disk.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub(crate) disk: PathBuf,
}

impl LoopbackOptions {
    /// What the lines are called: those that compare levels have a figure of their own.
    pub(crate) fn rung(&self) -> &'static str {
        if matches!(self.level[..], [Level::Durable]) { "loopback" } else { "loopback-levels" }
    }

    /// The folder of a kind of storage.
    pub(crate) const fn folder(&self, storage: Storage) -> &PathBuf {
        match storage {
            Storage::Memory => &self.memory,
            Storage::Disk => &self.disk,
        }
    }

    /// The limits of members; the client's are the same.
    pub(crate) fn limits(&self) -> Limits {
        let defaults = Limits::default();
        let in_flight = self.window.iter().copied().max().unwrap_or_default();
        // Open loops queue at the client, but a deep queue is what they are there to show.
        let in_flight_max = in_flight.max(if self.closed_only { 256 } else { 4_096 });
        let frame = (self.payload + 64) as u64;
        let ring = (frame * in_flight_max as u64).min(64 << 20).next_power_of_two();
        Limits {
            in_flight_max,
            session_window_bytes: ring.max(defaults.session_window_bytes),
            slice_bytes: self.slice_bytes.unwrap_or(defaults.slice_bytes),
            run_bytes_max: self.slice_bytes.map_or(defaults.run_bytes_max, |slice| {
                (60_000 / u64::from(slice)).max(1) * u64::from(slice)
            }),
            ..defaults
        }
    }
}
