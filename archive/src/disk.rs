//! The port to the file system: everything that the archive asks of it, so that tests can make
//! each call fail.

use core::fmt::Debug;
use core::num::NonZeroU64;
use core::ops::Range;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags, FlockOperation};
use rustix::process::{Flock, FlockType};

/// A multiple of what the system caches at a time, on the machines that there are.
const PAGE_BYTES: u64 = 64 << 10;

/// How a file is opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// For reading only.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; created empty, and emptied if it exists.
    Create,
    /// For reading and writing; created empty, and left as it is if it exists.
    Claim,
}

/// What the archive needs of a file system. Files are written at explicit offsets, and nothing is
/// durable before [`Disk::sync`] of the file, nor a name before [`Disk::sync_directory`].
pub trait Disk: Clone + Debug + Send + Sync + 'static {
    /// An open file.
    type File: Debug + Send + Sync + 'static;

    /// Opens a file.
    ///
    /// # Errors
    /// Those of the file system.
    fn open(&self, path: &Path, access: Access) -> io::Result<Self::File>;

    /// Reads into `buffer` from `offset` on; returns how many bytes there were, zero at the end.
    ///
    /// # Errors
    /// Those of the file system.
    fn read_at(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes `bytes` at `offset`, perhaps only the first of them; returns how many.
    ///
    /// # Errors
    /// Those of the file system.
    fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes the content and length of a file durable.
    ///
    /// # Errors
    /// Those of the file system. After one nothing is known about what was written (E43).
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Reserves the space for a range of bytes of a file, and makes it at least so long that they
    /// are within; new bytes are zero. What lies before the range is not looked at: file systems in
    /// memory go through all pages that they are asked for, those that they have as well.
    ///
    /// # Errors
    /// Those of the file system, [`io::ErrorKind::StorageFull`] among them.
    fn allocate(&self, file: &Self::File, range: Range<u64>) -> io::Result<()>;

    /// The length of a file.
    ///
    /// # Errors
    /// Those of the file system.
    fn length(&self, file: &Self::File) -> io::Result<u64>;

    /// Renames a file, replacing what has the new name.
    ///
    /// # Errors
    /// Those of the file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of the file system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory and those above it; it may exist.
    ///
    /// # Errors
    /// Those of the file system.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Those of the file system.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// Those of the file system.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;

    /// How many bytes can still be written to the file system of `directory`, if it can tell.
    fn free_bytes(&self, directory: &Path) -> Option<u64>;

    /// Asks the system to keep no copy of these bytes in memory, so that the next read is of the
    /// disk. What is not written yet stays. Where it cannot be asked for, nothing is done.
    fn forget_cached(&self, file: &Self::File, offset: u64, bytes: u64) {
        let _ = (file, offset, bytes);
    }

    /// Locks a file for this process and all others; false if it is locked already. The lock ends
    /// when the file is closed, also by the death of the process.
    ///
    /// # Errors
    /// Those of the file system.
    fn lock(&self, file: &Self::File) -> io::Result<bool>;

    /// Gives up the lock of a file, whoever else has it open: a child that another thread is just
    /// starting has a copy of every open file until it runs its own program.
    fn unlock(&self, _file: &Self::File) {}

    /// Which other process holds the lock of a file, as far as the system can tell. Takes no lock.
    fn locked_by(&self, file: &Self::File) -> Option<u32>;
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    type File = File;

    fn open(&self, path: &Path, access: Access) -> io::Result<File> {
        let mut options = OpenOptions::new();
        match access {
            Access::Read => options.read(true),
            Access::Write => options.read(true).write(true),
            Access::Create => options.read(true).write(true).create(true).truncate(true),
            Access::Claim => options.read(true).write(true).create(true).truncate(false),
        };
        options.open(path)
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn allocate(&self, file: &File, range: Range<u64>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let (mode, bytes) = (FallocateFlags::empty(), range.end - range.start);
        let reserve = || rustix::fs::fallocate(file, mode, range.start, bytes);
        // A signal is no reason to give up: of some file systems it ends the call.
        match rustix::io::retry_on_intr(reserve) {
            Ok(()) => Ok(()),
            // Not every file system reserves; written zeros take the space there.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                let zeros = [0; 64 << 10];
                let mut at = file.metadata()?.len();
                while at < range.end {
                    let length = (range.end - at).min(zeros.len() as u64) as usize;
                    file.write_all_at(&zeros[..length], at)?;
                    at += length as u64;
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn length(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn free_bytes(&self, directory: &Path) -> Option<u64> {
        let found = rustix::fs::statvfs(directory).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn forget_cached(&self, file: &File, offset: u64, bytes: u64) {
        // The system lets go of whole pages only.
        let start = offset - offset % PAGE_BYTES;
        let end = (offset + bytes).next_multiple_of(PAGE_BYTES);
        // Advice: where it is not taken, what is cached is read.
        let _ = rustix::fs::fadvise(file, start, NonZeroU64::new(end - start), Advice::DontNeed);
    }

    fn lock(&self, file: &File) -> io::Result<bool> {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        // The first lock excludes; this one can be asked for its owner without being taken, and
        // a file system that has none loses only that answer.
        let _ = rustix::fs::fcntl_lock(file, FlockOperation::NonBlockingLockExclusive);
        Ok(true)
    }

    fn unlock(&self, file: &File) {
        // If it fails, closing the file ends the lock.
        let _ = rustix::fs::flock(file, FlockOperation::Unlock);
    }

    fn locked_by(&self, file: &File) -> Option<u32> {
        let wanted = Flock::from(FlockType::WriteLock);
        let held = rustix::process::fcntl_getlk(file, &wanted).ok()??;
        held.pid.map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
    }
}

/// Reads until `buffer` is full or the file ends; returns how many bytes there were.
pub(crate) fn read_full<D: Disk>(
    disk: &D,
    file: &D::File,
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match disk.read_at(file, &mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all of `bytes`, however many calls it takes.
pub(crate) fn write_full<D: Disk>(
    disk: &D,
    file: &D::File,
    bytes: &[u8],
    offset: u64,
) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match disk.write_at(file, &bytes[done..], offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether an error says that there is no space: the one error that may pass (E48).
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
