//! Clocks of a member that are bent: the page of memory that a preloaded library looks at.

use core::time::Duration;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library, as Cargo builds it.
const LIBRARY: &str = "libquorate_preload.so";
/// What it wants to be told: the page, and what that begins with.
const PAGE_VARIABLE: &str = "QUORATE_CLOCK_PAGE";
const MAGIC: &[u8; 8] = b"QCLOCK 1";
const PAGE_BYTES: u64 = 4_096;
/// Words of the page, as offsets in bytes.
const CALLS: u64 = 8;
const WALL_AHEAD: u64 = 16;
const MONOTONIC_FAST: u64 = 24;
const MONOTONIC_SINCE: u64 = 32;

/// The clocks of one member.
#[derive(Debug)]
pub(super) struct Clocks {
    library: PathBuf,
    path: PathBuf,
    page: File,
}

impl Clocks {
    /// Clocks that are right, at a path beside the member's directory.
    pub(super) fn new(data: &Path) -> Result<Self, String> {
        let path = data.with_extension("clocks");
        let told = |error: std::io::Error| format!("no clocks at {}: {error}", path.display());
        let mut options = File::options();
        let page = options.read(true).write(true).create_new(true).open(&path).map_err(told)?;
        page.set_len(PAGE_BYTES).and_then(|()| page.write_all_at(MAGIC, 0)).map_err(told)?;
        Ok(Self { library: library()?, path, page })
    }

    /// From now on the wall clock is so many nanoseconds ahead, or behind if that is negative.
    pub(super) fn set_wall(&self, ahead: i64) -> Result<(), String> {
        self.write(WALL_AHEAD, ahead)
    }

    /// From its next start on the monotonic clock is fast by so many parts of a million, or slow.
    pub(super) fn set_rate(&self, fast: i64) -> Result<(), String> {
        // What a member has seen before its start is as it was: only what comes is bent.
        let up = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = up.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
        let now = Duration::from_secs_f64(seconds.unwrap_or(0.0)).as_nanos() as i64;
        self.write(MONOTONIC_SINCE, now).and_then(|()| self.write(MONOTONIC_FAST, fast))
    }

    /// How often a clock was looked at so far.
    pub(super) fn calls(&self) -> u64 {
        let mut word = [0; 8];
        self.page.read_exact_at(&mut word, CALLS).map_or(0, |()| u64::from_le_bytes(word))
    }

    fn write(&self, at: u64, word: i64) -> Result<(), String> {
        let written = self.page.write_all_at(&word.to_le_bytes(), at);
        written.map_err(|error| format!("no clocks at {}: {error}", self.path.display()))
    }

    /// Has a program look at these clocks.
    pub(super) fn bend(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env(PAGE_VARIABLE, &self.path);
    }
}

/// Whether the clocks of programs can be bent here.
///
/// # Errors
/// Why not: the library is not built.
pub fn can_bend_clocks() -> Result<(), String> {
    library().map(|_| ())
}

/// The library beside this program, in the builds of either profile.
fn library() -> Result<PathBuf, String> {
    let program = std::env::current_exe();
    let program = program.map_err(|error| format!("where is this program? {error}"))?;
    let here = program.parent().unwrap_or_else(|| Path::new("."));
    let places = [here.join("../release"), here.to_path_buf(), here.join("../../release")];
    let found = places.iter().map(|folder| folder.join(LIBRARY)).find(|path| path.is_file());
    let found = found.and_then(|path| std::fs::canonicalize(path).ok());
    found.ok_or_else(|| {
        format!("there is no {LIBRARY}; `cargo build --release -p quorate-preload` makes it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(clocks: Option<&Clocks>) -> i64 {
        let mut command = Command::new("date");
        command.arg("+%s");
        if let Some(clocks) = clocks {
            clocks.bend(&mut command);
        }
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        said.trim().parse().unwrap()
    }

    #[test]
    fn a_program_sees_the_clock_that_it_is_shown() {
        const DAY: i64 = 24 * 3_600;
        if let Err(why) = can_bend_clocks() {
            return println!("skipped: {why}");
        }
        let folder = tempfile::tempdir().unwrap();
        let clocks = Clocks::new(&folder.path().join("member-1")).unwrap();
        for days in [0, 1_000, -1_000] {
            clocks.set_wall(days * DAY * 1_000_000_000).unwrap();
            let (before, calls) = (seconds(None), clocks.calls());
            let seen = seconds(Some(&clocks)) - before;
            // Within the half of a day, however slow this machine is.
            assert_eq!((seen + DAY / 2).div_euclid(DAY), days);
            assert!(clocks.calls() > calls);
        }
        assert!(Clocks::new(&folder.path().join("member-1")).is_err(), "two have the same page");
    }
}
