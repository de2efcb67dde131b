//! Histories of many clients under random faults, checked against what one sequence would give.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::client::ClientError;
use quorate_sim::Dice;

use super::answers::{check_replies, former};
use crate::case::{Failure, Verdict, check};
use crate::edges::Command;
use crate::stage::{ClientNumber, MICRO, MILLI, Options, SECOND, Stage};
use crate::trial::Trial;

/// Lets clients submit while things go wrong, then lets all go right; every message is answered, or
/// its client has ended with an error.
fn play(
    stage: &mut Stage<'_>,
    dice: &mut Dice,
    clients: &[ClientNumber],
    mut next: impl FnMut(&mut Dice, ClientNumber) -> Vec<u8>,
) -> Verdict {
    for _ in 0..60 {
        if dice.below(5) == 0 {
            stage.misfortune(dice)?;
        }
        let client = dice.pick(clients);
        let message = next(dice, client);
        // A client that waits for too many replies refuses it: then there is one fewer.
        let _ = stage.submit(client, &message);
        let pause = if dice.below(4) == 0 { 30 * MILLI } else { 300 * MICRO };
        stage.run(dice.between(0, pause))?;
    }
    stage.mend()?;
    stage.until("every message has an outcome", 40 * SECOND, |stage| {
        clients.iter().all(|client| {
            let all = stage.submitted(*client).len();
            stage.ended(*client).is_some() || stage.replies(*client).len() == all
        })
    })
}

pub(super) fn cl_11(trial: &mut Trial<'_>) -> Verdict {
    let (mut replied, mut unknown) = (0, 0);
    for run in 0..trial.times(4, 30, 300) {
        let seed = trial.seed().wrapping_add(run);
        let mut stage = trial.stage_of(Options::members(3), seed);
        let mut dice = Dice::new(seed, "outcomes");
        stage.settle()?;
        let clients = [stage.client(), stage.client(), stage.client()];
        play(&mut stage, &mut dice, &clients, |dice, _| vec![1; dice.between(1, 500) as usize])?;
        for client in clients {
            let (replies, all) = (stage.replies(client).len(), stage.submitted(client).len());
            match stage.ended(client).cloned() {
                None => check_replies(&mut stage, client)?,
                Some(Err(ClientError::SessionLost { unanswered, .. })) => {
                    let next = replies as u64 + 1;
                    stage.check(unanswered == next, || format!("unknown from {unanswered} on"))?;
                }
                Some(Err(ClientError::NotServed { .. })) => {}
                other => return Err(Failure::broken(format!("a client ends with {other:?}"))),
            }
            replied += replies;
            unknown += all - replies;
        }
    }
    trial.count("replied", replied as u64);
    trial.count("unknown", unknown as u64);
    check(replied > 10 * unknown, || format!("{unknown} of {replied} outcomes are unknown"))
}

/// One operation on a register, as its client saw it.
#[derive(Clone, Copy, Debug)]
struct Operation {
    begun: u64,
    /// When its reply came; never, if it did not.
    ended: u64,
    /// What the register held before, if that is known.
    former: Option<u64>,
    /// What it holds behind it, by what it held before.
    change: Change,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Add(u64),
    Write(u64),
}

impl Change {
    const fn apply(self, former: u64) -> u64 {
        match self {
            Self::Add(value) => former.wrapping_add(value),
            Self::Write(value) => value,
        }
    }
}

const COUNTER: u64 = 1;
const REGISTER: u64 = 2;
const ACCOUNTS: core::ops::Range<u64> = 10..14;

pub(super) fn cl_25(trial: &mut Trial<'_>) -> Verdict {
    for run in 0..trial.times(6, 60, 10_000) {
        let seed = trial.seed().wrapping_add(run);
        let members = if run % 3 == 0 { 5 } else { 3 };
        let mut stage = trial.stage_of(Options::members(members), seed);
        let mut dice = Dice::new(seed, "histories");
        stage.settle()?;
        let clients = [stage.client(), stage.client(), stage.client()];
        let mut sent: BTreeMap<ClientNumber, Vec<Command>> = BTreeMap::new();
        let mut written = 0;
        play(&mut stage, &mut dice, &clients, |dice, _| {
            let command = match dice.below(4) {
                0 => Command::Add { key: COUNTER, value: 1 },
                1 => {
                    // Each value is written once, so a former value tells who wrote it.
                    written += 1;
                    Command::Write { key: REGISTER, value: written }
                }
                _ => {
                    let key = ACCOUNTS.start + dice.below(ACCOUNTS.end - ACCOUNTS.start);
                    // Amounts may be negative; each is drawn from so many that no two are equal.
                    let value = dice.below(u64::MAX);
                    Command::Add { key, value }
                }
            };
            command.to_bytes()
        })?;
        for &client in &clients {
            let commands = stage.submitted(client).iter().map(|(_, bytes)| parse(bytes));
            sent.insert(client, commands.collect::<Option<_>>().unwrap_or_default());
        }
        for key in [COUNTER, REGISTER].into_iter().chain(ACCOUNTS) {
            let history = history_of(&stage, key, &sent)?;
            trial.count("operations", history.len() as u64);
            match check_history(&history) {
                Ok(decided) => trial.count("undecided", u64::from(!decided)),
                Err(text) => {
                    return stage.check(false, || format!("run {run}, register {key}: {text}"));
                }
            }
        }
    }
    Ok(())
}

fn parse(bytes: &[u8]) -> Option<Command> {
    let (tag, words) = bytes.split_first()?;
    let (key, value) = words.split_at_checked(8)?;
    let key = u64::from_le_bytes(key.try_into().ok()?);
    let value = u64::from_le_bytes(value.try_into().ok()?);
    match tag {
        b'a' => Some(Command::Add { key, value }),
        b'w' => Some(Command::Write { key, value }),
        _ => None,
    }
}

/// The operations of all clients on one register.
fn history_of(
    stage: &Stage<'_>,
    wanted: u64,
    sent: &BTreeMap<ClientNumber, Vec<Command>>,
) -> Result<Vec<Operation>, Failure> {
    let mut history = Vec::new();
    for (&client, commands) in sent {
        let begun = stage.submitted(client).iter().map(|(at, _)| *at);
        for ((index, command), begun) in (0..).zip(commands).zip(begun) {
            let change = match command {
                Command::Add { key, value } if *key == wanted => Change::Add(*value),
                Command::Write { key, value } if *key == wanted => Change::Write(*value),
                _ => continue,
            };
            let reply = stage.replies(client).get::<usize>(index);
            let known = reply.map(|reply| former(&reply.bytes)).transpose()?;
            let ended = reply.map_or(u64::MAX, |reply| reply.at);
            history.push(Operation { begun, ended, former: known, change });
        }
    }
    Ok(history)
}

/// Whether the operations on a register that starts at zero can be put into one sequence in which
/// each sees what the one before it left, and none comes before one that had ended when it began.
///
/// Operations whose outcome is not known may stand anywhere or nowhere: one that leads to a value
/// that somebody saw closes a hole in the sequence. `false` if more than one would have to.
fn check_history(history: &[Operation]) -> Result<bool, String> {
    let mut by_former: BTreeMap<u64, &Operation> = BTreeMap::new();
    for operation in history {
        if let Some(former) = operation.former
            && by_former.insert(former, operation).is_some()
        {
            return Err(format!("two operations saw {former} before them: one of them is lost"));
        }
    }
    let mut unknown: Vec<&Operation> =
        history.iter().filter(|operation| operation.former.is_none()).collect();
    let (mut value, mut latest_begin) = (0, 0);
    let mut seen = BTreeSet::new();
    while !by_former.is_empty() {
        let Some(operation) = by_former.remove(&value) else {
            // One without a reply took effect here: it leads to a value that somebody saw.
            let leads =
                |operation: &&Operation| by_former.contains_key(&operation.change.apply(value));
            let Some(found) = unknown.iter().position(leads) else {
                if unknown.len() > 1 {
                    return Ok(false);
                }
                return Err(format!("{} operations saw what nobody left", by_former.len()));
            };
            let found = unknown.remove(found);
            value = found.change.apply(value);
            latest_begin = latest_begin.max(found.begun);
            continue;
        };
        if operation.ended < latest_begin {
            return Err(format!("{operation:?} had ended before one that it follows began"));
        }
        latest_begin = latest_begin.max(operation.begun);
        if !seen.insert(value) {
            return Err(format!("{value} came about twice"));
        }
        value = operation.change.apply(value);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn added(begun: u64, ended: u64, former: Option<u64>) -> Operation {
        Operation { begun, ended, former, change: Change::Add(1) }
    }

    #[test]
    fn the_checker_finds_what_is_lost_doubled_and_out_of_time() {
        let sound = [added(0, 5, Some(0)), added(1, 4, Some(1)), added(6, 7, Some(2))];
        assert_eq!(check_history(&sound), Ok(true));
        let hole = [added(0, 5, Some(0)), added(6, 7, Some(2))];
        assert!(check_history(&hole).is_err(), "nobody counted to two");
        let closed = [added(0, 5, Some(0)), added(6, 7, Some(2)), added(1, u64::MAX, None)];
        assert_eq!(check_history(&closed), Ok(true));
        let lost = [added(0, 5, Some(0)), added(6, 7, Some(0))];
        assert!(check_history(&lost).is_err());
        let early = [added(8, 9, Some(0)), added(1, 2, Some(1))];
        assert!(check_history(&early).is_err(), "it ended before the one that it follows began");
    }
}
