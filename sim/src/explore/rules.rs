//! What must hold in every state. The numbers are those of the observers, which watch the same in
//! worlds with clients and all faults.

use core::any::Any;

use quorate_core::{Chain, ClientKey, Life, MemberId, Message, Position, Role, Term, View, Vote};

use super::machine::{MEMBERS, Machine};
use crate::disk::SimDisk;

/// What must not be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which rule is broken: one of the catalogue, or `fail-stop`, `panic`, `start`, `explore`.
    pub rule: &'static str,
    /// How.
    pub text: String,
}

fn violation(rule: &'static str, text: String) -> Option<Violation> {
    Some(Violation { rule, text })
}

/// What a panic of the core or of the disk says.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Violation {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    Violation { rule: "panic", text: text.to_owned() }
}

/// S10, S40: within a life neither the term nor what is committed or applied falls.
pub(super) fn falls(before: &View, after: &View) -> Option<Violation> {
    let falls =
        after.commit < before.commit || after.applied < before.applied || after.term < before.term;
    if !falls {
        return None;
    }
    violation("S10", format!("a term or position falls: from {before:?} to {after:?}"))
}

/// S2: over all lives of a directory a term's vote is one and the same, and the term never falls.
pub(super) fn vote(old: Vote, new: Vote) -> Option<Violation> {
    let is_other = old.term == new.term
        && old.granted_to.is_some_and(|granted| new.granted_to != Some(granted));
    if new.term >= old.term && !is_other {
        return None;
    }
    violation("S2", format!("the durable vote {old:?} is replaced by {new:?}"))
}

/// S3, S12: what a message of `own` promises is on its disk.
pub(super) fn promise(own: MemberId, disk: &SimDisk, message: &Message) -> Option<Violation> {
    let granted = |term: Term, to: MemberId| Vote { term, granted_to: Some(to) };
    match *message {
        Message::Ballot { term, candidate, granted: true, .. }
            if disk.vote() != granted(term, candidate) =>
        {
            violation("S3", format!("{message:?} leaves while the disk has {:?}", disk.vote()))
        }
        Message::RequestVote { term, .. } if disk.vote() != granted(term, own) => {
            violation("S3", format!("{message:?} leaves while the disk has {:?}", disk.vote()))
        }
        Message::Acknowledge { term, durable, .. }
            if durable > disk.durable_end() || disk.history().last_term() != term =>
        {
            let (end, last) = (disk.durable_end(), disk.history().last_term());
            let text = format!("{message:?} leaves while the disk has {end}, adopted {last}");
            violation("S12", text)
        }
        _ => None,
    }
}

/// S15: a session is opened once for a client.
pub(super) fn twice(client: ClientKey) -> Violation {
    let text = format!("a second session is opened for client {}", client.0);
    Violation { rule: "S15", text }
}

/// A frame of a log, as far as the rules go.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Mark {
    pub(super) end: Position,
    pub(super) term: Term,
    pub(super) chain: Chain,
}

/// What the rules and the exploration look at of a machine.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) is_up: bool,
    pub(super) life: Life,
    pub(super) role: Role,
    pub(super) term: Term,
    pub(super) serving: bool,
    pub(super) commit: Position,
    pub(super) applied: (Position, u64),
    pub(super) frames: Vec<Mark>,
    pub(super) durable: Position,
    pub(super) can_lapse: bool,
    pub(super) can_tick: bool,
    pub(super) under_way: u8,
}

impl Summary {
    pub(super) fn of(machine: &Machine) -> Self {
        let disk = &machine.disk;
        let view = machine.member.as_ref().map_or_else(View::default, |member| member.view());
        let mark = |frame: &crate::disk::FrameMark| Mark {
            end: frame.end,
            term: frame.term,
            chain: frame.chain,
        };
        let recovered = view.term.max(disk.vote().term);
        Self {
            is_up: machine.member.is_some(),
            life: view.life,
            role: view.role,
            term: recovered,
            serving: view.serving,
            commit: view.commit,
            applied: (machine.service.through, machine.service.digest),
            frames: disk.frames().iter().map(mark).collect(),
            durable: disk.durable_end(),
            can_lapse: machine.can_lapse(),
            can_tick: machine.tick_at().is_some(),
            under_way: disk.under_way().count() as u8,
        }
    }

    fn holds(&self, mark: &Mark) -> bool {
        self.frames.iter().any(|frame| frame.end == mark.end && frame.chain == mark.chain)
    }

    fn holds_durably(&self, mark: &Mark) -> bool {
        mark.end <= self.durable && self.holds(mark)
    }
}

/// What no member knows: who led, and what was committed, by a leader of which term.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Ghost {
    pub(super) leaders: Vec<(Term, Life)>,
    pub(super) committed: Vec<(Mark, Term)>,
}

/// Looks at the machines when the one at `changed` has become another.
pub(super) fn look(
    ghost: &mut Ghost,
    all: [&Summary; MEMBERS],
    changed: usize,
    voters_change: bool,
) -> Option<Violation> {
    let new = all[changed];
    let found = leads(ghost, new)
        .or_else(|| commits(ghost, new))
        .or_else(|| matches_others(all, changed))
        .or_else(|| all.iter().find_map(|one| is_complete(ghost, one)));
    // Whose disks count is another question where voters come and go.
    if found.is_some() || voters_change {
        return found;
    }
    let (last, _) = ghost.committed.last()?;
    let holders = all.iter().filter(|one| one.holds_durably(last)).count();
    if holders > MEMBERS / 2 {
        return None;
    }
    violation("S8", format!("{holders} disks have what is committed, up to {}", last.end))
}

/// S1: one life of one member leads a term.
fn leads(ghost: &mut Ghost, new: &Summary) -> Option<Violation> {
    if new.role != Role::Leader {
        return None;
    }
    let known = ghost.leaders.iter().find(|(term, _)| *term == new.term).map(|(_, life)| *life);
    match known {
        Some(life) if life == new.life => None,
        Some(life) => {
            violation("S1", format!("term {} is led by {life:?} and {:?}", new.term, new.life))
        }
        None => {
            ghost.leaders.push((new.term, new.life));
            ghost.leaders.sort_unstable_by_key(|(term, _)| *term);
            None
        }
    }
}

/// S7: what is marked committed anywhere is what was first.
fn commits(ghost: &mut Ghost, new: &Summary) -> Option<Violation> {
    if new.commit == Position::ZERO {
        return None;
    }
    let committed = new.frames.iter().filter(|frame| frame.end <= new.commit);
    for (at, frame) in committed.enumerate() {
        match ghost.committed.get(at) {
            Some((mark, _)) if (mark.end, mark.chain) == (frame.end, frame.chain) => {}
            Some((mark, _)) => {
                let text = format!("{frame:?} is committed, and {mark:?} was before");
                return violation("S7", text);
            }
            None => ghost.committed.push((*frame, new.term)),
        }
    }
    None
}

/// S5: frames of one term at one position have the same log before them. S16: who has applied the
/// same is in the same state.
fn matches_others(all: [&Summary; MEMBERS], changed: usize) -> Option<Violation> {
    let new = all[changed];
    for (at, other) in all.iter().enumerate().filter(|(at, _)| *at != changed) {
        for frame in &new.frames {
            let same = |it: &&Mark| it.end == frame.end && it.term == frame.term;
            if let Some(mark) = other.frames.iter().find(same)
                && mark.chain != frame.chain
            {
                let text =
                    format!("member {} has {mark:?}, member {} {frame:?}", at + 1, changed + 1);
                return violation("S5", text);
            }
        }
        let (through, digest) = new.applied;
        if other.applied.0 == through && other.applied.1 != digest {
            let text = format!("members {} and {} differ at {through}", at + 1, changed + 1);
            return violation("S16", text);
        }
    }
    None
}

/// S9: a leader holds all that was committed by leaders of terms before its own.
fn is_complete(ghost: &Ghost, one: &Summary) -> Option<Violation> {
    if one.role != Role::Leader {
        return None;
    }
    let lacks = |(mark, term): &&(Mark, Term)| *term < one.term && !one.holds(mark);
    let (mark, _) = ghost.committed.iter().find(lacks)?;
    violation("S9", format!("the leader of term {} lacks {mark:?}", one.term))
}
