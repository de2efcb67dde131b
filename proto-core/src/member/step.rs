//! One event: who handles it, and what follows from it.

use super::{Handled, Member};
use crate::action::Actions;
use crate::event::{Event, OperationId, Outputs};
use crate::identity::{Endpoint, Life};
use crate::message::{Incoming, Sender};
use crate::notice::FailStop;
use crate::position::Position;
use crate::time::Instant;

impl Member {
    /// Takes in one event and appends its actions to `actions`, which the caller has drained.
    ///
    /// An inert member takes in nothing.
    // Inlined, so that a host that knows which event it has goes straight to its handler.
    #[inline(always)]
    pub fn step(&mut self, now: Instant, event: Event<'_>, actions: &mut Actions) {
        debug_assert!(actions.is_empty(), "take over all actions before the next event");
        match event {
            Event::Received { sender, source, ref content } => {
                self.receive(now, sender, source, content, actions);
            }
            Event::Flush => self.step_flush(now, actions),
            Event::Durable { operation } => self.note_durable(now, operation, actions),
            Event::Applied { through, outputs } => {
                self.note_applied(now, through, outputs, actions);
            }
            _ => self.step_seldom(now, &event, actions),
        }
    }

    // Each event has a function of its own, with all that comes before and behind it: a host that
    // steps at many places has little there, and what a message goes through at a leader, two
    // followers and a client is to fit the processor's cache of instructions together.

    #[inline(never)]
    fn receive(
        &mut self,
        now: Instant,
        sender: Sender,
        source: Endpoint,
        content: &Incoming<'_>,
        actions: &mut Actions,
    ) {
        let handled = match self.begin(now) {
            true => self.handle_received(sender, source, content, actions),
            false => {
                let content = content.clone();
                self.step_inert(&Event::Received { sender, source, content }, actions)
            }
        };
        self.conclude(handled, actions);
    }

    #[inline(never)]
    fn step_flush(&mut self, now: Instant, actions: &mut Actions) {
        let handled = match self.begin(now) {
            true if self.state.flush_wanted => self.flush(actions),
            // Nothing was collected, and what is due comes with a timer.
            true => return,
            false => self.step_inert(&Event::Flush, actions),
        };
        self.conclude(handled, actions);
    }

    #[inline(never)]
    fn note_durable(&mut self, now: Instant, operation: OperationId, actions: &mut Actions) {
        let handled = match self.begin(now) {
            true => self.handle_durable(operation, actions),
            false => self.step_inert(&Event::Durable { operation }, actions),
        };
        self.conclude(handled, actions);
    }

    #[inline(never)]
    fn note_applied(
        &mut self,
        now: Instant,
        through: Position,
        outputs: &Outputs,
        actions: &mut Actions,
    ) {
        let handled = match self.begin(now) {
            true => self.handle_applied(through, outputs, actions),
            false => self.step_inert(&Event::Applied { through, outputs }, actions),
        };
        self.conclude(handled, actions);
    }

    #[inline(never)]
    fn step_seldom(&mut self, now: Instant, event: &Event<'_>, actions: &mut Actions) {
        let handled = match self.begin(now) {
            true => self.handle_other(event, actions),
            false => self.step_inert(event, actions),
        };
        self.conclude(handled, actions);
    }

    /// What comes behind any event.
    #[inline(always)]
    fn conclude(&mut self, handled: Handled, actions: &mut Actions) {
        if let Err(reason) = handled {
            self.stop(reason, actions);
        }
    }

    /// What a member takes in that stands still.
    #[cold]
    #[inline(never)]
    fn step_inert(&mut self, event: &Event<'_>, actions: &mut Actions) -> Handled {
        if self.state.parting.is_some() {
            self.step_parting(event, actions);
            return Ok(());
        }
        if self.state.fail_stop.is_some() { Ok(()) } else { self.step_frozen(event, actions) }
    }

    /// What comes before any event; whether the member takes it in.
    #[inline(always)]
    fn begin(&mut self, now: Instant) -> bool {
        let state = &mut self.state;
        let stopped =
            state.fail_stop.is_some() && !crate::mutant::is(crate::mutant::STOPPED_GOES_ON);
        if stopped {
            return false;
        }
        // A clock that goes backwards stands still (E104).
        state.now = match crate::mutant::is(crate::mutant::CLOCK_IS_FOLLOWED_BACK) {
            true => now,
            false => state.now.max(now),
        };
        !state.fetching.is_frozen && state.parting.is_none()
    }

    /// Forgets the clients once this member leads no more.
    #[inline(always)]
    pub(super) fn forget_clients(&mut self) {
        if self.state.leading.is_none() && !self.state.connections.knows_nobody() {
            // Kept until now, since the actions of the last event may have named their bytes.
            self.clear_connections();
        }
    }

    #[cold]
    #[inline(never)]
    fn clear_connections(&mut self) {
        self.state.connections.clear();
    }

    // The one caller is `receive`.
    #[inline(always)]
    fn handle_received(
        &mut self,
        sender: Sender,
        source: Endpoint,
        content: &Incoming<'_>,
        actions: &mut Actions,
    ) -> Handled {
        self.forget_clients();
        match sender {
            Sender::Member { member, incarnation, boot_epoch } => {
                let life = Life { member, incarnation, boot_epoch };
                self.handle_member(life, source, content, actions)?;
            }
            Sender::Client { key } => {
                self.handle_client(key, source, content, actions)?;
                if let Incoming::Data { .. } = content {
                    // It waits for the flush: the log is as it was.
                    self.advance_commit(actions);
                    return Ok(());
                }
            }
        }
        self.settle(actions)
    }

    /// The events that come seldom.
    #[inline(always)]
    fn handle_other(&mut self, event: &Event<'_>, actions: &mut Actions) -> Handled {
        self.forget_clients();
        match *event {
            Event::Timer => self.handle_timer(actions)?,
            Event::LogRead { operation, bytes } => {
                self.handle_log_read(operation, bytes, actions)?;
            }
            Event::StorageFull { position } => self.handle_storage_full(position, actions)?,
            Event::TakeSnapshot => self.handle_take_snapshot(actions)?,
            Event::SnapshotFailed { operation } => {
                self.handle_snapshot_failed(operation, actions)?;
            }
            Event::SnapshotRead { operation, manifest, bytes } => {
                self.handle_snapshot_read(operation, manifest, bytes, actions)?;
            }
            Event::SnapshotWhole { operation, core } => {
                self.handle_snapshot_whole(operation, core, actions)?;
            }
            Event::StorageFailed => return Err(FailStop::StorageFailed),
            Event::ServiceFailed => return Err(FailStop::ServiceFailed),
            Event::Transfer { request, target } => {
                self.handle_transfer(request, target, actions);
            }
            Event::ChangeMembership { request, ref change } => {
                self.handle_change(request, change, actions)?;
            }
            Event::Read { token, level, payload } => {
                self.handle_read(token, level, payload, actions);
            }
            Event::ReadServed { number, answer } => {
                self.handle_read_served(number, answer, actions);
            }
            Event::Shutdown => self.handle_shutdown(actions)?,
            Event::Received { .. }
            | Event::Flush
            | Event::Durable { .. }
            | Event::Applied { .. } => {}
        }
        self.settle_all(actions)
    }

    /// What follows from any event: writes that became possible, frames that became applicable,
    /// holes that are due to be asked for. Behind an event that touches only some of that, the rest
    /// is as the last event has left it.
    #[inline(always)]
    pub(super) fn settle(&mut self, actions: &mut Actions) -> Handled {
        self.write_log(actions)?;
        self.settle_standing();
        self.settle_doubt(actions);
        self.write_metadata(actions)?;
        self.advance_commit(actions);
        self.settle_members(actions);
        self.settle_applied(actions)?;
        self.ask_for_holes(actions);
        self.settle_fetching(actions)
    }

    /// The same, behind what happens seldom.
    #[inline(never)]
    pub(super) fn settle_all(&mut self, actions: &mut Actions) -> Handled {
        self.settle(actions)
    }

    /// The part of it that follows when bytes were appended or are durable.
    #[inline(always)]
    pub(super) fn settle_log(&mut self, actions: &mut Actions) -> Handled {
        self.write_log(actions)?;
        self.advance_commit(actions);
        self.settle_members(actions);
        self.settle_applied(actions)
    }

    /// The part of it that follows when the service has reported.
    #[inline(always)]
    pub(super) fn settle_applied(&mut self, actions: &mut Actions) -> Handled {
        let any_reads = !self.state.queries.is_empty();
        if any_reads {
            self.settle_queries(actions);
        }
        self.pump_apply(actions)?;
        if any_reads {
            self.settle_queries(actions);
        }
        self.settle_doubts(actions);
        Ok(())
    }

    fn handle_timer(&mut self, actions: &mut Actions) -> Handled {
        self.serve_transfer(actions);
        self.serve_leading(actions)?;
        self.serve_election(actions)?;
        self.serve_connections();
        self.serve_queries(actions);
        self.retry_full_storage();
        if self.state.flush_wanted {
            self.send_collected(actions);
        }
        Ok(())
    }

    /// The host has no more input at hand.
    #[inline(always)]
    fn flush(&mut self, actions: &mut Actions) -> Handled {
        if self.state.leading.is_some() {
            self.send_collected(actions);
            return self.settle_log(actions);
        }
        self.state.flush_wanted = false;
        self.acknowledge(actions);
        self.pursue_queries(actions);
        self.ask_for_holes(actions);
        Ok(())
    }

    /// Sends what was collected for batching. What was appended is written when this is settled.
    pub(super) fn send_collected(&mut self, actions: &mut Actions) {
        self.state.flush_wanted = false;
        self.pursue_queries(actions);
        if self.state.leading.is_none() {
            self.acknowledge(actions);
            return;
        }
        self.fire_timers();
        let clients = self.admit_ingress(actions);
        self.mark_snapshot_by_policy(actions);
        self.send_live(actions);
        self.state.following.forget_acknowledgement();
        if let Some(lent) = clients {
            self.flush_connections(lent, actions);
        }
    }
}
