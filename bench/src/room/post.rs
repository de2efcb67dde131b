//! What is under way between members and clients in one room.

use quorate_core::message::Live;
use quorate_core::{Endpoint, MemberId, Message, PositionRange, Stream};

/// Who sits where.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// The member at this index.
    Member(u32),
    /// The client at this index.
    Client(u32),
}

impl Place {
    /// The place of a member.
    pub(super) const fn of(member: MemberId) -> Self {
        Self::Member(member.0 as u32 - 1)
    }

    /// The endpoint by which the core knows this place: its index, and which row it is in.
    pub(super) fn endpoint(self) -> Endpoint {
        let (row, index) = match self {
            Self::Member(index) => (0_u8, index),
            Self::Client(index) => (1, index),
        };
        let mut bytes = [0; 18];
        bytes[0] = row;
        bytes[1..5].copy_from_slice(&index.to_be_bytes());
        Endpoint(bytes)
    }

    /// The place of an endpoint.
    pub(super) fn at(endpoint: Endpoint) -> Self {
        let [row, a, b, c, d, ..] = endpoint.0;
        let index = u32::from_be_bytes([a, b, c, d]);
        if row == 0 { Self::Member(index) } else { Self::Client(index) }
    }
}

/// Something that was sent and not yet received.
#[derive(Debug)]
pub(super) struct Posted {
    /// By whom.
    pub(super) from: Place,
    /// What.
    pub(super) content: Content,
}

/// What was sent. The bytes of a run are borrowed from the sender when they are received: they lie
/// in its ring at least until the receiver has them, since nothing is lost here.
#[derive(Debug)]
pub(super) enum Content {
    /// A control message.
    Control(Message),
    /// A run of slices.
    Run { stream: Stream, epoch: u64, range: PositionRange, live: Option<Live> },
}

/// One inbox for each place.
#[derive(Debug, Default)]
pub(super) struct Post {
    members: Vec<Vec<Posted>>,
    clients: Vec<Vec<Posted>>,
    /// Clients that have something in their inbox, each once.
    called: Vec<usize>,
}

impl Post {
    /// Empty inboxes.
    pub(super) fn new(members: usize, clients: usize) -> Self {
        let inboxes = |count| (0..count).map(|_| Vec::new()).collect();
        Self { members: inboxes(members), clients: inboxes(clients), called: Vec::new() }
    }

    /// Puts something into an inbox.
    #[inline]
    pub(super) fn send(&mut self, to: Place, posted: Posted) {
        match to {
            Place::Member(index) => self.members[index as usize].push(posted),
            Place::Client(index) => {
                let index = index as usize;
                let inbox = &mut self.clients[index];
                if inbox.is_empty() {
                    self.called.push(index);
                }
                inbox.push(posted);
            }
        }
    }

    /// Whether a member has something in its inbox.
    #[inline]
    pub(super) fn has_for_member(&self, index: usize) -> bool {
        !self.members[index].is_empty()
    }

    /// Takes the inbox of a member, the oldest last, to be given back: nobody sends to itself
    /// meanwhile.
    #[inline]
    pub(super) fn take_of_member(&mut self, index: usize) -> Vec<Posted> {
        oldest_last(core::mem::take(&mut self.members[index]))
    }

    /// Takes an emptied inbox back.
    #[inline]
    pub(super) fn give_back_to_member(&mut self, index: usize, emptied: Vec<Posted>) {
        self.members[index] = emptied;
    }

    /// Takes the inbox of a client, the oldest last, to be given back: nobody sends to itself
    /// meanwhile.
    #[inline]
    pub(super) fn take_of_client(&mut self, index: usize) -> Vec<Posted> {
        oldest_last(core::mem::take(&mut self.clients[index]))
    }

    /// Takes an emptied inbox back.
    #[inline]
    pub(super) fn give_back_to_client(&mut self, index: usize, emptied: Vec<Posted>) {
        self.clients[index] = emptied;
    }

    /// Whether any client has something in its inbox.
    pub(super) fn has_called(&self) -> bool {
        !self.called.is_empty()
    }

    /// Exchanges the list of clients that have something in their inbox for an empty one.
    pub(super) fn take_called(&mut self, called: &mut Vec<usize>) {
        called.clear();
        core::mem::swap(called, &mut self.called);
    }
}

#[inline]
fn oldest_last(mut inbox: Vec<Posted>) -> Vec<Posted> {
    if inbox.len() > 1 {
        inbox.reverse();
    }
    inbox
}
