//! How much of the log is in memory: what somebody needs yet, and somewhat more.

use super::Member;
use crate::position::Position;

impl Member {
    /// Makes room in the window for bytes up to `end`, which is within its limit. To be called
    /// before they come in.
    #[inline(always)]
    pub(super) fn make_room(&mut self, end: Position) {
        if self.state.log.is_tight(end) {
            self.fit_window(end);
        }
    }

    /// A busy member comes here once for each round of the ring.
    #[cold]
    #[inline(never)]
    fn fit_window(&mut self, end: Position) {
        let held = self.held();
        let state = &mut self.state;
        // What the disk or the service may want, and what a follower may ask for, at a leader. All
        // else is in the archive, should somebody ask.
        let own = held.min(state.applier.applied);
        let followers = state.leading.as_ref().and_then(|leading| leading.held_by_all());
        state.log.fit(end, followers.map_or(own, |held| own.min(held)));
    }
}
