//! Timers of the service, fired by the leader through the log.

use super::Member;
use super::timer_table::UNDER_WAY_MAX;
use crate::frame::{Body, frame_bytes};
use crate::mutant;
use crate::time::{Duration, Instant, LogTime};

impl Member {
    /// Appends the timers of the service that are due.
    #[inline]
    pub(super) fn fire_timers(&mut self) {
        if self.next_service_timer().is_some() && self.is_serving() {
            self.fire_due_timers();
        }
    }

    #[inline(never)]
    fn fire_due_timers(&mut self) {
        while let Some((deadline, timer)) = self.state.sessions.timers.next(1) {
            let time = self.cluster_time();
            let body = Body::Timer { time, timer, deadline };
            let is_early = deadline > time && !mutant::is(mutant::TIMERS_FIRE_EARLY);
            if is_early || frame_bytes(&body, 0) > self.append_room() {
                return;
            }
            self.append_frame(&body, &[]);
            self.state.sessions.timers.note_under_way((deadline, timer));
        }
    }

    /// The next timer that is not under way already. While many are, none: they are appended by the
    /// hundred and not one by one, whenever one was applied.
    #[inline]
    pub(super) fn next_service_timer(&self) -> Option<(LogTime, u64)> {
        self.state.sessions.timers.next(UNDER_WAY_MAX / 2)
    }

    /// When the next timer of the service is due at this leader.
    pub(super) fn timer_deadline(&self) -> Option<Instant> {
        let (deadline, timer) = self.is_serving().then(|| self.next_service_timer())??;
        let body = Body::Timer { time: LogTime(0), timer, deadline };
        let has_room = frame_bytes(&body, 0) <= self.append_room();
        if !has_room && !mutant::is(mutant::FULL_LOG_WAKES_ITS_TIMER) {
            // It is tried again when frames were applied (E105).
            return None;
        }
        let wait = Duration(deadline.0.saturating_sub(self.cluster_time().0));
        Some(self.state.now + wait)
    }
}
