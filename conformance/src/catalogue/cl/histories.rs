//! Histories of many clients under random faults, checked against what one sequence would give.

use std::collections::VecDeque;

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

/// What is asked of a queue.
#[derive(Clone, Copy, Debug)]
enum Queued {
    Put(u64),
    Take,
}

/// The queue of the suite's service, as long as nothing of it is refused.
struct Queue;

impl Model for Queue {
    type State = VecDeque<u64>;
    type Input = Queued;
    type Output = u64;

    fn initial(&self) -> VecDeque<u64> {
        VecDeque::new()
    }

    fn step(
        &self,
        state: &VecDeque<u64>,
        input: &Queued,
        output: Option<&u64>,
    ) -> Option<VecDeque<u64>> {
        let mut next = state.clone();
        let answer = match input {
            Queued::Put(value) => {
                next.push_back(*value);
                next.len() as u64
            }
            Queued::Take => next.pop_front().unwrap_or(0),
        };
        output.is_none_or(|output| *output == answer).then_some(next)
    }
}

/// Steps that a checker may take for one register or queue.
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
        let mut written = 0;
        play(&mut stage, &mut dice, &clients, |dice, _| draw(dice, &mut written).to_bytes())?;
        for key in [COUNTER, REGISTER].into_iter().chain(ACCOUNTS) {
            let history = history_of(&stage, &clients, |command| match command {
                Command::Add { key: of, value } if of == key => Some(Change::Add(value)),
                Command::Write { key: of, value } if of == key => Some(Change::Write(value)),
                _ => None,
            })?;
            trial.count("operations", history.len() as u64);
            is_of_one_sequence(&mut stage, &Register, &history, &format!("register {key}"))?;
        }
        let history = history_of(&stage, &clients, |command| match command {
            Command::Put { value } => Some(Queued::Put(value)),
            Command::Take => Some(Queued::Take),
            _ => None,
        })?;
        trial.count("operations", history.len() as u64);
        is_of_one_sequence(&mut stage, &Queue, &history, "the queue")?;
    }
    Ok(())
}

/// What a client asks next; `written` is how many values were written so far.
fn draw(dice: &mut Dice, written: &mut u64) -> Command {
    // Each value is written once, so that a former value tells who wrote it.
    *written += 1;
    match dice.below(8) {
        0 | 1 => Command::Add { key: COUNTER, value: 1 },
        2 | 3 => Command::Write { key: REGISTER, value: *written },
        4 => Command::Put { value: *written },
        5 => Command::Take,
        _ => {
            let key = ACCOUNTS.start + dice.below(ACCOUNTS.end - ACCOUNTS.start);
            // Amounts may be negative; each is drawn from so many that no two are equal.
            Command::Add { key, value: dice.below(u64::MAX) }
        }
    }
}

fn is_of_one_sequence<M: Model<Input: Copy + core::fmt::Debug, Output = u64>>(
    stage: &mut Stage<'_>,
    model: &M,
    history: &[Operation<M::Input, u64>],
    what: &str,
) -> Verdict {
    match linearizability::check(model, history, STEPS_MAX) {
        Sequence::Valid => Ok(()),
        Sequence::Invalid { operation } => {
            let found = &history[operation];
            let (client, input, output) = (found.session, found.input, found.output);
            stage.check(false, || {
                format!("{what}: {input:?} of client {client} fits nowhere with {output:?}")
            })
        }
        Sequence::Unknown => {
            Err(Failure::Unknown(format!("{what}: {STEPS_MAX} steps do not tell")))
        }
    }
}

/// The operations of all clients, as far as they are of this kind.
fn history_of<Input>(
    stage: &Stage<'_>,
    clients: &[ClientNumber],
    of: impl Fn(Command) -> Option<Input>,
) -> Result<Vec<Operation<Input, u64>>, Failure> {
    let mut history = Vec::new();
    for &client in clients {
        for (index, (invoked, bytes)) in stage.submitted(client).iter().enumerate() {
            let Some(input) = Command::parse(bytes).and_then(&of) else { continue };
            let reply = stage.replies(client).get(index);
            let output = reply.map(|reply| former(&reply.bytes)).transpose()?;
            let returned = reply.map(|reply| reply.at);
            let session = u64::from(client.0);
            history.push(Operation { session, invoked: *invoked, returned, input, output });
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
    #[test]
    fn the_model_of_a_queue_finds_what_is_taken_twice_or_out_of_turn() {
        let put = |session: u64, invoked: u64, output: u64| {
            let (returned, output) = (Some(invoked + 2), Some(output));
            Operation { session, invoked, returned, input: Queued::Put(invoked), output }
        };
        let take = |session: u64, invoked: u64, output: u64| {
            let (returned, output) = (Some(invoked + 2), Some(output));
            Operation { session, invoked, returned, input: Queued::Take, output }
        };
        let is_sound = |history: &[Operation<Queued, u64>]| {
            linearizability::check(&Queue, history, STEPS_MAX) == Sequence::Valid
        };
        let puts = [put(1, 10, 1), put(2, 20, 2)];
        assert!(is_sound(&[puts[0], puts[1], take(3, 30, 10), take(3, 40, 20), take(3, 50, 0)]));
        assert!(!is_sound(&[puts[0], puts[1], take(3, 30, 20)]), "out of turn");
        assert!(!is_sound(&[puts[0], puts[1], take(3, 30, 10), take(3, 40, 10)]), "twice");
        assert!(!is_sound(&[puts[0], puts[1], take(3, 30, 0)]), "lost");
    }
}
