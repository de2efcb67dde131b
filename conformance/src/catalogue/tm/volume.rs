//! Cases about many timers, and about how often a member wakes.

use quorate_core::{Chain, Event, FailStop, Position, Role, TimerKind};

use super::table::{Table, many};
use crate::case::Verdict;
use crate::desk::{Desk, DeskOptions, heartbeat, line};
use crate::edges::Command;
use crate::stage::{MILLI, SECOND};
use crate::trial::Trial;

/// Timers that are in the log and not applied yet, at most, as PROTOCOL.md has it.
const UNDER_WAY_MAX: u64 = 1_024;
/// Wakes for one deadline, at most.
const WAKES_MAX: u32 = 2;

pub(super) fn tm_10(trial: &mut Trial<'_>) -> Verdict {
    let count = trial.times(5_000, 1_000_000, 1_000_000);
    let mut options = DeskOptions::member_of(1);
    options.limits.timers_max = count as usize;
    let mut table = Table::new(options)?;
    let delay = 10 * MILLI;
    table.submit(&many(count, delay))?;
    table.settle()?;
    let asked = table.asked.last().map_or(0, |(time, _)| time.0);
    // All are due at once, and late by a while.
    table.desk.now.0 += 2 * delay;
    table.appended_most = 0;
    table.step(Event::Timer);
    within_limits(&table)?;
    table.settle()?;
    within_limits(&table)?;
    let in_order = table.fired.iter().map(|(timer, ..)| *timer).eq(0..count);
    table.desk.check(in_order, &format!("{} of {count} fired in order", table.fired.len()))?;
    let early = table.fired.iter().find(|(_, time, _)| time.0 < asked + delay);
    table.desk.check(early.is_none(), &format!("due at {}: {early:?}", asked + delay))?;
    let frames = table.fired.windows(2).map(|pair| pair[1].2.since(pair[0].2));
    let bytes = frames.min().unwrap_or_default();
    let most = table.appended_most;
    table.desk.check(bytes > 0 && most <= UNDER_WAY_MAX * bytes, &{
        format!("one event appends {most} bytes, and the frame of a timer has {bytes}")
    })?;
    trial.count("timers", count);
    too_many()
}

/// All queues and tables are within their limits.
fn within_limits(table: &Table) -> Verdict {
    let mut full = Vec::new();
    table.desk.member.usage(|usage| {
        if usage.used > usage.limit {
            full.push(usage);
        }
    });
    table.desk.check(full.is_empty(), &format!("beyond their limits: {full:?}"))
}

/// As many as may be can be scheduled, again and again; one more stops the member, as it would any.
fn too_many() -> Verdict {
    let mut options = DeskOptions::small(1);
    options.limits.timers_max = 4;
    let mut table = Table::new(options)?;
    for delay in 1..=3 {
        table.submit(&many(4, delay * SECOND))?;
        table.settle()?;
    }
    table.desk.check(table.desk.stopped.is_none(), "it stops before there are too many")?;
    table.submit(&Command::Schedule { timer: 4, delay: SECOND }.to_bytes())?;
    table.settle()?;
    let stopped = table.desk.stopped == Some(FailStop::TooManyTimers);
    table.desk.check(stopped, "it goes on with one timer too many")
}

pub(super) fn tm_08(trial: &mut Trial<'_>) -> Verdict {
    let wakes = trial.times(100, 400, 4_000) as u32;
    // Nobody is heard: it follows, canvasses, and stands when it is let.
    for complete in [true, false] {
        let mut desk = Desk::new(DeskOptions::small(3))?;
        serves_its_deadlines(&mut desk, wakes, complete)?;
    }
    let mut desk = Desk::new(DeskOptions::small(3))?;
    let line = line(4, 2, Position::ZERO, Chain::default());
    desk.follow(2, 4, &[line]);
    for round in 2..40 {
        desk.receive(2, heartbeat(4, round));
        serves_its_deadlines(&mut desk, 1, true)?;
    }
    // A leader whose followers fall silent gives up, and goes on as those above.
    for members in [1, 3] {
        let mut desk = Desk::new(DeskOptions::small(members))?;
        desk.lead()?;
        serves_its_deadlines(&mut desk, wakes, true)?;
    }
    full_log(wakes)?;
    let mut desk = Desk::new(DeskOptions::small(3))?;
    desk.step(Event::StorageFailed);
    let next = desk.member.next_timer();
    desk.check(next.is_none(), &format!("it is inert, and wants to wake: {next:?}"))
}

/// Wakes a member as it asks to be, again and again.
fn serves_its_deadlines(desk: &mut Desk, wakes: u32, complete: bool) -> Verdict {
    let mut in_vain = 0;
    for _ in 0..wakes {
        let Some((at, kind)) = desk.member.next_timer() else { return Ok(()) };
        let role = desk.view().role;
        desk.check(is_of(kind, role), &format!("{kind:?} is no deadline of a {}", role.name()))?;
        desk.now = desk.now.max(at);
        desk.step(Event::Timer);
        if complete {
            desk.complete_all();
        }
        let next = desk.member.next_timer();
        let moved = next.is_none_or(|(next, other)| next > desk.now || other != kind);
        in_vain = if moved { 0 } else { in_vain + 1 };
        desk.check(in_vain < WAKES_MAX, &{
            format!("woken {} times for {kind:?}, and it is still {next:?}", in_vain + 1)
        })?;
    }
    Ok(())
}

/// Whether a member in this role may want to be woken for that.
const fn is_of(kind: TimerKind, role: Role) -> bool {
    match kind {
        TimerKind::Heartbeat | TimerKind::Service | TimerKind::Connections => {
            matches!(role, Role::Leader)
        }
        TimerKind::Election | TimerKind::Snapshot | TimerKind::Installation => {
            !matches!(role, Role::Leader | Role::Stopped)
        }
        TimerKind::Parting => matches!(role, Role::Stopped),
        TimerKind::Flush
        | TimerKind::Reads
        | TimerKind::Transfer
        | TimerKind::Holes
        | TimerKind::PeerRecords
        | TimerKind::Storage
        | TimerKind::Checkpoint => !matches!(role, Role::Stopped),
    }
}

/// A leader whose timer is due while its log has no room does not wake for it.
fn full_log(wakes: u32) -> Verdict {
    let mut options = DeskOptions::small(1);
    // Its disk does nothing for long.
    options.timing.progress_timeout.0 = 3_600 * SECOND;
    let mut table = Table::new(options)?;
    table.submit(&Command::Schedule { timer: 1, delay: 100 * MILLI }.to_bytes())?;
    table.settle()?;
    let room = DeskOptions::small(1).limits.uncommitted_bytes_max;
    for bytes in [2_000, 400, 80, 0] {
        for _ in 0..24 {
            let _ = table.submit(&vec![0; bytes]);
        }
        table.pass_held(10 * MILLI);
    }
    let full = table.desk.view().verified.since(table.desk.view().commit);
    table.desk.check(full + 48 > room, &format!("only {full} bytes are not committed"))?;
    table.desk.now.0 += 100 * MILLI;
    serves_its_deadlines(&mut table.desk, wakes, false)?;
    table.settle()?;
    table.pass(MILLI)?;
    table.desk.check(table.fired.len() == 1, "its timer does not fire when there is room again")
}
