//! How a log comes to begin behind its end: in a segment that takes the place of all others.
//!
//! That segment is made, with its mark, under a name of its own (`….begin`), and is durable before
//! the record of the origin says that the log begins there. Whatever happens then, the next start
//! finds both, removes the old segments, and gives it its name. One that the record does not
//! speak of was not installed, and goes.

use std::path::{Path, PathBuf};

use quorate_core::Position;

use crate::disk::{Access, Disk};
use crate::error::ArchiveError;
use crate::log::{Log, PREAMBLE_BYTES};
use crate::marks::{Marks, mark_in};
use crate::payload::DurableMark;

/// What the name of such a segment ends with.
pub(crate) const BEGIN_SUFFIX: &str = ".begin";

impl<D: Disk> Log<D> {
    /// Makes the segment that an empty log has which begins at `mark`, durably; nothing reads it
    /// yet.
    ///
    /// # Errors
    /// [`ArchiveError::Full`]: nothing is left of it; [`ArchiveError::Io`].
    pub(crate) fn prepare_beginning(
        &self,
        mark: DurableMark,
        marks: &Marks,
    ) -> Result<(), ArchiveError> {
        let index = self.first_segment(Position(mark.position));
        let path = self.beginning_path(index);
        let (offset, bytes) = marks.first_in_new_segment(self.owner(), mark);
        debug_assert!(offset + bytes.len() as u64 <= PREAMBLE_BYTES, "a mark is in the preamble");
        self.write_draft(index, &path, Some((offset, &bytes)))
            .and_then(|()| self.sync_names())
            .inspect_err(|_| self.forget_beginning(Position(mark.position)))
    }

    /// Removes what [`Log::prepare_beginning`] made, of which no record speaks.
    pub(crate) fn forget_beginning(&self, origin: Position) {
        // What cannot be removed now is so by the next start.
        let _ = self.disk().remove(&self.beginning_path(self.first_segment(origin)));
    }

    /// Ends what a former life began, of a log whose record says that it begins at `origin`: its
    /// new beginning takes the place of all segments that there are. One that the record does not
    /// speak of is removed. Returns whether the log begins so; a log that is only read is not
    /// changed, and none of its segments counts then.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub(crate) fn settle_beginning(&self, origin: Position) -> Result<bool, ArchiveError> {
        let names = self.list()?;
        let begun = self.beginning_path(self.first_segment(origin));
        let mut is_ours = false;
        for path in names.iter().filter(|path| has_suffix(path, BEGIN_SUFFIX)) {
            if *path == begun && self.begins_at(path, origin)? {
                is_ours = true;
            } else if self.access() == Access::Write {
                self.remove(path)?;
            }
        }
        if is_ours && self.access() == Access::Write {
            for path in names.iter().filter(|path| has_suffix(path, ".segment")) {
                self.remove(path)?;
            }
            // None of them may come back behind the one that is named now.
            self.sync_names()?;
            let path = self.path(self.first_segment(origin));
            self.disk()
                .rename(&begun, &path)
                .map_err(|error| ArchiveError::io("name", &path, error))?;
            self.sync_names()?;
        }
        Ok(is_ours)
    }

    /// Whether a file is the segment of an empty log that begins at `origin`, whole.
    fn begins_at(&self, path: &Path, origin: Position) -> Result<bool, ArchiveError> {
        match self.check_segment(self.first_segment(origin), path) {
            Ok(()) => {}
            Err(error @ ArchiveError::Io { .. }) => return Err(error),
            // A crash tore it, before the record could speak of it.
            Err(_) => return Ok(false),
        }
        let mark = mark_in(self.disk(), path, self.owner())?;
        Ok(mark.is_some_and(|mark| mark.position == origin.0))
    }

    fn beginning_path(&self, index: u64) -> PathBuf {
        self.path(index).with_extension(&BEGIN_SUFFIX[1..])
    }

    fn remove(&self, path: &Path) -> Result<(), ArchiveError> {
        self.disk().remove(path).map_err(|error| ArchiveError::io("remove", path, error))
    }
}

fn has_suffix(path: &Path, suffix: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(suffix))
}
