//! A service of your own, replicated over lossy links by members that crash: a bank of one account.

use quorate_sim::sweep::run_world;
use quorate_sim::{Answer, Delivered, Moment, Service, Swarm, World};

/// Deterministic: the same deliveries in the same order give the same state on every member.
#[derive(Default)]
struct Account {
    balance: i64,
    bookings: u64,
    complaint: Option<String>,
}

impl Service for Account {
    fn apply(&mut self, _at: Moment, delivered: Delivered<'_>, answer: &mut Answer<'_>) {
        let Delivered::Message { payload: (first, second), .. } = delivered else { return };
        // Any bytes are a booking: deposits add up, withdrawals stop at zero.
        let amount: i64 = first.iter().chain(second).map(|byte| i64::from(*byte) - 128).sum();
        self.balance = (self.balance + amount).max(0);
        self.bookings += 1;
        if self.balance < 0 {
            self.complaint = Some(format!("the account is at {}", self.balance));
        }
        answer.reply(&self.balance.to_le_bytes());
    }

    fn digest(&self) -> u64 {
        quorate_core::hash::mix(self.bookings, self.balance as u64)
    }

    fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }
}

/// Runs the service in the worlds of `seeds`: all members end in the same state, every message has
/// one effect, and every client is answered, or that is a finding.
pub(crate) fn run(seeds: core::ops::RangeInclusive<u64>) {
    for seed in seeds {
        let service = |_: &Swarm| -> Box<dyn Service> { Box::new(Account::default()) };
        let mut world = World::with(seed, Swarm::draw(seed), Box::new(service));
        assert_eq!(run_world(&mut world, 1_000).finding, None, "seed {seed}");
    }
}

fn main() {
    run(1..=20);
}
