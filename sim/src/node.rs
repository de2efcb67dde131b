//! One member's host: its clock, its disk, its service, and the member itself while it is up.

use std::collections::VecDeque;

use quorate_core::{Counters, Instant, Member, MemberId, OperationId, Outputs, Position, View};

use crate::disk::SimDisk;
use crate::ledger::Service;

/// A host with, at times, a member on it.
pub(crate) struct Node {
    pub(crate) id: MemberId,
    pub(crate) member: Option<Member>,
    pub(crate) service: Box<dyn Service>,
    pub(crate) disk: SimDisk,
    pub(crate) clock: Clock,
    /// How the member was before its last step, and how it is since.
    pub(crate) before: View,
    pub(crate) view: View,
    /// When the next timer is due that was scheduled, by the world's clock.
    pub(crate) timer_at: Option<u64>,
    pub(crate) paused_until: u64,
    pub(crate) stalled_until: u64,
    pub(crate) disk_full: bool,
    /// No operation of a kind completes before an earlier one of that kind.
    pub(crate) disk_ready: [u64; 5],
    /// Operations that were asked for in this life: some complete late in the next.
    pub(crate) issued: VecDeque<OperationId>,
    /// The member crashes after this many more actions.
    pub(crate) crash_after: Option<u32>,
    /// What the service was handed in this event: up to where, and what it wants.
    pub(crate) applying: Option<Position>,
    pub(crate) outputs: Outputs,
    /// What the service has not reported yet, and when it will.
    pub(crate) late: VecDeque<(u64, Position, Outputs)>,
    /// An append that was refused in this event.
    pub(crate) refused: Option<Position>,
}

impl Node {
    pub(crate) fn new(
        id: MemberId,
        disk: SimDisk,
        clock: Clock,
        service: Box<dyn Service>,
    ) -> Self {
        Self {
            id,
            member: None,
            service,
            disk,
            clock,
            before: View::default(),
            view: View::default(),
            timer_at: None,
            paused_until: 0,
            stalled_until: 0,
            disk_full: false,
            disk_ready: [0; 5],
            issued: VecDeque::new(),
            crash_after: None,
            applying: None,
            outputs: Outputs::new(),
            late: VecDeque::new(),
            refused: None,
        }
    }

    /// Forgets all that a crash takes, but for the disk.
    pub(crate) fn forget(&mut self) -> Option<Counters> {
        let member = self.member.take()?;
        self.timer_at = None;
        self.disk_ready = [0; 5];
        self.crash_after = None;
        self.applying = None;
        self.outputs.clear();
        self.late.clear();
        self.refused = None;
        Some(*member.counters())
    }

    /// The boot epoch of the life that runs.
    pub(crate) const fn life(&self) -> u64 {
        self.view.life.boot_epoch.0
    }
}

/// A monotonic clock that runs a little fast or slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Millionths by which it is fast.
    pub(crate) error: i64,
}

impl Clock {
    /// What it shows at the world's time `now`.
    pub(crate) const fn at(self, now: u64) -> Instant {
        Instant((now as i128 + now as i128 * self.error as i128 / 1_000_000) as u64)
    }

    /// The first time of the world at which it shows `instant`.
    pub(crate) fn when(self, instant: Instant) -> u64 {
        let scaled = i128::from(instant.0) * 1_000_000 / (1_000_000 + i128::from(self.error));
        let mut now = u64::try_from(scaled.min(i128::from(u64::MAX / 4))).unwrap_or(0);
        while self.at(now) < instant && now < u64::MAX / 4 {
            now += 1;
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_maps_both_ways() {
        for error in [-10_000, -1, 0, 1, 9_999] {
            let clock = Clock { error };
            for instant in [0, 1, 12_345_678, 98_765_432_101] {
                let now = clock.when(Instant(instant));
                assert!(clock.at(now) >= Instant(instant));
                assert!(now == 0 || clock.at(now - 1) < Instant(instant));
            }
        }
    }
}
