//! Snapshots: markers in the log, the one snapshot that is under way, and the purge behind it.
//!
//! A leader appends a marker. Where a member applies it, it lays out its replicated state, and its
//! host stores that with the service's. Only when the host has said that the snapshot is durable,
//! and the log before it is so too, does the member count on it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Handled, Member};
use crate::action::{Action, Actions};
use crate::event::OperationId;
use crate::frame::{Body, SnapshotCause, frame_bytes};
use crate::mutant;
use crate::notice::{Notice, SnapshotRefusal};
use crate::position::Position;
use crate::snapshot::{Snapshot, SnapshotPoint};
use crate::term::Term;
use crate::time::{Duration, LogTime};

/// Snapshots that are remembered as places where the log may begin, at most.
const POINTS_MAX: usize = 8;

/// Where this member's newest snapshot stands, and what it knows of the next.
#[derive(Clone, Debug, Hash)]
pub(super) struct Snapshots {
    /// The newest that is stored, with the log before it durable; zero when there is none.
    pub(super) position: Position,
    /// Where it and some before it stand, oldest first.
    points: Points,
    under_way: Option<UnderWay>,
    /// The end of the newest marker that was applied, or that this leader appended.
    marked: Position,
    /// The cluster time of that marker.
    marked_at: LogTime,
    /// A marker that this member appended as leader of that term; until it is applied no other
    /// follows.
    appended: Option<(Term, Position)>,
}

/// The one snapshot that is being taken.
#[derive(Clone, Copy, Debug, Hash)]
struct UnderWay {
    operation: OperationId,
    point: SnapshotPoint,
    /// The host has stored it; what is missing is the log before it.
    is_stored: bool,
}

impl Snapshots {
    /// Nothing under way, behind the snapshot at `point`.
    pub(super) fn new(point: SnapshotPoint) -> Self {
        let position = point.position;
        let mut points = Points::default();
        if position > Position::ZERO {
            points.add(point);
        }
        let (marked, marked_at) = (position, point.time);
        Self { position, points, under_way: None, marked, marked_at, appended: None }
    }

    /// Where those stand that counted and may be there still, newest first.
    pub(super) fn at_hand(&self) -> impl Iterator<Item = Position> {
        self.points.0.iter().rev().map(|point| point.position)
    }

    /// The end of the newest marker that was applied, or that this leader appended.
    pub(super) const fn marked(&self) -> Position {
        self.marked
    }

    /// Whether the host is at storing one.
    pub(super) fn is_being_stored(&self) -> bool {
        self.under_way.is_some_and(|under_way| !under_way.is_stored)
    }

    /// How many snapshots are under way.
    pub(super) const fn under_way(&self) -> usize {
        self.under_way.is_some() as usize
    }

    /// Where a snapshot is under way, or going to be, at a leader of `term`.
    fn busy_at(&self, term: Term) -> Option<Position> {
        let appended = self.appended.filter(|(of, _)| *of == term).map(|(_, position)| position);
        self.under_way.map(|under_way| under_way.point.position).or(appended)
    }

    /// The host has stored the snapshot of `operation`; whether it was asked to.
    #[inline]
    pub(super) fn stored(&mut self, operation: OperationId) -> bool {
        match &mut self.under_way {
            Some(under_way) if under_way.operation == operation => {
                under_way.is_stored = true;
                true
            }
            _ => false,
        }
    }

    /// The snapshot that is stored and whose log is durable up to `durable`: it counts from now on.
    #[inline]
    fn conclude(&mut self, durable: Position) -> Option<Position> {
        let is_done = |done: &UnderWay| done.is_stored && done.point.position <= durable;
        let done = self.under_way.filter(is_done)?;
        self.under_way = None;
        self.position = done.point.position;
        self.points.add(done.point);
        Some(done.point.position)
    }

    fn fail(&mut self, operation: OperationId) -> Option<Position> {
        let failed = self.under_way.filter(|failed| failed.operation == operation)?;
        self.under_way = None;
        Some(failed.point.position)
    }
}

/// Places where the log may begin, oldest first: snapshots that counted.
#[derive(Clone, Debug, Default, Hash)]
struct Points(Vec<SnapshotPoint>);

impl Points {
    /// Adds the newest. Where there are too many, one goes that leaves the smallest gap; the two
    /// newest and the oldest stay.
    fn add(&mut self, point: SnapshotPoint) {
        self.0.push(point);
        if self.0.len() <= POINTS_MAX {
            return;
        }
        let gap = |at: &usize| self.0[at + 1].position.since(self.0[at - 1].position);
        if let Some(at) = (1..self.0.len() - 2).min_by_key(gap) {
            self.0.remove(at);
        }
    }

    /// Where the log may begin if `keep` bytes behind the newest are kept, but nothing that is
    /// older than that by `age`: at the one before the newest at most, so that a start that finds
    /// the newest broken can begin with that one.
    fn origin(&self, keep: u64, age: Option<Duration>) -> Option<SnapshotPoint> {
        let (newest, older) = self.0.split_last()?;
        let (newest, older) = match mutant::is(mutant::PURGES_UP_TO_THE_NEWEST) {
            true => (newest, self.0.as_slice()),
            false => (newest, older),
        };
        let is_old = |point: &SnapshotPoint| {
            age.is_some_and(|age| newest.time.0.saturating_sub(point.time.0) >= age.0)
        };
        let kept =
            |point: &&SnapshotPoint| newest.position.since(point.position) >= keep || is_old(point);
        let origin = older.iter().rfind(kept).copied()?;
        let elsewhere = mutant::is(mutant::ORIGIN_OF_ANOTHER_PLACE);
        Some(SnapshotPoint { chain: if elsewhere { newest.chain } else { origin.chain }, ..origin })
    }

    /// The log begins at `origin`: what is older is no place for it to begin any more.
    fn purge(&mut self, origin: Position) {
        self.0.retain(|point| point.position >= origin);
    }
}

impl Member {
    /// The host asks for a snapshot.
    pub(super) fn handle_take_snapshot(&mut self, actions: &mut Actions) -> Handled {
        if let Err(refusal) = self.mark_snapshot(SnapshotCause::Command, actions) {
            actions.push(Action::Notify(Notice::SnapshotRefused { refusal }));
        }
        Ok(())
    }

    /// Appends a marker if the log has grown by the interval that is configured, or has grown and
    /// the last one is too old.
    #[inline]
    pub(super) fn mark_snapshot_by_policy(&mut self, actions: &mut Actions) {
        let interval = self.config.limits.marker_interval_bytes();
        let grown = self.state.log.verified.since(self.state.snapshots.marked);
        let is_due = (interval > 0 && grown >= interval) || self.is_marker_old(grown);
        if is_due && self.state.leading.is_some() {
            // Whatever speaks against it, it is tried again with the next flush.
            let _ = self.mark_snapshot(SnapshotCause::Policy, actions);
        }
    }

    /// Whether the last marker is too old for a log that has `grown` since.
    #[inline]
    fn is_marker_old(&self, grown: u64) -> bool {
        let Some(age) = self.config.timing.marker_age_max() else { return false };
        let since = self.cluster_time().0.saturating_sub(self.state.snapshots.marked_at.0);
        grown > 0 && since >= age.0
    }

    fn mark_snapshot(
        &mut self,
        cause: SnapshotCause,
        actions: &mut Actions,
    ) -> Result<(), SnapshotRefusal> {
        if !self.is_serving() {
            return Err(SnapshotRefusal::NotLeader { leader: self.known_leader() });
        }
        let term = self.state.term;
        if let Some(position) = self.state.snapshots.busy_at(term) {
            return Err(SnapshotRefusal::UnderWay { position });
        }
        let time = self.cluster_time();
        let body = Body::SnapshotMark { time, cause };
        if frame_bytes(&body, 0) > self.append_room() {
            return Err(SnapshotRefusal::NoRoom);
        }
        let position = self.append_frame(&body, &[]).end;
        let snapshots = &mut self.state.snapshots;
        snapshots.appended = Some((term, position));
        (snapshots.marked, snapshots.marked_at) = (position, time);
        actions.push(Action::Notify(Notice::SnapshotMarked { position, cause }));
        Ok(())
    }

    /// Who leads, unless it is this member, which does not serve.
    fn known_leader(&self) -> Option<crate::identity::MemberId> {
        self.state.leader.filter(|&leader| leader != self.state.life.member)
    }

    /// A marker was applied that ends at `position`; the service has reported all before it.
    pub(super) fn meet_marker(&mut self, point: SnapshotPoint, actions: &mut Actions) -> Handled {
        let position = point.position;
        let snapshots = &mut self.state.snapshots;
        snapshots.marked = snapshots.marked.max(position);
        snapshots.marked_at = snapshots.marked_at.max(point.time);
        snapshots.appended = snapshots.appended.filter(|(_, appended)| *appended > position);
        if snapshots.under_way.is_some() {
            self.counters.snapshots_skipped += 1;
            actions.push(Action::Notify(Notice::SnapshotSkipped { position }));
            return Ok(());
        }
        let operation = self.state.storage.next_operation()?;
        let snapshots = &mut self.state.snapshots;
        snapshots.under_way = Some(UnderWay { operation, point, is_stored: false });
        if mutant::is(mutant::SNAPSHOT_COUNTS_EARLY) {
            snapshots.position = position;
        }
        if mutant::is(mutant::PURGES_BEFORE_IT_COUNTS) {
            snapshots.points.add(point);
            self.purge(actions);
        }
        let core = self.write_state(&point);
        let snapshot = Box::new(Snapshot { point, core });
        let pinned = self.pinned_snapshot();
        actions.push(Action::TakeSnapshot { operation, snapshot, pinned });
        Ok(())
    }

    /// The log or a snapshot became durable.
    #[inline]
    pub(super) fn settle_snapshot(&mut self, actions: &mut Actions) {
        if let Some(position) = self.state.snapshots.conclude(self.state.log.durable) {
            self.counters.snapshots_stored += 1;
            actions.push(Action::Notify(Notice::SnapshotStored { position }));
            self.purge(actions);
        }
    }

    /// Lets go of the beginning of the log, as far as snapshots that count stand for it.
    #[inline(never)]
    fn purge(&mut self, actions: &mut Actions) {
        let mut keep = self.config.limits.kept_bytes();
        if mutant::is(mutant::LOG_HAS_NO_CAP) {
            keep = self.config.limits.purge_keep_bytes;
        }
        let age = self.config.timing.kept_age();
        let Some(origin) = self.state.snapshots.points.origin(keep, age) else { return };
        if origin.position <= self.state.log.origin {
            return;
        }
        self.state.log.origin = origin.position;
        self.state.snapshots.points.purge(origin.position);
        self.state.reads.purge(origin.position);
        self.counters.purges += 1;
        actions.push(Action::Purge { origin });
        actions.push(Action::Notify(Notice::LogPurged { origin: origin.position }));
    }

    pub(super) fn handle_snapshot_failed(
        &mut self,
        operation: OperationId,
        actions: &mut Actions,
    ) -> Handled {
        match self.state.snapshots.fail(operation) {
            None if self.fail_fetch(operation, actions) => {}
            Some(position) => {
                self.counters.snapshots_failed += 1;
                actions.push(Action::Notify(Notice::SnapshotFailed { position }));
            }
            None => self.counters.completions_ignored += 1,
        }
        Ok(())
    }
}
