//! A member as it is seen from outside.

use super::Member;
use crate::identity::{Life, MemberId, RecoveryEpoch};
use crate::message::Stream;
use crate::notice::{FailStop, Role};
use crate::position::{Position, PositionRange};
use crate::term::{Chain, Term, Vote, VoteKey};
use crate::time::LogTime;

/// A member's role, term and positions at one moment. A plain copy: reading it changes nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct View {
    /// The life that it lives.
    pub life: Life,
    /// What it is doing.
    pub role: Role,
    /// Its current term.
    pub term: Term,
    /// Whom it follows, itself if it leads.
    pub leader: Option<MemberId>,
    /// Its vote, as held in memory.
    pub vote: Vote,
    /// What it would compare in an election.
    pub key: VoteKey,
    /// Where its log begins: what was before is purged.
    pub origin: Position,
    /// The newest position that the leader of its term was heard to have.
    pub seen: Position,
    /// The end of what it received without a hole.
    pub received: Position,
    /// The end of the last whole, valid frame of that.
    pub verified: Position,
    /// The end of what was handed to the archive.
    pub written: Position,
    /// The end of what is known to be durable.
    pub durable: Position,
    /// The end of what it knows to be committed.
    pub commit: Position,
    /// The end of what the service has applied.
    pub applied: Position,
    /// Where the newest snapshot stands that is stored, with the log before it durable; zero when
    /// there is none.
    pub snapshot: Position,
    /// The chain value at `applied`.
    pub applied_chain: Chain,
    /// Whether frames behind `applied` are with the service right now: until it reports them,
    /// `Member::replicated_hash` is ahead of `applied`.
    pub applying: bool,
    /// The chain value at `verified`.
    pub verified_chain: Chain,
    /// The cluster time of the last applied frame.
    pub log_time: LogTime,
    /// Whether it leads and its term-opening frame is committed and applied: it serves clients.
    pub serving: bool,
    /// Open sessions.
    pub sessions: usize,
    /// Whether it lost its directory and is not readmitted yet: it promises nothing, and does not
    /// count.
    pub applicant: bool,
    /// Whether it may have lost bytes that it held, and has not healed yet: its vote alone elects
    /// nobody, and it acknowledges nothing.
    pub impaired: bool,
    /// The end of what is committed and durable on a quorum: what is committed, in a durable group;
    /// in a volatile one only the leader knows it, and zero stands for the others.
    pub safe: Position,
    /// Where the snapshot of another member stands that it fetches, and how many bytes of its
    /// stream are here without a hole.
    pub fetching: Option<(Position, u64)>,
    /// The newest recovery epoch, unless it is that in which the group was formed, and where it
    /// begins: what was promised there and behind, in epochs before, is lost.
    pub recovered_at: Option<(RecoveryEpoch, Position)>,
    /// Why it went inert, if it did.
    pub fail_stop: Option<FailStop>,
}

impl Member {
    /// The bytes of a range that an action named with `Source::Member`, in up to two slices.
    #[must_use]
    pub fn bytes(&self, stream: Stream, range: PositionRange) -> (&[u8], &[u8]) {
        if stream == Stream::Log {
            return self.state.log.slices(range);
        }
        self.bytes_of_others(stream, range)
    }

    #[inline(never)]
    fn bytes_of_others(&self, stream: Stream, range: PositionRange) -> (&[u8], &[u8]) {
        match stream {
            Stream::Log => (&[], &[]),
            Stream::Egress(client) => self.state.connections.egress_bytes(client, range),
            Stream::Ingress(_) => (&[], &[]),
            Stream::Snapshot => match self.state.fetching.fetch.as_deref() {
                Some(fetch) => fetch.slices(range),
                None => (&[], &[]),
            },
        }
    }
}
