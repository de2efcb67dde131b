//! Histories of many clients under random faults, checked against what one sequence would give.

use quorate_core::client::ClientError;
use quorate_sim::Dice;
use quorate_sim::linearizability::{self, Model, Operation, Verdict as Sequence};

use super::answers::{check_replies, former};
use super::models::{Bank, Change, Included, Moved, Queue, Queued, Register, Set};
use crate::case::{Failure, Verdict, check};
use crate::edges::{ACCOUNTS, Command};
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

/// Steps that a checker may take for one object.
const STEPS_MAX: u64 = 1_000_000;

const COUNTER: u64 = 1;
const REGISTER: u64 = 2;
/// Registers that only have something added to them.
const SUMS: core::ops::Range<u64> = 10..14;
/// Elements that the set may have.
const ELEMENTS: u64 = 64;

/// Operations of one object, each with the number of its message.
struct Past<Input> {
    operations: Vec<Operation<Input, u64>>,
    sequences: Vec<u64>,
}

pub(super) fn cl_25(trial: &mut Trial<'_>) -> Verdict {
    for run in 0..trial.times(6, 60, 10_000) {
        let seed = trial.seed().wrapping_add(run);
        let members = if run % 3 == 0 { 5 } else { 3 };
        let mut stage = trial.stage_of(Options::members(members), seed);
        let mut dice = Dice::new(seed, "histories");
        stage.settle()?;
        let clients = [stage.client(), stage.client(), stage.client()];
        let mut written = 0;
        play(&mut stage, &mut dice, &clients, |dice, _| draw(dice, &mut written).to_bytes())?;
        for key in [COUNTER, REGISTER].into_iter().chain(SUMS) {
            let past = past_of(&stage, &clients, |command| match command {
                Command::Add { key: of, value } if of == key => Some(Change::Add(value)),
                Command::Write { key: of, value } if of == key => Some(Change::Write(value)),
                _ => None,
            })?;
            is_of_one_sequence(trial, &mut stage, &Register, &past, &format!("register {key}"))?;
        }
        let past = past_of(&stage, &clients, |command| match command {
            Command::Put { value } => Some(Queued::Put(value)),
            Command::Take => Some(Queued::Take),
            _ => None,
        })?;
        is_of_one_sequence(trial, &mut stage, &Queue, &past, "the queue")?;
        let past = past_of(&stage, &clients, |command| match command {
            Command::Include { element } => Some(Included(element)),
            _ => None,
        })?;
        is_of_one_sequence(trial, &mut stage, &Set, &past, "the set")?;
        let past = past_of(&stage, &clients, |command| match command {
            Command::Move { from, to, amount } => Some(Moved { from, to, amount }),
            _ => None,
        })?;
        is_of_one_sequence(trial, &mut stage, &Bank, &past, "the bank")?;
    }
    Ok(())
}

/// What a client asks next; `written` is how many values were written so far.
fn draw(dice: &mut Dice, written: &mut u64) -> Command {
    // Each value is written once, so that a former value tells who wrote it.
    *written += 1;
    match dice.below(12) {
        0 | 1 => Command::Add { key: COUNTER, value: 1 },
        2 | 3 => Command::Write { key: REGISTER, value: *written },
        4 | 5 => Command::Put { value: *written },
        6 => Command::Take,
        7 | 8 => Command::Include { element: *written % ELEMENTS },
        9 | 10 => {
            let account = |dice: &mut Dice| dice.below(ACCOUNTS as u64);
            let (from, to) = (account(dice), account(dice));
            // Now and then there is too little.
            Command::Move { from, to, amount: dice.between(1, 80) as u16 }
        }
        _ => {
            let key = SUMS.start + dice.below(SUMS.end - SUMS.start);
            // Amounts may be negative; each is drawn from so many that no two are equal.
            Command::Add { key, value: dice.below(u64::MAX) }
        }
    }
}

fn is_of_one_sequence<M: Model<Input: Copy + core::fmt::Debug, Output = u64>>(
    trial: &Trial<'_>,
    stage: &mut Stage<'_>,
    model: &M,
    past: &Past<M::Input>,
    what: &str,
) -> Verdict {
    trial.count("operations", past.operations.len() as u64);
    match linearizability::check(model, &past.operations, STEPS_MAX) {
        Sequence::Valid => Ok(()),
        Sequence::Invalid { operation } => {
            let (found, sequence) = (past.operations[operation], past.sequences[operation]);
            let client = ClientNumber(found.session as u32);
            let asked = stage.submitted(client).get(sequence as usize - 1);
            let asked = asked.and_then(|(_, message)| Command::parse(message));
            let (asked, answer) = match (asked, found.output) {
                (Some(asked), Some(value)) => (asked.to_string(), asked.answer(value)),
                _ => (format!("{:?}", found.input), "no answer".to_owned()),
            };
            let text = format!(
                "{what}: message {sequence} of client {} fits nowhere: {asked}; {answer}",
                client.0
            );
            stage.fits_nowhere(client, sequence, text)
        }
        Sequence::Unknown => {
            Err(Failure::Unknown(format!("{what}: {STEPS_MAX} steps do not tell")))
        }
    }
}

/// The operations of all clients, as far as they are of this kind.
fn past_of<Input>(
    stage: &Stage<'_>,
    clients: &[ClientNumber],
    of: impl Fn(Command) -> Option<Input>,
) -> Result<Past<Input>, Failure> {
    let mut past = Past { operations: Vec::new(), sequences: Vec::new() };
    for &client in clients {
        for (index, (invoked, bytes)) in stage.submitted(client).iter().enumerate() {
            let Some(input) = Command::parse(bytes).and_then(&of) else { continue };
            let reply = stage.replies(client).get(index);
            let output = reply.map(|reply| former(&reply.bytes)).transpose()?;
            let (returned, session) = (reply.map(|reply| reply.at), u64::from(client.0));
            let invoked = *invoked;
            past.operations.push(Operation { session, invoked, returned, input, output });
            past.sequences.push(index as u64 + 1);
        }
    }
    Ok(past)
}
