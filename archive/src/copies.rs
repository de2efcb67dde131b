//! A record that is kept in two copies, so that neither a crash nor rot in one of them loses it.
//!
//! A store writes one copy, makes it durable, then writes the other, and is reported only when both
//! are durable. So at any instant at least one copy is whole, and one that is whole is never older
//! than what was last reported: a damaged copy was either torn by a store that was not reported,
//! or equal to the other (rule 19, E50).

use core::marker::PhantomData;
use std::path::{Path, PathBuf};

use quorate_core::mutant;

use crate::disk::{self, Access, Disk};
use crate::error::ArchiveError;
use crate::payload::Payload;
use crate::record::{self, Kind, Owner, RecordError};

/// No file of copies is larger: not even a history of a hundred thousand terms.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What a copy was found to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CopyState {
    /// There is no file.
    Absent,
    /// It is no record, or no value of its kind.
    Damaged,
    /// It is whole.
    Whole {
        /// Of which store.
        generation: u64,
    },
}

/// What both copies were found to be.
#[derive(Clone, Debug)]
pub(crate) struct Found<P> {
    pub(crate) states: [CopyState; 2],
    /// The newest whole copy: its generation and value.
    pub(crate) newest: Option<(u64, P)>,
}

/// A value of type `P` in two files.
#[derive(Debug)]
pub(crate) struct Copies<P> {
    kind: Kind,
    owner: Owner,
    paths: [PathBuf; 2],
    /// Of the last store that succeeded.
    generation: u64,
    /// Of the last store: no two different values share a generation.
    attempt: u64,
    whole: [bool; 2],
    value: PhantomData<P>,
}

impl<P: Payload> Copies<P> {
    /// The names of the two files of `name` in `directory`.
    pub(crate) fn paths(directory: &Path, name: &str) -> [PathBuf; 2] {
        [directory.join(format!("{name}.0")), directory.join(format!("{name}.1"))]
    }

    /// Creates both files with `value`, and room for `bytes`.
    pub(crate) fn create<D: Disk>(
        disk: &D,
        directory: &Path,
        name: &str,
        kind: Kind,
        owner: Owner,
        (value, bytes): (&P, u64),
    ) -> Result<(), ArchiveError> {
        for path in Self::paths(directory, name) {
            let file = disk
                .open(&path, Access::Create)
                .map_err(|error| ArchiveError::io("create", &path, error))?;
            // Votes must go on when the disk is full, so their space is taken now (E48).
            disk.allocate(&file, 0..bytes)
                .map_err(|error| ArchiveError::space("reserve space for", &path, error))?;
            let record = record::encode(kind, 1, owner, &value.encode());
            write_record(disk, &file, &path, &record)?;
        }
        Ok(())
    }

    /// Reads both copies; changes nothing.
    pub(crate) fn find<D: Disk>(
        disk: &D,
        directory: &Path,
        name: &str,
        kind: Kind,
        owner: Owner,
    ) -> Result<Found<P>, ArchiveError> {
        let mut found = Found { states: [CopyState::Absent; 2], newest: None };
        for (index, path) in Self::paths(directory, name).iter().enumerate() {
            let bytes = match read_file(disk, path) {
                Ok(bytes) => bytes,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            let record = match record::decode(&bytes, kind, Some(owner)) {
                Ok(record) => Some(record),
                Err(RecordError::Blank | RecordError::Damaged) => None,
                Err(RecordError::Version(found)) => {
                    return Err(ArchiveError::Version { path: path.clone(), found });
                }
                Err(RecordError::Foreign(found)) => {
                    let path = path.clone();
                    return Err(ArchiveError::Foreign { path, found, expected: owner });
                }
            };
            let value =
                record.and_then(|found| Some((found.generation, P::decode(&found.payload)?)));
            found.states[index] = match &value {
                Some((generation, _)) => CopyState::Whole { generation: *generation },
                None => CopyState::Damaged,
            };
            if value.as_ref().map(|new| new.0) > found.newest.as_ref().map(|old| old.0) {
                found.newest = value;
            }
        }
        Ok(found)
    }

    /// Reads the value, and makes both copies whole and equal before it is believed.
    pub(crate) fn open<D: Disk>(
        disk: &D,
        directory: &Path,
        name: &str,
        kind: Kind,
        owner: Owner,
    ) -> Result<(Self, P, bool), ArchiveError> {
        let found = Self::find(disk, directory, name, kind, owner)?;
        let paths = Self::paths(directory, name);
        let Some((generation, value)) = found.newest else {
            let path = paths[0].clone();
            return Err(if found.states == [CopyState::Absent; 2] {
                ArchiveError::Missing { path }
            } else {
                ArchiveError::Unreadable { path }
            });
        };
        let newest = CopyState::Whole { generation };
        let whole = found.states.map(|state| matches!(state, CopyState::Whole { .. }));
        let value_type = PhantomData;
        let attempt = generation;
        let mut copies = Self { kind, owner, paths, generation, attempt, whole, value: value_type };
        let differ = found.states != [newest; 2];
        if differ {
            copies.repair(disk, directory, found.states, &value)?;
        }
        Ok((copies, value, differ))
    }

    /// Replaces the value: when this returns, both copies are durable.
    ///
    /// After [`ArchiveError::Full`] the store may be tried again; any other error leaves unknown
    /// what is on the disk.
    pub(crate) fn store<D: Disk>(&mut self, disk: &D, value: &P) -> Result<(), ArchiveError> {
        self.attempt += 1;
        let bytes = record::encode(self.kind, self.attempt, self.owner, &value.encode());
        // The only whole copy is never the one to be overwritten.
        let first = usize::from(!self.whole[1]);
        for index in [first, 1 - first] {
            self.write(disk, index, &bytes, Access::Write)?;
        }
        self.generation = self.attempt;
        Ok(())
    }

    /// The generation of the value; it rises with each store.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Writes the copies that are not the newest again.
    fn repair<D: Disk>(
        &mut self,
        disk: &D,
        directory: &Path,
        states: [CopyState; 2],
        value: &P,
    ) -> Result<(), ArchiveError> {
        let bytes = record::encode(self.kind, self.generation, self.owner, &value.encode());
        let newest = CopyState::Whole { generation: self.generation };
        let stale = usize::from(states[0] == newest);
        if self.whole[stale] {
            // A sync of the newest copy may have failed: it reads well, and is not on the disk.
            // Written again it is, and until then the older one stays (E43).
            self.write(disk, 1 - stale, &bytes, Access::Write)?;
        }
        let absent = states[stale] == CopyState::Absent;
        self.write(disk, stale, &bytes, if absent { Access::Create } else { Access::Write })?;
        if absent {
            disk.sync_directory(directory)
                .map_err(|error| ArchiveError::io("sync directory", directory, error))?;
        }
        Ok(())
    }

    fn write<D: Disk>(
        &mut self,
        disk: &D,
        index: usize,
        bytes: &[u8],
        access: Access,
    ) -> Result<(), ArchiveError> {
        let path = &self.paths[index];
        self.whole[index] = false;
        let file =
            disk.open(path, access).map_err(|error| ArchiveError::io("open", path, error))?;
        write_record(disk, &file, path, bytes)?;
        self.whole[index] = true;
        Ok(())
    }
}

fn write_record<D: Disk>(
    disk: &D,
    file: &D::File,
    path: &Path,
    bytes: &[u8],
) -> Result<(), ArchiveError> {
    disk::write_full(disk, file, bytes, 0)
        .map_err(|error| ArchiveError::space("write", path, error))?;
    if mutant::is(mutant::RECORDS_ARE_NOT_SYNCED) {
        return Ok(());
    }
    disk.sync(file).map_err(|error| ArchiveError::io("sync", path, error))
}

/// The content of a small file.
pub(crate) fn read_file<D: Disk>(disk: &D, path: &Path) -> Result<Vec<u8>, ArchiveError> {
    let file =
        disk.open(path, Access::Read).map_err(|error| ArchiveError::io("open", path, error))?;
    let read = |error| ArchiveError::io("read", path, error);
    let length = disk.length(&file).map_err(read)?.min(FILE_BYTES_MAX);
    let mut bytes = vec![0; length as usize];
    let count = disk::read_full(disk, &file, &mut bytes, 0).map_err(read)?;
    bytes.truncate(count);
    Ok(bytes)
}
