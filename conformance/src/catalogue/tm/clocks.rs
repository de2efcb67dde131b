//! Cases about which time counts, whatever the clocks of members show.

use quorate_core::frame::Body;
use quorate_core::{Duration, Event, Instant, LogTime, Notice};
use quorate_sim::Dice;

use super::survival::schedule;
use super::table::Table;
use crate::case::{Failure, Verdict};
use crate::desk::DeskOptions;
use crate::edges::Command;
use crate::stage::{MILLI, Options, SECOND, Stage};
use crate::trial::Trial;

const HOUR: i64 = 3_600 * SECOND as i64;
/// What a commit takes on a stage, at most: the disks of a quorum, and the way there and back.
const COMMIT: u64 = 5 * MILLI;
/// By how much clocks are fast or slow, at most, in millionths.
const ERROR_MAX: u64 = 300_000;

pub(super) fn tm_05(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(2, 20, 200) {
        let mut dice = Dice::new(trial.seed() + round, "clocks");
        let mut options = Options::members(3);
        options.clock_errors =
            (0..3).map(|_| dice.below(2 * ERROR_MAX) as i64 - ERROR_MAX as i64).collect();
        let errors = options.clock_errors.clone();
        let mut stage = trial.stage_of(options, trial.seed() + round);
        let leader = stage.settle()?;
        let client = stage.client();
        let error = errors.get(usize::from(leader) - 1).copied().unwrap_or_default();
        let mut given = Vec::new();
        for timer in 0..12 {
            let delay = dice.between(0, 300 * MILLI);
            let begun = stage.now();
            let deadline = schedule(&mut stage, client, (timer, delay))?;
            // What the delay is by a true clock.
            let wait = u128::from(delay) * 1_000_000 / (1_000_000 + i128::from(error)) as u128;
            given.push((timer, deadline, begun + wait as u64, stage.now() + wait as u64));
            stage.run(dice.between(0, 40 * MILLI))?;
        }
        stage.until_fired(given.len(), 10 * SECOND)?;
        let tick = stage.heartbeat();
        let fired = stage.fired(leader);
        for (timer, deadline, earliest, latest) in given {
            let found = fired.iter().find(|fired| fired.timer == timer);
            let fired = *found.ok_or_else(|| Failure::broken(format!("timer {timer} is lost")))?;
            let by_log = deadline..=LogTime(deadline.0 + tick);
            stage.check(by_log.contains(&fired.time), || {
                format!("clocks {errors:?}: timer {timer}, due at {deadline:?}: {fired:?}")
            })?;
            // Divisions round down, in the script and on the stage.
            let by_clock = earliest.saturating_sub(4)..=latest + tick + COMMIT;
            stage.check(by_clock.contains(&fired.at), || {
                format!("clocks {errors:?}: timer {timer}, due from {earliest} ns on: {fired:?}")
            })?;
        }
        let elections = stage.elections();
        stage.check(elections == 1, || format!("{elections} elections, clocks {errors:?}"))?;
        stage.check_fired_once(&[1, 2, 3], &(0..12).collect::<Vec<_>>())?;
    }
    Ok(())
}

pub(super) fn tm_06(trial: &mut Trial<'_>) -> Verdict {
    for members in [1, 3] {
        ahead(trial, members)?;
    }
    behind(trial)?;
    is_told()
}

/// The clock of a leader jumps an hour ahead: it is nobody's hour.
fn ahead(trial: &Trial<'_>, members: usize) -> Verdict {
    let mut stage = trial.stage(Options::members(members));
    let leader = stage.settle()?;
    let client = stage.client();
    let deadline = schedule(&mut stage, client, (1, 20 * SECOND))?;
    let step = stage.timing().log_time_step_max().0;
    for _ in 0..3 {
        let (before, begun) = (times_end(&stage, leader), stage.now());
        let jumps = stage.leader().unwrap_or(leader);
        stage.jump_clock(jumps, HOUR);
        stage.run(SECOND)?;
        let within = 12 * stage.election_timeout();
        stage.until("one leads", within, Stage::is_settled)?;
        stage.request(client, b"behind the jump")?;
        let (after, passed) = (times_end(&stage, leader), stage.now() - begun);
        // What clocks measured before the jump and was not stamped yet counts, too.
        let most = step + passed + SECOND;
        stage.check(after.0 - before.0 <= most, || {
            format!("of {members}: {} ns of log time in {passed} ns", after.0 - before.0)
        })?;
        let fired = stage.fired(leader).len();
        stage.check(fired == 0, || "a timer fired for a jump of its leader's clock".into())?;
    }
    stage.until_fired(1, 40 * SECOND)?;
    let all: Vec<u16> = stage.numbers().collect();
    stage.check_fired_once(&all, &[1])?;
    let fired = stage.fired(leader);
    stage.check(fired[0].time >= deadline, || format!("due at {deadline:?}: {fired:?}"))?;
    times_rise(&mut stage)
}

/// The clock of a leader steps back an hour, and one an hour behind leads.
fn behind(trial: &Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    for member in stage.numbers() {
        stage.jump_clock(member, 3 * HOUR);
    }
    let first = stage.settle()?;
    let client = stage.client();
    let deadline = schedule(&mut stage, client, (1, 3 * SECOND))?;
    stage.jump_clock(first, -HOUR);
    let within = 12 * stage.election_timeout();
    let another = move |stage: &Stage<'_>| stage.is_settled() && stage.leader() != Some(first);
    stage.until("another leads", within, another)?;
    let second = stage.leader().unwrap_or_default();
    let third = stage.numbers().find(|member| ![first, second].contains(member));
    if let Some(third) = third {
        stage.kill(third);
        stage.jump_clock(third, -HOUR);
        stage.start(third)?;
        stage.until_level(within)?;
    }
    stage.kill(first);
    stage.start(first)?;
    stage.until_level(within)?;
    stage.kill(second);
    stage.until("one an hour behind leads", within, Stage::is_settled)?;
    stage.until_fired(1, 20 * SECOND)?;
    stage.start(second)?;
    stage.until_level(within)?;
    stage.check_fired_once(&[1, 2, 3], &[1])?;
    let fired = stage.fired(first);
    stage.check(fired[0].time >= deadline, || format!("due at {deadline:?}: {fired:?}"))?;
    times_rise(&mut stage)
}

/// The time of the newest frame of a member's log.
fn times_end(stage: &Stage<'_>, member: u16) -> LogTime {
    stage.log_frames(member).last().map_or(LogTime(0), |frame| frame.time)
}

fn times_rise(stage: &mut Stage<'_>) -> Verdict {
    for member in stage.numbers() {
        let frames = stage.log_frames(member);
        let falls = frames.windows(2).find(|pair| pair[1].time < pair[0].time);
        stage.check(falls.is_none(), || format!("member {member}: time falls at {falls:?}"))?;
    }
    Ok(())
}

/// A leader tells of a jump, once, and what of it counts.
fn is_told() -> Verdict {
    let mut table = Table::new(DeskOptions::small(1))?;
    let step = DeskOptions::small(1).timing.log_time_step_max();
    table.pass(100 * MILLI)?;
    table.desk.check(table.jumps.is_empty(), "it tells of a jump that there was not")?;
    table.desk.now = Instant(table.desk.now.0 + HOUR as u64);
    table.step(Event::Timer);
    table.settle()?;
    table.pass(100 * MILLI)?;
    let hour = Duration(HOUR as u64);
    let is_right = |jump: &Notice| matches!(jump, Notice::ClockJumped { passed, counted } if *passed >= hour && *counted == step);
    let once = table.jumps.len() == 1 && table.jumps.iter().all(is_right);
    table.desk.check(once, &format!("behind a jump of an hour it tells {:?}", table.jumps))
}

/// What a leader is handed for the time.
#[derive(Clone, Copy, Debug)]
enum Handed {
    Earlier,
    Same,
    Soon,
    Late,
    DaysLater,
}

pub(super) fn tm_07(trial: &mut Trial<'_>) -> Verdict {
    let rounds = trial.times(3, 20, 200);
    for round in 0..rounds {
        hostile(&mut Dice::new(trial.seed() + round, "time"))?;
    }
    Ok(())
}

fn hostile(dice: &mut Dice) -> Verdict {
    const DAYS: u64 = 100 * 24 * 3_600 * SECOND;
    const TIMERS: u64 = 100;
    let options = DeskOptions::small(1);
    let step = options.timing.log_time_step_max();
    let mut table = Table::new(options)?;
    let mut due = Vec::new();
    for timer in 0..TIMERS {
        // Each a tenth of a second behind the one before, in no order.
        let delay = (1 + timer * 37 % TIMERS) * 100 * MILLI;
        table.submit(&Command::Schedule { timer, delay }.to_bytes())?;
        table.settle()?;
        let at = table.asked.last().map_or(LogTime(0), |(time, _)| *time);
        due.push((LogTime(at.0 + delay), timer));
    }
    due.sort_unstable();
    let mut newest = table.desk.now.0;
    let mut jumps = 0;
    for _ in 0..4_000 {
        let handed = dice.pick(&[
            Handed::Earlier,
            Handed::Same,
            Handed::Soon,
            Handed::Soon,
            Handed::Late,
            Handed::DaysLater,
        ]);
        let now = match handed {
            Handed::Earlier => {
                let bits = dice.below(60);
                newest.saturating_sub(dice.between(1, 1 << bits))
            }
            Handed::Same => newest,
            Handed::Soon => newest + dice.between(1, 20 * MILLI),
            Handed::Late => newest + dice.between(1, step.0 / 2),
            Handed::DaysLater => newest + DAYS,
        };
        newest = newest.max(now);
        table.desk.now = Instant(now);
        let (before, told) = (table.fired.len(), table.jumps.len());
        table.step(Event::Timer);
        table.settle()?;
        let fired = (table.fired.len() - before) as u64;
        // As many as there are deadlines in the longest step, and in what went by before it.
        let most = step.0 / (100 * MILLI) + 1 + step.0 / 2 / (100 * MILLI);
        let what = format!("{fired} timers fire when the time is {handed:?}");
        table.desk.check(fired <= most, &what)?;
        if let Handed::DaysLater = handed {
            jumps += 1;
            let once = table.jumps.len() == told + 1;
            table.desk.check(once, "it does not tell of a jump by a hundred days")?;
        }
        let next = table.desk.member.next_deadline();
        let ahead = next.is_none_or(|at| at.0 >= newest);
        table.desk.check(ahead, &format!("it is to be woken at {next:?}, and it is {newest}"))?;
        if table.fired.len() as u64 == TIMERS {
            break;
        }
    }
    table.desk.check(jumps > 0, "no jump came about")?;
    let order: Vec<u64> = table.fired.iter().map(|(timer, ..)| *timer).collect();
    let wanted: Vec<u64> = due.iter().map(|(_, timer)| *timer).collect();
    table.desk.check(order == wanted, &format!("fired {order:?}, not {wanted:?}"))?;
    let early = table.fired.iter().zip(&due).find(|((_, time, _), (due, _))| time < due);
    table.desk.check(early.is_none(), &format!("early: {early:?}"))
}

pub(super) fn tm_12(trial: &mut Trial<'_>) -> Verdict {
    suspended(trial, 3)?;
    suspended(trial, 1)
}

/// Timers a second apart; the leader is stopped for half a minute of them.
fn suspended(trial: &Trial<'_>, members: usize) -> Verdict {
    const TIMERS: u64 = 40;
    let mut stage = trial.stage(Options::members(members));
    let leader = stage.settle()?;
    let client = stage.client();
    for timer in 0..TIMERS {
        schedule(&mut stage, client, (timer, (1 + timer) * SECOND))?;
    }
    stage.until_level(SECOND)?;
    stage.pause(leader);
    stage.run(30 * SECOND)?;
    let (fired, wakes) = (stage.fired(leader).len() as u64, stage.wakes(leader));
    stage.resume(leader);
    stage.run(100 * MILLI)?;
    let missed = stage.fired(leader).len() as u64 - fired;
    // Alone, it is told of those of a second, which it may have stood still for; with others, of
    // those that they fired.
    let alone = stage.timing().log_time_step_max().0 / SECOND + 1;
    let most = if members == 1 { alone } else { 31 };
    stage.check(missed <= most, || format!("of {members}: {missed} timers fire at once"))?;
    let woken = stage.wakes(leader) - wakes;
    stage.check(woken <= 40, || format!("of {members}: it wakes {woken} times in 100 ms"))?;
    stage.until_fired(TIMERS as usize, 60 * SECOND)?;
    stage.request(client, b"still there")?;
    let all: Vec<u16> = stage.numbers().collect();
    stage.check_fired_once(&all, &(0..TIMERS).collect::<Vec<_>>())?;
    let frames = stage.log_frames(leader);
    let closed = frames.iter().find(|frame| matches!(frame.body, Body::SessionClose { .. }));
    stage.check(closed.is_none(), || format!("a session of a living client ended: {closed:?}"))
}
