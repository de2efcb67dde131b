//! A client and its application: a closed loop.

use quorate_core::client::{ClientAction, ClientActions, ClientEvent};
use quorate_core::{Client, Endpoint, Instant, Sender};

use super::member_seat::Tally;
use super::post::Place;
use crate::measure::{Latencies, Submissions};

/// A client and its application.
#[derive(Debug)]
pub(super) struct ClientSeat {
    pub(super) client: Client,
    endpoint: Endpoint,
    actions: ClientActions,
    /// What it sends, or complains of, until the members have their turn.
    outbox: Vec<ClientAction>,
    submissions: Submissions,
    /// Replies of the current turn.
    replies: u64,
    pub(super) answered: Tally,
    pub(super) steps: u64,
}

impl ClientSeat {
    /// An application of `client`, the one at `index`.
    pub(super) fn new(client: Client, index: u32) -> Self {
        Self {
            client,
            endpoint: Place::Client(index).endpoint(),
            actions: ClientActions::new(),
            outbox: Vec::new(),
            submissions: Submissions::default(),
            replies: 0,
            answered: Tally::default(),
            steps: 0,
        }
    }

    /// What the datagrams of this client say of their sender, and where they come from.
    #[inline]
    pub(super) fn envelope(&self) -> (Sender, Endpoint) {
        (Sender::Client { key: self.client.config().key }, self.endpoint)
    }

    /// Submits `count` messages.
    pub(super) fn submit(&mut self, now: Instant, count: u64, payload: &[u8]) {
        for _ in 0..count {
            self.client.step(now, ClientEvent::Submit { payload }, &mut self.actions);
            self.steps += 1;
            // That it was accepted is all that follows, nearly always.
            self.actions.take_accepted();
            if !self.actions.is_empty() {
                self.perform();
            }
        }
        self.submissions.note(now.0, count);
    }

    /// Takes the number of replies since the last time, and notes how long they took.
    #[inline]
    pub(super) fn take_replies(&mut self, now: Instant, latencies: &mut Latencies) -> u64 {
        let replies = core::mem::take(&mut self.replies);
        self.submissions.settle(now.0, replies, latencies);
        replies
    }

    /// One event. Numbers are counted by the application; that a message was accepted is all it
    /// hears.
    #[inline(always)]
    pub(super) fn step(&mut self, now: Instant, event: ClientEvent<'_>) {
        self.client.step(now, event, &mut self.actions);
        self.steps += 1;
        if !self.actions.is_empty() {
            self.perform();
        }
    }

    #[inline(never)]
    fn perform(&mut self) {
        let session = self.client.session().0;
        let Self { actions, outbox, answered, replies, .. } = self;
        actions.take_sorts(outbox, |reply| {
            answered.add(session, reply.sequence);
            *replies += 1;
        });
    }

    /// Whether something waits for the turn of the members.
    #[inline]
    pub(super) const fn has_sent(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Takes what it sends, oldest first, to be given back.
    #[inline]
    pub(super) fn take_outbox(&mut self) -> Vec<ClientAction> {
        core::mem::take(&mut self.outbox)
    }

    /// Takes an emptied outbox back: it had no turn meanwhile.
    #[inline]
    pub(super) fn give_back_outbox(&mut self, emptied: Vec<ClientAction>) {
        self.outbox = emptied;
    }
}
