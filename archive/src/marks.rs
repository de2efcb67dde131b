//! Durable marks: up to where the log is known to have been durable (rule 6).
//!
//! A mark is written after the sync that it reports, and before that sync is reported, into the
//! segment that the next batch begins in; so that batch's sync makes it durable, and it needs none
//! of its own. Two blocks of each segment take turns: the one that is not durable yet is the only
//! one that is overwritten.

use std::path::Path;

use quorate_core::Position;

use crate::disk::{self, Access, Disk};
use crate::error::ArchiveError;
use crate::log::{BLOCK_BYTES, Log};
use crate::payload::{DurableMark, Payload};
use crate::record::{self, Kind, Owner, RecordError};

/// The newest mark, and where the next one goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    generation: u64,
    segment: u64,
    slot: u64,
    unsynced: bool,
    newest: DurableMark,
}

impl Marks {
    /// Reads the marks of all segments; the newest counts.
    ///
    /// # Errors
    /// [`ArchiveError::Unreadable`] when both marks of a segment are damaged: a crash tears one.
    pub(crate) fn find<D: Disk>(log: &Log<D>) -> Result<Self, ArchiveError> {
        let newest = DurableMark::default();
        let segment = log.first();
        let mut marks = Self { generation: 0, segment, slot: 0, unsynced: true, newest };
        for segment in log.first()..log.count() {
            let mut damaged = 0;
            for slot in 0..2 {
                let block = log.read_block(segment, offset(slot))?;
                let record = match record::decode(&block, Kind::Durable, Some(log.owner())) {
                    Ok(record) => record,
                    Err(RecordError::Blank) => continue,
                    Err(_) => {
                        damaged += 1;
                        continue;
                    }
                };
                let Some(mark) = DurableMark::decode(&record.payload) else { continue };
                if record.generation > marks.generation {
                    let generation = record.generation;
                    marks = Self { generation, segment, slot, unsynced: true, newest: mark };
                }
            }
            if damaged == 2 {
                return Err(ArchiveError::Unreadable { path: log.path(segment) });
            }
        }
        // What is there was perhaps never synced; the caller does so before the next one.
        Ok(marks)
    }

    /// The newest mark.
    pub(crate) const fn newest(&self) -> DurableMark {
        self.newest
    }

    /// Whether there is none at all.
    pub(crate) const fn is_empty(&self) -> bool {
        self.generation == 0
    }

    /// The segment that must be synced for the newest mark to be durable.
    pub(crate) const fn segment(&self) -> u64 {
        self.segment
    }

    /// Says that the newest mark's segment was synced since it was written.
    pub(crate) const fn synced(&mut self) {
        self.unsynced = false;
    }

    /// Where in a segment that is being made the next mark goes, and its bytes.
    pub(crate) fn first_in_new_segment(&self, owner: Owner, mark: DurableMark) -> (u64, Vec<u8>) {
        let bytes = record::encode(Kind::Durable, self.generation + 1, owner, &mark.encode());
        (offset(0), bytes)
    }

    /// Writes a mark.
    pub(crate) fn write<D: Disk>(
        &mut self,
        log: &Log<D>,
        mark: DurableMark,
    ) -> Result<(), ArchiveError> {
        // The next batch begins there; when the segment is still to be made, in the last one.
        let segment = log.segment_of(mark.position).min(log.count().saturating_sub(1));
        let slot = if self.unsynced { self.slot } else { 1 - self.slot };
        let slot = if segment == self.segment { slot } else { 0 };
        self.generation += 1;
        let bytes = record::encode(Kind::Durable, self.generation, log.owner(), &mark.encode());
        log.write_block(segment, offset(slot), &bytes)?;
        (self.segment, self.slot, self.unsynced, self.newest) = (segment, slot, true, mark);
        Ok(())
    }
}

const fn offset(slot: u64) -> u64 {
    BLOCK_BYTES * (1 + slot)
}

/// The mark that [`Marks::first_in_new_segment`] laid out, in the file at `path`.
pub(crate) fn mark_in<D: Disk>(
    disk: &D,
    path: &Path,
    owner: Owner,
) -> Result<Option<DurableMark>, ArchiveError> {
    let read = |error| ArchiveError::io("read", path, error);
    let file = disk.open(path, Access::Read).map_err(read)?;
    let mut block = vec![0; BLOCK_BYTES as usize];
    disk::read_full(disk, &file, &mut block, offset(0)).map_err(read)?;
    let record = record::decode(&block, Kind::Durable, Some(owner)).ok();
    Ok(record.and_then(|record| DurableMark::decode(&record.payload)))
}

/// Up to where the log is known to have been durable, under a history of `generation` that came
/// with `cut`: a mark from before that cut says nothing about what lies behind it.
pub(crate) fn known_durable(mark: DurableMark, generation: u64, cut: Position) -> u64 {
    if mark.history_generation < generation { mark.position.min(cut.0) } else { mark.position }
}
