//! `quorate tool verify`.

use core::fmt::Write;
use std::path::Path;

use quorate_archive::{Finding, Options, Verification, verify};
use serde_json::{Value, json};

use crate::failure::{Failure, tell_line};

/// Reads all that is in `directory`, which may be of a member that runs. Changes nothing. Findings
/// make it fail, after they were told.
pub(crate) fn run(directory: &Path, json: bool) -> Result<(), Failure> {
    if directory.is_file() {
        return Err(Failure::Usage(format!(
            "{} is a file; name a member's data directory, which is `data` in its configuration",
            directory.display()
        )));
    }
    let found = verify(directory, &Options::default())
        .map_err(|error| Failure::Failed(error.to_string()))?;
    if json {
        tell_line(object(&found));
    } else {
        tell_line(text(&found));
    }
    if found.findings.is_empty() { Ok(()) } else { Err(Failure::Told) }
}

fn object(found: &Verification) -> Value {
    let findings = found.findings.iter().map(|finding| {
        json!({
            "path": finding.path,
            "offset": finding.offset,
            "position": finding.at.map(|at| at.0),
            "bytes": finding.bytes,
            "what": finding.what,
            "remedy": finding.remedy.to_string(),
        })
    });
    json!({
        "directory": found.directory,
        "locked_by": found.locked_by,
        "log_start": found.log_start.0,
        "log_end": found.log_end.0,
        "promised": found.promised.0,
        "frames": found.frames,
        "snapshots": found.snapshots,
        "bytes": found.bytes,
        "findings": findings.collect::<Vec<_>>(),
    })
}

fn text(found: &Verification) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{}: {} bytes verify: {} frames of the log from {} to {}, and {} snapshots",
        found.directory.display(),
        found.bytes,
        found.frames,
        found.log_start,
        found.log_end,
        found.snapshots
    );
    for finding in &found.findings {
        let Finding { path, offset, what, remedy, .. } = finding;
        let _ = write!(text, "DAMAGED {} at byte {offset}", path.display());
        if let Some(at) = finding.at {
            let _ = write!(text, ", position {at}");
        }
        if let Some(bytes) = finding.bytes {
            let _ = write!(text, ", {bytes} bytes");
        }
        let _ = writeln!(text, ": {what}\n        to do: {remedy}");
    }
    if found.findings.is_empty() {
        let _ = writeln!(text, "nothing is damaged");
    }
    text.truncate(text.trim_end().len());
    text
}
