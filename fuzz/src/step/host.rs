//! A member with its disk and its service.

use quorate_core::{
    Actions, BootEpoch, Delivery, Durability, Duration, Endpoint, Incarnation, Instant, Life,
    Limits, LogTime, Member, MemberConfig, MemberId, Outputs, Position, RecoveryEpoch, Sender,
    Stream, Timing,
};

use super::disk::Disk;
use crate::GROUP;

pub(super) const MEMBERS: u16 = 3;
pub(super) const SLICE_BYTES: usize = 64;
/// The service schedules timers with numbers below this.
const TIMERS: u8 = 2;

#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) member: Member,
    pub(super) actions: Actions,
    pub(super) outputs: Outputs,
    /// Reads that the service answers next.
    pub(super) queries: Vec<u64>,
    /// The end of what the service was handed and has not reported.
    pub(super) applying: Option<Position>,
    pub(super) disk: Disk,
    /// The next append finds no space.
    pub(super) is_full: bool,
    /// Where the appends of the last event were refused.
    pub(super) refused: Option<Position>,
}

/// So small that every limit is met.
pub(super) fn limits() -> Limits {
    Limits {
        window_bytes: 4 << 10,
        message_bytes_max: 256,
        uncommitted_bytes_max: 1 << 10,
        unapplied_bytes_max: 1 << 10,
        slice_bytes: SLICE_BYTES as u32,
        run_bytes_max: 256,
        coverage_ranges_max: 4,
        repair_request_bytes_max: 1 << 10,
        repair_budget_bytes: 2 << 10,
        reads_max: 2,
        read_bytes_max: 2 << 10,
        apply_batch_max: 4,
        sessions_max: 2,
        session_window_bytes: 2 << 10,
        in_flight_max: 4,
        reply_bytes_max: 256,
        timers_max: usize::from(TIMERS),
        snapshot_interval_bytes: 0,
        purge_keep_bytes: 0,
        log_bytes_max: u64::MAX,
        queries_max: 4,
    }
}

pub(super) const fn endpoint(number: u16) -> Endpoint {
    let mut bytes = [0; 18];
    let [high, low] = number.to_be_bytes();
    (bytes[16], bytes[17]) = (high, low);
    Endpoint(bytes)
}

impl Host {
    /// The first life of a member.
    pub(super) fn new(number: u16) -> Self {
        let mut disk = Disk::default();
        let member = start(number, &mut disk, Instant(0));
        let (actions, outputs, queries) = (Actions::new(), Outputs::new(), Vec::new());
        let (applying, is_full, refused) = (None, false, None);
        Self { member, actions, outputs, queries, applying, disk, is_full, refused }
    }

    /// Power fails, and the next life begins with what was durable.
    pub(super) fn restart(&mut self, now: Instant) {
        self.member = start(self.id().0, &mut self.disk, now);
        self.actions.clear();
        self.outputs.clear();
        self.queries.clear();
        (self.applying, self.refused) = (None, None);
    }

    pub(super) fn id(&self) -> MemberId {
        self.member.config().member
    }

    pub(super) fn sender(&self) -> Sender {
        let Life { member, incarnation, boot_epoch } = self.member.view().life;
        Sender::Member { member, incarnation, boot_epoch }
    }

    /// Appends bytes of the window to the log, unless there is no space.
    pub(super) fn append(&mut self, range: quorate_core::PositionRange) {
        if self.is_full || self.refused.is_some() {
            self.is_full = false;
            self.refused.get_or_insert(range.start);
            return;
        }
        assert_eq!(range.start.0, self.disk.log.len() as u64, "appends are contiguous");
        let (first, second) = self.member.bytes(Stream::Log, range);
        assert_eq!((first.len() + second.len()) as u64, range.len(), "an append has its bytes");
        self.disk.log.extend_from_slice(first);
        self.disk.log.extend_from_slice(second);
    }

    /// The service: a reply as the payload says, and now and then a timer. The same on all members.
    pub(super) fn serve(&mut self, time: LogTime, delivery: &Delivery, payload: &[u8]) {
        let (first, last) = (payload.first().copied(), payload.last().copied());
        match (*delivery, first) {
            (Delivery::Message { session, sequence, .. }, Some(first)) => {
                // Every eighth message has no reply of its own, and an empty one goes out.
                if first % 8 != 0 {
                    self.outputs.reply(session, sequence, payload);
                }
                let timer = u64::from(last.unwrap_or_default() % TIMERS);
                let after = Duration::from_millis(u64::from(first));
                match first % 16 {
                    1 => self.outputs.schedule_timer(timer, LogTime(time.0 + after.0)),
                    2 => self.outputs.cancel_timer(timer),
                    _ => {}
                }
            }
            (Delivery::Timer { timer }, _) if time.0.is_multiple_of(2) => {
                let next = time.0 + Duration::from_millis(1).0;
                self.outputs.schedule_timer(timer, LogTime(next));
            }
            _ => {}
        }
    }
}

fn start(number: u16, disk: &mut Disk, now: Instant) -> Member {
    disk.boot_epoch += 1;
    let life = Life {
        member: MemberId(number),
        incarnation: Incarnation(1),
        boot_epoch: BootEpoch(disk.boot_epoch),
    };
    let config = MemberConfig {
        group: GROUP,
        recovery_epoch: RecoveryEpoch(0),
        durability: Durability::default(),
        member: life.member,
        voters: (1..=MEMBERS).map(|member| (MemberId(member), endpoint(member))).collect(),
        joins: false,
        seed: u64::from(number) + (disk.boot_epoch << 16),
        timing: Timing::default(),
        limits: limits(),
    };
    let recovered = disk.recover(config.tag(), life, config.limits.frame_bytes_max());
    match Member::new(config, recovered, now) {
        Ok(member) => member,
        Err(error) => panic!("member {number} does not start again: {error}"),
    }
}
