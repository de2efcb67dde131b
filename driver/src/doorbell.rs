//! Wakes a loop that waits; says nothing to one that does not.

use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};
use std::sync::Arc;

use crate::turn::Wake;

/// The loop looks at everything, or is about to.
const AWAKE: u8 = 0;
/// Something was put down since the loop last began to look.
const RUNG: u8 = 1;
/// The loop waits.
const RESTING: u8 = 2;

/// Rung by whoever has put something down for a loop; calls the runtime's wake function only if
/// the loop waits, so that a loop at work costs nobody a system call.
#[derive(Clone)]
pub(crate) struct Doorbell(Arc<Bell>);

struct Bell {
    state: AtomicU8,
    wake: Wake,
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Doorbell").field(&self.0.state).finish()
    }
}

impl Doorbell {
    /// The doorbell of a loop that is awake; `wake` ends its waiting, or the next if it does not
    /// wait yet.
    pub(crate) fn new(wake: Wake) -> Self {
        Self(Arc::new(Bell { state: AtomicU8::new(AWAKE), wake }))
    }

    /// Something was put down.
    pub(crate) fn ring(&self) {
        // An exchange also where it changes nothing: what was put down must be seen by the loop
        // that answers.
        if self.0.state.swap(RUNG, Ordering::AcqRel) == RESTING {
            (self.0.wake)();
        }
    }

    /// The loop begins to look at everything.
    pub(crate) fn answer(&self) {
        self.0.state.swap(AWAKE, Ordering::AcqRel);
    }

    /// The loop has looked at everything and is about to wait. Not if something was put down since
    /// it began: then it must look again.
    pub(crate) fn rest(&self) -> bool {
        let rest = (Ordering::AcqRel, Ordering::Acquire);
        self.0.state.compare_exchange(AWAKE, RESTING, rest.0, rest.1).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn only_a_loop_that_waits_is_woken_and_only_once() {
        let woken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&woken);
        let bell = Doorbell::new(Box::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        bell.answer();
        bell.ring();
        assert!(!bell.rest(), "it was rung since it looked");
        bell.answer();
        assert!(bell.rest());
        assert_eq!(woken.load(Ordering::Relaxed), 0);
        bell.ring();
        bell.ring();
        assert_eq!(woken.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn nothing_put_down_by_another_thread_is_overlooked() {
        const ITEMS: usize = 20_000;
        let (put, taken) = (Arc::new(AtomicUsize::new(0)), std::sync::mpsc::channel::<()>());
        let (wake, woken) = taken;
        let bell = Doorbell::new(Box::new(move || {
            let _ = wake.send(());
        }));
        let (theirs, counter) = (bell.clone(), Arc::clone(&put));
        let producer = std::thread::spawn(move || {
            for _ in 0..ITEMS {
                counter.fetch_add(1, Ordering::Relaxed);
                theirs.ring();
            }
        });
        let mut seen = 0;
        while seen < ITEMS {
            bell.answer();
            seen = put.load(Ordering::Relaxed);
            if seen < ITEMS && bell.rest() {
                let patience = core::time::Duration::from_secs(60);
                woken.recv_timeout(patience).expect("a wake-up was lost");
            }
        }
        producer.join().unwrap();
    }
}
