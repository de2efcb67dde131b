//! Leadership terms and the term history: which leader wrote which bytes of the log.

use alloc::vec::Vec;
use core::fmt;

use crate::identity::{Life, RecoveryEpoch};
use crate::position::Position;

/// A leadership term (Raft's term, §5.1). At most one member leads in a term.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Term(pub u64);

impl Term {
    /// The term after this one; `None` when terms are exhausted (E96).
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(term) => Some(Self(term)),
            None => None,
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The rolling value over the frames' checksums, terms and positions up to a position (rule 15).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Chain(pub u64);

/// One line of a term history: a leadership term and where its bytes begin.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TermLine {
    /// The recovery epoch in which the term was won.
    pub recovery_epoch: RecoveryEpoch,
    /// The leadership term.
    pub term: Term,
    /// The position of the term's first byte, that of its opening frame.
    pub base: Position,
    /// Who leads the term, in which life.
    pub leader: Life,
    /// The chain value at `base`.
    pub chain: Chain,
}

/// What a voter compares: the highest term whose base is reached, then the verified position
/// (rule 7). The derived order is the comparison.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct VoteKey {
    /// The highest term in the history whose base is at or below `position`.
    pub term: Term,
    /// The end of the last whole, valid frame of the contiguous prefix.
    pub position: Position,
}

/// The durable vote: the highest term seen, and who was granted the vote in it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Vote {
    /// The highest term that this member has taken part in.
    pub term: Term,
    /// Whom it voted for in that term.
    pub granted_to: Option<crate::identity::MemberId>,
}

/// The term history: lines by rising term, with bases that never fall.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct TermHistory {
    lines: Vec<TermLine>,
}

/// Why lines are not a term history, or do not continue one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// Terms must rise from line to line, and bases and recovery epochs must not fall.
    #[error("lines of a term history are out of order at term {term}")]
    OutOfOrder {
        /// The line that is out of order.
        term: Term,
    },
    /// Two lines of one term differ: two leaders wrote in it (rule 9).
    #[error("two different lines claim term {term}")]
    Conflict {
        /// The term that both claim.
        term: Term,
    },
}

impl TermHistory {
    /// A history of `lines`.
    ///
    /// # Errors
    /// [`HistoryError::OutOfOrder`] unless terms rise, and bases and recovery epochs do not fall.
    pub fn new(lines: Vec<TermLine>) -> Result<Self, HistoryError> {
        for pair in lines.windows(2) {
            let falls = pair[1].recovery_epoch < pair[0].recovery_epoch;
            if falls || pair[1].term <= pair[0].term || pair[1].base < pair[0].base {
                return Err(HistoryError::OutOfOrder { term: pair[1].term });
            }
        }
        Ok(Self { lines })
    }

    /// All lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> &[TermLine] {
        &self.lines
    }

    /// The newest line.
    #[must_use]
    pub fn last(&self) -> Option<&TermLine> {
        self.lines.last()
    }

    /// The newest term; zero when there is none.
    #[must_use]
    pub fn last_term(&self) -> Term {
        self.last().map_or(Term(0), |line| line.term)
    }

    /// The recovery epoch of the newest line; zero when there is none.
    #[must_use]
    pub fn last_epoch(&self) -> RecoveryEpoch {
        self.last().map_or(RecoveryEpoch(0), |line| line.recovery_epoch)
    }

    /// Where the newest recovery epoch begins, if it is not that in which the group was formed:
    /// what a forced recovery kept lies before it.
    #[must_use]
    pub fn recovered_at(&self) -> Option<(RecoveryEpoch, Position)> {
        let epoch = self.last_epoch();
        let first = self.lines.iter().find(|line| line.recovery_epoch == epoch)?;
        (epoch > RecoveryEpoch(0)).then_some((epoch, first.base))
    }

    /// The line that owns the byte at `position`: the last with a base at or below it. Of lines
    /// with equal bases the last owns.
    #[inline]
    #[must_use]
    pub fn owner(&self, position: Position) -> Option<&TermLine> {
        if let Some(last) = self.last_if_owner(position) {
            return Some(last);
        }
        self.lines[..self.search(position)].last()
    }

    /// How many lines have a base at or below `position`.
    #[inline(never)]
    fn search(&self, position: Position) -> usize {
        self.lines.partition_point(|line| line.base <= position)
    }

    /// Where the bytes of the owner of `position` end: the next line's base, if there is one.
    #[inline]
    #[must_use]
    pub fn owner_end(&self, position: Position) -> Option<Position> {
        if self.last_if_owner(position).is_some() {
            return None;
        }
        self.lines.get(self.search(position)).map(|line| line.base)
    }

    /// The line that owns the byte at `position`, and where its bytes end: [`Position::MAX`] if it
    /// is the last.
    #[inline]
    pub(crate) fn owner_to(&self, position: Position) -> Option<(&TermLine, Position)> {
        match self.last_if_owner(position) {
            Some(last) => Some((last, Position::MAX)),
            None => self.former_owner_to(position),
        }
    }

    #[inline(never)]
    fn former_owner_to(&self, position: Position) -> Option<(&TermLine, Position)> {
        let line = self.owner(position)?;
        Some((line, self.owner_end(position).unwrap_or(Position::MAX)))
    }

    /// The newest line, if its term owns `position`: nearly all that is asked for is new.
    #[inline]
    fn last_if_owner(&self, position: Position) -> Option<&TermLine> {
        self.lines.last().filter(|last| last.base <= position)
    }

    /// The term of the byte before `position`; zero at the beginning of the log.
    #[must_use]
    pub fn term_before(&self, position: Position) -> Term {
        match position.0.checked_sub(1) {
            Some(before) => self.owner(Position(before)).map_or(Term(0), |line| line.term),
            None => Term(0),
        }
    }

    /// The vote key of a member that holds this history and `verified` (rule 7): an adopted line
    /// whose base is reached counts as a zero-length opening entry.
    #[must_use]
    pub fn vote_key(&self, verified: Position) -> VoteKey {
        VoteKey { term: self.owner(verified).map_or(Term(0), |line| line.term), position: verified }
    }

    /// This history as the winner of a ballot keeps it (rule 7): the lines with a base at or below
    /// `line.base`, then `line`.
    #[must_use]
    pub fn opened(&self, line: TermLine) -> Self {
        let kept = self.lines.iter().filter(|old| old.base <= line.base && old.term < line.term);
        Self { lines: kept.copied().chain([line]).collect() }
    }

    /// The lines to announce to a member whose commit position is `commit`: from the owner of its
    /// last committed byte on.
    #[must_use]
    pub fn lines_above(&self, commit: Position) -> &[TermLine] {
        let last_committed = Position(commit.0.saturating_sub(1));
        let from = self.lines.partition_point(|line| line.base <= last_committed).saturating_sub(1);
        &self.lines[from..]
    }

    /// This history with everything from the first of `announced` on replaced by them.
    ///
    /// # Errors
    /// [`HistoryError::Conflict`] when a line of the same term differs (rule 9), and
    /// [`HistoryError::OutOfOrder`] when the result would not be a history.
    pub fn adopted(&self, announced: &[TermLine]) -> Result<Self, HistoryError> {
        let Some(first) = announced.first() else { return Ok(self.clone()) };
        for line in announced {
            let own = self.lines.iter().find(|own| own.term == line.term);
            if own.is_some_and(|own| own != line) {
                return Err(HistoryError::Conflict { term: line.term });
            }
        }
        let kept = self.lines.iter().filter(|own| own.base < first.base && own.term < first.term);
        Self::new(kept.chain(announced).copied().collect())
    }

    /// Up to where a log under this history and one under `other` have the same owners: bytes at
    /// and above it are disowned.
    #[must_use]
    pub fn divergence(&self, other: &Self, end: Position) -> Position {
        let mut at = Position::ZERO;
        while at < end {
            let (Some(ours), Some(theirs)) = (self.owner(at), other.owner(at)) else { return at };
            if ours != theirs {
                return at;
            }
            let ours_end = self.owner_end(at).unwrap_or(end);
            let theirs_end = other.owner_end(at).unwrap_or(end);
            at = ours_end.min(theirs_end).min(end);
        }
        end
    }
}
