//! Histories of many clients under random faults, checked against what one sequence would give.

use std::collections::BTreeMap;

use quorate_core::client::ClientError;
use quorate_sim::Dice;
use quorate_sim::linearizability::{self, Model, Operation, Verdict as Sequence};

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

/// What an operation makes of a register; it is answered with what the register held before.
#[derive(Clone, Copy, Debug)]
enum Change {
    Add(u64),
    Write(u64),
}

/// A register of the suite's service.
struct Register;

impl Model for Register {
    type State = u64;
    type Input = Change;
    type Output = u64;

    fn initial(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, input: &Change, output: Option<&u64>) -> Option<u64> {
        let next = match input {
            Change::Add(value) => state.wrapping_add(*value),
            Change::Write(value) => *value,
        };
        output.is_none_or(|output| output == state).then_some(next)
    }
}

/// Steps that a checker may take for one register.
const STEPS_MAX: u64 = 1_000_000;

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
                    // Each value is written once, so that a former value tells who wrote it.
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
            match linearizability::check(&Register, &history, STEPS_MAX) {
                Sequence::Valid => {}
                Sequence::Invalid { operation } => {
                    let found = history[operation];
                    let text = format!("run {run}, register {key}: {found:?} fits nowhere");
                    return stage.check(false, || text);
                }
                Sequence::Unknown => {
                    let text = format!("run {run}, register {key}: {STEPS_MAX} steps do not tell");
                    return Err(Failure::Unknown(text));
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
) -> Result<Vec<Operation<Change, u64>>, Failure> {
    let mut history = Vec::new();
    for (&client, commands) in sent {
        let invoked = stage.submitted(client).iter().map(|(at, _)| *at);
        for ((index, command), invoked) in (0..).zip(commands).zip(invoked) {
            let input = match command {
                Command::Add { key, value } if *key == wanted => Change::Add(*value),
                Command::Write { key, value } if *key == wanted => Change::Write(*value),
                _ => continue,
            };
            let reply = stage.replies(client).get::<usize>(index);
            let output = reply.map(|reply| former(&reply.bytes)).transpose()?;
            let returned = reply.map(|reply| reply.at);
            let session = u64::from(client.0);
            history.push(Operation { session, invoked, returned, input, output });
        }
    }
    Ok(history)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn added(session: u64, invoked: u64, output: u64) -> Operation<Change, u64> {
        let (returned, output) = (Some(invoked + 2), Some(output));
        Operation { session, invoked, returned, input: Change::Add(1), output }
    }

    fn is_sound(history: &[Operation<Change, u64>]) -> bool {
        linearizability::check(&Register, history, STEPS_MAX) == Sequence::Valid
    }

    #[test]
    fn the_model_finds_what_is_lost_doubled_and_before_its_time() {
        assert!(is_sound(&[added(1, 0, 0), added(2, 1, 1), added(1, 6, 2)]));
        assert!(!is_sound(&[added(1, 0, 0), added(2, 6, 0)]), "one is lost");
        assert!(!is_sound(&[added(1, 0, 0), added(2, 6, 2)]), "one has two effects");
        assert!(!is_sound(&[added(1, 0, 1), added(2, 6, 0)]), "it saw what was to come");
    }
}
