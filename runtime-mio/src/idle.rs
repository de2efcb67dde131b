//! What a thread does when there is nothing to do.

use core::hint;
use std::thread;

/// What a thread does when a turn found nothing to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Idle {
    /// It waits in the kernel until something comes: no processor time, and a wake-up of some
    /// microseconds.
    #[default]
    Block,
    /// It looks again at once, and never waits: the shortest latency, for a whole processor. Wake
    /// calls cost nothing, for there are none. Only with a processor for each such thread, and one
    /// for the rest of the system.
    Spin,
    /// It looks again `spins` times, then `yields` times after offering its processor to others,
    /// then blocks: short latency while there is traffic, no processor time when there is none.
    Backoff {
        /// Turns at once.
        spins: u32,
        /// Turns after a yield each.
        yields: u32,
    },
}

impl Idle {
    /// Passes the time after the `idle`-th turn in a row, from 0 on, without work; `false` when it
    /// is time to block.
    pub(crate) fn pass(self, idle: u32) -> bool {
        match self {
            Self::Block => return false,
            Self::Backoff { spins, yields } if idle >= spins => {
                if idle - spins >= yields {
                    return false;
                }
                thread::yield_now();
            }
            Self::Spin | Self::Backoff { .. } => hint::spin_loop(),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_strategy_blocks_when_it_says() {
        assert!(!Idle::Block.pass(0));
        assert!(Idle::Spin.pass(u32::MAX));
        let backoff = Idle::Backoff { spins: 2, yields: 1 };
        let passed: Vec<bool> = (0..5).map(|idle| backoff.pass(idle)).collect();
        assert_eq!(passed, [true, true, true, false, false]);
        assert!(!Idle::Backoff { spins: 0, yields: 0 }.pass(0));
    }
}
