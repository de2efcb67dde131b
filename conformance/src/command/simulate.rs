//! `sweep`, `replay` and `mutants`: the simulator, through the suite's command.

use std::process::Command;

use quorate_sim::sweep::{Sweep, run_world};
use quorate_sim::{MILLI, World, mutants};

use super::Exit;
use super::arguments::{MutantsArguments, ReplayArguments, SweepArguments};

pub(super) fn sweep(arguments: &SweepArguments) -> Exit {
    silence_panics();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let SweepArguments { seeds, start, steps } = *arguments;
    let bar = indicatif::ProgressBar::new(seeds);
    let swept = Sweep { start, seeds, steps, threads, stop_at_first: false }
        .run(|done| bar.set_position(done));
    bar.finish_and_clear();
    print!("{}", swept.tally);
    let rate = swept.steps as f64 / swept.seconds.max(0.001);
    println!(
        "{} seeds, {} steps in {:.1} s on {threads} threads: {rate:.0} steps/s",
        swept.seeds, swept.steps, swept.seconds
    );
    let missing = swept.tally.missing();
    for mark in &missing {
        println!("never seen: {}", mark.name());
    }
    for finding in &swept.findings {
        println!("{finding}\n    quorate-conformance replay {} --trace", finding.seed);
    }
    println!("{} findings", swept.findings.len());
    if swept.findings.is_empty() && missing.is_empty() { Exit::Good } else { Exit::Failed }
}

pub(super) fn replay(arguments: &ReplayArguments) -> Result<Exit, String> {
    silence_panics();
    let mut world = World::new(arguments.seed);
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
