//! `vectors`: golden datagrams, for authors of codecs in any language.

use std::path::Path;

use quorate_conformance::vectors::{Vector, check, vectors};

use super::Exit;
use super::arguments::VectorsArguments;
use super::reports::write;

pub(super) fn run(arguments: &VectorsArguments) -> Result<Exit, String> {
    let all = vectors().map_err(|error| format!("a vector cannot be encoded: {error}"))?;
    if let Some(folder) = &arguments.emit {
        emit(folder, &all)?;
    }
    match &arguments.check {
        Some(command) => compare(command, &all),
        None => Ok(Exit::Good),
    }
}

fn emit(folder: &Path, all: &[Vector]) -> Result<(), String> {
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let text = serde_json::to_string_pretty(all).map_err(|error| error.to_string())?;
    write(&folder.join("vectors.json"), &text)
}

fn compare(command: &str, all: &[Vector]) -> Result<Exit, String> {
    let disagreements = check(command, all)?;
    for one in &disagreements {
        tell!("{}\n    says     {}\n    decoder  {}", one.name, one.expected, one.found);
    }
    tell!("{} of {} vectors agree", all.len() - disagreements.len(), all.len());
    Ok(if disagreements.is_empty() { Exit::Good } else { Exit::Failed })
}
