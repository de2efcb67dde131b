//! Schedules with names: selections of faults that are worth a sweep of their own.

use super::draw::draw_limits;
use super::{FaultClass as C, FaultClasses, MILLI, SECOND, Sort, Swarm};
use crate::dice::Dice;
use crate::report::Mark;

/// A selection of faults.
#[derive(Clone, Copy, Debug)]
pub struct NamedSchedule {
    /// Its name, as commands take it.
    pub name: &'static str,
    /// What it does.
    pub text: &'static str,
    apply: fn(&mut Swarm, u64),
}

impl NamedSchedule {
    /// The schedule of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SCHEDULES.iter().find(|schedule| schedule.name == name)
    }

    /// What a sweep of `seeds` under this schedule has to see, for nothing else does.
    #[must_use]
    pub fn has_to_see(&self, seeds: u64) -> &'static [Mark] {
        match self.name {
            "volatile" if seeds >= VOLATILE_SEEDS_MIN => &[Mark::StoppedInOrder],
            "members" if seeds >= VOLATILE_SEEDS_MIN => {
                &[Mark::MembersChanged, Mark::ChangeRefused]
            }
            _ => &[],
        }
    }

    /// The options of `seed` under this schedule.
    #[must_use]
    pub fn draw(&self, seed: u64) -> Swarm {
        let mut swarm = Swarm::draw(seed);
        (self.apply)(&mut swarm, seed);
        swarm.clear_rates();
        swarm
    }
}

/// So many volatile worlds have to see what only they see.
const VOLATILE_SEEDS_MIN: u64 = 20;

const DISK: &[C] = &[
    C::Kill,
    C::PowerCut,
    C::TornSector,
    C::WriteError,
    C::SyncError,
    C::LatentError,
    C::Rot,
    C::LostWrite,
    C::DiskFull,
    C::DiskStall,
    C::SlowDisk,
];
const CLOCK: &[C] =
    &[C::ClockRate, C::ClockBack, C::LateTimer, C::ClockFreeze, C::ClockZero, C::Pause, C::Kill];
const CLIENTS: &[C] =
    &[C::Flood, C::Deaf, C::ClientCrash, C::OddSizes, C::ClientCut, C::Duplicate, C::Loss];
const ADVERSARY: &[C] =
    &[C::EdgeValues, C::RandomBytes, C::Strangers, C::Replay, C::Corrupt, C::Duplicate];

fn only(swarm: &mut Swarm, classes: &[C]) {
    swarm.faults.classes = classes.iter().copied().collect();
}

/// A half of the classes of a week, by seed.
fn some(swarm: &mut Swarm, seed: u64, label: &str, classes: &[C]) {
    let mut dice = Dice::new(seed, label);
    let half = classes.iter().copied().filter(|_| dice.below(2) == 0);
    let half: FaultClasses = half.collect();
    swarm.faults.classes = half;
}

fn network() -> Vec<C> {
    let is_network = |class: &&C| class.id().starts_with("FN") || class.id().starts_with("FP");
    C::ALL.iter().filter(is_network).copied().collect()
}

fn paced(swarm: &mut Swarm, interval: u64, duration: u64, time_min: u64) {
    swarm.faults.interval = interval;
    swarm.faults.duration = duration;
    swarm.faults.time_min = time_min;
}

/// All schedules.
pub const SCHEDULES: &[NamedSchedule] = &[
    NamedSchedule { name: "calm", text: "No faults.", apply: |swarm, _| only(swarm, &[]) },
    NamedSchedule {
        name: "one-at-a-time",
        text: "Each seed has one class only; classes take turns.",
        apply: |swarm, seed| {
            let index = seed as usize % C::ALL.len();
            only(swarm, &C::ALL[index..=index]);
            // A class that only prepares the ground for another gets that one too.
            let needs = match C::ALL[index] {
                C::TornSector => Some(C::PowerCut),
                C::ClockZero => Some(C::Kill),
                C::Overflow => Some(C::Pause),
                _ => None,
            };
            needs.into_iter().for_each(|class| swarm.faults.classes.add(class));
            if C::ALL[index].sort() != Sort::Rate {
                paced(swarm, 150 * MILLI, 200 * MILLI, SECOND);
            }
        },
    },
    NamedSchedule {
        name: "swizzle",
        text: "Members are cut off one by one and come back in another order.",
        apply: |swarm, _| {
            only(swarm, &[C::Swizzle]);
            paced(swarm, 800 * MILLI, 600 * MILLI, 4 * SECOND);
        },
    },
    NamedSchedule {
        name: "rolling-restart",
        text: "One member after the other restarts, under load.",
        apply: |swarm, _| {
            only(swarm, &[C::Kill]);
            swarm.faults.order = vec![C::Kill];
            paced(swarm, 500 * MILLI, 50 * MILLI, 4 * SECOND);
        },
    },
    NamedSchedule {
        name: "members",
        text: "An operator adds, promotes, demotes and removes members, under faults.",
        apply: |swarm, seed| swarm.change_members(seed),
    },
    NamedSchedule {
        name: "leader-hunter",
        text: "Every new leader is cut off with a tail of its own.",
        apply: |swarm, _| {
            only(swarm, &[C::Depose]);
            paced(swarm, 600 * MILLI, 200 * MILLI, 6 * SECOND);
        },
    },
    NamedSchedule {
        name: "operator",
        text: "Leadership is handed over again and again, while members die and links are cut.",
        apply: |swarm, _| {
            only(swarm, &[C::Transfer, C::Kill, C::Isolate, C::DiskStall, C::Loss]);
            swarm.faults.order =
                vec![C::Transfer, C::Kill, C::Transfer, C::Isolate, C::Transfer, C::DiskStall];
            paced(swarm, 200 * MILLI, 150 * MILLI, SECOND);
        },
    },
    NamedSchedule {
        name: "laggard",
        text: "One member is always behind the window.",
        apply: |swarm, seed| {
            only(swarm, &[C::Laggard]);
            let limits = draw_limits(&mut Dice::new(seed, "laggard"), true);
            swarm.set_limits(limits);
            paced(swarm, 400 * MILLI, 900 * MILLI, 3 * SECOND);
        },
    },
    NamedSchedule {
        name: "disk-week",
        text: "Disks rot, stall, fail and fill up; the network is perfect.",
        apply: |swarm, seed| {
            some(swarm, seed, "disk-week", DISK);
            swarm.faults.time_min = 3 * SECOND;
        },
    },
    NamedSchedule {
        name: "fetches",
        text: "Logs lose their beginning soon, and members are away for longer than that.",
        apply: |swarm, seed| {
            only(swarm, &[]);
            swarm.favour_fetches(seed);
        },
    },
    NamedSchedule {
        name: "minority",
        text: "Faults of a minority only, so that a quorum has to serve all the time.",
        apply: |swarm, _| swarm.spare_a_quorum(),
    },
    NamedSchedule {
        name: "network-week",
        text: "Every fault of the network; disks and processes are sound.",
        apply: |swarm, seed| some(swarm, seed, "network-week", &network()),
    },
    NamedSchedule {
        name: "both",
        text: "Faults of disks and of the network together.",
        apply: |swarm, seed| {
            some(swarm, seed, "both", &[network().as_slice(), DISK].concat());
        },
    },
    NamedSchedule {
        name: "volatile",
        text: "Committed is what a quorum has in memory, and members lose that, a minority at a time.",
        apply: |swarm, seed| swarm.make_volatile(seed),
    },
    NamedSchedule {
        name: "client-storm",
        text: "Clients flood, die, and do not listen.",
        apply: |swarm, _| {
            only(swarm, CLIENTS);
            swarm.clients = 24;
        },
    },
    NamedSchedule {
        name: "clock-war",
        text: "Clocks run at any rate, freeze, jump and go back.",
        apply: |swarm, seed| some(swarm, seed, "clock-war", CLOCK),
    },
    NamedSchedule {
        name: "adversary",
        text: "A stranger sends bytes, old recordings and edge values.",
        apply: |swarm, _| {
            only(swarm, ADVERSARY);
            swarm.encoded = true;
            swarm.network.strange = 100_000;
        },
    },
    NamedSchedule {
        name: "long-idle",
        text: "Hardly any traffic for a long time, then a little.",
        apply: |swarm, _| {
            only(swarm, &[]);
            swarm.workload.pause = 20 * SECOND;
            swarm.faults.time_min = 120 * SECOND;
        },
    },
    NamedSchedule {
        name: "tiny-limits",
        text: "Every limit at its least.",
        apply: |swarm, seed| {
            let limits = draw_limits(&mut Dice::new(seed, "tiny"), true);
            swarm.set_limits(quorate_core::Limits {
                in_flight_max: 1,
                apply_batch_max: 1,
                coverage_ranges_max: 2,
                reads_max: 1,
                ..limits
            });
        },
    },
    NamedSchedule {
        name: "huge-limits",
        text: "The limits that hosts have as a rule.",
        apply: |swarm, _| swarm.set_limits(quorate_core::Limits::default()),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schedule_draws_and_names_are_unique() {
        for (index, schedule) in SCHEDULES.iter().enumerate() {
            let found = NamedSchedule::named(schedule.name).unwrap();
            assert_eq!(found.text, schedule.text);
            assert!(SCHEDULES[..index].iter().all(|other| other.name != schedule.name));
            assert!(schedule.draw(7).members > 0);
        }
        assert!(NamedSchedule::named("none").is_none());
    }

    #[test]
    fn one_at_a_time_takes_turns() {
        let schedule = NamedSchedule::named("one-at-a-time").unwrap();
        let mut seen = FaultClasses::NONE;
        for seed in 0..C::ALL.len() as u64 {
            let classes = schedule.draw(seed).faults.classes;
            assert!((1..=2).contains(&classes.iter().count()));
            classes.iter().for_each(|class| seen.add(class));
        }
        assert_eq!(seen, FaultClasses::all());
    }
}
