//! The case about times that no honest clock shows.

use quorate_core::{Event, Instant, LogTime};
use quorate_sim::Dice;

use super::table::Table;
use crate::case::{Failure, Verdict};
use crate::desk::DeskOptions;
use crate::edges::Command;
use crate::stage::{MILLI, SECOND};
use crate::trial::Trial;

const DAYS: u64 = 100 * 24 * 3_600 * SECOND;
const TIMERS: u64 = 100;
/// How far apart their deadlines are.
const APART: u64 = 100 * MILLI;
/// Times that a leader is handed before all must have fired.
const TIMES_MAX: u32 = 4_000;

/// What a leader is handed for the time.
#[derive(Clone, Copy, Debug)]
enum Handed {
    Earlier,
    Same,
    Soon,
    Late,
    DaysLater,
}

impl Handed {
    fn draw(dice: &mut Dice) -> Self {
        dice.pick(&[Self::Earlier, Self::Same, Self::Soon, Self::Soon, Self::Late, Self::DaysLater])
    }

    /// The time, where `newest` is the newest that was handed so far.
    fn time(self, newest: u64, step: u64, dice: &mut Dice) -> u64 {
        match self {
            Self::Earlier => {
                let bits = dice.below(60);
                newest.saturating_sub(dice.between(1, 1 << bits))
            }
            Self::Same => newest,
            Self::Soon => newest + dice.between(1, 20 * MILLI),
            Self::Late => newest + dice.between(1, step / 2),
            Self::DaysLater => newest + DAYS,
        }
    }
}

pub(super) fn tm_07(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(3, 20, 200) {
        hostile(&mut Dice::new(trial.seed() + round, "time"))?;
    }
    Ok(())
}

fn hostile(dice: &mut Dice) -> Verdict {
    let options = DeskOptions::small(1);
    let step = options.timing.log_time_step_max().0;
    let (mut table, due) = scheduled(options)?;
    // As many as there are deadlines in the longest step, and in what went by before it.
    let most = step / APART + 1 + step / 2 / APART;
    let mut newest = table.desk.now.0;
    let mut jumps = 0;
    for _ in 0..TIMES_MAX {
        let handed = Handed::draw(dice);
        let now = handed.time(newest, step, dice);
        newest = newest.max(now);
        table.desk.now = Instant(now);
        let (before, told) = (table.fired.len(), table.jumps.len());
        table.step(Event::Timer);
        table.settle()?;
        let fired = (table.fired.len() - before) as u64;
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
    in_order(&table, &due)
}

/// A leader with timers, and those by their deadlines.
fn scheduled(options: DeskOptions) -> Result<(Table, Vec<(LogTime, u64)>), Failure> {
    let mut table = Table::new(options)?;
    let mut due = Vec::new();
    for timer in 0..TIMERS {
        let delay = (1 + timer * 37 % TIMERS) * APART;
        table.submit(&Command::Schedule { timer, delay }.to_bytes())?;
        table.settle()?;
        let at = table.asked.last().map_or(LogTime(0), |(time, _)| *time);
        due.push((LogTime(at.0 + delay), timer));
    }
    due.sort_unstable();
    Ok((table, due))
}

/// Each has fired once, by its deadline, and not before.
fn in_order(table: &Table, due: &[(LogTime, u64)]) -> Verdict {
    let order: Vec<u64> = table.fired.iter().map(|(timer, ..)| *timer).collect();
    let wanted: Vec<u64> = due.iter().map(|(_, timer)| *timer).collect();
    table.desk.check(order == wanted, &format!("fired {order:?}, not {wanted:?}"))?;
    let early = table.fired.iter().zip(due).find(|((_, time, _), (due, _))| time < due);
    table.desk.check(early.is_none(), &format!("early: {early:?}"))
}
