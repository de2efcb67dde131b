//! What is drawn for one seed before it runs: sizes, limits, and which faults happen how often.

use quorate_core::client::{ClientLimits, ClientTiming};
use quorate_core::{Duration, Limits, Timing};

use crate::dice::{ALWAYS, Dice};

/// One microsecond, in nanoseconds.
pub const MICRO: u64 = 1_000;
/// One millisecond, in nanoseconds.
pub const MILLI: u64 = 1_000_000;
/// One second, in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;

/// The options of one seed.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// Voters.
    pub members: usize,
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
    /// Which faults are injected.
    pub faults: FaultOptions,
    /// What the clients do.
    pub workload: Workload,
    /// The probability, in millionths, of a flush after an event.
    pub flush: u32,
    /// The most that a member's clock goes wrong, in millionths.
    pub clock_error: u64,
    /// The most that a wake-up is late, in nanoseconds.
    pub wake_late_max: u64,
    /// The probability, in millionths, that the service answers late.
    pub slow_service: u32,
    /// Whether datagrams go through their bytes.
    pub encoded: bool,
}

/// What links do to datagrams. Probabilities are in millionths, times in nanoseconds.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// The shortest latency.
    pub latency_min: u64,
    /// The longest of the uniform part.
    pub latency_max: u64,
    /// How often an exponential part is added.
    pub tail: u32,
    /// Its mean.
    pub tail_mean: u64,
    /// Independent loss.
    pub loss: u32,
    /// How often a burst of loss begins, per datagram.
    pub burst: u32,
    /// Duplication.
    pub duplicate: u32,
    /// How often an old datagram is sent again.
    pub replay: u32,
    /// How often a bit is flipped; only of encoded datagrams.
    pub flip: u32,
}

/// How disks behave; times in nanoseconds.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// The shortest operation.
    pub latency_min: u64,
    /// The longest.
    pub latency_max: u64,
}

/// Which faults are injected, and how often.
#[derive(Clone, Debug)]
pub struct FaultOptions {
    /// The kinds that are on.
    pub kinds: Vec<FaultKind>,
    /// The mean time between two faults, in nanoseconds.
    pub interval: u64,
    /// The mean time until one ends.
    pub duration: u64,
    /// Whether faults begin before there is a leader.
    pub from_start: bool,
    /// How long faults go on at least behind the first leader, in nanoseconds: long enough for
    /// several elections in some seeds.
    pub time_min: u64,
}

/// A fault that has a beginning and an end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FaultKind {
    /// Members and clients fall into two halves.
    Partition,
    /// One direction of one link is cut.
    OneWay,
    /// One member hears and reaches no other.
    Isolate,
    /// The leader reaches its clients but no member, so that it goes on with a tail of its own; its
    /// successor crashes just when it comes back.
    Depose,
    /// A link goes down and up.
    Flap,
    /// A link is slow.
    Clog,
    /// A member crashes.
    Crash,
    /// All members crash.
    PowerLoss,
    /// A member stands still.
    Pause,
    /// A disk stands still.
    DiskStall,
    /// A disk is full.
    DiskFull,
    /// A client crashes; another comes.
    ClientCrash,
    /// A client reaches nobody.
    ClientCut,
}

/// All kinds of faults.
pub const FAULT_KINDS: [FaultKind; 13] = [
    FaultKind::Partition,
    FaultKind::OneWay,
    FaultKind::Isolate,
    FaultKind::Depose,
    FaultKind::Flap,
    FaultKind::Clog,
    FaultKind::Crash,
    FaultKind::PowerLoss,
    FaultKind::Pause,
    FaultKind::DiskStall,
    FaultKind::DiskFull,
    FaultKind::ClientCrash,
    FaultKind::ClientCut,
];

/// What the clients do.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The mean pause between two submissions of one client, in nanoseconds.
    pub pause: u64,
    /// How often a message is large, in millionths.
    pub large: u32,
    /// How often it is empty.
    pub empty: u32,
}

const HALF: u32 = ALWAYS / 2;

impl Swarm {
    /// Draws the options of `seed`.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let dice = &mut Dice::new(seed, "swarm");
        let members = dice.pick(&[3, 3, 3, 3, 3, 3, 5, 5, 2, 1, 4, 7]);
        let small = dice.chance(HALF);
        let limits = draw_limits(dice, small);
        let timing = draw_timing(dice);
        let encoded = dice.chance(ALWAYS / 4);
        let faults = draw_faults(dice);
        let is_long = faults.time_min > 0;
        Self {
            members,
            clients: dice.between(1, 8) as usize,
            client_limits: ClientLimits {
                message_bytes_max: limits.message_bytes_max,
                session_window_bytes: limits.session_window_bytes,
                in_flight_max: limits.in_flight_max,
                slice_bytes: limits.slice_bytes,
                run_bytes_max: limits.run_bytes_max,
                coverage_ranges_max: limits.coverage_ranges_max,
            },
            client_timing: ClientTiming {
                give_up_after: Duration(u64::MAX / 4),
                ..ClientTiming::default()
            },
            timing,
            limits,
            network: draw_network(dice, encoded),
            disk: draw_disk(dice),
            faults,
            workload: Workload {
                // Long runs are slow ones, so that they are not much longer in steps.
                pause: if is_long {
                    dice.pick(&[10 * MILLI, 40 * MILLI])
                } else {
                    dice.pick(&[200 * MICRO, MILLI, 3 * MILLI, 20 * MILLI])
                },
                large: dice.pick(&[0, 20_000, 100_000]),
                empty: dice.pick(&[10_000, 100_000]),
            },
            flush: dice.pick(&[ALWAYS, HALF, ALWAYS / 10]),
            clock_error: if dice.chance(HALF) { dice.between(1, 10_000) } else { 0 },
            wake_late_max: if dice.chance(HALF) { dice.between(0, 2 * MILLI) } else { 0 },
            slow_service: if dice.chance(HALF) { dice.pick(&[20_000, 300_000]) } else { 0 },
            encoded,
        }
    }
}

fn draw_limits(dice: &mut Dice, small: bool) -> Limits {
    if !small {
        let window = 1 << dice.between(18, 20);
        return Limits {
            window_bytes: window,
            message_bytes_max: 16 << 10,
            uncommitted_bytes_max: window / 2,
            unapplied_bytes_max: window / 2,
            session_window_bytes: 128 << 10,
            in_flight_max: 64,
            reply_bytes_max: 4 << 10,
            sessions_max: 128,
            ..Limits::default()
        };
    }
    let window: u64 = dice.pick(&[16 << 10, 32 << 10, 64 << 10]);
    let session: u64 = dice.pick(&[8 << 10, 16 << 10]);
    let message = window.min(session) / 4 - 128;
    let message = dice.between(message / 2, message) & !7;
    let frame = message + 128;
    let slice = dice.pick(&[64, 256, 1_216]);
    Limits {
        window_bytes: window,
        message_bytes_max: message as u32,
        uncommitted_bytes_max: dice.between(frame, window / 2),
        unapplied_bytes_max: dice.between(frame, window / 2),
        slice_bytes: slice as u32,
        run_bytes_max: slice * dice.between(1, 16),
        coverage_ranges_max: dice.pick(&[2, 8, 64]),
        repair_request_bytes_max: dice.between(slice.max(2_048), window),
        repair_budget_bytes: dice.between(slice.max(4_096), 64 << 10),
        reads_max: dice.between(1, 4) as usize,
        read_bytes_max: dice.between(frame, 2 * frame),
        apply_batch_max: dice.pick(&[1, 4, 64]),
        sessions_max: 128,
        session_window_bytes: session,
        in_flight_max: dice.pick(&[1, 4, 32]),
        reply_bytes_max: 512,
        timers_max: 64,
    }
}

fn draw_timing(dice: &mut Dice) -> Timing {
    let default = Timing::default();
    Timing {
        session_timeout: Duration(dice.pick(&[800, 3_000, 10_000, 60_000]) * MILLI),
        progress_timeout: Duration(dice.pick(&[400, 1_000]) * MILLI),
        nak_retry: Duration(dice.pick(&[2, 10, 20]) * MILLI),
        repair_linger: Duration(dice.pick(&[1, 5]) * MILLI),
        peer_record_interval: Duration(dice.pick(&[20, 1_000]) * MILLI),
        ..default
    }
}

fn draw_network(dice: &mut Dice, encoded: bool) -> NetworkOptions {
    let mut sometimes =
        |most: u64| -> u32 { if dice.chance(HALF) { (dice.below(most) + 1) as u32 } else { 0 } };
    let loss = sometimes(200_000);
    let burst = sometimes(3_000);
    let duplicate = sometimes(100_000);
    let replay = sometimes(50_000);
    let tail = sometimes(100_000);
    let flip = if encoded { sometimes(50_000) } else { 0 };
    let latency_min = dice.pick(&[20 * MICRO, 200 * MICRO, MILLI]);
    NetworkOptions {
        latency_min,
        latency_max: latency_min * dice.between(1, 5),
        tail,
        tail_mean: dice.pick(&[2 * MILLI, 20 * MILLI, 80 * MILLI]),
        loss,
        burst,
        duplicate,
        replay,
        flip,
    }
}

fn draw_disk(dice: &mut Dice) -> DiskOptions {
    let latency_min = dice.pick(&[10 * MICRO, 100 * MICRO, MILLI]);
    DiskOptions { latency_min, latency_max: latency_min * dice.between(1, 12) }
}

fn draw_faults(dice: &mut Dice) -> FaultOptions {
    // A named schedule in some seeds: every new leader is deposed with a tail of its own.
    if dice.chance(ALWAYS / 8) {
        return FaultOptions {
            kinds: vec![FaultKind::Depose],
            interval: dice.pick(&[400, 800]) * MILLI,
            duration: 200 * MILLI,
            from_start: false,
            time_min: 6_000 * MILLI,
        };
    }
    let kinds = FAULT_KINDS.into_iter().filter(|kind| match kind {
        FaultKind::PowerLoss | FaultKind::DiskFull => dice.chance(ALWAYS / 4),
        _ => dice.chance(HALF),
    });
    FaultOptions {
        kinds: kinds.collect(),
        interval: dice.pick(&[50, 150, 400]) * MILLI,
        duration: dice.pick(&[30, 200, 600]) * MILLI,
        from_start: dice.chance(ALWAYS / 3),
        time_min: dice.pick(&[0, 1_000, 4_000]) * MILLI,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::client::ClientConfig;
    use quorate_core::{ClientKey, Endpoint, GroupId, MemberConfig, MemberId, RecoveryEpoch};

    #[test]
    fn every_seed_draws_a_sound_configuration() {
        for seed in 0..500 {
            let swarm = Swarm::draw(seed);
            let voters = [(MemberId(1), Endpoint::default())].into_iter().collect();
            let member = MemberConfig {
                group: GroupId(1),
                recovery_epoch: RecoveryEpoch(0),
                member: MemberId(1),
                voters,
                seed,
                timing: swarm.timing,
                limits: swarm.limits,
            };
            assert_eq!(member.problems(), [], "seed {seed}");
            let client = ClientConfig {
                group: GroupId(1),
                recovery_epoch: RecoveryEpoch(0),
                key: ClientKey(1),
                members: member.voters.clone(),
                seed,
                timing: swarm.client_timing,
                limits: swarm.client_limits,
            };
            assert_eq!(client.problems(), [], "seed {seed}");
        }
    }
}
