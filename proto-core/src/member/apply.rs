//! Committed frames on their way to the service, in order and once.

use alloc::vec::Vec;

use super::log::{LogFrame, read_frame};
use super::repair::Purpose;
use super::{Handled, Member, State};
use crate::action::{Action, Actions, Apply, Delivery, Source};
use crate::config::Recovered;
use crate::event::{Outputs, TimerRequest};
use crate::frame::{Body, FrameSeed, Level, Plain, chain_after};
use crate::identity::SessionId;
use crate::mutant;
use crate::notice::{FailStop, Notice};
use crate::position::{Position, PositionRange};
use crate::snapshot::SnapshotPoint;
use crate::term::{Chain, Term};
use crate::time::LogTime;

/// Reads of committed bytes that may come back with nothing before the member stops.
const READ_TRIES_MAX: u32 = 4;

/// How far the service is.
#[derive(Clone, Debug, Hash)]
pub(super) struct Applier {
    /// All before it was applied.
    pub(super) applied: Position,
    /// The chain value there.
    pub(super) chain: Chain,
    /// The time of the last applied frame.
    pub(super) time: LogTime,
    /// The level of the newest term that was handed to the service.
    pub(super) level: Level,
    /// The first three at the end of what the service was handed.
    walked: Walked,
    /// The sessions of the messages that the service has not reported yet.
    pub(super) touched: Vec<SessionId>,
    /// The end of what it is to report, while it is at it.
    awaited: Option<Position>,
    is_reading: bool,
    failed_reads: u32,
    /// What the last batch from the archive took, twice: what the next read asks for.
    read_bytes: u64,
    batch_max: usize,
}

/// What is applied when a life begins: what its snapshot holds. To take the whole log for applied
/// is a deliberate mistake.
fn begun(point: SnapshotPoint, recovered: &Recovered) -> SnapshotPoint {
    match mutant::is(mutant::RESTART_APPLIES_NOTHING) {
        true => SnapshotPoint {
            position: recovered.log_end,
            chain: recovered.chain,
            time: recovered.log_time,
            ..point
        },
        false => point,
    }
}

#[derive(Clone, Copy, Debug, Hash)]
struct Walked {
    position: Position,
    chain: Chain,
    time: LogTime,
}

impl Applier {
    /// An applier that goes on from `point`: that of a snapshot, or the beginning of the log.
    pub(super) fn new(
        batch_max: usize,
        (point, level): (SnapshotPoint, Level),
        recovered: &Recovered,
    ) -> Self {
        let SnapshotPoint { position, chain, time, .. } = begun(point, recovered);
        Self {
            applied: position,
            chain,
            time,
            level,
            walked: Walked { position, chain, time },
            touched: Vec::with_capacity(batch_max),
            awaited: None,
            is_reading: false,
            failed_reads: 0,
            read_bytes: u64::MAX,
            batch_max,
        }
    }

    #[inline]
    fn touch(&mut self, session: SessionId) {
        if self.touched.last() != Some(&session) {
            self.touched.push(session);
        }
    }

    pub(super) const fn is_applying(&self) -> bool {
        self.awaited.is_some()
    }

    fn conclude(&mut self) {
        self.applied = self.walked.position;
        self.chain = self.walked.chain;
        self.time = self.walked.time;
    }
}

impl Member {
    /// Hands committed frames to the service, a batch at a time: from the window, or through a
    /// read of the archive when the window has moved on.
    #[inline(always)]
    pub(super) fn pump_apply(&mut self, actions: &mut Actions) -> Handled {
        let is_pumped = self.state.applier.walked.position >= self.apply_end();
        if is_pumped { Ok(()) } else { self.apply_committed(actions) }
    }

    #[inline(never)]
    fn apply_committed(&mut self, actions: &mut Actions) -> Handled {
        if self.state.applier.is_applying() || self.state.applier.is_reading {
            return Ok(());
        }
        let end = self.apply_end();
        let mut batch = 0;
        while self.state.applier.walked.position < end {
            batch += self.walk_messages(end, batch, actions);
            let position = self.state.applier.walked.position;
            if batch >= self.state.applier.batch_max || position >= end {
                break;
            }
            let Some(frame) = self.state.log.frame(position) else {
                if batch == 0 && position < self.state.log.low {
                    return self.read_for_apply(actions);
                }
                break;
            };
            // A commit position inside a frame is a lie, and commits nothing of the frame.
            if frame.end > end || (batch > 0 && is_barrier(&frame.body)) {
                crate::mark::reached(crate::mark::BATCH_BARRIER);
                break;
            }
            if let Body::Membership { .. } = frame.body {
                self.walk_membership(&frame);
            }
            match self.walk(position, &frame, Source::Member, actions)? {
                true => batch += 1,
                false if batch == 0 => self.state.applier.conclude(),
                false => break,
            }
        }
        Ok(())
    }

    /// Applies the messages that lie in one piece of the window before any other frame, as
    /// [`Member::walk`] does it, and up to the end of a batch of which `batch` frames are done;
    /// returns how many the service gets. Nearly all frames of a busy log are taken here.
    #[inline(never)]
    fn walk_messages(&mut self, end: Position, batch: usize, actions: &mut Actions) -> usize {
        let State { log, applier, sessions, history, following, .. } = &mut self.state;
        let start = applier.walked.position;
        let Some((line, term_end)) = history.owner_to(start) else { return 0 };
        // The chain values are compared at the position that the leader stated (rule 15).
        let compared = following.chain_check.map_or(Position::MAX, |(position, _)| position);
        let mut bytes = log.piece(start, end.min(term_end).min(compared));
        let Walked { mut position, mut chain, mut time } = applier.walked;
        let room = applier.batch_max - batch;
        let mut count = 0;
        while count < room
            && let Some(message) = Plain::message(bytes, bytes.len() as u64)
        {
            let (session, sequence, stamped) = message.fields();
            if !sessions.accept(session, sequence, position) {
                // Batches end before a frame that the service does not get: see `pump_apply`.
                break;
            }
            chain = chain_after(chain, line.term, position, message.checksum);
            time = time.max(LogTime(stamped));
            let payload = message.payload_at(position);
            let after = position.plus(message.len() as u64);
            applier.touch(session);
            let delivery = Delivery::Message { session, sequence, payload, source: Source::Member };
            actions.push_apply(Apply { position, end: after, time, delivery });
            position = after;
            bytes = &bytes[message.len()..];
            count += 1;
        }
        if count > 0 {
            applier.walked = Walked { position, chain, time };
            applier.awaited = Some(position);
            self.counters.messages_applied += count as u64;
        }
        count
    }

    fn apply_end(&self) -> Position {
        if mutant::is(mutant::REPLY_BEFORE_COMMIT) && self.state.leading.is_some() {
            return self.state.log.verified;
        }
        if mutant::is(mutant::FOLLOWER_APPLIES_EVERYTHING) && self.state.leading.is_none() {
            return self.state.log.verified;
        }
        self.state.commit
    }

    fn read_for_apply(&mut self, actions: &mut Actions) -> Handled {
        let start = self.state.applier.walked.position;
        let limits = &self.config.limits;
        let wanted = self.state.applier.read_bytes.max(limits.frame_bytes_max());
        let most = start.plus(wanted.min(limits.read_bytes_max) & !7);
        let end = self.state.commit.min(self.state.log.written).min(most);
        if start >= end {
            return Ok(());
        }
        self.state.applier.is_reading = true;
        self.read_log(PositionRange::new(start, end), Purpose::Apply, actions)
    }

    /// Bytes of the archive from `start` on have arrived.
    pub(super) fn apply_read(
        &mut self,
        start: Position,
        bytes: &[u8],
        actions: &mut Actions,
    ) -> Handled {
        self.state.applier.is_reading = false;
        crate::mark::reached(crate::mark::APPLIED_FROM_ARCHIVE);
        let mut batch = 0;
        while batch < self.state.applier.batch_max {
            let position = self.state.applier.walked.position;
            let offset = position.since(start) as usize;
            if position >= self.state.commit || offset >= bytes.len() {
                break;
            }
            let Some(line) = self.state.history.owner(position) else { break };
            let seed = FrameSeed::new(self.state.log.tag_of(line), line.term, position);
            let frame_bytes_max = self.config.limits.frame_bytes_max();
            let Ok(frame) = read_frame(seed, &bytes[offset..], frame_bytes_max) else { break };
            if frame.end > self.state.commit || (batch > 0 && is_barrier(&frame.body)) {
                break;
            }
            if let Body::Membership { .. } = frame.body {
                let payload = frame.payload.start.since(start)..frame.payload.end.since(start);
                let payload = bytes.get(payload.start as usize..payload.end as usize);
                self.apply_membership(frame.end, (payload.unwrap_or_default(), &[]));
            }
            match self.walk(position, &frame, Source::Read(start), actions)? {
                true => batch += 1,
                false if batch == 0 => self.state.applier.conclude(),
                false => break,
            }
        }
        self.note_read(start)
    }

    fn note_read(&mut self, start: Position) -> Handled {
        let applier = &mut self.state.applier;
        if applier.walked.position > start {
            applier.read_bytes = 2 * applier.walked.position.since(start);
            applier.failed_reads = 0;
            return Ok(());
        }
        applier.failed_reads += 1;
        if applier.failed_reads < READ_TRIES_MAX {
            return Ok(());
        }
        Err(FailStop::Unreadable { at: start })
    }

    fn term_at(&self, position: Position) -> Term {
        self.state.history.owner(position).map_or(Term(0), |line| line.term)
    }

    /// A membership in the window is applied.
    fn walk_membership(&mut self, frame: &LogFrame) {
        let (first, second) = self.state.log.slices(frame.payload);
        let payload = [first, second].concat();
        self.apply_membership(frame.end, (&payload, &[]));
    }

    /// Applies a frame to the replicated state; `true` if the service gets it too.
    fn walk(
        &mut self,
        position: Position,
        frame: &LogFrame,
        source: Source,
        actions: &mut Actions,
    ) -> Result<bool, FailStop> {
        self.compare_chain(position)?;
        let term = self.term_at(position);
        let time = self.state.applier.walked.time.max(frame.body.time());
        let walked = &mut self.state.applier.walked;
        walked.position = frame.end;
        walked.chain = chain_after(walked.chain, term, position, frame.checksum);
        walked.time = time;
        self.compare_chain(frame.end)?;
        if let Body::SnapshotMark { .. } = frame.body {
            let Walked { position, chain, time } = self.state.applier.walked;
            self.meet_marker(SnapshotPoint { position, term, chain, time }, actions)?;
            return Ok(false);
        }
        let Some(delivery) = self.deliver(position, frame, source, actions) else {
            return Ok(false);
        };
        self.state.applier.awaited = Some(frame.end);
        actions.push_apply(Apply { position, end: frame.end, time, delivery });
        Ok(true)
    }

    /// Compares the chain value with what the leader stated for the same position (rule 15, E36).
    #[inline]
    fn compare_chain(&mut self, at: Position) -> Handled {
        match self.state.following.chain_check {
            Some((position, chain)) if at >= position => self.compare_chains(at, position, chain),
            _ => Ok(()),
        }
    }

    fn compare_chains(&mut self, at: Position, position: Position, chain: Chain) -> Handled {
        self.state.following.chain_check = None;
        if at == position {
            crate::mark::reached(crate::mark::CHAINS_COMPARED);
        }
        if at == position && self.state.applier.walked.chain != chain {
            return Err(FailStop::ChainMismatch { at });
        }
        Ok(())
    }

    /// What of a frame is the service's business.
    fn deliver(
        &mut self,
        position: Position,
        frame: &LogFrame,
        source: Source,
        actions: &mut Actions,
    ) -> Option<Delivery> {
        match frame.body {
            Body::Reply { .. } | Body::SnapshotMark { .. } | Body::Membership { .. } => None,
            Body::TermOpen(open) => {
                self.state.applier.level = open.level;
                None
            }
            Body::Readmission { life, .. } => {
                self.state.readmissions.note(life, position);
                None
            }
            Body::SessionOpen { client, .. } => {
                let session = SessionId(position.0);
                let opened = self.state.sessions.open(session, client);
                self.note_session_opened(client, actions);
                let session = opened?;
                actions.push(Action::Notify(Notice::SessionOpened { session }));
                Some(Delivery::SessionOpened { session, client })
            }
            Body::SessionClose { session, reason, .. } => {
                let client = self.state.sessions.close(session)?;
                self.note_session_closed(session, client, actions);
                actions.push(Action::Notify(Notice::SessionClosed { session }));
                Some(Delivery::SessionClosed { session, reason })
            }
            Body::Message { session, sequence, .. }
            | Body::SafeMessage { session, sequence, .. } => {
                if !self.state.sessions.accept(session, sequence, position) {
                    self.counters.duplicates_suppressed += 1;
                    return None;
                }
                if let Body::SafeMessage { .. } = frame.body {
                    self.note_asked_for_safe(session, sequence);
                }
                self.counters.messages_applied += 1;
                self.state.applier.touch(session);
                Some(Delivery::Message { session, sequence, payload: frame.payload, source })
            }
            Body::Timer { timer, deadline, .. } => {
                let fires = self.state.sessions.timers.fire(timer, deadline);
                fires.then_some(Delivery::Timer { timer })
            }
        }
    }

    pub(super) fn handle_applied(
        &mut self,
        through: Position,
        outputs: &Outputs,
        actions: &mut Actions,
    ) -> Handled {
        self.forget_clients();
        if self.state.applier.awaited != Some(through) {
            self.counters.completions_ignored += 1;
            return Ok(());
        }
        if !outputs.is_empty() {
            self.keep_outputs(outputs)?;
        }
        let applier = &mut self.state.applier;
        applier.awaited = None;
        applier.conclude();
        self.answer_clients();
        self.settle_applied(actions)
    }

    #[inline(never)]
    fn keep_outputs(&mut self, outputs: &Outputs) -> Handled {
        self.keep_replies(outputs)?;
        self.keep_timers(outputs)
    }

    /// Each applied message has one reply: the service's, or an empty one, which is there already.
    fn keep_replies(&mut self, outputs: &Outputs) -> Handled {
        if mutant::is(mutant::REPLIES_NOT_KEPT) && self.state.leading.is_none() {
            return Ok(());
        }
        let mut from = self.state.applier.applied;
        for reply in &outputs.replies {
            let bytes = &outputs.bytes[reply.start..reply.end];
            if bytes.len() > self.config.limits.reply_bytes_max as usize {
                return Err(FailStop::ReplyTooLong);
            }
            // A reply to nothing that was handed over, or out of order, is the host's mistake.
            let kept = self.state.sessions.keep_reply(reply.session, reply.sequence, from, bytes);
            from = kept.ok_or(FailStop::ServiceFailed)?;
        }
        Ok(())
    }

    fn keep_timers(&mut self, outputs: &Outputs) -> Handled {
        for request in &outputs.timers {
            match *request {
                TimerRequest::Schedule { timer, deadline } => {
                    if !self.state.sessions.timers.schedule(timer, deadline) {
                        return Err(FailStop::TooManyTimers);
                    }
                }
                TimerRequest::Cancel { timer } => self.state.sessions.timers.cancel(timer),
            }
        }
        Ok(())
    }
}

/// Whether a frame waits until the service has reported all before it: a timer may have been
/// scheduled or cancelled there, a snapshot holds its replies, and batches differ from member to
/// member.
fn is_barrier(body: &Body) -> bool {
    match body {
        Body::Timer { .. } => true,
        Body::SnapshotMark { .. } => !mutant::is(mutant::SNAPSHOT_DOES_NOT_WAIT),
        _ => false,
    }
}
