//! The service's side of reads in a cluster: it answers with how many messages it has applied.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::cluster::{Cluster, id};
use crate::event::Event;
use crate::message::{Incoming, Message, Sender};
use crate::read::{Query, ReadLevel, ReadOutcome};

/// What a member's service was asked, and what its host was answered.
#[derive(Debug, Default)]
pub(super) struct Reading {
    answers: VecDeque<(u64, Vec<u8>)>,
    /// The service takes its time.
    pub(super) is_held: bool,
    pub(super) done: Vec<(u64, ReadOutcome)>,
}

impl Reading {
    pub(super) fn serve(&mut self, query: Query, applied: usize) {
        let answer = [&applied.to_le_bytes()[..], &query.payload].concat();
        self.answers.push_back((query.number, answer));
    }
}

impl Cluster {
    pub(super) fn next_answer(&mut self, member: u16) -> Option<(u64, Vec<u8>)> {
        let reading = &mut self.nodes.get_mut(&id(member))?.reading;
        if reading.is_held { None } else { reading.answers.pop_front() }
    }

    /// The host of a member reads.
    pub(super) fn read(&mut self, member: u16, token: u64, level: ReadLevel) {
        self.step(member, Event::Read { token, level, payload: b"?" });
        self.step(member, Event::Flush);
    }

    /// What the host of a member was answered to this read, if it was: how many messages the
    /// service had applied, or why not.
    pub(super) fn answer(&self, member: u16, token: u64) -> Option<Answer> {
        let done = &self.nodes[&id(member)].reading.done;
        let (_, outcome) = done.iter().find(|(of, _)| *of == token)?;
        Some(outcome.clone().map(|answer| {
            assert_eq!(answer.payload[8..], *b"?", "it is asked what the host asked");
            let count = usize::from_le_bytes(answer.payload[..8].try_into().unwrap());
            (count, answer)
        }))
    }

    /// A member receives a message of another, out of nowhere.
    pub(super) fn say(&mut self, from: u16, to: u16, message: Message) {
        let life = self.member(from).view().life;
        let sender = Sender::Member {
            member: life.member,
            incarnation: life.incarnation,
            boot_epoch: life.boot_epoch,
        };
        let source = super::cluster::endpoint(from);
        self.step(to, Event::Received { sender, source, content: Incoming::Control(message) });
    }
}

pub(super) type Answer = Result<(usize, crate::read::ReadAnswer), crate::read::ReadRefusal>;
