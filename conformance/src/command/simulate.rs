//! `sweep`, `replay`, `mutants` and `marks`: the simulator, through the suite's command.

use core::time::Duration;
use std::process::Command;

use quorate_sim::findings::keep_all;
use quorate_sim::story::Story;
use quorate_sim::sweep::{Sweep, Swept};
use quorate_sim::{Finding, MILLI, mutants};

use super::Exit;
use super::arguments::{MutantsArguments, ReplayArguments, SweepArguments};

pub(super) fn sweep(arguments: &SweepArguments) -> Exit {
    silence_panics();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let SweepArguments { seeds, start, steps, budget, schedule, service, .. } = *arguments;
    let stop_at_first = !arguments.keep_going;
    let sweep = Sweep { start, seeds, steps, threads, stop_at_first, budget, service };
    let bar = indicatif::ProgressBar::new(seeds);
    let swept = sweep.run_under(schedule, |progress| {
        if let Some(finding) = progress.finding {
            bar.suspend(|| tell_at_once(finding));
        }
        bar.set_position(progress.seeds);
    });
    bar.finish_and_clear();
    tell!("{}", swept.tally.to_string().trim_end());
    let rate = swept.steps as f64 / swept.seconds.max(0.001);
    tell!(
        "{} seeds, {} steps in {:.1} s on {threads} threads: {rate:.0} steps/s",
        swept.seeds,
        swept.steps,
        swept.seconds
    );
    tell!("{} findings", swept.findings.len());
    if swept.findings.is_empty() {
        proved(&swept, arguments)
    } else {
        keep(&swept, &sweep, arguments)
    }
}

#[expect(clippy::print_stderr, reason = "whoever waits for a sweep sees there what it found")]
fn tell_at_once(finding: &Finding) {
    eprintln!("found: {finding}");
}

/// Whether a sweep that found nothing proves anything.
fn proved(swept: &Swept, arguments: &SweepArguments) -> Exit {
    let seeds = arguments.seeds;
    let cut_short = swept.seeds < seeds;
    if cut_short {
        tell!("the budget was used up: {} of {seeds} seeds ran", swept.seeds);
    }
    // A schedule leaves most faults out: only a whole sweep over all of them must have seen them.
    let everything = arguments.schedule.is_none();
    let missing = if everything { swept.tally.missing(swept.seeds) } else { Vec::new() };
    for mark in &missing {
        tell!("never seen: {}", mark.name());
    }
    for (cause, seeds) in &swept.excused {
        tell!("excused: {} for want of: {cause} {seeds:?}", seeds.len());
    }
    let vacuous = !missing.is_empty() && !cut_short;
    if vacuous || swept.excuses_too_much() { Exit::Failed } else { Exit::Good }
}

/// Makes stories of what was found, keeps them, and tells each in three lines.
fn keep(swept: &Swept, sweep: &Sweep, arguments: &SweepArguments) -> Exit {
    let SweepArguments { schedule, out, seconds, .. } = arguments;
    let place = (out.as_path(), Duration::from_secs(*seconds));
    for finding in &swept.findings {
        tell!("{finding}");
    }
    match keep_all(swept, (sweep, *schedule), place) {
        Ok(kept) => {
            let lines = kept.iter().flat_map(|kept| kept.three_lines("quorate-conformance"));
            lines.for_each(|line| tell!("{line}"));
        }
        Err(error) => tell!("cannot keep what was found in {}: {error}", out.display()),
    }
    Exit::Failed
}

pub(super) fn replay(arguments: &ReplayArguments) -> Result<Exit, String> {
    silence_panics();
    let story = Story::named(&arguments.what, arguments.steps, arguments.schedule)?;
    let told = story.tell(arguments.trace);
    for line in told.trace {
        tell!("{line}");
    }
    let (seed, outcome) = (story.seed, told.outcome);
    let (steps, elapsed) = (outcome.steps, outcome.elapsed / MILLI);
    tell!("seed {seed}: {steps} steps, {elapsed} ms, trace {:016x}", outcome.trace_hash);
    Ok(match outcome.finding {
        Some(finding) => {
            tell!("{finding}");
            Exit::Failed
        }
        None => {
            tell!("nothing found");
            Exit::Good
        }
    })
}

/// The mistakes are compiled into a build of their own, beside this one. That of the simulator
/// comes back here, for those that are for cases.
pub(super) fn mutants(arguments: &MutantsArguments) -> Result<Exit, String> {
    if arguments.by_cases {
        return super::sample::each_by_its_case(arguments.only);
    }
    let mut passed = vec!["mutants".to_owned(), format!("--seeds={}", arguments.seeds)];
    passed.extend(arguments.only.map(|only| format!("--only={only}")));
    elsewhere(&passed)
}

/// The marks of the core are counted in that build, too.
pub(super) fn marks(seeds: u64) -> Result<Exit, String> {
    elsewhere(&["marks".to_owned(), format!("--seeds={seeds}")])
}

fn elsewhere(arguments: &[String]) -> Result<Exit, String> {
    let built = mutants::build_and_run(arguments);
    let status = built.and_then(|mut command: Command| command.status()).map_err(|error| {
        format!("cannot build the simulator with cargo: {error}; run this inside the workspace")
    })?;
    Ok(if status.success() { Exit::Good } else { Exit::Failed })
}

/// Panics of the core are findings; they are told with their seed.
pub(super) fn silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}
