//! Counting instructions: this program runs one of its own cases twice under callgrind, a different
//! number of times, so that the difference is free of start-up.

use core::error::Error;
use std::env;
use std::process::{Command, Stdio};

use clap::Args;

use crate::codec_rung;
use crate::room::{Room, RoomOptions};

/// Iterations of the shorter run.
const FEWER: u64 = 2_000;
/// Iterations of the longer run.
const MORE: u64 = 12_000;
/// Windows of the cases of the core.
const CORE_WINDOWS: [usize; 4] = [1, 16, 64, 256];
/// Bytes of a message in the cases of the core.
const PAYLOAD_BYTES: usize = 64;
/// How long a round of the core takes here: close to what it does, but the same each time.
const ROUND_NS: u64 = 1_000;

/// Which case, and how often.
#[derive(Args, Clone, Debug)]
pub(crate) struct IterateOptions {
    /// The name of the case.
    #[arg(long)]
    case: String,
    /// How often.
    #[arg(long)]
    iterations: u64,
}

/// The names of all cases whose instructions are counted.
pub(crate) fn case_names() -> Vec<String> {
    let codec = codec_rung::cases().into_iter().map(|case| case.name.to_owned());
    codec.chain(CORE_WINDOWS.iter().map(|&window| core_name(window))).collect()
}

fn core_name(window: usize) -> String {
    format!("core window {window}")
}

/// Runs a case so often.
///
/// # Errors
/// There is no such case.
pub(crate) fn iterate(options: &IterateOptions) -> Result<(), Box<dyn Error>> {
    if let Some(&window) = CORE_WINDOWS.iter().find(|&&window| core_name(window) == options.case) {
        let mut room = RoomOptions::new(window, PAYLOAD_BYTES);
        room.round_ns = Some(ROUND_NS);
        Room::open(&room).run_once(options.iterations);
        return Ok(());
    }
    let mut cases = codec_rung::cases().into_iter();
    let Some(mut case) = cases.find(|case| case.name == options.case) else {
        return Err(format!("there is no case `{}`", options.case).into());
    };
    (case.run)(options.iterations);
    Ok(())
}

/// Whether instructions can be counted here, and why not.
pub(crate) fn check_tool() -> Result<(), String> {
    let mut command = Command::new("valgrind");
    match command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`valgrind --version` ended with {status}")),
        Err(error) => Err(format!("valgrind cannot be started ({error}); install it")),
    }
}

/// Instructions of one iteration of a case.
///
/// # Errors
/// The tool could not be run, or its report not be read.
pub(crate) fn per_iteration(case: &str) -> Result<f64, Box<dyn Error>> {
    let (more, fewer) = (count(case, MORE)?, count(case, FEWER)?);
    Ok((more as f64 - fewer as f64) / (MORE - FEWER) as f64)
}

fn count(case: &str, iterations: u64) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["iterate", "--case", case, "--iterations", &iterations.to_string()])
        .output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!(
            "case `{case}` ended with {} under callgrind:\n{report}",
            output.status
        )
        .into());
    }
    let line = report.lines().find_map(|line| line.split_once("Collected :"));
    let number = line.and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| format!("callgrind reported no count for `{case}`:\n{report}").into())
}
