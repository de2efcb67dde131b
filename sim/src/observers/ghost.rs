//! The record that no member has: every frame that any disk ever held, and what was chosen.

use quorate_core::{Chain, MemberId, Position, Term, TermHistory};

use super::rising::{ByMember, Rising, find_from_end};
use super::{Observed, Scene};
use crate::disk::FrameMark;

/// A frame that was committed by anyone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Chosen {
    /// Where it ends.
    pub end: Position,
    /// The term that owns it.
    pub term: Term,
    /// The chain value behind it.
    pub chain: Chain,
}

/// What the observers share.
#[derive(Clone, Debug, Default)]
pub struct Ghost {
    /// The frames of each term, by rising positions. Those of one term do not overlap: where they
    /// would, S5 or S36 has spoken, and what was there first stays.
    terms: Rising<Term, Vec<FrameMark>>,
    chosen: Vec<Chosen>,
    steps: ByMember<u64>,
}

impl Ghost {
    /// The frame of `term` that begins at `start`.
    #[must_use]
    pub fn frame_at(&self, start: Position, term: Term) -> Option<&FrameMark> {
        self.frames_from(start, term).first().filter(|frame| frame.start == start)
    }

    /// The frames of `term` that begin at `start` or behind it.
    #[must_use]
    pub fn frames_from(&self, start: Position, term: Term) -> &[FrameMark] {
        let Some(frames) = self.terms.get(term) else { return &[] };
        let from = find_from_end(frames, start, |frame| frame.start).unwrap_or_else(|at| at);
        &frames[from..]
    }

    /// The frame that ends at `end` under `history`.
    #[must_use]
    pub fn frame_ending_at(&self, end: Position, history: &TermHistory) -> Option<&FrameMark> {
        let frames = self.terms.get(history.term_before(end))?;
        find_from_end(frames, end, |frame| frame.end).ok().map(|at| &frames[at])
    }

    /// The chain value at `end` under `history`; zero at the beginning of the log.
    #[must_use]
    pub fn chain_at(&self, end: Position, history: &TermHistory) -> Option<Chain> {
        if end == Position::ZERO {
            return Some(Chain::default());
        }
        self.frame_ending_at(end, history).map(|frame| frame.chain)
    }

    /// The end of what was ever chosen.
    #[must_use]
    pub fn chosen_end(&self) -> Position {
        self.chosen.last().map_or(Position::ZERO, |chosen| chosen.end)
    }

    /// The newest chosen frame.
    #[must_use]
    pub fn last_chosen(&self) -> Option<&Chosen> {
        self.chosen.last()
    }

    /// The newest chosen frame of the terms before `term`, unless a later term has chosen frames
    /// too: then it may have been a later leader that committed it.
    #[must_use]
    pub fn last_chosen_before(&self, term: Term) -> Option<&Chosen> {
        self.chosen.last().filter(|last| last.term < term)
    }

    /// The chosen frame that ends at `end`.
    #[must_use]
    pub fn chosen_ending_at(&self, end: Position) -> Option<&Chosen> {
        let index = find_from_end(&self.chosen, end, |chosen| chosen.end).ok()?;
        Some(&self.chosen[index])
    }

    /// The last chosen frame that ends at or before `end`.
    #[must_use]
    pub fn chosen_before(&self, end: Position) -> Option<&Chosen> {
        let after = self.chosen.partition_point(|chosen| chosen.end <= end);
        self.chosen[..after].last()
    }

    /// The first chosen frame that ends behind `position`: the one that begins there, or holds it.
    #[must_use]
    pub fn chosen_after(&self, position: Position) -> Option<&Chosen> {
        self.chosen.get(self.chosen.partition_point(|chosen| chosen.end <= position))
    }

    /// How many steps the member took, the one that is shown not among them.
    #[must_use]
    pub fn steps_of(&self, member: MemberId) -> u64 {
        self.steps.get(member).copied().unwrap_or(0)
    }

    /// Puts on record what happened.
    pub(super) fn record(&mut self, scene: &Scene<'_>, observed: &Observed<'_>) {
        match *observed {
            Observed::Written { frames, .. } => {
                for frame in frames {
                    let known = self.terms.entry(frame.term);
                    if let Err(at) = find_from_end(known, frame.start, |known| known.start) {
                        known.insert(at, *frame);
                    }
                }
            }
            Observed::Stepped { .. } => {
                *self.steps.entry(scene.member) += 1;
                if scene.view.commit > self.chosen_end() {
                    self.choose(scene.view.commit, scene.history);
                }
            }
            _ => {}
        }
    }

    fn choose(&mut self, commit: Position, history: &TermHistory) {
        while self.chosen_end() < commit {
            let start = self.chosen_end();
            let Some(owner) = history.owner(start) else { return };
            let Some(frame) = self.frame_at(start, owner.term).copied() else { return };
            self.chosen.push(Chosen { end: frame.end, term: frame.term, chain: frame.chain });
        }
    }
}
