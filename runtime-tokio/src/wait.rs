//! Waiting for a deadline of the core.

use core::future::pending;

use quorate_core::Instant;
use quorate_driver::SystemClock;
use tokio::time::sleep_until;

/// Datagrams taken in before other input is looked at.
pub(crate) const RECEIVE_BUDGET: usize = 256;

/// Returns at `deadline`, as exactly as tokio's timer is (a millisecond); never without one.
pub(crate) async fn until(clock: SystemClock, deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(clock.at(deadline).into()).await,
        None => pending().await,
    }
}

/// A number that differs from process to process and from call to call: what the seeds of members
/// and the keys of clients are made of. It is no secret.
pub(crate) fn random_number() -> u64 {
    use core::hash::{BuildHasher, Hasher};
    // The standard library keys its maps from the system's random source.
    std::hash::RandomState::new().build_hasher().finish()
}
