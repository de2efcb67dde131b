//! A backup that is read, every byte of it, and directories for the members of a new group.
//!
//! Nothing is written before all of the backup has verified; and what is copied of it then is
//! verified again, chunk by chunk, before the directory gets its identity, without which no member
//! starts from it.

use std::path::{Path, PathBuf};

use quorate_core::{
    GroupSeed, GroupTag, Incarnation, Position, RecoveryEpoch, Snapshot, SnapshotPoint, mutant,
};

use crate::archive::{Content, init_with};
use crate::backup::{Backup, LAYOUT, Progress, Step, Watch};
use crate::backup_error::BackupError;
use crate::disk::{self, Access, Disk, RealDisk};
use crate::draft::Digest;
use crate::error::ArchiveError;
use crate::identity::Identity;
use crate::lock::Lock;
use crate::log::{BLOCK_BYTES, Log};
use crate::marks::Marks;
use crate::payload::{DurableMark, HistoryAndCut};
use crate::record::{self, Fields, Kind, RECORD_HEADER_BYTES, RecordError};
use crate::shared::{Ground, Shared};
use crate::snapshots::{Chunks, Manifest, Snapshots};

/// The generation of the history in an archive that was just made.
const FIRST_GENERATION: u64 = 1;

/// A backup every byte of which was read and verified.
#[derive(Debug)]
pub struct WholeBackup<D: Disk = RealDisk> {
    disk: D,
    path: PathBuf,
    backup: Backup,
    manifest: Manifest,
    seed: GroupSeed,
}

impl WholeBackup<RealDisk> {
    /// Reads and verifies the backup `path`. Changes nothing.
    ///
    /// # Errors
    /// [`BackupError::NoBackup`], [`BackupError::Damaged`], [`BackupError::Layout`] and
    /// [`BackupError::State`]; what the disk says.
    pub fn open(path: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Self, BackupError> {
        Self::open_on(&RealDisk, path, progress)
    }
}

impl<D: Disk> WholeBackup<D> {
    /// As [`WholeBackup::open`], on a file system of the caller's.
    ///
    /// # Errors
    /// As [`WholeBackup::open`].
    pub fn open_on(
        disk: &D,
        path: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, BackupError> {
        let (backup, manifest) = read_front(disk, path)?;
        let mut core = Vec::new();
        let file = Stream { disk, path, manifest: &manifest };
        file.pass(Step::Verify, progress, |part, of_core| {
            if of_core {
                core.extend_from_slice(part);
            }
            Ok(())
        })?;
        let snapshot = Snapshot { point: manifest.point, core };
        let seed = snapshot.seed();
        let seed = seed.map_err(|reason| BackupError::State { path: path.to_owned(), reason })?;
        Ok(Self { disk: disk.clone(), path: path.to_owned(), backup, manifest, seed })
    }

    /// What it says of itself.
    #[must_use]
    pub const fn backup(&self) -> &Backup {
        &self.backup
    }

    /// What members begin with that are made of it.
    #[must_use]
    pub const fn seed(&self) -> &GroupSeed {
        &self.seed
    }

    /// Whether `directory` can be made for the member that `identity` says: of another group than
    /// that of the backup, among the voters of its own, in the first of its incarnations and in
    /// recovery epoch 0, where nothing is. Changes nothing.
    ///
    /// # Errors
    /// [`BackupError::SameGroup`], [`BackupError::NotEmpty`], [`ArchiveError::Identity`].
    pub fn check(&self, directory: &Path, identity: &Identity) -> Result<(), BackupError> {
        let (old, new) = (&self.backup, identity);
        let former = GroupTag::new(old.owner.group, old.recovery_epoch);
        let is_same =
            new.group == old.owner.group || GroupTag::new(new.group, new.recovery_epoch) == former;
        if is_same && !mutant::is(mutant::RESTORED_INTO_ITS_OWN_GROUP) {
            return Err(BackupError::SameGroup { group: old.owner.group });
        }
        let refuse = |reason| Err(BackupError::Archive(ArchiveError::Identity { reason }));
        if (new.incarnation, new.recovery_epoch) != (Incarnation::FIRST, RecoveryEpoch(0)) {
            return refuse("a new group begins with its first incarnations, in recovery epoch 0");
        }
        if !new.voters.contains(&new.member) {
            return refuse("the member is none of the voters");
        }
        match self.disk.list(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(ArchiveError::io("list", directory, error).into()),
            Ok(names) => names.first().map_or(Ok(()), |name| {
                let (directory, found) = (directory.to_owned(), name.display().to_string());
                Err(BackupError::NotEmpty { directory, found })
            }),
        }
    }

    /// Makes `directory` for the member that `identity` says. All members of a group that are made
    /// of one backup are level with each other.
    ///
    /// # Errors
    /// As [`WholeBackup::check`]; [`BackupError::Damaged`] if the file has changed since; what the
    /// disk says. No member starts from what is left then: it is to be emptied.
    pub fn restore(
        &self,
        directory: &Path,
        identity: &Identity,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), BackupError> {
        self.check(directory, identity)?;
        let (history, origin) = (self.seed.history.clone(), self.seed.snapshot.point);
        let history = HistoryAndCut { history, cut: Position::ZERO };
        let content = Content { history, peers: Vec::new(), origin };
        // What is wrong with the backup is told as that.
        let mut cause = None;
        let made = init_with(&self.disk, directory, identity, &content, |log, lock| {
            self.fill(log, lock, origin, progress).map_err(|error| match error {
                BackupError::Archive(error) => error,
                other => {
                    let (path, what) = (self.path.clone(), "has changed");
                    cause = Some(other);
                    ArchiveError::Snapshot { path, what }
                }
            })
        });
        match cause {
            Some(cause) => Err(cause),
            None => Ok(made?),
        }
    }

    /// Says that the log begins where the snapshot stands, and stores that.
    fn fill(
        &self,
        log: Log<D>,
        lock: Lock<D>,
        origin: SnapshotPoint,
        progress: Watch<'_>,
    ) -> Result<(), BackupError> {
        let end = origin.position.0;
        let mut marks = Marks::find(&log)?;
        marks.write(&log, DurableMark { position: end, history_generation: FIRST_GENERATION })?;
        log.sync(marks.segment(), marks.segment())?;
        let ground = Ground { origin, ..Ground::default() };
        let shared = Shared::new(self.disk.clone(), log, lock, ground, end);
        let mut store = Snapshots::new(shared.into(), 1, Default::default());
        let mut storing = store.begin(&self.seed.snapshot, self.manifest.service_bytes)?;
        let file = Stream { disk: &self.disk, path: &self.path, manifest: &self.manifest };
        file.pass(
            Step::Restore,
            progress,
            |part, of_core| {
                if of_core { Ok(()) } else { Ok(storing.take(part)?) }
            },
        )?;
        Ok(store.publish(storing, None)?)
    }
}

/// What the front of a backup says, if it and the length of the file are as they were written.
fn read_front<D: Disk>(disk: &D, path: &Path) -> Result<(Backup, Manifest), BackupError> {
    let no_backup = || BackupError::NoBackup { path: path.to_owned() };
    let read = |error| ArchiveError::io("read", path, error);
    let file = disk.open(path, Access::Read).map_err(read)?;
    let mut block = [0; BLOCK_BYTES as usize];
    let length = disk::read_full(disk, &file, &mut block, 0).map_err(read)?;
    let record = match record::decode(&block[..length], Kind::Backup, None) {
        Ok(record) => record,
        Err(RecordError::Version(found)) => {
            return Err(BackupError::Layout { path: path.to_owned(), found });
        }
        Err(RecordError::Blank | RecordError::Damaged | RecordError::Foreign(_)) => {
            return Err(no_backup());
        }
    };
    let found = Fields(&record.payload).u16().ok_or_else(no_backup)?;
    if found != LAYOUT {
        return Err(BackupError::Layout { path: path.to_owned(), found });
    }
    let said = Backup::decode(record.owner, &record.payload);
    let (backup, manifest) = said.ok_or_else(no_backup)?;
    let front = RECORD_HEADER_BYTES + record.payload.len();
    if let Some(at) = block[..length].iter().skip(front).position(|byte| *byte != 0) {
        let offset = (front + at) as u64;
        return Err(BackupError::damaged(path, offset, "has something behind its front"));
    }
    let length = disk.length(&file).map_err(read)?;
    if manifest.file_bytes() != Some(length) {
        return Err(BackupError::damaged(path, length, "does not end where its front says"));
    }
    Ok((backup, manifest))
}

/// The bytes of a backup behind its front.
struct Stream<'a, D: Disk> {
    disk: &'a D,
    path: &'a Path,
    manifest: &'a Manifest,
}

impl<D: Disk> Stream<'_, D> {
    /// Hands the parts over, those of the core first, each of which verifies, and says at the end
    /// whether they are all there were.
    fn pass(
        &self,
        step: Step,
        progress: Watch<'_>,
        mut take: impl FnMut(&[u8], bool) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        let Self { disk, path, manifest } = *self;
        let mut chunks = Chunks::open(disk, path, manifest)?;
        let mut digest = Digest::new(manifest);
        for index in 0..manifest.chunks() {
            let chunk = match chunks.read(index) {
                Ok(chunk) => chunk,
                Err(ArchiveError::Snapshot { what, .. }) => {
                    return Err(BackupError::damaged(path, manifest.offset_of(index), what));
                }
                Err(error) => return Err(error.into()),
            };
            let start = index * u64::from(manifest.chunk_bytes);
            let border = manifest.core_bytes.saturating_sub(start).min(chunk.len() as u64) as usize;
            digest.add(chunk);
            take(&chunk[..border], true)?;
            take(&chunk[border..], false)?;
            let (done, of) = (start + chunk.len() as u64, manifest.stream_bytes());
            progress(Progress { step, done, of });
        }
        if digest.value != manifest.digest {
            return Err(BackupError::damaged(path, 0, "has other chunks than its front says"));
        }
        Ok(())
    }
}
