//! How a member of a volatile group goes inert that can go on no more, though its disk can.
//!
//! ```text
//!  something broke ─► nothing is said any more ─► what was promised is synced
//!     ─► the mark of doubt is cleared ─► inert
//! ```
//!
//! What it promised may exceed its disk, and its next life would come up in doubt (rule 5). That
//! costs the group a member that counts in full, and is not needed where the disk is well: it is
//! brought up to the promises first. Whatever fails on the way leaves the mark, and so does a disk
//! that takes too long.

use super::storage::{Space, Write};
use super::{Handled, Member, State};
use crate::action::{Action, Actions};
use crate::event::Event;
use crate::notice::{FailStop, TimerKind};
use crate::time::{Duration, Instant};

/// How long a member that can go on no more waits for its disk.
pub(super) const PARTING_TIMEOUT: Duration = Duration::from_millis(60_000);

/// A member that is going to be inert, when its disk has what it promised.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Parting {
    reason: FailStop,
    /// It waits no longer.
    until: Instant,
}

impl Member {
    /// Whether this member does nothing by itself any more.
    pub(super) const fn is_inert(&self) -> bool {
        let state = &self.state;
        state.fail_stop.is_some() || state.parting.is_some() || state.fetching.is_frozen
    }

    /// Whether the disk is to be brought up to what was promised, and can be.
    pub(super) fn is_to_part_in_order(&self, reason: FailStop, actions: &Actions) -> bool {
        let state = &self.state;
        // What this event has begun is dropped with its actions: nobody would complete it.
        let said = |action: &Action| {
            matches!(action, Action::Send { .. } | Action::SendData { .. } | Action::Notify(_))
        };
        let can_pay = reason.spares_the_disk()
            // What the archive refused was perhaps counted, and is on no disk yet.
            && state.space == Space::Enough
            && !state.fetching.is_frozen
            && actions.iter().all(|action| said(&action));
        self.is_in_debt() && can_pay
    }

    /// Inert, and for good.
    pub(super) fn end(&mut self, reason: FailStop, actions: &mut Actions) {
        self.state.parting = None;
        self.state.fail_stop = Some(reason);
        actions.push(Action::FailStop(reason));
    }

    pub(super) fn part(&mut self, reason: FailStop, actions: &mut Actions) {
        let until = self.state.now + PARTING_TIMEOUT;
        self.state.parting = Some(Parting { reason, until });
        if self.go_on_parting(actions).is_err() {
            self.end(reason, actions);
        }
    }

    /// What is taken in on the way: only what the disk says.
    #[cold]
    pub(super) fn step_parting(&mut self, event: &Event<'_>, actions: &mut Actions) {
        let Some(Parting { reason, until }) = self.state.parting else { return };
        let goes_on = match *event {
            Event::Durable { operation } => match self.state.storage.complete(operation) {
                Some(Write::Log(through)) => {
                    self.state.log.durable = self.state.log.durable.max(through);
                    true
                }
                Some(Write::Peers) => {
                    self.state.peers.note_saved();
                    true
                }
                _ => {
                    self.counters.completions_ignored += 1;
                    true
                }
            },
            // The disk is not well, or too slow: the mark stays.
            Event::StorageFailed | Event::StorageFull { .. } => false,
            Event::Timer => self.state.now < until,
            // A host that wants to stop awaits what is under way, or ends it all the same.
            _ => return,
        };
        if !goes_on || self.go_on_parting(actions).is_err() {
            self.end(reason, actions);
        }
    }

    /// The timer of a member that does nothing by itself any more.
    #[cold]
    pub(super) fn inert_timer(&self) -> Option<(Instant, TimerKind)> {
        let State { parting, fetching, stalls, fail_stop, .. } = &self.state;
        match parting {
            _ if fail_stop.is_some() => None,
            Some(parting) => Some((parting.until, TimerKind::Parting)),
            None if fetching.installs().is_some() => {
                let at = stalls.installation_deadline(self.config.timing.stall_timeout)?;
                Some((at, TimerKind::Installation))
            }
            None => None,
        }
    }

    /// One write after the other; inert behind the last.
    fn go_on_parting(&mut self, actions: &mut Actions) -> Handled {
        let Some(Parting { reason, .. }) = self.state.parting else { return Ok(()) };
        let state = &mut self.state;
        if state.storage.under_way() > 0 {
            return Ok(());
        }
        if state.log.durable < state.log.written {
            return self.sync_log(actions);
        }
        if state.peers.doubt_is_over() {
            self.end(reason, actions);
            return Ok(());
        }
        state.peers.set_doubt(false, state.now);
        let interval = self.config.timing.peer_record_interval;
        let operation = state.storage.begin(state.now, Write::Peers)?;
        let peers = state.peers.take_records(state.now, interval, state.life);
        actions.push(Action::PersistPeers { operation, peers });
        Ok(())
    }
}
