//! What can be saved of a directory that a start refuses: a new one with all of it that verifies.
//!
//! The member has promised others more than that, and voted in ways that nobody can tell for sure.
//! So the new directory is of a higher incarnation, under which the member promises nothing until
//! the others have readmitted it; but it has to fetch only what is lost, not all there is.

use std::path::Path;

use quorate_core::{Incarnation, PeerRecord, Position, SnapshotPoint};

use crate::archive::{Content, HISTORY, ORIGIN, Options, PEERS, find_identity, init_with};
use crate::copies::Copies;
use crate::disk::{Access, Disk, RealDisk};
use crate::error::ArchiveError;
use crate::identity::Identity;
use crate::lock::{self, Lock};
use crate::log::{CHUNK_BYTES, Log};
use crate::marks::Marks;
use crate::payload::{DurableMark, HistoryAndCut, Payload};
use crate::record::Kind;
use crate::scan::Scan;
use crate::shared::{Ground, Shared};
use crate::snapshots::{self, Snapshots, snapshot_directory};

/// What was saved.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Salvaged {
    /// Where the log begins.
    pub log_start: Position,
    /// The end of the last frame that verifies.
    pub log_end: Position,
    /// Where the snapshots stand that were saved, oldest first.
    pub snapshots: Vec<Position>,
    /// Why the log ends there, in words, unless it simply ended.
    pub cause: Option<String>,
}

/// The generation of the history in an archive that was just made.
const FIRST_GENERATION: u64 = 1;

/// Makes an archive in `to`, where none is, for the member that `from` belongs to: of a higher
/// `incarnation`, with the term history, what is remembered of the other members, the log up to the
/// first frame that does not verify, and the snapshots that stand in that. `from` is not changed.
///
/// # Errors
/// [`ArchiveError::Identity`] if `incarnation` is not above that of `from`;
/// [`ArchiveError::Unreadable`] and the like if identity, history, or what is remembered of the
/// others is lost: then nothing else can be made sense of. [`ArchiveError::NoSnapshot`] if the log
/// does not begin at zero, and no snapshot is whole. [`ArchiveError::Locked`] while a member runs;
/// and as [`crate::init`].
pub fn salvage(
    from: &Path,
    to: &Path,
    incarnation: Incarnation,
    options: &Options,
) -> Result<Salvaged, ArchiveError> {
    salvage_on(&RealDisk, from, to, incarnation, options)
}

/// As [`salvage`], on a file system of the caller's.
///
/// # Errors
/// As [`salvage`].
pub fn salvage_on<D: Disk>(
    disk: &D,
    from: &Path,
    to: &Path,
    incarnation: Incarnation,
    options: &Options,
) -> Result<Salvaged, ArchiveError> {
    let old = find_identity(disk, from)?;
    if incarnation <= old.incarnation {
        let reason = "its incarnation has to be higher than that of the damaged directory";
        return Err(ArchiveError::Identity { reason });
    }
    let _alone = lock::acquire(disk, from, old.owner())?;
    let (generation, history): (u64, HistoryAndCut) =
        read(disk, from, HISTORY, Kind::History, &old)?;
    let (_, mut peers): (u64, Vec<PeerRecord>) = read(disk, from, PEERS, Kind::Peers, &old)?;
    // That its former life counted again, once, is no matter of the next.
    peers.retain(|record| record.life.member != old.member);
    let (_, origin): (u64, SnapshotPoint) = read(disk, from, ORIGIN, Kind::Origin, &old)?;
    let mut sound = Sound::find(disk, from, &old, (generation, &history), origin, options);
    if sound.snapshots.is_empty() && origin.position > Position::ZERO {
        let directory = snapshot_directory(from);
        return Err(ArchiveError::NoSnapshot { directory, origin: origin.position });
    }
    let kept = options.snapshots_kept.max(1);
    sound.snapshots.drain(..sound.snapshots.len().saturating_sub(kept));

    let new = Identity { incarnation, ..old };
    let content = Content { history, peers, origin };
    init_with(disk, to, &new, &content, |log, lock| sound.write(disk, log, lock, origin, kept))?;
    Ok(Salvaged {
        log_start: origin.position,
        log_end: sound.end,
        snapshots: sound.snapshots.iter().map(|found| Position(found.position)).collect(),
        cause: sound.cause,
    })
}

/// What of a directory verifies.
struct Sound<D: Disk> {
    log: Log<D>,
    end: Position,
    cause: Option<String>,
    /// Oldest first; each was read whole.
    snapshots: Vec<snapshots::Found>,
}

impl<D: Disk> Sound<D> {
    fn find(
        disk: &D,
        directory: &Path,
        identity: &Identity,
        (generation, history): (u64, &HistoryAndCut),
        origin: SnapshotPoint,
        options: &Options,
    ) -> Self {
        let log = Log::new(disk.clone(), directory, identity, Access::Read);
        let mut cause = log.find_usable(origin.position).map(|error| error.to_string());
        // A cut that was perhaps not carried out: above it there may be whole frames of a term that
        // goes on there.
        let marked = Marks::find(&log).map(|marks| marks.newest().history_generation);
        let is_cut = marked.is_ok_and(|marked| marked >= generation);
        let limit = if is_cut { u64::MAX } else { history.cut.0.max(origin.position.0) };
        let directory = snapshot_directory(directory);
        let mut snapshots = snapshots::find(disk, &directory, identity.owner()).unwrap_or_default();
        let mut scan = Scan::new(&log, origin, &history.history, options.frame_bytes_max, limit);
        let mut confirmed = Vec::new();
        loop {
            let here =
                snapshots.iter().filter_map(|found| Some(found.manifest.as_ref().ok()?.point));
            confirmed.extend(here.filter(|point| scan.confirms(point)));
            match scan.next() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    cause = Some(error.to_string());
                    break;
                }
            }
        }
        let end = scan.position();
        snapshots.retain(|found| {
            let manifest = found.manifest.as_ref().ok();
            manifest.is_some_and(|manifest| {
                confirmed.contains(&manifest.point)
                    && snapshots::read(disk, &found.path, manifest).is_ok()
            })
        });
        Self { log, end, cause, snapshots }
    }

    /// Writes all of it to a log and a directory that are being made.
    fn write(
        &self,
        disk: &D,
        log: Log<D>,
        lock: Lock<D>,
        origin: SnapshotPoint,
        kept: usize,
    ) -> Result<(), ArchiveError> {
        let (start, end) = (origin.position.0, self.end.0);
        while log.capacity() < end {
            log.create_next(log.count())?;
        }
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut at = start;
        while at < end {
            let length = (end - at).min(CHUNK_BYTES as u64) as usize;
            let count = self.log.read(at, &mut buffer[..length])?;
            log.write(at, &buffer[..count])?;
            at += count.max(1) as u64;
        }
        log.sync(log.first(), log.count())?;
        let mut marks = Marks::find(&log)?;
        marks.write(&log, DurableMark { position: end, history_generation: FIRST_GENERATION })?;
        log.sync(marks.segment(), marks.segment())?;
        let ground = Ground { origin, ..Ground::default() };
        let shared = Shared::new(disk.clone(), log, lock, ground, end);
        let mut store = Snapshots::new(shared.into(), kept, Default::default());
        for found in &self.snapshots {
            if let Ok(manifest) = &found.manifest {
                let (snapshot, service) = snapshots::read(disk, &found.path, manifest)?;
                store.store(&snapshot, &service, None)?;
            }
        }
        Ok(())
    }
}

/// The newest whole copy of a record.
fn read<D: Disk, P: Payload>(
    disk: &D,
    directory: &Path,
    name: &str,
    kind: Kind,
    identity: &Identity,
) -> Result<(u64, P), ArchiveError> {
    let found = Copies::<P>::find(disk, directory, name, kind, identity.owner())?;
    let [path, _] = Copies::<P>::paths(directory, name);
    found.newest.ok_or(ArchiveError::Unreadable { path })
}
