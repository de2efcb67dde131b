//! Snapshots: one file each, written beside, synced, and only then named.
//!
//! The core's bytes and the service's, one behind the other, are a stream, which is cut into chunks
//! of equal size. Each chunk has a checksum of its own, so that it can be verified wherever it is
//! read or sent; the manifest in front has one over all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_core::frame::Checksum;
use quorate_core::hash::mix;
use quorate_core::{Chain, LogTime, Position, Snapshot, SnapshotPoint, Term};

use crate::RealDisk;
use crate::disk::{self, Access, Disk};
use crate::error::ArchiveError;
use crate::log::BLOCK_BYTES;
use crate::record::{self, Fields, Kind, Owner, RecordError};
use crate::shared::Shared;

/// How the stream is cut.
const CHUNK_BYTES: u32 = 64 << 10;
/// The largest chunk that a file may say it has.
const CHUNK_BYTES_MAX: u32 = 1 << 20;
/// Length and checksum before each chunk.
const CHUNK_HEADER_BYTES: u64 = 8;
/// How much is written between syncs: a sync of the log must not wait behind all of a large one.
const SYNC_BYTES: u64 = 8 << 20;
/// The version of this layout.
const LAYOUT: u16 = 1;
/// Snapshots that are kept, at least: the newest may stand where the log's disk is not yet.
const KEPT_MIN: usize = 2;

/// What a snapshot's file begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) point: SnapshotPoint,
    pub(crate) chunk_bytes: u32,
    pub(crate) core_bytes: u64,
    pub(crate) service_bytes: u64,
    /// Over the checksums of all chunks: the same on all members.
    pub(crate) digest: u64,
}

/// A file that is named as a snapshot.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) position: u64,
    pub(crate) manifest: Result<Manifest, ArchiveError>,
}

/// Stores snapshots, on any thread: it waits for the disk, and nothing waits for it.
#[derive(Debug)]
pub struct Snapshots<D: Disk = RealDisk> {
    shared: Arc<Shared<D>>,
    directory: PathBuf,
    kept: usize,
    /// Positions of files that were passed over: they make place first.
    broken: BTreeSet<u64>,
}

impl<D: Disk> Snapshots<D> {
    pub(crate) fn new(shared: Arc<Shared<D>>, kept: usize, broken: BTreeSet<u64>) -> Self {
        let parent = shared.log.directory().parent().unwrap_or_else(|| Path::new(""));
        let directory = snapshot_directory(parent);
        Self { shared, directory, kept: kept.max(KEPT_MIN), broken }
    }

    /// Stores a snapshot: the core's part, and the service's state at the same position. It is
    /// durable when this returns, and older ones than those that are kept are gone.
    ///
    /// # Errors
    /// Whatever fails before it has its name leaves nothing of it, and a later one may succeed: the
    /// log does not depend on it, and a member that stopped for it would stop at the same marker
    /// again (E48). Only a directory of which nobody knows what it holds poisons the archive (E43).
    pub fn store(&mut self, snapshot: &Snapshot, service: &[u8]) -> Result<(), ArchiveError> {
        self.shared.check()?;
        let disk = &self.shared.disk;
        make_directory(disk, &self.directory)?;
        self.remove_broken();
        let path = file_of(&self.directory, snapshot.point.position.0);
        let draft = path.with_extension("new");
        let rename = || disk.rename(&draft, &path);
        self.write_draft(&draft, snapshot, service)
            .and_then(|()| rename().map_err(|error| ArchiveError::space("name", &path, error)))
            .inspect_err(|_| {
                // Whatever space it took is needed more than half a snapshot.
                let _ = disk.remove(&draft);
            })?;
        let synced = disk.sync_directory(&self.directory);
        let shared = &self.shared;
        shared.guard(
            synced.map_err(|error| ArchiveError::io("sync directory", &self.directory, error)),
        )?;
        self.broken.remove(&snapshot.point.position.0);
        self.prune();
        Ok(())
    }

    /// Whether a snapshot that was not stored is all that went wrong.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.shared.check().is_ok()
    }

    fn write_draft(
        &self,
        path: &Path,
        snapshot: &Snapshot,
        service: &[u8],
    ) -> Result<(), ArchiveError> {
        let disk = &self.shared.disk;
        let mut manifest = Manifest {
            point: snapshot.point,
            chunk_bytes: CHUNK_BYTES,
            core_bytes: snapshot.core.len() as u64,
            service_bytes: service.len() as u64,
            digest: 0,
        };
        let file = disk
            .open(path, Access::Create)
            .map_err(|error| ArchiveError::space("create", path, error))?;
        let length = manifest.file_bytes().unwrap_or(u64::MAX);
        disk.allocate(&file, length)
            .map_err(|error| ArchiveError::space("reserve space for", path, error))?;
        let sync = || disk.sync(&file).map_err(|error| ArchiveError::io("sync", path, error));
        let write = |bytes: &[u8], at| {
            disk::write_full(disk, &file, bytes, at)
                .map_err(|error| ArchiveError::space("write", path, error))
        };
        let (mut at, mut unsynced) = (BLOCK_BYTES, 0);
        let mut digest = Digest::new(&manifest);
        let mut chunk = Vec::new();
        for index in 0..manifest.chunks() {
            chunk.clear();
            chunk.resize(CHUNK_HEADER_BYTES as usize, 0);
            let start = index * u64::from(CHUNK_BYTES);
            let end = manifest.stream_bytes().min(start + u64::from(CHUNK_BYTES));
            part_of(&snapshot.core, service, start, end, &mut chunk);
            let checksum = digest.add(&chunk[CHUNK_HEADER_BYTES as usize..]);
            chunk[..4].copy_from_slice(&((end - start) as u32).to_le_bytes());
            chunk[4..8].copy_from_slice(&checksum.to_le_bytes());
            write(&chunk, at)?;
            at += chunk.len() as u64;
            unsynced += chunk.len() as u64;
            if unsynced >= SYNC_BYTES {
                sync()?;
                unsynced = 0;
            }
        }
        manifest.digest = digest.value;
        let generation = manifest.point.position.0;
        let owner = self.shared.log.owner();
        write(&record::encode(Kind::Snapshot, generation, owner, &manifest.encode()), 0)?;
        sync()
    }

    /// What cannot be used makes place first. What cannot be removed takes it a while longer.
    fn remove_broken(&self) {
        let disk = &self.shared.disk;
        for position in &self.broken {
            let _ = disk.remove(&file_of(&self.directory, *position));
        }
    }

    /// Removes the oldest of those that are not kept any more; what cannot be removed stays. What
    /// is broken and still there is none of those that are kept.
    fn prune(&self) {
        let disk = &self.shared.disk;
        let Ok(mut whole) = named(disk, &self.directory) else { return };
        whole.retain(|(position, _)| !self.broken.contains(position));
        let excess = whole.len().saturating_sub(self.kept);
        for (_, path) in &whole[..excess] {
            let _ = disk.remove(path);
        }
    }
}

impl Manifest {
    /// Bytes of both parts.
    pub(crate) const fn stream_bytes(&self) -> u64 {
        self.core_bytes.saturating_add(self.service_bytes)
    }

    fn chunks(&self) -> u64 {
        self.stream_bytes().div_ceil(u64::from(self.chunk_bytes))
    }

    /// How long the file is; `None` for one that cannot be.
    fn file_bytes(&self) -> Option<u64> {
        let headers = self.chunks().checked_mul(CHUNK_HEADER_BYTES)?;
        self.stream_bytes().checked_add(headers)?.checked_add(BLOCK_BYTES)
    }

    fn encode(&self) -> Vec<u8> {
        let SnapshotPoint { position, term, chain, time } = self.point;
        let mut bytes = LAYOUT.to_le_bytes().to_vec();
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.chunk_bytes.to_le_bytes());
        let words = [position.0, term.0, chain.0, time.0];
        let sizes = [self.core_bytes, self.service_bytes, self.digest];
        for word in words.into_iter().chain(sizes) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        if fields.u16()? != LAYOUT {
            return None;
        }
        fields.take(2)?;
        let chunk_bytes = fields.u32().filter(|bytes| (1..=CHUNK_BYTES_MAX).contains(bytes))?;
        let point = SnapshotPoint {
            position: Position(fields.u64()?),
            term: Term(fields.u64()?),
            chain: Chain(fields.u64()?),
            time: LogTime(fields.u64()?),
        };
        let (core_bytes, service_bytes) = (fields.u64()?, fields.u64()?);
        Some(Self { point, chunk_bytes, core_bytes, service_bytes, digest: fields.u64()? })
    }
}

/// The running value over the chunks of a snapshot.
struct Digest {
    position: u64,
    index: u64,
    value: u64,
}

impl Digest {
    const fn new(manifest: &Manifest) -> Self {
        let position = manifest.point.position.0;
        let sizes = mix(manifest.core_bytes, manifest.service_bytes);
        Self { position, index: 0, value: mix(position, sizes) }
    }

    /// Adds the next chunk; returns its checksum, which begins from where the chunk belongs: one in
    /// the wrong place is a bad one.
    fn add(&mut self, chunk: &[u8]) -> u32 {
        let place = [self.position.to_le_bytes(), self.index.to_le_bytes()].concat();
        let checksum = Checksum::default().add(&place).add(chunk).value();
        self.index += 1;
        self.value = mix(self.value, u64::from(checksum) | (chunk.len() as u64) << 32);
        checksum
    }
}

/// Appends the bytes from `start` to `end` of the stream to `out`.
fn part_of(core: &[u8], service: &[u8], start: u64, end: u64, out: &mut Vec<u8>) {
    let (start, end, border) = (start as usize, end as usize, core.len());
    out.extend_from_slice(&core[start.min(border)..end.min(border)]);
    out.extend_from_slice(&service[start.max(border) - border..end.max(border) - border]);
}

/// Where the snapshots of an archive are.
pub(crate) fn snapshot_directory(directory: &Path) -> PathBuf {
    directory.join("snapshots")
}

fn file_of(directory: &Path, position: u64) -> PathBuf {
    directory.join(format!("{position:020}.snapshot"))
}

fn make_directory<D: Disk>(disk: &D, directory: &Path) -> Result<(), ArchiveError> {
    if disk.list(directory).is_ok() {
        return Ok(());
    }
    disk.create_directory(directory)
        .map_err(|error| ArchiveError::space("create", directory, error))?;
    let Some(parent) = directory.parent() else { return Ok(()) };
    disk.sync_directory(parent).map_err(|error| ArchiveError::io("sync directory", parent, error))
}

fn remove<D: Disk>(disk: &D, path: &Path) -> Result<(), ArchiveError> {
    disk.remove(path).map_err(|error| ArchiveError::io("remove", path, error))
}

/// The files that are named as snapshots, by rising position.
fn named<D: Disk>(disk: &D, directory: &Path) -> Result<Vec<(u64, PathBuf)>, ArchiveError> {
    let names = match disk.list(directory) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ArchiveError::io("list", directory, error)),
    };
    let position = |path: &Path| {
        let stem = path.file_name()?.to_str()?.strip_suffix(".snapshot")?;
        let position = stem.parse::<u64>().ok()?;
        (file_of(directory, position) == path).then_some(position)
    };
    let paths = names.iter().map(|name| directory.join(name));
    // All have as many digits: their order is that of the positions.
    Ok(paths.filter_map(|path| Some((position(&path)?, path))).collect())
}

/// Removes what interrupted stores left; returns how many.
pub(crate) fn remove_drafts<D: Disk>(disk: &D, directory: &Path) -> Result<usize, ArchiveError> {
    let Ok(names) = disk.list(directory) else { return Ok(0) };
    let drafts = names.iter().filter(|name| name.to_string_lossy().ends_with(".new"));
    let mut removed = 0;
    for draft in drafts {
        remove(disk, &directory.join(draft))?;
        removed += 1;
    }
    Ok(removed)
}

/// The snapshots that there are, oldest first, as far as their manifests say.
///
/// # Errors
/// The directory cannot be listed.
pub(crate) fn find<D: Disk>(
    disk: &D,
    directory: &Path,
    owner: Owner,
) -> Result<Vec<Found>, ArchiveError> {
    let found = named(disk, directory)?.into_iter().map(|(position, path)| {
        let manifest = read_manifest(disk, &path, position, owner);
        Found { path, position, manifest }
    });
    Ok(found.collect())
}

fn read_manifest<D: Disk>(
    disk: &D,
    path: &Path,
    position: u64,
    owner: Owner,
) -> Result<Manifest, ArchiveError> {
    let broken = |what| ArchiveError::Snapshot { path: path.to_owned(), what };
    let read = |error| ArchiveError::io("read", path, error);
    let file = disk.open(path, Access::Read).map_err(read)?;
    let mut block = [0; BLOCK_BYTES as usize];
    let length = disk::read_full(disk, &file, &mut block, 0).map_err(read)?;
    let record = match record::decode(&block[..length], Kind::Snapshot, Some(owner)) {
        Ok(record) => record,
        Err(RecordError::Version(found)) => {
            return Err(ArchiveError::Version { path: path.to_owned(), found });
        }
        Err(RecordError::Foreign(found)) => {
            let path = path.to_owned();
            return Err(ArchiveError::Foreign { path, found, expected: owner });
        }
        Err(RecordError::Blank | RecordError::Damaged) => {
            return Err(broken("has a damaged manifest"));
        }
    };
    let manifest = Manifest::decode(&record.payload);
    let manifest = manifest.ok_or_else(|| broken("has an unknown layout"))?;
    if manifest.point.position.0 != position {
        return Err(broken("stands elsewhere than its name says"));
    }
    let length = disk.length(&file).map_err(read)?;
    if manifest.file_bytes() != Some(length) {
        return Err(broken("is not as long as its manifest says"));
    }
    Ok(manifest)
}

/// Reads a snapshot and verifies every byte of it.
///
/// # Errors
/// [`ArchiveError::Snapshot`], [`ArchiveError::Io`].
pub(crate) fn read<D: Disk>(
    disk: &D,
    path: &Path,
    manifest: &Manifest,
) -> Result<(Snapshot, Vec<u8>), ArchiveError> {
    let broken = |what| ArchiveError::Snapshot { path: path.to_owned(), what };
    let read = |error| ArchiveError::io("read", path, error);
    let file = disk.open(path, Access::Read).map_err(read)?;
    let (mut core, mut service) = (Vec::new(), Vec::new());
    let mut digest = Digest::new(manifest);
    let mut chunk = Vec::new();
    let mut at = BLOCK_BYTES;
    for index in 0..manifest.chunks() {
        let start = index * u64::from(manifest.chunk_bytes);
        let bytes = (manifest.stream_bytes() - start).min(manifest.chunk_bytes.into());
        chunk.resize((CHUNK_HEADER_BYTES + bytes) as usize, 0);
        let length = disk::read_full(disk, &file, &mut chunk, at).map_err(read)?;
        let mut fields = Fields(&chunk[..length]);
        let (said, checksum) = (fields.u32(), fields.u32());
        if said != Some(bytes as u32)
            || fields.0.len() as u64 != bytes
            || checksum != Some(digest.add(fields.0))
        {
            return Err(broken("has a damaged chunk"));
        }
        let core_bytes = manifest.core_bytes.saturating_sub(start).min(bytes) as usize;
        core.extend_from_slice(&fields.0[..core_bytes]);
        service.extend_from_slice(&fields.0[core_bytes..]);
        at += length as u64;
    }
    if digest.value != manifest.digest {
        return Err(broken("has other chunks than its manifest says"));
    }
    if SnapshotPoint::read(&core) != Ok(manifest.point) {
        return Err(broken("holds a state of another place, or of another version"));
    }
    Ok((Snapshot { point: manifest.point, core }, service))
}
