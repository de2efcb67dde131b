//! Snapshots: this member's own, those of others, and the life that begins behind one of those.

use core::mem;

use quorate_core::{
    Action, Event, Instant, Member, OperationId, Position, PositionRange, Snapshot,
    SnapshotManifest, SnapshotRefusal, Stream,
};

use super::{Demanded, MemberLoop, Stopped, Tap, header_of};
use crate::port::{DatagramPort, LogPort, StoragePort, StorageRequest};
use crate::service::{Service, ServiceError};

impl<P: DatagramPort, L: LogPort, Q: StoragePort<L::Cut>, S: Service> MemberLoop<P, L, Q, S> {
    /// Has all members take a snapshot, if this one leads: where it is going to stand. Each stores
    /// its own later, `View::snapshot` says when.
    ///
    /// # Errors
    /// The member went inert; within, why none is taken.
    pub fn take_snapshot(
        &mut self,
        now: Instant,
    ) -> Result<Result<Position, SnapshotRefusal>, Stopped> {
        self.marked = None;
        self.step(now, Event::TakeSnapshot)?;
        // The core answers within the step.
        Ok(self.marked.take().unwrap_or(Err(SnapshotRefusal::NotLeader { leader: None })))
    }

    /// Whether a snapshot of another member is installed: the member is inert, and a new life has
    /// to begin with what the archive recovers, as after a crash: [`MemberLoop::begin_again`], or
    /// another process.
    #[must_use]
    pub const fn restarts(&self) -> bool {
        self.restarts
    }

    /// How many operations that make something durable have completed, in all lives.
    pub(crate) const fn completed(&self) -> u64 {
        let asked = self.storage_counters.syncs + self.storage_counters.persists;
        asked.saturating_sub(self.outstanding as u64)
    }

    /// Lets go of the log and of the storage, for the life has ended: what they hold open and
    /// locked is free once the storage has finished. The member is inert.
    pub fn end_life(&mut self) {
        self.storage.close();
        self.log = None;
    }

    /// Begins another life in place of the one that has ended: `member` is made of what the archive
    /// recovered, `log` and `storage` are over that, and `state` is the service's in the snapshot
    /// that it recovered. The recording ends. The port stays, and so does what was counted but by
    /// the core. Nothing happens before the first event; begin with [`MemberLoop::timer`].
    ///
    /// # Errors
    /// The service does not take the state; it is not called any more.
    pub fn begin_again(
        &mut self,
        member: Member,
        log: L,
        storage: Q,
        state: &[u8],
    ) -> Result<(), ServiceError> {
        let ended = mem::replace(&mut self.member, member);
        if let Some(Tap::Recording(recording)) = self.tap.take() {
            recording.end(&ended);
        }
        self.actions.clear();
        (self.log, self.storage) = (Some(log), storage);
        self.sender.begin(header_of(&self.member));
        (self.outstanding, self.restarts, self.stopping) = (0, false, false);
        self.damage = None;
        (self.refused, self.broken, self.unsaved) = (None, None, None);
        (self.marked, self.detail, self.stopped) = (None, None, None);
        self.demanded = Demanded::default();
        self.host.restore(state)
    }

    /// Performs what concerns snapshots, or the log's beginning.
    pub(super) fn perform_on_snapshots(&mut self, action: Action) {
        let request = match action {
            Action::TakeSnapshot { operation, snapshot, pinned } => {
                return self.store(operation, snapshot, pinned);
            }
            Action::ReadSnapshot { operation, position, range } => {
                StorageRequest::ReadSnapshot { operation, position, range }
            }
            Action::KeepSnapshotPart { operation, manifest, range } => {
                self.part_of(operation, manifest, range)
            }
            Action::CheckSnapshot { operation, manifest } => {
                StorageRequest::CheckSnapshot { operation, manifest }
            }
            Action::DropSnapshot => StorageRequest::DropSnapshot,
            Action::DiscardSnapshots { from } => StorageRequest::DiscardSnapshots { from },
            Action::InstallSnapshot { operation, manifest } => {
                StorageRequest::InstallSnapshot { operation, manifest }
            }
            // Nobody is told when it is done.
            Action::Purge { origin } => StorageRequest::Purge { origin },
            _ => return,
        };
        self.storage.submit(request);
    }

    fn store(&mut self, operation: OperationId, snapshot: Box<Snapshot>, pinned: Option<Position>) {
        match self.host.snapshot() {
            Ok(service) => self.storage.submit(StorageRequest::StoreSnapshot {
                operation,
                snapshot,
                service,
                pinned,
            }),
            Err(error) => {
                let member = self.member.config().member.0;
                tracing::warn!(member, %error, "the service gave no snapshot");
                self.unsaved = Some(operation);
            }
        }
    }

    /// The bytes leave the member: its ring goes on when they are kept, and the storage may take
    /// its time.
    fn part_of(
        &self,
        operation: OperationId,
        manifest: SnapshotManifest,
        range: PositionRange,
    ) -> StorageRequest<L::Cut> {
        let (first, second) = self.member.bytes(Stream::Snapshot, range);
        let bytes = [first, second].concat();
        StorageRequest::KeepSnapshotPart { operation, manifest, start: range.start, bytes }
    }
}
