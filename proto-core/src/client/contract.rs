//! What goes into a client and what comes out of it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::config::ConfigError;
use crate::frame::{OVERHEAD_BYTES_MAX, aligned};
use crate::identity::{ClientKey, Endpoint, GroupId, GroupTag, MemberId, RecoveryEpoch, SessionId};
use crate::message::{Incoming, Message, Sender, Stream};
use crate::position::{Position, PositionRange};
use crate::read::{ReadAnswer, ReadLevel, ReadRefusal};
use crate::term::Term;
use crate::time::Duration;

/// The largest window of a session.
const WINDOW_BYTES_MAX: u64 = 1 << 30;

/// Who a client is and whom it may ask.
#[derive(Clone, Debug, Hash)]
pub struct ClientConfig {
    /// The group.
    pub group: GroupId,
    /// The group's recovery epoch.
    pub recovery_epoch: RecoveryEpoch,
    /// The client's key; drawn at random by the host, and kept for as long as it wants its
    /// messages applied exactly once.
    pub key: ClientKey,
    /// The members it may ask, in the order in which it tries them.
    pub members: BTreeMap<MemberId, Endpoint>,
    /// Seeds the client's generator.
    pub seed: u64,
    /// Time-outs and intervals.
    pub timing: ClientTiming,
    /// Sizes and counts.
    pub limits: ClientLimits,
}

impl ClientConfig {
    /// The tag of the group's datagrams.
    #[must_use]
    pub const fn tag(&self) -> GroupTag {
        GroupTag::new(self.group, self.recovery_epoch)
    }

    /// All that is wrong with this configuration; nothing when it can be used.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigError> {
        let mut problems = Vec::new();
        if self.members.is_empty() {
            problems.push(ConfigError::Value {
                key: "members",
                value: 0,
                reason: "must name at least one member",
            });
        }
        self.timing.problems(&mut problems);
        self.limits.problems(&mut problems);
        problems
    }
}

/// Time-outs and intervals of a client.
#[derive(Clone, Debug, Hash)]
pub struct ClientTiming {
    /// How long an unanswered connect waits before it is sent again.
    pub connect_retry: Duration,
    /// How many times one member is asked before the next one is; one that did not answer last
    /// time, or has just fallen silent as the server, only once.
    pub tries_per_member: u32,
    /// How long the server may be silent before the client connects anew, to it first. No sooner
    /// than the members' shortest election time-out somebody else can lead.
    pub server_timeout: Duration,
    /// How often an idle client says that it is there.
    pub keepalive_interval: Duration,
    /// How long after data the client says how far it has written, should the last datagram be
    /// lost (E86). Each pause after that is twice as long, up to `keepalive_interval`.
    pub newest_first: Duration,
    /// How long a client tries to be served before it ends with an error.
    pub give_up_after: Duration,
    /// How long a hole may be mere reordering before it is asked for.
    pub nak_delay: Duration,
    /// How long an unanswered request for a hole is left alone.
    pub nak_retry: Duration,
    /// How long bytes that were sent again are not sent once more (E90).
    pub repair_linger: Duration,
}

impl ClientTiming {
    fn problems(&self, problems: &mut Vec<ConfigError>) {
        let mut check = |ok: bool, key, value: u64, reason| {
            if !ok {
                problems.push(ConfigError::Value { key, value, reason });
            }
        };
        let keepalive = self.keepalive_interval;
        for (key, value) in [
            ("connect_retry", self.connect_retry.0),
            ("tries_per_member", u64::from(self.tries_per_member)),
            ("keepalive_interval", keepalive.0),
            ("give_up_after", self.give_up_after.0),
            ("nak_retry", self.nak_retry.0),
        ] {
            check(value > 0, key, value, "must be above zero");
        }
        let server = self.server_timeout;
        check(server > keepalive, "server_timeout", server.0, "must be above keepalive_interval");
        let first = self.newest_first;
        let first_ok = first.0 > 0 && first <= keepalive;
        check(first_ok, "newest_first", first.0, "must be above zero, at most keepalive_interval");
    }
}

impl Default for ClientTiming {
    fn default() -> Self {
        Self {
            connect_retry: Duration::from_millis(50),
            tries_per_member: 2,
            server_timeout: Duration::from_millis(150),
            keepalive_interval: Duration::from_millis(50),
            newest_first: Duration::from_micros(300),
            give_up_after: Duration::from_millis(30_000),
            nak_delay: Duration::from_micros(100),
            nak_retry: Duration::from_micros(500),
            repair_linger: Duration::from_micros(250),
        }
    }
}

/// Sizes and counts of a client. Windows and counts must not exceed the members'.
#[derive(Clone, Debug, Hash)]
pub struct ClientLimits {
    /// The largest payload of a message.
    pub message_bytes_max: u32,
    /// The ring of unanswered messages, and of replies. A power of two.
    pub session_window_bytes: u64,
    /// Messages that are not answered yet, at most.
    pub in_flight_max: usize,
    /// Payload bytes of one data datagram: a multiple of 8.
    pub slice_bytes: u32,
    /// Bytes of one [`ClientAction::SendData`], at most: a run of equal slices.
    pub run_bytes_max: u64,
    /// Ranges of held bytes behind the first hole, at most.
    pub coverage_ranges_max: usize,
}

impl ClientLimits {
    fn problems(&self, problems: &mut Vec<ConfigError>) {
        let mut check = |ok: bool, key, value: u64, reason| {
            if !ok {
                problems.push(ConfigError::Value { key, value, reason });
            }
        };
        let ring = self.session_window_bytes;
        let ring_ok = ring.is_power_of_two() && ring <= WINDOW_BYTES_MAX;
        check(ring_ok, "session_window_bytes", ring, "must be a power of two, at most 1 GiB");
        let message = u64::from(self.message_bytes_max);
        check(
            aligned(message + OVERHEAD_BYTES_MAX as u64) <= ring / 4,
            "message_bytes_max",
            message,
            "must fit a quarter of session_window_bytes with its frame",
        );
        let slice = u64::from(self.slice_bytes);
        let slice_ok = slice >= 64 && slice.is_multiple_of(8) && slice <= 60_000;
        check(slice_ok, "slice_bytes", slice, "must be a multiple of 8 in 64..=60000");
        let run = self.run_bytes_max;
        check(run >= slice, "run_bytes_max", run, "must be at least slice_bytes");
        for (key, value) in [
            ("in_flight_max", self.in_flight_max),
            ("coverage_ranges_max", self.coverage_ranges_max),
        ] {
            check(value > 0, key, value as u64, "must be above zero");
        }
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: 64 << 10,
            session_window_bytes: 512 << 10,
            in_flight_max: 256,
            slice_bytes: 1_216,
            run_bytes_max: 46 * 1_216,
            coverage_ranges_max: 64,
        }
    }
}

/// One thing that happens to a client. Take over all actions of one event before the next.
#[derive(Clone, Debug)]
pub enum ClientEvent<'a> {
    /// A deadline passed, or nothing happened.
    Timer,
    /// The host has no further input at hand: what was collected for batching is sent now.
    Flush,
    /// The application submits a message. Answered by [`ClientAction::Accepted`] or
    /// [`ClientAction::Rejected`] in the same step.
    Submit {
        /// The message.
        payload: &'a [u8],
    },
    /// The same, and the reply waits until the message is safe: synced by a quorum, in a volatile
    /// group; in a durable one that is so when it is committed. Replies come in order, so those to
    /// later messages wait, too.
    SubmitSafe {
        /// The message.
        payload: &'a [u8],
    },
    /// The application wants to know when all up to the frame at this position of the log is safe,
    /// that frame included. Answered by [`ClientAction::Synced`], now or later, or by
    /// [`ClientAction::Rejected`] in the same step.
    Sync {
        /// Where that frame begins, as a reply said of its message.
        position: Position,
    },
    /// The application reads: what it asks of the service appends nothing to the log. Answered by
    /// [`ClientAction::Reading`] or [`ClientAction::Rejected`] in the same step.
    Read {
        /// How new what is read has to be. What a session read has to see is at least what this
        /// client has seen before, in replies and in reads.
        level: ReadLevel,
        /// The request, of at most [`crate::read::READ_BYTES_MAX`] bytes.
        payload: &'a [u8],
    },
    /// A datagram was received, was whole, and carried the group's tag.
    Received {
        /// Who sent it.
        sender: Sender,
        /// Where it came from.
        source: Endpoint,
        /// Its content.
        content: Incoming<'a>,
    },
    /// The application is done: the session is closed once all is answered.
    Close,
}

/// Actions of one event. Owned by the caller and reused.
///
/// They come out in the order in which they are to be performed: what became of a submitted
/// message, replies, then the rest.
#[derive(Clone, Debug, Default)]
pub struct ClientActions {
    accepted: Option<u64>,
    replies: Vec<ClientReply>,
    others: Vec<ClientAction>,
}

/// [`ClientAction::Reply`], kept apart: there are as many as messages, and most actions are larger.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientReply {
    /// The number of the message.
    pub sequence: u64,
    /// Where the message lies in the log.
    pub position: Position,
    /// Where the reply lies in the egress stream.
    pub payload: PositionRange,
}

impl From<ClientReply> for ClientAction {
    fn from(ClientReply { sequence, position, payload }: ClientReply) -> Self {
        Self::Reply { sequence, position, payload }
    }
}

impl ClientActions {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { accepted: None, replies: Vec::new(), others: Vec::new() }
    }

    /// How many actions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.accepted.is_some()) + self.replies.len() + self.others.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.accepted.is_none() && self.replies.is_empty() && self.others.is_empty()
    }

    /// All actions, in the order in which they are to be performed.
    pub fn iter(&self) -> impl Iterator<Item = ClientAction> {
        let accepted = self.accepted.map(|sequence| ClientAction::Accepted { sequence });
        let replies = self.replies.iter().copied().map(ClientAction::from);
        accepted.into_iter().chain(replies).chain(self.others.iter().cloned())
    }

    /// Takes all actions out, in the order in which they are to be performed.
    #[inline]
    pub fn drain(&mut self) -> impl Iterator<Item = ClientAction> {
        let accepted = self.accepted.take().map(|sequence| ClientAction::Accepted { sequence });
        let replies = self.replies.drain(..).map(ClientAction::from);
        accepted.into_iter().chain(replies).chain(self.others.drain(..))
    }

    /// Hands the replies to `reply` and moves the rest behind what `rest` has; that a message was
    /// accepted is forgotten. For who performs the rest later: an empty `rest` costs nothing,
    /// whatever its number.
    #[inline]
    pub fn take_sorts(&mut self, rest: &mut Vec<ClientAction>, mut reply: impl FnMut(ClientReply)) {
        self.accepted = None;
        for &each in &self.replies {
            reply(each);
        }
        self.replies.clear();
        if rest.is_empty() {
            core::mem::swap(rest, &mut self.others);
        } else {
            self.append_others(rest);
        }
    }

    #[inline(never)]
    fn append_others(&mut self, rest: &mut Vec<ClientAction>) {
        rest.append(&mut self.others);
    }

    /// Takes out that a message was accepted, if it was: its number. For a host that wants it right
    /// behind the submit.
    #[inline]
    pub const fn take_accepted(&mut self) -> Option<u64> {
        self.accepted.take()
    }

    #[inline]
    pub(super) const fn accept(&mut self, sequence: u64) {
        self.accepted = Some(sequence);
    }

    #[inline]
    pub(super) fn push_reply(&mut self, sequence: u64, position: Position, payload: PositionRange) {
        self.replies.push(ClientReply { sequence, position, payload });
    }

    pub(super) fn push(&mut self, action: ClientAction) {
        self.others.push(action);
    }
}

/// One thing that a client wants done. Perform actions in order.
#[derive(Clone, Debug)]
pub enum ClientAction {
    /// Send a control message.
    Send {
        /// To whom.
        to: Endpoint,
        /// What.
        message: Message,
    },
    /// Send a run of the ingress stream as datagrams of `slice_bytes` each, the last one shorter;
    /// the bytes are `Client::bytes(stream, range)`.
    SendData {
        /// To whom.
        to: Endpoint,
        /// The stream.
        stream: Stream,
        /// The epoch of the connection's streams.
        epoch: u64,
        /// The bytes.
        range: PositionRange,
    },
    /// A submitted message was taken, under this number; numbers rise by one from 1 on.
    Accepted {
        /// Its number.
        sequence: u64,
    },
    /// A submitted message was not taken.
    Rejected {
        /// Why.
        reason: Reject,
    },
    /// The reply to a message; each message gets exactly one, in order. The bytes are
    /// `Client::bytes(Stream::Egress(key), payload)` until the next event.
    Reply {
        /// The number of the message.
        sequence: u64,
        /// Where the message lies in the log.
        position: Position,
        /// Where the reply lies in the egress stream.
        payload: PositionRange,
    },
    /// A position that was waited for is safe, or was waited for in vain.
    Synced {
        /// The position.
        position: Position,
        /// The end of what is safe; or that the leader did not say that the position is within
        /// `give_up_after`.
        outcome: Result<Position, SyncTimedOut>,
    },
    /// A read was begun, under this number: [`ClientAction::Read`] follows.
    Reading {
        /// Its number.
        number: u64,
    },
    /// What came of a read. They come in any order.
    Read {
        /// Its number.
        number: u64,
        /// What it was answered.
        outcome: Result<ReadAnswer, ReadError>,
    },
    /// The client is served.
    Connected {
        /// The session.
        session: SessionId,
        /// By whom.
        leader: MemberId,
        /// In which term.
        term: Term,
    },
    /// The client is not served any more, and looks for a leader.
    Disconnected,
    /// The client has ended; nothing follows.
    Ended(Result<(), ClientError>),
}

/// Why a submitted message was not taken. Nothing was sent; submit it again later.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// As many messages are unanswered, or as many bytes, as may be.
    #[error("too many messages are unanswered; wait for replies")]
    BackPressure,
    /// The message is larger than messages may be.
    #[error("a message of {bytes} bytes is above the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The client is closing or has ended.
    #[error("the client is closed")]
    Closed,
}

/// Why a read has no answer. It has changed nothing: read again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// A member refused it, and any other would.
    #[error(transparent)]
    Refused(#[from] ReadRefusal),
    /// No member answered it within `give_up_after`, or before the client ended.
    #[error("no member answered the read in time{}", display_refusal(*last))]
    TimedOut {
        /// What one of them said last, if any said anything.
        last: Option<ReadRefusal>,
    },
}

fn display_refusal(last: Option<ReadRefusal>) -> alloc::string::String {
    last.map_or_else(Default::default, |last| alloc::format!("; the last one said: {last}"))
}

/// A position was not known to be safe in time. Perhaps it is, or will be: wait for it again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[error("no leader said in time that all up to position {} is safe", position.0)]
pub struct SyncTimedOut {
    /// The position.
    pub position: Position,
}

/// Why a client ended. The outcome of its unanswered messages is unknown, never "failed" (E35).
#[derive(Clone, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No member served it within `give_up_after`.
    #[error("no member served the client in time; it tried {}", display_tries(tried))]
    NotServed {
        /// The last outcome at each member that it asked.
        tried: Vec<Tried>,
    },
    /// No member served it within `give_up_after`, and those that answer hear too few others to
    /// elect a leader (E69): nothing is committed until more members are back.
    #[error("no quorum: too few members are up and connected; it tried {}", display_tries(tried))]
    NoQuorum {
        /// The last outcome at each member that it asked.
        tried: Vec<Tried>,
    },
    /// A message is larger than the members take, though not than this client's limit; the outcome
    /// of messages from `unanswered` on is unknown, but for that one and those behind it, which
    /// were not applied.
    #[error(
        "a message is larger than the {limit} bytes that the members take; lower \
         `message_bytes_max`; the outcome of messages from {unanswered} on is unknown"
    )]
    MessageTooLarge {
        /// The largest payload that they take.
        limit: u64,
        /// The first message without a reply.
        unanswered: u64,
    },
    /// The client's key has a session with messages of another client, or of a former life of this
    /// one: its own would be taken for them. None of them was applied.
    #[error(
        "the key {:#x} has session {} already, with messages of another client or of an earlier \
         start of this one; give each start a key of its own", key.0, session.0
    )]
    KeyInUse {
        /// The key.
        key: ClientKey,
        /// Its session.
        session: SessionId,
    },
    /// The session had ended at the cluster; whether the messages from `unanswered` on were
    /// applied is not known.
    #[error("session {} is lost; the outcome of messages from {unanswered} on is unknown", session.0)]
    SessionLost {
        /// The session.
        session: SessionId,
        /// The first message without a reply.
        unanswered: u64,
    },
}

/// What became of asking one member.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Tried {
    /// Whom.
    pub member: MemberId,
    /// How many times.
    pub times: u32,
    /// The last outcome.
    pub outcome: TriedOutcome,
}

/// The last outcome of asking a member.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TriedOutcome {
    /// Nothing came back.
    Silent,
    /// It named another leader.
    Redirected,
    /// It knew no leader, or was not ready.
    NotReady,
    /// It knew no leader, and heard too few others for one to be elected.
    NoQuorum,
    /// It had no room for another session.
    SessionsExhausted,
    /// It had served the client, and then fell silent.
    Lost,
}

/// What a client counted since construction.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ClientCounters {
    /// Times it asked for bytes of replies that were missing.
    pub naks_sent: u64,
    /// Times it was served no more, and looked for a leader again.
    pub reconnects: u64,
    /// Times it went where a member sent it.
    pub redirects_followed: u64,
    /// Runs of bytes that it sent again because the leader asked for them.
    pub repairs_sent: u64,
    /// Datagrams that were not from a member that serves it, or not of the current connection.
    pub datagrams_ignored: u64,
    /// Replies that it had delivered before.
    pub duplicates: u64,
    /// Times a server broke the protocol: a bad frame, or replies out of order.
    pub protocol_errors: u64,
}

fn display_tries(tried: &[Tried]) -> alloc::string::String {
    use alloc::format;
    let each = tried.iter().map(|one| {
        let outcome = match one.outcome {
            TriedOutcome::Silent => "no answer",
            TriedOutcome::Redirected => "named another leader",
            TriedOutcome::NotReady => "not ready",
            TriedOutcome::NoQuorum => "no quorum",
            TriedOutcome::SessionsExhausted => "no room for a session",
            TriedOutcome::Lost => "fell silent",
        };
        format!("member {} {} times ({outcome})", one.member, one.times)
    });
    each.collect::<Vec<_>>().join(", ")
}
