//! What can go wrong with a backup, and what to do.

use std::path::{Path, PathBuf};

use quorate_core::{GroupId, Position, SnapshotError};

use crate::error::ArchiveError;

/// Why a backup is not taken, or not restored. Nothing counts of what was written until then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is nothing to take one of.
    #[error(
        "{} has no snapshot that stands in its log; have the group take one with `tool snapshot`, \
         while it runs{}",
        directory.display(),
        problems.first().map_or_else(String::new, |problem| format!(" ({problem})"))
    )]
    NoSnapshot {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with those that are there, newest first.
        problems: Vec<String>,
    },
    /// There is none where one was asked for.
    #[error(
        "{} has no snapshot at {at} that stands in its log; there are some at {found:?}",
        directory.display()
    )]
    NotAt {
        /// The directory.
        directory: PathBuf,
        /// Where it should stand.
        at: Position,
        /// Where the others stand.
        found: Vec<u64>,
    },
    /// The snapshot itself is damaged.
    #[error(
        "{reason}; take another one with `tool snapshot`, or name an older one with --at: there \
         are some at {older:?}"
    )]
    BrokenSnapshot {
        /// What is wrong with it.
        reason: String,
        /// Where older ones stand.
        older: Vec<u64>,
    },
    /// The member that runs has newer ones by now.
    #[error("{} was removed for a newer snapshot meanwhile; try again", path.display())]
    Removed {
        /// The file.
        path: PathBuf,
    },
    /// Nothing is replaced.
    #[error("{} exists, and no backup replaces anything; name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file does not begin as a backup does.
    #[error(
        "{} is no backup, or its front is damaged; take another copy of it, or an older backup",
        path.display()
    )]
    NoBackup {
        /// The file.
        path: PathBuf,
    },
    /// The file is not as it was written.
    #[error(
        "the backup {} {what}, at byte {offset}; take another copy of it, or an older backup",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Another version wrote it.
    #[error(
        "the backup {} has layout {found}, which this program does not know; restore it with the \
         program of the version that took it",
        path.display()
    )]
    Layout {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u16,
    },
    /// What it holds is whole, and no state that a group can begin with.
    #[error("the backup {} cannot be used: {reason}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with the core's part.
        reason: SnapshotError,
    },
    /// The group that was restored must never hear the former one.
    #[error(
        "the backup is of group {:#018x}, and cannot be restored into that: what is still there of \
         it would be heard; give the new group another number", group.0
    )]
    SameGroup {
        /// The group.
        group: GroupId,
    },
    /// A member's directory is there already.
    #[error(
        "{} is not empty, it has {found}; restore into a new directory, or, if it is one that an \
         interrupted restore left behind, empty it first",
        directory.display()
    )]
    NotEmpty {
        /// The directory.
        directory: PathBuf,
        /// Something in it.
        found: String,
    },
    /// The archive says why.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl BackupError {
    /// Whether it was asked for what cannot be, as opposed to something that failed.
    #[must_use]
    pub const fn is_of_usage(&self) -> bool {
        matches!(
            self,
            Self::NotAt { .. }
                | Self::Exists { .. }
                | Self::SameGroup { .. }
                | Self::NotEmpty { .. }
                | Self::Archive(ArchiveError::Identity { .. })
        )
    }

    pub(crate) fn damaged(path: &Path, offset: u64, what: &'static str) -> Self {
        Self::Damaged { path: path.to_owned(), offset, what }
    }
}
