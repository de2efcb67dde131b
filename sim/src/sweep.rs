//! Many seeds, one after the other, on two threads.

use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::time::Instant;

use crate::observers::Observers;
use crate::report::{Finding, Outcome, Tally};
use crate::world::World;

/// Which seeds to run, and how.
#[derive(Clone, Copy, Debug)]
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
}

/// What came of a sweep.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// Seeds that ran.
    pub seeds: u64,
    /// Seeds whose fault phase ended before its steps were done.
    pub short: u64,
    /// Steps of all seeds.
    pub steps: u64,
    /// Wall time, in seconds.
    pub seconds: f64,
    /// What was seen.
    pub tally: Tally,
    /// What was found, by seed.
    pub findings: Vec<Finding>,
}

impl Swept {
    fn add(&mut self, outcome: Outcome, steps: u64) {
        self.seeds += 1;
        self.steps += outcome.steps;
        self.short += u64::from(outcome.steps_under_faults < steps);
        self.tally.merge(&outcome.tally);
        self.findings.extend(outcome.finding);
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
                world.watch.observers = Observers::none();
            }
            run_world(&mut world, steps);
            *seconds += begin.elapsed().as_secs_f64();
        }
    }
    (1.0 - unwatched / f64::max(watched, 0.000_001)).max(0.0)
}

impl Sweep {
    /// Runs the seeds; `progress` is told how many are done.
    pub fn run(&self, progress: impl Fn(u64) + Sync) -> Swept {
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
                        if index >= self.seeds || ended {
                            return;
                        }
                        let outcome = run_seed(self.start + index, self.steps);
                        found.fetch_or(outcome.finding.is_some(), Ordering::Relaxed);
                        let mut sum = sum.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                        sum.add(outcome, self.steps);
                        progress(sum.seeds);
                    }
                });
            }
        });
        let mut swept = sum.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        swept.seconds = begin.elapsed().as_secs_f64();
        swept.findings.sort_by_key(|finding| finding.seed);
        swept
    }
}
