//! Who is who: the group, its members, and the lives of each member.

use core::fmt;

use crate::hash::mix;

/// The identity of a group of members that replicate one log. Chosen at random when the group is
/// formed, and never reused.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GroupId(pub u64);

/// Counts the forced recoveries of a group. Bytes and datagrams of an older epoch are foreign.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RecoveryEpoch(pub u32);

/// What every datagram carries to say which group, in which recovery epoch, it belongs to.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GroupTag(pub u64);

impl GroupTag {
    /// The tag of `group` in recovery epoch `epoch`.
    #[must_use]
    pub const fn new(group: GroupId, epoch: RecoveryEpoch) -> Self {
        Self(mix(group.0 ^ 0x7175_6f72_6174_6500, epoch.0 as u64))
    }
}

/// A member's number inside its group, unique among all members that the group has had.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MemberId(pub u16);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Counts the directories that a member id has had: a wiped member comes back under a new one.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Incarnation(pub u32);

impl Incarnation {
    /// That of the directories that the group was formed with.
    pub const FIRST: Self = Self(1);
}

/// Counts the starts of one incarnation. Written durably before the first datagram of a life, so
/// that nothing of a former life can be taken for this one's.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BootEpoch(pub u64);

/// One life of a member.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Life {
    /// Which member.
    pub member: MemberId,
    /// Which of its directories.
    pub incarnation: Incarnation,
    /// Which start of that directory.
    pub boot_epoch: BootEpoch,
}

/// A client's key: 64 random bits that the client keeps for as long as it wants its messages
/// applied exactly once.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientKey(pub u64);

/// A session's number: the log position of the frame that opened it. Zero means none.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId(pub u64);

impl SessionId {
    /// No session yet.
    pub const NONE: Self = Self(0);
}

/// Where datagrams go to or come from: 16 bytes of IPv6 address (IPv4 mapped) and 2 of port, in
/// network byte order. The core only stores and compares it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Endpoint(pub [u8; 18]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_differ_by_group_and_by_epoch() {
        let tag = GroupTag::new(GroupId(7), RecoveryEpoch(0));
        assert_ne!(tag, GroupTag::new(GroupId(8), RecoveryEpoch(0)));
        assert_ne!(tag, GroupTag::new(GroupId(7), RecoveryEpoch(1)));
    }
}
