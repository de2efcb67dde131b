//! Two that form a group in one directory at the same time.

use core::ops::Range;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use quorate_core::{MemberId, Term, Vote};

use super::builder::{OPTIONS, identity};
use crate::disk::{Access, Disk};
use crate::memory::{MemoryDisk, MemoryFile};
use crate::{Archive, ArchiveError, init_on};

const DIRECTORY: &str = "/data/group/member";
const VOTE: Vote = Vote { term: Term(5), granted_to: Some(MemberId(1)) };

/// What another process does.
type Meanwhile = fn(&MemoryDisk);

/// A disk on which another process does something just before the mark is opened.
#[derive(Clone, Debug)]
struct Raced {
    disk: MemoryDisk,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

impl Raced {
    fn new(meanwhile: Meanwhile) -> Self {
        Self { disk: MemoryDisk::default(), meanwhile: Arc::new(Mutex::new(Some(meanwhile))) }
    }
}

impl Disk for Raced {
    type File = MemoryFile;

    fn open(&self, path: &Path, access: Access) -> io::Result<MemoryFile> {
        if path.ends_with("mark")
            && let Some(meanwhile) = self.meanwhile.lock().unwrap().take()
        {
            meanwhile(&self.disk);
        }
        self.disk.open(path, access)
    }

    fn read_at(&self, file: &MemoryFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.read_at(file, buffer, offset)
    }

    fn write_at(&self, file: &MemoryFile, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.disk.write_at(file, bytes, offset)
    }

    fn sync(&self, file: &MemoryFile) -> io::Result<()> {
        self.disk.sync(file)
    }

    fn allocate(&self, file: &MemoryFile, range: Range<u64>) -> io::Result<()> {
        self.disk.allocate(file, range)
    }

    fn length(&self, file: &MemoryFile) -> io::Result<u64> {
        self.disk.length(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.disk.list(directory)
    }

    fn free_bytes(&self, directory: &Path) -> Option<u64> {
        self.disk.free_bytes(directory)
    }

    fn lock(&self, file: &MemoryFile) -> io::Result<bool> {
        self.disk.lock(file)
    }

    fn locked_by(&self, file: &MemoryFile) -> Option<u32> {
        self.disk.locked_by(file)
    }
}

#[test]
fn what_another_formed_and_promised_meanwhile_is_not_made_anew() {
    let raced = Raced::new(|disk| {
        init_on(disk, Path::new(DIRECTORY), &identity()).unwrap();
        let (archive, _) = Archive::open_on(disk.clone(), Path::new(DIRECTORY), &OPTIONS).unwrap();
        let (_, mut syncer, _) = archive.split();
        syncer.persist_vote(&VOTE).unwrap();
    });
    let error = init_on(&raced, Path::new(DIRECTORY), &identity()).unwrap_err();
    assert!(matches!(error, ArchiveError::AlreadyInitialised { .. }), "{error}");
    let (_, recovered) = Archive::open_on(raced.disk, Path::new(DIRECTORY), &OPTIONS).unwrap();
    assert_eq!((recovered.vote, recovered.life.boot_epoch.0), (VOTE, 2));
}

#[test]
fn an_init_that_died_meanwhile_is_not_taken_over() {
    let raced = Raced::new(|disk| {
        drop(disk.open(&Path::new(DIRECTORY).join("vote.0"), Access::Create).unwrap());
    });
    let error = init_on(&raced, Path::new(DIRECTORY), &identity()).unwrap_err();
    assert!(matches!(error, ArchiveError::Unfinished { .. }), "{error}");
}

#[test]
fn the_names_of_all_directories_that_init_makes_are_durable() {
    let disk = MemoryDisk::default();
    init_on(&disk, Path::new(DIRECTORY), &identity()).unwrap();
    let synced = disk.world().synced_directories.clone();
    for directory in ["/", "/data", "/data/group", DIRECTORY, "/data/group/member/log"] {
        assert!(synced.contains(Path::new(directory)), "{directory}: {synced:?}");
    }
}
