//! Worlds in which faults befall a minority only: there a quorum is well all the time, and has to
//! serve all the time.

use super::{FaultClass as C, FaultClasses, MILLI, SECOND, Swarm};

/// Faults of one member, or of links at one member, that leave no mark on its medium.
const OF_ONE_MEMBER: &[C] = &[
    C::Loss,
    C::Duplicate,
    C::Reorder,
    C::Corrupt,
    C::Clog,
    C::Mtu,
    C::Bandwidth,
    C::Filter,
    C::Isolate,
    C::OneWay,
    C::Flap,
    C::PathCut,
    C::Kill,
    C::Midway,
    C::Pause,
    C::SlowProcess,
    C::ServiceFailure,
    C::PowerCut,
    C::TornSector,
    C::WriteError,
    C::SyncError,
    C::DiskFull,
    C::DiskStall,
    C::SlowDisk,
    C::LateTimer,
    C::ClientCrash,
    C::OddSizes,
];
/// Of a million datagrams so many are lost, and so many are spoilt, at most.
const RATE_MAX: u32 = 20_000;

impl Swarm {
    /// Keeps to faults of a minority, which is another one every few seconds, and to times and
    /// losses that everybody else can work with.
    pub(super) fn spare_a_quorum(&mut self) {
        let known: FaultClasses = OF_ONE_MEMBER.iter().copied().collect();
        let drawn = self.faults.classes.iter().filter(|class| known.has(*class));
        // There is a leader to take over from in each of these worlds.
        self.faults.classes = drawn.chain([C::Kill, C::Isolate, C::Pause]).collect();
        self.faults.spares_quorum = true;
        self.faults.order = Vec::new();
        self.faults.interval = self.faults.interval.max(150 * MILLI);
        self.faults.duration = self.faults.duration.min(300 * MILLI);
        self.faults.time_min = 10 * SECOND;
        self.members = self.members.max(3);
        // So long a run is a slow one, or it would be many steps.
        self.clients = self.clients.min(2);
        self.network.loss %= RATE_MAX;
        self.network.corrupt %= RATE_MAX;
        self.workload.pause = self.workload.pause.max(40 * MILLI);
    }
}
