//! Load on a stage: clients that submit as fast as they may, or at a pace of their own.

use quorate_core::{Limits, Timing};

use super::{ClientNumber, MILLI, SECOND, Stage};
use crate::case::{Failure, Verdict};

/// What became of messages that were offered at a pace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Offered {
    /// Messages that the clients took.
    pub accepted: u64,
    /// Messages that the clients refused for want of room, each time with that reason.
    pub refused: u64,
    /// Replies that had come when the offer was over.
    pub answered: u64,
}

impl Stage<'_> {
    /// The members' time-outs and intervals.
    #[must_use]
    pub const fn timing(&self) -> &Timing {
        &self.options.timing
    }

    /// The members' limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// So many clients, each connected.
    ///
    /// # Errors
    /// One is not connected within ten seconds.
    pub fn connected_clients(&mut self, count: usize) -> Result<Vec<ClientNumber>, Failure> {
        let clients: Vec<ClientNumber> = (0..count).map(|_| self.client()).collect();
        let all = clients.clone();
        self.until("all clients are connected", 10 * SECOND, move |stage| {
            all.iter().all(|client| stage.connections(*client) > 0)
        })?;
        Ok(clients)
    }

    /// Lets time pass until all members hold, have applied and are the same.
    ///
    /// # Errors
    /// They do not within ten seconds, or an observer saw a rule broken.
    pub fn even_out(&mut self) -> Verdict {
        let members: Vec<u16> = self.numbers().collect();
        self.until("all members hold the same", 10 * SECOND, move |stage| stage.is_level(&members))
    }

    /// Each client submits so many messages of `bytes` bytes as fast as it may, and is answered all
    /// of them.
    ///
    /// # Errors
    /// They are not all answered within `within` nanoseconds, or a client gives up.
    pub fn pour(
        &mut self,
        clients: &[ClientNumber],
        messages: u64,
        bytes: usize,
        within: u64,
    ) -> Verdict {
        let end = self.now() + within;
        let mut left: Vec<u64> = clients.iter().map(|_| messages).collect();
        while left.iter().any(|left| *left > 0) {
            for (client, left) in clients.iter().zip(&mut left) {
                while *left > 0 && self.submit(*client, &payload(bytes, *left)).is_ok() {
                    *left -= 1;
                }
            }
            let pause = self.round_trip().max(MILLI / 10);
            self.check_time(end, "clients get rid of their messages")?;
            self.run(pause)?;
        }
        let all = clients.to_vec();
        let rest = end.saturating_sub(self.now());
        self.until("all messages are answered", rest, move |stage| stage.is_answered(&all))
    }

    /// The clients in turn submit a message of `bytes` bytes every `pause` nanoseconds for
    /// `duration`, whatever becomes of the messages before.
    ///
    /// # Errors
    /// An observer saw a rule broken, or a client refuses for another reason than want of room.
    pub fn offer(
        &mut self,
        clients: &[ClientNumber],
        bytes: usize,
        pause: u64,
        duration: u64,
    ) -> Result<Offered, Failure> {
        let before = self.answered(clients);
        let (end, mut offered, mut number) = (self.now() + duration, Offered::default(), 0);
        while self.now() < end {
            let client = clients[number % clients.len()];
            number += 1;
            match self.submit(client, &payload(bytes, number as u64)) {
                Ok(_) => offered.accepted += 1,
                Err(quorate_core::client::Reject::BackPressure) => offered.refused += 1,
                Err(other) => {
                    return Err(Failure::broken(format!("a client refuses a message: {other}")));
                }
            }
            self.run(pause.min(end - self.now()))?;
        }
        offered.answered = self.answered(clients) - before;
        Ok(offered)
    }

    /// How many replies these clients were handed.
    #[must_use]
    pub fn answered(&self, clients: &[ClientNumber]) -> u64 {
        clients.iter().map(|client| self.replies(*client).len() as u64).sum()
    }

    /// Whether each message of these clients has one reply, in order.
    #[must_use]
    pub fn is_answered(&self, clients: &[ClientNumber]) -> bool {
        clients.iter().all(|client| {
            let (sent, replies) = (self.submitted(*client).len(), self.replies(*client));
            sent == replies.len() && replies.iter().map(|reply| reply.sequence).eq(1..=sent as u64)
        })
    }

    /// How long the replies of these clients took, in nanoseconds, shortest first; `since` leaves
    /// out messages that were submitted before.
    #[must_use]
    pub fn waits_of(&self, clients: &[ClientNumber], since: u64) -> Vec<u64> {
        let mut waits = Vec::new();
        for client in clients {
            let submitted = self.submitted(*client);
            for reply in self.replies(*client) {
                let at = submitted[reply.sequence as usize - 1].0;
                if at >= since {
                    waits.push(reply.at - at);
                }
            }
        }
        waits.sort_unstable();
        waits
    }

    fn check_time(&mut self, end: u64, what: &str) -> Verdict {
        let (now, state) = (self.now(), self.describe());
        self.check(now < end, || format!("not in time: {what}. {state}"))
    }
}

/// The value below which so many thousandths of the sorted `values` lie; zero if there are none.
#[must_use]
pub fn quantile(values: &[u64], thousandths: usize) -> u64 {
    let index = (values.len() * thousandths / 1_000).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or(0)
}

fn payload(bytes: usize, number: u64) -> Vec<u8> {
    (0..bytes).map(|byte| (byte as u64 ^ number) as u8).collect()
}
