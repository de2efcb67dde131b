//! How the command fails, and what it exits with.

use std::io::Write;
use std::process::ExitCode;

/// Exit code of what is not done, whoever is asked, and whenever.
pub(crate) const REFUSED: u8 = 1;
/// Exit code of what is not done now: later, or by another member, it may be.
pub(crate) const NOT_NOW: u8 = 4;
/// Exit code of what was begun, and may become true.
pub(crate) const NOT_KNOWN: u8 = 5;

/// Why the command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Arguments or configuration are wrong: exit code 2, as with the argument parser's own errors.
    #[error("{0}")]
    Usage(String),
    /// It was tried, and failed: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// A member was stopped before its disk had what it promised: exit code 3. It is no loss to
    /// the group, and its next life has to be told what it lacks.
    #[error("{0}")]
    CutShort(String),
    /// Whoever was asked does not do it; what it said is told already unless it is here.
    #[error("{}", .text.as_deref().unwrap_or("told already"))]
    Answered {
        /// What to tell.
        text: Option<String>,
        /// One of [`REFUSED`], [`NOT_NOW`] and [`NOT_KNOWN`].
        code: u8,
    },
    /// It failed, and has said so where its output goes: exit code 1.
    #[error("told already")]
    Told,
}

impl Failure {
    /// A failure with what led to it.
    pub(crate) fn failed(what: &str, error: impl core::fmt::Display) -> Self {
        Self::Failed(format!("{what}: {error}"))
    }

    /// Tells the user on standard error.
    pub(crate) fn tell(&self) {
        if !matches!(self, Self::Told | Self::Answered { text: None, .. }) {
            // There is nowhere else to say it.
            let _ = writeln!(std::io::stderr(), "error: {self}");
        }
    }

    /// What the process exits with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) | Self::Told => ExitCode::from(1),
            Self::CutShort(_) => ExitCode::from(3),
            Self::Answered { code, .. } => ExitCode::from(*code),
        }
    }
}

/// Tells the user on standard error what is waited for.
pub(crate) fn tell_waiting(what: &str) {
    // There is nowhere else to say it.
    let _ = writeln!(std::io::stderr(), "waiting: {what}");
}

/// Writes a line to standard output; a reader that went away is no failure.
pub(crate) fn tell_line(line: impl core::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
