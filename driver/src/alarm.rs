//! A deadline as a file descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use quorate_core::Instant;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// A timer of the kernel that becomes readable at a deadline: never early, and late by
/// microseconds, where the timers of most runtimes round to a millisecond.
///
/// A deadline that moves back costs no system call: the timer rings at the former one, the loop
/// finds nothing due, and the alarm is set again.
#[derive(Debug)]
pub struct Alarm {
    timer: OwnedFd,
    /// When it rings, if it will.
    armed: Option<Instant>,
    /// It rang, and is readable still: to set it anew ends that, without a call to read it.
    ringing: bool,
}

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    /// What the system says, as a rule that there are too many open files.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self {
            timer: timerfd_create(TimerfdClockId::Monotonic, flags)?,
            armed: None,
            ringing: false,
        })
    }

    /// Makes sure that the descriptor is readable at `until`, if not before; `now` is the present,
    /// on the same clock. Call it before each wait.
    ///
    /// # Errors
    /// What the system says; the alarm is not set then.
    pub fn set(&mut self, until: Option<Instant>, now: Instant) -> io::Result<()> {
        let Some(until) = until else {
            self.silence();
            return Ok(());
        };
        if self.armed.is_some_and(|armed| armed <= until) {
            return Ok(());
        }
        // From now on, so never early; a span of nothing would switch the timer off.
        let nanos = until.0.saturating_sub(now.0).max(1);
        let it_value = Timespec {
            tv_sec: i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: (nanos % 1_000_000_000) as _,
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = Itimerspec { it_interval, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting)?;
        (self.armed, self.ringing) = (Some(until), false);
        Ok(())
    }

    /// The descriptor was seen to be readable; it is not any more when [`Alarm::set`] was called.
    pub const fn rang(&mut self) {
        (self.armed, self.ringing) = (None, true);
    }

    fn silence(&mut self) {
        if self.ringing {
            // There is nothing to read when it did not ring.
            let _ = rustix::io::read(&self.timer, &mut [0_u8; 8]);
            self.ringing = false;
        }
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

impl AsRawFd for Alarm {
    fn as_raw_fd(&self) -> RawFd {
        self.timer.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;
    use crate::port::{Clock, SystemClock};

    fn wait(alarm: &Alarm) {
        let mut watched = [PollFd::new(&alarm.timer, PollFlags::IN)];
        assert_eq!(poll(&mut watched, None), Ok(1));
    }

    fn is_readable(alarm: &Alarm) -> bool {
        let mut watched = [PollFd::new(&alarm.timer, PollFlags::IN)];
        poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(1)
    }

    #[test]
    fn it_rings_at_the_deadline_and_never_before() {
        let (clock, mut alarm) = (SystemClock::start(), Alarm::new().unwrap());
        for micros in [0, 1, 50, 300, 1_500] {
            let now = clock.now();
            let until = Instant(now.0 + micros * 1_000);
            alarm.set(Some(until), now).unwrap();
            wait(&alarm);
            assert!(clock.now() >= until);
            alarm.rang();
            alarm.set(None, now).unwrap();
            assert!(!is_readable(&alarm));
        }
    }

    #[test]
    fn an_earlier_deadline_replaces_a_later_one_and_a_later_one_waits_for_its_turn() {
        let mut alarm = Alarm::new().unwrap();
        let (now, soon, late) = (Instant(0), Instant(1_000), Instant(3_600_000_000_000));
        alarm.set(Some(late), now).unwrap();
        assert!(!is_readable(&alarm));
        alarm.set(Some(soon), now).unwrap();
        alarm.set(Some(late), now).unwrap();
        alarm.set(None, now).unwrap();
        assert_eq!(alarm.armed, Some(soon));
        wait(&alarm);
        alarm.rang();
        alarm.rang();
        alarm.set(Some(late), now).unwrap();
        assert!(!is_readable(&alarm));
    }
}
