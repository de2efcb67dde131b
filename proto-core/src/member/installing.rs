//! From a whole snapshot of other members to a new life that begins with it.
//!
//! ```text
//!  whole ─► CheckSnapshot ─► fits the adopted history, and the limits ─► nothing is under way
//!     ─► InstallSnapshot: the member stands still ─► durable ─► Restart
//! ```
//!
//! No state of a life jumps: what is durable is replaced while nothing else is under way, and the
//! next life comes up by the path of every start. From the request on nothing is appended, granted,
//! adopted or acknowledged. To all others that is a crash, and the vote, the history and the
//! records of peers stay. The bytes that go are replaced by a snapshot beyond all of them: nothing
//! that was acknowledged is lost.

use super::fetch::Stage;
use super::snapshot_state::{LogOf, restore};
use super::{Handled, Member};
use crate::action::{Action, Actions};
use crate::event::{Event, OperationId};
use crate::mutant;
use crate::notice::{FailStop, Notice, Role};
use crate::snapshot::SnapshotError;

impl Member {
    /// What is to be done next for the snapshot that is fetched.
    pub(super) fn continue_fetch(&mut self, actions: &mut Actions) -> Handled {
        let Some(fetch) = self.state.fetching.fetch.as_deref() else { return Ok(()) };
        let (manifest, stage) = (fetch.manifest, fetch.stage);
        match stage {
            Stage::Receiving { .. } => return self.receive_snapshot(actions),
            Stage::Whole if self.can_judge_snapshot() && mutant::is(mutant::INSTALLS_UNCHECKED) => {
                self.set_stage(Stage::Checked(self.state.history.last_term()));
                return self.continue_fetch(actions);
            }
            Stage::Whole if self.can_judge_snapshot() => {
                let operation = self.state.storage.next_operation()?;
                self.set_stage(Stage::Checking(operation));
                actions.push(Action::CheckSnapshot { operation, manifest });
            }
            // The history has become another: it may not fit that one.
            Stage::Checked(term) if term != self.state.history.last_term() => {
                self.set_stage(Stage::Whole);
                return self.continue_fetch(actions);
            }
            Stage::Checked(_) if self.is_quiet() => {
                let operation = self.state.storage.next_operation()?;
                self.set_stage(Stage::Installing(operation));
                self.state.fetching.is_frozen = !mutant::is(mutant::PROMISES_WHILE_INSTALLING);
                actions.push(Action::InstallSnapshot { operation, manifest });
                self.watch_installation(actions);
            }
            Stage::Whole | Stage::Checking(_) | Stage::Checked(_) => {}
            Stage::Installing(_) | Stage::Clearing(_) | Stage::Ended => {}
        }
        Ok(())
    }

    fn set_stage(&mut self, stage: Stage) {
        if let Some(fetch) = self.state.fetching.fetch.as_deref_mut() {
            fetch.stage = stage;
        }
    }

    /// Whether this member knows by which leader's history to judge: one that is durable here, and
    /// knows of the snapshot's term.
    fn can_judge_snapshot(&self) -> bool {
        let term = self.state.fetching.fetch.as_deref().map(|fetch| fetch.manifest.point.term);
        let is_known = term.is_some_and(|term| term <= self.state.history.last_term());
        self.state.role == Role::Follower && self.has_adopted() && is_known
    }

    /// Whether nothing is under way that a completion could still make something of (rule 10).
    fn is_quiet(&self) -> bool {
        let state = &self.state;
        self.can_judge_snapshot()
            && state.storage.under_way() == 0
            && state.reads.len() == 0
            && !state.snapshots.is_being_stored()
            && !state.applier.is_applying()
            && state.transfer.is_none()
    }

    /// Something of the snapshot that is fetched is done; whether that was awaited.
    pub(super) fn note_fetch_durable(&mut self, operation: OperationId) -> bool {
        let now = self.state.now;
        let fetch = self.state.fetching.fetch.as_deref_mut();
        fetch.is_some_and(|fetch| fetch.note_kept(now, operation))
    }

    /// The host has all bytes, and they are those that were announced.
    pub(super) fn handle_snapshot_whole(
        &mut self,
        operation: OperationId,
        core: &[u8],
        actions: &mut Actions,
    ) -> Handled {
        let fetch = self.state.fetching.fetch.as_deref();
        let checked = fetch.filter(|fetch| fetch.stage == Stage::Checking(operation));
        let Some(manifest) = checked.map(|fetch| fetch.manifest) else {
            self.counters.completions_ignored += 1;
            return Ok(());
        };
        if !self.can_judge_snapshot() {
            self.set_stage(Stage::Whole);
            return Ok(());
        }
        let log = LogOf { history: &self.state.history, end: None };
        let restored = match core.len() as u64 == manifest.core_bytes {
            true => restore(core, &manifest.point, log, &self.config.limits),
            false => Err(SnapshotError::Contradiction { what: "the bytes of the core's part" }),
        };
        match restored {
            Ok(restored) => {
                let own = self.state.life;
                let mut lives = restored.readmissions.all().map(|(life, _)| life);
                if lives.any(|life| life.member == own.member && life > own) {
                    // As if the frame had been read: another directory has this member's place.
                    return Err(FailStop::Twin);
                }
                self.set_stage(Stage::Checked(self.state.history.last_term()));
            }
            Err(reason) => self.reject_fetch(reason, actions),
        }
        Ok(())
    }

    /// What was fetched cannot be used: whoever offered it is left alone for a while.
    fn reject_fetch(&mut self, reason: SnapshotError, actions: &mut Actions) {
        let Some(fetch) = self.state.fetching.fetch.as_deref() else { return };
        let (manifest, position) = (fetch.manifest, fetch.manifest.point.position);
        let (now, rest) = (self.state.now, self.config.timing.progress_timeout);
        let sources: smallvec::SmallVec<[_; 8]> = fetch.sources.ids().collect();
        let fetching = &mut self.state.fetching;
        if reason == SnapshotError::Digest && sources.len() > 1 {
            // One of them sent other bytes than it said: from now on one at a time is asked.
            fetching.mismatches += 1;
        } else {
            sources.iter().for_each(|id| fetching.bar(*id, now, rest));
        }
        // With another leader's history it may be one of this log; else nothing about it changes.
        if !matches!(reason, SnapshotError::Digest | SnapshotError::OtherLog { .. }) {
            fetching.note_unusable(manifest);
        }
        crate::mark::reached(crate::mark::SNAPSHOT_REJECTED);
        self.counters.snapshots_rejected += 1;
        actions.push(Action::Notify(Notice::SnapshotRejected { position, reason }));
        self.drop_fetch(actions);
    }

    /// The host could not do what it was asked for with the snapshot that is fetched; whether that
    /// is what failed.
    pub(super) fn fail_fetch(&mut self, operation: OperationId, actions: &mut Actions) -> bool {
        let fetch = self.state.fetching.fetch.as_deref();
        let Some(fetch) = fetch.filter(|fetch| fetch.operation() == Some(operation)) else {
            return false;
        };
        let position = fetch.manifest.point.position;
        if let Stage::Checking(_) = fetch.stage {
            self.reject_fetch(SnapshotError::Digest, actions);
            return true;
        }
        // For want of space, most likely: it is tried again after a while.
        self.counters.snapshots_failed += 1;
        actions.push(Action::Notify(Notice::SnapshotFailed { position }));
        self.drop_fetch(actions);
        let until = self.state.now + self.config.timing.progress_timeout;
        self.state.fetching.rest(until);
        true
    }

    /// While a snapshot is installed only what is said of that counts, and behind it nothing.
    #[cold]
    pub(super) fn step_frozen(&mut self, event: &Event<'_>, actions: &mut Actions) -> Handled {
        let stage = self.state.fetching.fetch.as_deref().map(|fetch| fetch.stage);
        let installing = match stage {
            Some(Stage::Installing(installing)) => installing,
            Some(Stage::Clearing(clearing)) => return self.step_clearing(clearing, event, actions),
            _ => return Ok(()),
        };
        match *event {
            Event::Durable { operation } if operation == installing => {
                self.conclude_install(actions)
            }
            Event::SnapshotFailed { operation } if operation == installing => {
                self.state.fetching.is_frozen = false;
                self.fail_fetch(operation, actions);
                self.watch_installation(actions);
                self.settle_all(actions)
            }
            Event::Timer => {
                self.watch_installation(actions);
                Ok(())
            }
            Event::StorageFailed => Err(FailStop::StorageFailed),
            Event::ServiceFailed => Err(FailStop::ServiceFailed),
            // Each of them is answered, and changes nothing at one who does not lead.
            Event::TakeSnapshot => self.handle_take_snapshot(actions),
            Event::Transfer { request, target } => {
                self.handle_transfer(request, target, actions);
                Ok(())
            }
            Event::ChangeMembership { request, ref change } => {
                self.handle_change(request, change, actions)
            }
            Event::Read { token, .. } => {
                self.refuse_read(token, actions);
                Ok(())
            }
            Event::ReadServed { number, .. } => {
                self.drop_served_read(number, actions);
                Ok(())
            }
            Event::Received { .. } => {
                self.counters.datagrams_ignored += 1;
                Ok(())
            }
            Event::Flush | Event::Shutdown | Event::StorageFull { .. } => Ok(()),
            Event::Durable { .. }
            | Event::SnapshotFailed { .. }
            | Event::LogRead { .. }
            | Event::SnapshotRead { .. }
            | Event::SnapshotWhole { .. }
            | Event::Applied { .. } => {
                self.counters.completions_ignored += 1;
                Ok(())
            }
        }
    }

    /// The snapshot stands for all that was promised, and is durable: the next life of a member in
    /// a volatile group has nothing to heal, and is to know that.
    fn conclude_install(&mut self, actions: &mut Actions) -> Handled {
        let peers = &mut self.state.peers;
        if self.state.doubt.is_impaired() || !peers.doubt_is_saved() {
            self.end_life(actions);
            return Ok(());
        }
        peers.set_doubt(false, self.state.now);
        let interval = self.config.timing.peer_record_interval;
        let peers = peers.take_records(self.state.now, interval, self.state.life);
        let operation = self.state.storage.next_operation()?;
        self.set_stage(Stage::Clearing(operation));
        actions.push(Action::PersistPeers { operation, peers });
        self.watch_installation(actions);
        Ok(())
    }

    fn step_clearing(
        &mut self,
        clearing: OperationId,
        event: &Event<'_>,
        actions: &mut Actions,
    ) -> Handled {
        match *event {
            Event::Durable { operation } if operation == clearing => self.end_life(actions),
            Event::StorageFailed => return Err(FailStop::StorageFailed),
            Event::ServiceFailed => return Err(FailStop::ServiceFailed),
            Event::Timer => self.watch_installation(actions),
            Event::TakeSnapshot => self.handle_take_snapshot(actions)?,
            Event::Transfer { request, target } => self.handle_transfer(request, target, actions),
            Event::ChangeMembership { request, ref change } => {
                self.handle_change(request, change, actions)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn end_life(&mut self, actions: &mut Actions) {
        let Some(fetch) = self.state.fetching.fetch.as_deref_mut() else { return };
        let (position, bytes) = (fetch.manifest.point.position, fetch.manifest.bytes());
        fetch.stage = Stage::Ended;
        self.watch_installation(actions);
        crate::mark::reached(crate::mark::SNAPSHOT_INSTALLED);
        actions.push(Action::Notify(Notice::SnapshotInstalled { position, bytes }));
        if !mutant::is(mutant::INSTALL_DOES_NOT_RESTART) {
            actions.push(Action::Restart);
        }
    }
}
