//! How fast the world is, and how much of its time the observers take.

use std::time::Instant;

use crate::report::Outcome;
use crate::swarm::{MILLI, NamedSchedule, SECOND, Swarm};
use crate::world::World;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Steps of members and clients in a second of a core's time, with all observers.
    pub watched: f64,
    /// The same without observers.
    pub unwatched: f64,
    /// Steps that either was measured over.
    pub steps: u64,
}

impl Speed {
    /// The share of the time that goes to observers.
    #[must_use]
    pub fn observers_share(&self) -> f64 {
        (1.0 - self.watched / self.unwatched).max(0.0)
    }
}

/// Steps a second that a core has to do at least, with observers.
pub const STEPS_PER_SECOND_MIN: f64 = 300_000.0;
/// The share of the time that observers may take.
pub const OBSERVERS_SHARE_MAX: f64 = 0.30;

/// Measures with three members under load, for about `steps` steps: odd seeds with all faults that
/// they draw, even ones with none. Each seed runs `rounds` times with all observers and as often
/// without, in turn, so that what else the machine does hits both; the shortest of each counts.
/// Whether somebody watches changes nothing of what happens: the traces have to be equal.
#[must_use]
pub fn measure(steps: u64, rounds: u32) -> Speed {
    let (mut watched, mut unwatched, mut taken, mut seed) = (0.0, 0.0, 0, 0);
    while taken < steps {
        seed += 1;
        let mut shortest = [f64::INFINITY; 2];
        let mut outcomes = Vec::new();
        for _ in 0..rounds.max(1) {
            for (is_watched, shortest) in [true, false].into_iter().zip(&mut shortest) {
                let (seconds, outcome) = run(seed, is_watched);
                *shortest = shortest.min(seconds);
                outcomes.push((outcome.steps, outcome.trace_hash));
            }
        }
        assert!(outcomes.iter().all(|one| *one == outcomes[0]), "seed {seed} ran differently");
        watched += shortest[0];
        unwatched += shortest[1];
        taken += outcomes[0].0;
    }
    let rate = |seconds: f64| taken as f64 / seconds.max(1e-9);
    Speed { watched: rate(watched), unwatched: rate(unwatched), steps: taken }
}

/// Time that this thread spent on a processor, where the system tells; else time that passed.
struct Stopwatch {
    begin: Instant,
    on_processor: Option<u64>,
}

impl Stopwatch {
    fn start() -> Self {
        Self { begin: Instant::now(), on_processor: on_processor() }
    }

    fn seconds(&self) -> f64 {
        match (self.on_processor, on_processor()) {
            (Some(begin), Some(end)) if end > begin => (end - begin) as f64 / 1e9,
            _ => self.begin.elapsed().as_secs_f64(),
        }
    }
}

/// Nanoseconds that this thread has run (Linux).
fn on_processor() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// Runs the faults of one seed; returns how long that took, and what came of it.
fn run(seed: u64, is_watched: bool) -> (f64, Outcome) {
    let mut swarm = Swarm::draw(seed);
    if seed.is_multiple_of(2) {
        swarm = NamedSchedule::named("calm").map_or(swarm, |schedule| schedule.draw(seed));
    }
    swarm.members = 3;
    swarm.clients = 4;
    swarm.workload.pause = MILLI;
    swarm.faults.time_min = SECOND;
    let mut world = World::of(seed, swarm);
    if !is_watched {
        world.unwatched();
    }
    let begin = Stopwatch::start();
    world.run_faults(20_000);
    (begin.seconds(), world.outcome())
}
