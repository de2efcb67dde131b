//! What a loop counts. Plain numbers, copied out on request.

use std::collections::BTreeMap;
use std::time::SystemTime;

use quorate_codecs::{DecodeError, decode};
use quorate_core::frame::Level;
use quorate_core::{
    Counters, Duration, GroupId, GroupTag, Incoming, MemberId, Membership, Position, RecoveryEpoch,
    Sender, View,
};

use crate::faults::FaultCounters;
use crate::storage::SnapshotProgress;

/// Datagrams that went in and out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DatagramCounters {
    /// Datagrams that the port took.
    pub sent: u64,
    /// Bytes in them.
    pub sent_bytes: u64,
    /// Datagrams that the port did not take.
    pub unsent: u64,
    /// Datagrams received, undecodable ones included.
    pub received: u64,
    /// Bytes in them.
    pub received_bytes: u64,
    /// Errors of the socket when receiving.
    pub receive_errors: u64,
    /// Datagrams that the system dropped because the receive buffer was full, if it says so.
    pub overflows: Option<u64>,
    /// Datagrams that could not be decoded, by reason.
    pub undecodable: BTreeMap<String, u64>,
    /// The newest recovery epoch, later than its own, of which a whole datagram was heard: the
    /// group was recovered by force without it. A member rejoins with a new directory of that
    /// epoch.
    pub newer_epoch: Option<RecoveryEpoch>,
}

/// Recovery epochs behind the own one that are looked for in datagrams of other groups, at most.
const NEWER_EPOCHS_MAX: u32 = 16;

/// What went to the storage.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StorageCounters {
    /// Appends written.
    pub appends: u64,
    /// Bytes in them.
    pub append_bytes: u64,
    /// Syncs asked for; those under way together are one at the disk.
    pub syncs: u64,
    /// Votes, histories and peer records asked to be made durable.
    pub persists: u64,
    /// Reads of the log asked for.
    pub reads: u64,
    /// Appends refused for want of space.
    pub appends_refused: u64,
}

/// What became of reading what is stored again, in all lives of the member in this process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ScrubStatus {
    /// Bytes read.
    pub bytes: u64,
    /// Times that all there is was read.
    pub passes: u64,
    /// When it last was.
    pub last_pass: Option<SystemTime>,
    /// Times that a frame of the log was found damaged.
    pub log_damages: u64,
    /// Times that a snapshot was; one that stays is found anew by each pass.
    pub snapshot_damages: u64,
    /// Times that the log was mended with the bytes of others, at a start as well.
    pub mendings: u64,
    /// Bytes of the log that were written anew.
    pub mended_bytes: u64,
    /// The first frame that is missing, while the log is mended: the member takes part in nothing.
    pub mending_at: Option<Position>,
}

/// Who is a member of the group, as far as the log of one of them goes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct MembersStatus {
    /// The end of the frame that says so; zero for the membership that the group was formed with.
    pub position: Position,
    /// Who, in which role, and where.
    pub membership: Membership,
    /// Of a leader: how far the others are, by rising number.
    pub progress: Vec<MemberProgress>,
    /// The member that was asked is known to be none any more, since the frame that ends there: it
    /// stands for no election, and nobody counts it.
    pub removed_at: Option<Position>,
}

/// What a leader knows of another member.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct MemberProgress {
    /// Which one.
    pub member: MemberId,
    /// The end of what it is known to hold of the log.
    pub held: Position,
    /// How long it was not heard.
    pub silent_for: Duration,
    /// Whether it has so much of the log that it may become a voter.
    pub is_level: bool,
}

/// A member as its host sees it.
#[derive(Clone, Debug, Default)]
pub struct MemberStatus {
    /// Role, term and positions.
    pub view: View,
    /// Who is a member of the group.
    pub members: MembersStatus,
    /// What it takes for committed.
    pub level: Level,
    /// What the core counted.
    pub counters: Counters,
    /// Datagrams in and out.
    pub datagrams: DatagramCounters,
    /// What the fault layer did.
    pub faults: FaultCounters,
    /// What went to the storage.
    pub storage: StorageCounters,
    /// What became of reading again what is stored.
    pub scrub: ScrubStatus,
    /// This member's own snapshot that is being stored: since when, and how much of it is written.
    pub snapshot_progress: Option<SnapshotProgress>,
}

impl DatagramCounters {
    /// Counts a received datagram and decodes it; `None` if it could not be.
    pub(crate) fn decoded<'a>(
        &mut self,
        datagram: &'a [u8],
        (group, epoch): (GroupId, RecoveryEpoch),
    ) -> Option<(Sender, Incoming<'a>)> {
        self.received += 1;
        self.received_bytes += datagram.len() as u64;
        match decode(datagram, GroupTag::new(group, epoch)) {
            Ok(decoded) => Some(decoded),
            Err(error) => {
                *self.undecodable.entry(error.name().to_owned()).or_default() += 1;
                if error == DecodeError::ForeignGroup {
                    self.look_for_newer_epochs(datagram, group, epoch);
                }
                None
            }
        }
    }

    /// Whoever was left behind by a forced recovery is not heard by the others any more, and
    /// nothing that they say has any effect on it; but it is told.
    #[cold]
    fn look_for_newer_epochs(&mut self, datagram: &[u8], group: GroupId, own: RecoveryEpoch) {
        let known = self.newer_epoch.unwrap_or(own).0;
        let mut newer = (known..=known.saturating_add(NEWER_EPOCHS_MAX)).skip(1).map(RecoveryEpoch);
        let is_of = |epoch: &RecoveryEpoch| decode(datagram, GroupTag::new(group, *epoch)).is_ok();
        if let Some(newer) = newer.find(is_of) {
            self.newer_epoch = Some(newer);
            tracing::error!(
                own = own.0,
                newer = newer.0,
                "the group was recovered by force without this one, and is in a later recovery \
                 epoch: nobody hears it; a member rejoins with `quorate init --rejoin \
                 --recovery-epoch`, and a client connects with that epoch"
            );
        }
    }
}
