//! H1: the history of the ledger's registers, as clients saw it, is linearizable. H2: the answers
//! to a client come from ever later moments, in the order in which it asked. H3: no message took
//! effect twice. All of that from times and values alone.
//!
//! They are one: all three read the same answers. What one answer alone shows to be impossible is
//! said at once, so that the run ends there: what was put in later or never, and what somebody else
//! found already. The order of all is looked for where the faults end, and where the run does.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::{ClientKey, ReadAnswer, ReadLevel};

use super::rising::Rising;
use super::{Ghost, Kinds, Observed, Observer, Phase, Scene, Violations};
use crate::ledger::{REGISTERS, read_query, read_reply, swapped_in};
use crate::linearizability::{Operation, SwapOrRead, Verdict, check_by_key};

/// Steps of the search for each register.
const STEPS_MAX: u64 = 1_000_000;

/// A value, and the message that found it.
type PutIn = (u64, Option<(ClientKey, u64)>);

#[derive(Default)]
pub(super) struct ClientHistory {
    operations: Vec<Operation<u64, u64>>,
    /// Where each message of a client stands.
    places: Rising<ClientKey, Rising<u64, usize>>,
    /// The newest frame that answered each client.
    newest: Rising<ClientKey, u64>,
    /// Which message each frame answered.
    answered: Rising<u64, (ClientKey, u64)>,
    /// For each register the values that were put in, in their order, with the message that found
    /// each. One that is found is mostly among the newest.
    put_in: [Vec<PutIn>; REGISTERS as usize],
    /// Where each linearizable read stands that is not answered.
    reads: BTreeMap<u64, usize>,
    /// A phase is shown for each member; one look is enough.
    judged: Option<Phase>,
}

impl ClientHistory {
    fn accepted(&mut self, now: u64, (key, sequence): (ClientKey, u64), payload: u64) {
        let input = swapped_in(key, sequence, payload);
        let (session, returned, output) = (key.0, None, None);
        self.places.entry(key).insert(sequence, self.operations.len());
        self.put_in[(input % REGISTERS) as usize].push((input, None));
        self.operations.push(Operation { session, invoked: now, returned, input, output });
    }

    fn replied(
        &mut self,
        now: u64,
        message: (ClientKey, u64),
        reply: &[u8],
        violations: &mut Violations,
    ) {
        let (key, sequence) = message;
        let Some(&place) = self.places.get(key).and_then(|places| places.get(sequence)) else {
            return;
        };
        self.operations[place].returned.get_or_insert(now);
        let Some((number, previous)) = read_reply(reply) else { return };
        self.operations[place].output.get_or_insert(previous);
        let newest = self.newest.entry(key);
        if number <= *newest {
            let text = format!("{message:?} is answered from frame {number} after {newest}");
            violations.add("H2", text);
        }
        *newest = number;
        let own = self.operations[place].input;
        if let Some((id, text)) = self.impossible(message, own, previous) {
            violations.add(id, text);
        }
        let other = self.answered.insert(number, message);
        if let Some(other) = other.filter(|other| *other != message) {
            let text = format!("{message:?} is answered from frame {number}: so was {other:?}");
            violations.add("H3", text);
        }
    }

    /// Each read is a session of its own: it is done at any time while it is under way.
    fn asked(&mut self, now: u64, number: u64, register: u64) {
        self.reads.insert(number, self.operations.len());
        let (input, returned, output) = (register, None, None);
        self.operations.push(Operation { session: number, invoked: now, returned, input, output });
    }

    fn read(&mut self, now: u64, number: u64, answer: &ReadAnswer) {
        let Some(place) = self.reads.remove(&number) else { return };
        self.operations[place].returned = Some(now);
        self.operations[place].output = read_query(&answer.payload).map(|(_, value)| value);
    }

    /// Why a message that puts `own` in cannot have found `previous`, if so, whatever else there is
    /// in the history.
    fn impossible(
        &mut self,
        message: (ClientKey, u64),
        own: u64,
        previous: u64,
    ) -> Option<(&'static str, String)> {
        if previous == 0 {
            return None; // the register was empty
        }
        if previous == own {
            return Some(("H1", format!("{message:?} found {own:x}, which it put in itself")));
        }
        let of_register = &mut self.put_in[(previous % REGISTERS) as usize];
        let known = of_register.iter_mut().rev().find(|(value, _)| *value == previous);
        let Some((_, finder)) = known else {
            return Some(("H1", format!("{message:?} found {previous:x}, which nobody put in")));
        };
        let other = *finder.get_or_insert(message);
        let twice = || format!("{other:?} and {message:?} both found {previous:x}");
        (other != message).then(|| ("H3", twice()))
    }

    /// What never returned and whose value nobody found may as well not have been done.
    fn judge(&self) -> Result<(), String> {
        let seen: BTreeSet<u64> = self.operations.iter().filter_map(|done| done.output).collect();
        let counts = |operation: &&Operation<u64, u64>| {
            operation.returned.is_some() || seen.contains(&operation.input)
        };
        let history: Vec<_> = self.operations.iter().filter(counts).copied().collect();
        match check_by_key(&SwapOrRead, &history, |input| input % REGISTERS, STEPS_MAX) {
            Verdict::Valid => Ok(()),
            Verdict::Unknown => Err(format!("no verdict after {STEPS_MAX} steps")),
            Verdict::Invalid { operation } => {
                Err(format!("nowhere does {:?} fit", history[operation]))
            }
        }
    }
}

impl Observer for ClientHistory {
    fn ids(&self) -> &'static [&'static str] {
        &["H1", "H2", "H3"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::CLIENTS.and(Kinds::PHASE)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        if !scene.rules.is_ledger {
            return;
        }
        match *observed {
            Observed::Accepted { key, sequence, payload } => {
                self.accepted(scene.now, (key, sequence), payload);
            }
            Observed::Replied { key, sequence, reply, .. } => {
                self.replied(scene.now, (key, sequence), reply, violations);
            }
            Observed::ReadAsked {
                number,
                level: ReadLevel::Linearizable | ReadLevel::Lease,
                register,
                ..
            } => self.asked(scene.now, number, register),
            Observed::Read { number, answer, .. } => self.read(scene.now, number, answer),
            Observed::Phase(phase @ (Phase::Calm | Phase::Over)) if self.judged < Some(phase) => {
                self.judged = Some(phase);
                if let Err(problem) = self.judge() {
                    violations.add("H1", problem);
                }
            }
            _ => {}
        }
    }
}
