//! The case about what becomes of one timer, whatever is done to it in whatever order.

use quorate_core::LogTime;

use super::table::Table;
use crate::case::{Failure, Verdict};
use crate::desk::DeskOptions;
use crate::edges::Command;
use crate::stage::MILLI;
use crate::trial::Trial;

/// The timer that is played with.
const TIMER: u64 = 7;
/// Another, which nothing of it concerns: as long as all of it takes.
const BYSTANDER: u64 = 8;

/// What is done to a timer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Deed {
    /// It is scheduled, soon.
    Soon,
    /// It is scheduled, so that two waits go by before.
    Later,
    /// It is cancelled, whether it is there or not.
    Cancel,
    /// Time passes.
    Wait,
}

const DEEDS: [Deed; 4] = [Deed::Soon, Deed::Later, Deed::Cancel, Deed::Wait];
const SOON: u64 = 5 * MILLI;
const LATER: u64 = 25 * MILLI;
const WAIT: u64 = 15 * MILLI;

impl Deed {
    fn message(self) -> Option<Vec<u8>> {
        let command = match self {
            Self::Soon => Command::Schedule { timer: TIMER, delay: SOON },
            Self::Later => Command::Schedule { timer: TIMER, delay: LATER },
            Self::Cancel => Command::Cancel { timer: TIMER },
            Self::Wait => return None,
        };
        Some(command.to_bytes())
    }
}

pub(super) fn tm_02(trial: &mut Trial<'_>) -> Verdict {
    let length = trial.times(3, 4, 5) as u32;
    for number in 0..4_usize.pow(length) {
        let deeds: Vec<Deed> = (0..length).map(|place| DEEDS[number >> (2 * place) & 3]).collect();
        // Each message is applied at once, or those behind the first not before time has passed:
        // then they may stand in the log before the frame of a timer that they are about.
        for held in [false, true] {
            play(&deeds, held).map_err(|failure| match failure {
                Failure::Broken { what, observer } => {
                    let what = format!("{deeds:?}, held {held}: {what}");
                    Failure::Broken { what, observer }
                }
                other => other,
            })?;
            trial.count("orders", 1);
        }
    }
    Ok(())
}

fn play(deeds: &[Deed], held: bool) -> Verdict {
    let mut table = Table::new(DeskOptions::small(1))?;
    table.submit(&Command::Schedule { timer: BYSTANDER, delay: 400 * MILLI }.to_bytes())?;
    table.settle()?;
    for (number, deed) in deeds.iter().enumerate() {
        match deed.message() {
            Some(message) => table.submit(&message)?,
            None => table.pass_held(WAIT),
        }
        if !held || number == 0 || *deed == Deed::Wait {
            table.settle()?;
        }
    }
    table.settle()?;
    for _ in 0..3 {
        table.pass(WAIT)?;
    }
    let of_it = table.fired.iter().filter(|(timer, ..)| *timer == TIMER);
    let fired: Vec<LogTime> = of_it.map(|(_, time, _)| *time).collect();
    let due = due(&table);
    let once = fired.len() == due.len();
    let in_time = fired.iter().zip(&due).all(|(fired, (from, _))| fired >= from);
    table.desk.check(once && in_time, &format!("fired at {fired:?}, due at {due:?}"))?;
    table.pass(400 * MILLI)?;
    let others = table.fired.iter().filter(|(timer, ..)| *timer == BYSTANDER).count();
    table.desk.check(others == 1, "a timer that nothing concerned did not fire once")
}

/// When the timer has to fire, as PROTOCOL.md has it: from its deadline on, before the next message
/// that is about it was applied.
fn due(table: &Table) -> Vec<(LogTime, LogTime)> {
    let of_it = |(time, message): &(LogTime, Vec<u8>)| match Command::parse(message) {
        Some(Command::Schedule { timer: TIMER, delay }) => Some((*time, Some(delay))),
        Some(Command::Cancel { timer: TIMER }) => Some((*time, None)),
        _ => None,
    };
    let asked: Vec<(LogTime, Option<u64>)> = table.asked.iter().filter_map(of_it).collect();
    let ends = asked.iter().skip(1).map(|(time, _)| *time).chain([LogTime(u64::MAX)]);
    let spans = asked.iter().zip(ends).filter_map(|((time, delay), end)| {
        let from = LogTime(time.0 + (*delay)?);
        (from <= end).then_some((from, end))
    });
    spans.collect()
}
