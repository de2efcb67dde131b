//! Datagrams, each kept once and spoken of by a number; and what is on its way between two members.

use core::hash::{Hash, Hasher};
use std::collections::BTreeMap;

use quorate_core::hash::StateHasher;
use quorate_core::message::Live;
use quorate_core::{ClientKey, Incoming, Message, Position, Sender, SessionId, Stream};

/// A datagram, without the way that it takes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Letter {
    pub(super) sender: Sender,
    pub(super) body: Body,
}

/// What it carries.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Body {
    Control(Message),
    Data { stream: Stream, epoch: u64, position: Position, live: Option<Live>, bytes: Vec<u8> },
}

impl Body {
    pub(super) fn incoming(&self) -> Incoming<'_> {
        match self {
            Self::Control(message) => Incoming::Control(message.clone()),
            Self::Data { stream, epoch, position, live, bytes } => Incoming::Data {
                stream: *stream,
                epoch: *epoch,
                position: *position,
                live: *live,
                slice: bytes,
            },
        }
    }
}

impl Letter {
    /// Client `number`, from 1 on, opens a session: what makes an entry of the log.
    pub(super) fn entry(number: u8) -> Self {
        let connect = Message::Connect {
            connection: 1,
            session: SessionId::NONE,
            ingress_start: Position::ZERO,
            unanswered: 1,
        };
        let sender = Sender::Client { key: ClientKey(u64::from(number)) };
        Self { sender, body: Body::Control(connect) }
    }

    /// The name of what it says.
    pub(super) fn kind(&self) -> &'static str {
        match &self.body {
            Body::Data { live: Some(_), .. } => "live data",
            Body::Data { .. } => "repair",
            Body::Control(message) => match message {
                Message::Canvass { .. } => "canvass",
                Message::CanvassReply { granted: true, .. } => "canvass granted",
                Message::CanvassReply { .. } => "canvass refused",
                Message::RequestVote { .. } => "request for a vote",
                Message::Ballot { granted: true, .. } => "vote granted",
                Message::Ballot { .. } => "vote refused",
                Message::Heartbeat { .. } => "heartbeat",
                Message::Abdicate { .. } => "abdication",
                Message::HistoryRequest { .. } => "request for a history",
                Message::History { .. } => "history",
                Message::Acknowledge { .. } => "acknowledgement",
                Message::Nak { .. } => "request for bytes",
                Message::Unavailable { .. } => "bytes unavailable",
                Message::Connect { .. } => "entry of a client",
                _ => "other",
            },
        }
    }
}

/// What is on its way from one member to another: in the order in which it was sent, and apart from
/// that what was lost, overtaken or delivered already, and may arrive late.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Link {
    pub(super) queue: Vec<u32>,
    pub(super) late: Vec<u32>,
}

impl Link {
    /// Sends one more. One that says the same as the one before is nothing new.
    pub(super) fn send(&mut self, letter: u32) {
        if self.queue.last() != Some(&letter) {
            self.queue.push(letter);
        }
    }

    /// Loses all; they may come late, if anything may.
    pub(super) fn lose_all(&mut self, may_be_late: bool) {
        if let Some(last) = self.queue.len().checked_sub(1) {
            self.take(last, may_be_late);
        }
    }

    /// Takes out the datagram at `index`; those before it are lost, and may come late, as this one
    /// may once more, if anything may.
    pub(super) fn take(&mut self, index: usize, may_be_late: bool) -> u32 {
        let letter = self.queue[index];
        let gone = self.queue.drain(..=index);
        if may_be_late {
            self.late.extend(gone);
            self.late.sort_unstable();
            self.late.dedup();
        }
        letter
    }
}

/// Everything that was seen of one sort, each once.
#[derive(Debug)]
pub(super) struct Pool<T> {
    /// By their hashes.
    known: BTreeMap<u64, Vec<u32>>,
    all: Vec<T>,
}

impl<T: Clone + Eq + Hash> Pool<T> {
    pub(super) fn new() -> Self {
        Self { known: BTreeMap::new(), all: Vec::new() }
    }

    /// The number of `it`.
    pub(super) fn number(&mut self, it: &T) -> u32 {
        let mut hasher = StateHasher::default();
        it.hash(&mut hasher);
        let alike = self.known.entry(hasher.finish()).or_default();
        if let Some(&number) = alike.iter().find(|number| self.all[**number as usize] == *it) {
            return number;
        }
        let number = self.all.len() as u32;
        alike.push(number);
        self.all.push(it.clone());
        number
    }

    pub(super) fn get(&self, number: u32) -> &T {
        &self.all[number as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_overtaken_is_lost_and_may_come_late() {
        let mut link = Link::default();
        [7, 8, 8, 9].into_iter().for_each(|letter| link.send(letter));
        assert_eq!(link.queue, [7, 8, 9], "the same again is nothing new");
        let mut strict = link.clone();
        assert_eq!(strict.take(1, false), 8);
        assert_eq!(strict, Link { queue: vec![9], late: vec![] });
        assert_eq!(link.take(1, true), 8);
        assert_eq!(link, Link { queue: vec![9], late: vec![7, 8] });
    }

    #[test]
    fn equal_ones_have_one_number() {
        let mut pool = Pool::new();
        assert_eq!([5, 6, 5].map(|it: i32| pool.number(&it)), [0, 1, 0]);
        assert_eq!((pool.len(), *pool.get(1)), (2, 6));
    }
}
