//! `quorate-sim`: sweeps seeds of the deterministic world, replays one, and hunts mutants.
#![forbid(unsafe_code)]

/// Writes a line to standard output. When whoever read it has gone the command ends at once, as one
/// that is ended by the signal for that.
macro_rules! tell {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        if writeln!(std::io::stdout(), $($line)*).is_err() {
            std::process::exit(141);
        }
    }};
}

mod exploring;

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};
use quorate_core::mark;
use quorate_sim::findings::keep_all;
use quorate_sim::shrink::shrink;
use quorate_sim::speed::{OBSERVERS_SHARE_MAX, STEPS_PER_SECOND_MIN, measure};
use quorate_sim::story::Story;
use quorate_sim::sweep::{Sweep, Swept, observers_share};
use quorate_sim::{Finding, Mark, NamedSchedule, Replicated, SCHEDULES, mutants};

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
        /// A schedule, instead of drawing from all faults; see `schedules`
        #[arg(long, value_parser = schedule)]
        schedule: Option<Schedule>,
        /// Goes on behind a finding, and makes a story of the first of each rule at the end
        #[arg(long)]
        keep_going: bool,
        /// Where to put the stories of what is found
        #[arg(long, default_value = "findings")]
        out: PathBuf,
        /// Seconds to make a story small
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// What the members replicate; `mistaken-ledger` shows what a finding is like
        #[arg(long, default_value = "ledger", value_parser = service)]
        service: Replicated,
    },
    /// Makes a failing seed a small story, and prints it; fails when nothing is found
    Shrink {
        /// The seed, or the file of a story
        what: String,
        /// Steps behind the first leader, with faults
        #[arg(long, default_value_t = 2_000)]
        steps: u64,
        /// The schedule under which it was found
        #[arg(long, value_parser = schedule)]
        schedule: Option<Schedule>,
        /// Seconds to try
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Measures steps a second with and without observers; fails below the least that is asked
    Speed {
        /// Steps of each measurement
        #[arg(long, default_value_t = 500_000)]
        steps: u64,
    },
    /// Lists the schedules that have names, and the classes of faults
    Schedules,
    /// Tells one seed, or the story in a file, again and prints what is found
    Replay {
        /// The seed, or the file of a story
        what: String,
        /// Steps behind the first leader, with faults
        #[arg(long, default_value_t = 2_000)]
        steps: u64,
        /// The schedule under which it was found
        #[arg(long, value_parser = schedule)]
        schedule: Option<Schedule>,
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
    /// Looks at all that can happen to three members within bounds; fails on a finding
    Explore(exploring::Options),
    /// Compiles deliberate mistakes in; fails when one is not found, by seeds or by its case
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
        /// Makes a small story of the seed that finds it
        #[arg(long)]
        shrink: bool,
    },
}

type Schedule = &'static NamedSchedule;

fn schedule(name: &str) -> Result<Schedule, String> {
    NamedSchedule::named(name)
        .ok_or_else(|| format!("no schedule is named `{name}`; `quorate-sim schedules` lists them"))
}

fn service(name: &str) -> Result<Replicated, String> {
    Replicated::named(name).ok_or_else(|| {
        let known = Replicated::ALL.map(Replicated::name);
        format!("no service is named `{name}`; say one of {}", known.join(", "))
    })
}

fn main() -> ExitCode {
    let ok = match Arguments::parse().command {
        Task::Sweep { seeds, start, steps, schedule, keep_going, out, seconds, service } => {
            let (stop_at_first, budget) = (!keep_going, None);
            let sweep_of =
                Sweep { start, seeds, steps, threads: 2, stop_at_first, budget, service };
            sweep(&sweep_of, schedule, (&out, Duration::from_secs(seconds)))
        }
        Task::Shrink { what, steps, schedule, seconds } => {
            told_of(&what, steps, schedule, |story| shrink_one(&story, seconds))
        }
        Task::Speed { steps } => speed(steps),
        Task::Schedules => list_schedules(),
        Task::Replay { what, steps, schedule, trace } => {
            told_of(&what, steps, schedule, |story| replay(&story, trace))
        }
        Task::Marks { seeds, steps } => marks(seeds, steps),
        Task::Explore(options) => exploring::run(&options),
        Task::Mutants { seeds, steps, only, shrink } => hunt(seeds, steps, only, shrink),
    };
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Panics of the core are findings; the sweep prints them with their seed.
fn silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Does something with a seed or the story in a file, or says why that is none.
fn told_of(
    what: &str,
    steps: u64,
    schedule: Option<Schedule>,
    act: impl FnOnce(Story) -> bool,
) -> bool {
    match Story::named(what, steps, schedule) {
        Ok(story) => act(story),
        Err(error) => {
            tell!("{error}");
            false
        }
    }
}

fn sweep(sweep: &Sweep, schedule: Option<Schedule>, (out, patience): (&Path, Duration)) -> bool {
    silence_panics();
    let every = (sweep.seeds / 10).max(1);
    let swept = sweep.run_under(schedule, |progress| {
        if let Some(finding) = progress.finding {
            tell_at_once(finding);
        }
        if progress.seeds.is_multiple_of(every) {
            tell!("{} of {} seeds", progress.seeds, sweep.seeds);
        }
    });
    print_swept(&swept);
    if !swept.findings.is_empty() {
        return keep_findings(&swept, (sweep, schedule), (out, patience));
    }
    let share = 100.0 * observers_share(sweep.seeds.min(20), sweep.steps);
    tell!("observers take {share:.0} % of the time");
    // A schedule leaves most faults out; only a sweep over all of them must have seen them.
    let vacuous = match schedule {
        None => is_vacuous(&swept),
        Some(schedule) => lacks(&swept.tally.missing_of(schedule.has_to_see(swept.seeds))),
    };
    !swept.excuses_too_much() && !vacuous
}

#[expect(clippy::print_stderr, reason = "whoever waits for a sweep sees there what it found")]
fn tell_at_once(finding: &Finding) {
    eprintln!("found: {finding}");
}

fn keep_findings(
    swept: &Swept,
    swept_with: (&Sweep, Option<Schedule>),
    (out, patience): (&Path, Duration),
) -> bool {
    match keep_all(swept, swept_with, (out, patience)) {
        Ok(kept) => {
            let lines = kept.iter().flat_map(|kept| kept.three_lines("quorate-sim"));
            lines.for_each(|line| tell!("{line}"));
        }
        Err(error) => tell!("cannot keep what was found in {}: {error}", out.display()),
    }
    false
}

/// Says what the sweep proves nothing about, if there is anything.
fn is_vacuous(swept: &Swept) -> bool {
    let (missing, rare) = (swept.tally.missing(swept.seeds), swept.rare_classes());
    for class in &rare {
        tell!("on in fewer than 5 % of the seeds: {}", class.name());
    }
    lacks(&missing) || !rare.is_empty()
}

/// Names the marks that were not seen; whether there are any.
fn lacks(missing: &[Mark]) -> bool {
    for mark in missing {
        tell!("never seen: {}", mark.name());
    }
    !missing.is_empty()
}

fn shrink_one(story: &Story, seconds: u64) -> bool {
    silence_panics();
    let Some(small) = shrink(story.clone(), Duration::from_secs(seconds)) else {
        tell!("seed {}: nothing found", story.seed);
        return false;
    };
    for line in small.lines() {
        tell!("{line}");
    }
    true
}

fn speed(steps: u64) -> bool {
    let speed = measure(steps, 5);
    let share = speed.observers_share();
    tell!("{:.0} steps/s of a core's time with observers", speed.watched);
    tell!("{:.0} steps/s without; observers take {:.0} %", speed.unwatched, share * 100.0);
    speed.watched >= STEPS_PER_SECOND_MIN && share <= OBSERVERS_SHARE_MAX
}

fn list_schedules() -> bool {
    tell!("schedules:");
    for schedule in SCHEDULES {
        tell!("  {:<16} {}", schedule.name, schedule.text);
    }
    tell!("classes of faults:");
    for class in quorate_sim::FaultClass::ALL {
        tell!("  {:<5} {:<16} {}", class.id(), class.name(), class.text());
    }
    true
}

fn print_swept(swept: &Swept) {
    for (class, seeds) in &swept.classes {
        tell!("  {seeds:>12}  seeds with {} ({})", class.name(), class.id());
    }
    tell!("{}", swept.tally.to_string().trim_end());
    let rate = swept.steps as f64 / swept.seconds.max(0.001);
    tell!(
        "{} seeds ({} short, {} of them twice), {} steps in {:.1} s, {rate:.0} steps/s",
        swept.seeds,
        swept.short,
        swept.twice,
        swept.steps,
        swept.seconds
    );
    for (cause, seeds) in &swept.excused {
        tell!("excused: {} for want of: {cause} {seeds:?}", seeds.len());
    }
    tell!("{} findings", swept.findings.len());
    for finding in &swept.findings {
        tell!("{finding}");
    }
}

fn replay(story: &Story, trace: bool) -> bool {
    tell!("{:?}", story.swarm().faults.classes);
    let told = story.tell(trace);
    for line in told.trace {
        tell!("{line}");
    }
    let (seed, outcome) = (story.seed, told.outcome);
    tell!(
        "seed {seed}: {} steps, {} ms of virtual time, trace {:016x}",
        outcome.steps,
        outcome.elapsed / quorate_sim::MILLI,
        outcome.trace_hash
    );
    match &outcome.finding {
        Some(finding) => tell!("{finding}"),
        None => tell!("nothing found"),
    }
    outcome.finding.is_none()
}

fn hunt(seeds: u64, steps: u64, only: Option<u32>, shrinks: bool) -> bool {
    if !mutants::are_compiled_in() {
        return hunt_in_another_build(seeds, steps, only, shrinks);
    }
    silence_panics();
    let fates = mutants::hunt(only, seeds, steps, |fate| {
        let mutant = fate.mutant;
        match &fate.killed {
            Some((taken, finding)) => {
                let name = mutant.name;
                tell!("{:>3} {name:<60} found at seed {taken} ({})", mutant.number, finding.id);
                if shrinks {
                    shrink_one(&Story::of(*taken, steps, None), 60);
                }
            }
            None => tell!("{:>3} {:<60} SURVIVED {seeds} seeds", mutant.number, mutant.name),
        }
    });
    let summary = mutants::Summary::of(&fates);
    tell!(
        "{} of {} mutants found by seeds; that it took: median {}, maximum {}",
        summary.killed,
        summary.all,
        summary.median,
        summary.maximum
    );
    let all_found = summary.killed == summary.all;
    match only {
        // Its case decides, whatever seeds show.
        Some(number) if mutants::case_for(number).is_some() => {
            succeeds(mutants::cases_command(only))
        }
        Some(_) => all_found,
        None => succeeds(mutants::cases_command(None)) && all_found,
    }
}

fn hunt_in_another_build(seeds: u64, steps: u64, only: Option<u32>, shrinks: bool) -> bool {
    let mut arguments =
        vec!["mutants".to_owned(), format!("--seeds={seeds}"), format!("--steps={steps}")];
    arguments.extend(only.map(|only| format!("--only={only}")));
    arguments.extend(shrinks.then(|| "--shrink".to_owned()));
    run_other_build(&arguments)
}

fn run_other_build(arguments: &[String]) -> bool {
    succeeds(mutants::build_and_run(arguments))
}

fn succeeds(command: std::io::Result<Command>) -> bool {
    match command.and_then(|mut command| command.status()) {
        Ok(status) => status.success(),
        Err(error) => {
            tell!("cannot build with cargo: {error}; run this inside the workspace");
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
    let (stop_at_first, budget, service) = (false, None, Replicated::Ledger);
    let sweep = Sweep { start: 1, seeds, steps, threads: 2, stop_at_first, budget, service };
    let swept = sweep.run(|_| {});
    let mut missing = 0;
    for (mark, count) in mark::counts() {
        tell!("{count:>12}  {}", mark.name);
        missing += usize::from(count == 0);
    }
    tell!("{missing} of {} marks never reached in {seeds} seeds", mark::ALL.len());
    swept.findings.iter().for_each(|finding| tell!("{finding}"));
    missing == 0 && swept.findings.is_empty()
}
