//! The replicated service of the sweeps: a ledger that answers each message with its number, the
//! running hash of all before it, and what its register held. A service of your own takes its place
//! through [`Service`].

use core::hash::Hasher;
use std::collections::BTreeMap;

use quorate_core::frame::SessionCloseReason;
use quorate_core::hash::{StateHasher, mix};
use quorate_core::mutant;
use quorate_core::{ClientKey, LogTime, Outputs, Position, SessionId};

/// A deterministic service that the world's members replicate.
pub trait Service {
    /// Takes in one committed delivery.
    fn apply(&mut self, at: Moment, delivered: Delivered<'_>, answer: &mut Answer<'_>);

    /// A hash of the whole state: equal on all members that applied the same log.
    fn digest(&self) -> u64;

    /// The whole state, the same bytes for the same state on every member; `None` for a service
    /// that gives none.
    fn snapshot(&self) -> Option<Vec<u8>> {
        None
    }

    /// Takes over the state of a snapshot; `false` if the bytes are none.
    fn restore(&mut self, bytes: &[u8]) -> bool {
        let _ = bytes;
        false
    }

    /// Answers a read; `None` for a service that answers none.
    fn query(&self, request: &[u8]) -> Option<Vec<u8>> {
        let _ = request;
        None
    }

    /// The hash of the payload of the message that it took in last, if it has made one: the world
    /// then makes none of its own.
    fn payload_hash(&self) -> Option<u64> {
        None
    }

    /// What the service found wrong with what it was handed, if anything.
    fn complaint(&self) -> Option<&str> {
        None
    }
}

/// Where and when something was committed.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The position of its frame.
    pub position: Position,
    /// Its cluster time.
    pub time: LogTime,
}

/// What a service is handed.
#[derive(Clone, Copy, Debug)]
pub enum Delivered<'a> {
    /// A session was opened.
    SessionOpened {
        /// The session.
        session: SessionId,
        /// Whose it is.
        client: ClientKey,
    },
    /// A session was closed.
    SessionClosed {
        /// The session.
        session: SessionId,
        /// Why.
        reason: SessionCloseReason,
    },
    /// A message of a session.
    Message {
        /// The session.
        session: SessionId,
        /// The client's number for it.
        sequence: u64,
        /// Its bytes, in two parts.
        payload: (&'a [u8], &'a [u8]),
    },
    /// A timer is due.
    Timer {
        /// The service's number for it.
        timer: u64,
    },
}

/// What a service says to a delivery.
#[derive(Debug)]
pub struct Answer<'a> {
    outputs: &'a mut Outputs,
    message: Option<(SessionId, u64)>,
    reply: Vec<u8>,
}

impl<'a> Answer<'a> {
    /// An answer that goes to `outputs`; `message` is what a reply would answer.
    #[must_use]
    pub const fn new(outputs: &'a mut Outputs, message: Option<(SessionId, u64)>) -> Self {
        Self { outputs, message, reply: Vec::new() }
    }

    /// Replies to the message that is being applied. Without it the reply is empty.
    pub fn reply(&mut self, payload: &[u8]) {
        if let Some((session, sequence)) = self.message {
            self.outputs.reply(session, sequence, payload);
            self.reply = payload.to_vec();
        }
    }

    /// Asks for [`Delivered::Timer`] once cluster time has reached `deadline`.
    pub fn schedule_timer(&mut self, timer: u64, deadline: LogTime) {
        self.outputs.schedule_timer(timer, deadline);
    }

    /// Forgets a timer.
    pub fn cancel_timer(&mut self, timer: u64) {
        self.outputs.cancel_timer(timer);
    }

    /// What was replied.
    #[must_use]
    pub fn into_reply(self) -> Vec<u8> {
        self.reply
    }
}

/// Timers that the ledger uses.
const TIMERS: u64 = 8;

/// Registers of the ledger: each message swaps a value of its own into one of them.
pub(crate) const REGISTERS: u64 = 16;

/// The value that message `sequence` of `client` puts into the register that it chooses, which is
/// never zero.
pub(crate) const fn swapped_in(client: ClientKey, sequence: u64, payload: u64) -> u64 {
    mix(mix(client.0, sequence), payload) | 1 << 63
}

/// What a reply of the ledger says, but for the running hash: the number of the frame, and the
/// value that was in the register. Nothing if it is empty.
pub(crate) fn read_reply(reply: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| Some(u64::from_le_bytes(*reply.get(at..)?.first_chunk()?));
    Some((word(0)?, word(16)?))
}

/// What the ledger answers to a read: a hash of its state, and the value in the register.
pub(crate) fn read_query(answer: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| Some(u64::from_le_bytes(*answer.get(at..)?.first_chunk()?));
    Some((word(0)?, word(8)?))
}

/// The service of the sweeps.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    applied: u64,
    running: u64,
    sessions: BTreeMap<SessionId, (ClientKey, u64)>,
    registers: [u64; REGISTERS as usize],
    reply_bytes_max: usize,
    /// Whether it answers with what was just put in, as a deliberate mistake.
    is_mistaken: bool,
    /// The hash of the last message's payload.
    payload: u64,
    complaint: Option<String>,
}

impl Ledger {
    /// An empty ledger whose replies are at most `reply_bytes_max` bytes.
    #[must_use]
    pub fn new(reply_bytes_max: usize) -> Self {
        Self { reply_bytes_max, ..Self::default() }
    }

    /// The same with a mistake: it answers with what was just put in.
    #[must_use]
    pub(crate) fn mistaken(self) -> Self {
        Self { is_mistaken: true, ..self }
    }

    fn record(&mut self, at: Moment, words: [u64; 3], payload: (&[u8], &[u8])) {
        let mut hasher = StateHasher::default();
        for word in [self.running, at.position.0, at.time.0, words[0], words[1], words[2]] {
            hasher.write_u64(word);
        }
        hash_joined(&mut hasher, payload);
        self.running = hasher.finish();
        self.applied += 1;
    }

    fn message(
        &mut self,
        (session, sequence): (SessionId, u64),
        at: Moment,
        payload: u64,
        answer: &mut Answer<'_>,
    ) {
        let (client, last) = self.sessions.entry(session).or_default();
        if sequence != *last + 1 {
            let expected = *last + 1;
            let text = format!("message {sequence} of session {} after {expected}", session.0);
            self.complaint.get_or_insert(text);
        }
        *last = sequence;
        let value = swapped_in(*client, sequence, payload);
        let previous = self.swap(value);
        self.schedule(at, answer);
        if self.running % 32 == 2 {
            return; // an empty reply
        }
        // Every two exchange their numbers, as a deliberate mistake.
        let exchanged = u64::from(mutant::is(mutant::SERVICE_ANSWERS_OUT_OF_ORDER));
        let words = [self.applied ^ exchanged, self.running, previous];
        let mut reply = words.map(u64::to_le_bytes).concat();
        if self.running % 32 == 3 {
            reply.resize(self.reply_bytes_max, self.running as u8);
        }
        reply.truncate(self.reply_bytes_max);
        answer.reply(&reply);
    }

    /// Puts a value into its register, and returns the one before.
    fn swap(&mut self, value: u64) -> u64 {
        let at = (value % REGISTERS) as usize;
        let previous = core::mem::replace(&mut self.registers[at], value);
        if mutant::is(mutant::SERVICE_ANSWERS_FOR_ANOTHER) {
            return self.registers[(at + 1) % self.registers.len()];
        }
        if self.is_mistaken {
            return value;
        }
        if mutant::is(mutant::SERVICE_ANSWERS_ITSELF) { value } else { previous }
    }

    /// Now and then a timer is scheduled or cancelled.
    fn schedule(&self, at: Moment, answer: &mut Answer<'_>) {
        if self.running.is_multiple_of(16) {
            let (timer, delay) = (self.running / 16 % TIMERS, self.running / 1_024 % 200_000_000);
            let deadline = LogTime(at.time.0 + delay);
            answer.schedule_timer(timer, deadline);
        } else if self.running % 64 == 1 {
            let timer = self.running / 64 % TIMERS;
            answer.cancel_timer(timer);
        }
    }
}

impl Service for Ledger {
    fn apply(&mut self, at: Moment, delivered: Delivered<'_>, answer: &mut Answer<'_>) {
        match delivered {
            Delivered::SessionOpened { session, client } => {
                self.record(at, [1, session.0, client.0], (&[], &[]));
                self.sessions.insert(session, (client, 0));
            }
            Delivered::SessionClosed { session, .. } => {
                self.record(at, [2, session.0, 0], (&[], &[]));
                self.sessions.remove(&session);
            }
            Delivered::Message { session, sequence, payload } => {
                self.record(at, [3, session.0, sequence], payload);
                let mut hasher = StateHasher::default();
                hash_joined(&mut hasher, payload);
                self.payload = hasher.finish();
                self.message((session, sequence), at, self.payload, answer);
            }
            Delivered::Timer { timer } => {
                self.record(at, [4, timer, 0], (&[], &[]));
            }
        }
    }

    fn digest(&self) -> u64 {
        let mut hasher = StateHasher::default();
        hasher.write_u64(self.applied);
        hasher.write_u64(self.running);
        hasher.finish()
    }

    fn snapshot(&self) -> Option<Vec<u8>> {
        let mut words = vec![self.applied, self.running];
        words.extend(self.registers);
        for (session, (client, last)) in &self.sessions {
            words.extend([session.0, client.0, *last]);
        }
        Some(words.into_iter().flat_map(u64::to_le_bytes).collect())
    }

    fn restore(&mut self, bytes: &[u8]) -> bool {
        let (words, rest) = bytes.as_chunks();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let mut restored = Self::new(self.reply_bytes_max);
        restored.is_mistaken = self.is_mistaken;
        let numbers = [&mut restored.applied, &mut restored.running];
        for number in numbers.into_iter().chain(&mut restored.registers) {
            let Some(word) = words.next() else { return false };
            *number = word;
        }
        while let Some(session) = words.next() {
            let (Some(client), Some(last)) = (words.next(), words.next()) else { return false };
            restored.sessions.insert(SessionId(session), (ClientKey(client), last));
        }
        *self = restored;
        rest.is_empty()
    }

    fn query(&self, request: &[u8]) -> Option<Vec<u8>> {
        let register = self.registers.get(usize::from(*request.first()?))?;
        Some([self.digest(), *register].map(u64::to_le_bytes).concat())
    }

    fn payload_hash(&self) -> Option<u64> {
        Some(self.payload)
    }

    fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }
}

/// Hashes two slices as if they were one.
pub(crate) fn hash_joined(hasher: &mut StateHasher, (first, second): (&[u8], &[u8])) {
    if second.is_empty() {
        hasher.write(first);
    } else {
        hasher.write(&[first, second].concat());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(ledger: &mut Ledger, sequence: u64, payload: (&[u8], &[u8])) -> Vec<u8> {
        let mut outputs = Outputs::new();
        let mut answer = Answer::new(&mut outputs, Some((SessionId(8), sequence)));
        let at = Moment { position: Position(sequence * 64), time: LogTime(sequence) };
        let message = Delivered::Message { session: SessionId(8), sequence, payload };
        ledger.apply(at, message, &mut answer);
        answer.into_reply()
    }

    #[test]
    fn equal_logs_give_equal_digests_and_replies() {
        let (mut one, mut two) = (Ledger::new(64), Ledger::new(64));
        for sequence in 1..100 {
            let whole = apply(&mut one, sequence, (b"payload", &[]));
            assert_eq!(whole, apply(&mut two, sequence, (b"pay", b"load")));
        }
        assert_eq!(one.digest(), two.digest());
        assert_eq!(one.complaint(), None);
        let mut restored = Ledger::new(64);
        assert!(restored.restore(&one.snapshot().unwrap()));
        assert_eq!(restored.snapshot(), one.snapshot());
        let whole = apply(&mut one, 100, (b"payload", &[]));
        assert_eq!(apply(&mut restored, 100, (b"payload", &[])), whole);
        assert!(!restored.restore(&[0; 8]) && !restored.restore(&[0; 159]));
        apply(&mut two, 101, (b"", b""));
        assert_ne!(one.digest(), two.digest());
        assert!(two.complaint().is_some(), "a gap in the sequence");
    }
}
