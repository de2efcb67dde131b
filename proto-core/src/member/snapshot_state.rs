//! The core's part of a snapshot: how the replicated state is laid out, and read back.
//!
//! It is read back in two places: where a life begins, and where a snapshot of another member is
//! looked at before it is installed. Both ask the same of it.

use alloc::vec::Vec;

use super::Member;
use super::members::Placed;
use super::readmission::Readmissions;
use super::replies::Replies;
use super::sessions::Sessions;
use crate::config::{ConfigError, Limits, Recovered};
use crate::frame::Level;
use crate::identity::{BootEpoch, ClientKey, Incarnation, Life, MemberId, SessionId};
use crate::membership::Membership;
use crate::mutant;
use crate::position::Position;
use crate::snapshot::{
    Fields, SnapshotError, SnapshotPoint, read_line, read_point, write_line, write_point,
};
use crate::term::{Chain, Term, TermHistory, TermLine};
use crate::time::LogTime;

/// The replicated state, as a snapshot holds it.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) sessions: Sessions,
    pub(super) readmissions: Readmissions,
    /// The level of the term that the snapshot was taken in.
    pub(super) level: Level,
    /// Who was a member there, if the log has ever said so.
    pub(super) membership: Option<Placed>,
}

impl Restored {
    /// The newest term that a snapshot at `point` is behind the opening of, and its level.
    pub(super) fn opened(&self, point: SnapshotPoint) -> Option<(Term, Level)> {
        (point.position > Position::ZERO).then_some((point.term, self.level))
    }
}

/// The log that a snapshot is to be one of.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogOf<'a> {
    pub(super) history: &'a TermHistory,
    /// Where it ends, and the chain value there, if the snapshot shall lie within.
    pub(super) end: Option<(Position, Chain)>,
}

impl Member {
    /// Lays out the replicated state as it is at `point`.
    pub(super) fn write_state(&self, point: &SnapshotPoint) -> Vec<u8> {
        let sessions = &self.state.sessions;
        let mut point = *point;
        if mutant::is(mutant::SNAPSHOT_NAMES_ITS_MEMBER) {
            point.time.0 ^= u64::from(self.state.life.member.0);
        }
        let mut out = Vec::with_capacity(FRONT_BYTES + sessions.written_bytes());
        let members = self.state.members.applied();
        let members = members.filter(|_| !mutant::is(mutant::SNAPSHOT_WITHOUT_MEMBERS));
        write_point(&point, self.state.applier.level, members.is_some(), &mut out);
        let timers = match mutant::is(mutant::SNAPSHOT_WITHOUT_TIMERS) {
            true => 0,
            false => sessions.timers.len(),
        };
        let lines = owners_before(&self.state.history, point.position);
        let forgets = mutant::is(mutant::FORGETS_READMITTED_LIVES);
        let none = Readmissions::default();
        let readmissions = if forgets { &none } else { &self.state.readmissions };
        for count in [lines.clone().count(), sessions.len(), timers, readmissions.len()] {
            out.extend_from_slice(&(count as u32).to_le_bytes());
        }
        lines.for_each(|line| write_line(line, &mut out));
        write_sessions(sessions, &mut out);
        for (timer, deadline) in sessions.timers.by_number().take(timers) {
            out.extend_from_slice(&timer.to_le_bytes());
            out.extend_from_slice(&deadline.0.to_le_bytes());
        }
        for (life, position) in readmissions.all() {
            write_readmission(life, position, &mut out);
        }
        if let Some((end, membership)) = members {
            out.extend_from_slice(&end.0.to_le_bytes());
            membership.write(&mut out);
        }
        out
    }
}

fn write_readmission(life: Life, position: Position, out: &mut Vec<u8>) {
    out.extend_from_slice(&position.0.to_le_bytes());
    out.extend_from_slice(&life.boot_epoch.0.to_le_bytes());
    out.extend_from_slice(&life.incarnation.0.to_le_bytes());
    out.extend_from_slice(&life.member.0.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
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
            out.extend_from_slice(&reply.place().0.to_le_bytes());
            out.extend_from_slice(&(reply.bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(&reply.bytes);
        }
    }
}

/// Where a member begins, and the replicated state there: that of the recovered snapshot, or none
/// at the beginning of the log.
///
/// # Errors
/// [`ConfigError::Snapshot`].
pub(super) fn beginning(
    recovered: &Recovered,
    limits: &Limits,
) -> Result<(SnapshotPoint, Restored), ConfigError> {
    let Some(snapshot) = recovered.snapshot.as_deref() else {
        let sessions = Sessions::new(limits.sessions_max, limits.in_flight_max, limits.timers_max);
        let readmissions = Readmissions::default();
        let level = Level::Durable;
        let restored = Restored { sessions, readmissions, level, membership: None };
        return Ok((SnapshotPoint::default(), restored));
    };
    let (point, at) = (snapshot.point, snapshot.point.position);
    let end = Some((recovered.log_end, recovered.chain));
    let log = LogOf { history: &recovered.history, end };
    let restored = restore(&snapshot.core, &point, log, limits).and_then(|restored| {
        // One who begins with a snapshot has the life that it tells of, or a later one.
        let is_past = |life: Life| life.member != recovered.life.member || life <= recovered.life;
        let sound = restored.readmissions.all().all(|(life, _)| is_past(life));
        let what = "who was readmitted";
        if sound { Ok(restored) } else { Err(SnapshotError::Contradiction { what }) }
    });
    Ok((point, restored.map_err(|reason| ConfigError::Snapshot { at, reason })?))
}

/// The replicated state of a snapshot that stands at `expected`, if it is one of `log`.
///
/// # Errors
/// [`SnapshotError`]. Nothing is guessed, and no memory is taken that the bytes do not fill.
pub(super) fn restore(
    core: &[u8],
    expected: &SnapshotPoint,
    log: LogOf<'_>,
    limits: &Limits,
) -> Result<Restored, SnapshotError> {
    let mut fields = Fields(core);
    let (point, level, has_members) = read_point(&mut fields)?;
    if point != *expected {
        return Err(SnapshotError::Contradiction { what: "where it stands" });
    }
    check_point(&point, log)?;
    let (lines, sessions) = (fields.u32()?, fields.u32()?);
    let (timers, readmissions) = (fields.u32()?, fields.u32()?);
    let mut known = owners_before(log.history, point.position);
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
    read_timers(&mut fields, timers, &mut restored)?;
    let readmissions = read_readmissions(&mut fields, readmissions, point.position)?;
    let membership = match has_members {
        true => Some(read_members(&mut fields, point.position)?),
        false => None,
    };
    if !fields.0.is_empty() {
        return Err(SnapshotError::Trailing);
    }
    Ok(Restored { sessions: restored, readmissions, level, membership })
}

/// Whether `history` can have a snapshot at `point`: it owns the byte before it to the same term,
/// and a term that begins there knows the same chain value.
///
/// # Errors
/// [`SnapshotError`].
pub(super) fn check_history(
    point: &SnapshotPoint,
    history: &TermHistory,
) -> Result<(), SnapshotError> {
    let other_log = |what| Err(SnapshotError::OtherLog { what });
    let position = point.position;
    if position == Position::ZERO || position.aligned_down() != position {
        return Err(SnapshotError::Contradiction { what: "its position" });
    }
    if history.term_before(position) != point.term {
        return other_log("the term of the byte before it");
    }
    let mut opened = history.lines().iter().filter(|line| line.base == position);
    if opened.any(|line| line.chain != point.chain) {
        return other_log("the chain value");
    }
    Ok(())
}

fn check_point(point: &SnapshotPoint, log: LogOf<'_>) -> Result<(), SnapshotError> {
    if mutant::is(mutant::FOREIGN_SNAPSHOT_IS_USED) {
        return Ok(());
    }
    let other_log = |what| Err(SnapshotError::OtherLog { what });
    if log.end.is_some_and(|(end, _)| point.position > end) {
        return other_log("the log ends before it");
    }
    check_history(point, log.history)?;
    if log.end.is_some_and(|(end, chain)| point.position == end && point.chain != chain) {
        return other_log("the chain value");
    }
    Ok(())
}

fn read_timers(
    fields: &mut Fields<'_>,
    count: u32,
    restored: &mut Sessions,
) -> Result<(), SnapshotError> {
    let mut after = None;
    for _ in 0..count {
        let (timer, deadline) = (fields.u64()?, LogTime(fields.u64()?));
        if after >= Some(timer) || !restored.timers.schedule(timer, deadline) {
            return Err(SnapshotError::Contradiction { what: "the timers" });
        }
        after = Some(timer);
    }
    Ok(())
}

fn read_members(fields: &mut Fields<'_>, end: Position) -> Result<Placed, SnapshotError> {
    let at = fields.position()?;
    if at == Position::ZERO || at >= end {
        return Err(SnapshotError::Contradiction { what: "where the members are said" });
    }
    Ok((at, Membership::take(fields)?))
}

fn read_readmissions(
    fields: &mut Fields<'_>,
    count: u32,
    end: Position,
) -> Result<Readmissions, SnapshotError> {
    let mut restored = Readmissions::default();
    for _ in 0..count {
        let (position, boot_epoch) = (fields.position()?, BootEpoch(fields.u64()?));
        let incarnation = Incarnation(fields.u32()?);
        let life = Life { member: MemberId(fields.u16()?), incarnation, boot_epoch };
        fields.take(2)?;
        if position >= end || !restored.restore(life, position) {
            return Err(SnapshotError::Contradiction { what: "who was readmitted" });
        }
    }
    Ok(restored)
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
