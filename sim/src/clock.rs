//! A member's monotonic clock: at any rate, frozen, jumping ahead, or beginning anew.

use quorate_core::Instant;

/// The rate of a clock that is right, in millionths.
pub(crate) const TRUE_RATE: u64 = 1_000_000;
/// Later than anything happens.
const NEVER: u64 = u64::MAX / 4;

/// A clock that never falls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    world: u64,
    local: u64,
    /// Millionths of true time.
    rate: u64,
}

impl Clock {
    /// A clock that begins at zero with the world.
    pub(crate) const fn new(rate: u64) -> Self {
        Self { world: 0, local: 0, rate }
    }

    /// What it shows at the world's time `now`.
    pub(crate) const fn at(self, now: u64) -> Instant {
        let passed = now.saturating_sub(self.world);
        if self.rate == TRUE_RATE {
            return Instant(self.local + passed);
        }
        Instant(self.local + (passed as u128 * self.rate as u128 / TRUE_RATE as u128) as u64)
    }

    /// The first time of the world at which it shows `instant`.
    pub(crate) fn when(self, instant: Instant) -> u64 {
        let Some(missing) = instant.0.checked_sub(self.local) else { return self.world };
        if self.rate == 0 && missing > 0 {
            return NEVER;
        }
        let scaled = u128::from(missing) * u128::from(TRUE_RATE);
        let passed = scaled.div_ceil(u128::from(self.rate.max(1)));
        self.world.saturating_add(u64::try_from(passed).unwrap_or(NEVER)).min(NEVER)
    }

    /// Runs at another rate from `now` on.
    pub(crate) const fn set_rate(&mut self, now: u64, rate: u64) {
        self.local = self.at(now).0;
        self.world = now;
        self.rate = rate;
    }

    /// Goes ahead at once.
    pub(crate) const fn jump(&mut self, now: u64, by: u64) {
        self.local = self.at(now).0 + by;
        self.world = now;
    }

    /// Begins anew at zero.
    pub(crate) const fn restart(&mut self, now: u64) {
        self.local = 0;
        self.world = now;
    }

    pub(crate) const fn rate(self) -> u64 {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_maps_both_ways() {
        for rate in [500_000, 999_999, TRUE_RATE, 1_000_001, 2_000_000] {
            let mut clock = Clock::new(rate);
            clock.set_rate(77_777, rate);
            for instant in [0, 1, 12_345_678, 98_765_432_101] {
                let now = clock.when(Instant(instant));
                assert!(clock.at(now) >= Instant(instant));
                assert!(now <= 77_777 || clock.at(now - 1) < Instant(instant));
            }
        }
    }

    #[test]
    fn a_frozen_clock_shows_one_instant_and_jumps_ahead() {
        let mut clock = Clock::new(TRUE_RATE);
        clock.set_rate(100, 0);
        assert_eq!((clock.at(100), clock.at(900)), (Instant(100), Instant(100)));
        assert_eq!(clock.when(Instant(101)), NEVER);
        clock.set_rate(900, TRUE_RATE);
        clock.jump(900, 800);
        assert_eq!(clock.at(1_000), Instant(1_000));
        clock.restart(2_000);
        assert_eq!(clock.at(2_001), Instant(1));
    }
}
