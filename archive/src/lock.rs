//! The mark file: it exists once the directory was prepared, and locks it for one process.

use std::path::{Path, PathBuf};
use std::process;

use crate::copies::read_file;
use crate::disk::{self, Access, Disk};
use crate::error::ArchiveError;
use crate::record::{self, Fields, Kind, Owner};

/// The mark file of `directory`.
pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join("mark")
}

/// The lock of a directory, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock<D: Disk> {
    disk: D,
    file: D::File,
}

impl<D: Disk> Drop for Lock<D> {
    fn drop(&mut self) {
        self.disk.unlock(&self.file);
    }
}

/// Creates the mark file and takes its lock; then asks `check` whether the directory is still what
/// it was before the lock was held, and only if so writes the mark.
pub(crate) fn create<D: Disk>(
    disk: &D,
    directory: &Path,
    owner: Owner,
    check: impl FnOnce() -> Result<(), ArchiveError>,
) -> Result<Lock<D>, ArchiveError> {
    let path = path(directory);
    // It may be another process's by now: nothing in it is touched before the lock is held.
    let file = disk
        .open(&path, Access::Claim)
        .map_err(|error| ArchiveError::io("create", &path, error))?;
    let lock = take(disk, file, &path)?;
    check()?;
    write(disk, &lock.file, &path, owner)?;
    disk.sync(&lock.file).map_err(|error| ArchiveError::io("sync", &path, error))?;
    Ok(lock)
}

/// Takes the lock of `directory`; it is held until what is returned is dropped.
pub(crate) fn acquire<D: Disk>(
    disk: &D,
    directory: &Path,
    owner: Owner,
) -> Result<Lock<D>, ArchiveError> {
    let path = path(directory);
    let file = match disk.open(&path, Access::Write) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ArchiveError::Missing { path });
        }
        Err(error) => return Err(ArchiveError::io("open", &path, error)),
    };
    let lock = take(disk, file, &path)?;
    // Only for whoever asks; nothing depends on it after a crash, so it is not synced.
    write(disk, &lock.file, &path, owner)?;
    Ok(lock)
}

/// Which process holds the lock, as far as the system can tell. Takes no lock.
pub(crate) fn holder<D: Disk>(disk: &D, directory: &Path) -> Option<u32> {
    let file = disk.open(&path(directory), Access::Read).ok()?;
    disk.locked_by(&file)
}

fn take<D: Disk>(disk: &D, file: D::File, path: &Path) -> Result<Lock<D>, ArchiveError> {
    match disk.lock(&file) {
        Ok(true) => Ok(Lock { disk: disk.clone(), file }),
        Ok(false) => {
            let pid = disk.locked_by(&file).or_else(|| written_pid(disk, path));
            Err(ArchiveError::Locked { path: path.to_owned(), pid })
        }
        Err(error) => Err(ArchiveError::io("lock", path, error)),
    }
}

fn write<D: Disk>(disk: &D, file: &D::File, path: &Path, owner: Owner) -> Result<(), ArchiveError> {
    let bytes = record::encode(Kind::Mark, 1, owner, &process::id().to_le_bytes());
    disk::write_full(disk, file, &bytes, 0)
        .map_err(|error| ArchiveError::space("write", path, error))
}

fn written_pid<D: Disk>(disk: &D, path: &Path) -> Option<u32> {
    let bytes = read_file(disk, path).ok()?;
    let record = record::decode(&bytes, Kind::Mark, None).ok()?;
    Fields(&record.payload).u32()
}
