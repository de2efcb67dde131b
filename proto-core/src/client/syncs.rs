//! Positions of the log that the application waits for until they are safe; and messages whose
//! replies wait likewise.
//!
//! The client asks its leader what is safe, at an interval, for as long as anything is waited for.
//! So the leader remembers nothing of it, a lost answer costs an interval, and a new leader is
//! asked as the old one was. What was safe once stays so: the answer of a leader that was deposed
//! and does not know it yet is late, and never wrong.

use alloc::vec::Vec;

use super::contract::{ClientAction, ClientActions, Reject, SyncTimedOut};
use super::flow::Link;
use super::{Client, Close, Phase};
use crate::message::Message;
use crate::position::Position;
use crate::time::{Duration, Instant};

/// Positions that are waited for at a time, at most.
pub(super) const SYNCS_MAX: usize = 64;

/// What is waited for, oldest first.
#[derive(Clone, Debug, Hash)]
pub(super) struct Syncs {
    /// Each with the time at which it was waited for in vain.
    waiting: Vec<(Position, Instant)>,
    ask_at: Instant,
}

impl Syncs {
    pub(super) fn new() -> Self {
        Self { waiting: Vec::with_capacity(SYNCS_MAX), ask_at: Instant(0) }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Waits for one more, and asks at once; whether there was room.
    pub(super) fn add(&mut self, position: Position, now: Instant, until: Instant) -> bool {
        let has_room = self.waiting.len() < SYNCS_MAX;
        if has_room {
            self.waiting.push((position, until));
            self.ask_at = now;
        }
        has_room
    }

    /// Whoever leads now is asked at once.
    pub(super) fn begin(&mut self, now: Instant) {
        self.ask_at = now;
    }

    /// When to call [`Syncs::serve`], if anything is waited for; the leader can be asked only while
    /// one serves the client.
    pub(super) fn deadline(&self, is_served: bool) -> Option<Instant> {
        // Each waits as long as the others, so the oldest is over first.
        let &(_, until) = self.waiting.first()?;
        Some(if is_served { self.ask_at.min(until) } else { until })
    }

    /// Ends what was waited for in vain, and asks if it is time.
    #[cold]
    pub(super) fn serve(
        &mut self,
        (now, pause): (Instant, Duration),
        link: Option<&Link>,
        actions: &mut ClientActions,
    ) {
        self.waiting.retain(|&(position, until)| {
            let is_over = until <= now;
            if is_over {
                let outcome = Err(SyncTimedOut { position });
                actions.push(ClientAction::Synced { position, outcome });
            }
            !is_over
        });
        if let Some(link) = link
            && !self.waiting.is_empty()
            && self.ask_at <= now
        {
            self.ask_at = now + pause;
            let message = Message::SyncRequest { epoch: link.epoch };
            actions.push(ClientAction::Send { to: link.endpoint, message });
        }
    }

    /// The leader says that all before `safe` is.
    #[cold]
    pub(super) fn settle(&mut self, safe: Position, actions: &mut ClientActions) {
        self.waiting.retain(|&(position, _)| {
            let is_safe = position < safe;
            if is_safe {
                actions.push(ClientAction::Synced { position, outcome: Ok(safe) });
            }
            !is_safe
        });
    }
}

impl Client {
    #[inline(never)]
    pub(super) fn submit_safe(
        &mut self,
        now: Instant,
        payload: &[u8],
        actions: &mut ClientActions,
    ) {
        if self.begin(now, true, actions) {
            self.handle_submit(payload, true, actions);
            self.end_step(actions);
        }
    }

    #[inline(never)]
    pub(super) fn step_sync(
        &mut self,
        now: Instant,
        position: Position,
        actions: &mut ClientActions,
    ) {
        if self.begin(now, true, actions) {
            let until = self.now + self.config.timing.give_up_after;
            let reason = match self.close {
                Close::No if self.syncs.add(position, self.now, until) => None,
                Close::No => Some(Reject::BackPressure),
                Close::Wanted | Close::Saying { .. } => Some(Reject::Closed),
            };
            match reason {
                Some(reason) => actions.push(ClientAction::Rejected { reason }),
                None => self.serve_syncs(actions),
            }
            self.end_step(actions);
        }
    }

    /// Asks what is safe, if it is time, and ends what was waited for in vain.
    #[cold]
    pub(super) fn serve_syncs(&mut self, actions: &mut ClientActions) {
        let link = match &self.phase {
            Phase::Served(link) => Some(link),
            Phase::Ended => return,
            Phase::New | Phase::Seeking => None,
        };
        let pause = self.config.timing.keepalive_interval;
        self.syncs.serve((self.now, pause), link, actions);
    }

    /// The leader says, in an answer of this epoch, that all before `safe` is safe; whether it is
    /// one of the current connection.
    #[cold]
    #[inline(never)]
    pub(super) fn settle_syncs(
        &mut self,
        epoch: u64,
        safe: Position,
        actions: &mut ClientActions,
    ) -> bool {
        let is_ours = matches!(&self.phase, Phase::Served(link) if link.epoch == epoch);
        if is_ours {
            self.syncs.settle(safe, actions);
        }
        is_ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came of which position.
    fn told(actions: &mut ClientActions) -> Vec<(Position, bool)> {
        let of = |action| match action {
            ClientAction::Synced { position, outcome } => (position, outcome.is_ok()),
            other => panic!("{other:?}"),
        };
        actions.drain().map(of).collect()
    }

    #[test]
    fn what_is_waited_for_is_bounded_and_ends_safe_or_in_vain() {
        let (mut syncs, mut actions) = (Syncs::new(), ClientActions::new());
        assert_eq!(syncs.deadline(true), None);
        for number in 0..SYNCS_MAX as u64 {
            assert!(syncs.add(Position(8 * number), Instant(number), Instant(1_000 + number)));
        }
        assert!(!syncs.add(Position(8), Instant(99), Instant(1_099)), "there is a limit");
        assert_eq!(syncs.deadline(false), Some(Instant(1_000)), "nobody is there to be asked");
        assert_eq!(syncs.deadline(true), Some(Instant(SYNCS_MAX as u64 - 1)));
        // The frame at the position has to be safe, too.
        syncs.settle(Position(16), &mut actions);
        assert_eq!(told(&mut actions), [(Position(0), true), (Position(8), true)]);
        syncs.serve((Instant(1_003), Duration(5)), None, &mut actions);
        assert_eq!(told(&mut actions), [(Position(16), false), (Position(24), false)]);
        assert!(syncs.add(Position(8), Instant(1_003), Instant(2_003)), "there is room again");
        syncs.settle(Position(1 << 20), &mut actions);
        assert!(syncs.is_empty() && actions.len() == SYNCS_MAX - 3);
    }
}
