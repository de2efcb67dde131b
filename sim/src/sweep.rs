//! Many seeds, one after the other, on two threads.

use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::time::Instant;

use crate::report::{Finding, Outcome, Tally};
use crate::story::Story;
use crate::swarm::{FaultClass, NamedSchedule};
use crate::world::{Replicated, World};

/// Which seeds to run, and how.
#[derive(Clone, Copy)]
pub struct Sweep {
    /// The first seed.
    pub start: u64,
    /// How many seeds.
    pub seeds: u64,
    /// Steps behind the first leader, with faults, of each.
    pub steps: u64,
    /// Threads.
    pub threads: usize,
    /// Whether the first finding ends the sweep.
    pub stop_at_first: bool,
    /// Behind this time no seed begins any more.
    pub budget: Option<Duration>,
    /// The service that the members replicate.
    pub service: Replicated,
}

/// What a sweep tells while it runs: a seed is done.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// How many are done with it.
    pub seeds: u64,
    /// What was found in it, if anything.
    pub finding: Option<&'a Finding>,
}

/// Each of so many seeds runs twice, and the traces are compared.
pub const TWICE_EVERY: u64 = 100;
/// The share of seeds in which a class has to be on.
const CLASS_SHARE_MIN: f64 = 0.05;
/// The share of runs that may be excused (L13).
const EXCUSED_SHARE_MAX: f64 = 0.01;

/// What came of a sweep.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// Seeds that ran.
    pub seeds: u64,
    /// Seeds whose fault phase ended before its steps were done.
    pub short: u64,
    /// Seeds that ran twice, to compare their traces.
    pub twice: u64,
    /// Steps of all seeds.
    pub steps: u64,
    /// Wall time, in seconds.
    pub seconds: f64,
    /// What was seen.
    pub tally: Tally,
    /// In how many seeds each class was on.
    pub classes: BTreeMap<FaultClass, u64>,
    /// What was found, by seed.
    pub findings: Vec<Finding>,
    /// Runs in which calm brought nothing, and nobody was to blame (L13): by cause, the seeds.
    pub excused: BTreeMap<&'static str, Vec<u64>>,
}

impl Swept {
    fn add(&mut self, seed: u64, outcome: Outcome, steps: u64) {
        self.seeds += 1;
        self.steps += outcome.steps;
        self.short += u64::from(outcome.steps_under_faults < steps);
        self.tally.merge(&outcome.tally);
        for class in outcome.classes.iter() {
            *self.classes.entry(class).or_insert(0) += 1;
        }
        self.findings.extend(outcome.finding);
        if let Some(cause) = outcome.excused {
            self.excused.entry(cause).or_default().push(seed);
        }
    }

    /// The classes that were on in too few seeds.
    #[must_use]
    pub fn rare_classes(&self) -> Vec<FaultClass> {
        let least = (self.seeds as f64 * CLASS_SHARE_MIN).floor() as u64;
        let is_rare =
            |class: &FaultClass| self.classes.get(class).copied().unwrap_or(0) < least.max(1);
        FaultClass::ALL.iter().copied().filter(is_rare).collect()
    }

    /// Whether more runs were excused than may be.
    #[must_use]
    pub fn excuses_too_much(&self) -> bool {
        let excused: usize = self.excused.values().map(Vec::len).sum();
        excused as f64 > self.seeds as f64 * EXCUSED_SHARE_MAX
    }
}

/// Runs one seed; a panic in the core is a finding too.
#[must_use]
pub fn run_seed(seed: u64, steps: u64) -> Outcome {
    let mut world = World::new(seed);
    run_world(&mut world, steps)
}

/// Runs a world; a panic in the core is a finding too.
pub fn run_world(world: &mut World, steps: u64) -> Outcome {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.run(steps))) {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        // What an observer saw in the same step says more.
        match world.watch.violations.first() {
            Some(violation) => world.found(violation.id, violation.message),
            None => world.found("panic", text.unwrap_or_default()),
        }
    }
    world.outcome()
}

/// Which part of the run time the observers take, over the first `seeds` seeds: each is run with
/// them and without.
#[must_use]
pub fn observers_share(seeds: u64, steps: u64) -> f64 {
    let (mut watched, mut unwatched) = (0.0, 0.0);
    for seed in 1..=seeds {
        for (is_watched, seconds) in [(true, &mut watched), (false, &mut unwatched)] {
            let begin = Instant::now();
            let mut world = World::new(seed);
            if !is_watched {
                world.unwatched();
            }
            run_world(&mut world, steps);
            *seconds += begin.elapsed().as_secs_f64();
        }
    }
    (1.0 - unwatched / f64::max(watched, 0.000_001)).max(0.0)
}

impl Sweep {
    /// The story of one of its seeds, as it is drawn.
    #[must_use]
    pub const fn story(&self, seed: u64, schedule: Option<&'static NamedSchedule>) -> Story {
        let mut story = Story::of(seed, self.steps, schedule);
        story.service = self.service;
        story
    }

    /// Runs the seeds; `progress` is told of each that is done, in the order in which they are.
    pub fn run(&self, progress: impl Fn(Progress<'_>) + Sync) -> Swept {
        self.run_under(None, progress)
    }

    /// Runs the seeds under a schedule, instead of drawing from all faults.
    pub fn run_under(
        &self,
        schedule: Option<&'static NamedSchedule>,
        progress: impl Fn(Progress<'_>) + Sync,
    ) -> Swept {
        let begin = Instant::now();
        let next = AtomicU64::new(0);
        let found = AtomicBool::new(false);
        let sum = Mutex::new(Swept::default());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let ended = self.stop_at_first && found.load(Ordering::Relaxed);
                        let late = self.budget.is_some_and(|budget| begin.elapsed() >= budget);
                        if index >= self.seeds || ended || late {
                            return;
                        }
                        let seed = self.start + index;
                        let (outcome, twice) = self.run_one(seed, schedule);
                        found.fetch_or(outcome.finding.is_some(), Ordering::Relaxed);
                        let mut sum = sum.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                        let finding = outcome.finding.clone();
                        sum.add(seed, outcome, self.steps);
                        sum.twice += u64::from(twice);
                        progress(Progress { seeds: sum.seeds, finding: finding.as_ref() });
                    }
                });
            }
        });
        let mut swept = sum.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        swept.seconds = begin.elapsed().as_secs_f64();
        swept.findings.sort_by_key(|finding| finding.seed);
        swept
    }

    /// Runs a seed, some of them twice: equal seeds must do equal things.
    fn run_one(&self, seed: u64, schedule: Option<&'static NamedSchedule>) -> (Outcome, bool) {
        let story = self.story(seed, schedule);
        let run = || run_world(&mut story.world(), self.steps);
        let mut outcome = run();
        let twice = seed.is_multiple_of(TWICE_EVERY);
        if twice && outcome.finding.is_none() {
            let again = run().trace_hash;
            if again != outcome.trace_hash {
                let message = format!("traces {:016x} and {again:016x}", outcome.trace_hash);
                let (step, at) = (outcome.steps, outcome.elapsed);
                outcome.finding = Some(Finding { seed, step, at, id: "S35", message });
            }
        }
        (outcome, twice)
    }
}
