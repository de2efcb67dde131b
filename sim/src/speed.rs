//! How fast the world is, and how much of its time the observers take.

use std::time::Instant;

use crate::swarm::{MILLI, NamedSchedule, SECOND};
use crate::world::World;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Steps of members and clients in a second of a core's time, with all observers.
    pub watched: f64,
    /// The same without observers.
    pub unwatched: f64,
    /// Steps that each of the two took.
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

/// Measures with three members under load, without faults and with all of them in turn, for about
/// `steps` steps; the best of `rounds` rounds each.
#[must_use]
pub fn measure(steps: u64, rounds: u32) -> Speed {
    let (mut watched, mut unwatched, mut taken) = (0.0_f64, 0.0_f64, 0);
    for _ in 0..rounds {
        // In turn, so that what else the machine does hits both.
        let (rate, count) = run(steps, true);
        watched = watched.max(rate);
        unwatched = unwatched.max(run(steps, false).0);
        taken = count;
    }
    Speed { watched, unwatched, steps: taken }
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

fn run(steps: u64, is_watched: bool) -> (f64, u64) {
    let (mut taken, mut seconds) = (0, 0.0);
    let mut seed = 1;
    while taken < steps {
        let mut swarm = crate::swarm::Swarm::draw(seed);
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
        seconds += begin.seconds();
        taken += world.outcome().steps;
        seed += 1;
    }
    (taken as f64 / seconds.max(1e-9), taken)
}
