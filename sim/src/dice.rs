//! Seeded draws. Each subsystem of a world has dice of its own, so that one draw more in one does
//! not shift the others.

use core::hash::Hasher;

use quorate_core::hash::{StateHasher, mix};
use quorate_core::random::Random;

/// One million: the denominator of probabilities.
pub const ALWAYS: u32 = 1_000_000;

/// A generator of draws.
#[derive(Clone, Debug)]
pub struct Dice {
    random: Random,
}

impl Dice {
    /// The dice of the subsystem `label` in the world of `seed`.
    #[must_use]
    pub fn new(seed: u64, label: &str) -> Self {
        let mut hasher = StateHasher::default();
        hasher.write(label.as_bytes());
        Self { random: Random::new(mix(seed, hasher.finish())) }
    }

    /// The dice that start from these bits.
    #[must_use]
    pub const fn of_bits(bits: u64) -> Self {
        Self { random: Random::new(bits) }
    }

    /// 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.random.next_u64()
    }

    /// A number below `bound`; zero when `bound` is zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.random.below(bound) }
    }

    /// A number from `least` to `most`, both included.
    pub const fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least).saturating_add(1))
    }

    /// Whether something that happens `parts` times in a million happens now.
    pub const fn chance(&mut self, parts: u32) -> bool {
        parts > 0 && self.below(ALWAYS as u64) < parts as u64
    }

    /// A draw around `mean`, exponentially distributed but for a piecewise linear logarithm, so
    /// that it is the same on every platform.
    pub const fn exponential(&mut self, mean: u64) -> u64 {
        let bits = self.bits() | 1;
        let zeros = bits.leading_zeros() as u64;
        let fraction = ((bits << zeros) >> 48) & 0x7fff;
        // -log2 of the draw, in parts of 2^15, times ln 2.
        let halvings = ((zeros + 1) << 15) - fraction;
        let spread = mean as u128 * halvings as u128 * 45_426 / 65_536;
        (spread >> 15) as u64
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_split_a_seed() {
        let draw = |label| Dice::new(7, label).bits();
        assert_eq!(draw("network"), draw("network"));
        assert_ne!(draw("network"), draw("disk"));
    }

    #[test]
    fn the_exponential_has_about_its_mean() {
        let mut dice = Dice::new(1, "test");
        let sum: u64 = (0..20_000).map(|_| dice.exponential(1_000)).sum();
        let mean = sum / 20_000;
        assert!((900..1_100).contains(&mean), "{mean}");
    }
}
