//! How far a rung is, on standard error.

use core::error::Error;
use core::time::Duration;
use std::env;

use indicatif::{ProgressBar, ProgressStyle};

/// Set for rungs that a rung with a progress of its own has started.
pub(crate) const SILENT: &str = "QUORATE_BENCH_SILENT";
/// How often the progress is drawn.
const INTERVAL: Duration = Duration::from_millis(200);

/// Steps of a rung, of which so many are done. It is seen on terminals only.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Begins with none of `steps` done.
    ///
    /// # Errors
    /// None: the template is constant.
    pub(crate) fn begin(steps: usize) -> Result<Self, Box<dyn Error>> {
        if env::var_os(SILENT).is_some() {
            return Ok(Self(ProgressBar::hidden()));
        }
        let bar = ProgressBar::new(steps as u64);
        bar.set_style(ProgressStyle::with_template("{spinner} [{elapsed}] {pos}/{len} {msg}")?);
        bar.enable_steady_tick(INTERVAL);
        Ok(Self(bar))
    }

    /// The next step begins: `what`.
    pub(crate) fn step(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
    }

    /// It is done.
    pub(crate) fn done(&self) {
        self.0.inc(1);
    }

    /// Writes a line that stays.
    pub(crate) fn tell(&self, line: impl AsRef<str>) {
        self.0.println(line);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
