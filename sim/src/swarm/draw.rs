//! The draws of a seed's options. Each part has dice of its own.

use quorate_core::client::{ClientLimits, ClientTiming};
use quorate_core::config::Lease;
use quorate_core::{Durability, Duration, Limits, Timing};

use super::{
    CLOCK_ERROR_MAX, DiskOptions, FaultClass, FaultClasses, FaultOptions, INBOX_MAX, MICRO, MILLI,
    MembershipOptions, NetworkOptions, ProcessOptions, SnapshotOptions, Sort, Swarm, Workload,
};
use crate::dice::{ALWAYS, Dice};

const HALF: u32 = ALWAYS / 2;

impl Swarm {
    /// Draws the options of `seed`.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let dice = |label| Dice::new(seed, label);
        let sizes = &mut dice("swarm sizes");
        let members = sizes.pick(&[3, 3, 3, 3, 3, 3, 5, 5, 2, 1, 4, 7]);
        let clients = sizes.between(1, 8) as usize;
        let encoded = sizes.chance(ALWAYS / 4);
        let flush = sizes.pick(&[ALWAYS, HALF, ALWAYS / 10]);
        let small = sizes.chance(HALF);
        let limits = draw_limits(&mut dice("swarm limits"), small);
        let faults = draw_faults(&mut dice("swarm faults"));
        let (snapshots, snapshot_interval_bytes) = draw_snapshots(&mut dice("swarm snapshots"));
        let limits = Limits { snapshot_interval_bytes, ..limits };
        let limits = draw_purging(&mut dice("swarm purging"), limits);
        let is_long = faults.time_min > 0;
        let mut swarm = Self {
            members,
            membership: MembershipOptions::default(),
            clients,
            client_limits: client_limits(&limits),
            client_timing: ClientTiming {
                give_up_after: Duration(u64::MAX / 4),
                ..ClientTiming::default()
            },
            timing: draw_timing(&mut dice("swarm timing")),
            limits,
            network: draw_network(&mut dice("swarm network")),
            disk: draw_disk(&mut dice("swarm disk")),
            process: draw_process(&mut dice("swarm process")),
            workload: draw_workload(&mut dice("swarm workload"), is_long),
            snapshots,
            faults,
            flush,
            // Off by a little in most seeds, by half to double where the class is on.
            clock_error: dice("swarm clocks").pick(&[
                0,
                CLOCK_ERROR_MAX / 100,
                CLOCK_ERROR_MAX,
                u64::from(ALWAYS),
            ]),
            encoded,
            candidacy_delays: draw_delays(&mut dice("swarm priorities")),
            durability: Durability::Durable,
            reads: dice("swarm reads").pick(&crate::reads::RATES),
        };
        if dice("swarm fetches").chance(ALWAYS / 8) {
            swarm.favour_fetches(seed);
        }
        if dice("swarm minority").chance(ALWAYS / 32) {
            swarm.spare_a_quorum();
        }
        if dice("swarm leases").chance(HALF) {
            swarm.timing.lease = Some(Lease { drift_per_mille: 50 });
        }
        swarm.clear_rates();
        swarm
    }

    /// Gives the clients the limits that fit the members'.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.client_limits = client_limits(&limits);
        self.limits = limits;
    }
}

const fn client_limits(limits: &Limits) -> ClientLimits {
    ClientLimits {
        message_bytes_max: limits.message_bytes_max,
        session_window_bytes: limits.session_window_bytes,
        in_flight_max: limits.in_flight_max,
        slice_bytes: limits.slice_bytes,
        run_bytes_max: limits.run_bytes_max,
        coverage_ranges_max: limits.coverage_ranges_max,
    }
}

/// Limits of a usual size, or small ones, in which everything runs into its bounds.
pub(super) fn draw_limits(dice: &mut Dice, small: bool) -> Limits {
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
        snapshot_interval_bytes: 0,
        purge_keep_bytes: u64::MAX,
        log_bytes_max: u64::MAX,
        queries_max: 16,
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
        stall_timeout: Duration(dice.pick(&[40, 500]) * MILLI),
        ..default
    }
}

/// In one seed of three the members have priorities; in some of those none is the first.
fn draw_delays(dice: &mut Dice) -> Vec<u64> {
    if !dice.chance(ALWAYS / 3) {
        return Vec::new();
    }
    let delays = [0, 50, 200, 900].map(|millis| millis * MILLI);
    (0..quorate_core::config::VOTERS_MAX).map(|_| dice.pick(&delays)).collect()
}

fn draw_network(dice: &mut Dice) -> NetworkOptions {
    let latency_min = dice.pick(&[20 * MICRO, 200 * MICRO, MILLI]);
    let mut rate = |most: u64| (dice.below(most) + 1) as u32;
    NetworkOptions {
        latency_min,
        loss: rate(200_000),
        burst: rate(3_000),
        duplicate: rate(100_000),
        replay: rate(50_000),
        corrupt: rate(50_000),
        strange: rate(20_000),
        burst_length: dice.pick(&[4, 12, 50]),
        latency_max: latency_min * dice.between(1, 5),
        law_mean: latency_min * dice.pick(&[1, 4, 20]),
    }
}

fn draw_disk(dice: &mut Dice) -> DiskOptions {
    let latency_min = dice.pick(&[10 * MICRO, 100 * MICRO, MILLI]);
    DiskOptions { latency_min, latency_max: latency_min * dice.between(1, 12) }
}

/// How often they are taken at all, and after how many bytes of log. In many worlds never: there a
/// restart reads all of the log again, and what has rotted in it.
fn draw_snapshots(dice: &mut Dice) -> (SnapshotOptions, u64) {
    let none = dice.chance(HALF);
    let options = SnapshotOptions {
        interval: if none { 0 } else { dice.pick(&[0, 20 * MILLI, 400 * MILLI]) },
        slowness: dice.pick(&[1, 10, 200]),
        broken: dice.pick(&[0, ALWAYS / 8, HALF]),
        spoilt: 0,
    };
    let bytes = if none { 0 } else { dice.pick(&[0, 2 << 10, 20 << 10, 200 << 10]) };
    let spoilt = dice.pick(&[0, ALWAYS / 8, HALF]);
    (SnapshotOptions { spoilt, ..options }, bytes)
}

/// Whether logs lose their beginning, and how soon.
fn draw_purging(dice: &mut Dice, limits: Limits) -> Limits {
    let is_on = dice.chance(ALWAYS / 3);
    let keep = dice.pick(&[0, 4 << 10, 64 << 10, u64::MAX]);
    let cap = dice.pick(&[u64::MAX, u64::MAX, 4 * limits.window_bytes]);
    match is_on {
        true => Limits { purge_keep_bytes: keep, log_bytes_max: cap, ..limits },
        false => limits,
    }
}

fn draw_process(dice: &mut Dice) -> ProcessOptions {
    ProcessOptions {
        clock_back: dice.pick(&[1_000, 20_000]),
        wake_late_max: dice.between(0, 2 * MILLI),
        wake_grain: dice.pick(&[0, MILLI, 4 * MILLI, 15 * MILLI]),
        slow_service: dice.pick(&[20_000, 300_000]),
        inbox_max: dice.between(4, 64) as usize,
    }
}

fn draw_workload(dice: &mut Dice, is_long: bool) -> Workload {
    Workload {
        // Long runs are slow ones, so that they are not much longer in steps.
        pause: if is_long {
            dice.pick(&[10 * MILLI, 40 * MILLI])
        } else {
            dice.pick(&[200 * MICRO, MILLI, 3 * MILLI, 20 * MILLI])
        },
        large: dice.pick(&[20_000, 100_000]),
        empty: dice.pick(&[10_000, 100_000]),
        messages_max: u64::MAX,
    }
}

fn draw_faults(dice: &mut Dice) -> FaultOptions {
    let classes = draw_classes(dice);
    // Some seeds are of one sort of event only, which needs time: new leaders are deposed, each
    // with a tail of its own.
    if dice.chance(ALWAYS / 8) {
        let rates = classes.iter().filter(|class| class.sort() == Sort::Rate);
        return FaultOptions {
            classes: rates.chain([FaultClass::Depose]).collect(),
            interval: dice.pick(&[400, 800]) * MILLI,
            duration: 200 * MILLI,
            from_start: false,
            time_min: 6_000 * MILLI,
            order: Vec::new(),
            spares_quorum: false,
        };
    }
    FaultOptions {
        classes,
        interval: dice.pick(&[50, 150, 400]) * MILLI,
        duration: dice.pick(&[30, 200, 600]) * MILLI,
        from_start: dice.chance(ALWAYS / 3),
        time_min: dice.pick(&[0, 1_000, 4_000]) * MILLI,
        order: Vec::new(),
        spares_quorum: false,
    }
}

fn draw_classes(dice: &mut Dice) -> FaultClasses {
    let odds = dice.pick(&[ALWAYS / 6, ALWAYS / 3, ALWAYS / 3 * 2]);
    // Each class draws, whatever the others do.
    let mut on = |class: &FaultClass| {
        let odds = if class.sort() == Sort::Rare { odds / 2 } else { odds };
        dice.chance(odds)
    };
    FaultClass::ALL.iter().copied().filter(|class| on(class)).collect()
}

const _: () = assert!(INBOX_MAX > 64);

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
                durability: swarm.durability,
                member: MemberId(1),
                voters,
                joins: false,
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

    #[test]
    fn every_class_is_on_in_one_seed_of_twenty_at_least() {
        for class in FaultClass::ALL {
            let on = (0..1_000).filter(|seed| Swarm::draw(*seed).faults.classes.has(*class));
            assert!(on.count() >= 50, "{}", class.name());
        }
    }

    #[test]
    fn a_class_that_is_switched_off_leaves_all_else_as_it_was() {
        let drawn = Swarm::draw(5);
        let mut swarm = drawn.clone();
        FaultClass::ALL.iter().for_each(|class| swarm.disable(*class));
        assert_eq!(swarm.network.loss, 0);
        assert_eq!(swarm.faults.classes, FaultClasses::NONE);
        assert_eq!((swarm.members, swarm.clients), (drawn.members, drawn.clients));
        assert_eq!(swarm.network.latency_min, drawn.network.latency_min);
    }
}
