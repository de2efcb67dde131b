//! `quorate tool replay`.

use core::fmt::Write;
use std::path::Path;

use quorate_driver::recording::{RecordingError, RecordingReader, Replayed, replay};
use serde_json::{Map, Value, json};

use crate::arguments::Through;
use crate::failure::{Failure, tell_line};
use crate::runtime::Runtime;

/// Replays a recording, and fails, after it was told, when the actions differ from those that were
/// recorded.
pub(crate) async fn run(file: &Path, through: Through, json: bool) -> Result<(), Failure> {
    let failed = |error: RecordingError| Failure::failed(&file.display().to_string(), error);
    let beginning = RecordingReader::open(file).map_err(failed)?.beginning().clone();
    let mut results = Vec::new();
    if matches!(through, Through::Core | Through::All) {
        let replayed = RecordingReader::open(file).and_then(replay).map_err(failed)?;
        results.push(("core", replayed));
    }
    for runtime in Runtime::ALL.into_iter().filter(|runtime| through.includes(*runtime)) {
        let recording = RecordingReader::open(file).map_err(failed)?;
        let handle = runtime.spawn_replay(recording).map_err(failed)?;
        results.push((runtime.name(), handle.finished().await.map_err(failed)?));
    }
    let config = &beginning.config;
    let whose = format!(
        "member {} of group {:#018x}, start {}, by version {}",
        config.member, config.group.0, beginning.recovered.life.boot_epoch.0, beginning.software
    );
    if json {
        tell_line(object(&whose, &results));
    } else {
        tell_line(text(&whose, &results));
    }
    if results.iter().all(|(_, replayed)| replayed.matches()) { Ok(()) } else { Err(Failure::Told) }
}

/// A hash as it is told everywhere.
fn hash(value: u64) -> String {
    format!("{value:#018x}")
}

fn object(whose: &str, results: &[(&str, Replayed)]) -> Value {
    let ways = results.iter().map(|(name, replayed)| {
        let way = json!({
            "steps": replayed.steps,
            "events": replayed.events,
            "actions": replayed.actions,
            "hash": hash(replayed.hash),
            "state_hash": hash(replayed.state_hash),
            "equal": replayed.matches(),
            "same_state": replayed.same_state(),
            "first_difference": replayed.first_difference,
        });
        ((*name).to_owned(), way)
    });
    let recorded = results.first().and_then(|(_, replayed)| replayed.recorded);
    json!({
        "ok": results.iter().all(|(_, replayed)| replayed.matches()),
        "recorded": whose,
        "complete": recorded.is_some(),
        "recorded_hash": recorded.map(|recorded| hash(recorded.hash)),
        "through": ways.collect::<Map<_, _>>(),
    })
}

fn text(whose: &str, results: &[(&str, Replayed)]) -> String {
    let mut text = format!("{:<12} {whose}", "recorded");
    for (index, (name, replayed)) in results.iter().enumerate() {
        // Writing to a string does not fail.
        if index == 0 {
            let _ = write!(text, "\n{:<12} {}", "steps", replayed.steps);
            for (event, count) in &replayed.events {
                let _ = write!(text, "\n  {event:<14} {count:>10}");
            }
            let _ = match replayed.recorded {
                Some(ending) => write!(text, "\n{:<12} {}", "action hash", hash(ending.hash)),
                None => write!(
                    text,
                    "\n{:<12} none: the member was killed, or the file was cut; compared up to the \
                     last whole step",
                    "its end"
                ),
            };
        }
        let found = hash(replayed.hash);
        let _ = match replayed.first_difference {
            None => write!(text, "\n{name:<12} {found}, {} actions, equal", replayed.actions),
            Some(step) => {
                write!(text, "\n{name:<12} {found}, DIFFERS: step {step} is the first that does")
            }
        };
    }
    if results.iter().any(|(_, replayed)| replayed.same_state() == Some(false)) {
        text.push_str(
            "\n(the state at the end is another one: this is another version of the core)",
        );
    }
    text
}
