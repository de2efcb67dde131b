//! A member and its host: disk that is durable at once, service that replies with nothing.

use quorate_core::{
    Action, Actions, Delivery, Endpoint, Event, Incoming, Instant, Member, OperationId, Outputs,
    Position, Sender, Stream,
};

use super::post::Place;

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
    endpoint: Endpoint,
    actions: Actions,
    /// What it sends, until its turn is over.
    outbox: Vec<Action>,
    /// Whether it has taken in something since its last turn.
    is_called: bool,
    /// Operations that completed and are not reported yet.
    completed: Vec<OperationId>,
    /// The end of what the service applied and was not reported yet.
    applied_through: Option<Position>,
    /// The service replies with nothing: a reply that is not set is an empty one.
    outputs: Outputs,
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
            endpoint: place.endpoint(),
            actions: Actions::new(),
            outbox: Vec::new(),
            is_called: false,
            completed: Vec::new(),
            applied_through: None,
            outputs: Outputs::new(),
            page_cache: vec![0; page_cache_bytes],
            page_cache_at: 0,
            applied: Tally::default(),
            steps: 0,
        }
    }

    /// What the datagrams of this member say of their sender, and where they come from.
    #[inline]
    pub(super) const fn envelope(&self) -> (Sender, Endpoint) {
        (self.sender, self.endpoint)
    }

    /// Takes in a datagram.
    #[inline]
    pub(super) fn receive(
        &mut self,
        now: Instant,
        (sender, source): (Sender, Endpoint),
        content: Incoming<'_>,
    ) {
        self.is_called = true;
        self.step(now, Event::Received { sender, source, content });
    }

    /// Whether it has taken in something since this was last asked.
    #[inline]
    pub(super) const fn take_call(&mut self) -> bool {
        core::mem::replace(&mut self.is_called, false)
    }

    /// Says that there is no more input, as often as there is new input because of that.
    #[inline]
    pub(super) fn flush(&mut self, now: Instant) {
        while self.step(now, Event::Flush) {}
    }

    /// One event, and all that follows from it without anybody else: whether there was any of that.
    // Inlined: each place has one event, and the member goes straight to its handler.
    #[inline(always)]
    pub(super) fn step(&mut self, now: Instant, event: Event<'_>) -> bool {
        self.member.step(now, event, &mut self.actions);
        self.end_step(now)
    }

    #[inline(never)]
    fn end_step(&mut self, now: Instant) -> bool {
        self.steps += 1;
        self.actions.move_sends(&mut self.outbox);
        !self.actions.is_empty() && self.follow(now)
    }

    /// Performs actions and reports what became of them, until there are no more.
    #[inline]
    fn follow(&mut self, now: Instant) -> bool {
        let mut followed = false;
        loop {
            self.perform();
            loop {
                if let Some(operation) = self.completed.pop() {
                    self.member.step(now, Event::Durable { operation }, &mut self.actions);
                } else if let Some(through) = self.applied_through.take() {
                    let outputs = &self.outputs;
                    self.member.step(now, Event::Applied { through, outputs }, &mut self.actions);
                } else {
                    return followed;
                }
                followed = true;
                self.steps += 1;
                self.actions.move_sends(&mut self.outbox);
                if !self.actions.is_empty() {
                    break;
                }
            }
        }
    }

    /// Takes what it sends, oldest first, to be given back.
    #[inline]
    pub(super) fn take_outbox(&mut self) -> Vec<Action> {
        core::mem::take(&mut self.outbox)
    }

    /// Takes an emptied outbox back: it had no turn meanwhile, but may have taken in something.
    #[inline]
    pub(super) fn give_back_outbox(&mut self, mut emptied: Vec<Action>) {
        if !self.outbox.is_empty() {
            append(&mut emptied, &mut self.outbox);
        }
        self.outbox = emptied;
    }

    /// Performs all but the sends.
    #[inline]
    fn perform(&mut self) {
        let (place, (_, others, applies)) = (self.place, self.actions.sorts());
        for action in others {
            match *action {
                Action::Append { range } => {
                    let (first, second) = self.member.bytes(Stream::Log, range);
                    write(&mut self.page_cache, &mut self.page_cache_at, first);
                    if !second.is_empty() {
                        write(&mut self.page_cache, &mut self.page_cache_at, second);
                    }
                }
                Action::Sync { operation }
                | Action::PersistVote { operation, .. }
                | Action::PersistHistory { operation, .. }
                | Action::PersistPeers { operation, .. } => self.completed.push(operation),
                Action::Notify(_) => {}
                _ => panic!("{place:?} wants {action:?}"),
            }
        }
        if let Some(last) = applies.last() {
            self.applied_through = Some(last.end);
            let mut applied = self.applied;
            for apply in applies {
                if let Delivery::Message { session, sequence, .. } = apply.delivery {
                    applied.add(session.0, sequence);
                }
            }
            self.applied = applied;
        }
        self.actions.clear();
    }
}

#[cold]
#[inline(never)]
fn append(first: &mut Vec<Action>, then: &mut Vec<Action>) {
    first.append(then);
}

/// Copies `bytes` to where `cache` goes on, from its beginning when its end is near.
fn write(cache: &mut [u8], at: &mut usize, bytes: &[u8]) {
    if let Some(place) = cache.get_mut(*at..*at + bytes.len()) {
        place.copy_from_slice(bytes);
        *at += bytes.len();
    } else {
        write_anew(cache, at, bytes);
    }
}

#[cold]
#[inline(never)]
fn write_anew(cache: &mut [u8], at: &mut usize, bytes: &[u8]) {
    for part in bytes.chunks(cache.len()) {
        cache[..part.len()].copy_from_slice(part);
        *at = part.len();
    }
}
