//! Snapshots: markers in the log, the one snapshot that is under way, and the way back from one.
//!
//! A leader appends a marker. Where a member applies it, it lays out its replicated state, and its
//! host stores that with the service's. Only when the host has said that the snapshot is durable,
//! and the log before it is so too, does the member count on it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::replies::Replies;
use super::sessions::Sessions;
use super::{Handled, Member};
use crate::action::{Action, Actions};
use crate::config::{ConfigError, Limits, Recovered};
use crate::event::OperationId;
use crate::frame::{Body, SnapshotCause, frame_bytes};
use crate::identity::{ClientKey, SessionId};
use crate::mutant;
use crate::notice::{Notice, SnapshotRefusal};
use crate::position::Position;
use crate::snapshot::{
    Fields, Snapshot, SnapshotError, SnapshotPoint, read_line, read_point, write_line, write_point,
};
use crate::term::{Term, TermHistory, TermLine};
use crate::time::LogTime;

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
        Self { position, points, under_way: None, marked: position, appended: None }
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

    /// Where the log may begin if `keep` bytes behind the newest are kept: at the one before the
    /// newest at most, so that a start that finds the newest broken can begin with that one.
    fn origin(&self, keep: u64) -> Option<SnapshotPoint> {
        let (newest, older) = self.0.split_last()?;
        let (newest, older) = match mutant::is(mutant::PURGES_UP_TO_THE_NEWEST) {
            true => (newest, self.0.as_slice()),
            false => (newest, older),
        };
        let kept = |point: &&SnapshotPoint| newest.position.since(point.position) >= keep;
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

    /// Appends a marker if the log has grown by the interval that is configured.
    #[inline]
    pub(super) fn mark_snapshot_by_policy(&mut self, actions: &mut Actions) {
        let interval = self.config.limits.marker_interval_bytes();
        let grown = self.state.log.verified.since(self.state.snapshots.marked);
        if interval > 0 && grown >= interval && self.state.leading.is_some() {
            // Whatever speaks against it, it is tried again with the next flush.
            let _ = self.mark_snapshot(SnapshotCause::Policy, actions);
        }
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
        let body = Body::SnapshotMark { time: self.cluster_time(), cause };
        if frame_bytes(&body, 0) > self.append_room() {
            return Err(SnapshotRefusal::NoRoom);
        }
        let position = self.append_frame(&body, &[]).end;
        let snapshots = &mut self.state.snapshots;
        snapshots.appended = Some((term, position));
        snapshots.marked = position;
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
        actions.push(Action::TakeSnapshot { operation, snapshot });
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
        let keep = self.config.limits.kept_bytes();
        let Some(origin) = self.state.snapshots.points.origin(keep) else { return };
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
            Some(position) => {
                self.counters.snapshots_failed += 1;
                actions.push(Action::Notify(Notice::SnapshotFailed { position }));
            }
            None => self.counters.completions_ignored += 1,
        }
        Ok(())
    }

    /// Lays out the replicated state as it is at `point`.
    fn write_state(&self, point: &SnapshotPoint) -> Vec<u8> {
        let sessions = &self.state.sessions;
        let mut point = *point;
        if mutant::is(mutant::SNAPSHOT_NAMES_ITS_MEMBER) {
            point.time.0 ^= u64::from(self.state.life.member.0);
        }
        let mut out = Vec::with_capacity(FRONT_BYTES + sessions.written_bytes());
        write_point(&point, &mut out);
        let timers = match mutant::is(mutant::SNAPSHOT_WITHOUT_TIMERS) {
            true => 0,
            false => sessions.timers().count(),
        };
        let lines = owners_before(&self.state.history, point.position);
        for count in [lines.clone().count(), sessions.len(), timers, 0] {
            out.extend_from_slice(&(count as u32).to_le_bytes());
        }
        lines.for_each(|line| write_line(line, &mut out));
        write_sessions(sessions, &mut out);
        for (timer, deadline) in sessions.timers_by_number().take(timers) {
            out.extend_from_slice(&timer.to_le_bytes());
            out.extend_from_slice(&deadline.0.to_le_bytes());
        }
        out
    }
}

/// Bytes before the lines, and room for the few lines that there are as a rule.
const FRONT_BYTES: usize = 56 + 8 * 48;

/// The lines that own bytes before `end`: their opening frames are in the log, so they are the same
/// on all members. One that lost its base to a later line owns none.
fn owners_before(history: &TermHistory, end: Position) -> impl Iterator<Item = &TermLine> + Clone {
    let lines = history.lines();
    lines.iter().enumerate().filter_map(move |(at, line)| {
        let next = lines.get(at + 1).map_or(end, |next| next.base);
        (line.base < next.min(end)).then_some(line)
    })
}

fn write_sessions(sessions: &Sessions, out: &mut Vec<u8>) {
    let forgets = mutant::is(mutant::SNAPSHOT_WITHOUT_REPLIES);
    for session in sessions.all() {
        for word in [session.id().0, session.client.0, session.last_applied] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        let count = if forgets { 0 } else { session.replies().len() };
        out.extend_from_slice(&(count as u64).to_le_bytes());
        for reply in session.replies().all().take(count) {
            out.extend_from_slice(&reply.position.0.to_le_bytes());
            out.extend_from_slice(&(reply.bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(&reply.bytes);
        }
    }
}

/// Where a member begins, and its sessions and timers there: those of the recovered snapshot, or
/// none at the beginning of the log.
///
/// # Errors
/// [`ConfigError::Snapshot`].
pub(super) fn beginning(
    recovered: &Recovered,
    limits: &Limits,
) -> Result<(SnapshotPoint, Sessions), ConfigError> {
    let Some(snapshot) = recovered.snapshot.as_deref() else {
        let sessions = Sessions::new(limits.sessions_max, limits.in_flight_max, limits.timers_max);
        return Ok((SnapshotPoint::default(), sessions));
    };
    let (point, at) = (snapshot.point, snapshot.point.position);
    let sessions = restore(snapshot, recovered, limits);
    Ok((point, sessions.map_err(|reason| ConfigError::Snapshot { at, reason })?))
}

/// The sessions and timers of a recovered snapshot, if it is one of the recovered log.
///
/// # Errors
/// [`SnapshotError`]. Nothing is guessed, and no memory is taken that the bytes do not fill.
fn restore(
    snapshot: &Snapshot,
    recovered: &Recovered,
    limits: &Limits,
) -> Result<Sessions, SnapshotError> {
    let mut fields = Fields(&snapshot.core);
    let point = read_point(&mut fields)?;
    check_point(&point, snapshot, recovered)?;
    let (lines, sessions) = (fields.u32()?, fields.u32()?);
    let (timers, _) = (fields.u32()?, fields.u32()?);
    let mut known = owners_before(&recovered.history, point.position);
    for _ in 0..lines {
        if known.next() != Some(&read_line(&mut fields)?) {
            return Err(SnapshotError::OtherLog { what: "the term history" });
        }
    }
    if known.next().is_some() {
        return Err(SnapshotError::OtherLog { what: "the term history" });
    }
    let limit = |what, found: u32, key, limit: usize| match found as usize <= limit {
        true => Ok(()),
        false => Err(SnapshotError::Limit { what, found: found.into(), key, limit: limit as u64 }),
    };
    limit("sessions", sessions, "sessions_max", limits.sessions_max)?;
    limit("timers", timers, "timers_max", limits.timers_max)?;
    let mut restored = Sessions::new(limits.sessions_max, limits.in_flight_max, limits.timers_max);
    for _ in 0..sessions {
        read_session(&mut fields, point.position, limits, &mut restored)?;
    }
    let mut after = None;
    for _ in 0..timers {
        let (timer, deadline) = (fields.u64()?, LogTime(fields.u64()?));
        if after >= Some(timer) || !restored.schedule_timer(timer, deadline) {
            return Err(SnapshotError::Contradiction { what: "the timers" });
        }
        after = Some(timer);
    }
    if fields.0.is_empty() { Ok(restored) } else { Err(SnapshotError::Trailing) }
}

fn check_point(
    point: &SnapshotPoint,
    snapshot: &Snapshot,
    recovered: &Recovered,
) -> Result<(), SnapshotError> {
    let contradiction = |what| Err(SnapshotError::Contradiction { what });
    let other_log = |what| match mutant::is(mutant::FOREIGN_SNAPSHOT_IS_USED) {
        true => Ok(()),
        false => Err(SnapshotError::OtherLog { what }),
    };
    let position = point.position;
    if *point != snapshot.point {
        return contradiction("where it stands");
    }
    if position == Position::ZERO || position.aligned_down() != position {
        return contradiction("its position");
    }
    if position > recovered.log_end {
        return other_log("the log ends before it");
    }
    if recovered.history.term_before(position) != point.term {
        return other_log("the term of the byte before it");
    }
    if position == recovered.log_end && point.chain != recovered.chain {
        return other_log("the chain value");
    }
    Ok(())
}

fn read_session(
    fields: &mut Fields<'_>,
    end: Position,
    limits: &Limits,
    restored: &mut Sessions,
) -> Result<(), SnapshotError> {
    let contradiction = |what| SnapshotError::Contradiction { what };
    let (id, client) = (SessionId(fields.u64()?), ClientKey(fields.u64()?));
    let (last_applied, count) = (fields.u64()?, fields.u64()?);
    if count > limits.in_flight_max as u64 {
        let (what, limit) = ("replies of a session", limits.in_flight_max as u64);
        return Err(SnapshotError::Limit { what, found: count, key: "in_flight_max", limit });
    }
    // Each message took some of the log: numbers beyond are no numbers of messages.
    if last_applied > end.0 {
        return Err(contradiction("the number of a message"));
    }
    let before = last_applied.checked_sub(count);
    let before = before.ok_or_else(|| contradiction("a reply window"))?;
    let mut replies = Replies::behind(before, limits.in_flight_max);
    let mut after = Position(id.0);
    for sequence in before + 1..=last_applied {
        let position = fields.position()?;
        if position <= after || position >= end {
            return Err(contradiction("the place of a reply"));
        }
        let length = fields.u64()?;
        if length > u64::from(limits.reply_bytes_max) {
            let (key, limit) = ("reply_bytes_max", u64::from(limits.reply_bytes_max));
            return Err(SnapshotError::Limit {
                what: "bytes of a reply",
                found: length,
                key,
                limit,
            });
        }
        replies.open(position);
        replies.keep(sequence, fields.take(length as usize)?);
        after = position;
    }
    match id.0 < end.0 && restored.restore(id, client, last_applied, replies) {
        true => Ok(()),
        false => Err(contradiction("the sessions")),
    }
}
