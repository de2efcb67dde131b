//! Snapshots: one file each, written beside, synced, and only then named.
//!
//! The core's bytes and the service's, one behind the other, are a stream, which is cut into chunks
//! of equal size. Each chunk has a checksum of its own, so that it can be verified wherever it is
//! read or sent; the manifest in front has one over all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_core::{
    Chain, LogTime, Position, PositionRange, Snapshot, SnapshotManifest, SnapshotPoint, Term,
};

use crate::RealDisk;
use crate::disk::{self, Access, Disk};
use crate::draft::{Digest, checksum_of};
use crate::error::ArchiveError;
use crate::fetched::Fetched;
use crate::log::BLOCK_BYTES;
use crate::record::{self, Fields, Kind, Owner, RecordError};
use crate::shared::Shared;

/// How the stream is cut.
pub(crate) const CHUNK_BYTES: u32 = 64 << 10;
/// The largest chunk that a file may say it has.
const CHUNK_BYTES_MAX: u32 = 1 << 20;
/// Length and checksum before each chunk.
pub(crate) const CHUNK_HEADER_BYTES: u64 = 8;
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
    pub(crate) shared: Arc<Shared<D>>,
    pub(crate) directory: PathBuf,
    kept: usize,
    /// Positions of files that were passed over: they make place first.
    pub(crate) broken: BTreeSet<u64>,
    /// One of another member, as far as it was fetched.
    pub(crate) fetched: Option<Fetched<D>>,
}

impl<D: Disk> Snapshots<D> {
    pub(crate) fn new(shared: Arc<Shared<D>>, kept: usize, broken: BTreeSet<u64>) -> Self {
        let parent = shared.log.directory().parent().unwrap_or_else(|| Path::new(""));
        let directory = snapshot_directory(parent);
        Self { shared, directory, kept: kept.max(KEPT_MIN), broken, fetched: None }
    }

    /// Whether a snapshot that was not stored is all that went wrong.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.shared.check().is_ok()
    }

    /// What cannot be used makes place first. What cannot be removed takes it a while longer.
    pub(crate) fn remove_broken(&self) {
        let disk = &self.shared.disk;
        for position in &self.broken {
            let _ = disk.remove(&file_of(&self.directory, *position));
        }
    }

    /// Removes the oldest of those that are not kept any more; what cannot be removed stays. What
    /// is broken and still there is none of those that are kept, and what is pinned is one more.
    pub(crate) fn prune(&self, pinned: Option<Position>) {
        let disk = &self.shared.disk;
        let pinned = pinned.map(|position| position.0);
        let Ok(mut whole) = named(disk, &self.directory) else { return };
        whole.retain(|(position, _)| !self.broken.contains(position));
        whole.truncate(whole.len().saturating_sub(self.kept));
        for (_, path) in whole.iter().filter(|(position, _)| Some(*position) != pinned) {
            let _ = disk.remove(path);
        }
    }
}

impl Manifest {
    /// Of a snapshot that is what `said` says, cut into chunks as this code does it.
    pub(crate) const fn of(said: &SnapshotManifest) -> Self {
        let SnapshotManifest { point, core_bytes, service_bytes, digest } = *said;
        Self { point, chunk_bytes: CHUNK_BYTES, core_bytes, service_bytes, digest }
    }

    /// What others are told.
    pub(crate) const fn said(&self) -> SnapshotManifest {
        let Self { point, core_bytes, service_bytes, digest, .. } = *self;
        SnapshotManifest { point, core_bytes, service_bytes, digest }
    }

    /// Bytes of both parts.
    pub(crate) const fn stream_bytes(&self) -> u64 {
        self.core_bytes.saturating_add(self.service_bytes)
    }

    pub(crate) fn chunks(&self) -> u64 {
        self.stream_bytes().div_ceil(u64::from(self.chunk_bytes))
    }

    /// Where in the file the chunk with this number begins.
    pub(crate) const fn offset_of(&self, index: u64) -> u64 {
        BLOCK_BYTES + index * (CHUNK_HEADER_BYTES + self.chunk_bytes as u64)
    }

    /// How long the file is; `None` for one that cannot be.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        let headers = self.chunks().checked_mul(CHUNK_HEADER_BYTES)?;
        self.stream_bytes().checked_add(headers)?.checked_add(BLOCK_BYTES)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
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

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
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

/// Where the snapshots of an archive are.
pub(crate) fn snapshot_directory(directory: &Path) -> PathBuf {
    directory.join("snapshots")
}

pub(crate) fn file_of(directory: &Path, position: u64) -> PathBuf {
    directory.join(format!("{position:020}.snapshot"))
}

pub(crate) fn make_directory<D: Disk>(disk: &D, directory: &Path) -> Result<(), ArchiveError> {
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
pub(crate) fn named<D: Disk>(
    disk: &D,
    directory: &Path,
) -> Result<Vec<(u64, PathBuf)>, ArchiveError> {
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

pub(crate) fn read_manifest<D: Disk>(
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
    let mut service = Vec::new();
    let core = read_through(disk, path, manifest, |part| service.extend_from_slice(part))?;
    Ok((Snapshot { point: manifest.point, core }, service))
}

/// As [`read`], but hands over the service's part piece by piece; returns the core's.
pub(crate) fn read_through<D: Disk>(
    disk: &D,
    path: &Path,
    manifest: &Manifest,
    mut service: impl FnMut(&[u8]),
) -> Result<Vec<u8>, ArchiveError> {
    let broken = |what| ArchiveError::Snapshot { path: path.to_owned(), what };
    let mut chunks = Chunks::open(disk, path, manifest)?;
    let (mut core, mut digest) = (Vec::new(), Digest::new(manifest));
    for index in 0..manifest.chunks() {
        let chunk = chunks.read(index)?;
        let start = index * u64::from(manifest.chunk_bytes);
        let border = manifest.core_bytes.saturating_sub(start).min(chunk.len() as u64) as usize;
        core.extend_from_slice(&chunk[..border]);
        service(&chunk[border..]);
        digest.add(chunk);
    }
    if digest.value != manifest.digest {
        return Err(broken("has other chunks than its manifest says"));
    }
    if SnapshotPoint::read(&core) != Ok(manifest.point) {
        return Err(broken("holds a state of another place, or of another version"));
    }
    Ok(core)
}

/// The chunks of a snapshot's file.
pub(crate) struct Chunks<'a, D: Disk> {
    disk: &'a D,
    path: &'a Path,
    file: D::File,
    manifest: &'a Manifest,
    buffer: Vec<u8>,
}

impl<'a, D: Disk> Chunks<'a, D> {
    pub(crate) fn open(
        disk: &'a D,
        path: &'a Path,
        manifest: &'a Manifest,
    ) -> Result<Self, ArchiveError> {
        let file =
            disk.open(path, Access::Read).map_err(|error| ArchiveError::io("read", path, error))?;
        Ok(Self { disk, path, file, manifest, buffer: Vec::new() })
    }

    /// Lets the next read of the chunk with this number be one of the disk.
    pub(crate) fn forget_cached(&self, index: u64) {
        let bytes = CHUNK_HEADER_BYTES + u64::from(self.manifest.chunk_bytes);
        self.disk.forget_cached(&self.file, self.manifest.offset_of(index), bytes);
    }

    /// The bytes of the chunk with this number, verified.
    pub(crate) fn read(&mut self, index: u64) -> Result<&[u8], ArchiveError> {
        let manifest = self.manifest;
        let chunk_bytes = u64::from(manifest.chunk_bytes);
        let bytes = manifest.stream_bytes().saturating_sub(index * chunk_bytes).min(chunk_bytes);
        let at = manifest.offset_of(index);
        self.buffer.resize((CHUNK_HEADER_BYTES + bytes) as usize, 0);
        let length = disk::read_full(self.disk, &self.file, &mut self.buffer, at)
            .map_err(|error| ArchiveError::io("read", self.path, error))?;
        let mut fields = Fields(&self.buffer[..length]);
        let (said, checksum) = (fields.u32(), fields.u32());
        let is_whole = said == Some(bytes as u32)
            && fields.0.len() as u64 == bytes
            && checksum == Some(checksum_of(manifest.point.position.0, index, fields.0));
        if !is_whole {
            let (path, what) = (self.path.to_owned(), "has a damaged chunk");
            return Err(ArchiveError::Snapshot { path, what });
        }
        Ok(fields.0)
    }
}

/// Reads the bytes of `range` of the stream of the snapshot of `owner` that stands at `position`
/// into `bytes`, as far as the stream goes with the zeros at its end, and verifies the chunks that
/// they lie in; returns what its manifest says.
///
/// # Errors
/// [`ArchiveError::Io`], also when there is no such snapshot; [`ArchiveError::Snapshot`] and the
/// like when what would be needed of it does not verify.
pub(crate) fn read_range<D: Disk>(
    disk: &D,
    directory: &Path,
    owner: Owner,
    (position, range): (Position, PositionRange),
    bytes: &mut Vec<u8>,
) -> Result<SnapshotManifest, ArchiveError> {
    let path = file_of(directory, position.0);
    let manifest = read_manifest(disk, &path, position.0, owner)?;
    let said = manifest.said();
    let end = range.end.0.min(manifest.stream_bytes());
    let mut at = range.start.0;
    if at < end {
        let mut chunks = Chunks::open(disk, &path, &manifest)?;
        while at < end {
            let (index, within) =
                (at / u64::from(manifest.chunk_bytes), at % u64::from(manifest.chunk_bytes));
            let chunk = chunks.read(index)?;
            let rest = &chunk[within as usize..];
            let count = (end - at).min(rest.len() as u64);
            bytes.extend_from_slice(&rest[..count as usize]);
            at += count;
        }
    }
    let padded = range.end.min(said.stream_end()).since(range.start.max(Position(end)));
    bytes.resize(bytes.len() + padded as usize, 0);
    Ok(said)
}
