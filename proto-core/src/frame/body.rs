//! What frames say, mapped to and from their SBE blocks.

use super::generated::{
    CloseReason, Level as WrittenLevel, Malformed, MembershipDecoder, MembershipEncoder,
    MembershipPhase as WrittenPhase, MessageDecoder, MessageEncoder, ReadmissionDecoder,
    ReadmissionEncoder, ReplyDecoder, ReplyEncoder, SafeMessageDecoder, SafeMessageEncoder,
    SessionCloseDecoder, SessionCloseEncoder, SessionOpenDecoder, SessionOpenEncoder,
    SnapshotCause as WrittenCause, SnapshotMarkDecoder, SnapshotMarkEncoder, TermOpenDecoder,
    TermOpenEncoder, TimerDecoder, TimerEncoder,
};
use super::{FrameError, LOG_VERSION, LOG_VERSION_VOLATILE};
use crate::identity::{
    BootEpoch, ClientKey, Incarnation, Life, MemberId, RecoveryEpoch, SessionId,
};
use crate::position::Position;
use crate::term::{Chain, Term};
use crate::time::LogTime;

/// The first frame of a term: with it the term history can be rebuilt from the log (rule 19).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TermOpen {
    /// The term that begins.
    pub term: Term,
    /// The term of the byte before; zero at the beginning of the log.
    pub previous_term: Term,
    /// The chain value before this frame.
    pub chain: Chain,
    /// The cluster time at which the term began.
    pub time: LogTime,
    /// Who leads.
    pub leader: Life,
    /// The recovery epoch.
    pub recovery_epoch: RecoveryEpoch,
    /// The version of the log's layout that the leader writes.
    pub log_version: u16,
    /// What the leader takes for committed.
    pub level: Level,
}

/// What a leader takes for committed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Level {
    /// What a quorum has synced.
    #[default]
    Durable,
    /// What a quorum has in memory.
    Volatile,
    /// Something that a newer version knows.
    Unknown(u8),
}

impl Level {
    /// The version of the log that a leader of this level writes: what is newer than this code is
    /// of no version that it can read.
    #[must_use]
    pub const fn log_version(self) -> u16 {
        match self {
            Self::Durable => LOG_VERSION,
            Self::Volatile => LOG_VERSION_VOLATILE,
            Self::Unknown(_) => u16::MAX,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SessionCloseReason {
    /// The client asked for it.
    Client,
    /// The leader heard nothing from the client for the session time-out.
    TimedOut,
    /// A reason that a newer version knows.
    Unknown(u8),
}

/// Why a snapshot is taken.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SnapshotCause {
    /// The leader's host asked for it.
    Command,
    /// The log has grown by `Limits::snapshot_interval_bytes`.
    Policy,
    /// A reason that a newer version knows.
    Unknown(u8),
}

/// How far a change of the members is.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum MembershipPhase {
    /// It is complete.
    #[default]
    Final,
    /// Voters change: the outgoing and the incoming ones count, each for themselves.
    Joint,
    /// A phase that a newer version knows.
    Unknown(u8),
}

/// The body of a frame. All but `Reply` occur in the log; `Message` and `SafeMessage` also in
/// ingress, and `Reply` only in egress streams.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Body {
    /// The first frame of a term.
    TermOpen(TermOpen),
    /// Opens a session; its id is the position of this frame.
    SessionOpen {
        /// Cluster time.
        time: LogTime,
        /// The client that asked.
        client: ClientKey,
    },
    /// Ends a session.
    SessionClose {
        /// Which one.
        session: SessionId,
        /// Cluster time.
        time: LogTime,
        /// Why.
        reason: SessionCloseReason,
    },
    /// A client's message; the payload follows.
    Message {
        /// The session.
        session: SessionId,
        /// The client's number for it, from 1 on without gaps.
        sequence: u64,
        /// Cluster time; zero in ingress streams.
        time: LogTime,
    },
    /// A client's message whose reply waits until it is safe; the payload follows. In a durable
    /// group that is so when it is committed.
    SafeMessage {
        /// The session.
        session: SessionId,
        /// The client's number for it, from 1 on without gaps.
        sequence: u64,
        /// Cluster time; zero in ingress streams.
        time: LogTime,
    },
    /// A timer of the service is due.
    Timer {
        /// Cluster time, at or after `deadline`.
        time: LogTime,
        /// The service's number for it.
        timer: u64,
        /// When it was due.
        deadline: LogTime,
    },
    /// Each member takes a snapshot at the end of this frame.
    SnapshotMark {
        /// Cluster time.
        time: LogTime,
        /// Why.
        cause: SnapshotCause,
    },
    /// A member that lost its directory is to count again: in this life and later ones, and in no
    /// former one.
    Readmission {
        /// Cluster time.
        time: LogTime,
        /// The life in which it asked.
        life: Life,
    },
    /// Who is a member from here on: a [`Membership`](crate::Membership) follows.
    Membership {
        /// Cluster time.
        time: LogTime,
        /// How far the change is.
        phase: MembershipPhase,
    },
    /// A reply to a message; the payload follows.
    Reply {
        /// The session.
        session: SessionId,
        /// The number of the message that is answered.
        sequence: u64,
        /// Where the message lies in the log.
        position: Position,
    },
}

impl Body {
    /// The SBE template id.
    #[inline]
    #[must_use]
    pub const fn template(&self) -> u16 {
        match self {
            Self::TermOpen(_) => TermOpenEncoder::TEMPLATE_ID,
            Self::SessionOpen { .. } => SessionOpenEncoder::TEMPLATE_ID,
            Self::SessionClose { .. } => SessionCloseEncoder::TEMPLATE_ID,
            Self::Message { .. } => MessageEncoder::TEMPLATE_ID,
            Self::SafeMessage { .. } => SafeMessageEncoder::TEMPLATE_ID,
            Self::Timer { .. } => TimerEncoder::TEMPLATE_ID,
            Self::SnapshotMark { .. } => SnapshotMarkEncoder::TEMPLATE_ID,
            Self::Readmission { .. } => ReadmissionEncoder::TEMPLATE_ID,
            Self::Membership { .. } => MembershipEncoder::TEMPLATE_ID,
            Self::Reply { .. } => ReplyEncoder::TEMPLATE_ID,
        }
    }

    /// Bytes of the SBE block.
    #[inline]
    #[must_use]
    pub const fn block_length(&self) -> usize {
        match self {
            Self::TermOpen(_) => TermOpenEncoder::BLOCK_LENGTH,
            Self::SessionOpen { .. } => SessionOpenEncoder::BLOCK_LENGTH,
            Self::SessionClose { .. } => SessionCloseEncoder::BLOCK_LENGTH,
            Self::Message { .. } => MessageEncoder::BLOCK_LENGTH,
            Self::SafeMessage { .. } => SafeMessageEncoder::BLOCK_LENGTH,
            Self::Timer { .. } => TimerEncoder::BLOCK_LENGTH,
            Self::SnapshotMark { .. } => SnapshotMarkEncoder::BLOCK_LENGTH,
            Self::Readmission { .. } => ReadmissionEncoder::BLOCK_LENGTH,
            Self::Membership { .. } => MembershipEncoder::BLOCK_LENGTH,
            Self::Reply { .. } => ReplyEncoder::BLOCK_LENGTH,
        }
    }

    /// Writes the block into `block`; `None` when that is shorter than [`Body::block_length`].
    #[inline]
    pub(super) fn write(&self, block: &mut [u8]) -> Option<()> {
        match self {
            Self::TermOpen(open) => open.write(&mut TermOpenEncoder::wrap(block)?),
            Self::SessionOpen { time, client } => {
                SessionOpenEncoder::wrap(block)?.set_time(time.0).set_client(client.0);
            }
            Self::SessionClose { session, time, reason } => {
                SessionCloseEncoder::wrap(block)?
                    .set_session(session.0)
                    .set_time(time.0)
                    .set_reason((*reason).into());
            }
            Self::Message { session, sequence, time } => {
                MessageEncoder::wrap(block)?
                    .set_session(session.0)
                    .set_sequence(*sequence)
                    .set_time(time.0);
            }
            Self::SafeMessage { session, sequence, time } => {
                SafeMessageEncoder::wrap(block)?
                    .set_session(session.0)
                    .set_sequence(*sequence)
                    .set_time(time.0);
            }
            Self::Timer { time, timer, deadline } => {
                TimerEncoder::wrap(block)?
                    .set_time(time.0)
                    .set_timer(*timer)
                    .set_deadline(deadline.0);
            }
            Self::SnapshotMark { time, cause } => {
                SnapshotMarkEncoder::wrap(block)?.set_time(time.0).set_cause((*cause).into());
            }
            Self::Readmission { time, life } => {
                ReadmissionEncoder::wrap(block)?
                    .set_time(time.0)
                    .set_boot_epoch(life.boot_epoch.0)
                    .set_incarnation(life.incarnation.0)
                    .set_member(life.member.0);
            }
            Self::Membership { time, phase } => {
                MembershipEncoder::wrap(block)?.set_time(time.0).set_phase((*phase).into());
            }
            Self::Reply { session, sequence, position } => {
                ReplyEncoder::wrap(block)?
                    .set_session(session.0)
                    .set_sequence(*sequence)
                    .set_position(position.0);
            }
        }
        Some(())
    }

    /// Reads the block of `template`, which a writer of schema `version` wrote; a longer block than
    /// known is a newer version's.
    #[inline]
    pub(super) fn read(template: u16, block: &[u8], version: u16) -> Result<Self, FrameError> {
        let bad = |_: Malformed| FrameError::Template { template };
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        Ok(match template {
            TermOpenDecoder::TEMPLATE_ID => Self::TermOpen(TermOpen::read(
                &TermOpenDecoder::wrap(block, length, version).map_err(bad)?,
            )),
            SessionOpenDecoder::TEMPLATE_ID => {
                let read = SessionOpenDecoder::wrap(block, length, version).map_err(bad)?;
                Self::SessionOpen { time: LogTime(read.time()), client: ClientKey(read.client()) }
            }
            SessionCloseDecoder::TEMPLATE_ID => {
                let read = SessionCloseDecoder::wrap(block, length, version).map_err(bad)?;
                Self::SessionClose {
                    session: SessionId(read.session()),
                    time: LogTime(read.time()),
                    reason: read.reason().into(),
                }
            }
            MessageDecoder::TEMPLATE_ID => {
                let read = MessageDecoder::wrap(block, length, version).map_err(bad)?;
                Self::Message {
                    session: SessionId(read.session()),
                    sequence: read.sequence(),
                    time: LogTime(read.time()),
                }
            }
            SafeMessageDecoder::TEMPLATE_ID => Self::safe(block, length, version).map_err(bad)?,
            TimerDecoder::TEMPLATE_ID => {
                let read = TimerDecoder::wrap(block, length, version).map_err(bad)?;
                Self::Timer {
                    time: LogTime(read.time()),
                    timer: read.timer(),
                    deadline: LogTime(read.deadline()),
                }
            }
            SnapshotMarkDecoder::TEMPLATE_ID => {
                let read = SnapshotMarkDecoder::wrap(block, length, version).map_err(bad)?;
                Self::SnapshotMark { time: LogTime(read.time()), cause: read.cause().into() }
            }
            ReadmissionDecoder::TEMPLATE_ID => {
                Self::readmission(block, length, version).map_err(bad)?
            }
            MembershipDecoder::TEMPLATE_ID => {
                let read = MembershipDecoder::wrap(block, length, version).map_err(bad)?;
                Self::Membership { time: LogTime(read.time()), phase: read.phase().into() }
            }
            ReplyDecoder::TEMPLATE_ID => {
                let read = ReplyDecoder::wrap(block, length, version).map_err(bad)?;
                Self::Reply {
                    session: SessionId(read.session()),
                    sequence: read.sequence(),
                    position: Position(read.position()),
                }
            }
            _ => return Err(FrameError::Template { template }),
        })
    }

    fn safe(block: &[u8], length: u16, version: u16) -> Result<Self, Malformed> {
        let read = SafeMessageDecoder::wrap(block, length, version)?;
        Ok(Self::SafeMessage {
            session: SessionId(read.session()),
            sequence: read.sequence(),
            time: LogTime(read.time()),
        })
    }

    fn readmission(block: &[u8], length: u16, version: u16) -> Result<Self, Malformed> {
        let read = ReadmissionDecoder::wrap(block, length, version)?;
        let life = Life {
            member: MemberId(read.member()),
            incarnation: Incarnation(read.incarnation()),
            boot_epoch: BootEpoch(read.boot_epoch()),
        };
        Ok(Self::Readmission { time: LogTime(read.time()), life })
    }

    /// The cluster time that the frame was stamped with.
    #[inline]
    #[must_use]
    pub const fn time(&self) -> LogTime {
        match self {
            Self::TermOpen(open) => open.time,
            Self::SessionOpen { time, .. }
            | Self::SessionClose { time, .. }
            | Self::Message { time, .. }
            | Self::SafeMessage { time, .. }
            | Self::Timer { time, .. }
            | Self::SnapshotMark { time, .. }
            | Self::Readmission { time, .. }
            | Self::Membership { time, .. } => *time,
            Self::Reply { .. } => LogTime(0),
        }
    }
}

impl TermOpen {
    /// Whether this version can read the log from here on.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        self.log_version <= LOG_VERSION_VOLATILE && self.log_version >= self.level.log_version()
    }

    fn write(&self, block: &mut TermOpenEncoder<'_>) {
        block
            .set_term(self.term.0)
            .set_previous_term(self.previous_term.0)
            .set_chain(self.chain.0)
            .set_time(self.time.0)
            .set_boot_epoch(self.leader.boot_epoch.0)
            .set_incarnation(self.leader.incarnation.0)
            .set_member(self.leader.member.0)
            .set_log_version(self.log_version)
            .set_recovery_epoch(self.recovery_epoch.0)
            .set_level(self.level.into());
    }

    fn read(block: &TermOpenDecoder<'_>) -> Self {
        Self {
            term: Term(block.term()),
            previous_term: Term(block.previous_term()),
            chain: Chain(block.chain()),
            time: LogTime(block.time()),
            leader: Life {
                member: MemberId(block.member()),
                incarnation: Incarnation(block.incarnation()),
                boot_epoch: BootEpoch(block.boot_epoch()),
            },
            recovery_epoch: RecoveryEpoch(block.recovery_epoch()),
            log_version: block.log_version(),
            level: block.level().into(),
        }
    }
}

impl From<Level> for WrittenLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Durable => Self::Durable,
            Level::Volatile => Self::Volatile,
            Level::Unknown(code) => Self::Unknown(code),
        }
    }
}

impl From<WrittenLevel> for Level {
    fn from(level: WrittenLevel) -> Self {
        match level {
            WrittenLevel::Durable => Self::Durable,
            WrittenLevel::Volatile => Self::Volatile,
            WrittenLevel::Unknown(code) => Self::Unknown(code),
        }
    }
}

impl From<SessionCloseReason> for CloseReason {
    fn from(reason: SessionCloseReason) -> Self {
        match reason {
            SessionCloseReason::Client => Self::Client,
            SessionCloseReason::TimedOut => Self::TimedOut,
            SessionCloseReason::Unknown(code) => Self::Unknown(code),
        }
    }
}

impl From<CloseReason> for SessionCloseReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Client => Self::Client,
            CloseReason::TimedOut => Self::TimedOut,
            CloseReason::Unknown(code) => Self::Unknown(code),
        }
    }
}

impl From<SnapshotCause> for WrittenCause {
    fn from(cause: SnapshotCause) -> Self {
        match cause {
            SnapshotCause::Command => Self::Command,
            SnapshotCause::Policy => Self::Policy,
            SnapshotCause::Unknown(code) => Self::Unknown(code),
        }
    }
}

impl From<WrittenCause> for SnapshotCause {
    fn from(cause: WrittenCause) -> Self {
        match cause {
            WrittenCause::Command => Self::Command,
            WrittenCause::Policy => Self::Policy,
            WrittenCause::Unknown(code) => Self::Unknown(code),
        }
    }
}

impl From<MembershipPhase> for WrittenPhase {
    fn from(phase: MembershipPhase) -> Self {
        match phase {
            MembershipPhase::Final => Self::Final,
            MembershipPhase::Joint => Self::Joint,
            MembershipPhase::Unknown(code) => Self::Unknown(code),
        }
    }
}

impl From<WrittenPhase> for MembershipPhase {
    fn from(phase: WrittenPhase) -> Self {
        match phase {
            WrittenPhase::Final => Self::Final,
            WrittenPhase::Joint => Self::Joint,
            WrittenPhase::Unknown(code) => Self::Unknown(code),
        }
    }
}
