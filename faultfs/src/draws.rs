//! Random draws from a seed.

use quorate_core::hash::mix;

/// Draws that are the same for the same seed.
#[derive(Clone, Debug)]
pub struct Draws {
    seed: u64,
    drawn: u64,
}

impl Draws {
    /// Those of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// A number below `bound`, or 0 if that is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.drawn += 1;
        let drawn = mix(self.seed, self.drawn);
        if bound == 0 { 0 } else { drawn % bound }
    }

    /// True in so many of a hundred draws.
    pub const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
