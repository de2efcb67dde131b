//! A member and its host: disk that is durable at once, service that replies with nothing.

use quorate_core::{
    Action, Actions, Delivery, Destination, Event, Instant, Member, OperationId, Outputs, Position,
    Sender, Source, Stream,
};

use super::post::{Content, Place, Post, Posted};

/// What the parts of a tally are multiplied with: an odd number without a pattern.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a member applied, or a client was answered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally {
    /// How many messages.
    pub(super) count: u64,
    /// A sum over session and sequence of each, so that equal tallies mean equal messages.
    pub(super) sum: u64,
}

impl Tally {
    /// Adds a message: cheaply, since this is no part of what is measured.
    pub(super) const fn add(&mut self, session: u64, sequence: u64) {
        self.count += 1;
        let both = (session ^ sequence.rotate_left(32)).wrapping_mul(SPREAD);
        self.sum = self.sum.wrapping_add(both ^ (both >> 32));
    }
}

/// A member and its host.
#[derive(Debug)]
pub(super) struct MemberSeat {
    pub(super) member: Member,
    place: Place,
    sender: Sender,
    actions: Actions,
    outputs: Outputs,
    /// Operations that completed and are not reported yet.
    completed: Vec<OperationId>,
    /// The end of what the service applied and was not reported yet.
    applied_through: Option<Position>,
    /// Where appended bytes are copied to, as a write into the page cache would.
    page_cache: Vec<u8>,
    /// Where in it the next ones go.
    page_cache_at: usize,
    pub(super) applied: Tally,
    pub(super) steps: u64,
}

impl MemberSeat {
    /// A host for `member`, at `place`, with a buffer of `page_cache_bytes` that stands for the
    /// page cache.
    pub(super) fn new(member: Member, place: Place, page_cache_bytes: usize) -> Self {
        let life = member.view().life;
        Self {
            member,
            place,
            sender: Sender::Member {
                member: life.member,
                incarnation: life.incarnation,
                boot_epoch: life.boot_epoch,
            },
            actions: Actions::new(),
            outputs: Outputs::new(),
            completed: Vec::new(),
            applied_through: None,
            page_cache: vec![0; page_cache_bytes],
            page_cache_at: 0,
            applied: Tally::default(),
            steps: 0,
        }
    }

    /// What the datagrams of this member say of their sender.
    pub(super) const fn sender(&self) -> Sender {
        self.sender
    }

    /// Says that there is no more input, as often as there is new input because of that.
    pub(super) fn flush(&mut self, now: Instant, post: &mut Post) {
        while self.step(now, Event::Flush, post) {}
    }

    /// One event, and all that follows from it without anybody else: whether there was any of that.
    pub(super) fn step(&mut self, now: Instant, event: Event<'_>, post: &mut Post) -> bool {
        self.member.step(now, event, &mut self.actions);
        self.steps += 1;
        if self.actions.is_empty() {
            return false;
        }
        self.perform(post);
        let (mut followed, mut reported) = (false, 0);
        loop {
            if let Some(&operation) = self.completed.get(reported) {
                reported += 1;
                self.member.step(now, Event::Durable { operation }, &mut self.actions);
            } else if let Some(through) = self.applied_through.take() {
                let outputs = &self.outputs;
                self.member.step(now, Event::Applied { through, outputs }, &mut self.actions);
                self.outputs.clear();
            } else {
                self.completed.clear();
                return followed;
            }
            followed = true;
            self.steps += 1;
            if !self.actions.is_empty() {
                self.perform(post);
            }
        }
    }

    fn perform(&mut self, post: &mut Post) {
        let from = self.place;
        let (sends, others, applies) = self.actions.sorts();
        for action in sends {
            let (to, content) = match *action {
                Action::Send { to, ref message } => (to, Content::Control(message.clone())),
                Action::SendData { to, stream, epoch, range, source, live } => {
                    assert_eq!(source, Source::Member, "nothing is read from a log here");
                    (to, Content::Run { stream, epoch, range, live })
                }
                _ => panic!("{action:?} is among the sends"),
            };
            post.send(place_of(to), Posted { from, content });
        }
        for action in others {
            match *action {
                Action::Append { range } => {
                    let (first, second) = self.member.bytes(Stream::Log, range);
                    write(&mut self.page_cache, &mut self.page_cache_at, first);
                    write(&mut self.page_cache, &mut self.page_cache_at, second);
                }
                Action::Sync { operation }
                | Action::PersistVote { operation, .. }
                | Action::PersistHistory { operation, .. }
                | Action::PersistPeers { operation, .. } => self.completed.push(operation),
                Action::Notify(_) => {}
                _ => panic!("{from:?} wants {action:?}"),
            }
        }
        for apply in applies {
            self.applied_through = Some(apply.end);
            if let Delivery::Message { session, sequence, .. } = apply.delivery {
                // A reply that is not set is an empty one.
                self.applied.add(session.0, sequence);
            }
        }
        self.actions.clear();
    }
}

fn place_of(to: Destination) -> Place {
    match to {
        Destination::Member(member) => Place::of(member),
        Destination::Client(endpoint) => Place::at(endpoint),
    }
}

/// Copies `bytes` to where `cache` goes on, from its beginning when its end is near.
fn write(cache: &mut [u8], at: &mut usize, bytes: &[u8]) {
    for part in bytes.chunks(cache.len()) {
        if *at + part.len() > cache.len() {
            *at = 0;
        }
        cache[*at..*at + part.len()].copy_from_slice(part);
        *at += part.len();
    }
}
