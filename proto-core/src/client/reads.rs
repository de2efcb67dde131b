//! Reads of a client: any member is asked, with neither a session nor a message in the log.
//!
//! A read that is not answered, or refused by one member, is asked of the next, under the same
//! number, until one answers or its time is over: it changes nothing, so it may be asked as often
//! as one likes. The leader that serves the client is asked first for what needs it; other reads
//! begin at one member after the other.

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use super::contract::{ClientAction, ClientActions, ClientConfig, ReadError, Reject};
use super::{Client, Close, Phase};
use crate::frame::ALIGNMENT;
use crate::hash::StateHasher;
use crate::identity::{Endpoint, MemberId};
use crate::message::Message;
use crate::position::Position;
use crate::read::{READ_BYTES_MAX, ReadLevel, ReadOutcome, ReadRefusal};
use crate::time::Instant;

/// Reads that are not answered yet, at most.
pub(super) const READS_MAX: usize = 64;

/// A client's reads.
#[derive(Clone, Debug, Hash)]
pub(super) struct Reads {
    /// Oldest first.
    waiting: Vec<Read>,
    /// The number of the newest: of no other life, since what was sent to one may come late.
    number: u64,
    /// Whom the next is asked of that needs no leader.
    turn: usize,
    /// What the client has seen: no session read of it shows less.
    seen: Position,
}

#[derive(Clone, Debug, Hash)]
struct Read {
    number: u64,
    level: ReadLevel,
    payload: Vec<u8>,
    /// Whom it was asked of, as a place among the members.
    asked: usize,
    /// How many were asked.
    tries: usize,
    ask_at: Instant,
    until: Instant,
    refusal: Option<ReadRefusal>,
}

impl Reads {
    pub(super) fn new(config: &ClientConfig) -> Self {
        let mut hasher = StateHasher::default();
        (config.key, config.seed).hash(&mut hasher);
        let number = hasher.finish() >> 1;
        let turn = (number % config.members.len().max(1) as u64) as usize;
        Self { waiting: Vec::new(), number, turn, seen: Position::ZERO }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A reply to the message at `position` was delivered.
    #[inline]
    pub(super) fn see_reply(&mut self, position: Position) {
        let end = position.0.saturating_add(ALIGNMENT).min(Position::MAX.0);
        self.seen = self.seen.max(Position(end));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|read| read.ask_at.min(read.until)).min()
    }
}

impl Client {
    #[inline(never)]
    pub(super) fn step_read(
        &mut self,
        now: Instant,
        level: ReadLevel,
        payload: &[u8],
        actions: &mut ClientActions,
    ) {
        if self.begin(now, true, actions) {
            match self.read_refusal(payload) {
                Some(reason) => actions.push(ClientAction::Rejected { reason }),
                None => self.begin_read(level, payload, actions),
            }
            self.end_step(actions);
        }
    }

    fn read_refusal(&self, payload: &[u8]) -> Option<Reject> {
        let (bytes, limit) = (payload.len() as u64, READ_BYTES_MAX as u64);
        match self.close {
            Close::Wanted | Close::Saying { .. } => Some(Reject::Closed),
            Close::No if bytes > limit => Some(Reject::TooLarge { bytes, limit }),
            Close::No if self.reads.waiting.len() >= READS_MAX => Some(Reject::BackPressure),
            Close::No => None,
        }
    }

    fn begin_read(&mut self, level: ReadLevel, payload: &[u8], actions: &mut ClientActions) {
        let until = self.now + self.config.timing.give_up_after;
        let leader = match &self.phase {
            Phase::Served(link) if level.needs_leader() => self.place_of(link.leader),
            _ => None,
        };
        let reads = &mut self.reads;
        let level = match level {
            ReadLevel::Session { least } => ReadLevel::Session { least: least.max(reads.seen) },
            other => other,
        };
        reads.number += 1;
        reads.turn += usize::from(leader.is_none());
        let (number, asked) = (reads.number, leader.unwrap_or(reads.turn));
        let payload = payload.to_vec();
        let (tries, ask_at, refusal) = (0, self.now, None);
        let read = Read { number, level, payload, asked, tries, ask_at, until, refusal };
        reads.waiting.push(read);
        actions.push(ClientAction::Reading { number });
        self.serve_reads(actions);
    }

    fn place_of(&self, member: MemberId) -> Option<usize> {
        self.config.members.keys().position(|known| *known == member)
    }

    fn member_at(&self, place: usize) -> Option<Endpoint> {
        let members = &self.config.members;
        members.values().nth(place % members.len().max(1)).copied()
    }

    /// Asks where it is time, and ends what was asked in vain.
    #[cold]
    #[inline(never)]
    pub(super) fn serve_reads(&mut self, actions: &mut ClientActions) {
        let (now, retry) = (self.now, self.config.timing.connect_retry);
        let mut waiting = core::mem::take(&mut self.reads.waiting);
        waiting.retain_mut(|read| {
            if read.until <= now {
                let (number, last) = (read.number, read.refusal);
                let outcome = Err(ReadError::TimedOut { last });
                actions.push(ClientAction::Read { number, outcome });
                return false;
            }
            if read.ask_at <= now {
                if read.tries > 0 {
                    read.asked += 1;
                }
                read.tries += 1;
                read.ask_at = now + retry;
                if let Some(to) = self.member_at(read.asked) {
                    let Read { number, level, ref payload, .. } = *read;
                    let payload = payload.clone();
                    let message = Message::ReadRequest { number, level, payload };
                    actions.push(ClientAction::Send { to, message });
                }
            }
            true
        });
        self.reads.waiting = waiting;
    }

    /// A member has answered a read, or refused it; whether it is one that waits.
    #[cold]
    #[inline(never)]
    pub(super) fn handle_read_reply(
        &mut self,
        number: u64,
        outcome: &ReadOutcome,
        actions: &mut ClientActions,
    ) -> bool {
        let Some(at) = self.reads.waiting.iter().position(|read| read.number == number) else {
            return false;
        };
        let read = &mut self.reads.waiting[at];
        let outcome = match outcome {
            Ok(answer) => {
                if let ReadLevel::Session { least } = read.level
                    && answer.applied < least
                {
                    // It does not speak this protocol.
                    return false;
                }
                Ok(answer.clone())
            }
            Err(refusal) if refusal.is_final() => Err(ReadError::Refused(*refusal)),
            Err(refusal) => {
                read.refusal = Some(*refusal);
                // The others are asked at once, and all of them again after a while.
                if !read.tries.is_multiple_of(self.config.members.len().max(1)) {
                    read.ask_at = self.now;
                }
                self.serve_reads(actions);
                return true;
            }
        };
        self.reads.waiting.remove(at);
        if let Ok(answer) = &outcome {
            self.reads.seen = self.reads.seen.max(answer.applied);
        }
        actions.push(ClientAction::Read { number, outcome });
        true
    }

    /// The client ends: nobody is asked any more.
    pub(super) fn end_reads(&mut self, actions: &mut ClientActions) {
        for read in core::mem::take(&mut self.reads.waiting) {
            let outcome = Err(ReadError::TimedOut { last: read.refusal });
            actions.push(ClientAction::Read { number: read.number, outcome });
        }
    }
}
