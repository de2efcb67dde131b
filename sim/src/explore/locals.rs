//! Machines as they were met, each once, and what comes of each step of each: the core is asked
//! once. That is what makes an exploration quick: there are far fewer machines than states of all
//! three.

use std::collections::{BTreeMap, VecDeque};

use quorate_core::MemberId;

use super::letters::{Letter, Pool};
use super::machine::{Machine, Step, Turn};
use super::rules::{Summary, Violation};

/// Machines that are kept in memory; others are made again from what they came of.
const RESIDENT_MAX: usize = 400_000;

/// What comes of a step, in numbers.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) machine: u32,
    /// To whom, by index, and what.
    pub(super) sent: Vec<(u8, u32)>,
    pub(super) crashed: Option<u32>,
    pub(super) violation: Option<Box<Violation>>,
}

/// All machines and datagrams that were met.
#[derive(Debug)]
pub(super) struct Locals {
    slow: bool,
    may_crash: bool,
    known: BTreeMap<u64, u32>,
    summaries: Vec<Summary>,
    machines: Vec<Option<Box<Machine>>>,
    /// Which step of which machine it came of first, and as which of the outcomes.
    origins: Vec<Option<(u32, Step, u32)>>,
    resident: VecDeque<u32>,
    memo: BTreeMap<(u32, Step), u32>,
    outcomes: Vec<Vec<Outcome>>,
    pub(super) letters: Pool<Letter>,
}

impl Locals {
    /// None yet. `slow` disks take their time; the power fails in the middle of a step if it
    /// `may_crash`.
    pub(super) fn new(slow: bool, may_crash: bool) -> Self {
        Self {
            slow,
            may_crash,
            known: BTreeMap::new(),
            summaries: Vec::new(),
            machines: Vec::new(),
            origins: Vec::new(),
            resident: VecDeque::new(),
            memo: BTreeMap::new(),
            outcomes: Vec::new(),
            letters: Pool::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.summaries.len()
    }

    /// How often the core was asked.
    pub(super) fn steps(&self) -> usize {
        self.outcomes.len()
    }

    pub(super) fn summary(&self, machine: u32) -> &Summary {
        &self.summaries[machine as usize]
    }

    pub(super) fn outcomes(&self, number: u32) -> &[Outcome] {
        &self.outcomes[number as usize]
    }

    /// A member that comes up on an empty disk.
    ///
    /// # Errors
    /// It does not come up.
    pub(super) fn first(&mut self, id: MemberId) -> Result<u32, Violation> {
        let turns = Machine::new(id).go(Step::Start, None, (false, false));
        let Some(Turn { machine, violation, .. }) = turns.into_iter().next() else {
            return Err(Violation { rule: "start", text: "no outcome".to_owned() });
        };
        violation.map_or_else(|| Ok(self.number(machine, None)), Err)
    }

    /// What comes of `step` of `machine`: the number of its outcomes.
    pub(super) fn ask(&mut self, machine: u32, step: Step) -> u32 {
        if let Some(&number) = self.memo.get(&(machine, step)) {
            return number;
        }
        self.make_resident(machine);
        let turns = self.turns(machine, step);
        let mut outcomes = Vec::with_capacity(turns.len());
        for (at, turn) in turns.into_iter().enumerate() {
            outcomes.push(self.outcome(turn, (machine, step, at as u32)));
        }
        let number = self.outcomes.len() as u32;
        self.outcomes.push(outcomes);
        self.memo.insert((machine, step), number);
        number
    }

    fn turns(&self, machine: u32, step: Step) -> Vec<Turn> {
        let Some(known) = &self.machines[machine as usize] else { return Vec::new() };
        let letter = match step {
            Step::Take(letter) => Some(self.letters.get(letter)),
            _ => None,
        };
        known.go(step, letter, (self.slow, self.may_crash))
    }

    fn outcome(&mut self, turn: Turn, origin: (u32, Step, u32)) -> Outcome {
        let Turn { machine, sent, crashed, violation } = turn;
        let sent = sent.iter().map(|(to, letter)| (to.0 as u8 - 1, self.letters.number(letter)));
        let sent = sent.collect();
        let machine = self.number(machine, Some(origin));
        Outcome { machine, sent, crashed, violation: violation.map(Box::new) }
    }

    fn number(&mut self, machine: Machine, origin: Option<(u32, Step, u32)>) -> u32 {
        let fingerprint = machine.fingerprint();
        if let Some(&number) = self.known.get(&fingerprint) {
            return number;
        }
        let number = self.summaries.len() as u32;
        self.known.insert(fingerprint, number);
        self.summaries.push(Summary::of(&machine));
        self.machines.push(Some(Box::new(machine)));
        if origin.is_some() {
            self.note_resident(number);
        }
        self.origins.push(origin);
        number
    }

    fn note_resident(&mut self, number: u32) {
        self.resident.push_back(number);
        if self.resident.len() > RESIDENT_MAX
            && let Some(oldest) = self.resident.pop_front()
        {
            self.machines[oldest as usize] = None;
        }
    }

    /// Makes a machine again that is not in memory, from the last one before it that is.
    fn make_resident(&mut self, machine: u32) {
        let mut missing = Vec::new();
        let mut at = machine;
        while self.machines[at as usize].is_none()
            && let Some((parent, step, outcome)) = self.origins[at as usize]
        {
            missing.push((at, parent, step, outcome));
            at = parent;
        }
        let mut last: Option<(u32, Box<Machine>)> = None;
        for (number, parent, step, outcome) in missing.into_iter().rev() {
            let letter = match step {
                Step::Take(letter) => Some(self.letters.get(letter)),
                _ => None,
            };
            let kept = last.as_ref().filter(|(at, _)| *at == parent).map(|(_, machine)| machine);
            let Some(from) = kept.or(self.machines[parent as usize].as_ref()) else { return };
            let turns = from.go(step, letter, (self.slow, self.may_crash));
            let turn = turns.into_iter().nth(outcome as usize);
            last = turn.map(|turn| (number, Box::new(turn.machine)));
        }
        if let Some((number, made)) = last {
            self.machines[number as usize] = Some(made);
            self.note_resident(number);
        }
    }
}
