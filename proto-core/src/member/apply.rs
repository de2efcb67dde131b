//! Committed frames on their way to the service, in order and once.

use alloc::vec::Vec;

use super::log::{LogFrame, read_frame};
use super::repair::Purpose;
use super::{Handled, Member};
use crate::action::{Action, Actions, Apply, Delivery, Source};
use crate::event::{Outputs, TimerRequest};
use crate::frame::{Body, FrameSeed, chain_after};
use crate::identity::SessionId;
use crate::mutant;
use crate::notice::{FailStop, Notice};
use crate::position::{Position, PositionRange};
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
    /// The same three at the end of what the service was handed.
    walked: Walked,
    /// The messages that the service has not reported yet.
    handed: Vec<Handed>,
    /// The end of what it is to report, while it is at it.
    awaited: Option<Position>,
    is_reading: bool,
    failed_reads: u32,
    /// What the last batch from the archive took, twice: what the next read asks for.
    read_bytes: u64,
    batch_max: usize,
}

#[derive(Clone, Copy, Debug, Default, Hash)]
struct Walked {
    position: Position,
    chain: Chain,
    time: LogTime,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Handed {
    session: SessionId,
    sequence: u64,
    position: Position,
}

impl Applier {
    pub(super) fn new(batch_max: usize) -> Self {
        Self {
            applied: Position::ZERO,
            chain: Chain::default(),
            time: LogTime::default(),
            walked: Walked::default(),
            handed: Vec::with_capacity(batch_max),
            awaited: None,
            is_reading: false,
            failed_reads: 0,
            read_bytes: u64::MAX,
            batch_max,
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
    pub(super) fn pump_apply(&mut self, actions: &mut Actions) -> Handled {
        if self.state.applier.is_applying() || self.state.applier.is_reading {
            return Ok(());
        }
        let mut batch = 0;
        while batch < self.state.applier.batch_max {
            let position = self.state.applier.walked.position;
            if position >= self.apply_end() {
                break;
            }
            let Some(frame) = self.state.log.frame(position) else {
                if batch == 0 && position < self.state.log.low {
                    return self.read_for_apply(actions);
                }
                break;
            };
            if batch > 0 && is_barrier(&frame.body) {
                break;
            }
            match self.walk(position, &frame, Source::Member, actions)? {
                true => batch += 1,
                false if batch == 0 => self.state.applier.conclude(),
                false => break,
            }
        }
        Ok(())
    }

    fn apply_end(&self) -> Position {
        if mutant::is(mutant::REPLY_BEFORE_COMMIT) && self.state.leading.is_some() {
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
        let mut batch = 0;
        while batch < self.state.applier.batch_max {
            let position = self.state.applier.walked.position;
            let offset = position.since(start) as usize;
            if position >= self.state.commit || offset >= bytes.len() {
                break;
            }
            let term = self.term_at(position);
            let seed = FrameSeed { tag: self.state.tag, term, position };
            let frame_bytes_max = self.config.limits.frame_bytes_max();
            let Ok(frame) = read_frame(seed, &bytes[offset..], frame_bytes_max) else { break };
            if batch > 0 && is_barrier(&frame.body) {
                break;
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
        let Some(delivery) = self.deliver(position, frame, source, actions) else {
            return Ok(false);
        };
        self.state.applier.awaited = Some(frame.end);
        actions.push(Action::Apply(Apply { position, end: frame.end, time, delivery }));
        Ok(true)
    }

    /// Compares the chain value with what the leader stated for the same position (rule 15, E36).
    fn compare_chain(&mut self, at: Position) -> Handled {
        let Some((position, chain)) = self.state.following.chain_check else { return Ok(()) };
        if at < position {
            return Ok(());
        }
        self.state.following.chain_check = None;
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
            Body::TermOpen(_) | Body::Reply { .. } => None,
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
            Body::Message { session, sequence, .. } => {
                if !self.state.sessions.accept(session, sequence) {
                    self.counters.duplicates_suppressed += 1;
                    return None;
                }
                self.counters.messages_applied += 1;
                self.state.applier.handed.push(Handed { session, sequence, position });
                Some(Delivery::Message { session, sequence, payload: frame.payload, source })
            }
            Body::Timer { timer, deadline, .. } => {
                if let Some(leading) = &mut self.state.leading {
                    leading.firing.retain(|&firing| firing != timer);
                }
                let fires = self.state.sessions.fire_timer(timer, deadline);
                fires.then_some(Delivery::Timer { timer })
            }
        }
    }

    pub(super) fn handle_applied(&mut self, through: Position, outputs: &Outputs) -> Handled {
        if self.state.applier.awaited != Some(through) {
            self.counters.completions_ignored += 1;
            return Ok(());
        }
        self.keep_replies(outputs)?;
        self.keep_timers(outputs)?;
        let applier = &mut self.state.applier;
        applier.awaited = None;
        applier.handed.clear();
        applier.conclude();
        self.answer_clients();
        Ok(())
    }

    /// Each applied message has one reply: the service's, or an empty one.
    fn keep_replies(&mut self, outputs: &Outputs) -> Handled {
        if mutant::is(mutant::REPLIES_NOT_KEPT) && self.state.leading.is_none() {
            return Ok(());
        }
        let mut replies = outputs.replies.iter().peekable();
        for handed in &self.state.applier.handed {
            let key = (handed.session, handed.sequence);
            let reply = replies.next_if(|reply| (reply.session, reply.sequence) == key);
            let bytes = reply.map_or(&[][..], |reply| &outputs.bytes[reply.start..reply.end]);
            if bytes.len() > self.config.limits.reply_bytes_max as usize {
                return Err(FailStop::ReplyTooLong);
            }
            let (session, sequence, position) = (handed.session, handed.sequence, handed.position);
            self.state.sessions.keep_reply(session, sequence, position, bytes);
        }
        // A reply to nothing that was handed over, or out of order, is the host's mistake.
        if replies.next().is_some() { Err(FailStop::ServiceFailed) } else { Ok(()) }
    }

    fn keep_timers(&mut self, outputs: &Outputs) -> Handled {
        for request in &outputs.timers {
            match *request {
                TimerRequest::Schedule { timer, deadline } => {
                    if !self.state.sessions.schedule_timer(timer, deadline) {
                        return Err(FailStop::TooManyTimers);
                    }
                }
                TimerRequest::Cancel { timer } => self.state.sessions.cancel_timer(timer),
            }
        }
        Ok(())
    }
}

/// Whether a frame waits until the service has reported all before it: a timer may have been
/// scheduled or cancelled there, and batches differ from member to member.
const fn is_barrier(body: &Body) -> bool {
    matches!(body, Body::Timer { .. })
}
