//! The command `explore`.

use std::time::Instant;

use clap::Args;
use quorate_core::mutant;
use quorate_sim::explore::{Bounds, Explored, FOUND, Level, explore};
use quorate_sim::mutants;

/// How far an exploration goes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Members; no other number is explored
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=3))]
    members: u8,
    /// Terms
    #[arg(long, default_value_t = 2)]
    terms: u64,
    /// Entries of clients, besides those that open terms
    #[arg(long, default_value_t = 1)]
    entries: u8,
    /// Power failures
    #[arg(long, default_value_t = 1)]
    crashes: u8,
    /// Datagrams that arrive once more, or behind later ones
    #[arg(long, default_value_t = 0)]
    duplicates: u8,
    /// Datagrams that are lost; `any` for any number
    #[arg(long, default_value = "0", value_parser = losses)]
    losses: Losses,
    /// Datagrams arrive one after the other, before anything but a fault happens; so often ways are
    /// held up. Without it they arrive in any order
    #[arg(long)]
    holds: Option<u8>,
    /// Times that a clock goes on by an election time-out
    #[arg(long, default_value_t = 3)]
    timeouts: u8,
    /// Times that another timer comes due
    #[arg(long, default_value_t = 1)]
    ticks: u8,
    /// A voter becomes an observer
    #[arg(long)]
    change: bool,
    /// Each operation of a disk takes its time
    #[arg(long)]
    slow_disks: bool,
    /// States at most, in millions
    #[arg(long, default_value_t = 200)]
    millions: u32,
    /// Only with mutants compiled in: the mistake with this number
    #[arg(long)]
    mutant: Option<u32>,
    /// Compiles deliberate mistakes in, and explores with each that has bounds of its own; fails
    /// when one is not found
    #[arg(long)]
    mutants: bool,
}

#[derive(Clone, Copy, Debug)]
struct Losses(Option<u8>);

fn losses(text: &str) -> Result<Losses, String> {
    match text {
        "any" => Ok(Losses(None)),
        _ => text.parse().map(|count| Losses(Some(count))).map_err(|error| format!("{error}")),
    }
}

impl Options {
    fn bounds(&self) -> Bounds {
        Bounds {
            terms: self.terms,
            entries: self.entries,
            crashes: self.crashes,
            late: self.duplicates,
            losses: self.losses.0,
            holds: self.holds,
            timeouts: self.timeouts,
            ticks: self.ticks,
            changes: u8::from(self.change),
            slow_disks: self.slow_disks,
            states_max: self.millions.saturating_mul(1_000_000),
        }
    }
}

/// Explores; whether all within the bounds was looked at, and no rule is broken.
pub(crate) fn run(options: &Options) -> bool {
    if (options.mutants || options.mutant.is_some()) && !mutants::are_compiled_in() {
        return super::run_other_build(&std::env::args().skip(1).collect::<Vec<_>>());
    }
    super::silence_panics();
    if options.mutants {
        return hunt();
    }
    if options.mutant.is_some_and(|number| !make_mistake(number)) {
        return false;
    }
    let bounds = options.bounds();
    tell!("{} members, {bounds:?}", options.members);
    let begun = Instant::now();
    let explored = explore(bounds, |level| {
        let Level { depth, states, all, transitions, machines } = level;
        let seconds = begun.elapsed().as_secs();
        tell!(
            "{seconds:>6} s  depth {depth:>3}: {states:>10} states, {all:>11} in all, \
             {transitions:>12} transitions, {machines:>8} machines"
        );
    });
    print(&explored, begun.elapsed().as_secs_f64());
    explored.complete
}

/// Explores with each mistake that is to be found; whether each of them is.
fn hunt() -> bool {
    let mut all_found = true;
    for found in FOUND {
        if !make_mistake(found.mutant) {
            return false;
        }
        let explored = explore(found.bounds, |_| {});
        let name = mutant::ALL.iter().find(|known| known.number == found.mutant);
        let name = name.map_or("unknown", |known| known.name);
        let (states, number) = (explored.states, found.mutant);
        match &explored.violation {
            Some((violation, way)) => {
                let (rule, steps) = (violation.rule, way.len());
                tell!("{number:>3} {name:<50} found ({rule}) in {steps} steps, {states} states");
                all_found &= rule == found.rule;
            }
            None => {
                tell!("{number:>3} {name:<50} SURVIVED {states} states");
                all_found = false;
            }
        }
    }
    all_found
}

#[cfg(quorate_mutants)]
fn make_mistake(number: u32) -> bool {
    mutant::choose(number);
    mutant::ALL.iter().any(|mutant| mutant.number == number)
}

#[cfg(not(quorate_mutants))]
fn make_mistake(number: u32) -> bool {
    mutant::ALL.iter().any(|mutant| mutant.number == number)
}

fn print(explored: &Explored, seconds: f64) {
    let Explored { states, transitions, depth, machines, datagrams, steps, coverage, .. } =
        explored;
    for (what, count) in &coverage.taken {
        tell!("{count:>14}  {what}");
    }
    tell!("{:>14}  crash within a step", coverage.crashes_within);
    tell!("{:>14}  a term has its first leader", coverage.elections);
    tell!("{:>14}  something is committed first", coverage.commits);
    tell!("{:>14}  a member's log is cut", coverage.cuts);
    tell!("{:>14}  not followed: a term too many", coverage.beyond_terms);
    tell!(
        "at most {} terms with a leader, {} frames committed",
        coverage.led_max,
        coverage.committed_max
    );
    tell!(
        "{states} states, {transitions} transitions, depth {depth}; {machines} machines, \
         {datagrams} datagrams, {steps} steps of the core; {seconds:.1} s"
    );
    tell!("states taken for others, as is to be expected of 64 bits: {:.1e}", explored.mistaken());
    match (&explored.violation, explored.complete) {
        (Some((violation, way)), _) => {
            way.iter().enumerate().for_each(|(at, line)| tell!("{:>3} {line}", at + 1));
            tell!("{}: {}", violation.rule, violation.text);
        }
        (None, true) => tell!("complete: no rule is broken in any state within these bounds"),
        (None, false) => tell!("not complete: there are more states than may be looked at"),
    }
}
