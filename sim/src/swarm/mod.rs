//! What is drawn for one seed before it runs: sizes, limits, and which faults happen how often.

mod classes;
mod draw;
mod fetches;
mod membership;
mod minority;
mod schedules;
mod volatile;

pub(crate) use classes::Sort;
pub use classes::{FaultClass, FaultClasses};
pub use schedules::{NamedSchedule, SCHEDULES};

use quorate_core::client::{ClientLimits, ClientTiming};
use quorate_core::{Durability, Duration, Limits, Timing};

/// One microsecond, in nanoseconds.
pub const MICRO: u64 = 1_000;
/// One millisecond, in nanoseconds.
pub const MILLI: u64 = 1_000_000;
/// One second, in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;

/// The options of one seed.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// Machines: all of them vote, unless members change.
    pub members: usize,
    /// How members change.
    pub membership: MembershipOptions,
    /// Clients at a time.
    pub clients: usize,
    /// The members' time-outs.
    pub timing: Timing,
    /// The members' limits.
    pub limits: Limits,
    /// The clients' time-outs.
    pub client_timing: ClientTiming,
    /// The clients' limits.
    pub client_limits: ClientLimits,
    /// What links do to datagrams.
    pub network: NetworkOptions,
    /// How disks behave.
    pub disk: DiskOptions,
    /// How processes and clocks behave.
    pub process: ProcessOptions,
    /// How often snapshots are taken, and what becomes of them.
    pub snapshots: SnapshotOptions,
    /// Which faults are injected.
    pub faults: FaultOptions,
    /// What the clients do.
    pub workload: Workload,
    /// The probability, in millionths, of a flush after an event.
    pub flush: u32,
    /// The most that a member's clock goes wrong, in millionths.
    pub clock_error: u64,
    /// Whether datagrams go through their bytes.
    pub encoded: bool,
    /// How long each member lets the others go first, in nanoseconds; the last one stands for all
    /// behind it.
    pub candidacy_delays: Vec<u64>,
    /// What the members take for committed: durable bytes, unless a schedule says otherwise.
    pub durability: Durability,
    /// How often a client reads when it might submit, in millionths.
    pub reads: u32,
}

/// What links do to datagrams. Probabilities are in millionths, times in nanoseconds.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// The shortest latency.
    pub latency_min: u64,
    /// The longest, of links without a law of their own.
    pub latency_max: u64,
    /// The mean of the laws that links draw, where they have one of their own.
    pub law_mean: u64,
    /// Independent loss.
    pub loss: u32,
    /// How often a burst of loss begins, per datagram.
    pub burst: u32,
    /// Datagrams in a burst, on average.
    pub burst_length: u32,
    /// Duplication.
    pub duplicate: u32,
    /// How often an old datagram is sent again.
    pub replay: u32,
    /// How often a bit is flipped, or a datagram changes its length; only of encoded ones.
    pub corrupt: u32,
    /// How often a stranger sends something, per datagram.
    pub strange: u32,
}

/// How members change.
#[derive(Clone, Copy, Debug, Default)]
pub struct MembershipOptions {
    /// How many machines form the group; the others come later. Zero for all.
    pub formed: usize,
    /// The mean time between two demands for a change, in nanoseconds; 0 for none.
    pub interval: u64,
}

/// How disks behave; times in nanoseconds.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// The shortest operation.
    pub latency_min: u64,
    /// The longest.
    pub latency_max: u64,
}

/// How often snapshots are taken, and what becomes of them. By the log's growth as well:
/// `limits.snapshot_interval_bytes`.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// The mean time between two requests for one, in nanoseconds; 0 for none.
    pub interval: u64,
    /// How many times longer than other operations storing one takes.
    pub slowness: u64,
    /// How often the newest one is broken when a member starts, in millionths.
    pub broken: u32,
    /// How often a bit of one that was fetched flips before it is checked, in millionths.
    pub spoilt: u32,
}

/// How processes, their clocks and their services behave.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// How often a clock goes back, in millionths of its readings.
    pub clock_back: u32,
    /// The most that a wake-up is late, in nanoseconds.
    pub wake_late_max: u64,
    /// Wake-ups come at multiples of this only, in nanoseconds; 0 for any time.
    pub wake_grain: u64,
    /// The probability, in millionths, that the service answers late.
    pub slow_service: u32,
    /// Datagrams that wait at a host that stands still, at most.
    pub inbox_max: usize,
}

/// Which faults are injected, and how often.
#[derive(Clone, Debug)]
pub struct FaultOptions {
    /// The classes that are on. Rates of those that are off are zero.
    pub classes: FaultClasses,
    /// The mean time between two faults, in nanoseconds.
    pub interval: u64,
    /// The mean time until one ends.
    pub duration: u64,
    /// Whether faults begin before there is a leader.
    pub from_start: bool,
    /// How long faults go on at least behind the first leader, in nanoseconds: long enough for
    /// several elections in some seeds.
    pub time_min: u64,
    /// Faults in a fixed order instead of drawn ones.
    pub order: Vec<FaultClass>,
    /// Whether they befall a minority only, which is another one every few seconds.
    pub spares_quorum: bool,
}

/// What the clients do.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The mean pause between two submissions of one client, in nanoseconds.
    pub pause: u64,
    /// How often a message is large, in millionths.
    pub large: u32,
    /// How often it is empty.
    pub empty: u32,
    /// What each client submits at most; the calm phase asks for one message more.
    pub messages_max: u64,
}

impl Swarm {
    /// Switches a class off: nothing else changes, neither sizes nor what other classes draw.
    pub fn disable(&mut self, class: FaultClass) {
        self.faults.classes.remove(class);
        self.clear_rates();
    }

    /// The time-outs of the member with this index.
    #[must_use]
    pub fn timing_of(&self, member: usize) -> Timing {
        let delays = &self.candidacy_delays;
        let delay = delays.get(member).or_else(|| delays.last()).copied().unwrap_or_default();
        let lease = self.timing.lease.filter(|_| self.clocks_are_sound());
        Timing { candidacy_delay: Duration(delay), lease, ..self.timing.clone() }
    }

    /// Whether no clock is further off than leases allow for.
    fn clocks_are_sound(&self) -> bool {
        use FaultClass::{ClockBack, ClockFreeze, ClockRate, ClockZero};
        let odd = [ClockBack, ClockFreeze, ClockRate, ClockZero];
        !odd.iter().any(|class| self.faults.classes.has(*class))
    }

    /// Zeroes the rates of all classes that are off.
    fn clear_rates(&mut self) {
        let on = self.faults.classes;
        let rate = |class, rate: &mut u32| {
            if !on.has(class) {
                *rate = 0;
            }
        };
        rate(FaultClass::Loss, &mut self.network.loss);
        rate(FaultClass::Burst, &mut self.network.burst);
        rate(FaultClass::Duplicate, &mut self.network.duplicate);
        rate(FaultClass::Replay, &mut self.network.replay);
        rate(FaultClass::Corrupt, &mut self.network.corrupt);
        rate(FaultClass::ClockBack, &mut self.process.clock_back);
        rate(FaultClass::SlowService, &mut self.process.slow_service);
        rate(FaultClass::OddSizes, &mut self.workload.large);
        rate(FaultClass::OddSizes, &mut self.workload.empty);
        let strange = [FaultClass::EdgeValues, FaultClass::RandomBytes, FaultClass::Strangers];
        if !strange.iter().any(|class| on.has(*class)) {
            self.network.strange = 0;
        }
        if !on.has(FaultClass::ClockRate) {
            self.clock_error = self.clock_error.min(CLOCK_ERROR_MAX);
        }
        if !on.has(FaultClass::LateTimer) {
            (self.process.wake_late_max, self.process.wake_grain) = (0, 0);
        }
        if !on.has(FaultClass::Overflow) {
            self.process.inbox_max = INBOX_MAX;
        }
    }

    /// What a medium writes as a whole, in bytes.
    #[must_use]
    pub fn medium_unit(&self) -> usize {
        if self.faults.classes.has(FaultClass::TornSector) { 512 } else { 4_096 }
    }
}

/// By how much any clock may be wrong, in millionths.
pub(crate) const CLOCK_ERROR_MAX: u64 = 10_000;
/// Datagrams that wait at a host that stands still, as a rule.
const INBOX_MAX: usize = 4_096;
