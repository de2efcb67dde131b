//! The record that no member has: every frame that any disk ever held, and what was chosen.

use std::collections::BTreeMap;

use quorate_core::{Chain, Position, Term, TermHistory};

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
    by_start: BTreeMap<(Position, Term), FrameMark>,
    by_end: BTreeMap<(Position, Term), FrameMark>,
    chosen: Vec<Chosen>,
}

impl Ghost {
    /// The frame of `term` that begins at `start`.
    #[must_use]
    pub fn frame_at(&self, start: Position, term: Term) -> Option<&FrameMark> {
        self.by_start.get(&(start, term))
    }

    /// The frame that ends at `end` under `history`.
    #[must_use]
    pub fn frame_ending_at(&self, end: Position, history: &TermHistory) -> Option<&FrameMark> {
        self.by_end.get(&(end, history.term_before(end)))
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
        let index = self.chosen.binary_search_by_key(&end, |chosen| chosen.end).ok()?;
        Some(&self.chosen[index])
    }

    /// The last chosen frame that ends at or before `end`.
    #[must_use]
    pub fn chosen_before(&self, end: Position) -> Option<&Chosen> {
        let after = self.chosen.partition_point(|chosen| chosen.end <= end);
        self.chosen[..after].last()
    }

    /// Puts on record what happened.
    pub(super) fn record(&mut self, scene: &Scene<'_>, observed: Observed<'_>) {
        match observed {
            Observed::Written { frames, .. } => {
                for frame in frames {
                    self.by_start.entry((frame.start, frame.term)).or_insert(*frame);
                    self.by_end.entry((frame.end, frame.term)).or_insert(*frame);
                }
            }
            Observed::Stepped { .. } if scene.view.commit > self.chosen_end() => {
                self.choose(scene.view.commit, scene.history);
            }
            _ => {}
        }
    }

    fn choose(&mut self, commit: Position, history: &TermHistory) {
        while self.chosen_end() < commit {
            let start = self.chosen_end();
            let Some(owner) = history.owner(start) else { return };
            let Some(frame) = self.by_start.get(&(start, owner.term)) else { return };
            self.chosen.push(Chosen { end: frame.end, term: frame.term, chain: frame.chain });
        }
    }
}
