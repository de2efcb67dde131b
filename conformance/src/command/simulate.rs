//! `sweep`, `replay` and `mutants`: the simulator, through the suite's command.

use std::process::Command;

use quorate_sim::sweep::{Sweep, run_world, world_of};
use quorate_sim::{MILLI, mutants};

use super::Exit;
use super::arguments::{MutantsArguments, ReplayArguments, SweepArguments};

pub(super) fn sweep(arguments: &SweepArguments) -> Exit {
    silence_panics();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let SweepArguments { seeds, start, steps, budget, schedule } = *arguments;
    let bar = indicatif::ProgressBar::new(seeds);
    let swept = Sweep { start, seeds, steps, threads, stop_at_first: false, budget }
        .run_under(schedule, |done| bar.set_position(done));
    bar.finish_and_clear();
    print!("{}", swept.tally);
    let rate = swept.steps as f64 / swept.seconds.max(0.001);
    println!(
        "{} seeds, {} steps in {:.1} s on {threads} threads: {rate:.0} steps/s",
        swept.seeds, swept.steps, swept.seconds
    );
    let cut_short = swept.seeds < seeds;
    if cut_short {
        println!("the budget was used up: {} of {seeds} seeds ran", swept.seeds);
    }
    // A schedule leaves most faults out: only a whole sweep over all of them must have seen them.
    let missing = if schedule.is_none() { swept.tally.missing(swept.seeds) } else { Vec::new() };
    for mark in &missing {
        println!("never seen: {}", mark.name());
    }
    let under = schedule.map(|it| format!(" --schedule {}", it.name)).unwrap_or_default();
    for finding in &swept.findings {
        let seed = finding.seed;
        println!("{finding}\n    quorate-conformance replay {seed}{under} --trace");
        println!("    quorate-conformance shrink {seed}{under}");
    }
    println!("{} findings", swept.findings.len());
    let vacuous = !missing.is_empty() && !cut_short;
    if swept.findings.is_empty() && !vacuous { Exit::Good } else { Exit::Failed }
}

pub(super) fn replay(arguments: &ReplayArguments) -> Result<Exit, String> {
    silence_panics();
    let mut world = world_of(arguments.seed, arguments.schedule);
    if arguments.trace {
        world.record_trace();
    }
    let outcome = run_world(&mut world, arguments.steps);
    for line in world.take_trace() {
        println!("{line}");
    }
    let (seed, steps, elapsed) = (arguments.seed, outcome.steps, outcome.elapsed / MILLI);
    println!("seed {seed}: {steps} steps, {elapsed} ms, trace {:016x}", outcome.trace_hash);
    Ok(match outcome.finding {
        Some(finding) => {
            println!("{finding}");
            Exit::Failed
        }
        None => {
            println!("nothing found");
            Exit::Good
        }
    })
}

/// The mistakes are compiled into a build of their own, beside this one.
pub(super) fn mutants(arguments: &MutantsArguments) -> Result<Exit, String> {
    let mut passed = vec!["mutants".to_owned(), format!("--seeds={}", arguments.seeds)];
    passed.extend(arguments.only.map(|only| format!("--only={only}")));
    let status = mutants::build_and_run(&passed).and_then(|mut command: Command| command.status());
    let status = status.map_err(|error| {
        format!("cannot build the mutants with cargo: {error}; run this inside the workspace")
    })?;
    Ok(if status.success() { Exit::Good } else { Exit::Failed })
}

/// Panics of the core are findings; they are told with their seed.
pub(super) fn silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}
