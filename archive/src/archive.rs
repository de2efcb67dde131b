//! Makes an archive, and opens one.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use quorate_core::{BootEpoch, Life, PeerRecord, Position, Recovered, SnapshotPoint, Vote};

use crate::copies::Copies;
use crate::disk::{Access, Disk, RealDisk};
use crate::error::ArchiveError;
use crate::identity::Identity;
use crate::lock::{self, Lock};
use crate::log::{Log, log_directory};
use crate::payload::HistoryAndCut;
use crate::reader::Reader;
use crate::record::{Kind, Owner};
use crate::recoveries::{self, RECOVERIES};
use crate::recovery::{Beginning, Candidates, Repairs, recover};
use crate::scrub::Scrub;
use crate::shared::{Ground, Shared};
use crate::snapshots::{self, Snapshots, snapshot_directory};
use crate::syncer::Syncer;
use crate::writer::Writer;

/// The names of the records that are kept twice.
pub(crate) const BOOT: &str = "boot";
pub(crate) const VOTE: &str = "vote";
pub(crate) const HISTORY: &str = "history";
pub(crate) const PEERS: &str = "peers";
pub(crate) const ORIGIN: &str = "origin";

/// Room that is reserved for small records, and for histories (of 1,300 terms).
pub(crate) const ROOM_SMALL: u64 = 4 << 10;
const ROOM_HISTORY: u64 = 64 << 10;

/// How an archive is opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// The largest frame that the group ever wrote: a quarter of the largest window. Recovery takes
    /// this much memory, and takes a larger frame for a bad one.
    pub frame_bytes_max: u64,
    /// The boot epoch is this at least, and one more than the last that the directory knows of.
    /// From a clock (milliseconds since 1970), it is new even for a directory that was replaced by
    /// an older copy of itself, which has forgotten some of its lives (rule 9, E47).
    pub boot_epoch_min: u64,
    /// How many snapshots are kept: at least two, for the newest may be broken, or may stand where
    /// the log's disk was not yet.
    pub snapshots_kept: usize,
}

impl Options {
    /// Options for a log whose frames take at most `frame_bytes_max`.
    #[must_use]
    pub const fn new(frame_bytes_max: u64) -> Self {
        Self { frame_bytes_max, boot_epoch_min: 0, snapshots_kept: 2 }
    }

    /// These options, with a least boot epoch.
    #[must_use]
    pub const fn with_boot_epoch_min(self, boot_epoch_min: u64) -> Self {
        Self { boot_epoch_min, ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new(4 << 20)
    }
}

/// The durable log of one member, open and locked; to be split among the threads that use it.
#[derive(Debug)]
pub struct Archive<D: Disk = RealDisk> {
    writer: Writer<D>,
    syncer: Syncer<D>,
    reader: Reader<D>,
    identity: Identity,
    repairs: Repairs,
    service: Option<Vec<u8>>,
    shared: Arc<Shared<D>>,
    options: Options,
}

/// Makes an archive for `identity` in `directory`, which may exist if it holds none: an explicit
/// act, once for a directory (rule 9).
///
/// # Errors
/// [`ArchiveError::AlreadyInitialised`] or [`ArchiveError::Unfinished`] when there is one, or a
/// part of one; [`ArchiveError::Identity`]; [`ArchiveError::Io`] and [`ArchiveError::Full`].
pub fn init(directory: &Path, identity: &Identity) -> Result<(), ArchiveError> {
    init_on(&RealDisk, directory, identity)
}

/// As [`init`], on a file system of the caller's.
///
/// # Errors
/// As [`init`].
pub fn init_on<D: Disk>(
    disk: &D,
    directory: &Path,
    identity: &Identity,
) -> Result<(), ArchiveError> {
    init_with(disk, directory, identity, &Content::default(), |_, _| Ok(()))
}

/// What an archive is made with.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) history: HistoryAndCut,
    pub(crate) peers: Vec<PeerRecord>,
    pub(crate) origin: SnapshotPoint,
}

/// Makes an archive with `content`, to whose log `fill` adds what it has. It is one only once all
/// of that is durable.
pub(crate) fn init_with<D: Disk>(
    disk: &D,
    directory: &Path,
    identity: &Identity,
    content: &Content,
    fill: impl FnOnce(Log<D>, Lock<D>) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    identity.check()?;
    create_directories(disk, directory)?;
    refuse_existing(disk, directory, is_ours)?;
    let owner = identity.owner();
    // Another `init` may have come in between, and a member that ran and voted: looked at again
    // under the lock, nothing of them is made anew (rule 9).
    let lock = lock::create(disk, directory, owner, || {
        refuse_existing(disk, directory, |name| name != "mark" && is_ours(name))
    })?;
    let log_path = log_directory(directory);
    disk.create_directory(&log_path)
        .map_err(|error| ArchiveError::io("create", &log_path, error))?;
    let log = Log::new(disk.clone(), directory, identity, Access::Write);
    log.create_first(content.origin.position)?;
    let boot = (&BootEpoch(0), ROOM_SMALL);
    Copies::create(disk, directory, BOOT, Kind::Boot, owner, boot)?;
    let vote = (&Vote::default(), ROOM_SMALL);
    Copies::create(disk, directory, VOTE, Kind::Vote, owner, vote)?;
    let history = (&content.history, ROOM_HISTORY);
    Copies::create(disk, directory, HISTORY, Kind::History, owner, history)?;
    let peers = (&content.peers, ROOM_SMALL);
    Copies::create(disk, directory, PEERS, Kind::Peers, owner, peers)?;
    let origin = (&content.origin, ROOM_SMALL);
    Copies::create(disk, directory, ORIGIN, Kind::Origin, owner, origin)?;
    // The directory stays locked until this is done with the lock.
    fill(log, lock)?;
    sync_names(disk, directory)?;
    // Last of all: an archive without an identity was never used.
    identity.create(disk, directory)
}

impl Archive<RealDisk> {
    /// Opens the archive in `directory`: locks it, recovers the log, and begins a new life, whose
    /// boot epoch is durable when this returns.
    ///
    /// # Errors
    /// Any [`ArchiveError`] but the caller's own mistakes. Nothing is ever made anew that is
    /// missing (rule 9).
    pub fn open(directory: &Path, options: &Options) -> Result<(Self, Recovered), ArchiveError> {
        Self::open_on(RealDisk, directory, options)
    }
}

impl<D: Disk> Archive<D> {
    /// As [`Archive::open`], on a file system of the caller's.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn open_on(
        disk: D,
        directory: &Path,
        options: &Options,
    ) -> Result<(Self, Recovered), ArchiveError> {
        let identity = find_identity(&disk, directory)?;
        let owner = identity.owner();
        let lock = lock::acquire(&disk, directory, owner)?;
        sync_names(&disk, directory)?;
        let mut records = Records { disk: &disk, directory, owner, repaired: Vec::new() };
        let (vote_copies, vote) = records.open(VOTE, Kind::Vote)?;
        let (history_copies, history) = records.open::<HistoryAndCut>(HISTORY, Kind::History)?;
        let (peers_copies, peers) = records.open(PEERS, Kind::Peers)?;
        let (mut boot_copies, boot) = records.open::<BootEpoch>(BOOT, Kind::Boot)?;
        let recoveries = recoveries::find(&disk, directory, &identity)?;
        let (origin_copies, origin) = records.open::<SnapshotPoint>(ORIGIN, Kind::Origin)?;
        let mut repairs = Repairs { copies: records.repaired, ..Repairs::default() };
        let log = Log::new(disk.clone(), directory, &identity, Access::Write);
        log.find(origin.position)?;
        let generation = history_copies.generation();
        let snapshots = snapshot_directory(directory);
        repairs.drafts = snapshots::remove_drafts(&disk, &snapshots)?;
        let mut candidates = Candidates(snapshots::find(&disk, &snapshots, owner)?);
        let beginning = Beginning { origin, points: &candidates.points() };
        let bytes_max = options.frame_bytes_max;
        let found = recover(&log, &history, generation, bytes_max, beginning, &mut repairs)?;
        let newest = candidates.newest(&disk, &found, &mut repairs);
        check_beginning(&snapshots, origin.position, newest.is_some())?;
        let (snapshot, service) = newest.map(|(core, service)| (Box::new(core), service)).unzip();
        let life = begin_life(&disk, owner, (&mut boot_copies, boot), options)?;
        let ground = Ground { origin, history: Arc::new(history.history.clone()) };
        let shared = Arc::new(Shared::new(disk, log, lock, ground, found.end.0));
        let syncer = Syncer {
            shared: Arc::clone(&shared),
            durable: found.end.0,
            marks: found.marks,
            vote: vote_copies,
            history: history_copies,
            peers: peers_copies,
            origin: origin_copies,
        };
        let recovered = Recovered {
            life,
            vote,
            history: history.history,
            origin,
            log_end: found.end,
            chain: found.chain,
            log_time: found.time,
            opened: found.opened,
            memberships: found.memberships,
            peers,
            snapshot,
            forced: recoveries::of_epoch(&recoveries, identity.recovery_epoch),
        };
        let (writer, reader) = (Writer::new(Arc::clone(&shared)), Reader::new(Arc::clone(&shared)));
        let options = *options;
        let archive = Self { writer, syncer, reader, identity, repairs, service, shared, options };
        Ok((archive, recovered))
    }

    /// The service's state in the snapshot that `Recovered::snapshot` names, if there is one. It is
    /// given away once.
    pub const fn take_service_state(&mut self) -> Option<Vec<u8>> {
        self.service.take()
    }

    /// What stores snapshots; one of them at a time.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots<D> {
        let broken = self.repairs.snapshots.iter().map(|passed_over| passed_over.position.0);
        Snapshots::new(Arc::clone(&self.shared), self.options.snapshots_kept, broken.collect())
    }

    /// What reads all that is stored again, bit by bit, on a thread of its own.
    #[must_use]
    pub fn scrub(&self) -> Scrub<D> {
        Scrub::new(Arc::clone(&self.shared), self.options.frame_bytes_max)
    }

    /// Whose archive it is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What had to be put in order at opening.
    #[must_use]
    pub const fn repairs(&self) -> &Repairs {
        &self.repairs
    }

    /// The parts: for the loop's thread, for the thread that waits for the disk, and for any. The
    /// directory stays locked until all are dropped.
    #[must_use]
    pub fn split(self) -> (Writer<D>, Syncer<D>, Reader<D>) {
        (self.writer, self.syncer, self.reader)
    }
}

/// Whose archive is in `directory`, for whoever wants to know before it is opened. Changes nothing.
///
/// # Errors
/// [`ArchiveError::NotInitialised`] or [`ArchiveError::Unfinished`] when there is none,
/// [`ArchiveError::Unreadable`], [`ArchiveError::Version`] and [`ArchiveError::Io`].
pub fn identify(directory: &Path) -> Result<Identity, ArchiveError> {
    find_identity(&RealDisk, directory)
}

/// The identity, which is there when anything is.
pub(crate) fn find_identity<D: Disk>(disk: &D, directory: &Path) -> Result<Identity, ArchiveError> {
    find_identity_or(disk, directory, is_ours)
}

/// The identity, which is there when a name is that `counts`.
fn find_identity_or<D: Disk>(
    disk: &D,
    directory: &Path,
    counts: impl Fn(&OsStr) -> bool,
) -> Result<Identity, ArchiveError> {
    if let Some(identity) = Identity::find(disk, directory)? {
        return Ok(identity);
    }
    match disk.list(directory) {
        Ok(names) => match names.iter().find(|name| counts(name)) {
            Some(name) => Err(ArchiveError::Unfinished { found: directory.join(name) }),
            None => Err(ArchiveError::NotInitialised { directory: directory.to_owned() }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(ArchiveError::NotInitialised { directory: directory.to_owned() })
        }
        Err(error) => Err(ArchiveError::io("list", directory, error)),
    }
}

fn refuse_existing<D: Disk>(
    disk: &D,
    directory: &Path,
    counts: impl Fn(&OsStr) -> bool,
) -> Result<(), ArchiveError> {
    match find_identity_or(disk, directory, counts) {
        Ok(_) => Err(ArchiveError::AlreadyInitialised { found: directory.join("identity") }),
        Err(ArchiveError::NotInitialised { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a name in the directory is one that an archive gives.
fn is_ours(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let kept_twice = |stem: &str| [BOOT, VOTE, HISTORY, PEERS, ORIGIN, RECOVERIES].contains(&stem);
    matches!(name, "identity" | "identity.new" | "mark" | "log" | "snapshots")
        || name.strip_suffix(".0").or_else(|| name.strip_suffix(".1")).is_some_and(kept_twice)
}

/// A log that lacks its beginning needs a snapshot that stands for it.
fn check_beginning(
    snapshots: &Path,
    origin: Position,
    has_snapshot: bool,
) -> Result<(), ArchiveError> {
    match has_snapshot || origin == Position::ZERO {
        true => Ok(()),
        false => Err(ArchiveError::NoSnapshot { directory: snapshots.to_owned(), origin }),
    }
}

/// The records that are kept twice, while they are opened.
struct Records<'a, D> {
    disk: &'a D,
    directory: &'a Path,
    owner: Owner,
    /// The names of those of which a copy was written anew.
    repaired: Vec<&'static str>,
}

impl<D: Disk> Records<'_, D> {
    fn open<P: crate::payload::Payload>(
        &mut self,
        name: &'static str,
        kind: Kind,
    ) -> Result<(Copies<P>, P), ArchiveError> {
        let (copies, value, repaired) =
            Copies::open(self.disk, self.directory, name, kind, self.owner)?;
        if repaired {
            self.repaired.push(name);
        }
        Ok((copies, value))
    }
}

/// Creates a directory and those above it, and makes the name of each that is new durable.
fn create_directories<D: Disk>(disk: &D, path: &Path) -> Result<(), ArchiveError> {
    let absent = |path: &Path| {
        let listed = disk.list(path);
        listed.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    let above = path.ancestors().filter(|path| !path.as_os_str().is_empty());
    let created: Vec<_> = above.take_while(|path| absent(path)).collect();
    disk.create_directory(path).map_err(|error| ArchiveError::io("create", path, error))?;
    created.into_iter().rev().try_for_each(|path| sync_parent(disk, path))
}

/// The life that begins; its boot epoch is durable.
fn begin_life<D: Disk>(
    disk: &D,
    owner: Owner,
    (copies, former): (&mut Copies<BootEpoch>, BootEpoch),
    options: &Options,
) -> Result<Life, ArchiveError> {
    let boot_epoch = BootEpoch(former.0.saturating_add(1).max(options.boot_epoch_min));
    copies.store(disk, &boot_epoch)?;
    Ok(Life { member: owner.member, incarnation: owner.incarnation, boot_epoch })
}

/// Makes the names of all files durable, and that of the directory: a former life may have died
/// between a name and its sync.
pub(crate) fn sync_names<D: Disk>(disk: &D, directory: &Path) -> Result<(), ArchiveError> {
    let log = log_directory(directory);
    match sync_directory(disk, &log) {
        Err(error) if error.is_not_found() => return Err(ArchiveError::Missing { path: log }),
        result => result?,
    }
    match sync_directory(disk, &snapshot_directory(directory)) {
        Err(error) if error.is_not_found() => {}
        result => result?,
    }
    sync_directory(disk, directory)?;
    sync_parent(disk, directory)
}

/// Makes the name of a directory durable.
pub(crate) fn sync_parent<D: Disk>(disk: &D, path: &Path) -> Result<(), ArchiveError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    match disk.sync_directory(parent) {
        // Whoever may not look into the directory above cannot do more for the name in it.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        result => result.map_err(|error| ArchiveError::io("sync directory", parent, error)),
    }
}

fn sync_directory<D: Disk>(disk: &D, path: &Path) -> Result<(), ArchiveError> {
    disk.sync_directory(path).map_err(|error| ArchiveError::io("sync directory", path, error))
}
