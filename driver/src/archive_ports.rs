//! The archive under the ports of the disk.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use quorate_archive::{
    AppendError as ArchiveAppendError, Archive, ArchiveError, Cut, Identity, Mending, Options,
    Reader, SEGMENT_BYTES_DEFAULT, Salvaged, Scrub, Snapshots, Storing, Syncer, Writer, identify,
    init, salvage,
};
use quorate_core::{
    GroupId, Incarnation, MemberId, PeerRecord, Position, PositionRange, Recovered, RecoveryEpoch,
    Snapshot, SnapshotManifest, SnapshotPoint, TermHistory, Vote,
};

use crate::belonging::{check, check_owner, listed};
use crate::configuration::Configuration;
use crate::port::{AppendError, DurableStore, LogPort, LogReader, SnapshotStore, StoreError};

/// Why a member's data cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The archive says why.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The directory is of another member than the configuration.
    #[error(
        "{directory} belongs to member {member} of group {:#018x}, not to member {expected_member} \
         of group {:#018x}; correct `data`, `member` or `group`",
        group.0, expected_group.0
    )]
    Foreign {
        /// The directory.
        directory: String,
        /// Whose it is.
        member: MemberId,
        /// Of which group.
        group: GroupId,
        /// Whose it should be.
        expected_member: MemberId,
        /// Of which group.
        expected_group: GroupId,
    },
    /// The group was formed with other members.
    #[error(
        "{directory} was formed with the members {formed:?}, the configuration lists \
         {configured:?}; correct `members`: who is a member is changed by `quorate tool add` and \
         `remove` while the group runs"
    )]
    OtherMembers {
        /// The directory.
        directory: String,
        /// The members that formed the group.
        formed: Vec<u16>,
        /// The members in the configuration.
        configured: Vec<u16>,
    },
}

/// Writes the identity of the configured member into its directory: the explicit act that forms a
/// group, once for each member (rule 9).
///
/// # Errors
/// [`ArchiveError::AlreadyInitialised`] when it was done before, or what the disk says.
pub fn init_archive(configuration: &Configuration) -> Result<(), ArchiveError> {
    init_as(configuration, listed(configuration), Incarnation::FIRST, RecoveryEpoch(0))
}

/// Why a member is not given a new directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RejoinError {
    /// A majority of the others has to readmit it.
    #[error(
        "a group of {members} cannot readmit a member: that takes a majority without it; restore \
         the member's directory from its disk"
    )]
    TooFew {
        /// How many members there are.
        members: usize,
    },
    /// A member that comes later has to be told by somebody what the group is.
    #[error("`members` lists nobody else: list members of the group that runs as well")]
    Nobody,
    /// Such are the directories that the group was formed with.
    #[error("incarnation {} is that of a first directory; take a higher one", incarnation.0)]
    First {
        /// What was asked for.
        incarnation: Incarnation,
    },
    /// The directories do not change places.
    #[error("cannot rename {from} to {to}: {source}; see that nothing is there, and try again")]
    Rename {
        /// Which one.
        from: String,
        /// To what.
        to: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The directory is not that of the configured member.
    #[error(transparent)]
    Other(#[from] OpenError),
    /// What the disk says.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// In smaller groups the others are no majority.
const REJOIN_MEMBERS_MIN: usize = 3;

/// Makes an empty directory for the configured member, which has lost its former one: it is
/// readmitted by the others before it counts again (E47). Each directory that a member has ever had
/// needs a higher `incarnation`; [`next_incarnation`] is one, if clocks are right.
///
/// # Errors
/// [`RejoinError`].
pub fn rejoin_archive(
    configuration: &Configuration,
    incarnation: Incarnation,
) -> Result<(), RejoinError> {
    rejoin_archive_in(configuration, incarnation, RecoveryEpoch(0))
}

/// As [`rejoin_archive`], of a group that was recovered by force: `epoch` is the one that the
/// others are in.
///
/// # Errors
/// As there.
pub fn rejoin_archive_in(
    configuration: &Configuration,
    incarnation: Incarnation,
    epoch: RecoveryEpoch,
) -> Result<(), RejoinError> {
    check_rejoin(configuration, incarnation)?;
    Ok(init_as(configuration, listed(configuration), incarnation, epoch)?)
}

fn check_rejoin(
    configuration: &Configuration,
    incarnation: Incarnation,
) -> Result<(), RejoinError> {
    let members = configuration.members.len();
    if members < REJOIN_MEMBERS_MIN {
        return Err(RejoinError::TooFew { members });
    }
    if incarnation <= Incarnation::FIRST {
        return Err(RejoinError::First { incarnation });
    }
    Ok(())
}

/// As [`rejoin_archive`], for a member whose directory is damaged: the new one has all of it that
/// verifies, so the member has to fetch only what is lost. The damaged one stays, under the name
/// that is returned; destroy it once the member counts again. Nothing is returned, and nothing is
/// replaced, if the directory can be opened: then a start mends what there is to mend.
///
/// # Errors
/// [`RejoinError`]. When this was interrupted it can be called again.
pub fn salvage_archive(
    configuration: &Configuration,
    incarnation: Incarnation,
) -> Result<Option<(Salvaged, PathBuf)>, RejoinError> {
    check_rejoin(configuration, incarnation)?;
    let data = &configuration.data;
    let draft = draft_of(data);
    let damaged = beside(data, &format!(".damaged-before-{}", incarnation.0));
    let options = options_of(configuration);
    match identify(data) {
        // It was interrupted between the two renames: all else was done.
        Err(ArchiveError::NotInitialised { .. }) if draft.exists() => {
            check(&identify(&draft)?, configuration)?;
            rename(&draft, data)?;
            return Ok(None);
        }
        other => check(&other?, configuration)?,
    }
    match Archive::open(data, &options) {
        Ok(_) => return Ok(None),
        Err(
            ArchiveError::Damaged { .. }
            | ArchiveError::Unreadable { .. }
            | ArchiveError::Missing { .. }
            | ArchiveError::SegmentLength { .. }
            | ArchiveError::Misplaced { .. },
        ) => {}
        // Whatever else it is, it is not mended by leaving bytes behind.
        Err(other) => return Err(other.into()),
    }
    if draft.exists() {
        // The damaged directory is still in its place: nobody has run from the draft.
        std::fs::remove_dir_all(&draft).map_err(|error| ArchiveError::Io {
            action: "remove",
            path: draft.clone(),
            source: error,
        })?;
    }
    let salvaged = salvage(data, &draft, incarnation, &options)?;
    rename(data, &damaged)?;
    rename(&draft, data)?;
    Ok(Some((salvaged, damaged)))
}

/// Where a directory is made that is going to replace the one at `data`.
fn draft_of(data: &Path) -> PathBuf {
    beside(data, ".salvaged")
}

/// The name of `data`, and `suffix`.
fn beside(data: &Path, suffix: &str) -> PathBuf {
    // Without a slash at its end.
    let mut name = data.components().collect::<PathBuf>().into_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

fn rename(from: &Path, to: &Path) -> Result<(), RejoinError> {
    let failed = |source| {
        let (from, to) = (from.display().to_string(), to.display().to_string());
        RejoinError::Rename { from, to, source }
    };
    if to.exists() {
        return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
    }
    std::fs::rename(from, to).map_err(failed)?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = std::fs::File::open(parent.unwrap_or_else(|| Path::new(".")));
    parent.and_then(|parent| parent.sync_all()).map_err(failed)
}

/// The seconds since 1970, by the clock of the machine: higher than any incarnation that was made
/// so before, and at least the second.
#[must_use]
pub fn next_incarnation() -> Incarnation {
    let seconds = u32::try_from(milliseconds_since_1970() / 1_000).unwrap_or(u32::MAX);
    Incarnation(seconds.max(Incarnation::FIRST.0 + 1))
}

pub(crate) fn init_as(
    configuration: &Configuration,
    voters: Vec<MemberId>,
    incarnation: Incarnation,
    recovery_epoch: RecoveryEpoch,
) -> Result<(), ArchiveError> {
    let draft = draft_of(&configuration.data);
    if draft.exists() {
        // A repair was interrupted: what takes the place of that directory is whole, and remembers.
        return Err(ArchiveError::AlreadyInitialised { found: draft });
    }
    init(&configuration.data, &identity_of(configuration, voters, incarnation, recovery_epoch))
}

fn identity_of(
    configuration: &Configuration,
    voters: Vec<MemberId>,
    incarnation: Incarnation,
    recovery_epoch: RecoveryEpoch,
) -> Identity {
    Identity {
        group: configuration.group,
        recovery_epoch,
        member: configuration.member,
        incarnation,
        voters,
        segment_bytes: SEGMENT_BYTES_DEFAULT,
    }
}

/// The identity that the configured member has where its group is formed: with it a backup is
/// restored for that member, which is another way to form a group.
#[must_use]
pub fn first_identity(configuration: &Configuration) -> Identity {
    identity_of(configuration, listed(configuration), Incarnation::FIRST, RecoveryEpoch(0))
}

/// A member's archive, opened and split for the loop.
#[derive(Debug)]
pub struct ArchivePorts {
    /// Whose the directory is, and who formed the group: the configuration knows neither.
    pub identity: Identity,
    /// What was recovered: a new life has begun.
    pub recovered: Recovered,
    /// For the loop.
    pub writer: LogWriter,
    /// For the storage thread.
    pub store: ArchiveStore,
    /// For the reader thread.
    pub reader: ArchiveReader,
    /// For the thread that stores snapshots.
    pub snapshots: ArchiveSnapshots,
    /// For the thread that reads everything again.
    pub scrub: Scrub,
    /// The service's state in the snapshot that `recovered` names, if it names one.
    pub service_state: Option<Vec<u8>>,
}

impl ArchivePorts {
    /// Opens and locks the configured directory and recovers. With `bootstrap` an empty directory
    /// is initialised first.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(configuration: &Configuration, bootstrap: bool) -> Result<Self, OpenError> {
        let options = options_of(configuration).with_boot_epoch_min(milliseconds_since_1970());
        let directory = &configuration.data;
        match identify(directory) {
            Err(ArchiveError::NotInitialised { .. }) if bootstrap => init_archive(configuration)?,
            // Before it is opened: that begins a new life and puts the log in order, and a member
            // that is somebody else's, or was formed with others, is left as it is.
            other => check(&other?, configuration)?,
        }
        let (mut archive, recovered) = Archive::open(directory, &options)?;
        let identity = archive.identity().clone();
        check_owner(&identity, configuration)?;
        for passed_over in &archive.repairs().snapshots {
            tracing::warn!(reason = passed_over.reason, "a snapshot was passed over");
        }
        let (snapshots, service_state) = (archive.snapshots(), archive.take_service_state());
        let scrub = archive.scrub();
        let (writer, syncer, reader) = archive.split();
        Ok(Self {
            identity,
            recovered,
            writer: LogWriter(writer),
            store: ArchiveStore(syncer),
            reader: ArchiveReader(reader),
            snapshots: ArchiveSnapshots(snapshots),
            scrub,
            service_state,
        })
    }
}

/// The recovery epoch that the configured directory is in; that in which groups are formed, if
/// there is none.
#[must_use]
pub fn recovery_epoch_of(configuration: &Configuration) -> RecoveryEpoch {
    identify(&configuration.data).map_or(RecoveryEpoch(0), |identity| identity.recovery_epoch)
}

/// The configured directory, which [`ArchivePorts::open`] `refused`, to be mended by others;
/// nothing if that is for something that they cannot mend.
///
/// # Errors
/// What else is wrong with it.
pub(crate) fn open_to_mend(
    configuration: &Configuration,
    refused: &ArchiveError,
) -> Result<Option<Mending>, ArchiveError> {
    if !refused.is_mendable() || configuration.members.len() < 2 {
        return Ok(None);
    }
    let options = options_of(configuration).with_boot_epoch_min(milliseconds_since_1970());
    let mending = Mending::open(&configuration.data, &options)?;
    Ok(mending.hole().is_some().then_some(mending))
}

pub(crate) fn options_of(configuration: &Configuration) -> Options {
    let window_quarter = configuration.limits.window_bytes / 4;
    Options::new(window_quarter.max(Options::default().frame_bytes_max))
}

/// By the clock of the machine; 0 when that is before 1970, and then epochs are merely counted.
fn milliseconds_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

/// Appends to the archive.
#[derive(Debug)]
pub struct LogWriter(Writer);

impl LogPort for LogWriter {
    type Cut = Cut;

    fn append(&mut self, position: Position, bytes: (&[u8], &[u8])) -> Result<(), AppendError> {
        self.0.append(position, bytes.0, bytes.1).map_err(|error| match error {
            ArchiveAppendError::Full { .. } => {
                tracing::warn!(%error, "an append was refused");
                AppendError::Full
            }
            other => AppendError::Broken(other.to_string()),
        })
    }

    fn cut(&mut self, at: Position) -> Cut {
        self.0.cut(at)
    }
}

/// Makes the archive durable.
#[derive(Debug)]
pub struct ArchiveStore(Syncer);

impl DurableStore for ArchiveStore {
    type Cut = Cut;

    fn sync(&mut self) -> Result<(), String> {
        self.0.sync().map(|_| ()).map_err(|error| error.to_string())
    }

    fn persist_vote(&mut self, vote: Vote) -> Result<(), String> {
        self.0.persist_vote(&vote).map_err(|error| error.to_string())
    }

    fn persist_history(&mut self, history: &TermHistory, cut: Cut) -> Result<(), String> {
        self.0.persist_history(history, cut).map_err(|error| error.to_string())
    }

    fn persist_peers(&mut self, peers: &[PeerRecord]) -> Result<(), String> {
        self.0.persist_peers(peers).map_err(|error| error.to_string())
    }

    fn purge(&mut self, origin: SnapshotPoint) -> Result<(), String> {
        match self.0.purge(origin) {
            // There was no space to say so; the next purge says it again.
            Err(error @ ArchiveError::Full { .. }) => {
                tracing::warn!(%error, "the log was not purged");
                Ok(())
            }
            other => other.map_err(|error| error.to_string()),
        }
    }

    fn install(&mut self, manifest: &SnapshotManifest) -> Result<(), StoreError> {
        let installed = self.0.install(manifest);
        installed.map_err(|error| refused(error, self.0.is_usable()))
    }
}

/// Reads the archive.
#[derive(Debug)]
pub struct ArchiveReader(Reader);

impl LogReader for ArchiveReader {
    fn read(&mut self, range: PositionRange, bytes: &mut Vec<u8>) -> Result<(), String> {
        self.0.read(range, bytes).map(|_| ()).map_err(|error| error.to_string())
    }

    fn read_snapshot(
        &mut self,
        position: Position,
        range: PositionRange,
        bytes: &mut Vec<u8>,
    ) -> Result<SnapshotManifest, String> {
        self.0.read_snapshot(position, range, bytes).map_err(|error| error.to_string())
    }
}

/// Stores snapshots in the archive.
#[derive(Debug)]
pub struct ArchiveSnapshots(Snapshots);

impl SnapshotStore for ArchiveSnapshots {
    type Draft = Storing;

    fn begin(&mut self, snapshot: &Snapshot, service_bytes: u64) -> Result<Storing, StoreError> {
        let begun = self.0.begin(snapshot, service_bytes);
        begun.map_err(|error| refused(error, self.0.is_usable()))
    }

    fn write(&mut self, draft: &mut Storing, bytes: &[u8]) -> Result<(), StoreError> {
        draft.take(bytes).map_err(|error| refused(error, self.0.is_usable()))
    }

    fn publish(&mut self, draft: Storing, pinned: Option<Position>) -> Result<(), StoreError> {
        let published = self.0.publish(draft, pinned);
        published.map_err(|error| refused(error, self.0.is_usable()))
    }

    fn keep(
        &mut self,
        manifest: &SnapshotManifest,
        start: Position,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let kept = self.0.keep(manifest, start.0, bytes);
        kept.map_err(|error| refused(error, self.0.is_usable()))
    }

    fn check(&mut self, manifest: &SnapshotManifest) -> Result<Vec<u8>, StoreError> {
        let checked = self.0.check(manifest);
        checked.map_err(|error| refused(error, self.0.is_usable()))
    }

    fn discard(&mut self) {
        self.0.discard();
    }

    fn discard_stored(&mut self, from: Position) -> Result<(), StoreError> {
        let discarded = self.0.discard_stored(from);
        discarded.map_err(|error| refused(error, self.0.is_usable()))
    }
}

/// What an error means for all else.
fn refused(error: ArchiveError, is_usable: bool) -> StoreError {
    match is_usable {
        true => StoreError::Refused(error.to_string()),
        false => StoreError::Broken(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_another_member_is_refused_before_anything_in_it_changes() {
        let text = "group = \"0x5eed\"\nmember = 1\ndata = \"x\"\nsecurity = \"checksum-only\"\n\
                    members = [{ id = 1, address = \"127.0.0.1:9001\" }, \
                    { id = 2, address = \"127.0.0.1:9002\" }]\n";
        let directory = tempfile::tempdir().unwrap();
        let mut configuration = Configuration::parse(text).unwrap();
        configuration.data = directory.path().to_owned();
        drop(ArchivePorts::open(&configuration, true).unwrap());
        configuration.member = MemberId(2);
        let error = ArchivePorts::open(&configuration, true).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        configuration.member = MemberId(1);
        let ports = ArchivePorts::open(&configuration, false).unwrap();
        assert!(ports.recovered.life.boot_epoch.0 > 1 << 40, "milliseconds since 1970");
    }

    #[test]
    fn e47_an_interrupted_repair_is_ended_and_nothing_is_made_anew_meanwhile() {
        let members: Vec<String> =
            (1..=3).map(|id| format!("{{ id = {id}, address = \"127.0.0.1:900{id}\" }}")).collect();
        let text = format!(
            "group = \"0x5eed\"\nmember = 1\ndata = \"x\"\nsecurity = \"checksum-only\"\n\
             members = [{}]\n",
            members.join(", ")
        );
        let directory = tempfile::tempdir().unwrap();
        let mut configuration = Configuration::parse(&text).unwrap();
        configuration.data = directory.path().join("data/");
        let next = Incarnation(2);
        // As it is behind the first of the two renames: only what takes its place is there.
        rejoin_archive(&configuration, next).unwrap();
        let draft = directory.path().join("data.salvaged");
        std::fs::rename(&configuration.data, &draft).unwrap();
        let error = ArchivePorts::open(&configuration, true).unwrap_err();
        let refused = OpenError::Archive(ArchiveError::AlreadyInitialised { found: draft.clone() });
        assert_eq!(error.to_string(), refused.to_string(), "a bootstrap forgets what it promised");

        configuration.member = MemberId(2);
        let foreign = salvage_archive(&configuration, Incarnation(3)).unwrap_err();
        assert!(matches!(foreign, RejoinError::Other(OpenError::Foreign { .. })), "{foreign}");
        configuration.member = MemberId(1);
        assert_eq!(salvage_archive(&configuration, Incarnation(3)).unwrap(), None);
        assert!(!draft.exists());
        let ports = ArchivePorts::open(&configuration, false).unwrap();
        assert_eq!(ports.recovered.life.incarnation, next);
    }
}
