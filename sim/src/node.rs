//! One member's host: its clock, its disk, its service, and the member itself while it is up.

use std::collections::VecDeque;

use quorate_core::{Counters, Member, MemberId, OperationId, Outputs, Position, View};

use crate::clock::Clock;
use crate::disk::{Refusal, SimDisk};
use crate::ledger::Service;
use crate::world::Occurrence;

/// What makes a member stop, and was done to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Broken {
    Storage,
    Service,
}

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
    /// An event is being worked on until then.
    pub(crate) busy_until: u64,
    /// Each event takes so long, until a time.
    pub(crate) slow: (u64, u64),
    /// What waits while the process stands still, and when it is looked at.
    pub(crate) inbox: VecDeque<Occurrence>,
    pub(crate) wake_at: Option<u64>,
    pub(crate) stalled_until: u64,
    /// How many times slower the disk is, until a time.
    pub(crate) slow_disk: (u64, u64),
    pub(crate) disk_full: bool,
    /// The next write, or the next sync, fails.
    pub(crate) fails_write: bool,
    pub(crate) fails_sync: bool,
    pub(crate) fails_service: bool,
    /// What was done to the member that it has to stop for.
    pub(crate) broken: Option<Broken>,
    /// The life that was told to stop.
    pub(crate) stopping: Option<u64>,
    /// The last life was told to stop, and did when its disk had what it promised.
    pub(crate) stopped_in_order: bool,
    /// Why it does not start.
    pub(crate) refusal: Option<Refusal>,
    /// It stays as it is for ever.
    pub(crate) is_given_up: bool,
    /// No operation of a kind completes before an earlier one of that kind.
    pub(crate) disk_ready: [u64; 8],
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
    /// Snapshots, and parts of them, that cannot be stored, and the member is to be told next.
    pub(crate) unsaved: VecDeque<OperationId>,
    /// What the service said to reads, and the member is to be told next.
    pub(crate) served: VecDeque<(u64, Option<Vec<u8>>)>,
    /// Something in this event failed, and the member is to be told next.
    pub(crate) failed: Option<Broken>,
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
            busy_until: 0,
            slow: (0, 0),
            inbox: VecDeque::new(),
            wake_at: None,
            stalled_until: 0,
            slow_disk: (0, 1),
            disk_full: false,
            fails_write: false,
            fails_sync: false,
            fails_service: false,
            broken: None,
            stopping: None,
            stopped_in_order: false,
            refusal: None,
            is_given_up: false,
            disk_ready: [0; 8],
            issued: VecDeque::new(),
            crash_after: None,
            applying: None,
            outputs: Outputs::new(),
            late: VecDeque::new(),
            refused: None,
            unsaved: VecDeque::new(),
            served: VecDeque::new(),
            failed: None,
        }
    }

    /// Forgets all that a crash takes, but for the disk.
    pub(crate) fn forget(&mut self) -> Option<Counters> {
        let member = self.member.take()?;
        self.timer_at = None;
        self.busy_until = 0;
        self.inbox.clear();
        self.disk_ready = [0; 8];
        self.crash_after = None;
        self.applying = None;
        self.outputs.clear();
        self.late.clear();
        self.refused = None;
        self.unsaved.clear();
        self.served.clear();
        self.failed = None;
        self.broken = None;
        Some(*member.counters())
    }

    /// Ends what is wrong with process and disk, but for what is on the medium.
    pub(crate) fn mend(&mut self, now: u64) {
        self.paused_until = self.paused_until.min(now);
        self.busy_until = self.busy_until.min(now);
        self.slow = (0, 0);
        self.stalled_until = now;
        self.slow_disk = (0, 1);
        self.disk_ready = self.disk_ready.map(|ready| ready.min(now));
        self.disk_full = false;
        self.fails_write = false;
        self.fails_sync = false;
        self.fails_service = false;
        self.crash_after = None;
    }

    /// Until when the process stands still, if it does at `now`.
    pub(crate) fn still_until(&self, now: u64) -> Option<u64> {
        Some(self.paused_until.max(self.busy_until)).filter(|until| *until > now)
    }

    /// The boot epoch of the life that runs.
    pub(crate) const fn life(&self) -> u64 {
        self.view.life.boot_epoch.0
    }
}
