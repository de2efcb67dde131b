//! The core's part of a snapshot: where it stands, and how its bytes are laid out.
//!
//! All integers are little-endian. Two members at one position write the same bytes: nothing in
//! them is a member's own, and all lists are sorted.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | version of this layout: 2, or 4 with members; one more in a volatile term |
//! | 2 | 6 | zeros |
//! | 8 | 8 | position: the end of the marker's frame |
//! | 16 | 8 | term of the byte before it |
//! | 24 | 8 | chain value there |
//! | 32 | 8 | cluster time there |
//! | 40 | 4 | lines of the term history |
//! | 44 | 4 | sessions |
//! | 48 | 4 | timers |
//! | 52 | 4 | readmitted lives |
//! | 56 | … | lines, sessions, timers, lives, by rising term, id, number and member; the members |
//!
//! A **line** is one that owns bytes before the position, which all members have alike: term, base,
//! chain, the leader's boot epoch (8 bytes each), its incarnation, the recovery epoch (4 each), the
//! leader (2), zeros (6). A **session** is its id, its client's key, the number of its last applied
//! message, the number of kept replies (8 each), and the replies, the one to the last message last:
//! the message's position, the number of bytes (8 each), and the bytes. A **timer** is its number
//! and its deadline (8 each). A **readmitted life** is the newest one that the log has readmitted
//! of a member: the position of the frame that first did so, the boot epoch (8 each), the
//! incarnation (4), the member (2), zeros (2). The **members**, in versions 4 and 5, are the end of
//! the frame that said who is one (8), and the list as [`crate::membership`] lays it out. A group
//! whose log has never said so writes versions 2 and 3: its members are those of its formation.
//! Nothing follows.

mod seed;

use alloc::vec::Vec;

use crate::frame::Level;
use crate::identity::{BootEpoch, Incarnation, Life, MemberId, RecoveryEpoch};
use crate::position::Position;
use crate::term::{Chain, Term, TermLine};
use crate::time::LogTime;

pub use seed::GroupSeed;

/// The version of the layout that this code writes in durable terms.
pub const SNAPSHOT_VERSION: u16 = 2;
/// That of volatile terms: the same layout, from which a program that knows no levels keeps away.
pub const SNAPSHOT_VERSION_VOLATILE: u16 = 3;
/// What is added to the version of a snapshot that says who is a member.
const VERSION_WITH_MEMBERS: u16 = 2;

/// Where a snapshot stands in the log.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SnapshotPoint {
    /// All before it is in the snapshot: the end of its marker's frame.
    pub position: Position,
    /// The term of the byte before it.
    pub term: Term,
    /// The chain value there.
    pub chain: Chain,
    /// The cluster time there.
    pub time: LogTime,
}

/// The core's part of a snapshot. The service's state at the same position belongs to it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Snapshot {
    /// Where it stands; the bytes say the same.
    pub point: SnapshotPoint,
    /// The core's replicated state there, laid out as this module says.
    pub core: Vec<u8>,
}

/// What a stored snapshot consists of; equal on all members that stored one at one position.
///
/// Its **stream** is the core's part, then the service's, then zeros up to a multiple of 8: that is
/// how it is sent to others ([`crate::Stream::Snapshot`]). Positions of it are offsets from its
/// beginning.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SnapshotManifest {
    /// Where it stands in the log.
    pub point: SnapshotPoint,
    /// Bytes of the core's part.
    pub core_bytes: u64,
    /// Bytes of the service's part.
    pub service_bytes: u64,
    /// A digest of both parts, as the host computes it.
    pub digest: u64,
}

impl SnapshotManifest {
    /// Bytes of both parts. Bytes beyond them in the stream are zeros.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.core_bytes.saturating_add(self.service_bytes)
    }

    /// Where the stream ends: a multiple of 8, since slices are cut at such (rule 19).
    #[must_use]
    pub const fn stream_end(&self) -> Position {
        Position(self.bytes().saturating_add(7) & !7)
    }

    /// Whether a log can have a snapshot like that: it stands at a position behind a frame, and its
    /// stream can be addressed.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        let at = self.point.position;
        let stands = Position::ZERO < at && at <= Position::MAX && at.aligned_down() == at;
        stands && self.core_bytes > 0 && self.stream_end() <= Position::MAX
    }
}

/// Why bytes are not the core's part of a snapshot that a member can begin with.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// There are fewer bytes than they say.
    #[error("it is cut short")]
    Truncated,
    /// There are more bytes than they say.
    #[error("more follows behind its end")]
    Trailing,
    /// Another version wrote them.
    #[error(
        "its layout has version {found}, and this program knows {SNAPSHOT_VERSION} to {}",
        SNAPSHOT_VERSION_VOLATILE + VERSION_WITH_MEMBERS
    )]
    Version {
        /// The version.
        found: u16,
    },
    /// What they say contradicts itself.
    #[error("it contradicts itself: {what}")]
    Contradiction {
        /// Which part of it.
        what: &'static str,
    },
    /// It is of another log than the one that it was found with (E72).
    #[error("it contradicts the log: {what}")]
    OtherLog {
        /// Which part of it.
        what: &'static str,
    },
    /// Its bytes are not those that were announced.
    #[error("its bytes are not those that were announced")]
    Digest,
    /// It holds more than this member is configured for.
    #[error("it holds {found} {what}, `{key}` is {limit}; raise `{key}` on all members alike")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many it holds.
        found: u64,
        /// The limit.
        key: &'static str,
        /// Its value.
        limit: u64,
    },
}

impl SnapshotPoint {
    /// Where the snapshot stands whose core's part begins with `bytes`.
    ///
    /// # Errors
    /// [`SnapshotError::Truncated`], [`SnapshotError::Version`].
    pub fn read(bytes: &[u8]) -> Result<Self, SnapshotError> {
        read_point(&mut Fields(bytes)).map(|(point, ..)| point)
    }
}

/// Takes a point off the front of `fields`, and what the version before it says: the level of its
/// term, and whether there are members.
pub(crate) fn read_point(
    fields: &mut Fields<'_>,
) -> Result<(SnapshotPoint, Level, bool), SnapshotError> {
    const DURABLE: u16 = SNAPSHOT_VERSION + VERSION_WITH_MEMBERS;
    const VOLATILE: u16 = SNAPSHOT_VERSION_VOLATILE + VERSION_WITH_MEMBERS;
    let (level, has_members) = match fields.u16()? {
        SNAPSHOT_VERSION => (Level::Durable, false),
        SNAPSHOT_VERSION_VOLATILE => (Level::Volatile, false),
        DURABLE => (Level::Durable, true),
        VOLATILE => (Level::Volatile, true),
        found => return Err(SnapshotError::Version { found }),
    };
    fields.take(6)?;
    let point = SnapshotPoint {
        position: fields.position()?,
        term: Term(fields.u64()?),
        chain: Chain(fields.u64()?),
        time: LogTime(fields.u64()?),
    };
    Ok((point, level, has_members))
}

pub(crate) fn write_point(
    point: &SnapshotPoint,
    level: Level,
    has_members: bool,
    out: &mut Vec<u8>,
) {
    let version = match level {
        Level::Volatile => SNAPSHOT_VERSION_VOLATILE,
        Level::Durable | Level::Unknown(_) => SNAPSHOT_VERSION,
    };
    let version = version + if has_members { VERSION_WITH_MEMBERS } else { 0 };
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&[0; 6]);
    for word in [point.position.0, point.term.0, point.chain.0, point.time.0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

pub(crate) fn write_line(line: &TermLine, out: &mut Vec<u8>) {
    for word in [line.term.0, line.base.0, line.chain.0, line.leader.boot_epoch.0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&line.leader.incarnation.0.to_le_bytes());
    out.extend_from_slice(&line.recovery_epoch.0.to_le_bytes());
    out.extend_from_slice(&line.leader.member.0.to_le_bytes());
    out.extend_from_slice(&[0; 6]);
}

pub(crate) fn read_line(fields: &mut Fields<'_>) -> Result<TermLine, SnapshotError> {
    let (term, base) = (Term(fields.u64()?), fields.position()?);
    let (chain, boot_epoch) = (Chain(fields.u64()?), BootEpoch(fields.u64()?));
    let incarnation = Incarnation(fields.u32()?);
    let recovery_epoch = RecoveryEpoch(fields.u32()?);
    let leader = Life { member: MemberId(fields.u16()?), incarnation, boot_epoch };
    fields.take(6)?;
    Ok(TermLine { recovery_epoch, term, base, leader, chain })
}

/// Little-endian fields, taken off the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], SnapshotError> {
        let split = self.0.split_at_checked(count);
        let (taken, rest) = split.ok_or(SnapshotError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(SnapshotError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, SnapshotError> {
        self.bytes().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// A position of the log, which has an end (E96).
    pub(crate) fn position(&mut self) -> Result<Position, SnapshotError> {
        let position = Position(self.u64()?);
        let fits = position <= Position::MAX;
        if fits { Ok(position) } else { Err(SnapshotError::Contradiction { what: "a position" }) }
    }
}
