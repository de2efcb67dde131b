//! The rung `growth`: how the core takes more members, more sessions and larger messages.

use core::error::Error;
use std::fs;

use clap::Args;

use crate::line::Line;
use crate::measure::{Yield, median};
use crate::room::{Room, RoomOptions, RoomYield};

/// Unanswered messages in all cases with small messages.
const WINDOW: usize = 256;
/// Bytes of a message where its size is not what grows.
const PAYLOAD_BYTES: usize = 64;
/// Unanswered bytes where the size of messages grows, so that they fit the window of the log.
const WINDOW_BYTES_MAX: usize = 2 << 20;
/// Bytes of messages in a run, at most.
const RUN_BYTES_MAX: u64 = 2 << 30;

/// Bytes of messages.
const PAYLOADS: [usize; 7] = [32, 64, 256, 1_024, 4_096, 16_384, 65_536];

/// How the rung is run.
#[derive(Args, Clone, Debug)]
pub(crate) struct GrowthOptions {
    /// Numbers of members.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3, 5, 7])]
    members: Vec<usize>,
    /// Numbers of sessions.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100, 1_000, 10_000])]
    sessions: Vec<usize>,
    /// Bytes of messages.
    #[arg(long, value_delimiter = ',', default_values_t = PAYLOADS)]
    payload: Vec<usize>,
    /// Messages of a run; fewer of large ones.
    #[arg(long, default_value_t = 200_000)]
    messages: u64,
    /// Runs of each case; medians are shown.
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
}

/// A case, and what its runs yielded.
struct Case {
    /// What grows.
    grows: &'static str,
    room: RoomOptions,
    yields: Vec<RoomYield>,
    /// Resident memory of this process while the room was open, at most; rooms before
    /// it included, since the allocator keeps what they gave back.
    resident_bytes: u64,
}

impl GrowthOptions {
    fn cases(&self) -> Vec<Case> {
        let small = RoomOptions::new(WINDOW, PAYLOAD_BYTES);
        let case = |grows, room| Case { grows, room, yields: Vec::new(), resident_bytes: 0 };
        let members = self.members.iter().map(|&members| RoomOptions { members, ..small.clone() });
        let sessions =
            self.sessions.iter().map(|&sessions| RoomOptions { sessions, ..small.clone() });
        let payload = self.payload.iter().map(|&payload| {
            RoomOptions::new((WINDOW_BYTES_MAX / payload.max(1)).clamp(1, WINDOW), payload)
        });
        let members = members.map(|room| case("members", room));
        let sessions = sessions.map(|room| case("sessions", room));
        sessions.chain(members).chain(payload.map(|room| case("payload", room))).collect()
    }
}

/// Runs all cases in turn, as often as asked for, and prints their medians.
///
/// # Errors
/// What the output complains of.
pub(crate) fn run(options: &GrowthOptions) -> Result<(), Box<dyn Error>> {
    let mut cases = options.cases();
    for _ in 0..options.repetitions.max(1) {
        for case in &mut cases {
            let messages = options.messages.min(RUN_BYTES_MAX / case.room.payload.max(1) as u64);
            let mut room = Room::open(&case.room);
            case.yields.push(room.run(messages));
            if case.grows == "sessions" {
                let resident = resident_bytes().unwrap_or_default();
                case.resident_bytes = case.resident_bytes.max(resident);
            }
        }
    }
    for case in &cases {
        let measured: Vec<Yield> = case.yields.iter().map(|each| each.measured).collect();
        let measured = Yield::median(&measured);
        let steps = median(case.yields.iter().map(|each| each.steps_per_message).collect());
        let line = case.room.add_to(Line::of("growth").with("grows", case.grows));
        let line = measured
            .add_to(line)
            .with_rounded("mib_per_s", measured.per_s * case.room.payload as f64 / 1_048_576.0)
            .with_rounded("steps_per_message", steps)
            .with("naks", case.yields.iter().map(|each| each.naks).sum::<u64>());
        let line = match case.resident_bytes {
            0 => line,
            bytes => line.with_rounded("resident_mib", bytes as f64 / 1_048_576.0),
        };
        line.print()?;
    }
    Ok(())
}

/// Memory of this process, all members and clients of the room included; where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
