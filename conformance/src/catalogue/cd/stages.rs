//! What `decisions` asks of the core itself, with members of any subject: completions of disks that
//! come late, in any order, or of another life.

use std::collections::BTreeSet;

use quorate_core::{BootEpoch, Message, OperationId, Position};
use quorate_sim::Dice;

use super::decisions::permutations;
use crate::case::Verdict;
use crate::stage::{ClientNumber, Effect, MILLI, Options, Overheard, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// All kinds of operations of a disk.
const KINDS: [&str; 5] = ["sync", "vote", "history", "peers", "read"];

/// Small windows, so that what is old is on the disks only.
fn small(members: usize) -> Options {
    Options::members(members).limits(|limits| {
        limits.window_bytes = 128 << 10;
        limits.uncommitted_bytes_max = 64 << 10;
        limits.unapplied_bytes_max = 64 << 10;
        limits.session_window_bytes = 32 << 10;
        limits.message_bytes_max = 4 << 10;
        limits.read_bytes_max = 32 << 10;
    })
}

/// So many messages, as far as the client has room for them.
fn submit(stage: &mut Stage<'_>, client: ClientNumber, messages: usize, bytes: usize) {
    for _ in 0..messages {
        // What there is no room for is not needed.
        let _ = stage.submit(client, &vec![0x51; bytes]);
    }
}

/// What a member acknowledges from now on.
fn acknowledged(stage: &mut Stage<'_>, member: u16) -> Overheard<Position> {
    let place = Stage::place_of(member);
    stage.overhear(move |passing| match passing.message() {
        Some(Message::Acknowledge { durable, .. }) if passing.from == place => Some(*durable),
        _ => None,
    })
}

pub(in crate::catalogue) fn cd_05(trial: &Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    for order in permutations(3) {
        aba(trial, order.iter().map(|kind| KINDS[*kind]).collect())?;
        trial.count("orders", 1);
    }
    Ok(())
}

/// A leader that is cut off writes bytes, others come to the same place, and then its disk
/// completes its sync, vote and history in this order.
fn aba(trial: &Trial<'_>, order: Vec<&'static str>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let old = stage.settle()?;
    let client = stage.connected_clients(1)?[0];
    stage.until_level(10 * SECOND)?;
    let shared = stage.view(old).verified;
    order.iter().for_each(|kind| stage.hold(old, kind));
    stage.isolate(old);
    submit(&mut stage, client, 8, 700);
    stage.until("a sync", SECOND, |stage| !stage.held(old, "sync").is_empty())?;
    let others: Vec<u16> = stage.numbers().filter(|member| *member != old).collect();
    let elected = |stage: &Stage<'_>| stage.is_settled_among(&others);
    stage.until("the others elect a leader", 8 * SECOND, elected)?;
    stage.heal_all();
    let stated = acknowledged(&mut stage, old);
    let awaited = order.clone();
    stage.until("sync, vote and history are under way", 8 * SECOND, |stage| {
        awaited.iter().all(|kind| !stage.held(old, kind).is_empty())
    })?;
    for kind in order {
        stage.release(old, kind);
        stage.run(0)?;
        promises_what_it_has(&mut stage, old, others[0], shared)?;
        for durable in stated.notes() {
            promised(&mut stage, old, others[0], (shared, durable))?;
        }
    }
    let done = move |stage: &Stage<'_>| stage.is_answered(&[client]) && stage.is_level(&[1, 2, 3]);
    stage.until("all is answered and everywhere", 8 * SECOND, done)
}

fn promises_what_it_has(stage: &mut Stage<'_>, old: u16, other: u16, shared: Position) -> Verdict {
    let durable = stage.view(old).durable;
    promised(stage, old, other, (shared, durable))
}

/// A position behind what all share is durable at a member only with the bytes that the new leader
/// has before it.
fn promised(
    stage: &mut Stage<'_>,
    old: u16,
    other: u16,
    (shared, durable): (Position, Position),
) -> Verdict {
    let wanted = stage.disk(other, |disk| disk.frame_ending_at(durable).map(|frame| frame.chain));
    let has = |chain| stage.disk(old, |disk| disk.holds_durably(durable, chain));
    let honest = durable <= shared || wanted.is_some_and(has);
    stage.check(honest, || {
        format!(
            "member {old} states {durable} as durable, and the log of all ends at {shared} there"
        )
    })
}

pub(in crate::catalogue) fn cd_06(trial: &Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    let mut orders = permutations(KINDS.len());
    let mut dice = Dice::new(trial.seed(), "orders");
    for _ in 0..trial.times(2, 12, 120) {
        let order = orders.swap_remove(dice.below(orders.len() as u64) as usize);
        all_at_once(trial, &order.iter().map(|kind| KINDS[*kind]).collect::<Vec<_>>())?;
        trial.count("orders", 1);
    }
    Ok(())
}

/// One operation of each kind is under way at one member, and they complete in this order.
fn all_at_once(trial: &Trial<'_>, order: &[&'static str]) -> Verdict {
    let mut stage = trial.stage(small(5));
    let leader = stage.settle()?;
    let client = stage.connected_clients(1)?[0];
    let others: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
    let (away, busy) = (others[0], others[1]);
    // What `away` misses is on disks only, and `busy` alone is let give it.
    stage.isolate(away);
    stage.pour(&[client], 60, 3_000, 20 * SECOND)?;
    order.iter().for_each(|kind| stage.hold(busy, kind));
    stage.heal_all();
    let place = Stage::place_of(busy);
    stage.rule("only one member repairs", Effect::Lose, move |passing| {
        passing.is_repair() && passing.from != place
    });
    stage.until("a read", 20 * SECOND, |stage| !stage.held(busy, "read").is_empty())?;
    submit(&mut stage, client, 4, 400);
    let begun = ["sync", "peers"];
    stage.until("a sync and what is remembered of others", 20 * SECOND, |stage| {
        begun.iter().all(|kind| !stage.held(busy, kind).is_empty())
    })?;
    stage.power_off(leader);
    let all: Vec<&'static str> = order.to_vec();
    stage.until("an operation of each kind", 20 * SECOND, move |stage| {
        all.iter().all(|kind| !stage.held(busy, kind).is_empty())
    })?;
    for kind in order {
        stage.release(busy, kind);
        stage.run(0)?;
    }
    stage.heal_all();
    stage.start(leader)?;
    let done =
        move |stage: &Stage<'_>| stage.is_answered(&[client]) && stage.is_level(&[1, 2, 3, 4, 5]);
    stage.until(&format!("in order {order:?} all are the same"), 20 * SECOND, done)?;
    let ignored = stage.counters(busy).completions_ignored;
    stage.check(ignored == 0, || format!("in order {order:?} it ignored {ignored} completions"))?;
    let view = *stage.view(busy);
    stage.check(view.durable == view.verified, || format!("in order {order:?} it ends as {view:?}"))
}

pub(in crate::catalogue) fn cd_07(trial: &Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let client = stage.connected_clients(1)?[0];
    let member = stage.other_than(leader);
    stage.kill(member);
    stage.start(member)?;
    stage.until_level(10 * SECOND)?;
    stage.hold(member, "sync");
    submit(&mut stage, client, 2, 200);
    stage.until("a sync", SECOND, |stage| !stage.held(member, "sync").is_empty())?;
    stage.run(10 * MILLI)?;
    let life = stage.view(member).life.boot_epoch.0;
    let own: BTreeSet<u64> = stage.held(member, "sync").iter().map(|id| id.sequence).collect();
    let ghosts = trial.times(32, 64, 64);
    for boot_epoch in [life - 1, life + 1, life] {
        let unknown = (0..ghosts).filter(|number| boot_epoch != life || !own.contains(number));
        for sequence in unknown {
            let operation = OperationId { boot_epoch: BootEpoch(boot_epoch), sequence };
            is_inert(&mut stage, member, operation)?;
            trial.count("ghosts", 1);
        }
    }
    // Each of its own counts once, and no second time.
    let held = stage.held(member, "sync").to_vec();
    stage.release(member, "sync");
    stage.run(0)?;
    for operation in held {
        is_inert(&mut stage, member, operation)?;
    }
    stage.until("its own sync counts", SECOND, |stage| {
        stage.is_answered(&[client]) && stage.is_level(&[1, 2, 3])
    })
}

/// A completion that nobody waits for does nothing, and is counted.
fn is_inert(stage: &mut Stage<'_>, member: u16, operation: OperationId) -> Verdict {
    let place = Stage::place_of(member);
    let sent = |stage: &Stage<'_>| {
        stage.sightings().iter().rev().take(16).filter(|sent| sent.from == place).count()
    };
    let (before, said) = (*stage.view(member), sent(stage));
    let counted = stage.counters(member).completions_ignored;
    stage.complete_falsely(member, operation)?;
    let (after, now) = (*stage.view(member), stage.counters(member).completions_ignored);
    let quiet = after == before && sent(stage) == said && stage.stopped(member).is_none();
    stage
        .check(quiet, || format!("{operation:?}, which nobody waits for, makes {after:?} of it"))?;
    stage.check(now == counted + 1, || format!("{operation:?} was not counted as ignored"))
}
