//! `quorate-sim`: sweeps seeds of the deterministic world, replays one, and hunts mutants.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "this is a command, and its output is what it is for")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quorate_core::mark;
use quorate_sim::sweep::{Sweep, Swept, observers_share, run_world};
use quorate_sim::{World, mutants};

#[derive(Parser)]
#[command(name = "quorate-sim", about = "The deterministic world around Quorate's core")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs many seeds; fails on a finding, and when some fault never happened
    Sweep {
        /// How many seeds
        #[arg(long, default_value_t = 200)]
        seeds: u64,
        /// The first seed
        #[arg(long, default_value_t = 1)]
        start: u64,
        /// Steps behind the first leader, with faults, of each seed
        #[arg(long, default_value_t = 2_000)]
        steps: u64,
    },
    /// Runs one seed and prints what is found
    Replay {
        /// The seed
        seed: u64,
        /// Steps behind the first leader, with faults
        #[arg(long, default_value_t = 2_000)]
        steps: u64,
        /// Prints each event and each action
        #[arg(long)]
        trace: bool,
    },
    /// Runs many seeds with marks in the core; fails when a marked place was never reached
    Marks {
        /// How many seeds
        #[arg(long, default_value_t = 500)]
        seeds: u64,
        /// Steps behind the first leader, with faults, of each seed
        #[arg(long, default_value_t = 2_000)]
        steps: u64,
    },
    /// Compiles deliberate mistakes into the core; fails when one is not found
    Mutants {
        /// Seeds until a mutant counts as survivor
        #[arg(long, default_value_t = 500)]
        seeds: u64,
        /// Steps behind the first leader, with faults, of each seed
        #[arg(long, default_value_t = 2_000)]
        steps: u64,
        /// Only the mutant with this number
        #[arg(long)]
        only: Option<u32>,
    },
}

fn main() -> ExitCode {
    let ok = match Arguments::parse().command {
        Task::Sweep { seeds, start, steps } => sweep(seeds, start, steps),
        Task::Replay { seed, steps, trace } => replay(seed, steps, trace),
        Task::Marks { seeds, steps } => marks(seeds, steps),
        Task::Mutants { seeds, steps, only } => hunt(seeds, steps, only),
    };
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Panics of the core are findings; the sweep prints them with their seed.
fn silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

fn sweep(seeds: u64, start: u64, steps: u64) -> bool {
    silence_panics();
    let sweep = Sweep { start, seeds, steps, threads: 2, stop_at_first: false };
    let every = (seeds / 10).max(1);
    let swept = sweep.run(|done| {
        if done.is_multiple_of(every) {
            println!("{done} of {seeds} seeds");
        }
    });
    print_swept(&swept);
    let share = 100.0 * observers_share(seeds.min(20), steps);
    println!("observers take {share:.0} % of the time");
    let missing = swept.tally.missing();
    for mark in &missing {
        println!("never seen: {}", mark.name());
    }
    swept.findings.is_empty() && missing.is_empty()
}

fn print_swept(swept: &Swept) {
    print!("{}", swept.tally);
    let rate = swept.steps as f64 / swept.seconds.max(0.001);
    println!(
        "{} seeds ({} short), {} steps in {:.1} s, {rate:.0} steps/s",
        swept.seeds, swept.short, swept.steps, swept.seconds
    );
    println!("{} findings", swept.findings.len());
    for finding in &swept.findings {
        println!("{finding}");
        println!("    quorate-sim replay {} --trace", finding.seed);
    }
}

fn replay(seed: u64, steps: u64, trace: bool) -> bool {
    let mut world = World::new(seed);
    if trace {
        world.record_trace();
    }
    let outcome = run_world(&mut world, steps);
    for line in world.take_trace() {
        println!("{line}");
    }
    println!(
        "seed {seed}: {} steps, {} ms of virtual time, trace {:016x}",
        outcome.steps,
        outcome.elapsed / quorate_sim::MILLI,
        outcome.trace_hash
    );
    match &outcome.finding {
        Some(finding) => println!("{finding}"),
        None => println!("nothing found"),
    }
    outcome.finding.is_none()
}

fn hunt(seeds: u64, steps: u64, only: Option<u32>) -> bool {
    if !mutants::are_compiled_in() {
        return hunt_in_another_build(seeds, steps, only);
    }
    silence_panics();
    let fates = mutants::hunt(only, seeds, steps, |fate| {
        let mutant = fate.mutant;
        match &fate.killed {
            Some((taken, finding)) => println!(
                "{:>2} {:<48} found at seed {taken} ({})",
                mutant.number, mutant.name, finding.id
            ),
            None => println!("{:>2} {:<48} SURVIVED {seeds} seeds", mutant.number, mutant.name),
        }
    });
    let summary = mutants::Summary::of(&fates);
    println!(
        "{} of {} mutants found; seeds that it took: median {}, maximum {}",
        summary.killed, summary.all, summary.median, summary.maximum
    );
    summary.killed == summary.all
}

fn hunt_in_another_build(seeds: u64, steps: u64, only: Option<u32>) -> bool {
    let mut arguments =
        vec!["mutants".to_owned(), format!("--seeds={seeds}"), format!("--steps={steps}")];
    arguments.extend(only.map(|only| format!("--only={only}")));
    run_other_build(&arguments)
}

fn run_other_build(arguments: &[String]) -> bool {
    let status = mutants::build_and_run(arguments).and_then(|mut command| command.status());
    match status {
        Ok(status) => status.success(),
        Err(error) => {
            println!("cannot build with cargo: {error}; run this inside the workspace");
            false
        }
    }
}

fn marks(seeds: u64, steps: u64) -> bool {
    if !cfg!(quorate_marks) {
        let arguments =
            ["marks".to_owned(), format!("--seeds={seeds}"), format!("--steps={steps}")];
        return run_other_build(&arguments);
    }
    silence_panics();
    let sweep = Sweep { start: 1, seeds, steps, threads: 2, stop_at_first: false };
    let swept = sweep.run(|_| {});
    let mut missing = 0;
    for (mark, count) in mark::counts() {
        println!("{count:>12}  {}", mark.name);
        missing += usize::from(count == 0);
    }
    println!("{missing} of {} marks never reached in {seeds} seeds", mark::ALL.len());
    swept.findings.iter().for_each(|finding| println!("{finding}"));
    missing == 0 && swept.findings.is_empty()
}
