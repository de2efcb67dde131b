//! What can go wrong with an archive: which file, what happened, what to do.

use std::io;
use std::path::{Path, PathBuf};

use quorate_core::{MemberId, Position};

use crate::record::Owner;

/// Why an archive cannot be made, opened, or used any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// A call to the file system failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing in the directory.
    #[error(
        "{} holds no archive; form the group with `init` first, once; a member that lost its \
         directory gets a new one with `init --rejoin`",
        directory.display()
    )]
    NotInitialised {
        /// The directory.
        directory: PathBuf,
    },
    /// There is an archive already: forming a group is done once for a directory (rule 9).
    #[error(
        "{} exists: the directory holds an archive already; choose another directory",
        found.display()
    )]
    AlreadyInitialised {
        /// The file that says so.
        found: PathBuf,
    },
    /// There are files of an archive, but no identity: `init` was interrupted, or it was deleted.
    #[error(
        "{} exists without an identity: if `init` or `tool restore` was interrupted and no member \
         ever ran from this directory, empty it and run that again; else restore the identity from \
         a backup",
        found.display()
    )]
    Unfinished {
        /// A file that is there.
        found: PathBuf,
    },
    /// What would be written by `init` cannot be.
    #[error("the identity is invalid: {reason}")]
    Identity {
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// Another process works in the directory.
    #[error(
        "{} is locked by {}; stop that process, or use another directory",
        path.display(),
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The mark file.
        path: PathBuf,
        /// The process that holds it, when it is known.
        pid: Option<u32>,
    },
    /// A file that must be there is not: without it the member may have promised more than it
    /// knows (rule 9).
    #[error(
        "{} is missing: the member's promises are incomplete; restore it, save the rest with `tool \
         repair`, or rejoin with an empty directory under a new incarnation",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A record that is kept once, or both copies of one that is kept twice, cannot be read.
    #[error(
        "{} is damaged, and so is its copy if it has one; restore it, or rejoin with an empty \
         directory under a new incarnation",
        path.display()
    )]
    Unreadable {
        /// The file, or the first copy.
        path: PathBuf,
    },
    /// A file belongs to another group, member or incarnation.
    #[error(
        "{} is of {found}, not of {expected}; put the right file back",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: Owner,
        /// Whose it should be.
        expected: Owner,
    },
    /// A file was written by a newer version.
    #[error("{} has format {found}, newer than this program's; update the program", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u16,
    },
    /// A segment is not where it belongs: it was renamed, copied or swapped.
    #[error("{} is segment {found}, not {expected}; give the files their names back", path.display())]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// Which segment it says to be.
        found: u64,
        /// Which one its name says.
        expected: u64,
    },
    /// A segment is shorter or longer than it was made.
    #[error(
        "{} is {found} bytes long, not {expected}; restore it, or save what is whole and fetch the \
         rest from the others with `tool repair`",
        path.display()
    )]
    SegmentLength {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// What it should be.
        expected: u64,
    },
    /// A file in the directory of segments is none.
    #[error("{} is no segment; move it elsewhere", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
    },
    /// Bytes that are known to have been durable do not verify (rule 6): this is damage, not a torn
    /// tail, and is not cut.
    #[error(
        "the log is damaged at {at} in {}, below {durable}, up to which it was durable; restore the \
         file, or save what is whole and fetch the rest from the others with `tool repair`",
        path.display()
    )]
    Damaged {
        /// The position of the first frame that does not verify.
        at: Position,
        /// Up to where the log was durable.
        durable: Position,
        /// The segment.
        path: PathBuf,
    },
    /// A snapshot cannot be used. A start passes it over for the one before.
    #[error("the snapshot {} {what}; it is passed over", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The log before `origin` is purged, and no snapshot can be used that stands for it.
    #[error(
        "the log begins at {origin}, and none of the snapshots in {} can be used; restore one from \
         a backup, or rejoin with an empty directory under a new incarnation",
        directory.display()
    )]
    NoSnapshot {
        /// The directory of the snapshots.
        directory: PathBuf,
        /// Where the log begins.
        origin: Position,
    },
    /// The log and the term history contradict each other (rule 1).
    #[error(
        "the log at {at} contradicts the term history: {reason}; do not start this member again, \
         and keep its directory for examination"
    )]
    Inconsistent {
        /// The position of the frame.
        at: Position,
        /// What does not fit.
        reason: &'static str,
    },
    /// A leader of a newer version wrote into the log.
    #[error(
        "the log has format {found} from {at} on, newer than this program's; update the program"
    )]
    NewerLog {
        /// The position of the opening frame that says so.
        at: Position,
        /// The format.
        found: u16,
    },
    /// There is no space to write to or to reserve. What was there before is intact; try again
    /// later. A sync that lacks space is [`ArchiveError::Io`]: what is on the disk is unknown
    /// (E43).
    #[error("no space left to write {}; free some", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// A caller appended elsewhere than at the end of the log.
    #[error("an append at {start} does not begin at the end of the log, {end}")]
    NotAtEnd {
        /// Where the append was to begin.
        start: Position,
        /// Where the log ends.
        end: Position,
    },
    /// A caller appended between a cut and its completion (rule 1).
    #[error("an append at {start} came before the cut of the log was durable")]
    CutPending {
        /// Where the append was to begin.
        start: Position,
    },
    /// A caller would install a snapshot that the log reaches as far as.
    #[error("a snapshot at {position} is not ahead of the log, which ends at {end}")]
    NotAhead {
        /// Where the snapshot stands.
        position: Position,
        /// Where the log ends.
        end: Position,
    },
    /// A snapshot of another member was installed: the log begins elsewhere on the disk than here.
    #[error("a snapshot was installed; the archive has to be opened again")]
    Installed,
    /// An earlier failure poisoned the archive: what is on the disk is unknown until it is opened
    /// again (E43).
    #[error("the archive stopped at its first failure, which was: {cause}; restart the member")]
    Poisoned {
        /// The first failure.
        cause: String,
    },
}

impl ArchiveError {
    /// An error of the file system. Lack of space is one like any other here: a sync that reports
    /// it has lost pages, as it has with any error (E43).
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    /// An error of a write or of a reservation: the calls that lack of space refuses before
    /// anything depends on them, so that they may be tried again (E48).
    pub(crate) fn space(action: &'static str, path: &Path, source: io::Error) -> Self {
        if crate::disk::is_no_space(&source) {
            Self::Full { path: path.to_owned() }
        } else {
            Self::io(action, path, source)
        }
    }

    /// Whether the file or directory was not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Why an append was not done. Nothing of it counts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// There is no space. Later appends succeed when there is (E48).
    #[error(
        "no space for the log: {needed} bytes are needed, {} are free in {}; free some",
        free.map_or_else(|| "too few".to_owned(), |free| free.to_string()),
        directory.display()
    )]
    Full {
        /// How many bytes must be free: the files of the segments that must be made, or else the
        /// append itself.
        needed: u64,
        /// How many the file system says to have.
        free: Option<u64>,
        /// The directory of the segments.
        directory: PathBuf,
    },
    /// The archive failed.
    #[error(transparent)]
    Failed(#[from] ArchiveError),
}

impl core::fmt::Display for Owner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { group, member: MemberId(member), incarnation } = self;
        write!(f, "group {:016x} member {member} incarnation {}", group.0, incarnation.0)
    }
}
