//! Worlds in which logs lose their beginning soon, and members are away for longer than that: they
//! come back by a snapshot of another.

use quorate_core::Limits;

use super::draw::draw_limits;
use super::{FaultClass as C, MILLI, SECOND, Swarm};
use crate::dice::{ALWAYS, Dice};

/// What takes a member away for long, or takes from it what it had.
const AWAY: &[C] = &[C::Isolate, C::Kill, C::Pause, C::Wipe, C::PowerCut, C::Laggard, C::Rot];

/// What disturbs the exchange of digests, and leaves the disks as they are.
const DISTURBED: &[C] =
    &[C::Loss, C::Duplicate, C::Replay, C::Reorder, C::Isolate, C::Kill, C::Pause];

impl Swarm {
    /// Takes snapshots often, of services that now and then deviate. Nothing is fetched: who has
    /// taken over another's state deviates with it.
    pub(super) fn let_services_deviate(&mut self, seed: u64) {
        let dice = &mut Dice::new(seed, "deviation");
        self.members = dice.pick(&[3, 3, 5]);
        self.snapshots.interval = dice.pick(&[50, 200]) * MILLI;
        self.snapshots.slowness = dice.pick(&[1, 10]);
        (self.snapshots.broken, self.snapshots.spoilt) = (0, 0);
        self.snapshots.deviation = dice.pick(&[300, 1_000]) * MILLI;
        self.set_limits(Limits { purge_keep_bytes: u64::MAX, ..draw_limits(dice, true) });
        self.faults.classes =
            DISTURBED.iter().copied().filter(|_| dice.chance(ALWAYS / 2)).collect();
        self.faults.interval = self.faults.interval.max(150 * MILLI);
        self.faults.duration = dice.pick(&[50, 300]) * MILLI;
        self.faults.time_min = self.faults.time_min.max(4 * SECOND);
        self.clients = self.clients.min(4);
        self.workload.pause = self.workload.pause.max(3 * MILLI);
    }

    /// Takes snapshots often, purges behind them, and has members miss much.
    pub(super) fn favour_fetches(&mut self, seed: u64) {
        let dice = &mut Dice::new(seed, "fetches");
        let limits = draw_limits(dice, true);
        self.set_limits(Limits {
            snapshot_interval_bytes: dice.pick(&[2 << 10, 8 << 10, 32 << 10]),
            purge_keep_bytes: dice.pick(&[0, 0, 4 << 10]),
            ..limits
        });
        self.members = self.members.max(3);
        self.snapshots.slowness = dice.pick(&[1, 10]);
        self.snapshots.spoilt = dice.pick(&[0, ALWAYS / 8, ALWAYS / 2]);
        let half = AWAY.iter().filter(|_| dice.chance(ALWAYS / 2));
        half.chain(&[C::Isolate]).for_each(|class| self.faults.classes.add(*class));
        self.faults.interval = self.faults.interval.max(150 * MILLI);
        self.faults.duration = dice.pick(&[600, 1_500]) * MILLI;
        self.faults.time_min = self.faults.time_min.max(3 * SECOND);
        // So much goes on besides that it need not be fast.
        self.clients = self.clients.min(4);
        self.workload.pause = self.workload.pause.max(3 * MILLI);
    }
}
