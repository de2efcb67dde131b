//! Byte positions of streams, and half-open ranges of them.

use core::fmt;

/// A byte offset in a stream, counted since the stream began. For the log: since the group was
/// formed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position(pub u64);

impl Position {
    /// The first byte of a stream.
    pub const ZERO: Self = Self(0);
    /// Positions stay below this, so that adding a length never wraps (E96).
    pub const MAX: Self = Self(u64::MAX >> 2);

    /// The position `length` bytes further on, saturating at [`Position::MAX`].
    #[must_use]
    pub const fn plus(self, length: u64) -> Self {
        let end = self.0.saturating_add(length);
        if end > Self::MAX.0 { Self::MAX } else { Self(end) }
    }

    /// This position, or the last one before it where slices can be cut (rule 19).
    #[must_use]
    pub const fn aligned_down(self) -> Self {
        Self(self.0 & !(crate::frame::ALIGNMENT - 1))
    }

    /// How many bytes lie between `earlier` and this; zero if it is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The bytes from `start` up to, and without, `end`. Empty if `end <= start`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PositionRange {
    /// The first byte.
    pub start: Position,
    /// The byte after the last.
    pub end: Position,
}

impl PositionRange {
    /// The range from `start` up to `end`.
    #[must_use]
    pub const fn new(start: Position, end: Position) -> Self {
        Self { start, end }
    }

    /// The `length` bytes from `start` on.
    #[must_use]
    pub const fn at(start: Position, length: u64) -> Self {
        Self { start, end: start.plus(length) }
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.since(self.start)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end.0 <= self.start.0
    }

    /// Whether it begins and ends where slices can be cut.
    #[must_use]
    pub const fn is_aligned(self) -> bool {
        let alignment = crate::frame::ALIGNMENT;
        self.start.0.is_multiple_of(alignment) && self.end.0.is_multiple_of(alignment)
    }

    /// What both have.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// This range in pieces of `bytes_max`, rounded down to a multiple of 8, the last one shorter.
    pub fn runs(self, bytes_max: u64) -> impl Iterator<Item = Self> {
        let step = (bytes_max & !7).max(8);
        let mut start = self.start;
        core::iter::from_fn(move || {
            let run = Self::at(start, step).intersection(self);
            start = run.end.max(start);
            (!run.is_empty()).then_some(run)
        })
    }

    /// Whether all of `other` lies inside.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        other.is_empty() || (self.start <= other.start && other.end <= self.end)
    }
}

impl fmt::Display for PositionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}
