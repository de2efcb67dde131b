//! Worlds whose members take snapshots over and over, and begin with them.

use quorate_sim::{FaultClass, MILLI, Mark, Swarm, World};

use crate::case::{Failure, Verdict, check};
use crate::trial::Trial;

/// Runs worlds; whatever an observer finds is a failure, and each of `marks` has to be seen.
fn worlds(
    trial: &Trial<'_>,
    (count, steps): (u64, u64),
    change: impl Fn(&mut Swarm),
    marks: &[Mark],
) -> Verdict {
    let mut seen = vec![0; marks.len()];
    for round in 0..count {
        let seed = quorate_core::hash::mix(trial.seed(), round);
        let mut swarm = Swarm::draw(seed);
        swarm.snapshots.interval = 10 * MILLI;
        change(&mut swarm);
        let mut world = World::of(seed, swarm);
        world.run(steps);
        let outcome = world.outcome();
        trial.count("steps", outcome.steps);
        if let Some(finding) = outcome.finding {
            let what = format!("{}: {}", finding.id, finding.message);
            return Err(Failure::Broken { what, observer: Some(finding.id) });
        }
        for (seen, mark) in seen.iter_mut().zip(marks) {
            *seen += outcome.tally.count(*mark);
        }
    }
    let missing = marks.iter().zip(&seen).find(|(_, seen)| **seen == 0);
    check(missing.is_none(), || format!("no world has seen this: {missing:?}"))
}

/// Members are killed, and lose power, all the time.
fn with_crashes(swarm: &mut Swarm) {
    swarm.faults.classes =
        [FaultClass::Kill, FaultClass::PowerCut, FaultClass::SlowService].into_iter().collect();
    swarm.faults.interval = 50 * MILLI;
    // Without the rates of those that are off now.
    swarm.disable(FaultClass::Loss);
}

pub(super) fn sn_01(trial: &mut Trial<'_>) -> Verdict {
    let size = (trial.times(3, 8, 200), trial.times(4_000, 8_000, 20_000));
    let change = |swarm: &mut Swarm| {
        with_crashes(swarm);
        swarm.snapshots.broken = 0;
    };
    worlds(trial, size, change, &[Mark::RestartWithSnapshot, Mark::ServiceTimer])
}

pub(super) fn sn_03(trial: &mut Trial<'_>) -> Verdict {
    let size = (trial.times(3, 8, 200), trial.times(4_000, 8_000, 20_000));
    let change = |swarm: &mut Swarm| swarm.members = swarm.members.max(3);
    worlds(trial, size, change, &[Mark::SnapshotStored, Mark::Reply])
}

pub(super) fn sn_11(trial: &mut Trial<'_>) -> Verdict {
    let size = (trial.times(3, 8, 200), trial.times(4_000, 8_000, 20_000));
    let change = |swarm: &mut Swarm| {
        with_crashes(swarm);
        swarm.limits.purge_keep_bytes = 8 << 10;
    };
    worlds(trial, size, change, &[Mark::Purged, Mark::RestartWithSnapshot])
}

pub(super) fn sn_12(trial: &mut Trial<'_>) -> Verdict {
    let size = (trial.times(3, 8, 200), trial.times(4_000, 8_000, 20_000));
    let change = |swarm: &mut Swarm| {
        with_crashes(swarm);
        swarm.snapshots.broken = 700_000;
    };
    worlds(trial, size, change, &[Mark::SnapshotBroken, Mark::RestartWithSnapshot])
}
