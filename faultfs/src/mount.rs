//! The binding to the kernel: each request of FUSE is a call of the [`Station`].

use core::time::Duration;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, SessionACL, TimeOrNow, WriteFlags,
};

use crate::content::PAGE_BYTES;
use crate::disk::{Attributes, Kind, NodeId, Refusal};
use crate::faults::{Call, Met};
use crate::station::Station;

/// The kernel remembers nothing: each look is one at the disk.
const REMEMBERED: Duration = Duration::ZERO;
/// How often a call that takes long looks whether the power has failed.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
const GENERATION: Generation = Generation(0);
/// The kind of a node in its mode, and a socket there.
const KIND_MASK: u32 = 0o170_000;
const SOCKET: u32 = 0o140_000;
const NAME_BYTES_MAX: u32 = 255;

/// A mounted file system. Dropped, it is taken away.
#[derive(Debug)]
pub struct Mounted {
    session: BackgroundSession,
}

impl Mounted {
    /// Takes it away and waits until it is gone; whoever still uses it, is refused from then on.
    pub fn end(self) {
        // If it is gone already, that is what is wanted.
        let _ = self.session.umount_and_join();
    }
}

/// Mounts a station at a directory.
///
/// # Errors
/// The system refuses it, as text.
pub fn mount(at: &Path, station: Arc<Mutex<Station>>) -> Result<Mounted, String> {
    let mut config = Config::default();
    config.mount_options =
        vec![MountOption::FSName("quorate-faultfs".into()), MountOption::NoAtime];
    config.acl = SessionACL::Owner;
    let session = fuser::spawn_mount(Binding { station }, at, &config);
    let session = session.map_err(|error| format!("cannot mount {}: {error}", at.display()))?;
    Ok(Mounted { session })
}

#[derive(Debug)]
struct Binding {
    station: Arc<Mutex<Station>>,
}

/// A call that has met what meets it, and is to be done now or later.
struct Begun {
    station: Arc<Mutex<Station>>,
    met: Met,
    crashes: u64,
}

impl Begun {
    /// Does it when its time has come; the answer is the work's.
    fn then<T>(
        self,
        work: impl FnOnce(&mut Station, Met) -> Result<T, Refusal> + Send + 'static,
        answer: impl FnOnce(Result<T, Errno>) + Send + 'static,
    ) {
        let (delay, crashes) = (self.met.delay, self.crashes);
        let station = Arc::clone(&self.station);
        let run = move || {
            let mut station = lock(&self.station);
            let passed = station.pass(self.met, self.crashes);
            let done = passed.and_then(|()| work(&mut station, self.met));
            drop(station);
            answer(done.map_err(errno));
        };
        if delay.is_zero() {
            run();
        } else {
            // Others are served meanwhile. Who calls waits, so these are as few as its threads.
            thread::spawn(move || {
                wait(&station, delay, crashes);
                run();
            });
        }
    }
}

/// Waits so long, or until the power fails.
fn wait(station: &Mutex<Station>, delay: Duration, crashes: u64) {
    let begun = Instant::now();
    while lock(station).crashes() == crashes
        && let Some(left) = delay.checked_sub(begun.elapsed())
        && !left.is_zero()
    {
        thread::sleep(left.min(LOOK_INTERVAL));
    }
}

fn lock(station: &Mutex<Station>) -> MutexGuard<'_, Station> {
    station.lock().unwrap_or_else(PoisonError::into_inner)
}

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::NotFound => Errno::ENOENT,
        Refusal::Exists => Errno::EEXIST,
        Refusal::NotEmpty => Errno::ENOTEMPTY,
        Refusal::IsFolder => Errno::EISDIR,
        Refusal::NotFolder => Errno::ENOTDIR,
        Refusal::Full => Errno::ENOSPC,
        Refusal::TooLong => Errno::EFBIG,
        Refusal::Fault(number) => Errno::from_i32(number),
    }
}

fn shown(attributes: &Attributes) -> FileAttr {
    let kind = file_type(attributes.kind);
    FileAttr {
        ino: INodeNo(attributes.node),
        size: attributes.length,
        blocks: attributes.length.div_ceil(512),
        atime: SystemTime::UNIX_EPOCH,
        mtime: SystemTime::UNIX_EPOCH,
        ctime: SystemTime::UNIX_EPOCH,
        crtime: SystemTime::UNIX_EPOCH,
        kind,
        perm: attributes.mode,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: PAGE_BYTES as u32,
        flags: 0,
    }
}

const fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Folder => FileType::Directory,
        Kind::Socket => FileType::Socket,
    }
}

impl Binding {
    fn lock(&self) -> MutexGuard<'_, Station> {
        lock(&self.station)
    }

    fn begin(&self, call: Call, node: INodeNo, name: &OsStr, about: &str) -> Begun {
        let mut station = self.lock();
        let met = station.meet(call, node.0, &name.to_string_lossy(), about);
        Begun { station: Arc::clone(&self.station), met, crashes: station.crashes() }
    }

    fn make(&self, parent: INodeNo, name: &OsStr, kind: Kind, mode: u32, reply: ReplyEntry) {
        let begun = self.begin(Call::Create, parent, name, "");
        let name = name.to_owned();
        let work = move |station: &mut Station, _: Met| {
            let disk = station.disk();
            let node = disk.create(parent.0, &name, kind, mode as u16)?;
            disk.attributes(node)
        };
        begun.then(work, move |made| match made {
            Ok(made) => reply.entry(&REMEMBERED, &shown(&made), GENERATION),
            Err(error) => reply.error(error),
        });
    }

    fn take_away(&self, parent: INodeNo, name: &OsStr, kind: Kind, reply: ReplyEmpty) {
        let begun = self.begin(Call::Remove, parent, name, "");
        let name = name.to_owned();
        let work =
            move |station: &mut Station, _: Met| station.disk().remove(parent.0, &name, kind);
        begun.then(work, |done| empty(reply, done));
    }

    fn resize(
        &self,
        node: INodeNo,
        about: &str,
        work: impl FnOnce(&mut Station) -> Result<(), Refusal> + Send + 'static,
        answer: impl FnOnce(Result<Attributes, Errno>) + Send + 'static,
    ) {
        let begun = self.begin(Call::Resize, node, OsStr::new(""), about);
        let work = move |station: &mut Station, _: Met| {
            work(station)?;
            station.disk().attributes(node.0)
        };
        begun.then(work, answer);
    }

    fn open_node(&self, node: NodeId, reply: ReplyOpen) {
        let begun = self.begin(Call::Open, INodeNo(node), OsStr::new(""), "");
        let work = move |station: &mut Station, _: Met| station.disk().open(node);
        begun.then(work, move |opened| match opened {
            // No cache of the kernel stands between the program and the disk.
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(error),
        });
    }

    fn sync(&self, call: Call, node: INodeNo, reply: ReplyEmpty) {
        let begun = self.begin(call, node, OsStr::new(""), "");
        let work = move |station: &mut Station, met: Met| station.sync(met, node.0);
        begun.then(work, |done| empty(reply, done));
    }
}

fn empty(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Binding {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut station = self.lock();
        let disk = station.disk();
        let found = disk.lookup(parent.0, name).and_then(|node| disk.attributes(node));
        match found {
            Ok(found) => reply.entry(&REMEMBERED, &shown(&found), GENERATION),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.lock().disk().attributes(node.0) {
            Ok(found) => reply.attr(&REMEMBERED, &shown(&found)),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        node: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let answer = move |set: Result<Attributes, Errno>| match set {
            Ok(set) => reply.attr(&REMEMBERED, &shown(&set)),
            Err(error) => reply.error(error),
        };
        let set_mode = move |station: &mut Station| {
            mode.map_or(Ok(()), |mode| station.disk().set_mode(node.0, mode as u16))
        };
        let Some(size) = size else {
            let mut station = self.lock();
            let set = set_mode(&mut station).and_then(|()| station.disk().attributes(node.0));
            return answer(set.map_err(errno));
        };
        let work = move |station: &mut Station| {
            set_mode(station)?;
            station.disk().set_length(node.0, size)
        };
        self.resize(node, &format!("to {size}"), work, answer);
    }

    fn mknod(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let kind = if mode & KIND_MASK == SOCKET { Kind::Socket } else { Kind::File };
        self.make(parent, name, kind, mode, reply);
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        self.make(parent, name, Kind::Folder, mode, reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let begun = self.begin(Call::Create, parent, name, "");
        let name = name.to_owned();
        let work = move |station: &mut Station, _: Met| {
            let disk = station.disk();
            let node = disk.create(parent.0, &name, Kind::File, mode as u16)?;
            disk.open(node)?;
            disk.attributes(node)
        };
        begun.then(work, move |made| match made {
            Ok(made) => reply.created(
                &REMEMBERED,
                &shown(&made),
                GENERATION,
                FileHandle(0),
                FopenFlags::FOPEN_DIRECT_IO,
            ),
            Err(error) => reply.error(error),
        });
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.take_away(parent, name, Kind::File, reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.take_away(parent, name, Kind::Folder, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let to = format!("to {}", newname.to_string_lossy());
        let begun = self.begin(Call::Rename, parent, name, &to);
        let (old, new) = (name.to_owned(), newname.to_owned());
        let work = move |station: &mut Station, _: Met| {
            station.disk().rename((parent.0, &old), (newparent.0, &new))
        };
        begun.then(work, |done| empty(reply, done));
    }

    fn open(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.open_node(node.0, reply);
    }

    fn read(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let begun = self.begin(Call::Read, node, OsStr::new(""), &format!("{offset}+{size}"));
        let work =
            move |station: &mut Station, met: Met| station.read(met, node.0, offset, size as usize);
        begun.then(work, |read| match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        });
    }

    fn write(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let about = format!("{offset}+{}", data.len());
        let begun = self.begin(Call::Write, node, OsStr::new(""), &about);
        let bytes = data.to_vec();
        let work =
            move |station: &mut Station, met: Met| station.write(met, node.0, offset, &bytes);
        begun.then(work, |written| match written {
            Ok(count) => reply.written(count as u32),
            Err(error) => reply.error(error),
        });
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.lock().disk().close(node.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, node: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(Call::Sync, node, reply);
    }

    fn opendir(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.open_node(node.0, reply);
    }

    fn readdir(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut station = self.lock();
        let disk = station.disk();
        let names = match disk.list(node.0) {
            Ok(names) => names,
            Err(refusal) => return reply.error(errno(refusal)),
        };
        let dots = [(".".into(), node.0), ("..".into(), node.0)];
        let all = dots.into_iter().chain(names).zip(1..);
        for ((name, id), next) in all.skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            let kind = disk.attributes(id).map_or(Kind::File, |found| found.kind);
            if reply.add(INodeNo(id), next, file_type(kind), name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.lock().disk().close(node.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, node: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(Call::SyncFolder, node, reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let (used, most) = self.lock().disk().pages();
        let (most, free) = (most as u64, most.saturating_sub(used) as u64);
        let page = PAGE_BYTES as u32;
        reply.statfs(most, free, free, most, free, page, NAME_BYTES_MAX, page);
    }

    fn fallocate(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if mode != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let end = offset.saturating_add(length);
        let work = move |station: &mut Station| station.disk().allocate(node.0, end);
        self.resize(node, &format!("for {end}"), work, |done| empty(reply, done.map(|_| ())));
    }
}
