//! Whose directory it is.

use std::path::Path;

use quorate_core::{GroupId, Incarnation, MemberId, RecoveryEpoch};

use crate::copies::read_file;
use crate::disk::{self, Access, Disk};
use crate::error::ArchiveError;
use crate::record::{self, Fields, Kind, Owner, RecordError};

/// How large segments are unless asked otherwise.
pub const SEGMENT_BYTES_DEFAULT: u64 = 16 << 20;
/// The smallest segment.
pub const SEGMENT_BYTES_MIN: u64 = 4 << 10;
/// The largest segment.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Whose directory it is: written once, when the group is formed or the member joins, and never
/// changed (rule 9), but for the recovery epoch: a forced recovery raises it (rule 5 v).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The group.
    pub group: GroupId,
    /// The group's recovery epoch.
    pub recovery_epoch: RecoveryEpoch,
    /// The member.
    pub member: MemberId,
    /// Which of the member's directories this is.
    pub incarnation: Incarnation,
    /// The voters that formed the group, this member included; nobody for a member that came to it
    /// later.
    pub voters: Vec<MemberId>,
    /// How many bytes of the log a segment holds: a multiple of 4,096.
    pub segment_bytes: u64,
}

impl Identity {
    /// Whose the files are.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        Owner { group: self.group, member: self.member, incarnation: self.incarnation }
    }

    /// Whether the member came to a group that others had formed.
    #[must_use]
    pub const fn joins(&self) -> bool {
        self.voters.is_empty()
    }

    pub(crate) fn check(&self) -> Result<(), ArchiveError> {
        let segment_ok = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes)
            && self.segment_bytes.is_multiple_of(SEGMENT_BYTES_MIN);
        if !segment_ok {
            let reason = "segment_bytes must be a multiple of 4096, at most 1 GiB";
            return Err(ArchiveError::Identity { reason });
        }
        if self.voters.len() > usize::from(u16::MAX) {
            return Err(ArchiveError::Identity { reason: "it lists too many voters" });
        }
        Ok(())
    }

    /// Writes the identity under a name of its own and then renames it, so that it exists whole or
    /// not at all, or, where one was, that one or this.
    pub(crate) fn create<D: Disk>(&self, disk: &D, directory: &Path) -> Result<(), ArchiveError> {
        let (draft, path) = (directory.join("identity.new"), directory.join("identity"));
        let mut payload = self.segment_bytes.to_le_bytes().to_vec();
        payload.extend_from_slice(&self.recovery_epoch.0.to_le_bytes());
        payload.extend_from_slice(&(self.voters.len() as u32).to_le_bytes());
        for voter in &self.voters {
            payload.extend_from_slice(&voter.0.to_le_bytes());
        }
        let bytes = record::encode(Kind::Identity, 1, self.owner(), &payload);
        let file = disk
            .open(&draft, Access::Create)
            .map_err(|error| ArchiveError::io("create", &draft, error))?;
        disk::write_full(disk, &file, &bytes, 0)
            .map_err(|error| ArchiveError::space("write", &draft, error))?;
        disk.sync(&file).map_err(|error| ArchiveError::io("sync", &draft, error))?;
        disk.rename(&draft, &path).map_err(|error| ArchiveError::io("name", &path, error))?;
        disk.sync_directory(directory)
            .map_err(|error| ArchiveError::io("sync directory", directory, error))
    }

    /// Reads the identity; `None` when there is none.
    pub(crate) fn find<D: Disk>(disk: &D, directory: &Path) -> Result<Option<Self>, ArchiveError> {
        let path = directory.join("identity");
        let bytes = match read_file(disk, &path) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let record = match record::decode(&bytes, Kind::Identity, None) {
            Ok(record) => record,
            Err(RecordError::Version(found)) => return Err(ArchiveError::Version { path, found }),
            Err(RecordError::Blank | RecordError::Damaged | RecordError::Foreign(_)) => {
                return Err(ArchiveError::Unreadable { path });
            }
        };
        let identity = Self::decode(record.owner, &record.payload);
        let identity = identity.filter(|identity| identity.check().is_ok());
        identity.map(Some).ok_or(ArchiveError::Unreadable { path })
    }

    fn decode(owner: Owner, payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        let segment_bytes = fields.u64()?;
        let recovery_epoch = RecoveryEpoch(fields.u32()?);
        let count = fields.u32()?;
        let mut voters = Vec::new();
        for _ in 0..count {
            voters.push(MemberId(fields.u16()?));
        }
        let Owner { group, member, incarnation } = owner;
        Some(Self { group, recovery_epoch, member, incarnation, voters, segment_bytes })
    }
}
