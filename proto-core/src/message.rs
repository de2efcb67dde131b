//! What members and clients say to each other, one datagram each. `codecs` maps them to bytes.

use alloc::vec::Vec;
use smallvec::SmallVec;

use crate::frame::Level;
use crate::identity::{BootEpoch, ClientKey, Endpoint, Incarnation, MemberId, SessionId};
use crate::position::{Position, PositionRange};
use crate::read::{ReadLevel, ReadOutcome};
use crate::snapshot::SnapshotPoint;
use crate::term::{Chain, Term, TermLine, VoteKey};

/// Ranges in one NAK, at most.
pub const NAK_RANGES_MAX: usize = 32;
/// Term lines in one datagram, at most.
pub const HISTORY_LINES_MAX: usize = 16;
/// Parts of one announced history, at most.
pub const HISTORY_PARTS_MAX: u16 = 4_096;

/// Who sent a datagram, as its header says.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Sender {
    /// A member, in one of its lives.
    Member {
        /// Which member.
        member: MemberId,
        /// Which of its directories.
        incarnation: Incarnation,
        /// Which start.
        boot_epoch: BootEpoch,
    },
    /// A client.
    Client {
        /// Its key.
        key: ClientKey,
    },
}

/// Which stream a position belongs to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Stream {
    /// The log. Its epoch is the leadership term that owns the bytes.
    Log,
    /// From a client to the leader. Its epoch is that of the connection (`stream::session_epoch`).
    Ingress(ClientKey),
    /// From the leader to a client. Its epoch is that of the connection.
    Egress(ClientKey),
    /// A stored snapshot, from one member to another. Its epoch is the position of the log where
    /// the snapshot stands; its own positions are offsets
    /// ([`crate::snapshot::SnapshotManifest`]).
    Snapshot,
}

/// The leader's newest and commit position, on live data only (rule 4).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Live {
    /// The end of what the leader has appended.
    pub newest: Position,
    /// The leader's commit position.
    pub commit: Position,
}

/// A range of a stream in one epoch.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct EpochRange {
    /// The leadership term that owns the bytes; for session streams that of the connection; for a
    /// snapshot the position where it stands.
    pub epoch: u64,
    /// The bytes.
    pub range: PositionRange,
}

/// The ranges of a NAK.
pub type NakRanges = SmallVec<[EpochRange; 1]>;
/// The lines of one part of an announced history.
pub type HistoryLines = Vec<TermLine>;

/// One datagram's content, apart from the header and from data. The term of a message is always the
/// sender's current one.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Message {
    /// Asks whether an election could be won (pre-vote; Raft thesis §9.6). Changes nothing.
    Canvass {
        /// The canvasser's current term.
        term: Term,
        /// Numbers the rounds of this canvasser's life, so that late answers are told apart.
        round: u64,
        /// How complete its log is.
        key: VoteKey,
    },
    /// Answers a canvass. A refusal teaches (rule 8): it carries the refuser's key.
    CanvassReply {
        /// The answerer's current term.
        term: Term,
        /// The round that is answered.
        round: u64,
        /// Whether a vote would be granted.
        granted: bool,
        /// How complete the answerer's log is.
        key: VoteKey,
    },
    /// Asks for the vote of `term` (Raft §5.2).
    RequestVote {
        /// The term to be led.
        term: Term,
        /// How complete the candidate's log is.
        key: VoteKey,
    },
    /// Asks for the vote of `term` as the leader of the term before wants it: voters that follow
    /// that leader need not wait for its silence (thesis §3.10, E18).
    RequestSuccession {
        /// The term to be led.
        term: Term,
        /// How complete the candidate's log is.
        key: VoteKey,
        /// Who leads the term before.
        predecessor: MemberId,
    },
    /// Answers a request for a vote; a grant leaves only once it is durable.
    Ballot {
        /// The voter's current term.
        term: Term,
        /// Who asked: a ballot that strays to another candidate of the term does not count.
        candidate: MemberId,
        /// Whether the vote was granted.
        granted: bool,
        /// How complete the voter's log is: a restored older image shows by it (rule 9).
        key: VoteKey,
    },
    /// The leader is there.
    Heartbeat {
        /// The leader's term.
        term: Term,
        /// Numbers the leader's rounds; acknowledgements echo it.
        round: u64,
        /// The end of what it has appended.
        newest: Position,
        /// Its commit position.
        commit: Position,
        /// A position up to which it has applied.
        chain_at: Position,
        /// The chain value there (rule 15).
        chain: Chain,
    },
    /// The leader gives up its leadership of `term`: nobody needs to wait for it any more (E97).
    Abdicate {
        /// The term that it led.
        term: Term,
    },
    /// The leader hands over: the receiver, who has all of its bytes, is to stand for the next term
    /// at once (thesis §3.10).
    Campaign {
        /// The term that the sender leads.
        term: Term,
        /// Its newest heartbeat round: a request that was overtaken by newer ones is void.
        round: u64,
    },
    /// Asks for the lines of the term history above a commit position.
    HistoryRequest {
        /// The asker's current term.
        term: Term,
        /// The asker's commit position.
        commit: Position,
    },
    /// A part of a term history; adopted only when all parts are there (rule 7).
    History {
        /// The sender's current term.
        term: Term,
        /// The commit position that the lines were cut at.
        above: Position,
        /// Which part, from 0 on.
        part: u16,
        /// How many parts there are.
        parts: u16,
        /// A checksum over all lines of all parts.
        checksum: u32,
        /// The lines of this part.
        lines: HistoryLines,
    },
    /// A follower's position, in the leader's term, after the term's history was adopted.
    Acknowledge {
        /// The leader's term.
        term: Term,
        /// Numbers the acknowledgements of the follower's life; older ones are ignored (E30).
        sequence: u64,
        /// The newest heartbeat round that was received.
        round: u64,
        /// The end of what is verified and durable: what counts for commit.
        durable: Position,
        /// The end of what was received without a hole: what counts for flow control.
        received: Position,
        /// The end of what there is room for.
        limit: Position,
        /// The follower's commit position.
        commit: Position,
    },
    /// A follower's position in a volatile group, in the leader's term (rule 12).
    Holding {
        /// The leader's term.
        term: Term,
        /// Its number among the acknowledgements of the sender's life.
        sequence: u64,
        /// The newest heartbeat round that was received.
        round: u64,
        /// The end of what is verified and in memory: what counts for commit.
        held: Position,
        /// The end of what is verified and durable: what counts as safe.
        durable: Position,
        /// The end of what was received without a hole: what counts for flow control.
        received: Position,
        /// The end of what there is room for.
        limit: Position,
        /// The follower's commit position.
        commit: Position,
    },
    /// A follower that may have lost bytes which it held is there, and asks up to where it has to
    /// heal before it counts again (rule 5).
    Impaired {
        /// The leader's term.
        term: Term,
        /// Its number among the acknowledgements of the sender's life.
        sequence: u64,
        /// The newest heartbeat round that was received.
        round: u64,
        /// The end of what was received without a hole: what counts for flow control.
        received: Position,
        /// The end of what there is room for.
        limit: Position,
    },
    /// The leader answers an impaired follower.
    Registered {
        /// The leader's term.
        term: Term,
        /// The follower's start that asked: to another one it means nothing.
        boot_epoch: BootEpoch,
        /// The end of what the leader had when it first heard of that start.
        newest: Position,
    },
    /// A voter that is impaired or in a volatile group grants a canvass, or durably its vote. A
    /// candidate counts only grants of its own level, and needs unimpaired ones among them
    /// (rules 5 and 12). All other grants are of unimpaired voters of a durable group.
    LevelGrant {
        /// The voter's current term.
        term: Term,
        /// The round of the canvass that is granted; zero for a vote.
        round: u64,
        /// Who asked.
        candidate: MemberId,
        /// The newest term of its adopted history.
        line: Term,
        /// How complete the voter's log is.
        key: VoteKey,
        /// What it takes for committed.
        level: Level,
        /// Whether it may have lost bytes that it held.
        impaired: bool,
    },
    /// Where a member is that lost its directory and is not readmitted yet: what it has on its disk
    /// counts for nothing, so it states none of it.
    Application {
        /// The leader's term.
        term: Term,
        /// Its number among the applications and acknowledgements of the sender's life.
        sequence: u64,
        /// The end of what was received without a hole: what counts for flow control.
        received: Position,
        /// The end of what there is room for.
        limit: Position,
    },
    /// The receiver is no member any more: whoever tells it has a committed membership without it
    /// (E58).
    Removed {
        /// The sender's current term.
        term: Term,
        /// The end of that membership's frame, or of a later one.
        position: Position,
        /// The newest incarnation of the receiver that was removed.
        incarnation: Incarnation,
    },
    /// What the sender lacks. Each range lies within one epoch.
    Nak {
        /// Of which stream.
        stream: Stream,
        /// What is missing.
        ranges: NakRanges,
    },
    /// Bytes that were asked for are not here; ask another.
    Unavailable {
        /// Of which stream.
        stream: Stream,
        /// What cannot be sent.
        range: EpochRange,
        /// The oldest position that could be.
        oldest: Position,
    },
    /// Asks for the newest stored snapshot, of one who lacks what others have purged.
    SnapshotRequest {
        /// The asker's current term.
        term: Term,
        /// Only one beyond it is of use: the asker's verified position.
        above: Position,
    },
    /// Answers a request for a snapshot.
    SnapshotOffer {
        /// The sender's current term.
        term: Term,
        /// Where it stands; at position zero: there is none.
        point: SnapshotPoint,
        /// Bytes of the core's part.
        core_bytes: u64,
        /// Bytes of the service's part.
        service_bytes: u64,
        /// A digest of both.
        digest: u64,
    },
    /// What a member's snapshot at a position is, so that a state that deviates is found (E113).
    SnapshotDigest {
        /// The sender's current term.
        term: Term,
        /// Where the snapshot stands.
        position: Position,
        /// The version of the layout of its core's part: only digests of one layout are compared;
        /// zero: the sender has no snapshot there, and will not have one.
        layout: u16,
        /// A digest of both parts, as the sender's host computes it.
        digest: u64,
        /// Whether the sender has taken it itself: a copy of another's is nobody's witness.
        vouches: bool,
        /// Whether the sender asks for the receiver's.
        asks: bool,
    },
    /// A client asks to be served: for a new session, or to go on with one it has.
    Connect {
        /// Numbers the client's attempts, rising.
        connection: u64,
        /// The session that it has, if any.
        session: SessionId,
        /// Where its ingress stream goes on.
        ingress_start: Position,
        /// The first sequence number that it has no reply for.
        unanswered: u64,
    },
    /// Answers a connect.
    ConnectReply {
        /// The attempt that is answered, or the epoch of streams that are not served here.
        connection: u64,
        /// What came of it.
        outcome: ConnectOutcome,
    },
    /// Where the receiver of a session stream is, and how far the sender may go.
    StreamStatus {
        /// The stream.
        stream: Stream,
        /// The epoch of the connection's streams.
        epoch: u64,
        /// All before it was consumed.
        consumed: Position,
        /// The sender may send up to here.
        limit: Position,
    },
    /// The newest position of a session stream (E86); also keeps the session alive.
    StreamNewest {
        /// The stream.
        stream: Stream,
        /// The epoch of the connection's streams.
        epoch: u64,
        /// The end of what was written.
        newest: Position,
    },
    /// A client that waits for a position of the log asks what is safe by now.
    SyncRequest {
        /// The epoch of the connection's streams.
        epoch: u64,
    },
    /// Answers such a client, at once.
    SyncReply {
        /// The epoch of the connection's streams.
        epoch: u64,
        /// The end of what is committed and durable on a quorum, as far as the leader knows: zero
        /// before that holds for something of its own term.
        safe: Position,
    },
    /// A client reads: any member may be asked, and needs no session of it.
    ReadRequest {
        /// The client's number for it.
        number: u64,
        /// How new what is read has to be.
        level: ReadLevel,
        /// The request, of at most [`crate::read::READ_BYTES_MAX`] bytes.
        payload: Vec<u8>,
    },
    /// Answers a read.
    ReadReply {
        /// The client's number for it.
        number: u64,
        /// What came of it.
        outcome: ReadOutcome,
    },
    /// A follower asks its leader up to where a read has to see the log (thesis §6.4).
    ReadIndexRequest {
        /// The follower's number for it, which it uses in no other life.
        number: u64,
    },
    /// The leader was one after it had received the request: a quorum has said so since.
    ReadIndexReply {
        /// The follower's number for it.
        number: u64,
        /// What was committed when the request was received, at least.
        index: Position,
    },
    /// A client ends its session.
    Close {
        /// Its connection number.
        connection: u64,
        /// The session.
        session: SessionId,
    },
    /// The session has ended.
    Closed {
        /// The connection number.
        connection: u64,
        /// The session.
        session: SessionId,
    },
}

/// What came of a connect.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ConnectOutcome {
    /// The session is open and its streams may flow.
    Open {
        /// The session.
        session: SessionId,
        /// Who leads.
        leader: MemberId,
        /// In which term.
        term: Term,
        /// The ingress stream may go up to here.
        limit: Position,
    },
    /// Another member leads; ask there.
    Redirect {
        /// Who leads.
        leader: MemberId,
        /// In which term.
        term: Term,
        /// Where clients reach it.
        endpoint: Endpoint,
    },
    /// Nobody leads, or the leader is not ready; ask again after a while.
    RetryAfter {
        /// Nanoseconds to wait.
        nanos: u64,
    },
    /// Nobody leads, and the member hears too few others for somebody to be elected (E69): nothing
    /// is committed until more of them are back. Ask another, or again after a while.
    NoQuorum {
        /// Nanoseconds to wait.
        nanos: u64,
    },
    /// As many sessions are open as may be.
    SessionsExhausted,
    /// A message is larger than the members take; the client has to end.
    MessageTooLarge {
        /// The largest payload that they take.
        limit: u64,
    },
    /// The session that was named has ended; whether its unanswered messages were applied is not
    /// known any more. To a client that named none: its key has this session, which has messages
    /// of another client or of a former life of this one.
    SessionLost {
        /// The session.
        session: SessionId,
    },
}

/// A received datagram's content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Incoming<'a> {
    /// A control message.
    Control(Message),
    /// A slice of a stream.
    Data {
        /// The stream.
        stream: Stream,
        /// The leadership term that owns the bytes; for session streams that of the connection.
        epoch: u64,
        /// The position of the first byte.
        position: Position,
        /// Present on live data of the current leader of the log.
        live: Option<Live>,
        /// The bytes.
        slice: &'a [u8],
    },
}
