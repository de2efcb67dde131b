//! A client and its application: a closed loop.

use quorate_core::client::{ClientAction, ClientActions, ClientEvent};
use quorate_core::{Client, Instant, Sender};

use super::member_seat::Tally;
use super::post::{Content, Place, Post, Posted};
use crate::measure::{Latencies, Submissions};

/// A client and its application.
#[derive(Debug)]
pub(super) struct ClientSeat {
    pub(super) client: Client,
    place: Place,
    actions: ClientActions,
    submissions: Submissions,
    /// Replies of the current turn.
    replies: u64,
    pub(super) answered: Tally,
    pub(super) steps: u64,
}

impl ClientSeat {
    /// An application of `client`, at `place`.
    pub(super) fn new(client: Client, place: Place) -> Self {
        Self {
            client,
            place,
            actions: ClientActions::new(),
            submissions: Submissions::default(),
            replies: 0,
            answered: Tally::default(),
            steps: 0,
        }
    }

    /// What the datagrams of this client say of their sender.
    pub(super) fn sender(&self) -> Sender {
        Sender::Client { key: self.client.config().key }
    }

    /// Submits `count` messages, and has them sent.
    pub(super) fn submit(&mut self, now: Instant, count: u64, payload: &[u8], post: &mut Post) {
        for _ in 0..count {
            self.step(now, ClientEvent::Submit { payload }, post);
        }
        self.submissions.note(now.0, count);
    }

    /// Takes the number of replies since the last time, and notes how long they took.
    pub(super) fn take_replies(&mut self, now: Instant, latencies: &mut Latencies) -> u64 {
        let replies = core::mem::take(&mut self.replies);
        self.submissions.settle(now.0, replies, latencies);
        replies
    }

    /// One event.
    pub(super) fn step(&mut self, now: Instant, event: ClientEvent<'_>, post: &mut Post) {
        self.client.step(now, event, &mut self.actions);
        self.steps += 1;
        // Numbers are counted by the application; that a message was accepted is all it hears.
        self.actions.take_accepted();
        if self.actions.is_empty() {
            return;
        }
        let from = self.place;
        let session = self.client.session().0;
        for action in self.actions.drain() {
            match action {
                ClientAction::Send { to, message } => {
                    let content = Content::Control(message);
                    post.send(Place::at(to), Posted { from, content });
                }
                ClientAction::SendData { to, stream, epoch, range } => {
                    let content = Content::Run { stream, epoch, range, live: None };
                    post.send(Place::at(to), Posted { from, content });
                }
                ClientAction::Reply { sequence, .. } => {
                    self.answered.add(session, sequence);
                    self.replies += 1;
                }
                ClientAction::Accepted { .. } | ClientAction::Connected { .. } => {}
                ClientAction::Rejected { reason } => panic!("{from:?} was refused: {reason}"),
                ClientAction::Disconnected => panic!("{from:?} lost its leader"),
                ClientAction::Ended(result) => panic!("{from:?} ended: {result:?}"),
            }
        }
    }
}
