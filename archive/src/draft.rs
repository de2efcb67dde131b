//! A snapshot's file while it is written: under a name that nothing reads, chunk by chunk.
//!
//! A snapshot of this member and one that is fetched from another are written by the same code, so
//! that their bytes behind the manifest are the same.

use core::mem;
use std::path::{Path, PathBuf};

use quorate_core::frame::Checksum;
use quorate_core::hash::mix;
use quorate_core::mutant;

use crate::disk::{self, Access, Disk};
use crate::error::ArchiveError;
use crate::log::BLOCK_BYTES;
use crate::record::{self, Kind, Owner};
use crate::snapshots::{CHUNK_HEADER_BYTES, Manifest};

/// How much is written between syncs: a sync of the log must not wait behind all of a large one,
/// nor longer than a disk takes for this much.
const SYNC_BYTES: u64 = 2 << 20;
/// How much space is taken at a time, before it is written to: a file system in memory clears it at
/// once, and whoever waits for the processor waits for that.
const RESERVE_BYTES: u64 = 256 << 10;

/// A file that a snapshot's stream is written to.
#[derive(Debug)]
pub(crate) struct Draft<D: Disk> {
    disk: D,
    path: PathBuf,
    file: D::File,
    manifest: Manifest,
    digest: Digest,
    /// The chunk that is filled, behind room for its header.
    chunk: Vec<u8>,
    /// Bytes of the stream that were taken.
    taken: u64,
    /// Where the next chunk goes.
    at: u64,
    unsynced: u64,
    /// Up to where space was taken, if that is done ahead.
    reserved: Option<u64>,
}

impl<D: Disk> Draft<D> {
    /// A new file at `path`, for what `manifest` describes; its digest is still to be found.
    pub(crate) fn create(
        disk: &D,
        path: PathBuf,
        manifest: Manifest,
    ) -> Result<Self, ArchiveError> {
        let file = disk
            .open(&path, Access::Create)
            .map_err(|error| ArchiveError::space("create", &path, error))?;
        Ok(Self {
            disk: disk.clone(),
            path,
            file,
            manifest,
            digest: Digest::new(&manifest),
            chunk: vec![0; CHUNK_HEADER_BYTES as usize],
            taken: 0,
            at: BLOCK_BYTES,
            unsynced: 0,
            reserved: None,
        })
    }

    /// From now on takes space before it is written to, some of it at a time: a file system may
    /// have to clear it, and a sync of the log is not to wait for blocks of this file to be found.
    pub(crate) const fn reserve_ahead(&mut self) {
        self.reserved = Some(0);
    }

    /// Takes the space for what is written up to `end`, and some more.
    fn reserve(&mut self, end: u64) -> Result<(), ArchiveError> {
        let Some(reserved) = self.reserved.filter(|reserved| *reserved < end) else {
            return Ok(());
        };
        let whole = self.manifest.file_bytes().unwrap_or(u64::MAX);
        let to = end.max(reserved.saturating_add(RESERVE_BYTES)).min(whole);
        let taken = self.disk.allocate(&self.file, reserved..to);
        taken.map_err(|error| ArchiveError::space("reserve space for", &self.path, error))?;
        self.reserved = Some(to);
        Ok(())
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes of the stream were taken.
    pub(crate) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes the next bytes of the stream; what lies behind its end is left out.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let stream_bytes = self.manifest.stream_bytes();
        let mut rest = bytes;
        while !rest.is_empty() && self.taken < stream_bytes {
            let held = (self.chunk.len() as u64).saturating_sub(CHUNK_HEADER_BYTES);
            let room = u64::from(self.manifest.chunk_bytes) - held;
            let room = room.min(stream_bytes - self.taken).min(rest.len() as u64) as usize;
            let (fits, left) = rest.split_at(room);
            self.chunk.extend_from_slice(fits);
            self.taken += room as u64;
            rest = left;
            let is_full = held + room as u64 == u64::from(self.manifest.chunk_bytes);
            if is_full || self.taken == stream_bytes {
                self.write_chunk()?;
            }
        }
        Ok(())
    }

    fn write_chunk(&mut self) -> Result<(), ArchiveError> {
        let mut chunk = mem::take(&mut self.chunk);
        let checksum = self.digest.add(&chunk[CHUNK_HEADER_BYTES as usize..]);
        let length = chunk.len() as u64;
        let bytes = (length - CHUNK_HEADER_BYTES) as u32;
        chunk[..4].copy_from_slice(&bytes.to_le_bytes());
        chunk[4..8].copy_from_slice(&checksum.to_le_bytes());
        self.reserve(self.at + length)?;
        self.write(&chunk, self.at)?;
        self.at += length;
        self.unsynced += length;
        if self.unsynced >= SYNC_BYTES {
            self.sync()?;
            self.unsynced = 0;
        }
        chunk.truncate(CHUNK_HEADER_BYTES as usize);
        self.chunk = chunk;
        Ok(())
    }

    /// Writes the manifest, once all of the stream was taken, and makes the file durable; returns
    /// the digest over all chunks.
    pub(crate) fn finish(&mut self, owner: Owner) -> Result<u64, ArchiveError> {
        self.finish_as(Kind::Snapshot, owner, Manifest::encode)
    }

    /// The same for a file that has another front: the record of `kind` with what `front` makes of
    /// the manifest.
    pub(crate) fn finish_as(
        &mut self,
        kind: Kind,
        owner: Owner,
        front: impl FnOnce(&Manifest) -> Vec<u8>,
    ) -> Result<u64, ArchiveError> {
        self.manifest.digest = self.digest.value;
        let generation = self.manifest.point.position.0;
        let record = record::encode(kind, generation, owner, &front(&self.manifest));
        self.write(&record, 0)?;
        if kind != Kind::Backup || !mutant::is(mutant::BACKUP_IS_NOT_SYNCED) {
            self.sync()?;
        }
        Ok(self.manifest.digest)
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), ArchiveError> {
        disk::write_full(&self.disk, &self.file, bytes, at)
            .map_err(|error| ArchiveError::space("write", &self.path, error))
    }

    fn sync(&self) -> Result<(), ArchiveError> {
        self.disk.sync(&self.file).map_err(|error| ArchiveError::io("sync", &self.path, error))
    }
}

/// The running value over the chunks of a snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digest {
    position: u64,
    index: u64,
    pub(crate) value: u64,
}

impl Digest {
    pub(crate) const fn new(manifest: &Manifest) -> Self {
        let position = manifest.point.position.0;
        let sizes = mix(manifest.core_bytes, manifest.service_bytes);
        Self { position, index: 0, value: mix(position, sizes) }
    }

    /// Adds the next chunk; returns its checksum.
    pub(crate) fn add(&mut self, chunk: &[u8]) -> u32 {
        let checksum = checksum_of(self.position, self.index, chunk);
        self.index += 1;
        self.value = mix(self.value, u64::from(checksum) | (chunk.len() as u64) << 32);
        checksum
    }
}

/// The checksum of the chunk with this number of the snapshot at `position`. It begins from where
/// the chunk belongs: one in the wrong place is a bad one.
pub(crate) fn checksum_of(position: u64, index: u64, chunk: &[u8]) -> u32 {
    let place = [position.to_le_bytes(), index.to_le_bytes()].concat();
    Checksum::default().add(&place).add(chunk).value()
}
