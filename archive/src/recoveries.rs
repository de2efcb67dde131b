//! What a directory remembers of forced recoveries: a record that only they write.

use std::path::Path;

use quorate_core::{ForcedRecovery, MemberId, Position, RecoveryEpoch, Term};

use crate::archive::{ROOM_SMALL, sync_names};
use crate::copies::{Copies, CopyState};
use crate::disk::Disk;
use crate::error::ArchiveError;
use crate::identity::Identity;
use crate::payload::Payload;
use crate::record::{Fields, Kind};

/// The name of the record.
pub(crate) const RECOVERIES: &str = "recovery";

/// Forced recoveries that are remembered, at most: the newest.
const RECOVERIES_MAX: usize = 32;

/// A forced recovery, as the directories of those remember it that took part.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RecoveryRecord {
    /// With what they go on.
    pub forced: ForcedRecovery,
    /// Who took part: all others are left behind in the epoch before.
    pub members: Vec<MemberId>,
    /// When, in seconds since 1970 by the clock of the machine.
    pub at_seconds: u64,
}

impl Payload for Vec<RecoveryRecord> {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = (self.len() as u64).to_le_bytes().to_vec();
        for RecoveryRecord { forced, members, at_seconds } in self {
            let ForcedRecovery { epoch, term, chosen, kept, promised } = forced;
            bytes.extend_from_slice(&epoch.0.to_le_bytes());
            bytes.extend_from_slice(&chosen.0.to_le_bytes());
            bytes.extend_from_slice(&(members.len() as u16).to_le_bytes());
            for word in [term.0, kept.0, promised.0, *at_seconds] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
            members.iter().for_each(|member| bytes.extend_from_slice(&member.0.to_le_bytes()));
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let count = fields.u64()?;
        let mut recoveries = Self::new();
        for _ in 0..count {
            let (epoch, chosen) = (RecoveryEpoch(fields.u32()?), MemberId(fields.u16()?));
            let count = fields.u16()?;
            let (term, kept) = (Term(fields.u64()?), Position(fields.u64()?));
            let (promised, at_seconds) = (Position(fields.u64()?), fields.u64()?);
            let members = (0..count).map(|_| fields.u16().map(MemberId)).collect::<Option<_>>()?;
            let forced = ForcedRecovery { epoch, term, chosen, kept, promised };
            recoveries.push(RecoveryRecord { forced, members, at_seconds });
        }
        Some(recoveries)
    }
}

/// The recoveries that a directory remembers, oldest first: those that were done, and at the end
/// perhaps one that was prepared and, here, not done.
///
/// # Errors
/// [`ArchiveError::Unreadable`] if there were some, and neither copy is whole.
pub(crate) fn find<D: Disk>(
    disk: &D,
    directory: &Path,
    identity: &Identity,
) -> Result<Vec<RecoveryRecord>, ArchiveError> {
    type Records = Copies<Vec<RecoveryRecord>>;
    let (kind, owner) = (Kind::Recoveries, identity.owner());
    let found = Records::find(disk, directory, RECOVERIES, kind, owner)?;
    // Torn while it was made, for the first time, it speaks of nothing that was done: the second
    // copy is made when the first is durable. A directory may have been made in a later epoch.
    let is_first = identity.recovery_epoch == RecoveryEpoch(0);
    let is_torn = is_first || found.states.contains(&CopyState::Absent);
    match found.newest {
        Some((_, recoveries)) => Ok(recoveries),
        None if is_torn => Ok(Vec::new()),
        None => {
            let [path, _] = Records::paths(directory, RECOVERIES);
            Err(ArchiveError::Unreadable { path })
        }
    }
}

/// Has the directory remember `recovery` as well, durably.
pub(crate) fn add<D: Disk>(
    disk: &D,
    directory: &Path,
    identity: &Identity,
    recovery: &RecoveryRecord,
) -> Result<(), ArchiveError> {
    let mut all = find(disk, directory, identity)?;
    all.push(recovery.clone());
    all.drain(..all.len().saturating_sub(RECOVERIES_MAX));
    let (kind, owner) = (Kind::Recoveries, identity.owner());
    if all.len() > 1 {
        let (mut copies, ..) = Copies::open(disk, directory, RECOVERIES, kind, owner)?;
        copies.store(disk, &all)?;
    } else {
        Copies::create(disk, directory, RECOVERIES, kind, owner, (&all, ROOM_SMALL))?;
    }
    sync_names(disk, directory)
}

/// The recovery that began the epoch of the directory, if one did.
pub(crate) fn of_epoch(all: &[RecoveryRecord], epoch: RecoveryEpoch) -> Option<ForcedRecovery> {
    let newest = all.iter().rfind(|recovery| recovery.forced.epoch == epoch);
    newest.filter(|_| epoch > RecoveryEpoch(0)).map(|recovery| recovery.forced)
}
