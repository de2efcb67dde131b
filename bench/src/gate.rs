//! The regression gate: instructions per message against the checked-in counts.

use core::error::Error;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::instructions;
use crate::line::Line;

/// How the gate is run.
#[derive(Args, Clone, Debug)]
pub(crate) struct GateOptions {
    /// The file with the counts.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json"))]
    file: PathBuf,
    /// Write the counts of this run into the file instead of comparing.
    #[arg(long)]
    update: bool,
    /// Percent more than the checked-in count that are let pass.
    #[arg(long, default_value_t = 3)]
    tolerance: u8,
    /// Only cases whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

/// Counts the instructions of all cases, and compares or writes them.
///
/// # Errors
/// A case takes more instructions than it may, or is not in the file, or counting failed.
pub(crate) fn run(options: &GateOptions) -> Result<(), Box<dyn Error>> {
    if let Err(reason) = instructions::check_tool() {
        Line::of("instructions").with("skipped", reason).print()?;
        return Ok(());
    }
    let mut known: BTreeMap<String, Value> = match fs::read_to_string(&options.file) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) if options.update => BTreeMap::new(),
        Err(error) => return Err(format!("{}: {error}", options.file.display()).into()),
    };
    let most = 1.0 + f64::from(options.tolerance) / 100.0;
    let mut worse = Vec::new();
    for case in instructions::case_names() {
        if !case.contains(&options.only) {
            continue;
        }
        let count = instructions::per_iteration(&case)?.round();
        let before = known.get(&case).and_then(Value::as_f64);
        let line = Line::of("instructions").with("case", case.as_str()).with("count", count as u64);
        let line = match before {
            Some(before) => line
                .with("checked_in", before as u64)
                .with_rounded("change_percent", (count / before - 1.0) * 100.0),
            None => line,
        };
        line.print()?;
        if before.is_none_or(|before| count > before * most) {
            worse.push(case.clone());
        }
        known.insert(case, Value::from(count as u64));
    }
    if options.update {
        fs::write(&options.file, serde_json::to_string_pretty(&known)? + "\n")?;
        return Ok(());
    }
    match worse.as_slice() {
        [] => Ok(()),
        _ => Err(format!(
            "more instructions than checked in, or not checked in: {}; if that is meant, run \
             `instructions --update`",
            worse.join(", ")
        )
        .into()),
    }
}
