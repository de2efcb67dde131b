//! Breadth first, from three members that have just come up.

use quorate_core::{MemberId, Role};

use super::coverage::{Coverage, Explored, Level};
use super::letters::{Link, Pool};
use super::locals::{Locals, Outcome};
use super::machine::{MEMBERS, Step};
use super::options::Bounds;
use super::rules::{self, Ghost, Violation};
use super::state::{LINKS, Move, State, Tables, Way};
use super::visited::Visited;

/// Looks at all that can happen within `bounds`, or up to the first state that breaks a rule;
/// `tell` hears how far it has come.
pub fn explore(bounds: Bounds, mut tell: impl FnMut(&Level)) -> Explored {
    let mut explorer = Explorer::new(bounds);
    let found = match explorer.begin() {
        Ok(first) => explorer.run(first, &mut tell),
        Err(violation) => Some((violation, Vec::new())),
    };
    explorer.conclude(found)
}

/// A state that was met and not left yet, and its number.
type Met = (State, u32);
/// Which rule is broken, from which state, and by what.
type Broken = (Violation, u32, Move, usize);

struct Explorer {
    tables: Tables,
    ghosts: Pool<Ghost>,
    visited: Visited,
    coverage: Coverage,
    transitions: u64,
    depth: u32,
    complete: bool,
    moves: Vec<Move>,
}

impl Explorer {
    fn new(bounds: Bounds) -> Self {
        let locals = Locals::new(bounds.slow_disks, bounds.crashes > 0);
        Self {
            tables: Tables { bounds, locals, links: Pool::new() },
            ghosts: Pool::new(),
            visited: Visited::new(),
            coverage: Coverage::default(),
            transitions: 0,
            depth: 0,
            complete: true,
            moves: Vec::new(),
        }
    }

    /// The first state: all members are up, with empty disks.
    fn begin(&mut self) -> Result<Met, Violation> {
        let mut machines = [0; MEMBERS];
        for (at, machine) in machines.iter_mut().enumerate() {
            *machine = self.tables.locals.first(MemberId(at as u16 + 1))?;
        }
        let links = [self.tables.links.number(&Link::default()); LINKS];
        let ghost = self.ghosts.number(&Ghost::default());
        let first = State { machines, links, ghost, left: self.tables.bounds.left() };
        self.visited.note(first.fingerprint(), 0);
        Ok((first, 0))
    }

    fn run(
        &mut self,
        first: Met,
        tell: &mut impl FnMut(&Level),
    ) -> Option<(Violation, Vec<String>)> {
        let mut met = vec![first];
        while !met.is_empty() {
            let mut next = Vec::new();
            for (state, number) in met {
                if let Some(broken) = self.leave(&state, number, &mut next) {
                    return Some(self.tell_way(&first.0, broken));
                }
                if self.visited.len() >= self.tables.bounds.states_max {
                    self.complete = false;
                    return None;
                }
            }
            tell(&Level {
                depth: self.depth,
                states: next.len(),
                all: self.visited.len(),
                transitions: self.transitions,
                machines: self.tables.locals.len(),
            });
            self.depth += u32::from(!next.is_empty());
            met = next;
        }
        None
    }

    /// Looks at all that may happen in a state.
    fn leave(&mut self, state: &State, number: u32, next: &mut Vec<Met>) -> Option<Broken> {
        let mut moves = core::mem::take(&mut self.moves);
        moves.clear();
        self.tables.moves(state, &mut moves);
        for &made in &moves {
            let asked = self.tables.locals.ask(state.machines[made.member], made.step);
            for at in 0..self.tables.locals.outcomes(asked).len() {
                let outcome = self.tables.locals.outcomes(asked)[at].clone();
                match self.follow(state, made, &outcome) {
                    Ok(Some(reached)) => {
                        if let Some(new) = self.visited.note(reached.fingerprint(), number) {
                            next.push((reached, new));
                        }
                    }
                    Ok(None) => {}
                    Err(violation) => return Some((violation, number, made, at)),
                }
            }
        }
        self.moves = moves;
        None
    }

    /// The state that a move leads to when it goes so, if it is to be looked at.
    fn follow(
        &mut self,
        state: &State,
        made: Move,
        outcome: &Outcome,
    ) -> Result<Option<State>, Violation> {
        if outcome.crashed.is_some() && made.left.crashes == 0 {
            return Ok(None);
        }
        if let Some(violation) = &outcome.violation {
            return Err((**violation).clone());
        }
        if self.tables.locals.summary(outcome.machine).term.0 > self.tables.bounds.terms {
            self.coverage.beyond_terms += 1;
            return Ok(None);
        }
        let Some(mut next) = self.tables.after(state, made, outcome) else { return Ok(None) };
        self.transitions += 1;
        self.count(state, made, outcome);
        if next.machines != state.machines {
            self.judge(&mut next, made.member)?;
        }
        Ok(Some(next))
    }

    /// Holds a state against the rules, and notes what was committed in it first.
    fn judge(&mut self, next: &mut State, changed: usize) -> Result<(), Violation> {
        let all = next.machines.map(|machine| self.tables.locals.summary(machine));
        let before = self.ghosts.get(next.ghost);
        let mut ghost = before.clone();
        let voters_change = self.tables.bounds.changes > 0;
        if let Some(violation) = rules::look(&mut ghost, all, changed, voters_change) {
            return Err(violation);
        }
        if ghost != *before {
            self.coverage.elections += u64::from(ghost.leaders.len() > before.leaders.len());
            self.coverage.commits += u64::from(ghost.committed.len() > before.committed.len());
            self.coverage.led_max = self.coverage.led_max.max(ghost.leaders.len());
            self.coverage.committed_max = self.coverage.committed_max.max(ghost.committed.len());
            next.ghost = self.ghosts.number(&ghost);
        }
        Ok(())
    }

    fn count(&mut self, state: &State, made: Move, outcome: &Outcome) {
        let locals = &self.tables.locals;
        let what = match made.step {
            Step::Take(letter) => locals.letters.get(letter).kind(),
            Step::TimeOut => "election time-out",
            Step::Lapse => "silence of a leader",
            Step::Tick => "other timer",
            Step::Demote(_) => "demotion",
            Step::Done(_) => "operation of a disk",
            Step::Crash(_) => "crash between steps",
            Step::Start => "start",
            Step::Pass => "",
        };
        let what = match made.way {
            Way::Lost(_) => "loss",
            Way::Held(_) => "hold of ways",
            Way::Freed(_) => "end of a hold",
            _ => what,
        };
        self.coverage.saw(what);
        match made.way {
            Way::Next(_, lost) if lost > 0 => self.coverage.saw("loss"),
            Way::Late(_) => self.coverage.saw("late or repeated"),
            _ => {}
        }
        let before = locals.summary(state.machines[made.member]);
        let after = locals.summary(outcome.machine);
        if outcome.crashed.is_some() {
            self.coverage.crashes_within += 1;
        } else if before.is_up && after.is_up && after.frames.len() < before.frames.len() {
            self.coverage.cuts += 1;
        }
    }

    /// Goes the way to a state again, and says what happens on it.
    fn tell_way(&mut self, first: &State, broken: Broken) -> (Violation, Vec<String>) {
        let (violation, number, made, at) = broken;
        let way = self.visited.way_to(number);
        let (mut lines, mut state) = (Vec::new(), *first);
        for &fingerprint in &way[1..] {
            let Some((line, next)) = self.go_to(&state, fingerprint) else { break };
            lines.push(line);
            state = next;
        }
        let asked = self.tables.locals.ask(state.machines[made.member], made.step);
        let outcome = self.tables.locals.outcomes(asked)[at].clone();
        lines.push(self.say(&state, made, &outcome));
        (violation, lines)
    }

    /// The move from `state` to the one with this fingerprint.
    fn go_to(&mut self, state: &State, fingerprint: u64) -> Option<(String, State)> {
        let mut moves = Vec::new();
        self.tables.moves(state, &mut moves);
        for made in moves {
            let asked = self.tables.locals.ask(state.machines[made.member], made.step);
            for at in 0..self.tables.locals.outcomes(asked).len() {
                let outcome = self.tables.locals.outcomes(asked)[at].clone();
                if let Ok(Some(next)) = self.follow(state, made, &outcome)
                    && next.fingerprint() == fingerprint
                {
                    return Some((self.say(state, made, &outcome), next));
                }
            }
        }
        None
    }

    /// A line about a move.
    fn say(&self, state: &State, made: Move, outcome: &Outcome) -> String {
        let locals = &self.tables.locals;
        let mut line = format!("member {}: ", made.member + 1);
        line += &match made.step {
            Step::Take(letter) => {
                let letter = locals.letters.get(letter);
                let how = match made.way {
                    Way::Late(_) => ", late or once more",
                    Way::Next(_, lost) if lost > 0 => ", those before it are lost",
                    _ => "",
                };
                format!("takes {:?} of {:?}{how}", letter.body, letter.sender)
            }
            Step::Pass => format!("nothing, but {:?}", made.way),
            Step::Crash(done) => {
                let of = locals.summary(state.machines[made.member]).under_way;
                format!("loses power; of {of} operations done: {done:#b}")
            }
            other => format!("{other:?}"),
        };
        if let Some(done) = outcome.crashed {
            line += &format!("; loses power within it, operations done: {done:#b}");
        }
        let after = locals.summary(outcome.machine);
        let end = after.frames.last().map_or(0, |frame| frame.end.0);
        let role = if after.is_up { after.role } else { Role::Stopped };
        line + &format!(" ─► {role:?}, term {}, log {end}, commit {}", after.term, after.commit)
    }

    fn conclude(self, violation: Option<(Violation, Vec<String>)>) -> Explored {
        Explored {
            complete: self.complete && violation.is_none(),
            states: self.visited.len(),
            transitions: self.transitions,
            depth: self.depth,
            machines: self.tables.locals.len(),
            datagrams: self.tables.locals.letters.len(),
            steps: self.tables.locals.steps(),
            coverage: self.coverage,
            violation,
        }
    }
}
