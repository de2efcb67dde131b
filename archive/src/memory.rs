//! A disk in memory, for tests of what lies above it. What was not synced may be lost, kept or torn
//! at a crash, in any mixture; calls fail when the test says so.

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_core::hash::mix;

use crate::disk::{Access, Disk};

#[derive(Clone, Debug)]
enum Pending {
    Write { offset: u64, bytes: Vec<u8> },
    Extend(u64),
}

#[derive(Clone, Debug, Default)]
struct Content {
    durable: Vec<u8>,
    live: Vec<u8>,
    pending: Vec<Pending>,
    locked: bool,
}

/// The files of a disk in memory, and how its calls are to fail.
#[derive(Clone, Debug, Default)]
pub struct World {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    directories: BTreeSet<PathBuf>,
    /// Calls that change something, so far.
    pub operations: u64,
    /// Bytes that space was asked for, so far: those that had it already count again.
    pub allocated: u64,
    /// The call that does not return any more.
    pub crash_at: Option<u64>,
    /// How many syncs succeed before one fails.
    pub syncs_left: Option<u64>,
    /// What a sync fails with then; an input/output error if nothing is said.
    pub sync_error: Option<io::ErrorKind>,
    /// How many syncs of directories succeed before one fails.
    pub directory_syncs_left: Option<u64>,
    /// Directories that were synced.
    pub synced_directories: BTreeSet<PathBuf>,
    /// How many writes succeed before one fails with an input/output error.
    pub writes_left: Option<u64>,
    /// Bytes that files may still grow by.
    pub free: Option<u64>,
    /// The most bytes that one write takes.
    pub write_bytes_max: Option<usize>,
    /// How many bytes of writes succeed before there is no space, reserved or not.
    pub write_bytes_left: Option<usize>,
    /// Whether every call that changes something is refused: the file system is read-only now.
    pub read_only: bool,
    /// Bytes of a file that cannot be read, until they are written.
    pub unreadable: Option<(PathBuf, Range<u64>)>,
}

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// The process died: everything written is there, and no more durable than it was.
    Kept,
    /// All is lost.
    Lost,
    /// Each sector's and name's fate is its own.
    Mixed(u64),
}

/// A disk in memory. Copies are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    world: Arc<Mutex<World>>,
}

/// An open file of a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryFile {
    world: Arc<Mutex<World>>,
    id: usize,
    locks: Mutex<bool>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        if *locked(&self.locks) {
            locked(&self.world).files[self.id].locked = false;
        }
    }
}

fn put(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let end = offset as usize + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset as usize..end].copy_from_slice(bytes);
}

impl World {
    fn change(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        match self.crash_at {
            Some(at) if self.operations > at => Err(io::Error::other("the machine is down")),
            _ => Ok(()),
        }
    }

    fn sync_error(&self) -> io::Error {
        self.sync_error.map_or_else(|| io::Error::from_raw_os_error(5), io::Error::from)
    }

    /// Whether some of these bytes of a file cannot be read.
    fn is_unreadable(&self, id: usize, bytes: Range<u64>) -> bool {
        self.unreadable.as_ref().is_some_and(|(path, lost)| {
            let is_there = self.names.get(path) == Some(&id);
            is_there && bytes.start < lost.end && lost.start < bytes.end
        })
    }

    fn grow(&mut self, id: usize, to: u64) -> io::Result<()> {
        let more = to.saturating_sub(self.files[id].live.len() as u64);
        if let Some(free) = &mut self.free {
            *free = free.checked_sub(more).ok_or(io::ErrorKind::StorageFull)?;
        }
        Ok(())
    }
}

impl MemoryDisk {
    /// The files, and how calls are to fail.
    pub fn world(&self) -> MutexGuard<'_, World> {
        locked(&self.world)
    }

    /// The names of all files, in order.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.world().names.keys().cloned().collect()
    }

    /// The bytes of a file as they read now, if it is there.
    #[must_use]
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let world = self.world();
        world.names.get(path).map(|id| world.files[*id].live.clone())
    }

    /// What a machine finds after a crash with `fate`.
    #[must_use]
    pub fn crashed(&self, fate: Fate) -> Self {
        let old = self.world().clone();
        let mut random = 0;
        let mut keeps = |fate: Fate| match fate {
            Fate::Kept | Fate::Lost => false,
            Fate::Mixed(seed) => {
                random = mix(random, seed | 1);
                random & 1 == 0
            }
        };
        if matches!(fate, Fate::Kept) {
            let files = old.files.into_iter().map(|content| Content { locked: false, ..content });
            let files = files.collect();
            let (names, durable_names) = (old.names, old.durable_names);
            let directories = old.directories;
            let world = World { files, names, durable_names, directories, ..World::default() };
            return Self { world: Arc::new(Mutex::new(world)) };
        }
        let mut names = old.durable_names.clone();
        if keeps(fate) {
            names = old.names.clone();
        }
        let mut world = World { directories: old.directories, ..World::default() };
        for content in old.files {
            let mut durable = content.durable;
            for pending in content.pending {
                match pending {
                    Pending::Extend(length) => {
                        if keeps(fate) {
                            durable.resize(durable.len().max(length as usize), 0);
                        }
                    }
                    Pending::Write { offset, bytes } => {
                        let mut at = 0;
                        while at < bytes.len() {
                            let sector_left = 512 - (offset as usize + at) % 512;
                            let end = bytes.len().min(at + sector_left);
                            if keeps(fate) {
                                put(&mut durable, offset + at as u64, &bytes[at..end]);
                            }
                            at = end;
                        }
                    }
                }
            }
            world.files.push(Content { live: durable.clone(), durable, ..Content::default() });
        }
        (world.names, world.durable_names) = (names.clone(), names);
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// Changes the durable bytes of a file, and makes it if it is not there.
    pub fn edit(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut world = self.world();
        if !world.names.contains_key(path) {
            let id = world.files.len();
            world.files.push(Content::default());
            world.names.insert(path.to_owned(), id);
            world.durable_names.insert(path.to_owned(), id);
        }
        let id = world.names[path];
        let content = &mut world.files[id];
        change(&mut content.live);
        content.durable = content.live.clone();
    }
}

impl MemoryDisk {
    /// Removes a file behind everybody's back.
    pub fn forget(&self, path: &Path) {
        let mut world = self.world();
        world.names.remove(path);
        world.durable_names.remove(path);
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn open(&self, path: &Path, access: Access) -> io::Result<MemoryFile> {
        let mut world = self.world();
        let id = match (world.names.get(path).copied(), access) {
            (Some(id), Access::Read | Access::Write | Access::Claim) => id,
            (None, Access::Read | Access::Write) => return Err(io::ErrorKind::NotFound.into()),
            (_, Access::Create | Access::Claim) => {
                world.change()?;
                let id = world.files.len();
                world.files.push(Content::default());
                world.names.insert(path.to_owned(), id);
                id
            }
        };
        Ok(MemoryFile { world: Arc::clone(&self.world), id, locks: Mutex::new(false) })
    }

    fn read_at(&self, file: &MemoryFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let world = self.world();
        if world.is_unreadable(file.id, offset..offset + buffer.len() as u64) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let content = &world.files[file.id].live;
        let from = content.get(offset as usize..).unwrap_or_default();
        let count = from.len().min(buffer.len());
        buffer[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    fn write_at(&self, file: &MemoryFile, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut world = self.world();
        let mut count = bytes.len().min(world.write_bytes_max.unwrap_or(usize::MAX));
        if let Some(left) = &mut world.writes_left {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::from_raw_os_error(5))?;
        }
        if let Some(left) = &mut world.write_bytes_left {
            count = count.min(*left);
            *left -= count;
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        if world.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        world.grow(file.id, offset + count as u64)?;
        let down = world.change();
        // The call during which the machine dies may have done its work, or a part of it.
        if world.crash_at.is_none_or(|at| world.operations <= at + 1) {
            let bytes = bytes[..count].to_vec();
            if world.is_unreadable(file.id, offset..offset + count as u64) {
                world.unreadable = None;
            }
            let content = &mut world.files[file.id];
            put(&mut content.live, offset, &bytes);
            content.pending.push(Pending::Write { offset, bytes });
        }
        down.map(|()| count)
    }

    fn sync(&self, file: &MemoryFile) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        if let Some(left) = &mut world.syncs_left {
            let failed = left.checked_sub(1);
            if failed.is_none() {
                // As Linux does it: the pages are clean now, and never reach the disk.
                world.files[file.id].pending.clear();
            }
            let error = world.sync_error();
            world.syncs_left = Some(failed.ok_or(error)?);
        }
        let content = &mut world.files[file.id];
        for pending in core::mem::take(&mut content.pending) {
            match pending {
                Pending::Write { offset, bytes } => put(&mut content.durable, offset, &bytes),
                Pending::Extend(length) => {
                    let length = content.durable.len().max(length as usize);
                    content.durable.resize(length, 0);
                }
            }
        }
        Ok(())
    }

    fn allocate(&self, file: &MemoryFile, range: Range<u64>) -> io::Result<()> {
        let bytes = range.end;
        let mut world = self.world();
        world.allocated += range.end - range.start;
        world.grow(file.id, bytes)?;
        world.change()?;
        let content = &mut world.files[file.id];
        content.live.resize(content.live.len().max(bytes as usize), 0);
        content.pending.push(Pending::Extend(bytes));
        Ok(())
    }

    fn length(&self, file: &MemoryFile) -> io::Result<u64> {
        Ok(self.world().files[file.id].live.len() as u64)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        let id = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        world.names.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.world().directories.insert(path.to_owned());
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        if let Some(left) = world.directory_syncs_left {
            let error = world.sync_error();
            world.directory_syncs_left = Some(left.checked_sub(1).ok_or(error)?);
        }
        world.synced_directories.insert(path.to_owned());
        let inside = |name: &PathBuf| name.parent() == Some(path);
        let live = world.names.clone().into_iter().filter(|(name, _)| inside(name));
        world.durable_names.retain(|name, _| !inside(name));
        world.durable_names.extend(live);
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let world = self.world();
        if !world.directories.contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let all = world.names.keys().chain(&world.directories);
        let inside = all.filter(|name| name.parent() == Some(directory));
        let names: BTreeSet<_> = inside.filter_map(|name| name.file_name()).collect();
        Ok(names.into_iter().map(OsString::from).collect())
    }

    fn free_bytes(&self, _directory: &Path) -> Option<u64> {
        self.world().free
    }

    fn lock(&self, file: &MemoryFile) -> io::Result<bool> {
        let mut world = self.world();
        let was_locked = core::mem::replace(&mut world.files[file.id].locked, true);
        if !was_locked {
            *locked(&file.locks) = true;
        }
        Ok(!was_locked)
    }

    fn locked_by(&self, _file: &MemoryFile) -> Option<u32> {
        None
    }
}
