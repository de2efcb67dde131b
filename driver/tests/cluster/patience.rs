//! Waiting, but not for ever; on any thread, without a runtime.

use core::pin::pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;
use std::task::Wake;
use std::thread::{self, Thread};
use std::time::Instant;

/// The longest that anything is waited for: far above what it takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for `outcome`.
pub(crate) fn in_time<T>(what: &str, outcome: impl Future<Output = T>) -> T {
    let (mut outcome, start) = (pin!(outcome), Instant::now());
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        if let Poll::Ready(outcome) = outcome.as_mut().poll(&mut Context::from_waker(&waker)) {
            return outcome;
        }
        let left = PATIENCE.checked_sub(start.elapsed());
        thread::park_timeout(left.unwrap_or_else(|| panic!("no {what} within {PATIENCE:?}")));
    }
}

/// Looks again and again until `look` finds what it looks for; it tells what it sees else.
pub(crate) fn in_time_or_tell<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if start.elapsed() > PATIENCE => {
                panic!("no {what} within {PATIENCE:?}; last seen: {seen}")
            }
            Err(_) => thread::yield_now(),
        }
    }
}
